//! A guest that attacks by its devices: rings a neighbour's doorbell without end, reaches around the
//! memory that they share, gives its disk and its console queues that no driver would, and has
//! interrupts raised that it never silences. Each attempt must hurt nobody else, and the devices must
//! work after it.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_support::channel::{Channel, RING, RUNG, SIZE};
use guest_support::mmio::{read8, read32, write8, write16, write32};
use guest_support::probe::Probe;
use guest_support::vectors::{self, Vector};
use guest_support::virtio::*;
use guest_support::{board, gic, guest, print, println, snippet};
use guest_tests::MEMORY;

guest!(main);

const QUEUE: u32 = MEMORY + 0x8_0000;
const HEADER: u32 = MEMORY + 0x9_0000;
const DATA: u32 = MEMORY + 0x9_1000;
const STATUS_BYTE: u32 = MEMORY + 0x9_f000;
const TABLE: u32 = MEMORY + 0xa_0000;

const IN: u32 = 0;
const OUT: u32 = 1;
const USUAL: u64 = F_VERSION_1 | F_INDIRECT;

/// Where this guest has no memory, though there is something: its devices, the memory of the channel, the
/// board's and the hypervisor's, the end of the address space and beyond.
const FOREIGN: [u64; 8] = [
    0,
    0x0801_0000,
    0x0900_0000,
    0x0c10_0000,
    0x7fff_fff8,
    0xf000_0000,
    0xffff_fffc,
    0x1_4000_0000,
];

fn main() {
    println!("attack begins");
    match Channel::find(0) {
        Some(channel) => {
            ring(channel);
            around(channel);
        }
        None => println!("no channel"),
    }
    if let Some(base) = find(2) {
        let mut disk = Driver {
            base,
            size: 256,
            queue: QUEUE,
            sent: 0,
        };
        rings(&mut disk);
        chains(&mut disk);
        flood(&mut disk);
        random(&mut disk);
    } else {
        println!("no disk");
    }
    if let Some(base) = find(3) {
        console(base);
    } else {
        println!("no console");
    }
    line();
    println!("attack over");
}

/// Xorshift.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

/// The doorbell: as fast as it goes, and in every size at every place.
fn ring(channel: Channel) {
    for _ in 0..50_000 {
        channel.set(RING, u32::MAX);
    }
    let mut random = Random(7);
    for _ in 0..10_000 {
        let (place, value) = (random.next(), random.next());
        let address = channel.registers + (place >> 4 & 0xfff);
        match place & 7 {
            0 => {
                let _ = read8(address);
            }
            1 => {
                let _ = read32(address & !3);
            }
            2 => write8(address, value as u8),
            3 => write16(address & !1, value as u16),
            _ => write32(address & !3, value),
        }
    }
    let store = snippet!(arm, "strd r4, r5, [r0, #0x18]");
    let pair = Probe::new(store)
        .r(0, channel.registers)
        .r(4, u32::MAX)
        .run();
    println!("doorbell: strd {pair}, rung {:x}", channel.get(RUNG));
}

/// The memory of the channel, and what is around it.
fn around(channel: Channel) {
    let size = channel.get(SIZE);
    for offset in (0..size).step_by(4) {
        write32(channel.memory + offset, 0xdead_beef);
    }
    let (load, store) = (snippet!(arm, "ldr r1, [r0]"), snippet!(arm, "str r1, [r0]"));
    for address in [
        channel.memory - 4,
        channel.memory + size,
        channel.registers - 4,
        channel.registers + 0x1000,
    ] {
        let (read, write) = (
            Probe::new(load).r(0, address).run(),
            Probe::new(store).r(0, address).run(),
        );
        println!("{address:08x}: {read}, {write}");
    }
    let jump = Probe::new(snippet!(arm, "bx r0"))
        .r(0, channel.memory)
        .run();
    println!("a jump into shared memory: vector {}", jump.area.vector);
}

/// Prints how the device took it, and whether it works after a reset.
fn judge(what: core::fmt::Arguments, disk: &mut Driver) {
    let status = read32(disk.base + STATUS) & NEEDS_RESET != 0;
    println!(
        "{what}: asks for a reset: {status}, works then: {}",
        works(disk)
    );
}

/// A request that any driver might make.
fn works(disk: &mut Driver) -> bool {
    disk.start(USUAL);
    request(disk, IN, 0);
    descriptor(disk.queue, 1, DATA.into(), 512, NEXT | WRITE, 2);
    write8(DATA, 0xee);
    disk.send(&[0]);
    disk.wait() && read8(STATUS_BYTE) == 0 && read8(DATA) == 0x5a
}

/// A read or write of one sector.
fn request(disk: &Driver, kind: u32, sector: u32) {
    for (n, word) in [kind, 0, sector, 0].into_iter().enumerate() {
        write32(HEADER + 4 * n as u32, word);
    }
    write8(STATUS_BYTE, 0xff);
    let flags = if kind == IN { NEXT | WRITE } else { NEXT };
    descriptor(disk.queue, 0, HEADER.into(), 16, NEXT, 1);
    descriptor(disk.queue, 1, DATA.into(), 512, flags, 2);
    descriptor(disk.queue, 2, STATUS_BYTE.into(), 1, WRITE, 0);
}

/// Rings that are not in memory.
fn rings(disk: &mut Driver) {
    for register in [QUEUE_DESC_LOW, QUEUE_DRIVER_LOW, QUEUE_DEVICE_LOW] {
        for address in FOREIGN {
            disk.negotiate(USUAL);
            disk.set_up();
            write32(disk.base + QUEUE_READY, 0);
            write32(disk.base + register, address as u32);
            write32(disk.base + register + 4, (address >> 32) as u32);
            write32(disk.base + QUEUE_READY, 1);
            write32(disk.base + STATUS, 0xf);
            request(disk, IN, 0);
            disk.send(&[0]);
        }
        judge(format_args!("rings elsewhere, register {register:x}"), disk);
    }
}

