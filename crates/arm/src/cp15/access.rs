//! MRC, MCR, MRRC and MCRR.

use super::pmu::{CYCLE, MAX_COUNTERS, Pmu};
use super::spec::{cnt_ctl, cntkctl, cpacr, pmcr, pmuserenr, sctlr, ttbcr};
use super::table::{self, Kind, Pl0, Pl1, Register, Tlb};
use super::{Effect, Inputs, TlbOp, Undefined, id, timer};
use crate::insn::{Barrier, CpReg};
use crate::state::CpuState;

/// CSSELR: Level and InD.
const CSSELR_BITS: u32 = 0xf;
/// PMSELR.SEL that selects PMCCFILTR.
const PMSELR_CYCLE: u32 = 31;
/// PMXEVTYPER: the event number and the filters.
const EVTYPER_BITS: u32 = 0xfe00_ffff;
/// PMCCFILTR: the filters.
const CCFILTR_BITS: u32 = 0xf800_0000;
/// TTBR0 and TTBR1 in the long-descriptor format: ASID and a 40-bit base.
const TTBR64_BITS: u64 = 0x00ff_00ff_ffff_ffff;

/// The register's name in the manual, for a disassembler or a trace.
pub fn name(reg: CpReg) -> Option<&'static str> {
    table::find(reg).map(|row| row.name)
}

/// Whether User mode has the access that a row asks it to check.
fn user_may(state: &CpuState, row: &Register, write: bool) -> bool {
    let kernel = state.timer.cntkctl;
    match row.pl0 {
        Pl0::No => false,
        Pl0::Same => true,
        Pl0::Read => !write,
        Pl0::Pmu => state.cp15.pmu.pmuserenr & pmuserenr::EN != 0,
        Pl0::PhysicalTimer => kernel & cntkctl::PL0PTEN != 0,
        Pl0::VirtualTimer => kernel & cntkctl::PL0VTEN != 0,
        Pl0::CounterFrequency => !write && kernel & (cntkctl::PL0PCTEN | cntkctl::PL0VCTEN) != 0,
        Pl0::ThumbEe => state.cp15.debug.teecr & 1 == 0,
    }
}

fn check(state: &CpuState, reg: CpReg, write: bool) -> Result<&'static Register, Undefined> {
    let row = table::find(reg).ok_or(Undefined)?;
    let exists = match row.pl1 {
        Pl1::ReadWrite => true,
        Pl1::ReadOnly => !write,
        Pl1::WriteOnly => write,
    };
    if exists && (state.privileged() || user_may(state, row, write)) {
        Ok(row)
    } else {
        Err(Undefined)
    }
}

/// Counters that PMCNTENSET and its siblings have bits for.
fn counter_bits(state: &CpuState) -> u32 {
    let counters = u32::from(id::of(state.model).counters);
    CYCLE | ((1 << counters) - 1)
}

/// The number of an event counter that exists.
fn counter(state: &CpuState, n: u32) -> Option<usize> {
    let n = n as usize;
    (n < usize::from(id::of(state.model).counters)).then_some(n)
}

fn event_count(state: &CpuState, pmu: &Pmu, n: u32) -> u32 {
    counter(state, n)
        .and_then(|n| pmu.pmevcntr.get(n).copied())
        .unwrap_or(0)
}

fn event_type(state: &CpuState, n: u32) -> u32 {
    let pmu = &state.cp15.pmu;
    match counter(state, n) {
        Some(n) => pmu.pmevtyper.get(n).copied().unwrap_or(0),
        None if n == PMSELR_CYCLE => pmu.pmccfiltr,
        None => 0,
    }
}

/// A slot of a debug register file; it reads as 0 and ignores writes where there is none.
fn slot(file: &[u32], n: u8) -> Result<u32, Undefined> {
    file.get(usize::from(n)).copied().ok_or(Undefined)
}

