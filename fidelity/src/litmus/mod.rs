//! Litmus tests: several vCPUs on one memory, and the outcomes that the architecture forbids.
//!
//! Each is a few instructions in a loop per vCPU (`code`), on a host thread of its own. Locations
//! hold numbers that only grow, so that iterations need not be in step: the order in which one vCPU
//! saw two numbers tells whether an outcome was allowed (manual A3.8.2, and the examples of barrier
//! use in appendix D7). A test returns how often it saw what is forbidden.

pub mod code;
pub mod written;

use crate::blocks::machine::Board;
use crate::blocks::map;
use skep_arm::state::{CpuModel, CpuState, Mode};
use skep_interp::{DirectMemory, Exit};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Physical memory.
const MEMORY: usize = 8 << 20;
/// Where sections of shared data are mapped, flat.
const SHARED: u32 = 0x40_0000;
const SECTIONS: u32 = 4;
/// Locations on cache lines of their own.
const X: u32 = SHARED;
const Y: u32 = SHARED + 0x40;
/// What the vCPUs keep: one section each.
const KEPT: u32 = SHARED + 0x10_0000;
/// Where each vCPU's code is.
const LOOPS: u32 = map::CODE + 0x1000;
/// A test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which engines run the vCPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engines {
    /// The interpreter.
    Interpreter,
    /// The translator.
    Translator,
    /// The translator, in which every other vCPU interprets first what it executes.
    Mixed,
}

/// A vCPU on its thread.
trait Runner: Send {
    fn run(&mut self) -> Exit;
    fn state(&mut self) -> &mut CpuState;
}

impl Runner for skep_interp::Vcpu<Board> {
    fn run(&mut self) -> Exit {
        skep_interp::Vcpu::run(self, 50_000)
    }
    fn state(&mut self) -> &mut CpuState {
        self.state_mut()
    }
}

impl Runner for skep_jit::Vcpu<Board> {
    fn run(&mut self) -> Exit {
        skep_jit::Vcpu::run(self, 50_000)
    }
    fn state(&mut self) -> &mut CpuState {
        self.state_mut()
    }
}

/// A vCPU's part of a test.
struct Part<'a> {
    code: &'a [u32],
    regs: &'a [(usize, u32)],
}

/// What is left at the end.
struct Left {
    board: Arc<Board>,
    states: Vec<CpuState>,
}

impl Left {
    /// How often a vCPU saw something forbidden, as it counted itself.
    fn counted(&self, vcpu: usize) -> u64 {
        self.states
            .get(vcpu)
            .map_or(0, |state| state.regs[8].into())
    }

    /// The word at an address of shared data.
    fn word(&self, va: u32) -> u32 {
        self.board.memory.load32(va as usize)
    }

    /// What a vCPU kept: `count` words.
    fn kept(&self, vcpu: u32, count: u32) -> Vec<u32> {
        (0..count)
            .map(|at| self.word(KEPT + vcpu * 0x10_0000 + at * 4))
            .collect()
    }
}

/// Why a test has no result.
#[derive(Debug, thiserror::Error)]
pub enum LitmusError {
    /// The host's.
    #[error("a vCPU can't be made: {0}")]
    Host(#[from] std::io::Error),
    /// It did not end.
    #[error("vCPU {vcpu} hangs at {pc:#010x}")]
    Hang {
        /// Which one.
        vcpu: usize,
        /// Where it is.
        pc: u32,
    },
    /// A vCPU stopped in a way that none should.
    #[error("vCPU {vcpu} ended with {exit:?}")]
    Exit {
        /// Which one.
        vcpu: usize,
        /// How.
        exit: Exit,
    },
}

fn run(engines: Engines, parts: &[Part]) -> Result<Left, LitmusError> {
    run_with(engines, parts, |_| {}, |_| {})
}

/// Runs a test on a machine that `prepare` has filled, with a device that writes memory meanwhile,
/// on a thread of its own.
fn run_with(
    engines: Engines,
    parts: &[Part],
    prepare: impl Fn(&Board),
    device: impl FnOnce(&Board) + Send,
) -> Result<Left, LitmusError> {
    let board = Board::new(MEMORY, parts.len());
    map::build(&board, [0; 4], false);
    for section in 0..SECTIONS {
        // Normal memory, shareable, for everyone.
        let va = SHARED + section * 0x10_0000;
        map::map_section(&board, va, va | 1 << 16 | 1 << 12 | 3 << 10 | 3 << 2 | 2);
    }
    let code_pa = |va: u32| (map::CODE_PA + va - map::CODE) as usize;
    // The function that is rewritten: MOVW R0, #0, and BX LR.
    board.memory.store32(code_pa(map::CODE), 0xe300_0000);
    board.memory.store32(code_pa(map::CODE + 4), 0xe12f_ff1e);
    prepare(&board);
    let mut vcpus: Vec<Box<dyn Runner>> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let start = LOOPS + index as u32 * 0x400;
        for (at, word) in part.code.iter().enumerate() {
            board.memory.store32(code_pa(start) + at * 4, *word);
        }
        let mut state = CpuState::new(CpuModel::CortexA15, index as u8, parts.len() as u8);
        map::set_up(&mut state);
        state.change_mode(Mode::System);
        for (reg, value) in part.regs {
            state.regs[*reg] = *value;
        }
        state.regs[15] = start;
        let cluster = board.cluster.clone();
        let threshold = match engines {
            Engines::Mixed if index % 2 == 1 => 200,
            _ => 1,
        };
        vcpus.push(if engines == Engines::Interpreter {
            Box::new(skep_interp::Vcpu::new(state, board.clone(), cluster))
        } else {
            let config = skep_jit::Config {
                code_cache: 1 << 20,
                threshold,
                window_after: (index % 2 == 0).then_some(0),
                ..skep_jit::Config::default()
            };
            Box::new(skep_jit::Vcpu::new(state, board.clone(), cluster, config)?)
        });
    }
    let ends: Vec<Result<CpuState, LitmusError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = vcpus
            .into_iter()
            .enumerate()
            .map(|(index, mut vcpu)| scope.spawn(move || finish(index, vcpu.as_mut())))
            .collect();
        scope.spawn(|| device(&board));
        // Generated code looks at the deadline only when it is interrupted.
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(2));
            for control in board.cluster.controls() {
                control.set(skep_interp::control::TICK, true);
            }
        }
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    let states = ends.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Left { board, states })
}

