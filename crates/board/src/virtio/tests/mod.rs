//! The devices as a driver sees them: registers, and rings in memory.

mod balloon;
mod devices;
mod fs;
mod hostile;
mod later;
mod net;
mod queue;
mod random;
mod saved;
mod transport;
mod vsock;

use super::balloon::Reclaim;
use super::block::{Block, BlockBackend, BlockError};
use super::spec::*;
use super::{Transport, Version, VirtioDevice};
use crate::{BadAddress, GuestMemory, IrqLine, MmioDevice};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Mutex;

extern crate std;

pub const BASE: u64 = 0x4000_0000;
pub const RAM_SIZE: u64 = 1 << 20;
/// Queue `n` is at `BASE + n * QUEUE_SPAN`; buffers start at `BUFFERS`.
pub const QUEUE_SPAN: u64 = 0x1_0000;
pub const BUFFERS: u64 = BASE + 0x4_0000;
pub const PAGE: u32 = 4096;
pub const BOTH: [Version; 2] = [Version::Legacy, Version::Modern];

/// Guest memory.
pub struct Ram(Mutex<Vec<u8>>);

impl Ram {
    pub fn new() -> Arc<Self> {
        Arc::new(Ram(Mutex::new(vec![0; RAM_SIZE as usize])))
    }

    fn range(addr: u64, len: usize) -> Result<Range<usize>, BadAddress> {
        let len = len as u64;
        let bad = BadAddress { addr, len };
        let start = addr.checked_sub(BASE).ok_or(bad)?;
        let end = start
            .checked_add(len)
            .filter(|end| *end <= RAM_SIZE)
            .ok_or(bad)?;
        Ok(start as usize..end as usize)
    }

    pub fn bytes(&self, addr: u64, len: usize) -> Vec<u8> {
        let mut buf = vec![0; len];
        self.read(addr, &mut buf).unwrap();
        buf
    }

    pub fn u16(&self, addr: u64) -> u16 {
        self.read_u16_acquire(addr).unwrap()
    }

    pub fn set_u16(&self, addr: u64, value: u16) {
        self.write_u16_release(addr, value).unwrap();
    }
}

impl GuestMemory for Ram {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), BadAddress> {
        let range = Ram::range(addr, buf.len())?;
        buf.copy_from_slice(&self.0.lock().unwrap()[range]);
        Ok(())
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), BadAddress> {
        let range = Ram::range(addr, buf.len())?;
        self.0.lock().unwrap()[range].copy_from_slice(buf);
        Ok(())
    }

    fn read_u16_acquire(&self, addr: u64) -> Result<u16, BadAddress> {
        assert_eq!(addr % 2, 0, "unaligned index");
        let mut buf = [0; 2];
        self.read(addr, &mut buf)?;
        Ok(u16::from_le_bytes(buf))
    }

    fn write_u16_release(&self, addr: u64, value: u16) -> Result<(), BadAddress> {
        assert_eq!(addr % 2, 0, "unaligned index");
        self.write(addr, &value.to_le_bytes())
    }
}

/// An interrupt line that counts how often it was raised.
#[derive(Clone, Default)]
pub struct Line(Arc<(AtomicBool, AtomicUsize)>);

impl Line {
    pub fn high(&self) -> bool {
        self.0.0.load(SeqCst)
    }

    pub fn edges(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

impl IrqLine for Line {
    fn set(&self, level: bool) {
        if !self.0.0.swap(level, SeqCst) && level {
            self.0.1.fetch_add(1, SeqCst);
        }
    }
}

/// A disk in memory that can be told to fail.
#[derive(Default)]
pub struct Disk {
    pub bytes: Vec<u8>,
    pub read_only: bool,
    pub broken: bool,
    pub flushes: usize,
    /// So many requests are served before the host wants to pause; None: it never does.
    pub credit: Option<usize>,
}

impl Disk {
    fn range(&self, offset: u64, len: usize) -> Result<Range<usize>, BlockError> {
        let end = offset as usize + len;
        assert!(end <= self.bytes.len(), "beyond the end of the disk");
        if self.broken {
            Err(BlockError)
        } else {
            Ok(offset as usize..end)
        }
    }
}

impl BlockBackend for Disk {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let range = self.range(offset, buf.len())?;
        buf.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError> {
        assert!(!self.read_only, "write to a read-only disk");
        let range = self.range(offset, buf.len())?;
        self.bytes[range].copy_from_slice(buf);
        Ok(())
    }

    fn put_off(&mut self) -> bool {
        match &mut self.credit {
            None => false,
            Some(0) => true,
            Some(credit) => {
                *credit -= 1;
                false
            }
        }
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.flushes += 1;
        if self.broken { Err(BlockError) } else { Ok(()) }
    }

    fn read_only(&self) -> bool {
        self.read_only
    }
}

/// A disk of eight sectors, each filled with its number plus one.
pub fn disk() -> Block<Disk> {
    let bytes = (0..8 * 512).map(|i| (i / 512 + 1) as u8).collect();
    Block::new(
        Disk {
            bytes,
            ..Disk::default()
        },
        "serial-0123456789-and-more",
    )
}

pub struct Descriptor {
    pub addr: u64,
    pub len: u32,
    pub flags: u16,
    pub next: u16,
}

impl Descriptor {
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.addr.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.flags.to_le_bytes());
        bytes[14..].copy_from_slice(&self.next.to_le_bytes());
        bytes
    }
}

