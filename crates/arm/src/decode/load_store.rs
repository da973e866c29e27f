//! The decoder for loads and stores alone, from the same rows: for a hypervisor, which decodes what
//! faulted on a device, and has no room for all the others. Slower than the whole decoder: it looks
//! at one row after another.

use super::table::{Row, Set};
use super::{COUNT, ItState, ROWS, decoded_a32, decoded_t32, t32_is_wide};
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

const LOADS_AND_STORES: usize = {
    let (mut i, mut n) = (0, 0);
    while i < COUNT {
        n += is_load_store(&ROWS[i]) as usize;
        i += 1;
    }
    n
};

/// The rows, with their numbers among all.
static LOAD_STORE_ROWS: [(u16, Row); LOADS_AND_STORES] = {
    let mut rows = [(0, ROWS[0]); LOADS_AND_STORES];
    let (mut i, mut n) = (0, 0);
    while i < COUNT {
        if is_load_store(&ROWS[i]) {
            rows[n] = (i as u16, ROWS[i]);
            n += 1;
        }
        i += 1;
    }
    rows
};

fn find(set: Set, word: u32) -> Option<&'static (u16, Row)> {
    // The condition 0b1111 is another instruction set.
    let unconditional = word >> 28 == 15;
    LOAD_STORE_ROWS.iter().find(|(_, row)| {
        let fits = set != Set::A32 || (row.mask >> 28 == 15) == unconditional;
        row.set == set && fits && row.matches(word)
    })
}

/// Decodes an A32 load or store. Of a word that is neither, the result is `None` or wrong.
pub fn a32(word: u32) -> Option<Decoded> {
    let (number, row) = find(Set::A32, word)?;
    Some(decoded_a32(row, *number, word))
}

/// Decodes a T32 load or store, as [`super::t32`] does. Of one that is neither, the result is `None`
/// or wrong.
pub fn t32(hw1: u16, hw2: u16, it: ItState) -> Option<Decoded> {
    let (set, word) = if t32_is_wide(hw1) {
        (Set::T32, u32::from(hw1) << 16 | u32::from(hw2))
    } else {
        (Set::T16, u32::from(hw1))
    };
    let (number, row) = find(set, word)?;
    Some(decoded_t32(row, *number, word, it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, rows};

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
