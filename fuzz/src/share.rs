//! A shared directory: messages as a hostile guest's kernel may send them, in any order, while
//! somebody on the host exchanges a directory of it for a link out of it and back.
//!
//! Replies fit, and are the request's; nothing beside the directory is read, changed, made or removed,
//! and with a read-only share nothing in it either; the limits are kept.

use crate::input::Input;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use skep_share::wire::{IN_HEADER, MAX_MESSAGE, OUT_HEADER, Request};
use skep_share::{Limits, Server};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// What is beside the directory: a guest must never see this.
const SECRET: &[u8] = b"a secret that stays outside";
const LIMITS: Limits = Limits {
    handles: 6,
    nodes: 12,
    entries: 100,
};

/// What the protocol's requests have behind their header: a letter for each field.
/// `n` name, `t` any text, `w` number of 64 bits, `h` handle, `i` node, `f` flags, `o` offset, `l` small
/// length, `m` mode, `d` data.
const REQUESTS: [(u32, &str); 31] = [
    (1, "n"),
    (2, "l"),
    (3, "fh"),
    (4, "fhooowwwwmw"),
    (5, ""),
    (6, "nt"),
    (8, "mfn"),
    (9, "mn"),
    (10, "n"),
    (11, "n"),
    (12, "inn"),
    (13, "in"),
    (14, "f"),
    (15, "holww"),
    (16, "holwwd"),
    (17, ""),
    (18, "hff"),
    (20, "hf"),
    (22, "ln"),
    (25, "hfw"),
    (26, "wf"),
    (27, "f"),
    (28, "holww"),
    (30, "hf"),
    (35, "fmn"),
    (36, "w"),
    (38, ""),
    (42, "lilil"),
    (43, "hllf"),
    (44, "holww"),
    (45, "ifnn"),
];

