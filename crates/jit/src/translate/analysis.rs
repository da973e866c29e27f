//! Which flags instructions read and write, and which of them must be kept.

use skep_arm::insn::{Cond, Decoded, DpOp, Insn};

/// Sets of the flags N, Z, C, V.
pub mod flag {
    #![allow(missing_docs)]
    pub const N: u8 = 8;
    pub const Z: u8 = 4;
    pub const C: u8 = 2;
    pub const V: u8 = 1;
    pub const ALL: u8 = 15;
}

/// What the host's flags hold after an instruction that sets the guest's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Nothing of use.
    None,
    /// All four; the host's carry is the inverted one.
    Sub,
    /// All four.
    Add,
    /// N and Z.
    Logic,
}

/// An instruction's dealings with the flags, its condition apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effects {
    /// Flags that it reads, or that something that can look at the whole state may read: a fault,
    /// the interpreter, code outside the block.
    pub reads: u8,
    /// Flags that it sets if it executes.
    pub writes: u8,
    /// Where the host's flags stand after it.
    pub form: Form,
}

/// The flags that a condition looks at.
pub fn cond_reads(cond: Cond) -> u8 {
    use flag::{C, N, V, Z};
    match cond {
        Cond::Eq | Cond::Ne => Z,
        Cond::Cs | Cond::Cc => C,
        Cond::Mi | Cond::Pl => N,
        Cond::Vs | Cond::Vc => V,
        Cond::Hi | Cond::Ls => C | Z,
        Cond::Ge | Cond::Lt => N | V,
        Cond::Gt | Cond::Le => N | Z | V,
        Cond::Al => 0,
    }
}

/// A condition can be told from the host's flags.
pub fn host_tells(form: Form, cond: Cond) -> bool {
    match form {
        Form::None => false,
        Form::Sub => true,
        Form::Add => !matches!(cond, Cond::Hi | Cond::Ls),
        Form::Logic => matches!(cond, Cond::Eq | Cond::Ne | Cond::Mi | Cond::Pl),
    }
}

const NOTHING: Effects = Effects {
    reads: 0,
    writes: 0,
    form: Form::None,
};

/// For the interpreter: it reads everything, and may write anything.
pub const EVERYTHING: Effects = Effects {
    reads: flag::ALL,
    writes: 0,
    form: Form::None,
};

/// Effects of an instruction, condition apart.
pub fn effects(insn: &Insn) -> Effects {
    match *insn {
        Insn::DpImm {
            op, s, rd, carry, ..
        } => data_processing(op, s, rd.is_pc(), carry.is_some()),
        Insn::DpReg {
            op, s, rd, amount, ..
        } => {
            let mut effects = data_processing(op, s, rd.is_pc(), amount != 0);
            if let Insn::DpReg {
                shift: skep_arm::insn::Shift::Rrx,
                ..
            } = insn
            {
                effects.reads |= flag::C;
            }
            effects
        }
        // The shifter's carry depends on the amount: the interpreter does those that set it.
        Insn::DpRsr { op, s, rd, .. } => {
            if s && is_logical(op) {
                EVERYTHING
            } else {
                data_processing(op, s, rd.is_pc(), false)
            }
        }
        Insn::Mul { s: true, .. } | Insn::Mla { s: true, .. } => Effects {
            reads: 0,
            writes: flag::N | flag::Z,
            form: Form::Logic,
        },
        Insn::Adr { rd, .. } if !rd.is_pc() => NOTHING,
        Insn::Movw { .. }
        | Insn::Movt { .. }
        | Insn::Mul { .. }
        | Insn::Mla { .. }
        | Insn::Mls { .. }
        | Insn::MulLong { s: false, .. }
        | Insn::SmulXy { .. }
        | Insn::Smmul { .. }
        | Insn::Div { .. }
        | Insn::Extend { .. }
        | Insn::Bits { .. }
        | Insn::Bfi { .. }
        | Insn::Bfx { .. }
        | Insn::It { .. }
        | Insn::PldImm { .. }
        | Insn::PldReg { .. } => NOTHING,
        _ => EVERYTHING,
    }
}

/// And, Eor, Tst, Teq, Orr, Mov, Bic, Mvn, Orn.
pub fn is_logical(op: DpOp) -> bool {
    use DpOp::*;
    matches!(op, And | Eor | Tst | Teq | Orr | Mov | Bic | Mvn | Orn)
}

fn data_processing(op: DpOp, s: bool, to_pc: bool, sets_carry: bool) -> Effects {
    let compare = matches!(op, DpOp::Tst | DpOp::Teq | DpOp::Cmp | DpOp::Cmn);
    if to_pc && !compare {
        return EVERYTHING;
    }
    let reads = match op {
        DpOp::Adc | DpOp::Sbc | DpOp::Rsc => flag::C,
        _ => 0,
    };
    if !s {
        return Effects { reads, ..NOTHING };
    }
    if is_logical(op) {
        let carry = if sets_carry { flag::C } else { 0 };
        return Effects {
            reads,
            writes: flag::N | flag::Z | carry,
            form: Form::Logic,
        };
    }
    let form = match op {
        DpOp::Add | DpOp::Adc | DpOp::Cmn => Form::Add,
        _ => Form::Sub,
    };
    Effects {
        reads,
        writes: flag::ALL,
        form,
    }
}

/// What is known of the flags around an instruction of a block.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Liveness {
    /// Flags that must be in memory before it.
    pub before: u8,
    /// The same, if its condition is told from elsewhere.
    pub before_body: u8,
    /// Flags that must be in memory after it.
    pub after: u8,
    /// The next instruction executes under the same test of the condition.
    pub joins_next: bool,
}

/// Works out the liveness of flags in a block, backwards. `exits` gives the flags that must be kept
/// for where a branch goes.
pub fn liveness(insns: &[Decoded], exits: impl Fn(usize, &Insn) -> u8, out: &mut Vec<Liveness>) {
    out.clear();
    out.resize(insns.len(), Liveness::default());
    let mut next: Option<(Liveness, Decoded)> = None;
    for (i, decoded) in insns.iter().enumerate().rev() {
        let mut effects = effects(&decoded.insn);
        if let Insn::B { .. } = decoded.insn {
            effects = Effects {
                reads: exits(i, &decoded.insn),
                ..NOTHING
            };
        }
        let writes_some = effects.writes != 0 || effects == EVERYTHING;
        let conditional = decoded.cond != Cond::Al;
        let (after, joins_next) = match &next {
            // Beyond the block anything may be read.
            None => (flag::ALL, false),
            Some((live, following)) => {
                let joins = conditional
                    && following.cond == decoded.cond
                    && !writes_some
                    && !matches!(decoded.insn, Insn::B { .. });
                let told = !conditional && host_tells(effects.form, following.cond);
                if joins || told {
                    (live.before_body, joins)
                } else {
                    (live.before, false)
                }
            }
        };
        // An unconditional branch goes nowhere else.
        let after = match decoded.insn {
            Insn::B { .. } if !conditional => 0,
            _ => after,
        };
        let killed = if conditional { 0 } else { effects.writes };
        let before_body = effects.reads | after & !killed;
        let live = Liveness {
            before: before_body | cond_reads(decoded.cond),
            before_body,
            after,
            joins_next,
        };
        if let Some(slot) = out.get_mut(i) {
            *slot = live;
        }
        // IT does nothing: what stands before it looks at what stands behind it.
        if !matches!(decoded.insn, Insn::It { .. }) {
            next = Some((live, *decoded));
        }
    }
}
