//! Cases: programs of a few instructions, each made for one row of the decoder's tables, with states
//! to run them in.

use crate::exempt;
use crate::operands;
use crate::rng::Rng;
use crate::values;
use crate::wire::*;
use skep_arm::decode::{self, ItState, Set, rows};
use skep_arm::insn::{Cond, Decoded, Insn};

/// An instruction of a program.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Its address.
    pub va: u32,
    /// Its encoding; of a T32 instruction of two halfwords, the first is the upper one.
    pub word: u32,
    /// What it is there.
    pub decoded: Decoded,
}

/// A program: some instructions, and a branch to its end.
#[derive(Clone, Debug)]
pub struct Program {
    /// In T32.
    pub t32: bool,
    /// The instructions, without the branch.
    pub insns: Vec<Placed>,
    /// Which of them the program is for.
    pub main: usize,
    /// Data is big-endian when that one executes.
    pub big: bool,
    /// It accesses memory, so that its cases have windows.
    pub memory: bool,
}

impl Program {
    /// The instruction that the program is for.
    pub fn main(&self) -> &Placed {
        &self.insns[self.main]
    }

    /// Address of its first instruction.
    pub fn start(&self) -> u32 {
        self.insns[0].va
    }

    /// Its code. A program that branches by itself has only filler after it: whether it does is
    /// then seen from where it ends.
    pub fn code(&self) -> Vec<u8> {
        let mut code = Vec::with_capacity(LONGEST as usize);
        for insn in &self.insns {
            emit(&mut code, self.t32, insn.word, insn.decoded.len);
        }
        let va = self.start() + code.len() as u32;
        if branches(&self.main().decoded.insn) {
            // Up to the next word of filler.
            if self.t32 && !va.is_multiple_of(4) {
                emit(&mut code, true, FILLER >> 16, 2);
            }
        } else if self.t32 {
            emit(&mut code, true, t32_branch(va, EXIT_T32), 4);
        } else {
            emit(&mut code, false, a32_branch(va, EXIT_A32), 4);
        }
        code
    }
}

fn emit(code: &mut Vec<u8>, t32: bool, word: u32, len: u8) {
    if t32 && len == 4 {
        code.extend_from_slice(&((word >> 16) as u16).to_le_bytes());
        code.extend_from_slice(&(word as u16).to_le_bytes());
    } else {
        code.extend_from_slice(&word.to_le_bytes()[..usize::from(len)]);
    }
}

/// B (A1).
fn a32_branch(from: u32, to: u32) -> u32 {
    0xea00_0000 | to.wrapping_sub(from + 8) >> 2 & 0x00ff_ffff
}

/// B (T4).
fn t32_branch(from: u32, to: u32) -> u32 {
    let offset = to.wrapping_sub(from + 4);
    let s = offset >> 24 & 1;
    let (i1, i2) = (offset >> 23 & 1, offset >> 22 & 1);
    let (j1, j2) = (i1 ^ 1 ^ s, i2 ^ 1 ^ s);
    0xf000_9000 | s << 26 | (offset >> 12 & 0x3ff) << 16 | j1 << 13 | j2 << 11 | offset >> 1 & 0x7ff
}

/// What is known of a row before any instance of it is made.
pub(crate) struct Template {
    pub(crate) number: u16,
    /// The bits of each field but the condition.
    fields: Vec<u32>,
    /// The bits of the condition.
    cond: u32,
    /// Its name says that it is for what has no other meaning.
    undefined: bool,
}

impl Template {
    /// What is known of the row with a number.
    pub(crate) fn new(number: u16, row: &decode::Row) -> Self {
        let is_cond = |field: &decode::Field| {
            field.letter == 'c' && field.bits.count_ones() == 4 && field.bits >> 28 != 0
        };
        Template {
            number,
            fields: row
                .fields()
                .filter(|field| !is_cond(field))
                .map(|field| field.bits)
                .collect(),
            cond: row
                .fields()
                .find(is_cond)
                .map_or(0, |field| field.bits & !row.mask),
            undefined: row.name.starts_with("UNDEFINED"),
        }
    }
}

/// Makes batches.
pub struct Generator {
    seed: u64,
    states_per_program: u32,
    templates: Vec<Template>,
}

