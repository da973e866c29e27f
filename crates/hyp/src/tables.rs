//! Translation tables in the long-descriptor format (manual B3.6), of Hyp mode's stage 1 and of
//! stage 2: building them, with the largest blocks that alignment allows.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Bytes of a page, and of a table.
pub const PAGE: u64 = 0x1000;
/// Bytes that a block of the second level maps.
pub const BLOCK_2: u64 = 2 << 20;
/// Bytes that a block of the first level maps.
pub const BLOCK_1: u64 = 1 << 30;

const VALID: u64 = 1 << 0;
/// In levels 1 and 2: a table and not a block. In level 3: a page.
const TABLE_OR_PAGE: u64 = 1 << 1;
const AF: u64 = 1 << 10;
const OUTPUT: u64 = 0x00ff_ffff_f000;
const XN: u64 = 1 << 54;
const INNER_SHAREABLE: u64 = 3 << 8;

/// What memory is, and what may be done with it; the descriptor bits beyond the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes(u64);

impl Attributes {
    /// Stage 2 (manual B3.6.2): memory that the guest uses as it likes. Its own attributes count
    /// where they are weaker.
    pub const S2_MEMORY: Attributes =
        Attributes(0b1111 << 2 | HAP_READ | HAP_WRITE | INNER_SHAREABLE | AF);
    /// Stage 2: memory that several guests share. Not cacheable, whatever a guest says: guests that
    /// disagree on that would see different contents.
    pub const S2_SHARED: Attributes =
        Attributes(0b0101 << 2 | HAP_READ | HAP_WRITE | INNER_SHAREABLE | AF | XN);
    /// The same, for guests that may read it and not write it.
    pub const S2_SHARED_READ_ONLY: Attributes =
        Attributes(0b0101 << 2 | HAP_READ | INNER_SHAREABLE | AF | XN);
    /// Stage 2: device registers.
    pub const S2_DEVICE: Attributes = Attributes(0b0001 << 2 | HAP_READ | HAP_WRITE | AF | XN);
    /// Hyp mode: code.
    pub const HYP_CODE: Attributes = Attributes(HYP_NORMAL | READ_ONLY);
    /// Hyp mode: constants.
    pub const HYP_CONSTANT: Attributes = Attributes(HYP_NORMAL | READ_ONLY | XN);
    /// Hyp mode: data.
    pub const HYP_DATA: Attributes = Attributes(HYP_NORMAL | XN);
    /// Hyp mode: device registers.
    pub const HYP_DEVICE: Attributes = Attributes(AP_1 | AF | XN);
}

const HAP_READ: u64 = 1 << 6;
const HAP_WRITE: u64 = 1 << 7;
/// AP\[1\] is one in Hyp mode's tables.
const AP_1: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
/// Attribute index 1 of HMAIR0: see [`crate::spec::HMAIR0`].
const HYP_NORMAL: u64 = 1 << 2 | AP_1 | INNER_SHAREABLE | AF;

/// One table of 512 descriptors.
#[repr(align(4096))]
#[derive(Clone)]
struct Table([u64; 512]);

/// Why a range can't be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MapError {
    /// An address or a size is not a multiple of a page, or beyond the address space.
    #[error("not whole pages, or beyond the address space")]
    Range,
    /// A part of the input range is mapped already.
    #[error("something is there already")]
    Overlap,
}

/// Tables that translate 32 bits of input address: a first level of four entries.
///
/// Tables live on the heap and never move. They are found by physical address, of which `physical`
/// makes a function of where they are.
pub struct Tables {
    tables: Vec<Box<Table>>,
    /// What to add to an address of the heap to have the physical one; wraps at 32 bits.
    offset: usize,
}

impl Tables {
    /// Tables that map nothing. `offset` is what turns an address of the heap into a physical one
    /// when added, with wrapping.
    #[must_use]
    pub fn new(offset: usize) -> Self {
        let mut tables = Tables {
            tables: Vec::new(),
            offset,
        };
        tables.add();
        tables
    }

