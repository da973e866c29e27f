//! The board's serial port, for the hypervisor's own messages and the guests' consoles.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use arm_pl011_uart::{Interrupts, PL011Registers, Uart};
use safe_mmio::UniqueMmioPointer;
use spin::Mutex;

static CONSOLE: Mutex<Option<Uart<'static>>> = Mutex::new(None);

/// Takes the serial port whose registers are mapped at this virtual address.
///
/// # Safety
///
/// A PL011's registers are there for good, as device memory, and nothing else uses them.
pub unsafe fn init(registers: NonNull<PL011Registers>) {
    // SAFETY: by this function's contract.
    let registers = unsafe { UniqueMmioPointer::new(registers) };
    *CONSOLE.lock() = Some(Uart::new(registers));
}

/// Sends bytes as they are. Without a serial port they are lost.
pub fn write(bytes: &[u8]) {
    if let Some(uart) = CONSOLE.lock().as_mut() {
        for &byte in bytes {
            put(uart, byte);
        }
    }
}

/// The next byte that was typed, if there is one.
pub fn read() -> Option<u8> {
    let mut console = CONSOLE.lock();
    let uart = console.as_mut()?;
    // A byte with an error on the line is dropped.
    loop {
        match uart.read_word() {
            Ok(byte) => return byte,
            Err(_) => continue,
        }
    }
}

/// Lets the serial port interrupt when something is typed.
pub fn enable_input() {
    if let Some(uart) = CONSOLE.lock().as_mut() {
        uart.set_interrupt_masks(Interrupts::RXI | Interrupts::RTI);
    }
}

fn put(uart: &mut Uart<'_>, byte: u8) {
    while uart.is_tx_fifo_full() {}
    uart.write_word(byte);
}

struct Lines<'a, 'u>(&'a mut Uart<'u>);

impl Write for Lines<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                put(self.0, b'\r');
            }
            put(self.0, byte);
        }
        Ok(())
    }
}

/// Prints a message of the hypervisor, whole.
pub fn print(message: fmt::Arguments<'_>) {
    if let Some(uart) = CONSOLE.lock().as_mut() {
        let _ = Lines(uart).write_fmt(message);
    }
}

/// Prints where the holder of the lock may be what failed: this core's panic, or a core that is
/// stuck.
pub fn print_last_words(message: fmt::Arguments<'_>) {
    for _ in 0..1_000_000 {
        if let Some(mut console) = CONSOLE.try_lock() {
            if let Some(uart) = console.as_mut() {
                let _ = Lines(uart).write_fmt(message);
            }
            return;
        }
    }
    // SAFETY: whoever holds the lock has had ample time: it will not go on, or its line is torn,
    // which is better than silence. The registers take accesses from two cores.
    unsafe { CONSOLE.force_unlock() };
    if let Some(uart) = CONSOLE.lock().as_mut() {
        let _ = Lines(uart).write_fmt(message);
    }
}

/// Bytes of the log that are kept.
const LOG: usize = 4096;

/// The hypervisor's last messages: a ring.
struct Log {
    bytes: [u8; LOG],
    /// Bytes that were ever written.
    written: usize,
}

static KEPT: Mutex<Log> = Mutex::new(Log {
    bytes: [0; LOG],
    written: 0,
});

impl Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.bytes[self.written % LOG] = byte;
            self.written += 1;
        }
        Ok(())
    }
}

/// Prints a message of the hypervisor, and keeps it.
pub fn log(message: fmt::Arguments<'_>) {
    let _ = KEPT.lock().write_fmt(message);
    print(message);
}

/// Prints the messages that are kept, from the first whole line on.
pub fn print_log() {
    let log = KEPT.lock();
    let from = log.written.saturating_sub(LOG);
    let bytes = (from..log.written).map(|n| log.bytes[n % LOG]);
    let mut torn = from > 0;
    if let Some(uart) = CONSOLE.lock().as_mut() {
        for byte in bytes {
            if !torn {
                if byte == b'\n' {
                    put(uart, b'\r');
                }
                put(uart, byte);
            }
            torn &= byte != b'\n';
        }
    }
}

/// Prints a line of the hypervisor.
#[macro_export]
macro_rules! log {
    ($($arg:tt)*) => {
        $crate::hw::console::log(format_args!("skep: {}\n", format_args!($($arg)*)))
    };
}
