//! The system control coprocessor and the debug coprocessor: which registers there are, what they
//! say, and which of their bits can be written (manual B3.17, B4, C11).

#![no_std]
#![no_main]

use guest_support::probe::{Outcome, Probe, a32};
use guest_support::psr::mode;
use guest_support::{guest, print, println};

guest!(main);

fn main() {
    identification();
    for coprocessor in [15, 14] {
        map(coprocessor, false, mode::SVC);
        map(coprocessor, false, mode::USR);
        map(coprocessor, true, mode::SVC);
        map(coprocessor, true, mode::USR);
    }
    doubles();
    fields();
    performance();
    debug();
    other_coprocessors();
}

#[derive(Clone, Copy)]
struct Register {
    coprocessor: u32,
    opc1: u32,
    crn: u32,
    crm: u32,
    opc2: u32,
}

const fn p15(opc1: u32, crn: u32, crm: u32, opc2: u32) -> Register {
    Register {
        coprocessor: 15,
        opc1,
        crn,
        crm,
        opc2,
    }
}

impl Register {
    /// MRC or MCR with r0.
    fn instruction(self, read: bool) -> u32 {
        0xee00_0010
            | self.opc1 << 21
            | u32::from(read) << 20
            | self.crn << 16
            | self.coprocessor << 8
            | self.opc2 << 5
            | self.crm
    }

    fn read(self, m: u32) -> Outcome {
        Probe::new(a32(&[self.instruction(true)])).mode(m).run()
    }

    fn write(self, m: u32, value: u32) -> Outcome {
        Probe::new(a32(&[self.instruction(false)]))
            .mode(m)
            .r(0, value)
            .run()
    }

    /// Must not be written at random: what the guest itself stands on, and what waits.
    fn is_vital(self) -> bool {
        match (self.coprocessor, self.crn, self.crm) {
            // SCTLR and ACTLR, translation, VBAR, thread registers that the vectors use.
            (15, 1 | 2 | 3 | 12, _) => true,
            (15, 13, _) => self.opc2 >= 2,
            // Waits for an interrupt.
            (15, 7, 0) => true,
            _ => false,
        }
    }
}

/// Which encodings exist for MRC or MCR in a mode: a line for each CRn and CRm that has any, and for
/// each opc1 a mask of values of opc2.
fn map(coprocessor: u32, write: bool, m: u32) {
    let name = if m == mode::USR { "usr" } else { "svc" };
    let what = if write { "mcr" } else { "mrc" };
    for crn in 0..16 {
        for crm in 0..16 {
            let mut any = false;
            for opc1 in 0..8 {
                let mut mask = 0u32;
                for opc2 in 0..8 {
                    let register = Register {
                        coprocessor,
                        opc1,
                        crn,
                        crm,
                        opc2,
                    };
                    if write && register.is_vital() {
                        continue;
                    }
                    let outcome = if write {
                        // What it holds, so that nothing changes.
                        let held = register.read(m);
                        register.write(m, if held.ended { held.r(0) } else { 0 })
                    } else {
                        register.read(m)
                    };
                    mask |= u32::from(outcome.ended) << opc2;
                }
                if mask != 0 {
                    if !any {
                        print!("{what} p{coprocessor} {name} c{crn} c{crm}:");
                        any = true;
                    }
                    print!(" {opc1}:{mask:02x}");
                }
            }
            if any {
                println!();
            } else if coprocessor == 14 && crn == 0 && crm < 8 {
                println!("{what} p14 {name} c{crn} c{crm}: none");
            }
        }
    }
}

