use super::spec::*;
use super::*;
use crate::test_support::{Line, TestClock};
use proptest::prelude::*;

type Rtc = Pl031<Line, TestClock>;

fn rtc(seconds: u64) -> (Rtc, Line, TestClock) {
    let (line, clock) = (Line::default(), TestClock::default());
    clock.set(seconds);
    (Pl031::new(line.clone(), clock.clone()), line, clock)
}

fn read(rtc: &mut Rtc, register: u32) -> u32 {
    rtc.read(u64::from(register), 4) as u32
}

fn write(rtc: &mut Rtc, register: u32, value: u32) {
    rtc.write(u64::from(register), 4, u64::from(value));
}

#[test]
fn tells_the_time_of_day() {
    let (mut rtc, line, clock) = rtc(1_700_000_000);
    assert_eq!(read(&mut rtc, DR), 1_700_000_000);
    clock.set(1_700_000_005);
    assert_eq!(read(&mut rtc, DR), 1_700_000_005);
    assert_eq!(read(&mut rtc, CR), 1);
    assert_eq!(read(&mut rtc, 0xfe0), 0x31);
    assert_eq!(read(&mut rtc, RIS), 0);
    assert!(!line.level());
}

#[test]
fn can_be_set() {
    let (mut rtc, _, clock) = rtc(1000);
    write(&mut rtc, LR, 10);
    clock.set(1007);
    assert_eq!(read(&mut rtc, DR), 17);
    assert_eq!(read(&mut rtc, LR), 10);
    rtc.reset();
    assert_eq!(read(&mut rtc, DR), 1007);
}

#[test]
fn alarm_raises_the_line_once() {
    let (mut rtc, line, clock) = rtc(1000);
    write(&mut rtc, MR, 1010);
    assert_eq!(rtc.seconds_to_match(), None, "masked");
    write(&mut rtc, IMSC, 1);
    assert_eq!(rtc.seconds_to_match(), Some(10));
    clock.set(1009);
    rtc.poll();
    assert!(!line.level());
    clock.set(1012);
    rtc.poll();
    assert!(line.level());
    assert_eq!(read(&mut rtc, MIS), 1);
    write(&mut rtc, ICR, 1);
    assert!(!line.level());
    rtc.poll();
    assert!(!line.level());
}

#[test]
fn a_match_with_the_present_is_immediate() {
    let (mut rtc, line, _) = rtc(1000);
    write(&mut rtc, IMSC, 1);
    write(&mut rtc, MR, 1000);
    assert!(line.level());
}

#[test]
fn a_clock_set_back_raises_no_alarm() {
    let (mut rtc, line, clock) = rtc(1000);
    write(&mut rtc, IMSC, 1);
    write(&mut rtc, MR, 1010);
    clock.set(500);
    rtc.poll();
    assert!(!line.level());
    assert_eq!(rtc.seconds_to_match(), Some(510));
}

#[test]
fn an_alarm_that_fell_due_while_saved_is_raised() {
    let (mut first, _, clock) = rtc(1000);
    write(&mut first, IMSC, 1);
    write(&mut first, MR, 1010);
    let saved = first.save();
    clock.set(2000);
    let (mut second, line, clock) = rtc(0);
    clock.set(2000);
    second.restore(&saved);
    assert!(line.level());
    assert_eq!(read(&mut second, DR), 2000);
}

proptest! {
    #[test]
    fn survives_any_access_and_roundtrips(
        start in any::<u64>(), ops in crate::test_support::accesses(0x1100),
    ) {
        let (mut rtc, line, clock) = rtc(start);
        for op in &ops {
            op.apply(&mut rtc);
            clock.set(start.wrapping_add(op.value >> 40));
            rtc.poll();
            prop_assert_eq!(line.level(), read(&mut rtc, MIS) != 0);
        }
        let saved = rtc.save();
        let other_line = Line::default();
        let mut other = Pl031::new(other_line.clone(), clock.clone());
        other.restore(&saved);
        prop_assert_eq!(other.save(), saved);
        prop_assert_eq!(other_line.level(), line.level());
        rtc.reset();
        prop_assert_eq!(read(&mut rtc, MIS), 0);
    }
}
