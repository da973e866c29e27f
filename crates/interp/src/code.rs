//! Which memory holds decoded code: so that a write to code is noticed, and only that.

use crate::control::{self, Control};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence};

/// Size of a page in bytes.
pub const PAGE: usize = 4096;
const LINE_SHIFT: u32 = 6;
/// Bytes that are noted together.
pub const LINE: usize = 1 << LINE_SHIFT;

/// For each 4 KiB page of direct memory, which of its 64-byte lines hold code that some vCPU has
/// decoded, and a generation that changes when one of them is written.
///
/// A store looks at one word, which is 0 for data pages. A block cache keeps the generation with
/// each block and drops the block when it differs.
///
/// Who writes stores first and looks then; who decodes marks first and reads then. A page is marked
/// for the first time in a generation with all vCPUs told of it ([`crate::Core::begin_code`]), so
/// that the look at the word, which every store takes, needs no barrier: after that, they look
/// closer, with one.
///
/// Of two who write to a page, the second may find no mark because of the first, and relies on what
/// the first does: the marks go last, when the generation has changed and all vCPUs are told.
pub struct CodeMap {
    pages: Vec<Page>,
    watchers: Vec<Arc<Control>>,
}

#[derive(Default)]
struct Page {
    lines: AtomicU64,
    generation: AtomicU32,
    /// 1 more than the generation in which all vCPUs were told that the page holds code.
    told: AtomicU32,
    /// Held while marks are made, and while they are taken away with all that belongs to it: a mark
    /// is of the generation that it was made in.
    changing: AtomicBool,
}

impl Page {
    /// Changes marks and generation. No more than a few stores: others spin meanwhile.
    fn change<R>(&self, change: impl FnOnce() -> R) -> R {
        while self
            .changing
            .compare_exchange_weak(false, true, Acquire, Relaxed)
            .is_err()
        {
            core::hint::spin_loop();
        }
        let result = change();
        self.changing.store(false, Release);
        result
    }
}

impl CodeMap {
    /// A map for `size` bytes of direct memory. When code is written, the watchers get
    /// [`control::CODE`].
    pub fn new(size: usize, watchers: Vec<Arc<Control>>) -> Self {
        let mut pages = Vec::new();
        pages.resize_with(size.div_ceil(PAGE), Page::default);
        CodeMap { pages, watchers }
    }

    /// The generation of the page that holds `offset`.
    #[inline]
    pub fn generation(&self, offset: usize) -> u32 {
        self.pages
            .get(offset / PAGE)
            .map_or(0, |page| page.generation.load(Relaxed))
    }

    /// Notes that `len` bytes (within one page) from `offset` are about to be decoded, and returns
    /// the generation to keep with the block. Called before the code is read, so that a write that
    /// races with it is seen as newer.
    pub fn mark(&self, offset: usize, len: usize) -> u32 {
        let Some(page) = self.pages.get(offset / PAGE) else {
            return 0;
        };
        page.change(|| {
            page.lines.fetch_or(line_mask(offset, len), SeqCst);
            page.generation.load(SeqCst)
        })
    }

    /// True when all vCPUs know that the page that holds `offset` holds code, in this generation.
    pub(crate) fn told(&self, offset: usize, generation: u32) -> bool {
        self.pages
            .get(offset / PAGE)
            .is_none_or(|page| page.told.load(SeqCst) == generation.wrapping_add(1))
    }

    /// Notes that all vCPUs know.
    pub(crate) fn set_told(&self, offset: usize, generation: u32) {
        if let Some(page) = self.pages.get(offset / PAGE) {
            page.told.store(generation.wrapping_add(1), SeqCst);
        }
    }

    /// True when the page that holds `offset` holds code: a store there must call
    /// [`CodeMap::written`].
    #[inline(always)]
    pub fn holds_code(&self, offset: usize) -> bool {
        match self.pages.get(offset / PAGE) {
            Some(page) => page.lines.load(Relaxed) != 0,
            None => false,
        }
    }

    /// Notes that `len` bytes from `offset` were written, by a vCPU or a device.
    pub fn written(&self, offset: usize, len: usize) {
        // What was written comes before the look at who decoded it.
        fence(SeqCst);
        let end = offset.saturating_add(len);
        let mut at = offset;
        while at < end {
            let Some(page) = self.pages.get(at / PAGE) else {
                return;
            };
            let next = (at / PAGE + 1) * PAGE;
            let part = next.min(end) - at;
            let mask = line_mask(at, part);
            if page.lines.load(SeqCst) & mask != 0 {
                page.change(|| {
                    if page.lines.load(SeqCst) & mask != 0 {
                        // The whole page's blocks go: those that still matter mark their lines again.
                        page.generation.fetch_add(1, SeqCst);
                        for watcher in &self.watchers {
                            watcher.set(control::CODE, true);
                        }
                        page.lines.store(0, SeqCst);
                    }
                });
            }
            at = next;
        }
    }
}

/// One bit for each line that `len` bytes from `offset` touch.
fn line_mask(offset: usize, len: usize) -> u64 {
    let first = (offset % PAGE) >> LINE_SHIFT;
    let last = (offset % PAGE + len.max(1) - 1).min(PAGE - 1) >> LINE_SHIFT;
    (u64::MAX >> (63 - (last - first))) << first
}
