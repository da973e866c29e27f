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
    static secondary_start_from_pen: u8;
}

/// The virtual address of the code where other cores start.
pub fn secondary_entry() -> usize {
    (&raw const secondary_start).addr()
}

/// The same for cores that leave a pen, see [`start::prepare_pen`].
pub fn pen_entry() -> usize {
    (&raw const secondary_start_from_pen).addr()
}

/// Tells cores that wait in a pen where to go, by the flags of a Versatile Express's system registers,
/// which are mapped at this virtual address (Arm DUI 0447, SYS_FLAGS): boot code waits for an
/// interrupt until they are not 0.
///
/// # Safety
///
/// The registers are there, as device memory, and at the physical address `entry` is code for these cores.
pub unsafe fn open_pen(registers: core::ptr::NonNull<u8>, entry: u32) {
    const FLAGS_SET: usize = 0x30;
    const FLAGS_CLEAR: usize = 0x34;
    for (offset, value) in [(FLAGS_CLEAR, u32::MAX), (FLAGS_SET, entry)] {
        // SAFETY: by this function's contract; the registers are words.
        unsafe {
            registers
                .as_ptr()
                .add(offset)
                .cast::<u32>()
                .write_volatile(value)
        };
    }
    cp15::dsb();
}
