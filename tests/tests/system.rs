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

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use skep_tests::{Session, skep, skep_path, stderr, stdout};

/// Where xtask puts the guests.
fn guest(name: &str) -> String {
    let profile = skep_path();
    let target = profile.ancestors().nth(2).expect("target/PROFILE/skep");
    let path = target.join("guests/armv7a-none-eabi/release").join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo xtask guests",
        path.display()
    );
    path.to_str().expect("a path of this repository").to_owned()
}

/// Lines of a guest's output.
fn transcript(command: Command) -> Vec<String> {
    let shown = format!("{command:?}");
    let mut session = Session::spawn(command);
    session.end_input();
    lines(&shown, &session.finish())
}

/// The lines of a run that ended well.
fn lines(shown: &str, output: &Output) -> Vec<String> {
    let text = stdout(output);
    assert!(
        output.status.success(),
        "{shown}: {}\n{}{text}",
        output.status,
        stderr(output)
    );
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn qemu_transcript(guest: &str) -> Vec<String> {
    // QEMU 7.2 was once seen to hang in the guest of two CPUs, on a busy host. Such a run says nothing
    // about Skep, and is made again; Skep's own is never.
    for _ in 0..4 {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "25", "qemu-system-arm"])
            .args(["-M", "virt", "-cpu", "cortex-a15", "-smp", "2", "-m", "256"])
            .args(["-device", "virtio-rng-device"])
            .args(["-global", "virtio-mmio.force-legacy=false"])
            .args(["-nographic", "-kernel", guest])
            .stdin(Stdio::null());
        let output = command.output().expect("timeout starts");
        if !matches!(output.status.code(), Some(124 | 137)) {
            return lines(&format!("{command:?}"), &output);
        }
    }
    panic!("QEMU does not end with {guest}");
}

fn skep_transcript(guest: &str) -> Vec<String> {
    let mut command = skep();
    command.args(["run", "--cpus", "2", "--memory", "256M", "--kernel", guest]);
    if let Ok(engine) = std::env::var("SKEP_ENGINE") {
        command.args(["--engine", &engine]);
    }
    transcript(command)
}

/// The differences that have a reason: QEMU's line and Skep's.
fn explained(name: &str) -> Vec<(String, String)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/system")
        .join(format!("{name}.txt"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Vec::new();
    };
    let mut pairs = Vec::new();
    let mut reason = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            reason = true;
        } else if line.is_empty() {
            reason = false;
        } else {
            let skep = lines.next().and_then(|line| line.strip_prefix("skep: "));
            let (Some(qemu), Some(skep), true) = (line.strip_prefix("qemu: "), skep, reason) else {
                panic!("{}: not a difference with a reason: {line}", path.display());
            };
            pairs.push((qemu.to_owned(), skep.to_owned()));
        }
    }
    pairs
}

/// Runs a guest under both and compares.
fn compare(name: &str) {
    let guest = guest(name);
    let (qemu, skep) = (qemu_transcript(&guest), skep_transcript(&guest));
    let explained = explained(name);
    let mut used = HashSet::new();
    let mut report = String::new();
    for line in 0..qemu.len().max(skep.len()) {
        let of = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
        let pair = (of(&qemu), of(&skep));
        if pair.0 == pair.1 {
            continue;
        }
        match explained.iter().position(|known| *known == pair) {
            Some(index) => {
                used.insert(index);
            }
            None => {
                let (qemu, skep) = pair;
                let _ = writeln!(report, "line {}\nqemu: {qemu}\nskep: {skep}", line + 1);
            }
        }
    }
    for (index, (qemu, skep)) in explained.iter().enumerate() {
        if !used.contains(&index) {
            let _ = writeln!(report, "no longer so\nqemu: {qemu}\nskep: {skep}");
        }
    }
    assert!(report.is_empty(), "{name}: differences\n{report}");
    assert!(!qemu.is_empty(), "{name} prints nothing");
    println!(
        "{name}: {} lines, {} explained differences",
        qemu.len(),
        explained.len()
    );
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
