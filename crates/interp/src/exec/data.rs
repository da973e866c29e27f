//! Data processing (manual A5.2.1 to A5.2.3, A6.3.1, A6.3.2).

use crate::core::{Core, Step};
use crate::machine::Machine;
use skep_arm::insn::{DpOp, Reg, Shift};
use skep_arm::state::psr;

/// A shifted operand and the shifter's carry-out.
struct Shifted {
    value: u32,
    carry: bool,
}

impl<M: Machine> Core<M> {
    #[inline(always)]
    fn carry(&self) -> bool {
        self.state.cpsr & psr::C != 0
    }

    #[inline(always)]
    pub(crate) fn dp_imm(
        &mut self,
        op: DpOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        imm: u32,
        carry: Option<bool>,
    ) -> Step {
        let carry = match carry {
            Some(carry) => carry,
            None => self.carry(),
        };
        self.dp(op, s, rd, self.reg(rn), Shifted { value: imm, carry })
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn dp_reg(
        &mut self,
        op: DpOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        shift: Shift,
        amount: u8,
    ) -> Step {
        let value = self.reg(rm);
        let operand = if amount == 0 {
            Shifted {
                value,
                carry: self.carry(),
            }
        } else {
            shift_c(value, shift, u32::from(amount), self.carry())
        };
        self.dp(op, s, rd, self.reg(rn), operand)
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn dp_rsr(
        &mut self,
        op: DpOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        shift: Shift,
        rs: Reg,
    ) -> Step {
        let operand = shift_c(self.reg(rm), shift, self.reg(rs) & 0xff, self.carry());
        self.dp(op, s, rd, self.reg(rn), operand)
    }

    /// The offset of a load or store with a register offset.
    #[inline(always)]
    pub(crate) fn register_offset(&self, rm: Reg, add: bool, shift: Shift, amount: u8) -> i32 {
        let value = self.reg(rm);
        let offset = if amount == 0 {
            value
        } else {
            shift_c(value, shift, u32::from(amount), self.carry()).value
        };
        (if add { offset } else { offset.wrapping_neg() }) as i32
    }

    #[inline(always)]
    fn dp(&mut self, op: DpOp, s: bool, rd: Reg, a: u32, b: Shifted) -> Step {
        let carry_in = self.carry();
        let (value, nzcv) = match op {
            DpOp::And | DpOp::Tst => logical(a & b.value, b.carry),
            DpOp::Eor | DpOp::Teq => logical(a ^ b.value, b.carry),
            DpOp::Orr => logical(a | b.value, b.carry),
            DpOp::Orn => logical(a | !b.value, b.carry),
            DpOp::Bic => logical(a & !b.value, b.carry),
            DpOp::Mov => logical(b.value, b.carry),
            DpOp::Mvn => logical(!b.value, b.carry),
            DpOp::Add | DpOp::Cmn => add(a, b.value, false),
            DpOp::Adc => add(a, b.value, carry_in),
            DpOp::Sub | DpOp::Cmp => add(a, !b.value, true),
            DpOp::Sbc => add(a, !b.value, carry_in),
            DpOp::Rsb => add(!a, b.value, true),
            DpOp::Rsc => add(!a, b.value, carry_in),
        };
        let compare = matches!(op, DpOp::Tst | DpOp::Teq | DpOp::Cmp | DpOp::Cmn);
        if s {
            if rd.is_pc() && !compare {
                return self.exception_return(value);
            }
            // Logical operations leave V as it is.
            let keep = if nzcv & KEEP_V != 0 {
                self.state.cpsr & psr::V
            } else {
                0
            };
            self.state.cpsr = self.state.cpsr & 0x0fff_ffff | nzcv & 0xf000_0000 | keep;
        }
        if compare {
            Step::Next
        } else {
            self.write_alu(rd, value)
        }
    }

    /// Sets a register; R15 branches (`ALUWritePC`).
    #[inline(always)]
    pub(crate) fn write_alu(&mut self, rd: Reg, value: u32) -> Step {
        if rd.is_pc() {
            if self.state.cpsr & psr::T != 0 {
                self.jump(value & !1)
            } else {
                self.bx(value)
            }
        } else {
            self.set_reg(rd, value);
            Step::Next
        }
    }
}

/// In the flags of a result: V stays as it is.
const KEEP_V: u32 = 1;

#[inline(always)]
fn logical(value: u32, carry: bool) -> (u32, u32) {
    let flags = value & psr::N | u32::from(value == 0) << 30 | u32::from(carry) << 29 | KEEP_V;
    (value, flags)
}

/// `AddWithCarry` (manual A2.2.1).
#[inline(always)]
fn add(a: u32, b: u32, carry: bool) -> (u32, u32) {
    let (partial, carry1) = a.overflowing_add(b);
    let (value, carry2) = partial.overflowing_add(u32::from(carry));
    let overflow = (a ^ value) & (b ^ value) & psr::N;
    let flags = value & psr::N
        | u32::from(value == 0) << 30
        | u32::from(carry1 | carry2) << 29
        | overflow >> 3;
    (value, flags)
}

/// `Shift_C` (manual A8.4.3). `amount` up to 255.
#[inline(always)]
fn shift_c(value: u32, shift: Shift, amount: u32, carry: bool) -> Shifted {
    if amount == 0 {
        return Shifted { value, carry };
    }
    match shift {
        Shift::Lsl => {
            let wide = if amount > 32 {
                0
            } else {
                u64::from(value) << amount
            };
            Shifted {
                value: wide as u32,
                carry: wide >> 32 & 1 != 0,
            }
        }
        Shift::Lsr => {
            let wide = if amount > 32 {
                0
            } else {
                (u64::from(value) << 1) >> amount
            };
            Shifted {
                value: (wide >> 1) as u32,
                carry: wide & 1 != 0,
            }
        }
        Shift::Asr => {
            let wide = (i64::from(value as i32) << 1) >> amount.min(33);
            Shifted {
                value: (wide >> 1) as u32,
                carry: wide & 1 != 0,
            }
        }
        Shift::Ror => {
            let value = value.rotate_right(amount & 31);
            Shifted {
                value,
                carry: value >> 31 != 0,
            }
        }
        Shift::Rrx => Shifted {
            value: u32::from(carry) << 31 | value >> 1,
            carry: value & 1 != 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_by_32_and_more() {
        let cases = [
            (Shift::Lsl, 32, 0, true),
            (Shift::Lsl, 33, 0, false),
            (Shift::Lsr, 32, 0, true),
            (Shift::Lsr, 33, 0, false),
            (Shift::Asr, 32, u32::MAX, true),
            (Shift::Asr, 200, u32::MAX, true),
            (Shift::Ror, 32, 0x8000_0001, true),
            (Shift::Lsl, 1, 2, true),
            (Shift::Lsr, 1, 0x4000_0000, true),
            (Shift::Rrx, 1, 0xc000_0000, true),
        ];
        for (shift, amount, value, carry) in cases {
            let got = shift_c(0x8000_0001, shift, amount, true);
            assert_eq!(
                (got.value, got.carry),
                (value, carry),
                "{shift:?} #{amount}"
            );
        }
    }

    #[test]
    fn add_sets_carry_and_overflow() {
        assert_eq!(add(0x7fff_ffff, 1, false), (0x8000_0000, psr::N | psr::V));
        assert_eq!(add(u32::MAX, 0, true), (0, psr::Z | psr::C));
        assert_eq!(add(5, !5, true), (0, psr::Z | psr::C));
        assert_eq!(add(u32::MAX, u32::MAX, true), (u32::MAX, psr::N | psr::C));
    }
}
