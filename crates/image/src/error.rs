//! What can go wrong, each as a sentence with a remedy.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no default guest. Each message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no apt.
    #[error(
        "the default guest is made of Debian packages, and this system has no {0} to fetch or \
         unpack them; install apt and dpkg, or boot your own files with --kernel and --initrd"
    )]
    NoTool(&'static str),
    /// apt could not get the packages.
    #[error(
        "apt could not fetch {what} for armhf ({detail}); check the network, the system's apt \
         sources, which must offer armhf (Debian's do), and the free space in the cache, or boot \
         your own files with --kernel and --initrd"
    )]
    Fetch {
        /// The package.
        what: String,
        /// apt's last words.
        detail: String,
    },
    /// A package is not what was expected.
    #[error(
        "the package {package} can't be used: {reason}; try again, or boot your own files with \
         --kernel and --initrd"
    )]
    Package {
        /// The package file's name.
        package: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no home directory.
    #[error("there is no place for the cache: set XDG_CACHE_HOME or HOME to a directory")]
    NoCache,
    /// A file in the cache can't be read or written.
    #[error("the cache {path} can't be used ({source}); {remedy}", path = .path.display(), remedy = remedy(source))]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// The cached files are not those that were written, and could not be made again.
    #[error("the default guest in {path} is damaged, and could not be made again: {source}", path = .path.display())]
    Damaged {
        /// Its directory.
        path: PathBuf,
        /// What prevented it.
        source: Box<Error>,
    },
    /// A program could not be started.
    #[error(
        "{program} could not be run ({source}); check its installation, or boot your own files \
         with --kernel and --initrd"
    )]
    Run {
        /// The program.
        program: &'static str,
        /// The host's error.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err` where something in the cache is worked on.
    pub(crate) fn cache(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Cache { path, source }
    }
}

fn remedy(source: &io::Error) -> &'static str {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match source.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            "make room there (about 100 MB while the guest is built), or set XDG_CACHE_HOME to a \
             directory on another disk"
        }
        _ => "make it writable, or set XDG_CACHE_HOME to a directory that is",
    }
}