fn set_slot(file: &mut [u32], n: u8, value: u32) -> Result<(), Undefined> {
    *file.get_mut(usize::from(n)).ok_or(Undefined)? = value;
    Ok(())
}

/// A write to a register that has no effect where memory is all that an engine executes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Maintenance {
    /// [`Effect::CacheOp`].
    Data,
    /// [`Effect::InstructionCache`].
    Instructions,
}

/// What cache maintenance an MCR is, if that is all that it is, in privileged modes. In User mode it
/// is UNDEFINED.
pub fn maintenance(reg: CpReg) -> Option<Maintenance> {
    let row = table::find(reg)?;
    match row.kind {
        _ if row.pl0 != Pl0::No || row.pl1 == Pl1::ReadOnly => None,
        Kind::CacheOp => Some(Maintenance::Data),
        Kind::ICache => Some(Maintenance::Instructions),
        _ => None,
    }
}

/// Whether an access to a register looks at the counters of [`Inputs`]: those of performance
/// monitors (CRn 9) and timers (CRn 14) only.
pub fn looks_at_counters(reg: CpReg) -> bool {
    matches!(reg.crn, 9 | 14)
}

/// MRC: the value of a register, or why there is none.
pub fn read(state: &CpuState, reg: CpReg, inputs: &Inputs) -> Result<u32, Undefined> {
    let row = check(state, reg, false)?;
    let ids = id::of(state.model);
    let cp15 = &state.cp15;
    let pmu = &cp15.pmu;
    let debug = &cp15.debug;
    let timer = &state.timer;
    let virtual_count = timer.virtual_count(inputs.physical);
    Ok(match row.kind {
        Kind::Const(value) => value,

        Kind::Midr => ids.midr,
        Kind::Ctr => ids.ctr,
        Kind::Mpidr => id::mpidr(state.index),
        Kind::Revidr => ids.revidr,
        Kind::IdPfr0 => ids.id_pfr0,
        Kind::IdPfr1 => ids.id_pfr1,
        Kind::IdDfr0 => ids.id_dfr0,
        Kind::IdAfr0 => ids.id_afr0,
        Kind::IdMmfr(n) => ids.id_mmfr.get(usize::from(n)).copied().unwrap_or(0),
        Kind::IdIsar(n) => ids.id_isar.get(usize::from(n)).copied().unwrap_or(0),
        Kind::Ccsidr => ids.ccsidr.get(cp15.csselr as usize).copied().unwrap_or(0),
        Kind::Clidr => ids.clidr,
        Kind::Csselr => cp15.csselr,
        Kind::L2ctlr => id::l2ctlr(state.count),

        Kind::Sctlr => cp15.sctlr,
        Kind::Cpacr => cp15.cpacr,
        Kind::Ttbr0 => cp15.ttbr0 as u32,
        Kind::Ttbr1 => cp15.ttbr1 as u32,
        Kind::Ttbcr => cp15.ttbcr,
        Kind::Dacr => cp15.dacr,
        Kind::Dfsr => cp15.dfsr,
        Kind::Ifsr => cp15.ifsr,
        Kind::Dfar => cp15.dfar,
        Kind::Ifar => cp15.ifar,
        Kind::Par => cp15.par as u32,
        Kind::Prrr => cp15.mair0,
        Kind::Nmrr => cp15.mair1,
        Kind::Vbar => cp15.vbar,
        Kind::Isr => u32::from(inputs.irq) << 7 | u32::from(inputs.fiq) << 6,
        Kind::Contextidr => cp15.contextidr,
        Kind::Tpidrurw => cp15.tpidrurw,
        Kind::Tpidruro => cp15.tpidruro,
        Kind::Tpidrprw => cp15.tpidrprw,

        Kind::Pmcr => ids.pmcr | pmu.pmcr,
        Kind::Pmcntenset | Kind::Pmcntenclr => pmu.pmcnten,
        Kind::Pmovsr | Kind::Pmovsset => pmu.at(inputs.cycles).pmovsr,
        Kind::Pmselr => pmu.pmselr,
        Kind::Pmceid0 => Pmu::EVENTS,
        Kind::Pmccntr => pmu.at(inputs.cycles).pmccntr,
        Kind::Pmxevtyper => event_type(state, pmu.pmselr),
        Kind::Pmxevcntr => event_count(state, &pmu.at(inputs.cycles), pmu.pmselr),
        Kind::Pmuserenr => pmu.pmuserenr,
        Kind::Pmintenset | Kind::Pmintenclr => pmu.pminten,
        Kind::Pmevcntr => {
            let n = counter(state, reg.opc2.into()).ok_or(Undefined)?;
            event_count(state, &pmu.at(inputs.cycles), n as u32)
        }
        Kind::Pmevtyper => {
            let n = counter(state, reg.opc2.into()).ok_or(Undefined)?;
            event_type(state, n as u32)
        }
        Kind::Pmccfiltr => pmu.pmccfiltr,

        Kind::Cntfrq => timer.cntfrq,
        Kind::Cntkctl => timer.cntkctl,
        Kind::CntpTval => timer.cntp_cval.wrapping_sub(inputs.physical) as u32,
        Kind::CntpCtl => timer::control(timer.cntp_ctl, timer.cntp_cval, inputs.physical),
        Kind::CntvTval => timer.cntv_cval.wrapping_sub(virtual_count) as u32,
        Kind::CntvCtl => timer::control(timer.cntv_ctl, timer.cntv_cval, virtual_count),

        Kind::Dbgdidr => ids.dbgdidr,
        Kind::Dbgdscr => debug.dbgdscr,
        Kind::Dbgbvr => slot(&debug.dbgbvr, reg.crm)?,
        Kind::Dbgbcr => slot(&debug.dbgbcr, reg.crm)?,
        Kind::Dbgwvr => slot(&debug.dbgwvr, reg.crm)?,
        Kind::Dbgwcr => slot(&debug.dbgwcr, reg.crm)?,
        Kind::Dbgoslsr if debug.os_lock => id::OSLSR_OSLM | id::OSLSR_OSLK,
        Kind::Dbgoslsr => id::OSLSR_OSLM,
        Kind::Dbgosdlr => debug.dbgosdlr,
        Kind::Dbgdevid => ids.dbgdevid,
        Kind::Dbgdevid1 => ids.dbgdevid1,
        Kind::Teecr => debug.teecr,
        Kind::Teehbr => debug.teehbr,

        // Write-only: `check` has refused them.
        Kind::Wfi
        | Kind::Isb
        | Kind::Dsb
        | Kind::Dmb
        | Kind::ICache
        | Kind::CacheOp
        | Kind::Translate { .. }
        | Kind::Tlb { .. }
        | Kind::Pmswinc
        | Kind::Dbgoslar => return Err(Undefined),
    })
}

