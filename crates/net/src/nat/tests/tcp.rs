//! TCP: the guest's side is written by hand, segment by segment.

use super::*;
use crate::plan::GATEWAY_MAC;
use crate::wire::{FIN, PSH};

const REMOTE: &str = "192.0.2.1:80";
const ACK: u8 = 16;
/// The guest's first sequence number: the next ones wrap around.
const FIRST: u32 = u32::MAX - 1;

/// A guest's end of a connection.
struct Peer {
    world: World,
    end: SocketAddr,
    remote: SocketAddr,
    seq: u32,
    ack: u32,
    window: u16,
    host: Shared,
    id: u64,
}

fn segment(
    from: SocketAddr,
    to: SocketAddr,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend(ack.to_be_bytes());
    let options: &[u8] = if flags & SYN != 0 {
        &[2, 4, 5, 0xb4, 1, 3, 3, 7]
    } else {
        &[]
    };
    bytes.extend([(((20 + options.len()) / 4) << 4) as u8, flags]);
    bytes.extend(window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

impl Peer {
    fn new(world: World, end: &str, remote: &str) -> Self {
        let mut peer = Peer {
            world,
            end: address(end),
            remote: address(remote),
            seq: FIRST,
            ack: 0,
            window: 500,
            host: Shared::default(),
            id: 0,
        };
        peer.send(SYN, b"");
        peer.seq = peer.seq.wrapping_add(1);
        if let Some((id, host)) = peer.world.nat.host.ends.last_key_value() {
            (peer.id, peer.host) = (*id, host.clone());
        }
        peer
    }

    /// A connection that both sides agree on.
    fn open(world: World) -> Self {
        let mut peer = Peer::new(world, GUEST_END, REMOTE);
        peer.ready();
        let answer = peer.got();
        assert_eq!(answer.flags, "S");
        peer.ack = answer.seq.wrapping_add(1);
        peer.send(ACK, b"");
        peer.world.nothing();
        peer
    }

    fn send(&mut self, flags: u8, payload: &[u8]) {
        let bytes = segment(
            self.end,
            self.remote,
            self.seq,
            self.ack,
            flags,
            self.window,
            payload,
        );
        let (end, remote) = (self.end, self.remote);
        self.world.send(end, remote, IpProtocol::Tcp, &bytes);
    }

    /// Sends data, and counts it.
    fn data(&mut self, payload: &[u8]) {
        self.send(ACK | PSH, payload);
        self.seq = self.seq.wrapping_add(payload.len() as u32);
    }

    fn got(&mut self) -> Got {
        let (source, protocol, bytes) = self.world.packet();
        assert_eq!((source, protocol), (self.remote.ip(), IpProtocol::Tcp));
        got(&bytes)
    }

    /// The host's stream is ready.
    fn ready(&mut self) {
        self.world.nat.host_ready(self.id);
        self.world.run();
    }

    /// The other side sends something.
    fn arrive(&mut self, bytes: &[u8]) {
        let piece = (bytes.to_vec(), self.remote);
        self.host.get().incoming.push_back(piece);
        self.ready();
    }

    /// Takes all data that the guest is sent; it must be in order.
    fn receive(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.world.link.got.is_empty() {
            let got = self.got();
            if !got.payload.is_empty() {
                assert_eq!(got.seq, self.ack);
                self.ack = self.ack.wrapping_add(got.payload.len() as u32);
                all.extend(got.payload);
            }
        }
        all
    }

    fn connections(&self) -> usize {
        self.world.nat.counts().0
    }
}

#[test]
fn the_host_connects_first() {
    let mut world = World::new();
    world.nat.host_mut().slow = true;
    let mut peer = Peer::new(world, GUEST_END, "10.0.2.2:80");
    assert_eq!(peer.host.get().to, Some(address("127.0.0.1:80")));
    peer.ready();
    peer.world.nothing();
    // The guest repeats its SYN.
    peer.seq = FIRST;
    peer.send(SYN, b"");
    peer.world.nothing();
    peer.host.get().connected = Some(Ok(()));
    peer.ready();
    let answer = peer.got();
    assert_eq!(
        (answer.flags.as_str(), answer.ack),
        ("S", Some(FIRST.wrapping_add(1)))
    );
    assert!(answer.window > 0);
    // And once more: it hears the same again.
    peer.send(SYN, b"");
    assert_eq!(peer.got(), answer);
    peer.world.nothing();
    assert_eq!(peer.connections(), 1);
}

#[test]
fn the_guest_is_refused_what_the_host_is() {
    use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    for (kind, code) in [
        (ConnectionRefused, None),
        (HostUnreachable, Some(1)),
        (TimedOut, Some(1)),
        (NetworkUnreachable, Some(0)),
        (ErrorKind::PermissionDenied, Some(13)),
    ] {
        for slow in [false, true] {
            let mut world = World::new();
            world.nat.host_mut().slow = slow;
            if !slow {
                world.nat.host_mut().error = Some(kind);
            }
            let mut peer = Peer::new(world, GUEST_END, REMOTE);
            if slow {
                peer.world.nothing();
                peer.host.get().connected = Some(Err(kind));
                peer.ready();
                assert!(peer.host.get().dropped);
            }
            match code {
                None => {
                    let reset = peer.got();
                    assert_eq!(reset.flags, "R");
                    assert_eq!((reset.seq, reset.ack), (0, Some(peer.seq)));
                }
                Some(code) => {
                    let (_, told, original) = peer.world.unreachable();
                    assert_eq!(told, code);
                    assert_eq!(original[4..8], FIRST.to_be_bytes());
                }
            }
            peer.world.nothing();
            assert_eq!(peer.connections(), 0);
        }
    }
}

#[test]
fn nobody_is_where_nobody_can_be() {
    for (end, remote, code) in [
        (GUEST_END, "10.0.2.77:80", 1),
        (GUEST_END, "127.0.0.1:80", 1),
        (GUEST_END, "10.0.2.3:80", 3),
        ("[fec0::15]:1", "[::1]:80", 3),
        ("[fec0::15]:1", "[::ffff:127.0.0.1]:80", 3),
    ] {
        let mut peer = Peer::new(World::new(), end, remote);
        assert_eq!(peer.world.unreachable().1, code, "{remote}");
        assert!(peer.world.nat.host_mut().ends.is_empty());
    }
    let options = Options {
        restricted: true,
        dns: None,
    };
    let mut peer = Peer::new(World::with(options, 0), GUEST_END, "10.0.2.2:80");
    assert_eq!(peer.world.unreachable().1, 13);
    assert!(peer.world.nat.host_mut().ends.is_empty());
}

#[test]
fn data_goes_both_ways() {
    let mut peer = Peer::open(World::new());
    peer.data(b"question");
    let answer = peer.got();
    assert_eq!((answer.ack, answer.payload.len()), (Some(peer.seq), 0));
    assert_eq!(peer.host.get().outgoing, b"question");
    peer.arrive(b"answer");
    let answer = peer.got();
    assert_eq!(
        (answer.seq, &answer.payload[..]),
        (peer.ack, &b"answer"[..])
    );
    peer.world.nothing();
    // What comes again, or with something new behind it, counts once.
    peer.seq = peer.seq.wrapping_sub(3);
    peer.data(b"ion, more");
    assert_eq!(peer.host.get().outgoing, b"question, more");
    assert_eq!(peer.got().ack, Some(peer.seq));
    // What is missing something before it has to come again.
    let missing = peer.seq;
    peer.seq = peer.seq.wrapping_add(5);
    peer.data(b"late");
    assert_eq!(peer.got().ack, Some(missing));
    assert_eq!(peer.host.get().outgoing, b"question, more");
}

#[test]
fn what_nobody_knows_is_reset() {
    let mut peer = Peer::new(World::new(), GUEST_END, REMOTE);
    peer.world.link.got.clear();
    peer.end = address("10.0.2.15:40001");
    peer.ack = 77;
    peer.send(ACK, b"hello");
    let reset = peer.got();
    assert_eq!(
        (reset.flags.as_str(), reset.seq, reset.ack),
        ("R", 77, None)
    );
    peer.send(FIN, b"");
    let reset = peer.got();
    assert_eq!(reset.ack, Some(peer.seq.wrapping_add(1)));
    peer.send(RST, b"");
    peer.world.nothing();
}

#[test]
fn the_guest_may_end_its_half() {
    let mut peer = Peer::open(World::new());
    peer.send(ACK | FIN, b"all");
    peer.seq = peer.seq.wrapping_add(4);
    assert_eq!(peer.got().ack, Some(peer.seq));
    assert_eq!(peer.host.get().outgoing, b"all");
    assert!(peer.host.get().finished);
    peer.arrive(b"still");
    assert_eq!(peer.receive(), b"still");
    peer.send(ACK, b"");
    peer.host.get().ended = true;
    peer.ready();
    let end = peer.got();
    assert_eq!((end.flags.as_str(), end.seq), ("F", peer.ack));
    assert_eq!(peer.connections(), 1);
    peer.ack = peer.ack.wrapping_add(1);
    peer.send(ACK, b"");
    peer.world.nothing();
    assert_eq!(peer.connections(), 0);
    assert!(peer.host.get().dropped && !peer.host.get().aborted);
}

#[test]
fn the_host_may_end_its_half() {
    let mut peer = Peer::open(World::new());
    peer.host.get().ended = true;
    peer.arrive(b"all");
    let end = peer.got();
    assert_eq!((end.flags.as_str(), &end.payload[..]), ("F", &b"all"[..]));
    peer.ack = peer.ack.wrapping_add(4);
    peer.send(ACK, b"");
    peer.data(b"still");
    assert_eq!(peer.got().ack, Some(peer.seq));
    assert_eq!(peer.host.get().outgoing, b"still");
    assert!(!peer.host.get().finished);
    peer.send(ACK | FIN, b"");
    peer.seq = peer.seq.wrapping_add(1);
    assert_eq!(peer.got().ack, Some(peer.seq));
    assert_eq!(peer.connections(), 0);
    assert!(peer.host.get().finished && !peer.host.get().aborted);
}

#[test]
fn resets_pass() {
    let mut peer = Peer::open(World::new());
    // One that can't be the guest's does nothing.
    peer.seq = peer.seq.wrapping_sub(1000);
    peer.send(RST, b"");
    assert_eq!(peer.connections(), 1);
    peer.seq = peer.seq.wrapping_add(1000);
    peer.send(RST | ACK, b"");
    assert!(peer.host.get().aborted && peer.host.get().dropped);
    assert_eq!(peer.connections(), 0);
    peer.world.nothing();

    let mut peer = Peer::open(World::new());
    peer.host.get().error = Some(ErrorKind::ConnectionReset);
    peer.ready();
    let reset = peer.got();
    assert_eq!((reset.flags.as_str(), reset.seq), ("R", peer.ack));
    assert_eq!(peer.connections(), 0);

    let mut peer = Peer::open(World::new());
    peer.host.get().error = Some(ErrorKind::BrokenPipe);
    peer.data(b"to nobody");
    assert_eq!(peer.got().flags, "R");
}

#[test]
fn a_guest_that_stops_reading_stops_the_host() {
    let mut peer = Peer::open(World::new());
    let piece = vec![7; 100_000];
    for _ in 0..40 {
        peer.host
            .get()
            .incoming
            .push_back((piece.clone(), peer.remote));
    }
    peer.ready();
    // The guest's window is 64,000 bytes, in which there is room for so many whole segments.
    let first = 43 * 1460;
    assert_eq!(peer.receive().len(), first);
    let left = |peer: &Peer| -> usize {
        let host = peer.host.get();
        host.incoming.iter().map(|(piece, _)| piece.len()).sum()
    };
    let before = left(&peer);
    assert_eq!(4_000_000 - before, MOST);
    // It closes its window.
    peer.window = 0;
    peer.send(ACK, b"");
    peer.ready();
    assert_eq!(peer.receive().len(), 0);
    assert_eq!(4_000_000 - left(&peer), MOST + first);
    // It is asked now and then, for ever.
    for _ in 0..20 {
        peer.world.wait(Duration::from_secs(40));
        assert_eq!(peer.got().seq, peer.ack.wrapping_sub(1));
        peer.world.link.got.clear();
        peer.send(ACK, b"");
    }
    peer.window = 10_000;
    peer.send(ACK, b"");
    let mut total = first;
    while total < 4_000_000 {
        let count = peer.receive().len();
        assert!(count > 0, "stuck at {total}");
        total += count;
        peer.send(ACK, b"");
    }
    assert_eq!(total, 4_000_000);
}

#[test]
fn a_host_that_stops_reading_stops_the_guest() {
    let mut peer = Peer::open(World::new());
    peer.host.get().room = 1000;
    let piece: Vec<u8> = (0..60_000u32).map(|i| (i / 3) as u8).collect();
    let mut sent = Vec::new();
    let mut window = usize::MAX;
    while window > 0 {
        let part = &piece[..piece.len().min(window)];
        peer.data(part);
        sent.extend(part);
        let answer = peer.got();
        assert_eq!(answer.ack, Some(peer.seq));
        window = usize::from(answer.window) << 7;
        assert!(window + sent.len() <= MOST + 1000);
    }
    assert!(sent.len() > MOST - 128);
    // What comes beyond the window is not taken, but for what is left below a unit of it.
    peer.send(ACK, &piece);
    let taken = peer.got().ack.expect("an answer").wrapping_sub(peer.seq) as usize;
    assert!(taken < 128);
    peer.seq = peer.seq.wrapping_add(taken as u32);
    sent.extend(&piece[..taken]);
    assert_eq!(peer.host.get().outgoing, sent[..1000]);
    // It reads again, and the guest is told.
    peer.host.get().room = usize::MAX;
    peer.ready();
    let update = peer.got();
    assert!(usize::from(update.window) << 7 > MOST / 2);
    assert!(peer.host.get().outgoing == sent);
}

#[test]
fn a_guest_without_buffers_gets_it_later() {
    let mut peer = Peer::open(World::new());
    peer.world.link.room = 3;
    let sent: Vec<u8> = (0..20_000u32).map(|i| (i / 3) as u8).collect();
    peer.arrive(&sent);
    assert_eq!(peer.world.link.got.len(), 3);
    peer.world.link.room = usize::MAX;
    peer.world.run();
    assert!(peer.receive() == sent);
}

#[test]
fn large_segments_are_left_to_guests_that_cut_them() {
    for (world, least) in [(World::large(), 60_000), (World::new(), 1460)] {
        let mut peer = Peer::open(world);
        peer.window = u16::MAX;
        peer.send(ACK, b"");
        let sent: Vec<u8> = (0..300_000u32).map(|i| (i / 3) as u8).collect();
        peer.arrive(&sent);
        let mut longest = 0;
        for (offload, frame) in &peer.world.link.got {
            let payload = frame.len() - 54;
            let segments = offload.segments.map(|segments| segments.size);
            assert_eq!(segments, (payload > 1460).then_some(1460));
            assert_eq!(offload.checksum.is_some(), least > 1460);
            assert_eq!(frame[6..12], GATEWAY_MAC);
            longest = longest.max(payload);
        }
        assert!((least..65_536).contains(&longest), "{longest}");
        assert!(peer.receive() == sent);
    }
}

#[test]
fn what_the_guest_does_not_acknowledge_is_sent_again() {
    let mut peer = Peer::open(World::new());
    peer.arrive(&[7; 4000]);
    assert_eq!(peer.world.link.got.len(), 3);
    // It misses the second segment, and says so three times.
    peer.world.link.got.clear();
    let start = peer.ack;
    peer.ack = start.wrapping_add(1460);
    for _ in 0..3 {
        peer.send(ACK, b"");
        peer.world.nothing();
    }
    peer.send(ACK, b"");
    assert_eq!(peer.receive(), [7; 2540]);
    // It misses all of that.
    peer.ack = start.wrapping_add(1460);
    peer.world.wait(Duration::from_millis(450));
    peer.world.nothing();
    peer.world.wait(Duration::from_millis(200));
    assert_eq!(peer.receive(), [7; 2540]);
    // It acknowledges all of it, and hears nothing more.
    peer.send(ACK, b"");
    peer.world.wait(Duration::from_secs(100));
    peer.world.nothing();
    assert_eq!(peer.connections(), 1);
    // One that says nothing for minutes is gone.
    peer.arrive(b"hello?");
    peer.world.wait(Duration::from_secs(600));
    assert_eq!(peer.connections(), 0);
    assert!(peer.host.get().aborted);
    let last = peer.world.link.got.pop_back().expect("a segment");
    peer.world.link.got.clear();
    peer.world.link.got.push_back(last);
    assert_eq!(peer.got().flags, "R");
}

#[test]
fn idle_connections_end_after_hours() {
    let mut peer = Peer::open(World::new());
    peer.world.wait(Duration::from_secs(2 * 3600));
    assert_eq!(peer.connections(), 1);
    peer.world.wait(Duration::from_secs(300));
    assert_eq!(peer.connections(), 0);
}

#[test]
fn connections_are_limited() {
    let mut world = World::new();
    world.nat.host_mut().slow = true;
    for port in 0..CONNECTIONS {
        let end = SocketAddr::new(GUEST.into(), 1000 + port as u16);
        let syn = segment(end, address(REMOTE), 1, 0, SYN, 500, b"");
        world.send(end, address(REMOTE), IpProtocol::Tcp, &syn);
    }
    world.nothing();
    let mut peer = Peer::new(world, GUEST_END, REMOTE);
    assert_eq!(peer.got().flags, "R");
    assert_eq!(peer.connections(), CONNECTIONS);
    assert!(peer.world.nat.limit() >= 32 << 10);
    peer.world.nat.reset();
    assert_eq!(peer.connections(), 0);
    let ends = &peer.world.nat.host_mut().ends;
    assert!(
        ends.values()
            .all(|end| end.get().dropped && end.get().aborted)
    );
}

/// Somebody connects to the guest's port 80.
fn published(peer_address: &str) -> Peer {
    let mut world = World::new();
    let id = world.nat.accept_id();
    let from = address(peer_address);
    let stream = world.nat.host.make(from, id).expect("a stream");
    let (_, host) = world.latest();
    let now = world.now;
    world.nat.accepted(stream, from, 80, id, now);
    world.run();
    Peer {
        world,
        end: address("10.0.2.15:80"),
        remote: crate::plan::seen_as(from),
        seq: FIRST,
        ack: 0,
        window: 500,
        host,
        id,
    }
}

#[test]
fn published_ports_are_connected_to() {
    let mut peer = published("127.0.0.1:5555");
    let asked = peer.got();
    assert_eq!((asked.flags.as_str(), asked.ack), ("S", None));
    assert_eq!(peer.remote, address("10.0.2.2:5555"));
    peer.host
        .get()
        .incoming
        .push_back((b"hello".to_vec(), peer.remote));
    peer.ready();
    peer.world.nothing();
    peer.ack = asked.seq.wrapping_add(1);
    peer.send(SYN | ACK, b"");
    peer.seq = peer.seq.wrapping_add(1);
    let first = peer.got();
    assert_eq!(
        (first.ack, &first.payload[..]),
        (Some(peer.seq), &b"hello"[..])
    );
    peer.ack = peer.ack.wrapping_add(5);
    peer.data(b"world");
    assert_eq!(peer.host.get().outgoing, b"world");
}

#[test]
fn guests_refuse_and_are_asked_again() {
    let mut peer = published("192.0.2.9:5555");
    let asked = peer.got();
    assert_eq!(peer.remote, address("192.0.2.9:5555"));
    // It is not up yet.
    peer.world.wait(Duration::from_secs(1));
    assert_eq!(peer.got(), asked);
    peer.world.link.got.clear();
    // Somebody else's refusal does not count.
    peer.ack = asked.seq;
    peer.send(RST | ACK, b"");
    assert_eq!(peer.connections(), 1);
    peer.ack = asked.seq.wrapping_add(1);
    peer.send(RST | ACK, b"");
    assert_eq!(peer.connections(), 0);
    assert!(peer.host.get().aborted);
}