/// Runs a vCPU to its end.
fn finish(vcpu: usize, runner: &mut dyn Runner) -> Result<CpuState, LitmusError> {
    let started = Instant::now();
    loop {
        match runner.run() {
            Exit::Hvc(_) => return Ok(runner.state().clone()),
            Exit::Budget | Exit::Kicked => {}
            Exit::Yield => std::thread::yield_now(),
            exit => return Err(LitmusError::Exit { vcpu, exit }),
        }
        if started.elapsed() > PATIENCE {
            let pc = runner.state().regs[15];
            return Err(LitmusError::Hang { vcpu, pc });
        }
    }
}

/// Message passing: who sees the flag sees the data.
///
/// # Errors
/// When there is no result.
pub fn message_passing(engines: Engines, n: u32) -> Result<u64, LitmusError> {
    let regs = [(4, X), (5, Y), (6, n)];
    let part = |code| Part { code, regs: &regs };
    let left = run(engines, &[part(&code::PUBLISH), part(&code::OBSERVE)])?;
    Ok(left.counted(1))
}

/// Two vCPUs that keep what they found at the other's location, and then or before write theirs.
fn crossed(engines: Engines, n: u32, code: &[u32]) -> Result<[Vec<u32>; 2], LitmusError> {
    let parts = [
        [(4, X), (5, Y), (6, n), (7, KEPT)],
        [(4, Y), (5, X), (6, n), (7, KEPT + 0x10_0000)],
    ];
    let parts = parts.each_ref().map(|regs| Part { code, regs });
    let left = run(engines, &parts)?;
    Ok([left.kept(0, n), left.kept(1, n)])
}

/// Store buffering: of two vCPUs that write and then read, one sees the other's write.
///
/// # Errors
/// When there is no result.
pub fn store_buffering(engines: Engines, n: u32) -> Result<u64, LitmusError> {
    let [first, second] = crossed(engines, n, &code::STORE_LOAD)?;
    // In iteration i (from 1) the first read j: the second's write of j + 1 came later, and what it
    // read thereafter is i at least.
    let forbidden = (1u32..)
        .zip(&first)
        .filter(|(i, j)| second.get(**j as usize).is_some_and(|seen| seen < i))
        .count();
    Ok(forbidden as u64)
}

/// Load buffering: of two vCPUs that read and then write, one read before the other wrote.
///
/// # Errors
/// When there is no result.
pub fn load_buffering(engines: Engines, n: u32) -> Result<u64, LitmusError> {
    // The first stores to Y after it read X; the second stores to X after it read Y.
    let [first, second] = crossed(engines, n, &code::LOAD_STORE)?;
    // In iteration i the first read j, which the second wrote after it had read less than i.
    let forbidden = (1u32..)
        .zip(&first)
        .filter(|(i, j)| {
            let before = (**j as usize).checked_sub(1).and_then(|at| second.get(at));
            before.is_some_and(|seen| seen >= i)
        })
        .count();
    Ok(forbidden as u64)
}

