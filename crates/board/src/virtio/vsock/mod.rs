//! Socket device (VIRTIO 1.2, section 5.10): connections between programs of the guest and of the host.
//!
//! The device itself moves no packets and knows no connections: its backend is told that there are packets
//! or buffers, and takes or gives packets ([`Transport::take_packets`], [`Transport::give_packets`]) when it
//! comes to it, on whatever thread it has.

pub mod spec;
mod state;

pub use state::VsockState;

use super::spec::ID_VSOCK;
use super::{QueueError, Queues, Transport, VirtioDevice, read_config};
use crate::{GuestMemory, IrqLine};
use alloc::vec::Vec;
use core::ops::Range;
use spec::*;

/// The longest payload of a packet, bytes. Linux sends at most 64 KiB.
pub const MAX_PAYLOAD: usize = 256 << 10;
/// How much payload is taken at once, bytes: at most one packet more than that.
const MAX_TAKEN: usize = 256 << 10;
/// How many packets are taken at once.
const MAX_PACKETS: usize = 64;
/// Size of each queue.
const QUEUE_SIZE: u16 = 256;

/// What moves packets.
pub trait VsockBackend: Send {
    /// The driver has made buffers available: with packets in the transmit queue, or for packets in the
    /// receive queue.
    fn notified(&mut self);

    /// The driver has reset the device: all connections are gone, and the session is another one.
    fn reset(&mut self);
}

/// A packet's header (section 5.10.6).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Header {
    /// Who sends it.
    pub source_cid: u64,
    /// Who it is for.
    pub destination_cid: u64,
    /// The sender's port.
    pub source_port: u32,
    /// The receiver's.
    pub destination_port: u32,
    /// Bytes of payload behind it.
    pub len: u32,
    /// Type of the sockets.
    pub kind: u16,
    /// Operation: an `OP_` of [`spec`].
    pub operation: u16,
    /// Of the operation.
    pub flags: u32,
    /// The sender's room for what it receives on this connection, bytes.
    pub buf_alloc: u32,
    /// How many bytes of that were taken from there since the connection began, modulo 2^32.
    pub fwd_cnt: u32,
}

/// Reads and writes the fields of a header, one behind the other.
macro_rules! fields {
    ($($field:ident: $type:ty,)*) => {
        impl Header {
            /// Reads a header.
            pub fn parse(bytes: &[u8; HEADER]) -> Self {
                let mut rest = bytes.as_slice();
                $(
                    let mut $field = [0; size_of::<$type>()];
                    let (field, after) = rest.split_at($field.len());
                    $field.copy_from_slice(field);
                    rest = after;
                )*
                let _ = rest;
                Header { $($field: <$type>::from_le_bytes($field),)* }
            }

            /// Its bytes.
            pub fn bytes(&self) -> [u8; HEADER] {
                let mut bytes = [0; HEADER];
                let mut at = 0;
                $(
                    let end = at + size_of::<$type>();
                    bytes[at..end].copy_from_slice(&self.$field.to_le_bytes());
                    at = end;
                )*
                let _ = at;
                bytes
            }
        }
    };
}

fields! {
    source_cid: u64,
    destination_cid: u64,
    source_port: u32,
    destination_port: u32,
    len: u32,
    kind: u16,
    operation: u16,
    flags: u32,
    buf_alloc: u32,
    fwd_cnt: u32,
}

/// Packets that the guest sent.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Packets {
    headers: Vec<(Header, Range<usize>)>,
    payload: Vec<u8>,
}

impl Packets {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// The packets in order, each with its payload: only data has one.
    pub fn iter(&self) -> impl Iterator<Item = (&Header, &[u8])> {
        self.headers
            .iter()
            .map(|(header, range)| (header, self.payload.get(range.clone()).unwrap_or_default()))
    }

    /// Adds a packet.
    pub fn push(&mut self, header: &Header, payload: &[u8]) {
        let at = self.payload.len();
        self.payload.extend_from_slice(payload);
        self.headers.push((*header, at..self.payload.len()));
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.payload.clear();
    }

    fn is_full(&self) -> bool {
        self.headers.len() >= MAX_PACKETS || self.payload.len() >= MAX_TAKEN
    }
}

/// A socket device.
pub struct Vsock<B: VsockBackend> {
    backend: B,
    cid: u32,
    session: u64,
    /// The guest is to be told that its connections are gone.
    tell_reset: bool,
}

