//! What touches the hardware, and with it all unsafe code.

pub mod console;
pub mod cp15;
pub mod memory;
pub mod psci;
pub mod start;
pub mod vectors;

/// The device tree at this address.
///
/// # Safety
///
/// There are two megabytes of mapped memory from there on, which nothing writes while the result is
/// in use.
pub unsafe fn device_tree(address: usize) -> &'static [u8] {
    let start: *const u8 = core::ptr::with_exposed_provenance(address);
    if start.is_null() {
        return &[];
    }
    // SAFETY: by this function's contract.
    unsafe { core::slice::from_raw_parts(start, 2 << 20) }
}

unsafe extern "C" {
    static secondary_start: u8;
}

/// The virtual address of the code where other cores start.
pub fn secondary_entry() -> usize {
    (&raw const secondary_start).addr()
}
