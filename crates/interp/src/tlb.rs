//! Remembered translations.
//!
//! A translation is valid for a *context*: the ASID, the domain access control and the privilege it
//! was made with. Contexts get small numbers, and an entry's tag holds the number, so that a change
//! of context (a process switch, the kernel opening user memory through DACR, an exception) costs
//! one look-up in a short list and forgets nothing.

use alloc::boxed::Box;
use alloc::vec;
use skep_arm::cp15::TlbOp;

const ENTRIES: usize = 4096;
/// Contexts remembered at once; when another is needed, everything is forgotten.
const CONTEXTS: usize = 64;
const PAGE_MASK: u32 = 0xffff_f000;
/// A tag that no access has.
const INVALID: u64 = u64::MAX;

/// What a translation depends on besides the virtual address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ContextKey {
    pub asid: u8,
    pub dacr: u32,
    pub privileged: bool,
}

/// The number of a context, in the upper half of tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Context(u64);

impl Context {
    /// No entry has it: every access takes the slow path.
    pub const NONE: Context = Context(0xffff_ffff << 32);

    /// The tag that an access of `size` bytes needs: an unaligned one matches no entry.
    #[inline(always)]
    fn tag(self, va: u32, size: u32) -> u64 {
        self.0 | u64::from(va & (PAGE_MASK | (size - 1)))
    }

    #[inline(always)]
    fn index(self, va: u32) -> usize {
        ((va >> 12) as usize ^ (self.0 >> 28) as usize) % ENTRIES
    }
}

#[derive(Clone, Copy)]
struct Entry {
    read: u64,
    write: u64,
    execute: u64,
    /// Offset in direct memory minus virtual address.
    addend: u32,
    addend_high: u16,
    /// Unaligned accesses are allowed.
    unaligned: bool,
}

const EMPTY: Entry = Entry {
    read: INVALID,
    write: INVALID,
    execute: INVALID,
    addend: 0,
    addend_high: 0,
    unaligned: false,
};

impl Entry {
    #[inline(always)]
    fn offset(&self, va: u32) -> usize {
        let addend = u64::from(self.addend) | u64::from(self.addend_high) << 32;
        (addend.wrapping_add(u64::from(va)) & 0xffff_ffff_ffff) as usize
    }
}

/// What may be remembered of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// Offset in direct memory of the page's first byte.
    pub offset: usize,
    pub read: bool,
    pub write: bool,
    pub execute: bool,
    /// Unaligned accesses are allowed (normal memory).
    pub unaligned: bool,
    /// The size of the mapping that the page belongs to, as a power of two.
    pub mapping_shift: u8,
}

pub(crate) struct Tlb {
    /// The context of instruction fetches and of data accesses with the mode's privilege.
    pub fetch: Context,
    /// The context of data accesses on the fast path: `fetch`, or none for big-endian data.
    pub data: Context,
    /// What `fetch` stands for, once the vCPU has entered a context.
    current: Option<(ContextKey, bool)>,
    entries: Box<[Entry]>,
    contexts: [Option<ContextKey>; CONTEXTS],
    used: usize,
    /// Numbers handed out before the last flush: numbers are not used again until they wrap.
    base: u32,
    /// The first and the last address of the mappings larger than a page that entries belong to:
    /// an operation on any address of a mapping is on the whole of it (manual B3.10.1).
    large: Option<(u32, u32)>,
    /// Counts changes that may have removed an execute permission.
    pub epoch: u32,
}

impl Tlb {
    pub fn new() -> Self {
        Tlb {
            fetch: Context::NONE,
            data: Context::NONE,
            current: None,
            entries: vec![EMPTY; ENTRIES].into_boxed_slice(),
            contexts: [None; CONTEXTS],
            used: 0,
            base: 0,
            large: None,
            epoch: 0,
        }
    }

    /// Makes a context the one of instruction fetches and, unless they are big-endian, of data
    /// accesses.
    pub fn enter(&mut self, key: ContextKey, big_endian: bool) {
        self.fetch = self.context(key);
        self.data = if big_endian {
            Context::NONE
        } else {
            self.fetch
        };
        self.current = Some((key, big_endian));
    }

    /// The number of a context, a new one if it is not known.
    pub fn context(&mut self, key: ContextKey) -> Context {
        let known = self.contexts[..self.used]
            .iter()
            .position(|known| *known == Some(key));
        let slot = match known {
            Some(slot) => slot,
            None => {
                if self.used == CONTEXTS {
                    self.flush();
                }
                self.contexts[self.used] = Some(key);
                self.used += 1;
                self.used - 1
            }
        };
        Context(u64::from(self.base + slot as u32) << 32)
    }

    /// Offset in direct memory of `va` if a load of `size` bytes, aligned, is allowed.
    #[inline(always)]
    pub fn read(&self, context: Context, va: u32, size: u32) -> Option<usize> {
        let entry = &self.entries[context.index(va)];
        (entry.read == context.tag(va, size)).then(|| entry.offset(va))
    }

