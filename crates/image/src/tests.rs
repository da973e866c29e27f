//! What doesn't need a guest to be tried. Boots of the guest are among the workspace's tests.

use crate::cpio::Archive;
use crate::modules::{Module, Modules, name_of};
use crate::{CommandOutput, Error, Guest, Options, Progress, Silent};
use crate::{apt, cache, command, command_overlay, encode_input, end_of_input, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// A file as read back from an archive.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: String,
    mode: u32,
    device: (u32, u32),
    contents: Vec<u8>,
}

/// Reads archives that follow each other, as the kernel does: zeros between them are skipped.
fn read_back(mut bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        if bytes.starts_with(&[0; 4]) {
            bytes = &bytes[4..];
            continue;
        }
        assert_eq!(&bytes[..6], b"070701");
        let field = |index: usize| {
            let text = std::str::from_utf8(&bytes[6 + 8 * index..14 + 8 * index]).unwrap();
            u32::from_str_radix(text, 16).unwrap()
        };
        let (size, name_size) = (field(6) as usize, field(11) as usize);
        let start = (110 + name_size).next_multiple_of(4);
        let path = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).unwrap();
        assert_eq!(bytes[110 + name_size - 1], 0);
        if path != "TRAILER!!!" {
            let contents = bytes[start..start + size].to_vec();
            entries.push(Entry {
                path,
                mode: field(1),
                device: (field(9), field(10)),
                contents,
            });
        }
        bytes = &bytes[(start + size).next_multiple_of(4)..];
    }
    entries
}

#[test]
fn an_archive_is_what_the_format_says() {
    let mut archive = Archive::default();
    archive.file("a", 0o644, b"hello");
    let bytes = archive.finish();
    let expected = "070701\
        00000001000081a4000000000000000000000001000000000000000500000000000000000000000000000000\
        0000000200000000a\0hello\0\0\0\
        070701\
        00000002000000000000000000000000000000010000000000000000000000000000000000000000\
        000000000000000b00000000TRAILER!!!\0";
    let mut expected = expected.as_bytes().to_vec();
    expected.resize(512, 0);
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        String::from_utf8_lossy(&expected)
    );
}

#[test]
fn archives_may_follow_each_other() {
    let mut archive = Archive::default();
    archive.directory("dev");
    archive.device("dev/console", 0o600, 5, 1);
    archive.symlink("link", "target");
    let mut bytes = archive.finish();
    bytes.extend(command_overlay(&["x"], "t", false));
    assert_eq!(bytes.len() % 512, 0);
    let entry = |path: &str, mode, device, contents: &[u8]| Entry {
        path: path.into(),
        mode,
        device,
        contents: contents.to_vec(),
    };
    let expected = [
        entry("dev", 0o040_755, (0, 0), b""),
        entry("dev/console", 0o020_600, (5, 1), b""),
        entry("link", 0o120_777, (0, 0), b"target"),
        entry("skep", 0o040_755, (0, 0), b""),
        entry("skep/token", 0o100_400, (0, 0), b"t\n"),
        entry("skep/run", 0o100_400, (0, 0), b"exec -- 'x'\n"),
    ];
    assert_eq!(read_back(&bytes), expected);
}

#[test]
fn a_command_has_input_only_if_asked_for() {
    let paths = |stdin| -> Vec<String> {
        let entries = read_back(&command_overlay(&["true"], "abc", stdin));
        entries.into_iter().map(|entry| entry.path).collect()
    };
    assert_eq!(paths(false), ["skep", "skep/token", "skep/run"]);
    assert_eq!(
        paths(true),
        ["skep", "skep/token", "skep/run", "skep/stdin"]
    );
}

