//! The translator: runs a vCPU by translating guest code to x86-64 code.
//!
//! Where to start: [`Vcpu::run`] is the loop. `translate` turns a block of guest code into host
//! code; `cache` keeps blocks; `tables` holds the translations of addresses that generated code
//! looks at; `thunks` has the pieces of code around it all. Everything that has no template is
//! executed by the interpreter, an instruction at a time, in the middle of a block; code that was
//! executed a few times only, by the interpreter as well.
//!
//! The architectural state is the interpreter's [`skep_arm::state::CpuState`], with three
//! exceptions while generated code runs: ten registers are in host registers, the flags are in bytes
//! of their own, and R15 is known to the translator only.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

pub mod asm;
mod blocks;
mod cache;
mod context;
mod copies;
mod fault;
mod handover;
mod jumps;
mod known;
mod listing;
mod memory;
mod moves;
mod mxcsr;
mod tables;
mod thunks;
mod translate;
mod window;

use asm::Asm;
use blocks::{HEAT, Heat};
use cache::{Cache, Key};
use context::{JUMPS, Jump, Layout, Leave, NO_TARGET, Shared, fp};
use listing::Listing;
use mxcsr::Mxcsr;
use skep_arm::decode::rows;
use skep_arm::state::{CpuState, Exclusive, psr};
use skep_interp::{Cluster, DirectMemory, Exit, Machine, Raised, Step, control};
use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use tables::Tables;
use thunks::Thunks;
use translate::Buffers;

/// Memory that generated code reads and writes by its host address.
///
/// # Safety
/// [`DirectMemory::size`] bytes from [`HostMemory::base`] stay readable and writable as long as the
/// value lives, and are accessed by others only in ways that allow for concurrent writes. They are those
/// of [`HostMemory::file`], if there is one.
pub unsafe trait HostMemory: DirectMemory {
    /// Address of the first byte.
    fn base(&self) -> *mut u8;

    /// The file that is mapped there, from its beginning. With it, pages that are accessed much are
    /// mapped a second time, at addresses that a look-up need not find.
    fn file(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Size of the code cache in bytes; at least 1 MiB.
    pub code_cache: usize,
    /// A block is translated when it is reached this many times; before, it is interpreted.
    pub threshold: u8,
    /// Instructions are counted exactly, for [`Stats`] and for budgets; that costs a few percent.
    /// Without, only those are counted that the interpreter executes.
    pub count: bool,
    /// Times that the clock ticks ([`control::TICK`]) while an address space executes, until its pages
    /// are mapped where accesses need no look-up, if the memory is a file's. None: never.
    pub window_after: Option<u32>,
    /// Code is in memory where `perf` looks it up in the map that the process wrote: executable
    /// memory without a file, which some hosts' policies forbid.
    pub for_profiler: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            code_cache: 32 << 20,
            threshold: 3,
            count: false,
            window_after: Some(20),
            for_profiler: false,
        }
    }
}

/// What the translator did, beside what [`skep_interp::Stats`] counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// What the interpreter counts; instructions are all with [`Config::count`].
    pub common: skep_interp::Stats,
    /// Of the instructions, those that the interpreter executed in blocks of its own.
    pub interpreted: u64,
    /// Instructions that the interpreter executed for translated blocks.
    pub handed_over: u64,
    /// Blocks translated.
    pub translated: u64,
    /// Instructions in them.
    pub translated_instructions: u64,
    /// Blocks that were copied from those of the same code at another address.
    pub copied: u64,
    /// Bytes of code in the cache.
    pub code: u64,
    /// Blocks dropped because their code was written.
    pub invalidated: u64,
    /// Times that the code cache was full.
    pub flushes: u64,
    /// Entries of the tables made.
    pub fills: u64,
    /// Windows opened for contexts that executed long.
    pub windows: u64,
    /// Mappings made in windows.
    pub mappings: u64,
    /// Accesses that a window did not have at once.
    pub window_faults: u64,
    /// Floating-point instructions at which the host raised an exception.
    pub float_exceptions: u64,
    /// Returns of generated code: for an input or a page that is not mapped, at an unlinked jump, at
    /// an indirect branch that the jump cache does not know, after an instruction of the
    /// interpreter's, and for a block that is to be interpreted.
    pub leaves: [u64; 5],
}

/// A block that was translated, for who wants to see.
pub struct Translated<'a> {
    /// Guest-virtual address of its first instruction.
    pub va: u32,
    /// Bytes of guest code.
    pub guest_len: u32,
    /// It is T32 code.
    pub t32: bool,
    /// Address of its host code.
    pub address: u64,
    /// Bytes of host code.
    pub host_len: usize,
    /// None of a copy.
    listing: Option<Listing<'a>>,
}

