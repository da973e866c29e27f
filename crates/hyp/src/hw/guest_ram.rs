//! A guest's memory, as the hypervisor reaches it: by addresses that are checked, through its own
//! mapping of all RAM.

use core::ptr;

use skep_hyp::platform::Range;

use super::cp15;

/// Guest memory: `size` bytes at the intermediate physical address `ipa`, at `physical` in RAM.
///
/// The guest may change it at any time, on any core: values that are read twice may differ.
#[derive(Debug)]
pub struct GuestRam {
    ipa: u32,
    physical: u32,
    size: u32,
}

/// An address of a guest that isn't in its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outside;

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
        for (n, byte) in buffer.iter_mut().enumerate() {
            // SAFETY: inside the memory, by the check; volatile, since the guest may write it.
            *byte = unsafe { ptr::read_volatile(from.wrapping_add(n)) };
        }
        Ok(())
    }

    /// Writes bytes.
    pub fn write(&self, ipa: u32, bytes: &[u8]) -> Result<(), Outside> {
        let to = self.pointer(ipa, bytes.len())?;
        for (n, &byte) in bytes.iter().enumerate() {
            // SAFETY: as in `read`.
            unsafe { ptr::write_volatile(to.wrapping_add(n), byte) };
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
