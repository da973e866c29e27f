//! The architectural state of a processing element.

mod hyp;
mod modes;
#[cfg(test)]
mod tests;

use crate::cp15::{Cp15, Timer, spec::sctlr};
use crate::decode::ItState;

pub use hyp::Hyp;

/// Processor modes (manual B1.3.1); the value is the mode field of a PSR.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Mode {
    User = 0x10,
    Fiq = 0x11,
    Irq = 0x12,
    Supervisor = 0x13,
    Monitor = 0x16,
    Abort = 0x17,
    Hyp = 0x1a,
    Undefined = 0x1b,
    System = 0x1f,
}

/// Bits of a program status register (manual B1.3.3).
#[allow(missing_docs)]
pub mod psr {
    pub const N: u32 = 1 << 31;
    pub const Z: u32 = 1 << 30;
    pub const C: u32 = 1 << 29;
    pub const V: u32 = 1 << 28;
    pub const Q: u32 = 1 << 27;
    /// Jazelle state.
    pub const J: u32 = 1 << 24;
    pub const GE: u32 = 0xf << 16;
    /// Big-endian data.
    pub const E: u32 = 1 << 9;
    pub const A: u32 = 1 << 8;
    pub const I: u32 = 1 << 7;
    pub const F: u32 = 1 << 6;
    /// T32 state.
    pub const T: u32 = 1 << 5;
    pub const MODE: u32 = 0x1f;
    /// IT[1:0] in bits 26:25 and IT[7:2] in bits 15:10.
    pub const IT: u32 = 0x0600_fc00;
}

/// The implementations of ARMv7-A that the virtual board offers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum CpuModel {
    CortexA15,
    CortexA7,
}

/// Floating-point and Advanced SIMD registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SimdState {
    /// D0 to D31. S(2n) is the low half of D(n), Q(n) is D(2n) (low), D(2n + 1).
    pub d: [u64; 32],
    /// FPSCR.
    pub fpscr: u32,
    /// FPEXC (bit 30 = EN).
    pub fpexc: u32,
}

/// The exclusive monitor's record (manual A3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exclusive {
    /// Physical address of the reservation.
    pub pa: u64,
    /// What LDREX read: a STREX succeeds only if memory still holds it.
    pub value: u64,
    /// Size of the access in bytes.
    pub size: u8,
}

/// Everything that a processing element architecturally holds. Plain data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuState {
    /// Which implementation: fixes the ID registers.
    pub model: CpuModel,
    /// This CPU's number: affinity level 0 of MPIDR.
    pub index: u8,
    /// How many CPUs the cluster has (L2CTLR).
    pub count: u8,
    /// R0 to R15 of the current mode. R15 is the address of the next instruction to execute.
    pub regs: [u32; 16],
    /// CPSR, whole.
    pub cpsr: u32,
    /// Banked copies of registers that are not the current mode's.
    pub banks: Banks,
    /// VFP and Advanced SIMD.
    pub simd: SimdState,
    /// System control registers (CP15), performance monitors, CP14.
    pub cp15: Cp15,
    /// Generic timer.
    pub timer: Timer,
    /// Registers of the Virtualization Extensions. The model has no Hyp mode yet: they are kept, and
    /// no instruction reaches them.
    pub hyp: Hyp,
    /// The local monitor; None is the Open Access state.
    pub exclusive: Option<Exclusive>,
    /// The event register that WFE looks at.
    pub event: bool,
    /// The CPU is off (PSCI) and executes nothing.
    pub off: bool,
}

/// Banked registers (manual figure B1-1).
///
/// The slots that hold R8 to R14 of the current mode are 0 (the values are in `CpuState::regs`), so
/// that equal states compare equal. SPSRs are always here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Banks {
    /// R8 to R12 of all modes but FIQ, while in FIQ mode.
    pub r8_usr: [u32; 5],
    /// R8 to R12 of FIQ mode, while not in FIQ mode.
    pub r8_fiq: [u32; 5],
    /// R13 by bank: usr/sys, fiq, irq, svc, abt, und, hyp, mon.
    pub r13: [u32; 8],
    /// R14 by bank (hyp: unused, it uses usr's).
    pub r14: [u32; 8],
    /// SPSR by bank (usr: unused).
    pub spsr: [u32; 8],
    /// ELR_hyp.
    pub elr_hyp: u32,
}

impl CpuState {
    /// A processor after reset (manual B1.9.1): Supervisor mode, A32, all interrupts masked, MMU and
    /// caches off, general-purpose registers 0, the PC at the reset vector.
    ///
    /// `index` is the number of the CPU, `count` how many its cluster has; only the low 3 bits of
    /// `index` are used.
    pub fn new(model: CpuModel, index: u8, count: u8) -> Self {
        CpuState {
            model,
            index: index & 7,
            count,
            regs: [0; 16],
            cpsr: Mode::Supervisor as u32 | psr::A | psr::I | psr::F,
            banks: Banks::default(),
            simd: SimdState {
                d: [0; 32],
                fpscr: 0,
                fpexc: 0,
            },
            cp15: Cp15::reset(model),
            timer: Timer::reset(),
            hyp: Hyp::default(),
            exclusive: None,
            event: false,
            off: false,
        }
    }

    /// Back to the state after [`CpuState::new`]; `off` stays as it is.
    pub fn reset(&mut self) {
        let off = self.off;
        *self = CpuState::new(self.model, self.index, self.count);
        self.off = off;
    }

    /// The IT bits of CPSR.
    #[inline]
    pub fn it_state(&self) -> ItState {
        ItState(((self.cpsr >> 8 & 0xfc) | (self.cpsr >> 25 & 3)) as u8)
    }

    /// Replaces the IT bits of CPSR.
    #[inline]
    pub fn set_it_state(&mut self, it: ItState) {
        let bits = u32::from(it.0);
        self.cpsr = self.cpsr & !psr::IT | (bits & 3) << 25 | (bits & 0xfc) << 8;
    }

    /// In T32 state.
    #[inline]
    pub fn in_t32(&self) -> bool {
        self.cpsr & psr::T != 0
    }

    /// Data accesses are big-endian (SETEND).
    #[inline]
    pub fn big_endian(&self) -> bool {
        self.cpsr & psr::E != 0
    }

    /// The current address space identifier: CONTEXTIDR.ASID with short descriptors, the ASID of the
    /// TTBR that TTBCR.A1 selects with long ones (manual B3.9.1).
    #[inline]
    pub fn asid(&self) -> u8 {
        self.cp15.asid()
    }

    /// Whether CPACR lets the current mode use coprocessors 10 and 11: the first of the two checks
    /// that floating-point instructions make, FPEXC.EN being the other (manual B1.11.3).
    #[inline]
    pub fn fp_permitted(&self) -> bool {
        match self.cp15.cpacr >> 20 & 3 {
            3 => true,
            1 => self.privileged(),
            _ => false,
        }
    }

    /// Whether SCTLR.A makes every unaligned access fault (manual A3.2.2).
    #[inline]
    pub fn strict_alignment(&self) -> bool {
        self.cp15.sctlr & sctlr::A != 0
    }
}
