//! Comparing what the engine made of a case with what the oracle did, and making a difference
//! readable.

use crate::engine::{Engine, Subject};
use crate::exempt;
use crate::generate::{Batch, Program, code_area};
use crate::oracle::{Oracle, OracleError};
use crate::wire::*;
use skep_arm::disasm::disassemble;
use std::fmt::Write;

/// The bits of CPSR that are compared: all that user mode may see, and the execution state.
const CPSR: u32 = 0xff0f_fe20;

/// One case by itself.
#[derive(Clone)]
pub struct Case {
    /// Its program.
    pub program: Program,
    /// The whole code area, or just the program.
    pub code: Vec<u8>,
    /// The state before.
    pub state: State,
    /// The window before.
    pub window: Option<Window>,
}

/// What came of a case.
#[derive(Clone, Copy)]
pub struct Final {
    /// The state after.
    pub state: State,
    /// The window after.
    pub window: Option<Window>,
}

/// Whether two final states are the same.
pub fn same_state(ours: &State, theirs: &State) -> bool {
    ours.regs == theirs.regs
        && (ours.cpsr ^ theirs.cpsr) & CPSR == 0
        && ours.fpscr == theirs.fpscr
        && ours.d == theirs.d
        && ours.outcome == theirs.outcome
        && same_address(ours, theirs)
}

/// The address of an alignment fault and of an abort is that of the access; QEMU has none for
/// the other signals.
fn same_address(ours: &State, theirs: &State) -> bool {
    let aborted = ours.outcome == Outcome::Abort as u32;
    !aborted || ours.address == theirs.address
}

/// Whether two ends are the same.
pub fn same(ours: &Final, theirs: &Final) -> bool {
    same_state(&ours.state, &theirs.state) && ours.window == theirs.window
}

/// Runs single cases on both sides.
pub struct Bench<'a> {
    /// The engine.
    pub subject: &'a mut Subject<dyn Engine>,
    /// QEMU.
    pub oracle: &'a mut Oracle,
}

impl Bench<'_> {
    /// Runs a case on both sides; None if the oracle cannot run it.
    ///
    /// # Errors
    /// When the oracle ended.
    pub fn run(&mut self, case: &Case) -> Result<Option<(Final, Final)>, OracleError> {
        let mut state = case.state;
        state.outcome = u32::from(case.window.is_some());
        let windows: Vec<Window> = case.window.into_iter().collect();
        let ours = self.subject.run_all(&case.code, &[state], &windows);
        if touches_oracle(&ours.states[0]) {
            return Ok(None);
        }
        let batch = Batch {
            number: 0,
            code: case.code.clone(),
            programs: Vec::new(),
            states: vec![state],
            windows,
            origins: Vec::new(),
        };
        let theirs = self.oracle.run(&batch)?;
        let end = |results: &crate::oracle::Results| Final {
            state: results.states[0],
            window: results.windows.first().copied(),
        };
        Ok(Some((end(&ours), end(&theirs))))
    }

    fn differs(&mut self, case: &Case) -> Result<bool, OracleError> {
        Ok(self.run(case)?.is_some_and(|(ours, theirs)| {
            !same(&ours, &theirs)
                && exempt::result(case.program.main(), &ours.state, &theirs.state).is_none()
        }))
    }

    /// The smallest case found that still makes a difference: one instruction if it can be, and as
    /// much of the state 0 as can be.
    ///
    /// # Errors
    /// When the oracle ended.
    pub fn shrink(&mut self, mut case: Case) -> Result<Case, OracleError> {
        let mut attempt = |case: &mut Case, smaller: Case| -> Result<(), OracleError> {
            if self.differs(&smaller)? {
                *case = smaller;
            }
            Ok(())
        };
        let mut alone = case.clone();
        alone.code = code_area(std::slice::from_ref(&alone.program));
        attempt(&mut case, alone)?;
        // Without the instructions around the main one.
        if case.program.insns.len() > 1 {
            let mut single = case.clone();
            let mut insn = *single.program.main();
            insn.va = single.program.start();
            let word = insn.word;
            if single.program.t32 {
                let it = skep_arm::decode::ItState(0);
                insn.decoded = if insn.decoded.len == 2 {
                    skep_arm::decode::t32(word as u16, 0, it)
                } else {
                    skep_arm::decode::t32((word >> 16) as u16, word as u16, it)
                };
            }
            single.program.insns = vec![insn];
            single.program.main = 0;
            single.code = code_area(std::slice::from_ref(&single.program));
            attempt(&mut case, single)?;
        }
        for at in 0..15 {
            let mut smaller = case.clone();
            smaller.state.regs[at] = 0;
            attempt(&mut case, smaller)?;
        }
        for at in 0..32 {
            for mask in [0, 0xffff_ffff, 0xffff_ffff_0000_0000] {
                let mut smaller = case.clone();
                smaller.state.d[at] &= mask;
                attempt(&mut case, smaller)?;
            }
        }
        for bit in 0..32 {
            let mut smaller = case.clone();
            smaller.state.cpsr &= !(1 << bit);
            smaller.state.fpscr &= !(1 << bit);
            attempt(&mut case, smaller)?;
        }
        if case.window.is_some() {
            let mut smaller = case.clone();
            smaller.window = Some(Window([0; WINDOW_SIZE / 8]));
            attempt(&mut case, smaller)?;
        }
        Ok(case)
    }
}

