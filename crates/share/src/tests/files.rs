//! Files and directories, both ways.

use super::*;
use crate::wire::{WRITE_CACHE, open};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn files_go_both_ways() {
    let mut guest = Guest::new();
    let (file, handle) = guest.create(ROOT, "new", open::READ_WRITE).unwrap();
    assert_eq!(guest.write(handle, 0, b"from the guest"), Ok(14));
    assert_eq!(fs::read(guest.shared("new")).unwrap(), b"from the guest");
    fs::write(guest.shared("new"), "from the host").unwrap();
    assert_eq!(guest.read(handle, 5, 100).unwrap(), b"the host");
    assert_eq!(guest.read(handle, 13, 100).unwrap(), b"");
    assert_eq!(guest.stat(file.node).unwrap().size, 13);
    // Half of a read that is larger than its room is what fits.
    let body = words(&[handle, 0, 100, 0, 0]);
    assert_eq!(
        guest.ask_for(OUT_HEADER + 4, 15, 0, &body).unwrap(),
        b"from"
    );
}

#[test]
fn the_flags_of_an_open_mean_what_they_say() {
    let mut guest = Guest::new();
    fs::write(guest.shared("a"), "0123456789").unwrap();
    let node = guest.walk("a").unwrap().node;
    let reader = guest.open(node, 0).unwrap();
    assert_eq!(guest.write(reader, 0, b"x"), Err(Errno::BADF));
    let writer = guest.open(node, open::WRITE | open::APPEND).unwrap();
    assert_eq!(guest.read(writer, 0, 1), Err(Errno::BADF));
    // The guest's idea of the end may be old; what it has in its cache knows its place.
    assert_eq!(guest.write(writer, 3, b"end"), Ok(3));
    assert_eq!(guest.write_as(writer, 3, WRITE_CACHE, b"xyz"), Ok(3));
    assert_eq!(fs::read(guest.shared("a")).unwrap(), b"012xyz6789end");
    guest.open(node, open::WRITE | open::TRUNC).unwrap();
    assert_eq!(fs::read(guest.shared("a")).unwrap(), b"");
    let again = guest.create(ROOT, "a", open::WRITE | open::EXCL);
    assert_eq!(again.unwrap_err(), Errno::EXIST);
    let (same, _) = guest.create(ROOT, "a", open::WRITE).unwrap();
    assert_eq!(same.node, node);
}

#[test]
fn files_beyond_4_gib() {
    let mut guest = Guest::new();
    let (file, handle) = guest.create(ROOT, "large", open::READ_WRITE).unwrap();
    let far = 5 << 30;
    assert_eq!(guest.write(handle, far, b"far"), Ok(3));
    assert_eq!(guest.read(handle, far + 1, 9).unwrap(), b"ar");
    assert_eq!(guest.stat(file.node).unwrap().size, far + 3);
    assert_eq!(guest.set(file.node, 8, far - 1, 0).unwrap().size, far - 1);
    // Data after the hole; no offset is taken for a negative one.
    let seek = |whence| words(&[handle, 0, whence]);
    assert_eq!(guest.ask(46, file.node, &seek(3)).unwrap_err(), Errno::NXIO);
    for offset in [u64::MAX, 1 << 63, i64::MAX as u64] {
        assert!(guest.write(handle, offset, b"x").is_err());
        assert!(guest.set(file.node, 8, offset, 0).is_err() || offset == i64::MAX as u64);
    }
}

#[test]
fn attributes_are_set() {
    let mut guest = Guest::new();
    fs::write(guest.shared("a"), "0123").unwrap();
    let node = guest.walk("a").unwrap().node;
    // Mode, size and both times; and an owner, which stays.
    let seen = guest.set(node, 0x3f, 2, 0o600).unwrap();
    assert_eq!(
        (seen.mode, seen.size, seen.mtime),
        (0o100_600, 2, 1_000_000_000)
    );
    let metadata = fs::metadata(guest.shared("a")).unwrap();
    assert_eq!(
        (metadata.mtime(), metadata.mtime_nsec()),
        (1_000_000_000, 6)
    );
    assert_eq!(
        (metadata.atime(), metadata.atime_nsec()),
        (1_000_000_000, 5)
    );
    assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw());
    // The present.
    guest.set(node, 0x1b0, 0, 0).unwrap();
    assert!(fs::metadata(guest.shared("a")).unwrap().mtime() > 1_700_000_000);
    // Times of a link are its own.
    guest.symlink(ROOT, "link", "nowhere").unwrap();
    let link = guest.walk("link").unwrap().node;
    assert_eq!(guest.set(link, 0x30, 0, 0).unwrap().mtime, 1_000_000_000);
    assert_eq!(guest.set(link, 1, 0, 0o777), Err(Errno::OPNOTSUPP));
}

