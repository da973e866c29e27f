//! PL011 serial port.
//!
//! Characters leave at once: the transmit FIFO is always empty, so the transmit interrupt is raised
//! by each character written. Received characters wait in a FIFO of 16 (1 while the FIFOs are
//! disabled). The receive timeout elapses at once too: its interrupt is raised whenever
//! characters remain in the FIFO, which is what drivers need to hear of the last few.
//!
//! As in QEMU, characters pass in both directions whether or not the UART is enabled: early boot
//! code often relies on firmware for that.

pub mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use state::Pl011State;

use crate::primecell::{self, read_id};
use crate::{IrqLine, MmioDevice};
use alloc::collections::VecDeque;
use spec::*;

/// Where characters that the guest sends go.
pub trait ConsoleOut: Send {
    /// Takes a character. Must not block for long: the guest's CPU waits.
    fn put(&mut self, byte: u8);

    /// Whether more output is to wait until [`MmioDevice::resume`], as far as the device can make the
    /// guest wait: one queue can ask for hundreds of pages to be printed.
    fn put_off(&mut self) -> bool {
        false
    }
}

/// PL011 serial port with its interrupt line (UARTINTR, all sources combined) and its console.
pub struct Pl011<I: IrqLine, C: ConsoleOut> {
    irq: I,
    console: C,
    irq_level: bool,
    rx_fifo: VecDeque<u16>,
    overrun: bool,
    rsr: u8,
    ilpr: u8,
    ibrd: u16,
    fbrd: u8,
    lcr_h: u8,
    cr: u16,
    ifls: u8,
    imsc: u16,
    ris: u16,
    dmacr: u8,
}

impl<I: IrqLine, C: ConsoleOut> Pl011<I, C> {
    /// A serial port after power-on.
    pub fn new(irq: I, console: C) -> Self {
        let mut uart = Pl011 {
            irq,
            console,
            irq_level: false,
            rx_fifo: VecDeque::new(),
            overrun: false,
            rsr: 0,
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            lcr_h: 0,
            cr: 0,
            ifls: 0,
            imsc: 0,
            ris: 0,
            dmacr: 0,
        };
        uart.restore(&Pl011State::default());
        uart
    }

    /// The console.
    pub fn console_mut(&mut self) -> &mut C {
        &mut self.console
    }

    /// Exports the state.
    pub fn save(&self) -> Pl011State {
        Pl011State {
            rx_fifo: self.rx_fifo.iter().copied().collect(),
            overrun: self.overrun,
            rsr: self.rsr,
            ilpr: self.ilpr,
            ibrd: self.ibrd,
            fbrd: self.fbrd,
            lcr_h: self.lcr_h,
            cr: self.cr,
            ifls: self.ifls,
            imsc: self.imsc,
            ris: self.ris,
            dmacr: self.dmacr,
        }
    }

    /// Takes over a saved state and drives the interrupt line accordingly. Bits that a register
    /// does not have, and characters beyond the FIFO's depth, are dropped.
    pub fn restore(&mut self, state: &Pl011State) {
        // Destructured so that a field added to the state cannot be forgotten here.
        let Pl011State {
            rx_fifo,
            overrun,
            rsr,
            ilpr,
            ibrd,
            fbrd,
            lcr_h,
            cr,
            ifls,
            imsc,
            ris,
            dmacr,
        } = state;
        self.rx_fifo.clear();
        self.rx_fifo
            .extend(rx_fifo.iter().take(FIFO_DEPTH).map(|c| c & 0xfff));
        self.overrun = *overrun;
        self.rsr = rsr & 0xf;
        self.ilpr = *ilpr;
        self.ibrd = *ibrd;
        self.fbrd = fbrd & 0x3f;
        self.lcr_h = *lcr_h;
        self.cr = *cr;
        self.ifls = ifls & 0x3f;
        self.imsc = imsc & INT_ALL;
        self.ris = ris & INT_ALL;
        self.dmacr = dmacr & 7;
        self.irq_level = self.ris & self.imsc != 0;
        self.irq.set(self.irq_level);
    }

    /// How many characters [`receive`](Self::receive) would accept now: 0 to 16.
    pub fn room(&self) -> usize {
        self.depth().saturating_sub(self.rx_fifo.len())
    }

