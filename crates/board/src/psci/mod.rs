//! PSCI: the firmware calls by which a guest switches CPUs and the machine on and off.
//!
//! A function of the call and of the CPUs' power states, which the embedder owns: there is nothing
//! to reset or to save here. The embedder makes the [`Outcome`] happen.

pub mod spec;
#[cfg(test)]
mod tests;

use spec::*;

/// What PSCI knows of a CPU (AFFINITY_INFO's states).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PowerState {
    /// Off: CPU_ON starts it.
    #[default]
    Off,
    /// CPU_ON was called for it, and it has not executed yet.
    OnPending,
    /// On, or suspended.
    On,
}

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Put this into the caller's r0 and go on.
    Return(u32),
    /// Start a CPU that is off, from reset state: Supervisor mode with asynchronous aborts,
    /// interrupts and fast interrupts masked, MMU and caches off. The caller goes on with 0 in r0.
    CpuOn {
        /// Index of the CPU: its MPIDR affinity level 0.
        cpu: usize,
        /// Where it starts; aligned for the instruction set.
        entry: u32,
        /// What its r0 has.
        context: u32,
        /// Whether it starts in T32 state.
        t32: bool,
    },
    /// Switch the caller off. The call does not return.
    CpuOff,
    /// Stop the caller until an interrupt comes, as WFI does, then go on with 0 in r0. A request
    /// to power down is answered so too (as in QEMU): the specification lets an implementation
    /// wake up at once, with the context kept.
    CpuSuspend,
    /// Switch the machine off. The call does not return.
    SystemOff,
    /// Restart the machine. The call does not return.
    SystemReset,
}

impl Outcome {
    fn code(code: i32) -> Outcome {
        Outcome::Return(code as u32)
    }
}

/// Whether `function` (r0 of an HVC or SMC) is one that [`call`] knows.
pub fn is_implemented(function: u32) -> bool {
    matches!(
        function,
        PSCI_VERSION
            | CPU_SUSPEND
            | CPU_OFF
            | CPU_ON
            | AFFINITY_INFO
            | MIGRATE_INFO_TYPE
            | SYSTEM_OFF
            | SYSTEM_RESET
            | PSCI_FEATURES
            | SMCCC_VERSION
            | SMCCC_ARCH_FEATURES
            | QEMU_0_1_CPU_SUSPEND
            | QEMU_0_1_CPU_OFF
            | QEMU_0_1_CPU_ON
    )
}

/// A call by HVC or SMC: `function` is r0, `args` are r1 to r3, `cpus` has the power state of each
/// CPU, where CPU n is the one with MPIDR affinity 0.0.n. A function that does not exist returns
/// NOT_SUPPORTED, be it PSCI's or not.
pub fn call(function: u32, args: [u32; 3], cpus: &[PowerState]) -> Outcome {
    let [arg0, arg1, arg2] = args;
    match function {
        PSCI_VERSION => Outcome::Return(VERSION_1_1),
        CPU_SUSPEND | QEMU_0_1_CPU_SUSPEND => {
            if arg0 & POWER_STATE_UNSUPPORTED != 0 {
                Outcome::code(code::INVALID_PARAMETERS)
            } else {
                Outcome::CpuSuspend
            }
        }
        CPU_OFF | QEMU_0_1_CPU_OFF => Outcome::CpuOff,
        CPU_ON | QEMU_0_1_CPU_ON => cpu_on(arg0, arg1, arg2, cpus),
        AFFINITY_INFO => affinity_info(arg0, arg1, cpus),
        MIGRATE_INFO_TYPE => Outcome::Return(TOS_NOT_PRESENT_MP),
        SYSTEM_OFF => Outcome::SystemOff,
        SYSTEM_RESET => Outcome::SystemReset,
        // For CPU_SUSPEND, 0 says: original format of power_state, platform-coordinated mode.
        // SMCCC_VERSION, which QEMU lacks, is discovered here too; what follows from it is not.
        PSCI_FEATURES => Outcome::code(if is_implemented(arg0) && arg0 != SMCCC_ARCH_FEATURES {
            code::SUCCESS
        } else {
            code::NOT_SUPPORTED
        }),
        SMCCC_VERSION => Outcome::Return(SMCCC_1_1),
        // No workaround for a processor's errata is offered: none is needed here.
        SMCCC_ARCH_FEATURES => Outcome::code(match arg0 {
            SMCCC_VERSION | SMCCC_ARCH_FEATURES => code::SUCCESS,
            _ => code::NOT_SUPPORTED,
        }),
        _ => Outcome::code(code::NOT_SUPPORTED),
    }
}

/// The power state of the CPU with this affinity, in the format of MPIDR bits \[23:0\].
fn find(affinity: u32, cpus: &[PowerState]) -> Option<(usize, PowerState)> {
    let cpu = usize::try_from(affinity).ok()?;
    cpus.get(cpu).map(|&state| (cpu, state))
}

fn cpu_on(affinity: u32, entry: u32, context: u32, cpus: &[PowerState]) -> Outcome {
    let Some((cpu, state)) = find(affinity, cpus) else {
        return Outcome::code(code::INVALID_PARAMETERS);
    };
    let t32 = entry & 1 != 0;
    match state {
        PowerState::On => Outcome::code(code::ALREADY_ON),
        PowerState::OnPending => Outcome::code(code::ON_PENDING),
        PowerState::Off if !t32 && entry & 2 != 0 => Outcome::code(code::INVALID_ADDRESS),
        PowerState::Off => Outcome::CpuOn {
            cpu,
            entry: entry & !1,
            context,
            t32,
        },
    }
}

fn affinity_info(affinity: u32, lowest_level: u32, cpus: &[PowerState]) -> Outcome {
    match lowest_level {
        0 => match find(affinity, cpus) {
            Some((_, PowerState::On)) => Outcome::Return(AFFINITY_ON),
            Some((_, PowerState::Off)) => Outcome::Return(AFFINITY_OFF),
            Some((_, PowerState::OnPending)) => Outcome::Return(AFFINITY_ON_PENDING),
            None => Outcome::code(code::INVALID_PARAMETERS),
        },
        // The one cluster holds the caller, so it is on.
        1..=3 => Outcome::Return(AFFINITY_ON),
        _ => Outcome::code(code::INVALID_PARAMETERS),
    }
}