proptest! {
    #[test]
    fn archives_are_read_back(files in prop::collection::vec(
        ("[a-z]{1,9}", any::<Vec<u8>>()), 0..8)) {
        let mut archive = Archive::default();
        for (path, contents) in &files {
            archive.file(path, 0o644, contents);
        }
        let read: Vec<(String, Vec<u8>)> = read_back(&archive.finish())
            .into_iter()
            .map(|entry| (entry.path, entry.contents))
            .collect();
        prop_assert_eq!(read, files);
    }

    /// The output may hold anything, also what looks like the markers.
    #[test]
    fn output_is_cut_out_exactly(
        noise in parts("begin"), inside in parts("end"), status: u8, after: Vec<u8>,
    ) {
        let mut filter = CommandOutput::new("t0k");
        let mut out = Vec::new();
        let mut all = noise;
        all.extend(b"\x1eskep-begin-t0k\n");
        all.extend(&inside);
        for byte in all {
            filter.feed(byte, &mut out);
        }
        prop_assert_eq!(filter.status(), None);
        for byte in format!("\x1eskep-end-t0k-{status}\n").bytes().chain(after) {
            filter.feed(byte, &mut out);
        }
        prop_assert_eq!(filter.status(), Some(status));
        prop_assert_eq!(out, inside);
    }

    #[test]
    fn input_comes_back(chunks in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 0..3000), 0..5)) {
        let mut sent = Vec::new();
        for chunk in &chunks {
            sent.extend(encode_input(chunk));
        }
        sent.extend(end_of_input());
        prop_assert_eq!(decode(&sent), chunks.concat());
    }
}

/// Pieces of the marker `kind` and other bytes, but never the whole marker.
fn parts(kind: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let marker = format!("\x1eskep-{kind}-t0k");
    let length = marker.len();
    let piece = (0..=length).prop_map(move |end| marker.as_bytes()[..end].to_vec());
    let other = prop_oneof![
        Just(b"-7x".to_vec()),
        Just(b"-".to_vec()),
        Just(b"-256\n".to_vec()),
        Just(b"-0000".to_vec()),
        Just(b"-\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(prop_oneof![piece, other], 0..20)
        .prop_map(move |pieces| {
            let mut bytes = pieces.concat();
            // So that neither the end nor what follows completes a marker.
            bytes.push(b'.');
            bytes
        })
        .prop_filter("holds a marker", move |bytes| {
            let text = String::from_utf8_lossy(bytes);
            !text.contains("begin-t0k\n")
                && (0..=255u8).all(|status| {
                    !text.contains(&format!("end-t0k-{status}\n"))
                        && !text.contains(&format!("end-t0k-0{status}\n"))
                        && !text.contains(&format!("end-t0k-00{status}\n"))
                })
        })
}

/// The guest's side of the input, as `guest/init` does it on a terminal.
fn decode(mut sent: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    while let Some(chunk) = sent.strip_prefix(b"+\n") {
        let end = chunk
            .iter()
            .position(|&byte| byte == 4)
            .expect("an end of file");
        assert!(
            end == 0 || chunk[end - 1] == b'\n',
            "an end of file starts its line"
        );
        for line in chunk[..end].split(|&byte| byte == b'\n') {
            assert!(line.len() < 4095, "a line fits the terminal's buffer");
            decoded.extend(STANDARD.decode(line).expect("base64"));
        }
        sent = &chunk[end + 1..];
    }
    assert_eq!(sent, b".\n");
    decoded
}

proptest! {
    // Each case starts a shell.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_shell_reads_the_words_unchanged(words in prop::collection::vec(
        prop_oneof![
            "[a-z '\"\\\\$`*?~!#&;|<>(){}\n\t-]{0,12}".prop_map(String::into_bytes),
            prop::collection::vec(1u8.., 0..8),
        ], 0..6)) {
        let mut argv = vec![b"printf".to_vec(), b"%s\\0".to_vec(), b"first".to_vec()];
        argv.extend(words.iter().cloned());
        let script = command::script(&argv);
        // The host's shell may not know `exec --`, as the guest's does.
        let script = script.strip_prefix(b"exec -- ").expect("a command");
        let script = std::ffi::OsStr::from_bytes(script);
        let output = Command::new("sh").arg("-c").arg(script).output().expect("a shell");
        let mut expected = b"first\0".to_vec();
        for word in &words {
            expected.extend(word);
            expected.push(0);
        }
        prop_assert_eq!(output.stdout, expected);
    }
}

