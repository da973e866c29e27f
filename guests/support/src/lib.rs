//! What a bare-metal guest on the `virt` board needs: a start, a console, exception vectors, and the
//! processor's and the board's registers by name.
//!
//! A guest is a binary with [`guest!`]`(main)`. Its console output is a transcript of facts: values of
//! registers, kinds and orders of events, never times. What it does by [`probe`] runs a few
//! instructions with chosen registers in a chosen mode, and tells how they ended.

#![no_std]

pub mod board;
pub mod channel;
pub mod console;
pub mod cp15;
pub mod gic;
pub mod mmio;
pub mod mmu;
pub mod probe;
pub mod psci;
pub mod psr;
pub mod smp;
mod start;
pub mod vectors;
pub mod virtio;

use core::panic::PanicInfo;

/// Makes a function the guest's main program. The machine powers off when it returns.
#[macro_export]
macro_rules! guest {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn guest_main() {
            $main()
        }
    };
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    println!("{info}");
    psci::system_off()
}
