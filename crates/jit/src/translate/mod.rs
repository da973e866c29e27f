//! Translation of a block of guest code.
//!
//! A block is a run of instructions within one page. Conditional branches leave it at the side; it
//! ends with an unconditional branch, with an instruction that always leaves the loop, at the end of
//! the page, or at a limit. What there is no template for, the interpreter executes.

mod analysis;
mod branch;
mod data;
mod memory;
mod neon;
mod system;
#[cfg(test)]
mod tests;
pub mod vfp;

use crate::asm::{Alu, Asm, Cc, Gpr, Label, Loc, Mem, Sh, Width};
use crate::cache::{EXIT_BEFORE, Op};
use crate::context::{Layout, PINNED, STATE, Shared, TABLES};
use crate::tables;
use crate::thunks::{Thunks, register};
use analysis::{EVERYTHING, Form, Liveness, cond_reads, effects, flag, liveness};
use skep_arm::decode::{self, ItState};
use skep_arm::insn::{Cond, Decoded, Insn, Reg};
use std::mem::offset_of;

/// The longest block, in instructions.
const LONGEST: usize = 64;
/// How many instructions at a branch's target are looked at for flags that they overwrite.
const LOOKAHEAD: usize = 4;

/// Reads guest code of one page, in host memory.
pub struct Source<'a> {
    /// Reads a halfword at an offset in the page.
    pub halfword: &'a dyn Fn(usize) -> u16,
}

/// What a block is translated for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Address of the first instruction.
    pub va: u32,
    /// In T32 state.
    pub t32: bool,
    /// The page's number in direct memory.
    pub page: u32,
    /// Offset in code memory at which the block will be.
    pub offset: u32,
    /// There is only one vCPU: barriers order nothing.
    pub alone: bool,
    /// The host has fused multiply-add instructions.
    pub fma: bool,
    /// The host has SSE 4.1.
    pub sse41: bool,
}

/// A translated block, in the assembler.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// Offset of the checked entry.
    pub checked: usize,
    /// Offset of the direct entry.
    pub direct: usize,
    /// Guest instructions.
    pub count: usize,
}

/// Code that is placed behind the block.
enum Cold {
    /// Leaves for an address (bit 0 = T32).
    Leave { label: Label, pc: u32 },
    /// The same, with ITSTATE.
    LeaveIt { label: Label, pc: u32, it: u8 },
    /// Leaves for an address, and asks that the jump with its displacement at `site` be linked.
    Link {
        label: Label,
        pc: u32,
        site: usize,
        same_page: bool,
    },
    /// Has the interpreter execute an instruction, and goes on at `back`.
    Slow { label: Label, back: Label, op: u32 },
    /// An unaligned access of `size` bytes at ECX: `back` if it can be made.
    Unaligned {
        label: Label,
        back: Label,
        slow: Label,
        size: u32,
        /// Alignment that is needed in any case.
        least: u8,
    },
    /// Leaves for an address, where the interpreter is to go on; `it` is ITSTATE there.
    Interpret { label: Label, pc: u32, it: u8 },
    /// A result of the host's that may be wrong.
    Special {
        label: Label,
        back: Label,
        slow: Label,
        double: bool,
    },
    /// VFP arithmetic in another mode than the usual one.
    Flush {
        label: Label,
        back: Label,
        slow: Label,
        double: bool,
        flush: vfp::Flush,
    },
    /// Switches between A32 and T32 state.
    Switch { label: Label, back: Label },
}

/// The translator's buffers, kept between blocks.
#[derive(Default)]
pub struct Buffers {
    insns: Vec<Decoded>,
    its: Vec<ItState>,
    live: Vec<Liveness>,
    cold: Vec<Cold>,
}

/// Translates one block.
pub struct Translator<'a> {
    asm: &'a mut Asm,
    layout: Layout,
    thunks: Thunks,
    ops: &'a mut Vec<Op>,
    source: Source<'a>,
    request: Request,
    buffers: &'a mut Buffers,
    /// Address of the instruction under translation.
    pc: u32,
    /// Its index.
    at: usize,
    form: Form,
    /// The test of the condition that the current instructions are under.
    skip: Option<Label>,
    /// The direct entry.
    start: Label,
    /// Floating point was found enabled in this block.
    fp_checked: bool,
}

