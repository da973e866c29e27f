//! What kinds of images have in common.

use std::io;

/// The contents of a disk. Ranges are within its length; several threads may be at it, and what
/// overlapping requests at the same time leave is one or the other of each sector.
pub trait Contents: Send + Sync {
    /// Bytes.
    fn len(&self) -> u64;
    /// Reads all of `buf`.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// As `read_at`, if all is in the host's memory: whether it was done.
    fn read_now(&self, _buf: &mut [u8], _offset: u64) -> bool {
        false
    }
    /// Writes all of `buf`.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Gives to the host what is held back. If that fails, it is still held.
    fn write_back(&self) -> io::Result<()> {
        Ok(())
    }
    /// Makes what the host was given survive a crash of it.
    fn sync(&self) -> io::Result<()>;
    /// What the range holds matters no more. Does nothing where the host can't profit.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes the range zero, which with `unmap` may give back what it takes.
    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()>;
}
