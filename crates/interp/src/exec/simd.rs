//! VFP and Advanced SIMD: whether they are enabled, and the adapter to the model's definition.

use crate::core::{Core, Step};
use crate::machine::Machine;
use skep_arm::insn::simd::Simd;

impl<M: Machine> Core<M> {
    /// Executes a VFP or Advanced SIMD instruction.
    #[inline(never)]
    pub fn simd(&mut self, _insn: &Simd, _len: u8) -> Step {
        self.undefined();
        Step::Raise
    }
}
