//! Images of both formats, as a disk uses them.

use super::*;
use std::fs;
use std::os::unix::fs::MetadataExt;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A new image in a directory: `name` tells its format.
fn new(directory: &TempDir, name: &str, size: u64) -> Disk {
    let path = directory.path().join(name);
    create(&path, size, Format::of_name(&path)).unwrap();
    Disk::new(path)
}

fn read(image: &Image, offset: u64, len: usize) -> Vec<u8> {
    let mut buf = vec![0xee; len];
    image.read_at(&mut buf, offset).unwrap();
    buf
}

fn refusal(disk: &Disk) -> String {
    match Image::open(disk) {
        Ok(_) => panic!("{disk:?} is opened"),
        Err(error) => error.to_string(),
    }
}

fn with(disk: &Disk, access: Access) -> Disk {
    Disk {
        access,
        ..disk.clone()
    }
}

#[test]
fn formats_by_name() {
    for (name, format) in [
        ("a.qcow2", Format::Qcow2),
        ("a.QCOW2", Format::Qcow2),
        ("a.img", Format::Raw),
        ("qcow2", Format::Raw),
        ("a.qcow2.img", Format::Raw),
    ] {
        assert_eq!(Format::of_name(Path::new(name)), format, "{name}");
    }
    assert_eq!(Format::named("qcow2"), Some(Format::Qcow2));
    assert_eq!(Format::named("vmdk"), None);
}

#[test]
fn images_keep_what_is_written() {
    let directory = directory();
    for name in ["a.img", "a.qcow2"] {
        let disk = new(&directory, name, 4 * MIB);
        let image = Image::open(&disk).unwrap();
        assert_eq!((image.len(), image.read_only()), (4 * MIB, false));
        assert_eq!(read(&image, 0, 4096), [0; 4096]);
        image.write_at(&[1; 512], 512).unwrap();
        image.write_at(&[2; 70_000], MIB - 512).unwrap();
        image.write_at(&[3; 512], 4 * MIB - 512).unwrap();
        image.flush().unwrap();
        drop(image);
        let image = Image::open(&disk).unwrap();
        assert_eq!(
            read(&image, 0, 1536),
            [[0; 512], [1; 512], [0; 512]].concat()
        );
        assert_eq!(read(&image, MIB - 513, 70_002)[..2], [0, 2]);
        assert_eq!(read(&image, MIB - 513, 70_002)[70_000..], [2, 0]);
        assert_eq!(read(&image, 4 * MIB - 512, 512), [3; 512]);
    }
}

#[test]
fn ranges_outside_are_refused() {
    let directory = directory();
    for name in ["a.img", "a.qcow2"] {
        let disk = new(&directory, name, MIB);
        let image = Image::open(&disk).unwrap();
        for offset in [MIB, MIB - 511, u64::MAX, u64::MAX - 511] {
            assert!(image.read_at(&mut [0; 512], offset).is_err());
            assert!(!image.read_now(&mut [0; 512], offset));
            assert!(image.write_at(&[0; 512], offset).is_err());
            assert!(image.discard(offset, 512).is_err());
            assert!(image.write_zeroes(offset, 512, true).is_err());
        }
        assert_eq!(fs::metadata(&disk.path).unwrap().len() % 512, 0);
        drop(image);
        let image = Image::open(&with(&disk, Access::ReadOnly)).unwrap();
        assert!(image.read_only());
        assert!(image.write_at(&[0; 512], 0).is_err());
        assert!(image.discard(0, 512).is_err());
        assert!(image.write_zeroes(0, 512, false).is_err());
        image.flush().unwrap();
    }
}

#[test]
fn what_the_host_has_in_memory_is_read_at_once() {
    let directory = directory();
    let image = Image::open(&new(&directory, "a.img", MIB)).unwrap();
    image.write_at(&[7; 4096], 4096).unwrap();
    let mut buf = [0; 4096];
    // Some file systems can't tell.
    if image.read_now(&mut buf, 4096) {
        assert_eq!(buf, [7; 4096]);
    }
}