/// A number of programs, and cases that run them.
#[derive(Clone)]
pub struct Batch {
    /// Which one it is.
    pub number: u64,
    /// The code area.
    pub code: Vec<u8>,
    /// The programs in it.
    pub programs: Vec<Program>,
    /// The cases' states.
    pub states: Vec<State>,
    /// Their windows, of those that have one.
    pub windows: Vec<Window>,
    /// For each case, its number in the batch as generated, and its program.
    pub origins: Vec<(u32, u32)>,
}

/// Which program of a batch a case runs.
impl Batch {
    /// The program of the case at a place in `states`.
    pub fn program(&self, at: usize) -> &Program {
        &self.programs[self.origins[at].1 as usize]
    }
}

impl Generator {
    /// A generator of cases for the rows for which `wanted` holds and that are not exempt.
    pub fn new(seed: u64, states_per_program: u32, wanted: impl Fn(&str) -> bool) -> Self {
        let templates = (0u16..)
            .zip(rows())
            .filter(|(_, row)| wanted(row.name) && exempt::row(row).is_none())
            .map(|(number, row)| Template::new(number, row))
            .collect();
        Generator {
            seed,
            states_per_program,
            templates,
        }
    }

    /// Whether there is nothing to generate.
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// The rows that are generated.
    pub fn rows(&self) -> impl Iterator<Item = u16> {
        self.templates.iter().map(|template| template.number)
    }

    /// Cases in every batch.
    pub fn cases_per_batch(&self) -> u64 {
        u64::from(SLOTS * self.states_per_program)
    }

    /// The batch with a number. Rows take turns: over the batches each has as many programs.
    pub fn batch(&self, number: u64) -> Batch {
        let mut rng = Rng::new(self.seed, number);
        let mut programs = Vec::with_capacity(SLOTS as usize);
        for slot in 0..SLOTS {
            let turn = number * u64::from(SLOTS) + u64::from(slot);
            let mut at = (turn % self.templates.len() as u64) as usize;
            let start = PROGRAMS + slot * SLOT;
            let program = loop {
                // A row of which no instance was found gives its turn to the next.
                match self.program(&mut rng, &self.templates[at], start) {
                    Some(program) => break program,
                    None => at = (at + 1) % self.templates.len(),
                }
            };
            programs.push(program);
        }
        let mut batch = Batch {
            number,
            code: code_area(&programs),
            programs,
            states: Vec::new(),
            windows: Vec::new(),
            origins: Vec::new(),
        };
        for at in 0..self.cases_per_batch() as u32 {
            let program = &batch.programs[(at / self.states_per_program) as usize];
            let mut state = values::state(&mut rng);
            state.regs[15] = program.start() | u32::from(program.t32);
            if program.memory {
                let mut window = values::window(&mut rng);
                operands::place(&mut rng, program, &mut state, Some(&mut window));
                batch.windows.push(window);
                state.outcome = batch.windows.len() as u32;
            } else {
                operands::place(&mut rng, program, &mut state, None);
            }
            if operands::branch_target(program, &state, &batch.code).is_some_and(in_programs) {
                continue;
            }
            batch.states.push(state);
            batch.origins.push((at, at / self.states_per_program));
        }
        batch
    }

    fn program(&self, rng: &mut Rng, template: &Template, start: u32) -> Option<Program> {
        for _ in 0..256 {
            let program = if rows()[usize::from(template.number)].set == Set::A32 {
                self.a32_program(rng, template, start)
            } else {
                self.t32_program(rng, template, start)
            };
            let Some(program) = program else { continue };
            let main = program.main();
            if main.decoded.row != template.number
                || main.decoded.insn == Insn::Undefined && !template.undefined && !rng.one_in(16)
                || branches_into_programs(&program)
                || program
                    .insns
                    .iter()
                    .any(|insn| exempt::instance(insn).is_some())
            {
                continue;
            }
            return Some(program);
        }
        None
    }

