//! Loads and stores: alignment, byte order, pages' ends, exclusives, coprocessors that are off
//! (manual A3.2, A3.3, A3.4, B1.11).

#![no_std]
#![no_main]

use guest_support::cp15::{sctlr, with_sctlr};
use guest_support::mmu::{self, WINDOW, short};
use guest_support::probe::{Outcome, Probe, Snippet};
use guest_support::psr::{self, mode};
use guest_support::{board, guest, mcr, mmio, mrc, print, println, snippet};
use guest_tests::{MEMORY, fill_memory};

guest!(main);

/// Mapped pages of normal memory, after which nothing is mapped.
const PAGES: u32 = WINDOW;
const END: u32 = PAGES + 0x2000;
/// Pages of Device and of Strongly-ordered memory.
const DEVICE: u32 = PAGES + 0x10_0000;
const ORDERED: u32 = PAGES + 0x20_0000;

fn main() {
    fill_memory();
    without_translation();
    short::on(0);
    short::set_first(PAGES, short::second(0) | short::TABLE);
    for n in 0..2 {
        short::set_second(0, PAGES + (n << 12), (MEMORY + (n << 12)) | short::PAGE);
    }
    short::set_first(
        DEVICE,
        MEMORY | short::SECTION | short::s_ap(3) | short::s_tex(1),
    );
    short::set_first(ORDERED, MEMORY | short::SECTION | short::s_ap(3));
    alignment();
    across_pages();
    writeback();
    byte_order();
    exclusives();
    unprivileged();
    coprocessors();
    hints();
    mmu::off();
}

