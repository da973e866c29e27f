//! Comparisons, minimum and maximum.

use super::round::{Class, process_nans, unpack};
use super::{Env, Float, fpscr::IOC};

/// The outcome of a comparison; the values are N, Z, C, V as VCMP sets them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Ordering {
    /// a = b.
    Equal = 0b0110,
    /// a < b.
    Less = 0b1000,
    /// a > b.
    Greater = 0b0010,
    /// At least one is a NaN.
    Unordered = 0b0011,
}

/// Compares two numbers (`FPCompare`). A signalling NaN is an invalid operation, and so is a
/// quiet one with `signal_quiet`.
#[inline]
pub fn compare<F: Float>(a: F, b: F, signal_quiet: bool, env: &mut Env) -> Ordering {
    let ua = unpack(a, env);
    let ub = unpack(b, env);
    if ua.is_nan() || ub.is_nan() {
        let signalling = ua.class == Class::Signalling || ub.class == Class::Signalling;
        if signalling || signal_quiet {
            env.raise(IOC);
        }
        return Ordering::Unordered;
    }
    // As integers, patterns are ordered like the magnitudes.
    let key = |raw: u64, zero: bool, sign: bool| {
        let magnitude = if zero { 0 } else { (raw & !F::SIGN) as i64 };
        if sign { -magnitude } else { magnitude }
    };
    let a = key(a.raw(), ua.is_zero(), ua.sign);
    let b = key(b.raw(), ub.is_zero(), ub.sign);
    match a.cmp(&b) {
        core::cmp::Ordering::Less => Ordering::Less,
        core::cmp::Ordering::Equal => Ordering::Equal,
        core::cmp::Ordering::Greater => Ordering::Greater,
    }
}

/// a = b (`FPCompareEQ`): quiet.
#[inline]
pub fn eq<F: Float>(a: F, b: F, env: &mut Env) -> bool {
    compare(a, b, false, env) == Ordering::Equal
}

/// a >= b (`FPCompareGE`): any NaN is an invalid operation.
#[inline]
pub fn ge<F: Float>(a: F, b: F, env: &mut Env) -> bool {
    matches!(
        compare(a, b, true, env),
        Ordering::Equal | Ordering::Greater
    )
}

/// a > b (`FPCompareGT`): any NaN is an invalid operation.
#[inline]
pub fn gt<F: Float>(a: F, b: F, env: &mut Env) -> bool {
    compare(a, b, true, env) == Ordering::Greater
}

/// The larger number; +0 is larger than -0, and a NaN wins (`FPMax`).
pub fn max<F: Float>(a: F, b: F, env: &mut Env) -> F {
    select(a, b, false, env)
}

/// The smaller number; -0 is smaller than +0, and a NaN wins (`FPMin`).
pub fn min<F: Float>(a: F, b: F, env: &mut Env) -> F {
    select(a, b, true, env)
}

fn select<F: Float>(a: F, b: F, smaller: bool, env: &mut Env) -> F {
    let ua = unpack(a, env);
    let ub = unpack(b, env);
    if let Some(nan) = process_nans([(a, ua), (b, ub)], env) {
        return nan;
    }
    if ua.is_zero() && ub.is_zero() {
        let sign = if smaller {
            ua.sign || ub.sign
        } else {
            ua.sign && ub.sign
        };
        return F::zero(sign);
    }
    let flags = env.flags;
    let a_less = compare(a, b, false, env) == Ordering::Less;
    env.flags = flags;
    let (chosen, unpacked) = if a_less == smaller { (a, ua) } else { (b, ub) };
    if unpacked.is_zero() {
        F::zero(unpacked.sign)
    } else {
        chosen
    }
}
