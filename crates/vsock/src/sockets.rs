//! All connections of a guest.

use crate::connection::{CHUNK, Connection, Guest, Name, Next, Phase};
use crate::host::{Host, Link, Stream};
use skep_board::virtio::vsock::spec::*;
use skep_board::virtio::vsock::{Header, Packets};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::time::Duration;

/// The most connections at a time; those that a program of the host's has not named a port for yet count, too.
pub const MAX_CONNECTIONS: usize = 512;
/// The most answers to packets of no connection that wait for the guest: it must take some then before it is
/// heard.
const MAX_RESETS: usize = 64;
/// The longest line by which a program of the host's names a port, bytes.
const MAX_LINE: usize = 32;
/// The first of the ports that programs of the host's have, as with other virtual machine monitors, and how
/// many there are.
const FIRST_PORT: u32 = 1 << 30;
const PORTS: u32 = 1 << 30;
/// How long the guest has to answer a request.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it has to answer the end of a connection: as long as Linux waits for us.
const END: Duration = Duration::from_secs(8);
/// How long it takes until a program that was too busy for a connection is asked again, and how often it is.
const AGAIN: Duration = Duration::from_millis(10);
const ATTEMPTS: u32 = 200;
/// How long there is nothing to do, without deadlines.
const FAR: Duration = Duration::from_secs(3600);

/// A program of the host's that has not named a port yet.
struct Greeting<S> {
    stream: S,
    line: Vec<u8>,
}

/// All connections of a guest.
pub struct Sockets<H: Host> {
    host: H,
    cid: u32,
    session: Option<u64>,
    greetings: BTreeMap<u64, Greeting<H::Stream>>,
    connections: BTreeMap<u64, Connection<H::Stream>>,
    /// Those that the guest knows of.
    names: BTreeMap<Name, u64>,
    /// Connections that have something to do.
    ready: VecDeque<u64>,
    /// Answers to packets of no connection.
    resets: VecDeque<Header>,
    deadlines: BTreeSet<(Duration, u64)>,
    /// Connections that are to begin again with a request to the host, or to end, by their deadlines.
    due: BTreeMap<u64, Duration>,
    next_id: u64,
    next_port: u32,
    packets: Packets,
    chunk: Box<[u8; CHUNK]>,
}

impl<H: Host> Sockets<H> {
    /// No connections, of a guest with a CID. Numbers below `first_id` are the caller's.
    pub fn new(host: H, cid: u32, first_id: u64) -> Self {
        Sockets {
            host,
            cid,
            session: None,
            greetings: BTreeMap::new(),
            connections: BTreeMap::new(),
            names: BTreeMap::new(),
            ready: VecDeque::new(),
            resets: VecDeque::new(),
            deadlines: BTreeSet::new(),
            due: BTreeMap::new(),
            next_id: first_id,
            next_port: 0,
            packets: Packets::default(),
            chunk: Box::new([0; CHUNK]),
        }
    }

    /// The host.
    pub fn host_mut(&mut self) -> &mut H {
        &mut self.host
    }

    /// How many connections there are, with those that are about to be.
    pub fn len(&self) -> usize {
        self.connections.len() + self.greetings.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are held for either side.
    pub fn held(&self) -> usize {
        self.connections.values().map(Connection::held).sum()
    }

    /// A number for the next connection.
    pub fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Tells which session the guest has now: with another one all connections are gone.
    pub fn set_session(&mut self, session: Option<u64>) {
        if session != self.session {
            self.session = session;
            self.connections.clear();
            self.names.clear();
            self.ready.clear();
            self.resets.clear();
            self.deadlines.clear();
            self.due.clear();
        }
    }

    /// A program of the host's has connected; the number is one of [`Sockets::take_id`]. It is about to
    /// name a port. Dropped at once if there are too many.
    pub fn accepted(&mut self, stream: H::Stream, id: u64) {
        if self.len() < MAX_CONNECTIONS {
            let line = Vec::new();
            self.greetings.insert(id, Greeting { stream, line });
        }
    }

    /// What came of [`Host::connect`]. [`ErrorKind::WouldBlock`]: the program has too many others who wait,
    /// and is asked again.
    pub fn connected(&mut self, id: u64, stream: io::Result<H::Stream>, now: Duration) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.phase != Phase::Connecting {
            return;
        }
        match stream {
            Ok(stream) => connection.connected(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.attempts += 1;
                if connection.attempts < ATTEMPTS {
                    return self.set_deadline(id, Some(now + AGAIN));
                }
                connection.reset = true;
            }
            Err(_) => connection.reset = true,
        }
        self.queue(id);
    }

