//! Square root.

use super::round::{Class, Format, invalid, process_nan, round, unpack};
use super::{Env, Float};

/// The square root (`FPSqrt`).
pub fn sqrt<F: Float>(a: F, env: &mut Env) -> F {
    let ua = unpack(a, env);
    match ua.class {
        Class::Quiet | Class::Signalling => process_nan(a, ua.class, env),
        Class::Zero => F::zero(ua.sign),
        _ if ua.sign => invalid(env),
        Class::Infinity => F::infinity(false),
        Class::Finite => {
            // An odd exponent gives one bit to the significand: 1 <= square < 4.
            let odd = ua.exp & 1 != 0;
            let sig = if F::FORMAT.frac == Format::SINGLE.frac {
                // 32 bits of root are enough for single precision, and much faster.
                let square = if odd { ua.sig } else { ua.sig >> 1 };
                let root = square.isqrt();
                root << 32 | (root * root != square) as u64
            } else {
                let square = (ua.sig as u128) << (63 + odd as u32);
                let root = square.isqrt();
                root as u64 | (root * root != square) as u64
            };
            round(false, ua.exp >> 1, sig, env)
        }
    }
}
