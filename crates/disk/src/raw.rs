//! Raw images: files and block devices whose bytes are the disk's.

use crate::contents::Contents;
use crate::{Error, Format, SECTOR, header, info};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How much is written at once where the host can't make zeros, bytes.
const ZEROS: usize = 64 << 10;

/// A raw image.
pub struct Raw {
    file: File,
    len: u64,
    /// The file system can punch holes, as far as is known.
    holes: AtomicBool,
    /// It can make ranges zero, as far as is known.
    zeros: AtomicBool,
}

impl Raw {
    /// Takes an opened file. `named`: the format was told, and not taken from the name.
    pub fn open(file: File, path: &Path, named: bool) -> Result<Self, Error> {
        let len = info::length(&file)?;
        if len == 0 || !len.is_multiple_of(SECTOR) {
            return Err(Error::Length(len));
        }
        let mut magic = [0; 4];
        info::read_padded(&file, &mut magic, 0)?;
        if !named && magic == header::MAGIC && Format::of_name(path) == Format::Raw {
            return Err(Error::Ambiguous);
        }
        Ok(Raw {
            file,
            len,
            holes: AtomicBool::new(true),
            zeros: AtomicBool::new(true),
        })
    }

    /// Has the host do something with a range, if it can: false if not.
    fn allocate(
        &self,
        can: &AtomicBool,
        flags: FallocateFlags,
        offset: u64,
        len: u64,
    ) -> io::Result<bool> {
        allocate(&self.file, can, flags, offset, len)
    }
}

/// Has the host do something with a range of a file, if its file system `can`, which is noted if it
/// can't: false if not.
pub fn allocate(
    file: &File,
    can: &AtomicBool,
    flags: FallocateFlags,
    offset: u64,
    len: u64,
) -> io::Result<bool> {
    while can.load(Relaxed) {
        match fallocate(file, flags | FallocateFlags::KEEP_SIZE, offset, len) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => can.store(false, Relaxed),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

impl Contents for Raw {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn read_now(&self, buf: &mut [u8], offset: u64) -> bool {
        let len = buf.len();
        let read = preadv2(
            &self.file,
            &mut [IoSliceMut::new(buf)],
            offset,
            ReadWriteFlags::NOWAIT,
        );
        read == Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.allocate(&self.holes, FallocateFlags::PUNCH_HOLE, offset, len)?;
        Ok(())
    }

    fn write_zeroes(&self, mut offset: u64, mut len: u64, unmap: bool) -> io::Result<()> {
        let done = (unmap
            && self.allocate(&self.holes, FallocateFlags::PUNCH_HOLE, offset, len)?)
            || self.allocate(&self.zeros, FallocateFlags::ZERO_RANGE, offset, len)?;
        if done {
            return Ok(());
        }
        let zeros = vec![0; ZEROS];
        while len > 0 {
            let part = len.min(ZEROS as u64);
            self.write_at(&zeros[..part as usize], offset)?;
            offset += part;
            len -= part;
        }
        Ok(())
    }
}
