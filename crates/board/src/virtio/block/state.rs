//! Saved form of the block device.

/// Everything that a disk holds between two requests, its contents apart.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BlockState {
    /// The capacity that the guest was told, in sectors of 512 bytes.
    pub capacity: u64,
}
