use super::*;
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
    for unknown in [MIGRATE, 0x8400_000e, 0xc400_0003, QEMU_0_1_CPU_ON, 0] {
        assert_eq!(returned(PSCI_FEATURES, [unknown, 0, 0]), -1);
    }
    assert_eq!(returned(SMCCC_ARCH_FEATURES, [0x8000_8000, 0, 0]), -1);
    assert_eq!(returned(MIGRATE, [0; 3]), -1);
    assert_eq!(returned(0xdead_beef, [0; 3]), -1);
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
