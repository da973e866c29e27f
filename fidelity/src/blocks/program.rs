//! Programs: units of instructions that can be taken out one by one, and how they become memory.

use super::map::{CODE, CODE_SIZE, CODE_WRITABLE};
use crate::wire::FILLER;
use skep_arm::decode::{self, ItState};
use skep_arm::disasm::disassemble;
use std::fmt::Write;

/// How a jump is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Jump {
    /// B, with a condition (14: always).
    B(u32),
    /// BL.
    Bl,
    /// BLX: to the other instruction set.
    Blx,
    /// T32: CBZ, or CBNZ, of a low register.
    Cbz(bool, u32),
}

/// A part of a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// A word of A32, or data.
    Word(u32),
    /// T32, one halfword.
    Narrow(u32),
    /// T32, two halfwords, the first in the upper half.
    Wide(u32),
    /// A jump to a unit.
    Jump(Jump, usize),
    /// MOVW and MOVT of a unit's address plus a constant; bit 0 is set if it is T32 and the last
    /// field says so.
    Address(u32, usize, u32, bool),
}

/// Instructions that belong together.
#[derive(Clone, Debug)]
pub struct Unit {
    /// In T32.
    pub t32: bool,
    /// What it consists of.
    pub parts: Vec<Part>,
}

/// Code, and where it starts.
#[derive(Clone, Debug)]
pub struct Program {
    /// Address of the first unit, a multiple of 4.
    pub start: u32,
    /// The units in their order.
    pub units: Vec<Unit>,
}

/// Loads a constant: the instructions.
pub fn constant(t32: bool, rd: u32, value: u32) -> [Part; 2] {
    let low = mov_half(t32, rd, value & 0xffff, false);
    let high = mov_half(t32, rd, value >> 16, true);
    [low, high]
}

fn mov_half(t32: bool, rd: u32, imm: u32, top: bool) -> Part {
    if t32 {
        let op = if top { 0xf2c0_0000 } else { 0xf240_0000 };
        let fields = (imm >> 12) << 16 | (imm >> 11 & 1) << 26 | (imm >> 8 & 7) << 12;
        Part::Wide(op | fields | rd << 8 | imm & 0xff)
    } else {
        let op = if top { 0xe340_0000 } else { 0xe300_0000 };
        Part::Word(op | (imm >> 12) << 16 | rd << 12 | imm & 0xfff)
    }
}

impl Part {
    fn size(self, t32: bool) -> u32 {
        match self {
            Part::Word(_) | Part::Wide(_) => 4,
            Part::Narrow(_) | Part::Jump(Jump::Cbz(..), _) => 2,
            Part::Jump(Jump::B(cond), _) if t32 && cond & 0x10 != 0 => 2,
            Part::Jump(..) => 4,
            Part::Address(..) => 8,
        }
    }
}

/// A branch's encoding; None if it does not reach.
fn branch(t32: bool, jump: Jump, from: u32, to: u32) -> Option<Part> {
    if !t32 {
        let offset = to.wrapping_sub(from.wrapping_add(8));
        let field = offset >> 2 & 0x00ff_ffff;
        return Some(Part::Word(match jump {
            Jump::B(cond) => (cond & 15) << 28 | 0x0a00_0000 | field,
            Jump::Bl => 0xeb00_0000 | field,
            Jump::Blx => 0xfa00_0000 | (offset >> 1 & 1) << 24 | field,
            Jump::Cbz(..) => return None,
        }));
    }
    let base = from.wrapping_add(4);
    let base = if jump == Jump::Blx { base & !3 } else { base };
    let offset = to.wrapping_sub(base) as i32;
    let (s, bits) = (offset as u32 >> 24 & 1, offset as u32);
    let far = |op: u32| {
        let (j1, j2) = ((bits >> 23 & 1) ^ 1 ^ s, (bits >> 22 & 1) ^ 1 ^ s);
        Part::Wide(
            op | s << 26 | (bits >> 12 & 0x3ff) << 16 | j1 << 13 | j2 << 11 | bits >> 1 & 0x7ff,
        )
    };
    Some(match jump {
        Jump::B(14) => far(0xf000_9000),
        Jump::B(cond) if cond & 0x10 != 0 => {
            if !(-256..256).contains(&offset) {
                return None;
            }
            Part::Narrow(0xd000 | (cond & 15) << 8 | bits >> 1 & 0xff)
        }
        Jump::B(cond) => Part::Wide(
            0xf000_8000
                | s << 26
                | cond << 22
                | (bits >> 12 & 0x3f) << 16
                | (bits >> 18 & 1) << 13
                | (bits >> 19 & 1) << 11
                | bits >> 1 & 0x7ff,
        ),
        Jump::Bl => far(0xf000_d000),
        Jump::Blx => far(0xf000_c000),
        Jump::Cbz(not, rn) => {
            if !(0..127).contains(&offset) {
                return None;
            }
            Part::Narrow(
                0xb100
                    | u32::from(not) << 11
                    | (bits >> 6 & 1) << 9
                    | (bits >> 1 & 0x1f) << 3
                    | rn & 7,
            )
        }
    })
}

