//! The file system device: requests are handed off, and come back with a reply.

use super::*;
use crate::virtio::QueueError;
use crate::virtio::fs::spec::{HIPRIO, REQUEST};
use crate::virtio::fs::{Fs, FsServer, Request};

/// Keeps requests until the test has them served.
#[derive(Default)]
struct Later {
    kept: Vec<Request>,
    stopped: Vec<usize>,
    /// Takes no more requests.
    full: bool,
}

impl FsServer for Later {
    fn hand_off(&mut self, request: Request) -> Option<Request> {
        if self.full {
            return Some(request);
        }
        self.kept.push(request);
        None
    }

    fn stopped(&mut self, queue: usize) {
        self.stopped.push(queue);
    }
}

type Files = Driver<Fs<Later>>;

fn start(version: Version) -> Files {
    Driver::start(version, Fs::new("files", Later::default()), u64::MAX)
}

/// The first request that is kept.
fn first(driver: &mut Files) -> Request {
    driver
        .transport
        .with_device(|fs, _| fs.server_mut().kept.remove(0))
}

fn finish(driver: &mut Files, request: Request) {
    driver
        .transport
        .serve(|_, queues| request.finish(queues, Ok(())));
}

#[test]
fn the_tag_and_the_number_of_queues_are_told() {
    for version in BOTH {
        let long = "a-tag-of-more-than-thirty-six-characters";
        let mut driver = Driver::cold(version, Fs::new(long, Later::default()));
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
fn a_request_is_handed_off_and_comes_back() {
    for version in BOTH {
        let mut driver = start(version);
        let posted = driver.post(REQUEST, &[b"ask", b"ing"], &[4, 100]);
        let forget = driver.post(HIPRIO, &[b"forget"], &[]);
        driver.notify(REQUEST);
        driver.notify(HIPRIO);
        assert_eq!(driver.take(REQUEST), None);
        assert_eq!(driver.line.edges(), 0);
        let mut request = first(&mut driver);
        let mut message = Vec::new();
        request.message(&*driver.ram, 5, &mut message).unwrap();
        assert_eq!((request.queue(), &message[..]), (REQUEST, &b"askin"[..]));
        assert_eq!(request.room(), 104);
        request.reply(&*driver.ram, b"answer").unwrap();
        finish(&mut driver, request);
        assert_eq!(driver.take(REQUEST), Some((posted.head, 6)));
        assert_eq!(driver.contents(&posted)[..6], *b"answer");
        assert_eq!(driver.line.edges(), 1);
        let request = first(&mut driver);
        assert_eq!((request.queue(), request.room()), (HIPRIO, 0));
        finish(&mut driver, request);
        assert_eq!(driver.take(HIPRIO), Some((forget.head, 0)));
    }
}

#[test]
fn a_request_that_nobody_takes_comes_back_empty() {
    let mut driver = start(Version::Modern);
    driver
        .transport
        .with_device(|fs, _| fs.server_mut().full = true);
    let posted = driver.post(REQUEST, &[b"ask"], &[100]);
    driver.notify(REQUEST);
    assert_eq!(driver.take(REQUEST), Some((posted.head, 0)));
}

#[test]
fn a_reset_makes_what_is_under_way_void() {
    let mut driver = start(Version::Modern);
    driver.post(REQUEST, &[b"ask"], &[100]);
    driver.notify(REQUEST);
    let request = first(&mut driver);
    let session = request.session();
    driver
        .transport
        .with_device(|fs, _| fs.server_mut().stopped.clear());
    driver.set(STATUS, 0);
    let stopped = driver
        .transport
        .with_device(|fs, _| fs.server_mut().stopped.clone());
    assert_eq!(stopped, [HIPRIO, REQUEST]);
    let before = driver.ram.bytes(BASE, RAM_SIZE as usize);
    driver.transport.with_device(|_, queues| {
        assert!(!request.is_owned(queues));
    });
    finish(&mut driver, request);
    assert!(driver.ram.bytes(BASE, RAM_SIZE as usize) == before);
    assert_eq!(driver.line.edges(), 0);
    // What comes next is of another session, and so it is after a state was taken over.
    let mut other = start(Version::Modern);
    other.post(REQUEST, &[b"ask"], &[100]);
    other.notify(REQUEST);
    assert_eq!(first(&mut other).session(), session);
    let state = other.transport.save();
    other.transport.restore(&state);
    other.post(REQUEST, &[b"ask"], &[100]);
    other.notify(REQUEST);
    assert_ne!(first(&mut other).session(), session);
}

#[test]
fn a_reply_that_is_too_long_breaks_the_queue() {
    let mut driver = start(Version::Modern);
    driver.post(REQUEST, &[b"ask"], &[4]);
    driver.notify(REQUEST);
    let mut request = first(&mut driver);
    let result = request.reply(&*driver.ram, b"answer");
    assert_eq!(result, Err(QueueError::TooShort));
    driver.transport.serve(|_, _| result);
    assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
}
