//! What to boot: the user's files, or the default guest.

use crate::Error;
use crate::run::files;
use crate::run::machine::Machine;
use crate::run::net;
use crate::run::progress::Bar;
use crate::run::shares;
use crate::run::terminal;
use skep_config::model::{Guest, Watchdog};
use skep_config::net::Net;
use skep_image::{CommandOutput, Flavour, Options, Progress};
use skep_vmm::{Contents, VmHandle};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A guest, and how its serial port is connected.
pub struct Session {
    pub kernel: Option<Contents>,
    pub initrd: Option<Contents>,
    pub dtb: Option<Contents>,
    pub command_line: String,
    /// A command runs in the guest (the shell, for a pipe): only its output is shown, and its
    /// status is Skep's.
    pub command: Option<CommandOutput>,
    /// Turns bytes of standard input into what the guest is sent.
    pub encode: fn(&[u8]) -> Vec<u8>,
    /// What happens at the end of standard input.
    pub at_end: fn(&VmHandle),
}

/// With less, the default guest's kernel has no room for its initial RAM disk.
const LEAST_MEMORY: u64 = 64 << 20;

/// Decides what to boot.
pub fn choose(machine: &Machine) -> Result<Session, Error> {
    let read = |path: &Option<std::path::PathBuf>, what| {
        path.as_deref()
            .map(|path| files::read(path, what))
            .transpose()
    };
    if machine.has_default_guest() {
        return default_guest(machine);
    }
    Ok(Session {
        kernel: read(&machine.kernel, "kernel")?,
        initrd: read(&machine.initrd, "initial RAM disk")?,
        dtb: read(&machine.dtb, "device tree")?,
        command_line: machine
            .append
            .clone()
            .unwrap_or_else(|| machine.console_option()),
        command: None,
        encode: <[u8]>::to_vec,
        at_end: end_of_plain_input,
    })
}

/// The default guest's files, fetched if need be.
pub fn ensure(guest: Guest) -> Result<skep_image::Guest, Error> {
    ensure_with(guest, &Bar::new())
}

/// The same, with progress shown in another way.
pub fn ensure_with(guest: Guest, progress: &dyn Progress) -> Result<skep_image::Guest, Error> {
    let options = Options {
        flavour: match guest {
            Guest::Debian => Flavour::Armmp,
            Guest::DebianLpae => Flavour::ArmmpLpae,
        },
        ..Options::default()
    };
    Ok(skep_image::ensure(&options, progress)?)
}

/// The devices of the default guest that it needs modules for.
#[derive(Clone, Copy, Default)]
pub struct Devices {
    pub consoles: bool,
    pub disks: bool,
    pub network: bool,
    pub vsock: bool,
    pub shares: bool,
    /// Those that every VM on a PC has: the entropy source and the balloon.
    pub hosted: bool,
    /// The power key, for a system that listens to it.
    pub power_key: bool,
    /// The watchdog, for a system that feeds it.
    pub watchdog: bool,
}

impl Devices {
    /// Their modules.
    pub fn modules(self) -> Vec<&'static str> {
        let modules = [
            ("virtio_rng", self.hosted),
            ("virtio_balloon", self.hosted),
            ("virtio_console", self.consoles),
            ("virtio_net", self.network),
            ("virtio_blk", self.disks),
            ("vmw_vsock_virtio_transport", self.vsock),
            ("virtiofs", self.shares),
            ("evdev", self.power_key),
            ("sp805_wdt", self.watchdog),
        ];
        let wanted = modules.into_iter().filter(|(_, wanted)| *wanted);
        wanted.map(|(module, _)| module).collect()
    }
}

/// The default guest's command line. `console` makes the terminal its console.
pub fn command_line(console: &str, devices: Devices) -> String {
    let modules = devices.modules();
    // The tests of the kernel's ciphers would take more time than all the rest of the boot.
    let fixed = format!("{console} cryptomgr.notests");
    if modules.is_empty() {
        fixed
    } else {
        format!("{fixed} skep.modules={}", modules.join(","))
    }
}

