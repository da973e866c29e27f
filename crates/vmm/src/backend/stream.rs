//! Moves bytes between a console and who is at the other end of a socket or terminal.

use super::ring::Ring;
use crate::board::Port;
use crate::standstill::Standstill;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of input that are read at once.
const CHUNK: usize = 4096;
/// How often input that the guest has no room for is offered again.
const AGAIN: Duration = Duration::from_millis(20);
/// How often a terminal that nobody has open is looked at: nothing tells when somebody opens it.
const LOOK: Duration = Duration::from_millis(200);

/// Who can be talked to.
pub(super) enum Source {
    /// Clients, one at a time.
    Socket(UnixListener),
    /// Whoever opens the terminal.
    Terminal(OwnedFd),
}

/// A console's connection.
pub(super) struct Stream {
    source: Source,
    ring: Arc<Ring>,
    port: Port,
    standstill: Arc<Standstill>,
    /// Of a socket, the client.
    client: Option<OwnedFd>,
    /// Of a terminal: somebody has it open.
    open: bool,
    /// The other side may send more.
    sends: bool,
    /// Input that the guest has no room for.
    held: Vec<u8>,
}

/// What there is to do.
struct Ready {
    knock: bool,
    peer: PollFlags,
}

impl Stream {
    pub fn new(source: Source, ring: Arc<Ring>, port: Port, standstill: Arc<Standstill>) -> Self {
        Stream {
            source,
            ring,
            port,
            standstill,
            client: None,
            open: false,
            sends: false,
            held: Vec::new(),
        }
    }

    /// Works until the ring is stopped.
    pub fn run(&mut self) {
        while !self.ring.is_stopped() {
            let ready = self.wait();
            self.look();
            self.deliver();
            if ready
                .peer
                .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            {
                self.read(ready.peer);
            }
            if ready.knock {
                self.answer();
            }
            self.write();
        }
    }

    /// Who is there.
    fn peer(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Socket(_) => self.client.as_ref().map(OwnedFd::as_fd),
            Source::Terminal(terminal) => self.open.then_some(terminal.as_fd()),
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) -> Ready {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.sends && self.held.is_empty());
        wanted.set(PollFlags::OUT, !self.ring.is_empty());
        let bell = PollFd::from_borrowed_fd(self.ring.bell(), PollFlags::IN);
        let mut fds = vec![bell];
        if let Source::Socket(listener) = &self.source {
            fds.push(PollFd::new(listener, PollFlags::IN));
        }
        // While input is held and nothing is to be written, the peer is left alone: that it hung up would
        // be told again and again.
        let watched = self.held.is_empty() || wanted.contains(PollFlags::OUT);
        let peer = self.peer().filter(|_| watched);
        if let Some(peer) = peer {
            fds.push(PollFd::from_borrowed_fd(peer, wanted));
        }
        let limit = match &self.source {
            _ if !self.held.is_empty() => Some(AGAIN),
            Source::Terminal(_) if !self.open => Some(LOOK),
            _ => None,
        };
        let limit = limit.map(|limit| Timespec {
            tv_sec: 0,
            tv_nsec: limit.as_nanos() as _,
        });
        // A signal, and an error that there is no reason for, are as if nothing had happened.
        let mut ready = Ready {
            knock: false,
            peer: PollFlags::empty(),
        };
        if poll(&mut fds, limit.as_ref()).is_err() {
            return ready;
        }
        let mut found = fds.iter().map(PollFd::revents);
        if found.next().is_some_and(|flags| !flags.is_empty()) {
            self.ring.heard();
        }
        if let Source::Socket(_) = self.source {
            ready.knock = found.next().is_some_and(|flags| !flags.is_empty());
        }
        if peer.is_some() {
            ready.peer = found.next().unwrap_or(PollFlags::empty());
        }
        ready
    }

    /// Takes a client in, or turns it away if there is one.
    fn answer(&mut self) {
        let Source::Socket(listener) = &self.source else {
            return;
        };
        // A client may have gone again.
        let Ok((mut client, _)) = listener.accept() else {
            return;
        };
        if client.set_nonblocking(true).is_err() {
            return;
        }
        if self.client.as_ref().is_some_and(has_gone) {
            self.end();
        }
        if self.client.is_some() {
            let _ = client.write_all(b"skep: another client has this console\r\n");
            return;
        }
        self.client = Some(client.into());
        self.begin();
    }

    /// Looks whether somebody has opened the terminal.
    fn look(&mut self) {
        let Source::Terminal(terminal) = &self.source else {
            return;
        };
        if self.open {
            return;
        }
        let mut fd = [PollFd::new(terminal, PollFlags::OUT)];
        let now = Timespec::default();
        if poll(&mut fd, Some(&now)).is_ok() && !fd[0].revents().contains(PollFlags::HUP) {
            self.open = true;
            self.begin();
        }
    }

    fn begin(&mut self) {
        self.sends = true;
        self.ring.set_reader(true);
    }

    /// The peer is gone.
    fn end(&mut self) {
        self.client = None;
        self.open = false;
        self.sends = false;
        self.ring.set_reader(false);
    }

    /// Gives the guest what is held for it.
    fn deliver(&mut self) {
        if !self.held.is_empty()
            && let Some(_at_work) = self.standstill.try_work()
            && self.port.offer(&self.held)
        {
            self.held.clear();
        }
    }

    fn read(&mut self, found: PollFlags) {
        let Some(peer) = self.peer() else {
            return;
        };
        if !self.sends {
            // It will never send again; that it reads no longer either is the end.
            if found.intersects(PollFlags::HUP | PollFlags::ERR) {
                self.end();
            }
            return;
        }
        if !self.held.is_empty() {
            return;
        }
        let mut buffer = [0; CHUNK];
        match rustix::io::read(peer, &mut buffer) {
            // A client that closed one direction still reads.
            Ok(0) if self.client.is_some() => self.sends = false,
            Ok(0) => self.end(),
            Ok(read) => {
                self.held
                    .extend_from_slice(buffer.get(..read).unwrap_or_default());
                self.deliver();
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Of a terminal: nobody has it open any more.
            Err(_) => self.end(),
        }
    }

    fn write(&mut self) {
        let Some(peer) = self.peer() else {
            return;
        };
        let written = self
            .ring
            .hand_on(|bytes| Ok(rustix::io::write(peer, bytes)?));
        if let Err(error) = written
            && !matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
            )
        {
            self.end();
        }
    }
}

/// Whether a client has closed its end.
fn has_gone(client: &OwnedFd) -> bool {
    let mut fd = [PollFd::new(client, PollFlags::empty())];
    poll(&mut fd, Some(&Timespec::default())).is_ok() && fd[0].revents().contains(PollFlags::HUP)
}
