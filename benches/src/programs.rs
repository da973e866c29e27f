//! Rows that are Debian's own programs, with a fixed amount of work each.

use crate::Failure;
use skep_image::cpio::Archive;
use std::fmt::Write;
use std::path::Path;

/// The packages; apt adds what they depend on.
pub const PACKAGES: [&str; 12] = [
    "coreutils",
    "dash",
    "grep",
    "gzip",
    "mawk",
    "openssl",
    "perl-base",
    "python3-minimal",
    "sed",
    "sqlite3",
    "xz-utils",
    "zstd",
];

/// Where the host's programs are, as the guest's: other places may have other versions.
pub const PATH: &str = "/usr/bin:/bin";

/// A row.
struct Program {
    name: &'static str,
    /// What it runs: the row is for hosts that have it.
    binary: &'static str,
    /// A shell command before the clock starts.
    prepare: &'static str,
    /// The shell command that is measured; what it prints is lost.
    command: &'static str,
}

const fn program(
    name: &'static str,
    binary: &'static str,
    prepare: &'static str,
    command: &'static str,
) -> Program {
    Program {
        name,
        binary,
        prepare,
        command,
    }
}

const PROGRAMS: [Program; 19] = [
    program("gzip", "gzip", "", "gzip -6n < text"),
    program(
        "gunzip",
        "gzip",
        "gzip -9n < text > text.gz",
        "for i in 1 2 3 4 5 6 7 8; do gzip -dc < text.gz; done",
    ),
    program("xz", "xz", "head -c 250000 text > short", "xz -6 -c short"),
    program(
        "unxz",
        "xz",
        "xz -0 -c text > text.xz",
        "for i in 1 2 3 4; do xz -dc text.xz; done",
    ),
    program("zstd", "zstd", "", "zstd -q -8 -c text"),
    program(
        "unzstd",
        "zstd",
        "zstd -q -f text; cat text.zst text.zst text.zst text.zst > four.zst",
        "for i in 1 2 3 4; do zstd -q -dc four.zst; done",
    ),
    program(
        "sha256-openssl",
        "openssl",
        "cat text text text text text text text text > long",
        "openssl dgst -sha256 long long long",
    ),
    program(
        "aes-128-openssl",
        "openssl",
        "cat text text text text text text text text > long",
        "cat long long long long | openssl enc -aes-128-cbc \
         -K 00112233445566778899aabbccddeeff -iv 0123456789abcdef0123456789abcdef",
    ),
    program(
        "prime-openssl",
        "openssl",
        "",
        // 2^1279 - 1.
        "openssl prime -hex 7$(printf 'f%.0s' $(seq 319))",
    ),
    program("sqlite3", "sqlite3", "", "sqlite3 :memory: < work.sql"),
    program("python3", "python3", "", "python3 -I -S -B work.py"),
    program("perl", "perl", "", "perl work.pl"),
    program("mawk", "mawk", "", "mawk -f work.awk text text text"),
    program("dash", "dash", "", "dash work.sh 20000"),
    program(
        "spawn",
        "dash",
        "",
        "i=0; while [ $i -lt 80 ]; do /usr/bin/true; i=$((i + 1)); done",
    ),
    program(
        "pipeline",
        "dash",
        "",
        "i=0; while [ $i -lt 20 ]; do head -n 50 text | tr a-z A-Z | wc; \
         i=$((i + 1)); done",
    ),
    program("sort-text", "sort", "", "LC_ALL=C sort -k 3 text text text"),
    program(
        "grep",
        "grep",
        "",
        "for i in 1 2 3 4 5 6; do LC_ALL=C grep -c -E '(er|on) [a-k]+ing ' text; done",
    ),
    program(
        "sed",
        "sed",
        "",
        "LC_ALL=C sed -e 's/\\([a-z]*\\) \\([a-z]*\\)/\\2 \\1/g' text",
    ),
];

/// The files that programs work on.
const FILES: [(&str, &str); 5] = [
    ("work.py", include_str!("../programs/work.py")),
    ("work.pl", include_str!("../programs/work.pl")),
    ("work.awk", include_str!("../programs/work.awk")),
    ("work.sql", include_str!("../programs/work.sql")),
    ("work.sh", include_str!("../programs/work.sh")),
];

/// Length of the text, bytes.
const TEXT: usize = 1 << 20;

/// Lines of words: common and rare ones, so that there is something to compress and to count.
fn text() -> String {
    const SYLLABLES: [&str; 16] = [
        "er", "on", "in", "the", "ka", "st", "ing", "ou", "le", "mi", "re", "qu", "an", "ba", "to",
        "x",
    ];
    let mut state = 1u64;
    // A linear congruential generator: the same text everywhere.
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let mut text = String::with_capacity(TEXT + 128);
    while text.len() < TEXT {
        for _ in 0..4 + random(8) {
            // Small numbers are common.
            let mut word = random(2000) * random(2000) / 1000 + 3;
            while word > 0 {
                text += SYLLABLES[word as usize % 16];
                word /= 16;
            }
            text += " ";
        }
        let _ = writeln!(text, "{}", random(100_000));
    }
    text
}

/// The names of all rows.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|program| program.name)
}

/// The list of programs for the guest's init.
pub fn list() -> String {
    list_of(|_| true)
}

fn list_of(wanted: impl Fn(&Program) -> bool) -> String {
    let mut list = String::new();
    for program in PROGRAMS.iter().filter(|program| wanted(program)) {
        let _ = writeln!(
            list,
            "{}|{}|{{ {}; }} > /dev/null",
            program.name, program.prepare, program.command
        );
    }
    list
}

/// The files, in the guest's /tmp.
pub fn add_files(archive: &mut Archive) {
    archive.directory("tmp");
    archive.file("tmp/text", 0o644, text().as_bytes());
    for (name, contents) in FILES {
        archive.file(&format!("tmp/{name}"), 0o644, contents.as_bytes());
    }
}

/// Writes the files, and the list of programs that the host has, to a directory.
pub fn write_for_host(directory: &Path) -> Result<(), Failure> {
    let has = |binary| {
        PATH.split(':')
            .any(|dir| Path::new(dir).join(binary).is_file())
    };
    let write = |name: &str, contents: &str| {
        std::fs::write(directory.join(name), contents).map_err(|error| format!("{name}: {error}"))
    };
    write("text", &text())?;
    for (name, contents) in FILES {
        write(name, contents)?;
    }
    write("rows", &list_of(|program| has(program.binary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_three_parts() {
        let list = list();
        assert_eq!(list.lines().count(), PROGRAMS.len());
        for line in list.lines() {
            let parts: Vec<&str> = line.splitn(3, '|').collect();
            assert_eq!(parts.len(), 3, "{line}");
            // The command is in the last part, whatever is in it.
            assert!(!parts[0].contains(' ') && !parts[2].is_empty(), "{line}");
        }
    }

    #[test]
    fn the_text_is_the_same_everywhere() {
        let text = text();
        assert!(text.is_ascii() && text.len() < TEXT + 256);
        assert_eq!(text, super::text());
        let lines = text.lines().count();
        assert!((10_000..40_000).contains(&lines), "{lines}");
    }
}
