//! Shifts by amounts in a register: VSHL, VRSHL, VQSHL, VQRSHL.
//!
//! The host shifts words and doublewords so (AVX2), and gives zeros, or signs, for amounts that are
//! out of range: of a negative amount as an unsigned number, too. So a left shift by the amount and a
//! right shift by its negative together are all that is needed.

use super::super::Translator;
use super::{X0, X1, X2, X3, X4, X5, X6, X7, add, op, sub};
use crate::asm::Xmm;
use skep_arm::insn::simd::{IntOp, Simd};

/// VPSLLVD, VPSLLVQ.
const LEFT: u8 = 0x47;
/// VPSRLVD, VPSRLVQ.
const RIGHT: u8 = 0x45;
/// VPSRAVD.
const RIGHT_SIGNED: u8 = 0x46;

/// A shift of elements, which are in lanes of 4 or 8 bytes.
#[derive(Clone, Copy)]
struct Shift {
    unsigned: bool,
    round: bool,
    saturate: bool,
    /// Of an element.
    size: u8,
    /// Of a lane.
    lane: u8,
}

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn shift_by_register(&mut self, simd: Simd) -> Option<()> {
        let Simd::Int {
            op: operation @ (IntOp::Vshl | IntOp::Vrshl | IntOp::Vqshl | IntOp::Vqrshl),
            q,
            unsigned,
            size: size @ 0..=3,
            d,
            n,
            m,
        } = simd
        else {
            return None;
        };
        if !self.request.avx2 {
            return None;
        }
        let shift = Shift {
            unsigned,
            round: matches!(operation, IntOp::Vrshl | IntOp::Vqrshl),
            saturate: matches!(operation, IntOp::Vqshl | IntOp::Vqrshl),
            size,
            lane: size.max(2),
        };
        self.check_fp();
        if size >= 2 {
            self.vector_load(X1, q, m);
            self.vector_load(X2, q, n);
            self.shift_lanes(shift)?;
            self.vector_store(X1, q, d);
            return Some(());
        }
        for i in 0..if q { 2 } else { 1 } {
            self.extended(shift, m + i, n + i, false);
            self.shift_lanes(shift)?;
            if size == 1 {
                // Signed, so that packing changes nothing.
                self.asm.sse_shift(0x72, 6, X1, 16);
                self.asm.sse_shift(0x72, 4, X1, 16);
                self.sse(0x6b, X1, X1);
                self.vector_store(X1, false, d + i);
            } else {
                self.copy(X7, X1);
                self.extended(shift, m + i, n + i, true);
                self.shift_lanes(shift)?;
                self.splat(X0, 2, 0xff);
                self.sse(op::AND, X7, X0);
                self.sse(op::AND, X1, X0);
                self.sse(0x6b, X7, X1);
                self.sse(0x67, X7, X7);
                self.vector_store(X7, false, d + i);
            }
        }
        Some(())
    }

    /// Four elements of D(`m`) in X1 and of D(`n`) in X2, extended to words.
    fn extended(&mut self, shift: Shift, m: u8, n: u8, upper: bool) {
        // PMOVSX, PMOVZX.
        let from = if shift.size == 0 { 0x21 } else { 0x23 };
        for (x, number, unsigned) in [(X1, m, shift.unsigned), (X2, n, false)] {
            self.vector_load(x, false, number);
            if upper {
                self.asm.sse_shift(0x73, 2, x, 32);
            }
            self.sse38(if unsigned { from + 0x10 } else { from }, x, x);
        }
    }

    /// Shifts the lanes of X1 by the low bytes of those of X2. Uses all but X7.
    fn shift_lanes(&mut self, shift: Shift) -> Option<()> {
        let Shift {
            unsigned,
            round,
            saturate,
            size,
            lane,
        } = shift;
        let (plus, minus) = (add(lane)?, sub(lane)?);
        self.extend_amounts(lane);
        if saturate && size < lane {
            // Further than that, everything but zero is out of range (PMINSD).
            self.splat(X0, 2, 16);
            self.sse38(0x39, X2, X0);
        }
        // X6: the lanes that are shifted right, X4: their results.
        self.sign_mask(X6, X2, lane);
        self.zero(X3);
        self.vector(minus, X3, X2);
        self.right_lanes(X4, X1, X3, lane, unsigned);
        if round {
            // The last bit that is lost is added.
            self.all_ones(X3);
            self.sse(op::XOR, X3, X2);
            self.right_lanes(X5, X1, X3, lane, unsigned);
            self.splat(X0, lane, 1);
            self.sse(op::AND, X5, X0);
            self.vector(plus, X4, X5);
        }
        self.sse(op::AND, X4, X6);
        // X3: the results of the others.
        self.asm.fused(LEFT, lane == 3, X3, X1, X2);
        if saturate && size == lane {
            // X5: what the way back does not restore.
            self.right_lanes(X5, X3, X2, lane, unsigned);
            self.same(X5, X1, lane);
            self.sse(op::OR, X5, X6);
            self.sse(op::AND, X3, X5);
            self.invert(X5, X0);
            if unsigned {
                self.all_ones(X1);
            } else {
                self.sign_mask(X0, X1, lane);
                self.splat(X1, lane, u64::MAX >> 1 >> (64 - (8 << lane)));
                self.sse(op::XOR, X1, X0);
            }
            self.sse(op::AND, X1, X5);
            self.sse(op::OR, X3, X1);
            self.note_saturation(X5);
        }
        self.copy(X1, X3);
        self.sse(op::OR, X1, X4);
        if saturate && size < lane {
            let bits = 8 << size;
            self.copy(X0, X1);
            if unsigned {
                // PMINUD.
                self.splat(X3, 2, (1 << bits) - 1);
                self.sse38(0x3b, X1, X3);
            } else {
                // PMINSD, PMAXSD.
                self.splat(X3, 2, (1 << (bits - 1)) - 1);
                self.sse38(0x39, X1, X3);
                self.invert(X3, X5);
                self.sse38(0x3d, X1, X3);
            }
            self.sse(op::XOR, X0, X1);
            self.note_saturation(X0);
        }
        Some(())
    }

    /// Extends the low byte of each lane of X2, with its sign.
    fn extend_amounts(&mut self, lane: u8) {
        self.asm.sse_shift(0x72, 6, X2, 24);
        self.asm.sse_shift(0x72, 4, X2, 24);
        if lane == 3 {
            // PMOVSXDQ.
            self.sse_imm(op::SHUFFLE32, X2, X2, 0x08);
            self.sse38(0x25, X2, X2);
        }
    }

    /// Shifts lanes right by amounts. Uses X0.
    fn right_lanes(&mut self, to: Xmm, from: Xmm, by: Xmm, lane: u8, unsigned: bool) {
        match (lane, unsigned) {
            (_, true) => self.asm.fused(RIGHT, lane == 3, to, from, by),
            (2, false) => self.asm.fused(RIGHT_SIGNED, false, to, from, by),
            _ => {
                // Negative numbers inverted.
                self.sign_mask(X0, from, lane);
                self.copy(to, from);
                self.sse(op::XOR, to, X0);
                self.asm.fused(RIGHT, true, to, to, by);
                self.sse(op::XOR, to, X0);
            }
        }
    }
}
