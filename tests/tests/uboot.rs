//! U-Boot from Debian's u-boot-qemu runs from flash.

use skep_tests::Session;

const UBOOT: &str = "/usr/lib/u-boot/qemu_arm/u-boot.bin";

#[test]
fn u_boot_reaches_its_prompt() {
    let mut session = Session::start(&["run", "--bios", UBOOT]);
    // There is nothing that it boots by itself.
    session.expect("U-Boot").expect("autoboot").expect("=> ");
}
