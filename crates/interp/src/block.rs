//! Decoded blocks: straight runs of instructions within one page, kept by the place of the code in
//! memory, so that they outlive changes of translation.

use crate::code::PAGE;
use crate::core::{Core, Raised};
use crate::machine::{DirectMemory, Machine};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use skep_arm::decode::{self, ItState};
use skep_arm::insn::{Decoded, Insn};
use skep_arm::state::psr;

/// The longest block.
const LONGEST: usize = 64;
/// Instructions kept by default.
pub const OPS: usize = 1 << 18;
const SLOTS: usize = 1 << 15;

/// An instruction of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    pub decoded: Decoded,
    /// ITSTATE before it.
    pub it: ItState,
}

impl Op {
    /// ITSTATE after it, when it does not branch.
    pub fn it_after(&self) -> ItState {
        match self.decoded.insn {
            Insn::It { it } => ItState(it),
            _ => self.it.advance(),
        }
    }
}

/// Where a block's instructions are.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    /// Offset in direct memory, T32 state and ITSTATE: what the block was decoded from.
    key: u64,
    generation: u32,
    first: u32,
    len: u16,
    /// Some of it is in an IT block, so that ITSTATE must be kept.
    pub wide_it: bool,
}

const NO_BLOCK: Block = Block {
    key: u64::MAX,
    generation: 0,
    first: 0,
    len: 0,
    wide_it: false,
};

/// The blocks of one vCPU.
pub(crate) struct Blocks {
    slots: Box<[Block]>,
    ops: Vec<Op>,
    /// Instructions kept; when there are more, all are dropped.
    room: usize,
    /// Blocks decoded so far.
    pub decoded: u64,
}

impl Blocks {
    pub fn new(room: usize) -> Self {
        let room = room.max(LONGEST);
        Blocks {
            slots: vec![NO_BLOCK; SLOTS].into_boxed_slice(),
            ops: Vec::with_capacity(room),
            room,
            decoded: 0,
        }
    }

    /// The instructions of a block that [`Blocks::find`] returned last.
    #[inline(always)]
    pub fn ops(&self, block: &Block) -> &[Op] {
        let first = block.first as usize;
        self.ops
            .get(first..first + usize::from(block.len))
            .unwrap_or(&[])
    }

    /// The block at the core's PC, decoded if need be.
    #[inline(always)]
    pub fn find<M: Machine>(&mut self, core: &mut Core<M>) -> Result<Block, Raised> {
        let offset = core.locate_code(core.state.regs[15])?;
        let mode = core.state.cpsr & (psr::T | psr::IT);
        let key = (offset as u64) << 32 | u64::from(mode);
        let slot = (offset >> 1 ^ offset >> 14) % SLOTS;
        let block = self.slots[slot];
        if block.key == key && block.generation == core.machine.code().generation(offset) {
            return Ok(block);
        }
        self.decode(core, offset, key, slot)
    }

    #[cold]
    #[inline(never)]
    fn decode<M: Machine>(
        &mut self,
        core: &mut Core<M>,
        offset: usize,
        key: u64,
        slot: usize,
    ) -> Result<Block, Raised> {
        self.decoded += 1;
        if self.ops.len() + LONGEST > self.room {
            self.ops.clear();
            self.slots.fill(NO_BLOCK);
        }
        let first = self.ops.len();
        let machine = core.machine.clone();
        let t32 = core.state.cpsr & psr::T != 0;
        let room = PAGE - offset % PAGE;
        // Each line is marked before it is read, so that no write goes unnoticed; if one came
        // between, the first line's generation is old already and the block is not found again.
        let generation = core.begin_code(offset);
        let mut it = core.state.it_state();
        let mut wide_it = it.in_block();
        let mut at = 0;
        let mut cacheable = true;
        while self.ops.len() - first < LONGEST && at < room {
            machine.code().mark(offset + at, 4.min(room - at));
            let decoded = if t32 {
                let hw1 = machine.memory().load16(offset + at);
                if !decode::t32_is_wide(hw1) {
                    decode::t32(hw1, 0, it)
                } else if at + 2 < room {
                    decode::t32(hw1, machine.memory().load16(offset + at + 2), it)
                } else if at > 0 {
                    // Crosses into the next page: a block of its own.
                    break;
                } else {
                    let next_page = core.locate_code(core.state.regs[15].wrapping_add(2));
                    let hw2 = match next_page {
                        Ok(next) => machine.memory().load16(next),
                        Err(raised) => return Err(raised),
                    };
                    cacheable = false;
                    decode::t32(hw1, hw2, it)
                }
            } else {
                decode::a32(machine.memory().load32(offset + at))
            };
            let op = Op { decoded, it };
            it = if t32 { op.it_after() } else { ItState(0) };
            wide_it |= it.in_block() || op.it.in_block();
            at += usize::from(decoded.len);
            self.ops.push(op);
            if ends_block(&decoded) {
                break;
            }
        }
        let block = Block {
            key,
            generation,
            first: first as u32,
            len: (self.ops.len() - first) as u16,
            wide_it,
        };
        if cacheable {
            self.slots[slot] = block;
        }
        Ok(block)
    }
}

/// Nothing after this instruction is worth decoding: it branches, traps, or changes how code is
/// read. Other instructions that turn out to branch leave the block by themselves.
fn ends_block(decoded: &Decoded) -> bool {
    match decoded.insn {
        Insn::B { .. }
        | Insn::Bl { .. }
        | Insn::BlxImm { .. }
        | Insn::Blx { .. }
        | Insn::Bx { .. }
        | Insn::Bxj { .. }
        | Insn::Tbb { .. }
        | Insn::Svc { .. }
        | Insn::Hvc { .. }
        | Insn::Smc { .. }
        | Insn::Bkpt { .. }
        | Insn::Udf { .. }
        | Insn::Undefined
        | Insn::Rfe { .. }
        | Insn::Eret => true,
        Insn::Ldm { list, .. } => list & 0x8000 != 0,
        Insn::LdrImm { rt, .. } | Insn::LdrReg { rt, .. } => rt.is_pc(),
        Insn::DpImm { rd, .. } | Insn::DpReg { rd, .. } => rd.is_pc(),
        _ => false,
    }
}
