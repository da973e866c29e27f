//! The engine under test: a bare machine with the oracle's memory map, and the processor in User
//! mode.
//!
//! Nothing but the architecture tells how a case ended: every exception vector holds a WFI, and
//! what the exception left in the banked registers is what a kernel would see.

use crate::oracle::Results;
use crate::wire::*;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use skep_arm::cp15::spec::sctlr;
use skep_arm::state::{CpuModel, CpuState, Mode, psr};
use skep_interp::code::CodeMap;
use skep_interp::{
    BusError, Cluster, Counters, Direct, DirectMemory, Exit, Machine, Vcpu, control,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// An engine: something that runs a vCPU on the bare machine.
pub trait Engine {
    /// The vCPU's state, to be read or changed between runs.
    fn state(&mut self) -> &mut CpuState;

    /// Runs until the vCPU executes WFI (true), or for a while (false).
    fn run(&mut self) -> bool;
}

impl Engine for Vcpu<Bare> {
    fn state(&mut self) -> &mut CpuState {
        self.state_mut()
    }

    fn run(&mut self) -> bool {
        Vcpu::run(self, 64) == Exit::Wfi
    }
}

impl Engine for skep_jit::Vcpu<Bare> {
    fn state(&mut self) -> &mut CpuState {
        self.state_mut()
    }

    fn run(&mut self) -> bool {
        skep_jit::Vcpu::run(self, 64) == Exit::Wfi
    }
}

/// The names that [`start`] knows.
pub const ENGINES: [&str; 3] = ["interp", "jit", "window"];

/// Starts an engine by its name.
pub fn start(name: &str) -> Option<Subject<dyn Engine>> {
    match name {
        "interp" => Some(with(|state, machine| {
            let cluster = machine.cluster.clone();
            Box::new(Vcpu::new(state, machine, cluster))
        })),
        "jit" | "window" => {
            // Everything is translated at once: cases execute once or a few times.
            let config = skep_jit::Config {
                threshold: 1,
                window_after: (name == "window").then_some(0),
                ..skep_jit::Config::default()
            };
            let machine = Arc::new(Bare::new());
            let cluster = machine.cluster.clone();
            tick(Arc::downgrade(&cluster));
            let engine = skep_jit::Vcpu::new(user_state(), machine.clone(), cluster, config);
            Some(Subject {
                machine,
                engine: Box::new(engine.ok()?),
            })
        }
        _ => None,
    }
}

/// Makes translated code return at intervals, as nothing else does when it loops for ever, as long
/// as the machine is there. A case takes far less than one of them.
fn tick(cluster: Weak<Cluster>) {
    std::thread::spawn(move || {
        while let Some(cluster) = cluster.upgrade() {
            for control in cluster.controls() {
                control.set(control::TICK, true);
            }
            drop(cluster);
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

/// Starts an engine, given how it is made from a state and a machine.
pub fn with(make: impl FnOnce(CpuState, Arc<Bare>) -> Box<dyn Engine>) -> Subject<dyn Engine> {
    let machine = Arc::new(Bare::new());
    let engine = make(user_state(), machine.clone());
    Subject { machine, engine }
}

/// Physical memory of the bare machine, small and flat.
pub struct Bare {
    memory: Words,
    code: CodeMap,
    cluster: Arc<Cluster>,
}

/// Memory as doublewords: each access is a part of one of them. It is a mapping of a file, so that the
/// translator can map pages of it again.
pub struct Words {
    base: NonNull<AtomicU64>,
    /// Doublewords.
    len: usize,
    file: OwnedFd,
}

// SAFETY: the mapping belongs to the value, and its doublewords are atomics.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

const VECTORS_PA: u32 = 0x1000;
const LEVEL1_PA: u32 = 0x4000;
const LEVEL2_PA: u32 = 0x8000;
const CODE_PA: u32 = 0x1_0000;
const SCRATCH_PA: u32 = 0x1_8000;
const MEMORY_SIZE: usize = 0x2_0000;

/// Where the vectors are: for privileged modes only.
const VECTORS_VA: u32 = 0x3f00_0000;
/// WFI in A32.
const WFI: u32 = 0xe320_f003;

impl Words {
    /// `size` bytes, a multiple of the page size, of zeros.
    ///
    /// # Panics
    /// If the host has no memory.
    pub fn new(size: usize) -> Self {
        let file = memfd_create("skep-fidelity", MemfdFlags::CLOEXEC).expect("a file");
        ftruncate(&file, size as u64).expect("memory");
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses replaces nothing.
        let base = unsafe {
            let flags = MapFlags::SHARED;
            mmap(std::ptr::null_mut(), size, protection, flags, &file, 0).expect("memory")
        };
        Words {
            base: NonNull::new(base.cast()).expect("an address"),
            len: size / 8,
            file,
        }
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has that many, and stays as long as the value.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    #[inline(always)]
    fn load(&self, offset: usize, size: u32) -> u64 {
        let word = self
            .words()
            .get(offset / 8)
            .map_or(0, |word| word.load(Relaxed));
        let value = word >> (offset % 8 * 8);
        if size == 8 {
            value
        } else {
            value & ((1 << (size * 8)) - 1)
        }
    }

    #[inline(always)]
    fn store(&self, offset: usize, size: u32, value: u64) {
        let Some(word) = self.words().get(offset / 8) else {
            return;
        };
        let shift = offset % 8 * 8;
        if size == 8 {
            return word.store(value, Relaxed);
        }
        let mask = u64::MAX >> (64 - size * 8) << shift;
        let _ = word.fetch_update(Relaxed, Relaxed, |old| {
            Some(old & !mask | value << shift & mask)
        });
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping is the value's own, and nothing refers to it any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len * 8) };
    }
}

impl DirectMemory for Words {
    fn size(&self) -> usize {
        self.len * 8
    }
    fn load8(&self, offset: usize) -> u8 {
        self.load(offset, 1) as u8
    }
    fn load16(&self, offset: usize) -> u16 {
        self.load(offset, 2) as u16
    }
    fn load32(&self, offset: usize) -> u32 {
        self.load(offset, 4) as u32
    }
    fn load64(&self, offset: usize) -> u64 {
        self.load(offset, 8)
    }
    fn store8(&self, offset: usize, value: u8) {
        self.store(offset, 1, u64::from(value));
    }
    fn store16(&self, offset: usize, value: u16) {
        self.store(offset, 2, u64::from(value));
    }
    fn store32(&self, offset: usize, value: u32) {
        self.store(offset, 4, u64::from(value));
    }
    fn store64(&self, offset: usize, value: u64) {
        self.store(offset, 8, value);
    }
    fn compare_exchange(&self, offset: usize, size: u8, current: u64, new: u64) -> bool {
        let Some(word) = self.words().get(offset / 8) else {
            return false;
        };
        let shift = offset % 8 * 8;
        let mask = u64::MAX >> (64 - u32::from(size) * 8) << shift;
        let replace = |old: u64| {
            (old & mask == current << shift & mask).then_some(old & !mask | new << shift & mask)
        };
        word.fetch_update(SeqCst, SeqCst, replace).is_ok()
    }
}

// SAFETY: the mapping lives as long as the value, and is that of the file; doublewords are atomics.
unsafe impl skep_jit::HostMemory for Words {
    fn base(&self) -> *mut u8 {
        self.base.as_ptr().cast()
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

impl Machine for Bare {
    type Memory = Words;

    fn memory(&self) -> &Words {
        &self.memory
    }

    fn code(&self) -> &CodeMap {
        &self.code
    }

    fn direct(&self, pa: u64) -> Option<Direct> {
        let offset = usize::try_from(pa).ok()? & !0xfff;
        (offset < MEMORY_SIZE).then_some(Direct {
            offset,
            writable: true,
        })
    }

    fn physical(&self, offset: usize) -> u64 {
        offset as u64
    }

    fn mmio_read(&self, _: usize, _: u64, _: u8) -> Result<u64, BusError> {
        Err(BusError)
    }

    fn mmio_write(&self, _: usize, _: u64, _: u8, _: u64) -> Result<(), BusError> {
        Err(BusError)
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// Attributes of a small page (manual B3.5.1): normal memory, and who may do what.
const NORMAL: u32 = 1 << 6 | 1 << 3 | 1 << 2 | 1 << 1;
const PRIVILEGED: u32 = NORMAL | 1 << 4;
const USER_READ: u32 = NORMAL | 2 << 4;
const USER_WRITE: u32 = NORMAL | 3 << 4 | EXECUTE_NEVER;
const EXECUTE_NEVER: u32 = 1;

impl Bare {
    /// The memory map of `wire`, in the short-descriptor format.
    fn new() -> Self {
        let memory = Words::new(MEMORY_SIZE);
        let areas = [
            (CODE_BASE, CODE_PA, CODE_SIZE, USER_READ),
            (SCRATCH_BASE, SCRATCH_PA, SCRATCH_SIZE, USER_WRITE),
            (VECTORS_VA, VECTORS_PA, 0x1000, PRIVILEGED),
        ];
        for (number, (va, pa, size, attributes)) in (0u32..).zip(areas) {
            let table = LEVEL2_PA + number * 0x400;
            memory.store32((LEVEL1_PA + (va >> 20) * 4) as usize, table | 1);
            for page in 0..size / 0x1000 {
                memory.store32(
                    (table + ((va >> 12 & 0xff) + page) * 4) as usize,
                    (pa + page * 0x1000) | attributes,
                );
            }
        }
        for vector in 0..8 {
            memory.store32((VECTORS_PA + vector * 4) as usize, WFI);
        }
        let cluster = Cluster::new(1);
        Bare {
            memory,
            code: CodeMap::new(MEMORY_SIZE, cluster.controls().cloned().collect()),
            cluster,
        }
    }
}

/// A processor in User mode, with the MMU and floating point enabled.
fn user_state() -> CpuState {
    let mut state = CpuState::new(CpuModel::CortexA15, 0, 1);
    state.change_mode(Mode::User);
    state.cp15.ttbr0 = u64::from(LEVEL1_PA);
    state.cp15.dacr = 1;
    // SWP is enabled, as QEMU always has it.
    state.cp15.sctlr |= sctlr::M | sctlr::SW;
    state.cp15.vbar = VECTORS_VA;
    state.cp15.cpacr = 0xf << 20;
    state.simd.fpexc = 1 << 30;
    state
}

/// An engine with its machine, as the harness drives it.
pub struct Subject<E: Engine + ?Sized> {
    machine: Arc<Bare>,
    engine: Box<E>,
}

impl<E: Engine + ?Sized> Subject<E> {
    /// Puts code into the code area.
    pub fn load_code(&mut self, code: &[u8]) {
        let memory = &self.machine.memory;
        for (at, bytes) in code.chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            memory.store64(CODE_PA as usize + at * 8, word);
        }
        self.machine.code.written(CODE_PA as usize, code.len());
    }

    /// Runs one case from its state and window to its end, which they then hold.
    pub fn run(&mut self, state: &mut State, window: Option<&mut Window>) {
        let window_pa = (SCRATCH_PA + WINDOW_BASE - SCRATCH_BASE) as usize;
        let memory = &self.machine.memory;
        if let Some(window) = &window {
            for (at, word) in window.0.iter().enumerate() {
                memory.store64(window_pa + at * 8, *word);
            }
        }
        enter(self.engine.state(), state);
        let mut ended = false;
        for _ in 0..8 {
            // A WFI of the case itself ends nothing.
            if self.engine.run() && self.engine.state().privileged() {
                ended = true;
                break;
            }
        }
        leave(self.engine.state(), state, ended);
        if let Some(window) = window {
            let memory = &self.machine.memory;
            for (at, word) in window.0.iter_mut().enumerate() {
                *word = memory.load64(window_pa + at * 8);
            }
        }
    }

    /// The contents of the data area.
    pub fn scratch(&self) -> Vec<u8> {
        (0..SCRATCH_SIZE as usize / 8)
            .flat_map(|at| {
                self.machine
                    .memory
                    .load64(SCRATCH_PA as usize + at * 8)
                    .to_le_bytes()
            })
            .collect()
    }

    /// Runs several cases, one after the other.
    pub fn run_all(&mut self, code: &[u8], states: &[State], windows: &[Window]) -> Results {
        self.load_code(code);
        let mut results = Results {
            states: states.to_vec(),
            windows: windows.to_vec(),
            scratch: Vec::new(),
        };
        for state in &mut results.states {
            let window = (state.outcome as usize)
                .checked_sub(1)
                .and_then(|at| results.windows.get_mut(at));
            self.run(state, window);
        }
        results.scratch = self.scratch();
        results
    }
}

/// The processor's state at the start of a case.
fn enter(cpu: &mut CpuState, state: &State) {
    cpu.change_mode(Mode::User);
    cpu.regs = state.regs;
    cpu.regs[15] &= !1;
    let t = if state.regs[15] & 1 != 0 { psr::T } else { 0 };
    cpu.cpsr = state.cpsr & FLAGS | Mode::User as u32 | t;
    cpu.simd.d = state.d;
    cpu.simd.fpscr = state.fpscr;
    cpu.exclusive = None;
    cpu.event = false;
    cpu.cp15.tpidrurw = 0;
}

/// What a case starts with: N, Z, C, V, Q and GE.
const FLAGS: u32 = psr::N | psr::Z | psr::C | psr::V | psr::Q | psr::GE;

/// The state of the program that took the exception whose handler `cpu` is in.
fn leave(cpu: &mut CpuState, state: &mut State, ended: bool) {
    let cpsr = cpu.spsr();
    let lr = cpu.regs[14];
    let mode = cpu.mode();
    let t32 = cpsr & psr::T != 0;
    let after = if t32 { 2 } else { 4 };
    let (outcome, pc, address) = match mode {
        _ if !ended => (Outcome::Endless, 0, 0),
        Mode::Undefined => (Outcome::Undefined, lr.wrapping_sub(after), 0),
        Mode::Supervisor => (Outcome::Svc, lr.wrapping_sub(after), 0),
        Mode::Abort if cpu.regs[15] == VECTORS_VA + 0x14 => {
            let kind = if cpu.cp15.dfsr & 0x40f == 1 {
                Outcome::Alignment
            } else {
                Outcome::Abort
            };
            (kind, lr.wrapping_sub(8), cpu.cp15.dfar)
        }
        Mode::Abort => {
            let pc = lr.wrapping_sub(4);
            if pc == if t32 { EXIT_T32 } else { EXIT_A32 } {
                (Outcome::Finished, 0, 0)
            } else if cpu.cp15.ifsr & 0x40f == 2 {
                (Outcome::Breakpoint, pc, 0)
            } else {
                (Outcome::Abort, pc, cpu.cp15.ifar)
            }
        }
        _ => (Outcome::Other, lr, 0),
    };
    cpu.change_mode(Mode::User);
    state.regs = cpu.regs;
    state.regs[15] = pc;
    state.cpsr = cpsr;
    state.fpscr = cpu.simd.fpscr;
    state.d = cpu.simd.d;
    state.outcome = outcome as u32;
    state.address = address;
}
