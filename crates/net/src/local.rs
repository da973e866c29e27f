//! What the network itself answers: ARP, DHCP, router and neighbour discovery, echo.

use crate::plan::{
    BROADCAST, DNS, DNS6, GATEWAY, GATEWAY_MAC, GUEST, MASK, MTU, PREFIX6, ROUTER6, answers_for,
    answers_for6,
};
use crate::wire::{self, Headers, TYPE_ARP};
use skep_board::virtio::net::Mac;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress,
    IpProtocol,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The port of DHCP servers.
pub const DHCP_SERVER: u16 = 67;
/// The port of DHCP clients.
pub const DHCP_CLIENT: u16 = 68;
/// How long a guest has its address, seconds: a day, as with QEMU.
const LEASE: u32 = 86_400;
/// How long IPv6 routers and prefixes are good for, seconds.
const ROUTER_LIFETIME: u32 = 1800;

/// ICMP for IPv4: echo request.
pub const ECHO_REQUEST: u8 = 8;
/// ICMP for IPv4: echo reply.
pub const ECHO_REPLY: u8 = 0;
/// ICMP for IPv6: echo request.
pub const ECHO_REQUEST6: u8 = 128;
/// ICMP for IPv6: echo reply.
pub const ECHO_REPLY6: u8 = 129;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// The answer to an ARP packet.
pub fn arp(bytes: &[u8]) -> Option<Vec<u8>> {
    let packet = ArpPacket::new_checked(bytes).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    if !answers_for(target_protocol_addr) {
        return None;
    }
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(GATEWAY_MAC),
        source_protocol_addr: target_protocol_addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut answer = vec![0; reply.buffer_len()];
    reply.emit(&mut ArpPacket::new_unchecked(&mut answer));
    let headers = Headers::ethernet(source_hardware_addr.0, TYPE_ARP);
    Some([headers.bytes(), &answer].concat())
}

/// The answer to a datagram for the DHCP server: to whom, and what.
pub fn dhcp(bytes: &[u8], restricted: bool) -> Option<(Ipv4Addr, Vec<u8>)> {
    let packet = DhcpPacket::new_checked(bytes).ok()?;
    let request = DhcpRepr::parse(&packet).ok()?;
    let for_us = request
        .server_identifier
        .is_none_or(|server| server == GATEWAY);
    let wanted = request
        .requested_ip
        .or((!request.client_ip.is_unspecified()).then_some(request.client_ip));
    let kind = match request.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Request if !for_us => return None,
        DhcpMessageType::Request if wanted.is_none_or(|wanted| wanted == GUEST) => {
            DhcpMessageType::Ack
        }
        DhcpMessageType::Request => DhcpMessageType::Nak,
        DhcpMessageType::Inform => DhcpMessageType::Ack,
        _ => return None,
    };
    let inform = request.message_type == DhcpMessageType::Inform;
    let given = kind != DhcpMessageType::Nak;
    let beyond = given && !restricted;
    let reply = DhcpRepr {
        message_type: kind,
        transaction_id: request.transaction_id,
        secs: 0,
        client_hardware_address: request.client_hardware_address,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: if given && !inform {
            GUEST
        } else {
            Ipv4Addr::UNSPECIFIED
        },
        server_ip: if given {
            GATEWAY
        } else {
            Ipv4Addr::UNSPECIFIED
        },
        router: beyond.then_some(GATEWAY),
        subnet_mask: given.then_some(MASK),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: request.broadcast,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(GATEWAY),
        parameter_request_list: None,
        dns_servers: beyond.then(|| [DNS].into_iter().collect()),
        max_size: None,
        lease_duration: (given && !inform).then_some(LEASE),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let mut answer = vec![0; reply.buffer_len()];
    reply
        .emit(&mut DhcpPacket::new_unchecked(answer.as_mut_slice()))
        .ok()?;
    let to = if request.client_ip == GUEST && given {
        GUEST
    } else {
        Ipv4Addr::BROADCAST
    };
    Some((to, answer))
}

/// Whether an address is the network's own DHCP server's, or everybody's.
pub fn is_dhcp_server(address: IpAddr) -> bool {
    address == GATEWAY || address == Ipv4Addr::BROADCAST || address == BROADCAST
}

