//! Moves between core registers and the extension registers, and the system registers of the
//! floating-point extensions (manual B1.11, B4.1.56 to B4.1.58, B4.1.109, B4.1.110).

use super::{Context, lanes};
use crate::fp::fpscr;
use crate::insn::simd::Simd;
use crate::state::{CpuModel, SimdState};

/// System registers as VMRS and VMSR encode them.
pub(super) mod reg {
    pub const FPSID: u8 = 0;
    pub const FPSCR: u8 = 1;
    pub const MVFR1: u8 = 6;
    pub const MVFR0: u8 = 7;
    pub const FPEXC: u8 = 8;
}

/// FPEXC.EN: the floating-point and Advanced SIMD extensions are enabled.
pub const FPEXC_EN: u32 = 1 << 30;

/// The bits of FPSCR that hold what is written: there are no trap enables. LEN and STRIDE are kept,
/// but no operation on short vectors executes.
const FPSCR_WRITABLE: u32 = fpscr::NZCV
    | fpscr::QC
    | fpscr::AHP
    | fpscr::DN
    | fpscr::FZ
    | 3 << fpscr::RMODE_SHIFT
    | fpscr::STRIDE
    | fpscr::LEN
    | fpscr::CUMULATIVE;

/// FPSID.
pub const fn fpsid(model: CpuModel) -> u32 {
    match model {
        CpuModel::CortexA15 => 0x4104_30f0,
        CpuModel::CortexA7 => 0x4102_3075,
    }
}

/// MVFR0: VFPv4 with 32 doubleword registers, without short vectors and trapped exceptions.
pub const fn mvfr0(_model: CpuModel) -> u32 {
    0x1011_0222
}

/// MVFR1: Advanced SIMD with half precision and fused multiply-add.
pub const fn mvfr1(_model: CpuModel) -> u32 {
    0x1111_1111
}

/// Writes FPSCR, as VMSR does: bits that don't exist stay 0.
#[inline]
pub fn write_fpscr(simd: &mut SimdState, value: u32) {
    simd.fpscr = value & FPSCR_WRITABLE;
}

/// Writes FPEXC, as VMSR does: only EN exists.
#[inline]
pub fn write_fpexc(simd: &mut SimdState, value: u32) {
    simd.fpexc = value & FPEXC_EN;
}

#[inline]
pub(super) fn execute<C: Context>(insn: &Simd, cx: &mut C) {
    match *insn {
        Simd::VmovCoreSingle { to_core, s, rt } => {
            if to_core {
                let value = cx.simd().s(s);
                cx.set_reg(rt, value);
            } else {
                let value = cx.reg(rt);
                cx.simd().set_s(s, value);
            }
        }
        Simd::VmovCoreSinglePair {
            to_core,
            s,
            rt,
            rt2,
        } => {
            if to_core {
                let (low, high) = (cx.simd().s(s), cx.simd().s(s + 1));
                cx.set_reg(rt, low);
                cx.set_reg(rt2, high);
            } else {
                let (low, high) = (cx.reg(rt), cx.reg(rt2));
                cx.simd().set_s(s, low);
                cx.simd().set_s(s + 1, high);
            }
        }
        Simd::VmovCoreDouble {
            to_core,
            d,
            rt,
            rt2,
        } => {
            if to_core {
                let value = cx.simd().d(d);
                cx.set_reg(rt, value as u32);
                cx.set_reg(rt2, (value >> 32) as u32);
            } else {
                let value = cx.reg(rt) as u64 | (cx.reg(rt2) as u64) << 32;
                cx.simd().set_d(d, value);
            }
        }
        Simd::VmovToScalar { size, d, index, rt } => {
            let value = cx.reg(rt) as u64;
            let simd = cx.simd();
            let new = lanes::set(simd.d(d), 8 << size, index as u32, value);
            simd.set_d(d, new);
        }
        Simd::VmovFromScalar {
            size,
            unsigned,
            d,
            index,
            rt,
        } => {
            let esize = 8 << size;
            let value = lanes::get(cx.simd().d(d), esize, index as u32);
            cx.set_reg(rt, lanes::extend(value, esize, unsigned) as u32);
        }
        Simd::VdupCore { q, size, d, rt } => {
            let value = lanes::splat(cx.reg(rt) as u64, 8 << size);
            cx.simd().set_d(d, value);
            if q {
                cx.simd().set_d(d + 1, value);
            }
        }
        Simd::Vmrs { reg, rt } => vmrs(cx, reg, rt),
        Simd::Vmsr { reg, rt } => {
            let value = cx.reg(rt);
            match reg {
                reg::FPSCR => write_fpscr(cx.simd(), value),
                reg::FPEXC => write_fpexc(cx.simd(), value),
                // The ID registers ignore writes.
                _ => {}
            }
        }
        // `super::execute` sends nothing else here.
        _ => {}
    }
}

#[inline]
fn vmrs<C: Context>(cx: &mut C, reg: u8, rt: crate::insn::Reg) {
    let value = match reg {
        reg::FPSID => fpsid(cx.model()),
        reg::MVFR1 => mvfr1(cx.model()),
        reg::MVFR0 => mvfr0(cx.model()),
        reg::FPEXC => cx.simd().fpexc,
        _ => cx.simd().fpscr,
    };
    if rt.is_pc() {
        cx.set_nzcv(value >> 28);
    } else {
        cx.set_reg(rt, value);
    }
}
