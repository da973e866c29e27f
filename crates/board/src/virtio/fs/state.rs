//! Saved form of the file system device.

/// A file system device holds nothing between two requests: the files are the host's, and what its
/// server knows of them is not saved.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FsState;
