//! The console multiplexer: one serial port for the hypervisor and all guests.
//!
//! One VM, or the hypervisor's shell, has the focus: what is typed goes to it, and what it prints is
//! printed as it comes. Of the others whole lines are printed, with the VM's name before them.
//! `Ctrl-A` is the escape key: a digit gives that VM the focus, `n` the next one, `h` the shell,
//! `a` sends `Ctrl-A`, `?` tells.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use spin::Mutex;

use crate::hw::console;
use crate::vm::Vm;

/// The escape key, Ctrl-A.
const ESCAPE: u8 = 0x01;
/// A line of a VM without the focus is printed when it is this long.
const LINE: usize = 256;
/// Input that a guest does not take is kept, up to this many bytes; then the newest is lost.
const INPUT: usize = 1024;

/// A command of the shell is not longer, in bytes.
const COMMAND: usize = 80;

struct Mux {
    /// The VM that has the focus; the shell, if none.
    focus: Option<usize>,
    /// What was typed of a command.
    command: String,
    /// The focused VM's output is at the start of a line.
    at_start: bool,
    /// Unfinished lines of the VMs.
    lines: Vec<Vec<u8>>,
    names: Vec<&'static Vm>,
    escape: bool,
    /// What the VMs have not taken yet of what was typed to them.
    waiting: Vec<VecDeque<u8>>,
}

static MUX: Mutex<Mux> = Mutex::new(Mux {
    focus: Some(0),
    command: String::new(),
    at_start: true,
    lines: Vec::new(),
    names: Vec::new(),
    escape: false,
    waiting: Vec::new(),
});

/// VMs that there is input for which they had no room for, a bit each.
static WAITING: AtomicU32 = AtomicU32::new(0);

/// The VMs whose consoles these are; the first has the focus.
pub fn init(vms: &[&'static Vm]) {
    let mut mux = MUX.lock();
    mux.names = vms.to_vec();
    mux.lines = vms.iter().map(|_| Vec::new()).collect();
    mux.waiting = vms.iter().map(|_| VecDeque::new()).collect();
}

/// A guest's output.
pub fn put(vm: usize, byte: u8) {
    let mut mux = MUX.lock();
    if mux.focus == Some(vm) {
        mux.at_start = byte == b'\n';
        console::write(&[byte]);
        return;
    }
    let Some(line) = mux.lines.get_mut(vm) else {
        return;
    };
    if byte != b'\n' && byte != b'\r' && line.len() < LINE {
        line.push(byte);
    }
    if byte == b'\n' || line.len() == LINE {
        let line = core::mem::take(line);
        mux.print(format_args!("[{}] {}", mux.name(vm), line.escape_ascii()));
    }
}

impl Mux {
    fn name(&self, vm: usize) -> &str {
        self.names.get(vm).map_or("?", |vm| vm.name.as_str())
    }

    /// Prints a line of its own.
    fn print(&self, line: core::fmt::Arguments<'_>) {
        let start = if self.at_start { "" } else { "\n" };
        console::print(format_args!("{start}{line}\n"));
    }

    fn switch(&mut self, key: u8) {
        let count = self.names.len();
        let focus = match key {
            b'0'..=b'9' => usize::from(key - b'0'),
            b'n' if count > 0 => self.focus.map_or(0, |focus| (focus + 1) % count),
            b'h' => {
                self.focus = None;
                self.print(format_args!("skep: the hypervisor's shell; help tells"));
                self.prompt();
                return;
            }
            _ => {
                self.print(format_args!(
                    "skep: Ctrl-A 0 to 9: console of that VM, n: of the next, \
                     h: the hypervisor's shell, a: send Ctrl-A"
                ));
                return;
            }
        };
        if focus >= count {
            self.print(format_args!(
                "skep: there are VMs 0 to {}",
                count.saturating_sub(1)
            ));
            return;
        }
        self.focus = Some(focus);
        self.print(format_args!("skep: console of {}", self.name(focus)));
        self.at_start = true;
        let line = self.lines.get_mut(focus).map(core::mem::take);
        if let Some(line) = line.filter(|line| !line.is_empty()) {
            self.at_start = false;
            console::write(&line);
        }
    }

    /// Shows that the shell waits, with what has been typed.
    fn prompt(&mut self) {
        self.at_start = false;
        console::print(format_args!("skep> {}", self.command));
    }

    /// A typed byte; returns a command for the shell when that is complete.
    fn typed(&mut self, byte: u8) -> Option<String> {
        let for_guest = match (self.escape, byte) {
            (false, ESCAPE) => {
                self.escape = true;
                return None;
            }
            (true, b'a' | ESCAPE) => ESCAPE,
            (true, key) => {
                self.escape = false;
                self.switch(key);
                return None;
            }
            (false, byte) => byte,
        };
        self.escape = false;
        let Some(focus) = self.focus else {
            return self.edit(byte);
        };
        if let Some(waiting) = self
            .waiting
            .get_mut(focus)
            .filter(|waiting| waiting.len() < INPUT)
        {
            waiting.push_back(for_guest);
        }
        None
    }

    /// A byte that was typed to the shell.
    fn edit(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\r' | b'\n' => {
                console::print(format_args!("\n"));
                self.at_start = true;
                return Some(core::mem::take(&mut self.command));
            }
            0x08 | 0x7f => {
                if self.command.pop().is_some() {
                    console::write(b"\x08 \x08");
                }
            }
            b' '..=b'~' if self.command.len() < COMMAND => {
                self.command.push(char::from(byte));
                console::write(&[byte]);
            }
            _ => {}
        }
        None
    }
}

