//! The user-mode network: a hostile guest's packets, and a host whose sockets do anything.
//!
//! What the guest is given fits the link, and its offload fits the frame. TCP carries streams: each
//! byte that the guest is given, and each that a socket is given, is the one that belongs there. There
//! is an end to the work, and to the number of sockets.

use crate::input::Input;
use skep_board::virtio::net::spec::{F_GUEST_CSUM, F_GUEST_TSO4, F_GUEST_TSO6};
use skep_board::virtio::net::{MAX_FRAME, Offload};
use skep_net::Link;
use skep_net::host::{Host, Socket, Stream};
use skep_net::nat::{CONNECTIONS, Nat, Options};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

const ERRORS: [ErrorKind; 6] = [
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::NetworkUnreachable,
    ErrorKind::HostUnreachable,
    ErrorKind::PermissionDenied,
    ErrorKind::Interrupted,
];
const SYN: u8 = 2;
const ACK: u8 = 16;

/// The byte of a stream at a position.
fn pattern(position: u32) -> u8 {
    (position ^ position >> 7) as u8
}

#[derive(Default)]
struct End {
    /// The guest's SYN, if this is a stream that it asked for.
    syn: Option<u32>,
    connected: bool,
    /// How many bytes may be read and written before it would block.
    readable: usize,
    writable: usize,
    ended: bool,
    error: Option<ErrorKind>,
    read: u32,
    written: u32,
    datagrams: VecDeque<Vec<u8>>,
}

type Shared = Rc<RefCell<End>>;

struct FakeEnd {
    end: Shared,
    /// Streams that carry other bytes than the pattern.
    any: Rc<RefCell<bool>>,
}

fn fail(end: &mut End) -> io::Result<()> {
    end.error.take().map_or(Ok(()), |kind| Err(kind.into()))
}

impl Stream for FakeEnd {
    fn connected(&mut self) -> io::Result<()> {
        let mut end = self.end.borrow_mut();
        fail(&mut end)?;
        if end.connected {
            Ok(())
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(!buf.is_empty(), "this would look like the end");
        let mut end = self.end.borrow_mut();
        fail(&mut end)?;
        let len = end.readable.min(buf.len());
        if len == 0 {
            let ended = end.ended;
            return if ended {
                Ok(0)
            } else {
                Err(ErrorKind::WouldBlock.into())
            };
        }
        for byte in &mut buf[..len] {
            *byte = pattern(end.read);
            end.read = end.read.wrapping_add(1);
        }
        end.readable -= len;
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut end = self.end.borrow_mut();
        fail(&mut end)?;
        let len = end.writable.min(bytes.len());
        if len == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        for byte in &bytes[..len] {
            if let (Some(syn), false) = (end.syn, *self.any.borrow()) {
                let seq = syn.wrapping_add(1).wrapping_add(end.written);
                assert_eq!(*byte, pattern(seq), "another byte belongs here");
            }
            end.written = end.written.wrapping_add(1);
        }
        end.writable -= len;
        Ok(len)
    }

    fn finish(&mut self) {}

    fn abort(&mut self) {}
}

impl Socket for FakeEnd {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut end = self.end.borrow_mut();
        fail(&mut end)?;
        let datagram = end.datagrams.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let len = datagram.len().min(buf.len());
        buf[..len].copy_from_slice(&datagram[..len]);
        Ok((len, ([127, 0, 0, 1], 9).into()))
    }

    fn send(&mut self, bytes: &[u8], _to: SocketAddr) -> io::Result<()> {
        assert!(bytes.len() <= 65_535);
        fail(&mut self.end.borrow_mut())
    }
}

#[derive(Default)]
struct FakeHost {
    ends: BTreeMap<u64, Shared>,
    error: Option<ErrorKind>,
    /// The SYN that the guest sends now.
    syn: Option<u32>,
    connected: bool,
    any: Rc<RefCell<bool>>,
}

