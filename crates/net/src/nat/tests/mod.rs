//! The network with a guest made of packets, and a host made of queues.

mod datagrams;
mod local;
mod tcp;

use super::*;
use crate::host::{Socket, Stream};
use crate::wire::{self, Headers, UDP};
use skep_board::virtio::net::spec;
use smoltcp::wire::{TcpPacket, UdpPacket};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// What the tests see and decide of the host's side of a stream or socket.
#[derive(Default)]
pub struct End {
    pub to: Option<SocketAddr>,
    /// Whether connecting has worked; None: not yet.
    pub connected: Option<Result<(), ErrorKind>>,
    /// What the other side has sent: pieces, or datagrams with their sender.
    pub incoming: VecDeque<(Vec<u8>, SocketAddr)>,
    /// The other side has sent all.
    pub ended: bool,
    /// What the next operation fails with.
    pub error: Option<ErrorKind>,
    /// What the other side has got.
    pub outgoing: Vec<u8>,
    /// To whom the last datagram went.
    pub sent_to: Option<SocketAddr>,
    /// How many bytes it takes.
    pub room: usize,
    pub finished: bool,
    pub aborted: bool,
    pub dropped: bool,
}

#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<End>>);

impl Shared {
    pub fn get(&self) -> MutexGuard<'_, End> {
        self.0.lock().expect("no panic")
    }
}

pub struct FakeEnd(Shared);

impl Drop for FakeEnd {
    fn drop(&mut self) {
        self.0.get().dropped = true;
    }
}

