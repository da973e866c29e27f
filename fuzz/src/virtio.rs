//! virtio: both register interfaces with an entropy source, a disk, a console, a network card and a shared
//! directory's device behind them, in a small memory.
//!
//! The interrupt line is what INTERRUPT_STATUS says, a device that found its queue broken asks for a
//! reset and does nothing else, the disk is asked for what it has only, and after a reset all works
//! again. `virtio` is about the registers; in `virtqueue` the queues are set up, and their
//! descriptors and rings are hostile.

use crate::devices::{Line, Nowhere, access, fits};
use crate::input::Input;
use crate::memory::Memory;
use skep_board::virtio::balloon::{Balloon, Reclaim};
use skep_board::virtio::block::{Block, BlockBackend, BlockError, Request};
use skep_board::virtio::console::Console;
use skep_board::virtio::fs::{self, Fs, FsServer};
use skep_board::virtio::net::{MAX_FRAME, Net, NetBackend, Offload, Segments};
use skep_board::virtio::rng::Rng;
use skep_board::virtio::spec::*;
use skep_board::virtio::{Progress, Transport, Version, VirtioDevice};
use skep_board::{GuestMemory, MmioDevice};
use skep_interp::DirectMemory;
use std::sync::Arc;

const BASE: u64 = 0x4000_0000;
const SIZE: usize = 64 << 10;
/// Where queue 0 is, and how far from it queue 1; a page each for its three parts.
const SPAN: u64 = 3 * PAGE;
const PAGE: u64 = 0x1000;
const QUEUE_SIZE: u16 = 16;
/// The most queues that a device here has.
const QUEUES: usize = 4;

/// A disk that checks what it is asked.
struct Disk {
    len: u64,
    read_only: bool,
    broken: bool,
    /// Requests are kept, to be served later.
    later: bool,
    kept: Vec<Kept>,
}

/// A request that was handed off.
struct Kept {
    request: Request,
    /// The driver stopped using its queue since.
    void: bool,
}

impl Disk {
    fn check(&self, offset: u64, len: usize) -> Result<(), BlockError> {
        assert!(offset + len as u64 <= self.len, "beyond the disk's end");
        if self.broken { Err(BlockError) } else { Ok(()) }
    }
}

