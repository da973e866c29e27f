//! The devices of a tree, on buses too: their registers as the processor addresses them, and their
//! interrupts as the GIC numbers them (*Devicetree Specification*, release 0.4, 2.3 and 2.4).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use skep_loader::fdt::Node;

use crate::platform::Range;

/// `compatible` of the interrupt controllers that there is a driver for.
pub const GICS: [&str; 4] = [
    "arm,cortex-a15-gic",
    "arm,cortex-a7-gic",
    "arm,gic-400",
    "arm,gic-v2",
];

/// An interrupt of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interrupt {
    /// Interrupt ID.
    pub id: u32,
    /// By an edge and not by a level.
    pub edge: bool,
}

/// A device of a board.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Device {
    /// Its path in the tree.
    pub path: String,
    /// What it is, the most exact first.
    pub compatible: Vec<String>,
    /// Its registers, as far as the processor can address them.
    pub registers: Vec<Range>,
    /// Its interrupts, as far as they go to the GIC.
    pub interrupts: Vec<Interrupt>,
    /// Its accesses to memory see what is in the caches.
    pub coherent: bool,
    /// It is there and may be used: `status` doesn't say otherwise.
    pub enabled: bool,
}

impl Device {
    /// Whether it is one of these.
    #[must_use]
    pub fn is(&self, compatible: &[&str]) -> bool {
        self.compatible
            .iter()
            .any(|own| compatible.contains(&own.as_str()))
    }
}

/// All devices, each behind the bus that it is on.
#[must_use]
pub fn devices(root: &Node) -> Vec<(&Node, Device)> {
    let gic = find_gic(root).and_then(|gic| gic.get_u32("phandle"));
    let mut found = Vec::new();
    let bus = Bus {
        path: String::new(),
        node: root,
        windows: None,
        parent: root.get_u32("interrupt-parent").map(Parent::Phandle),
    };
    walk(&bus, gic, &mut found);
    found
}

fn find_gic(node: &Node) -> Option<&Node> {
    let is = |name: &str| GICS.contains(&name);
    if strings(node.get("compatible")).any(is) {
        return Some(node);
    }
    node.children.iter().find_map(find_gic)
}

/// What an interrupt specifier is for.
#[derive(Clone, Copy)]
enum Parent<'a> {
    Phandle(u32),
    /// A bus with an `interrupt-map`.
    Nexus(&'a Node),
}

/// A node with devices on it.
struct Bus<'a> {
    path: String,
    node: &'a Node,
    /// What the processor sees of the bus: address on the bus, address, size. All, without.
    windows: Option<Vec<(u64, u64, u64)>>,
    /// For devices that don't say another.
    parent: Option<Parent<'a>>,
}

/// The cells of an address and of a size on a bus. The defaults are the specification's (2.3.5).
fn cells(node: &Node) -> (usize, usize) {
    let cells = |name, default| node.get_u32(name).unwrap_or(default).min(16) as usize;
    (cells("#address-cells", 2), cells("#size-cells", 1))
}

/// The deepest tree that is walked: deeper ones come from no board.
const DEPTH: usize = 16;

fn walk<'a>(bus: &Bus<'a>, gic: Option<u32>, found: &mut Vec<(&'a Node, Device)>) {
    if bus.path.matches('/').count() >= DEPTH {
        return;
    }
    let cells = cells(bus.node);
    for node in &bus.node.children {
        let path = format!("{}/{}", bus.path, node.name);
        let parent = match node.get_u32("interrupt-parent") {
            Some(phandle) => Some(Parent::Phandle(phandle)),
            None if bus.node.get("interrupt-map").is_some() => Some(Parent::Nexus(bus.node)),
            None => bus.parent,
        };
        let registers = ranges(node.get("reg"), cells);
        let device = Device {
            path: path.clone(),
            compatible: strings(node.get("compatible")).map(String::from).collect(),
            registers: registers.filter_map(|range| bus.translate(range)).collect(),
            interrupts: interrupts(node, parent, gic),
            coherent: node.get("dma-coherent").is_some(),
            enabled: strings(node.get("status"))
                .next()
                .is_none_or(|status| matches!(status, "okay" | "ok")),
        };
        found.push((node, device));
        if let Some(value) = node.get("ranges") {
            let inner = Bus {
                path,
                node,
                windows: bus.windows_of(node, value, cells.0),
                parent,
            };
            walk(&inner, gic, found);
        }
    }
}

