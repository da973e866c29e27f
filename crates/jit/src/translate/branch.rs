//! Branches, and how blocks are left.

use super::analysis::{Form, flag};
use super::cold::Kind;
use super::memory::Span;
use super::steps::{Step, Test};
use super::{AT_START, Translator};
use crate::asm::{Alu, Cc, Gpr, Label, Loc, Mem, Width};
use crate::context::{JUMP_MASK, STATE, Shared};
use crate::moves::{FURTHEST, Part};
use skep_arm::decode::ItState;
use skep_arm::insn::{Cond, Decoded, DpOp, Insn, Reg};
use skep_arm::state::psr;
use std::mem::offset_of;

/// Nothing behind this instruction is part of its block, unless it is conditional.
pub fn ends_block(insn: &Insn) -> bool {
    match *insn {
        Insn::B { .. }
        | Insn::Bl { .. }
        | Insn::BlxImm { .. }
        | Insn::Blx { .. }
        | Insn::Bx { .. }
        | Insn::Bxj { .. }
        | Insn::Tbb { .. }
        | Insn::Svc { .. }
        | Insn::Hvc { .. }
        | Insn::Smc { .. }
        | Insn::Bkpt { .. }
        | Insn::Udf { .. }
        | Insn::Undefined
        | Insn::Rfe { .. }
        | Insn::Eret => true,
        Insn::Ldm { list, .. } => list & 0x8000 != 0,
        Insn::LdrImm { rt, .. } | Insn::LdrReg { rt, .. } => rt.is_pc(),
        Insn::DpImm { op, rd, .. } | Insn::DpReg { op, rd, .. } | Insn::DpRsr { op, rd, .. } => {
            rd.is_pc() && !matches!(op, DpOp::Tst | DpOp::Teq | DpOp::Cmp | DpOp::Cmn)
        }
        _ => false,
    }
}

