//! Takes files out of Debian packages.

use crate::Error;
use crate::apt::Apt;
use crate::modules::{Module, Modules, first_names, name_of};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

/// No file that is wanted is longer, bytes. Keeps a wrong package from filling the memory.
const LIMIT: u64 = 64 << 20;

/// What the guest needs of a kernel's package.
pub struct Kernel {
    /// The zImage.
    pub image: Vec<u8>,
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// Its modules.
    pub modules: Modules,
}

/// Reads the kernel and the modules out of a `linux-image` package.
pub fn kernel(apt: &Apt, package: &Path) -> Result<Kernel, Error> {
    let (mut image, mut release) = (None, String::new());
    let mut modules = Modules::default();
    let mut names = first_names();
    // A second reading only if the modules need more than expected.
    for first in [true, false] {
        each_file(apt, package, |path, file| {
            if let Some(version) = path.strip_prefix("boot/vmlinuz-") {
                if first {
                    image = Some(read(file)?);
                    version.clone_into(&mut release);
                }
                return Ok(());
            }
            let Some(name) = name_of(path).filter(|name| names.contains(name)) else {
                return Ok(());
            };
            // Below /lib/modules/VERSION, or /usr/lib/modules/VERSION.
            let Some((_, below)) = path.split_once("/kernel/") else {
                return Ok(());
            };
            let (stem, contents) = plain(below, read(file)?)?;
            if let Some(module) = Module::new(format!("kernel/{stem}"), contents) {
                modules.insert(name, module);
            }
            Ok(())
        })?;
        names = modules.missing();
        if names.is_empty() {
            break;
        }
    }
    let image = image.ok_or_else(|| unusable(package, "there is no kernel in it"))?;
    if !modules.has("virtio_mmio") {
        return Err(unusable(package, "there is no module virtio_mmio in it"));
    }
    Ok(Kernel {
        image,
        release,
        modules,
    })
}

/// Reads one file out of a package, by its path without a leading slash; one of `paths` will do.
pub fn file(apt: &Apt, package: &Path, paths: &[&str]) -> Result<Vec<u8>, Error> {
    let paths: BTreeSet<&str> = paths.iter().copied().collect();
    let mut contents = None;
    each_file(apt, package, |path, file| {
        if paths.contains(path) {
            contents = Some(read(file)?);
        }
        Ok(())
    })?;
    contents.ok_or_else(|| {
        let wanted = paths.into_iter().next().unwrap_or_default();
        unusable(package, &format!("there is no {wanted} in it"))
    })
}

/// A file or a link of a package.
pub struct Entry {
    /// Its path, without a leading slash.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

/// What an entry of a package is.
pub enum Kind {
    /// A file with its contents.
    File(Vec<u8>),
    /// A symbolic link and its target.
    Symlink(String),
    /// Another name of the file at a path without a leading slash.
    HardLink(String),
}

/// The files and links of a package, of those whose path is wanted.
pub fn entries(
    apt: &Apt,
    package: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let plain = |path: &[u8]| {
        let path = String::from_utf8_lossy(path);
        path.trim_start_matches("./").to_owned()
    };
    apt.with_contents(package, |tar| {
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            let path = plain(&entry.path_bytes());
            let mode = entry.header().mode()?;
            let kind = entry.header().entry_type();
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            let kind = match kind {
                _ if !wanted(&path) => continue,
                tar::EntryType::Regular => Kind::File(read(&mut entry)?),
                tar::EntryType::Symlink => {
                    Kind::Symlink(String::from_utf8_lossy(&target).into_owned())
                }
                tar::EntryType::Link => Kind::HardLink(plain(&target)),
                _ => continue,
            };
            entries.push(Entry { path, mode, kind });
        }
        Ok(())
    })?;
    Ok(entries)
}

/// Decompresses a module if it is compressed.
fn plain(path: &str, contents: Vec<u8>) -> io::Result<(String, Vec<u8>)> {
    let Some(stem) = path.strip_suffix(".xz") else {
        return Ok((path.to_owned(), contents));
    };
    let mut plain = Vec::new();
    lzma_rust2::XzReader::new(contents.as_slice(), true)
        .take(LIMIT)
        .read_to_end(&mut plain)
        .map_err(|error| io::Error::other(format!("{path}: {error}")))?;
    Ok((stem.to_owned(), plain))
}

fn read(file: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    file.take(LIMIT).read_to_end(&mut contents)?;
    Ok(contents)
}

/// Calls `take` for each regular file of a package with its path, without a leading slash.
fn each_file(
    apt: &Apt,
    package: &Path,
    mut take: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> Result<(), Error> {
    apt.with_contents(package, |tar| {
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            take(path.trim_start_matches("./"), &mut entry)?;
        }
        Ok(())
    })
}

/// The error for a package that isn't what was expected.
pub fn unusable(package: &Path, reason: &str) -> Error {
    let name = package.file_name().unwrap_or(package.as_os_str());
    Error::Package {
        package: name.to_string_lossy().into_owned(),
        reason: reason.to_owned(),
    }
}
