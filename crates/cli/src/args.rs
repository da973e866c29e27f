//! The command line, from which help, completions and man pages are made.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use skep_vmm::Trace;
use std::ffi::OsString;
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// A hypervisor for ARMv7-A embedded systems.
///
/// Without a command, boots the default guest (Debian's armhf kernel with BusyBox) to a shell.
#[derive(Parser, Debug)]
#[command(name = "skep", version, styles = STYLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// `skep` alone is `skep run`.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Boot a virtual machine
    Run(Box<RunArgs>),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory
    Man {
        /// The directory, which must exist
        directory: PathBuf,
    },
}

const RUN_HELP: &str = "\
Keys on a terminal:
  Ctrl-A x   quit
  Ctrl-A s   print what the engine did so far; so does the signal SIGUSR1
  Ctrl-A h   help
  Ctrl-A a   send Ctrl-A

Exit status:
  0     the guest powered off, the input ended, or you quit with Ctrl-A x
  1-255 with a command after -- or on a pipe: its own status; as in a shell 126 if it can't be
        executed, 127 if it is not found, 128 + N if signal N killed it
  2     the command line is wrong
  124   the guest can't go on: a fault record was printed
  125   Skep could not start or run the virtual machine
  130   stopped by a signal, or the terminal is gone
  141   nobody reads standard output any more

A command's input and output:
  A command after -- runs in the default guest as root, in /root, with none of the host's
  environment. It reads skep's standard input unless that is a terminal. Its standard error comes
  out on standard output, too, in the order in which it wrote. What it leaves running is killed.

Examples:
  skep run                                  a shell in the default guest
  skep run -- uname -m                      one command in it
  echo 'ls /' | skep run                    its shell reads a pipe
  skep run --kernel zImage --initrd initrd.img --append console=ttyAMA0
  skep run --bios /usr/lib/u-boot/qemu_arm/u-boot.bin";

/// A virtual machine.
#[derive(Args, Debug, Clone)]
#[command(after_help = RUN_HELP)]
pub struct RunArgs {
    /// Kernel: zImage, uImage, ELF or raw image
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub initrd: Option<PathBuf>,
    /// Device tree instead of the board's own
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub dtb: Option<PathBuf>,
    /// Kernel command line [default: console=ttyAMA0 or hvc0; added to it for the default guest]
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// Which default guest, when there is no --kernel
    #[arg(long, value_name = "GUEST", default_value = "debian")]
    pub guest: Guest,
    /// Memory, with a suffix K, M or G (without one, MiB)
    #[arg(long, short, value_name = "SIZE", default_value = "512M", value_parser = parse_size)]
    pub memory: u64,
    /// Number of CPUs, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub cpus: u8,
    /// CPU model
    #[arg(long, value_name = "MODEL", default_value = "cortex-a15")]
    pub cpu: Cpu,
    /// Firmware, mapped as flash at address 0
    #[arg(long, value_name = "FILE")]
    pub bios: Option<PathBuf>,
    /// Disk: raw image file; FILE,readonly to protect it (may be repeated)
    #[arg(long, value_name = "FILE[,readonly]")]
    pub disk: Vec<OsString>,
    /// Device that the terminal is connected to
    #[arg(long, value_name = "DEVICE", default_value = "pl011")]
    pub console: Console,
    /// Another virtio console, whose output goes to a file (may be repeated)
    #[arg(long, value_name = "FILE")]
    pub console_file: Vec<PathBuf>,
    /// Register interface of virtio devices
    #[arg(long, value_name = "VERSION", default_value = "modern")]
    pub virtio: Virtio,
    /// How guest code is executed
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub engine: Engine,
    /// Print what the engine did, on standard error, at the end
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub stats: Option<StatsFormat>,
    /// List guest code in this range of virtual addresses with its translation, to a file (default:
    /// standard error)
    #[arg(long, value_name = "START..END[,FILE]", value_parser = parse_trace)]
    pub trace: Option<Trace>,
    /// Write /tmp/perf-PID.map, so that perf report names guest code
    #[arg(long)]
    pub perf_map: bool,
    /// Run this command in the default guest, print its output, and exit with its status
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["kernel", "bios"])]
    pub command: Vec<OsString>,
}

