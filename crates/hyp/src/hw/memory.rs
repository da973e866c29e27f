//! Hyp mode's own memory: the heap, and the final tables of its stage 1.
//!
//! Virtual addresses: RAM below the image's 2 MiB is mapped to itself, never executable; the image
//! has its own; device registers follow it.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use linked_list_allocator::LockedHeap;
use skep_hyp::platform::{Platform, Range};
use skep_hyp::tables::{Attributes, MapError, PAGE, Tables};
use spin::Mutex;

use super::cp15;
use super::start::IMAGE_BASE;

/// Bytes of the heap: device trees while they are read and written, tables, and what VMs consist of.
const HEAP: usize = 768 << 10;

#[global_allocator]
static ALLOCATOR: LockedHeap = LockedHeap::empty();

#[repr(align(4096))]
struct HeapMemory(UnsafeCell<MaybeUninit<[u8; HEAP]>>);

// SAFETY: only the allocator uses it.
unsafe impl Sync for HeapMemory {}

static HEAP_MEMORY: HeapMemory = HeapMemory(UnsafeCell::new(MaybeUninit::uninit()));

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __image_end: u8;
}

/// Which word of the header is the end.
const END_WORD: usize = 11;

/// Gives the allocator its memory.
///
/// # Safety
///
/// Called once, before anything is allocated.
pub unsafe fn init_heap() {
    // SAFETY: by this function's contract, nobody else has the memory.
    unsafe { ALLOCATOR.lock().init(HEAP_MEMORY.0.get().cast(), HEAP) };
}

/// Bytes of the heap in use, and of the whole.
pub fn heap() -> (usize, usize) {
    (ALLOCATOR.lock().used(), HEAP)
}

/// Hyp mode's address space.
pub struct Space {
    tables: Tables,
    /// What to add to a virtual address of the image to have the physical one.
    offset: u32,
    /// Where the next device is mapped.
    next: u64,
}

/// The address space that all cores use.
static SPACE: Mutex<Option<Space>> = Mutex::new(None);

/// Where RAM can be mapped to itself: below the image.
pub const RAM_LIMIT: u64 = IMAGE_BASE as u64;

impl Space {
    /// An address space with the image in it. `offset` is physical minus virtual address.
    pub fn new(offset: u32) -> Result<Self, MapError> {
        let mut space = Space {
            tables: Tables::new(offset as usize),
            offset,
            next: u64::from(IMAGE_BASE) + (2 << 20),
        };
        let image = [
            (
                &raw const __image_start,
                &raw const __text_end,
                Attributes::HYP_CODE,
            ),
            (
                &raw const __text_end,
                &raw const __rodata_end,
                Attributes::HYP_CONSTANT,
            ),
            (
                &raw const __rodata_end,
                &raw const __image_end,
                Attributes::HYP_DATA,
            ),
        ];
        for (start, end, attributes) in image {
            let (start, end) = (start.addr() as u64, end.addr() as u64);
            let physical = u64::from((start as u32).wrapping_add(offset));
            space.tables.map(start, physical, end - start, attributes)?;
        }
        Ok(space)
    }

    /// The memory that the image takes.
    pub fn image(&self) -> Range {
        Range {
            base: u64::from(IMAGE_BASE.wrapping_add(self.offset)),
            size: (&raw const __image_end).addr() as u64 - u64::from(IMAGE_BASE),
        }
    }

    /// The bundle that was appended to the image ([`skep_bundle::image`]), if one was.
    pub fn appended(&self) -> Option<Range> {
        let header = (&raw const __image_start).cast::<u32>();
        // SAFETY: the header's word of the end is part of the image. A tool may have changed it:
        // what the compiler could know of it is not so.
        let end = unsafe { header.add(END_WORD).read_volatile() };
        let image = self.image();
        let size = u64::from(end).checked_sub(image.size)?;
        (size > 0).then_some(Range {
            base: image.end(),
            size,
        })
    }

    /// Maps RAM to itself, as far as it lies where it can be.
    pub fn map_ram(&mut self, platform: &Platform) -> Result<(), MapError> {
        for range in &platform.memory {
            let end = range.end().min(RAM_LIMIT) / PAGE * PAGE;
            let base = range.base.next_multiple_of(PAGE);
            if base < end {
                self.tables
                    .map(base, base, end - base, Attributes::HYP_DATA)?;
            }
        }
        Ok(())
    }

    /// Maps a device's registers, and returns where the first is.
    pub fn map_device(&mut self, registers: Range) -> Result<NonNull<u8>, MapError> {
        let first = registers.base / PAGE * PAGE;
        let size = (registers.end() - first).next_multiple_of(PAGE);
        let at = self.next;
        self.tables.map(at, first, size, Attributes::HYP_DEVICE)?;
        self.next += size + PAGE;
        let address = (at + (registers.base - first)) as usize;
        NonNull::new(core::ptr::without_provenance_mut(address)).ok_or(MapError::Range)
    }

    /// Physical address of something in the image.
    pub fn physical(&self, address: usize) -> u32 {
        (address as u32).wrapping_add(self.offset)
    }

    /// Makes this the address space of all cores; [`enter`] switches to it.
    pub fn publish(self) {
        *SPACE.lock() = Some(self);
        cp15::dsb();
    }
}

/// Changes the address space that all cores use.
pub fn with_space<T>(f: impl FnOnce(&mut Space) -> T) -> Option<T> {
    let result = SPACE.lock().as_mut().map(f);
    cp15::dsb();
    result
}

/// Switches this core to the address space of all cores; `hyp` is false in the report of a wrong
/// mode.
pub fn enter(hyp: bool) {
    let Some(root) = SPACE.lock().as_ref().map(|space| space.tables.root()) else {
        return;
    };
    // SAFETY: the image, and with it stack, vectors and heap, is mapped as by the boot tables.
    unsafe {
        if hyp {
            cp15::set_hyp_tables(root);
        } else {
            cp15::set_pl1_tables(root);
        }
    }
}

/// Memory from the heap that is never given back, for a stack.
pub fn leak_stack() -> &'static mut [u64] {
    Box::leak(alloc::vec![0u64; super::start::STACK / 8].into_boxed_slice())
}
