//! Who connects to programs of the host's, at `PATH_PORT`.
//!
//! A process that may open Unix sockets could talk to any of the host's programs that listens at one, among
//! them some that do whatever they are told. So the VM's process does not have that right: it asks a process
//! of its own, which can be asked for ports only. When the VM's process ends, in whatever way, the helper
//! removes the socket at `PATH`, which that process could not, and ends, too.

use crate::host::Host;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, connect,
    recvmsg, send, sendmsg, shutdown, socket_with, socketpair,
};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first argument of a program that is to be a helper.
const ARGUMENT: &str = "vsock-helper";
/// How long the end of a helper is waited for.
const PATIENCE: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

/// A question: the connection's number, 64 bits, and a port.
const QUESTION: usize = 12;
/// An answer: the connection's number, and what came of it, with the connection if there is one.
const ANSWER: usize = 9;
/// There is a connection.
const CONNECTED: u8 = 0;
/// The program has too many others who wait.
const BUSY: u8 = 1;
/// Nobody listens, or the host refuses.
const REFUSED: u8 = 2;

/// Which file is at a path: its device, number, and time of making, of which the last tells two files with
/// one number apart.
type Identity = [i64; 4];

fn identity(path: &Path) -> io::Result<Identity> {
    let file = fs::symlink_metadata(path)?;
    Ok([
        file.dev() as i64,
        file.ino() as i64,
        file.mtime(),
        file.mtime_nsec(),
    ])
}

/// Is a helper, if this program was started to be one: it returns true then, when there is nothing more to
/// do. To be called before anything else.
pub fn run() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return false;
    }
    let Some(path) = arguments.next() else {
        return false;
    };
    let number = |argument: Option<OsString>| argument?.to_str()?.parse().ok();
    let mut file: Identity = [0; 4];
    for part in &mut file {
        match number(arguments.next()) {
            Some(value) => *part = value,
            None => return false,
        }
    }
    if let Ok(channel) = io::stdin().as_fd().try_clone_to_owned() {
        serve(&channel, Path::new(&path), &file);
    }
    true
}

/// Answers until nobody asks any more, and removes the socket.
fn serve(channel: &OwnedFd, path: &Path, file: &Identity) {
    let mut question = [0; QUESTION];
    loop {
        match rustix::net::recv(channel, &mut question, RecvFlags::empty()) {
            Ok((_, QUESTION)) => {}
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => break,
        }
        let [id @ .., p0, p1, p2, p3] = question;
        let port = u32::from_le_bytes([p0, p1, p2, p3]);
        let stream = connect_to(path, port);
        if answer(channel, id, &stream).is_err() {
            break;
        }
    }
    if identity(path).is_ok_and(|now| now == *file) {
        let _ = fs::remove_file(path);
    }
}

/// The socket of a program that listens for a port.
fn path_of(path: &Path, port: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("_{port}"));
    name.into()
}

fn connect_to(path: &Path, port: u32) -> Result<OwnedFd, rustix::io::Errno> {
    let address = SocketAddrUnix::new(path_of(path, port))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &address)?;
    Ok(socket)
}

fn answer(
    channel: &OwnedFd,
    id: [u8; 8],
    stream: &Result<OwnedFd, rustix::io::Errno>,
) -> Result<(), rustix::io::Errno> {
    let mut bytes = [0; ANSWER];
    let (number, status) = bytes.split_at_mut(id.len());
    number.copy_from_slice(&id);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    let mut fds = Vec::new();
    match stream {
        Ok(stream) => {
            status.fill(CONNECTED);
            fds.push(stream.as_fd());
            rights.push(SendAncillaryMessage::ScmRights(&fds));
        }
        Err(rustix::io::Errno::AGAIN) => status.fill(BUSY),
        Err(_) => status.fill(REFUSED),
    }
    sendmsg(
        channel,
        &[IoSlice::new(&bytes)],
        &mut rights,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Who asks a helper.
#[derive(Debug)]
pub(crate) struct Helper {
    channel: OwnedFd,
}

impl Helper {
    /// Starts one, as a process of `program` or as a thread, for the socket at a path.
    pub fn start(program: Option<&Path>, path: &Path) -> io::Result<Self> {
        let file = identity(path)?;
        let flags = SocketFlags::CLOEXEC;
        let kind = SocketType::SEQPACKET;
        let (ours, its) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        match program {
            Some(program) => {
                Command::new(program)
                    // For people who look at processes.
                    .arg0(std::env::args_os().next().unwrap_or_default())
                    .arg(ARGUMENT)
                    .arg(path)
                    .args(file.map(|part| part.to_string()))
                    .stdin(Stdio::from(its))
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    // What a terminal's keys end is the VM.
                    .process_group(0)
                    .spawn()?;
            }
            None => {
                let path = path.to_owned();
                let thread = std::thread::Builder::new().name("vsock helper".into());
                thread.spawn(move || serve(&its, &path, &file))?;
            }
        }
        Ok(Helper { channel: ours })
    }

    /// Another one who asks the same helper.
    pub fn try_clone(&self) -> io::Result<Self> {
        let channel = self.channel.try_clone()?;
        Ok(Helper { channel })
    }

    /// Asks for a connection to who listens for a port.
    pub fn ask(&self, port: u32, id: u64) -> io::Result<()> {
        let mut question = [0; QUESTION];
        let (number, rest) = question.split_at_mut(8);
        number.copy_from_slice(&id.to_le_bytes());
        rest.copy_from_slice(&port.to_le_bytes());
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        send(&self.channel, &question, flags)?;
        Ok(())
    }

    /// An answer: the connection's number, and the connection; [`ErrorKind::WouldBlock`] in it means that
    /// the program is busy. None: there is none yet, or never will be one.
    pub fn answer(&self) -> Option<(u64, io::Result<OwnedFd>)> {
        let mut bytes = [0; ANSWER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            let parts = &mut [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.channel, parts, &mut rights, flags) {
                Err(rustix::io::Errno::INTR) => {}
                received => break received.ok()?,
            }
        };
        if received.bytes != ANSWER {
            return None;
        }
        let mut stream = None;
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                stream = fds.last();
            }
        }
        let [id @ .., status] = bytes;
        let result = match (status, stream) {
            (CONNECTED, Some(stream)) => Ok(stream),
            (BUSY, _) => Err(ErrorKind::WouldBlock.into()),
            _ => Err(ErrorKind::ConnectionRefused.into()),
        };
        Some((u64::from_le_bytes(id), result))
    }
}

