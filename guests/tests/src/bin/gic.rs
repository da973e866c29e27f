//! The interrupt controller and the generic timers (ARM IHI 0048B; manual B8).

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use guest_support::board::{GICC, GICD, PHYSICAL_TIMER, VIRTUAL_TIMER};
use guest_support::gic::{
    self, bit, c, d, gicc, gicd, set_bit, set_c, set_d, set_priority, set_targets,
};
use guest_support::probe::Probe;
use guest_support::psr::{self, mode};
use guest_support::vectors::{self, Vector};
use guest_support::{guest, mcr, mcrr, mmio, mrc, mrrc, print, println, snippet};

guest!(main);

fn main() {
    identification();
    distributor();
    interface();
    acknowledge();
    priorities();
    masks();
    preemption();
    end_modes();
    software_generated();
    targets();
    timers();
    timer_interrupts();
    timer_access();
}

fn identification() {
    for (name, register) in [
        ("ctlr", gicd::CTLR),
        ("typer", gicd::TYPER),
        ("iidr", gicd::IIDR),
    ] {
        println!("gicd {name} {:08x}", d(register));
    }
    for register in (0xfd0..0x1000).step_by(4) {
        println!("gicd {register:03x} {:08x}", d(register));
    }
    for (name, register) in [
        ("ctlr", gicc::CTLR),
        ("pmr", gicc::PMR),
        ("bpr", gicc::BPR),
        ("iar", gicc::IAR),
        ("rpr", gicc::RPR),
        ("hppir", gicc::HPPIR),
        ("abpr", gicc::ABPR),
        ("aiar", gicc::AIAR),
        ("ahppir", gicc::AHPPIR),
        ("apr0", gicc::APR0),
        ("iidr", gicc::IIDR),
    ] {
        println!("gicc {name} {:08x}", c(register));
    }
}

/// Every kind of distributor register: what it reads at first, after ones, and after zeros.
fn distributor() {
    for (name, register, count) in [
        ("igroupr", gicd::IGROUPR, 3),
        ("isenabler", gicd::ISENABLER, 3),
        ("icenabler", gicd::ICENABLER, 3),
        ("ispendr", gicd::ISPENDR, 3),
        ("icpendr", gicd::ICPENDR, 3),
        ("isactiver", gicd::ISACTIVER, 3),
        ("icactiver", gicd::ICACTIVER, 3),
        ("ipriorityr", gicd::IPRIORITYR, 10),
        ("itargetsr", gicd::ITARGETSR, 10),
        ("icfgr", gicd::ICFGR, 4),
    ] {
        for n in 0..count {
            let at = register + 4 * n;
            let before = d(at);
            set_d(at, u32::MAX);
            let ones = d(at);
            set_d(at, 0);
            println!("{name}[{n}] {before:08x} {ones:08x} {:08x}", d(at));
            match register {
                gicd::ISENABLER => set_d(gicd::ICENABLER + 4 * n, u32::MAX),
                gicd::ISPENDR => set_d(gicd::ICPENDR + 4 * n, u32::MAX),
                gicd::ISACTIVER => set_d(gicd::ICACTIVER + 4 * n, u32::MAX),
                _ => {}
            }
            set_d(at, before);
        }
    }
    // The last interrupts, and what lies beyond.
    for (name, register) in [
        ("isenabler", gicd::ISENABLER),
        ("ispendr", gicd::ISPENDR),
        ("isactiver", gicd::ISACTIVER),
    ] {
        for n in [8, 9, 31] {
            set_d(register + 4 * n, u32::MAX);
            println!("{name}[{n}] {:08x}", d(register + 4 * n));
            set_d(register + 0x80 + 4 * n, u32::MAX);
        }
    }
    for (name, register) in [
        ("ipriorityr", gicd::IPRIORITYR),
        ("itargetsr", gicd::ITARGETSR),
    ] {
        for id in [284, 288, 1016] {
            set_d(register + id, u32::MAX);
            println!("{name} of {id} {:08x}", d(register + id));
            set_d(register + id, 0);
        }
    }
    for register in [
        0x00c, 0x010, 0x060, 0xd00, 0xd04, 0xf00, 0xf04, 0xf10, 0xf20,
    ] {
        println!("gicd {register:03x} {:08x}", d(register));
    }
    // Accesses of other sizes.
    set_priority(45, 0x50);
    println!(
        "priority byte {:02x} word {:08x}",
        gic::priority(45),
        d(gicd::IPRIORITYR + 44)
    );
    println!(
        "halfword {:04x}",
        mmio::read16(GICD + gicd::IPRIORITYR + 44)
    );
    mmio::write8(GICD + gicd::ISENABLER + 5, 0x20);
    println!("enabled by a byte {:08x}", d(gicd::ISENABLER + 4));
    set_d(gicd::ICENABLER + 4, u32::MAX);
    set_priority(45, 0);
    set_d(gicd::CTLR, u32::MAX);
    println!("gicd ctlr of ones {:08x}", d(gicd::CTLR));
    set_d(gicd::CTLR, 0);
}

