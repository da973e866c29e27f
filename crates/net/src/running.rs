//! The thread behind a guest's device.

use crate::bell::Bell;
use std::io;
use std::thread::{Builder, JoinHandle};

/// A thread that a bell wakes, and that ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts one. `work` ends when its bell says that it is over.
    ///
    /// # Errors
    /// The host has no more threads.
    pub fn start(
        name: &str,
        bell: Bell,
        work: impl FnOnce(&Bell) + Send + 'static,
    ) -> io::Result<Self> {
        let its = bell.clone();
        let thread = Builder::new().name(name.into()).spawn(move || work(&its))?;
        Ok(Running {
            bell,
            thread: Some(thread),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.bell.stop();
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}
