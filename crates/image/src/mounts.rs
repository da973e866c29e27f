//! Which shared directories the guest mounts, and where it starts. The guest's side is `guest/init`.

use crate::cpio::Archive;

/// A shared directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Its device's name, without white space.
    pub tag: String,
    /// Where it is mounted: an absolute path without control characters.
    pub directory: String,
    /// Nothing in it can be changed.
    pub read_only: bool,
}

/// The archive that has the guest mount these directories and start its command, or shell, in the
/// directory `start`, to be appended to the initial RAM disk.
pub fn mount_overlay(mounts: &[Mount], start: Option<&str>) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("skep");
    let lines: String = mounts
        .iter()
        .map(|mount| {
            let access = if mount.read_only { "ro" } else { "rw" };
            format!("{} {access} {}\n", mount.tag, mount.directory)
        })
        .collect();
    archive.file("skep/mounts", 0o400, lines.as_bytes());
    if let Some(start) = start {
        archive.file("skep/start", 0o400, format!("{start}\n").as_bytes());
    }
    archive.finish()
}
