//! Another board, and another boot loader: nothing about either is in the hypervisor.

use std::path::Path;
use std::process::Command;

use skep_bundle::{System, pack};
use skep_hyp::guest::{DeviceRequest, Request};
use skep_loader::fdt::{Node, Tree};
use skep_tests::{Session, file};

use crate::{Files, bare_metal, described, image};

/// A Versatile Express with a Cortex-A15 (Arm DUI 0447 and DUI 0604), as far as it matters here: RAM
/// at 2 GiB, devices behind three buses and an interrupt map. QEMU adds memory and what was loaded.
fn versatile_express() -> Tree {
    let primecell = |name: &str, offset: u32, interrupt: u32| {
        Node::new(format!("{name}@{offset:x}"))
            .strings("compatible", &[&format!("arm,{name}"), "arm,primecell"])
            .cells("reg", &[offset, 0x1000])
            .cells("interrupts", &[interrupt])
            .strings("clock-names", &["apb_pclk"])
    };
    let bus = |name: &str| {
        Node::new(name)
            .strings("compatible", &["simple-bus"])
            .cells("#size-cells", &[1])
    };
    let fpga = bus("fpga@300000000")
        .cells("#address-cells", &[1])
        .cells("ranges", &[0, 3, 0, 0x20_0000])
        .with(
            Node::new("sysreg@10000")
                .strings("compatible", &["arm,vexpress-sysreg"])
                .cells("reg", &[0x1_0000, 0x1000]),
        )
        .with(primecell("pl011", 0x9_0000, 5))
        .with(primecell("pl031", 0x17_0000, 4));
    let motherboard = bus("motherboard")
        .cells("#address-cells", &[2])
        .cells("ranges", &[3, 0, 0x1c00_0000, 0x400_0000])
        .with(fpga);
    let map = (0..43u32).flat_map(|n| [0, n, 1, 0, n, 4]);
    let smb = bus("bus@8000000")
        .cells("#address-cells", &[1])
        .cells("#interrupt-cells", &[1])
        .cells("interrupt-map-mask", &[0, 0x3f])
        .cells("interrupt-map", &map.collect::<Vec<_>>())
        .cells("ranges", &[0x800_0000, 0, 0x800_0000, 0x1800_0000])
        .with(motherboard);
    let cpu = |n: u32| {
        Node::new(format!("cpu@{n}"))
            .strings("device_type", &["cpu"])
            .strings("compatible", &["arm,cortex-a15"])
            .cells("reg", &[n])
    };
    let cpus = Node::new("cpus")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[0])
        .with(cpu(0))
        .with(cpu(1));
    let frames = [
        (0x2c00_1000, 0x1000),
        (0x2c00_2000, 0x2000),
        (0x2c00_4000, 0x2000),
        (0x2c00_6000, 0x2000),
    ];
    let frames: Vec<u32> = frames.iter().flat_map(|&(at, n)| [0, at, 0, n]).collect();
    let gic = Node::new("gic@2c001000")
        .strings("compatible", &["arm,cortex-a15-gic"])
        .cells("#interrupt-cells", &[3])
        .cells("#address-cells", &[0])
        .flag("interrupt-controller")
        .cells("reg", &frames)
        .cells("interrupts", &[1, 9, 0xf04])
        .cells("phandle", &[1]);
    let ppis = [13, 14, 11, 10].map(|n| [1, n, 0xf08]);
    let timer = Node::new("timer")
        .strings("compatible", &["arm,armv7-timer"])
        .cells("interrupts", ppis.as_flattened());
    let root = Node::new("")
        .strings("model", &["V2P-CA15"])
        .strings("compatible", &["arm,vexpress,v2p-ca15", "arm,vexpress"])
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .cells("interrupt-parent", &[1])
        .with(cpus)
        .with(gic)
        .with(timer)
        .with(smb)
        .with(Node::new("chosen"));
    Tree {
        root,
        ..Tree::default()
    }
}

