//! VCVT between floating point and fixed point.

use super::{X0, X1, gpr_of, op, scalar};
use crate::asm::{Alu, Cc, Gpr, Prefix, Sh, Width};
use crate::translate::{Form, Translator};
use skep_arm::insn::Decoded;
use skep_arm::insn::simd::Simd;

/// A fixed-point format, and the number's.
#[derive(Clone, Copy)]
struct Fixed {
    double: bool,
    unsigned: bool,
    word: bool,
    /// 0 to 32.
    fraction: i32,
}

impl Translator<'_> {
    /// None if it is no conversion between floating point and fixed point.
    pub(in crate::translate) fn vfp_fixed(&mut self, decoded: &Decoded, simd: Simd) -> Option<()> {
        let Simd::VcvtFixed {
            double,
            to_fixed,
            unsigned,
            word,
            fraction: fraction @ 0..=32,
            d,
        } = simd
        else {
            return None;
        };
        let format = Fixed {
            double,
            unsigned,
            word,
            fraction: i32::from(fraction),
        };
        let (slow, done) = self.begin_arithmetic(decoded);
        self.load_fp(X0, double, d);
        self.asm
            .sse_gpr(Prefix::P66, double, op::TO_GPR, X0.0, Gpr::Rax);
        if to_fixed {
            self.float_to_fixed(format, slow);
        } else {
            self.fixed_to_float(format);
        }
        self.form = Form::None;
        self.store_fp(X0, double, d);
        self.asm.bind(done);
        Some(())
    }

    /// X0, whose bits are in RAX too, to fixed point.
    fn float_to_fixed(&mut self, format: Fixed, slow: crate::asm::Label) {
        // Only what fits is converted, as told by the exponent: the upper bits of the number.
        if format.double {
            self.asm.shift(Width::B64, Sh::Shr, Gpr::Rax, 32);
        }
        let bits = if format.word { 32 } else { 16 };
        let limit = if format.unsigned {
            // A negative number is above all others.
            high_word(bits - format.fraction, format.double)
        } else {
            self.asm.alu(Width::B32, Alu::Add, Gpr::Rax, Gpr::Rax);
            2 * high_word(bits - 1 - format.fraction, format.double)
        };
        self.asm
            .alu_imm(Width::B32, Alu::Cmp, Gpr::Rax, limit as i32);
        self.asm.jcc(Cc::Ae, slow);
        // Unlike the conversion, it finds numbers below the normal ones.
        let compare = if format.double {
            Prefix::P66
        } else {
            Prefix::None
        };
        self.asm.sse(compare, op::COMPARE_QUIET, X0, X0);
        self.scale(format.double, format.fraction);
        self.asm.sse_gpr(
            scalar(format.double),
            true,
            op::TO_INT_TRUNCATED,
            Gpr::Rax as u8,
            gpr_of(X0),
        );
        self.asm
            .sse_gpr(Prefix::P66, true, FROM_GPR, X0.0, Gpr::Rax);
    }

    /// X0 from the fixed-point number in RAX.
    fn fixed_to_float(&mut self, format: Fixed) {
        match (format.word, format.unsigned) {
            (false, true) => self.asm.load_zx(Width::B16, Gpr::Rax, Gpr::Rax),
            (false, false) => self.asm.load_sx(Width::B16, Gpr::Rax, Gpr::Rax),
            // Without the upper half.
            (true, true) => self.asm.load(Width::B32, Gpr::Rax, Gpr::Rax),
            (true, false) => {}
        }
        let prefix = scalar(format.double);
        self.asm.sse(Prefix::None, op::XOR, X0, X0);
        self.asm
            .sse_gpr(prefix, format.unsigned, op::FROM_INT, X0.0, Gpr::Rax);
        self.scale(format.double, -format.fraction);
    }

    /// Multiplies X0 by a power of two. Uses RAX, X1.
    fn scale(&mut self, double: bool, exponent: i32) {
        if exponent == 0 {
            return;
        }
        let high = high_word(exponent, double);
        if double {
            self.asm.mov_imm64(Gpr::Rax, u64::from(high) << 32);
        } else {
            self.asm.mov_imm(Gpr::Rax, high);
        }
        self.asm
            .sse_gpr(Prefix::P66, double, FROM_GPR, X1.0, Gpr::Rax);
        self.asm.sse(scalar(double), op::MUL, X0, X1);
    }
}

/// MOVD, MOVQ from a general register.
const FROM_GPR: u8 = 0x6e;

/// The upper 32 bits of 2^`exponent`.
fn high_word(exponent: i32, double: bool) -> u32 {
    if double {
        ((1023 + exponent) as u32) << 20
    } else {
        ((127 + exponent) as u32) << 23
    }
}
