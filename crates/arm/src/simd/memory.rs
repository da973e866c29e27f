//! Loads and stores.

use super::{Context, lanes};
use crate::insn::Reg;
use crate::insn::simd::{Simd, Wback};

/// What a structure access does.
struct Access {
    load: bool,
    /// Bytes of an element.
    size: u32,
    align: u32,
}

#[inline]
pub(super) fn execute<C: Context>(insn: &Simd, cx: &mut C) -> Result<(), C::Fault> {
    match *insn {
        Simd::Vldr {
            double,
            d,
            rn,
            offset,
        } => {
            let at = base(cx, rn).wrapping_add_signed(i32::from(offset));
            load_register(cx, double, d, at)
        }
        Simd::Vstr {
            double,
            d,
            rn,
            offset,
        } => {
            let at = base(cx, rn).wrapping_add_signed(i32::from(offset));
            store_register(cx, double, d, at)
        }
        Simd::Vldm {
            double,
            d,
            count,
            bytes,
            rn,
            increment,
            wback,
        } => {
            let (mut at, after) = span(base(cx, rn), bytes, increment);
            for i in 0..count {
                load_register(cx, double, d + i, at)?;
                at = at.wrapping_add(if double { 8 } else { 4 });
            }
            if wback {
                cx.set_reg(rn, after);
            }
            Ok(())
        }
        Simd::Vstm {
            double,
            d,
            count,
            bytes,
            rn,
            increment,
            wback,
        } => {
            let (mut at, after) = span(base(cx, rn), bytes, increment);
            for i in 0..count {
                store_register(cx, double, d + i, at)?;
                at = at.wrapping_add(if double { 8 } else { 4 });
            }
            if wback {
                cx.set_reg(rn, after);
            }
            Ok(())
        }
        Simd::Multiple {
            load,
            size,
            interleave,
            regs,
            spacing,
            d,
            align,
            rn,
            wback,
        } => {
            let access = Access {
                load,
                size: 1 << size,
                align: u32::from(align),
            };
            let elements = 8 >> size;
            let mut at = cx.reg(rn);
            let mut first = true;
            for r in 0..regs {
                for e in 0..elements {
                    for i in 0..interleave {
                        let reg = d + r + i * spacing;
                        // The alignment of the whole is that of its first element.
                        let align = if first { access.align } else { 1 };
                        element(cx, &access, reg, e, at, align)?;
                        first = false;
                        at = at.wrapping_add(access.size);
                    }
                }
            }
            let bytes = 8 * u32::from(regs) * u32::from(interleave);
            write_back(cx, rn, wback, bytes);
            Ok(())
        }
        Simd::Lane {
            load,
            size,
            interleave,
            spacing,
            index,
            d,
            align,
            rn,
            wback,
        } => {
            let access = Access {
                load,
                size: 1 << size,
                align: u32::from(align),
            };
            let mut at = cx.reg(rn);
            for i in 0..interleave {
                let align = if i == 0 { access.align } else { 1 };
                element(cx, &access, d + i * spacing, index.into(), at, align)?;
                at = at.wrapping_add(access.size);
            }
            write_back(cx, rn, wback, access.size * u32::from(interleave));
            Ok(())
        }
        Simd::AllLanes {
            size,
            interleave,
            regs,
            spacing,
            d,
            align,
            rn,
            wback,
        } => {
            let bytes = 1 << size;
            let mut at = cx.reg(rn);
            for i in 0..interleave {
                let align = if i == 0 { u32::from(align) } else { 1 };
                let value = lanes::splat(cx.load(at, bytes, align)?, 8 * bytes);
                for r in 0..regs {
                    cx.simd().set_double(d + r + i * spacing, value);
                }
                at = at.wrapping_add(bytes);
            }
            write_back(cx, rn, wback, bytes * u32::from(interleave));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The base of an address: PC is aligned.
fn base<C: Context>(cx: &C, rn: Reg) -> u32 {
    let value = cx.reg(rn);
    if rn.is_pc() { value & !3 } else { value }
}

/// The lowest address and the base afterwards.
fn span(base: u32, bytes: u16, increment: bool) -> (u32, u32) {
    let bytes = u32::from(bytes);
    if increment {
        (base, base.wrapping_add(bytes))
    } else {
        (base.wrapping_sub(bytes), base.wrapping_sub(bytes))
    }
}

fn write_back<C: Context>(cx: &mut C, rn: Reg, wback: Wback, bytes: u32) {
    let amount = match wback {
        Wback::None => return,
        Wback::Size => bytes,
        Wback::Reg(reg) => cx.reg(reg),
    };
    let value = cx.reg(rn).wrapping_add(amount);
    cx.set_reg(rn, value);
}

/// A doubleword register is two words, each aligned.
fn load_register<C: Context>(cx: &mut C, double: bool, d: u8, at: u32) -> Result<(), C::Fault> {
    if double {
        let value = cx.load(at, 8, 4)?;
        cx.simd().set_double(d, value);
    } else {
        let value = cx.load(at, 4, 4)?;
        cx.simd().set_single(d, value as u32);
    }
    Ok(())
}

fn store_register<C: Context>(cx: &mut C, double: bool, d: u8, at: u32) -> Result<(), C::Fault> {
    if double {
        let value = cx.simd().double(d);
        cx.store(at, 8, 4, value)
    } else {
        let value = cx.simd().single(d);
        cx.store(at, 4, 4, value.into())
    }
}

/// One element between a register and memory.
fn element<C: Context>(
    cx: &mut C,
    access: &Access,
    d: u8,
    index: u32,
    at: u32,
    align: u32,
) -> Result<(), C::Fault> {
    let bits = 8 * access.size;
    let old = cx.simd().double(d);
    if access.load {
        let value = cx.load(at, access.size, align)?;
        cx.simd().set_double(d, lanes::set(old, bits, index, value));
        Ok(())
    } else {
        cx.store(at, access.size, align, lanes::get(old, bits, index))
    }
}
