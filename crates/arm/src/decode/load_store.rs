//! The decoder for loads and stores alone, from the same rows: for a hypervisor, which decodes what
//! faulted on a device, and has no room for all the others. Slower than the whole decoder: it looks
//! at one row after another.

use super::table::{Key, Maker, Row};
use super::{
    A32_KEY, A32_UNCONDITIONAL_KEY, COUNT, ItState, ROWS, T16_KEY, T32_KEY, decoded_a32,
    decoded_t32, t32_is_wide,
};
use crate::insn::Decoded;

/// What the names of loads and stores start with.
const NAMES: [&str; 8] = ["LD", "ST", "VLD", "VST", "PUSH", "POP", "PLD", "SWP"];

const fn is_load_store(row: &Row) -> bool {
    let name = row.name.as_bytes();
    let mut n = 0;
    while n < NAMES.len() {
        let start = NAMES[n].as_bytes();
        let mut i = 0;
        while i < start.len() && i < name.len() && name[i] == start[i] {
            i += 1;
        }
        if i == start.len() {
            return true;
        }
        n += 1;
    }
    false
}

/// A row, without what is for people.
#[derive(Clone, Copy)]
struct LoadStore {
    mask: u32,
    value: u32,
    maker: Maker,
}

/// How many rows [`select`] finds.
const fn count(key: &Key) -> usize {
    let (mut i, mut n) = (0, 0);
    while i < COUNT {
        n += (is_load_store(&ROWS[i]) && key.takes(&ROWS[i])) as usize;
        i += 1;
    }
    n
}

/// The rows of loads and stores that an index of all rows with this key has.
const fn select<const N: usize>(key: &Key) -> [LoadStore; N] {
    let mut rows = [LoadStore {
        mask: 0,
        value: 0,
        maker: ROWS[0].maker(0),
    }; N];
    let (mut i, mut n) = (0, 0);
    while i < COUNT {
        let row = &ROWS[i];
        if is_load_store(row) && key.takes(row) {
            rows[n] = LoadStore {
                mask: row.mask,
                value: row.value,
                maker: row.maker(i as u16),
            };
            n += 1;
        }
        i += 1;
    }
    rows
}

static A32: [LoadStore; count(&A32_KEY)] = select(&A32_KEY);
static A32_UNCONDITIONAL: [LoadStore; count(&A32_UNCONDITIONAL_KEY)] =
    select(&A32_UNCONDITIONAL_KEY);
static T16: [LoadStore; count(&T16_KEY)] = select(&T16_KEY);
static T32: [LoadStore; count(&T32_KEY)] = select(&T32_KEY);

fn find(rows: &[LoadStore], word: u32) -> Option<Maker> {
    let row = rows.iter().find(|row| word & row.mask == row.value)?;
    Some(row.maker)
}

/// Decodes an A32 load or store. Of a word that is neither, the result is `None` or wrong.
pub fn a32(word: u32) -> Option<Decoded> {
    let rows: &[_] = if word >> 28 == 15 {
        &A32_UNCONDITIONAL
    } else {
        &A32
    };
    Some(decoded_a32(find(rows, word)?, word))
}

/// Decodes a T32 load or store, as [`super::t32`] does. Of one that is neither, the result is `None`
/// or wrong.
pub fn t32(hw1: u16, hw2: u16, it: ItState) -> Option<Decoded> {
    let wide = t32_is_wide(hw1);
    let (rows, word): (&[_], _) = if wide {
        (&T32, u32::from(hw1) << 16 | u32::from(hw2))
    } else {
        (&T16, u32::from(hw1))
    };
    Some(decoded_t32(find(rows, word)?, wide, word, it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, Set, rows};

    /// A sequence of bits that look random.
    fn scramble(n: u32) -> u32 {
        let mut x = n.wrapping_mul(0x9e37_79b9) ^ 0x1234_5678;
        for shift in [13, 17, 5, 11] {
            x ^= x.rotate_left(shift);
            x = x.wrapping_mul(0x85eb_ca6b);
        }
        x
    }

    #[test]
    fn loads_and_stores_decode_as_with_all_others() {
        let mut seen = 0;
        for (number, row) in rows().iter().enumerate() {
            for n in 0..400 {
                let word = row.word(scramble(number as u32 * 400 + n));
                let (all, these) = match row.set {
                    Set::A32 => (decode::a32(word), a32(word)),
                    Set::T16 => {
                        let (hw, it) = (word as u16, ItState(n as u8));
                        (decode::t32(hw, 0, it), t32(hw, 0, it))
                    }
                    Set::T32 => {
                        let word = if row.a32_form {
                            row.value | word & !row.mask
                        } else {
                            word
                        };
                        let (hw1, hw2, it) = ((word >> 16) as u16, word as u16, ItState(n as u8));
                        (decode::t32(hw1, hw2, it), t32(hw1, hw2, it))
                    }
                };
                if is_load_store(&rows()[all.row as usize]) {
                    assert_eq!(these, Some(all), "{} {word:08x}", row.name);
                    seen += 1;
                }
            }
        }
        assert!(seen > 10_000, "{seen}");
    }
}
