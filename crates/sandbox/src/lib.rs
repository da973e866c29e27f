//! What a VM's process gives up once it has opened everything that its configuration names: should a
//! guest break out of its engine or of a device, it finds itself in a process that can open no file,
//! no connection and no program.
//!
//! Two layers of Linux, each of which needs no privilege:
//!
//! - [`restrict_files`], Landlock: what of the file system can be opened, by path. It holds for the
//!   calling thread and those that it starts from then on.
//! - [`restrict_calls`], seccomp: which system calls there are, for all threads. To open a file fails; any
//!   other call that there is no need for ends the process, with its name on standard error.

mod calls;
mod files;

pub use calls::{before_death, restrict_calls};
pub use files::restrict_files;

use std::path::PathBuf;

/// What the process still needs of the host, beyond what it has open.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Needs {
    /// Directories in which files are opened, as a guest asks for them.
    pub directories: Vec<Directory>,
    /// Connections over IPv4 and IPv6, and datagrams, are opened as a guest asks for them.
    pub internet: bool,
    /// Connections are accepted, of who has been listened for before.
    pub accept: bool,
}

/// A directory of the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// Files there are only read.
    pub read_only: bool,
}

/// Why the process can't be restricted.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// A directory can't be opened.
    #[error("the sandbox can't open {path}: {reason}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The kernel refuses.
    #[error(
        "the sandbox can't be set up: {0}; run on Linux 5.13 or later with Landlock and seccomp, or \
         without it, by --no-sandbox"
    )]
    Kernel(String),
}
