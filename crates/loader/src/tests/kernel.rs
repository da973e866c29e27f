//! Kernels of every format, whole and damaged.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{
    MIB, RAM_BASE, UImage, elf, elf_data_offset, gzip, put, put_le32, range, zimage, zimage_tagged,
};
use crate::fdt::{Chosen, board};
use crate::{Foreign, Format, Image, Kernel, KernelError, Segment};

fn error(bytes: &[u8]) -> KernelError {
    Kernel::parse(bytes).expect_err("the file is refused")
}

fn image(bytes: &[u8]) -> Image<'_> {
    Kernel::parse(bytes).expect("the file is a kernel").image
}

#[test]
fn an_empty_file_is_refused() {
    assert_eq!(error(&[]), KernelError::Empty);
    assert_eq!(
        error(&[]).to_string(),
        "the file is empty; expected a kernel for 32-bit little-endian Arm: a zImage, a uImage, \
         an ELF file or a raw image"
    );
}

#[test]
fn other_bytes_are_a_raw_image() {
    for bytes in [
        &[0u8; 4][..],
        &[0xea, 0xff, 0xff, 0xfe, 0],
        &[1],
        &[0x5a; 600],
    ] {
        if bytes.len() == 600 {
            // Except text.
            assert_eq!(error(bytes), KernelError::Foreign(Foreign::Text));
            continue;
        }
        let kernel = Kernel::parse(bytes).unwrap();
        assert_eq!(kernel.format, Format::Raw);
        let expected = Image::Relocatable {
            data: bytes.into(),
            preferred: None,
            unpacked: 0,
        };
        assert_eq!(kernel.image, expected);
        assert_eq!(kernel.size(), bytes.len() as u64);
    }
}

#[test]
fn zimage_without_a_table_is_assumed_to_unpack_to_five_times_its_size() {
    let bytes = zimage(0x1000);
    let kernel = Kernel::parse(&bytes).unwrap();
    assert_eq!((kernel.format, &kernel.dtb), (Format::ZImage, &None));
    let unpacked = 0x20_8000 + 5 * 0x1000 + 0x1000 + MIB;
    assert_eq!(
        kernel.image,
        Image::Relocatable {
            data: (&bytes).into(),
            preferred: None,
            unpacked
        }
    );
}

#[test]
fn zimage_table_says_what_it_unpacks_to() {
    let unpacked = |bytes: &[u8]| match image(bytes) {
        Image::Relocatable { unpacked, .. } => unpacked,
        fixed => panic!("{fixed:?}"),
    };
    let (size, room) = (0x2000, 0x2000 + MIB);
    let tagged = |words, sizes| unpacked(&zimage_tagged(size, words, sizes));
    assert_eq!(
        tagged(5, [0x10_0000, 0x1000, 0x8000]),
        0x8000 + 0x10_0000 + room
    );
    assert_eq!(
        tagged(5, [0x10_0000, 0x80_0000, 0x8000]),
        0x8000 + 0x10_0000 + 0x80_0000
    );
    // Older kernels don't give the offset: the largest is assumed.
    assert_eq!(
        tagged(4, [0x10_0000, 0x1000, 0]),
        0x20_8000 + 0x10_0000 + room
    );
    // Figures that can't be right are replaced by the guess.
    let guess = unpacked(&zimage(size));
    assert_eq!(tagged(5, [u32::MAX, 0, 0x8000]), guess);
    assert_eq!(tagged(5, [0, 0x1000, 0x8000]), guess);
    assert_eq!(tagged(1, [1, 1, 1]), guess);
    let mut far = zimage_tagged(size, 5, [1, 1, 1]);
    put_le32(&mut far, 0x38, u32::MAX - 1);
    assert_eq!(unpacked(&far), guess);
}

