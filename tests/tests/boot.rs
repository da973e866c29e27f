//! Debian's kernels boot, unmodified, and do what a user asks of them.

use std::path::Path;

use skep_tests::{Session, assert_refused, default_guest, file, run, stderr, stdout};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the cache")
}

#[test]
fn a_command_prints_its_output_and_nothing_else() {
    let output = run(&["run", "--", "uname", "-m"], b"");
    assert_eq!(stdout(&output), "armv7l\n", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

/// What Linux says about a running VM's process.
fn of_process(args: &[&str]) -> (String, String) {
    let mut session =
        Session::start(&[&["run"], args, &["--", "sh", "-c", "echo up; read x"]].concat());
    session.expect("up");
    let path = format!("/proc/{}/status", session.id());
    let status = std::fs::read_to_string(path).expect("it runs");
    session.send(b"\n");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0));
    (status, stderr(&output))
}

#[test]
fn a_running_vm_is_in_a_sandbox() {
    let (status, errors) = of_process(&[]);
    assert!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
    assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
    assert_eq!(errors, "");
    let (status, errors) = of_process(&["--no-sandbox"]);
    assert!(status.contains("\nSeccomp:\t0\n"), "{status}");
    assert!(
        errors.contains("no sandbox: a guest that breaks out"),
        "{errors}"
    );
}

#[test]
fn a_session_on_a_terminal_is_typed_to_and_quit() {
    // util-linux's, which gives the command a terminal.
    let mut command = std::process::Command::new("script");
    let run = format!("{} run", text(&skep_tests::skep_path()));
    command.args(["-qefc", &run, "/dev/null"]);
    let mut session = Session::spawn(command);
    session.expect("~# ");
    session.send(b"echo ty''ped; stty size\r");
    session.expect("typed");
    session.send(b"\x01p\x01h");
    session.expect("Ctrl-A p  press the power key");
    session.send(b"\x01x");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(!stdout(&output).contains("sandbox"), "{}", stdout(&output));
}

#[test]
fn statistics_are_printed_at_the_end() {
    let output = run(&["run", "--stats", "--engine", "interp", "--", "true"], b"");
    assert_eq!(stdout(&output), "");
    let errors = stderr(&output);
    let instructions: u64 = errors
        .lines()
        .find(|line| line.contains("instructions"))
        .and_then(|line| line.split_whitespace().last())
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    // A kernel does not boot with fewer.
    assert!(instructions > 10_000_000, "{errors}");
    assert!(errors.contains("blocks decoded"), "{errors}");
    assert!(errors.contains("pl011"), "{errors}");
}

#[test]
fn a_signal_asks_for_statistics() {
    let script = "echo ready; read word; echo $word";
    // The second CPU sleeps most of the time, and answers, too.
    let mut session = Session::start(&[
        "run",
        "--cpus",
        "2",
        "--stats=json",
        "--",
        "sh",
        "-c",
        script,
    ]);
    session.expect("ready\n");
    session.ask_for_stats();
    let first = session.error_line();
    session.send(b"go on\n");
    let output = session.finish();
    assert_eq!(stdout(&output), "ready\ngo on\n");
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let (first, last) = (parse(&first), parse(&stderr(&output)));
    for cpu in 0..2 {
        let count = |stats: &serde_json::Value| {
            let vcpu = &stats["vcpus"][cpu];
            let counted = vcpu["instructions"].as_u64().unwrap_or(0);
            let slept = vcpu["exits"]["wfi"].as_u64().unwrap_or(0);
            (counted, slept)
        };
        let ((before, slept), (after, _)) = (count(&first), count(&last));
        assert!(before > 1_000_000 && slept > 0, "{first}");
        assert!(after > before, "{first}\n{last}");
    }
    let devices = last["devices"].as_array().expect("a list");
    let serial = devices.iter().find(|device| device["name"] == "pl011");
    let writes = serial.and_then(|device| device["writes"].as_u64());
    // At least the command's output.
    assert!(writes > Some(10), "{last}");
}

