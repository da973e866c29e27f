//! `skep image build`: a system that is built, booted, written to, and booted again.

use skep_tests::{Session, assert_refused, run, skep, stderr, stdout};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds an image; most of the time goes to the guest that installs the packages.
fn build(arguments: &[&str]) -> std::process::Output {
    let mut command = skep();
    command.args(["image", "build", "debian"]).args(arguments);
    command.output().expect("skep starts")
}

/// Starts the system on a disk, with these options, and logs in as root.
fn log_in(disk: &str, options: &[&str]) -> Session {
    let words = ["run", "--cpus", "2", "--disk", disk];
    let mut session = Session::start(&[&words, options].concat());
    session.expect("bee login: ");
    session.send(b"root\n");
    session.expect("Password: ");
    session.send(b"honey pot\n");
    session.expect(":~# ");
    session
}

/// Has the shell execute a command, and returns what it prints.
fn execute(session: &mut Session, command: &str) -> String {
    // The terminal's echo has not these words in a row.
    session.send(format!("echo be''gin; {command}; echo en''d\n").as_bytes());
    session.expect("begin\r\n");
    let text = session.until("end\r\n");
    session.expect(":~# ");
    text.replace('\r', "")
}

fn switch_off(mut session: Session) {
    session.send(b"poweroff\n");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("reboot: Power down"), "{text}");
}

/// Serves the files of a directory over HTTP, on a port of the loopback's, which it returns.
fn serve(directory: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut request = String::new();
            let mut lines = BufReader::new(&stream);
            // The request line, and headers up to an empty one.
            while lines.read_line(&mut request).is_ok_and(|len| len > 2) {}
            let path = request.split_whitespace().nth(1).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            let (status, body) = match std::fs::read(directory.join(name)) {
                Ok(body) if !name.is_empty() => ("200 OK", body),
                _ => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = (&stream).write_all(&[head.into_bytes(), body].concat());
        }
    });
    port
}

/// Installs a package from a repository on the host, through the network card.
fn install_from_the_host(session: &mut Session, directory: &Path) {
    let repository = directory.join("repository");
    let package = repository.join("package");
    std::fs::create_dir_all(package.join("DEBIAN")).expect("room");
    std::fs::create_dir_all(package.join("usr/bin")).expect("room");
    let control = "Package: honey\nVersion: 1.0\nArchitecture: all\nMaintainer: Skep <skep@localhost>\n\
                   Description: from the host\n";
    std::fs::write(package.join("DEBIAN/control"), control).expect("room");
    let program = package.join("usr/bin/honey");
    std::fs::write(&program, "#!/bin/sh\necho sweet\n").expect("room");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("it is ours");
    let deb = repository.join("honey.deb");
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([&package, &deb])
        .output()
        .expect("dpkg is installed");
    assert!(built.status.success(), "{built:?}");
    let sum = Command::new("sha256sum")
        .arg(&deb)
        .output()
        .expect("coreutils");
    let sum = String::from_utf8_lossy(&sum.stdout).into_owned();
    let sum = sum.split_whitespace().next().expect("a sum");
    let size = std::fs::metadata(&deb).expect("it was built").len();
    let index = format!("{control}Filename: ./honey.deb\nSize: {size}\nSHA256: {sum}\n\n");
    std::fs::write(repository.join("Packages"), index).expect("room");
    let port = serve(repository);
    // Other sources would need the internet.
    let text = execute(
        session,
        &format!(
            "rm /etc/apt/sources.list.d/*; \
             echo 'deb [trusted=yes] http://10.0.2.2:{port} ./' > /etc/apt/sources.list; \
             apt-get -q update && apt-get -qy install honey && honey"
        ),
    );
    assert!(text.contains("\nsweet\n"), "{text}");
}

/// Counts the primes below a million, on two threads, and writes the sum of their reciprocals, too.
const PROGRAM: &str = r#"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct part { int from, to, count; double sum; };

static void *search(void *argument) {
    struct part *part = argument;
    for (int n = part->from; n < part->to; n++) {
        int prime = n > 1, end = (int)sqrt(n);
        for (int d = 2; prime && d <= end; d++)
            prime = n % d != 0;
        if (prime) {
            part->count++;
            part->sum += 1.0 / n;
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    struct part parts[2] = {{0, 600000, 0, 0}, {600000, 1000000, 0, 0}};
    pthread_t threads[2];
    FILE *out = argc > 1 ? fopen(argv[1], "w") : NULL;
    if (!out)
        return 1;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, search, &parts[i]))
            return 2;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    fprintf(out, "%d %.9f\n", parts[0].count + parts[1].count, parts[0].sum + parts[1].sum);
    return fclose(out);
}
"#;

