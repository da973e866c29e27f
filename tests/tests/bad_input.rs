//! What users and hosts do wrong: each gets a sentence with a remedy, and nothing hangs.

use skep_tests::{Session, assert_refused, default_guest, file, run, skep, stderr, stdout};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// `skep run -- true` with this environment, nothing of the cache's place inherited.
fn with_environment(variables: &[(&str, &Path)]) -> Output {
    let mut command = skep();
    command.args(["run", "--", "true"]);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    command.envs(variables.iter().copied());
    Session::spawn(command).finish()
}

#[test]
fn a_cache_that_cannot_be_is_explained() {
    let directory = directory();
    let plain = file(directory.path(), "file", b"");
    assert_refused(&with_environment(&[]), &["XDG_CACHE_HOME or HOME"]);
    for variable in ["HOME", "XDG_CACHE_HOME"] {
        for path in [&plain, "/proc/none"] {
            let output = with_environment(&[(variable, Path::new(path))]);
            assert_refused(&output, &[path, "can't be used", "set XDG_CACHE_HOME"]);
        }
    }
}

#[test]
fn a_system_without_apt_is_told_what_to_do() {
    let directory = directory();
    let nowhere = directory.path().join("nowhere");
    let output = with_environment(&[("XDG_CACHE_HOME", directory.path()), ("PATH", &nowhere)]);
    assert_refused(&output, &["no apt", "--kernel and --initrd"]);
}

