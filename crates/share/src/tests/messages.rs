//! Messages that are not as they should be.

use super::*;
use crate::wire::{MAX_IO, Operation, Request};

#[test]
fn nothing_works_before_the_beginning() {
    let mut guest = Guest::new();
    guest.ask(38, 0, &[]).unwrap();
    assert_eq!(guest.stat(ROOT), Err(Errno::IO));
    assert_eq!(guest.walk("a"), Err(Errno::IO));
    for version in [pair(6, 38), pair(8, 0), pair(7, 30)] {
        let body = words(&[version, 0]);
        assert_eq!(guest.ask(26, 0, &body), Err(Errno::PROTO));
    }
    guest.start();
    assert!(guest.stat(ROOT).is_ok());
}

#[test]
fn only_what_both_have_is_agreed_on() {
    let mut guest = Guest::new();
    let reply = guest
        .ask(26, 0, &words(&[pair(7, 31), pair(4096, 1 << 3 | 1 << 30)]))
        .unwrap();
    assert_eq!((u32_at(&reply, 4), u32_at(&reply, 8)), (31, 4096));
    assert_eq!(u32_at(&reply, 12), 1 << 3);
    assert_eq!(u32_at(&reply, 20) as usize, MAX_IO);
}

#[test]
fn every_message_may_end_anywhere() {
    let mut guest = Guest::new();
    for opcode in 0..64 {
        // Neither a beginning nor an end, and no lists of what was forgotten.
        if matches!(opcode, 2 | 26 | 36 | 38 | 42) {
            continue;
        }
        for len in 0..120 {
            let before = guest.server.node_count();
            // Node 999 does not exist, nor does anything with such a handle.
            let answer = guest.ask(opcode, 999, &vec![0xff; len]);
            assert!(
                answer.is_err() || matches!(opcode, 17 | 18 | 29),
                "{opcode} {len}"
            );
            assert_eq!(guest.server.node_count(), before);
        }
    }
    let mut reply = vec![1];
    for len in 0..IN_HEADER {
        reply.push(1);
        guest.server.serve(&vec![0xff; len], ROOM, &mut reply);
        assert!(reply.is_empty());
    }
}

#[test]
fn the_length_must_be_right() {
    let mut guest = Guest::new();
    let mut lookup = message(1, 7, ROOT, b"a\0");
    lookup.push(0);
    let mut reply = Vec::new();
    guest.server.serve(&lookup, ROOM, &mut reply);
    assert_eq!(u32_at(&reply, 4) as i32, -Errno::INVAL.raw_os_error());
    assert_eq!(u64_at(&reply, 8), 7);
    // Without room for a header there is no reply at all.
    for room in [0, 15, 16] {
        guest.server.serve(&lookup, room, &mut reply);
        assert_eq!(reply.len(), room & 16);
    }
}

#[test]
fn a_reply_that_does_not_fit_is_an_error() {
    let mut guest = Guest::new();
    assert_eq!(
        guest.ask_for(100, 3, ROOT, &words(&[0, 0])),
        Err(Errno::INVAL)
    );
    assert!(guest.ask_for(120, 3, ROOT, &words(&[0, 0])).is_ok());
}

#[test]
fn numbers_that_overflow_are_refused() {
    let decode = |opcode, body: &[u8]| {
        let bytes = message(opcode, 1, 1, body);
        Request::decode(&bytes).unwrap().operation.map(|_| ())
    };
    // More data than a write may have, or than there is.
    let write = |size: u32| [words(&[1, 0, size.into(), 0, 0]), vec![0; 10]].concat();
    assert_eq!(decode(16, &write(10)), Ok(()));
    for size in [11, MAX_IO as u32 + 1, u32::MAX] {
        assert_eq!(decode(16, &write(size)), Err(Errno::INVAL));
    }
    // A list of four thousand million that is not there.
    assert_eq!(decode(42, &words(&[u64::MAX])), Err(Errno::INVAL));
    let bytes = message(16, 1, 1, &write(10));
    let Ok(Operation::Write { data, .. }) = Request::decode(&bytes).unwrap().operation else {
        panic!("a write");
    };
    assert_eq!(data.len(), 10);
}
