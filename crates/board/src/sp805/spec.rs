//! Registers of the SP805 watchdog. Arm DDI 0270B, "ARM Watchdog Module (SP805) Technical Reference
//! Manual", chapter 3.

/// WdogLoad: what the counter starts from (3.3.1).
pub const LOAD: u32 = 0x000;
/// WdogValue: the counter (3.3.2).
pub const VALUE: u32 = 0x004;
/// WdogControl (3.3.3).
pub const CONTROL: u32 = 0x008;
/// WdogIntClr: any write clears the interrupt and reloads the counter (3.3.4).
pub const INTCLR: u32 = 0x00c;
/// WdogRIS: raw interrupt status (3.3.5).
pub const RIS: u32 = 0x010;
/// WdogMIS: masked interrupt status (3.3.6).
pub const MIS: u32 = 0x014;
/// WdogLock (3.3.7).
pub const LOCK: u32 = 0xc00;
/// WdogPeriphID0 to 3 (3.3.8): part 0x805, designer 0x41, revision 1.
pub const PERIPH_ID: [u8; 4] = [0x05, 0x18, 0x14, 0x00];

/// WdogControl: the counter and the interrupt are enabled.
pub const INTEN: u32 = 1 << 0;
/// WdogControl: the reset output is enabled.
pub const RESEN: u32 = 1 << 1;

/// What is written to WdogLock to make the other registers writable.
pub const UNLOCK: u32 = 0x1acc_e551;
