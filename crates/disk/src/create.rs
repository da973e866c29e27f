//! New images.

use crate::{Error, Format, SECTOR};
use imago::file::File as Storage;
use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatCreateBuilder};
use std::fs::OpenOptions;
use std::path::Path;

/// The largest disk: what a qcow2 image with usual clusters holds within QEMU's limits, and far beyond
/// what hosts have.
const MAX_SIZE: u64 = 1 << 50;

/// Makes an image of `size` bytes, all zero, which takes almost no room until it is written. Nothing
/// is left behind when that fails.
///
/// # Errors
/// The file exists, the size is not a whole number of sectors, or the host's.
pub fn create(path: &Path, size: u64, format: Format) -> Result<(), Error> {
    if size == 0 || !size.is_multiple_of(SECTOR) || size > MAX_SIZE {
        return Err(Error::Size(size));
    }
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
