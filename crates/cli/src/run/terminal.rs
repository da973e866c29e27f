//! The user's terminal: raw while the guest has it, always given back as it was.

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io;

/// Standard input in raw mode, until dropped.
pub struct RawTerminal {
    saved: Termios,
}

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
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(Some(RawTerminal { saved }))
    }
}

/// Columns and rows of the terminal, if standard output is one.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some((size.ws_col, size.ws_row))
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.saved);
    }
}