impl FakeHost {
    fn make(&mut self, to: IpAddr, id: u64, syn: Option<u32>) -> io::Result<FakeEnd> {
        // The host itself is where the gateway's address leads; nobody else may name it so.
        assert!(!to.is_unspecified() && !to.is_multicast());
        if let Some(kind) = self.error.take() {
            return Err(kind.into());
        }
        let end = Rc::new(RefCell::new(End {
            syn,
            connected: self.connected,
            ..End::default()
        }));
        self.ends.insert(id, end.clone());
        let any = self.any.clone();
        Ok(FakeEnd { end, any })
    }
}

impl Host for FakeHost {
    type Stream = FakeEnd;
    type Socket = FakeEnd;

    fn connect(&mut self, to: SocketAddr, id: u64) -> io::Result<FakeEnd> {
        let syn = self.syn;
        self.make(to.ip(), id, syn)
    }

    fn datagrams(&mut self, to: SocketAddr, _only: bool, id: u64) -> io::Result<FakeEnd> {
        self.make(to.ip(), id, None)
    }

    fn echo(&mut self, to: IpAddr, id: u64) -> io::Result<FakeEnd> {
        self.make(to, id, None)
    }

    fn resolvers(&mut self) -> Vec<SocketAddr> {
        vec![([192, 0, 2, 53], 53).into(), ([192, 0, 2, 54], 53).into()]
    }
}

/// What the guest knows of a connection: by its port, and the other's address and port.
type Ends = (u16, Vec<u8>, u16);

/// The guest's network card.
#[derive(Default)]
struct Card {
    sent: VecDeque<Vec<u8>>,
    room: usize,
    features: Option<u64>,
    /// The other end's first number, and what comes next.
    known: BTreeMap<Ends, (u32, u32)>,
}

impl Link for Card {
    fn take(&mut self, frame: &mut Vec<u8>) -> Option<Offload> {
        *frame = self.sent.pop_front()?;
        Some(Offload::default())
    }

    fn give(&mut self, offload: &Offload, headers: usize, parts: &[&[u8]]) -> bool {
        let frame = parts.concat();
        assert!((14..=MAX_FRAME).contains(&frame.len()) && headers <= frame.len());
        assert!(
            offload.segments.is_some() || frame.len() <= 1514,
            "too long"
        );
        if let Some((start, at)) = offload.checksum {
            assert!(start <= at && usize::from(at) + 2 <= frame.len());
        }
        if self.room == 0 {
            return false;
        }
        self.room -= 1;
        self.look(&frame);
        true
    }

    fn features(&mut self) -> Option<u64> {
        self.features
    }

    fn paused(&self) -> bool {
        false
    }
}

impl Card {
    /// Looks at a TCP segment.
    fn look(&mut self, frame: &[u8]) {
        let (ip, tcp) = match frame[12..14] {
            [8, 0] => (26..30, 34),
            [0x86, 0xdd] => (22..38, 54),
            _ => return,
        };
        let protocol = if tcp == 34 { frame[23] } else { frame[20] };
        if protocol != 6 {
            return;
        }
        let short = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let seq = u32::from_be_bytes([
            frame[tcp + 4],
            frame[tcp + 5],
            frame[tcp + 6],
            frame[tcp + 7],
        ]);
        let payload = &frame[tcp + usize::from(frame[tcp + 12] >> 4) * 4..];
        let ends = (short(tcp + 2), frame[ip].to_vec(), short(tcp));
        let syn = frame[tcp + 13] & SYN != 0;
        if syn {
            self.known.insert(ends, (seq, seq.wrapping_add(1)));
        } else if let Some((first, next)) = self.known.get_mut(&ends) {
            for (index, byte) in payload.iter().enumerate() {
                let position = seq
                    .wrapping_sub(*first)
                    .wrapping_sub(1)
                    .wrapping_add(index as u32);
                assert_eq!(*byte, pattern(position), "another byte belongs here");
            }
            if !payload.is_empty() {
                *next = seq.wrapping_add(payload.len() as u32);
            }
        }
    }
}

