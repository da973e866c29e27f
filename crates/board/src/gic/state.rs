//! Saved form of the GIC, which is also what it works on; what follows from it (who is to be
//! interrupted) is computed anew after a restore.

use super::spec::{SPIS, gicc};

/// Words of a bitmap with a bit for each SPI.
pub const SPI_WORDS: usize = SPIS as usize / 32;

/// Interrupts 0 to 31 of one CPU; bitmaps have interrupt n in bit n.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrivateState {
    /// GICD_ISENABLER0.
    pub enabled: u32,
    /// GICD_IGROUPR0: set for Group 1.
    pub group: u32,
    /// Pending for another reason than the level of a line: an edge, or GICD_ISPENDR0. PPIs only.
    pub latched: u32,
    /// Levels of the input lines of the PPIs.
    pub lines: u32,
    /// GICD_ISACTIVER0.
    pub active: u32,
    /// Edge-triggered (GICD_ICFGR0, GICD_ICFGR1).
    pub edge: u32,
    /// GICD_IPRIORITYR0 to 7.
    pub priority: [u8; 32],
    /// GICD_SPENDSGIRn: for each SGI, the CPUs it is pending from.
    pub sgi_sources: [u8; 16],
}

impl Default for PrivateState {
    /// The state after reset.
    fn default() -> Self {
        PrivateState {
            enabled: 0xffff,
            group: 0,
            latched: 0,
            lines: 0,
            active: 0,
            edge: 0xffff,
            priority: [0; 32],
            sgi_sources: [0; 16],
        }
    }
}

/// The SPIs; bitmaps have SPI n (interrupt ID 32 + n) in bit n % 32 of word n / 32.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpiState {
    /// GICD_ISENABLERn.
    pub enabled: [u32; SPI_WORDS],
    /// GICD_IGROUPRn: set for Group 1.
    pub group: [u32; SPI_WORDS],
    /// Pending for another reason than the level of a line: an edge, or GICD_ISPENDRn.
    pub latched: [u32; SPI_WORDS],
    /// Levels of the input lines.
    pub lines: [u32; SPI_WORDS],
    /// GICD_ISACTIVERn.
    pub active: [u32; SPI_WORDS],
    /// Edge-triggered (GICD_ICFGRn).
    pub edge: [u32; SPI_WORDS],
    /// GICD_IPRIORITYRn.
    pub priority: [u8; SPIS as usize],
    /// GICD_ITARGETSRn, a bit a CPU.
    pub targets: [u8; SPIS as usize],
}

impl Default for SpiState {
    /// The state after reset.
    fn default() -> Self {
        SpiState {
            enabled: [0; SPI_WORDS],
            group: [0; SPI_WORDS],
            latched: [0; SPI_WORDS],
            lines: [0; SPI_WORDS],
            active: [0; SPI_WORDS],
            edge: [0; SPI_WORDS],
            priority: [0; SPIS as usize],
            targets: [0; SPIS as usize],
        }
    }
}

/// A CPU interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuInterfaceState {
    /// GICC_CTLR.
    pub ctlr: u32,
    /// GICC_PMR.
    pub pmr: u8,
    /// GICC_BPR.
    pub bpr: u8,
    /// GICC_ABPR.
    pub abpr: u8,
    /// GICC_APRn.
    pub apr: [u32; 4],
    /// GICC_NSAPRn.
    pub nsapr: [u32; 4],
}

impl Default for CpuInterfaceState {
    /// The state after reset.
    fn default() -> Self {
        CpuInterfaceState {
            ctlr: 0,
            pmr: 0,
            bpr: 0,
            abpr: gicc::ABPR_MIN,
            apr: [0; 4],
            nsapr: [0; 4],
        }
    }
}

/// What belongs to one CPU.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct GicCpuState {
    /// Its SGIs and PPIs.
    pub private: PrivateState,
    /// Its CPU interface.
    pub interface: CpuInterfaceState,
}

/// Everything that a GIC holds between two accesses.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct GicState {
    /// GICD_CTLR.
    pub ctlr: u32,
    /// The SPIs.
    pub spis: SpiState,
    /// The CPUs; only those that the GIC has are used.
    pub cpus: [GicCpuState; 8],
}
