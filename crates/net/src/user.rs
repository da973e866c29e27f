//! The thread that drives the user-mode network.

use crate::bell::Bell;
use crate::link::Link;
use crate::nat::{Nat, Options};
use crate::os::{self, OsHost, OsSocket, Poll};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// A port of the guest's that programs of the host's reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish {
    /// Where the host listens.
    pub host: SocketAddr,
    /// The guest's port.
    pub guest: u16,
    /// UDP rather than TCP.
    pub udp: bool,
}

/// The user-mode network, before the guest is there.
pub struct User {
    nat: Nat<OsHost>,
    poll: Poll,
    listeners: Vec<(TcpListener, u16)>,
}

/// Numbers in [`Poll`] of what is not the network's: the bell, and listeners.
const BELL: u64 = 3;
const LISTENER: u64 = 2;

impl User {
    /// Opens the published ports. An error says which one the host does not give.
    ///
    /// # Errors
    /// The host's, and the port.
    pub fn open(
        options: Options,
        publish: &[Publish],
    ) -> Result<Self, (Option<Publish>, std::io::Error)> {
        let poll = Poll::new().map_err(|error| (None, error))?;
        let mut nat = Nat::new(OsHost::new(poll.clone()), options);
        let mut listeners: Vec<(TcpListener, u16)> = Vec::new();
        for publish in publish {
            let opened = if publish.udp {
                os::receiver(publish.host).and_then(|socket: OsSocket| {
                    let id = nat.publish_id();
                    poll.add(&socket, id, false)?;
                    nat.publish(socket, publish.guest, id);
                    Ok(())
                })
            } else {
                os::listener(publish.host).and_then(|listener| {
                    let id = (listeners.len() as u64) << 2 | LISTENER;
                    poll.add(&listener, id, false)?;
                    listeners.push((listener, publish.guest));
                    Ok(())
                })
            };
            opened.map_err(|error| (Some(*publish), error))?;
        }
        Ok(User {
            nat,
            poll,
            listeners,
        })
    }

    /// Serves the guest until the bell says that it is over.
    pub fn run(mut self, link: &mut dyn Link, bell: &Bell) {
        if self.poll.add(bell, BELL, false).is_err() {
            return;
        }
        let start = Instant::now();
        let mut ids = Vec::new();
        let mut at_once = true;
        loop {
            let now = start.elapsed();
            let timeout = if at_once {
                Duration::ZERO
            } else {
                self.nat.deadline().saturating_sub(now)
            };
            self.poll.wait(&mut ids, timeout);
            let now = start.elapsed();
            for id in &ids {
                match *id {
                    BELL => bell.answer(),
                    id if id & 3 == LISTENER => self.accept(id >> 2, now),
                    id => self.nat.host_ready(id),
                }
            }
            if bell.stopped() {
                return;
            }
            if bell.take_reset() {
                self.nat.reset();
            }
            let more = self.nat.guest(link, now);
            at_once = self.nat.run(link, now) || more;
        }
    }

    /// Takes the connections that wait for a published port.
    fn accept(&mut self, listener: u64, now: Duration) {
        let Some((listener, port)) = self.listeners.get(listener as usize) else {
            return;
        };
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let id = self.nat.accept_id();
                    if let Ok(stream) = self.nat.host_mut().adopt(stream, id) {
                        self.nat.accepted(stream, peer, *port, id, now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody else waits, or the host has no more for us now.
                Err(_) => return,
            }
        }
    }
}
