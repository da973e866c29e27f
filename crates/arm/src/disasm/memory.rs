//! Text of loads, stores and branches.

use super::{List, Shifted, Text, when};
use crate::insn::{Data, ExSize, Index, Insn, Offset, Reg, Shift, Size, Transfer};
use core::fmt::{self, Display};

fn size_name(size: Size) -> &'static str {
    match size {
        Size::Byte => "b",
        Size::Half => "h",
        Size::Word => "",
        Size::SignedByte => "sb",
        Size::SignedHalf => "sh",
    }
}

fn ex_name(size: ExSize) -> &'static str {
    match size {
        ExSize::Byte => "b",
        ExSize::Half => "h",
        ExSize::Word => "",
        ExSize::Double => "d",
    }
}

fn unprivileged(index: Index) -> &'static str {
    when(
        matches!(index, Index::PostUnpriv | Index::OffsetUnpriv),
        "t",
    )
}

/// `[rn, offset]` and its indexed forms, around any text of the offset.
pub(super) struct Address<T>(pub Reg, pub T, pub Index);

impl<T: fmt::Display> fmt::Display for Address<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address(rn, offset, index) = self;
        match index {
            Index::Offset | Index::OffsetUnpriv => write!(f, "[{rn}, {offset}]"),
            Index::Pre => write!(f, "[{rn}, {offset}]!"),
            Index::Post | Index::PostUnpriv => write!(f, "[{rn}], {offset}"),
        }
    }
}

/// `[rn, #offset]` and its indexed forms; the address too where `rn` is the PC.
struct ImmAddress<'a>(&'a Text, Reg, i32, Index);

impl fmt::Display for ImmAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImmAddress(text, rn, offset, index) = *self;
        if offset == 0 && matches!(index, Index::Offset | Index::OffsetUnpriv) {
            write!(f, "[{rn}]")?;
        } else {
            Address(rn, format_args!("#{offset}"), index).fmt(f)?;
        }
        if rn.is_pc() && index == Index::Offset {
            write!(f, " ; {:#x}", text.aligned(offset))?;
        }
        Ok(())
    }
}

/// `rm` with its sign and shift.
struct RegOffset(Reg, bool, Shift, u8);

impl fmt::Display for RegOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RegOffset(rm, add, shift, amount) = *self;
        write!(f, "{}{rm}{}", when(!add, "-"), Shifted(shift, amount))
    }
}

/// Writes the instruction if it is one of this module's; tells whether it was.
pub(super) fn fmt(text: &Text, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let c = text.cond;
    if let Some(transfer) = text.insn.transfer() {
        let Transfer {
            load, rn, index, ..
        } = transfer;
        f.write_str(if load { "ldr" } else { "str" })?;
        match transfer.data {
            Data::One(size, rt) => {
                let (size, t) = (size_name(size), unprivileged(index));
                write!(f, "{size}{t}{c} {rt}, ")?;
            }
            Data::Two(rt, rt2) => write!(f, "d{c} {rt}, {rt2}, ")?,
        }
        match transfer.offset {
            Offset::Imm(offset) => ImmAddress(text, rn, offset, index).fmt(f)?,
            Offset::Reg {
                rm,
                add,
                shift,
                amount,
            } => Address(rn, RegOffset(rm, add, shift, amount), index).fmt(f)?,
        }
        return Ok(true);
    }
    match text.insn {
        Insn::Ldm {
            rn,
            list,
            increment,
            before,
            wback,
            user,
        } => {
            if rn == Reg::SP && increment && !before && wback && !user {
                write!(f, "pop{c} {}", List(list))?;
            } else {
                let way = way_name(increment, before);
                let (w, u) = (when(wback, "!"), when(user, "^"));
                write!(f, "ldm{way}{c} {rn}{w}, {}{u}", List(list))?;
            }
        }
        Insn::Stm {
            rn,
            list,
            increment,
            before,
            wback,
            user,
        } => {
            if rn == Reg::SP && !increment && before && wback && !user {
                write!(f, "push{c} {}", List(list))?;
            } else {
                let way = way_name(increment, before);
                let (w, u) = (when(wback, "!"), when(user, "^"));
                write!(f, "stm{way}{c} {rn}{w}, {}{u}", List(list))?;
            }
        }
        Insn::PldImm {
            write,
            code,
            rn,
            offset,
        } => {
            let address = ImmAddress(text, rn, offset, Index::Offset);
            write!(f, "{}{c} {address}", preload_name(write, code))?;
        }
        Insn::PldReg {
            write,
            code,
            rn,
            rm,
            add,
            shift,
            amount,
        } => {
            let address = Address(rn, RegOffset(rm, add, shift, amount), Index::Offset);
            write!(f, "{}{c} {address}", preload_name(write, code))?;
        }
        _ => return exclusive_or_branch(text, f),
    }
    Ok(true)
}

/// The suffix of LDM and STM; IA is not written.
fn way_name(increment: bool, before: bool) -> &'static str {
    match (increment, before) {
        (true, false) => "",
        (true, true) => "ib",
        (false, false) => "da",
        (false, true) => "db",
    }
}

fn preload_name(write: bool, code: bool) -> &'static str {
    match (code, write) {
        (true, _) => "pli",
        (false, true) => "pldw",
        (false, false) => "pld",
    }
}

fn exclusive_or_branch(text: &Text, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let c = text.cond;
    let target = |offset: i32| text.pc.wrapping_add_signed(offset);
    match text.insn {
        Insn::Ldrex {
            size,
            rt,
            rt2,
            rn,
            offset,
        } => {
            write!(f, "ldrex{}{c} {rt}", ex_name(size))?;
            if size == ExSize::Double {
                write!(f, ", {rt2}")?;
            }
            let address = ImmAddress(text, rn, i32::from(offset), Index::Offset);
            write!(f, ", {address}")?;
        }
        Insn::Strex {
            size,
            rd,
            rt,
            rt2,
            rn,
            offset,
        } => {
            write!(f, "strex{}{c} {rd}, {rt}", ex_name(size))?;
            if size == ExSize::Double {
                write!(f, ", {rt2}")?;
            }
            let address = ImmAddress(text, rn, i32::from(offset), Index::Offset);
            write!(f, ", {address}")?;
        }
        Insn::Clrex => write!(f, "clrex{c}")?,
        Insn::Swp { byte, rt, rt2, rn } => {
            write!(f, "swp{}{c} {rt}, {rt2}, [{rn}]", when(byte, "b"))?;
        }
        Insn::B { offset } => write!(f, "b{c} {:#x}", target(offset))?,
        Insn::Bl { offset } => write!(f, "bl{c} {:#x}", target(offset))?,
        // From T32 it goes to A32, whose instructions are words; from A32 the PC is aligned.
        Insn::BlxImm { offset } => write!(f, "blx{c} {:#x}", text.aligned(offset))?,
        Insn::Blx { rm } => write!(f, "blx{c} {rm}")?,
        Insn::Bx { rm } => write!(f, "bx{c} {rm}")?,
        Insn::Bxj { rm } => write!(f, "bxj{c} {rm}")?,
        Insn::Cbz {
            nonzero,
            rn,
            offset,
        } => write!(f, "cb{}z {rn}, {:#x}", when(nonzero, "n"), target(offset))?,
        Insn::Tbb { half, rn, rm } => {
            if half {
                write!(f, "tbh{c} [{rn}, {rm}, lsl #1]")?;
            } else {
                write!(f, "tbb{c} [{rn}, {rm}]")?;
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}
