//! VFP data processing, and transfers between core registers and floating-point registers.

use super::{Context, lanes};
use crate::fp::{self, Env, Float, Rounding, fpscr};
use crate::insn::simd::{Simd, VfpOp, VfpUnary, vfp_expand_imm};
use crate::state::{CpuModel, SimdState};

/// Bits of FPSCR that exist: short vectors are not implemented, but LEN and STRIDE hold what is
/// written, as in QEMU.
const FPSCR_BITS: u32 = fpscr::NZCV
    | fpscr::QC
    | fpscr::AHP
    | fpscr::DN
    | fpscr::FZ
    | 3 << fpscr::RMODE_SHIFT
    | fpscr::CUMULATIVE;

pub(super) fn transfer<C: Context>(insn: &Simd, cx: &mut C) {
    match *insn {
        Simd::VmovCoreSingle {
            to_core: true,
            s,
            rt,
        } => {
            let value = cx.simd().single(s);
            cx.set_reg(rt, value);
        }
        Simd::VmovCoreSingle {
            to_core: false,
            s,
            rt,
        } => {
            let value = cx.reg(rt);
            cx.simd().set_single(s, value);
        }
        Simd::VmovCoreSinglePair {
            to_core: true,
            s,
            rt,
            rt2,
        } => {
            let (low, high) = (cx.simd().single(s), cx.simd().single(s + 1));
            cx.set_reg(rt, low);
            cx.set_reg(rt2, high);
        }
        Simd::VmovCoreSinglePair {
            to_core: false,
            s,
            rt,
            rt2,
        } => {
            let (low, high) = (cx.reg(rt), cx.reg(rt2));
            cx.simd().set_single(s, low);
            cx.simd().set_single(s + 1, high);
        }
        Simd::VmovCoreDouble {
            to_core: true,
            d,
            rt,
            rt2,
        } => {
            let value = cx.simd().double(d);
            cx.set_reg(rt, value as u32);
            cx.set_reg(rt2, (value >> 32) as u32);
        }
        Simd::VmovCoreDouble {
            to_core: false,
            d,
            rt,
            rt2,
        } => {
            let value = u64::from(cx.reg(rt2)) << 32 | u64::from(cx.reg(rt));
            cx.simd().set_double(d, value);
        }
        Simd::VmovToScalar { size, d, index, rt } => {
            let value = u64::from(cx.reg(rt));
            let old = cx.simd().double(d);
            cx.simd()
                .set_double(d, lanes::set(old, 8 << size, index.into(), value));
        }
        Simd::VmovFromScalar {
            size,
            unsigned,
            d,
            index,
            rt,
        } => {
            let value = lanes::get(cx.simd().double(d), 8 << size, index.into());
            cx.set_reg(rt, lanes::extend(value, 8 << size, unsigned) as u32);
        }
        Simd::VdupCore { q, size, d, rt } => {
            let value = lanes::splat(cx.reg(rt).into(), 8 << size);
            cx.simd().set_double(d, value);
            if q {
                cx.simd().set_double(d + 1, value);
            }
        }
        Simd::Vmrs { reg, rt } => {
            let value = match (reg, cx.model()) {
                (0, CpuModel::CortexA15) => 0x4104_30f0,
                (0, CpuModel::CortexA7) => 0x4102_3075,
                (1, _) => cx.simd().fpscr,
                (6, _) => 0x1111_1111,
                (7, _) => 0x1011_0222,
                (8, _) => cx.simd().fpexc,
                _ => 0,
            };
            if !rt.is_pc() {
                cx.set_reg(rt, value);
            } else if reg == 1 {
                cx.set_nzcv(value & fpscr::NZCV);
            }
        }
        Simd::Vmsr { reg, rt } => {
            let value = cx.reg(rt);
            match reg {
                1 => cx.simd().fpscr = value & FPSCR_BITS,
                8 => cx.simd().fpexc = value & super::FPEXC_EN,
                _ => {}
            }
        }
        _ => {}
    }
}

/// Does an operation in the environment of FPSCR, and collects its flags.
#[inline(always)]
fn with_env<R>(state: &mut SimdState, f: impl FnOnce(&SimdState, &mut Env) -> R) -> R {
    let mut env = Env::from_fpscr(state.fpscr);
    let result = f(state, &mut env);
    state.fpscr |= env.flags;
    result
}

#[inline(always)]
fn binary<F: Float>(op: VfpOp, d: F, n: F, m: F, env: &mut Env) -> F {
    match op {
        VfpOp::Vadd => fp::add(n, m, env),
        VfpOp::Vsub => fp::sub(n, m, env),
        VfpOp::Vmul => fp::mul(n, m, env),
        VfpOp::Vdiv => fp::div(n, m, env),
        VfpOp::Vnmul => fp::neg(fp::mul(n, m, env)),
        VfpOp::Vmla => {
            let product = fp::mul(n, m, env);
            fp::add(d, product, env)
        }
        VfpOp::Vmls => {
            let product = fp::neg(fp::mul(n, m, env));
            fp::add(d, product, env)
        }
        VfpOp::Vnmla => {
            let product = fp::neg(fp::mul(n, m, env));
            fp::add(fp::neg(d), product, env)
        }
        VfpOp::Vnmls => {
            let product = fp::mul(n, m, env);
            fp::add(fp::neg(d), product, env)
        }
        VfpOp::Vfma => fp::fma(d, n, m, env),
        VfpOp::Vfms => fp::fma(d, fp::neg(n), m, env),
        VfpOp::Vfnma => fp::fma(fp::neg(d), fp::neg(n), m, env),
        VfpOp::Vfnms => fp::fma(fp::neg(d), n, m, env),
    }
}

