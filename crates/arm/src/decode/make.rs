//! What the encodings share: from fields, as `u32`, to instructions.

use crate::insn::{
    Banked, BitOp, Cond, CpReg, DpOp, ExSize, Extend, Hint, Index, Insn, MulLong, ParOp, ParPrefix,
    Reg, SatOp, Shift, Size,
};

/// A register.
pub(super) const fn r(n: u32) -> Reg {
    Reg::new(n)
}

/// A register field that is not used is R0.
pub(super) const R0: u32 = 0;

/// An instruction for which a PC in `d` is UNPREDICTABLE: UNDEFINED then, so that only branches,
/// loads and data processing ever write the PC.
pub(super) fn not_pc(d: u32, insn: Insn) -> Insn {
    undefined_if(d == 15, insn)
}

/// `insn`, or UNDEFINED.
pub(super) fn undefined_if(condition: bool, insn: Insn) -> Insn {
    if condition { Insn::Undefined } else { insn }
}

/// The low `bits` of `value` as a signed number.
pub(super) const fn signed(value: u32, bits: u32) -> i32 {
    ((value << (32 - bits)) as i32) >> (32 - bits)
}

/// An offset's magnitude with its U bit.
pub(super) const fn offset(u: u32, magnitude: u32) -> i32 {
    if u != 0 {
        magnitude as i32
    } else {
        -(magnitude as i32)
    }
}

/// `DecodeImmShift` (manual A8.4.3).
pub(super) fn imm_shift(kind: u32, imm5: u32) -> (Shift, u8) {
    let imm5 = imm5 as u8;
    match (kind & 3, imm5) {
        (0, n) => (Shift::Lsl, n),
        (1, 0) => (Shift::Lsr, 32),
        (1, n) => (Shift::Lsr, n),
        (2, 0) => (Shift::Asr, 32),
        (2, n) => (Shift::Asr, n),
        (_, 0) => (Shift::Rrx, 1),
        (_, n) => (Shift::Ror, n),
    }
}

/// `DecodeRegShift`.
fn reg_shift(kind: u32) -> Shift {
    match kind & 3 {
        0 => Shift::Lsl,
        1 => Shift::Lsr,
        2 => Shift::Asr,
        _ => Shift::Ror,
    }
}

/// An expanded immediate and the carry that its expansion makes.
pub(super) type Imm = (u32, Option<bool>);

/// `ARMExpandImm_C` (manual A5.2.4).
pub(super) fn a32_imm(imm12: u32) -> Imm {
    let value = (imm12 & 0xff).rotate_right(imm12 >> 8 << 1);
    (value, (imm12 >> 8 != 0).then_some(value >> 31 != 0))
}

/// `ThumbExpandImm_C` (manual A6.3.2). The repeated forms of zero, UNPREDICTABLE, are zero.
pub(super) fn t32_imm(imm12: u32) -> Imm {
    let byte = imm12 & 0xff;
    match imm12 >> 8 {
        0 => (byte, None),
        1 => (byte * 0x0001_0001, None),
        2 => (byte * 0x0100_0100, None),
        3 => (byte * 0x0101_0101, None),
        _ => {
            let value = (0x80 | imm12 & 0x7f).rotate_right(imm12 >> 7);
            (value, Some(value >> 31 != 0))
        }
    }
}

/// An immediate that is itself.
pub(super) const fn plain(imm: u32) -> Imm {
    (imm, None)
}

pub(super) fn dp_imm(op: DpOp, s: u32, d: u32, n: u32, (imm, carry): Imm) -> Insn {
    Insn::DpImm {
        op,
        s: s != 0,
        rd: r(d),
        rn: r(n),
        imm,
        carry,
    }
}

pub(super) fn dp_reg(op: DpOp, s: u32, d: u32, n: u32, m: u32, kind: u32, imm5: u32) -> Insn {
    let (shift, amount) = imm_shift(kind, imm5);
    Insn::DpReg {
        op,
        s: s != 0,
        rd: r(d),
        rn: r(n),
        rm: r(m),
        shift,
        amount,
    }
}

/// Register-shifted register; a PC as `d` is UNPREDICTABLE.
pub(super) fn dp_rsr(op: DpOp, s: u32, d: u32, n: u32, m: u32, kind: u32, rs: u32) -> Insn {
    not_pc(
        d,
        Insn::DpRsr {
            op,
            s: s != 0,
            rd: r(d),
            rn: r(n),
            rm: r(m),
            shift: reg_shift(kind),
            rs: r(rs),
        },
    )
}

