//! Features, configuration, headers and events of socket devices (VIRTIO 1.2, section 5.10).

/// Stream sockets (section 5.10.3).
pub const F_STREAM: u64 = 1 << 0;

/// Queue for packets that the guest receives (section 5.10.2).
pub const RECEIVE: usize = 0;
/// Queue for packets that the guest sends.
pub const TRANSMIT: usize = 1;
/// Queue for events that the guest receives.
pub const EVENT: usize = 2;

/// The host's CID (section 5.10.4, as are the limits of guests').
pub const HOST_CID: u64 = 2;
/// The least CID that a guest can have.
pub const MIN_CID: u32 = 3;
/// The largest one.
pub const MAX_CID: u32 = 0xffff_fffe;

/// Size of a packet's header (section 5.10.6, as is the rest).
pub const HEADER: usize = 44;

/// Type of sockets: stream.
pub const TYPE_STREAM: u16 = 1;

/// Operation: connect.
pub const OP_REQUEST: u16 = 1;
/// Operation: the connection is accepted.
pub const OP_RESPONSE: u16 = 2;
/// Operation: the connection is refused, or is no more.
pub const OP_RST: u16 = 3;
/// Operation: a side will send no more, or receive no more.
pub const OP_SHUTDOWN: u16 = 4;
/// Operation: data.
pub const OP_RW: u16 = 5;
/// Operation: how much room there is.
pub const OP_CREDIT_UPDATE: u16 = 6;
/// Operation: a question for that.
pub const OP_CREDIT_REQUEST: u16 = 7;

/// Flag of a shutdown: the sender of it receives no more (section 5.10.6.5).
pub const SHUTDOWN_RECEIVE: u32 = 1;
/// Flag of a shutdown: the sender of it sends no more.
pub const SHUTDOWN_SEND: u32 = 2;
/// Both.
pub const SHUTDOWN_BOTH: u32 = SHUTDOWN_RECEIVE | SHUTDOWN_SEND;

/// Event: all connections are gone (section 5.10.6.7).
pub const EVENT_TRANSPORT_RESET: u32 = 0;