impl End {
    fn fail(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Stream for FakeEnd {
    fn connected(&mut self) -> io::Result<()> {
        match self.0.get().connected {
            None => Err(ErrorKind::WouldBlock.into()),
            Some(result) => result.map_err(io::Error::from),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut end = self.0.get();
        end.fail()?;
        let ended = end.ended;
        match end.incoming.front_mut() {
            Some((piece, _)) => {
                let len = piece.len().min(buf.len());
                buf[..len].copy_from_slice(&piece[..len]);
                piece.drain(..len);
                if piece.is_empty() {
                    end.incoming.pop_front();
                }
                Ok(len)
            }
            None if ended => Ok(0),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut end = self.0.get();
        end.fail()?;
        let len = bytes.len().min(end.room);
        if len == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        end.room -= len;
        end.outgoing.extend(&bytes[..len]);
        Ok(len)
    }

    fn finish(&mut self) {
        self.0.get().finished = true;
    }

    fn abort(&mut self) {
        self.0.get().aborted = true;
    }
}

impl Socket for FakeEnd {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut end = self.0.get();
        end.fail()?;
        let (datagram, from) = end.incoming.pop_front().ok_or(ErrorKind::WouldBlock)?;
        buf[..datagram.len()].copy_from_slice(&datagram);
        Ok((datagram.len(), from))
    }

    fn send(&mut self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        let mut end = self.0.get();
        end.fail()?;
        end.outgoing.extend(bytes);
        end.sent_to = Some(to);
        Ok(())
    }
}

/// A host where everything works unless it is told.
#[derive(Default)]
pub struct FakeHost {
    pub ends: BTreeMap<u64, Shared>,
    pub resolvers: Vec<SocketAddr>,
    /// What making the next socket fails with.
    pub error: Option<ErrorKind>,
    /// Connecting takes until the test says so.
    pub slow: bool,
}

impl FakeHost {
    fn make(&mut self, to: SocketAddr, id: u64) -> io::Result<FakeEnd> {
        if let Some(kind) = self.error.take() {
            return Err(kind.into());
        }
        let shared = Shared::default();
        *shared.get() = End {
            to: Some(to),
            connected: (!self.slow).then_some(Ok(())),
            room: usize::MAX,
            ..End::default()
        };
        self.ends.insert(id, shared.clone());
        Ok(FakeEnd(shared))
    }
}

impl Host for FakeHost {
    type Stream = FakeEnd;
    type Socket = FakeEnd;

    fn connect(&mut self, to: SocketAddr, id: u64) -> io::Result<FakeEnd> {
        self.make(to, id)
    }

    fn datagrams(&mut self, to: SocketAddr, _only: bool, id: u64) -> io::Result<FakeEnd> {
        self.make(to, id)
    }

    fn echo(&mut self, to: IpAddr, id: u64) -> io::Result<FakeEnd> {
        self.make(SocketAddr::new(to, 0), id)
    }

    fn resolvers(&mut self) -> Vec<SocketAddr> {
        self.resolvers.clone()
    }
}

/// The guest's network card.
pub struct FakeLink {
    pub sent: VecDeque<Vec<u8>>,
    pub got: VecDeque<(Offload, Vec<u8>)>,
    /// How many frames it has room for.
    pub room: usize,
    pub features: Option<u64>,
}

impl Link for FakeLink {
    fn take(&mut self, frame: &mut Vec<u8>) -> Option<Offload> {
        *frame = self.sent.pop_front()?;
        Some(Offload::default())
    }

    fn give(&mut self, offload: &Offload, _headers: usize, parts: &[&[u8]]) -> bool {
        if self.room == 0 {
            return false;
        }
        self.room -= 1;
        self.got.push_back((*offload, parts.concat()));
        true
    }

    fn features(&mut self) -> Option<u64> {
        self.features
    }

    fn paused(&self) -> bool {
        false
    }
}

/// A network, its guest and its host.
pub struct World {
    pub nat: Nat<FakeHost>,
    pub link: FakeLink,
    pub now: Duration,
}

pub const GUEST_END: &str = "10.0.2.15:40000";

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

impl World {
    pub fn new() -> Self {
        World::with(Options::default(), 0)
    }

    pub fn with(options: Options, features: u64) -> Self {
        World {
            nat: Nat::new(FakeHost::default(), options),
            link: FakeLink {
                sent: VecDeque::new(),
                got: VecDeque::new(),
                room: usize::MAX,
                features: Some(features),
            },
            now: Duration::from_secs(1),
        }
    }

    pub fn large() -> Self {
        World::with(
            Options::default(),
            spec::F_GUEST_CSUM | spec::F_GUEST_TSO4 | spec::F_GUEST_TSO6,
        )
    }

    /// Does all that can be done now.
    pub fn run(&mut self) {
        for _ in 0..1000 {
            let more = self.nat.guest(&mut self.link, self.now);
            if !self.nat.run(&mut self.link, self.now) && !more {
                return;
            }
        }
        panic!("the network has always more to do");
    }

    /// Lets time pass, in the steps that the network asks for.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            let next = self.nat.deadline().min(until);
            assert!(next > self.now || self.nat.deadline() <= self.now);
            self.now = next.max(self.now + Duration::from_millis(1));
            self.run();
        }
    }

    /// The guest sends an IP packet.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, protocol: IpProtocol, bytes: &[u8]) {
        let headers = Headers::ip([2; 6], from.ip(), to.ip(), protocol, bytes.len(), None);
        let mut frame = [headers.bytes(), bytes].concat();
        frame[6..12].copy_from_slice(&GUEST_MAC);
        self.link.sent.push_back(frame);
        self.run();
    }

    pub fn send_udp(&mut self, from: &str, to: &str, payload: &[u8]) {
        let (from, to) = (address(from), address(to));
        let header = wire::udp(from, to, payload);
        self.send(from, to, IpProtocol::Udp, &[&header, payload].concat());
    }

    /// The next frame that the guest gets.
    pub fn frame(&mut self) -> Vec<u8> {
        let (offload, mut frame) = self.link.got.pop_front().expect("a frame");
        if let Some((start, at)) = offload.checksum {
            let check = !wire::sum(0, &[&frame[usize::from(start)..]]);
            frame[usize::from(at)..][..2].copy_from_slice(&check.to_be_bytes());
        }
        assert_eq!(frame[..6], GUEST_MAC);
        frame
    }

