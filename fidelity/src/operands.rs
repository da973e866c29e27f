//! Operands that make instructions meaningful: addresses in the memory window, branch targets where
//! something waits.

use crate::generate::Program;
use crate::rng::Rng;
use crate::wire::*;
use skep_arm::insn::simd::Simd;
use skep_arm::insn::{DpOp, ExSize, Index, Insn, Reg, Shift, Size};
use skep_arm::state::psr;

/// Where an access is: a base register, and what is added to it for the first address.
struct Address {
    rn: Reg,
    /// The register whose value is part of `delta`.
    rm: Option<Reg>,
    delta: u32,
    /// The alignment that the access needs, or at least likes.
    align: u32,
}

/// The base register of a load or store, and the index register if it has one.
pub(crate) fn base_and_index(insn: &Insn) -> Option<(Reg, Option<Reg>)> {
    address(insn, &[0; 16], 0).map(|at| (at.rn, at.rm))
}

/// Whether the instruction loads or stores.
pub fn accesses_memory(insn: &Insn) -> bool {
    let regs = [0; 16];
    address(insn, &regs, 0).is_some()
}

fn shifted(value: u32, shift: Shift, amount: u8, cpsr: u32) -> u32 {
    let amount = u32::from(amount);
    match shift {
        Shift::Lsl => value.checked_shl(amount).unwrap_or(0),
        Shift::Lsr => value.checked_shr(amount).unwrap_or(0),
        Shift::Asr => ((value as i32) >> amount.min(31)) as u32,
        Shift::Ror => value.rotate_right(amount),
        Shift::Rrx => value >> 1 | (cpsr >> 29 & 1) << 31,
    }
}

fn indexed(index: Index, offset: u32) -> u32 {
    match index {
        Index::Post | Index::PostUnpriv => 0,
        _ => offset,
    }
}

fn signed(add: bool, value: u32) -> u32 {
    if add { value } else { value.wrapping_neg() }
}

fn size_bytes(size: Size) -> u32 {
    match size {
        Size::Byte | Size::SignedByte => 1,
        Size::Half | Size::SignedHalf => 2,
        Size::Word => 4,
    }
}

/// The first address of `registers` words from the base.
fn block(registers: u32, increment: bool, before: bool) -> u32 {
    match (increment, before) {
        (true, false) => 0,
        (true, true) => 4,
        (false, true) => (4 * registers).wrapping_neg(),
        (false, false) => (4 * registers).wrapping_neg().wrapping_add(4),
    }
}

fn address(insn: &Insn, regs: &[u32; 16], cpsr: u32) -> Option<Address> {
    let value = |reg: Reg| regs[reg.index()];
    let (rn, rm, delta, align) = match *insn {
        Insn::LdrImm {
            size,
            rn,
            offset,
            index,
            ..
        }
        | Insn::StrImm {
            size,
            rn,
            offset,
            index,
            ..
        } => (rn, None, indexed(index, offset as u32), size_bytes(size)),
        Insn::LdrReg {
            size,
            rn,
            rm,
            add,
            shift,
            amount,
            index,
            ..
        }
        | Insn::StrReg {
            size,
            rn,
            rm,
            add,
            shift,
            amount,
            index,
            ..
        } => {
            let offset = signed(add, shifted(value(rm), shift, amount, cpsr));
            (rn, Some(rm), indexed(index, offset), size_bytes(size))
        }
        Insn::LdrdImm {
            rn, offset, index, ..
        }
        | Insn::StrdImm {
            rn, offset, index, ..
        } => (rn, None, indexed(index, offset as u32), 8),
        Insn::LdrdReg {
            rn, rm, add, index, ..
        }
        | Insn::StrdReg {
            rn, rm, add, index, ..
        } => (rn, Some(rm), indexed(index, signed(add, value(rm))), 8),
        Insn::Ldm {
            rn,
            list,
            increment,
            before,
            ..
        }
        | Insn::Stm {
            rn,
            list,
            increment,
            before,
            ..
        } => (rn, None, block(list.count_ones(), increment, before), 4),
        Insn::Ldrex {
            size, rn, offset, ..
        }
        | Insn::Strex {
            size, rn, offset, ..
        } => {
            let align = match size {
                ExSize::Byte => 1,
                ExSize::Half => 2,
                ExSize::Word => 4,
                ExSize::Double => 8,
            };
            (rn, None, u32::from(offset), align)
        }
        Insn::Swp { rn, byte, .. } => (rn, None, 0, if byte { 1 } else { 4 }),
        Insn::Tbb { half, rn, rm } => (rn, Some(rm), value(rm) << u32::from(half), 2),
        Insn::Rfe {
            rn,
            increment,
            before,
            ..
        } => (rn, None, block(2, increment, before), 4),
        Insn::Srs {
            increment, before, ..
        } => (Reg::SP, None, block(2, increment, before), 4),
        Insn::Simd(Simd::Vldr { rn, offset, .. } | Simd::Vstr { rn, offset, .. }) => {
            (rn, None, i32::from(offset) as u32, 4)
        }
        Insn::Simd(
            Simd::Vldm {
                rn,
                bytes,
                increment,
                ..
            }
            | Simd::Vstm {
                rn,
                bytes,
                increment,
                ..
            },
        ) => (
            rn,
            None,
            if increment {
                0
            } else {
                u32::from(bytes).wrapping_neg()
            },
            4,
        ),
        Insn::Simd(
            Simd::Multiple {
                rn, align, size, ..
            }
            | Simd::Lane {
                rn, align, size, ..
            }
            | Simd::AllLanes {
                rn, align, size, ..
            },
        ) => (rn, None, 0, u32::from(align).max(1 << size)),
        _ => return None,
    };
    Some(Address {
        rn,
        rm,
        delta,
        align,
    })
}

