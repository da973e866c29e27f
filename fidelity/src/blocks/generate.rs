//! Makes programs: runs of random instructions with loops, calls, IT blocks, changes of state and of
//! the system between them.

use super::map;
use super::program::{Jump, Part, Program, TO_WRITABLE, Unit, constant};
use crate::generate::{Template, branches, decode_t32, instance, it_may_hold, it_word};
use crate::operands::base_and_index;
use crate::rng::Rng;
use crate::values;
use skep_arm::decode::{self, ItState, Set, rows};
use skep_arm::insn::{Decoded, Hint, Insn};
use skep_arm::state::{CpuModel, CpuState, Mode, psr};

/// A program, and what it starts with.
#[derive(Clone)]
pub struct Case {
    /// Its code.
    pub program: Program,
    /// The state before; R15 is where it starts.
    pub state: CpuState,
    /// Memory before, without the program.
    pub data: Vec<u64>,
    /// Where prefetch aborts go on: units.
    pub pads: [usize; 4],
    /// The IRQ input is asserted.
    pub irq: bool,
    /// The FIQ input is asserted.
    pub fiq: bool,
    /// The handler of FIQ leaves no trace, and FIQs come at any time: wherever each engine takes them,
    /// the program ends the same.
    pub storm: bool,
    /// The same is run once more at other addresses, [`map::COPY`] behind: the translator copies blocks.
    pub again: bool,
}

/// Makes cases.
pub struct Generator {
    seed: u64,
    templates: Vec<Template>,
    /// Places in `templates`, by instruction set (A32, T16, T32) and kind.
    kinds: [[Vec<u16>; KINDS]; 3],
}

/// Kinds of rows: between core registers, loads and stores, VFP and Advanced SIMD, all others.
const KINDS: usize = 4;

/// Where a unit's instructions may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Straight,
    /// In the body of a loop: R11 counts.
    Loop,
    /// In a function that keeps its return address in LR.
    Leaf,
}

pub(super) struct Maker<'a> {
    generator: &'a Generator,
    pub(super) rng: &'a mut Rng,
    units: Vec<Unit>,
    pub(super) t32: bool,
    /// Most instructions are of this kind.
    favourite: usize,
    /// Instructions that change the system are likely.
    system: bool,
    /// Code is rewritten.
    rewriting: bool,
    /// Calls whose function is not made yet: unit, part, and whether its state is T32.
    calls: Vec<(usize, usize, bool)>,
    /// Units that may be rewritten: a single instruction of four bytes.
    rewritable: Vec<usize>,
    /// What the program does with the pages of [`map::PATCH`]: functions there, by number.
    pub(super) slots: Vec<u32>,
    /// Devices raise interrupts.
    interrupts: bool,
    /// See [`Case::storm`].
    pub(super) storm: bool,
    /// Units that must not cross a page's end.
    pub(super) whole: Vec<usize>,
}

/// R10 and R12 hold addresses and values for a moment.
pub(super) const VALUE: u32 = 10;
pub(super) const ADDRESS: u32 = 12;

impl Generator {
    /// A generator for a seed.
    pub fn new(seed: u64) -> Self {
        let templates: Vec<Template> = (0u16..)
            .zip(rows())
            .map(|(number, row)| Template::new(number, row))
            .collect();
        let mut kinds: [[Vec<u16>; KINDS]; 3] = Default::default();
        for (at, row) in (0u16..).zip(rows()) {
            // The instance of zeros tells what the row is about.
            let word = row.word(0xe000_0000);
            let decoded = match row.set {
                Set::A32 => decode::a32(word),
                Set::T16 => decode::t32(word as u16, 0, ItState(0)),
                Set::T32 => decode::t32((word >> 16) as u16, word as u16, ItState(0)),
            };
            let kind = match decoded.insn {
                Insn::Simd(_) => 2,
                ref insn if base_and_index(insn).is_some() => 1,
                Insn::DpImm { .. }
                | Insn::DpReg { .. }
                | Insn::DpRsr { .. }
                | Insn::Adr { .. }
                | Insn::Movw { .. }
                | Insn::Movt { .. }
                | Insn::Mul { .. }
                | Insn::Mla { .. }
                | Insn::Mls { .. }
                | Insn::MulLong { .. }
                | Insn::SmulXy { .. }
                | Insn::Smmul { .. }
                | Insn::Div { .. }
                | Insn::Extend { .. }
                | Insn::Bits { .. }
                | Insn::Bfi { .. }
                | Insn::Bfx { .. } => 0,
                _ => 3,
            };
            kinds[row.set as usize][kind].push(at);
        }
        Generator {
            seed,
            templates,
            kinds,
        }
    }

