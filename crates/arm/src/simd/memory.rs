//! Loads and stores of extension registers (manual A7.6, A7.7).
//!
//! A load writes registers, and a base is written back, only after the last access succeeded.

use super::{Context, lanes};
use crate::insn::Reg;
use crate::insn::simd::{Simd, Wback};

/// Where VLDM and VSTM start, and what becomes of the base.
struct Block {
    va: u32,
    new_base: Option<u32>,
    rn: Reg,
}

#[inline]
pub(super) fn execute<C: Context>(insn: &Simd, cx: &mut C) -> Result<(), C::Error> {
    match *insn {
        Simd::Vldr {
            double,
            d,
            rn,
            offset,
        } => {
            let va = base(cx, rn).wrapping_add_signed(offset as i32);
            cx.check_alignment(va, 4, false)?;
            if double {
                let value = load_double(cx, va)?;
                cx.simd().set_d(d, value);
            } else {
                let value = cx.load(va, 4)? as u32;
                cx.simd().set_s(d, value);
            }
            Ok(())
        }
        Simd::Vstr {
            double,
            d,
            rn,
            offset,
        } => {
            let va = base(cx, rn).wrapping_add_signed(offset as i32);
            cx.check_alignment(va, 4, true)?;
            if double {
                let value = cx.simd().d(d);
                store_double(cx, va, value)
            } else {
                let value = cx.simd().s(d);
                cx.store(va, 4, value as u64)
            }
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
            let block = block(cx, rn, bytes, increment, wback);
            cx.check_alignment(block.va, 4, false)?;
            if double {
                load_doubles(cx, block.va, d, count)?;
            } else {
                load_singles(cx, block.va, d, count)?;
            }
            finish(cx, block);
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
            let block = block(cx, rn, bytes, increment, wback);
            cx.check_alignment(block.va, 4, true)?;
            let mut va = block.va;
            for i in 0..count {
                if double {
                    let value = cx.simd().d(d + i);
                    store_double(cx, va, value)?;
                    va = va.wrapping_add(8);
                } else {
                    let value = cx.simd().s(d + i);
                    cx.store(va, 4, value as u64)?;
                    va = va.wrapping_add(4);
                }
            }
            finish(cx, block);
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
            let va = cx.reg(rn);
            cx.check_alignment(va, align as u32, !load)?;
            let shape = Structures {
                size,
                interleave,
                regs,
                spacing,
                d,
            };
            if load {
                load_structures(cx, va, shape)?;
            } else {
                store_structures(cx, va, shape)?;
            }
            write_back(cx, rn, wback, 8 * interleave as u32 * regs as u32);
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
            let va = cx.reg(rn);
            cx.check_alignment(va, align as u32, !load)?;
            let (esize, ebytes) = (8 << size, 1 << size);
            let regs = (0..interleave.min(4)).map(|i| d + i * spacing);
            if load {
                let elements = load_elements(cx, va, ebytes, interleave)?;
                let simd = cx.simd();
                for (reg, element) in regs.zip(elements) {
                    simd.set_d(reg, lanes::set(simd.d(reg), esize, index as u32, element));
                }
            } else {
                for (i, reg) in regs.enumerate() {
                    let element = lanes::get(cx.simd().d(reg), esize, index as u32);
                    cx.store(va.wrapping_add(i as u32 * ebytes), ebytes, element)?;
                }
            }
            write_back(cx, rn, wback, interleave as u32 * ebytes);
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
            let va = cx.reg(rn);
            cx.check_alignment(va, align as u32, false)?;
            let (esize, ebytes) = (8 << size, 1 << size);
            let elements = load_elements(cx, va, ebytes, interleave)?;
            for (i, element) in (0..interleave).zip(elements) {
                // VLD1 has two registers with the same element, others one each.
                for r in 0..regs {
                    cx.simd()
                        .set_d(d + i * spacing + r, lanes::splat(element, esize));
                }
            }
            write_back(cx, rn, wback, interleave as u32 * ebytes);
            Ok(())
        }
        // `super::execute` sends nothing else here.
        _ => Ok(()),
    }
}