/// What a directory holds, without the lock.
fn contents(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

fn write_guest(into: &cache::Into) -> Result<(), Error> {
    into.write(cache::KERNEL, b"kernel")?;
    into.write(cache::INITRD, b"initrd")
}

fn no_network() -> Result<(), Error> {
    Err(Error::Fetch {
        what: "linux".into(),
        detail: "no network".into(),
    })
}

#[test]
fn a_failure_leaves_nothing_and_the_next_try_succeeds() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // As left by a process that was killed, and by an older version.
    fs::create_dir_all(directory.path().join("new-1/work")).expect("made");
    fs::create_dir_all(directory.path().join("x-1")).expect("made");
    fs::create_dir_all(directory.path().join("x-lpae-1")).expect("made");

    let failed = cache::ensure(directory.path(), "x", &Silent, |work, into| {
        fs::write(work.join("half"), b"half").expect("written");
        into.write(cache::KERNEL, b"half").expect("written");
        no_network()
    });
    assert!(matches!(failed, Err(Error::Fetch { .. })));
    assert_eq!(contents(directory.path()), ["x-1", "x-lpae-1"]);

    let guest = cache::ensure(directory.path(), "x", &Silent, |_, into| write_guest(into))
        .expect("a guest");
    assert_eq!(fs::read(&guest.kernel).expect("a kernel"), b"kernel");
    assert_eq!(guest.boot, guest.kernel);
    // The older one is gone; others of the cache are nobody's business.
    assert_eq!(contents(directory.path()).len(), 2);
    let again = cache::ensure(directory.path(), "x", &Silent, |_, _| panic!("made again"));
    assert_eq!(again.expect("the same guest"), guest);
}

#[test]
fn an_unpacked_kernel_is_what_boots() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let guest = cache::ensure(directory.path(), "x", &Silent, |_, into| {
        into.write(cache::UNPACKED, b"unpacked")?;
        write_guest(into)
    });
    let boot = guest.expect("a guest").boot;
    assert_eq!(fs::read(boot).expect("a kernel"), b"unpacked");
}

#[test]
fn a_damaged_guest_is_made_again_or_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let make = || {
        let build = |_: &Path, into: &cache::Into| write_guest(into);
        cache::ensure(directory.path(), "x", &Silent, build).expect("made")
    };
    let guest: Guest = make();
    let damages: [fn(&Path) -> std::io::Result<()>; 4] = [
        |path| fs::remove_file(path),
        |path| fs::write(path, b""),
        |path| fs::write(path, b"kern"),
        |path| fs::write(path, b"Kernel"),
    ];
    for damage in damages {
        damage(&guest.kernel).expect("damaged");
        let error = cache::ensure(directory.path(), "x", &Silent, |_, _| no_network())
            .expect_err("nothing to make it of")
            .to_string();
        assert!(
            error.contains("is damaged") && error.contains("no network"),
            "{error}"
        );
        assert_eq!(make(), guest);
        assert_eq!(fs::read(&guest.kernel).expect("a kernel"), b"kernel");
    }
    for list in [
        &b""[..],
        b"vmlinuz 6",
        b"\xff",
        b"../../etc/passwd 1 00000000\n",
    ] {
        fs::write(guest.kernel.with_file_name("files"), list).expect("damaged");
        assert_eq!(make(), guest);
    }
}

#[test]
fn one_process_makes_the_guest_and_the_others_wait() {
    struct Stages(std::sync::mpsc::Sender<String>);
    impl Progress for Stages {
        fn stage(&self, what: &str) {
            let _ = self.0.send(what.to_owned());
        }
        fn bytes(&self, _done: u64, _total: Option<u64>) {}
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let (stages, waits) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let first = cache::ensure(path, "x", &Silent, |_, into| {
            scope.spawn(|| {
                let stages = Stages(stages);
                cache::ensure(path, "x", &stages, |_, _| panic!("made twice")).expect("waited for");
            });
            assert!(waits.recv().expect("a stage").contains("another skep"));
            write_guest(into)
        });
        first.expect("a guest");
    });
}

