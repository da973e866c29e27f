//! The memory balloon: what is given back, and what is told.

use super::*;
use crate::virtio::balloon::{Balloon, MemoryUse, Reclaim, spec};

/// What came back: addresses and lengths.
#[derive(Default)]
struct Back(Vec<(u64, u64)>);

impl Reclaim for Back {
    fn reclaim(&mut self, addr: u64, len: u64) {
        self.0.push((addr, len));
    }
}

const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const STATS: usize = 2;
const REPORTING: usize = 3;

fn start(version: Version, wanted: u64) -> Driver<Balloon<Back>> {
    Driver::start(version, Balloon::new(Back::default()), wanted)
}

fn back(driver: &mut Driver<Balloon<Back>>) -> Vec<(u64, u64)> {
    (driver.transport).with_device(|device, _| core::mem::take(&mut device.pages_mut().0))
}

fn numbers(pages: &[u32]) -> Vec<u8> {
    pages.iter().flat_map(|page| page.to_le_bytes()).collect()
}

#[test]
fn neighbours_in_the_balloon_go_back_together() {
    for version in BOTH {
        let mut driver = start(version, u64::MAX);
        let pages = numbers(&[0x40003, 0x40002, 0x40001, 0x50000, 0x50001, 7]);
        // Of any framing, with a part of a number at the end.
        driver.request(INFLATE, &[&pages[..5], &pages[5..], &[1, 2]], &[]);
        assert_eq!(
            back(&mut driver),
            [
                (0x4000_1000, 0x3000),
                (0x5000_0000, 0x2000),
                (0x7000, 0x1000)
            ]
        );
        driver.request(DEFLATE, &[&pages], &[]);
        driver.request(INFLATE, &[], &[4]);
        assert_eq!(back(&mut driver), []);
    }
}

#[test]
fn a_request_of_any_length_takes_bounded_time() {
    let mut driver = start(Version::Modern, u64::MAX);
    let pages: Vec<u32> = (0..3000).map(|n| 2 * n).collect();
    driver.request(INFLATE, &[&numbers(&pages)], &[]);
    assert_eq!(back(&mut driver).len(), 1024);
}

#[test]
fn free_memory_that_is_reported_goes_back() {
    for version in BOTH {
        let mut driver = start(version, u64::MAX);
        let posted = driver.post(REPORTING, &[], &[4096, 8192]);
        driver.notify(REPORTING);
        let expected: Vec<_> = posted.writable().collect();
        assert_eq!(back(&mut driver), expected);
        assert_eq!(driver.take(REPORTING), Some((posted.head, 0)));
    }
}

#[test]
fn the_target_is_told_and_what_the_driver_made_of_it_is_heard() {
    for version in BOTH {
        let mut driver = start(version, u64::MAX);
        let ask = |driver: &mut Driver<Balloon<Back>>| {
            (driver.transport).with_device(|device, queues| device.set_target(100, queues));
        };
        ask(&mut driver);
        assert_eq!(driver.acknowledge(), INT_CONFIG);
        ask(&mut driver);
        assert_eq!(driver.acknowledge(), 0);
        assert_eq!(driver.get(CONFIG), 100);
        driver.transport.write(CONFIG + 4, 4, 60);
        // The target is the host's.
        driver.transport.write(CONFIG, 4, 7);
        assert_eq!((driver.get(CONFIG), driver.get(CONFIG + 4)), (100, 60));
        assert_eq!(driver.transport.device().actual(), 60);
    }
}

#[test]
fn statistics_are_read_when_somebody_asks() {
    for version in BOTH {
        let mut driver = start(version, u64::MAX);
        let ask = |driver: &mut Driver<Balloon<Back>>| {
            let told = (driver.transport).with_device(|device, queues| device.memory_use(queues));
            told.expect("the queue is good")
        };
        assert_eq!(ask(&mut driver), None);
        let entry = |tag: u16, value: u64| {
            let mut bytes = tag.to_le_bytes().to_vec();
            bytes.extend(value.to_le_bytes());
            bytes
        };
        let told = [
            entry(spec::S_MEMTOT, 500),
            entry(0xffff, 1),
            entry(spec::S_AVAIL, 400),
        ]
        .concat();
        let posted = driver.post(STATS, &[&told, &[5, 0, 9]], &[]);
        driver.notify(STATS);
        assert_eq!(driver.take(STATS), None);
        let expected = MemoryUse {
            total: Some(500),
            available: Some(400),
            ..MemoryUse::default()
        };
        assert_eq!(ask(&mut driver), Some(expected));
        // The driver gets its buffer back, and so knows that it was asked.
        assert_eq!(driver.take(STATS), Some((posted.head, 0)));
        assert_eq!(ask(&mut driver), None);
    }
}

#[test]
fn a_driver_that_tells_nothing_is_not_asked() {
    let mut driver = start(Version::Modern, F_VERSION_1);
    let posted = driver.post(STATS, &[&[0; 10]], &[]);
    let told = driver
        .transport
        .with_device(|device, queues| device.memory_use(queues));
    assert_eq!(told, Ok(None));
    assert_eq!(driver.take(STATS), None);
    drop(posted);
}
