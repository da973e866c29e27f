use super::spec::*;
use super::*;
use crate::test_support::{Line, TestClock};
use proptest::prelude::*;

type Watchdog = Sp805<Line, TestClock>;

/// A counter of seconds, so that times here are ticks.
fn watchdog() -> (Watchdog, Line, TestClock) {
    let (line, clock) = (Line::default(), TestClock::default());
    clock.set(100);
    (Sp805::new(line.clone(), clock.clone(), 1), line, clock)
}

fn read(watchdog: &mut Watchdog, register: u32) -> u32 {
    watchdog.read(u64::from(register), 4) as u32
}

fn write(watchdog: &mut Watchdog, register: u32, value: u32) {
    watchdog.write(u64::from(register), 4, u64::from(value));
}

#[test]
fn is_one_and_off_at_first() {
    let (mut watchdog, line, clock) = watchdog();
    let ids: [u32; 4] = core::array::from_fn(|n| read(&mut watchdog, 0xfe0 + 4 * n as u32));
    assert_eq!(ids, [0x05, 0x18, 0x14, 0x00]);
    clock.set(1 << 40);
    assert!(!watchdog.poll() && !line.level());
    assert_eq!(watchdog.ns_to_event(), None);
    assert_eq!(read(&mut watchdog, VALUE), u32::MAX);
    assert_eq!(read(&mut watchdog, LOAD), u32::MAX);
}

#[test]
fn bites_after_two_stages() {
    let (mut watchdog, line, clock) = watchdog();
    write(&mut watchdog, LOAD, 10);
    write(&mut watchdog, CONTROL, INTEN | RESEN);
    assert_eq!(watchdog.ns_to_event(), Some(10_000_000_000));
    clock.set(109);
    assert!(!watchdog.poll() && !line.level());
    assert_eq!(read(&mut watchdog, VALUE), 1);
    clock.set(110);
    assert!(!watchdog.poll());
    assert!(line.level());
    assert_eq!(read(&mut watchdog, MIS), 1);
    assert_eq!(watchdog.ns_to_event(), Some(10_000_000_000));
    clock.set(119);
    assert!(!watchdog.poll());
    clock.set(120);
    assert!(watchdog.poll());
    assert_eq!(watchdog.ns_to_event(), None, "it stays so");
    write(&mut watchdog, INTCLR, 1);
    assert!(watchdog.poll());
    watchdog.reset();
    assert!(!watchdog.poll() && !line.level());
}

#[test]
fn feeding_keeps_it_quiet() {
    let (mut watchdog, line, clock) = watchdog();
    write(&mut watchdog, LOAD, 10);
    write(&mut watchdog, CONTROL, INTEN | RESEN);
    for turn in 1..20 {
        clock.set(100 + turn * 15);
        watchdog.poll();
        assert!(line.level());
        write(&mut watchdog, INTCLR, 0);
        assert!(!watchdog.poll() && !line.level());
        assert_eq!(read(&mut watchdog, VALUE), 10);
    }
    // Disabled, it stops where it is; enabled again, it begins anew.
    clock.set(400);
    write(&mut watchdog, INTCLR, 0);
    clock.set(403);
    write(&mut watchdog, CONTROL, 0);
    clock.set(1000);
    assert!(!watchdog.poll());
    assert_eq!(read(&mut watchdog, VALUE), 7);
    write(&mut watchdog, CONTROL, INTEN);
    assert_eq!(read(&mut watchdog, VALUE), 10);
}

#[test]
fn a_late_look_takes_no_stage_away() {
    let (mut watchdog, line, clock) = watchdog();
    write(&mut watchdog, LOAD, 10);
    write(&mut watchdog, CONTROL, INTEN | RESEN);
    clock.set(1000);
    assert!(!watchdog.poll());
    assert!(line.level());
    clock.set(1009);
    assert!(!watchdog.poll());
    clock.set(1010);
    assert!(watchdog.poll());
}

#[test]
fn without_the_reset_output_it_only_interrupts() {
    let (mut watchdog, line, clock) = watchdog();
    write(&mut watchdog, LOAD, 10);
    write(&mut watchdog, CONTROL, INTEN);
    for turn in 1..5 {
        clock.set(100 + turn * 10);
        assert!(!watchdog.poll());
        assert!(line.level());
    }
}

#[test]
fn a_lock_protects_the_registers() {
    let (mut watchdog, _, _) = watchdog();
    write(&mut watchdog, LOCK, 0);
    assert_eq!(read(&mut watchdog, LOCK), 1);
    write(&mut watchdog, LOAD, 10);
    write(&mut watchdog, CONTROL, 3);
    assert_eq!(read(&mut watchdog, LOAD), u32::MAX);
    assert_eq!(read(&mut watchdog, CONTROL), 0);
    write(&mut watchdog, LOCK, UNLOCK);
    assert_eq!(read(&mut watchdog, LOCK), 0);
    write(&mut watchdog, LOAD, 0);
    assert_eq!(read(&mut watchdog, LOAD), 1);
}

#[test]
fn time_does_not_pass_while_it_is_saved() {
    let (mut first, _, clock) = watchdog();
    write(&mut first, LOAD, 10);
    write(&mut first, CONTROL, INTEN | RESEN);
    clock.set(104);
    let saved = first.save();
    assert_eq!(saved.value, 6);
    let (mut second, line, clock) = watchdog();
    second.restore(&saved);
    clock.set(105);
    assert!(!second.poll() && !line.level());
    clock.set(106);
    second.poll();
    assert!(line.level());
}

proptest! {
    #[test]
    fn survives_any_access_and_roundtrips(
        start in any::<u64>(), hz in any::<u32>(), ops in crate::test_support::accesses(0x1100),
    ) {
        let (line, clock) = (Line::default(), TestClock::default());
        clock.set(start);
        let mut watchdog = Sp805::new(line.clone(), clock.clone(), hz);
        for op in &ops {
            op.apply(&mut watchdog);
            clock.set(start.wrapping_add(op.value >> 40));
            watchdog.poll();
            prop_assert_eq!(line.level(), read(&mut watchdog, MIS) != 0);
            prop_assert!(watchdog.ns_to_event() != Some(0) || watchdog.poll());
        }
        let saved = watchdog.save();
        let other_line = Line::default();
        let mut other = Sp805::new(other_line.clone(), clock.clone(), hz);
        other.restore(&saved);
        prop_assert_eq!(other.save(), saved);
        prop_assert_eq!(other_line.level(), line.level());
        watchdog.reset();
        prop_assert!(!watchdog.poll());
    }
}