impl<'a> Translator<'a> {
    /// A translator into an assembler that was restarted for the block's address.
    pub fn new(
        asm: &'a mut Asm,
        layout: Layout,
        thunks: Thunks,
        ops: &'a mut Vec<Op>,
        source: Source<'a>,
        request: Request,
        buffers: &'a mut Buffers,
    ) -> Self {
        let start = asm.label();
        Translator {
            asm,
            layout,
            thunks,
            ops,
            source,
            request,
            buffers,
            pc: request.va,
            at: 0,
            form: Form::None,
            skip: None,
            start,
            fp_checked: false,
        }
    }

    fn fetch(&self, va: u32, it: ItState) -> Option<Decoded> {
        let at = (va & 0xfff) as usize;
        if self.request.t32 {
            let hw1 = (self.source.halfword)(at);
            if !decode::t32_is_wide(hw1) {
                Some(decode::t32(hw1, 0, it))
            } else if at + 2 < 0x1000 {
                Some(decode::t32(hw1, (self.source.halfword)(at + 2), it))
            } else {
                None
            }
        } else {
            let low = u32::from((self.source.halfword)(at));
            let high = u32::from((self.source.halfword)(at + 2));
            Some(decode::a32(high << 16 | low))
        }
    }

    /// Translates; None if the first instruction can't be read within the page.
    pub fn translate(mut self) -> Option<Entries> {
        self.decode();
        if self.buffers.insns.is_empty() {
            return None;
        }
        let mut live = std::mem::take(&mut self.buffers.live);
        let insns = std::mem::take(&mut self.buffers.insns);
        let mut addresses = Vec::with_capacity(insns.len());
        let mut va = self.request.va;
        for decoded in &insns {
            addresses.push(va);
            va = va.wrapping_add(u32::from(decoded.len));
        }
        liveness(
            &insns,
            |i, insn| match (insn, addresses.get(i)) {
                (Insn::B { offset }, Some(&va)) => {
                    self.live_at(va.wrapping_add(self.ahead()).wrapping_add_signed(*offset))
                }
                _ => flag::ALL,
            },
            &mut live,
        );

        let count = insns.len();
        let entries = self.prologue(count);
        let mut ended = false;
        for (i, decoded) in insns.iter().enumerate() {
            self.at = i;
            ended = self.instruction(decoded, live.get(i).copied().unwrap_or_default());
            self.pc = self.pc.wrapping_add(u32::from(decoded.len));
        }
        if !ended {
            self.at = count;
            let it = match (insns.last(), self.buffers.its.last()) {
                (Some(last), Some(it)) => it_after(last, *it),
                _ => ItState(0),
            };
            self.fall_through(it);
        }
        self.place_cold();
        self.asm.finish();
        self.buffers.insns = insns;
        self.buffers.live = live;
        Some(entries)
    }

    fn decode(&mut self) {
        self.buffers.insns.clear();
        self.buffers.its.clear();
        self.buffers.cold.clear();
        let (mut va, mut it) = (self.request.va, ItState(0));
        while self.buffers.insns.len() < LONGEST {
            let Some(decoded) = self.fetch(va, it) else {
                break;
            };
            if it.in_block() && !it.last_in_block() && branch::ends_block(&decoded.insn) {
                // UNPREDICTABLE: left to the interpreter, so that both do the same.
                break;
            }
            self.buffers.insns.push(decoded);
            self.buffers.its.push(it);
            if self.request.t32 {
                it = it_after(&decoded, it);
            }
            va = va.wrapping_add(u32::from(decoded.len));
            if decoded.cond == Cond::Al && branch::ends_block(&decoded.insn) || va & 0xfff == 0 {
                break;
            }
        }
    }

    /// Flags that code at an address may read before it sets them.
    fn live_at(&self, target: u32) -> u8 {
        if (target ^ self.request.va) & !0xfff != 0 {
            return flag::ALL;
        }
        let (mut live, mut open, mut va) = (0, flag::ALL, target);
        for _ in 0..LOOKAHEAD {
            let Some(decoded) = self.fetch(va, ItState(0)) else {
                break;
            };
            let effects = effects(&decoded.insn);
            live |= (effects.reads | cond_reads(decoded.cond)) & open;
            if effects == EVERYTHING || matches!(decoded.insn, Insn::It { .. }) {
                break;
            }
            if decoded.cond == Cond::Al {
                open &= !effects.writes;
            }
            va = va.wrapping_add(u32::from(decoded.len));
            if open == 0 || va & 0xfff == 0 {
                break;
            }
        }
        live | open
    }

