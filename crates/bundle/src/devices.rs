//! What a VM has besides processors and memory.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::File;

/// The device that a VM's console is: where its output is taken from, and its input goes to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub enum Console {
    /// The serial port, in Linux `/dev/ttyAMA0`.
    #[default]
    Pl011,
    /// A virtio console, in Linux `/dev/hvc0`. Of the serial port the output is shown all the same
    /// (early messages, say); input does not go there.
    Virtio,
}

/// A disk of a VM, a virtio block device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disk<F = File> {
    /// What is on it.
    pub contents: Contents<F>,
    /// The guest can't write.
    pub read_only: bool,
}

/// What a disk consists of. Sizes count in whole sectors of 512 bytes; what is left over is not
/// shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Contents<F = File> {
    /// A RAM disk. What is written to it outlives a restart of the VM, not one of the board. A
    /// read-only one takes no memory besides the bundle's.
    Memory {
        /// What it starts with.
        file: F,
        /// Bytes of the disk, zeros behind the file; not more than the file if it is smaller.
        size: u32,
    },
    /// A part of a disk of the board's.
    Board {
        /// Which: the virtio-mmio disks of the board's device tree in the order of their addresses,
        /// from 0.
        disk: u8,
        /// The first byte, a multiple of 512.
        start: u64,
        /// Bytes; 0 is all that there is from `start` on.
        size: u64,
    },
}

/// Memory that several VMs share, and doorbells by which they interrupt each other
/// (`docs/channels.md`).
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Channel {
    /// Its name, for people, and the `label` of the devices in the guests' trees.
    pub name: String,
    /// Bytes of shared memory, a multiple of 4096. Zeros when the board starts, never after.
    pub size: u32,
    /// The VMs that take part, at most eight, each once: end 0, end 1 and so on.
    pub ends: Vec<End>,
}

/// A VM's end of a channel, and where the VM has it. The addresses are what the VM's device tree says:
/// whoever makes that fills them in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct End {
    /// The VM, an index of [`System::vms`](crate::System::vms).
    pub vm: u8,
    /// It may read the shared memory and not write it. It may ring all the same.
    pub read_only: bool,
    /// Guest-physical address of the doorbell registers, a page.
    pub registers: u32,
    /// Guest-physical address of the shared memory, on a page boundary.
    pub memory: u32,
    /// SPI that rings at this end, number from 0 (interrupt ID minus 32); edge-triggered.
    pub spi: u32,
}

/// A device of the board that a VM has for itself. The VM's device tree describes it; whoever makes that
/// fills this in from the board's tree.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its path in the board's tree. The hypervisor compares the node's registers and interrupts with
    /// what is here, and its `compatible` with the devices that it knows to be no bus masters.
    pub path: String,
    /// Where the VM has its registers: a window for each range of the node's `reg`, in that order.
    pub windows: Vec<Window>,
    /// Where its interrupts go: one for each of the node's, in that order.
    pub interrupts: Vec<Wire>,
    /// The device may reach all of the board's memory, and the VM is trusted with that. A device that is
    /// not known to be no bus master is refused without.
    pub dma_trusted: bool,
}

/// Device registers that a VM has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Window {
    /// Guest-physical address; the same offset in its page as `physical`.
    pub address: u32,
    /// Physical address. Of the pages that it lies in nothing may belong to another device.
    pub physical: u64,
    /// Bytes.
    pub size: u32,
}

/// An interrupt of the board that goes to a VM.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Wire {
    /// The board's interrupt ID, an SPI: 32 to 1019.
    pub physical: u32,
    /// The VM's SPI, number from 0 (interrupt ID minus 32).
    pub spi: u32,
}
