//! Registers of the PL011 UART. Arm DDI 0183G, "PrimeCell UART (PL011) Technical Reference Manual",
//! chapter 3; section numbers below are that document's.

/// UARTDR, data (3.3.1).
pub const DR: u32 = 0x00;
/// UARTRSR on reads and UARTECR on writes: receive status, error clear (3.3.2).
pub const RSR: u32 = 0x04;
/// UARTFR, flags (3.3.3).
pub const FR: u32 = 0x18;
/// UARTILPR, IrDA low-power counter (3.3.4).
pub const ILPR: u32 = 0x20;
/// UARTIBRD, integer baud rate (3.3.5).
pub const IBRD: u32 = 0x24;
/// UARTFBRD, fractional baud rate (3.3.6).
pub const FBRD: u32 = 0x28;
/// UARTLCR_H, line control (3.3.7).
pub const LCR_H: u32 = 0x2c;
/// UARTCR, control (3.3.8).
pub const CR: u32 = 0x30;
/// UARTIFLS, interrupt FIFO level select (3.3.9).
pub const IFLS: u32 = 0x34;
/// UARTIMSC, interrupt mask set/clear (3.3.10).
pub const IMSC: u32 = 0x38;
/// UARTRIS, raw interrupt status (3.3.11).
pub const RIS: u32 = 0x3c;
/// UARTMIS, masked interrupt status (3.3.12).
pub const MIS: u32 = 0x40;
/// UARTICR, interrupt clear (3.3.13).
pub const ICR: u32 = 0x44;
/// UARTDMACR, DMA control (3.3.14).
pub const DMACR: u32 = 0x48;
/// UARTPeriphID0 to 3 (3.3.15), as revision 1 of the UART (r1p4, 16-byte FIFOs) has them.
pub const PERIPH_ID: [u8; 4] = [0x11, 0x10, 0x14, 0x00];

/// FIFO depth in characters while LCR_H.FEN is set; 1 otherwise.
pub const FIFO_DEPTH: usize = 16;

/// DR: framing error.
pub const DR_FE: u16 = 1 << 8;
/// DR: parity error.
pub const DR_PE: u16 = 1 << 9;
/// DR: break error.
pub const DR_BE: u16 = 1 << 10;
/// DR: overrun error.
pub const DR_OE: u16 = 1 << 11;

/// FR: clear to send.
pub const FR_CTS: u32 = 1 << 0;
/// FR: data set ready.
pub const FR_DSR: u32 = 1 << 1;
/// FR: data carrier detect.
pub const FR_DCD: u32 = 1 << 2;
/// FR: receive FIFO empty.
pub const FR_RXFE: u32 = 1 << 4;
/// FR: receive FIFO full.
pub const FR_RXFF: u32 = 1 << 6;
/// FR: transmit FIFO empty.
pub const FR_TXFE: u32 = 1 << 7;
/// FR: ring indicator.
pub const FR_RI: u32 = 1 << 8;

/// LCR_H: send break.
pub const LCR_H_BRK: u8 = 1 << 0;
/// LCR_H: enable the FIFOs.
pub const LCR_H_FEN: u8 = 1 << 4;

/// CR: UART enable.
pub const CR_UARTEN: u16 = 1 << 0;
/// CR: loopback enable.
pub const CR_LBE: u16 = 1 << 7;
/// CR: transmit enable.
pub const CR_TXE: u16 = 1 << 8;
/// CR: receive enable.
pub const CR_RXE: u16 = 1 << 9;
/// CR: data transmit ready.
pub const CR_DTR: u16 = 1 << 10;
/// CR: request to send.
pub const CR_RTS: u16 = 1 << 11;
/// CR: modem output 1.
pub const CR_OUT1: u16 = 1 << 12;
/// CR: modem output 2.
pub const CR_OUT2: u16 = 1 << 13;

/// IFLS after reset: both FIFOs at one half.
pub const IFLS_RESET: u8 = 0x12;

/// Interrupt: receive.
pub const INT_RX: u16 = 1 << 4;
/// Interrupt: transmit.
pub const INT_TX: u16 = 1 << 5;
/// Interrupt: receive timeout.
pub const INT_RT: u16 = 1 << 6;
/// Interrupt: framing error.
pub const INT_FE: u16 = 1 << 7;
/// Interrupt: parity error.
pub const INT_PE: u16 = 1 << 8;
/// Interrupt: break error.
pub const INT_BE: u16 = 1 << 9;
/// Interrupt: overrun error.
pub const INT_OE: u16 = 1 << 10;
/// All interrupts, the four of the modem lines included.
pub const INT_ALL: u16 = 0x7ff;
