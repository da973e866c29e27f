//! The socket device: packets in both directions.

use super::*;
use crate::virtio::QueueError;
use crate::virtio::vsock::spec::*;
use crate::virtio::vsock::{Header, MAX_PAYLOAD, Packets, Vsock, VsockBackend, VsockState};

/// Counts what it is told.
#[derive(Default)]
struct Counter {
    notified: usize,
    resets: usize,
}

impl VsockBackend for Counter {
    fn notified(&mut self) {
        self.notified += 1;
    }

    fn reset(&mut self) {
        self.resets += 1;
    }
}

fn start(version: Version) -> (Driver<Vsock<Counter>>, u64) {
    let device = Vsock::new(Counter::default(), 0x1234_5678);
    let mut driver = Driver::start(version, device, u64::MAX);
    let session = driver.transport.vsock_session().expect("it is in use");
    (driver, session)
}

fn header(operation: u16, len: u32) -> Header {
    Header {
        source_cid: 3,
        destination_cid: HOST_CID,
        source_port: 1000,
        destination_port: 5000,
        len,
        kind: TYPE_STREAM,
        operation,
        flags: 0,
        buf_alloc: 0x4_0000,
        fwd_cnt: 77,
    }
}

#[test]
fn headers_are_as_the_standard_has_them() {
    let bytes: Vec<u8> = (0..HEADER as u8).collect();
    let header = Header::parse(bytes.as_slice().try_into().unwrap());
    assert_eq!(header.source_cid, 0x0706_0504_0302_0100);
    assert_eq!(header.destination_cid, 0x0f0e_0d0c_0b0a_0908);
    assert_eq!(
        (header.source_port, header.destination_port, header.len),
        (0x1312_1110, 0x1716_1514, 0x1b1a_1918)
    );
    assert_eq!((header.kind, header.operation), (0x1d1c, 0x1f1e));
    assert_eq!(
        (header.flags, header.buf_alloc, header.fwd_cnt),
        (0x2322_2120, 0x2726_2524, 0x2b2a_2928)
    );
    assert_eq!(header.bytes().as_slice(), bytes);
}

#[test]
fn the_driver_is_told_its_cid() {
    for version in BOTH {
        let (mut driver, _) = start(version);
        assert_eq!(driver.get(DEVICE_ID), 19);
        assert_eq!(
            (driver.get(CONFIG), driver.get(CONFIG + 4)),
            (0x1234_5678, 0)
        );
        assert_eq!(driver.get(CONFIG + 8), 0);
        assert_eq!(driver.offered() & 0xff_ffff, F_STREAM);
    }
}

#[test]
fn packets_are_sent() {
    for version in BOTH {
        let (mut driver, session) = start(version);
        let mut packets = Packets::default();
        driver.transport.take_packets(session, &mut packets);
        assert!(packets.is_empty());
        // The header apart from the payload and together with it; a length that means nothing.
        let first = driver.post(TRANSMIT, &[&header(OP_RW, 5).bytes(), b"hello"], &[]);
        let together = [&header(OP_RW, 2).bytes()[..], b"you!"].concat();
        let second = driver.post(TRANSMIT, &[&together], &[]);
        let third = driver.post(TRANSMIT, &[&header(OP_RST, 9).bytes()], &[]);
        driver.notify(TRANSMIT);
        assert_eq!(driver.transport.device().backend().notified, 4);
        driver.transport.take_packets(session, &mut packets);
        let seen: Vec<_> = packets.iter().collect();
        assert_eq!(
            seen,
            [
                (&header(OP_RW, 5), b"hello".as_slice()),
                (&header(OP_RW, 2), b"yo"),
                (&header(OP_RST, 9), b""),
            ]
        );
        for posted in [first, second, third] {
            assert_eq!(driver.take(TRANSMIT), Some((posted.head, 0)));
        }
        driver.transport.take_packets(session, &mut packets);
        assert!(packets.is_empty());
    }
}

