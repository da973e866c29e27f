//! Device trees: generating the board's, amending the user's, printing them.
//!
//! The flattened format is chapter 5 of the *Devicetree Specification*, release 0.4. The in-memory
//! tree here is deliberately small, and lenient in what it reads: trees in the field have names
//! beyond the specification's 31 characters and blocks in any order, and libfdt and Linux take them.

mod amend;
mod board;
mod print;
mod tree;

pub use amend::{Chosen, amend};
pub use board::{BoardConfig, Gic, GpioKey, PsciMethod, Range, TimerIntids, VirtioSlots, board};
pub use print::to_dts;
pub use tree::{FdtError, MAX_DEPTH, MAX_SIZE, Node, Property, Reservation, Tree};
