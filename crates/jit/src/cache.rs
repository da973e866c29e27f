//! Translated blocks: where they are, and which to drop when code is written.

use crate::asm::Asm;
use crate::copies::Copies;
use crate::memory::CodeMemory;
use crate::moves::zone;
use skep_arm::insn::Decoded;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A hasher for keys that are numbers: one multiplication.
#[derive(Clone, Copy, Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// A map by numbers.
pub type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// What a block was translated from: where the code lies in direct memory, at which address it
/// executes, and in which state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key(u64);

impl Key {
    /// Of code at an offset of direct memory that executes at `va`, in a context with a window or one
    /// without.
    pub fn new(offset: usize, va: u32, t32: bool, window: bool) -> Self {
        let code = offset as u64 | u64::from(t32);
        Key(u64::from(window) << 63 | code << 20 | u64::from(va >> 12))
    }

    /// What it has in common with the keys of the same code at all addresses that it can be copied to.
    pub fn anywhere(self) -> Option<u64> {
        let zone = zone(self.target())?;
        Some(self.0 & !0xf_ffff | u64::from(zone))
    }

    /// The address of its first instruction, with bit 0 set for T32.
    fn target(self) -> u32 {
        (self.0 as u32) << 12 | (self.0 >> 20) as u32 & 0xfff
    }
}

/// A translated block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Address of its first byte.
    pub begin: u64,
    /// Address of the entry that checks that the page is still mapped where the block is.
    pub checked: u64,
    /// Address of the entry for jumps from the same page.
    pub direct: u64,
}

/// Code at which the host may raise an exception.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Offset in code memory (in a block's code, until it is added) of its first instruction, which a
    /// jump may replace.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// Where the code is that does it otherwise: looks the page up in the tables, or has the
    /// interpreter execute the instruction.
    pub otherwise: u32,
    /// What it is.
    pub kind: SiteKind,
    /// How often it had to be done otherwise.
    pub misses: u8,
}

impl Site {
    /// Has a jump to the other code been written over it, or was it for a time?
    pub fn is_replaced(&self) -> bool {
        self.misses >= self.kind.most()
    }
}

/// What a [`Site`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SiteKind {
    /// A load from the window.
    Load,
    /// A store to the window.
    Store,
    /// Floating point.
    Float,
}

impl SiteKind {
    /// How often it is done otherwise before it is so at once.
    fn most(self) -> u8 {
        match self {
            SiteKind::Load | SiteKind::Store => MISSES,
            SiteKind::Float => EXCEPTIONS,
        }
    }
}

/// An instruction that generated code can hand to the interpreter.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// The instruction.
    pub decoded: Decoded,
    /// Its address.
    pub pc: u32,
    /// ITSTATE before it.
    pub it: u8,
    /// It executes in T32 state.
    pub t32: bool,
    /// The page of direct memory that it lies in.
    pub page: u32,
    /// Instructions of its block that come after it: they were counted at the block's start.
    pub after: u8,
    /// Instructions of its block that come before it, 1 at most.
    pub before: u8,
}

#[derive(Default)]
struct PageInfo {
    generation: u32,
    blocks: Vec<(Key, Block)>,
}

/// All translated blocks of a vCPU.
pub struct Cache {
    /// The code.
    pub memory: CodeMemory,
    /// Where the fixed pieces end.
    fixed: usize,
    used: usize,
    blocks: NumberMap<u64, Block>,
    pages: NumberMap<u32, PageInfo>,
    /// The second page of blocks that end in another page than they begin in.
    second_pages: NumberMap<u64, u32>,
    /// Blocks whose code was written, by key: a new translation takes over the jumps to them.
    dead: NumberMap<u64, Block>,
    /// Addresses of blocks that were dropped because their code was written (bit 0 = T32), for who
    /// remembers where their code is.
    pub dropped: Vec<u32>,
    /// Instructions for the interpreter, by number.
    pub ops: Vec<Op>,
    /// Where the host may raise exceptions, in the order of the code.
    pub(crate) sites: Vec<Site>,
    /// Blocks that can be copied.
    pub copies: Copies,
    /// Floating-point sites that a jump replaces for now, and what it was written over.
    avoided: Vec<(usize, [u8; JUMP])>,
    /// Blocks added so far.
    pub added: u64,
    /// Blocks dropped because their code was written.
    pub invalidated: u64,
    /// Times that everything was dropped because memory was full.
    pub flushes: u64,
}

