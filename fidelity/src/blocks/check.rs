//! Running programs in both engines, and comparing what they leave.

use super::generate::{Case, Generator};
use super::machine::Board;
use super::map;
use skep_arm::state::CpuState;
use skep_interp::{DirectMemory, Exit, control};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// What ended it; None if nothing did.
    pub exit: Option<Exit>,
    /// The state then.
    pub state: CpuState,
    /// Memory then.
    pub memory: Vec<u64>,
    /// What the device kept of its accesses.
    pub log: u64,
}

/// Settings of the translator under which programs run, by turns.
pub const CONFIGS: [skep_jit::Config; 4] = [
    skep_jit::Config {
        code_cache: 32 << 20,
        threshold: 1,
        count: false,
        window_after: None,
        for_profiler: false,
    },
    skep_jit::Config {
        code_cache: 1 << 20,
        threshold: 1,
        count: true,
        window_after: None,
        for_profiler: false,
    },
    skep_jit::Config {
        code_cache: 1 << 20,
        threshold: 3,
        count: false,
        window_after: None,
        for_profiler: true,
    },
    skep_jit::Config {
        code_cache: 1 << 20,
        threshold: 1,
        count: false,
        window_after: Some(0),
        for_profiler: false,
    },
];

/// A program that executes more instructions than this has no end.
const LONGEST: u64 = 100_000;
/// Nor has one that leaves its engine more often.
const MOST_EXITS: u32 = 2000;
/// How often generated code is interrupted.
const TICK: Duration = Duration::from_millis(10);
/// After so many interruptions of a program that ended in the interpreter, the translator hangs.
const PATIENCE: u32 = 100;

/// Both engines, each with its machine.
pub struct Bench {
    interpreter: (Arc<Board>, skep_interp::Vcpu<Board>),
    translators: Vec<(Arc<Board>, skep_jit::Vcpu<Board>)>,
    stop: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

/// What was done.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Programs compared.
    pub programs: u64,
    /// Programs without an end, which are not compared.
    pub endless: u64,
    /// Instructions that the interpreter executed in programs that were compared.
    pub instructions: u64,
    /// Exceptions taken in them, by their vector.
    pub exceptions: [u64; 8],
    /// Interrupts that left no trace.
    pub fast: u64,
}

impl Bench {
    /// The engines.
    ///
    /// # Errors
    /// The host's, when it has no memory for code.
    pub fn new() -> std::io::Result<Self> {
        Self::with(|| Board::new(map::MEMORY, 1))
    }