fn interface() {
    for (name, register) in [
        ("ctlr", gicc::CTLR),
        ("pmr", gicc::PMR),
        ("bpr", gicc::BPR),
        ("abpr", gicc::ABPR),
        ("apr0", gicc::APR0),
    ] {
        set_c(register, u32::MAX);
        let ones = c(register);
        set_c(register, 0);
        println!("gicc {name} {ones:08x} {:08x}", c(register));
    }
    for value in [0x10, 0xf8, 0x07, 0x0f] {
        set_c(gicc::PMR, value);
        println!("gicc pmr {value:02x} {:02x}", c(gicc::PMR));
    }
    // A write to IAR or HPPIR, a read of EOIR or DIR.
    set_c(gicc::IAR, 5);
    println!("gicc eoir {:08x} dir {:08x}", c(gicc::EOIR), c(gicc::DIR));
    println!("gicc byte of iidr {:02x}", mmio::read8(GICC + gicc::IIDR));
}

const A: u32 = 40;
const B: u32 = 41;
const C: u32 = 42;

fn reset() {
    set_d(gicd::CTLR, 0);
    for n in 0..3 {
        set_d(gicd::ICENABLER + 4 * n, u32::MAX);
        set_d(gicd::ICPENDR + 4 * n, u32::MAX);
        set_d(gicd::ICACTIVER + 4 * n, u32::MAX);
    }
    for id in 0..64 {
        set_priority(id, 0xa0);
    }
    for id in 32..64 {
        set_targets(id, 1);
    }
    set_d(gicd::CPENDSGIR, u32::MAX);
    set_c(gicc::BPR, 0);
    gic::enable();
    for id in [A, B, C] {
        set_bit(gicd::ISENABLER, id);
    }
}

fn states(label: &str, id: u32) {
    println!(
        "{label}: {id} enabled {} pending {} active {}, hppir {} rpr {:02x}",
        bit(gicd::ISENABLER, id),
        bit(gicd::ISPENDR, id),
        bit(gicd::ISACTIVER, id),
        c(gicc::HPPIR),
        c(gicc::RPR)
    );
}