fn identification() {
    let registers = [
        ("midr", p15(0, 0, 0, 0)),
        ("ctr", p15(0, 0, 0, 1)),
        ("tcmtr", p15(0, 0, 0, 2)),
        ("tlbtr", p15(0, 0, 0, 3)),
        ("midr alias", p15(0, 0, 0, 4)),
        ("mpidr", p15(0, 0, 0, 5)),
        ("revidr", p15(0, 0, 0, 6)),
        ("midr alias", p15(0, 0, 0, 7)),
        ("id_pfr0", p15(0, 0, 1, 0)),
        ("id_pfr1", p15(0, 0, 1, 1)),
        ("id_dfr0", p15(0, 0, 1, 2)),
        ("id_afr0", p15(0, 0, 1, 3)),
        ("id_mmfr0", p15(0, 0, 1, 4)),
        ("id_mmfr1", p15(0, 0, 1, 5)),
        ("id_mmfr2", p15(0, 0, 1, 6)),
        ("id_mmfr3", p15(0, 0, 1, 7)),
        ("id_isar0", p15(0, 0, 2, 0)),
        ("id_isar1", p15(0, 0, 2, 1)),
        ("id_isar2", p15(0, 0, 2, 2)),
        ("id_isar3", p15(0, 0, 2, 3)),
        ("id_isar4", p15(0, 0, 2, 4)),
        ("id_isar5", p15(0, 0, 2, 5)),
        ("clidr", p15(1, 0, 0, 1)),
        ("aidr", p15(1, 0, 0, 7)),
        ("csselr", p15(2, 0, 0, 0)),
        ("sctlr", p15(0, 1, 0, 0)),
        ("actlr", p15(0, 1, 0, 1)),
        ("cpacr", p15(0, 1, 0, 2)),
        ("ttbr0", p15(0, 2, 0, 0)),
        ("ttbr1", p15(0, 2, 0, 1)),
        ("ttbcr", p15(0, 2, 0, 2)),
        ("dacr", p15(0, 3, 0, 0)),
        ("dfsr", p15(0, 5, 0, 0)),
        ("ifsr", p15(0, 5, 0, 1)),
        ("adfsr", p15(0, 5, 1, 0)),
        ("aifsr", p15(0, 5, 1, 1)),
        ("dfar", p15(0, 6, 0, 0)),
        ("ifar", p15(0, 6, 0, 2)),
        ("par", p15(0, 7, 4, 0)),
        ("pmcr", p15(0, 9, 12, 0)),
        ("pmcntenset", p15(0, 9, 12, 1)),
        ("pmovsr", p15(0, 9, 12, 3)),
        ("pmselr", p15(0, 9, 12, 5)),
        ("pmceid0", p15(0, 9, 12, 6)),
        ("pmceid1", p15(0, 9, 12, 7)),
        ("pmuserenr", p15(0, 9, 14, 0)),
        ("pmintenset", p15(0, 9, 14, 1)),
        ("l2ctlr", p15(1, 9, 0, 2)),
        ("l2ectlr", p15(1, 9, 0, 3)),
        ("prrr", p15(0, 10, 2, 0)),
        ("nmrr", p15(0, 10, 2, 1)),
        ("amair0", p15(0, 10, 3, 0)),
        ("amair1", p15(0, 10, 3, 1)),
        ("isr", p15(0, 12, 1, 0)),
        ("fcseidr", p15(0, 13, 0, 0)),
        ("contextidr", p15(0, 13, 0, 1)),
        ("cntfrq", p15(0, 14, 0, 0)),
        ("cntkctl", p15(0, 14, 1, 0)),
        ("cbar", p15(4, 15, 0, 0)),
    ];
    for (name, register) in registers {
        let outcome = register.read(mode::SVC);
        println!("{name}: {outcome} {:08x}", outcome.r(0));
    }
    for select in 0..16 {
        p15(2, 0, 0, 0).write(mode::SVC, select);
        println!(
            "csselr {select} {:08x} ccsidr {:08x}",
            p15(2, 0, 0, 0).read(mode::SVC).r(0),
            p15(1, 0, 0, 0).read(mode::SVC).r(0)
        );
    }
    p15(2, 0, 0, 0).write(mode::SVC, 0);
}

/// MRRC and MCRR.
fn doubles() {
    for coprocessor in [14u32, 15] {
        for opc1 in 0..16u32 {
            for crm in 0..16u32 {
                for (read, m, name) in [
                    (true, mode::SVC, "mrrc svc"),
                    (true, mode::USR, "mrrc usr"),
                    (false, mode::USR, "mcrr usr"),
                ] {
                    let word = 0xec40_0000
                        | u32::from(read) << 20
                        | 1 << 16
                        | coprocessor << 8
                        | opc1 << 4
                        | crm;
                    let outcome = Probe::new(a32(&[word])).mode(m).run();
                    if outcome.ended {
                        println!("{name} p{coprocessor} {opc1} c{crm}");
                    } else if outcome.area.vector != 1 {
                        println!("{name} p{coprocessor} {opc1} c{crm}: {outcome}");
                    }
                }
            }
        }
    }
}

