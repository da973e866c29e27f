//! Blocks of programs, kept so that they can be copied for another address: see [`crate::moves`].

use crate::asm::Asm;
use crate::cache::{Cache, Key, NumberMap, Op, Site};
use crate::moves::{Fix, Move};
use std::ops::Range;

/// A block that can be copied.
#[derive(Clone, Debug)]
pub struct Original {
    /// The guest-virtual address of its first instruction.
    pub va: u32,
    /// Bytes of guest code.
    pub guest_len: u32,
    /// Where its code is in code memory.
    pub code: Range<usize>,
    /// The offsets of its entries there.
    pub entries: (usize, usize),
    /// The numbers of its instructions for the interpreter.
    pub ops: Range<usize>,
    /// The numbers of its sites.
    pub sites: Range<usize>,
    /// Which of the fixes are its own.
    fixes: Range<usize>,
}

/// The blocks that can be copied.
#[derive(Default)]
pub struct Copies {
    /// By what the keys of a block and of its copies have in common.
    originals: NumberMap<u64, Original>,
    /// The fixes of all of them.
    fixes: Vec<Fix>,
}

impl Copies {
    /// Keeps the fixes of a block.
    fn add_fixes(&mut self, fixes: &[Fix]) -> Range<usize> {
        let begin = self.fixes.len();
        self.fixes.extend(fixes);
        begin..self.fixes.len()
    }

    /// Keeps a block, unless its address is one that none is copied from.
    fn keep(&mut self, key: Key, original: Original) {
        if let Some(key) = key.anywhere() {
            self.originals.insert(key, original);
        }
    }

    /// A block of the same guest code.
    pub fn find(&self, key: Key) -> Option<&Original> {
        self.originals.get(&key.anywhere()?)
    }

    /// Forgets the blocks of the guest code of this one.
    pub fn forget(&mut self, key: Key) {
        if let Some(key) = key.anywhere() {
            self.originals.remove(&key);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.originals.clear();
        self.fixes.clear();
    }
}

/// How much there is in a cache: where the next block begins.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Bytes of code.
    pub code: usize,
    /// Instructions for the interpreter.
    pub ops: usize,
    /// Sites.
    pub sites: usize,
}

impl Cache {
    /// How much there is.
    pub fn end(&self) -> End {
        End {
            code: self.used(),
            ops: self.ops.len(),
            sites: self.sites.len(),
        }
    }

    /// Keeps the block that was added last, to be copied; the cache ended at `begin` before it.
    pub fn keep(
        &mut self,
        key: Key,
        va: u32,
        guest_len: u32,
        entries: (usize, usize),
        begin: End,
        asm: &Asm,
    ) {
        let original = Original {
            va,
            guest_len,
            code: begin.code..begin.code + asm.code.len(),
            entries,
            ops: begin.ops..self.ops.len(),
            sites: begin.sites..self.sites.len(),
            fixes: self.copies.add_fixes(&asm.fixes),
        };
        self.copies.keep(key, original);
    }

    /// Copies the code of a block for another address, to `code`, and what belongs to it. None if it is
    /// not as it was translated.
    pub fn copy(&mut self, original: &Original, va: u32, code: &mut Vec<u8>) -> Option<Vec<Site>> {
        let start = original.code.start as u32;
        let sites = self.sites.get(original.sites.clone())?;
        if sites.iter().any(Site::is_replaced) {
            return None;
        }
        let sites = sites
            .iter()
            .map(|site| Site {
                start: site.start - start,
                end: site.end - start,
                otherwise: site.otherwise - start,
                misses: 0,
                ..*site
            })
            .collect();
        code.resize(original.code.len(), 0);
        self.memory.read(original.code.start, code);
        let pages = (va >> 12).wrapping_sub(original.va >> 12);
        let ops = self.ops.len();
        for number in original.ops.clone() {
            let op = *self.ops.get(number)?;
            let pc = op.pc.wrapping_add(pages << 12);
            self.ops.push(Op { pc, ..op });
        }
        let by = Move {
            pages,
            host: (self.used() - original.code.start) as u32,
            ops: (ops - original.ops.start) as u32,
        };
        by.apply(code, self.copies.fixes.get(original.fixes.clone())?);
        Some(sites)
    }
}
