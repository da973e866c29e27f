//! Linux uses the board's devices.

use skep_tests::{assert_refused, run, stderr, stdout};

#[test]
fn the_terminal_can_be_a_virtio_console() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("second");
    let second = path.to_str().expect("a path of this test");
    let script = "cat /sys/class/tty/console/active; cat; echo to the file > /dev/hvc1";
    let options = ["run", "--console", "virtio", "--console-file", second];
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
fn a_console_file_that_can_not_be_written_is_refused() {
    let words = ["run", "--console-file", "/no/such/file", "--", "true"];
    assert_refused(&run(&words, b""), &["/no/such/file", "check the path"]);
}
