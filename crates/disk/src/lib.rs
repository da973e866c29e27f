//! Disk images: files of the host that a virtual machine has as disks.
//!
//! An image is raw (each byte of the file is a byte of the disk; block devices of the host, too) or
//! qcow2 (QEMU's format: a file that grows with what is written). Which of them it is, is told by who
//! names it or by its name, never by its contents: those may be a guest's, who could make a raw disk
//! look like a qcow2 image that names other files of the host.

#![forbid(unsafe_code)]

mod check;
mod contents;
mod create;
mod error;
mod header;
mod image;
mod info;
mod qcow2;
mod raw;
#[cfg(test)]
mod tests;

pub use create::{create, grow};
pub use error::Error;
pub use image::Image;
pub use info::{Info, info};

use std::path::{Path, PathBuf};

/// Bytes of a sector: a disk is a whole number of them.
pub const SECTOR: u64 = 512;

/// The form of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// The file's bytes are the disk's.
    #[default]
    Raw,
    /// QEMU's format (`docs/interop/qcow2` of its documentation), versions 2 and 3.
    Qcow2,
}

impl Format {
    /// All, with their names.
    pub const ALL: [(&'static str, Format); 2] = [("raw", Format::Raw), ("qcow2", Format::Qcow2)];

    /// The format that a file's name tells: qcow2 for `.qcow2`, and raw for all others.
    #[must_use]
    pub fn of_name(path: &Path) -> Self {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("qcow2") => Format::Qcow2,
            _ => Format::Raw,
        }
    }

    /// The format of a name in [`Format::ALL`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Format::ALL.into_iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, format)| format)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        }
    }
}

/// What may happen to an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// It is read and written.
    #[default]
    Write,
    /// It is read. The guest is told that the disk can't be written.
    ReadOnly,
    /// It is read. What the guest writes goes to a file that vanishes with the disk.
    Temporary,
}

/// A disk of a virtual machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Disk {
    /// The image: a file, or (raw) a block device.
    pub path: PathBuf,
    /// Its format; without one, [`Format::of_name`].
    pub format: Option<Format>,
    /// What may happen to it.
    pub access: Access,
    /// A qcow2 image may have a backing file, which it names: any file that the user may read. Without,
    /// such an image is refused.
    pub backing: bool,
}

impl Disk {
    /// A disk that may be written, in the format that its name tells.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Disk {
            path: path.into(),
            ..Disk::default()
        }
    }

    /// The image's format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format.unwrap_or_else(|| Format::of_name(&self.path))
    }
}
