//! `skep run`.

mod files;
mod guest;
mod input;
mod keys;
mod progress;
mod terminal;
mod watch;

use crate::args::{Console, Cpu, RunArgs, Virtio};
use crate::{Error, STATUS_FAULT, STATUS_QUIT};
use skep_vmm::{ConsoleDevice, CpuModel, Outcome, VirtioVersion, Vm, VmConfig};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use terminal::RawTerminal;

/// Boots a virtual machine and returns Skep's exit status.
pub fn run(args: RunArgs) -> Result<u8, Error> {
    let session = guest::choose(&args)?;
    let console = guest::console(&args);
    let default_guest = args.kernel.is_none() && args.bios.is_none();
    let config = VmConfig {
        memory: args.memory,
        cpus: usize::from(args.cpus),
        cpu: match args.cpu {
            Cpu::CortexA15 => CpuModel::CortexA15,
            Cpu::CortexA7 => CpuModel::CortexA7,
        },
        kernel: session.kernel,
        initrd: session.initrd,
        dtb: session.dtb,
        command_line: session.command_line.clone(),
        firmware: args
            .bios
            .as_deref()
            .map(|path| files::read(path, "firmware"))
            .transpose()?,
        disks: args.disk.iter().map(|text| files::disk(text)).collect(),
        console: match args.console {
            Console::Pl011 => ConsoleDevice::Pl011,
            Console::Virtio => ConsoleDevice::Virtio,
        },
        terminal_size: terminal::size(),
        virtio_consoles: args.console_file,
        virtio: match args.virtio {
            Virtio::Modern => VirtioVersion::Modern,
            Virtio::Legacy => VirtioVersion::Legacy,
        },
    };

    let printed = Arc::new(AtomicBool::new(false));
    let output = Arc::new(Mutex::new(session.output));
    let sink = {
        let (printed, output) = (printed.clone(), output.clone());
        move |byte| {
            printed.store(true, SeqCst);
            output
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .put(byte);
        }
    };
    let mut vm = Vm::new(config, Box::new(sink))?;

    let quit = Arc::new(AtomicBool::new(false));
    handle_signals(&vm, quit.clone())?;
    let terminal = if session.command {
        None
    } else {
        RawTerminal::enter()?
    };
    watch::start(
        vm.handle(),
        printed,
        session.command_line,
        console,
        default_guest,
        terminal.is_some(),
    );
    if terminal.is_some() {
        input::interactive(vm.handle(), quit.clone());
    } else if !std::io::stdin().is_terminal() {
        let output = output.clone();
        let started = move || {
            output
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .started()
        };
        input::piped(vm.handle(), started, session.encode, session.at_end);
    }

    let outcome = vm.run();
    drop(terminal);
    let command_status = output
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .status();
    match outcome? {
        Outcome::Fault(record) => {
            let _ = writeln!(std::io::stderr(), "skep: the guest can't go on. {record}");
            Ok(STATUS_FAULT)
        }
        Outcome::Stopped if quit.load(SeqCst) => Ok(STATUS_QUIT),
        _ if session.command => command_status.ok_or_else(|| {
            "the guest ended before the command did; run `skep run` to look at the guest's \
             messages"
                .into()
        }),
        Outcome::PoweredOff | Outcome::Stopped => Ok(0),
    }
}

/// Makes the signals that end a program stop the VM, so that the terminal is given back, and the
/// guest follow the terminal's size.
fn handle_signals(vm: &Vm, quit: Arc<AtomicBool>) -> Result<(), Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
    let mut signals =
        signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH])?;
    let vm = vm.handle();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if signal == SIGWINCH {
                if let Some((columns, rows)) = terminal::size() {
                    vm.resize(columns, rows);
                }
            } else {
                quit.store(true, SeqCst);
                vm.stop();
            }
        }
    });
    Ok(())
}
