//! The thread of a vCPU: runs the engine, drives its own interrupts, sleeps in WFI, and serves
//! what the guest asks of the firmware (PSCI).

use crate::bus::lock;
use crate::engine::Vcpu;
use crate::stats::{Report, VcpuStats, thread_time};
use crate::vm::{End, FaultRecord, Shared};
use skep_arm::state::{CpuModel, CpuState, psr};
use skep_board::map;
use skep_board::psci::{self, Outcome, PowerState};
use skep_interp::{Counters, Exit, Machine, control};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// Instructions between two looks at the timers: about 0.1 ms.
const SLICE: u64 = 16_384;
/// A WFE without event ends after this time, as the architecture lets it: for guests that expect
/// more wake-up events than ARMv7 has, such as another CPU's write to what they have reserved.
const WFE_LIMIT: Duration = Duration::from_millis(10);
/// The longest sleep while input waits for the next slice.
const INPUT_LIMIT: Duration = Duration::from_micros(100);
/// The inputs that end a WFI, whether the guest masks them or not.
const INTERRUPTS: u32 = skep_interp::control::IRQ | skep_interp::control::FIQ;
/// The longest sleep, as a safety net.
const SLEEP_LIMIT: Duration = Duration::from_secs(10);

/// Whether a vCPU is on, as PSCI knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    /// It executes.
    On,
    /// It executes nothing until CPU_ON.
    Off,
    /// CPU_ON was called for it: where to start.
    Starting {
        /// Entry point, bit 0 = T32.
        entry: u32,
        /// R0.
        context: u32,
    },
}

/// State of a vCPU that starts at `entry` (bit 0 = T32).
pub fn start_state(model: CpuModel, index: u8, count: u8, entry: u32, context: u32) -> CpuState {
    let mut state = CpuState::new(model, index, count);
    state.regs[0] = context;
    if entry & 1 != 0 {
        state.cpsr |= psr::T;
        state.regs[15] = entry & !1;
    } else {
        state.cpsr &= !psr::T;
        state.regs[15] = entry & !3;
    }
    state
}

/// Runs a vCPU until the VM ends.
pub(crate) fn run(vcpu: &mut Vcpu, shared: &Shared) {
    let index = usize::from(vcpu.state().index);
    let interrupts = shared.bus.interrupts();
    interrupts.set_sleeper(index, Some(std::thread::current()));
    let mut driven = [false; 3];
    let mut slept = false;
    let mut stream = None;
    let mut waiting = false;
    let report = shared.progress.get(index).map(|progress| &progress.report);
    let mut account = Account::new(report);
    while shared.may_run() {
        if let Some(report) = report.filter(|report| report.is_asked()) {
            report.tell(account.stats(vcpu));
        }
        if index == 0
            && let Some(watchdog) = &shared.watchdog
            && lock(watchdog).poll()
        {
            shared.end(End::Watchdog);
            continue;
        }
        if !power_on(vcpu, shared, index) {
            set_busy(shared, index, false);
            std::thread::park_timeout(until_watchdog(shared, index));
            continue;
        }
        drive_own(vcpu.state(), shared, index, &mut driven);
        if index == 0 {
            lock(&shared.rtc).poll();
            shared.serial.tick(slept);
            slept = false;
        }
        if waiting && flags(shared, index) & INTERRUPTS == 0 {
            sleep(vcpu.state(), shared, SLEEP_LIMIT, INTERRUPTS);
            slept = true;
            continue;
        }
        waiting = false;
        set_busy(shared, index, true);
        let exit = vcpu.run(SLICE);
        account.stats.exits.count(&exit);
        if let Some(progress) = shared.progress.get(index) {
            progress.instructions.store(vcpu.instructions(), Relaxed);
            progress.pc.store(vcpu.state().regs[15], Relaxed);
        }
        match exit {
            Exit::Budget | Exit::Kicked => {}
            Exit::Timer => stream = stream_fires(vcpu.state(), shared),
            Exit::Yield => std::thread::yield_now(),
            Exit::Wfi => {
                sleep(vcpu.state(), shared, SLEEP_LIMIT, INTERRUPTS);
                slept = true;
                waiting = true;
            }
            Exit::Wfe => wait_for_event(vcpu.state(), shared, &mut stream),
            // The engine has set the event register of the CPU that executed it.
            Exit::Sev => {
                let controls = shared.cluster.controls().enumerate();
                for (cpu, control) in controls.filter(|(cpu, _)| *cpu != index) {
                    control.set(control::EVENT, true);
                    interrupts.wake(cpu);
                }
            }
            Exit::Hvc(_) => firmware_call(vcpu, shared, index),
            // There is no secure world: SMC is UNDEFINED, as where EL3 is not implemented.
            Exit::Smc(_) => {
                let state = vcpu.state_mut();
                // Both encodings have four bytes.
                let pc = state.regs[15].wrapping_sub(4);
                state.take_exception(skep_arm::Exception::Undefined, pc);
            }
            Exit::Stuck(exception) => {
                shared.end(End::Fault(Box::new(FaultRecord {
                    cpu: index,
                    exception,
                    state: vcpu.state().clone(),
                })));
            }
        }
    }
    if let Some(report) = report {
        report.tell(account.stats(vcpu));
    }
    interrupts.set_sleeper(index, None);
}

