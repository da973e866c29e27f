//! Translation with the long-descriptor format (manual B3.6).

#![no_std]
#![no_main]

use guest_support::cp15::{dsb, sctlr, tlbiall, with_sctlr};
use guest_support::mmu::long::{
    self, AF, AP_READ_ONLY, AP_USER, BLOCK, FULL, NG, PAGE, PXN, TABLE, XN,
};
use guest_support::probe::{Outcome, Probe};
use guest_support::psr::mode;
use guest_support::{board, guest, mcr, mcrr, mmio, mrc, mrrc, print, println, snippet};
use guest_tests::{MEMORY, fill_memory, load, rights};

guest!(main);

/// Tables for the tests: second level for the window, and third level.
const SECOND: usize = 4;
const THIRD: usize = 5;
/// A virtual address whose 2 MiB have the third-level table.
const PAGES: u32 = 0x8020_0000;
/// A virtual address of a block of 2 MiB.
const MEGABYTES: u32 = 0x8000_0000;
const EAE: u32 = 1 << 31;

fn main() {
    fill_memory();
    long::on(0);
    println!("ttbcr {:08x}", mrc!("p15, 0, {}, c2, c0, 2"));
    permissions();
    tables();
    execute_never();
    invalid();
    access_flag();
    sizes();
    write_execute_never();
    split();
    asids();
    maintenance();
    externals();
    fetches();
    operations();
    alignment();
    long::off();
    println!("off again, ttbcr {:08x}", mrc!("p15, 0, {}, c2, c0, 2"));
}

/// Gives the test's addresses tables: `MEGABYTES` a block and `PAGES` a page.
fn map(block: u64, page: u64, table_bits: u64) {
    long::set(0, MEGABYTES >> 30, u64::from(long::table(SECOND)) | TABLE);
    long::set(SECOND, 0, u64::from(MEMORY) | BLOCK | block);
    long::set(
        SECOND,
        1,
        u64::from(long::table(THIRD)) | TABLE | table_bits,
    );
    long::set(THIRD, 0, u64::from(MEMORY) | PAGE | page);
}

const AP: [(u64, &str); 4] = [
    (0, "rw none"),
    (AP_USER, "rw rw"),
    (AP_READ_ONLY, "ro none"),
    (AP_READ_ONLY | AP_USER, "ro ro"),
];

fn permissions() {
    for (ap, name) in AP {
        map(AF | ap, AF | ap, 0);
        rights(format_args!("block {name}"), MEGABYTES);
        rights(format_args!("page {name}"), PAGES);
    }
    // DACR does not matter.
    mcr!("p15, 0, {}, c3, c0, 0", 0);
    rights(format_args!("page with dacr 0"), PAGES);
    mcr!("p15, 0, {}, c3, c0, 0", 0xffff_ffff);
    rights(format_args!("page with dacr of ones"), PAGES);
}

fn tables() {
    // Limits that a table sets hold for all below it.
    for (bits, name) in [
        (long::AP_TABLE_NO_USER, "no user"),
        (long::AP_TABLE_READ_ONLY, "read-only"),
        (
            long::AP_TABLE_NO_USER | long::AP_TABLE_READ_ONLY,
            "no user, read-only",
        ),
        (long::XN_TABLE, "xn"),
        (long::PXN_TABLE, "pxn"),
    ] {
        map(FULL, FULL, bits);
        rights(format_args!("table {name}, page rw rw"), PAGES);
        map(FULL, FULL, 0);
        long::set(
            0,
            MEGABYTES >> 30,
            u64::from(long::table(SECOND)) | TABLE | bits,
        );
        rights(
            format_args!("first-level table {name}, block rw rw"),
            MEGABYTES,
        );
        rights(format_args!("first-level table {name}, page rw rw"), PAGES);
    }
}

fn execute_never() {
    for (bits, name) in [(XN, "xn"), (PXN, "pxn"), (XN | PXN, "xn pxn")] {
        for (ap, ap_name) in AP {
            map(AF | ap | bits, AF | ap | bits, 0);
            rights(format_args!("block {ap_name} {name}"), MEGABYTES);
            rights(format_args!("page {ap_name} {name}"), PAGES);
        }
    }
}

