//! Integer arithmetic, comparisons and bitwise operations on vectors.

use super::lanes::*;
use crate::insn::simd::{IntOp, LongOp, UnaryOp};

/// All bits of an element set if a condition holds.
#[inline(always)]
fn mask(holds: bool) -> u64 {
    if holds { u64::MAX } else { 0 }
}

/// One doubleword of an operation on registers of the same length. `d` is the destination's old
/// value, which accumulating and inserting operations use.
#[inline]
pub(super) fn same(
    op: IntOp,
    unsigned: bool,
    esize: u32,
    d: u64,
    n: u64,
    m: u64,
    qc: &mut bool,
) -> u64 {
    let int = |x| extend(x, esize, unsigned);
    let sint = |x| extend(x, esize, false);
    let top = esize - 1;
    match op {
        IntOp::Vand => n & m,
        IntOp::Vbic => n & !m,
        IntOp::Vorr => n | m,
        IntOp::Vorn => n | !m,
        IntOp::Veor => n ^ m,
        IntOp::Vbsl => n & d | m & !d,
        IntOp::Vbit => n & m | d & !m,
        IntOp::Vbif => d & m | n & !m,
        IntOp::Vadd => map2(esize, n, m, u64::wrapping_add),
        IntOp::Vsub => map2(esize, n, m, u64::wrapping_sub),
        IntOp::Vmul => map2(esize, n, m, u64::wrapping_mul),
        IntOp::VmulP => map2(8, n, m, polynomial_mul),
        IntOp::Vmla => map3(esize, d, n, m, |a, x, y| a.wrapping_add(x.wrapping_mul(y))),
        IntOp::Vmls => map3(esize, d, n, m, |a, x, y| a.wrapping_sub(x.wrapping_mul(y))),
        IntOp::Vhadd => map2(esize, n, m, |x, y| ((int(x) + int(y)) >> 1) as u64),
        IntOp::Vrhadd => map2(esize, n, m, |x, y| ((int(x) + int(y) + 1) >> 1) as u64),
        IntOp::Vhsub => map2(esize, n, m, |x, y| ((int(x) - int(y)) >> 1) as u64),
        IntOp::Vqadd => map2(esize, n, m, |x, y| {
            saturate(int(x) + int(y), esize, unsigned, qc)
        }),
        IntOp::Vqsub => map2(esize, n, m, |x, y| {
            saturate(int(x) - int(y), esize, unsigned, qc)
        }),
        IntOp::Vcgt => map2(esize, n, m, |x, y| mask(int(x) > int(y))),
        IntOp::Vcge => map2(esize, n, m, |x, y| mask(int(x) >= int(y))),
        IntOp::Vceq => map2(esize, n, m, |x, y| mask(x == y)),
        IntOp::Vtst => map2(esize, n, m, |x, y| mask(x & y != 0)),
        IntOp::Vmax => map2(esize, n, m, |x, y| int(x).max(int(y)) as u64),
        IntOp::Vmin => map2(esize, n, m, |x, y| int(x).min(int(y)) as u64),
        IntOp::Vabd => map2(esize, n, m, |x, y| (int(x) - int(y)).unsigned_abs() as u64),
        IntOp::Vaba => map3(esize, d, n, m, |a, x, y| {
            a.wrapping_add((int(x) - int(y)).unsigned_abs() as u64)
        }),
        IntOp::Vpadd => pairs(esize, n, m, u64::wrapping_add),
        IntOp::Vpmax => pairs(esize, n, m, |x, y| int(x).max(int(y)) as u64),
        IntOp::Vpmin => pairs(esize, n, m, |x, y| int(x).min(int(y)) as u64),
        IntOp::Vqdmulh => map2(esize, n, m, |x, y| {
            saturate((2 * sint(x) * sint(y)) >> esize, esize, false, qc)
        }),
        IntOp::Vqrdmulh => map2(esize, n, m, |x, y| {
            let product = 2 * sint(x) * sint(y) + (1 << top);
            saturate(product >> esize, esize, false, qc)
        }),
        // The shifts' amounts are in n: VSHL Dd, Dm, Dn.
        IntOp::Vshl => map2(esize, m, n, |x, by| {
            let amount = signed(by & 0xff, 8) as i32;
            if amount >= esize as i32 {
                0
            } else {
                shift(int(x), amount, false) as u64
            }
        }),
        IntOp::Vrshl => map2(esize, m, n, |x, by| {
            let amount = signed(by & 0xff, 8) as i32;
            if amount >= esize as i32 {
                0
            } else {
                shift(int(x), amount, true) as u64
            }
        }),
        IntOp::Vqshl => map2(esize, m, n, |x, by| {
            let amount = signed(by & 0xff, 8) as i32;
            shift_saturate(int(x), amount, false, esize, unsigned, qc)
        }),
        IntOp::Vqrshl => map2(esize, m, n, |x, by| {
            let amount = signed(by & 0xff, 8) as i32;
            shift_saturate(int(x), amount, true, esize, unsigned, qc)
        }),
    }
}

