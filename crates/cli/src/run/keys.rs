//! The escape key of an interactive session.

/// The escape key, Ctrl-A.
const ESCAPE: u8 = 0x01;

/// What the user asked Skep, rather than the guest, to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// End the session.
    Quit,
    /// Show the keys.
    Help,
    /// Print what the engine did.
    Stats,
    /// Press the VM's power key.
    Power,
}

/// What `Ctrl-A h` shows.
pub const HELP: &str = "\r\nskep: Ctrl-A x  quit\r\n      Ctrl-A p  press the power key\r\n      Ctrl-A s  what the engine did so far\r\n      Ctrl-A h  this help\r\n      Ctrl-A a  send Ctrl-A to the guest\r\n";

/// Separates the keys meant for Skep from those meant for the guest.
#[derive(Default)]
pub struct Keys {
    escaped: bool,
}

impl Keys {
    /// Takes typed bytes: appends the guest's to `guest`, and returns what is asked of Skep.
    pub fn take(&mut self, typed: &[u8], guest: &mut Vec<u8>) -> Vec<Request> {
        let mut requests = Vec::new();
        for &byte in typed {
            if !std::mem::take(&mut self.escaped) {
                if byte == ESCAPE {
                    self.escaped = true;
                } else {
                    guest.push(byte);
                }
                continue;
            }
            match byte {
                b'x' | b'X' => requests.push(Request::Quit),
                b's' | b'S' => requests.push(Request::Stats),
                b'p' | b'P' => requests.push(Request::Power),
                b'h' | b'H' | b'?' => requests.push(Request::Help),
                b'a' | b'A' | ESCAPE => guest.push(ESCAPE),
                // Not a key of ours: the user sees that it was taken.
                _ => requests.push(Request::Help),
            }
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(chunks: &[&[u8]]) -> (Vec<u8>, Vec<Request>) {
        let (mut keys, mut guest, mut requests) = (Keys::default(), Vec::new(), Vec::new());
        for chunk in chunks {
            requests.extend(keys.take(chunk, &mut guest));
        }
        (guest, requests)
    }

    #[test]
    fn escape_sequences_are_found_across_reads() {
        assert_eq!(take(&[b"ls\r"]), (b"ls\r".to_vec(), vec![]));
        assert_eq!(
            take(&[b"a\x01", b"xb"]),
            (b"ab".to_vec(), vec![Request::Quit])
        );
        assert_eq!(take(&[b"\x01a\x01\x01"]), (b"\x01\x01".to_vec(), vec![]));
        assert_eq!(
            take(&[b"\x01h\x01z\x01s\x01p"]),
            (
                vec![],
                vec![Request::Help, Request::Help, Request::Stats, Request::Power]
            )
        );
    }
}