#[test]
fn payload_is_spread_over_the_buffers_that_there_are() {
    for version in BOTH {
        let (mut driver, session) = start(version);
        let to_guest = header(OP_RW, 0);
        let given = driver.transport.give_packets(session, &to_guest, b"abc");
        assert_eq!(given, None);
        let buffers = [44 + 4, 44 + 100].map(|len| driver.post(RECEIVE, &[], &[40, len - 40]));
        let payload: Vec<u8> = (0..120).collect();
        let given = driver.transport.give_packets(session, &to_guest, &payload);
        assert_eq!(given, Some(104));
        let mut at = 0;
        for (posted, len) in buffers.iter().zip([4, 100]) {
            assert_eq!(driver.take(RECEIVE), Some((posted.head, 44 + len as u32)));
            let bytes = driver.contents(posted);
            let (got, data) = bytes.split_at(HEADER);
            assert_eq!(got, header(OP_RW, len as u32).bytes());
            assert_eq!(data[..len], payload[at..at + len]);
            at += len;
        }
        // A packet without payload takes one buffer, which may be as long as a header.
        let posted = driver.post(RECEIVE, &[], &[44]);
        let reset = header(OP_RST, 0);
        assert_eq!(driver.transport.give_packets(session, &reset, b""), Some(0));
        assert_eq!(driver.take(RECEIVE), Some((posted.head, 44)));
        assert_eq!(driver.contents(&posted), reset.bytes());
        assert_eq!(driver.transport.give_packets(session, &reset, b""), None);
    }
}

#[test]
fn a_session_ends_with_a_reset() {
    let (mut driver, session) = start(Version::Modern);
    let resets = driver.transport.device().backend().resets;
    driver.set(STATUS, 0);
    assert_eq!(driver.transport.device().backend().resets, resets + 1);
    assert_eq!(driver.transport.vsock_session(), None);
    driver.negotiate(u64::MAX);
    for queue in 0..3 {
        driver.set_up(queue, 16);
    }
    driver.add_status(STATUS_DRIVER_OK);
    assert!(
        driver
            .transport
            .vsock_session()
            .is_some_and(|now| now != session)
    );
    driver.post(TRANSMIT, &[&header(OP_REQUEST, 0).bytes()], &[]);
    driver.post(RECEIVE, &[], &[100]);
    let mut packets = Packets::default();
    driver.transport.take_packets(session, &mut packets);
    assert!(packets.is_empty());
    let given = driver
        .transport
        .give_packets(session, &header(OP_RW, 0), b"old");
    assert_eq!(given, None);
    let session = driver.transport.vsock_session().expect("it is in use");
    driver.transport.take_packets(session, &mut packets);
    assert!(!packets.is_empty());
}

#[test]
fn a_guest_that_goes_on_elsewhere_is_told_that_its_connections_are_gone() {
    let (mut driver, _) = start(Version::Modern);
    let saved = driver.transport.save();
    assert_eq!(saved.device, VsockState { cid: 0x1234_5678 });
    driver.transport.restore(&saved);
    let session = driver.transport.vsock_session().expect("it is in use");
    driver.acknowledge();
    let posted = driver.post(EVENT, &[], &[4]);
    driver.notify(EVENT);
    assert_eq!(driver.take(EVENT), Some((posted.head, 4)));
    assert_eq!(
        driver.contents(&posted),
        EVENT_TRANSPORT_RESET.to_le_bytes()
    );
    // Once.
    driver.post(EVENT, &[], &[4]);
    driver.notify(EVENT);
    assert_eq!(driver.take(EVENT), None);
    assert_eq!(driver.transport.vsock_session(), Some(session));
}

#[test]
fn packets_that_contradict_themselves_break_the_queue() {
    let cases: [(&[u8], QueueError); 3] = [
        (&header(OP_RW, 0).bytes()[..43], QueueError::TooShort),
        (&header(OP_RW, 1).bytes(), QueueError::TooShort),
        (
            &header(OP_RW, MAX_PAYLOAD as u32 + 1).bytes(),
            QueueError::TooLong,
        ),
    ];
    for (bytes, error) in cases {
        let (mut driver, session) = start(Version::Modern);
        driver.post(TRANSMIT, &[bytes], &[]);
        let mut packets = Packets::default();
        driver.transport.take_packets(session, &mut packets);
        assert!(packets.is_empty());
        assert_eq!(driver.transport.error(), Some(error));
        assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
        assert_eq!(driver.transport.vsock_session(), None);
    }
    for (room, payload) in [(43, b"".as_slice()), (44, b"x")] {
        let (mut driver, session) = start(Version::Modern);
        driver.post(RECEIVE, &[], &[room]);
        let given = driver
            .transport
            .give_packets(session, &header(OP_RW, 0), payload);
        assert_eq!(
            (given, driver.transport.error()),
            (None, Some(QueueError::TooShort))
        );
    }
}
