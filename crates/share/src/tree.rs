//! The shared directory on the host, and nothing beside it.
//!
//! Every name is looked up in a directory that is open, alone: symbolic links are never followed,
//! and neither are mounts, `..`, or an absolute path. A path is opened with the kernel's word that
//! all of it stays below (`openat2`). Whatever is to be opened is first opened as a place only
//! (`O_PATH`), which does nothing to a device or a pipe, and looked at.

use crate::nodes::{Identity, Stamp};
use crate::wire::{Attr, Entry, Name, SetTime, StatFs, Time};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, Statx, StatxAttributes,
    StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
};
use rustix::io::Errno;
use rustix::path::DecInt;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// How paths are resolved.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// A place, not a file to read or write.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The most bytes of a path that are resolved at once, below PATH_MAX.
const PIECE: usize = 2048;

/// Bits of a mode that the guest may set. Who else uses this host must not find programs that run
/// as somebody else.
const SETTABLE: u32 = 0o1777;
const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const GROUP_EXECUTES: u32 = 0o010;

/// Why a directory can't be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The directory can't be opened.
    #[error("{0}; check the path and its permissions")]
    Directory(#[source] std::io::Error),
    /// `openat2` is missing.
    #[error(
        "the host can't confine the guest to it ({0}); that takes Linux 5.8 or later, and a \
         sandbox that allows openat2"
    )]
    Confinement(#[source] std::io::Error),
    /// `/proc` is missing.
    #[error("the host has no usable /proc ({0}); mount it")]
    Proc(#[source] std::io::Error),
}

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Which it is.
    pub identity: Identity,
    /// What the guest is shown.
    pub attr: Attr,
    /// The host's permissions and kind.
    pub mode: u32,
}

impl Stat {
    /// What kind of file.
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Its contents' stamp: none yet, if they changed so recently that they could change again
    /// within the tick of the clock that files are stamped with.
    pub fn stamp(&self) -> Option<Stamp> {
        const TICK: i64 = 1;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = i64::try_from(now.ok()?.as_secs()).ok()?;
        let Attr {
            size, mtime, ctime, ..
        } = self.attr;
        let settled = now - ctime.seconds.max(mtime.seconds) > TICK;
        settled.then_some(Stamp {
            size,
            modified: mtime,
            changed: ctime,
        })
    }
}

/// Whose files are the guest's root's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The user that Skep runs as.
    pub user: u32,
    /// The user's group.
    pub group: u32,
}

/// Nobody: the guest's view of the host's root, unless that runs Skep.
const NOBODY: u32 = 65534;

/// An owner as the guest sees it.
fn shown(id: u32, own: u32) -> u32 {
    match id {
        _ if id == own => 0,
        0 => NOBODY,
        other => other,
    }
}

/// The shared directory.
pub struct Tree {
    root: Arc<OwnedFd>,
    identity: Identity,
    owner: Owner,
    /// `/proc/self/fd`, through which a place becomes a file.
    places: BorrowedFd<'static>,
}

impl Tree {
    /// Opens a directory.
    ///
    /// # Errors
    /// See [`ShareError`].
    pub fn open(path: &Path) -> Result<Self, ShareError> {
        // A symbolic link here is the user's, and so is followed.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| ShareError::Directory(error.into()))?;
        let confinement = |error: Errno| ShareError::Confinement(error.into());
        rustix::fs::openat2(&root, ".", PLACE, Mode::empty(), BENEATH).map_err(confinement)?;
        let places =
            rustix_linux_procfs::proc_self_fd().map_err(|error| ShareError::Proc(error.into()))?;
        let owner = Owner {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
        };
        let stat = stat_of(&root, owner).map_err(confinement)?;
        Ok(Tree {
            root: Arc::new(root),
            identity: stat.identity,
            owner,
            places,
        })
    }

    /// Which directory it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Opens a directory as a place, by its path of names from the root.
    pub fn directory(&self, path: &[&[u8]]) -> Result<Arc<OwnedFd>, Errno> {
        let mut place = self.root.clone();
        let mut rest = path;
        while !rest.is_empty() {
            let mut piece = Vec::new();
            while let Some((name, others)) = rest.split_first()
                && (piece.is_empty() || piece.len() + name.len() < PIECE)
            {
                if !piece.is_empty() {
                    piece.push(b'/');
                }
                piece.extend_from_slice(name);
                rest = others;
            }
            let flags = PLACE | OFlags::DIRECTORY;
            let next = rustix::fs::openat2(&place, &*piece, flags, Mode::empty(), BENEATH)?;
            place = Arc::new(next);
        }
        Ok(place)
    }

    /// What is known of what is open.
    pub fn stat(&self, place: impl AsFd) -> Result<Stat, Errno> {
        stat_of(place, self.owner)
    }

    /// What is known of a name in a directory.
    ///
    /// # Errors
    /// `EXDEV` for the root of another file system, which is not shared.
    pub fn stat_at(&self, directory: impl AsFd, name: Name<'_>) -> Result<Stat, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        stat_by(directory, name.bytes(), flags, self.owner)
    }

