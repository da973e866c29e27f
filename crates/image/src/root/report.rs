//! What the guest that installs the system says of it, line by line. Its side is `guest/build`.

use std::collections::BTreeSet;

/// Lines of the programs' output that are kept to explain a failure.
const KEPT: usize = 12;
/// Nobody reads a longer one.
const LONGEST: usize = 300;

/// How far an installation is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Unpacking and configuring a package is a step each.
    total: usize,
    done: BTreeSet<String>,
    phase: String,
    /// A line that has not ended yet.
    line: Vec<u8>,
    log: Vec<String>,
    failed: Option<String>,
    finished: bool,
}

impl Report {
    /// Of an installation of so many packages.
    pub fn new(packages: usize) -> Self {
        Report {
            total: 2 * packages,
            ..Report::default()
        }
    }

    /// Takes the guest's next byte. True if there is something new to show.
    pub fn feed(&mut self, byte: u8) -> bool {
        if byte != b'\n' {
            if self.line.len() < LONGEST {
                self.line.push(byte);
            }
            return false;
        }
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let (kind, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match kind {
            "phase" => {
                self.phase = printable(rest);
                self.finished = self.phase == "Done";
                true
            }
            // dpkg(1), --status-fd. Triggers make a package installed once more.
            "status:" if rest.ends_with(": unpacked") || rest.ends_with(": installed") => {
                self.done.len() < self.total && self.done.insert(rest.to_owned())
            }
            "log" => {
                if self.log.len() == KEPT {
                    self.log.remove(0);
                }
                self.log.push(printable(rest));
                false
            }
            "failed" => {
                self.failed = Some(printable(rest));
                false
            }
            _ => false,
        }
    }

    /// What the guest does.
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// How many steps it has done, and how many there are.
    pub fn steps(&self) -> (usize, usize) {
        (self.done.len(), self.total)
    }

    /// All is done.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// What the guest could not do, if it has told.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// The last lines that programs in the guest printed before.
    pub fn log(&self) -> &[String] {
        &self.log
    }
}

/// Text that does nothing to a terminal.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(text: &str) -> Report {
        let mut report = Report::new(3);
        for byte in text.bytes() {
            report.feed(byte);
        }
        report
    }

    #[test]
    fn steps_are_counted() {
        let report = report(
            "phase Installing packages\nstatus: libc6:armhf: half-installed\n\
             status: libc6:armhf: unpacked\nprocessing: configure: libc6:armhf\n\
             status: libc6:armhf: installed\nstatus: libc6:armhf: installed\nnoise\nstatus: not ended: installed",
        );
        assert_eq!(report.phase(), "Installing packages");
        assert_eq!(report.steps(), (2, 6));
        assert!(!report.finished() && report.failed().is_none());
    }

    #[test]
    fn a_failure_has_its_last_lines() {
        let lines: String = (0..20).map(|n| format!("log line {n}\n")).collect();
        let report = report(&format!("{lines}failed configuring\x1b[2J a package\n"));
        assert_eq!(report.failed(), Some("configuring [2J a package"));
        let log = report.log();
        assert_eq!((log.len(), log[0].as_str()), (KEPT, "line 8"));
    }

    #[test]
    fn the_end_is_told() {
        assert!(report("phase Finishing\nphase Done\n").finished());
        assert!(!report("phase Done").finished());
    }

    proptest! {
        /// Whatever the guest says, little is kept of it, and nothing that moves the cursor.
        #[test]
        fn anything_may_come(bytes: Vec<u8>) {
            let mut report = Report::new(1);
            for byte in b"log ".iter().chain(&bytes).chain(b"\n") {
                report.feed(*byte);
            }
            prop_assert!(report.steps().0 <= report.steps().1);
            prop_assert!(report.log().len() <= KEPT);
            prop_assert!(report.log().iter().all(|line| !line.contains(char::is_control)));
        }
    }
}
