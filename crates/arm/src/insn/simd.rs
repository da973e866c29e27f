//! VFP and Advanced SIMD instructions (manual A4.13, A4.14, A7).
//!
//! Register numbers are whole: `d`, `n`, `m` are S0 to S31 or D0 to D31, as `double` or the
//! instruction says. A quadword register Q`i` is given as D(2`i`), with `q` set. `size` is the base-2
//! logarithm of an element's bytes: 0 to 3 for 8, 16, 32, 64 bits. `unsigned` means nothing where
//! the operation is the same for signed and unsigned numbers.

use super::Reg;

/// VFP data processing on two operands (and the destination).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum VfpOp {
    Vmla,
    Vmls,
    Vnmla,
    Vnmls,
    Vmul,
    Vnmul,
    Vadd,
    Vsub,
    Vdiv,
    Vfma,
    Vfms,
    Vfnma,
    Vfnms,
}

/// VFP data processing on one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum VfpUnary {
    Vmov,
    Vabs,
    Vneg,
    Vsqrt,
}

/// Integer and bitwise operations on registers of the same length. Shifts take the value from `m`
/// and the amount from `n`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum IntOp {
    Vand,
    Vbic,
    Vorr,
    Vorn,
    Veor,
    Vbsl,
    Vbit,
    Vbif,
    Vadd,
    Vsub,
    Vmul,
    VmulP,
    Vmla,
    Vmls,
    Vhadd,
    Vrhadd,
    Vhsub,
    Vqadd,
    Vqsub,
    Vcgt,
    Vcge,
    Vceq,
    Vtst,
    Vmax,
    Vmin,
    Vabd,
    Vaba,
    Vpadd,
    Vpmax,
    Vpmin,
    Vqdmulh,
    Vqrdmulh,
    Vshl,
    Vrshl,
    Vqshl,
    Vqrshl,
}

/// Single-precision operations on registers of the same length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum FloatOp {
    Vadd,
    Vsub,
    Vmul,
    Vabd,
    Vmla,
    Vmls,
    Vfma,
    Vfms,
    Vmax,
    Vmin,
    Vpadd,
    Vpmax,
    Vpmin,
    Vceq,
    Vcge,
    Vcgt,
    Vacge,
    Vacgt,
    Vrecps,
    Vrsqrts,
}

/// Operations with a quadword result of elements of twice the size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum LongOp {
    Vaddl,
    Vsubl,
    Vaddw,
    Vsubw,
    Vabdl,
    Vabal,
    Vmull,
    VmullP,
    Vmlal,
    Vmlsl,
    Vqdmull,
    Vqdmlal,
    Vqdmlsl,
}

/// Integer operations on one register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum UnaryOp {
    Vmvn,
    Vrev16,
    Vrev32,
    Vrev64,
    Vcls,
    Vclz,
    Vcnt,
    Vabs,
    Vneg,
    Vqabs,
    Vqneg,
    VcgtZero,
    VcgeZero,
    VceqZero,
    VcleZero,
    VcltZero,
    Vpaddl,
    Vpadal,
    Vrecpe,
    Vrsqrte,
}

/// Single-precision operations on one register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum FloatUnary {
    Vabs,
    Vneg,
    VceqZero,
    VcgeZero,
    VcgtZero,
    VcleZero,
    VcltZero,
    Vrecpe,
    Vrsqrte,
}

/// Shifts by an immediate amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ShiftOp {
    Vshr,
    Vrshr,
    Vsra,
    Vrsra,
    Vsri,
    Vshl,
    Vsli,
    Vqshl,
    Vqshlu,
}

/// Right shifts that narrow. VMOVN, VQMOVN and VQMOVUN are those with amount 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum NarrowOp {
    /// VSHRN, VRSHRN, VMOVN.
    Truncate,
    /// VQSHRN, VQRSHRN, VQMOVN: `unsigned` tells the type.
    Saturate,
    /// VQSHRUN, VQRSHRUN, VQMOVUN: signed to unsigned.
    SaturateUnsigned,
}

/// Permutations of two registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum PermuteOp {
    Vswp,
    Vtrn,
    Vuzp,
    Vzip,
}

/// What a modified immediate does to the destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ImmOp {
    Vmov,
    Vmvn,
    Vorr,
    Vbic,
}

/// How a structure load or store writes its base register back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wback {
    /// Not.
    None,
    /// Plus the number of bytes transferred.
    Size,
    /// Plus a register.
    Reg(Reg),
}