#[test]
fn a_source_that_does_not_answer_is_named() {
    let directory = directory();
    let sources = file(
        directory.path(),
        "sources.list",
        b"deb http://127.0.0.1:9/debian stable main\n",
    );
    let config = format!("Dir::Etc::sourcelist \"{sources}\";\nDir::Etc::sourceparts \"/none\";\n");
    let config = file(directory.path(), "apt.conf", config.as_bytes());
    let cache = directory.path().join("cache");
    let output = with_environment(&[
        ("XDG_CACHE_HOME", &cache),
        ("APT_CONFIG", Path::new(&config)),
    ]);
    assert_refused(
        &output,
        &["127.0.0.1:9", "network", "--kernel and --initrd"],
    );
    let left = std::fs::read_dir(cache.join("skep")).expect("the cache");
    let left: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn the_cached_guest_needs_neither_network_nor_apt() {
    default_guest();
    let directory = directory();
    let mut command = skep();
    command.args(["run", "--", "echo", "cached"]);
    command.env("PATH", directory.path());
    let output = Session::spawn(command).finish();
    assert_eq!(stdout(&output), "cached\n", "{}", stderr(&output));
}

#[test]
fn a_damaged_cache_is_noticed() {
    let directory = directory();
    let guest = default_guest();
    let from = guest.initrd.parent().expect("in a directory");
    let to = directory
        .path()
        .join("skep")
        .join(from.file_name().expect("of a name"));
    std::fs::create_dir_all(&to).expect("writable");
    for entry in std::fs::read_dir(from).expect("the cache").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
    let initrd = to.join("initrd.cpio");
    let half = std::fs::metadata(&initrd).expect("copied").len() / 2;
    let truncated = std::fs::OpenOptions::new().write(true).open(&initrd);
    truncated
        .and_then(|file| file.set_len(half))
        .expect("writable");
    // Without apt it can only be noticed, not made again.
    let output = with_environment(&[
        ("XDG_CACHE_HOME", directory.path()),
        ("PATH", Path::new("/none")),
    ]);
    assert_refused(&output, &["is damaged", "--kernel and --initrd"]);
}

#[test]
fn a_command_ends_with_the_status_that_a_shell_gives() {
    let script = "$1; echo $?; /etc/passwd; echo $?; (exit 300); echo $?";
    let output = run(&["run", "--", "sh", "-c", script, "-", "none"], b"");
    let text = stdout(&output);
    let statuses: Vec<&str> = text.lines().filter(|line| !line.contains(':')).collect();
    assert_eq!(statuses, ["127", "126", "44"], "{text}");
    let output = run(&["run", "--", "/etc/passwd"], b"");
    assert_eq!(output.status.code(), Some(126), "{}", stdout(&output));
    let output = run(&["run", "--", "sh", "-c", "kill -SEGV $$"], b"");
    assert_eq!(output.status.code(), Some(128 + 11), "{}", stderr(&output));
    let output = run(&["run"], b"echo before\nexit 3\necho after\n");
    assert_eq!(stdout(&output), "before\n", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn arguments_need_not_be_text() {
    let mut command = skep();
    command.args(["run", "--", "printf", "%s|", "a\nb"]);
    command.arg(OsStr::from_bytes(b"\xff\xfe"));
    let output = Session::spawn(command).finish();
    assert_eq!(output.stdout, b"a\nb|\xff\xfe|", "{}", stderr(&output));
}

#[test]
fn a_long_output_arrives_whole() {
    const LENGTH: usize = 4 << 20;
    let script = format!("yes 'some words on a line' | head -c {LENGTH}");
    let output = run(&["run", "--", "sh", "-c", &script], b"");
    let expected = b"some words on a line\n".iter().cycle().take(LENGTH);
    assert_eq!(output.stdout.len(), LENGTH, "{}", stderr(&output));
    assert!(output.stdout.iter().eq(expected));
}

#[test]
fn a_closed_output_ends_the_session() {
    let mut command = skep();
    command.args(["run", "--", "yes"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("skep starts");
    let mut first = [0; 2];
    let mut output = child.stdout.take().expect("piped");
    output.read_exact(&mut first).expect("output");
    assert_eq!(&first, b"y\n");
    drop(output);
    assert_eq!(child.wait().expect("it ends").code(), Some(141));
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let mut command: Command = skep();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    command.args(["run", "--", "yes"]);
    let output = command
        .stdout(full.expect("the device"))
        .stderr(Stdio::piped())
        .output()
        .expect("skep starts");
    assert_refused(
        &output,
        &["standard output can't be written", "check where"],
    );
}

#[test]
fn what_a_command_leaves_running_does_not_keep_it() {
    let output = run(
        &["run", "--", "sh", "-c", "yes > /dev/null & echo done"],
        b"",
    );
    assert_eq!(stdout(&output), "done\n", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_guest_that_ends_before_its_command_is_an_error() {
    let script = "echo c > /proc/sysrq-trigger";
    let output = run(&["run", "--", "sh", "-c", script], b"");
    assert_eq!(output.status.code(), Some(125));
    let errors = stderr(&output);
    assert!(
        errors.contains("the guest ended before the command"),
        "{errors}"
    );
    let output = run(
        &["run", "--append", "init=/none rdinit=/none", "--", "true"],
        b"",
    );
    assert_refused(&output, &["before the command started", "Kernel panic"]);
}

#[test]
fn impossible_machines_are_refused() {
    for memory in ["0", "16M"] {
        assert_refused(
            &run(&["run", "--memory", memory, "--", "true"], b""),
            &["--memory 512M"],
        );
    }
    assert_refused(&run(&["run", "--cpus", "0"], b""), &["1 to 8"]);
    let directory = directory();
    let kernel = default_guest().kernel;
    let kernel = kernel.to_str().expect("a path of the cache");
    let garbage = file(directory.path(), "garbage", b"garbage");
    let sparse = directory.path().join("sparse");
    let large = std::fs::File::create(&sparse).and_then(|file| file.set_len(600 << 20));
    large.expect("writable");
    let sparse = sparse.to_str().expect("a path of this test");
    let with = |args: &[&str]| run(&[&["run", "--kernel", kernel], args].concat(), b"");
    assert_refused(&with(&["--dtb", &garbage]), &["device tree", "truncated"]);
    assert_refused(&with(&["--initrd", sparse]), &["more memory"]);
    assert_refused(
        &with(&["--disk", &garbage]),
        &["garbage", "512-byte sectors"],
    );
    let disk = file(directory.path(), "disk", &[0; 512]);
    let twice = with(&["--disk", &disk, "--disk", &disk]);
    assert_refused(&twice, &["another program has it open"]);
}

#[test]
fn a_wrong_command_line_is_one_sentence_with_a_remedy() {
    for (words, parts) in [
        (
            &["run", "--watchdog", "bark"][..],
            &["\"bark\"", "poweroff"][..],
        ),
        (
            &["run", "--wtchdog", "reset"],
            &["--wtchdog", "mean --watchdog?"],
        ),
        (&["rum"], &["\"rum\"", "mean run?"]),
        (&["run", "--memory", "5Q"], &["\"5Q\"", "512M"]),
        (&["run", "--initrd", "x"], &["--kernel FILE"]),
        (&["image", "create"], &["--size SIZE FILE"]),
    ] {
        let output = run(words, b"");
        assert_refused(&output, parts);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let errors = stderr(&output);
        assert!(errors.starts_with("skep: "), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}
