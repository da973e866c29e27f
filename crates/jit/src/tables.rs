//! Tables of translations that generated code reads.
//!
//! Each context (address space and privilege, [`skep_interp::tlb::Context`]) has three flat tables
//! with an entry for each 4 KiB page of guest-virtual addresses. A load or store takes
//! `host - guest` from its entry and needs no comparison: 0, which no page has, means the slow
//! path. A change of context changes the base that generated code holds, and forgets nothing.
//!
//! There is no entry for stores to a page that holds code. A table of bytes tells the pages whose
//! memory type allows unaligned accesses; only those look at it.
//!
//! A context that executes for long gets a *window*: behind its tables, 4 GiB of host addresses at
//! which the guest's pages lie where the guest has them, so that an access needs no look-up. A page
//! is mapped there when an access does not find it ([`Tables::open`]), and only if the tables have
//! entries for it that allow the same.

use crate::known::{Known, Pages};
use crate::memory::Sparse;
use skep_interp::tlb::{CONTEXTS, Context, Page, bits};
use std::os::fd::BorrowedFd;

/// Entries of a table.
const PAGES: usize = 1 << 20;
/// Where the addends of loads begin in a context's tables.
pub const READ: i32 = 0;
/// Where the addends of stores begin.
pub const WRITE: i32 = (PAGES * 8) as i32;
/// Where the numbers for instruction fetches begin: words, see [`fetch_number`].
pub const EXECUTE: i32 = (PAGES * 16) as i32;
/// Where the bytes begin that are 1 for pages that allow unaligned accesses.
pub const UNALIGNED: i32 = (PAGES * 20) as i32;
/// Where the bytes begin that tell what is mapped in the window.
const MAPPED: usize = PAGES * 21;
/// All tables of a context.
const TABLES: usize = PAGES * 22;
/// Where the window begins. Around it is nothing.
pub const WINDOW: i32 = 64 << 20;
/// From one context's tables to the next one's.
const STRIDE: usize = 8 << 30;
/// More entries than this are cleared by giving the memory back.
const FEW: usize = 8192;
/// Records of writable pages kept before everything is forgotten.
const MAX_WRITERS: usize = 1 << 17;
/// Records of a page that are looked at before another is added.
const LOOK_BACK: usize = 4;

/// In [`MAPPED`]: the page can be read.
const CAN_READ: u8 = 1;
/// The page can be read and written.
const CAN_WRITE: u8 = 2;

/// Faults that a window may take when it is opened, and each time that the clock ticks while its
/// context executes. One costs up to 10 us, so that a guest for which they are no gain loses little
/// before its window is closed again.
const FIRST_CREDIT: i32 = 8192;
const CREDIT_PER_TICK: i32 = 8;
/// Ticks for which a window that was closed stays closed, at first and at most: twice as long each time.
const CLOSED: (i32, i32) = (200, 8000);
/// How much longer privileged code has to execute until its context gets a window. It is all processes'
/// kernel, each of whose contexts would need a window of its own; where it is not (a program without a
/// kernel, a boot loader), it gets there.
const PRIVILEGED: i64 = 16;
/// Mappings that the windows of all vCPUs keep together, and changes to parts of them: the host has room
/// for 65,530 in a process.
const MOST_MAPPINGS: u32 = 32_768;
/// Pages that one mapping extends to in each direction, if they lie side by side.
const REACH: usize = 256;

/// The entry for instruction fetches of a page of direct memory. Code for contexts with a window is
/// not for those without, and finds another number.
pub fn fetch_number(direct_page: u32, window: bool) -> u32 {
    direct_page.wrapping_add(1) | u32::from(window) << 31
}

