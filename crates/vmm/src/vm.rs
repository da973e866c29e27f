//! The virtual machine: built from a configuration, run, paused, reset, stopped.

use crate::board::{Board, HostBalloon, Port, SerialPort};
use crate::boot;
use crate::bus::{Bus, lock};
use crate::clock::VmClock;
use crate::config::{MAX_MEMORY, MIN_MEMORY, VmConfig, Watchdog};
use crate::engine::Vcpu;
use crate::error::Error;
use crate::irq::Spi;
use crate::observe;
use crate::stats::{Report, VcpuStats, VmStats};
use crate::ticker::{self, Ticker};
use crate::vcpu::{self, Power};
use skep_arm::exception::Exception;
use skep_arm::state::CpuState;
use skep_board::map;
use skep_board::pl031::Pl031;
use skep_board::pl061::Pl061;
use skep_board::sp805::Sp805;
use skep_interp::Cluster;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How long the power key is held: longer than drivers wait for a key to settle.
const KEY_PRESS: std::time::Duration = std::time::Duration::from_millis(100);

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}

/// How a run of a VM ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The guest powered itself off.
    PoweredOff,
    /// [`VmHandle::stop`] was called.
    Stopped,
    /// The guest did not feed its watchdog, with [`Watchdog::PowerOff`].
    Watchdog,
    /// The guest can't go on.
    Fault(Box<FaultRecord>),
}

/// Why a guest can't go on, and where it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultRecord {
    /// The vCPU.
    pub cpu: usize,
    /// The exception that it takes again and again.
    pub exception: Exception,
    /// Its state.
    pub state: CpuState,
}

impl fmt::Display for FaultRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &self.state;
        writeln!(
            f,
            "CPU {} takes the same exception for ever at PC {:#010x}: {}",
            self.cpu,
            state.regs[15],
            describe(&self.exception)
        )?;
        for (n, value) in state.regs.iter().enumerate() {
            let end = if n % 4 == 3 { '\n' } else { ' ' };
            write!(
                f,
                "{:>4} {value:08x}{end}",
                skep_arm::Reg::new(n as u32).to_string()
            )?;
        }
        let mode = state.mode();
        let set = if state.in_t32() { "T32" } else { "A32" };
        write!(f, "cpsr {:08x} ({mode:?} mode, {set})", state.cpsr)
    }
}

fn describe(exception: &Exception) -> String {
    match exception {
        Exception::Undefined => "an undefined instruction".into(),
        Exception::Svc => "a supervisor call".into(),
        Exception::PrefetchAbort(fault) => {
            format!(
                "{:?} fault when fetching an instruction at {:#010x}",
                fault.kind, fault.va
            )
        }
        Exception::DataAbort(fault) => {
            let what = if fault.write { "writing" } else { "reading" };
            format!("{:?} fault when {what} {:#010x}", fault.kind, fault.va)
        }
        Exception::Irq => "an interrupt".into(),
        Exception::Fiq => "a fast interrupt".into(),
    }
}

/// Why vCPUs stop executing.
#[derive(Clone, Debug)]
pub(crate) enum End {
    PowerOff,
    Reset,
    /// The guest did not feed its watchdog.
    Watchdog,
    Stop,
    Fault(Box<FaultRecord>),
    /// A vCPU's thread panicked: its number, and what it said.
    Panic(usize, String),
}

/// Whether vCPUs may execute.
#[derive(Debug)]
enum Phase {
    Running,
    Paused,
    Ended(End),
}

struct Lifecycle {
    phase: Phase,
    /// vCPU threads that wait for the end of a pause.
    waiting: usize,
    /// vCPU threads that exist.
    threads: usize,
}

/// Where a vCPU is, as its thread last told.
#[derive(Default)]
pub(crate) struct Progress {
    pub instructions: AtomicU64,
    pub pc: AtomicU32,
    /// It executes, rather than sleep.
    pub busy: AtomicBool,
    /// What it did.
    pub report: Report,
}

/// What a VM's threads share.
pub(crate) struct Shared {
    pub bus: Arc<Bus>,
    pub cluster: Arc<Cluster>,
    pub rtc: Arc<Mutex<Pl031<Spi, VmClock>>>,
    pub watchdog: Option<Arc<Mutex<Sp805<Spi, VmClock>>>>,
    pub gpio: Arc<Mutex<Pl061<Spi>>>,
    pub balloon: HostBalloon,
    pub serial: SerialPort,
    pub power: Mutex<Vec<Power>>,
    pub progress: Vec<Progress>,
    pub ticker: Ticker,
    lifecycle: Mutex<Lifecycle>,
    changed: Condvar,
}