    /// The case with a number.
    pub fn case(&self, number: u64) -> Case {
        let rng = &mut Rng::new(self.seed, number);
        loop {
            if let Some(case) = self.attempt(rng) {
                return case;
            }
        }
    }

    fn attempt(&self, rng: &mut Rng) -> Option<Case> {
        let mode = rng.pick(&[
            Mode::User,
            Mode::User,
            Mode::System,
            Mode::System,
            Mode::Supervisor,
            Mode::Irq,
            Mode::Fiq,
            Mode::Abort,
            Mode::Undefined,
        ]);
        let favourite = rng.below(KINDS as u32 + 1) as usize % KINDS;
        let (system, rewriting) = (rng.one_in(2), rng.one_in(4));
        let (patching, interrupts) = (rng.one_in(3), rng.one_in(3));
        // The handler of FIQ has FIQ mode for itself.
        let storm = interrupts && mode != Mode::Fiq && rng.one_in(2);
        let slots = 1 + rng.below(4);
        let slots = (0..if patching { slots } else { 0 })
            .map(|_| super::patch::slot(rng))
            .collect();
        let t32 = rng.one_in(2);
        let mut maker = Maker {
            generator: self,
            rng,
            units: Vec::new(),
            t32,
            favourite,
            system,
            rewriting,
            calls: Vec::new(),
            rewritable: Vec::new(),
            slots,
            interrupts,
            storm,
            whole: Vec::new(),
        };
        maker.main();
        let units = std::mem::take(&mut maker.units);
        let whole = std::mem::take(&mut maker.whole);
        // Mostly about the end of a page.
        let page = rng.below(3);
        let back = if rng.one_in(4) {
            0x1000
        } else {
            rng.below(0x200)
        };
        let program = Program {
            start: map::CODE + page * 0x1000 + ((0x1000 - back) & !3),
            units,
        };
        let addresses = program.addresses();
        let split = |unit: usize| match addresses.get(unit..unit + 2) {
            Some(&[start, end]) => start >> 12 != (end - 1) >> 12,
            _ => true,
        };
        if !program.fits() || whole.into_iter().any(split) {
            return None;
        }
        let mut state = initial_state(rng, mode, storm);
        // Through the alias, now and then: only what is relative to the PC tells.
        let alias = rng.one_in(8) && program.addresses().last()? & !0xfff == program.start & !0xfff;
        state.regs[15] = if alias {
            map::CODE_ALIAS + ((program.start - map::CODE) ^ 0x2000)
        } else {
            program.start + if rng.one_in(8) { map::COPY } else { 0 }
        };
        if t32 {
            state.cpsr |= psr::T;
        }
        let count = program.units.len();
        Some(Case {
            pads: std::array::from_fn(|_| count / 4 + rng.below(count as u32 * 3 / 4) as usize),
            data: (0..0x8000 / 8).map(|_| rng.u64()).collect(),
            program,
            state,
            irq: rng.one_in(4),
            fiq: rng.one_in(8) || storm && rng.one_in(2),
            storm,
            again: rng.one_in(3),
        })
    }
}

/// An address in the data area: about the ends of its pages, or anywhere.
fn pointer(rng: &mut Rng) -> u32 {
    let page = if rng.one_in(3) {
        rng.below(16)
    } else {
        // Those that everyone may write.
        rng.pick(&[0, 1, 2, 3, 4])
    };
    let within = match rng.below(4) {
        0 => 0x1000 - rng.below(64),
        1 => rng.below(64),
        _ => rng.below(0x1000),
    };
    let va = map::DATA + page * 0x1000 + within;
    if rng.one_in(6) { va } else { va & !7 }
}

