//! The process, and who asks it.
//!
//! A process that may open Unix sockets could talk to any of the host's programs that listens at one, among
//! them some that do whatever they are told; one that may remove files could remove any. So the VM's process
//! has neither right: it asks this one, which can be asked for ports only.

use crate::name::{Identity, Name};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, connect,
    recvmsg, send, sendmsg, shutdown, socket_with, socketpair,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The first argument of a program that is to be a helper.
const ARGUMENT: &str = "vm-helper";
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

/// Is a helper, if this program was started to be one: it returns true then, when there is nothing more to
/// do. To be called before anything else.
pub fn run() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return false;
    }
    // Who ends the VM, as a service manager does, may signal this process, too, which has to outlive it.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
    let Some((connects, names)) = parse(arguments) else {
        return false;
    };
    if let Ok(channel) = io::stdin().as_fd().try_clone_to_owned() {
        serve(&channel, connects.as_deref());
    }
    drop(names);
    true
}

/// What arguments say: the path of programs to connect to, and the names to remove.
fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<(Option<PathBuf>, Vec<Name>)> {
    let connects = arguments.next().map(PathBuf::from)?;
    let connects = Some(connects).filter(|path| !path.as_os_str().is_empty());
    let mut names = Vec::new();
    while let Some(path) = arguments.next() {
        let mut file: Identity = [0; 4];
        for part in &mut file {
            *part = arguments.next()?.to_str()?.parse().ok()?;
        }
        names.push(Name::of(path.into(), file));
    }
    Some((connects, names))
}

/// Answers until nobody asks any more.
fn serve(channel: &OwnedFd, connects: Option<&Path>) {
    let mut question = [0; QUESTION];
    loop {
        match rustix::net::recv(channel, &mut question, RecvFlags::empty()) {
            Ok((_, QUESTION)) => {}
            Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => return,
        }
        let [id @ .., p0, p1, p2, p3] = question;
        let port = u32::from_le_bytes([p0, p1, p2, p3]);
        let stream = match connects {
            Some(path) => connect_to(path, port),
            None => Err(Errno::CONNREFUSED),
        };
        if answer(channel, id, &stream).is_err() {
            return;
        }
    }
}

/// The socket of a program that listens for a port.
fn path_of(path: &Path, port: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("_{port}"));
    name.into()
}

fn connect_to(path: &Path, port: u32) -> Result<OwnedFd, Errno> {
    let address = SocketAddrUnix::new(path_of(path, port))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &address)?;
    Ok(socket)
}

fn answer(channel: &OwnedFd, id: [u8; 8], stream: &Result<OwnedFd, Errno>) -> Result<(), Errno> {
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
        Err(Errno::AGAIN) => status.fill(BUSY),
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

/// What a helper will do, until it starts.
#[derive(Debug)]
pub struct Tasks {
    ours: OwnedFd,
    its: OwnedFd,
    names: Vec<Name>,
    connects: Option<PathBuf>,
}

impl Tasks {
    /// Nothing yet.
    ///
    /// # Errors
    /// The host has no more file descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, its) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok(Tasks {
            ours,
            its,
            names: Vec::new(),
            connects: None,
        })
    }

    /// It removes a name at the end. Until it starts, that is removed with the tasks.
    pub fn remove(&mut self, name: Name) {
        self.names.push(name);
    }

    /// It connects to who listens at a path with `_` and a port's number, as soon as it has started.
    ///
    /// # Errors
    /// The host has no more file descriptors.
    pub fn connect(&mut self, path: &Path) -> io::Result<Connector> {
        self.connects = Some(path.to_owned());
        let channel = self.ours.try_clone()?;
        Ok(Connector { channel })
    }

    /// Starts the helper, unless it has nothing to do. `program` is one whose `main` calls [`run`] first;
    /// without, the helper is a thread, in whatever sandbox the caller enters.
    ///
    /// # Errors
    /// The host has no more processes or threads.
    pub fn start(self, program: Option<&Path>) -> io::Result<Option<Helper>> {
        let Tasks {
            ours,
            its,
            names,
            connects,
        } = self;
        if names.is_empty() && connects.is_none() {
            return Ok(None);
        }
        match program {
            Some(program) => {
                let mut command = Command::new(program);
                command
                    // For people who look at processes.
                    .arg0(std::env::args_os().next().unwrap_or_default())
                    .arg(ARGUMENT)
                    .arg(connects.unwrap_or_default());
                for name in &names {
                    let (path, file) = name.parts();
                    command.arg(path).args(file.map(|part| part.to_string()));
                }
                command
                    .stdin(Stdio::from(its))
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    // What a terminal's keys end is the VM.
                    .process_group(0)
                    .spawn()?;
                names.into_iter().for_each(Name::give);
            }
            None => {
                let thread = std::thread::Builder::new().name("helper".into());
                thread.spawn(move || {
                    serve(&its, connects.as_deref());
                    // Before the channel, whose end tells that they are gone.
                    drop(names);
                })?;
            }
        }
        Ok(Some(Helper { channel: ours }))
    }
}

