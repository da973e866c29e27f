//! Remembered translations.
//!
//! A translation is valid for a *context*: the ASID, the domain access control and the privilege it
//! was made with. Contexts get small numbers, and an entry's tag holds the number, so that a change
//! of context (a process switch, the kernel opening user memory through DACR, an exception) costs
//! one look-up in a short list and forgets nothing.
//!
//! Privileged code that touches nothing but global pages has one context for all ASIDs: a global
//! translation is every process's (manual B3.9.1), and maintenance by ASID is not about it (B4.2.3);
//! maintenance of everything or by address is. A kernel whose DACR keeps it from user memory is
//! of that kind, and finds its translations again after a process switch, in a new process, and
//! after maintenance by ASID. Such a context takes no page that is not global: when it is
//! offered one, privileged code with that DACR gets a context for each ASID.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use skep_arm::cp15::TlbOp;

const ENTRIES: usize = 4096;
/// Contexts remembered at once; when another is needed, the one not used for longest goes.
pub const CONTEXTS: usize = 64;
/// A packed key that no context has.
const NO_KEY: u64 = u64::MAX;
/// The number of a context that has to get another one.
const NO_NUMBER: u32 = 0;
/// The bit of a packed key for a context that all ASIDs share.
const SHARED: u64 = 1 << 41;
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

impl ContextKey {
    fn packed(self) -> u64 {
        u64::from(self.dacr) << 9 | u64::from(self.asid) << 1 | u64::from(self.privileged)
    }

    /// The same for a context that all ASIDs share.
    fn packed_shared(self) -> u64 {
        ContextKey { asid: 0, ..self }.packed() | SHARED
    }

    /// The bit of [`Tlb::apart`] for the domain access control.
    fn apart(self) -> u64 {
        1 << (self.dacr.wrapping_mul(0x9e37_79b9) >> 26)
    }
}

/// A context: one of [`CONTEXTS`] slots, and the number that it has in tags. A slot that is used for
/// another context, or again after its translations were forgotten, gets a new number.
///
/// One word, since contexts are passed around with each exception: the number in the upper half, the
/// slot in the lowest byte, and [`Context::SHARED`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context(u64);

impl Context {
    /// No entry has it: every access takes the slow path.
    pub const NONE: Context = Context::at(CONTEXTS as u8, u32::MAX);

    /// All ASIDs share it: it has global pages only.
    const SHARED: u64 = 1 << 8;

    /// The context with this number in a slot; for tests of what is kept by contexts.
    pub const fn at(slot: u8, number: u32) -> Self {
        Context((number as u64) << 32 | slot as u64)
    }

    /// The slot, below [`CONTEXTS`], or that for [`Context::NONE`].
    #[inline(always)]
    pub fn slot(self) -> usize {
        self.0 as u8 as usize
    }

    /// The number, never used for a slot's earlier contents.
    #[inline(always)]
    pub fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether the context can have a page: a shared one has global pages only.
    pub fn takes(self, page: &Page) -> bool {
        !(self.is_shared() && page.non_global)
    }

    /// All ASIDs share it: it has global pages only.
    pub fn is_shared(self) -> bool {
        self.0 & Self::SHARED != 0
    }

    /// The tag that an access of `size` bytes needs: an unaligned one matches no entry.
    #[inline(always)]
    fn tag(self, va: u32, size: u32) -> u64 {
        u64::from(self.number()) << 32 | u64::from(va & (PAGE_MASK | (size - 1)))
    }

    #[inline(always)]
    fn index(self, va: u32) -> usize {
        ((va >> 12) as usize ^ (self.number() as usize) << 4) % ENTRIES
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
    /// [`Page::mapping_shift`], [`UNALIGNED`] and [`NON_GLOBAL`].
    attributes: u8,
}

/// In [`Entry::attributes`]: unaligned accesses are allowed.
const UNALIGNED: u8 = 0x40;
/// The page is the ASID's only.
const NON_GLOBAL: u8 = 0x80;
/// The rest of it.
const SHIFT: u8 = 0x3f;

const EMPTY: Entry = Entry {
    read: INVALID,
    write: INVALID,
    execute: INVALID,
    addend: 0,
    addend_high: 0,
    attributes: 0,
};

impl Entry {
    #[inline(always)]
    fn offset(&self, va: u32) -> usize {
        let addend = u64::from(self.addend) | u64::from(self.addend_high) << 32;
        (addend.wrapping_add(u64::from(va)) & 0xffff_ffff_ffff) as usize
    }
}

/// What is remembered of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Offset in direct memory of the page's first byte.
    pub offset: usize,
    /// Loads are allowed.
    pub read: bool,
    /// Stores are allowed, and go to memory.
    pub write: bool,
    /// Instruction fetches are allowed.
    pub execute: bool,
    /// Unaligned accesses are allowed (normal memory).
    pub unaligned: bool,
    /// It is the current ASID's only.
    pub non_global: bool,
    /// The size of the mapping that the page belongs to, as a power of two.
    pub mapping_shift: u8,
}

