//! A guest's kernel, as far as the server sees of it, and directories for it.

mod attacks;
mod files;
mod limits;
mod messages;

use crate::wire::{IN_HEADER, OUT_HEADER, ROOT};
use crate::{Limits, Server};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Room for any reply.
const ROOM: usize = 2 << 20;

/// A session on a directory, beside which there is one that is none of its business.
struct Guest {
    server: Server,
    base: tempfile::TempDir,
    unique: u64,
}

/// What a reply says of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    node: u64,
    ino: u64,
    size: u64,
    mtime: u64,
    mode: u32,
    nlink: u32,
    uid: u32,
    gid: u32,
}

/// An entry of a directory.
type Listed = (Option<Seen>, Vec<u8>, u64);

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// An entry as in the reply to a look-up.
fn seen(entry: &[u8]) -> Seen {
    Seen {
        node: u64_at(entry, 0),
        ..attributes(&entry[40..])
    }
}

fn attributes(attr: &[u8]) -> Seen {
    Seen {
        node: 0,
        ino: u64_at(attr, 0),
        size: u64_at(attr, 8),
        mtime: u64_at(attr, 32),
        mode: u32_at(attr, 60),
        nlink: u32_at(attr, 64),
        uid: u32_at(attr, 68),
        gid: u32_at(attr, 72),
    }
}

/// A message.
fn message(opcode: u32, unique: u64, node: u64, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend(((IN_HEADER + body.len()) as u32).to_le_bytes());
    message.extend(opcode.to_le_bytes());
    message.extend(unique.to_le_bytes());
    message.extend(node.to_le_bytes());
    message.extend([0; 16]);
    message.extend(body);
    message
}

/// Numbers, one after the other.
fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Two numbers of 32 bits in one of 64.
fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// A name with its end.
fn name(name: impl AsRef<[u8]>) -> Vec<u8> {
    [name.as_ref(), b"\0"].concat()
}

impl Guest {
    fn new() -> Self {
        Guest::with(false, Limits::default())
    }

