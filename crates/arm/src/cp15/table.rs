//! The registers of coprocessors 14 and 15: one row each.

use crate::insn::CpReg;

/// A field of a row that matches every value.
pub const ANY: u8 = 0xff;

/// What privileged modes may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Pl1 {
    ReadWrite,
    ReadOnly,
    WriteOnly,
}

/// What User mode may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pl0 {
    /// Nothing.
    No,
    /// What privileged modes may.
    Same,
    /// Read.
    Read,
    /// As privileged modes while PMUSERENR.EN is 1.
    Pmu,
    /// As privileged modes while CNTKCTL.PL0PTEN is 1.
    PhysicalTimer,
    /// As privileged modes while CNTKCTL.PL0VTEN is 1.
    VirtualTimer,
    /// Read while CNTKCTL.PL0PCTEN or CNTKCTL.PL0VCTEN is 1.
    CounterFrequency,
    /// As privileged modes while TEECR.XED is 0.
    ThumbEe,
}

/// A register, or an operation that is encoded as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register {
    /// Its name in the manual.
    pub name: &'static str,
    /// 14 or 15.
    pub coproc: u8,
    /// opc1, or [`ANY`].
    pub opc1: u8,
    /// CRn.
    pub crn: u8,
    /// CRm, or [`ANY`].
    pub crm: u8,
    /// opc2, or [`ANY`].
    pub opc2: u8,
    /// Access from privileged modes.
    pub pl1: Pl1,
    /// Access from User mode.
    pub pl0: Pl0,
    /// Which it is.
    pub(super) kind: Kind,
}

/// Names for the rows, for `match`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[rustfmt::skip]
pub(super) enum Kind {
    /// Reads as this, ignores writes.
    Const(u32),
    // Identification.
    Midr, Ctr, Mpidr, Revidr, IdPfr0, IdPfr1, IdDfr0, IdAfr0, IdMmfr(u8), IdIsar(u8),
    Ccsidr, Clidr, Csselr, L2ctlr,
    // Control.
    Sctlr, Cpacr, Ttbr0, Ttbr1, Ttbcr, Dacr, Dfsr, Ifsr, Dfar, Ifar, Par, Prrr, Nmrr, Vbar, Isr,
    Contextidr, Tpidrurw, Tpidruro, Tpidrprw,
    // Operations.
    Wfi, Isb, Dsb, Dmb, ICache, CacheOp,
    Translate { write: bool, privileged: bool },
    Tlb { op: Tlb, inner_shareable: bool },
    // Performance monitors.
    Pmcr, Pmcntenset, Pmcntenclr, Pmovsr, Pmswinc, Pmselr, Pmceid0, Pmccntr, Pmxevtyper, Pmxevcntr,
    Pmuserenr, Pmintenset, Pmintenclr, Pmovsset, Pmevcntr, Pmevtyper, Pmccfiltr,
    // Generic timer.
    Cntfrq, Cntkctl, CntpTval, CntpCtl, CntvTval, CntvCtl,
    // CP14.
    Dbgdidr, Dbgdscr, Dbgbvr, Dbgbcr, Dbgwvr, Dbgwcr, Dbgoslar, Dbgoslsr, Dbgosdlr,
    Dbgdevid, Dbgdevid1, Teecr, Teehbr,
}

/// TLB operations, before they have an address or ASID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tlb {
    All,
    Va,
    Asid,
    VaAllAsids,
}

use Pl0::{CounterFrequency, No, PhysicalTimer, Pmu, Read, Same, ThumbEe, VirtualTimer};
use Pl1::{ReadOnly as RO, ReadWrite as RW, WriteOnly as WO};

type Encoding = (u8, u8, u8, u8);

const fn p15(
    name: &'static str,
    (opc1, crn, crm, opc2): Encoding,
    pl1: Pl1,
    kind: Kind,
) -> Register {
    Register {
        name,
        coproc: 15,
        opc1,
        crn,
        crm,
        opc2,
        pl1,
        pl0: No,
        kind,
    }
}

const fn p14(name: &'static str, encoding: Encoding, pl1: Pl1, kind: Kind) -> Register {
    Register {
        coproc: 14,
        ..p15(name, encoding, pl1, kind)
    }
}

const fn user(pl0: Pl0, register: Register) -> Register {
    Register { pl0, ..register }
}

const fn tlb(name: &'static str, crm: u8, opc2: u8, op: Tlb, inner_shareable: bool) -> Register {
    p15(
        name,
        (0, 8, crm, opc2),
        WO,
        Kind::Tlb {
            op,
            inner_shareable,
        },
    )
}

