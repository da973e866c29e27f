//! NOR flash: two 16-bit chips side by side (bank width 4), with the Common Flash Interface and the
//! Intel command set.
//!
//! The array is the embedder's ([`FlashArray`]). While the flash reads as its array
//! ([`Flash::reads_as_array`]), which is nearly always, the embedder can map the array into the
//! guest for reading; [`Flash::write_command`] says when that changes.
//!
//! As in QEMU, programming stores what is written, where a real chip could only clear bits; every
//! driver erases first. No block can be locked.

pub mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use state::{FlashMode, FlashState};

use crate::MmioDevice;
use alloc::vec::Vec;
use spec::*;

/// The contents of a flash bank.
pub trait FlashArray: Send {
    /// Size in bytes, a multiple of the erase block's (256 KiB). Does not change.
    fn len(&self) -> u64;
    /// Whether there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Reads. `offset + buf.len()` is within [`len`](Self::len).
    fn read(&self, offset: u64, buf: &mut [u8]);
    /// Writes, within [`len`](Self::len). False if that failed, or if the array is read-only: the
    /// guest sees a failed operation in the status register.
    fn write(&mut self, offset: u64, data: &[u8]) -> bool;
}

/// What the embedder has to do after a write to the flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlashAction {
    /// Nothing.
    None,
    /// The flash reads as its array from now on: it may be mapped for reading.
    MapArray,
    /// The flash does not read as its array any more: a mapping must go.
    UnmapArray,
}

/// A bank of NOR flash.
pub struct Flash<A: FlashArray> {
    array: A,
    state: FlashState,
}

impl<A: FlashArray> Flash<A> {
    /// A flash bank after power-on.
    pub fn new(array: A) -> Self {
        Flash {
            array,
            state: FlashState::default(),
        }
    }

    /// The contents.
    pub fn array(&self) -> &A {
        &self.array
    }

    /// The contents, for the embedder to change.
    pub fn array_mut(&mut self) -> &mut A {
        &mut self.array
    }

    /// Exports the state; the array is not part of it.
    pub fn save(&self) -> FlashState {
        self.state.clone()
    }

    /// Takes over a saved state. One that is not consistent loses its buffered words.
    pub fn restore(&mut self, state: &FlashState) -> FlashAction {
        let before = self.reads_as_array();
        self.state = state.clone();
        self.state.status |= STATUS_READY;
        let consistent = match self.state.buffer_base {
            Some(base) => {
                base.is_multiple_of(BUFFER_SIZE)
                    && base < self.array.len()
                    && self.state.buffer.len() as u64 == self.buffer_len(base)
            }
            None => self.state.buffer.is_empty(),
        };
        if !consistent {
            self.drop_buffer();
            self.state.mode = FlashMode::ReadStatus;
        }
        self.action_since(before)
    }

    /// Whether reads return the array's contents and have no effect.
    pub fn reads_as_array(&self) -> bool {
        self.state.mode == FlashMode::ReadArray
    }

    /// A write by the guest: a command, or data for one. The same as
    /// [`write`](MmioDevice::write), and says what it means for a mapping of the array.
    pub fn write_command(&mut self, offset: u64, size: u8, value: u64) -> FlashAction {
        let before = self.reads_as_array();
        if matches!(size, 1 | 2 | 4) && self.in_array(offset, size) {
            self.command(offset, size, value as u32);
        }
        self.action_since(before)
    }

    fn action_since(&self, before: bool) -> FlashAction {
        match (before, self.reads_as_array()) {
            (false, true) => FlashAction::MapArray,
            (true, false) => FlashAction::UnmapArray,
            _ => FlashAction::None,
        }
    }

    fn in_array(&self, offset: u64, size: u8) -> bool {
        offset
            .checked_add(u64::from(size))
            .is_some_and(|end| end <= self.array.len())
    }

    fn command(&mut self, offset: u64, size: u8, value: u32) {
        // Both chips get a command in the same write; it is the lower chip's that counts.
        let command = value as u8;
        self.state.mode = match self.state.mode {
            FlashMode::ReadArray | FlashMode::ReadStatus | FlashMode::ReadId | FlashMode::Query => {
                self.first_cycle(command)
            }
            FlashMode::Program => {
                let bytes = value.to_le_bytes();
                let data = bytes.get(..usize::from(size)).unwrap_or(&bytes);
                if !self.array.write(offset, data) {
                    self.state.status |= STATUS_PROGRAM_ERROR;
                }
                FlashMode::ReadStatus
            }
            FlashMode::Erase => {
                if command == CONFIRM {
                    self.erase(offset);
                } else {
                    self.sequence_error();
                }
                FlashMode::ReadStatus
            }
            FlashMode::Lock => {
                if !matches!(command, CONFIRM | CONFIRM_LOCK | CONFIRM_LOCK_DOWN) {
                    self.sequence_error();
                }
                FlashMode::ReadStatus
            }
            FlashMode::BufferCount => {
                // A halfword, so that a count of more words than the buffer has is seen.
                let words = u64::from(value & 0xffff) + 1;
                if words * u64::from(size) > BUFFER_SIZE {
                    self.sequence_error();
                    FlashMode::ReadStatus
                } else {
                    self.state.remaining = words as u32;
                    FlashMode::BufferData
                }
            }
            FlashMode::BufferData => self.buffer_word(offset, size, value),
            FlashMode::BufferConfirm => {
                if command == CONFIRM {
                    if let Some(base) = self.state.buffer_base
                        && !self.array.write(base, &self.state.buffer)
                    {
                        self.state.status |= STATUS_PROGRAM_ERROR;
                    }
                } else {
                    self.sequence_error();
                }
                self.drop_buffer();
                FlashMode::ReadStatus
            }
        };
    }

