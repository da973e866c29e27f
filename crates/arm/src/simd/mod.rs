//! What VFP and Advanced SIMD instructions do.
//!
//! [`execute`] is the definition for every engine: it works on a [`Context`], through which an
//! engine gives it registers and memory. [`enabled`] tells beforehand whether the instruction may
//! execute at all.

mod float;
mod integer;
mod lanes;
mod memory;
mod permute;
mod shift;
#[cfg(test)]
mod tests;
mod vector;
mod vfp;

use crate::insn::Reg;
use crate::insn::simd::Simd;
use crate::state::{CpuModel, CpuState, SimdState};

/// What an engine provides to [`execute`].
pub trait Context {
    /// A fault that an access takes.
    type Fault;

    /// The floating-point registers.
    fn simd(&mut self) -> &mut SimdState;
    /// Which processor this is, for the identification registers.
    fn model(&self) -> CpuModel;
    /// A core register; R15 as an instruction reads it.
    fn reg(&self, reg: Reg) -> u32;
    /// Sets a core register, not R15.
    fn set_reg(&mut self, reg: Reg, value: u32);
    /// Sets the N, Z, C and V flags of APSR to bits 31 to 28.
    fn set_nzcv(&mut self, flags: u32);
    /// Loads an element of `size` (1, 2, 4, 8) bytes. The address must be a multiple of `align`
    /// bytes: if not, an alignment fault is taken. Beyond that, alignment to `size` is the engine's
    /// to check (SCTLR.A, memory type).
    ///
    /// # Errors
    /// The fault.
    fn load(&mut self, va: u32, size: u32, align: u32) -> Result<u64, Self::Fault>;
    /// Stores an element; as [`Context::load`].
    ///
    /// # Errors
    /// The fault.
    fn store(&mut self, va: u32, size: u32, align: u32, value: u64) -> Result<(), Self::Fault>;
}

/// FPEXC.EN: floating point is enabled (manual B4.1.57).
pub const FPEXC_EN: u32 = 1 << 30;
/// CPACR.ASEDIS: Advanced SIMD is disabled (manual B4.1.40).
const CPACR_ASEDIS: u32 = 1 << 31;
/// VMRS, VMSR: FPSCR.
const FPSCR: u8 = 1;

/// Whether an instruction may execute: CPACR and FPEXC allow it, and it may be used with the
/// current privilege (manual B1.11). If not, it is UNDEFINED.
#[inline]
pub fn enabled(state: &CpuState, insn: &Simd) -> bool {
    if !state.fp_permitted() {
        return false;
    }
    match insn {
        // Registers that an operating system looks at before it enables anything.
        Simd::Vmrs { reg, .. } | Simd::Vmsr { reg, .. } if *reg != FPSCR => state.privileged(),
        _ if state.simd.fpexc & FPEXC_EN == 0 => false,
        _ => state.cp15.cpacr & CPACR_ASEDIS == 0 || !is_advanced_simd(insn),
    }
}

/// Whether an instruction belongs to Advanced SIMD only, not to VFP.
fn is_advanced_simd(insn: &Simd) -> bool {
    use Simd::*;
    !matches!(
        insn,
        Vldr { .. }
            | Vstr { .. }
            | Vldm { .. }
            | Vstm { .. }
            | VmovCoreSingle { .. }
            | VmovCoreSinglePair { .. }
            | VmovCoreDouble { .. }
            | VmovToScalar { size: 2, .. }
            | VmovFromScalar { size: 2, .. }
            | Vmrs { .. }
            | Vmsr { .. }
            | Simd::Vfp { .. }
            | VfpUnary { .. }
            | VfpImm { .. }
            | Vcmp { .. }
            | VcvtHalf { .. }
            | VcvtPrecision { .. }
            | VcvtFromInt { .. }
            | VcvtToInt { .. }
            | VcvtFixed { .. }
    )
}

/// Executes an instruction that is [`enabled`]. Encodings that name registers beyond the last one
/// do not come from the decoder.
///
/// # Errors
/// What an access faulted with: registers are as before, but for those that a multiple load had
/// reached.
#[inline]
pub fn execute<C: Context>(insn: &Simd, cx: &mut C) -> Result<(), C::Fault> {
    use Simd::*;
    match insn {
        Vldr { .. }
        | Vstr { .. }
        | Vldm { .. }
        | Vstm { .. }
        | Multiple { .. }
        | Lane { .. }
        | AllLanes { .. } => memory::execute(insn, cx),
        Vmrs { .. }
        | Vmsr { .. }
        | VmovCoreSingle { .. }
        | VmovCoreSinglePair { .. }
        | VmovCoreDouble { .. }
        | VmovToScalar { .. }
        | VmovFromScalar { .. }
        | VdupCore { .. } => {
            vfp::transfer(insn, cx);
            Ok(())
        }
        Simd::Vfp { .. }
        | VfpUnary { .. }
        | VfpImm { .. }
        | Vcmp { .. }
        | VcvtHalf { .. }
        | VcvtPrecision { .. }
        | VcvtFromInt { .. }
        | VcvtToInt { .. }
        | VcvtFixed { .. } => {
            vfp::process(insn, cx.simd());
            Ok(())
        }
        _ => {
            vector::process(insn, cx.simd());
            Ok(())
        }
    }
}

impl SimdState {
    /// D`n`, 0 to 31.
    #[inline(always)]
    pub fn double(&self, n: u8) -> u64 {
        self.d[usize::from(n & 31)]
    }

    /// Sets D`n`.
    #[inline(always)]
    pub fn set_double(&mut self, n: u8, value: u64) {
        self.d[usize::from(n & 31)] = value;
    }

    /// S`n`, 0 to 31.
    #[inline(always)]
    pub fn single(&self, n: u8) -> u32 {
        (self.double(n >> 1) >> (32 * (n & 1))) as u32
    }

    /// Sets S`n`.
    #[inline(always)]
    pub fn set_single(&mut self, n: u8, value: u32) {
        let shift = 32 * (n & 1);
        let other = self.double(n >> 1) & !(0xffff_ffff << shift);
        self.set_double(n >> 1, other | u64::from(value) << shift);
    }

    /// The quadword register whose low half is D`n`.
    #[inline(always)]
    fn quad(&self, n: u8) -> u128 {
        u128::from(self.double(n)) | u128::from(self.double(n + 1)) << 64
    }

    #[inline(always)]
    fn set_quad(&mut self, n: u8, value: u128) {
        self.set_double(n, value as u64);
        self.set_double(n + 1, (value >> 64) as u64);
    }
}
