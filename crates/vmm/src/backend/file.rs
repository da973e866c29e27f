//! A console's output in a file.

use super::ConsoleError;
use crate::bus::lock;
use crate::config::Warn;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::mem::take;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Output that may wait for the host's disk, bytes: beyond it, the guest waits, so that the file has
/// all of it.
const AHEAD: usize = 1 << 20;

/// A file, and what waits to be written to it.
pub(super) struct FileOutput {
    path: PathBuf,
    file: File,
    warn: Warn,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The writer is at it.
    writing: bool,
    /// Writing failed, and nothing more is written.
    failed: bool,
    stopped: bool,
}

impl FileOutput {
    /// Creates or empties a regular file, or goes on at its end.
    pub fn open(path: &Path, append: bool, warn: Warn) -> Result<Self, ConsoleError> {
        let problem = |source| ConsoleError::File {
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options.create(true).mode(0o666);
        // To open a pipe could take for ever.
        options.custom_flags(OFlags::NONBLOCK.bits() as i32);
        let options = options.append(append).write(true);
        // Only a regular file is emptied.
        let file = options.open(path).map_err(problem)?;
        if !file.metadata().map_err(problem)?.is_file() {
            return Err(ConsoleError::NotAFile(path.to_owned()));
        }
        if !append {
            file.set_len(0).map_err(problem)?;
        }
        Ok(FileOutput {
            path: path.to_owned(),
            file,
            warn,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a byte from the guest.
    pub fn put(&self, byte: u8) {
        let mut state = lock(&self.state);
        while state.waiting.len() >= AHEAD && !state.failed && !state.stopped {
            state = self.wait(state);
        }
        if state.failed {
            return;
        }
        state.waiting.push(byte);
        if state.waiting.len() == 1 {
            self.changed.notify_all();
        }
    }

    /// Writes until [`FileOutput::stop`].
    pub fn write(&self) {
        let mut state = lock(&self.state);
        while !(state.failed || state.stopped && state.waiting.is_empty()) {
            if state.waiting.is_empty() {
                state = self.wait(state);
                continue;
            }
            let bytes = take(&mut state.waiting);
            state.writing = true;
            drop(state);
            let written = (&self.file).write_all(&bytes);
            state = lock(&self.state);
            state.writing = false;
            if let Err(error) = written {
                state.failed = true;
                state.waiting = Vec::new();
                self.warn.tell(&format!(
                    "the file {:?} for a console's output can't be written ({error}): the rest of it is lost",
                    self.path
                ));
            }
            self.changed.notify_all();
        }
    }

    /// Waits until all is written.
    pub fn finish(&self) {
        let mut state = lock(&self.state);
        while !state.failed && !state.stopped && (state.writing || !state.waiting.is_empty()) {
            state = self.wait(state);
        }
    }

    /// Has [`FileOutput::write`] return.
    pub fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }
}