    fn with(read_only: bool, limits: Limits) -> Self {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("shared")).unwrap();
        std::fs::create_dir(base.path().join("secret")).unwrap();
        std::fs::write(base.path().join("secret/file"), "secret").unwrap();
        let server = Server::new(&base.path().join("shared"), read_only, limits).unwrap();
        let mut guest = Guest {
            server,
            base,
            unique: 0,
        };
        guest.start();
        guest
    }

    fn start(&mut self) {
        let body = words(&[pair(7, 38), pair(128 << 10, u32::MAX)]);
        assert_eq!(self.ask(26, 0, &body).unwrap().len(), 64);
    }

    /// The shared directory on the host.
    fn shared(&self, path: &str) -> PathBuf {
        self.base.path().join("shared").join(path)
    }

    /// The other one.
    fn secret(&self, path: &str) -> PathBuf {
        self.base.path().join("secret").join(path)
    }

    fn ask(&mut self, opcode: u32, node: u64, body: &[u8]) -> Result<Vec<u8>, Errno> {
        self.ask_for(ROOM, opcode, node, body)
    }

    /// Asks, with so much room for the reply; what follows its header.
    fn ask_for(
        &mut self,
        room: usize,
        opcode: u32,
        node: u64,
        body: &[u8],
    ) -> Result<Vec<u8>, Errno> {
        self.unique += 1;
        let mut reply = Vec::new();
        let message = message(opcode, self.unique, node, body);
        self.server.serve(&message, room, &mut reply);
        assert!(reply.len() <= room, "no more than fits");
        assert_eq!(u32_at(&reply, 0) as usize, reply.len());
        assert_eq!(u64_at(&reply, 8), self.unique);
        match u32_at(&reply, 4) as i32 {
            0 => Ok(reply.split_off(OUT_HEADER)),
            error => {
                assert_eq!(reply.len(), OUT_HEADER);
                Err(Errno::from_raw_os_error(-error))
            }
        }
    }

    fn look_up(&mut self, node: u64, file: impl AsRef<[u8]>) -> Result<Seen, Errno> {
        self.ask(1, node, &name(file)).map(|reply| seen(&reply))
    }

    /// Looks up a path, name by name.
    fn walk(&mut self, path: &str) -> Result<Seen, Errno> {
        let mut found = self.stat(ROOT);
        for name in path.split('/') {
            let node = found?.node;
            found = self.look_up(node, name);
        }
        found
    }

    fn stat(&mut self, node: u64) -> Result<Seen, Errno> {
        let reply = self.ask(3, node, &words(&[0, 0]))?;
        Ok(Seen {
            node,
            ..attributes(&reply[16..])
        })
    }

    fn open(&mut self, node: u64, flags: u32) -> Result<u64, Errno> {
        self.ask(14, node, &words(&[flags.into()]))
            .map(|reply| u64_at(&reply, 0))
    }

    /// Whether the guest was told that its cache is right when it opened a file.
    fn keeps(&mut self, node: u64) -> bool {
        let reply = self.ask(14, node, &words(&[0])).unwrap();
        u32_at(&reply, 8) & crate::wire::KEEP_CACHE != 0
    }

    fn read(&mut self, handle: u64, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        self.ask(15, 0, &words(&[handle, offset, size.into(), 0, 0]))
    }

    fn write(&mut self, handle: u64, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        self.write_as(handle, offset, 0, data)
    }

    fn write_as(
        &mut self,
        handle: u64,
        offset: u64,
        flags: u32,
        data: &[u8],
    ) -> Result<u32, Errno> {
        let size = pair(data.len() as u32, flags);
        let body = [&words(&[handle, offset, size, 0, 0])[..], data].concat();
        self.ask(16, 0, &body).map(|reply| u32_at(&reply, 0))
    }

    fn release(&mut self, handle: u64) {
        self.ask(18, 0, &words(&[handle, 0, 0])).unwrap();
    }

    /// Makes and opens a file: its node and handle.
    fn create(&mut self, node: u64, file: &str, flags: u32) -> Result<(Seen, u64), Errno> {
        let body = [words(&[pair(flags, 0o644), 0]), name(file)].concat();
        let reply = self.ask(35, node, &body)?;
        Ok((seen(&reply), u64_at(&reply, 128)))
    }

    fn mkdir(&mut self, node: u64, file: &str) -> Result<Seen, Errno> {
        let body = [words(&[0o755]), name(file)].concat();
        self.ask(9, node, &body).map(|reply| seen(&reply))
    }

    fn symlink(&mut self, node: u64, file: &str, target: &str) -> Result<Seen, Errno> {
        let body = [name(file), name(target)].concat();
        self.ask(6, node, &body).map(|reply| seen(&reply))
    }

    fn unlink(&mut self, node: u64, file: &str) -> Result<(), Errno> {
        self.ask(10, node, &name(file)).map(|_| ())
    }

    fn rename(&mut self, node: u64, file: &str, to: u64, new: &str) -> Result<(), Errno> {
        let body = [words(&[to]), name(file), name(new)].concat();
        self.ask(12, node, &body).map(|_| ())
    }

    fn link(&mut self, existing: u64, node: u64, file: &str) -> Result<Seen, Errno> {
        let body = [words(&[existing]), name(file)].concat();
        self.ask(13, node, &body).map(|reply| seen(&reply))
    }

    /// Changes attributes: those of `valid`, with the fields in the protocol's order.
    fn set(&mut self, node: u64, valid: u32, size: u64, mode: u32) -> Result<Seen, Errno> {
        let time = 1_000_000_000;
        let fields = [
            u64::from(valid),
            0,
            size,
            0,
            time,
            time,
            0,
            pair(5, 6),
            pair(0, mode),
            0,
            0,
        ];
        let reply = self.ask(4, node, &words(&fields))?;
        Ok(attributes(&reply[16..]))
    }

    fn open_directory(&mut self, node: u64) -> Result<u64, Errno> {
        self.ask(27, node, &words(&[0]))
            .map(|reply| u64_at(&reply, 0))
    }

    /// Reads a piece of a directory: entries, each with what is known of it, and where the next is.
    fn list(
        &mut self,
        handle: u64,
        offset: u64,
        size: u32,
        plus: bool,
    ) -> Result<Vec<Listed>, Errno> {
        let opcode = if plus { 44 } else { 28 };
        let reply = self.ask(opcode, 0, &words(&[handle, offset, size.into(), 0, 0]))?;
        assert!(reply.len() <= size as usize);
        let (mut entries, mut rest) = (Vec::new(), &reply[..]);
        while !rest.is_empty() {
            let known = plus.then(|| seen(rest));
            if plus {
                rest = &rest[128..];
            }
            let (next, len) = (u64_at(rest, 8), u32_at(rest, 16) as usize);
            entries.push((known, rest[24..24 + len].to_vec(), next));
            rest = &rest[24 + len.next_multiple_of(8)..];
        }
        Ok(entries)
    }

    /// All names of a directory, in pieces of a page.
    fn names(&mut self, node: u64, plus: bool) -> Vec<Vec<u8>> {
        let handle = self.open_directory(node).unwrap();
        let (mut names, mut offset) = (Vec::new(), 0);
        loop {
            let piece = self.list(handle, offset, 4096, plus).unwrap();
            let Some((_, _, next)) = piece.last() else {
                break;
            };
            offset = *next;
            names.extend(piece.into_iter().map(|(_, name, _)| name));
        }
        self.release(handle);
        names.retain(|name| name != b"." && name != b"..");
        names.sort();
        names
    }
}

/// Makes what a file holds old enough to be believed.
fn settle(path: &Path) {
    // Times of change can't be set: they pass.
    let changed = || {
        use std::os::unix::fs::MetadataExt;
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        now as i64 - std::fs::metadata(path).unwrap().ctime()
    };
    while changed() <= 1 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
