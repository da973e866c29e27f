//! SP805 watchdog: a counter that runs down in two stages. At the end of the first it raises its
//! interrupt, at the end of the second, if nobody has cleared that, its reset output.
//!
//! The device cannot wake itself: the embedder calls [`Sp805::poll`] when [`Sp805::ns_to_event`] says
//! that a stage ends. If it comes late, the second stage begins then: a guest that did not run
//! because the host had other things to do has one stage at least to feed its watchdog.

pub mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use state::Sp805State;

use crate::primecell::{self, read_id};
use crate::{Clock, IrqLine, MmioDevice};
use spec::*;

/// SP805 with its interrupt line (WDOGINT) and the source of its time.
pub struct Sp805<I: IrqLine, C: Clock> {
    irq: I,
    clock: C,
    hz: u32,
    regs: Sp805State,
    /// When the counter was `regs.value`, nanoseconds.
    since: u64,
}

impl<I: IrqLine, C: Clock> Sp805<I, C> {
    /// A watchdog after power-on, disabled, whose counter runs at `hz`.
    pub fn new(irq: I, clock: C, hz: u32) -> Self {
        let mut watchdog = Sp805 {
            irq,
            clock,
            hz: hz.max(1),
            regs: Sp805State::default(),
            since: 0,
        };
        watchdog.reset();
        watchdog
    }

    /// Exports the state.
    pub fn save(&self) -> Sp805State {
        Sp805State {
            value: self.value(),
            ..self.regs
        }
    }

    /// Takes over a saved state, and drives the interrupt line accordingly. Time goes on from now.
    pub fn restore(&mut self, state: &Sp805State) {
        self.regs = Sp805State {
            control: state.control & (INTEN | RESEN),
            ..*state
        };
        self.since = self.clock.now_ns();
        self.drive();
    }

    /// Looks whether a stage has ended. True if the reset output is asserted: the guest has not fed its
    /// watchdog, and is to be reset.
    pub fn poll(&mut self) -> bool {
        if self.running() && self.value() == 0 {
            if self.regs.ris && self.regs.control & RESEN != 0 {
                self.regs.reset = true;
            } else {
                self.regs.ris = true;
                self.reload();
                self.drive();
            }
        }
        self.regs.reset
    }

    /// Nanoseconds until a stage ends, if one does.
    pub fn ns_to_event(&self) -> Option<u64> {
        self.running().then(|| {
            let ticks = u64::from(self.value());
            // Up, so that it has ended then: 2^32 ticks times 10^9 fit.
            (ticks * 1_000_000_000).div_ceil(u64::from(self.hz))
        })
    }

    /// The counter runs. It stops for good when the reset output is asserted.
    fn running(&self) -> bool {
        self.regs.control & INTEN != 0 && !self.regs.reset
    }

    fn value(&self) -> u32 {
        if !self.running() {
            return self.regs.value;
        }
        let passed = self.clock.now_ns().saturating_sub(self.since);
        let ticks = u128::from(passed) * u128::from(self.hz) / 1_000_000_000;
        // What is more than the counter has is cut off by the subtraction.
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        self.regs.value.saturating_sub(ticks)
    }

    fn reload(&mut self) {
        self.regs.value = self.regs.load;
        self.since = self.clock.now_ns();
    }

    fn interrupt(&self) -> bool {
        self.regs.ris && self.regs.control & INTEN != 0
    }

    fn drive(&mut self) {
        self.irq.set(self.interrupt());
    }

    fn read_register(&mut self, register: u32) -> u32 {
        self.poll();
        match register {
            LOAD => self.regs.load,
            VALUE => self.value(),
            CONTROL => self.regs.control,
            RIS => u32::from(self.regs.ris),
            MIS => u32::from(self.interrupt()),
            LOCK => u32::from(self.regs.locked),
            _ => read_id(register, PERIPH_ID).unwrap_or(0),
        }
    }

    fn write_register(&mut self, register: u32, value: u32) {
        self.poll();
        if register == LOCK {
            self.regs.locked = value != UNLOCK;
            return;
        }
        if self.regs.locked {
            return;
        }
        match register {
            // 1 is the least (3.3.1).
            LOAD => {
                self.regs.load = value.max(1);
                self.reload();
            }
            CONTROL => {
                // Enabled anew, it starts from the beginning; disabled, the counter stops where it is.
                let value = value & (INTEN | RESEN);
                if value & !self.regs.control & INTEN != 0 {
                    self.reload();
                } else {
                    self.regs.value = self.value();
                    self.since = self.clock.now_ns();
                }
                self.regs.control = value;
            }
            INTCLR => {
                self.regs.ris = false;
                self.reload();
            }
            _ => {}
        }
        self.drive();
    }
}

impl<I: IrqLine, C: Clock> MmioDevice for Sp805<I, C> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        primecell::read(offset, size, |register| self.read_register(register))
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        primecell::write(offset, size, value, |register, value| {
            self.write_register(register, value);
        });
    }

    fn reset(&mut self) {
        self.restore(&Sp805State::default());
    }
}
