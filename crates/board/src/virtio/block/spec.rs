//! Requests, features and configuration of block devices (VIRTIO 1.2, section 5.2).

/// Unit of offsets and sizes in bytes.
pub const SECTOR: u64 = 512;

/// A request has at most `seg_max` segments (section 5.2.3).
pub const F_SEG_MAX: u64 = 1 << 2;
/// The disk is read-only.
pub const F_RO: u64 = 1 << 5;
/// The configuration has the size of a block.
pub const F_BLK_SIZE: u64 = 1 << 6;
/// The disk has a cache and can flush it.
pub const F_FLUSH: u64 = 1 << 9;
/// Sectors can be discarded.
pub const F_DISCARD: u64 = 1 << 13;
/// Sectors can be made zero without data.
pub const F_WRITE_ZEROES: u64 = 1 << 14;

/// Read (section 5.2.6, as are the rest).
pub const T_IN: u32 = 0;
/// Write.
pub const T_OUT: u32 = 1;
/// Flush.
pub const T_FLUSH: u32 = 4;
/// Read the serial number.
pub const T_GET_ID: u32 = 8;
/// Discard.
pub const T_DISCARD: u32 = 11;
/// Make zero.
pub const T_WRITE_ZEROES: u32 = 13;

/// Done.
pub const S_OK: u8 = 0;
/// Failed.
pub const S_IOERR: u8 = 1;
/// The device knows no such request.
pub const S_UNSUPP: u8 = 2;

/// Size of a request's header: type, reserved, sector.
pub const HEADER: usize = 16;
/// Size of the serial number.
pub const ID_BYTES: usize = 20;
/// Size of a range to discard or to make zero: sector, number of sectors, flags.
pub const RANGE: usize = 16;
/// Flag of a range to make zero: it need not stay allocated.
pub const RANGE_UNMAP: u32 = 1;

/// Size of the configuration (section 5.2.4) up to the last field that a feature here shows.
pub const CONFIG_SIZE: usize = 60;
/// Position of `capacity`, 64 bits.
pub const CONFIG_CAPACITY: usize = 0;
/// Position of `seg_max`, 32 bits.
pub const CONFIG_SEG_MAX: usize = 12;
/// Position of `blk_size`, 32 bits.
pub const CONFIG_BLK_SIZE: usize = 20;
/// Position of `max_discard_sectors`, 32 bits.
pub const CONFIG_MAX_DISCARD_SECTORS: usize = 36;
/// Position of `max_discard_seg`, 32 bits.
pub const CONFIG_MAX_DISCARD_SEG: usize = 40;
/// Position of `discard_sector_alignment`, 32 bits.
pub const CONFIG_DISCARD_ALIGNMENT: usize = 44;
/// Position of `max_write_zeroes_sectors`, 32 bits.
pub const CONFIG_MAX_ZEROES_SECTORS: usize = 48;
/// Position of `max_write_zeroes_seg`, 32 bits.
pub const CONFIG_MAX_ZEROES_SEG: usize = 52;
/// Position of `write_zeroes_may_unmap`, 8 bits.
pub const CONFIG_ZEROES_MAY_UNMAP: usize = 56;