/// A VFP or Advanced SIMD instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Simd {
    /// VLDR. `rn` = PC: based on Align(PC, 4).
    Vldr {
        double: bool,
        d: u8,
        rn: Reg,
        offset: i16,
    },
    Vstr {
        double: bool,
        d: u8,
        rn: Reg,
        offset: i16,
    },
    /// VLDM, VPOP, FLDMX: `count` registers from `d`; `bytes` is the distance that the base moves.
    Vldm {
        double: bool,
        d: u8,
        count: u8,
        bytes: u16,
        rn: Reg,
        increment: bool,
        wback: bool,
    },
    Vstm {
        double: bool,
        d: u8,
        count: u8,
        bytes: u16,
        rn: Reg,
        increment: bool,
        wback: bool,
    },

    /// VMOV between an Arm core register and S`s`.
    VmovCoreSingle {
        to_core: bool,
        s: u8,
        rt: Reg,
    },
    /// VMOV between two Arm core registers and S`s`, S(`s` + 1).
    VmovCoreSinglePair {
        to_core: bool,
        s: u8,
        rt: Reg,
        rt2: Reg,
    },
    /// VMOV between two Arm core registers and a doubleword.
    VmovCoreDouble {
        to_core: bool,
        d: u8,
        rt: Reg,
        rt2: Reg,
    },
    /// VMOV (Arm core register to scalar).
    VmovToScalar {
        size: u8,
        d: u8,
        index: u8,
        rt: Reg,
    },
    /// VMOV (scalar to Arm core register).
    VmovFromScalar {
        size: u8,
        unsigned: bool,
        d: u8,
        index: u8,
        rt: Reg,
    },
    /// VDUP (Arm core register).
    VdupCore {
        q: bool,
        size: u8,
        d: u8,
        rt: Reg,
    },
    /// VMRS; `reg` as encoded (0 FPSID, 1 FPSCR, 6 MVFR1, 7 MVFR0, 8 FPEXC). FPSCR to PC sets the
    /// flags of APSR.
    Vmrs {
        reg: u8,
        rt: Reg,
    },
    Vmsr {
        reg: u8,
        rt: Reg,
    },

    Vfp {
        op: VfpOp,
        double: bool,
        d: u8,
        n: u8,
        m: u8,
    },
    VfpUnary {
        op: VfpUnary,
        double: bool,
        d: u8,
        m: u8,
    },
    /// VMOV (immediate) of a floating-point number: see [`vfp_expand_imm`].
    VfpImm {
        double: bool,
        d: u8,
        imm: u8,
    },
    /// VCMP, VCMPE (`signal`); `m` = None compares with 0.
    Vcmp {
        signal: bool,
        double: bool,
        d: u8,
        m: Option<u8>,
    },
    /// VCVTB, VCVTT (`top`) between single and half precision, both in S registers.
    VcvtHalf {
        to_half: bool,
        top: bool,
        d: u8,
        m: u8,
    },
    /// VCVT between double and single precision: `to_double` from S`m` to D`d`.
    VcvtPrecision {
        to_double: bool,
        d: u8,
        m: u8,
    },
    /// VCVT from the integer in S`m`.
    VcvtFromInt {
        double: bool,
        unsigned: bool,
        d: u8,
        m: u8,
    },
    /// VCVT (toward zero), VCVTR (`round`: as FPSCR says) to the integer in S`d`.
    VcvtToInt {
        double: bool,
        unsigned: bool,
        round: bool,
        d: u8,
        m: u8,
    },
    /// VCVT between floating point and fixed point of 16 or 32 (`word`) bits, in place.
    /// `fraction`: 0 to the number's bits.
    VcvtFixed {
        double: bool,
        to_fixed: bool,
        unsigned: bool,
        word: bool,
        fraction: u8,
        d: u8,
    },

    Int {
        op: IntOp,
        q: bool,
        unsigned: bool,
        size: u8,
        d: u8,
        n: u8,
        m: u8,
    },
    Float {
        op: FloatOp,
        q: bool,
        d: u8,
        n: u8,
        m: u8,
    },
    /// `n` is a quadword for VADDW and VSUBW.
    Long {
        op: LongOp,
        unsigned: bool,
        size: u8,
        d: u8,
        n: u8,
        m: u8,
    },
    /// VADDHN, VRADDHN, VSUBHN, VRSUBHN: `size` is that of the result's elements.
    HighNarrow {
        subtract: bool,
        round: bool,
        size: u8,
        d: u8,
        n: u8,
        m: u8,
    },
    /// An integer operation with a scalar: Vmul, Vmla, Vmls, Vqdmulh, Vqrdmulh.
    IntScalar {
        op: IntOp,
        q: bool,
        size: u8,
        d: u8,
        n: u8,
        m: u8,
        index: u8,
    },
    /// Vmul, Vmla, Vmls.
    FloatScalar {
        op: FloatOp,
        q: bool,
        d: u8,
        n: u8,
        m: u8,
        index: u8,
    },
    LongScalar {
        op: LongOp,
        unsigned: bool,
        size: u8,
        d: u8,
        n: u8,
        m: u8,
        index: u8,
    },

    Unary {
        op: UnaryOp,
        q: bool,
        unsigned: bool,
        size: u8,
        d: u8,
        m: u8,
    },
    FloatUnary {
        op: FloatUnary,
        q: bool,
        d: u8,
        m: u8,
    },
    Permute {
        op: PermuteOp,
        q: bool,
        size: u8,
        d: u8,
        m: u8,
    },
    /// `amount`: 1 to the element's bits for right shifts, 0 to bits - 1 for left ones.
    Shift {
        op: ShiftOp,
        q: bool,
        unsigned: bool,
        size: u8,
        amount: u8,
        d: u8,
        m: u8,
    },
    /// `size` is that of the result's elements.
    Narrow {
        op: NarrowOp,
        unsigned: bool,
        round: bool,
        size: u8,
        amount: u8,
        d: u8,
        m: u8,
    },
    /// VSHLL, VMOVL (`amount` 0): `size` is that of the operand's elements.
    ShiftLong {
        unsigned: bool,
        size: u8,
        amount: u8,
        d: u8,
        m: u8,
    },
    /// VCVT between single precision and 32-bit integers (`fraction` 0) or fixed point.
    Cvt {
        to_fixed: bool,
        q: bool,
        unsigned: bool,
        fraction: u8,
        d: u8,
        m: u8,
    },
    /// VCVT between four single and four half-precision numbers.
    CvtHalf {
        to_half: bool,
        d: u8,
        m: u8,
    },
    /// `op` and cmode as encoded: see [`simd_expand_imm`].
    Imm {
        op: ImmOp,
        q: bool,
        cmode: u8,
        op_bit: bool,
        imm: u8,
        d: u8,
    },
    Vext {
        q: bool,
        d: u8,
        n: u8,
        m: u8,
        index: u8,
    },
    /// VTBL, VTBX (`extend`): `len` registers from `n`, 1 to 4.
    Vtbl {
        extend: bool,
        len: u8,
        d: u8,
        n: u8,
        m: u8,
    },
    /// VDUP (scalar).
    VdupScalar {
        q: bool,
        size: u8,
        d: u8,
        m: u8,
        index: u8,
    },

    /// VLD1 to VLD4, VST1 to VST4 (multiple structures). A structure has `interleave` (1 to 4)
    /// elements, each in a register `spacing` after the one before. There are `regs` such groups
    /// of registers, the first ones from `d`, `d` + 1 and so on. `align`: the address must be a
    /// multiple of so many bytes; 1 is the element's own rule. None of the registers is beyond D31.
    Multiple {
        load: bool,
        size: u8,
        interleave: u8,
        regs: u8,
        spacing: u8,
        d: u8,
        align: u8,
        rn: Reg,
        wback: Wback,
    },
    /// One lane: `interleave` registers from `d`, `spacing` apart.
    Lane {
        load: bool,
        size: u8,
        interleave: u8,
        spacing: u8,
        index: u8,
        d: u8,
        align: u8,
        rn: Reg,
        wback: Wback,
    },
    /// VLD1 to VLD4 to all lanes. VLD1 writes `regs` (1 or 2) registers with the same element.
    AllLanes {
        size: u8,
        interleave: u8,
        regs: u8,
        spacing: u8,
        d: u8,
        align: u8,
        rn: Reg,
        wback: Wback,
    },
}