/// The tables of all contexts.
pub struct Tables {
    memory: Sparse<STRIDE, TABLES>,
    /// The contexts' numbers, by slot. What each exception looks at is here and not in [`Slot`]: loads from
    /// there may wait for stores whose addresses are alike by chance, for a tenth of the time of an SVC.
    numbers: [u32; CONTEXTS + 1],
    /// Bits of the slots whose contexts have a window.
    open: u64,
    slots: Vec<Slot>,
    /// First record of each page of direct memory, plus 1.
    heads: Vec<u32>,
    writers: Vec<Writer>,
    /// Ticks after which a context gets a window; none without.
    patience: Option<u32>,
    /// Accesses must be aligned: no window is opened.
    pub strict: bool,
    /// Entries made.
    pub fills: u64,
    /// Windows opened.
    pub windows: u64,
    /// Mappings made in them.
    pub mappings: u64,
    /// The sum of the windows' [`Slot::mappings`].
    kept: u32,
    /// How many may be kept.
    most: u32,
}

/// A bit for each MiB of the address space.
struct Parts([u64; PAGES / 256 / 64]);

impl Default for Parts {
    fn default() -> Self {
        Parts([0; PAGES / 256 / 64])
    }
}

impl Parts {
    fn set(&mut self, page: usize) {
        if let Some(word) = self.0.get_mut(page >> 14) {
            *word |= 1 << (page >> 8 & 63);
        }
    }

    fn has(&self, page: usize) -> bool {
        let word = self.0.get(page >> 14);
        word.is_some_and(|word| word >> (page >> 8 & 63) & 1 != 0)
    }
}

#[derive(Default)]
struct Slot {
    /// Pages that have entries.
    filled: Vec<u32>,
    /// Bits for parts of 1 MiB that have such pages. The tables of others have no memory, perhaps, and
    /// none is provided to look at them.
    parts: Parts,
    /// Times that the context was executing when the clock ticked, without a window.
    ticks: i32,
    /// Faults that the window may take; below 0, it is closed with the next tick.
    credit: i32,
    /// Times that it was closed.
    closed: u32,
    /// Mappings made in the window since it was empty, and parts of them that were changed.
    mappings: u32,
    /// What the context used of large mappings, if all ASIDs share it: the others are forgotten with their
    /// number.
    known: Option<Known>,
}

/// A page of direct memory can be written through an entry.
#[derive(Clone, Copy)]
struct Writer {
    slot: u8,
    page: u32,
    next: u32,
}

impl Tables {
    /// Tables of one of `vcpus` vCPUs, for direct memory of `size` bytes. A context gets a window after
    /// `patience` ticks.
    ///
    /// # Errors
    /// The host's.
    pub fn new(size: usize, vcpus: u32, patience: Option<u32>) -> std::io::Result<Self> {
        let mut slots = Vec::new();
        slots.resize_with(CONTEXTS + 1, Slot::default);
        Ok(Tables {
            // The last context's tables stay empty.
            memory: Sparse::new(CONTEXTS + 1)?,
            numbers: [0; CONTEXTS + 1],
            open: 0,
            slots,
            heads: vec![0; size.div_ceil(4096)],
            writers: Vec::new(),
            patience,
            strict: false,
            fills: 0,
            windows: 0,
            mappings: 0,
            kept: 0,
            most: MOST_MAPPINGS / vcpus.max(1),
        })
    }

    /// Address of a context's tables, empty if the context is new.
    #[inline(always)]
    pub fn enter(&mut self, context: Context) -> u64 {
        let slot = context.slot().min(CONTEXTS);
        if !self.is_entered(context) {
            self.enter_new(context, slot);
        }
        self.memory.base() + (slot * STRIDE) as u64
    }

    /// Whether the tables in the context's slot are its own.
    #[inline(always)]
    fn is_entered(&self, context: Context) -> bool {
        self.numbers.get(context.slot()) == Some(&context.number())
    }

    #[cold]
    fn enter_new(&mut self, context: Context, slot: usize) {
        if let (Some(held), Some(number)) = (self.slots.get_mut(slot), self.numbers.get_mut(slot)) {
            *number = context.number();
            held.ticks = 0;
            held.closed = 0;
            if !context.is_shared() {
                held.known = None;
            }
            self.clear(slot);
            self.set_window(slot, self.patience == Some(0) && !self.strict);
        }
    }

