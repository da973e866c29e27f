//! Device trees.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use std::path::Path;

use dtoolkit::{Node as _, Property as _};
use proptest::prelude::*;

use super::{MIB, RAM_BASE, board_config, range};
use crate::fdt::{
    BoardConfig, Chosen, FdtError, Gic, MAX_DEPTH, MAX_SIZE, Node, Property, PsciMethod,
    Reservation, Tree, add_room, amend, board, to_dts,
};

/// Set to write the expected files instead of comparing with them.
const UPDATE: &str = "SKEP_UPDATE_GOLDEN";

fn compare_with_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tests/golden")
        .join(name);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{name} differs; set {UPDATE}=1, run again and review the difference. Now:\n{text}"
    );
}

fn chosen() -> Chosen {
    Chosen {
        bootargs: "console=ttyAMA0 quiet".into(),
        initrd: Some(range(0x4800_0000, 0x12_3456)),
        rng_seed: (0..32).collect(),
        kaslr_seed: Some(0x0123_4567_89ab_cdef),
    }
}

#[test]
fn the_board_as_qemu_has_it() {
    compare_with_golden(
        "board.dts",
        &to_dts(&board(&board_config(), &chosen())).unwrap(),
    );
}

#[test]
fn room_at_the_end_is_part_of_the_tree() {
    let blob = board(&board_config(), &chosen());
    let mut roomy = blob.clone();
    add_room(&mut roomy, 0x1_0000);
    assert_eq!(roomy.len(), blob.len() + 0x1_0000);
    assert_eq!(roomy[4..8], (roomy.len() as u32).to_be_bytes());
    assert_eq!(to_dts(&roomy).unwrap(), to_dts(&blob).unwrap());
    let mut nothing = vec![0; 7];
    add_room(&mut nothing, 8);
    assert_eq!(nothing, [0; 7]);
}

#[test]
fn the_smallest_and_the_largest_board() {
    let small = BoardConfig {
        cpu: "arm,cortex-a7".into(),
        cpus: 1,
        pmu: None,
        flash: None,
        rtc: None,
        watchdog: None,
        fw_cfg: None,
        gpio: None,
        virtio: crate::fdt::VirtioSlots {
            count: 0,
            ..board_config().virtio
        },
        ..board_config()
    };
    compare_with_golden(
        "small.dts",
        &to_dts(&board(&small, &Chosen::default())).unwrap(),
    );
    let large = BoardConfig {
        watchdog: Some((range(0x090f_0000, 0x1000), 10)),
        cpus: 8,
        memory: range(RAM_BASE, 8192 * MIB),
        psci: PsciMethod::Smc,
        gic: Gic {
            virtualization: Some((
                range(0x0803_0000, 0x1_0000),
                range(0x0804_0000, 0x1_0000),
                25,
            )),
            ..board_config().gic
        },
        ..board_config()
    };
    compare_with_golden("large.dts", &to_dts(&board(&large, &chosen())).unwrap());
}

/// The same tree by an independent reader.
fn assert_same(ours: &Node, theirs: &dtoolkit::model::DeviceTreeNode) {
    assert_eq!(ours.name, theirs.name());
    let properties: Vec<_> = ours
        .properties
        .iter()
        .map(|p| (p.name.as_str(), p.value.as_slice()))
        .collect();
    let expected: Vec<_> = (&theirs)
        .properties()
        .map(|p| (p.name().to_string(), p.value().to_vec()))
        .collect();
    assert!(
        properties
            .iter()
            .copied()
            .eq(expected.iter().map(|(n, v)| (n.as_str(), v.as_slice())))
    );
    let children: Vec<_> = (&theirs).children().collect();
    assert_eq!(ours.children.len(), children.len());
    ours.children
        .iter()
        .zip(children)
        .for_each(|(ours, theirs)| assert_same(ours, theirs));
}

#[test]
fn another_library_reads_the_same() {
    let blob = board(&board_config(), &chosen());
    let theirs = dtoolkit::fdt::Fdt::new(&blob).unwrap();
    let theirs = dtoolkit::model::DeviceTree::from_fdt(&theirs);
    assert_same(&Tree::parse(&blob).unwrap().root, &theirs.root);
    // And we read what it writes.
    assert_same(&Tree::parse(&theirs.to_dtb()).unwrap().root, &theirs.root);
}