#[test]
fn zimage_takes_its_appended_tree_along() {
    let tree = board(&super::board_config(), &Chosen::default());
    let plain = zimage(0x400);
    let bytes = [&plain[..], &tree, b"behind"].concat();
    let kernel = Kernel::parse(&bytes).unwrap();
    assert_eq!(kernel.dtb.as_deref(), Some(&tree[..]));
    assert_eq!(kernel.size(), 0x400);

    let cut = [&plain[..], &tree[..100]].concat();
    assert_eq!(
        error(&cut),
        KernelError::AppendedTruncated {
            expected: tree.len() as u64,
            found: 100
        }
    );
    let cut = [&plain[..], &tree[..6]].concat();
    assert_eq!(
        error(&cut),
        KernelError::AppendedTruncated {
            expected: 8,
            found: 6
        }
    );

    // Other bytes behind the image, such as a signature, are nothing to it.
    let signed = [&plain[..], b"signature"].concat();
    assert_eq!(Kernel::parse(&signed).unwrap().dtb, None);
}

#[test]
fn damaged_zimages_are_refused() {
    let bytes = zimage(0x1000);
    let truncated = KernelError::ZImageTruncated {
        expected: 0x1000,
        found: 0xfff,
    };
    assert_eq!(error(&bytes[..0xfff]), truncated);
    assert_eq!(
        truncated.to_string(),
        "this zImage is truncated: its header says 4096 bytes, the file has 4095; copy or download \
         it again"
    );
    assert_eq!(
        error(&bytes[..0x2e]),
        KernelError::ZImageTruncated {
            expected: 0x30,
            found: 0x2e
        }
    );

    for end in [0, 4, 0x20] {
        let mut bytes = bytes.clone();
        put_le32(&mut bytes, 0x28, 0x10);
        put_le32(&mut bytes, 0x2c, end);
        assert_eq!(
            error(&bytes),
            KernelError::ZImageHeader { start: 0x10, end }
        );
    }
}

#[test]
fn big_endian_zimages_are_refused() {
    let refused = KernelError::Foreign(Foreign::BigEndianZImage);
    let mut swapped = zimage(0x200);
    for offset in [0x24, 0x28, 0x2c, 0x30] {
        swapped[offset..offset + 4].reverse();
    }
    assert_eq!(error(&swapped), refused);
    let mut marked = zimage(0x200);
    put(&mut marked, 0x30, &[4, 3, 2, 1]);
    assert_eq!(error(&marked), refused);
    // A kernel from before the mark.
    let mut old = zimage(0x200);
    put_le32(&mut old, 0x30, 0xe1a0_9000);
    assert!(Kernel::parse(&old).is_ok());
}

#[test]
fn uimage_of_a_zimage_prefers_its_load_address() {
    let inner = zimage(0x800);
    let bytes = UImage::kernel(0x4000_8000, 0x4000_8000).build(&inner);
    let kernel = Kernel::parse(&bytes).unwrap();
    assert_eq!(
        (kernel.format, kernel.name.as_deref()),
        (Format::UImage, Some("Linux-6.1.0"))
    );
    let preferred = |kernel: Kernel<'_>| match kernel.image {
        Image::Relocatable {
            preferred,
            unpacked,
            data,
        } => {
            assert_eq!(&data[..], &inner[..]);
            assert!(unpacked > 0);
            preferred
        }
        fixed @ Image::Fixed { .. } => panic!("{fixed:?}"),
    };
    assert_eq!(preferred(kernel), Some(0x4000_8000));
    for anywhere in [0, u32::MAX] {
        let bytes = UImage::kernel(anywhere, anywhere).build(&inner);
        assert_eq!(preferred(Kernel::parse(&bytes).unwrap()), None);
    }
    let noload = UImage {
        kind: 14,
        ..UImage::kernel(0x4000_8000, 0)
    }
    .build(&inner);
    assert_eq!(preferred(Kernel::parse(&noload).unwrap()), None);
}

#[test]
fn uimage_of_raw_code_is_loaded_where_it_says() {
    let code = [0x12u8; 0x100];
    let expected = Image::Fixed {
        segments: vec![Segment {
            addr: 0x4010_0000,
            data: (&code[..]).into(),
            mem_size: 0x100,
        }],
        entry: 0x4010_0041,
    };
    for kind in [1, 2] {
        let header = UImage {
            kind,
            ..UImage::kernel(0x4010_0000, 0x4010_0041)
        };
        assert_eq!(image(&header.build(&code)), expected);
        let packed = UImage {
            compression: 1,
            ..header
        }
        .build(&gzip(&code));
        assert_eq!(image(&packed), expected);
    }
    for entry in [0x400f_fffe, 0x4010_0100, 0] {
        let bytes = UImage::kernel(0x4010_0000, entry).build(&code);
        let (load, end) = (0x4010_0000, 0x4010_00ff);
        assert_eq!(error(&bytes), KernelError::UImageEntry { entry, load, end });
    }
    // Past the end of the address space.
    let bytes = UImage::kernel(0xffff_fff0, 0xffff_fff0).build(&code);
    assert!(matches!(
        error(&bytes),
        KernelError::UImageEntry {
            end: 0x1_0000_00ef,
            ..
        }
    ));
}

