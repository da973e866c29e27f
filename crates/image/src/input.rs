//! A command's standard input, in a form that passes through a terminal unharmed.
//!
//! A chunk is a line `+`, its bytes in base64, in lines short enough for a terminal's line buffer,
//! and an end-of-file character, which ends the guest's decoder and so makes it hand on all it has.
//! A line `.` is the end of the input.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes in a line, a multiple of 3; in base64 it is well below the 4,095 characters that Linux
/// accepts in a line.
const LINE: usize = 768;

/// The end-of-file character.
const EOT: u8 = 4;

/// Encodes a part of a command's standard input, of any length, for the guest's console.
pub fn encode_input(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut encoded = b"+\n".to_vec();
    for line in bytes.chunks(LINE) {
        encoded.extend(STANDARD.encode(line).into_bytes());
        encoded.push(b'\n');
    }
    encoded.push(EOT);
    encoded
}

/// What tells the guest that a command's standard input has ended.
pub fn end_of_input() -> Vec<u8> {
    b".\n".to_vec()
}