fn invalid() {
    map(FULL, FULL, 0);
    rights(format_args!("no first-level descriptor"), 0xc000_0000);
    rights(
        format_args!("no second-level descriptor"),
        MEGABYTES + 0x40_0000,
    );
    rights(format_args!("no third-level descriptor"), PAGES + 0x1000);
    // The block type does not exist at the third level.
    long::set(THIRD, 2, u64::from(MEMORY) | BLOCK | FULL);
    rights(format_args!("block at the third level"), PAGES + 0x2000);
    long::set(THIRD, 2, !1);
    load(format_args!("invalid descriptor of ones"), PAGES + 0x2000);
}

fn access_flag() {
    map(AP_USER, AP_USER, 0);
    rights(format_args!("block without access flag"), MEGABYTES);
    rights(format_args!("page without access flag"), PAGES);
    long::set(0, 2, u64::from(board::RAM) | BLOCK | AP_USER);
    rights(
        format_args!("gigabyte without access flag"),
        0x8000_0000 + (MEMORY - board::RAM),
    );
    map(AP_READ_ONLY | XN, AP_READ_ONLY | XN, 0);
    rights(format_args!("block without anything"), MEGABYTES);
    with_sctlr(sctlr::AFE, || {
        map(0, FULL, 0);
        rights(format_args!("sctlr.afe, page"), PAGES);
        rights(
            format_args!("sctlr.afe, block without access flag"),
            MEGABYTES,
        );
    });
}

fn sizes() {
    long::set(0, 2, u64::from(board::RAM) | BLOCK | FULL);
    load(
        format_args!("gigabyte"),
        0x8000_0004 + (MEMORY - board::RAM),
    );
    load(
        format_args!("gigabyte, page 0x123"),
        0x8012_3004 + (MEMORY - board::RAM),
    );
    rights(
        format_args!("gigabyte"),
        0x8000_0000 + (MEMORY - board::RAM),
    );
    map(FULL, FULL, 0);
    load(format_args!("block, last page"), MEGABYTES + 0x1f_f004);
    for i in 0..16 {
        // The hint that sixteen entries are contiguous.
        let page = u64::from(MEMORY + (i << 12));
        long::set(THIRD, i, page | PAGE | FULL | 1 << 52);
    }
    load(format_args!("contiguous, page 9"), PAGES + 0x9004);
    long::set(THIRD, 511, u64::from(MEMORY + 0x7000) | PAGE | FULL);
    load(format_args!("last page"), PAGES + 0x1f_f004);
}

fn write_execute_never() {
    long::set(3, 1, 0x4020_0000 | BLOCK | AF | AP_USER | AP_READ_ONLY);
    for (bits, name) in [(sctlr::WXN, "wxn"), (sctlr::UWXN, "uwxn")] {
        with_sctlr(bits, || {
            tlbiall();
            for (ap, ap_name) in AP {
                map(AF | ap, AF | ap, 0);
                rights(format_args!("block {name} {ap_name}"), MEGABYTES);
                rights(format_args!("page {name} {ap_name}"), PAGES);
            }
        });
    }
    long::set(3, 1, 0x4020_0000 | BLOCK | FULL);
}

fn set_ttbcr(value: u32) {
    mcr!("p15, 0, {}, c2, c0, 2", EAE | value);
    tlbiall();
}

