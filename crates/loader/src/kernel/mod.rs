//! Recognising and unpacking kernels.

mod elf;
mod error;
mod foreign;
mod uimage;
mod zimage;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use error::{Foreign, KernelError};

/// The most that compressed data may unpack to: far above any 32-bit Arm kernel, and little enough
/// that a crafted file can't exhaust the host's memory.
pub(crate) const MAX_UNPACKED: usize = 256 << 20;

/// The kind of file that a kernel came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Linux's self-extracting, position-independent image.
    ZImage,
    /// U-Boot's legacy image, whatever is inside.
    UImage,
    /// 32-bit Arm ELF executable.
    Elf,
    /// Bytes without a header.
    Raw,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZImage => "zImage",
            Self::UImage => "uImage",
            Self::Elf => "ELF file",
            Self::Raw => "raw image",
        })
    }
}

/// A contiguous piece of an image with a fixed guest-physical address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Guest-physical address.
    pub addr: u64,
    /// The bytes.
    pub data: Cow<'a, [u8]>,
    /// Bytes of memory that the segment occupies, at least `data`'s length; those after `data` are
    /// zero.
    pub mem_size: u64,
}

/// A kernel's code and data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Image<'a> {
    /// Runs at any address; the first byte is the entry, in the A32 instruction set.
    Relocatable {
        /// The bytes.
        data: Cow<'a, [u8]>,
        /// The address that the file prefers, used when it lies in RAM.
        preferred: Option<u32>,
        /// Memory in bytes, counted from the start of RAM, that the kernel may write while it
        /// unpacks itself: nothing that it needs later may lie there. 0 if it unpacks nothing.
        unpacked: u64,
    },
    /// Runs where it is linked.
    Fixed {
        /// The pieces, none empty in memory; later ones are written over earlier ones.
        segments: Vec<Segment<'a>>,
        /// Physical address of the first instruction; bit 0 set for T32.
        entry: u32,
    },
}

/// A kernel that this board can start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kernel<'a> {
    /// What the file is.
    pub format: Format,
    /// The name inside the file (uImage only).
    pub name: Option<String>,
    /// Code and data.
    pub image: Image<'a>,
    /// The device tree that came with it: appended to a zImage, or in a multi-file uImage. Not
    /// validated but for its length. It isn't part of `image`, so the kernel takes the tree that
    /// it is given in r2 in any case.
    pub dtb: Option<Cow<'a, [u8]>>,
    /// The initial RAM disk that came with it (multi-file uImage only).
    pub initrd: Option<Cow<'a, [u8]>>,
}

impl<'a> Kernel<'a> {
    /// Recognises a file by its contents and unpacks it.
    ///
    /// Bytes that are no known file are a raw image.
    ///
    /// # Errors
    ///
    /// The file is empty, of a kind that isn't a kernel for 32-bit little-endian Arm, truncated, or
    /// damaged.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, KernelError> {
        if bytes.is_empty() {
            Err(KernelError::Empty)
        } else if uimage::is_uimage(bytes) {
            uimage::parse(bytes)
        } else {
            parse_plain(Cow::Borrowed(bytes))
        }
    }

    /// Bytes of memory that the image itself occupies, without what it unpacks.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.image {
            Image::Relocatable { data, .. } => data.len() as u64,
            Image::Fixed { segments, .. } => segments
                .iter()
                .fold(0, |sum, segment| segment.mem_size.saturating_add(sum)),
        }
    }
}

/// Parses anything but a uImage.
fn parse_plain(bytes: Cow<'_, [u8]>) -> Result<Kernel<'_>, KernelError> {
    if zimage::is_zimage(&bytes) {
        return zimage::parse(bytes);
    }
    if elf::is_elf(&bytes) {
        return elf::parse(bytes);
    }
    if let Some(foreign) = foreign::identify(&bytes) {
        return Err(KernelError::Foreign(foreign));
    }
    Ok(Kernel {
        format: Format::Raw,
        name: None,
        image: Image::Relocatable {
            data: bytes,
            preferred: None,
            unpacked: 0,
        },
        dtb: None,
        initrd: None,
    })
}

/// Splits `bytes` at `at`, without a copy where they are borrowed. `at` is at most the length.
fn split<'a>(bytes: Cow<'a, [u8]>, at: usize) -> (Cow<'a, [u8]>, Cow<'a, [u8]>) {
    match bytes {
        Cow::Borrowed(slice) => {
            let (head, tail) = slice.split_at_checked(at).unwrap_or((slice, &[]));
            (Cow::Borrowed(head), Cow::Borrowed(tail))
        }
        Cow::Owned(mut vec) => {
            let tail = vec.split_off(at.min(vec.len()));
            (Cow::Owned(vec), Cow::Owned(tail))
        }
    }
}

/// The part of `bytes` from `start` to `end`, without a copy where they are borrowed; `None` when it
/// isn't inside.
fn part<'a>(bytes: &Cow<'a, [u8]>, start: usize, end: usize) -> Option<Cow<'a, [u8]>> {
    match bytes {
        Cow::Borrowed(slice) => slice.get(start..end).map(Cow::Borrowed),
        Cow::Owned(vec) => vec.get(start..end).map(|slice| Cow::Owned(slice.into())),
    }
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// The little-endian word at `offset`.
fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// The big-endian word at `offset`.
fn be32(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_be_bytes)
}

/// The little-endian halfword at `offset`.
fn le16(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_le_bytes)
}
