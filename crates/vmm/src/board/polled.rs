//! Devices in which something becomes due with time.

use crate::bus::lock;
use crate::irq::Interrupts;
use skep_board::MmioDevice;
use std::sync::{Arc, Mutex};

/// A device that the thread of the first vCPU looks at, when it is due. Whichever vCPU writes to it may
/// make that sooner than when that thread wants to be awake again.
pub(super) struct Polled<D> {
    pub device: Arc<Mutex<D>>,
    pub interrupts: Arc<Interrupts>,
}

impl<D: MmioDevice> MmioDevice for Polled<D> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        lock(&self.device).read(offset, size)
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        lock(&self.device).write(offset, size, value);
        self.interrupts.wake(0);
    }

    fn reset(&mut self) {
        lock(&self.device).reset();
    }
}
