//! What exits to a hypervisor cost, in ticks of the counter: under QEMU's instruction counting, with
//! one instruction a nanosecond, a tick of 62.5 MHz is 16 instructions.

#![no_std]
#![no_main]

use core::arch::asm;
use guest_support::{board, guest, mcr, mmio, mrrc, println};

guest!(main);

const TURNS: u32 = 2000;

fn main() {
    let empty = turns(|| {
        // SAFETY: changes nothing.
        unsafe { asm!("nop") };
    });
    report("hypercall", empty, || {
        // SAFETY: a call that does nothing and returns 0 in r0.
        unsafe {
            asm!(".arch_extension virt", "hvc #0", inout("r0") 0x8600_0000u32 => _);
        }
    });
    report("uart read", empty, || {
        let _ = mmio::read32(board::UART + 0x18);
    });
    report("distributor read", empty, || {
        let _ = mmio::read32(board::GICD + 8);
    });
    report("ldm of two distributor registers", empty, || {
        // SAFETY: reads registers without side effects.
        unsafe { asm!("ldm {}, {{r2, r3}}", in(reg) board::GICD, out("r2") _, out("r3") _) };
    });
    report("virtual counter", empty, || {
        let _ = mrrc!("p15, 1, {}, {}, c14");
    });
    report("write to SCTLR", empty, || {
        mcr!("p15, 0, {}, c1, c0, 0", guest_support::cp15::sctlr());
    });
}

/// Ticks of as many turns.
fn turns(mut f: impl FnMut()) -> u64 {
    let start = mrrc!("p15, 1, {}, {}, c14");
    for _ in 0..TURNS {
        f();
    }
    mrrc!("p15, 1, {}, {}, c14") - start
}

fn report(name: &str, empty: u64, f: impl FnMut()) {
    let instructions = 16 * turns(f).saturating_sub(empty) / u64::from(TURNS);
    println!("{name}: {instructions} instructions");
}
