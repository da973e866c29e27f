//! The cache: a directory for each flavour, which appears by a rename, complete or not at all.
//!
//! A list in it has each file's length and CRC, so that a file that was damaged later is noticed
//! before a guest fails in strange ways.

use crate::{Error, Guest, Progress};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Changes when what is built changes: an older cache is not used.
const VERSION: u32 = 21;

/// The zImage's name.
pub const KERNEL: &str = "vmlinuz";
/// The unpacked kernel's.
pub const UNPACKED: &str = "vmlinux";
/// The initial RAM disk's.
pub const INITRD: &str = "initrd.cpio";
/// A line for each file: its name, length and CRC-32 (hexadecimal).
const LIST: &str = "files";

/// How the names begin of directories in which a guest is built.
const UNFINISHED: &str = "new-";

/// One of the user's directories, by the XDG base directory specification: what the variable `name` says,
/// or else a place in the home directory. A relative one counts as none.
pub fn base_directory(
    variable: impl Fn(&str) -> Option<OsString>,
    name: &str,
    in_home: &str,
) -> Option<PathBuf> {
    let absolute = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute(name).or_else(|| Some(absolute("HOME")?.join(in_home)))
}

/// The user's cache directory for Skep.
pub fn default_directory(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    base_directory(variable, "XDG_CACHE_HOME", ".cache")
        .map(|base| base.join("skep"))
        .ok_or(Error::NoCache)
}

/// A directory that a guest's files are written to.
pub struct Into {
    directory: PathBuf,
    list: std::cell::RefCell<String>,
}

impl Into {
    /// Writes a file, to the disk itself.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), Error> {
        let path = self.directory.join(name);
        File::create(&path)
            .and_then(|mut file| file.write_all(contents).and_then(|()| file.sync_all()))
            .map_err(Error::cache(&path))?;
        let line = entry(name, contents).map_err(Error::cache(&path))?;
        self.list.borrow_mut().push_str(&line);
        Ok(())
    }
}

/// A file's line in the list. The contents are read in pieces: whole kernels would leave the
/// process's heap large for good.
fn entry(name: &str, mut contents: impl Read) -> io::Result<String> {
    let (mut crc, mut len) = (crc32fast::Hasher::new(), 0);
    let mut piece = [0; 32 << 10];
    loop {
        let read = match contents.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(0) => return Ok(format!("{name} {len} {:08x}\n", crc.finalize())),
            Ok(read) => read,
        };
        crc.update(piece.get(..read).unwrap_or(&piece));
        len += read;
    }
}

/// What the cache has of what is looked for.
enum Found {
    /// The names of the files.
    Complete(Vec<String>),
    Damaged,
    Nothing,
}

/// Looks at a directory, which must have these files.
fn find(directory: &Path, required: &[&str]) -> Found {
    let Ok(list) = fs::read_to_string(directory.join(LIST)) else {
        return if directory.exists() {
            Found::Damaged
        } else {
            Found::Nothing
        };
    };
    let names: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let intact = |name: &str| {
        let line = File::open(directory.join(name)).and_then(|file| entry(name, file));
        line.is_ok_and(|line| list.contains(&line))
    };
    if !required.iter().all(|name| names.contains(name)) || !names.iter().all(|name| intact(name)) {
        return Found::Damaged;
    }
    Found::Complete(names.into_iter().map(str::to_owned).collect())
}

/// The guest `name` in the cache `directory`. If there is none, `build` is called with a directory
/// to work in and one for the guest's files; both vanish if it fails.
pub fn ensure(
    directory: &Path,
    name: &str,
    progress: &dyn Progress,
    build: impl FnOnce(&Path, &Into) -> Result<(), Error>,
) -> Result<Guest, Error> {
    let (directory, names) = ensure_files(directory, name, &[KERNEL, INITRD], progress, build)?;
    let boot = if names.iter().any(|name| name == UNPACKED) {
        UNPACKED
    } else {
        KERNEL
    };
    Ok(Guest {
        kernel: directory.join(KERNEL),
        boot: directory.join(boot),
        initrd: directory.join(INITRD),
    })
}

