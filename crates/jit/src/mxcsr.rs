//! The host's floating-point status register while generated code runs.
//!
//! Whatever the host might do otherwise than the architecture raises an exception of the host's, for
//! which [`crate::fault`] sends the instruction to the interpreter: an operand or a result below the
//! normal numbers, an overflow, an invalid operation, a division by zero. So does the first inexact
//! result, until FPSCR.IXC is set; then it is of no interest any more. Thus the register never has
//! anything that FPSCR has not.

use std::arch::asm;
use std::cell::Cell;

/// All exceptions masked, none raised, rounding to nearest: what Rust expects.
const USUAL: u32 = 0x1f80;
/// IE, DE, ZE, OE, UE, PE.
const RAISED: u32 = 0x3f;
/// The mask of PE.
const INEXACT_MASKED: u32 = 1 << 12;
/// FPSCR.IXC.
const IXC: u32 = 1 << 4;

thread_local! {
    /// What the thread's register was last set to, but for what was raised since: to read it takes
    /// longer than all else that is done between two blocks.
    static SET: Cell<u32> = const { Cell::new(USUAL) };
}

fn write(value: u32) {
    if SET.replace(value) == value {
        return;
    }
    // SAFETY: the value is one that the processor accepts. Between `arm` and `disarm` what the
    // compiler makes of Rust may raise exceptions: the handler masks them, and it goes on as ever.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
}

/// Has exceptions raised as generated code needs it, with FPSCR as it is now.
pub fn arm(fpscr: u32) {
    let wanted = if fpscr & IXC != 0 { INEXACT_MASKED } else { 0 };
    write(wanted);
}

/// The opposite.
pub fn disarm() {
    write(USUAL);
}

/// The register of a thread that an exception stopped in generated code, for what comes instead.
pub fn without_raised(value: u32) -> u32 {
    value & !RAISED
}

/// The register of one that was stopped elsewhere, and is to go on.
pub fn masked(value: u32) -> u32 {
    let value = value & !RAISED | USUAL;
    SET.set(value);
    value
}
