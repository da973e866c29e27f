//! PL061 general-purpose I/O: eight pins, each an input that can interrupt, or an output.
//!
//! GPIOAFSEL is kept and otherwise ignored: no pin has an alternate function on this board.

pub mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use state::Pl061State;

use crate::primecell::{self, read_id};
use crate::{IrqLine, MmioDevice};
use spec::*;

/// PL061 GPIO with its interrupt line (GPIOINTR, the pins' interrupts combined).
pub struct Pl061<I: IrqLine> {
    irq: I,
    irq_level: bool,
    regs: Pl061State,
}

impl<I: IrqLine> Pl061<I> {
    /// A GPIO after power-on: all pins are inputs and low.
    pub fn new(irq: I) -> Self {
        let mut gpio = Pl061 {
            irq,
            irq_level: false,
            regs: Pl061State::default(),
        };
        gpio.restore(&Pl061State::default());
        gpio
    }

    /// Exports the state.
    pub fn save(&self) -> Pl061State {
        self.regs
    }

    /// Takes over a saved state and drives the interrupt line accordingly.
    pub fn restore(&mut self, state: &Pl061State) {
        self.regs = *state;
        self.irq_level = self.masked_status() != 0;
        self.irq.set(self.irq_level);
    }

    /// Drives an input pin from outside. `pin` is 0 to 7; others do not exist and are ignored.
    pub fn set_pin(&mut self, pin: u8, level: bool) {
        if pin > 7 {
            return;
        }
        let bit = 1 << pin;
        let inputs = if level {
            self.regs.inputs | bit
        } else {
            self.regs.inputs & !bit
        };
        let changed = inputs ^ self.regs.inputs;
        self.regs.inputs = inputs;
        // The edge that counts: both, or the one into the level that GPIOIEV names.
        let wanted = self.regs.ibe | !(inputs ^ self.regs.iev);
        self.regs.edges |= changed & wanted & !self.regs.is & !self.regs.dir;
        self.update_irq();
    }

    /// The levels that the guest drives output pins to; input pins read as 0.
    pub fn outputs(&self) -> u8 {
        self.regs.data & self.regs.dir
    }

    fn levels(&self) -> u8 {
        (self.regs.inputs & !self.regs.dir) | self.outputs()
    }

    fn raw_status(&self) -> u8 {
        let active_levels = !(self.regs.inputs ^ self.regs.iev) & self.regs.is & !self.regs.dir;
        (self.regs.edges & !self.regs.is) | active_levels
    }

    fn masked_status(&self) -> u8 {
        self.raw_status() & self.regs.ie
    }

    fn update_irq(&mut self) {
        let level = self.masked_status() != 0;
        if level != self.irq_level {
            self.irq_level = level;
            self.irq.set(level);
        }
    }

    fn read_register(&self, register: u32) -> u32 {
        let value = match register {
            0..=DATA_LAST => self.levels() & (register >> 2) as u8,
            DIR => self.regs.dir,
            IS => self.regs.is,
            IBE => self.regs.ibe,
            IEV => self.regs.iev,
            IE => self.regs.ie,
            RIS => self.raw_status(),
            MIS => self.masked_status(),
            AFSEL => self.regs.afsel,
            _ => return read_id(register, PERIPH_ID).unwrap_or(0),
        };
        u32::from(value)
    }

    fn write_register(&mut self, register: u32, value: u8) {
        match register {
            0..=DATA_LAST => {
                let mask = (register >> 2) as u8 & self.regs.dir;
                self.regs.data = (self.regs.data & !mask) | (value & mask);
            }
            DIR => self.regs.dir = value,
            IS => {
                self.regs.is = value;
                // Edges are not recorded for pins that sense levels.
                self.regs.edges &= !value;
            }
            IBE => self.regs.ibe = value,
            IEV => self.regs.iev = value,
            IE => self.regs.ie = value,
            IC => self.regs.edges &= !value,
            AFSEL => self.regs.afsel = value,
            _ => {}
        }
        self.update_irq();
    }
}

impl<I: IrqLine> MmioDevice for Pl061<I> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        primecell::read(offset, size, |register| self.read_register(register))
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        primecell::write(offset, size, value, |register, value| {
            self.write_register(register, value as u8);
        });
    }

    /// Back to the state after power-on; the outside still drives the pins.
    fn reset(&mut self) {
        self.restore(&Pl061State {
            inputs: self.regs.inputs,
            ..Pl061State::default()
        });
    }
}
