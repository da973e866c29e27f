//! Two CPUs: PSCI (Arm DEN 0022), interrupts and events between them, exclusives, TLB maintenance.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use guest_support::cp15::dsb;
use guest_support::gic::{self, bit, c, d, gicc, gicd, set_bit, set_c, set_d, set_priority};
use guest_support::mmu::{self, WINDOW, short};
use guest_support::probe::Probe;
use guest_support::psci::{self, function};
use guest_support::smp::{self, Turn};
use guest_support::vectors::{self, Vector};
use guest_support::{board, guest, mcr, mmio, mrc, print, println, snippet};
use guest_tests::{MEMORY, fill_memory};

guest!(main);

static TURN: Turn = Turn::new();
static RESULTS: [AtomicU32; 16] = [const { AtomicU32::new(0) }; 16];

fn result(n: usize) -> u32 {
    RESULTS[n].load(SeqCst)
}

fn set_result(n: usize, value: u32) {
    RESULTS[n].store(value, SeqCst);
}

fn main() {
    firmware();
    starting();
    interrupts();
    spi_targets();
    events();
    exclusives();
    contention();
    maintenance();
    power_off_wakes();
}

fn firmware() {
    println!("version {:x}", psci::call(function::VERSION, 0, 0, 0));
    for id in (0x8400_0000u32..0x8400_0016).chain([
        0x8400_001f,
        0x8400_0020,
        0xc400_0001,
        0xc400_0003,
        0xc400_0004,
        0x8000_0000,
        0,
        0xffff_ffff,
    ]) {
        println!(
            "features of {id:08x}: {}",
            psci::call(function::FEATURES, id, 0, 0)
        );
    }
    println!(
        "migrate info type {}",
        psci::call(function::MIGRATE_INFO_TYPE, 0, 0, 0)
    );
    println!("migrate {}", psci::call(function::MIGRATE, 1, 0, 0));
    for id in [
        0x8400_0007,
        0x8400_000b,
        0x8400_000c,
        0x8400_0014,
        0x8400_1234,
        0xc400_0003,
        0x8000_0000,
        0x0000_0001,
        0x95c1_ba60,
        0x95c1_ba61,
    ] {
        println!("call of {id:08x}: {}", psci::call(id, 0, 0, 0));
    }
    // Arguments are not changed.
    let r = psci::call4(function::VERSION, 1, 2, 3);
    println!(
        "registers after a call: {:x} {:x} {:x} {:x}",
        r[0], r[1], r[2], r[3]
    );
    for (cpu, level) in [
        (0, 0),
        (1, 0),
        (2, 0),
        (7, 0),
        (8, 0),
        (0x100, 0),
        (0x8000_0001, 0),
        (0xffff_ffff, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (1, 1),
        (2, 1),
    ] {
        println!(
            "affinity info of {cpu:x} level {level}: {}",
            psci::call(function::AFFINITY_INFO, cpu, level, 0)
        );
    }
    println!(
        "cpu on of 0 {}",
        psci::call(function::CPU_ON, 0, smp::entry(), 0)
    );
    for cpu in [2, 0x100, 0x8000_0000, 0x0100_0000, 0xffff_ffff] {
        println!(
            "cpu on of {cpu:x}: {}",
            psci::call(function::CPU_ON, cpu, smp::entry(), 0)
        );
    }
    // The power state's fields.
    for state in [0x0000_0000, 0xffff_ffff] {
        // A pending interrupt ends the suspension at once.
        gic::enable();
        gic::set_targets(40, 1);
        set_bit(gicd::ISENABLER, 40);
        set_bit(gicd::ISPENDR, 40);
        println!(
            "cpu suspend {state:x}: {}",
            psci::call(function::CPU_SUSPEND, state, 0, 0)
        );
        set_bit(gicd::ICPENDR, 40);
    }
    println!(
        "hvc with another immediate: {}",
        Probe::new(snippet!(arm, "hvc #1"))
            .r(0, function::VERSION)
            .run()
    );
    println!(
        "smc: {}",
        Probe::new(snippet!(arm, ".arch_extension sec", "smc #0"))
            .r(0, function::VERSION)
            .run()
    );
}

fn second() {
    let registers = [
        mrc!("p15, 0, {}, c0, c0, 5"),
        mrc!("p15, 0, {}, c1, c0, 0"),
        mrc!("p15, 0, {}, c2, c0, 2"),
        mrc!("p15, 0, {}, c1, c0, 2"),
        mrc!("p15, 0, {}, c13, c0, 1"),
        mrc!("p15, 0, {}, c14, c0, 0"),
    ];
    for (n, value) in registers.into_iter().enumerate() {
        set_result(n, value);
    }
    let cpsr: u32;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mrs {}, cpsr", out(reg) cpsr) };
    set_result(6, cpsr & 0x3ff);
    set_result(7, psci::call(function::CPU_ON, 1, smp::entry(), 0) as u32);
    set_result(8, psci::call(function::CPU_ON, 0, smp::entry(), 0) as u32);
    set_result(9, psci::call(function::AFFINITY_INFO, 0, 0, 0) as u32);
    TURN.set(1);
    TURN.wait(2);
}

fn starting() {
    println!("mpidr of cpu 0 {:08x}", mrc!("p15, 0, {}, c0, c0, 5"));
    println!(
        "affinity info before: {}",
        psci::call(function::AFFINITY_INFO, 1, 0, 0)
    );
    println!("cpu on: {}", smp::start(second));
    TURN.wait(1);
    println!(
        "affinity info while on: {}",
        psci::call(function::AFFINITY_INFO, 1, 0, 0)
    );
    println!(
        "cpu on again: {}",
        psci::call(function::CPU_ON, 1, smp::entry(), 0)
    );
    for (n, name) in [
        "mpidr",
        "sctlr",
        "ttbcr",
        "cpacr",
        "contextidr",
        "cntfrq",
        "cpsr",
    ]
    .into_iter()
    .enumerate()
    {
        println!("cpu 1 {name} {:08x}", result(n));
    }
    println!(
        "cpu 1: cpu on of itself {} of 0 {} affinity info of 0 {}",
        result(7) as i32,
        result(8) as i32,
        result(9) as i32
    );
    TURN.set(2);
    smp::wait_off();
    println!(
        "affinity info after: {}",
        psci::call(function::AFFINITY_INFO, 1, 0, 0)
    );
    // Again, with everything as at reset.
    TURN.set(0);
    println!("cpu on: {}", smp::start(second));
    TURN.wait(1);
    println!("cpu 1 sctlr {:08x}", result(1));
    TURN.set(2);
    smp::wait_off();
    TURN.set(0);
    // An entry point in Thumb: an instruction that turns the CPU off.
    let code = board::FREE + 0x100;
    let flag = board::FREE + 0x200;
    mmio::write32(flag, 0);
    // LDR r1, [PC, #8]; STR r0, [r1]; LDR r0, [PC, #8]; HVC #0; NOP; the flag; the function.
    for (i, half) in [0x4902u16, 0x6008, 0x4802, 0xf7e0, 0x8000, 0xbf00]
        .into_iter()
        .enumerate()
    {
        mmio::write16(code + 2 * i as u32, half);
    }
    mmio::write32(code + 12, flag);
    mmio::write32(code + 16, function::CPU_OFF);
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    println!(
        "cpu on in thumb: {}",
        psci::call(function::CPU_ON, 1, code | 1, 1)
    );
    while mmio::read32(flag) == 0 {
        core::hint::spin_loop();
    }
    smp::wait_off();
    println!("off again");
}

/// Notes what interrupts arrive.
extern "C" fn note(_: Vector) {
    let iar = c(gicc::IAR);
    set_c(gicc::EOIR, iar);
    let n = 1 + result(0) as usize;
    set_result(n.min(15), iar);
    set_result(0, n as u32);
}

fn unmask() {
    // SAFETY: the vectors have handlers that return.
    unsafe { core::arch::asm!("cpsie i") };
}

fn mask() {
    // SAFETY: interrupts wait.
    unsafe { core::arch::asm!("cpsid i") };
}

fn receiver() {
    gic::enable();
    set_d(gicd::ISENABLER, 0xffff);
    vectors::serve(note);
    TURN.set(1);
    TURN.wait(2);
    unmask();
    while result(0) < 3 {
        core::hint::spin_loop();
    }
    mask();
    // All to everybody else: to CPU 0.
    set_d(gicd::SGIR, 1 << 24 | 4);
    // To both.
    set_d(gicd::SGIR, 3 << 16 | 5);
    set_result(10, d(gicd::ISPENDR) & 0xffff);
    set_result(11, d(gicd::ITARGETSR));
    set_result(12, d(gicd::TYPER));
    TURN.set(3);
    TURN.wait(4);
    vectors::record();
    let iar = c(gicc::IAR);
    set_c(gicc::EOIR, iar);
    set_result(13, iar);
}

fn interrupts() {
    gic::enable();
    set_d(gicd::ISENABLER, 0xffff);
    for id in 0..16 {
        set_priority(id, 0x80);
    }
    set_result(0, 0);
    smp::start(receiver);
    TURN.wait(1);
    // CPU 1 takes them in the order of their numbers: all have the same priority.
    set_d(gicd::SGIR, 2 << 16 | 9);
    set_d(gicd::SGIR, 1 << 24 | 3);
    set_d(gicd::SGIR, 3 << 16 | 6);
    println!("pending at cpu 0 {:04x}", d(gicd::ISPENDR));
    TURN.set(2);
    TURN.wait(3);
    for n in 1..4 {
        println!("cpu 1 took {:x}", result(n));
    }
    println!(
        "cpu 1 pending {:x} targets {:08x} typer {:08x}",
        result(10),
        result(11),
        result(12)
    );
    println!("cpu 0 pending {:x}", d(gicd::ISPENDR));
    for n in 0..4 {
        print!("spendsgir[{n}] {:08x} ", d(gicd::SPENDSGIR + 4 * n));
    }
    println!();
    // One from each CPU: two to be taken.
    set_d(gicd::SGIR, 2 << 24 | 5);
    for _ in 0..5 {
        let iar = c(gicc::IAR);
        print!("cpu 0 takes {iar:x} ");
        set_c(gicc::EOIR, iar);
    }
    println!();
    TURN.set(4);
    smp::wait_off();
    println!("cpu 1 took {:x} at last", result(13));
    TURN.set(0);
}

fn taker() {
    gic::enable();
    set_result(1, c(gicc::HPPIR));
    let iar = c(gicc::IAR);
    set_result(2, iar);
    TURN.set(1);
    TURN.wait(2);
    set_c(gicc::EOIR, iar);
    set_result(3, bit(gicd::ISACTIVER, 40));
    TURN.set(3);
}

/// A shared interrupt with two targets is taken by one.
fn spi_targets() {
    gic::enable();
    set_bit(gicd::ISENABLER, 40);
    gic::set_targets(40, 3);
    set_bit(gicd::ISPENDR, 40);
    println!("hppir at cpu 0 {}", c(gicc::HPPIR));
    smp::start(taker);
    TURN.wait(1);
    println!("cpu 1: hppir {} iar {}", result(1), result(2));
    println!(
        "cpu 0: hppir {} iar {} active {}",
        c(gicc::HPPIR),
        c(gicc::IAR),
        bit(gicd::ISACTIVER, 40)
    );
    set_bit(gicd::ISPENDR, 40);
    println!(
        "pending again while active: hppir at cpu 0 {}",
        c(gicc::HPPIR)
    );
    TURN.set(2);
    TURN.wait(3);
    println!(
        "ended by cpu 1: active {} hppir at cpu 0 {}",
        result(3),
        c(gicc::HPPIR)
    );
    set_bit(gicd::ICPENDR, 40);
    smp::wait_off();
    TURN.set(0);
}

fn waiter() {
    TURN.set(1);
    // Events until CPU 0 says it was the last.
    while result(0) == 0 {
        // SAFETY: waits.
        unsafe { core::arch::asm!("wfe") };
    }
    set_result(1, 1);
    TURN.set(2);
    TURN.wait(3);
    // With interrupts masked a pending one ends WFI.
    gic::enable();
    set_d(gicd::ISENABLER, 1);
    TURN.set(4);
    // SAFETY: CPU 0 sends an interrupt.
    unsafe { core::arch::asm!("wfi") };
    set_result(2, c(gicc::IAR));
    set_c(gicc::EOIR, 0);
}

fn events() {
    set_result(0, 0);
    set_result(1, 0);
    smp::start(waiter);
    TURN.wait(1);
    set_result(0, 1);
    // SAFETY: an event.
    unsafe { core::arch::asm!("dsb", "sev") };
    TURN.wait(2);
    println!("woken by an event: {}", result(1));
    TURN.set(3);
    TURN.wait(4);
    set_d(gicd::SGIR, 2 << 16);
    smp::wait_off();
    println!("woken by an interrupt: {:x}", result(2));
    TURN.set(0);
    // An event is remembered.
    println!(
        "sev and wfe: {}",
        Probe::new(snippet!(arm, "sev\n wfe")).run()
    );
}

const CELL: u32 = MEMORY + 0x10_0000;

fn interferer() {
    for turn in 0..4u32 {
        TURN.wait(2 * turn + 1);
        match turn {
            0 => mmio::write32(CELL, 0x55),
            1 => {
                mmio::read32(CELL);
            }
            2 => mmio::write32(CELL + 0x1000, 0x66),
            _ => {
                let cell = CELL as *const AtomicU32;
                // SAFETY: the cell is memory that only these tests use.
                unsafe { (*cell).fetch_add(1, SeqCst) };
            }
        }
        dsb();
        TURN.set(2 * turn + 2);
    }
}

/// What another CPU does between LDREX and STREX.
fn exclusives() {
    short::on(0);
    smp::start(interferer);
    for (turn, name) in [
        "a store",
        "a load",
        "a store elsewhere",
        "an exclusive pair",
    ]
    .into_iter()
    .enumerate()
    {
        mmio::write32(CELL, 0x11);
        // r0: the cell, r1: TURN's address is kept by the loop below.
        let turn_cell = core::ptr::from_ref(&TURN) as u32;
        let snippet = snippet!(
            arm,
            "ldrex r2, [r0]",
            "str r3, [r1]",
            "dsb",
            "1: ldr r4, [r1]",
            "cmp r4, r5",
            "blo 1b",
            "mov r6, #0x77",
            "strex r7, r6, [r0]",
        );
        let outcome = Probe::new(snippet)
            .r(0, CELL)
            .r(1, turn_cell)
            .r(3, 2 * turn as u32 + 1)
            .r(5, 2 * turn as u32 + 2)
            .run();
        println!(
            "{name}: {outcome} loaded {:x} status {} memory {:x}",
            outcome.r(2),
            outcome.r(7),
            mmio::read32(CELL)
        );
    }
    smp::wait_off();
    TURN.set(0);
    mmu::off();
}

const ROUNDS: u32 = 20_000;

fn add() {
    // The other CPU's translation is off: then exclusives are made to strongly-ordered memory.
    short::join(0);
    let cell = CELL as *const AtomicU32;
    for _ in 0..ROUNDS {
        // SAFETY: as above.
        unsafe { (*cell).fetch_add(1, SeqCst) };
    }
    mmu::off();
}

fn contention() {
    short::on(0);
    mmio::write32(CELL, 0);
    smp::start(add);
    let cell = CELL as *const AtomicU32;
    for _ in 0..ROUNDS {
        // SAFETY: as above.
        unsafe { (*cell).fetch_add(1, SeqCst) };
    }
    smp::wait_off();
    println!("both added: {}", mmio::read32(CELL));
    mmu::off();
}

const PAGES: u32 = WINDOW;

fn reader() {
    short::join(0);
    for turn in 0..4 {
        TURN.wait(2 * turn + 1);
        set_result(turn as usize, mmio::read32(PAGES + 4));
        TURN.set(2 * turn + 2);
    }
    mmu::off();
}

/// Maintenance that the Inner Shareable operations broadcast.
fn maintenance() {
    fill_memory();
    short::on(0);
    short::set_first(PAGES, short::second(0) | short::TABLE);
    short::set_second(0, PAGES, MEMORY | short::PAGE);
    smp::start(reader);
    type Operation = (&'static str, fn());
    let operations: [Operation; 4] = [
        ("at first", || {}),
        ("TLBIMVAIS", || mcr!("p15, 0, {}, c8, c3, 1", PAGES)),
        ("TLBIMVAAIS", || mcr!("p15, 0, {}, c8, c3, 3", PAGES)),
        ("TLBIALLIS", || mcr!("p15, 0, {}, c8, c3, 0", 0)),
    ];
    for (turn, (name, operation)) in operations.into_iter().enumerate() {
        let page = MEMORY + ((turn as u32) << 12);
        mmio::write32(short::second(0), page | short::PAGE);
        dsb();
        operation();
        TURN.set(2 * turn as u32 + 1);
        TURN.wait(2 * turn as u32 + 2);
        println!("{name}: the other cpu reads {:08x}", result(turn));
    }
    smp::wait_off();
    TURN.set(0);
    mmu::off();
}

fn power_off_wakes() {
    // A CPU that is off does not react to interrupts.
    set_d(gicd::SGIR, 2 << 16 | 1);
    println!(
        "off with an interrupt pending: {}",
        psci::call(function::AFFINITY_INFO, 1, 0, 0)
    );
}
