//! A virtual machine: its memory, its devices, and the power states of its vCPUs.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use skep_board::MmioDevice;
use skep_board::gic::Gic;
use skep_board::map;
use skep_board::pl011::{ConsoleOut, Pl011};
use skep_board::psci::PowerState;
use skep_bundle::{Bundle, Policies, Policy, Share, Vm as Description, Wire};
use skep_hyp::passed;
use skep_hyp::platform::{Platform, Range};
use skep_hyp::ram::Ram;
use skep_hyp::syndrome::Syndrome;
use skep_hyp::tables::{Attributes, BLOCK_2, PAGE, Tables};
use spin::Mutex;

use crate::devices::{BoardDisks, Budget, Devices, Line, Shared};

use crate::hw::guest_ram::GuestRam;
use crate::hw::{cp15, gic};
use crate::log;
use crate::vcpu::Exits;
use crate::{cores, mux};

/// A vCPU's power, with what it starts with.
#[derive(Clone, Copy, Debug)]
pub enum Power {
    /// Off, until CPU_ON.
    Off,
    /// To be started, from reset state.
    Starting(Start),
    /// On.
    On,
}

/// Where a vCPU starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The first instruction.
    pub entry: u32,
    /// In T32.
    pub thumb: bool,
    /// r0 to r2.
    pub registers: [u32; 3],
    /// The VM's memory is to be filled before.
    pub prepare: Option<()>,
}

/// How far the filling of a VM's memory is: bytes scrubbed, files loaded and bytes of the next one,
/// bytes cleaned from caches.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Preparation {
    scrubbed: u32,
    files: usize,
    copied: usize,
    cleaned: u32,
}

/// How a VM ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It switched itself off.
    Off,
    /// It asked for a reset.
    Reset,
    /// It did what has no meaning.
    Fault,
    /// Somebody at the shell stopped it.
    Stopped,
    /// Somebody at the shell reset it.
    Restarted,
}

/// What a VM did that has no meaning.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The vCPU.
    pub vcpu: usize,
    /// What it was, as the rest of a sentence that begins with the vCPU.
    pub what: &'static str,
    /// Where its code was.
    pub pc: u32,
    /// Its CPSR.
    pub cpsr: u32,
    /// HSR.
    pub syndrome: Syndrome,
    /// The intermediate physical address, of an abort.
    pub ipa: Option<u64>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "vCPU {} {} at pc {:08x}, cpsr {:08x}: {}",
            self.vcpu, self.what, self.pc, self.cpsr, self.syndrome
        )?;
        self.ipa.map_or(Ok(()), |ipa| write!(f, ", ipa {ipa:x}"))
    }
}

/// What is wanted of vCPUs by others: bits of a word.
pub mod signal {
    /// To stop.
    pub const STOP: u32 = 1 << 0;
    /// Not to run until this ends.
    pub const PAUSE: u32 = 1 << 1;

    /// A vCPU is to start.
    pub const fn start(vcpu: usize) -> u32 {
        1 << (8 + vcpu)
    }

    /// A vCPU is to show its registers.
    pub const fn report(vcpu: usize) -> u32 {
        1 << (16 + vcpu)
    }
}

/// A VM's life so far.
#[derive(Default)]
struct Life {
    /// How it is ending.
    ending: Option<End>,
    /// It switched itself off, and is not to start again.
    ended: bool,
    /// It stays off after a fault.
    failed: bool,
    /// The fault that it had last.
    fault: Option<Fault>,
    /// How often it started again, after faults, resets, and switching itself off.
    restarts: [u32; 3],
    /// vCPUs that don't run while it is paused, a bit each.
    parked: u32,
    /// The physical counter when all of them had parked.
    paused_at: Option<u64>,
}

/// What a VM is doing, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// All vCPUs are off.
    Off,
    /// All vCPUs are off, because of a fault.
    Failed,
    /// It runs.
    Running,
    /// It runs no more than until its vCPUs have seen that they are to stop.
    Stopping,
    /// It is paused.
    Paused,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Condition::Off => "off",
            Condition::Failed => "failed",
            Condition::Running => "running",
            Condition::Stopping => "stopping",
            Condition::Paused => "paused",
        })
    }
}

