//! Connections as both sides see them: a host and a guest of these tests' own, who do what they are told.

use super::*;
use crate::BUFFER;
use crate::testing::{Asked, Pipe, Program, REFUSED, Shared};
use std::cell::RefCell;
use std::rc::Rc;

/// The guest's driver: what it sends, and what it got.
#[derive(Default)]
struct Driver {
    sends: VecDeque<(Header, Vec<u8>)>,
    got: VecDeque<(Header, Vec<u8>)>,
    /// Buffers that it has, of 4 KiB.
    buffers: usize,
    paused: bool,
}

impl Link for Driver {
    fn session(&mut self) -> Option<u64> {
        Some(1)
    }

    fn take(&mut self, _session: u64, packets: &mut Packets) {
        packets.clear();
        for (header, payload) in self.sends.drain(..) {
            packets.push(&header, &payload);
        }
    }

    fn give(&mut self, _session: u64, header: &Header, payload: &[u8]) -> Option<usize> {
        let mut given = None;
        while self.buffers > 0 && given.is_none_or(|given| given < payload.len()) {
            self.buffers -= 1;
            let at = given.unwrap_or(0);
            let end = payload.len().min(at + 4096);
            let header = Header {
                len: (end - at) as u32,
                ..*header
            };
            self.got.push_back((header, payload[at..end].to_vec()));
            given = Some(end);
        }
        given
    }

    fn paused(&self) -> bool {
        self.paused
    }
}

const CID: u32 = 42;
const PORT: u32 = 1000;
const HOST_PORT: u32 = 5000;

struct Test {
    sockets: Sockets<Asked>,
    driver: Driver,
    now: Duration,
}

impl Test {
    fn new() -> Self {
        let mut sockets = Sockets::new(Asked::default(), CID, 10);
        sockets.set_session(Some(1));
        let driver = Driver {
            buffers: 10_000,
            ..Driver::default()
        };
        let now = Duration::from_secs(1);
        Test {
            sockets,
            driver,
            now,
        }
    }

    /// A packet of the guest's on the connection between [`PORT`] and [`HOST_PORT`].
    fn header(operation: u16) -> Header {
        Header {
            source_cid: CID.into(),
            destination_cid: HOST_CID,
            source_port: PORT,
            destination_port: HOST_PORT,
            len: 0,
            kind: TYPE_STREAM,
            operation,
            flags: 0,
            buf_alloc: 100_000,
            fwd_cnt: 0,
        }
    }

    fn run(&mut self) {
        loop {
            let more = self.sockets.guest(&mut self.driver);
            if !(self.sockets.run(&mut self.driver, self.now) || more) {
                return;
            }
        }
    }

    fn send(&mut self, header: Header) {
        self.driver.sends.push_back((header, Vec::new()));
        self.run();
    }

    fn send_data(&mut self, bytes: &[u8]) {
        let header = Header {
            len: bytes.len() as u32,
            ..Test::header(OP_RW)
        };
        self.driver.sends.push_back((header, bytes.to_vec()));
        self.run();
    }

    /// What the host was asked last: a port, with the connection's number.
    fn asked(&mut self) -> (u32, u64) {
        let asked = &mut self.sockets.host_mut().0;
        asked.pop_back().expect("the host is asked")
    }

    fn shutdown(&mut self, flags: u32) {
        self.send(Header {
            flags,
            ..Test::header(OP_SHUTDOWN)
        });
    }

    /// The operations of the packets that the guest got since the last call.
    fn operations(&mut self) -> Vec<u16> {
        self.driver
            .got
            .drain(..)
            .map(|(header, _)| header.operation)
            .collect()
    }

    /// The data that it got since, without anything else.
    fn data(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (header, payload) in self.driver.got.drain(..) {
            assert_eq!(header.operation, OP_RW);
            assert_eq!(header.len as usize, payload.len());
            bytes.extend(payload);
        }
        bytes
    }

