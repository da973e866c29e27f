//! Exceptions, modes and the registers they bank (manual B1.8, B1.9, B9.3).

#![no_std]
#![no_main]

use guest_support::cp15::{sctlr, with_sctlr};
use guest_support::mmu::short;
use guest_support::probe::{Probe, Snippet, a32, t32};
use guest_support::psr::{self, mode};
use guest_support::{board, gic, guest, mcr, mmio, println, snippet, vectors};

guest!(main);

/// An interrupt that is nobody's.
const INTERRUPT: u32 = 40;
const IT: u32 = 0b0000_0110_0000_0000_0000_1100_0000_0000;

fn main() {
    entries();
    interrupts();
    fast_interrupts();
    it_state();
    high_vectors();
    thumb_and_big_endian();
    banked();
    status_registers();
    change_state();
    store_return_state();
    returns();
    user_registers();
    undefined();
}

/// Every synchronous exception from every mode and instruction set.
fn entries() {
    for (m, name) in mode::ALL {
        let all: [(&str, Snippet); 10] = [
            ("svc a32", snippet!(arm, "nop", "svc #1")),
            ("svc t32", snippet!(thumb, "nop", "svc #1")),
            ("udf a32", snippet!(arm, "nop", "udf #1")),
            ("udf t32", snippet!(thumb, "nop", "udf #1")),
            ("udf.w t32", snippet!(thumb, "nop", "udf.w #1")),
            ("bkpt a32", snippet!(arm, "nop", "bkpt #1")),
            ("bkpt t32", snippet!(thumb, "nop", "bkpt #1")),
            ("ldr a32", snippet!(arm, "nop", "ldr r1, [r0]")),
            ("ldr t32", snippet!(thumb, "nop", "ldr r1, [r0]")),
            ("str.w t32", snippet!(thumb, "nop", "str.w r1, [r0, #4]")),
        ];
        for (what, snippet) in all {
            let probe = Probe::new(snippet).mode(m).r(0, board::NOTHING);
            println!("{what} {name}: {}", probe.run().details());
        }
    }
    // What entry leaves of the masks, the flags and E.
    for (name, bits) in [
        ("none", 0),
        ("a", psr::A),
        ("i", psr::I),
        ("f", psr::F),
        ("e", psr::E),
        ("flags", 0xf80f_0000),
    ] {
        for (what, snippet) in [
            ("svc", snippet!(arm, "svc #1")),
            ("udf", snippet!(arm, "udf #1")),
            ("bkpt", snippet!(arm, "bkpt #1")),
        ] {
            let probe = Probe::new(snippet)
                .clear(psr::A | psr::I | psr::F)
                .set(bits);
            println!("{what} with {name}: {}", probe.run().details());
        }
    }
    let bx = snippet!(arm, "bx r0");
    println!(
        "bx to an odd word: {}",
        Probe::new(bx).r(0, board::NOTHING + 1).run().details()
    );
    println!(
        "bx to nothing: {}",
        Probe::new(bx).r(0, board::NOTHING).run().details()
    );
}

/// Pends a shared interrupt at the CPU.
fn pend() {
    gic::enable();
    gic::set_targets(INTERRUPT, 1);
    gic::set_bit(gic::gicd::ISENABLER, INTERRUPT);
    gic::set_bit(gic::gicd::ISPENDR, INTERRUPT);
}

fn unpend() {
    gic::set_bit(gic::gicd::ICPENDR, INTERRUPT);
}

