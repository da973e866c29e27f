//! A whole machine: two vCPUs, of the interpreter or of the translator, with memory, interrupt controller, serial port,
//! clock, GPIO controller, flash, firmware configuration and a disk, that run instructions from the
//! decoder's rows, with any state, system registers and translation tables, and get interrupts in
//! between.
//!
//! Nothing panics; execution ends when its budget does; memory outside RAM is never accessed; the
//! processors' state stays consistent.
//!
//! The translator looks at inputs and budget now and then only: its programs give way (YIELD) each time around,
//! and what still loops for ever in generated code is interrupted by a thread.

use crate::devices::{Nowhere, SetClock};
use crate::input::Input;
use crate::memory::Memory;
use crate::processor::configure;
use skep_arm::cp15::spec::{sctlr, ttbcr};
use skep_arm::decode::{Set, rows};
use skep_arm::exception::Exception;
use skep_arm::state::{CpuModel, CpuState, psr};
use skep_board::flash::{Flash, FlashArray};
use skep_board::fw_cfg::FwCfg;
use skep_board::gic::Gic;
use skep_board::pl011::Pl011;
use skep_board::pl031::Pl031;
use skep_board::pl061::Pl061;
use skep_board::psci::{self, Outcome, PowerState};
use skep_board::virtio::rng::Rng;
use skep_board::virtio::{Transport, Version};
use skep_board::{IrqLine, MmioDevice, map};
use skep_interp::code::CodeMap;
use skep_interp::{
    BusError, Cluster, Control, Counters, Direct, DirectMemory, Exit, Machine, Vcpu, control,
};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

const CPUS: usize = 2;
const PAGE: usize = 4096;
const RAM: usize = 16 * PAGE;
/// Code is in the first page of RAM, the exception vectors are in the third, translation tables of the
/// long-descriptor format in the fourth, and of the other from the fifth on.
const VECTORS: usize = 2 * PAGE;
const LONG_TABLES: usize = 3 * PAGE;
const TABLES: usize = 4 * PAGE;
/// Instructions that an input may execute on each vCPU.
const BUDGET: u64 = 600;
/// Instructions between two looks at what the machine does outside its vCPUs.
const SLICE: u64 = 50;
/// A block's length in instructions, at most: a run may exceed its budget by that.
const BLOCK: u64 = 64;

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The interrupt controller, with its outputs connected.
struct Interrupts {
    gic: Mutex<Gic>,
    controls: Vec<Arc<Control>>,
}

impl Interrupts {
    fn with<R>(&self, act: impl FnOnce(&mut Gic) -> R) -> R {
        let mut gic = lock(&self.gic);
        let result = act(&mut gic);
        for (cpu, control) in self.controls.iter().enumerate() {
            control.set_irq(gic.irq_outputs() >> cpu & 1 != 0);
            control.set_fiq(gic.fiq_outputs() >> cpu & 1 != 0);
        }
        result
    }
}

struct Spi(Arc<Interrupts>, u32);

impl IrqLine for Spi {
    fn set(&self, level: bool) {
        self.0.with(|gic| gic.set_spi(self.1, level));
    }
}

/// A flash without contents.
struct Erased;

impl FlashArray for Erased {
    fn len(&self) -> u64 {
        256 << 10
    }
    fn read(&self, _offset: u64, buf: &mut [u8]) {
        buf.fill(0xff);
    }
    fn write(&mut self, _offset: u64, _data: &[u8]) -> bool {
        true
    }
}

type Devices = Vec<(map::Range, Box<dyn MmioDevice>)>;

struct Board {
    memory: Arc<Memory>,
    code: CodeMap,
    interrupts: Arc<Interrupts>,
    devices: Mutex<Devices>,
    ticks: AtomicU64,
}

impl Board {
    fn new(cluster: &Cluster) -> Self {
        Board {
            code: CodeMap::new(RAM, cluster.controls().cloned().collect()),
            memory: Arc::new(Memory::of_file(map::RAM_BASE, RAM)),
            interrupts: Arc::new(Interrupts {
                gic: Mutex::new(Gic::new(CPUS)),
                controls: cluster.controls().cloned().collect(),
            }),
            devices: Mutex::default(),
            ticks: AtomicU64::new(0),
        }
    }