/// Room that a block is sure to fit into.
const BLOCK_ROOM: usize = 64 << 10;
/// More instructions for the interpreter than this are not kept.
const MAX_OPS: usize = 1 << 19;
/// An access is no longer made through the window when it missed so often.
const MISSES: u8 = 8;
/// Nor floating point by the host when it raised so many exceptions since it was last given a chance.
const EXCEPTIONS: u8 = 64;
/// Bytes of a jump.
const JUMP: usize = 5;

impl Cache {
    /// An empty cache of `len` bytes; `anonymous`: see [`CodeMemory::new`].
    ///
    /// # Errors
    /// The host's.
    pub fn new(len: usize, anonymous: bool) -> std::io::Result<Self> {
        Ok(Cache {
            memory: CodeMemory::new(len, anonymous)?,
            fixed: 0,
            used: 0,
            blocks: NumberMap::default(),
            pages: NumberMap::default(),
            second_pages: NumberMap::default(),
            dead: NumberMap::default(),
            dropped: Vec::new(),
            ops: Vec::new(),
            sites: Vec::new(),
            copies: Copies::default(),
            avoided: Vec::new(),
            added: 0,
            invalidated: 0,
            flushes: 0,
        })
    }

    /// Bytes of code.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes of code that [`Cache::add_fixed`] added.
    pub fn fixed(&self) -> usize {
        self.fixed
    }

    /// Address of the next block.
    pub fn next(&self) -> u64 {
        self.memory.origin() + self.used as u64
    }

    /// Adds code that must stay.
    pub fn add_fixed(&mut self, asm: &Asm) {
        self.memory.write(self.used, &asm.code);
        self.used = (self.used + asm.code.len()).next_multiple_of(64);
        self.fixed = self.used;
    }

    /// Another block may not fit: [`Cache::clear`] first.
    pub fn is_full(&self) -> bool {
        self.used + BLOCK_ROOM > self.memory.len() || self.ops.len() > MAX_OPS
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.used = self.fixed;
        self.blocks.clear();
        self.pages.clear();
        self.second_pages.clear();
        self.dead.clear();
        self.dropped.clear();
        self.ops.clear();
        self.sites.clear();
        self.copies.clear();
        self.avoided.clear();
        self.flushes += 1;
    }

    /// The block for a key, which ends in another page of direct memory if there is `next_page`.
    pub fn find(&self, key: Key, next_page: Option<u32>) -> Option<Block> {
        if let Some(next_page) = next_page
            && self.second_pages.get(&key.0) != Some(&next_page)
        {
            return None;
        }
        self.blocks.get(&key.0).copied()
    }

    /// Notes that the block added last ends in this page.
    pub fn add_second_page(&mut self, key: Key, block: Block, page: u32) {
        self.second_pages.insert(key.0, page);
        let info = self.pages.entry(page).or_default();
        info.blocks.push((key, block));
    }

    /// Whether a page of direct memory has been noted as holding code, in this generation.
    pub fn knows_page(&self, page: u32, generation: u32) -> bool {
        self.pages
            .get(&page)
            .is_some_and(|info| info.generation == generation)
    }

    /// Notes that a page of direct memory holds code.
    pub fn note_page(&mut self, page: u32, generation: u32) {
        self.invalidate_page(page);
        let info = self.pages.entry(page).or_default();
        info.generation = generation;
    }

    /// Adds a block. `checked` and `direct` are offsets in its code.
    pub fn add(
        &mut self,
        key: Key,
        page: u32,
        asm: &Asm,
        (checked, direct): (usize, usize),
        sites: impl Iterator<Item = Site>,
    ) -> Block {
        let origin = self.next();
        let used = self.used as u32;
        self.sites.extend(sites.map(|site| Site {
            start: used + site.start,
            end: used + site.end,
            otherwise: used + site.otherwise,
            ..site
        }));
        let block = Block {
            begin: origin,
            checked: origin + checked as u64,
            direct: origin + direct as u64,
        };
        self.memory.write(self.used, &asm.code);
        self.used = (self.used + asm.code.len()).next_multiple_of(16);
        self.added += 1;
        self.blocks.insert(key.0, block);
        self.pages
            .entry(page)
            .or_default()
            .blocks
            .push((key, block));
        if let Some(dead) = self.dead.remove(&key.0) {
            self.redirect(dead.checked, block.checked);
            self.redirect(dead.direct, block.direct);
        }
        block
    }

    /// The site that an address is in, and its number.
    pub fn site(&self, at: u64) -> Option<(usize, Site)> {
        let at = u32::try_from(at.checked_sub(self.memory.origin())?).ok()?;
        let number = self.sites.partition_point(|site| site.start <= at);
        let number = number.checked_sub(1)?;
        let site = *self.sites.get(number)?;
        (at < site.end).then_some((number, site))
    }

