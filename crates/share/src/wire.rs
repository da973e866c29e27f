//! FUSE messages (Linux, include/uapi/linux/fuse.h, protocol 7.31 and later), as virtio-fs carries
//! them: bytes to requests, and replies to bytes. All numbers are little-endian, as the guest is.

use rustix::io::Errno;

/// The protocol's major version.
pub const MAJOR: u32 = 7;
/// The newest minor version of which the messages here are.
pub const MINOR: u32 = 36;
/// The oldest: what Linux 5.4, the first with virtio-fs, speaks.
pub const OLDEST_MINOR: u32 = 31;

/// The node that is the shared directory itself.
pub const ROOT: u64 = 1;
/// The most bytes in one read or write.
pub const MAX_IO: usize = 1 << 20;
/// A page of the guest's.
const PAGE: usize = 4096;
/// The longest message: a write with its headers.
pub const MAX_MESSAGE: usize = MAX_IO + PAGE;
/// Size of a request's header.
pub const IN_HEADER: usize = 40;
/// Size of a reply's header.
pub const OUT_HEADER: usize = 16;
/// The longest name in a directory, and the longest target of a symbolic link.
const MAX_NAME: usize = 255;
const MAX_TARGET: usize = 4095;

/// Reads may overlap (FUSE_INIT's flags).
pub const ASYNC_READ: u32 = 1 << 0;
/// FUSE_OPEN truncates.
pub const ATOMIC_O_TRUNC: u32 = 1 << 3;
/// Writes of more than a page.
pub const BIG_WRITES: u32 = 1 << 5;
/// Cached data is dropped when the file's size or time of change is another one.
pub const AUTO_INVAL_DATA: u32 = 1 << 12;
/// There is FUSE_READDIRPLUS,
pub const DO_READDIRPLUS: u32 = 1 << 13;
/// and it is used where it pays.
pub const READDIRPLUS_AUTO: u32 = 1 << 14;
/// Look-ups in one directory may overlap.
pub const PARALLEL_DIROPS: u32 = 1 << 18;
/// The server clears set-ID bits of files that are written.
pub const HANDLE_KILLPRIV: u32 = 1 << 19;
/// The reply says how many pages a request may have.
pub const MAX_PAGES: u32 = 1 << 22;

/// The guest's O_ flags, as FUSE passes them on. Those that architectures number differently mean
/// nothing to a server.
pub mod open {
    /// Mask of the way of access: read, write, both.
    pub const ACCESS: u32 = 3;
    /// Write only.
    pub const WRITE: u32 = 1;
    /// Read and write.
    pub const READ_WRITE: u32 = 2;
    /// The file must not exist.
    pub const EXCL: u32 = 0o200;
    /// Empty it.
    pub const TRUNC: u32 = 0o1000;
    /// Each write goes to its end.
    pub const APPEND: u32 = 0o2000;
    /// Each write waits until the data is safe.
    pub const DSYNC: u32 = 0o10000;
    /// Each write waits until the file is safe.
    pub const SYNC: u32 = 0o4_010_000;
}

/// In an open's reply: what the guest has cached of the file is still right.
pub const KEEP_CACHE: u32 = 1 << 1;
/// In a write: it comes from the guest's page cache, and knows its place.
pub const WRITE_CACHE: u32 = 1 << 0;

/// A name in a directory: not empty, `.` or `..`, at most 255 bytes, without `/` and NUL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks a name.
    ///
    /// # Errors
    /// Those that Linux has for such names.
    pub fn new(name: &'a [u8]) -> Result<Self, Errno> {
        match name {
            b"" => Err(Errno::NOENT),
            b"." | b".." => Err(Errno::INVAL),
            _ if name.len() > MAX_NAME => Err(Errno::NAMETOOLONG),
            _ if name.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(Errno::INVAL),
            _ => Ok(Name(name)),
        }
    }

    /// Its bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// A time: seconds since 1970, and nanoseconds below 10^9 (unless a guest lies).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Time {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds.
    pub nanoseconds: u32,
}

