//! Blocks of programs, kept so that they can be copied for another address: see [`crate::moves`].

use crate::asm::Asm;
use crate::cache::{Cache, Key, NumberMap, Op, Site};
use crate::moves::{Fix, Move};
use std::ops::Range;

/// Some of the things that a cache has in their order.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    begin: u32,
    len: u16,
}

impl Stretch {
    /// None if there are more than a block has.
    fn new(range: Range<usize>) -> Option<Self> {
        Some(Stretch {
            begin: u32::try_from(range.start).ok()?,
            len: u16::try_from(range.len()).ok()?,
        })
    }

    fn range(self) -> Range<usize> {
        let begin = self.begin as usize;
        begin..begin + usize::from(self.len)
    }
}

/// A block that can be copied.
#[derive(Clone, Copy, Debug)]
pub struct Original {
    /// The guest-virtual address of its first instruction.
    va: u32,
    /// Bytes of guest code.
    pub guest_len: u16,
    /// The offsets of its entries in its code.
    entries: [u16; 2],
    code: Stretch,
    ops: Stretch,
    sites: Stretch,
    fixes: Stretch,
}

impl Original {
    /// The offsets of its entries in its code.
    pub fn entries(&self) -> (usize, usize) {
        let [checked, direct] = self.entries.map(usize::from);
        (checked, direct)
    }
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
    /// A block of the same guest code.
    pub fn find(&self, key: Key) -> Option<Original> {
        self.originals.get(&key.anywhere()?).copied()
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

    /// Keeps the block that was added last, to be copied, unless its address is one that none is copied
    /// from. The cache ended at `begin` before it.
    pub fn keep(
        &mut self,
        key: Key,
        va: u32,
        guest_len: u16,
        entries: (usize, usize),
        begin: End,
        asm: &Asm,
    ) {
        let fixes = self.copies.fixes.len();
        let original = || {
            Some(Original {
                va,
                guest_len,
                entries: [entries.0.try_into().ok()?, entries.1.try_into().ok()?],
                code: Stretch::new(begin.code..begin.code + asm.code.len())?,
                ops: Stretch::new(begin.ops..self.ops.len())?,
                sites: Stretch::new(begin.sites..self.sites.len())?,
                fixes: Stretch::new(fixes..fixes + asm.fixes.len())?,
            })
        };
        if let (Some(key), Some(original)) = (key.anywhere(), original()) {
            self.copies.originals.insert(key, original);
            self.copies.fixes.extend(&asm.fixes);
        }
    }

    /// Copies the code of a block for another address, to `code`, and what belongs to it. None if it is
    /// not as it was translated.
    pub fn copy(&mut self, original: &Original, va: u32, code: &mut Vec<u8>) -> Option<Vec<Site>> {
        let (code_at, ops_at) = (original.code.range(), original.ops.range());
        let start = original.code.begin;
        let sites = self.sites.get(original.sites.range())?;
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
        code.resize(code_at.len(), 0);
        self.memory.read(code_at.start, code);
        let pages = (va >> 12).wrapping_sub(original.va >> 12);
        let ops = self.ops.len();
        for number in ops_at.clone() {
            let op = *self.ops.get(number)?;
            let pc = op.pc.wrapping_add(pages << 12);
            self.ops.push(Op { pc, ..op });
        }
        let by = Move {
            pages,
            host: (self.used() - code_at.start) as u32,
            ops: (ops - ops_at.start) as u32,
        };
        by.apply(code, self.copies.fixes.get(original.fixes.range())?);
        Some(sites)
    }
}
