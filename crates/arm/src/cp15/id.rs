//! What the identification registers read: those of the processors that QEMU's `virt` board has,
//! without the Security and the Virtualization Extensions, so that guests see the machine they know.

use crate::state::CpuModel;

/// Registers that tell what a processor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct IdRegisters {
    pub midr: u32,
    pub ctr: u32,
    pub revidr: u32,
    pub id_pfr0: u32,
    pub id_pfr1: u32,
    pub id_dfr0: u32,
    pub id_afr0: u32,
    pub id_mmfr: [u32; 4],
    pub id_isar: [u32; 6],
    pub clidr: u32,
    /// By CSSELR: level 1 data, level 1 instruction, level 2.
    pub ccsidr: [u32; 3],
    pub dbgdidr: u32,
    pub dbgdevid: u32,
    pub dbgdevid1: u32,
    /// IMP, IDCODE and N of PMCR.
    pub pmcr: u32,
    /// Number of event counters.
    pub counters: u8,
}

const CORTEX_A15: IdRegisters = IdRegisters {
    // r4p0
    midr: 0x414f_c0f0,
    ctr: 0x8444_c004,
    revidr: 0x414f_c0f0,
    id_pfr0: 0x0000_1131,
    id_pfr1: 0x0001_0001,
    id_dfr0: 0x0201_0505,
    id_afr0: 0,
    id_mmfr: [0x1020_1105, 0x2000_0000, 0x0124_0000, 0x0210_2211],
    id_isar: [
        0x0210_1110,
        0x1311_2111,
        0x2123_2041,
        0x1111_2131,
        0x1001_1142,
        0,
    ],
    clidr: 0x0a20_0023,
    ccsidr: [0x701f_e00a, 0x201f_e00a, 0x711f_e07a],
    dbgdidr: 0x3515_f021,
    dbgdevid: 0x0111_0f13,
    dbgdevid1: 0,
    pmcr: 0x410f_3000,
    counters: 6,
};

const CORTEX_A7: IdRegisters = IdRegisters {
    // r0p5
    midr: 0x410f_c075,
    ctr: 0x8444_8003,
    revidr: 0x410f_c075,
    id_mmfr: [0x1010_1105, 0x4000_0000, 0x0124_0000, 0x0210_2211],
    dbgdidr: 0x3515_f005,
    dbgdevid1: 1,
    pmcr: 0x4107_2000,
    counters: 4,
    ..CORTEX_A15
};

/// The identification registers of a model.
pub const fn of(model: CpuModel) -> &'static IdRegisters {
    match model {
        CpuModel::CortexA15 => &CORTEX_A15,
        CpuModel::CortexA7 => &CORTEX_A7,
    }
}

/// MPIDR of the CPU numbered `index`: the multiprocessing extensions' format, one cluster of up to
/// eight (manual B4.1.106).
pub const fn mpidr(index: u8) -> u32 {
    1 << 31 | index as u32
}

/// L2CTLR: the number of CPUs less one in bits 25:24, and an interrupt controller (Cortex-A15 TRM
/// 4.3.48). More CPUs than the field can tell read as QEMU's board has them, in the bits above.
pub const fn l2ctlr(count: u8) -> u32 {
    ((if count == 0 { 0 } else { count as u32 - 1 }) & 0xff) << 24 | 1 << 23
}

/// CBAR: where the board's private peripherals are.
pub const CBAR: u32 = 0x0800_0000;
/// DBGDSCRint and DBGOSLSR: the OS lock is implemented (OSLM).
pub const OSLSR_OSLM: u32 = 0x8;
/// DBGOSLSR.OSLK: the OS lock is set.
pub const OSLSR_OSLK: u32 = 0x2;