/// The guest's side of the console.
pub struct Output {
    vm: usize,
    budget: Budget,
}

impl Output {
    /// Output of a VM, which counts against a budget.
    pub fn new(vm: usize, budget: Budget) -> Self {
        Output { vm, budget }
    }
}

impl ConsoleOut for Output {
    fn put(&mut self, byte: u8) {
        self.budget.character();
        mux::put(self.vm, byte);
    }

    fn put_off(&mut self) -> bool {
        self.budget.request()
    }
}

/// A virtual machine.
pub struct Vm {
    /// Its place in the list of VMs.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The core of each vCPU.
    pub cores: Vec<usize>,
    /// Guest memory.
    pub ram: GuestRam,
    /// The distributor.
    pub gic: Mutex<Box<Gic>>,
    /// The physical counter when the guest started: its virtual counter's zero.
    epoch: AtomicU64,
    power: Mutex<Vec<Power>>,
    /// What others want of the vCPUs, see [`signal`].
    signals: AtomicU32,
    /// vCPUs whose cores were kicked because of their interrupts, and that have not looked since, a bit
    /// each.
    kicked: AtomicU8,
    /// Locked after `power`, if both are.
    life: Mutex<Life>,
    uart: Mutex<Pl011<Line, Output>>,
    uart_line: Line,
    devices: Devices,
    /// Interrupts of the board that are its own.
    pub wires: Vec<Wire>,
    stage2: Tables,
    description: &'static Description,
    bundle: &'static Bundle<'static>,
    /// Exits of each vCPU.
    pub exits: Vec<Exits>,
}

/// Why a VM can't be made, as a sentence.
type Reason = String;

/// Offset of GICV's second page, with GICV_DIR.
const GICV_SIZE: u64 = 2 * PAGE;

impl Vm {
    /// Makes a VM as described, with memory from `ram`, that is to start unless it is to wait.
    #[inline(never)]
    pub fn new(
        index: usize,
        description: &'static Description,
        bundle: &'static Bundle<'static>,
        platform: &Platform,
        (channels, disks): (&[Shared], &BoardDisks),
        ram: &mut Ram,
        table_offset: usize,
    ) -> Result<Self, Reason> {
        use alloc::format;
        let size = u64::from(description.memory_mib) << 20;
        let cpus = description.cores.len();
        if cpus == 0 || cpus > map::MAX_CPUS {
            return Err(format!("{cpus} vCPUs; 1 to {} are possible", map::MAX_CPUS));
        }
        if let Some(core) = description
            .cores
            .iter()
            .find(|&&core| usize::from(core) >= platform.cpus.len())
        {
            return Err(format!(
                "a vCPU is on core {core}, and the board has {} cores",
                platform.cpus.len()
            ));
        }
        let free = ram.available() >> 20;
        let memory = Some(size)
            .filter(|&size| size > 0 && size <= (1 << 32) - map::RAM_BASE)
            .and_then(|size| ram.allocate(size, BLOCK_2))
            .ok_or_else(|| {
                format!(
                    "there is no room for {} MiB of memory; {free} MiB are free",
                    description.memory_mib
                )
            })?;
        let mut stage2 = Tables::new(table_offset);
        let gicv = Range {
            base: platform.gic.virtual_interface.base,
            size: GICV_SIZE,
        };
        for (ipa, range, attributes) in [
            (map::RAM_BASE, memory, Attributes::S2_MEMORY),
            (map::GIC_CPU.base, gicv, Attributes::S2_DEVICE),
        ] {
            stage2
                .map(ipa, range.base, range.size, attributes)
                .map_err(|error| format!("its memory can't be mapped: {error}"))?;
        }
        pass_devices(description, platform, &mut stage2)?;
        // SAFETY: the memory was just allocated, for good, from what Hyp mode maps.
        let guest = unsafe { GuestRam::new(map::RAM_BASE as u32, memory) };
        let devices = Devices::new(
            index,
            description,
            bundle,
            (channels, disks),
            &guest,
            ram,
            &mut stage2,
        )?;
        let uart_line = Line::default();
        let vm = Vm {
            index,
            name: description.name.clone(),
            cores: description.cores.iter().map(|&core| core.into()).collect(),
            ram: guest,
            gic: Mutex::new(Box::new(Gic::new(cpus))),
            epoch: AtomicU64::new(0),
            power: Mutex::new(alloc::vec![Power::Off; cpus]),
            signals: AtomicU32::new(0),
            kicked: AtomicU8::new(0),
            life: Mutex::new(Life::default()),
            uart: Mutex::new(Pl011::new(
                uart_line.clone(),
                Output::new(index, Budget::default()),
            )),
            uart_line,
            devices,
            wires: description
                .devices
                .iter()
                .flat_map(|device| device.interrupts.iter().copied())
                .collect(),
            stage2,
            description,
            bundle,
            exits: (0..cpus).map(|_| Exits::new()).collect(),
        };
        for placed in &description.files {
            let size = bundle.file(placed.file).len();
            if !vm.ram.contains(placed.address, size) {
                return Err(format!(
                    "a file of {size} bytes at {:#x} is outside its memory",
                    placed.address
                ));
            }
        }
        if !description.halted {
            vm.start();
        }
        Ok(vm)
    }