/// Does the same in another way, and compares.
const SCRIPT: &str = r#"
import math, os, sys
sieve = bytearray([1]) * 1000000
sieve[0:2] = b"\0\0"
for n in range(2, 1000):
    if sieve[n]:
        sieve[n * n :: n] = bytes(len(range(n * n, 1000000, n)))
primes = [n for n in range(1000000) if sieve[n]]
here = f"{len(primes)} {math.fsum(1 / n for n in primes):.9f}\n"
there = open(sys.argv[1]).read()
print("agrees" if here == there else (here, there), os.uname().machine)
"#;

/// A C program is compiled and runs, and a script, both from a directory of the host's.
fn work_in_the_share(session: &mut Session, shared: &Path) {
    let text = execute(
        session,
        "cd /mnt/work && gcc -O2 -Wall -Werror -o primes primes.c -lm -pthread && \
         ./primes found && python3 primes.py found; cd",
    );
    assert!(text.contains("agrees armv7l\n"), "{text}");
    let found = std::fs::read_to_string(shared.join("found")).expect("the program made it");
    assert_eq!(found, "78498 2.887328100\n");
    let program = std::fs::read(shared.join("primes")).expect("the compiler made it");
    // An ELF file for 32-bit Arm.
    assert_eq!((&program[..5], program[18]), (&b"\x7fELF\x01"[..], 40));
}

#[test]
fn a_built_system_boots_and_keeps_what_is_written() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let shared = directory.path().join("work");
    std::fs::create_dir(&shared).expect("room");
    std::fs::write(shared.join("primes.c"), PROGRAM).expect("room");
    std::fs::write(shared.join("primes.py"), SCRIPT).expect("room");
    let numbers: Vec<u8> = (0u32..1 << 20)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes())
        .collect();
    std::fs::write(shared.join("numbers"), &numbers).expect("room");
    let shared_text = shared.to_str().expect("a path of this test");
    let path = directory.path().join("disk.qcow2");
    let disk = path.to_str().expect("a path of this test");
    let output = build(&[
        "--output",
        disk,
        "--size",
        "1G",
        "--hostname",
        "bee",
        "--root-password",
        "honey pot",
        "--include",
        "hello,gcc,libc6-dev,python3-minimal",
    ]);
    let errors = stderr(&output);
    assert!(output.status.success(), "{errors}");
    assert!(stdout(&output).contains("skep run --disk"), "{errors}");
    assert!(errors.contains("Installing packages, 90 %"), "{errors}");
    let mut made = files(directory.path());
    made.sort();
    assert_eq!(made, ["disk.qcow2", "work"]);

    let mut session = log_in(disk, &["--share", shared_text]);
    let state = execute(&mut session, "systemctl is-system-running --wait");
    let failed = execute(&mut session, "systemctl --failed --no-pager");
    assert!(state.contains("running\n"), "{state}: {failed}");
    let text = execute(
        &mut session,
        "hello; hostname; findmnt -no SOURCE,FSTYPE /; dpkg --audit; \
         test -s /etc/machine-id && echo has an id",
    );
    for part in ["Hello, world!\n", "bee\n", "/dev/vda ext4\n", "has an id\n"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let sources = execute(&mut session, "cat /etc/apt/sources.list.d/*");
    assert!(
        sources.contains("http://deb.debian.org/debian\n"),
        "{sources}"
    );
    // The modules of the kernel that Skep boots are there for what asks for them.
    let modules = execute(&mut session, "modprobe virtio_console && lsmod");
    assert!(modules.contains("virtio_console"), "{modules}");
    execute(&mut session, "cp /etc/machine-id /root/kept");
    work_in_the_share(&mut session, &shared);
    execute(&mut session, "cp /mnt/work/numbers /root/numbers");
    install_from_the_host(&mut session, directory.path());
    switch_off(session);

    // The same system, whose disk another machine could be given in the meantime, or grow.
    let grown = run(&["image", "resize", disk, "3G"], b"");
    assert_eq!(grown.status.code(), Some(0), "{}", stderr(&grown));
    let place = r"/srv/a b%\";
    let share = format!("{shared_text}:{place},ro");
    let mut session = log_in(disk, &["--share", shared_text, "--share", &share]);
    let text = execute(
        &mut session,
        "cmp /etc/machine-id /root/kept && echo the same; cp /root/numbers /mnt/work/back; \
         df --output=size -BM / | tail -n 1; cd /srv/a* && cmp numbers /root/numbers && \
         echo read; touch x; cd",
    );
    assert!(text.contains("the same\n"), "{text}");
    assert!(
        text.contains("read\n") && text.contains("Read-only file system"),
        "{text}"
    );
    let size = text.lines().find_map(|line| line.trim().strip_suffix('M'));
    let size: u64 = size.and_then(|size| size.parse().ok()).unwrap_or_default();
    assert!((2900..3072).contains(&size), "{text}");
    let back = std::fs::read(shared.join("back")).expect("the guest made it");
    assert!(back == numbers);
    // What the system throws away is the host's again.
    let allocated = || {
        let info = skep_disk::info(&path, None);
        info.expect("an image").allocated
    };
    execute(&mut session, "head -c 100M /dev/urandom > big; sync");
    let full = allocated();
    execute(&mut session, "rm big; sync; fstrim /");
    assert!(allocated() < full - (90 << 20), "{full} {}", allocated());
    session.press_power_key();
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("reboot: Power down"));

    // A command is not executed in it, but beside it.
    let script = "mount -t ext4 /dev/vda /mnt && cat /mnt/etc/hostname";
    let output = run(&["run", "--disk", disk, "--", "sh", "-c", script], b"");
    assert_eq!(stdout(&output), "bee\n", "{}", stderr(&output));
}

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("the test's directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn what_can_not_be_built_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("disk.img");
    let disk = path.to_str().expect("a path of this test");
    let cases: [(&[&str], &[&str]); 7] = [
        (&["--suite", "nosuch"], &["no suite \"nosuch\"", "--suite"]),
        (&["--suite", "no such"], &["is no name of a suite"]),
        (
            &["--mirror", "deb.debian.org"],
            &["is no address of a mirror"],
        ),
        (&["--hostname", "a_b"], &["\"a_b\" is no host name"]),
        (&["--include", "A"], &["is no name of a Debian package"]),
        (
            &["--include", "no-such-package"],
            &["there is no package \"no-such-package\""],
        ),
        (
            &["--size", "64M"],
            &["the disk of 64 MiB is too small", "--size"],
        ),
    ];
    for (arguments, parts) in cases {
        let output = build(&[&["--output", disk], arguments].concat());
        assert_eq!(stdout(&output), "");
        let errors = stderr(&output);
        assert!(
            !output.status.success() && !errors.contains("panicked"),
            "{errors}"
        );
        for part in parts {
            assert!(errors.contains(part), "{part:?} is not in: {errors}");
        }
        assert_eq!(files(directory.path()), [""; 0], "{arguments:?}");
    }
    std::fs::write(&path, "something").expect("the test's directory is writable");
    assert_refused(&build(&["--output", disk]), &["exists; remove it first"]);
    assert_eq!(
        std::fs::read(&path).expect("the file is there"),
        b"something"
    );
}

