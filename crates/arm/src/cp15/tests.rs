extern crate std;
use std::format;
use std::prelude::v1::*;

use super::*;
use crate::insn::{Barrier, CpReg};
use crate::state::{CpuModel, Mode};

fn cpu() -> CpuState {
    CpuState::new(CpuModel::CortexA15, 0, 2)
}

const fn p15(opc1: u8, crn: u8, crm: u8, opc2: u8) -> CpReg {
    CpReg {
        coproc: 15,
        opc1,
        crn,
        crm,
        opc2,
    }
}

const fn p14(opc1: u8, crn: u8, crm: u8, opc2: u8) -> CpReg {
    CpReg {
        coproc: 14,
        ..p15(opc1, crn, crm, opc2)
    }
}

const SCTLR: CpReg = p15(0, 1, 0, 0);
const PMCR: CpReg = p15(0, 9, 12, 0);
const PMCNTENSET: CpReg = p15(0, 9, 12, 1);
const PMOVSR: CpReg = p15(0, 9, 12, 3);
const PMSELR: CpReg = p15(0, 9, 12, 5);
const PMCCNTR: CpReg = p15(0, 9, 13, 0);
const PMXEVTYPER: CpReg = p15(0, 9, 13, 1);
const PMXEVCNTR: CpReg = p15(0, 9, 13, 2);
const PMUSERENR: CpReg = p15(0, 9, 14, 0);
const PMINTENSET: CpReg = p15(0, 9, 14, 1);
const CNTKCTL: CpReg = p15(0, 14, 1, 0);
const CNTP_TVAL: CpReg = p15(0, 14, 2, 0);
const CNTP_CTL: CpReg = p15(0, 14, 2, 1);
const CNTV_TVAL: CpReg = p15(0, 14, 3, 0);
const CNTV_CTL: CpReg = p15(0, 14, 3, 1);

fn at(physical: u64) -> Inputs {
    Inputs {
        physical,
        ..Inputs::default()
    }
}

fn cycles(cycles: u64) -> Inputs {
    Inputs {
        cycles,
        ..Inputs::default()
    }
}

fn get(state: &CpuState, reg: CpReg) -> u32 {
    read(state, reg, &Inputs::default()).expect("readable")
}

fn set(state: &mut CpuState, reg: CpReg, value: u32) -> Effect {
    write(state, reg, value, &Inputs::default()).expect("writable")
}

/// A line of the tables in `qemu/`: what QEMU 7.2's board shows of a register to privileged code:
/// its value after reset, whether it can be written, and what it reads after all ones were.
struct Shown {
    reg: CpReg,
    value: Option<u32>,
    writable: bool,
    ones: Option<u32>,
}

fn shown(text: &str) -> Vec<Shown> {
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let number = |i: usize| fields[i].trim_start_matches('c').parse().expect("a number");
            let hex = |i: usize| u32::from_str_radix(fields[i], 16).ok();
            Shown {
                reg: CpReg {
                    coproc: number(0),
                    opc1: number(1),
                    crn: number(2),
                    crm: number(3),
                    opc2: number(4),
                },
                value: hex(5),
                writable: fields[6] == "w",
                ones: hex(7),
            }
        })
        .collect()
}

const QEMU: [(CpuModel, &str); 2] = [
    (CpuModel::CortexA15, include_str!("qemu/cortex-a15.txt")),
    (CpuModel::CortexA7, include_str!("qemu/cortex-a7.txt")),
];

#[test]
fn registers_are_those_of_the_board_that_guests_know() {
    for (model, text) in QEMU {
        for line in shown(text) {
            let reg = line.reg;
            let label = format!("{model:?} {reg:?} {:?}", name(reg));
            let mut state = CpuState::new(model, 0, 2);
            // The table was made after OSLAR had unlocked, by code that used VBAR.
            state.cp15.debug.os_lock = false;
            match name(reg) {
                // These move, or are set by the code that made the table.
                Some("VBAR" | "CNTP_TVAL" | "CNTV_TVAL" | "SCTLR") => {
                    assert!(read(&state, reg, &Inputs::default()).is_ok());
                    assert!(write(&mut state, reg, 0, &Inputs::default()).is_ok());
                    continue;
                }
                // All ones had been written to the SET register before.
                Some("PMCNTENCLR" | "PMINTENCLR") => {
                    let set_register = CpReg {
                        opc2: reg.opc2 - 1,
                        ..reg
                    };
                    set(&mut state, set_register, u32::MAX);
                }
                _ => {}
            }
            assert_eq!(
                read(&state, reg, &Inputs::default()).ok(),
                line.value,
                "{label} reads"
            );
            let written = write(&mut state, reg, u32::MAX, &Inputs::default());
            assert_eq!(written.is_ok(), line.writable, "{label} written");
            let Some(ones) = line.ones else { continue };
            let expected = match name(reg) {
                // Not on these processors, whatever QEMU says: the Fast Context Switch Extension,
                // PMCR.LC and LP, and bits of CNTKCTL beyond the manual's.
                Some("FCSEIDR") => 0,
                Some("PMCR") => ones & !0xc0,
                Some("CNTKCTL") => 0x3ff,
                _ => ones,
            };
            assert_eq!(get(&state, reg), expected, "{label} after ones");
        }
    }
}