    fn stream(&self) -> (Pipe, Shared) {
        let program = Program {
            takes: usize::MAX,
            ..Program::default()
        };
        let program = Rc::new(RefCell::new(program));
        (Pipe(program.clone()), program)
    }

    /// A connection that the guest asked for, and its number.
    fn opened(&mut self) -> (Shared, u64) {
        self.send(Test::header(OP_REQUEST));
        let (port, id) = self.asked();
        assert_eq!(port, HOST_PORT);
        assert!(self.operations().is_empty(), "nothing is known yet");
        let (pipe, program) = self.stream();
        self.sockets.connected(id, Ok(pipe), self.now);
        self.run();
        assert_eq!(self.operations(), [OP_RESPONSE]);
        (program, id)
    }

    /// The program has done something.
    fn ready(&mut self, id: u64) {
        self.sockets.host_ready(id, self.now);
        self.run();
    }
}

#[test]
fn a_guest_connects_and_bytes_go_both_ways() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    test.send_data(b"question");
    assert_eq!(program.borrow().received, b"question");
    program.borrow_mut().sends.extend(b"answer");
    test.ready(id);
    let (header, payload) = test.driver.got.pop_front().expect("a packet");
    assert_eq!(payload, b"answer");
    let expected = Header {
        source_cid: HOST_CID,
        destination_cid: CID.into(),
        source_port: HOST_PORT,
        destination_port: PORT,
        len: 6,
        kind: TYPE_STREAM,
        operation: OP_RW,
        flags: 0,
        buf_alloc: BUFFER,
        fwd_cnt: 8,
    };
    assert_eq!(header, expected);
}

#[test]
fn nobody_listens() {
    let mut test = Test::new();
    test.send(Test::header(OP_REQUEST));
    let (_, id) = test.asked();
    let refused = Err(ErrorKind::ConnectionRefused.into());
    test.sockets.connected(id, refused, test.now);
    test.run();
    assert_eq!(test.operations(), [OP_RST]);
    assert!(test.sockets.is_empty());
    // The host does not even try.
    test.send(Header {
        destination_port: REFUSED,
        ..Test::header(OP_REQUEST)
    });
    assert_eq!(test.operations(), [OP_RST]);
}

#[test]
fn a_busy_program_is_asked_again_until_it_is_not() {
    let mut test = Test::new();
    test.send(Test::header(OP_REQUEST));
    for _ in 1..ATTEMPTS {
        let (_, id) = test.asked();
        test.sockets
            .connected(id, Err(ErrorKind::WouldBlock.into()), test.now);
        test.run();
        assert!(test.sockets.host_mut().0.is_empty());
        test.now = test.sockets.deadline();
        test.run();
    }
    let (_, id) = test.asked();
    test.sockets
        .connected(id, Err(ErrorKind::WouldBlock.into()), test.now);
    test.run();
    assert_eq!(test.operations(), [OP_RST]);
    assert!(test.sockets.is_empty());
}

/// Section 5.10.6.3: no more is sent than the receiver has room for.
#[test]
fn the_guest_is_sent_no_more_than_it_has_room_for() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    let bytes: Vec<u8> = (0..250_000u32).map(|i| (i >> 4) as u8).collect();
    program.borrow_mut().sends.extend(&bytes);
    test.ready(id);
    // All its room, and a question for more: one.
    let last = test.driver.got.pop_back().expect("packets");
    assert_eq!(last.0.operation, OP_CREDIT_REQUEST);
    let mut got = test.data();
    assert_eq!(got.len(), 100_000);
    test.ready(id);
    assert!(test.operations().is_empty());
    // It took some of it, and some more.
    for (fwd_cnt, room) in [(30_000, 100_000), (100_000, 100_000), (200_000, 100_000)] {
        test.send(Header {
            buf_alloc: room,
            fwd_cnt,
            ..Test::header(OP_CREDIT_UPDATE)
        });
        let last = test.driver.got.pop_back().expect("packets");
        if last.0.operation == OP_RW {
            test.driver.got.push_back(last);
        }
        got.extend(test.data());
        assert_eq!(got.len(), 250_000.min(fwd_cnt as usize + 100_000));
    }
    assert_eq!(got, bytes);
}

