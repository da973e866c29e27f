//! A guest's socket device with the connections behind it: packets as a driver sends them, with any
//! contents, descriptors and rings as it should not, and programs of the host's that connect, listen,
//! read, write and close as they like.
//!
//! No connection is given more than the guest said that it has room for, and nothing after an end or a
//! reset; what is held and how many connections there are has a limit; programs get what the guest sent
//! them in order, and are let go at the end.

use crate::devices::Line;
use crate::input::Input;
use crate::memory::Memory;
use skep_board::virtio::spec::*;
use skep_board::virtio::vsock::spec::*;
use skep_board::virtio::vsock::{Header, Packets, Vsock, VsockBackend};
use skep_board::virtio::{Transport, Version};
use skep_board::{GuestMemory, MmioDevice};
use skep_vsock::host::Link;
use skep_vsock::testing::{Asked, Pipe, Program, Shared};
use skep_vsock::{BUFFER, MAX_CONNECTIONS, Sockets};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const BASE: u64 = 0x4000_0000;
const SIZE: usize = 64 << 10;
const PAGE: u64 = 0x1000;
/// Where queue 0 is, and how far from it the next; a page each for its three parts.
const SPAN: u64 = 3 * PAGE;
const QUEUE_SIZE: u16 = 16;
/// Each queue's entries have a buffer of 512 bytes here.
const BUFFERS: u64 = BASE + 3 * SPAN;
const LENGTH: u64 = 512;
const CID: u32 = 3;
/// The first number of a connection.
const FIRST: u64 = 8;

struct Nobody;

impl VsockBackend for Nobody {
    fn notified(&mut self) {}
    fn reset(&mut self) {}
}

/// What the guest said of a connection, and what it was sent: by the ports of the host and of the guest.
#[derive(Clone, Copy, Default)]
struct Seen {
    room: u32,
    taken: u32,
    sent: u32,
    ended: bool,
}

/// The device, and a look at what passes.
struct Watched {
    device: Transport<Vsock<Nobody>, Memory, Line>,
    seen: BTreeMap<(u32, u32), Seen>,
    paused: bool,
}

impl Link for Watched {
    fn session(&mut self) -> Option<u64> {
        self.device.vsock_session()
    }

    fn take(&mut self, session: u64, packets: &mut Packets) {
        if self.paused {
            return packets.clear();
        }
        self.device.take_packets(session, packets);
        for (header, payload) in packets.iter() {
            assert!(header.operation == OP_RW || payload.is_empty());
            let name = (header.destination_port, header.source_port);
            if header.source_cid != u64::from(CID)
                || header.destination_cid != HOST_CID
                || header.kind != TYPE_STREAM
            {
                continue;
            }
            let seen = self.seen.entry(name).or_default();
            (seen.room, seen.taken) = (header.buf_alloc, header.fwd_cnt);
        }
    }

    fn give(&mut self, session: u64, header: &Header, payload: &[u8]) -> Option<usize> {
        if self.paused {
            return None;
        }
        assert!(header.operation == OP_RW || payload.is_empty());
        assert_eq!(header.destination_cid, u64::from(CID));
        let name = (header.source_port, header.destination_port);
        let given = self.device.give_packets(session, header, payload)?;
        assert!(given <= payload.len());
        match header.operation {
            OP_REQUEST => {
                self.seen.insert(name, Seen::default());
            }
            // What the guest said of its room may belong to the next connection of this name.
            OP_RST | OP_RESPONSE => {
                let seen = self.seen.entry(name).or_default();
                (seen.sent, seen.ended) = (0, false);
            }
            operation => {
                let seen = self.seen.entry(name).or_default();
                if operation == OP_RW {
                    assert!(!seen.ended, "data after the end");
                    let free = seen.room.saturating_sub(seen.sent.wrapping_sub(seen.taken));
                    assert!(payload.len() as u64 <= u64::from(free), "beyond the credit");
                    seen.sent = seen.sent.wrapping_add(given as u32);
                }
                if operation == OP_SHUTDOWN {
                    seen.ended |= header.flags & SHUTDOWN_SEND != 0;
                }
            }
        }
        Some(given)
    }

