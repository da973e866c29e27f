//! The interrupt controller with one to eight CPUs: accesses to every register, lines, resets.
//! Outputs are those of CPUs that exist, and those that a controller with the same saved state
//! works out; saving and restoring changes nothing.

use crate::devices::fits;
use crate::input::Input;
use skep_board::gic::Gic;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let cpus = input.below(8) + 1;
    let mut gic = Gic::new(cpus);
    if input.bool() {
        open(&mut gic, cpus);
    }
    let mut steps = 0u32;
    while !input.is_empty() {
        step(&mut gic, cpus, &mut input);
        steps += 1;
        let existing = 0xffu8 >> (8 - cpus);
        assert_eq!(gic.irq_outputs() & !existing, 0);
        assert_eq!(gic.fiq_outputs() & !existing, 0);
        assert_eq!(gic.irq_outputs() & gic.fiq_outputs(), 0);
        // It takes longer than a step does.
        if steps.is_multiple_of(32) {
            same_when_restored(&gic, cpus);
        }
    }
    same_when_restored(&gic, cpus);
}

/// Everything enabled, as an operating system does.
fn open(gic: &mut Gic, cpus: usize) {
    gic.dist_write(0, 0, 4, 3);
    for register in 0..9 {
        gic.dist_write(0, 0x100 + register * 4, 4, u64::MAX);
    }
    for spi in 32..288 {
        gic.dist_write(0, 0x800 + spi, 1, 1 << (spi % cpus as u64));
    }
    for cpu in 0..cpus {
        gic.dist_write(cpu, 0x100, 4, u64::MAX);
        gic.cpu_write(cpu, 4, 4, 0xff);
        gic.cpu_write(cpu, 0, 4, 1);
    }
}

fn step(gic: &mut Gic, cpus: usize, input: &mut Input<'_>) {
    let cpu = input.below(cpus + 1);
    match input.u8() % 16 {
        0..4 => {
            let (offset, size) = (distributor_offset(input), input.size());
            gic.dist_write(cpu, offset, size, input.number());
        }
        4 | 5 => {
            let (offset, size) = (distributor_offset(input), input.size());
            fits(gic.dist_read(cpu, offset, size), size);
        }
        6 | 7 => {
            let (offset, size) = (interface_offset(input), input.size());
            gic.cpu_write(cpu, offset, size, input.number());
        }
        // Acknowledge, and end what was acknowledged.
        8 => {
            let intid = gic.cpu_read(cpu, 0xc, 4);
            if input.bool() {
                gic.cpu_write(cpu, 0x10, 4, intid);
            }
        }
        9 => {
            let (offset, size) = (interface_offset(input), input.size());
            fits(gic.cpu_read(cpu, offset, size), size);
        }
        10..13 => gic.set_spi(u32::from(input.u16() % 300), input.bool()),
        13 | 14 => gic.set_ppi(cpu, input.below(40) as u32, input.bool()),
        _ if input.below(8) == 0 => gic.reset(),
        _ => {}
    }
}

fn distributor_offset(input: &mut Input<'_>) -> u64 {
    match input.u8() {
        0 => input.u64(),
        1..32 => u64::from(input.u16()),
        _ => u64::from(input.u16() % 0x400) * 4,
    }
}

fn interface_offset(input: &mut Input<'_>) -> u64 {
    match input.u8() {
        0 => input.u64(),
        1..32 => u64::from(input.u16()),
        _ => u64::from(input.u8()) * 4,
    }
}

fn same_when_restored(gic: &Gic, cpus: usize) {
    let state = gic.save();
    let mut other = Gic::new(cpus);
    other.restore(&state);
    assert_eq!(other.save(), state);
    assert_eq!(other.irq_outputs(), gic.irq_outputs());
    assert_eq!(other.fiq_outputs(), gic.fiq_outputs());
}
