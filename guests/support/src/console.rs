//! Printing to the PL011.

use crate::{board, mmio};
use core::fmt;

const DR: u32 = board::UART;
const FR: u32 = board::UART + 0x18;
const FR_TXFF: u32 = 1 << 5;

/// The console as a formatter's target.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while mmio::read32(FR) & FR_TXFF != 0 {}
            mmio::write32(DR, byte.into());
        }
        Ok(())
    }
}

/// Prints a line of the transcript.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {{
        use core::fmt::Write;
        let _ = writeln!($crate::console::Console, $($arg)*);
    }};
}

/// Prints a part of a line.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => {{
        use core::fmt::Write;
        let _ = write!($crate::console::Console, $($arg)*);
    }};
}