fn acknowledge() {
    reset();
    println!("spurious {}", c(gicc::IAR));
    states("at first", A);
    set_bit(gicd::ISPENDR, A);
    states("pending", A);
    println!("isr {:x}", mrc!("p15, 0, {}, c12, c1, 0"));
    println!("iar {}", c(gicc::IAR));
    states("active", A);
    println!("isr {:x}", mrc!("p15, 0, {}, c12, c1, 0"));
    set_bit(gicd::ISPENDR, A);
    states("active and pending", A);
    println!("iar {}", c(gicc::IAR));
    set_c(gicc::EOIR, A);
    states("ended, still pending", A);
    set_bit(gicd::ICPENDR, A);
    states("not pending", A);
    println!("iar {}", c(gicc::IAR));
    // Without enable, in each place.
    set_bit(gicd::ISPENDR, A);
    set_bit(gicd::ICENABLER, A);
    states("disabled", A);
    set_bit(gicd::ISENABLER, A);
    set_d(gicd::CTLR, 0);
    states("distributor off", A);
    println!("iar {}", c(gicc::IAR));
    set_d(gicd::CTLR, 1);
    set_c(gicc::CTLR, 0);
    states("interface off", A);
    println!("isr {:x}", mrc!("p15, 0, {}, c12, c1, 0"));
    println!("iar {}", c(gicc::IAR));
    set_c(gicc::CTLR, 1);
    states("on again", A);
    set_bit(gicd::ICPENDR, A);
    // Active by a write.
    set_bit(gicd::ISACTIVER, B);
    states("made active", B);
    set_bit(gicd::ISPENDR, B);
    states("made active, pending", B);
    println!("iar {}", c(gicc::IAR));
    set_bit(gicd::ICACTIVER, B);
    states("made inactive", B);
    println!("iar {}", c(gicc::IAR));
    set_c(gicc::EOIR, B);
    // Ends out of order, and of what is not active.
    set_c(gicc::EOIR, C);
    set_c(gicc::EOIR, 1023);
    states("end of what is not active", C);
}

fn priorities() {
    reset();
    set_priority(A, 0x80);
    set_priority(B, 0x40);
    set_priority(C, 0x40);
    for id in [C, A, B] {
        set_bit(gicd::ISPENDR, id);
    }
    for _ in 0..3 {
        print!("hppir {} ", c(gicc::HPPIR));
        let id = c(gicc::IAR);
        print!("iar {id} rpr {:02x} hppir {}", c(gicc::RPR), c(gicc::HPPIR));
        set_c(gicc::EOIR, id);
        println!(" rpr {:02x}", c(gicc::RPR));
    }
    // How many bits there are.
    for value in [0xff, 0x0f, 0xf8, 0x01] {
        set_priority(A, value);
        println!("priority {value:02x} {:02x}", gic::priority(A));
    }
}

fn masks() {
    reset();
    set_priority(A, 0x80);
    set_bit(gicd::ISPENDR, A);
    for mask in [0x00, 0x7f, 0x80, 0x81, 0x88, 0x90, 0xff] {
        set_c(gicc::PMR, mask);
        println!(
            "pmr {mask:02x}: hppir {} isr {:x} iar {}",
            c(gicc::HPPIR),
            mrc!("p15, 0, {}, c12, c1, 0"),
            {
                let id = c(gicc::IAR);
                if id < 1020 {
                    set_c(gicc::EOIR, id);
                    set_bit(gicd::ISPENDR, A);
                }
                id
            }
        );
    }
}

fn preemption() {
    for bpr in 0..8 {
        reset();
        set_c(gicc::BPR, bpr);
        let mut log = [0u32; 8];
        // Active at 0x88; which priorities preempt?
        set_priority(A, 0x88);
        set_bit(gicd::ISPENDR, A);
        let first = c(gicc::IAR);
        let tries = [0x80u8, 0x84, 0x78, 0x70, 0x60, 0x40, 0x00, 0x88];
        for (slot, priority) in log.iter_mut().zip(tries) {
            set_priority(B, priority);
            set_bit(gicd::ISPENDR, B);
            *slot = c(gicc::IAR);
            if *slot == B {
                set_c(gicc::EOIR, B);
            }
            set_bit(gicd::ICPENDR, B);
        }
        println!(
            "bpr {bpr} ({}): {first} at 88, then {log:?}, rpr {:02x}",
            c(gicc::BPR),
            c(gicc::RPR)
        );
        set_c(gicc::EOIR, A);
    }
    // Nested, ended in order, and in the wrong one.
    reset();
    for (id, priority) in [(A, 0xa0), (B, 0x60), (C, 0x20)] {
        set_priority(id, priority);
        set_bit(gicd::ISPENDR, id);
        print!(
            "nested iar {} rpr {:02x} apr {:08x}; ",
            c(gicc::IAR),
            c(gicc::RPR),
            c(gicc::APR0)
        );
    }
    println!();
    for id in [C, B, A] {
        set_c(gicc::EOIR, id);
        print!(
            "end {id} rpr {:02x} apr {:08x}; ",
            c(gicc::RPR),
            c(gicc::APR0)
        );
    }
    println!();
    reset();
    for (id, priority) in [(A, 0xa0), (B, 0x60)] {
        set_priority(id, priority);
        set_bit(gicd::ISPENDR, id);
        c(gicc::IAR);
    }
    for id in [A, B] {
        set_c(gicc::EOIR, id);
        println!(
            "wrong order, end {id}: rpr {:02x} active {} {}",
            c(gicc::RPR),
            bit(gicd::ISACTIVER, A),
            bit(gicd::ISACTIVER, B)
        );
    }
    nested_handlers();
}

