//! The interrupt controller, by its registers (GICv2, ARM IHI 0048B).

use crate::board::{GICC, GICD};
use crate::mmio::{read8, read32, write8, write32};

/// Distributor registers.
#[allow(missing_docs)]
pub mod gicd {
    pub const CTLR: u32 = 0x000;
    pub const TYPER: u32 = 0x004;
    pub const IIDR: u32 = 0x008;
    pub const IGROUPR: u32 = 0x080;
    pub const ISENABLER: u32 = 0x100;
    pub const ICENABLER: u32 = 0x180;
    pub const ISPENDR: u32 = 0x200;
    pub const ICPENDR: u32 = 0x280;
    pub const ISACTIVER: u32 = 0x300;
    pub const ICACTIVER: u32 = 0x380;
    pub const IPRIORITYR: u32 = 0x400;
    pub const ITARGETSR: u32 = 0x800;
    pub const ICFGR: u32 = 0xc00;
    pub const SGIR: u32 = 0xf00;
    pub const CPENDSGIR: u32 = 0xf10;
    pub const SPENDSGIR: u32 = 0xf20;
}

/// CPU interface registers.
#[allow(missing_docs)]
pub mod gicc {
    pub const CTLR: u32 = 0x00;
    pub const PMR: u32 = 0x04;
    pub const BPR: u32 = 0x08;
    pub const IAR: u32 = 0x0c;
    pub const EOIR: u32 = 0x10;
    pub const RPR: u32 = 0x14;
    pub const HPPIR: u32 = 0x18;
    pub const ABPR: u32 = 0x1c;
    pub const AIAR: u32 = 0x20;
    pub const AHPPIR: u32 = 0x28;
    pub const APR0: u32 = 0xd0;
    pub const IIDR: u32 = 0xfc;
    pub const DIR: u32 = 0x1000;
}

/// Reads a distributor register.
pub fn d(register: u32) -> u32 {
    read32(GICD + register)
}

/// Writes a distributor register.
pub fn set_d(register: u32, value: u32) {
    write32(GICD + register, value);
}

/// Reads a CPU interface register.
pub fn c(register: u32) -> u32 {
    read32(GICC + register)
}

/// Writes a CPU interface register.
pub fn set_c(register: u32, value: u32) {
    write32(GICC + register, value);
}

/// Writes the bit of an interrupt in a distributor register of one bit each.
pub fn set_bit(register: u32, id: u32) {
    set_d(register + id / 32 * 4, 1 << (id % 32));
}

/// Reads the bit of an interrupt in a distributor register of one bit each.
pub fn bit(register: u32, id: u32) -> u32 {
    d(register + id / 32 * 4) >> (id % 32) & 1
}

/// Sets an interrupt's priority.
pub fn set_priority(id: u32, priority: u8) {
    write8(GICD + gicd::IPRIORITYR + id, priority);
}

/// An interrupt's priority.
pub fn priority(id: u32) -> u8 {
    read8(GICD + gicd::IPRIORITYR + id)
}

/// Sets an interrupt's target CPUs.
pub fn set_targets(id: u32, cpus: u8) {
    write8(GICD + gicd::ITARGETSR + id, cpus);
}

/// Turns distribution and this CPU's interface on, with every priority let through.
pub fn enable() {
    set_d(gicd::CTLR, 1);
    set_c(gicc::PMR, 0xff);
    set_c(gicc::CTLR, 1);
}