    /// The next frame, which is an IP packet: who sent it, its protocol, and what is in it.
    pub fn packet(&mut self) -> (IpAddr, IpProtocol, Vec<u8>) {
        let frame = self.frame();
        let bytes = &frame[ETHERNET..];
        let packet = wire::ipv4(bytes).or_else(|| wire::ipv6(bytes));
        let packet = packet.expect("a packet");
        assert_eq!(packet.fragment, None);
        (packet.source, packet.protocol, packet.payload.to_vec())
    }

    /// The next frame, which is UDP: from whom to which port, and what.
    pub fn datagram(&mut self) -> (String, u16, Vec<u8>) {
        let (source, protocol, bytes) = self.packet();
        assert_eq!(protocol, IpProtocol::Udp);
        let udp = UdpPacket::new_checked(&bytes[..]).expect("a datagram");
        let from = SocketAddr::new(source, udp.src_port());
        (from.to_string(), udp.dst_port(), udp.payload().to_vec())
    }

    /// The next frame, which says that something is unreachable: who says it, the code, and the
    /// packet's own payload.
    pub fn unreachable(&mut self) -> (String, u8, Vec<u8>) {
        let (source, protocol, bytes) = self.packet();
        let (kind, header) = match protocol {
            IpProtocol::Icmp => (3, 20),
            _ => (1, 40),
        };
        assert_eq!(bytes[0], kind);
        (source.to_string(), bytes[1], bytes[8 + header..].to_vec())
    }

    pub fn nothing(&mut self) {
        let got = self.link.got.pop_front();
        assert!(got.is_none(), "{got:02x?}");
    }

    /// The host's end of the latest socket.
    pub fn latest(&mut self) -> (u64, Shared) {
        let ends = &self.nat.host_mut().ends;
        let (id, end) = ends.last_key_value().expect("a socket");
        (*id, end.clone())
    }

    /// The host's socket gets a datagram.
    pub fn arrive(&mut self, id: u64, from: &str, payload: &[u8]) {
        let end = self.nat.host_mut().ends[&id].clone();
        end.get()
            .incoming
            .push_back((payload.to_vec(), address(from)));
        self.nat.host_ready(id);
        self.run();
    }
}

/// A TCP segment that the guest got.
#[derive(PartialEq, Eq, Debug)]
pub struct Got {
    pub seq: u32,
    pub ack: Option<u32>,
    /// S, F, R.
    pub flags: String,
    pub window: u16,
    pub payload: Vec<u8>,
}

pub fn got(bytes: &[u8]) -> Got {
    let tcp = TcpPacket::new_checked(bytes).expect("a segment");
    let flags = [(tcp.syn(), 'S'), (tcp.fin(), 'F'), (tcp.rst(), 'R')];
    Got {
        seq: tcp.seq_number().0 as u32,
        ack: tcp.ack().then(|| tcp.ack_number().0 as u32),
        flags: flags
            .iter()
            .filter(|flag| flag.0)
            .map(|flag| flag.1)
            .collect(),
        window: tcp.window_len(),
        payload: tcp.payload().to_vec(),
    }
}

#[test]
fn frames_without_sense_are_dropped() {
    let mut world = World::new();
    for frame in [&[][..], &[1; 13], &[2; 14], &[0x45; 60], &[0; 2000]] {
        world.link.sent.push_back(frame.to_vec());
        for kind in [TYPE_IPV4, TYPE_IPV6, TYPE_ARP] {
            let mut frame = frame.to_vec();
            if let Some(bytes) = frame.get_mut(12..14) {
                bytes.copy_from_slice(&kind.to_be_bytes());
            }
            world.link.sent.push_back(frame);
        }
    }
    world.run();
    world.nothing();
    assert_eq!(world.nat.counts(), (0, 0));
    assert_eq!(UDP, 8);
}
