//! Addition and subtraction.

use super::round::{Class, Unpacked, invalid, process_nans, round_wide, unpack};
use super::{Env, Float, Rounding, fast};

/// a + b (`FPAdd`).
#[inline]
pub fn add<F: Float>(a: F, b: F, env: &mut Env) -> F {
    match fast::add(a, b, env) {
        Some(sum) => sum,
        None => sum(a, b, false, 0, env),
    }
}

/// a - b (`FPSub`).
#[inline]
pub fn sub<F: Float>(a: F, b: F, env: &mut Env) -> F {
    // b is neither a NaN nor a denormal there, so that a changed sign changes nothing else.
    match fast::add(a, super::neg(b), env) {
        Some(difference) => difference,
        None => sum(a, b, true, 0, env),
    }
}

/// (a - b) / 2, rounded once (`FPHalvedSub`).
pub fn halved_sub<F: Float>(a: F, b: F, env: &mut Env) -> F {
    sum(a, b, true, -1, env)
}

/// (a ± b) * 2^scale.
fn sum<F: Float>(a: F, b: F, subtract: bool, scale: i32, env: &mut Env) -> F {
    let ua = unpack(a, env);
    let mut ub = unpack(b, env);
    if let Some(nan) = process_nans([(a, ua), (b, ub)], env) {
        return nan;
    }
    ub.sign ^= subtract;
    match (ua.class, ub.class) {
        (Class::Infinity, Class::Infinity) if ua.sign != ub.sign => invalid(env),
        (Class::Infinity, _) => F::infinity(ua.sign),
        (_, Class::Infinity) => F::infinity(ub.sign),
        _ => {
            let wide = |u: Unpacked| Wide {
                sign: u.sign,
                exp: u.exp,
                sig: if u.is_zero() {
                    0
                } else {
                    (u.sig as u128) << 63
                },
            };
            sum_wide(wide(ua), wide(ub), scale, env)
        }
    }
}

/// ±sig * 2^(exp - 126). Bit 127 is clear: a sum has room. Not necessarily normalized.
#[derive(Clone, Copy)]
pub(super) struct Wide {
    pub sign: bool,
    pub exp: i32,
    pub sig: u128,
}

/// The sum of two finite numbers or zeros, scaled by a power of two and rounded.
///
/// Where the smaller operand loses bits, both have at least two bits fewer than the format of the
/// sum that is rounded, so that one sticky bit stands for them.
pub(super) fn sum_wide<F: Float>(a: Wide, b: Wide, scale: i32, env: &mut Env) -> F {
    if a.sig == 0 && b.sig == 0 && a.sign == b.sign {
        return F::zero(a.sign);
    }
    // A zero has no exponent worth aligning to.
    let a_first = b.sig == 0 || a.sig != 0 && a.exp >= b.exp;
    let (big, small) = if a_first { (a, b) } else { (b, a) };
    let aligned = match big.exp.wrapping_sub(small.exp) {
        _ if small.sig == 0 => 0,
        0 => small.sig,
        n @ 1..=127 => small.sig >> n | (small.sig << (128 - n) != 0) as u128,
        _ => 1,
    };
    let (sign, sig) = if big.sign == small.sign {
        (big.sign, big.sig + aligned)
    } else if big.sig >= aligned {
        (big.sign, big.sig - aligned)
    } else {
        (small.sign, aligned - big.sig)
    };
    if sig == 0 {
        return F::zero(env.rounding == Rounding::Down);
    }
    round_wide(sign, big.exp + 1 + scale, sig, env)
}
