//! Against the results of generate.c, and against the host's arithmetic.

use super::*;

const GOLDEN: &str = include_str!("golden/golden.txt");
const ROUNDS: usize = 3000;

struct Random(u64);

impl Random {
    fn new() -> Self {
        Random(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A pattern with `e` exponent bits and `f` fraction bits, of one of several kinds.
    fn pattern(&mut self, e: u32, f: u32) -> u64 {
        let kind = self.next() >> 60;
        let r = self.next();
        let (sign, frac) = (r >> 63, r & ((1 << f) - 1));
        let max = (1u64 << e) - 1;
        let bias = max >> 1;
        let pick = r >> 53 & 15;
        let (exp, frac) = match kind {
            0 => (0, 0),
            1 => (max, if pick & 1 != 0 { 0 } else { frac }),
            2 => (0, frac),
            3 if pick & 4 != 0 => (pick & 3, 0),
            3 if pick & 8 != 0 => (pick & 3, (1 << f) - 1),
            3 => (pick & 3, frac),
            4 => (max - 1 - (pick & 3), frac),
            5 => (bias + f as u64 + (pick & 3) - 1, frac),
            6 => (bias / 2 + pick, frac),
            7 => (bias + bias / 2 + pick, frac),
            8 | 9 => (bias + pick, frac & u64::MAX << (f - 5)),
            10 | 11 => (bias + pick * 4, frac & u64::MAX << (f / 2)),
            12 => (bias + (pick & 1), frac),
            _ => (bias.wrapping_sub(8).wrapping_add(pick), frac),
        };
        // A half-precision exponent may be out of its field: as generate.c, let it be.
        sign << (e + f) | exp << f | frac
    }

    fn integer(&mut self) -> u64 {
        let r = self.next();
        (r as u32 >> (r >> 59)) as u64
    }
}

/// Runs the operation that generate.c calls `name`.
fn run(name: &str, a: u64, b: u64, c: u64, env: &mut Env) -> u64 {
    let (sa, sb, sc) = (a as u32, b as u32, c as u32);
    let mode = env.rounding;
    let (nearest, zero) = (Rounding::Nearest, Rounding::Zero);
    let mask = |holds: bool| if holds { u32::MAX } else { 0 };
    match name {
        "add.s" | "simd-add" => add(sa, sb, env).into(),
        "add.d" => add(a, b, env),
        "sub.s" => sub(sa, sb, env).into(),
        "sub.d" => sub(a, b, env),
        "mul.s" | "simd-mul" => mul(sa, sb, env).into(),
        "mul.d" => mul(a, b, env),
        "div.s" => div(sa, sb, env).into(),
        "div.d" => div(a, b, env),
        "fma.s" | "simd-fma" => fma(sc, sa, sb, env).into(),
        "fma.d" => fma(c, a, b, env),
        "sqrt.s" => sqrt(sa, env).into(),
        "sqrt.d" => sqrt(a, env),
        "cmp.s" => compare(sa, sb, false, env) as u64,
        "cmp.d" => compare(a, b, false, env) as u64,
        "cmpe.s" => compare(sa, sb, true, env) as u64,
        "cmpe.d" => compare(a, b, true, env) as u64,
        "s-to-d" => single_to_double(sa, env),
        "d-to-s" => double_to_single(a, env).into(),
        "s-to-h" => single_to_half(sa, env).into(),
        "h-to-s" => half_to_single(a as u16, env).into(),
        "s-to-i" => to_fixed(sa, 32, 0, true, mode, env).into(),
        "s-to-u" => to_fixed(sa, 32, 0, false, mode, env).into(),
        "d-to-i" => to_fixed(a, 32, 0, true, mode, env).into(),
        "d-to-u" => to_fixed(a, 32, 0, false, mode, env).into(),
        "s-to-iz" => to_fixed(sa, 32, 0, true, zero, env).into(),
        "d-to-uz" => to_fixed(a, 32, 0, false, zero, env).into(),
        "i-to-s" => from_fixed::<u32>(sa as i32 as i64, 0, mode, env).into(),
        "u-to-s" => from_fixed::<u32>(sa as i64, 0, mode, env).into(),
        "i-to-d" => from_fixed::<u64>(sa as i32 as i64, 0, mode, env),
        "u-to-d" => from_fixed::<u64>(sa as i64, 0, mode, env),
        "s-to-fix16" => to_fixed(sa, 16, 5, true, zero, env).into(),
        "s-to-fix32" => to_fixed(sa, 32, 7, false, zero, env).into(),
        "d-to-fix16" => to_fixed(a, 16, 3, false, zero, env).into(),
        "d-to-fix32" => to_fixed(a, 32, 9, true, zero, env).into(),
        "fix16-to-s" => from_fixed::<u32>(sa as i16 as i64, 5, nearest, env).into(),
        "fix32-to-s" => from_fixed::<u32>(sa as i64, 31, nearest, env).into(),
        "max" => max(sa, sb, env).into(),
        "min" => min(sa, sb, env).into(),
        "ceq" => mask(eq(sa, sb, env)).into(),
        "cge" => mask(ge(sa, sb, env)).into(),
        "cgt" => mask(gt(sa, sb, env)).into(),
        "recpe" => recip_estimate(sa, env).into(),
        "rsqrte" => rsqrt_estimate(sa, env).into(),
        "recps" => recip_step(sa, sb, env).into(),
        "rsqrts" => rsqrt_step(sa, sb, env).into(),
        "recpe-u" => unsigned_recip_estimate(sa).into(),
        "rsqrte-u" => unsigned_rsqrt_estimate(sa).into(),
        _ => panic!("an operation that generate.c has and this test has not: {name}"),
    }
}

/// The kind of operands, as in generate.c.
fn operand(name: &str, random: &mut Random) -> u64 {
    match name {
        "h-to-s" => random.pattern(5, 10),
        "i-to-s" | "u-to-s" | "i-to-d" | "u-to-d" | "fix16-to-s" | "fix32-to-s" | "recpe-u"
        | "rsqrte-u" => random.integer(),
        _ if name.ends_with(".d") || name.starts_with("d-to") => random.pattern(11, 52),
        _ => random.pattern(8, 23),
    }
}

fn is_simd(name: &str) -> bool {
    matches!(name, "max" | "min" | "ceq" | "cge" | "cgt")
        || name.starts_with("simd-")
        || name.starts_with("rec")
        || name.starts_with("rsq")
}

#[test]
fn golden() {
    let mut wrong = alloc::vec::Vec::new();
    for line in GOLDEN.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let mode = u32::from_str_radix(words.next().unwrap(), 16).unwrap();
        let expected = u64::from_str_radix(words.next().unwrap(), 16).unwrap();
        let mut random = Random::new();
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for _ in 0..ROUNDS {
            let [a, b, c] = [(); 3].map(|_| operand(name, &mut random));
            let fresh = if is_simd(name) {
                Env::standard(mode)
            } else {
                Env::from_fpscr(mode)
            };
            let mut env = fresh;
            let result = run(name, a, b, c, &mut env);
            for word in [result, env.flags as u64] {
                hash = (hash ^ word).wrapping_mul(0x100_0000_01b3);
            }
            hash ^= hash >> 29;

            // Flags that are already set change nothing else.
            let mut sticky = fresh;
            sticky.flags = fpscr::IXC;
            assert_eq!(
                run(name, a, b, c, &mut sticky),
                result,
                "{name} {a:x} {b:x}"
            );
            assert_eq!(sticky.flags, env.flags | fpscr::IXC, "{name} {a:x} {b:x}");
        }
        if hash != expected {
            wrong.push(alloc::format!("{name} {mode:08x}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// `SKEP_FP_LIST="add.s 00400000"` lists what `golden` hashes, as generate.c does with arguments.
#[test]
#[ignore = "a listing, for comparison with generate.c's"]
fn list() {
    extern crate std;
    let Ok(wanted) = std::env::var("SKEP_FP_LIST") else {
        return;
    };
    let (name, mode) = wanted.split_once(' ').unwrap();
    let mode = u32::from_str_radix(mode, 16).unwrap();
    let mut random = Random::new();
    for _ in 0..ROUNDS {
        let [a, b, c] = [(); 3].map(|_| operand(name, &mut random));
        let mut env = if is_simd(name) {
            Env::standard(mode)
        } else {
            Env::from_fpscr(mode)
        };
        let result = run(name, a, b, c, &mut env);
        std::println!(
            "{a:016x} {b:016x} {c:016x} -> {result:016x} {:02x}",
            env.flags
        );
    }
}

#[test]
fn nearest_is_the_hosts() {
    let mut random = Random::new();
    for _ in 0..20_000 {
        let env = Env::from_fpscr(0);
        let [a, b] = [(); 2].map(|_| random.pattern(8, 23) as u32);
        let (x, y) = (f32::from_bits(a), f32::from_bits(b));
        for (ours, host) in [
            (add(a, b, &mut env.clone()), x + y),
            (sub(a, b, &mut env.clone()), x - y),
            (mul(a, b, &mut env.clone()), x * y),
            (div(a, b, &mut env.clone()), x / y),
            (fma(b, a, a, &mut env.clone()), x.mul_add_(x, y)),
            (sqrt(a, &mut env.clone()), x.sqrt_()),
        ] {
            if host.is_nan() {
                assert!(f32::from_bits(ours).is_nan());
            } else {
                assert_eq!(ours, host.to_bits(), "{a:08x} {b:08x}");
            }
        }
        let [a, b] = [(); 2].map(|_| random.pattern(11, 52));
        let (x, y) = (f64::from_bits(a), f64::from_bits(b));
        for (ours, host) in [
            (add(a, b, &mut env.clone()), x + y),
            (sub(a, b, &mut env.clone()), x - y),
            (mul(a, b, &mut env.clone()), x * y),
            (div(a, b, &mut env.clone()), x / y),
            (fma(b, a, a, &mut env.clone()), x.mul_add_(x, y)),
            (sqrt(a, &mut env.clone()), x.sqrt_()),
        ] {
            if host.is_nan() {
                assert!(f64::from_bits(ours).is_nan());
            } else {
                assert_eq!(ours, host.to_bits(), "{a:016x} {b:016x}");
            }
        }
    }
}

/// What core lacks and std has.
trait StdFloat {
    fn mul_add_(self, a: Self, b: Self) -> Self;
    fn sqrt_(self) -> Self;
}

impl StdFloat for f32 {
    fn mul_add_(self, a: f32, b: f32) -> f32 {
        extern crate std;
        f32::mul_add(self, a, b)
    }
    fn sqrt_(self) -> f32 {
        extern crate std;
        f32::sqrt(self)
    }
}

impl StdFloat for f64 {
    fn mul_add_(self, a: f64, b: f64) -> f64 {
        extern crate std;
        f64::mul_add(self, a, b)
    }
    fn sqrt_(self) -> f64 {
        extern crate std;
        f64::sqrt(self)
    }
}

#[test]
fn nans() {
    const QUIET: u32 = 0x7fc0_0001;
    const SIGNALLING: u32 = 0x7f80_0002;
    let mut env = Env::from_fpscr(0);
    // A signalling NaN wins over a quiet one before it, and is quieted.
    assert_eq!(add(QUIET, SIGNALLING, &mut env), 0x7fc0_0002);
    assert_eq!(env.flags, fpscr::IOC);
    let mut env = Env::from_fpscr(fpscr::DN);
    assert_eq!(add(QUIET, 0, &mut env), 0x7fc0_0000);
    assert_eq!(env.flags, 0);
    // Infinity times zero is invalid although the addend is a quiet NaN.
    let mut env = Env::from_fpscr(0);
    assert_eq!(fma(QUIET, 0x7f80_0000, 0, &mut env), 0x7fc0_0000);
    assert_eq!(env.flags, fpscr::IOC);
}

#[test]
fn flush_to_zero() {
    let mut env = Env::from_fpscr(fpscr::FZ);
    assert_eq!(add(1u32, 0, &mut env), 0);
    assert_eq!(env.flags, fpscr::IDC);
    // The smallest normal number halved: underflow, but not inexact.
    let mut env = Env::from_fpscr(fpscr::FZ);
    assert_eq!(mul(0x0080_0000u32, 0xbf00_0000, &mut env), 0x8000_0000);
    assert_eq!(env.flags, fpscr::UFC);
    // Without flush-to-zero the denormal result is exact, and no exception.
    let mut env = Env::from_fpscr(0);
    assert_eq!(mul(0x0080_0000u32, 0x3f00_0000, &mut env), 0x0040_0000);
    assert_eq!(env.flags, 0);
}

#[test]
fn tininess_is_detected_before_rounding() {
    // (1 - 2^-24) * 2^-126 rounds to the smallest normal number, and still underflows.
    let mut env = Env::from_fpscr(0);
    let product = mul(0x3f7f_ffffu32, 0x0080_0000, &mut env);
    assert_eq!(product, 0x0080_0000);
    assert_eq!(env.flags, fpscr::UFC | fpscr::IXC);
}