/// Shows that the shell waits for a command, if it has the focus.
pub fn prompt() {
    let mut mux = MUX.lock();
    if mux.focus.is_none() {
        mux.prompt();
    }
}

/// Takes what was typed: executes commands for the shell, and gives VMs as much as they have room
/// for.
// Apart from interrupts that come often, which would save registers for its sake.
#[inline(never)]
pub fn input() {
    while let Some(byte) = console::read() {
        let (command, target) = {
            let mut mux = MUX.lock();
            let command = mux.typed(byte);
            let target = mux.focus.and_then(|focus| mux.names.get(focus).copied());
            (command, target)
        };
        if let Some(command) = command {
            crate::shell::execute(&command);
            prompt();
        } else if let Some(vm) = target {
            feed(vm);
        }
    }
}

/// Held by the core that gives input to a VM: bytes that two cores took would arrive in any order.
static FEEDING: Mutex<()> = Mutex::new(());

/// Gives a VM the input that waits for it.
fn feed(vm: &Vm) {
    let feeding = FEEDING.lock();
    // The console's lock is below the UART's: input goes one byte at a time between them.
    let next = || MUX.lock().waiting.get_mut(vm.index)?.pop_front();
    let bit = 1u32.checked_shl(vm.index as u32).unwrap_or(0);
    loop {
        let Some(byte) = next() else {
            WAITING.fetch_and(!bit, Ordering::Relaxed);
            break;
        };
        if vm.console_input(&[byte]) == 0 {
            WAITING.fetch_or(bit, Ordering::Relaxed);
            // The guest may have made room before it could know of this.
            if vm.console_input(&[byte]) == 0 {
                if let Some(waiting) = MUX.lock().waiting.get_mut(vm.index) {
                    waiting.push_front(byte);
                }
                break;
            }
        }
    }
    drop(feeding);
    vm.kick_waiting();
}

/// After a guest used its devices: gives it the input that it had no room for.
pub fn feed_if_waiting(vm: &Vm) {
    if WAITING.load(Ordering::Relaxed) & 1u32.checked_shl(vm.index as u32).unwrap_or(0) != 0 {
        feed(vm);
    }
}
