//! The machine that is run: what the command line says, and what a configuration file says that it
//! does not.

use super::root;
use super::shares::{self, Share};
use crate::args::RunArgs;
use crate::usage::refuse;
use skep_config::consoles::{self, Backend};
use skep_config::model::{At, Boot, Cpu, DEFAULT_MEMORY, Guest, Virtio, Vm, Watchdog};
use skep_config::net::{Net, Publish};
use skep_config::vsock::Vsock;
use skep_vmm::{Access, Disk};
use std::ffi::OsString;
use std::path::PathBuf;

/// A machine.
pub struct Machine {
    pub kernel: Option<PathBuf>,
    pub initrd: Option<PathBuf>,
    pub dtb: Option<PathBuf>,
    pub bios: Option<PathBuf>,
    pub guest: Guest,
    pub boot: Option<Boot>,
    /// The command line, or for the default guest what is added to it.
    pub append: Option<String>,
    /// Bytes.
    pub memory: u64,
    pub cpus: u8,
    pub cpu: Cpu,
    pub disks: Vec<Disk>,
    pub shares: Vec<Share>,
    pub net: Net,
    pub publish: Vec<Publish>,
    pub serial: Backend,
    pub consoles: Vec<Backend>,
    pub watchdog: Watchdog,
    pub vsock: Option<Vsock>,
    pub virtio: Virtio,
    pub command: Vec<OsString>,
}

impl Machine {
    /// The command line's machine, with what it leaves open as the file has it.
    pub fn new(args: &RunArgs, vm: Option<&Vm>) -> Self {
        let path = |given: &Option<PathBuf>, key: fn(&Vm) -> &Option<At<PathBuf>>| {
            // Another guest brings other files.
            let vm = vm.filter(|_| args.guest.is_none());
            let of_file = vm.and_then(|vm| key(vm).as_ref());
            given.clone().or(of_file.map(|path| path.get_ref().clone()))
        };
        let in_file = vm.and_then(|vm| vm.cmdline.as_ref()).map(At::get_ref);
        let append: Vec<&str> = in_file
            .into_iter()
            .chain(&args.append)
            .map(String::as_str)
            .collect();
        let disks_of_file = vm.into_iter().flat_map(|vm| &vm.disks).filter_map(|disk| {
            Some(Disk {
                path: disk.file.as_ref()?.get_ref().clone(),
                format: disk.format.as_ref().map(|format| *format.get_ref()),
                access: match disk.temporary {
                    true => Access::Temporary,
                    false if disk.read_only => Access::ReadOnly,
                    false => Access::Write,
                },
                backing: disk.backing,
            })
        });
        let shares_of_file = vm.into_iter().flat_map(|vm| &vm.shares).map(|share| Share {
            directory: share.directory.get_ref().clone(),
            mount: share.mount.as_ref().map(|mount| mount.get_ref().clone()),
            read_only: share.read_only,
        });
        let consoles_of_file = vm.into_iter().flat_map(Vm::consoles);
        let consoles: Vec<Backend> = consoles_of_file.chain(args.console.clone()).collect();
        let serial = vm.and_then(|vm| vm.serial.as_ref()).map(At::get_ref);
        let serial = args.serial.as_ref().or(serial);
        Machine {
            kernel: path(&args.kernel, |vm| &vm.kernel),
            initrd: path(&args.initrd, |vm| &vm.initrd),
            dtb: path(&args.dtb, |vm| &vm.dtb),
            bios: path(&args.bios, |vm| &vm.bios),
            guest: either(args.guest, vm, |vm| &vm.guest),
            boot: args
                .boot
                .map(Into::into)
                .or(vm.and_then(|vm| vm.boot.as_ref().map(|boot| *boot.get_ref()))),
            append: (!append.is_empty()).then(|| append.join(" ")),
            memory: args.memory.or(vm.map(Vm::memory)).unwrap_or(DEFAULT_MEMORY),
            cpus: args.cpus.or(vm.map(Vm::cpus)).unwrap_or(1),
            cpu: either(args.cpu, vm, |vm| &vm.cpu),
            disks: disks_of_file.chain(args.disk.iter().cloned()).collect(),
            shares: shares_of_file.chain(args.share.iter().cloned()).collect(),
            net: (args.net.clone()).or(vm.map(Vm::net)).unwrap_or_default(),
            publish: vm
                .into_iter()
                .flat_map(|vm| &vm.publish)
                .map(At::get_ref)
                .chain(&args.publish)
                .copied()
                .collect(),
            serial: consoles::serial(serial, &consoles),
            consoles,
            watchdog: either(args.watchdog, vm, |vm| &vm.watchdog),
            vsock: (args.vsock.clone())
                .or_else(|| vm?.vsock.as_ref().map(|vsock| vsock.get_ref().clone())),
            virtio: either(args.virtio, vm, |vm| &vm.virtio),
            command: args.command.clone(),
        }
    }