fn interrupts() {
    pend();
    for (m, name) in mode::ALL {
        let a = Probe::new(snippet!(arm, "nop", "nop"))
            .mode(m)
            .clear(psr::I | psr::F | psr::A);
        println!("irq a32 {name}: {}", a.run().details());
        let t = Probe::new(snippet!(thumb, "nop", "nop"))
            .mode(m)
            .clear(psr::I)
            .set(psr::E);
        println!("irq t32 {name}: {}", t.run().details());
    }
    // Masked, and then not.
    let masked = Probe::new(snippet!(arm, "mov r0, #1"));
    println!("irq masked: {}", masked.run().details());
    let opened = Probe::new(snippet!(
        arm,
        "mov r0, #1\n cpsie i\n mov r0, #2\n mov r0, #3"
    ));
    let outcome = opened.run();
    println!("irq after cpsie: {} r0={}", outcome.details(), outcome.r(0));
    let opened = Probe::new(snippet!(
        thumb,
        "movs r0, #1\n cpsie i\n movs r0, #2\n movs r0, #3"
    ));
    let outcome = opened.run();
    println!(
        "irq after cpsie, t32: {} r0={}",
        outcome.details(),
        outcome.r(0)
    );
    let opened = Probe::new(snippet!(
        arm,
        "mrs r1, cpsr\n bic r1, #0x80\n msr cpsr_c, r1\n mov r0, #2"
    ));
    let outcome = opened.run();
    println!("irq after msr: {} r0={}", outcome.details(), outcome.r(0));
    // In an IT block.
    let t = Probe::new(snippet!(thumb, "nop", "nop", "nop", "nop"))
        .clear(psr::I)
        .set(IT & !psr::E);
    println!("irq in an it block: {}", t.run().details());
    // WFI wakes with the interrupt masked.
    println!(
        "wfi with a masked interrupt: {}",
        Probe::new(snippet!(arm, "wfi")).run()
    );
    println!(
        "wfe with a masked interrupt: {}",
        Probe::new(snippet!(arm, "sev\n wfe")).run()
    );
    unpend();
}

/// GICC_CTLR: both groups, and Group 0 by FIQ.
const FIQ_ENABLE: u32 = 1 | 1 << 1 | 1 << 3;
/// Another interrupt that is nobody's, in Group 1.
const OTHER: u32 = 41;

fn fast_interrupts() {
    gic::set_d(gic::gicd::CTLR, 3);
    gic::set_d(gic::gicd::IGROUPR + 4, 1 << (OTHER - 32));
    gic::set_c(gic::gicc::PMR, 0xff);
    gic::set_c(gic::gicc::CTLR, FIQ_ENABLE);
    for id in [INTERRUPT, OTHER] {
        gic::set_targets(id, 1);
        gic::set_priority(id, 0x80);
        gic::set_bit(gic::gicd::ISENABLER, id);
    }
    gic::set_bit(gic::gicd::ISPENDR, INTERRUPT);
    println!("isr {:x}", guest_support::mrc!("p15, 0, {}, c12, c1, 0"));
    for (m, name) in mode::ALL {
        let a = Probe::new(snippet!(arm, "nop", "nop"))
            .mode(m)
            .clear(psr::I | psr::F | psr::A);
        println!("fiq a32 {name}: {}", a.run().details());
        let t = Probe::new(snippet!(thumb, "nop", "nop"))
            .mode(m)
            .clear(psr::F);
        println!("fiq t32 {name}: {}", t.run().details());
    }
    let opened = Probe::new(snippet!(
        arm,
        "mov r0, #1\n cpsie f\n mov r0, #2\n mov r0, #3"
    ));
    let outcome = opened.run();
    println!("fiq after cpsie: {} r0={}", outcome.details(), outcome.r(0));
    let t = Probe::new(snippet!(thumb, "nop", "nop", "nop", "nop"))
        .clear(psr::F)
        .set(IT);
    println!("fiq in an it block: {}", t.run().details());
    println!(
        "fiq masked: {}",
        Probe::new(snippet!(arm, "nop"))
            .clear(psr::I)
            .run()
            .details()
    );
    println!(
        "wfi with a masked fiq: {}",
        Probe::new(snippet!(arm, "wfi")).run()
    );
    // Both are pending: FIQ comes first, and the more urgent of the two is the only one that is
    // signalled.
    gic::set_bit(gic::gicd::ISPENDR, OTHER);
    for (name, priority) in [("equal", 0x80), ("urgent irq", 0x40), ("urgent fiq", 0xc0)] {
        gic::set_priority(OTHER, priority);
        let both = Probe::new(snippet!(arm, "nop")).clear(psr::I | psr::F);
        println!(
            "{name}: isr {:x} hppir {} {}",
            guest_support::mrc!("p15, 0, {}, c12, c1, 0"),
            gic::c(gic::gicc::HPPIR),
            both.run()
        );
    }
    gic::set_bit(gic::gicd::ICPENDR, INTERRUPT);
    println!(
        "irq alone: isr {:x} hppir {} iar {}",
        guest_support::mrc!("p15, 0, {}, c12, c1, 0"),
        gic::c(gic::gicc::HPPIR),
        gic::c(gic::gicc::IAR)
    );
    // With AckCtl the common registers serve Group 1 too.
    gic::set_c(gic::gicc::CTLR, FIQ_ENABLE | 1 << 2);
    let id = gic::c(gic::gicc::IAR);
    println!("ackctl: iar {id} hppir {}", gic::c(gic::gicc::HPPIR));
    gic::set_c(gic::gicc::EOIR, id);
    gic::set_bit(gic::gicd::ICPENDR, OTHER);
    gic::set_bit(gic::gicd::ICACTIVER, OTHER);
    gic::set_d(gic::gicd::IGROUPR + 4, 0);
    gic::set_c(gic::gicc::CTLR, 1);
    gic::set_d(gic::gicd::CTLR, 1);
}

