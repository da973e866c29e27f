//! The host's floating-point status register.

use std::arch::asm;

/// All exceptions masked, none raised, rounding to nearest.
const USUAL: u32 = 0x1f80;
/// IE, DE, ZE, OE, UE, PE.
const RAISED: u32 = 0x3f;

fn read() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores the register to the variable.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
    value
}

fn write(value: u32) {
    // SAFETY: the value is one that the processor accepts, and the one that Rust expects but for
    // exceptions raised.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
}

/// Forgets the exceptions raised so far.
pub fn reset() {
    if read() != USUAL {
        write(USUAL);
    }
}

/// Returns the exceptions raised since the last call, as FPSCR's cumulative flags, and forgets them.
pub fn take() -> u32 {
    let value = read();
    if value & RAISED == 0 {
        return 0;
    }
    write(USUAL);
    // IOC, DZC, OFC, UFC, IXC. An operand below the smallest normal number (DE) raises nothing.
    let bit = |from: u32, to: u32| (value >> from & 1) << to;
    bit(0, 0) | bit(2, 1) | bit(3, 2) | bit(4, 3) | bit(5, 4)
}
