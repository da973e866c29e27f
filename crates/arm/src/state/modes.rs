//! Modes, program status registers and banked registers (manual B1.3).

use super::{CpuState, Mode, psr};
use crate::cp15::spec::sctlr;
use crate::insn::Banked;

/// Bank numbers, as `Banks` uses them.
const USR: usize = 0;
const FIQ: usize = 1;
const IRQ: usize = 2;
const SVC: usize = 3;
const ABT: usize = 4;
const UND: usize = 5;
const HYP: usize = 6;
const MON: usize = 7;

impl Mode {
    /// The mode that the low five bits of a PSR encode; None for the encodings that no version of
    /// the architecture defines.
    #[inline]
    pub const fn from_bits(bits: u32) -> Option<Mode> {
        Some(match bits & psr::MODE {
            0x10 => Mode::User,
            0x11 => Mode::Fiq,
            0x12 => Mode::Irq,
            0x13 => Mode::Supervisor,
            0x16 => Mode::Monitor,
            0x17 => Mode::Abort,
            0x1a => Mode::Hyp,
            0x1b => Mode::Undefined,
            0x1f => Mode::System,
            _ => return None,
        })
    }

    /// Whether this implementation has the mode: all but Monitor (no Security Extensions) and Hyp
    /// (no Virtualization Extensions yet). The manual's `BadMode`, negated.
    #[inline]
    pub const fn is_implemented(self) -> bool {
        !matches!(self, Mode::Monitor | Mode::Hyp)
    }

    /// Every mode but User is privileged.
    #[inline]
    pub const fn privileged(self) -> bool {
        !matches!(self, Mode::User)
    }

    /// The bank that holds the mode's R13 and SPSR.
    #[inline]
    const fn bank(self) -> usize {
        match self {
            Mode::User | Mode::System => USR,
            Mode::Fiq => FIQ,
            Mode::Irq => IRQ,
            Mode::Supervisor => SVC,
            Mode::Abort => ABT,
            Mode::Undefined => UND,
            Mode::Hyp => HYP,
            Mode::Monitor => MON,
        }
    }

    /// The bank that holds the mode's R14: Hyp mode has User mode's.
    #[inline]
    const fn lr_bank(self) -> usize {
        match self {
            Mode::Hyp => USR,
            mode => mode.bank(),
        }
    }
}

/// Where a banked register lives.
#[derive(Clone, Copy)]
enum Place {
    /// R8 to R12 of User mode, or of FIQ mode.
    High { fiq: bool, n: usize },
    /// R13 of a mode.
    Sp(Mode),
    /// R14 of a mode.
    Lr(Mode),
    /// SPSR of a mode.
    Spsr(Mode),
}

impl CpuState {
    /// The current mode. Should the mode field hold no mode's encoding (only a write to the `cpsr`
    /// field can do that), the answer is Supervisor.
    #[inline]
    pub fn mode(&self) -> Mode {
        Mode::from_bits(self.cpsr).unwrap_or(Mode::Supervisor)
    }

    /// The current mode is not User mode (PL1 or higher).
    #[inline]
    pub fn privileged(&self) -> bool {
        self.cpsr & psr::MODE != Mode::User as u32
    }

    /// The current mode has an SPSR: all but User and System.
    #[inline]
    pub fn has_spsr(&self) -> bool {
        self.mode().bank() != USR
    }

    /// Changes the mode field of CPSR, and swaps R8 to R14 for the new mode's.
    pub fn change_mode(&mut self, new: Mode) {
        let old = self.mode();
        self.cpsr = self.cpsr & !psr::MODE | new as u32;
        if old == new {
            return;
        }
        if (old == Mode::Fiq) != (new == Mode::Fiq) {
            let [.., r8, r9, r10, r11, r12, _, _, _] = &mut self.regs;
            let (save, load) = if new == Mode::Fiq {
                (&mut self.banks.r8_usr, &mut self.banks.r8_fiq)
            } else {
                (&mut self.banks.r8_fiq, &mut self.banks.r8_usr)
            };
            *save = [*r8, *r9, *r10, *r11, *r12];
            [*r8, *r9, *r10, *r11, *r12] = core::mem::take(load);
        }
        if old.bank() != new.bank() {
            self.banks.r13[old.bank()] = self.regs[13];
            self.regs[13] = core::mem::take(&mut self.banks.r13[new.bank()]);
        }
        if old.lr_bank() != new.lr_bank() {
            self.banks.r14[old.lr_bank()] = self.regs[14];
            self.regs[14] = core::mem::take(&mut self.banks.r14[new.lr_bank()]);
        }
    }

