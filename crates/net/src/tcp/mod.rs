//! TCP between the guest and a connection of the host's.
//!
//! A TCP of its own, of which the link needs little: frames reach the guest's memory or are known not
//! to, so that there is no congestion to control, and no delay worth measuring. What the guest sends is
//! acknowledged when it has been written to the host's socket or to a bounded buffer; what the host
//! sends stays in a bounded buffer until the guest acknowledges it, which pushes back to the peer by
//! the host's own TCP. The guest's kernel may still drop what it can't hold (and its queues what it
//! sends), so segments are sent again after a while, or after three duplicate acknowledgements; what
//! comes out of order is dropped, and the guest sends it again.

mod ring;

use crate::host::Stream;
use crate::wire::{FIN, PSH, RST, SYN, Segment};
use ring::Ring;
use smoltcp::wire::{TcpOption, TcpPacket};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How long the guest has to acknowledge something before it is sent again, the first time. It is
/// much more than any guest needs: its answers come late when the host has much to do.
const RETRY: Duration = Duration::from_millis(500);
/// The longest such time, which doubles.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How often something is sent again before the guest counts as gone: for two and a half minutes.
const RETRIES: u32 = 10;
/// How long a connection may do nothing (RFC 5382, section 5).
const IDLE: Duration = Duration::from_secs(2 * 3600 + 4 * 60);
/// The same when the guest has ended its half: nothing tells if it has forgotten the other.
const HALF_IDLE: Duration = Duration::from_secs(3600);
/// The shift of the windows that the guest is told: 64 KiB times 128.
const SHIFT: u8 = 7;
/// The segment size of a guest that names none (RFC 9293, section 3.7.1).
const DEFAULT_MSS: u16 = 536;
/// The least segment size that is believed.
const LEAST_MSS: u16 = 64;

/// A segment from the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Incoming<'a> {
    /// Sequence number.
    pub seq: u32,
    /// What it acknowledges.
    pub ack: Option<u32>,
    /// Flags: [`FIN`], [`SYN`], [`RST`].
    pub flags: u8,
    /// The window, as the header has it.
    pub window: u16,
    /// The maximum segment size, in a SYN.
    pub mss: Option<u16>,
    /// The shift of windows, in a SYN.
    pub shift: Option<u8>,
    /// The data.
    pub payload: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// Reads a segment: its ports, and the rest.
    pub fn parse(bytes: &'a [u8]) -> Option<(u16, u16, Self)> {
        let packet = TcpPacket::new_checked(bytes).ok()?;
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(packet.fin(), FIN) | flag(packet.syn(), SYN) | flag(packet.rst(), RST);
        let (mut mss, mut shift) = (None, None);
        if packet.syn() {
            let mut options = packet.options();
            while !options.is_empty() {
                let (rest, option) = TcpOption::parse(options).ok()?;
                match option {
                    TcpOption::EndOfList => break,
                    TcpOption::MaxSegmentSize(size) => mss = Some(size),
                    TcpOption::WindowScale(by) => shift = Some(by.min(14)),
                    _ => {}
                }
                options = rest;
            }
        }
        let incoming = Incoming {
            seq: packet.seq_number().0 as u32,
            ack: packet.ack().then(|| packet.ack_number().0 as u32),
            flags,
            window: packet.window_len(),
            mss,
            shift,
            payload: bytes.get(usize::from(packet.header_len())..)?,
        };
        Some((packet.src_port(), packet.dst_port(), incoming))
    }

    /// How much of the sequence space it takes.
    fn len(&self) -> u32 {
        let flags = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        self.payload.len() as u32 + flags
    }

    /// The answer to a segment that belongs to no connection (RFC 9293, section 3.10.7.1).
    pub fn refusal(&self) -> Option<Segment> {
        if self.flags & RST != 0 {
            return None;
        }
        Some(match self.ack {
            Some(ack) => Segment {
                seq: ack,
                flags: RST,
                ..Segment::default()
            },
            None => Segment {
                ack: Some(self.seq.wrapping_add(self.len())),
                flags: RST,
                ..Segment::default()
            },
        })
    }
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The guest wants it; the host tries to connect.
    Connecting,
    /// The host is connected; the guest is being told.
    Accepting,
    /// The host has accepted a connection; the guest is being asked.
    Asking,
    /// Both sides agree.
    Open,
}