/// Which bits of registers can be written.
fn fields() {
    let registers = [
        ("midr", p15(0, 0, 0, 0)),
        ("csselr", p15(2, 0, 0, 0)),
        ("actlr", p15(0, 1, 0, 1)),
        ("cpacr", p15(0, 1, 0, 2)),
        ("ttbr0", p15(0, 2, 0, 0)),
        ("ttbr1", p15(0, 2, 0, 1)),
        ("dacr", p15(0, 3, 0, 0)),
        ("dfsr", p15(0, 5, 0, 0)),
        ("ifsr", p15(0, 5, 0, 1)),
        ("adfsr", p15(0, 5, 1, 0)),
        ("aifsr", p15(0, 5, 1, 1)),
        ("dfar", p15(0, 6, 0, 0)),
        ("ifar", p15(0, 6, 0, 2)),
        ("par", p15(0, 7, 4, 0)),
        ("pmcntenset", p15(0, 9, 12, 1)),
        ("pmcntenclr", p15(0, 9, 12, 2)),
        ("pmovsr", p15(0, 9, 12, 3)),
        ("pmselr", p15(0, 9, 12, 5)),
        ("pmuserenr", p15(0, 9, 14, 0)),
        ("pmintenset", p15(0, 9, 14, 1)),
        ("pmintenclr", p15(0, 9, 14, 2)),
        ("l2ctlr", p15(1, 9, 0, 2)),
        ("l2ectlr", p15(1, 9, 0, 3)),
        ("prrr", p15(0, 10, 2, 0)),
        ("nmrr", p15(0, 10, 2, 1)),
        ("amair0", p15(0, 10, 3, 0)),
        ("fcseidr", p15(0, 13, 0, 0)),
        ("contextidr", p15(0, 13, 0, 1)),
        ("cntfrq", p15(0, 14, 0, 0)),
        ("cntkctl", p15(0, 14, 1, 0)),
        ("cntp_ctl", p15(0, 14, 2, 1)),
        ("cbar", p15(4, 15, 0, 0)),
    ];
    for (name, register) in registers {
        let before = register.read(mode::SVC).r(0);
        let outcome = register.write(mode::SVC, u32::MAX);
        let ones = register.read(mode::SVC).r(0);
        register.write(mode::SVC, 0);
        let zeros = register.read(mode::SVC).r(0);
        println!("{name}: {outcome} of ones {ones:08x} of zeros {zeros:08x}");
        register.write(mode::SVC, before);
    }
    // SCTLR but for what would end the guest: M, A, V, EE and TE.
    let sctlr = p15(0, 1, 0, 0);
    let before = sctlr.read(mode::SVC).r(0);
    let keep = 1 | 1 << 1 | 1 << 13 | 1 << 25 | 1 << 30;
    sctlr.write(mode::SVC, !keep);
    let ones = sctlr.read(mode::SVC).r(0);
    sctlr.write(mode::SVC, 0);
    let zeros = sctlr.read(mode::SVC).r(0);
    sctlr.write(mode::SVC, before);
    println!("sctlr: of ones {ones:08x} of zeros {zeros:08x}");
    // Thread registers by privilege.
    for (name, register) in [
        ("tpidrurw", p15(0, 13, 0, 2)),
        ("tpidruro", p15(0, 13, 0, 3)),
        ("tpidrprw", p15(0, 13, 0, 4)),
    ] {
        let read = register.read(mode::USR);
        let write = register.write(mode::USR, 0x1234);
        println!("{name} in usr: read {read} write {write}");
    }
}

