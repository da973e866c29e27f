//! Windows: addresses of the host at which a guest's pages are accessed without a look-up. See
//! [`crate::tables`] for what is mapped there.

use crate::cache::{Site, SiteKind};
use crate::fault::Fault;
use crate::tables::WINDOW;
use crate::{Engine, HostMemory, known};
use skep_interp::tlb::{Context, Page};
use skep_interp::{Direct, Machine};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many pages on each side of one that an access did not find are looked for.
const NEIGHBOURS: i32 = 16;

impl<M: Machine> Engine<M>
where
    M::Memory: HostMemory,
{
    /// Whether accesses of the current context go through a window.
    pub(crate) fn has_window(&mut self) -> bool {
        let context = self.vcpu.core().tlb.data;
        self.tables.enter(context);
        self.tables.has_window(context)
    }

    /// Answers a fault of the host: see [`crate::fault::Answer`].
    pub(crate) fn answer_fault(engine: *mut c_void, at: u64, fault: Fault) -> Option<u64> {
        // SAFETY: `run` passes the engine. If the fault is generated code's, nothing holds a reference
        // to it, as in `interpret_one`; if not, only what never changes while it executes is read.
        let engine = unsafe { &mut *engine.cast::<Self>() };
        let (number, site) = engine.cache.site(at)?;
        if (fault == Fault::Float) != (site.kind == SiteKind::Float) {
            return None;
        }
        // The handler has no frames that a panic could unwind either.
        let done = catch_unwind(AssertUnwindSafe(|| {
            let opened = match fault {
                Fault::Access(address) => engine.open_window(site, address),
                Fault::Float => {
                    engine.float_exceptions += 1;
                    false
                }
            };
            if !opened {
                engine.cache.missed(number);
            }
            opened
        }));
        let opened = done.unwrap_or_else(|panic| {
            engine.panic = Some(panic);
            false
        });
        let origin = engine.cache.memory.origin();
        if opened && site.kind == SiteKind::Store {
            return Some(at);
        }
        if opened {
            // From the beginning: of two pages, the second may have brought the window's end for the first.
            return Some(origin + u64::from(site.start));
        }
        Some(origin + u64::from(site.otherwise))
    }

    /// Has the window have the page of an access that did not find it.
    fn open_window(&mut self, site: Site, address: u64) -> bool {
        self.window_faults += 1;
        let context = self.vcpu.core().tlb.data;
        let base = self.shared.tables.wrapping_add(WINDOW as u64);
        let Ok(va) = u32::try_from(address.wrapping_sub(base)) else {
            return false;
        };
        let machine = self.vcpu.core().machine.clone();
        let Some(file) = machine.memory().file() else {
            return false;
        };
        let memory = (file, self.host);
        let write = site.kind == SiteKind::Store;
        if self.tables.open(context, va, write, memory) {
            self.tables.charge(context);
            return true;
        }
        // A page that the guest itself has yet to provide costs it more than this.
        let Some(page) = self.vcpu.core().find_page(va) else {
            return false;
        };
        self.tables.charge(context);
        self.fill_mapping(context, va, &page);
        if page.mapping_shift == 12 {
            self.fill_neighbours(context, va, &page);
        }
        self.tables.open(context, va, write, memory)
    }

    /// Makes the tables' entries of the pages beside a page that lie beside it in memory, too, so that
    /// one mapping has them all: it costs many times as much as to find them.
    fn fill_neighbours(&mut self, context: Context, va: u32, page: &Page) {
        for down in [false, true] {
            for i in 1..=NEIGHBOURS {
                let step = if down { -i * 4096 } else { i * 4096 };
                let Some(at) = (va & !0xfff).checked_add_signed(step) else {
                    break;
                };
                let beside = Page {
                    offset: page.offset.wrapping_add_signed(step as isize),
                    ..*page
                };
                let core = self.vcpu.core();
                if self.tables.can_read(context, at) || core.find_page(at) != Some(beside) {
                    break;
                }
                let holds_code = core.machine.code().holds_code(beside.offset);
                self.tables
                    .fill(context, at, &beside, self.host, holds_code);
            }
        }
    }

    /// Makes the tables' entries of a page, and of those around it that belong to the same mapping.
    fn fill_mapping(&mut self, context: Context, va: u32, page: &Page) {
        let around = 1u32 << page.mapping_shift.clamp(12, 20);
        let first = va & !(around - 1);
        for at in (first..=first + (around - 1)).step_by(4096) {
            self.fill_part(context, at, va, page);
        }
    }

    /// Makes the tables' entries of a page, and, if it belongs to a large mapping, of those that
    /// the context used of the same MiB before it was emptied. That is what a TLB does whose entry is
    /// the whole mapping, and no more is known of it than the walk for this page told.
    pub(crate) fn fill(&mut self, context: Context, va: u32, page: &Page) {
        let holds_code = self.vcpu.core().machine.code().holds_code(page.offset);
        self.tables.fill(context, va, page, self.host, holds_code);
        if page.mapping_shift >= 20
            && let Some(known) = self.tables.ask(context, va)
        {
            for at in known::addresses(va, known) {
                if !self.tables.has(context, at) {
                    self.fill_part(context, at, va, page);
                }
            }
        }
    }

    /// Makes the entries of the page at `at`, of the same mapping as the page that holds `va`, if it is
    /// memory as that is.
    fn fill_part(&mut self, context: Context, at: u32, va: u32, page: &Page) {
        let machine = &self.vcpu.core().machine;
        let distance = at.wrapping_sub(va & !0xfff) as i32;
        let offset = page.offset.wrapping_add_signed(distance as isize);
        let pa = machine
            .physical(page.offset)
            .wrapping_add_signed(distance.into());
        let same = |direct: Direct| direct.offset == offset && (direct.writable || !page.write);
        if machine.direct(pa).is_some_and(same) {
            let page = Page { offset, ..*page };
            let holds_code = machine.code().holds_code(offset);
            self.tables.fill(context, at, &page, self.host, holds_code);
        }
    }
}
