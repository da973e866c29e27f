//! Progress of long work, on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar that appears with the first news.
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar, hidden where standard error is not a terminal.
    pub fn new() -> Self {
        Bar {
            bar: ProgressBar::no_length(),
        }
    }
}

impl skep_image::Progress for Bar {
    fn stage(&self, what: &str) {
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            self.bar.set_style(style);
        }
        self.bar.enable_steady_tick(Duration::from_millis(100));
        self.bar.set_message(what.to_owned());
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            let template = "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