/// Chains that lead out of memory, never end, or describe everything there is.
fn chains(disk: &mut Driver) {
    for kind in [IN, OUT] {
        for address in FOREIGN {
            for length in [4, 512, 0x1000_0000, u32::MAX] {
                disk.start(USUAL);
                request(disk, kind, 0);
                let flags = if kind == IN { NEXT | WRITE } else { NEXT };
                descriptor(disk.queue, 1, address, length, flags, 2);
                disk.send(&[0]);
            }
        }
        judge(format_args!("data elsewhere, kind {kind}"), disk);
    }
    disk.start(USUAL);
    for n in 0..256 {
        descriptor(
            disk.queue,
            n,
            DATA.into(),
            u32::MAX,
            NEXT,
            (n as u16 + 1) % 256,
        );
    }
    disk.send(&[3]);
    judge(format_args!("a loop"), disk);
    disk.start(USUAL);
    descriptor(disk.queue, 0, TABLE.into(), 16 * 256, INDIRECT, 0);
    descriptor(TABLE, 0, TABLE.into(), 16 * 256, INDIRECT, 0);
    disk.send(&[0]);
    judge(format_args!("a table in itself"), disk);
    disk.start(USUAL);
    disk.sent = 0x7000;
    disk.send(&[0]);
    judge(format_args!("an index far ahead"), disk);
    disk.start(USUAL);
    disk.send(&[0xffff]);
    judge(format_args!("no such descriptor"), disk);
}

/// As much work as one notification can ask for, twice: each of the queue's requests reads a
/// quarter of the disk into the same page.
fn flood(disk: &mut Driver) {
    disk.start(USUAL);
    request(disk, IN, 0);
    for turn in 0..2 {
        let mut heads = [0; 256];
        for (n, head) in heads.iter_mut().enumerate() {
            *head = n as u16;
        }
        for n in 0..256 {
            descriptor(disk.queue, n, TABLE.into(), 16 * 66, INDIRECT, 0);
        }
        descriptor(TABLE, 0, HEADER.into(), 16, NEXT, 1);
        for n in 1..65 {
            descriptor(TABLE, n, DATA.into(), 4096, NEXT | WRITE, n as u16 + 1);
        }
        descriptor(TABLE, 65, STATUS_BYTE.into(), 1, WRITE, 0);
        disk.send(&heads);
        if turn == 1 {
            println!("flood: served {}", disk.wait());
        }
    }
    judge(format_args!("a flood"), disk);
}

/// Registers and rings full of noise.
fn random(disk: &mut Driver) {
    let mut random = Random(3);
    for _ in 0..200 {
        disk.start(USUAL);
        for word in (disk.queue..disk.queue + 0x3000).step_by(64) {
            let noise = random.next();
            // Mostly addresses that are there, so that it goes on from them.
            write32(
                word,
                if noise & 3 == 0 {
                    noise
                } else {
                    MEMORY + (noise >> 12)
                },
            );
        }
        for _ in 0..8 {
            let register = random.next() & 0x1fc;
            write32(disk.base + register, random.next() & 0xffff);
            write32(disk.base + QUEUE_NOTIFY, random.next() & 1);
        }
    }
    judge(format_args!("noise"), disk);
}

/// A console that is to print what is not there, and everything there is.
fn console(base: u32) {
    let mut console = Driver {
        base,
        size: 128,
        queue: QUEUE,
        sent: 0,
    };
    for address in FOREIGN {
        for length in [4, u32::MAX] {
            for queue in [0, 1] {
                console.negotiate(F_VERSION_1);
                write32(base + QUEUE_SEL, queue);
                write32(base + QUEUE_NUM, 128);
                write32(base + QUEUE_DESC_LOW, QUEUE);
                write32(base + QUEUE_DRIVER_LOW, console.available());
                write32(base + QUEUE_DEVICE_LOW, console.used());
                write16(console.available() + 2, 0);
                write32(base + QUEUE_READY, 1);
                write32(base + STATUS, 0xf);
                let flags = if queue == 0 { WRITE } else { 0 };
                descriptor(QUEUE, 0, address, length, flags, 0);
                write16(console.available() + 4, 0);
                write16(console.available() + 2, 1);
                write32(base + QUEUE_NOTIFY, queue);
            }
        }
    }
    let asks = read32(base + STATUS) & NEEDS_RESET != 0;
    println!("console: asks for a reset: {asks}");
}

static TAKEN: AtomicU32 = AtomicU32::new(0);

extern "C" fn take(_: Vector) {
    let acknowledged = gic::c(gic::gicc::IAR);
    if TAKEN.fetch_add(1, Relaxed) > 20_000 {
        gic::set_bit(gic::gicd::ICENABLER, acknowledged);
    }
    gic::set_c(gic::gicc::EOIR, acknowledged);
}

/// A line that stays high: the serial port may send.
fn line() {
    gic::enable();
    gic::set_priority(board::UART_INT, 0x80);
    gic::set_targets(board::UART_INT, 1);
    gic::set_bit(gic::gicd::ISENABLER, board::UART_INT);
    vectors::serve(take);
    // UARTIMSC.TXIM.
    write32(board::UART + 0x38, 1 << 5);
    print!("line:");
    // SAFETY: interrupts are served until the handler has had enough.
    unsafe { core::arch::asm!("cpsie i", "isb", "nop", "cpsid i") };
    vectors::record();
    write32(board::UART + 0x38, 0);
    println!(" taken {}", TAKEN.load(Relaxed) > 20_000);
}
