//! Guest memory: one shared mapping that holds flash and RAM.
//!
//! The only module of this crate with unsafe code: everything is a bounds check and a relaxed
//! atomic access, since vCPUs, devices and the host read and write it at the same time.

use skep_board::{BadAddress, GuestMemory, map};
use skep_interp::code::CodeMap;
use skep_interp::{Control, Direct, DirectMemory};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};

/// Host memory that holds all of a VM's flash and RAM, zero at first. Pages that are never touched
/// cost nothing.
pub struct Memory {
    base: NonNull<u8>,
    len: usize,
    /// What is mapped: the translator maps pages of it a second time.
    file: OwnedFd,
}

// SAFETY: the mapping belongs to this value until it is dropped, and is accessed through atomics
// only.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps `len` bytes, rounded up to whole pages.
    ///
    /// # Errors
    /// The host's, when it has not that much address space or memory.
    pub fn new(len: usize) -> std::io::Result<Self> {
        use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let len = len
            .checked_next_multiple_of(4096)
            .filter(|len| *len > 0)
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        let file = memfd_create("skep-guest", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, len as u64)?;
        // SAFETY: a new mapping at an address that the kernel chooses replaces nothing.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
                &file,
                0,
            )
        }?;
        match NonNull::new(base.cast::<u8>()) {
            Some(base) => Ok(Memory { base, len, file }),
            None => Err(std::io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// A reference to a `T` at `offset`, if that is inside and naturally aligned. `T` is one of the
    /// atomic integers: valid for any bytes, and never accessed otherwise.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<&T> {
        let size = size_of::<T>();
        if offset > self.len - size || !offset.is_multiple_of(size) {
            return None;
        }
        // SAFETY: offset + size <= len, so the T lies inside the mapping (page-aligned, at least
        // one page, alive as long as self), aligned by the check above.
        Some(unsafe { &*self.base.as_ptr().add(offset).cast::<T>() })
    }

    /// Copies out, byte by byte where unaligned. `false` if it is not all inside.
    fn copy_out(&self, mut offset: usize, buf: &mut [u8]) -> bool {
        if offset
            .checked_add(buf.len())
            .is_none_or(|end| end > self.len)
        {
            return false;
        }
        let mut rest = buf;
        while !rest.is_empty() {
            if offset.is_multiple_of(8) && rest.len() >= 8 {
                let (chunk, tail) = rest.split_at_mut(8);
                chunk.copy_from_slice(&self.load64(offset).to_le_bytes());
                rest = tail;
                offset += 8;
            } else {
                rest[0] = self.load8(offset);
                rest = &mut rest[1..];
                offset += 1;
            }
        }
        true
    }

    /// Copies in. `false`, with nothing written, if it is not all inside.
    fn copy_in(&self, mut offset: usize, buf: &[u8]) -> bool {
        if offset
            .checked_add(buf.len())
            .is_none_or(|end| end > self.len)
        {
            return false;
        }
        let mut rest = buf;
        while !rest.is_empty() {
            match rest.split_first_chunk::<8>() {
                Some((chunk, tail)) if offset.is_multiple_of(8) => {
                    self.store64(offset, u64::from_le_bytes(*chunk));
                    rest = tail;
                    offset += 8;
                }
                _ => {
                    self.store8(offset, rest[0]);
                    rest = &rest[1..];
                    offset += 1;
                }
            }
        }
        true
    }

    /// Gives the whole pages in a range back to the host: they read as zero. Returns their bytes.
    fn discard(&self, offset: usize, end: usize) -> std::io::Result<usize> {
        use rustix::fs::{FallocateFlags, fallocate};
        let offset = offset.next_multiple_of(4096);
        let end = end.min(self.len) & !4095;
        if offset >= end {
            return Ok(0);
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.file, flags, offset as u64, (end - offset) as u64)?;
        Ok(end - offset)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new`, and no reference into it outlives self.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
// SAFETY: the mapping has that size and stays until the value is dropped; all accesses here are
// atomic.
unsafe impl skep_jit::HostMemory for Memory {
    fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    fn file(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.file))
    }
}

impl DirectMemory for Memory {
    fn size(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn load8(&self, offset: usize) -> u8 {
        self.at::<AtomicU8>(offset).map_or(0, |at| at.load(Relaxed))
    }

    #[inline(always)]
    fn load16(&self, offset: usize) -> u16 {
        self.at::<AtomicU16>(offset)
            .map_or(0, |at| u16::from_le(at.load(Relaxed)))
    }

    #[inline(always)]
    fn load32(&self, offset: usize) -> u32 {
        self.at::<AtomicU32>(offset)
            .map_or(0, |at| u32::from_le(at.load(Relaxed)))
    }

    #[inline(always)]
    fn load64(&self, offset: usize) -> u64 {
        self.at::<AtomicU64>(offset)
            .map_or(0, |at| u64::from_le(at.load(Relaxed)))
    }

    #[inline(always)]
    fn store8(&self, offset: usize, value: u8) {
        if let Some(at) = self.at::<AtomicU8>(offset) {
            at.store(value, Relaxed);
        }
    }

    #[inline(always)]
    fn store16(&self, offset: usize, value: u16) {
        if let Some(at) = self.at::<AtomicU16>(offset) {
            at.store(value.to_le(), Relaxed);
        }
    }

    #[inline(always)]
    fn store32(&self, offset: usize, value: u32) {
        if let Some(at) = self.at::<AtomicU32>(offset) {
            at.store(value.to_le(), Relaxed);
        }
    }

    #[inline(always)]
    fn store64(&self, offset: usize, value: u64) {
        if let Some(at) = self.at::<AtomicU64>(offset) {
            at.store(value.to_le(), Relaxed);
        }
    }

    fn compare_exchange(&self, offset: usize, size: u8, current: u64, new: u64) -> bool {
        macro_rules! exchange {
            ($atomic:ty, $int:ty) => {
                self.at::<$atomic>(offset).is_some_and(|at| {
                    let (current, new) = ((current as $int).to_le(), (new as $int).to_le());
                    at.compare_exchange(current, new, SeqCst, SeqCst).is_ok()
                })
            };
        }
        match size {
            1 => exchange!(AtomicU8, u8),
            2 => exchange!(AtomicU16, u16),
            4 => exchange!(AtomicU32, u32),
            _ => exchange!(AtomicU64, u64),
        }
    }
}

/// Offset of RAM in [`Memory`]; flash is before it.
const RAM_OFFSET: usize = map::FLASH.size as usize;

/// A VM's flash and RAM by guest-physical address, and which of it holds decoded code.
pub struct GuestRam {
    /// The bytes.
    pub memory: Memory,
    /// Where code is.
    pub code: CodeMap,
    ram_size: u64,
    /// Whether each flash bank reads as memory.
    flash_mapped: [AtomicBool; 2],
}

impl GuestRam {
    /// Memory for `ram_size` bytes of RAM.
    ///
    /// # Errors
    /// The host's, when it has not that much.
    pub fn new(ram_size: u64, watchers: Vec<Arc<Control>>) -> std::io::Result<Arc<Self>> {
        let len = usize::try_from(ram_size)
            .ok()
            .and_then(|size| size.checked_add(RAM_OFFSET))
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        let memory = Memory::new(len)?;
        let code = CodeMap::new(memory.size(), watchers);
        Ok(Arc::new(GuestRam {
            memory,
            code,
            ram_size,
            flash_mapped: [AtomicBool::new(true), AtomicBool::new(true)],
        }))
    }

    /// Size of RAM in bytes.
    pub fn ram_size(&self) -> u64 {
        self.ram_size
    }

    /// Where the RAM page that holds guest-physical address `pa` lies.
    #[inline]
    pub fn direct_ram(&self, pa: u64) -> Option<Direct> {
        let offset = pa
            .checked_sub(map::RAM_BASE)
            .filter(|offset| *offset < self.ram_size)?;
        Some(Direct {
            offset: RAM_OFFSET + (offset as usize & !0xfff),
            writable: true,
        })
    }

    /// Where the flash page at `pa` lies, if its bank reads as memory. Flash is written through its
    /// device only.
    pub fn direct_flash(&self, pa: u64) -> Option<Direct> {
        let mapped = self.flash_mapped.get((pa / map::FLASH_BANK) as usize)?;
        mapped.load(SeqCst).then_some(Direct {
            offset: pa as usize & !0xfff,
            writable: false,
        })
    }

    /// The guest-physical address of what is at `offset` in [`GuestRam::memory`].
    #[inline]
    pub fn physical(offset: usize) -> u64 {
        match offset.checked_sub(RAM_OFFSET) {
            Some(into) => map::RAM_BASE + into as u64,
            None => offset as u64,
        }
    }

    /// Notes whether a flash bank reads as memory.
    pub fn set_flash_mapped(&self, bank: usize, mapped: bool) {
        if let Some(flag) = self.flash_mapped.get(bank) {
            flag.store(mapped, SeqCst);
        }
    }

    /// Reads flash; bytes beyond it read as zero.
    pub fn read_flash(&self, offset: u64, buf: &mut [u8]) {
        if !Self::in_flash(offset, buf.len()) || !self.memory.copy_out(offset as usize, buf) {
            buf.fill(0);
        }
    }

    /// Writes flash, for its device and for loading; false if it does not fit.
    pub fn write_flash(&self, offset: u64, buf: &[u8]) -> bool {
        let written =
            Self::in_flash(offset, buf.len()) && self.memory.copy_in(offset as usize, buf);
        if written {
            self.code.written(offset as usize, buf.len());
        }
        written
    }

    fn in_flash(offset: u64, len: usize) -> bool {
        offset
            .checked_add(len as u64)
            .is_some_and(|end| end <= map::FLASH.size)
    }

    /// Makes all RAM zero, as after power-on. Not while vCPUs execute.
    ///
    /// # Errors
    /// The host's.
    pub fn clear_ram(&self) -> std::io::Result<()> {
        self.memory.discard(RAM_OFFSET, self.memory.size())?;
        self.code
            .written(RAM_OFFSET, self.memory.size() - RAM_OFFSET);
        Ok(())
    }

    /// Gives the whole pages of a range back to the host: they read as zero. Returns how many bytes that
    /// are; none, if not all of the range is RAM.
    pub fn give_back(&self, addr: u64, len: u64) -> u64 {
        let Ok(len) = usize::try_from(len) else {
            return 0;
        };
        let Ok(offset) = self.ram_offset(addr, len) else {
            return 0;
        };
        let given = self.memory.discard(offset, offset + len).unwrap_or(0);
        self.code.written(offset, len);
        given as u64
    }

    fn ram_offset(&self, addr: u64, len: usize) -> Result<usize, BadAddress> {
        let bad = BadAddress {
            addr,
            len: len as u64,
        };
        let offset = addr.checked_sub(map::RAM_BASE).ok_or(bad)?;
        let end = offset.checked_add(len as u64).ok_or(bad)?;
        if end > self.ram_size {
            Err(bad)
        } else {
            Ok(RAM_OFFSET + offset as usize)
        }
    }
}

impl GuestMemory for GuestRam {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), BadAddress> {
        let offset = self.ram_offset(addr, buf.len())?;
        self.memory.copy_out(offset, buf);
        Ok(())
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), BadAddress> {
        let offset = self.ram_offset(addr, buf.len())?;
        self.memory.copy_in(offset, buf);
        self.code.written(offset, buf.len());
        Ok(())
    }

    fn read_u16_acquire(&self, addr: u64) -> Result<u16, BadAddress> {
        let at = self.memory.at::<AtomicU16>(self.ram_offset(addr, 2)?);
        at.map(|at| u16::from_le(at.load(Acquire)))
            .ok_or(BadAddress { addr, len: 2 })
    }

    fn write_u16_release(&self, addr: u64, value: u16) -> Result<(), BadAddress> {
        let offset = self.ram_offset(addr, 2)?;
        let at = self
            .memory
            .at::<AtomicU16>(offset)
            .ok_or(BadAddress { addr, len: 2 })?;
        at.store(value.to_le(), Release);
        self.code.written(offset, 2);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_outside_are_refused() {
        let ram = GuestRam::new(8192, Vec::new()).unwrap();
        let end = map::RAM_BASE + 8192;
        let mut buf = [0; 16];
        assert!(ram.write(end - 16, &[7; 16]).is_ok());
        assert!(ram.read(end - 16, &mut buf).is_ok());
        assert_eq!(buf, [7; 16]);
        for addr in [end - 15, end, map::RAM_BASE - 1, 0, u64::MAX, u64::MAX - 8] {
            assert!(ram.write(addr, &[1; 16]).is_err(), "{addr:#x}");
            assert!(ram.read(addr, &mut buf).is_err(), "{addr:#x}");
        }
        assert!(ram.read_u16_acquire(map::RAM_BASE + 1).is_err());
        assert_eq!(ram.memory.load32(usize::MAX), 0);
        assert_eq!(ram.memory.load64(ram.memory.size() - 4), 0);
    }

    #[test]
    fn physical_addresses_are_found_again() {
        let ram = GuestRam::new(1 << 20, Vec::new()).unwrap();
        let end = map::RAM_BASE + ram.ram_size();
        for pa in [map::RAM_BASE, map::RAM_BASE + 0x1_2000, end - 4096] {
            let direct = ram.direct_ram(pa).unwrap();
            assert_eq!(GuestRam::physical(direct.offset + 4), pa + 4);
        }
        for pa in [0, map::FLASH_BANK, map::FLASH.size - 4096] {
            let direct = ram.direct_flash(pa).unwrap();
            assert_eq!(GuestRam::physical(direct.offset + 4), pa + 4);
        }
    }

    #[test]
    fn copies_of_any_alignment_round_trip() {
        let ram = GuestRam::new(4096, Vec::new()).unwrap();
        let bytes: Vec<u8> = (0..64).collect();
        for start in 0..9 {
            for len in 0..40 {
                ram.write(map::RAM_BASE + start, &bytes[..len]).unwrap();
                let mut buf = vec![0; len];
                ram.read(map::RAM_BASE + start, &mut buf).unwrap();
                assert_eq!(buf, bytes[..len]);
            }
        }
    }

    #[test]
    fn clearing_makes_zero_and_forgets_code() {
        let ram = GuestRam::new(4096, Vec::new()).unwrap();
        ram.write(map::RAM_BASE, &[1; 8]).unwrap();
        let offset = ram.direct_ram(map::RAM_BASE).unwrap().offset;
        let generation = ram.code.mark(offset, 4);
        ram.clear_ram().unwrap();
        assert_eq!(ram.memory.load64(offset), 0);
        assert_ne!(ram.code.generation(offset), generation);
    }

    #[test]
    fn what_is_given_back_is_zero_and_no_code() {
        let ram = GuestRam::new(4 * 4096, Vec::new()).unwrap();
        ram.write(map::RAM_BASE, &[7; 4 * 4096]).unwrap();
        let second = map::RAM_BASE + 4096;
        let offset = ram.direct_ram(second).unwrap().offset;
        let generation = ram.code.mark(offset, 4);
        // Whole pages, of a range that has parts of two others.
        assert_eq!(ram.give_back(second - 8, 2 * 4096 + 16), 2 * 4096);
        let mut bytes = [0; 4 * 4096];
        ram.read(map::RAM_BASE, &mut bytes).unwrap();
        let expected = [[7; 4096], [0; 4096], [0; 4096], [7; 4096]].concat();
        assert!(bytes[..] == expected[..]);
        assert_ne!(ram.code.generation(offset), generation);
        for (addr, len) in [
            (0, 4096),
            (map::RAM_BASE - 4096, 8192),
            (second, u64::MAX),
            (second, 4 * 4096),
            (u64::MAX - 4095, 4096),
        ] {
            assert_eq!(ram.give_back(addr, len), 0);
        }
    }

    #[test]
    fn exclusive_stores_compare_their_own_bytes_only() {
        let memory = Memory::new(1).unwrap();
        memory.store32(0, 0x1122_3344);
        assert!(memory.compare_exchange(1, 1, 0x33, 0xaa));
        assert!(!memory.compare_exchange(0, 2, 0x3344, 0));
        assert!(memory.compare_exchange(0, 4, 0x1122_aa44, 5));
        assert_eq!(memory.load64(0), 5);
    }
}
