//! Load and store instructions (manual A4.6, A4.7).

use crate::core::{Core, Raised, Step};
use crate::machine::Machine;
use skep_arm::insn::{ExSize, Index, Reg, Size};
use skep_arm::state::{Mode, psr};

/// Where an access goes, and what the base register becomes.
struct Address {
    at: u32,
    wback: Option<u32>,
    /// With the privilege of User mode.
    unprivileged: bool,
}

impl<M: Machine> Core<M> {
    #[inline(always)]
    fn address(&self, rn: Reg, offset: i32, index: Index) -> Address {
        let base = if rn.is_pc() {
            self.pc_aligned()
        } else {
            self.reg(rn)
        };
        let sum = base.wrapping_add_signed(offset);
        match index {
            Index::Offset => Address {
                at: sum,
                wback: None,
                unprivileged: false,
            },
            Index::Pre => Address {
                at: sum,
                wback: Some(sum),
                unprivileged: false,
            },
            Index::Post => Address {
                at: base,
                wback: Some(sum),
                unprivileged: false,
            },
            Index::PostUnpriv => Address {
                at: base,
                wback: Some(sum),
                unprivileged: true,
            },
            Index::OffsetUnpriv => Address {
                at: sum,
                wback: None,
                unprivileged: true,
            },
        }
    }

    #[inline(always)]
    fn write_back(&mut self, rn: Reg, address: &Address) {
        if let Some(value) = address.wback {
            self.set_reg(rn, value);
        }
    }

    #[inline(always)]
    fn load_at(&mut self, address: &Address, size: u32) -> Result<u32, Raised> {
        let value = if address.unprivileged {
            self.load_slow(address.at, size, size, false)
        } else {
            self.load(address.at, size)
        };
        value.map(|value| value as u32)
    }

    #[inline(always)]
    pub(crate) fn ldr_imm(
        &mut self,
        size: Size,
        rt: Reg,
        rn: Reg,
        offset: i32,
        index: Index,
    ) -> Result<Step, Raised> {
        let address = self.address(rn, offset, index);
        let value = match size {
            Size::Word => self.load_at(&address, 4)?,
            Size::Byte => self.load_at(&address, 1)?,
            Size::Half => self.load_at(&address, 2)?,
            Size::SignedByte => self.load_at(&address, 1)? as i8 as u32,
            Size::SignedHalf => self.load_at(&address, 2)? as i16 as u32,
        };
        self.write_back(rn, &address);
        if rt.is_pc() {
            return Ok(self.bx(value));
        }
        self.set_reg(rt, value);
        Ok(Step::Next)
    }

    #[inline(always)]
    pub(crate) fn str_imm(
        &mut self,
        size: Size,
        rt: Reg,
        rn: Reg,
        offset: i32,
        index: Index,
    ) -> Result<Step, Raised> {
        let address = self.address(rn, offset, index);
        let bytes = match size {
            Size::Word => 4,
            Size::Half | Size::SignedHalf => 2,
            Size::Byte | Size::SignedByte => 1,
        };
        let value = u64::from(self.reg(rt));
        if address.unprivileged {
            self.store_slow(address.at, bytes, bytes, value, false)?;
        } else {
            self.store(address.at, bytes, value)?;
        }
        self.write_back(rn, &address);
        Ok(Step::Next)
    }

    pub(crate) fn ldrd(
        &mut self,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: i32,
        index: Index,
    ) -> Result<Step, Raised> {
        let address = self.address(rn, offset, index);
        self.check_alignment(address.at, 4, false)?;
        let value = self.load(address.at, 8)?;
        self.write_back(rn, &address);
        self.set_reg(rt, value as u32);
        self.set_reg(rt2, (value >> 32) as u32);
        Ok(Step::Next)
    }

    pub(crate) fn strd(
        &mut self,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: i32,
        index: Index,
    ) -> Result<Step, Raised> {
        let address = self.address(rn, offset, index);
        self.check_alignment(address.at, 4, true)?;
        let value = u64::from(self.reg(rt2)) << 32 | u64::from(self.reg(rt));
        self.store(address.at, 8, value)?;
        self.write_back(rn, &address);
        Ok(Step::Next)
    }

    /// The lowest address of a multiple transfer and the written-back base.
    fn span(&self, rn: Reg, list: u16, increment: bool, before: bool) -> (u32, u32) {
        let base = self.reg(rn);
        let bytes = 4 * list.count_ones();
        let (low, after) = if increment {
            (base, base.wrapping_add(bytes))
        } else {
            (base.wrapping_sub(bytes), base.wrapping_sub(bytes))
        };
        (
            if before == increment {
                low.wrapping_add(4)
            } else {
                low
            },
            after,
        )
    }

