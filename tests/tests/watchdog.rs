//! Guests that hang are reset by their watchdog, and others are not.

use skep_tests::{Session, default_guest, run, stderr, stdout};

#[test]
fn a_guest_that_does_not_feed_its_watchdog_is_reset() {
    let guest = default_guest();
    let path = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let (kernel, initrd) = (path(&guest.boot), path(&guest.initrd));
    let mut session = Session::start(&[
        "run", "--kernel", &kernel, "--initrd", &initrd, "--cpus", "2",
    ]);
    session.expect("~# ");
    // Two seconds of patience. The sleeps are longer.
    let start = "watchdog -T 2 -t 1 /dev/watchdog";
    session.send(format!("modprobe sp805_wdt; {start}; sleep 4; echo f''ed\n").as_bytes());
    session.expect("fed\r\n");
    // The program says that it means it when it is asked to end.
    session.send(b"kill $(pidof watchdog); sleep 4; echo dis''armed\n");
    session.expect("disarmed\r\n");
    session.send(format!("{start}; kill -9 $(pidof watchdog)\n").as_bytes());
    assert_eq!(
        session.error_line().trim_end(),
        "skep: the guest did not feed its watchdog: it is reset"
    );
    session.expect("Booting Linux");
    session.expect("~# ");
    // After the reset it is off.
    session.send(b"modprobe sp805_wdt; cat /sys/class/watchdog/watchdog0/state; poweroff -f\n");
    session.expect("inactive");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_watchdog_can_end_the_machine() {
    let script =
        "modprobe sp805_wdt; watchdog -T 2 -t 1 /dev/watchdog; kill -9 $(pidof watchdog); sleep 60";
    let words = ["run", "--watchdog", "poweroff", "--", "sh", "-c", script];
    let output = run(&words, b"");
    assert_eq!(output.status.code(), Some(124));
    let errors = stderr(&output);
    assert!(errors.contains("did not feed its watchdog"), "{errors}");
}

#[test]
fn there_need_not_be_a_watchdog() {
    let count = "ls /proc/device-tree | grep -c watchdog";
    let output = run(&["run", "--watchdog", "none", "--", "sh", "-c", count], b"");
    assert_eq!(stdout(&output), "0\n", "{}", stderr(&output));
}
