//! Shifts by an immediate amount, with rounding, insertion and saturation, and the narrowing ones.

use super::super::Translator;
use super::{X0, X1, X2, X3, X4, add, equal, op};
use crate::asm::Xmm;
use skep_arm::insn::simd::{NarrowOp, ShiftOp, Simd};

/// A shift by an immediate.
#[derive(Clone, Copy)]
struct Shift {
    operation: ShiftOp,
    q: bool,
    unsigned: bool,
    size: u8,
    amount: u8,
}

/// A narrowing shift; `size` is that of the result's elements.
#[derive(Clone, Copy)]
struct Narrow {
    operation: NarrowOp,
    unsigned: bool,
    round: bool,
    size: u8,
    amount: u8,
}

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn composed_shift(&mut self, simd: Simd) -> Option<()> {
        match simd {
            Simd::Shift {
                op: operation,
                q,
                unsigned,
                size: size @ 0..=3,
                amount,
                d,
                m,
            } => {
                let shift = Shift {
                    operation,
                    q,
                    unsigned,
                    size,
                    amount,
                };
                self.check_fp();
                self.vector_load(X1, q, m);
                self.shift(shift, d)?;
                self.vector_store(X1, q, d);
            }
            Simd::Narrow {
                op: operation,
                unsigned,
                round,
                size: size @ 0..=2,
                amount,
                d,
                m,
            } => {
                let narrow = Narrow {
                    operation,
                    unsigned,
                    round,
                    size,
                    amount,
                };
                self.check_fp();
                self.vector_load(X0, true, m);
                self.narrow(narrow);
                self.vector_store(X0, false, d);
            }
            _ => return None,
        }
        Some(())
    }

    /// Shifts X1.
    fn shift(&mut self, shift: Shift, d: u8) -> Option<()> {
        let Shift {
            operation,
            q,
            unsigned,
            size,
            amount,
        } = shift;
        let bits = 8 << size;
        match operation {
            ShiftOp::Vshr | ShiftOp::Vsra => self.right(X1, size, unsigned, amount),
            ShiftOp::Vrshr | ShiftOp::Vrsra => self.right_rounded(X1, size, unsigned, amount),
            ShiftOp::Vshl => self.left(X1, size, amount),
            ShiftOp::Vsri | ShiftOp::Vsli => {
                self.vector_load(X2, q, d);
                // The bits of the destination that stay.
                if operation == ShiftOp::Vsri {
                    self.right(X1, size, true, amount);
                    self.right(X2, size, true, bits - amount);
                    self.left(X2, size, bits - amount);
                } else {
                    self.left(X1, size, amount);
                    self.left(X2, size, bits - amount);
                    self.right(X2, size, true, bits - amount);
                }
                self.sse(op::OR, X1, X2);
            }
            ShiftOp::Vqshl | ShiftOp::Vqshlu => {
                // X4: what saturates.
                self.zero(X4);
                if operation == ShiftOp::Vqshlu {
                    // Negative numbers become zero.
                    self.sign_mask(X4, X1, size);
                    self.copy(X2, X4);
                    self.sse(op::AND_NOT, X2, X1);
                    self.copy(X1, X2);
                }
                let unsigned = unsigned || operation == ShiftOp::Vqshlu;
                self.copy(X2, X1);
                self.left(X1, size, amount);
                self.copy(X3, X1);
                self.right(X3, size, unsigned, amount);
                // X3: what is the same after the way back.
                self.same(X3, X2, size);
                if !unsigned {
                    self.sign_mask(X0, X2, size);
                    self.splat(X2, size, u64::MAX >> 1 >> (64 - u32::from(bits)));
                    self.sse(op::XOR, X2, X0);
                } else {
                    self.all_ones(X2);
                }
                self.sse(op::AND, X1, X3);
                self.all_ones(X0);
                self.sse(op::XOR, X3, X0);
                self.sse(op::AND, X2, X3);
                self.sse(op::OR, X1, X2);
                self.sse(op::OR, X4, X3);
                self.note_saturation(X4);
            }
        }
        if matches!(operation, ShiftOp::Vsra | ShiftOp::Vrsra) {
            self.vector_load(X2, q, d);
            self.vector(add(size)?, X1, X2);
        }
        Some(())
    }

    /// Elements that are equal become ones, others zero.
    pub(super) fn same(&mut self, x: Xmm, y: Xmm, size: u8) {
        match equal(size) {
            Some(operation) => self.vector(operation, x, y),
            // PCMPEQQ.
            None => self.sse38(0x29, x, y),
        }
    }

    /// Elements that are negative become ones, others zero.
    pub(super) fn sign_mask(&mut self, to: Xmm, from: Xmm, size: u8) {
        match size {
            0 => {
                // PCMPGTB.
                self.zero(to);
                self.sse(0x64, to, from);
            }
            3 => {
                self.sse_imm(op::SHUFFLE32, to, from, 0xf5);
                self.asm.sse_shift(0x72, 4, to, 31);
            }
            _ => {
                self.copy(to, from);
                self.asm.sse_shift(0x70 + size, 4, to, (8 << size) - 1);
            }
        }
    }

    /// Shifts elements left, by up to all bits. Uses X0.
    pub(super) fn left(&mut self, x: Xmm, size: u8, amount: u8) {
        if amount == 0 {
            return;
        }
        if size == 0 {
            self.asm.sse_shift(0x71, 6, x, amount);
            self.splat(X0, 0, 0xff << amount);
            self.sse(op::AND, x, X0);
        } else {
            self.asm.sse_shift(0x70 + size, 6, x, amount);
        }
    }

    /// Shifts elements right, by up to all bits. Uses X0.
    pub(super) fn right(&mut self, x: Xmm, size: u8, unsigned: bool, amount: u8) {
        if amount == 0 {
            return;
        }
        let bits = 8 << size;
        match (size, unsigned) {
            (0, true) => {
                self.asm.sse_shift(0x71, 2, x, amount);
                self.splat(X0, 0, 0xff >> amount);
                self.sse(op::AND, x, X0);
            }
            (0, false) => {
                let amount = amount.min(7);
                self.right(x, 0, true, amount);
                // Extends the sign, which is now this bit.
                self.splat(X0, 0, 0x80 >> amount);
                self.sse(op::XOR, x, X0);
                self.sse(0xf8, x, X0);
            }
            (3, false) => {
                self.sign_mask(X0, x, 3);
                self.asm.sse_shift(0x73, 6, X0, bits - amount);
                self.asm.sse_shift(0x73, 2, x, amount);
                self.sse(op::OR, x, X0);
            }
            _ => {
                let extension = if unsigned { 2 } else { 4 };
                self.asm.sse_shift(0x70 + size, extension, x, amount);
            }
        }
    }

    /// Shifts elements right, by 1 to all bits, and rounds to nearest. Uses X0, X2.
    pub(super) fn right_rounded(&mut self, x: Xmm, size: u8, unsigned: bool, amount: u8) {
        // The last bit that is lost is added.
        let bits = 8 << size;
        self.copy(X2, x);
        if size == 0 {
            self.asm.sse_shift(0x71, 2, X2, amount - 1);
            self.splat(X0, 0, 1);
            self.sse(op::AND, X2, X0);
        } else {
            self.asm.sse_shift(0x70 + size, 6, X2, bits - amount);
            self.asm.sse_shift(0x70 + size, 2, X2, bits - 1);
        }
        self.right(x, size, unsigned, amount);
        if let Some(operation) = add(size) {
            self.vector(operation, x, X2);
        }
    }

    /// Narrows X0. Uses X1 to X4.
    fn narrow(&mut self, narrow: Narrow) {
        let Narrow {
            operation,
            unsigned,
            round,
            size,
            amount,
        } = narrow;
        let wide = size + 1;
        let unsigned = match operation {
            // Bits above do not count.
            NarrowOp::Truncate => true,
            NarrowOp::Saturate => unsigned,
            NarrowOp::SaturateUnsigned => false,
        };
        self.copy(X1, X0);
        if amount != 0 && round {
            self.right_rounded(X1, wide, unsigned, amount);
        } else {
            self.right(X1, wide, unsigned, amount);
        }
        self.copy(X0, X1);
        if operation == NarrowOp::Truncate {
            self.truncate(size);
            return;
        }
        let to_unsigned = unsigned || operation == NarrowOp::SaturateUnsigned;
        if size == 2 {
            self.saturate_words(unsigned, to_unsigned);
            return;
        }
        if unsigned {
            // Packing takes the numbers as signed (PMINUW, PMINUD).
            self.splat(X2, wide, (1 << (8 << size)) - 1);
            self.sse38(0x39 + wide, X0, X2);
        }
        match (size, to_unsigned) {
            (0, false) => self.sse(0x63, X0, X0),
            (0, true) => self.sse(0x67, X0, X0),
            (_, false) => self.sse(0x6b, X0, X0),
            (_, true) => self.sse38(0x2b, X0, X0),
        }
        // What does not come back the same has saturated.
        self.copy(X2, X0);
        self.lengthen(X2, to_unsigned, size);
        self.sse(op::XOR, X2, X1);
        self.note_saturation(X2);
    }

    /// Narrows doublewords in X0 to words. Uses X1 to X4.
    fn saturate_words(&mut self, unsigned: bool, to_unsigned: bool) {
        // The low words and the high ones.
        self.sse_imm(op::SHUFFLE32, X1, X0, 0x0d);
        self.sse_imm(op::SHUFFLE32, X0, X0, 0x08);
        // X3: all bits where the number fits.
        self.copy(X3, X0);
        if to_unsigned {
            self.zero(X3);
        } else {
            self.asm.sse_shift(0x72, 4, X3, 31);
        }
        self.sse(op::EQUAL32, X3, X1);
        // X2: the bound.
        if unsigned {
            self.all_ones(X2);
        } else {
            self.copy(X2, X1);
            self.asm.sse_shift(0x72, 4, X2, 31);
            if to_unsigned {
                self.invert(X2, X4);
            } else {
                self.splat(X4, 2, 0x7fff_ffff);
                self.sse(op::XOR, X2, X4);
            }
        }
        self.sse(op::AND, X0, X3);
        self.invert(X3, X4);
        // What was above the two elements saturates nothing.
        self.asm.sse(crate::asm::Prefix::F3, 0x7e, X3, X3);
        self.sse(op::AND, X2, X3);
        self.sse(op::OR, X0, X2);
        self.note_saturation(X3);
    }
}