    /// Power-on state, with new devices; code that was decoded before counts no more.
    fn reset(&self) {
        for offset in (0..RAM).step_by(8) {
            self.memory.store64(offset, 0);
        }
        self.code.written(0, RAM);
        *lock(&self.devices) = self.make_devices();
        *lock(&self.interrupts.gic) = Gic::new(CPUS);
        for control in &self.interrupts.controls {
            control.take(!control::CODE);
        }
        self.ticks.store(0, Relaxed);
    }

    fn make_devices(&self) -> Devices {
        let spi = |number| Spi(self.interrupts.clone(), number);
        let memory = || self.memory.clone();
        let rtc = Pl031::new(spi(map::SPI_RTC), SetClock::default());
        let rng = Rng::new(|buf: &mut [u8]| buf.fill(0x5a));
        let virtio = Transport::new(Version::Modern, rng, memory(), spi(map::SPI_VIRTIO));
        vec![
            (map::FLASH, Box::new(Flash::new(Erased))),
            (map::UART, Box::new(Pl011::new(spi(map::SPI_UART), Nowhere))),
            (map::RTC, Box::new(rtc)),
            (map::GPIO, Box::new(Pl061::new(spi(map::SPI_GPIO)))),
            (map::FW_CFG, Box::new(FwCfg::new(memory()))),
            (map::VIRTIO, Box::new(virtio)),
        ]
    }

    /// Does something with the device that answers an access, and the offset in its range.
    fn device<R>(
        &self,
        pa: u64,
        size: u8,
        act: impl FnOnce(&mut dyn MmioDevice, u64) -> R,
    ) -> Result<R, BusError> {
        let mut devices = lock(&self.devices);
        let found = devices.iter_mut().find_map(|(range, device)| {
            let offset = pa.checked_sub(range.base)?;
            let end = offset.checked_add(u64::from(size))?;
            (end <= range.size).then_some((device, offset))
        });
        let (device, offset) = found.ok_or(BusError)?;
        Ok(act(&mut **device, offset))
    }
}

fn within(range: map::Range, pa: u64) -> Option<u64> {
    pa.checked_sub(range.base)
        .filter(|offset| *offset < range.size)
}

impl Machine for Board {
    type Memory = Memory;

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn code(&self) -> &CodeMap {
        &self.code
    }

    fn direct(&self, pa: u64) -> Option<Direct> {
        let page = pa & !(PAGE as u64 - 1);
        let offset = self.memory.offset(page, PAGE)?;
        Some(Direct {
            offset,
            // A page that is like flash.
            writable: offset != RAM - PAGE,
        })
    }

    fn physical(&self, offset: usize) -> u64 {
        map::RAM_BASE + offset as u64
    }

    fn mmio_read(&self, vcpu: usize, pa: u64, size: u8) -> Result<u64, BusError> {
        assert!(matches!(size, 1 | 2 | 4 | 8), "{size}");
        if let Some(offset) = within(map::GIC_DIST, pa) {
            return Ok(self
                .interrupts
                .with(|gic| gic.dist_read(vcpu, offset, size)));
        }
        if let Some(offset) = within(map::GIC_CPU, pa) {
            return Ok(self.interrupts.with(|gic| gic.cpu_read(vcpu, offset, size)));
        }
        self.device(pa, size, |device, offset| device.read(offset, size))
    }

    fn mmio_write(&self, vcpu: usize, pa: u64, size: u8, value: u64) -> Result<(), BusError> {
        assert!(matches!(size, 1 | 2 | 4 | 8), "{size}");
        if let Some(offset) = within(map::GIC_DIST, pa) {
            self.interrupts
                .with(|gic| gic.dist_write(vcpu, offset, size, value));
        } else if let Some(offset) = within(map::GIC_CPU, pa) {
            self.interrupts
                .with(|gic| gic.cpu_write(vcpu, offset, size, value));
        } else {
            self.device(pa, size, |device, offset| {
                device.write(offset, size, value);
            })?;
        }
        Ok(())
    }

    fn counters(&self) -> Counters {
        let physical = self.ticks.fetch_add(3, Relaxed);
        Counters {
            physical,
            cycles: physical.wrapping_mul(16),
        }
    }
}

/// A machine. Making one takes longer than an input does, so that it is used again.
struct Machinery<E> {
    board: Arc<Board>,
    cluster: Arc<Cluster>,
    vcpus: Vec<E>,
}

/// A vCPU in an engine.
trait Engine: Sized {
    /// It stops when its budget is used up.
    const COUNTS: bool;

