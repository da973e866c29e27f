//! VFP and Advanced SIMD: whether they are enabled, and the adapter to the model's definition.

use crate::core::{Core, Raised, Step};
use crate::machine::Machine;
use skep_arm::insn::Reg;
use skep_arm::insn::simd::Simd;
use skep_arm::simd::{self, Context};
use skep_arm::state::{CpuModel, SimdState};

impl<M: Machine> Core<M> {
    /// Executes a VFP or Advanced SIMD instruction.
    #[inline(never)]
    pub fn execute_simd(&mut self, insn: &Simd) -> Step {
        if !simd::enabled(&self.state, insn) {
            self.undefined();
            return Step::Raise;
        }
        match simd::execute(insn, self) {
            Ok(()) => Step::Next,
            Err(Raised) => Step::Raise,
        }
    }
}

impl<M: Machine> Context for Core<M> {
    type Fault = Raised;

    fn simd(&mut self) -> &mut SimdState {
        &mut self.state.simd
    }

    fn model(&self) -> CpuModel {
        self.state.model
    }

    fn reg(&self, reg: Reg) -> u32 {
        Core::reg(self, reg)
    }

    fn set_reg(&mut self, reg: Reg, value: u32) {
        Core::set_reg(self, reg, value);
    }

    fn set_nzcv(&mut self, flags: u32) {
        self.state.cpsr = self.state.cpsr & 0x0fff_ffff | flags & 0xf000_0000;
    }

    fn load(&mut self, va: u32, size: u32, align: u32) -> Result<u64, Raised> {
        self.check_alignment(va, align, false)?;
        // A 64-bit element (not the two words of VLDR).
        if size == 8 && align == 1 && self.state.strict_alignment() {
            self.check_alignment(va, 8, false)?;
        }
        Core::load(self, va, size)
    }

    fn store(&mut self, va: u32, size: u32, align: u32, value: u64) -> Result<(), Raised> {
        self.check_alignment(va, align, true)?;
        if size == 8 && align == 1 && self.state.strict_alignment() {
            self.check_alignment(va, 8, true)?;
        }
        Core::store(self, va, size, value)
    }
}