const NAMES: [&str; 16] = [
    "file",
    "dir",
    "inner",
    "link",
    "out",
    "pipe",
    "a",
    "b",
    "..",
    ".",
    "../secret",
    "../new",
    "../secret/inner",
    "/",
    "",
    "dir/..",
];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.u8();
    if flags & 3 == 0 {
        return decode(input.rest());
    }
    // In memory, if the host has such a directory.
    let base = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let base = base.expect("a directory");
    let base = base.path();
    let shared = base.join("shared");
    fs::create_dir_all(shared.join("dir")).expect("writable");
    fs::create_dir(base.join("secret")).expect("writable");
    fs::write(base.join("secret/inner"), SECRET).expect("writable");
    fs::write(shared.join("file"), "in the share").expect("writable");
    fs::write(shared.join("dir/inner"), "in the share, below").expect("writable");
    symlink("../secret", shared.join("link")).expect("writable");
    symlink("/", shared.join("out")).expect("writable");
    mknodat(CWD, shared.join("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("writable");
    let read_only = flags & 4 != 0;
    let before = names(&shared);
    session(&shared, read_only, &mut input);
    assert_eq!(names(base), ["secret", "shared"]);
    assert_eq!(names(&base.join("secret")), ["inner"]);
    let secret = fs::read(base.join("secret/inner")).expect("it is there");
    assert_eq!(secret, SECRET);
    if read_only {
        assert_eq!(names(&shared), before);
        let file = fs::read(shared.join("file")).expect("it is there");
        assert_eq!(file, b"in the share");
    }
}

/// A message alone: what it says is what it has.
fn decode(message: &[u8]) {
    match Request::decode(message) {
        None => assert!(message.len() < IN_HEADER),
        Some(request) => {
            assert_eq!(request.unique.to_le_bytes(), message[8..16]);
            let len = u32::from_le_bytes([message[0], message[1], message[2], message[3]]);
            assert!(request.operation.is_err() || len as usize == message.len());
        }
    }
}

fn session(shared: &Path, read_only: bool, input: &mut Input<'_>) {
    let mut server = Server::new(shared, read_only, LIMITS).expect("it can be shared");
    let mut reply = Vec::new();
    // A hostile driver may do without; most of this is about what comes after.
    if input.u8() != 0 {
        let init = [7u32, 36, 4096, u32::MAX].map(u32::to_le_bytes).concat();
        server.serve(&message(26, 1, 1, &init), 1 << 12, &mut reply);
        assert_eq!(reply.len(), OUT_HEADER + 64);
    }
    // Each takes the host some calls.
    for unique in 2..64 {
        if input.is_empty() {
            break;
        }
        let message = match input.u8() {
            0 => {
                let exchange = RenameFlags::EXCHANGE;
                let (one, other) = (shared.join("dir"), shared.join("link"));
                // The guest may have removed them.
                let _ = renameat_with(CWD, one, CWD, other, exchange);
                continue;
            }
            1 => {
                server.reset();
                assert_eq!((server.open_count(), server.node_count()), (0, 0));
                continue;
            }
            2 => {
                let len = input.below(100);
                input.take(len).to_vec()
            }
            choice => {
                let (opcode, fields) = REQUESTS[usize::from(choice) % REQUESTS.len()];
                let node = number(input);
                let body = body(fields, input);
                message(opcode, unique, node, &body)
            }
        };
        assert!(message.len() <= MAX_MESSAGE);
        let room = match input.u8() {
            byte @ 0..8 => usize::from(byte) * 10,
            _ => 1 << 16,
        };
        server.serve(&message, room, &mut reply);
        assert!(reply.len() <= room);
        if !reply.is_empty() {
            assert!(reply.len() >= OUT_HEADER);
            assert_eq!(reply[..4], (reply.len() as u32).to_le_bytes());
            assert_eq!(reply[8..16], message[8..16]);
        }
        let leaked = reply.windows(SECRET.len()).any(|part| part == SECRET);
        assert!(!leaked, "what is outside was read");
        assert!(server.open_count() <= LIMITS.handles);
        assert!(server.node_count() <= LIMITS.nodes);
    }
}

fn message(opcode: u32, unique: u64, node: u64, body: &[u8]) -> Vec<u8> {
    let len = (IN_HEADER + body.len()) as u32;
    let mut message = [len.to_le_bytes(), opcode.to_le_bytes()].concat();
    message.extend(unique.to_le_bytes());
    message.extend(node.to_le_bytes());
    message.extend([0; 16]);
    message.extend(body);
    message
}

/// A node or a handle: those that there are have small numbers.
fn number(input: &mut Input<'_>) -> u64 {
    match input.u8() {
        0xff => input.number(),
        byte => u64::from(byte) % 12,
    }
}

fn body(fields: &str, input: &mut Input<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    for field in fields.chars() {
        match field {
            'n' => {
                match input.u8() {
                    0xff => {
                        let len = input.below(256) * 2;
                        body.extend(std::iter::repeat_n(b'x', len));
                    }
                    byte => body.extend(NAMES[usize::from(byte) % NAMES.len()].bytes()),
                }
                body.push(0);
            }
            't' => {
                let len = input.below(20);
                body.extend(input.take(len));
                body.push(0);
            }
            'h' | 'i' => body.extend(number(input).to_le_bytes()),
            'o' => body.extend(input.number().to_le_bytes()),
            // Nothing here fills the host's disk.
            'l' => body.extend(u64::from(input.u16()).to_le_bytes()),
            'm' => {
                let mode = u32::from(input.u16());
                body.extend(u64::from(mode).to_le_bytes());
            }
            'd' => {
                let len = input.below(64);
                body.extend(input.take(len));
            }
            _ => body.extend(input.u64().to_le_bytes()),
        }
    }
    // As the header says, or not quite.
    if input.u8() == 0xff {
        body.pop();
    }
    body
}

/// The names in a directory of the host.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let mut names: Vec<String> = entries
        .map(|entry| {
            let entry = entry.expect("it can be read");
            entry.file_name().to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}