    fn new(state: CpuState, board: Arc<Board>, cluster: Arc<Cluster>) -> Self;
    fn state(&self) -> &CpuState;
    fn state_mut(&mut self) -> &mut CpuState;
    fn instructions(&self) -> u64;
    fn run(&mut self, budget: u64) -> Exit;
}

impl Engine for Vcpu<Board> {
    const COUNTS: bool = true;

    fn new(state: CpuState, board: Arc<Board>, cluster: Arc<Cluster>) -> Self {
        Vcpu::new(state, board, cluster)
    }
    fn state(&self) -> &CpuState {
        self.state()
    }
    fn state_mut(&mut self) -> &mut CpuState {
        self.state_mut()
    }
    fn instructions(&self) -> u64 {
        self.stats().instructions
    }
    fn run(&mut self, budget: u64) -> Exit {
        self.run(budget)
    }
}

/// A vCPU in the translator. With `WINDOWS`, accesses go through windows from the start; without, there
/// are none.
struct Translator<const WINDOWS: bool>(skep_jit::Vcpu<Board>);

impl<const WINDOWS: bool> Engine for Translator<WINDOWS> {
    const COUNTS: bool = false;

    fn new(state: CpuState, board: Arc<Board>, cluster: Arc<Cluster>) -> Self {
        // What is executed is translated, and the cache is full now and then.
        let config = skep_jit::Config {
            code_cache: 1 << 20,
            threshold: 1,
            window_after: WINDOWS.then_some(0),
            ..skep_jit::Config::default()
        };
        let vcpu = skep_jit::Vcpu::new(state, board, cluster, config);
        Translator(vcpu.expect("the host has memory for code"))
    }
    fn state(&self) -> &CpuState {
        self.0.state()
    }
    fn state_mut(&mut self) -> &mut CpuState {
        self.0.state_mut()
    }
    fn instructions(&self) -> u64 {
        self.0.stats().common.instructions
    }
    fn run(&mut self, budget: u64) -> Exit {
        self.0.run(budget)
    }
}

/// How often generated code is interrupted.
const TICK: Duration = Duration::from_micros(200);

/// Interrupts generated code as long as the machine is there.
fn tick(cluster: Weak<Cluster>) {
    std::thread::spawn(move || {
        while let Some(cluster) = cluster.upgrade() {
            for control in cluster.controls() {
                control.set(control::TICK, true);
            }
            drop(cluster);
            std::thread::sleep(TICK);
        }
    });
}

impl<E: Engine> Machinery<E> {
    fn new() -> Self {
        let cluster = Cluster::new(CPUS);
        let board = Arc::new(Board::new(&cluster));
        let vcpu = |index| {
            let state = CpuState::new(CpuModel::CortexA15, index, CPUS as u8);
            E::new(state, board.clone(), cluster.clone())
        };
        if !E::COUNTS {
            tick(Arc::downgrade(&cluster));
        }
        Machinery {
            vcpus: (0..CPUS as u8).map(vcpu).collect(),
            board,
            cluster,
        }
    }

    fn run(&mut self, mut input: Input<'_>) {
        self.board.reset();
        let model = input.pick(&[CpuModel::CortexA15, CpuModel::CortexA7]);
        for (index, vcpu) in self.vcpus.iter_mut().enumerate() {
            *vcpu.state_mut() = start(model, index as u8, &mut input);
        }
        fill_vectors(&self.board.memory);
        let tables = input.below(64);
        fill_tables(&self.board.memory, &mut Input::new(input.take(tables)));
        let events = input.below(32);
        let mut events = Input::new(input.take(events));
        let code = input.rest();
        let (first, second) = code.split_at(code.len() / 2);
        for (vcpu, code) in self.vcpus.iter().zip([first, second]) {
            let start = vcpu.state().regs[15] as usize - map::RAM_BASE as usize;
            let t32 = vcpu.state().in_t32();
            let code = &mut Input::new(code);
            fill_code(&self.board.memory, start, t32, !E::COUNTS, code);
        }
        for _ in 0..BUDGET / SLICE {
            for vcpu in &mut self.vcpus {
                event(&self.board, &self.cluster, &mut events);
                slice(vcpu, &self.cluster);
            }
        }
    }
}

thread_local! {
    static INTERPRETER: RefCell<Machinery<Vcpu<Board>>> = RefCell::new(Machinery::new());
    static TRANSLATOR: RefCell<Machinery<Translator<false>>> = RefCell::new(Machinery::new());
    static WINDOWS: RefCell<Machinery<Translator<true>>> = RefCell::new(Machinery::new());
}