/// CPU models.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cpu {
    /// Cortex-A15
    CortexA15,
    /// Cortex-A7
    CortexA7,
}

/// Devices for the terminal.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Console {
    /// The serial port (Linux: ttyAMA0)
    Pl011,
    /// A virtio console (Linux: hvc0)
    Virtio,
}

/// Register interfaces of virtio-mmio.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Virtio {
    /// Version 2, of VIRTIO 1.0 and later
    Modern,
    /// Version 1, from before the standard, for old guests
    Legacy,
}

/// Default guests.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guest {
    /// Debian's kernel linux-image-armmp with BusyBox
    Debian,
    /// The same with linux-image-armmp-lpae: long-descriptor translation tables
    DebianLpae,
}

/// Engines.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The fastest that this host has
    Auto,
    /// The interpreter
    Interp,
    /// Translation to the host's code (x86-64 hosts)
    Jit,
}

/// Forms of statistics.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum StatsFormat {
    /// Lines for people
    #[default]
    Text,
    /// A JSON object on one line
    Json,
}

impl From<Engine> for skep_vmm::Engine {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Auto => skep_vmm::Engine::Auto,
            Engine::Interp => skep_vmm::Engine::Interp,
            Engine::Jit => skep_vmm::Engine::Jit,
        }
    }
}

/// A size such as 512M, in bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("{text:?} is not a size; write a number with K, M or G, such as 512M or 1G");
    let (digits, shift) = match text.trim_end_matches(['B', 'b', 'i']).to_ascii_uppercase() {
        upper if upper.ends_with('K') => (upper[..upper.len() - 1].to_owned(), 10),
        upper if upper.ends_with('M') => (upper[..upper.len() - 1].to_owned(), 20),
        upper if upper.ends_with('G') => (upper[..upper.len() - 1].to_owned(), 30),
        upper => (upper, 20),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    if bytes % (1 << 20) != 0 {
        return Err(format!(
            "{text:?} is not a whole number of MiB; write for instance 512M"
        ));
    }
    Ok(bytes)
}

/// A range of addresses in hexadecimal, and a file: `0xc0008000..0xc0009000,trace.txt`.
pub fn parse_trace(text: &str) -> Result<Trace, String> {
    let (range, file) = match text.split_once(',') {
        Some((range, file)) => (range, Some(PathBuf::from(file))),
        None => (text, None),
    };
    let wrong = || {
        format!(
            "{range:?} is not a range of addresses; write for instance 0xc0008000..0xc0009000, in \
             hexadecimal, the end excluded, at most 0x100000000"
        )
    };
    let number = |text: &str| {
        let digits = text.trim_start_matches("0x");
        u64::from_str_radix(digits, 16).map_err(|_| wrong())
    };
    let (start, end) = range.split_once("..").ok_or_else(wrong)?;
    let range = number(start)?..number(end)?;
    if range.is_empty() || range.end > 1 << 32 {
        return Err(wrong());
    }
    if file
        .as_ref()
        .is_some_and(|file| file.as_os_str().is_empty())
    {
        return Err("the file's name is missing; leave the comma out for standard error".into());
    }
    Ok(Trace { range, file })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges_to_trace() {
        let trace = parse_trace("0xc0008000..c0009000,a,b").expect("a range");
        assert_eq!(trace.range, 0xc000_8000..0xc000_9000);
        assert_eq!(trace.file, Some("a,b".into()));
        let all = parse_trace("0..0x100000000").expect("a range");
        assert_eq!((all.range, all.file), (0..1 << 32, None));
        for wrong in [
            "",
            "..",
            "0..0",
            "1..",
            "5..4",
            "0..0x100000001",
            "x..y",
            "0..-1",
            "0..1,",
            "1",
            "é..ö",
        ] {
            assert!(parse_trace(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("512M"), Ok(512 << 20));
        assert_eq!(parse_size("512"), Ok(512 << 20));
        assert_eq!(parse_size("1g"), Ok(1 << 30));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("2048K"), Ok(2 << 20));
        for wrong in ["", "M", "-1M", "1.5G", "x", "1k", "99999999999G", "é"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?}");
        }
    }
}
