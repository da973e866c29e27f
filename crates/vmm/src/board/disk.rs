//! Disks: images of the host, whose requests threads serve.

use crate::board::worker::{Device, Server, Workers};
use crate::config::Warn;
use crate::error::Error;
use crate::irq::Spi;
use crate::memory::GuestRam;
use crate::standstill::Standstill;
use skep_board::GuestMemory;
use skep_board::virtio::block::{Block, BlockBackend, BlockError, Request};
use skep_board::virtio::{Progress, QueueError, Transport, Version};
use skep_disk::{Disk, Image};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A disk behind its transport.
pub(crate) type DiskDevice = Transport<Block<Backend>, GuestRam, Spi>;

/// How many requests of a disk are served at the same time.
const THREADS: usize = 4;
/// How much a thread moves at once, bytes.
const CHUNK: usize = 256 << 10;

/// An image, and what its user is told once.
struct Store {
    image: Image,
    name: String,
    warn: Warn,
    warned: AtomicBool,
}

/// A handle to an image. Each thread has one.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Store>);

impl Handle {
    /// Gives to the host what is held back of what the guest wrote.
    pub fn write_back(&self) {
        // The guest is not there to be told.
        let _ = self.told("written", self.0.image.write_back());
    }

    /// What the guest is told of a result: whether. The user is told why, the first time.
    fn told(&self, what: &str, result: io::Result<()>) -> Result<(), BlockError> {
        result.map_err(|error| {
            if !self.0.warned.swap(true, Relaxed) {
                self.0.warn.tell(&format!(
                    "the disk {} can't be {what} ({error}); the guest is told of an error, and of \
                     further ones without a message here",
                    self.0.name
                ));
            }
            BlockError
        })
    }
}

impl BlockBackend for Handle {
    fn len(&self) -> u64 {
        self.0.image.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        self.told("read", self.0.image.read_at(buf, offset))
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError> {
        self.told("written", self.0.image.write_at(buf, offset))
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.told("flushed", self.0.image.flush())
    }

    fn read_only(&self) -> bool {
        self.0.image.read_only()
    }

    fn can_discard(&self) -> bool {
        true
    }

    fn discard(&mut self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.told("discarded from", self.0.image.discard(offset, len))
    }

    fn write_zeroes(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), BlockError> {
        self.told("written", self.0.image.write_zeroes(offset, len, unmap))
    }
}

/// Decides whether a vCPU writes by itself what is short. Mostly that is a copy to the host's memory,
/// which takes a tenth of the time in which a thread is woken and the vCPU again. But the host may
/// have a writer wait: then others write for a while, so that vCPUs wait for a small part of the time.
#[derive(Default)]
struct Patience {
    /// Until then, nothing is written here.
    away: Option<Instant>,
}

impl Patience {
    /// The longest write that is done at once, bytes.
    const SHORT: u64 = 16 << 10;
    /// What took longer had to wait.
    const QUICK: Duration = Duration::from_micros(200);
    /// For how many times as long as it took, others write.
    const REST: u32 = 20;

    /// Whether a write of so many bytes is done here.
    fn allows(&self, len: u64, now: Instant) -> bool {
        len <= Self::SHORT && self.away.is_none_or(|until| until <= now)
    }

    /// A write that ends now took so long.
    fn took(&mut self, time: Duration, now: Instant) {
        if time > Self::QUICK {
            self.away = Some(now + time * Self::REST);
        }
    }
}

/// The device's side of a disk.
pub(crate) struct Backend {
    handle: Handle,
    workers: Workers<DiskServer>,
    patience: Patience,
}

impl BlockBackend for Backend {
    fn len(&self) -> u64 {
        self.handle.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        self.handle.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError> {
        let start = Instant::now();
        let written = self.handle.write_at(offset, buf);
        let end = Instant::now();
        self.patience.took(end - start, end);
        written
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.handle.flush()
    }

    fn read_only(&self) -> bool {
        self.handle.read_only()
    }

    fn can_discard(&self) -> bool {
        self.handle.can_discard()
    }

    fn discard(&mut self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.handle.discard(offset, len)
    }

    fn write_zeroes(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), BlockError> {
        self.handle.write_zeroes(offset, len, unmap)
    }

    fn read_now(&mut self, offset: u64, buf: &mut [u8]) -> bool {
        self.handle.0.image.read_now(buf, offset)
    }

    fn hand_off(&mut self, request: Request) -> Option<Request> {
        let short = |len| self.patience.allows(len, Instant::now());
        if request.plain_write().is_some_and(short) {
            return Some(request);
        }
        self.workers.submit(request.queue(), request).err()
    }

    fn stopped(&mut self, queue: usize) {
        self.workers.cancel(queue);
    }
}

/// A thread's side of a disk.
struct DiskServer {
    handle: Handle,
    device: Device<DiskDevice>,
    buffer: Vec<u8>,
}

impl Server for DiskServer {
    type Job = Request;

    fn step(
        &mut self,
        job: &mut Request,
        memory: &dyn GuestMemory,
    ) -> Result<Progress, QueueError> {
        job.step(&mut self.handle, memory, &mut self.buffer)
    }

    fn finish(&mut self, job: Request, result: Result<(), QueueError>) {
        self.device.with(|device| {
            device.serve(|_, queues| job.finish(queues, result));
        });
    }
}

/// Opens a disk, and makes the device for it, and a handle for the host. `index` is its number.
pub(crate) fn device(
    disk: &Disk,
    index: usize,
    version: Version,
    ram: &Arc<GuestRam>,
    irq: Spi,
    standstill: &Arc<Standstill>,
    warn: &Warn,
) -> Result<(Arc<Mutex<DiskDevice>>, Handle), Error> {
    let image = Image::open(disk).map_err(|reason| Error::Disk {
        path: disk.path.clone(),
        reason: Box::new(reason),
    })?;
    let handle = Handle(Arc::new(Store {
        image,
        name: disk.path.display().to_string(),
        warn: warn.clone(),
        warned: AtomicBool::new(false),
    }));
    let for_host = handle.clone();
    let device = Arc::new_cyclic(|weak| {
        let device = Device::new(weak);
        let server = {
            let handle = handle.clone();
            move || DiskServer {
                handle: handle.clone(),
                device: device.clone(),
                buffer: vec![0; CHUNK],
            }
        };
        let workers = Workers::new(
            format!("disk{index}"),
            THREADS,
            1,
            ram.clone(),
            standstill.clone(),
            server,
        );
        let backend = Backend {
            handle,
            workers,
            patience: Patience::default(),
        };
        let block = Block::new(backend, &format!("skep-disk{index}"));
        Mutex::new(Transport::new(version, block, ram.clone(), irq))
    });
    Ok((device, for_host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vcpu_waits_for_the_host_a_small_part_of_the_time() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut patience = Patience::default();
        assert!(patience.allows(Patience::SHORT, start));
        assert!(!patience.allows(Patience::SHORT + 1, start));
        patience.took(Duration::from_micros(10), start);
        assert!(patience.allows(512, start));
        patience.took(Duration::from_millis(5), after(5));
        assert!(!patience.allows(512, after(5)));
        assert!(!patience.allows(512, after(104)));
        assert!(patience.allows(512, after(105)));
    }
}
