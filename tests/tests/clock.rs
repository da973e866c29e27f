//! The real-time clock has the host's time of day.

use rustix::process::{Pid, Signal, kill_process};
use skep_tests::{Session, stderr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_secs()
}

#[test]
fn the_clock_has_the_host_s_time_whatever_happened_meanwhile() {
    // The alarm is set by one CPU while the other one, which has nothing to do, may sleep for long.
    let script = "cd /sys/class/rtc/rtc0; read x; cat since_epoch; read x; cat since_epoch; \
                  taskset 2 sh -c 'echo +2 >wakealarm'; sleep 3.5; \
                  awk '/rtc-pl031/ { print \"alarms\", $2 + $3 }' /proc/interrupts";
    let words = [
        "run", "--net", "none", "--cpus", "2", "--", "sh", "-c", script,
    ];
    let mut session = Session::start(&words);
    let look = |session: &mut Session| {
        let before = now();
        session.send(b"\n");
        let told = session.until("\n").trim().parse::<u64>().expect("a number");
        assert!((before..=now()).contains(&told), "{told}, not {before}");
    };
    look(&mut session);
    let process = Pid::from_raw(session.id() as i32).expect("it runs");
    kill_process(process, Signal::STOP).expect("it is ours");
    std::thread::sleep(Duration::from_secs(2));
    kill_process(process, Signal::CONT).expect("it is ours");
    look(&mut session);
    session.expect("alarms 1");
    let output = session.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