#[test]
fn the_translator_lists_what_it_translates() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("trace, of a boot.txt");
    // The kernel's vectors are there in every Linux.
    let trace = format!("0xffff0000..ffff1040,{}", text(&path));
    let output = run(&["run", "--trace", &trace, "--", "true"], b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let listing = std::fs::read_to_string(&path).expect("a file");
    let blocks = listing.lines().filter(|line| line.starts_with("CPU 0, "));
    let mut count = 0;
    for block in blocks {
        assert!(block.contains("A32 block at 0xffff"), "{block}");
        count += 1;
    }
    assert!(count > 0, "{listing}");
    for part in ["; 0xffff", "direct:", "dword ptr [rbp+pc]", "    jmp leave"] {
        assert!(listing.contains(part), "{part:?} is not in {listing}");
    }
}

#[test]
fn a_map_for_perf_names_guest_code() {
    let mut session = Session::start(&["run", "--perf-map", "--", "echo", "ready"]);
    session.expect("ready\n");
    let path = format!("/tmp/perf-{}.map", session.id());
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let map = std::fs::read_to_string(&path).expect("a map");
    std::fs::remove_file(&path).expect("the map is ours");
    let mut ends = Vec::new();
    for line in map.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [start, len, name] = words[..] else {
            panic!("{line:?}");
        };
        let number = |text| u64::from_str_radix(text, 16).expect("hexadecimal");
        assert!(
            name.starts_with("guest:0x") || name == "skep:fixed",
            "{line:?}"
        );
        assert!(
            ends.last().is_none_or(|end| *end <= number(start)),
            "{line:?}"
        );
        ends.push(number(start) + number(len));
    }
    assert!(ends.len() > 1000, "{}", ends.len());
}

#[test]
fn the_interpreter_has_nothing_to_show() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("trace.txt");
    let option = format!("0..1000,{}", text(&trace));
    let arguments = ["run", "--engine", "interp", "--trace", &option];
    let output = run(&arguments, b"");
    assert_refused(&output, &["only the translator", "--engine jit"]);
    assert!(!trace.exists());
}

/// Resident memory of a process, in KiB: the guest's, as far as it has touched it, and all other.
fn resident(id: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{id}/smaps")).expect("a process");
    let (mut guest, mut other, mut in_guest) = (0, 0, false);
    for line in text.lines() {
        if line.contains("memfd:") {
            in_guest = line.contains("memfd:skep-guest");
        } else if let Some(rest) = line.strip_prefix("Rss:") {
            let kib = rest
                .trim()
                .strip_suffix(" kB")
                .and_then(|kib| kib.parse().ok());
            let kib: u64 = kib.expect("a number");
            if in_guest {
                // The translator maps parts of it again.
                guest = kib.max(guest);
            } else {
                other += kib;
            }
        } else if line.starts_with("VmFlags:") {
            in_guest = false;
        }
    }
    (guest, other)
}

#[test]
fn a_guest_costs_little_more_than_its_memory() {
    /// KiB.
    const LIMIT: u64 = 64 << 10;
    let mut session = Session::start(&["run", "--", "sh", "-c", "echo ready; read word"]);
    session.expect("ready\n");
    let (guest, overhead) = resident(session.id());
    session.send(b"\n");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // A Linux kernel alone has this much.
    assert!(guest > 20 << 10, "{guest}");
    assert!(overhead <= LIMIT, "{overhead} KiB");
}

