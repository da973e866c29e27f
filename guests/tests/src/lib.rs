//! What several guests share.

#![no_std]

use guest_support::probe::{Outcome, Probe, Snippet};
use guest_support::psr::mode;
use guest_support::vectors::Vector;
use guest_support::{board, mmio, print, println, snippet};

/// Physical memory that tests map: 1 MiB blocks, of which the first word of each page is `BX LR`
/// and the second tells the page.
pub const MEMORY: u32 = board::FREE + 0x0100_0000;
/// How many bytes of it.
pub const MEMORY_SIZE: u32 = 0x40_0000;
const BX_LR: u32 = 0xe12f_ff1e;

/// Writes what [`MEMORY`] says.
pub fn fill_memory() {
    for page in (MEMORY..MEMORY + MEMORY_SIZE).step_by(0x1000) {
        mmio::write32(page, BX_LR);
        mmio::write32(page + 4, page);
    }
}

/// Prints a probe's end in a word: `ok`, `d` or `i` and the fault status, and the fault address
/// where it isn't the expected one.
pub fn brief(outcome: &Outcome, address: u32) {
    let (letter, status, far) = match outcome.area.vector {
        _ if outcome.ended => {
            print!(" ok");
            return;
        }
        v if v == Vector::DataAbort as u32 => ('d', outcome.dfsr, outcome.dfar),
        v if v == Vector::PrefetchAbort as u32 => ('i', outcome.ifsr, outcome.ifar),
        _ => {
            print!(" {outcome}");
            return;
        }
    };
    print!(" {letter}{status:03x}");
    if far != address {
        print!("@{far:08x}");
    }
}

/// The snippets of [`rights`].
fn accesses() -> [(Snippet, &'static str, u32); 8] {
    let load = snippet!(arm, "ldr r1, [r0, #8]");
    let store = snippet!(arm, "str r1, [r0, #8]");
    let execute = snippet!(arm, "blx r0");
    [
        (load, "svc r", mode::SVC),
        (store, "w", mode::SVC),
        (execute, "x", mode::SVC),
        (snippet!(arm, "ldrt r1, [r0], #0"), "ldrt", mode::SVC),
        (
            snippet!(arm, "add r0, #8\n strt r1, [r0], #0"),
            "strt",
            mode::SVC,
        ),
        (load, "usr r", mode::USR),
        (store, "w", mode::USR),
        (execute, "x", mode::USR),
    ]
}

/// Prints what both privilege levels can do to a page (whose first word is BX LR).
pub fn rights(label: core::fmt::Arguments, va: u32) {
    print!("{label}:");
    for (snippet, name, m) in accesses() {
        let outcome = Probe::new(snippet).mode(m).r(0, va).run();
        print!(" {name}");
        let address = match name {
            "x" | "ldrt" => va,
            _ => va + 8,
        };
        brief(&outcome, address);
    }
    println!();
}

/// Prints what a privileged load of an address finds.
pub fn load(label: core::fmt::Arguments, va: u32) {
    let outcome = Probe::new(snippet!(arm, "ldr r1, [r0]")).r(0, va).run();
    print!("{label}: load");
    if outcome.ended {
        println!(" {:08x}", outcome.r(1));
    } else {
        println!(" {outcome}");
    }
}
