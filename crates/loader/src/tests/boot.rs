//! Placement, and the whole preparation.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::kernel::kernels;
use super::{MIB, RAM_BASE, UImage, board_config, elf, elf_data_offset, range, zimage_tagged};
use crate::fdt::{Chosen, FdtError, Node, Range, Tree, board};
use crate::{
    BlobKind, Boot, BootError, DeviceTree, Entry, Format, Kernel, PlaceError, Placed, Plan,
    Request, plan, prepare,
};

/// Everything is inside RAM, below 4 GiB, and apart.
pub(super) fn check(plan: &Plan, ram: Range) {
    let end = (ram.base + ram.size).min(1 << 32);
    let inside = |placed: &Placed| placed.addr >= ram.base && placed.addr + placed.size <= end;
    let apart = |a: &Placed, b: &Placed| a.addr + a.size <= b.addr || b.addr + b.size <= a.addr;
    assert!(
        plan.kernel.iter().chain(&plan.initrd).all(inside) && inside(&plan.dtb),
        "{plan:x?}"
    );
    assert!(
        plan.kernel
            .iter()
            .chain(&plan.initrd)
            .all(|placed| apart(placed, &plan.dtb)),
        "{plan:x?}"
    );
    if let Some(initrd) = plan.initrd {
        assert!(
            plan.kernel.iter().all(|placed| apart(placed, &initrd)),
            "{plan:x?}"
        );
        assert_eq!(initrd.addr % 0x1000, 0);
    }
    assert_eq!(plan.dtb.addr % 0x1000, 0);
    assert_eq!(plan.entry.registers, [0, u32::MAX, plan.dtb.addr as u32]);
}

/// 5 MiB packed, 20 MiB unpacked, as Debian's kernel is.
fn debian_like() -> Vec<u8> {
    zimage_tagged(5 << 20, 5, [20 << 20, 0x6_0000, 0x20_8000])
}

fn ram(mib: u64) -> Range {
    range(RAM_BASE, mib * MIB)
}

fn placed(addr: u64, size: u64) -> Placed {
    Placed { addr, size }
}

#[test]
fn zimage_goes_where_qemu_puts_it() {
    let bytes = debian_like();
    let kernel = Kernel::parse(&bytes).unwrap();
    let cases = [
        // MiB of RAM, initial RAM disk, expected addresses of the disk and the tree.
        (512, Some(0x12_3456), Some(0x4800_0000), 0x4812_4000),
        (512, None, None, 0x4800_0000),
        (128, Some(0x1000), Some(0x4400_0000), 0x4400_1000),
        (3072, Some(0x1000), Some(0x4800_0000), 0x4800_1000),
        // RAM beyond 4 GiB.
        (8192, Some(0x1000), Some(0x4800_0000), 0x4800_1000),
        // What the kernel unpacks to reaches beyond the middle.
        (48, Some(0x1000), Some(0x41c0_8000), 0x41c0_9000),
        // No room behind the middle, but before.
        (128, Some(70 << 20), Some(0x41c0_8000), 0x4620_8000),
    ];
    for (mib, initrd, initrd_addr, dtb) in cases {
        let plan = plan(ram(mib), &kernel, initrd, 0x2000).unwrap();
        let expected = Plan {
            kernel: vec![placed(0x4001_0000, 5 << 20)],
            initrd: initrd_addr.map(|addr| placed(addr, initrd.unwrap())),
            dtb: placed(dtb, 0x2000),
            entry: Entry {
                pc: 0x4001_0000,
                thumb: false,
                registers: [0, u32::MAX, dtb as u32],
            },
        };
        assert_eq!(plan, expected, "{mib} MiB");
        check(&plan, ram(mib));
    }
}

