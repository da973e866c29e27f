//! Floating point: with round to nearest and gradual underflow, arithmetic gives what the host's
//! gives, whichever cumulative flags are set; with any settings, the directed roundings enclose the
//! nearest one, flags are never cleared, and conversions end.

use crate::input::Input;
use skep_arm::fp::{self, Env, Float, Rounding};

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    while !input.is_empty() {
        let fpscr = input.u32();
        let numbers = [input.u64(), input.u64(), input.u64()];
        // Near one another, as cancellation and ties want them.
        let numbers = match fpscr >> 5 & 3 {
            0 => numbers,
            1 => [numbers[0], numbers[0] ^ numbers[1] & 0xff, numbers[2]],
            2 => numbers.map(|n| n & 0xffff_0000_ffff_0000),
            _ => numbers.map(|n| n | 0x000f_ff00_007f_ff00),
        };
        double(numbers, fpscr);
        single(numbers.map(|n| n as u32), fpscr);
        any_settings(numbers, fpscr);
    }
}

/// Arithmetic as the host does it, with these cumulative flags.
fn nearest(fpscr: u32) -> Env {
    Env::from_fpscr(fpscr & fp::fpscr::CUMULATIVE)
}

fn double([a, b, c]: [u64; 3], fpscr: u32) {
    let (x, y, z) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(c));
    let same = |what: &str, got: u64, host: f64| {
        let got = f64::from_bits(got);
        let equal = got.to_bits() == host.to_bits() || got.is_nan() && host.is_nan();
        assert!(equal, "{what} of {a:x} {b:x} {c:x}: {got:?}, host {host:?}");
    };
    let env = &mut nearest(fpscr);
    same("add", fp::add(a, b, env), x + y);
    same("sub", fp::sub(a, b, env), x - y);
    same("mul", fp::mul(a, b, env), x * y);
    same("div", fp::div(a, b, env), x / y);
    same("fma", fp::fma(c, a, b, env), x.mul_add(y, z));
    same("sqrt", fp::sqrt(a, env), x.sqrt());
    let narrow = f32::from_bits(fp::double_to_single(a, env));
    assert!(narrow.to_bits() == (x as f32).to_bits() || narrow.is_nan() && x.is_nan());
    assert_eq!(
        env.flags & fpscr & fp::fpscr::CUMULATIVE,
        nearest(fpscr).flags
    );
}

