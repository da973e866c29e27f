//! Split virtqueues (VIRTIO 1.2, section 2.7), from the device's side.
//!
//! Everything in a queue is the guest's: each index, address and length is checked, and what is
//! wrong ends in a [`QueueError`], after which the transport asks for a reset.

use super::spec::*;
use super::state::QueueState;
use crate::{BadAddress, GuestMemory};
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

/// The largest indirect table, in descriptors. Linux makes tables longer than the queue when a
/// device announces so many segments; this is QEMU's limit.
pub const MAX_INDIRECT: u32 = 1024;

/// What is wrong with a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueError {
    /// An address or length outside guest memory.
    Memory(BadAddress),
    /// The size, or the address of a part, does not obey section 2.7's rules.
    Layout,
    /// More buffers are available than the queue has descriptors.
    AvailableIndex,
    /// A descriptor's number is not below the table's size.
    DescriptorIndex(u16),
    /// A chain has more descriptors than its table: a loop.
    Loop,
    /// An indirect descriptor that was not negotiated, is nested, has a successor, or whose table
    /// has a bad length.
    Indirect,
    /// A buffer for the device to read follows one for it to write.
    Order,
    /// The chain describes 4 GiB or more, or more than the device takes.
    TooLong,
    /// The chain's buffers are too small for what the device's requests need.
    TooShort,
}

impl From<BadAddress> for QueueError {
    fn from(bad: BadAddress) -> Self {
        QueueError::Memory(bad)
    }
}

impl core::fmt::Display for QueueError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            QueueError::Memory(bad) => {
                write!(
                    f,
                    "{} bytes at {:#x} are not in guest memory",
                    bad.len, bad.addr
                )
            }
            QueueError::Layout => f.write_str("the queue's size or addresses are not allowed"),
            QueueError::AvailableIndex => f.write_str("the available index is too far ahead"),
            QueueError::DescriptorIndex(index) => write!(f, "there is no descriptor {index}"),
            QueueError::Loop => f.write_str("a chain of descriptors has a loop"),
            QueueError::Indirect => f.write_str("an indirect descriptor is not allowed or bad"),
            QueueError::Order => f.write_str("a readable buffer follows a writable one"),
            QueueError::TooLong => f.write_str("a chain of descriptors is too long"),
            QueueError::TooShort => f.write_str("a request's buffers are too small"),
        }
    }
}

impl core::error::Error for QueueError {}

/// A buffer of a chain. Its end does not wrap around the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Segment {
    addr: u64,
    len: u32,
}

/// A request: a chain of descriptors taken from a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    head: u16,
    /// [`Queue::epoch`] when it was taken.
    epoch: u32,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
}

fn total(segments: &[Segment]) -> u64 {
    segments.iter().map(|s| u64::from(s.len)).sum()
}

/// Calls `access` with each address, and the part of `len` bytes there, that `offset` in the
/// segments covers.
fn cover(
    segments: &[Segment],
    mut offset: u64,
    len: usize,
    mut access: impl FnMut(u64, core::ops::Range<usize>) -> Result<(), BadAddress>,
) -> Result<(), QueueError> {
    let mut done = 0usize;
    for segment in segments {
        if done == len {
            break;
        }
        let available = u64::from(segment.len);
        if offset >= available {
            offset -= available;
            continue;
        }
        let part = (available - offset).min((len - done) as u64) as usize;
        access(segment.addr + offset, done..done + part)?;
        done += part;
        offset = 0;
    }
    if done == len {
        Ok(())
    } else {
        Err(QueueError::TooShort)
    }
}

impl Chain {
    /// How many bytes the device can read.
    pub fn readable_len(&self) -> u64 {
        total(&self.readable)
    }

    /// How many bytes the device can write.
    pub fn writable_len(&self) -> u64 {
        total(&self.writable)
    }

    /// The buffers that the device can write: address and length of each.
    pub fn writable(&self) -> impl Iterator<Item = (u64, u32)> {
        self.writable
            .iter()
            .map(|segment| (segment.addr, segment.len))
    }

    /// Reads what the driver sent, from byte `offset` of it.
    pub fn read(
        &self,
        memory: &dyn GuestMemory,
        offset: u64,
        buf: &mut [u8],
    ) -> Result<(), QueueError> {
        cover(&self.readable, offset, buf.len(), |addr, range| {
            match buf.get_mut(range) {
                Some(part) => memory.read(addr, part),
                None => Ok(()),
            }
        })
    }

    /// Writes into the driver's buffers, from byte `offset` of them.
    pub fn write(
        &self,
        memory: &dyn GuestMemory,
        offset: u64,
        buf: &[u8],
    ) -> Result<(), QueueError> {
        cover(&self.writable, offset, buf.len(), |addr, range| {
            match buf.get(range) {
                Some(part) => memory.write(addr, part),
                None => Ok(()),
            }
        })
    }
}

struct Descriptor {
    addr: u64,
    len: u32,
    flags: u16,
    next: u16,
}

