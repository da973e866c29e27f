use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

const CPUS: [PowerState; 3] = [PowerState::On, PowerState::Off, PowerState::OnPending];

fn returned(function: u32, args: [u32; 3]) -> i32 {
    match call(function, args, &CPUS) {
        Outcome::Return(value) => value as i32,
        other => panic!("{function:#x} gave {other:?}"),
    }
}

#[test]
fn versions_and_features() {
    assert_eq!(returned(PSCI_VERSION, [0; 3]), 0x10001);
    assert_eq!(returned(SMCCC_VERSION, [0; 3]), 0x10001);
    assert_eq!(returned(MIGRATE_INFO_TYPE, [0; 3]), 2);
    for known in [CPU_SUSPEND, CPU_ON, SYSTEM_RESET, SMCCC_VERSION] {
        assert_eq!(returned(PSCI_FEATURES, [known, 0, 0]), 0);
    }
    for unknown in [0xc400_0003, QEMU_0_1_MIGRATE, SMCCC_ARCH_FEATURES, 0] {
        assert_eq!(returned(PSCI_FEATURES, [unknown, 0, 0]), -1);
    }
    assert_eq!(returned(SMCCC_ARCH_FEATURES, [0x8000_8000, 0, 0]), -1);
    assert_eq!(returned(MIGRATE, [0; 3]), -1);
    assert_eq!(returned(0xdead_beef, [0; 3]), -1);
}

/// What PSCI 1.0 and later may have and this one does not (5.1): CPU_FREEZE, CPU_DEFAULT_SUSPEND,
/// NODE_HW_STATE, SYSTEM_SUSPEND, SET_SUSPEND_MODE, STAT_RESIDENCY, STAT_COUNT, SYSTEM_RESET2,
/// MEM_PROTECT, MEM_PROTECT_CHECK_RANGE, and after a gap SYSTEM_OFF2. QEMU's board answers the same.
#[test]
fn optional_functions_are_not_there() {
    for function in (0x8400_000b..=0x8400_0015).chain([MIGRATE, MIGRATE_INFO_UP_CPU]) {
        assert_eq!(returned(PSCI_FEATURES, [function, 0, 0]), -1);
        assert_eq!(returned(function, [0; 3]), -1);
    }
    let offered: Vec<u32> = (PSCI_VERSION..0x8400_0020)
        .filter(|function| returned(PSCI_FEATURES, [*function, 0, 0]) == 0)
        .map(|function| function - PSCI_VERSION)
        .collect();
    assert_eq!(offered, [0, 1, 2, 3, 4, 6, 8, 9, 10]);
    for function in [QEMU_0_1_CPU_SUSPEND, QEMU_0_1_CPU_OFF, QEMU_0_1_CPU_ON] {
        assert_eq!(returned(PSCI_FEATURES, [function, 0, 0]), 0);
    }
}

#[test]
fn cpu_on_starts_only_cpus_that_are_off() {
    let started = |entry, t32| Outcome::CpuOn {
        cpu: 1,
        entry,
        context: 7,
        t32,
    };
    for function in [CPU_ON, QEMU_0_1_CPU_ON] {
        let on = |cpu, entry| call(function, [cpu, entry, 7], &CPUS);
        assert_eq!(on(1, 0x4000_0000), started(0x4000_0000, false));
        assert_eq!(on(1, 0x4000_0003), started(0x4000_0002, true));
        assert_eq!(on(1, 0x4000_0002), Outcome::Return(-9i32 as u32));
        assert_eq!(on(0, 0), Outcome::Return(-4i32 as u32));
        assert_eq!(on(2, 0), Outcome::Return(-5i32 as u32));
        assert_eq!(on(3, 0), Outcome::Return(-2i32 as u32));
        assert_eq!(on(0x8000_0001, 0), Outcome::Return(-2i32 as u32));
    }
}

#[test]
fn affinity_info_tells_power_states() {
    for (cpu, expect) in [(0, 0), (1, 1), (2, 2), (3, -2), (0x100, -2)] {
        assert_eq!(returned(AFFINITY_INFO, [cpu, 0, 0]), expect);
    }
    assert_eq!(returned(AFFINITY_INFO, [0, 1, 0]), 0);
    assert_eq!(returned(AFFINITY_INFO, [0, 4, 0]), -2);
}

#[test]
fn power_calls_reach_the_embedder() {
    let outcome = |function, arg| call(function, [arg, 0, 0], &CPUS);
    assert_eq!(outcome(CPU_OFF, 0), Outcome::CpuOff);
    assert_eq!(outcome(SYSTEM_OFF, 0), Outcome::SystemOff);
    assert_eq!(outcome(SYSTEM_RESET, 0), Outcome::SystemReset);
    assert_eq!(outcome(CPU_SUSPEND, 0x1_0000), Outcome::CpuSuspend);
    let bad = outcome(CPU_SUSPEND, 0x0100_0000);
    assert_eq!(bad, Outcome::Return(-2i32 as u32));
}

proptest! {
    #[test]
    fn any_call_is_answered(
        function in prop_oneof![any::<u32>(), 0x8400_0000..0x8400_0020u32],
        args in any::<[u32; 3]>(),
        count in 0usize..9,
    ) {
        let cpus = [PowerState::Off; 8];
        if let Outcome::CpuOn { cpu, .. } = call(function, args, &cpus[..count.min(8)]) {
            prop_assert!(cpu < count);
        }
    }
}
