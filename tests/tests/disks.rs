//! Disks of both formats under Linux: what a guest flushed survives everything, and what it must not
//! change stays as it is.

use skep_disk::{Access, Disk, Format, Image};
use skep_tests::{Session, assert_refused, file, run, skep_path, stderr, stdout};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A new image in a directory, whose name tells its format.
fn image(directory: &TempDir, name: &str, size: u64) -> String {
    let path = directory.path().join(name);
    skep_disk::create(&path, size, Format::of_name(&path)).expect("a new image");
    path.to_str().expect("a path of this test").to_owned()
}

/// Runs a script in the default guest with these disks; what it prints.
fn script(disks: &[&str], script: &str) -> String {
    let mut words = vec!["run"];
    for disk in disks {
        words.extend(["--disk", disk]);
    }
    let output = run(&[&words, &["--", "sh", "-c", script][..]].concat(), b"");
    let status = output.status.code();
    assert_eq!(status, Some(0), "{}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

/// The first bytes of a disk, read without a guest.
fn contents(path: &str, len: usize) -> Vec<u8> {
    let image = Image::open(&Disk {
        access: Access::ReadOnly,
        ..Disk::new(path)
    });
    let mut bytes = vec![0; len];
    let read = image.expect("an image").read_at(&mut bytes, 0);
    read.expect("the image can be read");
    bytes
}

/// What `seq 1 1000000` prints, its first bytes.
fn numbers(len: usize) -> Vec<u8> {
    let mut text = String::new();
    for number in 1..=1_000_000 {
        if text.len() >= len {
            break;
        }
        text += &format!("{number}\n");
    }
    text.truncate(len);
    text.into_bytes()
}

/// Asserts that QEMU, where it is installed, finds nothing wrong with a qcow2 image but perhaps
/// clusters that nobody uses, if that may be.
fn assert_consistent(path: &str, leaks: bool) {
    let checked = Command::new("qemu-img").args(["check", path]).output();
    let Ok(output) = checked else {
        return;
    };
    let good = match output.status.code() {
        Some(0) => true,
        Some(3) => leaks,
        _ => false,
    };
    assert!(good, "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_killed_process_loses_nothing_that_was_flushed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disks = [
        image(&directory, "raw.img", 256 * MIB),
        image(&directory, "sparse.qcow2", 256 * MIB),
    ];
    let write = "for disk in vda vdb; do \
                 seq 1 1000000 | dd of=/dev/$disk bs=64k count=96 iflag=fullblock conv=fsync 2>/dev/null; \
                 done; echo flushed; \
                 while :; do for disk in vda vdb; do \
                 dd if=/dev/zero of=/dev/$disk bs=60k seek=137 count=3000 2>/dev/null; \
                 sync; echo more; blkdiscard -o 9000960 -l 30001152 /dev/$disk; done; done";
    for moment in [0, 300] {
        let words = ["run", "--disk", &disks[0], "--disk", &disks[1]];
        let mut session = Session::start(&[&words[..], &["--", "sh", "-c", write]].concat());
        session.expect("flushed\n");
        if moment > 0 {
            session.expect("more\n");
        }
        std::thread::sleep(Duration::from_millis(moment));
        // SIGKILL, in the middle of it.
        drop(session);
        let len = 96 * (64 << 10);
        for disk in &disks {
            assert!(contents(disk, len) == numbers(len), "{disk} after {moment}");
        }
        assert_consistent(&disks[1], true);
        // It can be written on: this looks at all its tables.
        let image = Image::open(&Disk::new(&disks[1])).expect("an image that is in order");
        image.write_at(&[1; 4096], 250 * MIB).expect("a write");
        drop(image);
        assert_consistent(&disks[1], true);
    }
}

#[test]
fn what_was_written_and_not_flushed_survives_an_orderly_end() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = image(&directory, "a.qcow2", 16 * MIB);
    let write = "seq 1 1000000 | dd of=/dev/vda bs=64k count=32 iflag=fullblock 2>/dev/null; \
                 echo written; sleep 1000";
    let words = ["run", "--disk", &disk, "--", "sh", "-c", write];
    let mut session = Session::start(&words);
    session.expect("written\n");
    session.interrupt();
    assert_eq!(session.finish().status.code(), Some(130));
    assert!(contents(&disk, 2 << 20) == numbers(2 << 20));
    assert_consistent(&disk, false);
}

#[test]
fn file_systems_survive_a_reboot() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disks = [
        image(&directory, "a.qcow2", 64 * MIB),
        image(&directory, "b.img", 64 * MIB),
    ];
    let disks = disks.each_ref().map(String::as_str);
    let mounts = "modprobe ext4; mkdir -p /a /b; mount -t ext4 /dev/vda /a && \
                  mount -t ext4 /dev/vdb /b && ";
    let first = format!(
        "for disk in vda vdb; do mke2fs -F /dev/$disk >/dev/null 2>&1; done; {mounts} \
         seq 1 300000 >/a/numbers && cp /a/numbers /b && md5sum <</a/numbers && umount /a /b"
    )
    .replace("<</a", "</a");
    let sum = script(&disks, &first);
    let second =
        format!("{mounts} md5sum </a/numbers && cmp /a/numbers /b/numbers && umount /a /b");
    assert_eq!(script(&disks, &second), sum);
    assert_consistent(disks[0], false);
    // The image has what was written, and not the disk's size.
    let found = run(&["image", "info", disks[0], "--json"], b"");
    let found: serde_json::Value = serde_json::from_str(&stdout(&found)).expect("JSON");
    assert_eq!(found["format"], "qcow2");
    assert_eq!(found["size"], 64 * MIB);
    assert_eq!(found["cluster_size"], 64 << 10);
    let length = found["length"].as_u64().expect("a number");
    assert!((2 * MIB..48 * MIB).contains(&length), "{length}");
}

