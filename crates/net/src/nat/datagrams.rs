//! UDP and ICMP echo: a socket of the host's for each pair of ends.
//!
//! A socket for UDP reaches one address and hears from it only, with two exceptions. A TFTP server
//! answers from another port than it was asked at, so that a socket that asks one hears from all ports
//! of that address. And a published port hears from everybody.

use super::{Guest, Kind, Nat, Resolvers, Unreachable, why};
use crate::host::{Host, Socket};
use crate::local::{
    self, DHCP_CLIENT, DHCP_SERVER, ECHO_REPLY, ECHO_REPLY6, ECHO_REQUEST, ECHO_REQUEST6,
};
use crate::plan::{self, DNS_PORT, GATEWAY, GUEST, Who, who};
use crate::wire::{self, Packet, UDP};
use smoltcp::wire::{IpProtocol, UdpPacket};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most sockets.
pub(super) const SOCKETS: usize = 512;
/// How long a socket is kept without a datagram (RFC 4787, section 4.3).
const IDLE: Duration = Duration::from_secs(120);
/// The same for questions to a name server, and echo.
const SHORT_IDLE: Duration = Duration::from_secs(20);
/// How long a name server has to answer before another one is asked.
const DNS_PATIENCE: Duration = Duration::from_secs(2);
/// The port of TFTP servers.
const TFTP: u16 = 69;
/// How many datagrams a socket may receive before others get their turn.
const TURNS: usize = 32;
/// The most peers of a published port that are remembered.
const PEERS: usize = 256;
/// The longest datagram.
const LONGEST: usize = 65_507;

/// What a socket is for.
#[derive(Debug)]
enum Use {
    /// UDP to one address.
    Udp,
    /// UDP to one address, and answers from all its ports.
    Tftp,
    /// Questions to the name server, the last of which was asked then and is not answered.
    Dns(Option<Duration>),
    /// ICMP echo, with the guest's identifier, which is the port of its end, too.
    Echo,
    /// A published port of the guest: its peers, as the guest sees them, with their addresses.
    Published(BTreeMap<SocketAddr, SocketAddr>),
}

#[derive(Debug)]
struct Flow<S> {
    socket: S,
    /// The guest's end.
    guest: SocketAddr,
    /// The other end, as the guest sees it.
    remote: SocketAddr,
    /// The same, as the host sees it.
    target: SocketAddr,
    purpose: Use,
    last: Duration,
    queued: bool,
}

impl<S> Flow<S> {
    fn deadline(&self) -> Duration {
        self.last
            + match self.purpose {
                Use::Udp | Use::Tftp => IDLE,
                Use::Dns(_) | Use::Echo => SHORT_IDLE,
                Use::Published(_) => return Duration::MAX,
            }
    }
}

/// By the protocol, the guest's end and the other; the latter's port is 0 if it is all.
type Ends = (u8, SocketAddr, SocketAddr);

/// The sockets.
#[derive(Debug)]
pub(super) struct Datagrams<S> {
    flows: BTreeMap<u64, Flow<S>>,
    by_ends: BTreeMap<Ends, u64>,
    /// By the guest's port.
    published: BTreeMap<u16, u64>,
    buffer: Vec<u8>,
    /// Counts packets that are sent in parts.
    packets: u32,
}

impl<S> Default for Datagrams<S> {
    fn default() -> Self {
        Datagrams {
            flows: BTreeMap::new(),
            by_ends: BTreeMap::new(),
            published: BTreeMap::new(),
            buffer: vec![0; LONGEST + 1],
            packets: 0,
        }
    }
}

fn ends<S>(flow: &Flow<S>) -> Ends {
    let protocol = match flow.purpose {
        Use::Echo => IpProtocol::Icmp,
        _ => IpProtocol::Udp,
    };
    let mut remote = flow.remote;
    if matches!(flow.purpose, Use::Tftp) {
        remote.set_port(0);
    }
    (protocol.into(), flow.guest, remote)
}

impl<S> Datagrams<S> {
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether a socket is in the queue of those with something to do.
    pub fn queued(&mut self, id: u64) -> Option<&mut bool> {
        self.flows.get_mut(&id).map(|flow| &mut flow.queued)
    }

