//! PL011 serial port (PrimeCell UART, Arm DDI 0183).

pub mod spec;

use crate::{IrqLine, MmioDevice};
use alloc::collections::VecDeque;
use spec::*;

/// Where transmitted bytes go.
pub trait ConsoleOut: Send {
    /// Takes a byte. Must not wait for the guest.
    fn put(&mut self, byte: u8);
}

impl<F: FnMut(u8) + Send> ConsoleOut for F {
    fn put(&mut self, byte: u8) {
        self(byte);
    }
}

/// Depth of the receive FIFO when it is enabled.
const FIFO_DEPTH: usize = 16;

/// A serial port. Transmission takes no time: the transmit FIFO is always empty.
pub struct Pl011<I: IrqLine, C: ConsoleOut> {
    irq: I,
    out: C,
    received: VecDeque<u8>,
    cr: u32,
    lcr_h: u32,
    ibrd: u32,
    fbrd: u32,
    ilpr: u32,
    ifls: u32,
    imsc: u32,
    ris: u32,
    dmacr: u32,
}

impl<I: IrqLine, C: ConsoleOut> Pl011<I, C> {
    /// A serial port after reset.
    pub fn new(irq: I, out: C) -> Self {
        Pl011 {
            irq,
            out,
            received: VecDeque::with_capacity(FIFO_DEPTH),
            cr: CR_RESET,
            lcr_h: 0,
            ibrd: 0,
            fbrd: 0,
            ilpr: 0,
            ifls: IFLS_RESET,
            imsc: 0,
            ris: 0,
            dmacr: 0,
        }
    }

    /// How many bytes [`Pl011::receive`] takes now.
    pub fn room(&self) -> usize {
        let depth = if self.lcr_h & LCR_H_FEN != 0 {
            FIFO_DEPTH
        } else {
            1
        };
        depth.saturating_sub(self.received.len())
    }

    /// Receives bytes, as many as there is room for; returns how many.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = self.room().min(bytes.len());
        self.received.extend(&bytes[..taken]);
        if taken > 0 {
            self.ris |= INT_RX | INT_RT;
            self.update();
        }
        taken
    }

    fn update(&self) {
        self.irq.set(self.ris & self.imsc != 0);
    }

    fn flags(&self) -> u32 {
        let mut flags = FR_TXFE;
        if self.received.is_empty() {
            flags |= FR_RXFE;
        }
        if self.room() == 0 {
            flags |= FR_RXFF;
        }
        flags
    }

    fn take(&mut self) -> u32 {
        let byte = self.received.pop_front().map_or(0, u32::from);
        if self.received.is_empty() {
            self.ris &= !(INT_RX | INT_RT);
            self.update();
        }
        byte
    }

    fn transmit(&mut self, byte: u8) {
        if self.cr & CR_LBE != 0 {
            self.receive(&[byte]);
        } else {
            self.out.put(byte);
        }
        self.ris |= INT_TX;
        self.update();
    }
}

impl<I: IrqLine, C: ConsoleOut> MmioDevice for Pl011<I, C> {
    fn read(&mut self, offset: u64, _size: u8) -> u64 {
        u64::from(match offset {
            DR => self.take(),
            FR => self.flags(),
            ILPR => self.ilpr,
            IBRD => self.ibrd,
            FBRD => self.fbrd,
            LCR_H => self.lcr_h,
            CR => self.cr,
            IFLS => self.ifls,
            IMSC => self.imsc,
            RIS => self.ris,
            MIS => self.ris & self.imsc,
            DMACR => self.dmacr,
            ID..0x1000 if offset & 3 == 0 => IDENTIFICATION
                .get(((offset - ID) / 4) as usize)
                .map_or(0, |byte| u32::from(*byte)),
            _ => 0,
        })
    }

    fn write(&mut self, offset: u64, _size: u8, value: u64) {
        let value = value as u32;
        match offset {
            DR => self.transmit(value as u8),
            ILPR => self.ilpr = value & 0xff,
            IBRD => self.ibrd = value & 0xffff,
            FBRD => self.fbrd = value & 0x3f,
            LCR_H => {
                // A change of FEN empties the FIFO.
                if (self.lcr_h ^ value) & LCR_H_FEN != 0 {
                    self.received.clear();
                }
                self.lcr_h = value & 0xff;
            }
            CR => self.cr = value & 0xff87,
            IFLS => self.ifls = value & 0x3f,
            IMSC => {
                self.imsc = value & 0x7ff;
                self.update();
            }
            ICR => {
                self.ris &= !value;
                self.update();
            }
            DMACR => self.dmacr = value & 7,
            _ => {}
        }
    }

    fn reset(&mut self) {
        self.received.clear();
        self.cr = CR_RESET;
        self.lcr_h = 0;
        self.ibrd = 0;
        self.fbrd = 0;
        self.ilpr = 0;
        self.ifls = IFLS_RESET;
        self.imsc = 0;
        self.ris = 0;
        self.dmacr = 0;
        self.update();
    }
}
