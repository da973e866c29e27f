//! Whether a guest keeps all its registers, and its timers, while another one has its core in between.
//! Two instances share a core, and each has values of its own.

#![no_std]
#![no_main]

use core::arch::asm;
use guest_support::gic::{self, c, gicc, gicd, set_bit, set_c};
use guest_support::{board, guest, mcr, mcrr, mrc, mrrc, println};

guest!(main);

const TURNS: u32 = 40;

/// Writes and checks registers; each has bits that keep what is written.
macro_rules! registers {
    ($read:ident $write:ident $type:ty: $(($place:literal, $mask:expr)),* $(,)?) => {
        (
            |seed: u32| { $($write!($place, value::<$type>(seed, $place) & $mask);)* },
            |seed: u32| {
                $(report($place, ($read!($place) & $mask).into(), (value::<$type>(seed, $place) & $mask).into());)*
            },
        )
    };
}

macro_rules! read_banked {
    ($place:literal) => {{
        let value: u32;
        // SAFETY: reads a register of another mode.
        unsafe { asm!(".arch_extension virt", concat!("mrs {}, ", $place), out(reg) value) };
        value
    }};
}

macro_rules! write_banked {
    ($place:literal, $value:expr) => {{
        let value: u32 = $value;
        // SAFETY: this guest has no code in other modes.
        unsafe { asm!(".arch_extension virt", concat!("msr ", $place, ", {}"), in(reg) value) };
    }};
}

