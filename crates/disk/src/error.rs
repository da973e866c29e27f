//! What can be wrong with an image.

use crate::header::HeaderError;
use std::io::ErrorKind;

/// Why an image can't be used or made. Each message says what is wrong with the file and, after a
/// semicolon, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file does not exist.
    #[error("it does not exist; make one with skep image create FILE --size 1G")]
    Missing,
    /// The user may not open it.
    #[error("you may not open it; check its permissions, or add ,readonly")]
    Forbidden,
    /// It is a directory.
    #[error("it is a directory; name an image file")]
    Directory,
    /// It is neither a file nor a block device.
    #[error("it is neither a file nor a block device; name an image file")]
    Special,
    /// It is to be created, and exists.
    #[error("it exists; choose another name, or remove it first")]
    Exists,
    /// The directory that it is to be created in does not exist.
    #[error("its directory does not exist; make that first")]
    NoDirectory,
    /// Another program uses it.
    #[error("another program has it open for writing; close that, or use a copy")]
    Locked,
    /// The length is not a whole number of sectors.
    #[error(
        "its length of {0} bytes is not a whole number of 512-byte sectors; lengthen it with truncate -s"
    )]
    Length(u64),
    /// The size of a new image is not a whole number of sectors, or nothing.
    #[error(
        "a disk of {0} bytes can't be made; choose a whole number of 512-byte sectors, such as 1G"
    )]
    Size(u64),
    /// It is to become smaller.
    #[error(
        "it has {from} bytes, and a disk can only grow; to keep less, make a new one with skep image create, and copy its files in a guest"
    )]
    Shrink {
        /// Its size, bytes.
        from: u64,
        /// The size that was asked for.
        to: u64,
    },
    /// A device of the host's is to become larger.
    #[error("it is a device of the host, which has the size that it has; name an image file")]
    Device,
    /// A raw image by its name begins as a qcow2 image does.
    #[error(
        "it is raw by its name, and begins as a qcow2 image does; say which it is with ,format=qcow2 or ,format=raw"
    )]
    Ambiguous,
    /// It is no qcow2 image that can be used.
    #[error("{0}")]
    Qcow2(#[from] HeaderError),
    /// The qcow2 image can't be opened.
    #[error("its qcow2 metadata can't be used ({0}); check it with qemu-img check")]
    Metadata(#[source] std::io::Error),
    /// The qcow2 image has a backing file, which was not allowed.
    #[error(
        "it is based on the file {0:?}, which may be any file of yours; if you trust the image, add ,backing=allow"
    )]
    Backing(String),
    /// What the image is based on can't be used.
    #[error("the file that it is based on, {path:?}, can't be used: {error}")]
    Base {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        #[source]
        error: Box<Error>,
    },
    /// The image says that what it is based on has another format.
    #[error("it is to be neither raw nor qcow2; convert it with qemu-img convert -O qcow2")]
    BaseFormat,
    /// The chain of images that are based on another one is too long.
    #[error("too many images are based on each other; join them with qemu-img convert")]
    Depth,
    /// The file for what is written to a temporary disk can't be made.
    #[error(
        "a temporary file for what is written to it can't be made in {directory:?} ({source}); set TMPDIR to a directory with room"
    )]
    Temporary {
        /// The directory.
        directory: std::path::PathBuf,
        /// The host's error.
        source: std::io::Error,
    },
    /// The host reported something else.
    #[error("{0}; check the file")]
    Host(std::io::Error),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Error::Missing,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::Forbidden,
            ErrorKind::AlreadyExists => Error::Exists,
            ErrorKind::IsADirectory => Error::Directory,
            _ => Error::Host(error),
        }
    }
}
