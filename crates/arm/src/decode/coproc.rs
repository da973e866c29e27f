//! Encodings of the coprocessor instructions (manual A5.6), in their A32 form. Coprocessors 10 and
//! 11 are VFP and Advanced SIMD: what is not one of their rows is UNDEFINED.

use super::make::*;
use super::table::{Row, row};
use crate::insn::Insn;

/// The rows.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row!("UNDEFINED (VFP data-processing)", "cccc 1110 xxxx xxxx xxxx 101x xxxx xxxx", || Insn::Undefined),
    row!("UNDEFINED (VFP load and store, unconditional)", "1111 110x xxxx xxxx xxxx 101x xxxx xxxx", || Insn::Undefined),
    row!("UNDEFINED (VFP data-processing, unconditional)", "1111 1110 xxxx xxxx xxxx 101x xxxx xxxx", || Insn::Undefined),
    row!("MCRR T1/A1", "cccc 1100 0100 uuuu tttt pppp oooo mmmm", |u, t, p, o, m| mcrr(false, p, o, (t, u), m)),
    row!("MCRR2 T2/A2", "1111 1100 0100 uuuu tttt pppp oooo mmmm", |u, t, p, o, m| mcrr(true, p, o, (t, u), m)),
    row!("MRRC T1/A1", "cccc 1100 0101 uuuu tttt pppp oooo mmmm", |u, t, p, o, m| mrrc(false, p, o, (t, u), m)),
    row!("MRRC2 T2/A2", "1111 1100 0101 uuuu tttt pppp oooo mmmm", |u, t, p, o, m| mrrc(true, p, o, (t, u), m)),
    row!("UNDEFINED (coprocessor)", "cccc 1100 000x xxxx xxxx xxxx xxxx xxxx", || Insn::Undefined),
    row!("UNDEFINED (coprocessor, unconditional)", "1111 1100 000x xxxx xxxx xxxx xxxx xxxx", || Insn::Undefined),
    row!("STC T1/A1", "cccc 110p uDw0 nnnn dddd qqqq iiii iiii", |p, u, D, w, n, d, q, i| stc(false, (p, u, w), D, q, d, n, i)),
    row!("STC2 T2/A2", "1111 110p uDw0 nnnn dddd qqqq iiii iiii", |p, u, D, w, n, d, q, i| stc(true, (p, u, w), D, q, d, n, i)),
    row!("LDC T1/A1", "cccc 110p uDw1 nnnn dddd qqqq iiii iiii", |p, u, D, w, n, d, q, i| ldc(false, (p, u, w), D, q, d, n, i)),
    row!("LDC2 T2/A2", "1111 110p uDw1 nnnn dddd qqqq iiii iiii", |p, u, D, w, n, d, q, i| ldc(true, (p, u, w), D, q, d, n, i)),
    row!("CDP T1/A1", "cccc 1110 oooo nnnn dddd pppp qqq0 mmmm", |o, n, d, p, q, m| cdp(false, p, o, d, (n, m), q)),
    row!("CDP2 T2/A2", "1111 1110 oooo nnnn dddd pppp qqq0 mmmm", |o, n, d, p, q, m| cdp(true, p, o, d, (n, m), q)),
    row!("MCR T1/A1", "cccc 1110 ooo0 nnnn tttt pppp qqq1 mmmm", |o, n, t, p, q, m| Insn::Mcr { reg: cp_reg(p, o, (n, m), q), rt: r(t), two: false }),
    row!("MCR2 T2/A2", "1111 1110 ooo0 nnnn tttt pppp qqq1 mmmm", |o, n, t, p, q, m| Insn::Mcr { reg: cp_reg(p, o, (n, m), q), rt: r(t), two: true }),
    row!("MRC T1/A1", "cccc 1110 ooo1 nnnn tttt pppp qqq1 mmmm", |o, n, t, p, q, m| Insn::Mrc { reg: cp_reg(p, o, (n, m), q), rt: r(t), two: false }),
    row!("MRC2 T2/A2", "1111 1110 ooo1 nnnn tttt pppp qqq1 mmmm", |o, n, t, p, q, m| Insn::Mrc { reg: cp_reg(p, o, (n, m), q), rt: r(t), two: true }),
];
