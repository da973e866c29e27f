//! Memory of the host that generated code uses: the code itself, and the tables of translations.

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous,
    mprotect, mremap, munmap,
};
use std::ptr::{NonNull, null_mut};

/// A mapping that goes away with this value.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(base: *mut core::ffi::c_void, len: usize) -> std::io::Result<Self> {
        let base = NonNull::new(base.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing refers to it any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Memory for generated code, mapped twice: once to be written, once to be executed. No address is
/// ever both.
pub struct CodeMemory {
    write: Mapping,
    execute: Mapping,
}

impl CodeMemory {
    /// `len` bytes, a multiple of the page size. With `anonymous`, the mapping that is executed has
    /// no file, as `perf` wants it of code that it is to look up in a map; more hosts' policies
    /// forbid that.
    ///
    /// # Errors
    /// The host's: no memory, or a policy that forbids executable memory.
    pub fn new(len: usize, anonymous: bool) -> std::io::Result<Self> {
        if anonymous {
            return Self::new_anonymous(len);
        }
        let file = memfd_create("skep-jit", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, len as u64)?;
        let map = |protection| -> std::io::Result<Mapping> {
            // SAFETY: a new mapping at an address that the kernel chooses replaces nothing.
            let base = unsafe { mmap(null_mut(), len, protection, MapFlags::SHARED, &file, 0) }?;
            Mapping::new(base, len)
        };
        Ok(CodeMemory {
            write: map(ProtFlags::READ | ProtFlags::WRITE)?,
            execute: map(ProtFlags::READ | ProtFlags::EXEC)?,
        })
    }

    fn new_anonymous(len: usize) -> std::io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses replaces nothing.
        let write = unsafe { mmap_anonymous(null_mut(), len, protection, MapFlags::SHARED) }?;
        let write = Mapping::new(write, len)?;
        // SAFETY: of a shared mapping, a size of 0 asks for another mapping of the same memory (see
        // mremap(2)), at an address that the kernel chooses.
        let execute = unsafe { mremap(write.base.as_ptr().cast(), 0, len, MremapFlags::MAYMOVE) }?;
        let execute = Mapping::new(execute, len)?;
        // SAFETY: the mapping is this value's own, and nothing refers to it yet.
        unsafe {
            let protection = MprotectFlags::READ | MprotectFlags::EXEC;
            mprotect(execute.base.as_ptr().cast(), len, protection)?;
        }
        Ok(CodeMemory { write, execute })
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.write.len
    }

    /// Address at which the code's first byte runs.
    pub fn origin(&self) -> u64 {
        self.execute.base.as_ptr() as u64
    }

    /// Writes code at an offset; what does not fit is not written.
    pub fn write(&mut self, offset: usize, code: &[u8]) {
        if offset
            .checked_add(code.len())
            .is_some_and(|end| end <= self.len())
        {
            // SAFETY: within the mapping, which only this value writes; the thread that executes
            // the code is the one that is here.
            unsafe {
                let to = self.write.base.as_ptr().add(offset);
                std::ptr::copy_nonoverlapping(code.as_ptr(), to, code.len());
            }
        }
    }
}

// SAFETY: the mappings belong to this value; only what is executing refers to them.
unsafe impl Send for CodeMemory {}

/// A large array of integers, zero at first, that takes only the memory that is used.
pub struct Sparse {
    mapping: Mapping,
}

// SAFETY: the mapping belongs to this value.
unsafe impl Send for Sparse {}

impl Sparse {
    /// `len` bytes, a multiple of the page size.
    ///
    /// # Errors
    /// The host's: no address space.
    pub fn new(len: usize) -> std::io::Result<Self> {
        // SAFETY: a new private mapping at an address that the kernel chooses replaces nothing.
        let base = unsafe {
            mmap_anonymous(
                null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        Ok(Sparse {
            mapping: Mapping::new(base, len)?,
        })
    }

    /// Address of the first byte.
    pub fn base(&self) -> u64 {
        self.mapping.base.as_ptr() as u64
    }

    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let fits = offset.checked_add(size_of::<T>())? <= self.mapping.len;
        // SAFETY: within the mapping.
        (fits && offset.is_multiple_of(size_of::<T>()))
            .then(|| unsafe { self.mapping.base.as_ptr().add(offset).cast() })
    }

    /// The doubleword at an offset; 0 outside.
    pub fn get64(&self, offset: usize) -> u64 {
        // SAFETY: `at` checked range and alignment; only this thread writes.
        self.at(offset).map_or(0, |at| unsafe { *at })
    }

    /// The word at an offset; 0 outside.
    pub fn get32(&self, offset: usize) -> u32 {
        // SAFETY: as above.
        self.at(offset).map_or(0, |at| unsafe { *at })
    }

    /// Sets the doubleword at an offset.
    pub fn set64(&mut self, offset: usize, value: u64) {
        if let Some(at) = self.at(offset) {
            // SAFETY: as above.
            unsafe { *at = value };
        }
    }

    /// Sets the word at an offset.
    pub fn set32(&mut self, offset: usize, value: u32) {
        if let Some(at) = self.at(offset) {
            // SAFETY: as above.
            unsafe { *at = value };
        }
    }

    /// Sets the byte at an offset.
    pub fn set8(&mut self, offset: usize, value: u8) {
        if let Some(at) = self.at(offset) {
            // SAFETY: as above.
            unsafe { *at = value };
        }
    }

    /// Sets a range (whole pages) to zero by giving its memory back.
    pub fn discard(&mut self, offset: usize, len: usize) {
        if offset
            .checked_add(len)
            .is_some_and(|end| end <= self.mapping.len)
        {
            // SAFETY: within the mapping; private anonymous pages read as zero afterwards.
            let _ = unsafe {
                let at = self.mapping.base.as_ptr().add(offset);
                madvise(at.cast(), len, Advice::LinuxDontNeed)
            };
        }
    }
}
