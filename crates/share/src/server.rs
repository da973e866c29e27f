//! A session: what a guest asks, and what it is answered.

use crate::nodes::Nodes;
use crate::tree::{Listing, ShareError, Stat, Tree};
use crate::wire::*;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FallocateFlags, OFlags, RenameFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the guest may believe what it was told: after so long it sees what the host has changed.
const VALID: Duration = Duration::from_secs(1);

/// What FUSE_INIT offers, if the guest has it, too.
const FEATURES: u32 = ASYNC_READ
    | ATOMIC_O_TRUNC
    | BIG_WRITES
    | AUTO_INVAL_DATA
    | DO_READDIRPLUS
    | READDIRPLUS_AUTO
    | PARALLEL_DIROPS
    | HANDLE_KILLPRIV
    | MAX_PAGES;

/// How much of the host a guest may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Files and directories that are open at a time. Each is one of the host's, too.
    pub handles: usize,
    /// Files that the guest knows of at a time: some 200 bytes each.
    pub nodes: usize,
    /// Entries of all directories that are being read: 8 bytes each.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            handles: 1024,
            nodes: 1 << 20,
            entries: 4 << 20,
        }
    }
}

impl Limits {
    /// For one of so many servers of this process. Its limit on open files is raised as far as
    /// it may raise it itself, and half of what there is is left to others.
    #[must_use]
    pub fn for_servers(servers: usize) -> Self {
        const MOST: u64 = 1 << 15;
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: before.maximum,
            ..before
        };
        let limit = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => raised.current,
            Err(_) => before.current,
        };
        let half = limit.unwrap_or(u64::MAX).min(MOST) / 2;
        Limits {
            handles: (half as usize / servers.max(1)).max(16),
            ..Limits::default()
        }
    }
}

enum Handle {
    File {
        file: Arc<OwnedFd>,
        node: u64,
        /// Writes go to the end.
        append: bool,
    },
    Directory {
        listing: Box<Listing>,
        node: u64,
    },
}

/// Serves one shared directory to one guest.
pub struct Server {
    tree: Tree,
    read_only: bool,
    limits: Limits,
    started: bool,
    nodes: Nodes,
    handles: HashMap<u64, Handle>,
    next_handle: u64,
}

impl Server {
    /// Shares a directory. With `read_only` nothing in it is ever changed.
    ///
    /// # Errors
    /// See [`ShareError`].
    pub fn new(directory: &Path, read_only: bool, limits: Limits) -> Result<Self, ShareError> {
        let tree = Tree::open(directory)?;
        Ok(Server {
            nodes: Nodes::new(tree.identity(), limits.nodes),
            tree,
            read_only,
            limits,
            started: false,
            handles: HashMap::new(),
            next_handle: 1,
        })
    }

    /// Closes all files and forgets what the guest knows: it starts anew.
    pub fn reset(&mut self) {
        self.started = false;
        self.handles.clear();
        self.nodes = Nodes::new(self.tree.identity(), self.limits.nodes);
    }

    /// How many files and directories the guest has open.
    pub fn open_count(&self) -> usize {
        self.handles.len()
    }

    /// How many files the guest knows of.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Answers a message, with at most `room` bytes in `reply`; with none, if it is of the kind
    /// that has no answer.
    pub fn serve(&mut self, message: &[u8], room: usize, reply: &mut Vec<u8>) {
        let Some(request) = Request::decode(message) else {
            reply.clear();
            return;
        };
        let unique = request.unique;
        let mut answer = Reply::new(reply, room);
        let result = request
            .operation
            .and_then(|operation| self.perform(request.node, operation, &mut answer));
        match result {
            Ok(true) => answer.finish(unique, Ok(())),
            Ok(false) => reply.clear(),
            Err(error) => answer.finish(unique, Err(error)),
        }
    }

