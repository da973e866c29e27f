//! A guest that fails in a way that nothing can be made of: its exception vectors are where nothing
//! is, and it takes an exception.

#![no_std]
#![no_main]

use core::arch::asm;
use guest_support::{guest, mcr, println};

guest!(main);

fn main() {
    println!("crash begins");
    mcr!("p15, 0, {}, c12, c0, 0", 0);
    // SAFETY: nothing that comes after it matters.
    unsafe { asm!("svc #0") };
    println!("not reached");
}