/// What a vCPU's thread counts.
struct Account {
    stats: VcpuStats,
    /// The thread's processor time at its start.
    start: Duration,
}

impl Account {
    /// Goes on where an earlier thread of the vCPU ended.
    fn new(report: Option<&Report>) -> Self {
        Account {
            stats: report.map(Report::last).unwrap_or_default(),
            start: thread_time(),
        }
    }

    fn stats(&self, vcpu: &Vcpu) -> VcpuStats {
        let time = thread_time().saturating_sub(self.start);
        VcpuStats {
            engine: vcpu.stats(),
            exits: self.stats.exits,
            cpu_time: self.stats.cpu_time + time,
        }
    }
}

/// Notes whether a vCPU executes.
fn set_busy(shared: &Shared, index: usize, busy: bool) {
    if let Some(progress) = shared.progress.get(index)
        && progress.busy.load(Relaxed) != busy
    {
        progress.busy.store(busy, SeqCst);
        if busy {
            shared.ticker.busy();
        }
    }
}

/// Brings a vCPU up that CPU_ON was called for; false while it is off.
fn power_on(vcpu: &mut Vcpu, shared: &Shared, index: usize) -> bool {
    let mut power = lock(&shared.power);
    let Some(power) = power.get_mut(index) else {
        return false;
    };
    match *power {
        Power::On => true,
        Power::Off => false,
        Power::Starting { entry, context } => {
            *power = Power::On;
            let state = vcpu.state_mut();
            *state = start_state(state.model, state.index, state.count, entry, context);
            true
        }
    }
}

/// The interrupts that a vCPU itself asserts, those of the timers that exist without Hyp mode and of
/// the performance monitors: interrupt IDs and levels.
fn own_interrupts(state: &CpuState, now: Counters) -> [(u32, bool); 3] {
    let (timer, pmu) = (&state.timer, &state.cp15.pmu);
    [
        (map::INTID_TIMER_PHYS, timer.phys_pending(now.physical)),
        (map::INTID_TIMER_VIRT, timer.virt_pending(now.physical)),
        (map::INTID_PMU, pmu.interrupt(now.cycles)),
    ]
}

/// Tells the interrupt controller which of a vCPU's own interrupts are asserted now.
fn drive_own(state: &CpuState, shared: &Shared, index: usize, driven: &mut [bool; 3]) {
    let now = shared.bus.counters();
    for ((intid, level), driven) in own_interrupts(state, now).into_iter().zip(driven) {
        if level != *driven {
            *driven = level;
            shared
                .bus
                .interrupts()
                .with(|gic| gic.set_ppi(index, intid, level));
        }
    }
}

/// The count at which the guest's event stream fires next.
fn stream_fires(state: &CpuState, shared: &Shared) -> Option<u64> {
    state.timer.event_deadline(shared.bus.clock().count())
}