fn set_low(register: &mut u64, value: u32) {
    *register = *register & !u64::from(u32::MAX) | u64::from(value);
}

/// MCR: writes a register or does the operation that is encoded as one.
pub fn write(
    state: &mut CpuState,
    reg: CpReg,
    value: u32,
    inputs: &Inputs,
) -> Result<Effect, Undefined> {
    let row = check(state, reg, true)?;
    let cp15 = &mut state.cp15;
    let timer = &mut state.timer;
    let virtual_count = timer.virtual_count(inputs.physical);
    // TVAL is a signed offset from now.
    let offset = value as i32 as u64;
    let enable = value & (cnt_ctl::ENABLE | cnt_ctl::IMASK);
    Ok(match row.kind {
        Kind::Const(_) | Kind::L2ctlr => Effect::None,

        Kind::Csselr => {
            cp15.csselr = value & CSSELR_BITS;
            Effect::None
        }
        Kind::Sctlr => {
            cp15.sctlr = sctlr::RESET & !sctlr::WRITABLE | value & sctlr::WRITABLE;
            Effect::TranslationChanged
        }
        Kind::Cpacr => {
            cp15.cpacr = value & cpacr::WRITABLE;
            Effect::CoprocessorAccess
        }
        Kind::Ttbr0 => {
            set_low(&mut cp15.ttbr0, value);
            Effect::ContextChanged
        }
        Kind::Ttbr1 => {
            set_low(&mut cp15.ttbr1, value);
            Effect::ContextChanged
        }
        Kind::Ttbcr => {
            cp15.ttbcr = value
                & if value & ttbcr::EAE != 0 {
                    ttbcr::LONG_BITS
                } else {
                    ttbcr::SHORT_BITS
                };
            Effect::TranslationChanged
        }
        Kind::Dacr => {
            cp15.dacr = value;
            Effect::ContextChanged
        }
        Kind::Dfsr => {
            cp15.dfsr = value;
            Effect::None
        }
        Kind::Ifsr => {
            cp15.ifsr = value;
            Effect::None
        }
        Kind::Dfar => {
            cp15.dfar = value;
            Effect::None
        }
        Kind::Ifar => {
            cp15.ifar = value;
            Effect::None
        }
        Kind::Par => {
            set_low(&mut cp15.par, value);
            Effect::None
        }
        Kind::Prrr => {
            cp15.mair0 = value;
            Effect::TranslationChanged
        }
        Kind::Nmrr => {
            cp15.mair1 = value;
            Effect::TranslationChanged
        }
        Kind::Vbar => {
            cp15.vbar = value & !0x1f;
            Effect::None
        }
        Kind::Contextidr => {
            cp15.contextidr = value;
            Effect::ContextChanged
        }
        Kind::Tpidrurw => {
            cp15.tpidrurw = value;
            Effect::None
        }
        Kind::Tpidruro => {
            cp15.tpidruro = value;
            Effect::None
        }
        Kind::Tpidrprw => {
            cp15.tpidrprw = value;
            Effect::None
        }

        Kind::Wfi => Effect::Wfi,
        Kind::Isb => Effect::Barrier(Barrier::Isb),
        Kind::Dsb => Effect::Barrier(Barrier::Dsb),
        Kind::Dmb => Effect::Barrier(Barrier::Dmb),
        Kind::ICache => Effect::InstructionCache,
        Kind::CacheOp => Effect::CacheOp,
        Kind::Translate { write, privileged } => Effect::TranslateAddress {
            va: value,
            write,
            privileged,
        },
        Kind::Tlb {
            op,
            inner_shareable,
        } => Effect::Tlb {
            op: match op {
                Tlb::All => TlbOp::All,
                Tlb::Va => TlbOp::Va {
                    va: value & !0xfff,
                    asid: value as u8,
                },
                Tlb::Asid => TlbOp::Asid(value as u8),
                Tlb::VaAllAsids => TlbOp::VaAllAsids(value & !0xfff),
            },
            inner_shareable,
        },

        Kind::Pmcr
        | Kind::Pmcntenset
        | Kind::Pmcntenclr
        | Kind::Pmovsr
        | Kind::Pmovsset
        | Kind::Pmswinc
        | Kind::Pmselr
        | Kind::Pmccntr
        | Kind::Pmxevtyper
        | Kind::Pmxevcntr
        | Kind::Pmuserenr
        | Kind::Pmintenset
        | Kind::Pmintenclr
        | Kind::Pmevcntr
        | Kind::Pmevtyper
        | Kind::Pmccfiltr => return write_pmu(state, row.kind, reg, value, inputs.cycles),

        Kind::Cntfrq => {
            timer.cntfrq = value;
            Effect::None
        }
        Kind::Cntkctl => {
            timer.cntkctl = value & cntkctl::WRITABLE;
            Effect::TimerChanged
        }
        Kind::CntpTval => {
            timer.cntp_cval = inputs.physical.wrapping_add(offset);
            Effect::TimerChanged
        }
        Kind::CntpCtl => {
            timer.cntp_ctl = enable;
            Effect::TimerChanged
        }
        Kind::CntvTval => {
            timer.cntv_cval = virtual_count.wrapping_add(offset);
            Effect::TimerChanged
        }
        Kind::CntvCtl => {
            timer.cntv_ctl = enable;
            Effect::TimerChanged
        }

        Kind::Dbgdscr => {
            cp15.debug.dbgdscr = value;
            Effect::None
        }
        Kind::Dbgbvr => {
            set_slot(&mut cp15.debug.dbgbvr, reg.crm, value)?;
            Effect::None
        }
        Kind::Dbgbcr => {
            set_slot(&mut cp15.debug.dbgbcr, reg.crm, value)?;
            Effect::None
        }
        Kind::Dbgwvr => {
            // Watchpoints match words.
            set_slot(&mut cp15.debug.dbgwvr, reg.crm, value & !3)?;
            Effect::None
        }
        Kind::Dbgwcr => {
            set_slot(&mut cp15.debug.dbgwcr, reg.crm, value)?;
            Effect::None
        }
        Kind::Dbgoslar => {
            cp15.debug.os_lock = value == super::spec::OSLAR_KEY;
            Effect::None
        }
        Kind::Dbgosdlr => {
            cp15.debug.dbgosdlr = value & 1;
            Effect::None
        }
        Kind::Teecr => {
            cp15.debug.teecr = value & 1;
            Effect::None
        }
        Kind::Teehbr => {
            cp15.debug.teehbr = value;
            Effect::None
        }

        // Read-only: `check` has refused them.
        Kind::Midr
        | Kind::Ctr
        | Kind::Mpidr
        | Kind::Revidr
        | Kind::IdPfr0
        | Kind::IdPfr1
        | Kind::IdDfr0
        | Kind::IdAfr0
        | Kind::IdMmfr(_)
        | Kind::IdIsar(_)
        | Kind::Ccsidr
        | Kind::Clidr
        | Kind::Isr
        | Kind::Pmceid0
        | Kind::Dbgdidr
        | Kind::Dbgoslsr
        | Kind::Dbgdevid
        | Kind::Dbgdevid1 => return Err(Undefined),
    })
}