/// What an engine that keeps translations of its own must forget: see [`Tlb::dropped`].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Dropped {
    /// Addresses whose pages are to be forgotten, in contexts whose slots have their bit set. The others
    /// had nothing, or get a new number before they are used.
    pub pages: Vec<(u32, u64)>,
    /// Pages of direct memory that stores no longer reach directly, because they hold code.
    pub protected: Vec<u32>,
    /// There were more than fit: everything is to be forgotten.
    pub all: bool,
}

impl Dropped {
    /// There is nothing to forget.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        !self.all && self.pages.is_empty() && self.protected.is_empty()
    }

    /// It was done.
    pub fn clear(&mut self) {
        self.pages.clear();
        self.protected.clear();
        self.all = false;
    }
}

/// The numbers of the bits that are set, from the lowest.
pub fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(bit)
    })
}

/// Entries kept in each list of [`Dropped`].
const DROPPED: usize = 32;

/// The remembered translations of a vCPU.
pub struct Tlb {
    /// The context of instruction fetches and of data accesses with the mode's privilege.
    pub fetch: Context,
    /// The context of data accesses on the fast path: `fetch`, or none for big-endian data.
    pub data: Context,
    /// What `fetch` stands for, once the vCPU has entered a context.
    current: Option<(ContextKey, bool)>,
    entries: Box<[Entry]>,
    /// Packed keys by slot.
    keys: [u64; CONTEXTS],
    numbers: [u32; CONTEXTS],
    /// Bits of the slots whose contexts may have entries.
    live: u64,
    /// When a slot was last looked up.
    used: [u32; CONTEXTS],
    lookups: u32,
    /// Slots where keys were last found, by the keys' hash.
    hints: [u8; 16],
    next_number: u32,
    /// What was last looked up, unprivileged and privileged: exceptions change between the two.
    recent: [Option<(ContextKey, Context)>; 2],
    /// Bits for domain access controls ([`ContextKey::apart`]) with which privileged code has touched
    /// pages that are not global.
    apart: u64,
    /// The first and the last address of the mappings larger than a page that entries belong to:
    /// an operation on any address of a mapping is on the whole of it (manual B3.10.1).
    large: Option<(u32, u32)>,
    /// What was forgotten since it was last cleared, apart from contexts that got new numbers.
    pub dropped: Dropped,
}

impl Tlb {
    pub(crate) fn new() -> Self {
        Tlb {
            fetch: Context::NONE,
            data: Context::NONE,
            current: None,
            entries: vec![EMPTY; ENTRIES].into_boxed_slice(),
            keys: [NO_KEY; CONTEXTS],
            numbers: [NO_NUMBER; CONTEXTS],
            live: 0,
            used: [0; CONTEXTS],
            lookups: 0,
            hints: [0; 16],
            next_number: 1,
            recent: [None; 2],
            apart: 0,
            large: None,
            dropped: Dropped::default(),
        }
    }

    /// Makes a context the one of instruction fetches and, unless they are big-endian, of data
    /// accesses.
    pub(crate) fn enter(&mut self, key: ContextKey, big_endian: bool) {
        self.fetch = self.context(key);
        self.data = if big_endian {
            Context::NONE
        } else {
            self.fetch
        };
        self.current = Some((key, big_endian));
    }

    /// The context for a key.
    pub(crate) fn context(&mut self, key: ContextKey) -> Context {
        let context = match self.recent[usize::from(key.privileged)] {
            Some((known, context)) if known == key => context,
            _ => self.find_context(key),
        };
        self.lookups = self.lookups.wrapping_add(1);
        if let Some(used) = self.used.get_mut(context.slot()) {
            *used = self.lookups;
        }
        context
    }

