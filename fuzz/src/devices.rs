//! The serial port, the clock, the GPIO controller, the watchdog, flash, firmware configuration and channels by their
//! registers, with input and time. A value fits the access that read it; the interrupt line is what
//! the masked interrupt status says; a device with the saved state behaves as the first did.

use crate::input::Input;
use crate::memory::Memory;
use skep_board::channel::spec::MAX_ENDS;
use skep_board::channel::{Bells, Channel, Ringer};
use skep_board::flash::{Flash, FlashAction, FlashArray};
use skep_board::fw_cfg::FwCfg;
use skep_board::pl011::{ConsoleOut, Pl011};
use skep_board::pl031::Pl031;
use skep_board::pl061::Pl061;
use skep_board::sp805::Sp805;
use skep_board::{Clock, GuestMemory, IrqLine, MmioDevice};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// An interrupt line that can be looked at.
#[derive(Clone, Default)]
pub struct Line(Arc<AtomicBool>);

impl Line {
    pub fn level(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl IrqLine for Line {
    fn set(&self, level: bool) {
        self.0.store(level, Relaxed);
    }
}

/// A clock that the input sets.
#[derive(Clone, Default)]
pub struct SetClock(Arc<AtomicU64>);

impl SetClock {
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Relaxed);
    }
}

