//! Barriers, exclusive accesses, and the system registers that programs read all the time.

use super::Translator;
use super::analysis::Form;
use super::cold::{Kind, To};
use super::flags::{NOT_C, NZ, V};
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Sh, Width};
use crate::context::{STATE, Shared};
use skep_arm::cp15::{self, Maintenance};
use skep_arm::insn::{Barrier, CpReg, Decoded, ExSize, Hint, Insn, Reg};
use skep_arm::state::psr;
use std::mem::offset_of;

use Width::{B8, B16, B32, B64};

/// The bit of CPS's list that stands for I.
const CPS_I: u8 = 2;

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn system(&mut self, decoded: &Decoded) -> Option<bool> {
        match decoded.insn {
            Insn::Hint {
                op: Hint::Nop | Hint::Dbg,
                ..
            } => {}
            // Nobody else waits for the event, or has something to do meanwhile.
            Insn::Hint { op: Hint::Sev, .. } if self.request.alone => {
                let event = Mem::at(STATE, self.layout.event);
                self.asm.mov_imm8(event, 1);
            }
            Insn::Hint {
                op: Hint::Yield, ..
            } if self.request.alone => {}
            Insn::Barrier { op, .. } => self.barrier(op, decoded.len)?,
            Insn::Mrc {
                reg,
                rt,
                two: false,
            } if !rt.is_pc() => self.read_register(decoded, reg, rt)?,
            Insn::Mcr {
                reg,
                rt,
                two: false,
            } if !rt.is_pc() => self.write_register(decoded, reg, rt)?,
            Insn::Mrs { spsr: false, rd } if !rd.is_pc() => self.read_cpsr(rd),
            Insn::MsrReg {
                spsr: false,
                mask: 1,
                rn,
            } if !rn.is_pc() => self.write_control(decoded, rn),
            Insn::Cps {
                enable: Some(enable),
                aif: CPS_I,
                mode: None,
            } => self.mask_irq(decoded, enable),
            Insn::Ldrex {
                size,
                rt,
                rt2,
                rn,
                offset,
            } => self.load_exclusive(decoded, size, rt, rt2, rn, offset)?,
            Insn::Strex {
                size,
                rd,
                rt,
                rt2,
                rn,
                offset,
            } => self.store_exclusive(decoded, size, [rd, rt, rt2], rn, offset)?,
            _ => return None,
        }
        Some(false)
    }

    fn barrier(&mut self, op: Barrier, len: u8) -> Option<()> {
        match op {
            // The host keeps all orders but that of a load after a store.
            Barrier::Dmb if self.request.alone => {}
            Barrier::Dmb => {
                self.asm.fence();
                self.form = Form::None;
            }
            // Nobody else has translations to forget.
            Barrier::Dsb if self.request.alone => {}
            Barrier::Dsb => return None,
            // What was written to code so far was noticed.
            Barrier::Isb => {
                self.leave_if_asked(len);
            }
        }
        Some(())
    }

    /// MRS of CPSR, without the execution state bits.
    fn read_cpsr(&mut self, rd: Reg) {
        const HIDDEN: u32 = psr::N | psr::Z | psr::C | psr::V | psr::IT | psr::J | psr::T;
        let cpsr = Mem::at(STATE, self.layout.cpsr);
        let [v, not_c, nz] = [V, NOT_C, NZ].map(|offset| self.flag_byte(offset));
        self.asm.load_zx(B8, Gpr::Rax, nz);
        self.asm.shift(B32, Sh::Shr, Gpr::Rax, 6);
        self.asm.bt(not_c, 0);
        self.asm.cmc();
        self.asm.alu(B32, Alu::Adc, Gpr::Rax, Gpr::Rax);
        self.asm.alu(B32, Alu::Add, Gpr::Rax, Gpr::Rax);
        self.asm.alu(B8, Alu::Or, Gpr::Rax, v);
        self.asm.shift(B32, Sh::Shl, Gpr::Rax, 28);
        self.asm.load(B32, Gpr::Rcx, cpsr);
        self.asm.alu_imm(B32, Alu::And, Gpr::Rcx, !HIDDEN as i32);
        self.asm.alu(B32, Alu::Or, Gpr::Rax, Gpr::Rcx);
        self.set(rd, Gpr::Rax);
        self.form = Form::None;
    }

    /// MSR CPSR_c, as far as it changes nothing but the mask of IRQs.
    fn write_control(&mut self, decoded: &Decoded, rn: Reg) {
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        let cpsr = Mem::at(STATE, self.layout.cpsr);
        self.asm.load(B32, Gpr::Rdx, cpsr);
        self.get(Gpr::Rax, rn);
        self.asm.alu(B32, Alu::Xor, Gpr::Rax, Gpr::Rdx);
        // The slow path's instruction has no address.
        self.asm.mov_imm(Gpr::Rcx, 0);
        self.asm.test_imm8(Gpr::Rax, (psr::MODE | psr::F) as u8);
        self.asm.jcc(Cc::Ne, slow);
        self.asm.test_imm8(Gpr::Rdx, 15);
        self.asm.jcc(Cc::E, slow);
        self.asm.alu_imm(B32, Alu::And, Gpr::Rax, psr::I as i32);
        self.asm.alu(B32, Alu::Xor, Gpr::Rdx, Gpr::Rax);
        self.asm.store(B32, cpsr, Gpr::Rdx);
        self.leave_if_asked(decoded.len);
        self.asm.bind(done);
    }

    /// CPSIE I, CPSID I: nothing in User mode.
    fn mask_irq(&mut self, decoded: &Decoded, enable: bool) {
        let cpsr = Mem::at(STATE, self.layout.cpsr);
        let done = self.asm.label();
        self.asm.test_imm8(cpsr, 15);
        self.asm.jcc(Cc::E, done);
        if enable {
            self.asm.alu_imm(B32, Alu::And, cpsr, !psr::I as i32);
            self.leave_if_asked(decoded.len);
        } else {
            self.asm.alu_imm(B32, Alu::Or, cpsr, psr::I as i32);
        }
        self.asm.bind(done);
        self.form = Form::None;
    }

    /// Leaves for the next instruction if the vCPU is asked for something.
    fn leave_if_asked(&mut self, len: u8) {
        let leave = self.asm.label();
        self.check_inputs(leave);
        let next = self.pc.wrapping_add(u32::from(len));
        let pc = next | u32::from(self.request.t32);
        let (it, to) = (self.it.advance(), To::Loop);
        self.cold(leave, Kind::Leave { pc, it, to });
        self.form = Form::None;
    }

    /// MRC of registers that are plain variables.
    fn read_register(&mut self, decoded: &Decoded, reg: CpReg, rt: Reg) -> Option<()> {
        let CpReg {
            coproc: 15,
            opc1: 0,
            crn,
            crm,
            opc2,
        } = reg
        else {
            return None;
        };
        let (disp, privileged) = match (crn, crm, opc2) {
            (13, 0, 2) => (self.layout.tpidrurw, false),
            (13, 0, 3) => (self.layout.tpidruro, false),
            (13, 0, 4) => (self.layout.tpidrprw, true),
            (3, 0, 0) => (self.layout.dacr, true),
            (2, 0, 0) => (self.layout.ttbr0, true),
            (13, 0, 1) => (self.layout.contextidr, true),
            (5, 0, 0) => (self.layout.dfsr, true),
            (5, 0, 1) => (self.layout.ifsr, true),
            (6, 0, 0) => (self.layout.dfar, true),
            (6, 0, 2) => (self.layout.ifar, true),
            _ => return None,
        };
        let done = self.asm.label();
        if privileged {
            self.require_privilege(decoded, done);
        }
        let host = super::pinned(rt).unwrap_or(Gpr::Rax);
        self.asm.load(B32, host, Mem::at(STATE, disp));
        self.set(rt, host);
        self.asm.bind(done);
        Some(())
    }

    /// MCR of registers that are plain variables, and of cache maintenance: code follows memory, so
    /// that there is nothing to do but to look whether code was written.
    fn write_register(&mut self, decoded: &Decoded, reg: CpReg, rt: Reg) -> Option<()> {
        let variable = match reg {
            CpReg {
                coproc: 15,
                opc1: 0,
                crn: 13,
                crm: 0,
                opc2,
            } => match opc2 {
                2 => Some(self.layout.tpidrurw),
                3 => Some(self.layout.tpidruro),
                4 => Some(self.layout.tpidrprw),
                _ => None,
            },
            _ => None,
        };
        let maintenance = cp15::maintenance(reg);
        if variable.is_none() && maintenance.is_none() {
            return None;
        }
        let done = self.asm.label();
        if variable != Some(self.layout.tpidrurw) {
            self.require_privilege(decoded, done);
        }
        if let Some(disp) = variable {
            let from = super::pinned(rt).unwrap_or(Gpr::Rax);
            self.get(from, rt);
            self.asm.store(B32, Mem::at(STATE, disp), from);
        }
        if maintenance == Some(Maintenance::Instructions) {
            self.leave_if_asked(decoded.len);
        }
        self.asm.bind(done);
        Some(())
    }

    /// Has the interpreter execute an instruction in User mode.
    fn require_privilege(&mut self, decoded: &Decoded, done: Label) {
        let slow = self.slow(decoded, done);
        // User mode is the one whose low bits are 0.
        let mode = Mem::at(STATE, self.layout.cpsr);
        self.asm.test_imm8(mode, 15);
        self.asm.jcc(Cc::E, slow);
        self.form = Form::None;
    }

    fn load_exclusive(
        &mut self,
        decoded: &Decoded,
        size: ExSize,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: u16,
    ) -> Option<()> {
        let double = size == ExSize::Double;
        if rt.is_pc() || rn.is_pc() || double && rt2.is_pc() {
            return None;
        }
        let done = self.exclusive_address(decoded, false, size, rn, offset);
        self.asm.alu(B64, Alu::Add, Gpr::Rdx, Gpr::Rcx);
        let from = Mem::at(Gpr::Rdx, 0);
        match size {
            ExSize::Byte => self.asm.load_zx(B8, Gpr::Rax, from),
            ExSize::Half => self.asm.load_zx(B16, Gpr::Rax, from),
            ExSize::Word => self.asm.load(B32, Gpr::Rax, from),
            ExSize::Double => self.asm.load(B64, Gpr::Rax, from),
        }
        let host = self.shared(offset_of!(Shared, exclusive_host));
        let value = self.shared(offset_of!(Shared, exclusive_value));
        let bytes = self.shared(offset_of!(Shared, exclusive_size));
        self.asm.store(B64, host, Gpr::Rdx);
        self.asm.store(B64, value, Gpr::Rax);
        self.asm.mov_imm8(bytes, size_in_bytes(size));
        self.set(rt, Gpr::Rax);
        if double {
            self.asm.shift(B64, Sh::Shr, Gpr::Rax, 32);
            self.set(rt2, Gpr::Rax);
        }
        self.asm.bind(done);
        Some(())
    }

    fn store_exclusive(
        &mut self,
        decoded: &Decoded,
        size: ExSize,
        [rd, rt, rt2]: [Reg; 3],
        rn: Reg,
        offset: u16,
    ) -> Option<()> {
        let double = size == ExSize::Double;
        let clash = rd == rn || rd == rt || double && rd == rt2;
        if rd.is_pc() || rt.is_pc() || rn.is_pc() || double && rt2.is_pc() || clash {
            return None;
        }
        let done = self.exclusive_address(decoded, true, size, rn, offset);
        // Anything but success is the interpreter's.
        let slow = self.slow(decoded, done);
        self.asm.alu(B64, Alu::Add, Gpr::Rdx, Gpr::Rcx);
        let host = self.shared(offset_of!(Shared, exclusive_host));
        let value = self.shared(offset_of!(Shared, exclusive_value));
        let bytes = self.shared(offset_of!(Shared, exclusive_size));
        self.asm.alu_to(B64, Alu::Cmp, host, Gpr::Rdx);
        self.asm.jcc(Cc::Ne, slow);
        self.asm
            .alu_imm(B8, Alu::Cmp, bytes, i32::from(size_in_bytes(size)));
        self.asm.jcc(Cc::Ne, slow);
        if double {
            self.get(Gpr::Rcx, rt2);
            self.asm.shift(B64, Sh::Shl, Gpr::Rcx, 32);
            self.get(Gpr::Rax, rt);
            self.asm.alu(B64, Alu::Or, Gpr::Rcx, Gpr::Rax);
        } else {
            self.get(Gpr::Rcx, rt);
        }
        self.asm.load(B64, Gpr::Rax, value);
        let width = match size {
            ExSize::Byte => B8,
            ExSize::Half => B16,
            ExSize::Word => B32,
            ExSize::Double => B64,
        };
        // One instruction is not interrupted: a single vCPU needs no lock.
        let lock = !self.request.alone;
        self.asm
            .cmpxchg(lock, width, Mem::at(Gpr::Rdx, 0), Gpr::Rcx);
        self.asm.mov_imm(Gpr::Rax, 0);
        self.asm.setcc(Cc::Ne, Gpr::Rax);
        self.set(rd, Gpr::Rax);
        self.asm.alu(B32, Alu::Xor, Gpr::Rax, Gpr::Rax);
        self.asm.store(B64, host, Gpr::Rax);
        self.asm.bind(done);
        Some(())
    }

    /// Translates the address of an exclusive access, which must be aligned.
    fn exclusive_address(
        &mut self,
        decoded: &Decoded,
        write: bool,
        size: ExSize,
        rn: Reg,
        offset: u16,
    ) -> crate::asm::Label {
        let base = self.loc(rn);
        self.asm.load(B32, Gpr::Rcx, base);
        if offset != 0 {
            self.asm.alu_imm(B32, Alu::Add, Gpr::Rcx, i32::from(offset));
        }
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        self.look_up_in_tables(write, Gpr::Rcx, size_in_bytes(size), slow);
        done
    }
}

fn size_in_bytes(size: ExSize) -> u8 {
    match size {
        ExSize::Byte => 1,
        ExSize::Half => 2,
        ExSize::Word => 4,
        ExSize::Double => 8,
    }
}
