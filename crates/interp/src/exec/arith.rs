//! Multiplication, division, saturating and parallel arithmetic, bit fields (manual A4.4.3 to
//! A4.4.8).

use crate::core::Core;
use crate::machine::Machine;
use skep_arm::insn::{BitOp, Extend, Insn, MulLong, ParOp, ParPrefix, Reg, SatOp, Shift};
use skep_arm::state::psr;

impl<M: Machine> Core<M> {
    /// Executes an instruction that reads and writes only registers and flags.
    #[inline]
    pub(crate) fn arithmetic(&mut self, insn: &Insn) {
        match *insn {
            Insn::Mul { s, rd, rn, rm } => {
                let value = self.reg(rn).wrapping_mul(self.reg(rm));
                self.set_result(s, rd, value);
            }
            Insn::Mla { s, rd, rn, rm, ra } => {
                let value = self
                    .reg(rn)
                    .wrapping_mul(self.reg(rm))
                    .wrapping_add(self.reg(ra));
                self.set_result(s, rd, value);
            }
            Insn::Mls { rd, rn, rm, ra } => {
                let product = self.reg(rn).wrapping_mul(self.reg(rm));
                self.set_reg(rd, self.reg(ra).wrapping_sub(product));
            }
            Insn::MulLong {
                op,
                s,
                rd_lo,
                rd_hi,
                rn,
                rm,
            } => {
                self.mul_long(op, s, rd_lo, rd_hi, rn, rm);
            }
            Insn::SmulXy {
                rd,
                rn,
                rm,
                n_high,
                m_high,
            } => {
                let product = half(self.reg(rn), n_high) * half(self.reg(rm), m_high);
                self.set_reg(rd, product as u32);
            }
            Insn::SmlaXy {
                rd,
                rn,
                rm,
                ra,
                n_high,
                m_high,
            } => {
                let product = half(self.reg(rn), n_high) * half(self.reg(rm), m_high);
                self.accumulate(rd, i64::from(product), ra);
            }
            Insn::SmulWy { rd, rn, rm, m_high } => {
                self.set_reg(rd, self.word_by_half(rn, rm, m_high) as u32);
            }
            Insn::SmlaWy {
                rd,
                rn,
                rm,
                ra,
                m_high,
            } => {
                let product = self.word_by_half(rn, rm, m_high);
                self.accumulate(rd, product, ra);
            }
            Insn::SmlalXy {
                rd_lo,
                rd_hi,
                rn,
                rm,
                n_high,
                m_high,
            } => {
                let product = half(self.reg(rn), n_high) * half(self.reg(rm), m_high);
                let sum = self
                    .pair(rd_lo, rd_hi)
                    .wrapping_add(i64::from(product) as u64);
                self.set_pair(rd_lo, rd_hi, sum);
            }
            Insn::DualMul {
                sub,
                swap,
                rd,
                rn,
                rm,
                ra,
            } => {
                let product = self.dual_product(sub, swap, rn, rm);
                let sum = product + ra.map_or(0, |ra| i64::from(self.reg(ra) as i32));
                self.set_q_if(sum != i64::from(sum as i32));
                self.set_reg(rd, sum as u32);
            }
            Insn::DualMulLong {
                sub,
                swap,
                rd_lo,
                rd_hi,
                rn,
                rm,
            } => {
                let product = self.dual_product(sub, swap, rn, rm);
                let sum = self.pair(rd_lo, rd_hi).wrapping_add(product as u64);
                self.set_pair(rd_lo, rd_hi, sum);
            }
            Insn::Smmul {
                round,
                sub,
                rd,
                rn,
                rm,
                ra,
            } => {
                let product = i64::from(self.reg(rn) as i32) * i64::from(self.reg(rm) as i32);
                let base = ra.map_or(0, |ra| i64::from(self.reg(ra)) << 32);
                let sum = if sub {
                    base.wrapping_sub(product)
                } else {
                    base.wrapping_add(product)
                };
                let sum = sum.wrapping_add(if round { 0x8000_0000 } else { 0 });
                self.set_reg(rd, (sum >> 32) as u32);
            }
            Insn::Div { signed, rd, rn, rm } => {
                let (n, m) = (self.reg(rn), self.reg(rm));
                // Division by zero gives 0: SCTLR.DZ exists only in ARMv7-R.
                let value = match (m, signed) {
                    (0, _) => 0,
                    (_, true) => (n as i32).wrapping_div(m as i32) as u32,
                    (_, false) => n / m,
                };
                self.set_reg(rd, value);
            }
            Insn::Usad8 { rd, rn, rm, ra } => {
                let (n, m) = (self.reg(rn).to_le_bytes(), self.reg(rm).to_le_bytes());
                let sum: u32 = n.iter().zip(m).map(|(n, m)| u32::from(n.abs_diff(m))).sum();
                self.set_reg(rd, sum.wrapping_add(ra.map_or(0, |ra| self.reg(ra))));
            }
            Insn::Sat { op, rd, rm, rn } => {
                let (m, n) = (self.reg(rm) as i32, self.reg(rn) as i32);
                let n = match op {
                    SatOp::Qdadd | SatOp::Qdsub => self.saturate_i32(i64::from(n) * 2),
                    SatOp::Qadd | SatOp::Qsub => n,
                };
                let value = match op {
                    SatOp::Qadd | SatOp::Qdadd => i64::from(m) + i64::from(n),
                    SatOp::Qsub | SatOp::Qdsub => i64::from(m) - i64::from(n),
                };
                let value = self.saturate_i32(value);
                self.set_reg(rd, value as u32);
            }
            Insn::SatTo {
                signed,
                rd,
                to,
                rn,
                shift,
                amount,
            } => {
                let n = self.reg(rn) as i32;
                let value = match shift {
                    Shift::Asr => n >> amount.min(31),
                    _ => n.wrapping_shl(u32::from(amount)),
                };
                let value = self.saturate(i64::from(value), signed, to);
                self.set_reg(rd, value as u32);
            }
            Insn::Sat16 { signed, rd, to, rn } => {
                let n = self.reg(rn);
                let low = self.saturate(i64::from(n as i16), signed, to);
                let high = self.saturate(i64::from((n >> 16) as i16), signed, to);
                self.set_reg(rd, low as u32 & 0xffff | (high as u32) << 16);
            }
            Insn::Parallel {
                prefix,
                op,
                rd,
                rn,
                rm,
            } => {
                let (value, ge) = parallel(prefix, op, self.reg(rn), self.reg(rm));
                if let Some(ge) = ge {
                    self.state.cpsr = self.state.cpsr & !psr::GE | ge << 16;
                }
                self.set_reg(rd, value);
            }
            Insn::Pkh {
                tb,
                rd,
                rn,
                rm,
                amount,
            } => {
                let (n, m) = (self.reg(rn), self.reg(rm));
                let value = if tb {
                    n & 0xffff_0000 | (m as i32 >> amount.min(31)) as u32 & 0xffff
                } else {
                    m.wrapping_shl(u32::from(amount)) & 0xffff_0000 | n & 0xffff
                };
                self.set_reg(rd, value);
            }
            Insn::Extend {
                op,
                rd,
                rn,
                rm,
                rotate,
            } => {
                let m = self.reg(rm).rotate_right(u32::from(rotate));
                let n = rn.map_or(0, |rn| self.reg(rn));
                let bytes16 = |low: u32, high: u32| {
                    (n & 0xffff).wrapping_add(low) & 0xffff
                        | ((n >> 16).wrapping_add(high) & 0xffff) << 16
                };
                let value = match op {
                    Extend::Sxtb => n.wrapping_add(m as i8 as u32),
                    Extend::Uxtb => n.wrapping_add(m & 0xff),
                    Extend::Sxth => n.wrapping_add(m as i16 as u32),
                    Extend::Uxth => n.wrapping_add(m & 0xffff),
                    Extend::Sxtb16 => bytes16(m as i8 as u32, (m >> 16) as i8 as u32),
                    Extend::Uxtb16 => bytes16(m & 0xff, m >> 16 & 0xff),
                };
                self.set_reg(rd, value);
            }
            Insn::Sel { rd, rn, rm } => {
                let ge = self.state.cpsr >> 16 & 15;
                let mask = spread(ge);
                self.set_reg(rd, self.reg(rn) & mask | self.reg(rm) & !mask);
            }
            Insn::Bits { op, rd, rm } => {
                let m = self.reg(rm);
                let value = match op {
                    BitOp::Rev => m.swap_bytes(),
                    BitOp::Rev16 => m.swap_bytes().rotate_left(16),
                    BitOp::Revsh => (m as u16).swap_bytes() as i16 as u32,
                    BitOp::Rbit => m.reverse_bits(),
                    BitOp::Clz => m.leading_zeros(),
                };
                self.set_reg(rd, value);
            }
            Insn::Bfi { rd, rn, lsb, width } => {
                let mask = field_mask(width) << lsb;
                let field = rn.map_or(0, |rn| self.reg(rn)) << lsb;
                self.set_reg(rd, self.reg(rd) & !mask | field & mask);
            }
            Insn::Bfx {
                signed,
                rd,
                rn,
                lsb,
                width,
            } => {
                let field = self.reg(rn) >> lsb & field_mask(width);
                let unused = 32 - u32::from(width).clamp(1, 32);
                let value = if signed {
                    ((field << unused) as i32 >> unused) as u32
                } else {
                    field
                };
                self.set_reg(rd, value);
            }
            _ => {}
        }
    }