fn descriptor(memory: &dyn GuestMemory, table: u64, index: u16) -> Result<Descriptor, QueueError> {
    let offset = u64::from(index) * DESC_SIZE;
    let addr = table.checked_add(offset).ok_or(BadAddress {
        addr: table,
        len: DESC_SIZE,
    })?;
    let mut bytes = [0; DESC_SIZE as usize];
    memory.read(addr, &mut bytes)?;
    let [
        a0,
        a1,
        a2,
        a3,
        a4,
        a5,
        a6,
        a7,
        l0,
        l1,
        l2,
        l3,
        f0,
        f1,
        n0,
        n1,
    ] = bytes;
    Ok(Descriptor {
        addr: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
        len: u32::from_le_bytes([l0, l1, l2, l3]),
        flags: u16::from_le_bytes([f0, f1]),
        next: u16::from_le_bytes([n0, n1]),
    })
}

/// A queue: what the transport's registers set up, and how far the device is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Queue {
    /// The largest size that the device supports.
    pub max: u16,
    /// The size as the driver wrote it, which [`Queue::enable`] checks.
    pub size: u32,
    /// Address of the descriptor table.
    pub desc: u64,
    /// Address of the available ring.
    pub driver: u64,
    /// Address of the used ring.
    pub device: u64,
    ready: bool,
    next_avail: u16,
    next_used: u16,
    /// The used index when the driver was last interrupted; none when it never was.
    signalled: Option<u16>,
    /// Buffers were used since.
    used: bool,
    /// Counts how often the driver stopped using the queue: requests of an earlier use are void.
    epoch: u32,
    /// Requests that were taken and not handed back.
    taken: u32,
}

impl Queue {
    pub fn new(max: u16) -> Self {
        Queue {
            max,
            size: u32::from(max),
            desc: 0,
            driver: 0,
            device: 0,
            ready: false,
            next_avail: 0,
            next_used: 0,
            signalled: None,
            used: false,
            epoch: 0,
            taken: 0,
        }
    }

    /// Exports the state, but for what only a legacy transport knows.
    pub fn save(&self) -> QueueState {
        QueueState {
            size: self.size,
            desc: self.desc,
            driver: self.driver,
            device: self.device,
            ready: self.ready,
            next_avail: self.next_avail,
            next_used: self.next_used,
            signalled: self.signalled,
            used: self.used,
            align: 0,
            pfn: 0,
        }
    }

    /// Takes over a saved state. An error means that the queue can't be used as it says, and is
    /// not.
    pub fn restore(&mut self, state: &QueueState) -> Result<(), QueueError> {
        let QueueState {
            size,
            desc,
            driver,
            device,
            ready,
            next_avail,
            next_used,
            signalled,
            used,
            align: _,
            pfn: _,
        } = *state;
        self.disable();
        (self.size, self.desc, self.driver, self.device) = (size, desc, driver, device);
        if ready {
            self.enable()?;
        }
        (self.next_avail, self.next_used) = (next_avail, next_used);
        (self.signalled, self.used) = (signalled, used);
        Ok(())
    }

    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Back to the state after reset.
    pub fn reset(&mut self) {
        *self = Queue {
            epoch: self.epoch.wrapping_add(1),
            ..Queue::new(self.max)
        };
    }

    /// Stops using the queue, and forgets how far it was used.
    pub fn disable(&mut self) {
        self.ready = false;
        self.next_avail = 0;
        self.next_used = 0;
        self.signalled = None;
        self.used = false;
        self.epoch = self.epoch.wrapping_add(1);
        self.taken = 0;
    }

    /// Starts using the queue where the registers say that it is.
    pub fn enable(&mut self) -> Result<(), QueueError> {
        let size = u64::from(self.size);
        let fits = |addr: u64, align: u64, len: u64| {
            addr.is_multiple_of(align) && addr.checked_add(len).is_some()
        };
        let valid = self.size.is_power_of_two()
            && self.size <= u32::from(self.max)
            && fits(self.desc, 16, DESC_SIZE * size)
            && fits(self.driver, 2, 6 + 2 * size)
            && fits(self.device, 4, 6 + 8 * size);
        if !valid {
            return Err(QueueError::Layout);
        }
        self.disable();
        self.ready = true;
        Ok(())
    }

    /// Position of ring entry `index`. The size is a power of two in a queue that is ready.
    fn slot(&self, index: u16) -> u64 {
        u64::from(index) & u64::from(self.size.wrapping_sub(1))
    }

    fn available(&self, memory: &dyn GuestMemory) -> Result<u16, QueueError> {
        let count = memory
            .read_u16_acquire(self.driver + 2)?
            .wrapping_sub(self.next_avail);
        if u32::from(count) > self.size {
            return Err(QueueError::AvailableIndex);
        }
        Ok(count)
    }