static LOG: [AtomicU32; 16] = [const { AtomicU32::new(0) }; 16];
static LENGTH: AtomicU32 = AtomicU32::new(0);

fn note(value: u32) {
    let length = LENGTH.load(SeqCst);
    if let Some(slot) = LOG.get(length as usize) {
        slot.store(value, SeqCst);
        LENGTH.store(length + 1, SeqCst);
    }
}

fn show(label: &str) {
    print!("{label}:");
    for slot in LOG.iter().take(LENGTH.load(SeqCst) as usize) {
        print!(" {:x}", slot.load(SeqCst));
    }
    println!();
    LENGTH.store(0, SeqCst);
}

fn unmask() {
    // SAFETY: the vectors are set to handlers that return.
    unsafe { core::arch::asm!("cpsie i", "nop", "nop") };
}

fn mask() {
    // SAFETY: interrupts wait.
    unsafe { core::arch::asm!("cpsid i") };
}

/// Notes the interrupt, lets others in, and has the next one come meanwhile.
extern "C" fn nest(_: Vector) {
    let id = c(gicc::IAR);
    note(id);
    match id {
        A => set_bit(gicd::ISPENDR, B),
        B => set_bit(gicd::ISPENDR, C),
        _ => {}
    }
    unmask();
    mask();
    note(0x100 | id);
    set_c(gicc::EOIR, id);
}

fn nested_handlers() {
    for (name, priorities) in [
        ("rising", [0xa0, 0x60, 0x20]),
        ("falling", [0x20, 0x60, 0xa0]),
        ("same", [0x80; 3]),
    ] {
        reset();
        for (id, priority) in [A, B, C].into_iter().zip(priorities) {
            set_priority(id, priority);
        }
        vectors::serve(nest);
        unmask();
        set_bit(gicd::ISPENDR, A);
        while LENGTH.load(SeqCst) < 6 {
            core::hint::spin_loop();
        }
        mask();
        vectors::record();
        show(name);
    }
}

fn end_modes() {
    reset();
    set_c(gicc::CTLR, 1 | 1 << 9);
    println!("gicc ctlr with eoimodens {:08x}", c(gicc::CTLR));
    set_bit(gicd::ISPENDR, A);
    println!("iar {}", c(gicc::IAR));
    set_c(gicc::EOIR, A);
    states("priority dropped", A);
    set_c(gicc::DIR, A);
    states("deactivated", A);
    set_c(gicc::CTLR, 1);
    set_bit(gicd::ICACTIVER, A);
    // DIR does nothing in the other mode.
    set_bit(gicd::ISPENDR, A);
    println!("iar {}", c(gicc::IAR));
    set_c(gicc::DIR, A);
    states("dir without eoimode", A);
    set_c(gicc::EOIR, A);
    states("ended", A);
}

