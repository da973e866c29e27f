//! Translation of a block of guest code.
//!
//! A block is a run of instructions within one page. Conditional branches leave it at the side, but
//! those over a few instructions, which are a condition that these execute under ([`Step`]). It ends
//! with an unconditional branch, with an instruction that always leaves the loop, at the end of the
//! page, or at a limit. What there is no template for, the interpreter executes.

mod analysis;
mod branch;
mod cold;
mod data;
pub mod flags;
mod keep;
mod memory;
pub mod neon;
mod simple;
mod steps;
mod system;
#[cfg(test)]
mod tests;
mod vectors;
pub mod vfp;

use crate::asm::{Alu, Asm, Cc, Gpr, Label, Loc, Mem, Width};
use crate::cache::{EXIT_BEFORE, Op, Site, SiteKind};
use crate::context::{Layout, PINNED, STATE, Shared, TABLES, fp};
use crate::moves::Part;
use crate::tables;
use crate::thunks::{Thunks, register};
pub use branch::ends_block;

use analysis::{Form, Liveness, cond_reads, effects, flag, liveness, moved, written};
use cold::Cold;
use flags::Recipe;
use keep::takes_host_carry;
pub use memory::NEAR;
use skep_arm::decode::ItState;
use skep_arm::insn::{Cond, Decoded, Insn, Reg};
use std::mem::offset_of;
pub use steps::Step;
use steps::Test;
use vectors::Vectors;

/// The longest block, in instructions.
const LONGEST: usize = 64;
/// How many instructions at a branch's target are looked at for flags that they overwrite.
const LOOKAHEAD: usize = 4;
/// How many instructions a loop repeats at most.
const LONGEST_HEAD: usize = 8;

/// Indices of [`Translator::held_at`].
const AT_START: usize = 0;
const AT_HEAD: usize = 1;
const AT_SKIP: usize = 2;

/// Reads guest code of one page, in host memory.
pub struct Source<'a> {
    /// Reads a halfword at an offset in the page; at 4096, with [`Request::next_page`], the first one
    /// of the next page.
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
    /// The same of the next page, if the first instruction ends there.
    pub next_page: Option<u32>,
    /// Offset in code memory at which the block will be.
    pub offset: u32,
    /// There is only one vCPU: barriers order nothing.
    pub alone: bool,
    /// The host has fused multiply-add instructions.
    pub fma: bool,
    /// The host has SSE 4.1.
    pub sse41: bool,
    /// The host has AVX2.
    pub avx2: bool,
    /// Instructions are counted.
    pub count: bool,
    /// It executes in contexts with a window.
    pub window: bool,
}

/// A translated block, in the assembler.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// Offset of the checked entry.
    pub checked: usize,
    /// Offset of the direct entry.
    pub direct: usize,
    /// Offset of the code that is seldom executed, which is placed behind the rest.
    pub cold: usize,
    /// Guest instructions.
    pub count: usize,
}

/// Code at which the host may raise an exception: see [`Site`].
struct HostSite {
    /// Offset of its code.
    start: usize,
    end: usize,
    otherwise: Label,
    kind: SiteKind,
}

/// The translator's buffers, kept between blocks.
#[derive(Default)]
pub struct Buffers {
    steps: Vec<Step>,
    live: Vec<Liveness>,
    head: Vec<Step>,
    cold: Vec<Cold>,
    sites: Vec<HostSite>,
    /// Offset of each instruction's code, and of what follows the last.
    marks: Vec<usize>,
}

impl Buffers {
    /// The guest instructions of the block that was translated last.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Where the host may raise exceptions, with the assembler that has the block's code.
    pub fn sites(&self, asm: &Asm) -> impl Iterator<Item = Site> {
        self.sites.iter().filter_map(|site| {
            Some(Site {
                start: site.start as u32,
                end: site.end as u32,
                otherwise: asm.offset(site.otherwise)? as u32,
                kind: site.kind,
                misses: 0,
            })
        })
    }