/// What a time is set to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SetTime {
    /// Nothing.
    #[default]
    Keep,
    /// The present.
    Now,
    /// This.
    At(Time),
}

/// Changes of a file's attributes. That of its owner is left out: the owner does not change.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// The handle that the change is made through.
    pub handle: Option<u64>,
    /// Permissions.
    pub mode: Option<u32>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Time of last access.
    pub accessed: SetTime,
    /// Time of last change.
    pub modified: SetTime,
}

/// What a request asks for. Node numbers and handles are the guest's word.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the protocol's names")]
pub enum Operation<'a> {
    Init {
        major: u32,
        minor: u32,
        max_readahead: u32,
        flags: u32,
    },
    Destroy,
    Lookup {
        name: Name<'a>,
    },
    /// Nodes, and how many of their look-ups are forgotten: 16 bytes each. There is no reply.
    Forget(Vec<(u64, u64)>),
    /// Of a request that is under way. There is no reply.
    Interrupt,
    GetAttr {
        handle: Option<u64>,
    },
    SetAttr(Changes),
    ReadLink,
    SymLink {
        name: Name<'a>,
        target: &'a [u8],
    },
    MkNod {
        name: Name<'a>,
        mode: u32,
    },
    MkDir {
        name: Name<'a>,
        mode: u32,
    },
    Unlink {
        name: Name<'a>,
    },
    RmDir {
        name: Name<'a>,
    },
    Rename {
        name: Name<'a>,
        to: u64,
        new: Name<'a>,
        flags: u32,
    },
    Link {
        node: u64,
        name: Name<'a>,
    },
    Open {
        flags: u32,
    },
    Create {
        name: Name<'a>,
        flags: u32,
        mode: u32,
    },
    Read {
        handle: u64,
        offset: u64,
        size: u32,
    },
    Write {
        handle: u64,
        offset: u64,
        cached: bool,
        data: &'a [u8],
    },
    Release {
        handle: u64,
    },
    Sync {
        handle: u64,
        data_only: bool,
    },
    OpenDir,
    ReadDir {
        handle: u64,
        offset: u64,
        size: u32,
        plus: bool,
    },
    StatFs,
    Allocate {
        handle: u64,
        offset: u64,
        length: u64,
        mode: u32,
    },
    Seek {
        handle: u64,
        offset: u64,
        whence: u32,
    },
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// Its number, for the reply.
    pub unique: u64,
    /// The node that it is about.
    pub node: u64,
    /// What it asks for; or the error that it is answered with.
    pub operation: Result<Operation<'a>, Errno>,
}

/// The rest of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Errno> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Errno::INVAL)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn skip(&mut self, len: usize) -> Result<(), Errno> {
        self.bytes(len).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Errno::INVAL)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u32(&mut self) -> Result<u32, Errno> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Errno> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes up to a NUL.
    fn string(&mut self) -> Result<&'a [u8], Errno> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let string = self.bytes(end.ok_or(Errno::INVAL)?)?;
        self.skip(1)?;
        Ok(string)
    }

    fn name(&mut self) -> Result<Name<'a>, Errno> {
        Name::new(self.string()?)
    }
}

impl<'a> Request<'a> {
    /// Reads a message. `None` if it has not even a header, and can't be answered.
    pub fn decode(message: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(message);
        let len = reader.u32().ok()?;
        let opcode = reader.u32().ok()?;
        let unique = reader.u64().ok()?;
        let node = reader.u64().ok()?;
        // Who asks: in this guest, everybody is the host's user.
        reader.skip(16).ok()?;
        // Driver and device must agree on the length.
        let operation = if len as usize == message.len() {
            operation(opcode, node, &mut reader)
        } else {
            Err(Errno::INVAL)
        };
        Some(Request {
            unique,
            node,
            operation,
        })
    }
}

