//! uImage: U-Boot's legacy image. A header of 64 bytes, big-endian, with checksums of itself and of
//! the data behind it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{
    Format, Image, Kernel, KernelError, MAX_UNPACKED, Segment, array, be32, le16, le32,
    parse_plain, part,
};

const MAGIC: u32 = 0x2705_1956;
const HEADER: usize = 64;
const OFFSET_HEADER_CRC: usize = 4;
const OFFSET_SIZE: usize = 12;
const OFFSET_LOAD: usize = 16;
const OFFSET_ENTRY: usize = 20;
const OFFSET_DATA_CRC: usize = 24;
const OFFSET_ARCH: usize = 29;
const OFFSET_TYPE: usize = 30;
const OFFSET_COMPRESSION: usize = 31;
const OFFSET_NAME: usize = 32;

const ARCH_ARM: u8 = 2;
const TYPE_STANDALONE: u8 = 1;
const TYPE_KERNEL: u8 = 2;
const TYPE_MULTI: u8 = 4;
const TYPE_KERNEL_NOLOAD: u8 = 14;
const COMPRESSION_NONE: u8 = 0;
const COMPRESSION_GZIP: u8 = 1;

/// Load addresses that mean "anywhere".
const ANYWHERE: [u32; 2] = [0, u32::MAX];

pub(super) fn is_uimage(bytes: &[u8]) -> bool {
    be32(bytes, 0) == Some(MAGIC)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Kernel<'_>, KernelError> {
    let truncated = |expected: u64| KernelError::UImageTruncated {
        expected,
        found: bytes.len() as u64,
    };
    let header: [u8; HEADER] = array(bytes, 0).ok_or(truncated(HEADER as u64))?;
    let word = |offset| be32(&header, offset).unwrap_or_default();
    let byte = |offset: usize| header.get(offset).copied().unwrap_or_default();

    // The header's checksum is computed with its own field as 0.
    let mut zeroed = header;
    if let Some(field) = zeroed.get_mut(OFFSET_HEADER_CRC..OFFSET_HEADER_CRC + 4) {
        field.fill(0);
    }
    let (expected, found) = (word(OFFSET_HEADER_CRC), crc32fast::hash(&zeroed));
    if expected != found {
        return Err(KernelError::UImageHeaderCrc { expected, found });
    }

    let size = word(OFFSET_SIZE) as usize;
    let data = bytes
        .get(HEADER..)
        .and_then(|rest| rest.get(..size))
        .ok_or(truncated(size as u64 + HEADER as u64))?;
    let (expected, found) = (word(OFFSET_DATA_CRC), crc32fast::hash(data));
    if expected != found {
        return Err(KernelError::UImageDataCrc { expected, found });
    }

    if byte(OFFSET_ARCH) != ARCH_ARM {
        return Err(KernelError::UImageArch(byte(OFFSET_ARCH)));
    }
    let kind = byte(OFFSET_TYPE);
    let (packed, initrd, dtb) = match kind {
        TYPE_KERNEL | TYPE_KERNEL_NOLOAD | TYPE_STANDALONE => (data, None, None),
        TYPE_MULTI => multi(data)?,
        other => return Err(KernelError::UImageType(other)),
    };
    let data = match byte(OFFSET_COMPRESSION) {
        COMPRESSION_NONE => Cow::Borrowed(packed),
        COMPRESSION_GZIP => Cow::Owned(gunzip(packed)?),
        other => return Err(KernelError::UImageCompression(other)),
    };
    if data.is_empty() {
        return Err(KernelError::Empty);
    }

    let (load, entry) = (word(OFFSET_LOAD), word(OFFSET_ENTRY));
    let load = (kind != TYPE_KERNEL_NOLOAD && !ANYWHERE.contains(&load)).then_some(load);
    let mut kernel = parse_plain(data)?;
    kernel.image = at_address(kernel.image, kernel.format, load, entry)?;
    kernel.format = Format::UImage;
    kernel.name = Some(name(&header));
    kernel.initrd = initrd.map(Cow::Borrowed);
    if let Some(dtb) = dtb {
        kernel.dtb = Some(Cow::Borrowed(dtb));
    }
    Ok(kernel)
}

/// Applies the header's addresses to what is inside.
///
/// A zImage runs anywhere, so its load address is a preference: a uImage made for a board with RAM
/// elsewhere still starts. An ELF file brings its own addresses. Anything else must be where the
/// header says, unless that is "anywhere".
fn at_address<'a>(
    image: Image<'a>,
    inner: Format,
    load: Option<u32>,
    entry: u32,
) -> Result<Image<'a>, KernelError> {
    match (image, load) {
        (Image::Relocatable { data, unpacked, .. }, _) if inner == Format::ZImage => {
            Ok(Image::Relocatable {
                data,
                preferred: load,
                unpacked,
            })
        }
        (Image::Relocatable { data, .. }, Some(load)) => {
            let mem_size = data.len() as u64;
            let end = u64::from(load) + mem_size - 1;
            if !(u64::from(load)..=end).contains(&u64::from(entry & !1))
                || end > u64::from(u32::MAX)
            {
                return Err(KernelError::UImageEntry { entry, load, end });
            }
            let segments = vec![Segment {
                addr: load.into(),
                data,
                mem_size,
            }];
            Ok(Image::Fixed { segments, entry })
        }
        (image, _) => Ok(image),
    }
}

