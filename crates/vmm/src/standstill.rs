//! The host's wish that the VM stand still, for devices in the middle of long work.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// What the lifecycle and devices share.
#[derive(Default)]
pub(crate) struct Standstill {
    wanted: AtomicBool,
    put_off: AtomicBool,
}

impl Standstill {
    /// The VM is to stand still, or to go on.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, SeqCst);
    }

    /// For a device with more work to do: true if it must leave that for later.
    pub fn put_off(&self) -> bool {
        let wanted = self.wanted.load(SeqCst);
        if wanted {
            self.put_off.store(true, SeqCst);
        }
        wanted
    }

    /// Whether a device has left work since the last call.
    pub fn take_put_off(&self) -> bool {
        self.put_off.load(SeqCst) && self.put_off.swap(false, SeqCst)
    }
}
