//! Registers of the PL011 (Arm DDI 0183G, chapter 3).

/// Data (3.3.1).
pub const DR: u64 = 0x00;
/// Flags (3.3.3).
pub const FR: u64 = 0x18;
/// IrDA low-power counter (3.3.4).
pub const ILPR: u64 = 0x20;
/// Integer baud rate (3.3.5).
pub const IBRD: u64 = 0x24;
/// Fractional baud rate (3.3.6).
pub const FBRD: u64 = 0x28;
/// Line control (3.3.7).
pub const LCR_H: u64 = 0x2c;
/// Control (3.3.8).
pub const CR: u64 = 0x30;
/// Interrupt FIFO level select (3.3.9).
pub const IFLS: u64 = 0x34;
/// Interrupt mask (3.3.10).
pub const IMSC: u64 = 0x38;
/// Raw interrupt status (3.3.11).
pub const RIS: u64 = 0x3c;
/// Masked interrupt status (3.3.12).
pub const MIS: u64 = 0x40;
/// Interrupt clear (3.3.13).
pub const ICR: u64 = 0x44;
/// DMA control (3.3.14).
pub const DMACR: u64 = 0x48;
/// Peripheral and PrimeCell identification (3.3.15 to 3.3.22).
pub const ID: u64 = 0xfe0;

/// Receive FIFO empty.
pub const FR_RXFE: u32 = 1 << 4;
/// Receive FIFO full.
pub const FR_RXFF: u32 = 1 << 6;
/// Transmit FIFO empty.
pub const FR_TXFE: u32 = 1 << 7;
/// FIFOs enabled.
pub const LCR_H_FEN: u32 = 1 << 4;
/// Loopback.
pub const CR_LBE: u32 = 1 << 7;
/// Receive and transmit enabled.
pub const CR_RESET: u32 = 0x300;
/// Half full.
pub const IFLS_RESET: u32 = 0x12;
/// Receive interrupt.
pub const INT_RX: u32 = 1 << 4;
/// Transmit interrupt.
pub const INT_TX: u32 = 1 << 5;
/// Receive timeout interrupt.
pub const INT_RT: u32 = 1 << 6;

/// PeriphID0 to PeriphID3, PCellID0 to PCellID3.
pub const IDENTIFICATION: [u8; 8] = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
