//! Sockets of this host.

use crate::host::{Host, Socket, Stream};
use crate::plan::DNS_PORT;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getpeername, ipproto, listen,
    socket_with, sockopt,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Where the host's name servers are.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Says which sockets are ready: each tells once, until it is used.
#[derive(Clone, Debug)]
pub struct Poll(Arc<OwnedFd>);

impl Poll {
    /// Without sockets.
    ///
    /// # Errors
    /// The host's.
    pub fn new() -> io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poll(Arc::new(poll)))
    }

    /// Adds a socket with its number.
    ///
    /// # Errors
    /// The host's.
    pub fn add(&self, socket: impl AsFd, id: u64, output: bool) -> io::Result<()> {
        let mut flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        if output {
            flags |= EventFlags::OUT;
        }
        Ok(epoll::add(&*self.0, socket, EventData::new_u64(id), flags)?)
    }

    /// Waits until a socket is ready, or for so long; the numbers of those that are.
    pub fn wait(&self, ids: &mut Vec<u64>, timeout: Duration) {
        let timeout = rustix::event::Timespec {
            tv_sec: timeout.as_secs().min(3600) as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut events = [epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        }; 64];
        ids.clear();
        // An error is an interrupted wait.
        if let Ok(count) = epoll::wait(&*self.0, &mut events, Some(&timeout)) {
            ids.extend(events.iter().take(count).map(|event| event.data.u64()));
        }
    }
}

/// This host.
#[derive(Debug)]
pub struct OsHost {
    poll: Poll,
    /// The name servers as they were when the file could be read.
    resolvers: Vec<SocketAddr>,
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    }
}

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

impl OsHost {
    /// A host whose sockets `poll` watches.
    pub fn new(poll: Poll) -> Self {
        let mut host = OsHost {
            poll,
            resolvers: Vec::new(),
        };
        host.resolvers();
        host
    }

    /// Takes a connection that a listener has accepted.
    ///
    /// # Errors
    /// The host's.
    pub fn adopt(&mut self, stream: TcpStream, id: u64) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        // Data comes in the pieces that the guest sends.
        let _ = stream.set_nodelay(true);
        self.poll.add(&stream, id, true)?;
        Ok(stream)
    }
}

/// A socket that listens.
///
/// # Errors
/// The host's.
pub fn listener(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket_with(family(at.ip()), SocketType::STREAM, FLAGS, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &at)?;
    listen(&socket, 128)?;
    Ok(socket.into())
}

/// A socket for UDP that hears from everybody.
///
/// # Errors
/// The host's.
pub fn receiver(at: SocketAddr) -> io::Result<OsSocket> {
    let socket = socket_with(family(at.ip()), SocketType::DGRAM, FLAGS, None)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &at)?;
    Ok(OsSocket {
        socket: socket.into(),
        only: None,
    })
}

impl Host for OsHost {
    type Stream = TcpStream;
    type Socket = OsSocket;

    fn connect(&mut self, to: SocketAddr, id: u64) -> io::Result<TcpStream> {
        let socket = socket_with(family(to.ip()), SocketType::STREAM, FLAGS, None)?;
        match connect(&socket, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        self.adopt(socket.into(), id)
    }

    fn datagrams(&mut self, to: SocketAddr, only: bool, id: u64) -> io::Result<OsSocket> {
        let socket = socket_with(family(to.ip()), SocketType::DGRAM, FLAGS, None)?;
        if only {
            connect(&socket, &to)?;
        }
        self.poll.add(&socket, id, false)?;
        Ok(OsSocket {
            socket: socket.into(),
            only: only.then_some(to),
        })
    }

    fn echo(&mut self, to: IpAddr, id: u64) -> io::Result<OsSocket> {
        let protocol = match to {
            IpAddr::V4(_) => ipproto::ICMP,
            IpAddr::V6(_) => ipproto::ICMPV6,
        };
        let socket = socket_with(family(to), SocketType::DGRAM, FLAGS, Some(protocol))?;
        let to = SocketAddr::new(to, 0);
        connect(&socket, &to)?;
        self.poll.add(&socket, id, false)?;
        Ok(OsSocket {
            socket: socket.into(),
            only: Some(to),
        })
    }

    fn resolvers(&mut self) -> Vec<SocketAddr> {
        // In a sandbox it can't be read any more.
        if let Ok(text) = std::fs::read_to_string(RESOLV_CONF) {
            self.resolvers = resolvers(&text);
        }
        self.resolvers.clone()
    }
}

/// The name servers that a resolv.conf(5) names.
fn resolvers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = match (words.next(), words.next()) {
            (Some("nameserver"), Some(address)) => address,
            _ => return None,
        };
        // One with a scope can't be asked without looking up the interface.
        Some(SocketAddr::new(address.parse().ok()?, DNS_PORT))
    });
    lines.collect()
}

impl Stream for TcpStream {
    fn connected(&mut self) -> io::Result<()> {
        sockopt::socket_error(&*self)??;
        match getpeername(&*self) {
            Ok(_) => Ok(()),
            Err(rustix::io::Errno::NOTCONN) => Err(ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buf)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn finish(&mut self) {
        // An error means that the other side is gone, which reading tells.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        let _ = sockopt::set_socket_linger(&*self, Some(Duration::ZERO));
    }
}

/// A socket for datagrams.
#[derive(Debug)]
pub struct OsSocket {
    socket: UdpSocket,
    only: Option<SocketAddr>,
}

impl AsFd for OsSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Socket for OsSocket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self.only {
            Some(only) => Ok((self.socket.recv(buf)?, only)),
            None => self.socket.recv_from(buf),
        }
    }

    fn send(&mut self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        match self.only {
            Some(_) => self.socket.send(bytes)?,
            None => self.socket.send_to(bytes, to)?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_found() {
        let text = "# nameserver 1.1.1.1\nsearch example.org\nnameserver 192.0.2.53\n\
            nameserver\tfd00::53 # second\nnameserver fe80::1%eth0\nnameserver nobody\n";
        let found: Vec<String> = resolvers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.53:53", "[fd00::53]:53"]);
        assert!(resolvers("").is_empty());
    }
}