    /// Characters arrive from the console. Returns how many were accepted, at most
    /// [`room`](Self::room); the caller keeps the others for later, so that none is lost.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let accepted = self.room().min(bytes.len());
        for &byte in bytes.iter().take(accepted) {
            self.push(u16::from(byte));
        }
        self.update_irq();
        accepted
    }

    /// A break arrives from the console. False if there is no room for it.
    pub fn receive_break(&mut self) -> bool {
        let room = self.room() > 0;
        if room {
            self.push(DR_BE);
            self.update_irq();
        }
        room
    }

    /// Whether the guest enabled the receiver (UARTEN and RXE in UARTCR). Input is accepted either
    /// way, but a driver that has not started may throw away what came before.
    pub fn receiver_enabled(&self) -> bool {
        let on = CR_UARTEN | CR_RXE;
        self.cr & on == on
    }

    /// Whether the guest waits for input by interrupt: a driver that does has finished the start-up
    /// in which it empties the FIFO.
    pub fn receive_interrupt_enabled(&self) -> bool {
        self.imsc & (INT_RX | INT_RT) != 0
    }

    fn depth(&self) -> usize {
        if self.lcr_h & LCR_H_FEN != 0 {
            FIFO_DEPTH
        } else {
            1
        }
    }

    /// The number of characters that raises the receive interrupt (UARTIFLS.RXIFLSEL).
    fn rx_trigger(&self) -> usize {
        if self.lcr_h & LCR_H_FEN == 0 {
            return 1;
        }
        match (self.ifls >> 3) & 7 {
            0 => FIFO_DEPTH / 8,
            1 => FIFO_DEPTH / 4,
            2 => FIFO_DEPTH / 2,
            3 => FIFO_DEPTH * 3 / 4,
            // 0b101 and above are reserved.
            _ => FIFO_DEPTH * 7 / 8,
        }
    }

    fn push(&mut self, mut character: u16) {
        if self.rx_fifo.len() >= self.depth() {
            self.overrun = true;
            self.ris |= INT_OE;
            return;
        }
        if self.overrun {
            // The manual's OE marks the first character that found room after the loss.
            character |= DR_OE;
            self.overrun = false;
        }
        if character & DR_BE != 0 {
            self.ris |= INT_BE;
        }
        self.rx_fifo.push_back(character);
        self.ris |= INT_RT;
        if self.rx_fifo.len() >= self.rx_trigger() {
            self.ris |= INT_RX;
        }
    }

    fn pop(&mut self) -> u32 {
        let character = self.rx_fifo.pop_front().unwrap_or(0);
        self.rsr = (character >> 8) as u8 & 0xf;
        if self.rx_fifo.len() < self.rx_trigger() {
            self.ris &= !INT_RX;
        }
        if self.rx_fifo.is_empty() {
            self.ris &= !INT_RT;
        } else {
            self.ris |= INT_RT;
        }
        self.update_irq();
        u32::from(character)
    }

    fn transmit(&mut self, byte: u8) {
        if self.cr & CR_LBE != 0 {
            self.push(u16::from(byte));
        } else {
            self.console.put(byte);
        }
        self.ris |= INT_TX;
        self.update_irq();
    }

    fn flags(&self) -> u32 {
        let mut flags = FR_TXFE;
        if self.rx_fifo.is_empty() {
            flags |= FR_RXFE;
        }
        if self.room() == 0 {
            flags |= FR_RXFF;
        }
        if self.cr & CR_LBE != 0 {
            // Loopback joins the modem outputs to the modem inputs (UARTCR, 3.3.8).
            for (output, input) in [
                (CR_RTS, FR_CTS),
                (CR_DTR, FR_DSR),
                (CR_OUT1, FR_DCD),
                (CR_OUT2, FR_RI),
            ] {
                if self.cr & output != 0 {
                    flags |= input;
                }
            }
        }
        flags
    }

    fn update_irq(&mut self) {
        let level = self.ris & self.imsc != 0;
        if level != self.irq_level {
            self.irq_level = level;
            self.irq.set(level);
        }
    }

    fn read_register(&mut self, register: u32) -> u32 {
        match register {
            DR => self.pop(),
            RSR => u32::from(self.rsr),
            FR => self.flags(),
            ILPR => u32::from(self.ilpr),
            IBRD => u32::from(self.ibrd),
            FBRD => u32::from(self.fbrd),
            LCR_H => u32::from(self.lcr_h),
            CR => u32::from(self.cr),
            IFLS => u32::from(self.ifls),
            IMSC => u32::from(self.imsc),
            RIS => u32::from(self.ris),
            MIS => u32::from(self.ris & self.imsc),
            DMACR => u32::from(self.dmacr),
            _ => read_id(register, PERIPH_ID).unwrap_or(0),
        }
    }

    fn write_register(&mut self, register: u32, value: u32) {
        match register {
            DR => self.transmit(value as u8),
            RSR => self.rsr = 0,
            ILPR => self.ilpr = value as u8,
            IBRD => self.ibrd = value as u16,
            FBRD => self.fbrd = value as u8 & 0x3f,
            LCR_H => {
                let starts_break = value as u8 & !self.lcr_h & LCR_H_BRK != 0;
                // What is in the receive FIFO stays there, even if it is more than the one
                // character that the FIFO now has room for: input is never lost.
                self.lcr_h = value as u8;
                if starts_break && self.cr & CR_LBE != 0 {
                    self.push(DR_BE);
                }
            }
            CR => self.cr = value as u16,
            IFLS => self.ifls = value as u8 & 0x3f,
            IMSC => self.imsc = value as u16 & INT_ALL,
            ICR => self.ris &= !(value as u16),
            DMACR => self.dmacr = value as u8 & 7,
            _ => {}
        }
        self.update_irq();
    }
}

impl<I: IrqLine, C: ConsoleOut> MmioDevice for Pl011<I, C> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        primecell::read(offset, size, |register| self.read_register(register))
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        primecell::write(offset, size, value, |register, value| {
            self.write_register(register, value);
        });
    }

    fn reset(&mut self) {
        self.restore(&Pl011State::default());
    }
}
