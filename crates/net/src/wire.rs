//! Frames: from bytes to what they say, and headers for what the guest is sent.
//!
//! smoltcp reads; headers are written here, because payload goes to the guest from where it lies.

use crate::plan::GATEWAY_MAC;
use skep_board::virtio::net::{Mac, Offload, Segments};
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6ExtHeader, Ipv6FragmentHeader, Ipv6Packet};
use std::net::{IpAddr, SocketAddr};

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Length of a TCP header without options.
pub const TCP: usize = 20;
/// Length of a UDP header.
pub const UDP: usize = 8;
/// Ethernet type of IPv4.
pub const TYPE_IPV4: u16 = 0x0800;
/// Ethernet type of ARP.
pub const TYPE_ARP: u16 = 0x0806;
/// Ethernet type of IPv6.
pub const TYPE_IPV6: u16 = 0x86dd;

/// An IP packet, or the part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Who is to get it.
    pub destination: IpAddr,
    /// The protocol of what is in it.
    pub protocol: IpProtocol,
    /// What is in it.
    pub payload: &'a [u8],
    /// It is a part.
    pub fragment: Option<Fragment>,
}

/// Which part of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// What its parts have in common.
    pub id: u32,
    /// Where it begins, bytes.
    pub offset: usize,
    /// There are parts behind it.
    pub more: bool,
}

/// Reads an IPv4 packet.
pub fn ipv4(bytes: &[u8]) -> Option<Packet<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    if packet.version() != 4 {
        return None;
    }
    let offset = usize::from(packet.frag_offset());
    let fragment = (packet.more_frags() || offset > 0).then(|| Fragment {
        id: packet.ident().into(),
        offset,
        more: packet.more_frags(),
    });
    Some(Packet {
        source: packet.src_addr().into(),
        destination: packet.dst_addr().into(),
        protocol: packet.next_header(),
        payload: packet.payload(),
        fragment,
    })
}

/// Reads an IPv6 packet.
pub fn ipv6(bytes: &[u8]) -> Option<Packet<'_>> {
    let packet = Ipv6Packet::new_checked(bytes).ok()?;
    if packet.version() != 6 {
        return None;
    }
    let (mut protocol, mut payload) = (packet.next_header(), packet.payload());
    let mut fragment = None;
    // Each header takes at least 8 bytes of the payload.
    loop {
        match protocol {
            IpProtocol::HopByHop | IpProtocol::Ipv6Route | IpProtocol::Ipv6Opts => {
                let header = Ipv6ExtHeader::new_checked(payload).ok()?;
                let len = 8 * (usize::from(header.header_len()) + 1);
                protocol = header.next_header();
                payload = payload.get(len..)?;
            }
            IpProtocol::Ipv6Frag if fragment.is_none() => {
                let (header, rest) = payload.split_at_checked(8)?;
                protocol = IpProtocol::from(*header.first()?);
                let header = Ipv6FragmentHeader::new_checked(header.get(2..)?).ok()?;
                payload = rest;
                fragment = Some(Fragment {
                    id: header.ident(),
                    offset: 8 * usize::from(header.frag_offset()),
                    more: header.more_frags(),
                });
                break;
            }
            _ => break,
        }
    }
    Some(Packet {
        source: packet.src_addr().into(),
        destination: packet.dst_addr().into(),
        protocol,
        payload,
        fragment,
    })
}

