//! The memory balloon: guest memory that goes back to the host.

use crate::bus::lock;
use crate::irq::Spi;
use crate::memory::GuestRam;
use crate::stats::MemoryStats;
use skep_board::virtio::balloon::{Balloon, MemoryUse, Reclaim};
use skep_board::virtio::{Transport, Version};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the guest has to tell how it uses its memory.
const ANSWER_LIMIT: Duration = Duration::from_millis(100);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(2);
/// Bytes of the balloon's pages.
const PAGE: u64 = 4096;

/// Gives memory back to the host, and counts it.
pub(crate) struct ToHost {
    ram: Arc<GuestRam>,
    given: Arc<AtomicU64>,
}

impl Reclaim for ToHost {
    fn reclaim(&mut self, addr: u64, len: u64) {
        let given = self.ram.give_back(addr, len);
        self.given.fetch_add(given, Relaxed);
    }
}

/// The balloon, as the host uses it.
#[derive(Clone)]
pub(crate) struct HostBalloon {
    device: Arc<Mutex<Transport<Balloon<ToHost>, GuestRam, Spi>>>,
    given: Arc<AtomicU64>,
}

impl HostBalloon {
    pub fn new(version: Version, ram: &Arc<GuestRam>, irq: Spi) -> Self {
        let given = Arc::new(AtomicU64::new(0));
        let pages = ToHost {
            ram: ram.clone(),
            given: given.clone(),
        };
        let transport = Transport::new(version, Balloon::new(pages), ram.clone(), irq);
        HostBalloon {
            device: Arc::new(Mutex::new(transport)),
            given,
        }
    }

    /// The device on the bus.
    pub fn device(&self) -> Arc<Mutex<Transport<Balloon<ToHost>, GuestRam, Spi>>> {
        self.device.clone()
    }

    /// Asks the guest to do without so many bytes.
    pub fn set_target(&self, bytes: u64) {
        let pages = u32::try_from(bytes / PAGE).unwrap_or(u32::MAX);
        lock(&self.device).with_device(|device, queues| device.set_target(pages, queues));
    }

    /// What is known of guest memory: if the guest runs, as it is now.
    pub fn stats(&self, runs: bool) -> MemoryStats {
        let before = self.ask();
        let mut now = None;
        if runs && before.is_some() {
            let end = Instant::now() + ANSWER_LIMIT;
            while now.is_none() && Instant::now() < end {
                std::thread::sleep(LOOK);
                now = self.ask();
            }
        }
        MemoryStats {
            told: now.or(before),
            ballooned: u64::from(lock(&self.device).device().actual()) * PAGE,
            given: self.given.load(Relaxed),
        }
    }

    /// How the guest used its memory when it was asked last, unless it has not answered yet; asks anew.
    fn ask(&self) -> Option<MemoryUse> {
        let mut told = None;
        lock(&self.device).serve(|device, queues| {
            told = device.memory_use(queues)?;
            Ok(())
        });
        told
    }
}
