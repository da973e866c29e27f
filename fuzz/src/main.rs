//! A target under libFuzzer: the environment variable `SKEP_FUZZ_TARGET` names it, the arguments are
//! libFuzzer's.
#![no_main]

use skep_fuzz::{Target, find};
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("SKEP_FUZZ_TARGET").unwrap_or_default();
    find(&name).unwrap_or_else(|| {
        eprintln!("SKEP_FUZZ_TARGET must name a target, and {name:?} is none");
        std::process::exit(2);
    })
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