    fn shared(&self, offset: usize) -> Mem {
        Mem::at(STATE, self.layout.shared(offset))
    }

    fn flag_byte(&self, flag: usize) -> Mem {
        self.shared(offset_of!(Shared, flags) + flag)
    }

    fn prologue(&mut self, count: usize) -> Entries {
        let va = self.request.va | u32::from(self.request.t32);
        let pc = self.shared(offset_of!(Shared, pc));
        self.asm.mov_imm(pc, va);
        self.asm.jmp_to(self.thunks.leave);
        // Padding up to the checked entry.
        while (self.asm.code.len() as u64) < EXIT_BEFORE {
            self.asm.code.push(0xcc);
        }
        let checked = self.asm.code.len();
        let page = Mem::at(TABLES, tables::EXECUTE + (self.request.va >> 12) as i32 * 4);
        let elsewhere = self.asm.label();
        self.asm
            .alu_imm(Width::B32, Alu::Cmp, page, self.request.page as i32 + 1);
        self.asm.jcc(Cc::Ne, elsewhere);
        self.buffers.cold.push(Cold::Leave {
            label: elsewhere,
            pc: va,
        });
        let direct = self.asm.code.len();
        self.asm.bind(self.start);
        let instructions = self.shared(offset_of!(Shared, instructions));
        self.asm
            .alu_imm(Width::B64, Alu::Add, instructions, count as i32);
        Entries {
            checked,
            direct,
            count,
        }
    }

    /// Translates an instruction; true if execution never gets behind it.
    fn instruction(&mut self, decoded: &Decoded, live: Liveness) -> bool {
        if let Insn::It { .. } = decoded.insn {
            return false;
        }
        let conditional = decoded.cond != Cond::Al;
        if let Insn::B { offset } = decoded.insn {
            return self.branch(decoded, offset);
        }
        if conditional && self.skip.is_none() {
            let skip = self.asm.label();
            let cc = self.test(decoded.cond);
            self.asm.jcc(cc.opposite(), skip);
            self.skip = Some(skip);
        }
        let left = self.body(decoded, live);
        if conditional && !live.joins_next {
            self.close_skip();
        }
        left && !conditional
    }

    /// Ends the run of instructions under one test.
    fn close_skip(&mut self) {
        if let Some(skip) = self.skip.take() {
            self.asm.bind(skip);
            self.form = Form::None;
        }
    }

    /// Emits code that tests a condition, and returns how it is told.
    fn test(&mut self, cond: Cond) -> Cc {
        if analysis::host_tells(self.form, cond) {
            return host_condition(self.form, cond);
        }
        let [n, z, c, v] = [0, 1, 2, 3].map(|i| self.flag_byte(i));
        let asm = &mut *self.asm;
        self.form = Form::None;
        let compare = |asm: &mut Asm, a: Mem, b: Mem| {
            asm.load(Width::B8, Gpr::Rax, a);
            asm.alu(Width::B8, Alu::Cmp, Gpr::Rax, b);
        };
        match cond {
            Cond::Eq => asm.test_zero(z, Cc::Ne),
            Cond::Ne => asm.test_zero(z, Cc::E),
            Cond::Cs => asm.test_zero(c, Cc::Ne),
            Cond::Cc => asm.test_zero(c, Cc::E),
            Cond::Mi => asm.test_zero(n, Cc::Ne),
            Cond::Pl => asm.test_zero(n, Cc::E),
            Cond::Vs => asm.test_zero(v, Cc::Ne),
            Cond::Vc => asm.test_zero(v, Cc::E),
            Cond::Hi => {
                compare(asm, c, z);
                Cc::A
            }
            Cond::Ls => {
                compare(asm, c, z);
                Cc::Be
            }
            Cond::Ge => {
                compare(asm, n, v);
                Cc::E
            }
            Cond::Lt => {
                compare(asm, n, v);
                Cc::Ne
            }
            Cond::Gt | Cond::Le => {
                asm.load(Width::B8, Gpr::Rax, n);
                asm.alu(Width::B8, Alu::Xor, Gpr::Rax, v);
                asm.alu(Width::B8, Alu::Or, Gpr::Rax, z);
                if cond == Cond::Gt { Cc::E } else { Cc::Ne }
            }
            // Nothing asks for it.
            Cond::Al => {
                asm.alu(Width::B32, Alu::Cmp, Gpr::Rax, Gpr::Rax);
                Cc::E
            }
        }
    }

