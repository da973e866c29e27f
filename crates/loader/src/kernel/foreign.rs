//! Recognising files that are no kernels for this machine, in order to say what they are.

use super::{Foreign, array, be32, le16, le32};

/// Magic numbers at a fixed offset.
const MAGICS: &[(usize, &[u8], Foreign)] = &[
    (0, b"\x1f\x8b\x08", Foreign::Gzip),
    (0, b"\xfd7zXZ\0", Foreign::Xz),
    (0, b"BZh", Foreign::Bzip2),
    (0, b"\x28\xb5\x2f\xfd", Foreign::Zstd),
    (0, b"\x04\x22\x4d\x18", Foreign::Lz4),
    // The legacy frame, as Linux and initial RAM disks use it.
    (0, b"\x02\x21\x4c\x18", Foreign::Lz4),
    (0, b"\x89LZO\0", Foreign::Lzop),
    (0, b"PK\x03\x04", Foreign::Zip),
    (0, b"!<arch>\n", Foreign::Ar),
    (0, b"070701", Foreign::Cpio),
    (0, b"070702", Foreign::Cpio),
    (0, b"070707", Foreign::Cpio),
    (0, b"ANDROID!", Foreign::AndroidBoot),
    (0, b"QFI\xfb", Foreign::Qcow2),
    (0, b"hsqs", Foreign::Squashfs),
    (0, b"\xce\xfa\xed\xfe", Foreign::MachO),
    (0, b"\xcf\xfa\xed\xfe", Foreign::MachO),
    (0, b"\xca\xfe\xba\xbe", Foreign::MachO),
    (0, b"#!", Foreign::Script),
    (0x101, b"ustar", Foreign::Tar),
    (0x8001, b"CD001", Foreign::Iso9660),
];

const FDT_MAGIC: u32 = 0xd00d_feed;
/// Offset of the two bytes 0x55, 0xaa at the end of a boot sector, and of the x86 header's magic.
const BOOT_SIGNATURE: usize = 0x1fe;
const X86_MAGIC: usize = 0x202;
/// Offset of the magic numbers of AArch64's and RISC-V's Image.
const IMAGE_MAGIC: usize = 0x38;
/// Offset of the PE header's offset.
const PE_POINTER: usize = 0x3c;
/// Offset of the magic number in an ext2 superblock, and of the superblock's log2 of the block size.
const EXT_MAGIC: usize = 0x438;
const EXT_LOG_BLOCK: usize = 0x418;

/// How much of a file is looked at to call it text.
const TEXT_SAMPLE: usize = 512;
/// Shorter files aren't called text: a few instructions may look like it.
const TEXT_MIN: usize = 16;

/// Says what a file is, or `None` when it is nothing known. The caller has looked for the kinds that
/// can be started before.
pub(super) fn identify(bytes: &[u8]) -> Option<Foreign> {
    // Kernels first: those with an EFI stub also look like PE files.
    if array(bytes, X86_MAGIC) == Some(*b"HdrS")
        && array(bytes, BOOT_SIGNATURE) == Some([0x55, 0xaa])
    {
        return Some(Foreign::X86Linux);
    }
    match array(bytes, IMAGE_MAGIC) {
        Some([b'A', b'R', b'M', 0x64]) => return Some(Foreign::Arm64Linux),
        Some([b'R', b'S', b'C', 0x05]) => return Some(Foreign::RiscvLinux),
        _ => {}
    }
    if let Some(machine) = pe_machine(bytes) {
        return Some(Foreign::Pe(machine));
    }
    if be32(bytes, 0) == Some(FDT_MAGIC) {
        return Some(if is_fit(bytes) {
            Foreign::Fit
        } else {
            Foreign::DeviceTree
        });
    }
    let starts = |offset: usize, magic: &[u8]| {
        bytes
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    if let Some((_, _, foreign)) = MAGICS
        .iter()
        .find(|(offset, magic, _)| starts(*offset, magic))
    {
        return Some(*foreign);
    }
    if le16(bytes, EXT_MAGIC) == Some(0xef53)
        && le32(bytes, EXT_LOG_BLOCK).is_some_and(|log| log <= 6)
    {
        return Some(Foreign::Ext);
    }
    if is_boot_sector(bytes) {
        return Some(Foreign::BootSector);
    }
    is_text(bytes).then_some(Foreign::Text)
}

fn pe_machine(bytes: &[u8]) -> Option<u16> {
    if array(bytes, 0) != Some(*b"MZ") {
        return None;
    }
    let header = le32(bytes, PE_POINTER)? as usize;
    let signature: [u8; 4] = array(bytes, header)?;
    (signature == *b"PE\0\0")
        .then(|| le16(bytes, header.checked_add(4)?))
        .flatten()
}

/// A FIT image is a device tree with a node `/images`.
fn is_fit(bytes: &[u8]) -> bool {
    crate::fdt::Tree::parse(bytes)
        .is_ok_and(|tree| tree.root.children.iter().any(|node| node.name == "images"))
}

/// A signature alone would be too weak: a whole number of sectors, and either a plausible partition
/// table or the x86 jump that starts a FAT.
fn is_boot_sector(bytes: &[u8]) -> bool {
    if array(bytes, BOOT_SIGNATURE) != Some([0x55, 0xaa]) || !bytes.len().is_multiple_of(512) {
        return false;
    }
    let Some(table) = bytes.get(0x1be..BOOT_SIGNATURE) else {
        return false;
    };
    let partitions = table.chunks_exact(16);
    let plausible = partitions
        .clone()
        .all(|entry| matches!(entry.first(), Some(0x00 | 0x80)));
    let any = partitions
        .clone()
        .any(|entry| entry.get(4).is_some_and(|&kind| kind != 0));
    (plausible && any) || matches!(bytes, [0xeb, _, 0x90, ..])
}

fn is_text(bytes: &[u8]) -> bool {
    let sample = bytes.get(..TEXT_SAMPLE).unwrap_or(bytes);
    bytes.len() >= TEXT_MIN
        && sample
            .iter()
            .all(|&byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}
