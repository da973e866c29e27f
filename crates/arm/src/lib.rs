//! The ARMv7-A processor as data and pure functions: instruction decoder and disassembler,
//! architectural state, exception model, system registers, stage-1 address translation and
//! floating-point arithmetic.
//!
//! Nothing here runs a guest, touches a host, or allocates in a way that depends on one: every
//! engine (interpreter, translator, KVM, Hyp mode) is built on these definitions, and a state saved
//! by one resumes in any other.
//!
//! Section numbers are those of the *ARM Architecture Reference Manual, ARMv7-A and ARMv7-R
//! edition* (ARM DDI 0406C), called "the manual" throughout.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod cp15;
pub mod decode;
pub mod disasm;
pub mod exception;
pub mod fp;
pub mod insn;
pub mod mmu;
pub mod simd;
pub mod state;

pub use exception::{Exception, Fault, FaultKind};
pub use insn::{Cond, Decoded, Insn, Reg};
pub use state::{CpuState, Mode};
