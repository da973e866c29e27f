//! Advanced SIMD data processing.

use super::{float, integer, lanes, permute, shift};
use crate::fp::{Env, fpscr};
use crate::insn::simd::{ImmOp, LongOp, PermuteOp, Simd, simd_expand_imm};
use crate::state::SimdState;

/// Does something for one doubleword, or for both of a quadword: `f` gets the offset of the
/// register number and returns the new destination.
#[inline(always)]
fn each_half(state: &mut SimdState, q: bool, d: u8, mut f: impl FnMut(&SimdState, u8) -> u64) {
    // Both halves are computed before one is written: a source may be the destination.
    let low = f(state, 0);
    if q {
        let high = f(state, 1);
        state.set_double(d + 1, high);
    }
    state.set_double(d, low);
}

/// Does something in the standard floating-point environment.
#[inline(always)]
fn with_env(state: &mut SimdState, f: impl FnOnce(&mut SimdState, &mut Env)) {
    let mut env = Env::standard(state.fpscr);
    f(state, &mut env);
    state.fpscr |= env.flags;
}

#[inline]
pub(super) fn process(insn: &Simd, state: &mut SimdState) {
    let mut qc = false;
    match *insn {
        Simd::Int {
            op,
            q,
            unsigned,
            size,
            d,
            n,
            m,
        } => each_half(state, q, d, |s, i| {
            let (old, n, m) = (s.double(d + i), s.double(n + i), s.double(m + i));
            integer::same(op, unsigned, 8 << size, old, n, m, &mut qc)
        }),
        Simd::IntScalar {
            op,
            q,
            size,
            d,
            n,
            m,
            index,
        } => {
            let esize = 8 << size;
            let scalar = lanes::splat(lanes::get(state.double(m), esize, index.into()), esize);
            each_half(state, q, d, |s, i| {
                let (old, n) = (s.double(d + i), s.double(n + i));
                integer::same(op, false, esize, old, n, scalar, &mut qc)
            });
        }
        Simd::Float { op, q, d, n, m } => with_env(state, |state, env| {
            each_half(state, q, d, |s, i| {
                let (old, n, m) = (s.double(d + i), s.double(n + i), s.double(m + i));
                float::binary(op, old, n, m, env)
            });
        }),
        Simd::FloatScalar {
            op,
            q,
            d,
            n,
            m,
            index,
        } => {
            let scalar = lanes::splat(lanes::get(state.double(m), 32, index.into()), 32);
            with_env(state, |state, env| {
                each_half(state, q, d, |s, i| {
                    float::binary(op, s.double(d + i), s.double(n + i), scalar, env)
                });
            });
        }
        Simd::Long {
            op,
            unsigned,
            size,
            d,
            n,
            m,
        } => {
            let (old, m) = (state.quad(d), state.double(m));
            let n = long_operand(state, op, n);
            let value = integer::long(op, unsigned, 8 << size, old, n, m, &mut qc);
            state.set_quad(d, value);
        }
        Simd::LongScalar {
            op,
            unsigned,
            size,
            d,
            n,
            m,
            index,
        } => {
            let esize = 8 << size;
            let scalar = lanes::splat(lanes::get(state.double(m), esize, index.into()), esize);
            let (old, n) = (state.quad(d), u128::from(state.double(n)));
            let value = integer::long(op, unsigned, esize, old, n, scalar, &mut qc);
            state.set_quad(d, value);
        }
        Simd::HighNarrow {
            subtract,
            round,
            size,
            d,
            n,
            m,
        } => {
            let (n, m) = (state.quad(n), state.quad(m));
            let value = integer::high_narrow(subtract, round, 8 << size, n, m);
            state.set_double(d, value);
        }
        Simd::Unary {
            op,
            q,
            unsigned,
            size,
            d,
            m,
        } => each_half(state, q, d, |s, i| {
            let (old, m) = (s.double(d + i), s.double(m + i));
            integer::unary(op, unsigned, 8 << size, old, m, &mut qc)
        }),
        Simd::FloatUnary { op, q, d, m } => with_env(state, |state, env| {
            each_half(state, q, d, |s, i| float::unary(op, s.double(m + i), env));
        }),
        Simd::Permute { op, q, size, d, m } => permutation(state, op, q, 8 << size, d, m),
        Simd::Shift {
            op,
            q,
            unsigned,
            size,
            amount,
            d,
            m,
        } => each_half(state, q, d, |s, i| {
            let (old, m) = (s.double(d + i), s.double(m + i));
            shift::same(op, unsigned, 8 << size, amount.into(), old, m, &mut qc)
        }),
        Simd::Narrow {
            op,
            unsigned,
            round,
            size,
            amount,
            d,
            m,
        } => {
            let m = state.quad(m);
            let value = shift::narrow(op, unsigned, round, 8 << size, amount.into(), m, &mut qc);
            state.set_double(d, value);
        }
        Simd::ShiftLong {
            unsigned,
            size,
            amount,
            d,
            m,
        } => {
            let value = shift::long(unsigned, 8 << size, amount.into(), state.double(m));
            state.set_quad(d, value);
        }
        Simd::Cvt {
            to_fixed,
            q,
            unsigned,
            fraction,
            d,
            m,
        } => with_env(state, |state, env| {
            let fraction = u32::from(fraction);
            each_half(state, q, d, |s, i| {
                if to_fixed {
                    float::to_fixed(unsigned, fraction, s.double(m + i), env)
                } else {
                    float::from_fixed(unsigned, fraction, s.double(m + i), env)
                }
            });
        }),
        Simd::CvtHalf { to_half, d, m } => with_env(state, |state, env| {
            if to_half {
                let value = float::single_to_half(state.quad(m), env);
                state.set_double(d, value);
            } else {
                let value = float::half_to_single(state.double(m), env);
                state.set_quad(d, value);
            }
        }),
        Simd::Imm {
            op,
            q,
            cmode,
            op_bit,
            imm,
            d,
        } => {
            let imm = simd_expand_imm(op_bit, cmode, imm);
            each_half(state, q, d, |s, i| {
                let old = s.double(d + i);
                match op {
                    ImmOp::Vmov => imm,
                    ImmOp::Vmvn => !imm,
                    ImmOp::Vorr => old | imm,
                    ImmOp::Vbic => old & !imm,
                }
            });
        }
        Simd::Vext {
            q: false,
            d,
            n,
            m,
            index,
        } => {
            let value = permute::ext(state.double(n), state.double(m), index.into());
            state.set_double(d, value);
        }
        Simd::Vext {
            q: true,
            d,
            n,
            m,
            index,
        } => {
            let value = permute::ext_long(state.quad(n), state.quad(m), index.into());
            state.set_quad(d, value);
        }
        Simd::Vtbl {
            extend,
            len,
            d,
            n,
            m,
        } => {
            let first = usize::from(n);
            let registers = state.d.get(first..first + usize::from(len)).unwrap_or(&[]);
            let default = if extend { state.double(d) } else { 0 };
            let value = permute::table(registers, state.double(m), default);
            state.set_double(d, value);
        }
        Simd::VdupScalar {
            q,
            size,
            d,
            m,
            index,
        } => {
            let esize = 8 << size;
            let value = lanes::splat(lanes::get(state.double(m), esize, index.into()), esize);
            each_half(state, q, d, |_, _| value);
        }
        _ => {}
    }
    if qc {
        state.fpscr |= fpscr::QC;
    }
}

