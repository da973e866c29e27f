//! How far the building of an image is, on standard error: a bar on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use skep_image::Progress;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The share of the whole that a line is printed for.
const TENTH: u64 = 10;

/// Shows progress.
pub struct Show {
    /// On a terminal.
    bar: Option<ProgressBar>,
    start: Instant,
    last: Mutex<Last>,
}

/// What was shown last.
#[derive(Default)]
struct Last {
    stage: String,
    tenth: u64,
}

impl Show {
    pub fn new() -> Arc<Self> {
        let terminal = std::io::stderr().is_terminal();
        Arc::new(Show {
            bar: terminal.then(ProgressBar::no_length),
            start: Instant::now(),
            last: Mutex::default(),
        })
    }

    /// The guest is in this phase, and has done so many steps.
    pub fn guest(&self, phase: &str, done: usize, total: usize) {
        let (done, total) = (done as u64, total as u64);
        self.part(
            phase,
            done,
            total,
            "{spinner} {msg} [{bar:30}] {percent} % ({elapsed})",
        );
    }

    /// Nothing more comes.
    pub fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn part(&self, stage: &str, done: u64, total: u64, template: &str) {
        let Some(bar) = &self.bar else {
            self.line(stage, 100 * done / total.max(1));
            return;
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(stage.to_owned());
    }

    /// Prints a line for a new stage, and for each tenth of the whole.
    fn line(&self, stage: &str, percent: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let tenth = percent / TENTH;
        if last.stage == stage && last.tenth >= tenth {
            return;
        }
        stage.clone_into(&mut last.stage);
        last.tenth = tenth;
        drop(last);
        let seconds = self.start.elapsed().as_secs();
        let percent = match percent {
            0 => String::new(),
            percent => format!(", {percent} %"),
        };
        // Standard error may be closed.
        let _ = writeln!(std::io::stderr(), "skep: {stage}{percent} ({seconds} s)");
    }
}

impl Progress for Show {
    fn stage(&self, what: &str) {
        let Some(bar) = &self.bar else {
            self.line(what, 0);
            return;
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.set_message(what.to_owned());
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        if let (Some(bar), Some(total)) = (&self.bar, total) {
            let stage = bar.message();
            let template = "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes}";
            self.part(&stage, done, total, template);
        }
    }

    fn steps(&self, done: usize, total: usize) {
        if let Some(bar) = &self.bar {
            let stage = bar.message();
            let template = "{spinner} {msg} [{bar:30}] {pos}/{len}";
            self.part(&stage, done as u64, total as u64, template);
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.done();
    }
}
