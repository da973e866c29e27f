//! Translation with the short-descriptor format (manual B3.5).

#![no_std]
#![no_main]

use guest_support::cp15::{dsb, sctlr, with_sctlr};
use guest_support::mmu::{self, WINDOW, short};
use guest_support::probe::{Outcome, Probe};
use guest_support::psr::mode;
use guest_support::{board, guest, mcr, mmio, mrc, print, println, snippet};
use guest_tests::{MEMORY, fill_memory, load, rights};

guest!(main);

/// A virtual address whose megabyte has second-level table 0.
const PAGES: u32 = WINDOW + 0x10_0000;
/// Second-level tables that the tests use.
const TABLE: usize = 0;

fn main() {
    fill_memory();
    without_translation();
    short::on(0);
    permissions();
    execute_never();
    access_flag();
    domains();
    invalid();
    sizes();
    write_execute_never();
    split();
    asids();
    maintenance();
    externals();
    fetches();
    operations();
    remap();
    big_endian();
    mmu::off();
    println!("off again");
    without_translation();
}

fn set_dacr(value: u32) {
    mcr!("p15, 0, {}, c3, c0, 0", value);
}

fn set_ttbcr(value: u32) {
    mcr!("p15, 0, {}, c2, c0, 2", value);
    guest_support::cp15::tlbiall();
}

fn map_pages() {
    short::set_first(PAGES, short::second(TABLE) | short::TABLE);
}

fn without_translation() {
    load(format_args!("no translation, memory"), MEMORY + 4);
    load(
        format_args!("no translation, nothing there"),
        board::NOTHING,
    );
    let store = snippet!(arm, "str r1, [r0]");
    println!(
        "no translation, store to nothing: {}",
        Probe::new(store).r(0, board::NOTHING).run()
    );
    let go = snippet!(arm, "bx r0");
    println!(
        "no translation, fetch from nothing: {}",
        Probe::new(go).r(0, board::NOTHING).run().details()
    );
}

fn permissions() {
    map_pages();
    for afe in [false, true] {
        with_sctlr(if afe { sctlr::AFE } else { 0 }, || {
            for ap in 0..8 {
                short::set_first(
                    WINDOW,
                    MEMORY | short::SECTION | short::s_ap(ap) | short::NORMAL,
                );
                rights(
                    format_args!("section afe={} ap={ap}", u8::from(afe)),
                    WINDOW,
                );
                short::set_second(
                    TABLE,
                    PAGES,
                    MEMORY | short::SMALL | short::p_ap(ap) | short::p_tex(4),
                );
                rights(
                    format_args!("small page afe={} ap={ap}", u8::from(afe)),
                    PAGES,
                );
            }
        });
    }
    for i in 0..16 {
        short::set_second(
            TABLE,
            PAGES + (i << 12),
            MEMORY | short::LARGE | short::p_ap(2) | 1 << 12,
        );
    }
    rights(format_args!("large page ap=2"), PAGES);
}

fn execute_never() {
    map_pages();
    for (bits, name) in [
        (short::S_XN, "xn"),
        (short::S_PXN, "pxn"),
        (short::S_XN | short::S_PXN, "xn pxn"),
    ] {
        for ap in [1, 2, 3, 5, 7] {
            short::set_first(
                WINDOW,
                MEMORY | short::SECTION | short::s_ap(ap) | short::NORMAL | bits,
            );
            rights(format_args!("section {name} ap={ap}"), WINDOW);
        }
    }
    for pxn in [0, short::T_PXN] {
        short::set_first(PAGES, short::second(TABLE) | short::TABLE | pxn);
        for xn in [0, short::SMALL_XN] {
            short::set_second(TABLE, PAGES, MEMORY | short::PAGE | xn);
            rights(
                format_args!("small page xn={xn} table pxn={}", pxn >> 2),
                PAGES,
            );
        }
        for xn in [0, short::LARGE_XN] {
            for i in 0..16 {
                short::set_second(
                    TABLE,
                    PAGES + (i << 12),
                    MEMORY | short::LARGE | short::p_ap(3) | 1 << 12 | xn,
                );
            }
            rights(
                format_args!("large page xn={} table pxn={}", xn >> 15, pxn >> 2),
                PAGES,
            );
        }
    }
}