    /// Does what is asked. False if there is no answer to it.
    fn perform(
        &mut self,
        node: u64,
        operation: Operation<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<bool, Errno> {
        match operation {
            Operation::Init {
                major,
                minor,
                max_readahead,
                flags,
            } => {
                if major != MAJOR || minor < OLDEST_MINOR {
                    return Err(Errno::PROTO);
                }
                self.reset();
                self.started = true;
                reply.init(minor, max_readahead, flags & FEATURES);
                return Ok(true);
            }
            Operation::Destroy => {
                self.reset();
                return Ok(true);
            }
            Operation::Forget(forgotten) => {
                for (node, lookups) in forgotten {
                    self.nodes.forget(node, lookups);
                }
                return Ok(false);
            }
            Operation::Interrupt => return Ok(false),
            _ if !self.started => return Err(Errno::IO),
            _ if self.read_only && changes(&operation) => return Err(Errno::ROFS),
            _ => {}
        }
        match operation {
            Operation::Lookup { name } => {
                let directory = self.directory(node)?;
                self.entry(node, name, &directory, reply)?;
            }
            Operation::GetAttr { handle } => {
                let stat = self.stat(node, handle)?;
                reply.attributes(&stat.attr, VALID);
            }
            Operation::SetAttr(changes) => self.set_attributes(node, &changes, reply)?,
            Operation::ReadLink => {
                let target = self.tree.target(self.place(node)?)?;
                reply.bytes(&target);
            }
            Operation::SymLink { name, target } => {
                let directory = self.directory(node)?;
                rustix::fs::symlinkat(target, &directory, name.bytes())?;
                self.entry(node, name, &directory, reply)?;
            }
            Operation::MkNod { name, mode } => {
                let directory = self.directory(node)?;
                self.tree.make_node(&directory, name, mode)?;
                self.entry(node, name, &directory, reply)?;
            }
            Operation::MkDir { name, mode } => {
                let directory = self.directory(node)?;
                self.tree.make_directory(&directory, name, mode)?;
                self.entry(node, name, &directory, reply)?;
            }
            Operation::Unlink { name } => {
                let directory = self.directory(node)?;
                rustix::fs::unlinkat(directory, name.bytes(), AtFlags::empty())?;
            }
            Operation::RmDir { name } => {
                let directory = self.directory(node)?;
                rustix::fs::unlinkat(directory, name.bytes(), AtFlags::REMOVEDIR)?;
            }
            Operation::Rename {
                name,
                to,
                new,
                flags,
            } => self.rename(node, name, to, new, flags)?,
            Operation::Link {
                node: existing,
                name,
            } => {
                let place = self.place(existing)?;
                let directory = self.directory(node)?;
                self.tree.link(place, &directory, name)?;
                self.entry(node, name, &directory, reply)?;
            }
            Operation::Open { flags } => self.open(node, flags, reply)?,
            Operation::Create { name, flags, mode } => {
                self.create(node, name, flags, mode, reply)?;
            }
            Operation::Read {
                handle,
                offset,
                size,
            } => {
                let (file, _) = self.file(handle)?;
                let size = (size as usize).min(MAX_IO);
                reply.fill(size, |buf| read(file, offset, buf))?;
            }
            Operation::Write {
                handle,
                offset,
                cached,
                data,
            } => {
                let (file, append) = self.file(handle)?;
                let flags = if append && !cached {
                    ReadWriteFlags::APPEND
                } else {
                    ReadWriteFlags::empty()
                };
                // The host takes -1 for a position of its own.
                if i64::try_from(offset).is_err() {
                    return Err(Errno::INVAL);
                }
                let data = [IoSlice::new(data)];
                let write = || rustix::io::pwritev2(file, &data, offset, flags);
                reply.written(retry_on_intr(write)? as u32);
            }
            Operation::Release { handle } => {
                self.handles.remove(&handle);
            }
            Operation::Sync { handle, data_only } => match self.handle(handle)? {
                Handle::File { file, .. } if data_only => rustix::fs::fdatasync(file)?,
                Handle::File { file, .. } => rustix::fs::fsync(file)?,
                Handle::Directory { listing, .. } => rustix::fs::fsync(listing.directory())?,
            },
            Operation::OpenDir => {
                self.make_room()?;
                let place = self.directory(node)?;
                let listing = Box::new(Listing::new(self.tree.reader(place)?));
                let handle = self.insert(Handle::Directory { listing, node });
                reply.open(handle, 0);
            }
            Operation::ReadDir {
                handle,
                offset,
                size,
                plus,
            } => self.read_directory(handle, offset, size as usize, plus, reply)?,
            Operation::StatFs => reply.stat_fs(&self.tree.stat_fs()?),
            Operation::Allocate {
                handle,
                offset,
                length,
                mode,
            } => {
                let (file, _) = self.file(handle)?;
                let known = FallocateFlags::KEEP_SIZE
                    | FallocateFlags::PUNCH_HOLE
                    | FallocateFlags::ZERO_RANGE;
                let mode = FallocateFlags::from_bits(mode)
                    .filter(|mode| known.contains(*mode))
                    .ok_or(Errno::OPNOTSUPP)?;
                rustix::fs::fallocate(file, mode, offset, length)?;
            }
            Operation::Seek {
                handle,
                offset,
                whence,
            } => {
                let (file, _) = self.file(handle)?;
                let to = match whence {
                    3 => SeekFrom::Data(offset),
                    4 => SeekFrom::Hole(offset),
                    // The guest's kernel knows the rest.
                    _ => return Err(Errno::INVAL),
                };
                reply.offset(rustix::fs::seek(file, to)?);
            }
            // Done above.
            Operation::Init { .. }
            | Operation::Destroy
            | Operation::Forget(_)
            | Operation::Interrupt => {}
        }
        Ok(true)
    }

    /// A node that must be a directory, as a place. What is not where it was is stale: the guest
    /// looks for it again then.
    fn directory(&self, node: u64) -> Result<Arc<OwnedFd>, Errno> {
        let identity = self.nodes.identity(node)?;
        let path = self.nodes.path(node)?;
        let place = self.tree.directory(&path).map_err(gone)?;
        if self.tree.stat(&place)?.identity != identity {
            return Err(Errno::STALE);
        }
        Ok(place)
    }

    /// A node as a place.
    fn place(&self, node: u64) -> Result<Arc<OwnedFd>, Errno> {
        if node == ROOT {
            return self.directory(node);
        }
        let identity = self.nodes.identity(node)?;
        let found = self.named(node, |directory, name| {
            let place = self.tree.place(directory, name)?;
            let found = self.tree.stat(&place)?.identity;
            Ok((place, found))
        });
        match found {
            Ok((place, found)) if found == identity => Ok(Arc::new(place)),
            Ok(_) | Err(Errno::STALE) => self.opened(node).ok_or(Errno::STALE),
            Err(error) => Err(error),
        }
    }

    /// What is known of a node: by the handle that the guest names, by its name, or if it has none
    /// any more, by any handle.
    fn stat(&self, node: u64, handle: Option<u64>) -> Result<Stat, Errno> {
        if let Some(Handle::File { file, node: of, .. }) =
            handle.and_then(|handle| self.handles.get(&handle))
            && *of == node
        {
            return self.tree.stat(file);
        }
        if node == ROOT {
            return self.tree.stat(self.directory(node)?);
        }
        let identity = self.nodes.identity(node)?;
        match self.named(node, |directory, name| self.tree.stat_at(directory, name)) {
            Ok(stat) if stat.identity == identity => Ok(stat),
            Ok(_) | Err(Errno::STALE) => match self.opened(node) {
                Some(file) => self.tree.stat(file),
                None => Err(Errno::STALE),
            },
            Err(error) => Err(error),
        }
    }

    /// Does something with a node's last known directory, and its name there. It is stale if that
    /// finds nothing.
    fn named<T>(
        &self,
        node: u64,
        act: impl FnOnce(&OwnedFd, Name<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let (parent, name) = self.nodes.location(node)?;
        let directory = self.directory(parent)?;
        act(&directory, Name::new(name)?).map_err(gone)
    }

    /// A file that is open for a node, wherever it is, and if it is nowhere.
    fn opened(&self, node: u64) -> Option<Arc<OwnedFd>> {
        self.handles.values().find_map(|handle| match handle {
            Handle::File { file, node: of, .. } if *of == node => Some(file.clone()),
            _ => None,
        })
    }

    /// Answers with what a name is in a directory.
    fn entry(
        &mut self,
        node: u64,
        name: Name<'_>,
        directory: &OwnedFd,
        reply: &mut Reply<'_>,
    ) -> Result<(), Errno> {
        let stat = self.tree.stat_at(directory, name)?;
        let number = self.nodes.look_up(stat.identity, node, name.bytes())?;
        reply.entry(number, &stat.attr, VALID);
        Ok(())
    }

    fn set_attributes(
        &mut self,
        node: u64,
        changes: &Changes,
        reply: &mut Reply<'_>,
    ) -> Result<(), Errno> {
        let open = match changes.handle.map(|handle| self.handles.get(&handle)) {
            Some(Some(Handle::File { file, node: of, .. })) if *of == node => Some(file.clone()),
            _ => None,
        };
        let place = match &open {
            Some(file) => file.clone(),
            None => self.place(node)?,
        };
        if let Some(mode) = changes.mode {
            self.tree.chmod(&place, mode)?;
        }
        if let Some(size) = changes.size {
            match &open {
                // It may be open for writing although its permissions no longer allow that.
                Some(file) => rustix::fs::ftruncate(file, size)?,
                None => self.tree.set_size(&place, size)?,
            }
        }
        if (changes.accessed, changes.modified) != (SetTime::Keep, SetTime::Keep) {
            self.tree
                .set_times(&place, changes.accessed, changes.modified)?;
        }
        reply.attributes(&self.tree.stat(&place)?.attr, VALID);
        Ok(())
    }

    fn rename(
        &mut self,
        node: u64,
        name: Name<'_>,
        to: u64,
        new: Name<'_>,
        flags: u32,
    ) -> Result<(), Errno> {
        let known = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
        let flags = RenameFlags::from_bits(flags)
            .filter(|flags| known.contains(*flags))
            .ok_or(Errno::INVAL)?;
        let (from_dir, to_dir) = (self.directory(node)?, self.directory(to)?);
        rustix::fs::renameat_with(&from_dir, name.bytes(), &to_dir, new.bytes(), flags)?;
        // Should the host have moved it on already, the guest looks for it when it needs it.
        if let Ok(stat) = self.tree.stat_at(&to_dir, new) {
            self.nodes.place(stat.identity, to, new.bytes());
        }
        if flags.contains(RenameFlags::EXCHANGE)
            && let Ok(stat) = self.tree.stat_at(&from_dir, name)
        {
            self.nodes.place(stat.identity, node, name.bytes());
        }
        Ok(())
    }

    fn open(&mut self, node: u64, flags: u32, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let flags_of_host = host_flags(flags);
        let writes = flags_of_host.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC);
        if self.read_only && writes {
            return Err(Errno::ROFS);
        }
        self.make_room()?;
        let file = self.tree.file(self.place(node)?, flags_of_host)?;
        let contents = self.tree.stat(&file)?.stamp();
        let keep = self.nodes.cache(node, contents);
        let handle = self.insert(Handle::File {
            file: Arc::new(file),
            node,
            append: flags & open::APPEND != 0,
        });
        reply.open(handle, if keep { KEEP_CACHE } else { 0 });
        Ok(())
    }

    fn create(
        &mut self,
        node: u64,
        name: Name<'_>,
        flags: u32,
        mode: u32,
        reply: &mut Reply<'_>,
    ) -> Result<(), Errno> {
        self.make_room()?;
        let directory = self.directory(node)?;
        let flags_of_host = host_flags(flags);
        let made = self.tree.create(&directory, name, flags_of_host, mode);
        let file = match made {
            // It came into being after the guest had looked.
            Err(Errno::EXIST) if flags & open::EXCL == 0 => {
                let place = self.tree.place(&directory, name)?;
                self.tree.file(place, flags_of_host)?
            }
            made => made?,
        };
        let stat = self.tree.stat(&file)?;
        let number = self.nodes.look_up(stat.identity, node, name.bytes())?;
        self.nodes.cache(number, None);
        let handle = self.insert(Handle::File {
            file: Arc::new(file),
            node: number,
            append: flags & open::APPEND != 0,
        });
        reply.entry(number, &stat.attr, VALID);
        reply.open(handle, 0);
        Ok(())
    }

    fn read_directory(
        &mut self,
        handle: u64,
        offset: u64,
        size: usize,
        plus: bool,
        reply: &mut Reply<'_>,
    ) -> Result<(), Errno> {
        let others: usize = self
            .handles
            .iter()
            .map(|(number, other)| match other {
                Handle::Directory { listing, .. } if *number != handle => listing.len(),
                _ => 0,
            })
            .sum();
        let limit = self.limits.entries.saturating_sub(others);
        let Some(Handle::Directory { listing, node }) = self.handles.get_mut(&handle) else {
            return Err(Errno::BADF);
        };
        listing.go_to(offset)?;
        let mut count = 0;
        loop {
            let (entry, next) = match listing.take(limit) {
                Ok(Some(taken)) => taken,
                Ok(None) => break,
                Err(error) if count == 0 => return Err(error),
                // The guest is told when it asks for more.
                Err(_) => break,
            };
            if !reply.fits(&entry, plus, size) {
                listing.give_back(entry);
                break;
            }
            if plus {
                // Where it fails (it is gone, or a mount's), and for "." and "..", there is the
                // name only.
                let name = Name::new(&entry.name);
                let stat = name.and_then(|name| self.tree.stat_at(listing.directory(), name));
                let known = stat.and_then(|stat| {
                    let number = self.nodes.look_up(stat.identity, *node, &entry.name)?;
                    Ok((number, stat.attr))
                });
                let (number, attr) = known.unwrap_or_default();
                reply.entry(number, &attr, VALID);
            }
            reply.dirent(&entry, next);
            count += 1;
        }
        Ok(())
    }

    fn handle(&self, handle: u64) -> Result<&Handle, Errno> {
        self.handles.get(&handle).ok_or(Errno::BADF)
    }

    /// An open file, and whether writes go to its end.
    fn file(&self, handle: u64) -> Result<(&OwnedFd, bool), Errno> {
        match self.handle(handle)? {
            Handle::File { file, append, .. } => Ok((file, *append)),
            Handle::Directory { .. } => Err(Errno::ISDIR),
        }
    }

    /// There is room for another handle.
    fn make_room(&self) -> Result<(), Errno> {
        if self.handles.len() >= self.limits.handles {
            return Err(Errno::MFILE);
        }
        Ok(())
    }

    fn insert(&mut self, handle: Handle) -> u64 {
        let number = self.next_handle;
        self.next_handle += 1;
        self.handles.insert(number, handle);
        number
    }
}

/// What is not found at a node's place may be somewhere else: the guest must look again.
fn gone(error: Errno) -> Errno {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Errno::STALE,
        other => other,
    }
}