    /// Offset of the code of each, and of what follows the last.
    pub fn marks(&self) -> &[usize] {
        &self.marks
    }
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
    /// ITSTATE as it executes.
    it: ItState,
    form: Form,
    /// Guest vector registers in the host's.
    vectors: Vectors,
    /// Those that are held at the block's start, behind its head, and where a run of conditional
    /// instructions began.
    held_at: [u8; 3],
    /// What the flags are computed from, if they are not in memory.
    pending: Option<Recipe>,
    /// Flags that the block may read before it sets them.
    live_at_start: u8,
    /// Where the first instruction is that sets all flags, if what stands before it is simple enough
    /// to be repeated (`buffers.head`).
    after_head: Option<Label>,
    /// Instructions in the block.
    count: usize,
    /// The next instruction was translated with the one before it.
    merged: bool,
    /// The test of the condition that the current instructions are under.
    skip: Option<Label>,
    /// The direct entry.
    start: Label,
    /// What floating point was found to be allowed in this block: a value of [`Shared::fp`].
    fp_found: u8,
    /// The same at the start, when the block repeats itself.
    fp_at_start: u8,
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
            it: ItState(0),
            form: Form::None,
            vectors: Vectors::default(),
            held_at: [0; 3],
            pending: None,
            live_at_start: flag::ALL,
            after_head: None,
            count: 0,
            merged: false,
            skip: None,
            start,
            fp_found: fp::OFF,
            fp_at_start: fp::OFF,
        }
    }

    /// Translates; None if the first instruction can't be read within the page.
    pub fn translate(mut self) -> Option<Entries> {
        self.buffers.cold.clear();
        self.buffers.sites.clear();
        self.buffers.marks.clear();
        self.decode();
        if self.buffers.steps.is_empty() {
            return None;
        }
        let mut live = std::mem::take(&mut self.buffers.live);
        let steps = std::mem::take(&mut self.buffers.steps);
        self.live_at_start = liveness(&steps, &mut live);

        let count = steps.len();
        self.count = count;
        self.find_head(&steps);
        let (mut repeated, mut va) = (0, self.request.va);
        for (i, Step { decoded, .. }) in steps.iter().enumerate() {
            if matches!(decoded.insn, Insn::B { offset }
                if va.wrapping_add(self.ahead()).wrapping_add_signed(offset) == self.request.va)
            {
                repeated = i + 1;
            }
            va = va.wrapping_add(u32::from(decoded.len));
        }
        let repeats = repeated != 0;
        self.vectors = Vectors::choose(&steps, repeats);
        if repeats {
            self.held_at[AT_START] = self.vectors.chosen();
        }
        self.fp_at_start = vfp::needed(steps.get(..repeated).unwrap_or_default());
        let mut entries = self.prologue(count);
        let mut ended = false;
        for i in 0..count {
            let (Some(rest), Some(live)) = (steps.get(i..), live.get(i..)) else {
                break;
            };
            let Some(step) = rest.first() else {
                break;
            };
            self.at = i;
            self.it = step.it;
            self.buffers.marks.push(self.asm.code.len());
            if let Some(label) = self.after_head
                && i == self.buffers.head.len()
            {
                self.asm.bind(label);
                self.form = Form::None;
                self.held_at[AT_HEAD] = self.vectors.valid;
            }
            if !std::mem::take(&mut self.merged) {
                ended = self.instruction(step, rest, live);
            }
            self.pc = self.pc.wrapping_add(u32::from(step.decoded.len));
        }
        self.buffers.marks.push(self.asm.code.len());
        if !ended {
            self.at = count;
            let it = steps.last().map(|last| it_after(&last.decoded, last.it));
            self.fall_through(it.unwrap_or_default());
        }
        entries.cold = self.asm.code.len();
        self.place_cold();
        self.asm.finish();
        self.buffers.steps = steps;
        self.buffers.live = live;
        Some(entries)
    }

    /// Finds what a loop to the block's start can repeat in place of jumping there: the instructions
    /// up to the first one that sets all flags, which are then those of the loop's end.
    fn find_head(&mut self, steps: &[Step]) {
        self.buffers.head.clear();
        for step in steps.iter().take(LONGEST_HEAD + 1) {
            let decoded = &step.decoded;
            let effects = effects(&decoded.insn);
            let plain = step.test == Test::Always && !step.over;
            if !plain || effects.unknown || effects.reads_carry {
                break;
            }
            if effects.writes == flag::ALL && effects.reads == 0 {
                self.after_head = Some(self.asm.label());
                return;
            }
            let ends = matches!(decoded.insn, Insn::It { .. } | Insn::Cbz { .. });
            if effects.writes != 0 || ends || branch::ends_block(&decoded.insn) {
                break;
            }
            self.buffers.head.push(*step);
        }
        self.buffers.head.clear();
    }

    /// Goes on at the block's start.
    fn repeat(&mut self) {
        let (Some(after), Some(recipe)) = (self.after_head, self.pending) else {
            return self.restart();
        };
        if recipe.flags() & self.live_at_start == 0 {
            return self.restart();
        }
        let head = std::mem::take(&mut self.buffers.head);
        let kept = head.iter().try_fold(recipe, |recipe, step| {
            let insn = &step.decoded.insn;
            recipe.after(written(insn), moved(insn))
        });
        if kept.is_none() && self.pending.is_some() {
            self.settle_flags(flag::ALL);
            self.restart();
        } else {
            let (pc, at, fp_found) = (self.pc, self.at, self.fp_found);
            self.pc = self.request.va;
            self.fp_found = self.fp_at_start;
            self.count_block();
            for (i, step) in head.iter().enumerate() {
                let Step { decoded, it, .. } = step;
                self.at = i;
                self.it = *it;
                let merged = std::mem::take(&mut self.merged)
                    || step.halves && self.halves(head.get(i..).unwrap_or_default());
                if !merged {
                    self.body(decoded, Liveness::default());
                }
                let insn = &decoded.insn;
                self.pending = self
                    .pending
                    .and_then(|recipe| recipe.after(written(insn), moved(insn)));
                self.pc = self.pc.wrapping_add(u32::from(decoded.len));
            }
            self.load_held(self.held_at[AT_HEAD] & !self.vectors.valid);
            self.asm.jmp(after);
            (self.pc, self.at, self.fp_found) = (pc, at, fp_found);
        }
        self.buffers.head = head;
    }

    fn restart(&mut self) {
        self.load_held(self.held_at[AT_START] & !self.vectors.valid);
        self.asm.jmp(self.start);
    }

    /// Flags that code at an address may read before it sets them.
    fn live_at(&self, target: u32) -> u8 {
        if target == self.request.va {
            return self.live_at_start;
        }
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
            if effects.unknown || matches!(decoded.insn, Insn::It { .. }) {
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

    fn prologue(&mut self, count: usize) -> Entries {
        let va = self.request.va | u32::from(self.request.t32);
        let pc = self.shared(offset_of!(Shared, pc));
        self.asm.mov_address(pc, va);
        self.asm.jmp_to(self.thunks.leave);
        // Padding up to the checked entry.
        while (self.asm.code.len() as u64) < EXIT_BEFORE {
            self.asm.code.push(0xcc);
        }
        let checked = self.asm.code.len();
        let page = Mem::at(TABLES, tables::EXECUTE + (self.request.va >> 12) as i32 * 4);
        let elsewhere = self.asm.label();
        let window = self.request.window;
        let number = |page| tables::fetch_number(page, window) as i32;
        self.asm
            .alu_imm(Width::B32, Alu::Cmp, page, number(self.request.page));
        self.asm.note_displacement(Part::Word);
        self.asm.jcc(Cc::Ne, elsewhere);
        self.leave_from(elsewhere, va);
        let direct = self.asm.code.len();
        if let Some(next) = self.request.next_page {
            // Which page follows depends on the address.
            self.asm.movable = false;
            let index = (self.request.va >> 12).wrapping_add(1) & 0xf_ffff;
            let page = Mem::at(TABLES, tables::EXECUTE + index as i32 * 4);
            self.asm.alu_imm(Width::B32, Alu::Cmp, page, number(next));
            self.asm.jcc(Cc::Ne, elsewhere);
        }
        self.load_held(self.held_at[AT_START]);
        self.vectors.valid = self.held_at[AT_START];
        self.need_fp(self.fp_at_start);
        self.asm.bind(self.start);
        self.count_block();
        Entries {
            checked,
            direct,
            cold: direct,
            count,
        }
    }

    fn count_block(&mut self) {
        if self.request.count {
            let instructions = self.shared(offset_of!(Shared, instructions));
            self.asm
                .alu_imm(Width::B64, Alu::Add, instructions, self.count as i32);
        }
    }

    /// Translates the first of these instructions; true if execution never gets behind it.
    fn instruction(&mut self, step: &Step, rest: &[Step], live: &[Liveness]) -> bool {
        let decoded = &step.decoded;
        if step.over || matches!(decoded.insn, Insn::It { .. }) {
            return false;
        }
        let conditional = step.test != Test::Always;
        if let Insn::B { offset } = decoded.insn {
            return self.branch(decoded, offset);
        }
        if conditional
            && self.skip.is_none()
            && live.first().is_some_and(|live| !live.joins_next)
            && !(self.request.count && step.behind_branch())
            && self.conditional_move(rest, live)
        {
            return false;
        }
        if conditional && self.skip.is_none() {
            self.keep_flags_over_region(rest, live);
            let skip = self.asm.label();
            self.skip_unless_tested(rest, skip);
            self.skip = Some(skip);
            self.held_at[AT_SKIP] = self.vectors.valid;
        }
        let mut next = live.iter().copied();
        let (mut live, next) = (next.next().unwrap_or_default(), next.next());
        if !conditional {
            self.keep_flags(rest, live);
            if live.after == flag::C && takes_host_carry(decoded, rest.get(1), next) {
                live.after = 0;
            }
        }
        if !conditional && self.constant_of_two(decoded, rest.get(1)) {
            return false;
        }
        if step.halves && self.halves(rest) {
            return false;
        }
        let left = self.body(decoded, live);
        if conditional && !live.joins_next {
            self.close_skip();
        }
        if !conditional && effects(&decoded.insn).writes == 0 {
            let insn = &decoded.insn;
            self.pending = self
                .pending
                .and_then(|recipe| recipe.after(written(insn), moved(insn)));
        }
        left && !conditional
    }

    /// MOVW and MOVT of one register: a constant.
    fn constant_of_two(&mut self, decoded: &Decoded, next: Option<&Step>) -> bool {
        let (Insn::Movw { rd, imm }, Some(next)) = (decoded.insn, next) else {
            return false;
        };
        let Insn::Movt { rd: to, imm: high } = next.decoded.insn else {
            return false;
        };
        if rd != to || rd.is_pc() || next.test != Test::Always {
            return false;
        }
        let loc = self.loc(rd);
        self.asm
            .mov_imm(loc, u32::from(high) << 16 | u32::from(imm));
        self.merged = true;
        self.pending = self
            .pending
            .and_then(|recipe| recipe.after(1 << rd.index(), None));
        true
    }

    /// Ends the run of instructions under one test.
    fn close_skip(&mut self) {
        if let Some(skip) = self.skip.take() {
            self.asm.bind(skip);
            self.form = Form::None;
            self.vectors.valid &= self.held_at[AT_SKIP];
        }
    }

    /// Translates what an instruction does; true if it always leaves the block.
    fn body(&mut self, decoded: &Decoded, live: Liveness) -> bool {
        self.emit_for(&[decoded.insn], |translator| {
            translator.native_or_interpreted(decoded, live)
        })
    }

    /// Emits code for an instruction or two, and notes what holds for all of it.
    fn emit_for(&mut self, insns: &[Insn], emit: impl FnOnce(&mut Self) -> bool) -> bool {
        let (cold, sites) = (self.buffers.cold.len(), self.buffers.sites.len());
        self.vectors.begin();
        let left = emit(self);
        for site in self.buffers.sites.iter_mut().skip(sites) {
            site.end = self.asm.code.len();
        }
        for insn in insns {
            self.vectors.end(insn);
        }
        for cold in self.buffers.cold.iter_mut().skip(cold) {
            cold.held = self.vectors.valid;
        }
        left
    }

    fn native_or_interpreted(&mut self, decoded: &Decoded, live: Liveness) -> bool {
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
        if let Some(left) = self.neon(decoded).or_else(|| self.neon_composed(decoded)) {
            return Some(left);
        }
        self.indirect(decoded)
    }

    /// Has the interpreter execute the instruction.
    fn interpret(&mut self, decoded: &Decoded) {
        self.settle_flags(flag::ALL);
        let op = self.op(decoded);
        self.asm.mov_imm(Gpr::Rax, op);
        self.asm.note(Part::Op);
        self.asm.alu(Width::B32, Alu::Xor, Gpr::Rcx, Gpr::Rcx);
        self.asm.call_to(self.thunks.slow);
        self.form = Form::None;
        // It may have changed the mode of floating point, and any register.
        self.fp_found = fp::OFF;
        self.vectors.valid = 0;
    }

    /// A number for the instruction behind the one under translation.
    fn op_behind(&mut self, decoded: &Decoded, next: &Decoded) -> u32 {
        let (pc, at) = (self.pc, self.at);
        self.pc = pc.wrapping_add(u32::from(decoded.len));
        self.at = at + 1;
        let op = self.op(next);
        (self.pc, self.at) = (pc, at);
        op
    }

    /// A number for the instruction under translation.
    fn op(&mut self, decoded: &Decoded) -> u32 {
        self.ops.push(Op {
            decoded: *decoded,
            pc: self.pc,
            it: self.it.0,
            t32: self.request.t32,
            page: self.request.page,
            after: self.behind() as u8,
            before: self.at.min(1) as u8,
        });
        (self.ops.len() - 1) as u32
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
            self.asm.mov_address(to, value);
        } else {
            let loc = self.loc(reg);
            if loc != Loc::Reg(to) {
                self.asm.load(Width::B32, to, loc);
            }
        }
    }

    /// The host register with a register's value, of which a part is wanted: `to` if there is none.
    /// The host has what was stored at once only for a load of the same bytes.
    fn get_whole(&mut self, reg: Reg, to: Gpr) -> Gpr {
        match self.loc(reg) {
            Loc::Reg(host) => host,
            loc => {
                self.asm.load(Width::B32, to, loc);
                to
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
