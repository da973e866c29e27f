//! The configuration file: bytes, and lines made of its words. Every finding has its place in the
//! file and can be shown; a file without errors comes to one that says the same; what can be placed on
//! a board is placed on cores that there are.

use crate::input::Input;
use skep_config::files::{Files, Found, Kind};
use skep_config::schema::{ALL, Section};
use skep_config::{Document, bundle_size, check_memory, effective, place};
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::Path;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let text = match input.u8() % 4 {
        0 => String::from_utf8_lossy(input.rest()).into_owned(),
        _ => lines(&mut input),
    };
    let mut document = Document::new(Path::new("skep.toml"), text);
    check_report(&document);
    if document.report.errors() == 0 {
        come_back(&document);
    }
    document.check(&Examples);
    let config = document.config.clone();
    if let Some(system) = place(&config, &Examples, &mut document.report) {
        for placed in &system.vms {
            assert_eq!(placed.cores.len(), usize::from(placed.vm.cpus()));
            for &core in &placed.cores {
                assert!(usize::from(core) < system.board.platform.cpus.len());
            }
        }
        let size = bundle_size(&system, &Examples);
        check_memory(&system, size, &Examples, &mut document.report);
    }
    check_report(&document);
}

fn check_report(document: &Document) {
    let found = &document.report.diagnostics;
    for diagnostic in found {
        assert!(!diagnostic.title.is_empty() && !diagnostic.help.is_empty());
        for (span, why) in &diagnostic.labels {
            assert!(span.start <= span.end && span.end <= document.text.len());
            assert!(!why.is_empty(), "{}", diagnostic.title);
        }
    }
    assert_eq!(document.render(false).is_empty(), found.is_empty());
}

/// What a file comes to is a file that comes to the same.
fn come_back(document: &Document) {
    let shown = effective(&document.config, None, None, Path::new(""));
    let again = Document::new(
        Path::new("skep.toml"),
        shown.to_toml().expect("paths are text"),
    );
    assert_eq!(again.render(false), "", "{}", again.text);
    let shown_again = effective(&again.config, None, None, Path::new(""));
    assert_eq!(shown, shown_again);
}

/// Lines of sections, keys and values, some of them where they belong.
fn lines(input: &mut Input<'_>) -> String {
    const NAMES: [&str; 8] = ["a", "b", "0", "1", "\"x y\"", "7", "long-name", "é"];
    const TITLES: [&str; 4] = ["vm", "board", "core", "channel"];
    const VALUES: [&str; 16] = [
        "1",
        "0",
        "-1",
        "true",
        "\"1G\"",
        "\"64K\"",
        "\"2ms\"",
        "['a', 'b']",
        "[0, 1]",
        "{}",
        "1.5",
        "\"file\"",
        "\"reset\"",
        "\"shared\"",
        "[{ board-disk = 0 }]",
        "\"virtio\"",
    ];
    let mut text = String::new();
    let mut section: &Section = &ALL[0];
    while !input.is_empty() && text.len() < 4096 {
        let kind = input.u8();
        match kind % 8 {
            0 => {
                let title = input.pick(&TITLES);
                section = ALL
                    .iter()
                    .find(|section| section.title[1..].starts_with(title))
                    .unwrap_or(section);
                let _ = match title {
                    "board" => writeln!(text, "[board]"),
                    _ => writeln!(text, "[{title}.{}]", input.pick(&NAMES)),
                };
            }
            1 => {
                let len = input.below(16);
                text.push_str(&String::from_utf8_lossy(input.take(len)));
                text.push('\n');
            }
            _ => {
                let key = &section.keys[input.below(section.keys.len())];
                let value = if kind & 0x80 != 0 {
                    input.pick(&VALUES)
                } else {
                    key.example
                };
                let _ = writeln!(text, "{} = {value}", key.name);
            }
        }
    }
    text
}

/// A few files, whose names are those of examples.
struct Examples;

impl Files for Examples {
    fn look(&self, path: &Path) -> io::Result<Found> {
        let (kind, size) = match path.to_str() {
            Some("") => (Kind::Directory, 0),
            Some("zImage" | "initrd.img" | "disk.img" | "u-boot.bin") => (Kind::File, 512),
            Some("file") => (Kind::Other, 0),
            _ => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Found {
            kind,
            size,
            head: vec![0; 4],
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(vec![0; self.look(path)?.size as usize])
    }

    fn names(&self, _directory: &Path) -> Vec<String> {
        vec!["zImage".into()]
    }
}
