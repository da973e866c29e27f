//! Registers of an end of a channel: words. Skep's own; described in `docs/channels.md`.

/// Reads as [`MAGIC`].
pub const MAGIC_VALUE: u64 = 0x00;
/// Reads as 1.
pub const VERSION: u64 = 0x04;
/// Number of this end, from 0.
pub const END: u64 = 0x08;
/// Number of ends.
pub const ENDS: u64 = 0x0c;
/// Bytes of shared memory.
pub const MEMORY_SIZE: u64 = 0x10;
/// [`FLAG_READ_ONLY`].
pub const FLAGS: u64 = 0x14;
/// Written: a bit for each end that is to be rung. Reads as zero.
pub const RING: u64 = 0x18;
/// A bit for each end that has rung. Bits that are written as one become zero.
pub const RUNG: u64 = 0x1c;

/// "SKCH", little-endian.
pub const MAGIC: u32 = 0x4843_4b53;
/// This end can't write the shared memory.
pub const FLAG_READ_ONLY: u32 = 1 << 0;
/// The most ends.
pub const MAX_ENDS: usize = 8;
