//! Saved form of the PL011.

use super::spec;
use alloc::vec::Vec;

/// Everything that a PL011 holds between two accesses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pl011State {
    /// Receive FIFO, oldest first: a character with its error flags, as UARTDR has them.
    pub rx_fifo: Vec<u16>,
    /// A character was lost since the last one that entered the FIFO.
    pub overrun: bool,
    /// UARTRSR.
    pub rsr: u8,
    /// UARTILPR.
    pub ilpr: u8,
    /// UARTIBRD.
    pub ibrd: u16,
    /// UARTFBRD.
    pub fbrd: u8,
    /// UARTLCR_H.
    pub lcr_h: u8,
    /// UARTCR.
    pub cr: u16,
    /// UARTIFLS.
    pub ifls: u8,
    /// UARTIMSC.
    pub imsc: u16,
    /// UARTRIS.
    pub ris: u16,
    /// UARTDMACR.
    pub dmacr: u8,
}

impl Default for Pl011State {
    /// The state after reset.
    fn default() -> Self {
        Pl011State {
            rx_fifo: Vec::new(),
            overrun: false,
            rsr: 0,
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            lcr_h: 0,
            cr: spec::CR_TXE | spec::CR_RXE,
            ifls: spec::IFLS_RESET,
            imsc: 0,
            ris: 0,
            dmacr: 0,
        }
    }
}
