//! Saved form of the console.

use alloc::vec::Vec;

/// Everything that a console holds between two requests.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ConsoleState {
    /// Input that the guest has no buffers for yet, oldest first.
    pub received: Vec<u8>,
    /// Columns and rows of the terminal, if it has a size.
    pub size: Option<(u16, u16)>,
}
