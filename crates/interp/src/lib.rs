//! The interpreter: runs a vCPU of the ARMv7-A model. Clear first: it is the specification that
//! every other engine is compared with.
//!
//! Where to start: [`Vcpu::run`] is the loop; `block` decodes guest code and remembers it by
//! physical address; `tlb` remembers translations; `access` is loads and stores; `exec` has one
//! function for each class of instructions.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
mod block;
pub mod cluster;
pub mod code;
pub mod control;
mod core;
mod exec;
pub mod machine;
pub mod tlb;

pub use crate::cluster::Cluster;
pub use crate::control::Control;
pub use crate::core::{Core, Raised, Step};
pub use crate::machine::{BusError, Counters, Direct, DirectMemory, Machine};

use crate::block::Blocks;
use alloc::sync::Arc;
use skep_arm::exception::Exception;
use skep_arm::state::{CpuState, psr};

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
    /// The guest spins (YIELD), or waits for other vCPUs to finish TLB maintenance: let other
    /// threads run.
    Yield,
    /// A register of a timer or of the performance monitors changed: look at their outputs and
    /// deadlines anew.
    Timer,
    /// HVC with this immediate; PSCI when that is the conduit. The PC is after it.
    Hvc(u16),
    /// SMC with this immediate. The PC is after it.
    Smc(u8),
    /// SEV: set [`control::EVENT`] of every vCPU.
    Sev,
    /// The guest can't go on: the instruction at its exception vector faults, so that it takes the
    /// same exception for ever.
    Stuck(Exception),
}

/// What the vCPU did, counted since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Instructions executed (those whose condition failed among them).
    pub instructions: u64,
    /// Blocks decoded.
    pub decoded: u64,
    /// Translations made by walking tables.
    pub walks: u64,
    /// Exceptions taken.
    pub exceptions: u64,
}

/// A vCPU in the interpreter.
pub struct Vcpu<M: Machine> {
    core: Core<M>,
    blocks: Blocks,
}

impl<M: Machine> Vcpu<M> {
    /// A vCPU with this state; its number is `state.index`.
    pub fn new(state: CpuState, machine: Arc<M>, cluster: Arc<Cluster>) -> Self {
        Self::with_room(state, machine, cluster, block::OPS)
    }

    /// The same, that keeps no more than `room` decoded instructions, for an engine that lets it
    /// execute few.
    pub fn with_room(state: CpuState, machine: Arc<M>, cluster: Arc<Cluster>, room: usize) -> Self {
        Vcpu {
            core: Core::new(state, machine, cluster),
            blocks: Blocks::new(room),
        }
    }

    /// The architectural state.
    pub fn state(&self) -> &CpuState {
        &self.core.state
    }

    /// The architectural state, to be changed from outside: what was derived from it is forgotten.
    pub fn state_mut(&mut self) -> &mut CpuState {
        self.core.stale = true;
        &mut self.core.state
    }

    /// What the vCPU did so far.
    pub fn stats(&self) -> Stats {
        Stats {
            decoded: self.blocks.decoded,
            ..self.core.stats
        }
    }

    /// Executes about `budget` instructions, until something else happens.
    pub fn run(&mut self, budget: u64) -> Exit {
        self.core.enter();
        let exit = self.run_inner(budget);
        self.core.leave();
        exit
    }

    fn run_inner(&mut self, budget: u64) -> Exit {
        let end = self.core.stats.instructions.saturating_add(budget);
        loop {
            if self.core.control.flags() != 0 {
                // Blocks are checked against their page's generation whenever they are looked up.
                self.core.control.take(control::CODE);
                if let Some(exit) = self.core.attend() {
                    return exit;
                }
            }
            if self.core.stats.instructions >= end {
                return Exit::Budget;
            }
            if let Some(exit) = self.run_block() {
                return exit;
            }
        }
    }

    /// Executes the block at the PC; what follows it is delivered already.
    #[inline(always)]
    pub fn run_block(&mut self) -> Option<Exit> {
        let core = &mut self.core;
        let step = match self.blocks.find(core) {
            Ok(block) => run_block(core, self.blocks.ops(&block), block.wide_it),
            Err(Raised) => {
                core.pc = core.state.regs[15];
                Step::Raise
            }
        };
        core.finish(step)
    }

    /// The executing core, for an engine that executes some instructions by itself.
    pub fn core(&mut self) -> &mut Core<M> {
        &mut self.core
    }
}

/// Executes the instructions of a block, from `regs[15]`, which afterwards is the address of the
/// next instruction. With `has_it`, some are in an IT block.
#[inline]
fn run_block<M: Machine>(core: &mut Core<M>, ops: &[block::Op], has_it: bool) -> Step {
    let mut pc = core.state.regs[15];
    let ahead = if core.state.cpsr & psr::T != 0 { 4 } else { 8 };
    let mut executed = 0;
    let mut result = Step::Next;
    for op in ops {
        executed += 1;
        core.pc = pc;
        core.state.regs[15] = pc.wrapping_add(ahead);
        pc = pc.wrapping_add(u32::from(op.decoded.len));
        if has_it {
            core.state.set_it_state(op.it_after());
        }
        if !op.decoded.cond.holds(core.state.cpsr) {
            continue;
        }
        let step = core.execute(&op.decoded);
        if step as u8 != Step::Next as u8 {
            if has_it && (step == Step::Raise || core.repeats(step)) {
                // The exception is taken in the state before the instruction, or it executes again.
                core.state.set_it_state(op.it);
            }
            result = step;
            break;
        }
    }
    core.stats.instructions += executed;
    core.state.regs[15] = match result {
        Step::Next => pc,
        Step::Jump | Step::Exit => core.next_pc,
        Step::Raise => core.pc,
    };
    result
}
