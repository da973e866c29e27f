use super::spec::*;
use super::*;
use crate::test_support::Line;
use proptest::prelude::*;

fn gpio() -> (Pl061<Line>, Line) {
    let line = Line::default();
    (Pl061::new(line.clone()), line)
}

fn read(gpio: &mut Pl061<Line>, register: u32) -> u32 {
    gpio.read(u64::from(register), 4) as u32
}

fn write(gpio: &mut Pl061<Line>, register: u32, value: u32) {
    gpio.write(u64::from(register), 4, u64::from(value));
}

#[test]
fn data_is_masked_by_the_address() {
    let (mut gpio, _) = gpio();
    write(&mut gpio, DIR, 0x0f);
    write(&mut gpio, 0x3fc, 0xff);
    assert_eq!(gpio.outputs(), 0x0f, "inputs cannot be written");
    write(&mut gpio, 0x5 << 2, 0);
    assert_eq!(gpio.outputs(), 0x0a);
    gpio.set_pin(7, true);
    gpio.set_pin(8, true);
    assert_eq!(read(&mut gpio, 0x3fc), 0x8a);
    assert_eq!(read(&mut gpio, 0x80 << 2), 0x80);
    assert_eq!(read(&mut gpio, 0), 0);
}

#[test]
fn power_key_interrupts_on_both_edges() {
    let (mut gpio, line) = gpio();
    write(&mut gpio, IBE, 8);
    write(&mut gpio, IE, 8);
    gpio.set_pin(3, true);
    assert!(line.level());
    assert_eq!(read(&mut gpio, MIS), 8);
    write(&mut gpio, IC, 8);
    assert!(!line.level());
    gpio.set_pin(3, true);
    assert!(!line.level(), "no change, no edge");
    gpio.set_pin(3, false);
    assert!(line.level());
}

#[test]
fn single_edges_follow_the_event_register() {
    let (mut gpio, _) = gpio();
    write(&mut gpio, IEV, 1);
    gpio.set_pin(0, true);
    gpio.set_pin(1, true);
    assert_eq!(read(&mut gpio, RIS), 1, "pin 1 waits for a falling edge");
    gpio.set_pin(0, false);
    gpio.set_pin(1, false);
    assert_eq!(read(&mut gpio, RIS), 3);
}

#[test]
fn levels_cannot_be_cleared() {
    let (mut gpio, line) = gpio();
    write(&mut gpio, IS, 4);
    write(&mut gpio, IEV, 4);
    write(&mut gpio, IE, 4);
    gpio.set_pin(2, true);
    write(&mut gpio, IC, 0xff);
    assert!(line.level());
    gpio.set_pin(2, false);
    assert!(!line.level());
    write(&mut gpio, IEV, 0);
    assert!(line.level(), "low level");
}

#[test]
fn identifies_itself() {
    let (mut gpio, _) = gpio();
    let ids = [0x61, 0x10, 0x04, 0, 0x0d, 0xf0, 5, 0xb1];
    for (i, id) in ids.into_iter().enumerate() {
        assert_eq!(read(&mut gpio, 0xfe0 + 4 * i as u32), id);
    }
}

proptest! {
    #[test]
    fn survives_any_access_and_roundtrips(ops in crate::test_support::accesses(0x1100)) {
        let (mut gpio, line) = gpio();
        for op in &ops {
            op.apply(&mut gpio);
            gpio.set_pin(op.value as u8 & 15, op.write);
            prop_assert_eq!(line.level(), read(&mut gpio, MIS) != 0);
        }
        let saved = gpio.save();
        let other_line = Line::default();
        let mut other = Pl061::new(other_line.clone());
        other.restore(&saved);
        prop_assert_eq!(other.save(), saved);
        prop_assert_eq!(other_line.level(), line.level());
        gpio.reset();
        prop_assert_eq!(gpio.save(), Pl061State { inputs: saved.inputs, ..Default::default() });
    }
}
