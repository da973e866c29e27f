//! The thread that drives connections with the host's sockets.

use crate::host::{Host, Link, Stream};
use crate::sockets::Sockets;
use crate::{Config, Error, MAX_PATH};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recv, send, shutdown};
use skep_helper::{Access, Connector, NameError, Tasks, listen};
use skep_net::{Bell, Poll, Running};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// Numbers in [`Poll`] of what is no connection.
const BELL: u64 = 0;
const LISTENER: u64 = 1;
const HELPER: u64 = 2;
const FIRST: u64 = 3;

/// A connection to a program of the host's.
#[derive(Debug)]
pub struct Connected(OwnedFd);

impl Stream for Connected {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (len, _) = recv(&self.0, buf, RecvFlags::DONTWAIT)?;
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(send(&self.0, bytes, flags)?)
    }

    fn finish(&mut self) {
        // An error means that the other side is gone, which reading tells.
        let _ = shutdown(&self.0, Shutdown::Write);
    }

    fn refuse(&mut self) {
        let _ = shutdown(&self.0, Shutdown::Read);
    }

    fn closed(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let closed = PollFlags::HUP | PollFlags::ERR;
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(closed)
    }
}

impl Host for Connector {
    type Stream = Connected;

    fn connect(&mut self, port: u32, id: u64) -> io::Result<()> {
        self.ask(port, id)
    }
}

/// What a socket device is connected to, before the guest is there.
pub struct Vsock {
    sockets: Sockets<Connector>,
    poll: Poll,
    listener: UnixListener,
    bell: Bell,
}

impl Vsock {
    /// Makes the socket. `tasks` are those of the helper, which is to be there when the thread starts.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(config: &Config, tasks: &mut Tasks) -> Result<Self, Error> {
        let path = &config.path;
        if path.as_os_str().len() > MAX_PATH {
            return Err(Error::TooLong(path.clone()));
        }
        let (bell, poll) = (Bell::new()?, Poll::new()?);
        let (listener, name) = listen(path, Access::Umask).map_err(|error| match error {
            NameError::Taken => Error::NotASocket(path.clone()),
            NameError::InUse => Error::InUse(path.clone()),
            NameError::Host(source) => Error::Socket {
                path: path.clone(),
                source,
            },
        })?;
        tasks.remove(name);
        let helper = tasks.connect(path)?;
        poll.add(&bell, BELL, false)?;
        poll.add(&listener, LISTENER, false)?;
        poll.add(&helper, HELPER, false)?;
        Ok(Vsock {
            sockets: Sockets::new(helper, config.cid, FIRST),
            poll,
            listener,
            bell,
        })
    }

    /// The backend for the guest's socket device.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Starts the thread that moves packets.
    ///
    /// # Errors
    /// The host has no more threads.
    pub fn start(self, mut link: impl Link + 'static) -> Result<Running, Error> {
        let Vsock {
            sockets,
            poll,
            listener,
            bell,
        } = self;
        let mut driver = Driver {
            sockets,
            poll,
            listener,
            start: Instant::now(),
        };
        let work = move |bell: &Bell| driver.run(&mut link, bell);
        Ok(Running::start("vsock", bell, work)?)
    }
}

/// The thread's side.
struct Driver {
    sockets: Sockets<Connector>,
    poll: Poll,
    listener: UnixListener,
    start: Instant,
}

impl Driver {
    /// Serves the guest until the bell says that it is over.
    fn run(&mut self, link: &mut dyn Link, bell: &Bell) {
        let mut ids = Vec::new();
        let mut at_once = true;
        loop {
            let timeout = match at_once {
                true => Duration::ZERO,
                false => self.sockets.deadline().saturating_sub(self.now()),
            };
            self.poll.wait(&mut ids, timeout);
            let now = self.now();
            for id in &ids {
                match *id {
                    BELL => bell.answer(),
                    LISTENER => self.accept(),
                    HELPER => self.answers(now),
                    id => self.sockets.host_ready(id, now),
                }
            }
            if bell.stopped() {
                return;
            }
            self.sockets.set_session(link.session());
            let more = self.sockets.guest(link);
            at_once = self.sockets.run(link, now) || more;
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Takes the programs that wait.
    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            match accept_with(&self.listener, flags) {
                Ok(stream) => {
                    let id = self.sockets.take_id();
                    if self.poll.add(&stream, id, true).is_ok() {
                        self.sockets.accepted(Connected(stream), id);
                    }
                }
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
                // Nobody else waits, or the host has no more for us now.
                Err(_) => return,
            }
        }
    }

    /// Takes the helper's answers.
    fn answers(&mut self, now: Duration) {
        while let Some((id, stream)) = self.sockets.host_mut().answer() {
            let stream = stream.and_then(|stream| {
                self.poll.add(&stream, id, true)?;
                Ok(Connected(stream))
            });
            self.sockets.connected(id, stream, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_can_not_be() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = |name: &str| {
            let config = Config {
                path: directory.path().join(name),
                cid: 3,
            };
            // The socket is removed with the tasks.
            let mut tasks = Tasks::new()?;
            Vsock::open(&config, &mut tasks).map(|_| config.path.exists())
        };
        assert!(matches!(open("none/s"), Err(Error::Socket { .. })));
        let length = MAX_PATH - directory.path().as_os_str().len() - 1;
        let longest = open(&"s".repeat(length)).expect("it is short enough");
        assert!(longest, "the socket is there");
        let longer = open(&"s".repeat(length + 1));
        assert!(matches!(longer, Err(Error::TooLong(_))));
    }
}