#[test]
fn the_hosts_user_is_the_guests_root() {
    let mut guest = Guest::new();
    let (file, _) = guest.create(ROOT, "a", open::WRITE).unwrap();
    assert_eq!((file.uid, file.gid), (0, 0));
    let own = fs::metadata(guest.shared("a")).unwrap().uid();
    assert_eq!(own, rustix::process::geteuid().as_raw());
}

#[test]
fn directories_of_any_size_are_read_in_pieces() {
    let mut guest = Guest::new();
    let count = 3000;
    for number in 0..count {
        fs::write(guest.shared(&format!("file-{number:05}")), "").unwrap();
    }
    for plus in [false, true] {
        let names = guest.names(ROOT, plus);
        assert_eq!(names.len(), count);
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
    let handle = guest.open_directory(ROOT).unwrap();
    let first = guest.list(handle, 0, 1000, false).unwrap();
    let second = guest
        .list(handle, first.last().unwrap().2, 1000, false)
        .unwrap();
    // Positions need no more than the 32 bits that programs have for them.
    assert!(second.iter().all(|(_, _, next)| *next < 1 << 31));
    // Back to a position, and to the beginning.
    let middle = first[3].2;
    let again = guest.list(handle, middle, 1000, false).unwrap();
    assert_eq!(again[0].1, first[4].1);
    assert_eq!(guest.list(handle, 0, 1000, false).unwrap(), first);
    assert_eq!(guest.list(handle, 1 << 40, 1000, false), Err(Errno::INVAL));
    // No room for even one entry is no error: the guest asks again with more.
    assert_eq!(guest.list(handle, 0, 10, false).unwrap(), []);
    assert_eq!(guest.list(handle, 0, 1000, false).unwrap(), first);
}

#[test]
fn listed_files_can_be_used_without_another_look() {
    let mut guest = Guest::new();
    fs::write(guest.shared("a"), "contents").unwrap();
    let handle = guest.open_directory(ROOT).unwrap();
    let entries = guest.list(handle, 0, 4096, true).unwrap();
    let (known, _, _) = entries.iter().find(|(_, name, _)| name == b"a").unwrap();
    let node = known.unwrap().node;
    let file = guest.open(node, 0).unwrap();
    assert_eq!(guest.read(file, 0, 100).unwrap(), b"contents");
    // One look-up was counted.
    assert_eq!(guest.server.node_count(), 1);
    guest
        .server
        .serve(&message(2, 0, node, &words(&[1])), ROOM, &mut Vec::new());
    assert_eq!(guest.server.node_count(), 0);
}

#[test]
fn names_are_bytes() {
    let mut guest = Guest::new();
    let odd = b"\xff\xfe new\nline";
    let path = guest.shared("").join(std::ffi::OsStr::from_bytes(odd));
    fs::write(&path, "odd").unwrap();
    assert_eq!(guest.names(ROOT, true), [odd.to_vec()]);
    let node = guest.look_up(ROOT, odd).unwrap().node;
    let handle = guest.open(node, 0).unwrap();
    assert_eq!(guest.read(handle, 0, 9).unwrap(), b"odd");
    let long = "x".repeat(255);
    guest.mkdir(ROOT, &long).unwrap();
    let too_long = "x".repeat(256);
    assert_eq!(guest.mkdir(ROOT, &too_long), Err(Errno::NAMETOOLONG));
}

#[test]
fn renamed_files_keep_their_nodes() {
    let mut guest = Guest::new();
    let a = guest.mkdir(ROOT, "a").unwrap().node;
    let b = guest.mkdir(ROOT, "b").unwrap().node;
    let (file, handle) = guest.create(a, "file", open::WRITE).unwrap();
    guest.write(handle, 0, b"12").unwrap();
    guest.release(handle);
    guest.rename(a, "file", b, "other").unwrap();
    assert_eq!(guest.stat(file.node).unwrap().size, 2);
    guest.rename(ROOT, "b", a, "below").unwrap();
    let handle = guest.open(file.node, 0).unwrap();
    assert_eq!(guest.read(handle, 0, 9).unwrap(), b"12");
    assert!(guest.shared("a/below/other").exists());
    // One takes the place of another; or not; or both change places.
    fs::write(guest.shared("x"), "x").unwrap();
    fs::write(guest.shared("y"), "yy").unwrap();
    let (x, y) = (guest.walk("x").unwrap(), guest.walk("y").unwrap());
    let rename2 = |flags: u64| [words(&[ROOT, flags]), name("x"), name("y")].concat();
    assert_eq!(guest.ask(45, ROOT, &rename2(1)).unwrap_err(), Errno::EXIST);
    assert_eq!(guest.ask(45, ROOT, &rename2(4)).unwrap_err(), Errno::INVAL);
    guest.ask(45, ROOT, &rename2(2)).unwrap();
    assert_eq!(fs::read(guest.shared("x")).unwrap(), b"yy");
    assert_eq!(guest.stat(x.node).unwrap().size, 1);
    assert_eq!(guest.stat(y.node).unwrap().size, 2);
    guest.rename(ROOT, "x", ROOT, "y").unwrap();
    assert_eq!(guest.stat(x.node), Err(Errno::STALE));
}

#[test]
fn links() {
    let mut guest = Guest::new();
    let (file, handle) = guest.create(ROOT, "a", open::WRITE).unwrap();
    guest.release(handle);
    let second = guest.link(file.node, ROOT, "b").unwrap();
    assert_eq!((second.node, second.nlink), (file.node, 2));
    guest.unlink(ROOT, "b").unwrap();
    // It was last seen as b: the guest must look for the other name.
    assert_eq!(guest.stat(file.node), Err(Errno::STALE));
    assert_eq!(guest.walk("a").unwrap().node, file.node);
    assert_eq!(guest.stat(file.node).unwrap().nlink, 1);
    let link = guest.symlink(ROOT, "l", "../any/where").unwrap();
    assert_eq!(guest.ask(5, link.node, &[]).unwrap(), b"../any/where");
    assert_eq!(guest.link(link.node, ROOT, "m").unwrap().node, link.node);
    assert_eq!(
        fs::read_link(guest.shared("m")).unwrap().as_os_str(),
        "../any/where"
    );
}

#[test]
fn an_open_file_lives_on_without_a_name() {
    let mut guest = Guest::new();
    let (file, handle) = guest.create(ROOT, "a", open::READ_WRITE).unwrap();
    guest.unlink(ROOT, "a").unwrap();
    guest.write(handle, 0, b"still here").unwrap();
    assert_eq!(guest.stat(file.node).unwrap().size, 10);
    assert_eq!(guest.set(file.node, 8, 5, 0).unwrap().size, 5);
    let second = guest.open(file.node, 0).unwrap();
    assert_eq!(guest.read(second, 0, 99).unwrap(), b"still");
    guest.release(handle);
    guest.release(second);
    assert_eq!(guest.stat(file.node), Err(Errno::STALE));
    assert_eq!(guest.server.open_count(), 0);
}

#[test]
fn what_the_host_replaces_is_another_file() {
    let mut guest = Guest::new();
    fs::write(guest.shared("a"), "old").unwrap();
    let old = guest.walk("a").unwrap();
    fs::write(guest.shared("b"), "newer").unwrap();
    fs::rename(guest.shared("b"), guest.shared("a")).unwrap();
    assert_eq!(guest.open(old.node, 0), Err(Errno::STALE));
    let new = guest.walk("a").unwrap();
    assert_ne!(new.node, old.node);
    let handle = guest.open(new.node, 0).unwrap();
    assert_eq!(guest.read(handle, 0, 99).unwrap(), b"newer");
}

#[test]
fn a_cache_is_kept_only_for_what_has_not_changed() {
    let mut guest = Guest::new();
    fs::write(guest.shared("a"), "one").unwrap();
    let node = guest.walk("a").unwrap().node;
    // It may change again without another time of change.
    assert!(!guest.keeps(node));
    assert!(!guest.keeps(node));
    settle(&guest.shared("a"));
    assert!(!guest.keeps(node));
    assert!(guest.keeps(node));
    fs::write(guest.shared("a"), "two").unwrap();
    assert!(!guest.keeps(node));
}

#[test]
fn directories_come_and_go() {
    let mut guest = Guest::new();
    let a = guest.mkdir(ROOT, "a").unwrap();
    assert_eq!(a.mode & 0o170_000, 0o040_000);
    assert_eq!(guest.mkdir(ROOT, "a"), Err(Errno::EXIST));
    guest.mkdir(a.node, "b").unwrap();
    let rmdir = |guest: &mut Guest, node, file: &str| guest.ask(11, node, &name(file)).map(|_| ());
    assert_eq!(rmdir(&mut guest, ROOT, "a"), Err(Errno::NOTEMPTY));
    assert!(guest.unlink(a.node, "b").is_err());
    rmdir(&mut guest, a.node, "b").unwrap();
    rmdir(&mut guest, ROOT, "a").unwrap();
    assert_eq!(guest.mkdir(a.node, "c"), Err(Errno::STALE));
    assert_eq!(guest.walk("a"), Err(Errno::NOENT));
}

#[test]
fn deep_directories() {
    let mut guest = Guest::new();
    let mut node = ROOT;
    // Far beyond the longest path that the host takes at once.
    for _ in 0..60 {
        node = guest.mkdir(node, &"d".repeat(200)).unwrap().node;
    }
    let (_, handle) = guest.create(node, "file", open::WRITE).unwrap();
    assert_eq!(guest.write(handle, 0, b"deep"), Ok(4));
}

#[test]
fn the_rest() {
    let mut guest = Guest::new();
    let (file, handle) = guest.create(ROOT, "a", open::READ_WRITE).unwrap();
    // Both kinds of flush; room for a file; figures of the file system.
    guest.ask(20, file.node, &words(&[handle, 0])).unwrap();
    guest.ask(20, file.node, &words(&[handle, 1])).unwrap();
    guest
        .ask(43, file.node, &words(&[handle, 0, 8192, 0]))
        .unwrap();
    assert_eq!(guest.stat(file.node).unwrap().size, 8192);
    assert_eq!(
        guest
            .ask(43, file.node, &words(&[handle, 0, 1, 0x40]))
            .unwrap_err(),
        Errno::OPNOTSUPP
    );
    let figures = guest.ask(17, ROOT, &[]).unwrap();
    assert_eq!(figures.len(), 80);
    assert!(u64_at(&figures, 0) > 0);
    // The guest's kernel has a substitute for these: attributes, locks and flush.
    for opcode in [21, 22, 23, 24, 25, 31, 32, 33, 34, 39, 40, 47, 50, 51, 4096] {
        assert_eq!(guest.ask(opcode, file.node, &[0; 64]), Err(Errno::NOSYS));
    }
    let directory = guest.open_directory(ROOT).unwrap();
    guest.ask(30, ROOT, &words(&[directory, 0])).unwrap();
    assert_eq!(guest.read(directory, 0, 1), Err(Errno::ISDIR));
    assert_eq!(guest.list(handle, 0, 99, false), Err(Errno::BADF));
    // Pipes are the guest's among its own processes.
    let mknod = |mode: u64| [words(&[mode, 0]), name(format!("n{mode}"))].concat();
    for mode in [0o010_600, 0o100_600] {
        let seen = guest
            .ask(8, ROOT, &mknod(mode))
            .map(|reply| seen(&reply))
            .unwrap();
        assert_eq!(u64::from(seen.mode), mode);
    }
    let permissions = fs::metadata(guest.shared("a")).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o7777, 0o644);
}
