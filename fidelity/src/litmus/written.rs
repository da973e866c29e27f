//! Code that others write: several writers, first decoding, devices, and mappings of code that change.

use super::{Engines, LOOPS, LitmusError, Part, SHARED, X, Y, code, run, run_with};
use crate::blocks::machine::Board;
use crate::blocks::map;
use skep_interp::{DirectMemory, Machine};

/// MOVW R0, #0.
const MOVW: u32 = 0xe300_0000;
/// BX LR.
const RETURN: u32 = 0xe12f_ff1e;

/// MOVW R0 of a number of 16 bits.
fn movw(number: u32) -> u32 {
    MOVW | (number >> 12) << 16 | number & 0xfff
}

/// What the registers of a vCPU hold that rewrites the function at offset `own` of the page and calls
/// the one at `other`.
fn writer(own: u32, tell: u32, other: u32, told: u32, n: u32) -> [(usize, u32); 7] {
    [
        (3, map::CODE + own),
        (4, map::CODE_WRITABLE + own),
        (5, tell),
        (6, n),
        (7, map::CODE + other),
        (9, told),
        (10, MOVW),
    ]
}

/// Two functions in one page, each rewritten by a vCPU and called by both: what one has written it
/// executes, whatever the other does to the page. `apart` is the distance of the functions in bytes.
///
/// # Errors
/// When there is no result.
pub fn two_writers(engines: Engines, apart: u32, n: u32) -> Result<u64, LitmusError> {
    let regs = [writer(0, X, apart, Y, n), writer(apart, Y, 0, X, n)];
    let parts = regs.each_ref().map(|regs| Part {
        code: &code::WRITE_AND_CALL,
        regs,
    });
    let prepare = |board: &Board| put_function(board, map::CODE_PA + apart);
    let left = run_with(engines, &parts, prepare, |_| {})?;
    Ok(left.counted(0) + left.counted(1))
}

/// Puts a function that returns 0.
fn put_function(board: &Board, pa: u32) {
    board.memory.store32(pa as usize, MOVW);
    board.memory.store32(pa as usize + 4, RETURN);
}

/// A page has code that one vCPU rewrites and calls, and data that another stores and loads: none of
/// it gets lost.
///
/// # Errors
/// When there is no result.
pub fn data_beside_code(engines: Engines, n: u32) -> Result<u64, LitmusError> {
    let writer = writer(0, Y, 0, Y, n);
    let store = [(3, map::CODE_WRITABLE + 0x800), (5, Y), (6, n)];
    let left = run(
        engines,
        &[
            Part {
                code: &code::WRITE_AND_CALL,
                regs: &writer,
            },
            Part {
                code: &code::STORE_AND_LOAD,
                regs: &store,
            },
        ],
    )?;
    Ok(left.counted(0) + left.counted(1))
}

/// Where functions are that are written one after the other: the third section of shared data.
const FUNCTIONS: u32 = SHARED + 0x20_0000;
/// Offsets in it: multiples of a line.
const OFFSETS: u32 = 0xf_ffc0;

/// Functions at [`FUNCTIONS`], all of which return 0.
fn functions(board: &Board) {
    for at in (0..=OFFSETS).step_by(64) {
        put_function(board, FUNCTIONS + at);
    }
}

/// A vCPU writes one function after the other, `stride` bytes apart, while others call the last one,
/// and the next one, which they decode for the first time.
///
/// # Errors
/// When there is no result.
pub fn first_decoding(
    engines: Engines,
    callers: usize,
    stride: u32,
    n: u32,
) -> Result<u64, LitmusError> {
    let regs = [
        (4, FUNCTIONS),
        (5, Y),
        (6, n),
        (7, stride),
        (9, OFFSETS),
        (10, MOVW),
    ];
    let mut parts = vec![Part {
        code: &code::WRITE_NEXT,
        regs: &regs,
    }];
    parts.extend((0..callers).map(|_| Part {
        code: &code::CALL_NEXT,
        regs: &regs,
    }));
    let left = run_with(engines, &parts, functions, |_| {})?;
    Ok((0..=callers).map(|vcpu| left.counted(vcpu)).sum())
}

