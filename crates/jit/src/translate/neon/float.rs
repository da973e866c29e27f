//! Floating point other than sums and products: comparisons, the larger and the smaller number,
//! pairs, conversions, and estimates of reciprocals.
//!
//! As in the rest of Advanced SIMD, what meets a number below the normal ones or a NaN is the
//! interpreter's; X5, X6, X7 are used as in [`Translator::check_operand`].

use super::super::Translator;
use super::{Rounded, X0, X1, X2, X3, X4, X5, X6, X7, op, op38};
use crate::asm::{Gpr, Label, Mem, Prefix, Width, Xmm};
use crate::context::{STATE, Shared};
use skep_arm::insn::Decoded;
use skep_arm::insn::simd::{FloatOp, FloatUnary, Simd};
use std::mem::offset_of;

const AND: u8 = 0x54;
const OR: u8 = 0x56;
const ADD: u8 = 0x58;
const MUL: u8 = 0x59;
const FROM_INT: u8 = 0x5b;
const SUB: u8 = 0x5c;
const MIN: u8 = 0x5d;
const MAX: u8 = 0x5f;

/// What CMPPS tells.
#[derive(Clone, Copy)]
enum Relation {
    Equal = 0,
    Less = 1,
    LessOrEqual = 2,
    Unordered = 3,
}

/// The bits of 2^`exponent`.
const fn power(exponent: i32) -> u64 {
    ((127 + exponent) as u64) << 23
}

