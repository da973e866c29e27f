//! Whether other work of the host disturbs the measurements.

use std::time::Instant;

/// Linux's pressure stall information (Documentation/accounting/psi.rst).
const FILE: &str = "/proc/pressure/cpu";

/// The share of time from which a machine counts as busy. The emulators' own threads wait for each
/// other, too.
const BUSY: f64 = 0.2;

/// How much of some time something waited for a processor, seconds.
#[derive(Default)]
pub struct Pressure {
    time: f64,
    waited: f64,
}

impl Pressure {
    /// Does something, and looks how much waits meanwhile. A host that doesn't tell counts as idle.
    pub fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (started, before) = (Instant::now(), waited());
        let result = work();
        if let (Some(before), Some(after)) = (before, waited()) {
            self.time += started.elapsed().as_secs_f64();
            self.waited += after - before;
        }
        result
    }

    /// The share of the time.
    pub fn share(&self) -> f64 {
        if self.time > 0.0 {
            self.waited / self.time
        } else {
            0.0
        }
    }

    /// Whether measurements mean little.
    pub fn is_high(&self) -> bool {
        self.share() >= BUSY
    }
}

/// Seconds since the host's start in which something waited for a processor.
fn waited() -> Option<f64> {
    parse(&std::fs::read_to_string(FILE).ok()?)
}

fn parse(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let total = some.split_once("total=")?.1;
    Some(total.trim().parse::<f64>().ok()? / 1e6)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_total_is_in_microseconds() {
        let text = "some avg10=97.99 avg60=97.02 avg300=76.20 total=6199714870\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(super::parse(text), Some(6199.71487));
        assert_eq!(super::parse("full total=1\n"), None);
    }
}
