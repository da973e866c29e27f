//! What is wrong with a file, as a person reads it: where, what, why, and what to do.

use annotate_snippets::{AnnotationKind, Group, Level as Shown, Renderer, Snippet};
use serde::Serialize;
use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It works, but hardly as it was meant.
    Warning,
    /// It can't be used.
    Error,
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// What is wrong.
    pub title: String,
    /// Where: bytes of the file, and why they are wrong. The first is the main one.
    pub labels: Vec<(Range<usize>, String)>,
    /// What to do.
    pub help: String,
}

impl Diagnostic {
    /// An error at `span`; `why` stands below what is there.
    pub fn error(
        title: impl Into<String>,
        span: Range<usize>,
        why: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Diagnostic {
            level: Level::Error,
            title: title.into(),
            labels: vec![(span, why.into())],
            help: help.into(),
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.level = Level::Warning;
        self
    }

    /// Another place that has to do with it.
    #[must_use]
    pub fn and(mut self, span: Range<usize>, why: impl Into<String>) -> Self {
        self.labels.push((span, why.into()));
        self
    }
}

/// A finding for programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding<'a> {
    /// How bad it is.
    pub level: Level,
    /// What is wrong.
    pub title: &'a str,
    /// What to do.
    pub help: &'a str,
    /// Where, and why there. The first is the main one.
    pub places: Vec<Place<'a>>,
}

/// A place in a file. Lines and columns (in characters) are counted from 1; the end is the first
/// character behind it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Place<'a> {
    /// Where it begins.
    pub line: usize,
    /// Where in the line.
    pub column: usize,
    /// Where it ends.
    pub end_line: usize,
    /// Where in that line.
    pub end_column: usize,
    /// What there is to say of it.
    pub label: &'a str,
}

/// The findings about a file.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// In no particular order.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Adds a finding.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// How many findings are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        let errors = self.diagnostics.iter();
        errors.filter(|d| d.level == Level::Error).count()
    }

    /// All findings, in the file's order.
    fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.diagnostics.iter().collect();
        sorted.sort_by_key(|d| d.labels.first().map(|(span, _)| span.start));
        sorted
    }

    /// All findings for programs, in the file's order. `source` is the file's text.
    #[must_use]
    pub fn findings(&self, source: &str) -> Vec<Finding<'_>> {
        let sorted = self.sorted().into_iter();
        sorted
            .map(|diagnostic| Finding {
                level: diagnostic.level,
                title: &diagnostic.title,
                help: &diagnostic.help,
                places: diagnostic
                    .labels
                    .iter()
                    .map(|(span, label)| {
                        let span = within(span, source);
                        let (line, column) = position(span.start, source);
                        let (end_line, end_column) = position(span.end, source);
                        Place {
                            line,
                            column,
                            end_line,
                            end_column,
                            label,
                        }
                    })
                    .collect(),
            })
            .collect()
    }

    /// The text of all findings, in the file's order, with an empty line after each. `path` and
    /// `source` are the file's; `styled` puts colours in, for a terminal.
    #[must_use]
    pub fn render(&self, path: &str, source: &str, styled: bool) -> String {
        let renderer = if styled {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for diagnostic in self.sorted() {
            text.push_str(&renderer.render(&[group(diagnostic, path, source)]));
            text.push_str("\n\n");
        }
        text
    }
}

fn group<'a>(diagnostic: &'a Diagnostic, path: &'a str, source: &'a str) -> Group<'a> {
    let level = match diagnostic.level {
        Level::Warning => Shown::WARNING,
        Level::Error => Shown::ERROR,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.title));
    if !diagnostic.labels.is_empty() {
        let labels = diagnostic.labels.iter().enumerate();
        let annotations = labels.map(|(index, (span, why))| {
            let kind = if index == 0 {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            kind.span(within(span, source)).label(why.as_str())
        });
        group = group.element(
            Snippet::source(source)
                .path(path)
                .annotations(annotations.collect::<Vec<_>>()),
        );
    }
    group.element(Shown::HELP.message(&diagnostic.help))
}

/// A span that lies in the file, between characters.
fn within(span: &Range<usize>, source: &str) -> Range<usize> {
    let boundary = |at: usize| (0..=at.min(source.len())).rfind(|&at| source.is_char_boundary(at));
    let start = boundary(span.start).unwrap_or(0);
    start..boundary(span.end).unwrap_or(0).max(start)
}

/// The line and the column of a byte, which is a character's first.
fn position(at: usize, source: &str) -> (usize, usize) {
    let before = source.get(..at).unwrap_or(source);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Which of `known` was probably meant by `word`.
#[must_use]
pub fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, name), name))
        // A third of the letters may be wrong, and one in any case.
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_meant() {
        let known = ["kernel", "memory", "cpus", "cpu", "on-fault"];
        for (word, meant) in [
            ("kernal", Some("kernel")),
            ("Memory", Some("memory")),
            ("cpuz", Some("cpus")),
            ("cp", Some("cpu")),
            ("on_fault", Some("on-fault")),
            ("nets", None),
            ("", None),
        ] {
            assert_eq!(similar(word, known), meant, "{word}");
        }
    }

    #[test]
    fn places_are_lines_and_columns() {
        let source = "one\né = 1\n";
        let report = Report {
            diagnostics: vec![
                Diagnostic::error("second", 9..10, "why", "do").warning(),
                Diagnostic::error("first", 4..6, "", "").and(0..5, ""),
            ],
        };
        let findings = report.findings(source);
        let places: Vec<_> = findings
            .iter()
            .flat_map(|finding| &finding.places)
            .map(|place| (place.line, place.column, place.end_line, place.end_column))
            .collect();
        // A place within a character is the character's.
        assert_eq!(places, [(2, 1, 2, 2), (1, 1, 2, 1), (2, 5, 2, 6)]);
        assert_eq!(findings[1].title, "second");
        assert_eq!(findings[1].level, Level::Warning);
        assert_eq!(findings[1].places[0].label, "why");
    }

    #[test]
    fn places_are_cut_to_the_file() {
        let source = "é = 1";
        let report = Report {
            diagnostics: vec![
                Diagnostic::error("what", 1..100, "why", "do").and(Range { start: 7, end: 3 }, ""),
                Diagnostic {
                    labels: Vec::new(),
                    ..Diagnostic::error("nowhere", 0..0, "", "this")
                },
            ],
        };
        let text = report.render("file", source, false);
        assert!(text.contains("file:1:1"), "{text}");
        assert!(text.contains("error: nowhere"), "{text}");
    }
}
