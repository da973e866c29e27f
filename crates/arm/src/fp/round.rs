//! Formats, unpacking, NaN propagation and rounding: what all operations share.

use super::{Env, Rounding, fpscr::*};

/// The layout of a floating-point format.
#[derive(Clone, Copy)]
pub struct Format {
    /// Bits of the exponent field.
    pub exp: u32,
    /// Bits of the fraction field.
    pub frac: u32,
}

impl Format {
    pub(super) const HALF: Format = Format { exp: 5, frac: 10 };
    pub(super) const SINGLE: Format = Format { exp: 8, frac: 23 };
    pub(super) const DOUBLE: Format = Format { exp: 11, frac: 52 };

    const fn bias(self) -> i32 {
        (1 << (self.exp - 1)) - 1
    }

    /// The exponent field of infinities and NaNs, moved to bit 0.
    const fn exp_max(self) -> i32 {
        (1 << self.exp) - 1
    }

    pub(super) const fn infinity(self, sign: bool) -> u64 {
        self.zero(sign) | (self.exp_max() as u64) << self.frac
    }

    pub(super) const fn zero(self, sign: bool) -> u64 {
        (sign as u64) << (self.exp + self.frac)
    }

    pub(super) const fn default_nan(self) -> u64 {
        self.infinity(false) | 1 << (self.frac - 1)
    }
}

/// The bit pattern of a single-precision (`u32`) or double-precision (`u64`) number.
pub trait Float: Copy + PartialEq + Eq + super::fast::Host {
    /// The format.
    const FORMAT: Format;
    /// The sign bit.
    const SIGN: u64 = Self::FORMAT.zero(true);
    /// The pattern of plus infinity.
    const INFINITY: u64 = Self::FORMAT.infinity(false);
    /// The pattern of the smallest positive normal number.
    const MIN_NORMAL: u64 = 1 << Self::FORMAT.frac;

    /// The bit pattern, zero-extended.
    fn raw(self) -> u64;
    /// The number whose bit pattern is the low bits of `raw`.
    fn from_raw(raw: u64) -> Self;
    /// The default NaN.
    #[inline]
    fn default_nan() -> Self {
        Self::from_raw(Self::FORMAT.default_nan())
    }
    /// Zero with this sign.
    #[inline]
    fn zero(sign: bool) -> Self {
        Self::from_raw(Self::FORMAT.zero(sign))
    }
    /// Infinity with this sign.
    #[inline]
    fn infinity(sign: bool) -> Self {
        Self::from_raw(Self::FORMAT.infinity(sign))
    }
}

impl Float for u32 {
    const FORMAT: Format = Format::SINGLE;
    #[inline(always)]
    fn raw(self) -> u64 {
        self as u64
    }
    #[inline(always)]
    fn from_raw(raw: u64) -> Self {
        raw as u32
    }
}