#[test]
fn multi_file_uimage_brings_initrd_and_tree() {
    let (kernel, initrd, tree) = (zimage(0x101), b"initrd".as_slice(), b"tree!".as_slice());
    let mut data = Vec::new();
    for size in [kernel.len(), initrd.len(), tree.len(), 0] {
        data.extend((size as u32).to_be_bytes());
    }
    for file in [&kernel[..], initrd, tree] {
        data.extend(file);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let header = UImage {
        kind: 4,
        ..UImage::kernel(0x4000_8000, 0x4000_8000)
    };
    let bytes = header.build(&data);
    let parsed = Kernel::parse(&bytes).unwrap();
    assert_eq!(parsed.size(), 0x101);
    assert_eq!(parsed.initrd.as_deref(), Some(initrd));
    assert_eq!(parsed.dtb.as_deref(), Some(tree));

    for cut in [0, 3, 4, 15, 16, 100, data.len() - 8] {
        let bytes = header.build(&data[..cut]);
        assert_eq!(error(&bytes), KernelError::UImageMulti(cut as u64), "{cut}");
    }
}

#[test]
fn damaged_uimages_are_refused() {
    let good = UImage::kernel(0, 0).build(&zimage(0x200));
    let expected = |expected, found| KernelError::UImageTruncated { expected, found };
    assert_eq!(error(&good[..20]), expected(64, 20));
    assert_eq!(error(&good[..0x100]), expected(0x240, 0x100));

    let mut bytes = good.clone();
    bytes[40] ^= 1;
    assert!(matches!(error(&bytes), KernelError::UImageHeaderCrc { .. }));
    let mut bytes = good.clone();
    bytes[80] ^= 1;
    assert!(matches!(error(&bytes), KernelError::UImageDataCrc { .. }));
}

#[test]
fn uimages_of_other_things_are_refused_by_name() {
    let base = UImage::kernel(0, 0);
    let message = |header: UImage| error(&header.build(&zimage(0x200))).to_string();
    let arch = message(UImage {
        arch: 22,
        ..base.clone()
    });
    assert!(
        arch.starts_with("this uImage is for 64-bit Arm (AArch64); expected"),
        "{arch}"
    );
    let arch = message(UImage {
        arch: 99,
        ..base.clone()
    });
    assert!(
        arch.starts_with("this uImage is for architecture number 99;"),
        "{arch}"
    );
    let kind = message(UImage {
        kind: 3,
        ..base.clone()
    });
    assert!(
        kind.starts_with("this uImage holds an initial RAM disk; expected"),
        "{kind}"
    );
    let packed = message(UImage {
        compression: 4,
        ..base.clone()
    });
    assert!(
        packed.starts_with("this uImage is compressed with LZO; expected"),
        "{packed}"
    );
    assert_eq!(error(&base.build(&[])), KernelError::Empty);
}

#[test]
fn damaged_gzip_data_is_refused() {
    let header = UImage {
        compression: 1,
        ..UImage::kernel(0x4000_0000, 0x4000_0000)
    };
    let gzip_error = |data: &[u8]| match error(&header.build(data)) {
        KernelError::Gzip(what) => what,
        other => panic!("{other}"),
    };
    let good = gzip(&[7; 1000]);
    assert_eq!(
        gzip_error(b"not gzip data"),
        "it doesn't start as gzip data does"
    );
    for cut in [
        4,
        9,
        10,
        12,
        14,
        20,
        30,
        36,
        40,
        good.len() - 8,
        good.len() - 1,
    ] {
        assert_eq!(gzip_error(&good[..cut]), "it is cut off", "{cut}");
    }
    let mut crc = good.clone();
    let at = crc.len() - 8;
    crc[at] ^= 1;
    assert_eq!(gzip_error(&crc), "its checksum is wrong");
    let mut length = good.clone();
    let at = length.len() - 1;
    length[at] ^= 1;
    assert_eq!(gzip_error(&length), "its length is wrong");
    let mut data = good.clone();
    data[37] = 0xff;
    assert_eq!(gzip_error(&data), "it is damaged");
}

#[test]
fn gzip_data_that_explodes_is_refused() {
    // A deflate stream of one literal and then matches of 258 bytes by fixed codes, 13 bits each:
    // small in the file, larger than the limit unpacked.
    let mut bits = Vec::new();
    let mut push = |value: u32, count: u32, msb_first: bool| {
        for index in 0..count {
            let index = if msb_first { count - 1 - index } else { index };
            bits.push(value >> index & 1 != 0);
        }
    };
    push(1, 1, false);
    push(1, 2, false);
    push(0x30, 8, true);
    for _ in 0..(crate::kernel::MAX_UNPACKED / 258 + 2) {
        push(0b1100_0101, 8, true);
        push(0, 5, true);
    }
    push(0, 7, true);
    let mut data = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    data.extend(bits.chunks(8).map(|byte| {
        byte.iter()
            .enumerate()
            .fold(0u8, |sum, (index, bit)| sum | u8::from(*bit) << index)
    }));
    data.extend([0; 8]);
    let header = UImage {
        compression: 1,
        ..UImage::kernel(0, 0)
    };
    assert_eq!(error(&header.build(&data)), KernelError::GzipTooLarge);
}

#[test]
fn elf_segments_go_to_their_physical_addresses() {
    let at = elf_data_offset(4);
    let programs = [
        [1, at, 0xc000_0000, 0x4010_0000, 4, 8],
        // Notes and empty segments aren't loaded.
        [4, at, 0, 0, 4, 4],
        [1, 0, 0x5000_0000, 0x5000_0000, 0, 0],
        [1, u32::MAX, 0xc010_0000, 0x4020_0000, 0, 0x1000],
    ];
    let bytes = elf(0xc000_0003, &programs, b"code");
    let kernel = Kernel::parse(&bytes).unwrap();
    assert_eq!(kernel.format, Format::Elf);
    assert_eq!(kernel.size(), 0x1008);
    let segment = |addr, data: &'static [u8], mem_size| Segment {
        addr,
        data: data.into(),
        mem_size,
    };
    assert_eq!(
        kernel.image,
        Image::Fixed {
            segments: vec![
                segment(0x4010_0000, b"code", 8),
                segment(0x4020_0000, b"", 0x1000)
            ],
            // T32, and at the physical address of a virtual one.
            entry: 0x4010_0003,
        }
    );
    // An entry that is given as a physical address.
    let bytes = elf(0x4020_0ffc, &programs, b"code");
    assert!(matches!(
        image(&bytes),
        Image::Fixed {
            entry: 0x4020_0ffc,
            ..
        }
    ));
}

