//! Shifts by an immediate amount, and the narrowing moves, which are shifts by 0.

use super::lanes::*;
use crate::insn::simd::{NarrowOp, ShiftOp};

/// One doubleword of a shift whose result has elements of the same size. `amount` is 1 to `esize`
/// for right shifts, 0 to `esize` - 1 for left shifts.
#[inline]
pub(super) fn same(
    op: ShiftOp,
    unsigned: bool,
    esize: u32,
    amount: u32,
    d: u64,
    m: u64,
    qc: &mut bool,
) -> u64 {
    let int = |x| extend(x, esize, unsigned);
    let (left, right) = (amount as i32, -(amount as i32));
    match op {
        ShiftOp::Vshr => map1(esize, m, |x| shift(int(x), right, false) as u64),
        ShiftOp::Vrshr => map1(esize, m, |x| shift(int(x), right, true) as u64),
        ShiftOp::Vsra => map2(esize, d, m, |a, x| {
            a.wrapping_add(shift(int(x), right, false) as u64)
        }),
        ShiftOp::Vrsra => map2(esize, d, m, |a, x| {
            a.wrapping_add(shift(int(x), right, true) as u64)
        }),
        ShiftOp::Vsri => {
            let inserted = shift(ones(esize) as i128, right, false) as u64;
            map2(esize, d, m, |a, x| {
                a & !inserted | shift(x as i128, right, false) as u64
            })
        }
        ShiftOp::Vshl => map1(esize, m, |x| x << (amount & 63)),
        ShiftOp::Vsli => {
            let inserted = ones(esize) << (amount & 63);
            map2(esize, d, m, |a, x| a & !inserted | x << (amount & 63))
        }
        ShiftOp::Vqshl => map1(esize, m, |x| {
            shift_saturate(int(x), left, false, esize, unsigned, qc)
        }),
        // From signed to unsigned.
        ShiftOp::Vqshlu => map1(esize, m, |x| {
            shift_saturate(signed(x, esize) as i128, left, false, esize, true, qc)
        }),
    }
}

/// A right shift of elements of 2 * `esize` bits to elements of `esize` bits: VSHRN, VRSHRN,
/// VQSHRN, VQSHRUN and so on, and with `amount` 0 VMOVN, VQMOVN, VQMOVUN.
#[inline]
pub(super) fn narrow(
    op: NarrowOp,
    unsigned: bool,
    round: bool,
    esize: u32,
    amount: u32,
    m: u128,
    qc: &mut bool,
) -> u64 {
    let source_unsigned = unsigned && op == NarrowOp::Saturate;
    build(esize, |e| {
        let x = extend(get_long(m, 2 * esize, e), 2 * esize, source_unsigned);
        let shifted = if amount == 0 {
            x
        } else {
            shift(x, -(amount as i32), round)
        };
        match op {
            NarrowOp::Truncate => shifted as u64,
            NarrowOp::Saturate => saturate(shifted, esize, unsigned, qc),
            NarrowOp::SaturateUnsigned => saturate(shifted, esize, true, qc),
        }
    })
}

/// A left shift of elements of `esize` bits to elements of 2 * `esize` bits: VSHLL, and with
/// `amount` 0 VMOVL. `amount` is at most `esize`.
#[inline]
pub(super) fn long(unsigned: bool, esize: u32, amount: u32, m: u64) -> u128 {
    build_long(esize, |e| {
        (extend(get(m, esize, e), esize, unsigned) << (amount & 63)) as u64
    })
}
