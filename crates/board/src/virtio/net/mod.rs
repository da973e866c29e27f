//! Network card with one pair of queues (VIRTIO 1.2, section 5.1).
//!
//! The card itself moves no frames: its backend is told that there are frames or buffers, and takes
//! or gives frames ([`Transport::take_frame`], [`Transport::give_frame`]) when it comes to it, on
//! whatever thread it has. What a frame's header says of checksum and segmentation has been checked
//! against the frame's length and the features when the backend sees it.

pub mod spec;
mod state;

pub use state::NetState;

use super::spec::ID_NET;
use super::{Chain, QueueError, Queues, Transport, VirtioDevice, read_config};
use crate::{GuestMemory, IrqLine};
use alloc::vec::Vec;
use spec::*;

/// The longest frame, bytes: an IP packet of 64 KiB behind an Ethernet header with a VLAN tag.
pub const MAX_FRAME: usize = (64 << 10) + 18;
/// Size of each queue.
const QUEUE_SIZE: u16 = 256;

/// A card's hardware address.
pub type Mac = [u8; 6];

/// What moves frames.
pub trait NetBackend: Send {
    /// The driver has made buffers available: with frames in the transmit queue, or for frames in
    /// the receive queue.
    fn notified(&mut self);

    /// The driver has reset the card: nobody remembers what was sent before.
    fn reset(&mut self);
}

/// What is left to do to a frame.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Offload {
    /// The Internet checksum of the bytes from the first position on is to be stored at the second.
    /// There is the checksum of the pseudo-header. Both are within the frame.
    pub checksum: Option<(u16, u16)>,
    /// It is TCP, to be cut into segments.
    pub segments: Option<Segments>,
}

/// How a frame is to be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segments {
    /// Over IPv6 rather than IPv4.
    pub ipv6: bool,
    /// The most payload of each segment, bytes: not 0.
    pub size: u16,
}

impl Offload {
    /// Reads a header before a frame of `len` bytes, from who may do what `features` allow a driver
    /// that sends. None: it contradicts itself, the frame or the features.
    pub fn parse(header: &[u8; HEADER], features: u64, len: usize) -> Option<Self> {
        let [flags, gso, _, _, s0, s1, c0, c1, o0, o1, ..] = *header;
        let mut offload = Offload::default();
        if flags & HDR_NEEDS_CSUM != 0 {
            let start = u16::from_le_bytes([c0, c1]);
            let at = start.checked_add(u16::from_le_bytes([o0, o1]))?;
            let fits = usize::from(start) <= len && usize::from(at) + 2 <= len;
            if features & F_CSUM == 0 || !fits {
                return None;
            }
            offload.checksum = Some((start, at));
        }
        let ipv6 = match gso & !GSO_ECN {
            GSO_NONE => return Some(offload),
            GSO_TCPV4 if features & F_HOST_TSO4 != 0 => false,
            GSO_TCPV6 if features & F_HOST_TSO6 != 0 => true,
            _ => return None,
        };
        let size = u16::from_le_bytes([s0, s1]);
        if size == 0 || offload.checksum.is_none() {
            return None;
        }
        offload.segments = Some(Segments { ipv6, size });
        Some(offload)
    }

    /// The header before a frame whose own headers are `headers` bytes long, in so many buffers.
    pub fn header(&self, headers: u16, buffers: u16) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        if let Some((start, at)) = self.checksum {
            header[0] = HDR_NEEDS_CSUM;
            header[6..8].copy_from_slice(&start.to_le_bytes());
            header[8..10].copy_from_slice(&at.saturating_sub(start).to_le_bytes());
        }
        if let Some(Segments { ipv6, size }) = self.segments {
            header[1] = if ipv6 { GSO_TCPV6 } else { GSO_TCPV4 };
            header[2..4].copy_from_slice(&headers.to_le_bytes());
            header[4..6].copy_from_slice(&size.to_le_bytes());
        }
        header[10..].copy_from_slice(&buffers.to_le_bytes());
        header
    }
}

/// What became of a frame for the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// The guest has it, or can never have it.
    Done,
    /// The guest has no buffers for it: the backend is notified when it makes some available.
    Full,
}

/// A network card.
pub struct Net<B: NetBackend> {
    backend: B,
    mac: Mac,
}

impl<B: NetBackend> Net<B> {
    /// A card that offers checksum and segmentation offload in both directions.
    pub fn new(backend: B, mac: Mac) -> Self {
        Net { backend, mac }
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }
}

/// The length of frames' headers, with these features.
fn header_len(features: u64) -> usize {
    if features & (super::spec::F_VERSION_1 | F_MRG_RXBUF) == 0 {
        HEADER_SHORT
    } else {
        HEADER
    }
}

/// Writes all of `parts`, one behind the other, at `offset` of the bytes that the chains make up.
fn scatter(chains: &[Chain], memory: &dyn GuestMemory, parts: &[&[u8]]) -> Result<(), QueueError> {
    let mut chains = chains.iter();
    let mut chain = chains.next();
    let mut at = 0;
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            let Some(into) = chain else {
                return Err(QueueError::TooShort);
            };
            let room = into.writable_len().saturating_sub(at);
            let (now, later) = rest.split_at(room.min(rest.len() as u64) as usize);
            into.write(memory, at, now)?;
            at += now.len() as u64;
            rest = later;
            if !rest.is_empty() {
                (chain, at) = (chains.next(), 0);
            }
        }
    }
    Ok(())
}

