//! The network card: frames in both directions, in both versions.

use super::*;
use crate::virtio::QueueError;
use crate::virtio::net::spec::*;
use crate::virtio::net::{Given, MAX_FRAME, Net, NetBackend, NetState, Offload, Segments};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// Counts what it is told.
#[derive(Default)]
struct Counter {
    notified: usize,
    resets: usize,
}

impl NetBackend for Counter {
    fn notified(&mut self) {
        self.notified += 1;
    }

    fn reset(&mut self) {
        self.resets += 1;
    }
}

fn start(version: Version, wanted: u64) -> Driver<Net<Counter>> {
    Driver::start(version, Net::new(Counter::default(), MAC), wanted)
}

/// A driver's header.
fn sent(flags: u8, gso: u8, size: u16, start: u16, offset: u16) -> Vec<u8> {
    let mut header = vec![flags, gso, 54, 0];
    for word in [size, start, offset, 0] {
        header.extend(word.to_le_bytes());
    }
    header
}

/// What the backend sees of a frame with this header.
fn seen(driver: &mut Driver<Net<Counter>>, header: &[u8], frame: &[u8]) -> (Offload, Vec<u8>) {
    let posted = driver.post(TRANSMIT, &[header, frame], &[]);
    driver.notify(TRANSMIT);
    let mut taken = vec![0xee; 5];
    let offload = driver.transport.take_frame(&mut taken).expect("a frame");
    assert_eq!(driver.take(TRANSMIT), Some((posted.head, 0)));
    (offload, taken)
}

#[test]
fn frames_are_sent() {
    for (version, features, header) in [
        (Version::Modern, u64::MAX, HEADER),
        (Version::Modern, 0, HEADER),
        (Version::Legacy, u64::MAX, HEADER),
        (Version::Legacy, 0, HEADER_SHORT),
    ] {
        let mut driver = start(version, features);
        assert_eq!(driver.transport.take_frame(&mut Vec::new()), None);
        let frame: Vec<u8> = (0..100).collect();
        let got = seen(&mut driver, &vec![0; header], &frame);
        assert_eq!(got, (Offload::default(), frame));
        assert!(driver.transport.device().backend().notified > 0);
        assert_eq!(driver.transport.take_frame(&mut Vec::new()), None);
    }
}

#[test]
fn checksums_and_segments_are_passed_on() {
    let mut driver = start(Version::Modern, u64::MAX);
    let frame = [7; 200];
    let (offload, taken) = seen(
        &mut driver,
        &sent(HDR_NEEDS_CSUM, GSO_NONE, 0, 34, 16),
        &frame,
    );
    assert_eq!((offload.checksum, offload.segments), (Some((34, 50)), None));
    assert_eq!(taken, frame);
    for (gso, ipv6) in [
        (GSO_TCPV4, false),
        (GSO_TCPV6, true),
        (GSO_TCPV4 | GSO_ECN, false),
    ] {
        let header = sent(HDR_NEEDS_CSUM, gso, 1460, 34, 16);
        let (offload, taken) = seen(&mut driver, &header, &frame);
        assert_eq!(offload.segments, Some(Segments { ipv6, size: 1460 }));
        assert_eq!(taken, frame);
    }
}

#[test]
fn headers_without_sense_lose_their_frame() {
    let mut driver = start(Version::Modern, u64::MAX);
    let lost = |driver: &mut _, header: Vec<u8>| {
        let (offload, frame) = seen(driver, &header, &[7; 200]);
        assert_eq!(
            (offload, frame.len()),
            (Offload::default(), 0),
            "{header:?}"
        );
    };
    for header in [
        sent(HDR_NEEDS_CSUM, GSO_NONE, 0, 199, 0),
        sent(HDR_NEEDS_CSUM, GSO_NONE, 0, 201, 0),
        sent(HDR_NEEDS_CSUM, GSO_NONE, 0, 0xffff, 0xffff),
        sent(HDR_NEEDS_CSUM, GSO_TCPV4, 0, 34, 16),
        sent(0, GSO_TCPV4, 1460, 34, 16),
        sent(HDR_NEEDS_CSUM, 3, 1460, 34, 16),
        sent(HDR_NEEDS_CSUM, 0x7f, 1460, 34, 16),
    ] {
        lost(&mut driver, header);
    }
    let mut plain = start(Version::Modern, 0);
    lost(&mut plain, sent(HDR_NEEDS_CSUM, GSO_NONE, 0, 34, 16));
    lost(&mut plain, sent(0, GSO_TCPV4, 1460, 34, 16));
    // The next one is as good as ever.
    assert_eq!(seen(&mut plain, &[0; HEADER], &[1; 60]).1, [1; 60]);
}

