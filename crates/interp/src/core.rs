//! The executing core: state, caches of translations, and what an instruction leaves behind.

use crate::cluster::Cluster;
use crate::control::{self, Control};
use crate::machine::Machine;
use crate::tlb::Tlb;
use crate::{Exit, Stats};
use alloc::sync::Arc;
use skep_arm::exception::Exception;
use skep_arm::state::{CpuState, psr};

/// What follows an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Step {
    /// The next one.
    Next,
    /// The one at [`Core::next_pc`].
    Jump,
    /// The exception in [`Core::raised`].
    Raise,
    /// [`Core::exit`], and execution goes on at [`Core::next_pc`].
    Exit,
}

/// An exception was stored in [`Core::raised`]: the error type of everything that can fault, kept
/// empty so that results stay in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised;

/// A vCPU without its loop: what every engine executes single instructions with.
pub struct Core<M: Machine> {
    /// The architectural state. Inside a block, R15 is what the instruction reads.
    pub state: CpuState,
    /// The machine around the vCPU.
    pub machine: Arc<M>,
    /// The other vCPUs.
    pub cluster: Arc<Cluster>,
    /// This vCPU's inputs.
    pub control: Arc<Control>,
    /// Remembered translations.
    pub tlb: Tlb,
    /// Address of the instruction that executes.
    pub pc: u32,
    /// Where execution goes on after [`Step::Jump`] and [`Step::Exit`].
    pub next_pc: u32,
    /// The exception of [`Step::Raise`].
    pub raised: Option<Exception>,
    /// Why to leave the loop, for [`Step::Exit`].
    pub exit: Option<Exit>,
    /// What the vCPU did so far.
    pub stats: Stats,
    /// The state was changed from outside.
    pub stale: bool,
    /// How far in the cluster's log of TLB maintenance this vCPU is.
    pub log_seen: u64,
    /// Log position that the next DSB must see acknowledged by all.
    pub log_wanted: u64,
    /// Exceptions taken in a row without an instruction executed between.
    unproductive: u32,
    last_exception_at: u64,
    /// Where the last exception was taken, if it was a prefetch abort of privileged code, and how
    /// often in a row.
    runaway_pc: Option<u32>,
    runaways: u32,
}

/// So many exceptions in a row without progress mean that there will never be any: the vector
/// itself faults.
const STUCK: u32 = 1000;

/// So many prefetch aborts of privileged code at one address, with no other exception between, mean
/// the same: no operating system recovers from them in that way.
const RUNAWAY: u32 = 16;

impl<M: Machine> Core<M> {
    /// A core with this state.
    pub fn new(state: CpuState, machine: Arc<M>, cluster: Arc<Cluster>) -> Self {
        let control = cluster
            .control(usize::from(state.index))
            .cloned()
            .unwrap_or_default();
        let mut core = Core {
            state,
            machine,
            cluster,
            control,
            tlb: Tlb::new(),
            pc: 0,
            next_pc: 0,
            raised: None,
            exit: None,
            stats: Stats::default(),
            stale: true,
            log_seen: 0,
            log_wanted: 0,
            unproductive: 0,
            last_exception_at: 0,
            runaway_pc: None,
            runaways: 0,
        };
        core.context_changed();
        core
    }

    /// Before execution: other vCPUs will wait for this one from now on.
    pub fn enter(&mut self) {
        self.cluster
            .set_running(usize::from(self.state.index), true);
        self.drain_maintenance();
        if self.stale {
            self.stale = false;
            self.tlb.flush();
            self.context_changed();
        }
    }

    /// After execution.
    pub fn leave(&mut self) {
        self.cluster
            .set_running(usize::from(self.state.index), false);
    }

    /// Looks at the inputs but [`control::CODE`], which is for who keeps code. Takes an interrupt,
    /// or returns why to leave the loop.
    #[cold]
    pub fn attend(&mut self) -> Option<Exit> {
        let flags = self.control.flags();
        if flags & control::REQUEST != 0 {
            self.control.take(control::REQUEST);
            self.drain_maintenance();
        }
        if flags & control::FLUSH != 0 {
            self.control.take(control::FLUSH);
            self.tlb.flush();
        }
        if flags & control::EVENT != 0 {
            self.control.take(control::EVENT);
            self.state.event = true;
        }
        if flags & control::KICK != 0 {
            self.control.take(control::KICK);
            return Some(Exit::Kicked);
        }
        if flags & control::TICK != 0 {
            self.control.take(control::TICK);
            return Some(Exit::Budget);
        }
        let exception = if flags & control::FIQ != 0 && self.state.cpsr & psr::F == 0 {
            Exception::Fiq
        } else if flags & control::IRQ != 0 && self.state.cpsr & psr::I == 0 {
            Exception::Irq
        } else {
            return None;
        };
        self.pc = self.state.regs[15];
        self.raised = Some(exception);
        self.deliver()
    }

    /// An interrupt input is asserted, masked or not: WFI does not wait.
    pub fn interrupt_pending(&self) -> bool {
        self.control.flags() & (control::IRQ | control::FIQ) != 0
    }

    /// Does what a block ended with. Some if the loop ends.
    #[inline(always)]
    pub fn finish(&mut self, step: Step) -> Option<Exit> {
        match step {
            Step::Next | Step::Jump => None,
            Step::Raise => self.deliver(),
            Step::Exit => self.exit.take(),
        }
    }

    /// Takes the exception in `raised`, for the instruction at `pc`.
    #[cold]
    pub fn deliver(&mut self) -> Option<Exit> {
        let exception = self.raised.take()?;
        // A vector whose own instruction faults: at most that instruction was counted between.
        if self.stats.instructions - self.last_exception_at <= 1 {
            self.unproductive += 1;
            if self.unproductive >= STUCK {
                self.unproductive = 0;
                return Some(Exit::Stuck(exception));
            }
        } else {
            self.unproductive = 0;
        }
        self.last_exception_at = self.stats.instructions;
        // Execution that runs off the end of memory, again and again from the vector.
        let runaway = matches!(exception, Exception::PrefetchAbort(_)) && self.state.privileged();
        if runaway && self.runaway_pc == Some(self.pc) {
            self.runaways += 1;
            if self.runaways >= RUNAWAY {
                self.runaways = 0;
                return Some(Exit::Stuck(exception));
            }
        } else {
            self.runaways = 0;
        }
        self.runaway_pc = runaway.then_some(self.pc);
        self.stats.exceptions += 1;
        self.state.take_exception(exception, self.pc);
        self.context_changed();
        None
    }

    /// Stores the exception that the current instruction raises.
    #[cold]
    pub fn raise(&mut self, exception: Exception) -> Raised {
        self.raised = Some(exception);
        Raised
    }

    /// Ends the block, with execution at `target`.
    #[inline(always)]
    pub fn jump(&mut self, target: u32) -> Step {
        self.next_pc = target;
        Step::Jump
    }

    /// Leaves the loop, with execution at the instruction after this one (`len` bytes).
    pub fn exit_after(&mut self, len: u8, exit: Exit) -> Step {
        self.next_pc = self.pc.wrapping_add(u32::from(len));
        self.exit = Some(exit);
        Step::Exit
    }

    /// The instruction left the loop, and is to execute again.
    #[inline(always)]
    pub fn repeats(&self, step: Step) -> bool {
        step == Step::Exit && self.next_pc == self.pc
    }

    /// Ends the block; execution goes on after this instruction. For everything that changes what
    /// was derived from the state.
    #[inline(always)]
    pub fn resync(&mut self, len: u8) -> Step {
        let next = self.pc.wrapping_add(u32::from(len));
        self.jump(next)
    }
}
