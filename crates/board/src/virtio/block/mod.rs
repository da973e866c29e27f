//! Block device (VIRTIO 1.2, section 5.2).

mod request;
pub mod spec;
mod state;

use super::spec::ID_BLOCK;
use super::{Progress, QueueError, Queues, VirtioDevice, read_config};
use crate::GuestMemory;
use alloc::vec;
use alloc::vec::Vec;
pub use request::Request;
use request::{Limits, MAX_RANGE_SECTORS, MAX_RANGES};
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

    /// As [`BlockBackend::read_at`], if that takes no wait for a device of the host: whether it was
    /// done. Asked for short reads before they are [handed off](BlockBackend::hand_off).
    fn read_now(&mut self, _offset: u64, _buf: &mut [u8]) -> bool {
        false
    }

    /// Writes all of `buf` at byte `offset`. The range is within [`BlockBackend::len`]. Not called
    /// when the disk is read-only.
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError>;

    /// Makes what was written survive a crash of the host.
    fn flush(&mut self) -> Result<(), BlockError>;

    /// Whether the disk cannot be written. Constant.
    fn read_only(&self) -> bool;

    /// Whether [`BlockBackend::discard`] and [`BlockBackend::write_zeroes`] do something. Constant.
    fn can_discard(&self) -> bool {
        false
    }

    /// The contents of the range matter no more: what they take may be given back. The range is within
    /// [`BlockBackend::len`]. Not called when the disk is read-only.
    fn discard(&mut self, _offset: u64, _len: u64) -> Result<(), BlockError> {
        Err(BlockError)
    }

    /// Makes the range zero. `unmap`: what it takes may be given back. As for
    /// [`BlockBackend::discard`].
    fn write_zeroes(&mut self, _offset: u64, _len: u64, _unmap: bool) -> Result<(), BlockError> {
        Err(BlockError)
    }

    /// Offers a request to be served elsewhere, while the guest goes on: with [`Request::step`] until
    /// it is done, and then [`Request::finish`]. One that comes back is served at once.
    fn hand_off(&mut self, request: Request) -> Option<Request> {
        Some(request)
    }

    /// Requests of a queue that were handed off are void: see [`VirtioDevice::stopped`].
    fn stopped(&mut self, _queue: usize) {}

    /// The host wants the VM to stand still: further requests are put off until
    /// [`MmioDevice::resume`](crate::MmioDevice::resume). One queue can ask for hundreds of copies
    /// of the whole disk.
    fn put_off(&mut self) -> bool {
        false
    }
}

/// Size of the queue.
const QUEUE_SIZE: u16 = 256;
/// What drivers should align discards to, sectors: the page that hosts' file systems allocate.
const DISCARD_ALIGNMENT: u32 = 8;
/// How much is moved at once, unless it is [limited](Block::limited).
const CHUNK: usize = 64 << 10;

/// A disk.
pub struct Block<B: BlockBackend> {
    backend: B,
    id: [u8; ID_BYTES],
    buffer: Vec<u8>,
    max_request: u64,
}

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

    /// Serves a request to its end.
    fn serve(
        &mut self,
        mut request: Request,
        memory: &dyn GuestMemory,
    ) -> Result<Request, QueueError> {
        while request.step(&mut self.backend, memory, &mut self.buffer)? == Progress::More {}
        Ok(request)
    }
}

impl<B: BlockBackend> VirtioDevice for Block<B> {
    type State = BlockState;

    fn id(&self) -> u32 {
        ID_BLOCK
    }

    fn features(&self) -> u64 {
        let access = match (self.backend.read_only(), self.backend.can_discard()) {
            (true, _) => F_RO,
            (false, true) => F_DISCARD | F_WRITE_ZEROES,
            (false, false) => 0,
        };
        F_SEG_MAX | F_BLK_SIZE | F_FLUSH | access
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn config_read(&self, offset: u64, buf: &mut [u8]) {
        let mut config = [0; CONFIG_SIZE];
        let mut set = |at: usize, value: &[u8]| {
            if let Some(field) = config.get_mut(at..at + value.len()) {
                field.copy_from_slice(value);
            }
        };
        set(CONFIG_CAPACITY, &self.capacity().to_le_bytes());
        // The header and the status take a descriptor each.
        set(CONFIG_SEG_MAX, &(u32::from(QUEUE_SIZE) - 2).to_le_bytes());
        set(CONFIG_BLK_SIZE, &(SECTOR as u32).to_le_bytes());
        if self.features() & F_DISCARD != 0 {
            set(CONFIG_MAX_DISCARD_SECTORS, &MAX_RANGE_SECTORS.to_le_bytes());
            set(CONFIG_MAX_DISCARD_SEG, &MAX_RANGES.to_le_bytes());
            set(CONFIG_DISCARD_ALIGNMENT, &DISCARD_ALIGNMENT.to_le_bytes());
            set(CONFIG_MAX_ZEROES_SECTORS, &MAX_RANGE_SECTORS.to_le_bytes());
            set(CONFIG_MAX_ZEROES_SEG, &MAX_RANGES.to_le_bytes());
            set(CONFIG_ZEROES_MAY_UNMAP, &[1]);
        }
        read_config(&config, offset, buf);
    }

    fn config_write(&mut self, _offset: u64, _bytes: &[u8]) {}

    fn reset(&mut self) {}

    fn stopped(&mut self, queue: usize) {
        self.backend.stopped(queue);
    }

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
            let limits = Limits {
                len: self.capacity() * SECTOR,
                max_request: self.max_request,
                read_only: self.backend.read_only(),
                can_discard: self.backend.can_discard(),
                id: &self.id,
                features: queues.features(),
            };
            let mut request = Request::new(queue, chain, queues.memory(), &limits)?;
            request.read_now(&mut self.backend, queues.memory(), &mut self.buffer)?;
            let request = if request.is_done() {
                Some(request)
            } else {
                self.backend.hand_off(request)
            };
            if let Some(request) = request {
                self.serve(request, queues.memory())?
                    .finish(queues, Ok(()))?;
            }
        }
        Ok(())
    }
}
