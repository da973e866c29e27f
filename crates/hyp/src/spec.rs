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

/// HCR: what guests trap on, and where interrupts go.
#[allow(missing_docs)]
pub mod hcr {
    /// Stage 2 is on.
    pub const VM: u32 = 1 << 0;
    /// Set/way invalidation becomes clean and invalidate.
    pub const SWIO: u32 = 1 << 1;
    /// A stage-1 walk to Device memory faults.
    pub const PTW: u32 = 1 << 2;
    /// FIQ, IRQ and asynchronous aborts are taken to Hyp mode.
    pub const FMO: u32 = 1 << 3;
    pub const IMO: u32 = 1 << 4;
    pub const AMO: u32 = 1 << 5;
    /// Cache and TLB maintenance of a guest reaches all cores.
    pub const FB: u32 = 1 << 9;
    /// Barriers of a guest are at least inner shareable.
    pub const BSU_INNER: u32 = 1 << 10;
    /// WFI traps.
    pub const TWI: u32 = 1 << 13;
    /// SMC traps.
    pub const TSC: u32 = 1 << 19;
    /// Lockdown, DMA and implementation defined registers trap.
    pub const TIDCP: u32 = 1 << 20;
    /// ACTLR traps.
    pub const TAC: u32 = 1 << 21;
    /// Set/way cache maintenance traps.
    pub const TSW: u32 = 1 << 22;
    /// Writes of registers that control translation trap.
    pub const TVM: u32 = 1 << 26;
}

/// HCPTR.
#[allow(missing_docs)]
pub mod hcptr {
    pub const TCP10: u32 = 1 << 10;
    pub const TCP11: u32 = 1 << 11;
    /// CP0 to CP9 and CP12 to CP13 trap; nothing is there.
    pub const OTHERS: u32 = 0x33ff;
    /// Trace registers trap.
    pub const TTA: u32 = 1 << 20;
}

/// HDCR: debug and performance monitor registers trap. The low five bits are how many counters
/// guests have, and keep their reset value.
#[allow(missing_docs)]
pub mod hdcr {
    pub const HPMN: u32 = 0x1f;
    pub const TPMCR: u32 = 1 << 5;
    pub const TPM: u32 = 1 << 6;
    pub const TDA: u32 = 1 << 9;
    pub const TDOSA: u32 = 1 << 10;
    pub const TDRA: u32 = 1 << 11;
}

/// CNTHCTL: what of the physical timer PL1 may use without a trap (the bits are enables).
#[allow(missing_docs)]
pub mod cnthctl {
    pub const PL1PCTEN: u32 = 1 << 0;
    pub const PL1PCEN: u32 = 1 << 1;
}

/// CNTV_CTL, CNTP_CTL, CNTHP_CTL.
#[allow(missing_docs)]
pub mod timer {
    pub const ENABLE: u32 = 1 << 0;
    pub const IMASK: u32 = 1 << 1;
    pub const ISTATUS: u32 = 1 << 2;
}

/// SCTLR of a guest after reset: MMU and caches off.
pub const SCTLR_RESET: u32 = 0x00c5_0078;

/// PAR: the translation failed.
pub const PAR_F: u64 = 1;

/// GICH: the virtual interface control registers (IHI 0048B.b 5.3), offsets.
#[allow(missing_docs)]
pub mod gich {
    pub const HCR: usize = 0x00;
    pub const VTR: usize = 0x04;
    pub const VMCR: usize = 0x08;
    pub const MISR: usize = 0x10;
    pub const EISR0: usize = 0x20;
    pub const EISR1: usize = 0x24;
    pub const ELRSR0: usize = 0x30;
    pub const ELRSR1: usize = 0x34;
    pub const APR: usize = 0xf0;
    pub const LR: usize = 0x100;

    /// GICH_HCR: the virtual interface is on.
    pub const HCR_EN: u32 = 1 << 0;
    /// GICH_HCR: maintenance interrupt while at most one list register is in use.
    pub const HCR_UIE: u32 = 1 << 1;

    /// GICH_LR (5.3.8): linked to a physical interrupt, which the guest's end of interrupt ends.
    pub const LR_HW: u32 = 1 << 31;
    pub const LR_GROUP1: u32 = 1 << 30;
    pub const LR_ACTIVE: u32 = 1 << 29;
    pub const LR_PENDING: u32 = 1 << 28;
    pub const LR_PRIORITY_SHIFT: u32 = 23;
    /// Maintenance interrupt when the guest ends it; without LR_HW.
    pub const LR_EOI: u32 = 1 << 19;
    /// The physical interrupt ID, or the source of an SGI.
    pub const LR_PHYSICAL_SHIFT: u32 = 10;
    pub const LR_ID: u32 = 0x3ff;
}

/// Hypercalls of Skep: function identifiers in SMCCC's range for vendor hypervisors, by HVC.
pub mod hypercall {
    /// Does nothing and returns 0: what a call costs.
    pub const NOTHING: u32 = 0x8600_0000;
}
