//! The command line, from which help, completions and man pages are made.

use crate::image::ImageCommand;
use crate::run::files::disk;
use crate::run::shares;
use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use skep_config::FILE;
use skep_config::consoles::{Backend, parse_backend};
use skep_config::net::{Net, Publish, parse_net, parse_publish};
use skep_config::value::parse_memory;
use skep_config::vsock::{Vsock, parse_vsock};
use skep_vmm::{Disk, Trace};
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
    Run(Box<RunCommand>),
    /// Tell what is wrong with a configuration file
    Check {
        /// The file
        #[arg(default_value = FILE)]
        file: PathBuf,
        /// As JSON, on one line
        #[arg(long)]
        json: bool,
    },
    /// Write a configuration file to begin with
    Init {
        /// The file, which must not exist
        #[arg(default_value = FILE)]
        file: PathBuf,
    },
    /// Look at a configuration file
    Config {
        /// What to do with it
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Pack the virtual machines of a configuration file and the bare-metal hypervisor into one
    /// bootable image
    #[command(after_help = BUNDLE_HELP)]
    Bundle {
        /// The configuration file
        #[arg(default_value = FILE)]
        file: PathBuf,
        /// The image to write
        #[arg(long, short, value_name = "IMAGE", default_value = "skep.img")]
        output: PathBuf,
        /// Tell what is in it as JSON, on one line
        #[arg(long)]
        json: bool,
        /// The bare-metal hypervisor's own image
        #[command(flatten)]
        hypervisor: HypervisorArgs,
    },
    /// Boot the image that bundle makes, on a board that QEMU emulates
    #[command(after_help = EMULATE_HELP)]
    Emulate {
        /// The configuration file
        #[arg(default_value = FILE)]
        file: PathBuf,
        /// The bare-metal hypervisor's own image
        #[command(flatten)]
        hypervisor: HypervisorArgs,
        /// A raw disk image that the board has as its next disk: the first one is `board-disk = 0` of
        /// the configuration file. What the machines write is written there
        #[arg(long, value_name = "FILE")]
        board_disk: Vec<PathBuf>,
        /// Further arguments for QEMU
        #[arg(last = true, value_name = "ARGUMENT")]
        qemu: Vec<OsString>,
    },
    /// Make disk images, and look at them
    Image {
        /// What to do with them
        #[command(subcommand)]
        command: ImageCommand,
    },
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

/// What to do with a configuration file.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Print what it comes to, with every default filled in
    Show {
        /// One virtual machine of it
        name: Option<String>,
        /// The file
        #[arg(long, value_name = "FILE", default_value = FILE)]
        config: PathBuf,
        /// As JSON, on one line
        #[arg(long)]
        json: bool,
    },
}

/// Where the bare-metal hypervisor is.
#[derive(Args, Debug)]
pub struct HypervisorArgs {
    /// The bare-metal hypervisor's own image, which cargo xtask hyp builds [default: skep-hyp.img
    /// where it is found]
    #[arg(long, value_name = "IMAGE", env = "SKEP_HYPERVISOR")]
    pub hypervisor: Option<PathBuf>,
}