    /// Whether the default guest is booted.
    pub fn has_default_guest(&self) -> bool {
        self.kernel.is_none() && self.bios.is_none()
    }

    /// Whether the default guest starts the system on a disk, in place of its own shell.
    pub fn boots_disk(&self) -> bool {
        self.has_default_guest()
            && match self.boot {
                Some(boot) => boot == Boot::Disk,
                None => {
                    self.command.is_empty()
                        && self.disks.first().is_some_and(root::has_root_file_system)
                }
            }
    }

    /// Ends the program if options contradict each other: clap can't know what a file has.
    pub fn check_usage(&self) {
        for (option, path) in [("--initrd", &self.initrd), ("--dtb", &self.dtb)] {
            if path.is_some() && self.kernel.is_none() {
                refuse(&format!("{option} needs a kernel: add --kernel FILE"));
            }
        }
        if let Some(place) = shares::collision(&self.shares)
            && self.has_default_guest()
        {
            refuse(&format!(
                "two shared directories can't both be mounted at {place}: give one another place"
            ));
        }
        if self.shares.iter().any(|share| share.mount.is_some()) && !self.has_default_guest() {
            refuse(
                "only the default guest mounts a shared directory by itself; leave its place out, and \
                 let your guest mount it: mount -t virtiofs NAME PLACE, with the directory's name",
            );
        }
        if !self.publish.is_empty() && !matches!(self.net, Net::User { .. }) {
            refuse(
                "ports are published from the user-mode network only: remove --publish, or use --net \
                 user",
            );
        }
        if self.terminals() > 1 {
            refuse(
                "two consoles can't both be connected to standard input and output: leave stdio to one of \
                 them, and connect the other to a socket or a pty",
            );
        }
        if !self.command.is_empty() && !self.has_terminal() {
            refuse(
                "a command after -- prints on standard output, and no console is connected to it: leave \
                 --serial out, or add --console stdio",
            );
        }
        if self.boot == Some(Boot::Disk) {
            if !self.command.is_empty() {
                refuse(
                    "a command after -- runs in the default guest itself, not in the system on a \
                     disk: leave --boot disk out, or log in to the system",
                );
            }
            if self.disks.is_empty() {
                refuse("--boot disk needs a disk: add --disk FILE");
            }
        }
        if self.boot.is_some() && !self.has_default_guest() {
            refuse(
                "--boot says what the default guest starts, which a kernel or firmware of your own \
                 takes the place of: leave one out",
            );
        }
        if !self.command.is_empty() && !self.has_default_guest() {
            refuse(
                "a command after -- runs in the default guest, which a kernel or firmware of your \
                 own takes the place of: leave one out",
            );
        }
    }

    /// What makes the machine's first console the kernel's.
    pub fn console_option(&self) -> String {
        format!("console={}", consoles::main(&self.serial, &self.consoles))
    }

    /// How many consoles have standard input and output.
    fn terminals(&self) -> usize {
        let consoles = std::iter::once(&self.serial).chain(&self.consoles);
        consoles
            .filter(|backend| **backend == Backend::Stdio)
            .count()
    }

    /// Whether a console has standard input and output.
    pub fn has_terminal(&self) -> bool {
        self.terminals() > 0
    }

    /// What Linux calls the consoles at which somebody may type, but for the first.
    pub fn other_consoles(&self) -> Vec<String> {
        consoles::others(&self.serial, &self.consoles)
    }
}

/// The option, or what the file has, or the default.
fn either<A: Into<T>, T: Copy + Default>(
    given: Option<A>,
    vm: Option<&Vm>,
    key: fn(&Vm) -> &Option<At<T>>,
) -> T {
    let in_file = vm.and_then(|vm| key(vm).as_ref().map(|value| *value.get_ref()));
    given.map(Into::into).or(in_file).unwrap_or_default()
}

