//! Assembles the board: every device at its address, with its interrupt and its backend.

use crate::bus::{Bus, SharedDevice, lock};
use crate::clock::VmClock;
use crate::config::VmConfig;
use crate::error::Error;
use crate::irq::{Interrupts, Spi};
use crate::memory::GuestRam;
use skep_board::pl011::Pl011;
use skep_board::{MmioDevice, map};
use skep_interp::Cluster;
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Takes what the guest writes to its serial port.
pub type Output = Box<dyn FnMut(u8) + Send>;

/// The parts of the board that the host reaches directly.
pub(crate) struct Board {
    pub console: Console,
}

impl Board {
    /// Builds the bus with all devices.
    pub fn new(
        config: &VmConfig,
        cluster: &Arc<Cluster>,
        output: Output,
    ) -> Result<(Bus, Board), Error> {
        let ram = GuestRam::new(config.memory)
            .map_err(|source| Error::HostMemory { mib: config.memory >> 20, source })?;
        let interrupts = Interrupts::new(config.cpus, cluster.clone());
        let clock = VmClock::new();
        let flash_as_array = Arc::new(AtomicBool::new(true));
        let mut bus = Bus::new(ram, interrupts.clone(), clock, flash_as_array);
        let spi = |number| Spi { interrupts: interrupts.clone(), number };

        let console = Console::new(Pl011::new(spi(map::SPI_UART), output));
        bus.attach(map::UART, Arc::new(Mutex::new(console.clone())));
        Ok((bus, Board { console }))
    }
}

/// The serial port and the input that waits for it.
#[derive(Clone)]
pub(crate) struct Console {
    inner: Arc<Mutex<ConsoleInner>>,
}

struct ConsoleInner {
    uart: Pl011<Spi, Output>,
    waiting: VecDeque<u8>,
}

impl ConsoleInner {
    /// Gives the serial port as much as it has room for.
    fn feed(&mut self) {
        while self.uart.room() > 0 {
            let Some(byte) = self.waiting.pop_front() else { return };
            self.uart.receive(&[byte]);
        }
    }
}

impl Console {
    fn new(uart: Pl011<Spi, Output>) -> Self {
        let inner = ConsoleInner { uart, waiting: VecDeque::new() };
        Console { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Adds input.
    pub fn input(&self, bytes: &[u8]) {
        let mut inner = lock(&self.inner);
        inner.waiting.extend(bytes);
        inner.feed();
    }

    /// How much input the serial port has not taken.
    pub fn waiting(&self) -> usize {
        lock(&self.inner).waiting.len()
    }
}

impl MmioDevice for Console {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        let mut inner = lock(&self.inner);
        let value = inner.uart.read(offset, size);
        inner.feed();
        value
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        let mut inner = lock(&self.inner);
        inner.uart.write(offset, size, value);
        inner.feed();
    }

    fn reset(&mut self) {
        lock(&self.inner).uart.reset();
    }
}

#[allow(dead_code)]
fn shared(device: impl MmioDevice + 'static) -> SharedDevice {
    Arc::new(Mutex::new(device))
}
