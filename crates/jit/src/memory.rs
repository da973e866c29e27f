//! Memory of the host that generated code uses: the code itself, and the tables of translations.

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous,
    mprotect, mremap, munmap,
};
use std::os::fd::BorrowedFd;
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

    /// Reads code at an offset; what there is none of stays as it is.
    pub fn read(&self, offset: usize, code: &mut [u8]) {
        if offset
            .checked_add(code.len())
            .is_some_and(|end| end <= self.len())
        {
            // SAFETY: within the mapping, which only this value writes.
            unsafe {
                let from = self.write.base.as_ptr().add(offset);
                std::ptr::copy_nonoverlapping(from, code.as_mut_ptr(), code.len());
            }
        }
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

/// A sequence of equal parts, each of `STRIDE` addresses: the first `ARRAYS` bytes are memory that is
/// zero at first and taken from the host only where it is used; at the other addresses is nothing
/// until pages of a file are mapped there. All sizes are multiples of the page size.
pub struct Sparse<const STRIDE: usize, const ARRAYS: usize> {
    mapping: Mapping,
}

// SAFETY: the mapping belongs to this value.
unsafe impl<const STRIDE: usize, const ARRAYS: usize> Send for Sparse<STRIDE, ARRAYS> {}

/// Addresses without memory.
const RESERVED: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);
/// The same, in place of what is there.
const FREED: MapFlags = RESERVED.union(MapFlags::FIXED);

impl<const STRIDE: usize, const ARRAYS: usize> Sparse<STRIDE, ARRAYS> {
    /// `count` parts.
    ///
    /// # Errors
    /// The host's: no address space.
    pub fn new(count: usize) -> std::io::Result<Self> {
        let len = count * STRIDE;
        // SAFETY: a new private mapping at an address that the kernel chooses replaces nothing.
        let base = unsafe { mmap_anonymous(null_mut(), len, ProtFlags::empty(), RESERVED) }?;
        let mapping = Mapping::new(base, len)?;
        for at in (0..len).step_by(STRIDE) {
            // SAFETY: within the mapping, which nothing refers to yet.
            unsafe {
                let protection = MprotectFlags::READ | MprotectFlags::WRITE;
                mprotect(mapping.base.as_ptr().add(at).cast(), ARRAYS, protection)?;
            }
        }
        Ok(Sparse { mapping })
    }

    /// Where `len` bytes from `offset` are, if they are one part's and none of them is an array's.
    fn behind_arrays(&self, offset: usize, len: usize) -> Option<*mut core::ffi::c_void> {
        let within = offset % STRIDE;
        let fits = within >= ARRAYS
            && within.checked_add(len)? <= STRIDE
            && offset.checked_add(len)? <= self.mapping.len;
        // SAFETY: within the mapping.
        fits.then(|| unsafe { self.mapping.base.as_ptr().add(offset).cast() })
    }

    /// Maps `len` bytes of a file at an offset behind the arrays, to be read, and to be written if
    /// `write`. With `populate` they are in the host's page tables at once. False if the host has no
    /// room.
    pub fn map(
        &mut self,
        offset: usize,
        (file, from): (BorrowedFd<'_>, u64),
        len: usize,
        write: bool,
        populate: bool,
    ) -> bool {
        let mut protection = ProtFlags::READ;
        protection.set(ProtFlags::WRITE, write);
        let mut flags = MapFlags::SHARED | MapFlags::FIXED | MapFlags::NORESERVE;
        flags.set(MapFlags::POPULATE, populate);
        self.behind_arrays(offset, len).is_some_and(|at| {
            // SAFETY: within the mapping, where nothing of the host's is; no reference is made to it.
            unsafe { mmap(at, len, protection, flags, file, from) }.is_ok()
        })
    }

    /// Lets what is mapped at an offset behind the arrays be read only, or not even that.
    pub fn restrict(&mut self, offset: usize, len: usize, read: bool) {
        let mut protection = MprotectFlags::empty();
        protection.set(MprotectFlags::READ, read);
        let done = self.behind_arrays(offset, len).is_some_and(|at| {
            // SAFETY: as above.
            unsafe { mprotect(at, len, protection) }.is_ok()
        });
        if !done {
            self.unmap(offset, len);
        }
    }

    /// Takes away what is mapped at an offset behind the arrays.
    pub fn unmap(&mut self, offset: usize, len: usize) {
        let Some(at) = self.behind_arrays(offset, len) else {
            return;
        };
        // SAFETY: as above.
        let free = |at, len| unsafe { mmap_anonymous(at, len, ProtFlags::empty(), FREED) }.is_ok();
        // The host may have no record left to divide a mapping, but it can take all of them away.
        let part = offset - offset % STRIDE + ARRAYS;
        let whole = STRIDE - ARRAYS;
        if !free(at, len)
            && !self
                .behind_arrays(part, whole)
                .is_some_and(|at| free(at, whole))
        {
            // The guest would reach memory that it must not.
            std::process::abort();
        }
    }

    /// Address of the first byte.
    pub fn base(&self) -> u64 {
        self.mapping.base.as_ptr() as u64
    }

    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let fits = (offset % STRIDE).checked_add(size_of::<T>())? <= ARRAYS
            && offset.checked_add(size_of::<T>())? <= self.mapping.len;
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

    /// The byte at an offset; 0 outside.
    pub fn get8(&self, offset: usize) -> u8 {
        // SAFETY: as above.
        self.at(offset).map_or(0, |at| unsafe { *at })
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

    /// Sets the arrays of a part to zero by giving their memory back.
    pub fn discard(&mut self, part: usize) {
        let offset = part * STRIDE;
        if offset < self.mapping.len {
            // SAFETY: within the mapping; private anonymous pages read as zero afterwards.
            let _ = unsafe {
                let at = self.mapping.base.as_ptr().add(offset);
                madvise(at.cast(), ARRAYS, Advice::LinuxDontNeed)
            };
        }
    }
}
