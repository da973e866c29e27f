//! Vectors as elements of 8, 16, 32 or 64 bits.
//!
//! A doubleword register is a `u64`, a quadword register a `u128`. An element travels as a `u64`,
//! zero-extended; functions return more than `esize` bits where they please, the rest is cut off.

/// The lowest `esize` (1 to 64) bits set.
#[inline(always)]
pub(super) const fn ones(esize: u32) -> u64 {
    u64::MAX >> (64 - esize)
}

/// Element `e` of a doubleword.
#[inline(always)]
pub(super) const fn get(v: u64, esize: u32, e: u32) -> u64 {
    v >> ((e * esize) & 63) & ones(esize)
}

/// `v` with element `e` replaced.
#[inline(always)]
pub(super) const fn set(v: u64, esize: u32, e: u32, x: u64) -> u64 {
    let at = (e * esize) & 63;
    v & !(ones(esize) << at) | (x & ones(esize)) << at
}

/// An element sign-extended.
#[inline(always)]
pub(super) const fn signed(x: u64, esize: u32) -> i64 {
    (x << (64 - esize)) as i64 >> (64 - esize)
}

/// An element sign- or zero-extended.
#[inline(always)]
pub(super) const fn extend(x: u64, esize: u32, unsigned: bool) -> i128 {
    if unsigned {
        x as i128
    } else {
        signed(x, esize) as i128
    }
}

/// A doubleword whose elements are all `x`.
#[inline(always)]
pub(super) const fn splat(x: u64, esize: u32) -> u64 {
    // ...0001_0001 with a 1 in each element's lowest bit.
    (x & ones(esize)).wrapping_mul(u64::MAX / ones(esize))
}

/// A new doubleword, element by element.
#[inline(always)]
pub(super) fn build(esize: u32, mut f: impl FnMut(u32) -> u64) -> u64 {
    let mut result = 0;
    for e in 0..64 / esize {
        result |= (f(e) & ones(esize)) << (e * esize);
    }
    result
}

/// Each element of a doubleword.
#[inline(always)]
pub(super) fn map1(esize: u32, a: u64, mut f: impl FnMut(u64) -> u64) -> u64 {
    build(esize, |e| f(get(a, esize, e)))
}

/// The elements of two doublewords in pairs.
#[inline(always)]
pub(super) fn map2(esize: u32, a: u64, b: u64, mut f: impl FnMut(u64, u64) -> u64) -> u64 {
    build(esize, |e| f(get(a, esize, e), get(b, esize, e)))
}

/// The elements of three doublewords together.
#[inline(always)]
pub(super) fn map3(
    esize: u32,
    a: u64,
    b: u64,
    c: u64,
    mut f: impl FnMut(u64, u64, u64) -> u64,
) -> u64 {
    build(esize, |e| {
        f(get(a, esize, e), get(b, esize, e), get(c, esize, e))
    })
}

/// A quadword of elements of 2 * `esize` bits from the elements' numbers; `esize` is 8, 16 or 32.
#[inline(always)]
pub(super) fn build_long(esize: u32, mut f: impl FnMut(u32) -> u64) -> u128 {
    let low = build(2 * esize, &mut f);
    let half = 32 / esize;
    let high = build(2 * esize, |e| f(e + half));
    low as u128 | (high as u128) << 64
}

/// Element `e` of a quadword.
#[inline(always)]
pub(super) const fn get_long(v: u128, esize: u32, e: u32) -> u64 {
    (v >> ((e * esize) & 127)) as u64 & ones(esize)
}

/// `x` as an element of `esize` bits, with the nearest bound where it doesn't fit; `qc` is set
/// then (`SatQ`).
#[inline(always)]
pub(super) fn saturate(x: i128, esize: u32, unsigned: bool, qc: &mut bool) -> u64 {
    let (min, max) = if unsigned {
        (0, ones(esize) as i128)
    } else {
        (-(1i128 << (esize - 1)), (1i128 << (esize - 1)) - 1)
    };
    let result = x.clamp(min, max);
    *qc |= result != x;
    result as u64
}

/// A shift of an extended element: left by `amount`, or right where that is negative, with
/// rounding if `round`. Bits above `esize` are as if the element had no bound, up to 64 of them.
#[inline(always)]
pub(super) fn shift(x: i128, amount: i32, round: bool) -> i128 {
    if amount >= 0 {
        // An element has at most 64 bits, and the sign needs one.
        x << amount.min(63)
    } else {
        // By 65 bits, nothing but the sign is left.
        let n = amount.unsigned_abs().min(65);
        (x + if round { 1 << (n - 1) } else { 0 }) >> n
    }
}

/// [`shift`], saturated (`VQSHL` and others).
#[inline(always)]
pub(super) fn shift_saturate(
    x: i128,
    amount: i32,
    round: bool,
    esize: u32,
    unsigned: bool,
    qc: &mut bool,
) -> u64 {
    let shifted = shift(x, amount, round);
    // With all bits shifted out, any bound is exceeded.
    let exceeds = amount >= esize as i32 && x != 0;
    let far = if x < 0 { i128::MIN } else { i128::MAX };
    saturate(if exceeds { far } else { shifted }, esize, unsigned, qc)
}

/// The carry-less (polynomial) product of two bytes.
#[inline(always)]
pub(super) fn polynomial_mul(a: u64, b: u64) -> u64 {
    (0..8).fold(0, |sum, bit| {
        if b >> bit & 1 != 0 {
            sum ^ a << bit
        } else {
            sum
        }
    })
}