/// Why a connection ends early.
#[derive(Debug)]
pub enum Broken {
    /// The host could not connect: the guest has sent the SYN with this number.
    Refused(io::Error, u32),
    /// The host's side broke, or the guest's does not answer: the guest is sent a reset.
    Host,
    /// The guest reset it.
    Guest,
}

/// What is sent to the guest: a segment, its data in two parts, and the most data of each segment
/// that it may become. False if the guest has no room for it.
pub type Send<'a> = dyn FnMut(&Segment, [&[u8]; 2], u16) -> bool + 'a;

/// A connection.
#[derive(Debug)]
pub struct Connection<S: Stream> {
    /// The guest's end.
    pub guest: SocketAddr,
    /// The other end, as the guest sees it.
    pub remote: SocketAddr,
    stream: S,
    phase: Phase,
    readable: bool,
    writable: bool,
    last_use: Duration,

    /// The next byte that the guest will send.
    receive_next: u32,
    /// The end of the window that the guest was told.
    receive_edge: u32,
    /// What the guest sent and the host's socket has not taken.
    inbox: Ring,
    /// The guest has sent all, and the inbox has the rest.
    guest_ended: bool,
    /// The host's socket was told.
    finished: bool,
    ack_due: bool,

    /// The first byte that the guest has not acknowledged: the outbox's first.
    unacknowledged: u32,
    /// The next byte to send.
    send_next: u32,
    /// The one after the last that was ever sent.
    send_max: u32,
    /// What the host sent and the guest has not acknowledged.
    outbox: Ring,
    /// The host has sent all, and the outbox has the rest.
    host_ended: bool,
    /// The guest has acknowledged the end.
    end_acknowledged: bool,
    window: u32,
    /// The guest's shift of windows; None: it scales none, and none are scaled for it.
    shift: Option<u8>,
    mss: u16,
    duplicates: u8,
    /// Losses before this byte have been answered.
    recovered: u32,
    probe_due: bool,
    retry_at: Option<Duration>,
    retries: u32,
}

/// a < b, on the circle of sequence numbers.
fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

impl<S: Stream> Connection<S> {
    fn new(guest: SocketAddr, remote: SocketAddr, stream: S, first: u32, now: Duration) -> Self {
        Connection {
            guest,
            remote,
            stream,
            phase: Phase::Connecting,
            readable: false,
            writable: false,
            last_use: now,
            receive_next: 0,
            receive_edge: 0,
            inbox: Ring::default(),
            guest_ended: false,
            finished: false,
            ack_due: false,
            unacknowledged: first,
            send_next: first,
            send_max: first,
            outbox: Ring::default(),
            host_ended: false,
            end_acknowledged: false,
            window: 0,
            shift: None,
            mss: DEFAULT_MSS,
            duplicates: 0,
            recovered: first,
            probe_due: false,
            retry_at: None,
            retries: 0,
        }
    }

    /// A connection that the guest asked for with a SYN, and that the host's stream is to make.
    /// `first` is the sequence number to begin with.
    pub fn connecting(
        guest: SocketAddr,
        remote: SocketAddr,
        stream: S,
        syn: &Incoming<'_>,
        first: u32,
        now: Duration,
    ) -> Self {
        let mut connection = Connection::new(guest, remote, stream, first, now);
        connection.learn(syn);
        connection
    }

    /// A connection that the host's stream has, and the guest is to be asked for.
    pub fn accepted(
        guest: SocketAddr,
        remote: SocketAddr,
        stream: S,
        first: u32,
        now: Duration,
    ) -> Self {
        let mut connection = Connection::new(guest, remote, stream, first, now);
        connection.phase = Phase::Asking;
        // The guest is asked whether it scales windows.
        connection.shift = Some(0);
        (connection.readable, connection.writable) = (true, true);
        connection
    }

    /// Takes over what the guest's SYN says.
    fn learn(&mut self, syn: &Incoming<'_>) {
        self.receive_next = syn.seq.wrapping_add(1);
        self.receive_edge = self.receive_next;
        // A guest may take more than the link.
        let own = self.own_mss();
        self.mss = syn.mss.unwrap_or(DEFAULT_MSS).clamp(LEAST_MSS, own);
        self.shift = syn.shift;
        self.window = syn.window.into();
    }