    fn find_context(&mut self, key: ContextKey) -> Context {
        let shared = key.privileged && self.apart & key.apart() == 0;
        let packed = if shared {
            key.packed_shared()
        } else {
            key.packed()
        };
        let hash = (packed ^ packed >> 9 ^ packed >> 13 ^ packed >> 32) as usize % 16;
        let hint = usize::from(self.hints[hash]) % CONTEXTS;
        let usable = |slot: usize| self.keys[slot] == packed && self.numbers[slot] != NO_NUMBER;
        let slot = if usable(hint) {
            hint
        } else {
            let known = (0..CONTEXTS).find(|slot| usable(*slot));
            let slot = known.unwrap_or_else(|| self.new_context(packed));
            self.hints[hash] = slot as u8;
            slot
        };
        let context = Context::at(slot as u8, self.numbers[slot]);
        let context = Context(context.0 | if shared { Context::SHARED } else { 0 });
        self.recent[usize::from(key.privileged)] = Some((key, context));
        context
    }

    /// Gives privileged code a context for each ASID from now on, with this key's domain access
    /// control. What contexts that are shared have stays right.
    pub(crate) fn part(&mut self, key: ContextKey) {
        self.apart |= key.apart();
        self.recent = [None; 2];
    }

    #[cold]
    fn new_context(&mut self, packed: u64) -> usize {
        // Numbers must not come round to those of entries still there.
        if self.next_number >= 0x1000_0000 {
            self.entries.fill(EMPTY);
            self.keys = [NO_KEY; CONTEXTS];
            self.live = 0;
            self.next_number = 1;
            self.dropped.all = true;
        }
        let known = self.keys.iter().position(|known| *known == packed);
        let slot = known.unwrap_or_else(|| self.free_slot());
        self.recent = [None; 2];
        self.keys[slot] = packed;
        self.numbers[slot] = self.next_number;
        self.live |= 1 << slot;
        self.next_number += 1;
        slot
    }

    fn free_slot(&self) -> usize {
        let free = self.keys.iter().position(|key| *key == NO_KEY);
        let oldest = || {
            let age = |slot: &usize| self.lookups.wrapping_sub(self.used[*slot]);
            (0..CONTEXTS).max_by_key(age).unwrap_or(0)
        };
        free.unwrap_or_else(oldest)
    }

    /// What is remembered of the page that holds `va`.
    pub fn page(&self, context: Context, va: u32) -> Option<Page> {
        let entry = &self.entries[context.index(va)];
        let tag = context.tag(va & PAGE_MASK, 1);
        let page = Page {
            offset: entry.offset(va & PAGE_MASK),
            read: entry.read == tag,
            write: entry.write == tag,
            execute: entry.execute == tag,
            mapping_shift: entry.attributes & SHIFT,
            unaligned: entry.attributes & UNALIGNED != 0,
            non_global: entry.attributes & NON_GLOBAL != 0,
        };
        (page.read || page.write || page.execute).then_some(page)
    }

    /// Offset in direct memory of `va` if a load of `size` bytes, aligned, is allowed.
    #[inline(always)]
    pub(crate) fn read(&self, context: Context, va: u32, size: u32) -> Option<usize> {
        let entry = &self.entries[context.index(va)];
        (entry.read == context.tag(va, size)).then(|| entry.offset(va))
    }

    /// As [`Tlb::read`], for a store.
    #[inline(always)]
    pub(crate) fn write(&self, context: Context, va: u32, size: u32) -> Option<usize> {
        let entry = &self.entries[context.index(va)];
        (entry.write == context.tag(va, size)).then(|| entry.offset(va))
    }

    /// As [`Tlb::read`], for an instruction fetch.
    #[inline(always)]
    pub(crate) fn execute(&self, context: Context, va: u32) -> Option<usize> {
        let entry = &self.entries[context.index(va)];
        (entry.execute == context.tag(va, 1)).then(|| entry.offset(va))
    }

    /// Whether a page that one of the above found allows unaligned accesses.
    pub(crate) fn allows_unaligned(&self, context: Context, va: u32) -> bool {
        self.entries[context.index(va)].attributes & UNALIGNED != 0
    }