/// The base of VLDR and others: PC is aligned.
#[inline(always)]
fn base<C: Context>(cx: &C, rn: Reg) -> u32 {
    let value = cx.reg(rn);
    if rn.is_pc() { value & !3 } else { value }
}

#[inline(always)]
fn block<C: Context>(cx: &C, rn: Reg, bytes: u16, increment: bool, wback: bool) -> Block {
    let (start, bytes) = (base(cx, rn), bytes as u32);
    let (va, end) = if increment {
        (start, start.wrapping_add(bytes))
    } else {
        (start.wrapping_sub(bytes), start.wrapping_sub(bytes))
    };
    Block {
        va,
        new_base: wback.then_some(end),
        rn,
    }
}

#[inline(always)]
fn finish<C: Context>(cx: &mut C, block: Block) {
    if let Some(value) = block.new_base {
        cx.set_reg(block.rn, value);
    }
}

#[inline(always)]
fn write_back<C: Context>(cx: &mut C, rn: Reg, wback: Wback, bytes: u32) {
    let offset = match wback {
        Wback::None => return,
        Wback::Size => bytes,
        Wback::Reg(rm) => cx.reg(rm),
    };
    let value = cx.reg(rn).wrapping_add(offset);
    cx.set_reg(rn, value);
}

/// A doubleword's two words exchanged when that's how they are in memory.
#[inline(always)]
fn in_order<C: Context>(cx: &C, value: u64) -> u64 {
    if cx.big_endian() {
        value.rotate_left(32)
    } else {
        value
    }
}

/// A doubleword from an address that is word-aligned.
#[inline(always)]
fn load_double<C: Context>(cx: &mut C, va: u32) -> Result<u64, C::Error> {
    let value = if va & 7 == 0 {
        cx.load(va, 8)?
    } else {
        // Two aligned accesses instead of one that an engine may find slow.
        cx.load(va, 4)? | cx.load(va.wrapping_add(4), 4)? << 32
    };
    Ok(in_order(cx, value))
}

#[inline(always)]
fn store_double<C: Context>(cx: &mut C, va: u32, value: u64) -> Result<(), C::Error> {
    let value = in_order(cx, value);
    if va & 7 == 0 {
        cx.store(va, 8, value)
    } else {
        cx.store(va, 4, value & 0xffff_ffff)?;
        cx.store(va.wrapping_add(4), 4, value >> 32)
    }
}

#[inline]
fn load_doubles<C: Context>(cx: &mut C, mut va: u32, d: u8, count: u8) -> Result<(), C::Error> {
    let mut values = [0; 16];
    for value in values.iter_mut().take(count as usize) {
        *value = load_double(cx, va)?;
        va = va.wrapping_add(8);
    }
    for (i, value) in (0..count).zip(values) {
        cx.simd().set_d(d + i, value);
    }
    Ok(())
}

#[inline]
fn load_singles<C: Context>(cx: &mut C, mut va: u32, s: u8, count: u8) -> Result<(), C::Error> {
    let mut values = [0; 32];
    for value in values.iter_mut().take(count as usize) {
        *value = cx.load(va, 4)? as u32;
        va = va.wrapping_add(4);
    }
    for (i, value) in (0..count).zip(values) {
        cx.simd().set_s(s + i, value);
    }
    Ok(())
}

/// Up to four elements at consecutive addresses.
#[inline]
fn load_elements<C: Context>(
    cx: &mut C,
    va: u32,
    ebytes: u32,
    count: u8,
) -> Result<[u64; 4], C::Error> {
    let mut elements = [0; 4];
    for (i, element) in (0..count as u32).zip(&mut elements) {
        *element = cx.load(va.wrapping_add(i * ebytes), ebytes)?;
    }
    Ok(elements)
}

/// The bytes that one access moves, of a doubleword of elements: as many as the address is aligned
/// to, where the order of bytes in memory is that in the register.
#[inline(always)]
fn chunk<C: Context>(cx: &C, va: u32, ebytes: u32) -> u32 {
    if cx.big_endian() {
        ebytes
    } else {
        ebytes.max(1 << va.trailing_zeros().min(3))
    }
}