    /// The host's stream may be ready for something.
    pub fn host_ready(&mut self) {
        (self.readable, self.writable) = (true, true);
    }

    /// Takes a segment from the guest. `limit` is the most bytes that may wait for the host.
    ///
    /// # Errors
    /// The connection is over.
    pub fn segment(
        &mut self,
        incoming: &Incoming<'_>,
        limit: usize,
        now: Duration,
    ) -> Result<(), Broken> {
        let Incoming {
            seq, ack, flags, ..
        } = *incoming;
        self.last_use = now;
        match self.phase {
            // It repeats its SYN while the host tries.
            Phase::Connecting if flags & RST != 0 => return Err(Broken::Guest),
            Phase::Connecting => return Ok(()),
            Phase::Asking => {
                if ack != Some(self.send_max) || self.send_max == self.unacknowledged {
                    return Ok(());
                }
                if flags & RST != 0 {
                    return Err(Broken::Guest);
                }
                if flags & SYN == 0 {
                    return Ok(());
                }
                self.learn(incoming);
                self.ack_due = true;
            }
            Phase::Accepting | Phase::Open => {
                let in_window = !before(seq, self.receive_next)
                    && !before(
                        self.receive_edge.max(self.receive_next.wrapping_add(1)),
                        seq,
                    );
                if flags & RST != 0 {
                    return if in_window {
                        Err(Broken::Guest)
                    } else {
                        Ok(())
                    };
                }
                if flags & SYN != 0 {
                    // Its SYN again, or another one: it will find out (RFC 9293, section
                    // 3.10.7.4).
                    self.ack_due = true;
                    if self.phase == Phase::Accepting {
                        self.send_next = self.unacknowledged;
                    }
                    return Ok(());
                }
            }
        }
        let Some(ack) = ack else {
            return Ok(());
        };
        if before(self.send_max, ack) {
            self.ack_due = true;
            return Ok(());
        }
        self.acknowledged(ack, incoming, now);
        if self.phase == Phase::Open && flags & SYN == 0 {
            self.data(incoming, limit)?;
        }
        Ok(())
    }

    /// The guest has everything before `ack`, which has been sent.
    fn acknowledged(&mut self, ack: u32, incoming: &Incoming<'_>, now: Duration) {
        if before(ack, self.unacknowledged) {
            return;
        }
        let shift = self.shift.filter(|_| incoming.flags & SYN == 0);
        let window = u32::from(incoming.window) << shift.unwrap_or_default();
        let mut count = ack.wrapping_sub(self.unacknowledged);
        let plain = incoming.payload.is_empty() && incoming.flags == 0;
        if count == 0 && self.in_flight() > 0 && plain && window == self.window {
            self.duplicates = self.duplicates.saturating_add(1);
            if self.duplicates == 3 && !before(ack, self.recovered) {
                self.send_next = self.unacknowledged;
                self.recovered = self.send_max;
            }
        }
        self.window = window;
        if count == 0 {
            return;
        }
        if self.phase != Phase::Open {
            // The SYN.
            self.phase = Phase::Open;
            count -= 1;
        }
        self.end_acknowledged = count as usize > self.outbox.len();
        self.outbox.drop_front(count as usize);
        self.unacknowledged = ack;
        if before(self.send_next, ack) {
            self.send_next = ack;
        }
        self.duplicates = 0;
        self.retries = 0;
        self.retry_at = (self.in_flight() > 0).then(|| now + RETRY);
    }

    /// Takes data and the end of it.
    fn data(&mut self, incoming: &Incoming<'_>, limit: usize) -> Result<(), Broken> {
        if incoming.len() == 0 {
            return Ok(());
        }
        self.ack_due = true;
        let old = self.receive_next.wrapping_sub(incoming.seq);
        // Something before it is missing, or all of it is old.
        if old as i32 >= 0
            && let Some(new) = incoming.payload.get(old as usize..)
            && !self.guest_ended
        {
            let room = limit.saturating_sub(self.inbox.len());
            let taken = new.get(..room).unwrap_or(new);
            self.receive_next = self.receive_next.wrapping_add(taken.len() as u32);
            let mut written = 0;
            if self.inbox.is_empty() {
                written = self.write(taken)?;
            }
            self.inbox.push(taken.get(written..).unwrap_or_default());
            if incoming.flags & FIN != 0 && taken.len() == new.len() {
                self.receive_next = self.receive_next.wrapping_add(1);
                self.guest_ended = true;
            }
        }
        Ok(())
    }

