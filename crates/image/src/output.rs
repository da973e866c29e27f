//! A command's output, cut out of everything that the console shows.

/// No command has a status with more digits.
const STATUS_DIGITS: usize = 3;

/// Finds the output of a command that [`command_overlay`](crate::command_overlay) started among
/// what the console prints: everything between the markers, byte for byte.
#[derive(Debug, Clone)]
pub struct CommandOutput {
    begin: Vec<u8>,
    end: Vec<u8>,
    /// The start of what may be a marker.
    held: Vec<u8>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Inside,
    Ended(u8),
}

impl CommandOutput {
    /// Looks for the markers that hold `token`.
    pub fn new(token: &str) -> Self {
        CommandOutput {
            begin: format!("\x1eskep-begin-{token}\n").into_bytes(),
            end: format!("\x1eskep-end-{token}-").into_bytes(),
            held: Vec::new(),
            phase: Phase::Before,
        }
    }

    /// Takes the console's next byte, and adds what is known to be the command's output to `out`.
    pub fn feed(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.phase {
            Phase::Ended(_) => return,
            // By far the most frequent case.
            Phase::Inside if self.held.is_empty() && self.end.first() != Some(&byte) => {
                out.push(byte);
                return;
            }
            Phase::Before | Phase::Inside => self.held.push(byte),
        }
        loop {
            match self.look() {
                Look::Possible => return,
                Look::Begin => {
                    self.phase = Phase::Inside;
                    self.held.clear();
                    return;
                }
                Look::End(status) => {
                    self.phase = Phase::Ended(status);
                    self.held.clear();
                    return;
                }
                Look::No => {
                    // The first byte belongs to no marker; one may start at any later byte.
                    let first = self.held.remove(0);
                    if self.phase == Phase::Inside {
                        out.push(first);
                    }
                }
            }
        }
    }

    /// The command has begun: the guest takes its input.
    pub fn started(&self) -> bool {
        self.phase != Phase::Before
    }

    /// The command's exit status, when the end marker has come.
    pub fn status(&self) -> Option<u8> {
        match self.phase {
            Phase::Ended(status) => Some(status),
            Phase::Before | Phase::Inside => None,
        }
    }

    /// What the held bytes are.
    fn look(&self) -> Look {
        if self.phase == Phase::Before {
            return match () {
                () if self.held == self.begin => Look::Begin,
                () if self.begin.starts_with(&self.held) => Look::Possible,
                () => Look::No,
            };
        }
        let Some(status) = self.held.strip_prefix(self.end.as_slice()) else {
            let possible = self.end.starts_with(&self.held);
            return if possible { Look::Possible } else { Look::No };
        };
        match status.split_last() {
            None => Look::Possible,
            Some((b'\n', digits)) => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .map_or(Look::No, Look::End),
            Some(_) if status.len() <= STATUS_DIGITS && status.iter().all(u8::is_ascii_digit) => {
                Look::Possible
            }
            Some(_) => Look::No,
        }
    }
}

enum Look {
    /// The start of a marker, or nothing.
    Possible,
    Begin,
    End(u8),
    No,
}
