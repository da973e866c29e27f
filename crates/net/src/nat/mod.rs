//! The user-mode network: connections and datagrams of the guest become sockets of the host.
//!
//! A state machine without threads and without sockets of its own: who drives it hands it frames
//! ([`Nat::guest`]), tells it which sockets are ready ([`Nat::host_ready`]) and what time it is.

mod datagrams;
mod fragments;
#[cfg(test)]
mod tests;

use crate::host::Host;
use crate::link::{self, Link};
use crate::local::{self, Unreachable};
use crate::plan::{self, DNS_PORT, GATEWAY, GATEWAY6, GUEST, GUEST_MAC, MTU, Who, who};
use crate::tcp::{Broken, Connection, Incoming};
use crate::wire::{
    self, Ability, ETHERNET, Fragment, Headers, Packet, RST, SYN, Segment, TCP, TYPE_ARP,
    TYPE_IPV4, TYPE_IPV6,
};
use datagrams::Datagrams;
use fragments::Fragments;
use skep_board::virtio::net::{Mac, Offload};
use smoltcp::wire::{EthernetFrame, IpProtocol};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most TCP connections.
pub const CONNECTIONS: usize = 1024;
/// How many bytes all connections together may hold in each direction: each as much as its share,
/// within limits.
const BUDGET: usize = 64 << 20;
/// The most that one connection may hold in each direction.
const MOST: usize = 512 << 10;
/// The most data in a TCP segment that the guest cuts: a packet of 64 KiB with its headers.
const LARGE: usize = 65_535 - 40 - TCP;
/// How many frames of the guest are looked at before the host's sockets get their turn.
const FRAMES: usize = 64;
/// How often idle connections give memory back.
const TIDY: Duration = Duration::from_secs(2);

/// What the user may choose.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Options {
    /// The guest reaches nothing: only published ports reach it.
    pub restricted: bool,
    /// The name server, in place of the host's.
    pub dns: Option<SocketAddr>,
}

/// What a socket's number says it is for: its two lowest bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Tcp = 0,
    Datagrams = 1,
}

/// Numbers for sockets: none comes twice.
#[derive(Debug, Default)]
struct Ids(u64);

impl Ids {
    fn next(&mut self, kind: Kind) -> u64 {
        self.0 += 1;
        self.0 << 2 | kind as u64
    }
}

/// The way to the guest.
struct Guest<'l> {
    link: &'l mut dyn Link,
    mac: Mac,
    ability: Ability,
    /// It had no room for something.
    full: bool,
}

impl Guest<'_> {
    /// Gives a frame. One that there is no room for is lost, as on any network, unless who sends it
    /// remembers.
    fn give(&mut self, offload: &Offload, headers: usize, parts: &[&[u8]]) -> bool {
        let given = self.link.give(offload, headers, parts);
        self.full |= !given;
        given
    }

    /// Gives an IP packet, in parts if it is too long for the link.
    fn packet(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        protocol: IpProtocol,
        payload: &[u8],
        id: u32,
    ) -> bool {
        let room = MTU - if source.is_ipv6() { 40 } else { 20 };
        if payload.len() <= room {
            let len = payload.len();
            let headers = Headers::ip(self.mac, source, destination, protocol, len, None);
            return self.give(&Offload::default(), 0, &[headers.bytes(), payload]);
        }
        let step = (room - 8) & !7;
        for (index, part) in payload.chunks(step).enumerate() {
            let offset = index * step;
            let more = offset + part.len() < payload.len();
            let fragment = Some(Fragment { id, offset, more });
            let len = part.len();
            let headers = Headers::ip(self.mac, source, destination, protocol, len, fragment);
            if !self.give(&Offload::default(), 0, &[headers.bytes(), part]) {
                return false;
            }
        }
        true
    }

    /// Gives a TCP segment.
    fn segment(
        &mut self,
        guest: SocketAddr,
        remote: SocketAddr,
        segment: &Segment,
        parts: [&[u8]; 2],
        mss: u16,
    ) -> bool {
        let (headers, offload) =
            wire::tcp(self.mac, remote, guest, segment, &parts, mss, self.ability);
        let bytes = headers.bytes();
        self.give(&offload, bytes.len(), &[bytes, parts[0], parts[1]])
    }

    /// The most data of a segment that the guest cuts, if it does.
    fn large(&self, guest: SocketAddr) -> Option<usize> {
        let able = match guest {
            SocketAddr::V4(_) => self.ability.large4,
            SocketAddr::V6(_) => self.ability.large6,
        };
        able.then_some(LARGE)
    }

    /// Tells the guest that a packet of it goes nowhere.
    fn unreachable(
        &mut self,
        why: Unreachable,
        source: IpAddr,
        destination: IpAddr,
        protocol: IpProtocol,
        payload: &[u8],
    ) {
        let (from, icmp) = match source {
            IpAddr::V4(_) => (GATEWAY.into(), IpProtocol::Icmp),
            IpAddr::V6(_) => (GATEWAY6.into(), IpProtocol::Icmpv6),
        };
        let mut message = local::unreachable(why, source, destination, protocol, payload);
        local::set_icmp_checksum(from, source, &mut message);
        self.packet(from, source, icmp, &message, 0);
    }
}

