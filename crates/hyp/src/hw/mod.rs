//! What touches the hardware, and with it all unsafe code.

pub mod banked;
pub mod console;
pub mod context;
pub mod cp15;
pub mod disk;
pub mod gic;
pub mod guest_ram;
pub mod memory;
pub mod psci;
pub mod start;
pub mod switch;
pub mod vectors;
pub mod vfp;

/// The bytes at a physical address of RAM, as they were given by the boot loader.
///
/// # Safety
///
/// They are mapped, and nothing writes them while the result is in use.
pub unsafe fn loaded(address: usize, size: usize) -> &'static [u8] {
    let start: *const u8 = core::ptr::with_exposed_provenance(address);
    if start.is_null() {
        return &[];
    }
    // SAFETY: by this function's contract.
    unsafe { core::slice::from_raw_parts(start, size) }
}

unsafe extern "C" {
    static secondary_start: u8;
}

/// The virtual address of the code where other cores start.
pub fn secondary_entry() -> usize {
    (&raw const secondary_start).addr()
}