const REMOTES4: [[u8; 4]; 8] = [
    [10, 0, 2, 2],
    [10, 0, 2, 3],
    [192, 0, 2, 1],
    [10, 0, 2, 255],
    [127, 0, 0, 1],
    [0, 0, 0, 0],
    [255, 255, 255, 255],
    [224, 0, 0, 1],
];
const REMOTES6: [u128; 6] = [
    0xfec0 << 112 | 2,
    0xfec0 << 112 | 3,
    0xfe80 << 112 | 2,
    0x2001_0db8 << 96 | 1,
    1,
    0xffff_7f00_0001,
];

/// An Ethernet frame with a packet of the guest's, and the packet's ends.
fn frame(input: &mut Input<'_>, ipv6: bool, protocol: u8, payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut frame = vec![0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56];
    let remote = if ipv6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((payload.len() as u16).to_be_bytes());
        frame.extend([protocol, 64]);
        frame.extend((0xfec0u128 << 112 | 15).to_be_bytes());
        input.pick(&REMOTES6).to_be_bytes().to_vec()
    } else {
        let fragment = match input.u8() {
            byte @ 0xf0.. => [(byte & 1) << 5, input.u8() % 4],
            _ => [0, 0],
        };
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((20 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 7, fragment[0], fragment[1], 64, protocol, 0, 0]);
        frame.extend([10, 0, 2, 15]);
        input.pick(&REMOTES4).to_vec()
    };
    frame.extend(&remote);
    frame.extend(payload);
    (frame, remote)
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.u8();
    let options = Options {
        restricted: flags & 0xf0 == 0xf0,
        dns: None,
    };
    let any = Rc::new(RefCell::new(false));
    let host = FakeHost {
        any: any.clone(),
        connected: flags & 8 == 0,
        ..FakeHost::default()
    };
    let mut nat = Nat::new(host, options);
    let mut card = Card {
        room: usize::MAX,
        features: Some(match flags & 3 {
            0 => 0,
            1 => F_GUEST_CSUM,
            _ => F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6,
        }),
        ..Card::default()
    };
    let mut now = Duration::ZERO;
    // The next byte that the guest sends, by its port.
    let mut numbers = [0u32; 4];
    while !input.is_empty() {
        match input.u8() % 16 {
            0..8 => tcp(&mut nat, &mut card, &mut input, &mut numbers),
            8 => {
                let len = input.below(200);
                let mut udp = vec![0x9c, 0x40, 0, input.pick(&[53, 67, 69, 9])];
                udp.extend((8 + len as u16).to_be_bytes());
                udp.extend([0, 0]);
                udp.extend(input.take(len));
                let ipv6 = input.bool();
                card.sent.push_back(frame(&mut input, ipv6, 17, &udp).0);
            }
            9 => {
                let ipv6 = input.bool();
                let mut icmp = vec![input.pick(&[8, 128, 133, 135, 0]), 0, 0, 0, 0, 1, 0, 1];
                let len = input.below(64);
                icmp.extend(input.take(len));
                let protocol = if ipv6 { 58 } else { 1 };
                card.sent
                    .push_back(frame(&mut input, ipv6, protocol, &icmp).0);
            }
            10 => {
                // What it carries is not known.
                *any.borrow_mut() = true;
                let len = input.below(128);
                let mut bytes = input.take(len).to_vec();
                if let Some(kind) = bytes.get_mut(12..14) {
                    kind.copy_from_slice(&input.pick(&[[8, 0], [8, 6], [0x86, 0xdd]]));
                }
                card.sent.push_back(bytes);
            }
            11 | 12 => socket(&mut nat, &mut input),
            13 => now += Duration::from_millis(1 << input.below(24)),
            14 => card.room = [0, 1, 5, usize::MAX][input.below(4)],
            _ => match input.u8() {
                0 => {
                    nat.reset();
                    nat.host_mut().ends.clear();
                    card.known.clear();
                }
                1 => nat.host_mut().error = Some(input.pick(&ERRORS)),
                2 => card.features = None,
                3 => card.features = Some(0),
                _ => {
                    let id = nat.accept_id();
                    let nobody = IpAddr::from([127, 0, 0, 1]);
                    if let Ok(stream) = nat.host_mut().make(nobody, id, None) {
                        let port = u16::from(input.u8());
                        nat.accepted(stream, (nobody, port).into(), 80, id, now);
                    }
                }
            },
        }
        work(&mut nat, &mut card, now);
    }
    card.room = usize::MAX;
    work(&mut nat, &mut card, now);
}