    /// Keeps those of the flags in the host's that are in `live`.
    fn save_flags(&mut self, form: Form, live: u8) {
        self.form = form;
        let carry = match form {
            Form::None => return,
            Form::Sub => Some(Cc::Ae),
            Form::Add => Some(Cc::B),
            Form::Logic => None,
        };
        if live & flag::N != 0 {
            self.asm.setcc(Cc::S, self.flag_byte(0));
        }
        if live & flag::Z != 0 {
            self.asm.setcc(Cc::E, self.flag_byte(1));
        }
        if let Some(carry) = carry {
            if live & flag::C != 0 {
                self.asm.setcc(carry, self.flag_byte(2));
            }
            if live & flag::V != 0 {
                self.asm.setcc(Cc::O, self.flag_byte(3));
            }
        }
    }

    /// Translates what an instruction does; true if it always leaves the block.
    fn body(&mut self, decoded: &Decoded, live: Liveness) -> bool {
        if let Some(left) = self.native(decoded, live) {
            return left;
        }
        self.interpret(decoded);
        branch::ends_block(&decoded.insn) && {
            // The interpreter says Next for what may but need not branch.
            self.fall_through_from(self.pc.wrapping_add(u32::from(decoded.len)));
            true
        }
    }

    fn native(&mut self, decoded: &Decoded, live: Liveness) -> Option<bool> {
        if self.data(&decoded.insn, live.after) {
            return Some(false);
        }
        if let Some(left) = self.access(decoded) {
            return Some(left);
        }
        if let Some(left) = self.system(decoded) {
            return Some(left);
        }
        if let Some(left) = self.vfp(decoded) {
            return Some(left);
        }
        if let Some(left) = self.neon(decoded) {
            return Some(left);
        }
        self.indirect(decoded)
    }

    /// Has the interpreter execute the instruction.
    fn interpret(&mut self, decoded: &Decoded) {
        let op = self.op(decoded);
        self.asm.mov_imm(Gpr::Rax, op);
        self.asm.alu(Width::B32, Alu::Xor, Gpr::Rcx, Gpr::Rcx);
        self.asm.call_to(self.thunks.slow);
        self.form = Form::None;
        // It may have changed the mode of floating point.
        self.fp_checked = false;
    }

    /// The slow path of the instruction under translation: the interpreter executes it, and
    /// execution goes on at `back`. If it accesses memory, the address is in ECX.
    fn slow(&mut self, decoded: &Decoded, back: Label) -> Label {
        let op = self.op(decoded);
        let label = self.asm.label();
        self.buffers.cold.push(Cold::Slow { label, back, op });
        label
    }

    /// A number for the instruction under translation.
    fn op(&mut self, decoded: &Decoded) -> u32 {
        let it = self.buffers.its.get(self.at).copied().unwrap_or(ItState(0));
        let count = self.buffers.its.len();
        self.ops.push(Op {
            decoded: *decoded,
            pc: self.pc,
            it: it.0,
            t32: self.request.t32,
            page: self.request.page,
            after: (count - 1 - self.at.min(count - 1)) as u8,
        });
        (self.ops.len() - 1) as u32
    }

