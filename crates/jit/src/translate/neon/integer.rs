//! Integer operations on two registers: bytes multiplied, halving ones, differences, pairs, and
//! those that saturate.

use super::super::Translator;
use super::{X0, X1, X2, X3, X4, add, max, min, op, sub};
use crate::asm::Xmm;
use skep_arm::insn::simd::{IntOp, Simd};

/// PAVGB, PAVGW by size.
const AVERAGE: [u8; 2] = [0xe0, 0xe3];
/// PMULDQ, of the map 0F 38.
pub(super) const PRODUCT_SIGNED: u8 = 0x28;

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn composed_integer(&mut self, simd: Simd) -> Option<()> {
        match simd {
            Simd::Int {
                op: operation,
                q,
                unsigned,
                size,
                d,
                n,
                m,
            } => {
                let known = match operation {
                    IntOp::Vqadd | IntOp::Vqsub => size <= 3,
                    IntOp::Vmul | IntOp::Vmla | IntOp::Vmls | IntOp::VmulP => size == 0,
                    IntOp::Vhadd | IntOp::Vrhadd | IntOp::Vhsub | IntOp::Vabd | IntOp::Vaba => {
                        size <= 2
                    }
                    IntOp::Vpadd | IntOp::Vpmax | IntOp::Vpmin => size <= 2 && !q,
                    IntOp::Vqdmulh | IntOp::Vqrdmulh => matches!(size, 1 | 2),
                    _ => false,
                };
                if !known {
                    return None;
                }
                self.check_fp();
                self.vector_load(X1, q, n);
                self.vector_load(X2, q, m);
                match operation {
                    IntOp::Vmul | IntOp::Vmla | IntOp::Vmls => {
                        self.multiply_bytes();
                        return self.accumulate(operation, q, size, d);
                    }
                    IntOp::VmulP => self.multiply_polynomials(0),
                    IntOp::Vhadd | IntOp::Vrhadd | IntOp::Vhsub => {
                        self.halve(operation, unsigned, size)?;
                    }
                    IntOp::Vabd => self.difference(unsigned, size)?,
                    IntOp::Vaba => {
                        self.difference(unsigned, size)?;
                        self.vector_load(X0, q, d);
                        self.vector(add(size)?, X1, X0);
                    }
                    IntOp::Vpadd | IntOp::Vpmax | IntOp::Vpmin => {
                        self.sse(op::UNPACK_LOW64, X1, X2);
                        self.copy(X2, X1);
                        self.unzip(size);
                        let combine = match operation {
                            IntOp::Vpadd => add(size),
                            IntOp::Vpmax => max(size, unsigned),
                            _ => min(size, unsigned),
                        };
                        self.vector(combine?, X1, X2);
                    }
                    IntOp::Vqadd | IntOp::Vqsub => {
                        self.add_saturated(operation == IntOp::Vqsub, unsigned, size);
                    }
                    IntOp::Vqdmulh | IntOp::Vqrdmulh => {
                        self.multiply_high(operation == IntOp::Vqrdmulh, size);
                    }
                    _ => return None,
                }
                self.vector_store(X1, q, d);
            }
            Simd::IntScalar {
                op: operation @ (IntOp::Vqdmulh | IntOp::Vqrdmulh),
                q,
                size: size @ (1 | 2),
                d,
                n,
                m,
                index,
            } => {
                self.check_fp();
                self.broadcast(X2, size, m, index);
                self.vector_load(X1, q, n);
                self.multiply_high(operation == IntOp::Vqrdmulh, size);
                self.vector_store(X1, q, d);
            }
            _ => return None,
        }
        Some(())
    }

    /// X1 = X1 * X2 by bytes. Uses X3, X4.
    fn multiply_bytes(&mut self) {
        self.copy(X3, X1);
        self.copy(X4, X2);
        // PMULLW: the low bytes of products of halfwords, and of their upper bytes.
        self.sse(0xd5, X1, X2);
        self.asm.sse_shift(0x71, 2, X3, 8);
        self.asm.sse_shift(0x71, 2, X4, 8);
        self.sse(0xd5, X3, X4);
        self.asm.sse_shift(0x71, 6, X3, 8);
        self.asm.sse_shift(0x71, 6, X1, 8);
        self.asm.sse_shift(0x71, 2, X1, 8);
        self.sse(op::OR, X1, X3);
    }

    /// X1 = the carry-less product of X1 and the low bytes in X2, by bytes (`size` 0) or, of
    /// numbers that are bytes, by halfwords (1). Uses X0, X3, X4.
    pub(super) fn multiply_polynomials(&mut self, size: u8) {
        let (sum, equal) = (0xfc + size, 0x74 + size);
        // X4: the bit of X2 that counts. X0: the sum.
        self.splat(X4, size, 1);
        self.zero(X0);
        for bit in 0..8 {
            self.copy(X3, X2);
            self.sse(op::AND, X3, X4);
            self.sse(equal, X3, X4);
            self.sse(op::AND, X3, X1);
            self.sse(op::XOR, X0, X3);
            if bit < 7 {
                self.sse(sum, X1, X1);
                self.sse(sum, X4, X4);
            }
        }
        self.copy(X1, X0);
    }

    /// VHADD, VRHADD, VHSUB of X1 and X2. Uses X0, X3.
    fn halve(&mut self, operation: IntOp, unsigned: bool, size: u8) -> Option<()> {
        if size == 2 {
            let shift = |this: &mut Self, x: Xmm, unsigned: bool| {
                this.asm.sse_shift(0x72, if unsigned { 2 } else { 4 }, x, 1);
            };
            self.copy(X3, X1);
            if operation == IntOp::Vhsub {
                // a / 2 - b / 2, less the borrow of the last bits.
                self.sse(op::AND_NOT, X3, X2);
                self.splat(X0, 2, 1);
                self.sse(op::AND, X3, X0);
                shift(self, X1, unsigned);
                shift(self, X2, unsigned);
                self.sse(op::SUB32, X1, X2);
                self.sse(op::SUB32, X1, X3);
                return Some(());
            }
            // What both have, and half of what one has.
            self.sse(op::XOR, X3, X2);
            shift(self, X3, unsigned);
            if operation == IntOp::Vrhadd {
                self.sse(op::OR, X1, X2);
                self.sse(op::SUB32, X1, X3);
            } else {
                self.sse(op::AND, X1, X2);
                self.sse(op::ADD32, X1, X3);
            }
            return Some(());
        }
        // The host has the average of unsigned numbers, rounded up. Signed ones become unsigned with
        // the top bit inverted; with all bits inverted, it is rounded down.
        let (top, all) = if size == 0 {
            (0x80, 0xff)
        } else {
            (0x8000, 0xffff)
        };
        let average = *AVERAGE.get(usize::from(size))?;
        let signed = if unsigned { 0 } else { top };
        let [first, second, result] = match operation {
            IntOp::Vhadd => [signed ^ all; 3],
            IntOp::Vrhadd => [signed; 3],
            // The average of one and the other's complement, less half of the range.
            _ => [signed, signed ^ all, top],
        };
        for (x, value) in [(X1, first), (X2, second)] {
            self.flip(x, size, value);
        }
        self.sse(average, X1, X2);
        self.flip(X1, size, result);
        Some(())
    }

    /// Inverts bits of every element. Uses X0.
    fn flip(&mut self, x: Xmm, size: u8, bits: u64) {
        if bits != 0 {
            self.splat(X0, size, bits);
            self.sse(op::XOR, x, X0);
        }
    }

    /// X1 = |X1 - X2|. Uses X3.
    pub(super) fn difference(&mut self, unsigned: bool, size: u8) -> Option<()> {
        self.copy(X3, X1);
        self.vector(max(size, unsigned)?, X1, X2);
        self.vector(min(size, unsigned)?, X3, X2);
        self.vector(sub(size)?, X1, X3);
        Some(())
    }

    /// X1 = X1 + X2 or X1 - X2, saturated. Uses X0, X3, X4.
    pub(super) fn add_saturated(&mut self, subtract: bool, unsigned: bool, size: u8) {
        let wrapping = if subtract { sub(size) } else { add(size) };
        let Some(wrapping) = wrapping else { return };
        self.copy(X3, X1);
        self.vector(wrapping, X3, X2);
        if size <= 1 {
            let base = if subtract { 0xd8 } else { 0xdc };
            let signed = if unsigned { 0 } else { 0x10 };
            self.sse(base + signed + size, X1, X2);
            // Both differ where it saturates.
            self.sse(op::XOR, X3, X1);
            self.note_saturation(X3);
            return;
        }
        // X3 is the sum. The sign of X4: whether it is out of range.
        if unsigned {
            // The carry, a & b | (a | b) & !sum; with !a, the borrow: !a & b | (!a | b) & sum.
            self.copy(X4, X1);
            if subtract {
                self.invert(X4, X0);
            }
            self.copy(X0, X4);
            self.sse(op::AND, X4, X2);
            self.sse(op::OR, X0, X2);
            if subtract {
                self.sse(op::AND, X0, X3);
                self.sse(op::OR, X4, X0);
            } else {
                self.copy(X2, X3);
                self.sse(op::AND_NOT, X2, X0);
                self.sse(op::OR, X4, X2);
            }
            self.sign_mask(X0, X4, size);
            if subtract {
                // Zero.
                self.copy(X1, X0);
                self.sse(op::AND_NOT, X1, X3);
            } else {
                self.copy(X1, X3);
                self.sse(op::OR, X1, X0);
            }
            self.note_saturation(X0);
            return;
        }
        // Signs: sum and a differ, and, for a sum, sum and b, or for a difference a and b.
        self.copy(X4, X3);
        self.sse(op::XOR, X4, X1);
        self.copy(X0, if subtract { X1 } else { X3 });
        self.sse(op::XOR, X0, X2);
        self.sse(op::AND, X4, X0);
        // The bound that is on the side of a.
        self.sign_mask(X0, X1, size);
        self.splat(X1, size, u64::MAX >> 1 >> (64 - (8 << size)));
        self.sse(op::XOR, X1, X0);
        self.sign_mask(X0, X4, size);
        self.sse(op::AND, X1, X0);
        self.copy(X4, X0);
        self.sse(op::AND_NOT, X4, X3);
        self.sse(op::OR, X1, X4);
        self.note_saturation(X0);
    }

    /// VQDMULH, VQRDMULH of X1 and X2. Uses X0, X3, X4.
    fn multiply_high(&mut self, round: bool, size: u8) {
        if size == 1 {
            if round {
                // PMULHRSW.
                self.sse38(0x0b, X1, X2);
            } else {
                // PMULLW, PMULHW.
                self.copy(X3, X1);
                self.sse(0xd5, X3, X2);
                self.sse(0xe5, X1, X2);
                self.asm.sse_shift(0x71, 6, X1, 1);
                self.asm.sse_shift(0x71, 2, X3, 15);
                self.sse(op::OR, X1, X3);
            }
        } else {
            // X1: the products of even elements, X3: of odd ones.
            self.copy(X3, X1);
            self.copy(X4, X2);
            self.asm.sse_shift(0x73, 2, X3, 32);
            self.asm.sse_shift(0x73, 2, X4, 32);
            self.sse38(PRODUCT_SIGNED, X1, X2);
            self.sse38(PRODUCT_SIGNED, X3, X4);
            for x in [X1, X3] {
                self.sse(0xd4, x, x);
            }
            if round {
                self.splat(X0, 3, 1 << 31);
                for x in [X1, X3] {
                    self.sse(0xd4, x, X0);
                }
            }
            self.asm.sse_shift(0x73, 2, X1, 32);
            // PBLENDW: the upper words of X3.
            self.asm.sse3a_vector(0x0e, X1, X3, 0xcc);
        }
        // Only the least number times itself is out of range, and nothing else gives it.
        self.saturate_least(size);
    }

    /// Makes the greatest number of the least one in X1, and notes it. Uses X0.
    pub(super) fn saturate_least(&mut self, size: u8) {
        self.splat(X0, size, 1 << ((8 << size) - 1));
        self.same(X0, X1, size);
        self.sse(op::XOR, X1, X0);
        self.note_saturation(X0);
    }
}
