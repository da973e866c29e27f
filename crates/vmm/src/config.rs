//! What a VM consists of.

use crate::engine::Engine;
use skep_arm::state::CpuModel;
use std::path::PathBuf;

/// The least RAM, bytes.
pub const MIN_MEMORY: u64 = 1 << 20;
/// The most RAM, bytes: what a 40-bit physical address can reach, kept to what hosts have.
pub const MAX_MEMORY: u64 = 255 << 30;

/// A VM. [`Default`] has 512 MiB, one Cortex-A15, and nothing to boot.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// RAM in bytes, a multiple of 1 MiB.
    pub memory: u64,
    /// Number of vCPUs, 1 to 8.
    pub cpus: usize,
    /// Their model.
    pub cpu: CpuModel,
    /// What executes them.
    pub engine: Engine,
    /// The kernel: zImage, uImage, ELF or raw image.
    pub kernel: Option<Vec<u8>>,
    /// The initial RAM disk.
    pub initrd: Option<Vec<u8>>,
    /// A device tree instead of the board's own.
    pub dtb: Option<Vec<u8>>,
    /// The kernel command line.
    pub command_line: String,
    /// Firmware, mapped as flash at address 0; the CPU starts in it.
    pub firmware: Option<Vec<u8>>,
    /// Disks, in the order of their virtio slots.
    pub disks: Vec<Disk>,
    /// A guest that resets ends, as if it had powered off.
    pub no_restart: bool,
}

impl Default for VmConfig {
    fn default() -> Self {
        VmConfig {
            memory: 512 << 20,
            cpus: 1,
            cpu: CpuModel::CortexA15,
            engine: Engine::Auto,
            kernel: None,
            initrd: None,
            dtb: None,
            command_line: String::new(),
            firmware: None,
            disks: Vec::new(),
            no_restart: false,
        }
    }
}

/// A disk: a raw image file or a block device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disk {
    /// The file.
    pub path: PathBuf,
    /// The guest can't write.
    pub read_only: bool,
}
