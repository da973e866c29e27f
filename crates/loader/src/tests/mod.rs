//! Tests, and the files that they are made with: written here byte by byte, so that each field can be
//! wrong on purpose.

mod boot;
mod fdt;
mod foreign;
mod kernel;

use alloc::vec;
use alloc::vec::Vec;

use crate::fdt::{BoardConfig, Gic, GpioKey, PsciMethod, Range, TimerIntids, VirtioSlots};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const RAM_BASE: u64 = 0x4000_0000;

pub(crate) fn range(base: u64, size: u64) -> Range {
    Range { base, size }
}

/// QEMU's `virt` board with two CPUs and 512 MiB.
pub(crate) fn board_config() -> BoardConfig {
    BoardConfig {
        cpu: "arm,cortex-a15".into(),
        cpus: 2,
        memory: range(RAM_BASE, 512 * MIB),
        gic: Gic {
            distributor: range(0x0800_0000, 0x1_0000),
            cpu_interface: range(0x0801_0000, 0x1_0000),
            virtualization: None,
        },
        timer: TimerIntids {
            secure: 29,
            physical: 30,
            virt: 27,
            hyp: 26,
        },
        pmu: Some(23),
        psci: PsciMethod::Hvc,
        flash: Some([range(0, 64 * MIB), range(64 * MIB, 64 * MIB)]),
        uart: (range(0x0900_0000, 0x1000), 1),
        rtc: Some((range(0x0901_0000, 0x1000), 2)),
        watchdog: None,
        fw_cfg: Some(range(0x0902_0000, 0x18)),
        gpio: Some(GpioKey {
            registers: range(0x0903_0000, 0x1000),
            spi: 7,
            power_key: 3,
        }),
        virtio: VirtioSlots {
            base: 0x0a00_0000,
            size: 0x200,
            count: 32,
            spi: 16,
        },
        channels: Vec::new(),
        others: Vec::new(),
    }
}

pub(crate) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

pub(crate) fn put_le32(bytes: &mut [u8], offset: usize, value: u32) {
    put(bytes, offset, &value.to_le_bytes());
}

/// A zImage of `len` bytes (at least 0x100) without a table of tags.
pub(crate) fn zimage(len: usize) -> Vec<u8> {
    let mut bytes = vec![0xe1; len];
    put_le32(&mut bytes, 0x24, 0x016f_2818);
    put_le32(&mut bytes, 0x28, 0);
    put_le32(&mut bytes, 0x2c, len as u32);
    put_le32(&mut bytes, 0x30, 0x0403_0201);
    bytes
}

/// A zImage with a table: unpacked size, size of .bss, offset from the start of RAM. `words` is the
/// length of the tag: 6 in newer kernels, 4 in older ones.
pub(crate) fn zimage_tagged(len: usize, words: u32, sizes: [u32; 3]) -> Vec<u8> {
    let mut bytes = zimage(len);
    put_le32(&mut bytes, 0x34, 0x4545_4545);
    put_le32(&mut bytes, 0x38, 0x80);
    // A tag that isn't known, in front.
    let table = [
        3,
        0x1234_5678,
        0,
        words,
        0x5a53_4c4b,
        0xfc,
        sizes[1],
        sizes[2],
        0,
    ];
    for (index, word) in table.into_iter().enumerate() {
        put_le32(&mut bytes, 0x80 + index * 4, word);
    }
    if words == 4 {
        put_le32(&mut bytes, 0x80 + 7 * 4, 0);
    }
    put_le32(&mut bytes, 0xfc, sizes[0]);
    bytes
}

/// The fields of a uImage's header that tests vary.
#[derive(Clone)]
pub(crate) struct UImage {
    pub arch: u8,
    pub kind: u8,
    pub compression: u8,
    pub load: u32,
    pub entry: u32,
}

impl UImage {
    pub(crate) fn kernel(load: u32, entry: u32) -> Self {
        Self {
            arch: 2,
            kind: 2,
            compression: 0,
            load,
            entry,
        }
    }

    pub(crate) fn build(&self, data: &[u8]) -> Vec<u8> {
        let mut header = vec![0; 64];
        put(&mut header, 0, &0x2705_1956u32.to_be_bytes());
        put(&mut header, 12, &(data.len() as u32).to_be_bytes());
        put(&mut header, 16, &self.load.to_be_bytes());
        put(&mut header, 20, &self.entry.to_be_bytes());
        put(&mut header, 24, &crc32fast::hash(data).to_be_bytes());
        // Operating system 5 is Linux.
        put(
            &mut header,
            28,
            &[5, self.arch, self.kind, self.compression],
        );
        put(&mut header, 32, b"Linux-6.1.0");
        let crc = crc32fast::hash(&header);
        put(&mut header, 4, &crc.to_be_bytes());
        [&header, data].concat()
    }
}

/// A gzip member with every optional field.
pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3];
    bytes.extend([3, 0, b'a', b'b', b'c']);
    bytes.extend(b"kernel\0a comment\0\x12\x34");
    bytes.extend(miniz_oxide::deflate::compress_to_vec(data, 6));
    bytes.extend(crc32fast::hash(data).to_le_bytes());
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes
}

/// A program header: type, offset, virtual and physical address, size in the file and in memory.
pub(crate) type Program = [u32; 6];

/// An ELF file for 32-bit Arm with these program headers, and `data` behind them.
pub(crate) fn elf(entry: u32, programs: &[Program], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 52];
    put(&mut bytes, 0, b"\x7fELF\x01\x01\x01");
    put(&mut bytes, 16, &2u16.to_le_bytes());
    put(&mut bytes, 18, &40u16.to_le_bytes());
    put_le32(&mut bytes, 20, 1);
    put_le32(&mut bytes, 24, entry);
    put_le32(&mut bytes, 28, 52);
    put_le32(&mut bytes, 36, 0x0500_0000);
    put(&mut bytes, 40, &52u16.to_le_bytes());
    put(&mut bytes, 42, &32u16.to_le_bytes());
    put(&mut bytes, 44, &(programs.len() as u16).to_le_bytes());
    for program in programs {
        bytes.extend(program.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(5u32.to_le_bytes());
        bytes.extend(4u32.to_le_bytes());
    }
    bytes.extend(data);
    bytes
}

/// Where [`elf`]'s data starts.
pub(crate) fn elf_data_offset(programs: usize) -> u32 {
    52 + 32 * programs as u32
}
