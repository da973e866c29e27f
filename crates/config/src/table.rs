//! Reading a table: values with their types, and everything that is wrong with them.

use crate::diagnostic::{Diagnostic, Report, similar};
use crate::model::At;
use crate::schema::{self, Key, Section};
use crate::value;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A table that is read. Findings go to the report that each method takes.
pub struct Table<'a, 'i> {
    /// What it is, for people: "the virtual machine `one`".
    pub what: String,
    /// Its keys.
    pub section: Section,
    /// What is in it.
    pub table: &'a DeTable<'i>,
    /// Where its title is.
    pub span: Range<usize>,
}

/// What a value is, for people.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Without the marks that documentation has.
fn plain(text: &str) -> String {
    text.replace('`', "\"")
}

impl<'a, 'i> Table<'a, 'i> {
    /// Reports the keys that the section does not have.
    pub fn check_keys(&self, report: &mut Report) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if self.section.key(name).is_some() {
                continue;
            }
            let known = self.section.keys.iter().map(|key| key.name);
            let elsewhere = || schema::ALL.iter().find(|other| other.key(name).is_some());
            let (why, help) = if let Some(meant) = similar(name, known.clone()) {
                (
                    format!("did you mean `{meant}`?"),
                    format!("write {meant}, or remove the line"),
                )
            } else if let Some(other) = elsewhere() {
                (
                    format!("this is a key of {}", other.title),
                    "move it there".to_owned(),
                )
            } else {
                (
                    "there is no such key".to_owned(),
                    format!("{} has {}", self.section.title, list(known)),
                )
            };
            report.add(Diagnostic::error(
                format!("{} has an unknown key `{name}`", self.what),
                key.span(),
                why,
                help,
            ));
        }
    }

    /// The value of a key, and what the section says of the key.
    fn value(&self, name: &str) -> Option<(&'static Key, &'a At<DeValue<'i>>)> {
        let key = self.section.key(name)?;
        self.table.get(name).map(|value| (key, value))
    }

    /// A value that has not the type that it should have.
    fn mistyped(&self, key: &Key, found: &At<DeValue<'i>>) -> Diagnostic {
        Diagnostic::error(
            format!(
                "`{}` of {} can't be {}",
                key.name,
                self.what,
                kind(found.get_ref())
            ),
            found.span(),
            format!("it is: {}", plain(key.values)),
            example(key),
        )
    }

    /// A value that is not among those that can be.
    fn impossible(&self, key: &Key, span: Range<usize>, why: impl Into<String>) -> Diagnostic {
        Diagnostic::error(
            format!("`{}` of {} can't be this", key.name, self.what),
            span,
            why,
            example(key),
        )
    }

    /// A key that must be there.
    pub fn missing(&self, name: &str) -> Diagnostic {
        let help = self.section.key(name).map(example).unwrap_or_default();
        Diagnostic::error(
            format!("{} has no `{name}`", self.what),
            self.span.clone(),
            "it must be given",
            help,
        )
    }

    /// A text.
    pub fn text(&self, name: &str, report: &mut Report) -> Option<At<String>> {
        let (key, value) = self.value(name)?;
        let text = self.as_text(key, value, report)?;
        Some(At::new(value.span(), text.to_owned()))
    }

    fn as_text(
        &self,
        key: &Key,
        value: &'a At<DeValue<'i>>,
        report: &mut Report,
    ) -> Option<&'a str> {
        match value.get_ref() {
            DeValue::String(text) if text.contains('\0') => {
                let why = "it has a character NUL";
                report.add(self.impossible(key, value.span(), why));
                None
            }
            DeValue::String(text) => Some(text.as_ref()),
            _ => {
                report.add(self.mistyped(key, value));
                None
            }
        }
    }

    /// A path, joined with the file's directory.
    pub fn path(&self, name: &str, base: &Path, report: &mut Report) -> Option<At<PathBuf>> {
        let (key, value) = self.value(name)?;
        self.as_path(key, value, base, report)
    }

    fn as_path(
        &self,
        key: &Key,
        value: &'a At<DeValue<'i>>,
        base: &Path,
        report: &mut Report,
    ) -> Option<At<PathBuf>> {
        let text = self.as_text(key, value, report)?;
        if text.is_empty() {
            report.add(self.impossible(key, value.span(), "the file's name is missing"));
            return None;
        }
        Some(At::new(value.span(), base.join(text)))
    }

    /// true or false.
    pub fn boolean(&self, name: &str, report: &mut Report) -> Option<At<bool>> {
        let (key, value) = self.value(name)?;
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(At::new(value.span(), *boolean)),
            _ => {
                report.add(self.mistyped(key, value));
                None
            }
        }
    }

    /// A number within limits.
    pub fn number<T: TryFrom<u64>>(
        &self,
        name: &str,
        limits: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<At<T>> {
        let (key, value) = self.value(name)?;
        self.as_number(key, value, limits, report)
    }

    fn as_number<T: TryFrom<u64>>(
        &self,
        key: &Key,
        value: &'a At<DeValue<'i>>,
        limits: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<At<T>> {
        let DeValue::Integer(integer) = value.get_ref() else {
            report.add(self.mistyped(key, value));
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix());
        let number = number.ok().filter(|number| limits.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            let why = format!("it is {} to {}", limits.start(), limits.end());
            report.add(self.impossible(key, value.span(), why));
        }
        number.map(|number| At::new(value.span(), number))
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        words: &[(&'static str, T)],
        report: &mut Report,
    ) -> Option<At<T>> {
        let (key, value) = self.value(name)?;
        let text = self.as_text(key, value, report)?;
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text) {
            return Some(At::new(value.span(), *choice));
        }
        let known = words.iter().map(|(word, _)| *word);
        let why = match similar(text, known) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("it is: {}", plain(key.values)),
        };
        report.add(self.impossible(key, value.span(), why));
        None
    }

    /// A size in bytes, as `parse` reads it.
    pub fn size<T: TryFrom<u64>>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<u64, String>,
        limits: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<At<T>> {
        self.measure(name, parse, value::show_size, limits, report)
    }

    /// A time in microseconds.
    pub fn time<T: TryFrom<u64>>(
        &self,
        name: &str,
        limits: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<At<T>> {
        self.measure(name, value::parse_time, value::show_time, limits, report)
    }

    fn measure<T: TryFrom<u64>>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<u64, String>,
        show: fn(u64) -> String,
        limits: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<At<T>> {
        let (key, value) = self.value(name)?;
        let text = self.as_text(key, value, report)?;
        let parsed = parse(text).and_then(|number| {
            let fits = limits.contains(&number);
            T::try_from(number).ok().filter(|_| fits).ok_or_else(|| {
                let (least, most) = (show(*limits.start()), show(*limits.end()));
                format!("it is {least} to {most}")
            })
        });
        match parsed {
            Ok(number) => Some(At::new(value.span(), number)),
            Err(why) => {
                report.add(self.impossible(key, value.span(), why));
                None
            }
        }
    }

    /// A text that `parse` reads.
    pub fn parsed<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, String>,
        report: &mut Report,
    ) -> Option<At<T>> {
        let (key, value) = self.value(name)?;
        self.as_parsed(key, value, parse, report)
    }

    fn as_parsed<T>(
        &self,
        key: &Key,
        value: &'a At<DeValue<'i>>,
        parse: fn(&str) -> Result<T, String>,
        report: &mut Report,
    ) -> Option<At<T>> {
        match parse(self.as_text(key, value, report)?) {
            Ok(parsed) => Some(At::new(value.span(), parsed)),
            Err(why) => {
                report.add(self.impossible(key, value.span(), why));
                None
            }
        }
    }

    /// A list of such texts.
    pub fn parsed_list<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, String>,
        report: &mut Report,
    ) -> Vec<At<T>> {
        let Some(list) = self.list(name, report) else {
            return Vec::new();
        };
        let items = list.get_ref().iter();
        items
            .filter_map(|item| self.as_parsed(item.key, item.value, parse, report))
            .collect()
    }

    /// A value that may be a table of its own.
    pub fn item(&self, name: &str) -> Option<Item<'a, 'i>> {
        let (key, value) = self.value(name)?;
        Some(Item { key, value })
    }

    /// The values of a list.
    pub fn list(&self, name: &str, report: &mut Report) -> Option<At<Vec<Item<'a, 'i>>>> {
        let (key, value) = self.value(name)?;
        let DeValue::Array(values) = value.get_ref() else {
            report.add(self.mistyped(key, value));
            return None;
        };
        let items = values.iter().map(|value| Item { key, value });
        Some(At::new(value.span(), items.collect()))
    }

    /// A list of texts.
    pub fn texts(&self, name: &str, report: &mut Report) -> Option<At<Vec<At<String>>>> {
        let list = self.list(name, report)?;
        let texts = list.get_ref().iter().filter_map(|item| {
            let text = self.as_text(item.key, item.value, report)?;
            Some(At::new(item.value.span(), text.to_owned()))
        });
        let texts = texts.collect();
        Some(At::new(list.span(), texts))
    }

    /// A list of numbers within limits, if all are.
    pub fn numbers<T: TryFrom<u64>>(
        &self,
        name: &str,
        limits: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<At<Vec<At<T>>>> {
        let list = self.list(name, report)?;
        let items = list.get_ref().iter();
        let numbers: Vec<At<T>> = items
            .filter_map(|item| self.as_number(item.key, item.value, limits.clone(), report))
            .collect();
        (numbers.len() == list.get_ref().len()).then(|| At::new(list.span(), numbers))
    }

    /// An item of a list that may be a path or a table of its own: the path.
    pub fn item_path(
        &self,
        item: &Item<'a, 'i>,
        base: &Path,
        report: &mut Report,
    ) -> Option<At<PathBuf>> {
        self.as_path(item.key, item.value, base, report)
    }

    /// An item of a list that may be a text or a table of its own: the text.
    pub fn item_text(&self, item: &Item<'a, 'i>, report: &mut Report) -> Option<At<String>> {
        let text = self.as_text(item.key, item.value, report)?;
        Some(At::new(item.value.span(), text.to_owned()))
    }
}

/// A value of a list.
pub struct Item<'a, 'i> {
    key: &'static Key,
    /// The value.
    pub value: &'a At<DeValue<'i>>,
}

impl<'a, 'i> Item<'a, 'i> {
    /// The item as a table, if it is one.
    pub fn table(&self, what: String, section: Section) -> Option<Table<'a, 'i>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return None;
        };
        Some(Table {
            what,
            section,
            table,
            span: self.value.span(),
        })
    }
}

/// How a key is written.
fn example(key: &Key) -> String {
    format!("write for instance {} = {}", key.name, key.example)
}

/// Words as people list them.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