fn operation<'a>(opcode: u32, node: u64, reader: &mut Reader<'a>) -> Result<Operation<'a>, Errno> {
    Ok(match opcode {
        1 => Operation::Lookup {
            name: reader.name()?,
        },
        2 => Operation::Forget(vec![(node, reader.u64()?)]),
        3 => {
            let flags = reader.u32()?;
            reader.skip(4)?;
            let handle = reader.u64()?;
            Operation::GetAttr {
                handle: (flags & 1 != 0).then_some(handle),
            }
        }
        4 => Operation::SetAttr(changes(reader)?),
        5 => Operation::ReadLink,
        6 => {
            let (name, target) = (reader.name()?, reader.string()?);
            if target.is_empty() || target.len() > MAX_TARGET {
                return Err(Errno::NAMETOOLONG);
            }
            Operation::SymLink { name, target }
        }
        8 => {
            let mode = reader.u32()?;
            // The number of a device, none of which is made; the umask, which the guest has applied.
            reader.skip(12)?;
            Operation::MkNod {
                name: reader.name()?,
                mode,
            }
        }
        9 => {
            let mode = reader.u32()?;
            reader.skip(4)?;
            Operation::MkDir {
                name: reader.name()?,
                mode,
            }
        }
        10 => Operation::Unlink {
            name: reader.name()?,
        },
        11 => Operation::RmDir {
            name: reader.name()?,
        },
        12 | 45 => {
            let to = reader.u64()?;
            let flags = match opcode {
                12 => 0,
                _ => {
                    let flags = reader.u32()?;
                    reader.skip(4)?;
                    flags
                }
            };
            Operation::Rename {
                name: reader.name()?,
                to,
                new: reader.name()?,
                flags,
            }
        }
        13 => Operation::Link {
            node: reader.u64()?,
            name: reader.name()?,
        },
        14 => Operation::Open {
            flags: reader.u32()?,
        },
        15 | 28 | 44 => {
            let (handle, offset, size) = (reader.u64()?, reader.u64()?, reader.u32()?);
            match opcode {
                15 => Operation::Read {
                    handle,
                    offset,
                    size,
                },
                _ => Operation::ReadDir {
                    handle,
                    offset,
                    size,
                    plus: opcode == 44,
                },
            }
        }
        16 => {
            let (handle, offset, size) = (reader.u64()?, reader.u64()?, reader.u32()?);
            let flags = reader.u32()?;
            reader.skip(16)?;
            if size as usize > MAX_IO {
                return Err(Errno::INVAL);
            }
            Operation::Write {
                handle,
                offset,
                cached: flags & WRITE_CACHE != 0,
                data: reader.bytes(size as usize)?,
            }
        }
        17 => Operation::StatFs,
        18 | 29 => Operation::Release {
            handle: reader.u64()?,
        },
        20 | 30 => Operation::Sync {
            handle: reader.u64()?,
            data_only: reader.u32()? & 1 != 0,
        },
        26 => Operation::Init {
            major: reader.u32()?,
            minor: reader.u32()?,
            max_readahead: reader.u32()?,
            flags: reader.u32()?,
        },
        27 => Operation::OpenDir,
        35 => {
            let (flags, mode) = (reader.u32()?, reader.u32()?);
            reader.skip(8)?;
            Operation::Create {
                name: reader.name()?,
                flags,
                mode,
            }
        }
        36 => Operation::Interrupt,
        38 => Operation::Destroy,
        42 => {
            let count = reader.u32()?;
            reader.skip(4)?;
            let mut forgotten = Vec::new();
            for _ in 0..count {
                forgotten.push((reader.u64()?, reader.u64()?));
            }
            Operation::Forget(forgotten)
        }
        43 => Operation::Allocate {
            handle: reader.u64()?,
            offset: reader.u64()?,
            length: reader.u64()?,
            mode: reader.u32()?,
        },
        46 => Operation::Seek {
            handle: reader.u64()?,
            offset: reader.u64()?,
            whence: reader.u32()?,
        },
        // Extended attributes, locks (the guest keeps its own), and what has a substitute in the
        // guest's kernel.
        _ => return Err(Errno::NOSYS),
    })
}

