//! Devices that go on elsewhere.

use super::*;
use crate::pl011::ConsoleOut;
use crate::virtio::QueueError;
use crate::virtio::balloon::Balloon;
use crate::virtio::console::{Console, F_SIZE, RECEIVE};
use crate::virtio::rng::Rng;

/// Has a driver go on with another device: its state, and its memory.
fn move_to<D: VirtioDevice>(driver: &mut Driver<D>, device: D) {
    let saved = driver.transport.save();
    let line = Line::default();
    let mut moved = Transport::new(driver.version, device, driver.ram.clone(), line.clone());
    moved.restore(&saved);
    assert_eq!(moved.save(), saved);
    assert_eq!(line.high(), driver.line.high());
    (driver.transport, driver.line) = (moved, line);
}

/// A read of sector 0.
const READ: ([u8; 16], [u32; 2]) = ([0; 16], [512, 1]);

#[test]
fn a_disk_goes_on_where_it_was() {
    for version in BOTH {
        let mut driver = Driver::start(version, disk(), u64::MAX);
        driver.request(0, &[&READ.0], &READ.1);
        assert!(driver.line.high());
        // Made available before, served after.
        let posted = driver.post(0, &[&READ.0], &READ.1);
        move_to(&mut driver, disk());
        assert_eq!(driver.acknowledge(), INT_USED);
        driver.notify(0);
        assert_eq!(driver.take(0), Some((posted.head, 513)));
        assert_eq!(driver.contents(&posted)[..512], [1; 512]);
    }
}

#[test]
fn a_disk_of_another_size_is_announced() {
    for version in BOTH {
        let mut driver = Driver::start(version, disk(), 0);
        let saved = driver.transport.save();
        let mut larger = disk();
        larger.backend_mut().bytes.extend([0; 512]);
        let line = Line::default();
        let mut moved = Transport::new(version, larger, driver.ram.clone(), line.clone());
        moved.restore(&saved);
        assert!(line.high());
        (driver.transport, driver.line) = (moved, line);
        assert_eq!(driver.get(CONFIG), 9);
        assert_eq!(driver.acknowledge(), INT_CONFIG);
        assert_eq!(driver.transport.save().generation, saved.generation + 1);
    }
}

#[test]
fn an_entropy_source_goes_on() {
    for version in BOTH {
        let source = |value| Rng::new(move |buf: &mut [u8]| buf.fill(value));
        let mut driver = Driver::start(version, source(1), 0);
        assert_eq!(driver.request(0, &[], &[4]), (4, vec![1; 4]));
        move_to(&mut driver, source(1));
        assert_eq!(driver.request(0, &[], &[4]), (4, vec![1; 4]));
    }
}

#[test]
fn a_balloon_keeps_its_size() {
    for version in BOTH {
        let mut driver = Driver::start(version, Balloon::new(NoReclaim), 0);
        driver
            .transport
            .with_device(|balloon, queues| balloon.set_target(9, queues));
        driver.transport.write(CONFIG + 4, 4, 5);
        move_to(&mut driver, Balloon::new(NoReclaim));
        assert_eq!((driver.get(CONFIG), driver.get(CONFIG + 4)), (9, 5));
    }
}

struct Nowhere;

impl ConsoleOut for Nowhere {
    fn put(&mut self, _byte: u8) {}
}

#[test]
fn a_console_keeps_input_and_size() {
    for version in BOTH {
        let device = Console::new(Nowhere, Some((80, 25)));
        let mut driver = Driver::start(version, device, F_SIZE);
        driver.transport.receive(b"typed");
        move_to(&mut driver, Console::new(Nowhere, None));
        assert_eq!(driver.get(CONFIG), 25 << 16 | 80);
        let (written, data) = driver.request(RECEIVE, &[], &[16]);
        assert_eq!((written, &data[..5]), (5, &b"typed"[..]));
    }
}

#[test]
fn a_state_that_can_not_be_asks_for_a_reset() {
    for version in BOTH {
        let mut driver = Driver::start(version, disk(), 0);
        let mut saved = driver.transport.save();
        saved.queues[0].size = 3;
        driver.transport.restore(&saved);
        assert_eq!(driver.transport.error(), Some(QueueError::Layout));
        assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
        // More queues than the device has, or fewer.
        saved.queues = vec![saved.queues[0]; 3];
        driver.transport.restore(&saved);
        assert_eq!(driver.transport.save().queues.len(), 1);
        saved.queues.clear();
        driver.transport.restore(&saved);
        assert!(!driver.transport.save().queues[0].ready);
    }
}
