//! What a vCPU needs of the machine around it.

use crate::code::CodeMap;

/// No device or memory answers at a physical address: an external abort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BusError;

/// Memory that a vCPU reads and writes directly, one flat array of bytes. It is shared by all vCPUs
/// and devices, so every access is a relaxed atomic of its size. Offsets are checked: one out of
/// range reads as 0 and drops the write.
///
/// `offset` is naturally aligned in every method; values are little-endian.
pub trait DirectMemory: Sync {
    /// Size in bytes, not 0.
    fn size(&self) -> usize;
    /// Loads a byte.
    fn load8(&self, offset: usize) -> u8;
    /// Loads a halfword.
    fn load16(&self, offset: usize) -> u16;
    /// Loads a word.
    fn load32(&self, offset: usize) -> u32;
    /// Loads a doubleword, single-copy atomic.
    fn load64(&self, offset: usize) -> u64;
    /// Stores a byte.
    fn store8(&self, offset: usize, value: u8);
    /// Stores a halfword.
    fn store16(&self, offset: usize, value: u16);
    /// Stores a word.
    fn store32(&self, offset: usize, value: u32);
    /// Stores a doubleword, single-copy atomic.
    fn store64(&self, offset: usize, value: u64);
    /// Atomic compare and exchange of `size` (1, 2, 4, 8) bytes, sequentially consistent; true if
    /// memory held `current` and now holds `new`.
    fn compare_exchange(&self, offset: usize, size: u8, current: u64, new: u64) -> bool;
}

/// Where a page of physical addresses lies in direct memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Direct {
    /// Offset of the page's first byte in [`DirectMemory`].
    pub offset: usize,
    /// Stores go to memory; otherwise they go to [`Machine::mmio_write`] (flash).
    pub writable: bool,
}

/// What system registers show of time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// The generic timer's physical count, CNTPCT.
    pub physical: u64,
    /// Processor cycles.
    pub cycles: u64,
}

/// The machine around a vCPU: its memory, its devices and its counter.
pub trait Machine: Sync {
    /// The type of memory.
    type Memory: DirectMemory;

    /// The memory.
    fn memory(&self) -> &Self::Memory;

    /// Which lines of memory hold decoded code.
    fn code(&self) -> &CodeMap;

    /// Where the 4 KiB page that holds `pa` lies in memory, if it is memory (RAM, or flash that
    /// reads as an array). May be remembered until [`crate::Control::flush_mappings`].
    fn direct(&self, pa: u64) -> Option<Direct>;

    /// The physical address of the byte at `offset` in memory: [`Machine::direct`]'s inverse.
    fn physical(&self, offset: usize) -> u64;

    /// Reads `size` (1, 2, 4, 8) bytes of a device, for the vCPU numbered `vcpu`.
    fn mmio_read(&self, vcpu: usize, pa: u64, size: u8) -> Result<u64, BusError>;

    /// Writes `size` bytes to a device.
    fn mmio_write(&self, vcpu: usize, pa: u64, size: u8, value: u64) -> Result<(), BusError>;

    /// The counters that system registers show: the generic timer's and the cycle counter.
    fn counters(&self) -> Counters;

    /// Lets other threads of the host run: this vCPU waits for another one.
    fn yield_host(&self) {
        core::hint::spin_loop();
    }
}
