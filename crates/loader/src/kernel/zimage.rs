//! zImage: Linux's self-extracting image.
//!
//! Words at fixed offsets describe it (Linux, "Booting ARM Linux"): a magic number at 0x24, the
//! start and end of the image at 0x28 and 0x2c, an endianness mark at 0x30. Newer kernels have a
//! table of tags, found by the offset at 0x38, which says how much memory unpacking needs.

use alloc::borrow::Cow;

use super::{Foreign, Format, Image, Kernel, KernelError, be32, le32, split};

const OFFSET_MAGIC: usize = 0x24;
const OFFSET_START: usize = 0x28;
const OFFSET_END: usize = 0x2c;
const OFFSET_ENDIAN: usize = 0x30;
const OFFSET_TABLE_MAGIC: usize = 0x34;
const OFFSET_TABLE: usize = 0x38;

const MAGIC: u32 = 0x016f_2818;
const ENDIAN_LITTLE: u32 = 0x0403_0201;
const TABLE_MAGIC: u32 = 0x4545_4545;
/// The tag "KLSZ": where the unpacked size is stored, the size of .bss, and, in newer kernels, the
/// offset from the start of RAM and the decompressor's heap.
const TAG_KERNEL_SIZE: u32 = 0x5a53_4c4b;

const FDT_MAGIC: u32 = 0xd00d_feed;
const FDT_OFFSET_SIZE: usize = 4;

/// Unpacked size as a multiple of the packed one, where the file doesn't say: more than any
/// compression in use reaches on kernel code.
const GUESSED_RATIO: u64 = 5;
/// Offset from the start of RAM where the kernel unpacks to, where the file doesn't say: the largest
/// in use (multi-platform kernels that include Qualcomm boards).
const GUESSED_TEXT_OFFSET: u64 = 0x20_8000;
/// The decompressor moves itself behind the unpacked kernel when they overlap: room for its stack,
/// heap, copied code and alignment there.
const DECOMPRESSOR_ROOM: u64 = 1 << 20;
/// No kernel needs more; larger figures in a header are ignored.
const MAX_PLAUSIBLE: u64 = 512 << 20;

/// Whether the magic number is there, in either byte order.
pub(super) fn is_zimage(bytes: &[u8]) -> bool {
    le32(bytes, OFFSET_MAGIC) == Some(MAGIC) || be32(bytes, OFFSET_MAGIC) == Some(MAGIC)
}

pub(super) fn parse(bytes: Cow<'_, [u8]>) -> Result<Kernel<'_>, KernelError> {
    let truncated = |expected: u64| KernelError::ZImageTruncated {
        expected,
        found: bytes.len() as u64,
    };
    if le32(&bytes, OFFSET_MAGIC) != Some(MAGIC) {
        return Err(KernelError::Foreign(Foreign::BigEndianZImage));
    }
    let (Some(start), Some(end)) = (le32(&bytes, OFFSET_START), le32(&bytes, OFFSET_END)) else {
        return Err(truncated(OFFSET_ENDIAN as u64));
    };
    // Kernels before Linux 3.17 have no mark, and code in its place.
    if le32(&bytes, OFFSET_ENDIAN) == Some(ENDIAN_LITTLE.swap_bytes()) {
        return Err(KernelError::Foreign(Foreign::BigEndianZImage));
    }
    let size = match end.checked_sub(start) {
        Some(size) if size as usize > OFFSET_END => size as usize,
        _ => return Err(KernelError::ZImageHeader { start, end }),
    };
    if bytes.len() < size {
        return Err(truncated(size as u64));
    }

    let unpacked = unpacked_extent(&bytes, size);
    let (data, rest) = split(bytes, size);
    Ok(Kernel {
        format: Format::ZImage,
        name: None,
        image: Image::Relocatable {
            data,
            preferred: None,
            unpacked,
        },
        dtb: appended(rest)?,
        initrd: None,
    })
}

/// The device tree at the start of what follows the image, if one does.
fn appended(rest: Cow<'_, [u8]>) -> Result<Option<Cow<'_, [u8]>>, KernelError> {
    if be32(&rest, 0) != Some(FDT_MAGIC) {
        return Ok(None);
    }
    let found = rest.len() as u64;
    match be32(&rest, FDT_OFFSET_SIZE) {
        Some(size) if u64::from(size) <= found => Ok(Some(split(rest, size as usize).0)),
        size => Err(KernelError::AppendedTruncated {
            expected: size.map_or(FDT_OFFSET_SIZE as u64 * 2, u64::from),
            found,
        }),
    }
}

/// Bytes from the start of RAM that the running decompressor may write.
fn unpacked_extent(bytes: &[u8], size: usize) -> u64 {
    let packed = size as u64;
    let guess = (packed.saturating_mul(GUESSED_RATIO), 0, GUESSED_TEXT_OFFSET);
    let (kernel, bss, text_offset) = tagged_sizes(bytes)
        .filter(|(kernel, bss, text_offset)| {
            *kernel >= 1
                && kernel.saturating_add(*bss).saturating_add(*text_offset) <= MAX_PLAUSIBLE
        })
        .unwrap_or(guess);
    // Behind the unpacked kernel lies first the moved decompressor with the packed data, later .bss.
    let behind = bss.max(packed.saturating_add(DECOMPRESSOR_ROOM));
    text_offset.saturating_add(kernel).saturating_add(behind)
}

/// Unpacked size, size of .bss, and offset from the start of RAM, from the table of tags.
fn tagged_sizes(bytes: &[u8]) -> Option<(u64, u64, u64)> {
    if le32(bytes, OFFSET_TABLE_MAGIC)? != TABLE_MAGIC {
        return None;
    }
    let mut offset = le32(bytes, OFFSET_TABLE)? as usize;
    loop {
        // A tag's size counts words, itself included; 0 ends the table.
        let words = le32(bytes, offset)? as usize;
        if words < 2 {
            return None;
        }
        if le32(bytes, offset.checked_add(4)?)? != TAG_KERNEL_SIZE {
            offset = offset.checked_add(words.checked_mul(4)?)?;
            continue;
        }
        let field = |index: usize| {
            (index < words)
                .then(|| le32(bytes, offset.checked_add(index * 4)?))
                .flatten()
        };
        let kernel = le32(bytes, field(2)? as usize)?;
        let text_offset = field(4).map_or(GUESSED_TEXT_OFFSET, u64::from);
        return Some((kernel.into(), field(3)?.into(), text_offset));
    }
}