#[test]
fn a_guest_whose_buffer_shrinks_is_sent_nothing() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    program.borrow_mut().sends.extend([7; 100_000]);
    test.ready(id);
    test.operations();
    program.borrow_mut().sends.extend([7; 10]);
    for (buf_alloc, fwd_cnt) in [(0, 0), (50_000, 1), (100_000, 0), (u32::MAX, 0x8000_0000)] {
        test.send(Header {
            buf_alloc,
            fwd_cnt,
            ..Test::header(OP_CREDIT_UPDATE)
        });
        let sent = test.operations();
        // In the last case, which makes no sense, there is room.
        let expected: &[u16] = if buf_alloc == u32::MAX { &[OP_RW] } else { &[] };
        assert_eq!(sent, expected, "{buf_alloc} {fwd_cnt:#x}");
    }
}

#[test]
fn the_guest_hears_of_room_in_time_and_when_it_asks() {
    let mut test = Test::new();
    let (program, _) = test.opened();
    let part = [1; 50_000];
    test.send_data(&part);
    test.send_data(&part);
    assert!(test.operations().is_empty());
    // More than half of our buffer, as the guest counts.
    test.send_data(&part);
    let (header, _) = test.driver.got.pop_front().expect("a packet");
    assert_eq!(
        (header.operation, header.buf_alloc, header.fwd_cnt),
        (OP_CREDIT_UPDATE, BUFFER, 150_000)
    );
    test.send(Test::header(OP_CREDIT_REQUEST));
    assert_eq!(test.operations(), [OP_CREDIT_UPDATE]);
    assert_eq!(program.borrow().received.len(), 150_000);
}

#[test]
fn what_a_program_does_not_read_waits_and_no_more_than_that() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    program.borrow_mut().takes = 10;
    test.send_data(&[3; 100_000]);
    test.send_data(&[4; 100_000]);
    assert!(test.operations().is_empty(), "there is no room to tell of");
    assert_eq!(test.sockets.held(), 199_990);
    program.borrow_mut().takes = 150_000;
    test.ready(id);
    let (header, _) = test.driver.got.pop_front().expect("a packet");
    assert_eq!(
        (header.operation, header.fwd_cnt),
        (OP_CREDIT_UPDATE, 150_010)
    );
    // Its buffer takes 262144 - 49990 bytes more; one too many is a lie.
    test.send_data(&vec![5; 212_154]);
    assert_eq!(test.sockets.held(), BUFFER as usize);
    assert!(test.operations().is_empty());
    test.send_data(&[6]);
    assert_eq!(test.operations(), [OP_RST]);
    assert!(test.sockets.is_empty() && program.borrow().dropped);
}

#[test]
fn a_guest_that_sends_no_more_may_still_receive() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    program.borrow_mut().takes = 3;
    test.send_data(b"question");
    test.shutdown(SHUTDOWN_SEND);
    assert!(!program.borrow().finished, "not before all is there");
    program.borrow_mut().takes = 100;
    test.ready(id);
    assert!(program.borrow().finished);
    assert_eq!(program.borrow().received, b"question");
    program.borrow_mut().sends.extend(b"answer");
    program.borrow_mut().ended = true;
    test.ready(id);
    let (_, answer) = test.driver.got.pop_front().expect("a packet");
    assert_eq!(answer, b"answer");
    let (header, _) = test.driver.got.pop_front().expect("a packet");
    assert_eq!(
        (header.operation, header.flags),
        (OP_SHUTDOWN, SHUTDOWN_SEND)
    );
    // The guest closes, and is told that nobody remembers.
    test.shutdown(SHUTDOWN_BOTH);
    assert_eq!(test.operations(), [OP_RST]);
    assert!(test.sockets.is_empty() && program.borrow().dropped);
}