fn it_state() {
    // ITTE EQ with Z set: the second instruction faults.
    for (what, snippet) in [
        (
            "load",
            snippet!(
                thumb,
                "cmp r0, r0\n itte eq\n moveq r1, r1\n ldreq r1, [r2]\n movne r1, r1"
            ),
        ),
        (
            "svc",
            snippet!(
                thumb,
                "cmp r0, r0\n itte eq\n moveq r1, r1\n svceq #1\n movne r1, r1"
            ),
        ),
        ("udf", t32(&[0x4280, 0xbf06, 0x4609, 0xde01, 0x4609])),
        ("last svc", snippet!(thumb, "cmp r0, r0\n it eq\n svceq #1")),
        ("bkpt", t32(&[0x4280, 0xbf1c, 0xbe01, 0x4609])),
        (
            "load not done",
            snippet!(thumb, "cmp r0, r0\n ite ne\n ldrne r1, [r2]\n moveq r1, r1"),
        ),
    ] {
        println!(
            "it block, {what}: {}",
            Probe::new(snippet).r(2, board::NOTHING).run().details()
        );
    }
    // A return into the middle of a block.
    let snippet = snippet!(
        thumb,
        "movs r0, #1",
        "movs r1, #1",
        "movs r2, #1",
        "movs r3, #1"
    );
    for it in [0x08u32, 0x18, 0x04, 0x14, 0x0f, 0xe8] {
        let bits = (it & 3) << 25 | (it >> 2) << 10;
        let outcome = Probe::new(snippet).set(bits).run();
        println!(
            "it={it:02x}: {} {} {} {} {}",
            outcome,
            outcome.r(0),
            outcome.r(1),
            outcome.r(2),
            outcome.r(3)
        );
    }
}

fn high_vectors() {
    // The vectors at 0xffff0000 are mapped to a copy that branches to the usual ones.
    let copy = board::FREE + 0x2000;
    for i in 0..8 {
        let offset = vectors::recording_table().wrapping_sub(copy + 8) >> 2 & 0xff_ffff;
        mmio::write32(copy + 4 * i, 0xea00_0000 | offset);
    }
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    short::on(0);
    short::set_first(0xfff0_0000, short::second(0) | short::TABLE);
    // A branch at 0xffff0000 is relative: the distance that is right for the copy is not right there.
    short::set_second(0, 0xffff_0000, copy | short::PAGE);
    for i in 0..8u32 {
        // LDR PC, [PC, #24], and the address.
        mmio::write32(copy + 4 * i, 0xe59f_f018);
        mmio::write32(copy + 0x20 + 4 * i, vectors::recording_table() + 4 * i);
    }
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    vectors::record();
    with_sctlr(sctlr::V, || {
        // The low table is not used now.
        mcr!("p15, 0, {}, c12, c0, 0", board::NOTHING);
        println!(
            "high vectors, svc: {}",
            Probe::new(snippet!(arm, "svc #1")).run().details()
        );
        println!(
            "high vectors, udf: {}",
            Probe::new(snippet!(thumb, "udf #1")).run().details()
        );
        println!(
            "high vectors, ldr: {}",
            Probe::new(snippet!(arm, "ldr r1, [r0]"))
                .r(0, 4)
                .run()
                .details()
        );
        pend();
        println!(
            "high vectors, irq: {}",
            Probe::new(snippet!(arm, "nop"))
                .clear(psr::I)
                .run()
                .details()
        );
        unpend();
    });
    vectors::record();
    // VBAR's low bits are 0.
    mcr!("p15, 0, {}, c12, c0, 0", 0x4020_001f | 0xfff);
    println!("vbar {:08x}", guest_support::mrc!("p15, 0, {}, c12, c0, 0"));
    vectors::record();
    guest_support::mmu::off();
}

