//! Linux uses the board's devices.

use skep_tests::{assert_refused, file, run, stderr, stdout};

#[test]
fn the_terminal_can_be_a_virtio_console() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("second");
    let second = path.to_str().expect("a path of this test");
    let script = "cat /sys/class/tty/console/active; cat; echo to the file > /dev/hvc1";
    let file = format!("file={second}");
    let options = ["run", "--console", "stdio", "--console", &file];
    let output = run(
        &[&options[..], &["--", "sh", "-c", script]].concat(),
        b"from the terminal\n",
    );
    assert_eq!(
        stdout(&output),
        "hvc0\nfrom the terminal\n",
        "{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(0));
    // The terminal driver ends lines with a carriage return, too.
    let second = std::fs::read_to_string(path).expect("the file was created");
    assert_eq!(second, "to the file\r\n");
}

#[test]
fn legacy_virtio_devices_work() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = file(directory.path(), "disk.img", &vec![0; 1 << 20]);
    // Bit 32 of the features, the 33rd character, is VIRTIO_F_VERSION_1: not for a legacy device.
    let script = "cut -c 33 /sys/bus/virtio/devices/*/features; \
                  dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c; \
                  echo kept | dd of=/dev/vda bs=512 seek=3 conv=fsync 2>/dev/null; \
                  dd if=/dev/vda bs=512 skip=3 count=1 2>/dev/null | head -n 1; \
                  cat /sys/class/tty/console/active";
    let options = ["--virtio", "legacy", "--console", "stdio"];
    let words = [
        &["run", "--disk", &disk][..],
        &options,
        &["--", "sh", "-c", script],
    ];
    let output = run(&words.concat(), b"");
    assert_eq!(
        stdout(&output),
        "0\n0\n0\n0\n0\n64\nkept\nhvc0\n",
        "{}",
        stderr(&output)
    );
    let contents = std::fs::read(&disk).expect("the disk is still there");
    assert_eq!(&contents[3 * 512..3 * 512 + 5], b"kept\n");
}

#[test]
fn a_console_file_that_can_not_be_written_is_refused() {
    let words = ["run", "--console", "file=/no/such/file", "--", "true"];
    assert_refused(&run(&words, b""), &["/no/such/file", "check the path"]);
}

#[test]
fn linux_finds_the_performance_monitors() {
    let output = run(
        &["run", "--", "sh", "-c", "dmesg | grep 'hw perfevents'"],
        b"",
    );
    let text = stdout(&output);
    let expected = "enabled with armv7_cortex_a15 PMU driver, 7 counters";
    assert!(text.contains(expected), "{text}\n{}", stderr(&output));
}