/// The directory `name` in the cache `directory`, and its files, of which some are required. As
/// [`ensure`].
pub fn ensure_files(
    directory: &Path,
    name: &str,
    required: &[&str],
    progress: &dyn Progress,
    build: impl FnOnce(&Path, &Into) -> Result<(), Error>,
) -> Result<(PathBuf, Vec<String>), Error> {
    let finished = directory.join(format!("{name}-{VERSION}"));
    // A complete one needs no more than to be read.
    if let Found::Complete(names) = find(&finished, required) {
        return Ok((finished, names));
    }
    fs::create_dir_all(directory).map_err(Error::cache(directory))?;
    let _lock = lock(directory, progress)?;
    let damaged = match find(&finished, required) {
        // Another process built it while this one waited.
        Found::Complete(names) => return Ok((finished, names)),
        Found::Damaged => true,
        Found::Nothing => false,
    };
    rebuild(directory, &finished, build).map_err(|error| {
        if damaged {
            Error::Damaged {
                path: finished.clone(),
                source: Box::new(error),
            }
        } else {
            error
        }
    })?;
    sweep(directory, |entry| outdated(entry, name));
    match find(&finished, required) {
        Found::Complete(names) => Ok((finished, names)),
        Found::Damaged | Found::Nothing => Err(Error::cache(&finished)(std::io::Error::other(
            "its files are not what was written",
        ))),
    }
}

/// Builds the guest and puts it into its place.
fn rebuild(
    directory: &Path,
    finished: &Path,
    build: impl FnOnce(&Path, &Into) -> Result<(), Error>,
) -> Result<(), Error> {
    // What processes left that were killed while they built.
    sweep(directory, |entry| entry.starts_with(UNFINISHED));
    // Dropped, with all that is in it, whatever happens.
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(directory)
        .map_err(Error::cache(directory))?;
    let subdirectory = |name| {
        // apt wants absolute paths.
        let path = fs::canonicalize(unfinished.path())
            .map_err(Error::cache(directory))?
            .join(name);
        fs::create_dir(&path).map_err(Error::cache(&path))?;
        Ok(path)
    };
    let work = subdirectory("work")?;
    let into = Into {
        directory: subdirectory("guest")?,
        list: std::cell::RefCell::default(),
    };
    build(&work, &into)?;
    let list = into.list.take();
    into.write(LIST, list.as_bytes())?;
    if finished.exists() {
        fs::remove_dir_all(finished).map_err(Error::cache(finished))?;
    }
    fs::rename(&into.directory, finished).map_err(Error::cache(finished))
}

/// Refuses a disk with less room than `bytes`: a full one makes apt try again for minutes.
pub fn require_space(directory: &Path, bytes: u64) -> Result<(), Error> {
    // A file system that does not tell has to be tried.
    match rustix::fs::statvfs(directory) {
        Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < bytes => {
            Err(Error::cache(directory)(ErrorKind::StorageFull.into()))
        }
        _ => Ok(()),
    }
}

/// Only who holds the lock builds. It ends with the process that holds it, however that ends.
pub fn lock(directory: &Path, progress: &dyn Progress) -> Result<File, Error> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(Error::cache(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress.stage("Waiting for another skep that prepares the guest");
            file.lock().map_err(Error::cache(&path))?;
        }
        Err(TryLockError::Error(error)) => return Err(Error::cache(&path)(error)),
    }
    Ok(file)
}

/// Whether a directory's name is that of the guest `name` in an older version.
fn outdated(entry: &str, name: &str) -> bool {
    entry
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('-')?.parse::<u32>().ok())
        .is_some_and(|version| version < VERSION)
}

/// Removes the directories and files whose names fit. What can't be removed stays: it does no harm.
pub fn sweep(directory: &Path, fits: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(&fits) {
            let path = entry.path();
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
    }
}
