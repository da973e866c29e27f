//! From fields to instructions. A register field comes as a pair of its high bit and its four low
//! bits, in the manual's names (D, Vd).

use crate::insn::simd::*;
use crate::insn::{Insn, Reg};

/// A register field: the letter's bit and the four bits.
pub(super) type Field = (u32, u32);

pub(super) fn simd(insn: Simd) -> Insn {
    Insn::Simd(insn)
}

pub(super) fn r(n: u32) -> Reg {
    Reg::new(n)
}

/// One of two by a bit.
pub(super) fn pick<T>(bit: u32, zero: T, one: T) -> T {
    if bit == 0 { zero } else { one }
}

/// One of four by two bits.
pub(super) fn four<T: Copy>(bits: u32, of: [T; 4]) -> T {
    of[(bits & 3) as usize]
}

/// A VFP register: D(D:Vd) if `double`, else S(Vd:D).
pub(super) fn vreg(double: u32, high: u32, low: u32) -> u8 {
    (if double != 0 {
        high << 4 | low
    } else {
        low << 1 | high
    }) as u8
}

/// A doubleword register.
fn dreg((high, low): Field) -> u8 {
    (high << 4 | low) as u8
}

/// Whether registers are quadword registers, as they must be where `q` is set.
fn even(q: u32, regs: &[Field]) -> bool {
    q == 0 || regs.iter().all(|(_, low)| low & 1 == 0)
}

fn pc(n: u32) -> bool {
    n == 15
}

// VFP.

pub(super) fn vfp(op: VfpOp, z: u32, d: Field, n: Field, m: Field) -> Insn {
    let reg = |(high, low): Field| vreg(z, high, low);
    simd(Simd::Vfp {
        op,
        double: z != 0,
        d: reg(d),
        n: reg(n),
        m: reg(m),
    })
}

pub(super) fn vfp_unary(op: VfpUnary, z: u32, d: Field, m: Field) -> Insn {
    simd(Simd::VfpUnary {
        op,
        double: z != 0,
        d: vreg(z, d.0, d.1),
        m: vreg(z, m.0, m.1),
    })
}

/// A fraction longer than the number is UNPREDICTABLE: UNDEFINED here.
pub(super) fn vfp_fixed(to: u32, unsigned: u32, z: u32, word: u32, d: Field, imm: u32) -> Insn {
    let size = if word != 0 { 32 } else { 16 };
    let Some(fraction) = u32::checked_sub(size, imm) else {
        return Insn::Undefined;
    };
    simd(Simd::VcvtFixed {
        double: z != 0,
        to_fixed: to != 0,
        unsigned: unsigned != 0,
        word: word != 0,
        fraction: fraction as u8,
        d: vreg(z, d.0, d.1),
    })
}

// Transfers.

/// R15 as a core register is UNPREDICTABLE in all transfers: UNDEFINED here.
pub(super) fn core_single(to_core: u32, s: u32, t: u32) -> Insn {
    if pc(t) {
        return Insn::Undefined;
    }
    simd(Simd::VmovCoreSingle {
        to_core: to_core != 0,
        s: s as u8,
        rt: r(t),
    })
}

pub(super) fn pair_single(to_core: u32, t: u32, t2: u32, m: u32, high: u32) -> Insn {
    let s = m << 1 | high;
    // S32 does not exist, and one register cannot take two values: UNPREDICTABLE.
    if pc(t) || pc(t2) || s == 31 || (to_core != 0 && t == t2) {
        return Insn::Undefined;
    }
    simd(Simd::VmovCoreSinglePair {
        to_core: to_core != 0,
        s: s as u8,
        rt: r(t),
        rt2: r(t2),
    })
}

pub(super) fn pair_double(to_core: u32, t: u32, t2: u32, high: u32, m: u32) -> Insn {
    if pc(t) || pc(t2) || (to_core != 0 && t == t2) {
        return Insn::Undefined;
    }
    let d = dreg((high, m));
    simd(Simd::VmovCoreDouble {
        to_core: to_core != 0,
        d,
        rt: r(t),
        rt2: r(t2),
    })
}

