//! Measures single operations of the processor, by the guest's own counter. Prints a row for each:
//! nanoseconds for an operation, and how long the row took.

#![no_std]
#![no_main]

mod exceptions;
mod loops;

use guest_support::mmu::{self, WINDOW, short};
use guest_support::{board, guest, mcr, mrc, mrrc, println};
use loops::Loop;

guest!(main);

/// A sample takes at least this long, nanoseconds: less than the time for which a host lets a process
/// run at a stretch.
const LONG_ENOUGH: u64 = 1_500_000;
/// Samples of a row, of which the least counts: whatever else the host does makes them longer.
const SAMPLES: u32 = 40;
/// The page that the loops use, by its physical and its virtual address.
const PAGE: u32 = board::FREE;
const VIRTUAL: u32 = WINDOW;

fn main() {
    // Coprocessors 10 and 11 for everyone, and VFP and Advanced SIMD on.
    mcr!("p15, 0, {}, c1, c0, 2", 0xf << 20);
    // SAFETY: turns on what nothing but the loops uses.
    unsafe {
        core::arch::asm!(".fpu neon-vfpv4", "vmsr fpexc, {}", in(reg) 1 << 30);
    }
    short::on(0);
    short::set_first(VIRTUAL, short::second(0) | short::TABLE);
    short::set_second(0, VIRTUAL, PAGE | short::PAGE);
    exceptions::prepare();
    for row in loops::LOOPS.iter().chain(exceptions::LOOPS) {
        measure(row);
    }
    mmu::off();
    println!("end");
}

/// The virtual counter, nanoseconds.
fn now() -> u64 {
    let frequency = u64::from(mrc!("p15, 0, {}, c14, c0, 0"));
    mrrc!("p15, 1, {}, {}, c14") * 1_000_000 / (frequency / 1000)
}

fn measure(row: &Loop) {
    println!("start {}", row.name);
    let begin = now();
    let mut times = 500;
    let (mut samples, mut least) = (0, u64::MAX);
    while samples < SAMPLES {
        let start = now();
        // SAFETY: loops change registers that a function may change, and the page.
        unsafe { (row.run)(times, VIRTUAL) };
        let took = now() - start;
        if samples == 0 && took < LONG_ENOUGH && times < 1 << 28 {
            times *= if took < LONG_ENOUGH / 16 { 8 } else { 2 };
        } else {
            samples += 1;
            least = least.min(took);
        }
    }
    let picoseconds = least * 1000 / (u64::from(times) * u64::from(row.operations));
    println!(
        "row bare {} {}.{:03} {}",
        row.name,
        picoseconds / 1000,
        picoseconds % 1000,
        now() - begin
    );
}
