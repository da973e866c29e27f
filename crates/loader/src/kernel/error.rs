//! What can be wrong with a kernel file.

use alloc::string::String;
use core::fmt;

/// What [`Kernel::parse`](super::Kernel::parse) accepts, as the end of a sentence.
const ACCEPTED: &str = "expected a kernel for 32-bit little-endian Arm: a zImage, a uImage, an ELF file or a raw image";

/// Why a file can't be started as a kernel. Shown to the user as it is: each message says what was
/// found, and what to give instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// No bytes at all.
    #[error("the file is empty; {ACCEPTED}")]
    Empty,
    /// A file of a known kind that no 32-bit Arm machine starts.
    #[error("this is {0}; {remedy}", remedy = .0.remedy())]
    Foreign(Foreign),
    /// A zImage whose header says that it is longer than the file.
    #[error(
        "this zImage is truncated: its header says {expected} bytes, the file has {found}; copy or download it again"
    )]
    ZImageTruncated {
        /// Length that the header states.
        expected: u64,
        /// Length of the file.
        found: u64,
    },
    /// A zImage whose end lies before its start.
    #[error(
        "this zImage is damaged: its header says that it ends at {end:#x}, before its start at {start:#x}; copy or download it again"
    )]
    ZImageHeader {
        /// The header's start address.
        start: u32,
        /// The header's end address.
        end: u32,
    },
    /// A device tree is appended to the zImage, but incomplete.
    #[error(
        "the device tree appended to this zImage is truncated: it says {expected} bytes, {found} follow the kernel; append it again"
    )]
    AppendedTruncated {
        /// Length that the device tree states.
        expected: u64,
        /// Bytes after the zImage.
        found: u64,
    },
    /// A uImage shorter than its header and data.
    #[error(
        "this uImage is truncated: it should have {expected} bytes, the file has {found}; copy or download it again"
    )]
    UImageTruncated {
        /// Length that the header states, including the header.
        expected: u64,
        /// Length of the file.
        found: u64,
    },
    /// The header's checksum is wrong.
    #[error(
        "this uImage's header is damaged: its checksum should be {expected:#010x} but is {found:#010x}; copy or download it again"
    )]
    UImageHeaderCrc {
        /// The checksum that the header holds.
        expected: u32,
        /// The checksum of the header as it is.
        found: u32,
    },
    /// The data's checksum is wrong.
    #[error(
        "this uImage's data is damaged: its checksum should be {expected:#010x} but is {found:#010x}; copy or download it again"
    )]
    UImageDataCrc {
        /// The checksum that the header holds.
        expected: u32,
        /// The checksum of the data as it is.
        found: u32,
    },
    /// A uImage for another architecture.
    #[error("this uImage is for {}; {ACCEPTED}", uimage_arch(*.0))]
    UImageArch(u8),
    /// A uImage that holds something else than a kernel.
    #[error(
        "this uImage holds {}; expected one made with `mkimage -T kernel`, `kernel_noload`, `standalone` or `multi`",
        uimage_type(*.0)
    )]
    UImageType(u8),
    /// A compression that isn't supported.
    #[error(
        "this uImage is compressed with {}; expected `mkimage -C none` or `-C gzip`",
        uimage_compression(*.0)
    )]
    UImageCompression(u8),
    /// The table of a multi-file uImage exceeds its data.
    #[error(
        "this multi-file uImage is damaged: its list of files doesn't fit in its {0} bytes of data; make it again with `mkimage -T multi`"
    )]
    UImageMulti(u64),
    /// A uImage's entry address lies outside its contents.
    #[error(
        "this uImage starts at {entry:#010x}, outside its contents ({load:#010x} to {end:#010x}); make it again with the right `mkimage -a` and `-e`"
    )]
    UImageEntry {
        /// The header's entry address.
        entry: u32,
        /// The header's load address.
        load: u32,
        /// The last address of the contents.
        end: u64,
    },
    /// gzip data inside a uImage that can't be unpacked.
    #[error("the gzip data in this uImage can't be unpacked: {0}; make the uImage again")]
    Gzip(&'static str),
    /// Unpacks to more than any guest can hold.
    #[error(
        "the gzip data in this uImage unpacks to more than {} MiB; this can't be a kernel",
        super::MAX_UNPACKED >> 20
    )]
    GzipTooLarge,
    /// An ELF file for another machine.
    #[error("this is an ELF file for {}; {ACCEPTED}", elf_machine(*.0))]
    ElfMachine(u16),
    /// An ELF file that isn't an executable with fixed addresses.
    #[error("this ELF file is {}; expected an executable linked for fixed addresses", elf_type(*.0))]
    ElfType(u16),
    /// An ELF file that asks for a program interpreter.
    #[error(
        "this ELF file is a program for an operating system: it asks for the loader {0:?}; expected a kernel or a bare-metal program"
    )]
    ElfInterpreter(String),
    /// The ELF headers exceed the file or contradict themselves.
    #[error("this ELF file is truncated or damaged: {0}; copy or build it again")]
    ElfHeader(&'static str),
    /// A segment's contents exceed the file.
    #[error(
        "this ELF file is truncated: segment {index} ends at byte {end}, the file has {found}; copy or build it again"
    )]
    ElfSegmentTruncated {
        /// Index in the program header table.
        index: usize,
        /// Offset of the segment's end.
        end: u64,
        /// Length of the file.
        found: u64,
    },
    /// A segment with more bytes in the file than in memory, or past the end of the address space.
    #[error(
        "this ELF file is damaged: segment {index} ({file} bytes in the file, {mem} in memory, at {addr:#x}) is impossible; build it again"
    )]
    ElfSegmentSize {
        /// Index in the program header table.
        index: usize,
        /// `p_filesz`.
        file: u64,
        /// `p_memsz`.
        mem: u64,
        /// `p_paddr`.
        addr: u64,
    },
    /// Nothing to load.
    #[error("this ELF file has nothing to load: no PT_LOAD segment; expected a linked executable")]
    ElfNoSegments,
    /// The entry lies in no segment.
    #[error(
        "this ELF file starts at {0:#010x}, which is in none of its segments; link it with the right entry symbol (`ENTRY` in the linker script)"
    )]
    ElfEntry(u32),
}

