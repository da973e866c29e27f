//! Text of the instructions on registers: data processing, multiplication, packing.

use super::{Shifted, Text, shift_name, when};
use crate::insn::{BitOp, DpOp, Extend, Insn, MulLong, ParOp, ParPrefix, Reg, SatOp, Shift};
use core::fmt;

fn dp_name(op: DpOp) -> &'static str {
    match op {
        DpOp::And => "and",
        DpOp::Eor => "eor",
        DpOp::Sub => "sub",
        DpOp::Rsb => "rsb",
        DpOp::Add => "add",
        DpOp::Adc => "adc",
        DpOp::Sbc => "sbc",
        DpOp::Rsc => "rsc",
        DpOp::Tst => "tst",
        DpOp::Teq => "teq",
        DpOp::Cmp => "cmp",
        DpOp::Cmn => "cmn",
        DpOp::Orr => "orr",
        DpOp::Mov => "mov",
        DpOp::Bic => "bic",
        DpOp::Mvn => "mvn",
        DpOp::Orn => "orn",
    }
}

fn half(high: bool) -> &'static str {
    if high { "t" } else { "b" }
}

/// The mnemonic and all operands but the last of a data-processing instruction.
fn dp(op: DpOp, s: bool, rd: Reg, rn: Reg, cond: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = dp_name(op);
    match op {
        DpOp::Tst | DpOp::Teq | DpOp::Cmp | DpOp::Cmn => write!(f, "{name}{cond} {rn}, "),
        DpOp::Mov | DpOp::Mvn => write!(f, "{name}{}{cond} {rd}, ", when(s, "s")),
        _ => write!(f, "{name}{}{cond} {rd}, {rn}, ", when(s, "s")),
    }
}

/// `, ra` where there is one.
struct Plus(Option<Reg>);

impl fmt::Display for Plus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(reg) => write!(f, ", {reg}"),
            None => Ok(()),
        }
    }
}

/// Writes the instruction if it is one of this module's; tells whether it was.
pub(super) fn fmt(text: &Text, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let c = text.cond;
    match text.insn {
        Insn::DpImm {
            op, s, rd, rn, imm, ..
        } => {
            dp(op, s, rd, rn, c, f)?;
            write!(f, "#{}", imm as i32)?;
        }
        Insn::DpReg {
            op: DpOp::Mov,
            s,
            rd,
            rm,
            shift,
            amount,
            ..
        } => {
            let s = when(s, "s");
            match (shift, amount) {
                (Shift::Lsl, 0) => write!(f, "mov{s}{c} {rd}, {rm}")?,
                (Shift::Rrx, _) => write!(f, "rrx{s}{c} {rd}, {rm}")?,
                _ => write!(f, "{}{s}{c} {rd}, {rm}, #{amount}", shift_name(shift))?,
            }
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
            dp(op, s, rd, rn, c, f)?;
            write!(f, "{rm}{}", Shifted(shift, amount))?;
        }
        Insn::DpRsr {
            op: DpOp::Mov,
            s,
            rd,
            rm,
            shift,
            rs,
            ..
        } => write!(
            f,
            "{}{}{c} {rd}, {rm}, {rs}",
            shift_name(shift),
            when(s, "s")
        )?,
        Insn::DpRsr {
            op,
            s,
            rd,
            rn,
            rm,
            shift,
            rs,
        } => {
            dp(op, s, rd, rn, c, f)?;
            write!(f, "{rm}, {} {rs}", shift_name(shift))?;
        }
        Insn::Adr { rd, offset } => write!(f, "adr{c} {rd}, {:#x}", text.aligned(offset))?,
        Insn::Movw { rd, imm } => write!(f, "movw{c} {rd}, #{imm}")?,
        Insn::Movt { rd, imm } => write!(f, "movt{c} {rd}, #{imm}")?,
        _ => return multiply(text, f),
    }
    Ok(true)
}