    /// Resets the devices, and lets the first vCPU start, on its core. All vCPUs are off.
    fn start(&self) {
        **self.gic.lock() = Gic::new(self.cores.len());
        self.uart.lock().reset();
        self.devices.reset();
        // The guest may have left them active, and can't end them any more.
        for wire in self.wires.iter() {
            gic::clear_active(wire.physical);
        }
        let entry = self.description.entry;
        let start = Start {
            entry: entry.pc,
            thumb: entry.thumb,
            registers: entry.registers,
            prepare: Some(()),
        };
        {
            let mut life = self.life.lock();
            (life.ended, life.failed) = (false, false);
        }
        self.cpu_on(0, start);
    }

    /// Does a piece of what is to be done before the guest starts, and returns how far it is now: its
    /// memory is scrubbed, its files are copied, and all is written to where a guest with its caches
    /// off sees it. `None` when that is done, and the guest's time begins.
    pub fn prepare(&self, done: Preparation) -> Option<Preparation> {
        /// Bytes: what takes a core some microseconds.
        const PIECE: u32 = 16 << 10;
        let mut done = done;
        let size = self.ram.size();
        if done.scrubbed < size {
            self.ram.scrub(done.scrubbed, PIECE);
            done.scrubbed += PIECE;
        } else if let Some(placed) = self.description.files.get(done.files) {
            let file = self.bundle.file(placed.file);
            let rest = file.get(done.copied..).unwrap_or_default();
            let piece = &rest[..rest.len().min(PIECE as usize)];
            let address = placed.address.wrapping_add(done.copied as u32);
            // It is inside the memory: that was checked.
            let _ = self.ram.load(address, piece);
            done.copied += piece.len();
            if done.copied >= file.len() {
                done.files += 1;
                done.copied = 0;
            }
        } else if done.cleaned < size {
            self.ram.clean(done.cleaned, PIECE);
            done.cleaned += PIECE;
        } else {
            self.epoch.store(cp15::cntpct::read(), Ordering::Relaxed);
            return None;
        }
        Some(done)
    }

    /// A vCPU's share of its core.
    pub fn share(&self, vcpu: usize) -> Share {
        self.description.share(vcpu)
    }