/// Gives a frame to the driver; see [`Transport::give_frame`].
fn give(
    queues: &mut Queues<'_>,
    offload: &Offload,
    frame_headers: u16,
    parts: &[&[u8]],
) -> Result<Given, QueueError> {
    let features = queues.features();
    let header_len = header_len(features);
    let total = header_len + parts.iter().map(|part| part.len()).sum::<usize>();
    let merge = features & F_MRG_RXBUF != 0;
    let mut chains = Vec::new();
    let mut room = 0;
    while room < total as u64 {
        let Some(chain) = queues.pop(RECEIVE)? else {
            queues.put_back(RECEIVE, chains.len() as u16);
            return Ok(Given::Full);
        };
        let len = chain.writable_len();
        // The first must hold the header, and each something (section 5.1.6.4).
        if len < header_len as u64 {
            return Err(QueueError::TooShort);
        }
        room += len;
        chains.push(chain);
        if room < total as u64 && !merge {
            // A driver that can't have the frame whole does not get it.
            queues.put_back(RECEIVE, 1);
            return Ok(Given::Done);
        }
    }
    let header = offload.header(frame_headers, chains.len() as u16);
    let mut all = Vec::with_capacity(parts.len() + 1);
    all.push(header.get(..header_len).unwrap_or(&header));
    all.extend(parts);
    scatter(&chains, queues.memory(), &all)?;
    let mut rest = total as u64;
    for chain in chains {
        let part = rest.min(chain.writable_len());
        queues.push(RECEIVE, chain, part as u32)?;
        rest -= part;
    }
    Ok(Given::Done)
}

/// Takes a frame from the driver; see [`Transport::take_frame`].
fn take(queues: &mut Queues<'_>, frame: &mut Vec<u8>) -> Result<Option<Offload>, QueueError> {
    let Some(chain) = queues.pop(TRANSMIT)? else {
        return Ok(None);
    };
    let features = queues.features();
    let header_len = header_len(features);
    let len = chain
        .readable_len()
        .checked_sub(header_len as u64)
        .ok_or(QueueError::TooShort)?;
    let mut offload = None;
    if len <= MAX_FRAME as u64 {
        let mut header = [0; HEADER];
        let memory = queues.memory();
        chain.read(memory, 0, header.get_mut(..header_len).unwrap_or_default())?;
        frame.resize(len as usize, 0);
        chain.read(memory, header_len as u64, frame)?;
        offload = Offload::parse(&header, features, frame.len());
    }
    queues.push(TRANSMIT, chain, 0)?;
    if offload.is_none() {
        frame.clear();
    }
    Ok(Some(offload.unwrap_or_default()))
}

impl<B: NetBackend> VirtioDevice for Net<B> {
    type State = NetState;

    fn id(&self) -> u32 {
        ID_NET
    }

    fn features(&self) -> u64 {
        const OFFLOADS: u64 =
            F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_HOST_TSO4 | F_HOST_TSO6;
        OFFLOADS | F_MAC | F_MRG_RXBUF | F_STATUS
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE; 2]
    }

    fn config_read(&self, offset: u64, buf: &mut [u8]) {
        let mut config = [0; CONFIG_SIZE];
        config[..CONFIG_STATUS].copy_from_slice(&self.mac);
        config[CONFIG_STATUS..].copy_from_slice(&S_LINK_UP.to_le_bytes());
        read_config(&config, offset, buf);
    }

    fn config_write(&mut self, _offset: u64, _bytes: &[u8]) {}

    fn reset(&mut self) {
        self.backend.reset();
    }

    fn save(&self) -> NetState {
        NetState { mac: self.mac }
    }

    fn restore(&mut self, state: &NetState) -> bool {
        let NetState { mac } = *state;
        let changed = mac != self.mac;
        self.mac = mac;
        changed
    }

    fn notify(&mut self, _queue: usize, _queues: &mut Queues<'_>) -> Result<(), QueueError> {
        self.backend.notified();
        Ok(())
    }
}

impl<B: NetBackend, M: GuestMemory, I: IrqLine> Transport<Net<B>, M, I> {
    /// Takes the next frame that the guest sends into `frame`, in place of what is there: at most
    /// [`MAX_FRAME`] bytes from the Ethernet header on. It is empty if it or its header makes no
    /// sense. None: there is none, and the backend will be notified of the next.
    pub fn take_frame(&mut self, frame: &mut Vec<u8>) -> Option<Offload> {
        let mut taken = None;
        self.serve(|_, queues| {
            taken = take(queues, frame)?;
            Ok(())
        });
        taken
    }

    /// Gives the guest a frame, which is `parts` one behind the other, from the Ethernet header on.
    /// `headers` is the length of its headers, up to and with TCP's: a hint for the driver where
    /// `offload` has segments. Features must allow that offload ([`Transport::frame_features`]).
    pub fn give_frame(&mut self, offload: &Offload, headers: u16, parts: &[&[u8]]) -> Given {
        let mut given = Given::Done;
        self.serve(|_, queues| {
            given = give(queues, offload, headers, parts)?;
            Ok(())
        });
        given
    }

    /// The features of [`spec`] that both sides agreed on; None while the driver does not use the
    /// card.
    pub fn frame_features(&mut self) -> Option<u64> {
        self.with_device(|_, queues| queues.live().then(|| queues.features()))
    }
}