/// Table 6 is a second-level table of region 1, and table 7 one of region 0.
fn split() {
    map(FULL, FULL, 0);
    // First-level table 1 for the upper addresses: block n leads to page n of the memory.
    for index in 2..4 {
        long::set(1, index, u64::from(long::table(6)) | TABLE);
        long::set(0, index, u64::from(long::table(7)) | TABLE);
    }
    for index in 0..512 {
        long::set(6, index, u64::from(MEMORY) | BLOCK | FULL);
        long::set(7, index, u64::from(MEMORY + 0x20_0000) | BLOCK | FULL);
    }
    let addresses = [
        0x8000_0004,
        0xbfff_f004,
        0xc000_0004,
        0xe000_0004,
        0xf000_0004,
        0xfe00_0004,
        0xffff_f004,
    ];
    for (t0sz, t1sz) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        // With T1SZ of 2 or more the walk by TTBR1 begins at the second level.
        let base = if t1sz >= 2 {
            long::table(6)
        } else {
            long::table(1)
        };
        mcrr!("p15, 1, {}, {}, c2", u64::from(base));
        for index in 0..2 {
            let descriptor = if t1sz == 1 {
                long::table(6)
            } else {
                long::table(2 + index as usize)
            };
            long::set(1, index, u64::from(descriptor) | TABLE);
        }
        set_ttbcr(t1sz << 16 | t0sz);
        println!(
            "t0sz={t0sz} t1sz={t1sz} ttbcr {:08x}",
            mrc!("p15, 0, {}, c2, c0, 2")
        );
        for va in addresses {
            load(format_args!("t0sz={t0sz} t1sz={t1sz} {va:08x}"), va);
        }
    }
    // Smaller regions for TTBR1, and a gap.
    mcrr!("p15, 1, {}, {}, c2", u64::from(long::table(6)));
    for (t0sz, t1sz) in [(1, 3), (1, 4), (1, 7)] {
        set_ttbcr(t1sz << 16 | t0sz);
        for va in addresses {
            load(format_args!("t0sz={t0sz} t1sz={t1sz} {va:08x}"), va);
        }
    }
    rights(format_args!("in the gap"), 0xc000_0000);
    // No walks.
    set_ttbcr(1 | 2 << 16 | 1 << 23);
    rights(format_args!("epd1"), 0xe000_0000);
    set_ttbcr(0);
    println!("every bit of ttbcr: {:08x}", every_bit());
    println!(
        "ttbr0 {:016x}",
        mrrc!("p15, 0, {}, {}, c2") & 0xff00_0000_0000_0fff
    );
    mcrr!("p15, 1, {}, {}, c2", 0xffff_ffff_ffff_fff8);
    println!("ttbr1 of ones {:016x}", mrrc!("p15, 1, {}, {}, c2"));
    println!("ttbr1 as 32 bits {:08x}", mrc!("p15, 0, {}, c2, c0, 1"));
    mcr!("p15, 0, {}, c2, c0, 1", 0x1234_4000);
    println!(
        "ttbr1 after 32 bits written {:016x}",
        mrrc!("p15, 1, {}, {}, c2")
    );
    mcrr!("p15, 1, {}, {}, c2", u64::from(long::table(1)));
}

/// What stays of ones written to TTBCR but T0SZ and EPD0, without which nothing runs.
fn every_bit() -> u32 {
    set_ttbcr(0x7fff_ff78 & !(1 << 22) & !(1 << 7));
    let value = mrc!("p15, 0, {}, c2, c0, 2");
    set_ttbcr(0);
    value
}

/// Sets a third-level descriptor but leaves what the TLB remembers.
fn store_third(index: u32, descriptor: u64) {
    let address = long::table(THIRD) + 8 * index;
    mmio::write32(address + 4, (descriptor >> 32) as u32);
    mmio::write32(address, descriptor as u32);
    dsb();
}

fn page(n: u32) -> u64 {
    u64::from(MEMORY + (n << 12)) | PAGE | FULL
}

fn asids() {
    map(FULL, FULL, 0);
    let base = u64::from(long::table(0));
    let set = |asid: u64| mcrr!("p15, 0, {}, {}, c2", base | asid << 48);
    set(1);
    long::set(THIRD, 0, page(1) | NG);
    load(format_args!("asid 1"), PAGES + 4);
    set(2);
    store_third(0, page(2) | NG);
    load(format_args!("asid 2"), PAGES + 4);
    // The ASID is not CONTEXTIDR's in this format.
    mcr!("p15, 0, {}, c13, c0, 1", 0xabcd_ef01);
    load(format_args!("asid 2 with contextidr 1"), PAGES + 4);
    println!("contextidr {:08x}", mrc!("p15, 0, {}, c13, c0, 1"));
    // TTBCR.A1 takes TTBR1's.
    mcrr!("p15, 1, {}, {}, c2", u64::from(long::table(1)) | 9 << 48);
    set_ttbcr(1 << 22);
    long::set(THIRD, 0, page(3) | NG);
    load(format_args!("asid of ttbr1"), PAGES + 4);
    set_ttbcr(0);
    mcrr!("p15, 1, {}, {}, c2", u64::from(long::table(1)));
    mcr!("p15, 0, {}, c13, c0, 1", 0);
    set(0);
}

