//! A private network of several virtual machines on one host.
//!
//! Its members meet in a directory. Each has a Unix datagram socket there, whose name is a number from
//! 1 to 254: the last byte of its guest's hardware address, too. A datagram is a frame with the header
//! of a virtio network card. Nobody is in the middle: a frame goes straight to the member that has the
//! address, or to all. Who leaves takes nothing with them; who does not read for a while misses frames.
//!
//! A member that runs opens and connects nothing, and looks into no directory, so that it can be in a
//! sandbox: it finds the others by sending to them. For the same reason its socket's file stays when
//! it leaves; the next one to join takes its place.

use crate::bell::Bell;
use crate::link::{Incoming, Link, TURNS};
use crate::os::Poll;
use rustix::net::{SendAncillaryBuffer, SendFlags, SocketAddrUnix, sendmsg_addr};
use skep_board::virtio::net::spec::HEADER;
use skep_board::virtio::net::{MAX_FRAME, Mac, Offload};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, IoSlice};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The hardware addresses of members, but for the last byte.
const PREFIX: [u8; 5] = [0x52, 0x54, 0x00, 0x12, 0x35];
/// The largest number of a member.
const MEMBERS: u8 = 254;
/// How long a member that does not read is waited for.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often a member that does not read is asked again.
const AGAIN: Duration = Duration::from_millis(1);
/// How often others are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// The most addresses that are remembered.
const ADDRESSES: usize = 1024;

/// Numbers in [`Poll`].
const BELL: u64 = 0x1000;
const OWN: u64 = 0x1001;

/// Why a member can't join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The directory can't be made or used.
    #[error(
        "the directory {path:?} of a private network can't be used ({source}); name another one that you may write to, with a short path"
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The host's error.
        source: std::io::Error,
    },
    /// There are as many members as there can be.
    #[error(
        "the private network {0:?} has 254 machines, and has no room for another one; use a second network"
    )]
    Crowded(PathBuf),
}

/// A member of the network.
pub struct Mesh {
    directory: PathBuf,
    number: u8,
    socket: UnixDatagram,
    poll: Poll,
    /// Who is there.
    peers: BTreeSet<u8>,
    /// Who has not read for long, and is told nothing before a time.
    stuck: BTreeMap<u8, Instant>,
    /// Members by addresses that are not their own.
    learned: BTreeMap<Mac, u8>,
    looked: Option<Instant>,
}

/// What became of a frame for a member.
enum Sent {
    Done,
    Wait,
}

