//! What earlier versions achieved: `results/best.txt` has the rows of the best, and
//! `results/history.txt` a line for each that was recorded.

use crate::Failure;
use crate::run::Rows;
use crate::table::Summary;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the history's columns are.
const HEADER: &str = "# date version geometric-mean rows worst-row worst-ratio\n";

/// Skep's rows when its geometric mean was best.
#[derive(Default, Debug)]
pub struct Best {
    /// Where they are from, in words.
    pub origin: String,
    /// Nanoseconds per iteration.
    pub rows: BTreeMap<String, f64>,
}

impl Best {
    /// Reads lines of a name and a number; those that begin with # say where they are from.
    pub fn parse(text: &str) -> Self {
        let mut best = Best::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("#", origin)) => origin.clone_into(&mut best.origin),
                Some((name, ns)) => {
                    if let Ok(ns) = ns.parse() {
                        best.rows.insert(name.to_owned(), ns);
                    }
                }
                None => {}
            }
        }
        best
    }
}

/// The directory with both files.
pub struct History(PathBuf);

impl History {
    /// The repository's.
    pub fn new() -> Self {
        History(Path::new(env!("CARGO_MANIFEST_DIR")).join("results"))
    }

    /// The best version's rows; none if there is no such file.
    pub fn best(&self) -> Best {
        Best::parse(&fs::read_to_string(self.0.join("best.txt")).unwrap_or_default())
    }

    /// All recorded versions, as lines.
    pub fn lines(&self) -> String {
        fs::read_to_string(self.0.join("history.txt")).unwrap_or_default()
    }

    /// Adds a version; if none had a greater mean, its rows become the best. `true` if they did.
    pub fn record(&self, summary: &Summary, skep: &Rows) -> Result<bool, Failure> {
        let (date, version) = (output("date", &["+%F"])?, version()?);
        let mut lines = self.lines();
        let best = is_best(&lines, summary.mean);
        if lines.is_empty() {
            lines.push_str(HEADER);
        }
        let (worst, ratio) = &summary.worst;
        lines += &format!(
            "{date} {version} {:.3} {} {worst} {ratio:.2}\n",
            summary.mean, summary.rows
        );
        let write = |name: &str, text: String| {
            let path = self.0.join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        write("history.txt", lines)?;
        if best {
            let mut text = format!("# {date}, version {version}\n");
            for row in &skep.rows {
                text += &format!("{} {:.3}\n", row.name, row.ns);
            }
            write("best.txt", text)?;
        }
        Ok(best)
    }
}

/// Whether no version in the history has a greater mean.
fn is_best(lines: &str, mean: f64) -> bool {
    lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok())
        .all(|earlier| mean >= earlier)
}

/// The commit, with a mark if files differ from it.
fn version() -> Result<String, Failure> {
    output("git", &["describe", "--always", "--dirty=+", "--abbrev=9"])
}

fn output(program: &str, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Row;

    #[test]
    fn the_best_stays_until_a_better_one_comes() {
        let directory = std::env::temp_dir().join(format!("skep-history-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let history = History(directory.clone());
        let record = |mean, ns| {
            let row = Row {
                group: "integer".into(),
                name: "sort".into(),
                ns,
            };
            let summary = Summary {
                mean,
                worst: ("sort".into(), 1.5),
                rows: 1,
            };
            let rows = Rows {
                rows: vec![row],
                ..Rows::default()
            };
            history.record(&summary, &rows).expect("written");
            history.best().rows["sort"]
        };
        assert_eq!(record(2.0, 10.0), 10.0);
        assert_eq!(record(1.9, 8.0), 10.0);
        assert_eq!(record(2.1, 12.0), 12.0);
        let lines = history.lines();
        assert_eq!(lines.lines().count(), 4, "{lines}");
        assert!(lines.ends_with(" 2.100 1 sort 1.50\n"), "{lines}");
        fs::remove_dir_all(directory).expect("removed");
    }
}