fn access_flag() {
    map_pages();
    short::set_second(
        TABLE,
        PAGES,
        MEMORY | short::SMALL | short::p_ap(2) | short::p_tex(4) | short::SMALL_XN,
    );
    short::set_first(
        WINDOW,
        MEMORY | short::SECTION | short::s_ap(6) | short::NORMAL | short::S_XN,
    );
    with_sctlr(sctlr::AFE, || {
        rights(format_args!("access flag before xn, section"), WINDOW);
        rights(format_args!("access flag before xn, page"), PAGES);
        // The domain is looked at after the access flag.
        set_dacr(1);
        short::set_first(
            WINDOW,
            MEMORY | short::SECTION | short::s_ap(2) | short::domain(3),
        );
        load(format_args!("access flag or domain, section"), WINDOW);
        short::set_first(
            PAGES,
            short::second(TABLE) | short::TABLE | short::domain(3),
        );
        load(format_args!("access flag or domain, page"), PAGES);
        set_dacr(1 | 3 << 6);
        load(format_args!("access flag with a manager, section"), WINDOW);
        load(format_args!("access flag with a manager, page"), PAGES);
        set_dacr(0x5555_5555);
    });
}

fn domains() {
    for field in 0..4 {
        set_dacr(1 | field << 10);
        short::set_first(
            PAGES,
            short::second(TABLE) | short::TABLE | short::domain(5),
        );
        short::set_second(
            TABLE,
            PAGES,
            MEMORY | short::PAGE & !short::p_ap(3) | short::p_ap(1) | short::SMALL_XN,
        );
        short::set_second(TABLE, PAGES + 0x1000, 0);
        short::set_first(
            WINDOW,
            MEMORY
                | short::FULL & !short::s_ap(3)
                | short::s_ap(5)
                | short::S_XN
                | short::domain(5),
        );
        rights(format_args!("section in a domain of {field:02b}"), WINDOW);
        rights(format_args!("page in a domain of {field:02b}"), PAGES);
        load(
            format_args!("no page in a domain of {field:02b}"),
            PAGES + 0x1000,
        );
        // A section that is not there has no domain.
        short::set_first(WINDOW, short::domain(5));
        load(
            format_args!("no section, domain field of {field:02b}"),
            WINDOW,
        );
    }
    // DACR has all its bits.
    set_dacr(0x5555_5555 | 0x8000_0000);
    println!("dacr {:08x}", mrc!("p15, 0, {}, c3, c0, 0"));
    set_dacr(0x5555_5555);
}

fn invalid() {
    map_pages();
    for va in [PAGES, PAGES + 0xff000] {
        short::set_second(TABLE, va, 0);
    }
    short::set_first(WINDOW, 0);
    rights(format_args!("no section"), WINDOW);
    rights(format_args!("no page"), PAGES);
    rights(format_args!("no page, the last"), PAGES + 0xff000);
    rights(format_args!("nothing at the top"), 0xffff_f000);
    // Bits other than the type of an invalid descriptor don't matter.
    short::set_first(WINDOW, 0xffff_fffc);
    load(format_args!("invalid descriptor of ones"), WINDOW);
    short::set_second(TABLE, PAGES, 0xffff_fffc);
    load(format_args!("invalid page descriptor of ones"), PAGES);
}