/// The processes that a process has started from its first thread.
fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = std::fs::read_to_string(path).expect("it runs");
    let numbers = text.split_whitespace();
    numbers
        .map(|word| word.parse().expect("a number"))
        .collect()
}

#[test]
fn an_interrupt_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("disk.img");
    let disk = path.to_str().expect("a path of this test");
    let mut session = Session::start(&["image", "build", "debian", "--output", disk]);
    while !session
        .error_line()
        .contains("Installing the essential packages")
    {}
    assert_eq!(files(directory.path()).len(), 1);
    // The guest is in a process of its own, with a filter for its system calls.
    let guests = children(session.id());
    let [guest] = guests.as_slice() else {
        panic!("{guests:?}");
    };
    let guest = PathBuf::from(format!("/proc/{guest}/status"));
    let status = std::fs::read_to_string(&guest).expect("it runs");
    assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
    session.interrupt();
    let output = session.finish();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(files(directory.path()), [""; 0]);
    assert!(!guest.exists());
}

#[test]
fn a_disk_without_a_system_is_told() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = skep_tests::file(directory.path(), "disk.img", &vec![0; 1 << 20]);
    let mut session = Session::start(&["run", "--boot", "disk", "--disk", &disk]);
    session.expect("there is no system to start on the disks");
    session.expect("skep:~# ");
    session.send(b"poweroff -f\n");
    assert_eq!(session.finish().status.code(), Some(0));

    for (arguments, part) in [
        (&["run", "--boot", "disk"][..], "--boot disk needs a disk"),
        (
            &["run", "--boot", "shell", "--kernel", "x"],
            "takes the place of",
        ),
        (
            &["run", "--boot", "disk", "--disk", &disk, "--", "true"],
            "log in to the system",
        ),
    ] {
        let output = run(arguments, b"");
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}
