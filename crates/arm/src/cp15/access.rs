//! MRC, MCR, MRRC and MCRR.

use super::pmu::{CYCLE, MAX_COUNTERS, Pmu};
use super::spec::{cnt_ctl, cntkctl, cpacr, pmcr, pmuserenr, sctlr, ttbcr};
use super::table::{self, Id, Pl0, Pl1, Register, Tlb};
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
const CCFILTR_BITS: u32 = 0xfc00_0000;
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

/// MRC: the value of a register, or why there is none.
pub fn read(state: &CpuState, reg: CpReg, inputs: &Inputs) -> Result<u32, Undefined> {
    let row = check(state, reg, false)?;
    let ids = id::of(state.model);
    let cp15 = &state.cp15;
    let pmu = &cp15.pmu;
    let debug = &cp15.debug;
    let timer = &state.timer;
    let virtual_count = timer.virtual_count(inputs.physical);
    Ok(match row.id {
        Id::Const(value) => value,

        Id::Midr => ids.midr,
        Id::Ctr => ids.ctr,
        Id::Mpidr => id::mpidr(state.index),
        Id::Revidr => ids.revidr,
        Id::IdPfr0 => ids.id_pfr0,
        Id::IdPfr1 => ids.id_pfr1,
        Id::IdDfr0 => ids.id_dfr0,
        Id::IdAfr0 => ids.id_afr0,
        Id::IdMmfr(n) => ids.id_mmfr.get(usize::from(n)).copied().unwrap_or(0),
        Id::IdIsar(n) => ids.id_isar.get(usize::from(n)).copied().unwrap_or(0),
        Id::Ccsidr => ids.ccsidr.get(cp15.csselr as usize).copied().unwrap_or(0),
        Id::Clidr => ids.clidr,
        Id::Csselr => cp15.csselr,
        Id::L2ctlr => id::l2ctlr(state.count),

        Id::Sctlr => cp15.sctlr,
        Id::Cpacr => cp15.cpacr,
        Id::Ttbr0 => cp15.ttbr0 as u32,
        Id::Ttbr1 => cp15.ttbr1 as u32,
        Id::Ttbcr => cp15.ttbcr,
        Id::Dacr => cp15.dacr,
        Id::Dfsr => cp15.dfsr,
        Id::Ifsr => cp15.ifsr,
        Id::Dfar => cp15.dfar,
        Id::Ifar => cp15.ifar,
        Id::Par => cp15.par as u32,
        Id::Prrr => cp15.mair0,
        Id::Nmrr => cp15.mair1,
        Id::Vbar => cp15.vbar,
        Id::Isr => u32::from(inputs.irq) << 7 | u32::from(inputs.fiq) << 6,
        Id::Contextidr => cp15.contextidr,
        Id::Tpidrurw => cp15.tpidrurw,
        Id::Tpidruro => cp15.tpidruro,
        Id::Tpidrprw => cp15.tpidrprw,

        Id::Pmcr => ids.pmcr | pmu.pmcr,
        Id::Pmcntenset | Id::Pmcntenclr => pmu.pmcnten,
        Id::Pmovsr | Id::Pmovsset => pmu.at(inputs.cycles).pmovsr,
        Id::Pmselr => pmu.pmselr,
        Id::Pmceid0 => Pmu::EVENTS,
        Id::Pmccntr => pmu.at(inputs.cycles).pmccntr,
        Id::Pmxevtyper => event_type(state, pmu.pmselr),
        Id::Pmxevcntr => event_count(state, &pmu.at(inputs.cycles), pmu.pmselr),
        Id::Pmuserenr => pmu.pmuserenr,
        Id::Pmintenset | Id::Pmintenclr => pmu.pminten,
        Id::Pmevcntr => {
            let n = counter(state, reg.opc2.into()).ok_or(Undefined)?;
            event_count(state, &pmu.at(inputs.cycles), n as u32)
        }
        Id::Pmevtyper => {
            let n = counter(state, reg.opc2.into()).ok_or(Undefined)?;
            event_type(state, n as u32)
        }
        Id::Pmccfiltr => pmu.pmccfiltr,

        Id::Cntfrq => timer.cntfrq,
        Id::Cntkctl => timer.cntkctl,
        Id::CntpTval => timer.cntp_cval.wrapping_sub(inputs.physical) as u32,
        Id::CntpCtl => timer::control(timer.cntp_ctl, timer.cntp_cval, inputs.physical),
        Id::CntvTval => timer.cntv_cval.wrapping_sub(virtual_count) as u32,
        Id::CntvCtl => timer::control(timer.cntv_ctl, timer.cntv_cval, virtual_count),

        Id::Dbgdidr => ids.dbgdidr,
        Id::Dbgdscr => debug.dbgdscr,
        Id::Dbgbvr => slot(&debug.dbgbvr, reg.crm)?,
        Id::Dbgbcr => slot(&debug.dbgbcr, reg.crm)?,
        Id::Dbgwvr => slot(&debug.dbgwvr, reg.crm)?,
        Id::Dbgwcr => slot(&debug.dbgwcr, reg.crm)?,
        Id::Dbgoslsr if debug.os_lock => id::OSLSR_OSLM | id::OSLSR_OSLK,
        Id::Dbgoslsr => id::OSLSR_OSLM,
        Id::Dbgosdlr => debug.dbgosdlr,
        Id::Dbgdevid => ids.dbgdevid,
        Id::Dbgdevid1 => ids.dbgdevid1,
        Id::Teecr => debug.teecr,
        Id::Teehbr => debug.teehbr,

        // Write-only: `check` has refused them.
        Id::Wfi
        | Id::Isb
        | Id::Dsb
        | Id::Dmb
        | Id::ICache
        | Id::CacheOp
        | Id::Translate { .. }
        | Id::Tlb { .. }
        | Id::Pmswinc
        | Id::Dbgoslar => return Err(Undefined),
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
    Ok(match row.id {
        Id::Const(_) | Id::L2ctlr => Effect::None,

        Id::Csselr => {
            cp15.csselr = value & CSSELR_BITS;
            Effect::None
        }
        Id::Sctlr => {
            cp15.sctlr = sctlr::RESET & !sctlr::WRITABLE | value & sctlr::WRITABLE;
            Effect::TranslationChanged
        }
        Id::Cpacr => {
            cp15.cpacr = value & cpacr::WRITABLE;
            Effect::CoprocessorAccess
        }
        Id::Ttbr0 => {
            set_low(&mut cp15.ttbr0, value);
            Effect::ContextChanged
        }
        Id::Ttbr1 => {
            set_low(&mut cp15.ttbr1, value);
            Effect::ContextChanged
        }
        Id::Ttbcr => {
            cp15.ttbcr = value
                & if value & ttbcr::EAE != 0 {
                    ttbcr::LONG_BITS
                } else {
                    ttbcr::SHORT_BITS
                };
            Effect::TranslationChanged
        }
        Id::Dacr => {
            cp15.dacr = value;
            Effect::ContextChanged
        }
        Id::Dfsr => {
            cp15.dfsr = value;
            Effect::None
        }
        Id::Ifsr => {
            cp15.ifsr = value;
            Effect::None
        }
        Id::Dfar => {
            cp15.dfar = value;
            Effect::None
        }
        Id::Ifar => {
            cp15.ifar = value;
            Effect::None
        }
        Id::Par => {
            set_low(&mut cp15.par, value);
            Effect::None
        }
        Id::Prrr => {
            cp15.mair0 = value;
            Effect::TranslationChanged
        }
        Id::Nmrr => {
            cp15.mair1 = value;
            Effect::TranslationChanged
        }
        Id::Vbar => {
            cp15.vbar = value & !0x1f;
            Effect::None
        }
        Id::Contextidr => {
            cp15.contextidr = value;
            Effect::ContextChanged
        }
        Id::Tpidrurw => {
            cp15.tpidrurw = value;
            Effect::None
        }
        Id::Tpidruro => {
            cp15.tpidruro = value;
            Effect::None
        }
        Id::Tpidrprw => {
            cp15.tpidrprw = value;
            Effect::None
        }

        Id::Wfi => Effect::Wfi,
        Id::Isb => Effect::Barrier(Barrier::Isb),
        Id::Dsb => Effect::Barrier(Barrier::Dsb),
        Id::Dmb => Effect::Barrier(Barrier::Dmb),
        Id::ICache => Effect::InstructionCache,
        Id::CacheOp => Effect::CacheOp,
        Id::Translate { write, privileged } => Effect::TranslateAddress {
            va: value,
            write,
            privileged,
        },
        Id::Tlb {
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

        Id::Pmcr
        | Id::Pmcntenset
        | Id::Pmcntenclr
        | Id::Pmovsr
        | Id::Pmovsset
        | Id::Pmswinc
        | Id::Pmselr
        | Id::Pmccntr
        | Id::Pmxevtyper
        | Id::Pmxevcntr
        | Id::Pmuserenr
        | Id::Pmintenset
        | Id::Pmintenclr
        | Id::Pmevcntr
        | Id::Pmevtyper
        | Id::Pmccfiltr => return write_pmu(state, row.id, reg, value, inputs.cycles),

        Id::Cntfrq => {
            timer.cntfrq = value;
            Effect::None
        }
        Id::Cntkctl => {
            timer.cntkctl = value & cntkctl::WRITABLE;
            Effect::TimerChanged
        }
        Id::CntpTval => {
            timer.cntp_cval = inputs.physical.wrapping_add(offset);
            Effect::TimerChanged
        }
        Id::CntpCtl => {
            timer.cntp_ctl = enable;
            Effect::TimerChanged
        }
        Id::CntvTval => {
            timer.cntv_cval = virtual_count.wrapping_add(offset);
            Effect::TimerChanged
        }
        Id::CntvCtl => {
            timer.cntv_ctl = enable;
            Effect::TimerChanged
        }

        Id::Dbgdscr => {
            cp15.debug.dbgdscr = value;
            Effect::None
        }
        Id::Dbgbvr => {
            set_slot(&mut cp15.debug.dbgbvr, reg.crm, value)?;
            Effect::None
        }
        Id::Dbgbcr => {
            set_slot(&mut cp15.debug.dbgbcr, reg.crm, value)?;
            Effect::None
        }
        Id::Dbgwvr => {
            // Watchpoints match words.
            set_slot(&mut cp15.debug.dbgwvr, reg.crm, value & !3)?;
            Effect::None
        }
        Id::Dbgwcr => {
            set_slot(&mut cp15.debug.dbgwcr, reg.crm, value)?;
            Effect::None
        }
        Id::Dbgoslar => {
            cp15.debug.os_lock = value == super::spec::OSLAR_KEY;
            Effect::None
        }
        Id::Dbgosdlr => {
            cp15.debug.dbgosdlr = value & 1;
            Effect::None
        }
        Id::Teecr => {
            cp15.debug.teecr = value & 1;
            Effect::None
        }
        Id::Teehbr => {
            cp15.debug.teehbr = value;
            Effect::None
        }

        // Read-only: `check` has refused them.
        Id::Midr
        | Id::Ctr
        | Id::Mpidr
        | Id::Revidr
        | Id::IdPfr0
        | Id::IdPfr1
        | Id::IdDfr0
        | Id::IdAfr0
        | Id::IdMmfr(_)
        | Id::IdIsar(_)
        | Id::Ccsidr
        | Id::Clidr
        | Id::Isr
        | Id::Pmceid0
        | Id::Dbgdidr
        | Id::Dbgoslsr
        | Id::Dbgdevid
        | Id::Dbgdevid1 => return Err(Undefined),
    })
}

fn write_pmu(
    state: &mut CpuState,
    register: Id,
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
        Id::Pmcr => {
            pmu.pmcr = value & pmcr::WRITABLE;
            if value & pmcr::P != 0 {
                pmu.pmevcntr = [0; MAX_COUNTERS];
            }
            if value & pmcr::C != 0 {
                pmu.pmccntr = 0;
                pmu.divider = 0;
            }
        }
        Id::Pmcntenset => pmu.pmcnten |= bits,
        Id::Pmcntenclr => pmu.pmcnten &= !bits,
        Id::Pmovsr => pmu.pmovsr &= !bits,
        Id::Pmovsset => pmu.pmovsr |= bits,
        Id::Pmswinc => pmu.software_increment(bits),
        Id::Pmselr => pmu.pmselr = value & 0x1f,
        Id::Pmccntr => {
            pmu.pmccntr = value;
            pmu.divider = 0;
        }
        Id::Pmxevtyper if pmu.pmselr == PMSELR_CYCLE => pmu.pmccfiltr = value & CCFILTR_BITS,
        Id::Pmccfiltr => pmu.pmccfiltr = value & CCFILTR_BITS,
        // A number that no counter has is UNPREDICTABLE: nothing happens.
        Id::Pmxevtyper => {
            if let Some(kind) = selected.and_then(|n| pmu.pmevtyper.get_mut(n)) {
                *kind = value & EVTYPER_BITS;
            }
        }
        Id::Pmxevcntr => {
            if let Some(count) = selected.and_then(|n| pmu.pmevcntr.get_mut(n)) {
                *count = value;
            }
        }
        Id::Pmevtyper => {
            let kind = by_number.and_then(|n| pmu.pmevtyper.get_mut(n));
            *kind.ok_or(Undefined)? = value & EVTYPER_BITS;
        }
        Id::Pmevcntr => {
            let count = by_number.and_then(|n| pmu.pmevcntr.get_mut(n));
            *count.ok_or(Undefined)? = value;
        }
        Id::Pmuserenr => pmu.pmuserenr = value & pmuserenr::EN,
        Id::Pmintenset => pmu.pminten |= bits,
        Id::Pmintenclr => pmu.pminten &= !bits,
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
