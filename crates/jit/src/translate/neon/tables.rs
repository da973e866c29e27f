//! Vectors of bytes that templates look things up in: what PSHUFB takes from where, or looks up.

use skep_arm::fp::{unsigned_recip_estimate, unsigned_rsqrt_estimate};

/// How many there are.
pub const COUNT: usize = FOUR_BITS_ZEROS + 1;

/// VLD3, from memory's first 16 and its last 8 bytes: the place of 4 tables for each size.
/// The first two give the first two registers, the others the third one.
pub(super) const LOAD3: usize = 0;
/// VST3, from the first two registers and the third one: the place of 4 tables for each size.
/// The first two give the first 16 bytes, the others the last 8.
pub(super) const STORE3: usize = 12;
/// VREV16.8.
pub(super) const REVERSE_16_8: usize = 24;
/// VREV32.8.
pub(super) const REVERSE_32_8: usize = 25;
/// VREV32.16.
pub(super) const REVERSE_32_16: usize = 26;
/// VREV64.8.
pub(super) const REVERSE_64_8: usize = 27;
/// VREV64.16.
pub(super) const REVERSE_64_16: usize = 28;
/// VREV64.32.
pub(super) const REVERSE_64_32: usize = 29;
/// The number of ones in four bits.
pub(super) const FOUR_BITS_ONES: usize = 30;
/// The number of zeros above the first one in four bits.
pub(super) const FOUR_BITS_ZEROS: usize = 31;

/// PSHUFB writes zero.
const NOTHING: u8 = 0x80;

/// All of them.
pub const TABLES: [[u8; 16]; COUNT] = build();

const fn build() -> [[u8; 16]; COUNT] {
    let mut tables = [[NOTHING; 16]; COUNT];
    let mut size = 0;
    while size < 3 {
        let bytes = 1 << size;
        let mut at = 0;
        // The byte `at` of memory is this one of the three registers together.
        while at < 24 {
            let element = at / bytes;
            let from = element % 3 * 8 + element / 3 * bytes + at % bytes;
            let load = LOAD3 + 4 * size + from / 16 * 2 + at / 16;
            tables[load][from % 16] = (at % 16) as u8;
            let store = STORE3 + 4 * size + at / 16 * 2 + from / 16;
            tables[store][at % 16] = (from % 16) as u8;
            at += 1;
        }
        size += 1;
    }
    tables[REVERSE_16_8] = reversed(2, 1);
    tables[REVERSE_32_8] = reversed(4, 1);
    tables[REVERSE_32_16] = reversed(4, 2);
    tables[REVERSE_64_8] = reversed(8, 1);
    tables[REVERSE_64_16] = reversed(8, 2);
    tables[REVERSE_64_32] = reversed(8, 4);
    let mut bits = 0u8;
    while bits < 16 {
        tables[FOUR_BITS_ONES][bits as usize] = bits.count_ones() as u8;
        tables[FOUR_BITS_ZEROS][bits as usize] = (bits << 4 | 8).leading_zeros() as u8;
        bits += 1;
    }
    tables
}

/// See [`crate::context::Shared::recip_estimates`].
pub fn recip_estimates() -> [u8; 256] {
    // The operand as a fraction from 1/2, the result with the bit above its fraction.
    std::array::from_fn(|bits| (unsigned_recip_estimate((256 + bits as u32) << 23) >> 23) as u8)
}

/// See [`crate::context::Shared::rsqrt_estimates`].
pub fn rsqrt_estimates() -> [u8; 256] {
    std::array::from_fn(|bits| {
        let fraction = 128 + (bits as u32 & 127);
        // An odd exponent (whose bias is odd, too) is an even power of two.
        let operand = fraction << if bits & 128 != 0 { 23 } else { 24 };
        (unsigned_rsqrt_estimate(operand) >> 23) as u8
    })
}

/// The elements in groups of so many bytes, in reverse.
const fn reversed(group: u8, element: u8) -> [u8; 16] {
    let mut table = [0; 16];
    let mut at = 0;
    while at < 16 {
        // Both are powers of two.
        table[at as usize] = at ^ (group - element);
        at += 1;
    }
    table
}
