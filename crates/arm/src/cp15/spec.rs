//! Layouts of system control registers, from the manual's chapters B4 and B8.

/// SCTLR (manual B4.1.130).
#[allow(missing_docs)]
pub mod sctlr {
    /// MMU enable.
    pub const M: u32 = 1 << 0;
    /// Every unaligned access faults.
    pub const A: u32 = 1 << 1;
    /// Data and unified caches enable.
    pub const C: u32 = 1 << 2;
    /// CP15 barriers enable: reads as one here.
    pub const CP15BEN: u32 = 1 << 5;
    /// SWP and SWPB enable.
    pub const SW: u32 = 1 << 10;
    /// Branch prediction enable.
    pub const Z: u32 = 1 << 11;
    /// Instruction cache enable.
    pub const I: u32 = 1 << 12;
    /// High exception vectors.
    pub const V: u32 = 1 << 13;
    /// Writable memory is not executable.
    pub const WXN: u32 = 1 << 19;
    /// Memory that User mode can write is not executable at PL1.
    pub const UWXN: u32 = 1 << 20;
    /// Fast interrupts configuration.
    pub const FI: u32 = 1 << 21;
    /// CPSR.E on exception entry, and the byte order of translation tables.
    pub const EE: u32 = 1 << 25;
    /// FIQs are not maskable.
    pub const NMFI: u32 = 1 << 27;
    /// TEX remap.
    pub const TRE: u32 = 1 << 28;
    /// AP[0] is the access flag.
    pub const AFE: u32 = 1 << 29;
    /// Exceptions are taken in T32 state.
    pub const TE: u32 = 1 << 30;
    /// Bits that software can change on Cortex-A15 and Cortex-A7; the others keep
    /// [`RESET`]'s value.
    pub const WRITABLE: u32 = M | A | C | SW | Z | I | V | WXN | UWXN | FI | EE | TRE | AFE | TE;
    /// After reset.
    pub const RESET: u32 = 0x00c5_0078;
}

/// TTBCR (manual B4.1.153).
#[allow(missing_docs)]
pub mod ttbcr {
    /// Long-descriptor translation tables.
    pub const EAE: u32 = 1 << 31;
    /// Short: width of the TTBR0 region's base.
    pub const N: u32 = 7;
    /// Short: no walks by TTBR0. Only processors with the Security Extensions have it.
    pub const PD0: u32 = 1 << 4;
    /// Short: no walks by TTBR1. Only processors with the Security Extensions have it.
    pub const PD1: u32 = 1 << 5;
    /// Long: size of the TTBR0 region.
    pub const T0SZ_SHIFT: u32 = 0;
    /// Long: no walks by TTBR0.
    pub const EPD0: u32 = 1 << 7;
    /// Long: size of the TTBR1 region.
    pub const T1SZ_SHIFT: u32 = 16;
    /// Long: the ASID is TTBR1's.
    pub const A1: u32 = 1 << 22;
    /// Long: no walks by TTBR1.
    pub const EPD1: u32 = 1 << 23;
    /// Bits that exist in the short-descriptor format without the Security Extensions.
    pub const SHORT_BITS: u32 = N;
    /// Bits that exist in the long-descriptor format.
    pub const LONG_BITS: u32 = 0xffc7_3f87;
}

/// DFSR and IFSR (manual B4.1.52, B4.1.96).
#[allow(missing_docs)]
pub mod fsr {
    /// DFSR, short format.
    pub const DOMAIN_SHIFT: u32 = 4;
    /// The format of the status field.
    pub const LPAE: u32 = 1 << 9;
    /// Write not Read.
    pub const WNR: u32 = 1 << 11;
    /// Cache maintenance.
    pub const CM: u32 = 1 << 13;
}

/// PAR (manual B4.1.112).
#[allow(missing_docs)]
pub mod par {
    /// The translation failed.
    pub const F: u64 = 1;
    /// Short: supersection.
    pub const SS: u64 = 1 << 1;
    pub const FS_SHIFT: u32 = 1;
    /// Short: outer memory attributes.
    pub const OUTER_SHIFT: u32 = 2;
    /// Short: inner memory attributes.
    pub const INNER_SHIFT: u32 = 4;
    /// Short: shareable.
    pub const SH: u64 = 1 << 7;
    /// Long: shareability.
    pub const SH_SHIFT: u32 = 7;
    pub const NS: u64 = 1 << 9;
    /// Short: not outer shareable.
    pub const NOS: u64 = 1 << 10;
    /// Long format.
    pub const LPAE: u64 = 1 << 11;
    /// Long: memory attributes, as MAIR has them.
    pub const ATTR_SHIFT: u32 = 56;
}

/// CPACR (manual B4.1.40).
pub mod cpacr {
    /// Access to coprocessors 10 and 11, D32DIS, ASEDIS.
    pub const WRITABLE: u32 = 0xc0f0_0000;
}

/// CNTKCTL (manual B8.1.3).
#[allow(missing_docs)]
pub mod cntkctl {
    /// User mode reads CNTPCT, and CNTFRQ.
    pub const PL0PCTEN: u32 = 1 << 0;
    /// User mode reads CNTVCT, and CNTFRQ.
    pub const PL0VCTEN: u32 = 1 << 1;
    /// The event stream is on.
    pub const EVNTEN: u32 = 1 << 2;
    /// Events at transitions from 1 to 0.
    pub const EVNTDIR: u32 = 1 << 3;
    /// The bit of CNTVCT that makes events.
    pub const EVNTI_SHIFT: u32 = 4;
    /// User mode accesses the virtual timer.
    pub const PL0VTEN: u32 = 1 << 8;
    /// User mode accesses the physical timer.
    pub const PL0PTEN: u32 = 1 << 9;
    /// Bits that exist.
    pub const WRITABLE: u32 = 0x3ff;
}

/// CNTP_CTL and CNTV_CTL (manual B8.1.10).
#[allow(missing_docs)]
pub mod cnt_ctl {
    pub const ENABLE: u32 = 1;
    pub const IMASK: u32 = 2;
    pub const ISTATUS: u32 = 4;
}

/// PMCR (manual B4.1.117).
#[allow(missing_docs)]
pub mod pmcr {
    /// Enable all counters.
    pub const E: u32 = 1 << 0;
    /// Reset event counters (write only).
    pub const P: u32 = 1 << 1;
    /// Reset PMCCNTR (write only).
    pub const C: u32 = 1 << 2;
    /// PMCCNTR counts every 64th cycle.
    pub const D: u32 = 1 << 3;
    /// Export of events.
    pub const X: u32 = 1 << 4;
    /// No cycle counting where event counting is prohibited.
    pub const DP: u32 = 1 << 5;
    /// Bits that hold what is written.
    pub const WRITABLE: u32 = E | D | X | DP;
}

/// PMUSERENR (manual B4.1.122).
pub mod pmuserenr {
    /// User mode has access.
    pub const EN: u32 = 1;
}

/// DBGOSLAR: the value that locks (manual C11.11.30).
pub const OSLAR_KEY: u32 = 0xc5ac_ce55;