fn changes(reader: &mut Reader<'_>) -> Result<Changes, Errno> {
    const MODE: u32 = 1 << 0;
    const SIZE: u32 = 1 << 3;
    const HANDLE: u32 = 1 << 6;
    /// Bits of the access time and of the time of change: to be set, and to be set to the present.
    const TIMES: [(u32, u32); 2] = [(1 << 4, 1 << 7), (1 << 5, 1 << 8)];
    let valid = reader.u32()?;
    reader.skip(4)?;
    let (handle, size) = (reader.u64()?, reader.u64()?);
    reader.skip(8)?;
    let seconds = [reader.u64()?, reader.u64()?];
    reader.skip(8)?;
    let nanoseconds = [reader.u32()?, reader.u32()?];
    reader.skip(4)?;
    let mode = reader.u32()?;
    let time = |which: usize| {
        let (set, now) = TIMES[which];
        match valid {
            _ if valid & set == 0 => SetTime::Keep,
            _ if valid & now != 0 => SetTime::Now,
            _ => SetTime::At(Time {
                seconds: seconds[which] as i64,
                nanoseconds: nanoseconds[which],
            }),
        }
    };
    Ok(Changes {
        handle: (valid & HANDLE != 0).then_some(handle),
        mode: (valid & MODE != 0).then_some(mode),
        size: (valid & SIZE != 0).then_some(size),
        accessed: time(0),
        modified: time(1),
    })
}

/// A file's attributes, as the guest sees them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(missing_docs, reason = "the protocol's names")]
pub struct Attr {
    pub ino: u64,
    pub size: u64,
    /// Of 512 bytes.
    pub blocks: u64,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
    /// Kind and permissions.
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub blksize: u32,
}

/// A file system's figures.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(missing_docs, reason = "the protocol's names")]
pub struct StatFs {
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub bsize: u32,
    pub namelen: u32,
    pub frsize: u32,
}

/// An entry of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name.
    pub name: Vec<u8>,
    /// Its inode number.
    pub ino: u64,
    /// Its kind, a `DT_` of Linux.
    pub kind: u32,
}

/// A reply under construction, in a buffer that is used again and again.
pub struct Reply<'a> {
    buf: &'a mut Vec<u8>,
    /// How long the reply may become.
    room: usize,
}

impl<'a> Reply<'a> {
    /// An empty reply of at most `room` bytes.
    pub fn new(buf: &'a mut Vec<u8>, room: usize) -> Self {
        buf.clear();
        buf.resize(OUT_HEADER, 0);
        Reply { buf, room }
    }

    /// How many more bytes fit.
    pub fn left(&self) -> usize {
        self.room.saturating_sub(self.buf.len())
    }

    /// Completes it: with an error, there is nothing but the header.
    pub fn finish(self, unique: u64, result: Result<(), Errno>) {
        let mut error = result.err();
        if self.buf.len() > self.room {
            error = Some(Errno::INVAL);
        }
        if error.is_some() {
            self.buf.truncate(OUT_HEADER);
        }
        let code = error.map_or(0, |error| -error.raw_os_error());
        let len = self.buf.len() as u32;
        let header = [
            &len.to_le_bytes()[..],
            &code.to_le_bytes(),
            &unique.to_le_bytes(),
        ]
        .concat();
        for (to, from) in self.buf.iter_mut().zip(header) {
            *to = from;
        }
        if self.room < OUT_HEADER {
            self.buf.clear();
        }
    }

