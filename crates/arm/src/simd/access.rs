//! Whether an instruction may execute (manual B1.11.3, B1.11.4).

use super::transfer::{FPEXC_EN, reg};
use crate::fp::fpscr::{LEN, STRIDE};
use crate::insn::simd::Simd;
use crate::state::SimdState;

/// CPACR.ASEDIS: Advanced SIMD instructions are UNDEFINED.
const ASEDIS: u32 = 1 << 31;
/// CPACR.D32DIS: instructions that use D16 to D31 are UNDEFINED.
const D32DIS: u32 = 1 << 30;

/// Whether an instruction is defined, given the access controls: `cpacr`, FPEXC.EN, and whether the
/// mode is `privileged`. If not, it is an Undefined Instruction exception.
///
/// Also undefined: VMRS and VMSR of a register that doesn't exist, and operations that FPSCR.LEN and
/// FPSCR.STRIDE would make short-vector operations, which these processors don't have.
#[inline]
pub fn permitted(insn: &Simd, simd: &SimdState, cpacr: u32, privileged: bool) -> bool {
    let access = match cpacr >> 20 & 3 {
        3 => true,
        1 => privileged,
        _ => false,
    };
    if !access {
        return false;
    }
    let enabled = simd.fpexc & FPEXC_EN != 0;
    if let Simd::Vmrs { reg, rt } | Simd::Vmsr { reg, rt } = *insn {
        let write = matches!(insn, Simd::Vmsr { .. });
        return match reg {
            reg::FPSCR => enabled && !(write && rt.is_pc()),
            reg::FPSID | reg::FPEXC | reg::MVFR0 | reg::MVFR1 => privileged && !rt.is_pc(),
            _ => false,
        };
    }
    // The rest is rarely set.
    enabled
        && (simd.fpscr & (LEN | STRIDE) == 0 || !has_short_vectors(insn))
        && (cpacr & ASEDIS == 0 || !is_advanced_simd(insn))
        && (cpacr & D32DIS == 0 || highest_double(insn) < 16)
}

/// VFP data processing that FPSCR.LEN applies to.
fn has_short_vectors(insn: &Simd) -> bool {
    matches!(
        insn,
        Simd::Vfp { .. } | Simd::VfpUnary { .. } | Simd::VfpImm { .. }
    )
}

/// An instruction of the Advanced SIMD extension only.
fn is_advanced_simd(insn: &Simd) -> bool {
    match *insn {
        // Words are in VFP, too.
        Simd::VmovToScalar { size, .. } | Simd::VmovFromScalar { size, .. } => size != 2,
        Simd::Vldr { .. }
        | Simd::Vstr { .. }
        | Simd::Vldm { .. }
        | Simd::Vstm { .. }
        | Simd::VmovCoreSingle { .. }
        | Simd::VmovCoreSinglePair { .. }
        | Simd::VmovCoreDouble { .. }
        | Simd::Vmrs { .. }
        | Simd::Vmsr { .. }
        | Simd::Vfp { .. }
        | Simd::VfpUnary { .. }
        | Simd::VfpImm { .. }
        | Simd::Vcmp { .. }
        | Simd::VcvtHalf { .. }
        | Simd::VcvtPrecision { .. }
        | Simd::VcvtFromInt { .. }
        | Simd::VcvtToInt { .. }
        | Simd::VcvtFixed { .. } => false,
        _ => true,
    }
}

/// The highest doubleword register that an instruction names; 0 if it names none.
fn highest_double(insn: &Simd) -> u8 {
    let last = |d: u8, count: u8| d.saturating_add(count).saturating_sub(1);
    let doubles = |double: bool, d: u8| if double { d } else { 0 };
    let highest = |regs: &[u8]| regs.iter().copied().max().unwrap_or(0);
    match *insn {
        Simd::Vldr { double, d, .. } | Simd::Vstr { double, d, .. } => doubles(double, d),
        Simd::Vldm {
            double, d, count, ..
        }
        | Simd::Vstm {
            double, d, count, ..
        } => doubles(double, last(d, count)),
        Simd::VmovCoreSingle { .. }
        | Simd::VmovCoreSinglePair { .. }
        | Simd::Vmrs { .. }
        | Simd::Vmsr { .. }
        | Simd::VcvtHalf { .. } => 0,
        Simd::VmovCoreDouble { d, .. }
        | Simd::VmovToScalar { d, .. }
        | Simd::VmovFromScalar { d, .. }
        | Simd::VdupCore { d, .. }
        | Simd::Imm { d, .. } => d,
        Simd::Vfp {
            double, d, n, m, ..
        } => doubles(double, highest(&[d, n, m])),
        Simd::VfpUnary { double, d, m, .. } => doubles(double, d.max(m)),
        Simd::VfpImm { double, d, .. } | Simd::VcvtFixed { double, d, .. } => doubles(double, d),
        Simd::Vcmp { double, d, m, .. } => doubles(double, d.max(m.unwrap_or(0))),
        Simd::VcvtPrecision { to_double, d, m } => {
            if to_double {
                d
            } else {
                m
            }
        }
        Simd::VcvtFromInt { double, d, .. } => doubles(double, d),
        Simd::VcvtToInt { double, m, .. } => doubles(double, m),
        Simd::Int { d, n, m, .. }
        | Simd::Float { d, n, m, .. }
        | Simd::Long { d, n, m, .. }
        | Simd::HighNarrow { d, n, m, .. }
        | Simd::IntScalar { d, n, m, .. }
        | Simd::FloatScalar { d, n, m, .. }
        | Simd::LongScalar { d, n, m, .. }
        | Simd::Vext { d, n, m, .. } => highest(&[d, n, m]),
        Simd::Vtbl { len, d, n, m, .. } => highest(&[d, last(n, len), m]),
        Simd::Unary { d, m, .. }
        | Simd::FloatUnary { d, m, .. }
        | Simd::Permute { d, m, .. }
        | Simd::Shift { d, m, .. }
        | Simd::Narrow { d, m, .. }
        | Simd::ShiftLong { d, m, .. }
        | Simd::Cvt { d, m, .. }
        | Simd::CvtHalf { d, m, .. }
        | Simd::VdupScalar { d, m, .. } => d.max(m),
        Simd::Multiple {
            interleave,
            regs,
            spacing,
            d,
            ..
        }
        | Simd::AllLanes {
            interleave,
            regs,
            spacing,
            d,
            ..
        } => last(d, regs) + interleave.saturating_sub(1) * spacing,
        Simd::Lane {
            interleave,
            spacing,
            d,
            ..
        } => d + interleave.saturating_sub(1) * spacing,
    }
}
