//! The guest's flags: where they are, and how conditions are told from them.
//!
//! Between blocks they are in memory ([`Shared::flags`]). Within a block most of them are never
//! stored: the translator remembers what computed them last, a [`Recipe`], as long as its operands
//! keep their values. A condition computes them anew unless the host's flags still have them, and so
//! does the cold code of an instruction that leaves for the interpreter.

use super::analysis::{Form, flag, host_tells};
use super::{Translator, register};
use crate::asm::{Alu, Asm, Cc, Gpr, Loc, Mem, Sh, Width};
use crate::context::{Layout, STATE, Shared};
use skep_arm::insn::{Cond, Reg, Shift};
use std::mem::offset_of;

use Width::{B8, B32};

/// Offset in [`Shared::flags`] of V: 0 or 1.
pub const V: usize = 0;
/// Offset of a byte whose bit 0 is the inverted C, as the host has it after a subtraction.
pub const NOT_C: usize = 1;
/// Offset of a byte whose bits 7 and 6 are N and Z, as LAHF has them.
pub const NZ: usize = 2;

/// The flags as CPSR has them, in bits 31:28.
pub fn to_psr(flags: [u8; 4]) -> u32 {
    let [v, not_c, nz, _] = flags.map(u32::from);
    nz >> 6 << 30 | (!not_c & 1) << 29 | (v & 1) << 28
}

/// The opposite of [`to_psr`].
pub fn from_psr(psr: u32) -> [u8; 4] {
    let mut flags = [0; 4];
    flags[V] = (psr >> 28 & 1) as u8;
    flags[NOT_C] = (!psr >> 29 & 1) as u8;
    flags[NZ] = (psr >> 24 & 0xc0) as u8;
    flags
}

/// What the flags were computed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recipe {
    pub operation: Operation,
    pub a: Value,
    pub b: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// All flags, of `a - b`.
    Sub,
    /// All flags, of `a + b`.
    Add,
    /// N and Z, of `a & b`.
    And,
    /// N and Z, of `a`; `b` does not count.
    Result,
}

/// An operand of a recipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    Imm(u32),
    /// A register's value, and what is to be added to it.
    Reg(Reg, u32),
    /// The sum of two registers; `a` only.
    Sum(Reg, Reg),
    /// The first register less the second; `a` only.
    Difference(Reg, Reg),
    /// A register's value, shifted by a constant (not RRX); `b` only, and with a plain `a`.
    Shifted(Reg, Shift, u8),
    /// What was saved in [`Shared::saved`].
    Saved(u8),
}

impl Value {
    /// Where the value is, if it need not be computed.
    fn place(self, layout: &Layout) -> Option<Loc> {
        match self {
            Value::Reg(reg, 0) => Some(home(reg)),
            Value::Saved(n) => Some(Loc::Mem(saved(layout, n))),
            _ => None,
        }
    }

    /// Loads the value into RAX.
    fn load(self, asm: &mut Asm, layout: &Layout) {
        match self {
            Value::Imm(imm) => asm.mov_imm(Gpr::Rax, imm),
            Value::Reg(reg, plus) => match home(reg) {
                Loc::Reg(host) if plus != 0 => asm.lea(Gpr::Rax, Mem::at(host, plus as i32)),
                from => {
                    asm.load(B32, Gpr::Rax, from);
                    if plus != 0 {
                        asm.alu_imm(B32, Alu::Add, Gpr::Rax, plus as i32);
                    }
                }
            },
            Value::Sum(a, b) | Value::Difference(a, b) => {
                let op = match self {
                    Value::Sum(..) => Alu::Add,
                    _ => Alu::Sub,
                };
                asm.load(B32, Gpr::Rax, home(a));
                asm.alu(B32, op, Gpr::Rax, home(b));
            }
            Value::Shifted(reg, shift, amount) => {
                asm.load(B32, Gpr::Rax, home(reg));
                shift_constant(asm, Gpr::Rax, shift, amount);
            }
            Value::Saved(n) => asm.load(B32, Gpr::Rax, saved(layout, n)),
        }
    }

    fn uses(self, registers: u16) -> bool {
        let one = |reg: Reg| registers >> reg.index() & 1 != 0;
        match self {
            Value::Imm(_) | Value::Saved(_) => false,
            Value::Reg(reg, _) | Value::Shifted(reg, ..) => one(reg),
            Value::Sum(a, b) | Value::Difference(a, b) => one(a) || one(b),
        }
    }
}