#[test]
fn frames_have_a_longest() {
    let mut driver = start(Version::Modern, u64::MAX);
    let frame = vec![3; MAX_FRAME + 1];
    assert_eq!(seen(&mut driver, &[0; HEADER], &frame).1.len(), 0);
    assert_eq!(
        seen(&mut driver, &[0; HEADER], &frame[1..]).1,
        frame[1..],
        "one byte less"
    );
}

#[test]
fn a_request_without_a_header_breaks_the_queue() {
    let mut driver = start(Version::Modern, u64::MAX);
    driver.post(TRANSMIT, &[&[0; HEADER - 1]], &[]);
    assert_eq!(driver.transport.take_frame(&mut Vec::new()), None);
    assert_eq!(driver.transport.error(), Some(QueueError::TooShort));

    let mut driver = start(Version::Modern, u64::MAX);
    driver.post(RECEIVE, &[], &[HEADER as u32 - 1]);
    let given = driver
        .transport
        .give_frame(&Offload::default(), 0, &[&[1; 60]]);
    assert_eq!(given, Given::Done);
    assert_eq!(driver.transport.error(), Some(QueueError::TooShort));
}

#[test]
fn frames_are_received() {
    for version in BOTH {
        let mut driver = start(version, u64::MAX);
        let posted = driver.post(RECEIVE, &[], &[HEADER as u32 + 10, 100]);
        let offload = Offload {
            checksum: Some((34, 50)),
            segments: Some(Segments {
                ipv6: true,
                size: 1440,
            }),
        };
        let given = driver
            .transport
            .give_frame(&offload, 74, &[b"head", b"", b"and the rest"]);
        assert_eq!(given, Given::Done);
        assert!(driver.line.high());
        assert_eq!(
            driver.take(RECEIVE),
            Some((posted.head, HEADER as u32 + 16))
        );
        let contents = driver.contents(&posted);
        let header = [1, GSO_TCPV6, 74, 0, 0xa0, 5, 34, 0, 16, 0, 1, 0];
        assert_eq!(contents[..HEADER], header);
        assert_eq!(contents[HEADER..][..16], *b"headand the rest");
    }
}

#[test]
fn legacy_drivers_get_a_short_header() {
    let mut driver = start(Version::Legacy, 0);
    let posted = driver.post(RECEIVE, &[], &[HEADER_SHORT as u32, 100]);
    driver
        .transport
        .give_frame(&Offload::default(), 0, &[b"frame"]);
    assert_eq!(driver.take(RECEIVE), Some((posted.head, 15)));
    assert_eq!(
        driver.contents(&posted)[..15],
        *b"\0\0\0\0\0\0\0\0\0\0frame"
    );
}

#[test]
fn a_frame_can_fill_several_buffers() {
    for indirect in [false, true] {
        let mut driver = start(Version::Modern, u64::MAX);
        driver.indirect = indirect;
        let frame: Vec<u8> = (0..150).collect();
        let posted = [64, 64, 64].map(|len| driver.post(RECEIVE, &[], &[len]));
        let give = |driver: &mut Driver<_>| {
            let parts = [&frame[..60], &frame[60..]];
            driver.transport.give_frame(&Offload::default(), 0, &parts)
        };
        assert_eq!(give(&mut driver), Given::Done);
        let mut contents: Vec<u8> = Vec::new();
        for (posted, written) in posted.iter().zip([64, 64, 34]) {
            assert_eq!(driver.take(RECEIVE), Some((posted.head, written)));
            contents.extend(&driver.contents(posted)[..written as usize]);
        }
        assert_eq!(contents[10..12], [3, 0]);
        assert_eq!(contents[12..], frame);
        // With one buffer less there is no room, and nothing is lost of those there are.
        let posted = [64, 64].map(|len| driver.post(RECEIVE, &[], &[len]));
        assert_eq!(give(&mut driver), Given::Full);
        assert_eq!(give(&mut driver), Given::Full);
        assert_eq!(driver.take(RECEIVE), None);
        driver.post(RECEIVE, &[], &[64]);
        assert_eq!(give(&mut driver), Given::Done);
        assert_eq!(driver.take(RECEIVE), Some((posted[0].head, 64)));
    }
}

