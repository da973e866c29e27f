//! What the devices' tests share.

use crate::{Clock, IrqLine, MmioDevice};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use proptest::prelude::*;

/// An interrupt line that a test can look at.
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<AtomicBool>);

impl Line {
    pub fn level(&self) -> bool {
        self.0.load(SeqCst)
    }
}

impl IrqLine for Line {
    fn set(&self, level: bool) {
        self.0.store(level, SeqCst);
    }
}

/// A clock that a test sets, in seconds.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ns(&self) -> u64 {
        self.0.load(SeqCst).wrapping_mul(1_000_000_000)
    }
    fn unix_seconds(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// An access that a guest might make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub write: bool,
    pub offset: u64,
    pub size: u8,
    pub value: u64,
}

impl Access {
    pub fn apply(&self, device: &mut dyn MmioDevice) {
        if self.write {
            device.write(self.offset, self.size, self.value);
        } else {
            let value = device.read(self.offset, self.size);
            assert!(
                self.size >= 8 || value >> (u32::from(self.size) * 8) == 0,
                "{self:x?} read {value:#x}"
            );
        }
    }
}

/// An access at an offset up to and beyond `end`; most are aligned words, as guests make them.
pub(crate) fn access(end: u64) -> impl Strategy<Value = Access> {
    let offset = prop_oneof![
        8 => (0..end / 4).prop_map(|word| word * 4),
        2 => 0..end,
        1 => Just(u64::MAX),
    ];
    let size = prop_oneof![6 => Just(4), 1 => Just(1), 1 => Just(2), 1 => Just(8)];
    let value = prop_oneof![any::<u64>(), 0..256u64, Just(u64::MAX)];
    (any::<bool>(), offset, size, value).prop_map(|(write, offset, size, value)| Access {
        write,
        offset,
        size,
        value,
    })
}

/// Many of them.
pub(crate) fn accesses(end: u64) -> impl Strategy<Value = Vec<Access>> {
    prop::collection::vec(access(end), 0..200)
}