pub fn run(data: &[u8]) {
    INTERPRETER.with_borrow_mut(|machine| machine.run(Input::new(data)));
}

pub fn translated(data: &[u8]) {
    TRANSLATOR.with_borrow_mut(|machine| machine.run(Input::new(data)));
    WINDOWS.with_borrow_mut(|machine| machine.run(Input::new(data)));
}

/// The state in which a vCPU starts: any registers, some system registers, any mode.
fn start(model: CpuModel, index: u8, input: &mut Input<'_>) -> CpuState {
    let mut state = CpuState::new(model, index, CPUS as u8);
    let flags = input.u8();
    state.cp15.cpacr = 0x00f0_0000;
    state.simd.fpexc = 1 << 30;
    state.simd.fpscr = u32::from(input.u8()) << 20;
    let (tables, ttbcr) = match flags & 3 {
        0 => (LONG_TABLES, ttbcr::EAE),
        _ => (TABLES, 0),
    };
    state.cp15.ttbcr = ttbcr;
    state.cp15.ttbr0 = map::RAM_BASE + tables as u64;
    state.cp15.ttbr1 = state.cp15.ttbr0;
    state.cp15.dacr = 0x5555_5555 | u32::from(flags) << 24;
    state.cp15.mair0 = 0xff44_0400;
    configure(&mut state, input);
    if flags & 4 != 0 {
        state.cp15.sctlr |= sctlr::M;
    }
    state.cp15.vbar = map::RAM_BASE as u32 + VECTORS as u32;
    for n in 0..15 {
        // Addresses in RAM and of devices, and numbers.
        state.regs[n] = match input.u8() {
            byte @ 0..0x60 => map::RAM_BASE as u32 + (u32::from(byte) << 9),
            byte @ 0x60..0x70 => 0x0800_0000 + (u32::from(byte & 15) << 16),
            byte @ 0x70..0x78 => 0x0a00_0000 + (u32::from(byte & 7) << 2),
            byte @ 0x78..0xc0 => u32::from(byte & 0x3f),
            _ => input.number() as u32,
        };
    }
    state.set_cpsr(state.cpsr & !(psr::I | psr::F | psr::A) | u32::from(flags & 8) << 2);
    if flags & 0x30 == 0x30 {
        state.change_mode(skep_arm::Mode::User);
    }
    state.regs[15] = map::RAM_BASE as u32 + u32::from(index) * PAGE as u32 / 2;
    state
}

/// Handlers that go on behind the instruction that took the exception, so that one which faults
/// does not end the program.
fn fill_vectors(memory: &Memory) {
    const SKIP: u32 = 0xe1b0_f00e; // movs pc, lr
    const BACK: u32 = 0xe25e_f004; // subs pc, lr, #4
    let words = [
        SKIP,
        SKIP,
        SKIP,
        0xea00_0007, // Prefetch Abort: b 0x30
        BACK,
        SKIP,
        0xea00_0000, // IRQ: b 0x20
        0xe1a0_0000, // FIQ: nop
        // The interrupt goes on being asserted: mask it, by r13.
        0xe14f_d000, // mrs sp, spsr
        0xe38d_d0c0, // orr sp, sp, #0xc0
        0xe16f_f00d, // msr spsr_fsxc, sp
        BACK,
        // There is no code here: begin anew.
        0xe3a0_e101, // mov lr, #0x40000000
        SKIP,
    ];
    for (at, word) in (VECTORS..).step_by(4).zip(words) {
        memory.store32(at, word);
    }
}

/// Tables in both formats that map everything where it is, but for what the input changes.
fn fill_tables(memory: &Memory, input: &mut Input<'_>) {
    // Blocks of 1 GiB, normal memory for both privilege levels.
    for entry in 0..4 {
        memory.store64(LONG_TABLES + 8 * entry, (entry as u64) << 30 | 0x741);
    }
    // Sections of 1 MiB for RAM and devices, likewise.
    for section in (0x400..0x410).chain(0x080..0x0b0u32) {
        memory.store32(TABLES + 4 * section as usize, section << 20 | 0xc02);
    }
    while !input.is_empty() {
        let at = usize::from(input.u16());
        let value = input.number();
        let offset = LONG_TABLES + (at & 0x1fff) * 4;
        memory.store32(offset, value as u32);
    }
}

