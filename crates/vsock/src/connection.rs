//! One connection (VIRTIO 1.2, section 5.10.6): what is on its way in each direction, and how far each side
//! has ended it.

use crate::host::{Link, Stream};
use skep_board::virtio::vsock::Header;
use skep_board::virtio::vsock::spec::*;
use std::collections::VecDeque;
use std::io::ErrorKind;

/// The most bytes of a connection that wait for a program of the host's to read them: what the guest is
/// told as the size of our buffer.
pub const BUFFER: u32 = 256 << 10;
/// How much is read from the host at once, bytes.
pub const CHUNK: usize = 64 << 10;
/// How much is moved to the guest before another connection has its turn, bytes.
const TURN: usize = 4 * CHUNK;

/// The ports of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name {
    /// The host's.
    pub host: u32,
    /// The guest's.
    pub guest: u32,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The guest asked for it, and the host is being connected to.
    Connecting,
    /// The host asked for it, which the guest has to be told.
    Requesting,
    /// The guest was told, and has not answered.
    Requested,
    /// Both sides have it.
    Open,
    /// The guest has it no more; what it sent before is on its way to the host.
    Flushing,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing, until a side does something.
    Idle,
    /// The guest has no buffers for what it is to have.
    Full,
    /// More of the same, when others had their turn.
    More,
    /// The connection is over.
    Gone,
}

/// The guest, to whom packets go until it has no more buffers.
pub struct Guest<'a> {
    link: &'a mut dyn Link,
    session: u64,
    cid: u32,
    full: bool,
}

impl<'a> Guest<'a> {
    pub fn new(link: &'a mut dyn Link, session: u64, cid: u32) -> Self {
        let full = false;
        Guest {
            link,
            session,
            cid,
            full,
        }
    }

    /// Gives a packet, as [`Link::give`].
    pub fn give(&mut self, header: &Header, payload: &[u8]) -> Option<usize> {
        if self.full {
            return None;
        }
        let given = self.link.give(self.session, header, payload);
        self.full = given.is_none_or(|given| given < payload.len());
        given
    }
}

/// A connection.
pub struct Connection<S> {
    pub name: Name,
    pub phase: Phase,
    /// It is in the queue of those that have something to do.
    pub queued: bool,
    /// How often the host was asked again because its program was busy.
    pub attempts: u32,
    /// The guest is to be told that the connection is no more.
    pub reset: bool,
    stream: Option<S>,
    /// The stream has not said that it would block.
    readable: bool,
    writable: bool,
    /// The program sends no more, or is gone.
    host_ended: bool,
    /// The program receives no more.
    host_deaf: bool,
    /// The program was told that the guest sends no more.
    finished: bool,
    /// It was told that the guest receives no more.
    refused: bool,
    /// What was read from the stream and the guest had no buffers for, and how much of it it has now.
    to_guest: Vec<u8>,
    given: usize,
    /// What the guest sent and the stream has not taken.
    to_host: VecDeque<u8>,
    /// How many bytes the stream has taken, modulo 2^32, and what the guest knows of that.
    forwarded: u32,
    told_forwarded: u32,
    /// How many bytes the guest was sent, modulo 2^32; how many it has taken from its buffer, as it says, and
    /// how large that is.
    sent: u32,
    taken: u32,
    room: u32,
    /// The guest is to be told that the connection stands, or how much room there is here; or was asked how
    /// much there is there.
    respond: bool,
    update: bool,
    asked: bool,
    /// What the guest said of its ends (`SHUTDOWN_` flags), and what it was told of ours.
    guest_ended: u32,
    told_ended: u32,
}

impl<S: Stream> Connection<S> {
    fn new(name: Name, phase: Phase, stream: Option<S>) -> Self {
        Connection {
            name,
            phase,
            queued: false,
            attempts: 0,
            reset: false,
            stream,
            readable: true,
            writable: true,
            host_ended: false,
            host_deaf: false,
            finished: false,
            refused: false,
            to_guest: Vec::new(),
            given: 0,
            to_host: VecDeque::new(),
            forwarded: 0,
            told_forwarded: 0,
            sent: 0,
            taken: 0,
            room: 0,
            respond: false,
            update: false,
            asked: false,
            guest_ended: 0,
            told_ended: 0,
        }
    }

    /// One that the guest asks for.
    pub fn of_guest(name: Name, request: &Header) -> Self {
        let mut connection = Connection::new(name, Phase::Connecting, None);
        connection.credit(request);
        connection
    }

    /// One that a program of the host's asks for, which has sent these bytes already.
    pub fn of_host(name: Name, stream: S, sent: Vec<u8>) -> Self {
        let mut connection = Connection::new(name, Phase::Requesting, Some(stream));
        connection.to_guest = sent;
        connection
    }

    /// The host has connected.
    pub fn connected(&mut self, stream: S) {
        self.stream = Some(stream);
        self.phase = Phase::Open;
        self.respond = true;
    }

    /// The stream may be ready.
    pub fn host_ready(&mut self) {
        (self.readable, self.writable) = (true, true);
        if !self.host_deaf && self.stream.as_ref().is_some_and(Stream::closed) {
            self.deafen();
        }
    }

