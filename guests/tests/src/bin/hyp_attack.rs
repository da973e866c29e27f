//! A guest that does what no guest should: reaches for memory and registers that are not its own,
//! calls what does not exist, jumps into nothing. Each attempt must end in an exception of this guest
//! or do nothing. In the end it restarts its machine, whose memory must be clean then.

#![no_std]
#![no_main]

use guest_support::probe::{Probe, a32};
use guest_support::psr::mode;
use guest_support::{board, gic, guest, mcr, mmio, print, println, psci, snippet};

guest!(main);

/// Where a run leaves a mark for the next.
const MARK: u32 = board::FREE + 0x10_0000;

fn main() {
    println!("attack begins; mark {:08x}", mmio::read32(MARK));
    mmio::write32(MARK, 0x600d_cafe);
    memory();
    calls();
    registers();
    maintenance();
    jumps();
    modes();
    tables();
    storms();
    println!("attack over");
    psci::call(psci::function::SYSTEM_RESET, 0, 0, 0);
}

/// Addresses where this guest has nothing: below, between and behind its devices and memory, and
/// where the hypervisor and the board have something.
const FOREIGN: [u32; 14] = [
    0,
    0x07ff_fffc,
    0x0802_0000,
    0x0803_0000,
    0x0804_0000,
    0x0805_0000,
    0x0900_1000,
    0x0a00_0000,
    0x3fff_fffc,
    0x7fff_fffc,
    0xbfff_0000,
    0xf000_0000,
    0xf020_0000,
    0xffff_fffc,
];

fn memory() {
    let accesses = [
        ("ldr", snippet!(arm, "ldr r1, [r0]")),
        ("str", snippet!(arm, "str r1, [r0]")),
        ("ldm", snippet!(arm, "ldm r0, {{r1, r2}}")),
        ("ldrex", snippet!(arm, "ldrex r1, [r0]")),
        ("strb post", snippet!(thumb, "strb r1, [r0], #1")),
    ];
    for address in FOREIGN {
        print!("{address:08x}:");
        for (name, snippet) in accesses {
            let outcome = Probe::new(snippet).r(0, address).run();
            print!(" {name} {outcome};");
        }
        println!();
    }
    for (name, snippet) in [
        ("ldrex", snippet!(arm, "ldrex r1, [r0]")),
        ("strex", snippet!(arm, "strex r1, r2, [r0]")),
        ("unaligned", snippet!(arm, "ldr r1, [r0, #1]")),
    ] {
        println!(
            "distributor {name}: {}",
            Probe::new(snippet).r(0, board::GICD).run()
        );
    }
}

fn calls() {
    for function in [
        0,
        1,
        0x8400_00ff,
        0x8600_0001,
        0x8600_ffff,
        0xc600_0000,
        u32::MAX,
    ] {
        println!("hvc {function:08x}: {}", psci::call(function, !0, !0, !0));
    }
    println!("hvc nothing: {}", psci::call(0x8600_0000, 1, 2, 3));
    println!(
        "cpu on: {}",
        psci::call(psci::function::CPU_ON, 1, u32::MAX & !3, 0)
    );
    println!(
        "cpu on: {}",
        psci::call(psci::function::CPU_ON, u32::MAX, 0, 0)
    );
    for (name, snippet) in [
        ("hvc #65535", snippet!(arm, "hvc #65535")),
        ("t32 hvc", snippet!(thumb, "hvc #3")),
        ("smc", snippet!(arm, ".arch_extension sec", "smc #0")),
        ("t32 smc", snippet!(thumb, ".arch_extension sec", "smc #9")),
    ] {
        println!("{name}: {}", Probe::new(snippet).run());
    }
    println!(
        "user hvc: {}",
        Probe::new(snippet!(arm, "hvc #0")).mode(mode::USR).run()
    );
}