    /// A base register in the list is loaded (with writeback that is UNPREDICTABLE: the loaded
    /// value stays). A fault leaves the base and, but for registers loaded before it, all else.
    pub(crate) fn ldm(
        &mut self,
        rn: Reg,
        list: u16,
        increment: bool,
        before: bool,
        wback: bool,
        user: bool,
    ) -> Result<Step, Raised> {
        if user {
            self.require_privilege()?;
        }
        let (mut at, after) = self.span(rn, list, increment, before);
        self.check_alignment(at, 4, false)?;
        let mut values = [0u32; 16];
        for (n, value) in values.iter_mut().enumerate() {
            if list >> n & 1 != 0 {
                *value = self.load(at, 4)? as u32;
                at = at.wrapping_add(4);
            }
        }
        if wback {
            self.set_reg(rn, after);
        }
        let user_registers = user && list & 0x8000 == 0;
        for (n, value) in values.iter().enumerate().take(15) {
            if list >> n & 1 != 0 {
                if user_registers {
                    self.state.set_user_reg(n, *value);
                } else {
                    self.state.regs[n] = *value;
                }
            }
        }
        if list & 0x8000 == 0 {
            return Ok(Step::Next);
        }
        let pc = values[15];
        Ok(if user {
            self.exception_return(pc)
        } else {
            self.bx(pc)
        })
    }

    pub(crate) fn stm(
        &mut self,
        rn: Reg,
        list: u16,
        increment: bool,
        before: bool,
        wback: bool,
        user: bool,
    ) -> Result<Step, Raised> {
        if user {
            self.require_privilege()?;
        }
        let (mut at, after) = self.span(rn, list, increment, before);
        self.check_alignment(at, 4, true)?;
        for n in 0..16 {
            if list >> n & 1 != 0 {
                let value = if user && n < 15 {
                    self.state.user_reg(n)
                } else {
                    self.state.regs[n]
                };
                self.store(at, 4, u64::from(value))?;
                at = at.wrapping_add(4);
            }
        }
        if wback {
            self.set_reg(rn, after);
        }
        Ok(Step::Next)
    }

    pub(crate) fn ldrex(
        &mut self,
        size: ExSize,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: u16,
    ) -> Result<Step, Raised> {
        let at = self.reg(rn).wrapping_add(u32::from(offset));
        let value = self.load_exclusive(at, bytes(size))?;
        self.set_reg(rt, value as u32);
        if size == ExSize::Double {
            self.set_reg(rt2, (value >> 32) as u32);
        }
        Ok(Step::Next)
    }

    pub(crate) fn strex(
        &mut self,
        size: ExSize,
        rd: Reg,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: u16,
    ) -> Result<Step, Raised> {
        let at = self.reg(rn).wrapping_add(u32::from(offset));
        let mut value = u64::from(self.reg(rt));
        if size == ExSize::Double {
            value |= u64::from(self.reg(rt2)) << 32;
        }
        let bytes = bytes(size);
        let value = value & (u64::MAX >> (64 - 8 * bytes));
        let stored = self.store_exclusive(at, bytes, value)?;
        self.set_reg(rd, u32::from(!stored));
        Ok(Step::Next)
    }

    /// SWP, SWPB: UNDEFINED unless SCTLR.SW enables them.
    pub(crate) fn swp(&mut self, byte: bool, rt: Reg, rt2: Reg, rn: Reg) -> Result<Step, Raised> {
        if self.state.cp15.sctlr & skep_arm::cp15::spec::sctlr::SW == 0 {
            return Err(self.undefined());
        }
        let old = self.swap(self.reg(rn), if byte { 1 } else { 4 }, self.reg(rt2))?;
        self.set_reg(rt, old);
        Ok(Step::Next)
    }

    /// RFE.
    pub(crate) fn rfe(
        &mut self,
        rn: Reg,
        increment: bool,
        before: bool,
        wback: bool,
    ) -> Result<Step, Raised> {
        let (at, after) = self.span(rn, 3, increment, before);
        self.check_alignment(at, 4, false)?;
        let pc = self.load(at, 4)? as u32;
        let cpsr = self.load(at.wrapping_add(4), 4)? as u32;
        if wback {
            self.set_reg(rn, after);
        }
        Ok(self.return_to(pc, cpsr))
    }

    /// SRS: stores LR and SPSR on another mode's stack.
    pub(crate) fn srs(
        &mut self,
        mode: u8,
        increment: bool,
        before: bool,
        wback: bool,
    ) -> Result<Step, Raised> {
        let Some(mode) = Mode::from_bits(u32::from(mode)) else {
            return Err(self.undefined());
        };
        let base = self.state.r13_of(mode);
        let (low, after) = if increment {
            (base, base.wrapping_add(8))
        } else {
            (base.wrapping_sub(8), base.wrapping_sub(8))
        };
        let at = if before == increment {
            low.wrapping_add(4)
        } else {
            low
        };
        self.check_alignment(at, 4, true)?;
        self.store(at, 4, u64::from(self.reg(Reg::LR)))?;
        self.store(at.wrapping_add(4), 4, u64::from(self.state.spsr()))?;
        if wback {
            self.state.set_r13_of(mode, after);
        }
        Ok(Step::Next)
    }

    /// SETEND.
    pub(crate) fn setend(&mut self, big: bool, len: u8) -> Step {
        self.state.cpsr = self.state.cpsr & !psr::E | if big { psr::E } else { 0 };
        self.context_changed();
        self.resync(len)
    }
}

fn bytes(size: ExSize) -> u32 {
    match size {
        ExSize::Byte => 1,
        ExSize::Half => 2,
        ExSize::Word => 4,
        ExSize::Double => 8,
    }
}
