//! A virtio disk: its configuration, requests of every shape, and what no sensible driver does. The
//! disk has 64 sectors, each full of its number plus 1.

#![no_std]
#![no_main]

use guest_support::gic::{self, bit, gicd, set_bit};
use guest_support::mmio::{read8, read16, read32, write8, write16, write32};
use guest_support::virtio::*;
use guest_support::{board, guest, print, println};
use guest_tests::MEMORY;

guest!(main);

/// Where the queue is.
const QUEUE: u32 = MEMORY + 0x8_0000;
/// Where requests are: the header, data from the second page on, the status byte.
const HEADER: u32 = MEMORY + 0x9_0000;
const DATA: u32 = MEMORY + 0x9_1000;
const STATUS_BYTE: u32 = MEMORY + 0x9_f000;
/// An indirect table.
const TABLE: u32 = MEMORY + 0xa_0000;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
const F_FLUSH: u64 = 1 << 9;
const USUAL: u64 = F_VERSION_1 | F_INDIRECT | F_FLUSH;

fn main() {
    let Some(base) = find(2) else {
        println!("no disk");
        return;
    };
    let mut driver = Driver {
        base,
        size: 16,
        queue: QUEUE,
        sent: 0,
    };
    configuration(base);
    registers(base);
    features(&mut driver);
    states(&mut driver);
    requests(&mut driver);
    shapes(&mut driver);
    indirect(&mut driver);
    broken(&mut driver);
    queues(&mut driver);
    interrupts(&mut driver);
}

/// The configuration by every size of access.
fn configuration(base: u32) {
    let config = base + CONFIG;
    println!("capacity {:x} {:x}", read32(config), read32(config + 4));
    print!("capacity by halfwords");
    for offset in (0..8).step_by(2) {
        print!(" {:04x}", read16(config + offset));
    }
    println!();
    print!("capacity by bytes");
    for offset in 0..8 {
        print!(" {:02x}", read8(config + offset));
    }
    println!();
    println!("block size {}", read32(config + 20));
    // What is read-only stays.
    write32(config, 7);
    write16(config, 7);
    write8(config, 7);
    println!("capacity after writes {:x}", read32(config));
    println!("generation {}", read32(base + CONFIG_GENERATION));
}

/// Registers by sizes that they do not have.
fn registers(base: u32) {
    for offset in [MAGIC, MAGIC + 2, DEVICE_ID, QUEUE_NUM_MAX, STATUS] {
        println!(
            "register {offset:03x} by halfword {:04x}, byte {:02x}",
            read16(base + offset),
            read8(base + offset)
        );
    }
    write8(base + STATUS, 1);
    println!("status after a byte {:x}", read32(base + STATUS));
    write16(base + STATUS, 1);
    println!("status after a halfword {:x}", read32(base + STATUS));
    write32(base + STATUS, 0);
}

fn features(driver: &mut Driver) {
    let base = driver.base;
    write32(base + DEVICE_FEATURES_SEL, 0);
    let low = read32(base + DEVICE_FEATURES);
    write32(base + DEVICE_FEATURES_SEL, 1);
    let offered = u64::from(low) | u64::from(read32(base + DEVICE_FEATURES)) << 32;
    println!(
        "offers version 1 {}, indirect {}, flush {}, read only {}",
        offered >> 32 & 1,
        offered >> 28 & 1,
        offered >> 9 & 1,
        offered >> 5 & 1
    );
    for (name, features) in [
        ("what it needs", F_VERSION_1),
        ("the usual", USUAL),
        ("no version", F_FLUSH),
        ("what it does not offer", F_VERSION_1 | 1 << 20),
        ("beyond what there is", F_VERSION_1 | 1 << 60),
    ] {
        println!("features {name}: status {:x}", driver.negotiate(features));
    }
    // Nothing changes once they are agreed on.
    driver.negotiate(USUAL);
    write32(base + DRIVER_FEATURES_SEL, 1);
    write32(base + DRIVER_FEATURES, 0);
    println!("agreed, then changed: status {:x}", read32(base + STATUS));
    write32(base + STATUS, 0);
    println!("reset: status {:x}", read32(base + STATUS));
}

