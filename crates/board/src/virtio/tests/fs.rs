//! The file system device: requests wait until the server takes them.

use super::*;
use crate::virtio::QueueError;
use crate::virtio::fs::spec::{HIPRIO, REQUEST};
use crate::virtio::fs::{Fs, Wake};

/// Counts how often it was woken.
#[derive(Clone, Default)]
struct Bell(Arc<AtomicUsize>);

impl Wake for Bell {
    fn wake(&self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn start(version: Version) -> (Driver<Fs<Bell>>, Bell) {
    let bell = Bell::default();
    (
        Driver::start(version, Fs::new("files", bell.clone()), u64::MAX),
        bell,
    )
}

#[test]
fn the_tag_and_the_number_of_queues_are_told() {
    for version in BOTH {
        let long = "a-tag-of-more-than-thirty-six-characters";
        let mut driver = Driver::cold(version, Fs::new(long, Bell::default()));
        let mut bytes = Vec::new();
        for at in 0..44 {
            bytes.push(driver.transport.read(CONFIG + at, 1) as u8);
        }
        assert_eq!(&bytes[..36], &long.as_bytes()[..36]);
        assert_eq!(&bytes[36..], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(driver.get(DEVICE_ID), 26);
        // Nothing can be written to it.
        driver.transport.write(CONFIG, 4, 0);
        assert_eq!(driver.transport.read(CONFIG, 1), u64::from(b'a'));
    }
}

#[test]
fn a_request_is_taken_and_finished_later() {
    for version in BOTH {
        let (mut driver, bell) = start(version);
        let woken = bell.0.load(SeqCst);
        let posted = driver.post(REQUEST, &[b"ask", b"ing"], &[4, 100]);
        driver.notify(REQUEST);
        assert!(bell.0.load(SeqCst) > woken);
        assert_eq!(driver.take(REQUEST), None);
        let request = driver.transport.take().expect("a request");
        assert!(driver.transport.take().is_none());
        let mut message = Vec::new();
        request.read(&*driver.ram, 5, &mut message).unwrap();
        assert_eq!(message, b"askin");
        assert_eq!(request.room(), 104);
        assert_eq!(driver.line.edges(), 0);
        driver.transport.finish(request, b"answer");
        assert_eq!(driver.take(REQUEST), Some((posted.head, 6)));
        assert_eq!(driver.contents(&posted)[..6], *b"answer");
        assert_eq!(driver.line.edges(), 1);
    }
}

#[test]
fn what_is_forgotten_comes_first() {
    let (mut driver, _) = start(Version::Modern);
    driver.post(REQUEST, &[b"second"], &[16]);
    driver.post(HIPRIO, &[b"first"], &[]);
    let mut message = Vec::new();
    for expected in [&b"first"[..], b"second"] {
        let request = driver.transport.take().expect("a request");
        request.read(&*driver.ram, 100, &mut message).unwrap();
        assert_eq!(message, expected);
        driver.transport.finish(request, b"");
    }
}

#[test]
fn a_reset_makes_what_is_under_way_void() {
    let (mut driver, _) = start(Version::Modern);
    driver.post(REQUEST, &[b"ask"], &[100]);
    let request = driver.transport.take().expect("a request");
    let session = request.session();
    driver.set(STATUS, 0);
    let before = driver.ram.bytes(BASE, RAM_SIZE as usize);
    driver.transport.finish(request, &[0xff; 100]);
    assert!(driver.ram.bytes(BASE, RAM_SIZE as usize) == before);
    assert_eq!(driver.line.edges(), 0);
    // A saved state has none of it either.
    let (mut other, _) = start(Version::Modern);
    other.post(REQUEST, &[b"ask"], &[100]);
    let request = other.transport.take().expect("a request");
    assert_eq!(request.session(), session);
    let state = other.transport.save();
    other.transport.restore(&state);
    let before = other.ram.bytes(BASE, RAM_SIZE as usize);
    other.transport.finish(request, &[0xff; 100]);
    assert!(other.ram.bytes(BASE, RAM_SIZE as usize) == before);
}

#[test]
fn a_broken_request_stops_the_device() {
    let (mut driver, _) = start(Version::Modern);
    driver.post(REQUEST, &[b"ask"], &[4]);
    let request = driver.transport.take().expect("a request");
    // More than there is room for.
    driver.transport.finish(request, b"answer");
    assert_eq!(driver.transport.error(), Some(QueueError::TooShort));
    assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
    assert!(driver.transport.take().is_none());

    let (mut driver, _) = start(Version::Modern);
    driver.transport.refuse(QueueError::Order);
    assert_eq!(driver.transport.error(), Some(QueueError::Order));
}