#[test]
fn what_the_board_lacks_is_undefined() {
    for (model, text) in QEMU {
        let known = shown(text);
        for coproc in [14, 15] {
            for n in 0..1u32 << 14 {
                let reg = CpReg {
                    coproc,
                    opc1: (n >> 11) as u8,
                    crn: (n >> 7 & 15) as u8,
                    crm: (n >> 3 & 15) as u8,
                    opc2: (n & 7) as u8,
                };
                if known.iter().any(|line| line.reg == reg) {
                    continue;
                }
                let mut state = CpuState::new(model, 0, 2);
                let readable = read(&state, reg, &Inputs::default()).is_ok();
                let writable = write(&mut state, reg, 0, &Inputs::default()).is_ok();
                // Rows with wildcards, WFI, and the event identification that QEMU leaves out.
                let expected = match (coproc, reg.crn) {
                    (15, 3) => true,
                    (15, 7) => reg.opc1 == 0 && reg.crm == 0 && reg.opc2 == 4,
                    (15, 10) => matches!(reg.crm, 0 | 1 | 4 | 8),
                    (15, 15) => true,
                    (15, 9) => reg.opc1 == 0 && reg.crm == 12 && reg.opc2 >= 6,
                    _ => false,
                };
                assert_eq!(readable || writable, expected, "{model:?} {reg:?}");
            }
        }
    }
}

#[test]
fn other_coprocessors_have_nothing() {
    for coproc in (0..14).chain(16..=255) {
        let reg = CpReg {
            coproc,
            ..p15(0, 0, 0, 0)
        };
        assert_eq!(read(&cpu(), reg, &Inputs::default()), Err(Undefined));
        assert!(read64(&cpu(), coproc, 0, 2, &Inputs::default()).is_err());
        assert!(write64(&mut cpu(), coproc, 0, 2, 0).is_err());
    }
    // Encodings that no instruction has.
    for reg in [
        p15(9, 0, 0, 0),
        p15(0, 16, 0, 0),
        p15(0, 0, 99, 0),
        p15(0, 0, 0, 99),
    ] {
        let _ = read(&cpu(), reg, &Inputs::default());
        let _ = write(&mut cpu(), reg, 0, &Inputs::default());
    }
}

#[test]
fn user_mode_has_little() {
    let mut state = cpu();
    state.change_mode(Mode::User);
    let concrete = |field| if field == table::ANY { 0 } else { field };
    let mut readable = Vec::new();
    let mut writable = Vec::new();
    for row in table::REGISTERS {
        let reg = CpReg {
            coproc: row.coproc,
            opc1: concrete(row.opc1),
            crn: row.crn,
            crm: concrete(row.crm),
            opc2: concrete(row.opc2),
        };
        if read(&state, reg, &Inputs::default()).is_ok() {
            readable.push(row.name);
        }
        if write(&mut state.clone(), reg, 0, &Inputs::default()).is_ok() {
            writable.push(row.name);
        }
    }
    assert_eq!(
        readable,
        [
            "PMUSERENR",
            "TPIDRURW",
            "TPIDRURO",
            "DBGDIDR",
            "DBGDSCRint",
            "DBGDRAR",
            "DBGDSAR",
            "TEEHBR",
            "JIDR"
        ]
    );
    assert_eq!(
        writable,
        ["CP15ISB", "CP15DSB", "CP15DMB", "TPIDRURW", "TEEHBR"]
    );
}

