//! The cache: a directory for each flavour, complete or absent.

use crate::apt::Apt;
use crate::{Error, Guest, Options, Progress, initrd};
use std::path::{Path, PathBuf};

/// Changes when what is built changes: an older cache is not used.
const VERSION: u32 = 6;

/// The default guest: from the cache, or fetched and built there. Only that needs a network.
///
/// # Errors
/// See [`Error`]. The cache is then as before.
pub fn ensure(options: &Options, progress: &dyn Progress) -> Result<Guest, Error> {
    let cache = match &options.cache_dir {
        Some(directory) => directory.clone(),
        None => default_directory().ok_or(Error::NoCache)?,
    };
    let name = format!("{}-{VERSION}", options.flavour.package());
    let complete = cache.join(&name);
    let guest = Guest {
        kernel: complete.join("vmlinuz"),
        initrd: complete.join("initrd.cpio"),
    };
    if guest.initrd.is_file() && guest.kernel.is_file() {
        return Ok(guest);
    }
    let failed = |source| Error::Cache {
        path: cache.clone(),
        source,
    };
    std::fs::create_dir_all(&cache).map_err(failed)?;
    // One at a time: who comes second finds it done.
    let lock = std::fs::File::create(cache.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if guest.initrd.is_file() && guest.kernel.is_file() {
        return Ok(guest);
    }
    // Dropped, with all that is in it, whatever happens.
    let work = tempfile::Builder::new()
        .prefix("new-")
        .tempdir_in(&cache)
        .map_err(failed)?;
    let built = work.path().join("guest");
    std::fs::create_dir(&built).map_err(failed)?;
    build(options, work.path(), &built, progress)?;
    if complete.exists() {
        std::fs::remove_dir_all(&complete).map_err(failed)?;
    }
    std::fs::rename(&built, &complete).map_err(failed)?;
    Ok(guest)
}

fn default_directory() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("skep"))
}

fn build(
    options: &Options,
    work: &Path,
    built: &Path,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let failed = |source| Error::Cache {
        path: work.to_owned(),
        source,
    };
    let apt = Apt::new(work, options.path.as_deref())?;
    let (kernel_package, busybox_package) = apt.fetch(options.flavour.package(), progress)?;
    progress.stage("Unpacking");
    let root = work.join("root");
    std::fs::create_dir(&root).map_err(failed)?;
    apt.unpack(&kernel_package, &root)?;
    apt.unpack(&busybox_package, &root)?;

    progress.stage("Building the initial RAM disk");
    let missing = |package: &Path, what: &str| Error::Package {
        package: package
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        what: what.to_owned(),
    };
    let kernel = find(&root.join("boot"), "vmlinuz-")
        .ok_or_else(|| missing(&kernel_package, "a kernel in /boot"))?;
    let busybox = ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .find_map(|path| std::fs::read(root.join(path)).ok())
        .ok_or_else(|| missing(&busybox_package, "/bin/busybox"))?;
    let modules = ["lib/modules", "usr/lib/modules"]
        .iter()
        .map(|path| root.join(path))
        .find(|path| path.is_dir())
        .ok_or_else(|| missing(&kernel_package, "modules in /lib/modules"))?;
    let initrd = initrd::build(&busybox, &modules).map_err(failed)?;
    std::fs::write(built.join("initrd.cpio"), initrd).map_err(failed)?;
    std::fs::copy(kernel, built.join("vmlinuz")).map_err(failed)?;
    Ok(())
}

/// The file in a directory whose name begins with `prefix`.
fn find(directory: &Path, prefix: &str) -> Option<PathBuf> {
    std::fs::read_dir(directory)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(prefix))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flavour, Silent};
    use std::os::unix::fs::PermissionsExt;

    fn options(cache: &Path, path: &Path) -> Options {
        Options {
            cache_dir: Some(cache.to_owned()),
            flavour: Flavour::Armmp,
            path: Some(path.into()),
        }
    }

    /// Programs that stand for apt's.
    fn tools(directory: &Path, get: &str) {
        for (name, script) in [
            ("apt-get", get),
            ("apt-cache", "echo '  Depends: linux-image-1'"),
            ("dpkg-deb", "exit 1"),
        ] {
            let path = directory.join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// What is left in the cache besides the lock.
    fn left(cache: &Path) -> usize {
        std::fs::read_dir(cache)
            .unwrap()
            .flatten()
            .filter(|e| e.file_name() != "lock")
            .count()
    }

    #[test]
    fn without_apt_the_message_names_the_way_out() {
        let (cache, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let error = ensure(&options(cache.path(), empty.path()), &Silent).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no apt-get") && text.contains("--kernel"),
            "{text}"
        );
        assert_eq!(left(cache.path()), 0);
    }

    #[test]
    fn a_failed_fetch_tells_apts_reason_and_leaves_nothing() {
        let (cache, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tools(
            bin.path(),
            "echo 'E: Could not resolve the mirror' >&2; exit 100",
        );
        let error = ensure(&options(cache.path(), bin.path()), &Silent).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("E: Could not resolve the mirror"), "{text}");
        assert!(text.contains("--kernel"), "{text}");
        assert_eq!(left(cache.path()), 0);
    }

    #[test]
    fn a_broken_package_leaves_nothing() {
        let (cache, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tools(
            bin.path(),
            "[ $1 = update ] || : > linux-image-1_1.deb; : > busybox-static_1.deb",
        );
        let error = ensure(&options(cache.path(), bin.path()), &Silent).unwrap_err();
        assert!(matches!(error, Error::Package { .. }), "{error}");
        assert_eq!(left(cache.path()), 0);
    }

    #[test]
    fn an_unusable_cache_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = ensure(&options(file.path(), Path::new("/bin")), &Silent).unwrap_err();
        assert!(
            error.to_string().contains(file.path().to_str().unwrap()),
            "{error}"
        );
    }

    #[test]
    fn a_complete_cache_needs_nothing() {
        let (cache, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let complete = cache.path().join(format!("linux-image-armmp-{VERSION}"));
        std::fs::create_dir(&complete).unwrap();
        std::fs::write(complete.join("vmlinuz"), "k").unwrap();
        std::fs::write(complete.join("initrd.cpio"), "i").unwrap();
        let guest = ensure(&options(cache.path(), empty.path()), &Silent).unwrap();
        assert_eq!(guest.kernel, complete.join("vmlinuz"));
    }
}
