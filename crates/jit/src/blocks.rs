//! Finding, translating and copying the block that is to be executed.

use crate::cache::{Block, Key};
use crate::listing::Listing;
use crate::tables::fetch_number;
use crate::translate::{Entries, Request, Source, Translator};
use crate::{Engine, HostMemory, Translated};
use skep_arm::decode;
use skep_arm::state::psr;
use skep_interp::code::LINE;
use skep_interp::tlb::Context;
use skep_interp::{DirectMemory, Machine, Raised};
use std::cell::Cell;

/// Places that blocks which are not translated share.
pub const HEAT: usize = 1 << 16;

/// One block at a time is counted of those that share a place: code that runs once through a lot of
/// memory stays cold.
#[derive(Clone, Copy, Default)]
pub struct Heat {
    /// The halfword of direct memory that the block begins at.
    block: u32,
    times: u8,
}

/// The code that is to be executed.
struct Place {
    /// Its guest-virtual address.
    va: u32,
    t32: bool,
    /// The context has a window.
    window: bool,
    /// Where it lies in direct memory.
    offset: usize,
    /// Where the second half of the first instruction does, if that is in the next page.
    next: Option<usize>,
}

impl Place {
    fn key(&self) -> Key {
        Key::new(self.offset, self.va, self.t32, self.window)
    }

    /// The page of direct memory.
    fn page(&self) -> u32 {
        (self.offset / 4096) as u32
    }

    fn next_page(&self) -> Option<u32> {
        self.next.map(|offset| (offset / 4096) as u32)
    }
}

