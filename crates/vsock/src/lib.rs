//! What a guest's socket device is connected to: Unix sockets of the host's.
//!
//! [`Sockets`] has the connections, as a state machine on top of the traits in [`host`]; [`Vsock`] is the
//! thread that drives it. A program of the host's reaches the guest through one socket, `PATH`, on which it
//! says which port it wants; the guest reaches programs that listen at `PATH_PORT`. Those are connected to by
//! a [helper](skep_helper), so that the VM's own process needs no right to.

mod connection;
pub mod host;
mod service;
mod sockets;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use connection::BUFFER;
pub use service::Vsock;
pub use sockets::{MAX_CONNECTIONS, Sockets};

use std::path::PathBuf;

/// A guest's CID, unless it is given another one.
pub const DEFAULT_CID: u32 = 3;

/// The longest path, bytes: what a socket's address takes, without `_4294967295` and a terminator.
pub const MAX_PATH: usize = 108 - 11 - 1;

/// What a guest's socket device is connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The socket by which programs of the host's reach the guest.
    pub path: PathBuf,
    /// The guest's CID, 3 to 0xffff_fffe.
    pub cid: u32,
}

/// Why a socket device can't be connected. Each message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path, with the number of a port behind it, is longer than that of a socket can be.
    #[error(
        "the path {0:?} of the vsock socket is longer than {max} bytes; name a shorter one, from the current \
         directory or in /tmp",
        max = MAX_PATH
    )]
    TooLong(PathBuf),
    /// Somebody listens there.
    #[error(
        "the vsock socket {0:?} is in use by another program, as by another VM; name another path, or end \
         that program"
    )]
    InUse(PathBuf),
    /// There is something else.
    #[error("{0:?} exists and is not a socket; name another path for vsock, or remove it")]
    NotASocket(PathBuf),
    /// The socket can't be made.
    #[error(
        "the vsock socket {path:?} can't be made ({source}); check that its directory exists, and that you \
         may write to it"
    )]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The host's error.
        source: std::io::Error,
    },
    /// The host has no more processes, file descriptors, threads or memory.
    #[error("the host could not start vsock ({0}); close other programs, or leave vsock out")]
    Host(#[from] std::io::Error),
}
