//! Bare-metal guests see the same machine under Skep and under QEMU.
//!
//! A guest of `guests/tests` prints facts about the processor and the board. Its transcripts under
//! both are equal line by line, but for the differences that `system/GUEST.txt` lists, each with
//! its reason: groups of
//!
//! ```text
//! # the reason, with the manual's section
//! qemu: a line of QEMU's transcript
//! skep: the same line of Skep's
//! ```
//!
//! `SKEP_ENGINE` names the engine.

use skep_tests::skep;
use skep_tests::transcript::{compare_transcripts, guest, qemu_transcript, transcript};

fn skep_transcript(guest: &str) -> Vec<String> {
    let mut command = skep();
    command.args(["run", "--cpus", "2", "--memory", "256M", "--kernel", guest]);
    if let Ok(engine) = std::env::var("SKEP_ENGINE") {
        command.args(["--engine", &engine]);
    }
    transcript(command)
}

/// Runs a guest under both and compares.
fn compare(name: &str) {
    let guest = guest(name);
    let (qemu, skep) = (qemu_transcript(&guest), skep_transcript(&guest));
    compare_transcripts("system", name, &qemu, &skep);
}

#[test]
fn short_descriptors() {
    compare("mmu_short");
}

#[test]
fn long_descriptors() {
    compare("mmu_long");
}

#[test]
fn exceptions_and_modes() {
    compare("exceptions");
}

#[test]
fn interrupt_controller_and_timers() {
    compare("gic");
}

#[test]
fn processors_and_power() {
    compare("smp");
}

#[test]
fn memory_accesses() {
    compare("memory");
}

#[test]
fn system_registers() {
    compare("cp15");
}

#[test]
fn devices() {
    compare("devices");
}
