//! Amending a tree that the user brings, or that came with the kernel.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{FdtError, Node, Range, Tree};

/// What the boot loader tells the kernel through `/chosen`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chosen {
    /// Kernel command line; empty for none of ours: an amended tree then keeps its own.
    pub bootargs: String,
    /// Where the initial RAM disk is.
    pub initrd: Option<Range>,
    /// Random bytes for the kernel's random number generator; empty for none.
    pub rng_seed: Vec<u8>,
    /// Random number for the placement of the kernel in its address space.
    pub kaslr_seed: Option<u64>,
}

impl Chosen {
    /// Sets the properties of `/chosen`. Values that the tree's author left are replaced where there
    /// is something to put in their place; a stale initial RAM disk is removed.
    pub(super) fn apply(&self, chosen: &mut Node) {
        if !self.bootargs.is_empty() {
            chosen.set("bootargs", [self.bootargs.as_bytes(), &[0]].concat());
        }
        match self.initrd {
            Some(range) => {
                let end = range.base.saturating_add(range.size);
                chosen.set("linux,initrd-start", range.base.to_be_bytes());
                chosen.set("linux,initrd-end", end.to_be_bytes());
            }
            None => {
                chosen.remove("linux,initrd-start");
                chosen.remove("linux,initrd-end");
            }
        }
        if !self.rng_seed.is_empty() {
            chosen.set("rng-seed", self.rng_seed.as_slice());
        }
        if let Some(seed) = self.kaslr_seed {
            chosen.set("kaslr-seed", seed.to_be_bytes());
        }
    }
}

/// Validates a tree and makes it describe this machine's memory and boot: `/chosen` is amended (or
/// added), and the memory nodes are replaced by one a range, as QEMU does with a tree given by
/// `-dtb`. Everything else stays as it is, memory reservations included.
///
/// # Errors
///
/// The blob is no valid device tree, or its `#address-cells` and `#size-cells` can't describe the
/// memory.
pub fn amend(blob: &[u8], memory: &[Range], chosen: &Chosen) -> Result<Vec<u8>, FdtError> {
    let mut tree = Tree::parse(blob)?;
    chosen.apply(tree.root.child_or_insert("chosen"));

    // The defaults are the specification's (section 2.3.5).
    let address_cells = tree.root.get_u32("#address-cells").unwrap_or(2);
    let size_cells = tree.root.get_u32("#size-cells").unwrap_or(1);
    let nodes = memory
        .iter()
        .map(|range| memory_node(range, address_cells, size_cells))
        .collect::<Result<Vec<_>, _>>()?;
    let children = &mut tree.root.children;
    let at = children.iter().position(is_memory).unwrap_or(0);
    children.retain(|child| !is_memory(child));
    children.splice(at..at, nodes);
    Ok(tree.to_bytes())
}

/// `/memory`, with or without a unit address; not `/memory-controller@…`.
fn is_memory(node: &Node) -> bool {
    node.name.split('@').next() == Some("memory")
}

fn memory_node(range: &Range, address_cells: u32, size_cells: u32) -> Result<Node, FdtError> {
    let mut reg = Vec::new();
    for (value, cells) in [(range.base, address_cells), (range.size, size_cells)] {
        match cells {
            1 => {
                let value = u32::try_from(value).map_err(|_| {
                    FdtError::Unfit(
                        "memory at or above 4 GiB needs #address-cells and #size-cells of 2",
                    )
                })?;
                reg.extend(value.to_be_bytes());
            }
            2 => reg.extend(value.to_be_bytes()),
            _ => {
                return Err(FdtError::Unfit(
                    "the root's #address-cells and #size-cells must be 1 or 2",
                ));
            }
        }
    }
    Ok(Node::new(format!("memory@{:x}", range.base))
        .bytes("reg", reg)
        .strings("device_type", &["memory"]))
}