/// A helper, which ends when this is dropped: then its names are removed.
#[derive(Debug)]
pub struct Helper {
    channel: OwnedFd,
}

impl Drop for Helper {
    fn drop(&mut self) {
        if shutdown(&self.channel, Shutdown::Write).is_err() {
            return;
        }
        // Its end is the end of answers.
        loop {
            let mut fds = [PollFd::new(&self.channel, PollFlags::IN)];
            if !matches!(poll(&mut fds, Some(&PATIENCE)), Ok(1..)) {
                return;
            }
            let mut bytes = [0; ANSWER];
            if !matches!(
                rustix::net::recv(&self.channel, &mut bytes, RecvFlags::DONTWAIT),
                Ok((_, 1..))
            ) {
                return;
            }
        }
    }
}

/// Who asks a helper for connections. It is readable when there is an answer.
#[derive(Debug)]
pub struct Connector {
    channel: OwnedFd,
}

impl Connector {
    /// Asks for a connection to who listens for a port.
    ///
    /// # Errors
    /// The helper has ended, or has too many questions already.
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
                Err(Errno::INTR) => {}
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

impl AsFd for Connector {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Access, link, listen};
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    /// An answer, when it has come.
    fn wait(connector: &Connector) -> (u64, io::Result<OwnedFd>) {
        let mut fds = [PollFd::new(connector, PollFlags::IN)];
        poll(&mut fds, None).expect("an event");
        connector.answer().expect("an answer")
    }

    #[test]
    fn it_connects_to_ports_and_removes_names() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let tty = directory.path().join("tty");
        let mut tasks = Tasks::new().expect("a channel");
        let (_listener, name) = listen(&path, Access::Umask).expect("a socket");
        tasks.remove(name);
        tasks.remove(link(&tty, Path::new("/dev/pts/0")).expect("a link"));
        let connector = tasks.connect(&path).expect("a descriptor");
        let helper = tasks.start(None).expect("a thread");
        assert!(helper.is_some() && connector.answer().is_none());
        // The largest number is among those that there is room for.
        let port = UnixListener::bind(path_of(&path, u32::MAX)).expect("a socket");
        connector.ask(u32::MAX, 7).expect("a question");
        connector.ask(5000, 8).expect("a question");
        let (id, stream) = wait(&connector);
        assert_eq!(id, 7);
        let mut stream = UnixStream::from(stream.expect("a connection"));
        let (mut accepted, _) = port.accept().expect("it is there");
        stream.write_all(b"through").expect("it is there");
        drop(stream);
        let mut text = String::new();
        accepted.read_to_string(&mut text).expect("text");
        assert_eq!(text, "through");
        let (id, refused) = wait(&connector);
        let error = refused.expect_err("nobody listens");
        assert_eq!((id, error.kind()), (8, ErrorKind::ConnectionRefused));
        assert!(path.exists() && tty.is_symlink());
        drop(helper);
        assert!(
            !path.exists() && !tty.is_symlink(),
            "they are removed when that returns"
        );
    }

    #[test]
    fn one_that_only_removes_connects_to_nobody() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let mut tasks = Tasks::new().expect("a channel");
        let (_listener, name) = listen(&path, Access::Private).expect("a socket");
        tasks.remove(name);
        let _port = UnixListener::bind(path_of(&path, 1)).expect("a socket");
        let channel = tasks.ours.try_clone().expect("a descriptor");
        let connector = Connector { channel };
        let helper = tasks.start(None).expect("a thread");
        connector.ask(1, 9).expect("a question");
        let (id, refused) = wait(&connector);
        assert!(id == 9 && refused.is_err());
        drop(helper);
        assert!(!path.exists());
    }

    #[test]
    fn without_a_helper_names_go_with_the_tasks() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let mut tasks = Tasks::new().expect("a channel");
        let (_listener, name) = listen(&path, Access::Umask).expect("a socket");
        tasks.remove(name);
        let failed = tasks.start(Some(Path::new("/no/such/program")));
        assert!(failed.is_err() && !path.exists());
        let nothing = Tasks::new().expect("a channel").start(None);
        assert!(nothing.expect("nothing to start").is_none());
    }

    #[test]
    fn what_is_to_do_is_in_the_arguments() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(Into::into).collect() };
        let (connects, names) = parse(words("s /none/a -1 2 3 4").into_iter()).expect("a task");
        assert_eq!(connects, Some("s".into()));
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].parts(), (Path::new("/none/a"), &[-1, 2, 3, 4]));
        let (connects, names) = parse([OsString::new()].into_iter()).expect("a task");
        assert!(connects.is_none() && names.is_empty());
        for wrong in ["s /none/a 1 2 3", "s /none/a 1 2 3 x"] {
            assert!(parse(words(wrong).into_iter()).is_none(), "{wrong}");
        }
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
        assert_eq!(connect_to(&path, 1).err(), Some(Errno::AGAIN));
    }
}
