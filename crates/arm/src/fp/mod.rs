//! Floating-point arithmetic of VFPv4 and Advanced SIMD, bit-exact, in integer arithmetic
//! (manual A2.7).
//!
//! Values are bit patterns: a `u32` is a single-precision number, a `u64` a double-precision one,
//! a `u16` a half-precision one. Operations are generic over [`Float`] and take an [`Env`], which
//! says how to round and what to do with NaNs and denormals, and collects the cumulative
//! exception flags.
//!
//! The definition of every operation is its integer form. `add`, `sub`, `mul` and `div` first try
//! the host's own arithmetic where IEEE 754 leaves no choice (see `fast`), because guests execute
//! them often.

mod add;
mod compare;
mod convert;
mod div;
mod estimate;
mod fast;
mod mul;
mod round;
mod sqrt;

#[cfg(test)]
mod tests;

pub use add::{add, halved_sub, sub};
pub use compare::{Ordering, compare, eq, ge, gt, max, min};
pub use convert::{
    double_to_single, from_fixed, half_to_single, single_to_double, single_to_half, to_fixed,
};
pub use div::div;
pub use estimate::{
    recip_estimate, recip_step, rsqrt_estimate, rsqrt_step, unsigned_recip_estimate,
    unsigned_rsqrt_estimate,
};
pub use mul::{fma, mul};
pub use round::Float;
pub use sqrt::sqrt;

/// Bits of FPSCR (manual B4.1.58).
pub mod fpscr {
    /// Invalid Operation, cumulative.
    pub const IOC: u32 = 1;
    /// Division by Zero, cumulative.
    pub const DZC: u32 = 1 << 1;
    /// Overflow, cumulative.
    pub const OFC: u32 = 1 << 2;
    /// Underflow, cumulative.
    pub const UFC: u32 = 1 << 3;
    /// Inexact, cumulative.
    pub const IXC: u32 = 1 << 4;
    /// Input Denormal, cumulative.
    pub const IDC: u32 = 1 << 7;
    /// All cumulative exception flags.
    pub const CUMULATIVE: u32 = IOC | DZC | OFC | UFC | IXC | IDC;
    /// Vector length (deprecated short vectors).
    pub const LEN: u32 = 7 << 16;
    /// Vector stride (deprecated short vectors).
    pub const STRIDE: u32 = 3 << 20;
    /// Lowest bit of the rounding mode.
    pub const RMODE_SHIFT: u32 = 22;
    /// Flush-to-zero.
    pub const FZ: u32 = 1 << 24;
    /// Default NaN.
    pub const DN: u32 = 1 << 25;
    /// Alternative half-precision.
    pub const AHP: u32 = 1 << 26;
    /// Saturation, cumulative (Advanced SIMD).
    pub const QC: u32 = 1 << 27;
    /// The N, Z, C and V flags.
    pub const NZCV: u32 = 0xf << 28;
}

/// A rounding mode; the values are the encodings of FPSCR.RMode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Rounding {
    /// To nearest, ties to even.
    Nearest,
    /// Towards plus infinity.
    Up,
    /// Towards minus infinity.
    Down,
    /// Towards zero.
    Zero,
}

/// How floating-point operations behave, and the exceptions that they raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Env {
    /// How results are rounded.
    pub rounding: Rounding,
    /// Denormal inputs and results of single and double precision become zero.
    pub flush_to_zero: bool,
    /// Every NaN result is the default NaN.
    pub default_nan: bool,
    /// Half precision has no infinities and NaNs, but a larger range.
    pub ahp: bool,
    /// Cumulative exception flags at their places in FPSCR. Operations only set bits.
    pub flags: u32,
}

impl Env {
    /// What FPSCR asks for, with its cumulative flags.
    #[inline]
    pub const fn from_fpscr(value: u32) -> Self {
        Env {
            rounding: match value >> fpscr::RMODE_SHIFT & 3 {
                0 => Rounding::Nearest,
                1 => Rounding::Up,
                2 => Rounding::Down,
                _ => Rounding::Zero,
            },
            flush_to_zero: value & fpscr::FZ != 0,
            default_nan: value & fpscr::DN != 0,
            ahp: value & fpscr::AHP != 0,
            flags: value & fpscr::CUMULATIVE,
        }
    }

    /// What Advanced SIMD uses whatever FPSCR says (`StandardFPSCRValue`): round to nearest, flush
    /// to zero, default NaN; AHP and the cumulative flags come from FPSCR.
    #[inline]
    pub const fn standard(value: u32) -> Self {
        Env {
            rounding: Rounding::Nearest,
            flush_to_zero: true,
            default_nan: true,
            ahp: value & fpscr::AHP != 0,
            flags: value & fpscr::CUMULATIVE,
        }
    }

    #[inline]
    pub(crate) fn raise(&mut self, flags: u32) {
        self.flags |= flags;
    }
}

/// The operand with its sign inverted, NaN or not (`FPNeg`).
#[inline]
pub fn neg<F: Float>(a: F) -> F {
    F::from_raw(a.raw() ^ F::SIGN)
}

/// The operand with its sign cleared, NaN or not (`FPAbs`).
#[inline]
pub fn abs<F: Float>(a: F) -> F {
    F::from_raw(a.raw() & !F::SIGN)
}
