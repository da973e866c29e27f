//! What a VM did: counts of the engines, of what their threads left them for, and of accesses to
//! devices.

use crate::bus::lock;
use crate::engine::EngineStats;
use rustix::time::{ClockId, clock_gettime};
use skep_board::virtio::balloon::MemoryUse;
use skep_interp::Exit;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What a VM did since it was built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VmStats {
    /// The time that the VM ran: without pauses.
    pub elapsed: Duration,
    /// Each vCPU.
    pub vcpus: Vec<VcpuStats>,
    /// Guest memory.
    pub memory: MemoryStats,
    /// Each device that was accessed, in the order of their addresses.
    pub devices: Vec<DeviceStats>,
}

/// What a vCPU did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct VcpuStats {
    /// What its engine counts.
    pub engine: EngineStats,
    /// Returns of the engine.
    pub exits: Exits,
    /// The host's processor time that its thread took.
    pub cpu_time: Duration,
}

/// How often an engine returned to a vCPU's thread, by reason: accesses to devices are none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Exits {
    /// To look at the timers.
    pub ticks: u64,
    /// At the host's wish.
    pub kicks: u64,
    /// WFI.
    pub wfi: u64,
    /// WFE.
    pub wfe: u64,
    /// SEV.
    pub sev: u64,
    /// YIELD, and waits for other vCPUs' TLB maintenance.
    pub yields: u64,
    /// A timer's register was written.
    pub timer: u64,
    /// HVC: calls of the firmware.
    pub hvc: u64,
    /// SMC.
    pub smc: u64,
}

impl Exits {
    pub(crate) fn count(&mut self, exit: &Exit) {
        let counter = match exit {
            Exit::Budget => &mut self.ticks,
            Exit::Kicked => &mut self.kicks,
            Exit::Wfi => &mut self.wfi,
            Exit::Wfe => &mut self.wfe,
            Exit::Sev => &mut self.sev,
            Exit::Yield => &mut self.yields,
            Exit::Timer => &mut self.timer,
            Exit::Hvc(_) => &mut self.hvc,
            Exit::Smc(_) => &mut self.smc,
            // It ends the VM.
            Exit::Stuck(_) => return,
        };
        *counter += 1;
    }
}

/// What is known of guest memory, by its balloon.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MemoryStats {
    /// How the guest uses it, if it has a driver that tells.
    pub told: Option<MemoryUse>,
    /// Bytes that are in the balloon.
    pub ballooned: u64,
    /// Bytes that the guest gave back to the host so far, through the balloon and because they were free.
    /// What it used again and gave back again counts again.
    pub given: u64,
}

/// Accesses to a device's registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceStats {
    /// The device, such as `pl011`. All virtio transports without one count as one.
    pub name: String,
    /// Physical address of its registers.
    pub address: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// How long others wait for a vCPU's thread to tell what it did. It looks for questions whenever it
/// leaves its engine, which is asked to return.
const ANSWER_LIMIT: Duration = Duration::from_millis(200);

/// What a vCPU's thread tells others that it did.
#[derive(Default)]
pub(crate) struct Report {
    asked: AtomicBool,
    told: Mutex<VcpuStats>,
    answered: Condvar,
}

impl Report {
    /// Asks for news.
    pub fn ask(&self) {
        self.asked.store(true, SeqCst);
    }

    /// There is a question.
    pub fn is_asked(&self) -> bool {
        self.asked.load(SeqCst)
    }

    /// Answers.
    pub fn tell(&self, stats: VcpuStats) {
        *lock(&self.told) = stats;
        self.asked.store(false, SeqCst);
        self.answered.notify_all();
    }

    /// The answer, or what was told before if there is none for too long: while the VM is paused or
    /// does not run, nothing happens.
    pub fn answer(&self) -> VcpuStats {
        let waited = self
            .answered
            .wait_timeout_while(lock(&self.told), ANSWER_LIMIT, |_| self.is_asked());
        let told = waited.unwrap_or_else(PoisonError::into_inner).0;
        told.clone()
    }

    /// What was told last.
    pub fn last(&self) -> VcpuStats {
        lock(&self.told).clone()
    }
}

/// The processor time of the thread that asks.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}
