//! A Unix socket that clients connect to.

use super::ConsoleError;
use rustix::fs::{Mode, fchmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen as start, socket_with,
};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// How many clients may wait to be turned away.
const BACKLOG: i32 = 8;

/// Listens on a socket of this name, which only the user may connect to. A socket that nobody listens on
/// any more is replaced.
pub(super) fn listen(path: &Path) -> Result<UnixListener, ConsoleError> {
    let problem = |source| ConsoleError::Socket {
        path: path.to_owned(),
        source,
    };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ConsoleError::Taken(path.to_owned(), "socket"));
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(problem)?;
            }
            // It may have no room for a client now.
            Ok(_) | Err(_) => return Err(ConsoleError::SocketInUse(path.to_owned())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(problem(error)),
    }
    let made = || -> io::Result<UnixListener> {
        let address = SocketAddrUnix::new(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Before it has a name: it gets these permissions.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &address)?;
        start(&socket, BACKLOG)?;
        Ok(socket.into())
    };
    made().map_err(problem)
}
