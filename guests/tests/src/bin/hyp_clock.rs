//! Uses a clock of the board that is this VM's own, and its interrupt. The first run leaves the
//! interrupt active when it resets the machine: the second must get it all the same. The clock itself,
//! which no reset of the VM changes, tells which run it is.

#![no_std]
#![no_main]

use core::arch::asm;
use guest_support::{gic, guest, mmio, println, psci};

guest!(main);

/// The first device that a VM has of the board, and its interrupt ID.
const CLOCK: u32 = 0x1000_0000;
const INTERRUPT: u32 = 32 + 160;

/// Registers of the PL031.
const DR: u32 = CLOCK;
const MR: u32 = CLOCK + 0x04;
const LR: u32 = CLOCK + 0x08;
const IMSC: u32 = CLOCK + 0x10;
const ICR: u32 = CLOCK + 0x1c;

/// A time, in seconds, from which on it is the second run.
const SECOND: u32 = 0xf000_0000;

fn main() {
    let second = mmio::read32(DR) >= SECOND;
    println!("clock: second run {second}");
    gic::enable();
    gic::set_priority(INTERRUPT, 0x80);
    gic::set_targets(INTERRUPT, 1);
    gic::set_bit(gic::gicd::ISENABLER, INTERRUPT);
    // What the first run left.
    mmio::write32(ICR, 1);
    mmio::write32(IMSC, 1);
    for alarm in 1..3 {
        mmio::write32(MR, mmio::read32(DR).wrapping_add(1));
        let id = loop {
            // SAFETY: an interrupt that is pending ends the wait, though it is masked; anything may.
            unsafe { asm!("wfi") };
            let id = gic::c(gic::gicc::IAR);
            if id < 1020 {
                break id;
            }
        };
        println!("alarm {alarm}: interrupt {id}");
        if !second {
            mmio::write32(LR, SECOND);
            psci::call(psci::function::SYSTEM_RESET, 0, 0, 0);
        }
        mmio::write32(ICR, 1);
        gic::set_c(gic::gicc::EOIR, id);
    }
}