    /// A stream may be ready.
    pub fn host_ready(&mut self, id: u64, now: Duration) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.host_ready();
            self.queue(id);
        } else if let Some(greeting) = self.greetings.remove(&id) {
            self.greet(id, greeting, now);
        }
    }

    /// Reads what a program of the host's says first: `CONNECT PORT` and the end of the line.
    fn greet(&mut self, id: u64, mut greeting: Greeting<H::Stream>, now: Duration) {
        loop {
            let mut buf = [0; MAX_LINE];
            match greeting.stream.read(&mut buf) {
                Ok(0) => return,
                Ok(len) => {
                    let new = buf.get(..len).unwrap_or(&buf);
                    greeting.line.extend_from_slice(new);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.greetings.insert(id, greeting);
                    return;
                }
                Err(_) => return,
            }
            if let Some(end) = greeting.line.iter().position(|byte| *byte == b'\n') {
                let rest = greeting.line.split_off(end + 1);
                if let Some(port) = parse_line(&greeting.line) {
                    self.request(id, greeting.stream, port, rest, now);
                }
                return;
            }
            if greeting.line.len() >= MAX_LINE {
                return;
            }
        }
    }

    /// Begins a connection of the host's to the guest.
    fn request(&mut self, id: u64, stream: H::Stream, port: u32, sent: Vec<u8>, now: Duration) {
        // Without a driver nobody will ever answer.
        if self.session.is_none() {
            return;
        }
        let name = loop {
            let host = FIRST_PORT + self.next_port % PORTS;
            self.next_port = self.next_port.wrapping_add(1);
            let name = Name { host, guest: port };
            if !self.names.contains_key(&name) {
                break name;
            }
        };
        self.names.insert(name, id);
        let connection = Connection::of_host(name, stream, sent);
        self.connections.insert(id, connection);
        self.set_deadline(id, Some(now + ANSWER));
        self.queue(id);
    }

    /// Takes packets of the guest's. Whether there may be more.
    pub fn guest(&mut self, link: &mut dyn Link) -> bool {
        let Some(session) = self.session else {
            return false;
        };
        if self.resets.len() >= MAX_RESETS {
            return false;
        }
        let mut packets = std::mem::take(&mut self.packets);
        link.take(session, &mut packets);
        for (header, payload) in packets.iter() {
            self.packet(header, payload);
        }
        let more = !packets.is_empty();
        self.packets = packets;
        more
    }

    fn packet(&mut self, header: &Header, payload: &[u8]) {
        // In another one's name.
        if header.source_cid != u64::from(self.cid) {
            return;
        }
        let name = Name {
            host: header.destination_port,
            guest: header.source_port,
        };
        let of_ours = header.destination_cid == HOST_CID && header.kind == TYPE_STREAM;
        let known = self.names.get(&name).copied().filter(|_| of_ours);
        match known.and_then(|id| Some((id, self.connections.get_mut(&id)?))) {
            Some((id, connection)) => {
                connection.packet(header, payload);
                if connection.phase == Phase::Flushing {
                    self.names.remove(&name);
                }
                self.queue(id);
            }
            None if of_ours && header.operation == OP_REQUEST => {
                let id = self.take_id();
                if self.len() >= MAX_CONNECTIONS || self.host.connect(name.host, id).is_err() {
                    return self.answer(header);
                }
                self.names.insert(name, id);
                let connection = Connection::of_guest(name, header);
                self.connections.insert(id, connection);
            }
            None => self.answer(header),
        }
    }

    /// Answers a packet of no connection with a reset.
    fn answer(&mut self, header: &Header) {
        if header.operation != OP_RST {
            self.resets.push_back(Header {
                source_cid: header.destination_cid,
                destination_cid: header.source_cid,
                source_port: header.destination_port,
                destination_port: header.source_port,
                kind: header.kind,
                operation: OP_RST,
                ..Header::default()
            });
        }
    }

    /// Puts a connection into the queue of those that have something to do.
    fn queue(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.queued
        {
            connection.queued = true;
            self.ready.push_back(id);
        }
    }

    fn set_deadline(&mut self, id: u64, deadline: Option<Duration>) {
        let before = match deadline {
            Some(deadline) => {
                self.deadlines.insert((deadline, id));
                self.due.insert(id, deadline)
            }
            None => self.due.remove(&id),
        };
        if let Some(before) = before.filter(|before| Some(*before) != deadline) {
            self.deadlines.remove(&(before, id));
        }
    }

    /// When [`Sockets::run`] has something to do, if nothing happens before.
    pub fn deadline(&self) -> Duration {
        self.deadlines
            .first()
            .map_or(FAR, |(deadline, _)| *deadline)
    }

    /// Does what can be done for all connections. Whether there is more, without anything that happens.
    pub fn run(&mut self, link: &mut dyn Link, now: Duration) -> bool {
        let Some(session) = self.session else {
            return false;
        };
        if !link.paused() {
            self.expire(now);
        }
        let mut guest = Guest::new(link, session, self.cid);
        let deaf = self.resets.len() >= MAX_RESETS;
        while let Some(header) = self.resets.front() {
            if guest.give(header, &[]).is_none() {
                break;
            }
            self.resets.pop_front();
        }
        // Now it is heard again.
        let mut more = deaf && self.resets.len() < MAX_RESETS;
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else {
                break;
            };
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            connection.queued = false;
            let next = connection.serve(&mut guest, &mut self.chunk);
            let (name, phase, ending) = (connection.name, connection.phase, connection.is_ending());
            match next {
                Next::Idle => {}
                Next::Full => self.queue(id),
                Next::More => {
                    more = true;
                    self.queue(id);
                }
                Next::Gone => {
                    self.connections.remove(&id);
                    // The guest may have another one of that name by now.
                    if self.names.get(&name) == Some(&id) {
                        self.names.remove(&name);
                    }
                    self.set_deadline(id, None);
                    continue;
                }
            }
            match (self.due.contains_key(&id), ending) {
                (false, true) => self.set_deadline(id, Some(now + END)),
                (true, false) if phase == Phase::Open => self.set_deadline(id, None),
                _ => {}
            }
        }
        more
    }

    /// What has waited for too long.
    fn expire(&mut self, now: Duration) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.set_deadline(id, None);
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            let again = connection.phase == Phase::Connecting;
            if !again || self.host.connect(connection.name.host, id).is_err() {
                connection.reset = true;
                self.queue(id);
            }
        }
    }
}

/// The port that a line names.
fn parse_line(line: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = text.trim_end().strip_prefix("CONNECT ")?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