    fn place_cold(&mut self) {
        for cold in std::mem::take(&mut self.buffers.cold) {
            match cold {
                Cold::Leave { label, pc } => {
                    self.asm.bind(label);
                    let slot = self.shared(offset_of!(Shared, pc));
                    self.asm.mov_imm(slot, pc);
                    self.asm.jmp_to(self.thunks.leave);
                }
                Cold::Link {
                    label,
                    pc,
                    site,
                    same_page,
                } => {
                    self.asm.bind(label);
                    let slot = self.shared(offset_of!(Shared, pc));
                    self.asm.mov_imm(slot, pc);
                    let site = (self.request.offset + site as u32) << 1 | u32::from(same_page);
                    let slot = self.shared(offset_of!(Shared, site));
                    self.asm.mov_imm(slot, site);
                    self.asm.jmp_to(self.thunks.link);
                }
                Cold::Slow { label, back, op } => {
                    self.asm.bind(label);
                    self.asm.mov_imm(Gpr::Rax, op);
                    self.asm.call_to(self.thunks.slow);
                    self.asm.jmp(back);
                }
                Cold::Unaligned {
                    label,
                    back,
                    slow,
                    size,
                    least,
                } => {
                    self.asm.bind(label);
                    if least > 1 {
                        self.asm.test_imm8(Gpr::Rcx, least - 1);
                        self.asm.jcc(Cc::Ne, slow);
                    }
                    let strict = self.shared(offset_of!(Shared, strict_alignment));
                    self.asm.alu_imm(Width::B8, Alu::Cmp, strict, 0);
                    self.asm.jcc(Cc::Ne, slow);
                    self.asm.store(Width::B32, Gpr::Rdx, Gpr::Rcx);
                    self.asm.shift(Width::B32, Sh::Shr, Gpr::Rdx, 12);
                    let allowed = Mem::indexed(TABLES, Gpr::Rdx, 0, tables::UNALIGNED);
                    self.asm.alu_imm(Width::B8, Alu::Cmp, allowed, 0);
                    self.asm.jcc(Cc::E, slow);
                    self.asm.store(Width::B32, Gpr::Rdx, Gpr::Rcx);
                    self.asm.alu_imm(Width::B32, Alu::And, Gpr::Rdx, 0xfff);
                    self.asm
                        .alu_imm(Width::B32, Alu::Cmp, Gpr::Rdx, (0x1000 - size) as i32);
                    self.asm.jcc(Cc::A, slow);
                    self.asm.jmp(back);
                }
                Cold::LeaveIt { label, pc, it } => {
                    self.asm.bind(label);
                    self.set_it(ItState(it));
                    let slot = self.shared(offset_of!(Shared, pc));
                    self.asm.mov_imm(slot, pc);
                    self.asm.jmp_to(self.thunks.leave);
                }
                Cold::Interpret { label, pc, it } => {
                    self.asm.bind(label);
                    self.set_it(ItState(it));
                    let slot = self.shared(offset_of!(Shared, pc));
                    self.asm.mov_imm(slot, pc);
                    self.asm.jmp_to(self.thunks.interpret);
                }
                Cold::Special {
                    label,
                    back,
                    slow,
                    double,
                } => {
                    self.asm.bind(label);
                    self.place_special(double, back, slow);
                }
                Cold::Flush {
                    label,
                    back,
                    slow,
                    double,
                    flush,
                } => {
                    self.asm.bind(label);
                    self.place_flush(double, flush, back, slow);
                }
                Cold::Switch { label, back } => {
                    self.asm.bind(label);
                    let cpsr = Mem::at(STATE, self.layout.cpsr);
                    self.asm
                        .alu_imm(Width::B32, Alu::Xor, cpsr, skep_arm::state::psr::T as i32);
                    self.asm.jmp(back);
                }
            }
        }
    }

    /// Where a register that is not the PC lives.
    fn loc(&self, reg: Reg) -> Loc {
        match pinned(reg) {
            Some(host) => Loc::Reg(host),
            None => Loc::Mem(register(reg.index())),
        }
    }

    /// What the PC reads as.
    fn pc_value(&self) -> u32 {
        self.pc.wrapping_add(self.ahead())
    }

    fn ahead(&self) -> u32 {
        if self.request.t32 { 4 } else { 8 }
    }

    /// Loads a register's value.
    fn get(&mut self, to: Gpr, reg: Reg) {
        if reg.is_pc() {
            let value = self.pc_value();
            self.asm.mov_imm(to, value);
        } else {
            let loc = self.loc(reg);
            if loc != Loc::Reg(to) {
                self.asm.load(Width::B32, to, loc);
            }
        }
    }

    /// Sets a register that is not the PC.
    fn set(&mut self, reg: Reg, from: Gpr) {
        let loc = self.loc(reg);
        if loc != Loc::Reg(from) {
            self.asm.store(Width::B32, loc, from);
        }
    }
}

impl Asm {
    /// Compares a byte with 0.
    fn test_zero(&mut self, byte: Mem, cc: Cc) -> Cc {
        self.alu_imm(Width::B8, Alu::Cmp, byte, 0);
        cc
    }
}

fn it_after(decoded: &Decoded, it: ItState) -> ItState {
    match decoded.insn {
        Insn::It { it } => ItState(it),
        _ => it.advance(),
    }
}

/// The host register of a guest register.
fn pinned(reg: Reg) -> Option<Gpr> {
    PINNED
        .iter()
        .find(|(n, _)| *n == reg.index())
        .map(|(_, host)| *host)
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