fn performance() {
    let pmcr = p15(0, 9, 12, 0);
    let enable_set = p15(0, 9, 12, 1);
    let enable_clear = p15(0, 9, 12, 2);
    let overflow = p15(0, 9, 12, 3);
    let select = p15(0, 9, 12, 5);
    let cycles = p15(0, 9, 13, 0);
    let kind = p15(0, 9, 13, 1);
    let count = p15(0, 9, 13, 2);
    let user = p15(0, 9, 14, 0);
    let svc = |register: Register| register.read(mode::SVC).r(0);
    pmcr.write(mode::SVC, 0xffff_ffff);
    println!("pmcr of ones {:08x}", svc(pmcr));
    pmcr.write(mode::SVC, 0);
    println!("pmcr of zeros {:08x}", svc(pmcr));
    // The cycle counter counts only while it is enabled, twice.
    cycles.write(mode::SVC, 0x100);
    println!("disabled: {:x} {:x}", svc(cycles), svc(cycles));
    enable_set.write(mode::SVC, 1 << 31);
    println!("without pmcr.e: {:x} {:x}", svc(cycles), svc(cycles));
    pmcr.write(mode::SVC, 1);
    let first = svc(cycles);
    println!("enabled, moves on: {}", svc(cycles) != first);
    enable_clear.write(mode::SVC, 1 << 31);
    println!(
        "enables {:08x}, stands: {}",
        svc(enable_set),
        svc(cycles) == svc(cycles)
    );
    // PMCR.C resets it.
    pmcr.write(mode::SVC, 1 << 2);
    println!("after a reset {:x}", svc(cycles));
    // Overflow.
    overflow.write(mode::SVC, u32::MAX);
    println!("overflow {:08x}", svc(overflow));
    // Selection.
    for n in [0, 1, 5, 6, 30, 31] {
        select.write(mode::SVC, n);
        kind.write(mode::SVC, 0xffff_ffff);
        let kind_ones = kind.read(mode::SVC);
        kind.write(mode::SVC, 0);
        count.write(mode::SVC, 0x1234 + n);
        let counted = count.read(mode::SVC);
        println!(
            "selected {n} ({:x}): type {kind_ones} {:08x} count {counted} {:x}",
            svc(select),
            kind_ones.r(0),
            counted.r(0)
        );
    }
    // What User mode may do.
    for value in [0u32, 1] {
        user.write(mode::SVC, value);
        for (name, register) in [
            ("pmcr", pmcr),
            ("pmcntenset", enable_set),
            ("pmovsr", overflow),
            ("pmselr", select),
            ("pmceid0", p15(0, 9, 12, 6)),
            ("pmccntr", cycles),
            ("pmxevtyper", kind),
            ("pmxevcntr", count),
            ("pmuserenr", user),
            ("pmintenset", p15(0, 9, 14, 1)),
        ] {
            println!(
                "pmuserenr {value}, usr: {name} read {} write {}",
                register.read(mode::USR),
                register.write(mode::USR, 0)
            );
        }
    }
    user.write(mode::SVC, 0);
}

fn debug() {
    let p14 = |opc1, crn, crm, opc2| Register {
        coprocessor: 14,
        opc1,
        crn,
        crm,
        opc2,
    };
    for (name, register) in [
        ("dbgdidr", p14(0, 0, 0, 0)),
        ("dbgdscrint", p14(0, 0, 1, 0)),
        ("dbgdrar", p14(0, 1, 0, 0)),
        ("dbgdsar", p14(0, 2, 0, 0)),
        ("dbgdscrext", p14(0, 0, 2, 2)),
        ("dbgvcr", p14(0, 0, 7, 0)),
        ("dbgoslsr", p14(0, 1, 1, 4)),
        ("dbgosdlr", p14(0, 1, 3, 4)),
        ("dbgprcr", p14(0, 1, 4, 4)),
        ("dbgclaimset", p14(0, 7, 8, 6)),
        ("dbgauthstatus", p14(0, 7, 14, 6)),
        ("dbgdevid", p14(0, 7, 2, 7)),
        ("dbgdevid1", p14(0, 7, 1, 7)),
        ("dbgbvr0", p14(0, 0, 0, 4)),
        ("dbgbcr0", p14(0, 0, 0, 5)),
        ("dbgwvr0", p14(0, 0, 0, 6)),
        ("dbgwcr0", p14(0, 0, 0, 7)),
        ("teecr", p14(6, 0, 0, 0)),
        ("teehbr", p14(6, 1, 0, 0)),
        ("jidr", p14(7, 0, 0, 0)),
        ("joscr", p14(7, 1, 0, 0)),
        ("jmcr", p14(7, 2, 0, 0)),
    ] {
        let outcome = register.read(mode::SVC);
        println!("{name}: {outcome} {:08x}", outcome.r(0));
    }
    // MRC to the flags: DBGDSCRint to APSR.
    let outcome = Probe::new(a32(&[0xee10_fe11 & !0xf | 1])).run();
    println!("mrc apsr: {outcome}");
}

fn other_coprocessors() {
    for coprocessor in 0..14u32 {
        if coprocessor == 10 || coprocessor == 11 {
            continue;
        }
        let words = [
            0xee00_0000 | coprocessor << 8,
            0xee00_0010 | coprocessor << 8,
            0xee10_0010 | coprocessor << 8,
            0xec40_0000 | 1 << 16 | coprocessor << 8,
            0xec50_0000 | 1 << 16 | coprocessor << 8,
            0xed90_0000 | coprocessor << 8,
            0xed80_0000 | coprocessor << 8,
        ];
        print!("p{coprocessor}:");
        for word in words {
            print!(" {}", Probe::new(a32(&[word])).r(0, 0x4200_0000).run());
        }
        println!();
    }
}
