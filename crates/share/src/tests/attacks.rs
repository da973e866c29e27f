//! Ways out of the directory, and into trouble.

use super::*;
use crate::wire::open;
use rustix::fs::{CWD, FileType, Mode};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Nothing outside was read, changed, made or removed.
fn assert_secret(guest: &Guest) {
    assert_eq!(fs::read(guest.secret("file")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(guest.secret("")).unwrap().count(), 1);
    let beside = fs::read_dir(guest.base.path()).unwrap().count();
    assert_eq!(beside, 2);
}

#[test]
fn names_that_are_paths_are_none() {
    let mut guest = Guest::new();
    fs::write(guest.shared("a"), "a").unwrap();
    let directory = guest.mkdir(ROOT, "dir").unwrap().node;
    let node = guest.walk("a").unwrap().node;
    let ways: [&str; 8] = [
        "..",
        ".",
        "",
        "/",
        "../secret",
        "../secret/file",
        "/etc/passwd",
        "dir/../../secret/file",
    ];
    for way in ways {
        for parent in [ROOT, directory] {
            assert!(guest.look_up(parent, way).is_err(), "{way}");
            assert!(guest.create(parent, way, open::WRITE).is_err(), "{way}");
            assert!(guest.mkdir(parent, way).is_err(), "{way}");
            assert!(guest.symlink(parent, way, "a").is_err(), "{way}");
            assert!(guest.unlink(parent, way).is_err(), "{way}");
            assert!(guest.ask(11, parent, &name(way)).is_err(), "{way}");
            assert!(guest.link(node, parent, way).is_err(), "{way}");
            assert!(guest.rename(ROOT, "a", parent, way).is_err(), "{way}");
            assert!(guest.rename(parent, way, ROOT, "stolen").is_err(), "{way}");
            let mknod = [words(&[0o100_644, 0]), name(way)].concat();
            assert!(guest.ask(8, parent, &mknod).is_err(), "{way}");
        }
    }
    assert!(guest.shared("a").exists());
    assert_secret(&guest);
}

#[test]
fn symbolic_links_are_the_guests_to_follow() {
    let mut guest = Guest::new();
    let secret = guest.secret("file");
    let ways = ["../secret", "/", "/proc/self/root", "/proc/self/cwd"];
    for (number, way) in ways.iter().enumerate() {
        let file = format!("link{number}");
        symlink(way, guest.shared(&file)).unwrap();
        let link = guest.walk(&file).unwrap();
        assert_eq!(link.mode & 0o170_000, 0o120_000);
        // Nothing is found or made behind it.
        assert!(guest.look_up(link.node, "file").is_err());
        assert!(guest.create(link.node, "x", open::WRITE).is_err());
        assert!(guest.mkdir(link.node, "x").is_err());
        assert!(guest.open_directory(link.node).is_err());
    }
    symlink(&secret, guest.shared("file")).unwrap();
    let link = guest.walk("file").unwrap();
    assert_eq!(guest.open(link.node, 0), Err(Errno::LOOP));
    assert_eq!(
        guest.open(link.node, open::WRITE | open::TRUNC),
        Err(Errno::LOOP)
    );
    assert_eq!(
        guest.create(ROOT, "file", open::WRITE).unwrap_err(),
        Errno::LOOP
    );
    assert_eq!(guest.set(link.node, 8, 0, 0), Err(Errno::LOOP));
    assert_secret(&guest);
}

#[test]
fn a_directory_that_becomes_a_link_leads_nowhere() {
    let mut guest = Guest::new();
    fs::create_dir(guest.shared("dir")).unwrap();
    fs::write(guest.shared("dir/file"), "public").unwrap();
    let directory = guest.walk("dir").unwrap().node;
    let file = guest.walk("dir/file").unwrap().node;
    fs::rename(guest.shared("dir"), guest.shared("old")).unwrap();
    symlink("../secret", guest.shared("dir")).unwrap();
    assert_eq!(guest.look_up(directory, "file"), Err(Errno::STALE));
    assert_eq!(
        guest.create(directory, "x", open::WRITE).unwrap_err(),
        Errno::STALE
    );
    assert_eq!(guest.unlink(directory, "file"), Err(Errno::STALE));
    assert_eq!(guest.open(file, 0), Err(Errno::STALE));
    assert_eq!(guest.set(file, 8, 0, 0), Err(Errno::STALE));
    assert_secret(&guest);
}

#[test]
fn a_directory_that_is_moved_out_is_out() {
    let mut guest = Guest::new();
    fs::create_dir_all(guest.shared("dir/below")).unwrap();
    let directory = guest.walk("dir").unwrap().node;
    let below = guest.walk("dir/below").unwrap().node;
    let out = guest.secret("dir");
    fs::rename(guest.shared("dir"), &out).unwrap();
    for node in [directory, below] {
        assert_eq!(
            guest.create(node, "x", open::WRITE).unwrap_err(),
            Errno::STALE
        );
        assert_eq!(guest.open_directory(node), Err(Errno::STALE));
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

/// Somebody on the host exchanges a directory for a link, all the time, while the guest goes through
/// it.
#[test]
fn races_are_lost() {
    let mut guest = Guest::new();
    fs::create_dir(guest.shared("dir")).unwrap();
    fs::write(guest.shared("dir/file"), "public").unwrap();
    symlink("../secret", guest.shared("link")).unwrap();
    let (dir, link) = (guest.shared("dir"), guest.shared("link"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            while !done.load(SeqCst) {
                rustix::fs::renameat_with(CWD, &dir, CWD, &link, exchange).unwrap();
            }
        });
        let (mut read, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let found = guest
                .walk("dir")
                .and_then(|dir| guest.look_up(dir.node, "file"));
            let handle = found.and_then(|file| guest.open(file.node, open::READ_WRITE));
            let made = guest
                .walk("dir")
                .and_then(|dir| guest.create(dir.node, "x", open::WRITE));
            if let Ok((_, handle)) = made {
                guest.release(handle);
            }
            match handle {
                Ok(handle) => {
                    assert_eq!(guest.read(handle, 0, 99).unwrap(), b"public");
                    guest.release(handle);
                    read += 1;
                }
                Err(_) => refused += 1,
            }
            if read > 100 && refused > 100 {
                break;
            }
        }
        done.store(true, SeqCst);
        assert!(read > 0 && refused > 0, "{read} {refused}");
    });
    assert_secret(&guest);
}

#[test]
fn special_files_are_not_opened() {
    let mut guest = Guest::new();
    rustix::fs::mknodat(CWD, guest.shared("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(guest.shared("socket")).unwrap();
    for file in ["pipe", "socket"] {
        let node = guest.walk(file).unwrap().node;
        // A pipe without a writer would keep who opens it waiting.
        assert_eq!(guest.open(node, 0), Err(Errno::ACCESS), "{file}");
        assert_eq!(guest.open(node, open::WRITE), Err(Errno::ACCESS), "{file}");
        assert_eq!(guest.set(node, 8, 0, 0), Err(Errno::ACCESS), "{file}");
        assert!(guest.create(ROOT, file, open::WRITE).is_err(), "{file}");
    }
    for device in [0o020_666, 0o060_666, 0o140_666] {
        let null = pair(device, 0x103);
        let body = [words(&[null, 0]), name("device")].concat();
        assert_eq!(guest.ask(8, ROOT, &body).unwrap_err(), Errno::PERM);
    }
}

#[test]
fn nothing_runs_as_somebody_else() {
    let mut guest = Guest::new();
    let mode = |guest: &Guest, file: &str| {
        let metadata = fs::metadata(guest.shared(file)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    let body = [words(&[pair(open::WRITE, 0o6755), 0]), name("made")].concat();
    guest.ask(35, ROOT, &body).unwrap();
    assert_eq!(mode(&guest, "made"), 0o755);
    let node = guest.walk("made").unwrap().node;
    assert_eq!(guest.set(node, 1, 0, 0o6755).unwrap().mode, 0o100_755);
    let body = [words(&[0o106_755, 0]), name("node")].concat();
    guest.ask(8, ROOT, &body).unwrap();
    assert_eq!(mode(&guest, "node"), 0o755);
    // What the host has of that kind, the guest must not fill.
    for (number, bits) in [0o4755, 0o2755, 0o6711].into_iter().enumerate() {
        let file = format!("host{number}");
        fs::write(guest.shared(&file), "host").unwrap();
        fs::set_permissions(guest.shared(&file), fs::Permissions::from_mode(bits)).unwrap();
        let node = guest.walk(&file).unwrap().node;
        guest.open(node, 0).unwrap();
        assert_eq!(mode(&guest, &file), bits, "reading changes nothing");
        guest.open(node, open::READ_WRITE).unwrap();
        assert_eq!(mode(&guest, &file), bits & 0o777);
    }
    // A directory keeps the bit that gives new files its group.
    fs::create_dir(guest.shared("dir")).unwrap();
    fs::set_permissions(guest.shared("dir"), fs::Permissions::from_mode(0o2755)).unwrap();
    let node = guest.walk("dir").unwrap().node;
    guest.set(node, 1, 0, 0o700).unwrap();
    assert_eq!(mode(&guest, "dir"), 0o2700);
}

#[test]
fn read_only_is_so_on_the_host() {
    let mut guest = Guest::with(true, Limits::default());
    fs::write(guest.shared("a"), "as it was").unwrap();
    fs::create_dir(guest.shared("dir")).unwrap();
    let node = guest.walk("a").unwrap().node;
    for flags in [open::WRITE, open::READ_WRITE, open::TRUNC] {
        assert_eq!(guest.open(node, flags), Err(Errno::ROFS));
    }
    let handle = guest.open(node, 0).unwrap();
    assert_eq!(guest.read(handle, 0, 99).unwrap(), b"as it was");
    assert_eq!(guest.write(handle, 0, b"x"), Err(Errno::ROFS));
    assert_eq!(guest.create(ROOT, "x", 0).unwrap_err(), Errno::ROFS);
    assert_eq!(guest.create(ROOT, "a", 0).unwrap_err(), Errno::ROFS);
    assert_eq!(guest.mkdir(ROOT, "x"), Err(Errno::ROFS));
    assert_eq!(guest.symlink(ROOT, "x", "a"), Err(Errno::ROFS));
    assert_eq!(guest.link(node, ROOT, "x"), Err(Errno::ROFS));
    assert_eq!(guest.unlink(ROOT, "a"), Err(Errno::ROFS));
    assert_eq!(guest.rename(ROOT, "a", ROOT, "b"), Err(Errno::ROFS));
    for valid in [1, 8, 0x30, 0x1b0] {
        assert_eq!(guest.set(node, valid, 0, 0o777), Err(Errno::ROFS));
    }
    let exchange = [words(&[ROOT, 2]), name("a"), name("dir")].concat();
    assert_eq!(guest.ask(45, ROOT, &exchange).unwrap_err(), Errno::ROFS);
    assert_eq!(guest.ask(11, ROOT, &name("dir")).unwrap_err(), Errno::ROFS);
    let allocate = words(&[handle, 0, 99, 0]);
    assert_eq!(guest.ask(43, node, &allocate).unwrap_err(), Errno::ROFS);
    let mknod = [words(&[0o100_644, 0]), name("x")].concat();
    assert_eq!(guest.ask(8, ROOT, &mknod).unwrap_err(), Errno::ROFS);
    assert_eq!(fs::read(guest.shared("a")).unwrap(), b"as it was");
    assert_eq!(fs::read_dir(guest.shared("")).unwrap().count(), 2);
}

/// The host's own files that are no files: /proc is another file system.
#[test]
fn other_file_systems_are_not_there() {
    let mut server = Server::new(Path::new("/"), true, Limits::default()).unwrap();
    let mut reply = Vec::new();
    let init = message(26, 1, 0, &words(&[pair(7, 38), 0]));
    server.serve(&init, ROOM, &mut reply);
    for file in ["proc", "sys", "dev"] {
        server.serve(&message(1, 2, ROOT, &name(file)), ROOM, &mut reply);
        let error = u32_at(&reply, 4) as i32;
        assert_eq!(error, -Errno::XDEV.raw_os_error(), "{file}");
    }
}