#[test]
fn data_after_the_end_is_a_lie() {
    let mut test = Test::new();
    let (program, _) = test.opened();
    test.shutdown(SHUTDOWN_SEND);
    test.send_data(b"x");
    assert_eq!(test.operations(), [OP_RST]);
    assert!(program.borrow().received.is_empty() && program.borrow().dropped);
}

#[test]
fn a_guest_that_receives_no_more_is_sent_no_more() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    test.shutdown(SHUTDOWN_RECEIVE);
    assert!(program.borrow().refused);
    program.borrow_mut().sends.extend(b"too late");
    test.ready(id);
    test.send_data(b"still");
    assert!(test.operations().is_empty());
    assert_eq!(program.borrow().received, b"still");
    // Flags stay, also if a later packet does not have them.
    test.shutdown(SHUTDOWN_SEND);
    assert_eq!(test.operations(), [OP_RST]);
}

#[test]
fn a_guest_that_closes_is_answered_when_all_has_arrived() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    program.borrow_mut().takes = 2;
    test.send_data(b"late");
    test.shutdown(SHUTDOWN_BOTH);
    assert!(test.operations().is_empty() && !program.borrow().dropped);
    program.borrow_mut().takes = 2;
    test.ready(id);
    assert_eq!(test.operations(), [OP_RST]);
    assert_eq!(program.borrow().received, b"late");
    assert!(program.borrow().finished && program.borrow().dropped);
}

#[test]
fn an_impatient_guest_loses_nothing_that_it_had_sent_before_its_end() {
    for orderly in [true, false] {
        let mut test = Test::new();
        let (program, id) = test.opened();
        program.borrow_mut().takes = 2;
        test.send_data(b"late");
        if orderly {
            test.shutdown(SHUTDOWN_BOTH);
        }
        test.send(Test::header(OP_RST));
        assert_eq!(program.borrow().dropped, !orderly);
        program.borrow_mut().takes = 2;
        // The ports are free meanwhile.
        let (other, _) = test.opened();
        test.ready(id);
        let expected: &[u8] = if orderly { b"late" } else { b"la" };
        assert_eq!(program.borrow().received, expected);
        assert!(program.borrow().dropped && !other.borrow().dropped);
        assert_eq!(test.sockets.len(), 1);
    }
}

#[test]
fn a_program_that_closes_has_all_it_sent_arrive_and_gets_no_more() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    {
        let mut program = program.borrow_mut();
        program.sends.extend([9; 150_000]);
        program.closed = true;
    }
    test.ready(id);
    // It is told at once that nobody reads.
    let operations = test.operations();
    assert!(operations.contains(&OP_SHUTDOWN));
    test.send_data(&[1; 90_000]);
    test.send_data(&[1; 90_000]);
    assert_eq!(test.operations(), [OP_CREDIT_UPDATE]);
    test.send(Header {
        fwd_cnt: 100_000,
        ..Test::header(OP_CREDIT_UPDATE)
    });
    let (last, _) = test.driver.got.pop_back().expect("packets");
    assert_eq!((last.operation, last.flags), (OP_SHUTDOWN, SHUTDOWN_BOTH));
    assert_eq!(test.data().len(), 50_000);
    // It has eight seconds, unless the VM is paused.
    test.driver.paused = true;
    test.now += END;
    test.run();
    assert_eq!(test.sockets.len(), 1);
    test.driver.paused = false;
    test.run();
    assert_eq!(test.operations(), [OP_RST]);
    assert!(test.sockets.is_empty());
    assert_eq!(test.sockets.deadline(), FAR);
}

