//! Connections between programs of the default guest and of this host, over vsock.

use skep_tests::{PATIENCE, Session, assert_refused, run, stderr, stdout};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A directory with the guest's program, the VM's socket, and those of this host's programs.
struct Base(tempfile::TempDir);

impl Base {
    fn new() -> Self {
        let base = tempfile::tempdir().expect("a temporary directory");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/linux/vsock.c");
        std::fs::create_dir(base.path().join("guest")).expect("writable");
        let status = Command::new("arm-linux-gnueabihf-gcc")
            .args(["-O2", "-static", "-o"])
            .arg(base.path().join("guest/vsock"))
            .arg(source)
            .status()
            .expect("gcc-arm-linux-gnueabihf is installed");
        assert!(status.success());
        Base(base)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("s")
    }

    /// Starts a script in a guest, in the directory with its program.
    fn start(&self, options: &[&str], script: &str) -> Session {
        let vsock = format!("--vsock={}", self.path().display());
        let share = format!("--share={}/guest", self.0.path().display());
        let script = format!("PATH=$PATH:.; {script}");
        let words = [
            &["run", &vsock, &share],
            options,
            &["--", "sh", "-c", &script],
        ];
        Session::start(&words.concat())
    }

    /// Listens for a port of this host.
    fn listen(&self, port: u32) -> UnixListener {
        let path = format!("{}_{port}", self.path().display());
        UnixListener::bind(path).expect("a new socket")
    }

    /// Connects to a port of the guest's; None if it is refused.
    fn connect(&self, port: u32) -> Option<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(self.path()).expect("the VM's socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
            .write_all(format!("CONNECT {port}\n").as_bytes())
            .expect("it listens");
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).expect("an answer, or the end");
        let number = line.strip_prefix("OK ")?.strip_suffix('\n')?;
        assert!(number.parse::<u32>().is_ok(), "{line:?}");
        Some(stream)
    }
}

/// Sends back what comes, to each who connects.
fn echo(listener: UnixListener) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            thread::spawn(move || {
                // Who has seen enough closes.
                let _ = std::io::copy(&mut &stream, &mut &stream);
            });
        }
    });
}

/// Bytes that do not repeat.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let words = (0..len / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

#[test]
fn bytes_go_both_ways_on_many_connections() {
    let base = Base::new();
    echo(base.listen(5000));
    let question = base.listen(5001);
    let big = base.listen(5002);
    let mut session = base.start(
        &["--cpus", "2"],
        "vsock cid; echo hello | vsock connect 2 5000; vsock many 2 5000 100; \
         vsock connect 2 5999 </dev/null; \
         echo question | vsock connect 2 5001; \
         for port in 6000 6001 6002 6003; do \
         case $port in 6000) set -- cat;; 6001) set -- sh -c 'cat >/tmp/file; echo stored';; \
         6002) set -- sh -c 'cat; echo the host has closed >&2';; \
         6003) set -- sh -c 'yes; echo nobody reads >&2';; esac; vsock listen $port \"$@\" & done; \
         read line; vsock connect 2 5002 </tmp/file; echo sent; read line",
    );
    let host = thread::spawn(move || {
        let (mut stream, _) = question.accept().expect("a connection");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text, and its end");
        assert_eq!(text, "question\n");
        stream.write_all(b"answer\n").expect("it still reads");
    });
    // The guest ends what it sends, and reads on.
    session
        .expect("3\nhello\n100 connections\n")
        .expect("Connection reset by peer")
        .expect("answer\n");
    host.join().expect("no panic");
    for _ in 0..4 {
        session.expect("listening at 600");
    }

    // To the guest: a hundred at a time.
    let mut streams: Vec<_> = (0..100)
        .map(|_| base.connect(6000).expect("it listens"))
        .collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        writeln!(stream.get_mut(), "{number}").expect("it reads");
    }
    for (number, mut stream) in streams.into_iter().enumerate() {
        stream
            .get_ref()
            .shutdown(Shutdown::Write)
            .expect("a socket");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text, and its end");
        assert_eq!(text, format!("{number}\n"));
    }
    assert!(base.connect(6999).is_none(), "nobody listens there");

    // Programs of the host's that close: the guest's see the end, or nobody who reads.
    drop(base.connect(6002).expect("it listens"));
    session.expect("the host has closed");
    let mut endless = base.connect(6003).expect("it listens");
    endless.read_exact(&mut [0; 100_000]).expect("bytes");
    drop(endless);
    session.expect("nobody reads");

    // 64 MiB there and back.
    let bytes = noise(64 << 20);
    let mut stream = base.connect(6001).expect("it listens");
    stream.get_mut().write_all(&bytes).expect("it reads");
    stream
        .get_ref()
        .shutdown(Shutdown::Write)
        .expect("a socket");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text, and its end");
    assert_eq!(text, "stored\n");
    session.send(b"\n");
    let (mut stream, _) = big.accept().expect("a connection");
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("bytes, and their end");
    drop(stream);
    assert!(back == bytes, "{} bytes came back", back.len());
    session.expect("sent");
    session.send(b"\n");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!base.path().exists(), "the socket is removed");
}

