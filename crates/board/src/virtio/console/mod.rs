//! Console with one port (VIRTIO 1.2, section 5.3).

mod state;

pub use state::ConsoleState;

use super::spec::ID_CONSOLE;
use super::{QueueError, Queues, Transport, VirtioDevice, read_config};
use crate::pl011::ConsoleOut;
use crate::{GuestMemory, IrqLine};
use alloc::collections::VecDeque;

/// The configuration has the terminal's size (section 5.3.3).
pub const F_SIZE: u64 = 1 << 0;
/// A byte can be written through the configuration.
pub const F_EMERG_WRITE: u64 = 1 << 2;

/// Queue for the guest's input (section 5.3.2).
pub const RECEIVE: usize = 0;
/// Queue for the guest's output.
pub const TRANSMIT: usize = 1;

/// Position in the configuration of the emergency write (section 5.3.4).
const CONFIG_EMERG_WR: u64 = 8;
/// Size of each queue.
const QUEUE_SIZE: u16 = 128;
/// How much is moved at once.
const CHUNK: usize = 256;
/// The longest output in one request, unless it is [limited](Console::limited). Drivers send a few pages; one that sends more is out to keep
/// the host busy.
const MAX_OUTPUT: u64 = 1 << 20;
/// How much input waits for the guest to take it.
const BACKLOG: usize = 4096;

/// A console.
pub struct Console<C: ConsoleOut> {
    out: C,
    received: VecDeque<u8>,
    /// Columns and rows, when they are known.
    size: Option<(u16, u16)>,
    max_output: u64,
}

impl<C: ConsoleOut> Console<C> {
    /// A console whose output goes to `out`. `size` is the terminal's columns and rows; without
    /// it the guest is told of none, and [`Transport::resize`] has no effect.
    pub fn new(out: C, size: Option<(u16, u16)>) -> Self {
        Console {
            out,
            received: VecDeque::new(),
            size,
            max_output: MAX_OUTPUT,
        }
    }

    /// Takes at most `bytes` of output in one request; a longer one breaks the queue.
    #[must_use]
    pub fn limited(self, bytes: u64) -> Self {
        Console {
            max_output: bytes,
            ..self
        }
    }

    /// How many bytes [`Transport::receive`] takes now.
    pub fn room(&self) -> usize {
        BACKLOG.saturating_sub(self.received.len())
    }

    /// Receives bytes, as many as there is [room](Self::room) for, in [`Transport::serve`].
    ///
    /// # Errors
    ///
    /// The queue is broken.
    pub fn receive(&mut self, bytes: &[u8], queues: &mut Queues<'_>) -> Result<(), QueueError> {
        self.received.extend(bytes.iter().take(self.room()));
        self.deliver(queues)
    }

    /// Gives the guest as much input as it has buffers for.
    fn deliver(&mut self, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        while !self.received.is_empty() {
            let Some(chain) = queues.pop(RECEIVE)? else {
                break;
            };
            let len = chain.writable_len().min(self.received.len() as u64);
            let mut done = 0;
            while done < len {
                let (front, _) = self.received.as_slices();
                let part = (len - done).min(front.len() as u64);
                chain.write(
                    queues.memory(),
                    done,
                    front.get(..part as usize).unwrap_or_default(),
                )?;
                self.received.drain(..part as usize);
                done += part;
            }
            queues.push(RECEIVE, chain, done as u32)?;
        }
        Ok(())
    }

    fn transmit(&mut self, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        while !self.out.put_off()
            && let Some(chain) = queues.pop(TRANSMIT)?
        {
            let len = chain.readable_len();
            if len > self.max_output {
                return Err(QueueError::TooLong);
            }
            let mut buffer = [0; CHUNK];
            let mut done = 0;
            while done < len {
                let part = (len - done).min(CHUNK as u64);
                let Some(buf) = buffer.get_mut(..part as usize) else {
                    break;
                };
                chain.read(queues.memory(), done, buf)?;
                for byte in buf {
                    self.out.put(*byte);
                }
                done += part;
            }
            queues.push(TRANSMIT, chain, 0)?;
        }
        Ok(())
    }
}

impl<C: ConsoleOut> VirtioDevice for Console<C> {
    type State = ConsoleState;

    fn id(&self) -> u32 {
        ID_CONSOLE
    }

    fn features(&self) -> u64 {
        F_EMERG_WRITE | if self.size.is_some() { F_SIZE } else { 0 }
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE; 2]
    }

    fn config_read(&self, offset: u64, buf: &mut [u8]) {
        let (columns, rows) = self.size.unwrap_or_default();
        let ([c0, c1], [r0, r1]) = (columns.to_le_bytes(), rows.to_le_bytes());
        // The number of ports comes next: one.
        read_config(&[c0, c1, r0, r1, 1, 0, 0, 0], offset, buf);
    }

    fn config_write(&mut self, offset: u64, bytes: &[u8]) {
        if offset == CONFIG_EMERG_WR
            && let Some(byte) = bytes.first()
        {
            self.out.put(*byte);
        }
    }

    fn reset(&mut self) {
        self.received.clear();
    }

    fn save(&self) -> ConsoleState {
        ConsoleState {
            received: self.received.iter().copied().collect(),
            size: self.size,
        }
    }

    /// Input beyond what may wait is dropped. The terminal's size is the saved one until
    /// [`Transport::resize`].
    fn restore(&mut self, state: &ConsoleState) -> bool {
        let ConsoleState { received, size } = state;
        self.received.clear();
        self.received.extend(received.iter().take(BACKLOG));
        self.size = *size;
        false
    }

    fn notify(&mut self, queue: usize, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        if queue == RECEIVE {
            self.deliver(queues)
        } else {
            self.transmit(queues)
        }
    }
}

impl<C: ConsoleOut, M: GuestMemory, I: IrqLine> Transport<Console<C>, M, I> {
    /// Receives bytes, as many as there is room for; returns how many. What the guest has no
    /// buffers for yet waits.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = self.device().room().min(bytes.len());
        self.serve(|console, queues| console.receive(bytes, queues));
        taken
    }

    /// Tells the guest the terminal's new size, in columns and rows.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.with_device(|console, queues| {
            if console.size.is_some_and(|size| size != (columns, rows)) {
                console.size = Some((columns, rows));
                queues.config_changed();
            }
        });
    }
}