/// The size and index of a scalar from opc1:opc2 (manual A8.8.341, A8.8.342).
fn scalar_of(opc1: u32, opc2: u32) -> Option<(u8, u8)> {
    let index = opc1 & 1;
    match (opc1 >> 1, opc2) {
        (1, _) => Some((0, (index << 2 | opc2) as u8)),
        (0, 1 | 3) => Some((1, (index << 1 | opc2 >> 1) as u8)),
        (0, 0) => Some((2, index as u8)),
        _ => None,
    }
}

pub(super) fn to_scalar(opc1: u32, opc2: u32, d: u32, t: u32) -> Insn {
    match scalar_of(opc1, opc2) {
        Some((size, index)) if !pc(t) => simd(Simd::VmovToScalar {
            size,
            d: d as u8,
            index,
            rt: r(t),
        }),
        _ => Insn::Undefined,
    }
}

pub(super) fn from_scalar(u: u32, opc1: u32, opc2: u32, d: u32, t: u32) -> Insn {
    match scalar_of(opc1, opc2) {
        // A word has no sign to extend: U is UNDEFINED there.
        Some((size, index)) if !pc(t) && (size != 2 || u == 0) => {
            let unsigned = u != 0;
            simd(Simd::VmovFromScalar {
                size,
                unsigned,
                d: d as u8,
                index,
                rt: r(t),
            })
        }
        _ => Insn::Undefined,
    }
}

/// VMRS. There are FPSID, FPSCR (which may go to the flags), MVFR1, MVFR0 and FPEXC; others are
/// UNPREDICTABLE or a subarchitecture's, which this one has none of.
pub(super) fn vmrs(reg: u32, t: u32) -> Insn {
    if !matches!(reg, 0 | 1 | 6 | 7 | 8) || (pc(t) && reg != 1) {
        return Insn::Undefined;
    }
    simd(Simd::Vmrs {
        reg: reg as u8,
        rt: r(t),
    })
}

/// VMSR. FPSID ignores it; MVFR0 and MVFR1 are UNPREDICTABLE.
pub(super) fn vmsr(reg: u32, t: u32) -> Insn {
    if !matches!(reg, 0 | 1 | 8) || pc(t) {
        return Insn::Undefined;
    }
    simd(Simd::Vmsr {
        reg: reg as u8,
        rt: r(t),
    })
}

pub(super) fn dup_core(be: u32, q: u32, d: u32, t: u32) -> Insn {
    let size = match be {
        0 => 2,
        1 => 1,
        2 => 0,
        _ => return Insn::Undefined,
    };
    if pc(t) || !even(q, &[(0, d)]) {
        return Insn::Undefined;
    }
    simd(Simd::VdupCore {
        q: q != 0,
        size,
        d: d as u8,
        rt: r(t),
    })
}

// Advanced SIMD, three registers.

#[allow(clippy::too_many_arguments)]
pub(super) fn int(
    op: IntOp,
    u: u32,
    size: u32,
    largest: u32,
    q: u32,
    d: Field,
    n: Field,
    m: Field,
) -> Insn {
    if size > largest || !even(q, &[d, n, m]) {
        return Insn::Undefined;
    }
    let (unsigned, size) = (u != 0, size as u8);
    simd(Simd::Int {
        op,
        q: q != 0,
        unsigned,
        size,
        d: dreg(d),
        n: dreg(n),
        m: dreg(m),
    })
}

pub(super) fn int_not_bytes(op: IntOp, size: u32, q: u32, d: Field, n: Field, m: Field) -> Insn {
    if size == 0 {
        return Insn::Undefined;
    }
    int(op, 0, size, 2, q, d, n, m)
}

pub(super) fn float(op: FloatOp, q: u32, d: Field, n: Field, m: Field) -> Insn {
    if !even(q, &[d, n, m]) {
        return Insn::Undefined;
    }
    simd(Simd::Float {
        op,
        q: q != 0,
        d: dreg(d),
        n: dreg(n),
        m: dreg(m),
    })
}

