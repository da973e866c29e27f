//! Disks: raw image files and block devices.

use crate::config::Disk;
use crate::error::Error;
use crate::standstill::Standstill;
use skep_board::virtio::block::{BlockBackend, BlockError};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of a sector: a disk is a whole number of them.
const SECTOR: u64 = 512;

/// A raw image in a file.
pub(crate) struct RawDisk {
    file: File,
    len: u64,
    read_only: bool,
    standstill: Arc<Standstill>,
}

impl RawDisk {
    /// Opens a disk, locked against other VMs if it is writable.
    pub fn open(disk: &Disk, standstill: Arc<Standstill>) -> Result<Self, Error> {
        let problem = |reason: String| Error::Disk {
            path: disk.path.clone(),
            reason,
        };
        let host = |error: std::io::Error| {
            problem(match error.kind() {
                ErrorKind::NotFound => {
                    "it does not exist; make one with, for instance, truncate -s 1G FILE".into()
                }
                ErrorKind::PermissionDenied => {
                    "you may not open it; check its permissions, or add ,readonly".into()
                }
                _ => format!("{error}; check the file"),
            })
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(!disk.read_only)
            .open(&disk.path)
            .map_err(host)?;
        let metadata = file.metadata().map_err(host)?;
        if metadata.is_dir() {
            return Err(problem("it is a directory; name an image file".into()));
        }
        let locked = if disk.read_only {
            file.try_lock_shared()
        } else {
            file.try_lock()
        };
        if let Err(std::fs::TryLockError::WouldBlock) = locked {
            return Err(problem(
                "another program has it open for writing; close that, or use a copy".into(),
            ));
        }
        // A block device has no length in its metadata.
        let len = file.seek(SeekFrom::End(0)).map_err(host)?;
        if len == 0 || len % SECTOR != 0 {
            return Err(problem(format!(
                "its length of {len} bytes is not a whole number of 512-byte sectors; lengthen it \
                 with truncate -s"
            )));
        }
        Ok(RawDisk {
            file,
            len,
            read_only: disk.read_only,
            standstill,
        })
    }
}

impl BlockBackend for RawDisk {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        self.file.read_exact_at(buf, offset).map_err(|_| BlockError)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError> {
        self.file.write_all_at(buf, offset).map_err(|_| BlockError)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.file.sync_data().map_err(|_| BlockError)
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn put_off(&mut self) -> bool {
        self.standstill.put_off()
    }
}