impl Clock for SetClock {
    fn now_ns(&self) -> u64 {
        self.0.load(Relaxed).wrapping_mul(1_000_000_000)
    }
    fn unix_seconds(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Takes a console's output and drops it.
pub struct Nowhere;

impl ConsoleOut for Nowhere {
    fn put(&mut self, _byte: u8) {}
}

/// What was read fits into the access.
pub fn fits(value: u64, size: u8) {
    assert!(
        size >= 8 || value >> (8 * size) == 0,
        "{value:#x} is wider than {size} bytes"
    );
}

/// An access at an offset that is mostly a register's, in a device of `end` bytes.
pub fn access(device: &mut dyn MmioDevice, end: u64, input: &mut Input<'_>) {
    let kind = input.u8();
    let offset = match kind & 7 {
        0 => input.u64(),
        1 => u64::from(input.u32()) % end,
        _ => u64::from(input.u16()) * 4 % end,
    };
    let size = input.size();
    if kind & 8 == 0 {
        let value = match kind >> 4 & 3 {
            0 => input.number(),
            1 => u64::MAX,
            _ => u64::from(input.u16()),
        };
        device.write(offset, size, value);
    } else {
        fits(device.read(offset, size), size);
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.u8();
    match kind {
        250.. => return channel(&mut input),
        240.. => return sp805(&mut input),
        _ => {}
    }
    match kind % 5 {
        0 => pl011(&mut input),
        1 => pl031(&mut input),
        2 => pl061(&mut input),
        3 => flash(&mut input),
        _ => fw_cfg(&mut input),
    }
}

const PAGE: u64 = 0x1000;

fn pl011(input: &mut Input<'_>) {
    const MIS: u64 = 0x40;
    let line = Line::default();
    let mut uart = Pl011::new(line.clone(), Nowhere);
    while !input.is_empty() {
        match input.u8() % 8 {
            0 => {
                let len = input.below(20);
                let room = uart.room();
                assert!(room <= 16);
                let bytes = input.take(len);
                assert_eq!(uart.receive(bytes), room.min(bytes.len()));
            }
            1 => {
                uart.receive_break();
            }
            2 if input.below(8) == 0 => uart.reset(),
            // The registers lie in the first 128 bytes.
            3 => access(&mut uart, PAGE, input),
            _ => access(&mut uart, 0x80, input),
        }
        assert_eq!(line.level(), uart.read(MIS, 4) != 0);
        let (state, other_line) = (uart.save(), Line::default());
        let mut other = Pl011::new(other_line.clone(), Nowhere);
        other.restore(&state);
        assert_eq!(other.save(), state);
        assert_eq!(other_line.level(), line.level());
    }
}

fn pl031(input: &mut Input<'_>) {
    const MIS: u64 = 0x18;
    let (line, clock) = (Line::default(), SetClock::default());
    let mut rtc = Pl031::new(line.clone(), clock.clone());
    while !input.is_empty() {
        match input.u8() % 8 {
            0 => clock.advance(input.number()),
            1 => rtc.poll(),
            2 => {
                if let Some(seconds) = rtc.seconds_to_match() {
                    assert!(seconds > 0);
                    // Half of the counter's range is a clock that was set back.
                    if seconds < 1 << 31 {
                        rtc.poll();
                        clock.advance(u64::from(seconds));
                        rtc.poll();
                        assert!(line.level(), "no alarm after {seconds} s");
                    }
                }
            }
            3 if input.below(8) == 0 => rtc.reset(),
            4 => access(&mut rtc, PAGE, input),
            _ => access(&mut rtc, 0x20, input),
        }
        // Reading may be what finds that the alarm is due.
        let status = rtc.read(MIS, 4);
        assert_eq!(line.level(), status != 0);
        rtc.poll();
        let (state, other_line) = (rtc.save(), Line::default());
        let mut other = Pl031::new(other_line.clone(), clock.clone());
        other.restore(&state);
        assert_eq!(other.save(), state);
        assert_eq!(other_line.level(), line.level());
    }
}

fn sp805(input: &mut Input<'_>) {
    const MIS: u64 = 0x14;
    let (line, clock) = (Line::default(), SetClock::default());
    let new = |line: &Line| Sp805::new(line.clone(), clock.clone(), 24_000_000);
    let mut watchdog = new(&line);
    while !input.is_empty() {
        match input.u8() % 8 {
            0 => clock.advance(u64::from(input.u16())),
            1 => {
                if watchdog.ns_to_event().is_some() {
                    // A stage is 179 seconds at most.
                    clock.advance(179);
                    let bitten = watchdog.poll();
                    assert!(bitten || line.level(), "a stage has ended");
                }
            }
            2 if input.below(8) == 0 => watchdog.reset(),
            3 => access(&mut watchdog, PAGE, input),
            _ => access(&mut watchdog, 0x20, input),
        }
        let status = watchdog.read(MIS, 4);
        assert_eq!(line.level(), status != 0);
        let (state, other_line) = (watchdog.save(), Line::default());
        let mut other = new(&other_line);
        other.restore(&state);
        assert_eq!(other.save(), state);
        assert_eq!(other_line.level(), line.level());
    }
}

/// Counts interrupts of ends.
#[derive(Clone, Default)]
struct Counter(Arc<[AtomicU64; MAX_ENDS]>);

impl Ringer for Counter {
    fn ring(&self, end: usize) {
        self.0[end].fetch_add(1, Relaxed);
    }
}

/// An end is interrupted exactly when a bit of its RUNG is set that was clear.
fn channel(input: &mut Input<'_>) {
    let (bells, counter) = (Arc::new(Bells::default()), Counter::default());
    let count = 2 + input.below(MAX_ENDS - 1);
    let mut ends: Vec<_> = (0..count)
        .map(|end| {
            let ends = (end, count);
            Channel::new(bells.clone(), counter.clone(), ends, 0x1000, end == 0)
        })
        .collect();
    let mut expected = vec![0; count];
    while !input.is_empty() {
        let before: Vec<_> = ends.iter().map(|end| end.save().rung).collect();
        let at = input.below(count);
        match input.u8() % 8 {
            0 => ends[at].reset(),
            1 => access(&mut ends[at], PAGE, input),
            _ => access(&mut ends[at], 0x24, input),
        }
        for (end, before) in before.into_iter().enumerate() {
            let rung = ends[end].save().rung;
            assert_eq!(rung & 1 << end, 0, "an end does not ring at itself");
            assert_eq!(u32::from(rung) >> count, 0);
            expected[end] += u64::from((rung & !before).count_ones());
            assert_eq!(counter.0[end].load(Relaxed), expected[end]);
        }
        let state = ends[at].save();
        ends[at].restore(&state);
        assert_eq!(ends[at].save(), state);
    }
}

fn pl061(input: &mut Input<'_>) {
    const MIS: u64 = 0x418;
    let line = Line::default();
    let mut gpio = Pl061::new(line.clone());
    while !input.is_empty() {
        match input.u8() % 8 {
            0 | 1 => gpio.set_pin(input.u8(), input.bool()),
            2 if input.below(8) == 0 => gpio.reset(),
            3 => access(&mut gpio, PAGE, input),
            _ => access(&mut gpio, 0x424, input),
        }
        assert_eq!(line.level(), gpio.read(MIS, 4) != 0);
        let (state, other_line) = (gpio.save(), Line::default());
        let mut other = Pl061::new(other_line.clone());
        other.restore(&state);
        assert_eq!(other.save(), state);
        assert_eq!(other_line.level(), line.level());
        assert_eq!(other.outputs(), gpio.outputs());
    }
}

/// A flash array that checks what it is asked.
struct Array {
    len: u64,
    writable: bool,
    /// The last write: memory for all of it would make each input slow.
    last: Cell<u64>,
}

impl FlashArray for Array {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, buf: &mut [u8]) {
        assert!(offset + buf.len() as u64 <= self.len);
        buf.fill(self.last.get() as u8);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> bool {
        assert!(offset + data.len() as u64 <= self.len);
        self.last.set(offset);
        self.writable
    }
}

fn flash(input: &mut Input<'_>) {
    const BLOCK: u64 = 256 << 10;
    let len = BLOCK * (input.below(3) as u64 + 1);
    let writable = input.bool();
    let array = || Array {
        len,
        writable,
        last: Cell::new(0),
    };
    let mut flash = Flash::new(array());
    while !input.is_empty() {
        let before = flash.reads_as_array();
        match input.u8() % 8 {
            0 if input.below(8) == 0 => flash.reset(),
            1 => {
                let offset = match input.bool() {
                    true => len - u64::from(input.u8() & 63),
                    false => input.number(),
                };
                let size = input.size();
                fits(flash.read(offset, size), size);
            }
            _ => {
                // A command, mostly: at a place that is near others, or any.
                let offset = match input.u8() {
                    0 => input.number(),
                    byte => u64::from(byte) * 4,
                };
                let (size, value) = (input.size(), input.number());
                let action = flash.write_command(offset, size, value);
                let after = flash.reads_as_array();
                let expected = match (before, after) {
                    (true, false) => FlashAction::UnmapArray,
                    (false, true) => FlashAction::MapArray,
                    _ => FlashAction::None,
                };
                assert_eq!(action, expected);
            }
        }
        let state = flash.save();
        let mut other = Flash::new(array());
        other.restore(&state);
        assert_eq!(other.save(), state);
    }
}

fn fw_cfg(input: &mut Input<'_>) {
    const BASE: u64 = 0x4000_0000;
    const REGISTERS: u64 = 0x18;
    let memory = Arc::new(Memory::new(BASE, 8 << 10));
    let mut device = FwCfg::new(memory.clone());
    for _ in 0..input.below(4) {
        let key = input.u16();
        let len = input.below(64);
        let contents = input.take(len).to_vec();
        if input.bool() {
            let _ = device.add_item(key, contents);
        } else {
            let _ = device.add_file(&format!("opt/{}", key & 3), contents);
        }
    }
    while !input.is_empty() {
        match input.u8() % 8 {
            0 if input.below(8) == 0 => device.reset(),
            // A descriptor in memory, and its address in the register.
            1..4 => {
                let at = BASE + u64::from(input.u8()) * 16;
                let control = (u32::from(input.u8()) << 16 | u32::from(input.u8())).to_be_bytes();
                let len = (input.number() as u32).to_be_bytes();
                let addr = match input.bool() {
                    true => BASE + u64::from(input.u16() & 0x3fff),
                    false => input.number(),
                };
                let _ = memory.write(at, &[&control[..], &len, &addr.to_be_bytes()].concat());
                device.write(0x10, 8, at.swap_bytes());
            }
            4 => {
                device.write(8, 2, u64::from(input.u16()));
            }
            _ => access(&mut device, REGISTERS, input),
        }
        let state = device.save();
        let mut other = FwCfg::new(memory.clone());
        other.restore(&state);
        assert_eq!(other.save(), state);
    }
}