/// The device does nothing before it may.
fn states(driver: &mut Driver) {
    driver.negotiate(USUAL);
    driver.set_up();
    plain(driver, IN, 0, 512);
    driver.send(&[0]);
    println!("before DRIVER_OK: used {}", driver.wait());
    write32(driver.base + STATUS, 0xf);
    println!("after DRIVER_OK: used {}", driver.wait());
    tell(driver, "a request from before");
    write32(driver.base + STATUS, 0x8f);
    println!("FAILED: status {:x}", read32(driver.base + STATUS));
    write32(driver.base + STATUS, 0);
    println!(
        "reset: status {:x} ready {} interrupts {:x}",
        read32(driver.base + STATUS),
        read32(driver.base + QUEUE_READY),
        read32(driver.base + INTERRUPT_STATUS)
    );
    // Without a device that works, a notification is nothing.
    write32(driver.base + QUEUE_NOTIFY, 0);
    write32(driver.base + QUEUE_NOTIFY, 77);
    println!(
        "notified without a queue: {:x}",
        read32(driver.base + STATUS)
    );
}

/// Writes a request's header.
fn header(kind: u32, sector: u64) {
    for (at, word) in [kind, 0, sector as u32, (sector >> 32) as u32]
        .into_iter()
        .enumerate()
    {
        write32(HEADER + 4 * at as u32, word);
    }
    write8(STATUS_BYTE, 0xee);
}

/// Makes the chain of a request in the usual shape, at descriptor 0.
fn plain(driver: &Driver, kind: u32, sector: u64, length: u32) {
    header(kind, sector);
    let data = if kind == OUT { NEXT } else { NEXT | WRITE };
    descriptor(driver.queue, 0, HEADER.into(), 16, NEXT, 1);
    descriptor(driver.queue, 1, DATA.into(), length, data, 2);
    descriptor(driver.queue, 2, STATUS_BYTE.into(), 1, WRITE, 0);
}

/// What the device said to the last chain.
fn tell(driver: &Driver, name: &str) {
    let last = driver.used() + 4 + 8 * (u32::from(driver.sent.wrapping_sub(1)) % driver.size);
    let (id, length) = (read32(last), read32(last + 4));
    println!(
        "{name}: status {:02x} id {id} length {length} data {:08x} {:08x} interrupts {:x}",
        read8(STATUS_BYTE),
        read32(DATA),
        read32(DATA + 508),
        read32(driver.base + INTERRUPT_STATUS)
    );
    write32(driver.base + INTERRUPT_ACK, 3);
}

fn clear_data() {
    for word in (DATA..DATA + 0x1000).step_by(4) {
        write32(word, 0xdddd_dddd);
    }
}

/// Sends the chain at descriptor 0, and tells how it went.
fn go(driver: &mut Driver, name: &str) {
    driver.send(&[0]);
    if driver.wait() {
        tell(driver, name);
    } else {
        println!(
            "{name}: not done, status {:x} interrupts {:x} used {}",
            read32(driver.base + STATUS),
            read32(driver.base + INTERRUPT_STATUS),
            read16(driver.used() + 2)
        );
    }
}

