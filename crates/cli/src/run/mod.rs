//! `skep run`.

mod consoles;
pub mod files;
pub mod guest;
mod input;
mod keys;
pub mod machine;
mod net;
mod output;
mod progress;
pub mod quit;
mod root;
pub mod sandbox;
pub mod shares;
mod stats;
pub mod terminal;
mod watch;

use crate::args::{RunArgs, StatsFormat};
use crate::{Error, STATUS_CLOSED, STATUS_FAULT};
use machine::Machine;
use output::Output;
use quit::Quit;
use skep_config::model::{Cpu, Virtio, Vm as Described, Watchdog};
use skep_config::vsock::Vsock;
use skep_vmm::{CpuModel, Outcome, VirtioVersion, Vm, VmConfig, Warn};
use std::io::{ErrorKind, IsTerminal, Write};
use terminal::RawTerminal;

/// Boots a virtual machine, what is left open as the file describes it, and returns Skep's exit
/// status.
pub fn run(args: RunArgs, described: Option<&Described>) -> Result<u8, Error> {
    let machine = Machine::new(&args, described);
    machine.check_usage();
    let session = guest::choose(&machine)?;
    let console = machine.console_option();
    let has_terminal = machine.has_terminal();
    let accepts = consoles::accepts(&machine) || machine.vsock.is_some();
    let default_guest = machine.has_default_guest();
    let internet = net::opens_sockets(&machine.net, &machine.publish);
    let config = VmConfig {
        memory: machine.memory,
        cpus: usize::from(machine.cpus),
        cpu: match machine.cpu {
            Cpu::CortexA15 => CpuModel::CortexA15,
            Cpu::CortexA7 => CpuModel::CortexA7,
        },
        engine: args.engine.into(),
        kernel: session.kernel,
        initrd: session.initrd,
        dtb: session.dtb,
        command_line: session.command_line.clone(),
        firmware: machine
            .bios
            .as_deref()
            .map(|path| files::read(path, "firmware"))
            .transpose()?,
        disks: machine.disks,
        shares: shares::devices(&machine.shares),
        net: net::config(&machine.net, &machine.publish),
        vsock: machine.vsock.as_ref().map(vsock_config),
        // Another process of this program, which is not in the sandbox.
        helper: Some("/proc/self/exe".into()),
        // A command runs once.
        no_restart: session.command.is_some(),
        serial: consoles::backend(&machine.serial),
        consoles: machine.consoles.iter().map(consoles::backend).collect(),
        terminal_size: terminal::size(),
        watchdog: match machine.watchdog {
            Watchdog::Reset => skep_vmm::Watchdog::Reset,
            Watchdog::PowerOff => skep_vmm::Watchdog::PowerOff,
            Watchdog::None => skep_vmm::Watchdog::None,
        },
        virtio: match machine.virtio {
            Virtio::Modern => VirtioVersion::Modern,
            Virtio::Legacy => VirtioVersion::Legacy,
        },
        count: args.stats.is_some(),
        trace: args.trace,
        perf_map: args.perf_map,
        // The terminal may be raw.
        warn: Warn::new(|text| eprintln!("skep: {text}\r")),
    };

    let quit = Quit::default();
    let command = session.command.is_some();
    let output = Output::new(session.command, quit.clone());
    let sink = output.clone();
    let mut vm = Vm::new(config, Box::new(move |byte| sink.put(byte)))?;
    // Before any thread is started: they inherit it.
    sandbox::enter(args.no_sandbox, internet, accepts, &machine.shares)?;
    consoles::announce(&vm, has_terminal);

    handle_signals(&vm, quit.clone(), args.stats.unwrap_or_default())?;
    let handle = vm.handle();
    output.write(move || handle.stop());
    let terminal = match has_terminal && !command {
        true => RawTerminal::enter()?,
        false => None,
    };
    if has_terminal {
        watch::start(
            vm.handle(),
            output.clone(),
            session.command_line,
            console,
            default_guest,
            terminal.is_some(),
        );
    }
    if terminal.is_some() {
        input::interactive(vm.handle(), quit.clone());
    } else if has_terminal && !std::io::stdin().is_terminal() {
        let output = output.clone();
        let started = move || output.started();
        input::piped(vm.handle(), started, session.encode, session.at_end);
    }

    let outcome = vm.run();
    let failure = output.finish();
    drop(terminal);
    if let Some(format) = args.stats {
        stats::print(&vm.stats(), format);
    }
    let outcome = outcome?;
    if let Some(status) = quit.status() {
        return Ok(status);
    }
    match failure {
        // Whoever read it has seen enough.
        Some(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(STATUS_CLOSED),
        Some(error) => {
            return Err(
                format!("standard output can't be written ({error}); check where it goes").into(),
            );
        }
        None => {}
    }
    match outcome {
        Outcome::Fault(record) => {
            let _ = writeln!(std::io::stderr(), "skep: the guest can't go on. {record}");
            Ok(STATUS_FAULT)
        }
        Outcome::Watchdog => {
            let _ = writeln!(
                std::io::stderr(),
                "skep: the guest did not feed its watchdog, which ended it"
            );
            Ok(STATUS_FAULT)
        }
        _ if command => output.status().ok_or_else(|| unfinished(&output)),
        Outcome::PoweredOff | Outcome::Stopped => Ok(0),
    }
}

/// The socket device's connection.
fn vsock_config(vsock: &Vsock) -> skep_vsock::Config {
    skep_vsock::Config {
        path: vsock.path.clone(),
        cid: vsock.cid,
    }
}

/// The guest ended, but not because its command had.
fn unfinished(output: &Output) -> Error {
    let hidden = output.hidden();
    // A panic's first line says what it is; what follows is a dump of registers and memory.
    let panic = hidden.lines().find(|line| line.contains("Kernel panic"));
    let last = panic.or(hidden.lines().next_back()).unwrap_or_default();
    let before = if output.started() { "ended" } else { "started" };
    let said = match last {
        _ if output.started() => String::new(),
        "" => ", without a message".to_owned(),
        last => format!(", with the message: {last}"),
    };
    format!(
        "the guest ended before the command {before}{said}; give it more memory (--memory 512M), \
         or look at its messages with skep run on a terminal"
    )
    .into()
}

/// Makes the signals that end a program stop the VM, so that the terminal is given back, and the
/// guest follow the terminal's size; SIGUSR1 asks what the engine did, SIGPWR presses the power key.
/// SIGXFSZ is caught so that it ends nothing: a write beyond the user's limit on files fails then, and
/// that is the guest's to know.
fn handle_signals(vm: &Vm, quit: Quit, format: StatsFormat) -> Result<(), Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH};
    const SIGPWR: i32 = rustix::process::Signal::POWER.as_raw();
    const SIGXFSZ: i32 = rustix::process::Signal::XFSZ.as_raw();
    let mut signals = signal_hook::iterator::Signals::new([
        SIGHUP, SIGINT, SIGPWR, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH, SIGXFSZ,
    ])?;
    let vm = vm.handle();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if signal == SIGWINCH {
                if let Some((columns, rows)) = terminal::size() {
                    vm.resize(columns, rows);
                }
            } else if signal == SIGPWR {
                vm.press_power_key();
            } else if signal == SIGUSR1 {
                stats::print_of(&vm, format);
            } else if signal != SIGXFSZ {
                quit.interrupt();
                vm.stop();
            }
        }
    });
    Ok(())
}
