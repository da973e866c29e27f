//! Differential tests of the translator against the interpreter, on whole programs.
//!
//! `generate` makes a program of random instructions with branches, loops, calls, IT blocks, changes
//! of the system and of the code itself between them (`patch`: code in pages that are data as well,
//! and interrupts that devices raise; `across`: accesses to two pages at once); `map` is the machine
//! that it runs on, with `handlers` that make the best of every exception. [`check`] runs it in both
//! engines and compares everything that there is at the end, and takes out of a program that differs all
//! that does not matter. What is between instructions is tested here; what instructions do is compared with QEMU.

mod across;
pub mod check;
pub mod generate;
pub mod handlers;
pub mod machine;
pub mod map;
mod patch;
pub mod program;