impl Translated<'_> {
    /// Its guest instructions, and the host code of each, for people. Of a block that was copied from one
    /// of the same code at another address, only that.
    pub fn text(&self) -> String {
        self.listing.as_ref().map_or_else(
            || "; as the block of the same code at another address\n".to_owned(),
            |listing| listing.text(0),
        )
    }
}

/// Is told of every block that is translated.
pub type Observer = Box<dyn FnMut(&Translated<'_>) + Send>;

/// A vCPU in the translator.
pub struct Vcpu<M: Machine> {
    engine: Box<Engine<M>>,
}

/// What generated code, and the helper that it calls, reach.
struct Engine<M: Machine> {
    shared: Shared,
    vcpu: skep_interp::Vcpu<M>,
    tables: Tables,
    /// The context that generated code executes in has a window.
    window: bool,
    cache: Cache,
    thunks: Thunks,
    layout: Layout,
    host: u64,
    mxcsr: Mxcsr,
    /// What the last instruction of the interpreter's ended with.
    step: Step,
    /// The number of instructions with which the budget is used up.
    end: u64,
    asm: Asm,
    buffers: Buffers,
    config: Config,
    /// The host has fused multiply-add instructions.
    fma: bool,
    /// What the tables have for fetches where the blocks in the jump cache are.
    jump_numbers: Box<[u32]>,
    /// The host has SSE 4.1.
    sse41: bool,
    /// The host has AVX2.
    avx2: bool,
    /// How often blocks were reached that are not translated, by a hash of where they are.
    heat: Box<[Heat]>,
    interpreted: u64,
    translated_instructions: u64,
    copied: u64,
    handed_over: u64,
    /// The same, by the encodings' rows in the decoder's table.
    handed_over_by_row: Box<[u64]>,
    leaves: [u64; 5],
    window_faults: u64,
    float_exceptions: u64,
    /// Times that [`control::TICK`] was set.
    ticks: u64,
    observer: Option<Observer>,
    /// A panic under generated code.
    panic: Option<Box<dyn Any + Send>>,
}

/// Ticks after which floating point that raised many exceptions of the host has another chance.
const CHANCES: u64 = 64;

/// Decoded instructions that the interpreter keeps: of code that is not translated yet.
const INTERPRETED: usize = 1 << 15;

impl<M: Machine> Vcpu<M>
where
    M::Memory: HostMemory,
{
    /// A vCPU with this state; its number is `state.index`.
    ///
    /// # Errors
    /// The host's, when it has no memory for code or forbids it.
    pub fn new(
        state: CpuState,
        machine: Arc<M>,
        cluster: Arc<Cluster>,
        config: Config,
    ) -> std::io::Result<Self> {
        let host = machine.memory().base() as u64;
        let patience = config
            .window_after
            .filter(|_| machine.memory().file().is_some());
        fault::install()?;
        let tables = Tables::new(machine.memory().size(), cluster.len() as u32, patience)?;
        let code_cache = config
            .code_cache
            .clamp(1 << 20, 1 << 30)
            .next_multiple_of(4096);
        let cache = Cache::new(code_cache, config.for_profiler)?;
        let mut vcpu = skep_interp::Vcpu::with_room(state, machine, cluster, INTERPRETED);
        let control = vcpu.core().control.clone();
        let mut engine = Box::new(Engine {
            shared: Shared {
                saved: [0; 2],
                flags: [0; 4],
                pc: 0,
                site: 0,
                strict_alignment: 0,
                fp: fp::OFF,
                exclusive_size: 0,
                exclusive_host: 0,
                exclusive_value: 0,
                tables: 0,
                control: control.flags_address() as u64,
                instructions: 0,
                f64_sign: 1 << 63,
                f32_sign: 1 << 31,
                f32_two_to_32: 4_294_967_296.0,
                f64_two_to_32: 4_294_967_296.0,
                f64_largest_u32: 4_294_967_295.0,
                f32_magnitude: [0x7fff_ffff; 4],
                f32_subnormal: [0x007f_fffe; 4],
                f32_smallest: [f32::MIN_POSITIVE; 4],
                f64_magnitude: [!(1 << 63); 2],
                f64_smallest: f64::MIN_POSITIVE,
                ones: [1; 4],
                byte_tables: translate::neon::tables::TABLES,
                recip_estimates: translate::neon::tables::recip_estimates(),
                rsqrt_estimates: translate::neon::tables::rsqrt_estimates(),
                jumps: [Jump {
                    target: NO_TARGET,
                    code: 0,
                }; JUMPS],
            },
            vcpu,
            tables,
            window: false,
            cache,
            thunks: Thunks::default(),
            layout: Layout::default(),
            host,
            mxcsr: Mxcsr::new(),
            step: Step::Next,
            end: 0,
            asm: Asm::new(0),
            buffers: Buffers::default(),
            config,
            fma: std::arch::is_x86_feature_detected!("fma"),
            sse41: std::arch::is_x86_feature_detected!("sse4.1"),
            avx2: std::arch::is_x86_feature_detected!("avx2"),
            jump_numbers: vec![0; JUMPS].into_boxed_slice(),
            heat: vec![Heat::default(); HEAT].into_boxed_slice(),
            interpreted: 0,
            translated_instructions: 0,
            copied: 0,
            handed_over: 0,
            handed_over_by_row: vec![0; rows().len()].into_boxed_slice(),
            leaves: [0; 5],
            window_faults: 0,
            float_exceptions: 0,
            ticks: 0,
            observer: None,
            panic: None,
        });
        engine.build();
        Ok(Vcpu { engine })
    }

    /// The architectural state.
    pub fn state(&self) -> &CpuState {
        self.engine.vcpu.state()
    }

    /// The architectural state, to be changed from outside.
    pub fn state_mut(&mut self) -> &mut CpuState {
        self.engine.vcpu.state_mut()
    }

    /// Has every block that is translated shown to `observer`.
    pub fn observe(&mut self, observer: Observer) {
        self.engine.observer = Some(observer);
    }

    /// Address and size in bytes of the host code that is not a block's: the way into generated code
    /// and out.
    pub fn fixed_code(&self) -> (u64, usize) {
        let cache = &self.engine.cache;
        (cache.memory.origin(), cache.fixed())
    }

    /// Instructions are counted: [`Config::count`].
    pub fn counts(&self) -> bool {
        self.engine.config.count
    }

    /// What the vCPU did so far.
    pub fn stats(&self) -> Stats {
        let engine = &*self.engine;
        Stats {
            common: engine.vcpu.stats(),
            interpreted: engine.interpreted,
            handed_over: engine.handed_over,
            translated: engine.cache.added - engine.copied,
            translated_instructions: engine.translated_instructions,
            copied: engine.copied,
            code: engine.cache.used() as u64,
            invalidated: engine.cache.invalidated,
            flushes: engine.cache.flushes,
            fills: engine.tables.fills,
            windows: engine.tables.windows,
            mappings: engine.tables.mappings,
            window_faults: engine.window_faults,
            float_exceptions: engine.float_exceptions,
            leaves: engine.leaves,
        }
    }

    /// The instructions that translated blocks handed to the interpreter most, at most `count`, most
    /// first: the manual's name without the encoding, and how often. Accesses that need more than a
    /// look-up are among them.
    pub fn most_handed_over(&self, count: usize) -> Vec<(&'static str, u64)> {
        let mut sums = BTreeMap::new();
        for (row, &times) in rows().iter().zip(&*self.engine.handed_over_by_row) {
            let name = row.name.rsplit_once(' ').map_or(row.name, |(name, _)| name);
            *sums.entry(name).or_default() += times;
        }
        let mut sums: Vec<(&str, u64)> = sums.into_iter().filter(|(_, times)| *times > 0).collect();
        sums.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        sums.truncate(count);
        sums
    }

    /// Executes until something happens that the caller must see. The budget is looked at whenever
    /// generated code returns; [`control::TICK`] makes it return.
    pub fn run(&mut self, budget: u64) -> Exit {
        self.engine.vcpu.core().enter();
        let engine: *mut Engine<M> = &raw mut *self.engine;
        let asked = fault::Asked::new(engine.cast(), Engine::<M>::answer_fault);
        let exit = self.engine.run(budget);
        self.engine.mxcsr.disarm();
        drop(asked);
        self.engine.vcpu.core().leave();
        exit
    }
}

impl<M: Machine> Engine<M>
where
    M::Memory: HostMemory,
{
    /// Assembles the fixed pieces, once the engine has its place in memory.
    fn build(&mut self) {
        let state = self.vcpu.core();
        let base = &raw const state.state.regs as i64;
        let from_base = |address: i64| address.wrapping_sub(base) as i32;
        self.layout = Layout {
            cpsr: from_base(&raw const state.state.cpsr as i64),
            d: from_base(&raw const state.state.simd.d as i64),
            fpscr: from_base(&raw const state.state.simd.fpscr as i64),
            tpidrurw: from_base(&raw const state.state.cp15.tpidrurw as i64),
            tpidruro: from_base(&raw const state.state.cp15.tpidruro as i64),
            tpidrprw: from_base(&raw const state.state.cp15.tpidrprw as i64),
            dacr: from_base(&raw const state.state.cp15.dacr as i64),
            ttbr0: from_base(&raw const state.state.cp15.ttbr0 as i64),
            contextidr: from_base(&raw const state.state.cp15.contextidr as i64),
            dfsr: from_base(&raw const state.state.cp15.dfsr as i64),
            ifsr: from_base(&raw const state.state.cp15.ifsr as i64),
            dfar: from_base(&raw const state.state.cp15.dfar as i64),
            ifar: from_base(&raw const state.state.cp15.ifar as i64),
            event: from_base(&raw const state.state.event as i64),
            shared: from_base(&raw const self.shared as i64),
            control: i32::try_from((self.shared.control as i64).wrapping_sub(base)).ok(),
        };
        let engine = &raw mut *self as u64;
        let helper: extern "sysv64" fn(*mut Self, u32, u32) -> u64 = Self::interpret_one;
        self.asm.restart(self.cache.next());
        self.thunks = thunks::assemble(&mut self.asm, self.layout, engine, helper as usize as u64);
        self.cache.add_fixed(&self.asm);
    }

    fn run(&mut self, budget: u64) -> Exit {
        self.end = self.vcpu.core().stats.instructions.saturating_add(budget);
        loop {
            let core = self.vcpu.core();
            self.tables.strict = core.state.strict_alignment();
            let flags = core.control.flags();
            if flags != 0 {
                if flags & control::CODE != 0 {
                    core.control.take(control::CODE);
                    let code = core.machine.code();
                    self.cache
                        .invalidate_written(|page| code.generation(page as usize * 4096));
                    self.forget_dropped_jumps();
                }
                let core = self.vcpu.core();
                if flags & control::TICK != 0 {
                    self.ticks += 1;
                    if self.ticks.is_multiple_of(CHANCES) {
                        self.cache.try_again();
                    }
                    self.tables.enter(core.tlb.data);
                    self.tables.tick(core.tlb.data, core.state.privileged());
                }
                if let Some(exit) = core.attend() {
                    return exit;
                }
            }
            let core = self.vcpu.core();
            if core.stats.instructions >= self.end {
                return Exit::Budget;
            }
            self.forget();
            match self.enter() {
                Some(exit) => return exit,
                None => continue,
            }
        }
    }

    /// Forgets what the interpreter's translations no longer have.
    fn forget(&mut self) {
        let dropped = &mut self.vcpu.core().tlb.dropped;
        if dropped.is_empty() {
            return;
        }
        if dropped.all {
            self.tables.clear_all();
        } else {
            for (va, slots) in &dropped.pages {
                self.tables.forget(*va, *slots);
            }
            for page in &dropped.protected {
                self.tables.protect(*page as usize, self.host);
            }
        }
        dropped.clear();
    }

    /// Executes from the PC: generated code, or a block in the interpreter.
    fn enter(&mut self) -> Option<Exit> {
        let core = self.vcpu.core();
        let cpsr = core.state.cpsr;
        // The interpreter finishes IT blocks, and does big-endian data.
        let code = if cpsr & (psr::IT | psr::E) == 0 {
            let target = core.state.regs[15] | u32::from(cpsr & psr::T != 0);
            if let Some(code) = self.jump_to(target) {
                return self.execute(code);
            }
            match self.block_at_pc() {
                Ok(code) => code,
                Err(Raised) => {
                    let core = self.vcpu.core();
                    core.pc = core.state.regs[15];
                    return core.deliver();
                }
            }
        } else {
            None
        };
        match code {
            Some(code) => self.execute(code),
            None => self.interpret_block(),
        }
    }

    /// Has the interpreter execute the block at the PC.
    fn interpret_block(&mut self) -> Option<Exit> {
        let before = self.vcpu.core().stats.instructions;
        let exit = self.vcpu.run_block();
        self.interpreted += self.vcpu.core().stats.instructions - before;
        exit
    }

    /// Has the host raise floating-point exceptions where the interpreter is needed.
    fn arm(&mut self) {
        if self.shared.fp != fp::OFF {
            self.mxcsr.arm(self.vcpu.core().state.simd.fpscr);
        }
    }

    /// Runs generated code, and does what it returned for.
    fn execute(&mut self, mut code: u64) -> Option<Exit> {
        loop {
            let leave = self.call(code);
            self.leaves[leave as usize] += 1;
            if let Some(panic) = self.panic.take() {
                resume_unwind(panic);
            }
            let core = self.vcpu.core();
            if leave == Leave::Step {
                let exit = core.finish(self.step);
                return exit;
            }
            let pc = self.shared.pc;
            if pc & 1 != 0 {
                core.state.cpsr |= psr::T;
                core.state.regs[15] = pc & !1;
            } else {
                core.state.cpsr &= !psr::T;
                core.state.regs[15] = pc & !3;
            }
            if leave == Leave::Interpret {
                return self.interpret_block();
            }
            if leave == Leave::At || core.control.flags() != 0 {
                return None;
            }
            let flushes = self.cache.flushes;
            let site = self.shared.site;
            let next = match self.block_at_pc() {
                Ok(Some(next)) => next,
                Ok(None) => return None,
                Err(Raised) => {
                    let core = self.vcpu.core();
                    core.pc = core.state.regs[15];
                    return core.deliver();
                }
            };
            // Both entries are a known distance apart only for this block: ask for the right one.
            if leave == Leave::Link && self.cache.flushes == flushes {
                let core = self.vcpu.core();
                let va = core.state.regs[15];
                let t32 = core.state.cpsr & psr::T != 0;
                if let Ok(offset) = core.locate_code(va)
                    && let window = self.has_window()
                    && let Some(block) = self.cache.find(Key::new(offset, va, t32, window), None)
                {
                    let to = if site & 1 != 0 {
                        block.direct
                    } else {
                        block.checked
                    };
                    self.cache.link(site >> 1, to);
                }
            }
            code = next;
        }
    }

    /// Runs generated code at an address.
    fn call(&mut self, code: u64) -> Leave {
        // Asking the other vCPUs to protect a page answers what they asked for meanwhile: they rely
        // on it from then on.
        self.forget();
        self.shared.instructions = self.vcpu.core().stats.instructions;
        self.unpack();
        let tables = self.use_tables();
        self.arm();
        let state = &raw mut self.vcpu.core().state.regs;
        // SAFETY: the fixed piece at `enter` has this signature. Generated code reaches the state,
        // `shared`, the tables and guest memory only; it calls `interpret_one` with the engine that
        // it was assembled for, which is this one, in its box. No reference to any of it is used
        // until it returns.
        let leave = unsafe {
            let enter: extern "sysv64" fn(*mut [u32; 16], u64, u64) -> u32 =
                std::mem::transmute(self.thunks.enter as usize);
            enter(state, code, tables)
        };
        self.pack();
        let core = self.vcpu.core();
        core.stats.instructions = self.shared.instructions;
        match leave {
            0 => Leave::At,
            1 => Leave::Link,
            2 => Leave::Indirect,
            4 => Leave::Interpret,
            _ => Leave::Step,
        }
    }

    /// Has generated code use the tables of the current context, whose address is returned.
    fn use_tables(&mut self) -> u64 {
        let core = self.vcpu.core();
        let (strict, context) = (core.state.strict_alignment(), core.tlb.data);
        self.tables.strict = strict;
        self.shared.strict_alignment = u8::from(strict);
        self.shared.tables = self.tables.enter(context);
        self.window = self.tables.has_window(context);
        self.shared.tables
    }

    /// Brings what generated code keeps elsewhere into the architectural state.
    fn pack(&mut self) {
        if self.shared.exclusive_host != 0 {
            let offset = self.shared.exclusive_host.wrapping_sub(self.host) as usize;
            self.shared.exclusive_host = 0;
            let core = self.vcpu.core();
            core.state.exclusive = Some(Exclusive {
                pa: core.machine.physical(offset),
                value: self.shared.exclusive_value,
                size: self.shared.exclusive_size,
            });
        }
        let flags = translate::flags::to_psr(self.shared.flags);
        let core = self.vcpu.core();
        core.state.cpsr = core.state.cpsr & 0x0fff_ffff | flags;
    }

    /// The opposite of [`Engine::pack`].
    fn unpack(&mut self) {
        let core = self.vcpu.core();
        let cpsr = core.state.cpsr;
        if let Some(exclusive) = core.state.exclusive
            && let Some(direct) = core.machine.direct(exclusive.pa)
        {
            core.state.exclusive = None;
            self.shared.exclusive_host = self.host + direct.offset as u64 + (exclusive.pa & 0xfff);
            self.shared.exclusive_value = exclusive.value;
            self.shared.exclusive_size = exclusive.size;
        }
        self.shared.flags = translate::flags::from_psr(cpsr);
        self.shared.fp = fp::of(&core.state);
    }
}