    fn first_cycle(&mut self, command: u8) -> FlashMode {
        match command {
            CMD_PROGRAM | CMD_PROGRAM_ALT => FlashMode::Program,
            CMD_BLOCK_ERASE => FlashMode::Erase,
            CMD_CLEAR_STATUS => {
                self.state.status = STATUS_READY;
                FlashMode::ReadArray
            }
            CMD_LOCK => FlashMode::Lock,
            // There is never an operation to suspend or resume.
            CMD_READ_STATUS | CMD_SUSPEND | CONFIRM => FlashMode::ReadStatus,
            CMD_READ_ID => FlashMode::ReadId,
            CMD_QUERY => FlashMode::Query,
            CMD_WRITE_BUFFER => {
                self.drop_buffer();
                FlashMode::BufferCount
            }
            // CMD_READ_ARRAY, and other chips' commands, which drivers use to find out what this is.
            _ => FlashMode::ReadArray,
        }
    }

    fn erase(&mut self, offset: u64) {
        const PIECE: [u8; 4096] = [0xff; 4096];
        let start = offset - offset % BLOCK_SIZE;
        let end = (start + BLOCK_SIZE).min(self.array.len());
        let mut at = start;
        while at < end {
            let piece = PIECE.len().min((end - at) as usize);
            if !self.array.write(at, &PIECE[..piece]) {
                self.state.status |= STATUS_ERASE_ERROR;
                return;
            }
            at += piece as u64;
        }
    }

    fn buffer_len(&self, base: u64) -> u64 {
        BUFFER_SIZE.min(self.array.len().saturating_sub(base))
    }

    fn buffer_word(&mut self, offset: u64, size: u8, value: u32) -> FlashMode {
        let base = match self.state.buffer_base {
            Some(base) => base,
            None => {
                let base = offset - offset % BUFFER_SIZE;
                self.state.buffer.resize(self.buffer_len(base) as usize, 0);
                self.array.read(base, &mut self.state.buffer);
                self.state.buffer_base = Some(base);
                base
            }
        };
        let start = offset.wrapping_sub(base);
        let end = start.saturating_add(u64::from(size));
        let held = usize::try_from(start)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| self.state.buffer.get_mut(start..end));
        let Some(held) = held else {
            // A write must not leave the buffer's range.
            self.sequence_error();
            self.drop_buffer();
            return FlashMode::ReadStatus;
        };
        for (held, byte) in held.iter_mut().zip(value.to_le_bytes()) {
            *held = byte;
        }
        self.state.remaining = self.state.remaining.saturating_sub(1);
        if self.state.remaining == 0 {
            FlashMode::BufferConfirm
        } else {
            FlashMode::BufferData
        }
    }

    fn sequence_error(&mut self) {
        self.state.status |= STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR;
    }

    fn drop_buffer(&mut self) {
        self.state.buffer_base = None;
        self.state.buffer = Vec::new();
        self.state.remaining = 0;
    }

    /// What one chip puts on its half of the bus, except while the array is read.
    fn chip_word(&self, offset: u64) -> u16 {
        let word = offset / BANK_WIDTH;
        match self.state.mode {
            FlashMode::ReadId => match word & 0xff {
                0 => ID_MANUFACTURER,
                1 => ID_DEVICE,
                // From 2: whether the block is locked, and it is not.
                _ => 0,
            },
            FlashMode::Query => u16::from(query(word, self.array.len() / BLOCK_SIZE)),
            _ => u16::from(self.state.status),
        }
    }
}

impl<A: FlashArray> MmioDevice for Flash<A> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        if !matches!(size, 1 | 2 | 4 | 8) || !self.in_array(offset, size) {
            return 0;
        }
        let mut bytes = [0; 8];
        let wanted = &mut bytes[..usize::from(size)];
        if self.reads_as_array() {
            self.array.read(offset, wanted);
        } else {
            for (at, byte) in (offset..).zip(wanted) {
                *byte = self.chip_word(at).to_le_bytes()[(at & 1) as usize];
            }
        }
        u64::from_le_bytes(bytes)
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        self.write_command(offset, size, value);
    }

    /// Back to the state after power-on: reads as the array, whose contents stay.
    fn reset(&mut self) {
        self.state = FlashState::default();
    }
}