    /// Physical minus virtual counter.
    pub fn counter_offset(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Its virtual counter, in milliseconds.
    pub fn time_ms(&self) -> u64 {
        let ticks = cp15::cntpct::read().wrapping_sub(self.counter_offset());
        ticks / (u64::from(cp15::cntfrq::read()) / 1000).max(1)
    }

    /// The physical address of the stage-2 tables, and the VMID.
    pub fn stage2(&self) -> (u64, u8) {
        (self.stage2.root(), self.index as u8 + 1)
    }

    /// Bytes of its stage-2 tables.
    pub fn tables_size(&self) -> usize {
        self.stage2.size()
    }

    /// A guest's load from a device: the value, or `None` if there is no device.
    pub fn mmio_read(&self, vcpu: usize, ipa: u32, size: u8) -> Option<u64> {
        let address = u64::from(ipa);
        if let Some(offset) = within(map::GIC_DIST, address) {
            return Some(self.gic.lock().dist_read(vcpu, offset, size));
        }
        let Some(offset) = within(map::UART, address) else {
            return self.devices.read(&self.gic, ipa, size);
        };
        let mut uart = self.uart.lock();
        let value = uart.read(offset, size);
        self.drive_uart();
        Some(value)
    }

    /// A guest's store to a device; false if there is no device.
    pub fn mmio_write(&self, vcpu: usize, ipa: u32, size: u8, value: u64) -> bool {
        let address = u64::from(ipa);
        if let Some(offset) = within(map::GIC_DIST, address) {
            self.gic.lock().dist_write(vcpu, offset, size, value);
            return true;
        }
        let Some(offset) = within(map::UART, address) else {
            return self.devices.write(&self.gic, ipa, size, value).is_some();
        };
        let mut uart = self.uart.lock();
        uart.write(offset, size, value);
        self.drive_uart();
        true
    }

    /// Makes an edge on an SPI's line.
    pub fn pulse_spi(&self, spi: u32) {
        {
            let mut gic = self.gic.lock();
            gic.set_spi(spi, true);
            gic.set_spi(spi, false);
        }
        self.kick_waiting();
    }

    /// An interrupt of the board that is its own has come; `own` is its vCPU that is loaded on this core.
    /// The guest ends it, through the list register that is linked to it.
    pub fn pass_interrupt(&self, spi: u32, own: Option<usize>) {
        let concerned = {
            let mut gic = self.gic.lock();
            gic.latch_spi(spi);
            gic.concerned()
        };
        self.kick(concerned & !own.map_or(0, |vcpu| 1 << vcpu));
    }

    /// Whether devices have put off requests, for [`go_on`](Self::go_on).
    pub fn is_behind(&self) -> bool {
        self.devices.is_behind()
    }

    /// Goes on with some of what devices have put off.
    pub fn go_on(&self) {
        self.devices.go_on(&self.gic);
    }

    /// Input for the console; returns how many bytes it took.
    pub fn console_input(&self, bytes: &[u8]) -> usize {
        if let Some(taken) = self.devices.console_input(&self.gic, bytes) {
            return taken;
        }
        let mut uart = self.uart.lock();
        let taken = uart.receive(bytes);
        self.drive_uart();
        taken
    }

    /// Brings the UART's line to the distributor; its lock is held.
    fn drive_uart(&self) {
        self.gic
            .lock()
            .set_spi(map::SPI_UART, self.uart_line.level());
    }

    /// Wakes the cores of vCPUs whose interrupts are to be looked at.
    pub fn kick_waiting(&self) {
        let waiting = self.gic.lock().concerned();
        self.kick(waiting);
    }

    /// Wakes the cores of some vCPUs, a bit each, but of those that are to look already: that may take
    /// until it is their turn.
    pub fn kick(&self, vcpus: u8) {
        if vcpus == 0 {
            return;
        }
        let news = vcpus & !self.kicked.fetch_or(vcpus, Ordering::AcqRel);
        for (vcpu, &core) in self.cores.iter().enumerate() {
            if news >> vcpu & 1 != 0 {
                cores::kick(core);
            }
        }
    }

    /// A vCPU is about to look at its interrupts.
    pub fn looks(&self, vcpu: usize) {
        if self.kicked.load(Ordering::Relaxed) >> vcpu & 1 != 0 {
            self.kicked.fetch_and(!(1 << vcpu), Ordering::AcqRel);
        }
    }

    /// The power states, as PSCI wants them.
    pub fn power_states(&self) -> ([PowerState; map::MAX_CPUS], usize) {
        let power = self.power.lock();
        let mut states = [PowerState::Off; map::MAX_CPUS];
        for (state, power) in states.iter_mut().zip(power.iter()) {
            *state = match power {
                Power::Off => PowerState::Off,
                Power::Starting(_) => PowerState::OnPending,
                Power::On => PowerState::On,
            };
        }
        (states, power.len())
    }

    /// Lets a vCPU start, if it is off.
    pub fn cpu_on(&self, vcpu: usize, start: Start) {
        if let Some(power @ Power::Off) = self.power.lock().get_mut(vcpu) {
            *power = Power::Starting(start);
            self.signals
                .fetch_or(signal::start(vcpu), Ordering::Release);
        }
        if let Some(&core) = self.cores.get(vcpu) {
            cores::kick(core);
        }
    }

    /// What others want of a vCPU: bits of [`signal`].
    #[inline(always)]
    pub fn signals(&self, vcpu: usize) -> u32 {
        let own = signal::STOP | signal::PAUSE | signal::start(vcpu) | signal::report(vcpu);
        self.signals.load(Ordering::Acquire) & own
    }

    /// What a vCPU that is to start starts with; it is on from now.
    pub fn take_start(&self, vcpu: usize) -> Option<Start> {
        let mut power = self.power.lock();
        let slot = power.get_mut(vcpu)?;
        let Power::Starting(start) = *slot else {
            return None;
        };
        let before = self
            .signals
            .fetch_and(!signal::start(vcpu), Ordering::AcqRel);
        if before & signal::STOP != 0 {
            *slot = Power::Off;
            return None;
        }
        *slot = Power::On;
        Some(start)
    }

    /// A vCPU has stopped. The last one of a VM that ends ends it.
    pub fn stopped(&self, vcpu: usize) {
        let end = {
            let mut power = self.power.lock();
            if let Some(slot) = power.get_mut(vcpu) {
                *slot = Power::Off;
            }
            if self.signals.load(Ordering::Acquire) & signal::STOP != 0 {
                for slot in power.iter_mut() {
                    if matches!(slot, Power::Starting(_)) {
                        *slot = Power::Off;
                    }
                }
            }
            if !power.iter().all(|power| matches!(power, Power::Off)) {
                return;
            }
            let mut life = self.life.lock();
            (life.parked, life.paused_at) = (0, None);
            self.signals.store(0, Ordering::Release);
            // vCPUs that switched themselves off, one after the other, did as the machine does.
            life.ending.take().unwrap_or(End::Off)
        };
        let Policies { fault, reset, off } = self.description.policies;
        let (policy, reason, name) = match end {
            End::Fault => (fault, 0, "fault"),
            End::Reset => (reset, 1, "reset"),
            End::Off => (off, 2, "power off"),
            End::Restarted => (Policy::Reset { limit: None }, 3, ""),
            End::Stopped => (Policy::Stop, 3, ""),
        };
        let mut life = self.life.lock();
        let count = life.restarts.get(reason).copied().unwrap_or(0);
        let again = match policy {
            Policy::Reset { limit } => limit.is_none_or(|limit| count < limit),
            Policy::Stop => false,
        };
        if again {
            if let Some(count) = life.restarts.get_mut(reason) {
                *count = count.saturating_add(1);
            }
            drop(life);
            match policy {
                Policy::Reset { limit: Some(limit) } => {
                    log!(
                        "{}: starts again ({name} {} of {limit})",
                        self.name,
                        count + 1
                    );
                }
                _ => log!("{}: starts again", self.name),
            }
            self.start();
            return;
        }
        life.ended = matches!(end, End::Off | End::Reset);
        life.failed = end == End::Fault;
        let ended = life.ended;
        drop(life);
        log!("{}: off", self.name);
        if ended {
            cores::vm_ended();
        }
    }

    /// Stops all vCPUs, each at its next exit. False if all are off.
    pub fn stop(&self, end: End) -> bool {
        {
            let power = self.power.lock();
            if power.iter().all(|power| matches!(power, Power::Off)) {
                return false;
            }
            self.life.lock().ending.get_or_insert(end);
            self.signals.fetch_or(signal::STOP, Ordering::AcqRel);
        }
        self.kick_all();
        true
    }

    /// Stops it for what it did, which is remembered.
    pub fn fail(&self, fault: Fault) {
        log!("{}: {fault}", self.name);
        self.life.lock().fault = Some(fault);
        self.stop(End::Fault);
    }

    /// Starts it, if all its vCPUs are off; false if not. Restarts are counted from 0.
    pub fn start_again(&self) -> bool {
        if self.condition().0 != Condition::Off && self.condition().0 != Condition::Failed {
            return false;
        }
        *self.life.lock() = Life::default();
        self.start();
        true
    }

    /// Pauses it: its vCPUs don't run, each from its next exit on. False if it doesn't run.
    pub fn pause(&self) -> bool {
        if self.condition().0 != Condition::Running {
            return false;
        }
        self.life.lock().parked = 0;
        self.signals.fetch_or(signal::PAUSE, Ordering::AcqRel);
        self.kick_all();
        true
    }

    /// A vCPU does not run any more, because of [`pause`](Self::pause).
    pub fn has_parked(&self, vcpu: usize) {
        let mut life = self.life.lock();
        life.parked |= 1 << vcpu;
        if life.parked.count_ones() as usize == self.cores.len() && life.paused_at.is_none() {
            life.paused_at = Some(cp15::cntpct::read());
        }
    }

    /// Ends a pause; its virtual counter goes on where it was. False if it isn't paused.
    pub fn resume(&self) -> bool {
        {
            let mut life = self.life.lock();
            if self.signals.load(Ordering::Acquire) & signal::PAUSE == 0 {
                return false;
            }
            // vCPUs that go on after others never stopped must have the same time as those.
            if let Some(since) = life.paused_at.take() {
                let pause = cp15::cntpct::read().wrapping_sub(since);
                self.epoch.fetch_add(pause, Ordering::Relaxed);
            }
            self.signals.fetch_and(!signal::PAUSE, Ordering::AcqRel);
        }
        self.kick_all();
        true
    }

    /// Has a vCPU's core show its registers. False if there is no such vCPU.
    pub fn report(&self, vcpu: usize) -> bool {
        let Some(&core) = self.cores.get(vcpu) else {
            return false;
        };
        self.signals
            .fetch_or(signal::report(vcpu), Ordering::AcqRel);
        cores::kick(core);
        true
    }

    /// The registers of a vCPU are about to be shown.
    pub fn has_reported(&self, vcpu: usize) {
        self.signals
            .fetch_and(!signal::report(vcpu), Ordering::AcqRel);
    }

    fn kick_all(&self) {
        for &core in &self.cores {
            cores::kick(core);
        }
    }

    /// Whether it has switched itself off, and stays so.
    pub fn has_ended(&self) -> bool {
        self.life.lock().ended
    }

    /// The fault that it had last.
    pub fn fault(&self) -> Option<Fault> {
        self.life.lock().fault
    }

    /// What it does, how many of its vCPUs are on, and how often it started again by itself.
    pub fn condition(&self) -> (Condition, usize, u32) {
        let power = self.power.lock();
        let life = self.life.lock();
        let on = |power: &&Power| !matches!(power, Power::Off);
        let on = power.iter().filter(on).count();
        let signals = self.signals.load(Ordering::Acquire);
        let condition = match () {
            () if on == 0 && life.failed => Condition::Failed,
            () if on == 0 => Condition::Off,
            () if signals & signal::STOP != 0 => Condition::Stopping,
            () if signals & signal::PAUSE != 0 => Condition::Paused,
            () => Condition::Running,
        };
        (condition, on, life.restarts.iter().sum())
    }
}

/// Gives a VM the devices of the board that are to be its own.
fn pass_devices(
    description: &Description,
    platform: &Platform,
    stage2: &mut Tables,
) -> Result<(), Reason> {
    use alloc::format;
    for device in &description.devices {
        let refuse = |reason| format!("device {}: {reason}", device.path);
        let found = passed::check(device, &description.devices, platform).map_err(refuse)?;
        for interrupt in &found.interrupts {
            gic::configure(interrupt.id, interrupt.edge);
        }
        for window in &device.windows {
            let pages = passed::pages(Range {
                base: window.physical,
                size: window.size.into(),
            });
            let offset = window.physical - pages.base;
            u64::from(window.address)
                .checked_sub(offset)
                .and_then(|ipa| {
                    let attributes = Attributes::S2_DEVICE;
                    stage2.map(ipa, pages.base, pages.size, attributes).ok()
                })
                .ok_or_else(|| refuse("its registers can't be mapped there".into()))?;
        }
    }
    Ok(())
}

fn within(range: map::Range, address: u64) -> Option<u64> {
    address
        .checked_sub(range.base)
        .filter(|&offset| offset < range.size)
}