    fn paused(&self) -> bool {
        self.paused
    }
}

/// What a driver does before it uses the device.
fn bring_up(device: &mut impl MmioDevice) {
    let mut set = |register: u64, value: u64| device.write(register, 4, value);
    set(STATUS, 0);
    let mut status = u64::from(STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    set(STATUS, status);
    set(DRIVER_FEATURES_SEL, 1);
    set(DRIVER_FEATURES, F_VERSION_1 >> 32);
    status |= u64::from(STATUS_FEATURES_OK);
    set(STATUS, status);
    for queue in 0..3 {
        let table = BASE + queue * SPAN;
        set(QUEUE_SEL, queue);
        set(QUEUE_NUM, QUEUE_SIZE.into());
        set(QUEUE_DESC_LOW, table);
        set(QUEUE_DRIVER_LOW, table + PAGE);
        set(QUEUE_DEVICE_LOW, table + 2 * PAGE);
        set(QUEUE_READY, 1);
    }
    set(STATUS, status | u64::from(STATUS_DRIVER_OK));
}

/// Makes the next entry of a queue available: one buffer of its own, of `len` bytes.
fn publish(memory: &Memory, index: &mut u16, queue: usize, len: u64) {
    let table = BASE + queue as u64 * SPAN;
    let slot = u64::from(*index % QUEUE_SIZE);
    let addr = buffer(queue, *index);
    let flags = if queue == TRANSMIT { 0 } else { DESC_WRITE };
    let mut descriptor = [0; DESC_SIZE as usize];
    descriptor[..8].copy_from_slice(&addr.to_le_bytes());
    descriptor[8..12].copy_from_slice(&(len as u32).to_le_bytes());
    descriptor[12..14].copy_from_slice(&flags.to_le_bytes());
    let _ = memory.write(table + slot * DESC_SIZE, &descriptor);
    let _ = memory.write_u16_release(table + PAGE + 4 + 2 * slot, slot as u16);
    *index = index.wrapping_add(1);
    let _ = memory.write_u16_release(table + PAGE + 2, *index);
}

/// The buffer of an entry: those of the event queue are nobody's business.
fn buffer(queue: usize, index: u16) -> u64 {
    let slot = u64::from(index % QUEUE_SIZE);
    BUFFERS + (queue as u64 & 1) * u64::from(QUEUE_SIZE) * LENGTH + slot * LENGTH
}

/// A packet's header: as a rule one of a few connections.
fn header(input: &mut Input<'_>) -> Header {
    let (ports, operation, cids) = (input.u8(), input.u8(), input.u8());
    let host = match ports >> 6 {
        0..=2 => u32::from(ports >> 3 & 3),
        _ => (1 << 30) + u32::from(ports >> 3 & 7),
    };
    Header {
        source_cid: if cids & 0xf == 0xf {
            input.number()
        } else {
            CID.into()
        },
        destination_cid: if cids & 0xf0 == 0xf0 {
            input.number()
        } else {
            HOST_CID
        },
        source_port: u32::from(ports & 7),
        destination_port: host,
        len: match operation >> 6 {
            0 => input.number() as u32,
            _ => u32::from(input.u8()),
        },
        kind: if cids == 0x10 {
            input.u16()
        } else {
            TYPE_STREAM
        },
        operation: match operation & 0xf {
            0 => input.u16(),
            // Data above all.
            8.. => OP_RW,
            operation => operation.into(),
        },
        flags: u32::from(input.u8()),
        buf_alloc: input.number() as u32,
        fwd_cnt: input.number() as u32,
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let memory = Arc::new(Memory::new(BASE, SIZE));
    let device = Vsock::new(Nobody, CID);
    let mut device = Transport::new(Version::Modern, device, memory.clone(), Line::default());
    bring_up(&mut device);
    let mut link = Watched {
        device,
        seen: BTreeMap::new(),
        paused: false,
    };
    let mut sockets = Sockets::new(Asked::default(), CID, FIRST);
    let mut programs: Vec<(u64, Shared)> = Vec::new();
    let mut indices = [0u16; 3];
    let mut now = Duration::ZERO;
    let mut session = None;
    while !input.is_empty() {
        match input.u8() % 16 {
            0..6 => {
                let header = header(&mut input);
                let at = buffer(TRANSMIT, indices[TRANSMIT]);
                let _ = memory.write(at, &header.bytes());
                let len = match input.u8() {
                    0 => input.number() % LENGTH,
                    1 => LENGTH,
                    _ => HEADER as u64 + u64::from(header.len).min(LENGTH - HEADER as u64),
                };
                publish(&memory, &mut indices[TRANSMIT], TRANSMIT, len);
            }
            6 | 7 => {
                let len = match input.u8() {
                    0 => u64::from(input.u8()),
                    _ => LENGTH,
                };
                for _ in 0..input.below(8) {
                    publish(&memory, &mut indices[RECEIVE], RECEIVE, len);
                }
            }
            // What a driver should not do.
            8 => {
                let at = BASE + u64::from(input.u16());
                let len = input.below(16);
                let _ = memory.write(at, input.take(len));
            }
            9 => {
                let id = sockets.take_id();
                let line: &[u8] = match input.below(4) {
                    0 => input.take(8),
                    1 => b"CONNECT 1\nand more",
                    _ => b"CONNECT 2\n",
                };
                let program = Program {
                    sends: line.iter().copied().collect(),
                    takes: input.u8().into(),
                    ..Program::default()
                };
                let program = Rc::new(RefCell::new(program));
                sockets.accepted(Pipe(program.clone()), id);
                sockets.host_ready(id, now);
                programs.push((id, program));
            }
            10 => {
                let asked = &mut sockets.host_mut().0;
                if let Some((_, id)) = asked.pop_front() {
                    let stream = match input.below(8) {
                        0 => Err(ErrorKind::ConnectionRefused.into()),
                        1 => Err(ErrorKind::WouldBlock.into()),
                        _ => {
                            let program = Rc::new(RefCell::new(Program::default()));
                            programs.push((id, program.clone()));
                            Ok(Pipe(program))
                        }
                    };
                    sockets.connected(id, stream, now);
                }
            }
            11 | 12 => {
                if let Some((id, program)) = programs.get(input.below(256) % programs.len().max(1))
                {
                    let mut program = program.borrow_mut();
                    let (what, amount) = (input.u8(), input.u16());
                    program.takes += usize::from(amount);
                    if what & 1 != 0 {
                        program
                            .sends
                            .extend(std::iter::repeat_n(what, amount.into()));
                    }
                    program.closed |= what & 0xf0 == 0xf0;
                    drop(program);
                    sockets.host_ready(*id, now);
                }
            }
            13 => now += Duration::from_millis(input.u16().into()),
            14 => match input.below(8) {
                0 => {
                    bring_up(&mut link.device);
                    indices = [0; 3];
                }
                1 => link.paused = !link.paused,
                2 => publish(&memory, &mut indices[EVENT], EVENT, 4),
                _ => {}
            },
            _ => {}
        }
        let current = link.session();
        if current != session {
            link.seen.clear();
            session = current;
        }
        sockets.set_session(current);
        // A guest may have any number of packets for us.
        for _ in 0..8 {
            let more = sockets.guest(&mut link);
            if !(sockets.run(&mut link, now) || more) {
                break;
            }
        }
        assert!(sockets.len() <= MAX_CONNECTIONS);
        assert!(sockets.held() <= sockets.len() * (BUFFER as usize + (64 << 10)));
        programs.retain(|(_, program)| Rc::strong_count(program) > 1);
        assert!(programs.len() <= MAX_CONNECTIONS);
    }
    sockets.set_session(session.map_or(Some(0), |session| Some(session + 1)));
    assert_eq!(sockets.held(), 0);
}
