//! The console multiplexer: one serial port for the hypervisor and all guests.
//!
//! One VM has the focus: what is typed goes to it, and what it prints is printed as it comes. Of the
//! others whole lines are printed, with the VM's name before them. `Ctrl-A` is the escape key:
//! a digit gives that VM the focus, `n` the next one, `a` sends `Ctrl-A`, `h` tells.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;

use crate::hw::console;
use crate::vm::Vm;

/// The escape key, Ctrl-A.
const ESCAPE: u8 = 0x01;
/// A line of a VM without the focus is printed when it is this long.
const LINE: usize = 256;
/// Input that a guest does not take is kept, up to this many bytes; then the newest is lost.
const INPUT: usize = 1024;

struct Mux {
    focus: usize,
    /// The focused VM's output is at the start of a line.
    at_start: bool,
    /// Unfinished lines of the VMs.
    lines: Vec<Vec<u8>>,
    names: Vec<Arc<Vm>>,
    escape: bool,
    waiting: VecDeque<u8>,
}

static MUX: Mutex<Mux> = Mutex::new(Mux {
    focus: 0,
    at_start: true,
    lines: Vec::new(),
    names: Vec::new(),
    escape: false,
    waiting: VecDeque::new(),
});

/// There is input that a guest had no room for.
static WAITING: AtomicBool = AtomicBool::new(false);

/// The VMs whose consoles these are; the first has the focus.
pub fn init(vms: &[Arc<Vm>]) {
    let mut mux = MUX.lock();
    mux.names = vms.to_vec();
    mux.lines = vms.iter().map(|_| Vec::new()).collect();
}

/// A guest's output.
pub fn put(vm: usize, byte: u8) {
    let mut mux = MUX.lock();
    if vm == mux.focus {
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

    fn command(&mut self, key: u8) {
        let count = self.names.len();
        let focus = match key {
            b'0'..=b'9' => usize::from(key - b'0'),
            b'n' if count > 0 => (self.focus + 1) % count,
            _ => {
                self.print(format_args!(
                    "skep: Ctrl-A 0 to 9: console of that VM, n: of the next, a: send Ctrl-A"
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
        self.focus = focus;
        self.print(format_args!("skep: console of {}", self.name(focus)));
        self.at_start = true;
        let line = self.lines.get_mut(focus).map(core::mem::take);
        if let Some(line) = line.filter(|line| !line.is_empty()) {
            self.at_start = false;
            console::write(&line);
        }
    }

    /// A typed byte.
    fn typed(&mut self, byte: u8) {
        let for_guest = match (self.escape, byte) {
            (false, ESCAPE) => {
                self.escape = true;
                return;
            }
            (true, b'a' | ESCAPE) => ESCAPE,
            (true, key) => {
                self.escape = false;
                self.command(key);
                return;
            }
            (false, byte) => byte,
        };
        self.escape = false;
        if self.waiting.len() < INPUT {
            self.waiting.push_back(for_guest);
        }
    }
}

/// Takes what was typed, and gives the focused VM as much as it has room for.
pub fn input() {
    let target = {
        let mut mux = MUX.lock();
        while let Some(byte) = console::read() {
            mux.typed(byte);
        }
        mux.names.get(mux.focus).cloned()
    };
    if let Some(vm) = target {
        feed(&vm);
    }
}

/// Gives a VM the input that waits for it, if it has the focus.
pub fn feed(vm: &Vm) {
    // The console's lock is below the UART's: input goes one byte at a time between them.
    loop {
        let byte = {
            let mut mux = MUX.lock();
            if mux.focus != vm.index {
                break;
            }
            match mux.waiting.pop_front() {
                Some(byte) => byte,
                None => break,
            }
        };
        if vm.console_input(&[byte]) == 0 {
            MUX.lock().waiting.push_front(byte);
            break;
        }
    }
    let waiting = !MUX.lock().waiting.is_empty();
    WAITING.store(waiting, Ordering::Relaxed);
    vm.kick_waiting(None);
}

/// After a guest used its devices: gives it the input that it had no room for.
pub fn feed_if_waiting(vm: &Vm) {
    if WAITING.load(Ordering::Relaxed) && MUX.lock().focus == vm.index {
        feed(vm);
    }
}