fn software_generated() {
    reset();
    println!("sgi enables {:08x}", d(gicd::ISENABLER));
    for id in 0..16 {
        set_priority(id, 0x80 - 8 * id as u8);
    }
    set_d(gicd::SGIR, 2 << 24 | 3);
    set_d(gicd::SGIR, 1 << 16 | 7);
    set_d(gicd::SGIR, 1 << 24 | 9);
    set_d(gicd::SGIR, 5);
    println!("pending {:08x}", d(gicd::ISPENDR));
    for n in 0..4 {
        println!("spendsgir[{n}] {:08x}", d(gicd::SPENDSGIR + 4 * n));
    }
    for _ in 0..3 {
        let iar = c(gicc::IAR);
        print!("iar {iar:x} active {:08x}; ", d(gicd::ISACTIVER));
        set_c(gicc::EOIR, iar);
    }
    println!("pending {:08x}", d(gicd::ISPENDR));
    // From another CPU, by the register that restores state. It is written by bytes: QEMU makes
    // interrupts pending for bytes of 0 too, and then fails.
    mmio::write8(GICD + gicd::SPENDSGIR + 1, 2);
    println!(
        "spendsgir {:08x} pending {:08x}",
        d(gicd::SPENDSGIR),
        d(gicd::ISPENDR)
    );
    let iar = c(gicc::IAR);
    println!("iar {iar:x}");
    set_c(gicc::EOIR, iar);
    // Two sources of one: one by one.
    mmio::write8(GICD + gicd::SPENDSGIR, 3);
    for _ in 0..3 {
        let iar = c(gicc::IAR);
        print!("iar {iar:x} ");
        set_c(gicc::EOIR, iar);
    }
    println!();
    mmio::write8(GICD + gicd::SPENDSGIR, 3);
    mmio::write8(GICD + gicd::CPENDSGIR, 1);
    println!("one source cleared {:08x}", d(gicd::SPENDSGIR));
    set_d(gicd::CPENDSGIR, u32::MAX);
    // ISPENDR is read-only for them.
    set_d(gicd::ISPENDR, 0xffff);
    println!("ispendr of ones {:08x}", d(gicd::ISPENDR));
    set_d(gicd::ICPENDR, 0xffff_ffff);
    // No target.
    set_d(gicd::SGIR, 3 << 24 | 1 << 16 | 1);
    println!("reserved filter {:08x}", d(gicd::ISPENDR));
}

fn targets() {
    reset();
    for value in [0x00, 0x01, 0x02, 0x03, 0xff] {
        set_targets(A, value);
        set_bit(gicd::ISPENDR, A);
        println!(
            "targets {value:02x}: {:02x}, hppir {}",
            mmio::read8(GICD + gicd::ITARGETSR + A),
            c(gicc::HPPIR)
        );
        set_bit(gicd::ICPENDR, A);
    }
    println!(
        "targets of a private interrupt {:08x}",
        d(gicd::ITARGETSR + 28)
    );
    // A target that goes while the interrupt is pending.
    set_targets(A, 1);
    set_bit(gicd::ISPENDR, A);
    println!("pending here {}", c(gicc::HPPIR));
    set_targets(A, 2);
    println!("moved away {}", c(gicc::HPPIR));
    set_targets(A, 1);
    println!("moved back {}", c(gicc::HPPIR));
    // Edge and level configuration.
    for value in [0u32, 0x2, 0x1, 0x3] {
        let at = gicd::ICFGR + A / 16 * 4;
        set_d(at, value << (A % 16 * 2));
        println!("icfgr {value:x}: {:08x}", d(at));
    }
}

/// Bits of CNTP_CTL and CNTV_CTL.
const ENABLE: u32 = 1;
const IMASK: u32 = 2;

/// The two timers of Supervisor mode.
#[derive(Clone, Copy)]
struct Timer {
    name: &'static str,
    id: u32,
    ctl: fn() -> u32,
    set_ctl: fn(u32),
    tval: fn() -> i32,
    set_tval: fn(i32),
    cval: fn() -> u64,
    set_cval: fn(u64),
    count: fn() -> u64,
}