#[test]
fn an_unusable_cache_is_explained() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, b"").expect("written");
    let options = Options {
        cache_dir: Some(file.join("cache")),
        ..Options::default()
    };
    let error = ensure(&options, &Silent)
        .expect_err("no directory can be there")
        .to_string();
    assert!(error.contains("file/cache"), "{error}");
    assert!(error.contains("XDG_CACHE_HOME"), "{error}");

    let full = Error::cache(&file)(std::io::ErrorKind::StorageFull.into()).to_string();
    assert!(full.contains("make room"), "{full}");
}

#[test]
fn the_cache_is_where_the_specification_says() {
    let with = |xdg: Option<&str>, home: Option<&str>| {
        let find = |name: &str| match name {
            "XDG_CACHE_HOME" => xdg.map(Into::into),
            _ => home.map(Into::into),
        };
        cache::default_directory(find).ok()
    };
    assert_eq!(with(Some("/x"), Some("/h")), Some("/x/skep".into()));
    assert_eq!(with(Some("x"), Some("/h")), Some("/h/.cache/skep".into()));
    assert_eq!(with(Some(""), Some("/h")), Some("/h/.cache/skep".into()));
    assert_eq!(with(None, None), None);
}

#[test]
fn a_system_without_apt_is_told_what_to_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let empty = tempfile::tempdir().expect("a temporary directory");
    let error = cache::ensure(directory.path(), "x", &Silent, |work, _| {
        apt::Apt::new(work, Some(empty.path().into()), &Silent).map(|_| ())
    });
    let error = error.expect_err("no program is there").to_string();
    assert!(error.contains("--kernel and --initrd"), "{error}");
    assert_eq!(contents(directory.path()), [""; 0]);
}

/// Programs that stand for apt's.
fn programs(scripts: &[(&str, &str)]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, script) in scripts {
        let path = directory.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }
    directory
}

#[test]
fn a_source_that_fails_does_not_matter_if_the_packages_are_there() {
    let programs = programs(&[
        (
            "apt-config",
            "echo 'Acquire::http::Proxy \"http://proxy\";'; echo 'APT::Other \"x\";'",
        ),
        ("dpkg-deb", ""),
        (
            "apt-get",
            "case $* in update) echo 'E: one source failed' >&2; exit 100;; \
             *--print-uris*) echo \"'http://x/p.deb' p.deb 4 SHA256:0\";; \
             *) for name; do :; done; echo deb! >${name}_1_armhf.deb;; esac",
        ),
        (
            "apt-cache",
            "echo '  Depends: linux-base'; echo '  Depends: linux-image-6.1.0-1-armmp'",
        ),
    ]);
    let work = tempfile::tempdir().expect("a temporary directory");
    let apt = apt::Apt::new(work.path(), Some(programs.path().into()), &Silent).expect("apt");
    let packages = apt
        .fetch("linux-image-armmp", "busybox-static")
        .expect("fetched");
    assert!(
        packages
            .kernel
            .ends_with("packages/linux-image-6.1.0-1-armmp_1_armhf.deb")
    );
    assert!(
        packages
            .busybox
            .ends_with("packages/busybox-static_1_armhf.deb")
    );
    let config = fs::read_to_string(work.path().join("apt/apt.conf")).expect("a configuration");
    assert!(
        config.contains("http://proxy") && !config.contains("APT::Other"),
        "{config}"
    );
}

