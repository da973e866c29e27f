//! Loads and stores of all forms on device registers: a hypervisor that emulates the device must
//! execute those that the syndrome of a data abort does not describe (manual B3.13.6).

#![no_std]
#![no_main]

use guest_support::mmu::{self, short};
use guest_support::probe::{Probe, Snippet};
use guest_support::psr::{self, mode};
use guest_support::{board, guest, mcr, mmio, print, println, snippet};

guest!(main);

/// Registers that hold what is written: priorities of interrupts 64 to 95.
const REGISTERS: u32 = board::GICD + 0x440;
const WORDS: u32 = 8;

fn main() {
    // CP10 and CP11, and FPEXC.EN.
    mcr!("p15, 0, {}, c1, c0, 2", 0xf << 20);
    // SAFETY: lets the guest use floating point.
    unsafe { core::arch::asm!(".fpu vfpv3", "vmsr fpexc, {}", in(reg) 1 << 30) };
    println!("without translation");
    all();
    println!("with translation");
    short::on(0);
    all();
    user();
    mmu::off();
}

fn all() {
    for (name, snippet) in loads() {
        run(name, snippet, mode::SVC, 0);
    }
    for (name, snippet) in stores() {
        run(name, snippet, mode::SVC, 0);
    }
    for (name, snippet) in conditional() {
        run(name, snippet, mode::SVC, 0);
        run(name, snippet, mode::SVC, psr::Z);
    }
    for m in [mode::IRQ, mode::FIQ, mode::ABT, mode::SYS] {
        banked(m);
    }
}

