//! UDP and echo.

use super::super::datagrams::SOCKETS;
use super::*;

#[test]
fn datagrams_go_there_and_back() {
    for (guest, remote, target) in [
        (GUEST_END, "192.0.2.1:9", "192.0.2.1:9"),
        (GUEST_END, "10.0.2.2:9", "127.0.0.1:9"),
        ("[fec0::15]:5", "[fec0::2]:9", "[::1]:9"),
        ("[fec0::15]:5", "[2001:db8::1]:9", "[2001:db8::1]:9"),
    ] {
        let mut world = World::new();
        world.send_udp(guest, remote, b"question");
        let (id, end) = world.latest();
        assert_eq!(end.get().to, Some(address(target)));
        assert_eq!(end.get().outgoing, b"question");
        world.send_udp(guest, remote, b" again");
        assert_eq!(end.get().outgoing, b"question again");
        world.arrive(id, target, b"answer");
        let (from, port, payload) = world.datagram();
        assert_eq!((from.as_str(), &payload[..]), (remote, &b"answer"[..]));
        assert_eq!(port, address(guest).port());
        assert_eq!(world.nat.counts(), (0, 1));
        // It is kept while it is used, and a while longer.
        world.wait(Duration::from_secs(100));
        world.send_udp(guest, remote, b"");
        world.wait(Duration::from_secs(110));
        assert!(!end.get().dropped);
        world.wait(Duration::from_secs(15));
        assert!(end.get().dropped);
        assert_eq!(world.nat.counts(), (0, 0));
    }
}

#[test]
fn long_datagrams_are_sent_in_parts() {
    let mut world = World::new();
    world.send_udp(GUEST_END, "192.0.2.1:9", b"");
    let (id, _) = world.latest();
    let payload: Vec<u8> = (0..60_000u32).map(|i| (i / 7) as u8).collect();
    world.arrive(id, "192.0.2.1:9", &payload);
    let mut fragments = Fragments::default();
    let mut whole = None;
    while !world.link.got.is_empty() {
        assert_eq!(whole, None);
        let frame = world.frame();
        assert!(frame.len() <= ETHERNET + 1500);
        let packet = wire::ipv4(&frame[ETHERNET..]).expect("a packet");
        let part = packet.fragment.expect("a part");
        whole = fragments.add(&packet, part, world.now);
    }
    assert!(whole.expect("all of it")[UDP..] == payload);
}

#[test]
fn refused_datagrams_are_told() {
    let mut world = World::new();
    world.send_udp(GUEST_END, "10.0.2.2:9", b"question");
    let (id, end) = world.latest();
    end.get().error = Some(ErrorKind::ConnectionRefused);
    world.nat.host_ready(id);
    world.run();
    let (from, code, original) = world.unreachable();
    assert_eq!((from.as_str(), code), ("10.0.2.2", 3));
    assert_eq!(
        original[..4],
        [40_000u16.to_be_bytes(), 9u16.to_be_bytes()].concat()
    );
    // As well when the host says so only at the next one, which is sent.
    end.get().error = Some(ErrorKind::ConnectionRefused);
    world.send_udp(GUEST_END, "10.0.2.2:9", b"next");
    assert_eq!(world.unreachable().1, 3);
    assert_eq!(end.get().outgoing, b"questionnext");
    // No way there at all.
    world.nat.host_mut().error = Some(ErrorKind::NetworkUnreachable);
    world.send_udp(GUEST_END, "192.0.2.1:9", b"question");
    assert_eq!(world.unreachable().1, 0);
    world.send_udp(GUEST_END, "10.0.2.77:9", b"question");
    assert_eq!(world.unreachable().1, 1);
    world.send_udp("[fec0::15]:5", "[fec0::77]:9", b"question");
    assert_eq!(world.unreachable().1, 3);
    for nobody in [
        "10.0.2.255:9",
        "255.255.255.255:9",
        "224.0.0.1:9",
        "0.0.0.0:9",
    ] {
        world.send_udp(GUEST_END, nobody, b"question");
        world.nothing();
    }
    for host_only in ["127.0.0.1:9", "169.254.169.254:80"] {
        world.send_udp(GUEST_END, host_only, b"question");
        assert_eq!(world.unreachable().1, 1);
    }
    assert_eq!(world.nat.host_mut().ends.len(), 1);
}