/// `VFPExpandImm` (manual A7.5.1): the bits of a single or double-precision number.
pub const fn vfp_expand_imm(imm: u8, double: bool) -> u64 {
    let imm = imm as u64;
    let (sign, low) = (imm >> 7, imm & 0x3f);
    let b6 = imm >> 6 & 1;
    if double {
        let exponent = (b6 ^ 1) << 10 | if b6 == 1 { 0xff << 2 } else { 0 };
        sign << 63 | exponent << 52 | low << 48
    } else {
        let exponent = (b6 ^ 1) << 7 | if b6 == 1 { 0x1f << 2 } else { 0 };
        sign << 31 | exponent << 23 | low << 19
    }
}

/// `AdvSIMDExpandImm` (manual A7.4.6). VMVN, VBIC invert the result themselves.
pub const fn simd_expand_imm(op_bit: bool, cmode: u8, imm: u8) -> u64 {
    const fn both(word: u64) -> u64 {
        word << 32 | word
    }
    let imm = imm as u64;
    match cmode >> 1 {
        0 => both(imm),
        1 => both(imm << 8),
        2 => both(imm << 16),
        3 => both(imm << 24),
        4 => both(imm << 16 | imm),
        5 => both(imm << 24 | imm << 8),
        6 if cmode & 1 == 0 => both(imm << 8 | 0xff),
        6 => both(imm << 16 | 0xffff),
        _ if cmode & 1 == 0 && !op_bit => imm * 0x0101_0101_0101_0101,
        _ if cmode & 1 == 0 => {
            // A byte of ones for each bit.
            let (mut value, mut i) = (0, 0);
            while i < 8 {
                if imm >> i & 1 != 0 {
                    value |= 0xff << (8 * i);
                }
                i += 1;
            }
            value
        }
        _ => both(vfp_expand_imm(imm as u8, false)),
    }
}

const _: () = assert!(size_of::<super::Insn>() <= 16);
