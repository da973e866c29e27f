//! The bare-metal hypervisor, on QEMU's emulation of a board with the Virtualization Extensions.

#[path = "hyp/figures.rs"]
mod figures;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use skep_bundle::{CoreSchedule, Policies, Policy, Share, System, Vm, pack};
use skep_hyp::guest::{Request, SystemRequest, describe, describe_system};
use skep_loader::fdt::Tree;
use skep_tests::Session;
use skep_tests::transcript::{compare_transcripts, guest, lines, qemu_transcript, target};

#[path = "hyp/attacks.rs"]
mod attacks;
#[path = "hyp/boards.rs"]
mod boards;
#[path = "hyp/channels.rs"]
mod channels;
#[path = "hyp/devices.rs"]
mod devices;
#[path = "hyp/disks.rs"]
mod disks;

/// What the hypervisor says, before its messages and not in a guest's transcript.
const PREFIX: &str = "skep: ";

/// The hypervisor's image.
fn image() -> PathBuf {
    let image = target().join("hyp/skep-hyp.img");
    assert!(
        image.exists(),
        "{} is missing: cargo xtask hyp",
        image.display()
    );
    image
}

/// QEMU's board, with the hypervisor as its kernel.
fn board(machine: &str, bundle: Option<&Path>) -> Command {
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", machine, "-smp", "2", "-m", "1024"])
        .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(image());
    if let Some(bundle) = bundle {
        command.arg("-initrd").arg(bundle);
    }
    command
}

const VIRT: &str = "virt,virtualization=on";

/// A guest's files.
struct Files {
    kernel: Vec<u8>,
    initrd: Option<Vec<u8>>,
}

impl Files {
    /// Those of the default guest.
    fn linux() -> Self {
        let files = skep_tests::default_guest();
        let read = |path| std::fs::read(path).expect("the default guest is there");
        Files {
            kernel: read(&files.kernel),
            initrd: Some(read(&files.initrd)),
        }
    }

    /// One of our guests.
    fn bare_metal(name: &str) -> Self {
        Files {
            kernel: std::fs::read(guest(name)).expect("the guest was built"),
            initrd: None,
        }
    }

    /// A VM with them, for struct update: 192 MiB, and the serial port as Linux's console.
    fn request(&self) -> Request<'_> {
        Request {
            name: "linux",
            memory_mib: 192,
            cores: &[0, 1],
            kernel: &self.kernel,
            initrd: self.initrd.as_deref(),
            cmdline: "console=ttyAMA0 quiet",
            ..Request::default()
        }
    }
}

