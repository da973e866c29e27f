//! virtio devices behind virtio-mmio (VIRTIO 1.2).
//!
//! A [`Transport`] has the registers, and the rings in guest memory; a [`VirtioDevice`] behind it
//! has the requests. Requests are served when the driver notifies, before the write to the register
//! returns, but for those that a device hands off. A driver that breaks its queue has its device
//! stop, ask for a reset ([`spec::STATUS_NEEDS_RESET`]), and nothing else.

pub mod balloon;
pub mod block;
pub mod console;
pub mod fs;
pub mod net;
mod queue;
pub mod rng;
pub mod spec;
mod state;
mod transport;
pub mod vsock;

#[cfg(test)]
mod tests;

pub use queue::{Chain, MAX_INDIRECT, QueueError};
pub use state::{QueueState, TransportState};
pub use transport::{EmptySlot, Transport, Version};

use crate::GuestMemory;
use queue::Queue;

/// What makes a virtio device the device it is.
pub trait VirtioDevice: Send {
    /// Saved form: everything that the device itself holds between two accesses.
    type State: Clone + Eq + core::fmt::Debug;

    /// Kind of device (section 5): an `ID_` of [`spec`].
    fn id(&self) -> u32;

    /// The features that the device offers, of its own kind (bits 0 to 23). The transport adds
    /// those of queues and of itself.
    fn features(&self) -> u64;

    /// The largest size of each queue: powers of two.
    fn queue_sizes(&self) -> &[u16];

    /// Reads the device's configuration. What lies beyond its end must stay as it is in `buf`,
    /// which comes filled with zeros. `offset` and the length are the guest's choice.
    fn config_read(&self, offset: u64, buf: &mut [u8]);

    /// Writes the device's configuration. `offset` and the length are the guest's choice.
    fn config_write(&mut self, offset: u64, bytes: &[u8]);

    /// Back to the state after power-on, as far as the driver can tell.
    fn reset(&mut self);

    /// Exports the state.
    fn save(&self) -> Self::State;

    /// Takes over a saved state. True if the configuration is no longer what the driver read,
    /// because the host has something else now.
    fn restore(&mut self, state: &Self::State) -> bool;

    /// The driver stopped using a queue, or is about to use it anew: requests that were taken from it
    /// and not handed back are void, and [`Queues::push`] forgets them. For a device that serves them
    /// on other threads: once this returns, none of them may write to guest memory any more.
    fn stopped(&mut self, _queue: usize) {}

    /// The driver notified about a queue. An error means that the queue is broken.
    fn notify(&mut self, queue: usize, queues: &mut Queues<'_>) -> Result<(), QueueError>;
}

/// Whether more is to be done of a request that is served part by part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There is.
    More,
    /// The request can be handed back.
    Done,
}

/// A device's view of its queues and of guest memory.
pub struct Queues<'a> {
    queues: &'a mut [Queue],
    memory: &'a dyn GuestMemory,
    features: u64,
    live: bool,
    config_changed: bool,
}

impl Queues<'_> {
    /// Takes the next request from a queue. There is none while the driver does not allow the
    /// device to use its queues.
    pub fn pop(&mut self, queue: usize) -> Result<Option<Chain>, QueueError> {
        match self.queues.get_mut(queue) {
            Some(queue) if self.live => queue.pop(self.memory, self.features),
            _ => Ok(None),
        }
    }

    /// Whether a request that was taken from a queue may still be served: the driver may have stopped
    /// using the queue since.
    fn owns(&self, queue: usize, chain: &Chain) -> bool {
        self.live
            && self
                .queues
                .get(queue)
                .is_some_and(|queue| queue.owns(chain))
    }

    /// Hands a request back to the driver, unless that stopped using the queue since. `written` is how
    /// many bytes at the start of the writable buffers the device has written.
    pub fn push(&mut self, queue: usize, chain: Chain, written: u32) -> Result<(), QueueError> {
        match self.queues.get_mut(queue) {
            Some(queue) if self.live => queue.push(self.memory, chain, written),
            _ => Ok(()),
        }
    }

    /// Hands back a request that was served elsewhere, unless `served` says that its queue is broken. `end`
    /// does what is left, and tells how many bytes were written, as for [`Queues::push`]. Nothing happens if
    /// the driver stopped using the queue since.
    pub fn finish(
        &mut self,
        queue: usize,
        chain: Chain,
        served: Result<(), QueueError>,
        end: impl FnOnce(&Chain, &dyn GuestMemory) -> Result<u32, QueueError>,
    ) -> Result<(), QueueError> {
        if !self.owns(queue, &chain) {
            return Ok(());
        }
        served?;
        let written = end(&chain, self.memory)?;
        self.push(queue, chain, written)
    }

    /// Undoes the last `count` calls of [`Queues::pop`] that took a request: it comes again.
    pub fn put_back(&mut self, queue: usize, count: u16) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.put_back(count);
        }
    }

    /// Whether the driver allows the device to use its queues.
    pub fn live(&self) -> bool {
        self.live
    }

    /// Guest memory, to read and write requests with.
    pub fn memory(&self) -> &dyn GuestMemory {
        self.memory
    }

    /// The features that both sides agreed on.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// Tells the driver that the device's configuration has changed.
    pub fn config_changed(&mut self) {
        self.config_changed = true;
    }
}

/// Copies to `buf` what a configuration of these bytes has at `offset`.
fn read_config(config: &[u8], offset: u64, buf: &mut [u8]) {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|start| config.get(start..));
    for (to, from) in buf.iter_mut().zip(rest.unwrap_or_default()) {
        *to = *from;
    }
}
