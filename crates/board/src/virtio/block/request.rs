//! A request of a block device, served part by part (VIRTIO 1.2, section 5.2.6).

use super::spec::*;
use super::{BlockBackend, BlockError};
use crate::GuestMemory;
use crate::virtio::{Chain, Progress, QueueError, Queues};
use alloc::vec::Vec;

/// The most ranges that a request may discard or make zero.
pub(super) const MAX_RANGES: u32 = 16;
/// The most sectors of such a range: 1 GiB.
pub(super) const MAX_RANGE_SECTORS: u32 = 1 << 21;
/// How much of a range is made zero at once, bytes: that may mean to write zeros.
const ZERO_CHUNK: u64 = 4 << 20;

/// The longest read that is tried at once, bytes: to copy more takes longer than to hand it off.
const READ_NOW: u64 = 32 << 10;

/// What a request asks for. Positions and lengths in bytes, within the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Work {
    Read {
        start: u64,
        len: u64,
    },
    Write {
        start: u64,
        len: u64,
        through: bool,
    },
    Flush,
    Clear {
        ranges: Vec<Clear>,
        through: bool,
    },
    /// Nothing more: the status is known.
    Nothing,
}

/// A range to discard or to make zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Clear {
    start: u64,
    len: u64,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Discard,
    Zero { unmap: bool },
}

/// What a device tells its requests.
pub(super) struct Limits<'a> {
    /// The disk's length, whole sectors, bytes.
    pub len: u64,
    /// The longest request, bytes.
    pub max_request: u64,
    pub read_only: bool,
    pub can_discard: bool,
    pub id: &'a [u8; ID_BYTES],
    /// What the driver negotiated.
    pub features: u64,
}

/// A request that was taken from a queue. Between two parts, nothing is half done that would have to
/// be undone: it may be dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    queue: usize,
    chain: Chain,
    work: Work,
    /// Bytes of the work that are done.
    done: u64,
    /// Bytes at the start of the request's writable buffers that were written.
    given: u64,
    status: u8,
}

impl Request {
    /// Reads what a chain asks for. What needs no backend is done.
    pub(super) fn new(
        queue: usize,
        chain: Chain,
        memory: &dyn GuestMemory,
        limits: &Limits<'_>,
    ) -> Result<Self, QueueError> {
        let mut header = [0; HEADER];
        chain.read(memory, 0, &mut header)?;
        let [t0, t1, t2, t3, _, _, _, _, sector @ ..] = header;
        let sector = u64::from_le_bytes(sector);
        // The status is the last byte, and all before it is for data (section 5.2.6).
        let room = room(&chain)?;
        let sent = chain.readable_len().saturating_sub(HEADER as u64);
        let locate = |len: u64| limits.locate(sector, len);
        // A driver that cannot flush relies on each write's being safe (section 5.2.6.2).
        let through = limits.features & F_FLUSH == 0;
        let mut given = 0;
        let work = match u32::from_le_bytes([t0, t1, t2, t3]) {
            T_IN => locate(room)
                .map(|start| Work::Read { start, len: room })
                .ok_or(S_IOERR),
            T_OUT if limits.read_only => Err(S_IOERR),
            T_OUT => locate(sent)
                .map(|start| Work::Write {
                    start,
                    len: sent,
                    through,
                })
                .ok_or(S_IOERR),
            T_FLUSH => Ok(Work::Flush),
            T_GET_ID => {
                given = room.min(ID_BYTES as u64);
                let id = limits.id.get(..given as usize).unwrap_or_default();
                chain.write(memory, 0, id)?;
                Err(S_OK)
            }
            T_DISCARD if limits.features & F_DISCARD != 0 => {
                ranges(&chain, memory, sent, limits, false)?
                    .map(|ranges| Work::Clear { ranges, through })
            }
            T_WRITE_ZEROES if limits.features & F_WRITE_ZEROES != 0 => {
                ranges(&chain, memory, sent, limits, true)?
                    .map(|ranges| Work::Clear { ranges, through })
            }
            _ => Err(S_UNSUPP),
        };
        let (work, status) = match work {
            Ok(work) => (work, S_OK),
            Err(status) => (Work::Nothing, status),
        };
        Ok(Request {
            queue,
            chain,
            work,
            done: 0,
            given,
            status,
        })
    }

