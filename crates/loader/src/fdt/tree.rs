//! A device tree in memory, and its flattened form.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

const MAGIC: u32 = 0xd00d_feed;
/// The version written, and the oldest that a reader of it must know.
const VERSION: u32 = 17;
const COMPATIBLE_VERSION: u32 = 16;
const HEADER: usize = 40;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Deepest nesting accepted: Linux's own limit (`FDT_MAX_DEPTH`).
pub const MAX_DEPTH: usize = 64;
/// Largest flattened tree accepted, in bytes: a 32-bit Arm kernel maps two sections of 1 MiB for it
/// when it starts, and the tree may begin anywhere in the first.
pub const MAX_SIZE: usize = 1 << 20;

/// Why bytes aren't a device tree. Shown to the user as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FdtError {
    /// No magic number.
    #[error(
        "this isn't a device tree: it starts with {0:#010x} instead of 0xd00dfeed; expected a DTB file (compile a DTS file with `dtc -O dtb`)"
    )]
    Magic(u32),
    /// Shorter than its header says, or than a header.
    #[error(
        "this device tree is truncated: it should have {expected} bytes, there are {found}; copy or build it again"
    )]
    Truncated {
        /// Length that the header states, or of the header.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// A version that can't be read.
    #[error(
        "this device tree has version {0}; expected 16 or 17 (build it again with `dtc -V 17`)"
    )]
    Version(u32),
    /// Larger than a kernel can map.
    #[error("this device tree has {0} bytes; a 32-bit Arm kernel takes at most {max}", max = MAX_SIZE)]
    TooLarge(u64),
    /// Nodes nested too deeply.
    #[error("this device tree is nested more than {max} levels deep", max = MAX_DEPTH)]
    TooDeep,
    /// The structure contradicts itself.
    #[error("this device tree is damaged: {what} at byte {offset}; build it again")]
    Structure {
        /// What is wrong.
        what: &'static str,
        /// Where, from the start of the blob.
        offset: usize,
    },
    /// The tree lacks what is needed to amend it, or has it in an impossible form.
    #[error("this device tree can't describe this machine: {0}")]
    Unfit(&'static str),
}

/// Memory that the kernel must leave alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// First address.
    pub addr: u64,
    /// Bytes.
    pub size: u64,
}

/// A name and a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// Name.
    pub name: String,
    /// Value: big-endian cells, NUL-terminated strings, or nothing.
    pub value: Vec<u8>,
}

/// A node: properties and child nodes, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    /// Name with unit address; empty for the root.
    pub name: String,
    /// Properties.
    pub properties: Vec<Property>,
    /// Child nodes.
    pub children: Vec<Node>,
}

/// A whole tree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    /// Memory reservations.
    pub reservations: Vec<Reservation>,
    /// Physical ID of the CPU that boots.
    pub boot_cpu: u32,
    /// The root node.
    pub root: Node,
}

