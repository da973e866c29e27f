//! Names of the bits of Hyp mode's registers (manual B4.1, where the registers are in alphabetical
//! order, and B3.13.6 for HSR) and of the GICv2's virtual interface control (Arm IHI 0048B.b,
//! chapter 5).

/// HMAIR0: attribute index 0 is Device memory, 1 is Normal memory, write-back, allocating
/// (manual B4.1, MAIR0's encodings).
pub const HMAIR0: u32 = 0x0000_ff04;

/// HTCR: 32 bits of address; walks are inner shareable and write-back cacheable; bits 31 and 23
/// are one.
pub const HTCR: u32 = 1 << 31 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8;

/// VTCR: as HTCR, starting at level 1 (SL0 = 1), 32 bits of intermediate physical address (T0SZ = 0).
pub const VTCR: u32 = 1 << 31 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6;

/// HSCTLR.
#[allow(missing_docs)]
pub mod hsctlr {
    pub const M: u32 = 1 << 0;
    pub const A: u32 = 1 << 1;
    pub const C: u32 = 1 << 2;
    pub const CP15BEN: u32 = 1 << 5;
    pub const I: u32 = 1 << 12;
    pub const WXN: u32 = 1 << 19;
    /// Bits that are one: 29, 28, 23, 22, 18, 16, 11, 4, 3.
    pub const ONES: u32 = 0x30c5_0818;
}
