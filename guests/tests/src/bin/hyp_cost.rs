//! What exits to a hypervisor cost, in ticks of the counter: under QEMU's instruction counting, with
//! one instruction a nanosecond, a tick of 62.5 MHz is 16 instructions. With two CPUs: interrupts
//! between them, too.

#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use guest_support::gic::{self, c, d, gicc, gicd, set_bit, set_c, set_d};
use guest_support::vectors::{self, Vector};
use guest_support::{board, guest, mcr, mcrr, mmio, mrrc, println, smp};

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
    timer();
    interrupt("interrupt to itself", 1 << 16);
    if d(gicd::TYPER) >> 5 & 7 > 0 {
        smp::start(receive);
        while !READY.load(SeqCst) {
            core::hint::spin_loop();
        }
        interrupt("interrupt to another CPU", 2 << 16);
        interrupt("interrupt to another CPU that waits", 2 << 16 | 1);
    }
}

static READY: AtomicBool = AtomicBool::new(false);
/// When the latest interrupt reached its handler, by the virtual counter; 0: not yet.
static TAKEN: AtomicU64 = AtomicU64::new(0);

fn count() -> u64 {
    mrrc!("p15, 1, {}, {}, c14")
}

extern "C" fn take(_: Vector) {
    let now = count();
    let id = c(gicc::IAR);
    if id == board::VIRTUAL_TIMER {
        mcr!("p15, 0, {}, c14, c3, 1", 0);
    }
    set_c(gicc::EOIR, id);
    TAKEN.store(now, SeqCst);
}

/// Takes interrupts: SGI 0 while it computes, SGI 1 while it waits.
fn receive() {
    vectors::serve(take);
    gic::enable();
    // SAFETY: interrupts are served.
    unsafe { core::arch::asm!("cpsie i") };
    READY.store(true, SeqCst);
    loop {
        if SENT.load(SeqCst) >= TURNS {
            // SAFETY: waits.
            unsafe { asm!("wfi") };
        } else {
            core::hint::spin_loop();
        }
    }
}

static SENT: AtomicU32 = AtomicU32::new(0);

/// The mean time from GICD_SGIR's write to the handler.
fn interrupt(name: &str, target: u32) {
    vectors::serve(take);
    gic::enable();
    let mut sum = 0;
    for _ in 0..TURNS {
        TAKEN.store(0, SeqCst);
        let begin = count();
        set_d(gicd::SGIR, target);
        // SAFETY: interrupts are served; waits for another CPU's turn.
        unsafe { asm!("cpsie i", "yield", "cpsid i") };
        while TAKEN.load(SeqCst) == 0 {
            core::hint::spin_loop();
        }
        sum += TAKEN.load(SeqCst).saturating_sub(begin);
        SENT.fetch_add(u32::from(target >> 16 > 1), SeqCst);
    }
    println!("{name}: {} instructions", 16 * sum / u64::from(TURNS));
}

/// The mean time from the virtual timer's expiry to the handler.
fn timer() {
    vectors::serve(take);
    gic::enable();
    set_bit(gicd::ISENABLER, board::VIRTUAL_TIMER);
    let mut sum = 0;
    for turn in 0..u64::from(TURNS) {
        TAKEN.store(0, SeqCst);
        let deadline = count() + 200 + turn % 16;
        mcrr!("p15, 3, {}, {}, c14", deadline);
        mcr!("p15, 0, {}, c14, c3, 1", 1);
        // SAFETY: interrupts are served.
        unsafe { asm!("cpsie i") };
        while TAKEN.load(SeqCst) == 0 {}
        // SAFETY: as before.
        unsafe { asm!("cpsid i") };
        sum += TAKEN.load(SeqCst) - deadline;
    }
    println!(
        "timer interrupt: {} instructions",
        16 * sum / u64::from(TURNS)
    );
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
