//! The guest's network: its addresses, and what they stand for on the host.
//!
//! The addresses are those of QEMU's user networking, which guests and their owners know.

use skep_board::virtio::net::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The guest's hardware address, unless it is given another one.
pub const GUEST_MAC: Mac = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
/// The hardware address of everybody else.
pub const GATEWAY_MAC: Mac = [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02];
/// The guest's address.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// The gateway, which is the host, too.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The name server.
pub const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// The network's mask.
pub const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// The network's address to everybody.
pub const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 255);
/// The prefix of 64 bits, from which the guest makes its IPv6 address.
pub const PREFIX6: Ipv6Addr = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0);
/// The host, over IPv6.
pub const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 2);
/// The name server, over IPv6.
pub const DNS6: Ipv6Addr = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 3);
/// The gateway, on the link.
pub const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
/// The most bytes of an IP packet on the guest's link, segments of offloaded TCP apart.
pub const MTU: usize = 1500;
/// The port of name servers.
pub const DNS_PORT: u16 = 53;

/// Who an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The host itself: its loopback address.
    Host(IpAddr),
    /// The host's name server.
    Resolver,
    /// Somebody beyond the host.
    Beyond(IpAddr),
    /// Nobody: another address of the guest's network, one to many, or one that only the host's own
    /// programs may use.
    Nobody,
}

/// Who the guest means by an address.
pub fn who(address: IpAddr) -> Who {
    match address {
        IpAddr::V4(v4) if v4 == GATEWAY => Who::Host(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V4(v4) if v4 == DNS => Who::Resolver,
        IpAddr::V4(v4) => {
            // Linux takes 0.0.0.0 for the host itself.
            let reserved = matches!(v4.octets()[0], 0 | 127 | 224..);
            let local = v4.octets()[..3] == GATEWAY.octets()[..3];
            if reserved || local || v4.is_link_local() {
                Who::Nobody
            } else {
                Who::Beyond(address)
            }
        }
        IpAddr::V6(v6) if v6 == GATEWAY6 || v6 == ROUTER6 => Who::Host(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V6(v6) if v6 == DNS6 => Who::Resolver,
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            let local = segments[..4] == PREFIX6.segments()[..4];
            // ::, ::1, and IPv4 addresses in disguise.
            let special = segments[..5] == [0; 5] || v6.is_multicast();
            let on_link = segments[0] & 0xffc0 == 0xfe80;
            if local || special || on_link {
                Who::Nobody
            } else {
                Who::Beyond(address)
            }
        }
    }
}

/// The address by which the guest sees a program of the host's or somebody beyond, who connects to
/// it over IPv4.
pub fn seen_as(peer: SocketAddr) -> SocketAddr {
    let ip = match peer.ip().to_canonical() {
        IpAddr::V4(v4) if matches!(who(v4.into()), Who::Beyond(_)) => v4,
        _ => GATEWAY,
    };
    SocketAddr::new(ip.into(), peer.port())
}

/// Whether the guest's network answers for an IPv4 address, so that a guest asks for its hardware
/// address.
pub fn answers_for(address: Ipv4Addr) -> bool {
    address == GATEWAY || address == DNS
}

/// The same for IPv6.
pub fn answers_for6(address: Ipv6Addr) -> bool {
    address == GATEWAY6 || address == DNS6 || address == ROUTER6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_reached_by_the_gateway_only() {
        let host = |text: &str| who(text.parse().expect("an address"));
        assert_eq!(host("10.0.2.2"), Who::Host(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(host("fec0::2"), Who::Host(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(host("10.0.2.3"), Who::Resolver);
        assert_eq!(host("fec0::3"), Who::Resolver);
        for nobody in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "10.0.2.15",
            "10.0.2.77",
            "10.0.2.255",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:192.0.2.1",
            "fe80::1",
            "fec0::9",
            "ff02::1",
        ] {
            assert_eq!(host(nobody), Who::Nobody, "{nobody}");
        }
        for beyond in ["192.0.2.1", "10.0.3.2", "2001:db8::1", "fec0:0:0:1::2"] {
            let address = beyond.parse().expect("an address");
            assert_eq!(who(address), Who::Beyond(address));
        }
    }

    #[test]
    fn programs_of_the_host_look_like_the_gateway() {
        let seen = |text: &str| seen_as(text.parse().expect("an address")).to_string();
        assert_eq!(seen("127.0.0.1:5"), "10.0.2.2:5");
        assert_eq!(seen("[::1]:6"), "10.0.2.2:6");
        assert_eq!(seen("[2001:db8::1]:7"), "10.0.2.2:7");
        assert_eq!(seen("10.0.2.15:8"), "10.0.2.2:8");
        assert_eq!(seen("192.0.2.7:9"), "192.0.2.7:9");
        assert_eq!(seen("[::ffff:192.0.2.7]:9"), "192.0.2.7:9");
    }
}