#[test]
fn temporary_and_protected_disks_leave_their_images_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let raw = file(directory.path(), "a.img", &numbers(4 << 20));
    let sparse = image(&directory, "b.qcow2", 4 * MIB);
    let same = Image::open(&Disk::new(&sparse)).expect("an image");
    same.write_at(&numbers(4 << 20), 0).expect("a write");
    drop(same);
    let before = [&raw, &sparse].map(|path| std::fs::read(path).expect("the image"));
    let disks = [&raw, &sparse].map(|path| format!("{path},temporary"));
    let text = script(
        &[&disks[0], &disks[1], &format!("{raw},readonly")],
        "for disk in vda vdb; do \
         head -n 3 /dev/$disk; \
         yes changed | dd of=/dev/$disk bs=1k count=999 iflag=fullblock seek=7 conv=fsync 2>/dev/null; \
         blkdiscard -o 2097152 -l 1048576 /dev/$disk; echo 3 >/proc/sys/vm/drop_caches; \
         dd if=/dev/$disk bs=1k skip=7 count=1 2>/dev/null | head -n 2; done; \
         cmp /dev/vda /dev/vdb && echo same; \
         dd if=/dev/zero of=/dev/vdc bs=512 count=1 2>/dev/null || head -n 1 /dev/vdc",
    );
    let each = "1\n2\n3\nchanged\nchanged\n";
    assert_eq!(text, format!("{each}{each}same\n1\n"));
    for (path, before) in [&raw, &sparse].into_iter().zip(before) {
        let after = std::fs::read(path).expect("the image is still there");
        assert!(after == before, "{path} has changed");
    }
}

#[test]
fn discards_give_the_host_its_room_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disks = [
        image(&directory, "a.img", 32 * MIB),
        image(&directory, "b.qcow2", 32 * MIB),
    ];
    let allocated = |path: &str| std::fs::metadata(path).expect("the image").blocks() * 512;
    let text = script(
        &disks.each_ref().map(String::as_str),
        "for disk in vda vdb; do \
         yes | dd of=/dev/$disk bs=1M count=24 iflag=fullblock conv=fsync 2>/dev/null; \
         blkdiscard -o 1048576 -l 16777216 /dev/$disk; \
         dd if=/dev/$disk bs=1M skip=17 count=1 2>/dev/null | head -n 1; \
         dd if=/dev/$disk bs=1M skip=2 count=14 2>/dev/null | tr -d '\\000' | wc -c; done; \
         yes | dd of=/dev/vdb bs=1M seek=1 count=8 iflag=fullblock conv=fsync 2>/dev/null",
    );
    assert_eq!(text, "y\n0\ny\n0\n");
    let raw = allocated(&disks[0]);
    assert!(raw <= 9 * MIB, "{raw}");
    // Its clusters were free to be used again.
    let length = std::fs::metadata(&disks[1]).expect("the image").len();
    assert!(length <= 25 * MIB, "{length}");
    assert_consistent(&disks[1], false);
}

