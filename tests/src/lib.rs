//! Drives the `skep` command as a person or a script would.

pub mod program;
pub mod transcript;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a guest may take to say what a test waits for. Far more than it needs: a test fails by
/// what it sees, not by how fast this machine is.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The `skep` binary that was built beside this test.
pub fn skep() -> Command {
    let mut command = Command::new(skep_path());
    command.stdin(Stdio::null());
    command
}

/// Where it is.
pub fn skep_path() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let path = target.join("skep");
    assert!(
        path.exists(),
        "{} is missing: cargo build --release -p skep-cli",
        path.display()
    );
    path
}

/// The default guest's files, fetched if need be.
pub fn default_guest() -> skep_image::Guest {
    skep_image::ensure(&skep_image::Options::default(), &skep_image::Silent)
        .expect("the default guest")
}

/// Runs skep to its end with this standard input; panics when that takes longer than [`PATIENCE`].
pub fn run(args: &[&str], input: &[u8]) -> Output {
    let mut session = Session::start(args);
    session.send(input);
    session.end_input();
    session.finish()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running skep with pipes.
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    errors: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// How much of `seen` earlier expectations matched.
    matched: usize,
    deadline: Instant,
}

impl Session {
    /// Starts skep.
    pub fn start(args: &[&str]) -> Self {
        let mut command = skep();
        command.args(args);
        Session::spawn(command)
    }

    /// Starts a prepared command.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("skep starts");
        let input = child.stdin.take();
        let output = reader(child.stdout.take().expect("piped"));
        let errors = reader(child.stderr.take().expect("piped"));
        let deadline = Instant::now() + PATIENCE;
        Session {
            child,
            input,
            output,
            errors,
            seen: Vec::new(),
            matched: 0,
            deadline,
        }
    }

    /// Sends bytes to standard input.
    pub fn send(&mut self, bytes: &[u8]) {
        if let Some(input) = &mut self.input {
            // A guest that has ended reads no more.
            let _ = input.write_all(bytes);
        }
    }

    /// Closes standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits until the output, after what was expected before, holds `text`.
    pub fn expect(&mut self, text: &str) -> &mut Self {
        loop {
            let rest = &self.seen[self.matched..];
            if let Some(at) = find(rest, text.as_bytes()) {
                self.matched += at + text.len();
                return self;
            }
            match self
                .output
                .recv_timeout(self.deadline.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.seen.extend(bytes),
                Err(error) => {
                    let _ = self.child.kill();
                    let seen = String::from_utf8_lossy(&self.seen).into_owned();
                    let errors: Vec<u8> = self.errors.try_iter().flatten().collect();
                    panic!(
                        "waited for {text:?} ({error}); output so far:\n{seen}\nerrors:\n{}",
                        String::from_utf8_lossy(&errors)
                    );
                }
            }
        }
    }

    /// Waits as [`expect`](Self::expect), and returns what came before `text`.
    pub fn until(&mut self, text: &str) -> String {
        let from = self.matched;
        self.expect(text);
        let found = &self.seen[from..self.matched - text.len()];
        String::from_utf8_lossy(found).into_owned()
    }

    /// Waits for a line on standard error.
    pub fn error_line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let rest = self.deadline.saturating_duration_since(Instant::now());
            match self.errors.recv_timeout(rest) {
                Ok(bytes) => line.extend(bytes),
                Err(error) => panic!("no line on standard error ({error})"),
            }
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the signal of Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    /// Sends the signal by which a service manager ends a program, to skep and its helpers.
    pub fn terminate_all(&self) {
        let id = self.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.expect("skep runs");
        for child in children.split_whitespace() {
            let pid = child.parse().ok().and_then(rustix::process::Pid::from_raw);
            let pid = pid.expect("the number of a process");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        self.signal(rustix::process::Signal::TERM);
    }

    /// Sends the signal that asks for statistics.
    pub fn ask_for_stats(&self) {
        self.signal(rustix::process::Signal::USR1);
    }

    /// Sends the signal that presses the power key.
    pub fn press_power_key(&self) {
        self.signal(rustix::process::Signal::POWER);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Waits for the end of skep.
    pub fn finish(mut self) -> Output {
        self.input = None;
        loop {
            match self
                .output
                .recv_timeout(self.deadline.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    panic!(
                        "skep does not end:\n{}",
                        String::from_utf8_lossy(&self.seen)
                    );
                }
            }
        }
        let status = self.child.wait().expect("skep was started");
        let stderr = self.errors.iter().flatten().collect();
        Output {
            status,
            stdout: std::mem::take(&mut self.seen),
            stderr,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reader(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Asserts that skep refused: a status other than 0, nothing on standard output, one sentence on
/// standard error that holds every one of `parts`, and no panic.
pub fn assert_refused(output: &Output, parts: &[&str]) {
    let errors = stderr(output);
    assert!(!output.status.success(), "accepted: {errors}");
    assert_eq!(stdout(output), "");
    assert!(!errors.contains("panicked"), "{errors}");
    for part in parts {
        assert!(errors.contains(part), "{part:?} is not in: {errors}");
    }
}

/// Writes a file into a directory and returns its path as text.
pub fn file(directory: &Path, name: &str, contents: &[u8]) -> String {
    let path = directory.join(name);
    std::fs::write(&path, contents).expect("the test's directory is writable");
    path.to_str().expect("a path of this test").to_owned()
}