impl Program {
    /// The address of each unit, and of the end.
    pub fn addresses(&self) -> Vec<u32> {
        let mut va = self.start;
        let mut addresses = Vec::with_capacity(self.units.len() + 1);
        for unit in &self.units {
            if !unit.t32 {
                va = va.next_multiple_of(4);
            }
            addresses.push(va);
            va += unit
                .parts
                .iter()
                .map(|part| part.size(unit.t32))
                .sum::<u32>();
        }
        addresses.push(va);
        addresses
    }

    /// Whether it fits into the area of code.
    pub fn fits(&self) -> bool {
        self.addresses()
            .last()
            .is_some_and(|end| *end <= CODE + CODE_SIZE)
    }

    /// The program's instructions with their addresses: all references resolved.
    fn resolved(&self) -> Vec<(u32, bool, Part)> {
        let addresses = self.addresses();
        let address = |unit: usize| addresses.get(unit).copied().unwrap_or(CODE);
        let mut parts = Vec::new();
        for (unit, start) in self.units.iter().zip(&addresses) {
            let mut va = *start;
            for part in &unit.parts {
                let nop = if part.size(unit.t32) == 2 {
                    Part::Narrow(0xbf00)
                } else if unit.t32 {
                    Part::Wide(0xf3af_8000)
                } else {
                    Part::Word(0xe320_f000)
                };
                match *part {
                    Part::Jump(jump, to) => {
                        let encoded = branch(unit.t32, jump, va, address(to)).unwrap_or(nop);
                        parts.push((va, unit.t32, encoded));
                    }
                    Part::Address(rd, to, plus, with_state) => {
                        let t32 = self.units.get(to).is_some_and(|unit| unit.t32);
                        let value = address(to).wrapping_add(plus) | u32::from(with_state && t32);
                        let [low, high] = constant(unit.t32, rd, value);
                        parts.push((va, unit.t32, low));
                        parts.push((va + 4, unit.t32, high));
                    }
                    part => parts.push((va, unit.t32, part)),
                }
                va += part.size(unit.t32);
            }
        }
        parts
    }

    /// The area of code.
    pub fn code(&self) -> Vec<u8> {
        let mut area = FILLER.to_le_bytes().repeat(CODE_SIZE as usize / 4);
        for (va, _, part) in self.resolved() {
            let at = (va - CODE) as usize;
            let bytes = match part {
                Part::Narrow(half) => (half as u16).to_le_bytes().to_vec(),
                Part::Wide(word) => word.rotate_left(16).to_le_bytes().to_vec(),
                Part::Word(word) => word.to_le_bytes().to_vec(),
                _ => Vec::new(),
            };
            if let Some(place) = area.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(&bytes);
            }
        }
        area
    }

    /// Takes a unit out: NOPs of the same size take its place.
    pub fn without(&self, unit: usize) -> Self {
        let mut program = self.clone();
        let Some(unit) = program.units.get_mut(unit) else {
            return program;
        };
        let size: u32 = unit.parts.iter().map(|part| part.size(unit.t32)).sum();
        unit.parts = if unit.t32 {
            vec![Part::Narrow(0xbf00); size as usize / 2]
        } else {
            vec![Part::Word(0xe320_f000); size as usize / 4]
        };
        program
    }

    /// Whether a unit is nothing but NOPs.
    pub fn is_empty(&self, unit: usize) -> bool {
        self.units.get(unit).is_some_and(|unit| {
            unit.parts
                .iter()
                .all(|part| matches!(part, Part::Narrow(0xbf00) | Part::Word(0xe320_f000)))
        })
    }

    /// The assembly text; runs of NOPs are left out.
    pub fn listing(&self) -> String {
        let mut text = String::new();
        let mut it = ItState(0);
        for (va, t32, part) in self.resolved() {
            let (word, decoded) = match part {
                Part::Narrow(half) => (half, decode::t32(half as u16, 0, it)),
                Part::Wide(word) => (word, decode::t32((word >> 16) as u16, word as u16, it)),
                Part::Word(word) => (word, decode::a32(word)),
                _ => continue,
            };
            it = match decoded.insn {
                skep_arm::insn::Insn::It { it } => ItState(it),
                _ if t32 => it.advance(),
                _ => ItState(0),
            };
            if matches!(part, Part::Narrow(0xbf00) | Part::Word(0xe320_f000)) {
                continue;
            }
            let set = if t32 { 'T' } else { 'A' };
            let _ = writeln!(
                text,
                "  {va:08x} {set} {word:08x}  {}",
                disassemble(&decoded, va)
            );
        }
        text
    }
}

/// The distance from code to where it can be written.
pub const TO_WRITABLE: u32 = CODE_WRITABLE.wrapping_sub(CODE);
