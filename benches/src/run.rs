//! Runs a program that prints rows, and collects them.

use crate::Failure;
use crate::waiting::Waiting;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// A run that takes longer is lost.
const LIMIT: Duration = Duration::from_secs(300);

/// How far the guest's clock and the host's may be apart: a share of the time, and seconds for the
/// way that lines take.
const CLOCKS: (f64, f64) = (0.02, 0.3);

/// The group whose rows are one run each, so that it matters how long the program that runs them
/// waited for one of the host's processors.
const WHOLE: &str = "programs";

/// When a line was printed.
#[derive(Clone, Default, Debug)]
struct Moment {
    /// Seconds since the start of the program that printed it.
    seconds: f64,
    /// How long its threads had waited.
    waiting: Waiting,
}

/// A measurement.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Rows of a group are shown together.
    pub group: String,
    /// Unique among all rows.
    pub name: String,
    /// Nanoseconds per iteration.
    pub ns: f64,
}

/// What a run gave.
#[derive(Default, Debug)]
pub struct Rows {
    /// In the order of the run.
    pub rows: Vec<Row>,
    /// Seconds from the program's start to the guest's first program, without those in which the
    /// program waited for a processor.
    pub boot: Option<f64>,
    /// What is to be told about the run, in sentences.
    pub remarks: Vec<String>,
    /// Seconds that all rows took by the guest's clock and by the host's. Lines may come late, but
    /// what is missing from one row is in the next.
    pub clocks: (f64, f64),
}

impl Rows {
    /// Nanoseconds of a row.
    pub fn get(&self, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name == name);
        row.map(|row| row.ns)
    }

    /// Takes another round's rows: the better time of each counts.
    pub fn keep_best(&mut self, new: Rows) {
        for row in new.rows {
            match self.rows.iter_mut().find(|kept| kept.name == row.name) {
                Some(kept) => kept.ns = kept.ns.min(row.ns),
                None => self.rows.push(row),
            }
        }
        self.remarks.extend(new.remarks);
    }

    /// Takes a line that a program printed. `true` if it was the last.
    fn line(&mut self, line: &str, at: Moment, started: &mut Option<Moment>) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["init"] => self.boot = Some(at.seconds - at.waiting.since(&Waiting::default())),
            ["end"] => return true,
            ["start", _] => *started = Some(at),
            ["failed", name, reason] => self.remarks.push(format!("{name} failed: {reason}")),
            ["row", group, name, ns, total] => {
                let (Ok(mut ns), Ok(total)) = (ns.parse::<f64>(), total.parse::<f64>()) else {
                    return false;
                };
                if let Some(started) = started.take() {
                    self.clocks.0 += total / 1e9;
                    self.clocks.1 += at.seconds - started.seconds;
                    // Other rows are the least of many samples.
                    if group == WHOLE {
                        ns -= at.waiting.since(&started.waiting) * 1e9;
                    }
                }
                self.rows.push(Row {
                    group: group.into(),
                    name: name.into(),
                    ns,
                });
            }
            _ => {}
        }
        false
    }

    /// Whether the rows took as long by the guest's clock as by the host's.
    fn compare_clocks(&mut self) {
        let (guest, host) = self.clocks;
        if (guest - host).abs() > CLOCKS.0 * host + CLOCKS.1 {
            self.remarks.push(format!(
                "the rows took {guest:.1} s by the guest's clock, and {host:.1} s by the host's"
            ));
        }
    }
}

/// Runs a command and collects its rows.
pub fn rows(command: &mut Command) -> Result<Rows, Failure> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let output = child.stdout.take().ok_or("no output")?;
    let (send, lines) = mpsc::channel();
    let process = child.id();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let moment = Moment {
                seconds: started.elapsed().as_secs_f64(),
                waiting: Waiting::of(process),
            };
            if send.send((line, moment)).is_err() {
                break;
            }
        }
    });
    let mut rows = Rows::default();
    let (mut ended, mut row_started) = (false, None);
    let mut last = Vec::new();
    loop {
        match lines.recv_timeout(LIMIT.saturating_sub(started.elapsed())) {
            Ok((line, at)) => {
                ended |= rows.line(&line, at, &mut row_started);
                last.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // Ended already, perhaps.
                let _ = child.kill();
                break;
            }
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if ended {
        rows.compare_clocks();
        return Ok(rows);
    }
    let tail = last.len().saturating_sub(10);
    Err(format!(
        "{command:?} ended before its last row ({status}); its last lines:\n{}",
        last[tail..].join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(lines: &[(&str, f64)]) -> (Rows, bool) {
        let (mut rows, mut ended, mut started) = (Rows::default(), false, None);
        for (line, at) in lines {
            let at = Moment {
                seconds: *at,
                ..Moment::default()
            };
            ended |= rows.line(line, at, &mut started);
        }
        (rows, ended)
    }

    #[test]
    fn lines_become_rows() {
        let (rows, ended) = collect(&[
            ("[    0.1] a message of the kernel", 0.1),
            ("init\r", 0.5),
            ("start sort", 0.5),
            ("row integer sort 12.5 400000000\r", 0.9),
            ("failed xz 32512", 1.0),
            ("end\r", 1.0),
        ]);
        assert!(ended);
        assert_eq!(rows.boot, Some(0.5));
        assert_eq!(rows.get("sort"), Some(12.5));
        assert_eq!(rows.remarks, ["xz failed: 32512"]);
    }

    #[test]
    fn a_guest_whose_clock_runs_wrong_is_told() {
        let (rows, _) = collect(&[
            ("start sort", 1.0),
            ("row integer sort 12.5 400000000", 1.6),
            ("start sieve", 1.6),
            ("row integer sieve 12.5 400000000", 2.2),
        ]);
        let (mut wrong, mut right) = (rows, Rows::default());
        wrong.compare_clocks();
        assert_eq!(
            wrong.remarks,
            ["the rows took 0.8 s by the guest's clock, and 1.2 s by the host's"]
        );
        right.clocks = (100.0, 101.9);
        right.compare_clocks();
        assert_eq!(right.remarks, [""; 0]);
    }

    #[test]
    fn the_better_round_counts() {
        let row = |ns: f64| {
            let line = format!("row integer sort {ns} 1000");
            collect(&[(&line, 0.0)]).0
        };
        let mut best = row(3.0);
        best.keep_best(row(2.0));
        best.keep_best(row(4.0));
        assert_eq!(best.get("sort"), Some(2.0));
        assert_eq!(best.rows.len(), 1);
    }

    #[test]
    fn a_program_that_ends_early_is_an_error_with_its_words() {
        let error = rows(Command::new("echo").arg("out of memory")).expect_err("no end");
        assert!(error.contains("out of memory"), "{error}");
        assert!(error.contains("exit status: 0"), "{error}");
        assert!(rows(Command::new("echo").arg("end")).is_ok());
    }
}