const TWO: u64 = power(1);
const THREE: u64 = 0x4040_0000;
const HALF: u64 = power(-1);
const SIGN: u64 = 0x8000_0000;
const EXPONENT: u64 = 0x7f80_0000;
const SMALLEST_NORMAL: u64 = 0x0080_0000;

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn composed_float(&mut self, decoded: &Decoded, simd: Simd) -> Option<()> {
        match simd {
            Simd::Float { op, q, d, n, m } => {
                let pairs = matches!(op, FloatOp::Vpadd | FloatOp::Vpmax | FloatOp::Vpmin);
                let known = pairs && !q
                    || matches!(
                        op,
                        FloatOp::Vabd
                            | FloatOp::Vmax
                            | FloatOp::Vmin
                            | FloatOp::Vceq
                            | FloatOp::Vcge
                            | FloatOp::Vcgt
                            | FloatOp::Vacge
                            | FloatOp::Vacgt
                            | FloatOp::Vrecps
                            | FloatOp::Vrsqrts
                    );
                if !known {
                    return None;
                }
                let (slow, done) = self.begin_arithmetic(decoded);
                self.vector_load(X1, q, n);
                self.vector_load(X2, q, m);
                if pairs {
                    self.sse(op::UNPACK_LOW64, X1, X2);
                    self.copy(X2, X1);
                    self.unzip(2);
                }
                self.begin_checks();
                self.binary_float(op, slow);
                self.vector_store(X1, q, d);
                self.asm.bind(done);
            }
            Simd::FloatUnary { op, q, d, m } => match op {
                FloatUnary::Vabs => {
                    self.check_fp();
                    self.vector_load(X1, q, m);
                    self.constant(X0, offset_of!(Shared, f32_magnitude));
                    self.sse(op::AND, X1, X0);
                    self.vector_store(X1, q, d);
                }
                FloatUnary::Vneg => {
                    self.check_fp();
                    self.vector_load(X1, q, m);
                    self.splat(X0, 2, SIGN);
                    self.sse(op::XOR, X1, X0);
                    self.vector_store(X1, q, d);
                }
                FloatUnary::Vrecpe | FloatUnary::Vrsqrte => {
                    let (slow, done) = self.begin_arithmetic(decoded);
                    self.vector_load(X1, q, m);
                    self.begin_checks();
                    self.estimate(op == FloatUnary::Vrsqrte, q, slow);
                    self.vector_store(X1, q, d);
                    self.asm.bind(done);
                }
                _ => {
                    let (slow, done) = self.begin_arithmetic(decoded);
                    self.vector_load(X1, q, m);
                    self.begin_checks();
                    self.zero(X2);
                    let operation = match op {
                        FloatUnary::VceqZero => FloatOp::Vceq,
                        FloatUnary::VcgeZero | FloatUnary::VcleZero => FloatOp::Vcge,
                        _ => FloatOp::Vcgt,
                    };
                    if matches!(op, FloatUnary::VcleZero | FloatUnary::VcltZero) {
                        self.copy(X2, X1);
                        self.zero(X1);
                    }
                    self.binary_float(operation, slow);
                    self.vector_store(X1, q, d);
                    self.asm.bind(done);
                }
            },
            Simd::Cvt {
                to_fixed,
                q,
                unsigned,
                fraction: fraction @ 0..=32,
                d,
                m,
            } => {
                let (slow, done) = self.begin_arithmetic(decoded);
                self.vector_load(X1, q, m);
                let fraction = i32::from(fraction);
                if to_fixed {
                    self.begin_checks();
                    self.float_vector_to_fixed(unsigned, fraction, slow);
                } else {
                    self.fixed_vector_to_float(unsigned, fraction);
                }
                self.vector_store(X1, q, d);
                self.asm.bind(done);
            }
            _ => return None,
        }
        Some(())
    }

    /// X7 gathers what is wrong, X6 is the mask of all bits but the sign, X5 ones.
    fn begin_checks(&mut self) {
        self.zero(X7);
        self.constant(X6, offset_of!(Shared, f32_magnitude));
        self.constant(X5, offset_of!(Shared, ones));
    }

    fn leave_if_wrong(&mut self, slow: Label) {
        self.leave_if_any(X7, slow);
    }

    /// An instruction on four numbers.
    fn packed(&mut self, opcode: u8, dst: Xmm, src: Xmm) {
        self.asm.sse(Prefix::None, opcode, dst, src);
    }

    fn compare_packed(&mut self, relation: Relation, dst: Xmm, src: Xmm) {
        self.packed(0xc2, dst, src);
        self.asm.immediate(relation as u8);
    }

    /// Notes elements that are infinite, or NaNs. Uses X3, X4.
    fn check_finite(&mut self, x: Xmm) {
        self.copy(X3, x);
        self.sse(op::AND, X3, X6);
        self.splat(X4, 2, EXPONENT - 1);
        self.sse(op::GREATER32, X3, X4);
        self.sse(op::OR, X7, X3);
    }

    /// Notes elements whose bits, less those of the smallest normal number, are above `limit` as
    /// unsigned numbers. Uses X3, X4.
    fn check_range(&mut self, x: Xmm, limit: u64) {
        self.copy(X3, x);
        self.splat(X4, 2, SMALLEST_NORMAL);
        self.sse(op::SUB32, X3, X4);
        self.splat(X4, 2, limit);
        self.sse38(op38::MIN_UNSIGNED32, X4, X3);
        self.sse(op::EQUAL32, X4, X3);
        self.all_ones(X3);
        self.sse(op::XOR, X4, X3);
        self.sse(op::OR, X7, X4);
    }

    /// X1 = X1 and X2, combined.
    fn binary_float(&mut self, operation: FloatOp, slow: Label) {
        self.check_operand(X1);
        self.check_operand(X2);
        let steps = matches!(operation, FloatOp::Vrecps | FloatOp::Vrsqrts);
        let sums = matches!(operation, FloatOp::Vabd | FloatOp::Vpadd);
        if steps {
            // Infinity times zero has a rule of its own.
            self.check_finite(X1);
            self.check_finite(X2);
        } else if !sums {
            self.copy(X3, X1);
            self.compare_packed(Relation::Unordered, X3, X2);
            self.sse(op::OR, X7, X3);
        }
        self.leave_if_wrong(slow);
        if matches!(operation, FloatOp::Vacge | FloatOp::Vacgt) {
            self.sse(op::AND, X1, X6);
            self.sse(op::AND, X2, X6);
        }
        match operation {
            FloatOp::Vceq => self.compare_packed(Relation::Equal, X1, X2),
            FloatOp::Vcgt | FloatOp::Vacgt => {
                self.compare_packed(Relation::Less, X2, X1);
                self.copy(X1, X2);
            }
            FloatOp::Vcge | FloatOp::Vacge => {
                self.compare_packed(Relation::LessOrEqual, X2, X1);
                self.copy(X1, X2);
            }
            FloatOp::Vmax | FloatOp::Vpmax | FloatOp::Vmin | FloatOp::Vpmin => {
                // Of equal numbers the host gives the second one. Both orders together: of zeros
                // with both signs the positive, or the negative one.
                let (choose, join) = if matches!(operation, FloatOp::Vmax | FloatOp::Vpmax) {
                    (MAX, AND)
                } else {
                    (MIN, OR)
                };
                self.copy(X0, X2);
                self.packed(choose, X0, X1);
                self.packed(choose, X1, X2);
                self.packed(join, X1, X0);
            }
            FloatOp::Vpadd => self.packed(ADD, X1, X2),
            FloatOp::Vabd => self.packed(SUB, X1, X2),
            _ => {
                self.packed(MUL, X1, X2);
                self.wrong_elements(X7, X1, Rounded::Yes);
                let rsqrt = operation == FloatOp::Vrsqrts;
                self.splat(X0, 2, if rsqrt { THREE } else { TWO });
                self.packed(SUB, X0, X1);
                if rsqrt {
                    // Exact: what is left of 3 is not that small.
                    self.splat(X1, 2, HALF);
                    self.packed(MUL, X0, X1);
                }
                self.copy(X1, X0);
            }
        }
        if sums || steps {
            self.wrong_elements(X3, X1, Rounded::No);
            self.sse(op::OR, X7, X3);
            self.leave_if_wrong(slow);
        }
        if operation == FloatOp::Vabd {
            self.sse(op::AND, X1, X6);
        }
    }

    /// X1 to integers or fixed point, toward zero.
    fn float_vector_to_fixed(&mut self, unsigned: bool, fraction: i32, slow: Label) {
        // Only what fits is converted: the host has one answer to what does not.
        self.check_operand(X1);
        self.copy(X3, X1);
        if unsigned {
            self.zero(X4);
            self.sse(op::GREATER32, X4, X1);
            self.sse(op::OR, X7, X4);
        } else {
            self.sse(op::AND, X3, X6);
        }
        let bits = if unsigned { 32 } else { 31 };
        self.splat(X4, 2, power(bits - fraction) - 1);
        self.sse(op::GREATER32, X3, X4);
        self.sse(op::OR, X7, X3);
        self.leave_if_wrong(slow);
        if fraction != 0 {
            self.splat(X0, 2, power(fraction));
            self.packed(MUL, X1, X0);
        }
        // CVTTPS2DQ.
        if !unsigned {
            self.asm.sse(Prefix::F3, FROM_INT, X1, X1);
            return;
        }
        // Numbers from 2^31 on are converted less this.
        self.splat(X0, 2, power(31));
        self.copy(X2, X0);
        self.compare_packed(Relation::LessOrEqual, X2, X1);
        self.sse(op::AND, X0, X2);
        self.packed(SUB, X1, X0);
        self.asm.sse(Prefix::F3, FROM_INT, X1, X1);
        self.asm.sse_shift(0x72, 6, X2, 31);
        self.sse(op::XOR, X1, X2);
    }

    /// X1 from integers or fixed point, to the nearest number.
    fn fixed_vector_to_float(&mut self, unsigned: bool, fraction: i32) {
        if unsigned {
            // The halves are exact; their sum is rounded.
            self.copy(X0, X1);
            self.asm.sse_shift(0x72, 2, X0, 16);
            self.asm.sse_shift(0x72, 6, X1, 16);
            self.asm.sse_shift(0x72, 2, X1, 16);
            self.packed(FROM_INT, X0, X0);
            self.packed(FROM_INT, X1, X1);
            self.splat(X2, 2, power(16));
            self.packed(MUL, X0, X2);
            self.packed(ADD, X1, X0);
        } else {
            self.packed(FROM_INT, X1, X1);
        }
        if fraction != 0 {
            self.splat(X0, 2, power(-fraction));
            self.packed(MUL, X1, X0);
        }
    }

    /// VRECPE, VRSQRTE of X1.
    fn estimate(&mut self, rsqrt: bool, q: bool, slow: Label) {
        if !q {
            // The upper half must be fit for it, too.
            self.sse(op::UNPACK_LOW64, X1, X1);
        }
        let table = if rsqrt {
            // Positive and not infinite.
            self.check_range(X1, EXPONENT - 1 - SMALLEST_NORMAL);
            offset_of!(Shared, rsqrt_estimates)
        } else {
            // Not so large that the result is below the normal numbers.
            self.copy(X2, X1);
            self.sse(op::AND, X2, X6);
            self.check_range(X2, power(126) - 1 - SMALLEST_NORMAL);
            offset_of!(Shared, recip_estimates)
        };
        self.leave_if_wrong(slow);
        // X0: eight bits of each operand; X2: eight bits of each result.
        self.copy(X0, X1);
        self.asm.sse_shift(0x72, 2, X0, if rsqrt { 16 } else { 15 });
        for lane in 0..if q { 4 } else { 2 } {
            // PEXTRD, PINSRD.
            self.asm.sse3a(false, 0x16, X0, Gpr::Rax, lane);
            self.asm.load_zx(Width::B8, Gpr::Rax, Gpr::Rax);
            let estimate = Mem::indexed(STATE, Gpr::Rax, 0, self.layout.shared(table));
            self.asm.load_zx(Width::B8, Gpr::Rax, estimate);
            self.asm.sse3a(false, 0x22, X2, Gpr::Rax, lane);
        }
        self.asm.sse_shift(0x72, 6, X2, 15);
        // X3: the result's exponent.
        if rsqrt {
            self.asm.sse_shift(0x72, 2, X1, 23);
            self.splat(X3, 2, 380);
            self.sse(op::SUB32, X3, X1);
            self.asm.sse_shift(0x72, 2, X3, 1);
            self.asm.sse_shift(0x72, 6, X3, 23);
            self.copy(X1, X2);
        } else {
            self.splat(X0, 2, EXPONENT);
            self.sse(op::AND, X0, X1);
            self.splat(X3, 2, 253 << 23);
            self.sse(op::SUB32, X3, X0);
            self.splat(X0, 2, SIGN);
            self.sse(op::AND, X1, X0);
            self.sse(op::OR, X1, X2);
        }
        self.sse(op::OR, X1, X3);
    }
}
