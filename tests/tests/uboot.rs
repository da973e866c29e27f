//! U-Boot from Debian's u-boot-qemu runs from flash, and boots a kernel from a virtio disk.

use skep_tests::{Session, default_guest, file};

const UBOOT: &str = "/usr/lib/u-boot/qemu_arm/u-boot.bin";

/// A kernel as it comes from Debian.
fn default_kernel() -> Vec<u8> {
    std::fs::read(default_guest().kernel).expect("the cached kernel")
}

#[test]
fn u_boot_finds_its_flash_and_reaches_its_prompt() {
    let mut session = Session::start(&["run", "--bios", UBOOT]);
    // There is nothing that it boots by itself.
    session
        .expect("Flash: 64 MiB")
        .expect("autoboot")
        .expect("=> ");
}

#[test]
fn u_boot_boots_a_kernel_from_a_disk() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let mut kernel = default_kernel();
    kernel.resize(kernel.len().next_multiple_of(512), 0);
    let sectors = kernel.len() / 512;
    let disk = file(directory.path(), "kernel.img", &kernel);

    let mut session = Session::start(&["run", "--bios", UBOOT, "--disk", &disk]);
    session.expect("autoboot").send(b"\n");
    for command in [
        "virtio scan",
        &format!("virtio read 0x42000000 0 {sectors:x}"),
        "setenv bootargs console=ttyAMA0",
    ] {
        session
            .expect("=> ")
            .send(format!("{command}\n").as_bytes());
    }
    session
        .expect("=> ")
        .send(b"bootz 0x42000000 - ${fdtcontroladdr}\n");
    session
        .expect("Starting kernel")
        .expect("Linux version")
        .expect("console=ttyAMA0");
}

#[test]
fn u_boot_gets_the_kernel_of_the_command_line() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let kernel = file(directory.path(), "kernel", &default_kernel());
    let mut session = Session::start(&[
        "run",
        "--bios",
        UBOOT,
        "--kernel",
        &kernel,
        "--append",
        "console=ttyAMA0 marker=firmware",
    ]);
    session.expect("autoboot").send(b"\n");
    session
        .expect("=> ")
        .send(b"qfw load 0x42000000 0x44000000\n");
    session
        .expect("loading kernel to address 42000000")
        .expect("=> ")
        .send(b"bootz 0x42000000 - ${fdtcontroladdr}\n");
    session
        .expect("Starting kernel")
        .expect("Linux version")
        .expect("marker=firmware");
}
