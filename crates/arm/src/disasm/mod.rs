//! The disassembler.

mod simd;

use crate::insn::{Cond, Decoded, Insn};
use core::fmt;

/// An instruction's text in the unified assembler language.
pub fn disassemble(decoded: &Decoded, pc: u32) -> impl fmt::Display {
    Text {
        decoded: *decoded,
        pc,
    }
}

struct Text {
    decoded: Decoded,
    pc: u32,
}

/// The suffix of a mnemonic.
fn suffix(cond: Cond) -> &'static str {
    [
        "eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "",
    ][cond as usize]
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cond = suffix(self.decoded.cond);
        match &self.decoded.insn {
            Insn::Simd(simd) => simd::fmt(simd, cond, self.pc, f),
            other => write!(f, "{other:?}"),
        }
    }
}