#[test]
fn a_driver_that_merges_nothing_misses_what_does_not_fit() {
    let mut driver = start(Version::Modern, !F_MRG_RXBUF);
    let posted = driver.post(RECEIVE, &[], &[64]);
    let give = |driver: &mut Driver<_>, len| {
        let frame = vec![9; len];
        driver
            .transport
            .give_frame(&Offload::default(), 0, &[&frame])
    };
    assert_eq!(give(&mut driver, 53), Given::Done);
    assert_eq!(driver.take(RECEIVE), None);
    assert_eq!(give(&mut driver, 52), Given::Done);
    assert_eq!(driver.take(RECEIVE), Some((posted.head, 64)));
    assert_eq!(give(&mut driver, 52), Given::Full);
}

#[test]
fn a_guest_without_buffers_is_full_until_it_notifies() {
    for wanted in [u64::MAX, !F_EVENT_IDX] {
        let mut driver = start(Version::Modern, wanted);
        let give = |driver: &mut Driver<_>| {
            driver
                .transport
                .give_frame(&Offload::default(), 0, &[&[1; 60]])
        };
        assert_eq!(give(&mut driver), Given::Full);
        let before = driver.transport.device().backend().notified;
        driver.post(RECEIVE, &[], &[100]);
        driver.notify(RECEIVE);
        assert_eq!(driver.transport.device().backend().notified, before + 1);
        assert_eq!(give(&mut driver), Given::Done);
    }
}

#[test]
fn a_card_without_a_driver_moves_nothing() {
    let mut driver = Driver::cold(Version::Modern, Net::new(Counter::default(), MAC));
    let given = driver.transport.give_frame(&Offload::default(), 0, &[b"x"]);
    assert_eq!(given, Given::Full);
    assert_eq!(driver.transport.take_frame(&mut Vec::new()), None);
    assert_eq!(driver.transport.frame_features(), None);
    let mut driver = start(Version::Modern, F_CSUM);
    assert_eq!(
        driver.transport.frame_features(),
        Some(F_CSUM | F_VERSION_1)
    );
    let resets = driver.transport.device().backend().resets;
    driver.set(STATUS, 0);
    assert_eq!(driver.transport.device().backend().resets, resets + 1);
    assert_eq!(driver.transport.frame_features(), None);
}

#[test]
fn the_configuration_has_the_address() {
    for version in BOTH {
        let mut driver = Driver::cold(version, Net::new(Counter::default(), MAC));
        assert_eq!(driver.get(DEVICE_ID), ID_NET);
        for (offset, byte) in (0..).zip(MAC) {
            assert_eq!(driver.transport.read(CONFIG + offset, 1), u64::from(byte));
        }
        assert_eq!(driver.transport.read(CONFIG + 6, 2), u64::from(S_LINK_UP));
        assert_eq!(driver.get(CONFIG + 8), 0);
        let offered = driver.offered();
        let expected = F_MAC | F_STATUS | F_MRG_RXBUF | F_HOST_TSO4 | F_GUEST_TSO6;
        assert_eq!(offered & expected, expected);
    }
}

#[test]
fn the_address_is_saved() {
    let mut driver = start(Version::Modern, u64::MAX);
    let mut saved = driver.transport.save();
    assert_eq!(saved.device, NetState { mac: MAC });
    driver.transport.restore(&saved);
    assert_eq!(driver.acknowledge() & INT_CONFIG, 0);
    saved.device.mac = [2; 6];
    driver.transport.restore(&saved);
    assert_eq!(driver.acknowledge() & INT_CONFIG, INT_CONFIG);
    assert_eq!(driver.transport.read(CONFIG, 1), 2);
}

#[test]
fn a_frame_may_wait_for_buffers_as_often_as_it_likes() {
    let mut driver = start(Version::Modern, u64::MAX);
    driver.post(RECEIVE, &[], &[100]);
    let give = |driver: &mut Driver<_>| {
        let transport = &mut driver.transport;
        transport.give_frame(&Offload::default(), 0, &[&[7; 150]])
    };
    for _ in 0..1000 {
        assert_eq!(give(&mut driver), Given::Full);
    }
    driver.post(RECEIVE, &[], &[100]);
    assert_eq!(give(&mut driver), Given::Done);
    assert_eq!(driver.transport.error(), None);
}
