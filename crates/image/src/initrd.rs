//! The initial RAM disk: BusyBox, kernel modules, and the program that starts it all.

use crate::cpio::Archive;
use crate::package::Kernel;
use std::collections::BTreeSet;

/// The first program.
const INIT: &str = include_str!("../guest/init");

const DIRECTORIES: [&str; 16] = [
    "bin",
    "dev",
    "etc",
    "lib",
    "lib/modules",
    "mnt",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/sbin",
    "var",
];

const FILES: [(&str, &str); 4] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost skep\n::1 localhost\n"),
    ("etc/profile", "export PS1='skep:\\w\\$ '\n"),
];

/// Builds the archive. `busybox` is a static executable. It isn't compressed: the guest would take
/// longer to unpack it.
pub fn archive(kernel: &Kernel, busybox: &[u8]) -> Vec<u8> {
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.directory(directory);
    }
    // The kernel opens the console before anything could make the device.
    archive.device("dev/console", 0o600, 5, 1);
    archive.device("dev/null", 0o666, 1, 3);
    for (path, contents) in FILES {
        archive.file(path, 0o644, contents.as_bytes());
    }
    archive.symlink("etc/mtab", "/proc/mounts");
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("bin/busybox", 0o755, busybox);

    let root = format!("lib/modules/{}", kernel.release);
    archive.directory(&root);
    let mut made = BTreeSet::new();
    for module in kernel.modules.iter() {
        for (slash, _) in module.path.match_indices('/') {
            let parent = &module.path[..slash];
            if made.insert(parent) {
                archive.directory(&format!("{root}/{parent}"));
            }
        }
        archive.file(&format!("{root}/{}", module.path), 0o644, &module.contents);
    }
    for (name, text) in [
        ("modules.dep", kernel.modules.dep()),
        ("modules.alias", kernel.modules.alias()),
    ] {
        archive.file(&format!("{root}/{name}"), 0o644, text.as_bytes());
    }
    archive.finish()
}