impl BlockBackend for Disk {
    fn len(&self) -> u64 {
        self.len
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        buf.fill(offset as u8);
        self.check(offset, buf.len())
    }
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError> {
        assert!(!self.read_only, "a read-only disk is written");
        self.check(offset, buf.len())
    }
    fn flush(&mut self) -> Result<(), BlockError> {
        self.check(0, 0)
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn can_discard(&self) -> bool {
        true
    }
    fn discard(&mut self, offset: u64, len: u64) -> Result<(), BlockError> {
        assert!(!self.read_only, "discards from a read-only disk");
        self.check(offset, len as usize)
    }
    fn write_zeroes(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), BlockError> {
        assert!(!self.read_only, "a read-only disk is made zero");
        self.check(offset, len as usize)
    }
    fn hand_off(&mut self, request: Request) -> Option<Request> {
        if !self.later {
            return Some(request);
        }
        let void = self.kept.iter().filter(|kept| !kept.void).count();
        assert!(
            void < usize::from(QUEUE_SIZE),
            "more in flight than descriptors"
        );
        self.kept.push(Kept {
            request,
            void: false,
        });
        None
    }
    fn stopped(&mut self, queue: usize) {
        for kept in &mut self.kept {
            kept.void |= kept.request.queue() == queue;
        }
    }
}

/// Serves one of the requests that a disk kept, as another thread does.
fn serve_later(guest: &mut Guest<Block<Disk>>, bytes: &[u8]) {
    let taken = guest.with_device(|disk, _| {
        let kept = &mut disk.backend_mut().kept;
        let at = usize::from(bytes.first().copied().unwrap_or(0)) % kept.len().max(1);
        (at < kept.len()).then(|| kept.swap_remove(at))
    });
    let Some(Kept { mut request, void }) = taken else {
        return;
    };
    guest.serve(|disk, queues| {
        assert!(
            !(void && request.is_owned(queues)),
            "a void request has an owner"
        );
        let memory = queues.memory();
        // What a request that is void would write, its threads keep from memory.
        while !void && request.step(disk.backend_mut(), memory, &mut [0; 1024])? == Progress::More {
        }
        request.finish(queues, Ok(()))
    });
}

/// A server of files that keeps requests until the host has it serve one.
#[derive(Default)]
struct Files(Vec<fs::Request>);

impl FsServer for Files {
    fn hand_off(&mut self, request: fs::Request) -> Option<fs::Request> {
        assert!(
            self.0.len() < 2 * usize::from(QUEUE_SIZE),
            "more in flight than descriptors"
        );
        self.0.push(request);
        None
    }
    fn stopped(&mut self, queue: usize) {
        self.0.retain(|request| request.queue() != queue);
    }
}

/// Replies to the first request that is kept.
fn reply(guest: &mut Guest<Fs<Files>>, bytes: &[u8]) {
    guest.serve(|fs, queues| {
        let kept = &mut fs.server_mut().0;
        if kept.is_empty() {
            return Ok(());
        }
        let mut request = kept.remove(0);
        if !request.is_owned(queues) {
            return Ok(());
        }
        let mut message = Vec::new();
        request.message(queues.memory(), 100, &mut message)?;
        assert!(message.len() <= 100);
        let room = request.room().min(bytes.len() as u64) as usize;
        request.reply(queues.memory(), &bytes[..room])?;
        request.finish(queues, Ok(()))
    });
}

/// Memory that is given back, and kept.
struct Back;

impl Reclaim for Back {
    fn reclaim(&mut self, addr: u64, len: u64) {
        assert!(addr.checked_add(len).is_some(), "beyond the address space");
    }
}

impl NetBackend for Nowhere {
    fn notified(&mut self) {}
    fn reset(&mut self) {}
}

type Guest<D> = Transport<D, Memory, Line>;
/// What the host does to a device.
type HostInput<D> = fn(&mut Guest<D>, &[u8]);

pub fn registers(data: &[u8]) {
    with_device(data, false);
}

pub fn queues(data: &[u8]) {
    with_device(data, true);
}

fn with_device(data: &[u8], set_up: bool) {
    let mut input = Input::new(data);
    let flags = input.u8();
    let version = match flags & 1 {
        0 => Version::Modern,
        _ => Version::Legacy,
    };
    match flags >> 1 & 3 {
        0 => {
            let rng = Rng::new(|buf: &mut [u8]| buf.fill(0x5a));
            drive(version, rng, |_, _| {}, set_up, &mut input);
        }
        1 => {
            let size = (flags & 8 != 0).then_some((80, 25));
            let receive: HostInput<Console<Nowhere>> = |guest, bytes| {
                assert!(guest.receive(bytes) <= bytes.len());
                guest.resize(bytes.len() as u16, 25);
            };
            drive(
                version,
                Console::new(Nowhere, size),
                receive,
                set_up,
                &mut input,
            );
        }
        3 if flags & 0xc0 == 0x40 => {
            let ask: HostInput<Balloon<Back>> = |guest, bytes| {
                guest.serve(|balloon, queues| {
                    balloon.set_target(bytes.len() as u32, queues);
                    balloon.memory_use(queues).map(|_| ())
                });
            };
            drive(version, Balloon::new(Back), ask, set_up, &mut input);
        }
        3 if flags & 0x80 != 0 => {
            let files = Fs::new("fuzz", Files::default());
            drive(version, files, reply, set_up, &mut input);
        }
        2 => {
            let disk = Disk {
                len: u64::from(flags >> 4) * 5000,
                read_only: flags & 8 != 0,
                broken: flags & 0xf0 == 0xf0,
                later: flags & 0x40 != 0,
                kept: Vec::new(),
            };
            drive(
                version,
                Block::new(disk, "fuzz"),
                serve_later,
                set_up,
                &mut input,
            );
        }
        _ => {
            let exchange: HostInput<Net<Nowhere>> = |guest, bytes| {
                let mut frame = Vec::new();
                // As many as there are, or will be: the driver may repeat one for ever.
                for _ in bytes {
                    let Some(offload) = guest.take_frame(&mut frame) else {
                        break;
                    };
                    assert!(frame.len() <= MAX_FRAME);
                    if let Some((start, at)) = offload.checksum {
                        let end = usize::from(start).max(usize::from(at) + 2);
                        assert!(end <= frame.len());
                    }
                    let cut = |segments: Segments| segments.size > 0 && offload.checksum.is_some();
                    assert!(offload.segments.is_none_or(cut));
                }
                let (head, tail) = bytes.split_at(bytes.len() / 2);
                guest.give_frame(&Offload::default(), 0, &[head, tail, head]);
            };
            let card = Net::new(Nowhere, [2; 6]);
            drive(version, card, exchange, set_up, &mut input);
        }
    }
}

fn drive<D: VirtioDevice>(
    version: Version,
    device: D,
    receive: HostInput<D>,
    set_up: bool,
    input: &mut Input<'_>,
) {
    let memory = Arc::new(Memory::new(BASE, SIZE));
    let line = Line::default();
    let count = device.queue_sizes().len() as u32;
    let mut guest = Transport::new(version, device, memory.clone(), line.clone());
    if set_up {
        bring_up(&mut guest, count, input.u64());
    }
    // How many entries of each available ring are filled.
    let mut published = [0u16; QUEUES];
    while !input.is_empty() {
        match input.u8() % 16 {
            0..3 if !set_up => access(&mut guest, 0x200, input),
            3..6 if !set_up => {
                let register = u64::from(input.u8() & 0x3f) * 4;
                guest.write(register, 4, input.number());
            }
            0 => access(&mut guest, 0x200, input),
            1 => {
                let at = BASE + u64::from(input.u16());
                let len = input.below(32);
                let _ = memory.write(at, input.take(len));
            }
            2 => {
                let len = input.below(64);
                receive(&mut guest, input.take(len));
            }
            3 if input.below(8) == 0 => {
                guest.reset();
                bring_up(&mut guest, count, u64::MAX);
                published = [0; QUEUES];
            }
            4..10 => descriptor(&memory, input),
            10..13 => {
                let queue = input.below(count as usize);
                let head = match input.u8() {
                    0xff => input.u16(),
                    byte => u16::from(byte) % QUEUE_SIZE,
                };
                let index = &mut published[queue];
                let ring = avail(version, queue as u64);
                let slot = u64::from(*index % QUEUE_SIZE);
                let _ = memory.write_u16_release(ring + 4 + 2 * slot, head);
                *index = index.wrapping_add(1);
                let _ = memory.write_u16_release(ring + 2, *index);
            }
            _ => guest.write(QUEUE_NOTIFY, 4, input.below(count as usize + 1) as u64),
        }
        check(&mut guest, &line);
    }
    guest.reset();
    check(&mut guest, &line);
    assert_eq!(guest.read(STATUS, 4), 0);
    for offset in (0..QUEUES * SPAN as usize).step_by(8) {
        memory.store64(offset, 0);
    }
    bring_up(&mut guest, count, u64::MAX);
    assert_eq!(guest.error(), None, "it works after a reset");
}

fn check<D: VirtioDevice>(guest: &mut Guest<D>, line: &Line) {
    let interrupt = guest.read(INTERRUPT_STATUS, 4);
    assert_eq!(line.level(), interrupt != 0);
    assert!(interrupt <= u64::from(INT_USED | INT_CONFIG));
    let status = guest.read(STATUS, 4) as u32;
    assert_eq!(status & STATUS_NEEDS_RESET != 0, guest.error().is_some());
    if let Some(error) = guest.error() {
        assert!(!error.to_string().is_empty());
    }
    fits(guest.read(CONFIG, 4), 4);
}

/// The available ring of a queue that [`bring_up`] set up.
fn avail(version: Version, queue: u64) -> u64 {
    let table = BASE + queue * SPAN;
    match version {
        Version::Modern => table + PAGE,
        Version::Legacy => table + DESC_SIZE * u64::from(QUEUE_SIZE),
    }
}

/// What a driver does before it uses the device, with these features of those offered.
fn bring_up<D: VirtioDevice>(guest: &mut Guest<D>, queues: u32, wanted: u64) {
    // Nothing works without VERSION_1.
    let wanted = wanted | F_VERSION_1;
    let version = guest.version();
    let mut set = |register: u64, value: u64| {
        guest.write(register, 4, value);
        guest.read(DEVICE_FEATURES, 4)
    };
    let mut status = u64::from(STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    set(STATUS, status);
    set(GUEST_PAGE_SIZE, PAGE);
    for half in 0..2 {
        set(DRIVER_FEATURES_SEL, half);
        let offered = set(DEVICE_FEATURES_SEL, half);
        set(DRIVER_FEATURES, offered & (wanted >> (32 * half)));
    }
    if version == Version::Modern {
        status |= u64::from(STATUS_FEATURES_OK);
        set(STATUS, status);
    }
    for queue in 0..u64::from(queues) {
        let table = BASE + queue * SPAN;
        set(QUEUE_SEL, queue);
        set(QUEUE_NUM, QUEUE_SIZE.into());
        match version {
            Version::Modern => {
                set(QUEUE_DESC_LOW, table);
                set(QUEUE_DRIVER_LOW, table + PAGE);
                set(QUEUE_DEVICE_LOW, table + 2 * PAGE);
                set(QUEUE_READY, 1);
            }
            Version::Legacy => {
                set(QUEUE_ALIGN, PAGE);
                set(QUEUE_PFN, table / PAGE);
            }
        }
    }
    set(STATUS, status | u64::from(STATUS_DRIVER_OK));
}

/// A descriptor of a queue's table, or of one that an indirect descriptor may lead to.
fn descriptor(memory: &Memory, input: &mut Input<'_>) {
    const TABLES: [u64; 3] = [BASE, BASE + SPAN, BASE + 2 * SPAN];
    let (kind, flags, next) = (input.u8(), input.u8(), input.u8());
    let index = u64::from(input.u8() % QUEUE_SIZE as u8);
    let addr = match kind & 3 {
        0 => input.number(),
        1 => TABLES[2] + u64::from(input.u8()) * DESC_SIZE,
        _ => BASE + u64::from(input.u16()),
    };
    let len = match kind >> 2 & 3 {
        0 => input.number() as u32,
        1 => u32::from(input.u8()) * DESC_SIZE as u32,
        _ => u32::from(input.u16()) % 2048,
    };
    let next = match next {
        0xff => u16::MAX,
        next => u16::from(next) % (QUEUE_SIZE + 1),
    };
    let mut bytes = [0; DESC_SIZE as usize];
    bytes[..8].copy_from_slice(&addr.to_le_bytes());
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    bytes[12..14].copy_from_slice(&u16::from(flags & 7).to_le_bytes());
    bytes[14..].copy_from_slice(&next.to_le_bytes());
    let table = TABLES[usize::from(kind >> 4) % TABLES.len()];
    let _ = memory.write(table + index * DESC_SIZE, &bytes);
    // The type of a disk's request, and its sector, where the descriptor points.
    if kind >> 6 == 3 {
        let _ = memory.write(addr, &[flags >> 3, 0, 0, 0, 0, 0, 0, 0, kind >> 4 & 3]);
    }
}
