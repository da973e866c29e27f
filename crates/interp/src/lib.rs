//! The interpreter: runs a vCPU of the ARMv7-A model. Clear first: it is the specification that
//! every other engine is compared with.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod code;
pub mod control;
pub mod machine;

pub use control::Control;
pub use machine::{BusError, Direct, DirectMemory, Machine};

use alloc::sync::Arc;
use skep_arm::CpuState;

/// Why [`Vcpu::run`] returned. The state is consistent, and the PC is at the next instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The budget is used up.
    Budget,
    /// [`Control::kick`].
    Kicked,
    /// WFI, and no interrupt is pending: run again when an input is asserted or a timer expires.
    Wfi,
    /// WFE with the event register clear: as WFI, and also when [`control::EVENT`] is set.
    Wfe,
    /// YIELD: the guest spins.
    Yield,
    /// HVC with this immediate; PSCI when that is the conduit.
    Hvc(u16),
    /// SMC with this immediate.
    Smc(u8),
    /// SEV: set [`control::EVENT`] of every vCPU.
    Sev,
    /// The guest can't go on: its exception vector faults again and again.
    Stuck,
}

/// What vCPUs of one machine share: TLB maintenance that reaches all of them.
pub struct Cluster {
    controls: alloc::vec::Vec<Arc<Control>>,
}

impl Cluster {
    /// A cluster of `count` vCPUs.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Cluster {
            controls: (0..count).map(|_| Arc::default()).collect(),
        })
    }

    /// The inputs of the vCPU numbered `index`.
    pub fn control(&self, index: usize) -> Option<&Arc<Control>> {
        self.controls.get(index)
    }
}

/// A vCPU in the interpreter.
pub struct Vcpu<M: Machine> {
    /// The architectural state; may be changed while `run` is not executing, followed by
    /// [`Vcpu::state_changed`].
    pub state: CpuState,
    machine: Arc<M>,
    cluster: Arc<Cluster>,
}

impl<M: Machine> Vcpu<M> {
    /// A vCPU with this state; its number is `state.index`.
    pub fn new(state: CpuState, machine: Arc<M>, cluster: Arc<Cluster>) -> Self {
        Vcpu {
            state,
            machine,
            cluster,
        }
    }

    /// Forgets what was derived from the state (translations), after it was changed from outside.
    pub fn state_changed(&mut self) {}

    /// Executes about `budget` instructions, until something else happens.
    pub fn run(&mut self, budget: u64) -> Exit {
        let _ = (budget, &self.machine, &self.cluster);
        Exit::Budget
    }

    /// Instructions executed since the vCPU was made.
    pub fn instructions(&self) -> u64 {
        0
    }
}