pub(super) fn long(op: LongOp, u: u32, size: u32, d: Field, n: Field, m: Field) -> Insn {
    let wide = matches!(op, LongOp::Vaddw | LongOp::Vsubw);
    if size == 3 || !even(1, &[d]) || (wide && !even(1, &[n])) {
        return Insn::Undefined;
    }
    let (unsigned, size) = (u != 0, size as u8);
    simd(Simd::Long {
        op,
        unsigned,
        size,
        d: dreg(d),
        n: dreg(n),
        m: dreg(m),
    })
}

pub(super) fn long_not_bytes(op: LongOp, size: u32, d: Field, n: Field, m: Field) -> Insn {
    if size == 0 {
        Insn::Undefined
    } else {
        long(op, 0, size, d, n, m)
    }
}

pub(super) fn high_narrow(
    subtract: bool,
    round: u32,
    size: u32,
    d: Field,
    n: Field,
    m: Field,
) -> Insn {
    if size == 3 || !even(1, &[n, m]) {
        return Insn::Undefined;
    }
    let (round, size) = (round != 0, size as u8);
    simd(Simd::HighNarrow {
        subtract,
        round,
        size,
        d: dreg(d),
        n: dreg(n),
        m: dreg(m),
    })
}

// A scalar: the register and the index share M:Vm.

fn scalar_operand(size: u32, (high, low): Field) -> Option<(u8, u8)> {
    match size {
        1 => Some(((low & 7) as u8, (high << 1 | low >> 3) as u8)),
        2 => Some((low as u8, high as u8)),
        _ => None,
    }
}

pub(super) fn int_scalar(op: IntOp, q: u32, size: u32, d: Field, n: Field, m: Field) -> Insn {
    match scalar_operand(size, m) {
        Some((m, index)) if even(q, &[d, n]) => {
            let (q, size) = (q != 0, size as u8);
            simd(Simd::IntScalar {
                op,
                q,
                size,
                d: dreg(d),
                n: dreg(n),
                m,
                index,
            })
        }
        _ => Insn::Undefined,
    }
}

#[allow(clippy::too_many_arguments)]
pub(super) fn scalar(
    f: u32,
    int: IntOp,
    float: FloatOp,
    q: u32,
    size: u32,
    d: Field,
    n: Field,
    m: Field,
) -> Insn {
    if f == 0 {
        return int_scalar(int, q, size, d, n, m);
    }
    match scalar_operand(size, m) {
        Some((m, index)) if size == 2 && even(q, &[d, n]) => simd(Simd::FloatScalar {
            op: float,
            q: q != 0,
            d: dreg(d),
            n: dreg(n),
            m,
            index,
        }),
        _ => Insn::Undefined,
    }
}

pub(super) fn long_scalar(op: LongOp, u: u32, size: u32, d: Field, n: Field, m: Field) -> Insn {
    match scalar_operand(size, m) {
        Some((m, index)) if even(1, &[d]) => {
            let (unsigned, size) = (u != 0, size as u8);
            simd(Simd::LongScalar {
                op,
                unsigned,
                size,
                d: dreg(d),
                n: dreg(n),
                m,
                index,
            })
        }
        _ => Insn::Undefined,
    }
}

// Two registers.

pub(super) fn unary(
    op: UnaryOp,
    u: u32,
    size: u32,
    largest: u32,
    q: u32,
    d: Field,
    m: Field,
) -> Insn {
    if size > largest || !even(q, &[d, m]) {
        return Insn::Undefined;
    }
    let (unsigned, size) = (u != 0, size as u8);
    simd(Simd::Unary {
        op,
        q: q != 0,
        unsigned,
        size,
        d: dreg(d),
        m: dreg(m),
    })
}

fn float_unary(op: FloatUnary, size: u32, q: u32, d: Field, m: Field) -> Insn {
    if size != 2 || !even(q, &[d, m]) {
        return Insn::Undefined;
    }
    simd(Simd::FloatUnary {
        op,
        q: q != 0,
        d: dreg(d),
        m: dreg(m),
    })
}