/// Why the host could not do something, as ICMP says it; None: nobody listens there.
fn why(error: &io::Error) -> Option<Unreachable> {
    match error.kind() {
        ErrorKind::NetworkUnreachable => Some(Unreachable::Network),
        ErrorKind::PermissionDenied => Some(Unreachable::Prohibited),
        ErrorKind::HostUnreachable | ErrorKind::TimedOut => Some(Unreachable::Host),
        // The host has no address of that kind.
        ErrorKind::AddrNotAvailable => Some(Unreachable::Network),
        _ => None,
    }
}

/// A connection, and whether it is in the queue of those with something to do.
struct Entry<S: crate::host::Stream> {
    connection: Connection<S>,
    queued: bool,
}

/// The network.
pub struct Nat<H: Host> {
    host: H,
    options: Options,
    mac: Mac,
    ids: Ids,
    connections: BTreeMap<u64, Entry<H::Stream>>,
    /// By the guest's end and the other.
    by_ends: BTreeMap<(SocketAddr, SocketAddr), u64>,
    datagrams: Datagrams<H::Socket>,
    fragments: Fragments,
    /// What has something to do.
    ready: VecDeque<u64>,
    /// Nothing is due before.
    timer: Duration,
    tidied: Duration,
    frame: Vec<u8>,
    resolvers: Resolvers,
}

/// The host's name servers.
#[derive(Default)]
struct Resolvers {
    known: Vec<SocketAddr>,
    /// Which of them answers.
    current: usize,
    asked: Option<Duration>,
}

/// How often the host's name servers are looked up.
const RESOLVERS_AGE: Duration = Duration::from_secs(5);

impl Resolvers {
    fn current(&mut self, host: &mut impl Host, options: &Options, now: Duration) -> SocketAddr {
        let fresh = self.asked.is_some_and(|asked| asked + RESOLVERS_AGE > now);
        if !fresh {
            let found = match options.dns {
                Some(dns) => vec![dns],
                None => host.resolvers(),
            };
            if found != self.known {
                (self.known, self.current) = (found, 0);
            }
            self.asked = Some(now);
        }
        // As the C library does without a configuration.
        let none = SocketAddr::new([127, 0, 0, 1].into(), DNS_PORT);
        self.known.get(self.current).copied().unwrap_or(none)
    }

    /// This one does not answer.
    fn blame(&mut self, resolver: SocketAddr) {
        if self.known.get(self.current) == Some(&resolver) {
            self.current = (self.current + 1) % self.known.len();
        }
    }
}

impl<H: Host> Nat<H> {
    /// A network without connections.
    pub fn new(host: H, options: Options) -> Self {
        Nat {
            host,
            options,
            mac: GUEST_MAC,
            ids: Ids::default(),
            connections: BTreeMap::new(),
            by_ends: BTreeMap::new(),
            datagrams: Datagrams::default(),
            fragments: Fragments::default(),
            ready: VecDeque::new(),
            timer: Duration::ZERO,
            tidied: Duration::ZERO,
            frame: Vec::new(),
            resolvers: Resolvers::default(),
        }
    }

    /// The host.
    pub fn host_mut(&mut self) -> &mut H {
        &mut self.host
    }

    /// Numbers of TCP connections, and of sockets for datagrams.
    pub fn counts(&self) -> (usize, usize) {
        (self.connections.len(), self.datagrams.len())
    }

