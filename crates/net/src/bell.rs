//! How a guest's device wakes the thread that moves its packets.

use rustix::event::{EventfdFlags, eventfd};
use skep_board::virtio::net::NetBackend;
use skep_board::virtio::vsock::VsockBackend;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// A bell. Clones are the same bell.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    event: OwnedFd,
    /// It was rung, and nobody has looked.
    rung: AtomicBool,
    reset: AtomicBool,
    stop: AtomicBool,
}

impl Bell {
    /// A bell that nobody has rung.
    ///
    /// # Errors
    /// The host's.
    pub fn new() -> io::Result<Self> {
        Ok(Bell(Arc::new(Inner {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            rung: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        })))
    }

    /// Wakes the thread.
    pub fn ring(&self) {
        if !self.0.rung.swap(true, SeqCst) {
            // It fails only after 2^64 - 1 rings.
            let _ = rustix::io::write(&self.0.event, &1u64.to_ne_bytes());
        }
    }

    /// Makes the thread end.
    pub fn stop(&self) {
        self.0.stop.store(true, SeqCst);
        self.ring();
    }

    /// Takes the ring away: what happens from now on rings again.
    pub fn answer(&self) {
        let _ = rustix::io::read(&self.0.event, &mut [0; 8]);
        self.0.rung.store(false, SeqCst);
    }

    /// Whether the thread is to end.
    pub fn stopped(&self) -> bool {
        self.0.stop.load(SeqCst)
    }

    /// Whether the card was reset since the last call.
    pub(crate) fn take_reset(&self) -> bool {
        self.0.reset.swap(false, SeqCst)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

impl NetBackend for Bell {
    fn notified(&mut self) {
        self.ring();
    }

    fn reset(&mut self) {
        self.0.reset.store(true, SeqCst);
        self.ring();
    }
}

impl VsockBackend for Bell {
    fn notified(&mut self) {
        self.ring();
    }

    fn reset(&mut self) {
        self.ring();
    }
}
