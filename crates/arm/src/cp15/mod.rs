//! The system control coprocessor (CP15), CP14, the performance monitors and the generic timer.
//!
//! [`read`], [`write`], [`read64`] and [`write64`] are MRC, MCR, MRRC and MCRR: they find the register
//! in the [`table`], check that the current mode may access it, and do what the access does to the
//! state. What an access asks of the engine (TLB maintenance, an address translation) comes back as
//! an [`Effect`].
//!
//! Which registers exist, what the identification registers read, and what is ignored where, is as
//! QEMU 7.2 presents Cortex-A15 and Cortex-A7 on its `virt` board, unless said otherwise.

mod access;
pub mod id;
pub mod pmu;
pub mod spec;
pub mod table;
#[cfg(test)]
mod tests;
pub mod timer;

pub use access::{Maintenance, looks_at_counters, maintenance, name, read, read64, write, write64};
pub use pmu::Pmu;
pub use timer::Timer;

use crate::exception::Fault;
use crate::mmu::{self, Translation};
use crate::state::{CpuModel, CpuState};
use spec::{sctlr, ttbcr};

/// The instruction is UNDEFINED.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undefined;

/// What registers tell of the world outside the processor's own state; the engine fills it for each
/// access.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Inputs {
    /// The physical counter (CNTPCT), in ticks of CNTFRQ.
    pub physical: u64,
    /// Processor cycles since some start; never goes back.
    pub cycles: u64,
    /// The IRQ input is asserted (ISR).
    pub irq: bool,
    /// The FIQ input is asserted (ISR).
    pub fiq: bool,
}

/// What the engine has to do after a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    None,
    /// What remembered translations were made from has changed: SCTLR, TTBCR, memory attributes.
    /// Drop all of them. (SCTLR also has the exception vectors and the alignment check.)
    TranslationChanged,
    /// TTBR0, TTBR1, CONTEXTIDR or DACR changed: [`CpuState::asid`] and DACR, by which remembered
    /// translations are tagged, may be others.
    ContextChanged,
    /// CPACR changed: which code may use floating point.
    CoprocessorAccess,
    /// TLB maintenance.
    Tlb {
        /// Which entries to drop.
        op: TlbOp,
        /// On every processor of the inner shareable domain, not only on this one.
        inner_shareable: bool,
    },
    /// Instruction cache maintenance: instructions may have been written to memory. An engine that
    /// sees such writes by itself has only to end its block.
    InstructionCache,
    /// Maintenance of data caches or branch predictors: nothing to do where those aren't modelled.
    CacheOp,
    /// A barrier by CP15's encodings (CP15ISB, CP15DSB, CP15DMB).
    Barrier(crate::insn::Barrier),
    /// Wait for interrupt by CP15's encoding.
    Wfi,
    /// An address translation operation: translate, then call [`set_par`]
    /// ([`mmu::translate_to_par`] does both).
    TranslateAddress {
        /// The virtual address.
        va: u32,
        /// Translate for a write.
        write: bool,
        /// Translate for a privileged access.
        privileged: bool,
    },
    /// A timer register was written: look at [`Timer`]'s outputs and deadlines again.
    TimerChanged,
    /// A performance monitor register was written: look at [`Pmu::interrupt`] again.
    PmuChanged,
}

/// Entries of a TLB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlbOp {
    /// All.
    All,
    /// Non-global ones of an ASID.
    Asid(u8),
    /// Those that translate an address, of an ASID or global.
    Va {
        /// A virtual address in the page; bits 11:0 are 0.
        va: u32,
        /// The ASID.
        asid: u8,
    },
    /// Those that translate an address, whatever their ASID.
    VaAllAsids(u32),
}

impl TlbOp {
    /// The address that it is about, if it is about one.
    pub fn va(self) -> Option<u32> {
        match self {
            TlbOp::Va { va, .. } | TlbOp::VaAllAsids(va) => Some(va),
            TlbOp::All | TlbOp::Asid(_) => None,
        }
    }
}