fn thumb_and_big_endian() {
    with_sctlr(sctlr::TE, || {
        vectors::record_thumb();
        for (what, snippet) in [
            ("svc", snippet!(arm, "svc #1")),
            ("udf", snippet!(thumb, "udf #1")),
            ("bkpt", snippet!(arm, "bkpt #1")),
        ] {
            println!("te, {what}: {}", Probe::new(snippet).run().details());
        }
        vectors::record();
    });
    with_sctlr(sctlr::EE, || {
        for (what, snippet) in [
            ("svc", snippet!(arm, "svc #1")),
            ("udf", snippet!(thumb, "udf #1")),
            ("bkpt", snippet!(arm, "bkpt #1")),
        ] {
            println!("ee, {what}: {}", Probe::new(snippet).run().details());
        }
        pend();
        println!(
            "ee, irq: {}",
            Probe::new(snippet!(arm, "nop"))
                .clear(psr::I)
                .run()
                .details()
        );
        unpend();
    });
}

fn banked() {
    // Each mode writes its SP, LR and SPSR, and r8, which only FIQ banks.
    let write = snippet!(
        arm,
        "mov sp, r0\n mov lr, r1\n mov r8, r2\n mov r9, r2\n and r3, r4, #0x1f\n cmp r3, #0x10\n cmpne r3, #0x1f\n msrne spsr_cxsf, r5"
    );
    for (i, (m, _)) in mode::ALL.into_iter().enumerate() {
        let i = i as u32;
        Probe::new(write)
            .mode(m)
            .r(0, 0x1000 + i)
            .r(1, 0x2000 + i)
            .r(2, 0x3000 + i)
            .r(4, m)
            .r(5, 0x10 | i << 28)
            .sp(0x1000 + i)
            .lr(0x2000 + i)
            .run();
    }
    // SVC's own are used by the end of each snippet, and System mode has User mode's.
    for (m, name) in mode::ALL
        .into_iter()
        .filter(|(m, _)| *m != mode::USR && *m != mode::SVC)
    {
        let read = snippet!(
            arm,
            "msr cpsr_c, r5\n mov r0, sp\n mov r1, lr\n mov r2, r8\n mov r3, r9\n cmp r4, #0x1f\n mrsne r4, spsr"
        );
        let o = Probe::new(read)
            .r(4, m)
            .r(5, m | 0x1c0)
            .r(8, 8)
            .r(9, 9)
            .run();
        println!(
            "{name}: sp {:x} lr {:x} r8 {:x} r9 {:x} spsr {:08x}",
            o.r(0),
            o.r(1),
            o.r(2),
            o.r(3),
            o.r(4)
        );
    }
    // They are of the Virtualization Extensions.
    for (m, name) in mode::ALL {
        println!(
            "mrs r0, sp_irq in {name}: {}",
            Probe::new(snippet!(arm, "mrs r0, sp_irq")).mode(m).run()
        );
        println!(
            "mrs r0, lr_usr in {name}: {}",
            Probe::new(snippet!(arm, "mrs r0, lr_usr")).mode(m).run()
        );
        println!(
            "mrs r0, spsr_fiq in {name}: {}",
            Probe::new(snippet!(arm, "mrs r0, spsr_fiq")).mode(m).run()
        );
    }
    for (name, snippet) in [
        ("sp_mon", a32(&[0xe10d_0300])),
        ("elr_hyp", a32(&[0xe10e_0300])),
        ("sp_hyp", a32(&[0xe10f_0300])),
    ] {
        println!("mrs r0, {name}: {}", Probe::new(snippet).run());
    }
}