#[test]
fn too_little_memory_says_how_much_is_needed() {
    let bytes = debian_like();
    let kernel = Kernel::parse(&bytes).unwrap();
    let initrd = Some(70 << 20);
    let error = plan(ram(64), &kernel, initrd, 0x2000).unwrap_err();
    let needed = 99 * MIB;
    assert_eq!(
        error,
        PlaceError::TooSmall {
            format: Format::ZImage,
            needed,
            have: 64 * MIB
        }
    );
    assert_eq!(
        error.to_string(),
        "the machine has 64 MiB of memory, but the zImage, its initial RAM disk and its device tree \
         need at least 99 MiB; give the machine more memory"
    );
    // It was told the truth.
    assert!(plan(ram(98), &kernel, initrd, 0x2000).is_err());
    check(&plan(ram(99), &kernel, initrd, 0x2000).unwrap(), ram(99));
}

#[test]
fn impossible_memory_and_trees_are_refused() {
    let kernel = Kernel::parse(&[0; 64]).unwrap();
    for (base, size) in [
        (RAM_BASE, 0),
        (RAM_BASE, 100),
        (RAM_BASE + 4, MIB),
        (1 << 32, MIB),
        (u64::MAX - 0xfff, MIB),
    ] {
        assert_eq!(
            plan(range(base, size), &kernel, None, 0x1000),
            Err(PlaceError::Memory { base, size })
        );
    }
    assert_eq!(
        plan(ram(64), &kernel, None, MIB + 1),
        Err(PlaceError::DtbTooLarge(MIB + 1))
    );
    assert!(matches!(
        plan(ram(64), &kernel, Some(u64::MAX), 0x1000),
        Err(PlaceError::TooSmall { .. })
    ));
}

#[test]
fn uimage_is_loaded_at_its_address_or_where_a_zimage_goes() {
    let inner = zimage_tagged(0x10_0000, 5, [0x40_0000, 0, 0x8000]);
    let cases = [
        (0x4000_8000, 0x4000_8000),
        (0x4200_0000, 0x4200_0000),
        // Another board's RAM, unaligned, or too close to an end.
        (0x8000_8000, 0x4001_0000),
        (0x4000_8002, 0x4001_0000),
        (0x4000_0000, 0x4001_0000),
        (0x43ff_0000, 0x4001_0000),
    ];
    for (load, expected) in cases {
        let bytes = UImage::kernel(load, load).build(&inner);
        let plan = plan(
            ram(64),
            &Kernel::parse(&bytes).unwrap(),
            Some(0x1000),
            0x1000,
        )
        .unwrap();
        assert_eq!(u64::from(plan.entry.pc), expected, "{load:#x}");
        check(&plan, ram(64));
    }
    // Its own address would leave no room for the rest.
    let bytes = UImage::kernel(0x4200_0000, 0x4200_0000).build(&inner);
    let kernel = Kernel::parse(&bytes).unwrap();
    let roomy = plan(ram(64), &kernel, Some(40 << 20), 0x1000).unwrap();
    assert_eq!(roomy.entry.pc, 0x4001_0000);
    check(&roomy, ram(64));

    let raw = UImage::kernel(0x8000_8000, 0x8000_8000).build(&[0xe1; 16]);
    let error = plan(ram(64), &Kernel::parse(&raw).unwrap(), None, 0x1000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the uImage wants to be at 0x80008000 to 0x8000800f, outside RAM (0x40000000 to 0x43ffffff); \
         make it with a load address in this range (`mkimage -a`), or give the machine more memory"
    );
}

#[test]
fn elf_gets_its_tree_at_the_start_of_ram_when_there_is_room() {
    let at = elf_data_offset(1);
    let program = |addr: u32, mem: u32| elf(addr | 1, &[[1, at, addr, addr, 4, mem]], b"code");
    let place = |addr, mem| {
        plan(
            ram(64),
            &Kernel::parse(&program(addr, mem)).unwrap(),
            Some(0x1000),
            0x2000,
        )
    };
    let plan = place(0x4001_0000, 0x1000).unwrap();
    assert_eq!(
        (plan.dtb.addr, plan.initrd),
        (RAM_BASE, Some(placed(0x4200_0000, 0x1000)))
    );
    assert_eq!((plan.entry.pc, plan.entry.thumb), (0x4001_0000, true));
    check(&plan, ram(64));
    let plan = place(0x4000_1000, 0x1000).unwrap();
    assert_eq!(plan.dtb.addr, 0x4200_1000);
    check(&plan, ram(64));
    // Around a program that occupies the middle, and one that leaves only the bottom.
    check(&place(0x41f0_0000, 0x20_0000).unwrap(), ram(64));
    let plan = place(0x4000_8000, 0x3ff_8000).unwrap();
    assert_eq!(
        (plan.dtb.addr, plan.initrd.unwrap().addr),
        (RAM_BASE, RAM_BASE + 0x2000)
    );
    check(&plan, ram(64));

    for (addr, mem) in [
        (0x3fff_f000, 0x2000),
        (0x43ff_f000, 0x2000),
        (0x8000_0000, 4),
    ] {
        let error = place(addr, mem).unwrap_err();
        assert!(matches!(error, PlaceError::OutsideRam { .. }), "{error}");
        assert!(error.to_string().contains("vmlinux"));
    }
}