/// A user's tree with 32-bit cells, made by nobody in particular.
fn user_tree() -> Tree {
    let root = Node::default()
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .strings("model", &["user"])
        .with(
            Node::new("chosen")
                .strings("bootargs", &["theirs"])
                .cells("linux,initrd-start", &[1])
                .cells("linux,initrd-end", &[2])
                .strings("stdout-path", &["serial0"]),
        )
        .with(Node::new("memory-controller@1000").flag("a-name-of-more-than-thirty-one-characters"))
        .with(Node::new("memory").cells("reg", &[0, 0]))
        .with(Node::new("soc"))
        .with(Node::new("memory@80000000"));
    Tree {
        root,
        boot_cpu: 3,
        reservations: vec![Reservation {
            addr: 0x4000_0000,
            size: 0x1000,
        }],
    }
}

#[test]
fn amending_replaces_memory_and_chosen_and_nothing_else() {
    let tree = user_tree();
    // Followed by padding, as a file may be.
    let blob = [tree.to_bytes(), vec![0; 100]].concat();
    let amended = amend(&blob, &[range(RAM_BASE, 64 * MIB)], &chosen()).unwrap();
    let amended = Tree::parse(&amended).unwrap();
    assert_eq!(
        (amended.boot_cpu, &amended.reservations),
        (3, &tree.reservations)
    );
    let names: Vec<_> = amended
        .root
        .children
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["chosen", "memory-controller@1000", "memory@40000000", "soc"]
    );
    let memory = amended.root.child("memory@40000000").unwrap();
    assert_eq!(memory.get("reg"), Some(&[0x40, 0, 0, 0, 0x04, 0, 0, 0][..]));
    assert_eq!(memory.get("device_type"), Some(&b"memory\0"[..]));
    let node = amended.root.child("chosen").unwrap();
    assert_eq!(node.get("bootargs"), Some(&b"console=ttyAMA0 quiet\0"[..]));
    assert_eq!(node.get("stdout-path"), Some(&b"serial0\0"[..]));
    assert_eq!(
        node.get("linux,initrd-end"),
        Some(&0x4812_3456u64.to_be_bytes()[..])
    );
    assert_eq!(node.get("rng-seed").map(<[u8]>::len), Some(32));
    assert_eq!(
        node.get("kaslr-seed"),
        Some(&0x0123_4567_89ab_cdefu64.to_be_bytes()[..])
    );
}

#[test]
fn amending_keeps_their_command_line_and_drops_a_stale_initrd() {
    let blob = user_tree().to_bytes();
    let amended = amend(&blob, &[range(RAM_BASE, MIB)], &Chosen::default()).unwrap();
    let amended = Tree::parse(&amended).unwrap();
    let node = amended.root.child("chosen").unwrap();
    assert_eq!(node.get("bootargs"), Some(&b"theirs\0"[..]));
    assert_eq!(
        (node.get("linux,initrd-start"), node.get("linux,initrd-end")),
        (None, None)
    );
}

#[test]
fn amending_adds_what_is_missing() {
    let blob = Tree::default().to_bytes();
    let amended = amend(&blob, &[range(0, MIB), range(1 << 31, MIB)], &chosen()).unwrap();
    let amended = Tree::parse(&amended).unwrap();
    let names: Vec<_> = amended
        .root
        .children
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    assert_eq!(names, ["memory@0", "memory@80000000", "chosen"]);
    // The specification's default: two cells of address, one of size.
    assert_eq!(
        amended
            .root
            .child("memory@0")
            .unwrap()
            .get("reg")
            .map(<[u8]>::len),
        Some(12)
    );
}

#[test]
fn amending_refuses_cells_that_cannot_hold_the_memory() {
    let blob = user_tree().to_bytes();
    let error = amend(&blob, &[range(RAM_BASE, 8192 * MIB)], &Chosen::default()).unwrap_err();
    assert!(
        error.to_string().contains("4 GiB needs #address-cells"),
        "{error}"
    );
    let mut tree = user_tree();
    tree.root.set("#size-cells", 0u32.to_be_bytes());
    let error = amend(
        &tree.to_bytes(),
        &[range(RAM_BASE, MIB)],
        &Chosen::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("must be 1 or 2"), "{error}");
}

/// Overwrites big-endian words of a small tree's blob.
fn damaged_at(offsets: &[usize], value: u32) -> Result<Tree, FdtError> {
    let mut blob = Tree {
        root: Node::default().strings("a", &["b"]),
        ..Tree::default()
    }
    .to_bytes();
    for offset in offsets {
        super::put(&mut blob, *offset, &value.to_be_bytes());
    }
    Tree::parse(&blob)
}

fn damaged(offset: usize, value: u32) -> Result<Tree, FdtError> {
    damaged_at(&[offset], value)
}

