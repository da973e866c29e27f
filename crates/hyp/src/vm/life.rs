//! A VM's life: it starts, is paused, stops, and starts again.

use core::fmt;
use core::sync::atomic::Ordering;

use skep_board::MmioDevice;
use skep_board::gic::Gic;
use skep_board::map;
use skep_board::psci::PowerState;
use skep_bundle::{Policies, Policy};
use skep_hyp::syndrome::Syndrome;

use super::Vm;
use crate::cores;
use crate::hw::{cp15, gic};
use crate::log;

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
pub(super) struct Life {
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

impl Vm {
    /// Resets the devices, and lets the first vCPU start, on its core. All vCPUs are off.
    pub(super) fn start(&self) {
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