/// Whether an operation changes something by itself. Opening a file is looked at when its flags are.
fn changes(operation: &Operation<'_>) -> bool {
    matches!(
        operation,
        Operation::SetAttr(_)
            | Operation::SymLink { .. }
            | Operation::MkNod { .. }
            | Operation::MkDir { .. }
            | Operation::Unlink { .. }
            | Operation::RmDir { .. }
            | Operation::Rename { .. }
            | Operation::Link { .. }
            | Operation::Create { .. }
            | Operation::Write { .. }
            | Operation::Allocate { .. }
    )
}

/// The guest's flags for the host. An append is done write by write: what comes from the guest's
/// page cache has its own place.
fn host_flags(flags: u32) -> OFlags {
    let access = match flags & open::ACCESS {
        open::WRITE => OFlags::WRONLY,
        open::READ_WRITE => OFlags::RDWR,
        _ => OFlags::RDONLY,
    };
    [
        (open::TRUNC, OFlags::TRUNC),
        (open::DSYNC, OFlags::DSYNC),
        (open::SYNC, OFlags::SYNC),
    ]
    .into_iter()
    .filter(|(bits, _)| flags & bits == *bits)
    .fold(access, |all, (_, flag)| all | flag)
}

/// Reads all that there is, up to the buffer's size: less means the end of the file.
fn read(file: &OwnedFd, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while done < buf.len() {
        let at = offset.checked_add(done as u64).ok_or(Errno::INVAL)?;
        let rest = buf.get_mut(done..).unwrap_or_default();
        match rustix::io::pread(file, rest, at) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(Errno::INTR) => {}
            // What was read is good; the rest is asked for again.
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}