/// Instructions of the decoder's rows, or any, and a branch back to the first, after YIELD if `yields`.
fn fill_code(memory: &Memory, start: usize, t32: bool, yields: bool, input: &mut Input<'_>) {
    let mut at = start;
    while !input.is_empty() && at < start + PAGE / 2 - 16 {
        let (number, bits) = (usize::from(input.u16()), input.u32());
        let (word, set) = match rows().get(number & 0xfff) {
            Some(row) => (row.word(bits), row.set),
            None if t32 => (bits, Set::T32),
            None => (bits, Set::A32),
        };
        // Most are executed whatever the flags.
        let word = if set == Set::A32 && word >> 28 != 15 && number & 0x7000 != 0 {
            word | 0xe000_0000 & !(1 << 28)
        } else {
            word
        };
        match set {
            Set::A32 => {
                memory.store32(at & !3, word);
                at = (at & !3) + 4;
            }
            Set::T16 => {
                memory.store16(at, word as u16);
                at += 2;
            }
            Set::T32 => {
                memory.store16(at, (word >> 16) as u16);
                memory.store16(at + 2, word as u16);
                at += 4;
            }
        }
    }
    if yields && t32 {
        memory.store16(at, 0xbf10);
        at += 2;
    } else if yields {
        at = at.next_multiple_of(4);
        memory.store32(at, 0xe320_f001);
        at += 4;
    }
    // The offset counts from the branch plus 4 in T32, plus 8 in A32.
    if t32 {
        let words = (start as u32).wrapping_sub(at as u32 + 4) >> 1;
        memory.store16(at, 0xe000 | (words & 0x7ff) as u16);
    } else {
        let at = at.next_multiple_of(4);
        let words = (start as u32).wrapping_sub(at as u32 + 8) >> 2;
        memory.store32(at, 0xea00_0000 | words & 0xff_ffff);
    }
}

/// Runs a vCPU for a while, and does what it asks for as an embedder does.
fn slice<E: Engine>(vcpu: &mut E, cluster: &Cluster) {
    let before = vcpu.instructions();
    let exit = vcpu.run(SLICE);
    let executed = vcpu.instructions() - before;
    assert!(
        !E::COUNTS || executed <= SLICE + BLOCK,
        "{executed} instructions"
    );
    let state = vcpu.state();
    assert!(state.mode().is_implemented());
    assert_eq!(
        state.regs[15] & if state.in_t32() { 1 } else { 3 },
        0,
        "{:#x}",
        state.regs[15]
    );
    match exit {
        Exit::Hvc(_) => {
            let regs = &vcpu.state().regs;
            let (function, args) = (regs[0], [regs[1], regs[2], regs[3]]);
            match psci::call(function, args, &[PowerState::On; CPUS]) {
                Outcome::Return(value) => vcpu.state_mut().regs[0] = value,
                _ => vcpu.state_mut().reset(),
            }
        }
        Exit::Smc(_) => {
            let state = vcpu.state_mut();
            let pc = state.regs[15].wrapping_sub(4);
            state.take_exception(Exception::Undefined, pc);
        }
        Exit::Sev => {
            for control in cluster.controls() {
                control.set(control::EVENT, true);
            }
        }
        Exit::Budget
        | Exit::Kicked
        | Exit::Wfi
        | Exit::Wfe
        | Exit::Yield
        | Exit::Timer
        | Exit::Stuck(_) => {}
    }
}

/// What comes from outside between two slices.
fn event(board: &Board, cluster: &Cluster, events: &mut Input<'_>) {
    let byte = events.u8();
    let (cpu, level) = (usize::from(byte >> 3 & 1), byte & 0x10 != 0);
    let Some(control) = cluster.control(cpu) else {
        return;
    };
    match byte & 7 {
        1 => control.set_irq(level),
        2 => control.set_fiq(level),
        3 => control.kick(),
        4 => control.flush_mappings(),
        5 => board.interrupts.with(|gic| {
            gic.set_spi(u32::from(byte >> 5), level);
        }),
        6 => {
            board.ticks.fetch_add(1 << (byte >> 3), Relaxed);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    #[test]
    fn programs_reach_memory_through_windows() {
        let mut random = Random::new(1);
        let mut machine = Machinery::<Translator<true>>::new();
        for _ in 0..300 {
            let input: Vec<u8> = (0..512).map(|_| random.next_u64() as u8).collect();
            machine.run(Input::new(&input));
        }
        for vcpu in machine.vcpus {
            let stats = vcpu.0.stats();
            assert!(stats.windows > 100 && stats.mappings > 100, "{stats:?}");
        }
    }
}
