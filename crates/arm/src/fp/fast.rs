//! The host's own arithmetic, where it must give what the integer forms give.
//!
//! IEEE 754 fixes the result of add, subtract, multiply and divide in round-to-nearest for numbers
//! that are normal or zero, as long as the result is normal. What remains is the Inexact flag: it
//! is known when it is already set (it is cumulative), or when the result is provably exact.
//! Everything else returns `None`, and the integer form decides: NaNs, infinities, denormals,
//! results at or below the smallest normal number (tininess is detected before rounding), other
//! rounding modes.

use super::{Env, Float, Rounding, fpscr::IXC};

/// The host's arithmetic on bit patterns.
pub trait Host: Sized {
    /// The sum.
    fn host_add(a: Self, b: Self) -> Self;
    /// The product.
    fn host_mul(a: Self, b: Self) -> Self;
    /// The quotient.
    fn host_div(a: Self, b: Self) -> Self;
    /// True only if `sum` is exactly a + b.
    fn add_is_exact(a: Self, b: Self, sum: Self) -> bool;
    /// True only if `product` is exactly a * b.
    fn mul_is_exact(a: Self, b: Self, product: Self) -> bool;
}

impl Host for u32 {
    #[inline(always)]
    fn host_add(a: Self, b: Self) -> Self {
        (f32::from_bits(a) + f32::from_bits(b)).to_bits()
    }
    #[inline(always)]
    fn host_mul(a: Self, b: Self) -> Self {
        (f32::from_bits(a) * f32::from_bits(b)).to_bits()
    }
    #[inline(always)]
    fn host_div(a: Self, b: Self) -> Self {
        (f32::from_bits(a) / f32::from_bits(b)).to_bits()
    }
    #[inline]
    fn add_is_exact(a: Self, b: Self, sum: Self) -> bool {
        let (a, b, sum) = (f32::from_bits(a), f32::from_bits(b), f32::from_bits(sum));
        // The rounding error of a sum, itself without error (Knuth's TwoSum).
        let b_part = sum - a;
        (a - (sum - b_part)) + (b - b_part) == 0.0
    }
    #[inline]
    fn mul_is_exact(a: Self, b: Self, product: Self) -> bool {
        // 24 times 24 bits fit in 53.
        f32::from_bits(a) as f64 * f32::from_bits(b) as f64 == f32::from_bits(product) as f64
    }
}

impl Host for u64 {
    #[inline(always)]
    fn host_add(a: Self, b: Self) -> Self {
        (f64::from_bits(a) + f64::from_bits(b)).to_bits()
    }
    #[inline(always)]
    fn host_mul(a: Self, b: Self) -> Self {
        (f64::from_bits(a) * f64::from_bits(b)).to_bits()
    }
    #[inline(always)]
    fn host_div(a: Self, b: Self) -> Self {
        (f64::from_bits(a) / f64::from_bits(b)).to_bits()
    }
    #[inline]
    fn add_is_exact(a: Self, b: Self, sum: Self) -> bool {
        let (a, b, sum) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(sum));
        let b_part = sum - a;
        (a - (sum - b_part)) + (b - b_part) == 0.0
    }
    #[inline]
    fn mul_is_exact(a: Self, b: Self, product: Self) -> bool {
        let width = |x: u64| 53 - (x | 1 << 52).trailing_zeros();
        width(a) + width(b) <= 53 && Self::host_mul(a, b) == product
    }
}

/// Zero, or a normal number.
#[inline(always)]
fn ordinary<F: Float>(a: F) -> bool {
    let magnitude = a.raw() & !F::SIGN;
    magnitude.wrapping_sub(F::MIN_NORMAL) < F::INFINITY - F::MIN_NORMAL || magnitude == 0
}

/// A normal number above the smallest.
#[inline(always)]
fn safe<F: Float>(a: F) -> bool {
    let magnitude = a.raw() & !F::SIGN;
    magnitude.wrapping_sub(F::MIN_NORMAL + 1) < F::INFINITY - (F::MIN_NORMAL + 1)
}

#[inline(always)]
fn is_zero<F: Float>(a: F) -> bool {
    a.raw() & !F::SIGN == 0
}

#[inline(always)]
fn applies<F: Float>(a: F, b: F, env: &Env) -> bool {
    env.rounding == Rounding::Nearest && ordinary(a) && ordinary(b)
}

#[inline(always)]
pub(super) fn add<F: Float>(a: F, b: F, env: &Env) -> Option<F> {
    if !applies(a, b, env) {
        return None;
    }
    let sum = F::host_add(a, b);
    // A sum can't underflow to zero: a zero is exact.
    let known = safe(sum) && (env.flags & IXC != 0 || F::add_is_exact(a, b, sum)) || is_zero(sum);
    known.then_some(sum)
}

#[inline(always)]
pub(super) fn mul<F: Float>(a: F, b: F, env: &Env) -> Option<F> {
    if !applies(a, b, env) {
        return None;
    }
    let product = F::host_mul(a, b);
    let known = safe(product) && (env.flags & IXC != 0 || F::mul_is_exact(a, b, product))
        || is_zero(a)
        || is_zero(b);
    known.then_some(product)
}

#[inline(always)]
pub(super) fn div<F: Float>(a: F, b: F, env: &Env) -> Option<F> {
    if !applies(a, b, env) || is_zero(b) {
        return None;
    }
    let quotient = F::host_div(a, b);
    let known =
        safe(quotient) && (env.flags & IXC != 0 || F::mul_is_exact(quotient, b, a)) || is_zero(a);
    known.then_some(quotient)
}
