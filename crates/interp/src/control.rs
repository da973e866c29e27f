//! How the rest of the machine reaches a running vCPU.

use core::sync::atomic::{AtomicU32, Ordering};

/// The vCPU's IRQ input is asserted.
pub const IRQ: u32 = 1;
/// The vCPU's FIQ input is asserted.
pub const FIQ: u32 = 2;
/// Leave [`crate::Vcpu::run`] with [`crate::Exit::Kicked`].
pub const KICK: u32 = 4;
/// The direct mappings of physical memory changed: forget all translations.
pub const FLUSH: u32 = 8;
/// Another vCPU asks for something ([`crate::cluster::Request`]).
pub const REQUEST: u32 = 16;
/// SEV was executed by some vCPU.
pub const EVENT: u32 = 32;
/// Memory that holds decoded code was written.
pub const CODE: u32 = 64;
/// Return from [`crate::Vcpu::run`] with [`crate::Exit::Budget`].
pub const TICK: u32 = 128;

/// One vCPU's inputs, shared between its own thread and all others. The interpreter looks at it
/// between blocks.
#[derive(Default)]
#[repr(transparent)]
pub struct Control {
    flags: AtomicU32,
}

impl Control {
    /// Where the word with the flags is, for an engine that looks at it by address.
    pub fn flags_address(&self) -> *const AtomicU32 {
        &raw const self.flags
    }

    /// Drives the IRQ input (a level).
    pub fn set_irq(&self, level: bool) {
        self.set(IRQ, level);
    }

    /// Drives the FIQ input (a level).
    pub fn set_fiq(&self, level: bool) {
        self.set(FIQ, level);
    }

    /// Makes [`crate::Vcpu::run`] return soon, or at once if it is not running.
    pub fn kick(&self) {
        self.set(KICK, true);
    }

    /// Tells the vCPU that [`crate::Machine::direct`] now answers differently.
    pub fn flush_mappings(&self) {
        self.set(FLUSH, true);
    }

    /// The flags as they stand.
    #[inline(always)]
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Sets or clears flags.
    pub fn set(&self, flags: u32, on: bool) {
        if on {
            self.flags.fetch_or(flags, Ordering::SeqCst);
        } else {
            self.flags.fetch_and(!flags, Ordering::SeqCst);
        }
    }

    /// Takes flags: clears them and returns those that were set.
    pub fn take(&self, flags: u32) -> u32 {
        self.flags.fetch_and(!flags, Ordering::SeqCst) & flags
    }
}
