//! The decoder.
use crate::insn::{Cond, Decoded, Insn};

/// The T32 IT state (ITSTATE, manual A2.5.2): bits 7:5 the base condition, 4:0 the rest; 0 outside
/// an IT block.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ItState(pub u8);

impl ItState {
    /// In an IT block.
    #[inline(always)]
    pub const fn in_block(self) -> bool {
        self.0 & 15 != 0
    }

    /// The last instruction of an IT block.
    pub const fn last_in_block(self) -> bool {
        self.0 & 15 == 8
    }

    /// The condition of the next instruction.
    pub const fn cond(self) -> Cond {
        if self.in_block() {
            Cond::from_bits((self.0 >> 4) as u32)
        } else {
            Cond::Al
        }
    }

    /// The state after one instruction (`ITAdvance`).
    #[must_use]
    pub const fn advance(self) -> ItState {
        if self.0 & 7 == 0 {
            ItState(0)
        } else {
            ItState(self.0 & 0xe0 | self.0 << 1 & 0x1f)
        }
    }
}

/// Decodes an A32 instruction.
pub fn a32(_word: u32) -> Decoded {
    Decoded {
        insn: Insn::Undefined,
        cond: Cond::Al,
        len: 4,
        row: 0,
    }
}

/// Whether the T32 instruction that starts with `hw1` has a second halfword (manual A6.1).
pub const fn t32_is_wide(hw1: u16) -> bool {
    hw1 >> 11 >= 0b11101
}

/// Decodes a T32 instruction. `hw2` is not looked at when `hw1` is a whole instruction.
pub fn t32(hw1: u16, _hw2: u16, _it: ItState) -> Decoded {
    Decoded {
        insn: Insn::Undefined,
        cond: Cond::Al,
        len: if t32_is_wide(hw1) { 4 } else { 2 },
        row: 0,
    }
}
