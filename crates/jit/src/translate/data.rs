//! Data processing, multiplication, and the other instructions between registers.

use super::analysis::{Form, effects, flag, is_logical};
use super::flags::{NOT_C, Operation, Recipe, Value};
use super::{Translator, pinned};
use crate::asm::{Alu, Cc, Gpr, Loc, Mem, Prefix, Sh, Width, Xmm};
use crate::context::STATE;
use crate::moves::Part;
use skep_arm::insn::{BitOp, DpOp, Extend, Insn, MulLong, ParOp, ParPrefix, Reg, Shift};
use skep_arm::state::psr;

use Width::{B8, B16, B32, B64};

/// The second operand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    Imm(u32),
    /// What the PC reads as.
    Address(u32),
    Loc(Loc),
}

impl Translator<'_> {
    /// Translates an instruction between registers; false if it is none, or one for the
    /// interpreter. `live`: the flags that must be in memory afterwards.
    pub(super) fn data(&mut self, insn: &Insn, live: u8) -> bool {
        match *insn {
            Insn::DpImm {
                op,
                s,
                rd,
                rn,
                imm,
                carry,
            } => {
                if rd.is_pc() && !is_compare(op) {
                    return false;
                }
                if let (true, true, Some(carry)) = (s, is_logical(op), carry)
                    && live & flag::C != 0
                {
                    let byte = self.flag_byte(NOT_C);
                    self.asm.mov_imm8(byte, u8::from(!carry));
                }
                let recipe = recipe(op, rd, rn, Some(Value::Imm(imm)));
                if self.compare_later(op, recipe, live) {
                    return true;
                }
                self.data_processing(op, s, rd, rn, Operand::Imm(imm), recipe, live);
            }
            Insn::DpReg {
                op,
                s,
                rd,
                rn,
                rm,
                shift,
                amount,
            } => {
                if rd.is_pc() && !is_compare(op) {
                    return false;
                }
                if op == DpOp::Add && !s && self.add_shifted(rd, rn, rm, shift, amount) {
                    return true;
                }
                if op == DpOp::Mov && amount != 0 && !rm.is_pc() {
                    let carry = s && live & flag::C != 0;
                    self.move_shifted(rd, rm, shift, amount, carry);
                    if s {
                        let to = pinned(rd).unwrap_or(Gpr::Rax);
                        self.asm.test(B32, to, to);
                        self.set_flags(Form::Logic, Some(result(rd)), live);
                    }
                    return true;
                }
                let carry = s && is_logical(op) && amount != 0 && live & flag::C != 0;
                let value = match (amount, shift) {
                    _ if rm.is_pc() => None,
                    (0, _) => Some(Value::Reg(rm, 0)),
                    (_, Shift::Rrx) => None,
                    _ => Some(Value::Shifted(rm, shift, amount)),
                };
                let recipe = recipe(op, rd, rn, value);
                if !carry && self.compare_later(op, recipe, live) {
                    return true;
                }
                let operand = if rm.is_pc() && amount == 0 {
                    Operand::Address(self.pc_value())
                } else if amount == 0 {
                    Operand::Loc(self.loc(rm))
                } else {
                    self.shifted(rm, shift, amount, carry);
                    Operand::Loc(Gpr::Rax.into())
                };
                self.data_processing(op, s, rd, rn, operand, recipe, live);
            }
            Insn::DpRsr {
                op,
                s,
                rd,
                rn,
                rm,
                shift,
                rs,
            } => {
                if rd.is_pc() || rn.is_pc() || rm.is_pc() || rs.is_pc() {
                    return false;
                }
                if s && is_logical(op) && live & flag::C != 0 {
                    self.shifted_by_register_with_carry(rm, shift, rs);
                } else {
                    self.shifted_by_register(rm, shift, rs);
                }
                let operand = Operand::Loc(Gpr::Rax.into());
                let recipe = recipe(op, rd, rn, None);
                self.data_processing(op, s, rd, rn, operand, recipe, live);
            }
            Insn::Adr { rd, offset } if !rd.is_pc() => {
                let value = (self.pc_value() & !3).wrapping_add_signed(offset);
                let loc = self.loc(rd);
                self.asm.mov_address(loc, value);
            }
            Insn::Movw { rd, imm } if !rd.is_pc() => {
                let loc = self.loc(rd);
                self.asm.mov_imm(loc, u32::from(imm));
            }
            Insn::Movt { rd, imm } if !rd.is_pc() => {
                let loc = self.loc(rd);
                self.asm.alu_imm(B32, Alu::And, loc, 0xffff);
                self.asm
                    .alu_imm(B32, Alu::Or, loc, (u32::from(imm) << 16) as i32);
                self.form = Form::None;
            }
            Insn::It { .. } | Insn::PldImm { .. } | Insn::PldReg { .. } => {}
            _ => return self.arithmetic(insn, live),
        }
        true
    }

    /// A comparison is made when its flags are asked for.
    fn compare_later(&mut self, op: DpOp, recipe: Option<Recipe>, live: u8) -> bool {
        let later = is_compare(op)
            && self.skip.is_none()
            && recipe.is_some_and(|recipe| recipe.flags() & live != 0);
        if later {
            self.pending = recipe;
            self.form = Form::None;
        }
        later
    }

    /// ADD with a scaled register, as an address computation.
    fn add_shifted(&mut self, rd: Reg, rn: Reg, rm: Reg, shift: Shift, amount: u8) -> bool {
        let (Some(rn), Some(rm)) = (pinned(rn), pinned(rm)) else {
            return false;
        };
        if amount > 3 || amount != 0 && shift != Shift::Lsl {
            return false;
        }
        let to = pinned(rd).unwrap_or(Gpr::Rax);
        self.asm.lea(to, Mem::indexed(rn, rm, amount, 0));
        self.set(rd, to);
        true
    }

    /// MOV of a register shifted by a constant.
    fn move_shifted(&mut self, rd: Reg, rm: Reg, shift: Shift, amount: u8, carry: bool) {
        let to = pinned(rd).unwrap_or(Gpr::Rax);
        match (shift, amount, pinned(rm)) {
            (Shift::Lsl, 1..=3, Some(from)) if !carry => {
                self.asm.lea_scaled(to, from, amount);
            }
            _ => self.shift_to(to, rm, shift, amount, carry),
        }
        self.set(rd, to);
    }

    /// Leaves a register's value, shifted by a constant that is not 0, in EAX.
    pub(super) fn shifted(&mut self, rm: Reg, shift: Shift, amount: u8, carry: bool) {
        self.shift_to(Gpr::Rax, rm, shift, amount, carry);
    }

    fn shift_to(&mut self, to: Gpr, rm: Reg, shift: Shift, amount: u8, carry: bool) {
        self.get(to, rm);
        self.form = Form::None;
        let (op, by) = match (shift, amount) {
            (Shift::Lsl, n) => (Sh::Shl, n),
            (Shift::Lsr, 32) => {
                if carry {
                    self.asm.bt(to, 31);
                    self.asm.setcc(Cc::Ae, self.flag_byte(NOT_C));
                }
                return self.asm.alu(B32, Alu::Xor, to, to);
            }
            (Shift::Asr, 32) => {
                self.asm.shift(B32, Sh::Sar, to, 31);
                if carry {
                    self.asm.bt(to, 31);
                    self.asm.setcc(Cc::Ae, self.flag_byte(NOT_C));
                }
                return;
            }
            (Shift::Lsr, n) => (Sh::Shr, n),
            (Shift::Asr, n) => (Sh::Sar, n),
            (Shift::Ror, n) => (Sh::Ror, n),
            (Shift::Rrx, _) => {
                self.asm.bt(self.flag_byte(NOT_C), 0);
                self.asm.cmc();
                (Sh::Rcr, 1)
            }
        };
        self.asm.shift(B32, op, to, by);
        if carry {
            self.asm.setcc(Cc::Ae, self.flag_byte(NOT_C));
        }
    }

    /// Leaves a register's value, shifted by another's low byte, in EAX.
    fn shifted_by_register(&mut self, rm: Reg, shift: Shift, rs: Reg) {
        let amount = self.get_whole(rs, Gpr::Rcx);
        self.asm.load_zx(B8, Gpr::Rcx, amount);
        self.get(Gpr::Rax, rm);
        self.form = Form::None;
        match shift {
            Shift::Lsl | Shift::Lsr => {
                let op = if shift == Shift::Lsl {
                    Sh::Shl
                } else {
                    Sh::Shr
                };
                self.asm.shift_cl(B32, op, Gpr::Rax);
                // From 32 on, nothing is left.
                self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rcx, 32);
                self.asm.alu(B32, Alu::Sbb, Gpr::Rdx, Gpr::Rdx);
                self.asm.alu(B32, Alu::And, Gpr::Rax, Gpr::Rdx);
            }
            Shift::Asr => {
                self.asm.mov_imm(Gpr::Rdx, 31);
                self.asm.alu(B32, Alu::Cmp, Gpr::Rcx, Gpr::Rdx);
                self.asm.cmov(Cc::A, Gpr::Rcx, Gpr::Rdx);
                self.asm.shift_cl(B32, Sh::Sar, Gpr::Rax);
            }
            Shift::Ror | Shift::Rrx => self.asm.shift_cl(B32, Sh::Ror, Gpr::Rax),
        }
    }

    /// The same, with the shifter's carry in the C flag, which stays as it is if nothing is shifted.
    fn shifted_by_register_with_carry(&mut self, rm: Reg, shift: Shift, rs: Reg) {
        let amount = self.get_whole(rs, Gpr::Rcx);
        self.asm.load_zx(B8, Gpr::Rcx, amount);
        self.get(Gpr::Rax, rm);
        self.form = Form::None;
        // The last bit that is shifted out stays next to the result, in 64 bits.
        let carry = match shift {
            Shift::Lsl | Shift::Lsr | Shift::Asr => {
                self.asm.mov_imm(Gpr::Rdx, 63);
                self.asm.alu(B32, Alu::Cmp, Gpr::Rcx, Gpr::Rdx);
                self.asm.cmov(Cc::A, Gpr::Rcx, Gpr::Rdx);
                let (op, bit) = match shift {
                    Shift::Lsl => (Sh::Shl, 32),
                    Shift::Lsr => (Sh::Shr, 31),
                    _ => (Sh::Sar, 31),
                };
                if shift != Shift::Lsl {
                    self.asm.shift(B64, Sh::Shl, Gpr::Rax, 32);
                }
                self.asm.shift_cl(B64, op, Gpr::Rax);
                bit
            }
            Shift::Ror | Shift::Rrx => {
                self.asm.shift_cl(B32, Sh::Ror, Gpr::Rax);
                31
            }
        };
        let unchanged = self.asm.label();
        self.asm.test(B32, Gpr::Rcx, Gpr::Rcx);
        self.asm.jcc(Cc::E, unchanged);
        self.asm.bt64(Gpr::Rax, carry);
        self.asm.setcc(Cc::Ae, self.flag_byte(NOT_C));
        self.asm.bind(unchanged);
        if matches!(shift, Shift::Lsr | Shift::Asr) {
            self.asm.shift(B64, Sh::Shr, Gpr::Rax, 32);
        }
    }

    /// `op rd, rn, operand`. The operand may be EAX; ECX and EDX are free.
    #[allow(clippy::too_many_arguments)]
    fn data_processing(
        &mut self,
        op: DpOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        b: Operand,
        recipe: Option<Recipe>,
        live: u8,
    ) {
        let form = if s {
            effects(&Insn::DpImm {
                op,
                s,
                rd,
                rn,
                imm: 0,
                carry: None,
            })
            .form
        } else {
            Form::None
        };
        match op {
            DpOp::Mov | DpOp::Mvn => self.move_operand(op == DpOp::Mvn, s, rd, b),
            DpOp::Cmp | DpOp::Tst => self.compare(op == DpOp::Tst, rn, b),
            DpOp::Cmn => {
                self.get(Gpr::Rdx, rn);
                self.apply(Alu::Add, Gpr::Rdx, b);
            }
            DpOp::Teq => {
                self.get(Gpr::Rdx, rn);
                self.apply(Alu::Xor, Gpr::Rdx, b);
            }
            DpOp::Add if !s => return self.add(rd, rn, b),
            DpOp::Sub if !s && matches!(b, Operand::Imm(_)) => {
                let Operand::Imm(imm) = b else { return };
                return self.add(rd, rn, Operand::Imm(imm.wrapping_neg()));
            }
            DpOp::Add => self.two(Alu::Add, rd, rn, b, None),
            DpOp::Sub => self.two(Alu::Sub, rd, rn, b, None),
            DpOp::Adc => self.two(Alu::Adc, rd, rn, b, Some(false)),
            DpOp::Sbc => self.two(Alu::Sbb, rd, rn, b, Some(true)),
            DpOp::And => self.two(Alu::And, rd, rn, b, None),
            DpOp::Orr => self.two(Alu::Or, rd, rn, b, None),
            DpOp::Eor => self.two(Alu::Xor, rd, rn, b, None),
            DpOp::Bic => {
                let b = self.inverted(b);
                self.two(Alu::And, rd, rn, b, None);
            }
            DpOp::Orn => {
                let b = self.inverted(b);
                self.two(Alu::Or, rd, rn, b, None);
            }
            DpOp::Rsb | DpOp::Rsc => {
                self.operand(Gpr::Rdx, b);
                let a = if rn.is_pc() {
                    Operand::Address(self.pc_value())
                } else {
                    Operand::Loc(self.loc(rn))
                };
                if op == DpOp::Rsc {
                    self.load_carry(true);
                    self.apply(Alu::Sbb, Gpr::Rdx, a);
                } else {
                    self.apply(Alu::Sub, Gpr::Rdx, a);
                }
                self.set(rd, Gpr::Rdx);
            }
        }
        // Without S the host's flags are nobody's, except after moves, which leave them.
        if s {
            self.set_flags(form, recipe, live);
        } else if !matches!(op, DpOp::Mov | DpOp::Mvn) {
            self.form = Form::None;
        }
    }

    /// The complement of an operand: an immediate, or ECX.
    fn inverted(&mut self, b: Operand) -> Operand {
        match b {
            Operand::Imm(imm) => Operand::Imm(!imm),
            Operand::Address(va) => {
                self.asm.movable = false;
                Operand::Imm(!va)
            }
            Operand::Loc(loc) => {
                self.asm.load(B32, Gpr::Rcx, loc);
                self.asm.not(Gpr::Rcx);
                Operand::Loc(Gpr::Rcx.into())
            }
        }
    }

    fn operand(&mut self, to: Gpr, b: Operand) {
        match b {
            Operand::Imm(imm) => self.asm.mov_imm(to, imm),
            Operand::Address(va) => self.asm.mov_address(to, va),
            Operand::Loc(loc) if loc != Loc::Reg(to) => self.asm.load(B32, to, loc),
            Operand::Loc(_) => {}
        }
    }

    fn apply(&mut self, op: Alu, to: Gpr, b: Operand) {
        match b {
            Operand::Imm(imm) => self.asm.alu_imm(B32, op, to, imm as i32),
            Operand::Address(va) => {
                self.asm.alu_imm(B32, op, to, va as i32);
                self.asm.note(Part::Address);
            }
            Operand::Loc(loc) => self.asm.alu(B32, op, to, loc),
        }
    }

    fn move_operand(&mut self, invert: bool, s: bool, rd: Reg, b: Operand) {
        let b = match b {
            Operand::Imm(_) | Operand::Address(_) if invert => self.inverted(b),
            b => b,
        };
        let to = pinned(rd);
        match (b, to) {
            (Operand::Imm(imm), _) => {
                let loc = self.loc(rd);
                self.asm.mov_imm(loc, imm);
            }
            (Operand::Address(va), _) => {
                let loc = self.loc(rd);
                self.asm.mov_address(loc, va);
            }
            (Operand::Loc(from), Some(to)) => {
                if from != Loc::Reg(to) {
                    self.asm.load(B32, to, from);
                }
                if invert {
                    self.asm.not(to);
                }
            }
            (Operand::Loc(from), None) => {
                let through = match from {
                    Loc::Reg(reg) if !invert || reg == Gpr::Rax => reg,
                    _ => {
                        self.asm.load(B32, Gpr::Rax, from);
                        Gpr::Rax
                    }
                };
                if invert {
                    self.asm.not(through);
                }
                self.set(rd, through);
            }
        }
        if s {
            let reg = to.unwrap_or(Gpr::Rax);
            self.get(reg, rd);
            self.asm.test(B32, reg, reg);
        }
    }

    fn compare(&mut self, test: bool, rn: Reg, b: Operand) {
        let a = if rn.is_pc() {
            self.get(Gpr::Rdx, rn);
            Loc::Reg(Gpr::Rdx)
        } else {
            self.loc(rn)
        };
        match (b, test) {
            (Operand::Imm(0), false) if matches!(a, Loc::Reg(_)) => {
                self.asm.alu_imm(B32, Alu::Cmp, a, 0);
            }
            (Operand::Imm(imm), false) => self.asm.alu_imm(B32, Alu::Cmp, a, imm as i32),
            (Operand::Imm(imm), true) => {
                self.asm.mov_imm(Gpr::Rcx, imm);
                self.asm.test(B32, a, Gpr::Rcx);
            }
            (Operand::Address(va), false) => {
                self.asm.alu_imm(B32, Alu::Cmp, a, va as i32);
                self.asm.note(Part::Address);
            }
            (Operand::Address(va), true) => {
                self.asm.mov_address(Gpr::Rcx, va);
                self.asm.test(B32, a, Gpr::Rcx);
            }
            (Operand::Loc(b), false) => match (a, b) {
                (Loc::Reg(a), b) => self.asm.alu(B32, Alu::Cmp, a, b),
                (a, Loc::Reg(b)) => self.asm.alu_to(B32, Alu::Cmp, a, b),
                (a, b) => {
                    self.asm.load(B32, Gpr::Rdx, a);
                    self.asm.alu(B32, Alu::Cmp, Gpr::Rdx, b);
                }
            },
            (Operand::Loc(b), true) => match (a, b) {
                (a, Loc::Reg(b)) => self.asm.test(B32, a, b),
                (Loc::Reg(a), b) => self.asm.test(B32, b, a),
                (a, b) => {
                    self.asm.load(B32, Gpr::Rdx, a);
                    self.asm.test(B32, b, Gpr::Rdx);
                }
            },
        }
    }

    /// ADD without flags.
    fn add(&mut self, rd: Reg, rn: Reg, b: Operand) {
        if rn.is_pc() {
            // The address of something near.
            if let Operand::Imm(imm) = b {
                let value = self.pc_value().wrapping_add(imm);
                let loc = self.loc(rd);
                return self.asm.mov_address(loc, value);
            }
        }
        let (to, from) = (pinned(rd), pinned(rn));
        match (to, from, b) {
            (_, from, Operand::Imm(imm)) if rd == rn && (from.is_none() || !self.host_flags()) => {
                let loc = self.loc(rd);
                self.asm.alu_imm(B32, Alu::Add, loc, imm as i32);
                self.form = Form::None;
            }
            (_, Some(from), Operand::Imm(imm)) => {
                let to = to.unwrap_or(Gpr::Rax);
                self.asm.lea(to, Mem::at(from, imm as i32));
                self.set(rd, to);
            }
            (_, Some(from), Operand::Address(va)) => {
                let to = to.unwrap_or(Gpr::Rax);
                self.asm.lea(to, Mem::at(from, va as i32));
                self.asm.note_displacement(Part::Address);
                self.set(rd, to);
            }
            (_, Some(from), Operand::Loc(Loc::Reg(b))) => {
                let to = to.unwrap_or(Gpr::Rax);
                self.asm.lea(to, Mem::indexed(from, b, 0, 0));
                self.set(rd, to);
            }
            (_, _, Operand::Loc(b)) if self.host_flags() => {
                self.get(Gpr::Rdx, rn);
                self.operand(Gpr::Rcx, Operand::Loc(b));
                let to = to.unwrap_or(Gpr::Rdx);
                self.asm.lea(to, Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, 0));
                self.set(rd, to);
            }
            _ => {
                self.two(Alu::Add, rd, rn, b, None);
                self.form = Form::None;
            }
        }
    }

    /// The host's flags are the guest's.
    fn host_flags(&self) -> bool {
        self.form != Form::None
    }

    /// `rd = rn op b`, with the host's flags as the operation leaves them. `carry`: how the
    /// operation wants the carry.
    fn two(&mut self, op: Alu, rd: Reg, rn: Reg, b: Operand, carry: Option<bool>) {
        let to = match pinned(rd) {
            Some(to) if b != Operand::Loc(to.into()) || rd == rn => to,
            _ => Gpr::Rdx,
        };
        self.get(to, rn);
        if let Some(inverted) = carry {
            self.load_carry(inverted);
        }
        self.apply(op, to, b);
        self.set(rd, to);
    }

    fn arithmetic(&mut self, insn: &Insn, live: u8) -> bool {
        let any_pc = |regs: &[Reg]| regs.iter().any(|reg| reg.is_pc());
        match *insn {
            Insn::Mul { s, rd, rn, rm } if !any_pc(&[rd, rn, rm]) => {
                self.get(Gpr::Rax, rn);
                let rm = self.loc(rm);
                self.asm.imul(B32, Gpr::Rax, rm);
                self.set(rd, Gpr::Rax);
                self.form = Form::None;
                if s {
                    self.asm.test(B32, Gpr::Rax, Gpr::Rax);
                    self.set_flags(Form::Logic, Some(result(rd)), live);
                }
            }
            Insn::Mla { s, rd, rn, rm, ra } if !any_pc(&[rd, rn, rm, ra]) => {
                self.get(Gpr::Rax, rn);
                let from = self.loc(rm);
                self.asm.imul(B32, Gpr::Rax, from);
                if rd == ra {
                    let to = self.loc(rd);
                    self.asm.alu_to(B32, Alu::Add, to, Gpr::Rax);
                } else {
                    let ra = self.loc(ra);
                    self.asm.alu(B32, Alu::Add, Gpr::Rax, ra);
                    self.set(rd, Gpr::Rax);
                }
                self.form = Form::None;
                if s {
                    self.get(Gpr::Rax, rd);
                    self.asm.test(B32, Gpr::Rax, Gpr::Rax);
                    self.set_flags(Form::Logic, Some(result(rd)), live);
                }
            }
            Insn::Mls { rd, rn, rm, ra } if !any_pc(&[rd, rn, rm, ra]) => {
                self.get(Gpr::Rcx, rn);
                let (rm, ra) = (self.loc(rm), self.loc(ra));
                self.asm.imul(B32, Gpr::Rcx, rm);
                self.asm.load(B32, Gpr::Rax, ra);
                self.asm.alu(B32, Alu::Sub, Gpr::Rax, Gpr::Rcx);
                self.set(rd, Gpr::Rax);
                self.form = Form::None;
            }
            Insn::MulLong {
                op,
                s: false,
                rd_lo,
                rd_hi,
                rn,
                rm,
            } if op != MulLong::Umaal && !any_pc(&[rd_lo, rd_hi, rn, rm]) => {
                let signed = matches!(op, MulLong::Smull | MulLong::Smlal);
                let accumulates = matches!(op, MulLong::Umlal | MulLong::Smlal);
                self.get(Gpr::Rax, rn);
                let rm = self.loc(rm);
                self.asm.mul_wide(signed, rm);
                if accumulates {
                    let (lo, hi) = (self.loc(rd_lo), self.loc(rd_hi));
                    self.asm.alu(B32, Alu::Add, Gpr::Rax, lo);
                    self.asm.alu(B32, Alu::Adc, Gpr::Rdx, hi);
                }
                self.set(rd_lo, Gpr::Rax);
                self.set(rd_hi, Gpr::Rdx);
                self.form = Form::None;
            }
            Insn::SmulXy {
                rd,
                rn,
                rm,
                n_high,
                m_high,
            } if !any_pc(&[rd, rn, rm]) => {
                self.half(Gpr::Rax, rn, n_high);
                self.half(Gpr::Rcx, rm, m_high);
                self.asm.imul(B32, Gpr::Rax, Gpr::Rcx);
                self.set(rd, Gpr::Rax);
                self.form = Form::None;
            }
            Insn::Smmul {
                round: false,
                sub: false,
                rd,
                rn,
                rm,
                ra,
            } if !any_pc(&[rd, rn, rm]) && ra.is_none_or(|ra| !ra.is_pc()) => {
                self.get(Gpr::Rax, rn);
                let rm = self.loc(rm);
                self.asm.mul_wide(true, rm);
                if let Some(ra) = ra {
                    let ra = self.loc(ra);
                    self.asm.alu(B32, Alu::Add, Gpr::Rdx, ra);
                }
                self.set(rd, Gpr::Rdx);
                self.form = Form::None;
            }
            Insn::Div { signed, rd, rn, rm } if !any_pc(&[rd, rn, rm]) => {
                self.divide(signed, rd, rn, rm);
            }
            Insn::Extend {
                op,
                rd,
                rn,
                rm,
                rotate,
            } if !any_pc(&[rd, rm]) && rn.is_none_or(|rn| !rn.is_pc()) => {
                return self.extend(op, rd, rn, rm, rotate);
            }
            Insn::Bits { op, rd, rm } if !any_pc(&[rd, rm]) => self.bits(op, rd, rm),
            Insn::Bfx {
                signed,
                rd,
                rn,
                lsb,
                width,
            } if !any_pc(&[rd, rn]) => {
                self.get(Gpr::Rax, rn);
                if signed {
                    let left = 32 - u32::from(lsb) - u32::from(width);
                    self.shift_eax(Sh::Shl, left as u8);
                    self.shift_eax(Sh::Sar, 32 - width);
                } else {
                    self.shift_eax(Sh::Shr, lsb);
                    if u32::from(lsb) + u32::from(width) < 32 {
                        let mask = (1u32 << width) - 1;
                        self.asm.alu_imm(B32, Alu::And, Gpr::Rax, mask as i32);
                    }
                }
                self.set(rd, Gpr::Rax);
                self.form = Form::None;
            }
            Insn::Parallel {
                prefix,
                op,
                rd,
                rn,
                rm,
            } if !any_pc(&[rd, rn, rm]) => return self.parallel(prefix, op, rd, rn, rm),
            Insn::Sel { rd, rn, rm } if !any_pc(&[rd, rn, rm]) => self.select(rd, rn, rm),
            Insn::Bfi { rd, rn, lsb, width } if !any_pc(&[rd]) => {
                let mask = (u32::MAX >> (32 - u32::from(width.max(1)))) << lsb;
                match rn {
                    Some(rn) if rn.is_pc() => return false,
                    Some(rn) => {
                        self.get(Gpr::Rax, rn);
                        self.shift_eax(Sh::Shl, lsb);
                        self.asm.alu_imm(B32, Alu::And, Gpr::Rax, mask as i32);
                        let loc = self.loc(rd);
                        self.asm.alu_imm(B32, Alu::And, loc, !mask as i32);
                        self.asm.alu_to(B32, Alu::Or, loc, Gpr::Rax);
                    }
                    None => {
                        let loc = self.loc(rd);
                        self.asm.alu_imm(B32, Alu::And, loc, !mask as i32);
                    }
                }
                self.form = Form::None;
            }
            _ => return false,
        }
        true
    }

    /// Parallel additions and subtractions that the host has.
    fn parallel(&mut self, prefix: ParPrefix, op: ParOp, rd: Reg, rn: Reg, rm: Reg) -> bool {
        let opcode = match (prefix, op) {
            (ParPrefix::U, ParOp::Add8) => 0xfc,
            (ParPrefix::U, ParOp::Sub8) => 0xf8,
            (ParPrefix::Uq, ParOp::Add8) => 0xdc,
            (ParPrefix::Uq, ParOp::Sub8) => 0xd8,
            (ParPrefix::Uq, ParOp::Add16) => 0xdd,
            (ParPrefix::Uq, ParOp::Sub16) => 0xd9,
            (ParPrefix::Q, ParOp::Add8) => 0xec,
            (ParPrefix::Q, ParOp::Sub8) => 0xe8,
            (ParPrefix::Q, ParOp::Add16) => 0xed,
            (ParPrefix::Q, ParOp::Sub16) => 0xe9,
            _ => return false,
        };
        const X0: Xmm = Xmm(0);
        const X1: Xmm = Xmm(1);
        let (from, other) = (self.loc(rn), self.loc(rm));
        self.asm.sse_gpr(Prefix::P66, false, 0x6e, X0.0, from);
        self.asm.sse_gpr(Prefix::P66, false, 0x6e, X1.0, other);
        if prefix == ParPrefix::U {
            // GE: the sum was carried out of, where it is below an operand; the difference borrowed
            // nothing, where the first operand is not below the second.
            const MAX: u8 = 0xde;
            const EQUAL: u8 = 0x74;
            const MASK: u8 = 0xd7;
            let adds = op == ParOp::Add8;
            if adds {
                self.asm.sse(Prefix::P66, opcode, X1, X0);
            }
            // Bits where X0 >= X1: of a sum, those without a carry, or where nothing was added.
            let compared = Xmm(2);
            self.asm.sse(Prefix::P66, 0x6f, compared, X1);
            self.asm.sse(Prefix::P66, MAX, compared, X0);
            let equals = if adds { X1 } else { X0 };
            self.asm.sse(Prefix::P66, EQUAL, compared, equals);
            self.asm.sse_gpr(
                Prefix::P66,
                false,
                MASK,
                Gpr::Rax as u8,
                crate::asm::gpr(compared.0),
            );
            if adds {
                self.asm.not(Gpr::Rax);
            } else {
                self.asm.sse(Prefix::P66, opcode, X0, X1);
            }
            self.asm.alu_imm(B32, Alu::And, Gpr::Rax, 15);
            self.asm.shift(B32, Sh::Shl, Gpr::Rax, 16);
            let cpsr = Mem::at(STATE, self.layout.cpsr);
            self.asm.alu_imm(B32, Alu::And, cpsr, !psr::GE as i32);
            self.asm.alu_to(B32, Alu::Or, cpsr, Gpr::Rax);
            self.form = Form::None;
            let result = if adds { X1 } else { X0 };
            let to = self.loc(rd);
            self.asm.sse_gpr(Prefix::P66, false, 0x7e, result.0, to);
            return true;
        }
        self.asm.sse(Prefix::P66, opcode, X0, X1);
        let to = self.loc(rd);
        self.asm.sse_gpr(Prefix::P66, false, 0x7e, X0.0, to);
        true
    }

    /// SEL.
    fn select(&mut self, rd: Reg, rn: Reg, rm: Reg) {
        let cpsr = Mem::at(STATE, self.layout.cpsr);
        self.asm.load(B32, Gpr::Rax, cpsr);
        self.asm.shift(B32, Sh::Shr, Gpr::Rax, 16);
        self.asm.alu_imm(B32, Alu::And, Gpr::Rax, 15);
        // Each bit to a byte of its own, and that to all its bits.
        self.asm.mov_imm(Gpr::Rcx, 0x0020_4081);
        self.asm.imul(B32, Gpr::Rax, Gpr::Rcx);
        self.asm.alu_imm(B32, Alu::And, Gpr::Rax, 0x0101_0101);
        self.asm.mov_imm(Gpr::Rcx, 0xff);
        self.asm.imul(B32, Gpr::Rax, Gpr::Rcx);
        // rm ^ (rn ^ rm) & mask
        self.get(Gpr::Rcx, rn);
        let other = self.loc(rm);
        self.asm.alu(B32, Alu::Xor, Gpr::Rcx, other);
        self.asm.alu(B32, Alu::And, Gpr::Rcx, Gpr::Rax);
        self.asm.alu(B32, Alu::Xor, Gpr::Rcx, other);
        self.set(rd, Gpr::Rcx);
        self.form = Form::None;
    }

    fn shift_eax(&mut self, op: Sh, by: u8) {
        if by != 0 {
            self.asm.shift(B32, op, Gpr::Rax, by);
        }
    }

    /// Sign-extends one half of a register.
    fn half(&mut self, to: Gpr, reg: Reg, high: bool) {
        if high {
            self.get(to, reg);
            self.asm.shift(B32, Sh::Sar, to, 16);
        } else {
            let loc = self.loc(reg);
            self.asm.load_sx(B16, to, loc);
        }
    }

    /// Division: by zero gives zero, and the one overflow wraps (manual A8.8.165, A8.8.248).
    fn divide(&mut self, signed: bool, rd: Reg, rn: Reg, rm: Reg) {
        let (done, zero) = (self.asm.label(), self.asm.label());
        self.get(Gpr::Rcx, rm);
        self.get(Gpr::Rax, rn);
        self.asm.test(B32, Gpr::Rcx, Gpr::Rcx);
        self.asm.jcc(Cc::E, zero);
        if signed {
            // In 64 bits the quotient of INT_MIN by -1 fits.
            self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rcx, -1);
            let divide = self.asm.label();
            self.asm.jcc(Cc::Ne, divide);
            self.asm.neg(Gpr::Rax);
            self.asm.jmp(done);
            self.asm.bind(divide);
            self.asm.cdq();
        } else {
            self.asm.alu(B32, Alu::Xor, Gpr::Rdx, Gpr::Rdx);
        }
        self.asm.div(signed, Gpr::Rcx);
        self.asm.jmp(done);
        self.asm.bind(zero);
        self.asm.alu(B32, Alu::Xor, Gpr::Rax, Gpr::Rax);
        self.asm.bind(done);
        self.set(rd, Gpr::Rax);
        self.form = Form::None;
    }

    fn extend(&mut self, op: Extend, rd: Reg, rn: Option<Reg>, rm: Reg, rotate: u8) -> bool {
        let (signed, width) = match op {
            Extend::Sxtb => (true, B8),
            Extend::Sxth => (true, B16),
            Extend::Uxtb => (false, B8),
            Extend::Uxth => (false, B16),
            Extend::Sxtb16 | Extend::Uxtb16 => return false,
        };
        let from = if rotate == 0 {
            self.get_whole(rm, Gpr::Rax)
        } else {
            self.get(Gpr::Rax, rm);
            self.asm.shift(B32, Sh::Ror, Gpr::Rax, rotate);
            self.form = Form::None;
            Gpr::Rax
        };
        let to = match pinned(rd) {
            Some(to) if rn.is_none() => to,
            _ => Gpr::Rax,
        };
        if signed {
            self.asm.load_sx(width, to, from);
        } else {
            self.asm.load_zx(width, to, from);
        }
        if let Some(rn) = rn {
            let rn = self.loc(rn);
            self.asm.alu(B32, Alu::Add, to, rn);
            self.form = Form::None;
        }
        self.set(rd, to);
        true
    }

    fn bits(&mut self, op: BitOp, rd: Reg, rm: Reg) {
        let from = self.loc(rm);
        match op {
            BitOp::Clz => self.asm.lzcnt(Gpr::Rax, from),
            BitOp::Rev | BitOp::Rev16 | BitOp::Revsh | BitOp::Rbit => {
                self.asm.load(B32, Gpr::Rax, from);
                self.asm.bswap(Gpr::Rax);
                match op {
                    BitOp::Rev16 => self.asm.shift(B32, Sh::Ror, Gpr::Rax, 16),
                    BitOp::Revsh => self.asm.shift(B32, Sh::Sar, Gpr::Rax, 16),
                    BitOp::Rbit => {
                        for (mask, by) in [(0x0f0f_0f0f, 4), (0x3333_3333, 2), (0x5555_5555, 1)] {
                            self.asm.store(B32, Gpr::Rcx, Gpr::Rax);
                            self.asm.shift(B32, Sh::Shr, Gpr::Rcx, by);
                            self.asm.alu_imm(B32, Alu::And, Gpr::Rcx, mask);
                            self.asm.alu_imm(B32, Alu::And, Gpr::Rax, mask);
                            self.asm.shift(B32, Sh::Shl, Gpr::Rax, by);
                            self.asm.alu(B32, Alu::Or, Gpr::Rax, Gpr::Rcx);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.set(rd, Gpr::Rax);
        self.form = Form::None;
    }
}

fn is_compare(op: DpOp) -> bool {
    matches!(op, DpOp::Tst | DpOp::Teq | DpOp::Cmp | DpOp::Cmn)
}

/// N and Z of what an instruction left in a register.
fn result(rd: Reg) -> Recipe {
    Recipe {
        operation: Operation::Result,
        a: Value::Reg(rd, 0),
        b: Value::Imm(0),
    }
}

/// How to compute the flags of `op rd, rn, b` anew after it, if the operands are still there. `b`:
/// none if it was shifted.
fn recipe(op: DpOp, rd: Reg, rn: Reg, b: Option<Value>) -> Option<Recipe> {
    if is_logical(op) && !is_compare(op) {
        return Some(result(rd));
    }
    let b = b?;
    let a = Value::Reg(rn, 0);
    if rn.is_pc() {
        return None;
    }
    let sets =
        |value: Value| matches!(value, Value::Reg(reg, _) | Value::Shifted(reg, ..) if reg == rd);
    let (operation, a, b) = match (op, b) {
        (DpOp::Cmp, b) => (Operation::Sub, a, b),
        (DpOp::Cmn, b) => (Operation::Add, a, b),
        (DpOp::Tst, b) => (Operation::And, a, b),
        (DpOp::Sub, Value::Imm(imm)) if rd == rn => {
            (Operation::Sub, Value::Reg(rd, imm), Value::Imm(imm))
        }
        (DpOp::Add, Value::Imm(imm)) if rd == rn => (
            Operation::Add,
            Value::Reg(rd, imm.wrapping_neg()),
            Value::Imm(imm),
        ),
        (DpOp::Sub, Value::Reg(rm, 0)) if rd == rn && rm != rd => {
            (Operation::Sub, Value::Sum(rd, rm), b)
        }
        (DpOp::Add, Value::Reg(rm, 0)) if rd == rn && rm != rd => {
            (Operation::Add, Value::Difference(rd, rm), b)
        }
        (DpOp::Add, Value::Reg(rm, 0)) if rd == rm && rn != rd => {
            (Operation::Add, Value::Difference(rd, rn), a)
        }
        (DpOp::Sub, b) if !sets(a) && !sets(b) => (Operation::Sub, a, b),
        (DpOp::Add, b) if !sets(a) && !sets(b) => (Operation::Add, a, b),
        (DpOp::Rsb, b @ Value::Imm(_)) if !sets(a) => (Operation::Sub, b, a),
        _ => return None,
    };
    Some(Recipe { operation, a, b })
}
