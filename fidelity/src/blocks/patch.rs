//! Parts of programs that write functions to pages that are data too, by every kind of store and
//! through both mappings, and call them between; and that have a device raise interrupts.

use super::generate::{ADDRESS, Maker, Place, VALUE};
use super::machine::{LOWER_FIQ, LOWER_IRQ, RAISE_FIQ, RAISE_IRQ};
use super::map;
use super::program::{Jump, Part, constant};
use crate::rng::Rng;

/// A function's number: those of the first page come first.
pub fn slot(rng: &mut Rng) -> u32 {
    // Often among few, so that functions share lines.
    let among = rng.pick(&[4, 64]);
    rng.below(2) * (0x1000 / map::SLOT) + rng.below(among)
}

fn is_t32(slot: u32) -> bool {
    slot % 2 == 1
}

/// What R11, a loop's counter, is added to an instruction as: to the immediate of MOVW.
const COUNTER_A32: u32 = 0xe08a_a00b;
const COUNTER_T32: u32 = 0xe08a_a80b;

impl Maker<'_> {
    /// The address of an offset in the two pages, in one of the mappings.
    fn mapped(&mut self, at: u32) -> u32 {
        if self.rng.one_in(2) {
            map::PATCH + at
        } else {
            map::PATCH_ALIAS + (at ^ 0x1000)
        }
    }

    /// A32 or T32, by the current state.
    pub(super) fn either(&self, a32: u32, wide: u32) -> Part {
        if self.t32 {
            Part::Wide(wide)
        } else {
            Part::Word(a32)
        }
    }

    /// Writes to the pages, or calls a function there.
    pub(super) fn patch(&mut self, place: Place) {
        let slot = self.rng.pick(&self.slots);
        match self.rng.below(8) {
            0..3 => self.write_function(slot, place),
            3..6 => self.call_function(slot),
            6 => self.write_nearby(slot),
            _ => {
                // The way it usually goes.
                self.write_function(slot, place);
                self.call_function(slot);
            }
        }
    }

    /// Writes an instruction or two of a function.
    fn write_function(&mut self, slot: u32, place: Place) {
        let count = 1 + self.rng.below(2);
        let first = self.rng.below(4);
        let va = self.mapped(slot * map::SLOT + first * 4);
        let mut parts = constant(self.t32, ADDRESS, va).to_vec();
        for number in 0..count {
            let Some(new) = self.body(is_t32(slot)) else {
                break;
            };
            // In a loop, mostly another one each time.
            let counts = place == Place::Loop && !self.rng.one_in(4);
            let new = match (counts, is_t32(slot)) {
                (false, _) => new,
                // MOVW of one of R0 to R7.
                (true, false) => 0xe300_0000 | self.rng.below(8) << 12,
                (true, true) => 0xf240_0000 | self.rng.below(8) << 8,
            };
            let stored = if is_t32(slot) {
                new.rotate_left(16)
            } else {
                new
            };
            parts.extend(constant(self.t32, VALUE, stored));
            if counts {
                let add = if is_t32(slot) {
                    COUNTER_T32
                } else {
                    COUNTER_A32
                };
                // ADD R10, R10, R11, LSL #0 or #16: in T32 with other fields.
                let wide = if is_t32(slot) {
                    0xeb0a_4a0b
                } else {
                    0xeb0a_0a0b
                };
                parts.push(self.either(add, wide));
            }
            self.store_value(&mut parts, place);
            if number + 1 < count {
                // ADD R12, R12, #4.
                parts.push(self.either(0xe28c_c004, 0xf10c_0c04));
            }
        }
        if self.rng.one_in(4) {
            for op in [0xee07_0f3b, 0xee07_0f35, 0xee07_0fd5] {
                parts.push(self.coprocessor(op | ADDRESS << 12));
            }
        }
        parts.extend(constant(self.t32, ADDRESS, 0));
        self.push(parts);
    }

    /// Stores R10 to where R12 points, in one of many ways.
    fn store_value(&mut self, parts: &mut Vec<Part>, place: Place) {
        // LSR R10, R10, #8 or #16.
        let shift = |maker: &Self, by: u32| {
            maker.either(
                0xe1a0_a02a | by << 7,
                0xea4f_0a1a | (by >> 2) << 12 | (by & 3) << 6,
            )
        };
        match self.rng.below(10) {
            0 => {
                for at in 0..4 {
                    parts.push(self.either(0xe5cc_a000 | at, 0xf88c_a000 | at));
                    parts.push(shift(self, 8));
                }
            }
            1 => {
                parts.push(self.either(0xe1cc_a0b0, 0xf8ac_a000));
                parts.push(shift(self, 16));
                parts.push(self.either(0xe1cc_a0b2, 0xf8ac_a002));
            }
            // STRD of R10 and R11: a loop's counter is an instruction that does little.
            2 if place == Place::Loop => parts.push(self.either(0xe1cc_a0f0, 0xe9cc_ab00)),
            3 => {
                // VMOV S0, R10; VSTR S0, [R12].
                parts.push(self.coprocessor(0xee00_aa10));
                parts.push(self.coprocessor(0xed8c_0a00));
            }
            4 => {
                // VST1.32 {D0[0]}, [R12].
                parts.push(self.coprocessor(0xee00_aa10));
                parts.push(self.either(0xf48c_080f, 0xf98c_080f));
            }
            5 if !self.t32 => parts.push(Part::Word(0xe10c_a09a)),
            6 if !self.t32 => parts.push(Part::Word(0xe88c_0400)),
            7 if !self.storm => {
                // LDREX R9, [R12]; STREX R9, R10, [R12].
                parts.push(self.either(0xe19c_9f9f, 0xe85c_9f00));
                parts.push(self.either(0xe18c_9f9a, 0xe84c_a900));
            }
            _ => parts.push(self.store()),
        }
    }

    /// Calls a function, after the barriers that make it what was written.
    fn call_function(&mut self, slot: u32) {
        let va = self.mapped(slot * map::SLOT) | u32::from(is_t32(slot));
        let mut parts = self.barriers().to_vec();
        parts.extend(constant(self.t32, ADDRESS, va));
        parts.push(if self.t32 {
            Part::Narrow(0x4780 | ADDRESS << 3)
        } else {
            Part::Word(0xe12f_ff30 | ADDRESS)
        });
        parts.extend(constant(self.t32, ADDRESS, 0));
        self.push(parts);
    }

    /// Loads and stores beside functions: data in the same page, or in the same line.
    fn write_nearby(&mut self, slot: u32) {
        let page = (slot * map::SLOT) & 0x1000;
        let at = if self.rng.one_in(3) {
            // The last word of a function is never reached.
            slot * map::SLOT + map::SLOT - 4
        } else {
            page + 0x800 + self.rng.below(0x1f0) * 4
        };
        let va = self.mapped(at);
        let mut parts = constant(self.t32, ADDRESS, va).to_vec();
        let [low, _] = constant(self.t32, VALUE, self.rng.below(1 << 16));
        parts.push(low);
        parts.push(self.store());
        // LDR R10, [R12].
        parts.push(self.either(0xe59c_a000, 0xf8dc_a000));
        parts.extend(constant(self.t32, ADDRESS, 0));
        self.push(parts);
    }

    /// Drives an interrupt line. Where a trace is left, both engines must look at it at the same
    /// places: a branch ends a block and an ISB the other.
    pub(super) fn interrupt(&mut self) {
        let exact = [RAISE_IRQ, RAISE_FIQ, LOWER_IRQ, LOWER_FIQ];
        let line = match (self.storm, self.rng.one_in(2)) {
            (true, true) => RAISE_FIQ,
            (true, false) => self.rng.pick(&[RAISE_FIQ, RAISE_IRQ, LOWER_IRQ]),
            (false, _) => self.rng.pick(&exact),
        };
        let mut parts = constant(self.t32, ADDRESS, map::DEVICE + line).to_vec();
        let store = if self.rng.one_in(2) {
            self.store()
        } else {
            self.either(0xe5cc_a000, 0xf88c_a000)
        };
        if self.storm && line == RAISE_FIQ {
            parts.push(store);
        } else {
            let unit = self.next() + 1;
            parts.push(Part::Jump(Jump::B(14), unit));
            self.push(std::mem::take(&mut parts));
            self.whole.push(unit);
            let [_, isb] = self.barriers();
            parts.extend([store, isb]);
        }
        parts.extend(constant(self.t32, ADDRESS, 0));
        self.push(parts);
    }
}
