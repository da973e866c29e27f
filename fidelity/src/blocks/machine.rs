//! The machine that programs run on: flat memory, and nothing else.

use crate::engine::Words;
use skep_interp::code::CodeMap;
use skep_interp::{BusError, Cluster, Counters, Direct, DirectMemory, Machine};
use std::sync::Arc;

/// Memory, and what the vCPUs share.
pub struct Board {
    /// Physical memory, from address 0.
    pub memory: Words,
    code: CodeMap,
    /// The vCPUs' inputs.
    pub cluster: Arc<Cluster>,
}

impl Board {
    /// A machine with `size` bytes of memory, for some vCPUs.
    pub fn new(size: usize, vcpus: usize) -> Arc<Self> {
        let cluster = Cluster::new(vcpus);
        Arc::new(Board {
            memory: Words::new(size),
            code: CodeMap::new(size, cluster.controls().cloned().collect()),
            cluster,
        })
    }

    /// Replaces all of memory.
    pub fn load(&self, words: &[u64]) {
        for (at, word) in words.iter().enumerate() {
            self.memory.store64(at * 8, *word);
        }
        self.code.written(0, words.len() * 8);
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

    fn mmio_read(&self, _: usize, _: u64, _: u8) -> Result<u64, BusError> {
        Err(BusError)
    }

    fn mmio_write(&self, _: usize, _: u64, _: u8, _: u64) -> Result<(), BusError> {
        Err(BusError)
    }

    fn yield_host(&self) {
        std::thread::yield_now();
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}
