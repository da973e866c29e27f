//! Output that waits for a reader who may never come.

use crate::bus::lock;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much waits, bytes. Of more, the oldest is dropped: the guest never waits for a reader.
pub(super) const KEPT: usize = 64 << 10;

/// How long the end of a VM waits for a reader to take the last of the output.
const PATIENCE: Duration = Duration::from_millis(250);

/// The last output of a console, and a bell for the thread that hands it on.
pub(super) struct Ring {
    state: Mutex<State>,
    changed: Condvar,
    bell: OwnedFd,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Somebody reads.
    reader: bool,
    stopped: bool,
}

impl Ring {
    pub fn new() -> io::Result<Self> {
        Ok(Ring {
            state: Mutex::default(),
            changed: Condvar::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Takes a byte from the guest, and never waits.
    pub fn put(&self, byte: u8) {
        let mut state = lock(&self.state);
        if state.bytes.len() >= KEPT {
            state.bytes.pop_front();
        }
        state.bytes.push_back(byte);
        if state.bytes.len() == 1 {
            self.ring();
        }
    }

    /// What can be waited for: [`Ring::put`] into an empty ring, and [`Ring::stop`].
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn ring(&self) {
        // It can't be full, and rings already then.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Silences the bell.
    pub fn heard(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        lock(&self.state).bytes.is_empty()
    }

    /// Hands bytes on: `write` must not wait, and tells how many it took.
    pub fn hand_on(&self, write: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut state = lock(&self.state);
        let (front, _) = state.bytes.as_slices();
        if front.is_empty() {
            return Ok(());
        }
        let taken = write(front)?.min(front.len());
        state.bytes.drain(..taken);
        if state.bytes.is_empty() {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Somebody reads from now on, or nobody any more.
    pub fn set_reader(&self, reader: bool) {
        lock(&self.state).reader = reader;
        self.changed.notify_all();
    }

    /// Waits until a reader has all, if there is one, and for a moment only.
    pub fn finish(&self) {
        let end = Instant::now() + PATIENCE;
        let mut state = lock(&self.state);
        while state.reader && !state.stopped && !state.bytes.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks the thread to end.
    pub fn stop(&self) {
        lock(&self.state).stopped = true;
        self.ring();
    }

    /// The thread is to end.
    pub fn is_stopped(&self) -> bool {
        lock(&self.state).stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_output_is_kept() {
        let ring = Ring::new().expect("an event descriptor");
        for index in 0..KEPT + 10 {
            ring.put(index as u8);
        }
        let mut taken = Vec::new();
        while !ring.is_empty() {
            ring.hand_on(|bytes| {
                taken.extend_from_slice(bytes);
                Ok(bytes.len())
            })
            .expect("no error");
        }
        assert_eq!(taken.len(), KEPT);
        assert_eq!((taken[0], taken[KEPT - 1]), (10, 9));
    }

    #[test]
    fn what_is_not_taken_stays() {
        let ring = Ring::new().expect("an event descriptor");
        b"abc".iter().for_each(|byte| ring.put(*byte));
        ring.hand_on(|_| Ok(2)).expect("no error");
        let failed = ring.hand_on(|_| Err(io::ErrorKind::WouldBlock.into()));
        assert!(failed.is_err());
        ring.hand_on(|bytes| {
            assert_eq!(bytes, b"c");
            Ok(1)
        })
        .expect("no error");
        assert!(ring.is_empty());
        ring.hand_on(|_| panic!("there is nothing"))
            .expect("no error");
    }

    #[test]
    fn the_end_waits_for_a_reader_only_and_not_for_long() {
        let ring = Ring::new().expect("an event descriptor");
        ring.put(1);
        ring.set_reader(true);
        let start = Instant::now();
        ring.finish();
        assert!(start.elapsed() >= PATIENCE);
        ring.set_reader(false);
        let start = Instant::now();
        ring.finish();
        assert!(start.elapsed() < PATIENCE);
    }
}