/// Whether a case ended, in the engine, at or because of an address where the oracle has something
/// of its own. Such cases are not run there.
pub fn touches_oracle(ours: &State) -> bool {
    let at_own = is_oracles_own(ours.address)
        || is_oracles_own(ours.regs[15])
        || SIGNAL_STACK.contains(&ours.regs[13]);
    ours.outcome == Outcome::Endless as u32 || ours.outcome != Outcome::Finished as u32 && at_own
}

impl Case {
    /// A case of a batch, given its number there as generated.
    pub fn of(batch: &Batch, at: usize) -> Case {
        let state = batch.states[at];
        Case {
            program: batch.program(at).clone(),
            code: batch.code.clone(),
            window: (state.outcome as usize)
                .checked_sub(1)
                .and_then(|at| batch.windows.get(at))
                .copied(),
            state,
        }
    }

    /// The program as text.
    pub fn listing(&self) -> String {
        let mut text = String::new();
        for insn in &self.program.insns {
            let row = &skep_arm::decode::rows()[usize::from(insn.decoded.row)];
            let width = usize::from(insn.decoded.len) * 2;
            let _ = writeln!(
                text,
                "  {:08x}: {:0width$x}  {}    [{}]",
                insn.va,
                insn.word,
                disassemble(&insn.decoded, insn.va),
                row.name,
            );
        }
        text
    }

    /// Both ends side by side: registers before, and after where they changed or differ.
    pub fn table(&self, ours: &Final, theirs: &Final) -> String {
        let mut text = format!(
            "    {:8} {:>18} {:>18} {:>18}\n",
            "", "before", "Skep", "QEMU"
        );
        let mut line = |name: &str, before: u64, ours: u64, theirs: u64, digits: usize| {
            let differs = ours != theirs;
            if differs || before != ours || before != 0 {
                let mark = if differs { "*" } else { " " };
                let hex = |value: u64| format!("{value:0digits$x}");
                let _ = writeln!(
                    text,
                    "  {mark} {name:8} {:>18} {:>18} {:>18}",
                    hex(before),
                    hex(ours),
                    hex(theirs)
                );
            }
        };
        let (a, b) = (&ours.state, &theirs.state);
        for at in 0..15 {
            line(
                &format!("r{at}"),
                self.state.regs[at].into(),
                a.regs[at].into(),
                b.regs[at].into(),
                8,
            );
        }
        line("pc", 0, a.regs[15].into(), b.regs[15].into(), 8);
        line(
            "cpsr",
            self.state.cpsr.into(),
            (a.cpsr & CPSR).into(),
            (b.cpsr & CPSR).into(),
            8,
        );
        line(
            "fpscr",
            self.state.fpscr.into(),
            a.fpscr.into(),
            b.fpscr.into(),
            8,
        );
        for at in 0..32 {
            line(&format!("d{at}"), self.state.d[at], a.d[at], b.d[at], 16);
        }
        if let (Some(before), Some(x), Some(y)) = (&self.window, &ours.window, &theirs.window) {
            for at in 0..WINDOW_SIZE / 8 {
                if x.0[at] != y.0[at] || before.0[at] != x.0[at] {
                    let name = format!("{:08x}", WINDOW_BASE + at as u32 * 8);
                    line(&name, before.0[at], x.0[at], y.0[at], 16);
                }
            }
        }
        let end =
            |state: &State| format!("{} ({:08x})", outcome_name(state.outcome), state.address);
        let _ = writeln!(text, "    Skep: {}; QEMU: {}", end(a), end(b));
        text
    }
}
