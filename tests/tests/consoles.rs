//! Consoles beside the one on standard input and output.

use rustix::fs::OFlags;
use skep_tests::{PATIENCE, Session, assert_refused, file, run, stderr};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Somebody at a console.
struct Client {
    file: File,
    seen: String,
}

impl Client {
    /// Connected to a socket.
    fn connect(path: &str) -> Self {
        let stream = connect(path);
        stream.set_nonblocking(true).expect("a socket");
        Client {
            file: OwnedFd::from(stream).into(),
            seen: String::new(),
        }
    }

    /// At a terminal.
    fn open(path: &str) -> Self {
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options.custom_flags(flags.bits() as i32);
        Client {
            file: options.open(path).expect("the terminal is there"),
            seen: String::new(),
        }
    }

    fn send(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).expect("it is open");
    }

    /// Waits for `text` after what was expected before.
    fn expect(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(
                Instant::now() < end,
                "{text:?} does not come, only {:?}",
                self.seen
            );
            let mut buffer = [0; 4096];
            match self.file.read(&mut buffer) {
                Ok(0) => panic!("{text:?} did not come, only {:?}", self.seen),
                Ok(read) => self
                    .seen
                    .push_str(&String::from_utf8_lossy(&buffer[..read])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn connect(path: &str) -> UnixStream {
    UnixStream::connect(path).expect("somebody listens")
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("text").to_owned()
}

#[test]
fn sockets_and_terminals_have_shells_and_readers_come_and_go() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name| path(directory.path(), name);
    let (socket, link, log) = (
        at("socket"),
        at("tty"),
        file(directory.path(), "log", b"old\n"),
    );
    // What somebody left who listens no longer.
    drop(UnixListener::bind(&socket).expect("a socket"));
    let consoles = [
        format!("socket={socket}"),
        format!("pty={link}"),
        format!("file={log},append"),
    ];
    let mut words = vec!["run", "--net", "none"];
    words.extend(consoles.iter().flat_map(|backend| ["--console", backend]));
    words.extend([
        "--",
        "sh",
        "-c",
        "echo logged >/dev/hvc2; echo started; cat",
    ]);
    let mut session = Session::start(&words);
    let line = session.error_line();
    let terminal = std::fs::read_link(&link).expect("a link to the terminal");
    assert_eq!(
        line.trim_end(),
        format!("skep: the console hvc1 is {}", terminal.display())
    );
    let mode = std::fs::metadata(&socket)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    session.expect("started");

    // The prompt came before anybody was there.
    let mut client = Client::connect(&socket);
    client.expect("~# ");
    client.send("tty; echo $((6 * 7))\n");
    client.expect("/dev/hvc0\r\n42\r\n");
    let mut second = Vec::new();
    let turned_away = connect(&socket).read_to_end(&mut second);
    assert!(turned_away.is_ok());
    assert_eq!(second, b"skep: another client has this console\r\n");

    // One that does not read does not hold up the guest, and costs no memory.
    client.send("yes flood >/tmp/flood & sleep 0.2; cat /tmp/flood; kill $!\n");
    let idle = connect_after(client, &socket);
    session.send(b"still there\n");
    session.expect("still there");
    drop(idle);
    let mut client = Client::connect(&socket);
    client.send("\x03\n");
    client.expect("~# ");
    client.send("echo again; exit\n");
    client.expect("again");
    client.expect("~# ");

    for _ in 0..2 {
        let mut client = Client::open(&link);
        client.send("tty\n");
        client.expect("/dev/hvc1\r\n");
    }

    session.send(b"last\n");
    session.expect("last");
    session.end_input();
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let log = std::fs::read_to_string(log).expect("the file is there");
    assert_eq!(log, "old\nlogged\r\n");
}

/// Leaves a console, and connects to it without ever reading.
fn connect_after(client: Client, path: &str) -> UnixStream {
    drop(client);
    // That the client has gone is noticed a little later.
    let end = Instant::now() + PATIENCE;
    loop {
        let stream = connect(path);
        std::thread::sleep(Duration::from_millis(200));
        let mut seen = [0; 5];
        stream.set_nonblocking(true).expect("a socket");
        match (&stream).read(&mut seen) {
            Ok(_) if &seen == b"skep:" => assert!(Instant::now() < end, "nobody left"),
            _ => return stream,
        }
    }
}

/// Starts a guest with a socket and a link, and ends it: then both are gone, at the latest after a time.
fn names_are_removed_after(time: Duration, end: impl FnOnce(Session)) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let mut session = Session::start(&[
        "run",
        "--net",
        "none",
        &format!("--console=socket={}", at("socket").display()),
        &format!("--console=pty={}", at("tty").display()),
        "--",
        "sh",
        "-c",
        "echo started; cat",
    ]);
    session.expect("started");
    let there = || (at("socket").exists(), at("tty").is_symlink());
    assert_eq!(there(), (true, true));
    end(session);
    let until = Instant::now() + time;
    while there() != (false, false) {
        assert!(Instant::now() < until, "left: {:?}", there());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sockets_and_links_are_removed_at_the_end() {
    names_are_removed_after(Duration::ZERO, |session| {
        let output = session.finish();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    });
}

#[test]
fn sockets_and_links_are_removed_after_ctrl_c() {
    names_are_removed_after(Duration::ZERO, |session| {
        session.interrupt();
        assert_eq!(session.finish().status.code(), Some(130));
    });
}

#[test]
fn sockets_and_links_are_removed_if_a_service_manager_ends_all_processes() {
    names_are_removed_after(Duration::ZERO, |session| {
        session.terminate_all();
        assert_eq!(session.finish().status.code(), Some(130));
    });
}

#[test]
fn sockets_and_links_are_removed_after_a_kill() {
    names_are_removed_after(PATIENCE, drop);
}

#[test]
fn without_standard_input_the_serial_port_is_a_socket_s() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = path(directory.path(), "socket");
    let mut session = Session::start(&[
        "run",
        "--net",
        "none",
        "--serial",
        &format!("socket={socket}"),
    ]);
    session.send(b"this is not read\n");
    session.end_input();
    let end = Instant::now() + PATIENCE;
    while !Path::new(&socket).exists() {
        assert!(Instant::now() < end, "no socket");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut client = Client::connect(&socket);
    client.expect("~# ");
    client.send("tty; cat /proc/consoles; poweroff -f\n");
    client.expect("/dev/ttyAMA0\r\n");
    // The last words of the kernel reach whoever reads.
    client.expect("reboot: Power down");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout, b"");
}

#[test]
fn consoles_that_can_not_be_connected_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| path(directory.path(), name);
    let long = at(&"x".repeat(200));
    let precious = file(directory.path(), "precious", b"contents");
    let _listener = UnixListener::bind(at("socket")).expect("a socket");
    for (backend, parts) in [
        (format!("socket={precious}"), ["precious", "remove it"]),
        (
            format!("socket={}", at("socket")),
            ["another program", "stop it"],
        ),
        (
            format!("socket={}", at("no/such")),
            ["no/such", "check the path"],
        ),
        (format!("socket={}", long), ["can't be made", "below 108"]),
        (format!("pty={precious}"), ["precious", "remove it"]),
        (
            format!("pty={}", at("no/such")),
            ["no/such", "check the path"],
        ),
        (
            "file=/dev/null".into(),
            ["not a regular file", "a socket or a pty"],
        ),
    ] {
        let words = ["run", "--console", &backend, "--", "true"];
        assert_refused(&run(&words, b""), &parts);
    }
    assert_eq!(std::fs::read(precious).expect("it is there"), b"contents");
}

#[test]
fn consoles_that_contradict_each_other_are_refused() {
    for (options, part) in [
        (
            &["--serial", "stdio", "--console", "stdio"][..],
            "two consoles",
        ),
        (&["--serial", "null"], "no console is connected"),
        (&["--console", "tty"], "file=PATH[,append]"),
    ] {
        let words = [&["run"], options, &["--", "true"]].concat();
        let output = run(&words, b"");
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}