/// The keys of a file that the command line takes the place of.
pub fn overridden(args: &RunArgs) -> Vec<&'static str> {
    let given = [
        ("kernel", args.kernel.is_some()),
        ("initrd", args.initrd.is_some()),
        ("dtb", args.dtb.is_some()),
        ("bios", args.bios.is_some()),
    ];
    given
        .into_iter()
        .filter(|(_, given)| *given || args.guest.is_some())
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;
    use skep_config::Document;
    use std::path::Path;

    fn machine(file: &str, args: &[&str]) -> Machine {
        let document = Document::new(Path::new("dir/skep.toml"), file.into());
        assert_eq!(document.render(false), "");
        let cli = Cli::parse_from([&["skep"], args].concat());
        Machine::new(&cli.run, document.config.vm("one"))
    }

    const FILE: &str = "[vm.one]\nkernel = 'zImage'\ninitrd = 'initrd'\nmemory = '64M'\ncpus = 2\n\
        cpu = 'cortex-a7'\ncmdline = 'quiet'\ndisks = ['a', { file = '/b', readonly = true }]\n\
        consoles = ['stdio', 'file=log']\nwatchdog = 'poweroff'\nvirtio = 'legacy'\nnet = 'user,restrict'\n\
        publish = ['8080:80']";

    #[test]
    fn the_file_says_it_all() {
        let machine = machine(FILE, &[]);
        assert_eq!(machine.kernel, Some("dir/zImage".into()));
        assert_eq!(machine.initrd, Some("dir/initrd".into()));
        assert_eq!((machine.memory, machine.cpus), (64 << 20, 2));
        assert_eq!(machine.append.as_deref(), Some("quiet"));
        let disks = machine.disks.iter();
        let disks: Vec<_> = disks
            .map(|disk| (disk.path.to_str(), disk.access))
            .collect();
        assert_eq!(
            disks,
            [
                (Some("dir/a"), Access::Write),
                (Some("/b"), Access::ReadOnly)
            ]
        );
        let log = Backend::File {
            path: "dir/log".into(),
            append: false,
        };
        assert_eq!(machine.serial, Backend::Null);
        assert_eq!(machine.consoles, [Backend::Stdio, log]);
        assert_eq!(machine.console_option(), "console=hvc0");
        assert_eq!(
            (machine.cpu, machine.virtio, machine.watchdog),
            (Cpu::CortexA7, Virtio::Legacy, Watchdog::PowerOff)
        );
        assert!(!machine.has_default_guest());
        let restrict = true;
        assert_eq!(
            machine.net,
            Net::User {
                restrict,
                dns: None
            }
        );
        assert_eq!(machine.publish.len(), 1);
    }

    #[test]
    fn options_are_stronger() {
        let machine = machine(
            FILE,
            &[
                "--kernel",
                "other",
                "--memory",
                "1G",
                "--cpus",
                "1",
                "--cpu",
                "cortex-a15",
                "--append",
                "debug",
                "--disk",
                "c",
                "--serial",
                "socket=x",
                "--virtio",
                "modern",
                "--console",
                "pty",
                "--net",
                "user",
                "--publish",
                "5353:53/udp",
            ],
        );
        assert_eq!(machine.kernel, Some("other".into()));
        assert_eq!(machine.initrd, Some("dir/initrd".into()));
        assert_eq!((machine.memory, machine.cpus), (1 << 30, 1));
        assert_eq!(machine.append.as_deref(), Some("quiet debug"));
        assert_eq!(machine.disks.len(), 3);
        assert_eq!(machine.consoles.len(), 3);
        assert_eq!(machine.consoles[2], Backend::Pty(None));
        assert_eq!(machine.serial, Backend::Socket("x".into()));
        assert_eq!(machine.other_consoles(), ["ttyAMA0", "hvc2"]);
        assert_eq!(machine.net, Net::default());
        let ports: Vec<_> = machine.publish.iter().map(|port| port.guest).collect();
        assert_eq!(ports, [80, 53]);
        assert_eq!(
            (machine.cpu, machine.virtio),
            (Cpu::CortexA15, Virtio::Modern)
        );
    }

    #[test]
    fn shares_of_options_are_added_to_those_of_the_file() {
        let file = "[vm.one]\nshares = ['a', { directory = '/b', mount = '/c', readonly = true }]";
        let machine = machine(file, &["--share", "d:/e,ro"]);
        let shares: Vec<_> = machine
            .shares
            .iter()
            .map(|share| {
                (
                    share.directory.to_str(),
                    share.mount.as_deref(),
                    share.read_only,
                )
            })
            .collect();
        let expected = [
            (Some("dir/a"), None, false),
            (Some("/b"), Some("/c"), true),
            (Some("d"), Some("/e"), true),
        ];
        assert_eq!(shares, expected);
    }

    #[test]
    fn another_guest_has_its_own_files() {
        let machine = machine(FILE, &["--guest", "debian-lpae"]);
        assert!(machine.has_default_guest());
        assert_eq!((machine.guest, machine.initrd), (Guest::DebianLpae, None));
    }

    #[test]
    fn private_networks_are_beside_the_file() {
        let machine = machine("[vm.one]\nnet = 'socket=net'", &[]);
        assert_eq!(machine.net, Net::Socket("dir/net".into()));
    }

    #[test]
    fn without_file_and_options() {
        let cli = Cli::parse_from(["skep"]);
        let machine = Machine::new(&cli.run, None);
        assert_eq!((machine.memory, machine.cpus), (512 << 20, 1));
        assert!(machine.has_default_guest() && machine.append.is_none());
    }
}