    /// Sets a register and, for `s`, N and Z.
    fn set_result(&mut self, s: bool, rd: Reg, value: u32) {
        self.set_reg(rd, value);
        if s {
            self.set_nz(value & psr::N, value == 0);
        }
    }

    fn set_nz(&mut self, n: u32, z: bool) {
        self.state.cpsr = self.state.cpsr & !(psr::N | psr::Z) | n | u32::from(z) << 30;
    }

    fn set_q_if(&mut self, saturated: bool) {
        if saturated {
            self.state.cpsr |= psr::Q;
        }
    }

    fn pair(&self, lo: Reg, hi: Reg) -> u64 {
        u64::from(self.reg(hi)) << 32 | u64::from(self.reg(lo))
    }

    fn set_pair(&mut self, lo: Reg, hi: Reg, value: u64) {
        self.set_reg(lo, value as u32);
        self.set_reg(hi, (value >> 32) as u32);
    }

    fn mul_long(&mut self, op: MulLong, s: bool, rd_lo: Reg, rd_hi: Reg, rn: Reg, rm: Reg) {
        let (n, m) = (self.reg(rn), self.reg(rm));
        let unsigned = u64::from(n) * u64::from(m);
        let signed = (i64::from(n as i32) * i64::from(m as i32)) as u64;
        let value = match op {
            MulLong::Umull => unsigned,
            MulLong::Umlal => unsigned.wrapping_add(self.pair(rd_lo, rd_hi)),
            MulLong::Smull => signed,
            MulLong::Smlal => signed.wrapping_add(self.pair(rd_lo, rd_hi)),
            // At most (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1.
            MulLong::Umaal => unsigned
                .wrapping_add(u64::from(self.reg(rd_lo)))
                .wrapping_add(u64::from(self.reg(rd_hi))),
        };
        self.set_pair(rd_lo, rd_hi, value);
        if s {
            self.set_nz((value >> 32) as u32 & psr::N, value == 0);
        }
    }