    /// Whether a context that was entered has a window.
    pub fn has_window(&self, context: Context) -> bool {
        self.has_open(context.slot())
    }

    fn has_open(&self, slot: usize) -> bool {
        slot < CONTEXTS && self.open >> slot & 1 != 0
    }

    /// Counts a tick of the clock for the context that executes: opens its window, or closes it.
    pub fn tick(&mut self, context: Context, privileged: bool) {
        let slot = context.slot();
        let window = self.has_open(slot);
        let Some(held) = self.slots.get_mut(slot).filter(|_| slot < CONTEXTS) else {
            return;
        };
        if window {
            held.credit = FIRST_CREDIT.min(held.credit + CREDIT_PER_TICK);
            if held.credit < 0 {
                held.ticks = -CLOSED.1.min(CLOSED.0 << held.closed.min(8));
                held.closed += 1;
                self.clear(slot);
                self.set_window(slot, false);
            }
        } else if !self.strict {
            held.ticks += 1;
            let factor = if privileged { PRIVILEGED } else { 1 };
            let enough = |patience| i64::from(held.ticks) >= i64::from(patience) * factor;
            if self.patience.is_some_and(enough) {
                self.clear(slot);
                self.set_window(slot, true);
            }
        }
    }

    fn set_window(&mut self, slot: usize, window: bool) {
        if let Some(held) = self.slots.get_mut(slot).filter(|_| slot < CONTEXTS) {
            self.open = self.open & !(1 << slot) | u64::from(window) << slot;
            held.credit = FIRST_CREDIT;
            self.windows += u64::from(window);
        }
    }

    fn clear(&mut self, slot: usize) {
        let Some(held) = self.slots.get_mut(slot) else {
            return;
        };
        if let Some(known) = held.known.as_mut().filter(|_| !held.filled.is_empty()) {
            known.restart();
        }
        let base = slot * STRIDE;
        let mapped = held.mappings > 0;
        if mapped {
            self.kept -= held.mappings;
            held.mappings = 0;
            self.memory.unmap(base + WINDOW as usize, PAGES << 12);
        }
        if held.filled.len() > FEW {
            self.memory.discard(slot);
        } else {
            for &page in &held.filled {
                forget(&mut self.memory, base, page as usize, mapped);
            }
        }
        held.filled.clear();
        held.parts = Parts::default();
    }

    /// Forgets everything.
    pub fn clear_all(&mut self) {
        for slot in 0..CONTEXTS {
            self.clear(slot);
        }
        self.heads.fill(0);
        self.writers.clear();
    }

    /// Forgets the page that holds `va`, in the contexts of these slots.
    pub fn forget(&mut self, va: u32, slots: u64) {
        let page = (va >> 12) as usize;
        for slot in bits(slots) {
            let Some(held) = self.slots.get(slot).filter(|held| held.parts.has(page)) else {
                continue;
            };
            let base = slot * STRIDE;
            let mapped = held.mappings > 0;
            if mapped && self.memory.get8(base + MAPPED + page) != 0 {
                self.restrict(slot, page, false);
            }
            forget(&mut self.memory, base, page, mapped);
        }
    }

