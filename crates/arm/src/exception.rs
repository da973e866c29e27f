//! Exceptions: what they are, and what taking one does to the state (manual B1.8, B1.9).

#[cfg(test)]
mod tests;

use crate::cp15::spec::{fsr, sctlr};
use crate::state::{CpuState, Mode, psr};

/// Base of the exception vectors while SCTLR.V is 1.
pub const HIGH_VECTORS: u32 = 0xffff_0000;

/// Why an access faulted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum FaultKind {
    Alignment,
    /// Instruction cache maintenance fault.
    IcacheMaintenance,
    /// External abort on a translation table walk.
    WalkExternal,
    Translation,
    AccessFlag,
    Domain,
    Permission,
    /// Synchronous external abort on the access itself.
    External,
    /// Asynchronous external abort.
    AsyncExternal,
    /// BKPT and other debug events.
    Debug,
}

/// A fault that becomes a Prefetch Abort or a Data Abort exception.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// The virtual address, for xFAR.
    pub va: u32,
    /// The level of the table walk that faulted (1 to 3; 0 where there is none).
    pub level: u8,
    /// The domain, 0 in the long-descriptor format.
    pub domain: u8,
    /// The access was a write (WnR).
    pub write: bool,
    /// The access was a cache maintenance or address translation operation.
    pub maintenance: bool,
}

/// An exception that a processor takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Exception {
    Undefined,
    Svc,
    PrefetchAbort(Fault),
    DataAbort(Fault),
    Irq,
    Fiq,
}

impl Fault {
    /// The fault status field: STATUS[5:0] in the long-descriptor format (`long`, manual table
    /// B3-24), FS[4:0] with FS[4] in bit 10 in the short one (table B3-23).
    fn status(&self, long: bool) -> u32 {
        let level = u32::from(self.level.clamp(1, 3));
        if long {
            return match self.kind {
                FaultKind::Translation => 0b000100 | level,
                FaultKind::AccessFlag => 0b001000 | level,
                FaultKind::Permission => 0b001100 | level,
                FaultKind::External => 0b010000,
                FaultKind::WalkExternal => 0b010100 | level,
                FaultKind::AsyncExternal => 0b010001,
                FaultKind::Alignment => 0b100001,
                FaultKind::Debug => 0b100010,
                // Neither exists in this format: the nearest is a fault of the same level.
                FaultKind::Domain => 0b111100 | level,
                FaultKind::IcacheMaintenance => 0b000100 | level,
            };
        }
        let by_level = |first: u32, second: u32| if level == 1 { first } else { second };
        match self.kind {
            FaultKind::Alignment => 0b00001,
            FaultKind::IcacheMaintenance => 0b00100,
            FaultKind::WalkExternal => by_level(0b01100, 0b01110),
            FaultKind::Translation => by_level(0b00101, 0b00111),
            FaultKind::AccessFlag => by_level(0b00011, 0b00110),
            FaultKind::Domain => by_level(0b01001, 0b01011),
            FaultKind::Permission => by_level(0b01101, 0b01111),
            FaultKind::External => 0b01000,
            FaultKind::AsyncExternal => 1 << 10 | 0b0110,
            FaultKind::Debug => 0b00010,
        }
    }

    /// DFSR for this fault, in the long-descriptor format if `long` (manual B4.1.52).
    pub fn dfsr(&self, long: bool) -> u32 {
        let mut value = self.status(long);
        if long {
            value |= fsr::LPAE;
        } else {
            value |= u32::from(self.domain & 15) << fsr::DOMAIN_SHIFT;
        }
        // A maintenance or translation operation reports itself as a write.
        if self.write || self.maintenance {
            value |= fsr::WNR;
        }
        if self.maintenance {
            value |= fsr::CM;
        }
        value
    }

    /// IFSR for this fault, in the long-descriptor format if `long` (manual B4.1.96).
    pub fn ifsr(&self, long: bool) -> u32 {
        self.status(long) | if long { fsr::LPAE } else { 0 }
    }

