//! Text of system and coprocessor instructions, and hints.

use super::memory::Address;
use super::{Text, suffix, when};
use crate::insn::{Banked, Barrier, Cond, Hint, Index, Insn, Reg};
use core::fmt;

/// CPSR or SPSR with the fields that MSR writes.
struct Psr {
    spsr: bool,
    mask: u8,
}

impl fmt::Display for Psr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.spsr { "SPSR_" } else { "CPSR_" })?;
        for (bit, letter) in [(8, "f"), (4, "s"), (2, "x"), (1, "c")] {
            f.write_str(when(self.mask & bit != 0, letter))?;
        }
        Ok(())
    }
}

/// The name of a banked register (manual B9.2.3).
struct BankedName(Banked);

impl fmt::Display for BankedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sysm = self.0.sysm & 31;
        let mode = match sysm {
            0..=7 => "usr",
            8..=15 => "fiq",
            16..=17 => "irq",
            18..=19 => "svc",
            20..=21 => "abt",
            22..=23 => "und",
            24..=29 => "mon",
            _ => "hyp",
        };
        match (self.0.r, sysm) {
            (true, _) => write!(f, "SPSR_{mode}"),
            (false, 0..=15) => write!(f, "{}_{mode}", Upper(Reg::new(8 + u32::from(sysm & 7)))),
            (false, 30) => f.write_str("ELR_hyp"),
            (false, _) if sysm & 1 == 0 => write!(f, "LR_{mode}"),
            (false, _) => write!(f, "SP_{mode}"),
        }
    }
}

/// A register as banked names have it: `R8`, `SP`, `LR`.
struct Upper(Reg);

impl fmt::Display for Upper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reg::SP => f.write_str("SP"),
            Reg::LR => f.write_str("LR"),
            reg => write!(f, "R{}", reg.index()),
        }
    }
}

fn way_name(increment: bool, before: bool) -> &'static str {
    match (increment, before) {
        (true, false) => "ia",
        (true, true) => "ib",
        (false, false) => "da",
        (false, true) => "db",
    }
}

/// Writes the instruction if it is one of this module's; tells whether it was.
pub(super) fn fmt(text: &Text, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let c = text.cond;
    match text.insn {
        Insn::It { it } => {
            // Bits 3 to 0, up to the lowest that is set, say "then" when they are the same as the
            // condition's lowest bit.
            f.write_str("it")?;
            let then = it >> 4 & 1;
            let last = it.trailing_zeros().min(3);
            for bit in (last + 1..4).rev() {
                f.write_str(if it >> bit & 1 == then { "t" } else { "e" })?;
            }
            let cond = Cond::from_bits(u32::from(it >> 4));
            let name = if cond == Cond::Al { "al" } else { suffix(cond) };
            write!(f, " {name}")?;
        }
        Insn::Svc { imm } => write!(f, "svc{c} #{imm}")?,
        Insn::Hvc { imm } => write!(f, "hvc #{imm}")?,
        Insn::Smc { imm } => write!(f, "smc{c} #{imm}")?,
        Insn::Bkpt { imm } => write!(f, "bkpt #{imm}")?,
        Insn::Udf { imm } => write!(f, "udf{c} #{imm}")?,
        Insn::Cps { enable, aif, mode } => {
            let how = match enable {
                Some(true) => "ie ",
                Some(false) => "id ",
                None => " ",
            };
            write!(f, "cps{how}")?;
            for (bit, letter) in [(4, "a"), (2, "i"), (1, "f")] {
                f.write_str(when(aif & bit != 0, letter))?;
            }
            if let Some(mode) = mode {
                write!(f, "{}#{mode}", when(enable.is_some(), ", "))?;
            }
        }
        Insn::Setend { big } => write!(f, "setend {}", if big { "be" } else { "le" })?,
        Insn::Mrs { spsr, rd } => {
            write!(f, "mrs{c} {rd}, {}", if spsr { "SPSR" } else { "CPSR" })?;
        }
        Insn::MsrReg { spsr, mask, rn } => write!(f, "msr{c} {}, {rn}", Psr { spsr, mask })?,
        Insn::MsrImm { spsr, mask, imm } => {
            write!(f, "msr{c} {}, #{}", Psr { spsr, mask }, imm as i32)?;
        }
        Insn::MrsBanked { rd, reg } => write!(f, "mrs{c} {rd}, {}", BankedName(reg))?,
        Insn::MsrBanked { rn, reg } => write!(f, "msr{c} {}, {rn}", BankedName(reg))?,
        Insn::Srs {
            mode,
            increment,
            before,
            wback,
        } => {
            let (way, w) = (way_name(increment, before), when(wback, "!"));
            write!(f, "srs{way}{c} sp{w}, #{mode}")?;
        }
        Insn::Rfe {
            rn,
            increment,
            before,
            wback,
        } => {
            let (way, w) = (way_name(increment, before), when(wback, "!"));
            write!(f, "rfe{way}{c} {rn}{w}")?;
        }
        Insn::Eret => write!(f, "eret{c}")?,
        Insn::Hint { op, option } => match op {
            Hint::Nop if option == 0 => write!(f, "nop{c}")?,
            Hint::Nop => write!(f, "nop{c} {{{option}}}")?,
            Hint::Yield => write!(f, "yield{c}")?,
            Hint::Wfe => write!(f, "wfe{c}")?,
            Hint::Wfi => write!(f, "wfi{c}")?,
            Hint::Sev => write!(f, "sev{c}")?,
            Hint::Dbg => write!(f, "dbg{c} #{option}")?,
        },
        Insn::Barrier { op, option } => {
            let name = match op {
                Barrier::Dsb => "dsb",
                Barrier::Dmb => "dmb",
                Barrier::Isb => "isb",
            };
            let domain = match (op, option) {
                (_, 15) => "sy",
                (Barrier::Isb, _) => "",
                (_, 14) => "st",
                (_, 11) => "ish",
                (_, 10) => "ishst",
                (_, 7) => "nsh",
                (_, 6) => "nshst",
                (_, 3) => "osh",
                (_, 2) => "oshst",
                _ => "",
            };
            if domain.is_empty() {
                write!(f, "{name}{c} #{option}")?;
            } else {
                write!(f, "{name}{c} {domain}")?;
            }
        }
        _ => return coprocessor(text, f),
    }
    Ok(true)
}