fn initial_state(rng: &mut Rng, mode: Mode, storm: bool) -> CpuState {
    let mut state = CpuState::new(CpuModel::CortexA15, 0, 1);
    map::set_up(&mut state);
    for mode in [
        Mode::System,
        Mode::Fiq,
        Mode::Irq,
        Mode::Supervisor,
        Mode::Abort,
        Mode::Undefined,
        mode,
    ] {
        state.change_mode(mode);
        for reg in 0..15 {
            state.regs[reg] = match rng.below(4) {
                0 | 1 => pointer(rng),
                2 => rng.below(64),
                _ => values::word(rng),
            };
        }
        state.regs[11] = 1 + rng.below(8);
        state.regs[13] = map::DATA + 0x1800 + rng.below(0x100) * 4;
    }
    if storm {
        state.change_mode(Mode::Fiq);
        let [r8, r9, lr, spsr] = super::handlers::FAST_BANKED;
        (state.regs[8], state.regs[9], state.regs[14]) = (r8, r9, lr);
        state.set_spsr(spsr);
        state.change_mode(mode);
    }
    let random = values::state(rng);
    state.cpsr = state.cpsr & (psr::MODE | psr::A) | random.cpsr & 0xf80f_0000;
    state.cpsr |= (psr::F * u32::from(!storm && rng.one_in(2))) | (psr::I * rng.below(2));
    state.simd.d = random.d;
    state.simd.fpscr = random.fpscr;
    if rng.one_in(8) {
        state.simd.fpexc = 0;
    }
    if rng.one_in(8) {
        state.cp15.sctlr |= skep_arm::cp15::spec::sctlr::A;
    }
    state
}