impl Node {
    /// A node without contents.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The value of a property.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.properties
            .iter()
            .find(|property| property.name == name)
            .map(|p| p.value.as_slice())
    }

    /// The value of a property that is a single cell.
    #[must_use]
    pub fn get_u32(&self, name: &str) -> Option<u32> {
        self.get(name)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Sets a property, in place if it exists.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let value = value.into();
        match self
            .properties
            .iter_mut()
            .find(|property| property.name == name)
        {
            Some(property) => property.value = value,
            None => self.properties.push(Property {
                name: name.into(),
                value,
            }),
        }
    }

    /// Removes a property if it exists.
    pub fn remove(&mut self, name: &str) {
        self.properties.retain(|property| property.name != name);
    }

    /// The child of this exact name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The child of this exact name, which is added at the end if there is none.
    pub fn child_or_insert(&mut self, name: &str) -> &mut Node {
        let index = self
            .children
            .iter()
            .position(|child| child.name == name)
            .unwrap_or_else(|| {
                self.children.push(Node::new(name));
                self.children.len() - 1
            });
        &mut self.children[index]
    }

    /// With a property that has no value.
    #[must_use]
    pub fn flag(self, name: &str) -> Self {
        self.bytes(name, [])
    }

    /// With a property of 32-bit cells.
    #[must_use]
    pub fn cells(self, name: &str, cells: &[u32]) -> Self {
        let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.bytes(name, value)
    }

    /// With a property of one or more strings.
    #[must_use]
    pub fn strings(self, name: &str, strings: &[&str]) -> Self {
        let value: Vec<u8> = strings
            .iter()
            .flat_map(|string| string.bytes().chain([0]))
            .collect();
        self.bytes(name, value)
    }

    /// With a property of bytes.
    #[must_use]
    pub fn bytes(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.properties.push(Property {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// With a child.
    #[must_use]
    pub fn with(mut self, child: Node) -> Self {
        self.children.push(child);
        self
    }
}

impl Tree {
    /// Reads a flattened tree. Bytes after its stated length are ignored.
    ///
    /// # Errors
    ///
    /// The bytes aren't a device tree, or a damaged, too large or too deep one.
    pub fn parse(bytes: &[u8]) -> Result<Self, FdtError> {
        Reader::new(bytes)?.read()
    }

    /// The flattened form, version 17, without free space.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut strings = Strings::default();
        let mut structure = Vec::new();
        write_node(&self.root, &mut structure, &mut strings);
        push(&mut structure, END);

        let reservations = (self.reservations.len() + 1) * 16;
        let structure_at = HEADER + reservations;
        let strings_at = structure_at + structure.len();
        let total = strings_at + strings.block.len();
        let mut out = Vec::with_capacity(total);
        for word in [total, structure_at, strings_at, HEADER] {
            if out.is_empty() {
                push(&mut out, MAGIC);
            }
            push(&mut out, count(word));
        }
        push(&mut out, VERSION);
        push(&mut out, COMPATIBLE_VERSION);
        push(&mut out, self.boot_cpu);
        push(&mut out, count(strings.block.len()));
        push(&mut out, count(structure.len()));
        let end = Reservation { addr: 0, size: 0 };
        for reservation in self.reservations.iter().chain([&end]) {
            out.extend(reservation.addr.to_be_bytes());
            out.extend(reservation.size.to_be_bytes());
        }
        out.extend(structure);
        out.extend(strings.block);
        out
    }
}

/// A length as a header field. Blobs of 4 GiB don't occur: [`MAX_SIZE`] is far below, and whoever
/// places a tree checks it.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn push(out: &mut Vec<u8>, word: u32) {
    out.extend(word.to_be_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The block of property names, each stored once.
#[derive(Default)]
struct Strings<'a> {
    block: Vec<u8>,
    offsets: BTreeMap<&'a str, u32>,
}

impl<'a> Strings<'a> {
    fn offset(&mut self, name: &'a str) -> u32 {
        let block = &mut self.block;
        *self.offsets.entry(name).or_insert_with(|| {
            let offset = count(block.len());
            block.extend(name.bytes());
            block.push(0);
            offset
        })
    }
}

fn write_node<'a>(node: &'a Node, out: &mut Vec<u8>, strings: &mut Strings<'a>) {
    push(out, BEGIN_NODE);
    out.extend(node.name.bytes());
    out.push(0);
    pad(out);
    for property in &node.properties {
        push(out, PROP);
        push(out, count(property.value.len()));
        push(out, strings.offset(&property.name));
        out.extend(&property.value);
        pad(out);
    }
    for child in &node.children {
        write_node(child, out, strings);
    }
    push(out, END_NODE);
}