impl Bus<'_> {
    fn translate(&self, range: Range) -> Option<Range> {
        let seen = match &self.windows {
            None => range,
            Some(windows) => windows.iter().find_map(|&(child, base, size)| {
                let offset = range.base.checked_sub(child)?;
                let inside = offset.checked_add(range.size)? <= size;
                inside.then_some(Range {
                    base: base.checked_add(offset)?,
                    size: range.size,
                })
            })?,
        };
        // What wraps around is nowhere.
        seen.base.checked_add(seen.size).map(|_| seen)
    }

    /// What the processor sees of a bus on this bus, with this value of `ranges`.
    fn windows_of(
        &self,
        node: &Node,
        value: &[u8],
        own_cells: usize,
    ) -> Option<Vec<(u64, u64, u64)>> {
        if value.is_empty() {
            return self.windows.clone();
        }
        let (address, size) = cells(node);
        let widths = [address, own_cells, size];
        let windows = records(value, widths).filter_map(|[child, base, size]| {
            let seen = self.translate(Range { base, size })?;
            Some((child, seen.base, size))
        });
        Some(windows.collect())
    }
}

/// The interrupts of a node that go to the GIC.
fn interrupts(node: &Node, parent: Option<Parent<'_>>, gic: Option<u32>) -> Vec<Interrupt> {
    let value = node.get("interrupts").unwrap_or_default();
    match parent {
        Some(Parent::Phandle(phandle)) if Some(phandle) != gic => Vec::new(),
        // A tree with one interrupt controller need not say which.
        Some(Parent::Phandle(_)) | None => records(value, [1, 1, 1])
            .filter_map(gic_interrupt)
            .collect(),
        Some(Parent::Nexus(nexus)) => mapped(nexus, value, gic),
    }
}

/// Interrupts by the map of a bus that looks at the interrupt's number alone, in one cell.
fn mapped(nexus: &Node, value: &[u8], gic: Option<u32>) -> Vec<Interrupt> {
    let address = cells(nexus).0;
    let mask = nexus.get("interrupt-map-mask").unwrap_or_default();
    let (address_mask, mask) = mask.split_at((4 * address).min(mask.len()));
    let one_cell = nexus.get_u32("#interrupt-cells") == Some(1) && mask.len() == 4;
    if !one_cell || address_mask.iter().any(|&byte| byte != 0) {
        return Vec::new();
    }
    let (mask, map) = (number(mask), nexus.get("interrupt-map").unwrap_or_default());
    let find = |n: u64| {
        // The GIC has no address cells.
        let rows = records(map, [address, 1, 1, 1, 1, 1]);
        let mut rows = rows.filter(|row| row[1] == n & mask && Some(row[2] as u32) == gic);
        rows.next()
            .and_then(|[_, _, _, kind, n, flags]| gic_interrupt([kind, n, flags]))
    };
    let cells = records(value, [1]);
    cells.filter_map(|[n]| find(n)).collect()
}

/// By the GIC's binding: type, number, flags.
fn gic_interrupt([kind, n, flags]: [u64; 3]) -> Option<Interrupt> {
    /// The flags that tell of edges.
    const EDGES: u64 = 3;
    let id = match kind {
        0 if n < 988 => n + 32,
        1 if n < 16 => n + 16,
        _ => return None,
    };
    Some(Interrupt {
        id: id as u32,
        edge: flags & EDGES != 0,
    })
}

/// The ranges of a property like `reg`.
fn ranges(value: Option<&[u8]>, (address, size): (usize, usize)) -> impl Iterator<Item = Range> {
    let records = records(value.unwrap_or_default(), [address, size]);
    records.map(|[base, size]| Range { base, size })
}

/// A property that is a table of numbers of so many cells; those of more than two count modulo
/// 2^64.
fn records<const N: usize>(value: &[u8], cells: [usize; N]) -> impl Iterator<Item = [u64; N]> {
    let bytes = 4 * cells.iter().sum::<usize>();
    value.chunks_exact(bytes.max(4)).map(move |mut row| {
        cells.map(|cells| {
            let (first, rest) = row.split_at((4 * cells).min(row.len()));
            row = rest;
            number(first)
        })
    })
}

