//! What the host asks of a running VM, and gets from it.

use skep_tests::{Session, stderr};
use std::time::{Duration, Instant};

/// Memory of the VM's process that is in RAM, MiB.
fn resident(session: &Session) -> u64 {
    let path = format!("/proc/{}/status", session.id());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .expect("Linux tells")
        / 1024
}

#[test]
fn memory_that_the_guest_has_free_goes_back_to_the_host() {
    let script = "dd if=/dev/zero of=/big bs=1M count=200 2>/dev/null; echo full; read x; rm /big; \
                  echo empty; read x";
    let mut session = Session::start(&["run", "--stats=json", "--", "sh", "-c", script]);
    session.expect("full");
    let full = resident(&session);
    session.send(b"\n");
    session.expect("empty");
    let end = Instant::now() + Duration::from_secs(20);
    while resident(&session) + 150 > full {
        assert!(
            Instant::now() < end,
            "{} MiB of {full} are still there",
            resident(&session)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    session.ask_for_stats();
    let line = session.error_line();
    let stats: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let memory = |key: &str| stats["memory"][key].as_u64().expect("the guest tells");
    assert!(memory("given_back") >= 150 << 20, "{line}");
    assert!((400..512).contains(&(memory("total") >> 20)), "{line}");
    assert!(memory("available") <= memory("total"), "{line}");
    session.send(b"\n");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_power_key_is_pressed_and_let_go() {
    let key = "grep -q ' 2 .*GPIO Key Poweroff' /proc/interrupts";
    let script = format!("echo up; until {key}; do sleep 0.1; done; echo pressed");
    let mut session = Session::start(&["run", "--", "sh", "-c", &script]);
    session.expect("up");
    session.press_power_key();
    session.expect("pressed");
    assert_eq!(session.finish().status.code(), Some(0));
}
