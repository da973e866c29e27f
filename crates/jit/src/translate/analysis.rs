//! Which flags instructions read and write, and which of them must be kept.

use super::steps::{Step, Test};
use skep_arm::insn::simd::{Simd, Wback};
use skep_arm::insn::{Cond, DpOp, Hint, Index, Insn, Reg, Shift};

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
    /// It computes with C.
    pub reads_carry: bool,
    /// It may do anything with the flags.
    pub unknown: bool,
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

/// The flags that decide whether an instruction executes.
pub fn tested(test: Test) -> u8 {
    match test {
        Test::Cond(cond) => cond_reads(cond),
        Test::Always | Test::Zero { .. } => 0,
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
    reads_carry: false,
    unknown: false,
};

/// It may fault or leave the block, and then the flags are read; else it leaves them alone.
const ACCESS: Effects = Effects {
    reads: flag::ALL,
    ..NOTHING
};

/// For the interpreter: it reads everything, and may write anything.
const EVERYTHING: Effects = Effects {
    reads: flag::ALL,
    unknown: true,
    ..NOTHING
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
                shift: Shift::Rrx, ..
            } = insn
            {
                effects.reads |= flag::C;
                effects.reads_carry = true;
            }
            effects
        }
        // The shifter's carry depends on the amount: C may stay as it is.
        Insn::DpRsr { op, s, rd, .. } => data_processing(op, s, rd.is_pc(), false),
        Insn::Mul { s: true, .. } | Insn::Mla { s: true, .. } => Effects {
            writes: flag::N | flag::Z,
            form: Form::Logic,
            ..NOTHING
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
        | Insn::Parallel { .. }
        | Insn::Sel { .. }
        | Insn::It { .. }
        | Insn::Hint {
            op: Hint::Nop | Hint::Dbg,
            ..
        }
        | Insn::PldImm { .. }
        | Insn::PldReg { .. } => NOTHING,
        Insn::LdrImm { rt, .. } | Insn::LdrReg { rt, .. } if !rt.is_pc() => ACCESS,
        Insn::Bl { .. }
        | Insn::Cbz { .. }
        | Insn::StrImm { .. }
        | Insn::StrReg { .. }
        | Insn::LdrdImm { .. }
        | Insn::LdrdReg { .. }
        | Insn::StrdImm { .. }
        | Insn::StrdReg { .. }
        | Insn::Stm { user: false, .. }
        | Insn::Ldrex { .. }
        | Insn::Strex { .. } => ACCESS,
        Insn::Ldm {
            user: false, list, ..
        } if list & 0x8000 == 0 => ACCESS,
        Insn::Simd(Simd::Vmrs { rt: Reg::PC, .. }) => Effects {
            writes: flag::ALL,
            ..ACCESS
        },
        Insn::Simd(Simd::Vmsr { .. }) => EVERYTHING,
        Insn::Simd(_) => ACCESS,
        _ => EVERYTHING,
    }
}