pub(super) fn sat(op: SatOp, d: u32, m: u32, n: u32) -> Insn {
    not_pc(
        d,
        Insn::Sat {
            op,
            rd: r(d),
            rm: r(m),
            rn: r(n),
        },
    )
}

/// SSAT and USAT; `to` as encoded, `h` the ASR bit.
pub(super) fn sat_to(is_signed: bool, d: u32, to: u32, n: u32, h: u32, imm5: u32) -> Insn {
    let (shift, amount) = imm_shift(h << 1, imm5);
    not_pc(
        d,
        Insn::SatTo {
            signed: is_signed,
            rd: r(d),
            to: to as u8 + is_signed as u8,
            rn: r(n),
            shift,
            amount,
        },
    )
}

pub(super) fn sat16(is_signed: bool, d: u32, to: u32, n: u32) -> Insn {
    not_pc(
        d,
        Insn::Sat16 {
            signed: is_signed,
            rd: r(d),
            to: to as u8 + is_signed as u8,
            rn: r(n),
        },
    )
}

pub(super) fn parallel(prefix: ParPrefix, op: ParOp, d: u32, n: u32, m: u32) -> Insn {
    not_pc(
        d,
        Insn::Parallel {
            prefix,
            op,
            rd: r(d),
            rn: r(n),
            rm: r(m),
        },
    )
}

/// PKHBT, PKHTB: `tb` as encoded.
pub(super) fn pkh(tb: u32, d: u32, n: u32, m: u32, imm5: u32) -> Insn {
    let (_, amount) = imm_shift(tb << 1, imm5);
    not_pc(
        d,
        Insn::Pkh {
            tb: tb != 0,
            rd: r(d),
            rn: r(n),
            rm: r(m),
            amount,
        },
    )
}

/// SXTB and the like, `rotate` as encoded.
pub(super) fn extend(op: Extend, d: u32, m: u32, rotate: u32) -> Insn {
    not_pc(
        d,
        Insn::Extend {
            op,
            rd: r(d),
            rn: None,
            rm: r(m),
            rotate: rotate as u8 * 8,
        },
    )
}

/// SXTAB and the like, `rotate` as encoded.
pub(super) fn extend_add(op: Extend, d: u32, n: u32, m: u32, rotate: u32) -> Insn {
    not_pc(
        d,
        Insn::Extend {
            op,
            rd: r(d),
            rn: Some(r(n)),
            rm: r(m),
            rotate: rotate as u8 * 8,
        },
    )
}

pub(super) fn bits(op: BitOp, d: u32, m: u32) -> Insn {
    not_pc(
        d,
        Insn::Bits {
            op,
            rd: r(d),
            rm: r(m),
        },
    )
}

/// BFI, BFC; UNPREDICTABLE when `msb` is below `lsb`.
pub(super) fn bfi(d: u32, n: Option<u32>, lsb: u32, msb: u32) -> Insn {
    undefined_if(
        d == 15 || msb < lsb,
        Insn::Bfi {
            rd: r(d),
            rn: n.map(r),
            lsb: lsb as u8,
            width: (msb + 1).wrapping_sub(lsb) as u8,
        },
    )
}

/// SBFX, UBFX; UNPREDICTABLE when the field is not in the word.
pub(super) fn bfx(is_signed: bool, d: u32, n: u32, lsb: u32, width_minus_1: u32) -> Insn {
    undefined_if(
        d == 15 || lsb + width_minus_1 > 31,
        Insn::Bfx {
            signed: is_signed,
            rd: r(d),
            rn: r(n),
            lsb: lsb as u8,
            width: width_minus_1 as u8 + 1,
        },
    )
}

/// A hint; the unallocated ones are NOP.
pub(super) fn hint(number: u32) -> Insn {
    let op = match number {
        1 => Hint::Yield,
        2 => Hint::Wfe,
        3 => Hint::Wfi,
        4 => Hint::Sev,
        0xf0..=0xff => Hint::Dbg,
        _ => Hint::Nop,
    };
    Insn::Hint {
        op,
        option: if op == Hint::Dbg {
            number as u8 & 15
        } else {
            number as u8
        },
    }
}

/// An unallocated memory hint.
pub(super) const NOP: Insn = Insn::Hint {
    op: Hint::Nop,
    option: 0,
};

