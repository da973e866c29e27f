//! The VM's time: runs while the VM runs, stands still while it is paused.

use skep_board::{Clock, map};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that can stand still. Clones show the same time.
#[derive(Clone)]
pub struct VmClock {
    epoch: Instant,
    /// In one word, so that guests that read the counter all the time take no lock: with
    /// [`RUNNING`], when the clock would have shown 0, in nanoseconds after `epoch` (modulo 2^63);
    /// without, what it shows.
    state: Arc<AtomicU64>,
}

/// The clock runs.
const RUNNING: u64 = 1 << 63;

impl VmClock {
    /// A clock at 0, standing still.
    pub fn new() -> Self {
        VmClock {
            epoch: Instant::now(),
            state: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Nanoseconds since the epoch: enough for 292 years.
    fn host(&self) -> u64 {
        let passed = self.epoch.elapsed();
        passed.as_secs() * 1_000_000_000 + u64::from(passed.subsec_nanos())
    }

    fn shown(&self, state: u64) -> u64 {
        if state & RUNNING == 0 {
            state
        } else {
            self.host().wrapping_sub(state) & !RUNNING
        }
    }

    /// Lets time pass.
    pub fn start(&self) {
        let host = self.host();
        let run = |state: u64| {
            (state & RUNNING == 0).then(|| host.wrapping_sub(state) & !RUNNING | RUNNING)
        };
        // It runs already if there is nothing to change.
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, run);
    }

    /// Stops time.
    pub fn stop(&self) {
        let stand = |state: u64| (state & RUNNING != 0).then(|| self.shown(state));
        // It stands already if there is nothing to change.
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, stand);
    }

    /// Time since the VM started.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now_ns())
    }

    /// The generic timer's physical count, at [`map::COUNTER_HZ`].
    pub fn count(&self) -> u64 {
        // 16 ns a tick.
        const NS: u64 = 1_000_000_000 / map::COUNTER_HZ as u64;
        self.now_ns() / NS
    }

    /// How long until the count is `deadline`: zero if it has passed.
    pub fn until(&self, deadline: u64) -> Duration {
        let ticks = deadline.saturating_sub(self.count());
        Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / u64::from(map::COUNTER_HZ)))
    }
}

impl Default for VmClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for VmClock {
    fn now_ns(&self) -> u64 {
        self.shown(self.state.load(Ordering::Acquire))
    }

    fn unix_seconds(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_while_started() {
        let clock = VmClock::new();
        assert_eq!(clock.count(), 0);
        clock.start();
        std::thread::sleep(Duration::from_millis(2));
        clock.stop();
        let stopped = clock.elapsed();
        assert!(stopped >= Duration::from_millis(2));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.elapsed(), stopped);
        assert_eq!(
            clock.until(clock.count() + 62_500),
            Duration::from_millis(1)
        );
        assert_eq!(clock.until(0), Duration::ZERO);
    }
}
