//! Directories that the default guest shares with the host.

use skep_tests::{Session, assert_refused, run, stderr, stdout};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A directory to share, beside one that is not.
struct Base(tempfile::TempDir);

impl Base {
    fn new() -> Self {
        let base = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(base.path().join("work")).expect("writable");
        fs::create_dir(base.path().join("secret")).expect("writable");
        fs::write(base.path().join("secret/file"), "secret\n").expect("writable");
        Base(base)
    }

    fn shared(&self, path: &str) -> PathBuf {
        self.0.path().join("work").join(path)
    }

    /// `--share` with the directory, and what follows its name.
    fn option(&self, rest: &str) -> String {
        let path = self.0.path().join("work");
        format!(
            "--share={}{rest}",
            path.to_str().expect("a path of this test")
        )
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("the file is there")
}

#[test]
fn a_script_runs_in_the_share_and_files_go_both_ways() {
    let base = Base::new();
    fs::write(base.shared("from-host"), "the host's\n").expect("writable");
    let script = "#!/bin/sh\nset -e\npwd\ncat from-host\nid -un > user\nmkdir out\n\
                  printf 'one\\n' > out/a\nprintf 'two\\n' >> out/a\nln -s a out/link\ncat out/link\n\
                  stat -c '%u:%g %a' out/a\ndd if=/dev/zero of=big bs=1M count=20 2>/dev/null\n\
                  printf end >> big\nstat -c %s big\nmv out moved\nrm from-host\n";
    fs::write(base.shared("script"), script).expect("writable");
    let output = run(&["run", &base.option(""), "--", "sh", "script"], b"");
    assert_eq!(
        stdout(&output),
        "/mnt/work\nthe host's\none\ntwo\n0:0 644\n20971523\n",
        "{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(read(base.shared("user")), "root\n");
    assert_eq!(read(base.shared("moved/a")), "one\ntwo\n");
    assert_eq!(
        fs::read_link(base.shared("moved/link")).expect("a link"),
        Path::new("a")
    );
    let big = fs::read(base.shared("big")).expect("the file is there");
    assert!(big.len() == (20 << 20) + 3 && big.ends_with(b"\0end"));
    assert!(!base.shared("from-host").exists());
}

#[test]
fn nothing_else_of_the_host_is_there() {
    let base = Base::new();
    fs::write(base.shared("plain"), "plain\n").expect("writable");
    symlink("../secret", base.shared("up")).expect("writable");
    symlink(base.0.path().join("secret"), base.shared("absolute")).expect("writable");
    symlink("/proc/self/root", base.shared("magic")).expect("writable");
    let script = "cat plain; cat ../secret/file; cat up/file; cat absolute/file; echo x > up/new; \
                  ls -d magic/skep magic/mnt/work; cd ..; pwd; ls";
    let output = run(&["run", &base.option(""), "--", "sh", "-c", script], b"");
    // Links lead where they lead in the guest, and above the share there is the guest.
    let text = stdout(&output);
    assert!(!text.contains("\nsecret\n"), "{text}");
    assert!(text.starts_with("plain\n"), "{text}{}", stderr(&output));
    assert!(
        text.ends_with("magic/mnt/work\nmagic/skep\n/mnt\nwork\n"),
        "{text}"
    );
    assert_eq!(
        fs::read_dir(base.0.path().join("secret"))
            .expect("there")
            .count(),
        1
    );
}

#[test]
fn a_read_only_share_and_one_with_a_place() {
    let base = Base::new();
    fs::write(base.shared("file"), "as it was\n").expect("writable");
    let other = tempfile::tempdir().expect("a temporary directory");
    let other = format!("--share={}:/srv/other", other.path().display());
    // Mounted anew for writing, the guest's kernel asks the host, which refuses.
    let script = "pwd; cat file; echo x > file || echo refused; rm file || echo refused; \
                  mount -o remount,rw . && { echo x > file || echo refused; touch new || echo refused; }; \
                  cd /srv/other && echo kept > kept && cat kept";
    let args = ["run", &base.option(",ro"), &other, "--", "sh", "-c", script];
    let output = run(&args, b"");
    let text = stdout(&output);
    let said: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("Read-only file system"))
        .collect();
    let refused = "refused";
    let expected = [
        "/mnt/work",
        "as it was",
        refused,
        refused,
        refused,
        refused,
        "kept",
    ];
    assert_eq!(said, expected, "{text}{}", stderr(&output));
    assert_eq!(read(base.shared("file")), "as it was\n");
    assert_eq!(fs::read_dir(base.shared("")).expect("there").count(), 1);
}

#[test]
fn a_directory_with_many_entries() {
    let base = Base::new();
    fs::create_dir(base.shared("many")).expect("writable");
    for number in 0..2000 {
        fs::write(
            base.shared(&format!("many/file {number}")),
            number.to_string(),
        )
        .expect("writable");
    }
    let script = "ls many | wc -l; find many -type f -size -2 | wc -l; cat many/*1999; echo; \
                  rm many/*9; ls many | wc -l";
    let output = run(&["run", &base.option(""), "--", "sh", "-c", script], b"");
    assert_eq!(
        stdout(&output),
        "2000\n2000\n1999\n1800\n",
        "{}",
        stderr(&output)
    );
    assert_eq!(
        fs::read_dir(base.shared("many")).expect("there").count(),
        1800
    );
}

/// The guest has read a file, and knows a directory: a moment later it sees what the host has made of
/// them.
#[test]
fn the_guest_sees_what_the_host_changes() {
    let base = Base::new();
    fs::write(base.shared("file"), "first\n").expect("writable");
    let script = "cat file; ls; read wait; sleep 1.2; cat file; ls; [ -e new ] && cat new; \
                  exec 3<file; read line <&3; read wait; sleep 1.2; cat <&3";
    let mut session = Session::start(&["run", &base.option(""), "--", "sh", "-c", script]);
    session.expect("first\nfile\n");
    fs::write(base.shared("other"), "second, and longer\n").expect("writable");
    fs::rename(base.shared("other"), base.shared("file")).expect("writable");
    fs::write(base.shared("new"), "new\n").expect("writable");
    session.send(b"\n");
    session.expect("second, and longer\nfile\nnew\nnew\n");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(base.shared("file"))
        .expect("writable");
    std::io::Write::write_all(&mut file, b"third\n").expect("writable");
    session.send(b"\n");
    session.expect("third\n");
    assert_eq!(session.finish().status.code(), Some(0));
}

#[test]
fn a_configuration_file_has_shares_too() {
    let base = Base::new();
    fs::write(base.shared("file"), "in the file's directory\n").expect("writable");
    let config = "[vm.one]\nshares = [{ directory = 'work', mount = '/src', readonly = true }]\n";
    let path = base.0.path().join("skep.toml");
    fs::write(&path, config).expect("writable");
    let path = path.to_str().expect("a path of this test");
    let args = [
        "run",
        "--config",
        path,
        "one",
        "--",
        "sh",
        "-c",
        "pwd; cat /src/file; touch /src/x",
    ];
    let output = run(&args, b"");
    let text = stdout(&output);
    assert!(
        text.starts_with("/root\nin the file's directory\n"),
        "{text}{}",
        stderr(&output)
    );
    assert!(text.contains("Read-only file system"), "{text}");
}

/// The host's user may not write files of more than one gigabyte, or two, as the shell counts: the guest
/// gets an error, and goes on.
#[test]
fn a_limit_on_files_is_an_error_in_the_guest() {
    let base = Base::new();
    let script = "echo x > big; truncate -s 3G big || echo refused; \
                  echo x | dd of=big bs=1M seek=3000 conv=notrunc 2>/dev/null || echo refused";
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -f 2000000; exec \"$0\" \"$@\""])
        .arg(skep_tests::skep_path())
        .args(["run", &base.option(""), "--", "sh", "-c", script]);
    let output = Session::spawn(command).finish();
    let text = stdout(&output);
    let said: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("File too large"))
        .collect();
    assert_eq!(said, ["refused"; 2], "{text}{}", stderr(&output));
    assert_eq!(read(base.shared("big")), "x\n");
}

#[test]
fn what_can_not_be_shared_is_refused() {
    let base = Base::new();
    let refused = |options: &[&str], parts: &[&str]| {
        let output = run(&[&["run"], options, &["--", "true"]].concat(), b"");
        assert_refused(&output, parts);
    };
    refused(&["--share", "/no/such"], &["/no/such", "check the path"]);
    refused(
        &["--share", "/etc/passwd"],
        &["/etc/passwd", "check the path"],
    );
    refused(&["--share", ".:/"], &["the guest's root"]);
    refused(&["--share", ":/a"], &["name is missing"]);
    let (one, two) = (base.option(":/a"), base.option(":/a/"));
    refused(&[&one, &two], &["both be mounted at /a/"]);
    let output = run(&["run", "--kernel", "zImage", &one], b"");
    assert_refused(&output, &["mount -t virtiofs"]);
}
