//! Loads and stores that the syndrome of a data abort does not describe (HSR.ISV = 0): the
//! instruction is executed here, against whatever each of its accesses goes to.

use skep_arm::insn::{Data, Decoded, Index, Insn, Offset, Reg, Shift, Size};
use skep_arm::simd;

/// The vCPU whose instruction is executed.
pub trait Cpu: simd::Context {
    /// A load or store with the privilege of User mode, whatever the mode (LDRT and the like).
    fn unprivileged(&mut self, on: bool);
    /// Whether CP10 and CP11 may be used now.
    fn simd_permitted(&mut self, insn: &skep_arm::insn::simd::Simd) -> bool;
    /// Continues at an address that was loaded into the PC, with the instruction set in bit 0.
    fn branch(&mut self, target: u32);
    /// Stores of a register: R15 reads as for everything else.
    fn store_value(&self, reg: Reg) -> u32 {
        self.reg(reg)
    }
}

/// Why an instruction is not executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal<E> {
    /// One of its accesses failed.
    Access(E),
    /// It is not one that makes sense on a device: exclusives, SWP, User registers from other modes.
    Unsupported,
}

/// Executes a load or store. The condition has passed. Registers are written only when all
/// accesses have succeeded.
///
/// # Errors
///
/// An access failed, or the instruction is none for a device.
pub fn execute<C: Cpu>(decoded: &Decoded, cpu: &mut C) -> Result<(), Refusal<C::Error>> {
    if let Some(transfer) = decoded.insn.transfer() {
        let offset = match transfer.offset {
            Offset::Imm(offset) => offset,
            Offset::Reg {
                rm,
                add,
                shift,
                amount,
            } => shifted(cpu, rm, shift, amount, add)?,
        };
        let place = Place {
            rn: transfer.rn,
            offset,
            index: transfer.index,
        };
        return match (transfer.load, transfer.data) {
            (true, Data::One(size, rt)) => load(cpu, size, rt, place),
            (false, Data::One(size, rt)) => store(cpu, size, rt, place),
            (true, Data::Two(rt, rt2)) => load_pair(cpu, [rt, rt2], place),
            (false, Data::Two(rt, rt2)) => store_pair(cpu, [rt, rt2], place),
        };
    }
    match decoded.insn {
        Insn::Ldm {
            rn,
            list,
            increment,
            before,
            wback,
            user: false,
        } => load_multiple(cpu, Multiple::new(cpu.reg(rn), list, increment, before), {
            wback.then_some(rn)
        }),
        Insn::Stm {
            rn,
            list,
            increment,
            before,
            wback,
            user: false,
        } => store_multiple(cpu, Multiple::new(cpu.reg(rn), list, increment, before), {
            wback.then_some(rn)
        }),
        Insn::Simd(ref insn) => {
            if !cpu.simd_permitted(insn) {
                return Err(Refusal::Unsupported);
            }
            match simd::execute_load_store(insn, cpu) {
                Some(result) => result.map_err(Refusal::Access),
                None => Err(Refusal::Unsupported),
            }
        }
        // A hint that faults is one that does nothing.
        Insn::PldImm { .. } | Insn::PldReg { .. } => Ok(()),
        _ => Err(Refusal::Unsupported),
    }
}

/// Where a single access goes.
struct Place {
    rn: Reg,
    offset: i32,
    index: Index,
}

impl Place {
    fn base<C: Cpu>(&self, cpu: &C) -> u32 {
        let base = cpu.reg(self.rn);
        if self.rn.is_pc() { base & !3 } else { base }
    }

    fn address<C: Cpu>(&self, cpu: &mut C) -> u32 {
        let unprivileged = matches!(self.index, Index::PostUnpriv | Index::OffsetUnpriv);
        cpu.unprivileged(unprivileged);
        match self.index {
            Index::Post | Index::PostUnpriv => self.base(cpu),
            _ => self.base(cpu).wrapping_add_signed(self.offset),
        }
    }

    /// What the base register becomes.
    fn after<C: Cpu>(&self, cpu: &C) -> Option<u32> {
        match self.index {
            Index::Offset | Index::OffsetUnpriv => None,
            _ => Some(self.base(cpu).wrapping_add_signed(self.offset)),
        }
    }
}

fn signed(offset: u32, add: bool) -> i32 {
    let offset = if add { offset } else { offset.wrapping_neg() };
    offset as i32
}

/// A register offset. RRX would need the carry flag, and no device driver uses it.
fn shifted<C: Cpu>(
    cpu: &C,
    rm: Reg,
    shift: Shift,
    amount: u8,
    add: bool,
) -> Result<i32, Refusal<C::Error>> {
    let value = cpu.reg(rm);
    let amount = u32::from(amount);
    let value = match shift {
        Shift::Lsl => value.checked_shl(amount).unwrap_or(0),
        Shift::Lsr => value.checked_shr(amount).unwrap_or(0),
        Shift::Asr => ((value as i32) >> amount.min(31)) as u32,
        Shift::Ror => value.rotate_right(amount),
        Shift::Rrx => return Err(Refusal::Unsupported),
    };
    Ok(signed(value, add))
}

