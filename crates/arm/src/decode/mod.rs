//! The decoder.
//!
//! Encodings are rows of tables ([`rows`]), one for each encoding of the manual, written as its bit
//! diagrams. Where two rows match a word, the earlier one of the table takes it. A word that no
//! row takes has the row `UNDEFINED` of its instruction set.
//!
//! Bits that should be 0 or 1 are not looked at. What the manual calls UNPREDICTABLE has a
//! documented meaning: see `docs/unpredictable.md`.

mod a32;
mod coproc;
pub mod load_store;
mod make;
mod simd;
mod t16;
mod t32;
pub(crate) mod table;

use crate::insn::{Cond, Decoded, Insn};
pub use table::{Field, Row, Set, a32_form};
use table::{Index, Key, Maker, concat, row};

const UNDEFINED_WORD: &[Row] = &[row!(
    "UNDEFINED",
    "xxxx xxxx xxxx xxxx xxxx xxxx xxxx xxxx",
    || Insn::Undefined
)];
const UNDEFINED_HALFWORD: &[Row] = &[row!("UNDEFINED", "xxxx xxxx xxxx xxxx", || Insn::Undefined)];

/// All tables, in the order of row numbers; the flag marks those given in A32 form, of
/// which the T32 rows are derived.
const PARTS: &[(Set, bool, &[Row])] = &[
    (Set::A32, true, simd::ROWS),
    (Set::A32, false, a32::DATA_PROCESSING),
    (Set::A32, false, a32::LOAD_STORE_BRANCH),
    (Set::A32, false, a32::MEDIA),
    (Set::A32, false, a32::UNCONDITIONAL),
    (Set::A32, true, coproc::ROWS),
    (Set::A32, false, UNDEFINED_WORD),
    (Set::T16, false, t16::ROWS),
    (Set::T16, false, UNDEFINED_HALFWORD),
    (Set::T32, true, simd::ROWS),
    (Set::T32, false, t32::DATA_PROCESSING),
    (Set::T32, false, t32::LOAD_STORE),
    (Set::T32, false, t32::CONTROL),
    (Set::T32, true, coproc::ROWS),
    (Set::T32, false, UNDEFINED_WORD),
];

const COUNT: usize = {
    let (mut i, mut n) = (0, 0);
    while i < PARTS.len() {
        n += PARTS[i].2.len();
        i += 1;
    }
    n
};

static ROWS: [Row; COUNT] = concat(PARTS);

/// The rows of all tables; [`Decoded::row`] is an index into them.
pub fn rows() -> &'static [Row] {
    &ROWS
}

macro_rules! index {
    ($name:ident, $key:expr) => {
        static $name: Index<{ $key.buckets() + 1 }, { $key.entries(&ROWS) }> =
            Index::new($key, &ROWS);
    };
}

const A32_KEY: Key = Key {
    set: Set::A32,
    unconditional: false,
    high: (20, 8),
    low: (4, 4),
};
const A32_UNCONDITIONAL_KEY: Key = Key {
    unconditional: true,
    ..A32_KEY
};
const T16_KEY: Key = Key {
    set: Set::T16,
    unconditional: false,
    high: (6, 10),
    low: (0, 0),
};
const T32_KEY: Key = Key {
    set: Set::T32,
    unconditional: false,
    high: (20, 9),
    low: (4, 4),
};
index!(A32, A32_KEY);
index!(A32_UNCONDITIONAL, A32_UNCONDITIONAL_KEY);
index!(T16, T16_KEY);
index!(T32, T32_KEY);

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
pub fn a32(word: u32) -> Decoded {
    let number = if word >> 28 == 15 {
        A32_UNCONDITIONAL.find(&ROWS, word)
    } else {
        A32.find(&ROWS, word)
    };
    decoded_a32(ROWS[number as usize].maker(number), word)
}

#[inline]
fn decoded_a32(maker: Maker, word: u32) -> Decoded {
    Decoded {
        insn: (maker.build)(word),
        cond: Cond::from_bits(word >> 28),
        len: 4,
        row: maker.row,
    }
}

/// Whether the T32 instruction that starts with `hw1` has a second halfword (manual A6.1).
pub const fn t32_is_wide(hw1: u16) -> bool {
    hw1 >> 11 >= 0b11101
}

/// Decodes a T32 instruction. `hw2` is not looked at when `hw1` is a whole instruction.
pub fn t32(hw1: u16, hw2: u16, it: ItState) -> Decoded {
    let wide = t32_is_wide(hw1);
    let (word, number) = if wide {
        let word = (hw1 as u32) << 16 | hw2 as u32;
        (word, T32.find(&ROWS, word))
    } else {
        let word = hw1 as u32;
        (word, T16.find(&ROWS, word))
    };
    decoded_t32(ROWS[number as usize].maker(number), wide, word, it)
}

#[inline]
fn decoded_t32(maker: Maker, wide: bool, word: u32, it: ItState) -> Decoded {
    let insn = (maker.build)(if maker.a32_form { a32_form(word) } else { word });
    Decoded {
        insn: if wide { insn } else { in_it_block(insn, it) },
        cond: match (insn, maker.cond_shift) {
            // Executed whatever the IT block says.
            (Insn::Bkpt { .. }, _) => Cond::Al,
            (_, Row::NO_COND) => it.cond(),
            (_, shift) => Cond::from_bits(word >> shift),
        },
        len: if wide { 4 } else { 2 },
        row: maker.row,
    }
}

/// What a 16-bit instruction is in an IT block, if there is one: those that set the flags outside
/// do not inside, except comparisons.
fn in_it_block(mut insn: Insn, it: ItState) -> Insn {
    use crate::insn::DpOp;
    if it.in_block() {
        match &mut insn {
            Insn::DpImm { op, s, .. } | Insn::DpReg { op, s, .. } | Insn::DpRsr { op, s, .. } => {
                *s = matches!(op, DpOp::Tst | DpOp::Teq | DpOp::Cmp | DpOp::Cmn);
            }
            Insn::Mul { s, .. } => *s = false,
            _ => {}
        }
    }
    insn
}
