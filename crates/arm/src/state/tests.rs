extern crate std;
use std::collections::HashMap;
use std::prelude::v1::*;
use std::vec;

use proptest::prelude::*;

use super::*;
use crate::insn::Banked;

fn cpu() -> CpuState {
    CpuState::new(CpuModel::CortexA15, 0, 1)
}

const MODES: [Mode; 7] = [
    Mode::User,
    Mode::Fiq,
    Mode::Irq,
    Mode::Supervisor,
    Mode::Abort,
    Mode::Undefined,
    Mode::System,
];

#[test]
fn reset_values() {
    let mut state = CpuState::new(CpuModel::CortexA7, 3, 4);
    assert_eq!(state.mode(), Mode::Supervisor);
    assert_eq!(state.cpsr, 0x1d3);
    assert_eq!(state.cp15.sctlr, 0x00c5_0078);
    assert_eq!(state.regs, [0; 16]);
    assert_eq!(state.timer.cntfrq, 62_500_000);
    assert!(!state.cp15.mmu_on());
    assert!(!state.fp_permitted());

    let fresh = state.clone();
    state.regs[4] = 1;
    state.cp15.vbar = 0x20;
    state.change_mode(Mode::Fiq);
    state.off = true;
    state.reset();
    assert!(state.off, "reset doesn't power on");
    state.off = false;
    assert_eq!(state, fresh);
}

#[test]
fn mode_encodings() {
    for mode in MODES {
        assert_eq!(Mode::from_bits(mode as u32), Some(mode));
        assert!(mode.is_implemented());
    }
    let known = (0..32).filter_map(Mode::from_bits).count();
    assert_eq!(known, 9);
    assert!(!Mode::Hyp.is_implemented() && !Mode::Monitor.is_implemented());
}

/// The name of the register that R`n` is in a mode (manual figure B1-1).
fn name(mode: Mode, n: usize) -> (usize, Mode) {
    let owner = match (mode, n) {
        (Mode::Fiq, 8..=14) => Mode::Fiq,
        (Mode::User | Mode::System, _) | (_, 0..=12 | 15) => Mode::User,
        (mode, _) => mode,
    };
    (n, owner)
}

