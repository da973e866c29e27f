//! What a file says, each value with its place, before defaults and before anything is looked at
//! that is not in the file.

use crate::consoles::{self, Backend};
use crate::net::{Net, Publish};
use crate::vsock::Vsock;
use skep_disk::Format;
use std::ops::Range;
use std::path::PathBuf;

/// A value, and where it is in the file (bytes).
pub type At<T> = toml::Spanned<T>;

/// Bytes of a virtual machine's memory, by default.
pub const DEFAULT_MEMORY: u64 = 512 << 20;

/// A file.
#[derive(Clone, Default, Debug)]
pub struct Config {
    /// The virtual machines, in the file's order.
    pub vms: Vec<Vm>,
    /// `[board]`.
    pub board: Option<Board>,
    /// `[core.N]`, in the file's order.
    pub cores: Vec<Core>,
    /// The channels, in the file's order.
    pub channels: Vec<Channel>,
}

impl Config {
    /// The virtual machine with a name.
    #[must_use]
    pub fn vm(&self, name: &str) -> Option<&Vm> {
        self.vms.iter().find(|vm| vm.name.get_ref() == name)
    }

    /// Whether the file has a section that is for boards only.
    #[must_use]
    pub fn has_board(&self) -> bool {
        self.board.is_some() || !self.cores.is_empty() || !self.channels.is_empty()
    }

    /// The names of the virtual machines.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.vms.iter().map(|vm| vm.name.get_ref().as_str())
    }
}

/// A default guest.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guest {
    /// Debian's kernel with BusyBox.
    #[default]
    Debian,
    /// The same with the kernel for long-descriptor translation tables.
    DebianLpae,
}

/// A model of processor.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cpu {
    /// Cortex-A15.
    #[default]
    CortexA15,
    /// Cortex-A7.
    CortexA7,
}

impl Cpu {
    /// Its name in a file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cpu::CortexA15 => "cortex-a15",
            Cpu::CortexA7 => "cortex-a7",
        }
    }
}

/// What the default guest's kernel starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// The system on a disk.
    Disk,
    /// BusyBox's shell.
    Shell,
}

/// A register interface of virtio-mmio.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Virtio {
    /// Version 2.
    #[default]
    Modern,
    /// Version 1.
    Legacy,
}

/// What becomes of a guest that does not feed its watchdog.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Watchdog {
    /// It is reset.
    #[default]
    Reset,
    /// Its virtual machine ends.
    PowerOff,
    /// It has none.
    None,
}

/// What becomes of a virtual machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// It stays off.
    Stop,
    /// It starts again.
    Reset,
}

/// `[vm.NAME]`.
#[derive(Clone, Debug)]
pub struct Vm {
    /// Its name.
    pub name: At<String>,
    /// The default guest to boot.
    pub guest: Option<At<Guest>>,
    /// The kernel. Paths are relative to the file's directory, and joined with it here.
    pub kernel: Option<At<PathBuf>>,
    /// What the default guest's kernel starts.
    pub boot: Option<At<Boot>>,
    /// The initial RAM disk.
    pub initrd: Option<At<PathBuf>>,
    /// The kernel's command line.
    pub cmdline: Option<At<String>>,
    /// A device tree.
    pub dtb: Option<At<PathBuf>>,
    /// Firmware.
    pub bios: Option<At<PathBuf>>,
    /// Number of vCPUs, 1 to 8.
    pub cpus: Option<At<u8>>,
    /// Their model.
    pub cpu: Option<At<Cpu>>,
    /// Bytes of memory, whole MiB.
    pub memory: Option<At<u64>>,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Shared directories.
    pub shares: Vec<Share>,
    /// What the network card is connected to.
    pub net: Option<At<Net>>,
    /// Ports of the guest that the host's programs reach.
    pub publish: Vec<At<Publish>>,
    /// What the serial port is connected to.
    pub serial: Option<At<Backend>>,
    /// What virtio consoles are connected to.
    pub consoles: Vec<At<Backend>>,
    /// What its watchdog does.
    pub watchdog: Option<At<Watchdog>>,
    /// What the socket device is connected to.
    pub vsock: Option<At<Vsock>>,
    /// The register interface of virtio.
    pub virtio: Option<At<Virtio>>,
    /// A core for each vCPU.
    pub cores: Option<At<Vec<At<u8>>>>,
    /// Priority on shared cores.
    pub priority: Option<At<u8>>,
    /// Budget in a period, microseconds.
    pub budget: Option<At<u32>>,
    /// The period, microseconds.
    pub period: Option<At<u32>>,
    /// After a fault.
    pub on_fault: Option<At<Policy>>,
    /// How often it is reset after faults.
    pub restarts: Option<At<u32>>,
    /// After the guest asked for a reset.
    pub on_reset: Option<At<Policy>>,
    /// After the guest switched itself off.
    pub on_poweroff: Option<At<Policy>>,
    /// Whether it starts with the board.
    pub autostart: Option<At<bool>>,
    /// Devices of the board.
    pub devices: Vec<Device>,
}

