//! What kinds of images have in common.

use std::io;

/// The contents of a disk. Ranges are within its length; several threads may be at it, and what
/// overlapping requests at the same time leave is one or the other of each sector.
pub trait Contents: Send + Sync {
    /// Bytes.
    fn len(&self) -> u64;
    /// Reads all of `buf`.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `buf`.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written before survive a crash of the host.
    fn flush(&self) -> io::Result<()>;
    /// What the range holds matters no more. Does nothing where the host can't profit.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes the range zero, which with `unmap` may give back what it takes.
    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()>;
}
