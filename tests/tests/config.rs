//! Virtual machines from a configuration file: on this host, and bundled for a board.

use skep_tests::transcript::{guest, lines, target};
use skep_tests::{PATIENCE, Session, assert_refused, default_guest, file, skep, stderr, stdout};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Instant;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Runs skep in a directory.
fn skep_in(directory: &Path, args: &[&str]) -> Output {
    let mut command = skep();
    command.current_dir(directory).args(args);
    Session::spawn(command).finish()
}

fn has_status(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "{}", stderr(output));
}

#[test]
fn the_file_of_init_runs_as_it_is() {
    let directory = directory();
    let in_it = |args: &[&str]| skep_in(directory.path(), args);
    has_status(&in_it(&["init"]), 0);
    let output = in_it(&["run", "demo", "--", "sh", "-c", "nproc; exit 3"]);
    assert_eq!(stdout(&output), "1\n");
    has_status(&output, 3);
    let output = in_it(&["check"]);
    assert!(stdout(&output).starts_with("skep.toml: 1 virtual machine;"));
    has_status(&output, 0);
    // What is there is left as it is.
    let path = directory.path().join("skep.toml");
    std::fs::write(&path, "[vm.mine]\n").expect("writable");
    assert_refused(&in_it(&["init"]), &["skep.toml exists already"]);
    assert_eq!(std::fs::read(&path).expect("it is there"), b"[vm.mine]\n");
}