/// A doubleword from adjacent elements of `n`, then of `m`.
#[inline(always)]
pub(super) fn pairs(esize: u32, n: u64, m: u64, mut f: impl FnMut(u64, u64) -> u64) -> u64 {
    let half = 32 / esize;
    build(esize, |e| {
        let (v, e) = if e < half { (n, e) } else { (m, e - half) };
        f(get(v, esize, 2 * e), get(v, esize, 2 * e + 1))
    })
}

/// An operation whose result has elements of twice the size. `d` is the destination's old value;
/// `n` is a doubleword, but a quadword of large elements where `op` is `Vaddw` or `Vsubw`.
#[inline]
pub(super) fn long(
    op: LongOp,
    unsigned: bool,
    esize: u32,
    d: u128,
    n: u128,
    m: u64,
    qc: &mut bool,
) -> u128 {
    let wide = 2 * esize;
    let small_n = n as u64;
    let int = |v, e| extend(get(v, esize, e), esize, unsigned);
    let acc = |e| get_long(d, wide, e);
    // SatQ(2 * a * b), signed.
    let doubled = |e, qc: &mut bool| {
        let product = 2
            * extend(get(small_n, esize, e), esize, false)
            * extend(get(m, esize, e), esize, false);
        saturate(product, wide, false, qc)
    };
    let signed_wide = |x| signed(x, wide) as i128;
    match op {
        LongOp::Vaddl => build_long(esize, |e| (int(small_n, e) + int(m, e)) as u64),
        LongOp::Vsubl => build_long(esize, |e| (int(small_n, e) - int(m, e)) as u64),
        LongOp::Vaddw => build_long(esize, |e| {
            get_long(n, wide, e).wrapping_add(int(m, e) as u64)
        }),
        LongOp::Vsubw => build_long(esize, |e| {
            get_long(n, wide, e).wrapping_sub(int(m, e) as u64)
        }),
        LongOp::Vabdl => build_long(esize, |e| {
            (int(small_n, e) - int(m, e)).unsigned_abs() as u64
        }),
        LongOp::Vabal => build_long(esize, |e| {
            acc(e).wrapping_add((int(small_n, e) - int(m, e)).unsigned_abs() as u64)
        }),
        LongOp::Vmull => build_long(esize, |e| (int(small_n, e) * int(m, e)) as u64),
        LongOp::VmullP => build_long(8, |e| polynomial_mul(get(small_n, 8, e), get(m, 8, e))),
        LongOp::Vmlal => build_long(esize, |e| {
            acc(e).wrapping_add((int(small_n, e) * int(m, e)) as u64)
        }),
        LongOp::Vmlsl => build_long(esize, |e| {
            acc(e).wrapping_sub((int(small_n, e) * int(m, e)) as u64)
        }),
        LongOp::Vqdmull => build_long(esize, |e| doubled(e, qc)),
        LongOp::Vqdmlal => build_long(esize, |e| {
            let product = signed_wide(doubled(e, qc));
            saturate(signed_wide(acc(e)) + product, wide, false, qc)
        }),
        LongOp::Vqdmlsl => build_long(esize, |e| {
            let product = signed_wide(doubled(e, qc));
            saturate(signed_wide(acc(e)) - product, wide, false, qc)
        }),
    }
}