fn status_registers() {
    for (m, name) in mode::ALL {
        let o = Probe::new(snippet!(arm, "mrs r0, cpsr"))
            .mode(m)
            .set(psr::E | 0xf80f_0000)
            .run();
        println!("mrs cpsr {name}: {o} {:08x}", o.r(0));
        let o = Probe::new(snippet!(thumb, "mrs r0, cpsr")).mode(m).run();
        println!("mrs cpsr t32 {name}: {o} {:08x}", o.r(0));
        // Everything but the mode, T and J.
        let o = Probe::new(snippet!(arm, "msr cpsr_fsxc, r0\n mrs r1, cpsr"))
            .mode(m)
            .r(0, 0xffff_ffc0 & !0x0100_0000 | m)
            .run();
        println!("msr cpsr_fsxc {name}: {} {:08x}", o.details(), o.r(1));
        for (field, snippet) in [
            ("f", snippet!(arm, "msr cpsr_f, r0\n mrs r1, cpsr")),
            ("s", snippet!(arm, "msr cpsr_s, r0\n mrs r1, cpsr")),
            ("x", snippet!(arm, "msr cpsr_x, r0\n mrs r1, cpsr")),
        ] {
            let o = Probe::new(snippet).mode(m).r(0, 0xffff_ffff).run();
            println!("msr cpsr_{field} {name}: {} {:08x}", o.details(), o.r(1));
        }
    }
    for (m, name) in mode::ALL
        .into_iter()
        .filter(|(m, _)| *m != mode::USR && *m != mode::SYS)
    {
        for value in [0xffff_ffff, 0x1f, 0] {
            let o = Probe::new(snippet!(arm, "msr spsr_cxsf, r0\n mrs r1, spsr"))
                .mode(m)
                .r(0, value)
                .run();
            println!("spsr {value:08x} {name}: {o} {:08x}", o.r(1));
        }
        let o = Probe::new(snippet!(
            arm,
            "msr spsr_cxsf, r0\n mvn r0, #0\n msr spsr_s, r0\n mrs r1, spsr"
        ))
        .mode(m)
        .run();
        println!("spsr_s {name}: {o} {:08x}", o.r(1));
    }
}

fn change_state() {
    for (name, snippet) in [
        ("cpsid a", snippet!(arm, "cpsid a")),
        ("cpsid i", snippet!(arm, "cpsid i")),
        ("cpsid f", snippet!(arm, "cpsid f")),
        ("cpsid aif, sys", snippet!(arm, "cpsid aif, #0x1f")),
        ("cps abt", snippet!(arm, "cps #0x17")),
        ("t32 cpsid if", snippet!(thumb, "cpsid if")),
        ("t32 cpsid.w aif, irq", snippet!(thumb, "cpsid aif, #0x12")),
        ("t32 cps.w fiq", snippet!(thumb, "cps #0x11")),
        ("setend be", snippet!(arm, "setend be")),
        ("t32 setend be", snippet!(thumb, "setend be")),
    ] {
        for (m, mode_name) in [(mode::SYS, "sys"), (mode::USR, "usr")] {
            let o = Probe::new(snippet)
                .mode(m)
                .clear(psr::A | psr::I | psr::F)
                .run();
            println!("{name} in {mode_name}: {}", o.details());
        }
    }
    for (name, snippet) in [
        ("cpsie a", snippet!(arm, "cpsie a")),
        ("cpsie i", snippet!(arm, "cpsie i")),
        ("cpsie f", snippet!(arm, "cpsie f")),
    ] {
        println!("{name}: {}", Probe::new(snippet).run().details());
        println!(
            "{name} in usr: {}",
            Probe::new(snippet).mode(mode::USR).run().details()
        );
    }
}

