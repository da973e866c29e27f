//! The watchdog, and who looks at it.

use crate::bus::lock;
use crate::clock::VmClock;
use crate::irq::{Interrupts, Spi};
use skep_board::sp805::Sp805;
use skep_board::{MmioDevice, map};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A watchdog. Clones are the same one.
#[derive(Clone)]
pub(crate) struct HostWatchdog {
    device: Arc<Mutex<Sp805<Spi, VmClock>>>,
    interrupts: Arc<Interrupts>,
}

impl HostWatchdog {
    pub fn new(interrupts: Arc<Interrupts>, clock: VmClock) -> Self {
        let irq = Spi {
            interrupts: interrupts.clone(),
            number: map::SPI_WATCHDOG,
        };
        let device = Sp805::new(irq, clock, map::APB_HZ);
        HostWatchdog {
            device: Arc::new(Mutex::new(device)),
            interrupts,
        }
    }

    /// Lets it do what is due. True if the guest has not fed it. The first CPU's thread looks, whether
    /// that CPU executes or not.
    pub fn poll(&self) -> bool {
        lock(&self.device).poll()
    }

    /// How long until it is to be looked at.
    pub fn due(&self) -> Option<Duration> {
        lock(&self.device).ns_to_event().map(Duration::from_nanos)
    }
}

impl MmioDevice for HostWatchdog {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        lock(&self.device).read(offset, size)
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        lock(&self.device).write(offset, size, value);
        // It may be asleep for longer than it should be now.
        self.interrupts.wake(0);
    }

    fn reset(&mut self) {
        lock(&self.device).reset();
    }
}
