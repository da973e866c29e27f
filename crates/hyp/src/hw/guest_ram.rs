//! A guest's memory, as the hypervisor reaches it: by addresses that are checked, through its own
//! mapping of all RAM.

use core::ptr;
use core::sync::atomic::{AtomicU16, Ordering};

use skep_board::{BadAddress, GuestMemory};
use skep_hyp::platform::Range;

use super::cp15;

/// Guest memory, or other memory of a VM's: `size` bytes at the intermediate physical address `ipa`, at `physical` in RAM.
///
/// The guest may change it at any time, on any core: values that are read twice may differ.
#[derive(Clone, Debug)]
pub struct GuestRam {
    ipa: u32,
    physical: u32,
    size: u32,
}

/// An address of a guest that isn't in its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outside;

const WORD: usize = 4;

/// How many of `length` bytes can be moved by words: all whole words, if both places are aligned.
fn words(guest: *const u8, own: *const u8, length: usize) -> usize {
    if (guest.addr() | own.addr()).is_multiple_of(WORD) {
        length / WORD * WORD
    } else {
        0
    }
}

/// Cache lines are at least this long (manual B4.1.42, CTR); longer ones are maintained twice.
const LINE: usize = 32;

impl GuestRam {
    /// Guest memory at `ipa`, in `ram`.
    ///
    /// # Safety
    ///
    /// `ram` is RAM that Hyp mode maps to itself, for as long as the result lives, and belongs to
    /// nothing else. All of it is below 4 GiB, in both address spaces.
    pub unsafe fn new(ipa: u32, ram: Range) -> Self {
        GuestRam {
            ipa,
            physical: ram.base as u32,
            size: ram.size as u32,
        }
    }

    /// Where it is in RAM.
    pub fn physical(&self) -> u64 {
        self.physical.into()
    }

    /// The intermediate physical address of a physical one.
    pub fn ipa_of(&self, physical: u64) -> Option<u32> {
        let offset = u32::try_from(physical).ok()?.checked_sub(self.physical)?;
        (offset < self.size).then(|| self.ipa + offset)
    }

    fn pointer(&self, ipa: u32, length: usize) -> Result<*mut u8, Outside> {
        let offset = ipa.checked_sub(self.ipa).ok_or(Outside)?;
        let length = u32::try_from(length).map_err(|_| Outside)?;
        let end = offset.checked_add(length).ok_or(Outside)?;
        if end > self.size {
            return Err(Outside);
        }
        let address = self.physical as usize + offset as usize;
        Ok(ptr::with_exposed_provenance_mut(address))
    }

    /// Whether so many bytes from an address on are in it.
    pub fn contains(&self, ipa: u32, length: usize) -> bool {
        self.pointer(ipa, length).is_ok()
    }

    /// Reads bytes.
    pub fn read(&self, ipa: u32, buffer: &mut [u8]) -> Result<(), Outside> {
        let from = self.pointer(ipa, buffer.len())?;
        let words = words(from, buffer.as_ptr(), buffer.len());
        let (head, tail) = buffer.split_at_mut(words);
        for (n, word) in head.chunks_exact_mut(WORD).enumerate() {
            // SAFETY: inside the memory, by the check, and aligned; volatile, since the guest may
            // write it.
            let value = unsafe { ptr::read_volatile(from.wrapping_add(n * WORD).cast::<u32>()) };
            word.copy_from_slice(&value.to_ne_bytes());
        }
        for (n, byte) in tail.iter_mut().enumerate() {
            // SAFETY: as above.
            *byte = unsafe { ptr::read_volatile(from.wrapping_add(words + n)) };
        }
        Ok(())
    }

    /// Writes bytes.
    pub fn write(&self, ipa: u32, bytes: &[u8]) -> Result<(), Outside> {
        let to = self.pointer(ipa, bytes.len())?;
        let words = words(to, bytes.as_ptr(), bytes.len());
        let (head, tail) = bytes.split_at(words);
        for (n, word) in head.chunks_exact(WORD).enumerate() {
            let value = word.try_into().map_or(0, u32::from_ne_bytes);
            // SAFETY: as in `read`.
            unsafe { ptr::write_volatile(to.wrapping_add(n * WORD).cast::<u32>(), value) };
        }
        for (n, &byte) in tail.iter().enumerate() {
            // SAFETY: as in `read`.
            unsafe { ptr::write_volatile(to.wrapping_add(words + n), byte) };
        }
        Ok(())
    }

    /// Copies a file into the memory; no vCPU of the guest runs.
    pub fn load(&self, ipa: u32, bytes: &[u8]) -> Result<(), Outside> {
        let to = self.pointer(ipa, bytes.len())?;
        // SAFETY: inside the memory, by the check; the file is elsewhere, since this memory belongs
        // to nothing else.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Bytes.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Where a part is in Hyp mode's address space, as far as it is in the memory.
    fn part(&self, offset: u32, length: u32) -> core::ops::Range<usize> {
        let start = self.size.min(offset);
        let end = self.size.min(offset.saturating_add(length));
        let base = self.physical as usize;
        base + start as usize..base + end as usize
    }

    /// Fills a part of the memory with zeros; no vCPU of the guest runs.
    pub fn scrub(&self, offset: u32, length: u32) {
        let part = self.part(offset, length);
        let start: *mut u8 = ptr::with_exposed_provenance_mut(part.start);
        // SAFETY: a part of the memory.
        unsafe { ptr::write_bytes(start, 0, part.len()) };
    }

    /// Writes what caches hold of a part of the memory to RAM, and drops it from the caches: a guest
    /// that has its caches off sees the memory itself.
    pub fn clean(&self, offset: u32, length: u32) {
        for line in self.part(offset, length).step_by(LINE) {
            cp15::dccimvac::write(line as u32);
        }
        cp15::dsb();
    }
}

impl GuestRam {
    fn checked(&self, addr: u64, length: usize) -> Result<u32, BadAddress> {
        u32::try_from(addr)
            .ok()
            .filter(|&ipa| self.pointer(ipa, length).is_ok())
            .ok_or(BadAddress {
                addr,
                len: length as u64,
            })
    }

    /// A halfword that the guest may write at any time.
    fn halfword(&self, addr: u64) -> Result<&AtomicU16, BadAddress> {
        let bad = BadAddress { addr, len: 2 };
        let ipa = self.checked(addr, 2)?;
        let pointer = self.pointer(ipa, 2).map_err(|_| bad)?.cast::<u16>();
        if !pointer.is_aligned() {
            return Err(bad);
        }
        // SAFETY: inside the memory, which is there for as long as this; aligned.
        Ok(unsafe { AtomicU16::from_ptr(pointer) })
    }
}

impl GuestMemory for GuestRam {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), BadAddress> {
        let ipa = self.checked(addr, buf.len())?;
        GuestRam::read(self, ipa, buf).map_err(|Outside| BadAddress {
            addr,
            len: buf.len() as u64,
        })
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), BadAddress> {
        let ipa = self.checked(addr, buf.len())?;
        GuestRam::write(self, ipa, buf).map_err(|Outside| BadAddress {
            addr,
            len: buf.len() as u64,
        })
    }

    fn read_u16_acquire(&self, addr: u64) -> Result<u16, BadAddress> {
        Ok(self.halfword(addr)?.load(Ordering::Acquire))
    }

    fn write_u16_release(&self, addr: u64, value: u16) -> Result<(), BadAddress> {
        self.halfword(addr)?.store(value, Ordering::Release);
        Ok(())
    }
}