#[test]
fn sockets_are_limited() {
    let mut world = World::new();
    for port in 1001..=1000 + SOCKETS as u16 + 10 {
        world.now += Duration::from_millis(1);
        world.send_udp(GUEST_END, &format!("192.0.2.1:{port}"), b"x");
    }
    assert_eq!(world.nat.counts(), (0, SOCKETS));
    let ends = &world.nat.host_mut().ends;
    let dropped: Vec<_> = ends.values().map(|end| end.get().dropped).collect();
    assert!(dropped[..10].iter().all(|dropped| *dropped));
    assert!(!dropped[10..].iter().any(|dropped| *dropped));
}

#[test]
fn name_servers_that_do_not_answer_are_replaced() {
    let mut world = World::new();
    let servers = ["192.0.2.53:53", "192.0.2.54:53"];
    world.nat.host_mut().resolvers = servers.map(address).to_vec();
    let ask = |world: &mut World| {
        world.send_udp(GUEST_END, "10.0.2.3:53", b"?");
        let (id, end) = world.latest();
        let to = end.get().to;
        (id, to)
    };
    let (id, to) = ask(&mut world);
    assert_eq!(to, Some(address(servers[0])));
    world.arrive(id, servers[0], b"!");
    assert_eq!(
        world.datagram(),
        ("10.0.2.3:53".into(), 40_000, b"!".to_vec())
    );
    world.wait(Duration::from_secs(10));
    assert_eq!(
        ask(&mut world).1,
        Some(address(servers[0])),
        "it did answer"
    );
    world.wait(Duration::from_secs(5));
    let (id, to) = ask(&mut world);
    assert_eq!(to, Some(address(servers[1])), "it did not");
    world.nat.host_mut().ends[&id].get().error = Some(ErrorKind::ConnectionRefused);
    world.nat.host_ready(id);
    world.run();
    assert_eq!(world.unreachable().1, 3);
    assert_eq!(ask(&mut world).1, Some(address(servers[0])));
    // Only names are served.
    world.send_udp(GUEST_END, "10.0.2.3:123", b"?");
    assert_eq!(world.unreachable().1, 3);
}

#[test]
fn the_user_names_a_name_server() {
    let dns = address("127.0.0.1:5353");
    let options = Options {
        restricted: false,
        dns: Some(dns),
    };
    let mut world = World::with(options, 0);
    world.nat.host_mut().resolvers = vec![address("192.0.2.53:53")];
    world.send_udp("[fec0::15]:7", "[fec0::3]:53", b"?");
    let (id, end) = world.latest();
    assert_eq!(end.get().to, Some(dns));
    world.arrive(id, "127.0.0.1:5353", b"!");
    assert_eq!(world.datagram(), ("[fec0::3]:53".into(), 7, b"!".to_vec()));
}

#[test]
fn tftp_servers_answer_from_another_port() {
    let mut world = World::new();
    world.send_udp(GUEST_END, "10.0.2.2:69", b"read");
    let (id, end) = world.latest();
    assert_eq!(end.get().sent_to, Some(address("127.0.0.1:69")));
    world.arrive(id, "127.0.0.1:3333", b"data");
    assert_eq!(
        world.datagram(),
        ("10.0.2.2:3333".into(), 40_000, b"data".to_vec())
    );
    world.send_udp(GUEST_END, "10.0.2.2:3333", b"ack");
    assert_eq!(end.get().sent_to, Some(address("127.0.0.1:3333")));
    world.arrive(id, "192.0.2.1:69", b"somebody else");
    world.nothing();
    assert_eq!(world.nat.counts(), (0, 1));
}