/// The driver's view of a queue.
#[derive(Clone, Copy)]
pub struct Ring {
    pub size: u16,
    pub desc: u64,
    pub avail: u64,
    pub used: u64,
    next_desc: u16,
    avail_idx: u16,
    used_idx: u16,
}

/// Memory that is given back, and kept.
pub struct NoReclaim;

impl Reclaim for NoReclaim {
    fn reclaim(&mut self, _addr: u64, _len: u64) {}
}

/// A request that was made available.
pub struct Posted {
    pub head: u16,
    /// Address and length of the writable buffers.
    writable: Vec<(u64, u32)>,
}

impl Posted {
    /// Address and length of the writable buffers.
    pub fn writable(&self) -> impl Iterator<Item = (u64, u64)> {
        self.writable.iter().map(|&(addr, len)| (addr, len.into()))
    }
}

/// A driver, and the device that it drives.
pub struct Driver<D: VirtioDevice> {
    pub transport: Transport<D, Ram, Line>,
    pub ram: Arc<Ram>,
    pub line: Line,
    pub version: Version,
    pub rings: Vec<Ring>,
    /// Put descriptors into a table of their own.
    pub indirect: bool,
    next_buffer: u64,
}

impl<D: VirtioDevice> Driver<D> {
    /// A device that nobody has touched.
    pub fn cold(version: Version, device: D) -> Self {
        let (ram, line) = (Ram::new(), Line::default());
        let transport = Transport::new(version, device, ram.clone(), line.clone());
        let (rings, indirect) = (Vec::new(), false);
        Driver {
            transport,
            ram,
            line,
            version,
            rings,
            indirect,
            next_buffer: BUFFERS,
        }
    }

    /// A device that is ready to serve requests, with the features it offers that are `wanted`.
    pub fn start(version: Version, device: D, wanted: u64) -> Self {
        let mut driver = Driver::cold(version, device);
        driver.negotiate(wanted);
        let mut queue = 0;
        while driver.select(queue) != 0 {
            driver.set_up(queue, 16);
            queue += 1;
        }
        driver.add_status(STATUS_DRIVER_OK);
        assert_eq!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
        driver
    }

    pub fn get(&mut self, register: u64) -> u32 {
        self.transport.read(register, 4) as u32
    }

    pub fn set(&mut self, register: u64, value: u32) {
        self.transport.write(register, 4, value.into());
    }

    pub fn add_status(&mut self, bits: u32) {
        let status = self.get(STATUS);
        self.set(STATUS, status | bits);
    }

    pub fn offered(&mut self) -> u64 {
        self.set(DEVICE_FEATURES_SEL, 1);
        let high = self.get(DEVICE_FEATURES);
        self.set(DEVICE_FEATURES_SEL, 0);
        u64::from(high) << 32 | u64::from(self.get(DEVICE_FEATURES))
    }

    pub fn accept(&mut self, features: u64) {
        for (sel, value) in [(1, features >> 32), (0, features)] {
            self.set(DRIVER_FEATURES_SEL, sel);
            self.set(DRIVER_FEATURES, value as u32);
        }
    }

    pub fn negotiate(&mut self, wanted: u64) {
        // Linux does these in this order.
        self.set(GUEST_PAGE_SIZE, PAGE);
        self.set(STATUS, 0);
        self.add_status(STATUS_ACKNOWLEDGE);
        self.add_status(STATUS_DRIVER);
        let offered = self.offered();
        self.accept(offered & (wanted | F_VERSION_1));
        if self.version == Version::Modern {
            self.add_status(STATUS_FEATURES_OK);
            assert_ne!(self.get(STATUS) & STATUS_FEATURES_OK, 0);
        }
    }

    /// Selects a queue; returns its largest size.
    pub fn select(&mut self, queue: u32) -> u32 {
        self.set(QUEUE_SEL, queue);
        self.get(QUEUE_NUM_MAX)
    }

    pub fn set_up(&mut self, queue: u32, size: u16) {
        let desc = BASE + u64::from(queue) * QUEUE_SPAN;
        let avail = desc + 16 * u64::from(size);
        let used = (avail + 6 + 2 * u64::from(size)).next_multiple_of(PAGE.into());
        self.select(queue);
        self.set(QUEUE_NUM, size.into());
        match self.version {
            Version::Legacy => {
                assert_eq!(self.get(QUEUE_PFN), 0);
                self.set(QUEUE_ALIGN, PAGE);
                self.set(QUEUE_PFN, (desc / u64::from(PAGE)) as u32);
            }
            Version::Modern => {
                assert_eq!(self.get(QUEUE_READY), 0);
                for (register, address) in [
                    (QUEUE_DESC_LOW, desc),
                    (QUEUE_DRIVER_LOW, avail),
                    (QUEUE_DEVICE_LOW, used),
                ] {
                    self.set(register, address as u32);
                    self.set(register + 4, (address >> 32) as u32);
                }
                self.set(QUEUE_READY, 1);
                assert_eq!(self.get(QUEUE_READY), 1);
            }
        }
        let ring = Ring {
            size,
            desc,
            avail,
            used,
            next_desc: 0,
            avail_idx: 0,
            used_idx: 0,
        };
        self.rings.truncate(queue as usize);
        self.rings.push(ring);
    }

