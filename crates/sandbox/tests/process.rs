//! What a restricted process can do, and what ends it: each case in a process of its own, which is this
//! program again.

use skep_sandbox::{Directory, Needs, restrict_calls, restrict_files};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Names the case, and the directory that it may use, to the other process.
const CASE: &str = "SKEP_SANDBOX_CASE";
const DIRECTORY: &str = "SKEP_SANDBOX_DIRECTORY";

fn directory() -> String {
    std::env::var(DIRECTORY).expect("it is set")
}

fn needs(read_only: bool) -> Needs {
    let path = directory().into();
    Needs {
        directories: vec![Directory { path, read_only }],
        ..Needs::default()
    }
}

fn enter(needs: &Needs) {
    assert!(restrict_files(needs).expect("it can be restricted"));
    restrict_calls(needs).expect("it can be restricted");
}

fn denied<T>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// What the other process does.
fn act(case: &str) {
    match case {
        "a running VM" => {
            let mut open = File::create(Path::new(&directory()).join("open")).expect("a file");
            enter(&Needs::default());
            open.write_all(&vec![7; 1 << 20]).expect("it is open");
            open.sync_all().expect("it is open");
            let thread = std::thread::Builder::new().name("vcpu0".into());
            let thread = thread.spawn(|| std::thread::sleep(Duration::from_millis(1)));
            thread.expect("threads start").join().expect("it ends");
            println!("done");
        }
        "a file" => {
            restrict_calls(&Needs::default()).expect("it can be restricted");
            assert!(denied(File::open("/etc/passwd")));
            println!("done");
        }
        "a file that is made" => {
            restrict_calls(&Needs::default()).expect("it can be restricted");
            let _ = fs::create_dir(Path::new(&directory()).join("new"));
        }
        "a program" => {
            enter(&Needs::default());
            let _ = Command::new("echo").arg("started").status();
        }
        "a connection" => {
            enter(&Needs::default());
            let _ = TcpStream::connect("127.0.0.1:1");
        }
        "a signal" => {
            let parent = std::os::unix::process::parent_id();
            enter(&Needs::default());
            // SAFETY: signal 0 does nothing.
            unsafe { libc::kill(parent as i32, 0) };
        }
        "a directory" => {
            let link = Path::new(&directory()).join("link");
            std::os::unix::fs::symlink("/etc/passwd", &link).expect("it may yet");
            enter(&needs(false));
            let inside = Path::new(&directory()).join("inside");
            fs::write(&inside, "text").expect("it may");
            assert_eq!(fs::read(&inside).expect("it may"), b"text");
            assert!(denied(File::open("/etc/passwd")));
            assert!(denied(fs::write("/tmp/outside", "text")));
            assert!(denied(File::open(&link)));
            println!("done");
        }
        "a directory to read" => {
            let inside = Path::new(&directory()).join("inside");
            fs::write(&inside, "text").expect("it may yet");
            enter(&needs(true));
            assert_eq!(fs::read(&inside).expect("it may"), b"text");
            assert!(denied(File::create(&inside)));
            println!("done");
        }
        "the internet" => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let needs = Needs {
                internet: true,
                ..Needs::default()
            };
            enter(&needs);
            let address = listener.local_addr().expect("it has one");
            TcpStream::connect(address).expect("it may");
            UdpSocket::bind("127.0.0.1:0").expect("it may");
            println!("done");
            let _ = UnixStream::connect("/run/socket");
        }
        "a client" => {
            let path = Path::new(&directory()).join("socket");
            let listener = UnixListener::bind(&path).expect("it may yet");
            let _client = UnixStream::connect(&path).expect("it may yet");
            let needs = Needs {
                accepts: true,
                ..Needs::default()
            };
            enter(&needs);
            listener.accept().expect("it may");
            println!("done");
            let _ = UnixStream::connect(&path);
        }
        "a client that is not expected" => {
            let path = Path::new(&directory()).join("socket");
            let listener = UnixListener::bind(&path).expect("it may yet");
            enter(&Needs::default());
            let _ = listener.accept();
        }
        _ => panic!("there is no case {case}"),
    }
}

/// What the process came to in which this case was tried.
fn run(case: &str) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    Command::new(std::env::current_exe().expect("it has a path"))
        .args(["--exact", "the_other_process", "--nocapture"])
        .env(CASE, case)
        .env(DIRECTORY, directory.path())
        .output()
        .expect("it starts")
}

fn assert_done(case: &str) {
    let output = run(case);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("done"),
        "{output:?}"
    );
}

/// It ended by this call, and said so.
fn assert_ended_by(case: &str, call: &str) {
    let output = run(case);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(
        errors.contains(&format!("the system call {call} (")),
        "{errors}"
    );
}

#[test]
fn the_other_process() {
    if let Ok(case) = std::env::var(CASE) {
        act(&case);
    }
}

#[test]
fn what_a_running_vm_does_goes_on() {
    assert_done("a running VM");
}

#[test]
fn no_file_is_opened() {
    assert_done("a file");
}

#[test]
fn a_call_that_ends_the_process_is_named() {
    assert_ended_by("a file that is made", "mkdir");
}

#[test]
fn no_program_is_started() {
    let output = run("a program");
    assert!(!output.status.success(), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("started"));
}

#[test]
fn no_signal_is_sent_to_others() {
    assert_ended_by("a signal", "kill");
}

#[test]
fn no_connection_is_opened() {
    assert_ended_by("a connection", "socket");
}

#[test]
fn files_are_opened_in_a_named_directory_and_nowhere_else() {
    assert_done("a directory");
}

#[test]
fn a_named_directory_can_be_for_reading_only() {
    assert_done("a directory to read");
}

#[test]
fn clients_connect_where_they_are_expected_and_nothing_else_does() {
    let output = run("a client");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("done"), "{output:?}");
    assert_ended_by("a client", "socket");
    assert_ended_by("a client that is not expected", "accept4");
}

#[test]
fn the_internet_is_no_way_to_sockets_of_the_host() {
    let output = run("the internet");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("done"),
        "{output:?}"
    );
    assert_ended_by("the internet", "socket");
}