const TIMERS: [Timer; 2] = [
    Timer {
        name: "physical",
        id: PHYSICAL_TIMER,
        ctl: || mrc!("p15, 0, {}, c14, c2, 1"),
        set_ctl: |value| mcr!("p15, 0, {}, c14, c2, 1", value),
        tval: || mrc!("p15, 0, {}, c14, c2, 0") as i32,
        set_tval: |value| mcr!("p15, 0, {}, c14, c2, 0", value as u32),
        cval: || mrrc!("p15, 2, {}, {}, c14"),
        set_cval: |value| mcrr!("p15, 2, {}, {}, c14", value),
        count: || mrrc!("p15, 0, {}, {}, c14"),
    },
    Timer {
        name: "virtual",
        id: VIRTUAL_TIMER,
        ctl: || mrc!("p15, 0, {}, c14, c3, 1"),
        set_ctl: |value| mcr!("p15, 0, {}, c14, c3, 1", value),
        tval: || mrc!("p15, 0, {}, c14, c3, 0") as i32,
        set_tval: |value| mcr!("p15, 0, {}, c14, c3, 0", value as u32),
        cval: || mrrc!("p15, 3, {}, {}, c14"),
        set_cval: |value| mcrr!("p15, 3, {}, {}, c14", value),
        count: || mrrc!("p15, 1, {}, {}, c14"),
    },
];

fn timers() {
    reset();
    println!(
        "cntfrq {} cntkctl {:x}",
        mrc!("p15, 0, {}, c14, c0, 0"),
        mrc!("p15, 0, {}, c14, c1, 0")
    );
    let before = mrrc!("p15, 1, {}, {}, c14");
    println!(
        "the counters are one: {}",
        mrrc!("p15, 0, {}, {}, c14").wrapping_sub(before) < 10_000_000
    );
    for timer in TIMERS {
        let name = timer.name;
        println!(
            "{name} at first: ctl {:x} cval {:x}",
            (timer.ctl)(),
            (timer.cval)()
        );
        (timer.set_ctl)(u32::MAX);
        println!("{name} ctl of ones: {:x}", (timer.ctl)());
        (timer.set_ctl)(0);
        // The condition holds for a compare value of 0; ISTATUS shows it while enabled.
        println!("{name} disabled: ctl {:x}", (timer.ctl)());
        (timer.set_ctl)(ENABLE);
        println!(
            "{name} enabled: ctl {:x} pending {}",
            (timer.ctl)(),
            bit(gicd::ISPENDR, timer.id)
        );
        (timer.set_ctl)(ENABLE | IMASK);
        println!(
            "{name} masked: ctl {:x} pending {}",
            (timer.ctl)(),
            bit(gicd::ISPENDR, timer.id)
        );
        // Far in the future, by each register.
        (timer.set_cval)(u64::MAX);
        println!(
            "{name} at the end of time: ctl {:x} cval {:x}",
            (timer.ctl)(),
            (timer.cval)()
        );
        (timer.set_tval)(0x7fff_ffff);
        let tval = (timer.tval)();
        println!(
            "{name} tval of 2^31-1: ctl {:x} tval positive {}",
            (timer.ctl)(),
            tval > 0x7000_0000
        );
        let distance = (timer.cval)().wrapping_sub((timer.count)());
        println!(
            "{name} cval is ahead by 2^31: {}",
            (0x7000_0000..0x8000_0000).contains(&distance)
        );
        (timer.set_tval)(-1);
        println!(
            "{name} tval of -1: ctl {:x} tval negative {}",
            (timer.ctl)(),
            (timer.tval)() < 0
        );
        (timer.set_tval)(i32::MIN);
        let ahead = ((timer.cval)().wrapping_sub((timer.count)()) as i64) < 0;
        println!(
            "{name} tval of -2^31: ctl {:x} cval is behind {ahead}",
            (timer.ctl)()
        );
        (timer.set_cval)(0x1234_5678_9abc_def0);
        println!("{name} cval {:x}", (timer.cval)());
        (timer.set_ctl)(0);
        (timer.set_tval)(0x1000_0000);
        println!(
            "{name} runs while disabled: {}",
            (timer.tval)() <= 0x1000_0000
        );
    }
}

extern "C" fn tick(_: Vector) {
    let id = c(gicc::IAR);
    note(id);
    for timer in TIMERS {
        if id == timer.id {
            note((timer.ctl)());
            (timer.set_ctl)(ENABLE | IMASK);
            note((timer.ctl)());
        }
    }
    set_c(gicc::EOIR, id);
}

