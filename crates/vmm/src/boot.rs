//! Puts firmware, kernel, initial RAM disk and device tree into memory.

use crate::config::VmConfig;
use crate::error::Error;
use crate::memory::GuestRam;
use skep_board::{GuestMemory, map};

/// Where CPU 0 starts.
pub(crate) struct Entry {
    /// Address; bit 0 = T32.
    pub pc: u32,
    /// R0 to R2.
    pub regs: [u32; 3],
}