impl<B: VsockBackend> Vsock<B> {
    /// A device for the guest with this CID, [`MIN_CID`] to [`MAX_CID`].
    pub fn new(backend: B, cid: u32) -> Self {
        Vsock {
            backend,
            cid,
            session: 0,
            tell_reset: false,
        }
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Tells the guest that its connections are gone, if it must know and has a buffer for that.
    fn tell(&mut self, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        if self.tell_reset
            && let Some(chain) = queues.pop(EVENT)?
        {
            let event = EVENT_TRANSPORT_RESET.to_le_bytes();
            chain.write(queues.memory(), 0, &event)?;
            queues.push(EVENT, chain, event.len() as u32)?;
            self.tell_reset = false;
        }
        Ok(())
    }
}

/// Takes packets from the driver; see [`Transport::take_packets`].
fn take(queues: &mut Queues<'_>, packets: &mut Packets) -> Result<(), QueueError> {
    while !packets.is_full()
        && let Some(chain) = queues.pop(TRANSMIT)?
    {
        let payload = chain
            .readable_len()
            .checked_sub(HEADER as u64)
            .ok_or(QueueError::TooShort)?;
        let mut bytes = [0; HEADER];
        chain.read(queues.memory(), 0, &mut bytes)?;
        let header = Header::parse(&bytes);
        let at = packets.payload.len();
        // Other packets have nothing behind the header that means anything.
        if header.operation == OP_RW {
            let len = header.len as usize;
            if len > MAX_PAYLOAD {
                return Err(QueueError::TooLong);
            }
            if header.len as u64 > payload {
                return Err(QueueError::TooShort);
            }
            packets.payload.resize(at + len, 0);
            let space = packets.payload.get_mut(at..).unwrap_or_default();
            chain.read(queues.memory(), HEADER as u64, space)?;
        }
        queues.push(TRANSMIT, chain, 0)?;
        packets.headers.push((header, at..packets.payload.len()));
    }
    Ok(())
}

/// Gives packets to the driver; see [`Transport::give_packets`].
fn give(
    queues: &mut Queues<'_>,
    header: &Header,
    payload: &[u8],
    given: &mut Option<usize>,
) -> Result<(), QueueError> {
    loop {
        let rest = payload.get(given.unwrap_or(0)..).unwrap_or_default();
        if given.is_some() && rest.is_empty() {
            return Ok(());
        }
        let Some(chain) = queues.pop(RECEIVE)? else {
            return Ok(());
        };
        let room = chain
            .writable_len()
            .checked_sub(HEADER as u64)
            .filter(|room| *room > 0 || rest.is_empty())
            .ok_or(QueueError::TooShort)?;
        let part = rest.get(..room as usize).unwrap_or(rest);
        let header = Header {
            len: part.len() as u32,
            ..*header
        };
        chain.write(queues.memory(), 0, &header.bytes())?;
        chain.write(queues.memory(), HEADER as u64, part)?;
        queues.push(RECEIVE, chain, (HEADER + part.len()) as u32)?;
        *given = Some(given.unwrap_or(0) + part.len());
    }
}

impl<B: VsockBackend> VirtioDevice for Vsock<B> {
    type State = VsockState;

    fn id(&self) -> u32 {
        ID_VSOCK
    }

    fn features(&self) -> u64 {
        F_STREAM
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE; 3]
    }

    fn config_read(&self, offset: u64, buf: &mut [u8]) {
        read_config(&u64::from(self.cid).to_le_bytes(), offset, buf);
    }

    fn config_write(&mut self, _offset: u64, _bytes: &[u8]) {}

    fn reset(&mut self) {
        self.session = self.session.wrapping_add(1);
        self.tell_reset = false;
        self.backend.reset();
    }

    fn save(&self) -> VsockState {
        VsockState { cid: self.cid }
    }

    /// The guest's connections are gone, which it is told.
    fn restore(&mut self, state: &VsockState) -> bool {
        let VsockState { cid } = *state;
        let changed = cid != self.cid;
        self.cid = cid;
        self.reset();
        self.tell_reset = true;
        changed
    }

    fn notify(&mut self, _queue: usize, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        self.tell(queues)?;
        self.backend.notified();
        Ok(())
    }
}

impl<B: VsockBackend, M: GuestMemory, I: IrqLine> Transport<Vsock<B>, M, I> {
    /// The number of the driver's present use of the device; None while it does not use it. With another
    /// one all connections are gone.
    pub fn vsock_session(&mut self) -> Option<u64> {
        self.with_device(|device, queues| queues.live().then_some(device.session))
    }

    /// Takes the next packets that the guest sends, in place of those in `packets`: some of them, if there
    /// are many. None come if the session is another one. There being none, the backend will be notified
    /// of the next.
    pub fn take_packets(&mut self, session: u64, packets: &mut Packets) {
        packets.clear();
        self.serve(|device, queues| match device.session == session {
            true => take(queues, packets),
            false => Ok(()),
        });
    }

    /// Gives the guest a packet, or if its buffers are short several that have the payload between them:
    /// their headers are this one, but for the length. How much of the payload it has now; None if it had no
    /// buffer at all, or the session is another one. Unless it has everything, the backend will be notified
    /// when there are buffers.
    pub fn give_packets(&mut self, session: u64, header: &Header, payload: &[u8]) -> Option<usize> {
        let mut given = None;
        self.serve(|device, queues| match device.session == session {
            true => give(queues, header, payload, &mut given),
            false => Ok(()),
        });
        given
    }
}
