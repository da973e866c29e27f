//! How cores are shared between vCPUs, and what becomes of a virtual machine when it ends.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::System;

/// How a core is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum CoreSchedule {
    /// It belongs to one vCPU at most, whose WFI does not trap; nothing is scheduled.
    #[default]
    Partitioned,
    /// Any number of vCPUs share it, each with its [`Share`].
    Shared {
        /// How long a vCPU runs before another one of the same priority, microseconds. 100 to
        /// 1,000,000 can be; [`CoreSchedule::SLICE_US`] is the default.
        slice_us: u32,
    },
}

impl CoreSchedule {
    /// A usual slice, microseconds.
    pub const SLICE_US: u32 = 5_000;
    /// The shortest and the longest slice, microseconds.
    pub const SLICES_US: core::ops::RangeInclusive<u32> = 100..=1_000_000;
}

/// A vCPU's share of a time-shared core. Of the vCPUs that have something to do, those of the highest
/// priority run, one slice each in turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Share {
    /// Its priority: 0 to 255, the higher first.
    pub priority: u8,
    /// How long it may run in a period, microseconds; what is left when a period ends is lost. 0, the
    /// default, is no limit. Otherwise it is at least [`Share::BUDGET_US`] and at most `period_us`.
    pub budget_us: u32,
    /// The period, microseconds: up to 10,000,000. 0 without a budget.
    pub period_us: u32,
}

impl Share {
    /// The least budget, microseconds: less would be spent on switching.
    pub const BUDGET_US: u32 = 100;
    /// The longest period, microseconds.
    pub const PERIOD_US: u32 = 10_000_000;
}

impl Default for Share {
    fn default() -> Self {
        Share {
            priority: 100,
            budget_us: 0,
            period_us: 0,
        }
    }
}

/// What becomes of a virtual machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Policy {
    /// It stays off.
    Stop,
    /// It starts again, from scrubbed memory and its files.
    Reset {
        /// So many times for this reason, since the hypervisor started; then it stays off. Without a
        /// limit, always.
        limit: Option<u32>,
    },
}

/// What becomes of a virtual machine, by how it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policies {
    /// It did something that has no meaning. The default is to stop.
    pub fault: Policy,
    /// It asked for a reset (PSCI's SYSTEM_RESET). The default is to reset without a limit.
    pub reset: Policy,
    /// It switched itself off (PSCI's SYSTEM_OFF, or CPU_OFF on each vCPU). The default is to stop.
    pub off: Policy,
}

impl Default for Policies {
    fn default() -> Self {
        Policies {
            fault: Policy::Stop,
            reset: Policy::Reset { limit: None },
            off: Policy::Stop,
        }
    }
}

/// Why cores can't be shared as described. Shown to the user as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A partitioned core has several vCPUs.
    #[error(
        "core {core} is partitioned, so that it can't have vCPUs of {first} and of {second}: \
        make it time-shared, or give each a core of its own"
    )]
    Partitioned {
        /// The core.
        core: u8,
        /// VMs, of which each has a vCPU there; they may be the same.
        first: String,
        /// The other.
        second: String,
    },
    /// A slice is too short or too long.
    #[error("core {core} has slices of {slice_us} us; 100 to 1000000 can be")]
    Slice {
        /// The core.
        core: usize,
        /// What it has.
        slice_us: u32,
    },
    /// A budget is more than its period, or one of the two is impossible.
    #[error(
        "vCPU {vcpu} of {vm} has a budget of {budget_us} us in a period of {period_us} us; a \
        budget is 100 us at least and not more than its period, which is 10000000 us at most"
    )]
    Budget {
        /// The VM.
        vm: String,
        /// Its vCPU.
        vcpu: usize,
        /// Its budget.
        budget_us: u32,
        /// Its period.
        period_us: u32,
    },
}

impl<F> System<F> {
    /// Checks slices, budgets, and that each partitioned core has one vCPU at most. Whether the board
    /// has the cores is not known here.
    ///
    /// # Errors
    ///
    /// The first that is wrong.
    pub fn check_schedule(&self) -> Result<(), ScheduleError> {
        for (core, schedule) in self.cores.iter().enumerate() {
            if let CoreSchedule::Shared { slice_us } = *schedule
                && !CoreSchedule::SLICES_US.contains(&slice_us)
            {
                return Err(ScheduleError::Slice { core, slice_us });
            }
        }
        let mut owners: [Option<&str>; 256] = [None; 256];
        for vm in &self.vms {
            for (vcpu, &core) in vm.cores.iter().enumerate() {
                let Share {
                    budget_us,
                    period_us,
                    ..
                } = vm.share(vcpu);
                let possible = if budget_us == 0 {
                    period_us == 0
                } else {
                    budget_us >= Share::BUDGET_US
                        && budget_us <= period_us
                        && period_us <= Share::PERIOD_US
                };
                if !possible {
                    return Err(ScheduleError::Budget {
                        vm: vm.name.clone(),
                        vcpu,
                        budget_us,
                        period_us,
                    });
                }
                let owner = owners[usize::from(core)].replace(&vm.name);
                if let Some(first) = owner
                    && self.core(core.into()) == CoreSchedule::Partitioned
                {
                    return Err(ScheduleError::Partitioned {
                        core,
                        first: first.into(),
                        second: vm.name.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vm;
    use alloc::vec;
    use std::string::ToString;

    fn vm(name: &str, cores: &[u8], share: Share) -> Vm<()> {
        Vm {
            name: name.into(),
            memory_mib: 64,
            cores: cores.into(),
            shares: vec![share],
            ..Vm::default()
        }
    }

    #[test]
    fn a_partitioned_core_has_one_vcpu() {
        let share = Share::default();
        let mut system = System::from(vec![vm("a", &[0, 1], share), vm("b", &[1], share)]);
        let error = system.check_schedule().unwrap_err().to_string();
        assert!(
            error.starts_with("core 1 is partitioned, so that it can't have vCPUs of a and of b:"),
            "{error}"
        );
        let shared = |slice_us| CoreSchedule::Shared { slice_us };
        system.cores = vec![CoreSchedule::Partitioned, shared(CoreSchedule::SLICE_US)];
        assert_eq!(system.check_schedule(), Ok(()));
        system.cores[1] = shared(99);
        let error = ScheduleError::Slice {
            core: 1,
            slice_us: 99,
        };
        assert_eq!(system.check_schedule(), Err(error));
    }

    #[test]
    fn a_budget_fits_into_its_period() {
        for (budget_us, period_us, possible) in [
            (0, 0, true),
            (0, 1_000, false),
            (100, 100, true),
            (99, 1_000, false),
            (2_000, 10_000, true),
            (2_001, 2_000, false),
            (100, 10_000_000, true),
            (100, 10_000_001, false),
        ] {
            let share = Share {
                budget_us,
                period_us,
                ..Share::default()
            };
            let checked = System::from(vec![vm("a", &[0], share)]).check_schedule();
            assert_eq!(checked.is_ok(), possible, "{budget_us} {period_us}");
        }
    }
}