/// `index` for the P and W bits.
pub(super) fn index(p: u32, w: u32) -> Index {
    match (p, w) {
        (0, _) => Index::Post,
        (_, 0) => Index::Offset,
        _ => Index::Pre,
    }
}

fn writes_back(index: Index) -> bool {
    matches!(index, Index::Pre | Index::Post | Index::PostUnpriv)
}

/// A load of `size`: only words may go to the PC, and not as if in User mode; the PC is not
/// written back to.
pub(super) fn ldr_imm(size: Size, t: u32, n: u32, offset: i32, index: Index) -> Insn {
    undefined_if(
        load_is_bad(size, t, n, index),
        Insn::LdrImm {
            size,
            rt: r(t),
            rn: r(n),
            offset,
            index,
        },
    )
}

fn load_is_bad(size: Size, t: u32, n: u32, index: Index) -> bool {
    let unprivileged = matches!(index, Index::PostUnpriv | Index::OffsetUnpriv);
    t == 15 && (size != Size::Word || unprivileged) || n == 15 && writes_back(index)
}

pub(super) fn str_imm(size: Size, t: u32, n: u32, offset: i32, index: Index) -> Insn {
    undefined_if(
        n == 15 && writes_back(index),
        Insn::StrImm {
            size,
            rt: r(t),
            rn: r(n),
            offset,
            index,
        },
    )
}

/// The operand of a register offset: register, U bit, shift.
#[derive(Clone, Copy)]
pub(super) struct RegOffset {
    pub m: u32,
    pub u: u32,
    pub shift: (Shift, u8),
}

pub(super) fn reg_offset(u: u32, m: u32, kind: u32, imm5: u32) -> RegOffset {
    RegOffset {
        m,
        u,
        shift: imm_shift(kind, imm5),
    }
}

pub(super) fn ldr_reg(size: Size, t: u32, n: u32, offset: RegOffset, index: Index) -> Insn {
    undefined_if(
        load_is_bad(size, t, n, index),
        Insn::LdrReg {
            size,
            rt: r(t),
            rn: r(n),
            rm: r(offset.m),
            add: offset.u != 0,
            shift: offset.shift.0,
            amount: offset.shift.1,
            index,
        },
    )
}

pub(super) fn str_reg(size: Size, t: u32, n: u32, offset: RegOffset, index: Index) -> Insn {
    undefined_if(
        n == 15 && writes_back(index),
        Insn::StrReg {
            size,
            rt: r(t),
            rn: r(n),
            rm: r(offset.m),
            add: offset.u != 0,
            shift: offset.shift.0,
            amount: offset.shift.1,
            index,
        },
    )
}

/// The first register of an A32 doubleword is even, and its second not the PC.
fn pair_is_bad(t: u32) -> bool {
    t & 1 != 0 || t == 14
}

pub(super) fn a32_dual_imm(load: bool, t: u32, n: u32, offset: i32, (p, w): (u32, u32)) -> Insn {
    if pair_is_bad(t) {
        return Insn::Undefined;
    }
    dual_imm(load, (t, t + 1), n, offset, (p, w & p, (p | !w) & 1))
}

pub(super) fn a32_dual_reg(load: bool, t: u32, n: u32, (u, m): (u32, u32), p: u32, w: u32) -> Insn {
    let index = index(p, w);
    // P = 0, W = 1 is UNPREDICTABLE.
    if pair_is_bad(t) || p == 0 && w == 1 || n == 15 && writes_back(index) {
        return Insn::Undefined;
    }
    let (rt, rt2, rn, rm, add) = (r(t), r(t + 1), r(n), r(m), u != 0);
    if load {
        Insn::LdrdReg {
            rt,
            rt2,
            rn,
            rm,
            add,
            index,
        }
    } else {
        Insn::StrdReg {
            rt,
            rt2,
            rn,
            rm,
            add,
            index,
        }
    }
}

/// LDRD, STRD (immediate); the third of the last is 0 for combinations of P and W that do not
/// exist.
pub(super) fn dual_imm(
    load: bool,
    (t, t2): (u32, u32),
    n: u32,
    offset: i32,
    (p, w, exists): (u32, u32, u32),
) -> Insn {
    let index = index(p, w);
    if exists == 0 || t == 15 || t2 == 15 || n == 15 && writes_back(index) {
        return Insn::Undefined;
    }
    let (rt, rt2, rn) = (r(t), r(t2), r(n));
    if load {
        Insn::LdrdImm {
            rt,
            rt2,
            rn,
            offset,
            index,
        }
    } else {
        Insn::StrdImm {
            rt,
            rt2,
            rn,
            offset,
            index,
        }
    }
}

