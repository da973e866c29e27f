//! File system device (VIRTIO 1.2, section 5.11): FUSE messages through queues.
//!
//! Nothing is served here: requests are [handed off](FsServer::hand_off) to a server, which may take its
//! time, and come back with a reply.

pub mod spec;
mod state;

use super::spec::ID_FS;
use super::{Chain, QueueError, Queues, VirtioDevice, read_config};
use crate::GuestMemory;
use alloc::vec::Vec;
use spec::*;
pub use state::FsState;

/// Size of each queue. A request of 256 pages, with its headers, must fit without indirect
/// descriptors: Linux makes none longer than this allows.
const QUEUE_SIZE: u16 = 512;
/// Number of queues for requests.
const REQUEST_QUEUES: u32 = 1;

/// Who serves requests, elsewhere.
pub trait FsServer: Send {
    /// Takes a request, to [reply](Request::reply) to it later and [finish](Request::finish) it. One that
    /// comes back is not served: the driver takes that for an error of input or output. Must not wait.
    fn hand_off(&mut self, request: Request) -> Option<Request>;

    /// Requests of a queue that were handed off are void: see [`VirtioDevice::stopped`].
    fn stopped(&mut self, _queue: usize) {}
}

/// A shared directory's device.
pub struct Fs<S: FsServer> {
    tag: [u8; TAG_SIZE],
    server: S,
    session: u64,
}

/// A request that was handed off.
#[derive(Debug)]
pub struct Request {
    queue: usize,
    chain: Chain,
    session: u64,
    /// How much of the reply was written, bytes.
    replied: u32,
}

impl Request {
    /// The queue that it came from.
    pub fn queue(&self) -> usize {
        self.queue
    }

    /// Which session it belongs to: another one than the last request's means that the driver has
    /// reset the device in between, and knows no more of what it was told before.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Copies the message to `buf`, up to `limit` bytes of it.
    ///
    /// # Errors
    /// The queue is broken.
    pub fn message(
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

    /// Writes the reply.
    ///
    /// # Errors
    /// The queue is broken, or the reply is longer than [`Request::room`].
    pub fn reply(&mut self, memory: &dyn GuestMemory, reply: &[u8]) -> Result<(), QueueError> {
        self.chain.write(memory, 0, reply)?;
        // A chain's length fits: taking it from its queue sees to that.
        self.replied = reply.len() as u32;
        Ok(())
    }

    /// Whether the driver still waits for it.
    pub fn is_owned(&self, queues: &Queues<'_>) -> bool {
        queues.owns(self.queue, &self.chain)
    }

    /// Hands the request back to the driver, unless `served` says that its queue is broken. Nothing happens
    /// if the driver stopped using the queue since.
    ///
    /// # Errors
    /// The queue is broken.
    pub fn finish(
        self,
        queues: &mut Queues<'_>,
        served: Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let replied = self.replied;
        queues.finish(self.queue, self.chain, served, |_, _| Ok(replied))
    }
}

impl<S: FsServer> Fs<S> {
    /// A device with a name, by which the guest mounts it: at most 36 bytes count.
    pub fn new(tag: &str, server: S) -> Self {
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

    /// The server.
    pub fn server_mut(&mut self) -> &mut S {
        &mut self.server
    }
}

impl<S: FsServer> VirtioDevice for Fs<S> {
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

    fn stopped(&mut self, queue: usize) {
        self.server.stopped(queue);
    }

    fn notify(&mut self, queue: usize, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        while let Some(chain) = queues.pop(queue)? {
            let request = Request {
                queue,
                chain,
                session: self.session,
                replied: 0,
            };
            if let Some(request) = self.server.hand_off(request) {
                request.finish(queues, Ok(()))?;
            }
        }
        Ok(())
    }
}