    /// The FS field of PAR: FS[5] (external abort type, always 0 here), FS[4:0], or STATUS[5:0].
    pub(crate) fn par_status(&self, long: bool) -> u32 {
        let status = self.status(long);
        if long {
            status
        } else {
            status >> 10 << 4 | status & 15
        }
    }
}

impl CpuState {
    /// Takes an exception: what the manual's `TakeUndefInstrException` and its siblings do (B1.9).
    ///
    /// `pc` is
    /// - for [`Exception::Undefined`], [`Exception::Svc`], [`Exception::PrefetchAbort`] (BKPT too) and
    ///   [`Exception::DataAbort`]: the address of the instruction that caused it;
    /// - for [`Exception::Irq`] and [`Exception::Fiq`]: the address of the next instruction to
    ///   execute.
    ///
    /// CPSR, IT bits included, must be that of the instruction at `pc`; for SVC the IT state is
    /// advanced here, since the return goes to the next instruction. Fault registers are
    /// written for aborts. Afterwards `regs[15]` is the address of the exception's vector.
    pub fn take_exception(&mut self, e: Exception, pc: u32) {
        let t32 = self.in_t32();
        let long = self.cp15.long_descriptors();
        let (mode, vector, lr, masks) = match e {
            Exception::Undefined => (
                Mode::Undefined,
                0x04,
                pc.wrapping_add(if t32 { 2 } else { 4 }),
                psr::I,
            ),
            Exception::Svc => {
                let it = self.it_state().advance();
                self.set_it_state(it);
                (
                    Mode::Supervisor,
                    0x08,
                    pc.wrapping_add(if t32 { 2 } else { 4 }),
                    psr::I,
                )
            }
            Exception::PrefetchAbort(fault) => {
                self.cp15.ifsr = fault.ifsr(long);
                self.cp15.ifar = fault.va;
                (Mode::Abort, 0x0c, pc.wrapping_add(4), psr::A | psr::I)
            }
            Exception::DataAbort(fault) => {
                self.cp15.dfsr = fault.dfsr(long);
                // An asynchronous abort has no address.
                if fault.kind != FaultKind::AsyncExternal {
                    self.cp15.dfar = fault.va;
                }
                (Mode::Abort, 0x10, pc.wrapping_add(8), psr::A | psr::I)
            }
            Exception::Irq => (Mode::Irq, 0x18, pc.wrapping_add(4), psr::A | psr::I),
            Exception::Fiq => (
                Mode::Fiq,
                0x1c,
                pc.wrapping_add(4),
                psr::A | psr::I | psr::F,
            ),
        };
        let spsr = self.cpsr;
        self.change_mode(mode);
        self.set_spsr(spsr);
        self.regs[14] = lr;

        let control = self.cp15.sctlr;
        let mut cpsr = self.cpsr & !(psr::IT | psr::J | psr::T | psr::E) | masks;
        if control & sctlr::TE != 0 {
            cpsr |= psr::T;
        }
        if control & sctlr::EE != 0 {
            cpsr |= psr::E;
        }
        self.cpsr = cpsr;
        let base = if control & sctlr::V != 0 {
            HIGH_VECTORS
        } else {
            self.cp15.vbar
        };
        self.regs[15] = base.wrapping_add(vector);
        self.exclusive = None;
    }

    /// Returns from an exception (SUBS PC, LR and related, LDM (exception return), RFE, ERET):
    /// writes CPSR with the rights of the current mode, then the PC, aligned for the new
    /// instruction set.
    ///
    /// A mode that doesn't exist leaves the mode as it was ([`CpuState::set_cpsr`]). In User mode,
    /// where these instructions are UNPREDICTABLE, only what User mode may write changes. Sets
    /// the event register, as WFE's wake-up events want (B1.8.13).
    pub fn exception_return(&mut self, pc: u32, cpsr: u32) {
        self.write_cpsr_by_instr(cpsr, 0xf, true);
        self.regs[15] = pc & if self.in_t32() { !1 } else { !3 };
        self.event = true;
    }
}
