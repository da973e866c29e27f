//! What instructions do.

mod arith;
mod branch;
mod data;
mod memory;
mod simd;
mod system;

use crate::control;
use crate::core::{Core, Raised, Step};
use crate::machine::Machine;
use skep_arm::exception::Exception;
use skep_arm::insn::{Decoded, Insn, Reg};

impl<M: Machine> Core<M> {
    /// A register's value; R15 reads as the instruction's address + 8 (A32) or + 4 (T32).
    #[inline(always)]
    pub(crate) fn reg(&self, reg: Reg) -> u32 {
        self.state.regs[reg.index()]
    }

    /// Sets a register that is not R15.
    #[inline(always)]
    pub(crate) fn set_reg(&mut self, reg: Reg, value: u32) {
        self.state.regs[reg.index()] = value;
    }

    /// The base of PC-relative addresses.
    #[inline(always)]
    pub(crate) fn pc_aligned(&self) -> u32 {
        self.state.regs[15] & !3
    }

    /// Executes one instruction whose condition holds.
    #[inline(always)]
    pub fn execute(&mut self, decoded: &Decoded) -> Step {
        let len = decoded.len;
        match decoded.insn {
            Insn::DpImm {
                op,
                s,
                rd,
                rn,
                imm,
                carry,
            } => self.dp_imm(op, s, rd, rn, imm, carry),
            Insn::DpReg {
                op,
                s,
                rd,
                rn,
                rm,
                shift,
                amount,
            } => self.dp_reg(op, s, rd, rn, rm, shift, amount),
            Insn::LdrImm {
                size,
                rt,
                rn,
                offset,
                index,
            } => {
                let result = self.ldr_imm(size, rt, rn, offset, index);
                or_raise(result)
            }
            Insn::StrImm {
                size,
                rt,
                rn,
                offset,
                index,
            } => {
                let step = or_raise(self.str_imm(size, rt, rn, offset, index));
                self.behind_store(step, len)
            }
            Insn::B { offset } => self.jump(self.state.regs[15].wrapping_add_signed(offset)),
            Insn::Bl { offset } => self.bl(offset, len),
            Insn::Bx { rm } | Insn::Bxj { rm } => self.bx(self.reg(rm)),
            Insn::Cbz {
                nonzero,
                rn,
                offset,
            } => {
                if (self.reg(rn) != 0) == nonzero {
                    self.jump(self.state.regs[15].wrapping_add_signed(offset))
                } else {
                    Step::Next
                }
            }
            Insn::It { .. } | Insn::PldImm { .. } | Insn::PldReg { .. } => Step::Next,
            Insn::Movw { rd, imm } => {
                self.set_reg(rd, u32::from(imm));
                Step::Next
            }
            Insn::Movt { rd, imm } => {
                self.set_reg(rd, self.reg(rd) & 0xffff | u32::from(imm) << 16);
                Step::Next
            }
            Insn::Simd(ref insn) => {
                let step = self.execute_simd(insn);
                self.behind_store(step, len)
            }
            ref insn => {
                let step = or_raise(self.execute_rarer(insn, len));
                self.behind_store(step, len)
            }
        }
    }

    /// What follows an instruction that may have stored: if it was to code, that is looked at anew,
    /// as the next instruction may be another one. Programs that write code without the maintenance
    /// that the architecture asks for run like this on most processors, and in both engines.
    #[inline(always)]
    fn behind_store(&mut self, step: Step, len: u8) -> Step {
        if step as u8 == Step::Next as u8 && self.control.flags() & control::CODE != 0 {
            self.next_pc = self.pc.wrapping_add(u32::from(len));
            return Step::Jump;
        }
        step
    }

