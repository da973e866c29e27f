//! VFP data processing: scalar floating point, under FPSCR's control.

use super::regs::Register;
use crate::fp::{self, Env, Float, Rounding, fpscr};
use crate::insn::simd::{Simd, VfpOp, VfpUnary, vfp_expand_imm};
use crate::state::SimdState;

/// Calls a function that is generic over the format.
macro_rules! by_format {
    ($double:expr, $f:ident($($arg:expr),*)) => {
        if $double { $f::<u64>($($arg),*) } else { $f::<u32>($($arg),*) }
    };
}

#[inline]
pub(super) fn execute(insn: &Simd, simd: &mut SimdState) {
    match *insn {
        Simd::Vfp {
            op,
            double,
            d,
            n,
            m,
        } => by_format!(double, binary(simd, op, d, n, m)),
        Simd::VfpUnary { op, double, d, m } => by_format!(double, unary(simd, op, d, m)),
        Simd::VfpImm { double, d, imm } => by_format!(double, immediate(simd, d, imm)),
        Simd::Vcmp {
            signal,
            double,
            d,
            m,
        } => by_format!(double, compare(simd, signal, d, m)),
        Simd::VcvtHalf { to_half, top, d, m } => half(simd, to_half, top, d, m),
        Simd::VcvtPrecision { to_double, d, m } => simd.with_fpscr(|simd, env| {
            if to_double {
                let value = fp::single_to_double(simd.s(m), env);
                simd.set_d(d, value);
            } else {
                let value = fp::double_to_single(simd.d(m), env);
                simd.set_s(d, value);
            }
        }),
        Simd::VcvtFromInt {
            double,
            unsigned,
            d,
            m,
        } => by_format!(double, from_int(simd, unsigned, d, m)),
        Simd::VcvtToInt {
            double,
            unsigned,
            round,
            d,
            m,
        } => by_format!(double, to_int(simd, unsigned, round, d, m)),
        Simd::VcvtFixed {
            double,
            to_fixed,
            unsigned,
            word,
            fraction,
            d,
        } => {
            let format = Fixed {
                unsigned,
                bits: if word { 32 } else { 16 },
                fraction: fraction as u32,
            };
            if to_fixed {
                by_format!(double, float_to_fixed(simd, format, d));
            } else {
                by_format!(double, fixed_to_float(simd, format, d));
            }
        }
        // `super::execute` sends nothing else here.
        _ => {}
    }
}

#[inline]
fn binary<F: Register>(simd: &mut SimdState, op: VfpOp, d: u8, n: u8, m: u8) {
    simd.with_fpscr(|simd, env| {
        let (a, b) = (F::get(simd, n), F::get(simd, m));
        let acc = F::get(simd, d);
        let result = match op {
            VfpOp::Vadd => fp::add(a, b, env),
            VfpOp::Vsub => fp::sub(a, b, env),
            VfpOp::Vmul => fp::mul(a, b, env),
            VfpOp::Vnmul => fp::neg(fp::mul(a, b, env)),
            VfpOp::Vdiv => fp::div(a, b, env),
            // Chained: the product is rounded before the addition.
            VfpOp::Vmla => {
                let product = fp::mul(a, b, env);
                fp::add(acc, product, env)
            }
            VfpOp::Vmls => {
                let product = fp::mul(a, b, env);
                fp::add(acc, fp::neg(product), env)
            }
            VfpOp::Vnmla => {
                let product = fp::mul(a, b, env);
                fp::add(fp::neg(acc), fp::neg(product), env)
            }
            VfpOp::Vnmls => {
                let product = fp::mul(a, b, env);
                fp::add(fp::neg(acc), product, env)
            }
            VfpOp::Vfma => fp::fma(acc, a, b, env),
            VfpOp::Vfms => fp::fma(acc, fp::neg(a), b, env),
            VfpOp::Vfnma => fp::fma(fp::neg(acc), fp::neg(a), b, env),
            VfpOp::Vfnms => fp::fma(fp::neg(acc), a, b, env),
        };
        F::put(simd, d, result);
    });
}

