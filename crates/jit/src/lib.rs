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
mod cache;
mod context;
mod memory;
mod tables;
mod thunks;
mod translate;

use asm::Asm;
use cache::{Cache, Key};
use context::{JUMPS, Jump, Layout, Leave, NO_TARGET, Shared};
use skep_arm::decode::ItState;
use skep_arm::state::{CpuState, psr};
use skep_interp::cluster::Request as Ask;
use skep_interp::{Cluster, DirectMemory, Exit, Machine, Raised, Step, control};
use std::sync::Arc;
use tables::Tables;
use thunks::Thunks;
use translate::{Buffers, Request, Source, Translator};

/// Memory that generated code reads and writes by its host address.
///
/// # Safety
/// [`DirectMemory::size`] bytes from [`HostMemory::base`] stay readable and writable as long as the
/// value lives, and are accessed by others only in ways that allow for concurrent writes.
pub unsafe trait HostMemory: DirectMemory {
    /// Address of the first byte.
    fn base(&self) -> *mut u8;
}

/// Settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Size of the code cache in bytes; at least 1 MiB.
    pub code_cache: usize,
    /// A block is translated when it is reached this many times; before, it is interpreted.
    pub threshold: u8,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            code_cache: 32 << 20,
            threshold: 3,
        }
    }
}

/// What the translator did, beside what [`skep_interp::Stats`] counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// What the interpreter counts; instructions are all, exits from blocks at the side counted as
    /// if the block had been finished.
    pub common: skep_interp::Stats,
    /// Of the instructions, those that the interpreter executed in blocks of its own.
    pub interpreted: u64,
    /// Instructions that the interpreter executed for translated blocks.
    pub handed_over: u64,
    /// Blocks translated.
    pub translated: u64,
    /// Bytes of code in the cache.
    pub code: u64,
    /// Blocks dropped because their code was written.
    pub invalidated: u64,
    /// Times that the code cache was full.
    pub flushes: u64,
    /// Entries of the tables made.
    pub fills: u64,
    /// Returns of generated code: at an unlinked jump, at an indirect branch that the jump cache
    /// does not know, and after an instruction of the interpreter's.
    pub leaves: [u64; 4],
}

/// A vCPU in the translator.
pub struct Vcpu<M: Machine> {
    engine: Box<Engine<M>>,
}

/// What generated code, and the helper that it calls, reach.
struct Engine<M: Machine> {
    shared: Shared,
    vcpu: skep_interp::Vcpu<M>,
    tables: Tables,
    cache: Cache,
    thunks: Thunks,
    layout: Layout,
    host: u64,
    /// What the last instruction of the interpreter's ended with.
    step: Step,
    asm: Asm,
    buffers: Buffers,
    config: Config,
    /// How often blocks were reached, by a hash of their key.
    heat: Box<[u8]>,
    interpreted: u64,
    handed_over: u64,
    leaves: [u64; 4],
}