#[test]
fn errors_of_the_host_are_the_guests() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = image(&directory, "full.img", 4096 * MIB);
    let other = image(&directory, "other.img", 4 * MIB);
    // The host refuses what lies beyond 2 GiB, as a full disk would.
    let limited = "trap '' XFSZ; ulimit -f 4194304; exec \"$0\" \"$@\"";
    let guest = "dd if=/dev/zero of=/dev/vda bs=1M count=8 conv=fsync 2>/dev/null && echo written; \
                 for seek in 4000 5000; do \
                 dd if=/dev/zero of=/dev/vda bs=64k count=1 seek=${seek}0 conv=fsync 2>/dev/null || \
                 echo refused; done; \
                 echo other | dd of=/dev/vdb conv=fsync 2>/dev/null && echo written";
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(skep_path());
    command.args(["run", "--disk", &disk, "--disk", &other, "--", "sh", "-c"]);
    let mut session = Session::spawn({
        command.arg(guest);
        command
    });
    session.end_input();
    let output = session.finish();
    assert_eq!(
        stdout(&output),
        "written\nrefused\nrefused\nwritten\n",
        "{}",
        stderr(&output)
    );
    let errors = stderr(&output);
    assert_eq!(errors.matches("full.img can't be written").count(), 1);
    assert!(errors.contains("large") && !errors.contains("other.img"));
    assert_eq!(contents(&other, 6), b"other\n");
}

#[test]
fn images_are_made_and_looked_at() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| -> PathBuf { directory.path().join(name) };
    let text = |path: &Path| path.to_str().expect("a path of this test").to_owned();
    let (raw, sparse) = (text(&path("a.img")), text(&path("b")));
    let made = run(&["image", "create", &raw, "--size", "3M"], b"");
    assert_eq!(
        (made.status.code(), stderr(&made)),
        (Some(0), String::new())
    );
    let words = [
        "image", "create", &sparse, "--size", "2G", "--format", "qcow2",
    ];
    assert_eq!(run(&words, b"").status.code(), Some(0));
    assert_consistent(&sparse, false);
    let shown = stdout(&run(&["image", "info", &raw], b""));
    assert!(shown.contains("raw") && shown.contains("3 MiB"), "{shown}");
    let shown = stdout(&run(&["image", "info", &sparse, "--format", "qcow2"], b""));
    assert!(
        shown.contains("2 GiB") && shown.contains("64 KiB"),
        "{shown}"
    );
    assert_refused(
        &run(&["image", "create", &raw, "--size", "4M"], b""),
        &["it exists", "choose another name"],
    );
    for (disk, size, was) in [(&raw, "5M", "3 MiB"), (&sparse, "3G", "2 GiB")] {
        let format = if disk == &raw { "raw" } else { "qcow2" };
        let resized = run(&["image", "resize", disk, size, "--format", format], b"");
        let said = stdout(&resized);
        assert!(said.contains(was), "{said}{}", stderr(&resized));
        assert_refused(
            &run(&["image", "resize", disk, "1M", "--format", format], b""),
            &["can't be resized", "a disk can only grow"],
        );
    }
    assert_consistent(&sparse, false);
    let missing = text(&path("none"));
    assert_refused(&run(&["image", "info", &missing], b""), &["does not exist"]);
    // The format is not looked for in the contents.
    let disk = |option: &str| {
        run(
            &["run", "--disk", &format!("{sparse}{option}"), "--", "true"],
            b"",
        )
    };
    assert_refused(&disk(""), &[",format=qcow2 or ,format=raw"]);
    assert_refused(&disk(",format=vmdk"), &["format=raw or format=qcow2"]);
    assert_eq!(disk(",format=qcow2").status.code(), Some(0));
}

#[test]
fn the_image_store_is_listed_for_programs() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let images = directory.path().join("skep/images");
    std::fs::create_dir_all(&images).expect("a directory of this test");
    let one = images.join("one.qcow2");
    skep_disk::create(&one, 64 * MIB, Format::Qcow2).expect("an image");
    file(&images, "two.qcow2", b"broken");
    let mut command = Command::new(skep_path());
    command.args(["image", "ls", "--json"]);
    command.env("XDG_DATA_HOME", directory.path());
    let output = command.output().expect("skep starts");
    let found: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let two = images.join("two.qcow2");
    let expected = serde_json::json!([
        { "name": "one", "path": one, "size": 64 * MIB, "allocated": found[0]["allocated"] },
        { "name": "two", "path": two, "size": null, "allocated": null },
    ]);
    assert_eq!(found, expected);
    let allocated = found[0]["allocated"].as_u64().expect("a number");
    assert!((1..2 * MIB).contains(&allocated), "{allocated}");
}
