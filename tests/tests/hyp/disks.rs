//! Disks and consoles by virtio: in memory, and on the board's own disk.

use skep_bundle::{Console, Contents, Disk};
use skep_hyp::guest::{Request, SystemRequest, describe_system};
use skep_tests::Session;

use crate::start_with;

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

#[test]
fn linux_uses_disks_and_a_console() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = skep_tests::file(directory.path(), "disk", &pattern(6 * MIB, 1));
    let before = pattern(6 * MIB, 1);
    let files = skep_tests::default_guest();
    let read = |path| std::fs::read(path).expect("the default guest is there");
    let (kernel, initrd) = (read(&files.kernel), read(&files.initrd));
    let disks = [
        in_memory(pattern(100_000, 2), MIB as u32, false),
        in_memory(pattern(MIB, 3), MIB as u32, true),
        on_board(MIB as u64, 2 * MIB as u64, false),
        on_board(4 * MIB as u64, 0, true),
    ];
    let linux = Request {
        name: "linux",
        memory_mib: 192,
        cores: &[0, 1],
        kernel: &kernel,
        initrd: Some(&initrd),
        cmdline: "console=hvc0 quiet skep.modules=virtio_blk,virtio_console,ext4",
        console: Console::Virtio,
        disks: &disks,
        ..Request::default()
    };
    let system = describe_system(&SystemRequest {
        vms: &[linux],
        ..SystemRequest::default()
    });
    let drive = drive(&path);
    let drive: Vec<&str> = drive.iter().map(String::as_str).collect();
    let (mut session, _bundle) = start_with(&system.expect("it can be described"), &drive);
    let sum = |bytes: &[u8]| format!("{:08x}", crc32fast::hash(bytes));
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