    fn a32_program(&self, rng: &mut Rng, template: &Template, start: u32) -> Option<Program> {
        let mut insns = Vec::new();
        let mut add = |word: u32| {
            insns.push(Placed {
                va: start + 4 * insns.len() as u32,
                word,
                decoded: decode::a32(word),
            });
            insns.len() - 1
        };
        let big = rng.one_in(16);
        if big {
            add(0xf101_0200); // SETEND BE
        }
        let word = instance(rng, template);
        if matches!(decode::a32(word).insn, Insn::Strex { .. }) && !rng.one_in(4) {
            // LDREX of the same size and base, into other registers.
            let (size, rn) = (word & 0x0060_0000, word & 0x000f_0000);
            let rt = if rn < 0x2_0000 { 2 } else { 0 };
            add(0xe190_0f9f | size | rn | rt << 12);
        }
        let main = add(word);
        Some(Program {
            t32: false,
            memory: operands::accesses_memory(&insns[main].decoded.insn),
            insns,
            main,
            big,
        })
    }

    fn t32_program(&self, rng: &mut Rng, template: &Template, start: u32) -> Option<Program> {
        let mut program = Program {
            t32: true,
            insns: Vec::new(),
            main: 0,
            big: false,
            memory: false,
        };
        let mut it = ItState(0);
        let main = instance(rng, template);
        let narrow = rows()[usize::from(template.number)].set == Set::T16;
        if decode::t32_is_wide((main >> if narrow { 0 } else { 16 }) as u16) == narrow {
            return None;
        }
        let plain = decode_t32(main, narrow, ItState(0));
        program.memory = operands::accesses_memory(&plain.insn);
        if rng.one_in(16) && !matches!(plain.insn, Insn::It { .. }) {
            program.push(start, 0xb658, true, &mut it); // SETEND BE
            program.big = true;
        }
        if matches!(plain.insn, Insn::Strex { .. }) && !rng.one_in(4) {
            let rn = main & 0x000f_0000;
            let rt = if rn < 0x2_0000 { 2 } else { 0 };
            let load = match (main >> 20 & 0xf, main >> 4 & 0xf) {
                (4, _) => 0xe850_0f00 | main & 0xff,
                (_, 7) => 0xe8d0_007f | (rt + 1) << 8,
                (_, size) => 0xe8d0_0f0f | size << 4,
            };
            program.push(start, load | rn | rt << 12, false, &mut it);
        }
        if let Insn::It { .. } = plain.insn {
            program.main = program.push(start, main, true, &mut it);
            self.fill_block(rng, start, &mut program, &mut it);
        } else if it_may_hold(&plain.insn, rows()[usize::from(template.number)].name)
            && rng.one_in(3)
        {
            let before = if program.memory || branches(&plain.insn) {
                0
            } else {
                rng.below(3)
            };
            let after = if branches(&plain.insn) {
                0
            } else {
                rng.below(3 - before)
            };
            program.push(start, it_word(rng, 1 + before + after), true, &mut it);
            for _ in 0..before {
                self.push_filler(rng, start, &mut program, &mut it);
            }
            program.main = program.push(start, main, narrow, &mut it);
            self.fill_block(rng, start, &mut program, &mut it);
        } else {
            program.main = program.push(start, main, narrow, &mut it);
        }
        Some(program)
    }

    fn fill_block(&self, rng: &mut Rng, start: u32, program: &mut Program, it: &mut ItState) {
        while it.in_block() {
            self.push_filler(rng, start, program, it);
        }
    }

    /// An instruction that may be anywhere in an IT block and leaves memory alone.
    fn push_filler(&self, rng: &mut Rng, start: u32, program: &mut Program, it: &mut ItState) {
        // ADDS, SUBS, MOVS, CMP, shifts, logic on low registers; ADD.W, EOR.W with a register.
        let (word, narrow) = match rng.below(4) {
            0 => (rng.below(0x4000), true),
            1 => (0x4000 | rng.below(0x400), true),
            2 => (
                0xeb00_0000 | rng.below(7) << 16 | rng.below(7) << 8 | rng.below(7),
                false,
            ),
            _ => (
                0xea80_0000 | rng.below(7) << 16 | rng.below(7) << 8 | rng.below(7),
                false,
            ),
        };
        program.push(start, word, narrow, it);
    }
}

impl Program {
    /// Appends an instruction of T32; returns its place.
    fn push(&mut self, start: u32, word: u32, narrow: bool, it: &mut ItState) -> usize {
        let va = self
            .insns
            .last()
            .map_or(start, |last| last.va + u32::from(last.decoded.len));
        let decoded = decode_t32(word, narrow, *it);
        *it = match decoded.insn {
            Insn::It { it } => ItState(it),
            _ => it.advance(),
        };
        self.insns.push(Placed { va, word, decoded });
        self.insns.len() - 1
    }
}