/// A kind of file that is recognised in order to be refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Foreign {
    /// Linux for x86 (bzImage).
    X86Linux,
    /// Linux for AArch64 (Image).
    Arm64Linux,
    /// Linux for RISC-V (Image).
    RiscvLinux,
    /// zImage for a big-endian kernel.
    BigEndianZImage,
    /// 64-bit ELF, with its `e_machine`.
    Elf64(u16),
    /// Big-endian ELF, with its `e_machine`.
    BigEndianElf(u16),
    /// PE/COFF (EFI application or Windows program), with its machine type.
    Pe(u16),
    /// Mach-O.
    MachO,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
    /// Zstandard.
    Zstd,
    /// LZ4.
    Lz4,
    /// LZO (lzop).
    Lzop,
    /// ZIP.
    Zip,
    /// tar.
    Tar,
    /// ar archive: a static library or a Debian package.
    Ar,
    /// cpio archive: an initial RAM disk.
    Cpio,
    /// Android boot image.
    AndroidBoot,
    /// Flattened device tree, or a FIT image (which is one).
    DeviceTree,
    /// Flattened image tree.
    Fit,
    /// QEMU's disk format.
    Qcow2,
    /// ISO 9660.
    Iso9660,
    /// A disk with a boot sector (DOS partition table or FAT).
    BootSector,
    /// squashfs.
    Squashfs,
    /// ext2, ext3 or ext4.
    Ext,
    /// A script (`#!`).
    Script,
    /// Text.
    Text,
}

impl Foreign {
    fn remedy(self) -> &'static str {
        match self {
            Self::Gzip | Self::Xz | Self::Bzip2 | Self::Zstd | Self::Lz4 | Self::Lzop => {
                "unpack it first, then give the kernel that is inside (an initial RAM disk is given separately)"
            }
            Self::Zip | Self::Tar | Self::Ar => "unpack it and give the kernel that is inside",
            Self::Cpio => "give it as the initial RAM disk, with a kernel beside it",
            Self::DeviceTree => "give it as the device tree, with a kernel beside it",
            Self::Fit => {
                "take the kernel out with `dumpimage -T flat_dt -p 0 -o zImage FILE` and give that"
            }
            Self::AndroidBoot => "take the kernel out (`unpack_bootimg`) and give that",
            Self::Qcow2 | Self::Iso9660 | Self::BootSector | Self::Squashfs | Self::Ext => {
                "give it as a disk, with a kernel beside it"
            }
            Self::Elf64(_)
            | Self::BigEndianElf(_)
            | Self::X86Linux
            | Self::Arm64Linux
            | Self::RiscvLinux
            | Self::BigEndianZImage
            | Self::Pe(_)
            | Self::MachO
            | Self::Script
            | Self::Text => ACCEPTED,
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86Linux => "a Linux kernel for x86 (bzImage)",
            Self::Arm64Linux => "a Linux kernel for 64-bit Arm (Image)",
            Self::RiscvLinux => "a Linux kernel for RISC-V (Image)",
            Self::BigEndianZImage => "a zImage of a big-endian kernel",
            Self::Elf64(machine) => {
                return write!(f, "a 64-bit ELF file for {}", elf_machine(*machine));
            }
            Self::BigEndianElf(machine) => {
                return write!(f, "a big-endian ELF file for {}", elf_machine(*machine));
            }
            Self::Pe(machine) => {
                return write!(
                    f,
                    "an EFI or Windows program (PE) for {}",
                    pe_machine(*machine)
                );
            }
            Self::MachO => "a macOS program (Mach-O)",
            Self::Gzip => "a gzip file",
            Self::Xz => "an xz file",
            Self::Bzip2 => "a bzip2 file",
            Self::Zstd => "a Zstandard file",
            Self::Lz4 => "an LZ4 file",
            Self::Lzop => "an LZO file",
            Self::Zip => "a ZIP archive",
            Self::Tar => "a tar archive",
            Self::Ar => "an ar archive (a static library or a Debian package)",
            Self::Cpio => "a cpio archive, as initial RAM disks are",
            Self::AndroidBoot => "an Android boot image",
            Self::DeviceTree => "a device tree (DTB)",
            Self::Fit => "a flattened image tree (FIT)",
            Self::Qcow2 => "a qcow2 disk image",
            Self::Iso9660 => "an ISO 9660 disc image",
            Self::BootSector => "a disk image with a boot sector",
            Self::Squashfs => "a squashfs file system",
            Self::Ext => "an ext2/3/4 file system",
            Self::Script => "a script",
            Self::Text => "a text file",
        })
    }
}

