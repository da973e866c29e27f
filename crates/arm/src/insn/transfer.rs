//! Loads and stores of one register, or of two: one view of what the manual lists by direction, width
//! and form of the offset (DDI 0406C A4.6).

use super::{Index, Insn, Reg, Shift, Size};

/// A load or store of one register, or of two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// From memory, not to it.
    pub load: bool,
    /// What is transferred.
    pub data: Data,
    /// The base register. The PC is the base of literals, as Align(PC, 4).
    pub rn: Reg,
    /// What is added to it.
    pub offset: Offset,
    /// When it is, and whether the base register keeps the sum.
    pub index: Index,
}

/// What is transferred.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Data {
    /// A register, or a part of it. Of a store the size is Byte, Half or Word.
    One(Size, Reg),
    /// Two registers, words at the address and behind it.
    Two(Reg, Reg),
}

/// The offset of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offset {
    /// A number.
    Imm(i32),
    /// A register, shifted, added or subtracted.
    Reg {
        /// The register.
        rm: Reg,
        /// Added; otherwise subtracted.
        add: bool,
        /// How it is shifted.
        shift: Shift,
        /// And by how much.
        amount: u8,
    },
}

impl Insn {
    /// The instruction as a load or store of one register or two, if it is one. Exclusives and those of
    /// more registers are not.
    #[must_use]
    pub fn transfer(&self) -> Option<Transfer> {
        let (load, data, rn, offset, index) = match *self {
            Insn::LdrImm {
                size,
                rt,
                rn,
                offset,
                index,
            } => (true, Data::One(size, rt), rn, Offset::Imm(offset), index),
            Insn::StrImm {
                size,
                rt,
                rn,
                offset,
                index,
            } => (false, Data::One(size, rt), rn, Offset::Imm(offset), index),
            Insn::LdrReg {
                size,
                rt,
                rn,
                rm,
                add,
                shift,
                amount,
                index,
            } => {
                let offset = Offset::register(rm, add, shift, amount);
                (true, Data::One(size, rt), rn, offset, index)
            }
            Insn::StrReg {
                size,
                rt,
                rn,
                rm,
                add,
                shift,
                amount,
                index,
            } => {
                let offset = Offset::register(rm, add, shift, amount);
                (false, Data::One(size, rt), rn, offset, index)
            }
            Insn::LdrdImm {
                rt,
                rt2,
                rn,
                offset,
                index,
            } => (true, Data::Two(rt, rt2), rn, Offset::Imm(offset), index),
            Insn::StrdImm {
                rt,
                rt2,
                rn,
                offset,
                index,
            } => (false, Data::Two(rt, rt2), rn, Offset::Imm(offset), index),
            Insn::LdrdReg {
                rt,
                rt2,
                rn,
                rm,
                add,
                index,
            } => {
                let offset = Offset::register(rm, add, Shift::Lsl, 0);
                (true, Data::Two(rt, rt2), rn, offset, index)
            }
            Insn::StrdReg {
                rt,
                rt2,
                rn,
                rm,
                add,
                index,
            } => {
                let offset = Offset::register(rm, add, Shift::Lsl, 0);
                (false, Data::Two(rt, rt2), rn, offset, index)
            }
            _ => return None,
        };
        Some(Transfer {
            load,
            data,
            rn,
            offset,
            index,
        })
    }
}

impl Offset {
    fn register(rm: Reg, add: bool, shift: Shift, amount: u8) -> Self {
        Offset::Reg {
            rm,
            add,
            shift,
            amount,
        }
    }
}