    /// Closes all sockets, but those of published ports.
    pub fn reset(&mut self) {
        self.flows
            .retain(|_, flow| matches!(flow.purpose, Use::Published(_)));
        for flow in self.flows.values_mut() {
            flow.queued = false;
            if let Use::Published(peers) = &mut flow.purpose {
                peers.clear();
            }
        }
        self.by_ends.clear();
    }

    fn remove(&mut self, id: u64) {
        if let Some(flow) = self.flows.remove(&id) {
            self.by_ends.remove(&ends(&flow));
        }
    }

    fn add(&mut self, id: u64, flow: Flow<S>) {
        if self.by_ends.len() >= SOCKETS {
            // The one that was used the longest ago.
            let candidates = self.by_ends.values();
            let oldest = candidates.min_by_key(|id| self.flows.get(id).map(|flow| flow.last));
            if let Some(oldest) = oldest.copied() {
                self.remove(oldest);
            }
        }
        self.by_ends.insert(ends(&flow), id);
        self.flows.insert(id, flow);
    }

    /// Closes what was not used for long, and blames a name server that does not answer.
    pub fn expire(&mut self, now: Duration, resolvers: &mut Resolvers) {
        let mut old = Vec::new();
        for (id, flow) in &mut self.flows {
            if flow.deadline() <= now {
                old.push(*id);
            }
            if let Use::Dns(asked) = &mut flow.purpose
                && asked.is_some_and(|asked| asked + DNS_PATIENCE <= now)
            {
                *asked = None;
                resolvers.blame(flow.target);
            }
        }
        for id in old {
            self.remove(id);
        }
    }

    /// The socket for what the guest sends.
    fn find(&self, protocol: IpProtocol, guest: SocketAddr, remote: SocketAddr) -> Option<u64> {
        let any = SocketAddr::new(remote.ip(), 0);
        let exact = [remote, any].into_iter().find_map(|remote| {
            self.by_ends
                .get(&(u8::from(protocol), guest, remote))
                .copied()
        });
        let published = || {
            let id = *self.published.get(&guest.port())?;
            match &self.flows.get(&id)?.purpose {
                Use::Published(peers) if peers.contains_key(&remote) => Some(id),
                _ => None,
            }
        };
        match protocol {
            IpProtocol::Udp => exact.or_else(published),
            _ => exact,
        }
    }
}

impl<H: Host> Nat<H> {
    /// Makes a socket of the host's reach a port of the guest's: UDP. Its number is `id`, from
    /// [`Nat::publish_id`].
    pub fn publish(&mut self, socket: H::Socket, port: u16, id: u64) {
        let nobody = SocketAddr::new(GATEWAY.into(), 0);
        let flow = Flow {
            socket,
            guest: SocketAddr::new(GUEST.into(), port),
            remote: nobody,
            target: nobody,
            purpose: Use::Published(BTreeMap::new()),
            last: Duration::ZERO,
            queued: false,
        };
        self.datagrams.flows.insert(id, flow);
        self.datagrams.published.insert(port, id);
    }

    /// A number for a socket that is published.
    pub fn publish_id(&mut self) -> u64 {
        self.ids.next(Kind::Datagrams)
    }

