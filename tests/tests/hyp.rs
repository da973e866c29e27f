//! The bare-metal hypervisor, on QEMU's emulation of a board with the Virtualization Extensions.

use std::path::Path;
use std::process::{Command, Stdio};

use skep_bundle::{System, Vm, pack};
use skep_hyp::guest::{Request, describe};
use skep_tests::Session;
use skep_tests::transcript::{compare_transcripts, guest, lines, qemu_transcript, target};

/// What the hypervisor says, before its messages and not in a guest's transcript.
const PREFIX: &str = "skep: ";

/// QEMU's board, with the hypervisor as its kernel.
fn board(machine: &str, bundle: Option<&Path>) -> Command {
    let image = target().join("hyp/skep-hyp.img");
    assert!(
        image.exists(),
        "{} is missing: cargo xtask hyp",
        image.display()
    );
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", machine, "-smp", "2", "-m", "1024"])
        .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(image);
    if let Some(bundle) = bundle {
        command.arg("-initrd").arg(bundle);
    }
    command
}

const VIRT: &str = "virt,virtualization=on";

/// A VM with one of our guests.
fn bare_metal(name: &str, cores: &[u8]) -> Vm<Vec<u8>> {
    let kernel = std::fs::read(guest(name)).expect("the guest was built");
    let request = Request {
        name,
        memory_mib: 256,
        cores,
        kernel: &kernel,
        initrd: None,
        cmdline: "",
    };
    describe(&request).expect("the guest can start")
}

/// A VM with the default guest.
fn linux(name: &str, cores: &[u8]) -> Vm<Vec<u8>> {
    let files = skep_tests::default_guest();
    let read = |path| std::fs::read(path).expect("the default guest is there");
    let (kernel, initrd) = (read(&files.kernel), read(&files.initrd));
    let request = Request {
        name,
        memory_mib: 192,
        cores,
        kernel: &kernel,
        initrd: Some(&initrd),
        cmdline: "console=ttyAMA0 quiet",
    };
    describe(&request).expect("the guest can start")
}

/// Starts a board with these VMs.
fn start(vms: Vec<Vm<Vec<u8>>>) -> (Session, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bundle");
    let bundle = pack(&System::from(vms)).expect("it can be packed");
    std::fs::write(&path, bundle).expect("the directory is writable");
    (Session::spawn(board(VIRT, Some(&path))), directory)
}

/// The transcripts of a guest under the hypervisor and under QEMU's own emulation of the same board
/// are equal, but for explained differences.
fn compare(name: &str) {
    let (mut session, _directory) = start(vec![bare_metal(name, &[0, 1])]);
    session.end_input();
    let ours: Vec<String> = lines(name, &session.finish())
        .into_iter()
        .filter(|line| !line.starts_with(PREFIX))
        .collect();
    let qemu = qemu_transcript(&guest(name), None);
    compare_transcripts("hyp", name, &qemu, &ours);
}

#[test]
fn the_board_is_found_by_its_device_tree() {
    for (machine, cores) in [(VIRT, 2), ("virt,virtualization=on,gic-version=2", 2)] {
        for cpu in ["cortex-a15", "cortex-a7"] {
            let mut command = board(machine, None);
            command.args(["-cpu", cpu]).stdin(Stdio::null());
            let mut session = Session::spawn(command);
            session
                .expect("memory 0x40000000 to 0x80000000")
                .expect("GICv2 at 0x8000000, virtual interface at 0x8040000")
                .expect(&format!("{cores} of {cores} cores in Hyp mode"))
                .expect("there is no bundle of virtual machines");
        }
    }
}

#[test]
fn in_another_mode_it_says_so() {
    for machine in ["virt", "virt,secure=on"] {
        let mut session = Session::spawn(board(machine, None));
        session.expect("started the hypervisor in mode 0x13, but it needs Hyp mode");
    }
}

#[test]
fn a_damaged_bundle_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bundle");
    let mut bundle = pack(&System::<Vec<u8>>::from(Vec::new())).expect("it can be packed");
    bundle.truncate(100);
    std::fs::write(&path, bundle).expect("the directory is writable");
    let mut session = Session::spawn(board(VIRT, Some(&path)));
    session.expect("this bundle is truncated: it has 100 bytes instead of 4096");
}

#[test]
fn a_core_that_is_not_there_is_refused() {
    let (mut session, _directory) = start(vec![bare_metal("memory", &[5])]);
    session.expect("a vCPU is on core 5, and the board has 2 cores");
}

#[test]
fn every_form_of_load_and_store_reaches_devices() {
    compare("hyp_memory");
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
fn memory_accesses() {
    compare("memory");
}

#[test]
fn exceptions_and_modes() {
    compare("exceptions");
}

#[test]
fn two_linux_guests_run_side_by_side() {
    let (mut session, _directory) = start(vec![linux("one", &[0]), linux("two", &[1])]);
    // Either of them may be there first: a line that is typed brings another prompt.
    session.expect("[two] BusyBox");
    session.send(b"\n");
    session.expect("~# ");
    session.send(b"hostname one; hostname\n");
    session.expect("one\r\n");
    session.send(b"\x01n");
    session.expect("console of two");
    session.send(b"hostname two; hostname; poweroff -f\n");
    session.expect("two\r\n").expect("two: off");
    session.send(b"\x010");
    session.expect("console of one");
    session.send(b"hostname; poweroff -f\n");
    session
        .expect("one\r\n")
        .expect("all virtual machines are off");
    assert!(session.finish().status.success());
}

#[test]
fn a_linux_guest_has_two_vcpus_and_reboots() {
    let (mut session, _directory) = start(vec![linux("smp", &[0, 1])]);
    session.expect("~# ");
    session.send(b"grep -c ^processor /proc/cpuinfo; reboot -f\n");
    session
        .expect("2\r\n")
        .expect("smp: starts again")
        .expect("~# ");
    session.send(b"echo again; poweroff -f\n");
    session
        .expect("again\r\n")
        .expect("all virtual machines are off");
    assert!(session.finish().status.success());
}

#[test]
fn a_guest_that_attacks_hurts_nobody() {
    let (mut session, _directory) =
        start(vec![linux("victim", &[0]), bare_metal("hyp_attack", &[1])]);
    session
        .expect("[hyp_attack] attack begins; mark 00000000")
        .expect("[hyp_attack] f0000000: ldr data abort dfsr=8 dfar=f0000000; str data abort")
        .expect("[hyp_attack] memory is as it was: true")
        .expect("[hyp_attack] mode 1a: true 13")
        .expect("[hyp_attack] hcr: 1")
        .expect("[hyp_attack] attack over")
        .expect("hyp_attack: starts again")
        // Memory is scrubbed before it is used again.
        .expect("[hyp_attack] attack begins; mark 00000000")
        .expect("~# ");
    session.send(b"echo still $((40 + 2))\n");
    session.expect("still 42\r\n");
}