    #[inline(never)]
    fn execute_rarer(&mut self, insn: &Insn, len: u8) -> Result<Step, Raised> {
        Ok(match *insn {
            Insn::DpRsr {
                op,
                s,
                rd,
                rn,
                rm,
                shift,
                rs,
            } => self.dp_rsr(op, s, rd, rn, rm, shift, rs),
            Insn::LdrReg {
                size,
                rt,
                rn,
                rm,
                add,
                shift,
                amount,
                index,
            } => {
                let offset = self.register_offset(rm, add, shift, amount);
                self.ldr_imm(size, rt, rn, offset, index)?
            }
            Insn::StrReg {
                size,
                rt,
                rn,
                rm,
                add,
                shift,
                amount,
                index,
            } => {
                let offset = self.register_offset(rm, add, shift, amount);
                self.str_imm(size, rt, rn, offset, index)?
            }
            Insn::Ldm {
                rn,
                list,
                increment,
                before,
                wback,
                user,
            } => self.ldm(rn, list, increment, before, wback, user)?,
            Insn::Stm {
                rn,
                list,
                increment,
                before,
                wback,
                user,
            } => self.stm(rn, list, increment, before, wback, user)?,
            Insn::LdrdImm {
                rt,
                rt2,
                rn,
                offset,
                index,
            } => self.ldrd(rt, rt2, rn, offset, index)?,
            Insn::LdrdReg {
                rt,
                rt2,
                rn,
                rm,
                add,
                index,
            } => {
                let offset = self.reg(rm) as i32;
                self.ldrd(
                    rt,
                    rt2,
                    rn,
                    if add { offset } else { offset.wrapping_neg() },
                    index,
                )?
            }
            Insn::StrdImm {
                rt,
                rt2,
                rn,
                offset,
                index,
            } => self.strd(rt, rt2, rn, offset, index)?,
            Insn::StrdReg {
                rt,
                rt2,
                rn,
                rm,
                add,
                index,
            } => {
                let offset = self.reg(rm) as i32;
                self.strd(
                    rt,
                    rt2,
                    rn,
                    if add { offset } else { offset.wrapping_neg() },
                    index,
                )?
            }
            Insn::Ldrex {
                size,
                rt,
                rt2,
                rn,
                offset,
            } => self.ldrex(size, rt, rt2, rn, offset)?,
            Insn::Strex {
                size,
                rd,
                rt,
                rt2,
                rn,
                offset,
            } => self.strex(size, rd, rt, rt2, rn, offset)?,
            Insn::Clrex => {
                self.state.exclusive = None;
                Step::Next
            }
            Insn::Swp { byte, rt, rt2, rn } => self.swp(byte, rt, rt2, rn)?,

            Insn::Adr { rd, offset } => {
                let value = self.pc_aligned().wrapping_add_signed(offset);
                self.write_alu(rd, value)
            }
            Insn::BlxImm { offset } => self.blx_imm(offset, len),
            Insn::Blx { rm } => self.blx(rm, len),
            Insn::Tbb { half, rn, rm } => self.table_branch(half, rn, rm)?,

            Insn::Mul { .. }
            | Insn::Mla { .. }
            | Insn::Mls { .. }
            | Insn::MulLong { .. }
            | Insn::SmulXy { .. }
            | Insn::SmlaXy { .. }
            | Insn::SmulWy { .. }
            | Insn::SmlaWy { .. }
            | Insn::SmlalXy { .. }
            | Insn::DualMul { .. }
            | Insn::DualMulLong { .. }
            | Insn::Smmul { .. }
            | Insn::Div { .. }
            | Insn::Usad8 { .. }
            | Insn::Sat { .. }
            | Insn::SatTo { .. }
            | Insn::Sat16 { .. }
            | Insn::Parallel { .. }
            | Insn::Pkh { .. }
            | Insn::Extend { .. }
            | Insn::Sel { .. }
            | Insn::Bits { .. }
            | Insn::Bfi { .. }
            | Insn::Bfx { .. } => {
                self.arithmetic(insn);
                Step::Next
            }

            _ => self.system(insn, len)?,
        })
    }

    /// The Undefined Instruction exception.
    #[cold]
    pub(crate) fn undefined(&mut self) -> Raised {
        self.raise(Exception::Undefined)
    }
}

#[inline(always)]
fn or_raise(result: Result<Step, Raised>) -> Step {
    match result {
        Ok(step) => step,
        Err(Raised) => Step::Raise,
    }
}
