//! What the guest knows of: numbers for files, and by which name each is found again.
//!
//! A node has no file descriptor. It is found by its path each time, component by component below
//! the shared directory, and what is found there must be the same file as before.

use crate::wire::{ROOT, Time};
use rustix::io::Errno;
use std::collections::HashMap;

/// Makes a file the file it is, for as long as it exists and after.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The file system.
    pub device: (u32, u32),
    /// The number in it, which another file may have later.
    pub ino: u64,
    /// When it was made, if the file system knows.
    pub born: (i64, u32),
}

/// Changes whenever a file's contents do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of contents.
    pub modified: Time,
    /// Time of the last change of anything.
    pub changed: Time,
}

struct Node {
    identity: Identity,
    parent: u64,
    name: Box<[u8]>,
    /// How many look-ups the guest has not forgotten.
    lookups: u64,
    /// The contents that the guest may have cached.
    cached: Option<Stamp>,
}

/// The nodes.
pub struct Nodes {
    nodes: HashMap<u64, Node>,
    numbers: HashMap<Identity, u64>,
    next: u64,
    limit: usize,
}

/// More components no path has (PATH_MAX is 4096 bytes); where a path was put together from what
/// was true at different times, it may have no end.
const MAX_DEPTH: usize = 4096;

impl Nodes {
    /// The root, which is this file, and room for `limit` others.
    pub fn new(root: Identity, limit: usize) -> Self {
        let node = Node {
            identity: root,
            parent: 0,
            name: Box::default(),
            lookups: 1,
            cached: None,
        };
        Nodes {
            nodes: HashMap::from([(ROOT, node)]),
            numbers: HashMap::from([(root, ROOT)]),
            next: ROOT + 1,
            limit,
        }
    }

    /// How many there are, but for the root.
    pub fn len(&self) -> usize {
        self.nodes.len() - 1
    }

    /// The number of the file that was seen at a place, as one more look-up.
    ///
    /// # Errors
    /// `ENFILE`: there are too many.
    pub fn look_up(&mut self, identity: Identity, parent: u64, name: &[u8]) -> Result<u64, Errno> {
        if let Some(number) = self.numbers.get(&identity).copied() {
            self.place(identity, parent, name);
            if let Some(node) = self.nodes.get_mut(&number) {
                node.lookups = node.lookups.saturating_add(1);
            }
            return Ok(number);
        }
        if self.len() >= self.limit {
            return Err(Errno::NFILE);
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(identity, number);
        self.nodes.insert(
            number,
            Node {
                identity,
                parent,
                name: name.into(),
                lookups: 1,
                cached: None,
            },
        );
        Ok(number)
    }

    /// A file, if it is known, is at this place now.
    pub fn place(&mut self, identity: Identity, parent: u64, name: &[u8]) {
        let Some(number) = self.numbers.get(&identity) else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(number)
            && *number != ROOT
            && (node.parent != parent || *node.name != *name)
        {
            node.parent = parent;
            node.name = name.into();
        }
    }

    /// The guest forgets look-ups.
    pub fn forget(&mut self, number: u64, lookups: u64) {
        if number == ROOT {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&number) {
            node.lookups = node.lookups.saturating_sub(lookups);
            if node.lookups == 0 {
                let identity = node.identity;
                self.nodes.remove(&number);
                self.numbers.remove(&identity);
            }
        }
    }

    /// Which file a node is.
    ///
    /// # Errors
    /// `ESTALE`: there is no such node.
    pub fn identity(&self, number: u64) -> Result<Identity, Errno> {
        let node = self.nodes.get(&number).ok_or(Errno::STALE)?;
        Ok(node.identity)
    }

    /// The directory that a node was last seen in, and its name there.
    ///
    /// # Errors
    /// `ESTALE`: there is no such node. `EINVAL`: it is the root.
    pub fn location(&self, number: u64) -> Result<(u64, &[u8]), Errno> {
        let node = self.nodes.get(&number).ok_or(Errno::STALE)?;
        match number {
            ROOT => Err(Errno::INVAL),
            _ => Ok((node.parent, &node.name)),
        }
    }

    /// A node's path from the root, as names.
    ///
    /// # Errors
    /// `ESTALE`: a node of it is gone, or it has no end.
    pub fn path(&self, mut number: u64) -> Result<Vec<&[u8]>, Errno> {
        let mut path = Vec::new();
        while number != ROOT {
            let node = self.nodes.get(&number).ok_or(Errno::STALE)?;
            if path.len() == MAX_DEPTH {
                return Err(Errno::STALE);
            }
            path.push(&*node.name);
            number = node.parent;
        }
        path.reverse();
        Ok(path)
    }

    /// Notes that the guest is about to cache these contents, unless that is None. True if it has
    /// the same already.
    pub fn cache(&mut self, number: u64, contents: Option<Stamp>) -> bool {
        let Some(node) = self.nodes.get_mut(&number) else {
            return false;
        };
        let before = std::mem::replace(&mut node.cached, contents);
        contents.is_some() && before == contents
    }
}