impl Float for u64 {
    const FORMAT: Format = Format::DOUBLE;
    #[inline(always)]
    fn raw(self) -> u64 {
        self
    }
    #[inline(always)]
    fn from_raw(raw: u64) -> Self {
        raw
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Zero,
    Finite,
    Infinity,
    Quiet,
    Signalling,
}

/// An operand taken apart (`FPUnpack`).
#[derive(Clone, Copy)]
pub(super) struct Unpacked {
    pub class: Class,
    pub sign: bool,
    /// For `Finite`, the value is sig * 2^(exp - 63), and bit 63 of `sig` is set.
    pub exp: i32,
    pub sig: u64,
}

impl Unpacked {
    pub fn is_nan(self) -> bool {
        matches!(self.class, Class::Quiet | Class::Signalling)
    }
    pub fn is_inf(self) -> bool {
        self.class == Class::Infinity
    }
    pub fn is_zero(self) -> bool {
        self.class == Class::Zero
    }
}

/// Takes a bit pattern apart without regard to flush-to-zero. `ieee` is false for alternative half
/// precision, where the largest exponent is an ordinary one.
pub(super) fn unpack_format(format: Format, raw: u64, ieee: bool) -> Unpacked {
    let sign = raw >> (format.exp + format.frac) & 1 != 0;
    let exp = (raw >> format.frac) as i32 & format.exp_max();
    let frac = raw & ((1 << format.frac) - 1);
    let (class, exp, sig) = if exp == 0 {
        if frac == 0 {
            (Class::Zero, 0, 0)
        } else {
            let lead = frac.leading_zeros();
            let exp = 1 - format.bias() + (63 - format.frac as i32) - lead as i32;
            (Class::Finite, exp, frac << lead)
        }
    } else if exp == format.exp_max() && ieee {
        let class = if frac == 0 {
            Class::Infinity
        } else if frac >> (format.frac - 1) != 0 {
            Class::Quiet
        } else {
            Class::Signalling
        };
        (class, 0, 0)
    } else {
        let sig = (frac | 1 << format.frac) << (63 - format.frac);
        (Class::Finite, exp - format.bias(), sig)
    };
    Unpacked {
        class,
        sign,
        exp,
        sig,
    }
}

/// `FPUnpack`: with flush-to-zero a denormal is a zero, and is noted in IDC.
pub(super) fn unpack<F: Float>(a: F, env: &mut Env) -> Unpacked {
    let mut unpacked = unpack_format(F::FORMAT, a.raw(), true);
    if env.flush_to_zero && a.raw() & F::INFINITY == 0 && unpacked.class == Class::Finite {
        unpacked.class = Class::Zero;
        env.raise(IDC);
    }
    unpacked
}

/// `FPProcessNaN`.
pub(super) fn process_nan<F: Float>(a: F, class: Class, env: &mut Env) -> F {
    if class == Class::Signalling {
        env.raise(IOC);
    }
    if env.default_nan {
        F::default_nan()
    } else {
        F::from_raw(a.raw() | 1 << (F::FORMAT.frac - 1))
    }
}

/// `FPProcessNaNs` and `FPProcessNaNs3`: the first signalling NaN, else the first quiet NaN.
pub(super) fn process_nans<F: Float, const N: usize>(
    operands: [(F, Unpacked); N],
    env: &mut Env,
) -> Option<F> {
    for wanted in [Class::Signalling, Class::Quiet] {
        for (a, unpacked) in operands {
            if unpacked.class == wanted {
                return Some(process_nan(a, wanted, env));
            }
        }
    }
    None
}

/// An invalid operation's result.
pub(super) fn invalid<F: Float>(env: &mut Env) -> F {
    env.raise(IOC);
    F::default_nan()
}

/// `x` shifted right, with a lost 1 kept in the lowest bit.
pub(super) fn shift_right_jam(x: u64, n: u32) -> u64 {
    match n {
        0 => x,
        1..=63 => x >> n | (x << (64 - n) != 0) as u64,
        _ => (x != 0) as u64,
    }
}

/// Whether rounding increments the magnitude: `odd` is the lowest bit that stays, `rest` the bits
/// that go, the highest of them in bit 63.
pub(super) fn rounds_up(mode: Rounding, sign: bool, odd: bool, rest: u64) -> bool {
    const HALF: u64 = 1 << 63;
    match mode {
        Rounding::Nearest => rest > HALF || rest == HALF && odd,
        Rounding::Up => !sign && rest != 0,
        Rounding::Down => sign && rest != 0,
        Rounding::Zero => false,
    }
}

/// `FPRound` of ±sig * 2^(exp - 63) for a format. Bit 63 of `sig` is set, and bit 0 stands for
/// everything below it.
pub(super) fn round_format(
    format: Format,
    sign: bool,
    exp: i32,
    sig: u64,
    mode: Rounding,
    env: &mut Env,
) -> u64 {
    let half = format.exp == Format::HALF.exp;
    let min_exp = 1 - format.bias();
    let tiny = exp < min_exp;
    if tiny && env.flush_to_zero && !half {
        // The only underflow that is not inexact as well.
        env.raise(UFC);
        return format.zero(sign);
    }
    // A normal number's implicit 1 adds one to the exponent field, hence one less here.
    let (sig, biased) = if tiny {
        (shift_right_jam(sig, (min_exp - exp) as u32), 0)
    } else {
        (sig, exp - min_exp)
    };
    let dropped = 63 - format.frac;
    let kept = sig >> dropped;
    let rest = sig << (64 - dropped);
    let inexact = rest != 0;
    if tiny && inexact {
        env.raise(UFC);
    }
    let kept = kept + rounds_up(mode, sign, kept & 1 != 0, rest) as u64;

    // The fraction's carry moves into the exponent by itself.
    let limit = format.exp_max() + (half && env.ahp) as i32;
    let magnitude = if biased < limit {
        ((biased as u64) << format.frac) + kept
    } else {
        u64::MAX
    };
    if magnitude >= (limit as u64) << format.frac {
        if half && env.ahp {
            env.raise(IOC);
            return (format.zero(true) - 1) | format.zero(sign);
        }
        env.raise(OFC | IXC);
        let to_infinity = match mode {
            Rounding::Nearest => true,
            Rounding::Up => !sign,
            Rounding::Down => sign,
            Rounding::Zero => false,
        };
        // The largest finite number comes just before infinity.
        return format.infinity(sign) - !to_infinity as u64;
    }
    if inexact {
        env.raise(IXC);
    }
    format.zero(sign) | magnitude
}

/// [`round_format`] in the environment's rounding mode.
pub(super) fn round<F: Float>(sign: bool, exp: i32, sig: u64, env: &mut Env) -> F {
    F::from_raw(round_format(F::FORMAT, sign, exp, sig, env.rounding, env))
}

/// [`round`] of ±sig * 2^(exp - 127) for any `sig` but 0.
pub(super) fn round_wide<F: Float>(sign: bool, exp: i32, sig: u128, env: &mut Env) -> F {
    let lead = sig.leading_zeros();
    let sig = sig << lead;
    let jammed = (sig >> 64) as u64 | (sig as u64 != 0) as u64;
    round(sign, exp - lead as i32, jammed, env)
}