pub(super) fn unary_or_float(
    f: u32,
    int: UnaryOp,
    float: FloatUnary,
    size: u32,
    q: u32,
    d: Field,
    m: Field,
) -> Insn {
    if f == 0 {
        unary(int, 0, size, 2, q, d, m)
    } else {
        float_unary(float, size, q, d, m)
    }
}

/// VRECPE, VRSQRTE: words only.
pub(super) fn estimate(
    f: u32,
    int: UnaryOp,
    float: FloatUnary,
    size: u32,
    q: u32,
    d: Field,
    m: Field,
) -> Insn {
    match (size, f) {
        (2, 0) => unary(int, 1, size, 2, q, d, m),
        _ => float_unary(float, size, q, d, m),
    }
}

pub(super) fn permute(op: PermuteOp, size: u32, q: u32, d: Field, m: Field) -> Insn {
    let defined = match op {
        PermuteOp::Vswp => size == 0,
        PermuteOp::Vtrn => size < 3,
        // For words in doublewords, VTRN does it.
        PermuteOp::Vuzp | PermuteOp::Vzip => size < 2 || size == 2 && q != 0,
    };
    if !defined || !even(q, &[d, m]) {
        return Insn::Undefined;
    }
    simd(Simd::Permute {
        op,
        q: q != 0,
        size: size as u8,
        d: dreg(d),
        m: dreg(m),
    })
}

pub(super) fn narrow(op: NarrowOp, u: u32, size: u32, d: Field, m: Field) -> Insn {
    if size == 3 || !even(1, &[m]) {
        return Insn::Undefined;
    }
    let (unsigned, size) = (u != 0, size as u8);
    simd(Simd::Narrow {
        op,
        unsigned,
        round: false,
        size,
        amount: 0,
        d: dreg(d),
        m: dreg(m),
    })
}

pub(super) fn half(to_single: u32, size: u32, d: Field, m: Field) -> Insn {
    let quad = if to_single != 0 { d } else { m };
    if size != 1 || !even(1, &[quad]) {
        return Insn::Undefined;
    }
    simd(Simd::CvtHalf {
        to_half: to_single == 0,
        d: dreg(d),
        m: dreg(m),
    })
}

pub(super) fn convert(to: u32, unsigned: u32, size: u32, q: u32, d: Field, m: Field) -> Insn {
    if size != 2 || !even(q, &[d, m]) {
        return Insn::Undefined;
    }
    let (to_fixed, unsigned) = (to != 0, unsigned != 0);
    simd(Simd::Cvt {
        to_fixed,
        q: q != 0,
        unsigned,
        fraction: 0,
        d: dreg(d),
        m: dreg(m),
    })
}

pub(super) fn ext(index: u32, q: u32, d: Field, n: Field, m: Field) -> Insn {
    if !even(q, &[d, n, m]) || (q == 0 && index > 7) {
        return Insn::Undefined;
    }
    let index = index as u8;
    simd(Simd::Vext {
        q: q != 0,
        d: dreg(d),
        n: dreg(n),
        m: dreg(m),
        index,
    })
}

/// A table that extends beyond D31 is UNPREDICTABLE: UNDEFINED here.
pub(super) fn table(len: u32, extend: u32, d: Field, n: Field, m: Field) -> Insn {
    if u32::from(dreg(n)) + len > 32 {
        return Insn::Undefined;
    }
    let (extend, len) = (extend != 0, len as u8);
    simd(Simd::Vtbl {
        extend,
        len,
        d: dreg(d),
        n: dreg(n),
        m: dreg(m),
    })
}

pub(super) fn dup_scalar(imm: u32, q: u32, d: Field, m: Field) -> Insn {
    let size = imm.trailing_zeros();
    if imm == 0 || size > 2 || !even(q, &[d]) {
        return Insn::Undefined;
    }
    let index = (imm >> (size + 1)) as u8;
    simd(Simd::VdupScalar {
        q: q != 0,
        size: size as u8,
        d: dreg(d),
        m: dreg(m),
        index,
    })
}

// Immediates.

