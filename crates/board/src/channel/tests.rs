use super::*;
use crate::test_support::access;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;
use proptest::prelude::*;

/// Counts the interrupts of each end.
#[derive(Clone, Default)]
struct Counter(Arc<[AtomicU32; MAX_ENDS]>);

impl Ringer for Counter {
    fn ring(&self, end: usize) {
        self.0[end].fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    fn counts(&self) -> [u32; 3] {
        core::array::from_fn(|end| self.0[end].load(Ordering::Relaxed))
    }
}

fn channel(ends: usize) -> (Vec<Channel<Counter>>, Counter) {
    let (bells, counter) = (Arc::new(Bells::default()), Counter::default());
    let make = |end| {
        Channel::new(
            bells.clone(),
            counter.clone(),
            (end, ends),
            0x3000,
            end == 1,
        )
    };
    ((0..ends).map(make).collect(), counter)
}

#[test]
fn an_end_tells_what_it_is() {
    let (mut ends, _) = channel(3);
    let read = |end: &mut Channel<Counter>| -> [u64; 8] {
        core::array::from_fn(|register| end.read(4 * register as u64, 4))
    };
    assert_eq!(read(&mut ends[0]), [0x4843_4b53, 1, 0, 3, 0x3000, 0, 0, 0]);
    assert_eq!(read(&mut ends[1]), [0x4843_4b53, 1, 1, 3, 0x3000, 1, 0, 0]);
    assert_eq!((ends[0].read(0, 2), ends[0].read(0x20, 4)), (0, 0));
}

#[test]
fn ringing_interrupts_once_until_it_is_acknowledged() {
    let (mut ends, counter) = channel(3);
    for _ in 0..100 {
        ends[0].write(RING, 4, 0b010);
    }
    assert_eq!(counter.counts(), [0, 1, 0]);
    assert_eq!(ends[1].read(RUNG, 4), 0b001);
    assert_eq!(ends[2].read(RUNG, 4), 0);
    // Another end's ringing is another reason.
    ends[2].write(RING, 4, 0b011);
    assert_eq!(counter.counts(), [1, 2, 0]);
    assert_eq!(ends[1].read(RUNG, 4), 0b101);
    ends[1].write(RUNG, 4, 0b001);
    assert_eq!(ends[1].read(RUNG, 4), 0b100);
    ends[0].write(RING, 4, 0b010);
    ends[2].write(RING, 4, 0b010);
    assert_eq!(counter.counts(), [1, 3, 0]);
}

#[test]
fn ends_that_are_not_there_and_itself_are_not_rung() {
    let (mut ends, counter) = channel(2);
    ends[0].write(RING, 4, 0xffff_ff01);
    ends[0].write(RING, 2, 0b10);
    ends[0].write(RING, 4, 0xffff_ff00);
    assert_eq!(counter.counts(), [0, 0, 0]);
    ends[0].write(RING, 4, 0xffff_ffff);
    assert_eq!(counter.counts(), [0, 1, 0]);
}

#[test]
fn reset_and_restore_concern_one_end() {
    let (mut ends, counter) = channel(3);
    ends[0].write(RING, 4, 0b110);
    let saved = ends[1].save();
    ends[1].reset();
    assert_eq!((ends[1].save().rung, ends[2].save().rung), (0, 1));
    ends[1].restore(&saved);
    assert_eq!(ends[1].save(), saved);
    ends[1].restore(&ChannelState { rung: 0xff });
    assert_eq!(ends[1].save().rung, 0b101);
    assert_eq!(counter.counts(), [0, 1, 1]);
}

proptest! {
    #[test]
    fn no_access_rings_more_often_than_it_is_acknowledged(
        accesses in prop::collection::vec((any::<bool>(), access(0x24)), 0..200)
    ) {
        let (mut ends, counter) = channel(2);
        let mut acknowledged = 0;
        for (second, access) in accesses {
            if second && access.write && access.offset == RUNG {
                acknowledged += 1;
            }
            access.apply(&mut ends[usize::from(second)]);
        }
        prop_assert!(counter.counts()[1] <= acknowledged + 1);
    }
}