fn store_return_state() {
    let at = board::FREE + 0x3000;
    for (name, snippet) in [
        (
            "srsia",
            snippet!(
                arm,
                "msr spsr_cxsf, r1\n cps #0x17\n mov sp, r0\n cps #0x13\n srsia sp!, #0x17\n cps #0x17\n mov r2, sp\n cps #0x13"
            ),
        ),
        (
            "srsib",
            snippet!(
                arm,
                "msr spsr_cxsf, r1\n cps #0x17\n mov sp, r0\n cps #0x13\n srsib sp!, #0x17\n cps #0x17\n mov r2, sp\n cps #0x13"
            ),
        ),
        (
            "srsda",
            snippet!(
                arm,
                "msr spsr_cxsf, r1\n cps #0x17\n mov sp, r0\n cps #0x13\n srsda sp!, #0x17\n cps #0x17\n mov r2, sp\n cps #0x13"
            ),
        ),
        (
            "srsdb",
            snippet!(
                arm,
                "msr spsr_cxsf, r1\n cps #0x17\n mov sp, r0\n cps #0x13\n srsdb sp!, #0x17\n cps #0x17\n mov r2, sp\n cps #0x13"
            ),
        ),
        (
            "srsdb, no writeback",
            snippet!(
                arm,
                "msr spsr_cxsf, r1\n cps #0x17\n mov sp, r0\n cps #0x13\n srsdb sp, #0x17\n cps #0x17\n mov r2, sp\n cps #0x13"
            ),
        ),
        (
            "t32 srsia",
            snippet!(
                thumb,
                "msr spsr_cxsf, r1\n cps #0x17\n mov sp, r0\n cps #0x13\n srsia sp!, #0x17\n cps #0x17\n mov r2, sp\n cps #0x13"
            ),
        ),
        (
            "t32 srsdb",
            snippet!(
                thumb,
                "msr spsr_cxsf, r1\n cps #0x17\n mov sp, r0\n cps #0x13\n srsdb sp!, #0x17\n cps #0x17\n mov r2, sp\n cps #0x13"
            ),
        ),
    ] {
        for word in 0..8 {
            mmio::write32(at + 4 * word, 0);
        }
        let o = Probe::new(snippet)
            .r(0, at + 16)
            .r(1, 0xf000_01d0)
            .lr(0x1234_5678)
            .run();
        println!("{name}: {o} sp+{:x}", o.r(2).wrapping_sub(at + 16) as i32);
        for word in 0..8 {
            let value = mmio::read32(at + 4 * word);
            if value != 0 {
                println!("  [{}] {value:08x}", 4 * word as i32 - 16);
            }
        }
    }
    let rfe = snippet!(
        arm,
        "adr r1, 1f\n str r1, [r0]\n str r1, [r0, #8]\n rfeia r0!\n mov r3, #1\n 1: mov r4, #1\n mrs r5, cpsr"
    );
    let o = Probe::new(rfe).r(0, at).run();
    let _ = o;
    for (name, value) in [
        ("sys", 0x1df),
        ("usr", 0x1d0),
        ("irq with flags", 0xf800_01d2),
        ("big-endian", 0x3df),
        ("mode 0", 0x1c0),
    ] {
        mmio::write32(at + 4, value);
        let o = Probe::new(rfe).r(0, at).run();
        println!(
            "rfeia to {name}: {} r0+{:x} {} {} {:08x}",
            o.details(),
            o.r(0).wrapping_sub(at),
            o.r(3),
            o.r(4),
            o.r(5)
        );
    }
    let rfe = snippet!(arm, "rfedb r0!");
    mmio::write32(at, 0x4020_0001);
    mmio::write32(at + 4, 0x1f0);
    for (m, name) in [(mode::USR, "usr"), (mode::SYS, "sys")] {
        println!(
            "rfe in {name}: {}",
            Probe::new(rfe).mode(m).r(0, board::NOTHING).run().details()
        );
    }
    let srs = snippet!(arm, "srsdb sp!, #0x13");
    for (m, name) in [(mode::USR, "usr"), (mode::SYS, "sys")] {
        println!("srs in {name}: {}", Probe::new(srs).mode(m).run().details());
    }
}

fn returns() {
    for (name, value) in [
        ("usr", 0x1d0),
        ("usr t32", 0x1f0),
        ("sys big-endian", 0x3df),
        ("fiq with flags", 0xf00f_01d1),
        ("mode 0", 0x1c0),
        ("mode 0x16", 0x1d6),
    ] {
        // The target is a pair of halfwords that do the same in both instruction sets: SVC #n.
        let target = board::FREE + 0x3100;
        mmio::write32(target, 0xef00_df05);
        mcr!("p15, 0, {}, c7, c5, 0", 0);
        for (how, snippet) in [
            (
                "movs pc, lr",
                snippet!(arm, "msr spsr_cxsf, r1\n mov lr, r0\n movs pc, lr"),
            ),
            (
                "subs pc, lr, #4",
                snippet!(arm, "msr spsr_cxsf, r1\n add lr, r0, #4\n subs pc, lr, #4"),
            ),
            (
                "t32 subs pc, lr, #4",
                snippet!(
                    thumb,
                    "msr spsr_cxsf, r1\n add.w lr, r0, #4\n subs pc, lr, #4"
                ),
            ),
            (
                "eret",
                snippet!(arm, "msr spsr_cxsf, r1\n mov lr, r0\n eret"),
            ),
            (
                "ldm pc^",
                snippet!(arm, "msr spsr_cxsf, r1\n str r0, [r2]\n ldm r2!, {{pc}}^"),
            ),
            (
                "ldm r3, pc^",
                snippet!(
                    arm,
                    "msr spsr_cxsf, r1\n stm r2, {{r0, r1}}\n str r0, [r2, #4]\n ldm r2, {{r3, pc}}^"
                ),
            ),
        ] {
            let o = Probe::new(snippet)
                .mode(mode::IRQ)
                .r(0, target)
                .r(1, value)
                .r(2, target + 0x100)
                .run();
            println!(
                "{how} to {name}: {} r2+{:x}",
                o.details(),
                o.r(2).wrapping_sub(target + 0x100)
            );
        }
    }
    for (m, name) in [(mode::USR, "usr"), (mode::SYS, "sys")] {
        let movs = snippet!(arm, "adr lr, 1f\n movs pc, lr\n mov r0, #1\n 1: mov r1, #1");
        let o = Probe::new(movs).mode(m).run();
        println!(
            "movs pc, lr in {name}: {} {} {}",
            o.details(),
            o.r(0),
            o.r(1)
        );
    }
}