/// A number of any number of cells.
pub(crate) fn number(cells: &[u8]) -> u64 {
    cells
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// The strings of a property.
pub(crate) fn strings(value: Option<&[u8]>) -> impl Iterator<Item = &str> {
    let value = value.unwrap_or_default();
    // What follows the last NUL is no string.
    let end = value.iter().rposition(|&byte| byte == 0).unwrap_or(0);
    value[..end]
        .split(|&byte| byte == 0)
        .filter_map(|text| core::str::from_utf8(text).ok())
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// A board as the Versatile Express is: a GIC, and devices on a bus on a bus on a bus.
    fn nested() -> Node {
        let serial = Node::new("serial@90000")
            .strings("compatible", &["arm,pl011", "arm,primecell"])
            .cells("reg", &[0x9_0000, 0x1000])
            .cells("interrupts", &[5]);
        let beyond = Node::new("beyond@300000").cells("reg", &[0x30_0000, 0x1000]);
        let fpga = Node::new("fpga@300000000")
            .cells("#address-cells", &[1])
            .cells("#size-cells", &[1])
            .cells("ranges", &[0, 3, 0, 0x20_0000])
            .with(serial)
            .with(beyond);
        let ethernet = Node::new("ethernet@202000000")
            .cells("reg", &[2, 0x200_0000, 0x1_0000])
            .cells("interrupts", &[15, 42])
            .strings("status", &["disabled"]);
        let motherboard = Node::new("motherboard")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[1])
            .cells(
                "ranges",
                &[2, 0, 0x1800_0000, 0x400_0000, 3, 0, 0x1c00_0000, 0x400_0000],
            )
            .with(ethernet)
            .with(fpga);
        let bus = Node::new("bus@8000000")
            .cells("#address-cells", &[1])
            .cells("#size-cells", &[1])
            .cells("#interrupt-cells", &[1])
            .cells("interrupt-map-mask", &[0, 0x3f])
            .cells("interrupt-map", &[0, 5, 1, 0, 37, 4, 0, 15, 1, 0, 15, 1])
            .cells("ranges", &[0x800_0000, 0, 0x800_0000, 0x1800_0000])
            .with(motherboard);
        let gic = Node::new("gic@2c001000")
            .strings("compatible", &["arm,cortex-a15-gic"])
            .cells("reg", &[0, 0x2c00_1000, 0, 0x1000])
            .cells("interrupts", &[1, 9, 0xf04])
            .cells("phandle", &[1]);
        let other = Node::new("other")
            .cells("interrupt-parent", &[2])
            .cells("interrupts", &[0, 1, 4]);
        Node::new("")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[2])
            .cells("interrupt-parent", &[1])
            .with(bus)
            .with(gic)
            .with(other)
    }

    #[test]
    fn addresses_and_interrupts_are_those_of_the_processor() {
        let tree = nested();
        let found = devices(&tree);
        let find = |name: &str| {
            let mut all = found.iter();
            let (node, device) = all.find(|(node, _)| node.name == name).unwrap();
            assert_eq!(node.name, name);
            device
        };
        let at = |base, size| vec![Range { base, size }];
        let serial = find("serial@90000");
        assert_eq!(serial.registers, at(0x1c09_0000, 0x1000));
        assert_eq!(
            serial.interrupts,
            [Interrupt {
                id: 69,
                edge: false
            }]
        );
        assert!(serial.is(&["arm,primecell"]) && serial.enabled && !serial.coherent);
        let path = "/bus@8000000/motherboard/fpga@300000000/serial@90000";
        assert_eq!(serial.path, path);
        let ethernet = find("ethernet@202000000");
        assert_eq!(ethernet.registers, at(0x1a00_0000, 0x1_0000));
        // The second has no row in the map.
        assert_eq!(ethernet.interrupts, [Interrupt { id: 47, edge: true }]);
        assert!(!ethernet.enabled);
        assert_eq!(find("beyond@300000").registers, []);
        let gic = find("gic@2c001000");
        assert_eq!(
            gic.interrupts,
            [Interrupt {
                id: 25,
                edge: false
            }]
        );
        assert_eq!(find("other").interrupts, []);
    }

    #[test]
    fn impossible_trees_are_no_trouble() {
        let mut deep = Node::new("leaf");
        for _ in 0..40 {
            deep = Node::new("bus").flag("ranges").with(deep);
        }
        assert!(devices(&Node::new("").with(deep)).len() <= DEPTH);
        let odd = Node::new("odd")
            .cells("#address-cells", &[u32::MAX])
            .cells("#interrupt-cells", &[1])
            .cells("interrupt-map-mask", &[1])
            .cells("interrupt-map", &[1, 2])
            .cells("ranges", &[u32::MAX; 40])
            .with(
                Node::new("device")
                    .cells("reg", &[u32::MAX; 33])
                    .cells("interrupts", &[0; 2])
                    .bytes("compatible", *b"without an end"),
            );
        let tree = Node::new("").with(odd);
        let found = devices(&tree);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].1.registers, []);
        assert_eq!(found[1].1.compatible, Vec::<String>::new());
    }
}
