//! U-Boot from Debian's u-boot-qemu runs from flash and boots a kernel.

use skep_tests::Session;

const UBOOT: &str = "/usr/lib/u-boot/qemu_arm/u-boot.bin";

#[test]
fn u_boot_reaches_its_prompt_and_boots_a_kernel() {
    let guest = skep_image::ensure(&skep_image::Options::default(), &skep_image::Silent)
        .expect("the default guest");
    let kernel = std::fs::read(&guest.kernel).expect("the cached kernel");
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The kernel as the raw contents of a disk: no file system is needed to read it.
    let blocks = kernel.len().div_ceil(512);
    let mut disk = kernel;
    disk.resize(blocks * 512, 0);
    let disk = skep_tests::file(directory.path(), "kernel.img", &disk);

    let mut session = Session::start(&["run", "--bios", UBOOT, "--disk", &disk]);
    // There is nothing that it boots by itself.
    session.expect("U-Boot").expect("autoboot");
    session.expect("=>");
    session.send(b"virtio scan\n");
    session.expect("=>");
    session.send(format!("virtio read 0x42000000 0 {blocks:x}\n").as_bytes());
    session.expect("OK").expect("=>");
    session.send(b"setenv bootargs console=ttyAMA0\n");
    session.expect("=>");
    session.send(b"bootz 0x42000000 - ${fdtcontroladdr}\n");
    session
        .expect("Starting kernel")
        .expect("Linux version")
        .expect("armmp");
}
