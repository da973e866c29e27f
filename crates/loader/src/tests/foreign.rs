//! Files that aren't kernels for this machine.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::{board_config, put, put_le32};
use crate::fdt::{Chosen, Node, Tree, board};
use crate::{Foreign, Kernel, KernelError};

/// Zeros but for these bytes at these offsets.
fn file(len: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (offset, value) in parts {
        put(&mut bytes, *offset, value);
    }
    bytes
}

fn pe(machine: u16) -> Vec<u8> {
    let mut bytes = file(0x400, &[(0, b"MZ"), (0x80, b"PE\0\0")]);
    put_le32(&mut bytes, 0x3c, 0x80);
    put(&mut bytes, 0x84, &machine.to_le_bytes());
    bytes
}

#[test]
fn foreign_files_are_recognised() {
    let bzimage = file(
        0x400,
        &[(0, b"MZ"), (0x1fe, &[0x55, 0xaa]), (0x202, b"HdrS")],
    );
    let arm64 = file(0x400, &[(0, b"MZ"), (0x38, b"ARM\x64")]);
    let riscv = file(0x400, &[(0x38, b"RSC\x05")]);
    let disk = file(
        0x400,
        &[(0x1be, &[0x80, 0, 0, 0, 0x83]), (0x1fe, &[0x55, 0xaa])],
    );
    let fat = file(0x200, &[(0, &[0xeb, 0x3c, 0x90]), (0x1fe, &[0x55, 0xaa])]);
    let fit = Tree {
        root: Node {
            children: vec![Node::new("images")],
            ..Node::default()
        },
        ..Tree::default()
    };
    let cases: Vec<(Vec<u8>, Foreign)> = vec![
        (bzimage, Foreign::X86Linux),
        (arm64, Foreign::Arm64Linux),
        (riscv, Foreign::RiscvLinux),
        (pe(0x8664), Foreign::Pe(0x8664)),
        (pe(0xaa64), Foreign::Pe(0xaa64)),
        (file(64, &[(0, b"\xcf\xfa\xed\xfe")]), Foreign::MachO),
        (file(64, &[(0, b"\x1f\x8b\x08")]), Foreign::Gzip),
        (file(64, &[(0, b"\xfd7zXZ\0")]), Foreign::Xz),
        (file(64, &[(0, b"BZh9")]), Foreign::Bzip2),
        (file(64, &[(0, b"\x28\xb5\x2f\xfd")]), Foreign::Zstd),
        (file(64, &[(0, b"\x02\x21\x4c\x18")]), Foreign::Lz4),
        (file(64, &[(0, b"\x89LZO\0")]), Foreign::Lzop),
        (file(64, &[(0, b"PK\x03\x04")]), Foreign::Zip),
        (file(512, &[(0x101, b"ustar")]), Foreign::Tar),
        (file(64, &[(0, b"!<arch>\n")]), Foreign::Ar),
        (file(64, &[(0, b"070701")]), Foreign::Cpio),
        (file(64, &[(0, b"ANDROID!")]), Foreign::AndroidBoot),
        (
            board(&board_config(), &Chosen::default()),
            Foreign::DeviceTree,
        ),
        (fit.to_bytes(), Foreign::Fit),
        (file(64, &[(0, b"QFI\xfb")]), Foreign::Qcow2),
        (file(0x9000, &[(0x8001, b"CD001")]), Foreign::Iso9660),
        (disk, Foreign::BootSector),
        (fat, Foreign::BootSector),
        (file(64, &[(0, b"hsqs")]), Foreign::Squashfs),
        (file(0x800, &[(0x438, &[0x53, 0xef])]), Foreign::Ext),
        (b"#!/bin/sh\nexit 1\n".to_vec(), Foreign::Script),
        (b"/dts-v1/;\n/ { };\n".to_vec(), Foreign::Text),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            Kernel::parse(&bytes),
            Err(KernelError::Foreign(expected)),
            "{expected}"
        );
    }
}

#[test]
fn refusals_say_what_the_file_is_and_what_to_give() {
    let message = |foreign| KernelError::Foreign(foreign).to_string();
    assert_eq!(
        message(Foreign::X86Linux),
        "this is a Linux kernel for x86 (bzImage); expected a kernel for 32-bit little-endian Arm: a \
         zImage, a uImage, an ELF file or a raw image"
    );
    assert_eq!(
        message(Foreign::Cpio),
        "this is a cpio archive, as initial RAM disks are; give it as the initial RAM disk, with a \
         kernel beside it"
    );
    assert!(
        message(Foreign::Elf64(183))
            .starts_with("this is a 64-bit ELF file for 64-bit Arm (AArch64);")
    );
    assert!(message(Foreign::Pe(0x1234)).contains("for machine number 4660;"));
    assert!(
        message(Foreign::Arm64Linux).starts_with("this is a Linux kernel for 64-bit Arm (Image);")
    );
}

#[test]
fn weak_signs_alone_refuse_nothing() {
    // A boot signature without a partition table, "MZ" without a PE header, short text.
    for bytes in [
        file(0x200, &[(0, &[0xff; 0x1fe]), (0x1fe, &[0x55, 0xaa])]),
        file(
            0x201,
            &[(0x1be, &[0x80, 0, 0, 0, 0x83]), (0x1fe, &[0x55, 0xaa])],
        ),
        file(0x400, &[(0, b"MZ"), (0x3c, &[0xff; 4])]),
        b"AAAA".to_vec(),
    ] {
        assert!(Kernel::parse(&bytes).is_ok());
    }
}
