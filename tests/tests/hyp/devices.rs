//! Devices of the board that a VM has for itself.

use std::process::Command;

use skep_hyp::guest::{DeviceRequest, Request};
use skep_loader::fdt::Tree;
use skep_tests::Session;

use crate::{Files, VIRT, described, start_with};

/// QEMU's board as its own tree describes it.
pub fn board_tree(machine: &str) -> Tree {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("dtb");
    let machine = format!("{machine},dumpdtb={}", path.display());
    let output = Command::new("qemu-system-arm")
        .args(["-M", &machine, "-cpu", "cortex-a15", "-smp", "2"])
        .output();
    assert!(output.expect("QEMU is installed").status.success());
    Tree::parse(&std::fs::read(&path).expect("QEMU wrote it")).expect("it is a tree")
}

/// A board with a VM that has its clock, whose time is of another year.
fn with_clock(vm: Request<'_>) -> (Session, tempfile::TempDir) {
    let devices = [DeviceRequest {
        path: "/pl031@9010000",
        dma_trusted: false,
    }];
    let tree = board_tree(VIRT);
    let vm = Request {
        devices: &devices,
        ..vm
    };
    let system = described(&[vm], Some(&tree));
    start_with(&system, &["-rtc", "base=2031-05-06T07:08:09"])
}

#[test]
fn linux_has_the_boards_clock_and_its_alarm() {
    let (mut session, _directory) = with_clock(Files::linux().request());
    session.expect("~# ");
    session.send(b"cat /sys/class/rtc/rtc0/name; hwclock -u\n");
    session
        .expect("rtc-pl031 10000000.pl031")
        .expect("May  6 07:08:")
        .expect("2031");
    // On one core, then on the other.
    for _ in 0..2 {
        session.send(b"echo +2 >/sys/class/rtc/rtc0/wakealarm; sleep 4\n");
        let irq = "$(awk -F: '/rtc-pl031/ {print $1 + 0}' /proc/interrupts)";
        session.send(format!("echo 2 >/proc/irq/{irq}/smp_affinity\n").as_bytes());
    }
    session.send(b"awk '/rtc-pl031/ {print \"alarms\", $2, $3}' /proc/interrupts; poweroff -f\n");
    session.expect("alarms 1 1").expect("linux: off");
}

#[test]
fn an_interrupt_that_was_left_active_comes_after_a_restart() {
    let (mut session, _directory) = with_clock(Request {
        name: "clock",
        memory_mib: 32,
        cores: &[1],
        ..Files::bare_metal("hyp_clock").request()
    });
    session
        .expect("clock: second run false")
        .expect("alarm 1: interrupt 192")
        .expect("clock: starts again")
        .expect("clock: second run true")
        .expect("alarm 1: interrupt 192")
        .expect("alarm 2: interrupt 192")
        .expect("clock: off");
    assert!(session.finish().status.success());
}

#[test]
fn what_others_use_is_not_given_away() {
    let files = Files::bare_metal("hyp_memory");
    let tree = board_tree(VIRT);
    for (path, dma_trusted, expected) in [
        (
            "/pl011@9000000",
            false,
            "device /pl011@9000000: the hypervisor uses it, or a page of it",
        ),
        (
            "/virtio_mmio@a000000",
            true,
            "device /virtio_mmio@a000000: /virtio_mmio@a000200 is in the same page",
        ),
    ] {
        let devices = [DeviceRequest { path, dma_trusted }];
        let vm = Request {
            name: "greedy",
            memory_mib: 64,
            cores: &[0],
            devices: &devices,
            ..files.request()
        };
        let system = described(&[vm], Some(&tree));
        let (mut session, _directory) = start_with(&system, &[]);
        session.expect("virtual machine greedy: ").expect(expected);
    }
}