    /// Makes the entries of the page that holds `va`. `host` is the address of direct memory;
    /// stores are left out if the page holds code.
    pub fn fill(&mut self, context: Context, va: u32, page: &Page, host: u64, holds_code: bool) {
        let slot = context.slot();
        let index = (va >> 12) as usize;
        let base = slot * STRIDE;
        if !self.is_entered(context) || !context.takes(page) {
            return;
        }
        let window = self.has_open(slot);
        let Some(held) = self.slots.get_mut(slot).filter(|_| slot < CONTEXTS) else {
            return;
        };
        let addend = (host + page.offset as u64).wrapping_sub(u64::from(va & !0xfff));
        let data = |allowed: bool| if allowed { addend } else { 0 };
        let read = data(page.read);
        let write = data(page.write && !holds_code);
        let unaligned = u8::from(page.unaligned);
        let number = fetch_number((page.offset / 4096) as u32, window);
        let execute = if page.execute { number } else { 0 };
        let at = |table: i32, size: usize| base + table as usize + index * size;
        let (read_at, write_at) = (at(READ, 8), at(WRITE, 8));
        let (unaligned_at, execute_at) = (at(UNALIGNED, 1), at(EXECUTE, 4));
        let (read_before, write_before) = (self.memory.get64(read_at), self.memory.get64(write_at));
        if (read_before, write_before) == (read, write)
            && self.memory.get8(unaligned_at) == unaligned
            && self.memory.get32(execute_at) == execute
        {
            // The slow path comes here after each access, for whatever reason it was taken.
            return;
        }
        self.fills += 1;
        held.filled.push(index as u32);
        held.parts.set(index);
        if window && self.memory.get8(base + MAPPED + index) != 0 {
            let less = |before: u64, now: u64| before != 0 && before != now;
            if less(read_before, read) || less(write_before, write) {
                self.restrict(slot, index, false);
            }
        }
        self.memory.set64(read_at, read);
        self.memory.set64(write_at, write);
        self.memory.set8(unaligned_at, unaligned);
        self.memory.set32(execute_at, execute);
        if write != 0 {
            self.note_writer(slot, index, page.offset / 4096);
        }
    }

    /// Notes that a context uses the page that holds `va`, which is part of a mapping of at least 1 MiB.
    /// The first time since the context was emptied: the pages of the same MiB that it used before.
    pub fn ask(&mut self, context: Context, va: u32) -> Option<Pages> {
        let known = context.is_shared() && self.is_entered(context);
        if !known {
            return None;
        }
        let held = self.slots.get_mut(context.slot())?;
        held.known.get_or_insert_with(Known::new).ask(va)
    }

    fn note_writer(&mut self, slot: usize, page: usize, direct_page: usize) {
        // It may be known since the context was last emptied.
        let mut at = self.heads.get(direct_page).copied().unwrap_or(0);
        for _ in 0..LOOK_BACK {
            let Some(writer) = (at as usize)
                .checked_sub(1)
                .and_then(|i| self.writers.get(i))
            else {
                break;
            };
            if usize::from(writer.slot) == slot && writer.page as usize == page {
                return;
            }
            at = writer.next;
        }
        if self.writers.len() >= MAX_WRITERS {
            self.clear_all();
            return;
        }
        if let Some(head) = self.heads.get_mut(direct_page) {
            self.writers.push(Writer {
                slot: slot as u8,
                page: page as u32,
                next: *head,
            });
            *head = self.writers.len() as u32;
        }
    }

    /// Whether a context that was entered has entries for the page that holds `va`.
    pub fn has(&self, context: Context, va: u32) -> bool {
        let base = context.slot() * STRIDE;
        let page = (va >> 12) as usize;
        self.memory.get64(base + READ as usize + page * 8) != 0
            || self.memory.get32(base + EXECUTE as usize + page * 4) != 0
    }

    /// Whether a context that was entered has an entry for loads from the page that holds `va`.
    pub fn can_read(&self, context: Context, va: u32) -> bool {
        let entry = context.slot() * STRIDE + READ as usize + (va >> 12) as usize * 8;
        self.memory.get64(entry) != 0
    }