/// Reads a blob; every offset and length in it is checked.
struct Reader<'a> {
    /// The blob, cut to its stated length.
    blob: &'a [u8],
    /// The next token.
    at: usize,
    /// End of the structure block.
    end: usize,
    strings: &'a [u8],
    reservations_at: usize,
    boot_cpu: u32,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, FdtError> {
        let truncated = |expected: u64| FdtError::Truncated {
            expected,
            found: bytes.len() as u64,
        };
        let (header, _) = bytes
            .split_first_chunk::<HEADER>()
            .ok_or(truncated(HEADER as u64))?;
        let mut words = header
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_be_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        let (magic, total, structure, strings) = (next(), next(), next() as usize, next() as usize);
        let (reservations_at, version, compatible, boot_cpu) =
            (next() as usize, next(), next(), next());
        let (strings_len, structure_len) = (next() as usize, next() as usize);

        if magic != MAGIC {
            return Err(FdtError::Magic(magic));
        }
        if version < COMPATIBLE_VERSION || compatible > VERSION {
            return Err(FdtError::Version(version));
        }
        let blob = bytes.get(..total as usize).ok_or(truncated(total.into()))?;
        if blob.len() > MAX_SIZE {
            return Err(FdtError::TooLarge(total.into()));
        }
        let outside = |what, offset| FdtError::Structure { what, offset };
        // Version 16 doesn't state the structure block's length.
        let end = if version >= VERSION {
            structure.checked_add(structure_len)
        } else {
            Some(blob.len())
        };
        let end = end
            .filter(|&end| (HEADER..=end).contains(&structure) && end <= blob.len())
            .ok_or(outside("the structure block lies outside the blob", 8))?;
        let strings = strings
            .checked_add(strings_len)
            .and_then(|end| blob.get(strings..end))
            .ok_or(outside("the strings block lies outside the blob", 12))?;
        Ok(Self {
            blob,
            at: structure,
            end,
            strings,
            reservations_at,
            boot_cpu,
        })
    }

    fn read(mut self) -> Result<Tree, FdtError> {
        let reservations = self.reservations()?;
        let mut open: Vec<Node> = Vec::new();
        let root = loop {
            let at = self.at;
            match self.word()? {
                BEGIN_NODE => {
                    if open.len() == MAX_DEPTH {
                        return Err(FdtError::TooDeep);
                    }
                    let name = self.node_name()?;
                    open.push(Node::new(name));
                }
                END_NODE => {
                    let node = open
                        .pop()
                        .ok_or(self.wrong("the end of a node that isn't open", at))?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(node),
                        None => break node,
                    }
                }
                PROP => {
                    let property = self.property()?;
                    let node = open
                        .last_mut()
                        .ok_or(self.wrong("a property outside any node", at))?;
                    node.properties.push(property);
                }
                NOP => {}
                END => return Err(self.wrong("the end inside a node", at)),
                _ => return Err(self.wrong("an unknown token", at)),
            }
        };
        loop {
            let at = self.at;
            match self.word()? {
                NOP => {}
                END => break,
                _ => return Err(self.wrong("something after the root node", at)),
            }
        }
        Ok(Tree {
            reservations,
            boot_cpu: self.boot_cpu,
            root,
        })
    }

    fn wrong(&self, what: &'static str, offset: usize) -> FdtError {
        FdtError::Structure { what, offset }
    }

    fn reservations(&self) -> Result<Vec<Reservation>, FdtError> {
        let mut list = Vec::new();
        let mut at = self.reservations_at;
        loop {
            let entry: &[u8; 16] = self
                .blob
                .get(at..)
                .and_then(<[u8]>::first_chunk)
                .ok_or(self.wrong("the memory reservations have no end", at))?;
            let value = u128::from_be_bytes(*entry);
            let (addr, size) = ((value >> 64) as u64, value as u64);
            if (addr, size) == (0, 0) {
                return Ok(list);
            }
            list.push(Reservation { addr, size });
            at += entry.len();
        }
    }

    /// Takes `len` bytes and the padding behind them.
    fn take(&mut self, len: usize) -> Result<&'a [u8], FdtError> {
        let at = self.at;
        let cut = self.wrong("the structure block is cut off", at);
        let end = at
            .checked_add(len)
            .filter(|&end| end <= self.end)
            .ok_or(cut.clone())?;
        self.at = end.checked_next_multiple_of(4).ok_or(cut.clone())?;
        self.blob.get(at..end).ok_or(cut)
    }

    fn word(&mut self) -> Result<u32, FdtError> {
        let at = self.at;
        let bytes = self.take(4)?.try_into();
        bytes
            .map(u32::from_be_bytes)
            .map_err(|_| self.wrong("a word is cut off", at))
    }

    fn node_name(&mut self) -> Result<String, FdtError> {
        let at = self.at;
        let wrong = self.wrong("a node's name has no end or isn't text", at);
        let rest = self.blob.get(at..self.end).ok_or(wrong.clone())?;
        let len = rest
            .iter()
            .position(|&byte| byte == 0)
            .ok_or(wrong.clone())?;
        let name = self.take(len + 1)?;
        text(name).ok_or(wrong)
    }

    fn property(&mut self) -> Result<Property, FdtError> {
        let at = self.at;
        let (len, name) = (self.word()? as usize, self.word()? as usize);
        let name = self
            .strings
            .get(name..)
            .and_then(text)
            .filter(|name| !name.is_empty())
            .ok_or(self.wrong("a property has no valid name", at))?;
        Ok(Property {
            name,
            value: self.take(len)?.into(),
        })
    }
}

/// The text up to the first NUL, of which there must be one.
fn text(bytes: &[u8]) -> Option<String> {
    let len = bytes.iter().position(|&byte| byte == 0)?;
    core::str::from_utf8(bytes.get(..len)?)
        .ok()
        .map(String::from)
}
