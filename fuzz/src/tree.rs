//! Device trees: bytes that may be one, and trees that are written and read back. What is valid
//! stays the same through a round trip and an amendment keeps it valid.

use crate::input::Input;
use skep_loader::fdt::{Chosen, MAX_DEPTH, Node, Range, Reservation, Tree, amend, to_dts};

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let chosen = chosen(&mut input);
    let memory = memory(&mut input);
    let blob = match input.u8() % 3 {
        0 => built(&mut input),
        1 => blob(&mut input),
        _ => input.rest().to_vec(),
    };
    let printed = to_dts(&blob);
    let parsed = Tree::parse(&blob);
    assert_eq!(printed.is_ok(), parsed.is_ok());
    if let Ok(tree) = &parsed {
        let again = Tree::parse(&tree.to_bytes());
        assert_eq!(again.as_ref(), Ok(tree));
    }
    match amend(&blob, &memory, &chosen) {
        Ok(amended) => {
            let tree = Tree::parse(&amended).expect("an amended tree is valid");
            let node = tree.root.child("chosen").expect("it has /chosen");
            assert_eq!(
                node.get("linux,initrd-start").is_some(),
                chosen.initrd.is_some()
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn chosen(input: &mut Input<'_>) -> Chosen {
    let flags = input.u8();
    Chosen {
        bootargs: "console=ttyAMA0 ".repeat(usize::from(flags & 3)),
        initrd: (flags & 4 != 0).then(|| Range {
            base: input.number(),
            size: input.number(),
        }),
        rng_seed: vec![flags; usize::from(flags >> 5)],
        kaslr_seed: (flags & 8 != 0).then_some(1),
    }
}

fn memory(input: &mut Input<'_>) -> Vec<Range> {
    let count = input.below(3);
    (0..count)
        .map(|_| Range {
            base: input.number(),
            size: input.number(),
        })
        .collect()
}

/// A tree made of nodes and properties, with names from a list that has those that amending looks
/// at.
pub fn built(input: &mut Input<'_>) -> Vec<u8> {
    const NODES: [&str; 8] = [
        "chosen",
        "memory",
        "memory@40000000",
        "memory@0",
        "memory-controller@0",
        "cpus",
        "a",
        "",
    ];
    const PROPERTIES: [&str; 8] = [
        "#address-cells",
        "#size-cells",
        "reg",
        "bootargs",
        "linux,initrd-start",
        "linux,initrd-end",
        "compatible",
        "x",
    ];
    let mut reservations = Vec::new();
    for _ in 0..input.below(3) {
        let (addr, size) = (input.number(), input.number());
        reservations.push(Reservation { addr, size });
    }
    // The nodes from the root to the one that is being built.
    let mut path = vec![Node::new("")];
    while !input.is_empty() {
        match input.u8() % 4 {
            0 | 1 => {
                let name = input.pick(&PROPERTIES);
                let len = input.below(20);
                let value = input.take(len).to_vec();
                if let Some(node) = path.last_mut() {
                    node.set(name, value);
                }
            }
            2 if path.len() < MAX_DEPTH + 4 => path.push(Node::new(input.pick(&NODES))),
            _ => close(&mut path),
        }
    }
    while path.len() > 1 {
        close(&mut path);
    }
    let tree = Tree {
        reservations,
        boot_cpu: 0,
        root: path.swap_remove(0),
    };
    tree.to_bytes()
}

fn close(path: &mut Vec<Node>) {
    if path.len() > 1
        && let Some(node) = path.pop()
        && let Some(parent) = path.last_mut()
    {
        parent.children.push(node);
    }
}

/// A header whose fields can be wrong, and any bytes as structure and strings.
fn blob(input: &mut Input<'_>) -> Vec<u8> {
    const HEADER: u32 = 40;
    let wrong = input.u16();
    let changed = input.number() as u32;
    let words = input.below(128) as u32;
    let mut structure = Vec::new();
    for _ in 0..words {
        // The tokens of the format, lengths, and characters.
        let word = match input.u8() {
            byte @ 0..0x80 => u32::from(byte % 10),
            0x80..0xc0 => 0x6100_0000,
            _ => input.u32(),
        };
        structure.extend(word.to_be_bytes());
    }
    let strings = input.rest();
    let (structure_at, structure_len) = (HEADER + 16, structure.len() as u32);
    let strings_at = structure_at + structure_len;
    let total = strings_at + strings.len() as u32;
    let mut fields = [
        0xd00d_feed,
        total,
        structure_at,
        strings_at,
        HEADER,
        17,
        16,
        0,
        strings.len() as u32,
        structure_len,
    ];
    if let Some(field) = fields.get_mut(usize::from(wrong)) {
        *field = changed;
    }
    let mut blob: Vec<u8> = fields.into_iter().flat_map(u32::to_be_bytes).collect();
    blob.extend([0; 16]);
    blob.extend(structure);
    blob.extend(strings);
    blob
}
