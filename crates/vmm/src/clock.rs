//! The VM's time: runs while the VM runs, stands still while it is paused.

use skep_board::{Clock, map};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that can stand still. Clones show the same time.
#[derive(Clone)]
pub struct VmClock {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// Time that had passed at `since`.
    passed: Duration,
    /// When the clock was started; None while it stands still.
    since: Option<Instant>,
}

impl VmClock {
    /// A clock at 0, standing still.
    pub fn new() -> Self {
        VmClock {
            inner: Arc::new(Mutex::new(Inner {
                passed: Duration::ZERO,
                since: None,
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass.
    pub fn start(&self) {
        self.lock().since.get_or_insert_with(Instant::now);
    }

    /// Stops time.
    pub fn stop(&self) {
        let mut inner = self.lock();
        if let Some(since) = inner.since.take() {
            inner.passed += since.elapsed();
        }
    }

    /// Time since the VM started.
    pub fn elapsed(&self) -> Duration {
        let inner = self.lock();
        inner.passed + inner.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The generic timer's physical count, at [`map::COUNTER_HZ`].
    pub fn count(&self) -> u64 {
        // 16 ns a tick.
        const NS: u128 = 1_000_000_000 / map::COUNTER_HZ as u128;
        (self.elapsed().as_nanos() / NS) as u64
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
        self.elapsed().as_nanos() as u64
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
