//! The host's wish that the VM stand still, for threads that work for devices.

use crate::bus::lock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};

/// What the lifecycle and those threads share.
#[derive(Default)]
pub(crate) struct Standstill {
    wanted: AtomicBool,
    /// How many threads are at work for devices. None begins while a standstill is wanted, which is
    /// looked at under this lock.
    at_work: Mutex<usize>,
    changed: Condvar,
    when_over: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

/// A thread is at work for a device, until this is dropped.
pub(crate) struct AtWork<'a>(&'a Standstill);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut at_work = lock(&self.0.at_work);
        *at_work -= 1;
        if *at_work == 0 && self.0.wanted.load(SeqCst) {
            self.0.changed.notify_all();
        }
    }
}

impl Standstill {
    /// The VM is to stand still, or to go on.
    pub fn want(&self, wanted: bool) {
        let at_work = lock(&self.at_work);
        self.wanted.store(wanted, SeqCst);
        drop(at_work);
        self.changed.notify_all();
        if !wanted {
            for act in lock(&self.when_over).iter() {
                act();
            }
        }
    }

    /// Has something done each time that the VM may go on: for threads that wait for other things, too,
    /// and were told meanwhile what they could not see to.
    pub fn when_over(&self, act: impl Fn() + Send + Sync + 'static) {
        lock(&self.when_over).push(Box::new(act));
    }

    /// Whether it is to stand still, for who does nothing to the VM: that may have changed since.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(SeqCst)
    }

    /// For a thread that works for a device: waits until the VM may change. None if `given_up` first,
    /// for which [`Standstill::look_again`] makes it look.
    pub fn work(&self, given_up: impl Fn() -> bool) -> Option<AtWork<'_>> {
        let mut at_work = lock(&self.at_work);
        loop {
            if given_up() {
                return None;
            }
            if !self.wanted.load(SeqCst) {
                *at_work += 1;
                return Some(AtWork(self));
            }
            at_work = self
                .changed
                .wait(at_work)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same without waiting: None while the VM is to stand still.
    pub fn try_work(&self) -> Option<AtWork<'_>> {
        let mut at_work = lock(&self.at_work);
        if self.wanted.load(SeqCst) {
            return None;
        }
        *at_work += 1;
        Some(AtWork(self))
    }

    /// Makes threads that wait in [`Standstill::work`] look whether they should give up.
    pub fn look_again(&self) {
        // Whoever has looked waits by the time that the lock is free.
        drop(lock(&self.at_work));
        self.changed.notify_all();
    }

    /// Waits until no thread is at work for a device, or the VM is to go on.
    pub fn wait(&self) {
        let mut at_work = lock(&self.at_work);
        while *at_work > 0 && self.wanted.load(SeqCst) {
            at_work = self
                .changed
                .wait(at_work)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn who_wants_to_know_hears_that_it_is_over() {
        let (standstill, heard) = (Standstill::default(), Arc::new(AtomicUsize::new(0)));
        let counter = heard.clone();
        standstill.when_over(move || {
            counter.fetch_add(1, SeqCst);
        });
        standstill.want(true);
        assert_eq!(heard.load(SeqCst), 0);
        standstill.want(false);
        assert_eq!(heard.load(SeqCst), 1);
        assert!(!standstill.is_wanted());
    }

    #[test]
    fn who_has_begun_is_waited_for_and_nobody_begins() {
        let standstill = Standstill::default();
        let at_work = standstill.try_work();
        assert!(at_work.is_some());
        standstill.want(true);
        assert!(standstill.try_work().is_none());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| standstill.wait());
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waits.is_finished(), "it is at work");
            drop(at_work);
        });
        standstill.want(false);
        assert!(standstill.try_work().is_some());
    }
}
