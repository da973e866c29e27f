//! Device trees as source text.

use alloc::string::String;
use core::fmt::{self, Write as _};

use super::{FdtError, Node, Tree};

impl fmt::Display for Tree {
    /// Writes the tree as DTS: what `dtc -I dts` reads back to the same tree.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "/dts-v1/;\n")?;
        for reservation in &self.reservations {
            writeln!(
                f,
                "/memreserve/ {:#x} {:#x};",
                reservation.addr, reservation.size
            )?;
        }
        node(f, &self.root, 0)
    }
}

/// Flattened tree to source text.
///
/// # Errors
///
/// As [`Tree::parse`].
pub fn to_dts(blob: &[u8]) -> Result<String, FdtError> {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = write!(text, "{}", Tree::parse(blob)?);
    Ok(text)
}

fn indent(f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
    (0..depth).try_for_each(|_| f.write_char('\t'))
}

fn node(f: &mut fmt::Formatter<'_>, node_: &Node, depth: usize) -> fmt::Result {
    indent(f, depth)?;
    writeln!(f, "{} {{", if depth == 0 { "/" } else { &node_.name })?;
    for property in &node_.properties {
        indent(f, depth + 1)?;
        f.write_str(&property.name)?;
        if !property.value.is_empty() {
            f.write_str(" = ")?;
            value(f, &property.value)?;
        }
        f.write_str(";\n")?;
    }
    for (index, child) in node_.children.iter().enumerate() {
        if index > 0 || !node_.properties.is_empty() {
            f.write_char('\n')?;
        }
        node(f, child, depth + 1)?;
    }
    indent(f, depth)?;
    f.write_str("};\n")
}

/// A value in the notation that its bytes suggest; a tree doesn't store types.
fn value(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    if let Some(text) = strings(bytes) {
        for (index, string) in text.split('\0').enumerate() {
            f.write_str(if index == 0 { "\"" } else { ", \"" })?;
            for c in string.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_char('\\')?;
                }
                f.write_char(c)?;
            }
            f.write_char('"')?;
        }
        return Ok(());
    }
    let (open, close) = if bytes.len().is_multiple_of(4) {
        ('<', '>')
    } else {
        ('[', ']')
    };
    f.write_char(open)?;
    for (index, chunk) in bytes.chunks(if open == '<' { 4 } else { 1 }).enumerate() {
        if index > 0 {
            f.write_char(' ')?;
        }
        if let Ok(cell) = chunk.try_into() {
            write!(f, "{:#x}", u32::from_be_bytes(cell))?;
        } else {
            chunk.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
    }
    f.write_char(close)
}

/// The value as one or more printable strings, without the last NUL.
fn strings(bytes: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(bytes.strip_suffix(&[0])?).ok()?;
    text.split('\0')
        .all(|string| !string.is_empty() && string.bytes().all(|byte| matches!(byte, b' '..=b'~')))
        .then_some(text)
}