/// The first operand of a long operation: a quadword for VADDW and VSUBW.
fn long_operand(state: &SimdState, op: LongOp, n: u8) -> u128 {
    match op {
        LongOp::Vaddw | LongOp::Vsubw => state.quad(n),
        _ => state.double(n).into(),
    }
}

/// VSWP, VTRN, VUZP, VZIP. The same register twice is UNPREDICTABLE for the last three; here `m`
/// is written last.
fn permutation(state: &mut SimdState, op: PermuteOp, q: bool, esize: u32, d: u8, m: u8) {
    let bits = if q { 128 } else { 64 };
    let read = |s: &SimdState, r| if q { s.quad(r) } else { s.double(r).into() };
    let (old_d, old_m) = (read(state, d), read(state, m));
    let (new_d, new_m) = match op {
        PermuteOp::Vswp => (old_m, old_d),
        PermuteOp::Vuzp => permute::unzip(esize, bits, old_d, old_m),
        PermuteOp::Vzip => permute::zip(esize, bits, old_d, old_m),
        PermuteOp::Vtrn => {
            let low = permute::transpose(esize, old_d as u64, old_m as u64);
            let high = permute::transpose(esize, (old_d >> 64) as u64, (old_m >> 64) as u64);
            let join = |low: u64, high: u64| u128::from(high) << 64 | u128::from(low);
            (join(low.0, high.0), join(low.1, high.1))
        }
    };
    if q {
        state.set_quad(d, new_d);
        state.set_quad(m, new_m);
    } else {
        state.set_double(d, new_d as u64);
        state.set_double(m, new_m as u64);
    }
}
