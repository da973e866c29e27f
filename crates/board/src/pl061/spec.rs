//! Registers of the PL061 GPIO. Arm DDI 0190B, "PrimeCell General Purpose Input/Output (PL061)
//! Technical Reference Manual", chapter 3.

/// GPIODATA, data: bits \[9:2\] of the address select the pins (3.3.1). Last word of its range.
pub const DATA_LAST: u32 = 0x3fc;
/// GPIODIR, direction: 1 for output (3.3.2).
pub const DIR: u32 = 0x400;
/// GPIOIS, interrupt sense: 1 for level, 0 for edge (3.3.3).
pub const IS: u32 = 0x404;
/// GPIOIBE, interrupt on both edges (3.3.4).
pub const IBE: u32 = 0x408;
/// GPIOIEV, interrupt event: 1 for rising edge or high level (3.3.5).
pub const IEV: u32 = 0x40c;
/// GPIOIE, interrupt mask: 1 lets the interrupt through (3.3.6).
pub const IE: u32 = 0x410;
/// GPIORIS, raw interrupt status (3.3.7).
pub const RIS: u32 = 0x414;
/// GPIOMIS, masked interrupt status (3.3.8).
pub const MIS: u32 = 0x418;
/// GPIOIC, interrupt clear (3.3.9).
pub const IC: u32 = 0x41c;
/// GPIOAFSEL, mode control (3.3.10).
pub const AFSEL: u32 = 0x420;
/// GPIOPeriphID0 to 3 (3.3.11).
pub const PERIPH_ID: [u8; 4] = [0x61, 0x10, 0x04, 0x00];