#[test]
fn user_mode_gets_what_the_kernel_enables() {
    let denied = |state: &CpuState, reg| read(state, reg, &Inputs::default()).is_err();
    let mut state = cpu();
    set(&mut state, PMUSERENR, 1);
    state.change_mode(Mode::User);
    assert!(!denied(&state, PMCCNTR));
    assert!(denied(&state, PMINTENSET), "never in User mode");
    assert!(write(&mut state, PMUSERENR, 0, &Inputs::default()).is_err());

    // CNTKCTL bit, 32-bit registers, and the opc1 of 64-bit ones.
    let cases: [(u32, &[CpReg], u8); 4] = [
        (0x001, &[], 0),
        (0x002, &[], 1),
        (0x200, &[CNTP_TVAL, CNTP_CTL], 2),
        (0x100, &[CNTV_TVAL, CNTV_CTL], 3),
    ];
    for (enabled, ..) in cases {
        let mut state = cpu();
        set(&mut state, CNTKCTL, enabled);
        state.change_mode(Mode::User);
        for (bit, regs, opc1) in cases {
            let allowed = bit == enabled;
            for &reg in regs {
                assert_eq!(!denied(&state, reg), allowed, "{reg:?} with {enabled:#x}");
                let written = write(&mut state.clone(), reg, 0, &Inputs::default());
                assert_eq!(written.is_ok(), allowed);
            }
            let wide = read64(&state, 15, opc1, 14, &Inputs::default());
            assert_eq!(wide.is_ok(), allowed);
            let written = write64(&mut state.clone(), 15, opc1, 14, 0);
            assert_eq!(written.is_ok(), allowed && opc1 >= 2);
        }
        let frequency = p15(0, 14, 0, 0);
        assert_eq!(!denied(&state, frequency), enabled & 3 != 0);
        assert!(write(&mut state, frequency, 0, &Inputs::default()).is_err());
        assert!(denied(&state, CNTKCTL));
        assert!(read64(&state, 15, 0, 2, &Inputs::default()).is_err());
    }
}

#[test]
fn writes_tell_the_engine_what_to_do() {
    let cases = [
        (p15(0, 1, 0, 0), 0, Effect::TranslationChanged),
        (p15(0, 2, 0, 2), 0, Effect::TranslationChanged),
        (p15(0, 10, 2, 0), 0, Effect::TranslationChanged),
        (p15(0, 10, 2, 1), 0, Effect::TranslationChanged),
        (p15(0, 2, 0, 0), 0, Effect::ContextChanged),
        (p15(0, 2, 0, 1), 0, Effect::ContextChanged),
        (p15(0, 3, 0, 0), 0, Effect::ContextChanged),
        (p15(0, 13, 0, 1), 0, Effect::ContextChanged),
        (p15(0, 1, 0, 2), 0, Effect::CoprocessorAccess),
        (p15(0, 7, 5, 0), 0, Effect::InstructionCache),
        (p15(0, 7, 5, 1), 0, Effect::InstructionCache),
        (p15(0, 7, 1, 0), 0, Effect::InstructionCache),
        (p15(0, 7, 14, 2), 0, Effect::CacheOp),
        (p15(0, 7, 5, 6), 0, Effect::CacheOp),
        (p15(0, 7, 5, 4), 0, Effect::Barrier(Barrier::Isb)),
        (p15(0, 7, 10, 4), 0, Effect::Barrier(Barrier::Dsb)),
        (p15(0, 7, 10, 5), 0, Effect::Barrier(Barrier::Dmb)),
        (p15(0, 7, 0, 4), 0, Effect::Wfi),
        (CNTV_CTL, 1, Effect::TimerChanged),
        (PMCR, 1, Effect::PmuChanged),
        (p15(0, 13, 0, 4), 0, Effect::None),
    ];
    for (reg, value, effect) in cases {
        assert_eq!(set(&mut cpu(), reg, value), effect, "{:?}", name(reg));
    }
    for (opc2, write, privileged) in [
        (0, false, true),
        (1, true, true),
        (2, false, false),
        (3, true, false),
    ] {
        assert_eq!(
            set(&mut cpu(), p15(0, 7, 8, opc2), 0x1234_5678),
            Effect::TranslateAddress {
                va: 0x1234_5678,
                write,
                privileged
            }
        );
    }
}

