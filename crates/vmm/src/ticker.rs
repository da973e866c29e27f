//! Interrupts vCPUs at intervals, for engines that do not count what they execute: so that timers
//! are looked at while a guest computes.

use crate::bus::lock;
use crate::vm::Shared;
use skep_interp::control;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::Thread;
use std::time::Duration;

/// The time between two looks at the timers.
const PERIOD: Duration = Duration::from_micros(250);
/// The longest sleep while no vCPU executes, as a safety net.
const IDLE: Duration = Duration::from_millis(100);

/// What vCPU threads and the ticker share.
#[derive(Default)]
pub(crate) struct Ticker {
    thread: Mutex<Option<Thread>>,
    /// It sleeps until some vCPU executes again.
    idle: AtomicBool,
}

impl Ticker {
    /// A vCPU begins to execute.
    pub fn busy(&self) {
        if self.idle.swap(false, SeqCst)
            && let Some(thread) = &*lock(&self.thread)
        {
            thread.unpark();
        }
    }
}

/// The ticker's thread, until the VM ends.
pub(crate) fn run(shared: &Shared) {
    let ticker = &shared.ticker;
    // Each run of the VM has a thread of its own.
    *lock(&ticker.thread) = Some(std::thread::current());
    while !shared.has_ended() {
        let mut busy = false;
        for (progress, control) in shared.progress.iter().zip(shared.cluster.controls()) {
            if progress.busy.load(SeqCst) {
                busy = true;
                control.set(control::TICK, true);
            }
        }
        if busy {
            std::thread::park_timeout(PERIOD);
            continue;
        }
        ticker.idle.store(true, SeqCst);
        // One that became busy before it saw `idle`.
        if !shared.progress.iter().any(|vcpu| vcpu.busy.load(SeqCst)) {
            std::thread::park_timeout(IDLE);
        }
        ticker.idle.store(false, SeqCst);
    }
}