/// The core registers that an instruction may set, and what it calls: a bit each.
pub fn written(insn: &Insn) -> u16 {
    let one = |reg: Reg| 1u16 << reg.index();
    let base = |rn: Reg, index: Index| if index == Index::Offset { 0 } else { one(rn) };
    match *insn {
        Insn::DpImm { op, rd, .. } | Insn::DpReg { op, rd, .. } | Insn::DpRsr { op, rd, .. } => {
            match op {
                DpOp::Tst | DpOp::Teq | DpOp::Cmp | DpOp::Cmn => 0,
                _ => one(rd),
            }
        }
        Insn::Adr { rd, .. }
        | Insn::Movw { rd, .. }
        | Insn::Movt { rd, .. }
        | Insn::Mul { rd, .. }
        | Insn::Mla { rd, .. }
        | Insn::Mls { rd, .. }
        | Insn::SmulXy { rd, .. }
        | Insn::Smmul { rd, .. }
        | Insn::Div { rd, .. }
        | Insn::Extend { rd, .. }
        | Insn::Bits { rd, .. }
        | Insn::Bfi { rd, .. }
        | Insn::Bfx { rd, .. }
        | Insn::Parallel { rd, .. }
        | Insn::Sel { rd, .. }
        | Insn::Strex { rd, .. } => one(rd),
        Insn::MulLong { rd_lo, rd_hi, .. } => one(rd_lo) | one(rd_hi),
        Insn::LdrImm { rt, rn, index, .. } | Insn::LdrReg { rt, rn, index, .. } => {
            one(rt) | base(rn, index)
        }
        Insn::StrImm { rn, index, .. }
        | Insn::StrReg { rn, index, .. }
        | Insn::StrdImm { rn, index, .. }
        | Insn::StrdReg { rn, index, .. } => base(rn, index),
        Insn::LdrdImm {
            rt, rt2, rn, index, ..
        }
        | Insn::LdrdReg {
            rt, rt2, rn, index, ..
        } => one(rt) | one(rt2) | base(rn, index),
        Insn::Ldm {
            rn, list, wback, ..
        } => list | if wback { one(rn) } else { 0 },
        Insn::Stm { rn, wback, .. } => {
            if wback {
                one(rn)
            } else {
                0
            }
        }
        Insn::Ldrex { rt, rt2, .. } => one(rt) | one(rt2),
        Insn::It { .. }
        | Insn::PldImm { .. }
        | Insn::PldReg { .. }
        | Insn::B { .. }
        | Insn::Bx { .. }
        | Insn::Cbz { .. }
        | Insn::Tbb { .. } => 0,
        Insn::Bl { .. } | Insn::BlxImm { .. } | Insn::Blx { .. } => one(Reg::LR),
        Insn::Simd(simd) => match simd {
            Simd::Vldr { .. }
            | Simd::Vstr { .. }
            | Simd::Vfp { .. }
            | Simd::VfpUnary { .. }
            | Simd::VfpImm { .. }
            | Simd::Vcmp { .. }
            | Simd::VcvtPrecision { .. }
            | Simd::VcvtFromInt { .. }
            | Simd::VcvtToInt { .. }
            | Simd::VcvtFixed { .. }
            | Simd::VcvtHalf { .. }
            | Simd::Int { .. }
            | Simd::IntScalar { .. }
            | Simd::Float { .. }
            | Simd::FloatScalar { .. }
            | Simd::FloatUnary { .. }
            | Simd::Cvt { .. }
            | Simd::CvtHalf { .. }
            | Simd::Permute { .. }
            | Simd::Vtbl { .. }
            | Simd::Unary { .. }
            | Simd::Shift { .. }
            | Simd::ShiftLong { .. }
            | Simd::Long { .. }
            | Simd::LongScalar { .. }
            | Simd::HighNarrow { .. }
            | Simd::Narrow { .. }
            | Simd::Imm { .. }
            | Simd::VdupCore { .. }
            | Simd::VdupScalar { .. }
            | Simd::Vext { .. }
            | Simd::VmovCoreSingle { to_core: false, .. }
            | Simd::VmovCoreSinglePair { to_core: false, .. }
            | Simd::VmovCoreDouble { to_core: false, .. }
            | Simd::VmovToScalar { .. } => 0,
            Simd::Vldm { rn, wback, .. } | Simd::Vstm { rn, wback, .. } => {
                if wback {
                    one(rn)
                } else {
                    0
                }
            }
            Simd::VmovCoreSingle { rt, .. }
            | Simd::VmovFromScalar { rt, .. }
            | Simd::Vmrs { rt, .. } => one(rt),
            Simd::VmovCoreSinglePair { rt, rt2, .. } | Simd::VmovCoreDouble { rt, rt2, .. } => {
                one(rt) | one(rt2)
            }
            Simd::Multiple { rn, wback, .. }
            | Simd::Lane { rn, wback, .. }
            | Simd::AllLanes { rn, wback, .. } => {
                if wback == Wback::None {
                    0
                } else {
                    one(rn)
                }
            }
            _ => u16::MAX,
        },
        _ => u16::MAX,
    }
}

