//! Program status registers (manual B1.3.3).

/// Modes.
#[allow(missing_docs)]
pub mod mode {
    pub const USR: u32 = 0x10;
    pub const FIQ: u32 = 0x11;
    pub const IRQ: u32 = 0x12;
    pub const SVC: u32 = 0x13;
    pub const ABT: u32 = 0x17;
    pub const UND: u32 = 0x1b;
    pub const SYS: u32 = 0x1f;

    /// All of them, with their names.
    pub const ALL: [(u32, &str); 7] = [
        (USR, "usr"),
        (FIQ, "fiq"),
        (IRQ, "irq"),
        (SVC, "svc"),
        (ABT, "abt"),
        (UND, "und"),
        (SYS, "sys"),
    ];
}

/// Zero flag.
pub const Z: u32 = 1 << 30;
/// Thumb.
pub const T: u32 = 1 << 5;
/// FIQ is masked.
pub const F: u32 = 1 << 6;
/// IRQ is masked.
pub const I: u32 = 1 << 7;
/// Asynchronous aborts are masked.
pub const A: u32 = 1 << 8;
/// Data is big-endian.
pub const E: u32 = 1 << 9;