/// Every MRC and MCR of the system control and the debug coprocessor with each opc1, CRn and CRm,
/// but for what the guest itself stands on: how many are undefined, end, or end otherwise.
fn registers() {
    for coprocessor in [14, 15] {
        for read in [true, false] {
            let (mut undefined, mut ended, mut other) = (0, 0, 0);
            for place in 0..0x4000u32 {
                let (opc1, crn, crm, opc2) =
                    (place >> 11 & 7, place >> 7 & 15, place >> 3 & 15, place & 7);
                // Translation, control, vectors, thread registers; waiting; timers that would fire.
                let vital = coprocessor == 15
                    && (matches!(crn, 1 | 2 | 3 | 12 | 13 | 14) || (crn == 7 && crm == 0));
                if !read && vital {
                    continue;
                }
                let word = 0xee00_0010
                    | opc1 << 21
                    | u32::from(read) << 20
                    | crn << 16
                    | coprocessor << 8
                    | opc2 << 5
                    | crm;
                let outcome = Probe::new(a32(&[word])).run();
                if outcome.ended {
                    ended += 1;
                } else if outcome.area.vector == 1 {
                    undefined += 1;
                } else {
                    other += 1;
                }
            }
            println!(
                "p{coprocessor} {}: {} {ended} {undefined} {other}",
                if read { "mrc" } else { "mcr" },
                ended + undefined + other,
            );
        }
    }
}

fn maintenance() {
    for (name, snippet) in [
        ("dcisw", snippet!(arm, "mcr p15, 0, r0, c7, c6, 2")),
        ("dccsw", snippet!(arm, "mcr p15, 0, r0, c7, c10, 2")),
        ("dccisw", snippet!(arm, "mcr p15, 0, r0, c7, c14, 2")),
        ("dccimvac", snippet!(arm, "mcr p15, 0, r0, c7, c14, 1")),
    ] {
        for r0 in [0, 0xffff_ffe0] {
            println!("{name} {r0:x}: {}", Probe::new(snippet).r(0, r0).run());
        }
    }
    let mark = mmio::read32(MARK);
    println!("memory is as it was: {}", mark == 0x600d_cafe);
}

fn jumps() {
    let bx = snippet!(arm, "bx r0");
    for address in FOREIGN {
        for thumb in [0, 1] {
            let outcome = Probe::new(bx).r(0, address & !3 | thumb).run();
            print!(
                " {:x}:{}:{:x}",
                address & !3 | thumb,
                outcome.area.vector,
                outcome.ifsr
            );
        }
    }
    println!();
}

fn modes() {
    let set = snippet!(arm, "msr cpsr_c, r0\n mrs r1, cpsr");
    for m in [0x1a, 0x16, 0x1c, 0x00] {
        let outcome = Probe::new(set).r(0, 0x1c0 | m).run();
        println!("mode {m:02x}: {} {:x}", outcome.ended, outcome.r(1) & 0x1f);
    }
    for (name, snippet) in [
        ("eret", snippet!(arm, "eret")),
        ("elr_hyp", snippet!(arm, "mrs r0, elr_hyp")),
        ("sp_hyp", snippet!(arm, "msr sp_hyp, r0")),
        ("hcr", snippet!(arm, "mrc p15, 4, r0, c1, c1, 0")),
        ("vttbr", snippet!(arm, "mcrr p15, 6, r0, r1, c2")),
        ("cntvoff", snippet!(arm, "mcrr p15, 4, r0, r1, c14")),
        ("cntp", snippet!(arm, "mrc p15, 0, r0, c14, c2, 1")),
    ] {
        let outcome = Probe::new(snippet).run();
        println!("{name}: {}", outcome.area.vector);
    }
}

/// Translation tables where there is no memory.
fn tables() {
    for table in [0, 0x0804_0000, 0xf000_0000] {
        mcr!("p15, 0, {}, c2, c0, 2", 0);
        let walk = snippet!(
            arm,
            "mcr p15, 0, r0, c2, c0, 0\n isb\n mcr p15, 0, r0, c8, c7, 0\n dsb\n isb\n mcr p15, 0, r1, c7, c8, 0\n isb\n mrc p15, 0, r2, c7, c4, 0"
        );
        let outcome = Probe::new(walk).r(0, table).run();
        println!("table {table:08x}: {}", outcome.area.vector);
    }
}

/// Interrupts without end, and nonsense in the distributor and the CPU interface.
fn storms() {
    let mut random = 1u32;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random
    };
    for _ in 0..2000 {
        let (place, value) = (next(), next());
        let address = if place & 1 << 31 != 0 {
            board::GICC + (place & 0xfc)
        } else {
            board::GICD + (place & 0xffc)
        };
        if place & 1 << 30 != 0 {
            let _ = mmio::read32(address);
        } else {
            mmio::write32(address, value);
        }
    }
    for n in 0..2000 {
        gic::set_d(gic::gicd::SGIR, 2 << 24 | n & 15);
    }
    println!("interrupts: done");
}
