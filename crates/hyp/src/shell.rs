//! The hypervisor's shell, on the console that all guests share: what runs, and what is to run.

use core::fmt;
use core::sync::atomic::Ordering;

use skep_board::map::MAX_CPUS;
use skep_bundle::CoreSchedule;
use skep_hyp::syndrome;

use crate::cores::{self, System};
use crate::hw::context::Context;
use crate::hw::switch::Frame;
use crate::hw::{banked, console, memory};
use crate::mux;
use crate::vcpu::Exits;
use crate::vm::{End, Vm};

macro_rules! print {
    ($($arg:tt)*) => {
        console::print(format_args!($($arg)*))
    };
}

macro_rules! say {
    ($($arg:tt)*) => {
        print!("{}\n", format_args!($($arg)*))
    };
}

/// Numbers, with commas between them.
pub struct List<'a>(pub &'a [usize]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, number) in self.0.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(f, "{comma}{number}")?;
        }
        Ok(())
    }
}

/// Registers, with a blank before each.
pub struct Words<'a>(pub &'a [u32]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, " {word:08x}"))
    }
}

const HELP: &str = "\
vms               virtual machines: state, vCPUs, cores, memory
regs VM [VCPU]    registers of a vCPU, and the fault that the VM had last
exits VM [VCPU]   how often its vCPUs, or one, came to the hypervisor, and why
cores             cores, how they are shared, and what switching takes
mem               memory
start VM          starts it, if it is off
stop VM           switches it off
reset VM          starts it from the beginning
pause VM          its vCPUs do not run, and its virtual time stands still
resume VM         ends a pause
log               the last messages of the hypervisor
off               switches the board off
help              this
A VM is told by its name or its number. Ctrl-A and a digit: console of that VM.";

/// Executes a command, and prints what comes of it.
pub fn execute(line: &str) {
    let Some(system) = cores::system() else {
        return;
    };
    let mut words = line.split_ascii_whitespace();
    let Some(command) = words.next() else { return };
    let result = match command {
        "vms" => none(words).map(|()| list(system)),
        "cores" => none(words).map(|()| list_cores(system)),
        "mem" => none(words).map(|()| list_memory(system)),
        "log" => none(words).map(|()| console::print_log()),
        "help" | "?" => none(words).map(|()| say!("{HELP}")),
        "off" => none(words).map(|()| {
            crate::hw::psci::system_off();
            say!("the firmware can't switch the board off");
        }),
        "exits" => exits(system, words),
        "regs" => regs(system, words),
        "start" => one(system, words).and_then(|vm| {
            did(
                vm.start_again(),
                vm,
                "is not off: stop it first, or reset it",
            )
        }),
        "stop" => {
            one(system, words).and_then(|vm| did(vm.stop(End::Stopped), vm, "is off already"))
        }
        "reset" => one(system, words)
            .and_then(|vm| did(vm.stop(End::Restarted) || vm.start_again(), vm, "is ending")),
        "pause" => one(system, words).and_then(|vm| did(vm.pause(), vm, "does not run")),
        "resume" => one(system, words).and_then(|vm| did(vm.resume(), vm, "is not paused")),
        _ => Err(Complaint::Command(command)),
    };
    if let Err(complaint) = result {
        say!("{complaint}");
    }
}

/// Why a command can't be executed, as a sentence.
enum Complaint<'a> {
    Command(&'a str),
    NoVm,
    Vm(&'a str),
    Vcpu(&'a Vm, &'a str),
    More(&'a str),
    State(&'a Vm, &'static str),
}

impl fmt::Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::Command(word) => {
                write!(
                    f,
                    "There is no command {word}; help lists those that there are."
                )
            }
            Complaint::NoVm => write!(f, "Say which VM; vms lists them."),
            Complaint::Vm(word) => write!(f, "There is no VM {word}; vms lists them."),
            Complaint::Vcpu(vm, word) => write!(
                f,
                "There is no vCPU {word} in {}: it has 0 to {}.",
                vm.name,
                vm.cores.len() - 1
            ),
            Complaint::More(word) => write!(f, "{word} is too much for this command; see help."),
            Complaint::State(vm, state) => write!(f, "{} {state}.", vm.name),
        }
    }
}

fn none<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<(), Complaint<'a>> {
    words
        .next()
        .map_or(Ok(()), |word| Err(Complaint::More(word)))
}

fn vm<'a>(
    system: &'a System,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<&'a Vm, Complaint<'a>> {
    let word = words.next().ok_or(Complaint::NoVm)?;
    let by_name = system.vms.iter().find(|vm| vm.name == word);
    let by_number = || system.vms.get(word.parse::<usize>().ok()?);
    let vm = by_name.or_else(by_number).copied();
    vm.ok_or(Complaint::Vm(word))
}

fn one<'a>(
    system: &'a System,
    mut words: impl Iterator<Item = &'a str>,
) -> Result<&'a Vm, Complaint<'a>> {
    let vm = vm(system, &mut words)?;
    none(words).map(|()| vm)
}

fn did<'a>(done: bool, vm: &'a Vm, otherwise: &'static str) -> Result<(), Complaint<'a>> {
    if done {
        Ok(())
    } else {
        Err(Complaint::State(vm, otherwise))
    }
}

