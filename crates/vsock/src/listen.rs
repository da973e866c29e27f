//! The socket by which programs of the host's reach the guest.

use crate::Error;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// The longest path, bytes: what a socket's address takes, without `_4294967295` and a terminator.
pub const MAX_PATH: usize = 108 - 11 - 1;

/// Listens at a path. A socket there that nobody listens at is replaced.
pub fn listen(path: &Path) -> Result<UnixListener, Error> {
    if path.as_os_str().len() > MAX_PATH {
        return Err(Error::TooLong(path.to_owned()));
    }
    let problem = |source| Error::Socket {
        path: path.to_owned(),
        source,
    };
    // One at a time looks and replaces.
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new("."))).map_err(problem)?;
    directory.lock().map_err(problem)?;
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let there = fs::symlink_metadata(path).map_err(problem)?;
            if !there.file_type().is_socket() {
                return Err(Error::NotASocket(path.to_owned()));
            }
            match UnixStream::connect(path) {
                // Somebody who left without a word.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                _ => return Err(Error::InUse(path.to_owned())),
            }
            fs::remove_file(path).map_err(problem)?;
            UnixListener::bind(path)
        }
        listener => listener,
    };
    let listener = listener.map_err(problem)?;
    listener.set_nonblocking(true).map_err(problem)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_was_left_is_replaced_and_nothing_else_is() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let first = listen(&path).expect("a new socket");
        assert!(matches!(listen(&path), Err(Error::InUse(_))));
        drop(first);
        assert!(path.exists());
        let second = listen(&path).expect("the old one is replaced");
        UnixStream::connect(&path).expect("it listens");
        drop(second);
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, b"precious").expect("writable");
        assert!(matches!(listen(&path), Err(Error::NotASocket(_))));
        assert_eq!(fs::read(&path).expect("it is there"), b"precious");
    }

    #[test]
    fn paths_that_can_not_be() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let none = directory.path().join("none/s");
        assert!(matches!(listen(&none), Err(Error::Socket { .. })));
        let length = MAX_PATH - directory.path().as_os_str().len() - 1;
        let longest = directory.path().join("s".repeat(length));
        listen(&longest).expect("it is short enough");
        let longer = directory.path().join("s".repeat(length + 1));
        assert!(matches!(listen(&longer), Err(Error::TooLong(_))));
    }
}