fn write_pmu(
    state: &mut CpuState,
    register: Kind,
    reg: CpReg,
    value: u32,
    cycles: u64,
) -> Result<Effect, Undefined> {
    let bits = value & counter_bits(state);
    let by_number = counter(state, reg.opc2.into());
    let selected = counter(state, state.cp15.pmu.pmselr);
    let pmu = &mut state.cp15.pmu;
    pmu.sync(cycles);
    match register {
        Kind::Pmcr => {
            pmu.pmcr = value & pmcr::WRITABLE;
            if value & pmcr::P != 0 {
                pmu.pmevcntr = [0; MAX_COUNTERS];
            }
            if value & pmcr::C != 0 {
                pmu.pmccntr = 0;
                pmu.divider = 0;
            }
        }
        Kind::Pmcntenset => pmu.pmcnten |= bits,
        Kind::Pmcntenclr => pmu.pmcnten &= !bits,
        Kind::Pmovsr => pmu.pmovsr &= !bits,
        Kind::Pmovsset => pmu.pmovsr |= bits,
        Kind::Pmswinc => pmu.software_increment(bits),
        Kind::Pmselr => pmu.pmselr = value & 0x1f,
        Kind::Pmccntr => {
            pmu.pmccntr = value;
            pmu.divider = 0;
        }
        Kind::Pmxevtyper if pmu.pmselr == PMSELR_CYCLE => pmu.pmccfiltr = value & CCFILTR_BITS,
        Kind::Pmccfiltr => pmu.pmccfiltr = value & CCFILTR_BITS,
        // A number that no counter has is UNPREDICTABLE: nothing happens.
        Kind::Pmxevtyper => {
            if let Some(kind) = selected.and_then(|n| pmu.pmevtyper.get_mut(n)) {
                *kind = value & EVTYPER_BITS;
            }
        }
        Kind::Pmxevcntr => {
            if let Some(count) = selected.and_then(|n| pmu.pmevcntr.get_mut(n)) {
                *count = value;
            }
        }
        Kind::Pmevtyper => {
            let kind = by_number.and_then(|n| pmu.pmevtyper.get_mut(n));
            *kind.ok_or(Undefined)? = value & EVTYPER_BITS;
        }
        Kind::Pmevcntr => {
            let count = by_number.and_then(|n| pmu.pmevcntr.get_mut(n));
            *count.ok_or(Undefined)? = value;
        }
        Kind::Pmuserenr => pmu.pmuserenr = value & pmuserenr::EN,
        Kind::Pmintenset => pmu.pminten |= bits,
        Kind::Pmintenclr => pmu.pminten &= !bits,
        _ => return Err(Undefined),
    }
    Ok(Effect::PmuChanged)
}