impl Shared {
    /// Waits while the VM is paused; false when it has ended.
    pub fn may_run(&self) -> bool {
        let mut lifecycle = lock(&self.lifecycle);
        loop {
            match lifecycle.phase {
                Phase::Running => return true,
                Phase::Ended(_) => return false,
                Phase::Paused => {
                    lifecycle.waiting += 1;
                    self.changed.notify_all();
                    lifecycle = self
                        .changed
                        .wait(lifecycle)
                        .unwrap_or_else(PoisonError::into_inner);
                    lifecycle.waiting -= 1;
                }
            }
        }
    }

    /// Ends execution. The first reason counts; a stop overrides others.
    pub fn end(&self, end: End) {
        let mut lifecycle = lock(&self.lifecycle);
        if !matches!(lifecycle.phase, Phase::Ended(_)) || matches!(end, End::Stop) {
            lifecycle.phase = Phase::Ended(end);
        }
        self.bus.standstill().want(true);
        drop(lifecycle);
        self.changed.notify_all();
        self.bus.interrupts().kick_all();
    }

    /// Execution has ended.
    pub fn has_ended(&self) -> bool {
        matches!(lock(&self.lifecycle).phase, Phase::Ended(_))
    }

    fn stats(&self, vcpus: Vec<VcpuStats>) -> VmStats {
        let runs = {
            let lifecycle = lock(&self.lifecycle);
            matches!(lifecycle.phase, Phase::Running) && lifecycle.threads > 0
        };
        VmStats {
            elapsed: self.bus.clock().elapsed(),
            vcpus,
            memory: self.balloon.stats(runs),
            devices: self.bus.stats(),
        }
    }

