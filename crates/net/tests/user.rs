//! The user-mode network with real sockets, and a guest made of packets.

use skep_board::virtio::net::Offload;
use skep_net::nat::Options;
use skep_net::{Bell, Config, Link, Network, Publish, plan};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

struct Card {
    sent: Receiver<Vec<u8>>,
    got: Sender<Vec<u8>>,
}

impl Link for Card {
    fn take(&mut self, frame: &mut Vec<u8>) -> Option<Offload> {
        *frame = self.sent.try_recv().ok()?;
        Some(Offload::default())
    }

    fn give(&mut self, _offload: &Offload, _headers: usize, parts: &[&[u8]]) -> bool {
        // The test may have ended.
        let _ = self.got.send(parts.concat());
        true
    }

    fn features(&mut self) -> Option<u64> {
        Some(0)
    }

    fn paused(&self) -> bool {
        false
    }
}

struct Guest {
    send: Sender<Vec<u8>>,
    got: Receiver<Vec<u8>>,
    bell: Bell,
    _running: skep_net::Running,
}

fn start(publish: Vec<Publish>) -> Guest {
    let options = Options::default();
    let network = Network::open(&Config::User { options, publish }).expect("a network");
    let bell = network.bell();
    let (send, sent) = channel();
    let (give, got) = channel();
    let running = network.start(Card { sent, got: give }).expect("a thread");
    Guest {
        send,
        got,
        bell,
        _running: running,
    }
}

impl Guest {
    /// Sends a datagram from port 4000.
    fn send(&self, to: SocketAddr, payload: &[u8]) {
        let SocketAddr::V4(to) = to else {
            panic!("IPv4");
        };
        let len = 8 + payload.len() as u16;
        let mut frame = vec![0x52, 0x55, 10, 0, 2, 2];
        frame.extend(plan::GUEST_MAC);
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((20 + len).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend(plan::GUEST.octets());
        frame.extend(to.ip().octets());
        frame.extend(4000u16.to_be_bytes());
        frame.extend(to.port().to_be_bytes());
        frame.extend(len.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        self.send.send(frame).expect("the network runs");
        self.bell.ring();
    }

    /// The next datagram that the guest gets: from whom, to which port, and what.
    fn receive(&self) -> (SocketAddr, u16, Vec<u8>) {
        let frame = self.got.recv_timeout(PATIENCE).expect("a frame");
        assert_eq!((frame[23], &frame[12..14]), (17, &[8, 0][..]));
        let ip = Ipv4Addr::from(<[u8; 4]>::try_from(&frame[26..30]).expect("an address"));
        let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let from = SocketAddr::new(ip.into(), port(34));
        (from, port(36), frame[42..].to_vec())
    }
}

fn socket() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind(LOCAL).expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    (socket, port)
}

#[test]
fn datagrams_reach_the_host_and_come_back() {
    let guest = start(Vec::new());
    let (server, port) = socket();
    let gateway = SocketAddr::new(plan::GATEWAY.into(), port);
    guest.send(gateway, b"question");
    let mut buffer = [0; 100];
    let (len, from) = server.recv_from(&mut buffer).expect("a datagram");
    assert_eq!(buffer[..len], *b"question");
    server.send_to(b"answer", from).expect("it is there");
    assert_eq!(guest.receive(), (gateway, 4000, b"answer".to_vec()));
    // Nobody is there any more, and the guest hears of it.
    drop(server);
    guest.send(gateway, b"question");
    let frame = guest.got.recv_timeout(PATIENCE).expect("a frame");
    assert_eq!(
        (frame[23], frame[34], frame[35]),
        (1, 3, 3),
        "unreachable port"
    );
}

#[test]
fn datagrams_reach_published_ports() {
    let (free, port) = socket();
    drop(free);
    let host = SocketAddr::new(LOCAL.0.into(), port);
    let guest = start(vec![Publish {
        host,
        guest: 4000,
        udp: true,
    }]);
    let (client, client_port) = socket();
    client.send_to(b"question", host).expect("it is there");
    let seen = SocketAddr::new(plan::GATEWAY.into(), client_port);
    assert_eq!(guest.receive(), (seen, 4000, b"question".to_vec()));
    guest.send(seen, b"answer");
    let mut buffer = [0; 100];
    let (len, from) = client.recv_from(&mut buffer).expect("a datagram");
    assert_eq!((&buffer[..len], from), (&b"answer"[..], host));
}

#[test]
fn members_of_a_private_network_meet() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("net");
    let join = || {
        let network = Network::open(&Config::Socket(path.clone())).expect("a network");
        let (mac, bell) = (network.mac(), network.bell());
        let (send, sent) = channel();
        let (give, got) = channel();
        let running = network.start(Card { sent, got: give }).expect("a thread");
        (mac, bell, send, got, running)
    };
    let frame = |to: [u8; 6], from: [u8; 6], size: usize| {
        let mut frame = vec![size as u8; size];
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&from);
        frame
    };
    let (one, bell, send, got, _one) = join();
    let (two, _, _, got_two, second) = join();
    let (three, bell_three, send_three, got_three, _three) = join();
    assert_eq!([one[5], two[5], three[5]], [1, 2, 3]);
    // To all, and to one.
    let to_all = frame([0xff; 6], one, 60);
    send.send(to_all.clone()).expect("it runs");
    let to_two = frame(two, one, 65_000);
    send.send(to_two.clone()).expect("it runs");
    bell.ring();
    assert!(got_two.recv_timeout(PATIENCE).expect("a frame") == to_all);
    assert!(got_three.recv_timeout(PATIENCE).expect("a frame") == to_all);
    assert!(got_two.recv_timeout(PATIENCE).expect("a frame") == to_two);
    // A guest may have chosen another address.
    let own = [2, 0, 0, 0, 0, 9];
    send_three.send(frame(one, own, 70)).expect("it runs");
    bell_three.ring();
    assert_eq!(got.recv_timeout(PATIENCE).expect("a frame").len(), 70);
    send.send(frame(own, one, 80)).expect("it runs");
    bell.ring();
    assert_eq!(got_three.recv_timeout(PATIENCE).expect("a frame").len(), 80);
    // One leaves, and another one takes the place.
    drop(second);
    let (again, _, _, got_again, _again) = join();
    assert_eq!(again, two);
    send.send(frame(two, one, 90)).expect("it runs");
    bell.ring();
    assert_eq!(got_again.recv_timeout(PATIENCE).expect("a frame").len(), 90);
}