/// WFE with the event register clear. `stream` is when the event stream fires for the first time
/// since an event was last consumed: if that is past, the register is set by now.
fn wait_for_event(state: &CpuState, shared: &Shared, stream: &mut Option<u64>) {
    let limit = stream.map_or(WFE_LIMIT, |at| shared.bus.clock().until(at).min(WFE_LIMIT));
    sleep(state, shared, limit, u32::MAX);
    // What ended the wait is consumed by it.
    if let Some(control) = shared.cluster.control(usize::from(state.index)) {
        control.take(control::EVENT);
    }
    *stream = stream_fires(state, shared);
}

/// The inputs of a vCPU.
fn flags(shared: &Shared, index: usize) -> u32 {
    shared.cluster.control(index).map_or(0, |c| c.flags())
}

/// Sleeps until one of the inputs `wakes`, a timer, a request of the host, or `limit`.
fn sleep(state: &CpuState, shared: &Shared, limit: Duration, wakes: u32) {
    let mut wait = limit;
    let clock = shared.bus.clock();
    let now = shared.bus.counters();
    if let Some(deadline) = state.timer.deadline(now.physical) {
        wait = wait.min(clock.until(deadline));
    }
    if let Some(deadline) = state.cp15.pmu.deadline(now.cycles) {
        // A cycle is a nanosecond.
        wait = wait.min(Duration::from_nanos(deadline - now.cycles));
    }
    if let Some(seconds) = lock(&shared.rtc).seconds_to_match() {
        // The clock's second may begin at any time within the next.
        wait = wait.min(Duration::from_secs(u64::from(seconds.max(1))) / 2);
    }
    if shared.serial.held_back() {
        wait = wait.min(INPUT_LIMIT);
    }
    let index = usize::from(state.index);
    wait = wait.min(until_watchdog(shared, index));
    if flags(shared, index) & wakes == 0 && !wait.is_zero() {
        set_busy(shared, index, false);
        std::thread::park_timeout(wait);
    }
}

/// How long a vCPU's thread may sleep until it is to look at the watchdog.
fn until_watchdog(shared: &Shared, index: usize) -> Duration {
    let watchdog = shared.watchdog.as_ref().filter(|_| index == 0);
    let due = watchdog.and_then(|watchdog| lock(watchdog).ns_to_event());
    due.map_or(SLEEP_LIMIT, |due| {
        Duration::from_nanos(due).min(SLEEP_LIMIT)
    })
}

/// HVC #0: PSCI.
fn firmware_call(vcpu: &mut Vcpu, shared: &Shared, index: usize) {
    let regs = &vcpu.state().regs;
    let (function, args) = (regs[0], [regs[1], regs[2], regs[3]]);
    let mut power = lock(&shared.power);
    let states: Vec<PowerState> = power
        .iter()
        .map(|power| match power {
            Power::On => PowerState::On,
            Power::Off => PowerState::Off,
            Power::Starting { .. } => PowerState::OnPending,
        })
        .collect();
    let result = match psci::call(function, args, &states) {
        Outcome::Return(value) => value,
        Outcome::CpuOn {
            cpu: target,
            entry,
            context,
            t32,
        } => {
            if let Some(power) = power.get_mut(target) {
                let entry = entry | u32::from(t32);
                *power = Power::Starting { entry, context };
            }
            drop(power);
            shared.bus.interrupts().wake(target);
            0
        }
        Outcome::CpuOff => {
            if let Some(power) = power.get_mut(index) {
                *power = Power::Off;
            }
            0
        }
        Outcome::CpuSuspend => {
            drop(power);
            vcpu.state_mut().regs[0] = 0;
            sleep(vcpu.state(), shared, SLEEP_LIMIT, u32::MAX);
            return;
        }
        Outcome::SystemOff => return shared.end(End::PowerOff),
        Outcome::SystemReset => return shared.end(End::Reset),
    };
    vcpu.state_mut().regs[0] = result;
}