    /// The engines, the translator on machines made by `make`.
    ///
    /// # Errors
    /// The host's, when it has no memory for code.
    pub fn with(make: impl Fn() -> Arc<Board>) -> std::io::Result<Self> {
        let mut state = CpuState::new(skep_arm::state::CpuModel::CortexA15, 0, 1);
        map::set_up(&mut state);
        let board = Board::new(map::MEMORY, 1);
        let vcpu = skep_interp::Vcpu::new(state.clone(), board.clone(), board.cluster.clone());
        let mut translators = Vec::new();
        for config in CONFIGS {
            let board = make();
            let cluster = board.cluster.clone();
            let vcpu = skep_jit::Vcpu::new(state.clone(), board.clone(), cluster, config)?;
            translators.push((board, vcpu));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let controls: Vec<_> = translators
            .iter()
            .flat_map(|(board, _)| board.cluster.controls().cloned())
            .collect();
        let stopped = stop.clone();
        // Only a tick ends a loop in generated code.
        let ticker = std::thread::spawn(move || {
            while !stopped.load(Relaxed) {
                std::thread::sleep(TICK);
                for control in &controls {
                    control.set(control::TICK, true);
                }
            }
        });
        Ok(Bench {
            interpreter: (board, vcpu),
            translators,
            stop,
            ticker: Some(ticker),
        })
    }

    /// Runs a case in the interpreter; None if it has no end.
    pub fn interpret(&mut self, case: &Case, tally: &mut Tally) -> Option<End> {
        let (board, vcpu) = &mut self.interpreter;
        prepare(board, case);
        *vcpu.state_mut() = case.state.clone();
        let before = vcpu.stats();
        let mut exits = 0;
        let exit = loop {
            match vcpu.run(LONGEST) {
                exit @ (Exit::Hvc(_) | Exit::Smc(_) | Exit::Stuck(_)) => break exit,
                _ => exits += 1,
            }
            if exits > MOST_EXITS || vcpu.stats().instructions - before.instructions > LONGEST {
                tally.endless += 1;
                return None;
            }
        };
        if case.storm && matches!(exit, Exit::Stuck(_)) {
            // After how many exceptions depends on where fast interrupts came between them.
            tally.endless += 1;
            return None;
        }
        let after = vcpu.stats();
        tally.programs += 1;
        tally.instructions += after.instructions - before.instructions;
        for (vector, count) in (0..).zip(&mut tally.exceptions) {
            let at = map::SAVE_PA + map::COUNTS + vector * 4;
            // A program may write over it.
            *count += u64::from(board.memory.load32(at as usize).min(64));
        }
        let at = map::SAVE_PA + map::FAST + 8;
        tally.fast += u64::from(board.memory.load32(at as usize).min(1 << 16));
        Some(End {
            exit: Some(exit),
            state: vcpu.state().clone(),
            memory: contents(board),
            log: board.log(),
        })
    }

    /// Runs a case in the translator, under one of [`CONFIGS`].
    pub fn translate(&mut self, case: &Case, config: usize) -> End {
        let (board, vcpu) = &mut self.translators[config];
        prepare(board, case);
        *vcpu.state_mut() = case.state.clone();
        let (mut ticks, mut exits) = (0, 0);
        let exit = loop {
            match vcpu.run(u64::MAX) {
                exit @ (Exit::Hvc(_) | Exit::Smc(_) | Exit::Stuck(_)) => break Some(exit),
                Exit::Budget => ticks += 1,
                _ => exits += 1,
            }
            if ticks > PATIENCE || exits > MOST_EXITS * 2 {
                break None;
            }
        };
        End {
            exit,
            state: vcpu.state().clone(),
            memory: contents(board),
            log: board.log(),
        }
    }

    /// What the translators did so far.
    pub fn stats(&self) -> impl Iterator<Item = skep_jit::Stats> {
        self.translators.iter().map(|(_, vcpu)| vcpu.stats())
    }

    /// Both ends of a case, if it has one and they differ.
    pub fn difference(
        &mut self,
        case: &Case,
        config: usize,
        tally: &mut Tally,
    ) -> Option<(End, End)> {
        let difference = self.difference_of_one(case, config, tally);
        if difference.is_some() || !case.again {
            return difference;
        }
        let mut case = case.clone();
        case.state.regs[15] += map::COPY;
        self.difference_of_one(&case, config, tally)
    }

    fn difference_of_one(
        &mut self,
        case: &Case,
        config: usize,
        tally: &mut Tally,
    ) -> Option<(End, End)> {
        let mut theirs = self.interpret(case, tally)?;
        let mut ours = self.translate(case, config);
        if case.storm {
            // The trace that such an interrupt leaves none the less: its return sets the event
            // register, and whether it is taken before it is masked is a matter of time.
            (ours.state.event, theirs.state.event) = (false, false);
        }
        (ours != theirs).then_some((ours, theirs))
    }

    /// Takes out of a case that differs what does not matter.
    pub fn shrink(&mut self, case: &Case, config: usize) -> Case {
        let mut case = case.clone();
        let mut tally = Tally::default();
        let mut differs = |bench: &mut Self, smaller: &Case| {
            bench.difference(smaller, config, &mut tally).is_some()
        };
        for change in [
            |case: &mut Case| case.irq = false,
            |case: &mut Case| case.fiq = false,
            |case: &mut Case| case.again = false,
            |case: &mut Case| case.data.fill(0),
            |case: &mut Case| case.state.simd.d = [0; 32],
            |case: &mut Case| case.state.simd.fpscr = 0,
        ] {
            let mut smaller = case.clone();
            change(&mut smaller);
            if differs(self, &smaller) {
                case = smaller;
            }
        }
        let mut run = case.program.units.len();
        while run > 0 {
            let mut at = 0;
            while at < case.program.units.len() {
                let mut smaller = case.clone();
                let end = (at + run).min(case.program.units.len());
                for unit in at..end {
                    smaller.program = smaller.program.without(unit);
                }
                let empty = (at..end).all(|unit| case.program.is_empty(unit));
                if !empty && differs(self, &smaller) {
                    case = smaller;
                }
                at = end;
            }
            run /= 2;
        }
        for reg in 0..15 {
            let mut smaller = case.clone();
            smaller.state.regs[reg] = 0;
            if smaller.state.regs != case.state.regs && differs(self, &smaller) {
                case = smaller;
            }
        }
        case
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
    }
}

/// Memory, without what depends on where an interrupt was taken.
fn contents(board: &Board) -> Vec<u64> {
    let mut words = board.contents();
    let at = (map::SAVE_PA + map::FAST) as usize / 8;
    words[at..at + 2].fill(0);
    words
}

/// Fills a machine's memory, and sets its inputs.
fn prepare(board: &Board, case: &Case) {
    let mut words = vec![0u64; map::MEMORY / 8];
    let code = case.program.code();
    let at = map::CODE_PA as usize / 8;
    for (word, bytes) in words[at..].iter_mut().zip(code.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    }
    let at = map::DATA_PA as usize / 8;
    words[at..at + case.data.len()].copy_from_slice(&case.data);
    board.load(&words);
    let addresses = case.program.addresses();
    let pads = case.pads.map(|unit| {
        let t32 = case.program.units.get(unit).is_some_and(|unit| unit.t32);
        addresses.get(unit).copied().unwrap_or(map::END) | u32::from(t32)
    });
    map::build(board, pads, case.storm);
    if let Some(control) = board.cluster.control(0) {
        control.set_irq(case.irq);
        control.set_fiq(case.fiq);
    }
}

/// A case with both its ends, to be read.
pub fn explain(case: &Case, ours: &End, theirs: &End) -> String {
    let mut text = String::new();
    let start = &case.state;
    let _ = writeln!(
        text,
        "starts at {:08x}{} with cpsr {:08x} fpscr {:08x} fpexc {:08x} sctlr {:08x}{}{}",
        start.regs[15],
        if case.again { " and again" } else { "" },
        start.cpsr,
        start.simd.fpscr,
        start.simd.fpexc,
        start.cp15.sctlr,
        if case.irq { ", IRQ" } else { "" },
        match (case.fiq, case.storm) {
            (_, true) => ", FIQs that leave no trace",
            (true, false) => ", FIQ",
            (false, false) => "",
        },
    );
    for (number, value) in start.regs.iter().enumerate().take(15) {
        let _ = write!(text, "  r{number} {value:08x}");
    }
    let _ = writeln!(text);
    text.push_str(&case.program.listing());
    if ours.exit != theirs.exit {
        let _ = writeln!(
            text,
            "  exit: {:?}, interpreter {:?}",
            ours.exit, theirs.exit
        );
    }
    let (a, b) = (
        format!("{:#x?}", ours.state),
        format!("{:#x?}", theirs.state),
    );
    if ours.log != theirs.log {
        let _ = writeln!(text, "  the device's accesses differ");
    }
    for (number, (a, b)) in a.lines().zip(b.lines()).enumerate() {
        if a != b {
            let _ = writeln!(
                text,
                "  state:{number} {}, interpreter {}",
                a.trim(),
                b.trim()
            );
        }
    }
    let differing = ours.memory.iter().zip(&theirs.memory).enumerate();
    for (at, (a, b)) in differing.filter(|(_, (a, b))| a != b).take(16) {
        let _ = writeln!(
            text,
            "  memory {:05x}: {a:016x}, interpreter {b:016x}",
            at * 8
        );
    }
    text
}

/// A program that differs.
pub struct Difference {
    /// Its number.
    pub number: u64,
    /// The case, made small, and its ends.
    pub text: String,
}

/// Which of [`CONFIGS`] a case is run under.
pub fn config_of(number: u64) -> usize {
    (number % CONFIGS.len() as u64) as usize
}

/// Runs cases from a number on until one of the limits, and explains the first few that differ.
pub fn run(
    bench: &mut Bench,
    generator: &Generator,
    numbers: std::ops::Range<u64>,
    time: Duration,
    explained: usize,
) -> (Tally, Vec<Difference>) {
    let started = Instant::now();
    let (mut tally, mut differences) = (Tally::default(), Vec::new());
    for number in numbers {
        if started.elapsed() > time || differences.len() >= explained {
            break;
        }
        let case = generator.case(number);
        let config = config_of(number);
        if bench.difference(&case, config, &mut tally).is_none() {
            continue;
        }
        let small = bench.shrink(&case, config);
        let text = match bench.difference(&small, config, &mut Tally::default()) {
            Some((ours, theirs)) => explain(&small, &ours, &theirs),
            None => "the difference does not come again\n".to_owned(),
        };
        differences.push(Difference { number, text });
    }
    (tally, differences)
}
