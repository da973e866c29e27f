//! Values for registers: random ones, and those that arithmetic is likely to get wrong.

use crate::rng::Rng;
use crate::wire::{State, WINDOW_SIZE, Window};
use skep_arm::state::psr;

const WORDS: [u32; 16] = [
    0,
    1,
    2,
    0xffff_ffff,
    0xffff_fffe,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0x0000_7fff,
    0x0000_8000,
    0x0000_ffff,
    0x0001_0000,
    0x7fff_8000,
    0x8000_7fff,
    0x00ff_00ff,
    0x8080_8080,
];

/// Single precision: zeros, infinities, NaNs, the borders of denormal and normal numbers and of the
/// integers, halves.
const SINGLES: [u32; 28] = [
    0x0000_0000, // 0
    0x0000_0001, // smallest denormal
    0x007f_ffff, // largest denormal
    0x0080_0000, // smallest normal
    0x0080_0001,
    0x00ff_ffff,
    0x3300_0000, // 2^-25
    0x3380_0000, // 2^-24
    0x3f00_0000, // 0.5
    0x3f7f_ffff, // just below 1
    0x3f80_0000, // 1
    0x3f80_0001, // just above 1
    0x3fc0_0000, // 1.5
    0x4020_0000, // 2.5
    0x4040_0000, // 3
    0x477f_e000, // 65504, the largest half-precision number
    0x477f_f000, // halfway beyond it
    0x4f00_0000, // 2^31
    0x4eff_ffff,
    0x4f80_0000, // 2^32
    0x4f7f_ffff,
    0x7f7f_ffff, // largest
    0x7f80_0000, // infinity
    0x7f80_0001, // signalling NaN
    0x7fbf_ffff,
    0x7fc0_0000, // the default NaN
    0x7fc1_2345,
    0x3880_0000, // 2^-14, the smallest normal half-precision number
];

/// Double precision, likewise.
const DOUBLES: [u64; 22] = [
    0x0000_0000_0000_0000,
    0x0000_0000_0000_0001,
    0x000f_ffff_ffff_ffff,
    0x0010_0000_0000_0000,
    0x0010_0000_0000_0001,
    0x3690_0000_0000_0000, // 2^-150: half of single precision's smallest
    0x36a0_0000_0000_0000,
    0x380f_ffff_ffff_ffff, // just below single precision's smallest normal
    0x3810_0000_0000_0000,
    0x3fe0_0000_0000_0000,
    0x3fef_ffff_ffff_ffff,
    0x3ff0_0000_0000_0000,
    0x3ff8_0000_0000_0000,
    0x4004_0000_0000_0000,
    0x41df_ffff_ffe0_0000, // 2^31 - 0.5
    0x41ef_ffff_fff0_0000, // 2^32 - 0.5
    0x47ef_ffff_f000_0000, // halfway beyond single precision's largest
    0x7fef_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0x7ff8_0000_0000_0000,
    0x7ff8_1234_5678_9abc,
];

const HALVES: [u16; 12] = [
    0x0000, 0x0001, 0x03ff, 0x0400, 0x3bff, 0x3c00, 0x3c01, 0x7bff, 0x7c00, 0x7c01, 0x7e00, 0x7fff,
];

const BYTES: [u8; 8] = [0x00, 0x01, 0x7f, 0x80, 0x81, 0xff, 0xfe, 0x40];

/// A core register's value.
pub fn word(rng: &mut Rng) -> u32 {
    let random = rng.u64();
    match random & 7 {
        0..4 => (random >> 32) as u32,
        4 => WORDS[(random >> 32) as usize % 16],
        5 => (random >> 32) as u32 & 0xff,
        6 => ((random >> 32) as i32 >> (random >> 8 & 31)) as u32,
        _ => 1 << (random >> 32 & 31),
    }
}