    /// Notes that a site had to be done otherwise; after some times, it is at once.
    pub fn missed(&mut self, number: usize) {
        let Some(site) = self.sites.get_mut(number) else {
            return;
        };
        site.misses = site.misses.saturating_add(1);
        let site = *site;
        if site.misses == site.kind.most() {
            let (start, origin) = (site.start as usize, self.memory.origin());
            if site.kind == SiteKind::Float {
                let mut code = [0; JUMP];
                self.memory.read(start, &mut code);
                self.avoided.push((number, code));
            }
            let otherwise = origin + u64::from(site.otherwise);
            self.redirect(origin + u64::from(site.start), otherwise);
        }
    }

    /// Gives floating point that raised many exceptions another chance: a program may have left the
    /// numbers behind that did.
    pub fn try_again(&mut self) {
        for (number, code) in std::mem::take(&mut self.avoided) {
            if let Some(site) = self.sites.get_mut(number) {
                site.misses = 0;
                self.memory.write(site.start as usize, &code);
            }
        }
    }

    /// Writes a jump over the code at `from`.
    pub fn redirect(&mut self, from: u64, to: u64) {
        let mut jump = Asm::new(from);
        jump.jmp_to(to);
        self.memory
            .write((from - self.memory.origin()) as usize, &jump.code);
    }

    /// Lets the 32-bit displacement at an offset of code memory lead to `to`.
    pub fn link(&mut self, offset: u32, to: u64) {
        let next = self.memory.origin() + u64::from(offset) + 4;
        let rel = to.wrapping_sub(next) as u32;
        self.memory.write(offset as usize, &rel.to_le_bytes());
    }

    /// Drops the blocks of all pages that were written: whose generation is another now.
    pub fn invalidate_written(&mut self, generation: impl Fn(u32) -> u32) {
        let written: Vec<u32> = self
            .pages
            .iter()
            .filter(|(page, info)| generation(**page) != info.generation)
            .map(|(page, _)| *page)
            .collect();
        for page in written {
            self.invalidate_page(page);
            self.pages.remove(&page);
        }
    }

    fn invalidate_page(&mut self, page: u32) {
        let Some(info) = self.pages.get_mut(&page) else {
            return;
        };
        for (key, block) in std::mem::take(&mut info.blocks) {
            self.invalidated += 1;
            self.dropped.push(key.target());
            self.blocks.remove(&key.0);
            self.copies.forget(key);
            // The block's own exit for the case that its page is not mapped is right behind a jump's
            // length before the checked entry.
            self.redirect(block.checked, block.checked - EXIT_BEFORE);
            self.redirect(block.direct, block.checked - EXIT_BEFORE);
            self.dead.insert(key.0, block);
        }
    }
}

/// How far before its checked entry a block has code that leaves for the block's own address.
pub const EXIT_BEFORE: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache with one block of NOPs with a site in it, whose code goes on at offset 32.
    fn with_site(kind: SiteKind) -> Cache {
        let mut cache = Cache::new(1 << 20, false).expect("the host has memory");
        let mut asm = Asm::new(0);
        asm.code.resize(64, 0x90);
        let site = Site {
            start: 8,
            end: 24,
            otherwise: 32,
            kind,
            misses: 0,
        };
        let key = Key::new(0, 0, false, false);
        cache.add(key, 0, &asm, (0, 0), std::iter::once(site));
        cache
    }

    fn code(cache: &Cache) -> [u8; JUMP] {
        let mut code = [0; JUMP];
        cache.memory.read(8, &mut code);
        code
    }

    #[test]
    fn floating_point_that_raises_many_exceptions_has_another_chance() {
        let mut cache = with_site(SiteKind::Float);
        let (number, _) = cache.site(cache.memory.origin() + 23).expect("it is there");
        assert!(cache.site(cache.memory.origin() + 24).is_none());
        for _ in 1..EXCEPTIONS {
            cache.missed(number);
        }
        assert_eq!(code(&cache), [0x90; JUMP]);
        for _ in 0..2 {
            cache.missed(number);
            // JMP to the other code, 19 bytes behind it.
            assert_eq!(code(&cache), [0xe9, 19, 0, 0, 0]);
        }
        cache.try_again();
        assert_eq!(code(&cache), [0x90; JUMP]);
        assert_eq!(
            cache
                .site(cache.memory.origin() + 8)
                .map(|(_, site)| site.misses),
            Some(0)
        );
    }

    #[test]
    fn an_access_that_misses_its_window_does_not() {
        let mut cache = with_site(SiteKind::Load);
        for _ in 0..MISSES {
            cache.missed(0);
        }
        cache.try_again();
        assert_eq!(code(&cache), [0xe9, 19, 0, 0, 0]);
    }
}
