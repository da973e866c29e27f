//! The guest's serial port to standard output.
//!
//! A thread writes, so that the guest neither pays for a system call a byte nor stands still while
//! a slow reader takes its time, unless that is far behind.

use super::quit::Quit;
use skep_image::CommandOutput;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Output that may wait to be written, bytes: beyond it, the guest waits.
const AHEAD: usize = 1 << 20;
/// How much is kept of what is not shown, bytes.
const HIDDEN: usize = 16 << 10;
/// How often a wait looks whether the user wants to quit.
const LOOK: Duration = Duration::from_millis(50);

/// Where the guest's output goes. Clones are the same.
#[derive(Clone)]
pub struct Output {
    shared: Arc<(Mutex<State>, Condvar)>,
    /// The user does not want to wait.
    quit: Quit,
}

struct State {
    /// Finds the output of the command, if that is all that is shown.
    filter: Option<CommandOutput>,
    /// The end of what the filter left out.
    hidden: VecDeque<u8>,
    printed: bool,
    waiting: Vec<u8>,
    /// The writer is at it.
    writing: bool,
    failure: Option<io::Error>,
}

impl Output {
    /// Shows all, or only what a command prints.
    pub fn new(filter: Option<CommandOutput>, quit: Quit) -> Self {
        let state = State {
            filter,
            hidden: VecDeque::new(),
            printed: false,
            waiting: Vec::new(),
            writing: false,
            failure: None,
        };
        Output {
            shared: Arc::new((Mutex::new(state), Condvar::new())),
            quit,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the lock away until something changes, or for a moment.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.shared.1.wait_timeout(state, LOOK);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes a byte from the guest.
    pub fn put(&self, byte: u8) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.printed = true;
        let before = state.waiting.len();
        match &mut state.filter {
            None => state.waiting.push(byte),
            Some(filter) if filter.started() => filter.feed(byte, &mut state.waiting),
            Some(filter) => {
                filter.feed(byte, &mut state.waiting);
                if state.hidden.len() == HIDDEN {
                    state.hidden.pop_front();
                }
                state.hidden.push_back(byte);
            }
        }
        if before == 0 && !state.waiting.is_empty() {
            self.shared.1.notify_all();
        }
        while guard.waiting.len() >= AHEAD && guard.failure.is_none() && !self.quit.wanted() {
            guard = self.wait(guard);
        }
        if guard.failure.is_some() {
            guard.waiting.clear();
        }
    }

    /// Starts the thread that writes. When standard output fails, it calls `failed`, and ends.
    pub fn write(&self, failed: impl FnOnce() + Send + 'static) {
        let output = self.clone();
        std::thread::spawn(move || {
            let mut stdout = io::stdout();
            let mut state = output.state();
            loop {
                if state.waiting.is_empty() {
                    state = output.wait(state);
                    continue;
                }
                let bytes = take(&mut state.waiting);
                state.writing = true;
                drop(state);
                let written = stdout.write_all(&bytes).and_then(|()| stdout.flush());
                state = output.state();
                state.writing = false;
                output.shared.1.notify_all();
                if let Err(error) = written {
                    state.failure = Some(error);
                    break;
                }
            }
            drop(state);
            failed();
        });
    }

    /// Waits until all is written, or can't be, or the user quits. Returns why it can't be.
    pub fn finish(&self) -> Option<io::Error> {
        let mut state = self.state();
        while (state.writing || !state.waiting.is_empty())
            && state.failure.is_none()
            && !self.quit.wanted()
        {
            state = self.wait(state);
        }
        state.failure.take()
    }

    /// The guest has printed something, shown or not.
    pub fn printed(&self) -> bool {
        self.state().printed
    }

    /// The guest takes input.
    pub fn started(&self) -> bool {
        self.state()
            .filter
            .as_ref()
            .is_none_or(CommandOutput::started)
    }

    /// The command's exit status, once it has ended.
    pub fn status(&self) -> Option<u8> {
        self.state().filter.as_ref()?.status()
    }

    /// The last lines of what the guest printed before the command began.
    pub fn hidden(&self) -> String {
        let bytes = Vec::from(take(&mut self.state().hidden));
        String::from_utf8_lossy(&bytes).trim().replace('\r', "")
    }
}
