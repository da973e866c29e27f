//! Disks and consoles by virtio: in memory, and on the board's own disk.

use skep_bundle::{Console, Contents, Disk};
use skep_hyp::guest::Request;
use skep_tests::Session;

use crate::devices::board_tree;
use crate::{Files, VIRT, described, start_with};

/// What no guest has seen before.
fn pattern(length: usize, mut seed: u32) -> Vec<u8> {
    std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as u8
    })
    .take(length)
    .collect()
}

fn in_memory(file: Vec<u8>, size: u32, read_only: bool) -> Disk<Vec<u8>> {
    Disk {
        contents: Contents::Memory { file, size },
        read_only,
    }
}

fn on_board(start: u64, size: u64, read_only: bool) -> Disk<Vec<u8>> {
    Disk {
        contents: Contents::Board {
            disk: 0,
            start,
            size,
        },
        read_only,
    }
}

/// Has a guest's shell do something, and waits for what it prints.
fn shell(session: &mut Session, command: &str, expected: &str) {
    session.expect("~# ");
    session.send(format!("{command}\n").as_bytes());
    session.expect(expected);
}

/// The board's disk, as QEMU has it.
fn drive(path: &str) -> [String; 4] {
    [
        "-drive".into(),
        format!("if=none,id=disk,format=raw,file={path}"),
        "-device".into(),
        "virtio-blk-device,drive=disk".into(),
    ]
}

const MIB: usize = 1 << 20;

/// What the guest's crc32 prints.
fn sum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

#[test]
fn linux_uses_disks_and_a_console() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = skep_tests::file(directory.path(), "disk", &pattern(6 * MIB, 1));
    let before = pattern(6 * MIB, 1);
    let files = Files::linux();
    let disks = [
        in_memory(pattern(100_000, 2), MIB as u32, false),
        in_memory(pattern(MIB, 3), MIB as u32, true),
        on_board(MIB as u64, 2 * MIB as u64, false),
        on_board(4 * MIB as u64, 0, true),
    ];
    let linux = Request {
        cmdline: "console=hvc0 quiet skep.modules=virtio_blk,virtio_console,ext4",
        console: Console::Virtio,
        disks: &disks,
        ..files.request()
    };
    let system = described(&[linux], None);
    let drive = drive(&path);
    let drive: Vec<&str> = drive.iter().map(String::as_str).collect();
    let (mut session, _bundle) = start_with(&system, &drive);
    let guest = &mut session;
    let all = "for d in a b c d; do \
               echo $(blockdev --getsize64 /dev/vd$d) $(blockdev --getro /dev/vd$d); done; \
               cat /proc/consoles";
    shell(guest, all, "1048576 0");
    guest
        .expect("1048576 1")
        .expect("2097152 0")
        .expect("2097152 1")
        .expect("hvc0");
    let mut first = pattern(100_000, 2);
    first.resize(MIB, 0);
    for (disk, expected) in [
        ("a", sum(&first)),
        ("b", sum(&pattern(MIB, 3))),
        ("c", sum(&before[MIB..3 * MIB])),
        ("d", sum(&before[4 * MIB..])),
    ] {
        shell(guest, &format!("crc32 /dev/vd{disk}"), &expected);
    }
    // What is written is read back past the guest's cache.
    let copy = "dd if=/dev/vdb of=/dev/vda bs=64k conv=fsync 2>/dev/null; \
                echo 3 >/proc/sys/vm/drop_caches; crc32 /dev/vda";
    shell(guest, copy, &sum(&pattern(MIB, 3)));
    shell(
        guest,
        "dd if=/dev/vda of=/dev/vdb count=1",
        "Operation not permitted",
    );
    shell(
        guest,
        "dd if=/dev/vda of=/dev/vdd count=1",
        "Operation not permitted",
    );
    // A file system on the board's disk.
    let make = "mke2fs /dev/vdc >/dev/null 2>&1; mount -t ext4 /dev/vdc /mnt && \
                dd if=/dev/vdb of=/mnt/file bs=64k conv=fsync 2>/dev/null; umount /mnt; \
                echo 3 >/proc/sys/vm/drop_caches; mount -t ext4 /dev/vdc /mnt; crc32 /mnt/file";
    shell(guest, make, &sum(&pattern(MIB, 3)));
    shell(guest, "umount /mnt; sync; poweroff -f", "linux: off");
    assert!(session.finish().status.success());

    let after = std::fs::read(&path).expect("the disk is there");
    assert_eq!(after[..MIB], before[..MIB]);
    assert_eq!(after[3 * MIB..], before[3 * MIB..]);
    // The magic number of the second extended file system.
    assert_eq!(after[MIB + 1024 + 56..][..2], [0x53, 0xef]);
}

/// Processor time that a process has taken, seconds.
fn processor_time(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    // USER_HZ.
    f64::from(ticks) / 100.0
}

/// What it takes QEMU to read from a board's disk that does few requests in a second.
fn slow_reads(interrupts: bool) -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("disk").display().to_string();
    std::fs::write(&path, pattern(MIB, 1)).expect("writable");
    let dtb = directory.path().join("dtb").display().to_string();
    let (files, disks) = (Files::linux(), [on_board(0, 0, true)]);
    let linux = Request {
        cores: &[0],
        cmdline: "console=ttyAMA0 quiet skep.modules=virtio_blk",
        disks: &disks,
        ..files.request()
    };
    let system = described(&[linux], None);
    let [a, drive, c, d] = drive(&path);
    let slow = format!("{drive},throttling.iops-total=10");
    let mut arguments = vec![a.as_str(), &slow, &c, &d];
    if !interrupts {
        let mut tree = board_tree(VIRT);
        for node in &mut tree.root.children {
            if node.name.starts_with("virtio_mmio") {
                node.properties
                    .retain(|property| property.name != "interrupts");
            }
        }
        std::fs::write(&dtb, tree.to_bytes()).expect("writable");
        arguments.extend(["-dtb", &dtb]);
    }
    let (mut session, _directory) = start_with(&system, &arguments);
    let way = if interrupts {
        "1024 KiB, with an interrupt"
    } else {
        "1024 KiB, polled"
    };
    session.expect(way);
    // The kernel has looked for partitions: nothing else goes on.
    shell(&mut session, "sleep 1; echo re''ady", "ready");
    let before = processor_time(session.id());
    // 16 requests at least.
    let read = "dd if=/dev/vda bs=16k skip=32 count=16 2>/dev/null | crc32";
    let expected = sum(&pattern(MIB, 1)[MIB / 2..][..MIB / 4]);
    shell(&mut session, read, &expected);
    processor_time(session.id()) - before
}

#[test]
fn a_core_sleeps_until_the_boards_disk_interrupts() {
    let (asleep, awake) = (slow_reads(true), slow_reads(false));
    eprintln!("{asleep:.2} s of processor time asleep, {awake:.2} s polling");
    assert!(2.0 * asleep < awake, "{asleep} s and {awake} s");
}