impl Vm {
    /// How many vCPUs it has.
    #[must_use]
    pub fn cpus(&self) -> u8 {
        match (&self.cpus, &self.cores) {
            (Some(cpus), _) => *cpus.get_ref(),
            // At most eight, when it was read.
            (None, Some(cores)) => cores.get_ref().len() as u8,
            (None, None) => 1,
        }
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
            .as_ref()
            .map_or(DEFAULT_MEMORY, |m| *m.get_ref())
    }

    /// What the network card is connected to.
    #[must_use]
    pub fn net(&self) -> Net {
        self.net
            .as_ref()
            .map_or_else(Net::default, |net| net.get_ref().clone())
    }

    /// The default guest that it boots, if it does.
    #[must_use]
    pub fn guest(&self) -> Option<Guest> {
        match &self.guest {
            Some(guest) => Some(*guest.get_ref()),
            None if self.kernel.is_none() && self.bios.is_none() => Some(Guest::default()),
            None => None,
        }
    }

    /// What virtio consoles are connected to.
    #[must_use]
    pub fn consoles(&self) -> Vec<Backend> {
        let consoles = self.consoles.iter();
        consoles.map(|backend| backend.get_ref().clone()).collect()
    }

    /// What the serial port is connected to.
    #[must_use]
    pub fn serial(&self) -> Backend {
        consoles::serial(self.serial.as_ref().map(At::get_ref), &self.consoles())
    }

    /// What makes its first console the kernel's.
    #[must_use]
    pub fn console_option(&self) -> String {
        format!(
            "console={}",
            consoles::main(&self.serial(), &self.consoles())
        )
    }

    /// What makes the board's console the kernel's, on a board.
    #[must_use]
    pub fn board_console_option(&self) -> &'static str {
        match self.has_virtio_terminal() {
            true => "console=hvc0",
            false => "console=ttyAMA0",
        }
    }

    /// A virtio console, rather than the serial port, is connected to standard input and output, or on a
    /// board to the board's console.
    #[must_use]
    pub fn has_virtio_terminal(&self) -> bool {
        let mut consoles = self.consoles.iter();
        consoles.any(|backend| *backend.get_ref() == Backend::Stdio)
    }
}

/// What is given, or the default.
pub(crate) fn value<T: Copy + Default>(given: &Option<At<T>>) -> T {
    given.as_ref().map_or_else(T::default, |at| *at.get_ref())
}

/// A disk of a virtual machine.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Where it is.
    pub span: Range<usize>,
    /// The image.
    pub file: Option<At<PathBuf>>,
    /// The image's format; without one, as its name tells.
    pub format: Option<At<Format>>,
    /// The guest can't write.
    pub read_only: bool,
    /// What the guest writes is lost.
    pub temporary: bool,
    /// The image may be based on another file.
    pub backing: bool,
    /// A disk of the board's.
    pub board_disk: Option<At<u8>>,
    /// Where the part of that begins, bytes.
    pub start: Option<At<u64>>,
    /// Bytes.
    pub size: Option<At<u64>>,
}

impl Disk {
    /// The format of its file, if it has one.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        let file = self.file.as_ref()?.get_ref();
        let given = self.format.as_ref().map(|format| *format.get_ref());
        Some(given.unwrap_or_else(|| Format::of_name(file)))
    }

    /// Whether the file is written.
    pub(crate) fn writes_file(&self) -> bool {
        !self.read_only && !self.temporary
    }
}

/// A shared directory.
#[derive(Clone, Debug)]
pub struct Share {
    /// The directory.
    pub directory: At<PathBuf>,
    /// Where the default guest mounts it.
    pub mount: Option<At<String>>,
    /// The guest can't write.
    pub read_only: bool,
}

/// A device of the board that a virtual machine has for itself.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its path in the board's device tree.
    pub path: At<String>,
    /// It may reach all memory.
    pub dma_trusted: bool,
}

/// `[board]`.
#[derive(Clone, Debug)]
pub struct Board {
    /// Where its title is.
    pub span: Range<usize>,
    /// A known board.
    pub name: Option<At<KnownBoard>>,
    /// The device tree.
    pub device_tree: Option<At<PathBuf>>,
    /// Bytes of RAM.
    pub memory: Option<At<u64>>,
    /// Number of cores.
    pub cores: Option<At<u8>>,
    /// Their model.
    pub cpu: Option<At<Cpu>>,
    /// The virtual machines that run on it.
    pub vms: Option<Vec<At<String>>>,
}

/// A board that needs no device tree of the user's.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBoard {
    /// QEMU's `virt` machine.
    #[default]
    Qemu,
}

/// `[core.N]`.
#[derive(Clone, Debug)]
pub struct Core {
    /// Its number.
    pub number: At<u8>,
    /// Several vCPUs take turns.
    pub shared: bool,
    /// For how long, microseconds.
    pub slice: Option<At<u32>>,
}

/// `[channel.NAME]`.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name.
    pub name: At<String>,
    /// Bytes of memory.
    pub size: At<u32>,
    /// Who has it.
    pub vms: Vec<At<String>>,
    /// Who can't write.
    pub read_only: Vec<At<String>>,
}
