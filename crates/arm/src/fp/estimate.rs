//! Reciprocal and reciprocal square root: estimates and Newton-Raphson steps (manual A2.7.8).

use super::round::{Class, invalid, process_nan, process_nans, unpack};
use super::{Env, Float, add, fpscr::*, mul};

/// 256 / x rounded to an integer, 256 to 511, where x is the middle of the interval
/// [q, q + 1) / 512; `q` is 256 to 511.
fn recip_table(q: u32) -> u32 {
    // 256 * 512 / (q + 1/2) + 1/2, over a common denominator.
    let d = 2 * q + 1;
    ((1 << 19) + d) / (2 * d)
}

/// 256 / sqrt(x) rounded to an integer, 256 to 511, where x is the middle of [q, q + 1) / 512
/// with `q` 128 to 255, or of [q, q + 1) / 256 with `q` 128 to 255 when `upper`.
fn rsqrt_table(q: u32, upper: bool) -> u32 {
    // s <= 256 r + 1/2 means 2 s - 1 <= 512 r, and r^2 = 1 / x.
    let numerator = 1u32 << (27 + !upper as u32);
    (numerator / (2 * q + 1)).isqrt().div_ceil(2)
}

/// VRECPE.F32 (`FPRecipEstimate`).
pub fn recip_estimate(a: u32, env: &mut Env) -> u32 {
    let ua = unpack(a, env);
    match ua.class {
        Class::Quiet | Class::Signalling => process_nan(a, ua.class, env),
        Class::Infinity => u32::zero(ua.sign),
        Class::Zero => {
            env.raise(DZC);
            u32::infinity(ua.sign)
        }
        // The result would be denormal.
        Class::Finite if ua.exp >= 126 => {
            env.raise(UFC);
            u32::zero(ua.sign)
        }
        Class::Finite => {
            // 1.f * 2^exp is x * 2^(exp + 1) with x in [1/2, 1); so the result is
            // (s / 256) * 2^(-exp - 1).
            let s = recip_table((ua.sig >> 55) as u32);
            let exp = (126 - ua.exp) as u32;
            (ua.sign as u32) << 31 | exp << 23 | (s & 0xff) << 15
        }
    }
}

/// VRSQRTE.F32 (`FPRSqrtEstimate`).
pub fn rsqrt_estimate(a: u32, env: &mut Env) -> u32 {
    let ua = unpack(a, env);
    match ua.class {
        Class::Quiet | Class::Signalling => process_nan(a, ua.class, env),
        Class::Zero => {
            env.raise(DZC);
            u32::infinity(ua.sign)
        }
        _ if ua.sign => invalid(env),
        Class::Infinity => u32::zero(false),
        Class::Finite => {
            // x in [1/4, 1), and an even exponent.
            let upper = ua.exp & 1 != 0;
            let s = rsqrt_table((ua.sig >> 56) as u32, upper);
            let exp = (380 - (ua.exp + 127)) >> 1;
            (exp as u32) << 23 | (s & 0xff) << 15
        }
    }
}

/// VRECPE.U32 (`UnsignedRecipEstimate`): the operand is a fraction, 0.1... in binary.
pub fn unsigned_recip_estimate(a: u32) -> u32 {
    if a >> 31 == 0 {
        u32::MAX
    } else {
        recip_table(a >> 23) << 23
    }
}

/// VRSQRTE.U32 (`UnsignedRSqrtEstimate`): the operand is a fraction of at least 1/4.
pub fn unsigned_rsqrt_estimate(a: u32) -> u32 {
    match a >> 30 {
        0 => u32::MAX,
        1 => rsqrt_table(a >> 23, false) << 23,
        _ => rsqrt_table(a >> 24, true) << 23,
    }
}

const TWO: u32 = 0x4000_0000;
const THREE: u32 = 0x4040_0000;
const THREE_HALVES: u32 = 0x3fc0_0000;

/// VRECPS: 2 - a * b (`FPRecipStep`). The product is rounded.
pub fn recip_step(a: u32, b: u32, env: &mut Env) -> u32 {
    match step_product(a, b, env) {
        Step::Nan(nan) => nan,
        Step::Zero => TWO,
        Step::Product(product) => add::sub(TWO, product, env),
    }
}

/// VRSQRTS: (3 - a * b) / 2 (`FPRSqrtStep`). The product is rounded.
pub fn rsqrt_step(a: u32, b: u32, env: &mut Env) -> u32 {
    match step_product(a, b, env) {
        Step::Nan(nan) => nan,
        Step::Zero => THREE_HALVES,
        Step::Product(product) => add::halved_sub(THREE, product, env),
    }
}

enum Step {
    Nan(u32),
    /// Infinity times zero counts as zero.
    Zero,
    Product(u32),
}

fn step_product(a: u32, b: u32, env: &mut Env) -> Step {
    let ua = unpack(a, env);
    let ub = unpack(b, env);
    if let Some(nan) = process_nans([(a, ua), (b, ub)], env) {
        Step::Nan(nan)
    } else if ua.is_inf() && ub.is_zero() || ua.is_zero() && ub.is_inf() {
        Step::Zero
    } else {
        Step::Product(mul(a, b, env))
    }
}