    /// The guest sends a UDP datagram.
    pub(super) fn udp(&mut self, packet: &Packet<'_>, guest: &mut Guest<'_>, now: Duration) {
        let Ok(datagram) = UdpPacket::new_checked(packet.payload) else {
            return;
        };
        let (source, destination) = (packet.source, packet.destination);
        let payload = datagram.payload();
        if datagram.dst_port() == DHCP_SERVER && local::is_dhcp_server(destination) {
            if let Some((to, answer)) = local::dhcp(payload, self.options.restricted) {
                let from = SocketAddr::new(GATEWAY.into(), DHCP_SERVER);
                let to = SocketAddr::new(to.into(), DHCP_CLIENT);
                self.datagrams.give(guest, from, to, &answer);
            }
            return;
        }
        let end = SocketAddr::new(source, datagram.src_port());
        let remote = SocketAddr::new(destination, datagram.dst_port());
        let mut result = Ok(());
        let mut known = self.datagrams.find(IpProtocol::Udp, end, remote);
        let resolver = who(destination) == Who::Resolver;
        if let Some(id) = known
            && resolver
            && let Ok(target) = self.target(remote, now)
            && self
                .datagrams
                .flows
                .get(&id)
                .is_some_and(|flow| flow.target != target)
        {
            // Another name server is asked now.
            self.datagrams.remove(id);
            known = None;
        }
        let id = match known {
            Some(id) => Some(id),
            None => match self.target(remote, now) {
                Err(why) => {
                    result = Err(why);
                    None
                }
                Ok(target) => {
                    let (only, purpose) = match remote.port() {
                        TFTP if !resolver => (false, Use::Tftp),
                        DNS_PORT if resolver => (true, Use::Dns(None)),
                        _ => (true, Use::Udp),
                    };
                    let id = self.ids.next(Kind::Datagrams);
                    match self.host.datagrams(target, only, id) {
                        Ok(socket) => {
                            let flow = Flow {
                                socket,
                                guest: end,
                                remote,
                                target,
                                purpose,
                                last: now,
                                queued: false,
                            };
                            self.datagrams.add(id, flow);
                            self.timer = self.timer.min(now + super::TIDY);
                            Some(id)
                        }
                        Err(error) => {
                            result = Err(Some(why(&error).unwrap_or(Unreachable::Host)));
                            None
                        }
                    }
                }
            },
        };
        if let Some(flow) = id.and_then(|id| self.datagrams.flows.get_mut(&id)) {
            flow.last = now;
            let mut to = SocketAddr::new(flow.target.ip(), remote.port());
            match &mut flow.purpose {
                Use::Dns(asked) => *asked = asked.or(Some(now)),
                Use::Published(peers) => {
                    if let Some(peer) = peers.get(&remote) {
                        to = *peer;
                    }
                }
                Use::Udp | Use::Tftp | Use::Echo => {}
            }
            // A socket may tell now that an earlier datagram was refused.
            for _ in 0..2 {
                match flow.socket.send(payload, to) {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                        result = Err(Some(Unreachable::Port));
                        if let Use::Dns(_) = flow.purpose {
                            self.resolvers.blame(flow.target);
                        }
                    }
                    Err(error) => {
                        result = why(&error).map_or(Ok(()), |why| Err(Some(why)));
                        break;
                    }
                    Ok(()) => break,
                }
            }
        }
        if let Err(Some(why)) = result {
            let udp = IpProtocol::Udp;
            guest.unreachable(why, source, destination, udp, packet.payload);
        }
    }

    /// The guest sends an ICMP message.
    pub(super) fn echo(&mut self, packet: &Packet<'_>, guest: &mut Guest<'_>, now: Duration) {
        let (source, destination) = (packet.source, packet.destination);
        let [kind, 0, _, _, i0, i1, ..] = *packet.payload else {
            return;
        };
        if kind != ECHO_REQUEST && !source.is_ipv6() || kind != ECHO_REQUEST6 && source.is_ipv6() {
            return;
        }
        if packet.payload.len() < 8 {
            return;
        }
        if matches!(who(destination), Who::Host(_) | Who::Resolver) {
            let mut message = packet.payload.to_vec();
            local::set_echo(destination, source, &mut message, true, None);
            let id = self.datagrams.next_packet();
            guest.packet(destination, source, packet.protocol, &message, id);
            return;
        }
        let identifier = u16::from_be_bytes([i0, i1]);
        let end = SocketAddr::new(source, identifier);
        let remote = SocketAddr::new(destination, 0);
        let result = match self.datagrams.find(IpProtocol::Icmp, end, remote) {
            Some(id) => Ok(id),
            None => self.target(remote, now).and_then(|target| {
                let id = self.ids.next(Kind::Datagrams);
                let socket = self.host.echo(target.ip(), id);
                let socket = socket.map_err(|error| {
                    // Most often the host lets only some of its users send echo requests.
                    Some(why(&error).unwrap_or(Unreachable::Prohibited))
                })?;
                let flow = Flow {
                    socket,
                    guest: end,
                    remote,
                    target,
                    purpose: Use::Echo,
                    last: now,
                    queued: false,
                };
                self.datagrams.add(id, flow);
                self.timer = self.timer.min(now + super::TIDY);
                Ok(id)
            }),
        };
        let result = result.and_then(|id| {
            let Some(flow) = self.datagrams.flows.get_mut(&id) else {
                return Ok(());
            };
            flow.last = now;
            match flow.socket.send(packet.payload, flow.target) {
                Ok(()) => Ok(()),
                Err(error) => Err(why(&error)),
            }
        });
        if let Err(Some(why)) = result {
            let (protocol, payload) = (packet.protocol, packet.payload);
            guest.unreachable(why, source, destination, protocol, payload);
        }
    }

    /// A socket may have datagrams for the guest.
    pub(super) fn run_datagrams(&mut self, id: u64, guest: &mut Guest<'_>) {
        let Some(flow) = self.datagrams.flows.get_mut(&id) else {
            return;
        };
        flow.queued = false;
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        let mut again = true;
        for _ in 0..TURNS {
            let Some(flow) = self.datagrams.flows.get_mut(&id) else {
                break;
            };
            match flow.socket.receive(&mut buffer) {
                Ok((len, from)) => {
                    let end = flow.guest;
                    let bytes = buffer.get_mut(..len.min(LONGEST)).unwrap_or_default();
                    if let Some(from) = flow.hear(from) {
                        if let Use::Echo = flow.purpose {
                            self.datagrams.give_echo(guest, from.ip(), end, bytes);
                        } else {
                            self.datagrams.give(guest, from, end, bytes);
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    let (end, remote) = (flow.guest, flow.remote);
                    if let Use::Dns(_) = flow.purpose {
                        self.resolvers.blame(flow.target);
                    }
                    if end.is_ipv4() == remote.is_ipv4() && remote.port() != 0 {
                        let header = wire::udp(end, remote, &[]);
                        let (udp, port) = (IpProtocol::Udp, Unreachable::Port);
                        guest.unreachable(port, end.ip(), remote.ip(), udp, &header);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    again = false;
                    break;
                }
                // About a datagram that was sent earlier.
                Err(_) => {}
            }
            if guest.full {
                break;
            }
        }
        self.datagrams.buffer = buffer;
        if again {
            self.queue(id);
        }
    }
}

impl<S> Flow<S> {
    /// Notes that somebody has sent a datagram: who that is for the guest, if it is to hear of it.
    fn hear(&mut self, from: SocketAddr) -> Option<SocketAddr> {
        match &mut self.purpose {
            Use::Udp | Use::Echo => Some(self.remote),
            Use::Dns(asked) => {
                *asked = None;
                Some(self.remote)
            }
            Use::Tftp => (from.ip().to_canonical() == self.target.ip())
                .then(|| SocketAddr::new(self.remote.ip(), from.port())),
            Use::Published(peers) => {
                let seen = plan::seen_as(from);
                if !peers.contains_key(&seen) && peers.len() >= PEERS {
                    peers.pop_first();
                }
                peers.insert(seen, from);
                Some(seen)
            }
        }
    }
}

impl<S> Datagrams<S> {
    fn next_packet(&mut self) -> u32 {
        self.packets = self.packets.wrapping_add(1);
        self.packets
    }

    /// Gives the guest a datagram.
    fn give(&mut self, guest: &mut Guest<'_>, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let header: [u8; UDP] = wire::udp(from, to, payload);
        let packet = [&header, payload].concat();
        let id = self.next_packet();
        guest.packet(from.ip(), to.ip(), IpProtocol::Udp, &packet, id);
    }

    /// Gives the guest the answer to an echo request.
    fn give_echo(
        &mut self,
        guest: &mut Guest<'_>,
        from: IpAddr,
        to: SocketAddr,
        message: &mut [u8],
    ) {
        let (kind, protocol) = match from {
            IpAddr::V4(_) => (ECHO_REPLY, IpProtocol::Icmp),
            IpAddr::V6(_) => (ECHO_REPLY6, IpProtocol::Icmpv6),
        };
        if message.len() < 8 || message.first() != Some(&kind) {
            return;
        }
        local::set_echo(from, to.ip(), message, true, Some(to.port()));
        let id = self.next_packet();
        guest.packet(from, to.ip(), protocol, message, id);
    }
}
