//! Queues and configuration of file system devices (VIRTIO 1.2, section 5.11).

/// Queue for requests that must not wait behind others: those that forget (section 5.11.2).
pub const HIPRIO: usize = 0;
/// Queue for all other requests.
pub const REQUEST: usize = 1;

/// Size of the configuration (section 5.11.4) without the field that F_NOTIFICATION shows.
pub const CONFIG_SIZE: usize = 40;
/// Size of the tag, with which the configuration begins, padded with zeros.
pub const TAG_SIZE: usize = 36;
