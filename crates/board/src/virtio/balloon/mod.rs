//! Memory balloon (VIRTIO 1.2, section 5.5): the guest gives memory back that it does not use. It does so
//! by itself for memory that has been free for a while (free page reporting), and inflates the balloon as
//! far as the host asks for it. It tells how it uses its memory, too.

pub mod spec;
mod state;

pub use state::BalloonState;

use super::spec::ID_BALLOON;
use super::{Chain, QueueError, Queues, VirtioDevice, read_config};
use crate::GuestMemory;
use spec::*;

/// What becomes of memory that the guest gives back.
pub trait Reclaim: Send {
    /// The contents of a range of guest-physical addresses matter no more: they may change to zero. The
    /// range is the guest's claim, and may not be memory.
    fn reclaim(&mut self, addr: u64, len: u64);
}

/// How the guest uses its memory, in bytes, as far as it tells.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MemoryUse {
    /// All memory that the guest's kernel manages.
    pub total: Option<u64>,
    /// Not used for anything.
    pub free: Option<u64>,
    /// What new programs could have without swapping.
    pub available: Option<u64>,
    /// Used for files, and quickly had back.
    pub caches: Option<u64>,
}

/// Queues, in the order in which Linux and QEMU count them: without a gap for free page hinting, which is
/// not offered.
const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const STATS: usize = 2;
const REPORTING: usize = 3;
const QUEUE_SIZES: [u16; 4] = [128, 128, 16, 32];

/// Page numbers of one request that are looked at: drivers send a quarter of it.
const MAX_PAGES: u64 = 1024;
/// Entries of one request for statistics that are looked at; there are ten kinds.
const MAX_ENTRIES: u64 = 64;

/// A balloon.
pub struct Balloon<R: Reclaim> {
    pages: R,
    target: u32,
    actual: u32,
}

impl<R: Reclaim> Balloon<R> {
    /// An empty balloon.
    pub fn new(pages: R) -> Self {
        Balloon {
            pages,
            target: 0,
            actual: 0,
        }
    }

    /// What memory is given back to.
    pub fn pages_mut(&mut self) -> &mut R {
        &mut self.pages
    }

    /// Asks the guest to inflate the balloon to so many pages of 4 KiB, or to deflate it.
    pub fn set_target(&mut self, pages: u32, queues: &mut Queues<'_>) {
        if self.target != pages {
            self.target = pages;
            queues.config_changed();
        }
    }

    /// The pages of 4 KiB in the balloon, as the guest tells.
    pub fn actual(&self) -> u32 {
        self.actual
    }

    /// How the guest used its memory when it was asked last, if it has told; and asks anew.
    ///
    /// # Errors
    ///
    /// The queue is broken.
    pub fn memory_use(&mut self, queues: &mut Queues<'_>) -> Result<Option<MemoryUse>, QueueError> {
        if queues.features() & F_STATS == 0 {
            return Ok(None);
        }
        let Some(chain) = queues.pop(STATS)? else {
            return Ok(None);
        };
        let told = entries(&chain, queues.memory())?;
        queues.push(STATS, chain, 0)?;
        Ok(Some(told))
    }

    /// Takes the pages of a request: numbers of 32 bits each. Neighbours go together.
    fn inflate(&mut self, chain: &Chain, memory: &dyn GuestMemory) -> Result<(), QueueError> {
        let count = (chain.readable_len() / 4).min(MAX_PAGES);
        let (mut start, mut end) = (0, 0);
        for n in 0..count {
            let mut number = [0; 4];
            chain.read(memory, 4 * n, &mut number)?;
            let addr = u64::from(u32::from_le_bytes(number)) * PAGE;
            if addr + PAGE == start {
                start = addr;
            } else if addr == end {
                end += PAGE;
            } else {
                self.reclaim(start, end);
                (start, end) = (addr, addr + PAGE);
            }
        }
        self.reclaim(start, end);
        Ok(())
    }

    fn reclaim(&mut self, start: u64, end: u64) {
        if end > start {
            self.pages.reclaim(start, end - start);
        }
    }
}

/// Reads what the guest tells of its memory.
fn entries(chain: &Chain, memory: &dyn GuestMemory) -> Result<MemoryUse, QueueError> {
    const ENTRY: u64 = 10;
    let mut told = MemoryUse::default();
    for n in 0..(chain.readable_len() / ENTRY).min(MAX_ENTRIES) {
        let mut entry = [0; ENTRY as usize];
        chain.read(memory, n * ENTRY, &mut entry)?;
        let [t0, t1, value @ ..] = entry;
        let value = Some(u64::from_le_bytes(value));
        match u16::from_le_bytes([t0, t1]) {
            S_MEMFREE => told.free = value,
            S_MEMTOT => told.total = value,
            S_AVAIL => told.available = value,
            S_CACHES => told.caches = value,
            _ => {}
        }
    }
    Ok(told)
}

impl<R: Reclaim> VirtioDevice for Balloon<R> {
    type State = BalloonState;

    fn id(&self) -> u32 {
        ID_BALLOON
    }

    fn features(&self) -> u64 {
        F_STATS | F_DEFLATE_ON_OOM | F_REPORTING
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn config_read(&self, offset: u64, buf: &mut [u8]) {
        let mut config = [0; 8];
        config[..4].copy_from_slice(&self.target.to_le_bytes());
        config[4..].copy_from_slice(&self.actual.to_le_bytes());
        read_config(&config, offset, buf);
    }

    fn config_write(&mut self, offset: u64, bytes: &[u8]) {
        if offset == ACTUAL
            && let Ok(actual) = bytes.try_into()
        {
            self.actual = u32::from_le_bytes(actual);
        }
    }

    fn reset(&mut self) {
        self.actual = 0;
    }

    fn save(&self) -> BalloonState {
        BalloonState {
            target: self.target,
            actual: self.actual,
        }
    }

    fn restore(&mut self, state: &BalloonState) -> bool {
        let BalloonState { target, actual } = *state;
        (self.target, self.actual) = (target, actual);
        false
    }

    fn notify(&mut self, queue: usize, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        // What is there of statistics waits until somebody asks.
        if queue == STATS {
            return Ok(());
        }
        while let Some(chain) = queues.pop(queue)? {
            match queue {
                INFLATE => self.inflate(&chain, queues.memory())?,
                DEFLATE => {}
                REPORTING => {
                    for (addr, len) in chain.writable() {
                        self.pages.reclaim(addr, len.into());
                    }
                }
                _ => return Ok(()),
            }
            queues.push(queue, chain, 0)?;
        }
        Ok(())
    }
}
