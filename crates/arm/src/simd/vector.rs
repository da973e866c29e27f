//! Advanced SIMD data processing: from registers to doublewords and quadwords and back.
//!
//! All operands of an instruction are read before the first result is written, except that
//! operations on elements in the same place go doubleword by doubleword.

use super::lanes::splat;
use super::{float, integer, lanes, permute, shift};
use crate::insn::simd::{ImmOp, PermuteOp, Simd, simd_expand_imm};
use crate::state::SimdState;

/// A doubleword's bits.
const DOUBLE: u32 = 64;

#[inline]
pub(super) fn execute(insn: &Simd, simd: &mut SimdState) {
    match *insn {
        Simd::Int {
            op,
            q,
            unsigned,
            size,
            d,
            n,
            m,
        } => simd.with_qc(|simd, qc| {
            for i in 0..=q as u8 {
                let (a, b, c) = (simd.d(d + i), simd.d(n + i), simd.d(m + i));
                let result = integer::same(op, unsigned, 8 << size, a, b, c, qc);
                simd.set_d(d + i, result);
            }
        }),
        Simd::IntScalar {
            op,
            q,
            size,
            d,
            n,
            m,
            index,
        } => simd.with_qc(|simd, qc| {
            let scalar = scalar(simd, size, m, index);
            for i in 0..=q as u8 {
                let (a, b) = (simd.d(d + i), simd.d(n + i));
                // Scalars have no operation that depends on the sign.
                let result = integer::same(op, false, 8 << size, a, b, scalar, qc);
                simd.set_d(d + i, result);
            }
        }),
        Simd::Float { op, q, d, n, m } => simd.with_standard(|simd, env| {
            for i in 0..=q as u8 {
                let (a, b, c) = (simd.d(d + i), simd.d(n + i), simd.d(m + i));
                let result = float::binary(op, a, b, c, env);
                simd.set_d(d + i, result);
            }
        }),
        Simd::FloatScalar {
            op,
            q,
            d,
            n,
            m,
            index,
        } => simd.with_standard(|simd, env| {
            let scalar = scalar(simd, 2, m, index);
            for i in 0..=q as u8 {
                let (a, b) = (simd.d(d + i), simd.d(n + i));
                let result = float::binary(op, a, b, scalar, env);
                simd.set_d(d + i, result);
            }
        }),
        Simd::Long {
            op,
            unsigned,
            size,
            d,
            n,
            m,
        } => simd.with_qc(|simd, qc| {
            let (a, b, c) = (simd.q(d), simd.q(n), simd.d(m));
            let result = integer::long(op, unsigned, 8 << size, a, b, c, qc);
            simd.set_q(d, result);
        }),
        Simd::LongScalar {
            op,
            unsigned,
            size,
            d,
            n,
            m,
            index,
        } => simd.with_qc(|simd, qc| {
            let scalar = scalar(simd, size, m, index);
            let (a, b) = (simd.q(d), simd.q(n));
            let result = integer::long(op, unsigned, 8 << size, a, b, scalar, qc);
            simd.set_q(d, result);
        }),
        Simd::HighNarrow {
            subtract,
            round,
            size,
            d,
            n,
            m,
        } => {
            let result = integer::high_narrow(subtract, round, 8 << size, simd.q(n), simd.q(m));
            simd.set_d(d, result);
        }
        Simd::Unary {
            op,
            q,
            unsigned,
            size,
            d,
            m,
        } => simd.with_qc(|simd, qc| {
            for i in 0..=q as u8 {
                let (a, b) = (simd.d(d + i), simd.d(m + i));
                simd.set_d(d + i, integer::unary(op, unsigned, 8 << size, a, b, qc));
            }
        }),
        Simd::FloatUnary { op, q, d, m } => simd.with_standard(|simd, env| {
            for i in 0..=q as u8 {
                let result = float::unary(op, simd.d(m + i), env);
                simd.set_d(d + i, result);
            }
        }),
        Simd::Permute { op, q, size, d, m } => permutation(simd, op, q, 8 << size, d, m),
        Simd::Shift {
            op,
            q,
            unsigned,
            size,
            amount,
            d,
            m,
        } => simd.with_qc(|simd, qc| {
            for i in 0..=q as u8 {
                let (a, b) = (simd.d(d + i), simd.d(m + i));
                let result = shift::same(op, unsigned, 8 << size, amount as u32, a, b, qc);
                simd.set_d(d + i, result);
            }
        }),
        Simd::Narrow {
            op,
            unsigned,
            round,
            size,
            amount,
            d,
            m,
        } => simd.with_qc(|simd, qc| {
            let operand = simd.q(m);
            let result = shift::narrow(op, unsigned, round, 8 << size, amount as u32, operand, qc);
            simd.set_d(d, result);
        }),
        Simd::ShiftLong {
            unsigned,
            size,
            amount,
            d,
            m,
        } => {
            let result = shift::long(unsigned, 8 << size, amount as u32, simd.d(m));
            simd.set_q(d, result);
        }
        Simd::Cvt {
            to_fixed,
            q,
            unsigned,
            fraction,
            d,
            m,
        } => simd.with_standard(|simd, env| {
            for i in 0..=q as u8 {
                let operand = simd.d(m + i);
                let result = if to_fixed {
                    float::to_fixed(unsigned, fraction as u32, operand, env)
                } else {
                    float::from_fixed(unsigned, fraction as u32, operand, env)
                };
                simd.set_d(d + i, result);
            }
        }),
        Simd::CvtHalf { to_half, d, m } => simd.with_standard(|simd, env| {
            if to_half {
                let result = float::single_to_half(simd.q(m), env);
                simd.set_d(d, result);
            } else {
                let result = float::half_to_single(simd.d(m), env);
                simd.set_q(d, result);
            }
        }),
        Simd::Imm {
            op,
            q,
            cmode,
            op_bit,
            imm,
            d,
        } => {
            let imm = simd_expand_imm(op_bit, cmode, imm);
            for i in 0..=q as u8 {
                let old = simd.d(d + i);
                let result = match op {
                    ImmOp::Vmov => imm,
                    ImmOp::Vmvn => !imm,
                    ImmOp::Vorr => old | imm,
                    ImmOp::Vbic => old & !imm,
                };
                simd.set_d(d + i, result);
            }
        }
        Simd::Vext { q, d, n, m, index } => {
            if q {
                let result = permute::ext_long(simd.q(n), simd.q(m), index as u32);
                simd.set_q(d, result);
            } else {
                let result = permute::ext(simd.d(n), simd.d(m), index as u32);
                simd.set_d(d, result);
            }
        }
        Simd::Vtbl {
            extend,
            len,
            d,
            n,
            m,
        } => {
            let table: [u64; 4] = core::array::from_fn(|i| simd.d(n + i as u8));
            let table = &table[..(len as usize).min(4)];
            let default = if extend { simd.d(d) } else { 0 };
            let result = permute::table(table, simd.d(m), default);
            simd.set_d(d, result);
        }
        Simd::VdupScalar {
            q,
            size,
            d,
            m,
            index,
        } => {
            let result = scalar(simd, size, m, index);
            for i in 0..=q as u8 {
                simd.set_d(d + i, result);
            }
        }
        // `super::execute` sends nothing else here.
        _ => {}
    }
}

