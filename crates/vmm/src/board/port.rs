//! The guest's ends of consoles: the serial port and virtio consoles.

use crate::board::{Output, SerialPort};
use crate::bus::lock;
use crate::irq::Spi;
use crate::memory::GuestRam;
use skep_board::MmioDevice;
use skep_board::pl011::ConsoleOut;
use skep_board::virtio::console::Console;
use skep_board::virtio::{Transport, Version};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// How much input may wait for a guest that does not take it, when it is [offered](Port::offer), bytes.
const AHEAD: usize = 4 << 10;

/// A console's device. Clones are the same device.
#[derive(Clone)]
pub(crate) enum Port {
    /// The serial port.
    Serial(SerialPort),
    /// A virtio console.
    Virtio(VirtioConsole),
}

impl Port {
    /// Adds input.
    pub fn input(&self, bytes: &[u8]) {
        match self {
            Port::Serial(console) => console.input(bytes),
            Port::Virtio(console) => console.input(bytes),
        }
    }

    /// Adds input, unless the guest has not taken earlier input.
    pub fn offer(&self, bytes: &[u8]) -> bool {
        let room = self.waiting() < AHEAD;
        if room {
            self.input(bytes);
        }
        room
    }

    /// How many bytes the guest has sent.
    pub fn sent(&self) -> u64 {
        match self {
            Port::Serial(console) => console.sent(),
            Port::Virtio(console) => console.sent.load(Relaxed),
        }
    }

    /// How much input the guest has not taken.
    pub fn waiting(&self) -> usize {
        match self {
            Port::Serial(console) => console.waiting(),
            Port::Virtio(console) => console.waiting(),
        }
    }

    /// Tells the guest the terminal's size in columns and rows, if the device can.
    pub fn resize(&self, columns: u16, rows: u16) {
        match self {
            // A serial line knows nothing of it.
            Port::Serial(_) => {}
            Port::Virtio(console) => lock(&console.inner).device.resize(columns, rows),
        }
    }
}

/// The host's side of a virtio console.
pub(crate) struct CountedSink {
    output: Output,
    sent: Arc<AtomicU64>,
}

impl ConsoleOut for CountedSink {
    fn put(&mut self, byte: u8) {
        self.sent.fetch_add(1, Relaxed);
        (self.output)(byte);
    }
}

/// A virtio console and the input that waits for its guest. Clones are the same console.
#[derive(Clone)]
pub(crate) struct VirtioConsole {
    inner: Arc<Mutex<Inner>>,
    sent: Arc<AtomicU64>,
}

struct Inner {
    device: Transport<Console<CountedSink>, GuestRam, Spi>,
    waiting: VecDeque<u8>,
}

impl Inner {
    /// Gives the device as much as it has room for. The driver empties nothing when it starts, so
    /// that input may come before it does.
    fn feed(&mut self) {
        while !self.waiting.is_empty() {
            let (front, _) = self.waiting.as_slices();
            let taken = self.device.receive(front);
            if taken == 0 {
                return;
            }
            self.waiting.drain(..taken);
        }
    }
}

impl VirtioConsole {
    /// A console in a slot. `size` is the terminal's, in columns and rows.
    pub fn new(
        version: Version,
        output: Output,
        size: Option<(u16, u16)>,
        ram: Arc<GuestRam>,
        irq: Spi,
    ) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let sink = CountedSink {
            output,
            sent: sent.clone(),
        };
        let inner = Inner {
            device: Transport::new(version, Console::new(sink, size), ram, irq),
            waiting: VecDeque::new(),
        };
        VirtioConsole {
            inner: Arc::new(Mutex::new(inner)),
            sent,
        }
    }

    fn input(&self, bytes: &[u8]) {
        let mut inner = lock(&self.inner);
        inner.waiting.extend(bytes);
        inner.feed();
    }

    fn waiting(&self) -> usize {
        lock(&self.inner).waiting.len()
    }
}

impl MmioDevice for VirtioConsole {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        lock(&self.inner).device.read(offset, size)
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        let mut inner = lock(&self.inner);
        inner.device.write(offset, size, value);
        inner.feed();
    }

    fn reset(&mut self) {
        lock(&self.inner).device.reset();
    }
}