fn default_guest(machine: &Machine) -> Result<Session, Error> {
    if machine.memory < LEAST_MEMORY {
        return Err(format!(
            "the default guest needs more than {} of memory; give it --memory 512M, or at least {}M",
            mib(machine.memory),
            LEAST_MEMORY >> 20
        )
        .into());
    }
    let guest = ensure(machine.guest)?;
    let kernel = files::read(&guest.boot, "kernel")?;
    let mut initrd = files::read(&guest.initrd, "initial RAM disk")?;

    let boots_disk = machine.boots_disk();
    let devices = Devices {
        consoles: !machine.consoles.is_empty(),
        disks: !machine.disks.is_empty(),
        network: machine.net != Net::None,
        vsock: machine.vsock.is_some(),
        shares: !machine.shares.is_empty(),
        hosted: true,
        power_key: boots_disk,
        watchdog: boots_disk && machine.watchdog != Watchdog::None,
    };
    let mut command_line = vec![command_line(&machine.console_option(), devices)];
    command_line.extend(net::guest_option(&machine.net));
    let mounts = shares::mounts(&machine.shares);
    if boots_disk {
        initrd.append(&skep_image::boot_overlay(&mounts)?);
    } else if !mounts.is_empty() {
        let start = shares::start(&machine.shares);
        initrd.append(&skep_image::mount_overlay(&mounts, start.as_deref()));
    }
    command_line.extend(console_options(machine, boots_disk));
    // A pipe is read by a shell, as if that were the command.
    let piped = machine.has_terminal() && !std::io::stdin().is_terminal();
    let shell = [OsString::from("sh")];
    let argv = match machine.command.as_slice() {
        [] if piped && !boots_disk => shell.as_slice(),
        argv => argv,
    };
    let mut command = None;
    if !argv.is_empty() {
        let argv: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
        let token = token();
        initrd.append(&skep_image::command_overlay(&argv, &token, piped));
        command = Some(CommandOutput::new(&token));
        // Nothing but a panic disturbs the output, and the guest ends with it.
        command_line.push("quiet loglevel=1 panic=-1".into());
    } else if let Some((columns, rows)) = terminal::size().filter(|_| machine.has_terminal()) {
        initrd.append(&skep_image::terminal_overlay(columns, rows));
    }
    command_line.extend(machine.append.clone());
    Ok(Session {
        kernel: Some(kernel),
        initrd: Some(initrd),
        dtb: None,
        command_line: command_line.join(" "),
        command,
        encode: match boots_disk {
            true => <[u8]>::to_vec,
            false => skep_image::encode_input,
        },
        at_end: match boots_disk {
            true => end_of_plain_input,
            false => end_of_command_input,
        },
    })
}

/// What gives somebody something to type at on the consoles beside the first: a shell, or in a system on
/// a disk systemd's login prompt.
fn console_options(machine: &Machine, boots_disk: bool) -> Vec<String> {
    let consoles = machine.other_consoles();
    if consoles.is_empty() {
        return Vec::new();
    }
    if !boots_disk {
        return vec![format!("skep.shells={}", consoles.join(","))];
    }
    let units = consoles.iter();
    units
        .map(|console| format!("systemd.wants=serial-getty@{console}.service"))
        .collect()
}

/// A size for people.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// A word that no guest prints by chance.
pub fn token() -> String {
    let mut bytes = [0u8; 16];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn end_of_command_input(vm: &VmHandle) {
    vm.input(&skep_image::end_of_input());
}

/// Any other guest: it gets the end-of-file character, and time to react to it. When it has taken
/// all input, prints nothing more, and has nothing to do, the session is over.
fn end_of_plain_input(vm: &VmHandle) {
    const QUIET: Duration = Duration::from_secs(3);
    /// An idle operating system takes less of the host in that time, for its clock.
    const IDLE: Duration = Duration::from_millis(300);
    /// A guest that waits in a loop is never idle. After so much silence it won't say more.
    const SILENCES: u32 = 10;
    /// The same for one that never said anything, and may have much to do first.
    const FIRST_SILENCES: u32 = 40;
    vm.input(b"\x04");
    let taken = || -> Duration { vm.stats().vcpus.iter().map(|vcpu| vcpu.cpu_time).sum() };
    let (mut sent, mut before, mut silences) = (vm.output_count(), taken(), 0);
    loop {
        std::thread::sleep(QUIET);
        let (sent_now, now) = (vm.output_count(), taken());
        silences = if sent_now == sent { silences + 1 } else { 0 };
        let limit = if sent_now > 0 {
            SILENCES
        } else {
            FIRST_SILENCES
        };
        let idle = now.saturating_sub(before) < IDLE;
        if silences >= limit || silences > 0 && idle {
            vm.stop();
            return;
        }
        (sent, before) = (sent_now, now);
    }
}
