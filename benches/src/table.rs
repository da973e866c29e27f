//! The table: rows in groups, with ratios and their means.

use crate::history::Best;
use crate::run::{Row, Rows};
use std::fmt::Write;

/// A row counts as slower than it was at this ratio: less is the machine's mood.
const SLOWER: f64 = 1.2;

/// The comparison as a whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    /// Geometric mean of QEMU's times over Skep's.
    pub mean: f64,
    /// The row with the least ratio, and that ratio.
    pub worst: (String, f64),
    /// Rows that both have.
    pub rows: usize,
}

/// All that the table shows.
pub struct Comparison<'a> {
    /// QEMU's rows.
    pub qemu: &'a Rows,
    /// Skep's.
    pub skep: &'a Rows,
    /// The host's own; rows for T32 are compared with the same row.
    pub native: &'a Rows,
    /// Skep's when it was best.
    pub best: &'a Best,
}

impl Comparison<'_> {
    /// The mean of rows, and the worst; `None` without a row that both have.
    pub fn summary(&self) -> Option<Summary> {
        self.summary_of(|_| true)
    }

    fn summary_of(&self, wanted: impl Fn(&Row) -> bool) -> Option<Summary> {
        let rows = self.skep.rows.iter().filter(|row| wanted(row));
        let ratios: Vec<(&str, f64)> = rows
            .filter_map(|row| Some((row.name.as_str(), self.qemu.get(&row.name)? / row.ns)))
            .collect();
        let worst = ratios.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let logarithms: f64 = ratios.iter().map(|(_, ratio)| ratio.ln()).sum();
        Some(Summary {
            mean: (logarithms / ratios.len() as f64).exp(),
            worst: (worst.0.to_owned(), worst.1),
            rows: ratios.len(),
        })
    }

    /// The table, as text.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<20}{:>12}{:>12}{:>12}{:>12}{:>10}{:>12}\n",
            "time", "QEMU", "Skep", "native", "QEMU/Skep", "native %", "Skep's best"
        );
        let mut groups: Vec<&str> = Vec::new();
        for row in &self.skep.rows {
            if !groups.contains(&row.group.as_str()) {
                groups.push(&row.group);
            }
        }
        let mut slower = Vec::new();
        for group in groups {
            let mean = self.summary_of(|row| row.group == group);
            let mean = mean.map_or(String::new(), |summary| format!("{:.2}", summary.mean));
            let _ = writeln!(text, "{:<56}{mean:>12}", format!("{group}:"));
            for row in self.skep.rows.iter().filter(|row| row.group == group) {
                text += &self.row(row);
                if let Some(best) = self.best.rows.get(&row.name)
                    && row.ns > best * SLOWER
                {
                    slower.push(format!("{} ({:.2})", row.name, row.ns / best));
                }
            }
        }
        if let Some(summary) = self.summary() {
            let (name, ratio) = summary.worst;
            let _ = writeln!(
                text,
                "geometric mean of {} rows {:.2}, worst row {name} ({ratio:.2})",
                summary.rows, summary.mean
            );
        }
        if !slower.is_empty() {
            let _ = writeln!(text, "slower than at best: {}", slower.join(", "));
        }
        text
    }

    fn row(&self, row: &Row) -> String {
        let theirs = self.qemu.get(&row.name);
        let native = self.native.get(row.name.trim_end_matches("-t32"));
        let show = |ns: Option<f64>| ns.map_or("-".into(), time);
        format!(
            "  {:<18}{:>12}{:>12}{:>12}{:>12}{:>10}{:>12}\n",
            row.name,
            show(theirs),
            time(row.ns),
            show(native),
            theirs.map_or("-".into(), |ns| format!("{:.2}", ns / row.ns)),
            native.map_or("-".into(), |ns| format!("{:.1}", ns / row.ns * 100.0)),
            show(self.best.rows.get(&row.name).copied()),
        )
    }
}

/// A time with three or more digits and its unit.
fn time(ns: f64) -> String {
    let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    let (unit, scale) = units
        .into_iter()
        .rev()
        .find(|(_, scale)| ns >= *scale)
        .unwrap_or(units[0]);
    let value = ns / scale;
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, &str, f64)]) -> Rows {
        let rows = rows.iter().map(|(group, name, ns)| Row {
            group: (*group).into(),
            name: (*name).into(),
            ns: *ns,
        });
        Rows {
            rows: rows.collect(),
            ..Rows::default()
        }
    }

    #[test]
    fn means_are_geometric_over_what_both_have() {
        let qemu = rows(&[("a", "x", 40.0), ("a", "y", 10.0)]);
        let skep = rows(&[("a", "x", 10.0), ("a", "y", 10.0), ("b", "z", 1.0)]);
        let best = Best::parse("# text\nx 5\ny 10\n");
        let comparison = Comparison {
            qemu: &qemu,
            skep: &skep,
            native: &rows(&[("a", "x", 2.0)]),
            best: &best,
        };
        let expected = Summary {
            mean: 2.0,
            worst: ("y".into(), 1.0),
            rows: 2,
        };
        assert_eq!(comparison.summary(), Some(expected));
        let table = comparison.table();
        assert!(table.contains("geometric mean of 2 rows 2.00, worst row y (1.00)"));
        assert!(table.contains("slower than at best: x (2.00)"), "{table}");
        let x = table.lines().find(|line| line.contains(" x ")).expect("x");
        let words: Vec<&str> = x.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "x", "40.0", "ns", "10.0", "ns", "2.00", "ns", "4.00", "20.0", "5.00", "ns"
            ]
        );
    }

    #[test]
    fn times_have_units() {
        assert_eq!(time(0.5), "0.50 ns");
        assert_eq!(time(1234.0), "1.23 us");
        assert_eq!(time(56_700_000.0), "56.7 ms");
        assert_eq!(time(2.5e9), "2.50 s");
    }
}