fn multiply(text: &Text, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let c = text.cond;
    match text.insn {
        Insn::Mul { s, rd, rn, rm } => write!(f, "mul{}{c} {rd}, {rn}, {rm}", when(s, "s"))?,
        Insn::Mla { s, rd, rn, rm, ra } => {
            write!(f, "mla{}{c} {rd}, {rn}, {rm}, {ra}", when(s, "s"))?;
        }
        Insn::Mls { rd, rn, rm, ra } => write!(f, "mls{c} {rd}, {rn}, {rm}, {ra}")?,
        Insn::MulLong {
            op,
            s,
            rd_lo,
            rd_hi,
            rn,
            rm,
        } => {
            let name = match op {
                MulLong::Umull => "umull",
                MulLong::Umlal => "umlal",
                MulLong::Smull => "smull",
                MulLong::Smlal => "smlal",
                MulLong::Umaal => "umaal",
            };
            let s = when(s, "s");
            write!(f, "{name}{s}{c} {rd_lo}, {rd_hi}, {rn}, {rm}")?;
        }
        Insn::SmulXy {
            rd,
            rn,
            rm,
            n_high,
            m_high,
        } => {
            let (x, y) = (half(n_high), half(m_high));
            write!(f, "smul{x}{y}{c} {rd}, {rn}, {rm}")?;
        }
        Insn::SmlaXy {
            rd,
            rn,
            rm,
            ra,
            n_high,
            m_high,
        } => {
            let (x, y) = (half(n_high), half(m_high));
            write!(f, "smla{x}{y}{c} {rd}, {rn}, {rm}, {ra}")?;
        }
        Insn::SmulWy { rd, rn, rm, m_high } => {
            write!(f, "smulw{}{c} {rd}, {rn}, {rm}", half(m_high))?;
        }
        Insn::SmlaWy {
            rd,
            rn,
            rm,
            ra,
            m_high,
        } => write!(f, "smlaw{}{c} {rd}, {rn}, {rm}, {ra}", half(m_high))?,
        Insn::SmlalXy {
            rd_lo,
            rd_hi,
            rn,
            rm,
            n_high,
            m_high,
        } => {
            let (x, y) = (half(n_high), half(m_high));
            write!(f, "smlal{x}{y}{c} {rd_lo}, {rd_hi}, {rn}, {rm}")?;
        }
        Insn::DualMul {
            sub,
            swap,
            rd,
            rn,
            rm,
            ra,
        } => {
            let name = match (sub, ra) {
                (false, None) => "smuad",
                (false, Some(_)) => "smlad",
                (true, None) => "smusd",
                (true, Some(_)) => "smlsd",
            };
            let x = when(swap, "x");
            write!(f, "{name}{x}{c} {rd}, {rn}, {rm}{}", Plus(ra))?;
        }
        Insn::DualMulLong {
            sub,
            swap,
            rd_lo,
            rd_hi,
            rn,
            rm,
        } => {
            let name = if sub { "smlsld" } else { "smlald" };
            let x = when(swap, "x");
            write!(f, "{name}{x}{c} {rd_lo}, {rd_hi}, {rn}, {rm}")?;
        }
        Insn::Smmul {
            round,
            sub,
            rd,
            rn,
            rm,
            ra,
        } => {
            let name = match (sub, ra) {
                (true, _) => "smmls",
                (false, None) => "smmul",
                (false, Some(_)) => "smmla",
            };
            let r = when(round, "r");
            write!(f, "{name}{r}{c} {rd}, {rn}, {rm}{}", Plus(ra))?;
        }
        Insn::Div { signed, rd, rn, rm } => {
            let u = if signed { "s" } else { "u" };
            write!(f, "{u}div{c} {rd}, {rn}, {rm}")?;
        }
        Insn::Usad8 { rd, rn, rm, ra } => {
            let a = when(ra.is_some(), "a");
            write!(f, "usad{a}8{c} {rd}, {rn}, {rm}{}", Plus(ra))?;
        }
        _ => return pack(text, f),
    }
    Ok(true)
}

