//! Saved form of the flash. The array belongs to the embedder, which saves it itself.

use super::spec::STATUS_READY;
use alloc::vec::Vec;

/// What the flash waits for, and what it reads as meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum FlashMode {
    /// Reads as the array; waits for a command, as do the next three.
    #[default]
    ReadArray,
    /// Reads as the status register.
    ReadStatus,
    /// Reads as the identifiers.
    ReadId,
    /// Reads as the query table.
    Query,
    /// Reads as the status register, as do all that follow. The next write is the word to program.
    Program,
    /// The next write confirms the erase.
    Erase,
    /// The next write says which lock operation.
    Lock,
    /// The next write is the number of words to buffer, less one.
    BufferCount,
    /// The next writes are words to buffer.
    BufferData,
    /// The next write confirms the program operation from the buffer.
    BufferConfirm,
}

/// Everything that a flash bank holds between two accesses, the array apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlashState {
    /// What it waits for.
    pub mode: FlashMode,
    /// The status register.
    pub status: u8,
    /// Words still to be buffered.
    pub remaining: u32,
    /// Where the buffer's first byte belongs in the array; a multiple of the buffer's size. None
    /// before the first word.
    pub buffer_base: Option<u64>,
    /// The write buffer, starting as a copy of the array. Empty before the first word.
    pub buffer: Vec<u8>,
}

impl Default for FlashState {
    /// The state after reset.
    fn default() -> Self {
        FlashState {
            mode: FlashMode::ReadArray,
            status: STATUS_READY,
            remaining: 0,
            buffer_base: None,
            buffer: Vec::new(),
        }
    }
}
