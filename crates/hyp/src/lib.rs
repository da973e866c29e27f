//! The bare-metal hypervisor for ARMv7-A with the Virtualization Extensions: what of it needs no
//! hardware, and can be tested anywhere.
//!
//! The image itself is this package's binary (feature `image`, target `thumbv7a-none-eabi`): it owns
//! the hardware, and with it all unsafe code.
//!
//! "The manual" is the *ARM Architecture Reference Manual, ARMv7-A and ARMv7-R edition*
//! (ARM DDI 0406C).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bus;
pub mod emulate;
pub mod guest;
pub mod passed;
pub mod platform;
pub mod ram;
pub mod schedule;
pub mod spec;
pub mod syndrome;
pub mod tables;