/// The same with a device that writes the functions: a line at a time, or (`pages`) the whole page.
///
/// # Errors
/// When there is no result.
pub fn device_writes(
    engines: Engines,
    pages: bool,
    stride: u32,
    n: u32,
) -> Result<u64, LitmusError> {
    let regs = [(4, FUNCTIONS), (5, Y), (6, n), (7, stride), (9, OFFSETS)];
    let part = || Part {
        code: &code::CALL_NEXT,
        regs: &regs,
    };
    let device = |board: &Board| {
        for number in 1..=n {
            let at = (FUNCTIONS + (number.wrapping_mul(stride) & OFFSETS)) as usize;
            board.memory.store32(at, movw(number));
            if pages {
                board.code().written(at & !0xfff, 4096);
            } else {
                board.code().written(at, 4);
            }
            board.memory.store32(Y as usize, number);
            if number % 64 == 0 {
                std::thread::yield_now();
            }
        }
    };
    let left = run_with(engines, &[part(), part()], functions, device)?;
    Ok(left.counted(0) + left.counted(1))
}

/// The descriptor of a small page: Normal memory, shareable, for everyone.
fn descriptor(page: u32) -> u32 {
    page | 1 << 10 | 1 << 6 | 3 << 4 | 3 << 2 | 2
}

/// A page of code is mapped elsewhere, where a newer function is, while other vCPUs call it.
///
/// # Errors
/// When there is no result.
pub fn code_elsewhere(engines: Engines, callers: usize, n: u32) -> Result<u64, LitmusError> {
    let entry = map::TABLES + map::DATA_TABLES[0];
    let pages = [FUNCTIONS, FUNCTIONS + 0x1000];
    let writer = [
        (3, map::DATA),
        (4, entry),
        (5, Y),
        (6, n),
        (7, pages[0]),
        (9, MOVW),
        (10, descriptor(pages[0])),
        (11, descriptor(pages[1])),
        (12, pages[1]),
    ];
    let caller = [(3, map::DATA), (5, Y), (6, n)];
    let mut parts = vec![Part {
        code: &code::REMAP_CODE,
        regs: &writer,
    }];
    parts.extend((0..callers).map(|_| Part {
        code: &code::CALL,
        regs: &caller,
    }));
    let prepare = |board: &Board| {
        functions(board);
        let entry = map::TABLES_PA + map::DATA_TABLES[0];
        board.memory.store32(entry as usize, descriptor(pages[0]));
    };
    let left = run_with(engines, &parts, prepare, |_| {})?;
    Ok((1..=callers).map(|vcpu| left.counted(vcpu)).sum())
}

/// A T32 instruction has its second halfword in a page that is mapped elsewhere again and again.
///
/// # Errors
/// When there is no result.
pub fn second_half_elsewhere(engines: Engines, n: u32) -> Result<u64, LitmusError> {
    let entries = map::DATA_TABLES[0];
    let second = [FUNCTIONS + 0x1000, FUNCTIONS + 0x2000];
    let regs = [
        (4, map::TABLES + entries + 4),
        (6, n),
        (7, (map::DATA + 0xffa) | 1),
        (9, map::DATA + 0x1000),
        (10, descriptor(second[0])),
        (11, descriptor(second[1])),
    ];
    let prepare = |board: &Board| {
        let entry = (map::TABLES_PA + entries) as usize;
        board.memory.store32(entry, descriptor(FUNCTIONS));
        // B to the instruction; MOVW R0, #number; BX LR.
        board.memory.store16(FUNCTIONS as usize + 0xffa, 0xe000);
        board.memory.store16(FUNCTIONS as usize + 0xffe, 0xf240);
        for (number, page) in (0..).zip(second) {
            board.memory.store16(page as usize, number);
            board.memory.store16(page as usize + 2, 0x4770);
        }
    };
    let part = Part {
        code: &code::REMAP_AND_CALL,
        regs: &regs,
    };
    let left = run_with(engines, &[part], prepare, |_| {})?;
    Ok(left.counted(0))
}

/// The loops of the vCPUs do not share a page with what they rewrite.
const _: () = assert!(LOOPS >> 12 != map::CODE >> 12);