impl Maker<'_> {
    /// The whole program.
    fn main(&mut self) {
        for _ in 0..2 + self.rng.below(12) {
            self.section(Place::Straight, 0);
        }
        let t32 = self.t32;
        let [low, high] = constant(t32, ADDRESS, map::END);
        let leave = if t32 {
            Part::Narrow(0x4700 | ADDRESS << 3)
        } else {
            Part::Word(0xe12f_ff10 | ADDRESS)
        };
        self.push(vec![low, high, leave]);
        // Functions call others, to some depth.
        let mut made = 0;
        while let Some((unit, part, t32)) = self.calls.pop() {
            let start = self.units.len();
            if made < 12 {
                made += 1;
                let from_t32 = self.units[unit].t32;
                self.function(t32, from_t32);
            }
            let start = if start == self.units.len() {
                unit + 1
            } else {
                start
            };
            if let Some(Part::Jump(_, to) | Part::Address(_, to, ..)) =
                self.units[unit].parts.get_mut(part)
            {
                *to = start;
            }
        }
    }

    pub(super) fn push(&mut self, parts: Vec<Part>) {
        self.units.push(Unit {
            t32: self.t32,
            parts,
        });
    }

    fn function(&mut self, t32: bool, from_t32: bool) {
        self.t32 = t32;
        let leaf = self.rng.one_in(3);
        if leaf {
            for _ in 0..1 + self.rng.below(6) {
                self.random(Place::Leaf);
            }
            let back = if t32 {
                // MOV PC, LR does not interwork.
                let ways = if from_t32 { 2 } else { 1 };
                Part::Narrow(self.rng.pick(&[0x4770, 0x46f7][..ways]))
            } else {
                Part::Word(self.rng.pick(&[0xe12f_ff1e, 0xe1a0_f00e]))
            };
            return self.push(vec![back]);
        }
        let (push, pop) = if t32 {
            self.rng.pick(&[
                (Part::Narrow(0xb510), Part::Narrow(0xbd10)),
                (Part::Wide(0xe92d_4110), Part::Wide(0xe8bd_8110)),
                (Part::Narrow(0xb500), Part::Wide(0xf85d_fb04)),
            ])
        } else {
            self.rng.pick(&[
                (Part::Word(0xe92d_4010), Part::Word(0xe8bd_8010)),
                (Part::Word(0xe52d_e004), Part::Word(0xe49d_f004)),
            ])
        };
        self.push(vec![push]);
        for _ in 0..1 + self.rng.below(3) {
            self.section(Place::Straight, 1);
        }
        if self.t32 != t32 {
            self.switch();
        }
        self.push(vec![pop]);
    }

    /// Goes on in the other instruction set.
    fn switch(&mut self) {
        let next = self.units.len() + 1;
        self.push(vec![Part::Jump(Jump::Blx, next)]);
        self.t32 = !self.t32;
    }

    fn section(&mut self, place: Place, depth: u32) {
        match self.rng.below(16) {
            0..4 if depth < 2 => self.repeat(depth),
            4 | 5 => self.skip(place),
            6 | 7 if place == Place::Straight => self.call(),
            8 if place == Place::Straight => self.switch(),
            9 if self.t32 => self.table(),
            10 | 11 if self.system => self.change_system(),
            12 | 13 if self.rewriting => self.rewrite(),
            14 if self.interrupts => self.interrupt(),
            15 => self.across(place),
            11..16 if !self.slots.is_empty() && place != Place::Leaf => self.patch(place),
            _ => {
                for _ in 0..1 + self.rng.below(20) {
                    self.random(place);
                }
            }
        }
    }

    /// A loop.
    fn repeat(&mut self, depth: u32) {
        let count = 1 + self.rng.below(6);
        let start = self.units.len() + 1;
        let t32 = self.t32;
        let [set, _] = constant(t32, 11, count);
        self.push(vec![set]);
        let patching = !self.slots.is_empty() && self.rng.one_in(2);
        for _ in 0..1 + self.rng.below(8) {
            if patching && self.rng.one_in(2) {
                self.patch(Place::Loop);
            } else if self.interrupts && self.rng.one_in(6) {
                self.interrupt();
            } else if self.rng.one_in(24) {
                self.across(Place::Loop);
            } else {
                self.random(Place::Loop);
            }
        }
        if self.rng.one_in(3) {
            self.section(Place::Loop, depth + 2);
        }
        if self.t32 != t32 {
            self.switch();
        }
        let down = if t32 {
            Part::Wide(0xf1bb_0b01)
        } else {
            Part::Word(0xe25b_b001)
        };
        let cond = self.rng.pick(&[1, 12]);
        self.push(vec![down, Part::Jump(Jump::B(cond), start)]);
    }

    /// A conditional branch over some instructions.
    fn skip(&mut self, place: Place) {
        let at = self.units.len();
        let over = 1 + self.rng.below(6) as usize;
        let jump = match (self.t32, self.rng.below(3)) {
            (true, 0) => Jump::Cbz(self.rng.one_in(2), self.rng.below(8)),
            (true, 1) => Jump::B(0x10 | self.rng.below(14)),
            _ => Jump::B(self.rng.below(14)),
        };
        self.push(vec![Part::Jump(jump, at + 1 + over)]);
        for _ in 0..over {
            self.random(place);
        }
    }

    fn call(&mut self) {
        if self.calls.len() > 6 {
            return;
        }
        let unit = self.units.len();
        let other = self.rng.one_in(2);
        let t32 = self.t32 ^ other;
        match self.rng.below(3) {
            0 => {
                // Through a register.
                let blx = if self.t32 {
                    Part::Narrow(0x4780 | ADDRESS << 3)
                } else {
                    Part::Word(0xe12f_ff30 | ADDRESS)
                };
                self.calls.push((unit, 0, t32));
                let at = self.rng.pick(&[0, map::COPY]);
                self.push(vec![Part::Address(ADDRESS, unit + 1, at, true), blx]);
            }
            _ => {
                let jump = if other { Jump::Blx } else { Jump::Bl };
                self.calls.push((unit, 0, t32));
                self.push(vec![Part::Jump(jump, unit + 1)]);
            }
        }
    }

    /// TBB with the table behind it.
    fn table(&mut self) {
        let [index, _] = constant(true, VALUE, self.rng.below(4));
        self.push(vec![
            index,
            Part::Wide(0xe8df_f000 | VALUE),
            Part::Narrow(0x0302),
            Part::Narrow(0x0504),
            Part::Narrow(0xbf00),
            Part::Narrow(0xbf00),
            Part::Narrow(0xbf00),
        ]);
    }

    /// A word that is the same in A32 and T32: a coprocessor instruction.
    pub(super) fn coprocessor(&self, word: u32) -> Part {
        if self.t32 {
            Part::Wide(word)
        } else {
            Part::Word(word)
        }
    }

    pub(super) fn barriers(&self) -> [Part; 2] {
        if self.t32 {
            [Part::Wide(0xf3bf_8f4f), Part::Wide(0xf3bf_8f6f)]
        } else {
            [Part::Word(0xf57f_f04f), Part::Word(0xf57f_f06f)]
        }
    }

    /// STR of [`VALUE`] to [`ADDRESS`].
    pub(super) fn store(&self) -> Part {
        if self.t32 {
            Part::Wide(0xf8cc_a000)
        } else {
            Part::Word(0xe58c_a000)
        }
    }

    fn change_system(&mut self) {
        let t32 = self.t32;
        let either = |a32: u32, wide: u32| {
            if t32 {
                Part::Wide(wide)
            } else {
                Part::Word(a32)
            }
        };
        let [dsb, isb] = self.barriers();
        let mut parts = Vec::new();
        match self.rng.below(12) {
            0..3 => {
                // An entry of the tables, and the maintenance that it needs.
                let space = self.rng.below(2);
                let index = self.rng.below(16);
                let from = self.rng.below(16) as usize;
                let entry = map::data_descriptor(from, space);
                // The same page must not be global in one place and not in the other.
                let global = entry & 1 << 11
                    == map::data_descriptor(index as usize, space) & 1 << 11
                    && entry & 1 << 11 == 0;
                let table = map::TABLES + map::DATA_TABLES[space as usize];
                let va = map::DATA + index * 0x1000;
                let op = if global && self.rng.one_in(2) { 3 } else { 0 };
                parts.extend(constant(t32, ADDRESS, table + index * 4));
                parts.extend(constant(t32, VALUE, entry));
                parts.push(self.store());
                parts.push(dsb);
                parts.extend(constant(t32, VALUE, va | self.rng.below(256)));
                parts.push(self.coprocessor(0xee08_0f17 | VALUE << 12 | op << 5));
                parts.extend([dsb, isb]);
                parts.extend(constant(t32, ADDRESS, 0));
            }
            3 => {
                let dacr = map::dacr(self.rng.pick(&[0, 1, 1, 3]));
                parts.extend(constant(t32, VALUE, dacr));
                parts.push(self.coprocessor(0xee03_0f10 | VALUE << 12));
                parts.push(isb);
            }
            4 | 5 => {
                // Another address space, by way of an ASID that has none.
                let space = self.rng.below(2);
                for (value, register) in [
                    (0, 0xee0d_0f30),
                    (map::ttbr0(space), 0xee02_0f10),
                    (1 + space, 0xee0d_0f30),
                ] {
                    parts.extend(constant(t32, VALUE, value));
                    parts.push(self.coprocessor(register | VALUE << 12));
                    parts.push(isb);
                }
            }
            6 => {
                // SCTLR.A.
                parts.push(self.coprocessor(0xee11_0f10 | VALUE << 12));
                parts.push(either(0xe22a_a002, 0xf08a_0a02));
                parts.push(self.coprocessor(0xee01_0f10 | VALUE << 12));
                parts.push(isb);
            }
            7 => {
                // CPS: interrupts, or another mode.
                let modes = &[0x11, 0x12, 0x13, 0x17, 0x1b, 0x1f];
                let mode = self.rng.pick(&modes[usize::from(self.storm)..]);
                parts.push(match (self.rng.below(4), t32) {
                    (0, false) => Part::Word(0xf102_0000 | mode),
                    (0, true) => Part::Wide(0xf3af_8100 | mode),
                    (1, false) => Part::Word(0xf108_01c0),
                    (1, true) => Part::Narrow(0xb667),
                    (_, false) => Part::Word(0xf10c_00c0),
                    (_, true) => Part::Narrow(0xb673),
                });
            }
            8 => {
                // Some big-endian accesses.
                let setend = |big: u32| {
                    if t32 {
                        Part::Narrow(0xb650 | big << 3)
                    } else {
                        Part::Word(0xf101_0000 | big << 9)
                    }
                };
                self.push(vec![setend(1)]);
                for _ in 0..1 + self.rng.below(6) {
                    self.random(Place::Straight);
                }
                parts.push(setend(0));
            }
            9 => {
                // FPEXC.EN, FPSCR.
                let (value, register) = match self.rng.below(4) {
                    0 => (0, 0xeee8_0a10),
                    1 => (1 << 30, 0xeee8_0a10),
                    _ => (self.rng.u32() & 0x07c0_009f, 0xeee1_0a10),
                };
                parts.extend(constant(t32, VALUE, value));
                parts.push(self.coprocessor(register | VALUE << 12));
            }
            10 => parts.push(if t32 {
                Part::Narrow(0xdf00 | self.rng.below(256))
            } else {
                Part::Word(0xef00_0000)
            }),
            _ => {
                // Maintenance without a reason.
                let op = self.rng.below(4);
                parts.push(self.coprocessor(0xee08_0f17 | VALUE << 12 | op << 5));
                parts.extend([dsb, isb]);
            }
        }
        self.push(parts);
    }

    /// Rewrites an instruction, one that comes later or one of the loop around.
    fn rewrite(&mut self) {
        let unit = self.units.len();
        let to = if self.rewritable.is_empty() || self.rng.one_in(2) {
            unit + 1 + self.rng.below(4) as usize
        } else {
            self.rng.pick(&self.rewritable)
        };
        // The target of a reference forward is made now, so that its size is known.
        let set = self.units.get(to).map_or(self.t32, |unit| unit.t32);
        let Some(new) = self.four_bytes(set) else {
            return;
        };
        let stored = if set { new.rotate_left(16) } else { new };
        let mut parts = vec![Part::Address(ADDRESS, to, TO_WRITABLE, false)];
        parts.extend(constant(self.t32, VALUE, stored));
        parts.push(self.store());
        if self.rng.one_in(2) {
            // DCCMVAU, ICIMVAU, BPIALL, for those who may.
            for op in [0xee07_0f3b, 0xee07_0f35, 0xee07_0fd5] {
                parts.push(self.coprocessor(op | ADDRESS << 12));
            }
        }
        parts.extend(self.barriers());
        parts.extend(constant(self.t32, ADDRESS, 0));
        self.push(parts);
        while self.units.len() <= to {
            let Some(old) = self.four_bytes(self.t32) else {
                return;
            };
            self.rewritable.push(self.units.len());
            let part = self.coprocessor(old);
            self.push(vec![part]);
        }
    }

    /// An instruction between registers that is four bytes long.
    fn four_bytes(&mut self, t32: bool) -> Option<u32> {
        let set = if t32 { Set::T32 } else { Set::A32 };
        for _ in 0..16 {
            let (word, decoded) = self.instance(set, 0)?;
            if acceptable(self.rng, set, word, &decoded, Place::Loop) {
                return Some(word);
            }
        }
        None
    }

    fn instance(&mut self, set: Set, kind: usize) -> Option<(u32, Decoded)> {
        let kinds = &self.generator.kinds[set as usize][kind];
        if kinds.is_empty() {
            return None;
        }
        let at = self.rng.pick(kinds);
        let word = instance(self.rng, &self.generator.templates[usize::from(at)]);
        let decoded = match set {
            Set::A32 => decode::a32(word),
            _ => {
                let narrow = set == Set::T16;
                if decode::t32_is_wide((word >> if narrow { 0 } else { 16 }) as u16) == narrow {
                    return None;
                }
                decode_t32(word, narrow, ItState(0))
            }
        };
        Some((word, decoded))
    }

    /// The number of the next unit.
    pub(super) fn next(&self) -> usize {
        self.units.len()
    }

    /// An instruction between registers, four bytes long, that a function may consist of wherever
    /// it is called.
    pub(super) fn body(&mut self, t32: bool) -> Option<u32> {
        let set = if t32 { Set::T32 } else { Set::A32 };
        for _ in 0..16 {
            let (word, decoded) = self.instance(set, 0)?;
            if [Place::Loop, Place::Leaf]
                .iter()
                .all(|place| acceptable(self.rng, set, word, &decoded, *place))
            {
                return Some(word);
            }
        }
        None
    }

    /// A random instruction, with operands that it can use; or an IT block of them.
    fn random(&mut self, place: Place) {
        if self.t32 && self.rng.one_in(6) {
            return self.it_block(place);
        }
        if let Some((part, decoded)) = self.pick(place, false) {
            let mut parts = Vec::new();
            if let Some((rn, rm)) = base_and_index(&decoded.insn)
                && !rn.is_pc()
                && (rn.index() != 13 || self.rng.one_in(8))
                && !self.rng.one_in(4)
            {
                let va = pointer(self.rng);
                parts.extend(constant(self.t32, rn.index() as u32, va));
                if let Some(rm) = rm.filter(|rm| !rm.is_pc() && *rm != rn)
                    && rm.index() != 13
                {
                    let small = self.rng.below(32);
                    parts.extend(constant(self.t32, rm.index() as u32, small).first());
                }
            }
            if place == Place::Loop {
                // Not the loop's counter.
                let changes = |part: &Part| match part {
                    Part::Word(word) => word >> 12 & 15 == 11,
                    Part::Wide(word) => word >> 8 & 15 == 11,
                    _ => false,
                };
                parts.retain(|part| !changes(part));
            }
            parts.push(part);
            self.push(parts);
        }
    }

    fn it_block(&mut self, place: Place) {
        let count = 1 + self.rng.below(4);
        let mut parts = vec![Part::Narrow(it_word(self.rng, count))];
        while parts.len() <= count as usize {
            // Only the last one may branch (manual A8.8.54).
            let last = parts.len() == count as usize;
            if let Some((part, decoded)) = self.pick(place, true)
                && (last || !branches(&decoded.insn))
            {
                parts.push(part);
            }
        }
        self.push(parts);
    }

    fn pick(&mut self, place: Place, in_it: bool) -> Option<(Part, Decoded)> {
        for _ in 0..16 {
            let set = match (self.t32, self.rng.below(2)) {
                (false, _) => Set::A32,
                (true, 0) => Set::T16,
                (true, _) => Set::T32,
            };
            let kind = match self.rng.below(4) {
                0 => self.rng.pick(&[0, 0, 1, 1, 1, 2, 2, 3]),
                _ if self.favourite == 3 => self.rng.pick(&[0, 1]),
                _ => self.favourite,
            };
            let Some((word, decoded)) = self.instance(set, kind) else {
                continue;
            };
            if !acceptable(self.rng, set, word, &decoded, place)
                || self.storm && tells_interrupts(&decoded.insn)
                || in_it && !it_may_hold(&decoded.insn, rows()[usize::from(decoded.row)].name)
            {
                continue;
            }
            let part = match set {
                Set::A32 => Part::Word(word),
                Set::T16 => Part::Narrow(word),
                Set::T32 => Part::Wide(word),
            };
            return Some((part, decoded));
        }
        None
    }
}