/// How the addresses of LDM, STM, RFE and SRS go: (increment, before).
pub(super) type Way = (bool, bool);
pub(super) const IA: Way = (true, false);
pub(super) const IB: Way = (true, true);
pub(super) const DA: Way = (false, false);
pub(super) const DB: Way = (false, true);

/// The way of the P and U bits.
pub(super) fn way(p: u32, u: u32) -> Way {
    (u != 0, p != 0)
}

/// LDM; UNPREDICTABLE with no register, or the PC as base.
pub(super) fn ldm((increment, before): Way, n: u32, list: u32, w: u32, user: bool) -> Insn {
    undefined_if(
        n == 15 || list == 0,
        Insn::Ldm {
            rn: r(n),
            list: list as u16,
            increment,
            before,
            wback: w != 0,
            user,
        },
    )
}

/// STM; UNPREDICTABLE with no register, or the PC as base.
pub(super) fn stm((increment, before): Way, n: u32, list: u32, w: u32, user: bool) -> Insn {
    undefined_if(
        n == 15 || list == 0,
        Insn::Stm {
            rn: r(n),
            list: list as u16,
            increment,
            before,
            wback: w != 0,
            user,
        },
    )
}

pub(super) fn srs((increment, before): Way, mode: u32, w: u32) -> Insn {
    Insn::Srs {
        mode: mode as u8,
        increment,
        before,
        wback: w != 0,
    }
}

pub(super) fn rfe((increment, before): Way, n: u32, w: u32) -> Insn {
    not_pc(
        n,
        Insn::Rfe {
            rn: r(n),
            increment,
            before,
            wback: w != 0,
        },
    )
}

/// A load-exclusive; `t2` is 0 when it is not a doubleword.
pub(super) fn ldrex(size: ExSize, t: u32, t2: u32, n: u32, offset: u32) -> Insn {
    let pair = size == ExSize::Double && (t2 == 15 || t == t2);
    undefined_if(
        t == 15 || n == 15 || pair,
        Insn::Ldrex {
            size,
            rt: r(t),
            rt2: r(t2),
            rn: r(n),
            offset: offset as u16,
        },
    )
}

/// A store-exclusive; the status register may be neither the base nor what is stored.
pub(super) fn strex(size: ExSize, d: u32, (t, t2): (u32, u32), n: u32, offset: u32) -> Insn {
    let pair = size == ExSize::Double && (t2 == 15 || d == t2);
    undefined_if(
        d == 15 || t == 15 || n == 15 || d == n || d == t || pair,
        Insn::Strex {
            size,
            rd: r(d),
            rt: r(t),
            rt2: r(t2),
            rn: r(n),
            offset: offset as u16,
        },
    )
}

/// A32's LDREXD: the pair is even and odd.
pub(super) fn a32_ldrexd(t: u32, n: u32) -> Insn {
    undefined_if(pair_is_bad(t), ldrex(ExSize::Double, t, t + 1, n, 0))
}

/// A32's STREXD.
pub(super) fn a32_strexd(d: u32, t: u32, n: u32) -> Insn {
    undefined_if(pair_is_bad(t), strex(ExSize::Double, d, (t, t + 1), n, 0))
}

/// CPS; `imod` 0 and 1 leave the masks alone.
pub(super) fn cps(imod: u32, aif: u32, change_mode: u32, mode: u32) -> Insn {
    let enable = match imod {
        2 => Some(true),
        3 => Some(false),
        _ => None,
    };
    Insn::Cps {
        enable,
        aif: if enable.is_some() { aif as u8 } else { 0 },
        mode: (change_mode != 0).then_some(mode as u8),
    }
}

/// A banked register (manual B9.2.3); the encodings that name none, UNPREDICTABLE, are UNDEFINED.
fn banked(r: u32, m: u32, m1: u32) -> Option<Banked> {
    let sysm = (m << 4 | m1) as u8;
    let exists = if r != 0 {
        matches!(sysm, 14 | 16 | 18 | 20 | 22 | 28 | 30)
    } else {
        matches!(sysm, 0..=6 | 8..=14 | 16..=23 | 28..=31)
    };
    exists.then_some(Banked { r: r != 0, sysm })
}

