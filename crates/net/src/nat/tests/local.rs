//! What the network itself answers.

use super::*;
use crate::plan::{DNS, GATEWAY_MAC};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress,
};
use std::net::{Ipv4Addr, Ipv6Addr};

fn arp(world: &mut World, target: Ipv4Addr) {
    let request = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(GUEST_MAC),
        source_protocol_addr: GUEST,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    let headers = Headers::ethernet([0xff; 6], TYPE_ARP);
    let mut frame = [headers.bytes(), &bytes].concat();
    frame[6..12].copy_from_slice(&GUEST_MAC);
    world.link.sent.push_back(frame);
    world.run();
}

#[test]
fn addresses_are_resolved() {
    let mut world = World::new();
    for target in [GATEWAY, DNS] {
        arp(&mut world, target);
        let frame = world.frame();
        let packet = ArpPacket::new_checked(&frame[ETHERNET..]).expect("ARP");
        let reply = ArpRepr::parse(&packet).expect("ARP");
        let expected = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: EthernetAddress(GATEWAY_MAC),
            source_protocol_addr: target,
            target_hardware_addr: EthernetAddress(GUEST_MAC),
            target_protocol_addr: GUEST,
        };
        assert_eq!(reply, expected);
    }
    // A guest that looks whether its address is free gets it.
    arp(&mut world, GUEST);
    arp(&mut world, Ipv4Addr::new(10, 0, 2, 77));
    world.nothing();
}