#[test]
fn tlb_maintenance() {
    let va = 0xc012_3000;
    let asid = 0x45;
    let value = va | u32::from(asid);
    let ops = [
        TlbOp::All,
        TlbOp::Va { va, asid },
        TlbOp::Asid(asid),
        TlbOp::VaAllAsids(va),
    ];
    for (crm, inner_shareable) in [(3, true), (5, false), (6, false), (7, false)] {
        for (opc2, op) in (0u8..).zip(ops) {
            let result = write(&mut cpu(), p15(0, 8, crm, opc2), value, &Inputs::default());
            // The separate TLBs have no operation for all ASIDs.
            let expected = if opc2 == 3 && matches!(crm, 5 | 6) {
                Err(Undefined)
            } else {
                Ok(Effect::Tlb {
                    op,
                    inner_shareable,
                })
            };
            assert_eq!(result, expected, "c8, c{crm}, {opc2}");
        }
    }
}

#[test]
fn sctlr_keeps_its_fixed_bits() {
    let mut state = cpu();
    set(&mut state, SCTLR, 0);
    assert_eq!(get(&state, SCTLR), 0x00c5_0078);
    set(&mut state, SCTLR, u32::MAX);
    assert_eq!(get(&state, SCTLR) & !sctlr::WRITABLE, 0x00c5_0078);
    assert_eq!(get(&state, SCTLR) & sctlr::WRITABLE, sctlr::WRITABLE);
    assert_eq!(get(&state, SCTLR) & sctlr::NMFI, 0);
}

#[test]
fn identification_of_each_cpu() {
    for index in 0..8 {
        let state = CpuState::new(CpuModel::CortexA15, index, 8);
        assert_eq!(get(&state, p15(0, 0, 0, 5)), 0x8000_0000 | u32::from(index));
        assert_eq!(get(&state, p15(1, 9, 0, 2)), 0x0780_0000);
    }
    let state = CpuState::new(CpuModel::CortexA15, 0, 1);
    assert_eq!(get(&state, p15(1, 9, 0, 2)), 0x0080_0000);
    // A state made without CPUs doesn't underflow.
    let state = CpuState::new(CpuModel::CortexA15, 0, 0);
    assert_eq!(get(&state, p15(1, 9, 0, 2)), 0x0080_0000);
}

#[test]
fn cache_sizes_by_cache() {
    let mut state = cpu();
    for (select, size) in [
        (0, 0x701f_e00a),
        (1, 0x201f_e00a),
        (2, 0x711f_e07a),
        (3, 0),
        (15, 0),
    ] {
        set(&mut state, p15(2, 0, 0, 0), select);
        assert_eq!(get(&state, p15(1, 0, 0, 0)), size);
    }
}

#[test]
fn wide_translation_table_registers() {
    let mut state = cpu();
    let value = 0x0012_0045_8000_4000;
    assert_eq!(
        write64(&mut state, 15, 0, 2, value),
        Ok(Effect::ContextChanged)
    );
    assert_eq!(read64(&state, 15, 0, 2, &Inputs::default()), Ok(value));
    // A narrow write leaves the upper half.
    set(&mut state, p15(0, 2, 0, 0), 0x1234_0000);
    let read = read64(&state, 15, 0, 2, &Inputs::default());
    assert_eq!(read, Ok(0x0012_0045_1234_0000));
    write64(&mut state, 15, 1, 2, 0x00ab_0000_0000_0000).expect("TTBR1");
    set(&mut state, p15(0, 13, 0, 1), 0x77);
    assert_eq!(state.asid(), 0x77);
    set(&mut state, p15(0, 2, 0, 2), ttbcr::EAE);
    assert_eq!(state.asid(), 0x12);
    set(&mut state, p15(0, 2, 0, 2), ttbcr::EAE | ttbcr::A1);
    assert_eq!(state.asid(), 0xab);
    assert_eq!(read64(&state, 14, 0, 1, &Inputs::default()), Ok(0));
    assert_eq!(write64(&mut state, 14, 0, 1, 0), Err(Undefined));
    // CNTVOFF belongs to Hyp mode; the counters are read-only.
    assert_eq!(write64(&mut state, 15, 4, 14, 0), Err(Undefined));
    assert_eq!(write64(&mut state, 15, 0, 14, 0), Err(Undefined));
}

#[test]
fn translation_control_by_format() {
    let mut state = cpu();
    // PD0 and PD1 come with the Security Extensions.
    set(&mut state, p15(0, 2, 0, 2), 0x7fff_ffff);
    assert_eq!(get(&state, p15(0, 2, 0, 2)), 0x7);
    set(&mut state, p15(0, 2, 0, 2), u32::MAX);
    assert_eq!(get(&state, p15(0, 2, 0, 2)), 0xffc7_3f87);
}

