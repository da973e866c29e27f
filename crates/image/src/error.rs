//! What can go wrong, each as a sentence with a remedy.

use std::io;
use std::path::{Path, PathBuf};

/// For examples.
const MIRROR: &str = "http://deb.debian.org/debian";

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
    /// The user named something else.
    #[error("{0:?} is no name of a suite; write for instance --suite trixie")]
    SuiteName(String),
    /// The user named something else.
    #[error("{0:?} is no address of a mirror; write for instance --mirror {MIRROR}")]
    Mirror(String),
    /// There is nothing to check signatures with.
    #[error(
        "Debian's packages can't be checked without its keys, and {path} does not exist; install \
         debian-archive-keyring",
        path = .0.display()
    )]
    NoKeyring(PathBuf),
    /// A mirror has no suite of this name.
    #[error(
        "the mirror has no suite {suite:?} with packages for armhf ({detail}); name another one \
         with --suite, for instance trixie, or another mirror with --mirror"
    )]
    Suite {
        /// The name.
        suite: String,
        /// apt's words.
        detail: String,
    },
    /// No source has a package of this name.
    #[error(
        "there is no package {0:?} for armhf in the suite; check the name (packages.debian.org \
         has all), or name another suite with --suite"
    )]
    UnknownPackage(String),
    /// apt could not get the packages of a root file system.
    #[error(
        "apt could not fetch {what} for armhf ({detail}); check the network and the free space in \
         the cache, or name another mirror with --mirror"
    )]
    FetchRoot {
        /// The packages.
        what: String,
        /// apt's last words.
        detail: String,
    },
    /// The disk can't hold what is wanted.
    #[error(
        "the disk of {size} MiB is too small for these packages, which need {needed} MiB; give it \
         --size {needed}M or more"
    )]
    DiskTooSmall {
        /// MiB.
        size: u64,
        /// MiB.
        needed: u64,
    },
    /// The guest that installs them holds them in its memory.
    #[error(
        "the packages, of {0} MiB, are too many to be installed at once; leave out some of \
             --include, and install them in the new system"
    )]
    TooManyPackages(u64),
    /// The user named something else.
    #[error("{0:?} is no host name; use letters, digits and hyphens, up to 63")]
    HostName(String),
    /// The system on a disk can't mount a directory there.
    #[error(
        "{0:?} is too long for systemd to mount a shared directory there; choose a shorter place"
    )]
    MountPoint(String),
    /// The user named something else.
    #[error("{0:?} is no name of a Debian package; write for instance --include openssh-server")]
    PackageName(String),
    /// A password that can't be handed to the program that sets it.
    #[error("the password has a line break in it, or nothing; write none for none at all")]
    Password,
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