/// Shifts a host register as a shifted operand is, RRX apart.
pub(super) fn shift_constant(asm: &mut Asm, to: Gpr, shift: Shift, amount: u8) {
    match (shift, amount) {
        (_, 0) => {}
        (Shift::Lsl, n) => asm.shift(B32, Sh::Shl, to, n),
        (Shift::Lsr, 32) => asm.alu(B32, Alu::Xor, to, to),
        (Shift::Lsr, n) => asm.shift(B32, Sh::Shr, to, n),
        (Shift::Asr, n) => asm.shift(B32, Sh::Sar, to, n.min(31)),
        (Shift::Ror | Shift::Rrx, n) => asm.shift(B32, Sh::Ror, to, n),
    }
}

impl Recipe {
    /// The flags that it gives.
    pub fn flags(&self) -> u8 {
        match self.operation {
            Operation::Sub | Operation::Add => flag::ALL,
            Operation::And | Operation::Result => flag::N | flag::Z,
        }
    }

    pub(super) fn form(&self) -> Form {
        match self.operation {
            Operation::Sub => Form::Sub,
            Operation::Add => Form::Add,
            Operation::And | Operation::Result => Form::Logic,
        }
    }

    /// The recipe after an instruction that sets these registers and adds a number to one; None if
    /// the operands are lost.
    pub fn after(mut self, written: u16, moved: Option<(Reg, u32)>) -> Option<Self> {
        let mut lost = written;
        if let Some((reg, by)) = moved {
            let moves = |value: &mut Value| match value {
                Value::Reg(a, plus) if *a == reg => {
                    *plus = plus.wrapping_sub(by);
                    true
                }
                _ => false,
            };
            // Only one of them, beside a plain register or a constant.
            let plain =
                |value: Value| matches!(value, Value::Reg(_, 0) | Value::Saved(_) | Value::Imm(_));
            let one = 1 << reg.index();
            let (a, b) = (self.a.uses(one), self.b.uses(one));
            let moved = match (a, b) {
                (true, false) => plain(self.b) && moves(&mut self.a),
                (false, true) => {
                    matches!(self.a, Value::Reg(_, 0) | Value::Saved(_)) && moves(&mut self.b)
                }
                _ => false,
            };
            if moved {
                lost &= !one;
            }
        }
        (!self.a.uses(lost) && !self.b.uses(lost)).then_some(self)
    }

    /// Computes the flags anew, in the host's. Uses RAX.
    pub(super) fn compute(&self, asm: &mut Asm, layout: &Layout) {
        let (operation, a, b) = (self.operation, self.a.place(layout), self.b.place(layout));
        match (operation, a, b, self.b) {
            (Operation::Result, Some(a), ..) => asm.alu_imm(B32, Alu::Cmp, a, 0),
            (Operation::Result, None, ..) => {
                self.a.load(asm, layout);
                asm.test(B32, Gpr::Rax, Gpr::Rax);
            }
            (Operation::Sub, Some(a), _, Value::Imm(imm)) => {
                asm.alu_imm(B32, Alu::Cmp, a, imm as i32);
            }
            (Operation::Sub, Some(Loc::Reg(a)), Some(b), _) => asm.alu(B32, Alu::Cmp, a, b),
            (Operation::Sub, Some(a), Some(Loc::Reg(b)), _) => asm.alu_to(B32, Alu::Cmp, a, b),
            (Operation::And, Some(Loc::Reg(a)), Some(b), _) => asm.test(B32, b, a),
            (_, _, _, Value::Imm(imm)) => {
                self.a.load(asm, layout);
                asm.alu_imm(B32, operation.alu(), Gpr::Rax, imm as i32);
            }
            (_, _, Some(b), _) => {
                self.a.load(asm, layout);
                asm.alu(B32, operation.alu(), Gpr::Rax, b);
            }
            (_, Some(a), None, _) => {
                self.b.load(asm, layout);
                match operation {
                    Operation::Sub => asm.alu_to(B32, Alu::Cmp, a, Gpr::Rax),
                    _ => asm.alu(B32, operation.alu(), Gpr::Rax, a),
                }
            }
            // One of the two has a place.
            (_, None, None, _) => {}
        }
    }
}

