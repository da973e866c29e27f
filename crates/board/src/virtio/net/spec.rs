//! Features, configuration and headers of network cards (VIRTIO 1.2, section 5.1).

/// The device takes frames whose checksum is not complete (section 5.1.3, as are the rest).
pub const F_CSUM: u64 = 1 << 0;
/// The driver takes frames whose checksum is not complete.
pub const F_GUEST_CSUM: u64 = 1 << 1;
/// The configuration has the card's address.
pub const F_MAC: u64 = 1 << 5;
/// The driver takes TCP over IPv4 in segments larger than the link's.
pub const F_GUEST_TSO4: u64 = 1 << 7;
/// The driver takes TCP over IPv6 in segments larger than the link's.
pub const F_GUEST_TSO6: u64 = 1 << 8;
/// The device takes TCP over IPv4 in segments larger than the link's.
pub const F_HOST_TSO4: u64 = 1 << 11;
/// The device takes TCP over IPv6 in segments larger than the link's.
pub const F_HOST_TSO6: u64 = 1 << 12;
/// The driver takes a frame in several buffers.
pub const F_MRG_RXBUF: u64 = 1 << 15;
/// The configuration has the link's status.
pub const F_STATUS: u64 = 1 << 16;

/// Queue for frames that the guest receives (section 5.1.2).
pub const RECEIVE: usize = 0;
/// Queue for frames that the guest sends.
pub const TRANSMIT: usize = 1;

/// Size of the configuration (section 5.1.4) up to the last field that a feature here shows.
pub const CONFIG_SIZE: usize = 8;
/// Position of the status, 16 bits.
pub const CONFIG_STATUS: usize = 6;
/// Status: the link is up.
pub const S_LINK_UP: u16 = 1;

/// Size of a frame's header (section 5.1.6).
pub const HEADER: usize = 12;
/// The same without the number of buffers: that of legacy drivers that don't merge buffers (section
/// 5.1.6.1).
pub const HEADER_SHORT: usize = 10;
/// Header flag: the checksum from one position on is to be stored at another.
pub const HDR_NEEDS_CSUM: u8 = 1;
/// Kind of segmentation in a header: none.
pub const GSO_NONE: u8 = 0;
/// TCP over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// TCP over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// Flag beside it: explicit congestion notification, which all hosts here understand.
pub const GSO_ECN: u8 = 0x80;