pub(super) fn mrs_banked(r_bit: u32, m: u32, m1: u32, d: u32) -> Insn {
    match banked(r_bit, m, m1) {
        Some(reg) => not_pc(d, Insn::MrsBanked { rd: r(d), reg }),
        None => Insn::Undefined,
    }
}

pub(super) fn msr_banked(r_bit: u32, m: u32, m1: u32, n: u32) -> Insn {
    match banked(r_bit, m, m1) {
        Some(reg) => not_pc(n, Insn::MsrBanked { rn: r(n), reg }),
        None => Insn::Undefined,
    }
}

/// The offset of T32's B T4, BL and BLX: S, J1, J2 and the rest without its final zero, of which
/// there are `bits`.
pub(super) fn t32_offset(s: u32, j1: u32, j2: u32, imm: u32) -> i32 {
    let i1 = !(j1 ^ s) & 1;
    let i2 = !(j2 ^ s) & 1;
    signed(s << 24 | i1 << 23 | i2 << 22 | imm << 1, 25)
}

/// T32's B T3.
pub(super) fn t32_b(cond: u32, s: u32, j1: u32, j2: u32, imm17: u32) -> Insn {
    undefined_if(
        cond > Cond::Le as u32,
        Insn::B {
            offset: signed(s << 20 | j2 << 19 | j1 << 18 | imm17 << 1, 21),
        },
    )
}

pub(super) fn pld(write: u32, code: bool, n: u32, offset: i32) -> Insn {
    Insn::PldImm {
        write: write != 0,
        code,
        rn: r(n),
        offset,
    }
}

pub(super) fn pld_reg(write: u32, code: bool, n: u32, offset: RegOffset) -> Insn {
    Insn::PldReg {
        write: write != 0,
        code,
        rn: r(n),
        rm: r(offset.m),
        add: offset.u != 0,
        shift: offset.shift.0,
        amount: offset.shift.1,
    }
}

pub(super) fn mul_long(op: MulLong, s: u32, h: u32, l: u32, n: u32, m: u32) -> Insn {
    undefined_if(
        h == 15 || l == 15,
        Insn::MulLong {
            op,
            s: s != 0,
            rd_lo: r(l),
            rd_hi: r(h),
            rn: r(n),
            rm: r(m),
        },
    )
}

/// SMUL<x><y>; the last says whether the top halves of `n` and `m` are used.
pub(super) fn smul_xy(d: u32, n: u32, m: u32, (n_high, m_high): (u32, u32)) -> Insn {
    not_pc(
        d,
        Insn::SmulXy {
            rd: r(d),
            rn: r(n),
            rm: r(m),
            n_high: n_high != 0,
            m_high: m_high != 0,
        },
    )
}

pub(super) fn smla_xy(d: u32, n: u32, m: u32, a: u32, (n_high, m_high): (u32, u32)) -> Insn {
    not_pc(
        d,
        Insn::SmlaXy {
            rd: r(d),
            rn: r(n),
            rm: r(m),
            ra: r(a),
            n_high: n_high != 0,
            m_high: m_high != 0,
        },
    )
}

pub(super) fn smlal_xy(h: u32, l: u32, n: u32, m: u32, (n_high, m_high): (u32, u32)) -> Insn {
    undefined_if(
        h == 15 || l == 15,
        Insn::SmlalXy {
            rd_lo: r(l),
            rd_hi: r(h),
            rn: r(n),
            rm: r(m),
            n_high: n_high != 0,
            m_high: m_high != 0,
        },
    )
}

pub(super) fn dual_mul(sub: u32, swap: u32, d: u32, n: u32, m: u32, a: Option<u32>) -> Insn {
    not_pc(
        d,
        Insn::DualMul {
            sub: sub != 0,
            swap: swap != 0,
            rd: r(d),
            rn: r(n),
            rm: r(m),
            ra: a.map(r),
        },
    )
}

pub(super) fn dual_mul_long(sub: u32, swap: u32, h: u32, l: u32, n: u32, m: u32) -> Insn {
    undefined_if(
        h == 15 || l == 15,
        Insn::DualMulLong {
            sub: sub != 0,
            swap: swap != 0,
            rd_lo: r(l),
            rd_hi: r(h),
            rn: r(n),
            rm: r(m),
        },
    )
}

pub(super) fn smmul(round: u32, sub: u32, d: u32, n: u32, m: u32, a: Option<u32>) -> Insn {
    not_pc(
        d,
        Insn::Smmul {
            round: round != 0,
            sub: sub != 0,
            rd: r(d),
            rn: r(n),
            rm: r(m),
            ra: a.map(r),
        },
    )
}

