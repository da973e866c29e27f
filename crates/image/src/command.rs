//! How a command gets into the guest, and its input, output and status to and from it.
//!
//! The serial port is all there is between host and guest. Output: the guest prints a line with a
//! token that the host chose, the command's output byte for byte, and a line with the token and the
//! status. Input: lines of base64, and a line with a dot at the end, which the guest decodes; so
//! every byte passes a terminal driver.

use crate::cpio::Archive;

/// The archive that makes the guest's `/init` run a command, to be appended to the initial RAM disk.
/// Without `stdin` the command reads nothing.
pub fn command_overlay(argv: &[String], token: &str, stdin: bool) -> Vec<u8> {
    let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
    let mut archive = Archive::default();
    archive.directory("skep");
    archive.file("skep/token", 0o644, token.as_bytes());
    let run = format!("exec {}\n", words.join(" "));
    archive.file("skep/run", 0o644, run.as_bytes());
    if stdin {
        archive.file("skep/stdin", 0o644, b"");
    }
    archive.finish()
}

/// The archive that makes the guest's shell read commands from the console as from a pipe. Its
/// output is marked as a command's is.
pub fn pipe_overlay(token: &str) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("skep");
    archive.file("skep/token", 0o644, token.as_bytes());
    archive.file("skep/pipe", 0o644, b"");
    archive.finish()
}

/// A word as the shell reads it back.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What the guest is sent for bytes of the command's standard input.
pub fn encode_input(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    /// Bytes a line: a terminal's lines are limited.
    const LINE: usize = 768;
    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + 16);
    for line in bytes.chunks(LINE) {
        for group in line.chunks(3) {
            let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for i in 0..4 {
                let digit = (bits >> (18 - 6 * i) & 63) as usize;
                out.push(if i <= group.len() {
                    ALPHABET[digit]
                } else {
                    b'='
                });
            }
        }
        out.push(b'\n');
    }
    out
}

/// What the guest is sent at the end of the command's standard input.
pub fn end_of_input() -> Vec<u8> {
    b".\n".to_vec()
}

/// Finds a command's output and status in what the guest prints.
pub struct CommandOutput {
    start: Vec<u8>,
    end: Vec<u8>,
    /// How much of the marker that is looked for has been seen.
    matched: usize,
    state: State,
}

enum State {
    /// Before the command.
    Before,
    /// In its output.
    Output,
    /// In the digits of its status.
    Status(u32),
    /// Done.
    Ended(u8),
}

impl CommandOutput {
    /// For the command that was given this token.
    pub fn new(token: &str) -> Self {
        CommandOutput {
            start: format!("skep-{token}-start\n").into_bytes(),
            end: format!("skep-{token}-end ").into_bytes(),
            matched: 0,
            state: State::Before,
        }
    }

    /// Takes a byte that the guest printed; appends the command's output to `out`.
    pub fn feed(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.state {
            State::Before => {
                if self.advance(byte, None) {
                    self.state = State::Output;
                }
            }
            State::Output => {
                if self.advance(byte, Some(out)) {
                    self.state = State::Status(0);
                }
            }
            State::Status(value) => {
                self.state = match byte {
                    b'0'..=b'9' => State::Status((value * 10 + u32::from(byte - b'0')) & 0xffff),
                    _ => State::Ended(value as u8),
                };
            }
            State::Ended(_) => {}
        }
    }

    /// The command has begun: the guest takes its input.
    pub fn started(&self) -> bool {
        !matches!(self.state, State::Before)
    }

    /// The command's exit status, once it is known.
    pub fn status(&self) -> Option<u8> {
        match self.state {
            State::Ended(status) => Some(status),
            _ => None,
        }
    }

    /// Moves on in the marker. Bytes that turn out not to belong to it go to `out`.
    fn advance(&mut self, byte: u8, out: Option<&mut Vec<u8>>) -> bool {
        let marker = if out.is_some() {
            &self.end
        } else {
            &self.start
        };
        // The longest part of the marker that ends with this byte.
        let mut seen = marker[..self.matched].to_vec();
        seen.push(byte);
        let keep = (0..=seen.len().min(marker.len()))
            .rev()
            .find(|&len| seen.ends_with(&marker[..len]))
            .unwrap_or(0);
        if let Some(out) = out {
            out.extend(&seen[..seen.len() - keep]);
        }
        self.matched = keep;
        if keep == marker.len() {
            self.matched = 0;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(bytes: &[u8]) -> (Vec<u8>, Option<u8>) {
        let (mut output, mut out) = (CommandOutput::new("ab"), Vec::new());
        for &byte in bytes {
            output.feed(byte, &mut out);
        }
        (out, output.status())
    }

    proptest! {
        #[test]
        fn output_is_found_exactly(
            noise in "[a-z \n-]{0,40}",
            // Made of the marker's own parts, so that it looks like it again and again.
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("skep-ab-en"), Just("skep-ab-"), Just("skep-"), Just("s"), Just("\n"),
                    Just("skep-ab-start\n"), Just("d "), Just("x"),
                ],
                0..20,
            ),
            status in 0u8..,
        ) {
            let output = parts.concat();
            prop_assume!(!output.contains("skep-ab-end "));
            let all = format!("{noise}skep-ab-start\n{output}skep-ab-end {status}\nreboot: Power down");
            prop_assert_eq!(filter(all.as_bytes()), (output.into_bytes(), Some(status)));
        }

        #[test]
        fn a_shell_reads_quoted_words_back(words in proptest::collection::vec("[^\0]{0,12}", 1..4)) {
            let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
            let script = format!("printf '%s\\0' {}", quoted.join(" "));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let expected: Vec<u8> = words.iter().flat_map(|w| w.bytes().chain([0])).collect();
            prop_assert_eq!(output.stdout, expected);
        }
    }

    #[test]
    fn there_is_no_status_before_the_end() {
        assert_eq!(filter(b"skep-ab-start\nabc"), (b"abc".to_vec(), None));
        assert_eq!(
            filter(b"skep-ab-start\nabcskep-ab-end 12"),
            (b"abc".to_vec(), None)
        );
        assert_eq!(filter(b"nothing"), (vec![], None));
    }

    #[test]
    fn input_is_base64_in_lines() {
        assert_eq!(encode_input(b""), b"");
        assert_eq!(encode_input(b"a"), b"YQ==\n");
        assert_eq!(encode_input(b"ab"), b"YWI=\n");
        assert_eq!(encode_input(b"abc"), b"YWJj\n");
        assert_eq!(encode_input(&[0xff; 3]), b"////\n");
        let lines = encode_input(&[0; 769]);
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2);
    }
}