fn pack(text: &Text, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let c = text.cond;
    match text.insn {
        Insn::Sat { op, rd, rm, rn } => {
            let name = match op {
                SatOp::Qadd => "qadd",
                SatOp::Qsub => "qsub",
                SatOp::Qdadd => "qdadd",
                SatOp::Qdsub => "qdsub",
            };
            write!(f, "{name}{c} {rd}, {rm}, {rn}")?;
        }
        Insn::SatTo {
            signed,
            rd,
            to,
            rn,
            shift,
            amount,
        } => {
            let u = if signed { "s" } else { "u" };
            write!(f, "{u}sat{c} {rd}, #{to}, {rn}{}", Shifted(shift, amount))?;
        }
        Insn::Sat16 { signed, rd, to, rn } => {
            let u = if signed { "s" } else { "u" };
            write!(f, "{u}sat16{c} {rd}, #{to}, {rn}")?;
        }
        Insn::Parallel {
            prefix,
            op,
            rd,
            rn,
            rm,
        } => {
            let prefix = match prefix {
                ParPrefix::S => "s",
                ParPrefix::Q => "q",
                ParPrefix::Sh => "sh",
                ParPrefix::U => "u",
                ParPrefix::Uq => "uq",
                ParPrefix::Uh => "uh",
            };
            let op = match op {
                ParOp::Add16 => "add16",
                ParOp::Asx => "asx",
                ParOp::Sax => "sax",
                ParOp::Sub16 => "sub16",
                ParOp::Add8 => "add8",
                ParOp::Sub8 => "sub8",
            };
            write!(f, "{prefix}{op}{c} {rd}, {rn}, {rm}")?;
        }
        Insn::Pkh {
            tb,
            rd,
            rn,
            rm,
            amount,
        } => {
            let (name, shift) = if tb {
                ("pkhtb", Shift::Asr)
            } else {
                ("pkhbt", Shift::Lsl)
            };
            write!(f, "{name}{c} {rd}, {rn}, {rm}{}", Shifted(shift, amount))?;
        }
        Insn::Extend {
            op,
            rd,
            rn,
            rm,
            rotate,
        } => {
            let (before, after) = match op {
                Extend::Sxtb => ("sxt", "b"),
                Extend::Sxtb16 => ("sxt", "b16"),
                Extend::Sxth => ("sxt", "h"),
                Extend::Uxtb => ("uxt", "b"),
                Extend::Uxtb16 => ("uxt", "b16"),
                Extend::Uxth => ("uxt", "h"),
            };
            let a = when(rn.is_some(), "a");
            write!(f, "{before}{a}{after}{c} {rd}{}, {rm}", Plus(rn))?;
            if rotate != 0 {
                write!(f, ", ror #{rotate}")?;
            }
        }
        Insn::Sel { rd, rn, rm } => write!(f, "sel{c} {rd}, {rn}, {rm}")?,
        Insn::Bits { op, rd, rm } => {
            let name = match op {
                BitOp::Rev => "rev",
                BitOp::Rev16 => "rev16",
                BitOp::Revsh => "revsh",
                BitOp::Rbit => "rbit",
                BitOp::Clz => "clz",
            };
            write!(f, "{name}{c} {rd}, {rm}")?;
        }
        Insn::Bfi { rd, rn, lsb, width } => match rn {
            Some(rn) => write!(f, "bfi{c} {rd}, {rn}, #{lsb}, #{width}")?,
            None => write!(f, "bfc{c} {rd}, #{lsb}, #{width}")?,
        },
        Insn::Bfx {
            signed,
            rd,
            rn,
            lsb,
            width,
        } => {
            let u = if signed { "s" } else { "u" };
            write!(f, "{u}bfx{c} {rd}, {rn}, #{lsb}, #{width}")?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