/// The system of these VMs, on a board with this tree if they have devices of it.
fn described(vms: &[Request<'_>], board: Option<&Tree>) -> System<Vec<u8>> {
    let request = SystemRequest {
        vms,
        board,
        ..SystemRequest::default()
    };
    describe_system(&request).expect("it can be described")
}

/// A VM with one of our guests.
fn bare_metal(name: &str, cores: &[u8]) -> Vm<Vec<u8>> {
    let files = Files::bare_metal(name);
    let request = Request {
        name,
        memory_mib: 256,
        cores,
        ..files.request()
    };
    describe(&request).expect("the guest can start")
}

/// A VM with the default guest.
fn linux(name: &str, cores: &[u8]) -> Vm<Vec<u8>> {
    let files = Files::linux();
    let request = Request {
        name,
        cores,
        ..files.request()
    };
    describe(&request).expect("the guest can start")
}

/// Starts a board with these VMs, each vCPU on a core of its own.
fn start(vms: Vec<Vm<Vec<u8>>>) -> (Session, tempfile::TempDir) {
    start_system(&System::from(vms))
}

/// Starts a board with this system.
fn start_system(system: &System<Vec<u8>>) -> (Session, tempfile::TempDir) {
    let (path, directory) = written(system);
    (Session::spawn(board(VIRT, Some(&path))), directory)
}

/// Starts a board with this system, and more arguments for QEMU.
fn start_with(system: &System<Vec<u8>>, arguments: &[&str]) -> (Session, tempfile::TempDir) {
    let (path, directory) = written(system);
    let mut command = board(VIRT, Some(&path));
    command.args(arguments);
    (Session::spawn(command), directory)
}

/// The bundle of a system, in a directory of its own.
fn written(system: &System<Vec<u8>>) -> (PathBuf, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bundle");
    let bundle = pack(system).expect("it can be packed");
    std::fs::write(&path, bundle).expect("the directory is writable");
    (path, directory)
}

/// These VMs, with both cores time-shared.
fn shared(vms: Vec<Vm<Vec<u8>>>) -> System<Vec<u8>> {
    let slice_us = CoreSchedule::SLICE_US;
    System {
        vms,
        cores: vec![CoreSchedule::Shared { slice_us }; 2],
        ..System::default()
    }
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
    let mut bundle = pack(&System::<Vec<u8>>::default()).expect("it can be packed");
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

#[test]
fn two_linux_guests_share_both_cores() {
    let system = shared(vec![linux("one", &[0, 1]), linux("two", &[1, 1])]);
    let (mut session, _directory) = start_system(&system);
    session.expect("[two] BusyBox");
    session.send(b"\n");
    session.expect("~# ");
    // Busy loops for both CPUs of both guests, whose results are right.
    let sums = "for n in 1 2; do seq 1 4000 | awk '{ s += $1 } END { print s }' & done; wait";
    session.send(format!("{sums}; grep -c ^processor /proc/cpuinfo\n").as_bytes());
    session.send(b"\x01n");
    session.expect("console of two");
    session.send(format!("{sums}; sleep 1; echo sle''pt\n").as_bytes());
    session.expect("8002000").expect("8002000").expect("slept");
    session.send(b"\x010\n");
    session.expect("console of one").expect("~# ");
    session.send(b"uptime; grep -c ^processor /proc/cpuinfo; poweroff -f\n");
    session.expect("2\r\n").expect("one: off");
    session.send(b"\x011poweroff -f\n");
    session.expect("all virtual machines are off");
    assert!(session.finish().status.success());
}

#[test]
fn a_guest_keeps_its_registers_while_another_one_has_its_core() {
    let mut system = shared(vec![
        bare_metal("hyp_switch", &[1]),
        bare_metal("hyp_switch", &[1]),
    ]);
    system.vms[1].name = "second".into();
    system.cores[1] = CoreSchedule::Shared { slice_us: 300 };
    let (path, _directory) = written(&system);
    let mut command = board(VIRT, Some(&path));
    // Instruction counting: when timers fire does not depend on this machine's load.
    command.args(["-icount", "shift=1,sleep=off"]);
    let mut session = Session::spawn(command);
    // The shell has the focus: lines of guests are whole.
    session.send(b"\x01h");
    let output = lines("hyp_switch", &session.finish());
    for prefix in ["[hyp_switch] ", "[second] "] {
        for expected in [
            "registers checked; away: true",
            "timer 27: 0 early, 0 late, 0 wrong",
            "timer 30: 0 early, 0 late, 0 wrong",
        ] {
            let line = format!("{prefix}{expected}");
            assert!(output.contains(&line), "no {line:?} in {output:#?}");
        }
    }
    // A register that changed would have a line of its own.
    let changed = output.iter().find(|line| line.contains("instead of"));
    assert_eq!(changed, None, "{output:#?}");
}

#[test]
fn a_budget_is_kept_and_equals_share_equally() {
    // Instruction counting: what guests get does not depend on this machine's load.
    let share = |share: &[Share], slice_us| {
        let mut vms = vec![bare_metal("hyp_share", &[0]), bare_metal("hyp_share", &[0])];
        vms[1].name = "second".into();
        for vm in &mut vms {
            // Filled soon, so that they run at the same time.
            vm.memory_mib = 8;
        }
        for (vm, &share) in vms.iter_mut().zip(share) {
            vm.shares = vec![share];
        }
        let mut system = shared(vms);
        system.cores[0] = CoreSchedule::Shared { slice_us };
        let (path, directory) = written(&system);
        let mut command = board(VIRT, Some(&path));
        command.args(["-icount", "shift=1,sleep=off", "-smp", "1"]);
        let mut session = Session::spawn(command);
        session.send(b"\x01h");
        let output = lines("hyp_share", &session.finish());
        drop(directory);
        // The share and the longest absence, as each guest saw it second: the other one was busy.
        ["[hyp_share] share ", "[second] share "].map(|prefix| {
            let mut lines = output.iter().filter_map(|line| line.strip_prefix(prefix));
            let line = lines.nth(1);
            let line = line.unwrap_or_else(|| panic!("no {prefix:?} in {output:#?}"));
            let numbers: Vec<u32> = line
                .split(' ')
                .filter_map(|word| word.parse().ok())
                .collect();
            (numbers[0], numbers[1])
        })
    };
    let limited = Share {
        priority: 200,
        budget_us: 2_000,
        period_us: 10_000,
    };
    let [(first, away), (second, behind)] = share(&[limited], 5_000);
    assert!((19..=20).contains(&first), "{first} % of 2 ms in 10 ms");
    assert!((79..=80).contains(&second), "{second} % of what is left");
    assert!((7_990..=8_020).contains(&away), "away for {away} us");
    assert!((1_990..=2_020).contains(&behind), "behind for {behind} us");
    let [(first, away), (second, _)] = share(&[], 1_000);
    assert!((49..=51).contains(&first), "{first} % of equals");
    assert!((49..=51).contains(&second), "{second} % of equals");
    assert!((990..=1_020).contains(&away), "away for {away} us");
}

#[test]
fn a_core_for_one_is_not_given_to_two() {
    let vms = vec![bare_metal("memory", &[0]), bare_metal("memory", &[0])];
    let (mut session, _directory) = start(vms);
    session.expect("core 0 is partitioned, so that it can't have vCPUs of memory and of memory");
}

#[test]
fn a_guest_that_crashes_restarts_up_to_its_limit() {
    let mut crash = bare_metal("hyp_crash", &[1]);
    crash.policies = Policies {
        fault: Policy::Reset { limit: Some(2) },
        ..Policies::default()
    };
    let system = shared(vec![linux("beside", &[0, 1]), crash]);
    let (mut session, _directory) = start_system(&system);
    for restart in 1..=2 {
        session
            .expect("crash begins")
            .expect("hyp_crash: vCPU 0 can't execute its vector of aborts at pc 0000000c")
            .expect("(prefetch abort, translation")
            .expect(&format!("hyp_crash: starts again (fault {restart} of 2)"));
    }
    session.expect("crash begins").expect("hyp_crash: off");
    // The board stays on: somebody may want to look.
    session.expect("~# ");
    session.send(b"\x01hvms\n");
    session
        .expect("0  beside        running    2/2         0")
        .expect("1  hyp_crash     failed     0/1         2");
    session.send(b"regs hyp_crash\n");
    session
        .expect("last fault: vCPU 0 can't execute")
        .expect("vCPU 0 of hyp_crash is off.");
    session.send(b"start hyp_crash\n");
    session
        .expect("crash begins")
        .expect("(fault 1 of 2)")
        .expect("hyp_crash: off");
    session.send(b"\x010echo still $((40 + 2)); dmesg | grep -ci -e stall -e lockup\n");
    session.expect("still 42\r\n").expect("0\r\n");
}

#[test]
fn the_shell_stops_and_pauses_guests() {
    let mut waiting = bare_metal("hyp_cost", &[1]);
    waiting.halted = true;
    let system = shared(vec![linux("linux", &[0, 1]), waiting]);
    let (mut session, _directory) = start_system(&system);
    session.expect("~# ");
    session.send(b"while true; do echo al''ive; sleep 0.05; done\n");
    session.expect("alive").expect("alive");
    session.send(b"\x01h");
    session.expect("skep> ").expect("[linux] alive");
    session.send(b"pause linux\nregs linux 1\n");
    session.expect("vCPU 1 of linux: pc ").expect("ttbr0");
    // Nothing is said while it is paused, though the counter goes on.
    session.send(b"start hyp_cost\n");
    let meanwhile = session.until("[hyp_cost] timer interrupt: ");
    assert!(!meanwhile.contains("alive"), "a paused guest runs");
    session.send(b"vms\n");
    session.expect("linux         paused     2/2");
    session.send(b"resume linux\n");
    session.expect("[linux] alive").expect("[linux] alive");
    for (command, answer) in [
        ("exits 0", "WFI or WFE"),
        ("exits linux 1", "vCPU 1: "),
        ("exits 0 2", "There is no vCPU 2 in linux: it has 0 to 1."),
        ("cores", "1: time-shared, slices of 5000 us, "),
        ("mem", "linux; "),
        ("log", "skep: hypervisor "),
        ("help", "exits VM"),
        ("pause hyp_cost", "hyp_cost does not run."),
        ("resume 0", "linux is not paused."),
        ("start 0", "linux is not off: stop it first, or reset it."),
        ("stop nobody", "There is no VM nobody; vms lists them."),
        ("stop", "Say which VM; vms lists them."),
        ("regs 0 2", "There is no vCPU 2 in linux: it has 0 to 1."),
        ("mem 1", "1 is too much for this command; see help."),
        (
            "brew",
            "There is no command brew; help lists those that there are.",
        ),
        // Backspace.
        ("brex\x08\x08\x08\x08vms", "hyp_cost      off        0/1"),
        ("reset 0", "linux: starts again"),
    ] {
        session.send(format!("{command}\n").as_bytes());
        session.expect(answer);
    }
    session.expect("[linux] BusyBox");
    session.send(b"stop linux\n");
    session.expect("linux: off");
    session.send(b"off\n");
    assert!(session.finish().status.success());
}