/// The value of a register: something that depends on all its inputs.
fn value<T: From<u32> + core::ops::Mul<Output = T>>(seed: u32, name: &str) -> T {
    let hash = name.bytes().fold(seed, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    T::from(hash | 1 << 31)
}

fn report(name: &str, found: u64, expected: u64) {
    if found != expected {
        println!("{name}: {found:x} instead of {expected:x}");
    }
}

fn now() -> u64 {
    mrrc!("p15, 0, {}, {}, c14")
}

fn main() {
    let ms = u64::from(mrc!("p15, 0, {}, c14, c0, 0")) / 1000;
    enable_simd();
    gic::enable();
    // Two instances never begin in the same tick.
    let seed = (now() as u32).wrapping_mul(0x9e37_79b9);
    let area = mrc!("p15, 0, {}, c13, c0, 4");
    let (write, check) = registers!(mrc mcr u32:
        ("p15, 2, {}, c0, c0, 0", 1),
        ("p15, 0, {}, c2, c0, 0", 0xffff_c000),
        ("p15, 0, {}, c2, c0, 1", 0xffff_c000),
        ("p15, 0, {}, c3, c0, 0", u32::MAX),
        ("p15, 0, {}, c5, c0, 0", 0xff),
        ("p15, 0, {}, c5, c0, 1", 0xff),
        ("p15, 0, {}, c6, c0, 0", u32::MAX),
        ("p15, 0, {}, c6, c0, 2", u32::MAX),
        ("p15, 0, {}, c7, c4, 0", 0xffff_f000),
        ("p15, 0, {}, c10, c2, 0", 0x000f_ffff),
        ("p15, 0, {}, c10, c2, 1", u32::MAX),
        ("p15, 0, {}, c13, c0, 1", u32::MAX),
        ("p15, 0, {}, c13, c0, 2", u32::MAX),
        ("p15, 0, {}, c13, c0, 3", u32::MAX),
        ("p15, 0, {}, c13, c0, 4", u32::MAX),
        ("p15, 0, {}, c14, c1, 0", 0x3ff),
        ("p14, 6, {}, c1, c0, 0", !3),
    );
    let (write_timers, check_timers) = registers!(mrrc mcrr u64:
        ("p15, 3, {}, {}, c14", u64::MAX),
        ("p15, 2, {}, {}, c14", u64::MAX),
    );
    let (write_modes, check_modes) = registers!(read_banked write_banked u32:
        ("sp_usr", u32::MAX),
        ("lr_usr", u32::MAX),
        ("sp_abt", u32::MAX),
        ("lr_abt", u32::MAX),
        ("spsr_abt", 0xf80f_ffff),
        ("sp_und", u32::MAX),
        ("lr_und", u32::MAX),
        ("spsr_und", 0xf80f_ffff),
        ("sp_irq", u32::MAX),
        ("lr_irq", u32::MAX),
        ("spsr_irq", 0xf80f_ffff),
        ("r8_fiq", u32::MAX),
        ("r9_fiq", u32::MAX),
        ("r10_fiq", u32::MAX),
        ("r11_fiq", u32::MAX),
        ("r12_fiq", u32::MAX),
        ("sp_fiq", u32::MAX),
        ("lr_fiq", u32::MAX),
        ("spsr_fiq", 0xf80f_ffff),
    );
    let mut away = 0;
    for turn in 0..TURNS {
        let seed = seed ^ turn.wrapping_mul(0x85eb_ca6b);
        write(seed);
        write_timers(seed);
        write_modes(seed);
        let simd = core::array::from_fn(|n| value::<u64>(seed, "d") * (n as u64 + 1));
        load_simd(&simd, seed & 3 << 22);
        set_c(gicc::PMR, seed & 0xf0);
        away += spin(2 * ms);
        check(seed);
        check_timers(seed);
        check_modes(seed);
        let (found, fpscr) = store_simd();
        for n in 0..32 {
            report("d", found[n], simd[n]);
        }
        report("fpscr", fpscr.into(), (seed & 3 << 22).into());
        report("pmr", c(gicc::PMR).into(), (seed & 0xf0).into());
    }
    mcr!("p15, 0, {}, c13, c0, 4", area);
    println!("registers checked; away: {}", away > TURNS / 2);
    set_c(gicc::PMR, 0xff);
    timers(ms);
}

/// Computes for so long; returns how often something took more than 100 us.
fn spin(ticks: u64) -> u32 {
    let begin = now();
    let (mut last, mut away) = (begin, 0);
    while last - begin < ticks {
        let next = now();
        away += u32::from((next - last) * 10 > ticks / 2);
        last = next;
    }
    away
}

/// Timers fire, when the guest waits for them, and while their interrupt is not ended another one has
/// the core.
fn timers(ms: u64) {
    for timer in [board::VIRTUAL_TIMER, board::PHYSICAL_TIMER] {
        set_bit(gicd::ISENABLER, timer);
        let virt = timer == board::VIRTUAL_TIMER;
        let control = |value| {
            if virt {
                mcr!("p15, 0, {}, c14, c3, 1", value);
            } else {
                mcr!("p15, 0, {}, c14, c2, 1", value);
            }
        };
        let (mut early, mut wrong, mut late) = (0, 0, 0);
        for turn in 0..20 {
            let (count, deadline);
            if virt {
                count = (|| mrrc!("p15, 1, {}, {}, c14")) as fn() -> u64;
                deadline = count() + ms;
                mcrr!("p15, 3, {}, {}, c14", deadline);
            } else {
                count = now as fn() -> u64;
                deadline = count() + ms;
                mcrr!("p15, 2, {}, {}, c14", deadline);
            }
            control(1);
            let id = loop {
                if turn % 2 == 0 {
                    // SAFETY: waits.
                    unsafe { asm!("wfi") };
                }
                let id = c(gicc::IAR) & 0x3ff;
                if id != 1023 {
                    break id;
                }
            };
            early += u32::from(count() < deadline);
            late += u32::from(count() > deadline + 100 * ms);
            wrong += u32::from(id != timer);
            spin(2 * ms);
            // It is active still, and comes no second time.
            wrong += u32::from(c(gicc::IAR) & 0x3ff != 1023);
            control(0);
            set_c(gicc::EOIR, id);
            spin(ms / 4);
            wrong += u32::from(c(gicc::IAR) & 0x3ff != 1023);
        }
        println!("timer {timer}: {early} early, {late} late, {wrong} wrong");
    }
}

fn enable_simd() {
    mcr!("p15, 0, {}, c1, c0, 2", 0xf << 20);
    // SAFETY: turns floating point on, which nothing else uses.
    unsafe { asm!(".fpu neon-vfpv4", "vmsr fpexc, {}", in(reg) 1 << 30) };
}

fn load_simd(values: &[u64; 32], fpscr: u32) {
    // SAFETY: loads 32 doublewords into registers that nothing else uses.
    unsafe {
        asm!(".fpu neon-vfpv4", "vldmia {0}!, {{d0-d15}}", "vldmia {0}, {{d16-d31}}", "vmsr fpscr, {1}",
            inout(reg) values.as_ptr() => _, in(reg) fpscr)
    };
}

fn store_simd() -> ([u64; 32], u32) {
    let mut values = [0; 32];
    let fpscr;
    // SAFETY: stores 32 doublewords.
    unsafe {
        asm!(".fpu neon-vfpv4", "vstmia {0}!, {{d0-d15}}", "vstmia {0}, {{d16-d31}}", "vmrs {1}, fpscr",
            inout(reg) values.as_mut_ptr() => _, out(reg) fpscr)
    };
    (values, fpscr)
}
