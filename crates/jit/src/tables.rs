//! Tables of translations that generated code reads.
//!
//! Each context (address space and privilege, [`skep_interp::tlb::Context`]) has three flat tables
//! with an entry for each 4 KiB page of guest-virtual addresses. A load or store takes
//! `host - guest` from its entry and needs no comparison: 0, which no page has, means the slow
//! path. A change of context changes the base that generated code holds, and forgets nothing.
//!
//! There is no entry for stores to a page that holds code. A table of bytes tells the pages whose
//! memory type allows unaligned accesses; only those look at it.

use crate::memory::Sparse;
use skep_interp::tlb::{CONTEXTS, Context, Page};

/// Entries of a table.
const PAGES: usize = 1 << 20;
/// Where the addends of loads begin in a context's tables.
pub const READ: i32 = 0;
/// Where the addends of stores begin.
pub const WRITE: i32 = (PAGES * 8) as i32;
/// Where the page numbers for instruction fetches begin: words, the number in direct memory plus 1.
pub const EXECUTE: i32 = (PAGES * 16) as i32;
/// Where the bytes begin that are 1 for pages that allow unaligned accesses.
pub const UNALIGNED: i32 = (PAGES * 20) as i32;
/// All tables of a context.
const STRIDE: usize = PAGES * 21;
/// More entries than this are cleared by giving the memory back.
const FEW: usize = 8192;
/// Records of writable pages kept before everything is forgotten.
const MAX_WRITERS: usize = 1 << 17;

/// The tables of all contexts.
pub struct Tables {
    memory: Sparse,
    slots: Vec<Slot>,
    /// First record of each page of direct memory, plus 1.
    heads: Vec<u32>,
    writers: Vec<Writer>,
    /// Entries made.
    pub fills: u64,
}

#[derive(Default)]
struct Slot {
    /// The context's number.
    number: u32,
    /// Pages that have entries.
    filled: Vec<u32>,
}

/// A page of direct memory can be written through an entry.
struct Writer {
    slot: u8,
    page: u32,
    next: u32,
}

impl Tables {
    /// Tables for direct memory of `size` bytes.
    ///
    /// # Errors
    /// The host's.
    pub fn new(size: usize) -> std::io::Result<Self> {
        let mut slots = Vec::new();
        slots.resize_with(CONTEXTS + 1, Slot::default);
        Ok(Tables {
            // The last context's tables stay empty.
            memory: Sparse::new(STRIDE * (CONTEXTS + 1))?,
            slots,
            heads: vec![0; size.div_ceil(4096)],
            writers: Vec::new(),
            fills: 0,
        })
    }

    /// Address of a context's tables, empty if the context is new.
    pub fn enter(&mut self, context: Context) -> u64 {
        let slot = context.slot().min(CONTEXTS);
        if let Some(held) = self.slots.get_mut(slot)
            && held.number != context.number()
        {
            held.number = context.number();
            self.clear(slot);
        }
        self.memory.base() + (slot * STRIDE) as u64
    }

    fn clear(&mut self, slot: usize) {
        let Some(held) = self.slots.get_mut(slot) else {
            return;
        };
        let base = slot * STRIDE;
        if held.filled.len() > FEW {
            self.memory.discard(base, STRIDE);
        } else {
            for &page in &held.filled {
                forget(&mut self.memory, base, page as usize);
            }
        }
        held.filled.clear();
    }

    /// Forgets everything.
    pub fn clear_all(&mut self) {
        for slot in 0..CONTEXTS {
            self.clear(slot);
        }
        self.heads.fill(0);
        self.writers.clear();
    }

    /// Forgets the page that holds `va`, in all contexts.
    pub fn forget(&mut self, va: u32) {
        for slot in 0..CONTEXTS {
            if self
                .slots
                .get(slot)
                .is_some_and(|held| !held.filled.is_empty())
            {
                forget(&mut self.memory, slot * STRIDE, (va >> 12) as usize);
            }
        }
    }

    /// Makes the entries of the page that holds `va`. `host` is the address of direct memory;
    /// stores are left out if the page holds code.
    pub fn fill(&mut self, context: Context, va: u32, page: &Page, host: u64, holds_code: bool) {
        let slot = context.slot();
        let index = (va >> 12) as usize;
        let base = slot * STRIDE;
        let Some(held) = self.slots.get_mut(slot).filter(|_| slot < CONTEXTS) else {
            return;
        };
        if held.number != context.number() {
            return;
        }
        self.fills += 1;
        held.filled.push(index as u32);
        let addend = (host + page.offset as u64).wrapping_sub(u64::from(va & !0xfff));
        let data = |allowed: bool| if allowed { addend } else { 0 };
        let write = data(page.write && !holds_code);
        self.memory
            .set64(base + READ as usize + index * 8, data(page.read));
        self.memory.set64(base + WRITE as usize + index * 8, write);
        self.memory
            .set8(base + UNALIGNED as usize + index, u8::from(page.unaligned));
        let number = (page.offset / 4096 + 1) as u32;
        let execute = if page.execute { number } else { 0 };
        self.memory
            .set32(base + EXECUTE as usize + index * 4, execute);
        if write != 0 {
            self.note_writer(slot, index, page.offset / 4096);
        }
    }

    fn note_writer(&mut self, slot: usize, page: usize, direct_page: usize) {
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
            .and_then(|i| self.writers.get(i))
        {
            let entry =
                usize::from(writer.slot) * STRIDE + WRITE as usize + writer.page as usize * 8;
            let addend = self.memory.get64(entry);
            // The entry may long be another page's.
            if addend != 0 && addend.wrapping_add(u64::from(writer.page) << 12) == target {
                self.memory.set64(entry, 0);
            }
            at = writer.next;
        }
    }

    /// Whether an instruction fetch at `va` finds this page of direct memory.
    pub fn executes(&self, context: Context, va: u32, direct_page: usize) -> bool {
        let entry = context.slot() * STRIDE + EXECUTE as usize + (va >> 12) as usize * 4;
        self.memory.get32(entry) == direct_page as u32 + 1
    }
}

/// Writes only where something is: the rest of the tables has no memory yet.
fn forget(memory: &mut Sparse, base: usize, page: usize) {
    for addend in [READ, WRITE].map(|table| base + table as usize + page * 8) {
        if memory.get64(addend) != 0 {
            memory.set64(addend, 0);
        }
    }
    let execute = base + EXECUTE as usize + page * 4;
    if memory.get32(execute) != 0 {
        memory.set32(execute, 0);
    }
}
