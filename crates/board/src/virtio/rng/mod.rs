//! Entropy source (VIRTIO 1.2, section 5.4).

mod state;

pub use state::RngState;

use super::spec::ID_RNG;
use super::{QueueError, Queues, VirtioDevice};

/// Where random bytes come from.
pub trait Entropy: Send {
    /// Fills the buffer with random bytes.
    fn fill(&mut self, buf: &mut [u8]);
}

impl<F: FnMut(&mut [u8]) + Send> Entropy for F {
    fn fill(&mut self, buf: &mut [u8]) {
        self(buf);
    }
}

/// Size of the queue.
const QUEUE_SIZE: u16 = 64;
/// How much is asked of the source at once.
const CHUNK: usize = 256;
/// The most that a request is given, so that a guest cannot keep the source busy: the device may
/// use less of a buffer than there is (section 5.4.6).
const MAX_REQUEST: u64 = 64 << 10;

/// A device that gives its guest random bytes.
pub struct Rng<E: Entropy> {
    source: E,
}

impl<E: Entropy> Rng<E> {
    /// A device that takes its bytes from `source`.
    pub fn new(source: E) -> Self {
        Rng { source }
    }
}

impl<E: Entropy> VirtioDevice for Rng<E> {
    type State = RngState;

    fn id(&self) -> u32 {
        ID_RNG
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn config_read(&self, _offset: u64, _buf: &mut [u8]) {}

    fn config_write(&mut self, _offset: u64, _bytes: &[u8]) {}

    fn reset(&mut self) {}

    fn save(&self) -> RngState {
        RngState
    }

    fn restore(&mut self, _state: &RngState) -> bool {
        false
    }

    fn notify(&mut self, queue: usize, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        while let Some(chain) = queues.pop(queue)? {
            let len = chain.writable_len().min(MAX_REQUEST);
            let mut done = 0;
            let mut buffer = [0; CHUNK];
            while done < len {
                let part = (len - done).min(CHUNK as u64);
                let Some(buf) = buffer.get_mut(..part as usize) else {
                    break;
                };
                self.source.fill(buf);
                chain.write(queues.memory(), done, buf)?;
                done += part;
            }
            queues.push(queue, chain, done as u32)?;
        }
        Ok(())
    }
}