type Try = (&'static str, Snippet);

/// One of each kind; the address is in r0, and r2 to r5 are what is stored.
fn accesses() -> [Try; 24] {
    [
        ("ldrb", snippet!(arm, "ldrb r1, [r0]")),
        ("ldrh", snippet!(arm, "ldrh r1, [r0]")),
        ("ldrsh", snippet!(arm, "ldrsh r1, [r0]")),
        ("ldr", snippet!(arm, "ldr r1, [r0]")),
        ("ldrt", snippet!(arm, "ldrt r1, [r0]")),
        ("ldrd", snippet!(arm, "ldrd r6, r7, [r0]")),
        ("ldm", snippet!(arm, "ldm r0, {{r6, r7}}")),
        ("ldm one", snippet!(arm, "ldm r0, {{r6}}")),
        ("pop", snippet!(arm, "mov sp, r0\n pop {{r6, r7}}")),
        ("ldrex", snippet!(arm, "ldrex r1, [r0]")),
        ("ldrexh", snippet!(arm, "ldrexh r1, [r0]")),
        ("ldrexb", snippet!(arm, "ldrexb r1, [r0]")),
        ("ldrexd", snippet!(arm, "ldrexd r6, r7, [r0]")),
        ("strb", snippet!(arm, "strb r2, [r0]")),
        ("strh", snippet!(arm, "strh r2, [r0]")),
        ("str", snippet!(arm, "str r2, [r0]")),
        ("strd", snippet!(arm, "strd r2, r3, [r0]")),
        ("stm", snippet!(arm, "stm r0, {{r2, r3}}")),
        ("strex", snippet!(arm, "strex r1, r2, [r0]")),
        ("strexd", snippet!(arm, "strexd r1, r2, r3, [r0]")),
        ("rfe", snippet!(arm, "rfeia r0")),
        ("srs", snippet!(arm, "mov sp, r0\n srsia sp, #0x13")),
        ("swp", snippet!(arm, ".inst 0xe1001092")),
        ("tbh", snippet!(thumb, "movs r1, #0\n tbh [r0, r1, lsl #1]")),
    ]
}

fn end(outcome: &Outcome) {
    if outcome.ended {
        print!(" ok");
    } else if outcome.area.vector == 4 {
        print!(" {:x}@{:x}", outcome.dfsr, outcome.dfar & 0xfff);
    } else {
        print!(" {outcome}");
    }
}

fn without_translation() {
    // All memory is Strongly-ordered.
    for (name, snippet) in accesses() {
        if matches!(name, "rfe" | "tbh") {
            continue;
        }
        print!("no translation, {name}:");
        for offset in [0, 1, 2, 4] {
            end(&Probe::new(snippet).r(0, MEMORY + 0x100 + offset).run());
        }
        println!();
    }
}

fn alignment() {
    for strict in [false, true] {
        with_sctlr(if strict { sctlr::A } else { 0 }, || {
            for (place, base) in [("normal", PAGES), ("device", DEVICE), ("ordered", ORDERED)] {
                for (name, snippet) in accesses() {
                    print!("a={} {place} {name}:", u8::from(strict));
                    for offset in 0..5 {
                        if offset % 4 == 0 && matches!(name, "rfe" | "tbh")
                            || offset == 2 && name == "tbh"
                        {
                            continue;
                        }
                        for word in 0..4 {
                            mmio::write32(MEMORY + 0x100 + 4 * word, 0);
                        }
                        end(&Probe::new(snippet)
                            .r(0, base + 0x100 + offset)
                            .r(2, 0x1234_5678)
                            .run());
                    }
                    println!();
                }
            }
        });
    }
    // SWP is there if SCTLR.SW says so.
    let swp = snippet!(arm, ".inst 0xe1001092");
    let swpb = snippet!(arm, ".inst 0xe1401092");
    with_sctlr(sctlr::SW, || {
        for offset in 0..4 {
            mmio::write32(MEMORY + 0x100, 0x1111_2222);
            let o = Probe::new(swp)
                .r(0, PAGES + 0x100 + offset)
                .r(2, 0x55)
                .run();
            print!(
                "sctlr.sw, swp: {o} {:08x} {:08x}",
                o.r(1),
                mmio::read32(MEMORY + 0x100)
            );
            let o = Probe::new(swpb)
                .r(0, PAGES + 0x100 + offset)
                .r(2, 0x66)
                .run();
            println!(
                " swpb: {o} {:08x} {:08x}",
                o.r(1),
                mmio::read32(MEMORY + 0x100)
            );
        }
    });
    // Alignment, and then translation.
    for (name, snippet) in accesses() {
        print!("unmapped {name}:");
        for offset in [0, 1, 2] {
            end(&Probe::new(snippet).r(0, END + offset).run());
        }
        println!();
    }
}

/// Accesses whose second half has no page: what has happened by then.
fn across_pages() {
    let last = MEMORY + 0x1ffc;
    for (name, snippet) in accesses() {
        for distance in [1u32, 2, 4] {
            // A table branch goes on behind itself, not to who knows what.
            let (first, second) = match name {
                "tbh" => (0, 0),
                _ => (0x1111_1111, 0x2222_2222),
            };
            mmio::write32(last - 4, first);
            mmio::write32(last, second);
            let o = Probe::new(snippet)
                .r(0, END - distance)
                .r(2, 0xaaaa_aaaa)
                .r(3, 0xbbbb_bbbb)
                .r(6, 6)
                .r(7, 7)
                .run();
            print!("{name} {distance} before the end:");
            end(&o);
            println!(
                " r1={:x} r6={:x} r7={:x} memory {:08x} {:08x}",
                o.r(1),
                o.r(6),
                o.r(7),
                mmio::read32(last - 4),
                mmio::read32(last)
            );
        }
    }
    // The second page may be read only.
    short::set_second(
        0,
        END,
        (MEMORY + 0x3000) | short::SMALL | short::p_ap(5) | short::p_tex(4),
    );
    for (name, snippet) in [
        ("str", snippet!(arm, "str r2, [r0]")),
        ("ldr", snippet!(arm, "ldr r2, [r0]")),
        ("strh", snippet!(arm, "strh r2, [r0]")),
    ] {
        let o = Probe::new(snippet).r(0, END - 1).run();
        print!("{name} into a read-only page:");
        end(&o);
        println!();
    }
    short::set_second(0, END, 0);
    // Around the end of the address space.
    for va in [0xffff_fffcu32, 0xffff_fffe] {
        println!(
            "ldr {va:08x}: {}",
            Probe::new(snippet!(arm, "ldr r1, [r0]")).r(0, va).run()
        );
    }
}

/// Faults leave the base register.
fn writeback() {
    let tries: [Try; 16] = [
        ("ldr pre", snippet!(arm, "ldr r1, [r0, #4]!")),
        ("ldr post", snippet!(arm, "ldr r1, [r0], #4")),
        ("str pre", snippet!(arm, "str r1, [r0, #4]!")),
        ("str post", snippet!(arm, "str r1, [r0], #4")),
        ("ldrd post", snippet!(arm, "ldrd r6, r7, [r0], #8")),
        ("strd pre", snippet!(arm, "strd r6, r7, [r0, #8]!")),
        ("ldm", snippet!(arm, "ldm r0!, {{r6-r9}}")),
        ("ldmdb", snippet!(arm, "ldmdb r0!, {{r6-r9}}")),
        ("stm", snippet!(arm, "stm r0!, {{r6-r9}}")),
        ("stmdb", snippet!(arm, "stmdb r0!, {{r6-r9}}")),
        ("ldm with the base", snippet!(arm, "ldm r0, {{r0, r6-r9}}")),
        ("ldm pc", snippet!(arm, "ldm r0!, {{r6, pc}}")),
        ("ldm user", snippet!(arm, "ldm r0, {{r6, r7}}^")),
        ("t32 ldm", snippet!(thumb, "ldm r0!, {{r6, r7}}")),
        (
            "t32 push",
            snippet!(thumb, "mov sp, r0\n push {{r6, r7}}\n mov r0, sp"),
        ),
        ("ldrt", snippet!(arm, "ldrt r1, [r0], #4")),
    ];
    for (name, snippet) in tries {
        for (place, va) in [("crossing", END - 8), ("outside", END + 0x40)] {
            let o = Probe::new(snippet)
                .r(0, va)
                .r(6, 6)
                .r(7, 7)
                .r(8, 8)
                .r(9, 9)
                .run();
            print!("{name} {place}:");
            end(&o);
            println!(
                " r0+{:x} r1={:x} r6={:x}",
                o.r(0).wrapping_sub(va),
                o.r(1),
                o.r(6)
            );
        }
    }
    // From the other end: pages below are missing.
    let o = Probe::new(snippet!(arm, "ldmdb r0!, {{r6-r9}}"))
        .r(0, PAGES + 8)
        .r(6, 6)
        .r(9, 9)
        .run();
    println!(
        "ldmdb below: {o} r0+{:x} r6={:x} r9={:x}",
        o.r(0).wrapping_sub(PAGES + 8),
        o.r(6),
        o.r(9)
    );
}

fn byte_order() {
    let cell = MEMORY + 0x200;
    let set = || {
        for (n, word) in [0x0302_0100u32, 0x0706_0504, 0x0b0a_0908]
            .into_iter()
            .enumerate()
        {
            mmio::write32(cell + 4 * n as u32, word);
        }
    };
    let loads: [Try; 8] = [
        ("ldrb", snippet!(arm, "ldrb r1, [r0]")),
        ("ldrh", snippet!(arm, "ldrh r1, [r0]")),
        ("ldrsh", snippet!(arm, "ldrsh r1, [r0, #2]")),
        ("ldr", snippet!(arm, "ldr r1, [r0]")),
        ("ldr unaligned", snippet!(arm, "ldr r1, [r0, #1]")),
        ("ldrd", snippet!(arm, "ldrd r2, r3, [r0]\n mov r1, r2")),
        ("ldm", snippet!(arm, "ldm r0, {{r1, r2, r3}}")),
        ("ldrexd", snippet!(arm, "ldrexd r2, r3, [r0]\n mov r1, r2")),
    ];
    for (name, snippet) in loads {
        for e in [0, psr::E] {
            set();
            let o = Probe::new(snippet).r(0, PAGES + 0x200).set(e).run();
            println!(
                "{name} e={}: {o} {:08x} {:08x} {:08x}",
                e >> 9,
                o.r(1),
                o.r(2),
                o.r(3)
            );
        }
    }
    let stores: [Try; 7] = [
        ("strh", snippet!(arm, "strh r2, [r0]")),
        ("str", snippet!(arm, "str r2, [r0]")),
        ("str unaligned", snippet!(arm, "str r2, [r0, #1]")),
        ("strd", snippet!(arm, "strd r2, r3, [r0]")),
        ("stm", snippet!(arm, "stm r0, {{r2, r3}}")),
        (
            "strex",
            snippet!(arm, "ldrex r1, [r0]\n strex r1, r2, [r0]"),
        ),
        (
            "strexd",
            snippet!(arm, "ldrexd r4, r5, [r0]\n strexd r1, r2, r3, [r0]"),
        ),
    ];
    for (name, snippet) in stores {
        for e in [0, psr::E] {
            set();
            let o = Probe::new(snippet)
                .r(0, PAGES + 0x200)
                .r(2, 0x1122_3344)
                .r(3, 0x5566_7788)
                .set(e)
                .run();
            println!(
                "{name} e={}: {o} {:08x} {:08x} status {}",
                e >> 9,
                mmio::read32(cell),
                mmio::read32(cell + 4),
                o.r(1)
            );
        }
    }
    // SETEND holds until the next, and instructions are little-endian always.
    set();
    let o = Probe::new(snippet!(
        arm,
        "setend be\n ldr r1, [r0]\n setend le\n ldr r2, [r0]\n mrs r3, cpsr"
    ))
    .r(0, PAGES + 0x200)
    .run();
    println!("setend: {:08x} {:08x} {:08x}", o.r(1), o.r(2), o.r(3));
    let o = Probe::new(snippet!(
        thumb,
        "setend be\n ldr r1, [r0]\n setend le\n ldr r2, [r0]\n mrs r3, cpsr"
    ))
    .r(0, PAGES + 0x200)
    .mode(mode::USR)
    .run();
    println!(
        "setend in usr: {:08x} {:08x} {:08x}",
        o.r(1),
        o.r(2),
        o.r(3)
    );
    // Big-endian translation tables (SCTLR.EE), short enough to print nothing meanwhile.
    let o = Probe::new(snippet!(
        arm,
        "srsdb sp!, #0x13\n ldr r1, [sp]\n mov r2, sp"
    ))
    .set(psr::E)
    .lr(0x0102_0304)
    .run();
    println!("srs e=1: {o} {:08x}", o.r(1));
}

fn exclusives() {
    let at = PAGES + 0x300;
    let cell = MEMORY + 0x300;
    let tries: [Try; 17] = [
        ("pair", snippet!(arm, "ldrex r1, [r0]\n strex r2, r3, [r0]")),
        ("no ldrex", snippet!(arm, "clrex\n strex r2, r3, [r0]")),
        (
            "two strex",
            snippet!(
                arm,
                "ldrex r1, [r0]\n strex r2, r3, [r0]\n strex r2, r3, [r0]"
            ),
        ),
        (
            "clrex between",
            snippet!(arm, "ldrex r1, [r0]\n clrex\n strex r2, r3, [r0]"),
        ),
        (
            "another address",
            snippet!(arm, "ldrex r1, [r0]\n add r4, r0, #64\n strex r2, r3, [r4]"),
        ),
        (
            "another page",
            snippet!(
                arm,
                "ldrex r1, [r0]\n add r4, r0, #4096\n strex r2, r3, [r4]"
            ),
        ),
        (
            "another size",
            snippet!(arm, "ldrex r1, [r0]\n strexb r2, r3, [r0]"),
        ),
        (
            "halfword of a word",
            snippet!(arm, "ldrex r1, [r0]\n strexh r2, r3, [r0]"),
        ),
        (
            "word of a doubleword",
            snippet!(arm, "ldrexd r4, r5, [r0]\n strex r2, r3, [r0]"),
        ),
        (
            "own store of the same value",
            snippet!(arm, "ldrex r1, [r0]\n str r1, [r0]\n strex r2, r3, [r0]"),
        ),
        (
            "own store of another value",
            snippet!(arm, "ldrex r1, [r0]\n str r3, [r0]\n strex r2, r1, [r0]"),
        ),
        (
            "own store elsewhere",
            snippet!(
                arm,
                "ldrex r1, [r0]\n str r3, [r0, #8]\n strex r2, r3, [r0]"
            ),
        ),
        (
            "byte pair",
            snippet!(arm, "ldrexb r1, [r0]\n strexb r2, r3, [r0]"),
        ),
        (
            "halfword pair",
            snippet!(arm, "ldrexh r1, [r0]\n strexh r2, r3, [r0]"),
        ),
        (
            "doubleword pair",
            snippet!(arm, "ldrexd r4, r5, [r0]\n strexd r2, r4, r5, [r0]"),
        ),
        (
            "later ldrex",
            snippet!(
                arm,
                "ldrex r1, [r0]\n add r4, r0, #8\n ldrex r5, [r4]\n strex r2, r3, [r0]"
            ),
        ),
        (
            "t32 pair with an offset",
            snippet!(thumb, "ldrex r1, [r0, #8]\n strex r2, r3, [r0, #8]"),
        ),
    ];
    for (name, snippet) in tries {
        for n in 0..4 {
            mmio::write32(cell + 4 * n, 0x1000 + n);
        }
        let o = Probe::new(snippet).r(0, at).r(3, 0x7777).r(2, 9).run();
        println!(
            "{name}: {o} loaded {:x} status {} memory {:x} {:x}",
            o.r(1),
            o.r(2),
            mmio::read32(cell),
            mmio::read32(cell + 4)
        );
    }
    // An exception and its return in between.
    mmio::write32(cell, 0x1000);
    let o = Probe::new(snippet!(
        arm,
        "ldrex r1, [r0]\n mrs r4, cpsr\n msr spsr_cxsf, r4\n adr lr, 1f\n movs pc, lr\n 1: strex r2, r3, [r0]"
    ))
    .r(0, at)
    .r(3, 0x7777)
    .mode(mode::ABT)
    .run();
    println!(
        "exception return between: status {} memory {:x}",
        o.r(2),
        mmio::read32(cell)
    );
    Probe::new(snippet!(arm, "ldrex r1, [r0]\n svc #1"))
        .r(0, at)
        .run();
    let o = Probe::new(snippet!(arm, "strex r2, r3, [r0]"))
        .r(0, at)
        .r(3, 0x7777)
        .run();
    println!("exception between: status {}", o.r(2));
    // Faults of STREX without a reservation.
    let strex = snippet!(arm, "clrex\n strex r2, r3, [r0]");
    println!(
        "strex without reservation, unmapped: {}",
        Probe::new(strex).r(0, END).run()
    );
    println!(
        "strex without reservation, unaligned: {}",
        Probe::new(strex).r(0, at + 1).run()
    );
    let ldrex = snippet!(arm, "ldrex r1, [r0]\n strex r2, r3, [r0]");
    for (place, va) in [("device", DEVICE), ("ordered", ORDERED)] {
        let o = Probe::new(ldrex).r(0, va + 0x300).r(2, 9).run();
        println!("exclusive pair in {place} memory: {o} status {}", o.r(2));
    }
    short::set_second(
        0,
        END,
        (MEMORY + 0x3000) | short::SMALL | short::p_ap(5) | short::p_tex(4),
    );
    println!(
        "exclusive pair in read-only memory: {}",
        Probe::new(ldrex).r(0, END).run()
    );
    println!(
        "strex without reservation, read-only: {}",
        Probe::new(strex).r(0, END).run()
    );
    short::set_second(0, END, 0);
}

fn unprivileged() {
    short::set_second(
        0,
        END,
        (MEMORY + 0x3000) | short::SMALL | short::p_ap(1) | short::p_tex(4),
    );
    let tries: [Try; 8] = [
        ("ldrt", snippet!(arm, "ldrt r1, [r0], #4")),
        ("ldrbt", snippet!(arm, "ldrbt r1, [r0], #4")),
        ("ldrht", snippet!(arm, "ldrht r1, [r0], #4")),
        ("ldrsht", snippet!(arm, "ldrsht r1, [r0], #4")),
        ("strt", snippet!(arm, "strt r1, [r0], #4")),
        ("strht", snippet!(arm, "strht r1, [r0], #4")),
        ("t32 ldrt", snippet!(thumb, "ldrt r1, [r0, #4]")),
        ("t32 strbt", snippet!(thumb, "strbt r1, [r0, #4]")),
    ];
    for (name, snippet) in tries {
        for (place, va) in [("everybody's", PAGES), ("privileged", END)] {
            let o = Probe::new(snippet).r(0, va + 0x400).run();
            println!(
                "{name} of {place} memory: {o} r0+{:x}",
                o.r(0).wrapping_sub(va + 0x400)
            );
        }
    }
    short::set_second(0, END, 0);
}

fn coprocessors() {
    let tries: [Try; 8] = [
        (
            "vmrs fpscr",
            snippet!(arm, ".fpu neon-vfpv4", "vmrs r0, fpscr"),
        ),
        (
            "vmrs fpexc",
            snippet!(arm, ".fpu neon-vfpv4", "vmrs r0, fpexc"),
        ),
        (
            "vmrs fpsid",
            snippet!(arm, ".fpu neon-vfpv4", "vmrs r0, fpsid"),
        ),
        (
            "vmrs mvfr0",
            snippet!(arm, ".fpu neon-vfpv4", "vmrs r0, mvfr0"),
        ),
        (
            "vmrs mvfr1",
            snippet!(arm, ".fpu neon-vfpv4", "vmrs r0, mvfr1"),
        ),
        (
            "vadd.f64",
            snippet!(arm, ".fpu neon-vfpv4", "vadd.f64 d0, d1, d2"),
        ),
        (
            "vadd.i32",
            snippet!(arm, ".fpu neon-vfpv4", "vadd.i32 q8, q9, q10"),
        ),
        (
            "vldr d31",
            snippet!(
                arm,
                ".fpu neon-vfpv4",
                "adr r1, 1f\n vldr d31, [r1]\n b 2f\n .balign 8\n 1: .word 0, 0\n 2:"
            ),
        ),
    ];
    let enable = snippet!(arm, ".fpu neon-vfpv4", "vmsr fpexc, r0\n vmrs r1, fpexc");
    for access in [0u32, 1, 2, 3] {
        for extra in [0, 1 << 31, 1 << 30] {
            mcr!("p15, 0, {}, c1, c0, 2", access << 20 | access << 22 | extra);
            for on in [0u32, 1 << 30] {
                let o = Probe::new(enable).r(0, on).run();
                print!(
                    "cpacr {:08x} fpexc {on:08x}: {o}",
                    mrc!("p15, 0, {}, c1, c0, 2")
                );
                for (name, snippet) in tries {
                    print!(" {name}");
                    for m in [mode::SVC, mode::USR] {
                        let o = Probe::new(snippet).mode(m).run();
                        if o.ended {
                            if name.starts_with("vmrs") {
                                print!(" {:x}", o.r(0));
                            } else {
                                print!(" ok");
                            }
                        } else {
                            print!(" {o}");
                        }
                    }
                }
                println!();
            }
        }
    }
    mcr!("p15, 0, {}, c1, c0, 2", 0xffff_ffff);
    println!("cpacr of ones {:08x}", mrc!("p15, 0, {}, c1, c0, 2"));
    let o = Probe::new(enable).r(0, u32::MAX).run();
    println!("fpexc of ones: {o} {:08x}", o.r(1));
    let o = Probe::new(snippet!(
        arm,
        ".fpu neon-vfpv4",
        "vmsr fpscr, r0\n vmrs r1, fpscr"
    ))
    .r(0, u32::MAX)
    .run();
    println!("fpscr of ones: {o} {:08x}", o.r(1));
    Probe::new(enable).r(0, 0).run();
    mcr!("p15, 0, {}, c1, c0, 2", 0);
}

fn hints() {
    let tries: [Try; 10] = [
        ("nop", snippet!(arm, "nop")),
        ("yield", snippet!(arm, "yield")),
        ("sev wfe", snippet!(arm, "sev\n wfe")),
        ("dbg", snippet!(arm, ".inst 0xe320f0f5")),
        ("unallocated hint", snippet!(arm, ".inst 0xe320f007")),
        ("pld of nothing", snippet!(arm, "pld [r0]")),
        (
            "pldw of nothing",
            snippet!(arm, ".arch_extension mp", "pldw [r0]"),
        ),
        ("pli of nothing", snippet!(arm, "pli [r0]")),
        ("dmb ish", snippet!(arm, "dmb ish")),
        ("isb", snippet!(arm, "isb")),
    ];
    for (name, snippet) in tries {
        for (m, mode_name) in [(mode::SVC, "svc"), (mode::USR, "usr")] {
            println!(
                "{name} {mode_name}: {}",
                Probe::new(snippet).mode(m).r(0, board::NOTHING).run()
            );
        }
    }
}
