//! Exceptions and modes.

#![no_std]
#![no_main]

use guest_support::probe::Probe;
use guest_support::psr::{self, mode};
use guest_support::{guest, println, snippet};

guest!(main);

fn main() {
    for (m, name) in mode::ALL {
        let svc = snippet!(arm, "svc #1");
        println!(
            "a32 svc {name}: {}",
            Probe::new(svc).mode(m).run().details()
        );
        let svc = snippet!(thumb, "svc #1");
        println!(
            "t32 svc {name}: {}",
            Probe::new(svc).mode(m).set(psr::E).run().details()
        );
    }
}