/// The sum of the Internet checksum (RFC 1071) of parts that lie one behind the other, folded to 16
/// bits and not complemented.
pub fn sum(initial: u32, parts: &[&[u8]]) -> u16 {
    let mut total = u64::from(initial);
    let mut odd = None;
    for part in parts {
        let mut rest = *part;
        if let (Some(high), Some((low, tail))) = (odd, rest.split_first()) {
            total += u64::from(u16::from_be_bytes([high, *low]));
            rest = tail;
            odd = None;
        }
        let (words, tail) = rest.as_chunks::<4>();
        total += words
            .iter()
            .map(|word| u64::from(u32::from_be_bytes(*word)))
            .sum::<u64>();
        let (pairs, last) = tail.as_chunks::<2>();
        total += pairs
            .iter()
            .map(|pair| u64::from(u16::from_be_bytes(*pair)))
            .sum::<u64>();
        if let [last] = last {
            odd = Some(*last);
        }
    }
    if let Some(high) = odd {
        total += u64::from(u16::from_be_bytes([high, 0]));
    }
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// The sum of the pseudo-header of TCP, UDP and ICMPv6.
pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: IpProtocol, len: usize) -> u32 {
    let len = (len as u32).to_be_bytes();
    let tail = [&len[..], &[0, 0, 0, u8::from(protocol)]];
    let addresses =
        |source: &[u8], destination: &[u8]| sum(0, &[source, destination, tail[0], tail[1]]);
    u32::from(match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            addresses(&source.octets(), &destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            addresses(&source.octets(), &destination.octets())
        }
        // Nobody sends from one kind to the other.
        _ => 0,
    })
}

/// The headers of a frame to the guest.
#[derive(Clone, Default, Debug)]
pub struct Headers {
    bytes: Vec<u8>,
}

