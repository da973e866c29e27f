//! Registers of the GICv2. Arm IHI 0048B.b, "Generic Interrupt Controller Architecture
//! Specification, version 2.0", chapter 4; section numbers below are that document's.

/// Interrupt IDs below this are software-generated (SGIs).
pub const SGIS: u32 = 16;
/// Interrupt IDs below this are private to a CPU (SGIs and PPIs); SPIs start here.
pub const INTERNAL: u32 = 32;
/// SPIs implemented.
pub const SPIS: u32 = crate::map::SPIS;
/// Interrupt IDs implemented.
pub const INTIDS: u32 = INTERNAL + SPIS;
/// The interrupt ID that stands for "none" (3.2.5).
pub const SPURIOUS: u32 = 1023;
/// The interrupt ID that stands for "a Group 1 interrupt: read GICC_AIAR" (3.2.5).
pub const SPURIOUS_GROUP1: u32 = 1022;

/// Distributor registers, offsets from its base (4.3).
pub mod gicd {
    /// GICD_CTLR, control (4.3.1).
    pub const CTLR: u32 = 0x000;
    /// GICD_TYPER, type (4.3.2).
    pub const TYPER: u32 = 0x004;
    /// GICD_IIDR, implementer identification (4.3.3).
    pub const IIDR: u32 = 0x008;
    /// GICD_IGROUPRn, group: a bit an interrupt (4.3.4).
    pub const IGROUPR: u32 = 0x080;
    /// GICD_ISENABLERn, set-enable (4.3.5).
    pub const ISENABLER: u32 = 0x100;
    /// GICD_ICENABLERn, clear-enable (4.3.6).
    pub const ICENABLER: u32 = 0x180;
    /// GICD_ISPENDRn, set-pending (4.3.7).
    pub const ISPENDR: u32 = 0x200;
    /// GICD_ICPENDRn, clear-pending (4.3.8).
    pub const ICPENDR: u32 = 0x280;
    /// GICD_ISACTIVERn, set-active (4.3.9).
    pub const ISACTIVER: u32 = 0x300;
    /// GICD_ICACTIVERn, clear-active (4.3.10).
    pub const ICACTIVER: u32 = 0x380;
    /// GICD_IPRIORITYRn, priority: a byte an interrupt (4.3.11).
    pub const IPRIORITYR: u32 = 0x400;
    /// GICD_ITARGETSRn, target CPUs: a byte an interrupt (4.3.12).
    pub const ITARGETSR: u32 = 0x800;
    /// GICD_ICFGRn, configuration: two bits an interrupt, the upper one says edge (4.3.13).
    pub const ICFGR: u32 = 0xc00;
    /// Last byte of GICD_ICFGRn's range.
    pub const ICFGR_END: u32 = 0xcff;
    /// GICD_SGIR, software-generated interrupt (4.3.15).
    pub const SGIR: u32 = 0xf00;
    /// GICD_CPENDSGIRn, SGI clear-pending: a byte an SGI, a bit a source (4.3.16).
    pub const CPENDSGIR: u32 = 0xf10;
    /// GICD_SPENDSGIRn, SGI set-pending (4.3.17).
    pub const SPENDSGIR: u32 = 0xf20;
    /// Identification registers, 12 words to the end of the page (4.3.18).
    pub const ID: u32 = 0xfd0;

    /// GICD_CTLR: forward Group 0 and Group 1 interrupts.
    pub const CTLR_MASK: u32 = 3;
    /// GICD_IIDR: Arm (0x43b), as QEMU reports.
    pub const IIDR_VALUE: u32 = 0x0000_043b;
    /// The identification registers: PIDR4 to 7, PIDR0 to 3, CIDR0 to 3; PIDR2 tells GICv2.
    pub const ID_VALUES: [u8; 12] = [
        0x04, 0x00, 0x00, 0x00, 0x90, 0xb4, 0x2b, 0x00, 0x0d, 0xf0, 0x05, 0xb1,
    ];
}

/// CPU interface registers, offsets from its base (4.4).
pub mod gicc {
    /// GICC_CTLR, control (4.4.1).
    pub const CTLR: u32 = 0x0000;
    /// GICC_PMR, priority mask (4.4.2).
    pub const PMR: u32 = 0x0004;
    /// GICC_BPR, binary point (4.4.3).
    pub const BPR: u32 = 0x0008;
    /// GICC_IAR, interrupt acknowledge (4.4.4).
    pub const IAR: u32 = 0x000c;
    /// GICC_EOIR, end of interrupt (4.4.5).
    pub const EOIR: u32 = 0x0010;
    /// GICC_RPR, running priority (4.4.6).
    pub const RPR: u32 = 0x0014;
    /// GICC_HPPIR, highest priority pending interrupt (4.4.7).
    pub const HPPIR: u32 = 0x0018;
    /// GICC_ABPR, aliased binary point (4.4.8).
    pub const ABPR: u32 = 0x001c;
    /// GICC_AIAR, aliased interrupt acknowledge (4.4.9).
    pub const AIAR: u32 = 0x0020;
    /// GICC_AEOIR, aliased end of interrupt (4.4.10).
    pub const AEOIR: u32 = 0x0024;
    /// GICC_AHPPIR, aliased highest priority pending interrupt (4.4.11).
    pub const AHPPIR: u32 = 0x0028;
    /// GICC_APRn, active priorities of Group 0 (4.4.12).
    pub const APR: u32 = 0x00d0;
    /// GICC_NSAPRn, active priorities of Group 1 (4.4.13).
    pub const NSAPR: u32 = 0x00e0;
    /// Last byte of GICC_NSAPRn's range.
    pub const NSAPR_END: u32 = 0x00ef;
    /// GICC_IIDR, CPU interface identification (4.4.14).
    pub const IIDR: u32 = 0x00fc;
    /// GICC_DIR, deactivate interrupt (4.4.15).
    pub const DIR: u32 = 0x1000;

    /// GICC_CTLR: signal Group 0.
    pub const CTLR_ENABLE_GRP0: u32 = 1 << 0;
    /// GICC_CTLR: signal Group 1.
    pub const CTLR_ENABLE_GRP1: u32 = 1 << 1;
    /// GICC_CTLR: GICC_IAR acknowledges Group 1 too.
    pub const CTLR_ACK_CTL: u32 = 1 << 2;
    /// GICC_CTLR: Group 0 signals by FIQ.
    pub const CTLR_FIQ_EN: u32 = 1 << 3;
    /// GICC_CTLR: GICC_BPR counts for both groups.
    pub const CTLR_CBPR: u32 = 1 << 4;
    /// GICC_CTLR: GICC_EOIR drops the priority only; GICC_DIR deactivates.
    pub const CTLR_EOI_MODE: u32 = 1 << 9;
    /// The bits that GICC_CTLR has.
    pub const CTLR_MASK: u32 = CTLR_ENABLE_GRP0
        | CTLR_ENABLE_GRP1
        | CTLR_ACK_CTL
        | CTLR_FIQ_EN
        | CTLR_CBPR
        | CTLR_EOI_MODE;
    /// Smallest value of GICC_ABPR: with seven bits of group priority, one more than GICC_BPR's.
    pub const ABPR_MIN: u8 = 1;
    /// GICC_IIDR: Arm (0x43b), architecture version 2, as QEMU reports.
    pub const IIDR_VALUE: u32 = 0x0002_043b;
}
