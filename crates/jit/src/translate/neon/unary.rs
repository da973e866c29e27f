//! Integer operations on one register: counting bits, comparisons with zero, sums of pairs, and
//! those that saturate.

use super::super::Translator;
use super::permute::SHUFFLE_BYTES;
use super::{P66, X0, X1, X2, X3, X4, X5, add, greater, op, sub, tables};
use skep_arm::insn::simd::{Simd, UnaryOp};

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn composed_unary(&mut self, simd: Simd) -> Option<()> {
        let Simd::Unary {
            op: operation,
            q,
            unsigned,
            size: size @ 0..=2,
            d,
            m,
        } = simd
        else {
            return None;
        };
        if matches!(
            operation,
            UnaryOp::Vrecpe
                | UnaryOp::Vrsqrte
                | UnaryOp::Vrev16
                | UnaryOp::Vrev32
                | UnaryOp::Vrev64
        ) {
            return None;
        }
        let (greater, minus) = (greater(size)?, sub(size)?);
        self.check_fp();
        self.vector_load(X1, q, m);
        match operation {
            UnaryOp::Vcnt => {
                self.split_bytes();
                self.table(X3, tables::FOUR_BITS_ONES);
                self.copy(X0, X3);
                self.sse38(SHUFFLE_BYTES, X3, X1);
                self.sse38(SHUFFLE_BYTES, X0, X2);
                self.sse(0xfc, X0, X3);
                self.copy(X1, X0);
            }
            UnaryOp::Vclz => self.leading_zeros(size),
            UnaryOp::Vcls => {
                // Without the sign, a negative number inverted.
                self.sign_mask(X0, X1, size);
                self.sse(op::XOR, X1, X0);
                self.leading_zeros(size);
                self.all_ones(X0);
                self.vector(add(size)?, X1, X0);
            }
            UnaryOp::VceqZero => {
                self.zero(X0);
                self.same(X1, X0, size);
            }
            UnaryOp::VcgtZero | UnaryOp::VcleZero => {
                self.zero(X0);
                self.vector(greater, X1, X0);
                if operation == UnaryOp::VcleZero {
                    self.invert(X1, X0);
                }
            }
            UnaryOp::VcltZero | UnaryOp::VcgeZero => {
                self.zero(X0);
                self.vector(greater, X0, X1);
                self.copy(X1, X0);
                if operation == UnaryOp::VcgeZero {
                    self.invert(X1, X0);
                }
            }
            UnaryOp::Vqabs | UnaryOp::Vqneg => {
                // The one number without its negative is the bound with all bits inverted.
                self.splat(X3, size, 0x80 << (8 * ((1 << size) - 1)));
                self.same(X3, X1, size);
                if operation == UnaryOp::Vqabs {
                    self.asm.sse38(P66, 0x1c + size, X1, X1);
                } else {
                    self.zero(X0);
                    self.vector(minus, X0, X1);
                    self.copy(X1, X0);
                }
                self.sse(op::XOR, X1, X3);
                self.note_saturation(X3);
            }
            UnaryOp::Vpaddl => self.add_pairs(size, unsigned),
            UnaryOp::Vpadal => {
                self.add_pairs(size, unsigned);
                self.vector_load(X0, q, d);
                self.vector(add(size + 1)?, X1, X0);
            }
            UnaryOp::Vabs => self.asm.sse38(P66, 0x1c + size, X1, X1),
            _ => return None,
        }
        self.vector_store(X1, q, d);
        Some(())
    }

    /// The low four bits of each byte of X1 stay there, the high ones go to X2. Uses X0.
    fn split_bytes(&mut self) {
        self.splat(X0, 0, 0x0f);
        self.copy(X2, X1);
        self.asm.sse_shift(0x71, 2, X2, 4);
        self.sse(op::AND, X1, X0);
        self.sse(op::AND, X2, X0);
    }

    /// The number of zeros above the first one in each element of X1. Uses X0, X2 to X5.
    fn leading_zeros(&mut self, size: u8) {
        self.split_bytes();
        // X5: the bytes whose upper half is zero, for which the lower half counts.
        self.zero(X5);
        self.sse(0x74, X5, X2);
        self.table(X3, tables::FOUR_BITS_ZEROS);
        self.copy(X4, X3);
        self.sse38(SHUFFLE_BYTES, X3, X1);
        self.sse38(SHUFFLE_BYTES, X4, X2);
        self.sse(op::AND, X3, X5);
        self.sse(0xfc, X4, X3);
        self.copy(X1, X4);
        // From the counts of halves to those of wholes.
        for half in 0..size {
            let bits = 8 << half;
            self.splat(X2, half, u64::from(bits));
            self.same(X2, X1, half);
            let shift = 0x71 + half;
            self.asm.sse_shift(shift, 2, X2, bits);
            self.sse(op::AND, X2, X1);
            self.asm.sse_shift(shift, 2, X1, bits);
            self.sse(0xfd + half, X1, X2);
        }
    }

    /// The sums of the pairs of elements of X1, at twice their size. Uses X0.
    pub(super) fn add_pairs(&mut self, size: u8, unsigned: bool) {
        match (size, unsigned) {
            // PMADDUBSW: unsigned by signed.
            (0, true) => {
                self.splat(X0, 0, 1);
                self.sse38(0x04, X1, X0);
            }
            (0, false) => {
                self.splat(X0, 0, 1);
                self.sse38(0x04, X0, X1);
                self.copy(X1, X0);
            }
            // PMADDWD.
            (1, false) => {
                self.splat(X0, 1, 1);
                self.sse(0xf5, X1, X0);
            }
            (2, false) => {
                // PMULDQ by 1 extends the sign.
                self.splat(X2, 3, 1);
                self.copy(X0, X1);
                self.asm.sse_shift(0x73, 2, X0, 32);
                self.sse38(0x28, X0, X2);
                self.sse38(0x28, X1, X2);
                self.sse(0xd4, X1, X0);
            }
            _ => {
                let (shift, bits) = (0x71 + size, 8 << size);
                self.copy(X0, X1);
                self.asm.sse_shift(shift, 2, X0, bits);
                self.asm.sse_shift(shift, 6, X1, bits);
                self.asm.sse_shift(shift, 2, X1, bits);
                // PADDD, PADDQ.
                self.sse(if size == 1 { 0xfe } else { 0xd4 }, X1, X0);
            }
        }
    }
}
