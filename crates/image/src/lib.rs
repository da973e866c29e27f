//! The default guest: Debian's armhf kernel with BusyBox in an initial RAM disk.
//!
//! [`ensure`] fetches the packages with the host's own apt client (private state and architecture,
//! no root, signatures checked by apt), builds the RAM disk, and keeps all in the user's cache.
//! The rest is the protocol between `skep run` and the guest's `/init`: [`command_overlay`] tells
//! it what to run, [`encode_input`] carries the command's standard input, and [`CommandOutput`]
//! separates its output from everything else on the console.

mod apt;
mod cache;
mod command;
pub mod cpio;
mod error;
mod initrd;
mod input;
mod modules;
mod mounts;
mod output;
mod package;
mod programs;
pub mod root;
#[cfg(test)]
mod tests;
mod unpacked;

pub use cache::base_directory;
pub use command::{command_overlay, terminal_overlay};
pub use error::Error;
pub use input::{encode_input, end_of_input};
pub use mounts::{Mount, boot_overlay, mount_overlay};
pub use output::CommandOutput;
pub use programs::programs;

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
}

impl Options {
    /// The cache.
    fn directory(&self) -> Result<PathBuf, Error> {
        match &self.cache_dir {
            Some(directory) => Ok(directory.clone()),
            None => cache::default_directory(|name| std::env::var_os(name)),
        }
    }
}

/// The default guest's files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// The kernel as Debian has it: a zImage.
    pub kernel: PathBuf,
    /// What to boot. The same kernel, unpacked on the host, which takes a tenth of the time that
    /// the guest would need; or the zImage, if only the guest can unpack it.
    pub boot: PathBuf,
    /// An uncompressed cpio archive, padded so that another may follow it.
    pub initrd: PathBuf,
}

/// Is told how far the work is.
pub trait Progress {
    /// What is done now.
    fn stage(&self, what: &str);
    /// Bytes done of the stage, and how many there are, if that is known.
    fn bytes(&self, done: u64, total: Option<u64>);
    /// Steps done of the stage, and how many there are.
    fn steps(&self, _done: usize, _total: usize) {}
}

/// Shows nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _what: &str) {}
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
}

/// Room that building the guest takes, bytes: package lists, packages, and the guest's files.
const SPACE: u64 = 100 << 20;

/// The default guest: from the cache, or fetched and built there; only that needs a network.
/// Several processes may ask at once: one builds it, the others wait.
///
/// # Errors
/// See [`Error`]. Nothing half-made is left in the cache then.
pub fn ensure(options: &Options, progress: &dyn Progress) -> Result<Guest, Error> {
    let directory = options.directory()?;
    let package = options.flavour.package();
    cache::ensure(&directory, package, progress, |work, into| {
        cache::require_space(&directory, SPACE)?;
        let apt = apt::Apt::new(work, None, progress)?;
        let packages = apt.fetch(package, "busybox-static")?;
        progress.stage("Unpacking the packages");
        let kernel = package::kernel(&apt, &packages.kernel)?;
        let busybox = package::file(&apt, &packages.busybox, &["bin/busybox", "usr/bin/busybox"])?;
        progress.stage("Building the initial RAM disk");
        into.write(cache::KERNEL, &kernel.image)?;
        if let Some(unpacked) = unpacked::elf(&kernel.image) {
            into.write(cache::UNPACKED, &unpacked)?;
        }
        into.write(cache::INITRD, &initrd::archive(&kernel, &busybox))
    })
}
