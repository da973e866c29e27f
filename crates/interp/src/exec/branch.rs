//! Branches (manual A4.3) and returns from exceptions.

use crate::core::{Core, Raised, Step};
use crate::machine::Machine;
use skep_arm::insn::Reg;
use skep_arm::state::psr;

impl<M: Machine> Core<M> {
    /// The address that a branch with link leaves in LR.
    #[inline(always)]
    fn return_address(&self, len: u8) -> u32 {
        self.pc.wrapping_add(u32::from(len)) | u32::from(self.state.cpsr & psr::T != 0)
    }

    #[inline(always)]
    pub(crate) fn bl(&mut self, offset: i32, len: u8) -> Step {
        let target = self.state.regs[15].wrapping_add_signed(offset);
        self.set_reg(Reg::LR, self.return_address(len));
        self.jump(target)
    }

    pub(crate) fn blx_imm(&mut self, offset: i32, len: u8) -> Step {
        let target = self.pc_aligned().wrapping_add_signed(offset);
        self.set_reg(Reg::LR, self.return_address(len));
        self.state.cpsr ^= psr::T;
        if self.state.cpsr & psr::T == 0 {
            self.jump(target & !3)
        } else {
            self.jump(target)
        }
    }

    pub(crate) fn blx(&mut self, rm: Reg, len: u8) -> Step {
        let target = self.reg(rm);
        self.set_reg(Reg::LR, self.return_address(len));
        self.bx(target)
    }

    /// `BXWritePC`. A target of 0b10 in A32 is UNPREDICTABLE: the two low bits are ignored.
    #[inline(always)]
    pub(crate) fn bx(&mut self, target: u32) -> Step {
        if target & 1 != 0 {
            self.state.cpsr |= psr::T;
            self.jump(target & !1)
        } else {
            self.state.cpsr &= !psr::T;
            self.jump(target & !3)
        }
    }

    pub(crate) fn table_branch(&mut self, half: bool, rn: Reg, rm: Reg) -> Result<Step, Raised> {
        let (base, index) = (self.reg(rn), self.reg(rm));
        let halfwords = if half {
            self.load(base.wrapping_add(index << 1), 2)?
        } else {
            self.load(base.wrapping_add(index), 1)?
        };
        Ok(self.jump(self.state.regs[15].wrapping_add(halfwords as u32 * 2)))
    }

    /// Return to `pc` with the mode's SPSR. UNPREDICTABLE in User and System mode, which have
    /// none: UNDEFINED in the former, a plain branch in the latter.
    pub(crate) fn exception_return(&mut self, pc: u32) -> Step {
        if !self.state.privileged() {
            self.undefined();
            Step::Raise
        } else if self.state.has_spsr() {
            let spsr = self.state.spsr();
            self.return_to(pc, spsr)
        } else {
            self.write_alu(Reg::PC, pc)
        }
    }

    /// Goes on at `pc` with `cpsr`.
    pub(crate) fn return_to(&mut self, pc: u32, cpsr: u32) -> Step {
        self.state.exception_return(pc, cpsr);
        self.context_changed();
        self.jump(self.state.regs[15])
    }
}