    fn wait_for_end(&self) -> End {
        let mut lifecycle = lock(&self.lifecycle);
        loop {
            if let Phase::Ended(end) = &lifecycle.phase {
                return end.clone();
            }
            lifecycle = self
                .changed
                .wait(lifecycle)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A virtual machine.
pub struct Vm {
    config: VmConfig,
    shared: Arc<Shared>,
    board: Board,
    vcpus: Vec<Vcpu>,
}

/// Reaches a VM from other threads. Clones reach the same VM.
#[derive(Clone)]
pub struct VmHandle {
    shared: Arc<Shared>,
    main: Option<Port>,
}

impl Vm {
    /// Builds the board and loads the guest. Bytes that the guest writes to the console that is
    /// [`Backend::Main`](crate::Backend::Main) go to `output`, on the thread of the vCPU that writes them.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration: see [`Error`].
    pub fn new(config: VmConfig, output: Box<dyn FnMut(u8) + Send>) -> Result<Self, Error> {
        if config.memory < MIN_MEMORY
            || config.memory > MAX_MEMORY
            || !config.memory.is_multiple_of(MIN_MEMORY)
        {
            return Err(Error::MemorySize(config.memory >> 20));
        }
        if !(1..=map::MAX_CPUS).contains(&config.cpus) {
            return Err(Error::CpuCount(config.cpus));
        }
        let cluster = Cluster::new(config.cpus);
        let (bus, board) = Board::new(&config, &cluster, output)?;
        let shared = Arc::new(Shared {
            bus: Arc::new(bus),
            cluster: cluster.clone(),
            rtc: board.rtc.clone(),
            watchdog: board.watchdog.clone(),
            gpio: board.gpio.clone(),
            balloon: board.balloon.clone(),
            serial: board.serial.clone(),
            power: Mutex::new(Vec::new()),
            progress: (0..config.cpus).map(|_| Progress::default()).collect(),
            ticker: Ticker::default(),
            lifecycle: Mutex::new(Lifecycle {
                phase: Phase::Running,
                threads: 0,
                waiting: 0,
            }),
            changed: Condvar::new(),
        });
        let count = config.cpus as u8;
        let mut vcpus: Vec<Vcpu> = (0..count)
            .map(|index| {
                let state = CpuState::new(config.cpu, index, count);
                Vcpu::new(&config, state, shared.bus.clone(), cluster.clone())
            })
            .collect::<Result<_, _>>()?;
        observe::start(&config, &mut vcpus)?;
        let mut vm = Vm {
            config,
            shared,
            board,
            vcpus,
        };
        vm.load()?;
        Ok(vm)
    }

    /// Puts the guest into memory and all CPUs into their state after power-on.
    fn load(&mut self) -> Result<(), Error> {
        let entry = boot::load(&self.config, self.shared.bus.ram())?;
        let count = self.config.cpus as u8;
        for (index, vcpu) in self.vcpus.iter_mut().enumerate() {
            let state = vcpu::start_state(self.config.cpu, index as u8, count, entry.pc, 0);
            *vcpu.state_mut() = state;
        }
        if let Some(first) = self.vcpus.first_mut() {
            first.state_mut().regs[..3].copy_from_slice(&entry.regs);
        }
        *lock(&self.shared.power) = (0..self.config.cpus)
            .map(|index| if index == 0 { Power::On } else { Power::Off })
            .collect();
        Ok(())
    }

    /// A handle for other threads.
    pub fn handle(&self) -> VmHandle {
        VmHandle {
            shared: self.shared.clone(),
            main: self.board.consoles.main().cloned(),
        }
    }

    /// Runs the guest until it powers off, can't go on, or is stopped. A guest that resets is
    /// loaded anew and goes on, unless the configuration has [`VmConfig::no_restart`]. May be
    /// called again after [`Outcome::Stopped`]: the guest goes on where it was.
    ///
    /// # Errors
    /// [`Error::Thread`], [`Error::Panic`], and after a reset those of loading.
    pub fn run(&mut self) -> Result<Outcome, Error> {
        self.board.net.start()?;
        let standstill = self.shared.bus.standstill();
        self.board.consoles.start(standstill)?;
        self.board.vsock.start()?;
        loop {
            self.let_devices_work();
            self.shared.bus.clock().start();
            let end = self.run_threads();
            self.shared.bus.clock().stop();
            // Threads that work for devices stand still, too, until the VM goes on.
            self.shared.bus.standstill().wait();
            self.shared.bus.ended();
            // A stop from here on is for the next run.
            lock(&self.shared.lifecycle).phase = Phase::Running;
            match end? {
                End::PowerOff => return Ok(Outcome::PoweredOff),
                End::Stop => return Ok(Outcome::Stopped),
                End::Fault(record) => return Ok(Outcome::Fault(record)),
                End::Panic(cpu, message) => return Err(Error::Panic { cpu, message }),
                End::Watchdog => {
                    if self.config.watchdog == Watchdog::PowerOff || self.config.no_restart {
                        return Ok(Outcome::Watchdog);
                    }
                    let warn = &self.config.warn;
                    warn.tell("the guest did not feed its watchdog: it is reset");
                    self.reset()?;
                }
                End::Reset if self.config.no_restart => return Ok(Outcome::PoweredOff),
                End::Reset => self.reset()?,
            }
        }
    }

    /// Lets devices work, unless the VM has been stopped or paused since.
    fn let_devices_work(&self) {
        let lifecycle = lock(&self.shared.lifecycle);
        if matches!(lifecycle.phase, Phase::Running) {
            self.shared.bus.standstill().want(false);
        }
    }

    /// One thread for each vCPU, until the VM ends.
    fn run_threads(&mut self) -> Result<End, Error> {
        let shared = &*self.shared;
        let needs_ticks = self.vcpus.iter().any(Vcpu::needs_ticks);
        std::thread::scope(|scope| {
            if needs_ticks {
                let thread = std::thread::Builder::new().name("ticker".into());
                if let Err(error) = thread.spawn_scoped(scope, || ticker::run(shared)) {
                    shared.end(End::Stop);
                    return Err(Error::Thread(error));
                }
            }
            for (index, vcpu) in self.vcpus.iter_mut().enumerate() {
                lock(&shared.lifecycle).threads += 1;
                let thread = std::thread::Builder::new().name(format!("vcpu{index}"));
                let spawned = thread.spawn_scoped(scope, move || {
                    // Nobody would see the end of a thread that panics. What it leaves half done is
                    // data of this VM, which ends.
                    let run = AssertUnwindSafe(|| vcpu::run(vcpu, shared));
                    if let Err(panic) = catch_unwind(run) {
                        shared.cluster.set_running(index, false);
                        shared.end(End::Panic(index, message(&*panic)));
                    }
                    lock(&shared.lifecycle).threads -= 1;
                    shared.changed.notify_all();
                });
                if let Err(error) = spawned {
                    lock(&shared.lifecycle).threads -= 1;
                    shared.end(End::Stop);
                    return Err(Error::Thread(error));
                }
            }
            Ok(shared.wait_for_end())
        })
    }

    /// Power-on state: devices reset, memory zero, the guest loaded.
    fn reset(&mut self) -> Result<(), Error> {
        // A device that was reset does not touch memory any more.
        for device in self.shared.bus.devices() {
            lock(device).reset();
        }
        let mib = self.config.memory >> 20;
        let ram = self.shared.bus.ram();
        ram.clear_ram()
            .map_err(|source| Error::HostMemory { mib, source })?;
        self.shared.bus.interrupts().with(|gic| gic.reset());
        self.load()
    }

    /// The consoles that are pseudo-terminals of the host: what a guest calls them, and the terminals'
    /// names.
    pub fn terminals(&self) -> &[(String, PathBuf)] {
        self.board.consoles.terminals()
    }

    /// What the VM did so far.
    pub fn stats(&self) -> VmStats {
        let progress = self.shared.progress.iter();
        let vcpus = self.vcpus.iter().zip(progress);
        let vcpus = vcpus.map(|(vcpu, progress)| VcpuStats {
            engine: vcpu.stats(),
            ..progress.report.last()
        });
        self.shared.stats(vcpus.collect())
    }

    /// The state of each vCPU, while the VM is not running.
    pub fn states(&self) -> impl Iterator<Item = &CpuState> {
        self.vcpus.iter().map(Vcpu::state)
    }
}

impl VmHandle {
    /// Gives bytes to the guest's main console. They wait until the guest takes them; without such a
    /// console they are lost.
    pub fn input(&self, bytes: &[u8]) {
        if let Some(main) = &self.main {
            main.input(bytes);
        }
    }

    /// How many bytes the guest has written to its main console.
    pub fn output_count(&self) -> u64 {
        self.main.as_ref().map_or(0, Port::sent)
    }

    /// How many bytes of input the guest has not taken yet.
    pub fn input_waiting(&self) -> usize {
        self.main.as_ref().map_or(0, Port::waiting)
    }

    /// Tells the guest the terminal's new size in columns and rows. Only virtio consoles that were
    /// given one at first ([`VmConfig::terminal_size`]) can.
    pub fn resize(&self, columns: u16, rows: u16) {
        if let Some(main) = &self.main {
            main.resize(columns, rows);
        }
    }

    /// Stops all vCPUs and the VM's time, and returns when they stand still. Does nothing unless
    /// the VM runs.
    pub fn pause(&self) {
        let mut lifecycle = lock(&self.shared.lifecycle);
        if !matches!(lifecycle.phase, Phase::Running) {
            return;
        }
        lifecycle.phase = Phase::Paused;
        self.shared.bus.standstill().want(true);
        self.shared.bus.interrupts().kick_all();
        while matches!(lifecycle.phase, Phase::Paused) && lifecycle.waiting < lifecycle.threads {
            lifecycle = self
                .shared
                .changed
                .wait(lifecycle)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.shared.bus.clock().stop();
        drop(lifecycle);
        self.shared.bus.standstill().wait();
    }

    /// Ends a pause.
    pub fn resume(&self) {
        let mut lifecycle = lock(&self.shared.lifecycle);
        if matches!(lifecycle.phase, Phase::Paused) {
            self.shared.bus.clock().start();
            lifecycle.phase = Phase::Running;
            self.shared.bus.standstill().want(false);
            drop(lifecycle);
            self.shared.changed.notify_all();
        }
    }

    /// Where each vCPU is: instructions executed since the VM was built (as [`VmConfig::count`] has
    /// them), and the PC. As its thread last told, less than a millisecond ago unless it sleeps.
    pub fn progress(&self) -> Vec<(u64, u32)> {
        let progress = self.shared.progress.iter();
        progress
            .map(|cpu| (cpu.instructions.load(Relaxed), cpu.pc.load(Relaxed)))
            .collect()
    }

    /// What the VM did so far: of a vCPU that sleeps or is off, too; while the VM is paused, as of
    /// some moment before.
    pub fn stats(&self) -> VmStats {
        for progress in &self.shared.progress {
            progress.report.ask();
        }
        self.shared.bus.interrupts().kick_all();
        let progress = self.shared.progress.iter();
        self.shared
            .stats(progress.map(|vcpu| vcpu.report.answer()).collect())
    }

    /// The VM is paused.
    pub fn paused(&self) -> bool {
        matches!(lock(&self.shared.lifecycle).phase, Phase::Paused)
    }

    /// Makes [`Vm::run`] return [`Outcome::Stopped`].
    pub fn stop(&self) {
        self.shared.end(End::Stop);
    }

    /// Asks the guest to do without so many bytes of its memory, which the host has back as soon as the
    /// guest's balloon driver has given them. It need not.
    pub fn set_balloon(&self, bytes: u64) {
        self.shared.balloon.set_target(bytes);
    }

    /// Presses the power key, and lets it go after a tenth of a second: how a machine is asked to power
    /// itself off. What comes of it is the guest's affair.
    pub fn press_power_key(&self) {
        let key = |down| lock(&self.shared.gpio).set_pin(map::GPIO_POWER_KEY, down);
        key(true);
        std::thread::sleep(KEY_PRESS);
        key(false);
    }

    /// Resets the VM, as the guest's own reset does.
    pub fn reset(&self) {
        self.shared.end(End::Reset);
    }
}
