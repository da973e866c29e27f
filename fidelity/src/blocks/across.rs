//! Parts of programs that access two pages at once, of every kind and permission, with what the
//! translator knows of them before.

use super::generate::{ADDRESS, Maker, Place, VALUE};
use super::map;
use super::program::{Part, constant};

/// The pairs of neighbours among the pages of data that differ in what may be done with them, by the
/// number of the second: read-only, none, privileged, read-only for users, device memory, device.
const BORDERS: [u32; 9] = [5, 6, 7, 8, 10, 11, 12, 13, 14];

/// Bytes that are accessed, at most.
const MOST: u32 = 64;

impl Maker<'_> {
    /// Loads or stores across the end of a page, after loads from some of both pages.
    pub(super) fn across(&mut self, place: Place) {
        let second = if self.rng.one_in(3) {
            1 + self.rng.below(15)
        } else {
            self.rng.pick(&BORDERS)
        };
        let border = map::DATA + second * 0x1000;
        let mut parts = Vec::new();
        for known in [border - MOST, border] {
            if self.rng.one_in(4) {
                continue;
            }
            parts.extend(constant(self.t32, ADDRESS, known));
            // LDR of R10.
            parts.push(self.either(0xe59c_a000, 0xf8dc_a000));
        }
        let base = match self.rng.below(3) {
            0 => self.rng.below(8),
            1 => ADDRESS,
            _ => VALUE,
        };
        for _ in 0..1 + self.rng.below(3) {
            let back = 1 + self.rng.below(MOST - 1);
            let aligned = !self.rng.one_in(6);
            let back = if aligned { (back + 3) & !3 } else { back };
            if self.rng.one_in(6) {
                parts.extend(constant(self.t32, base, border - back));
                parts.extend(self.halves(base));
                continue;
            }
            let (access, downwards) = self.wide_access(base, place);
            let first = border - back;
            let va = if downwards { first + MOST } else { first };
            parts.extend(constant(self.t32, base, va));
            parts.push(access);
        }
        self.push(parts);
    }

    /// VLDR or VSTR of both halves of a Q register, or of two D registers that are none.
    fn halves(&mut self, base: u32) -> [Part; 2] {
        let (load, d) = (self.rng.below(2) << 20, self.rng.below(15));
        let offset = self.rng.pick(&[0, 0, 0, 1, 4]);
        [(d, offset), (d + 1, offset + 2)]
            .map(|(d, words)| self.coprocessor(0xed80_0b00 | load | base << 16 | d << 12 | words))
    }

    /// An instruction that accesses some bytes at a register, or below it (true).
    fn wide_access(&mut self, base: u32, place: Place) -> (Part, bool) {
        let (load, rn) = (self.rng.below(2) << 20, base << 16);
        let wback = self.rng.below(2) << 21;
        let downwards = self.rng.one_in(3);
        match self.rng.below(8) {
            0..4 => {
                // LDM, STM: IA or DB.
                let mut list = self.rng.u32() & self.rng.pick(&[0x5fff, 0x1ff, 0x40ff]);
                match place {
                    Place::Straight => {}
                    Place::Loop => list &= !(1 << 11),
                    Place::Leaf => list &= !(1 << 14),
                }
                if wback != 0 {
                    list &= !(1 << base);
                }
                if list.count_ones() < 2 {
                    // T32 wants two at least.
                    list |= 3 << 8;
                }
                if load != 0 && place == Place::Straight && self.rng.one_in(16) {
                    // To anywhere: the handlers go on elsewhere.
                    list = list & !(1 << 14) | 1 << 15;
                }
                let bits = load | wback | rn | list;
                let direction = if downwards { 1 << 24 } else { 1 << 23 };
                let part = self.either(
                    0xe800_0000 | direction | bits,
                    0xe800_0000 | direction | bits,
                );
                (part, downwards)
            }
            4 | 5 => {
                // VLDM, VSTM of D registers: IA, or DB with write-back.
                let direction = if downwards {
                    1 << 24 | 1 << 21
                } else {
                    1 << 23 | wback
                };
                let d = self.rng.below(16);
                let count = 1 + self.rng.below(8);
                let count = count.min(16 - d);
                let bits = load | direction | rn | d << 12 | count << 1;
                (self.coprocessor(0xec00_0b00 | bits), downwards)
            }
            6 => {
                // VLD1, VST1 of one to four D registers.
                let kind = self.rng.pick(&[7, 10, 6, 2]);
                let (d, size) = (self.rng.below(12), self.rng.below(4));
                let bits = load << 1 | rn | d << 12 | kind << 8 | size << 6 | 15;
                (self.either(0xf400_0000 | bits, 0xf900_0000 | bits), false)
            }
            _ => {
                // LDRD, STRD; LDR, STR.
                let double = self.rng.one_in(2);
                let rt = 2 * self.rng.below(4);
                let part = match (double, self.t32) {
                    (true, false) => {
                        let load = if load != 0 { 0 } else { 1 << 5 };
                        Part::Word(0xe1c0_00d0 | load | rn | rt << 12)
                    }
                    (true, true) => Part::Wide(0xe9c0_0000 | load | rn | rt << 12 | (rt + 1) << 8),
                    (false, false) => Part::Word(0xe580_0000 | load | rn | rt << 12),
                    (false, true) => Part::Wide(0xf8c0_0000 | load | rn | rt << 12),
                };
                (part, false)
            }
        }
    }
}
