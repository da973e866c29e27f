//! A small memory, for devices and for a machine: one array of words at the address of RAM, which may
//! be a file's, for the translator to map parts of it again.

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use skep_board::{BadAddress, GuestMemory};
use skep_interp::DirectMemory;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Memory. A target runs on one thread, so that what is not one access of a word need not be atomic.
pub struct Memory {
    base: u64,
    words: Words,
}

/// Where the words are.
enum Words {
    Owned(Vec<AtomicU64>),
    File(Mapping),
}

/// A file of words without a name, and where it is mapped.
struct Mapping {
    first: NonNull<AtomicU64>,
    count: usize,
    file: OwnedFd,
}

// SAFETY: the mapping belongs to the value, and its words are atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(count: usize) -> Self {
        let size = count * 8;
        let file = memfd_create("skep-fuzz", MemfdFlags::CLOEXEC).expect("the host has files");
        ftruncate(&file, size as u64).expect("the host has memory");
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses replaces nothing.
        let first = unsafe { mmap(null_mut(), size, protection, MapFlags::SHARED, &file, 0) };
        Mapping {
            first: NonNull::new(first.expect("the host has memory").cast()).expect("an address"),
            count,
            file,
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is the value's own, and nothing refers to it any more.
        let _ = unsafe { munmap(self.first.as_ptr().cast(), self.count * 8) };
    }
}

impl Memory {
    /// `size` bytes, a multiple of 8, at `base`.
    pub fn new(base: u64, size: usize) -> Self {
        Memory {
            base,
            words: Words::Owned((0..size / 8).map(|_| AtomicU64::new(0)).collect()),
        }
    }

    /// The same, as a mapping of a file; `size` is a multiple of the page size.
    pub fn of_file(base: u64, size: usize) -> Self {
        Memory {
            base,
            words: Words::File(Mapping::new(size / 8)),
        }
    }

    fn words(&self) -> &[AtomicU64] {
        match &self.words {
            Words::Owned(words) => words,
            // SAFETY: the mapping has that many, and stays as long as the value.
            Words::File(mapping) => unsafe {
                std::slice::from_raw_parts(mapping.first.as_ptr(), mapping.count)
            },
        }
    }

    /// The offset of `len` bytes at an address.
    pub fn offset(&self, addr: u64, len: usize) -> Option<usize> {
        let offset = usize::try_from(addr.checked_sub(self.base)?).ok()?;
        (offset.checked_add(len)? <= self.size()).then_some(offset)
    }

    fn load(&self, offset: usize, size: usize) -> u64 {
        let Some(word) = self.words().get(offset / 8) else {
            return 0;
        };
        let value = word.load(Relaxed) >> (offset % 8 * 8);
        value & (u64::MAX >> (64 - size * 8))
    }

    fn store(&self, offset: usize, size: usize, value: u64) {
        if let Some(word) = self.words().get(offset / 8) {
            let shift = offset % 8 * 8;
            let mask = (u64::MAX >> (64 - size * 8)) << shift;
            word.store(word.load(Relaxed) & !mask | value << shift & mask, Relaxed);
        }
    }
}

// SAFETY: the vector is never resized, and lives as long as the value, as the mapping does, which is the
// file's; words are atomics.
unsafe impl skep_jit::HostMemory for Memory {
    fn base(&self) -> *mut u8 {
        self.words().as_ptr().cast_mut().cast()
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        match &self.words {
            Words::Owned(_) => None,
            Words::File(mapping) => Some(mapping.file.as_fd()),
        }
    }
}

impl GuestMemory for Memory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), BadAddress> {
        let len = buf.len();
        let bad = BadAddress {
            addr,
            len: len as u64,
        };
        let start = self.offset(addr, len).ok_or(bad)?;
        for (at, byte) in (start..).zip(buf) {
            *byte = self.load8(at);
        }
        Ok(())
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), BadAddress> {
        let bad = BadAddress {
            addr,
            len: buf.len() as u64,
        };
        let start = self.offset(addr, buf.len()).ok_or(bad)?;
        for (at, byte) in (start..).zip(buf) {
            self.store8(at, *byte);
        }
        Ok(())
    }

    fn read_u16_acquire(&self, addr: u64) -> Result<u16, BadAddress> {
        assert!(addr.is_multiple_of(2), "{addr:#x} is not aligned");
        let offset = self.offset(addr, 2).ok_or(BadAddress { addr, len: 2 })?;
        Ok(self.load16(offset))
    }

    fn write_u16_release(&self, addr: u64, value: u16) -> Result<(), BadAddress> {
        assert!(addr.is_multiple_of(2), "{addr:#x} is not aligned");
        let offset = self.offset(addr, 2).ok_or(BadAddress { addr, len: 2 })?;
        self.store16(offset, value);
        Ok(())
    }
}

impl DirectMemory for Memory {
    fn size(&self) -> usize {
        self.words().len() * 8
    }
    fn load8(&self, offset: usize) -> u8 {
        self.load(offset, 1) as u8
    }
    fn load16(&self, offset: usize) -> u16 {
        assert!(offset.is_multiple_of(2));
        self.load(offset, 2) as u16
    }
    fn load32(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.load(offset, 4) as u32
    }
    fn load64(&self, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8));
        self.load(offset, 8)
    }
    fn store8(&self, offset: usize, value: u8) {
        self.store(offset, 1, value.into());
    }
    fn store16(&self, offset: usize, value: u16) {
        assert!(offset.is_multiple_of(2));
        self.store(offset, 2, value.into());
    }
    fn store32(&self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4));
        self.store(offset, 4, value.into());
    }
    fn store64(&self, offset: usize, value: u64) {
        assert!(offset.is_multiple_of(8));
        self.store(offset, 8, value);
    }
    fn compare_exchange(&self, offset: usize, size: u8, current: u64, new: u64) -> bool {
        let size = usize::from(size);
        assert!(matches!(size, 1 | 2 | 4 | 8) && offset.is_multiple_of(size));
        let same = self.load(offset, size) == current;
        if same {
            self.store(offset, size, new);
        }
        same
    }
}
