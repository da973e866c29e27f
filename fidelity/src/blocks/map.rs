//! The memory map of the machine that programs run on.
//!
//! Two levels of tables map two MiB: vectors, code and tables in domain 0, at three addresses; data in
//! domain 1, with every kind of permission, aliases, and pages that differ between two address spaces.

use super::machine::Board;
use skep_arm::state::CpuState;
use skep_interp::DirectMemory;

/// Size of physical memory.
pub const MEMORY: usize = 0x1_1000;
/// Size of the area of code, and of its aliases.
pub const CODE_SIZE: u32 = 0x4000;

const VECTORS_PA: u32 = 0;
const PATCH_SIZE: u32 = 0x2000;
/// What the handlers keep.
pub const SAVE_PA: u32 = 0x1000;
/// The tables.
pub const TABLES_PA: u32 = 0x2000;
/// The code.
pub const CODE_PA: u32 = 0x3000;
/// Eight pages of data.
pub const DATA_PA: u32 = 0x7000;

const PATCH_PA: u32 = 0xf000;
/// Registers of the interrupt lines, and a page that keeps a log of its accesses.
pub const DEVICE_PA: u32 = 0x8_0000;

/// The exception vectors.
pub const VECTORS: u32 = 0x10_0000;
/// Code: readable by all, never writable.
pub const CODE: u32 = 0xa1_0000;
/// The same pages in another order.
pub const CODE_ALIAS: u32 = 0xa2_0000;
/// All that is mapped in the MiB of [`CODE`] is mapped so far behind it, too: code there has the
/// translator copy blocks.
pub const COPY: u32 = 0x20_0000;
/// The same pages as [`CODE`], writable, not executable. Far away, so that only what means to
/// rewrite code does: the rest would do so without maintenance.
pub const CODE_WRITABLE: u32 = 0x1d_0000;
/// What the handlers keep; privileged.
pub const SAVE: u32 = 0x14_0000;
/// The tables; privileged.
pub const TABLES: u32 = 0x18_0000;
/// Two pages that are data and code, for everyone to read, write and execute. The first half of each
/// has functions, of [`SLOT`] bytes; the other half is data.
pub const PATCH: u32 = 0x1a_0000;
/// The same two pages the other way round.
pub const PATCH_ALIAS: u32 = 0x1b_0000;
/// Size of a function in [`PATCH`]; those with odd numbers are T32.
pub const SLOT: u32 = 32;
/// The interrupt lines: a store to one of the words `machine` names drives one of them.
pub const DEVICE: u32 = 0x1e_0000;
/// Where programs go at their end: an SVC, which the handlers know by its page.
pub const END: u32 = 0x1f_0f00;
/// Data: the pages of [`DATA_PAGES`].
pub const DATA: u32 = 0x20_0000;

/// Offset of the four landing pads among what the handlers keep.
pub const PADS: u32 = 0x50;
/// Offset of the numbers of exceptions by their vector.
pub const COUNTS: u32 = 0x60;
/// Offset, among what the handlers keep, of what the handler of fast interrupts that leave no trace
/// keeps: return address, SPSR, and how many there were.
pub const FAST: u32 = 0xe00;
/// Offset in [`TABLES`] of the entries for data, in each of the address spaces.
pub const DATA_TABLES: [u32; 2] = [0x800, 0xc00];

const NORMAL: u32 = 1 << 6 | 1 << 3 | 1 << 2 | 1 << 1;
const EXECUTE_NEVER: u32 = 1;
const PRIVILEGED: u32 = 1 << 4;
const USER_READ: u32 = 2 << 4;
const ALL: u32 = 3 << 4;
const READ_ONLY: u32 = 1 << 9;
const NOT_GLOBAL: u32 = 1 << 11;

/// What is mapped from [`DATA`] on: the page of data, and how.
pub const DATA_PAGES: [Option<(u32, u32)>; 16] = [
    Some((0, NORMAL | ALL | EXECUTE_NEVER)),
    Some((1, NORMAL | ALL | EXECUTE_NEVER)),
    Some((2, NORMAL | ALL | EXECUTE_NEVER)),
    Some((3, NORMAL | ALL | EXECUTE_NEVER)),
    Some((0, NORMAL | ALL | EXECUTE_NEVER)),
    Some((1, NORMAL | ALL | READ_ONLY | EXECUTE_NEVER)),
    None,
    Some((2, NORMAL | PRIVILEGED | EXECUTE_NEVER)),
    Some((4, NORMAL | ALL | NOT_GLOBAL | EXECUTE_NEVER)),
    Some((5, NORMAL | ALL | NOT_GLOBAL | EXECUTE_NEVER)),
    Some((6, NORMAL | USER_READ | EXECUTE_NEVER)),
    // Device memory: unaligned accesses fault.
    Some((7, 1 << 2 | 1 << 1 | ALL | EXECUTE_NEVER)),
    Some((3, NORMAL | PRIVILEGED | READ_ONLY | EXECUTE_NEVER)),
    Some((7, NORMAL | ALL)),
    // A device's.
    Some((
        (DEVICE_PA + 0x1000 - DATA_PA) >> 12,
        1 << 2 | 1 << 1 | ALL | EXECUTE_NEVER,
    )),
    Some((6, NORMAL | ALL | NOT_GLOBAL | EXECUTE_NEVER)),
];