impl<M: Machine> Engine<M>
where
    M::Memory: HostMemory,
{
    /// The checked entry of the block at the PC, translated if it was reached often enough. None:
    /// interpret it.
    pub(crate) fn block_at_pc(&mut self) -> Result<Option<u64>, Raised> {
        let place = self.locate()?;
        let code = match self.find(&place) {
            Some(block) => Some(block.checked),
            None if self.is_cold(&place) => None,
            None => self.translate(&place),
        };
        if let Some(code) = code {
            self.make_reachable(&place, code);
        }
        Ok(code)
    }

    /// Where the code at the PC is.
    fn locate(&mut self) -> Result<Place, Raised> {
        let window = self.has_window();
        let core = self.vcpu.core();
        let va = core.state.regs[15];
        let t32 = core.state.cpsr & psr::T != 0;
        let offset = core.locate_code(va)?;
        // A T32 instruction may end in the next page, wherever that is.
        let next = if t32 && va & 0xfff == 0xffe {
            let first = core.machine.memory().load16(offset);
            decode::t32_is_wide(first)
                .then(|| core.locate_code(va.wrapping_add(2)))
                .transpose()?
        } else {
            None
        };
        Ok(Place {
            va,
            t32,
            window,
            offset,
            next,
        })
    }

    /// The block there, if there is one.
    fn find(&mut self, place: &Place) -> Option<Block> {
        let next_known = place.next.is_none_or(|offset| self.know_page(offset));
        let known = self.know_page(place.offset) && next_known;
        known
            .then(|| self.cache.find(place.key(), place.next_page()))
            .flatten()
    }

    /// Counts that code without a block was reached; false once that was often.
    fn is_cold(&mut self, place: &Place) -> bool {
        let hash = (place.offset >> 1 ^ place.offset >> 15) % HEAT;
        let Some(heat) = self.heat.get_mut(hash) else {
            return false;
        };
        let block = (place.offset >> 1) as u32;
        if heat.block != block {
            *heat = Heat { block, times: 0 };
        }
        heat.times = heat.times.saturating_add(1);
        heat.times < self.config.threshold
    }

    /// Notes that the page at an offset of direct memory holds code; true if that was known.
    fn know_page(&mut self, offset: usize) -> bool {
        let page = (offset / 4096) as u32;
        let core = self.vcpu.core();
        if self
            .cache
            .knows_page(page, core.machine.code().generation(offset))
        {
            return true;
        }
        let generation = core.begin_code(offset);
        self.cache.note_page(page, generation);
        self.forget_dropped_jumps();
        false
    }

    /// Lets jumps find a block: the tables have its pages, and the jump cache has its address.
    fn make_reachable(&mut self, place: &Place, code: u64) {
        let context = self.vcpu.core().tlb.fetch;
        self.allow_execution(context, place.va, place.offset);
        if let Some(next) = place.next {
            self.allow_execution(context, place.va.wrapping_add(2), next);
        } else {
            let number = fetch_number(place.page(), place.window);
            self.note_jump(place.va | u32::from(place.t32), number, code);
        }
    }

    /// Sees to it that the tables have the page of code.
    pub(crate) fn allow_execution(&mut self, context: Context, va: u32, offset: usize) {
        self.tables.enter(context);
        let number = fetch_number((offset / 4096) as u32, self.tables.has_window(context));
        if !self.tables.executes(context, va, number) {
            let core = self.vcpu.core();
            if let Some(page) = core.tlb.page(context, va) {
                self.fill(context, va, &page);
            }
        }
    }

    /// Makes a block: a translation, or a copy of one.
    fn translate(&mut self, place: &Place) -> Option<u64> {
        if self.cache.is_full() {
            self.cache.clear();
            self.forget_jumps();
            // What filled it may never be reached again: it has to prove itself anew.
            self.heat.fill(Heat::default());
        }
        self.know_page(place.offset);
        if place.next.is_none()
            && let Some(code) = self.copy(place)
        {
            return Some(code);
        }
        if let Some(next) = place.next {
            self.know_page(next);
        }
        let machine = self.vcpu.core().machine.clone();
        // Lines are marked before they are read, so that no write goes unnoticed.
        let marked = Cell::new(None);
        let halfword = |at: usize| {
            let at = match place.next {
                Some(next) if at >= 0x1000 => next,
                _ => (place.offset & !0xfff) + at,
            };
            let line = Some(at / LINE);
            if marked.replace(line) != line {
                machine.code().mark(at, 2);
            }
            machine.memory().load16(at)
        };
        let begin = self.cache.end();
        self.asm.restart(self.cache.next());
        let request = Request {
            va: place.va,
            t32: place.t32,
            page: place.page(),
            next_page: place.next_page(),
            offset: begin.code as u32,
            alone: self.vcpu.core().cluster.alone(),
            fma: self.fma,
            sse41: self.sse41,
            avx2: self.avx2,
            count: self.config.count,
            window: place.window,
        };
        let translator = Translator::new(
            &mut self.asm,
            self.layout,
            self.thunks,
            &mut self.cache.ops,
            Source {
                halfword: &halfword,
            },
            request,
            &mut self.buffers,
        );
        let entries = translator.translate()?;
        self.translated_instructions += entries.count as u64;
        let unchanged = |offset: usize| {
            let generation = machine.code().generation(offset);
            self.cache.knows_page((offset / 4096) as u32, generation)
        };
        if !unchanged(place.offset) || !place.next.is_none_or(unchanged) {
            // Written meanwhile.
            return None;
        }
        let at = (entries.checked, entries.direct);
        let sites = self.buffers.sites(&self.asm);
        let (key, page) = (place.key(), place.page());
        let block = self.cache.add(key, page, &self.asm, at, sites);
        let steps = self.buffers.steps();
        let guest_len = steps.iter().map(|step| u16::from(step.decoded.len)).sum();
        if self.asm.movable && !self.vcpu.core().state.privileged() {
            self.cache
                .keep(key, place.va, guest_len, at, begin, &self.asm);
        }
        if let Some(next) = place.next_page() {
            self.cache.add_second_page(key, block, next);
        }
        self.show(place, block, guest_len, Some(entries));
        Some(block.checked)
    }

    /// Copies the block of the same code at another address.
    fn copy(&mut self, place: &Place) -> Option<u64> {
        let key = place.key();
        let original = self.cache.copies.find(key)?;
        self.asm.restart(self.cache.next());
        let code = &mut self.asm.code;
        let Some(sites) = self.cache.copy(&original, place.va, code) else {
            // The next one is to be copied from what is translated now.
            self.cache.copies.forget(key);
            return None;
        };
        let (at, sites) = (original.entries(), sites.into_iter());
        let block = self.cache.add(key, place.page(), &self.asm, at, sites);
        self.copied += 1;
        self.show(place, block, original.guest_len, None);
        Some(block.checked)
    }

    /// Shows a block, which the assembler has, to the observer; a translation with its entries.
    fn show(&mut self, place: &Place, block: Block, guest_len: u16, entries: Option<Entries>) {
        let Some(observer) = &mut self.observer else {
            return;
        };
        let address = block.begin;
        let listing = entries.map(|entries| Listing {
            code: &self.asm.code,
            origin: address,
            entries,
            steps: self.buffers.steps(),
            marks: self.buffers.marks(),
            va: place.va,
            layout: self.layout,
            thunks: self.thunks,
        });
        observer(&Translated {
            va: place.va,
            guest_len: guest_len.into(),
            t32: place.t32,
            address,
            host_len: self.asm.code.len(),
            listing,
        });
    }
}