#[test]
fn packages_come_with_what_they_need_and_are_tried_again() {
    // The first lists are out of date: apt-get finds no file that they tell of.
    let programs = programs(&[
        ("apt-config", ""),
        ("apt-cache", ""),
        ("dpkg-deb", ""),
        (
            "apt-get",
            "d=${APT_CONFIG%/*}; case $* in update) exit;; esac; \
             [ -e $d/again ] || { : >$d/again; echo 'E: not found' >&2; exit 100; }; \
             for name in libc6 $*; do case $name in -*|install) continue;; esac; \
             echo deb! >$d/cache/archives/${name}_1_armhf.deb; done",
        ),
    ]);
    let work = tempfile::tempdir().expect("a temporary directory");
    let apt = apt::Apt::new(work.path(), Some(programs.path().into()), &Silent).expect("apt");
    let files = apt.fetch_all(&["dash", "gzip"]).expect("fetched");
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()).collect();
    assert_eq!(
        names,
        ["dash_1_armhf.deb", "gzip_1_armhf.deb", "libc6_1_armhf.deb"]
    );
}

#[test]
fn what_apt_says_is_passed_on() {
    let fetch = |get: &str| {
        let programs = programs(&[
            ("apt-config", ""),
            ("apt-get", get),
            ("apt-cache", ""),
            ("dpkg-deb", ""),
        ]);
        let work = tempfile::tempdir().expect("a temporary directory");
        let apt = apt::Apt::new(work.path(), Some(programs.path().into()), &Silent).expect("apt");
        let packages = apt.fetch("linux-image-armmp", "busybox-static");
        packages.err().expect("nothing is there").to_string()
    };
    let error = fetch(
        "echo 'W: Failed to fetch http://x' >&2; echo 'W: Some index files failed to download.' >&2",
    );
    assert!(error.contains("(Failed to fetch http://x)"), "{error}");
    assert!(error.contains("--kernel and --initrd"), "{error}");
    let error = fetch(":");
    assert!(error.contains("no source has linux-image-armmp"), "{error}");
}

#[test]
fn module_names() {
    assert_eq!(name_of("x/virtio-rng.ko").as_deref(), Some("virtio_rng"));
    assert_eq!(name_of("x/ext4.ko.xz").as_deref(), Some("ext4"));
    assert_eq!(name_of("x/modules.builtin"), None);
}

/// An ELF object with a section `.modinfo`.
fn module(path: &str, info: &str) -> Module {
    let names = b"\0.modinfo\0.shstrtab\0";
    let (info_at, names_at) = (52, 52 + info.len());
    let sections_at = names_at + names.len();
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x28\0\x01\0\0\0".to_vec();
    for word in [0, 0, sections_at as u32, 0x0500_0000] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52u16, 0, 0, 40, 3, 2] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(info.as_bytes());
    elf.extend(names);
    let section = |name: u32, kind: u32, at: usize, size: usize| {
        [name, kind, 0, 0, at as u32, size as u32, 0, 0, 1, 0]
    };
    let sections = [
        section(0, 0, 0, 0),
        section(1, 1, info_at, info.len()),
        section(10, 3, names_at, names.len()),
    ];
    for word in sections.as_flattened() {
        elf.extend(word.to_le_bytes());
    }
    Module::new(path.into(), elf).expect("a module")
}

#[test]
fn modules_come_after_what_they_need() {
    let mut modules = Modules::default();
    for (name, info) in [
        (
            "ext4",
            "softdep=pre: crypto-crc32c\0alias=fs-ext4\0depends=jbd2,mb-cache\0",
        ),
        ("jbd2", "depends=mb-cache\0"),
        ("mb_cache", "depends=\0"),
    ] {
        modules.insert(name.into(), module(&format!("kernel/{name}.ko"), info));
    }
    assert_eq!(
        modules.missing().into_iter().collect::<Vec<_>>(),
        ["crc32c_generic"]
    );
    modules.insert("crc32c_generic".into(), module("kernel/c.ko", "name=c\0"));
    assert_eq!(
        modules.dep(),
        "kernel/c.ko:\n\
         kernel/ext4.ko: kernel/jbd2.ko kernel/mb_cache.ko kernel/c.ko\n\
         kernel/jbd2.ko: kernel/mb_cache.ko\n\
         kernel/mb_cache.ko:\n"
    );
    assert_eq!(modules.alias(), "alias fs-ext4 ext4\n");
    assert!(Module::new("x".into(), b"no ELF".to_vec()).is_none());
}
