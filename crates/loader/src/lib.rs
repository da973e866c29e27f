//! From files to a machine that can start: recognises and unpacks a kernel, decides where kernel,
//! initial RAM disk and device tree go in guest memory, and builds or amends the device tree.
//!
//! - [`Kernel::parse`] takes the bytes of a zImage, a legacy uImage, a 32-bit Arm ELF file or a raw
//!   image, and refuses other files with a sentence that says what they are.
//! - [`plan`](plan()) places everything by the Arm Linux boot protocol, as QEMU's `virt` machine does.
//! - [`fdt::board`] generates the board's device tree; [`fdt::amend`] edits one that the user brings.
//! - [`prepare`] does all of this in the right order and returns bytes with their addresses.
//!
//! ```
//! use skep_loader::{Kernel, fdt, plan};
//!
//! // Two instructions: `wfi` and a branch back to it.
//! let code = [0x03, 0xf0, 0x20, 0xe3, 0xfd, 0xff, 0xff, 0xea];
//! let kernel = Kernel::parse(&code)?;
//! let ram = fdt::Range { base: 0x4000_0000, size: 64 << 20 };
//! let plan = plan(ram, &kernel, None, 0x2000)?;
//! assert_eq!(plan.entry.pc, 0x4001_0000);
//! assert_eq!(plan.entry.registers, [0, 0xffff_ffff, 0x4200_0000]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here touches a file, a host or a guest: bytes come in, bytes and addresses go out.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod boot;
pub mod fdt;
mod kernel;
mod place;
#[cfg(test)]
mod tests;

pub use boot::{Blob, BlobKind, Boot, BootError, DeviceTree, Request, prepare};
pub use kernel::{Foreign, Format, Image, Kernel, KernelError, Segment};
pub use place::{Entry, MACHINE_ID_DT_ONLY, Memory, PlaceError, Placed, Plan, plan};