/// What a program of the host's sends first, and what comes of it.
fn greet(test: &mut Test, text: &[u8]) -> (Shared, u64) {
    let (pipe, program) = test.stream();
    let id = test.sockets.take_id();
    test.sockets.accepted(pipe, id);
    program.borrow_mut().sends.extend(text);
    test.ready(id);
    (program, id)
}

#[test]
fn a_program_connects_to_the_guest() {
    let mut test = Test::new();
    let (program, id) = greet(&mut test, b"CONN");
    assert!(test.operations().is_empty());
    program.borrow_mut().sends.extend(b"ECT 77\nand more");
    test.ready(id);
    let (request, _) = test.driver.got.pop_front().expect("a packet");
    assert_eq!(
        (
            request.operation,
            request.destination_port,
            request.buf_alloc
        ),
        (OP_REQUEST, 77, BUFFER)
    );
    assert!(request.source_port >= 1 << 30);
    assert!(program.borrow().received.is_empty());
    let answer = Header {
        source_port: 77,
        destination_port: request.source_port,
        ..Test::header(OP_RESPONSE)
    };
    test.send(answer);
    let greeting = format!("OK {}\n", request.source_port);
    assert_eq!(program.borrow().received, greeting.as_bytes());
    assert_eq!(test.data(), b"and more");
    // What it was told first is not what the guest sent.
    test.send(Header {
        operation: OP_CREDIT_REQUEST,
        ..answer
    });
    let (update, _) = test.driver.got.pop_front().expect("a packet");
    assert_eq!((update.operation, update.fwd_cnt), (OP_CREDIT_UPDATE, 0));
    // Another connection to the same port has another one here.
    greet(&mut test, b"CONNECT 77\r\n");
    let (second, _) = test.driver.got.pop_front().expect("a packet");
    assert_ne!(second.source_port, request.source_port);
}

#[test]
fn a_guest_may_refuse_or_say_nothing() {
    let mut test = Test::new();
    let (program, _) = greet(&mut test, b"CONNECT 77\n");
    let (request, _) = test.driver.got.pop_front().expect("a packet");
    test.send(Header {
        source_port: 77,
        destination_port: request.source_port,
        ..Test::header(OP_RST)
    });
    assert!(program.borrow().dropped && program.borrow().received.is_empty());
    let (program, _) = greet(&mut test, b"CONNECT 78\n");
    assert_eq!(test.operations(), [OP_REQUEST]);
    test.now += ANSWER;
    test.run();
    assert_eq!(test.operations(), [OP_RST]);
    assert!(program.borrow().dropped && test.sockets.is_empty());
}

#[test]
fn lines_that_name_no_port_are_the_end() {
    for line in [
        "\n",
        "CONNECT\n",
        "CONNECT \n",
        "CONNECT -1\n",
        "CONNECT +1\n",
        "CONNECT 4294967296\n",
        "connect 77\n",
        "CONNECT 77 78\n",
        "CONNECT 00000000000000000000000000000077",
        "GET / HTTP/1.0\r\n\r\n",
        "\u{e9}\n",
    ] {
        let mut test = Test::new();
        let (program, _) = greet(&mut test, line.as_bytes());
        assert!(program.borrow().dropped, "{line:?}");
        assert!(test.sockets.is_empty() && test.operations().is_empty());
    }
    let mut test = Test::new();
    let (program, id) = greet(&mut test, b"CONNECT 7");
    program.borrow_mut().ended = true;
    test.ready(id);
    assert!(program.borrow().dropped);
}