const fn at(name: &'static str, opc2: u8, write: bool, privileged: bool) -> Register {
    p15(
        name,
        (0, 7, 8, opc2),
        WO,
        Kind::Translate { write, privileged },
    )
}

/// All registers. Where two rows match, the first counts.
#[rustfmt::skip]
pub const REGISTERS: &[Register] = &[
    // c0: identification (manual B4.2.1).
    p15("MIDR",       (0, 0, 0, 0), RO, Kind::Midr),
    p15("CTR",        (0, 0, 0, 1), RO, Kind::Ctr),
    p15("TCMTR",      (0, 0, 0, 2), RO, Kind::Const(0)),
    p15("TLBTR",      (0, 0, 0, 3), RO, Kind::Const(0)),
    p15("MPIDR",      (0, 0, 0, 5), RO, Kind::Mpidr),
    p15("REVIDR",     (0, 0, 0, 6), RO, Kind::Revidr),
    p15("MIDR",       (0, 0, 0, ANY), RO, Kind::Midr),
    p15("ID_PFR0",    (0, 0, 1, 0), RO, Kind::IdPfr0),
    p15("ID_PFR1",    (0, 0, 1, 1), RO, Kind::IdPfr1),
    p15("ID_DFR0",    (0, 0, 1, 2), RO, Kind::IdDfr0),
    p15("ID_AFR0",    (0, 0, 1, 3), RO, Kind::IdAfr0),
    p15("ID_MMFR0",   (0, 0, 1, 4), RO, Kind::IdMmfr(0)),
    p15("ID_MMFR1",   (0, 0, 1, 5), RO, Kind::IdMmfr(1)),
    p15("ID_MMFR2",   (0, 0, 1, 6), RO, Kind::IdMmfr(2)),
    p15("ID_MMFR3",   (0, 0, 1, 7), RO, Kind::IdMmfr(3)),
    p15("ID_ISAR0",   (0, 0, 2, 0), RO, Kind::IdIsar(0)),
    p15("ID_ISAR1",   (0, 0, 2, 1), RO, Kind::IdIsar(1)),
    p15("ID_ISAR2",   (0, 0, 2, 2), RO, Kind::IdIsar(2)),
    p15("ID_ISAR3",   (0, 0, 2, 3), RO, Kind::IdIsar(3)),
    p15("ID_ISAR4",   (0, 0, 2, 4), RO, Kind::IdIsar(4)),
    p15("ID_ISAR5",   (0, 0, 2, 5), RO, Kind::IdIsar(5)),
    p15("ID (reserved)", (0, 0, 2, ANY), RO, Kind::Const(0)),
    p15("ID (reserved)", (0, 0, 3, ANY), RO, Kind::Const(0)),
    p15("ID (reserved)", (0, 0, 4, ANY), RO, Kind::Const(0)),
    p15("ID (reserved)", (0, 0, 5, ANY), RO, Kind::Const(0)),
    p15("ID (reserved)", (0, 0, 6, ANY), RO, Kind::Const(0)),
    p15("ID (reserved)", (0, 0, 7, ANY), RO, Kind::Const(0)),
    p15("CCSIDR",     (1, 0, 0, 0), RO, Kind::Ccsidr),
    p15("CLIDR",      (1, 0, 0, 1), RO, Kind::Clidr),
    p15("AIDR",       (1, 0, 0, 7), RO, Kind::Const(0)),
    p15("CSSELR",     (2, 0, 0, 0), RW, Kind::Csselr),

    // c1 to c3, c5, c6: control, translation, faults.
    p15("SCTLR",      (0, 1, 0, 0), RW, Kind::Sctlr),
    p15("ACTLR",      (0, 1, 0, 1), RW, Kind::Const(0)),
    p15("CPACR",      (0, 1, 0, 2), RW, Kind::Cpacr),
    p15("TTBR0",      (0, 2, 0, 0), RW, Kind::Ttbr0),
    p15("TTBR1",      (0, 2, 0, 1), RW, Kind::Ttbr1),
    p15("TTBCR",      (0, 2, 0, 2), RW, Kind::Ttbcr),
    p15("DACR",       (ANY, 3, ANY, ANY), RW, Kind::Dacr),
    p15("DFSR",       (0, 5, 0, 0), RW, Kind::Dfsr),
    p15("IFSR",       (0, 5, 0, 1), RW, Kind::Ifsr),
    p15("ADFSR",      (0, 5, 1, 0), RW, Kind::Const(0)),
    p15("AIFSR",      (0, 5, 1, 1), RW, Kind::Const(0)),
    p15("DFAR",       (0, 6, 0, 0), RW, Kind::Dfar),
    p15("WFAR",       (0, 6, 0, 1), RW, Kind::Const(0)),
    p15("IFAR",       (0, 6, 0, 2), RW, Kind::Ifar),

    // c7: cache maintenance, address translation, barriers (manual B4.2.2, B4.2.4, B4.2.5).
    p15("WFI",        (0, 7, 0, 4), WO, Kind::Wfi),
    p15("ICIALLUIS",  (0, 7, 1, 0), WO, Kind::ICache),
    p15("BPIALLIS",   (0, 7, 1, 6), WO, Kind::CacheOp),
    p15("PAR",        (0, 7, 4, 0), RW, Kind::Par),
    p15("ICIALLU",    (0, 7, 5, 0), WO, Kind::ICache),
    p15("ICIMVAU",    (0, 7, 5, 1), WO, Kind::ICache),
    user(Same, p15("CP15ISB", (0, 7, 5, 4), WO, Kind::Isb)),
    p15("BPIALL",     (0, 7, 5, 6), WO, Kind::CacheOp),
    p15("BPIMVA",     (0, 7, 5, 7), WO, Kind::CacheOp),
    p15("DCIMVAC",    (0, 7, 6, 1), WO, Kind::CacheOp),
    p15("DCISW",      (0, 7, 6, 2), WO, Kind::CacheOp),
    at("ATS1CPR", 0, false, true),
    at("ATS1CPW", 1, true,  true),
    at("ATS1CUR", 2, false, false),
    at("ATS1CUW", 3, true,  false),
    p15("DCCMVAC",    (0, 7, 10, 1), WO, Kind::CacheOp),
    p15("DCCSW",      (0, 7, 10, 2), WO, Kind::CacheOp),
    user(Same, p15("CP15DSB", (0, 7, 10, 4), WO, Kind::Dsb)),
    user(Same, p15("CP15DMB", (0, 7, 10, 5), WO, Kind::Dmb)),
    p15("DCCMVAU",    (0, 7, 11, 1), WO, Kind::CacheOp),
    p15("DCCIMVAC",   (0, 7, 14, 1), WO, Kind::CacheOp),
    p15("DCCISW",     (0, 7, 14, 2), WO, Kind::CacheOp),

    // c8: TLB maintenance (manual B4.2.3).
    tlb("TLBIALLIS",  3, 0, Tlb::All, true),
    tlb("TLBIMVAIS",  3, 1, Tlb::Va, true),
    tlb("TLBIASIDIS", 3, 2, Tlb::Asid, true),
    tlb("TLBIMVAAIS", 3, 3, Tlb::VaAllAsids, true),
    tlb("ITLBIALL",   5, 0, Tlb::All, false),
    tlb("ITLBIMVA",   5, 1, Tlb::Va, false),
    tlb("ITLBIASID",  5, 2, Tlb::Asid, false),
    tlb("DTLBIALL",   6, 0, Tlb::All, false),
    tlb("DTLBIMVA",   6, 1, Tlb::Va, false),
    tlb("DTLBIASID",  6, 2, Tlb::Asid, false),
    tlb("TLBIALL",    7, 0, Tlb::All, false),
    tlb("TLBIMVA",    7, 1, Tlb::Va, false),
    tlb("TLBIASID",   7, 2, Tlb::Asid, false),
    tlb("TLBIMVAA",   7, 3, Tlb::VaAllAsids, false),

    // c9: performance monitors (manual C12.8), level 2 cache.
    user(Pmu,  p15("PMCR",       (0, 9, 12, 0), RW, Kind::Pmcr)),
    user(Pmu,  p15("PMCNTENSET", (0, 9, 12, 1), RW, Kind::Pmcntenset)),
    user(Pmu,  p15("PMCNTENCLR", (0, 9, 12, 2), RW, Kind::Pmcntenclr)),
    user(Pmu,  p15("PMOVSR",     (0, 9, 12, 3), RW, Kind::Pmovsr)),
    user(Pmu,  p15("PMSWINC",    (0, 9, 12, 4), WO, Kind::Pmswinc)),
    user(Pmu,  p15("PMSELR",     (0, 9, 12, 5), RW, Kind::Pmselr)),
    user(Pmu,  p15("PMCEID0",    (0, 9, 12, 6), RO, Kind::Pmceid0)),
    user(Pmu,  p15("PMCEID1",    (0, 9, 12, 7), RO, Kind::Const(0))),
    user(Pmu,  p15("PMCCNTR",    (0, 9, 13, 0), RW, Kind::Pmccntr)),
    user(Pmu,  p15("PMXEVTYPER", (0, 9, 13, 1), RW, Kind::Pmxevtyper)),
    user(Pmu,  p15("PMXEVCNTR",  (0, 9, 13, 2), RW, Kind::Pmxevcntr)),
    user(Read, p15("PMUSERENR",  (0, 9, 14, 0), RW, Kind::Pmuserenr)),
    p15("PMINTENSET", (0, 9, 14, 1), RW, Kind::Pmintenset),
    p15("PMINTENCLR", (0, 9, 14, 2), RW, Kind::Pmintenclr),
    user(Pmu,  p15("PMOVSSET",   (0, 9, 14, 3), RW, Kind::Pmovsset)),
    p15("L2CTLR",     (1, 9, 0, 2), RW, Kind::L2ctlr),
    p15("L2ECTLR",    (1, 9, 0, 3), RW, Kind::Const(0)),

    // c10: memory attributes; TLB lockdown, which does nothing.
    p15("PRRR/MAIR0", (0, 10, 2, 0), RW, Kind::Prrr),
    p15("NMRR/MAIR1", (0, 10, 2, 1), RW, Kind::Nmrr),
    p15("AMAIR0",     (0, 10, 3, 0), RW, Kind::Const(0)),
    p15("AMAIR1",     (0, 10, 3, 1), RW, Kind::Const(0)),
    p15("TLB lockdown", (ANY, 10, 0, ANY), RW, Kind::Const(0)),
    p15("TLB lockdown", (ANY, 10, 1, ANY), RW, Kind::Const(0)),
    p15("TLB lockdown", (ANY, 10, 4, ANY), RW, Kind::Const(0)),
    p15("TLB lockdown", (ANY, 10, 8, ANY), RW, Kind::Const(0)),

    // c12, c13: vectors, context.
    p15("VBAR",       (0, 12, 0, 0), RW, Kind::Vbar),
    p15("ISR",        (0, 12, 1, 0), RO, Kind::Isr),
    // Cortex-A15 has no Fast Context Switch Extension.
    p15("FCSEIDR",    (0, 13, 0, 0), RW, Kind::Const(0)),
    p15("CONTEXTIDR", (0, 13, 0, 1), RW, Kind::Contextidr),
    user(Same, p15("TPIDRURW",   (0, 13, 0, 2), RW, Kind::Tpidrurw)),
    user(Read, p15("TPIDRURO",   (0, 13, 0, 3), RW, Kind::Tpidruro)),
    p15("TPIDRPRW",   (0, 13, 0, 4), RW, Kind::Tpidrprw),

    // c14: generic timer (manual B8.2), performance monitors by number.
    user(CounterFrequency, p15("CNTFRQ", (0, 14, 0, 0), RW, Kind::Cntfrq)),
    p15("CNTKCTL",    (0, 14, 1, 0), RW, Kind::Cntkctl),
    user(PhysicalTimer, p15("CNTP_TVAL", (0, 14, 2, 0), RW, Kind::CntpTval)),
    user(PhysicalTimer, p15("CNTP_CTL",  (0, 14, 2, 1), RW, Kind::CntpCtl)),
    user(VirtualTimer,  p15("CNTV_TVAL", (0, 14, 3, 0), RW, Kind::CntvTval)),
    user(VirtualTimer,  p15("CNTV_CTL",  (0, 14, 3, 1), RW, Kind::CntvCtl)),
    user(Pmu, p15("PMEVCNTR",  (0, 14, 8, ANY), RW, Kind::Pmevcntr)),
    user(Pmu, p15("PMEVTYPER", (0, 14, 12, ANY), RW, Kind::Pmevtyper)),
    user(Pmu, p15("PMCCFILTR", (0, 14, 15, 7), RW, Kind::Pmccfiltr)),

    // c15: implementation defined.
    p15("CBAR",       (4, 15, 0, 0), RO, Kind::Const(super::id::CBAR)),
    p15("c15",        (ANY, 15, ANY, ANY), RW, Kind::Const(0)),

    // Other encodings of c7 with opc1 = 0 did cache maintenance in earlier architectures. ATS12NSO
    // and its siblings (c8) belong to the Security Extensions and are UNDEFINED.
    p15("cache maintenance", (0, 7, 0, 0), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 0, 1), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 0, 2), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 0, 3), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 0, 5), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 0, 6), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 0, 7), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 1, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 2, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 3, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 4, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 5, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 6, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 7, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 9, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 10, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 11, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 12, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 13, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 14, ANY), WO, Kind::CacheOp),
    p15("cache maintenance", (0, 7, 15, ANY), WO, Kind::CacheOp),

    // CP14: debug (manual C11.2), ThumbEE (A2.10.1), Jazelle (A2.10.2).
    user(Read, p14("DBGDIDR",    (0, 0, 0, 0), RO, Kind::Dbgdidr)),
    user(Read, p14("DBGDSCRint", (0, 0, 1, 0), RO, Kind::Const(0))),
    p14("DBGDCCINT",  (0, 0, 2, 0), RW, Kind::Const(0)),
    p14("DBGDSCRext", (0, 0, 2, 2), RW, Kind::Dbgdscr),
    p14("DBGVCR",     (0, 0, 7, 0), RW, Kind::Const(0)),
    p14("DBGBVR",     (0, 0, ANY, 4), RW, Kind::Dbgbvr),
    p14("DBGBCR",     (0, 0, ANY, 5), RW, Kind::Dbgbcr),
    p14("DBGWVR",     (0, 0, ANY, 6), RW, Kind::Dbgwvr),
    p14("DBGWCR",     (0, 0, ANY, 7), RW, Kind::Dbgwcr),
    user(Read, p14("DBGDRAR",    (0, 1, 0, 0), RO, Kind::Const(0))),
    p14("DBGOSLAR",   (0, 1, 0, 4), WO, Kind::Dbgoslar),
    p14("DBGOSLSR",   (0, 1, 1, 4), RO, Kind::Dbgoslsr),
    p14("DBGOSDLR",   (0, 1, 3, 4), RW, Kind::Dbgosdlr),
    user(Read, p14("DBGDSAR",    (0, 2, 0, 0), RO, Kind::Const(0))),
    p14("DBGDEVID2",  (0, 7, 0, 0), RO, Kind::Const(0)),
    p14("DBGDEVID1",  (0, 7, 0, 1), RO, Kind::Dbgdevid1),
    p14("DBGDEVID",   (0, 7, 0, 2), RO, Kind::Dbgdevid),
    p14("TEECR",      (6, 0, 0, 0), RW, Kind::Teecr),
    user(ThumbEe, p14("TEEHBR",  (6, 1, 0, 0), RW, Kind::Teehbr)),
    user(Read, p14("JIDR",       (7, 0, 0, 0), RO, Kind::Const(0))),
    p14("JOSCR",      (7, 1, 0, 0), RW, Kind::Const(0)),
    p14("JMCR",       (7, 2, 0, 0), RW, Kind::Const(0)),
];