/// Somewhere to branch to: filler, or nothing.
fn target(rng: &mut Rng) -> u32 {
    let va = match rng.below(4) {
        0 => HOLE + rng.below(0x10_0000),
        _ => CODE_BASE + rng.below(0xffe),
    };
    // An A32 address is a multiple of 4 (BX to 0b10 is UNPREDICTABLE).
    if va & 1 == 0 { va & !3 } else { va }
}

/// Where an instruction that computes its target goes, if its operands and the code tell.
pub fn branch_target(program: &Program, state: &State, code: &[u8]) -> Option<u32> {
    let main = program.main();
    let mut regs = state.regs;
    regs[15] = main.va + if program.t32 { 4 } else { 8 };
    let (op, rd, rn, operand) = match main.decoded.insn {
        Insn::DpImm {
            op, rd, rn, imm, ..
        } => (op, rd, rn, imm),
        Insn::DpReg {
            op,
            rd,
            rn,
            rm,
            shift,
            amount,
            ..
        } => (
            op,
            rd,
            rn,
            shifted(regs[rm.index()], shift, amount, state.cpsr),
        ),
        Insn::Bx { rm } | Insn::Bxj { rm } | Insn::Blx { rm } => {
            return Some(regs[rm.index()] & !1);
        }
        Insn::Tbb { half, rn, rm } if rn.is_pc() => {
            // A table in the code.
            let size = if half { 2 } else { 1 };
            let va = regs[15].wrapping_add(regs[rm.index()].wrapping_mul(size));
            let at = va.wrapping_sub(CODE_BASE) as usize;
            let byte = |at: usize| code.get(at).copied().map(u32::from);
            let low = byte(at)?;
            let high = if half { byte(at + 1)? } else { 0 };
            let entry = if program.big && half {
                low << 8 | high
            } else {
                high << 8 | low
            };
            return Some(regs[15].wrapping_add(entry * 2));
        }
        _ => return None,
    };
    let value = regs[rn.index()];
    let carry = state.cpsr >> 29 & 1;
    let result = match op {
        DpOp::And => value & operand,
        DpOp::Eor => value ^ operand,
        DpOp::Sub => value.wrapping_sub(operand),
        DpOp::Rsb => operand.wrapping_sub(value),
        DpOp::Add => value.wrapping_add(operand),
        DpOp::Adc => value.wrapping_add(operand).wrapping_add(carry),
        DpOp::Sbc => value.wrapping_sub(operand).wrapping_sub(1 - carry),
        DpOp::Rsc => operand.wrapping_sub(value).wrapping_sub(1 - carry),
        DpOp::Orr => value | operand,
        DpOp::Mov => operand,
        DpOp::Bic => value & !operand,
        DpOp::Mvn => !operand,
        DpOp::Orn => value | !operand,
        DpOp::Tst | DpOp::Teq | DpOp::Cmp | DpOp::Cmn => return None,
    };
    rd.is_pc().then_some(result & !1)
}

