//! Tells the user what happens while the guest prints nothing.

use super::output::Output;
use skep_vmm::VmHandle;
use std::time::Duration;

/// How long a guest may print nothing before Skep says so.
const SILENCE: Duration = Duration::from_secs(5);
/// The same for the default guest, whose kernel is known to be silent at first.
const DEFAULT_GUEST_SILENCE: Duration = Duration::from_secs(40);

/// Starts a thread that waits for the guest's first output, and explains its absence on standard
/// error. `console` is the kernel's option for the console that is looked at.
pub fn start(
    vm: VmHandle,
    output: Output,
    command_line: String,
    console: String,
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
            describe(&vm)
        )];
        if command_line.contains("console=") {
            lines.push(format!(
                "its command line is {command_line:?}; adding earlycon=pl011,0x9000000 shows a \
                 Linux kernel's first messages"
            ));
        } else {
            lines.push(format!(
                "its command line is {command_line:?}, without console=; a Linux kernel wants \
                 --append {console}"
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
fn describe(vm: &VmHandle) -> String {
    let stats = vm.stats();
    let cpus = stats.vcpus.iter().zip(vm.progress()).enumerate();
    let parts: Vec<String> = cpus
        // One that is off has never executed.
        .filter(|(_, (_, (instructions, _)))| *instructions > 0)
        .map(|(index, (vcpu, (_, pc)))| {
            let seconds = vcpu.cpu_time.as_secs_f64();
            format!("CPU {index} has executed for {seconds:.1} s and is at {pc:#010x}")
        })
        .collect();
    parts.join(", ")
}
