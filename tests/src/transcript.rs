//! Transcripts of bare-metal guests, and the differences between two of them that have a reason.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::{Session, skep_path, stderr, stdout};

/// Where xtask puts what it builds for bare metal: `target`.
pub fn target() -> PathBuf {
    let profile = skep_path();
    let target = profile.ancestors().nth(2).expect("target/PROFILE/skep");
    target.to_owned()
}

/// The path of a guest of `guests/tests`.
pub fn guest(name: &str) -> String {
    let path = target().join("guests/armv7a-none-eabi/release").join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo xtask guests",
        path.display()
    );
    path.to_str().expect("a path of this repository").to_owned()
}

/// Lines of a guest's output.
pub fn transcript(command: Command) -> Vec<String> {
    let shown = format!("{command:?}");
    let mut session = Session::spawn(command);
    session.end_input();
    lines(&shown, &session.finish())
}

/// The lines of a run that ended well.
pub fn lines(shown: &str, output: &Output) -> Vec<String> {
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

/// A guest's transcript under QEMU's emulation of the `virt` board, with a disk (a raw image) if there
/// is one.
pub fn qemu_transcript(guest: &str, disk: Option<&str>) -> Vec<String> {
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", "virt", "-cpu", "cortex-a15", "-smp", "2", "-m", "256"])
        .args(["-device", "virtio-rng-device"])
        .args(["-global", "virtio-mmio.force-legacy=false"])
        .args(["-nographic", "-kernel", guest]);
    if let Some(disk) = disk {
        command
            .arg("-drive")
            .arg(format!("if=none,id=disk,format=raw,file={disk}"))
            .args(["-device", "virtio-blk-device,drive=disk,serial=skep-disk0"]);
    }
    transcript(command)
}

/// The differences that have a reason: QEMU's line and Skep's.
fn explained(directory: &str, name: &str) -> Vec<(String, String)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(directory)
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

/// Panics unless two transcripts of a guest are equal but for the differences in
/// `tests/DIRECTORY/NAME.txt`, each of which must be there.
pub fn compare_transcripts(directory: &str, name: &str, qemu: &[String], skep: &[String]) {
    let explained = explained(directory, name);
    let mut used = HashSet::new();
    let mut report = String::new();
    for line in 0..qemu.len().max(skep.len()) {
        let of = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
        let pair = (of(qemu), of(skep));
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