#[test]
fn elf_files_for_other_machines_are_refused_by_name() {
    let good = elf(
        0x4000_0000,
        &[[1, 84, 0x4000_0000, 0x4000_0000, 4, 4]],
        b"code",
    );
    assert!(Kernel::parse(&good).is_ok());
    let with = |offset: usize, value: &[u8]| {
        let mut bytes = good.clone();
        put(&mut bytes, offset, value);
        error(&bytes)
    };
    assert_eq!(with(18, &[3, 0]), KernelError::ElfMachine(3));
    assert_eq!(with(4, &[2]), KernelError::Foreign(Foreign::Elf64(40)));
    assert_eq!(
        with(5, &[2]),
        KernelError::Foreign(Foreign::BigEndianElf(0x2800))
    );
    assert_eq!(with(16, &[1, 0]), KernelError::ElfType(1));
    assert_eq!(with(16, &[3, 0]), KernelError::ElfType(3));
    assert!(
        with(18, &[62, 0])
            .to_string()
            .starts_with("this is an ELF file for x86-64; expected")
    );
}

#[test]
fn damaged_elf_files_are_refused() {
    let at = elf_data_offset(1);
    let with = |program: super::Program| error(&elf(0x4000_0000, &[program], b"code"));
    assert_eq!(
        with([1, at, 0x4000_0000, 0x4000_0000, 5, 5]),
        KernelError::ElfSegmentTruncated {
            index: 0,
            end: u64::from(at) + 5,
            found: u64::from(at) + 4
        }
    );
    assert_eq!(
        with([1, at, 0x4000_0000, 0x4000_0000, 4, 3]),
        KernelError::ElfSegmentSize {
            index: 0,
            file: 4,
            mem: 3,
            addr: 0x4000_0000
        }
    );
    assert!(matches!(
        with([1, at, 0xffff_ffff, 0xffff_ffff, 2, 2]),
        KernelError::ElfSegmentSize { .. }
    ));
    assert_eq!(
        with([1, at, 0x4000_0004, 0x4000_0004, 4, 4]),
        KernelError::ElfEntry(0x4000_0000)
    );
    assert_eq!(with([2, at, 0, 0, 4, 4]), KernelError::ElfNoSegments);
    assert_eq!(
        with([3, at, 0, 0, 4, 4]),
        KernelError::ElfInterpreter("code".into())
    );
    let good = elf(
        0x4000_0000,
        &[[1, at, 0x4000_0000, 0x4000_0000, 4, 4]],
        b"code",
    );
    for cut in [4, 18, 19, 20, 51, 52, 83] {
        assert!(
            matches!(error(&good[..cut]), KernelError::ElfHeader(_)),
            "{cut}"
        );
    }
}