fn single([a, b, c]: [u32; 3], fpscr: u32) {
    let (x, y, z) = (f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
    let same = |what: &str, got: u32, host: f32| {
        let got = f32::from_bits(got);
        let equal = got.to_bits() == host.to_bits() || got.is_nan() && host.is_nan();
        assert!(equal, "{what} of {a:x} {b:x} {c:x}: {got:?}, host {host:?}");
    };
    let env = &mut nearest(fpscr);
    same("add", fp::add(a, b, env), x + y);
    same("sub", fp::sub(a, b, env), x - y);
    same("mul", fp::mul(a, b, env), x * y);
    same("div", fp::div(a, b, env), x / y);
    same("fma", fp::fma(c, a, b, env), x.mul_add(y, z));
    same("sqrt", fp::sqrt(a, env), x.sqrt());
    let wide = f64::from_bits(fp::single_to_double(a, env));
    assert!(wide.to_bits() == f64::from(x).to_bits() || wide.is_nan() && x.is_nan());
    assert_eq!(
        env.flags & fpscr & fp::fpscr::CUMULATIVE,
        nearest(fpscr).flags
    );
}

fn any_settings([a, b, c]: [u64; 3], fpscr: u32) {
    operations(a, b, c, fpscr);
    operations(a as u32, b as u32, c as u32, fpscr);
    let env = &mut Env::from_fpscr(fpscr);
    let (half, single) = (c as u16, a as u32);
    let wide = fp::half_to_single(half, env);
    // Every half-precision number is a single-precision one.
    if !env.flush_to_zero && !f32::from_bits(wide).is_nan() {
        assert_eq!(fp::single_to_half(wide, env), half, "{half:04x}");
    }
    fp::single_to_half(single, env);
    fp::double_to_single(a, env);
    fp::single_to_double(single, env);
    fixed(a, env);
    fp::recip_estimate(single, env);
    fp::rsqrt_estimate(single, env);
    fp::recip_step(single, b as u32, env);
    fp::rsqrt_step(single, b as u32, env);
    fp::unsigned_recip_estimate(single);
    fp::unsigned_rsqrt_estimate(single);
    assert_eq!(
        env.flags & fpscr & fp::fpscr::CUMULATIVE,
        fpscr & fp::fpscr::CUMULATIVE
    );
}

/// A number's place in the order of numbers; none for a NaN. Both zeros are 0.
fn rank<F: Float + Into<u64>>(value: F) -> Option<i64> {
    let (bits, shift) = (value.into(), 8 * (8 - size_of::<F>() as u32));
    let bits = bits << shift;
    let exponent_and_fraction = bits & !(1 << 63);
    let infinity = if shift == 0 {
        0x7ff0 << 48
    } else {
        0x7f80 << 48
    };
    let magnitude = exponent_and_fraction as i64;
    (exponent_and_fraction <= infinity).then_some(if bits >> 63 != 0 {
        -magnitude
    } else {
        magnitude
    })
}

fn operations<F: Float + Into<u64>>(a: F, b: F, c: F, fpscr: u32) {
    let with = |rounding: Rounding| Env {
        rounding,
        ..Env::from_fpscr(fpscr)
    };
    let enclosed = |what: &str, operation: &dyn Fn(&mut Env) -> F| {
        let [down, nearest, up, zero] = [
            Rounding::Down,
            Rounding::Nearest,
            Rounding::Up,
            Rounding::Zero,
        ]
        .map(|rounding| {
            let env = &mut with(rounding);
            let result = rank(operation(env));
            assert_eq!(env.flags & with(rounding).flags, with(rounding).flags);
            result
        });
        assert!(down <= nearest && nearest <= up, "{what}");
        assert!(zero == down || zero == up, "{what}");
    };
    enclosed("add", &|env| fp::add(a, b, env));
    enclosed("sub", &|env| fp::sub(a, b, env));
    enclosed("mul", &|env| fp::mul(a, b, env));
    enclosed("div", &|env| fp::div(a, b, env));
    enclosed("fma", &|env| fp::fma(c, a, b, env));
    enclosed("sqrt", &|env| fp::sqrt(a, env));
    let env = &mut Env::from_fpscr(fpscr);
    let (largest, smallest) = (fp::max(a, b, env), fp::min(a, b, env));
    assert!(rank(largest) >= rank(smallest));
    let ordered = fp::compare(a, b, fpscr & 1 != 0, env);
    let unordered = rank(a).is_none() || rank(b).is_none();
    assert_eq!(ordered == fp::Ordering::Unordered, unordered);
    assert!(!(fp::gt(a, b, env) && fp::gt(b, a, env)));
    assert_eq!(fp::ge(a, b, env) && fp::ge(b, a, env), fp::eq(a, b, env));
}

/// Fixed-point numbers: the integer part of a double-precision number is the host's, and what is
/// exact comes back.
fn fixed(a: u64, env: &mut Env) {
    let x = f64::from_bits(a);
    if !env.flush_to_zero {
        let signed = fp::to_fixed(a, 32, 0, true, Rounding::Zero, env);
        assert_eq!(signed, x as i32 as u32, "{x:?}");
        let unsigned = fp::to_fixed(a, 32, 0, false, Rounding::Zero, env);
        assert_eq!(unsigned, x as u32, "{x:?}");
    }
    let (value, fraction) = (a as i32, (a >> 32) as u32 % 33);
    let float: u64 = fp::from_fixed(value.into(), fraction, env.rounding, env);
    assert_eq!(
        f64::from_bits(float) * f64::from(fraction).exp2(),
        f64::from(value)
    );
    let back = fp::to_fixed(float, 32, fraction, true, env.rounding, env);
    assert_eq!(back, value as u32);
    fp::to_fixed(a as u32, 16, fraction % 17, value < 0, env.rounding, env);
    fp::from_fixed::<u32>(value.into(), fraction, env.rounding, env);
}
