//! VFP and Advanced SIMD: the adapter to the model's definition.

use crate::core::{Core, Raised, Step};
use crate::machine::Machine;
use skep_arm::insn::Reg;
use skep_arm::insn::simd::Simd;
use skep_arm::simd::{self, Context};
use skep_arm::state::{CpuModel, SimdState, psr};

impl<M: Machine> Core<M> {
    /// Executes a VFP or Advanced SIMD instruction.
    #[inline(never)]
    pub(crate) fn execute_simd(&mut self, insn: &Simd) -> Step {
        let privileged = self.state.privileged();
        if !simd::permitted(insn, &self.state.simd, self.state.cp15.cpacr, privileged) {
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
    type Error = Raised;

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

    fn set_nzcv(&mut self, nzcv: u32) {
        self.state.cpsr = self.state.cpsr & 0x0fff_ffff | nzcv << 28;
    }

    fn big_endian(&self) -> bool {
        self.state.cpsr & psr::E != 0
    }

    fn load(&mut self, va: u32, size: u32) -> Result<u64, Raised> {
        Core::load(self, va, size)
    }

    fn store(&mut self, va: u32, size: u32, value: u64) -> Result<(), Raised> {
        Core::store(self, va, size, value)
    }

    fn check_alignment(&mut self, va: u32, align: u32, write: bool) -> Result<(), Raised> {
        Core::check_alignment(self, va, align, write)
    }
}