    /// As [`Tlb::read`], for a store.
    #[inline(always)]
    pub fn write(&self, context: Context, va: u32, size: u32) -> Option<usize> {
        let entry = &self.entries[context.index(va)];
        (entry.write == context.tag(va, size)).then(|| entry.offset(va))
    }

    /// As [`Tlb::read`], for an instruction fetch.
    #[inline(always)]
    pub fn execute(&self, context: Context, va: u32) -> Option<usize> {
        let entry = &self.entries[context.index(va)];
        (entry.execute == context.tag(va, 1)).then(|| entry.offset(va))
    }

    /// Whether a page that one of the above found allows unaligned accesses.
    pub fn allows_unaligned(&self, context: Context, va: u32) -> bool {
        self.entries[context.index(va)].unaligned
    }

    /// Remembers a page.
    pub fn insert(&mut self, context: Context, va: u32, page: Page) {
        if context == Context::NONE {
            return;
        }
        let tag = context.tag(va & PAGE_MASK, 1);
        let allowed = |yes: bool| if yes { tag } else { INVALID };
        let addend = (page.offset as u64).wrapping_sub(u64::from(va & PAGE_MASK));
        self.entries[context.index(va)] = Entry {
            read: allowed(page.read),
            write: allowed(page.write),
            execute: allowed(page.execute),
            addend: addend as u32,
            addend_high: (addend >> 32) as u16,
            unaligned: page.unaligned,
        };
        if page.mapping_shift > 12 {
            let offset = 1u32
                .checked_shl(page.mapping_shift.into())
                .unwrap_or(0)
                .wrapping_sub(1);
            let (low, high) = self.large.unwrap_or((va, va));
            self.large = Some((low.min(va & !offset), high.max(va | offset)));
        }
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.large = None;
        self.base += self.used as u32;
        self.used = 0;
        self.contexts = [None; CONTEXTS];
        // Numbers must not come round to those of entries still there.
        if self.base >= 0x1000_0000 {
            self.base = 0;
            self.entries.fill(EMPTY);
        }
        self.enter_again();
    }

    /// Gives the current context a number after its own was forgotten.
    fn enter_again(&mut self) {
        if let Some((key, big_endian)) = self.current {
            self.enter(key, big_endian);
        }
    }

    /// Forgets what a TLB operation names, in contexts of every privilege and domain setting.
    pub fn maintain(&mut self, op: TlbOp) {
        self.epoch = self.epoch.wrapping_add(1);
        match op {
            TlbOp::All => self.flush(),
            TlbOp::Asid(asid) => {
                for slot in 0..self.used {
                    if self.contexts[slot].is_some_and(|key| key.asid == asid) {
                        // The number stays taken, and is never looked up again.
                        self.contexts[slot] = None;
                    }
                }
                self.enter_again();
            }
            // Global entries match any ASID, and an entry does not tell that it was global.
            TlbOp::Va { va, .. } | TlbOp::VaAllAsids(va) => {
                if self
                    .large
                    .is_some_and(|(low, high)| low <= va && va <= high)
                {
                    self.flush();
                    return;
                }
                for slot in 0..self.used {
                    let context = Context(u64::from(self.base + slot as u32) << 32);
                    let entry = &mut self.entries[context.index(va)];
                    if entry.read >> 32 == context.0 >> 32
                        || entry.write >> 32 == context.0 >> 32
                        || entry.execute >> 32 == context.0 >> 32
                    {
                        *entry = EMPTY;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(mapping_shift: u8) -> Page {
        Page {
            offset: 0x5000,
            read: true,
            write: true,
            execute: true,
            unaligned: true,
            mapping_shift,
        }
    }

    #[test]
    fn maintenance_by_any_address_of_a_large_mapping_drops_all_of_it() {
        for (shift, elsewhere) in [(16, 0xf000), (20, 0), (21, 0x1f_f000), (30, 0x3fff_f000)] {
            let mut tlb = Tlb::new();
            let key = ContextKey {
                asid: 1,
                dacr: 1,
                privileged: true,
            };
            let context = tlb.context(key);
            let va = 0x4000_3000;
            tlb.insert(context, va, page(shift));
            assert_eq!(tlb.read(context, va + 4, 4), Some(0x5004));
            tlb.maintain(TlbOp::VaAllAsids(0x4000_0000 + elsewhere));
            let context = tlb.context(key);
            assert_eq!(tlb.read(context, va + 4, 4), None, "2^{shift} bytes");
        }
    }

    #[test]
    fn maintenance_of_another_page_keeps_a_page() {
        let mut tlb = Tlb::new();
        let key = ContextKey {
            asid: 1,
            dacr: 1,
            privileged: true,
        };
        let context = tlb.context(key);
        tlb.insert(context, 0x4000_3000, page(12));
        tlb.maintain(TlbOp::VaAllAsids(0x4000_4000));
        let context = tlb.context(key);
        assert_eq!(tlb.read(context, 0x4000_3004, 4), Some(0x5004));
    }
}