impl Register {
    const fn matches(&self, reg: &CpReg) -> bool {
        const fn field(pattern: u8, value: u8) -> bool {
            pattern == ANY || pattern == value
        }
        self.coproc == reg.coproc
            && field(self.opc1, reg.opc1)
            && self.crn == reg.crn
            && field(self.crm, reg.crm)
            && field(self.opc2, reg.opc2)
    }
}

/// No row.
const NONE: u8 = 0xff;
const _: () = assert!(REGISTERS.len() < NONE as usize);

/// The row of each (CRn, CRm, opc2) of coprocessor 15 with opc1 = 0: nearly all accesses are to
/// these.
static INDEX: [u8; 2048] = {
    let mut index = [NONE; 2048];
    let mut i = 0;
    while i < 2048 {
        let reg = CpReg {
            coproc: 15,
            opc1: 0,
            crn: (i >> 7) as u8,
            crm: (i >> 3 & 15) as u8,
            opc2: (i & 7) as u8,
        };
        let mut row = 0;
        while row < REGISTERS.len() {
            if REGISTERS[row].matches(&reg) {
                index[i] = row as u8;
                break;
            }
            row += 1;
        }
        i += 1;
    }
    index
};

/// The register that an instruction names, if there is one.
pub fn find(reg: CpReg) -> Option<&'static Register> {
    if reg.coproc == 15 && reg.opc1 == 0 {
        let i = usize::from(reg.crn & 15) << 7
            | usize::from(reg.crm & 15) << 3
            | usize::from(reg.opc2 & 7);
        return REGISTERS.get(usize::from(*INDEX.get(i)?));
    }
    REGISTERS.iter().find(|row| row.matches(&reg))
}