impl Headers {
    /// An Ethernet header, from the gateway.
    pub fn ethernet(to: Mac, kind: u16) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(to);
        bytes.extend(GATEWAY_MAC);
        bytes.extend(kind.to_be_bytes());
        Headers { bytes }
    }

    /// Ethernet and IP headers for `len` bytes of a protocol; the whole packet, unless it is a
    /// fragment.
    pub fn ip(
        to: Mac,
        source: IpAddr,
        destination: IpAddr,
        protocol: IpProtocol,
        len: usize,
        fragment: Option<Fragment>,
    ) -> Self {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut headers = Headers::ethernet(to, TYPE_IPV4);
                let total = (20 + len) as u16;
                let id = fragment.map_or(0, |fragment| fragment.id as u16);
                let word = match fragment {
                    None => 0x4000,
                    Some(Fragment { offset, more, .. }) => {
                        (offset / 8) as u16 | if more { 0x2000 } else { 0 }
                    }
                };
                let start = headers.bytes.len();
                headers.push(&[0x45, 0]);
                headers.push(&total.to_be_bytes());
                headers.push(&id.to_be_bytes());
                headers.push(&word.to_be_bytes());
                headers.push(&[64, protocol.into(), 0, 0]);
                headers.push(&source.octets());
                headers.push(&destination.octets());
                let check = !sum(0, &[headers.bytes.get(start..).unwrap_or_default()]);
                headers.set_u16(start + 10, check);
                headers
            }
            (source, destination) => {
                let mut headers = Headers::ethernet(to, TYPE_IPV6);
                let (mut next, mut total) = (protocol, len);
                if fragment.is_some() {
                    (next, total) = (IpProtocol::Ipv6Frag, len + 8);
                }
                headers.push(&[0x60, 0, 0, 0]);
                headers.push(&(total as u16).to_be_bytes());
                // Neighbours may be discovered from this hop limit only (RFC 4861, section 7.1).
                headers.push(&[next.into(), 255]);
                for address in [source, destination] {
                    headers.push(&match address {
                        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                        IpAddr::V6(v6) => v6.octets(),
                    });
                }
                if let Some(Fragment { id, offset, more }) = fragment {
                    let word = offset as u16 & !7 | u16::from(more);
                    headers.push(&[protocol.into(), 0]);
                    headers.push(&word.to_be_bytes());
                    headers.push(&id.to_be_bytes());
                }
                headers
            }
        }
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Sets two bytes.
    fn set_u16(&mut self, at: usize, value: u16) {
        if let Some(bytes) = self.bytes.get_mut(at..at + 2) {
            bytes.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A TCP header, but for ports.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Segment {
    /// Sequence number.
    pub seq: u32,
    /// What is acknowledged, if something is.
    pub ack: Option<u32>,
    /// Flags: [`FIN`], [`SYN`], [`RST`] and [`PSH`].
    pub flags: u8,
    /// The window, as the header has it.
    pub window: u16,
    /// For a SYN: the maximum segment size and the shift of windows, if they are scaled.
    pub options: Option<(u16, Option<u8>)>,
}

/// TCP flag.
pub const FIN: u8 = 1;
/// TCP flag.
pub const SYN: u8 = 2;
/// TCP flag.
pub const RST: u8 = 4;
/// TCP flag.
pub const PSH: u8 = 8;
/// TCP flag.
const ACK: u8 = 16;

/// How the guest lets a TCP segment be sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Ability {
    /// It completes checksums.
    pub checksum: bool,
    /// It takes segments of up to 64 KiB over IPv4.
    pub large4: bool,
    /// The same over IPv6.
    pub large6: bool,
}

/// The headers of a TCP segment with `payload`, and what is left to do to it. `mss` is the most
/// payload of a segment: with more, the guest must have the ability.
pub fn tcp(
    to: Mac,
    source: SocketAddr,
    destination: SocketAddr,
    segment: &Segment,
    payload: &[&[u8]],
    mss: u16,
    ability: Ability,
) -> (Headers, Offload) {
    let payload_len: usize = payload.iter().map(|part| part.len()).sum();
    let option_len = match segment.options {
        None => 0,
        Some((_, None)) => 4,
        Some((_, Some(_))) => 8,
    };
    let len = TCP + option_len + payload_len;
    let (source_ip, destination_ip) = (source.ip(), destination.ip());
    let mut headers = Headers::ip(to, source_ip, destination_ip, IpProtocol::Tcp, len, None);
    let start = headers.bytes.len();
    headers.push(&source.port().to_be_bytes());
    headers.push(&destination.port().to_be_bytes());
    headers.push(&segment.seq.to_be_bytes());
    headers.push(&segment.ack.unwrap_or_default().to_be_bytes());
    let ack = if segment.ack.is_some() { ACK } else { 0 };
    headers.push(&[(((TCP + option_len) / 4) << 4) as u8, segment.flags | ack]);
    headers.push(&segment.window.to_be_bytes());
    headers.push(&[0; 4]);
    if let Some((size, shift)) = segment.options {
        headers.push(&[2, 4]);
        headers.push(&size.to_be_bytes());
        if let Some(shift) = shift {
            headers.push(&[1, 3, 3, shift]);
        }
    }
    let initial = pseudo(source_ip, destination_ip, IpProtocol::Tcp, len);
    let mut offload = Offload::default();
    let check = if ability.checksum {
        offload.checksum = Some((start as u16, start as u16 + 16));
        sum(initial, &[])
    } else {
        let mut all = vec![headers.bytes.get(start..).unwrap_or_default()];
        all.extend(payload);
        !sum(initial, &all)
    };
    headers.set_u16(start + 16, check);
    if payload_len > usize::from(mss) {
        let ipv6 = source.is_ipv6();
        offload.segments = Some(Segments { ipv6, size: mss });
    }
    (headers, offload)
}

/// The UDP header of a datagram.
pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> [u8; UDP] {
    let len = UDP + payload.len();
    let mut header = [0; UDP];
    header[..2].copy_from_slice(&source.port().to_be_bytes());
    header[2..4].copy_from_slice(&destination.port().to_be_bytes());
    header[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    let initial = pseudo(source.ip(), destination.ip(), IpProtocol::Udp, len);
    // 0 means that there is no checksum.
    let check = match !sum(initial, &[&header, payload]) {
        0 => 0xffff,
        check => check,
    };
    header[6..].copy_from_slice(&check.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::GUEST_MAC;
    use proptest::prelude::*;
    use smoltcp::wire::{TcpPacket, UdpPacket};

    fn addresses(ipv6: bool) -> (SocketAddr, SocketAddr) {
        let text = if ipv6 {
            ("[2001:db8::1]:80", "[fec0::15]:1234")
        } else {
            ("192.0.2.1:80", "10.0.2.15:1234")
        };
        let parse = |text: &str| text.parse().expect("an address");
        (parse(text.0), parse(text.1))
    }

    fn parsed(ipv6: bool, frame: &[u8]) -> Packet<'_> {
        let bytes = &frame[ETHERNET..];
        let packet = if ipv6 {
            super::ipv6(bytes)
        } else {
            ipv4(bytes)
        };
        packet.expect("a packet")
    }

    proptest! {
        #[test]
        fn segments_are_read_back(
            ipv6: bool,
            offloaded: bool,
            head in proptest::collection::vec(any::<u8>(), 0..50),
            tail in proptest::collection::vec(any::<u8>(), 0..50),
            seq: u32,
            ack: Option<u32>,
            shift in proptest::option::of(0..15u8),
        ) {
            let (source, destination) = addresses(ipv6);
            let segment = Segment { seq, ack, flags: SYN, window: 77, options: Some((1460, shift)) };
            let ability = Ability { checksum: offloaded, ..Ability::default() };
            let parts = [&head[..], &tail];
            let (headers, offload) =
                tcp(GUEST_MAC, source, destination, &segment, &parts, 1460, ability);
            prop_assert_eq!(offload.segments, None);
            let mut frame = [headers.bytes(), &head, &tail].concat();
            if let Some((start, at)) = offload.checksum {
                let check = !sum(0, &[&frame[usize::from(start)..]]);
                frame[usize::from(at)..][..2].copy_from_slice(&check.to_be_bytes());
            }
            prop_assert_eq!(offload.checksum.is_some(), offloaded);
            let packet = parsed(ipv6, &frame);
            prop_assert_eq!((packet.source, packet.destination), (source.ip(), destination.ip()));
            let tcp = TcpPacket::new_checked(packet.payload).expect("a segment");
            prop_assert!(tcp.verify_checksum(&source.ip().into(), &destination.ip().into()));
            prop_assert_eq!(tcp.payload(), [head, tail].concat());
            prop_assert_eq!((tcp.seq_number().0 as u32, tcp.syn()), (seq, true));
            prop_assert_eq!(tcp.ack(), ack.is_some());
        }

        #[test]
        fn datagrams_are_read_back(ipv6: bool, payload: Vec<u8>) {
            let (source, destination) = addresses(ipv6);
            let header = udp(source, destination, &payload);
            let len = UDP + payload.len();
            let headers =
                Headers::ip(GUEST_MAC, source.ip(), destination.ip(), IpProtocol::Udp, len, None);
            let frame = [headers.bytes(), &header, &payload].concat();
            let packet = parsed(ipv6, &frame);
            prop_assert_eq!(packet.fragment, None);
            let udp = UdpPacket::new_checked(packet.payload).expect("a datagram");
            prop_assert!(udp.verify_checksum(&source.ip().into(), &destination.ip().into()));
            prop_assert_eq!(udp.payload(), payload);
        }

        #[test]
        fn fragments_are_read_back(ipv6: bool, id: u16, offset in 0..8000usize, more: bool) {
            let (source, destination) = addresses(ipv6);
            let fragment = Fragment { id: id.into(), offset: offset & !7, more };
            let (source, destination) = (source.ip(), destination.ip());
            let headers =
                Headers::ip(GUEST_MAC, source, destination, IpProtocol::Udp, 3, Some(fragment));
            let frame = [headers.bytes(), b"abc"].concat();
            let packet = parsed(ipv6, &frame);
            prop_assert_eq!((packet.protocol, packet.payload), (IpProtocol::Udp, &b"abc"[..]));
            let whole = fragment.offset == 0 && !more && !ipv6;
            prop_assert_eq!(packet.fragment, (!whole).then_some(fragment));
        }

        #[test]
        fn no_bytes_make_reading_fail(bytes: Vec<u8>) {
            let _ = (ipv4(&bytes), super::ipv6(&bytes));
        }
    }
}