    /// Takes the next request, if there is one.
    pub fn pop(
        &mut self,
        memory: &dyn GuestMemory,
        features: u64,
    ) -> Result<Option<Chain>, QueueError> {
        if !self.ready {
            return Ok(None);
        }
        if self.available(memory)? == 0 {
            if features & F_EVENT_IDX == 0 {
                return Ok(None);
            }
            // Ask to be notified of the next request, then look again: another CPU may have made
            // one available, and seen the old event index, in between.
            memory
                .write_u16_release(self.device + 4 + 8 * u64::from(self.size), self.next_avail)?;
            fence(Ordering::SeqCst);
            if self.available(memory)? == 0 {
                return Ok(None);
            }
        }
        // A driver that makes descriptors available again before it got them back could have any
        // number of requests in flight.
        if self.taken >= self.size {
            return Err(QueueError::AvailableIndex);
        }
        let mut head = [0; 2];
        memory.read(self.driver + 4 + 2 * self.slot(self.next_avail), &mut head)?;
        let chain = self.walk(memory, u16::from_le_bytes(head), features)?;
        self.next_avail = self.next_avail.wrapping_add(1);
        self.taken += 1;
        Ok(Some(chain))
    }

    /// Makes the last `count` requests that were taken be taken again.
    pub fn put_back(&mut self, count: u16) {
        self.next_avail = self.next_avail.wrapping_sub(count);
        self.taken = self.taken.saturating_sub(u32::from(count));
    }

    fn walk(
        &self,
        memory: &dyn GuestMemory,
        head: u16,
        features: u64,
    ) -> Result<Chain, QueueError> {
        let mut chain = Chain {
            head,
            epoch: self.epoch,
            readable: Vec::new(),
            writable: Vec::new(),
        };
        let (mut table, mut entries, mut index) = (self.desc, self.size, head);
        let (mut steps, mut bytes, mut indirect) = (0u32, 0u32, false);
        loop {
            if u32::from(index) >= entries {
                return Err(QueueError::DescriptorIndex(index));
            }
            steps += 1;
            if steps > entries {
                return Err(QueueError::Loop);
            }
            let descriptor = descriptor(memory, table, index)?;
            if descriptor.flags & DESC_INDIRECT != 0 {
                let allowed = features & F_INDIRECT_DESC != 0
                    && !indirect
                    && descriptor.flags & DESC_NEXT == 0;
                entries = descriptor.len / DESC_SIZE as u32;
                let whole = descriptor.len.is_multiple_of(DESC_SIZE as u32);
                if !allowed || !whole || entries == 0 || entries > MAX_INDIRECT {
                    return Err(QueueError::Indirect);
                }
                (table, index, steps, indirect) = (descriptor.addr, 0, 0, true);
                continue;
            }
            let segment = Segment {
                addr: descriptor.addr,
                len: descriptor.len,
            };
            bytes = bytes.checked_add(segment.len).ok_or(QueueError::TooLong)?;
            if segment.addr.checked_add(u64::from(segment.len)).is_none() {
                return Err(BadAddress {
                    addr: segment.addr,
                    len: u64::from(segment.len),
                }
                .into());
            }
            if descriptor.flags & DESC_WRITE != 0 {
                chain.writable.push(segment);
            } else if chain.writable.is_empty() {
                chain.readable.push(segment);
            } else {
                return Err(QueueError::Order);
            }
            if descriptor.flags & DESC_NEXT == 0 {
                return Ok(chain);
            }
            index = descriptor.next;
        }
    }

    /// Whether a request is of the queue's present use.
    pub fn owns(&self, chain: &Chain) -> bool {
        self.ready && chain.epoch == self.epoch
    }

    /// Hands a request back, of which the device has written the first `written` bytes. One of an
    /// earlier use of the queue is forgotten.
    pub fn push(
        &mut self,
        memory: &dyn GuestMemory,
        chain: Chain,
        written: u32,
    ) -> Result<(), QueueError> {
        if !self.owns(&chain) {
            return Ok(());
        }
        self.taken = self.taken.saturating_sub(1);
        let mut entry = [0; 8];
        entry[..4].copy_from_slice(&u32::from(chain.head).to_le_bytes());
        entry[4..].copy_from_slice(&written.to_le_bytes());
        memory.write(self.device + 4 + 8 * self.slot(self.next_used), &entry)?;
        self.next_used = self.next_used.wrapping_add(1);
        memory.write_u16_release(self.device + 2, self.next_used)?;
        self.used = true;
        Ok(())
    }

    /// Whether the driver is to be interrupted for what was used since the last call.
    pub fn interrupt_due(
        &mut self,
        memory: &dyn GuestMemory,
        features: u64,
    ) -> Result<bool, QueueError> {
        if !self.ready || !self.used {
            return Ok(false);
        }
        self.used = false;
        // The used index must be visible before the driver's wish is read: the driver does these
        // two in the other order.
        fence(Ordering::SeqCst);
        if features & F_EVENT_IDX == 0 {
            return Ok(memory.read_u16_acquire(self.driver)? & AVAIL_NO_INTERRUPT == 0);
        }
        let event = memory.read_u16_acquire(self.driver + 4 + 2 * u64::from(self.size))?;
        let last = self.signalled.replace(self.next_used);
        // Section 2.7.7.2: interrupt when the event index is among those just used.
        Ok(last.is_none_or(|last| {
            self.next_used.wrapping_sub(event).wrapping_sub(1) < self.next_used.wrapping_sub(last)
        }))
    }
}