/// The high halves of sums or differences of elements of 2 * `esize` bits: VADDHN, VRADDHN
/// (`round`), VSUBHN, VRSUBHN.
#[inline]
pub(super) fn high_narrow(subtract: bool, round: bool, esize: u32, n: u128, m: u128) -> u64 {
    let rounding = if round { 1 << (esize - 1) } else { 0 };
    build(esize, |e| {
        let (x, y) = (get_long(n, 2 * esize, e), get_long(m, 2 * esize, e));
        let sum = if subtract {
            x.wrapping_sub(y)
        } else {
            x.wrapping_add(y)
        };
        sum.wrapping_add(rounding) >> esize
    })
}

/// One doubleword of an operation on one register. `d` is the destination's old value.
#[inline]
pub(super) fn unary(op: UnaryOp, unsigned: bool, esize: u32, d: u64, m: u64, qc: &mut bool) -> u64 {
    let sint = |x| signed(x, esize);
    match op {
        UnaryOp::Vmvn => !m,
        UnaryOp::Vrev16 => reverse(esize, 16, m),
        UnaryOp::Vrev32 => reverse(esize, 32, m),
        UnaryOp::Vrev64 => reverse(esize, 64, m),
        UnaryOp::Vcls => map1(esize, m, |x| {
            // Sign bits after the first; the sign is also in the bits above the element.
            let x = sint(x);
            ((x ^ (x >> 1)).leading_zeros() - (64 - esize) - 1) as u64
        }),
        UnaryOp::Vclz => map1(esize, m, |x| (x.leading_zeros() - (64 - esize)) as u64),
        UnaryOp::Vcnt => map1(8, m, |x| x.count_ones() as u64),
        UnaryOp::Vabs => map1(esize, m, |x| sint(x).unsigned_abs()),
        UnaryOp::Vneg => map1(esize, m, u64::wrapping_neg),
        UnaryOp::Vqabs => map1(esize, m, |x| {
            saturate((sint(x) as i128).abs(), esize, false, qc)
        }),
        UnaryOp::Vqneg => map1(esize, m, |x| saturate(-(sint(x) as i128), esize, false, qc)),
        UnaryOp::VcgtZero => map1(esize, m, |x| mask(sint(x) > 0)),
        UnaryOp::VcgeZero => map1(esize, m, |x| mask(sint(x) >= 0)),
        UnaryOp::VceqZero => map1(esize, m, |x| mask(x == 0)),
        UnaryOp::VcleZero => map1(esize, m, |x| mask(sint(x) <= 0)),
        UnaryOp::VcltZero => map1(esize, m, |x| mask(sint(x) < 0)),
        UnaryOp::Vpaddl => build(2 * esize, |e| pair_sum(m, esize, e, unsigned)),
        UnaryOp::Vpadal => build(2 * esize, |e| {
            get(d, 2 * esize, e).wrapping_add(pair_sum(m, esize, e, unsigned))
        }),
        UnaryOp::Vrecpe => map1(32, m, |x| {
            crate::fp::unsigned_recip_estimate(x as u32).into()
        }),
        UnaryOp::Vrsqrte => map1(32, m, |x| {
            crate::fp::unsigned_rsqrt_estimate(x as u32).into()
        }),
    }
}

/// The sum of the pair of elements numbered `e`.
#[inline(always)]
fn pair_sum(m: u64, esize: u32, e: u32, unsigned: bool) -> u64 {
    let int = |e| extend(get(m, esize, e), esize, unsigned);
    (int(2 * e) + int(2 * e + 1)) as u64
}

/// Reverses the order of elements within groups of `group` bits.
#[inline(always)]
fn reverse(esize: u32, group: u32, m: u64) -> u64 {
    let flip = group / esize - 1;
    build(esize, |e| get(m, esize, e ^ flip))
}