#[test]
fn options_are_stronger_than_the_file() {
    let directory = directory();
    let text = b"[vm.one]\ncpus = 2\nmemory = '128M'\ncmdline = 'from=file'\n[vm.two]\n";
    let path = file(directory.path(), "machines.toml", text);
    let script = "nproc; grep -o from=.* /proc/cmdline; [ $(awk '/MemTotal/ {print $2}' /proc/meminfo) -lt 131072 ] && echo small";
    let all = [
        "run", "one", "--config", &path, "--cpus", "1", "--append", "and=flag", "--", "sh", "-c",
        script,
    ];
    let output = skep_in(Path::new("/"), &all);
    assert_eq!(
        stdout(&output),
        "1\nfrom=file and=flag\nsmall\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_kernel_of_the_file_is_found_beside_it() {
    let directory = directory();
    std::fs::copy(guest("exceptions"), directory.path().join("kernel"))
        .expect("the guest is there");
    let path = file(
        directory.path(),
        "skep.toml",
        b"[vm.it]\nkernel = 'kernel'\nmemory = '256M'",
    );
    let output = skep_in(Path::new("/"), &["run", "--config", &path]);
    has_status(&output, 0);
    assert!(stdout(&output).lines().count() > 10, "{}", stdout(&output));
    let output = skep_in(Path::new("/"), &["run", "--config", &path, "--", "true"]);
    has_status(&output, 2);
}

#[test]
fn what_is_wrong_is_said_and_nothing_runs() {
    let directory = directory();
    let in_it = |args: &[&str]| skep_in(directory.path(), args);
    assert_refused(
        &in_it(&["run", "demo"]),
        &["no skep.toml here", "--kernel FILE"],
    );
    assert_refused(
        &in_it(&["check"]),
        &["skep.toml does not exist", "skep init"],
    );
    let text = b"[vm.one]\ncpuss = 2\nmemory = 'lots'\n[vm.two]\nkernel = 'none'\n[vm.three]";
    file(directory.path(), "skep.toml", text);
    let output = in_it(&["check"]);
    assert_refused(
        &output,
        &[
            "skep.toml:2:1",
            "did you mean `cpus`?",
            "skep.toml:3:10",
            "skep.toml:5:10",
            "3 errors",
        ],
    );
    has_status(&output, 1);
    for args in [
        &["run", "one", "--", "true"][..],
        &["run", "three", "--", "true"],
        &["bundle"],
        &["emulate"],
        &["config", "show"],
    ] {
        let output = in_it(args);
        assert_refused(&output, &["did you mean `cpus`?"]);
        has_status(&output, 125);
    }
    file(
        directory.path(),
        "skep.toml",
        b"[vm.one]\n[vm.two]\nkernel = 'none'\n",
    );
    // What is wrong with another machine is its own affair.
    has_status(&in_it(&["run", "one", "--", "true"]), 0);
    assert_refused(
        &in_it(&["run", "two"]),
        &["none does not exist", "skep.toml:3:10"],
    );
    assert_refused(&in_it(&["run", "tow"]), &["did you mean two?"]);
    assert_refused(&in_it(&["run", "--config", "skep.toml"]), &["one, two"]);
    assert_refused(
        &in_it(&["bundle", "-o", "skep.toml"]),
        &["is the configuration file"],
    );
}

#[test]
fn what_is_wrong_is_told_to_programs_too() {
    let directory = directory();
    let check = |text: &str| {
        file(directory.path(), "skep.toml", text.as_bytes());
        let output = skep_in(directory.path(), &["check", "--json"]);
        assert_eq!(stderr(&output), "");
        let text = stdout(&output);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        (output.status.code(), found)
    };
    let (status, found) = check("[vm.one]\ncpus = 9\nkernal = 'x'\n");
    assert_eq!(status, Some(1));
    assert_eq!(
        (&found["errors"], &found["warnings"]),
        (&2.into(), &0.into())
    );
    let first = &found["findings"][0];
    assert_eq!(first["level"], "error");
    assert_eq!(
        first["title"],
        "`cpus` of the virtual machine `one` can't be this"
    );
    assert_eq!(first["help"], "write for instance cpus = 2");
    let place = serde_json::json!({
        "line": 2, "column": 8, "end_line": 2, "end_column": 9, "label": "it is 1 to 8",
    });
    assert_eq!(first["places"], serde_json::json!([place]));
    let (status, found) = check("[vm.one]\n[vm.two]\n");
    assert_eq!(status, Some(0));
    assert_eq!(found["findings"], serde_json::json!([]));
    assert_eq!(found["vms"], serde_json::json!(["one", "two"]));
    assert_eq!(
        (&found["file"], &found["board"]),
        (&"skep.toml".into(), &false.into())
    );
}

#[test]
fn what_is_shown_is_the_whole_file() {
    let directory = directory();
    let in_it = |args: &[&str]| skep_in(directory.path(), args);
    file(
        directory.path(),
        "skep.toml",
        b"[vm.one]\n[vm.two]\n[board]\n[core.1]\nschedule = 'shared'",
    );
    let output = in_it(&["config", "show", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(shown["vm"]["one"]["memory"], "512M");
    assert_eq!(shown["core"]["1"]["slice"], "5ms");
    // The file is right but for what does not fit: it is shown as it is.
    let whole = stdout(&in_it(&["config", "show"]));
    file(directory.path(), "again.toml", whole.as_bytes());
    let again = in_it(&["config", "show", "--config", "again.toml"]);
    assert_eq!(stdout(&again), whole);
    let one = stdout(&in_it(&["config", "show", "two"]));
    assert!(
        one.contains("[vm.two]") && !one.contains("[vm.one]"),
        "{one}"
    );
}

#[test]
fn the_hypervisors_image_is_asked_for() {
    let directory = directory();
    file(
        directory.path(),
        "skep.toml",
        b"[vm.one]\nmemory = '64M'\nkernel = 'kernel'",
    );
    file(directory.path(), "kernel", &[0; 64]);
    let bundle = |program: &Path, hypervisor: &[&str]| {
        let mut command = Command::new(program);
        command
            .arg("bundle")
            .args(hypervisor)
            .current_dir(directory.path());
        command
            .env_remove("SKEP_HYPERVISOR")
            .env("XDG_DATA_HOME", directory.path());
        command.stdin(Stdio::null());
        Session::spawn(command).finish()
    };
    // Installed, and not in the directory where it was built.
    let installed = directory.path().join("skep");
    std::fs::copy(skep_tests::skep_path(), &installed).expect("copied");
    let remedy = ["cargo xtask hyp", "--hypervisor target/hyp/skep-hyp.img"];
    assert_refused(&bundle(&installed, &[]), &remedy);
    assert_refused(
        &bundle(&installed, &["--hypervisor", "kernel"]),
        &["kernel: this isn't the image of Skep's bare-metal hypervisor"],
    );
    assert!(!directory.path().join("skep.img").exists());
    std::fs::copy(
        target().join("hyp/skep-hyp.img"),
        directory.path().join("skep-hyp.img"),
    )
    .expect("cargo xtask hyp");
    has_status(&bundle(&installed, &[]), 0);
}

#[test]
fn a_bundle_boots_with_nothing_beside_it() {
    let directory = directory();
    let text = format!(
        "[vm.it]\nkernel = '{}'\nmemory = '256M'\ncpus = 2",
        guest("exceptions")
    );
    file(directory.path(), "skep.toml", text.as_bytes());
    let output = skep_in(directory.path(), &["bundle", "-o", "it.img"]);
    has_status(&output, 0);
    assert!(
        stdout(&output).contains("  0  it: 256M, cores 0, 1"),
        "{}",
        stdout(&output)
    );
    let output = skep_in(directory.path(), &["bundle", "-o", "it.img", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let vm = serde_json::json!({ "name": "it", "memory": 256 << 20, "cores": [0, 1] });
    assert_eq!(told["vms"], serde_json::json!([vm]));
    let size = std::fs::metadata(directory.path().join("it.img")).expect("it is there");
    assert_eq!(
        (&told["image"], &told["size"]),
        (&"it.img".into(), &size.len().into())
    );
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", "virt,virtualization=on", "-smp", "2", "-m", "1024"])
        .args([
            "-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel",
        ])
        .arg(directory.path().join("it.img"));
    let mut session = Session::spawn(command);
    session.end_input();
    let lines = lines("it", &session.finish());
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("skep: it: 256 MiB")),
        "{lines:?}"
    );
    assert!(
        lines
            .last()
            .is_some_and(|line| line.contains("all virtual machines are off"))
    );
    // Its own emulation is the same.
    let output = skep_in(directory.path(), &["emulate", "--", "-name", "it"]);
    has_status(&output, 0);
    assert!(stdout(&output).contains("all virtual machines are off"));
    let output = skep_in(directory.path(), &["emulate", "--", "-no-such-option"]);
    assert_refused(&output, &["-no-such-option", "qemu-system-arm ended with"]);
}

/// A terminal: the side of who types and reads, and the side of the program.
fn terminal() -> (File, File) {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours)
        .and_then(|()| unlockpt(&ours))
        .expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let theirs = open(
        name.as_c_str(),
        OFlags::RDWR | OFlags::NOCTTY,
        Mode::empty(),
    )
    .expect("it is there");
    (ours.into(), theirs.into())
}

#[test]
fn two_linux_guests_on_an_emulated_board() {
    default_guest();
    let directory = directory();
    file(directory.path(), "skep.toml", b"[vm.one]\nmemory = '192M'\ncmdline = 'quiet'\n[vm.two]\nmemory = '192M'\ncmdline = 'quiet'");
    let (mut ours, theirs) = terminal();
    let before = rustix::termios::tcgetattr(&theirs).expect("a terminal");
    let end = || Stdio::from(theirs.try_clone().expect("a descriptor"));
    let mut child = skep()
        .current_dir(directory.path())
        .arg("emulate")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .expect("skep starts");
    let (sender, receiver) = channel();
    let mut reading = ours.try_clone().expect("a descriptor");
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = reading.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut seen = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    let mut expect_all = |texts: &[&str]| {
        let missing = |seen: &[u8]| {
            let seen = String::from_utf8_lossy(seen);
            texts.iter().any(|text| !seen.contains(text))
        };
        while missing(&seen) {
            let rest = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(rest) {
                Ok(bytes) => seen.extend(bytes),
                Err(error) => panic!("no {texts:?} ({error}): {}", String::from_utf8_lossy(&seen)),
            }
        }
        // What comes next is new.
        seen.clear();
    };
    // Either may be there first; what is typed before a shell reads is lost.
    expect_all(&[
        "skep: Ctrl-A 1  console of two (192M, core 1)",
        "[two] BusyBox",
        "\nskep:~# ",
    ]);
    let mut expect = |text: &str| expect_all(&[text]);
    ours.write_all(b"\nhostname one; hostname\n")
        .expect("a terminal");
    expect("\none\r");
    ours.write_all(b"\x01n").expect("a terminal");
    expect("console of two");
    ours.write_all(b"\necho two-$((1 + 1))\n")
        .expect("a terminal");
    expect("\ntwo-2\r");
    ours.write_all(b"\x01x").expect("a terminal");
    let status = child.wait().expect("it was started");
    assert_eq!(status.code(), Some(0));
    let after = rustix::termios::tcgetattr(&theirs).expect("a terminal");
    assert_eq!(
        (before.local_modes, before.input_modes, before.output_modes),
        (after.local_modes, after.input_modes, after.output_modes)
    );
}

#[test]
fn completions_and_man_pages_have_the_commands() {
    let directory = directory();
    has_status(&skep_in(directory.path(), &["man", "."]), 0);
    for (page, part) in [
        ("skep-run.1", "skep.toml"),
        ("skep-check.1", "FILE"),
        ("skep-init.1", "FILE"),
        ("skep-config-show.1", "json"),
        ("skep-bundle.1", "hypervisor"),
        ("skep-emulate.1", "Ctrl"),
    ] {
        let text = std::fs::read_to_string(directory.path().join(page));
        assert!(text.is_ok_and(|text| text.contains(part)), "{page}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&skep_in(directory.path(), &["completions", shell]));
        for word in ["check", "init", "config", "bundle", "emulate", "hypervisor"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// Everything of a file that is for boards, in one system.
#[test]
fn a_board_has_what_the_file_says() {
    let directory = directory();
    file(directory.path(), "disk.img", &[b'x'; 4096]);
    let text = format!(
        "[vm.one]\nmemory = '128M'\ncmdline = 'quiet'\nconsoles = ['stdio']\n\
         disks = [{{ file = 'disk.img', size = '1M', readonly = true }}, {{ size = '2M' }}]\n\
         devices = ['/pl031@9010000']\ncores = [0, 1]\npriority = 101\nbudget = '5ms'\nperiod = '10ms'\n\
         [vm.two]\nkernel = '{}'\nmemory = '64M'\ncores = [1]\nautostart = false\n\
         [board]\n[core.1]\nschedule = 'shared'\nslice = '2ms'\n\
         [channel.pipe]\nsize = '8K'\nvms = ['one', 'two']\nreadonly = ['one']\n",
        guest("memory")
    );
    file(directory.path(), "skep.toml", text.as_bytes());
    has_status(&skep_in(directory.path(), &["check"]), 0);
    let mut command = skep();
    command.current_dir(directory.path()).arg("emulate");
    let mut session = Session::spawn(command);
    session.expect("~# ");
    let script = "nproc; cat /proc/consoles; head -c 3 /dev/vda; blockdev --getsz /dev/vda; blockdev --getsz /dev/vdb; \
                  cd /proc/device-tree; ls -d channel* pl031*; ls channel*\n";
    session.send(script.as_bytes());
    for part in [
        "2\r\n",
        "hvc0",
        "xxx2048\r\n",
        "4096\r\n",
        "channel@",
        "pl031@",
        "skep,read-only",
    ] {
        session.expect(part);
    }
    session.send(b"poweroff -f\n");
    session.expect("one: off");
    // The other one waits, and can be started.
    session.send(b"\x01h\nstart two\n");
    session.expect("two: off");
}

#[test]
fn the_emulated_board_has_disks() {
    let directory = directory();
    let text = "[vm.one]\nmemory = '128M'\ncmdline = 'quiet'\n\
                disks = [{ board-disk = 1, start = '4K', size = '8K' }, { board-disk = 0 }]\n";
    file(directory.path(), "skep.toml", text.as_bytes());
    // A comma in a name is QEMU's separator.
    file(directory.path(), "first,.img", &[b'a'; 4096]);
    file(directory.path(), "second.img", &[b'b'; 16 << 10]);
    file(directory.path(), "odd.img", &[0; 700]);
    let emulate = |disks: &[&str]| {
        let mut command = skep();
        command.current_dir(directory.path()).arg("emulate");
        for disk in disks {
            command.args(["--board-disk", disk]);
        }
        Session::spawn(command)
    };
    for (disks, parts) in [
        (&["first,.img"][..], ["the board's disk 1", "--board-disk"]),
        (&["odd.img"], ["odd.img has 700 bytes", "sectors of 512"]),
        (&["none.img"], ["the disk none.img", "check the path"]),
    ] {
        let output = emulate(disks).finish();
        assert_refused(&output, &parts);
        has_status(&output, 125);
    }
    let mut session = emulate(&["first,.img", "second.img"]);
    session.expect("~# ");
    session.send(
        b"echo $(head -c 3 /dev/vda) $(blockdev --getsz /dev/vda); \
          echo $(head -c 3 /dev/vdb) $(blockdev --getsz /dev/vdb)\n",
    );
    session.expect("bbb 16\r\n").expect("aaa 8\r\n");
    session.send(b"echo it was here | dd of=/dev/vda conv=sync,fsync; poweroff -f\n");
    session.expect("one: off");
    has_status(&session.finish(), 0);
    let second = std::fs::read(directory.path().join("second.img")).expect("it is there");
    assert_eq!(second.len(), 16 << 10);
    assert!(second[4096..].starts_with(b"it was here\n"));
    assert!(second[..4096].iter().all(|&byte| byte == b'b'));
}