    pub fn write_descriptor(&mut self, queue: usize, index: u16, descriptor: &Descriptor) {
        let table = self.rings[queue].desc;
        self.ram
            .write(table + 16 * u64::from(index), &descriptor.bytes())
            .unwrap();
    }

    /// Makes the chain at `head` available.
    pub fn publish(&mut self, queue: usize, head: u16) {
        let ring = &mut self.rings[queue];
        let slot = u64::from(ring.avail_idx % ring.size);
        self.ram.set_u16(ring.avail + 4 + 2 * slot, head);
        ring.avail_idx = ring.avail_idx.wrapping_add(1);
        self.ram.set_u16(ring.avail + 2, ring.avail_idx);
    }

    fn buffer(&mut self, len: usize) -> u64 {
        let addr = self.next_buffer;
        self.next_buffer = (addr + len as u64).next_multiple_of(16);
        if self.next_buffer > BASE + RAM_SIZE {
            self.next_buffer = BUFFERS;
            return self.buffer(len);
        }
        addr
    }

    /// Makes a request available, without a notification.
    pub fn post(&mut self, queue: usize, readable: &[&[u8]], writable: &[u32]) -> Posted {
        let mut segments = Vec::new();
        for bytes in readable {
            let addr = self.buffer(bytes.len());
            self.ram.write(addr, bytes).unwrap();
            segments.push((addr, bytes.len() as u32, 0));
        }
        for len in writable {
            segments.push((self.buffer(*len as usize), *len, DESC_WRITE));
        }
        let count = segments.len() as u16;
        let ring = &mut self.rings[queue];
        let (size, first) = (ring.size, if self.indirect { 0 } else { ring.next_desc });
        let head = ring.next_desc;
        ring.next_desc = (head + if self.indirect { 1 } else { count }) % size;
        let table = if self.indirect {
            self.buffer(16 * segments.len())
        } else {
            0
        };
        for (i, (addr, len, mut flags)) in (0..).zip(segments.iter().copied()) {
            if i + 1 < count {
                flags |= DESC_NEXT;
            }
            let modulus = if self.indirect { count } else { size };
            let descriptor = Descriptor {
                addr,
                len,
                flags,
                next: (first + i + 1) % modulus,
            };
            if self.indirect {
                self.ram
                    .write(table + 16 * u64::from(i), &descriptor.bytes())
                    .unwrap();
            } else {
                self.write_descriptor(queue, (first + i) % size, &descriptor);
            }
        }
        if self.indirect {
            let len = 16 * u32::from(count);
            let descriptor = Descriptor {
                addr: table,
                len,
                flags: DESC_INDIRECT,
                next: 0,
            };
            self.write_descriptor(queue, head, &descriptor);
        }
        self.publish(queue, head);
        let writable = segments
            .iter()
            .filter(|s| s.2 != 0)
            .map(|s| (s.0, s.1))
            .collect();
        Posted { head, writable }
    }

    pub fn notify(&mut self, queue: usize) {
        self.set(QUEUE_NOTIFY, queue as u32);
    }

    /// What the device wrote into a request's buffers.
    pub fn contents(&self, posted: &Posted) -> Vec<u8> {
        posted
            .writable
            .iter()
            .flat_map(|(addr, len)| self.ram.bytes(*addr, *len as usize))
            .collect()
    }

    /// The next used request's head, and how many bytes the device wrote.
    pub fn take(&mut self, queue: usize) -> Option<(u16, u32)> {
        let ring = &mut self.rings[queue];
        if self.ram.u16(ring.used + 2) == ring.used_idx {
            return None;
        }
        let entry = ring.used + 4 + 8 * u64::from(ring.used_idx % ring.size);
        ring.used_idx = ring.used_idx.wrapping_add(1);
        let bytes = self.ram.bytes(entry, 8);
        let word = |i: usize| u32::from_le_bytes(bytes[i..i + 4].try_into().unwrap());
        Some((word(0) as u16, word(4)))
    }

    /// Has a request served: how many bytes were written, and the writable buffers afterwards.
    pub fn request(
        &mut self,
        queue: usize,
        readable: &[&[u8]],
        writable: &[u32],
    ) -> (u32, Vec<u8>) {
        let posted = self.post(queue, readable, writable);
        self.notify(queue);
        let (head, written) = self.take(queue).expect("the request is served");
        assert_eq!(head, posted.head);
        (written, self.contents(&posted))
    }

    /// Handles an interrupt as Linux does: acknowledges what is pending.
    pub fn acknowledge(&mut self) -> u32 {
        let pending = self.get(INTERRUPT_STATUS);
        self.set(INTERRUPT_ACK, pending);
        pending
    }
}