/// Independent reads of independent writes: two readers agree on the order of two writes.
///
/// # Errors
/// When there is no result.
pub fn independent_reads(engines: Engines, n: u32) -> Result<u64, LitmusError> {
    let writes = [[(4, X), (6, n)], [(4, Y), (6, n)]];
    let reads = [
        [(4, X), (5, Y), (6, n), (7, KEPT)],
        [(4, Y), (5, X), (6, n), (7, KEPT + 0x10_0000)],
    ];
    let parts = [
        Part {
            code: &code::READ_BOTH,
            regs: &reads[0],
        },
        Part {
            code: &code::READ_BOTH,
            regs: &reads[1],
        },
        Part {
            code: &code::WRITE,
            regs: &writes[0],
        },
        Part {
            code: &code::WRITE,
            regs: &writes[1],
        },
    ];
    let left = run(engines, &parts)?;
    let pairs = |vcpu| -> Vec<(u32, u32)> {
        let words = left.kept(vcpu, 2 * n);
        words
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect()
    };
    let (first, second) = (pairs(0), pairs(1));
    // The first saw X = a while Y was still b; who saw a later Y must see X = a at least.
    let forbidden = first
        .iter()
        .filter(|(a, b)| {
            let later = second.partition_point(|(y, _)| y <= b);
            second.get(later).is_some_and(|(_, x)| x < a)
        })
        .count();
    Ok(forbidden as u64)
}

/// Counters that all vCPUs increment with exclusives: a word, the words of a pair, and one under a
/// lock. What is forbidden is what got lost.
///
/// # Errors
/// When there is no result.
pub fn exclusives(engines: Engines, vcpus: u32, n: u32) -> Result<u64, LitmusError> {
    let mut forbidden = 0;
    for (code, location, factor) in [
        (&code::INCREMENT[..], X, 1),
        (&code::INCREMENT_DOUBLE, X, 1),
        (&code::INCREMENT_DOUBLE, X + 4, u32::MAX),
        (&code::LOCK, Y, 1),
    ] {
        let regs = [(4, X), (5, Y), (6, n)];
        let parts: Vec<Part> = (0..vcpus).map(|_| Part { code, regs: &regs }).collect();
        let left = run(engines, &parts)?;
        let sum = left.word(location).wrapping_mul(factor);
        forbidden += u64::from(sum.abs_diff(vcpus * n));
    }
    Ok(forbidden)
}

/// Another vCPU's code is rewritten, with the maintenance that it takes.
///
/// # Errors
/// When there is no result.
pub fn code_modification(engines: Engines, n: u32) -> Result<u64, LitmusError> {
    let writer = [
        (3, map::CODE),
        (4, map::CODE_WRITABLE),
        (5, Y),
        (6, n),
        (10, 0xe300_0000),
    ];
    let caller = [(3, map::CODE), (5, Y), (6, n)];
    let left = run(
        engines,
        &[
            Part {
                code: &code::REWRITE,
                regs: &writer,
            },
            Part {
                code: &code::CALL,
                regs: &caller,
            },
        ],
    )?;
    Ok(left.counted(1))
}

/// A page is mapped elsewhere while another vCPU reads it, or stores to it: after the maintenance
/// completed, the former page is out of reach. With `rewritten`, the code of the other vCPU is
/// written by a third one meanwhile.
///
/// # Errors
/// When there is no result.
pub fn shootdown(
    engines: Engines,
    stores: bool,
    rewritten: bool,
    n: u32,
) -> Result<u64, LitmusError> {
    // Page 0 of the data, mapped to pages 8 and 9 of shared data by turns.
    let entry = map::TABLES + map::DATA_TABLES[0];
    let pages = [SHARED + 0x8000, SHARED + 0x9000];
    let descriptor = |page: u32| page | 1 << 10 | 1 << 6 | 3 << 4 | 3 << 2 | 3;
    let writer = [
        (3, map::DATA),
        (4, entry),
        (5, Y),
        (6, n),
        (7, pages[0]),
        (10, descriptor(pages[0])),
        (11, descriptor(pages[1])),
        (12, pages[1]),
    ];
    let other = [(3, map::DATA), (4, map::DATA), (5, Y), (6, n)];
    let (remap, use_page): (&[u32], &[u32]) = if stores {
        (&code::TAKE_AWAY, &code::STORE_ON)
    } else {
        (&code::REMAP, &code::OBSERVE)
    };
    // Behind the other's loop, on its last cache line.
    let end = LOOPS - map::CODE + 0x400 + use_page.len() as u32 * 4;
    let rewriter = [
        (3, map::CODE + end),
        (4, map::CODE_WRITABLE + end),
        (5, X),
        (6, 0xffff),
        (10, 0xe300_0000),
    ];
    let mut parts = vec![
        Part {
            code: remap,
            regs: &writer,
        },
        Part {
            code: use_page,
            regs: &other,
        },
    ];
    if rewritten {
        parts.push(Part {
            code: &code::REWRITE,
            regs: &rewriter,
        });
    }
    let left = run(engines, &parts)?;
    Ok(left.counted(usize::from(!stores)))
}