type Try = (&'static str, Snippet);

fn loads() -> [Try; 22] {
    [
        ("ldr post", snippet!(arm, "ldr r1, [r0], #4")),
        ("ldr pre", snippet!(arm, "ldr r1, [r0, #4]!")),
        ("ldr down", snippet!(arm, "add r0, #8\n ldr r1, [r0, #-4]!")),
        (
            "ldr shifted",
            snippet!(arm, "mov r3, #2\n ldr r1, [r0, r3, lsl #2]!"),
        ),
        ("ldrb post", snippet!(arm, "ldrb r1, [r0], #1")),
        (
            "ldrsh pre",
            snippet!(arm, "mov r3, #6\n ldrsh r1, [r0, r3]!"),
        ),
        ("ldrsb", snippet!(arm, "ldrsb r1, [r0, #5]")),
        ("ldrd", snippet!(arm, "ldrd r2, r3, [r0]")),
        ("ldrd post", snippet!(arm, "ldrd r2, r3, [r0], #8")),
        ("ldm", snippet!(arm, "ldm r0!, {{r1, r2, r3}}")),
        (
            "ldmdb",
            snippet!(arm, "add r0, #12\n ldmdb r0!, {{r1, r2, r3}}"),
        ),
        ("ldmib", snippet!(arm, "ldmib r0, {{r1, r2}}")),
        (
            "pop",
            snippet!(arm, "mov sp, r0\n pop {{r1, r2}}\n mov r0, sp"),
        ),
        ("ldrt", snippet!(arm, "ldrt r1, [r0], #4")),
        (
            "vldr",
            snippet!(arm, ".fpu neon\n vldr d0, [r0, #8]\n vmov r1, r2, d0"),
        ),
        (
            "vldm",
            snippet!(arm, ".fpu neon\n vldm r0!, {{s0-s2}}\n vmov r1, r2, s1, s2"),
        ),
        (
            "vld1",
            snippet!(arm, ".fpu neon\n vld1.32 {{d0}}, [r0]!\n vmov r1, r2, d0"),
        ),
        ("t32 ldr post", snippet!(thumb, "ldr.w r1, [r0], #4")),
        ("t32 ldrd", snippet!(thumb, "ldrd r2, r3, [r0, #8]!")),
        ("t32 ldm", snippet!(thumb, "ldm r0!, {{r1, r2, r3}}")),
        (
            "t32 ldrsb",
            snippet!(thumb, "movs r3, #3\n ldrsb.w r1, [r0, r3]"),
        ),
        (
            "t32 vldr",
            snippet!(thumb, ".fpu neon\n vldr s4, [r0, #4]\n vmov r1, s4"),
        ),
    ]
}

fn stores() -> [Try; 13] {
    [
        ("str post", snippet!(arm, "str r4, [r0], #4")),
        ("str pre", snippet!(arm, "str r4, [r0, #4]!")),
        ("strb post", snippet!(arm, "strb r4, [r0], #1")),
        ("strh pre", snippet!(arm, "strh r4, [r0, #2]!")),
        ("strd", snippet!(arm, "strd r4, r5, [r0, #8]")),
        ("stm", snippet!(arm, "stm r0!, {{r4, r5, r6}}")),
        (
            "push",
            snippet!(arm, "add sp, r0, #12\n push {{r4, r5, r6}}\n mov r0, sp"),
        ),
        ("strt", snippet!(arm, "strt r4, [r0], #4")),
        (
            "vstr",
            snippet!(arm, ".fpu neon\n vmov d0, r4, r5\n vstr d0, [r0]"),
        ),
        (
            "vst1",
            snippet!(
                arm,
                ".fpu neon\n vmov d0, r4, r5\n vst1.32 {{d0[1]}}, [r0]!"
            ),
        ),
        ("t32 strd", snippet!(thumb, "strd r4, r5, [r0], #8")),
        ("t32 stm", snippet!(thumb, "stm r0!, {{r4, r5}}")),
        ("t32 str", snippet!(thumb, "str.w r4, [r0, #-4]!")),
    ]
}

fn conditional() -> [Try; 3] {
    [
        ("ldreq post", snippet!(arm, "ldreq r1, [r0], #4")),
        ("stmne", snippet!(arm, "stmne r0!, {{r4, r5}}")),
        (
            "itete",
            snippet!(
                thumb,
                "itete eq\n ldreq.w r1, [r0], #4\n strne.w r4, [r0], #8\n ldreq r2, [r0]\n addne r3, #1"
            ),
        ),
    ]
}

fn run(name: &str, snippet: Snippet, m: u32, flags: u32) {
    for n in 0..WORDS {
        mmio::write32(REGISTERS + 4 * n, 0x8070_6050 + 0x0801_0101 * n);
    }
    let outcome = Probe::new(snippet)
        .mode(m)
        .set(flags)
        .r(0, REGISTERS)
        .r(4, 0xb8c8_d8e8)
        .r(5, 0x9080_7060)
        .r(6, 0x1828_3848)
        .run();
    print!("{name}:");
    if outcome.ended {
        print!(" base {:+}", outcome.r(0).wrapping_sub(REGISTERS) as i32);
        for n in 1..4 {
            print!(" {:x}", outcome.r(n));
        }
    } else {
        print!(" {outcome}");
    }
    print!(" |");
    for n in 0..WORDS {
        print!(" {:08x}", mmio::read32(REGISTERS + 4 * n));
    }
    println!();
}

/// Registers that are banked, as address, base and value.
fn banked(m: u32) {
    let snippets = [
        (
            "sp as base",
            snippet!(
                arm,
                "mov sp, r0\n ldr r1, [sp], #8\n sub r2, sp, r0\n mov r0, sp"
            ),
        ),
        (
            "lr as value",
            snippet!(
                arm,
                "mov lr, r4\n str lr, [r0], #4\n ldr lr, [r0]\n mov r1, lr"
            ),
        ),
        (
            "r8 to r12",
            snippet!(
                arm,
                "mov r8, r4\n mov r12, r5\n str r8, [r0]\n strb r12, [r0, #4]\n ldm r0, {{r8, r9, r12}}\n mov r1, r8\n mov r2, r9\n mov r3, r12"
            ),
        ),
    ];
    for (name, snippet) in snippets {
        print!("mode {m:02x} ");
        run(name, snippet, m, 0);
    }
}

/// From User mode.
fn user() {
    run("user ldr", snippet!(arm, "ldr r1, [r0]"), mode::USR, 0);
    run(
        "user ldm",
        snippet!(arm, "ldm r0!, {{r1, r2}}"),
        mode::USR,
        0,
    );
    run(
        "user strb",
        snippet!(thumb, "strb r4, [r0, #3]"),
        mode::USR,
        0,
    );
}