const BUNDLE_HELP: &str = "\
Where the hypervisor's image is looked for:
  skep-hyp.img beside skep, in ../lib/skep and (in a clone of Skep's repository) ../hyp, seen from
  there, and in skep in $XDG_DATA_HOME (~/.local/share).

Example:
  skep bundle -o skep.img
  qemu-system-arm -M virt,virtualization=on -cpu cortex-a15 -smp 2 -m 1G -nographic -kernel skep.img";

const EMULATE_HELP: &str = "\
Keys on a terminal:
  Ctrl-A x       quit
  Ctrl-A 0 to 9  console of that virtual machine
  Ctrl-A n       console of the next
  Ctrl-A h       the hypervisor's shell
  Ctrl-A ?       all keys of the hypervisor's console
  Ctrl-A a       send Ctrl-A

Exit status:
  0    all virtual machines are off, or you quit with Ctrl-A x
  2    the command line is wrong
  125  the board could not be started, or QEMU failed
  130  stopped by a signal, or the terminal is gone";

const RUN_HELP: &str = "\
Keys on a terminal:
  Ctrl-A x   quit
  Ctrl-A p   press the power key; so does the signal SIGPWR
  Ctrl-A s   print what the engine did so far; so does the signal SIGUSR1
  Ctrl-A h   help
  Ctrl-A a   send Ctrl-A

Exit status:
  0     the guest powered off, the input ended, or you quit with Ctrl-A x
  1-255 with a command after -- or on a pipe: its own status; as in a shell 126 if it can't be
        executed, 127 if it is not found, 128 + N if signal N killed it
  2     the command line is wrong
  124   the guest can't go on: a fault record was printed, or its watchdog ended it
  125   Skep could not start or run the virtual machine
  130   stopped by a signal, or the terminal is gone
  141   nobody reads standard output any more

A command's input and output:
  A command after -- runs in the default guest as root, in /root or a shared directory, with none
  of the host's environment. It reads skep's standard input unless that is a terminal. Its standard
  error comes out on standard output, too, in the order in which it wrote. What it leaves running
  is killed.

With a disk:
  The default guest starts the system on the first disk, if its file system is labelled skep-root,
  as that of skep image build is. It is a guest like any other then: a pipe is its console's. A
  command after --, or --boot shell, starts the default guest itself, which has the disk as
  /dev/vda.
  --boot disk starts the system on any disk or partition; --append root=/dev/vda2 says on which.

Options of a disk:
  readonly       the guest can't write to it
  temporary      what the guest writes is lost at the end; the file stays as it is
  format=FORMAT  raw or qcow2; without it, qcow2 if the name ends in .qcow2, and raw otherwise
  backing=allow  a qcow2 image may be based on another file, which it names: trust it first
  A comma in the name of a disk, a shared directory or a network is written twice: --disk a,,b.img.

Consoles:
  stdio                standard input and output
  null                 nothing
  file=PATH[,append]   output to a file, which is emptied at first
  socket=PATH          a Unix socket that clients connect to, one at a time
  pty[=LINK]           a terminal of the host's, whose name is printed, with a link to it
  The kernel's console is the one on stdio. The default guest has a shell, and a system on a disk a
  login prompt, on each other one with a socket or pty.

With a NAME:
  The virtual machine is [vm.NAME] of the configuration file. Options are stronger than the file,
  but for --append, --disk, --publish, --share and --console, which are added to what it has.

Examples:
  skep run                                  a shell in the default guest
  skep run demo                             the virtual machine demo of skep.toml
  skep run -- uname -m                      one command in it
  skep run --disk disk.qcow2                a system that skep image build made
  echo 'ls /' | skep run                    its shell reads a pipe
  skep run --share . -- ./test              a program of this directory, in it
  skep run --console pty                    a second shell, at a terminal of the host's
  skep run --publish 8080:80                localhost:8080 is port 80 of the guest
  skep run --kernel zImage --initrd initrd.img --append console=ttyAMA0
  skep run --bios /usr/lib/u-boot/qemu_arm/u-boot.bin";

/// `skep run`.
#[derive(Args, Debug, Clone)]
#[command(after_help = RUN_HELP)]
pub struct RunCommand {
    /// A virtual machine of the configuration file
    pub name: Option<String>,
    /// The configuration file of NAME, or whose only virtual machine is meant [default: skep.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Everything else.
    #[command(flatten)]
    pub run: RunArgs,
}

/// A virtual machine.
#[derive(Args, Debug, Clone, Default)]
#[command(after_help = RUN_HELP)]
pub struct RunArgs {
    /// Kernel: zImage, uImage, ELF or raw image
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Initial RAM disk, with a kernel
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Device tree instead of the board's own, with a kernel
    #[arg(long, value_name = "FILE")]
    pub dtb: Option<PathBuf>,
    /// Kernel command line [default: console=ttyAMA0 or hvc0; added to it for the default guest]
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// Which default guest, when there is no kernel [default: debian]
    #[arg(long, value_name = "GUEST")]
    pub guest: Option<Guest>,
    /// What the default guest starts: the system on a disk, or its own shell [default: disk, if the
    /// first disk's file system is labelled skep-root]
    #[arg(long, value_name = "WHAT")]
    pub boot: Option<Boot>,
    /// Memory, with a suffix K, M or G (without one, MiB) [default: 512M]
    #[arg(long, short, value_name = "SIZE", value_parser = parse_memory)]
    pub memory: Option<u64>,
    /// Number of CPUs, 1 to 8 [default: 1]
    #[arg(long, value_name = "N", value_parser = parse_cpus)]
    pub cpus: Option<u8>,
    /// CPU model [default: cortex-a15]
    #[arg(long, value_name = "MODEL")]
    pub cpu: Option<Cpu>,
    /// Firmware, mapped as flash at address 0
    #[arg(long, value_name = "FILE")]
    pub bios: Option<PathBuf>,
    /// Disk: a raw or qcow2 image, or a block device (may be repeated)
    #[arg(long, value_name = "FILE[,OPTION...]", value_parser = OsStringValueParser::new().try_map(|text| disk(&text)))]
    pub disk: Vec<Disk>,
    /// Directory to share with the guest; ,ro to protect it. The default guest mounts it at
    /// GUESTDIR [default: /mnt/NAME, as it is called], and starts there if it is the only one
    /// without GUESTDIR (may be repeated)
    #[arg(long, value_name = "HOSTDIR[:GUESTDIR][,ro]",
        value_parser = OsStringValueParser::new().try_map(shares::parse))]
    pub share: Vec<shares::Share>,
    /// Network: user[,restrict][,dns=ADDRESS], none, tap=NAME or socket=DIRECTORY [default: user]
    #[arg(long, value_name = "NETWORK", value_parser = parse_net)]
    pub net: Option<Net>,
    /// Port of the guest that the host's programs reach: [ADDRESS:]HOSTPORT:GUESTPORT[/udp], at
    /// 127.0.0.1 without an address (may be repeated)
    #[arg(long, value_name = "PORTS", value_parser = parse_publish)]
    pub publish: Vec<Publish>,
    /// What the serial port (Linux: ttyAMA0) is connected to: stdio, null, file=PATH[,append],
    /// socket=PATH or pty[=LINK] [default: stdio, or null if a console has that]
    #[arg(long, value_name = "BACKEND", value_parser = parse_backend)]
    pub serial: Option<Backend>,
    /// A virtio console (Linux: hvc0 and so on), and what it is connected to, as with --serial (may
    /// be repeated)
    #[arg(long, value_name = "BACKEND", value_parser = parse_backend)]
    pub console: Vec<Backend>,
    /// What becomes of a guest that does not feed its watchdog [default: reset]
    #[arg(long, value_name = "WHAT")]
    pub watchdog: Option<Watchdog>,
    /// Socket by which the host's programs reach the guest's, over vsock; those of the guest reach
    /// PATH_PORT [default CID: 3]
    #[arg(long, value_name = "PATH[,cid=N]",
        value_parser = OsStringValueParser::new().try_map(|text| parse_vsock(&text)))]
    pub vsock: Option<Vsock>,
    /// Register interface of virtio devices [default: modern]
    #[arg(long, value_name = "VERSION")]
    pub virtio: Option<Virtio>,
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
    /// Leave the VM's process all that you may do: the files, connections and programs of the host
    #[arg(long)]
    pub no_sandbox: bool,
    /// Run this command in the default guest, print its output, and exit with its status
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// What the default guest starts.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boot {
    /// The system on a disk: on the first with one, or as root= of --append names it
    Disk,
    /// A shell of its own
    Shell,
}