/// The guest's driver lets go of the device, and takes it again; then skep is killed.
#[test]
fn nobody_is_left_hanging() {
    let base = Base::new();
    let waits = base.listen(5000);
    let config = format!(
        "[vm.one]\nvsock = {{ path = 's', cid = 77 }}\nshares = ['{}/guest']\n",
        base.0.path().display()
    );
    let file = base.0.path().join("skep.toml");
    std::fs::write(&file, config).expect("writable");
    let script = "PATH=$PATH:/mnt/guest; vsock cid; vsock listen 6000 cat & \
                  sleep 1000 | vsock connect 2 5000 & \
                  read line; cd /sys/bus/virtio/drivers/vmw*; device=$(echo virtio*); \
                  echo $device >unbind; echo unbound; read line; echo $device >bind; \
                  vsock listen 6001 cat & sleep 1000 | vsock connect 2 5000";
    let file = file.to_str().expect("a path of this test");
    let words = ["run", "--config", file, "--", "sh", "-c", script];
    let mut session = Session::start(&words);
    let mut of_guest = waits.accept().expect("a connection").0;
    session.expect("77\n").expect("listening at 6000");
    let mut of_host = base.connect(6000).expect("it listens");
    let ended = |of_guest: &mut UnixStream, of_host: &mut BufReader<UnixStream>| {
        let mut rest = Vec::new();
        of_guest.read_to_end(&mut rest).expect("the end");
        of_host.read_to_end(&mut rest).expect("the end");
        assert!(rest.is_empty());
    };
    session.send(b"\n");
    session.expect("unbound\n");
    ended(&mut of_guest, &mut of_host);
    assert!(base.connect(6000).is_none(), "there is no driver");
    session.send(b"\n");
    let mut of_guest = waits.accept().expect("a connection").0;
    session.expect("listening at 6001");
    let mut of_host = base.connect(6001).expect("it listens");
    // This kills it.
    drop(session);
    ended(&mut of_guest, &mut of_host);
    let deadline = Instant::now() + PATIENCE;
    while base.path().exists() {
        assert!(Instant::now() < deadline, "the socket stays");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sockets_that_can_not_be_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("file"), b"precious").expect("writable");
    let _taken = UnixListener::bind(path("taken")).expect("a new socket");
    for (option, parts) in [
        (path("file"), &["not a socket", "another path"][..]),
        (path("taken"), &["in use", "another path"]),
        (path("none/s"), &["can't be made", "directory"]),
        (path(&"s".repeat(100)), &["longer than", "shorter"]),
        (path("s,cid=2"), &["CID", "cid=3"]),
        (",cid=3".to_owned(), &["path is missing"]),
    ] {
        let words = ["run", "--vsock", &option, "--", "true"];
        assert_refused(&run(&words, b""), parts);
    }
    assert_eq!(
        std::fs::read(path("file")).expect("it is there"),
        b"precious"
    );
    // One that somebody left is replaced.
    drop(UnixListener::bind(path("left")).expect("a new socket"));
    let output = run(&["run", "--vsock", &path("left"), "--", "echo", "on"], b"");
    assert_eq!(stdout(&output), "on\n", "{}", stderr(&output));
    assert!(!Path::new(&path("left")).exists());
}