    /// Maps the page that holds `va` in the context's window, and those beside it that have entries
    /// and lie beside it in `file`, which is direct memory, at `host`. False if the tables do not have
    /// the page for such an access, or it must be looked at each time.
    pub fn open(
        &mut self,
        context: Context,
        va: u32,
        write: bool,
        (file, host): (BorrowedFd<'_>, u64),
    ) -> bool {
        let slot = context.slot();
        let base = slot * STRIDE;
        if self.kept >= self.most {
            self.empty_windows();
        }
        if !self.has_open(slot) || !self.is_entered(context) {
            return false;
        }
        let page = (va >> 12) as usize;
        // What two neighbours must have in common.
        let look = |page: usize| {
            let addend = self.memory.get64(base + READ as usize + page * 8);
            let can_write = self.memory.get64(base + WRITE as usize + page * 8) != 0;
            let unaligned = self.memory.get8(base + UNALIGNED as usize + page) != 0;
            (addend != 0 && unaligned).then_some((addend, can_write))
        };
        let Some((addend, can_write)) = look(page) else {
            return false;
        };
        if write && !can_write {
            return false;
        }
        let wanted = if can_write { CAN_WRITE } else { CAN_READ };
        let joins = |page: &usize| {
            *page < PAGES
                && look(*page) == Some((addend, can_write))
                && self.memory.get8(base + MAPPED + page) != wanted
        };
        let first = (page.saturating_sub(REACH)..page)
            .rev()
            .take_while(joins)
            .last();
        let last = (page + 1..page + REACH).take_while(joins).last();
        let (first, last) = (first.unwrap_or(page), last.unwrap_or(page));
        let from = addend.wrapping_add((first as u64) << 12).wrapping_sub(host);
        let len = (last + 1 - first) << 12;
        let at = base + WINDOW as usize + (first << 12);
        // What lies beside the page may never be touched: it is not to take memory.
        let done = self
            .memory
            .map(at, (file, from), len, can_write, first == last);
        if done {
            self.mappings += 1;
            for page in first..=last {
                self.memory.set8(base + MAPPED + page, wanted);
            }
            self.count_mapping(slot);
        }
        done
    }

    /// Counts a fault in a context's window.
    pub fn charge(&mut self, context: Context) {
        if let Some(held) = self.slots.get_mut(context.slot()) {
            held.credit = held.credit.saturating_sub(1);
        }
    }

    fn count_mapping(&mut self, slot: usize) {
        if let Some(held) = self.slots.get_mut(slot) {
            held.mappings += 1;
            self.kept += 1;
        }
    }

    /// Takes all mappings away.
    fn empty_windows(&mut self) {
        for (slot, held) in self.slots.iter_mut().enumerate() {
            if held.mappings == 0 {
                continue;
            }
            held.mappings = 0;
            let base = slot * STRIDE;
            self.memory.unmap(base + WINDOW as usize, PAGES << 12);
            for &page in &held.filled {
                self.memory.set8(base + MAPPED + page as usize, 0);
            }
        }
        self.kept = 0;
    }

    /// Lets a page of a window be read only, or not even that.
    fn restrict(&mut self, slot: usize, page: usize, read: bool) {
        let base = slot * STRIDE;
        let at = base + WINDOW as usize + (page << 12);
        self.memory.restrict(at, 4096, read);
        self.memory
            .set8(base + MAPPED + page, if read { CAN_READ } else { 0 });
        self.count_mapping(slot);
    }

    /// Takes stores to a page of direct memory off the fast path. `host` is the address of direct
    /// memory.
    pub fn protect(&mut self, direct_page: usize, host: u64) {
        let Some(head) = self.heads.get_mut(direct_page) else {
            return;
        };
        let mut at = std::mem::take(head);
        let target = host + direct_page as u64 * 4096;
        while let Some(writer) = (at as usize)
            .checked_sub(1)
            .and_then(|i| self.writers.get(i).copied())
        {
            let base = usize::from(writer.slot) * STRIDE;
            let page = writer.page as usize;
            let entry = base + WRITE as usize + page * 8;
            let addend = self.memory.get64(entry);
            // The entry may long be another page's.
            if addend != 0 && addend.wrapping_add(u64::from(writer.page) << 12) == target {
                self.memory.set64(entry, 0);
                if self.memory.get8(base + MAPPED + page) == CAN_WRITE {
                    self.restrict(writer.slot.into(), page, true);
                }
            }
            at = writer.next;
        }
    }

    /// Whether an instruction fetch at `va` finds what [`fetch_number`] gave this number.
    pub fn executes(&self, context: Context, va: u32, number: u32) -> bool {
        let entry = context.slot() * STRIDE + EXECUTE as usize + (va >> 12) as usize * 4;
        self.memory.get32(entry) == number
    }
}

/// Writes only where something is: the rest of the tables has no memory yet. Pages are in the window
/// only if some are `mapped`.
fn forget(memory: &mut Sparse<STRIDE, TABLES>, base: usize, page: usize, mapped: bool) {
    for addend in [READ, WRITE].map(|table| base + table as usize + page * 8) {
        if memory.get64(addend) != 0 {
            memory.set64(addend, 0);
        }
    }
    let execute = base + EXECUTE as usize + page * 4;
    if memory.get32(execute) != 0 {
        memory.set32(execute, 0);
    }
    if mapped && memory.get8(base + MAPPED + page) != 0 {
        memory.set8(base + MAPPED + page, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
    use std::os::fd::{AsFd, OwnedFd};

    const HOST: u64 = 0x7000_0000_0000;
    const VA: u32 = 0x4000_3000;

    fn file() -> OwnedFd {
        let file = memfd_create("skep-test", MemfdFlags::CLOEXEC).expect("a file");
        ftruncate(&file, 16 << 12).expect("16 pages");
        file
    }

    fn page(number: usize, write: bool) -> Page {
        Page {
            offset: number << 12,
            read: true,
            write,
            execute: false,
            unaligned: true,
            mapping_shift: 12,
            non_global: false,
        }
    }

    /// A context, entered in tables whose windows open after `patience` ticks.
    fn tables(patience: u32) -> (Tables, Context, OwnedFd) {
        let mut tables = Tables::new(16 << 12, 8, Some(patience)).expect("address space");
        let context = Context::at(3, 1);
        tables.enter(context);
        (tables, context, file())
    }

    /// What the host's kernel allows at a page of the window, as /proc/self/maps has it.
    fn allowed(tables: &mut Tables, context: Context, va: u32) -> String {
        let at = tables.enter(context) + WINDOW as u64 + u64::from(va);
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the mappings");
        let mapping = maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (first, end) = range.split_once('-')?;
            let number = |text| u64::from_str_radix(text, 16).ok();
            (number(first)?..number(end)?).contains(&at).then_some(rest)
        });
        mapping.map_or(String::new(), |rest| rest.chars().take(2).collect())
    }

    #[test]
    fn a_window_opens_with_patience_and_later_for_privileged_code() {
        for (privileged, ticks) in [(false, 3), (true, 48)] {
            let (mut tables, context, _file) = tables(3);
            for _ in 1..ticks {
                tables.tick(context, privileged);
                assert!(!tables.has_window(context));
            }
            tables.tick(context, privileged);
            assert!(tables.has_window(context));
            // Another context in the same place has none.
            let next = Context::at(3, 2);
            tables.enter(next);
            assert!(!tables.has_window(next));
        }
    }

    #[test]
    fn accesses_that_must_be_aligned_have_no_window() {
        let (mut tables, context, _file) = tables(1);
        tables.strict = true;
        tables.tick(context, false);
        assert!(!tables.has_window(context));
    }

    #[test]
    fn a_window_has_what_the_tables_allow_and_no_more() {
        let (mut tables, context, file) = tables(0);
        let direct = (file.as_fd(), HOST);
        assert!(!tables.open(context, VA, false, direct), "no entry");
        tables.fill(context, VA, &page(5, true), HOST, false);
        tables.fill(context, VA + 0x1000, &page(9, false), HOST, false);
        let device = Page {
            unaligned: false,
            ..page(7, true)
        };
        tables.fill(context, VA + 0x2000, &device, HOST, false);
        assert!(tables.open(context, VA, true, direct));
        assert!(!tables.open(context, VA + 0x1000, true, direct), "a store");
        assert!(tables.open(context, VA + 0x1000, false, direct));
        assert!(
            !tables.open(context, VA + 0x2000, false, direct),
            "a device"
        );
        let mut allowed = |va| allowed(&mut tables, context, va);
        assert_eq!(allowed(VA), "rw");
        assert_eq!(allowed(VA + 0x1000), "r-");
        assert_eq!(allowed(VA + 0x2000), "--");
        assert_eq!(allowed(VA - 0x1000), "--");
    }

    #[test]
    fn what_the_tables_forget_leaves_the_window() {
        let (mut tables, context, file) = tables(0);
        let direct = (file.as_fd(), HOST);
        for i in 0..4 {
            tables.fill(
                context,
                VA + (i << 12),
                &page(5 + i as usize, true),
                HOST,
                false,
            );
        }
        // Neighbours that lie side by side come with one mapping.
        assert!(tables.open(context, VA + 0x1000, true, direct));
        assert_eq!(tables.mappings, 1);
        tables.forget(VA, !(1 << 3));
        assert!(tables.can_read(context, VA), "another context");
        tables.forget(VA, 1 << 3);
        // The page holds code from now on.
        tables.protect(6, HOST);
        // It is another page now.
        tables.fill(context, VA + 0x2000, &page(12, true), HOST, false);
        let mut seen = |va| allowed(&mut tables, context, va);
        assert_eq!(seen(VA), "--");
        assert_eq!(seen(VA + 0x1000), "r-");
        assert_eq!(seen(VA + 0x2000), "--");
        assert_eq!(seen(VA + 0x3000), "rw");
        assert!(!tables.open(context, VA + 0x1000, true, direct), "code");
        tables.clear_all();
        assert_eq!(allowed(&mut tables, context, VA + 0x3000), "--");
        assert!(tables.has_window(context));
    }

    #[test]
    fn an_entry_that_is_there_is_not_made_again() {
        let (mut tables, context, _file) = tables(0);
        for _ in 0..2 * MAX_WRITERS {
            tables.fill(context, VA, &page(5, true), HOST, false);
        }
        assert_eq!(tables.fills, 1);
        // The record of who can write the page is the first entry's.
        tables.protect(5, HOST);
        let entry = tables
            .memory
            .get64(3 * STRIDE + WRITE as usize + (VA >> 12) as usize * 8);
        assert_eq!(entry, 0);
        tables.fill(context, VA, &page(6, true), HOST, false);
        assert_eq!(tables.fills, 2, "another page");
    }

    #[test]
    fn there_is_a_limit_to_all_mappings() {
        let (mut tables, context, file) = tables(0);
        let at = |i: u32| VA + (i << 13);
        let most = MOST_MAPPINGS / 8;
        for i in 0..=most {
            assert!(tables.kept <= most);
            let page = page(i as usize % 16, true);
            tables.fill(context, at(i), &page, HOST, false);
            assert!(tables.open(context, at(i), true, (file.as_fd(), HOST)));
        }
        assert_eq!(tables.kept, 1);
        assert_eq!(allowed(&mut tables, context, at(most - 1)), "--");
        assert_eq!(allowed(&mut tables, context, at(most)), "rw");
        // It comes back when it is accessed.
        assert!(tables.open(context, VA, true, (file.as_fd(), HOST)));
        assert_eq!(allowed(&mut tables, context, VA), "rw");
    }

    #[test]
    fn a_window_with_too_many_faults_is_closed_for_ever_longer() {
        let (mut tables, context, file) = tables(0);
        let direct = (file.as_fd(), HOST);
        for closed in [200, 400, 800] {
            tables.fill(context, VA, &page(5, true), HOST, false);
            for _ in 0..FIRST_CREDIT + CREDIT_PER_TICK {
                tables.charge(context);
            }
            tables.tick(context, false);
            assert!(tables.has_window(context), "as many as it may take");
            for _ in 0..=CREDIT_PER_TICK {
                tables.charge(context);
            }
            // Code that executes with it may do so until then.
            assert!(tables.open(context, VA, true, direct));
            tables.tick(context, false);
            assert!(!tables.has_window(context));
            assert!(!tables.open(context, VA, true, direct));
            assert_eq!(allowed(&mut tables, context, VA), "--");
            for _ in 0..closed {
                assert!(!tables.has_window(context));
                tables.tick(context, false);
            }
            assert!(tables.has_window(context));
        }
    }
}