fn write_back<C: Cpu>(cpu: &mut C, rn: Reg, value: Option<u32>) {
    if let Some(value) = value {
        cpu.set_reg(rn, value);
    }
}

fn load<C: Cpu>(cpu: &mut C, size: Size, rt: Reg, place: Place) -> Result<(), Refusal<C::Error>> {
    let at = place.address(cpu);
    let mut read = |bytes| cpu.load(at, bytes).map(|value| value as u32);
    let value = match size {
        Size::Byte => read(1),
        Size::Half => read(2),
        Size::Word => read(4),
        Size::SignedByte => read(1).map(|value| value as i8 as u32),
        Size::SignedHalf => read(2).map(|value| value as i16 as u32),
    }
    .map_err(Refusal::Access)?;
    let after = place.after(cpu);
    write_back(cpu, place.rn, after);
    if rt.is_pc() {
        cpu.branch(value);
    } else {
        cpu.set_reg(rt, value);
    }
    Ok(())
}

fn store<C: Cpu>(cpu: &mut C, size: Size, rt: Reg, place: Place) -> Result<(), Refusal<C::Error>> {
    let at = place.address(cpu);
    let bytes = match size {
        Size::Byte | Size::SignedByte => 1,
        Size::Half | Size::SignedHalf => 2,
        Size::Word => 4,
    };
    let value = cpu.store_value(rt);
    cpu.store(at, bytes, value.into())
        .map_err(Refusal::Access)?;
    let after = place.after(cpu);
    write_back(cpu, place.rn, after);
    Ok(())
}

fn load_pair<C: Cpu>(
    cpu: &mut C,
    registers: [Reg; 2],
    place: Place,
) -> Result<(), Refusal<C::Error>> {
    let at = place.address(cpu);
    let low = cpu.load(at, 4).map_err(Refusal::Access)?;
    let high = cpu.load(at.wrapping_add(4), 4).map_err(Refusal::Access)?;
    let after = place.after(cpu);
    write_back(cpu, place.rn, after);
    for (register, value) in registers.into_iter().zip([low, high]) {
        if !register.is_pc() {
            cpu.set_reg(register, value as u32);
        }
    }
    Ok(())
}

fn store_pair<C: Cpu>(
    cpu: &mut C,
    registers: [Reg; 2],
    place: Place,
) -> Result<(), Refusal<C::Error>> {
    let mut at = place.address(cpu);
    for register in registers {
        let value = cpu.store_value(register);
        cpu.store(at, 4, value.into()).map_err(Refusal::Access)?;
        at = at.wrapping_add(4);
    }
    let after = place.after(cpu);
    write_back(cpu, place.rn, after);
    Ok(())
}

/// A transfer of several registers.
struct Multiple {
    list: u16,
    /// The lowest address.
    low: u32,
    /// What the base becomes.
    after: u32,
}

impl Multiple {
    fn new(base: u32, list: u16, increment: bool, before: bool) -> Self {
        let bytes = 4 * list.count_ones();
        let (start, after) = if increment {
            (base, base.wrapping_add(bytes))
        } else {
            (base.wrapping_sub(bytes), base.wrapping_sub(bytes))
        };
        let low = if increment == before {
            start.wrapping_add(4)
        } else {
            start
        };
        Multiple { list, low, after }
    }

    fn registers(&self) -> impl Iterator<Item = (usize, u32)> + use<> {
        let (list, low) = (self.list, self.low);
        (0..16usize)
            .filter(move |n| list >> n & 1 != 0)
            .enumerate()
            .map(move |(i, n)| (n, low.wrapping_add(4 * i as u32)))
    }
}

fn load_multiple<C: Cpu>(
    cpu: &mut C,
    transfer: Multiple,
    base: Option<Reg>,
) -> Result<(), Refusal<C::Error>> {
    cpu.unprivileged(false);
    let mut values = [0; 16];
    for (n, at) in transfer.registers() {
        values[n] = cpu.load(at, 4).map_err(Refusal::Access)? as u32;
    }
    write_back(cpu, base.unwrap_or(Reg::PC), base.map(|_| transfer.after));
    for (n, _) in transfer.registers() {
        if n == 15 {
            cpu.branch(values[15]);
        } else {
            cpu.set_reg(Reg::new(n as u32), values[n]);
        }
    }
    Ok(())
}

fn store_multiple<C: Cpu>(
    cpu: &mut C,
    transfer: Multiple,
    base: Option<Reg>,
) -> Result<(), Refusal<C::Error>> {
    cpu.unprivileged(false);
    for (n, at) in transfer.registers() {
        let value = cpu.store_value(Reg::new(n as u32));
        cpu.store(at, 4, value.into()).map_err(Refusal::Access)?;
    }
    write_back(cpu, base.unwrap_or(Reg::PC), base.map(|_| transfer.after));
    Ok(())
}

#[cfg(test)]
mod tests;