fn dhcp(
    world: &mut World,
    change: impl Fn(&mut DhcpRepr<'_>),
) -> Option<(DhcpMessageType, Ipv4Addr)> {
    let mut request = DhcpRepr {
        message_type: DhcpMessageType::Discover,
        transaction_id: 0x1234_5678,
        secs: 0,
        client_hardware_address: EthernetAddress(GUEST_MAC),
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: None,
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    change(&mut request);
    let mut bytes = vec![0; request.buffer_len()];
    request
        .emit(&mut DhcpPacket::new_unchecked(bytes.as_mut_slice()))
        .expect("room");
    world.send_udp("0.0.0.0:68", "255.255.255.255:67", &bytes);
    world.link.got.front()?;
    let (from, port, bytes) = world.datagram();
    assert_eq!((from.as_str(), port), ("10.0.2.2:67", 68));
    let packet = DhcpPacket::new_checked(&bytes[..]).expect("DHCP");
    let reply = DhcpRepr::parse(&packet).expect("DHCP");
    assert_eq!(reply.transaction_id, 0x1234_5678);
    assert_eq!(reply.server_identifier, Some(GATEWAY));
    let restricted = world.nat.options.restricted;
    if reply.message_type != DhcpMessageType::Nak {
        assert_eq!(reply.router, (!restricted).then_some(GATEWAY));
        let dns: Vec<_> = reply.dns_servers.into_iter().flatten().collect();
        assert_eq!(dns, if restricted { vec![] } else { vec![DNS] });
        assert_eq!(reply.subnet_mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
    }
    Some((reply.message_type, reply.your_ip))
}

#[test]
fn the_guest_is_given_its_address() {
    for restricted in [false, true] {
        let options = Options {
            restricted,
            dns: None,
        };
        let mut world = World::with(options, 0);
        let offer = dhcp(&mut world, |_| ());
        assert_eq!(offer, Some((DhcpMessageType::Offer, GUEST)));
        let request = |wanted: Option<Ipv4Addr>, server: Option<Ipv4Addr>| {
            move |request: &mut DhcpRepr<'_>| {
                request.message_type = DhcpMessageType::Request;
                request.requested_ip = wanted;
                request.server_identifier = server;
            }
        };
        let ack = dhcp(&mut world, request(Some(GUEST), Some(GATEWAY)));
        assert_eq!(ack, Some((DhcpMessageType::Ack, GUEST)));
        let other = Ipv4Addr::new(192, 168, 1, 5);
        let nak = dhcp(&mut world, request(Some(other), None));
        assert_eq!(nak, Some((DhcpMessageType::Nak, Ipv4Addr::UNSPECIFIED)));
        assert_eq!(dhcp(&mut world, request(Some(GUEST), Some(other))), None);
        let released = |request: &mut DhcpRepr<'_>| request.message_type = DhcpMessageType::Release;
        assert_eq!(dhcp(&mut world, released), None);
    }
}

fn discover(world: &mut World, source: &str, message: &[u8]) {
    let source: Ipv6Addr = source.parse().expect("an address");
    let (from, to) = (SocketAddr::new(source.into(), 0), address("[ff02::2]:0"));
    world.send(from, to, IpProtocol::Icmpv6, message);
}

fn icmpv6(world: &mut World) -> Vec<u8> {
    let frame = world.frame();
    let packet = wire::ipv6(&frame[ETHERNET..]).expect("a packet");
    let initial = wire::pseudo(
        packet.source,
        packet.destination,
        IpProtocol::Icmpv6,
        packet.payload.len(),
    );
    assert_eq!(wire::sum(initial, &[packet.payload]), 0xffff, "checksum");
    assert_eq!(frame[ETHERNET + 7], 255, "hop limit");
    packet.payload.to_vec()
}

#[test]
fn routers_and_neighbours_are_discovered() {
    let mut world = World::new();
    discover(
        &mut world,
        "fe80::5054:ff:fe12:3456",
        &[133, 0, 0, 0, 0, 0, 0, 0],
    );
    let message = icmpv6(&mut world);
    assert_eq!(message[0], 134);
    let prefix = [3, 4, 64, 0xc0];
    let at = message.windows(4).position(|bytes| bytes == prefix);
    let at = at.expect("a prefix");
    assert_eq!(message[at + 16..at + 20], [0xfe, 0xc0, 0, 0]);
    for (target, known) in [
        ("fe80::2", true),
        ("fec0::2", true),
        ("fec0::3", true),
        ("fec0::9", false),
    ] {
        let target: Ipv6Addr = target.parse().expect("an address");
        let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
        message.extend(target.octets());
        discover(&mut world, "fe80::1", &message);
        if known {
            let message = icmpv6(&mut world);
            assert_eq!((message[0], message[4]), (136, 0xe0));
            assert_eq!(message[8..24], target.octets());
            assert_eq!(message[24..], [&[2, 1][..], &GATEWAY_MAC].concat());
        }
        world.nothing();
    }
    discover(&mut world, "fe80::1", &[135, 0, 0, 0]);
    world.nothing();
}

#[test]
fn the_gateway_answers_echo() {
    for (source, target, request, reply) in [
        ("10.0.2.15:0", "10.0.2.2:0", 8, 0),
        ("10.0.2.15:0", "10.0.2.3:0", 8, 0),
        ("[fec0::15]:0", "[fec0::2]:0", 128, 129),
    ] {
        let (source, target) = (address(source), address(target));
        let protocol = if source.is_ipv6() {
            IpProtocol::Icmpv6
        } else {
            IpProtocol::Icmp
        };
        let mut world = World::new();
        let message = [&[request, 0, 0, 0, 1, 2, 3, 4][..], &[5; 3000]].concat();
        world.send(source, target, protocol, &message);
        // It is too long for one packet, both ways.
        let mut answer = Vec::new();
        while !world.link.got.is_empty() {
            let frame = world.frame();
            assert!(frame.len() <= ETHERNET + 1500);
            let bytes = &frame[ETHERNET..];
            let packet = wire::ipv4(bytes)
                .or_else(|| wire::ipv6(bytes))
                .expect("a packet");
            assert_eq!(packet.source, target.ip());
            assert_eq!(packet.fragment.expect("a part").offset, answer.len());
            answer.extend(packet.payload);
        }
        assert_eq!((answer[0], &answer[4..]), (reply, &message[4..]));
        let initial = match source {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(_) => wire::pseudo(target.ip(), source.ip(), protocol, answer.len()),
        };
        assert_eq!(wire::sum(initial, &[&answer]), 0xffff);
    }
}