/// Every kind of file that can be started, small.
pub(super) fn kernels() -> Vec<Vec<u8>> {
    let tree = board(&super::board_config(), &Chosen::default());
    let at = elf_data_offset(2);
    let code = [0xe1u8; 64];
    vec![
        zimage(0x100),
        zimage_tagged(0x100, 5, [0x10_0000, 0x1_0000, 0x8000]),
        [zimage(0x200), tree].concat(),
        UImage::kernel(0x4000_8000, 0x4000_8000).build(&zimage(0x100)),
        UImage {
            compression: 1,
            ..UImage::kernel(0x4010_0000, 0x4010_0000)
        }
        .build(&gzip(&code)),
        UImage {
            kind: 4,
            ..UImage::kernel(0x4010_0000, 0x4010_0000)
        }
        .build(&[&[0, 0, 0, 64, 0, 0, 0, 0][..], &code].concat()),
        elf(
            0x4010_0000,
            &[
                [1, at, 0x4010_0000, 0x4010_0000, 4, 0x100],
                [1, at, 0x4fff_f000, 0x4fff_f000, 4, 0x1000],
            ],
            b"code",
        ),
        code.to_vec(),
    ]
}

#[test]
fn every_truncation_of_every_kernel_is_handled() {
    for bytes in kernels() {
        let full = Kernel::parse(&bytes).unwrap();
        for len in 0..bytes.len() {
            if let Ok(kernel) = Kernel::parse(&bytes[..len]) {
                // Too short to be recognised, or cut at the end of the zImage.
                let recognised = kernel.format == full.format;
                assert!(
                    !recognised
                        || kernel.format == Format::Raw
                        || kernel.dtb != full.dtb
                        || len >= 0x200
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Kernel::parse(&bytes);
    }

    #[test]
    fn no_damage_makes_loading_panic(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        fix_checksums in any::<bool>(),
    ) {
        let mut bytes = which.get(&kernels()).clone();
        for (at, value) in &damage {
            // Headers more often than what follows.
            let at = at.index(bytes.len().min(0x100));
            bytes[at] = *value;
        }
        if fix_checksums && bytes.len() > 64 && bytes.starts_with(&[0x27, 5, 0x19, 0x56]) {
            let crc = crc32fast::hash(&bytes[64..]);
            put(&mut bytes, 24, &crc.to_be_bytes());
            put(&mut bytes, 4, &[0; 4]);
            let crc = crc32fast::hash(&bytes[..64]);
            put(&mut bytes, 4, &crc.to_be_bytes());
        }
        match Kernel::parse(&bytes) {
            Ok(kernel) => {
                let ram = range(RAM_BASE, 256 * MIB);
                if let Ok(plan) = crate::plan(ram, &kernel, Some(0x1234), 0x2000) {
                    super::boot::check(&plan, ram);
                }
            }
            Err(error) => prop_assert!(error.to_string().contains("; ")),
        }
    }
}
