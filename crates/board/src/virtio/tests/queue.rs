//! Interrupt and notification suppression.

use super::*;

const READ: ([u8; 16], [u32; 2]) = ([0; 16], [512, 1]);

fn read(driver: &mut Driver<Block<Disk>>) {
    driver.request(0, &[&READ.0], &READ.1);
}

#[test]
fn driver_can_turn_interrupts_off() {
    for version in BOTH {
        let mut driver = Driver::start(version, disk(), F_INDIRECT_DESC);
        let avail = driver.rings[0].avail;
        driver.ram.set_u16(avail, AVAIL_NO_INTERRUPT);
        read(&mut driver);
        assert!(!driver.line.high());
        driver.ram.set_u16(avail, 0);
        read(&mut driver);
        assert!(driver.line.high());
    }
}

#[test]
fn one_interrupt_for_what_one_notification_brought() {
    let mut driver = Driver::start(Version::Modern, disk(), 0);
    for _ in 0..5 {
        driver.post(0, &[&READ.0], &READ.1);
    }
    driver.notify(0);
    assert_eq!(driver.line.edges(), 1);
    let heads: Vec<_> = core::iter::from_fn(|| driver.take(0)).collect();
    assert_eq!(heads, [(0, 513), (3, 513), (6, 513), (9, 513), (12, 513)]);
}

#[test]
fn event_index_says_when_to_interrupt() {
    for version in BOTH {
        let mut driver = Driver::start(version, disk(), F_EVENT_IDX);
        let ring = driver.rings[0];
        let used_event = ring.avail + 4 + 2 * u64::from(ring.size);
        let interrupted = |driver: &mut Driver<_>| driver.acknowledge() == INT_USED;
        // As though interrupts were off: the flag has no meaning now.
        driver.ram.set_u16(ring.avail, AVAIL_NO_INTERRUPT);
        read(&mut driver);
        assert!(interrupted(&mut driver), "entry 0 was asked for");
        driver.ram.set_u16(used_event, 3);
        read(&mut driver);
        read(&mut driver);
        assert!(!interrupted(&mut driver));
        read(&mut driver);
        assert!(interrupted(&mut driver), "entry 3 was used");
        read(&mut driver);
        assert!(!interrupted(&mut driver));
        driver.ram.set_u16(used_event, 6);
        for _ in 0..4 {
            driver.post(0, &[&READ.0], &READ.1);
        }
        driver.notify(0);
        assert!(interrupted(&mut driver), "entry 6 was among those used");
    }
}

#[test]
fn event_index_wraps_around() {
    let mut driver = Driver::start(Version::Modern, disk(), F_EVENT_IDX);
    let ring = driver.rings[0];
    let used_event = ring.avail + 4 + 2 * u64::from(ring.size);
    driver.ram.set_u16(used_event, 0xffff);
    read(&mut driver);
    driver.acknowledge();
    for i in 1..=0x1_0000u32 {
        read(&mut driver);
        assert_eq!(driver.acknowledge() == INT_USED, i == 0xffff, "entry {i}");
    }
}

#[test]
fn device_asks_for_the_next_notification() {
    let mut driver = Driver::start(Version::Modern, disk(), F_EVENT_IDX);
    let ring = driver.rings[0];
    let avail_event = ring.used + 4 + 8 * u64::from(ring.size);
    for count in 1..40 {
        read(&mut driver);
        assert_eq!(driver.ram.u16(avail_event), count);
    }
}
