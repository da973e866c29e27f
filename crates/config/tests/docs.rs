//! docs/config.md lists every key as the reader knows it. After a change that is meant,
//! `SKEP_UPDATE=1 cargo test -p skep-config` writes the tables.

use skep_config::schema::{self, Place, Section};
use std::fmt::Write as _;
use std::path::Path;

/// The table of a section, as the documentation has it.
fn table(section: &Section) -> String {
    let mut text =
        String::from("| key | value | default | used by | meaning |\n|---|---|---|---|---|\n");
    for key in section.keys {
        let place = match key.place {
            Place::Hosted => "skep run",
            Place::Board => "board",
            Place::Both => "both",
        };
        let _ = writeln!(
            text,
            "| `{}` | {}, as `{}` | {} | {place} | {} |",
            key.name, key.values, key.example, key.default, key.meaning
        );
    }
    text
}

#[test]
fn every_key_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    let mut document = std::fs::read_to_string(&path).expect("the documentation");
    for section in &schema::ALL {
        // The table follows the section's title, and ends with an empty line.
        let title = format!("\n### `{}`\n", section.title);
        let from = document
            .find(&title)
            .unwrap_or_else(|| panic!("no {title}"))
            + title.len();
        let start = document[from..].find("| key |").expect("a table") + from;
        let length = document[start..].find("\n\n").expect("an end") + 1;
        let expected = table(section);
        if std::env::var_os("SKEP_UPDATE").is_some() {
            document.replace_range(start..start + length, &expected);
        } else {
            assert_eq!(
                &document[start..start + length],
                expected,
                "{}",
                section.title
            );
        }
    }
    if std::env::var_os("SKEP_UPDATE").is_some() {
        std::fs::write(&path, document).expect("writable");
    }
}

/// Every example of a value is one that the reader takes.
#[test]
fn examples_are_right() {
    let line = |name: &str, example: &str| format!("{name} = {example}\n");
    let report = |text: &str| {
        let (_, report) = skep_config::parse(text, Path::new(""));
        report.render("example", text, false)
    };
    for key in schema::VM.keys {
        // Keys that need another one.
        let with = match key.name {
            "initrd" | "dtb" => "kernel = 'zImage'\n",
            "budget" => "period = '10ms'\n",
            "period" => "budget = '2ms'\n",
            "restarts" => "on-fault = 'reset'\n",
            _ => "",
        };
        let text = format!("[vm.one]\n{with}{}", line(key.name, key.example));
        assert_eq!(report(&text), "", "{}", key.name);
    }
    for (section, list, with) in [
        (schema::DISK, "disks", "file = 'a', "),
        (schema::SHARE, "shares", "directory = 'a', "),
        (schema::DEVICE, "devices", "path = '/a', "),
    ] {
        for key in section.keys {
            let with = match key.name {
                "file" | "path" | "directory" => "",
                "start" => "board-disk = 0, ",
                _ => with,
            };
            let text = format!(
                "[vm.one]\n{list} = [{{ {with}{} = {} }}]",
                key.name, key.example
            );
            assert_eq!(report(&text), "", "{}", key.name);
        }
    }
    for key in schema::BOARD.keys {
        let text = format!("[board]\n{}", line(key.name, key.example));
        assert_eq!(report(&text), "", "{}", key.name);
    }
    let core: String = schema::CORE
        .keys
        .iter()
        .map(|key| line(key.name, key.example))
        .collect();
    assert_eq!(report(&format!("[core.0]\n{core}")), "");
    let channel: String = schema::CHANNEL
        .keys
        .iter()
        .map(|key| line(key.name, key.example))
        .collect();
    assert_eq!(report(&format!("[channel.pipe]\n{channel}")), "");
}
