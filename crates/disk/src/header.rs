//! The header of a qcow2 image (QEMU's documentation, docs/interop/qcow2, "Header"), as far as it is
//! looked at before the image is used: what would cost too much memory, name other files, or can't be
//! served, is refused first.

use crate::Error;
use std::io;

/// "QFI" and 0xfb.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Bytes of a header of version 3 without what may follow; version 2 has fewer.
const LENGTH: usize = 104;
/// The largest first-level table, entries of 8 bytes: 32 MiB, as in QEMU.
const MAX_L1: u32 = 4 << 20;
/// The largest table of reference counts, bytes, as in QEMU.
const MAX_REFCOUNT_TABLE: u64 = 8 << 20;
/// The longest name of a backing file, bytes.
const MAX_NAME: u32 = 1023;
/// Incompatible feature: the data are in another file.
const EXTERNAL_DATA: u64 = 1 << 2;
/// Incompatible feature: reference counts are not up to date.
const DIRTY: u64 = 1 << 0;
/// Incompatible feature: the image is known to be corrupt.
const CORRUPT: u64 = 1 << 1;

/// Why a qcow2 image can't be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// It does not begin as such an image does.
    #[error("it is no qcow2 image; say ,format=raw if it is raw")]
    Magic,
    /// Another version.
    #[error("it has version {0} of the qcow2 format; convert it with qemu-img convert -O qcow2")]
    Version(u32),
    /// It is encrypted.
    #[error("it is encrypted; convert it with qemu-img convert -O qcow2")]
    Encrypted,
    /// Its data are in another file.
    #[error("its data are in another file; convert it with qemu-img convert -O qcow2")]
    ExternalData,
    /// It is marked as corrupt.
    #[error("it is marked as corrupt; repair it with qemu-img check -r all")]
    Corrupt,
    /// It was not closed, and its reference counts may be wrong.
    #[error("it was not closed properly; repair it with qemu-img check -r all")]
    Dirty,
    /// It is to be written, and holds snapshots, which share clusters with it.
    #[error(
        "it holds snapshots, and can't be written; delete them with qemu-img snapshot -d, or add ,readonly or ,temporary"
    )]
    Snapshots,
    /// It is to be written, and two tables use a cluster, or its reference count is too low.
    #[error("its tables contradict each other; repair it with qemu-img check -r all")]
    Tables,
    /// It is to be written, and has more clusters than are checked.
    #[error(
        "it has too many clusters; convert it with qemu-img convert -O qcow2 -o cluster_size=2M"
    )]
    TooLarge,
    /// It is to grow beyond what clusters of its size can hold.
    #[error(
        "its clusters of {0} bytes are too small for a disk of that size; convert it with qemu-img convert -O qcow2"
    )]
    Clusters(u64),
    /// A number in the header is out of range.
    #[error("its header has a bad {0}; check it with qemu-img check")]
    Field(&'static str),
}

/// The header extension with the name of the backing file's format.
const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;
/// The most header extensions that are looked at.
const MAX_EXTENSIONS: usize = 64;

/// Where reference counts are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refcounts {
    /// Where the table of their blocks is.
    pub offset: u64,
    /// The table's clusters.
    pub clusters: u64,
    /// Bits of a count: a power of two, at most 64.
    pub bits: u32,
}

/// What the header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Size of the disk, bytes.
    pub size: u64,
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// 2 or 3.
    pub version: u32,
    /// The name of the backing file: where it is in the image, and its length.
    pub backing: Option<(u64, usize)>,
    /// Snapshots that the image holds.
    pub snapshots: u32,
    /// The first-level table: where it is, and how many entries it has.
    pub l1: (u64, u64),
    /// The reference counts.
    pub refcounts: Refcounts,
    /// Bytes of the header, after which extensions follow.
    length: u64,
}

/// How many entries the first-level table needs: each leads to a cluster of entries of 8 bytes, one for
/// each cluster.
fn first_level(size: u64, cluster_size: u64) -> u128 {
    let per_entry = u128::from(cluster_size) * u128::from(cluster_size / 8);
    u128::from(size).div_ceil(per_entry)
}