fn sizes() {
    map_pages();
    for i in 0..4 {
        short::set_first(WINDOW + (i << 20), (MEMORY + (i << 20)) | short::FULL);
    }
    load(format_args!("section, last page"), WINDOW + 0xff004);
    load(format_args!("next section"), WINDOW + 0x10_0004);
    for i in 0..16u32 {
        short::set_first(
            WINDOW + 0x0100_0000 + (i << 20),
            MEMORY & 0xff00_0000 | short::FULL | short::SUPERSECTION,
        );
    }
    load(
        format_args!("supersection"),
        WINDOW + 0x0100_0004 + (MEMORY & 0xff_ffff),
    );
    load(
        format_args!("supersection, page 0x321"),
        WINDOW + 0x0100_0004 + (MEMORY & 0xff_ffff) + 0x32_1000,
    );
    map_pages();
    for i in 0..16 {
        short::set_second(
            TABLE,
            PAGES + (i << 12),
            (MEMORY + 0x10_0000) | short::LARGE | short::p_ap(3) | 1 << 12,
        );
        short::set_second(
            TABLE,
            PAGES + 0x1_0000 + (i << 12),
            (MEMORY + 0x20_0000 + ((15 - i) << 12)) | short::PAGE,
        );
    }
    for i in [0, 7, 15] {
        load(format_args!("large page, page {i}"), PAGES + 4 + (i << 12));
        load(
            format_args!("small page {i}"),
            PAGES + 4 + 0x1_0000 + (i << 12),
        );
    }
}

fn write_execute_never() {
    // The guest's own code must not be writable for this.
    for va in [0x4020_0000, 0x4030_0000] {
        short::set_first(va, va | short::SECTION | short::s_ap(6) | short::NORMAL);
    }
    map_pages();
    for (bits, name) in [
        (sctlr::WXN, "wxn"),
        (sctlr::UWXN, "uwxn"),
        (sctlr::WXN | sctlr::UWXN, "both"),
    ] {
        with_sctlr(bits, || {
            guest_support::cp15::tlbiall();
            for ap in [1, 2, 3, 5, 6, 7] {
                short::set_first(
                    WINDOW,
                    MEMORY | short::SECTION | short::s_ap(ap) | short::NORMAL,
                );
                rights(format_args!("section {name} ap={ap}"), WINDOW);
            }
            short::set_second(TABLE, PAGES, MEMORY | short::PAGE);
            rights(format_args!("page {name} ap=3"), PAGES);
        });
    }
    for va in [0x4020_0000, 0x4030_0000] {
        short::set_first(va, va | short::FULL);
    }
}

fn split() {
    // The two tables map the same addresses to different memory.
    for (n, offset) in [(0, 0), (1, 0x10_0000)] {
        for va in [
            0u32,
            0x0200_0000,
            0x0400_0000,
            0x1000_0000,
            0x2000_0000,
            0x3000_0000,
            0x7000_0000,
            0x8000_0000,
            0xfff0_0000,
        ] {
            mmio::write32(
                short::first(n) + (va >> 20) * 4,
                (MEMORY + offset) | short::FULL,
            );
        }
    }
    for n in 0..8u32 {
        // Devices are in both tables, and so is the code.
        set_ttbcr(n);
        println!("ttbcr {:08x}", mrc!("p15, 0, {}, c2, c0, 2"));
        for va in [
            4u32,
            0x0200_0004,
            0x0400_0004,
            0x1000_0004,
            0x2000_0004,
            0x3000_0004,
            0x7000_0004,
            0x8000_0004,
            0xfff0_0004,
        ] {
            load(format_args!("n={n} {va:08x}"), va);
        }
    }
    // Walks with a table disabled: the code is in the other one's region.
    set_ttbcr(1 | 1 << 5);
    load(format_args!("n=1 pd1, below"), 0x7000_0004);
    load(format_args!("n=1 pd1, above"), 0x8000_0004);
    let probe = |va| Probe::new(snippet!(arm, "ldr r1, [r0]")).r(0, va).run();
    set_ttbcr(2 | 1 << 4);
    // Printing needs the devices, which are in the disabled region now.
    let below = probe(0x3000_0004);
    let above = probe(0x7000_0004);
    set_ttbcr(0);
    println!("n=2 pd0, below: {below}");
    println!("n=2 pd0, above: {:08x}", above.r(1));
    // TTBR0's alignment follows N.
    set_ttbcr(7);
    println!("ttbr0 & 0x7f: {:x}", mrc!("p15, 0, {}, c2, c0, 0") & 0x7f);
    set_ttbcr(0);
}