#[test]
fn memory_below_the_end_of_any_segment_of_a_uimage_stays_free() {
    // The second segment lies inside the first, which goes on to the middle of RAM.
    let programs = [
        [1, 0, RAM_BASE as u32, RAM_BASE as u32, 4, 0x300_0000],
        [1, 0, 0x4010_0000, 0x4010_0000, 4, 0x1000],
    ];
    let bytes = UImage::kernel(0, 0).build(&elf(0x4000_0000, &programs, b"code"));
    let kernel = Kernel::parse(&bytes).unwrap();
    let plan = plan(ram(64), &kernel, Some(0x1000), 0x2000).unwrap();
    assert_eq!(plan.initrd, Some(placed(0x4300_0000, 0x1000)));
    check(&plan, ram(64));
}

fn request<'a>(kernel: &'a Kernel<'a>, tree: DeviceTree<'a>) -> Request<'a> {
    let chosen = Chosen {
        bootargs: "console=ttyAMA0".into(),
        ..Chosen::default()
    };
    Request {
        ram: ram(64),
        kernel,
        initrd: None,
        tree,
        chosen,
    }
}

fn tree_of(boot: &Boot<'_>) -> Tree {
    let blob = boot
        .blobs
        .iter()
        .find(|blob| blob.kind == BlobKind::Dtb)
        .unwrap();
    assert_eq!(u64::from(boot.entry.registers[2]), blob.addr);
    Tree::parse(&blob.data).unwrap()
}

#[test]
fn the_tree_names_the_initial_ram_disk() {
    let bytes = zimage_tagged(0x1000, 5, [0x1000, 0, 0x8000]);
    let kernel = Kernel::parse(&bytes).unwrap();
    let config = board_config();
    let request = Request {
        initrd: Some(b"disk"),
        ..request(&kernel, DeviceTree::Board(&config))
    };
    let boot = prepare(&request).unwrap();
    let kinds: Vec<_> = boot
        .blobs
        .iter()
        .map(|blob| (blob.kind, blob.addr, &blob.data[..]))
        .collect();
    assert_eq!(kinds[0], (BlobKind::Kernel, 0x4001_0000, &bytes[..]));
    assert_eq!(kinds[1], (BlobKind::Initrd, 0x4200_0000, &b"disk"[..]));
    assert_eq!((kinds[2].0, kinds[2].1), (BlobKind::Dtb, 0x4200_1000));
    let tree = tree_of(&boot);
    let chosen = tree.root.child("chosen").unwrap();
    assert_eq!(
        chosen.get("linux,initrd-start"),
        Some(&0x4200_0000u64.to_be_bytes()[..])
    );
    assert_eq!(
        chosen.get("linux,initrd-end"),
        Some(&0x4200_0004u64.to_be_bytes()[..])
    );
    assert_eq!(chosen.get("bootargs"), Some(&b"console=ttyAMA0\0"[..]));

    let empty = Request {
        initrd: Some(b""),
        ..request
    };
    assert_eq!(prepare(&empty), Err(BootError::EmptyInitrd));
}