/// A kernel, an initial RAM disk and a device tree: those that are there, in this order.
type Files<'a> = (&'a [u8], Option<&'a [u8]>, Option<&'a [u8]>);

/// Splits the data of a multi-file image: lengths, ended by 0, then the files, each padded to four
/// bytes.
fn multi(data: &[u8]) -> Result<Files<'_>, KernelError> {
    let damaged = || KernelError::UImageMulti(data.len() as u64);
    let mut sizes = Vec::new();
    let mut rest = data;
    loop {
        let (size, tail) = rest.split_first_chunk().ok_or_else(damaged)?;
        rest = tail;
        match u32::from_be_bytes(*size) {
            0 => break,
            size => sizes.push(size as usize),
        }
    }
    let mut files = sizes.into_iter().map(|size| {
        let (file, tail) = rest.split_at_checked(size).ok_or_else(damaged)?;
        // Nothing need follow the last file.
        rest = tail
            .get(size.next_multiple_of(4) - size..)
            .unwrap_or_default();
        Ok(file)
    });
    let kernel = files.next().ok_or_else(damaged)??;
    let initrd = files.next().transpose()?;
    let dtb = files.next().transpose()?;
    Ok((kernel, initrd.filter(|file| !file.is_empty()), dtb))
}

fn name(header: &[u8; HEADER]) -> String {
    let name = header.get(OFFSET_NAME..).unwrap_or_default();
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Unpacks one gzip member (RFC 1952). Bytes behind it are ignored, as U-Boot does.
fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, KernelError> {
    const FHCRC: u8 = 1 << 1;
    const FEXTRA: u8 = 1 << 2;
    const FNAME: u8 = 1 << 3;
    const FCOMMENT: u8 = 1 << 4;
    const FIXED_HEADER: usize = 10;
    const TRAILER: usize = 8;

    let cut = KernelError::Gzip("it is cut off");
    let Some([0x1f, 0x8b, 8, flags]) = array(bytes, 0) else {
        return Err(KernelError::Gzip("it doesn't start as gzip data does"));
    };
    let mut rest = bytes.get(FIXED_HEADER..).ok_or(cut.clone())?;
    if flags & FEXTRA != 0 {
        let len = le16(rest, 0).ok_or(cut.clone())? as usize;
        rest = rest.get(2 + len..).ok_or(cut.clone())?;
    }
    for flag in [FNAME, FCOMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|&byte| byte == 0).ok_or(cut.clone())?;
            rest = rest.get(end + 1..).ok_or(cut.clone())?;
        }
    }
    if flags & FHCRC != 0 {
        rest = rest.get(2..).ok_or(cut.clone())?;
    }

    let (unpacked, used) = inflate(rest)?;
    let trailer = part(&Cow::Borrowed(rest), used, used.saturating_add(TRAILER)).ok_or(cut)?;
    if le32(&trailer, 0) != Some(crc32fast::hash(&unpacked)) {
        return Err(KernelError::Gzip("its checksum is wrong"));
    }
    if le32(&trailer, 4) != Some(unpacked.len() as u32) {
        return Err(KernelError::Gzip("its length is wrong"));
    }
    Ok(unpacked)
}

/// Unpacks a deflate stream; also returns how many bytes it has.
fn inflate(packed: &[u8]) -> Result<(Vec<u8>, usize), KernelError> {
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

    let mut state = DecompressorOxide::new();
    let mut out = vec![0; packed.len().saturating_mul(4).clamp(4096, MAX_UNPACKED)];
    let (mut used, mut made) = (0, 0);
    loop {
        let input = packed.get(used..).unwrap_or_default();
        let (status, read, written) = decompress(
            &mut state,
            input,
            &mut out,
            made,
            TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        );
        used += read;
        made += written;
        match status {
            TINFLStatus::Done => {
                out.truncate(made);
                return Ok((out, used));
            }
            TINFLStatus::HasMoreOutput if out.len() < MAX_UNPACKED => {
                out.resize(out.len().saturating_mul(2).min(MAX_UNPACKED), 0);
            }
            TINFLStatus::HasMoreOutput => return Err(KernelError::GzipTooLarge),
            TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
                return Err(KernelError::Gzip("it is cut off"));
            }
            _ => return Err(KernelError::Gzip("it is damaged")),
        }
    }
}
