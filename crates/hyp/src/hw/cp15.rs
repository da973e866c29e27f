//! System registers, each in one place, by the manual's names (B4.1, in alphabetical order; the
//! generic timer's B8.2). Reading one is safe. Writing is safe where no value can break memory safety
//! of the hypervisor, that is everywhere but for the registers of Hyp mode's own translation.

use core::arch::asm;

macro_rules! register {
    ($(#[$doc:meta])* $name:ident, $place:literal) => {
        $(#[$doc])*
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;

            /// Reads the register.
            #[inline(always)]
            #[allow(dead_code)]
            pub fn read() -> u32 {
                let value: u32;
                // SAFETY: reading has no side effect.
                unsafe { asm!(concat!("mrc ", $place), out(reg) value, options(nostack, preserves_flags)) };
                value
            }

            /// Writes the register.
            #[inline(always)]
            #[allow(dead_code)]
            pub fn write(value: u32) {
                // SAFETY: this is no register of Hyp mode's own translation; what guests and
                // devices can do by it is confined by stage 2 and checked where it comes back.
                unsafe { asm!(concat!("mcr ", $place), in(reg) value, options(nostack, preserves_flags)) };
            }
        }
    };
}

macro_rules! register64 {
    ($(#[$doc:meta])* $name:ident, $place:literal) => {
        $(#[$doc])*
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;

            /// Reads the register.
            #[inline(always)]
            #[allow(dead_code)]
            pub fn read() -> u64 {
                let (low, high): (u32, u32);
                // SAFETY: reading has no side effect.
                unsafe {
                    asm!(concat!("mrrc ", $place), out(reg) low, out(reg) high,
                        options(nostack, preserves_flags));
                };
                u64::from(high) << 32 | u64::from(low)
            }

            /// Writes the register.
            #[inline(always)]
            #[allow(dead_code)]
            pub fn write(value: u64) {
                // SAFETY: as in `register!`.
                unsafe {
                    asm!(concat!("mcrr ", $place), in(reg) value as u32,
                        in(reg) (value >> 32) as u32, options(nostack, preserves_flags));
                };
            }
        }
    };
}

// Identification.
register!(#[doc = "MIDR."] midr, "p15, 0, {}, c0, c0, 0");
register!(#[doc = "MPIDR."] mpidr, "p15, 0, {}, c0, c0, 5");
// Hyp mode.
register!(#[doc = "HSR: why Hyp mode was entered."] hsr, "p15, 4, {}, c5, c2, 0");
register!(#[doc = "HDFAR: virtual address of a data abort."] hdfar, "p15, 4, {}, c6, c0, 0");
register!(#[doc = "HIFAR: virtual address of a prefetch abort."] hifar, "p15, 4, {}, c6, c0, 2");
register!(#[doc = "HPFAR: intermediate physical page of a stage-2 fault."] hpfar, "p15, 4, {}, c6, c0, 4");
register!(#[doc = "HTPIDR: the hypervisor's pointer to what belongs to this core."] htpidr, "p15, 4, {}, c13, c0, 2");

/// Reads HSCTLR.
pub fn hsctlr() -> u32 {
    let value: u32;
    // SAFETY: reading has no side effect.
    unsafe { asm!("mrc p15, 4, {}, c1, c0, 0", out(reg) value, options(nostack, preserves_flags)) };
    value
}

/// Switches Hyp mode's translation to other tables, with WXN: nothing writable can be executed.
///
/// # Safety
///
/// The tables map the running code, its stack, all data in use and the vectors as they were.
pub unsafe fn set_hyp_tables(root: u64) {
    let control = hsctlr() | skep_hyp::spec::hsctlr::WXN;
    // SAFETY: by this function's contract what runs goes on running.
    unsafe {
        asm!(
            "dsb",
            "mcrr p15, 4, {low}, {high}, c2",
            "isb",
            "mcr p15, 4, {low}, c8, c7, 0",
            "dsb",
            "isb",
            "mcr p15, 4, {control}, c1, c0, 0",
            "isb",
            low = in(reg) root as u32,
            high = in(reg) (root >> 32) as u32,
            control = in(reg) control,
        );
    }
}

/// Switches the PL1&0 regime to other tables of the long-descriptor format: for the report of a
/// wrong mode only.
///
/// # Safety
///
/// As [`set_hyp_tables`].
pub unsafe fn set_pl1_tables(root: u64) {
    // SAFETY: by this function's contract what runs goes on running.
    unsafe {
        asm!(
            "dsb",
            "mcrr p15, 0, {low}, {high}, c2",
            "isb",
            "mcr p15, 0, {low}, c8, c7, 0",
            "dsb",
            "isb",
            low = in(reg) root as u32,
            high = in(reg) (root >> 32) as u32,
        );
    }
}

/// Sets HVBAR.
///
/// # Safety
///
/// `vectors` is the address of eight A32 instructions that handle Hyp mode's exceptions.
pub unsafe fn set_hvbar(vectors: u32) {
    // SAFETY: by this function's contract.
    unsafe { asm!("mcr p15, 4, {}, c12, c0, 0", "isb", in(reg) vectors, options(nostack)) };
}

/// DSB: what was written is seen by table walks and devices.
#[inline(always)]
pub fn dsb() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb", options(nostack, preserves_flags)) };
}

/// ISB: changes of system registers are seen by the instructions that follow.
#[inline(always)]
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// WFI: until an interrupt is pending, masked or not.
pub fn wfi() {
    // SAFETY: a hint.
    unsafe { asm!("dsb", "wfi", options(nostack, preserves_flags)) };
}
