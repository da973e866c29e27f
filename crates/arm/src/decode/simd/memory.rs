//! VFP and Advanced SIMD loads and stores.

use super::make::{r, simd};
use crate::insn::Insn;
use crate::insn::simd::{Simd, Wback};

/// VLDR, VSTR. A store with PC as its base is UNPREDICTABLE in T32; it is executed.
pub(super) fn load_store(load: bool, double: bool, d: u32, n: u32, up: u32, imm8: u32) -> Insn {
    let bytes = 4 * imm8 as i16;
    let (d, rn, offset) = (d as u8, r(n), if up != 0 { bytes } else { -bytes });
    simd(if load {
        Simd::Vldr {
            double,
            d,
            rn,
            offset,
        }
    } else {
        Simd::Vstr {
            double,
            d,
            rn,
            offset,
        }
    })
}

/// VLDM, VSTM, VPUSH, VPOP. A list that is empty or extends beyond the last register is
/// UNPREDICTABLE: UNDEFINED here. So is PC as a base that is written back.
pub(super) fn multiple_registers(
    load: bool,
    double: bool,
    (p, u, w): (u32, u32, u32),
    d: u32,
    n: u32,
    imm8: u32,
) -> Insn {
    let (increment, wback) = match (p, u, w) {
        (0, 1, _) => (true, w != 0),
        (1, 0, 1) => (false, true),
        _ => return Insn::Undefined,
    };
    let count = if double { imm8 / 2 } else { imm8 };
    if count == 0 || d + count > 32 || (double && count > 16) || (wback && n == 15) {
        return Insn::Undefined;
    }
    let (d, count, bytes, rn) = (d as u8, count as u8, 4 * imm8 as u16, r(n));
    simd(if load {
        Simd::Vldm {
            double,
            d,
            count,
            bytes,
            rn,
            increment,
            wback,
        }
    } else {
        Simd::Vstm {
            double,
            d,
            count,
            bytes,
            rn,
            increment,
            wback,
        }
    })
}

/// How the index register field says the base is written back.
fn wback(m: u32) -> Wback {
    match m {
        15 => Wback::None,
        13 => Wback::Size,
        _ => Wback::Reg(r(m)),
    }
}

/// Whether the base and the registers of a structure access are such: PC as the base, and a list
/// beyond D31, are UNPREDICTABLE, and UNDEFINED here.
fn exists(interleave: u8, regs: u8, spacing: u8, d: u32, n: u32) -> bool {
    n != 15 && d as u8 + (interleave - 1) * spacing + regs <= 32
}

/// VLD1 to VLD4, VST1 to VST4 (multiple structures; manual table A7-20).
pub(super) fn structures(
    load: bool,
    kind: u32,
    size: u32,
    align: u32,
    d: u32,
    n: u32,
    m: u32,
) -> Insn {
    // Elements interleaved, structures, registers from one of a structure to the next, and the
    // largest alignment field.
    let (interleave, regs, spacing, largest) = match kind {
        0b0111 => (1, 1, 1, 1),
        0b1010 => (1, 2, 1, 2),
        0b0110 => (1, 3, 1, 1),
        0b0010 => (1, 4, 1, 3),
        0b1000 => (2, 1, 1, 2),
        0b1001 => (2, 1, 2, 2),
        0b0011 => (2, 2, 2, 3),
        0b0100 => (3, 1, 1, 1),
        0b0101 => (3, 1, 2, 1),
        0b0000 => (4, 1, 1, 3),
        0b0001 => (4, 1, 2, 3),
        _ => return Insn::Undefined,
    };
    // Only VLD1 and VST1 have 64-bit elements.
    let sized = size < 3 || interleave == 1;
    if !sized || align > largest || !exists(interleave, regs, spacing, d, n) {
        return Insn::Undefined;
    }
    simd(Simd::Multiple {
        load,
        size: size as u8,
        interleave,
        regs,
        spacing,
        d: d as u8,
        align: if align == 0 { 1 } else { 4 << align },
        rn: r(n),
        wback: wback(m),
    })
}

/// VLD1 to VLD4, VST1 to VST4 (single structure to or from one lane; manual table A7-21).
/// `index_align` is the index above the bit that doubles the spacing (not with bytes) above the
/// alignment (two bits with words).
pub(super) fn one_lane(
    load: bool,
    interleave: u32,
    size: u32,
    index_align: u32,
    d: u32,
    n: u32,
    m: u32,
) -> Insn {
    let (index, wide, align) = match size {
        0 => (index_align >> 1, false, index_align & 1),
        1 => (index_align >> 2, index_align & 2 != 0, index_align & 1),
        2 => (index_align >> 3, index_align & 4 != 0, index_align & 3),
        _ => return Insn::Undefined,
    };
    let align = match (interleave, size, align) {
        (_, _, 0) => 1,
        (1, 1, 1) => 2,
        (1, 2, 3) => 4,
        (2, _, 1) => 2 << size,
        (4, 0 | 1, _) => 4 << size,
        (4, 2, 1 | 2) => 4 << align,
        _ => return Insn::Undefined,
    };
    let (interleave, spacing) = (interleave as u8, if wide { 2 } else { 1 });
    if interleave == 1 && wide || !exists(interleave, 1, spacing, d, n) {
        return Insn::Undefined;
    }
    simd(Simd::Lane {
        load,
        size: size as u8,
        interleave,
        spacing,
        index: index as u8,
        d: d as u8,
        align,
        rn: r(n),
        wback: wback(m),
    })
}

/// VLD1 to VLD4 (single structure to all lanes). For VLD1, T gives the number of registers; for
/// others the spacing.
pub(super) fn all_lanes(
    interleave: u32,
    size: u32,
    t: u32,
    a: u32,
    d: u32,
    n: u32,
    m: u32,
) -> Insn {
    let (interleave, t) = (interleave as u8, t as u8);
    let (size, align) = match (interleave, size, a) {
        // Four words aligned to 16 bytes.
        (4, 3, 1) => (2, 16),
        (_, 3, _) | (1, 0, 1) | (3, _, 1) => return Insn::Undefined,
        (_, _, 0) => (size, 1),
        // Four words aligned to 8 bytes.
        (4, 2, _) => (2, 8),
        _ => (size, interleave << size),
    };
    let (regs, spacing) = if interleave == 1 {
        (1 + t, 1)
    } else {
        (1, 1 + t)
    };
    if !exists(interleave, regs, spacing, d, n) {
        return Insn::Undefined;
    }
    simd(Simd::AllLanes {
        size: size as u8,
        interleave,
        regs,
        spacing,
        d: d as u8,
        align,
        rn: r(n),
        wback: wback(m),
    })
}
