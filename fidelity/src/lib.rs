//! Differential tests of the processor: random instances of every row of the decoder's tables, in
//! random states, run by an engine and by QEMU's user mode, and compared whole.
//!
//! [`generate`] makes cases, [`engine`] and [`oracle`] run them, [`check`] compares, and
//! [`exempt`] is the list of what is not compared. `docs/fidelity.md` says what this guarantees.

pub mod blocks;
pub mod check;
pub mod engine;
pub mod exempt;
pub mod generate;
pub mod litmus;
pub mod operands;
pub mod oracle;
pub mod report;
pub mod rng;
pub mod run;
pub mod values;
pub mod wire;
