//! What connections need: traits, so that they can be tested without a host and without a guest.

use skep_board::virtio::vsock::{Header, Packets};
use std::io;

/// Connects to programs that listen. When a stream may have become ready, or has an error, whoever drives
/// the connections calls [`Sockets::host_ready`](crate::Sockets::host_ready) with its number: once, until it
/// has said that it would block.
pub trait Host {
    /// A connection.
    type Stream: Stream;

    /// Begins to connect to who listens for a port of the host's. What comes of it,
    /// [`Sockets::connected`](crate::Sockets::connected) is told with the same number.
    ///
    /// # Errors
    /// The host's: it won't.
    fn connect(&mut self, port: u32, id: u64) -> io::Result<()>;
}

/// A connection to a program of the host's. It never blocks.
pub trait Stream {
    /// Reads; 0 at the end.
    ///
    /// # Errors
    /// The host's.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes.
    ///
    /// # Errors
    /// The host's.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes no more.
    fn finish(&mut self);

    /// Reads no more, and lets the program's writes fail.
    fn refuse(&mut self);

    /// Whether the program has closed its end, and not only ended what it sends.
    fn closed(&self) -> bool;
}

/// The guest's socket device, as [`skep_board::virtio::Transport`] has it.
pub trait Link: Send {
    /// The number of the driver's use of the device; None while it does not use it.
    fn session(&mut self) -> Option<u64>;

    /// Takes packets of the guest's in place of those that are there.
    fn take(&mut self, session: u64, packets: &mut Packets);

    /// Gives the guest a packet, cut where its buffers are: how much of the payload it has now, None if it
    /// has no buffer.
    fn give(&mut self, session: u64, header: &Header, payload: &[u8]) -> Option<usize>;

    /// The VM is paused: time does not pass for the guest.
    fn paused(&self) -> bool;
}