#[test]
fn pending_interrupts_show_in_isr() {
    let isr = p15(0, 12, 1, 0);
    for (irq, fiq, value) in [(false, false, 0), (true, false, 0x80), (false, true, 0x40)] {
        let inputs = Inputs {
            irq,
            fiq,
            ..Inputs::default()
        };
        assert_eq!(read(&cpu(), isr, &inputs), Ok(value));
    }
}

#[test]
fn os_lock() {
    let mut state = cpu();
    let (oslar, oslsr) = (p14(0, 1, 0, 4), p14(0, 1, 1, 4));
    assert_eq!(get(&state, oslsr), 0xa, "locked after reset");
    set(&mut state, oslar, 0);
    assert_eq!(get(&state, oslsr), 0x8);
    set(&mut state, oslar, 0xc5ac_ce55);
    assert_eq!(get(&state, oslsr), 0xa);
}

#[test]
fn timers_fire_when_their_time_comes() {
    let mut state = cpu();
    write(&mut state, CNTP_TVAL, 100, &at(1000)).expect("CNTP_TVAL");
    assert_eq!(state.timer.deadline(1000), None, "not enabled");
    set(&mut state, CNTP_CTL, 1);
    assert_eq!(state.timer.phys_deadline(1000), Some(1100));
    assert!(!state.timer.phys_pending(1099));
    assert_eq!(read(&state, CNTP_CTL, &at(1099)), Ok(1));
    assert_eq!(read(&state, CNTP_TVAL, &at(1099)), Ok(1));
    assert!(state.timer.phys_pending(1100));
    assert_eq!(read(&state, CNTP_CTL, &at(1100)), Ok(5));
    assert_eq!(state.timer.phys_deadline(1100), None);
    assert_eq!(read(&state, CNTP_TVAL, &at(1110)), Ok(-10i32 as u32));
    // Masked: ISTATUS shows it, the output doesn't.
    set(&mut state, CNTP_CTL, 3);
    assert_eq!(read(&state, CNTP_CTL, &at(1100)), Ok(7));
    assert!(!state.timer.phys_pending(1100));
    assert_eq!(state.timer.phys_deadline(0), None);
}

#[test]
fn virtual_time_is_offset() {
    let mut state = cpu();
    state.timer.cntvoff = 500;
    assert_eq!(read64(&state, 15, 1, 14, &at(1500)), Ok(1000));
    assert_eq!(read64(&state, 15, 0, 14, &at(1500)), Ok(1500));
    write(&mut state, CNTV_TVAL, 40, &at(1500)).expect("CNTV_TVAL");
    assert_eq!(read64(&state, 15, 3, 14, &at(1500)), Ok(1040));
    set(&mut state, CNTV_CTL, 1);
    assert_eq!(state.timer.virt_deadline(1500), Some(1540));
    assert!(!state.timer.virt_pending(1539));
    assert!(state.timer.virt_pending(1540));
    // The earlier of the two.
    write64(&mut state, 15, 2, 14, 1530).expect("CNTP_CVAL");
    set(&mut state, CNTP_CTL, 1);
    assert_eq!(state.timer.deadline(1500), Some(1530));
    assert_eq!(state.timer.deadline(1535), Some(1540));
}

#[test]
fn far_deadlines_do_not_overflow() {
    let mut state = cpu();
    state.timer.cntvoff = u64::MAX - 10;
    write64(&mut state, 15, 3, 14, u64::MAX).expect("CNTV_CVAL");
    set(&mut state, CNTV_CTL, 1);
    let _ = state.timer.virt_deadline(5);
    state.timer.cntvoff = 1 << 63;
    assert_eq!(state.timer.virt_deadline(1 << 63), None);
    // A negative TVAL is in the past.
    write(&mut state, CNTP_TVAL, -5i32 as u32, &at(100)).expect("CNTP_TVAL");
    set(&mut state, CNTP_CTL, 1);
    assert!(state.timer.phys_pending(100));
}

#[test]
fn event_stream() {
    let mut state = cpu();
    assert_eq!(state.timer.event_deadline(0), None);
    // Bit 4, rising: 16, 48, 80 and so on.
    set(&mut state, CNTKCTL, 4 << 4 | 4);
    for (now, next) in [(0, 16), (15, 16), (16, 48), (47, 48), (48, 80)] {
        assert_eq!(state.timer.event_deadline(now), Some(next), "at {now}");
    }
    // Falling: 32, 64.
    set(&mut state, CNTKCTL, 4 << 4 | 0xc);
    for (now, next) in [(0, 32), (31, 32), (32, 64)] {
        assert_eq!(state.timer.event_deadline(now), Some(next), "at {now}");
    }
    set(&mut state, CNTKCTL, 0xf << 4 | 4);
    assert_eq!(state.timer.event_deadline(u64::MAX), None);
}