const HEAT: usize = 1 << 16;

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
        let tables = Tables::new(machine.memory().size())?;
        let code_cache = config
            .code_cache
            .clamp(1 << 20, 1 << 30)
            .next_multiple_of(4096);
        let cache = Cache::new(code_cache)?;
        let mut vcpu = skep_interp::Vcpu::new(state, machine, cluster);
        let control = vcpu.core().control.clone();
        let mut engine = Box::new(Engine {
            shared: Shared {
                flags: [0; 4],
                pc: 0,
                site: 0,
                strict_alignment: 0,
                fp: 0,
                control: control.flags_address() as u64,
                instructions: 0,
                jumps: [Jump {
                    target: NO_TARGET,
                    code: 0,
                }; JUMPS],
            },
            vcpu,
            tables,
            cache,
            thunks: Thunks::default(),
            layout: Layout {
                cpsr: 0,
                d: 0,
                shared: 0,
            },
            host,
            step: Step::Next,
            asm: Asm::new(0),
            buffers: Buffers::default(),
            config,
            heat: vec![0; HEAT].into_boxed_slice(),
            interpreted: 0,
            handed_over: 0,
            leaves: [0; 4],
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

    /// What the vCPU did so far.
    pub fn stats(&self) -> Stats {
        let engine = &*self.engine;
        Stats {
            common: engine.vcpu.stats(),
            interpreted: engine.interpreted,
            handed_over: engine.handed_over,
            translated: engine.cache.translated,
            code: engine.cache.used() as u64,
            invalidated: engine.cache.invalidated,
            flushes: engine.cache.flushes,
            fills: engine.tables.fills,
            leaves: engine.leaves,
        }
    }

    /// Executes until something happens that the caller must see. The budget is looked at whenever
    /// generated code returns; [`control::TICK`] makes it return.
    pub fn run(&mut self, budget: u64) -> Exit {
        self.engine.vcpu.core().enter();
        let exit = self.engine.run(budget);
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
            shared: from_base(&raw const self.shared as i64),
        };
        let engine = &raw mut *self as u64;
        let helper: extern "sysv64" fn(*mut Self, u32, u32) -> u32 = Self::interpret_one;
        self.asm.restart(self.cache.next());
        self.thunks = thunks::assemble(&mut self.asm, self.layout, engine, helper as usize as u64);
        self.cache.add_fixed(&self.asm);
    }

    fn run(&mut self, budget: u64) -> Exit {
        let end = self.vcpu.core().stats.instructions.saturating_add(budget);
        loop {
            let core = self.vcpu.core();
            let flags = core.control.flags();
            if flags != 0 {
                if flags & control::CODE != 0 {
                    core.control.take(control::CODE);
                    let code = core.machine.code();
                    self.cache
                        .invalidate_written(|page| code.generation(page as usize * 4096));
                }
                let core = self.vcpu.core();
                if let Some(exit) = core.attend() {
                    return exit;
                }
            }
            let core = self.vcpu.core();
            if core.stats.instructions >= end {
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
        let core = self.vcpu.core();
        if !core.tlb.has_dropped() {
            return;
        }
        let dropped = core.tlb.take_dropped();
        if dropped.all {
            self.tables.clear_all();
            return;
        }
        for va in dropped.pages {
            self.tables.forget(va);
        }
        for page in dropped.protected {
            self.tables.protect(page as usize, self.host);
        }
    }

    /// Executes from the PC: generated code, or a block in the interpreter.
    fn enter(&mut self) -> Option<Exit> {
        let core = self.vcpu.core();
        let cpsr = core.state.cpsr;
        // The interpreter finishes IT blocks, and does big-endian data.
        let code = if cpsr & (psr::IT | psr::E) == 0 {
            match self.block_at_pc() {
                Ok(code) => code,
                Err(Raised) => {
                    let core = self.vcpu.core();
                    core.pc = core.state.regs[15];
                    return core.deliver();
                }
            }
        } else {
            let va = core.state.regs[15];
            if let Ok(offset) = core.locate_code(va) {
                self.know_page(offset);
            }
            None
        };
        let Some(code) = code else {
            let before = self.vcpu.core().stats.instructions;
            let exit = self.vcpu.run_block();
            self.interpreted += self.vcpu.core().stats.instructions - before;
            return exit;
        };
        self.execute(code)
    }

    /// Runs generated code, and does what it returned for.
    fn execute(&mut self, mut code: u64) -> Option<Exit> {
        loop {
            let leave = self.call(code);
            self.leaves[leave as usize] += 1;
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
                    && let Some(block) = self.cache.find(Key::new(offset, va, t32))
                {
                    let to = if site & 1 != 0 {
                        block.direct
                    } else {
                        block.checked
                    };
                    self.cache.link(site >> 1, to);
                }
            }
            if leave == Leave::Indirect {
                let target = self.vcpu.core().state.regs[15] | pc & 1;
                let index = (target & 0x1ffe) as usize / 2;
                if let Some(jump) = self.shared.jumps.get_mut(index) {
                    *jump = Jump {
                        target: u64::from(target),
                        code: next,
                    };
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
        let core = self.vcpu.core();
        let cpsr = core.state.cpsr;
        self.shared.flags = [31, 30, 29, 28].map(|bit| (cpsr >> bit & 1) as u8);
        self.shared.strict_alignment = u8::from(core.state.strict_alignment());
        self.shared.instructions = core.stats.instructions;
        let state = &raw mut core.state.regs;
        let tables = self.tables.enter(core.tlb.data);
        // SAFETY: the fixed piece at `enter` has this signature. Generated code reaches the state,
        // `shared`, the tables and guest memory only; it calls `interpret_one` with the engine that
        // it was assembled for, which is this one, in its box. No reference to any of it is used
        // until it returns.
        let leave = unsafe {
            let enter: extern "sysv64" fn(*mut [u32; 16], u64, u64) -> u32 =
                std::mem::transmute(self.thunks.enter as usize);
            enter(state, code, tables)
        };
        self.pack_flags();
        let core = self.vcpu.core();
        core.stats.instructions = self.shared.instructions;
        match leave {
            0 => Leave::At,
            1 => Leave::Link,
            2 => Leave::Indirect,
            _ => Leave::Step,
        }
    }

    fn pack_flags(&mut self) {
        let [n, z, c, v] = self.shared.flags.map(u32::from);
        let core = self.vcpu.core();
        core.state.cpsr = core.state.cpsr & 0x0fff_ffff | n << 31 | z << 30 | c << 29 | v << 28;
    }

    /// Executes an instruction that generated code has no template for, or whose access takes the
    /// slow path; `va` is the address accessed, if there is one. 0 if execution goes on behind it.
    extern "sysv64" fn interpret_one(engine: *mut Self, number: u32, va: u32) -> u32 {
        // SAFETY: generated code passes the engine that it was assembled for, which waits in `call`
        // and holds no reference meanwhile.
        let engine = unsafe { &mut *engine };
        let Some(op) = engine.cache.ops.get(number as usize).copied() else {
            return 0;
        };
        engine.pack_flags();
        engine.handed_over += 1;
        let core = engine.vcpu.core();
        core.pc = op.pc;
        core.state.regs[15] = op.pc.wrapping_add(if op.t32 { 4 } else { 8 });
        let it = ItState(op.it);
        if it.in_block() {
            core.state.set_it_state(it.advance());
        }
        // For what looks at the count.
        core.stats.instructions = engine.shared.instructions - u64::from(op.after);
        let step = core.execute(&op.decoded);
        if step == Step::Next {
            if it.in_block() {
                core.state.set_it_state(ItState(0));
            }
            let cpsr = core.state.cpsr;
            engine.shared.flags = [31, 30, 29, 28].map(|bit| (cpsr >> bit & 1) as u8);
            if va != 0
                && let Some(page) = core.tlb.page(core.tlb.data, va)
            {
                let holds_code = core.machine.code().holds_code(page.offset);
                let context = core.tlb.data;
                engine
                    .tables
                    .fill(context, va, &page, engine.host, holds_code);
            }
            return 0;
        }
        engine.shared.instructions -= u64::from(op.after);
        core.stats.instructions = engine.shared.instructions;
        if it.in_block() && step == Step::Raise {
            core.state.set_it_state(it);
        }
        core.state.regs[15] = match step {
            Step::Raise | Step::Next => op.pc,
            Step::Jump | Step::Exit => core.next_pc,
        };
        let cpsr = core.state.cpsr;
        engine.shared.flags = [31, 30, 29, 28].map(|bit| (cpsr >> bit & 1) as u8);
        engine.step = step;
        1
    }

    /// The checked entry of the block at the PC, translated if it was reached often enough. None:
    /// interpret it.
    fn block_at_pc(&mut self) -> Result<Option<u64>, Raised> {
        let core = self.vcpu.core();
        let va = core.state.regs[15];
        let t32 = core.state.cpsr & psr::T != 0;
        let offset = core.locate_code(va)?;
        let context = core.tlb.fetch;
        let key = Key::new(offset, va, t32);
        if self.know_page(offset)
            && let Some(block) = self.cache.find(key)
        {
            self.allow_execution(context, va, offset);
            return Ok(Some(block.checked));
        }
        let hash = (offset >> 1 ^ offset >> 15) % HEAT;
        if let Some(heat) = self.heat.get_mut(hash) {
            *heat = heat.saturating_add(1);
            if *heat < self.config.threshold {
                return Ok(None);
            }
        }
        let code = self.translate(va, offset, t32, key);
        if code.is_some() {
            self.allow_execution(context, va, offset);
        }
        Ok(code)
    }

    /// Notes that the page at an offset of direct memory holds code; true if that was known.
    fn know_page(&mut self, offset: usize) -> bool {
        let page = (offset / 4096) as u32;
        let generation = self.vcpu.core().machine.code().generation(offset);
        let known = self.cache.knows_page(page, generation);
        if !known {
            self.begin_page(page, offset);
        }
        known
    }

    /// Sees to it that the tables have the page of code.
    fn allow_execution(&mut self, context: skep_interp::tlb::Context, va: u32, offset: usize) {
        self.tables.enter(context);
        if !self.tables.executes(context, va, offset / 4096) {
            let core = self.vcpu.core();
            if let Some(page) = core.tlb.page(context, va) {
                let holds_code = core.machine.code().holds_code(page.offset);
                self.tables.fill(context, va, &page, self.host, holds_code);
            }
        }
    }

    fn translate(&mut self, va: u32, offset: usize, t32: bool, key: Key) -> Option<u64> {
        if self.cache.is_full() {
            self.cache.clear();
            self.forget_jumps();
        }
        let page = (offset / 4096) as u32;
        let machine = self.vcpu.core().machine.clone();
        self.know_page(offset);
        // Lines are marked before they are read, so that no write goes unnoticed.
        let halfword = |at: usize| {
            let at = (offset & !0xfff) + at;
            machine.code().mark(at, 2);
            machine.memory().load16(at)
        };
        self.asm.restart(self.cache.next());
        let request = Request {
            va,
            t32,
            page,
            offset: (self.cache.next() - self.cache.memory.origin()) as u32,
            alone: self.vcpu.core().cluster.alone(),
        };
        let translator = Translator::new(
            &mut self.asm,
            self.layout,
            self.thunks,
            &mut self.cache.ops,
            Source {
                halfword: &halfword,
            },
            request,
            &mut self.buffers,
        );
        let entries = translator.translate()?;
        if !self
            .cache
            .knows_page(page, machine.code().generation(offset))
        {
            // Written meanwhile.
            return None;
        }
        let block = self
            .cache
            .add(key, page, &self.asm, entries.checked, entries.direct);
        Some(block.checked)
    }

    /// Notes that a page holds code, and takes stores to it off the fast path of every vCPU.
    fn begin_page(&mut self, page: u32, offset: usize) {
        let core = self.vcpu.core();
        let machine = core.machine.clone();
        let generation = machine.code().mark(offset, 1);
        self.tables.protect(page as usize, self.host);
        if !core.cluster.alone() {
            let index = usize::from(core.state.index);
            let position = core.cluster.broadcast(index, Ask::Protect(page));
            while !core.cluster.acknowledged(index, position) {
                // The others may be waiting for this vCPU in the same way.
                core.drain_maintenance();
                std::thread::yield_now();
            }
        }
        self.cache.note_page(page, generation);
    }

    fn forget_jumps(&mut self) {
        self.shared.jumps.fill(Jump {
            target: NO_TARGET,
            code: 0,
        });
    }
}