    fn u16(&mut self, value: u16) {
        self.buf.extend(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.buf.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.buf.extend(value.to_le_bytes());
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buf.extend(bytes);
    }

    /// Up to `len` bytes, no more than fit, that `fill` writes: it says how many.
    pub fn fill<E>(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let start = self.buf.len();
        self.buf.resize(start + len.min(self.left()), 0);
        let filled = fill(self.buf.get_mut(start..).unwrap_or_default())?;
        self.buf.truncate(start + filled);
        Ok(())
    }

    /// The answer to FUSE_INIT.
    pub fn init(&mut self, minor: u32, max_readahead: u32, flags: u32) {
        const BACKGROUND: u16 = 64;
        for value in [MAJOR, minor.min(MINOR), max_readahead, flags] {
            self.u32(value);
        }
        self.u16(BACKGROUND);
        self.u16(BACKGROUND / 4 * 3);
        self.u32(MAX_IO as u32);
        // Times are exact to the nanosecond.
        self.u32(1);
        self.u16((MAX_IO / PAGE) as u16);
        self.u16(0);
        for _ in 0..8 {
            self.u32(0);
        }
    }

    /// A node and its attributes, both of which the guest may believe for `valid`.
    pub fn entry(&mut self, node: u64, attr: &Attr, valid: core::time::Duration) {
        self.u64(node);
        // Numbers of nodes are not used twice.
        self.u64(0);
        self.u64(valid.as_secs());
        self.u64(valid.as_secs());
        self.u32(valid.subsec_nanos());
        self.u32(valid.subsec_nanos());
        self.attr(attr);
    }

    /// Attributes, with how long the guest may believe them.
    pub fn attributes(&mut self, attr: &Attr, valid: core::time::Duration) {
        self.u64(valid.as_secs());
        self.u32(valid.subsec_nanos());
        self.u32(0);
        self.attr(attr);
    }

    fn attr(&mut self, attr: &Attr) {
        let times = [attr.atime, attr.mtime, attr.ctime];
        for value in [attr.ino, attr.size, attr.blocks] {
            self.u64(value);
        }
        for time in times {
            self.u64(time.seconds as u64);
        }
        for time in times {
            self.u32(time.nanoseconds);
        }
        let Attr {
            mode,
            nlink,
            uid,
            gid,
            rdev,
            blksize,
            ..
        } = *attr;
        for value in [mode, nlink, uid, gid, rdev, blksize, 0] {
            self.u32(value);
        }
    }

    /// A handle, with a `KEEP_` flag.
    pub fn open(&mut self, handle: u64, flags: u32) {
        self.u64(handle);
        self.u32(flags);
        self.u32(0);
    }

    /// How many bytes were written.
    pub fn written(&mut self, size: u32) {
        self.u32(size);
        self.u32(0);
    }

    /// An offset.
    pub fn offset(&mut self, offset: u64) {
        self.u64(offset);
    }

    /// A file system's figures.
    pub fn stat_fs(&mut self, stat: &StatFs) {
        for value in [stat.blocks, stat.bfree, stat.bavail, stat.files, stat.ffree] {
            self.u64(value);
        }
        for value in [stat.bsize, stat.namelen, stat.frsize] {
            self.u32(value);
        }
        for _ in 0..7 {
            self.u32(0);
        }
    }

    /// Whether an entry of a directory, with attributes or without, still fits, if `limit` bytes
    /// are what the guest asked for.
    pub fn fits(&self, entry: &Entry, plus: bool, limit: usize) -> bool {
        let size = 24 + entry.name.len().next_multiple_of(8) + if plus { 128 } else { 0 };
        let used = self.buf.len() - OUT_HEADER;
        size <= self.left() && used + size <= limit
    }

    /// An entry of a directory; `next` is where the one after it is.
    pub fn dirent(&mut self, entry: &Entry, next: u64) {
        self.u64(entry.ino);
        self.u64(next);
        self.u32(entry.name.len() as u32);
        self.u32(entry.kind);
        self.bytes(&entry.name);
        let padding = entry.name.len().next_multiple_of(8) - entry.name.len();
        self.bytes(&[0; 8][..padding]);
    }
}
