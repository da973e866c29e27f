//! The serial port and the input that waits for it.

use crate::board::Output;
use crate::bus::lock;
use crate::irq::{Interrupts, Spi};
use skep_board::MmioDevice;
use skep_board::pl011::{ConsoleOut, Pl011, spec};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// The host's side of transmitted bytes.
pub(crate) struct Sink(pub Output);

impl ConsoleOut for Sink {
    fn put(&mut self, byte: u8) {
        (self.0)(byte);
    }
}

/// So many looks at the flag register without a byte sent mean that the guest polls for input.
const POLLS: u32 = 16;

/// How long a guest must have listened before it gets input, in slices of execution of its first
/// CPU: about a million instructions. Linux enables the receive interrupt when it begins to open
/// the port, and empties the FIFO a little later.
const SETTLED: u32 = 64;

/// How many slices a sleep counts for: a CPU that sleeps has finished what it was at.
const SLEEP_SLICES: u32 = 8;

/// How many bytes the port takes in a slice. Without a limit, a guest would find the next byte in
/// the FIFO as soon as it has read one, as no real line could deliver them: Linux's interrupt
/// handler then reads on until the terminal layer's buffers are full and drops the rest.
const BYTES_PER_SLICE: usize = spec::FIFO_DEPTH;

/// The serial port. Clones are the same port.
#[derive(Clone)]
pub(crate) struct SerialPort {
    inner: Arc<Mutex<Inner>>,
    interrupts: Arc<Interrupts>,
}

struct Inner {
    uart: Pl011<Spi, Sink>,
    waiting: VecDeque<u8>,
    /// Reads of the flag register since the last byte was sent.
    polls: u32,
    /// Slices for which the guest has listened.
    listened: u32,
    /// Bytes that the port may still take in this slice.
    credit: usize,
    /// Bytes sent.
    sent: u64,
}

impl Inner {
    /// The guest polls for input, or waits for its interrupt.
    fn listens(&self) -> bool {
        (self.polls >= POLLS && self.uart.receiver_enabled())
            || self.uart.receive_interrupt_enabled()
    }

    /// Gives the serial port as much as it has room for, once the guest listens: an operating
    /// system empties the FIFO when it opens the port, and would lose what came before.
    fn feed(&mut self) {
        if self.listened < SETTLED {
            return;
        }
        while self.credit > 0 && self.uart.room() > 0 {
            let Some(byte) = self.waiting.pop_front() else {
                return;
            };
            self.uart.receive(&[byte]);
            self.credit -= 1;
        }
    }

    /// There is input that only the next slice can move on.
    fn held_back(&self) -> bool {
        !self.waiting.is_empty()
            && (self.listened < SETTLED || (self.credit == 0 && self.uart.room() > 0))
    }
}

impl SerialPort {
    pub fn new(uart: Pl011<Spi, Sink>, interrupts: Arc<Interrupts>) -> Self {
        let inner = Inner {
            uart,
            waiting: VecDeque::new(),
            polls: 0,
            listened: 0,
            credit: BYTES_PER_SLICE,
            sent: 0,
        };
        SerialPort {
            inner: Arc::new(Mutex::new(inner)),
            interrupts,
        }
    }

    /// Notes that a slice of execution, or a sleep, has passed.
    pub fn tick(&self, slept: bool) {
        let mut inner = lock(&self.inner);
        if inner.listened < SETTLED {
            let slices = if slept { SLEEP_SLICES } else { 1 };
            inner.listened = if inner.listens() {
                inner.listened + slices
            } else {
                0
            };
        }
        inner.credit = BYTES_PER_SLICE;
        inner.feed();
    }

    /// There is input that needs [`SerialPort::tick`] to move on.
    pub fn held_back(&self) -> bool {
        lock(&self.inner).held_back()
    }

    /// Adds input.
    pub fn input(&self, bytes: &[u8]) {
        let mut inner = lock(&self.inner);
        inner.waiting.extend(bytes);
        inner.feed();
        let held_back = inner.held_back();
        drop(inner);
        // The first CPU moves on what the port could not take yet, and may be asleep.
        if held_back {
            self.interrupts.wake(0);
        }
    }

    /// How many bytes the guest has sent.
    pub fn sent(&self) -> u64 {
        lock(&self.inner).sent
    }

    /// How much input the serial port has not taken.
    pub fn waiting(&self) -> usize {
        lock(&self.inner).waiting.len()
    }
}

impl MmioDevice for SerialPort {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        let mut inner = lock(&self.inner);
        if offset == u64::from(spec::FR) {
            inner.polls = inner.polls.saturating_add(1);
            inner.feed();
        }
        let value = inner.uart.read(offset, size);
        inner.feed();
        value
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        let mut inner = lock(&self.inner);
        if offset == u64::from(spec::DR) {
            inner.polls = 0;
            inner.sent += 1;
        }
        inner.uart.write(offset, size, value);
        if !inner.uart.receiver_enabled() {
            // Closed: whoever opens the port next empties the FIFO again.
            inner.listened = 0;
        }
        inner.feed();
    }

    fn reset(&mut self) {
        let mut inner = lock(&self.inner);
        inner.polls = 0;
        inner.listened = 0;
        inner.uart.reset();
    }
}
