//! A zImage unpacked on the host.
//!
//! A zImage is a program that decompresses the kernel and jumps to it. Of the time from power on to
//! a shell, that takes the interpreter three quarters, since XZ is what Debian compresses with. The
//! kernel itself is the same bytes either way, at the same address.

use lzma_rust2::XzReader;
use std::io::Read;

/// Words of a zImage's header (Linux, arch/arm/boot/compressed/head.S): the magic numbers, and where
/// the table of tags is.
const HEADER: [(usize, u32); 2] = [(0x24, 0x016f_2818), (0x34, 0x4545_4545)];
const TABLE: usize = 0x38;
/// The tag "KLSZ". Its words: size of the tag, tag, offset at which the unpacked size is, size of
/// .bss, offset of the kernel from the start of RAM.
const KERNEL_SIZE: u32 = 0x5a53_4c4b;

/// The board's RAM begins here.
const RAM: u32 = 0x4000_0000;
/// How an XZ stream begins.
const XZ: &[u8] = b"\xfd7zXZ\0";
/// No kernel is larger.
const LARGEST: u32 = 256 << 20;

/// The kernel of a zImage as an ELF executable for this board. `None` if the zImage doesn't say
/// where it goes, or isn't compressed with XZ: the guest can unpack it all the same.
pub fn elf(zimage: &[u8]) -> Option<Vec<u8>> {
    for (offset, magic) in HEADER {
        if word(zimage, offset)? != magic {
            return None;
        }
    }
    let table = word(zimage, TABLE)? as usize;
    let tag = |index: usize| word(zimage, table.checked_add(4 * index)?);
    if tag(0)? < 5 || tag(1)? != KERNEL_SIZE {
        return None;
    }
    // The size follows the compressed kernel.
    let (end, bss, offset) = (tag(2)? as usize, tag(3)?, tag(4)?);
    let size = word(zimage, end).filter(|size| *size <= LARGEST)?;
    let packed = zimage.get(..end)?;
    // The decompressor has the bytes, too: as data, without a stream behind them.
    let kernel = packed
        .windows(XZ.len())
        .enumerate()
        .filter(|(_, window)| *window == XZ)
        .find_map(|(start, _)| decompress(&packed[start..], size))?;
    executable(RAM.checked_add(offset)?, &kernel, bss)
}

fn decompress(packed: &[u8], size: u32) -> Option<Vec<u8>> {
    let mut kernel = Vec::new();
    XzReader::new(packed, false)
        .take(u64::from(size) + 1)
        .read_to_end(&mut kernel)
        .ok()?;
    (kernel.len() == size as usize).then_some(kernel)
}

/// An ELF executable of one segment, whose entry point is its start (ELF specification, chapters
/// "ELF Header" and "Program Header").
fn executable(address: u32, contents: &[u8], bss: u32) -> Option<Vec<u8>> {
    const HEADERS: u32 = 52 + 32;
    let size = u32::try_from(contents.len()).ok()?;
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |elf: &mut Vec<u8>, halves: &[u16]| {
        elf.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    };
    let words = |elf: &mut Vec<u8>, words: &[u32]| {
        elf.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    // Executable, Arm; version, entry, program headers, section headers, EABI version 5.
    halves(&mut elf, &[2, 40]);
    words(&mut elf, &[1, address, 52, 0, 0x0500_0000]);
    // Sizes and numbers of the headers.
    halves(&mut elf, &[52, 32, 1, 0, 0, 0]);
    // Loadable, offset, addresses, sizes, all permissions, alignment.
    let all = size.checked_add(bss)?;
    words(&mut elf, &[1, HEADERS, address, address, size, all, 7, 4]);
    elf.extend(contents);
    Some(elf)
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object, ObjectSegment};

    /// "skep " forty times, as `xz --arm --lzma2` packs it.
    const PACKED: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x01, 0x07,
        0x00, 0x21, 0x01, 0x16, 0x00, 0xa3, 0xf4, 0xa1, 0x99, 0xe0, 0x00, 0xc7, 0x00, 0x0b, 0x5d,
        0x00, 0x39, 0x9a, 0xc8, 0xd4, 0x58, 0x5f, 0x21, 0x33, 0xfb, 0xc0, 0x00, 0x00, 0x00, 0x1d,
        0x0f, 0x97, 0xf0, 0x00, 0x01, 0x23, 0xc8, 0x01, 0x00, 0x00, 0x00, 0x3a, 0x67, 0xb4, 0x23,
        0x3e, 0x30, 0x0d, 0x8b, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
    ];

    /// A zImage with what [`elf`] looks at.
    fn zimage(packed: &[u8], size: u32) -> Vec<u8> {
        const TAGS: u32 = 0x40;
        let mut image = vec![0; 0x54];
        // The decompressor's own copy of the magic number.
        image.extend(XZ);
        image.resize(0x60, 0);
        image.extend(packed);
        let end = image.len() as u32;
        image.extend(size.to_le_bytes());
        for (offset, value) in HEADER.into_iter().chain([
            (TABLE, TAGS),
            (0x40, 5),
            (0x44, KERNEL_SIZE),
            (0x48, end),
            (0x4c, 0x1000),
            (0x50, 0x20_8000),
        ]) {
            image[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        image
    }

    #[test]
    fn the_kernel_is_at_its_place_with_room_for_bss() {
        let elf = elf(&zimage(PACKED, 200)).expect("an executable");
        let file = object::File::parse(elf.as_slice()).expect("ELF");
        assert_eq!(file.entry(), 0x4020_8000);
        let segment = file.segments().next().expect("a segment");
        assert_eq!((segment.address(), segment.size()), (0x4020_8000, 0x10c8));
        assert_eq!(segment.data().expect("data"), "skep ".repeat(40).as_bytes());
    }

    #[test]
    fn what_the_host_cannot_unpack_is_left_to_the_guest() {
        let good = zimage(PACKED, 200);
        assert_eq!(elf(&zimage(PACKED, 201)), None);
        assert_eq!(elf(&zimage(b"\x1f\x8b\x08", 200)), None);
        assert_eq!(elf(&zimage(&PACKED[..PACKED.len() / 2], 200)), None);
        for length in 0..good.len() {
            assert_eq!(elf(&good[..length]), None);
        }
    }
}