#[test]
fn the_cycle_counter_counts_cycles() {
    let mut state = cpu();
    write(&mut state, PMCR, 1, &cycles(1000)).expect("PMCR");
    assert_eq!(read(&state, PMCCNTR, &cycles(2000)), Ok(0), "not enabled");
    write(&mut state, PMCNTENSET, 1 << 31, &cycles(2000)).expect("PMCNTENSET");
    assert_eq!(read(&state, PMCCNTR, &cycles(2100)), Ok(100));
    assert_eq!(read(&state, PMCCNTR, &cycles(2150)), Ok(150));
    // Stopped, it holds its value.
    write(&mut state, PMCR, 0, &cycles(2200)).expect("PMCR");
    assert_eq!(read(&state, PMCCNTR, &cycles(9000)), Ok(200));
    // Reset and run, by 64.
    write(&mut state, PMCR, 0xd, &cycles(9000)).expect("PMCR");
    assert_eq!(read(&state, PMCR, &cycles(9000)), Ok(0x410f_3009));
    assert_eq!(read(&state, PMCCNTR, &cycles(9063)), Ok(0));
    // Writes in between lose no cycles.
    write(&mut state, PMSELR, 0, &cycles(9063)).expect("PMSELR");
    assert_eq!(read(&state, PMCCNTR, &cycles(9064)), Ok(1));
    assert_eq!(read(&state, PMCCNTR, &cycles(9000 + 640)), Ok(10));
}

#[test]
fn counters_overflow_into_flags_and_interrupts() {
    let mut state = cpu();
    for (reg, value) in [
        (PMCNTENSET, 1 << 31),
        (PMINTENSET, 1 << 31),
        (PMCCNTR, u32::MAX - 9),
        (PMCR, 1),
    ] {
        set(&mut state, reg, value);
    }
    assert_eq!(state.cp15.pmu.deadline(0), Some(10));
    assert_eq!(read(&state, PMOVSR, &cycles(9)), Ok(0));
    assert!(!state.cp15.pmu.interrupt(9));
    assert_eq!(read(&state, PMOVSR, &cycles(10)), Ok(1 << 31));
    assert!(state.cp15.pmu.interrupt(10));
    assert_eq!(read(&state, PMCCNTR, &cycles(12)), Ok(2));
    write(&mut state, PMOVSR, 1 << 31, &cycles(12)).expect("PMOVSR");
    assert!(!state.cp15.pmu.interrupt(12));
    assert_eq!(state.cp15.pmu.deadline(12), Some(10 + (1 << 32)));
}

#[test]
fn event_counters() {
    let mut state = cpu();
    set(&mut state, PMCR, 1);
    set(&mut state, PMCNTENSET, 0b11);
    set(&mut state, PMSELR, 0);
    set(&mut state, PMXEVTYPER, 0x11);
    set(&mut state, PMSELR, 1);
    set(&mut state, PMXEVTYPER, 0);
    set(&mut state, PMXEVCNTR, u32::MAX);
    // Software increments reach only the counter with event 0.
    set(&mut state, p15(0, 9, 12, 4), 0b11);
    assert_eq!(get(&state, PMXEVCNTR), 0);
    assert_eq!(get(&state, PMOVSR), 0b10);
    set(&mut state, PMSELR, 0);
    assert_eq!(read(&state, PMXEVCNTR, &cycles(77)), Ok(77));
    // A counter that isn't there.
    set(&mut state, PMSELR, 6);
    set(&mut state, PMXEVTYPER, 0x11);
    set(&mut state, PMXEVCNTR, 5);
    assert_eq!(get(&state, PMXEVCNTR), 0);
    assert_eq!(get(&state, PMXEVTYPER), 0);
}

#[test]
fn names() {
    assert_eq!(name(SCTLR), Some("SCTLR"));
    assert_eq!(name(p15(0, 7, 10, 2)), Some("DCCSW"));
    assert_eq!(name(p15(4, 15, 0, 0)), Some("CBAR"));
    assert_eq!(name(p15(4, 1, 1, 0)), None, "HCR: no Hyp mode yet");
}
