//! What a guest left to be done to a frame, done for one that does not do it either.

use crate::wire::{self, Ability, ETHERNET, FIN, PSH, TYPE_IPV4, TYPE_IPV6};
use skep_board::virtio::net::{Offload, Segments};
use smoltcp::wire::IpProtocol;
use std::net::IpAddr;

/// Takes a frame: what is left to do to it, the length of its headers, and its parts. False: later.
pub type Give<'a> = dyn FnMut(&Offload, usize, &[&[u8]]) -> bool + 'a;

/// Gives `give` a frame in a form that the guest is able to take: as it is, with its checksum, or as
/// segments of which each has one. A frame that can't be cut is lost. False if `give` said so.
pub fn adapt(frame: &mut [u8], offload: &Offload, ability: Ability, give: &mut Give<'_>) -> bool {
    let headers = header_len(frame).unwrap_or_default();
    let large = offload.segments.is_none_or(|segments| {
        if segments.ipv6 {
            ability.large6
        } else {
            ability.large4
        }
    });
    if large && (ability.checksum || offload.checksum.is_none()) {
        return give(offload, headers, &[frame]);
    }
    if let Some(segments) = offload.segments {
        return cut(frame, segments, give).unwrap_or(true);
    }
    let Some((start, at)) = offload
        .checksum
        .map(|(start, at)| (start.into(), at.into()))
    else {
        return give(offload, headers, &[frame]);
    };
    let before = frame
        .get(at..at + 2)
        .map(<[u8]>::to_vec)
        .unwrap_or_default();
    let check = !wire::sum(0, &[frame.get(start..).unwrap_or_default()]);
    set(frame, at, &check.to_be_bytes());
    let given = give(&Offload::default(), headers, &[frame]);
    if !given {
        // It will be tried again, from the same frame.
        set(frame, at, &before);
    }
    given
}

/// Stores bytes.
fn set(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Where the TCP header of a frame begins, and its IP header's length.
fn transport(frame: &[u8]) -> Option<(usize, bool)> {
    let kind = u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?);
    match kind {
        TYPE_IPV4 => {
            let ip = frame.get(ETHERNET..ETHERNET + 20)?;
            let len = usize::from(ip.first()? & 15) * 4;
            let tcp = ip.get(9) == Some(&u8::from(IpProtocol::Tcp));
            (len >= 20 && tcp).then_some((ETHERNET + len, false))
        }
        // With other headers between nobody has it cut.
        TYPE_IPV6 => {
            let ip = frame.get(ETHERNET..ETHERNET + 40)?;
            let tcp = ip.get(6) == Some(&u8::from(IpProtocol::Tcp));
            tcp.then_some((ETHERNET + 40, true))
        }
        _ => None,
    }
}

/// The length of a TCP frame's headers.
fn header_len(frame: &[u8]) -> Option<usize> {
    let (tcp, _) = transport(frame)?;
    let len = usize::from(frame.get(tcp + 12)? >> 4) * 4;
    let end = tcp + len;
    (len >= wire::TCP && end <= frame.len()).then_some(end)
}