/// Changes a random state so that the program's main instruction finds its operands.
pub fn place(rng: &mut Rng, program: &Program, state: &mut State, window: Option<&mut Window>) {
    let insn = &program.main().decoded.insn;
    let mut set = |reg: Reg, value: u32| {
        if !reg.is_pc() {
            state.regs[reg.index()] = value;
        }
    };
    match *insn {
        Insn::Bx { rm } | Insn::Blx { rm } | Insn::Bxj { rm } => {
            let to = target(rng);
            set(rm, to);
        }
        // Half of the computed branches go where something is.
        Insn::DpReg { op, rd, rn, rm, .. } if rd.is_pc() && rng.one_in(2) => {
            let to = target(rng);
            match op {
                DpOp::Add | DpOp::Sub | DpOp::Orr | DpOp::Eor if rn != rm => {
                    set(rm, 0);
                    set(rn, to);
                }
                _ => set(rm, to),
            }
        }
        Insn::DpImm {
            op, rd, rn, imm, ..
        } if rd.is_pc() && rng.one_in(2) => {
            let to = target(rng);
            match op {
                DpOp::Add => set(rn, to.wrapping_sub(imm)),
                DpOp::Sub => set(rn, to.wrapping_add(imm)),
                _ => set(rn, to),
            }
        }
        _ => {}
    }
    let Some(window) = window else { return };
    // T32 table branches and loads relative to the PC have a base that is what it is.
    let Some(at) = address(insn, &state.regs, state.cpsr & psr::C) else {
        return;
    };
    let mut va = WINDOW_BASE + 128 + rng.below(256);
    if !rng.one_in(8) {
        va &= !(at.align.max(1) - 1);
    } else if !rng.one_in(4) {
        va &= !3;
    }
    if rng.one_in(64) {
        va = (HOLE + rng.below(0x10_0000)) & !(at.align.max(1) - 1);
    }
    if at.rn.is_pc() {
        if let Some(rm) = at.rm.filter(|rm| !rm.is_pc()) {
            state.regs[rm.index()] = rng.below(64);
        }
    } else if at.rm == Some(at.rn) {
        state.regs[at.rn.index()] = if va & 1 == 0 { va / 2 } else { 0 };
    } else {
        if let (Some(rm), true) = (at.rm, rng.one_in(2)) {
            // A small index.
            let small = rng.below(64);
            if !rm.is_pc() {
                state.regs[rm.index()] = small;
            }
        }
        let delta = address(insn, &state.regs, state.cpsr).map_or(0, |at| at.delta);
        state.regs[at.rn.index()] = va.wrapping_sub(delta);
    }
    if let Insn::Tbb { half, .. } = *insn {
        // To the filler after the program, or far away.
        let near = 14 + rng.below(12) as u8;
        let far = 0x80 | rng.below(128) as u8;
        let entry = match (half, rng.one_in(2)) {
            (false, _) => [near, near],
            (true, false) => [far, far],
            (true, true) if program.big => [0, near],
            (true, true) => [near, 0],
        };
        let odd = va as usize & 1;
        let pattern = std::array::from_fn(|at| entry[(at + odd) & 1]);
        window.0.fill(u64::from_le_bytes(pattern));
    }
    // What a load to the PC finds.
    let pc_at = match *insn {
        Insn::LdrImm { rt, .. } | Insn::LdrReg { rt, .. } if rt.is_pc() => va,
        Insn::Ldm { list, .. } if list & 0x8000 != 0 => va + 4 * (list.count_ones() - 1),
        _ => return,
    };
    let to = target(rng);
    let bytes = if program.big {
        to.to_be_bytes()
    } else {
        to.to_le_bytes()
    };
    let at = pc_at.wrapping_sub(WINDOW_BASE) as usize;
    if let Some(place) = bytemuck::cast_slice_mut::<u64, u8>(&mut window.0).get_mut(at..at + 4) {
        place.copy_from_slice(&bytes);
    }
}
