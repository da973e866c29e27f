//! Instructions that do no more than compute a register's value: under a condition they need no
//! branch.

use super::analysis::{Form, Liveness, tested};
use super::flags::shift_constant;
use super::steps::Step;
use super::{Translator, pinned};
use crate::asm::{Alu, Gpr, Loc, Mem, Width};
use skep_arm::insn::{DpOp, Extend, Insn, Reg, Shift};

use Width::{B8, B16, B32};

/// What [`simple_value`] finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Simple {
    Imm(u32),
    Reg(Reg),
    Inverted(Reg),
    /// The sum of a register and a constant.
    Sum(Reg, u32),
    /// The same of two registers.
    Sums(Reg, Reg),
    /// Another operation on a register and a constant.
    Op(Alu, Reg, u32),
    /// The same on two registers.
    Ops(Alu, Reg, Reg),
    /// The same with the second one shifted by a constant (not RRX).
    Shifts(Alu, Reg, Reg, Shift, u8),
    /// A register, shifted.
    Shifted(Reg, Shift, u8),
    /// The low byte or halfword of a register, extended.
    Extended(Reg, Extend),
}

/// The register that an instruction sets, and to what, if that is all it does and is simple.
pub fn simple_value(insn: &Insn) -> Option<(Reg, Simple)> {
    let plain = |op| match op {
        DpOp::Sub => Some(Alu::Sub),
        DpOp::And => Some(Alu::And),
        DpOp::Orr => Some(Alu::Or),
        DpOp::Eor => Some(Alu::Xor),
        _ => None,
    };
    let (rd, value) = match *insn {
        Insn::DpImm {
            op,
            s: false,
            rd,
            rn,
            imm,
            ..
        } => {
            if rn.is_pc() && !matches!(op, DpOp::Mov | DpOp::Mvn) {
                return None;
            }
            let value = match op {
                DpOp::Mov => Simple::Imm(imm),
                DpOp::Mvn => Simple::Imm(!imm),
                DpOp::Add => Simple::Sum(rn, imm),
                DpOp::Sub => Simple::Sum(rn, imm.wrapping_neg()),
                DpOp::Bic => Simple::Op(Alu::And, rn, !imm),
                op => Simple::Op(plain(op)?, rn, imm),
            };
            (rd, value)
        }
        Insn::DpReg {
            op,
            s: false,
            rd,
            rn,
            rm,
            amount: 0,
            ..
        } => {
            if rm.is_pc() || rn.is_pc() && !matches!(op, DpOp::Mov | DpOp::Mvn) {
                return None;
            }
            let value = match op {
                DpOp::Mov => Simple::Reg(rm),
                DpOp::Mvn => Simple::Inverted(rm),
                DpOp::Add => Simple::Sums(rn, rm),
                op => Simple::Ops(plain(op)?, rn, rm),
            };
            (rd, value)
        }
        Insn::DpReg {
            op,
            s: false,
            rd,
            rn,
            rm,
            shift,
            amount,
        } if shift != Shift::Rrx && !rm.is_pc() => {
            let value = match op {
                DpOp::Mov => Simple::Shifted(rm, shift, amount),
                _ if rn.is_pc() => return None,
                DpOp::Add => Simple::Shifts(Alu::Add, rn, rm, shift, amount),
                op => Simple::Shifts(plain(op)?, rn, rm, shift, amount),
            };
            (rd, value)
        }
        Insn::Movw { rd, imm } => (rd, Simple::Imm(imm.into())),
        Insn::Extend {
            op: op @ (Extend::Sxtb | Extend::Sxth | Extend::Uxtb | Extend::Uxth),
            rd,
            rn: None,
            rm,
            rotate: 0,
        } if !rm.is_pc() => (rd, Simple::Extended(rm, op)),
        _ => return None,
    };
    (!rd.is_pc()).then_some((rd, value))
}

impl Translator<'_> {
    /// A conditional instruction that only computes a register's value: without a branch, which
    /// might be mispredicted.
    pub(super) fn conditional_move(&mut self, rest: &[Step], live: &[Liveness]) -> bool {
        let Some(step) = rest.first() else {
            return false;
        };
        let insn = &step.decoded.insn;
        let Some((rd, value)) = simple_value(insn) else {
            return false;
        };
        if let Some(recipe) = self.pending
            && recipe.after(1 << rd.index(), None).is_none()
        {
            let live = tested(step.test) | live.first().map_or(0, |live| live.after);
            self.keep_recipe(1 << rd.index(), rest, live);
        }
        self.value(Gpr::Rdx, value);
        let cc = self.test_of(step.test);
        match pinned(rd) {
            Some(host) => self.asm.cmov(cc, host, Gpr::Rdx),
            None => {
                self.get(Gpr::Rax, rd);
                self.asm.cmov(cc, Gpr::Rax, Gpr::Rdx);
                self.set(rd, Gpr::Rax);
            }
        }
        true
    }

    /// Leaves a value in a register that no guest register lives in. Uses it, and RAX.
    pub(super) fn value(&mut self, to: Gpr, value: Simple) {
        match value {
            Simple::Imm(imm) => self.asm.mov_imm(to, imm),
            Simple::Reg(reg) => self.get(to, reg),
            Simple::Inverted(reg) => {
                self.get(to, reg);
                self.asm.not(to);
            }
            Simple::Sum(reg, imm) => {
                let base = pinned(reg).unwrap_or_else(|| {
                    self.get(to, reg);
                    to
                });
                self.asm.lea(to, Mem::at(base, imm as i32));
            }
            Simple::Sums(a, b) => {
                self.get(to, a);
                match self.loc(b) {
                    Loc::Reg(b) => self.asm.lea(to, Mem::indexed(to, b, 0, 0)),
                    b => {
                        self.asm.alu(B32, Alu::Add, to, b);
                        self.form = Form::None;
                    }
                }
            }
            Simple::Op(op, reg, imm) => {
                self.get(to, reg);
                self.asm.alu_imm(B32, op, to, imm as i32);
                self.form = Form::None;
            }
            Simple::Shifts(op, a, b, shift, amount) => {
                self.get(Gpr::Rax, b);
                shift_constant(self.asm, Gpr::Rax, shift, amount);
                self.get(to, a);
                self.asm.alu(B32, op, to, Gpr::Rax);
                self.form = Form::None;
            }
            Simple::Shifted(reg, shift, amount) => {
                self.get(to, reg);
                shift_constant(self.asm, to, shift, amount);
                self.form = Form::None;
            }
            Simple::Extended(reg, op) => {
                let from = self.get_whole(reg, to);
                match op {
                    Extend::Sxtb => self.asm.load_sx(B8, to, from),
                    Extend::Sxth => self.asm.load_sx(B16, to, from),
                    Extend::Uxtb => self.asm.load_zx(B8, to, from),
                    _ => self.asm.load_zx(B16, to, from),
                }
            }
            Simple::Ops(op, a, b) => {
                self.get(to, a);
                let b = self.loc(b);
                self.asm.alu(B32, op, to, b);
                self.form = Form::None;
            }
        }
    }
}