impl Translator<'_> {
    /// B.
    pub(super) fn branch(&mut self, decoded: &Decoded, offset: i32) -> bool {
        let target = self.pc_value().wrapping_add_signed(offset);
        if decoded.cond == Cond::Al {
            self.jump_direct(target);
            return true;
        }
        if self.skip.is_some() {
            // Under the test of the instructions before it.
            self.leave_uncounted();
            self.jump_direct(target);
            self.close_skip();
            return false;
        }
        let cc = self.test(decoded.cond);
        if self.is_backward(target) {
            let over = self.asm.label();
            self.asm.jcc(cc.opposite(), over);
            let (pending, form, held) = (self.pending, self.form, self.vectors.valid);
            self.leave_uncounted();
            self.jump_direct(target);
            (self.pending, self.form, self.vectors.valid) = (pending, form, held);
            self.asm.bind(over);
        } else {
            self.jump_linked(Some(cc), target);
        }
        false
    }

    /// Before instructions behind a branch, or with a condition of their own: jumps to `skip` if they
    /// are not to execute.
    pub(super) fn skip_unless_tested(&mut self, rest: &[Step], skip: Label) {
        let Some(step) = rest.first() else {
            return;
        };
        let cc = self.test_of(step.test).opposite();
        if self.request.count && step.behind_branch() {
            let label = self.asm.label();
            self.asm.jcc(cc, label);
            let count = 1 + rest.iter().take_while(|step| step.joins_next).count() as u32;
            self.cold(label, Kind::Over { count, back: skip });
        } else {
            self.asm.jcc(cc, skip);
        }
    }

    /// Emits code that tests whether an instruction executes, and returns how it is told. Uses RAX
    /// and RCX.
    pub(super) fn test_of(&mut self, test: Test) -> Cc {
        match test {
            Test::Always => self.test(Cond::Al),
            Test::Cond(cond) => self.test(cond),
            Test::Zero { reg, nonzero } => {
                match self.loc(reg) {
                    Loc::Reg(reg) => self.asm.test(Width::B32, reg, reg),
                    loc => self.asm.alu_imm(Width::B32, Alu::Cmp, loc, 0),
                }
                self.form = Form::None;
                if nonzero { Cc::Ne } else { Cc::E }
            }
        }
    }

    fn is_backward(&self, target: u32) -> bool {
        target <= self.pc
    }

    /// Goes on at an address, in the same instruction set.
    fn jump_direct(&mut self, target: u32) {
        let distance = target.wrapping_sub(self.pc) as i32;
        if distance < 0 && distance.unsigned_abs() > FURTHEST {
            self.asm.movable = false;
        }
        if self.is_backward(target) {
            let repeats = target == self.request.va && self.skip.is_none();
            let leave = self.asm.label();
            let pc = target | u32::from(self.request.t32);
            self.leave_from(leave, pc);
            let live = self
                .pending
                .map_or(0, |recipe| recipe.flags() & self.live_at(target));
            if (!repeats || self.after_head.is_none()) && live != 0 {
                self.settle_flags(flag::ALL);
            }
            self.compare_inputs();
            if target != self.request.va {
                self.asm.jcc(Cc::Ne, leave);
            } else if repeats && self.pending.is_some() {
                self.asm.jcc(Cc::Ne, leave);
                return self.repeat();
            } else {
                let missing = self.held_at[AT_START] & !self.vectors.valid;
                if missing == 0 {
                    let start = self.start;
                    self.asm.jcc(Cc::E, start);
                    self.asm.jmp(leave);
                } else {
                    self.asm.jcc(Cc::Ne, leave);
                    self.restart();
                }
                return;
            }
        }
        self.jump_linked(None, target);
    }

    /// Leaves whether the vCPU is asked for something in the host's flags: not equal. Uses RAX.
    fn compare_inputs(&mut self) {
        let control = match self.layout.control {
            Some(disp) => Mem::at(STATE, disp),
            None => {
                let control = self.shared(offset_of!(Shared, control));
                self.asm.load(Width::B64, Gpr::Rax, control);
                Mem::at(Gpr::Rax, 0)
            }
        };
        self.asm.alu_imm(Width::B32, Alu::Cmp, control, 0);
        self.form = Form::None;
    }

    /// Jumps to `asked` if the vCPU is asked for something. Uses RAX and the host's flags.
    pub(super) fn check_inputs(&mut self, asked: Label) {
        self.compare_inputs();
        self.asm.jcc(Cc::Ne, asked);
    }

    /// Before the block is left at the side: the instructions behind this one are not executed.
    fn leave_uncounted(&mut self) {
        if self.uncount(self.behind()) {
            self.form = Form::None;
        }
    }

    /// Takes instructions that are not executed from the count; false if there is none.
    pub(super) fn uncount(&mut self, instructions: u32) -> bool {
        let counted = self.request.count && instructions != 0;
        if counted {
            let count = self.shared(offset_of!(Shared, instructions));
            self.asm
                .alu_imm(Width::B64, Alu::Sub, count, instructions as i32);
        }
        counted
    }

    pub(super) fn behind(&self) -> u32 {
        (self.count - 1).saturating_sub(self.at) as u32
    }

    /// A jump that can be linked to the block at `target`.
    fn jump_linked(&mut self, cc: Option<Cc>, target: u32) {
        let label = self.asm.label();
        let same_page = (target ^ self.request.va) & !0xfff == 0;
        let pc = target | u32::from(self.request.t32);
        if let Some(cc) = cc {
            let live = self.pending.map_or(0, |recipe| recipe.flags()) & self.live_at(target);
            let flags = self.pending.filter(|_| live != 0);
            let behind = self.behind();
            if flags.is_some() || self.request.count && behind != 0 {
                self.asm.jcc(cc, label);
                let edge = Kind::Edge {
                    pc,
                    same_page,
                    flags,
                    behind,
                };
                return self.cold(label, edge);
            }
            self.asm.jcc(cc, label);
        } else {
            if let Some(recipe) = self.pending
                && recipe.flags() & self.live_at(target) != 0
            {
                self.settle_flags(flag::ALL);
            }
            self.asm.jmp(label);
        }
        let site = self.asm.code.len() - 4;
        let link = Kind::Link {
            pc,
            site,
            same_page,
        };
        self.cold(label, link);
    }

    /// The end of a block that does not end with a branch.
    pub(super) fn fall_through(&mut self, it: ItState) {
        if it.in_block() {
            // The interpreter finishes the IT block.
            self.set_it(it);
            let label = self.asm.label();
            self.asm.jmp(label);
            let pc = self.pc | u32::from(self.request.t32);
            self.leave_from(label, pc);
        } else if self.pc < self.request.va {
            // Backwards, from the end of the address space: not without a look at the inputs.
            self.fall_through_from(0);
        } else {
            self.jump_linked(None, self.pc);
        }
    }

    /// Sets ITSTATE, which is 0 while generated code runs.
    pub(super) fn set_it(&mut self, it: ItState) {
        let bits = u32::from(it.0);
        let bits = (bits & 3) << 25 | (bits & 0xfc) << 8;
        if it.in_block() {
            let cpsr = Mem::at(STATE, self.layout.cpsr);
            self.asm.alu_imm(Width::B32, Alu::Or, cpsr, bits as i32);
        }
    }

    /// Leaves for an address, unlinked.
    pub(super) fn fall_through_from(&mut self, pc: u32) {
        let label = self.asm.label();
        self.asm.jmp(label);
        let pc = pc | u32::from(self.request.t32);
        self.leave_from(label, pc);
    }

    /// Goes on where ECX says. With `interworking`, its bit 0 selects T32.
    pub(super) fn jump_to_ecx(&mut self, interworking: bool) {
        self.settle_flags(flag::ALL);
        if interworking {
            let (label, back) = (self.asm.label(), self.asm.label());
            self.asm.test_imm8(Gpr::Rcx, 1);
            let other = if self.request.t32 { Cc::E } else { Cc::Ne };
            self.asm.jcc(other, label);
            self.asm.bind(back);
            self.cold(label, Kind::Switch { back });
        } else if self.request.t32 {
            self.asm.alu_imm(Width::B32, Alu::Or, Gpr::Rcx, 1);
        }
        self.jump_known_state();
    }

    /// Branches with link, and to registers. None if it is none; true if it always leaves.
    pub(super) fn indirect(&mut self, decoded: &Decoded) -> Option<bool> {
        let t32 = self.request.t32;
        let next = self.pc.wrapping_add(u32::from(decoded.len)) | u32::from(t32);
        match decoded.insn {
            Insn::Bl { offset } => {
                let target = self.pc_value().wrapping_add_signed(offset);
                let lr = self.loc(Reg::LR);
                self.asm.mov_address(lr, next);
                self.jump_direct(target);
            }
            Insn::BlxImm { offset } => {
                let target = (self.pc_value() & !3).wrapping_add_signed(offset);
                let lr = self.loc(Reg::LR);
                self.asm.mov_address(lr, next);
                let cpsr = Mem::at(STATE, self.layout.cpsr);
                self.asm.alu_imm(Width::B32, Alu::Xor, cpsr, psr::T as i32);
                let target = if t32 { target & !3 } else { target | 1 };
                self.asm.mov_address(Gpr::Rcx, target);
                self.jump_known_state();
            }
            Insn::Blx { rm } if !rm.is_pc() => {
                self.get(Gpr::Rcx, rm);
                let lr = self.loc(Reg::LR);
                self.asm.mov_address(lr, next);
                self.jump_to_ecx(true);
            }
            // How stubs of T32 code get to A32.
            Insn::Bx { rm: Reg::PC } if t32 && self.pc_value() & 2 == 0 => {
                self.settle_flags(flag::ALL);
                let cpsr = Mem::at(STATE, self.layout.cpsr);
                self.asm.alu_imm(Width::B32, Alu::Xor, cpsr, psr::T as i32);
                let target = self.pc_value();
                self.asm.mov_address(Gpr::Rcx, target);
                self.jump_known_state();
            }
            Insn::Bx { rm } | Insn::Bxj { rm } if !rm.is_pc() => {
                self.get(Gpr::Rcx, rm);
                self.jump_to_ecx(true);
            }
            Insn::DpReg {
                op: DpOp::Mov,
                s: false,
                rd: Reg::PC,
                rm,
                amount: 0,
                ..
            } if !rm.is_pc() => {
                self.get(Gpr::Rcx, rm);
                // T32's does not interwork, and ignores bit 0.
                self.jump_to_ecx(!t32);
            }
            Insn::DpReg {
                op: op @ (DpOp::Add | DpOp::Sub | DpOp::Mov),
                s: false,
                rd: Reg::PC,
                rn,
                rm,
                shift,
                amount,
            } if !rm.is_pc() && (amount != 0 || op != DpOp::Mov) => {
                if amount == 0 {
                    self.get(Gpr::Rax, rm);
                } else {
                    self.shifted(rm, shift, amount, false);
                }
                if op == DpOp::Mov {
                    self.asm.store(Width::B32, Gpr::Rcx, Gpr::Rax);
                } else {
                    self.get(Gpr::Rcx, rn);
                    let op = if op == DpOp::Add { Alu::Add } else { Alu::Sub };
                    self.asm.alu(Width::B32, op, Gpr::Rcx, Gpr::Rax);
                }
                self.form = Form::None;
                // A32's interworks.
                self.jump_to_ecx(!t32);
            }
            Insn::Cbz {
                nonzero,
                rn,
                offset,
            } if !rn.is_pc() => {
                let target = self.pc_value().wrapping_add_signed(offset);
                let cc = self.test_of(Test::Zero { reg: rn, nonzero });
                // It only goes forward.
                self.jump_linked(Some(cc), target);
                return Some(false);
            }
            Insn::Tbb { half, rn, rm } if !rm.is_pc() => {
                let scale = u8::from(half);
                if rn.is_pc() {
                    let base = self.pc_value();
                    self.asm.mov_address(Gpr::Rcx, base);
                } else {
                    self.get(Gpr::Rcx, rn);
                }
                self.get(Gpr::Rax, rm);
                self.asm
                    .lea(Gpr::Rcx, Mem::indexed(Gpr::Rcx, Gpr::Rax, scale, 0));
                let done = self.asm.label();
                let slow = self.slow(decoded, done);
                let size = 1 << u8::from(half);
                self.test_alignment(size, slow);
                let span = Span {
                    bytes: size.into(),
                    align: size,
                    element: 1,
                    at_once: true,
                };
                self.look_up(false, span, slow);
                let from = Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, 0);
                let width = if half { Width::B16 } else { Width::B8 };
                self.asm.load_zx(width, Gpr::Rcx, from);
                let base = self.pc_value() as i32;
                self.asm.lea(
                    Gpr::Rcx,
                    Mem::indexed(Gpr::Rcx, Gpr::Rcx, 0, base.wrapping_add(1)),
                );
                self.asm.note_displacement(Part::Address);
                self.jump_known_state();
                // The interpreter leaves by itself.
                self.asm.bind(done);
            }
            _ => return None,
        }
        Some(true)
    }

    /// Goes on where ECX says (bit 0 = T32), the state being set already.
    fn jump_known_state(&mut self) {
        self.settle_flags(flag::ALL);
        let indirect = self.asm.label();
        self.check_inputs(indirect);
        self.asm.store(Width::B32, Gpr::Rdx, Gpr::Rcx);
        self.asm
            .alu_imm(Width::B32, Alu::And, Gpr::Rdx, JUMP_MASK as i32);
        let jumps = self.layout.shared(offset_of!(Shared, jumps));
        let entry = |disp| Mem::indexed(STATE, Gpr::Rdx, 2, jumps + disp);
        self.asm.alu_to(Width::B64, Alu::Cmp, entry(0), Gpr::Rcx);
        self.asm.jcc(Cc::Ne, indirect);
        self.asm.jmp_ind(entry(8));
        self.asm.bind(indirect);
        self.asm.jmp_to(self.thunks.indirect);
        self.form = Form::None;
    }
}
