//! Operations with results of twice the operands' size, and those that keep the upper half.

use super::super::Translator;
use super::integer::PRODUCT_SIGNED;
use super::{X0, X1, X2, add, sub};
use skep_arm::insn::simd::{IntOp, LongOp, Simd};

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn composed_long(&mut self, simd: Simd) -> Option<()> {
        match simd {
            Simd::Long {
                op: operation,
                unsigned,
                size: size @ 0..=2,
                d,
                n,
                m,
            } => {
                let known = match operation {
                    LongOp::Vabdl | LongOp::Vabal => true,
                    LongOp::VmullP => size == 0,
                    LongOp::Vqdmull | LongOp::Vqdmlal | LongOp::Vqdmlsl => size != 0,
                    _ => false,
                };
                if !known {
                    return None;
                }
                self.check_fp();
                self.vector_load(X1, false, n);
                self.vector_load(X2, false, m);
                self.long_result(operation, unsigned, size, d, false)?;
            }
            Simd::LongScalar {
                op:
                    operation @ (LongOp::Vmull
                    | LongOp::Vmlal
                    | LongOp::Vmlsl
                    | LongOp::Vqdmull
                    | LongOp::Vqdmlal
                    | LongOp::Vqdmlsl),
                unsigned,
                size: size @ (1 | 2),
                d,
                n,
                m,
                index,
            } => {
                self.check_fp();
                self.broadcast(X2, size, m, index);
                self.vector_load(X1, false, n);
                self.long_result(operation, unsigned, size, d, true)?;
            }
            Simd::HighNarrow {
                subtract,
                round,
                size: size @ 0..=2,
                d,
                n,
                m,
            } => {
                let wide = size + 1;
                let combine = if subtract { sub(wide) } else { add(wide) }?;
                let rounding = add(wide)?;
                self.check_fp();
                self.vector_load(X0, true, n);
                self.vector_load(X1, true, m);
                self.vector(combine, X0, X1);
                if round {
                    self.splat(X1, wide, 0x80 << (8 * ((1 << size) - 1)));
                    self.vector(rounding, X0, X1);
                }
                self.asm.sse_shift(0x70 + wide, 2, X0, 8 << size);
                self.truncate(size);
                self.vector_store(X0, false, d);
            }
            _ => return None,
        }
        Some(())
    }

    /// The operands are in the lower halves of X1 and X2; those in X2 are all the same if `scalar`.
    fn long_result(
        &mut self,
        operation: LongOp,
        unsigned: bool,
        size: u8,
        d: u8,
        scalar: bool,
    ) -> Option<()> {
        let wide = size + 1;
        let doubles = matches!(
            operation,
            LongOp::Vqdmull | LongOp::Vqdmlal | LongOp::Vqdmlsl
        );
        let unsigned = unsigned && !doubles;
        match operation {
            LongOp::Vabdl | LongOp::Vabal => {
                self.difference(unsigned, size)?;
                self.lengthen(X1, true, size);
            }
            LongOp::VmullP => {
                self.lengthen(X1, true, 0);
                self.lengthen(X2, true, 0);
                self.multiply_polynomials(1);
            }
            _ => {
                self.lengthen(X1, unsigned, size);
                // Products of doublewords are those of their lower halves.
                if !(scalar && size == 2) {
                    self.lengthen(X2, unsigned, size);
                }
                match (size, unsigned) {
                    // PMULUDQ.
                    (2, true) => self.sse(0xf4, X1, X2),
                    (2, false) => self.sse38(PRODUCT_SIGNED, X1, X2),
                    _ => self.sse38(super::op38::MUL32, X1, X2),
                }
            }
        }
        if doubles {
            self.vector(add(wide)?, X1, X1);
            self.saturate_least(wide);
        }
        match operation {
            LongOp::Vmlal | LongOp::Vabal => self.accumulate(IntOp::Vmla, true, wide, d),
            LongOp::Vmlsl => self.accumulate(IntOp::Vmls, true, wide, d),
            LongOp::Vqdmlal | LongOp::Vqdmlsl => {
                self.copy(X2, X1);
                self.vector_load(X1, true, d);
                self.add_saturated(operation == LongOp::Vqdmlsl, false, wide);
                self.vector_store(X1, true, d);
                Some(())
            }
            _ => {
                self.vector_store(X1, true, d);
                Some(())
            }
        }
    }
}