    /// Forgets the guest's connections: it was reset.
    pub fn reset(&mut self) {
        for entry in self.connections.values_mut() {
            entry.connection.abort();
        }
        self.connections.clear();
        self.by_ends.clear();
        self.datagrams.reset();
        self.fragments.clear();
        self.ready.clear();
    }

    /// How many bytes each connection may hold in each direction.
    fn limit(&self) -> usize {
        (BUDGET / self.connections.len().max(1)).min(MOST)
    }

    fn to_guest<'l>(mac: Mac, link: &'l mut dyn Link) -> Guest<'l> {
        let ability = link::ability(link.features().unwrap_or_default());
        Guest {
            link,
            mac,
            ability,
            full: false,
        }
    }

    /// Takes frames that the guest has sent; true if there may be more.
    pub fn guest(&mut self, link: &mut dyn Link, now: Duration) -> bool {
        let mut frame = std::mem::take(&mut self.frame);
        let mut more = false;
        for turn in 1..=FRAMES {
            if link.take(&mut frame).is_none() {
                break;
            }
            let mut guest = Self::to_guest(self.mac, link);
            self.sent(&frame, &mut guest, now);
            more = turn == FRAMES;
        }
        self.frame = frame;
        more
    }

    /// The guest has sent a frame. What it left to be done to checksums and segments does not
    /// matter: the payload goes into sockets.
    fn sent(&mut self, frame: &[u8], guest: &mut Guest<'_>, now: Duration) {
        let Ok(ethernet) = EthernetFrame::new_checked(frame) else {
            return;
        };
        let from = ethernet.src_addr();
        if from.is_unicast() {
            (self.mac, guest.mac) = (from.0, from.0);
        }
        let payload = frame.get(ETHERNET..).unwrap_or_default();
        let packet = match u16::from(ethernet.ethertype()) {
            TYPE_ARP => {
                if let Some(answer) = local::arp(payload) {
                    guest.give(&Offload::default(), 0, &[&answer]);
                }
                return;
            }
            TYPE_IPV4 => wire::ipv4(payload),
            TYPE_IPV6 => wire::ipv6(payload),
            _ => return,
        };
        let Some(packet) = packet else {
            return;
        };
        match packet.fragment {
            None => self.packet(&packet, guest, now),
            Some(part) => {
                if let Some(payload) = self.fragments.add(&packet, part, now) {
                    let whole = Packet {
                        payload: &payload,
                        fragment: None,
                        ..packet
                    };
                    self.packet(&whole, guest, now);
                }
            }
        }
    }

    fn packet(&mut self, packet: &Packet<'_>, guest: &mut Guest<'_>, now: Duration) {
        let ipv6 = packet.source.is_ipv6();
        match packet.protocol {
            IpProtocol::Tcp => self.tcp(packet, guest, now),
            IpProtocol::Udp => self.udp(packet, guest, now),
            IpProtocol::Icmp if !ipv6 => self.echo(packet, guest, now),
            IpProtocol::Icmpv6 if ipv6 => match local::discovery(packet.source, packet.payload) {
                Some((from, to, message)) => {
                    let icmp = IpProtocol::Icmpv6;
                    guest.packet(from.into(), to.into(), icmp, &message, 0);
                }
                None => self.echo(packet, guest, now),
            },
            _ => {}
        }
    }

    /// Where a packet of the guest's goes: an address of the host's kind, or why it goes nowhere. No
    /// reason: nobody is told.
    fn target(
        &mut self,
        remote: SocketAddr,
        now: Duration,
    ) -> Result<SocketAddr, Option<Unreachable>> {
        let ip = remote.ip();
        let everybody = ip.is_multicast()
            || ip == plan::BROADCAST
            || ip == std::net::Ipv4Addr::BROADCAST
            || ip.is_unspecified();
        if everybody {
            return Err(None);
        }
        if self.options.restricted {
            return Err(Some(Unreachable::Prohibited));
        }
        match who(ip) {
            Who::Host(ip) | Who::Beyond(ip) => Ok(SocketAddr::new(ip, remote.port())),
            Who::Resolver if remote.port() == DNS_PORT => {
                let Nat {
                    resolvers,
                    host,
                    options,
                    ..
                } = self;
                Ok(resolvers.current(host, options, now))
            }
            Who::Resolver => Err(Some(Unreachable::Port)),
            Who::Nobody => Err(Some(Unreachable::Host)),
        }
    }

    fn tcp(&mut self, packet: &Packet<'_>, guest: &mut Guest<'_>, now: Duration) {
        let Some((source, destination, incoming)) = Incoming::parse(packet.payload) else {
            return;
        };
        let ends = (
            SocketAddr::new(packet.source, source),
            SocketAddr::new(packet.destination, destination),
        );
        if let Some(id) = self.by_ends.get(&ends).copied() {
            let limit = self.limit();
            if let Some(entry) = self.connections.get_mut(&id) {
                match entry.connection.segment(&incoming, limit, now) {
                    Ok(()) => self.queue(id),
                    Err(broken) => self.end(id, broken, guest),
                }
            }
        } else if incoming.flags & (SYN | RST) == SYN && incoming.ack.is_none() {
            self.open(ends, &incoming, packet, guest, now);
        } else if let Some(refusal) = incoming.refusal()
            && !packet.destination.is_multicast()
        {
            guest.segment(ends.0, ends.1, &refusal, [&[]; 2], 1);
        }
    }

    /// The guest wants a connection.
    fn open(
        &mut self,
        ends: (SocketAddr, SocketAddr),
        syn: &Incoming<'_>,
        packet: &Packet<'_>,
        guest: &mut Guest<'_>,
        now: Duration,
    ) {
        let id = self.ids.next(Kind::Tcp);
        let stream = match self.target(ends.1, now) {
            Err(None) => return,
            Err(Some(why)) => {
                let start = packet.payload.get(..8).unwrap_or_default();
                let (source, destination) = (packet.source, packet.destination);
                return guest.unreachable(why, source, destination, IpProtocol::Tcp, start);
            }
            Ok(_) if self.connections.len() >= CONNECTIONS => {
                Err(ErrorKind::ConnectionRefused.into())
            }
            Ok(target) => self.host.connect(target, id),
        };
        match stream {
            Ok(stream) => {
                let (end, remote) = ends;
                let first = Self::first_number(id, now);
                let connection = Connection::connecting(end, remote, stream, syn, first, now);
                self.add(id, connection);
            }
            Err(error) => Self::refuse(ends, &error, syn.seq, guest),
        }
    }

    /// The sequence number to begin with (RFC 9293, section 3.4.1): on this link nobody guesses it.
    fn first_number(id: u64, now: Duration) -> u32 {
        (now.as_micros() as u32 / 4).wrapping_add((id as u32).wrapping_mul(64_007))
    }

    fn add(&mut self, id: u64, connection: Connection<H::Stream>) {
        self.by_ends
            .insert((connection.guest, connection.remote), id);
        let entry = Entry {
            connection,
            queued: false,
        };
        self.connections.insert(id, entry);
        self.queue(id);
    }

    /// Tells the guest that the host could not connect.
    fn refuse(
        (end, remote): (SocketAddr, SocketAddr),
        error: &io::Error,
        syn: u32,
        guest: &mut Guest<'_>,
    ) {
        match why(error) {
            None => {
                let reset = Segment {
                    ack: Some(syn.wrapping_add(1)),
                    flags: RST,
                    ..Segment::default()
                };
                guest.segment(end, remote, &reset, [&[]; 2], 1);
            }
            Some(why) => {
                let mut start = [0; 8];
                start[..2].copy_from_slice(&end.port().to_be_bytes());
                start[2..4].copy_from_slice(&remote.port().to_be_bytes());
                start[4..].copy_from_slice(&syn.to_be_bytes());
                guest.unreachable(why, end.ip(), remote.ip(), IpProtocol::Tcp, &start);
            }
        }
    }

    /// A program of the host's, or somebody beyond, has connected to a published port of the guest's.
    /// The stream's number is `id`, from [`Nat::accept_id`].
    pub fn accepted(
        &mut self,
        mut stream: H::Stream,
        peer: SocketAddr,
        port: u16,
        id: u64,
        now: Duration,
    ) {
        use crate::host::Stream;
        let end = SocketAddr::new(GUEST.into(), port);
        let mut remote = plan::seen_as(peer);
        // Two peers may look the same.
        let mut tries = 0;
        while self.by_ends.contains_key(&(end, remote)) && tries <= CONNECTIONS {
            remote.set_port(remote.port().checked_add(1).unwrap_or(1024));
            tries += 1;
        }
        if self.connections.len() >= CONNECTIONS || tries > CONNECTIONS {
            return stream.abort();
        }
        let first = Self::first_number(id, now);
        self.add(id, Connection::accepted(end, remote, stream, first, now));
    }

    /// A number for a stream that the host accepts.
    pub fn accept_id(&mut self) -> u64 {
        self.ids.next(Kind::Tcp)
    }

    /// A socket of the host's, by its number, may be ready.
    pub fn host_ready(&mut self, id: u64) {
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.connection.host_ready();
        }
        self.queue(id);
    }

    /// Puts something into the queue of what has something to do.
    fn queue(&mut self, id: u64) {
        let queued = match self.connections.get_mut(&id) {
            Some(entry) => &mut entry.queued,
            None => match self.datagrams.queued(id) {
                Some(queued) => queued,
                None => return,
            },
        };
        if !std::mem::replace(queued, true) {
            self.ready.push_back(id);
        }
    }

    /// Ends a connection early.
    fn end(&mut self, id: u64, broken: Broken, guest: &mut Guest<'_>) {
        let Some(mut entry) = self.connections.remove(&id) else {
            return;
        };
        let connection = &mut entry.connection;
        let ends = (connection.guest, connection.remote);
        self.by_ends.remove(&ends);
        match broken {
            Broken::Refused(error, syn) => Self::refuse(ends, &error, syn, guest),
            Broken::Host => {
                connection.abort();
                let reset = connection.reset();
                guest.segment(ends.0, ends.1, &reset, [&[]; 2], 1);
            }
            Broken::Guest => connection.abort(),
        }
    }

    /// Moves what can be moved, and does what is due. True if there is more to do at once; otherwise
    /// the guest has no room, or sockets will be ready.
    pub fn run(&mut self, link: &mut dyn Link, now: Duration) -> bool {
        if link.features().is_none() || link.paused() {
            // The card notifies when it is used again.
            self.timer = self.timer.max(now + TIDY);
            return false;
        }
        let mut guest = Self::to_guest(self.mac, link);
        if now >= self.timer {
            self.tick(&mut guest, now);
        }
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else {
                break;
            };
            if self.datagrams.queued(id).is_some() {
                self.run_datagrams(id, &mut guest);
            } else {
                self.run_connection(id, &mut guest, now);
            }
            if guest.full {
                return false;
            }
        }
        !self.ready.is_empty()
    }

    fn run_connection(&mut self, id: u64, guest: &mut Guest<'_>, now: Duration) {
        let limit = self.limit();
        let Some(entry) = self.connections.get_mut(&id) else {
            return;
        };
        entry.queued = false;
        let connection = &mut entry.connection;
        if let Err(broken) = connection.exchange(limit, now) {
            return self.end(id, broken, guest);
        }
        let ends = (connection.guest, connection.remote);
        let large = guest.large(ends.0);
        let all = connection.send(limit, large, now, &mut |segment, parts, mss| {
            guest.segment(ends.0, ends.1, segment, parts, mss)
        });
        self.timer = self.timer.min(connection.deadline());
        if !all {
            self.queue(id);
        } else if connection.done() {
            self.connections.remove(&id);
            self.by_ends.remove(&ends);
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Duration {
        self.timer
    }

    fn tick(&mut self, guest: &mut Guest<'_>, now: Duration) {
        let tidy = self.tidied + TIDY <= now;
        let (mut broken, mut due) = (Vec::new(), Vec::new());
        for (id, entry) in &mut self.connections {
            if entry.connection.deadline() <= now {
                match entry.connection.tick(now) {
                    Ok(()) => due.push(*id),
                    Err(why) => broken.push((*id, why)),
                }
            }
            if tidy {
                entry.connection.shrink();
            }
        }
        for id in due {
            self.queue(id);
        }
        for (id, why) in broken {
            self.end(id, why, guest);
        }
        self.datagrams.expire(now, &mut self.resolvers);
        let deadlines = self.connections.values();
        let next = deadlines.map(|entry| entry.connection.deadline()).min();
        if tidy {
            self.tidied = now;
        }
        let busy = !self.connections.is_empty() || self.datagrams.len() > 0;
        let later = if busy {
            TIDY
        } else {
            Duration::from_secs(3600)
        };
        self.timer = next.unwrap_or(Duration::MAX).min(now + later);
    }
}