impl Operation {
    /// The host's operation on RAX, whose value is of no use afterwards.
    fn alu(self) -> Alu {
        match self {
            Operation::Sub | Operation::Result => Alu::Cmp,
            Operation::Add => Alu::Add,
            Operation::And => Alu::And,
        }
    }
}

/// Where a register that is not the PC lives.
fn home(reg: Reg) -> Loc {
    match super::pinned(reg) {
        Some(host) => Loc::Reg(host),
        None => Loc::Mem(register(reg.index())),
    }
}

fn saved(layout: &Layout, n: u8) -> Mem {
    Mem::at(
        STATE,
        layout.shared(offset_of!(Shared, saved) + 4 * usize::from(n)),
    )
}

/// Stores flags that are in the host's, and returns what the host's hold then. Uses RAX.
fn store(asm: &mut Asm, flags: Mem, form: Form, live: u8) -> Form {
    let at = |offset: usize| Mem {
        disp: flags.disp + offset as i32,
        ..flags
    };
    if form == Form::None {
        return form;
    }
    // Each byte is stored by itself: the host forwards a store only to a load of the same bytes.
    let sign = live & (flag::N | flag::Z) != 0;
    let arithmetic = form != Form::Logic && live & (flag::C | flag::V) != 0;
    if arithmetic && form == Form::Add {
        asm.cmc();
    }
    if sign || arithmetic {
        asm.lahf();
    }
    if sign {
        asm.store_ah(at(NZ));
    }
    if !arithmetic {
        return form;
    }
    if live & flag::C != 0 {
        asm.store_ah(at(NOT_C));
    }
    if live & flag::V != 0 {
        asm.setcc(Cc::O, at(V));
    }
    Form::Sub
}