/// Whether an instruction tells of interrupts whose handler leaves no trace: it depends on the
/// exclusive monitor or the event register, or may change to the handler's mode.
fn tells_interrupts(insn: &Insn) -> bool {
    matches!(
        insn,
        Insn::Ldrex { .. }
            | Insn::Strex { .. }
            | Insn::Clrex
            | Insn::MsrReg { .. }
            | Insn::MsrImm { .. }
            | Insn::Rfe { .. }
            | Insn::Eret
            | Insn::Cps { .. }
            | Insn::Hint { op: Hint::Wfe, .. }
    )
}

/// Whether a random instruction may be in a program: branches lead nowhere, most of them.
fn acceptable(rng: &mut Rng, set: Set, word: u32, decoded: &Decoded, place: Place) -> bool {
    let insn = &decoded.insn;
    if let Insn::It { .. } = insn {
        return false;
    }
    // Nothing is stored relative to the PC: code is rewritten on purpose only.
    let loads = matches!(
        insn,
        Insn::LdrImm { .. } | Insn::LdrReg { .. } | Insn::LdrdImm { .. } | Insn::Tbb { .. }
    );
    if base_and_index(insn).is_some_and(|(rn, _)| rn.is_pc()) && !loads {
        return false;
    }
    let rare = branches(insn)
        || matches!(
            insn,
            Insn::Undefined
                | Insn::Svc { .. }
                | Insn::Hvc { .. }
                | Insn::Smc { .. }
                | Insn::Bkpt { .. }
                | Insn::Udf { .. }
                | Insn::Cps { .. }
                | Insn::MsrReg { .. }
                | Insn::MsrImm { .. }
                | Insn::Mcr { .. }
                | Insn::Mcrr { .. }
                | Insn::Setend { .. }
        );
    if rare && !rng.one_in(48) {
        return false;
    }
    let kept = match place {
        Place::Straight => return true,
        Place::Loop => 11,
        Place::Leaf => 14,
    };
    if let Insn::Ldm { list, .. } = insn {
        return list >> kept & 1 == 0;
    }
    set == Set::T16
        || ![0, 8, 12, 16]
            .iter()
            .any(|shift| word >> shift & 15 == kept)
}
