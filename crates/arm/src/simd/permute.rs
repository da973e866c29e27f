//! Operations that only move elements.

use super::lanes::*;

/// VEXT on doublewords: bytes from `n`, then from `m`, starting at byte `index` (0 to 7).
#[inline]
pub(super) fn ext(n: u64, m: u64, index: u32) -> u64 {
    ext_long(n as u128 | (m as u128) << 64, 0, index) as u64
}

/// VEXT on quadwords; `index` is 0 to 15.
#[inline]
pub(super) fn ext_long(n: u128, m: u128, index: u32) -> u128 {
    match index & 15 {
        0 => n,
        index => n >> (8 * index) | m << (128 - 8 * index),
    }
}

/// VTBL, VTBX: bytes of `table` chosen by the bytes of `indices`; out of range gives the byte of
/// `default`.
#[inline]
pub(super) fn table(table: &[u64], indices: u64, default: u64) -> u64 {
    map2(8, indices, default, |index, default| {
        match table.get(index as usize / 8) {
            Some(&v) => get(v, 8, index as u32 % 8),
            None => default,
        }
    })
}

/// VTRN of two doublewords: the 2 x 2 matrices of elements transposed.
#[inline]
pub(super) fn transpose(esize: u32, d: u64, m: u64) -> (u64, u64) {
    let even = |e| e & !1;
    let new_d = build(esize, |e| {
        get(if e & 1 == 0 { d } else { m }, esize, even(e))
    });
    let new_m = build(esize, |e| {
        get(if e & 1 == 0 { d } else { m }, esize, even(e) + 1)
    });
    (new_d, new_m)
}

/// VUZP of registers of `bits` bits: the even elements of `d` and `m`, and the odd ones.
#[inline]
pub(super) fn unzip(esize: u32, bits: u32, d: u128, m: u128) -> (u128, u128) {
    let count = bits / esize;
    let at = |e| {
        let v = if e < count { d } else { m };
        get_long(v, esize, e % count) as u128
    };
    gather(esize, count, |e| at(2 * e), |e| at(2 * e + 1))
}

/// VZIP of registers of `bits` bits: the elements of `d` and `m` in turn.
#[inline]
pub(super) fn zip(esize: u32, bits: u32, d: u128, m: u128) -> (u128, u128) {
    let count = bits / esize;
    let at = |e| {
        let v = if e & 1 == 0 { d } else { m };
        get_long(v, esize, e / 2) as u128
    };
    gather(esize, count, at, |e| at(e + count))
}

#[inline(always)]
fn gather(
    esize: u32,
    count: u32,
    low: impl Fn(u32) -> u128,
    high: impl Fn(u32) -> u128,
) -> (u128, u128) {
    (0..count).fold((0, 0), |(d, m), e| {
        (d | low(e) << (e * esize), m | high(e) << (e * esize))
    })
}
