//! What the network needs of the host: traits, so that it can be tested without one.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Makes sockets. None of them ever blocks. When one may have become ready, or has an error, whoever
/// drives the network calls [`Nat::host_ready`](crate::nat::Nat::host_ready) with its `id`: once,
/// until it has said that it would block.
pub trait Host {
    /// A TCP connection.
    type Stream: Stream;
    /// A socket for datagrams.
    type Socket: Socket;

    /// Begins to connect. The stream gets ready when that has worked or failed.
    fn connect(&mut self, to: SocketAddr, id: u64) -> io::Result<Self::Stream>;

    /// A UDP socket that reaches `to`: only it, or any other with an address of the same kind.
    fn datagrams(&mut self, to: SocketAddr, only: bool, id: u64) -> io::Result<Self::Socket>;

    /// A socket for ICMP echo with `to`, if the host allows that.
    fn echo(&mut self, to: IpAddr, id: u64) -> io::Result<Self::Socket>;

    /// The host's name servers, the preferred one first.
    fn resolvers(&mut self) -> Vec<SocketAddr>;
}

/// A TCP connection of the host's.
pub trait Stream {
    /// Whether connecting has worked, once the stream is ready. [`io::ErrorKind::WouldBlock`]: that
    /// is not decided yet.
    fn connected(&mut self) -> io::Result<()>;
    /// Reads; 0 at the end.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Writes no more.
    fn finish(&mut self);
    /// Makes the other side see a reset, not an end, when the stream is dropped.
    fn abort(&mut self);
}

/// A socket for datagrams.
pub trait Socket {
    /// Receives a datagram into a buffer. It may be longer than the buffer: then its end is lost.
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    /// Sends a datagram. `to` is ignored if the socket reaches one address only.
    fn send(&mut self, bytes: &[u8], to: SocketAddr) -> io::Result<()>;
}
