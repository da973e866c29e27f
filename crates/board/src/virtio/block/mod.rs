//! Block device (VIRTIO 1.2, section 5.2).

pub mod spec;
mod state;

use super::spec::ID_BLOCK;
use super::{Chain, QueueError, Queues, VirtioDevice, read_config};
use crate::GuestMemory;
use alloc::vec;
use alloc::vec::Vec;
use spec::*;
pub use state::BlockState;

/// The backend could not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockError;

impl core::fmt::Display for BlockError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the disk's backend reported an error")
    }
}

impl core::error::Error for BlockError {}

/// Where a disk's contents are.
pub trait BlockBackend: Send {
    /// Size in bytes. What does not fill a sector of 512 bytes at the end is not shown.
    fn len(&self) -> u64;

    /// Whether there is nothing at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads all of `buf` from byte `offset`. The range is within [`BlockBackend::len`].
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BlockError>;

    /// Writes all of `buf` at byte `offset`. The range is within [`BlockBackend::len`]. Not called
    /// when the disk is read-only.
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError>;

    /// Makes what was written survive a crash of the host.
    fn flush(&mut self) -> Result<(), BlockError>;

    /// Whether the disk cannot be written. Constant.
    fn read_only(&self) -> bool;

    /// The host wants the VM to stand still: further requests are put off until
    /// [`MmioDevice::resume`](crate::MmioDevice::resume). One queue can ask for hundreds of copies
    /// of the whole disk.
    fn put_off(&mut self) -> bool {
        false
    }
}

/// Size of the queue.
const QUEUE_SIZE: u16 = 256;
/// How much is moved at once, unless it is [limited](Block::limited).
const CHUNK: usize = 64 << 10;

/// A disk.
pub struct Block<B: BlockBackend> {
    backend: B,
    id: [u8; ID_BYTES],
    buffer: Vec<u8>,
    max_request: u64,
}

/// A request's outcome: its status and how many bytes of data the guest was given.
type Outcome = (u8, u64);

impl<B: BlockBackend> Block<B> {
    /// A disk with a serial number, of which the first 20 bytes count.
    pub fn new(backend: B, serial: &str) -> Self {
        let mut id = [0; ID_BYTES];
        for (to, from) in id.iter_mut().zip(serial.bytes()) {
            *to = from;
        }
        Block {
            backend,
            id,
            buffer: vec![0; CHUNK],
            max_request: u64::MAX,
        }
    }