pub(crate) fn decode_t32(word: u32, narrow: bool, it: ItState) -> Decoded {
    if narrow {
        decode::t32(word as u16, 0, it)
    } else {
        decode::t32((word >> 16) as u16, word as u16, it)
    }
}

/// An IT instruction for a block of `len` instructions.
pub(crate) fn it_word(rng: &mut Rng, len: u32) -> u32 {
    let cond = rng.below(15);
    let last = 1 << (4 - len);
    // AL has no "else": each bit must be the condition's lowest.
    let choices = if cond == Cond::Al as u32 {
        0
    } else {
        rng.below(8)
    };
    let then_or_else = (choices << 1) & !(last | (last - 1)) & 0xf;
    0xbf00 | cond << 4 | then_or_else | last
}

/// A word of a row: random fields, and now and then one that is all zeros, all ones, or small.
pub(crate) fn instance(rng: &mut Rng, template: &Template) -> u32 {
    let mut bits = rng.u32();
    for field in &template.fields {
        let low = field & field.wrapping_neg();
        match rng.below(16) {
            0 => bits &= !field,
            1 => bits |= field,
            2 => bits = bits & !field | (low.wrapping_mul(rng.below(4))) & field,
            _ => {}
        }
    }
    if rng.one_in(2) {
        bits = bits & !template.cond | 0xe000_0000 & template.cond;
    }
    rows()[usize::from(template.number)].word(bits)
}

/// Whether the instruction writes the PC, other than by an exception.
pub fn branches(insn: &Insn) -> bool {
    match *insn {
        Insn::B { .. }
        | Insn::Bl { .. }
        | Insn::BlxImm { .. }
        | Insn::Blx { .. }
        | Insn::Bx { .. }
        | Insn::Bxj { .. }
        | Insn::Cbz { .. }
        | Insn::Tbb { .. }
        | Insn::Rfe { .. }
        | Insn::Eret => true,
        Insn::DpImm { rd, .. }
        | Insn::DpReg { rd, .. }
        | Insn::DpRsr { rd, .. }
        | Insn::Adr { rd, .. } => rd.is_pc(),
        Insn::LdrImm { rt, .. } | Insn::LdrReg { rt, .. } => rt.is_pc(),
        Insn::Ldm { list, .. } => list & 0x8000 != 0,
        _ => false,
    }
}

/// Whether an IT block may hold the instruction (manual A8.8.54).
pub(crate) fn it_may_hold(insn: &Insn, row: &str) -> bool {
    !matches!(
        insn,
        Insn::It { .. } | Insn::Cbz { .. } | Insn::Cps { .. } | Insn::Setend { .. }
    ) && !matches!(row, "B T1" | "B T3")
}

/// Whether a branch with an immediate offset finds something else than filler or nothing.
fn branches_into_programs(program: &Program) -> bool {
    let insn = program.main();
    let pc = insn.va + if program.t32 { 4 } else { 8 };
    let target = match insn.decoded.insn {
        Insn::B { offset } | Insn::Bl { offset } | Insn::Cbz { offset, .. } => {
            pc.wrapping_add_signed(offset)
        }
        Insn::BlxImm { offset } => (pc & !3).wrapping_add_signed(offset),
        _ => return false,
    };
    is_oracles_own(target) || in_programs(target)
}

/// Whether execution from an address runs into one of the programs, rather than ends at the filler
/// around them.
fn in_programs(va: u32) -> bool {
    // The last halfword of a slot branches to the next one.
    let va = va.wrapping_add(2);
    (PROGRAMS..CODE_BASE + CODE_SIZE - 0x1000).contains(&va) && va % SLOT < LONGEST + 2
}

/// The code area with some programs, each at its place.
pub fn code_area(programs: &[Program]) -> Vec<u8> {
    let mut area: Vec<u8> = FILLER.to_le_bytes().repeat(CODE_SIZE as usize / 4);
    for program in programs {
        let code = program.code();
        debug_assert!(code.len() <= LONGEST as usize);
        let at = (program.start() - CODE_BASE) as usize;
        area[at..at + code.len()].copy_from_slice(&code);
    }
    area
}
