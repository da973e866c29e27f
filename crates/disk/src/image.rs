//! An opened image.

use crate::contents::Contents;
use crate::qcow2::Qcow2;
use crate::raw::Raw;
use crate::{Access, Disk, Error, Format, info};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// A disk's image, opened and locked. Several threads may use it at the same time.
pub struct Image {
    contents: Box<dyn Contents>,
    access: Access,
    /// A flush failed. The host may have dropped what it could not write, and would report success
    /// the next time.
    lost: AtomicBool,
}

impl Image {
    /// Opens a disk's image. One that is written is locked against all other users, and one that is
    /// only read against those who write.
    ///
    /// # Errors
    /// Whatever is wrong with it: see [`Error`].
    pub fn open(disk: &Disk) -> Result<Self, Error> {
        let write = disk.access == Access::Write;
        let file = info::open(&disk.path, write)?;
        info::lock(&file, write)?;
        let contents: Box<dyn Contents> = match (disk.format(), disk.access) {
            (Format::Raw, Access::Write | Access::ReadOnly) => {
                Box::new(Raw::open(file, &disk.path, disk.format.is_some())?)
            }
            (Format::Qcow2, Access::Write | Access::ReadOnly) => Box::new(Qcow2::open(file, disk)?),
            (format, Access::Temporary) => {
                if format == Format::Raw {
                    Raw::open(file.try_clone()?, &disk.path, disk.format.is_some())?;
                }
                Box::new(Qcow2::temporary(file, disk)?)
            }
        };
        Ok(Image {
            contents,
            access: disk.access,
            lost: AtomicBool::new(false),
        })
    }

    /// Size of the disk in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.contents.len()
    }

    /// Whether the disk has no bytes; images without any are refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the disk can't be written.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// Checks that a range is within the disk, and that it may be written.
    fn check(&self, offset: u64, len: u64, write: bool) -> io::Result<()> {
        if write && self.read_only() {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Reads all of `buf` from byte `offset`.
    ///
    /// # Errors
    /// The range is not within the disk, or the host's.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.check(offset, buf.len() as u64, false)?;
        self.contents.read_at(buf, offset)
    }

    /// As [`Image::read_at`], if the host has all of it in memory, so that it need not wait for a
    /// device: whether it was done.
    #[must_use]
    pub fn read_now(&self, buf: &mut [u8], offset: u64) -> bool {
        self.check(offset, buf.len() as u64, false).is_ok() && self.contents.read_now(buf, offset)
    }

    /// Writes all of `buf` at byte `offset`.
    ///
    /// # Errors
    /// The range is not within the disk, the disk is read-only, or the host's.
    pub fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.check(offset, buf.len() as u64, true)?;
        self.contents.write_at(buf, offset)
    }

    /// Gives to the host what is held back here of what was written, so that it survives the end of
    /// the process. Dropping an image does so, too.
    ///
    /// # Errors
    /// The host's.
    pub fn write_back(&self) -> io::Result<()> {
        if self.read_only() {
            return Ok(());
        }
        self.contents.write_back()
    }

    /// Makes what was written before survive a crash of the host. What is written to a temporary disk
    /// does not, and need not.
    ///
    /// # Errors
    /// The host's. After one of the host's own storage all further calls fail, since it may have
    /// dropped what it could not write.
    pub fn flush(&self) -> io::Result<()> {
        if self.read_only() {
            return Ok(());
        }
        if self.lost.load(SeqCst) {
            return Err(io::Error::other(
                "an earlier flush failed, and what was written before may be lost",
            ));
        }
        self.contents.write_back()?;
        let synced = self.contents.sync();
        if synced.is_err() {
            self.lost.store(true, SeqCst);
        }
        synced
    }

    /// Says that the contents of a range matter no more. The host may get back what they take.
    ///
    /// # Errors
    /// As of [`Image::write_at`].
    pub fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check(offset, len, true)?;
        if len == 0 {
            return Ok(());
        }
        self.contents.discard(offset, len)
    }

    /// Makes a range zero. With `unmap`, the host may get back what it takes.
    ///
    /// # Errors
    /// As of [`Image::write_at`].
    pub fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        self.check(offset, len, true)?;
        if len == 0 {
            return Ok(());
        }
        self.contents.write_zeroes(offset, len, unmap)
    }
}