fn coprocessor(text: &Text, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let c = text.cond;
    match text.insn {
        Insn::Mcr { reg, rt, two } | Insn::Mrc { reg, rt, two } => {
            let name = if matches!(text.insn, Insn::Mcr { .. }) {
                "mcr"
            } else {
                "mrc"
            };
            write!(
                f,
                "{name}{}{c} p{}, {}, ",
                when(two, "2"),
                reg.coproc,
                reg.opc1
            )?;
            if rt.is_pc() && name == "mrc" {
                f.write_str("APSR_nzcv")?;
            } else {
                write!(f, "{rt}")?;
            }
            write!(f, ", c{}, c{}, {}", reg.crn, reg.crm, reg.opc2)?;
        }
        Insn::Mcrr {
            coproc,
            opc1,
            rt,
            rt2,
            crm,
            two,
        } => {
            let two = when(two, "2");
            write!(f, "mcrr{two}{c} p{coproc}, {opc1}, {rt}, {rt2}, c{crm}")?;
        }
        Insn::Mrrc {
            coproc,
            opc1,
            rt,
            rt2,
            crm,
            two,
        } => {
            let two = when(two, "2");
            write!(f, "mrrc{two}{c} p{coproc}, {opc1}, {rt}, {rt2}, c{crm}")?;
        }
        Insn::Cdp {
            coproc,
            opc1,
            crd,
            crn,
            crm,
            opc2,
            two,
        } => {
            let two = when(two, "2");
            write!(
                f,
                "cdp{two}{c} p{coproc}, {opc1}, c{crd}, c{crn}, c{crm}, {opc2}"
            )?;
        }
        Insn::Ldc {
            coproc,
            crd,
            long,
            rn,
            offset,
            index,
            option,
            two,
        }
        | Insn::Stc {
            coproc,
            crd,
            long,
            rn,
            offset,
            index,
            option,
            two,
        } => {
            let name = if matches!(text.insn, Insn::Ldc { .. }) {
                "ldc"
            } else {
                "stc"
            };
            let (two, l) = (when(two, "2"), when(long, "l"));
            write!(f, "{name}{two}{l}{c} p{coproc}, c{crd}, ")?;
            match option {
                Some(option) => write!(f, "[{rn}], {{{option}}}")?,
                None if offset == 0 && index == Index::Offset => write!(f, "[{rn}]")?,
                None => write!(f, "{}", Address(rn, format_args!("#{offset}"), index))?,
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}