/// A name, or a number when there is none.
struct Named {
    name: Option<&'static str>,
    what: &'static str,
    number: u16,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "{} {}", self.what, self.number),
        }
    }
}

fn elf_machine(number: u16) -> Named {
    let name = match number {
        2 => Some("SPARC"),
        3 => Some("32-bit x86"),
        4 => Some("Motorola 68000"),
        8 => Some("MIPS"),
        20 => Some("PowerPC"),
        21 => Some("64-bit PowerPC"),
        22 => Some("S/390"),
        40 => Some("32-bit Arm"),
        42 => Some("SuperH"),
        62 => Some("x86-64"),
        94 => Some("Xtensa"),
        183 => Some("64-bit Arm (AArch64)"),
        243 => Some("RISC-V"),
        258 => Some("LoongArch"),
        _ => None,
    };
    Named {
        name,
        what: "machine number",
        number,
    }
}

fn elf_type(number: u16) -> Named {
    let name = match number {
        0 => Some("of no type"),
        1 => Some("an object file that isn't linked yet (or a kernel module)"),
        3 => Some("a shared library or a position-independent program"),
        4 => Some("a core dump"),
        _ => None,
    };
    Named {
        name,
        what: "of type",
        number,
    }
}

fn pe_machine(number: u16) -> Named {
    let name = match number {
        0x14c => Some("32-bit x86"),
        0x1c0 | 0x1c2 | 0x1c4 => Some("32-bit Arm, but not a zImage"),
        0x8664 => Some("x86-64"),
        0xaa64 => Some("64-bit Arm (AArch64)"),
        0x5032 | 0x5064 => Some("RISC-V"),
        _ => None,
    };
    Named {
        name,
        what: "machine number",
        number,
    }
}

fn uimage_arch(number: u8) -> Named {
    let name = match number {
        0 => Some("no architecture"),
        3 => Some("32-bit x86"),
        4 => Some("Itanium"),
        5 => Some("MIPS"),
        6 => Some("64-bit MIPS"),
        7 => Some("PowerPC"),
        8 => Some("S/390"),
        9 => Some("SuperH"),
        10 | 11 => Some("SPARC"),
        12 => Some("Motorola 68000"),
        14 => Some("MicroBlaze"),
        15 => Some("Nios II"),
        22 => Some("64-bit Arm (AArch64)"),
        23 => Some("ARC"),
        24 => Some("x86-64"),
        25 => Some("Xtensa"),
        26 => Some("RISC-V"),
        _ => None,
    };
    Named {
        name,
        what: "architecture number",
        number: number.into(),
    }
}

fn uimage_type(number: u8) -> Named {
    let name = match number {
        3 => Some("an initial RAM disk"),
        5 => Some("firmware"),
        6 => Some("a U-Boot script"),
        7 => Some("a file system"),
        8 => Some("a device tree"),
        _ => None,
    };
    Named {
        name,
        what: "contents of type",
        number: number.into(),
    }
}

fn uimage_compression(number: u8) -> Named {
    let name = match number {
        2 => Some("bzip2"),
        3 => Some("LZMA"),
        4 => Some("LZO"),
        5 => Some("LZ4"),
        6 => Some("Zstandard"),
        _ => None,
    };
    Named {
        name,
        what: "method",
        number: number.into(),
    }
}