    /// Remembers a page, if the context can have it.
    pub(crate) fn insert(&mut self, context: Context, va: u32, page: Page) {
        if context == Context::NONE || !context.takes(&page) {
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
            attributes: page.mapping_shift & SHIFT
                | if page.unaligned { UNALIGNED } else { 0 }
                | if page.non_global { NON_GLOBAL } else { 0 },
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
    pub(crate) fn flush(&mut self) {
        self.large = None;
        self.live = 0;
        self.recent = [None; 2];
        // New numbers: no entry matches any more. A context that all ASIDs share keeps its slot, for who
        // keeps by slots what helps to find translations again.
        for (key, number) in self.keys.iter_mut().zip(&mut self.numbers) {
            *number = NO_NUMBER;
            if *key & SHARED == 0 {
                *key = NO_KEY;
            }
        }
        self.enter_again();
    }

    /// Forgets everything, with what [`Tlb::dropped`] would have told.
    pub(crate) fn flush_all(&mut self) {
        self.flush();
        self.dropped.all = true;
    }

    /// Notes that a page of direct memory holds code. This TLB's own entries stay: the interpreter
    /// looks at the code map at every store.
    pub(crate) fn protect(&mut self, page: u32) {
        if self.dropped.protected.len() < DROPPED {
            self.dropped.protected.push(page);
        } else {
            self.dropped.all = true;
        }
    }

    /// Gives the current context a number after its own was forgotten.
    fn enter_again(&mut self) {
        if let Some((key, big_endian)) = self.current {
            self.enter(key, big_endian);
        }
    }

    /// Forgets what a TLB operation names, in contexts of every privilege and domain setting.
    pub(crate) fn maintain(&mut self, op: TlbOp) {
        match op {
            TlbOp::All => self.flush(),
            TlbOp::Asid(asid) => {
                self.recent = [None; 2];
                // Shared contexts stay: the operation is on entries that are not global (manual
                // B4.2.3), and all of theirs are.
                for (slot, key) in self.keys.iter_mut().enumerate() {
                    if *key & SHARED == 0 && (*key >> 1) as u8 == asid {
                        *key = NO_KEY;
                        self.live &= !(1 << slot);
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
                for slot in bits(self.live) {
                    let context = Context::at(slot as u8, self.numbers[slot]);
                    let number = u64::from(context.number());
                    let entry = &mut self.entries[context.index(va)];
                    if [entry.read, entry.write, entry.execute]
                        .iter()
                        .any(|tag| tag >> 32 == number)
                    {
                        *entry = EMPTY;
                    }
                }
                if self.dropped.pages.len() < DROPPED {
                    self.dropped.pages.push((va, self.live));
                } else {
                    self.dropped.all = true;
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
            non_global: false,
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

    fn key(asid: u8, privileged: bool) -> ContextKey {
        ContextKey {
            asid,
            dacr: 0x55,
            privileged,
        }
    }

    const VA: u32 = 0xc000_3000;

    #[test]
    fn global_pages_of_privileged_code_are_every_asids() {
        let mut tlb = Tlb::new();
        let context = tlb.context(key(1, true));
        assert!(context.takes(&page(20)));
        tlb.insert(context, VA, page(20));
        let other = tlb.context(key(2, true));
        assert_eq!(tlb.read(other, VA, 4), Some(0x5000));
        let user = tlb.context(key(1, false));
        assert_eq!(tlb.read(user, VA, 4), None);
        let domains = ContextKey {
            dacr: 0x51,
            ..key(1, true)
        };
        let domains = tlb.context(domains);
        assert_eq!(tlb.read(domains, VA, 4), None);
        for (op, kept) in [
            (TlbOp::Asid(1), true),
            // What a shared context has in place of an ASID.
            (TlbOp::Asid(0), true),
            (TlbOp::VaAllAsids(VA), false),
        ] {
            tlb.maintain(op);
            let context = tlb.context(key(2, true));
            assert_eq!(tlb.read(context, VA, 4).is_some(), kept, "{op:?}");
        }
        tlb.insert(context, VA, page(12));
        tlb.maintain(TlbOp::All);
        let context = tlb.context(key(2, true));
        assert_eq!(tlb.read(context, VA, 4), None);
    }

    #[test]
    fn a_page_of_one_asid_is_no_other_ones() {
        let mut tlb = Tlb::new();
        let own = Page {
            non_global: true,
            ..page(12)
        };
        let shared = tlb.context(key(1, true));
        assert!(!shared.takes(&own));
        tlb.insert(shared, VA, own);
        assert_eq!(tlb.read(shared, VA, 4), None);
        tlb.part(key(1, true));
        let first = tlb.context(key(1, true));
        assert!(first.takes(&own));
        tlb.insert(first, VA, own);
        assert_eq!(tlb.page(first, VA), Some(own));
        let second = tlb.context(key(2, true));
        assert_eq!(tlb.read(second, VA, 4), None);
        tlb.insert(second, VA, own);
        tlb.maintain(TlbOp::Asid(1));
        let first = tlb.context(key(1, true));
        assert_eq!(tlb.read(first, VA, 4), None);
        assert_eq!(tlb.read(second, VA, 4), Some(0x5000));
    }
}