    /// Opens a name in a directory as a place.
    pub fn place(&self, directory: impl AsFd, name: Name<'_>) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(directory, name.bytes(), PLACE, Mode::empty(), BENEATH)
    }

    /// Opens a regular file whose place is known. To be written, it loses what makes programs run
    /// as somebody else.
    pub fn file(&self, place: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        let stat = self.stat(&place)?;
        match stat.kind() {
            FileType::RegularFile => {}
            FileType::Directory => return Err(Errno::ISDIR),
            FileType::Symlink => return Err(Errno::LOOP),
            _ => return Err(Errno::ACCESS),
        }
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC);
        if writes && runs_as_another(stat.mode) {
            self.chmod(&place, stat.mode)?;
        }
        let number = DecInt::from_fd(place.as_fd());
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::openat(self.places, number, flags, Mode::empty())
    }

    /// Opens a directory whose place is known, to be read.
    pub fn reader(&self, place: impl AsFd) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(place, ".", flags, Mode::empty(), BENEATH)
    }

    /// Makes a file that does not exist, and opens it.
    pub fn create(
        &self,
        directory: impl AsFd,
        name: Name<'_>,
        flags: OFlags,
        mode: u32,
    ) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777);
        rustix::fs::openat2(directory, name.bytes(), flags, mode, BENEATH)
    }

    /// Makes an empty file, or a pipe. Devices and sockets are refused.
    pub fn make_node(&self, directory: impl AsFd, name: Name<'_>, mode: u32) -> Result<(), Errno> {
        let kind = match FileType::from_raw_mode(mode) {
            FileType::Unknown => FileType::RegularFile,
            kind @ (FileType::RegularFile | FileType::Fifo) => kind,
            _ => return Err(Errno::PERM),
        };
        let mode = Mode::from_raw_mode(mode & 0o777);
        rustix::fs::mknodat(directory, name.bytes(), kind, mode, 0)
    }

    /// Makes a directory.
    pub fn make_directory(
        &self,
        directory: impl AsFd,
        name: Name<'_>,
        mode: u32,
    ) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(mode & SETTABLE);
        rustix::fs::mkdirat(directory, name.bytes(), mode)
    }

    /// Gives a file, whose place is known, another name.
    pub fn link(
        &self,
        place: impl AsFd,
        directory: impl AsFd,
        name: Name<'_>,
    ) -> Result<(), Errno> {
        let number = DecInt::from_fd(place.as_fd());
        let follow = AtFlags::SYMLINK_FOLLOW;
        rustix::fs::linkat(self.places, number, directory, name.bytes(), follow)
    }

    /// Sets permissions of a file whose place is known: those that may be set.
    pub fn chmod(&self, place: impl AsFd, mode: u32) -> Result<(), Errno> {
        let stat = self.stat(&place)?;
        // New files in the directory have its group: that is no danger, and stays as it is.
        let kept = match stat.kind() {
            FileType::Directory => stat.mode & SET_GROUP,
            // Links have no permissions.
            FileType::Symlink => return Err(Errno::OPNOTSUPP),
            _ => 0,
        };
        let mode = Mode::from_raw_mode(mode & SETTABLE | kept);
        let number = DecInt::from_fd(place.as_fd());
        rustix::fs::chmodat(self.places, number, mode, AtFlags::empty())
    }

    /// Sets times of a file whose place is known.
    pub fn set_times(
        &self,
        place: impl AsFd,
        accessed: SetTime,
        modified: SetTime,
    ) -> Result<(), Errno> {
        let times = Timestamps {
            last_access: timespec(accessed),
            last_modification: timespec(modified),
        };
        rustix::fs::utimensat(place, "", &times, AtFlags::EMPTY_PATH)
    }

    /// Sets the size of a file whose place is known.
    pub fn set_size(&self, place: impl AsFd, size: u64) -> Result<(), Errno> {
        rustix::fs::ftruncate(self.file(place, OFlags::WRONLY)?, size)
    }

    /// The target of a symbolic link whose place is known.
    pub fn target(&self, place: impl AsFd) -> Result<Vec<u8>, Errno> {
        let target = rustix::fs::readlinkat(place, "", Vec::new())?;
        Ok(target.into_bytes())
    }

    /// The file system's figures.
    pub fn stat_fs(&self) -> Result<StatFs, Errno> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
        Ok(StatFs {
            blocks: stat.f_blocks,
            bfree: stat.f_bfree,
            bavail: stat.f_bavail,
            files: stat.f_files,
            ffree: stat.f_ffree,
            bsize: stat.f_bsize as u32,
            namelen: stat.f_namemax as u32,
            frsize: stat.f_frsize as u32,
        })
    }
}

fn runs_as_another(mode: u32) -> bool {
    let group = mode & SET_GROUP != 0 && mode & GROUP_EXECUTES != 0;
    mode & SET_USER != 0 || group
}

fn timespec(time: SetTime) -> Timespec {
    let special = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    match time {
        SetTime::Keep => special(UTIME_OMIT),
        SetTime::Now => special(UTIME_NOW),
        // Too many nanoseconds are the host's to refuse, but for the two numbers above.
        SetTime::At(time) => Timespec {
            tv_sec: time.seconds,
            tv_nsec: time.nanoseconds.min(1_000_000_000).into(),
        },
    }
}

