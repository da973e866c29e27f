//! Registers of the PL031 real-time clock. Arm DDI 0224C, "PrimeCell Real Time Clock (PL031)
//! Technical Reference Manual", chapter 3.

/// RTCDR, data: the counter, in seconds (3.3.1).
pub const DR: u32 = 0x00;
/// RTCMR, match (3.3.2).
pub const MR: u32 = 0x04;
/// RTCLR, load (3.3.3).
pub const LR: u32 = 0x08;
/// RTCCR, control (3.3.4).
pub const CR: u32 = 0x0c;
/// RTCIMSC, interrupt mask set or clear (3.3.5).
pub const IMSC: u32 = 0x10;
/// RTCRIS, raw interrupt status (3.3.6).
pub const RIS: u32 = 0x14;
/// RTCMIS, masked interrupt status (3.3.7).
pub const MIS: u32 = 0x18;
/// RTCICR, interrupt clear (3.3.8).
pub const ICR: u32 = 0x1c;
/// RTCPeriphID0 to 3 (3.3.9).
pub const PERIPH_ID: [u8; 4] = [0x31, 0x10, 0x14, 0x00];
