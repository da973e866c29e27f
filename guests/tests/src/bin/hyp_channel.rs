//! Passes messages to another VM, by a channel or by two of which each is read-only for one side.
//!
//! An end has the 2 KiB of its number in the memory that it writes: a sequence number, which it writes
//! last, and words that belong to it. End 0 sends 1, 2, 3 and so on, each when the other has answered
//! with the same number; end 1 answers, until `LAST` comes. Whoever sees another number than the next,
//! or other words, says so.

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_support::channel::{Channel, END, ENDS, RING, RUNG, SIZE};
use guest_support::probe::Probe;
use guest_support::vectors::{self, Vector};
use guest_support::{cp15, gic, guest, mmio, println, snippet};

guest!(main);

/// How many messages end 0 sends.
const MESSAGES: u32 = 1000;
/// Ends the conversation.
const LAST: u32 = u32::MAX;
const AREA: u32 = 0x800;
const WORDS: u32 = 16;

static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
static MISTAKES: AtomicU32 = AtomicU32::new(0);

fn main() {
    let Some(first) = Channel::find(0) else {
        println!("there is no channel");
        return;
    };
    let second = Channel::find(1).unwrap_or(first);
    for channel in [first, second] {
        println!(
            "end {} of {}, {} bytes, read-only {}",
            channel.get(END),
            channel.get(ENDS),
            channel.get(SIZE),
            channel.is_read_only()
        );
        if channel.is_read_only() {
            let store = snippet!(arm, "str r0, [r0]");
            println!("a store: {}", Probe::new(store).r(0, channel.memory).run());
        }
    }
    let (to, from) = if first.is_read_only() {
        (second, first)
    } else {
        (first, second)
    };
    listen(from);
    let sent = if to.get(END) == 0 {
        talk(to, from)
    } else {
        answer(to, from)
    };
    println!(
        "{sent} messages, {} mistakes, doorbell rang: {}",
        MISTAKES.load(Relaxed),
        INTERRUPTS.load(Relaxed) > 0
    );
}

/// Lets the doorbell of a channel interrupt this CPU.
fn listen(channel: Channel) {
    let id = channel.interrupt;
    gic::enable();
    let configuration = gic::gicd::ICFGR + id / 16 * 4;
    let edge = 2 << (id % 16 * 2);
    gic::set_d(configuration, gic::d(configuration) | edge);
    gic::set_priority(id, 0x80);
    gic::set_targets(id, 1);
    gic::set_bit(gic::gicd::ISENABLER, id);
    vectors::serve(interrupt);
}

extern "C" fn interrupt(_: Vector) {
    let acknowledged = gic::c(gic::gicc::IAR);
    INTERRUPTS.fetch_add(1, Relaxed);
    gic::set_c(gic::gicc::EOIR, acknowledged);
}

fn talk(to: Channel, from: Channel) -> u32 {
    for n in 1..=MESSAGES {
        send(to, n);
        receive(from, n);
    }
    send(to, LAST);
    MESSAGES
}

fn answer(to: Channel, from: Channel) -> u32 {
    let mut n = 0;
    loop {
        let got = receive(from, n + 1);
        if got == LAST {
            return n;
        }
        n += 1;
        send(to, got);
    }
}

/// What belongs to a sequence number.
fn word(n: u32, index: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b1) ^ index
}

fn send(channel: Channel, n: u32) {
    let end = channel.get(END);
    let area = channel.memory + end * AREA;
    for index in 1..WORDS {
        mmio::write32(area + 4 * index, word(n, index));
    }
    cp15::dsb();
    mmio::write32(area, n);
    cp15::dsb();
    channel.set(RING, !(1 << end));
}

/// Waits for a message with another number than the one before `expected`; its number.
fn receive(channel: Channel, expected: u32) -> u32 {
    let other = 1 - channel.get(END);
    let area = channel.memory + other * AREA;
    loop {
        // What rings from here on, interrupts again.
        channel.set(RUNG, 1 << other);
        let n = mmio::read32(area);
        if n != expected.wrapping_sub(1) {
            let right = (1..WORDS).all(|index| mmio::read32(area + 4 * index) == word(n, index));
            if !right || n != expected && n != LAST {
                println!("message {n} instead of {expected}, words right: {right}");
                MISTAKES.fetch_add(1, Relaxed);
            }
            return n;
        }
        // SAFETY: an interrupt that is pending ends the wait, and is taken behind it.
        unsafe { asm!("wfi", "cpsie i", "isb", "cpsid i") };
    }
}
