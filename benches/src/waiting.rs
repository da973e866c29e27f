//! For how long a process's busiest thread waited for one of the host's processors.

use std::collections::BTreeMap;
use std::fs;

/// What the host's scheduler counts for each thread: nanoseconds of running and of waiting to run
/// (Linux, Documentation/scheduler/sched-stats.rst).
#[derive(Clone, Default, Debug)]
pub struct Waiting(BTreeMap<u32, (u64, u64)>);

impl Waiting {
    /// Looks at a process. A thread that can't be read, or a host that doesn't count, has no time.
    pub fn of(process: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{process}/task"));
        let read = |thread: &fs::DirEntry| {
            let number = thread.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            Some((number, parse(&text)?))
        };
        let threads = threads.into_iter().flatten().filter_map(Result::ok);
        Waiting(threads.filter_map(|thread| read(&thread)).collect())
    }

    /// Seconds that the thread which ran longest since an earlier look has waited since then.
    pub fn since(&self, earlier: &Waiting) -> f64 {
        let differences = self.0.iter().map(|(thread, now)| {
            let before = earlier.0.get(thread).copied().unwrap_or_default();
            (
                now.0.saturating_sub(before.0),
                now.1.saturating_sub(before.1),
            )
        });
        let busiest = differences.max_by_key(|(ran, _)| *ran);
        busiest.map_or(0.0, |(_, waited)| waited as f64 / 1e9)
    }
}

fn parse(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_counts() {
        let look = |threads: &[(u32, u64, u64)]| {
            let threads = threads
                .iter()
                .map(|(thread, ran, waited)| (*thread, (*ran, *waited)));
            Waiting(threads.collect())
        };
        let before = look(&[(1, 5_000, 1_000_000_000), (2, 100, 0)]);
        let after = look(&[
            (1, 6_000, 4_000_000_000),
            (2, 90_100, 500_000_000),
            (3, 10, 9_000_000_000),
        ]);
        assert_eq!(after.since(&before), 0.5);
        assert_eq!(look(&[]).since(&before), 0.0);
    }

    #[test]
    fn this_process_has_run() {
        assert_eq!(parse("34201 1200 7\n"), Some((34201, 1200)));
        let this = Waiting::of(std::process::id());
        assert!(this.0.values().any(|(ran, _)| *ran > 0), "{this:?}");
    }
}