/// CPU models.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cpu {
    /// Cortex-A15
    CortexA15,
    /// Cortex-A7
    CortexA7,
}

/// What becomes of a guest that does not feed its watchdog.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watchdog {
    /// It is reset
    Reset,
    /// The virtual machine ends, with status 124
    #[value(name = "poweroff")]
    PowerOff,
    /// It has no watchdog
    None,
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
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Engine {
    /// The fastest that this host has
    #[default]
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

/// The configuration file's names for the same.
macro_rules! same {
    ($($name:ident: $($variant:ident)*;)*) => {
        $(impl From<$name> for skep_config::model::$name {
            fn from(name: $name) -> Self {
                match name {
                    $($name::$variant => Self::$variant,)*
                }
            }
        })*
    };
}

same! {
    Cpu: CortexA15 CortexA7;
    Watchdog: Reset PowerOff None;
    Virtio: Modern Legacy;
    Guest: Debian DebianLpae;
    Boot: Disk Shell;
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

/// A number of CPUs.
fn parse_cpus(text: &str) -> Result<u8, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=8).contains(number))
        .ok_or_else(|| format!("{text:?} is no number of CPUs; write 1 to 8"))
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

    /// clap wraps longer lines of a text that has lines of its own.
    #[test]
    fn help_has_lines_that_fit() {
        fn look(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string);
            for line in help.unwrap_or_default().lines() {
                assert!(line.chars().count() <= 100, "{line}");
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
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
}
