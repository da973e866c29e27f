//! Standard input to the guest's serial port.

use super::keys::{HELP, Keys, Request};
use super::quit::Quit;
use super::stats;
use crate::args::StatsFormat;
use skep_vmm::VmHandle;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

/// Input that may wait for the guest, bytes: beyond it, reading pauses.
const AHEAD: usize = 64 << 10;

/// Bytes that are read from a pipe at once.
const CHUNK: usize = 32 << 10;

/// Starts a thread that carries a terminal's keys to the guest. It ends with the process.
pub fn interactive(vm: VmHandle, quit: Quit) {
    std::thread::spawn(move || {
        let (mut keys, mut buffer) = (Keys::default(), [0; 4096]);
        loop {
            let read = match std::io::stdin().read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // The terminal is gone, and nobody can type any more.
                Ok(0) | Err(_) => {
                    quit.interrupt();
                    vm.stop();
                    return;
                }
                Ok(read) => read,
            };
            let mut guest = Vec::new();
            for request in keys.take(&buffer[..read], &mut guest) {
                match request {
                    Request::Quit => {
                        quit.ask();
                        vm.stop();
                        return;
                    }
                    Request::Stats => {
                        // The guest may have left the cursor anywhere.
                        let _ = std::io::stderr().write_all(b"\r\n");
                        stats::print_of(&vm, StatsFormat::Text);
                    }
                    Request::Power => vm.press_power_key(),
                    Request::Help => {
                        let _ = std::io::stderr().write_all(HELP.as_bytes());
                    }
                }
            }
            vm.input(&guest);
        }
    });
}

/// Starts a thread that carries a pipe or file to the guest, as fast as it takes it, through
/// `encode`, from when `started` says so; `at_end` is done when the input ends.
pub fn piped(
    vm: VmHandle,
    started: impl Fn() -> bool + Send + 'static,
    encode: fn(&[u8]) -> Vec<u8>,
    at_end: fn(&VmHandle),
) {
    std::thread::spawn(move || {
        while !started() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut buffer = vec![0; CHUNK];
        loop {
            match std::io::stdin().read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    vm.input(&encode(&buffer[..read]));
                    while vm.input_waiting() > AHEAD {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            }
        }
        at_end(&vm);
    });
}