impl Translator<'_> {
    pub(super) fn flag_byte(&self, offset: usize) -> Mem {
        self.shared(offset_of!(Shared, flags) + offset)
    }

    /// After an instruction that left flags in the host's. `live`: those that anything may read.
    pub(super) fn set_flags(&mut self, form: Form, recipe: Option<Recipe>, live: u8) {
        self.form = form;
        match recipe {
            Some(recipe) if self.skip.is_none() => {
                self.pending = (live & recipe.flags() != 0).then_some(recipe);
            }
            _ => {
                if self.skip.is_none() {
                    self.pending = None;
                }
                let flags = self.flag_byte(0);
                self.form = store(self.asm, flags, form, live);
            }
        }
    }

    /// Has the flags in memory, those in `live` at least. Uses RAX.
    pub(super) fn settle_flags(&mut self, live: u8) {
        let Some(recipe) = self.pending else {
            return;
        };
        // Under a test of a condition this may not be executed.
        if self.skip.is_none() {
            self.pending = None;
        }
        if live & recipe.flags() == 0 {
            return;
        }
        if self.form == Form::None {
            recipe.compute(self.asm, &self.layout);
            self.form = recipe.form();
        }
        let flags = self.flag_byte(0);
        self.form = store(self.asm, flags, self.form, live & recipe.flags());
    }

    /// Before instructions that set these registers: saves the operands of the pending recipe that
    /// would be lost. Uses RAX.
    pub(super) fn save_operands(&mut self, written: u16) {
        let Some(mut recipe) = self.pending else {
            return;
        };
        for (n, value) in (0..).zip([&mut recipe.a, &mut recipe.b]) {
            if !value.uses(written) {
                continue;
            }
            let from = match value.place(&self.layout) {
                Some(Loc::Reg(host)) => host,
                place => {
                    value.load(self.asm, &self.layout);
                    if place.is_none() {
                        self.form = Form::None;
                    }
                    Gpr::Rax
                }
            };
            self.asm.store(B32, saved(&self.layout, n), from);
            *value = Value::Saved(n);
        }
        self.pending = Some(recipe);
    }

    /// The same in cold code, where nothing is known of the host's flags.
    pub(super) fn place_flags(&mut self, recipe: Option<Recipe>) {
        if let Some(recipe) = recipe {
            recipe.compute(self.asm, &self.layout);
            let flags = self.flag_byte(0);
            store(self.asm, flags, recipe.form(), recipe.flags());
        }
    }

    /// Emits code that tests a condition, and returns how it is told. Uses RAX and RCX.
    pub(super) fn test(&mut self, cond: Cond) -> Cc {
        if self.form == Form::None
            && let Some(recipe) = self.pending
            && (host_tells(recipe.form(), cond) || recipe.form() == Form::Add)
        {
            recipe.compute(self.asm, &self.layout);
            self.form = recipe.form();
        }
        if self.form == Form::Add && !host_tells(Form::Add, cond) {
            self.asm.cmc();
            self.form = Form::Sub;
        }
        if host_tells(self.form, cond) {
            return host_condition(self.form, cond);
        }
        self.settle_flags(flag::ALL);
        self.form = Form::None;
        let [v, not_c, nz] = [V, NOT_C, NZ].map(|offset| self.flag_byte(offset));
        let asm = &mut *self.asm;
        match cond {
            Cond::Eq | Cond::Ne => asm.test_imm8(nz, 0x40),
            Cond::Mi | Cond::Pl => asm.test_imm8(nz, 0x80),
            Cond::Cs | Cond::Cc => asm.test_imm8(not_c, 1),
            Cond::Vs | Cond::Vc => asm.test_imm8(v, 1),
            Cond::Hi | Cond::Ls => {
                asm.load(B8, Gpr::Rax, nz);
                asm.alu_imm(B8, Alu::And, Gpr::Rax, 0x40);
                asm.load(B8, Gpr::Rcx, not_c);
                asm.alu_imm(B8, Alu::And, Gpr::Rcx, 1);
                asm.alu(B8, Alu::Or, Gpr::Rax, Gpr::Rcx);
            }
            Cond::Ge | Cond::Lt => {
                asm.load_zx(B8, Gpr::Rax, nz);
                asm.shift(B32, Sh::Shr, Gpr::Rax, 7);
                asm.alu(B8, Alu::Cmp, Gpr::Rax, v);
            }
            Cond::Gt | Cond::Le => {
                asm.load_zx(B8, Gpr::Rax, nz);
                asm.store(B32, Gpr::Rcx, Gpr::Rax);
                asm.shift(B32, Sh::Shr, Gpr::Rax, 7);
                asm.alu(B8, Alu::Xor, Gpr::Rax, v);
                asm.alu_imm(B8, Alu::And, Gpr::Rcx, 0x40);
                asm.alu(B8, Alu::Or, Gpr::Rax, Gpr::Rcx);
            }
            // Nothing asks for it.
            Cond::Al => asm.alu(B32, Alu::Cmp, Gpr::Rax, Gpr::Rax),
        }
        match cond {
            Cond::Eq | Cond::Mi | Cond::Cc | Cond::Vs | Cond::Ls | Cond::Lt | Cond::Le => Cc::Ne,
            Cond::Ne
            | Cond::Pl
            | Cond::Cs
            | Cond::Vc
            | Cond::Hi
            | Cond::Ge
            | Cond::Gt
            | Cond::Al => Cc::E,
        }
    }

    /// Loads the carry into the host's: as it is, or inverted as subtraction needs it.
    pub(super) fn load_carry(&mut self, inverted: bool) {
        let held = match self.form {
            Form::Sub => true,
            Form::Add => false,
            Form::Logic | Form::None => {
                // Recipes that give the carry were settled before the instruction.
                self.asm.bt(self.flag_byte(NOT_C), 0);
                true
            }
        };
        if held != inverted {
            self.asm.cmc();
        }
    }
}

/// How the host tells a condition of the guest.
fn host_condition(form: Form, cond: Cond) -> Cc {
    let inverted = form == Form::Sub;
    match cond {
        Cond::Eq => Cc::E,
        Cond::Ne => Cc::Ne,
        Cond::Cs if inverted => Cc::Ae,
        Cond::Cs => Cc::B,
        Cond::Cc if inverted => Cc::B,
        Cond::Cc => Cc::Ae,
        Cond::Mi => Cc::S,
        Cond::Pl => Cc::Ns,
        Cond::Vs => Cc::O,
        Cond::Vc => Cc::No,
        Cond::Hi => Cc::A,
        Cond::Ls => Cc::Be,
        Cond::Ge => Cc::Ge,
        Cond::Lt => Cc::L,
        Cond::Gt => Cc::G,
        Cond::Le | Cond::Al => Cc::Le,
    }
}
