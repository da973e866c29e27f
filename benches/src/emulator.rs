//! The commands that boot a guest under QEMU and under Skep.

use crate::Failure;
use object::read::elf::{ElfFile32, ProgramHeader};
use object::{Endianness, Object};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Memory of the guest, MiB.
const MEMORY: u32 = 512;

/// The board's RAM begins here.
const RAM: u64 = 0x4000_0000;

/// Where QEMU puts a raw image, from the start of RAM.
const RAW: u64 = 0x1_0000;

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Emulator<'a> {
    /// `qemu-system-arm`.
    Qemu,
    /// Skep.
    Skep {
        /// Its binary.
        binary: &'a Path,
        /// The engine's name.
        engine: &'a str,
        /// Whether it prints what the engine did, on standard error.
        stats: bool,
    },
}

/// What is booted.
pub struct Guest<'a> {
    /// The kernel, or a bare-metal guest.
    pub kernel: &'a Path,
    /// The archive.
    pub initrd: Option<&'a Path>,
    /// Further words of the kernel's command line, which init gets as its environment.
    pub environment: &'a str,
}

impl Emulator<'_> {
    /// The command that runs a guest.
    pub fn command(self, guest: &Guest) -> Command {
        let append = format!("console=ttyAMA0 quiet {}", guest.environment);
        let mut command = match self {
            Emulator::Qemu => {
                let mut command = Command::new("qemu-system-arm");
                command.args(["-M", "virt", "-cpu", "cortex-a15", "-nographic"]);
                command.args(["-m", &MEMORY.to_string()]);
                command.arg("-kernel").arg(guest.kernel);
                command
            }
            Emulator::Skep {
                binary,
                engine,
                stats,
            } => {
                let mut command = Command::new(binary);
                // QEMU's machine has no network card here either.
                command.args(["run", "--engine", engine, "--net", "none"]);
                command.args(["--memory", &format!("{MEMORY}M")]);
                command.args(stats.then_some("--stats"));
                command.arg("--kernel").arg(guest.kernel);
                command
            }
        };
        let dash = match self {
            Emulator::Qemu => "-",
            Emulator::Skep { .. } => "--",
        };
        if let Some(initrd) = guest.initrd {
            command.arg(format!("{dash}initrd")).arg(initrd);
            command.arg(format!("{dash}append")).arg(append);
        }
        command
    }
}

/// An unpacked kernel, for both.
pub struct Unpacked {
    /// For Skep: an ELF file.
    pub elf: PathBuf,
    /// For QEMU, which gives an ELF file no device tree: a raw image.
    pub raw: PathBuf,
}

impl Unpacked {
    /// Makes the raw image: a branch to the kernel, which is where it belongs. `None` if the kernel
    /// is not an ELF file of one segment behind the place of raw images.
    pub fn new(elf: &Path, directory: &Path) -> Result<Option<Self>, Failure> {
        let contents = std::fs::read(elf).map_err(|error| format!("{}: {error}", elf.display()))?;
        let Some(image) = raw_image(&contents) else {
            return Ok(None);
        };
        let raw = directory.join("kernel.raw");
        std::fs::write(&raw, image).map_err(|error| error.to_string())?;
        Ok(Some(Unpacked {
            elf: elf.into(),
            raw,
        }))
    }
}

fn raw_image(elf: &[u8]) -> Option<Vec<u8>> {
    let file = ElfFile32::<Endianness>::parse(elf).ok()?;
    let [segment] = file.elf_program_headers() else {
        return None;
    };
    let address = u64::from(segment.p_paddr(file.endian()));
    let kernel = segment.data(file.endian(), elf).ok()?;
    let offset = address.checked_sub(RAM + RAW)?;
    // A branch, relative to two instructions ahead (manual A8.8.18).
    let branch = u32::try_from(file.entry().checked_sub(RAM + RAW + 8)?).ok()? >> 2;
    if offset < 4 || branch >= 1 << 23 {
        return None;
    }
    let mut image = (0xea00_0000 | branch).to_le_bytes().to_vec();
    image.resize(offset as usize, 0);
    image.extend(kernel);
    Some(image)
}
