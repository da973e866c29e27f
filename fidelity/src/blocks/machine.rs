//! The machine that programs run on: flat memory, and a device.
//!
//! The device drives the interrupt lines of the first vCPU, by stores at [`LOWER_IRQ`] and the offsets that follow
//! it, and keeps a hash of all other accesses in their order; what is read is part of it.

use super::map;
use crate::engine::Words;
use skep_interp::code::CodeMap;
use skep_interp::{BusError, Cluster, Control, Counters, Direct, DirectMemory, Machine};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Offset in the device of the byte or word whose store lowers the line of IRQ.
pub const LOWER_IRQ: u32 = 0;
/// The same for FIQ.
pub const LOWER_FIQ: u32 = 4;
/// Raises the line of IRQ.
pub const RAISE_IRQ: u32 = 8;
/// Raises the line of FIQ.
pub const RAISE_FIQ: u32 = 12;

/// Memory, and what the vCPUs share.
pub struct Board {
    /// Physical memory, from address 0.
    pub memory: Words,
    code: CodeMap,
    /// The vCPUs' inputs.
    pub cluster: Arc<Cluster>,
    log: AtomicU64,
}

impl Board {
    /// A machine with `size` bytes of memory, for some vCPUs.
    pub fn new(size: usize, vcpus: usize) -> Arc<Self> {
        let cluster = Cluster::new(vcpus);
        let watchers = cluster.controls().cloned().collect();
        Self::with_watchers(size, cluster, watchers)
    }

    /// A machine whose vCPUs are not told when code is written: the mistake that tests plant.
    pub fn deaf(size: usize) -> Arc<Self> {
        Self::with_watchers(size, Cluster::new(1), Vec::new())
    }

    fn with_watchers(size: usize, cluster: Arc<Cluster>, watchers: Vec<Arc<Control>>) -> Arc<Self> {
        Arc::new(Board {
            memory: Words::new(size),
            code: CodeMap::new(size, watchers),
            cluster,
            log: AtomicU64::new(0),
        })
    }

    /// Replaces all of memory; what stays as it was does not count as written.
    pub fn load(&self, words: &[u64]) {
        for (at, word) in words.iter().enumerate() {
            if self.memory.load64(at * 8) != *word {
                self.memory.store64(at * 8, *word);
                self.code.written(at * 8, 8);
            }
        }
        self.log.store(0, Relaxed);
    }

    /// What the device kept of its accesses.
    pub fn log(&self) -> u64 {
        self.log.load(Relaxed)
    }

    fn note(&self, access: u64) -> u64 {
        let old = self.log.load(Relaxed);
        let new = (old ^ access)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
        self.log.store(new, Relaxed);
        new
    }

    /// All of memory.
    pub fn contents(&self) -> Vec<u64> {
        (0..self.memory.size() / 8)
            .map(|at| self.memory.load64(at * 8))
            .collect()
    }
}

impl Machine for Board {
    type Memory = Words;

    fn memory(&self) -> &Words {
        &self.memory
    }

    fn code(&self) -> &CodeMap {
        &self.code
    }

    fn direct(&self, pa: u64) -> Option<Direct> {
        let offset = usize::try_from(pa).ok()? & !0xfff;
        (offset < self.memory.size()).then_some(Direct {
            offset,
            writable: true,
        })
    }

    fn physical(&self, offset: usize) -> u64 {
        offset as u64
    }

    fn mmio_read(&self, _: usize, pa: u64, size: u8) -> Result<u64, BusError> {
        if pa >> 13 != u64::from(map::DEVICE_PA >> 13) {
            return Err(BusError);
        }
        let value = self.note(pa << 8 | u64::from(size));
        Ok(value & u64::MAX >> (64 - 8 * u32::from(size)))
    }

    fn mmio_write(&self, _: usize, pa: u64, size: u8, value: u64) -> Result<(), BusError> {
        if pa >> 13 != u64::from(map::DEVICE_PA >> 13) {
            return Err(BusError);
        }
        let Some(control) = self.cluster.control(0) else {
            return Err(BusError);
        };
        match (pa as u32).wrapping_sub(map::DEVICE_PA) {
            LOWER_IRQ => control.set_irq(false),
            LOWER_FIQ => control.set_fiq(false),
            RAISE_IRQ => control.set_irq(true),
            RAISE_FIQ => control.set_fiq(true),
            _ => {
                self.note(value ^ pa << 40 ^ u64::from(size) << 32);
            }
        }
        Ok(())
    }

    fn yield_host(&self) {
        std::thread::yield_now();
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}