/// A scalar in all elements of a doubleword.
#[inline(always)]
fn scalar(simd: &SimdState, size: u8, m: u8, index: u8) -> u64 {
    let esize = 8 << size;
    splat(lanes::get(simd.d(m), esize, index as u32), esize)
}

/// VSWP, VTRN, VUZP, VZIP. With both operands in one register the manual leaves the result unknown;
/// here the second result is written first.
#[inline]
fn permutation(simd: &mut SimdState, op: PermuteOp, q: bool, esize: u32, d: u8, m: u8) {
    if op == PermuteOp::Vtrn {
        for i in 0..=q as u8 {
            let (new_d, new_m) = permute::transpose(esize, simd.d(d + i), simd.d(m + i));
            simd.set_d(m + i, new_m);
            simd.set_d(d + i, new_d);
        }
        return;
    }
    let (bits, a, b) = if q {
        (2 * DOUBLE, simd.q(d), simd.q(m))
    } else {
        (DOUBLE, simd.d(d) as u128, simd.d(m) as u128)
    };
    let (new_d, new_m) = match op {
        PermuteOp::Vuzp => permute::unzip(esize, bits, a, b),
        PermuteOp::Vzip => permute::zip(esize, bits, a, b),
        _ => (b, a),
    };
    if q {
        simd.set_q(m, new_m);
        simd.set_q(d, new_d);
    } else {
        simd.set_d(m, new_m as u64);
        simd.set_d(d, new_d as u64);
    }
}