/// A doubleword of elements.
#[inline]
fn load_chunks<C: Context>(cx: &mut C, va: u32, ebytes: u32) -> Result<u64, C::Error> {
    let chunk = chunk(cx, va, ebytes);
    if chunk == 8 {
        let value = cx.load(va, 8)?;
        return Ok(in_order(cx, value));
    }
    let (mut value, mut at) = (0, 0);
    while at < 8 {
        value |= cx.load(va.wrapping_add(at), chunk)? << (8 * at);
        at += chunk;
    }
    Ok(value)
}

#[inline]
fn store_chunks<C: Context>(cx: &mut C, va: u32, ebytes: u32, value: u64) -> Result<(), C::Error> {
    let chunk = chunk(cx, va, ebytes);
    if chunk == 8 {
        let value = in_order(cx, value);
        return cx.store(va, 8, value);
    }
    let mut at = 0;
    while at < 8 {
        let part = value >> (8 * at) & lanes::ones(8 * chunk);
        cx.store(va.wrapping_add(at), chunk, part)?;
        at += chunk;
    }
    Ok(())
}

/// The shape of VLD1 to VLD4 and VST1 to VST4 (multiple structures).
#[derive(Clone, Copy)]
struct Structures {
    size: u8,
    interleave: u8,
    regs: u8,
    spacing: u8,
    d: u8,
}

impl Structures {
    /// For each register the instruction names, in the order of memory if it weren't for the
    /// interleaving: its number, its group and its place in the group.
    fn registers(self) -> impl Iterator<Item = (u8, usize, u32)> {
        (0..self.regs).flat_map(move |r| {
            (0..self.interleave).map(move |i| {
                let reg = self.d + r + i * self.spacing;
                (reg, r as usize * self.interleave as usize, i as u32)
            })
        })
    }

    /// How many doublewords memory holds; at most 4.
    fn doublewords(self) -> usize {
        (self.regs as usize * self.interleave as usize).min(4)
    }
}

#[inline]
fn load_structures<C: Context>(cx: &mut C, va: u32, s: Structures) -> Result<(), C::Error> {
    let mut memory = [0; 4];
    for (i, value) in memory.iter_mut().enumerate().take(s.doublewords()) {
        *value = load_chunks(cx, va.wrapping_add(8 * i as u32), 1 << s.size)?;
    }
    let simd = cx.simd();
    if s.interleave == 1 {
        for (i, value) in (0..s.regs).zip(memory) {
            simd.set_d(s.d + i, value);
        }
        return Ok(());
    }
    let esize = 8 << s.size;
    let per_double = 64 / esize;
    for (reg, group, place) in s.registers() {
        let value = lanes::build(esize, |e| {
            let at = e * s.interleave as u32 + place;
            let double = memory[(group + (at / per_double) as usize) & 3];
            lanes::get(double, esize, at % per_double)
        });
        simd.set_d(reg, value);
    }
    Ok(())
}

#[inline]
fn store_structures<C: Context>(cx: &mut C, va: u32, s: Structures) -> Result<(), C::Error> {
    let mut memory = [0; 4];
    let simd = cx.simd();
    if s.interleave == 1 {
        for (i, value) in (0..s.regs).zip(&mut memory) {
            *value = simd.d(s.d + i);
        }
    } else {
        let esize = 8 << s.size;
        let per_double = 64 / esize;
        for (reg, group, place) in s.registers() {
            for e in 0..per_double {
                let at = e * s.interleave as u32 + place;
                let double = &mut memory[(group + (at / per_double) as usize) & 3];
                let element = lanes::get(simd.d(reg), esize, e);
                *double = lanes::set(*double, esize, at % per_double, element);
            }
        }
    }
    for (i, value) in memory.into_iter().enumerate().take(s.doublewords()) {
        store_chunks(cx, va.wrapping_add(8 * i as u32), 1 << s.size, value)?;
    }
    Ok(())
}