#[test]
fn published_ports_hear_from_everybody() {
    let mut world = World::new();
    let id = world.nat.publish_id();
    let address_of_nobody = address("0.0.0.0:0");
    let socket = world
        .nat
        .host
        .make(address_of_nobody, id)
        .expect("a socket");
    world.nat.publish(socket, 53, id);
    world.arrive(id, "[::1]:3333", b"from the host");
    let (from, port, payload) = world.datagram();
    assert_eq!((from.as_str(), port), ("10.0.2.2:3333", 53));
    assert_eq!(payload, b"from the host");
    world.arrive(id, "192.0.2.7:4444", b"from afar");
    assert_eq!(world.datagram().0, "192.0.2.7:4444");
    let end = world.nat.host_mut().ends[&id].clone();
    world.send_udp("10.0.2.15:53", "10.0.2.2:3333", b"one");
    assert_eq!(end.get().sent_to, Some(address("[::1]:3333")));
    world.send_udp("10.0.2.15:53", "192.0.2.7:4444", b"two");
    assert_eq!(end.get().sent_to, Some(address("192.0.2.7:4444")));
    assert_eq!(end.get().outgoing, b"onetwo");
    // Others are reached as ever.
    world.send_udp("10.0.2.15:53", "192.0.2.9:1", b"three");
    assert_eq!(world.nat.counts(), (0, 2));
    assert_eq!(end.get().outgoing, b"onetwo");
    // It stays when the guest starts again, but forgets.
    world.nat.reset();
    assert_eq!(world.nat.counts(), (0, 1));
    world.send_udp("10.0.2.15:53", "10.0.2.2:3333", b"four");
    assert_eq!(end.get().outgoing, b"onetwo");
}

#[test]
fn a_guest_without_room_misses_datagrams_but_not_all() {
    let mut world = World::new();
    world.send_udp(GUEST_END, "192.0.2.1:9", b"");
    let (id, end) = world.latest();
    world.link.room = 2;
    for byte in 0..5 {
        end.get()
            .incoming
            .push_back((vec![byte], address("192.0.2.1:9")));
    }
    world.nat.host_ready(id);
    world.run();
    assert_eq!(world.link.got.len(), 2);
    assert_eq!(
        end.get().incoming.len(),
        2,
        "the socket is not read further"
    );
    world.link.room = 10;
    world.run();
    assert_eq!(world.link.got.len(), 4);
}

#[test]
fn echo_goes_beyond_where_the_host_lets_it() {
    let mut world = World::new();
    let ping = |world: &mut World| {
        let (from, to) = (address("10.0.2.15:0"), address("192.0.2.1:0"));
        world.send(
            from,
            to,
            IpProtocol::Icmp,
            b"\x08\x00\0\0\x12\x34\x00\x01data",
        );
    };
    ping(&mut world);
    let (id, end) = world.latest();
    assert_eq!(end.get().outgoing[4..], *b"\x12\x34\x00\x01data");
    // The host chooses another identifier.
    world.arrive(id, "192.0.2.1:0", b"\x00\x00\0\0\x77\x77\x00\x01data");
    let (source, protocol, message) = world.packet();
    assert_eq!(
        (source, protocol),
        (address("192.0.2.1:0").ip(), IpProtocol::Icmp)
    );
    assert_eq!(wire::sum(0, &[&message]), 0xffff);
    assert_eq!(
        (message[0], &message[4..]),
        (0, &b"\x12\x34\x00\x01data"[..])
    );
    world.arrive(id, "192.0.2.1:0", b"\x03\x00\0\0\x77\x77\x00\x01data");
    world.arrive(id, "192.0.2.1:0", b"\x00");
    world.nothing();
    world.wait(Duration::from_secs(30));
    assert!(end.get().dropped);
    world.nat.host_mut().error = Some(ErrorKind::PermissionDenied);
    ping(&mut world);
    let (from, code, original) = world.unreachable();
    assert_eq!((from.as_str(), code), ("10.0.2.2", 13));
    assert_eq!(original[4..], *b"\x12\x34\x00\x01data");
}

#[test]
fn a_restricted_guest_reaches_nothing() {
    let options = Options {
        restricted: true,
        dns: None,
    };
    let mut world = World::with(options, 0);
    for remote in ["10.0.2.2:9", "10.0.2.3:53", "192.0.2.1:9"] {
        world.send_udp(GUEST_END, remote, b"question");
        assert_eq!(world.unreachable().1, 13);
    }
    let (from, to) = (address("10.0.2.15:0"), address("192.0.2.1:0"));
    world.send(from, to, IpProtocol::Icmp, &[8, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(world.unreachable().1, 13);
    assert!(world.nat.host_mut().ends.is_empty());
}