/// Changes an echo request into its reply, or a reply's identifier, and sets the checksum.
pub fn set_echo(
    source: IpAddr,
    destination: IpAddr,
    message: &mut [u8],
    reply: bool,
    identifier: Option<u16>,
) {
    if let Some(kind) = message.first_mut() {
        *kind = match (source.is_ipv6(), reply) {
            (false, false) => ECHO_REQUEST,
            (false, true) => ECHO_REPLY,
            (true, false) => ECHO_REQUEST6,
            (true, true) => ECHO_REPLY6,
        };
    }
    if let (Some(bytes), Some(identifier)) = (message.get_mut(4..6), identifier) {
        bytes.copy_from_slice(&identifier.to_be_bytes());
    }
    set_icmp_checksum(source, destination, message);
}

/// Sets the checksum of an ICMP message.
pub fn set_icmp_checksum(source: IpAddr, destination: IpAddr, message: &mut [u8]) {
    let initial = match source {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => wire::pseudo(source, destination, IpProtocol::Icmpv6, message.len()),
    };
    if let Some(bytes) = message.get_mut(2..4) {
        bytes.fill(0);
    }
    let check = !wire::sum(initial, &[message]);
    if let Some(bytes) = message.get_mut(2..4) {
        bytes.copy_from_slice(&check.to_be_bytes());
    }
}

/// The answer to a message of neighbour discovery (RFC 4861): from and to whom, and what.
pub fn discovery(source: IpAddr, message: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr, Vec<u8>)> {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let IpAddr::V6(source) = source else {
        return None;
    };
    let to = if source.is_unspecified() {
        ALL_NODES
    } else {
        source
    };
    let (from, mut answer) = match *message.first()? {
        ROUTER_SOLICITATION => (ROUTER6, router_advertisement()),
        NEIGHBOUR_SOLICITATION => {
            let target: [u8; 16] = message.get(8..24)?.try_into().ok()?;
            let target = Ipv6Addr::from(target);
            if !answers_for6(target) {
                return None;
            }
            // A router's, and the answer to a question unless that was asked by nobody.
            let flags = if source.is_unspecified() { 0xa0 } else { 0xe0 };
            let mut answer = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
            answer.extend(target.octets());
            answer.extend(link_address(2));
            (target, answer)
        }
        _ => return None,
    };
    set_icmp_checksum(from.into(), to.into(), &mut answer);
    Some((from, to, answer))
}

/// The option with the gateway's hardware address: as the source (1) or target (2).
fn link_address(kind: u8) -> Vec<u8> {
    [&[kind, 1][..], &GATEWAY_MAC].concat()
}

/// A router advertisement (RFC 4861, section 4.2), without checksum: the prefix from which the guest
/// makes its address, and the name server (RFC 8106).
fn router_advertisement() -> Vec<u8> {
    let lifetime = ROUTER_LIFETIME.to_be_bytes();
    // Hop limit 64; nothing by DHCPv6.
    let mut message = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0];
    message.extend(&lifetime[2..]);
    message.extend([0; 8]);
    message.extend(link_address(1));
    message.extend([5, 1, 0, 0]);
    message.extend((MTU as u32).to_be_bytes());
    // On the link, and good for addresses.
    message.extend([3, 4, 64, 0xc0]);
    message.extend(LEASE.to_be_bytes());
    message.extend((LEASE / 6).to_be_bytes());
    message.extend([0; 4]);
    message.extend(PREFIX6.octets());
    message.extend([25, 3, 0, 0]);
    message.extend(lifetime);
    message.extend(DNS6.octets());
    message
}

/// Why a packet goes nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreachable {
    /// The host has no way to the network.
    Network,
    /// Nobody there answers.
    Host,
    /// Nobody listens at the port.
    Port,
    /// The host does not allow it.
    Prohibited,
}

/// The ICMP message that says so about a packet of `source` to `destination`, of which `payload` is
/// the beginning of the payload.
pub fn unreachable(
    why: Unreachable,
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    payload: &[u8],
) -> Vec<u8> {
    let payload = payload.get(..64).unwrap_or(payload);
    let (kind, code) = match (source.is_ipv6(), why) {
        (false, Unreachable::Network) => (3, 0),
        (false, Unreachable::Host) => (3, 1),
        (false, Unreachable::Port) => (3, 3),
        (false, Unreachable::Prohibited) => (3, 13),
        (true, Unreachable::Network) => (1, 0),
        (true, Unreachable::Host) => (1, 3),
        (true, Unreachable::Port) => (1, 4),
        (true, Unreachable::Prohibited) => (1, 1),
    };
    let none: Mac = [0; 6];
    let original = Headers::ip(none, source, destination, protocol, payload.len(), None);
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(original.bytes().get(wire::ETHERNET..).unwrap_or_default());
    message.extend(payload);
    message
}
