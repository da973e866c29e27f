//! PL031 real-time clock: a counter of seconds that starts at the time of day.
//!
//! The device cannot wake itself: the embedder calls [`Pl031::poll`] when
//! [`Pl031::seconds_to_match`] says that the alarm is due. A late call still raises the interrupt.

pub mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use state::Pl031State;

use crate::primecell::{self, read_id};
use crate::{Clock, IrqLine, MmioDevice};
use spec::*;

/// PL031 real-time clock with its interrupt line (RTCINTR) and the source of its time.
pub struct Pl031<I: IrqLine, C: Clock> {
    irq: I,
    clock: C,
    irq_level: bool,
    regs: Pl031State,
}

impl<I: IrqLine, C: Clock> Pl031<I, C> {
    /// A clock after power-on, counting from the time of day.
    pub fn new(irq: I, clock: C) -> Self {
        let mut rtc = Pl031 {
            irq,
            clock,
            irq_level: false,
            regs: Pl031State::default(),
        };
        rtc.reset();
        rtc
    }

    /// Exports the state.
    pub fn save(&self) -> Pl031State {
        self.regs
    }

    /// Takes over a saved state and drives the interrupt line accordingly. An alarm that fell due
    /// in between is raised.
    pub fn restore(&mut self, state: &Pl031State) {
        self.regs = *state;
        self.irq_level = self.regs.ris && self.regs.imsc;
        self.irq.set(self.irq_level);
        self.poll();
    }

    /// Seconds until the counter next equals the match register, if that would raise the interrupt
    /// line: 1 to 2^32 - 1.
    pub fn seconds_to_match(&self) -> Option<u32> {
        let left = self.regs.mr.wrapping_sub(self.counter());
        (self.regs.imsc && !self.regs.ris && left != 0).then_some(left)
    }

    /// Compares the counter with the match register, and raises the interrupt if it was reached
    /// since the last time.
    pub fn poll(&mut self) {
        let now = self.counter();
        let elapsed = now.wrapping_sub(self.regs.compared);
        let to_match = self.regs.mr.wrapping_sub(self.regs.compared);
        // More than half of the counter's range means that the host's clock was set back.
        if elapsed < 1 << 31 && to_match != 0 && to_match <= elapsed {
            self.regs.ris = true;
        }
        self.regs.compared = now;
        self.update_irq();
    }

    fn counter(&self) -> u32 {
        (self.clock.unix_seconds() as u32).wrapping_add(self.regs.offset)
    }

    /// After the counter or the match register was set: they may be equal right now.
    fn compare_new(&mut self) {
        self.regs.compared = self.counter();
        if self.regs.compared == self.regs.mr {
            self.regs.ris = true;
        }
    }

    fn update_irq(&mut self) {
        let level = self.regs.ris && self.regs.imsc;
        if level != self.irq_level {
            self.irq_level = level;
            self.irq.set(level);
        }
    }

    fn read_register(&mut self, register: u32) -> u32 {
        self.poll();
        match register {
            DR => self.regs.compared,
            MR => self.regs.mr,
            LR => self.regs.lr,
            // The clock always runs; only a reset could stop it.
            CR => 1,
            IMSC => u32::from(self.regs.imsc),
            RIS => u32::from(self.regs.ris),
            MIS => u32::from(self.regs.ris && self.regs.imsc),
            _ => read_id(register, PERIPH_ID).unwrap_or(0),
        }
    }

    fn write_register(&mut self, register: u32, value: u32) {
        self.poll();
        match register {
            MR => {
                self.regs.mr = value;
                self.compare_new();
            }
            LR => {
                self.regs.lr = value;
                self.regs.offset = value.wrapping_sub(self.clock.unix_seconds() as u32);
                self.compare_new();
            }
            IMSC => self.regs.imsc = value & 1 != 0,
            ICR if value & 1 != 0 => self.regs.ris = false,
            _ => {}
        }
        self.update_irq();
    }
}

impl<I: IrqLine, C: Clock> MmioDevice for Pl031<I, C> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        primecell::read(offset, size, |register| self.read_register(register))
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        primecell::write(offset, size, value, |register, value| {
            self.write_register(register, value);
        });
    }

    fn reset(&mut self) {
        let compared = self.clock.unix_seconds() as u32;
        self.restore(&Pl031State {
            compared,
            ..Pl031State::default()
        });
    }
}