fn maintenance() {
    map(FULL, FULL, 0);
    mcrr!("p15, 0, {}, {}, c2", u64::from(long::table(0)) | 7 << 48);
    type Operation = (&'static str, fn(u32));
    let operations: [Operation; 8] = [
        ("TLBIALL", |_| mcr!("p15, 0, {}, c8, c7, 0", 0)),
        ("TLBIMVA", |va| mcr!("p15, 0, {}, c8, c7, 1", va | 7)),
        ("TLBIASID", |_| mcr!("p15, 0, {}, c8, c7, 2", 7)),
        ("TLBIMVAA", |va| mcr!("p15, 0, {}, c8, c7, 3", va)),
        ("TLBIALLIS", |_| mcr!("p15, 0, {}, c8, c3, 0", 0)),
        ("TLBIMVAIS", |va| mcr!("p15, 0, {}, c8, c3, 1", va | 7)),
        ("TLBIASIDIS", |_| mcr!("p15, 0, {}, c8, c3, 2", 7)),
        ("TLBIMVAAIS", |va| mcr!("p15, 0, {}, c8, c3, 3", va)),
    ];
    let read = Probe::new(snippet!(arm, "ldr r1, [r0]"));
    for (name, operation) in operations {
        for (kind, bits) in [("global", 0), ("asid", NG)] {
            if bits == 0 && name.contains("ASID") {
                continue;
            }
            long::set(THIRD, 0, page(1) | bits);
            let before = read.r(0, PAGES + 4).run().r(1);
            store_third(0, page(2) | bits);
            operation(PAGES);
            println!(
                "{name} {kind}: {before:08x} then {:08x}",
                read.r(0, PAGES + 4).run().r(1)
            );
        }
        if name.contains("MVA") {
            // Any address of a block names it.
            long::set(SECOND, 0, u64::from(MEMORY) | BLOCK | FULL);
            let before = read.r(0, MEGABYTES + 0x4004).run().r(1);
            mmio::write32(
                long::table(SECOND),
                ((MEMORY + 0x20_0000) as u64 | BLOCK | FULL) as u32,
            );
            dsb();
            operation(MEGABYTES + 0x1f_0000);
            println!(
                "{name} block: {before:08x} then {:08x}",
                read.r(0, MEGABYTES + 0x4004).run().r(1)
            );
        }
    }
    mcrr!("p15, 0, {}, {}, c2", u64::from(long::table(0)));
}

fn externals() {
    map(FULL, FULL, 0);
    let nothing = u64::from(board::NOTHING);
    long::set(THIRD, 0, nothing | PAGE | FULL);
    rights(format_args!("nothing there"), PAGES);
    long::set(THIRD, 0, 0x10_0000_0000 | PAGE | FULL);
    rights(format_args!("beyond 64 GiB"), PAGES);
    long::set(SECOND, 1, nothing | TABLE);
    rights(format_args!("third-level table is nowhere"), PAGES);
    long::set(0, 3, nothing | TABLE);
    rights(format_args!("second-level table is nowhere"), 0xc000_0000);
    long::set(0, 3, 0);
    mcrr!("p15, 1, {}, {}, c2", nothing);
    set_ttbcr(1 | 1 << 16);
    rights(format_args!("first-level table is nowhere"), 0xc000_0000);
    set_ttbcr(0);
    mcrr!("p15, 1, {}, {}, c2", u64::from(long::table(1)));
}

fn fetches() {
    map(FULL, FULL, 0);
    long::set(THIRD, 1, 0);
    let end = MEMORY + 0xffe;
    mmio::write16(end, 0xf240);
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    let none = snippet!(thumb, "nop");
    let run = |m| Probe::new(none).pc(PAGES + 0xffe).mode(m).run();
    println!("second half missing: {}", run(mode::SVC).details());
    println!("second half missing, usr: {}", run(mode::USR).details());
    mmio::write16(end, 0);
    let bx = snippet!(arm, "bx r0");
    println!(
        "bx to nowhere: {}",
        Probe::new(bx).r(0, 0xc000_0124).run().details()
    );
    println!(
        "bkpt: {}",
        Probe::new(snippet!(arm, "bkpt #3")).run().details()
    );
}

/// An address translation operation and PAR, by a probe: it may abort.
fn ats(operation: u32, va: u32) -> Outcome {
    let snippet = match operation {
        0 => snippet!(
            arm,
            "mcr p15, 0, r0, c7, c8, 0\n isb\n mrrc p15, 0, r1, r2, c7"
        ),
        1 => snippet!(
            arm,
            "mcr p15, 0, r0, c7, c8, 1\n isb\n mrrc p15, 0, r1, r2, c7"
        ),
        2 => snippet!(
            arm,
            "mcr p15, 0, r0, c7, c8, 2\n isb\n mrrc p15, 0, r1, r2, c7"
        ),
        _ => snippet!(
            arm,
            "mcr p15, 0, r0, c7, c8, 3\n isb\n mrrc p15, 0, r1, r2, c7"
        ),
    };
    Probe::new(snippet).r(0, va).run()
}

fn translate(label: core::fmt::Arguments, va: u32) {
    print!("ats {label}:");
    for (operation, name) in ["pr", "pw", "ur", "uw"].into_iter().enumerate() {
        let outcome = ats(operation as u32, va);
        if outcome.ended {
            print!(
                " {name}={:016x}",
                u64::from(outcome.r(2)) << 32 | u64::from(outcome.r(1))
            );
        } else {
            print!(" {name}: {outcome}");
        }
    }
    println!();
}

fn operations() {
    for (ap, name) in AP {
        map(AF | ap, AF | ap, 0);
        translate(format_args!("block {name}"), MEGABYTES + 0x1_2345);
        translate(format_args!("page {name}"), PAGES + 0x345);
    }
    translate(format_args!("no first level"), 0xc000_0000);
    translate(format_args!("no second level"), MEGABYTES + 0x40_0000);
    translate(format_args!("no third level"), PAGES + 0x3000);
    map(0, 0, 0);
    translate(format_args!("block without access flag"), MEGABYTES);
    translate(format_args!("page without access flag"), PAGES);
    // Attributes and shareability.
    for index in 0..4 {
        for sh in 0..4 {
            map(FULL, FULL | long::attr(index) | sh << 8, 0);
            translate(format_args!("attribute {index} shareability {sh}"), PAGES);
        }
    }
    long::set(SECOND, 1, u64::from(board::NOTHING) | TABLE);
    translate(format_args!("table is nowhere"), PAGES);
    long::set(0, 2, 0x12_4000_0000 | BLOCK | FULL);
    translate(format_args!("gigabyte beyond 64 GiB"), 0x8123_4567);
    mcrr!("p15, 0, {}, {}, c7", 0x0123_4567_89ab_cdef);
    println!("par written {:016x}", mrrc!("p15, 0, {}, {}, c7"));
}

fn alignment() {
    map(FULL, FULL, 0);
    with_sctlr(sctlr::A, || {
        for (name, snippet) in [
            ("ldr", snippet!(arm, "ldr r1, [r0]")),
            ("str", snippet!(arm, "str r1, [r0]")),
            ("ldm", snippet!(arm, "ldm r0, {{r1, r2}}")),
        ] {
            println!(
                "unaligned {name}: {}",
                Probe::new(snippet).r(0, PAGES + 0x11).run()
            );
            // Alignment comes first.
            println!(
                "unaligned {name}, no page: {}",
                Probe::new(snippet).r(0, PAGES + 0x1011).run()
            );
        }
    });
    let ldrex = snippet!(arm, "ldrex r1, [r0]");
    println!(
        "unaligned ldrex: {}",
        Probe::new(ldrex).r(0, PAGES + 2).run()
    );
}
