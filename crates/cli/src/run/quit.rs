//! The end of a session that the guest did not choose.

use crate::STATUS_SIGNAL;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

const NO: u8 = 0;
const ASKED: u8 = 1;
const INTERRUPTED: u8 = 2;

/// Whether the session is to end, and why. Clones are the same.
#[derive(Clone, Default)]
pub struct Quit(Arc<AtomicU8>);

impl Quit {
    /// The user wants to quit.
    pub fn ask(&self) {
        self.set(ASKED);
    }

    /// A signal came, or the terminal is gone.
    pub fn interrupt(&self) {
        self.set(INTERRUPTED);
    }

    /// The first reason counts.
    fn set(&self, reason: u8) {
        let _ = self.0.compare_exchange(NO, reason, SeqCst, SeqCst);
    }

    /// The session is to end.
    pub fn wanted(&self) -> bool {
        self.0.load(SeqCst) != NO
    }

    /// Skep's exit status, if the session was ended.
    pub fn status(&self) -> Option<u8> {
        match self.0.load(SeqCst) {
            NO => None,
            ASKED => Some(0),
            _ => Some(STATUS_SIGNAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts() {
        let quit = Quit::default();
        assert_eq!((quit.wanted(), quit.status()), (false, None));
        quit.clone().ask();
        quit.interrupt();
        assert_eq!((quit.wanted(), quit.status()), (true, Some(0)));
        let quit = Quit::default();
        quit.interrupt();
        assert_eq!(quit.status(), Some(STATUS_SIGNAL));
    }
}