fn single(rng: &mut Rng) -> u32 {
    let random = rng.u64();
    let low = (random >> 32) as u32;
    match random & 7 {
        0 => low,
        1 | 2 => SINGLES[(random >> 8) as usize % SINGLES.len()] | low & 0x8000_0000,
        // Near a special value.
        3 => (SINGLES[(random >> 8) as usize % SINGLES.len()] | low & 0x8000_0000)
            .wrapping_add((low & 7).wrapping_sub(3)),
        // Of moderate size, with few bits: sums and products that are exact or halfway.
        4 | 5 => low & 0x8070_0000 | (0x3a + (low & 7)) << 24 | (low >> 8 & 0xf) << 19,
        // Of moderate size, with all bits.
        6 => low & 0x80ff_ffff | (0x3c + (random as u32 >> 8 & 7)) << 24,
        // Denormal.
        _ => low & 0x80ff_ffff,
    }
}

fn double(rng: &mut Rng) -> u64 {
    let (random, bits) = (rng.u64(), rng.u64());
    let sign = bits & 1 << 63;
    match random & 7 {
        0 => bits,
        1 | 2 => DOUBLES[(random >> 8) as usize % DOUBLES.len()] | sign,
        3 => (DOUBLES[(random >> 8) as usize % DOUBLES.len()] | sign)
            .wrapping_add((bits & 7).wrapping_sub(3)),
        4 => sign | (0x3f8 + (random >> 8 & 0xf)) << 52 | (bits & 0xf) << 48,
        5 => bits & 0x800f_ffff_ffff_ffff | (0x3f8 + (random >> 8 & 0xf)) << 52,
        // About the range of single precision.
        6 => bits & 0x800f_ffff_ffff_ffff | (0x360 + (random >> 8 & 0x1ff)) << 52,
        _ => bits & 0x800f_ffff_ffff_ffff,
    }
}

/// An extension register's value, made for one of the types that it may hold.
fn extension(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => rng.u64(),
        1 | 2 => u64::from(single(rng)) << 32 | u64::from(single(rng)),
        3 | 4 => double(rng),
        5 => {
            let random = rng.u64();
            (0..4).fold(0, |value, lane| {
                let bits = random >> (lane * 16);
                let half = HALVES[bits as usize % 12] | bits as u16 & 0x8000;
                value << 16 | u64::from(half)
            })
        }
        6 => {
            let random = rng.u64();
            (0..8).fold(0, |value, lane| {
                value << 8 | u64::from(BYTES[(random >> (lane * 8) & 7) as usize])
            })
        }
        _ => u64::from(word(rng)) << 32 | u64::from(word(rng)),
    }
}

/// FPSCR: every rounding mode, flush-to-zero, default NaN, alternative half precision; flags set or
/// clear. Len and Stride are 0: these processors have no short vectors.
fn fpscr(rng: &mut Rng) -> u32 {
    let random = rng.u64();
    let flags = match random & 3 {
        0 => 0xf800_009f,
        _ => 0,
    };
    (random >> 32) as u32 & (0x07c0_0000 | flags)
}

/// A whole state, but for the PC.
pub fn state(rng: &mut Rng) -> State {
    let mut state = State {
        regs: [0; 16],
        cpsr: rng.u32() & (psr::N | psr::Z | psr::C | psr::V | psr::Q | psr::GE),
        fpscr: fpscr(rng),
        outcome: 0,
        address: 0,
        d: [0; 32],
    };
    for reg in &mut state.regs[..15] {
        *reg = word(rng);
    }
    for d in &mut state.d {
        *d = extension(rng);
    }
    // Numbers that are close to each other.
    if rng.one_in(4) {
        for _ in 0..8 {
            let (from, to) = (rng.below(32) as usize, rng.below(32) as usize);
            let change = rng.pick(&[0, 1, 1 << 31, 1 << 63, 1 << 32, 1 << 63 | 1]);
            state.d[to] = state.d[from] ^ change;
        }
    }
    state
}

/// A memory window.
pub fn window(rng: &mut Rng) -> Window {
    let mut window = Window([0; WINDOW_SIZE / 8]);
    for word in &mut window.0 {
        *word = rng.u64();
    }
    window
}