fn requests(driver: &mut Driver) {
    driver.start(USUAL);
    for (name, kind, sector, length) in [
        ("read 0", IN, 0, 512),
        ("read the last", IN, 63, 512),
        ("read eight", IN, 8, 4096),
        ("read beyond", IN, 64, 512),
        ("read across the end", IN, 63, 1024),
        ("read far beyond", IN, u64::MAX, 512),
        ("read where bytes overflow", IN, 1 << 55, 512),
        ("read half a sector", IN, 1, 256),
        ("read a sector and a byte", IN, 1, 513),
        ("flush", FLUSH, 0, 512),
        ("unknown", 77, 0, 512),
        ("unknown, writes", 0x8000_0001, 0, 512),
    ] {
        clear_data();
        plain(driver, kind, sector, length);
        go(driver, name);
    }
    clear_data();
    plain(driver, GET_ID, 0, 20);
    go(driver, "identity");
    for (name, sector, length) in [
        ("write 5", 5, 512),
        ("write beyond", 64, 512),
        ("write across the end", 63, 1024),
        ("write half a sector", 6, 256),
    ] {
        for word in 0..256 {
            write32(DATA + 4 * word, 0x5555_0000 + word);
        }
        plain(driver, OUT, sector, length);
        go(driver, name);
    }
    for sector in [4, 5, 6, 63] {
        clear_data();
        plain(driver, IN, sector, 512);
        go(driver, "read back");
    }
}

/// Requests cut into other buffers than usual: their layout is free (2.7.4).
fn shapes(driver: &mut Driver) {
    driver.start(USUAL);
    let queue = driver.queue;
    clear_data();
    header(IN, 2);
    descriptor(queue, 0, HEADER.into(), 8, NEXT, 3);
    descriptor(queue, 3, (HEADER + 8).into(), 8, NEXT, 1);
    descriptor(queue, 1, DATA.into(), 100, NEXT | WRITE, 7);
    descriptor(queue, 7, (DATA + 100).into(), 412, NEXT | WRITE, 2);
    descriptor(queue, 2, STATUS_BYTE.into(), 1, WRITE, 0);
    go(driver, "header and data in two");
    clear_data();
    header(IN, 3);
    descriptor(queue, 0, HEADER.into(), 16, NEXT, 1);
    descriptor(queue, 1, DATA.into(), 513, WRITE, 0);
    go(driver, "status behind the data");
    println!("that status {:02x}", read8(DATA + 512));
    clear_data();
    header(FLUSH, 0);
    descriptor(queue, 0, HEADER.into(), 16, NEXT, 1);
    descriptor(queue, 1, STATUS_BYTE.into(), 1, WRITE, 0);
    go(driver, "flush without data");
    header(OUT, 9);
    for at in 0..128 {
        write32(HEADER + 16 + 4 * at, 0x9999_9999);
    }
    descriptor(queue, 0, HEADER.into(), 16 + 512, NEXT, 1);
    descriptor(queue, 1, STATUS_BYTE.into(), 1, WRITE, 0);
    go(driver, "header and data in one");
    plain(driver, IN, 9, 512);
    go(driver, "read back");
    clear_data();
    header(IN, 1);
    descriptor(queue, 0, HEADER.into(), 16, NEXT, 1);
    descriptor(queue, 1, STATUS_BYTE.into(), 1, WRITE, 0);
    go(driver, "read nothing");
    // Several at once, in the order of descriptors 3, 0.
    clear_data();
    plain(driver, IN, 10, 512);
    descriptor(queue, 3, HEADER.into(), 16, NEXT, 4);
    descriptor(queue, 4, (DATA + 512).into(), 512, NEXT | WRITE, 2);
    driver.send(&[3, 0]);
    println!("two at once: {}", driver.wait());
    println!(
        "the one {:08x}, the other {:08x}",
        read32(DATA),
        read32(DATA + 512)
    );
    // More than the ring has, one after the other.
    for _ in 0..40 {
        plain(driver, IN, 11, 512);
        driver.send(&[0]);
        if !driver.wait() {
            println!("the ring does not go around");
            break;
        }
    }
    tell(driver, "around the ring");
}