#[test]
fn linux_runs_on_a_versatile_express() {
    let directory = tempfile::tempdir().expect("a directory");
    let tree = versatile_express();
    let dtb = file(directory.path(), "dtb", &tree.to_bytes());
    let files = Files::linux();
    let clock = [DeviceRequest {
        path: "/bus@8000000/motherboard/fpga@300000000/pl031@170000",
        dma_trusted: false,
    }];
    let linux = Request {
        devices: &clock,
        ..files.request()
    };
    let bundle = pack(&described(&[linux], Some(&tree))).expect("it can be packed");
    let bundle = file(directory.path(), "bundle", &bundle);
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", "vexpress-a15,secure=off", "-cpu", "cortex-a15"])
        .args(["-smp", "2", "-m", "1024", "-audiodev", "none,id=none"])
        .args(["-rtc", "base=2031-05-06T07:08:09"])
        .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
        .args(["-dtb", &dtb, "-initrd", &bundle, "-kernel"])
        .arg(image());
    let mut session = Session::spawn(command);
    session
        .expect("on V2P-CA15")
        .expect("memory 0x80000000 to 0xc0000000")
        .expect("GICv2 at 0x2c001000")
        .expect("2 of 2 cores in Hyp mode")
        .expect("~# ");
    session.send(b"grep -c ^processor /proc/cpuinfo; hwclock -u\n");
    session
        .expect("2\r\n")
        .expect("May  6 07:08:")
        .expect("2031");
    session.send(b"echo +2 >/sys/class/rtc/rtc0/wakealarm; sleep 4\n");
    session.send(b"awk '/rtc-pl031/ {print \"alarms\", $2 + $3}' /proc/interrupts; poweroff -f\n");
    session.expect("alarms 1").expect("linux: off");
}

/// QEMU's board with U-Boot in its flash, and a disk with these files, one behind the other from
/// sectors that are multiples of this.
const SECTORS: usize = 0x1_0000;

fn u_boot(directory: &Path, files: &[&[u8]]) -> Session {
    let mut disk = Vec::new();
    for bytes in files {
        disk.resize(disk.len().next_multiple_of(512 * SECTORS), 0);
        disk.extend(*bytes);
    }
    disk.resize(disk.len().next_multiple_of(512), 0);
    let disk = file(directory, "disk", &disk);
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", "virt,virtualization=on", "-cpu", "cortex-a15"])
        .args(["-smp", "2", "-m", "1024"])
        .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
        .args(["-bios", "/usr/lib/u-boot/qemu_arm/u-boot.bin"])
        .arg("-drive")
        .arg(format!("if=none,id=disk,format=raw,file={disk}"))
        .args(["-device", "virtio-blk-device,drive=disk"]);
    let mut session = Session::spawn(command);
    session.expect("autoboot");
    session.send(b"\n");
    session
}

/// What U-Boot does with the files on its disk.
fn boot(command: &str, image: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    let system = System {
        vms: vec![bare_metal("hyp_memory", &[1])],
        ..System::default()
    };
    let bundle = pack(&system).expect("it can be packed");
    let mut session = u_boot(directory.path(), &[image, &bundle]);
    let sectors = |bytes: &[u8]| bytes.len().div_ceil(512);
    for command in [
        "virtio scan".into(),
        format!("virtio read 0x42000000 0 {:x}", sectors(image)),
        format!("virtio read 0x46000000 {SECTORS:x} {:x}", sectors(&bundle)),
        format!(
            "{command} 0x42000000 0x46000000:{:x} ${{fdtcontroladdr}}",
            bundle.len()
        ),
    ] {
        session.expect("=> ");
        session.send(format!("{command}\n").as_bytes());
    }
    session
        .expect("Starting kernel")
        .expect("2 of 2 cores in Hyp mode")
        .expect("hyp_memory: 256 MiB")
        .expect("without translation")
        .expect("all virtual machines are off");
}

#[test]
fn u_boot_boots_it_as_a_zimage() {
    boot(
        "bootz",
        &std::fs::read(image()).expect("the image was built"),
    );
}

#[test]
fn u_boot_boots_it_as_a_uimage() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("uImage");
    let output = Command::new("mkimage")
        .args(["-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none"])
        .args(["-a", "0x50000000", "-e", "0x50000000", "-n", "skep", "-d"])
        .args([&image(), &path])
        .output();
    assert!(output.expect("u-boot-tools is installed").status.success());
    boot("bootm", &std::fs::read(&path).expect("mkimage wrote it"));
}
