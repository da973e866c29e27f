//! Tells the user what happens while the guest prints nothing.

use super::output::Output;
use skep_vmm::VmHandle;
use std::time::Duration;

/// How long a guest may print nothing before Skep says so.
const SILENCE: Duration = Duration::from_secs(5);
/// The same for the default guest, whose kernel is known to be silent at first.
const DEFAULT_GUEST_SILENCE: Duration = Duration::from_secs(40);

/// Starts a thread that waits for the guest's first output, and explains its absence on standard
/// error.
pub fn start(
    vm: VmHandle,
    output: Output,
    command_line: String,
    default_guest: bool,
    interactive: bool,
) {
    let silence = if default_guest {
        DEFAULT_GUEST_SILENCE
    } else {
        SILENCE
    };
    std::thread::spawn(move || {
        std::thread::sleep(silence);
        if output.printed() {
            return;
        }
        let mut lines = vec![format!(
            "the guest has printed nothing for {} s; {}",
            silence.as_secs(),
            describe(&vm.progress())
        )];
        if command_line.contains("console=") {
            lines.push(format!(
                "its command line is {command_line:?}; adding earlycon=pl011,0x9000000 shows a \
                 Linux kernel's first messages"
            ));
        } else {
            lines.push(format!(
                "its command line is {command_line:?}, without console=; a Linux kernel wants \
                 --append console=ttyAMA0"
            ));
        }
        if interactive {
            lines.push("Ctrl-A x quits".into());
        }
        for line in lines {
            eprintln!("skep: {line}\r");
        }
    });
}

/// What the vCPUs do, for people.
fn describe(cpus: &[(u64, u32)]) -> String {
    let parts: Vec<String> = cpus
        .iter()
        .enumerate()
        .filter(|(_, (instructions, _))| *instructions > 0)
        .map(|(index, (instructions, pc))| {
            let millions = instructions / 1_000_000;
            format!("CPU {index} has executed {millions} million instructions and is at {pc:#010x}")
        })
        .collect();
    parts.join(", ")
}
