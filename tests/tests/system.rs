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

use std::path::Path;

use skep_tests::transcript::{compare_transcripts, guest, qemu_transcript, transcript};
use skep_tests::{file, skep};

/// Makes a disk of 64 sectors, each full of its number plus 1.
fn disk(directory: &Path, name: &str) -> String {
    let contents: Vec<u8> = (1..=64).flat_map(|number| [number; 512]).collect();
    file(directory, name, &contents)
}

fn skep_transcript(guest: &str, disk: Option<&str>) -> Vec<String> {
    let mut command = skep();
    command.args(["run", "--cpus", "2", "--memory", "256M", "--kernel", guest]);
    if let Some(disk) = disk {
        command.args(["--disk", disk]);
    }
    if let Ok(engine) = std::env::var("SKEP_ENGINE") {
        command.args(["--engine", &engine]);
    }
    transcript(command)
}

/// Runs a guest under both and compares.
fn compare(name: &str) {
    let guest = guest(name);
    let qemu = qemu_transcript(&guest, None);
    compare_transcripts("system", name, &qemu, &skep_transcript(&guest, None));
}

/// The same, with a disk for both, which must hold the same in the end.
fn compare_with_disk(name: &str) {
    let guest = guest(name);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disks = ["qemu", "skep"].map(|who| disk(directory.path(), who));
    let qemu = qemu_transcript(&guest, Some(&disks[0]));
    let skep = skep_transcript(&guest, Some(&disks[1]));
    compare_transcripts("system", name, &qemu, &skep);
    let [qemu, skep] = disks.map(|disk| std::fs::read(disk).expect("the disk is still there"));
    assert!(qemu == skep, "{name}: the disks differ");
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

#[test]
fn a_disk() {
    compare_with_disk("block");
}
