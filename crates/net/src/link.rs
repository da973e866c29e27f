//! The guest's end of the network.

use crate::offload;
use crate::wire::Ability;
use skep_board::virtio::net::spec::{self, F_CSUM, F_HOST_TSO4, F_HOST_TSO6, HEADER};
use skep_board::virtio::net::{MAX_FRAME, Offload};
use std::io::{self, ErrorKind};

/// Everything that neighbours may leave to be done to frames.
const FEATURES: u64 = F_CSUM | F_HOST_TSO4 | F_HOST_TSO6;

/// Takes frames from the guest's network card, and gives it some.
pub trait Link: Send {
    /// Takes the next frame that the guest sends into `frame`, from the Ethernet header on. None:
    /// there is none, and the network is woken when there is one.
    fn take(&mut self, frame: &mut Vec<u8>) -> Option<Offload>;

    /// Gives the guest a frame: `parts`, one behind the other; its headers are `headers` bytes long.
    /// False: the guest has no room for it, and the network is woken when there is some.
    fn give(&mut self, offload: &Offload, headers: usize, parts: &[&[u8]]) -> bool;

    /// The features of the network card that both sides agreed on; None while it is not in use.
    fn features(&mut self) -> Option<u64>;

    /// The VM is paused: time does not pass for the guest.
    fn paused(&self) -> bool;
}

/// What features let the guest be sent.
pub fn ability(features: u64) -> Ability {
    let checksum = features & spec::F_GUEST_CSUM != 0;
    Ability {
        checksum,
        large4: checksum && features & spec::F_GUEST_TSO4 != 0,
        large6: checksum && features & spec::F_GUEST_TSO6 != 0,
    }
}

/// How many frames go in one direction before the other has its turn.
pub(crate) const TURNS: usize = 64;

/// Frames of neighbours', as they come out of a file descriptor.
pub(crate) struct Incoming {
    buffer: Vec<u8>,
    /// The length of what was received and the guest has not taken.
    kept: Option<usize>,
    readable: bool,
}

impl Incoming {
    /// With room for so many bytes, of which a frame and its header have fewer.
    pub fn new(room: usize) -> Self {
        Incoming {
            buffer: vec![0; room],
            kept: None,
            readable: true,
        }
    }

    /// There is more to read.
    pub fn ready(&mut self) {
        self.readable = true;
    }

    /// Gives the guest what there is, as far as it has room. True if it is somebody else's turn before all
    /// is done.
    pub fn pass(
        &mut self,
        link: &mut dyn Link,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> bool {
        for _ in 0..TURNS {
            let len = match self.kept.take() {
                Some(len) => len,
                None if !self.readable => return false,
                None => match read(&mut self.buffer) {
                    Ok(len) => len,
                    Err(error) => {
                        self.readable = error.kind() == ErrorKind::Interrupted;
                        return self.readable;
                    }
                },
            };
            if !give(self.buffer.get_mut(..len).unwrap_or_default(), link) {
                // Until it has room.
                self.kept = Some(len);
                return false;
            }
        }
        true
    }
}

/// Gives the guest a frame of a neighbour's, which has a network card's header before it, in a form that
/// the guest takes. False: later.
fn give(datagram: &mut [u8], link: &mut dyn Link) -> bool {
    let Some(features) = link.features() else {
        // Nobody is there to hear of it.
        return true;
    };
    let Some((header, frame)) = datagram.split_first_chunk_mut::<HEADER>() else {
        return true;
    };
    if frame.len() > MAX_FRAME {
        return true;
    }
    match Offload::parse(header, FEATURES, frame.len()) {
        None => true,
        Some(offload) => offload::adapt(
            frame,
            &offload,
            ability(features),
            &mut |offload, headers, parts| link.give(offload, headers, parts),
        ),
    }
}