fn user_registers() {
    let at = board::FREE + 0x3200;
    for (m, name) in mode::ALL
        .into_iter()
        .filter(|(m, _)| *m != mode::USR && *m != mode::SYS)
    {
        for word in 0..16 {
            mmio::write32(at + 4 * word, 0);
        }
        let stm = snippet!(arm, "mov lr, #5\n stm r0, {{r0, r7, r8, sp, lr}}^");
        Probe::new(snippet!(arm, "nop"))
            .mode(mode::USR)
            .sp(0x111)
            .lr(0x222)
            .run();
        let o = Probe::new(stm).mode(m).r(0, at).r(7, 7).r(8, 8).run();
        println!(
            "stm user {name}: {o} {:x} {:x} {:x} {:x}",
            mmio::read32(at + 4),
            mmio::read32(at + 8),
            mmio::read32(at + 12),
            mmio::read32(at + 16)
        );
        mmio::write32(at, 0x333);
        mmio::write32(at + 4, 0x444);
        let ldm = snippet!(
            arm,
            "mov lr, #5\n ldm r0, {{sp, lr}}^\n nop\n mov r1, lr\n cps #0x1f\n mov r2, sp\n mov r3, lr"
        );
        let o = Probe::new(ldm).mode(m).r(0, at).run();
        println!(
            "ldm user {name}: {o} {:x} {:x} {:x}",
            o.r(1),
            o.r(2),
            o.r(3)
        );
    }
}

fn undefined() {
    let words: [(&str, u32); 14] = [
        ("udf", 0xe7f0_00f0),
        ("svc", 0xef00_0001),
        ("smc", 0xe160_0070),
        ("hvc with an unknown function", 0xe140_0070),
        ("cdp p0", 0xee00_0000),
        ("mcr p0", 0xee00_0010),
        ("mrc p14, unallocated", 0xee7f_0e1f),
        ("ldc p5", 0xed90_0500),
        ("vadd.f32", 0xee30_0a00),
        ("vadd.i8", 0xf200_0800),
        ("0xf condition space", 0xf800_0000),
        ("media space", 0xe600_0010),
        ("bkpt", 0xe120_0070),
        ("bxj", 0xe12f_ff21),
    ];
    for (name, word) in words {
        for (m, mode_name) in [(mode::USR, "usr"), (mode::SYS, "sys")] {
            // BXJ to what follows.
            let snippet = a32(&[word]);
            let probe = Probe::new(snippet).mode(m).r(0, 0x8400_00ff);
            println!(
                "{name} {mode_name}: {}",
                probe.r(1, snippet.address + 4).run().details()
            );
        }
    }
    // Conditions that fail.
    for (name, word) in [
        ("udfne", 0x17f0_00f0),
        ("mcrne p0", 0x1e00_0010),
        ("svcne", 0x1f00_0001),
        ("ldcne p5", 0x1d90_0500),
    ] {
        println!(
            "{name} with z: {}",
            Probe::new(a32(&[word])).set(1 << 30).run().details()
        );
    }
    for (name, halves) in [
        ("t32 0xde00", &[0xde00u16] as &[u16]),
        ("t32 0xb600", &[0xb600]),
        ("t32 0xba80", &[0xba80]),
        ("t32 0xf7f0a000", &[0xf7f0, 0xa000]),
        ("t32 mcr p0", &[0xee00, 0x0010]),
        ("t32 vadd.f32", &[0xee30, 0x0a00]),
    ] {
        println!("{name}: {}", Probe::new(t32(halves)).run().details());
    }
}