    /// `rd = product + ra`, with Q set on signed overflow.
    fn accumulate(&mut self, rd: Reg, product: i64, ra: Reg) {
        let sum = product + i64::from(self.reg(ra) as i32);
        self.set_q_if(sum != i64::from(sum as i32));
        self.set_reg(rd, sum as u32);
    }

    fn word_by_half(&self, rn: Reg, rm: Reg, m_high: bool) -> i64 {
        (i64::from(self.reg(rn) as i32) * i64::from(half(self.reg(rm), m_high))) >> 16
    }

    fn dual_product(&self, sub: bool, swap: bool, rn: Reg, rm: Reg) -> i64 {
        let (n, m) = (self.reg(rn), self.reg(rm));
        let m = if swap { m.rotate_right(16) } else { m };
        let low = i64::from(half(n, false)) * i64::from(half(m, false));
        let high = i64::from(half(n, true)) * i64::from(half(m, true));
        if sub { low - high } else { low + high }
    }

    fn saturate_i32(&mut self, value: i64) -> i32 {
        self.saturate(value, true, 32) as i32
    }

    /// `SignedSatQ`, `UnsignedSatQ` to `to` bits, with Q set when the value changes.
    fn saturate(&mut self, value: i64, signed: bool, to: u8) -> i64 {
        let to = u32::from(to.min(32));
        let (low, high) = if signed {
            let half = 1i64 << to.saturating_sub(1);
            (-half, half - 1)
        } else {
            (0, (1i64 << to) - 1)
        };
        let result = value.clamp(low, high);
        self.set_q_if(result != value);
        result
    }
}