#[inline]
fn unary<F: Register>(simd: &mut SimdState, op: VfpUnary, d: u8, m: u8) {
    let a = F::get(simd, m);
    let result = match op {
        VfpUnary::Vmov => a,
        VfpUnary::Vabs => fp::abs(a),
        VfpUnary::Vneg => fp::neg(a),
        VfpUnary::Vsqrt => simd.with_fpscr(|_, env| fp::sqrt(a, env)),
    };
    F::put(simd, d, result);
}

#[inline]
fn immediate<F: Register>(simd: &mut SimdState, d: u8, imm: u8) {
    let raw = vfp_expand_imm(imm, F::SIGN == u64::SIGN);
    F::put(simd, d, F::from_raw(raw));
}

#[inline]
fn compare<F: Register>(simd: &mut SimdState, signal: bool, d: u8, m: Option<u8>) {
    let a = F::get(simd, d);
    let b = match m {
        Some(m) => F::get(simd, m),
        None => F::zero(false),
    };
    let order = simd.with_fpscr(|_, env| fp::compare(a, b, signal, env));
    simd.fpscr = simd.fpscr & !fpscr::NZCV | (order as u32) << 28;
}

#[inline]
fn half(simd: &mut SimdState, to_half: bool, top: bool, d: u8, m: u8) {
    let shift = if top { 16 } else { 0 };
    simd.with_fpscr(|simd, env| {
        let operand = simd.s(m);
        let result = if to_half {
            let value = fp::single_to_half(operand, env) as u32;
            simd.s(d) & !(0xffff << shift) | value << shift
        } else {
            fp::half_to_single((operand >> shift) as u16, env)
        };
        simd.set_s(d, result);
    });
}

#[inline]
fn from_int<F: Register>(simd: &mut SimdState, unsigned: bool, d: u8, m: u8) {
    simd.with_fpscr(|simd, env| {
        let value = integer(simd.s(m), 32, unsigned);
        let result: F = fp::from_fixed(value, 0, env.rounding, env);
        F::put(simd, d, result);
    });
}

#[inline]
fn to_int<F: Register>(simd: &mut SimdState, unsigned: bool, round: bool, d: u8, m: u8) {
    simd.with_fpscr(|simd, env: &mut Env| {
        let mode = if round { env.rounding } else { Rounding::Zero };
        let result = fp::to_fixed(F::get(simd, m), 32, 0, !unsigned, mode, env);
        simd.set_s(d, result);
    });
}

/// The low `bits` of a word, sign- or zero-extended.
#[inline]
fn integer(value: u32, bits: u32, unsigned: bool) -> i64 {
    let top = (value as u64) << (64 - bits);
    if unsigned {
        (top >> (64 - bits)) as i64
    } else {
        top as i64 >> (64 - bits)
    }
}

/// A fixed-point format.
#[derive(Clone, Copy)]
struct Fixed {
    unsigned: bool,
    bits: u32,
    fraction: u32,
}

#[inline]
fn float_to_fixed<F: Register>(simd: &mut SimdState, fixed: Fixed, d: u8) {
    simd.with_fpscr(|simd, env| {
        let Fixed {
            unsigned,
            bits,
            fraction,
        } = fixed;
        let a = F::get(simd, d);
        let value = fp::to_fixed(a, bits, fraction, !unsigned, Rounding::Zero, env);
        // Extended to the whole register.
        F::put(simd, d, F::from_raw(integer(value, bits, unsigned) as u64));
    });
}

#[inline]
fn fixed_to_float<F: Register>(simd: &mut SimdState, fixed: Fixed, d: u8) {
    simd.with_fpscr(|simd, env| {
        let value = integer(F::get(simd, d).raw() as u32, fixed.bits, fixed.unsigned);
        let result: F = fp::from_fixed(value, fixed.fraction, Rounding::Nearest, env);
        F::put(simd, d, result);
    });
}
