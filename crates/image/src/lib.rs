//! The default guest: Debian's armhf kernel with BusyBox in an initial RAM disk.
//!
//! [`ensure`] fetches the packages with the host's own apt client (private state and architecture,
//! no root, signatures checked by apt), builds the RAM disk, and keeps both in the user's cache.
//! The rest is the protocol between `skep run` and the guest's `/init`: [`command_overlay`] tells
//! it what to run, and [`CommandOutput`] separates the command's output from everything else on the
//! console.

mod apt;
mod cache;
mod command;
mod cpio;
mod initrd;
mod modules;

pub use cache::ensure;
pub use command::{CommandOutput, command_overlay, encode_input, end_of_input, pipe_overlay};

use std::path::PathBuf;

/// Which kernel.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Flavour {
    /// `linux-image-armmp`: short-descriptor translation tables.
    #[default]
    Armmp,
    /// `linux-image-armmp-lpae`: long-descriptor ones.
    ArmmpLpae,
}

impl Flavour {
    /// The Debian package that depends on the current kernel's.
    pub fn package(self) -> &'static str {
        match self {
            Flavour::Armmp => "linux-image-armmp",
            Flavour::ArmmpLpae => "linux-image-armmp-lpae",
        }
    }
}

/// Where and what.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// The cache; by default `skep` in `$XDG_CACHE_HOME` or `~/.cache`.
    pub cache_dir: Option<PathBuf>,
    /// The kernel.
    pub flavour: Flavour,
    /// Where `apt-get` and the other programs are found; by default `$PATH`.
    pub path: Option<std::ffi::OsString>,
}

/// The default guest's files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// A zImage.
    pub kernel: PathBuf,
    /// An uncompressed cpio archive, padded so that another may follow it.
    pub initrd: PathBuf,
}

/// Is told how far the work is.
pub trait Progress {
    /// What is done now.
    fn stage(&self, what: &str);
    /// Bytes done of the stage, and how many there are, if that is known.
    fn bytes(&self, done: u64, total: Option<u64>);
}

/// Shows nothing.
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _what: &str) {}
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
}

/// Why there is no default guest. Each message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no apt.
    #[error(
        "the default guest is made of Debian packages, and this system has no {0}; install apt and \
         dpkg, or boot your own files with --kernel and --initrd"
    )]
    NoTool(&'static str),
    /// apt could not get the packages.
    #[error(
        "apt could not {action} ({detail}); check the network and the system's apt sources, which \
         must offer armhf (Debian's do), or boot your own files with --kernel and --initrd"
    )]
    Apt {
        /// What was tried.
        action: &'static str,
        /// apt's last words.
        detail: String,
    },
    /// A package is not what was expected.
    #[error(
        "the package {package} does not have {what}; boot your own files with --kernel and --initrd, \
         and report this"
    )]
    Package {
        /// The package.
        package: String,
        /// What is missing.
        what: String,
    },
    /// There is no home directory.
    #[error("there is no place for the cache: set XDG_CACHE_HOME or HOME to a directory")]
    NoCache,
    /// A file in the cache can't be written.
    #[error(
        "the cache {path} can't be used ({source}); free space there, make it writable, or set \
         XDG_CACHE_HOME to another directory",
        path = .path.display()
    )]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// The host's error.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("{program} could not be run ({source}); check its installation")]
    Run {
        /// The program.
        program: &'static str,
        /// The host's error.
        source: std::io::Error,
    },
}