    /// Writes to the host's socket: how much it took.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut done = 0;
        while self.writable && done < bytes.len() {
            match self.stream.write(bytes.get(done..).unwrap_or_default()) {
                Ok(0) => self.writable = false,
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken::Host),
            }
        }
        Ok(done)
    }

    /// Moves data between the host's socket and the buffers, of which each may hold `limit` bytes.
    ///
    /// # Errors
    /// The connection is over.
    pub fn exchange(&mut self, limit: usize, now: Duration) -> Result<(), Broken> {
        if self.phase == Phase::Connecting {
            if !self.writable {
                return Ok(());
            }
            match self.stream.connected() {
                Ok(()) => self.phase = Phase::Accepting,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) => {
                    let syn = self.receive_next.wrapping_sub(1);
                    return Err(Broken::Refused(error, syn));
                }
            }
        }
        if self.phase != Phase::Open {
            return Ok(());
        }
        let waited = self.inbox.len();
        while self.writable && !self.inbox.is_empty() {
            let (head, _) = self.inbox.parts(0, usize::MAX);
            let stream = &mut self.stream;
            match stream.write(head) {
                Ok(0) => self.writable = false,
                Ok(written) => {
                    self.inbox.drop_front(written);
                    self.last_use = now;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken::Host),
            }
        }
        if self.guest_ended && self.inbox.is_empty() && !self.finished {
            self.stream.finish();
            self.finished = true;
        }
        // A window that has opened again is worth telling.
        let offered = self.receive_edge.wrapping_sub(self.receive_next) as usize;
        let room = limit.saturating_sub(self.inbox.len());
        let taken = self.inbox.len() < waited;
        if taken && !self.guest_ended && offered < limit / 4 && room > limit / 2 {
            self.ack_due = true;
        }
        while self.readable && !self.host_ended && self.outbox.len() < limit {
            let stream = &mut self.stream;
            match self.outbox.fill(limit, |space| stream.read(space)) {
                Ok(0) => self.host_ended = true,
                Ok(_) => self.last_use = now,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken::Host),
            }
        }
        Ok(())
    }

    /// How much of the sequence space the guest has been sent and has not acknowledged.
    fn in_flight(&self) -> u32 {
        self.send_next.wrapping_sub(self.unacknowledged)
    }

    /// The window to tell the guest: in bytes, and as the header has it.
    fn offer(&self, limit: usize) -> (u32, u16) {
        let shift = if self.shift.is_some() { SHIFT } else { 0 };
        let room = limit.saturating_sub(self.inbox.len());
        let field = (room >> shift).min(usize::from(u16::MAX)) as u16;
        (u32::from(field) << shift, field)
    }

    /// The most data of a segment on the link, bytes.
    fn own_mss(&self) -> u16 {
        if self.remote.is_ipv6() { 1440 } else { 1460 }
    }

    /// Sends what is to be sent: everything that the guest's window has room for. `large` is the most
    /// data in one segment that the guest cuts itself, if it does. False if the guest has no buffers
    /// for it now.
    pub fn send(
        &mut self,
        limit: usize,
        large: Option<usize>,
        now: Duration,
        send: &mut Send<'_>,
    ) -> bool {
        match self.phase {
            Phase::Connecting => true,
            Phase::Accepting | Phase::Asking => self.send_syn(limit, now, send),
            Phase::Open => self.send_data(limit, large, now, send),
        }
    }

    fn send_syn(&mut self, limit: usize, now: Duration, send: &mut Send<'_>) -> bool {
        if self.send_next != self.unacknowledged {
            return true;
        }
        let accepting = self.phase == Phase::Accepting;
        let window = limit.min(usize::from(u16::MAX)) as u16;
        let mss = self.own_mss();
        let segment = Segment {
            seq: self.send_next,
            ack: accepting.then_some(self.receive_next),
            flags: SYN,
            window,
            options: Some((mss, self.shift.map(|_| SHIFT))),
        };
        if !send(&segment, [&[]; 2], self.mss) {
            return false;
        }
        self.receive_edge = self.receive_next.wrapping_add(window.into());
        self.sent(1, now);
        self.ack_due = false;
        true
    }

    fn send_data(
        &mut self,
        limit: usize,
        large: Option<usize>,
        now: Duration,
        send: &mut Send<'_>,
    ) -> bool {
        let mss = usize::from(self.mss);
        // Whole segments.
        let most = large.map_or(mss, |large| (large / mss).max(1) * mss);
        loop {
            let flight = self.in_flight() as usize;
            let unsent = self.outbox.len().saturating_sub(flight);
            let usable = (self.window as usize).saturating_sub(flight);
            let mut len = unsent.min(usable).min(most);
            // A little now would only make it a little later, too.
            if len < mss && len < unsent && flight > 0 {
                len = 0;
            }
            let fin = self.host_ended
                && !self.end_acknowledged
                && flight + len == self.outbox.len()
                && usable > len;
            if len == 0 && !fin && !self.ack_due && !self.probe_due {
                break;
            }
            let (window, field) = self.offer(limit);
            let mut flags = if fin { FIN } else { 0 };
            if len > 0 && len == unsent {
                flags |= PSH;
            }
            let mut seq = self.send_next;
            if len == 0 && !fin && self.probe_due {
                // An old byte's number makes the guest tell its window (RFC 9293, section 3.8.6.1).
                seq = self.unacknowledged.wrapping_sub(1);
            }
            let segment = Segment {
                seq,
                ack: Some(self.receive_next),
                flags,
                window: field,
                options: None,
            };
            let (head, tail) = self.outbox.parts(flight, len);
            if !send(&segment, [head, tail], self.mss) {
                return false;
            }
            self.ack_due = false;
            self.probe_due = false;
            self.receive_edge = self.receive_next.wrapping_add(window);
            self.sent(len as u32 + u32::from(fin), now);
        }
        if self.retry_at.is_none() && self.unsent() {
            // The window is closed, and the news that it opens may be lost.
            self.retry_at = Some(now + RETRY);
        }
        true
    }

    /// There is something to send, and nothing on its way that would bring news.
    fn unsent(&self) -> bool {
        let end = self.host_ended && !self.end_acknowledged;
        self.phase == Phase::Open && self.in_flight() == 0 && (end || !self.outbox.is_empty())
    }

    /// Notes that `count` numbers have been sent.
    fn sent(&mut self, count: u32, now: Duration) {
        if count == 0 {
            return;
        }
        self.send_next = self.send_next.wrapping_add(count);
        if before(self.send_max, self.send_next) {
            self.send_max = self.send_next;
        }
        if self.retry_at.is_none() {
            self.retry_at = Some(now + RETRY);
        }
    }

    /// When [`Connection::tick`] has something to do.
    pub fn deadline(&self) -> Duration {
        let half = self.guest_ended && self.in_flight() == 0;
        let idle = self.last_use + if half { HALF_IDLE } else { IDLE };
        self.retry_at.map_or(idle, |retry| retry.min(idle))
    }

    /// Does what is due at this time; something may be to be sent afterwards.
    ///
    /// # Errors
    /// The connection is over.
    pub fn tick(&mut self, now: Duration) -> Result<(), Broken> {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retries = (self.retries + 1).min(RETRIES);
            if self.in_flight() > 0 {
                if self.retries == RETRIES {
                    return Err(Broken::Host);
                }
                self.send_next = self.unacknowledged;
                self.recovered = self.send_max;
            } else {
                self.probe_due = self.unsent();
            }
            let again = self.unacknowledged != self.send_max || self.probe_due;
            let wait = RETRY * (1 << self.retries);
            self.retry_at = again.then(|| now + wait.min(LONGEST_RETRY));
        }
        if self.retry_at.is_none() && self.deadline() <= now {
            return Err(Broken::Host);
        }
        Ok(())
    }

    /// Gives memory back that it does not use.
    pub fn shrink(&mut self) {
        self.inbox.shrink();
        self.outbox.shrink();
    }

    /// Both sides have sent all and know that the other has it.
    pub fn done(&self) -> bool {
        self.finished && self.end_acknowledged && !self.ack_due
    }

    /// Makes the other side see a reset.
    pub fn abort(&mut self) {
        self.stream.abort();
    }

    /// The segment that resets it.
    pub fn reset(&self) -> Segment {
        Segment {
            seq: self.send_max,
            ack: Some(self.receive_next),
            flags: RST,
            ..Segment::default()
        }
    }
}