/// Cuts a TCP frame into segments. None if that can't be.
fn cut(frame: &[u8], segments: Segments, give: &mut Give<'_>) -> Option<bool> {
    let (tcp, ipv6) = transport(frame)?;
    let end = header_len(frame)?;
    if ipv6 != segments.ipv6 {
        return None;
    }
    let (headers, payload) = frame.split_at(end);
    let ip = headers.get(ETHERNET..tcp)?;
    let address = |from: usize, len: usize| -> Option<IpAddr> {
        let bytes = ip.get(from..from + len)?;
        let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        v4.or(<[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
    };
    let (source, destination) = if ipv6 {
        (address(8, 16)?, address(24, 16)?)
    } else {
        (address(12, 4)?, address(16, 4)?)
    };
    let first = u32::from_be_bytes(headers.get(tcp + 4..tcp + 8)?.try_into().ok()?);
    let count = payload.len().div_ceil(segments.size.into());
    for (index, part) in payload.chunks(segments.size.into()).enumerate() {
        let mut headers = headers.to_vec();
        let len = end - tcp + part.len();
        let mut set = |at: usize, value: u16| {
            if let Some(bytes) = headers.get_mut(at..at + 2) {
                bytes.copy_from_slice(&value.to_be_bytes());
            }
        };
        let seq = first.wrapping_add((index * usize::from(segments.size)) as u32);
        set(tcp + 4, (seq >> 16) as u16);
        set(tcp + 6, seq as u16);
        set(tcp + 16, 0);
        if ipv6 {
            set(ETHERNET + 4, len as u16);
        } else {
            set(ETHERNET + 2, (tcp - ETHERNET + len) as u16);
            set(ETHERNET + 10, 0);
        }
        if index + 1 < count
            && let Some(flags) = headers.get_mut(tcp + 13)
        {
            *flags &= !(FIN | PSH);
        }
        if !ipv6 {
            let check = !wire::sum(0, &[headers.get(ETHERNET..tcp)?]);
            headers
                .get_mut(ETHERNET + 10..ETHERNET + 12)?
                .copy_from_slice(&check.to_be_bytes());
        }
        let initial = wire::pseudo(source, destination, IpProtocol::Tcp, len);
        let check = !wire::sum(initial, &[headers.get(tcp..)?, part]);
        headers
            .get_mut(tcp + 16..tcp + 18)?
            .copy_from_slice(&check.to_be_bytes());
        if !give(&Offload::default(), end, &[&headers, part]) {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::GUEST_MAC;
    use crate::wire::Segment;
    use proptest::prelude::*;
    use smoltcp::wire::TcpPacket;
    use std::net::SocketAddr;

    fn ends(ipv6: bool) -> (SocketAddr, SocketAddr) {
        let text = if ipv6 {
            ["[fec0::1]:80", "[fec0::15]:1234"]
        } else {
            ["10.0.2.1:80", "10.0.2.15:1234"]
        };
        let [source, destination] = text.map(|text| text.parse().expect("an address"));
        (source, destination)
    }

    proptest! {
        #[test]
        fn segments_make_up_the_whole(ipv6: bool, payload in proptest::collection::vec(any::<u8>(), 1..5000), mss in 100..1460u16) {
            let (source, destination) = ends(ipv6);
            let segment = Segment { seq: u32::MAX - 200, ack: Some(5), flags: FIN, window: 9, options: None };
            let able = Ability { checksum: true, large4: true, large6: true };
            let (headers, offload) = wire::tcp(GUEST_MAC, source, destination, &segment, &[&payload], mss, able);
            let mut frame = [headers.bytes(), &payload].concat();
            let mut whole = Vec::new();
            let mut count = 0;
            adapt(&mut frame, &offload, Ability::default(), &mut |offload, len, parts| {
                assert_eq!(*offload, Offload::default());
                let frame = parts.concat();
                let bytes = &frame[ETHERNET..];
                let packet = if ipv6 { wire::ipv6(bytes) } else { wire::ipv4(bytes) };
                let packet = packet.expect("a packet");
                let tcp = TcpPacket::new_checked(packet.payload).expect("a segment");
                assert!(tcp.verify_checksum(&source.ip().into(), &destination.ip().into()));
                assert_eq!(tcp.seq_number().0 as u32, segment.seq.wrapping_add(whole.len() as u32));
                assert!(tcp.payload().len() <= usize::from(mss));
                assert_eq!(len, frame.len() - tcp.payload().len());
                whole.extend_from_slice(tcp.payload());
                count += 1;
                assert_eq!(tcp.fin(), whole.len() == payload.len());
                true
            });
            prop_assert_eq!(count, payload.len().div_ceil(mss.into()));
            prop_assert!(whole == payload);
        }

        #[test]
        fn no_frame_makes_it_fail(mut frame: Vec<u8>, start: u16, at: u16, size in 1..2000u16, ipv6: bool, cut: bool) {
            let len = frame.len().max(2) as u16;
            let offload = Offload {
                checksum: Some((start % len, at % (len - 1))),
                segments: cut.then_some(Segments { ipv6, size }),
            };
            adapt(&mut frame, &offload, Ability::default(), &mut |_, _, _| true);
        }
    }

    #[test]
    fn able_guests_get_frames_as_they_are() {
        let offload = Offload {
            checksum: Some((34, 50)),
            segments: Some(Segments {
                ipv6: false,
                size: 100,
            }),
        };
        let able = Ability {
            checksum: true,
            large4: true,
            large6: false,
        };
        let mut seen = Vec::new();
        let given = adapt(&mut [7; 400], &offload, able, &mut |offload, _, parts| {
            seen.push((*offload, parts.concat()));
            false
        });
        assert!(!given);
        assert_eq!(seen, [(offload, vec![7; 400])]);
    }
}