/// The descriptor of the data page numbered `index` in an address space.
pub fn data_descriptor(index: usize, space: u32) -> u32 {
    match DATA_PAGES[index % 16] {
        None => 0,
        Some((page, attributes)) => {
            // The two address spaces have pages that are not global the other way round.
            let other = attributes & NOT_GLOBAL != 0 && space != 0;
            let page = if other { page ^ 1 } else { page };
            (DATA_PA + page * 0x1000) | attributes
        }
    }
}

/// Writes tables, handlers and landing pads. Fast interrupts leave no trace if `storm`.
pub fn build(board: &Board, pads: [u32; 4], storm: bool) {
    let memory = &board.memory;
    let put = |pa: u32, value: u32| memory.store32(pa as usize, value);
    for (number, word) in (0..).zip(super::handlers::HANDLERS) {
        put(VECTORS_PA + number * 4, word);
    }
    if storm {
        for (number, word) in (0..).zip(super::handlers::FAST) {
            put(VECTORS_PA + super::handlers::FAST_AT + number * 4, word);
        }
        put(VECTORS_PA + 0x1c, super::handlers::FAST_VECTOR);
    }
    for at in (0..PATCH_SIZE).step_by(4) {
        let (slot, code) = (at / SLOT, at & 0x800 == 0);
        // Everything returns.
        let word = match (code, slot % 2) {
            (false, _) => 0,
            (true, 0) => 0xe12f_ff1e,
            (true, _) => 0x4770_4770,
        };
        put(PATCH_PA + at, word);
    }
    for (number, pad) in (0..).zip(pads) {
        put(SAVE_PA + PADS + number * 4, pad);
    }
    let low = TABLES_PA + 0x400;
    for space in 0..2 {
        let level1 = TABLES_PA + space * 0x80;
        for at in [VECTORS, CODE, CODE + COPY] {
            put(level1 + (at >> 20) * 4, low | 1);
        }
        let level2 = TABLES_PA + DATA_TABLES[space as usize];
        put(level1 + 8, level2 | 1 << 5 | 1);
        for index in 0..16 {
            put(level2 + index * 4, data_descriptor(index as usize, space));
        }
    }
    let page = |va: u32, pa: u32, attributes: u32| {
        put(low + (va >> 12 & 0xff) * 4, pa | NORMAL | attributes);
    };
    page(VECTORS, VECTORS_PA, PRIVILEGED | READ_ONLY);
    page(END, VECTORS_PA, ALL | READ_ONLY);
    put(VECTORS_PA + (END & 0xfff), 0xef00_0000);
    page(SAVE, SAVE_PA, PRIVILEGED | EXECUTE_NEVER);
    page(TABLES, TABLES_PA, PRIVILEGED | EXECUTE_NEVER);
    for number in 0..2 {
        let at = number * 0x1000;
        page(PATCH + at, PATCH_PA + at, ALL);
        page(PATCH_ALIAS + (at ^ 0x1000), PATCH_PA + at, ALL);
    }
    let device = DEVICE_PA | 1 << 2 | 1 << 1 | ALL | EXECUTE_NEVER;
    put(low + (DEVICE >> 12 & 0xff) * 4, device);
    for number in 0..4 {
        let (at, pa) = (number * 0x1000, CODE_PA + number * 0x1000);
        page(CODE + at, pa, ALL | READ_ONLY);
        page(CODE_ALIAS + (at ^ 0x2000), pa, ALL | READ_ONLY);
        page(CODE_WRITABLE + at, pa, ALL | EXECUTE_NEVER);
    }
}

/// Maps a section (1 MiB) with a descriptor, in the first address space.
pub fn map_section(board: &Board, va: u32, descriptor: u32) {
    let at = TABLES_PA + (va >> 20 & 31) * 4;
    board.memory.store32(at as usize, descriptor);
}

/// TTBR0 of an address space.
pub fn ttbr0(space: u32) -> u32 {
    TABLES_PA + space * 0x80
}

/// DACR with this access to the domain of data, as client of the other.
pub fn dacr(data: u32) -> u32 {
    1 | data << 2
}

/// Sets the system registers that the map needs.
pub fn set_up(state: &mut CpuState) {
    use skep_arm::cp15::spec::sctlr;
    state.cp15.ttbr0 = u64::from(ttbr0(0));
    // TTBR0 is for the lowest 32 MiB; nothing is mapped by TTBR1.
    state.cp15.ttbcr = 1 << 5 | 7;
    state.cp15.contextidr = 1;
    state.cp15.dacr = dacr(1);
    state.cp15.sctlr |= sctlr::M | sctlr::SW;
    state.cp15.vbar = VECTORS;
    state.cp15.cpacr = 0xf << 20;
    state.simd.fpexc = 1 << 30;
}
