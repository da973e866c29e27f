//! Which RAM is free, and who gets it.

use alloc::vec::Vec;

use crate::platform::Range;

/// Free physical memory.
#[derive(Clone, Debug, Default)]
pub struct Ram {
    free: Vec<Range>,
}

impl Ram {
    /// All of `memory` below `limit`.
    #[must_use]
    pub fn new(memory: &[Range], limit: u64) -> Self {
        let mut ram = Ram::default();
        for range in memory {
            let end = range.end().min(limit);
            if range.base < end {
                ram.free.push(Range {
                    base: range.base,
                    size: end - range.base,
                });
            }
        }
        ram
    }

    /// Takes a range out, whatever of it is free.
    pub fn reserve(&mut self, taken: Range) {
        let mut left = Vec::new();
        for free in self.free.drain(..) {
            let parts = [
                (free.base, free.end().min(taken.base)),
                (free.base.max(taken.end()), free.end()),
            ];
            if taken.size == 0 || !free.overlaps(taken) {
                left.push(free);
                continue;
            }
            for (base, end) in parts {
                if base < end {
                    left.push(Range {
                        base,
                        size: end - base,
                    });
                }
            }
        }
        self.free = left;
    }

    /// Takes `size` bytes at a multiple of `align`, a power of two; the lowest there are.
    pub fn allocate(&mut self, size: u64, align: u64) -> Option<Range> {
        let found = self
            .free
            .iter()
            .filter_map(|free| {
                let base = free.base.checked_next_multiple_of(align)?;
                let end = base.checked_add(size)?;
                (end <= free.end()).then_some(Range { base, size })
            })
            .min_by_key(|range| range.base)?;
        self.reserve(found);
        Some(found)
    }

    /// Gives back what was allocated.
    pub fn release(&mut self, range: Range) {
        self.free.push(range);
    }

    /// Bytes that are free.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.free.iter().map(|free| free.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: u64, size: u64) -> Range {
        Range { base, size }
    }

    #[test]
    fn what_is_reserved_is_not_given_out() {
        let mut ram = Ram::new(&[at(0x4000_0000, 0x1000_0000)], 0xf000_0000);
        ram.reserve(at(0x4001_0000, 0xf_0000));
        ram.reserve(at(0x4800_0000, 0x1000));
        assert_eq!(ram.available(), 0x1000_0000 - 0xf_0000 - 0x1000);
        let first = ram.allocate(0x400_0000, 2 << 20).unwrap();
        assert_eq!(first, at(0x4020_0000, 0x400_0000));
        // The rest below the reserved page is too small.
        let second = ram.allocate(0x400_0000, 2 << 20).unwrap();
        assert_eq!(second, at(0x4820_0000, 0x400_0000));
        assert_eq!(ram.allocate(0x400_0000, 2 << 20), None);
        assert_eq!(
            ram.allocate(0x1_0000, 0x1000),
            Some(at(0x4000_0000, 0x1_0000))
        );
        ram.release(second);
        assert_eq!(ram.allocate(0x400_0000, 2 << 20), Some(second));
    }

    #[test]
    fn memory_beyond_the_limit_does_not_count() {
        let ram = Ram::new(&[at(0xe000_0000, 0x4000_0000)], 0xf000_0000);
        assert_eq!(ram.available(), 0x1000_0000);
        let ram = Ram::new(&[at(0x1_0000_0000, 0x1000)], 0xf000_0000);
        assert_eq!(ram.available(), 0);
    }
}
