//! Device trees: generating the board's, amending the user's, printing them.
//!
//! The flattened format is chapter 5 of the *Devicetree Specification*, release 0.4. The in-memory
//! tree here is deliberately small, and lenient in what it reads: trees in the field have names
//! beyond the specification's 31 characters and blocks in any order, and libfdt and Linux take them.

mod amend;
mod board;
mod print;
mod tree;

use alloc::vec::Vec;
pub use amend::{Chosen, amend};
pub use board::{
    BoardConfig, Channel, Gic, GpioKey, PHANDLE_CLOCK, PsciMethod, Range, TimerIntids, VirtioSlots,
    board,
};
pub use print::to_dts;
pub use tree::{FdtError, MAX_DEPTH, MAX_SIZE, Node, Property, Reservation, Tree};

/// Gives a flattened tree `room` bytes of free space at its end, for firmware that adds to the tree
/// where it lies: U-Boot, for one, reserves as much memory as the header says and no more. A blob
/// without a header stays as it is.
pub fn add_room(blob: &mut Vec<u8>, room: usize) {
    /// Where the header has the total size (Devicetree Specification, section 5.2).
    const TOTAL_SIZE: core::ops::Range<usize> = 4..8;
    let total = blob.len().saturating_add(room);
    if let (Ok(size), Some(field)) = (u32::try_from(total), blob.get_mut(TOTAL_SIZE)) {
        field.copy_from_slice(&size.to_be_bytes());
        blob.resize(total, 0);
    }
}
