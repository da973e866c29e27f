//! The disassembler: decoded instructions as text in the unified assembler language (UAL, manual
//! A8.1), close to what GNU objdump writes.
//!
//! Operands are separated by a comma and a blank, numbers are decimal, addresses hexadecimal.

mod data;
mod memory;
mod simd;
mod system;

use crate::decode::{Set, rows};
use crate::insn::{Cond, Decoded, Insn, Reg, Shift};
use core::fmt;

/// An instruction's text. `pc` is the instruction's address, of which the targets of branches and
/// literals are computed.
pub fn disassemble(decoded: &Decoded, pc: u32) -> impl fmt::Display + use<> {
    let a32 = rows()
        .get(usize::from(decoded.row))
        .is_some_and(|row| row.set == Set::A32);
    Text {
        insn: decoded.insn,
        cond: suffix(decoded.cond),
        pc: pc.wrapping_add(if a32 { 8 } else { 4 }),
    }
}

/// What the text of an instruction needs.
struct Text {
    insn: Insn,
    /// The suffix for the condition.
    cond: &'static str,
    /// The PC as the instruction reads it.
    pc: u32,
}

impl Text {
    /// The address of something `offset` from the PC rounded down to a word.
    fn aligned(&self, offset: i32) -> u32 {
        (self.pc & !3).wrapping_add_signed(offset)
    }
}

/// The suffix of a mnemonic.
fn suffix(cond: Cond) -> &'static str {
    [
        "eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "",
    ][cond as usize]
}

/// `yes` when a flag is set, else nothing.
fn when(flag: bool, yes: &'static str) -> &'static str {
    if flag { yes } else { "" }
}

/// A shift by an immediate that follows a register: nothing, or `, lsl #2`.
struct Shifted(Shift, u8);

impl fmt::Display for Shifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Shifted(Shift::Lsl, 0) => Ok(()),
            Shifted(Shift::Rrx, _) => f.write_str(", rrx"),
            Shifted(shift, amount) => write!(f, ", {} #{amount}", shift_name(shift)),
        }
    }
}

fn shift_name(shift: Shift) -> &'static str {
    match shift {
        Shift::Lsl => "lsl",
        Shift::Lsr => "lsr",
        Shift::Asr => "asr",
        Shift::Ror => "ror",
        Shift::Rrx => "rrx",
    }
}

/// `{r0, r1, lr}`.
struct List(u16);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        let mut first = true;
        for n in (0..16).filter(|n| self.0 >> n & 1 != 0) {
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            write!(f, "{}", Reg::new(n))?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Insn::Simd(simd) = &self.insn {
            return simd::fmt(simd, self.cond, self.pc, f);
        }
        // Each of the others knows its part of the instructions.
        if data::fmt(self, f)? || memory::fmt(self, f)? || system::fmt(self, f)? {
            Ok(())
        } else {
            f.write_str("undefined")
        }
    }
}