pub(super) fn modified(cmode: u32, op: u32, q: u32, imm: u32, d: Field) -> Insn {
    let kind = match (cmode, op) {
        (15, 1) => return Insn::Undefined,
        (14 | 15, _) => ImmOp::Vmov,
        (0..12, o) if cmode & 1 != 0 => pick(o, ImmOp::Vorr, ImmOp::Vbic),
        (_, o) => pick(o, ImmOp::Vmov, ImmOp::Vmvn),
    };
    if !even(q, &[d]) {
        return Insn::Undefined;
    }
    simd(Simd::Imm {
        op: kind,
        q: q != 0,
        cmode: cmode as u8,
        op_bit: op != 0,
        imm: imm as u8,
        d: dreg(d),
    })
}

/// Element size and the rest of L:imm6 (manual table A7-15).
fn shift_size(imm: u32) -> (u32, u32) {
    let size = if imm >= 64 { 3 } else { imm.max(8).ilog2() - 3 };
    (size, imm - (8 << size))
}

fn shift(op: ShiftOp, u: u32, size: u32, amount: u32, q: u32, d: Field, m: Field) -> Insn {
    if !even(q, &[d, m]) {
        return Insn::Undefined;
    }
    let (unsigned, size, amount) = (u != 0, size as u8, amount as u8);
    simd(Simd::Shift {
        op,
        q: q != 0,
        unsigned,
        size,
        amount,
        d: dreg(d),
        m: dreg(m),
    })
}

pub(super) fn right_shift(op: ShiftOp, u: u32, imm: u32, q: u32, d: Field, m: Field) -> Insn {
    if imm < 8 {
        return Insn::Undefined;
    }
    let (size, rest) = shift_size(imm);
    shift(op, u, size, (8 << size) - rest, q, d, m)
}

pub(super) fn left_shift(op: ShiftOp, u: u32, imm: u32, q: u32, d: Field, m: Field) -> Insn {
    if imm < 8 {
        return Insn::Undefined;
    }
    let (size, rest) = shift_size(imm);
    shift(op, u, size, rest, q, d, m)
}

pub(super) fn narrow_shift(
    op: NarrowOp,
    u: u32,
    round: bool,
    imm: u32,
    d: Field,
    m: Field,
) -> Insn {
    if imm < 8 || !even(1, &[m]) {
        return Insn::Undefined;
    }
    let (size, rest) = shift_size(imm);
    let amount = ((8 << size) - rest) as u8;
    let (unsigned, size) = (u != 0, size as u8);
    simd(Simd::Narrow {
        op,
        unsigned,
        round,
        size,
        amount,
        d: dreg(d),
        m: dreg(m),
    })
}

pub(super) fn long_shift(u: u32, imm: u32, d: Field, m: Field) -> Insn {
    if imm < 8 || !even(1, &[d]) {
        return Insn::Undefined;
    }
    let (size, amount) = shift_size(imm);
    let (unsigned, size, amount) = (u != 0, size as u8, amount as u8);
    simd(Simd::ShiftLong {
        unsigned,
        size,
        amount,
        d: dreg(d),
        m: dreg(m),
    })
}

/// VSHLL by the size of the element.
pub(super) fn long_shift_full(size: u32, d: Field, m: Field) -> Insn {
    if size == 3 || !even(1, &[d]) {
        return Insn::Undefined;
    }
    let (size, amount) = (size as u8, 8 << size);
    simd(Simd::ShiftLong {
        unsigned: true,
        size,
        amount,
        d: dreg(d),
        m: dreg(m),
    })
}

pub(super) fn fixed(to: u32, u: u32, imm: u32, q: u32, d: Field, m: Field) -> Insn {
    if imm < 32 || !even(q, &[d, m]) {
        return Insn::Undefined;
    }
    let (to_fixed, unsigned, fraction) = (to != 0, u != 0, (64 - imm) as u8);
    simd(Simd::Cvt {
        to_fixed,
        q: q != 0,
        unsigned,
        fraction,
        d: dreg(d),
        m: dreg(m),
    })
}