#[test]
fn discards_give_room_back() {
    let directory = directory();
    for name in ["a.img", "a.qcow2"] {
        let disk = new(&directory, name, 12 * MIB);
        let room = || fs::metadata(&disk.path).unwrap().blocks() * 512;
        let image = Image::open(&disk).unwrap();
        let empty = room();
        image.write_at(&vec![5; 8 << 20], 0).unwrap();
        image.flush().unwrap();
        let full = room();
        assert!(full >= empty + 8 * MIB, "{name}: {empty} {full}");
        image.discard(MIB, 4 * MIB).unwrap();
        image.write_zeroes(6 * MIB, MIB, true).unwrap();
        image.write_zeroes(7 * MIB + 512, 1024, false).unwrap();
        image.flush().unwrap();
        // Tables may take a little more than before.
        let slack = if disk.format() == Format::Raw {
            0
        } else {
            64 << 10
        };
        assert!(
            room() <= full - 5 * MIB + slack,
            "{name}: {full} {}",
            room()
        );
        // The file has room for as much, then. (In a qcow2 image, clusters are free.)
        image.write_at(&vec![6; 4 << 20], 8 * MIB).unwrap();
        image.flush().unwrap();
        assert!(room() <= full + (64 << 10), "{name}: {full} {}", room());
        drop(image);
        let image = Image::open(&disk).unwrap();
        assert_eq!(read(&image, MIB - 1, 1), [5]);
        assert_eq!(read(&image, 5 * MIB, 1), [5]);
        assert!(read(&image, 6 * MIB, 1 << 20) == vec![0; 1 << 20]);
        assert_eq!(
            read(&image, 7 * MIB, 2048),
            [[5; 512], [0; 512], [0; 512], [5; 512]].concat()
        );
    }
}

#[test]
fn zeros_in_parts_of_clusters() {
    let directory = directory();
    for name in ["a.img", "a.qcow2"] {
        let image = Image::open(&new(&directory, name, MIB)).unwrap();
        image.write_at(&vec![9; 1 << 20], 0).unwrap();
        for unmap in [false, true] {
            image.write_zeroes(100 * 512, 200 * 512, unmap).unwrap();
            assert_eq!(read(&image, 100 * 512 - 1, 2), [9, 0]);
            assert_eq!(read(&image, 300 * 512 - 1, 2), [0, 9]);
            assert!(read(&image, 100 * 512, 200 * 512) == vec![0; 200 * 512]);
            image.write_at(&vec![9; 200 * 512], 100 * 512).unwrap();
        }
    }
}

#[test]
fn temporary_disks_leave_the_image_alone() {
    let directory = directory();
    for name in ["a.img", "a.qcow2"] {
        let disk = new(&directory, name, 2 * MIB);
        let image = Image::open(&disk).unwrap();
        image.write_at(&[1; 4096], 64 << 10).unwrap();
        image.flush().unwrap();
        drop(image);
        let before = fs::read(&disk.path).unwrap();
        let modified = fs::metadata(&disk.path).unwrap().mtime_nsec();
        let temporary = with(&disk, Access::Temporary);
        let image = Image::open(&temporary).unwrap();
        assert_eq!((image.len(), image.read_only()), (2 * MIB, false));
        image.write_at(&[2; 512], (64 << 10) + 512).unwrap();
        image.write_at(&[3; 512], 2 * MIB - 512).unwrap();
        image.discard(128 << 10, 64 << 10).unwrap();
        image.flush().unwrap();
        assert_eq!(
            read(&image, 64 << 10, 1536),
            [[1; 512], [2; 512], [1; 512]].concat()
        );
        assert_eq!(read(&image, 2 * MIB - 512, 512), [3; 512]);
        // Another machine may use it at the same time.
        let other = Image::open(&temporary).unwrap();
        assert_eq!(read(&other, 2 * MIB - 512, 512), [0; 512]);
        drop((image, other));
        assert!(
            fs::read(&disk.path).unwrap() == before,
            "{name} has changed"
        );
        let after = fs::metadata(&disk.path).unwrap().mtime_nsec();
        assert_eq!(after, modified);
    }
}