#[test]
fn damaged_trees_are_refused() {
    let structure = |offset, value| match damaged(offset, value) {
        Err(FdtError::Structure { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert!(damaged(0, 0xd00d_feed).is_ok());
    assert_eq!(damaged(0, 0x1234), Err(FdtError::Magic(0x1234)));
    assert_eq!(damaged(20, 15), Err(FdtError::Version(15)));
    assert_eq!(damaged(24, 18), Err(FdtError::Version(17)));
    assert!(matches!(
        damaged(4, 0x1_0000),
        Err(FdtError::Truncated {
            expected: 0x1_0000,
            ..
        })
    ));
    assert!(matches!(
        Tree::parse(&[0; 39]),
        Err(FdtError::Truncated {
            expected: 40,
            found: 39
        })
    ));
    assert_eq!(
        structure(8, u32::MAX),
        "the structure block lies outside the blob"
    );
    assert_eq!(
        structure(12, u32::MAX),
        "the strings block lies outside the blob"
    );
    assert_eq!(
        structure(16, u32::MAX - 7),
        "the memory reservations have no end"
    );
    // The structure block: root at 56, property at 64 (length, name), value at 76, ends at 80.
    assert_eq!(structure(56, 2), "the end of a node that isn't open");
    assert_eq!(structure(64, 9), "the end inside a node");
    assert_eq!(structure(64, 77), "an unknown token");
    assert_eq!(structure(68, 100), "the structure block is cut off");
    assert_eq!(structure(72, 100), "a property has no valid name");
    assert_eq!(structure(84, 1), "something after the root node");
    assert_eq!(
        structure(60, u32::MAX),
        "a node's name has no end or isn't text"
    );
    assert!(damaged(64, 4).is_err());
    // No node around the property.
    assert!(matches!(
        damaged_at(&[56, 60], 4),
        Err(FdtError::Structure {
            what: "a property outside any node",
            offset: 64
        })
    ));
}

#[test]
fn too_large_and_too_deep_trees_are_refused() {
    let sized = |len: usize| {
        Tree {
            root: Node::default().bytes("a", vec![0; len]),
            ..Tree::default()
        }
        .to_bytes()
    };
    let overhead = sized(0).len();
    assert!(Tree::parse(&sized(MAX_SIZE - overhead - 2)).is_ok());
    assert!(matches!(
        Tree::parse(&sized(MAX_SIZE)),
        Err(FdtError::TooLarge(_))
    ));

    let nested = |depth: usize| {
        let root = (1..depth).fold(Node::new("leaf"), |node, _| Node::default().with(node));
        Tree {
            root,
            ..Tree::default()
        }
        .to_bytes()
    };
    assert!(Tree::parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(Tree::parse(&nested(MAX_DEPTH + 1)), Err(FdtError::TooDeep));
}

fn any_node() -> impl Strategy<Value = Node> {
    let name = "[a-z][a-z0-9,._+-]{0,40}(@[0-9a-f]{1,8})?";
    let properties = || {
        let property = (
            "[a-z#][a-z0-9,._+?#-]{0,40}",
            proptest::collection::vec(any::<u8>(), 0..20),
        );
        let property = property.prop_map(|(name, value)| Property { name, value });
        proptest::collection::vec(property, 0..4)
    };
    let node = |(name, properties, children): (String, Vec<Property>, Vec<Node>)| Node {
        name,
        properties,
        children,
    };
    let leaf = (name, properties(), Just(Vec::new())).prop_map(node);
    leaf.prop_recursive(4, 30, 4, move |inner| {
        (name, properties(), proptest::collection::vec(inner, 0..4)).prop_map(node)
    })
}

proptest! {
    #[test]
    fn reading_is_the_inverse_of_writing(
        root in any_node(),
        reservations in proptest::collection::vec((any::<u64>(), 1..u64::MAX), 0..3),
        boot_cpu in any::<u32>(),
    ) {
        let reservations = reservations.into_iter().map(|(addr, size)| Reservation { addr, size }).collect();
        let tree = Tree { reservations, boot_cpu, root };
        prop_assert_eq!(Tree::parse(&tree.to_bytes()), Ok(tree));
    }

    #[test]
    fn no_damage_makes_the_reader_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        header_only in any::<bool>(),
        len in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut blob = user_tree().to_bytes();
        for (at, value) in damage {
            let at = at.index(if header_only { 40 } else { blob.len() });
            blob[at] = value;
        }
        if cut {
            blob.truncate(len.index(blob.len()));
        }
        if let Ok(tree) = Tree::parse(&blob) {
            // Whatever was read can be written, printed and amended.
            let _ = tree.to_string();
            prop_assert_eq!(&Tree::parse(&tree.to_bytes()), &Ok(tree));
            let _ = amend(&blob, &[range(RAM_BASE, MIB)], &chosen());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(Tree::parse(&bytes).is_err());
    }
}
