//! Power State Coordination Interface 1.1 (Arm DEN 0022), as logic without a machine: a call comes
//! in, what to do about it goes out.

pub mod spec;

use spec::*;

/// Whether a CPU is on (AFFINITY_INFO, DEN 0022 5.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PowerState {
    /// It executes.
    On,
    /// It is off.
    Off,
    /// CPU_ON was called, and it does not execute yet.
    OnPending,
}

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Return this in R0.
    Return(u32),
    /// Start a CPU, and return [`SUCCESS`].
    CpuOn {
        /// Its number.
        target: usize,
        /// Where it starts; bit 0 = T32.
        entry: u32,
        /// Its R0.
        context: u32,
    },
    /// The caller goes off.
    CpuOff,
    /// The caller waits for an interrupt, then returns [`SUCCESS`].
    CpuSuspend,
    /// Power off.
    SystemOff,
    /// Reset.
    SystemReset,
}

/// A call by HVC or SMC with R0 to R3 in `args`; `cpus` has the state of every CPU. Function
/// identifiers that PSCI 1.1 and the calling convention (DEN 0028) do not define, and optional ones
/// that this implementation omits, return [`NOT_SUPPORTED`].
pub fn call(args: [u32; 4], cpus: &[PowerState]) -> Outcome {
    let [function, a, b, c] = args;
    let target = |affinity: u32| {
        let index = affinity as usize;
        (index < cpus.len()).then_some(index)
    };
    Outcome::Return(match function {
        PSCI_VERSION => VERSION_1_1,
        CPU_SUSPEND => return Outcome::CpuSuspend,
        CPU_OFF => return Outcome::CpuOff,
        CPU_ON => match target(a).and_then(|index| Some((index, cpus.get(index)?))) {
            None => INVALID_PARAMETERS,
            Some((_, PowerState::On)) => ALREADY_ON,
            Some((_, PowerState::OnPending)) => ON_PENDING,
            Some((target, PowerState::Off)) => {
                return Outcome::CpuOn {
                    target,
                    entry: b,
                    context: c,
                };
            }
        },
        // Affinity level 0 only: a higher one names a cluster, of which there is one.
        AFFINITY_INFO => match target(a).and_then(|index| cpus.get(index)) {
            Some(state) if b == 0 => match state {
                PowerState::On => 0,
                PowerState::Off => 1,
                PowerState::OnPending => 2,
            },
            _ => INVALID_PARAMETERS,
        },
        MIGRATE_INFO_TYPE => MIGRATION_NOT_REQUIRED,
        SYSTEM_OFF => return Outcome::SystemOff,
        SYSTEM_RESET => return Outcome::SystemReset,
        PSCI_FEATURES => match a {
            PSCI_VERSION | CPU_SUSPEND | CPU_OFF | CPU_ON | AFFINITY_INFO | MIGRATE_INFO_TYPE
            | SYSTEM_OFF | SYSTEM_RESET | PSCI_FEATURES | SMCCC_VERSION => SUCCESS,
            _ => NOT_SUPPORTED,
        },
        SMCCC_VERSION => SMCCC_1_1,
        SMCCC_ARCH_FEATURES if a == SMCCC_VERSION || a == SMCCC_ARCH_FEATURES => SUCCESS,
        _ => NOT_SUPPORTED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use PowerState::{Off, On, OnPending};

    #[test]
    fn cpus_are_started_once() {
        let cpus = [On, Off, OnPending];
        let on = |target| call([CPU_ON, target, 0x4000_0001, 7], &cpus);
        assert_eq!(on(0), Outcome::Return(ALREADY_ON));
        assert_eq!(
            on(1),
            Outcome::CpuOn {
                target: 1,
                entry: 0x4000_0001,
                context: 7
            }
        );
        assert_eq!(on(2), Outcome::Return(ON_PENDING));
        for wrong in [3, 0x100, u32::MAX] {
            assert_eq!(on(wrong), Outcome::Return(INVALID_PARAMETERS));
        }
    }

    #[test]
    fn unknown_functions_are_not_supported() {
        for function in [0, 0x8400_00ff, 0xc400_0003, u32::MAX] {
            assert_eq!(
                call([function, 0, 0, 0], &[On]),
                Outcome::Return(NOT_SUPPORTED)
            );
        }
        assert_eq!(
            call([PSCI_FEATURES, 0x8400_00ff, 0, 0], &[On]),
            Outcome::Return(NOT_SUPPORTED)
        );
        assert_eq!(
            call([PSCI_FEATURES, CPU_ON, 0, 0], &[On]),
            Outcome::Return(SUCCESS)
        );
    }

    #[test]
    fn affinity_info_reports_each_state() {
        let info = |target, level| call([AFFINITY_INFO, target, level, 0], &[On, Off, OnPending]);
        assert_eq!(info(0, 0), Outcome::Return(0));
        assert_eq!(info(1, 0), Outcome::Return(1));
        assert_eq!(info(2, 0), Outcome::Return(2));
        assert_eq!(info(3, 0), Outcome::Return(INVALID_PARAMETERS));
        assert_eq!(info(0, 1), Outcome::Return(INVALID_PARAMETERS));
    }
}