    /// Writes the whole of CPSR, switching banks.
    ///
    /// A mode that this implementation doesn't have leaves the mode as it was and writes the other
    /// bits (UNPREDICTABLE in the manual). The J bit stays 0: neither Jazelle nor ThumbEE state can
    /// be entered. In A32 state the IT bits are 0.
    pub fn set_cpsr(&mut self, value: u32) {
        let mode = match Mode::from_bits(value) {
            Some(mode) if mode.is_implemented() => mode,
            _ => self.mode(),
        };
        self.change_mode(mode);
        let mut value = value & !(psr::MODE | psr::J);
        if value & psr::T == 0 {
            value &= !psr::IT;
        }
        self.cpsr = value | mode as u32;
    }

    /// `CPSRWriteByInstr` (manual B1.3.3): what MSR, CPS and exception returns may change in the
    /// current mode. `mask` has a bit for each byte: f = 8, s = 4, x = 2, c = 1. Only an exception
    /// return changes the execution state bits (IT, J, T).
    ///
    /// A mode that this implementation doesn't have is handled as in [`CpuState::set_cpsr`].
    pub fn write_cpsr_by_instr(&mut self, value: u32, mask: u8, exception_return: bool) {
        let privileged = self.privileged();
        let mut bits = 0;
        if mask & 8 != 0 {
            bits |= psr::N | psr::Z | psr::C | psr::V | psr::Q;
            if exception_return {
                bits |= psr::IT & 0xff00_0000 | psr::J;
            }
        }
        if mask & 4 != 0 {
            bits |= psr::GE;
        }
        if mask & 2 != 0 {
            bits |= psr::E;
            if exception_return {
                bits |= psr::IT & 0xff00;
            }
            if privileged {
                bits |= psr::A;
            }
        }
        if mask & 1 != 0 {
            if privileged {
                bits |= psr::I | psr::MODE;
                // With non-maskable FIQs, software can only clear F.
                if self.cp15.sctlr & sctlr::NMFI == 0 || value & psr::F == 0 {
                    bits |= psr::F;
                }
            }
            if exception_return {
                bits |= psr::T;
            }
        }
        self.set_cpsr(self.cpsr & !bits | value & bits);
    }

    /// `SPSRWriteByInstr` (manual B1.3.3). Ignored in User and System mode, which have no SPSR
    /// (UNPREDICTABLE in the manual).
    pub fn write_spsr_by_instr(&mut self, value: u32, mask: u8) {
        if !self.has_spsr() {
            return;
        }
        let mut bits = 0;
        if mask & 8 != 0 {
            bits |= 0xff00_0000;
        }
        if mask & 4 != 0 {
            bits |= psr::GE;
        }
        if mask & 2 != 0 {
            bits |= 0xff00;
        }
        if mask & 1 != 0 {
            bits |= 0xff;
        }
        self.set_spsr(self.spsr() & !bits | value & bits);
    }

    /// SPSR of the current mode; CPSR in User and System mode, which have none (UNPREDICTABLE in the
    /// manual).
    #[inline]
    pub fn spsr(&self) -> u32 {
        match self.mode().bank() {
            USR => self.cpsr,
            bank => self.banks.spsr[bank],
        }
    }

    /// Writes SPSR of the current mode; ignored in User and System mode.
    #[inline]
    pub fn set_spsr(&mut self, value: u32) {
        let bank = self.mode().bank();
        if bank != USR {
            self.banks.spsr[bank] = value;
        }
    }

    /// R`n` of User mode, for LDM and STM (User registers). `n` is taken modulo 16.
    pub fn user_reg(&self, n: usize) -> u32 {
        match n & 15 {
            n @ 8..=12 => self.get(Place::High {
                fiq: false,
                n: n - 8,
            }),
            13 => self.get(Place::Sp(Mode::User)),
            14 => self.get(Place::Lr(Mode::User)),
            n => self.regs[n],
        }
    }

    /// Writes R`n` of User mode.
    pub fn set_user_reg(&mut self, n: usize, value: u32) {
        match n & 15 {
            n @ 8..=12 => self.set(
                Place::High {
                    fiq: false,
                    n: n - 8,
                },
                value,
            ),
            13 => self.set(Place::Sp(Mode::User), value),
            14 => self.set(Place::Lr(Mode::User), value),
            n => self.regs[n] = value,
        }
    }

    /// R13 of a mode, for SRS.
    pub fn r13_of(&self, mode: Mode) -> u32 {
        self.get(Place::Sp(mode))
    }

