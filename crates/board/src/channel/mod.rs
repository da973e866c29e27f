//! Channels: memory that several VMs share, and doorbells by which they interrupt each other.
//!
//! The memory is the affair of whoever assembles the board. Here are the doorbells: each VM has the
//! registers of its *end*. Ringing sets a bit in the other end's RUNG, and interrupts it by an edge if
//! the bit was clear. So an end interrupts another at most once for each time that the other clears
//! the bit, however often it rings: it can't keep the other busy against its will.
//!
//! A receiver clears the bit first and looks at the memory then: whatever is rung for after that
//! interrupts it again.

pub mod spec;
mod state;
#[cfg(test)]
mod tests;

use crate::MmioDevice;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, Ordering};
use spec::*;
pub use state::ChannelState;

/// Interrupts ends.
pub trait Ringer: Send {
    /// Makes the doorbell interrupt of an end pending.
    fn ring(&self, end: usize);
}

/// What the ends of a channel have in common: RUNG of each.
#[derive(Default, Debug)]
pub struct Bells {
    rung: [AtomicU8; MAX_ENDS],
}

/// An end of a channel.
pub struct Channel<R: Ringer> {
    bells: Arc<Bells>,
    ringer: R,
    end: usize,
    ends: usize,
    memory_size: u32,
    read_only: bool,
}

impl<R: Ringer> Channel<R> {
    /// The end with number `end` of a channel with `ends` ends, which share `bells` and
    /// `memory_size` bytes of memory. Numbers beyond [`MAX_ENDS`] have no doorbell.
    pub fn new(
        bells: Arc<Bells>,
        ringer: R,
        (end, ends): (usize, usize),
        memory_size: u32,
        read_only: bool,
    ) -> Self {
        Channel {
            bells,
            ringer,
            end,
            ends: ends.min(MAX_ENDS),
            memory_size,
            read_only,
        }
    }

    /// Exports the state.
    pub fn save(&self) -> ChannelState {
        ChannelState {
            rung: self.rung().map_or(0, |rung| rung.load(Ordering::Acquire)),
        }
    }

    /// Takes over a saved state. The interrupt is the distributor's to restore.
    pub fn restore(&mut self, state: &ChannelState) {
        let ChannelState { rung } = *state;
        if let Some(own) = self.rung() {
            own.store(rung & self.others(), Ordering::Release);
        }
    }

    fn rung(&self) -> Option<&AtomicU8> {
        self.bells.rung.get(self.end)
    }

    /// A bit for each other end.
    fn others(&self) -> u8 {
        let all = 1u16.wrapping_shl(self.ends as u32).wrapping_sub(1) as u8;
        all & !self.own_bit()
    }

    fn own_bit(&self) -> u8 {
        1u8.checked_shl(self.end as u32).unwrap_or(0)
    }

    fn ring(&self, mask: u8) {
        let others = self.others();
        for (end, rung) in self.bells.rung.iter().enumerate() {
            if mask & others & 1 << end != 0
                && rung.fetch_or(self.own_bit(), Ordering::AcqRel) & self.own_bit() == 0
            {
                self.ringer.ring(end);
            }
        }
    }
}

impl<R: Ringer> MmioDevice for Channel<R> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        if size != 4 {
            return 0;
        }
        u64::from(match offset {
            MAGIC_VALUE => MAGIC,
            VERSION => 1,
            END => self.end as u32,
            ENDS => self.ends as u32,
            MEMORY_SIZE => self.memory_size,
            FLAGS if self.read_only => FLAG_READ_ONLY,
            RUNG => self.save().rung.into(),
            _ => 0,
        })
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        match offset {
            RING if size == 4 => self.ring(value as u8),
            RUNG if size == 4 => {
                if let Some(rung) = self.rung() {
                    rung.fetch_and(!(value as u8), Ordering::AcqRel);
                }
            }
            _ => {}
        }
    }

    fn reset(&mut self) {
        self.restore(&ChannelState::default());
    }
}
