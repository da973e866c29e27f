use super::spec::*;
use super::*;
use crate::test_support::Line;
use alloc::vec::Vec;
use proptest::prelude::*;

struct Sink(Vec<u8>);

impl ConsoleOut for Sink {
    fn put(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

fn uart() -> (Pl011<Line, Sink>, Line) {
    let line = Line::default();
    (Pl011::new(line.clone(), Sink(Vec::new())), line)
}

fn read(uart: &mut Pl011<Line, Sink>, register: u32) -> u32 {
    uart.read(u64::from(register), 4) as u32
}

fn write(uart: &mut Pl011<Line, Sink>, register: u32, value: u32) {
    uart.write(u64::from(register), 4, u64::from(value));
}

#[test]
fn resets_to_the_documented_values() {
    let (mut uart, line) = uart();
    let expect = [(FR, 0x90), (CR, 0x300), (IFLS, 0x12), (IMSC, 0), (RIS, 0)];
    for (register, value) in expect {
        assert_eq!(read(&mut uart, register), value, "register {register:#x}");
    }
    let ids = [0x11, 0x10, 0x14, 0, 0x0d, 0xf0, 5, 0xb1];
    for (i, id) in ids.into_iter().enumerate() {
        assert_eq!(read(&mut uart, 0xfe0 + 4 * i as u32), id);
    }
    assert!(!line.level());
}

#[test]
fn sends_and_raises_the_transmit_interrupt() {
    let (mut uart, line) = uart();
    for byte in *b"hi" {
        uart.write(0, 1, u64::from(byte));
    }
    assert_eq!(uart.console_mut().0, b"hi");
    assert!(!line.level(), "masked");
    write(&mut uart, IMSC, u32::from(INT_TX));
    assert!(line.level());
    assert_eq!(read(&mut uart, MIS), u32::from(INT_TX));
    write(&mut uart, ICR, u32::from(INT_TX));
    assert!(!line.level());
}

#[test]
fn receives_no_more_than_it_has_room_for() {
    let (mut uart, line) = uart();
    assert_eq!(uart.receive(b"abc"), 1, "one character without the FIFO");
    assert_eq!(read(&mut uart, FR) & FR_RXFF, FR_RXFF);
    write(&mut uart, LCR_H, u32::from(LCR_H_FEN));
    assert_eq!(uart.room(), 15);
    write(&mut uart, IMSC, u32::from(INT_RX | INT_RT));
    assert!(line.level(), "the character is still there");
    assert_eq!(uart.receive(b"bcdefghijklmnopqrstuvwxyz"), 15);
    assert_eq!(uart.room(), 0);
    let mut got = Vec::new();
    while read(&mut uart, FR) & FR_RXFE == 0 {
        assert!(line.level());
        got.push(read(&mut uart, DR) as u8);
    }
    assert_eq!(got, b"abcdefghijklmnop");
    assert!(!line.level(), "the empty FIFO lowers the line");
}

#[test]
fn receive_interrupt_follows_the_fifo_level() {
    let (mut uart, _) = uart();
    write(&mut uart, LCR_H, u32::from(LCR_H_FEN));
    uart.receive(b"1234567");
    let ris = read(&mut uart, RIS) as u16;
    assert_eq!(ris & (INT_RX | INT_RT), INT_RT, "below half");
    uart.receive(b"8");
    assert_eq!(read(&mut uart, RIS) as u16 & INT_RX, INT_RX);
    read(&mut uart, DR);
    assert_eq!(read(&mut uart, RIS) as u16 & INT_RX, 0);
}

#[test]
fn a_break_is_flagged() {
    let (mut uart, _) = uart();
    assert!(uart.receive_break());
    assert!(!uart.receive_break(), "no room");
    assert_eq!(read(&mut uart, RIS) as u16 & INT_BE, INT_BE);
    assert_eq!(read(&mut uart, DR), u32::from(DR_BE));
    assert_eq!(read(&mut uart, RSR), 4);
    write(&mut uart, RSR, 0xff);
    assert_eq!(read(&mut uart, RSR), 0);
}

#[test]
fn loopback_returns_what_is_sent_and_overruns() {
    let (mut uart, _) = uart();
    write(&mut uart, CR, u32::from(CR_LBE | CR_RTS | CR_OUT2));
    assert_eq!(read(&mut uart, FR) & 0x107, FR_CTS | FR_RI);
    for byte in 1..=2 {
        write(&mut uart, DR, byte);
    }
    assert!(uart.console_mut().0.is_empty());
    assert_eq!(read(&mut uart, RIS) as u16 & INT_OE, INT_OE);
    assert_eq!(read(&mut uart, DR), 1);
    write(&mut uart, DR, 3);
    assert_eq!(read(&mut uart, DR), 3 | u32::from(DR_OE));
}

proptest! {
    #[test]
    fn survives_any_access_and_roundtrips(ops in crate::test_support::accesses(0x1100)) {
        let (mut uart, line) = uart();
        for op in &ops {
            op.apply(&mut uart);
            if op.value & 7 == 0 {
                let room = uart.room();
                prop_assert_eq!(uart.receive(&[1; 20]), room);
            }
            prop_assert_eq!(line.level(), read(&mut uart, MIS) != 0);
        }
        let saved = uart.save();
        let other_line = Line::default();
        let mut other = Pl011::new(other_line.clone(), Sink(Vec::new()));
        other.restore(&saved);
        prop_assert_eq!(other.save(), saved);
        prop_assert_eq!(other_line.level(), line.level());
        uart.reset();
        prop_assert_eq!(uart.save(), Pl011State::default());
    }
}
