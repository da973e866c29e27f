//! Registers of the GICv2 (Arm Generic Interrupt Controller Architecture Specification, version 2,
//! ARM IHI 0048B). Offsets in bytes.

/// Distributor registers (section 4.1.2).
pub mod dist {
    /// Control: bit 0 enables forwarding.
    pub const CTLR: u64 = 0x000;
    /// Type: number of interrupts and CPUs.
    pub const TYPER: u64 = 0x004;
    /// Implementer.
    pub const IIDR: u64 = 0x008;
    /// Groups, a bit an interrupt.
    pub const IGROUPR: u64 = 0x080;
    /// Set-enable, a bit an interrupt.
    pub const ISENABLER: u64 = 0x100;
    /// Clear-enable.
    pub const ICENABLER: u64 = 0x180;
    /// Set-pending.
    pub const ISPENDR: u64 = 0x200;
    /// Clear-pending.
    pub const ICPENDR: u64 = 0x280;
    /// Set-active.
    pub const ISACTIVER: u64 = 0x300;
    /// Clear-active.
    pub const ICACTIVER: u64 = 0x380;
    /// Priorities, a byte an interrupt.
    pub const IPRIORITYR: u64 = 0x400;
    /// Target CPUs, a byte an interrupt.
    pub const ITARGETSR: u64 = 0x800;
    /// Configuration, two bits an interrupt: bit 1 = edge-triggered.
    pub const ICFGR: u64 = 0xc00;
    /// Software-generated interrupt.
    pub const SGIR: u64 = 0xf00;
    /// SGI clear-pending, a byte of source CPUs an SGI.
    pub const CPENDSGIR: u64 = 0xf10;
    /// SGI set-pending.
    pub const SPENDSGIR: u64 = 0xf20;
    /// Identification.
    pub const PIDR4: u64 = 0xfd0;
}

/// CPU interface registers (section 4.1.3).
pub mod cpu {
    /// Control: bit 0 enables signalling, bit 9 splits EOI (EOImodeNS).
    pub const CTLR: u64 = 0x0000;
    /// Priority mask.
    pub const PMR: u64 = 0x0004;
    /// Binary point.
    pub const BPR: u64 = 0x0008;
    /// Acknowledge.
    pub const IAR: u64 = 0x000c;
    /// End of interrupt.
    pub const EOIR: u64 = 0x0010;
    /// Running priority.
    pub const RPR: u64 = 0x0014;
    /// Highest priority pending.
    pub const HPPIR: u64 = 0x0018;
    /// Aliased binary point.
    pub const ABPR: u64 = 0x001c;
    /// Aliased acknowledge.
    pub const AIAR: u64 = 0x0020;
    /// Aliased end of interrupt.
    pub const AEOIR: u64 = 0x0024;
    /// Aliased highest priority pending.
    pub const AHPPIR: u64 = 0x0028;
    /// Active priorities.
    pub const APR: u64 = 0x00d0;
    /// Active priorities of group 1.
    pub const NSAPR: u64 = 0x00e0;
    /// Identification.
    pub const IIDR: u64 = 0x00fc;
    /// Deactivate.
    pub const DIR: u64 = 0x1000;
}