pub(super) fn usad8(d: u32, n: u32, m: u32, a: Option<u32>) -> Insn {
    not_pc(
        d,
        Insn::Usad8 {
            rd: r(d),
            rn: r(n),
            rm: r(m),
            ra: a.map(r),
        },
    )
}

pub(super) fn div(is_signed: bool, d: u32, n: u32, m: u32) -> Insn {
    not_pc(
        d,
        Insn::Div {
            signed: is_signed,
            rd: r(d),
            rn: r(n),
            rm: r(m),
        },
    )
}

pub(super) fn cp_reg(p: u32, opc1: u32, (crn, crm): (u32, u32), opc2: u32) -> CpReg {
    CpReg {
        coproc: p as u8,
        opc1: opc1 as u8,
        crn: crn as u8,
        crm: crm as u8,
        opc2: opc2 as u8,
    }
}

pub(super) fn mcrr(two: bool, p: u32, opc1: u32, (t, t2): (u32, u32), m: u32) -> Insn {
    undefined_if(
        t == 15 || t2 == 15,
        Insn::Mcrr {
            coproc: p as u8,
            opc1: opc1 as u8,
            rt: r(t),
            rt2: r(t2),
            crm: m as u8,
            two,
        },
    )
}

pub(super) fn mrrc(two: bool, p: u32, opc1: u32, (t, t2): (u32, u32), m: u32) -> Insn {
    undefined_if(
        t == 15 || t2 == 15,
        Insn::Mrrc {
            coproc: p as u8,
            opc1: opc1 as u8,
            rt: r(t),
            rt2: r(t2),
            crm: m as u8,
            two,
        },
    )
}

pub(super) fn cdp(two: bool, p: u32, o: u32, d: u32, (n, m): (u32, u32), opc2: u32) -> Insn {
    Insn::Cdp {
        coproc: p as u8,
        opc1: o as u8,
        crd: d as u8,
        crn: n as u8,
        crm: m as u8,
        opc2: opc2 as u8,
        two,
    }
}

/// The offset, index and option of LDC and STC.
fn cp_address((p, u, w): (u32, u32, u32), imm8: u32) -> (i32, Index, Option<u8>) {
    if p == 0 && w == 0 {
        (0, Index::Offset, Some(imm8 as u8))
    } else {
        (offset(u, imm8 << 2), index(p, w), None)
    }
}

pub(super) fn ldc(
    two: bool,
    puw: (u32, u32, u32),
    long: u32,
    p: u32,
    d: u32,
    n: u32,
    imm8: u32,
) -> Insn {
    let (offset, index, option) = cp_address(puw, imm8);
    undefined_if(
        n == 15 && writes_back(index),
        Insn::Ldc {
            coproc: p as u8,
            crd: d as u8,
            long: long != 0,
            rn: r(n),
            offset,
            index,
            option,
            two,
        },
    )
}

pub(super) fn stc(
    two: bool,
    puw: (u32, u32, u32),
    long: u32,
    p: u32,
    d: u32,
    n: u32,
    imm8: u32,
) -> Insn {
    let (offset, index, option) = cp_address(puw, imm8);
    undefined_if(
        n == 15 && writes_back(index),
        Insn::Stc {
            coproc: p as u8,
            crd: d as u8,
            long: long != 0,
            rn: r(n),
            offset,
            index,
            option,
            two,
        },
    )
}

/// A wide T32 LDM: fewer than two registers, SP, PC with LR, or a base that is both loaded and
/// written back are UNPREDICTABLE; all but the SP are UNDEFINED.
pub(super) fn t32_ldm(way: Way, n: u32, list: u32, w: u32) -> Insn {
    undefined_if(
        list.count_ones() < 2 || list >> 14 == 3 || w != 0 && list >> n & 1 != 0,
        ldm(way, n, list, w, false),
    )
}

/// A wide T32 STM: fewer than two registers, SP, PC, or a base that is both stored and written back
/// are UNPREDICTABLE; all but the SP are UNDEFINED.
pub(super) fn t32_stm(way: Way, n: u32, list: u32, w: u32) -> Insn {
    undefined_if(
        list.count_ones() < 2 || list >> 15 != 0 || w != 0 && list >> n & 1 != 0,
        stm(way, n, list, w, false),
    )
}
