//! Encodings of VFP and Advanced SIMD (manual A7.4 to A7.9), in their A32 form: the T32 rows are
//! derived from them.
//!
//! A row says what the manual's diagrams say; what depends on field values beyond that (element
//! sizes, odd quadword registers) is decided by the functions of `make` and `memory`.

mod make;
mod memory;
#[cfg(test)]
mod tests;

use super::table::{Row, row};
use crate::insn::simd::{
    FloatOp, FloatUnary, IntOp, LongOp, NarrowOp, PermuteOp, ShiftOp, UnaryOp,
};
use crate::insn::simd::{Simd, VfpOp, VfpUnary};
use make::*;
use memory::*;

/// The rows. `cccc` encodings are those of coprocessors 10 and 11, `1111` ones Advanced SIMD.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    // Load and store, 64-bit transfers (A7.6, A7.9).
    row!("VMOV (two core and two single) A1", "cccc 1100 010o uuuu tttt 1010 00M1 mmmm", |o, u, t, M, m| pair_single(o, t, u, m, M)),
    row!("VMOV (two core and a double) A1", "cccc 1100 010o uuuu tttt 1011 00M1 mmmm", |o, u, t, M, m| pair_double(o, t, u, M, m)),
    row!("VSTR A2", "cccc 1101 uD00 nnnn dddd 1010 iiii iiii", |u, D, n, d, i| load_store(false, false, d << 1 | D, n, u, i)),
    row!("VSTR A1", "cccc 1101 uD00 nnnn dddd 1011 iiii iiii", |u, D, n, d, i| load_store(false, true, D << 4 | d, n, u, i)),
    row!("VLDR A2", "cccc 1101 uD01 nnnn dddd 1010 iiii iiii", |u, D, n, d, i| load_store(true, false, d << 1 | D, n, u, i)),
    row!("VLDR A1", "cccc 1101 uD01 nnnn dddd 1011 iiii iiii", |u, D, n, d, i| load_store(true, true, D << 4 | d, n, u, i)),
    row!("VSTM A2", "cccc 110p uDw0 nnnn dddd 1010 iiii iiii", |p, u, D, w, n, d, i| multiple_registers(false, false, (p, u, w), d << 1 | D, n, i)),
    row!("VSTM A1", "cccc 110p uDw0 nnnn dddd 1011 iiii iiii", |p, u, D, w, n, d, i| multiple_registers(false, true, (p, u, w), D << 4 | d, n, i)),
    row!("VLDM A2", "cccc 110p uDw1 nnnn dddd 1010 iiii iiii", |p, u, D, w, n, d, i| multiple_registers(true, false, (p, u, w), d << 1 | D, n, i)),
    row!("VLDM A1", "cccc 110p uDw1 nnnn dddd 1011 iiii iiii", |p, u, D, w, n, d, i| multiple_registers(true, true, (p, u, w), D << 4 | d, n, i)),

    // VFP data processing (A7.5).
    row!("VMLA, VMLS (floating-point) A2", "cccc 1110 0D00 nnnn dddd 101z NsM0 mmmm", |D, n, d, z, N, s, M, m| vfp(pick(s, VfpOp::Vmla, VfpOp::Vmls), z, (D, d), (N, n), (M, m))),
    row!("VNMLA, VNMLS A1", "cccc 1110 0D01 nnnn dddd 101z NsM0 mmmm", |D, n, d, z, N, s, M, m| vfp(pick(s, VfpOp::Vnmls, VfpOp::Vnmla), z, (D, d), (N, n), (M, m))),
    row!("VMUL (floating-point) A2", "cccc 1110 0D10 nnnn dddd 101z N0M0 mmmm", |D, n, d, z, N, M, m| vfp(VfpOp::Vmul, z, (D, d), (N, n), (M, m))),
    row!("VNMUL A2", "cccc 1110 0D10 nnnn dddd 101z N1M0 mmmm", |D, n, d, z, N, M, m| vfp(VfpOp::Vnmul, z, (D, d), (N, n), (M, m))),
    row!("VADD (floating-point) A2", "cccc 1110 0D11 nnnn dddd 101z N0M0 mmmm", |D, n, d, z, N, M, m| vfp(VfpOp::Vadd, z, (D, d), (N, n), (M, m))),
    row!("VSUB (floating-point) A2", "cccc 1110 0D11 nnnn dddd 101z N1M0 mmmm", |D, n, d, z, N, M, m| vfp(VfpOp::Vsub, z, (D, d), (N, n), (M, m))),
    row!("VDIV A1", "cccc 1110 1D00 nnnn dddd 101z N0M0 mmmm", |D, n, d, z, N, M, m| vfp(VfpOp::Vdiv, z, (D, d), (N, n), (M, m))),
    row!("VFNMA, VFNMS A1", "cccc 1110 1D01 nnnn dddd 101z NsM0 mmmm", |D, n, d, z, N, s, M, m| vfp(pick(s, VfpOp::Vfnms, VfpOp::Vfnma), z, (D, d), (N, n), (M, m))),
    row!("VFMA, VFMS A2", "cccc 1110 1D10 nnnn dddd 101z NsM0 mmmm", |D, n, d, z, N, s, M, m| vfp(pick(s, VfpOp::Vfma, VfpOp::Vfms), z, (D, d), (N, n), (M, m))),
    row!("VMOV (immediate) A2", "cccc 1110 1D11 hhhh dddd 101z (0)0(0)0 llll", |D, h, d, z, l| simd(Simd::VfpImm { double: z != 0, d: vreg(z, D, d), imm: (h << 4 | l) as u8 })),
    row!("VMOV (register) A2", "cccc 1110 1D11 0000 dddd 101z 01M0 mmmm", |D, d, z, M, m| vfp_unary(VfpUnary::Vmov, z, (D, d), (M, m))),
    row!("VABS A2", "cccc 1110 1D11 0000 dddd 101z 11M0 mmmm", |D, d, z, M, m| vfp_unary(VfpUnary::Vabs, z, (D, d), (M, m))),
    row!("VNEG A2", "cccc 1110 1D11 0001 dddd 101z 01M0 mmmm", |D, d, z, M, m| vfp_unary(VfpUnary::Vneg, z, (D, d), (M, m))),
    row!("VSQRT A1", "cccc 1110 1D11 0001 dddd 101z 11M0 mmmm", |D, d, z, M, m| vfp_unary(VfpUnary::Vsqrt, z, (D, d), (M, m))),
    row!("VCVTB, VCVTT A1", "cccc 1110 1D11 001o dddd 1010 t1M0 mmmm", |D, o, d, t, M, m| simd(Simd::VcvtHalf { to_half: o != 0, top: t != 0, d: vreg(0, D, d), m: vreg(0, M, m) })),
    row!("VCMP, VCMPE A1", "cccc 1110 1D11 0100 dddd 101z e1M0 mmmm", |D, d, z, e, M, m| simd(Simd::Vcmp { signal: e != 0, double: z != 0, d: vreg(z, D, d), m: Some(vreg(z, M, m)) })),
    row!("VCMP, VCMPE A2", "cccc 1110 1D11 0101 dddd 101z e1(0)0 (0)(0)(0)(0)", |D, d, z, e| simd(Simd::Vcmp { signal: e != 0, double: z != 0, d: vreg(z, D, d), m: None })),
    row!("VCVT (double and single) A1", "cccc 1110 1D11 0111 dddd 101z 11M0 mmmm", |D, d, z, M, m| simd(Simd::VcvtPrecision { to_double: z == 0, d: vreg(z ^ 1, D, d), m: vreg(z, M, m) })),
    row!("VCVT (from integer) A1", "cccc 1110 1D11 1000 dddd 101z s1M0 mmmm", |D, d, z, s, M, m| simd(Simd::VcvtFromInt { double: z != 0, unsigned: s == 0, d: vreg(z, D, d), m: vreg(0, M, m) })),
    row!("VCVT, VCVTR (to integer) A1", "cccc 1110 1D11 110s dddd 101z t1M0 mmmm", |D, s, d, z, t, M, m| simd(Simd::VcvtToInt { double: z != 0, unsigned: s == 0, round: t == 0, d: vreg(0, D, d), m: vreg(z, M, m) })),
    row!("VCVT (fixed-point, VFP) A1", "cccc 1110 1D11 1o1u dddd 101z x1i0 jjjj", |D, o, u, d, z, x, i, j| vfp_fixed(o, u, z, x, (D, d), j << 1 | i)),

    // Transfers of 8, 16 and 32 bits (A7.8).
    row!("VMOV (core and single) A1", "cccc 1110 000o nnnn tttt 1010 N(0)(0)1 (0)(0)(0)(0)", |o, n, t, N| core_single(o, n << 1 | N, t)),
    row!("VMSR A1", "cccc 1110 1110 nnnn tttt 1010 (0)(0)(0)1 (0)(0)(0)(0)", |n, t| vmsr(n, t)),
    row!("VMRS A1", "cccc 1110 1111 nnnn tttt 1010 (0)(0)(0)1 (0)(0)(0)(0)", |n, t| vmrs(n, t)),
    row!("VMOV (core register to scalar) A1", "cccc 1110 0ab0 dddd tttt 1011 Dxy1 (0)(0)(0)(0)", |a, b, d, t, D, x, y| to_scalar(a << 1 | b, x << 1 | y, D << 4 | d, t)),
    row!("VDUP (core register) A1", "cccc 1110 1bq0 dddd tttt 1011 D0e1 (0)(0)(0)(0)", |b, q, d, t, D, e| dup_core(b << 1 | e, q, D << 4 | d, t)),
    row!("VMOV (scalar to core register) A1", "cccc 1110 uab1 nnnn tttt 1011 Nxy1 (0)(0)(0)(0)", |u, a, b, n, t, N, x, y| from_scalar(u, a << 1 | b, x << 1 | y, N << 4 | n, t)),

    // Three registers of the same length (A7.4.1).
    row!("VHADD A1", "1111 001u 0Dzz nnnn dddd 0000 NqM0 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vhadd, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VQADD A1", "1111 001u 0Dzz nnnn dddd 0000 NqM1 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vqadd, u, z, 3, q, (D, d), (N, n), (M, m))),
    row!("VRHADD A1", "1111 001u 0Dzz nnnn dddd 0001 NqM0 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vrhadd, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VAND, VBIC, VORR, VORN (register) A1", "1111 0010 0Dzz nnnn dddd 0001 NqM1 mmmm", |D, z, n, d, N, q, M, m| int(four(z, [IntOp::Vand, IntOp::Vbic, IntOp::Vorr, IntOp::Vorn]), 1, 0, 3, q, (D, d), (N, n), (M, m))),
    row!("VEOR, VBSL, VBIT, VBIF A1", "1111 0011 0Dzz nnnn dddd 0001 NqM1 mmmm", |D, z, n, d, N, q, M, m| int(four(z, [IntOp::Veor, IntOp::Vbsl, IntOp::Vbit, IntOp::Vbif]), 1, 0, 3, q, (D, d), (N, n), (M, m))),
    row!("VHSUB A1", "1111 001u 0Dzz nnnn dddd 0010 NqM0 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vhsub, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VQSUB A1", "1111 001u 0Dzz nnnn dddd 0010 NqM1 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vqsub, u, z, 3, q, (D, d), (N, n), (M, m))),
    row!("VCGT (register) A1", "1111 001u 0Dzz nnnn dddd 0011 NqM0 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vcgt, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VCGE (register) A1", "1111 001u 0Dzz nnnn dddd 0011 NqM1 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vcge, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VSHL (register) A1", "1111 001u 0Dzz nnnn dddd 0100 NqM0 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vshl, u, z, 3, q, (D, d), (N, n), (M, m))),
    row!("VQSHL (register) A1", "1111 001u 0Dzz nnnn dddd 0100 NqM1 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vqshl, u, z, 3, q, (D, d), (N, n), (M, m))),
    row!("VRSHL A1", "1111 001u 0Dzz nnnn dddd 0101 NqM0 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vrshl, u, z, 3, q, (D, d), (N, n), (M, m))),
    row!("VQRSHL A1", "1111 001u 0Dzz nnnn dddd 0101 NqM1 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vqrshl, u, z, 3, q, (D, d), (N, n), (M, m))),
    row!("VMAX (integer) A1", "1111 001u 0Dzz nnnn dddd 0110 NqM0 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vmax, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VMIN (integer) A1", "1111 001u 0Dzz nnnn dddd 0110 NqM1 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vmin, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VABD (integer) A1", "1111 001u 0Dzz nnnn dddd 0111 NqM0 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vabd, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VABA A1", "1111 001u 0Dzz nnnn dddd 0111 NqM1 mmmm", |u, D, z, n, d, N, q, M, m| int(IntOp::Vaba, u, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VADD (integer) A1", "1111 0010 0Dzz nnnn dddd 1000 NqM0 mmmm", |D, z, n, d, N, q, M, m| int(IntOp::Vadd, 1, z, 3, q, (D, d), (N, n), (M, m))),
    row!("VSUB (integer) A1", "1111 0011 0Dzz nnnn dddd 1000 NqM0 mmmm", |D, z, n, d, N, q, M, m| int(IntOp::Vsub, 1, z, 3, q, (D, d), (N, n), (M, m))),
    row!("VTST A1", "1111 0010 0Dzz nnnn dddd 1000 NqM1 mmmm", |D, z, n, d, N, q, M, m| int(IntOp::Vtst, 1, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VCEQ (register) A1", "1111 0011 0Dzz nnnn dddd 1000 NqM1 mmmm", |D, z, n, d, N, q, M, m| int(IntOp::Vceq, 1, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VMLA (integer) A1", "1111 0010 0Dzz nnnn dddd 1001 NqM0 mmmm", |D, z, n, d, N, q, M, m| int(IntOp::Vmla, 1, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VMLS (integer) A1", "1111 0011 0Dzz nnnn dddd 1001 NqM0 mmmm", |D, z, n, d, N, q, M, m| int(IntOp::Vmls, 1, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VMUL (integer) A1", "1111 0010 0Dzz nnnn dddd 1001 NqM1 mmmm", |D, z, n, d, N, q, M, m| int(IntOp::Vmul, 1, z, 2, q, (D, d), (N, n), (M, m))),
    row!("VMUL (polynomial) A1", "1111 0011 0Dzz nnnn dddd 1001 NqM1 mmmm", |D, z, n, d, N, q, M, m| int(IntOp::VmulP, 1, z, 0, q, (D, d), (N, n), (M, m))),
    row!("VPMAX (integer) A1", "1111 001u 0Dzz nnnn dddd 1010 N0M0 mmmm", |u, D, z, n, d, N, M, m| int(IntOp::Vpmax, u, z, 2, 0, (D, d), (N, n), (M, m))),
    row!("VPMIN (integer) A1", "1111 001u 0Dzz nnnn dddd 1010 N0M1 mmmm", |u, D, z, n, d, N, M, m| int(IntOp::Vpmin, u, z, 2, 0, (D, d), (N, n), (M, m))),
    row!("VQDMULH A1", "1111 0010 0Dzz nnnn dddd 1011 NqM0 mmmm", |D, z, n, d, N, q, M, m| int_not_bytes(IntOp::Vqdmulh, z, q, (D, d), (N, n), (M, m))),
    row!("VQRDMULH A1", "1111 0011 0Dzz nnnn dddd 1011 NqM0 mmmm", |D, z, n, d, N, q, M, m| int_not_bytes(IntOp::Vqrdmulh, z, q, (D, d), (N, n), (M, m))),
    row!("VPADD (integer) A1", "1111 0010 0Dzz nnnn dddd 1011 N0M1 mmmm", |D, z, n, d, N, M, m| int(IntOp::Vpadd, 1, z, 2, 0, (D, d), (N, n), (M, m))),
    row!("VFMA, VFMS A1", "1111 0010 0Ds0 nnnn dddd 1100 NqM1 mmmm", |D, s, n, d, N, q, M, m| float(pick(s, FloatOp::Vfma, FloatOp::Vfms), q, (D, d), (N, n), (M, m))),
    row!("VADD, VSUB (floating-point) A1", "1111 0010 0Ds0 nnnn dddd 1101 NqM0 mmmm", |D, s, n, d, N, q, M, m| float(pick(s, FloatOp::Vadd, FloatOp::Vsub), q, (D, d), (N, n), (M, m))),
    row!("VPADD (floating-point) A1", "1111 0011 0D00 nnnn dddd 1101 N0M0 mmmm", |D, n, d, N, M, m| float(FloatOp::Vpadd, 0, (D, d), (N, n), (M, m))),
    row!("VABD (floating-point) A1", "1111 0011 0D10 nnnn dddd 1101 NqM0 mmmm", |D, n, d, N, q, M, m| float(FloatOp::Vabd, q, (D, d), (N, n), (M, m))),
    row!("VMLA, VMLS (floating-point) A1", "1111 0010 0Ds0 nnnn dddd 1101 NqM1 mmmm", |D, s, n, d, N, q, M, m| float(pick(s, FloatOp::Vmla, FloatOp::Vmls), q, (D, d), (N, n), (M, m))),
    row!("VMUL (floating-point) A1", "1111 0011 0D00 nnnn dddd 1101 NqM1 mmmm", |D, n, d, N, q, M, m| float(FloatOp::Vmul, q, (D, d), (N, n), (M, m))),
    row!("VCEQ (register) A2", "1111 0010 0D00 nnnn dddd 1110 NqM0 mmmm", |D, n, d, N, q, M, m| float(FloatOp::Vceq, q, (D, d), (N, n), (M, m))),
    row!("VCGE, VCGT (register) A2", "1111 0011 0Ds0 nnnn dddd 1110 NqM0 mmmm", |D, s, n, d, N, q, M, m| float(pick(s, FloatOp::Vcge, FloatOp::Vcgt), q, (D, d), (N, n), (M, m))),
    row!("VACGE, VACGT A1", "1111 0011 0Ds0 nnnn dddd 1110 NqM1 mmmm", |D, s, n, d, N, q, M, m| float(pick(s, FloatOp::Vacge, FloatOp::Vacgt), q, (D, d), (N, n), (M, m))),
    row!("VMAX, VMIN (floating-point) A1", "1111 0010 0Ds0 nnnn dddd 1111 NqM0 mmmm", |D, s, n, d, N, q, M, m| float(pick(s, FloatOp::Vmax, FloatOp::Vmin), q, (D, d), (N, n), (M, m))),
    row!("VPMAX, VPMIN (floating-point) A1", "1111 0011 0Ds0 nnnn dddd 1111 N0M0 mmmm", |D, s, n, d, N, M, m| float(pick(s, FloatOp::Vpmax, FloatOp::Vpmin), 0, (D, d), (N, n), (M, m))),
    row!("VRECPS, VRSQRTS A1", "1111 0010 0Ds0 nnnn dddd 1111 NqM1 mmmm", |D, s, n, d, N, q, M, m| float(pick(s, FloatOp::Vrecps, FloatOp::Vrsqrts), q, (D, d), (N, n), (M, m))),

    // Modified immediate and shifts by an immediate (A7.4.4, A7.4.6): the immediate's high bits are 0.
    row!("VMOV, VMVN, VORR, VBIC (immediate) A1", "1111 001a 1D00 0bbb dddd kkkk 0qo1 eeee", |a, D, b, d, k, q, o, e| modified(k, o, q, a << 7 | b << 4 | e, (D, d))),
    row!("VSHR A1", "1111 001u 1Dii iiii dddd 0000 lqM1 mmmm", |u, D, i, d, l, q, M, m| right_shift(ShiftOp::Vshr, u, l << 6 | i, q, (D, d), (M, m))),
    row!("VSRA A1", "1111 001u 1Dii iiii dddd 0001 lqM1 mmmm", |u, D, i, d, l, q, M, m| right_shift(ShiftOp::Vsra, u, l << 6 | i, q, (D, d), (M, m))),
    row!("VRSHR A1", "1111 001u 1Dii iiii dddd 0010 lqM1 mmmm", |u, D, i, d, l, q, M, m| right_shift(ShiftOp::Vrshr, u, l << 6 | i, q, (D, d), (M, m))),
    row!("VRSRA A1", "1111 001u 1Dii iiii dddd 0011 lqM1 mmmm", |u, D, i, d, l, q, M, m| right_shift(ShiftOp::Vrsra, u, l << 6 | i, q, (D, d), (M, m))),
    row!("VSRI A1", "1111 0011 1Dii iiii dddd 0100 lqM1 mmmm", |D, i, d, l, q, M, m| right_shift(ShiftOp::Vsri, 1, l << 6 | i, q, (D, d), (M, m))),
    row!("VSHL (immediate) A1", "1111 0010 1Dii iiii dddd 0101 lqM1 mmmm", |D, i, d, l, q, M, m| left_shift(ShiftOp::Vshl, 1, l << 6 | i, q, (D, d), (M, m))),
    row!("VSLI A1", "1111 0011 1Dii iiii dddd 0101 lqM1 mmmm", |D, i, d, l, q, M, m| left_shift(ShiftOp::Vsli, 1, l << 6 | i, q, (D, d), (M, m))),
    row!("VQSHLU (immediate) A1", "1111 0011 1Dii iiii dddd 0110 lqM1 mmmm", |D, i, d, l, q, M, m| left_shift(ShiftOp::Vqshlu, 0, l << 6 | i, q, (D, d), (M, m))),
    row!("VQSHL (immediate) A1", "1111 001u 1Dii iiii dddd 0111 lqM1 mmmm", |u, D, i, d, l, q, M, m| left_shift(ShiftOp::Vqshl, u, l << 6 | i, q, (D, d), (M, m))),
    row!("VSHRN A1", "1111 0010 1Dii iiii dddd 1000 00M1 mmmm", |D, i, d, M, m| narrow_shift(NarrowOp::Truncate, 1, false, i, (D, d), (M, m))),
    row!("VRSHRN A1", "1111 0010 1Dii iiii dddd 1000 01M1 mmmm", |D, i, d, M, m| narrow_shift(NarrowOp::Truncate, 1, true, i, (D, d), (M, m))),
    row!("VQSHRUN, VQRSHRUN A1", "1111 0011 1Dii iiii dddd 1000 0rM1 mmmm", |D, i, d, r, M, m| narrow_shift(NarrowOp::SaturateUnsigned, 0, r != 0, i, (D, d), (M, m))),
    row!("VQSHRN, VQRSHRN A1", "1111 001u 1Dii iiii dddd 1001 0rM1 mmmm", |u, D, i, d, r, M, m| narrow_shift(NarrowOp::Saturate, u, r != 0, i, (D, d), (M, m))),
    row!("VSHLL, VMOVL A1", "1111 001u 1Dii iiii dddd 1010 00M1 mmmm", |u, D, i, d, M, m| long_shift(u, i, (D, d), (M, m))),
    row!("VCVT (fixed-point, Advanced SIMD) A1", "1111 001u 1Dii iiii dddd 111o 0qM1 mmmm", |u, D, i, d, o, q, M, m| fixed(o, u, i, q, (D, d), (M, m))),

    // VEXT, VTBL, VDUP (A7.4).
    row!("VEXT A1", "1111 0010 1D11 nnnn dddd iiii NqM0 mmmm", |D, n, d, i, N, q, M, m| ext(i, q, (D, d), (N, n), (M, m))),
    row!("VTBL, VTBX A1", "1111 0011 1D11 nnnn dddd 10ll NxM0 mmmm", |D, n, d, l, N, x, M, m| table(l + 1, x, (D, d), (N, n), (M, m))),
    row!("VDUP (scalar) A1", "1111 0011 1D11 iiii dddd 1100 0qM0 mmmm", |D, i, d, q, M, m| dup_scalar(i, q, (D, d), (M, m))),

    // Two registers, miscellaneous (A7.4.5).
    row!("VREV64 A1", "1111 0011 1D11 zz00 dddd 0000 0qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vrev64, 1, z, 2, q, (D, d), (M, m))),
    row!("VREV32 A1", "1111 0011 1D11 zz00 dddd 0000 1qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vrev32, 1, z, 1, q, (D, d), (M, m))),
    row!("VREV16 A1", "1111 0011 1D11 zz00 dddd 0001 0qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vrev16, 1, z, 0, q, (D, d), (M, m))),
    row!("VPADDL A1", "1111 0011 1D11 zz00 dddd 0010 uqM0 mmmm", |D, z, d, u, q, M, m| unary(UnaryOp::Vpaddl, u, z, 2, q, (D, d), (M, m))),
    row!("VCLS A1", "1111 0011 1D11 zz00 dddd 0100 0qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vcls, 0, z, 2, q, (D, d), (M, m))),
    row!("VCLZ A1", "1111 0011 1D11 zz00 dddd 0100 1qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vclz, 1, z, 2, q, (D, d), (M, m))),
    row!("VCNT A1", "1111 0011 1D11 zz00 dddd 0101 0qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vcnt, 1, z, 0, q, (D, d), (M, m))),
    row!("VMVN (register) A1", "1111 0011 1D11 zz00 dddd 0101 1qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vmvn, 1, z, 0, q, (D, d), (M, m))),
    row!("VPADAL A1", "1111 0011 1D11 zz00 dddd 0110 uqM0 mmmm", |D, z, d, u, q, M, m| unary(UnaryOp::Vpadal, u, z, 2, q, (D, d), (M, m))),
    row!("VQABS A1", "1111 0011 1D11 zz00 dddd 0111 0qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vqabs, 0, z, 2, q, (D, d), (M, m))),
    row!("VQNEG A1", "1111 0011 1D11 zz00 dddd 0111 1qM0 mmmm", |D, z, d, q, M, m| unary(UnaryOp::Vqneg, 0, z, 2, q, (D, d), (M, m))),
    row!("VCGT (immediate #0) A1", "1111 0011 1D11 zz01 dddd 0f00 0qM0 mmmm", |D, z, d, f, q, M, m| unary_or_float(f, UnaryOp::VcgtZero, FloatUnary::VcgtZero, z, q, (D, d), (M, m))),
    row!("VCGE (immediate #0) A1", "1111 0011 1D11 zz01 dddd 0f00 1qM0 mmmm", |D, z, d, f, q, M, m| unary_or_float(f, UnaryOp::VcgeZero, FloatUnary::VcgeZero, z, q, (D, d), (M, m))),
    row!("VCEQ (immediate #0) A1", "1111 0011 1D11 zz01 dddd 0f01 0qM0 mmmm", |D, z, d, f, q, M, m| unary_or_float(f, UnaryOp::VceqZero, FloatUnary::VceqZero, z, q, (D, d), (M, m))),
    row!("VCLE (immediate #0) A1", "1111 0011 1D11 zz01 dddd 0f01 1qM0 mmmm", |D, z, d, f, q, M, m| unary_or_float(f, UnaryOp::VcleZero, FloatUnary::VcleZero, z, q, (D, d), (M, m))),
    row!("VCLT (immediate #0) A1", "1111 0011 1D11 zz01 dddd 0f10 0qM0 mmmm", |D, z, d, f, q, M, m| unary_or_float(f, UnaryOp::VcltZero, FloatUnary::VcltZero, z, q, (D, d), (M, m))),
    row!("VABS A1", "1111 0011 1D11 zz01 dddd 0f11 0qM0 mmmm", |D, z, d, f, q, M, m| unary_or_float(f, UnaryOp::Vabs, FloatUnary::Vabs, z, q, (D, d), (M, m))),
    row!("VNEG A1", "1111 0011 1D11 zz01 dddd 0f11 1qM0 mmmm", |D, z, d, f, q, M, m| unary_or_float(f, UnaryOp::Vneg, FloatUnary::Vneg, z, q, (D, d), (M, m))),
    row!("VSWP A1", "1111 0011 1D11 zz10 dddd 0000 0qM0 mmmm", |D, z, d, q, M, m| permute(PermuteOp::Vswp, z, q, (D, d), (M, m))),
    row!("VTRN A1", "1111 0011 1D11 zz10 dddd 0000 1qM0 mmmm", |D, z, d, q, M, m| permute(PermuteOp::Vtrn, z, q, (D, d), (M, m))),
    row!("VUZP A1", "1111 0011 1D11 zz10 dddd 0001 0qM0 mmmm", |D, z, d, q, M, m| permute(PermuteOp::Vuzp, z, q, (D, d), (M, m))),
    row!("VZIP A1", "1111 0011 1D11 zz10 dddd 0001 1qM0 mmmm", |D, z, d, q, M, m| permute(PermuteOp::Vzip, z, q, (D, d), (M, m))),
    row!("VMOVN A1", "1111 0011 1D11 zz10 dddd 0010 00M0 mmmm", |D, z, d, M, m| narrow(NarrowOp::Truncate, 1, z, (D, d), (M, m))),
    row!("VQMOVUN A1", "1111 0011 1D11 zz10 dddd 0010 01M0 mmmm", |D, z, d, M, m| narrow(NarrowOp::SaturateUnsigned, 0, z, (D, d), (M, m))),
    row!("VQMOVN A1", "1111 0011 1D11 zz10 dddd 0010 1uM0 mmmm", |D, z, d, u, M, m| narrow(NarrowOp::Saturate, u, z, (D, d), (M, m))),
    row!("VSHLL A2", "1111 0011 1D11 zz10 dddd 0011 00M0 mmmm", |D, z, d, M, m| long_shift_full(z, (D, d), (M, m))),
    row!("VCVT (half and single, Advanced SIMD) A1", "1111 0011 1D11 zz10 dddd 011o 00M0 mmmm", |D, z, d, o, M, m| half(o, z, (D, d), (M, m))),
    row!("VRECPE A1", "1111 0011 1D11 zz11 dddd 010f 0qM0 mmmm", |D, z, d, f, q, M, m| estimate(f, UnaryOp::Vrecpe, FloatUnary::Vrecpe, z, q, (D, d), (M, m))),
    row!("VRSQRTE A1", "1111 0011 1D11 zz11 dddd 010f 1qM0 mmmm", |D, z, d, f, q, M, m| estimate(f, UnaryOp::Vrsqrte, FloatUnary::Vrsqrte, z, q, (D, d), (M, m))),
    row!("VCVT (integer, Advanced SIMD) A1", "1111 0011 1D11 zz11 dddd 011o uqM0 mmmm", |D, z, d, o, u, q, M, m| convert(o, u, z, q, (D, d), (M, m))),

    // Three registers of different lengths (A7.4.2); size 0b11 is above.
    row!("VADDL A1", "1111 001u 1Dzz nnnn dddd 0000 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vaddl, u, z, (D, d), (N, n), (M, m))),
    row!("VADDW A1", "1111 001u 1Dzz nnnn dddd 0001 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vaddw, u, z, (D, d), (N, n), (M, m))),
    row!("VSUBL A1", "1111 001u 1Dzz nnnn dddd 0010 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vsubl, u, z, (D, d), (N, n), (M, m))),
    row!("VSUBW A1", "1111 001u 1Dzz nnnn dddd 0011 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vsubw, u, z, (D, d), (N, n), (M, m))),
    row!("VADDHN, VRADDHN A1", "1111 001r 1Dzz nnnn dddd 0100 N0M0 mmmm", |r, D, z, n, d, N, M, m| high_narrow(false, r, z, (D, d), (N, n), (M, m))),
    row!("VABAL A1", "1111 001u 1Dzz nnnn dddd 0101 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vabal, u, z, (D, d), (N, n), (M, m))),
    row!("VSUBHN, VRSUBHN A1", "1111 001r 1Dzz nnnn dddd 0110 N0M0 mmmm", |r, D, z, n, d, N, M, m| high_narrow(true, r, z, (D, d), (N, n), (M, m))),
    row!("VABDL A1", "1111 001u 1Dzz nnnn dddd 0111 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vabdl, u, z, (D, d), (N, n), (M, m))),
    row!("VMLAL A1", "1111 001u 1Dzz nnnn dddd 1000 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vmlal, u, z, (D, d), (N, n), (M, m))),
    row!("VQDMLAL A1", "1111 0010 1Dzz nnnn dddd 1001 N0M0 mmmm", |D, z, n, d, N, M, m| long_not_bytes(LongOp::Vqdmlal, z, (D, d), (N, n), (M, m))),
    row!("VMLSL A1", "1111 001u 1Dzz nnnn dddd 1010 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vmlsl, u, z, (D, d), (N, n), (M, m))),
    row!("VQDMLSL A1", "1111 0010 1Dzz nnnn dddd 1011 N0M0 mmmm", |D, z, n, d, N, M, m| long_not_bytes(LongOp::Vqdmlsl, z, (D, d), (N, n), (M, m))),
    row!("VMULL (integer) A1", "1111 001u 1Dzz nnnn dddd 1100 N0M0 mmmm", |u, D, z, n, d, N, M, m| long(LongOp::Vmull, u, z, (D, d), (N, n), (M, m))),
    row!("VQDMULL A1", "1111 0010 1Dzz nnnn dddd 1101 N0M0 mmmm", |D, z, n, d, N, M, m| long_not_bytes(LongOp::Vqdmull, z, (D, d), (N, n), (M, m))),
    row!("VMULL (polynomial) A1", "1111 0010 1D00 nnnn dddd 1110 N0M0 mmmm", |D, n, d, N, M, m| long(LongOp::VmullP, 1, 0, (D, d), (N, n), (M, m))),

    // Two registers and a scalar (A7.4.3).
    row!("VMLA (by scalar) A1", "1111 001q 1Dzz nnnn dddd 000f N1M0 mmmm", |q, D, z, n, d, f, N, M, m| scalar(f, IntOp::Vmla, FloatOp::Vmla, q, z, (D, d), (N, n), (M, m))),
    row!("VMLAL (by scalar) A2", "1111 001u 1Dzz nnnn dddd 0010 N1M0 mmmm", |u, D, z, n, d, N, M, m| long_scalar(LongOp::Vmlal, u, z, (D, d), (N, n), (M, m))),
    row!("VQDMLAL A2", "1111 0010 1Dzz nnnn dddd 0011 N1M0 mmmm", |D, z, n, d, N, M, m| long_scalar(LongOp::Vqdmlal, 0, z, (D, d), (N, n), (M, m))),
    row!("VMLS (by scalar) A1", "1111 001q 1Dzz nnnn dddd 010f N1M0 mmmm", |q, D, z, n, d, f, N, M, m| scalar(f, IntOp::Vmls, FloatOp::Vmls, q, z, (D, d), (N, n), (M, m))),
    row!("VMLSL (by scalar) A2", "1111 001u 1Dzz nnnn dddd 0110 N1M0 mmmm", |u, D, z, n, d, N, M, m| long_scalar(LongOp::Vmlsl, u, z, (D, d), (N, n), (M, m))),
    row!("VQDMLSL A2", "1111 0010 1Dzz nnnn dddd 0111 N1M0 mmmm", |D, z, n, d, N, M, m| long_scalar(LongOp::Vqdmlsl, 0, z, (D, d), (N, n), (M, m))),
    row!("VMUL (by scalar) A1", "1111 001q 1Dzz nnnn dddd 100f N1M0 mmmm", |q, D, z, n, d, f, N, M, m| scalar(f, IntOp::Vmul, FloatOp::Vmul, q, z, (D, d), (N, n), (M, m))),
    row!("VMULL (by scalar) A2", "1111 001u 1Dzz nnnn dddd 1010 N1M0 mmmm", |u, D, z, n, d, N, M, m| long_scalar(LongOp::Vmull, u, z, (D, d), (N, n), (M, m))),
    row!("VQDMULL A2", "1111 0010 1Dzz nnnn dddd 1011 N1M0 mmmm", |D, z, n, d, N, M, m| long_scalar(LongOp::Vqdmull, 0, z, (D, d), (N, n), (M, m))),
    row!("VQDMULH A2", "1111 001q 1Dzz nnnn dddd 1100 N1M0 mmmm", |q, D, z, n, d, N, M, m| int_scalar(IntOp::Vqdmulh, q, z, (D, d), (N, n), (M, m))),
    row!("VQRDMULH A2", "1111 001q 1Dzz nnnn dddd 1101 N1M0 mmmm", |q, D, z, n, d, N, M, m| int_scalar(IntOp::Vqrdmulh, q, z, (D, d), (N, n), (M, m))),

    // Element and structure loads and stores (A7.7).
    row!("VST1 to VST4 (multiple) A1", "1111 0100 0D00 nnnn dddd tttt zzaa mmmm", |D, n, d, t, z, a, m| structures(false, t, z, a, D << 4 | d, n, m)),
    row!("VLD1 to VLD4 (multiple) A1", "1111 0100 0D10 nnnn dddd tttt zzaa mmmm", |D, n, d, t, z, a, m| structures(true, t, z, a, D << 4 | d, n, m)),
    row!("VLD1 to VLD4 (all lanes) A1", "1111 0100 1D10 nnnn dddd 11tt zzpa mmmm", |D, n, d, t, z, p, a, m| all_lanes(t + 1, z, p, a, D << 4 | d, n, m)),
    row!("VST1 to VST4 (one lane) A1", "1111 0100 1D00 nnnn dddd zztt xxxx mmmm", |D, n, d, z, t, x, m| one_lane(false, t + 1, z, x, D << 4 | d, n, m)),
    row!("VLD1 to VLD4 (one lane) A1", "1111 0100 1D10 nnnn dddd zztt xxxx mmmm", |D, n, d, z, t, x, m| one_lane(true, t + 1, z, x, D << 4 | d, n, m)),
];