/// The register that an instruction, if it executes, just adds a number to.
pub fn moved(insn: &Insn) -> Option<(Reg, u32)> {
    match *insn {
        Insn::DpImm {
            op: DpOp::Add,
            s: false,
            rd,
            rn,
            imm,
            ..
        } if rd == rn => Some((rd, imm)),
        Insn::DpImm {
            op: DpOp::Sub,
            s: false,
            rd,
            rn,
            imm,
            ..
        } if rd == rn => Some((rd, imm.wrapping_neg())),
        Insn::LdrImm {
            rt,
            rn,
            offset,
            index: Index::Pre | Index::Post,
            ..
        }
        | Insn::StrImm {
            rt,
            rn,
            offset,
            index: Index::Pre | Index::Post,
            ..
        } if rt != rn => Some((rn, offset as u32)),
        Insn::Simd(
            Simd::Vldm {
                rn,
                bytes,
                increment,
                wback: true,
                ..
            }
            | Simd::Vstm {
                rn,
                bytes,
                increment,
                wback: true,
                ..
            },
        ) => {
            let bytes = u32::from(bytes);
            Some((
                rn,
                if increment {
                    bytes
                } else {
                    bytes.wrapping_neg()
                },
            ))
        }
        Insn::Simd(Simd::Multiple {
            regs,
            rn,
            wback: Wback::Size,
            ..
        }) => Some((rn, u32::from(regs) * 8)),
        _ => None,
    }
}

/// The translation of this instruction, which computes with the carry, leaves the host's flags alone
/// up to that computation.
pub fn keeps_host_carry(insn: &Insn) -> bool {
    match *insn {
        Insn::DpImm { .. } => true,
        Insn::DpReg { amount, rm, .. } => amount == 0 && !rm.is_pc(),
        _ => false,
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
    let reads_carry = reads != 0;
    if !s {
        return Effects {
            reads,
            reads_carry,
            ..NOTHING
        };
    }
    if is_logical(op) {
        let carry = if sets_carry { flag::C } else { 0 };
        return Effects {
            reads,
            writes: flag::N | flag::Z | carry,
            form: Form::Logic,
            ..NOTHING
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
        reads_carry,
        unknown: false,
    }
}

/// What is known of the flags around an instruction of a block.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Liveness {
    /// Flags that are read after it before they are set, if only by what may fault.
    pub after: u8,
    /// The next instruction executes under the same test of the condition.
    pub joins_next: bool,
}

/// Works out the liveness of flags in a block, backwards. Where the block is left an interrupt may be
/// taken, which keeps them all. Returns those that are read before they are set.
pub fn liveness(steps: &[Step], out: &mut Vec<Liveness>) -> u8 {
    out.clear();
    out.resize(steps.len(), Liveness::default());
    // Beyond the block anything may be read.
    let (mut after, mut next) = (flag::ALL, None::<Step>);
    for (i, step) in steps.iter().enumerate().rev() {
        let decoded = &step.decoded;
        let conditional = step.test != Test::Always;
        let mut effects = effects(&decoded.insn);
        if step.over {
            effects = NOTHING;
        } else if let Insn::B { .. } = decoded.insn {
            effects = Effects {
                reads: flag::ALL,
                ..NOTHING
            };
            if !conditional {
                // It goes nowhere else.
                after = 0;
            }
        }
        let joins_next = if step.behind_branch() {
            step.joins_next
        } else {
            conditional
                && next.is_some_and(|next| next.test == step.test)
                && effects.writes == 0
                && !effects.unknown
                && !matches!(decoded.insn, Insn::B { .. })
        };
        if let Some(slot) = out.get_mut(i) {
            *slot = Liveness { after, joins_next };
        }
        let killed = if conditional { 0 } else { effects.writes };
        after = tested(step.test) | effects.reads | after & !killed;
        // IT does nothing: what stands before it looks at what stands behind it.
        if !matches!(decoded.insn, Insn::It { .. }) {
            next = Some(*step);
        }
    }
    after
}