#[inline(always)]
fn unary<F: Float>(op: VfpUnary, m: F, env: &mut Env) -> F {
    match op {
        VfpUnary::Vmov => m,
        VfpUnary::Vabs => fp::abs(m),
        VfpUnary::Vneg => fp::neg(m),
        VfpUnary::Vsqrt => fp::sqrt(m, env),
    }
}

#[inline]
pub(super) fn process(insn: &Simd, state: &mut SimdState) {
    match *insn {
        Simd::Vfp {
            op,
            double: true,
            d,
            n,
            m,
        } => {
            let value = with_env(state, |s, env| {
                binary(op, s.double(d), s.double(n), s.double(m), env)
            });
            state.set_double(d, value);
        }
        Simd::Vfp {
            op,
            double: false,
            d,
            n,
            m,
        } => {
            let value = with_env(state, |s, env| {
                binary(op, s.single(d), s.single(n), s.single(m), env)
            });
            state.set_single(d, value);
        }
        Simd::VfpUnary {
            op,
            double: true,
            d,
            m,
        } => {
            let value = with_env(state, |s, env| unary(op, s.double(m), env));
            state.set_double(d, value);
        }
        Simd::VfpUnary {
            op,
            double: false,
            d,
            m,
        } => {
            let value = with_env(state, |s, env| unary(op, s.single(m), env));
            state.set_single(d, value);
        }
        Simd::VfpImm { double, d, imm } => {
            let value = vfp_expand_imm(imm, double);
            if double {
                state.set_double(d, value);
            } else {
                state.set_single(d, value as u32);
            }
        }
        Simd::Vcmp {
            signal,
            double,
            d,
            m,
        } => {
            let order = with_env(state, |s, env| {
                if double {
                    let b = m.map_or(0, |m| s.double(m));
                    fp::compare(s.double(d), b, signal, env)
                } else {
                    let b = m.map_or(0, |m| s.single(m));
                    fp::compare(s.single(d), b, signal, env)
                }
            });
            state.fpscr = state.fpscr & !fpscr::NZCV | (order as u32) << 28;
        }
        Simd::VcvtHalf { to_half, top, d, m } => {
            let shift = if top { 16 } else { 0 };
            if to_half {
                let half = with_env(state, |s, env| fp::single_to_half(s.single(m), env));
                let rest = state.single(d) & !(0xffff << shift);
                state.set_single(d, rest | u32::from(half) << shift);
            } else {
                let half = (state.single(m) >> shift) as u16;
                let value = with_env(state, |_, env| fp::half_to_single(half, env));
                state.set_single(d, value);
            }
        }
        Simd::VcvtPrecision {
            to_double: true,
            d,
            m,
        } => {
            let value = with_env(state, |s, env| fp::single_to_double(s.single(m), env));
            state.set_double(d, value);
        }
        Simd::VcvtPrecision {
            to_double: false,
            d,
            m,
        } => {
            let value = with_env(state, |s, env| fp::double_to_single(s.double(m), env));
            state.set_single(d, value);
        }
        Simd::VcvtFromInt {
            double,
            unsigned,
            d,
            m,
        } => {
            let raw = state.single(m);
            let int = if unsigned {
                i64::from(raw)
            } else {
                i64::from(raw as i32)
            };
            from_fixed(state, double, d, int, 0, None);
        }
        Simd::VcvtToInt {
            double,
            unsigned,
            round,
            d,
            m,
        } => {
            let value = with_env(state, |s, env| {
                let mode = if round { env.rounding } else { Rounding::Zero };
                if double {
                    fp::to_fixed(s.double(m), 32, 0, !unsigned, mode, env)
                } else {
                    fp::to_fixed(s.single(m), 32, 0, !unsigned, mode, env)
                }
            });
            state.set_single(d, value as u32);
        }
        Simd::VcvtFixed {
            double,
            to_fixed,
            unsigned,
            word,
            fraction,
            d,
        } => {
            let bits = if word { 32 } else { 16 };
            let fraction = u32::from(fraction);
            if to_fixed {
                let value = with_env(state, |s, env| {
                    if double {
                        fp::to_fixed(s.double(d), bits, fraction, !unsigned, Rounding::Zero, env)
                    } else {
                        fp::to_fixed(s.single(d), bits, fraction, !unsigned, Rounding::Zero, env)
                    }
                });
                // The result is extended to the size of the register.
                let value = lanes::extend(u64::from(value), bits, unsigned);
                if double {
                    state.set_double(d, value as u64);
                } else {
                    state.set_single(d, value as u32);
                }
            } else {
                let raw = if double {
                    state.double(d)
                } else {
                    state.single(d).into()
                };
                let int = lanes::extend(raw & lanes::ones(bits), bits, unsigned) as i64;
                from_fixed(state, double, d, int, fraction, Some(Rounding::Nearest));
            }
        }
        _ => {}
    }
}

/// Sets a register to an integer or fixed-point number; without `mode`, rounded as FPSCR says.
fn from_fixed(
    state: &mut SimdState,
    double: bool,
    d: u8,
    value: i64,
    fraction: u32,
    mode: Option<Rounding>,
) {
    if double {
        let value = with_env(state, |_, env| {
            fp::from_fixed(value, fraction, mode.unwrap_or(env.rounding), env)
        });
        state.set_double(d, value);
    } else {
        let value: u32 = with_env(state, |_, env| {
            fp::from_fixed(value, fraction, mode.unwrap_or(env.rounding), env)
        });
        state.set_single(d, value);
    }
}
