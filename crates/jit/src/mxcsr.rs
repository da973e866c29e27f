//! The host's floating-point status register while generated code runs.
//!
//! Whatever the host might do otherwise than the architecture raises an exception of the host's, for
//! which [`crate::fault`] sends the instruction to the interpreter: an operand or a result below the
//! normal numbers, an overflow, an invalid operation, a division by zero. So does the first inexact
//! result, until FPSCR.IXC is set; then it is of no interest any more. Thus the register never has
//! anything that FPSCR has not.

use std::arch::asm;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// All exceptions masked, none raised, rounding to nearest: what Rust expects.
const USUAL: u32 = 0x1f80;
/// IE, DE, ZE, OE, UE, PE.
const RAISED: u32 = 0x3f;
/// The mask of PE.
const INEXACT_MASKED: u32 = 1 << 12;
/// FPSCR.IXC.
const IXC: u32 = 1 << 4;

/// How often the handler has set the register of some thread to what the engine does not know.
static CHANGED: AtomicU32 = AtomicU32::new(0);

/// The register of the thread that executes an engine, as the engine has set it.
pub struct Mxcsr {
    /// What it was set to, but for what was raised since: to read it takes longer than all else that is
    /// done between two blocks.
    set: u32,
    /// [`CHANGED`] then.
    changed: u32,
}

impl Mxcsr {
    /// As Rust has it.
    pub fn new() -> Self {
        Mxcsr {
            set: USUAL,
            changed: CHANGED.load(Relaxed),
        }
    }

    /// Has exceptions raised as generated code needs it, with FPSCR as it is now.
    pub fn arm(&mut self, fpscr: u32) {
        self.write(if fpscr & IXC != 0 { INEXACT_MASKED } else { 0 });
    }

    /// The opposite.
    pub fn disarm(&mut self) {
        self.write(USUAL);
    }

    #[inline(always)]
    fn write(&mut self, value: u32) {
        let changed = CHANGED.load(Relaxed);
        if self.set == value && self.changed == changed {
            return;
        }
        (self.set, self.changed) = (value, changed);
        // SAFETY: the value is one that the processor accepts. Between `arm` and `disarm` what the
        // compiler makes of Rust may raise exceptions: the handler masks them, and it goes on as ever.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
    }
}

/// The register of a thread that an exception stopped in generated code, for what comes instead.
pub fn without_raised(value: u32) -> u32 {
    value & !RAISED
}

/// The register of one that was stopped elsewhere, and is to go on.
pub fn masked(value: u32) -> u32 {
    CHANGED.fetch_add(1, Relaxed);
    value & !RAISED | USUAL
}
