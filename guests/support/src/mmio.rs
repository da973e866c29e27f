//! Memory and device registers at an address.

use core::ptr;

/// Reads a word.
pub fn read32(address: u32) -> u32 {
    // SAFETY: a guest owns its machine; a wrong address is an abort that ends it with a report.
    unsafe { ptr::read_volatile(address as *const u32) }
}

/// Writes a word.
pub fn write32(address: u32, value: u32) {
    // SAFETY: as in `read32`.
    unsafe { ptr::write_volatile(address as *mut u32, value) }
}

/// Reads a halfword.
pub fn read16(address: u32) -> u16 {
    // SAFETY: as in `read32`.
    unsafe { ptr::read_volatile(address as *const u16) }
}

/// Writes a halfword.
pub fn write16(address: u32, value: u16) {
    // SAFETY: as in `read32`.
    unsafe { ptr::write_volatile(address as *mut u16, value) }
}

/// Reads a byte.
pub fn read8(address: u32) -> u8 {
    // SAFETY: as in `read32`.
    unsafe { ptr::read_volatile(address as *const u8) }
}

/// Writes a byte.
pub fn write8(address: u32, value: u8) {
    // SAFETY: as in `read32`.
    unsafe { ptr::write_volatile(address as *mut u8, value) }
}