fn stat_of(place: impl AsFd, owner: Owner) -> Result<Stat, Errno> {
    stat_by(place, b"", AtFlags::EMPTY_PATH, owner)
}

fn stat_by(directory: impl AsFd, name: &[u8], flags: AtFlags, owner: Owner) -> Result<Stat, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let found = rustix::fs::statx(directory, name, flags, wanted)?;
    let elsewhere = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    if elsewhere && !flags.contains(AtFlags::EMPTY_PATH) {
        return Err(Errno::XDEV);
    }
    Ok(stat(&found, owner))
}

fn stat(found: &Statx, owner: Owner) -> Stat {
    let time = |time: rustix::fs::StatxTimestamp| Time {
        seconds: time.tv_sec,
        nanoseconds: time.tv_nsec,
    };
    let born = if found.stx_mask & StatxFlags::BTIME.bits() != 0 {
        (found.stx_btime.tv_sec, found.stx_btime.tv_nsec)
    } else {
        (0, 0)
    };
    let (major, minor) = (found.stx_rdev_major, found.stx_rdev_minor);
    Stat {
        identity: Identity {
            device: (found.stx_dev_major, found.stx_dev_minor),
            ino: found.stx_ino,
            born,
        },
        attr: Attr {
            ino: found.stx_ino,
            size: found.stx_size,
            blocks: found.stx_blocks,
            atime: time(found.stx_atime),
            mtime: time(found.stx_mtime),
            ctime: time(found.stx_ctime),
            mode: found.stx_mode.into(),
            nlink: found.stx_nlink,
            uid: shown(found.stx_uid, owner.user),
            gid: shown(found.stx_gid, owner.group),
            // As Linux's new_encode_dev packs it.
            rdev: minor & 0xff | major << 8 | (minor & !0xff) << 12,
            blksize: found.stx_blksize,
        },
        mode: found.stx_mode.into(),
    }
}

/// A directory that is being read. Positions are counted from its beginning: the host's own need 64
/// bits, for which 32-bit programs have no room.
pub struct Listing {
    directory: OwnedFd,
    /// The host's position after each entry so far.
    positions: Vec<u64>,
    /// Entries that the guest has not been given yet; the first is that after `given` others.
    pending: std::collections::VecDeque<Entry>,
    given: usize,
}

impl Listing {
    /// From the beginning of a directory.
    pub fn new(directory: OwnedFd) -> Self {
        Listing {
            directory,
            positions: Vec::new(),
            pending: std::collections::VecDeque::new(),
            given: 0,
        }
    }

    /// The directory.
    pub fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// How many positions it has to remember.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Goes to a position: 0, or one that [`Listing::take`] told.
    ///
    /// # Errors
    /// `EINVAL` for any other, and what the host has to say.
    pub fn go_to(&mut self, position: u64) -> Result<(), Errno> {
        let position = usize::try_from(position).map_err(|_| Errno::INVAL)?;
        if position == self.given && position != 0 {
            return Ok(());
        }
        let at = match position.checked_sub(1) {
            // From the beginning, with what has changed since.
            None => 0,
            Some(before) => *self.positions.get(before).ok_or(Errno::INVAL)?,
        };
        rustix::fs::seek(&self.directory, SeekFrom::Start(at))?;
        self.positions.truncate(position);
        self.pending.clear();
        self.given = position;
        Ok(())
    }

    /// Takes the next entry, with the position after it. There are no more than `limit`.
    ///
    /// # Errors
    /// `ENOMEM` beyond the limit, and what the host has to say.
    pub fn take(&mut self, limit: usize) -> Result<Option<(Entry, u64)>, Errno> {
        if self.pending.is_empty() {
            if self.positions.len() >= limit {
                return Err(Errno::NOMEM);
            }
            self.read()?;
        }
        let Some(entry) = self.pending.pop_front() else {
            return Ok(None);
        };
        self.given += 1;
        Ok(Some((entry, self.given as u64)))
    }

    /// Gives the entry that was taken last back.
    pub fn give_back(&mut self, entry: Entry) {
        self.pending.push_front(entry);
        self.given -= 1;
    }

    fn read(&mut self) -> Result<(), Errno> {
        let mut buf = [MaybeUninit::uninit(); 16 << 10];
        let mut entries = RawDir::new(&self.directory, &mut buf);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            self.positions.push(entry.next_entry_cookie());
            self.pending.push_back(Entry {
                name: entry.file_name().to_bytes().to_vec(),
                ino: entry.ino(),
                kind: kind_in_directory(entry.file_type()),
            });
            if entries.is_buffer_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// Linux's `DT_` of a kind of file.
fn kind_in_directory(kind: FileType) -> u32 {
    match kind {
        FileType::Fifo => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 4,
        FileType::BlockDevice => 6,
        FileType::RegularFile => 8,
        FileType::Symlink => 10,
        FileType::Socket => 12,
        FileType::Unknown => 0,
    }
}
