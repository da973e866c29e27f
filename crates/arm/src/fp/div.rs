//! Division.

use super::round::{Class, invalid, process_nans, round, unpack};
use super::{Env, Float, fast, fpscr::DZC};

/// a / b (`FPDiv`).
#[inline]
pub fn div<F: Float>(a: F, b: F, env: &mut Env) -> F {
    match fast::div(a, b, env) {
        Some(quotient) => quotient,
        None => quotient(a, b, env),
    }
}

fn quotient<F: Float>(a: F, b: F, env: &mut Env) -> F {
    let ua = unpack(a, env);
    let ub = unpack(b, env);
    if let Some(nan) = process_nans([(a, ua), (b, ub)], env) {
        return nan;
    }
    let sign = ua.sign != ub.sign;
    match (ua.class, ub.class) {
        (Class::Infinity, Class::Infinity) | (Class::Zero, Class::Zero) => invalid(env),
        (Class::Infinity, _) => F::infinity(sign),
        (_, Class::Zero) => {
            env.raise(DZC);
            F::infinity(sign)
        }
        (Class::Zero, _) | (_, Class::Infinity) => F::zero(sign),
        _ => {
            // Either shift makes bit 63 the quotient's highest.
            let less = ua.sig < ub.sig;
            let dividend = (ua.sig as u128) << (63 + less as u32);
            let divisor = ub.sig as u128;
            let sig = (dividend / divisor) as u64 | !dividend.is_multiple_of(divisor) as u64;
            round(sign, ua.exp - ub.exp - less as i32, sig, env)
        }
    }
}