impl Header {
    /// Reads the header from the first bytes of an image, of which `read` gives those at an offset
    /// (zeros beyond the end).
    pub fn read(read: impl Fn(&mut [u8], u64) -> io::Result<()>) -> Result<Self, Error> {
        let mut bytes = [0; LENGTH];
        read(&mut bytes, 0)?;
        Ok(Header::parse(&bytes)?)
    }

    fn parse(bytes: &[u8; LENGTH]) -> Result<Self, HeaderError> {
        let u32_at = |at: usize| {
            let mut value = [0; 4];
            value.copy_from_slice(&bytes[at..at + 4]);
            u32::from_be_bytes(value)
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        if bytes[..4] != MAGIC {
            return Err(HeaderError::Magic);
        }
        let version = u32_at(4);
        if !(2..=3).contains(&version) {
            return Err(HeaderError::Version(version));
        }
        let cluster_bits = u32_at(20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(HeaderError::Field("cluster size"));
        }
        let cluster_size = 1u64 << cluster_bits;
        let size = u64_at(24);
        if size == 0 || !size.is_multiple_of(crate::SECTOR) || size > i64::MAX as u64 {
            return Err(HeaderError::Field("disk size"));
        }
        if u32_at(32) != 0 {
            return Err(HeaderError::Encrypted);
        }
        let l1 = u32_at(36);
        if l1 > MAX_L1 || u128::from(l1) < first_level(size, cluster_size) {
            return Err(HeaderError::Field("size of the first-level table"));
        }
        if u64::from(u32_at(56)) * cluster_size > MAX_REFCOUNT_TABLE {
            return Err(HeaderError::Field("size of the table of reference counts"));
        }
        let order = if version == 3 { u32_at(96) } else { 4 };
        if order > 6 {
            return Err(HeaderError::Field("width of reference counts"));
        }
        if version == 3 {
            let incompatible = u64_at(72);
            if incompatible & DIRTY != 0 {
                return Err(HeaderError::Dirty);
            }
            if incompatible & CORRUPT != 0 {
                return Err(HeaderError::Corrupt);
            }
            if incompatible & EXTERNAL_DATA != 0 {
                return Err(HeaderError::ExternalData);
            }
        }
        let backing = match (u64_at(8), u32_at(16)) {
            (0, _) => None,
            (_, 0) => None,
            (_, length) if length > MAX_NAME => {
                return Err(HeaderError::Field("length of the backing file's name"));
            }
            (offset, length) => Some((offset, length as usize)),
        };
        Ok(Header {
            size,
            cluster_size,
            version,
            backing,
            snapshots: u32_at(60),
            l1: (u64_at(40), l1.into()),
            refcounts: Refcounts {
                offset: u64_at(48),
                clusters: u32_at(56).into(),
                bits: 1 << order,
            },
            length: if version == 3 { u32_at(100).into() } else { 72 },
        })
    }

    /// Whether the image could have another size, in bytes.
    ///
    /// # Errors
    /// Its clusters are too small for that.
    pub fn check_size(&self, size: u64) -> Result<(), HeaderError> {
        if first_level(size, self.cluster_size) > u128::from(MAX_L1) {
            return Err(HeaderError::Clusters(self.cluster_size));
        }
        Ok(())
    }

    /// Where the name of the backing file's format is in the image, and its length.
    pub fn backing_format(
        &self,
        read: impl Fn(&mut [u8], u64) -> io::Result<()>,
    ) -> Result<Option<(u64, usize)>, Error> {
        let mut at = self.length;
        for _ in 0..MAX_EXTENSIONS {
            let mut bytes = [0; 8];
            read(&mut bytes, at)?;
            let [t0, t1, t2, t3, l0, l1, l2, l3] = bytes;
            let length = u32::from_be_bytes([l0, l1, l2, l3]);
            match u32::from_be_bytes([t0, t1, t2, t3]) {
                0 => return Ok(None),
                EXTENSION_BACKING_FORMAT if length > MAX_NAME => {
                    return Err(HeaderError::Field("name of the backing file's format").into());
                }
                EXTENSION_BACKING_FORMAT => return Ok(Some((at + 8, length as usize))),
                _ => {}
            }
            at += 8 + u64::from(length).next_multiple_of(8);
            // Extensions are in the first cluster.
            if at > self.cluster_size {
                break;
            }
        }
        Ok(None)
    }
}
