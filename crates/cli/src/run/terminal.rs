//! The user's terminal: raw while the guest has it, always given back as it was.

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io;
use std::sync::OnceLock;

/// How standard input was before it was made raw.
static SAVED: OnceLock<Termios> = OnceLock::new();

/// Standard input in raw mode, until dropped.
pub struct RawTerminal(());

impl RawTerminal {
    /// Switches the terminal to raw mode; None if standard input is not a terminal.
    ///
    /// # Errors
    /// The host's, when the terminal is gone.
    pub fn enter() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        if !isatty(stdin) {
            return Ok(None);
        }
        let saved = tcgetattr(stdin)?;
        let mut raw = saved.clone();
        raw.make_raw();
        // The host's own messages still end their lines.
        raw.output_modes = saved.output_modes;
        let _ = SAVED.set(saved);
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(Some(RawTerminal(())))
    }
}

/// Columns and rows of the terminal, if standard output is one.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some((size.ws_col, size.ws_row))
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Makes the terminal what it was, if it was made raw. A signal handler may do this, too.
pub fn give_back() {
    if let Some(saved) = SAVED.get() {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, saved);
    }
}