fn timer_interrupts() {
    for timer in TIMERS {
        reset();
        set_bit(gicd::ISENABLER, timer.id);
        // The line is a level: pending follows the condition.
        (timer.set_cval)(0);
        (timer.set_ctl)(ENABLE);
        println!("{} pending {}", timer.name, bit(gicd::ISPENDR, timer.id));
        set_bit(gicd::ICPENDR, timer.id);
        println!(
            "{} pending after a clear {}",
            timer.name,
            bit(gicd::ISPENDR, timer.id)
        );
        (timer.set_ctl)(0);
        println!(
            "{} pending when off {}",
            timer.name,
            bit(gicd::ISPENDR, timer.id)
        );
        // Soon.
        vectors::serve(tick);
        unmask();
        (timer.set_tval)(1000);
        (timer.set_ctl)(ENABLE);
        while LENGTH.load(SeqCst) < 3 {
            core::hint::spin_loop();
        }
        mask();
        show(timer.name);
        (timer.set_ctl)(0);
        // From WFI, with interrupts masked.
        (timer.set_tval)(100_000);
        (timer.set_ctl)(ENABLE);
        // SAFETY: the timer ends it.
        unsafe { core::arch::asm!("wfi") };
        println!(
            "{} after wfi: ctl {:x} hppir {}",
            timer.name,
            (timer.ctl)(),
            c(gicc::HPPIR)
        );
        // A pending interrupt that goes away is spurious.
        (timer.set_ctl)(0);
        println!("{} iar {}", timer.name, c(gicc::IAR));
        vectors::record();
    }
}

/// What User mode may do, by CNTKCTL.
fn timer_access() {
    type Try = (&'static str, guest_support::probe::Snippet);
    let tries: [Try; 11] = [
        ("cntfrq", snippet!(arm, "mrc p15, 0, r0, c14, c0, 0")),
        ("write cntfrq", snippet!(arm, "mcr p15, 0, r1, c14, c0, 0")),
        ("cntpct", snippet!(arm, "mrrc p15, 0, r0, r1, c14")),
        ("cntvct", snippet!(arm, "mrrc p15, 1, r0, r1, c14")),
        ("cntp_ctl", snippet!(arm, "mrc p15, 0, r0, c14, c2, 1")),
        ("cntp_tval", snippet!(arm, "mrc p15, 0, r0, c14, c2, 0")),
        ("cntp_cval", snippet!(arm, "mrrc p15, 2, r0, r1, c14")),
        ("cntv_ctl", snippet!(arm, "mrc p15, 0, r0, c14, c3, 1")),
        (
            "write cntv_tval",
            snippet!(arm, "mcr p15, 0, r1, c14, c3, 0"),
        ),
        ("cntv_cval", snippet!(arm, "mrrc p15, 3, r0, r1, c14")),
        ("cntkctl", snippet!(arm, "mrc p15, 0, r0, c14, c1, 0")),
    ];
    for control in [0, 1, 2, 3, 0x100, 0x200, 0x303, 0xffff_ffff] {
        mcr!("p15, 0, {}, c14, c1, 0", control);
        print!(
            "cntkctl {control:x} ({:x}):",
            mrc!("p15, 0, {}, c14, c1, 0")
        );
        for (name, snippet) in tries {
            let outcome = Probe::new(snippet).mode(mode::USR).run();
            print!(" {name} {}", if outcome.ended { "ok" } else { "undefined" });
        }
        println!();
    }
    mcr!("p15, 0, {}, c14, c1, 0", 0);
    for (name, snippet) in [
        ("write cntpct", snippet!(arm, "mcrr p15, 0, r0, r1, c14")),
        ("write cntvct", snippet!(arm, "mcrr p15, 1, r0, r1, c14")),
        ("cntvoff", snippet!(arm, "mrrc p15, 4, r0, r1, c14")),
        ("cnthctl", snippet!(arm, "mrc p15, 4, r0, c14, c1, 0")),
        ("cnthp_ctl", snippet!(arm, "mrc p15, 4, r0, c14, c2, 1")),
    ] {
        println!("{name} in svc: {}", Probe::new(snippet).set(psr::I).run());
    }
}