    /// The physical address of the first level, for HTTBR, VTTBR.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.tables.first().map_or(0, |table| self.physical(table))
    }

    /// Memory that the tables take, bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.tables.len() * size_of::<Table>()
    }

    /// Maps `size` bytes from input address `input` to `output`, in blocks as large as alignment
    /// allows. Nothing in the range may be mapped yet. The caller sees to it that the processor
    /// sees the new descriptors (DSB) before it uses them.
    ///
    /// # Errors
    ///
    /// The range is impossible, or partly mapped: then the part before it has been mapped.
    pub fn map(
        &mut self,
        input: u64,
        output: u64,
        size: u64,
        attributes: Attributes,
    ) -> Result<(), MapError> {
        let aligned = (input | output | size).is_multiple_of(PAGE);
        let end = input.checked_add(size).ok_or(MapError::Range)?;
        let output_end = output.checked_add(size).ok_or(MapError::Range)?;
        if !aligned || end > 1 << 32 || output_end > 1 << 40 {
            return Err(MapError::Range);
        }
        let mut at = input;
        while at < end {
            let to = output + (at - input);
            let fits = |block: u64| (at | to).is_multiple_of(block) && end - at >= block;
            let level = match () {
                () if fits(BLOCK_1) => 1,
                () if fits(BLOCK_2) => 2,
                () => 3,
            };
            self.set(at, level, to & OUTPUT | attributes.0)?;
            at += level_size(level);
        }
        Ok(())
    }

    /// Where an input address is mapped to.
    #[must_use]
    pub fn translate(&self, input: u64) -> Option<u64> {
        if input >> 32 != 0 {
            return None;
        }
        let mut table = 0;
        for level in 1..=3 {
            let descriptor = self.tables.get(table)?.0[index(input, level)];
            if descriptor & VALID == 0 {
                return None;
            }
            if level == 3 || descriptor & TABLE_OR_PAGE == 0 {
                let within = level_size(level) - 1;
                return Some(descriptor & OUTPUT & !within | input & within);
            }
            table = self.find(descriptor & OUTPUT)?;
        }
        None
    }

    /// Writes the descriptor for `input` at a level, with the tables above it.
    fn set(&mut self, input: u64, level: u32, descriptor: u64) -> Result<(), MapError> {
        let mut table = 0;
        for above in 1..level {
            let entry = index(input, above);
            let held = self.tables[table].0[entry];
            table = if held & VALID == 0 {
                let (new, physical) = self.add();
                self.tables[table].0[entry] = physical | TABLE_OR_PAGE | VALID;
                new
            } else if held & TABLE_OR_PAGE != 0 {
                self.find(held & OUTPUT).ok_or(MapError::Overlap)?
            } else {
                return Err(MapError::Overlap);
            };
        }
        let entry = &mut self.tables[table].0[index(input, level)];
        if *entry & VALID != 0 {
            return Err(MapError::Overlap);
        }
        let kind = if level == 3 { TABLE_OR_PAGE } else { 0 };
        *entry = descriptor | kind | VALID;
        Ok(())
    }

    fn add(&mut self) -> (usize, u64) {
        let table = Box::new(Table([0; 512]));
        let physical = self.physical(&table);
        self.tables.push(table);
        (self.tables.len() - 1, physical)
    }

    fn physical(&self, table: &Table) -> u64 {
        let address = (&raw const *table).addr();
        address.wrapping_add(self.offset) as u64 & OUTPUT
    }

    fn find(&self, physical: u64) -> Option<usize> {
        self.tables
            .iter()
            .position(|table| self.physical(table) == physical)
    }
}

const fn level_size(level: u32) -> u64 {
    match level {
        1 => BLOCK_1,
        2 => BLOCK_2,
        _ => PAGE,
    }
}

/// The entry for an input address: four in level 1, 512 in the others.
fn index(input: u64, level: u32) -> usize {
    let index = input / level_size(level) % 512;
    (if level == 1 { index % 4 } else { index }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_large_as_alignment_allows() {
        let mut tables = Tables::new(0);
        let memory = Attributes::S2_MEMORY;
        // A whole first-level block needs no table below.
        tables
            .map(0x4000_0000, 0x8000_0000, BLOCK_1, memory)
            .unwrap();
        assert_eq!(tables.size(), 0x1000);
        // 2 MiB blocks need one table, pages around them another two.
        tables
            .map(0x8000_0000, 0x1_0020_0000, 2 * BLOCK_2, memory)
            .unwrap();
        assert_eq!(tables.size(), 0x2000);
        tables
            .map(
                0x8060_0000 - PAGE,
                0x60_0000 - PAGE,
                BLOCK_2 + 2 * PAGE,
                memory,
            )
            .unwrap();
        assert_eq!(tables.size(), 0x4000);
        for (input, output) in [
            (0x4000_0000, Some(0x8000_0000)),
            (0x7fff_ffff, Some(0xbfff_ffff)),
            (0x8000_0123, Some(0x1_0020_0123)),
            (0x803f_ffff, Some(0x1_005f_ffff)),
            (0x8040_0000, None),
            (0x805f_f000, Some(0x5f_f000)),
            (0x8060_0004, Some(0x60_0004)),
            (0x8080_0fff, Some(0x80_0fff)),
            (0x8080_1000, None),
            (0x3fff_ffff, None),
            (0x1_4000_0000, None),
        ] {
            assert_eq!(tables.translate(input), output, "{input:#x}");
        }
    }

    #[test]
    fn nothing_is_mapped_twice() {
        let mut tables = Tables::new(0);
        let memory = Attributes::S2_MEMORY;
        tables.map(BLOCK_2, 0, BLOCK_2, memory).unwrap();
        for (input, size) in [(BLOCK_2, PAGE), (BLOCK_2, BLOCK_2), (0, 2 * BLOCK_2)] {
            let again = tables.map(input, 0x1000_0000, size, memory);
            assert_eq!(again, Err(MapError::Overlap), "{input:#x} {size:#x}");
        }
        assert_eq!(tables.translate(BLOCK_2), Some(0));
    }

    #[test]
    fn impossible_ranges_are_refused() {
        let mut tables = Tables::new(0);
        for (input, output, size) in [
            (1, 0, PAGE),
            (0, 0x800, PAGE),
            (0, 0, PAGE - 1),
            (0xffff_f000, 0, 2 * PAGE),
            (u64::MAX - PAGE + 1, 0, PAGE),
            (0, (1 << 40) - PAGE, 2 * PAGE),
        ] {
            let result = tables.map(input, output, size, Attributes::S2_MEMORY);
            assert_eq!(result, Err(MapError::Range), "{input:#x} {output:#x}");
        }
    }
}
