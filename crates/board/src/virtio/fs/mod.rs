//! File system device (VIRTIO 1.2, section 5.11): FUSE messages through queues.
//!
//! Nothing is served here, and nothing when the driver notifies: a server somewhere else, which may
//! take its time, is woken, [takes](Transport::take) requests and [finishes](Transport::finish)
//! them.

pub mod spec;
mod state;

use super::spec::ID_FS;
use super::{Chain, QueueError, Queues, Transport, VirtioDevice, read_config};
use crate::{GuestMemory, IrqLine};
use alloc::vec::Vec;
use spec::*;
pub use state::FsState;

/// Size of each queue. A request of 256 pages, with its headers, must fit without indirect
/// descriptors: Linux makes none longer than this allows.
const QUEUE_SIZE: u16 = 512;
/// Number of queues for requests.
const REQUEST_QUEUES: u32 = 1;

/// Is told that there may be requests.
pub trait Wake: Send {
    /// Called by the thread that drives the device: must not wait.
    fn wake(&self);
}

/// A shared directory's device.
pub struct Fs<W: Wake> {
    tag: [u8; TAG_SIZE],
    server: W,
    session: u64,
}

/// A request that the server has taken and not finished.
#[derive(Debug)]
pub struct Request {
    queue: usize,
    chain: Chain,
    session: u64,
}

impl Request {
    /// Which session it belongs to: another one than the last request's means that the driver has
    /// reset the device in between, and knows no more of what it was told before.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Copies the message to `buf`, up to `limit` bytes of it.
    pub fn read(
        &self,
        memory: &dyn GuestMemory,
        limit: usize,
        buf: &mut Vec<u8>,
    ) -> Result<(), QueueError> {
        let len = self.chain.readable_len().min(limit as u64) as usize;
        buf.resize(len, 0);
        self.chain.read(memory, 0, buf)
    }

    /// How many bytes of reply the driver has room for.
    pub fn room(&self) -> u64 {
        self.chain.writable_len()
    }
}

impl<W: Wake> Fs<W> {
    /// A device with a name, by which the guest mounts it: at most 36 bytes count.
    pub fn new(tag: &str, server: W) -> Self {
        let mut bytes = [0; TAG_SIZE];
        for (to, from) in bytes.iter_mut().zip(tag.bytes()) {
            *to = from;
        }
        Fs {
            tag: bytes,
            server,
            session: 0,
        }
    }
}

impl<W: Wake> VirtioDevice for Fs<W> {
    type State = FsState;

    fn id(&self) -> u32 {
        ID_FS
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE; 2]
    }

    fn config_read(&self, offset: u64, buf: &mut [u8]) {
        let mut config = [0; CONFIG_SIZE];
        let (tag, queues) = config.split_at_mut(TAG_SIZE);
        tag.copy_from_slice(&self.tag);
        queues.copy_from_slice(&REQUEST_QUEUES.to_le_bytes());
        read_config(&config, offset, buf);
    }

    fn config_write(&mut self, _offset: u64, _bytes: &[u8]) {}

    fn reset(&mut self) {
        self.session = self.session.wrapping_add(1);
    }

    fn save(&self) -> FsState {
        FsState
    }

    /// What the guest knows of files is void: the server has another session.
    fn restore(&mut self, state: &FsState) -> bool {
        let FsState = *state;
        self.reset();
        false
    }

    fn notify(&mut self, _queue: usize, _queues: &mut Queues<'_>) -> Result<(), QueueError> {
        self.server.wake();
        Ok(())
    }
}

impl<W: Wake, M: GuestMemory, I: IrqLine> Transport<Fs<W>, M, I> {
    /// Takes the next request, if there is one.
    pub fn take(&mut self) -> Option<Request> {
        let mut taken = None;
        self.serve(|fs, queues| {
            for queue in [HIPRIO, REQUEST] {
                if let Some(chain) = queues.pop(queue)? {
                    let session = fs.session;
                    taken = Some(Request {
                        queue,
                        chain,
                        session,
                    });
                    break;
                }
            }
            Ok(())
        });
        taken
    }

    /// Hands a request back, with a reply of at most [`Request::room`] bytes. Of an earlier session
    /// it is dropped: its memory is no longer the device's.
    pub fn finish(&mut self, request: Request, reply: &[u8]) {
        self.serve(|fs, queues| {
            if fs.session != request.session {
                return Ok(());
            }
            request.chain.write(queues.memory(), 0, reply)?;
            // A chain's length fits: pop sees to that.
            queues.push(request.queue, request.chain, reply.len() as u32)
        });
    }

    /// A request can't be read: the device stops, and asks for a reset.
    pub fn refuse(&mut self, error: QueueError) {
        self.serve(|_, _| Err(error));
    }
}