/// Descriptors in a table of their own (2.7.5.3).
fn indirect(driver: &mut Driver) {
    driver.start(USUAL);
    let queue = driver.queue;
    clear_data();
    header(IN, 12);
    descriptor(TABLE, 0, HEADER.into(), 16, NEXT, 1);
    descriptor(TABLE, 1, DATA.into(), 512, NEXT | WRITE, 2);
    descriptor(TABLE, 2, STATUS_BYTE.into(), 1, WRITE, 0);
    descriptor(queue, 0, TABLE.into(), 48, INDIRECT, 0);
    go(driver, "indirect");
    for (name, length, flags) in [
        ("indirect, a table of 0 bytes", 0, INDIRECT),
        ("indirect, not a multiple", 47, INDIRECT),
        ("indirect, too short a table", 32, INDIRECT),
        ("indirect and another", 48, INDIRECT | NEXT),
    ] {
        driver.start(USUAL);
        header(IN, 12);
        descriptor(queue, 0, TABLE.into(), length, flags, 1);
        descriptor(queue, 1, STATUS_BYTE.into(), 1, WRITE, 0);
        go(driver, name);
    }
    driver.start(USUAL);
    header(IN, 12);
    descriptor(TABLE, 1, TABLE.into(), 48, INDIRECT, 0);
    descriptor(queue, 0, TABLE.into(), 48, INDIRECT, 0);
    go(driver, "indirect within indirect");
}

