//! Multiplication and fused multiply-add.

use super::add::{Wide, sum_wide};
use super::round::{Class, invalid, process_nans, round_wide, unpack};
use super::{Env, Float, fast};

/// a * b (`FPMul`).
#[inline]
pub fn mul<F: Float>(a: F, b: F, env: &mut Env) -> F {
    match fast::mul(a, b, env) {
        Some(product) => product,
        None => product(a, b, env),
    }
}

fn product<F: Float>(a: F, b: F, env: &mut Env) -> F {
    let ua = unpack(a, env);
    let ub = unpack(b, env);
    if let Some(nan) = process_nans([(a, ua), (b, ub)], env) {
        return nan;
    }
    let sign = ua.sign != ub.sign;
    match (ua.class, ub.class) {
        (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) => invalid(env),
        (Class::Infinity, _) | (_, Class::Infinity) => F::infinity(sign),
        (Class::Zero, _) | (_, Class::Zero) => F::zero(sign),
        _ => round_wide(
            sign,
            ua.exp + ub.exp + 1,
            ua.sig as u128 * ub.sig as u128,
            env,
        ),
    }
}

/// addend + a * b, rounded once (`FPMulAdd`).
pub fn fma<F: Float>(addend: F, a: F, b: F, env: &mut Env) -> F {
    let uc = unpack(addend, env);
    let ua = unpack(a, env);
    let ub = unpack(b, env);
    let inf_times_zero = ua.is_inf() && ub.is_zero() || ua.is_zero() && ub.is_inf();
    let nan = process_nans([(addend, uc), (a, ua), (b, ub)], env);
    if uc.class == Class::Quiet && inf_times_zero {
        return invalid(env);
    }
    if let Some(nan) = nan {
        return nan;
    }
    let sign = ua.sign != ub.sign;
    let infinite = ua.is_inf() || ub.is_inf();
    if inf_times_zero || uc.is_inf() && infinite && uc.sign != sign {
        return invalid(env);
    }
    if uc.is_inf() {
        return F::infinity(uc.sign);
    }
    if infinite {
        return F::infinity(sign);
    }
    let product = if ua.is_zero() || ub.is_zero() {
        0
    } else {
        ua.sig as u128 * ub.sig as u128
    };
    // The product's highest bit is 126 or 127, and its lowest bits are 0.
    let product = Wide {
        sign,
        exp: ua.exp + ub.exp + 1,
        sig: product >> 1,
    };
    let addend = Wide {
        sign: uc.sign,
        exp: uc.exp,
        sig: if uc.is_zero() {
            0
        } else {
            (uc.sig as u128) << 63
        },
    };
    sum_wide(addend, product, 0, env)
}