fn set_asid(asid: u32) {
    mcr!("p15, 0, {}, c13, c0, 1", asid);
}

/// Sets a descriptor as the guest must, but leaves what the TLB remembers.
fn store_second(va: u32, descriptor: u32) {
    mmio::write32(short::second(TABLE) + (va >> 12 & 0xff) * 4, descriptor);
    dsb();
}

fn asids() {
    map_pages();
    let page = |n: u32| (MEMORY + (n << 12)) | short::PAGE;
    short::set_second(TABLE, PAGES, page(1) | short::P_NG);
    set_asid(1);
    load(format_args!("asid 1"), PAGES + 4);
    // Another ASID has its own translation, and the first keeps its own unless maintained.
    set_asid(2);
    store_second(PAGES, page(2) | short::P_NG);
    load(format_args!("asid 2"), PAGES + 4);
    set_asid(1);
    store_second(PAGES, page(1) | short::P_NG);
    load(format_args!("asid 1 again"), PAGES + 4);
    set_asid(0x1234_5603);
    store_second(PAGES, page(3) | short::P_NG);
    load(format_args!("asid 3 with a process id"), PAGES + 4);
    println!("contextidr {:08x}", mrc!("p15, 0, {}, c13, c0, 1"));
    set_asid(0);
}

fn maintenance() {
    map_pages();
    type Operation = (&'static str, fn(u32));
    let operations: [Operation; 14] = [
        ("TLBIALL", |_| mcr!("p15, 0, {}, c8, c7, 0", 0)),
        ("TLBIMVA", |va| mcr!("p15, 0, {}, c8, c7, 1", va | 7)),
        ("TLBIASID", |_| mcr!("p15, 0, {}, c8, c7, 2", 7)),
        ("TLBIMVAA", |va| mcr!("p15, 0, {}, c8, c7, 3", va)),
        ("TLBIALLIS", |_| mcr!("p15, 0, {}, c8, c3, 0", 0)),
        ("TLBIMVAIS", |va| mcr!("p15, 0, {}, c8, c3, 1", va | 7)),
        ("TLBIASIDIS", |_| mcr!("p15, 0, {}, c8, c3, 2", 7)),
        ("TLBIMVAAIS", |va| mcr!("p15, 0, {}, c8, c3, 3", va)),
        ("DTLBIALL", |_| mcr!("p15, 0, {}, c8, c6, 0", 0)),
        ("DTLBIMVA", |va| mcr!("p15, 0, {}, c8, c6, 1", va | 7)),
        ("DTLBIASID", |_| mcr!("p15, 0, {}, c8, c6, 2", 7)),
        ("ITLBIALL", |_| mcr!("p15, 0, {}, c8, c5, 0", 0)),
        ("ITLBIMVA", |va| mcr!("p15, 0, {}, c8, c5, 1", va | 7)),
        ("ITLBIASID", |_| mcr!("p15, 0, {}, c8, c5, 2", 7)),
    ];
    set_asid(7);
    for (name, operation) in operations {
        for (kind, bits) in [("global", 0), ("asid", short::P_NG)] {
            // TLBIASID need not drop global translations.
            if bits == 0 && name.contains("ASID") {
                continue;
            }
            let data = !name.starts_with('I');
            let page = |n: u32| (MEMORY + (n << 12)) | short::PAGE | bits;
            short::set_second(TABLE, PAGES, page(1));
            let enter = Probe::new(snippet!(arm, "blx r0")).r(0, PAGES);
            let read = Probe::new(snippet!(arm, "ldr r1, [r0]")).r(0, PAGES + 4);
            if data {
                let before = read.run().r(1);
                store_second(PAGES, page(2));
                operation(PAGES);
                println!("{name} {kind}: {before:08x} then {:08x}", read.run().r(1));
            } else {
                let before = enter.run();
                store_second(PAGES, page(2) | short::SMALL_XN);
                operation(PAGES);
                println!("{name} {kind}: {before} then {}", enter.run());
            }
        }
    }
    // A section or large page goes by any address in it.
    for (name, operation) in operations
        .into_iter()
        .filter(|(name, _)| name.contains("MVA") && !name.starts_with('I'))
    {
        short::set_first(WINDOW, MEMORY | short::FULL);
        let read = Probe::new(snippet!(arm, "ldr r1, [r0]")).r(0, WINDOW + 0x5_3004);
        let before = read.run().r(1);
        mmio::write32(
            short::first(0) + (WINDOW >> 20) * 4,
            (MEMORY + 0x10_0000) | short::FULL,
        );
        operation(WINDOW + 0xf_e000);
        println!("{name} section: {before:08x} then {:08x}", read.run().r(1));
    }
    // A translation that faulted is not remembered.
    short::set_second(TABLE, PAGES, 0);
    let read = Probe::new(snippet!(arm, "ldr r1, [r0]")).r(0, PAGES + 4);
    let before = read.run();
    store_second(PAGES, MEMORY | short::PAGE);
    println!("fault, then a page: {before}, {:08x}", read.run().r(1));
    set_asid(0);
}

fn externals() {
    map_pages();
    short::set_first(WINDOW, 0x0b00_0000 | short::FULL);
    rights(format_args!("nothing there, section"), WINDOW);
    short::set_second(TABLE, PAGES, 0x0b00_0000 | short::PAGE);
    rights(format_args!("nothing there, page"), PAGES);
    // A table that is not in memory.
    short::set_first(PAGES, 0x0b00_0000 | short::TABLE | short::domain(2));
    rights(format_args!("second-level table is nowhere"), PAGES);
    // A first-level table that is not in memory, for the addresses of TTBR1.
    set_ttbcr(1);
    let before = mrc!("p15, 0, {}, c2, c0, 1");
    mcr!("p15, 0, {}, c2, c0, 1", 0x0b00_0000);
    guest_support::cp15::tlbiall();
    rights(format_args!("first-level table is nowhere"), 0x9000_0000);
    mcr!("p15, 0, {}, c2, c0, 1", before);
    set_ttbcr(0);
    // A supersection beyond 4 GiB.
    for i in 0..16u32 {
        short::set_first(
            WINDOW + 0x0100_0000 + (i << 20),
            0x4200_0000 | short::FULL | short::SUPERSECTION | 1 << 20,
        );
    }
    load(
        format_args!("supersection beyond 4 GiB"),
        WINDOW + 0x0100_0000,
    );
    for i in 0..16u32 {
        short::set_first(
            WINDOW + 0x0100_0000 + (i << 20),
            0x4200_0000 | short::FULL | short::SUPERSECTION | 1 << 5,
        );
    }
    load(
        format_args!("supersection beyond 64 GiB"),
        WINDOW + 0x0100_0000,
    );
}

fn fetches() {
    map_pages();
    // A Thumb instruction of which the second half is missing.
    short::set_second(TABLE, PAGES, MEMORY | short::PAGE);
    short::set_second(TABLE, PAGES + 0x1000, 0);
    let end = MEMORY + 0xffe;
    let before = mmio::read16(end);
    // MOVW r0, #imm.
    mmio::write16(end, 0xf240);
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    let none = snippet!(thumb, "nop");
    let run = |m| Probe::new(none).pc(PAGES + 0xffe).mode(m).run();
    println!("second half missing: {}", run(mode::SVC).details());
    println!("second half missing, usr: {}", run(mode::USR).details());
    short::set_second(
        TABLE,
        PAGES + 0x1000,
        (MEMORY + 0x1000) | short::PAGE | short::SMALL_XN,
    );
    println!("second half not executable: {}", run(mode::SVC).details());
    short::set_second(TABLE, PAGES, 0);
    println!("first half missing: {}", run(mode::SVC).details());
    // Running off the end of a page.
    short::set_second(TABLE, PAGES, MEMORY | short::PAGE);
    mmio::write16(end, 0xbf00);
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    println!("off the end, t32: {}", run(mode::SVC).details());
    mmio::write16(end, before);
    mmio::write32(MEMORY + 0xffc, 0xe1a0_0000);
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    let none = snippet!(arm, "nop");
    println!(
        "off the end, a32: {}",
        Probe::new(none).pc(PAGES + 0xffc).run().details()
    );
    let bx = snippet!(arm, "bx r0");
    short::set_first(WINDOW, 0);
    println!(
        "bx to nowhere, a32: {}",
        Probe::new(bx).r(0, WINDOW + 0x124).run().details()
    );
    println!(
        "bx to nowhere, t32: {}",
        Probe::new(bx).r(0, WINDOW + 0x127).run().details()
    );
    println!(
        "bx to nowhere, t32 in usr: {}",
        Probe::new(bx)
            .mode(mode::USR)
            .r(0, WINDOW + 0x127)
            .run()
            .details()
    );
}

/// An address translation operation and PAR, by a probe: it may abort.
fn ats(operation: u32, va: u32) -> Outcome {
    let snippet = match operation {
        0 => snippet!(
            arm,
            "mcr p15, 0, r0, c7, c8, 0\n isb\n mrc p15, 0, r1, c7, c4, 0"
        ),
        1 => snippet!(
            arm,
            "mcr p15, 0, r0, c7, c8, 1\n isb\n mrc p15, 0, r1, c7, c4, 0"
        ),
        2 => snippet!(
            arm,
            "mcr p15, 0, r0, c7, c8, 2\n isb\n mrc p15, 0, r1, c7, c4, 0"
        ),
        _ => snippet!(
            arm,
            "mcr p15, 0, r0, c7, c8, 3\n isb\n mrc p15, 0, r1, c7, c4, 0"
        ),
    };
    Probe::new(snippet).r(0, va).run()
}

/// PAR without the memory attributes.
fn translate(label: &str, va: u32) {
    for (operation, name) in ["ats1cpr", "ats1cpw", "ats1cur", "ats1cuw"]
        .into_iter()
        .enumerate()
    {
        let outcome = ats(operation as u32, va);
        let par = outcome.r(1);
        if !outcome.ended {
            println!("{name} {label}: {outcome}");
        } else if par & 1 != 0 {
            println!("{name} {label}: fault {par:x}");
        } else {
            println!(
                "{name} {label}: {:08x} ss={}",
                par & 0xffff_f000,
                par >> 1 & 1
            );
        }
    }
}

fn operations() {
    map_pages();
    for ap in [1, 2, 3, 5, 7] {
        short::set_first(
            WINDOW,
            MEMORY | short::SECTION | short::s_ap(ap) | short::NORMAL,
        );
        println!("ap={ap}");
        translate("section", WINDOW + 0x1_2345);
    }
    short::set_second(TABLE, PAGES, (MEMORY + 0x5000) | short::PAGE);
    short::set_second(TABLE, PAGES + 0x1000, 0);
    translate("page", PAGES + 0x678);
    translate("no page", PAGES + 0x1678);
    short::set_first(WINDOW, 0);
    translate("no section", WINDOW);
    for i in 0..16u32 {
        short::set_first(
            WINDOW + 0x0100_0000 + (i << 20),
            0x4200_0000 | short::FULL | short::SUPERSECTION | 3 << 20 | 2 << 5,
        );
    }
    translate("supersection", WINDOW + 0x0112_3456);
    set_dacr(1);
    short::set_first(WINDOW, MEMORY | short::FULL | short::domain(1));
    translate("domain, section", WINDOW);
    short::set_first(
        PAGES,
        short::second(TABLE) | short::TABLE | short::domain(1),
    );
    translate("domain, page", PAGES);
    set_dacr(0x5555_5555);
    with_sctlr(sctlr::AFE, || {
        short::set_first(WINDOW, MEMORY | short::SECTION | short::s_ap(2));
        translate("access flag", WINDOW);
    });
    short::set_first(PAGES, 0x0b00_0000 | short::TABLE);
    translate("table is nowhere", PAGES);
    // PAR can be written.
    mcr!("p15, 0, {}, c7, c4, 0", 0x1234_5000);
    println!("par written: {:08x}", mrc!("p15, 0, {}, c7, c4, 0"));
    map_pages();
    // Without translation.
    mmu::off();
    translate("no translation", 0x4567_8123);
    short::on(0);
    // Attributes by TEX, C, B and S, C:B from left to right.
    for tex in 0..8 {
        for s in [0, short::S_S] {
            print!("par attributes tex={tex:03b} s={}:", s >> 16);
            for cb in 0..4 {
                let tex_cb = short::s_tex(tex << 2 | cb);
                short::set_first(
                    WINDOW,
                    MEMORY | short::SECTION | short::s_ap(3) | tex_cb | s,
                );
                print!(" {:03x}", ats(0, WINDOW).r(1) & 0xfff);
            }
            println!();
        }
    }
}

fn remap() {
    let before = (
        mrc!("p15, 0, {}, c10, c2, 0"),
        mrc!("p15, 0, {}, c10, c2, 1"),
    );
    println!("prrr {:08x} nmrr {:08x}", before.0, before.1);
    // Region n: strongly-ordered, device, and normal memory of every cacheability.
    mcr!("p15, 0, {}, c10, c2, 0", 0x00ab_aaa4);
    mcr!("p15, 0, {}, c10, c2, 1", 0xe4e4_1b1b);
    with_sctlr(sctlr::TRE, || {
        guest_support::cp15::tlbiall();
        for s in [0, short::S_S] {
            print!("par attributes remapped s={}:", s >> 16);
            for n in 0..8 {
                short::set_first(
                    WINDOW,
                    MEMORY | short::SECTION | short::s_ap(3) | short::s_tex(n) | s,
                );
                print!(" {:03x}", ats(0, WINDOW).r(1) & 0xfff);
            }
            println!();
        }
        for n in 0..8 {
            // TEX[2:1] are free for software.
            let software = short::s_tex(n | 0x18);
            short::set_first(WINDOW, MEMORY | short::SECTION | short::s_ap(3) | software);
            load(format_args!("remapped {n} with tex[2:1]"), WINDOW + 4);
        }
    });
    mcr!("p15, 0, {}, c10, c2, 0", before.0);
    mcr!("p15, 0, {}, c10, c2, 1", before.1);
    guest_support::cp15::tlbiall();
}

/// SCTLR.EE: descriptors are big-endian. TTBR0 has a table of them meanwhile.
fn big_endian() {
    short::fill();
    map_pages();
    short::set_first(WINDOW, (MEMORY + 0x10_0000) | short::FULL);
    short::set_second(TABLE, PAGES, (MEMORY + 0x3000) | short::PAGE);
    short::set_second(TABLE, PAGES + 0x1000, 0);
    let swap = |address: u32, words: u32| {
        for word in (address..address + 4 * words).step_by(4) {
            mmio::write32(word, mmio::read32(word).swap_bytes());
        }
    };
    mmu::off();
    swap(short::first(0), 4096);
    swap(short::second(TABLE), 256);
    guest_support::cp15::set_sctlr(guest_support::cp15::sctlr() | sctlr::EE);
    guest_support::cp15::set_sctlr(guest_support::cp15::sctlr() | sctlr::M);
    load(format_args!("big-endian tables, section"), WINDOW + 4);
    load(format_args!("big-endian tables, page"), PAGES + 4);
    load(format_args!("big-endian tables, no page"), PAGES + 0x1004);
    mmu::off();
    guest_support::cp15::set_sctlr(guest_support::cp15::sctlr() & !sctlr::EE);
}
