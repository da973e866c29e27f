//! Debian's own programs, with the libraries that they need, as an archive for a guest.

use crate::cpio::Archive;
use crate::package::{Entry, Kind, entries};
use crate::{Error, Options, Progress, apt, cache};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The archive's name in the cache.
const PROGRAMS: &str = "programs.cpio";

/// Room that building takes, bytes: package lists, packages, and the archive.
const SPACE: u64 = 300 << 20;

/// What programs run without: documentation and the like.
const LEFT_OUT: [&str; 8] = [
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/bash-completion",
    "usr/share/doc-base",
    "usr/lib/arm-linux-gnueabihf/gconv",
];

/// Directories that Debian has in /usr, with a link in the root.
const MERGED: [&str; 3] = ["bin", "lib", "sbin"];

/// An uncompressed cpio archive with the files of these packages and of all that they depend on:
/// from the cache, or fetched and built there; only that needs a network. Scripts that Debian runs
/// when it installs a package are not run. Another archive may follow it, or precede it.
///
/// # Errors
/// See [`Error`]. Nothing half-made is left in the cache then.
pub fn programs(
    options: &Options,
    packages: &[&str],
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let directory = options.directory()?;
    let hash = crc32fast::hash(packages.join(" ").as_bytes());
    let name = format!("programs-{hash:08x}");
    let build = |work: &std::path::Path, into: &cache::Into| {
        cache::require_space(&directory, SPACE)?;
        let apt = apt::Apt::new(work, None, progress)?;
        let mut tree = Tree::default();
        for package in apt.fetch_all(packages)? {
            for entry in entries(&apt, &package, wanted)? {
                tree.add(entry);
            }
        }
        progress.stage("Building the archive");
        into.write(PROGRAMS, &tree.archive())
    };
    let (directory, _) = cache::ensure_files(&directory, &name, &[PROGRAMS], progress, build)?;
    Ok(directory.join(PROGRAMS))
}

fn wanted(path: &str) -> bool {
    let path = merged(path);
    !LEFT_OUT.iter().any(|left_out| {
        path.strip_prefix(left_out)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Where a path is when the directories of the root are links into /usr.
fn merged(path: &str) -> String {
    match path.split_once('/') {
        Some((first, _)) if MERGED.contains(&first) => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

/// Files and links by their paths: a package may bring what another one has, too.
#[derive(Default)]
struct Tree(BTreeMap<String, Entry>);

impl Tree {
    fn add(&mut self, entry: Entry) {
        self.0.insert(merged(&entry.path), entry);
    }

    /// The archive, with the directories before what is in them.
    fn archive(&self) -> Vec<u8> {
        let mut directories = std::collections::BTreeSet::new();
        let mut archive = Archive::default();
        let merged_paths = MERGED.map(|name| format!("usr/{name}/"));
        for path in self.0.keys().chain(&merged_paths) {
            for (slash, _) in path.match_indices('/') {
                if directories.insert(&path[..slash]) {
                    archive.directory(&path[..slash]);
                }
            }
        }
        for name in MERGED {
            archive.symlink(name, &format!("usr/{name}"));
        }
        for (path, entry) in &self.0 {
            match &entry.kind {
                Kind::File(contents) => archive.file(path, entry.mode & 0o777, contents),
                Kind::Symlink(target) => archive.symlink(path, target),
                Kind::HardLink(target) => archive.symlink(path, &format!("/{}", merged(target))),
            }
        }
        archive.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_is_left_out_and_the_root_is_in_usr() {
        assert!(!wanted("usr/share/doc/dash/copyright"));
        assert!(!wanted("lib/arm-linux-gnueabihf/gconv/UTF-7.so"));
        assert!(wanted("usr/share/docs/x"));
        assert_eq!(merged("bin/dash"), "usr/bin/dash");
        assert_eq!(merged("etc/bin"), "etc/bin");
    }

    #[test]
    fn directories_come_first_and_hard_links_become_symbolic_ones() {
        let mut tree = Tree::default();
        let add = |tree: &mut Tree, path: &str, kind| {
            let path = path.to_owned();
            tree.add(Entry {
                path,
                mode: 0o755,
                kind,
            });
        };
        add(&mut tree, "bin/gzip", Kind::File(b"program".to_vec()));
        add(&mut tree, "bin/gunzip", Kind::HardLink("bin/gzip".into()));
        add(&mut tree, "usr/lib/x.so", Kind::Symlink("x.so.1".into()));
        let archive = tree.archive();
        let text = String::from_utf8_lossy(&archive);
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is there"));
        assert!(at("usr\0") < at("usr/bin\0"));
        assert!(at("usr/bin\0") < at("usr/bin/gunzip\0"));
        // The link's target is its contents.
        assert!(at("usr/bin/gunzip\0") < at("/usr/bin/gzip"));
        assert!(at("x.so.1") > at("usr/lib/x.so\0"));
        // Without a package that has anything in it.
        assert!(text.contains("usr/sbin\0"));
    }
}
