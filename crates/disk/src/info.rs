//! What an image is.

use crate::header::{Header, HeaderError};
use crate::{Error, Format, SECTOR};
use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

/// What can be told of an image without using it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Info {
    /// Its format, as it was named or as the name tells.
    pub format: Format,
    /// Size of the disk, bytes.
    pub size: u64,
    /// Length of the file, bytes.
    pub length: u64,
    /// What the file takes of the host's disk, bytes; 0 for a block device.
    pub allocated: u64,
    /// Of a qcow2 image: bytes of a cluster.
    pub cluster_size: Option<u64>,
    /// Of a qcow2 image: the file that it is based on, as it names it.
    pub backing: Option<String>,
    /// Of a qcow2 image: how many snapshots it holds, which are left alone.
    pub snapshots: u32,
}

/// Reads at an offset; what lies beyond the end is zero.
pub(crate) fn read_padded(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buf[done..].fill(0);
    Ok(())
}

/// Opens what may be an image: a file or a block device.
pub(crate) fn open(path: &Path, write: bool) -> Result<File, Error> {
    // A pipe would wait for its other end.
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(Error::Directory);
    }
    if !kind.is_file() && !kind.is_block_device() {
        return Err(Error::Special);
    }
    Ok(File::options().read(true).write(write).open(path)?)
}

/// The length of a file or block device, which has none in its metadata.
pub(crate) fn length(file: &File) -> io::Result<u64> {
    let mut file = file;
    file.seek(SeekFrom::End(0))
}

/// Locks an image: one that is written for its user alone.
pub(crate) fn lock(file: &File, write: bool) -> Result<(), Error> {
    let locked = if write {
        file.try_lock()
    } else {
        file.try_lock_shared()
    };
    match locked {
        Err(TryLockError::WouldBlock) => Err(Error::Locked),
        // A file system without locks has none to respect.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// What a qcow2 image is based on, as it says.
pub(crate) struct Base {
    /// The file's name, relative to the image's directory.
    pub name: String,
    /// The name of its format.
    pub format: Option<String>,
}

/// The backing file that a header has.
pub(crate) fn backing(file: &File, header: &Header) -> Result<Option<Base>, Error> {
    let text = |offset, length| {
        let mut bytes = vec![0; length];
        read_padded(file, &mut bytes, offset)?;
        String::from_utf8(bytes)
            .map_err(|_| HeaderError::Field("name of a backing file"))
            .map_err(Error::from)
    };
    let Some((offset, length)) = header.backing else {
        return Ok(None);
    };
    let format = header.backing_format(|buf, offset| read_padded(file, buf, offset))?;
    Ok(Some(Base {
        name: text(offset, length)?,
        format: format
            .map(|(offset, length)| text(offset, length))
            .transpose()?,
    }))
}

/// Tells what the image is. `format` is as for [`Disk`](crate::Disk).
///
/// # Errors
/// There is no such image, or it is none of that format.
pub fn info(path: &Path, format: Option<Format>) -> Result<Info, Error> {
    let file = open(path, false)?;
    let metadata = file.metadata()?;
    let length = length(&file)?;
    let mut info = Info {
        format: format.unwrap_or_else(|| Format::of_name(path)),
        size: length,
        length,
        // Always in units of 512 bytes.
        allocated: metadata.blocks().saturating_mul(512),
        cluster_size: None,
        backing: None,
        snapshots: 0,
    };
    match info.format {
        Format::Raw if length == 0 || !length.is_multiple_of(SECTOR) => {
            return Err(Error::Length(length));
        }
        Format::Raw => {}
        Format::Qcow2 => {
            let header = Header::read(|buf, offset| read_padded(&file, buf, offset))?;
            info.size = header.size;
            info.cluster_size = Some(header.cluster_size);
            info.backing = backing(&file, &header)?.map(|base| base.name);
            info.snapshots = header.snapshots;
        }
    }
    Ok(info)
}