#[test]
fn packets_of_no_connection_are_answered_with_resets() {
    let mut test = Test::new();
    let wrong = [
        Test::header(OP_RW),
        Test::header(OP_RESPONSE),
        Test::header(OP_SHUTDOWN),
        Test::header(99),
        // Section 5.10.6.4: an unknown type.
        Header {
            kind: 2,
            ..Test::header(OP_REQUEST)
        },
        Header {
            destination_cid: 7,
            ..Test::header(OP_REQUEST)
        },
    ];
    for header in wrong {
        test.send(header);
        let (reset, _) = test.driver.got.pop_front().expect("an answer");
        let expected = Header {
            source_cid: header.destination_cid,
            destination_cid: CID.into(),
            source_port: HOST_PORT,
            destination_port: PORT,
            kind: header.kind,
            operation: OP_RST,
            ..Header::default()
        };
        assert_eq!(reset, expected);
    }
    // But a reset, and what is sent in another's name, is not.
    test.send(Test::header(OP_RST));
    test.send(Header {
        source_cid: 5,
        ..Test::header(OP_REQUEST)
    });
    assert!(test.operations().is_empty() && test.sockets.is_empty());
}

#[test]
fn packets_that_do_not_fit_where_a_connection_is_end_it() {
    for operation in [OP_REQUEST, OP_RESPONSE, 0, 99] {
        let mut test = Test::new();
        let (program, _) = test.opened();
        test.send(Test::header(operation));
        assert_eq!(test.operations(), [OP_RST], "{operation}");
        assert!(program.borrow().dropped);
    }
    for operation in [OP_RW, OP_SHUTDOWN, OP_REQUEST] {
        let mut test = Test::new();
        test.send(Test::header(OP_REQUEST));
        test.send(Test::header(operation));
        assert_eq!(test.operations(), [OP_RST]);
        // What the host says of it later is for nobody.
        let (_, id) = test.asked();
        let (pipe, program) = test.stream();
        test.sockets.connected(id, Ok(pipe), test.now);
        test.run();
        assert!(program.borrow().dropped && test.operations().is_empty());
    }
}

#[test]
fn a_guest_without_buffers_is_heard_until_answers_pile_up() {
    let mut test = Test::new();
    let (program, id) = test.opened();
    test.driver.buffers = 1;
    program.borrow_mut().sends.extend([8; 10_000]);
    test.ready(id);
    assert_eq!(test.data().len(), 4096);
    // Both directions are independent.
    test.send_data(b"heard");
    assert_eq!(program.borrow().received, b"heard");
    for _ in 0..10 * MAX_RESETS {
        let header = Test::header(OP_RW);
        test.send(Header {
            source_port: 1,
            ..header
        });
    }
    assert!(test.sockets.resets.len() <= MAX_RESETS);
    assert!(!test.driver.sends.is_empty());
    test.driver.buffers = 10_000;
    test.run();
    assert!(test.driver.sends.is_empty());
    let (mut resets, mut bytes) = (0, 0);
    for (header, payload) in test.driver.got.drain(..) {
        bytes += payload.len();
        resets += usize::from(header.operation == OP_RST);
    }
    assert_eq!((resets, bytes), (10 * MAX_RESETS, 10_000 - 4096));
}

#[test]
fn there_is_an_end_to_connections() {
    let mut test = Test::new();
    for port in 0..MAX_CONNECTIONS as u32 + 10 {
        test.send(Header {
            source_port: port,
            ..Test::header(OP_REQUEST)
        });
    }
    assert_eq!(test.sockets.len(), MAX_CONNECTIONS);
    assert_eq!(test.operations(), [OP_RST; 10]);
    let (program, _) = greet(&mut test, b"");
    assert!(program.borrow().dropped);
}

#[test]
fn a_reset_of_the_guest_ends_all() {
    let mut test = Test::new();
    let (program, _) = test.opened();
    let (greeting, id) = greet(&mut test, b"CONNECT ");
    test.sockets.set_session(None);
    assert!(program.borrow().dropped && !greeting.borrow().dropped);
    // Without a driver nobody can be reached.
    greeting.borrow_mut().sends.extend(b"5\n");
    test.ready(id);
    assert!(greeting.borrow().dropped);
    test.sockets.set_session(Some(1));
    let (program, _) = test.opened();
    test.sockets.set_session(Some(2));
    assert!(program.borrow().dropped && test.sockets.is_empty());
}