fn half(value: u32, high: bool) -> i32 {
    i32::from(if high {
        (value >> 16) as i16
    } else {
        value as i16
    })
}

fn field_mask(width: u8) -> u32 {
    u32::MAX >> (32 - u32::from(width).clamp(1, 32))
}

/// A byte of ones for each of the four GE bits.
fn spread(ge: u32) -> u32 {
    (0..4)
        .map(|i| {
            if ge >> i & 1 != 0 {
                0xffu32 << (8 * i)
            } else {
                0
            }
        })
        .sum()
}

/// Result and, for the S and U prefixes, the GE bits.
fn parallel(prefix: ParPrefix, op: ParOp, n: u32, m: u32) -> (u32, Option<u32>) {
    let signed = matches!(prefix, ParPrefix::S | ParPrefix::Q | ParPrefix::Sh);
    let bytes = matches!(op, ParOp::Add8 | ParOp::Sub8);
    let (lanes, width) = if bytes { (4, 8) } else { (2, 16) };
    let lane = |value: u32, i: u32| -> i32 {
        let raw = value >> (width * i) & field_mask(width as u8);
        match (signed, bytes) {
            (true, true) => i32::from(raw as i8),
            (true, false) => i32::from(raw as i16),
            _ => raw as i32,
        }
    };
    let (mut value, mut ge) = (0, 0);
    for i in 0..lanes {
        let a = lane(n, i);
        // ASX and SAX take the other halfword: ASX subtracts in the low one, adds in the high.
        let (b, sub) = match op {
            ParOp::Add16 | ParOp::Add8 => (lane(m, i), false),
            ParOp::Sub16 | ParOp::Sub8 => (lane(m, i), true),
            ParOp::Asx => (lane(m, 1 - i), i == 0),
            ParOp::Sax => (lane(m, 1 - i), i == 1),
        };
        let exact = if sub { a - b } else { a + b };
        let ok = match prefix {
            // Signed: not negative. Unsigned: carry out of an addition, no borrow.
            ParPrefix::S => exact >= 0,
            ParPrefix::U if sub => exact >= 0,
            ParPrefix::U => exact >= 1 << width,
            _ => false,
        };
        if ok {
            ge |= if bytes { 1 << i } else { 3 << (2 * i) };
        }
        let result = match prefix {
            ParPrefix::S | ParPrefix::U => exact,
            ParPrefix::Q => exact.clamp(-(1 << (width - 1)), (1 << (width - 1)) - 1),
            ParPrefix::Uq => exact.clamp(0, (1 << width) - 1),
            ParPrefix::Sh | ParPrefix::Uh => exact >> 1,
        };
        value |= (result as u32 & field_mask(width as u8)) << (width * i);
    }
    let sets_ge = matches!(prefix, ParPrefix::S | ParPrefix::U);
    (value, sets_ge.then_some(ge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_additions() {
        let cases = [
            (
                ParPrefix::U,
                ParOp::Add8,
                0xff01_80ff,
                0x0101_8001,
                0x0002_0000,
                Some(0b1011),
            ),
            (
                ParPrefix::U,
                ParOp::Sub8,
                0x0102_0304,
                0x0201_0305,
                0xff01_00ff,
                Some(0b0110),
            ),
            (
                ParPrefix::S,
                ParOp::Add16,
                0x7fff_8000,
                0x0001_0001,
                0x8000_8001,
                Some(0b1100),
            ),
            (
                ParPrefix::Q,
                ParOp::Add16,
                0x7fff_8000,
                0x0001_ffff,
                0x7fff_8000,
                None,
            ),
            (
                ParPrefix::Uq,
                ParOp::Sub16,
                0x0001_0005,
                0x0002_0003,
                0x0000_0002,
                None,
            ),
            (
                ParPrefix::Uh,
                ParOp::Add8,
                0xff00_ff02,
                0xff00_0104,
                0xff00_8003,
                None,
            ),
            (
                ParPrefix::S,
                ParOp::Asx,
                0x0003_0001,
                0x0002_0001,
                0x0004_ffff,
                Some(0b1100),
            ),
            (
                ParPrefix::S,
                ParOp::Sax,
                0x0003_0001,
                0x0002_0001,
                0x0002_0003,
                Some(0b1111),
            ),
        ];
        for (prefix, op, n, m, value, ge) in cases {
            assert_eq!(parallel(prefix, op, n, m), (value, ge), "{prefix:?} {op:?}");
        }
    }
}