    /// The queue that it came from.
    pub fn queue(&self) -> usize {
        self.queue
    }

    /// The length of a write that need not reach the host's disk before it ends, bytes.
    pub fn plain_write(&self) -> Option<u64> {
        match self.work {
            Work::Write {
                len,
                through: false,
                ..
            } => Some(len),
            _ => None,
        }
    }

    /// Whether there is nothing to be done but to hand it back.
    pub(super) fn is_done(&self) -> bool {
        self.work == Work::Nothing
    }

    /// Serves a short read, if the backend can at once.
    pub(super) fn read_now<B: BlockBackend>(
        &mut self,
        backend: &mut B,
        memory: &dyn GuestMemory,
        buffer: &mut [u8],
    ) -> Result<(), QueueError> {
        if let Work::Read { start, len } = self.work
            && len <= READ_NOW
            && let Some(buf) = part_of(buffer, len)
            && buf.len() as u64 == len
            && backend.read_now(start, buf)
        {
            self.chain.write(memory, 0, buf)?;
            self.given = len;
            self.work = Work::Nothing;
        }
        Ok(())
    }

    /// Does the next part, of no more bytes than `buffer` holds. The backend may be another handle
    /// to what the device's is.
    ///
    /// # Errors
    /// The request's buffers are not in memory. The queue is broken.
    pub fn step<B: BlockBackend>(
        &mut self,
        backend: &mut B,
        memory: &dyn GuestMemory,
        buffer: &mut [u8],
    ) -> Result<Progress, QueueError> {
        match self.part(backend, memory, buffer)? {
            Ok(Progress::More) => return Ok(Progress::More),
            Ok(Progress::Done) => {}
            Err(BlockError) => self.status = S_IOERR,
        }
        self.work = Work::Nothing;
        Ok(Progress::Done)
    }

    fn part<B: BlockBackend>(
        &mut self,
        backend: &mut B,
        memory: &dyn GuestMemory,
        buffer: &mut [u8],
    ) -> Result<Result<Progress, BlockError>, QueueError> {
        let (whole, through) = match &self.work {
            Work::Nothing => return Ok(Ok(Progress::Done)),
            Work::Flush => return Ok(backend.flush().map(|()| Progress::Done)),
            &Work::Read { start, len } => {
                let Some(buf) = part_of(buffer, len - self.done) else {
                    return Ok(Ok(Progress::Done));
                };
                if backend.read_at(start + self.done, buf).is_err() {
                    return Ok(Err(BlockError));
                }
                self.chain.write(memory, self.done, buf)?;
                self.done += buf.len() as u64;
                self.given = self.done;
                (self.done == len, false)
            }
            &Work::Write {
                start,
                len,
                through,
            } => {
                if let Some(buf) = part_of(buffer, len - self.done) {
                    self.chain.read(memory, HEADER as u64 + self.done, buf)?;
                    if backend.write_at(start + self.done, buf).is_err() {
                        return Ok(Err(BlockError));
                    }
                    self.done += buf.len() as u64;
                }
                (self.done == len, through)
            }
            Work::Clear { ranges, through } => {
                // `done` counts bytes of all ranges.
                let (mut before, total) = (0, ranges.iter().map(|range| range.len).sum::<u64>());
                for range in ranges {
                    let done = self.done.saturating_sub(before);
                    if done < range.len {
                        let rest = range.len - done;
                        let at = range.start + done;
                        let (len, result) = match range.how {
                            How::Discard => (rest, backend.discard(at, rest)),
                            How::Zero { unmap } => {
                                let len = rest.min(ZERO_CHUNK);
                                (len, backend.write_zeroes(at, len, unmap))
                            }
                        };
                        if result.is_err() {
                            return Ok(Err(BlockError));
                        }
                        self.done += len;
                        break;
                    }
                    before += range.len;
                }
                (self.done == total, *through)
            }
        };
        if !whole {
            return Ok(Ok(Progress::More));
        }
        if through && backend.flush().is_err() {
            return Ok(Err(BlockError));
        }
        Ok(Ok(Progress::Done))
    }