    /// Both sides have been told that the connection ends, and the guest has not answered.
    pub fn is_ending(&self) -> bool {
        self.phase == Phase::Open && self.told_ended == SHUTDOWN_BOTH
    }

    /// Bytes that are held for either side.
    pub fn held(&self) -> usize {
        self.to_host.len() + self.to_guest.len() - self.given
    }

    /// Nobody reads what the guest sends: it goes nowhere, so that the guest need not wait.
    fn deafen(&mut self) {
        self.host_deaf = true;
        self.forwarded = self.forwarded.wrapping_add(self.to_host.len() as u32);
        self.to_host = VecDeque::new();
    }

    /// Writes to the stream; how much it took. Nothing more if it is gone.
    fn write(&mut self, bytes: &[u8]) -> usize {
        while self.writable
            && !bytes.is_empty()
            && let Some(stream) = &mut self.stream
        {
            match stream.write(bytes) {
                Ok(written) => {
                    self.forwarded = self.forwarded.wrapping_add(written as u32);
                    return written;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(_) => {
                    self.writable = false;
                    self.deafen();
                }
            }
        }
        0
    }

    /// Writes what waits for the stream.
    fn flush(&mut self) {
        while !self.to_host.is_empty() {
            let mut waiting = std::mem::take(&mut self.to_host);
            let (front, _) = waiting.as_slices();
            let written = self.write(front);
            if self.host_deaf {
                // What was taken out is not in the count yet.
                let lost = waiting.len() - written;
                self.forwarded = self.forwarded.wrapping_add(lost as u32);
                return;
            }
            waiting.drain(..written);
            self.to_host = waiting;
            if written == 0 {
                return;
            }
        }
        if self.to_host.capacity() > CHUNK {
            self.to_host = VecDeque::new();
        }
        if self.guest_ended & SHUTDOWN_SEND != 0 && !self.finished {
            self.finished = true;
            if let Some(stream) = &mut self.stream {
                stream.finish();
            }
        }
    }

    /// Takes over what a packet says of the guest's buffer.
    fn credit(&mut self, header: &Header) {
        (self.room, self.taken) = (header.buf_alloc, header.fwd_cnt);
        self.asked &= self.free() == 0;
    }

    /// How many bytes the guest may be sent.
    fn free(&self) -> usize {
        self.room.saturating_sub(self.sent.wrapping_sub(self.taken)) as usize
    }

    /// Serves a packet of the guest's. What it may not send resets the connection.
    pub fn packet(&mut self, header: &Header, payload: &[u8]) {
        self.credit(header);
        match (header.operation, self.phase) {
            (OP_RST, _) => {
                let orderly = self.guest_ended & SHUTDOWN_SEND != 0 && !self.to_host.is_empty();
                self.phase = Phase::Flushing;
                if !orderly {
                    self.to_host = VecDeque::new();
                }
            }
            (OP_RESPONSE, Phase::Requested) => {
                self.phase = Phase::Open;
                let greeting = format!("OK {}\n", self.name.host);
                // The stream is new, and takes that much at once if it takes anything.
                let taken = match &mut self.stream {
                    Some(stream) => stream.write(greeting.as_bytes()),
                    None => Ok(0),
                };
                self.reset = !matches!(taken, Ok(taken) if taken == greeting.len());
            }
            (OP_SHUTDOWN, Phase::Open) => self.guest_ended |= header.flags & SHUTDOWN_BOTH,
            (OP_RW, Phase::Open) => self.data(payload),
            (OP_CREDIT_UPDATE, Phase::Open) => {}
            (OP_CREDIT_REQUEST, Phase::Open) => self.update = true,
            _ => self.reset = true,
        }
    }

    fn data(&mut self, payload: &[u8]) {
        let room = (BUFFER as usize).saturating_sub(self.to_host.len());
        if payload.len() > room || self.guest_ended & SHUTDOWN_SEND != 0 {
            self.reset = true;
            return;
        }
        let written = match self.to_host.is_empty() {
            true => self.write(payload),
            false => 0,
        };
        let rest = payload.get(written..).unwrap_or_default();
        if self.host_deaf {
            self.forwarded = self.forwarded.wrapping_add(rest.len() as u32);
        } else {
            self.to_host.extend(rest);
        }
    }

    fn header(&self, guest: &Guest<'_>, operation: u16, flags: u32) -> Header {
        Header {
            source_cid: HOST_CID,
            destination_cid: guest.cid.into(),
            source_port: self.name.host,
            destination_port: self.name.guest,
            len: 0,
            kind: TYPE_STREAM,
            operation,
            flags,
            buf_alloc: BUFFER,
            fwd_cnt: self.forwarded,
        }
    }

    /// Gives the guest a packet without payload; whether it has it.
    fn tell(&mut self, guest: &mut Guest<'_>, operation: u16, flags: u32) -> bool {
        let header = self.header(guest, operation, flags);
        let told = guest.give(&header, &[]).is_some();
        if told {
            self.told_forwarded = self.forwarded;
            self.update = false;
        }
        told
    }

    /// Does what can be done for the connection.
    pub fn serve(&mut self, guest: &mut Guest<'_>, chunk: &mut [u8; CHUNK]) -> Next {
        self.flush();
        if self.phase == Phase::Flushing {
            let over = self.to_host.is_empty();
            return if over { Next::Gone } else { Next::Idle };
        }
        // A clean end: nobody sends any more, and all has arrived.
        let ended = self.guest_ended == SHUTDOWN_BOTH && self.to_host.is_empty();
        if self.reset || ended {
            return match self.tell(guest, OP_RST, 0) {
                true => Next::Gone,
                false => Next::Full,
            };
        }
        match self.phase {
            Phase::Requesting => {
                if !self.tell(guest, OP_REQUEST, 0) {
                    return Next::Full;
                }
                self.phase = Phase::Requested;
                Next::Idle
            }
            Phase::Open => self.serve_open(guest, chunk),
            Phase::Connecting | Phase::Requested | Phase::Flushing => Next::Idle,
        }
    }

    fn serve_open(&mut self, guest: &mut Guest<'_>, chunk: &mut [u8; CHUNK]) -> Next {
        if self.respond {
            if !self.tell(guest, OP_RESPONSE, 0) {
                return Next::Full;
            }
            self.respond = false;
        }
        let next = self.send(guest, chunk);
        let mut ended = self.told_ended;
        if self.host_ended && self.given == self.to_guest.len() {
            ended |= SHUTDOWN_SEND;
        }
        if self.host_deaf {
            ended |= SHUTDOWN_RECEIVE;
        }
        if ended != self.told_ended {
            if !self.tell(guest, OP_SHUTDOWN, ended) {
                return Next::Full;
            }
            self.told_ended = ended;
        }
        // The guest believes that we have so much in our buffer, and would hear that it is so much less.
        let less = self.forwarded.wrapping_sub(self.told_forwarded);
        let believed = less.wrapping_add(self.to_host.len() as u32);
        let news = less >= BUFFER / 4 && believed > BUFFER / 2;
        if (self.update || news) && !self.tell(guest, OP_CREDIT_UPDATE, 0) {
            return Next::Full;
        }
        next
    }

    /// Sends the guest what comes from the host, as far as it has room for it.
    fn send(&mut self, guest: &mut Guest<'_>, chunk: &mut [u8; CHUNK]) -> Next {
        if self.guest_ended & SHUTDOWN_RECEIVE != 0 {
            // It wants nothing more, which who sends it is to know.
            if !self.refused {
                self.refused = true;
                if let Some(stream) = &mut self.stream {
                    stream.refuse();
                }
                self.to_guest = Vec::new();
                self.given = 0;
            }
            return Next::Idle;
        }
        let mut turn = 0;
        while turn < TURN {
            let waiting = self.to_guest.len() > self.given;
            if !waiting && (self.host_ended || !self.readable) {
                return Next::Idle;
            }
            let free = self.free().min(CHUNK);
            if free == 0 {
                if !self.asked {
                    if !self.tell(guest, OP_CREDIT_REQUEST, 0) {
                        return Next::Full;
                    }
                    self.asked = true;
                }
                return Next::Idle;
            }
            if guest.full {
                return Next::Full;
            }
            let header = self.header(guest, OP_RW, 0);
            let (len, given) = if waiting {
                let rest = self.to_guest.get(self.given..).unwrap_or_default();
                let part = rest.get(..free).unwrap_or(rest);
                (part.len(), guest.give(&header, part))
            } else {
                let Some(len) = self.read(chunk.get_mut(..free).unwrap_or_default()) else {
                    continue;
                };
                let part = chunk.get(..len).unwrap_or_default();
                let given = guest.give(&header, part);
                let rest = part.get(given.unwrap_or(0)..).unwrap_or_default();
                self.to_guest.clear();
                self.to_guest.extend_from_slice(rest);
                self.given = 0;
                (len, given)
            };
            let given = given.unwrap_or(0);
            if waiting {
                self.given += given;
                if self.given == self.to_guest.len() {
                    self.to_guest = Vec::new();
                    self.given = 0;
                }
            }
            if given > 0 {
                self.told_forwarded = self.forwarded;
                self.update = false;
            }
            self.sent = self.sent.wrapping_add(given as u32);
            if given < len {
                return Next::Full;
            }
            turn += given;
        }
        Next::More
    }

    /// Reads from the stream. None: there is nothing now, or nothing more.
    fn read(&mut self, buf: &mut [u8]) -> Option<usize> {
        let Some(stream) = &mut self.stream else {
            self.readable = false;
            return None;
        };
        match stream.read(buf) {
            Ok(0) => self.host_ended = true,
            Ok(len) => return Some(len.min(buf.len())),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(_) => self.host_ended = true,
        }
        if self.host_ended && !self.host_deaf && self.stream.as_ref().is_some_and(Stream::closed) {
            self.deafen();
        }
        None
    }
}
