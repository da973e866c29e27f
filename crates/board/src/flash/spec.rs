//! Commands and tables of the flash: the Intel/Sharp extended command set (0x0001). JEDEC JESD68.01,
//! "Common Flash Interface", for the query table; Intel 290606, "3 Volt Intel StrataFlash Memory"
//! datasheet, for the commands and the status register.

/// Bytes that both chips together supply in one access: two chips of 16 bits.
pub const BANK_WIDTH: u64 = 4;
/// Size of an erase block of both chips together, bytes.
pub const BLOCK_SIZE: u64 = 256 << 10;
/// Size of the write buffers of both chips together, bytes.
pub const BUFFER_SIZE: u64 = 4 << 10;

/// Command: program a word.
pub const CMD_PROGRAM: u8 = 0x40;
/// Command: program a word, the older code.
pub const CMD_PROGRAM_ALT: u8 = 0x10;
/// Command: erase a block.
pub const CMD_BLOCK_ERASE: u8 = 0x20;
/// Command: clear the status register.
pub const CMD_CLEAR_STATUS: u8 = 0x50;
/// Command: set or clear lock bits.
pub const CMD_LOCK: u8 = 0x60;
/// Command: read the status register.
pub const CMD_READ_STATUS: u8 = 0x70;
/// Command: read the identifiers.
pub const CMD_READ_ID: u8 = 0x90;
/// Command: read the query table.
pub const CMD_QUERY: u8 = 0x98;
/// Command: suspend a program or erase operation.
pub const CMD_SUSPEND: u8 = 0xb0;
/// Command: program from the write buffer.
pub const CMD_WRITE_BUFFER: u8 = 0xe8;
/// Command: read the array.
pub const CMD_READ_ARRAY: u8 = 0xff;
/// Second cycle of an erase, of a buffered write and of clearing lock bits; alone, it resumes.
pub const CONFIRM: u8 = 0xd0;
/// Second cycle of setting a lock bit.
pub const CONFIRM_LOCK: u8 = 0x01;
/// Second cycle of locking down.
pub const CONFIRM_LOCK_DOWN: u8 = 0x2f;

/// Status: ready. Operations take no time, so always set.
pub const STATUS_READY: u8 = 1 << 7;
/// Status: an erase failed.
pub const STATUS_ERASE_ERROR: u8 = 1 << 5;
/// Status: a program operation failed; together with the erase error, a wrong command sequence.
pub const STATUS_PROGRAM_ERROR: u8 = 1 << 4;

/// Manufacturer: Intel.
pub const ID_MANUFACTURER: u16 = 0x89;
/// Device: 28F128J3, as QEMU reports.
pub const ID_DEVICE: u16 = 0x18;

/// What one chip's query table has at a 16-bit word address, 0 where it has nothing. `blocks` is
/// the number of erase blocks. JESD68.01 tables 1 to 4, and from 0x31 Intel's extended table.
pub fn query(word: u64, blocks: u64) -> u8 {
    let chip_size = blocks * BLOCK_SIZE / 2;
    let chip_block = BLOCK_SIZE / 2;
    match word {
        0x10 => b'Q',
        0x11 => b'R',
        0x12 => b'Y',
        // Primary command set: Intel/Sharp extended. Its table is at 0x31.
        0x13 => 0x01,
        0x15 => 0x31,
        // Vcc between 4.5 and 5.5 V.
        0x1b => 0x45,
        0x1c => 0x55,
        // Powers of two: typical times of a word program and a buffer program (us), and of a block
        // erase (ms), then how many times longer each may take at most.
        0x1f | 0x20 => 0x07,
        0x21 => 0x0a,
        0x23..=0x25 => 0x04,
        0x27 => chip_size.checked_ilog2().unwrap_or(0) as u8,
        // Interface: x8 and x16.
        0x28 => 0x02,
        0x2a => (BUFFER_SIZE / 2).ilog2() as u8,
        // One region of equal blocks: their number less one, and their size in 256 bytes.
        0x2c => 0x01,
        0x2d => blocks.wrapping_sub(1) as u8,
        0x2e => (blocks.wrapping_sub(1) >> 8) as u8,
        0x2f => (chip_block >> 8) as u8,
        0x30 => (chip_block >> 16) as u8,
        0x31 => b'P',
        0x32 => b'R',
        0x33 => b'I',
        0x34 => b'1',
        0x35 => b'0',
        // One protection field.
        0x3f => 0x01,
        _ => 0,
    }
}
