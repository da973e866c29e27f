//! A look at all tables of a qcow2 image (QEMU's documentation, docs/interop/qcow2) before it is
//! written: each cluster has one user, and its reference count knows of it. The library that writes
//! images relies on that.
//!
//! A count may be too high: when a process is killed, clusters can be left that nobody uses.

use crate::header::{Header, HeaderError};
use crate::{Error, info};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;

/// Offsets in entries of tables.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// An entry of a second-level table: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// The most references to clusters that are looked at: 4 TiB of clusters of the usual size, and 512
/// MiB of memory here.
const MAX_REFERENCES: usize = 1 << 26;

/// Checks an image that is about to be written.
///
/// # Errors
/// It is damaged, holds snapshots, or can't be read.
pub fn check(file: &File, header: &Header) -> Result<(), Error> {
    if header.snapshots > 0 {
        return Err(HeaderError::Snapshots.into());
    }
    let mut checker = Checker {
        file,
        cluster: header.cluster_size,
        references: Vec::new(),
    };
    checker.refer(0, 1)?;
    let counts = &header.refcounts;
    checker.refer(counts.offset, counts.clusters)?;
    let blocks = checker.table(counts.offset, counts.clusters * header.cluster_size)?;
    for block in blocks.iter().filter(|block| **block != 0) {
        checker.refer(*block, 1)?;
    }
    let (at, entries) = header.l1;
    checker.refer(at, (entries * 8).div_ceil(header.cluster_size))?;
    let l1 = checker.table(at, entries * 8)?;
    let mut tables: Vec<u64> = l1.iter().map(|entry| entry & OFFSET).collect();
    tables.retain(|table| *table != 0);
    tables.sort_unstable();
    if tables.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(HeaderError::Tables.into());
    }
    for table in tables {
        checker.refer(table, 1)?;
        checker.second_level(table)?;
    }
    checker.compare(&blocks, counts.bits)
}

struct Checker<'a> {
    file: &'a File,
    cluster: u64,
    /// Numbers of clusters, twice, and one more if the reference is a compressed one: only those
    /// share clusters.
    references: Vec<u64>,
}

impl Checker<'_> {
    /// Notes a reference to clusters from byte `offset`.
    fn refer(&mut self, offset: u64, clusters: u64) -> Result<(), Error> {
        if !offset.is_multiple_of(self.cluster) {
            return Err(HeaderError::Tables.into());
        }
        let first = offset / self.cluster;
        for number in first..first.saturating_add(clusters) {
            self.note(number, false)?;
        }
        Ok(())
    }

    fn note(&mut self, number: u64, compressed: bool) -> Result<(), Error> {
        if self.references.len() == MAX_REFERENCES {
            return Err(HeaderError::TooLarge.into());
        }
        self.references.push(number * 2 + u64::from(compressed));
        Ok(())
    }

    /// Reads a table of 64-bit entries.
    fn table(&self, offset: u64, len: u64) -> Result<Vec<u64>, Error> {
        // The header's limits, or a cluster: it fits.
        let mut bytes = vec![0; len as usize];
        info::read_padded(self.file, &mut bytes, offset)?;
        let entries = bytes.as_chunks().0.iter();
        Ok(entries.map(|entry| u64::from_be_bytes(*entry)).collect())
    }

    fn second_level(&mut self, table: u64) -> Result<(), Error> {
        // A sparse file may have room for more tables than could be read in a day.
        match seek(self.file, SeekFrom::Data(table)) {
            Ok(data) if data < table.saturating_add(self.cluster) => {}
            Ok(_) | Err(Errno::NXIO) => return Ok(()),
            // A file system that does not know has no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(Error::Host(error.into())),
        }
        let bits = self.cluster.trailing_zeros();
        // How a compressed cluster is described: where it begins, and how many sectors follow.
        let shift = 62 - (bits - 8);
        for entry in self.table(table, self.cluster)? {
            if entry & COMPRESSED == 0 {
                if entry & OFFSET != 0 {
                    self.refer(entry & OFFSET, 1)?;
                }
                continue;
            }
            let offset = entry & ((1 << shift) - 1);
            let sectors = (entry & (COMPRESSED - 1)) >> shift;
            let end = (offset & !511) + (sectors + 1) * 512;
            for number in offset / self.cluster..end.div_ceil(self.cluster) {
                self.note(number, true)?;
            }
        }
        Ok(())
    }

    /// Compares the references with the counts in `blocks`, of `bits` bits each.
    fn compare(mut self, blocks: &[u64], bits: u32) -> Result<(), Error> {
        self.references.sort_unstable();
        let per_block = self.cluster * 8 / u64::from(bits);
        let mut held: Option<(u64, Vec<u8>)> = None;
        for users in self.references.chunk_by(|a, b| a / 2 == b / 2) {
            let Some(first) = users.first() else {
                continue;
            };
            // The first is uncompressed if any is.
            if users.len() > 1 && first % 2 == 0 {
                return Err(HeaderError::Tables.into());
            }
            let (number, within) = (first / 2 / per_block, first / 2 % per_block);
            let block = usize::try_from(number).ok().and_then(|at| blocks.get(at));
            let Some(block) = block.filter(|block| **block != 0) else {
                return Err(HeaderError::Tables.into());
            };
            let counts = match &mut held {
                Some((at, counts)) if at == block => counts,
                other => {
                    let mut counts = vec![0; self.cluster as usize];
                    info::read_padded(self.file, &mut counts, *block)?;
                    &mut other.insert((*block, counts)).1
                }
            };
            if count(counts, within, bits) < users.len() as u64 {
                return Err(HeaderError::Tables.into());
            }
        }
        Ok(())
    }
}

/// The reference count at an index of a block. Counts of less than a byte begin at its low end.
fn count(block: &[u8], index: u64, bits: u32) -> u64 {
    let at = index as usize * bits as usize / 8;
    if bits < 8 {
        let byte = block.get(at).copied().unwrap_or(0);
        let shift = index as u32 * bits % 8;
        return u64::from(byte >> shift) & ((1 << bits) - 1);
    }
    let bytes = block.get(at..at + bits as usize / 8).unwrap_or_default();
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}
