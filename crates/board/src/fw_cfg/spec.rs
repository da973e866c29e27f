//! Registers, keys and structures of QEMU's firmware configuration device. QEMU documentation,
//! "QEMU Firmware Configuration (fw_cfg) Device" (docs/specs/fw_cfg).

/// The data register: the selected item's bytes, one after the other, in accesses of 1 to 8 bytes.
pub const DATA: u64 = 0x00;
/// First offset beyond the data register.
pub const DATA_END: u64 = 0x08;
/// The selector register: 16 bits, big-endian, write-only.
pub const SELECTOR: u64 = 0x08;
/// The DMA address register: 64 bits, big-endian. Writing the lower half starts the transfer.
pub const DMA: u64 = 0x10;
/// The lower half of the DMA address register.
pub const DMA_LOW: u64 = 0x14;

/// What the DMA address register reads as, in memory order: that there is one.
pub const DMA_SIGNATURE: [u8; 8] = *b"QEMU CFG";

/// Key: the signature "QEMU".
pub const KEY_SIGNATURE: u16 = 0x0000;
/// Key: the features, a 32-bit little-endian bitmap.
pub const KEY_ID: u16 = 0x0001;
/// Key: the directory of files.
pub const KEY_FILE_DIR: u16 = 0x0019;
/// First key of a file.
pub const KEY_FILE_FIRST: u16 = 0x0020;
/// The bits of a key that select an item; bit 14 asked for writing in old versions.
pub const KEY_MASK: u16 = 0xbfff;
/// The largest number of files: the keys up to bit 14.
pub const MAX_FILES: usize = 0x4000 - KEY_FILE_FIRST as usize;
/// Size of a file name in the directory, the final zero included.
pub const FILE_NAME_SIZE: usize = 56;

/// Feature: the selector and data registers.
pub const FEATURE_TRADITIONAL: u32 = 1 << 0;
/// Feature: DMA.
pub const FEATURE_DMA: u32 = 1 << 1;

/// DMA control: the transfer failed (set by the device).
pub const DMA_ERROR: u32 = 1 << 0;
/// DMA control: read the item into memory.
pub const DMA_READ: u32 = 1 << 1;
/// DMA control: skip bytes of the item.
pub const DMA_SKIP: u32 = 1 << 2;
/// DMA control: select the item whose key is in bits 31 to 16.
pub const DMA_SELECT: u32 = 1 << 3;
/// DMA control: write the item from memory.
pub const DMA_WRITE: u32 = 1 << 4;
/// Size of the structure that describes a transfer: control, length and address, big-endian.
pub const DMA_DESCRIPTOR_SIZE: usize = 16;