    /// Whether the driver still waits for it.
    pub fn is_owned(&self, queues: &Queues<'_>) -> bool {
        queues.owns(self.queue, &self.chain)
    }

    /// Hands the request back to the driver, with what came of it so far, unless `served` says that
    /// its queue is broken. Nothing happens if the driver stopped using the queue since.
    ///
    /// # Errors
    /// The queue is broken.
    pub fn finish(
        self,
        queues: &mut Queues<'_>,
        served: Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let (given, status) = (self.given, self.status);
        queues.finish(self.queue, self.chain, served, |chain, memory| {
            let room = room(chain)?;
            chain.write(memory, room, &[status])?;
            let written = if given == room {
                room.saturating_add(1)
            } else {
                given
            };
            Ok(written as u32)
        })
    }
}

/// How much of the buffers is for data: all but the status.
fn room(chain: &Chain) -> Result<u64, QueueError> {
    let len = chain.writable_len();
    len.checked_sub(1).ok_or(QueueError::TooShort)
}

/// As much of a buffer as there is left to do; None when there is nothing.
fn part_of(buffer: &mut [u8], left: u64) -> Option<&mut [u8]> {
    let len = left.min(buffer.len() as u64) as usize;
    buffer.get_mut(..len).filter(|part| !part.is_empty())
}

/// The ranges that follow the header of a request to discard, or to make zero; or the request's
/// status if they are not as they must be.
fn ranges(
    chain: &Chain,
    memory: &dyn GuestMemory,
    sent: u64,
    limits: &Limits<'_>,
    zero: bool,
) -> Result<Result<Vec<Clear>, u8>, QueueError> {
    if limits.read_only || !limits.can_discard {
        return Ok(Err(S_IOERR));
    }
    let count = sent / RANGE as u64;
    if count == 0 || count > u64::from(MAX_RANGES) || !sent.is_multiple_of(RANGE as u64) {
        return Ok(Err(S_IOERR));
    }
    let mut ranges = Vec::with_capacity(count as usize);
    for index in 0..count {
        let mut bytes = [0; RANGE];
        chain.read(memory, HEADER as u64 + index * RANGE as u64, &mut bytes)?;
        let [
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            s6,
            s7,
            n0,
            n1,
            n2,
            n3,
            f0,
            f1,
            f2,
            f3,
        ] = bytes;
        let sector = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let sectors = u32::from_le_bytes([n0, n1, n2, n3]);
        let flags = u32::from_le_bytes([f0, f1, f2, f3]);
        // Flags that the request does not have are unsupported (section 5.2.6.2).
        let how = match (zero, flags) {
            (false, 0) => How::Discard,
            (true, 0 | RANGE_UNMAP) => How::Zero {
                unmap: flags & RANGE_UNMAP != 0,
            },
            _ => return Ok(Err(S_UNSUPP)),
        };
        let len = u64::from(sectors) * SECTOR;
        let Some(start) = limits.inside(sector, len) else {
            return Ok(Err(S_IOERR));
        };
        if sectors > MAX_RANGE_SECTORS {
            return Ok(Err(S_IOERR));
        }
        ranges.push(Clear { start, len, how });
    }
    Ok(Ok(ranges))
}

impl Limits<'_> {
    /// The byte at which `len` bytes from `sector` start, if all of them exist.
    fn inside(&self, sector: u64, len: u64) -> Option<u64> {
        let start = sector.checked_mul(SECTOR)?;
        let end = start.checked_add(len)?;
        (end <= self.len).then_some(start)
    }

    /// As `inside`, if they are whole sectors and not too many.
    fn locate(&self, sector: u64, len: u64) -> Option<u64> {
        let fits = len <= self.max_request && len.is_multiple_of(SECTOR);
        self.inside(sector, len).filter(|_| fits)
    }
}