impl AsFd for Helper {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Host for Helper {
    type Stream = crate::service::Connected;

    fn connect(&mut self, port: u32, id: u64) -> io::Result<()> {
        self.ask(port, id)
    }
}

/// Has the helper end when this is dropped, and waits for that: then its socket is removed.
#[derive(Debug)]
pub(crate) struct Ending(pub Helper);

impl Drop for Ending {
    fn drop(&mut self) {
        let channel = &self.0.channel;
        if shutdown(channel, Shutdown::Write).is_err() {
            return;
        }
        // Its end is the end of answers.
        loop {
            let mut fds = [PollFd::new(channel, PollFlags::IN)];
            if !matches!(poll(&mut fds, Some(&PATIENCE)), Ok(1..)) {
                return;
            }
            let mut bytes = [0; ANSWER];
            if !matches!(
                rustix::net::recv(channel, &mut bytes, RecvFlags::DONTWAIT),
                Ok((_, 1..))
            ) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::listen;
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    /// An answer, when it has come.
    fn wait(helper: &Helper) -> (u64, io::Result<OwnedFd>) {
        let mut fds = [PollFd::new(helper, PollFlags::IN)];
        poll(&mut fds, None).expect("an event");
        helper.answer().expect("an answer")
    }

    #[test]
    fn it_connects_to_ports_and_removes_the_socket() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let _listener = listen(&path).expect("a socket");
        let helper = Helper::start(None, &path).expect("a thread");
        let ending = Ending(helper.try_clone().expect("a descriptor"));
        assert!(helper.answer().is_none());
        // The largest number is among those that there is room for.
        let port = UnixListener::bind(path_of(&path, u32::MAX)).expect("a socket");
        helper.ask(u32::MAX, 7).expect("a question");
        helper.ask(5000, 8).expect("a question");
        let (id, stream) = wait(&helper);
        assert_eq!(id, 7);
        let mut stream = UnixStream::from(stream.expect("a connection"));
        let (mut accepted, _) = port.accept().expect("it is there");
        stream.write_all(b"through").expect("it is there");
        drop(stream);
        let mut text = String::new();
        accepted.read_to_string(&mut text).expect("text");
        assert_eq!(text, "through");
        let (id, refused) = wait(&helper);
        let error = refused.expect_err("nobody listens");
        assert_eq!((id, error.kind()), (8, ErrorKind::ConnectionRefused));
        drop(ending);
        assert!(!path.exists(), "it is removed when that returns");
    }

    #[test]
    fn a_program_without_room_is_busy() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let flags = SocketFlags::CLOEXEC;
        let busy = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let busy = busy.expect("a socket");
        let address = SocketAddrUnix::new(path_of(&path, 1)).expect("an address");
        rustix::net::bind(&busy, &address).expect("it is free");
        rustix::net::listen(&busy, 0).expect("a socket");
        let first = connect_to(&path, 1);
        assert!(first.is_ok());
        assert_eq!(connect_to(&path, 1).err(), Some(rustix::io::Errno::AGAIN));
    }

    #[test]
    fn another_ones_socket_stays() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let listener = listen(&path).expect("a socket");
        let ending = Ending(Helper::start(None, &path).expect("a thread"));
        drop(listener);
        // The file's number may be the same, but not its time.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let listener = listen(&path).expect("a socket");
        drop(ending);
        assert!(path.exists());
        drop(listener);
    }
}