/// Chains that can't be.
fn broken(driver: &mut Driver) {
    let queue = driver.queue;
    type Break = (&'static str, fn(u32));
    let breaks: [Break; 12] = [
        ("a loop", |q| {
            descriptor(q, 1, DATA.into(), 512, NEXT | WRITE, 0)
        }),
        ("a loop of one", |q| {
            descriptor(q, 1, DATA.into(), 512, NEXT | WRITE, 1)
        }),
        ("next beyond the table", |q| {
            descriptor(q, 1, DATA.into(), 512, NEXT | WRITE, 16)
        }),
        ("next far beyond", |q| {
            descriptor(q, 1, DATA.into(), 512, NEXT | WRITE, 0xffff)
        }),
        ("no status", |q| descriptor(q, 0, HEADER.into(), 16, 0, 0)),
        ("no header", |q| {
            descriptor(q, 0, STATUS_BYTE.into(), 1, WRITE, 0)
        }),
        ("half a header", |q| {
            descriptor(q, 0, HEADER.into(), 8, NEXT, 1)
        }),
        ("a status that can't be written", |q| {
            descriptor(q, 1, DATA.into(), 512, NEXT, 2);
            descriptor(q, 2, STATUS_BYTE.into(), 1, 0, 0);
        }),
        ("an empty buffer", |q| {
            descriptor(q, 1, DATA.into(), 0, NEXT | WRITE, 2)
        }),
        ("read behind written", |q| {
            descriptor(q, 0, DATA.into(), 16, NEXT | WRITE, 1);
            descriptor(q, 1, HEADER.into(), 16, NEXT, 2);
        }),
        ("a buffer where nothing is", |q| {
            descriptor(q, 1, 0x9000_0000, 512, NEXT | WRITE, 2)
        }),
        ("a buffer above 4 GiB", |q| {
            descriptor(q, 1, 0x12_3456_7000, 512, NEXT | WRITE, 2)
        }),
    ];
    for (name, change) in breaks {
        driver.start(USUAL);
        clear_data();
        plain(driver, IN, 1, 512);
        change(queue);
        go(driver, name);
    }
    for (name, head) in [
        ("a head beyond the table", 16),
        ("a head far beyond", 0xffff),
    ] {
        driver.start(USUAL);
        plain(driver, IN, 1, 512);
        driver.send(&[head]);
        println!(
            "{name}: {} status {:x}",
            driver.wait(),
            read32(driver.base + STATUS)
        );
    }
    // More chains than the ring has places.
    driver.start(USUAL);
    plain(driver, IN, 1, 512);
    driver.sent = 99;
    driver.send(&[0]);
    println!(
        "an index too far: {} status {:x}",
        driver.wait(),
        read32(driver.base + STATUS)
    );
    // Until a reset, nothing works; then, all does.
    plain(driver, IN, 1, 512);
    go(driver, "after that");
    driver.start(USUAL);
    clear_data();
    plain(driver, IN, 1, 512);
    go(driver, "after a reset");
}

/// Settings of the queue.
fn queues(driver: &mut Driver) {
    let base = driver.base;
    driver.start(USUAL);
    write32(base + QUEUE_SEL, 1);
    println!(
        "queue 1: max {} ready {}",
        read32(base + QUEUE_NUM_MAX),
        read32(base + QUEUE_READY)
    );
    write32(base + QUEUE_READY, 1);
    println!("queue 1 made ready: {}", read32(base + QUEUE_READY));
    write32(base + QUEUE_SEL, 0);
    println!("queue 0 is still ready: {}", read32(base + QUEUE_READY));
    write32(base + QUEUE_READY, 0);
    println!("queue 0 stopped: {}", read32(base + QUEUE_READY));
    plain(driver, IN, 1, 512);
    driver.send(&[0]);
    println!("a stopped queue: {}", driver.wait());
    // The queue alone is reset (2.6.1, 4.2.2.1), if the device can.
    let status = driver.negotiate(USUAL | F_RING_RESET);
    println!("agreed on resets of queues: status {status:x}");
    driver.set_up();
    write32(base + STATUS, 0xf);
    plain(driver, IN, 1, 512);
    go(driver, "before the reset of the queue");
    write32(base + QUEUE_RESET, 1);
    println!(
        "queue reset {} ready {} status {:x}",
        read32(base + QUEUE_RESET),
        read32(base + QUEUE_READY),
        read32(base + STATUS)
    );
    driver.set_up();
    plain(driver, IN, 2, 512);
    go(driver, "after the reset of the queue");
    // A reset in the middle, and the smallest queue.
    driver.size = 1;
    driver.start(USUAL);
    clear_data();
    header(FLUSH, 0);
    descriptor(TABLE, 0, HEADER.into(), 16, NEXT, 1);
    descriptor(TABLE, 1, STATUS_BYTE.into(), 1, WRITE, 0);
    descriptor(driver.queue, 0, TABLE.into(), 32, INDIRECT, 0);
    for _ in 0..3 {
        go(driver, "a queue of one");
    }
    driver.size = 16;
    driver.start(USUAL);
    plain(driver, IN, 20, 4096);
    driver.send(&[0]);
    write32(base + STATUS, 0);
    println!(
        "reset with a request under way: status {:x} ready {} interrupts {:x}",
        read32(base + STATUS),
        read32(base + QUEUE_READY),
        read32(base + INTERRUPT_STATUS)
    );
    driver.start(USUAL);
    clear_data();
    plain(driver, IN, 21, 512);
    go(driver, "and then");
}

/// The interrupt line, and how a driver does without.
fn interrupts(driver: &mut Driver) {
    let id = 48 + (driver.base - board::VIRTIO) / 0x200;
    gic::enable();
    driver.start(USUAL);
    set_bit(gicd::ICPENDR, id);
    println!("pending at first: {}", bit(gicd::ISPENDR, id));
    plain(driver, IN, 22, 512);
    driver.send(&[0]);
    driver.wait();
    println!(
        "pending: {} interrupts {:x}",
        bit(gicd::ISPENDR, id),
        read32(driver.base + INTERRUPT_STATUS)
    );
    write32(driver.base + INTERRUPT_ACK, 2);
    println!(
        "another bit acknowledged: {:x}",
        read32(driver.base + INTERRUPT_STATUS)
    );
    write32(driver.base + INTERRUPT_ACK, 1);
    println!("acknowledged: {:x}", read32(driver.base + INTERRUPT_STATUS));
    // VIRTQ_AVAIL_F_NO_INTERRUPT.
    write16(driver.available(), 1);
    plain(driver, IN, 22, 512);
    driver.send(&[0]);
    println!(
        "unwanted: {} interrupts {:x}",
        driver.wait(),
        read32(driver.base + INTERRUPT_STATUS)
    );
}