#[test]
fn images_are_locked() {
    let directory = directory();
    for name in ["a.img", "a.qcow2"] {
        let disk = new(&directory, name, MIB);
        let first = Image::open(&disk).unwrap();
        for access in [Access::Write, Access::ReadOnly, Access::Temporary] {
            let text = refusal(&with(&disk, access));
            assert!(text.contains("another program"), "{name}: {text}");
        }
        drop(first);
        let readers = [Access::ReadOnly, Access::Temporary].map(|access| with(&disk, access));
        let readers = readers.map(|disk| Image::open(&disk).unwrap());
        assert!(refusal(&disk).contains("another program"));
        drop(readers);
        Image::open(&disk).unwrap();
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let missing = refusal(&Disk::new(path("none.img")));
    assert!(missing.contains("skep image create"), "{missing}");
    assert!(refusal(&Disk::new(directory.path())).contains("directory"));
    assert!(refusal(&Disk::new("/dev/null")).contains("neither a file"));
    fs::write(path("odd.img"), [0; 1000]).unwrap();
    assert!(refusal(&Disk::new(path("odd.img"))).contains("1000 bytes"));
    fs::write(path("empty.img"), []).unwrap();
    assert!(refusal(&Disk::new(path("empty.img"))).contains("0 bytes"));
    fs::write(path("no.qcow2"), [0; 1024]).unwrap();
    assert!(refusal(&Disk::new(path("no.qcow2"))).contains("no qcow2 image"));
    assert!(refusal(&Disk::new(path("none.qcow2"))).contains("does not exist"));
}

#[test]
fn contents_do_not_tell_the_format() {
    let directory = directory();
    let qcow2 = new(&directory, "a.qcow2", MIB);
    let named = directory.path().join("a.img");
    fs::copy(&qcow2.path, &named).unwrap();
    for access in [Access::Write, Access::ReadOnly, Access::Temporary] {
        let disk = with(&Disk::new(&named), access);
        let text = refusal(&disk);
        assert!(text.contains(",format=qcow2 or ,format=raw"), "{text}");
        let length = fs::metadata(&named).unwrap().len();
        for (format, len) in [(Format::Raw, length), (Format::Qcow2, MIB)] {
            let disk = Disk {
                format: Some(format),
                ..disk.clone()
            };
            assert_eq!(Image::open(&disk).unwrap().len(), len);
        }
    }
}

/// Makes `base` the backing file of a qcow2 image, as its header says it.
fn rebase(path: &Path, base: &str, format: Option<&str>) {
    let mut bytes = fs::read(path).unwrap();
    let mut at = 104;
    if let Some(format) = format {
        bytes[at..at + 4].copy_from_slice(&0xe279_2acau32.to_be_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&(format.len() as u32).to_be_bytes());
        bytes[at + 8..at + 8 + format.len()].copy_from_slice(format.as_bytes());
        at += 8 + format.len().next_multiple_of(8);
    }
    bytes[at..at + 8].fill(0);
    at += 8;
    bytes[100..104].copy_from_slice(&104u32.to_be_bytes());
    bytes[8..16].copy_from_slice(&(at as u64).to_be_bytes());
    bytes[16..20].copy_from_slice(&(base.len() as u32).to_be_bytes());
    bytes[at..at + base.len()].copy_from_slice(base.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn backing_files_are_opened_only_when_that_is_allowed() {
    let directory = directory();
    let base = new(&directory, "base.img", MIB);
    Image::open(&base).unwrap().write_at(&[6; 512], 0).unwrap();
    let top = new(&directory, "top.qcow2", MIB);
    for format in [None, Some("raw")] {
        rebase(&top.path, "base.img", format);
        for access in [Access::Write, Access::ReadOnly, Access::Temporary] {
            let disk = with(&top, access);
            let text = refusal(&disk);
            assert!(text.contains("base.img") && text.contains(",backing=allow"));
            let disk = Disk {
                backing: true,
                ..disk
            };
            let image = Image::open(&disk).unwrap();
            assert_eq!(read(&image, 0, 1024), [[6; 512], [0; 512]].concat());
        }
    }
    let found = info(&top.path, None).unwrap();
    assert_eq!(found.backing.as_deref(), Some("base.img"));
    let top = Disk {
        backing: true,
        ..top
    };
    for (base, format, why) in [
        ("/etc/passwd", Some("vmdk"), "neither raw nor qcow2"),
        ("/no/such/file", None, "does not exist"),
        ("/dev/null", None, "neither a file"),
        ("/dev/zero", Some("raw"), "neither a file"),
        ("base.img", Some("qcow2"), "no qcow2 image"),
        ("top.qcow2", None, "another program"),
    ] {
        rebase(&top.path, base, format);
        let text = refusal(&top);
        assert!(text.contains(why) && text.contains(base), "{text}");
    }
    // Its own base, so that it never ends.
    let text = refusal(&with(&top, Access::ReadOnly));
    assert!(text.contains("too many images"), "{text}");
}

#[test]
fn images_that_can_not_be_made() {
    let directory = directory();
    let path = directory.path().join("a.img");
    for size in [0, 511, 513, u64::MAX, 1 << 60] {
        let error = create(&path, size, Format::Raw).unwrap_err();
        assert!(matches!(error, Error::Size(_)), "{error}");
        assert!(!path.exists());
    }
    create(&path, MIB, Format::Raw).unwrap();
    for format in [Format::Raw, Format::Qcow2] {
        let error = create(&path, MIB, format).unwrap_err();
        assert!(matches!(error, Error::Exists), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), vec![0; 1 << 20]);
    let error = create(&path.join("b"), MIB, Format::Raw).unwrap_err();
    assert!(!error.to_string().is_empty());
    let error = create(&directory.path().join("no/b"), MIB, Format::Raw).unwrap_err();
    assert!(matches!(error, Error::NoDirectory), "{error}");
}

#[test]
fn headers_that_can_not_be_used() {
    let directory = directory();
    let disk = new(&directory, "a.qcow2", MIB);
    let good = fs::read(&disk.path).unwrap();
    for (at, bytes, why) in [
        (4, &[0, 0, 0, 4][..], "version 4"),
        (20, &[0, 0, 0, 8], "cluster size"),
        (20, &[0, 0, 0, 22], "cluster size"),
        (20, &[0, 0, 0, 77], "cluster size"),
        (24, &[0xff; 8], "disk size"),
        (24, &[0; 8], "disk size"),
        (24, &[0, 0x10, 0, 0, 0, 0, 0, 0], "first-level table"),
        (32, &[0, 0, 0, 1], "encrypted"),
        (36, &[0x7f, 0xff, 0xff, 0xff], "first-level table"),
        (36, &[0; 4], "first-level table"),
        (56, &[0xff; 4], "reference counts"),
        (72, &[0, 0, 0, 0, 0, 0, 0, 4], "in another file"),
        (72, &[0, 0, 0, 0, 0, 0, 0, 2], "corrupt"),
        (72, &[0x80, 0, 0, 0, 0, 0, 0, 0], "qemu-img check"),
        (40, &[0, 0, 0, 0, 0, 0, 0, 1], "qemu-img check"),
        (40, &[0xff; 8], "qemu-img check"),
        (100, &[0xff; 4], "qemu-img check"),
    ] {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&disk.path, bad).unwrap();
        let text = refusal(&disk);
        assert!(text.contains(why), "{at}: {text}");
    }
}

#[test]
fn images_grow() {
    let directory = directory();
    for name in ["a.img", "a.qcow2"] {
        let disk = new(&directory, name, 3 * MIB);
        let image = Image::open(&disk).unwrap();
        image.write_at(&[8; 4096], 3 * MIB - 4096).unwrap();
        let error = grow(&disk.path, 4 * MIB, None).unwrap_err();
        assert!(matches!(error, Error::Locked), "{error}");
        drop(image);
        // More than one table of the first level.
        for size in [5 * MIB, 3 << 30, 100 << 30] {
            let before = Image::open(&disk).unwrap().len();
            assert_eq!(grow(&disk.path, size, None).unwrap(), before);
            let image = Image::open(&disk).unwrap();
            assert_eq!(image.len(), size);
            assert_eq!(
                read(&image, 3 * MIB - 4096, 8192),
                [[8; 4096], [0; 4096]].concat()
            );
            assert_eq!(read(&image, size - 512, 512), [0; 512]);
            image.write_at(&[4; 512], size - 512).unwrap();
        }
        assert!(fs::metadata(&disk.path).unwrap().blocks() * 512 < 2 * MIB);
        assert_eq!(grow(&disk.path, 100 << 30, None).unwrap(), 100 << 30);
        let error = grow(&disk.path, 99 << 30, None).unwrap_err().to_string();
        assert!(error.contains("a disk can only grow"), "{error}");
        for size in [0, 513, u64::MAX - 511] {
            let error = grow(&disk.path, size, None).unwrap_err();
            assert!(matches!(error, Error::Size(_)), "{error}");
        }
    }
}

#[test]
fn what_grows_hides_a_longer_base() {
    let directory = directory();
    let base = new(&directory, "base.img", 2 * MIB);
    let image = Image::open(&base).unwrap();
    image.write_at(&vec![7; 2 << 20], 0).unwrap();
    drop(image);
    let disk = new(&directory, "a.qcow2", MIB);
    rebase(&disk.path, "base.img", Some("raw"));
    assert_eq!(grow(&disk.path, 2 * MIB, None).unwrap(), MIB);
    let image = Image::open(&Disk {
        backing: true,
        ..disk
    })
    .unwrap();
    assert_eq!(read(&image, MIB - 1, 2), [7, 0]);
    assert!(read(&image, MIB, 1 << 20) == vec![0; 1 << 20]);
}

#[test]
fn what_has_another_format_does_not_grow_as_a_raw_image() {
    let directory = directory();
    let disk = new(&directory, "a.qcow2", MIB);
    let path = directory.path().join("a.img");
    fs::rename(&disk.path, &path).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    let error = grow(&path, 2 * MIB, None).unwrap_err();
    assert!(matches!(error, Error::Ambiguous), "{error}");
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
    assert_eq!(grow(&path, 2 * MIB, Some(Format::Qcow2)).unwrap(), MIB);
}