#[test]
fn a_command_gets_its_arguments_and_gives_its_status() {
    let script = "printf '%s|' \"$@\"; exit 7";
    let words = [
        "run", "--", "sh", "-c", script, "x", "a b", "", "'\"$x`", "ä\n*",
    ];
    let output = run(&words, b"");
    assert_eq!(stdout(&output), "a b||'\"$x`|ä\n*|", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn a_command_reads_standard_input_byte_for_byte() {
    let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let output = run(&["run", "--", "cat"], &bytes);
    assert_eq!(output.stdout, bytes, "{}", stderr(&output));
}

#[test]
fn a_command_that_does_not_exist_fails_as_in_a_shell() {
    let output = run(&["run", "--", "no-such-command"], b"");
    assert_eq!(output.status.code(), Some(127), "{}", stderr(&output));
}

#[test]
fn a_large_input_arrives_whole() {
    let lines: String = (0..8000).map(|n| format!("{n:032}\n")).collect();
    let script = format!("cat > /tmp/x <<'END'\n{lines}END\nwc -c < /tmp/x; md5sum /tmp/x\n");
    let output = run(&["run"], script.as_bytes());
    assert_eq!(
        stdout(&output),
        "264000\n085fc649ae52956fb374e89935ca592e  /tmp/x\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_shell_reads_a_pipe_and_the_end_of_input_ends_the_session() {
    let output = run(&["run"], b"echo one-$((1 + 1))\ncat /proc/cpuinfo\n");
    let text = stdout(&output);
    assert!(text.contains("one-2"), "{text}\n{}", stderr(&output));
    assert!(text.contains("ARMv7 Processor"), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_interpreter_boots_both_kernels() {
    for (guest, cpus) in [("debian", "1"), ("debian-lpae", "2")] {
        let machine = [
            "run", "--engine", "interp", "--guest", guest, "--cpus", cpus,
        ];
        let output = run(&[&machine[..], &["--", "nproc"]].concat(), b"");
        assert_eq!(stdout(&output).trim_end(), cpus, "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn four_cpus_come_up() {
    let output = run(
        &[
            "run",
            "--cpus",
            "4",
            "--",
            "sh",
            "-c",
            "nproc; grep -c ^processor /proc/cpuinfo",
        ],
        b"",
    );
    assert_eq!(stdout(&output), "4\n4\n", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn four_cpus_work_at_the_same_time() {
    // Four writers in parallel, each checked: pages, pipes and locks shared between CPUs.
    let script = "for i in 1 2 3 4; do (seq 1 20000 | sha256sum) & done; wait";
    let output = run(&["run", "--cpus", "4", "--", "sh", "-c", script], b"");
    let text = stdout(&output);
    let sums: Vec<&str> = text.lines().collect();
    assert_eq!(sums.len(), 4, "{text}\n{}", stderr(&output));
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{text}");
}

#[test]
fn the_long_descriptor_kernel_boots() {
    let output = run(&["run", "--guest", "debian-lpae", "--", "uname", "-r"], b"");
    let text = stdout(&output);
    assert!(
        text.trim_end().ends_with("-armmp-lpae"),
        "{text}\n{}",
        stderr(&output)
    );
}

#[test]
fn a_cortex_a7_boots() {
    let output = run(
        &[
            "run",
            "--cpu",
            "cortex-a7",
            "--",
            "grep",
            "CPU part",
            "/proc/cpuinfo",
        ],
        b"",
    );
    assert!(
        stdout(&output).contains("0xc07"),
        "{}\n{}",
        stdout(&output),
        stderr(&output)
    );
}

#[test]
fn memory_is_what_was_asked_for() {
    let output = run(
        &[
            "run",
            "--memory",
            "256M",
            "--",
            "awk",
            "/MemTotal/ { print $2 }",
            "/proc/meminfo",
        ],
        b"",
    );
    let total: u64 = stdout(&output).trim().parse().expect("a number of KiB");
    assert!((200_000..262_144).contains(&total), "{total}");
}

#[test]
fn a_disk_keeps_what_the_guest_wrote() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = file(directory.path(), "disk.img", &vec![0; 4 << 20]);
    let script = "echo kept | dd of=/dev/vda bs=512 seek=3 conv=fsync 2>/dev/null; \
                  blockdev --getsize64 /dev/vda";
    let output = run(&["run", "--disk", &disk, "--", "sh", "-c", script], b"");
    assert_eq!(stdout(&output), "4194304\n", "{}", stderr(&output));
    let contents = std::fs::read(&disk).expect("the disk is still there");
    assert_eq!(&contents[3 * 512..3 * 512 + 5], b"kept\n");

    let read_only = format!("{disk},readonly");
    let script = "dd if=/dev/vda bs=512 skip=3 count=1 2>/dev/null | head -n 1; \
                  echo no > /dev/vda || echo refused";
    let output = run(
        &["run", "--disk", &read_only, "--", "sh", "-c", script],
        b"",
    );
    assert!(stdout(&output).starts_with("kept\n"), "{}", stdout(&output));
    assert_eq!(
        std::fs::read(&disk).expect("the disk is still there"),
        contents
    );
}

#[test]
fn the_random_number_generator_works() {
    let script = "dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c";
    let output = run(&["run", "--", "sh", "-c", script], b"");
    assert_eq!(stdout(&output), "64\n", "{}", stderr(&output));
}

#[test]
fn a_guest_that_reboots_starts_again() {
    let guest = default_guest();
    let (kernel, initrd) = (text(&guest.kernel), text(&guest.initrd));
    // Without the kernel's self-tests, which take most of a boot.
    let append = "console=ttyAMA0 cryptomgr.notests";
    let files = ["run", "--kernel", kernel, "--initrd", initrd];
    let mut session = Session::start(&[&files[..], &["--append", append]].concat());
    session.expect("Linux version");
    session.send(b"reboot -f\n");
    session.expect("Linux version");
    session.send(b"echo again-$((40 + 2))\n");
    session.expect("again-42");
    session.end_input();
    assert_eq!(session.finish().status.code(), Some(0));
}

#[test]
fn random_bytes_end_in_a_fault_record() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Permanently undefined instructions, in memory and at the vector that they lead to.
    let kernel = file(directory.path(), "noise", &[0xff; 4096]);
    let output = run(&["run", "--kernel", &kernel], b"");
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("the guest can't go on"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("PC 0x"), "{}", stderr(&output));
}

#[test]
fn a_signal_ends_the_session() {
    let mut session = Session::start(&["run"]);
    session.send(b"echo ready-$((40 + 2))\n");
    session.expect("ready-42").interrupt();
    assert_eq!(session.finish().status.code(), Some(130));
}

/// `b .`
const ENDLESS: [u8; 4] = 0xeaff_fffe_u32.to_le_bytes();

#[test]
fn a_missing_console_is_explained() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let kernel = file(directory.path(), "kernel", &ENDLESS);
    let session = Session::start(&["run", "--kernel", &kernel, "--append", "quiet"]);
    std::thread::sleep(std::time::Duration::from_secs(6));
    session.interrupt();
    let errors = stderr(&session.finish());
    assert!(errors.contains("printed nothing for 5 s"), "{errors}");
    assert!(errors.contains("console=ttyAMA0"), "{errors}");
}

#[test]
fn a_guest_that_sleeps_ends_with_its_input() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // `1: wfi; b 1b`
    let sleep = [0xe320_f003_u32, 0xeaff_fffd].map(u32::to_le_bytes);
    let kernel = file(directory.path(), "kernel", &sleep.concat());
    let output = run(&["run", "--kernel", &kernel], b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn kernels_that_are_none_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let write = |name, contents: &[u8]| file(directory.path(), name, contents);
    let mut bzimage = vec![0; 4096];
    bzimage[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bzimage[0x202..0x206].copy_from_slice(b"HdrS");
    let mut arm64 = vec![0; 4096];
    arm64[0x38..0x3c].copy_from_slice(b"ARMd");
    let guest = default_guest();
    let zimage = std::fs::read(guest.kernel).expect("the cached kernel");

    let cases = [
        (write("x86", &bzimage), "x86"),
        (write("arm64", &arm64), "64-bit Arm"),
        (
            write(
                "elf64",
                b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0",
            ),
            "ELF",
        ),
        (write("truncated", &zimage[..100_000]), "truncated"),
        (write("empty", b""), "empty"),
        (
            directory.path().to_str().expect("text").to_owned(),
            "directory",
        ),
        ("/no/such/kernel".to_owned(), "does not exist"),
    ];
    for (path, part) in cases {
        assert_refused(&run(&["run", "--kernel", &path], b""), &[part]);
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    assert_refused(
        &run(&["run", "--memory", "lots"], b""),
        &["not a size", "512M"],
    );
    assert_refused(&run(&["run", "--memory", "9999999G"], b""), &["MiB"]);
    assert_refused(
        &run(&["run", "--cpu", "cortex-m0"], b""),
        &["cortex-a15", "cortex-a7"],
    );
    assert_refused(&run(&["run", "--cpus", "9"], b""), &["write 1 to 8"]);
    assert_refused(
        &run(&["run", "--memory", "4M", "--", "true"], b""),
        &["memory"],
    );
    assert_refused(
        &run(&["run", "--disk", "/no/such/disk", "--", "true"], b""),
        &["/no/such/disk"],
    );
}