#[derive(Clone, Debug)]
enum Op {
    Switch(Mode),
    SetCpsr(Mode),
    Write(usize, u32),
    WriteUser(usize, u32),
    WriteSp(Mode, u32),
    WriteSpsr(u32),
    WriteBanked(bool, u8, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let mode = || prop::sample::select(MODES.to_vec());
    prop_oneof![
        mode().prop_map(Op::Switch),
        mode().prop_map(Op::SetCpsr),
        (0..16usize, any::<u32>()).prop_map(|(n, v)| Op::Write(n, v)),
        (0..16usize, any::<u32>()).prop_map(|(n, v)| Op::WriteUser(n, v)),
        (mode(), any::<u32>()).prop_map(|(m, v)| Op::WriteSp(m, v)),
        any::<u32>().prop_map(Op::WriteSpsr),
        (any::<bool>(), 0..32u8, any::<u32>()).prop_map(|(r, s, v)| Op::WriteBanked(r, s, v)),
    ]
}

/// Which register SYSm names (manual table B9-1).
fn banked(r: bool, sysm: u8) -> Option<(usize, Mode)> {
    const SPSR: usize = 16;
    let modes = [Mode::Irq, Mode::Supervisor, Mode::Abort, Mode::Undefined];
    Some(match (r, sysm) {
        (false, 0..=6) => (8 + usize::from(sysm), Mode::User),
        (false, 8..=14) => (usize::from(sysm), Mode::Fiq),
        (false, 16..=23) => (
            14 - usize::from(sysm & 1),
            modes[usize::from(sysm - 16) / 2],
        ),
        (true, 14) => (SPSR, Mode::Fiq),
        (true, 16 | 18 | 20 | 22) => (SPSR, modes[usize::from(sysm - 16) / 2]),
        _ => return None,
    })
}

proptest! {
    /// Registers are where the manual's figure puts them, whatever sequence of mode changes and
    /// writes; the oracle keeps every physical register by its name.
    #[test]
    fn banks_follow_the_manual(ops in prop::collection::vec(op(), 1..60)) {
        let mut state = cpu();
        let mut mode = Mode::Supervisor;
        let mut oracle: HashMap<(usize, Mode), u32> = HashMap::new();
        for op in ops {
            match op {
                Op::Switch(new) => {
                    state.change_mode(new);
                    mode = new;
                }
                Op::SetCpsr(new) => {
                    state.set_cpsr(new as u32 | psr::I);
                    mode = new;
                }
                Op::Write(n, value) => {
                    state.regs[n] = value;
                    oracle.insert(name(mode, n), value);
                }
                Op::WriteUser(n, value) => {
                    state.set_user_reg(n, value);
                    oracle.insert(name(Mode::User, n), value);
                }
                Op::WriteSp(of, value) => {
                    state.set_r13_of(of, value);
                    oracle.insert(name(of, 13), value);
                }
                Op::WriteSpsr(value) => {
                    state.set_spsr(value);
                    if state.has_spsr() {
                        oracle.insert((16, mode), value);
                    }
                }
                Op::WriteBanked(r, sysm, value) => {
                    let reg = Banked { r, sysm };
                    let place = banked(r, sysm);
                    if state.set_banked_reg(reg, value).is_some() {
                        prop_assert!(mode != Mode::User);
                        let place = place.expect("accepted a register that doesn't exist");
                        prop_assert!(place.0 == 16 || name(mode, place.0) != place);
                        prop_assert_eq!(state.banked_reg(reg), Some(value));
                        oracle.insert(place, value);
                    } else if let Some((n, owner)) = place {
                        prop_assert!(
                            mode == Mode::User
                                || owner == mode
                                || name(mode, n) == (n, owner)
                        );
                        prop_assert_eq!(state.banked_reg(reg), None);
                    }
                }
            }
            prop_assert_eq!(state.mode(), mode);
            for n in 0..16 {
                let value = oracle.get(&name(mode, n)).copied().unwrap_or(0);
                prop_assert_eq!(state.regs[n], value, "r{} in {:?}", n, mode);
                let value = oracle.get(&name(Mode::User, n)).copied().unwrap_or(0);
                prop_assert_eq!(state.user_reg(n), value, "r{}_usr in {:?}", n, mode);
            }
            if state.has_spsr() {
                prop_assert_eq!(state.spsr(), oracle.get(&(16, mode)).copied().unwrap_or(0));
            }
            for of in MODES {
                let value = oracle.get(&name(of, 13)).copied().unwrap_or(0);
                prop_assert_eq!(state.r13_of(of), value);
            }
        }
    }

    /// Going somewhere and back changes nothing, not even what isn't visible.
    #[test]
    fn mode_changes_are_undone(
        values in prop::array::uniform16(any::<u32>()),
        path in prop::collection::vec(prop::sample::select(MODES.to_vec()), 1..8),
    ) {
        let mut state = cpu();
        state.regs = values;
        let before = state.clone();
        for mode in path {
            state.change_mode(mode);
        }
        state.change_mode(before.mode());
        prop_assert_eq!(state, before);
    }

    /// Nothing that MSR or an exception return writes makes CPSR's mode one that doesn't exist, sets
    /// J, or gives User mode what it may not have.
    #[test]
    fn cpsr_stays_legal(value in any::<u32>(), mask in 0..16u8, ret in any::<bool>(), user in any::<bool>()) {
        let mut state = cpu();
        if user {
            state.set_cpsr(Mode::User as u32);
        }
        state.write_cpsr_by_instr(value, mask, ret);
        prop_assert!(Mode::from_bits(state.cpsr).is_some_and(Mode::is_implemented));
        prop_assert_eq!(state.cpsr & psr::J, 0);
        if user {
            let privileged = psr::A | psr::I | psr::F | psr::MODE;
            prop_assert_eq!(state.cpsr & privileged, Mode::User as u32);
        }
        if !ret {
            prop_assert_eq!(state.cpsr & (psr::T | psr::IT), 0);
        }
    }

    #[test]
    fn it_state_round_trips(it in any::<u8>(), cpsr in any::<u32>()) {
        let mut state = cpu();
        state.cpsr = cpsr;
        state.set_it_state(ItState(it));
        prop_assert_eq!(state.it_state().0, it);
        prop_assert_eq!(state.cpsr & !psr::IT, cpsr & !psr::IT);
    }
}

#[test]
fn illegal_modes_leave_the_mode() {
    for bits in [0x10u32 ^ 0x10, 0x15, 0x16, 0x1a, 0x1e] {
        let mut state = cpu();
        state.set_cpsr(psr::N | bits);
        assert_eq!(state.mode(), Mode::Supervisor, "{bits:#x}");
        assert_eq!(state.cpsr, psr::N | Mode::Supervisor as u32);
    }
}

#[test]
fn msr_masks_choose_bytes() {
    let fields = [
        (8, 0xf800_0000),
        (4, 0x000f_0000),
        (2, psr::E | psr::A),
        (1, psr::I | psr::F),
    ];
    for (mask, bits) in fields {
        let mut state = cpu();
        state.set_cpsr(Mode::Supervisor as u32);
        state.write_cpsr_by_instr(!psr::MODE | Mode::Supervisor as u32, mask, false);
        assert_eq!(state.cpsr, bits | Mode::Supervisor as u32, "mask {mask}");

        state.write_spsr_by_instr(0xffff_ffff, mask);
        let bytes = [0xff, 0xff00, 0x000f_0000, 0xff00_0000][mask.trailing_zeros() as usize];
        assert_eq!(state.spsr(), bytes);
    }
}

#[test]
fn spsr_of_user_mode_does_not_exist() {
    let mut state = cpu();
    state.set_cpsr(Mode::System as u32);
    state.write_spsr_by_instr(0xffff_ffff, 0xf);
    assert_eq!(state.banks, Banks::default());
    assert_eq!(state.spsr(), state.cpsr);
}

#[test]
fn leaving_t32_drops_the_it_state() {
    let mut state = cpu();
    let it = vec![ItState(0x08), ItState(0x1f), ItState(0xe4)];
    for it in it {
        state.set_cpsr(Mode::Supervisor as u32 | psr::T);
        state.set_it_state(it);
        let value = state.cpsr;
        state.write_cpsr_by_instr(value & !psr::T, 0xf, true);
        assert_eq!(state.it_state(), ItState(0));
    }
}

#[test]
fn floating_point_needs_cpacr() {
    let mut state = cpu();
    let cases = [
        (0, false, false),
        (1, true, false),
        (2, false, false),
        (3, true, true),
    ];
    for (cp10, kernel, user) in cases {
        state.cp15.cpacr = cp10 << 20 | cp10 << 22;
        state.set_cpsr(Mode::Supervisor as u32);
        assert_eq!(state.fp_permitted(), kernel);
        state.set_cpsr(Mode::User as u32);
        assert_eq!(state.fp_permitted(), user);
        state = cpu();
    }
}
