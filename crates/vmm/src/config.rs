//! What a VM consists of.

use crate::contents::Contents;
use crate::engine::Engine;
use skep_arm::state::CpuModel;
use skep_board::virtio::Version;
pub use skep_disk::Disk;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

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
    pub kernel: Option<Contents>,
    /// The initial RAM disk.
    pub initrd: Option<Contents>,
    /// A device tree instead of the board's own.
    pub dtb: Option<Contents>,
    /// The kernel command line.
    pub command_line: String,
    /// Firmware, mapped as flash at address 0; the CPU starts in it.
    pub firmware: Option<Contents>,
    /// Disks, in the order of their virtio slots.
    pub disks: Vec<Disk>,
    /// Shared directories.
    pub shares: Vec<Share>,
    /// What the network card is connected to; None: there is no card.
    pub net: Option<skep_net::Config>,
    /// What becomes of a guest that does not feed its watchdog.
    pub watchdog: Watchdog,
    /// What the socket device is connected to; None: there is none.
    pub vsock: Option<skep_vsock::Config>,
    /// A program whose `main` calls [`skep_helper::run`] first, to do what the VM's process can't in a
    /// sandbox: this one, as a rule. It connects the socket device with the host's programs, and removes
    /// sockets and links at the end. Without, a thread does, and needs the rights.
    pub helper: Option<PathBuf>,
    /// A guest that resets ends, as if it had powered off.
    pub no_restart: bool,
    /// What the serial port is connected to: `/dev/ttyAMA0` in Linux.
    pub serial: Backend,
    /// What virtio consoles are connected to: `/dev/hvc0` and so on in Linux. At most one of all
    /// consoles is [`Backend::Main`].
    pub consoles: Vec<Backend>,
    /// Columns and rows of the terminal of [`Backend::Main`], if it has a size. A virtio console tells
    /// the guest.
    pub terminal_size: Option<(u16, u16)>,
    /// The register interface of virtio-mmio transports.
    pub virtio: Version,
    /// The translator counts instructions, which costs a few percent. Without, it knows of those only
    /// that the interpreter executed for it.
    pub count: bool,
    /// Has the translator list the code that it translates.
    pub trace: Option<Trace>,
    /// Has the translator write `/tmp/perf-PID.map`, by which `perf report` attributes time to guest
    /// code.
    pub perf_map: bool,
    /// Who is told what goes wrong while the VM runs.
    pub warn: Warn,
}

/// Which code the translator lists, and where to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// Guest-virtual addresses: blocks that have an instruction there.
    pub range: Range<u64>,
    /// A file, which is created, or emptied; None for standard error.
    pub file: Option<PathBuf>,
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
            shares: Vec::new(),
            net: None,
            watchdog: Watchdog::Reset,
            vsock: None,
            helper: None,
            no_restart: false,
            serial: Backend::Main,
            consoles: Vec::new(),
            terminal_size: None,
            virtio: Version::Modern,
            count: false,
            trace: None,
            perf_map: false,
            warn: Warn::default(),
        }
    }
}

/// Takes sentences for the user, about what goes wrong while the VM runs.
#[derive(Clone)]
pub struct Warn(Arc<dyn Fn(&str) + Send + Sync>);

impl Warn {
    /// Gives them to a function, on whatever thread has one.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Warn(Arc::new(tell))
    }

    pub(crate) fn tell(&self, text: &str) {
        (self.0)(text);
    }
}

impl Default for Warn {
    /// Drops them.
    fn default() -> Self {
        Warn::new(|_| ())
    }
}

impl std::fmt::Debug for Warn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Warn")
    }
}

/// A directory of the host that the guest shares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    /// The directory.
    pub path: PathBuf,
    /// The name by which the guest mounts it: at most 36 bytes count.
    pub tag: String,
    /// The guest can't change anything in it.
    pub read_only: bool,
}

/// What becomes of a guest that has started its watchdog and does not feed it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Watchdog {
    /// It is reset.
    #[default]
    Reset,
    /// Its VM ends: [`crate::Outcome::Watchdog`].
    PowerOff,
    /// It has none.
    None,
}

/// What a console is connected to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Backend {
    /// The VM's user: [`crate::Vm`]'s output, and [`crate::VmHandle::input`].
    #[default]
    Main,
    /// Nothing.
    Null,
    /// A regular file that takes the output.
    File {
        /// The file, which is created if it is not there.
        path: PathBuf,
        /// What it has stays; otherwise it is emptied.
        append: bool,
    },
    /// A Unix socket that clients connect to, one at a time. The last 64 KiB of output that no client
    /// has read wait for the next one.
    Socket(PathBuf),
    /// A new pseudo-terminal, and a link to it at this path. It keeps output as a socket does.
    Pty(Option<PathBuf>),
}
