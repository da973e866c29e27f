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

fn wback(m: u32) -> Wback {
    match m {
        15 => Wback::None,
        13 => Wback::Size,
        _ => Wback::Reg(r(m)),
    }
}

/// VLD1 to VLD4, VST1 to VST4 (multiple structures; manual table A7-20). A base of PC, and a list
/// beyond D31, are UNPREDICTABLE: UNDEFINED here.
pub(super) fn structures(
    load: bool,
    kind: u32,
    size: u32,
    align: u32,
    d: u32,
    n: u32,
    m: u32,
) -> Insn {
    // Elements interleaved, structures, registers between those of one structure.
    let (interleave, regs, spacing) = match kind {
        0b0111 => (1, 1, 1),
        0b1010 => (1, 2, 1),
        0b0110 => (1, 3, 1),
        0b0010 => (1, 4, 1),
        0b1000 => (2, 1, 1),
        0b1001 => (2, 1, 2),
        0b0011 => (2, 2, 2),
        0b0100 => (3, 1, 1),
        0b0101 => (3, 1, 2),
        0b0000 => (4, 1, 1),
        0b0001 => (4, 1, 2),
        _ => return Insn::Undefined,
    };
    let undefined = match kind {
        0b0111 | 0b0110 | 0b0100 | 0b0101 => align & 2 != 0,
        0b1010 | 0b1000 | 0b1001 => align == 3,
        _ => false,
    };
    // Only VLD1 and VST1 have 64-bit elements.
    let last = if interleave == 1 || kind == 0b0011 {
        d + if interleave == 1 { regs } else { 4 }
    } else {
        d + (interleave - 1) * spacing + 1
    };
    if undefined || (size == 3 && interleave != 1) || last > 32 || n == 15 {
        return Insn::Undefined;
    }
    simd(Simd::Multiple {
        load,
        size: size as u8,
        interleave: interleave as u8,
        regs: regs as u8,
        spacing: spacing as u8,
        d: d as u8,
        align: if align == 0 { 1 } else { 4 << align },
        rn: r(n),
        wback: wback(m),
    })
}

/// VLD1 to VLD4, VST1 to VST4 (single structure to or from one lane; manual table A7-21).
pub(super) fn one_lane(
    load: bool,
    interleave: u32,
    size: u32,
    index_align: u32,
    d: u32,
    n: u32,
    m: u32,
) -> Insn {
    let low = index_align & ((1 << size) - 1);
    let (index, wide, align) = match (size, interleave) {
        (0, _) => (index_align >> 1, false, index_align & 1),
        (1, _) => (index_align >> 2, index_align & 2 != 0, index_align & 1),
        (2, _) => (index_align >> 3, index_align & 4 != 0, index_align & 3),
        _ => return Insn::Undefined,
    };
    let bytes = match (interleave, size) {
        (1, 0) if align == 0 => 1,
        (1, 1) if low <= 1 => 1 << align,
        (1, 2) if !wide && (align == 0 || align == 3) => {
            if align == 0 {
                1
            } else {
                4
            }
        }
        (2, 0 | 1) => {
            if align != 0 {
                2 << size
            } else {
                1
            }
        }
        (2, 2) if align < 2 => {
            if align != 0 {
                8
            } else {
                1
            }
        }
        (3, _) if align == 0 => 1,
        (4, 0 | 1) => {
            if align != 0 {
                4 << size
            } else {
                1
            }
        }
        (4, 2) if align < 3 => {
            if align == 0 {
                1
            } else {
                4 << align
            }
        }
        _ => return Insn::Undefined,
    };
    // VLD1 has one register, and the bit that doubles the spacing must be 0.
    if interleave == 1 && wide {
        return Insn::Undefined;
    }
    let spacing = if wide { 2 } else { 1 };
    if d + (interleave - 1) * spacing > 31 || n == 15 {
        return Insn::Undefined;
    }
    simd(Simd::Lane {
        load,
        size: size as u8,
        interleave: interleave as u8,
        spacing: spacing as u8,
        index: index as u8,
        d: d as u8,
        align: bytes,
        rn: r(n),
        wback: wback(m),
    })
}

/// VLD1 to VLD4 (single structure to all lanes).
pub(super) fn all_lanes(
    interleave: u32,
    size: u32,
    t: u32,
    a: u32,
    d: u32,
    n: u32,
    m: u32,
) -> Insn {
    let (size, bytes) = match (interleave, size, a) {
        (1, 0, 1) | (3, _, 1) => return Insn::Undefined,
        // Four words aligned to 16 bytes.
        (4, 3, 1) => (2, 16),
        (_, 3, _) => return Insn::Undefined,
        (_, size, 0) => (size, 1),
        // VLD4 of words aligned to 8 bytes.
        (4, 2, _) => (2, 8),
        (_, size, _) => (size, interleave << size),
    };
    // For VLD1, T gives the number of registers; for others the spacing.
    let (regs, spacing) = if interleave == 1 {
        (t + 1, 1)
    } else {
        (1, t + 1)
    };
    let last = if interleave == 1 {
        d + regs - 1
    } else {
        d + (interleave - 1) * spacing
    };
    if last > 31 || n == 15 {
        return Insn::Undefined;
    }
    simd(Simd::AllLanes {
        size: size as u8,
        interleave: interleave as u8,
        regs: regs as u8,
        spacing: spacing as u8,
        d: d as u8,
        align: bytes as u8,
        rn: r(n),
        wback: wback(m),
    })
}
