//! Single-precision arithmetic on vectors. The environment is the standard one.

use super::lanes::*;
use crate::fp::{self, Env, Rounding};
use crate::insn::simd::{FloatOp, FloatUnary};

#[inline(always)]
fn mask(holds: bool) -> u32 {
    if holds { u32::MAX } else { 0 }
}

#[inline(always)]
fn zip(n: u64, m: u64, mut f: impl FnMut(u32, u32) -> u32) -> u64 {
    map2(32, n, m, |x, y| f(x as u32, y as u32).into())
}

#[inline(always)]
fn zip3(d: u64, n: u64, m: u64, mut f: impl FnMut(u32, u32, u32) -> u32) -> u64 {
    map3(32, d, n, m, |a, x, y| {
        f(a as u32, x as u32, y as u32).into()
    })
}

#[inline(always)]
fn pairs(n: u64, m: u64, mut f: impl FnMut(u32, u32) -> u32) -> u64 {
    super::integer::pairs(32, n, m, |x, y| f(x as u32, y as u32).into())
}

#[inline(always)]
fn each(m: u64, mut f: impl FnMut(u32) -> u32) -> u64 {
    map1(32, m, |x| f(x as u32).into())
}

/// One doubleword of an operation on two registers. `d` is the destination's old value.
#[inline]
pub(super) fn binary(op: FloatOp, d: u64, n: u64, m: u64, env: &mut Env) -> u64 {
    match op {
        FloatOp::Vadd => zip(n, m, |x, y| fp::add(x, y, env)),
        FloatOp::Vsub => zip(n, m, |x, y| fp::sub(x, y, env)),
        FloatOp::Vmul => zip(n, m, |x, y| fp::mul(x, y, env)),
        FloatOp::Vabd => zip(n, m, |x, y| fp::abs(fp::sub(x, y, env))),
        FloatOp::Vmla => zip3(d, n, m, |a, x, y| {
            let product = fp::mul(x, y, env);
            fp::add(a, product, env)
        }),
        FloatOp::Vmls => zip3(d, n, m, |a, x, y| {
            let product = fp::mul(x, y, env);
            fp::add(a, fp::neg(product), env)
        }),
        FloatOp::Vfma => zip3(d, n, m, |a, x, y| fp::fma(a, x, y, env)),
        FloatOp::Vfms => zip3(d, n, m, |a, x, y| fp::fma(a, fp::neg(x), y, env)),
        FloatOp::Vmax => zip(n, m, |x, y| fp::max(x, y, env)),
        FloatOp::Vmin => zip(n, m, |x, y| fp::min(x, y, env)),
        FloatOp::Vpadd => pairs(n, m, |x, y| fp::add(x, y, env)),
        FloatOp::Vpmax => pairs(n, m, |x, y| fp::max(x, y, env)),
        FloatOp::Vpmin => pairs(n, m, |x, y| fp::min(x, y, env)),
        FloatOp::Vceq => zip(n, m, |x, y| mask(fp::eq(x, y, env))),
        FloatOp::Vcge => zip(n, m, |x, y| mask(fp::ge(x, y, env))),
        FloatOp::Vcgt => zip(n, m, |x, y| mask(fp::gt(x, y, env))),
        FloatOp::Vacge => zip(n, m, |x, y| mask(fp::ge(fp::abs(x), fp::abs(y), env))),
        FloatOp::Vacgt => zip(n, m, |x, y| mask(fp::gt(fp::abs(x), fp::abs(y), env))),
        FloatOp::Vrecps => zip(n, m, |x, y| fp::recip_step(x, y, env)),
        FloatOp::Vrsqrts => zip(n, m, |x, y| fp::rsqrt_step(x, y, env)),
    }
}

/// One doubleword of an operation on one register.
#[inline]
pub(super) fn unary(op: FloatUnary, m: u64, env: &mut Env) -> u64 {
    match op {
        FloatUnary::Vabs => each(m, fp::abs),
        FloatUnary::Vneg => each(m, fp::neg),
        FloatUnary::VceqZero => each(m, |x| mask(fp::eq(x, 0, env))),
        FloatUnary::VcgeZero => each(m, |x| mask(fp::ge(x, 0, env))),
        FloatUnary::VcgtZero => each(m, |x| mask(fp::gt(x, 0, env))),
        FloatUnary::VcleZero => each(m, |x| mask(fp::ge(0, x, env))),
        FloatUnary::VcltZero => each(m, |x| mask(fp::gt(0, x, env))),
        FloatUnary::Vrecpe => each(m, |x| fp::recip_estimate(x, env)),
        FloatUnary::Vrsqrte => each(m, |x| fp::rsqrt_estimate(x, env)),
    }
}

/// One doubleword converted to 32-bit integers or fixed point, rounding towards zero.
#[inline]
pub(super) fn to_fixed(unsigned: bool, fraction: u32, m: u64, env: &mut Env) -> u64 {
    each(m, |x| {
        fp::to_fixed(x, 32, fraction, !unsigned, Rounding::Zero, env)
    })
}

/// One doubleword converted from 32-bit integers or fixed point, rounding to nearest.
#[inline]
pub(super) fn from_fixed(unsigned: bool, fraction: u32, m: u64, env: &mut Env) -> u64 {
    each(m, |x| {
        let value = if unsigned { x as i64 } else { x as i32 as i64 };
        fp::from_fixed(value, fraction, Rounding::Nearest, env)
    })
}

/// VCVT.F32.F16: four half-precision numbers to single precision.
#[inline]
pub(super) fn half_to_single(m: u64, env: &mut Env) -> u128 {
    build_long(16, |e| fp::half_to_single(get(m, 16, e) as u16, env).into())
}

/// VCVT.F16.F32: four single-precision numbers to half precision.
#[inline]
pub(super) fn single_to_half(m: u128, env: &mut Env) -> u64 {
    build(16, |e| {
        fp::single_to_half(get_long(m, 32, e) as u32, env).into()
    })
}
