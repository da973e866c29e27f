//! Conversions between formats, and to and from integers and fixed point.

use super::round::{
    Class, Format, process_nan, round_format, rounds_up, shift_right_jam, unpack, unpack_format,
};
use super::{Env, Float, Rounding, fpscr::*};

/// Double from single precision (`FPSingleToDouble`).
pub fn single_to_double(a: u32, env: &mut Env) -> u64 {
    let ua = unpack(a, env);
    match ua.class {
        Class::Quiet | Class::Signalling => {
            let nan = process_nan(a, ua.class, env);
            widen_nan(nan as u64, Format::SINGLE, Format::DOUBLE)
        }
        Class::Infinity => u64::infinity(ua.sign),
        Class::Zero => u64::zero(ua.sign),
        Class::Finite => round_format(Format::DOUBLE, ua.sign, ua.exp, ua.sig, env.rounding, env),
    }
}

/// Single from double precision (`FPDoubleToSingle`).
pub fn double_to_single(a: u64, env: &mut Env) -> u32 {
    let ua = unpack(a, env);
    match ua.class {
        Class::Quiet | Class::Signalling => {
            let nan = process_nan(a, ua.class, env);
            narrow_nan(nan, Format::DOUBLE, Format::SINGLE) as u32
        }
        Class::Infinity => u32::infinity(ua.sign),
        Class::Zero => u32::zero(ua.sign),
        Class::Finite => {
            round_format(Format::SINGLE, ua.sign, ua.exp, ua.sig, env.rounding, env) as u32
        }
    }
}

/// Single from half precision (`FPHalfToSingle`). Half-precision denormals are never flushed.
pub fn half_to_single(a: u16, env: &mut Env) -> u32 {
    let ua = unpack_format(Format::HALF, a as u64, !env.ahp);
    match ua.class {
        Class::Quiet | Class::Signalling => {
            let nan = widen_nan(a as u64, Format::HALF, Format::SINGLE) as u32;
            process_nan(nan, ua.class, env)
        }
        Class::Infinity => u32::infinity(ua.sign),
        Class::Zero => u32::zero(ua.sign),
        Class::Finite => {
            round_format(Format::SINGLE, ua.sign, ua.exp, ua.sig, env.rounding, env) as u32
        }
    }
}

/// Half from single precision (`FPSingleToHalf`).
pub fn single_to_half(a: u32, env: &mut Env) -> u16 {
    let ua = unpack(a, env);
    let half = Format::HALF;
    let result = match ua.class {
        Class::Quiet | Class::Signalling if env.ahp => {
            env.raise(IOC);
            half.zero(ua.sign)
        }
        Class::Quiet | Class::Signalling => {
            let nan = process_nan(a, ua.class, env);
            narrow_nan(nan as u64, Format::SINGLE, half)
        }
        Class::Infinity if env.ahp => {
            env.raise(IOC);
            half.zero(ua.sign) | (half.zero(true) - 1)
        }
        Class::Infinity => half.infinity(ua.sign),
        Class::Zero => half.zero(ua.sign),
        Class::Finite => round_format(half, ua.sign, ua.exp, ua.sig, env.rounding, env),
    };
    result as u16
}

/// A NaN in a wider format: the fraction's highest bits stay the highest.
fn widen_nan(nan: u64, from: Format, to: Format) -> u64 {
    let sign = nan >> (from.exp + from.frac) & 1 != 0;
    let frac = nan & ((1 << from.frac) - 1);
    to.infinity(sign) | frac << (to.frac - from.frac)
}

/// A quiet NaN in a narrower format: the fraction's lowest bits are lost.
fn narrow_nan(nan: u64, from: Format, to: Format) -> u64 {
    let sign = nan >> (from.exp + from.frac) & 1 != 0;
    let frac = nan & ((1 << from.frac) - 1);
    to.infinity(sign) | frac >> (from.frac - to.frac)
}

/// A fixed-point number of `bits` (16 or 32) bits with `fraction` (0 to 32) fraction bits, signed
/// or not, saturated (`FPToFixed`). The result is in the low `bits` bits, the rest is 0. A NaN
/// gives 0.
pub fn to_fixed<F: Float>(
    a: F,
    bits: u32,
    fraction: u32,
    signed: bool,
    mode: Rounding,
    env: &mut Env,
) -> u32 {
    let ua = unpack(a, env);
    let (min, max) = if signed {
        (-1i64 << (bits - 1), (1i64 << (bits - 1)) - 1)
    } else {
        (0, (1i64 << bits) - 1)
    };
    // Well above any bound.
    const HUGE: i64 = 1 << 40;
    let (magnitude, inexact) = match ua.class {
        Class::Quiet | Class::Signalling => {
            env.raise(IOC);
            return 0;
        }
        Class::Zero => (0, false),
        Class::Infinity => (HUGE, false),
        Class::Finite => {
            let exp = ua.exp + fraction as i32;
            if exp >= 40 {
                (HUGE, false)
            } else {
                // Bits of the significand below the binary point, at least 24.
                let (whole, rest) = match 63 - exp {
                    below @ ..=63 => (ua.sig >> below, ua.sig << (64 - below)),
                    below => (0, shift_right_jam(ua.sig, (below - 64) as u32)),
                };
                let up = rounds_up(mode, ua.sign, whole & 1 != 0, rest);
                (whole as i64 + up as i64, rest != 0)
            }
        }
    };
    let value = if ua.sign { -magnitude } else { magnitude };
    let result = value.clamp(min, max);
    if result != value {
        env.raise(IOC);
    } else if inexact {
        env.raise(IXC);
    }
    (result as u64 & (u64::MAX >> (64 - bits))) as u32
}

/// The number `value` / 2^`fraction` (`FixedToFP`). The caller sign- or zero-extends `value`;
/// `fraction` is 0 to 32.
pub fn from_fixed<F: Float>(value: i64, fraction: u32, mode: Rounding, env: &mut Env) -> F {
    if value == 0 {
        return F::zero(false);
    }
    let magnitude = value.unsigned_abs();
    let lead = magnitude.leading_zeros();
    let exp = 63 - lead as i32 - fraction as i32;
    let raw = round_format(F::FORMAT, value < 0, exp, magnitude << lead, mode, env);
    F::from_raw(raw)
}