/// MRRC: the value of a 64-bit register, named by coprocessor, opc1 and CRm.
pub fn read64(
    state: &CpuState,
    coproc: u8,
    opc1: u8,
    crm: u8,
    inputs: &Inputs,
) -> Result<u64, Undefined> {
    let privileged = state.privileged();
    let kernel = state.timer.cntkctl;
    let timer = &state.timer;
    let (value, user) = match (coproc, opc1, crm) {
        (15, 0, 2) => (state.cp15.ttbr0, false),
        (15, 1, 2) => (state.cp15.ttbr1, false),
        (15, 0, 7) => (state.cp15.par, false),
        // CNTPCT, CNTVCT, CNTP_CVAL, CNTV_CVAL.
        (15, 0, 14) => (inputs.physical, kernel & cntkctl::PL0PCTEN != 0),
        (15, 1, 14) => (
            timer.virtual_count(inputs.physical),
            kernel & cntkctl::PL0VCTEN != 0,
        ),
        (15, 2, 14) => (timer.cntp_cval, kernel & cntkctl::PL0PTEN != 0),
        (15, 3, 14) => (timer.cntv_cval, kernel & cntkctl::PL0VTEN != 0),
        // DBGDRAR, DBGDSAR: no memory-mapped debug registers.
        (14, 0, 1 | 2) => (0, true),
        _ => return Err(Undefined),
    };
    if privileged || user {
        Ok(value)
    } else {
        Err(Undefined)
    }
}

/// MCRR: writes a 64-bit register.
pub fn write64(
    state: &mut CpuState,
    coproc: u8,
    opc1: u8,
    crm: u8,
    value: u64,
) -> Result<Effect, Undefined> {
    let kernel = state.timer.cntkctl;
    let user = coproc == 15
        && crm == 14
        && match opc1 {
            2 => kernel & cntkctl::PL0PTEN != 0,
            3 => kernel & cntkctl::PL0VTEN != 0,
            _ => false,
        };
    if !state.privileged() && !user {
        return Err(Undefined);
    }
    Ok(match (coproc, opc1, crm) {
        (15, 0, 2) => {
            state.cp15.ttbr0 = value & TTBR64_BITS;
            Effect::ContextChanged
        }
        (15, 1, 2) => {
            state.cp15.ttbr1 = value & TTBR64_BITS;
            Effect::ContextChanged
        }
        (15, 0, 7) => {
            state.cp15.par = value;
            Effect::None
        }
        (15, 2, 14) => {
            state.timer.cntp_cval = value;
            Effect::TimerChanged
        }
        (15, 3, 14) => {
            state.timer.cntv_cval = value;
            Effect::TimerChanged
        }
        _ => return Err(Undefined),
    })
}