/// System control registers, performance monitors and CP14.
///
/// Identification registers aren't here: they follow from the model ([`id`]).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cp15 {
    /// SCTLR (manual B4.1.130).
    pub sctlr: u32,
    /// CPACR (manual B4.1.40).
    pub cpacr: u32,
    /// CSSELR (manual B4.1.41).
    pub csselr: u32,
    /// TTBR0, 64 bits wide in the long-descriptor format (manual B4.1.154).
    pub ttbr0: u64,
    /// TTBR1 (manual B4.1.155).
    pub ttbr1: u64,
    /// TTBCR (manual B4.1.153).
    pub ttbcr: u32,
    /// DACR (manual B4.1.43).
    pub dacr: u32,
    /// DFSR (manual B4.1.52).
    pub dfsr: u32,
    /// IFSR (manual B4.1.96).
    pub ifsr: u32,
    /// DFAR (manual B4.1.51).
    pub dfar: u32,
    /// IFAR (manual B4.1.95).
    pub ifar: u32,
    /// PAR, 64 bits wide in the long-descriptor format (manual B4.1.112).
    pub par: u64,
    /// PRRR; MAIR0 in the long-descriptor format (manual B4.1.127, B4.1.104). One register.
    pub mair0: u32,
    /// NMRR; MAIR1 in the long-descriptor format (manual B4.1.109).
    pub mair1: u32,
    /// VBAR (manual B4.1.156).
    pub vbar: u32,
    /// CONTEXTIDR (manual B4.1.36).
    pub contextidr: u32,
    /// TPIDRURW: User mode reads and writes it (manual B4.1.150).
    pub tpidrurw: u32,
    /// TPIDRURO: User mode reads it (manual B4.1.149).
    pub tpidruro: u32,
    /// TPIDRPRW: only for privileged code (manual B4.1.148).
    pub tpidrprw: u32,
    /// Performance monitors.
    pub pmu: Pmu,
    /// CP14.
    pub debug: Debug,
}

/// Debug (CP14) and ThumbEE registers. They hold what is written, and debug nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Debug {
    /// DBGBVR0 to DBGBVR5.
    pub dbgbvr: [u32; 6],
    /// DBGBCR0 to DBGBCR5.
    pub dbgbcr: [u32; 6],
    /// DBGWVR0 to DBGWVR3.
    pub dbgwvr: [u32; 4],
    /// DBGWCR0 to DBGWCR3.
    pub dbgwcr: [u32; 4],
    /// DBGDSCR.
    pub dbgdscr: u32,
    /// The OS lock (DBGOSLSR.OSLK).
    pub os_lock: bool,
    /// DBGOSDLR.DLK.
    pub dbgosdlr: u32,
    /// TEECR.XED: User mode has no access to TEEHBR.
    pub teecr: u32,
    /// TEEHBR.
    pub teehbr: u32,
}

impl Cp15 {
    /// The registers after reset.
    pub fn reset(_model: CpuModel) -> Self {
        Cp15 {
            sctlr: sctlr::RESET,
            debug: Debug {
                os_lock: true,
                ..Debug::default()
            },
            ..Cp15::default()
        }
    }

    /// Translation tables and fault registers have the long-descriptor format (TTBCR.EAE).
    #[inline]
    pub const fn long_descriptors(&self) -> bool {
        self.ttbcr & ttbcr::EAE != 0
    }

    /// The MMU is on.
    #[inline]
    pub const fn mmu_on(&self) -> bool {
        self.sctlr & sctlr::M != 0
    }

    /// The current ASID (manual B3.9.1).
    #[inline]
    pub const fn asid(&self) -> u8 {
        if !self.long_descriptors() {
            self.contextidr as u8
        } else if self.ttbcr & ttbcr::A1 != 0 {
            (self.ttbr1 >> 48) as u8
        } else {
            (self.ttbr0 >> 48) as u8
        }
    }
}

/// Writes PAR with the result of an address translation operation (manual B4.1.112).
pub fn set_par(state: &mut CpuState, result: &Result<Translation, Fault>) {
    state.cp15.par = mmu::par(result, state.cp15.long_descriptors());
}
