//! Kernel files (zImage, uImage, ELF, raw) and what they become in memory. A file that is refused
//! is refused with a sentence; one that is accepted is placed inside RAM and below 4 GiB, with
//! nothing over anything else but an ELF file's own segments.

use crate::input::Input;
use crate::tree;
use skep_loader::fdt::{self, Chosen, Range};
use skep_loader::{BlobKind, DeviceTree, Image, Kernel, Request, prepare};

const RAM_BASE: u64 = 0x4000_0000;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let settings = input.u8();
    let ram = memory(&mut input);
    let initrd = (settings & 1 != 0).then(|| vec![0x5a; input.number() as usize & 0xffff]);
    let user_tree = (settings & 6 == 2).then(|| {
        let len = input.below(64);
        tree::built(&mut Input::new(input.take(len)))
    });
    let file = file(&mut input, 2);
    let kernel = match Kernel::parse(&file) {
        Ok(kernel) => kernel,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let board = board(ram);
    let request = Request {
        ram,
        kernel: &kernel,
        initrd: initrd.as_deref(),
        tree: match &user_tree {
            Some(tree) => DeviceTree::User(tree),
            None => DeviceTree::Board(&board),
        },
        chosen: Chosen::default(),
    };
    match prepare(&request) {
        Ok(boot) => check(&boot, &kernel, ram),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check(boot: &skep_loader::Boot<'_>, kernel: &Kernel<'_>, ram: Range) {
    let end = (ram.base + ram.size).min(1 << 32);
    let mut others: Vec<(u64, u64)> = Vec::new();
    let mut entered = false;
    for blob in &boot.blobs {
        assert!(blob.mem_size >= blob.data.len() as u64);
        let blob_end = blob.addr + blob.mem_size;
        assert!(
            blob.addr >= ram.base && blob_end <= end,
            "{:?} outside RAM",
            blob.kind
        );
        entered |= blob.kind == BlobKind::Kernel
            && (blob.addr..blob_end).contains(&u64::from(boot.entry.pc));
        for (start, end) in &others {
            assert!(
                blob_end <= *start || *end <= blob.addr,
                "{:?} overlaps",
                blob.kind
            );
        }
        let fixed = matches!(kernel.image, Image::Fixed { .. });
        if blob.kind != BlobKind::Kernel || !fixed {
            others.push((blob.addr, blob_end));
        }
    }
    // Segments, which may overlap one another, against the rest.
    let segments = boot
        .blobs
        .iter()
        .filter(|blob| blob.kind == BlobKind::Kernel);
    let rest = boot
        .blobs
        .iter()
        .filter(|blob| blob.kind != BlobKind::Kernel);
    for segment in segments {
        for blob in rest.clone() {
            let apart = segment.addr + segment.mem_size <= blob.addr
                || blob.addr + blob.mem_size <= segment.addr;
            assert!(
                apart,
                "{:?} at {:#x}, {:#x} bytes, is in the kernel's segment at {:#x}, {:#x} bytes",
                blob.kind, blob.addr, blob.mem_size, segment.addr, segment.mem_size
            );
        }
    }
    if let Image::Relocatable { .. } = kernel.image {
        assert!(entered, "the entry is not in the kernel");
    }
    let tree = boot.blobs.iter().find(|blob| blob.kind == BlobKind::Dtb);
    let tree = tree.expect("there is a device tree");
    assert_eq!(u64::from(boot.entry.registers[2]), tree.addr);
    fdt::Tree::parse(&tree.data).expect("the device tree is valid");
}

fn memory(input: &mut Input<'_>) -> Range {
    match input.u8() {
        0..0x80 => Range {
            base: RAM_BASE,
            size: (u64::from(input.u8()) + 1) << 20,
        },
        0x80..0xc0 => Range {
            base: input.number() & !0xfff,
            size: input.number() & !0xfff,
        },
        _ => Range {
            base: input.number(),
            size: input.number(),
        },
    }
}

/// A file: of a format, with fields that are right unless the input changes them, or any bytes.
/// A uImage has one of the others inside.
fn file(input: &mut Input<'_>, depth: u32) -> Vec<u8> {
    let format = input.u8();
    let changes: Vec<(usize, u32)> = (0..format >> 6)
        .map(|_| (usize::from(input.u8()), input.number() as u32))
        .collect();
    match format & 7 {
        0 | 1 => zimage(&changes, input),
        2..4 if depth > 0 => uimage(&changes, input, depth),
        4 | 5 => elf(&changes, input),
        _ => input.rest().to_vec(),
    }
}

fn put(bytes: &mut [u8], offset: usize, value: u32) {
    if let Some(field) = bytes.get_mut(offset..offset + 4) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

fn zimage(changes: &[(usize, u32)], input: &mut Input<'_>) -> Vec<u8> {
    let flags = input.u8();
    let body = input.take(256);
    let mut bytes = vec![0; 0x40];
    bytes.extend(body);
    put(&mut bytes, 0x24, 0x016f_2818);
    let size = bytes.len() as u32;
    put(&mut bytes, 0x2c, size);
    put(&mut bytes, 0x30, 0x0403_0201);
    if flags & 1 != 0 {
        put(&mut bytes, 0x34, 0x4545_4545);
        put(&mut bytes, 0x38, 0x40);
        // A tag that says how much unpacking needs.
        put(&mut bytes, 0x40, 5);
        put(&mut bytes, 0x44, 0x5a53_4c4b);
    }
    for (at, value) in changes {
        put(&mut bytes, 0x20 + at % 64, *value);
    }
    if flags & 2 != 0 {
        bytes.extend(tree::built(input));
    }
    bytes
}

fn uimage(changes: &[(usize, u32)], input: &mut Input<'_>, depth: u32) -> Vec<u8> {
    let flags = input.u8();
    let kind = input.pick(&[2, 2, 4, 1, 14]);
    let load = match flags & 3 {
        0 => 0,
        1 => 0x4000_8000,
        _ => input.number() as u32,
    };
    let mut kernel = file(input, depth - 1);
    if flags & 4 != 0 {
        kernel = gzip(&kernel, flags & 0x40 != 0);
    }
    let data = if kind == 4 {
        let initrd = input.rest();
        let mut data = Vec::new();
        for len in [kernel.len(), initrd.len(), 0] {
            data.extend((len as u32).to_be_bytes());
        }
        data.extend(&kernel);
        data.resize(data.len().next_multiple_of(4), 0);
        data.extend(initrd);
        data
    } else {
        kernel
    };
    let mut data = data;
    let mut fields = [
        0x2705_1956,
        0,
        0,
        data.len() as u32,
        load,
        load.wrapping_add(u32::from(flags >> 4)),
        0,
        u32::from_be_bytes([5, 2, kind, u8::from(flags & 4 != 0)]),
    ];
    for (at, value) in changes {
        match fields.get_mut(at % 16) {
            Some(field) => *field = *value,
            None => put(&mut data, at & 0xfc, *value),
        }
    }
    // Checksums are right last, but for one case in sixteen.
    if flags & 0x38 != 0x38 {
        fields[6] = crc32fast::hash(&data);
    }
    let mut header: Vec<u8> = fields.into_iter().flat_map(u32::to_be_bytes).collect();
    header.extend([b'n'; 32]);
    if flags & 0x38 != 0x38 {
        header[4..8].fill(0);
        let crc = crc32fast::hash(&header);
        header[4..8].copy_from_slice(&crc.to_be_bytes());
    }
    header.extend(data);
    header
}

fn gzip(data: &[u8], damaged: bool) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    if damaged {
        // The data as the deflate stream.
        bytes.extend(data);
        return bytes;
    }
    bytes.extend(miniz_oxide::deflate::compress_to_vec(data, 1));
    bytes.extend(crc32fast::hash(data).to_le_bytes());
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes
}

fn elf(changes: &[(usize, u32)], input: &mut Input<'_>) -> Vec<u8> {
    let count = input.below(5);
    let entry = match input.u8() {
        0 => input.u32(),
        byte => 0x4001_0000 + u32::from(byte),
    };
    let mut programs = Vec::new();
    for _ in 0..count {
        let kind = input.pick(&[1, 1, 1, 2, 6]);
        let offset = u32::from(input.u8());
        let addr = match input.u8() {
            0 => input.number() as u32,
            byte => 0x4001_0000 + (u32::from(byte) << 4),
        };
        let len = u32::from(input.u8());
        let extra = match input.u8() {
            0xff => input.number() as u32,
            byte => u32::from(byte),
        };
        programs.extend([kind, offset, addr, addr, len, len.wrapping_add(extra), 5, 4]);
    }
    let mut bytes = b"\x7fELF\x01\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, 40, 0]);
    for word in [1, entry, 52, 0, 0x0500_0000] {
        bytes.extend(u32::to_le_bytes(word));
    }
    for half in [52, 32, count as u16, 40, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(programs.into_iter().flat_map(u32::to_le_bytes));
    bytes.extend(input.rest());
    for (at, value) in changes {
        put(&mut bytes, *at, *value);
    }
    bytes
}

/// The board that the device tree is made for.
fn board(memory: Range) -> fdt::BoardConfig {
    use skep_board::map;
    let range = |range: map::Range| Range {
        base: range.base,
        size: range.size,
    };
    fdt::BoardConfig {
        cpu: "arm,cortex-a15".into(),
        cpus: 1,
        memory,
        gic: fdt::Gic {
            distributor: range(map::GIC_DIST),
            cpu_interface: range(map::GIC_CPU),
            virtualization: None,
        },
        timer: fdt::TimerIntids {
            secure: map::INTID_TIMER_SECURE,
            physical: map::INTID_TIMER_PHYS,
            virt: map::INTID_TIMER_VIRT,
            hyp: map::INTID_TIMER_HYP,
        },
        pmu: None,
        psci: fdt::PsciMethod::Hvc,
        flash: None,
        uart: (range(map::UART), map::SPI_UART),
        rtc: None,
        watchdog: None,
        fw_cfg: None,
        gpio: None,
        virtio: fdt::VirtioSlots {
            base: map::VIRTIO.base,
            size: map::VIRTIO_SLOT_SIZE,
            count: 1,
            spi: map::SPI_VIRTIO,
        },
        channels: Vec::new(),
        others: Vec::new(),
    }
}
