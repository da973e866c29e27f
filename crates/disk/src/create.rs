//! New images, and larger ones.

use crate::header::Header;
use crate::{Error, Format, SECTOR, info, qcow2};
use imago::file::File as Storage;
use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatCreateBuilder};
use std::fs::OpenOptions;
use std::path::Path;

/// The largest disk: what a qcow2 image with usual clusters holds within QEMU's limits, and far beyond
/// what hosts have.
const MAX_SIZE: u64 = 1 << 50;

fn check_size(size: u64) -> Result<(), Error> {
    if size == 0 || !size.is_multiple_of(SECTOR) || size > MAX_SIZE {
        return Err(Error::Size(size));
    }
    Ok(())
}

/// Makes an image of `size` bytes, all zero, which takes almost no room until it is written. Nothing
/// is left behind when that fails.
///
/// # Errors
/// The file exists, the size is not a whole number of sectors, or the host's.
pub fn create(path: &Path, size: u64, format: Format) -> Result<(), Error> {
    check_size(size)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoDirectory,
            _ => Error::from(error),
        })?;
    let made = match format {
        Format::Raw => file.set_len(size),
        Format::Qcow2 => file.try_clone().and_then(|file| {
            let storage = Storage::try_from(file)?;
            Qcow2::<Storage, FormatAccess<Storage>>::create_builder(storage)
                .size(size)
                .create()
        }),
    };
    if let Err(error) = made.and_then(|()| file.sync_all()) {
        let _ = std::fs::remove_file(path);
        return Err(Error::Host(error));
    }
    Ok(())
}

/// Makes an image larger, to `size` bytes: what is new is zero, and takes almost no room. `format` is as
/// for [`Disk`](crate::Disk). Returns the size before.
///
/// # Errors
/// It is larger than that already, the size is not a whole number of sectors, or whatever is wrong with
/// the image: see [`Error`].
pub fn grow(path: &Path, size: u64, format: Option<Format>) -> Result<u64, Error> {
    check_size(size)?;
    let before = info(path, format)?;
    let file = info::open(path, true)?;
    info::lock(&file, true)?;
    if size < before.size {
        return Err(Error::Shrink {
            from: before.size,
            to: size,
        });
    }
    match before.format {
        _ if size == before.size => {}
        Format::Raw if !file.metadata()?.is_file() => return Err(Error::Device),
        Format::Raw => {
            // Another format's file, larger, would be a disk of the same size as before.
            crate::raw::Raw::open(file.try_clone()?, path, format.is_some())?;
            file.set_len(size)?;
            file.sync_all()?;
        }
        Format::Qcow2 => {
            let header = Header::read(|buf, offset| info::read_padded(&file, buf, offset))?;
            header.check_size(size)?;
            qcow2::grow(file.try_clone()?, path, &header, size)?;
            file.sync_all()?;
        }
    }
    Ok(before.size)
}
