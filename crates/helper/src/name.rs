//! Names that a virtual machine makes in the host's file system, and that go when it ends.

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen as begin,
    socket_with,
};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// How many clients of a socket may wait to be accepted.
const BACKLOG: i32 = 128;

/// Which file is at a path: its device, number, and time of making, of which the last tells two files with
/// one number apart.
pub(crate) type Identity = [i64; 4];

fn identity(path: &Path) -> io::Result<Identity> {
    let file = fs::symlink_metadata(path)?;
    Ok([
        file.dev() as i64,
        file.ino() as i64,
        file.mtime(),
        file.mtime_nsec(),
    ])
}

/// A name that was made, with what it is the name of. It is removed when this is dropped, if it is still the
/// same file's.
#[derive(Debug)]
pub struct Name {
    path: PathBuf,
    file: Identity,
    /// Somebody else removes it.
    given: bool,
}

impl Name {
    /// The name of what is there now.
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Name::of(path.to_owned(), identity(path)?))
    }

    /// The name of a file.
    pub(crate) fn of(path: PathBuf, file: Identity) -> Self {
        Name {
            path,
            file,
            given: false,
        }
    }

    /// The path, and the file.
    pub(crate) fn parts(&self) -> (&Path, &Identity) {
        (&self.path, &self.file)
    }

    /// Leaves it to somebody else to remove it.
    pub(crate) fn give(mut self) {
        self.given = true;
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.given {
            return;
        }
        let _alone = lock(&self.path);
        if identity(&self.path).is_ok_and(|now| now == self.file) {
            // There is nobody to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Why a name can't be made.
#[derive(Debug)]
pub enum NameError {
    /// It is that of something else.
    Taken,
    /// It is that of a socket, and somebody listens there.
    InUse,
    /// The host's error.
    Host(io::Error),
}

impl From<io::Error> for NameError {
    fn from(error: io::Error) -> Self {
        NameError::Host(error)
    }
}

impl From<Errno> for NameError {
    fn from(error: Errno) -> Self {
        NameError::Host(error.into())
    }
}

/// Who may connect to a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// The user only.
    Private,
    /// Whoever may write to files that the user makes.
    Umask,
}

/// Lets one at a time look what is at a path and replace it, while the result is there. A directory that can't
/// be read has no such order.
fn lock(path: &Path) -> Option<File> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new("."))).ok()?;
    directory.lock().ok()?;
    Some(directory)
}

/// Listens at a path, on a socket that does not block. A socket there that nobody listens at is replaced.
///
/// # Errors
/// See [`NameError`].
pub fn listen(path: &Path, access: Access) -> Result<(UnixListener, Name), NameError> {
    let address = SocketAddrUnix::new(path)?;
    let socket = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
    };
    let listener = socket()?;
    if access == Access::Private {
        // Before it has a name: that gets these permissions.
        fchmod(&listener, Mode::RUSR | Mode::WUSR)?;
    }
    let _alone = lock(path);
    match bind(&listener, &address) {
        Err(Errno::ADDRINUSE) => {
            if !fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(NameError::Taken);
            }
            // That of somebody who left without a word; others may have no room for a client now.
            if connect(socket()?, &address) != Err(Errno::CONNREFUSED) {
                return Err(NameError::InUse);
            }
            fs::remove_file(path)?;
            bind(&listener, &address)?;
        }
        bound => bound?,
    }
    let name = Name::new(path)?;
    begin(&listener, BACKLOG)?;
    Ok((listener.into(), name))
}

/// Makes a symbolic link, in place of one into the same directory.
///
/// # Errors
/// See [`NameError`].
pub fn link(path: &Path, target: &Path) -> Result<Name, NameError> {
    let _alone = lock(path);
    match fs::read_link(path) {
        Ok(old) if old.parent() == target.parent() => fs::remove_file(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // What is no link is an invalid argument.
        Err(error) if error.kind() != ErrorKind::InvalidInput => return Err(error.into()),
        Ok(_) | Err(_) => return Err(NameError::Taken),
    }
    std::os::unix::fs::symlink(target, path)?;
    Ok(Name::new(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_that_was_left_is_replaced_and_nothing_else_is() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let (first, name) = listen(&path, Access::Umask).expect("a new socket");
        assert!(matches!(
            listen(&path, Access::Umask),
            Err(NameError::InUse)
        ));
        drop(first);
        name.give();
        assert!(path.exists());
        let (_second, name) = listen(&path, Access::Private).expect("the old one is replaced");
        UnixStream::connect(&path).expect("it listens");
        let mode = fs::metadata(&path).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        drop(name);
        assert!(!path.exists(), "it is removed with its name");
        fs::write(&path, b"precious").expect("writable");
        assert!(matches!(
            listen(&path, Access::Umask),
            Err(NameError::Taken)
        ));
        assert_eq!(fs::read(&path).expect("it is there"), b"precious");
        let none = directory.path().join("none/s");
        assert!(matches!(
            listen(&none, Access::Umask),
            Err(NameError::Host(_))
        ));
    }

    #[test]
    fn one_who_listens_and_has_no_room_is_not_replaced() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let flags = SocketFlags::CLOEXEC;
        let busy = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let busy = busy.expect("a socket");
        let address = SocketAddrUnix::new(&path).expect("an address");
        bind(&busy, &address).expect("it is free");
        begin(&busy, 0).expect("a socket");
        let _waits = UnixStream::connect(&path).expect("there is room for one");
        assert!(matches!(
            listen(&path, Access::Umask),
            Err(NameError::InUse)
        ));
    }

    #[test]
    fn another_ones_file_stays() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let (listener, first) = listen(&path, Access::Umask).expect("a new socket");
        drop(listener);
        // The file's number may be the same, but not its time.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (_listener, second) = listen(&path, Access::Umask).expect("it is replaced");
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn only_a_link_into_the_same_directory_is_replaced() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("tty");
        let leads = || fs::read_link(&path).expect("a link");
        link(&path, Path::new("/dev/pts/1"))
            .expect("a new link")
            .give();
        let name = link(&path, Path::new("/dev/pts/2")).expect("a link is replaced");
        assert_eq!(leads(), Path::new("/dev/pts/2"));
        drop(name);
        assert!(fs::symlink_metadata(&path).is_err(), "it is removed");
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
        let taken = link(&path, Path::new("/dev/pts/3"));
        assert!(matches!(taken, Err(NameError::Taken)));
        assert_eq!(leads(), Path::new("/etc/passwd"));
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, b"precious").expect("writable");
        let taken = link(&path, Path::new("/dev/pts/3"));
        assert!(matches!(taken, Err(NameError::Taken)));
        let nowhere = link(&directory.path().join("no/such"), Path::new("/dev/pts/3"));
        assert!(matches!(nowhere, Err(NameError::Host(_))));
    }
}