fn list(system: &System) {
    say!("   name          state     vCPUs  restarts  memory at                  cores");
    for vm in &system.vms {
        let (condition, on, restarts) = vm.condition();
        let count = vm.cores.len();
        let (base, size) = (vm.ram.physical(), vm.ram.size() >> 20);
        say!(
            "{:<2} {:<13} {condition:<8} {on:>3}/{count} {restarts:>9}  {size:>5} MiB {base:#010x}   {}",
            vm.index,
            vm.name,
            List(&vm.cores)
        );
    }
}

fn list_cores(system: &System) {
    for (number, core) in cores::CORES.iter().enumerate().take(MAX_CPUS) {
        if !core.is_running() {
            continue;
        }
        let schedule = system.schedules.get(number).copied().unwrap_or_default();
        let switches = core.switches.load(Ordering::Relaxed);
        let ticks = core.switching.load(Ordering::Relaxed);
        match schedule {
            CoreSchedule::Partitioned => say!("{number}: partitioned"),
            CoreSchedule::Shared { slice_us } => say!(
                "{number}: time-shared, slices of {slice_us} us, {switches} switches took {ticks} ticks"
            ),
        }
    }
}

fn list_memory(system: &System) {
    for vm in &system.vms {
        let (tables, base) = (vm.tables_size(), vm.ram.physical());
        let end = base + u64::from(vm.ram.size());
        say!(
            "{base:#010x} to {end:#010x}: {}; {} KiB of tables",
            vm.name,
            tables >> 10
        );
    }
    let (used, size) = memory::heap();
    say!("heap: {} of {} KiB used", used >> 10, size >> 10);
    say!(
        "free: {} MiB",
        crate::FREE.get().copied().unwrap_or(0) >> 20
    );
}

fn exits<'a>(
    system: &'a System,
    mut words: impl Iterator<Item = &'a str>,
) -> Result<(), Complaint<'a>> {
    let vm = vm(system, &mut words)?;
    let all = vm.cores.len();
    let vcpus = match words.next() {
        None => 0..all,
        Some(word) => match word.parse() {
            Ok(vcpu) if vcpu < all => vcpu..vcpu + 1,
            _ => return Err(Complaint::Vcpu(vm, word)),
        },
    };
    none(words)?;
    let time = vm.time_ms();
    say!(
        "{}: {}.{:03} s since its start",
        vm.name,
        time / 1000,
        time % 1000
    );
    for vcpu in vcpus {
        for (reason, count) in vm.exits[vcpu].all().enumerate() {
            if count > 0 {
                let name = if reason == Exits::INTERRUPT {
                    "interrupt"
                } else {
                    syndrome::class_name(reason as u32)
                };
                say!("vCPU {vcpu}: {count:>10} {name}");
            }
        }
    }
    Ok(())
}

fn regs<'a>(
    system: &'a System,
    mut words: impl Iterator<Item = &'a str>,
) -> Result<(), Complaint<'a>> {
    let vm = vm(system, &mut words)?;
    let word = words.next().unwrap_or("0");
    none(words)?;
    if let Some(fault) = vm.fault() {
        say!("last fault: {fault}");
    }
    // Its own core shows them.
    match word.parse() {
        Ok(vcpu) if vm.report(vcpu) => Ok(()),
        _ => Err(Complaint::Vcpu(vm, word)),
    }
}

/// Prints a vCPU's registers, on its core; `None` if it is off.
// Apart from the core's loop, which would save registers for its sake.
#[inline(never)]
pub fn registers(vm: &Vm, vcpu: usize, registers: Option<(&Frame, &Context)>) {
    let Some((frame, context)) = registers else {
        say!("vCPU {vcpu} of {} is off.", vm.name);
        mux::prompt();
        return;
    };
    say!(
        "vCPU {vcpu} of {}: pc {:08x}, cpsr {:08x}",
        vm.name,
        frame.pc,
        frame.cpsr
    );
    for (n, values) in frame.r.chunks(4).enumerate() {
        say!("r{:<2}{}", n * 4, Words(values));
    }
    say!("lr_usr {:08x}", frame.lr);
    for (names, values) in banked::NAMES.chunks(4).zip(context.banked.0.chunks(4)) {
        for (name, value) in names.iter().zip(values) {
            print!("{name:<8} {value:08x}  ");
        }
        say!("");
    }
    let system = &context.system;
    say!(
        "sctlr {:08x}, ttbcr {:x}, ttbr0 {:x}, ttbr1 {:x}, vbar {:08x}",
        system.sctlr,
        system.ttbcr,
        system.ttbr0,
        system.ttbr1,
        system.vbar
    );
    say!(
        "dfsr {:x}, dfar {:08x}, ifsr {:x}, ifar {:08x}, contextidr {:x}",
        system.dfsr,
        system.dfar,
        system.ifsr,
        system.ifar,
        system.contextidr
    );
    for (name, timer) in [("virtual", &context.virt), ("physical", &context.phys)] {
        say!(
            "{name} timer: control {:x}, compare {:x}, interrupt {}",
            timer.control,
            timer.compare,
            if timer.active { "active" } else { "not active" }
        );
    }
    mux::prompt();
}