impl Mesh {
    /// Joins the network, or founds it.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(directory: &Path) -> Result<Self, JoinError> {
        let problem = |source| JoinError::Directory {
            path: directory.to_owned(),
            source,
        };
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(problem(error)),
            _ => {}
        }
        // One at a time takes a number.
        let lock = File::create(directory.join("lock")).map_err(problem)?;
        lock.lock().map_err(problem)?;
        for number in 1..=MEMBERS {
            let path = directory.join(number.to_string());
            let probe = UnixDatagram::unbound().map_err(problem)?;
            match probe.connect(&path) {
                Ok(()) => continue,
                // Somebody who left without a word.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(&path).map_err(problem)?;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(problem(error)),
            }
            let socket = UnixDatagram::bind(&path).map_err(problem)?;
            socket.set_nonblocking(true).map_err(problem)?;
            let poll = Poll::new().map_err(problem)?;
            poll.add(&socket, OWN, false).map_err(problem)?;
            return Ok(Mesh {
                directory: directory.to_owned(),
                number,
                socket,
                poll,
                peers: BTreeSet::new(),
                stuck: BTreeMap::new(),
                learned: BTreeMap::new(),
                looked: None,
            });
        }
        Err(JoinError::Crowded(directory.to_owned()))
    }

    /// The guest's hardware address.
    pub fn mac(&self) -> Mac {
        let [a, b, c, d, e] = PREFIX;
        [a, b, c, d, e, self.number]
    }

    /// Serves the guest until the bell says that it is over.
    pub fn run(mut self, link: &mut dyn Link, bell: &Bell) {
        if self.poll.add(bell, BELL, false).is_err() {
            return;
        }
        let mut ids = Vec::new();
        let mut frame = Vec::new();
        let mut incoming = Incoming::new(HEADER + MAX_FRAME + 1);
        // What the guest sent and some members have not taken, and until when they are waited for.
        let mut held: Option<(Offload, Vec<u8>, Vec<u8>, Instant)> = None;
        let mut at_once = false;
        loop {
            let timeout = match &held {
                _ if at_once => Duration::ZERO,
                Some(_) => AGAIN,
                None => Duration::from_secs(3600),
            };
            self.poll.wait(&mut ids, timeout);
            for id in &ids {
                match *id {
                    BELL => bell.answer(),
                    _ => incoming.ready(),
                }
            }
            if bell.stopped() {
                return;
            }
            at_once = false;
            for turn in 1..=TURNS {
                let (offload, bytes, to, until) = match held.take() {
                    Some(held) => held,
                    None => match link.take(&mut frame) {
                        None => break,
                        Some(offload) => {
                            let to = self.destinations(&frame);
                            (
                                offload,
                                std::mem::take(&mut frame),
                                to,
                                Instant::now() + PATIENCE,
                            )
                        }
                    },
                };
                let late = Instant::now() >= until;
                let mut waiting = to;
                waiting.retain(|number| match self.send(*number, &offload, &bytes) {
                    Sent::Done => false,
                    Sent::Wait => {
                        if late {
                            self.stuck.insert(*number, until + LOOK);
                        }
                        !late
                    }
                });
                if !waiting.is_empty() {
                    held = Some((offload, bytes, waiting, until));
                    break;
                }
                frame = bytes;
                at_once = turn == TURNS;
            }
            let passed = incoming.pass(link, |buf| {
                let (len, from) = self.socket.recv_from(buf)?;
                self.learn(&from, buf.get(HEADER..len).unwrap_or_default());
                Ok(len)
            });
            at_once |= passed;
        }
    }

    /// Who a frame is for.
    fn destinations(&mut self, frame: &[u8]) -> Vec<u8> {
        let Some(to) = frame.first_chunk::<6>() else {
            return Vec::new();
        };
        let group = to[0] & 1 != 0;
        if !group {
            if let Some(number) = self.learned.get(to) {
                return vec![*number];
            }
            if to[..5] == PREFIX {
                return vec![to[5]];
            }
        }
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now - looked >= LOOK) {
            self.looked = Some(now);
            return (1..=MEMBERS)
                .filter(|number| *number != self.number)
                .collect();
        }
        self.peers.iter().copied().collect()
    }

    /// Sends a frame to a member.
    fn send(&mut self, number: u8, offload: &Offload, frame: &[u8]) -> Sent {
        if let Some(until) = self.stuck.get(&number) {
            if Instant::now() < *until {
                return Sent::Done;
            }
            self.stuck.remove(&number);
        }
        let path = self.directory.join(number.to_string());
        let Ok(address) = SocketAddrUnix::new(&path) else {
            return Sent::Done;
        };
        let header = offload.header(0, 0);
        let parts = [IoSlice::new(&header), IoSlice::new(frame)];
        let mut nothing = SendAncillaryBuffer::default();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendmsg_addr(&self.socket, &address, &parts, &mut nothing, flags) {
            Ok(_) => {
                self.peers.insert(number);
            }
            Err(rustix::io::Errno::AGAIN) => return Sent::Wait,
            // Nobody is there, or not any more.
            Err(_) => {
                self.peers.remove(&number);
            }
        }
        Sent::Done
    }

    /// Remembers who has an address.
    fn learn(&mut self, from: &SocketAddr, frame: &[u8]) {
        let name = from.as_pathname().and_then(Path::file_name);
        let number = name
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse::<u8>().ok());
        if let Some(number @ 1..=MEMBERS) = number {
            self.peers.insert(number);
        }
        let source = frame.get(6..12).and_then(|mac| Mac::try_from(mac).ok());
        if let (Some(number @ 1..=MEMBERS), Some(source)) = (number, source)
            && source[..5] != PREFIX
            && source[0] & 1 == 0
        {
            if self.learned.len() >= ADDRESSES {
                self.learned.clear();
            }
            self.learned.insert(source, number);
        }
    }
}
