//! What blocks are translated to, compared with files, one for each class of instructions.
//!
//! A case in a file has guest code in hexadecimal, with its disassembly, and below `--` the host
//! code. In its heading may be, in brackets: `t32`; `smp` (several vCPUs); `no-fma`, `no-sse41` (what
//! the host has not); `count` (instructions are counted); `window` (accesses go through one); `whole` (the code around the instructions,
//! too). The guest code lies at the end of a page, where blocks end.
//!
//! `SKEP_UPDATE=1 cargo test -p skep-jit golden` writes the files anew, for review as a diff.

use super::*;
use crate::listing::Listing;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The page that guest code lies at the end of.
const PAGE: u32 = 0x1_0000;

/// Host code that guest instructions became.
#[derive(Clone, Copy, Default)]
struct Size {
    guest: usize,
    /// Instructions and bytes, from the first guest instruction to behind the last.
    straight: (usize, usize),
    /// The same, of what is placed aside.
    aside: (usize, usize),
}

impl Size {
    fn add(&mut self, other: Size) {
        self.guest += other.guest;
        self.straight.0 += other.straight.0;
        self.straight.1 += other.straight.1;
        self.aside.0 += other.aside.0;
        self.aside.1 += other.aside.1;
    }

    /// Host instructions and bytes per guest instruction.
    fn ratios(&self) -> String {
        let each = |sum: usize| sum as f64 / self.guest.max(1) as f64;
        format!(
            "{:6.2} {:6.1}   {:6.2} {:6.1}",
            each(self.straight.0),
            each(self.straight.1),
            each(self.aside.0),
            each(self.aside.1)
        )
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/translate/tests/golden")
}

/// Halfwords of the guest's code, from the hexadecimal at the start of its lines.
fn halfwords(lines: &[&str], t32: bool, place: &str) -> Vec<u16> {
    let mut code = Vec::new();
    for line in lines {
        let number = |text: &str| u32::from_str_radix(text, 16);
        let (hex, _) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
        for word in hex.split(' ') {
            let value = number(word).unwrap_or_else(|_| panic!("{place}: {word:?}"));
            code.push(value as u16);
            if !t32 {
                code.push((value >> 16) as u16);
            }
        }
    }
    code
}

/// A case as it should stand in its file.
fn case(heading: &str, lines: &[&str]) -> (String, Size) {
    let options = heading
        .split_once('[')
        .map_or("", |(_, rest)| rest.trim_end_matches(']'));
    let options: Vec<&str> = options.split(", ").collect();
    for option in &options {
        let known = [
            "", "t32", "smp", "no-fma", "no-sse41", "count", "window", "whole",
        ];
        assert!(known.contains(option), "{heading}: {option:?}");
    }
    let has = |option: &str| options.contains(&option);
    let t32 = has("t32");
    let guest = halfwords(lines, t32, heading);
    let va = PAGE + 0x1000 - guest.len() as u32 * 2;
    let first = (va & 0xfff) as usize / 2;
    let halfword = |at: usize| {
        let index = (at / 2).checked_sub(first);
        index.and_then(|i| guest.get(i)).copied().unwrap_or(0)
    };
    let request = Request {
        alone: !has("smp"),
        fma: !has("no-fma"),
        sse41: !has("no-sse41"),
        count: has("count"),
        window: has("window"),
        ..request(va, t32)
    };
    let (mut asm, mut buffers) = (Asm::new(0), Buffers::default());
    let entries = translate_into(&mut asm, &mut buffers, &halfword, request).expect(heading);
    let listing = Listing {
        code: &asm.code,
        origin: ORIGIN,
        entries,
        steps: buffers.steps(),
        marks: buffers.marks(),
        va,
        layout: layout(),
        thunks: thunks(),
    };
    let (start, end) = match *buffers.marks() {
        [start, .., end] => (start, end),
        _ => panic!("{heading}: no instructions"),
    };
    let cold = entries.cold;
    let size = Size {
        guest: entries.count,
        straight: (listing.count(start, end), end - start),
        aside: (listing.count(cold, asm.code.len()), asm.code.len() - cold),
    };

    let mut text = format!("{heading}\n");
    let mut at = 0;
    // What lies behind the block is in the file, too.
    while let Some(&low) = guest.get(at) {
        let high = guest.get(at + 1).copied().unwrap_or(0);
        let decoded = if t32 {
            decode::t32(low, high, ItState(0))
        } else {
            decode::a32(u32::from(high) << 16 | u32::from(low))
        };
        let pc = va + 2 * at as u32;
        let hex = match (t32, decoded.len) {
            (false, _) => format!("{high:04x}{low:04x}"),
            (true, 2) => format!("{low:04x}     "),
            (true, _) => format!("{low:04x} {high:04x}"),
        };
        // In an IT block, instructions are decoded otherwise.
        let block = buffers.steps().iter();
        let mut next = va;
        let in_block = block
            .map(|step| {
                let this = next;
                next += u32::from(step.decoded.len);
                (this, step.decoded)
            })
            .find(|(this, _)| *this == pc);
        let decoded = in_block.map_or(decoded, |(_, insn)| insn);
        let assembly = skep_arm::disasm::disassemble(&decoded, pc);
        let _ = writeln!(text, "    {hex}  {assembly}");
        at += usize::from(decoded.len) / 2;
    }
    let from = if has("whole") { 0 } else { start };
    let _ = writeln!(text, "--\n{}", listing.text(from).trim_end());
    let _ = writeln!(
        text,
        "; {} for {}: {} in {} bytes, aside {} in {} bytes",
        if t32 { "T32" } else { "A32" },
        size.guest,
        size.straight.0,
        size.straight.1,
        size.aside.0,
        size.aside.1
    );
    (text, size)
}

/// A file as it should be.
fn file(old: &str) -> (String, Size) {
    let mut sections = old.split("\n== ");
    let mut text = sections.next().unwrap_or_default().trim_end().to_owned();
    text.push('\n');
    let mut sum = Size::default();
    for section in sections {
        let mut lines = section.lines();
        let heading = format!("== {}", lines.next().unwrap_or_default());
        let guest: Vec<&str> = lines.take_while(|line| *line != "--").collect();
        let (case, size) = case(&heading, &guest);
        sum.add(size);
        let _ = write!(text, "\n{case}");
    }
    (text, sum)
}

/// Compares a file with what it should be, or makes it that.
fn compare(path: &Path, old: &str, new: &str, wrong: &mut Vec<String>) {
    if old == new {
        return;
    }
    if std::env::var_os("SKEP_UPDATE").is_some() {
        std::fs::write(path, new).expect("the file can be written");
        return;
    }
    let line = old.lines().zip(new.lines()).find(|(old, new)| old != new);
    let line = line.unwrap_or(("the end", "more, or less"));
    wrong.push(format!(
        "{}: {:?} became {:?}",
        path.display(),
        line.0,
        line.1
    ));
}

#[test]
fn golden_files() {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| !path.ends_with("summary.txt"))
        .collect();
    names.sort();
    assert!(names.len() >= 20, "{names:?}");
    let mut summary = String::from(
        "Host code per guest instruction: instructions and bytes, straight ahead and aside.\n\n",
    );
    let (mut wrong, mut total) = (Vec::new(), Size::default());
    for path in &names {
        let old = std::fs::read_to_string(path).expect("the file can be read");
        let (new, size) = file(&old);
        compare(path, &old, &new, &mut wrong);
        total.add(size);
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let _ = writeln!(summary, "{name:16} {}", size.ratios());
    }
    let _ = writeln!(summary, "{:16} {}", "all", total.ratios());
    let path = folder().join("summary.txt");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    compare(&path, &old, &summary, &mut wrong);
    assert!(
        wrong.is_empty(),
        "if that is better: SKEP_UPDATE=1 cargo test -p skep-jit golden\n{}",
        wrong.join("\n")
    );
}
