//! Execution of VFP and Advanced SIMD instructions (manual chapters A7 and A8) on a state, for any
//! engine.
//!
//! [`permitted`] says whether an instruction may execute at all, [`execute`] executes it. An engine
//! lends its registers and memory through [`Context`].
//!
//! Where the work is: `vfp` for scalar floating point, `vector` for Advanced SIMD data processing,
//! `transfer` for moves to and from core registers and system registers, `memory` for loads and
//! stores. The functions on elements (`integer`, `float`, `shift`, `permute`, `lanes`) know
//! nothing of registers.

mod access;
mod float;
mod integer;
mod lanes;
mod memory;
mod permute;
mod regs;
mod shift;
mod transfer;
mod vector;
mod vfp;

#[cfg(test)]
mod tests;

pub use access::permitted;
pub use transfer::{FPEXC_EN, fpsid, mvfr0, mvfr1, write_fpexc, write_fpscr};

use crate::insn::Reg;
use crate::insn::simd::Simd;
use crate::state::{CpuModel, SimdState};

/// What an instruction needs of the engine that executes it.
pub trait Context {
    /// Why a memory access failed.
    type Error;

    /// The registers D0 to D31, FPSCR and FPEXC.
    fn simd(&mut self) -> &mut SimdState;
    /// Which implementation: fixes the ID registers.
    fn model(&self) -> CpuModel;
    /// A core register. R15 reads as the instruction's address + 8 (A32) or + 4 (T32).
    fn reg(&self, reg: Reg) -> u32;
    /// Sets a core register that is not R15.
    fn set_reg(&mut self, reg: Reg, value: u32);
    /// Sets the N, Z, C and V flags of CPSR to the low four bits of `nzcv`.
    fn set_nzcv(&mut self, nzcv: u32);
    /// Data accesses are big-endian (CPSR.E).
    fn big_endian(&self) -> bool;
    /// Reads `size` (1, 2, 4 or 8) bytes in the current endianness and with the current privilege;
    /// 8 bytes are two words, the one at `va` in the low half. An unaligned access (of either word)
    /// is allowed unless SCTLR.A or the type of memory forbids it.
    fn load(&mut self, va: u32, size: u32) -> Result<u64, Self::Error>;
    /// Writes what [`Context::load`] reads.
    fn store(&mut self, va: u32, size: u32, value: u64) -> Result<(), Self::Error>;
    /// An alignment fault, unless `va` is a multiple of `align` (a power of two).
    fn check_alignment(&mut self, va: u32, align: u32, write: bool) -> Result<(), Self::Error>;
}

/// Executes a load or store; `None` if the instruction is neither. For whoever executes no others:
/// [`execute`] brings all of floating point with it.
pub fn execute_load_store<C: Context>(insn: &Simd, cx: &mut C) -> Option<Result<(), C::Error>> {
    matches!(
        insn,
        Simd::Vldr { .. }
            | Simd::Vstr { .. }
            | Simd::Vldm { .. }
            | Simd::Vstm { .. }
            | Simd::Multiple { .. }
            | Simd::Lane { .. }
            | Simd::AllLanes { .. }
    )
    .then(|| memory::execute(insn, cx))
}

/// Executes an instruction that is [`permitted`] and whose condition holds.
///
/// After an error the registers are as before, so that the instruction can execute again; memory
/// may hold part of what the instruction stores.
#[inline]
pub fn execute<C: Context>(insn: &Simd, cx: &mut C) -> Result<(), C::Error> {
    match *insn {
        Simd::Vldr { .. }
        | Simd::Vstr { .. }
        | Simd::Vldm { .. }
        | Simd::Vstm { .. }
        | Simd::Multiple { .. }
        | Simd::Lane { .. }
        | Simd::AllLanes { .. } => memory::execute(insn, cx),

        Simd::VmovCoreSingle { .. }
        | Simd::VmovCoreSinglePair { .. }
        | Simd::VmovCoreDouble { .. }
        | Simd::VmovToScalar { .. }
        | Simd::VmovFromScalar { .. }
        | Simd::VdupCore { .. }
        | Simd::Vmrs { .. }
        | Simd::Vmsr { .. } => {
            transfer::execute(insn, cx);
            Ok(())
        }

        Simd::Vfp { .. }
        | Simd::VfpUnary { .. }
        | Simd::VfpImm { .. }
        | Simd::Vcmp { .. }
        | Simd::VcvtHalf { .. }
        | Simd::VcvtPrecision { .. }
        | Simd::VcvtFromInt { .. }
        | Simd::VcvtToInt { .. }
        | Simd::VcvtFixed { .. } => {
            vfp::execute(insn, cx.simd());
            Ok(())
        }

        _ => {
            vector::execute(insn, cx.simd());
            Ok(())
        }
    }
}