    /// Writes R13 of a mode, for SRS with writeback.
    pub fn set_r13_of(&mut self, mode: Mode, value: u32) {
        self.set(Place::Sp(mode), value);
    }

    /// What MRS (Banked register) reads (manual B9.2.3). None where the instruction is
    /// UNPREDICTABLE, which executes as UNDEFINED: in User mode, for a register that the current
    /// mode reaches by its own name, and for registers of modes that don't exist here.
    pub fn banked_reg(&self, reg: Banked) -> Option<u32> {
        Some(self.get(self.banked_place(reg)?))
    }

    /// What MSR (Banked register) writes. None: the instruction is UNDEFINED, as in
    /// [`CpuState::banked_reg`].
    pub fn set_banked_reg(&mut self, reg: Banked, value: u32) -> Option<()> {
        let place = self.banked_place(reg)?;
        self.set(place, value);
        Some(())
    }

    fn banked_place(&self, reg: Banked) -> Option<Place> {
        if !self.privileged() {
            return None;
        }
        let current = self.mode();
        let owner = |sysm: u8| match sysm & 0x1e {
            0x10 => Some(Mode::Irq),
            0x12 => Some(Mode::Supervisor),
            0x14 => Some(Mode::Abort),
            0x16 => Some(Mode::Undefined),
            _ => None,
        };
        let sysm = reg.sysm & 0x1f;
        let (place, mode) = if reg.r {
            let mode = match sysm {
                0x0e => Mode::Fiq,
                0x10 | 0x12 | 0x14 | 0x16 => owner(sysm)?,
                _ => return None,
            };
            (Place::Spsr(mode), mode)
        } else {
            match sysm {
                // All modes but FIQ see these as their own R8 to R12.
                0x00..=0x04 if current == Mode::Fiq => (
                    Place::High {
                        fiq: false,
                        n: usize::from(sysm),
                    },
                    Mode::User,
                ),
                0x05 if current != Mode::System => (Place::Sp(Mode::User), Mode::User),
                0x06 if current != Mode::System => (Place::Lr(Mode::User), Mode::User),
                0x08..=0x0c => (
                    Place::High {
                        fiq: true,
                        n: usize::from(sysm - 8),
                    },
                    Mode::Fiq,
                ),
                0x0d => (Place::Sp(Mode::Fiq), Mode::Fiq),
                0x0e => (Place::Lr(Mode::Fiq), Mode::Fiq),
                0x10..=0x17 if sysm & 1 == 0 => (Place::Lr(owner(sysm)?), owner(sysm)?),
                0x10..=0x17 => (Place::Sp(owner(sysm)?), owner(sysm)?),
                _ => return None,
            }
        };
        (mode != current).then_some(place)
    }

    fn get(&self, place: Place) -> u32 {
        let current = self.mode();
        match place {
            Place::High { fiq, n } => {
                let own = fiq == (current == Mode::Fiq);
                let bank = if fiq {
                    &self.banks.r8_fiq
                } else {
                    &self.banks.r8_usr
                };
                if own {
                    self.regs.get(8 + n).copied().unwrap_or(0)
                } else {
                    bank.get(n).copied().unwrap_or(0)
                }
            }
            Place::Sp(mode) if mode.bank() == current.bank() => self.regs[13],
            Place::Sp(mode) => self.banks.r13[mode.bank()],
            Place::Lr(mode) if mode.lr_bank() == current.lr_bank() => self.regs[14],
            Place::Lr(mode) => self.banks.r14[mode.lr_bank()],
            Place::Spsr(mode) => self.banks.spsr[mode.bank()],
        }
    }

    fn set(&mut self, place: Place, value: u32) {
        let current = self.mode();
        let slot = match place {
            Place::High { fiq, n } => {
                let own = fiq == (current == Mode::Fiq);
                let slot = if own {
                    self.regs.get_mut(8 + n)
                } else if fiq {
                    self.banks.r8_fiq.get_mut(n)
                } else {
                    self.banks.r8_usr.get_mut(n)
                };
                match slot {
                    Some(slot) => slot,
                    None => return,
                }
            }
            Place::Sp(mode) if mode.bank() == current.bank() => &mut self.regs[13],
            Place::Sp(mode) => &mut self.banks.r13[mode.bank()],
            Place::Lr(mode) if mode.lr_bank() == current.lr_bank() => &mut self.regs[14],
            Place::Lr(mode) => &mut self.banks.r14[mode.lr_bank()],
            Place::Spsr(mode) => &mut self.banks.spsr[mode.bank()],
        };
        *slot = value;
    }
}