/// The network does all that there is to do, which has an end.
fn work(nat: &mut Nat<FakeHost>, card: &mut Card, now: Duration) {
    for _ in 0..1000 {
        let more = nat.guest(card, now);
        if !nat.run(card, now) && !more {
            let (connections, sockets) = nat.counts();
            assert!(connections <= CONNECTIONS && sockets <= 512);
            return;
        }
    }
    panic!("the network has always more to do");
}

/// The guest sends a TCP segment of one of a few connections.
fn tcp(nat: &mut Nat<FakeHost>, card: &mut Card, input: &mut Input<'_>, numbers: &mut [u32; 4]) {
    let flags = input.pick(&[
        SYN,
        ACK,
        ACK,
        ACK,
        ACK | 1,
        ACK | 8,
        4,
        4 | ACK,
        SYN | ACK,
        1,
        0,
        0xff,
    ]);
    let which = input.below(4);
    let len = match input.u8() {
        len @ 0..0xf0 => usize::from(len),
        long => usize::from(long) * 100,
    };
    let number = numbers[which];
    let seq = match input.u8() {
        0..0xe0 => number,
        byte @ 0xe0..0xf8 => number.wrapping_sub(u32::from(byte)),
        _ => input.u32(),
    };
    let window: u16 = input.pick(&[0, 1, 100, 0xffff]);
    let ipv6 = input.bool();
    let ports = (0x9c40 + which as u16, input.pick(&[80, 53]));
    // The addresses come behind the header: they are made first.
    let (mut bytes, remote) = frame(input, ipv6, 6, &[]);
    let known = card.known.get(&(ports.0, remote, ports.1)).copied();
    let ack = match (input.u8(), known) {
        (0..0xf0, Some((_, next))) => next,
        (byte, Some((first, _))) => first.wrapping_add(u32::from(byte)),
        _ => input.u32(),
    };
    let mut segment = Vec::new();
    segment.extend(ports.0.to_be_bytes());
    segment.extend(ports.1.to_be_bytes());
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    let options: &[u8] = match flags {
        SYN => &[2, 4, 5, 0xb4, 1, 3, 3, 7],
        _ => &[],
    };
    segment.extend([(((20 + options.len()) / 4) << 4) as u8, flags]);
    segment.extend([window.to_be_bytes(), [0; 2], [0; 2]].concat());
    segment.extend(options);
    let start = seq.wrapping_add(u32::from(flags & SYN != 0));
    segment.extend((0..len as u32).map(|at| pattern(start.wrapping_add(at))));
    let total = segment.len() as u16;
    if ipv6 {
        bytes[18..20].copy_from_slice(&total.to_be_bytes());
    } else {
        bytes[16..18].copy_from_slice(&(20 + total).to_be_bytes());
    }
    bytes.extend(segment);
    if flags & SYN != 0 {
        nat.host_mut().syn = Some(seq);
    }
    numbers[which] = start
        .wrapping_add(len as u32)
        .wrapping_add(u32::from(flags & 1));
    card.sent.push_back(bytes);
}

/// Something happens to a socket of the host's.
fn socket(nat: &mut Nat<FakeHost>, input: &mut Input<'_>) {
    let ends = &nat.host_mut().ends;
    if ends.is_empty() {
        return;
    }
    let which = input.below(256) % ends.len();
    let Some((id, end)) = ends.iter().nth(which).map(|(id, end)| (*id, end.clone())) else {
        return;
    };
    let mut end = end.borrow_mut();
    let amount = match input.u8() {
        small @ 0..0xf0 => usize::from(small),
        large => usize::from(large) * 5000,
    };
    match input.u8() % 8 {
        0 | 1 => end.readable = amount,
        2 | 3 => end.writable = amount,
        4 => end.ended = true,
        5 => end.error = Some(input.pick(&ERRORS)),
        6 => end.datagrams.push_back(vec![7; amount.min(65_507)]),
        _ => end.connected = true,
    }
    drop(end);
    nat.host_ready(id);
}