    /// Moves at most `chunk` bytes at once, which is the memory that the disk takes, and refuses
    /// requests for more than `request` bytes: the guest waits for each as a whole.
    #[must_use]
    pub fn limited(self, chunk: usize, request: u64) -> Self {
        Block {
            buffer: vec![0; chunk.max(1)],
            max_request: request,
            ..self
        }
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The backend, to be changed. A change of its size needs [`Queues::config_changed`].
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Whole sectors.
    fn capacity(&self) -> u64 {
        self.backend.len() / SECTOR
    }

    /// The byte at which `len` bytes from `sector` start, if all of them exist and are not too many.
    fn locate(&self, sector: u64, len: u64) -> Option<u64> {
        let capacity = self.capacity() * SECTOR;
        let start = sector.checked_mul(SECTOR)?;
        let end = start.checked_add(len)?;
        let fits = end <= capacity && len <= self.max_request;
        (fits && len.is_multiple_of(SECTOR)).then_some(start)
    }

    /// Reads `len` bytes into the request.
    fn input(
        &mut self,
        chain: &Chain,
        memory: &dyn GuestMemory,
        sector: u64,
        len: u64,
    ) -> Result<Outcome, QueueError> {
        let Some(start) = self.locate(sector, len) else {
            return Ok((S_IOERR, 0));
        };
        let mut done = 0;
        while done < len {
            let part = (len - done).min(self.buffer.len() as u64);
            let Some(buf) = self.buffer.get_mut(..part as usize) else {
                break;
            };
            if self.backend.read_at(start + done, buf).is_err() {
                return Ok((S_IOERR, done));
            }
            chain.write(memory, done, buf)?;
            done += part;
        }
        Ok((S_OK, done))
    }

    /// Writes the `len` bytes that follow the request's header.
    fn output(
        &mut self,
        chain: &Chain,
        memory: &dyn GuestMemory,
        sector: u64,
        len: u64,
        write_through: bool,
    ) -> Result<u8, QueueError> {
        if self.backend.read_only() {
            return Ok(S_IOERR);
        }
        let Some(start) = self.locate(sector, len) else {
            return Ok(S_IOERR);
        };
        let mut done = 0;
        while done < len {
            let part = (len - done).min(self.buffer.len() as u64);
            let Some(buf) = self.buffer.get_mut(..part as usize) else {
                break;
            };
            chain.read(memory, HEADER as u64 + done, buf)?;
            if self.backend.write_at(start + done, buf).is_err() {
                return Ok(S_IOERR);
            }
            done += part;
        }
        if write_through && self.backend.flush().is_err() {
            return Ok(S_IOERR);
        }
        Ok(S_OK)
    }

    /// Serves a request. Returns how many bytes, from their start, of its writable buffers have
    /// been written.
    fn request(
        &mut self,
        chain: &Chain,
        memory: &dyn GuestMemory,
        features: u64,
    ) -> Result<u32, QueueError> {
        let mut header = [0; HEADER];
        chain.read(memory, 0, &mut header)?;
        let [t0, t1, t2, t3, _, _, _, _, sector @ ..] = header;
        let sector = u64::from_le_bytes(sector);
        // The status is the last byte, and all before it is for data (section 5.2.6).
        let room = chain
            .writable_len()
            .checked_sub(1)
            .ok_or(QueueError::TooShort)?;
        let sent = chain.readable_len().saturating_sub(HEADER as u64);
        let (status, done) = match u32::from_le_bytes([t0, t1, t2, t3]) {
            T_IN => self.input(chain, memory, sector, room)?,
            T_OUT => {
                // A driver that cannot flush relies on each write's being safe (section 5.2.6.2).
                let write_through = features & F_FLUSH == 0;
                (self.output(chain, memory, sector, sent, write_through)?, 0)
            }
            T_FLUSH => (self.backend.flush().map_or(S_IOERR, |()| S_OK), 0),
            T_GET_ID => {
                let len = room.min(ID_BYTES as u64);
                chain.write(memory, 0, self.id.get(..len as usize).unwrap_or_default())?;
                (S_OK, len)
            }
            _ => (S_UNSUPP, 0),
        };
        chain.write(memory, room, &[status])?;
        Ok(if done == room {
            room.saturating_add(1)
        } else {
            done
        } as u32)
    }
}

impl<B: BlockBackend> VirtioDevice for Block<B> {
    type State = BlockState;

    fn id(&self) -> u32 {
        ID_BLOCK
    }

    fn features(&self) -> u64 {
        let read_only = if self.backend.read_only() { F_RO } else { 0 };
        F_SEG_MAX | F_BLK_SIZE | F_FLUSH | read_only
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn config_read(&self, offset: u64, buf: &mut [u8]) {
        let mut config = [0; CONFIG_SIZE];
        let (capacity, rest) = config.split_at_mut(CONFIG_SEG_MAX);
        let (seg_max, rest) = rest.split_at_mut(CONFIG_BLK_SIZE - CONFIG_SEG_MAX);
        capacity[..8].copy_from_slice(&self.capacity().to_le_bytes());
        // The header and the status take a descriptor each.
        seg_max[..4].copy_from_slice(&(u32::from(QUEUE_SIZE) - 2).to_le_bytes());
        rest[..4].copy_from_slice(&(SECTOR as u32).to_le_bytes());
        read_config(&config, offset, buf);
    }

    fn config_write(&mut self, _offset: u64, _bytes: &[u8]) {}

    fn reset(&mut self) {}

    fn save(&self) -> BlockState {
        BlockState {
            capacity: self.capacity(),
        }
    }

    fn restore(&mut self, state: &BlockState) -> bool {
        // The capacity is the backend's.
        let BlockState { capacity } = *state;
        capacity != self.capacity()
    }

    fn notify(&mut self, queue: usize, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        while !self.backend.put_off()
            && let Some(chain) = queues.pop(queue)?
        {
            let written = self.request(&chain, queues.memory(), queues.features())?;
            queues.push(queue, chain, written)?;
        }
        Ok(())
    }
}