#[test]
fn an_appended_tree_is_used_unless_the_user_gives_one() {
    let named = |model: &str| {
        let root = Node::default().strings("model", &[model]);
        Tree {
            root: root
                .cells("#address-cells", &[1])
                .cells("#size-cells", &[1]),
            ..Tree::default()
        }
        .to_bytes()
    };
    let bytes = [
        zimage_tagged(0x1000, 5, [0x1000, 0, 0x8000]),
        named("appended"),
    ]
    .concat();
    let kernel = Kernel::parse(&bytes).unwrap();
    let config = board_config();

    let boot = prepare(&request(&kernel, DeviceTree::Board(&config))).unwrap();
    assert!(boot.tree_from_kernel);
    let tree = tree_of(&boot);
    assert_eq!(tree.root.get("model"), Some(&b"appended\0"[..]));
    assert_eq!(
        tree.root.child("chosen").unwrap().get("bootargs"),
        Some(&b"console=ttyAMA0\0"[..])
    );
    assert!(tree.root.child("memory@40000000").is_some());
    // The kernel itself comes without it.
    assert_eq!(boot.blobs[0].data.len(), 0x1000);

    let user = named("user");
    let boot = prepare(&request(&kernel, DeviceTree::User(&user))).unwrap();
    assert!(!boot.tree_from_kernel);
    assert_eq!(tree_of(&boot).root.get("model"), Some(&b"user\0"[..]));

    let bad = prepare(&request(
        &kernel,
        DeviceTree::User(b"not a tree, but long enough to have a header"),
    ));
    assert_eq!(bad, Err(BootError::UserTree(FdtError::Magic(0x6e6f_7420))));
    let mut bytes = bytes.clone();
    bytes.truncate(0x1000 + 48);
    bytes[0x1004..0x1008].copy_from_slice(&48u32.to_be_bytes());
    let kernel = Kernel::parse(&bytes).unwrap();
    let bad = prepare(&request(&kernel, DeviceTree::Board(&config))).unwrap_err();
    assert!(
        bad.to_string()
            .starts_with("the device tree that came with the kernel: "),
        "{bad}"
    );
}

#[test]
fn prepared_blobs_match_the_roomyfor_every_format() {
    let config = board_config();
    let ram = ram(256);
    for bytes in kernels() {
        let kernel = Kernel::parse(&bytes).unwrap();
        let boot = prepare(&Request {
            ram,
            kernel: &kernel,
            initrd: Some(&[1; 5000]),
            tree: DeviceTree::Board(&config),
            chosen: Chosen::default(),
        })
        .unwrap();
        let code = boot
            .blobs
            .iter()
            .find(|blob| (blob.addr..blob.addr + blob.mem_size).contains(&boot.entry.pc.into()));
        assert_eq!(code.unwrap().kind, BlobKind::Kernel);
        assert!(
            boot.blobs
                .iter()
                .all(|blob| blob.data.len() as u64 <= blob.mem_size)
        );
    }
}

proptest! {
    #[test]
    fn whatever_is_placed_is_inside_ram_and_apart(
        which in any::<prop::sample::Index>(),
        base in prop_oneof![Just(RAM_BASE), (0u64..0xf_ffff).prop_map(|page| page << 12)],
        pages in prop_oneof![1u64..0x1000, 0u64..0x20_0000],
        initrd in prop::option::of(prop_oneof![1u64..0x10_0000, 0u64..(2 << 30)]),
        dtb in 40u64..MIB,
    ) {
        let bytes = which.get(&kernels()).clone();
        let kernel = Kernel::parse(&bytes).unwrap();
        let ram = range(base, pages << 12);
        match plan(ram, &kernel, initrd, dtb) {
            Ok(plan) => check(&plan, ram),
            Err(PlaceError::TooSmall { needed, have, .. }) => {
                prop_assert!(needed > have);
                // With that much it fits, if there is that much below 4 GiB.
                if base + needed <= 1 << 32 {
                    check(&plan(range(base, needed), &kernel, initrd, dtb).unwrap(), range(base, needed));
                }
            }
            Err(_) => {}
        }
    }
}

#[test]
fn the_board_tree_is_small() {
    // It is placed by its length, which must leave room in a small machine.
    assert!(board(&board_config(), &Chosen::default()).len() < 0x2000);
}
