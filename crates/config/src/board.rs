//! The board: what its device tree says, whether that is a file or a known board's.

use crate::diagnostic::{Diagnostic, Report};
use crate::files::{Files, read};
use crate::model::{Board, Config, Cpu, value};
use skep_board::map;
use skep_hyp::guest;
use skep_hyp::platform::{Platform, PlatformError};
use skep_loader::fdt::{self, Node, Tree};

/// RAM of a known board, bytes, by default.
pub const DEFAULT_MEMORY: u64 = 1 << 30;
/// Cores of a known board, by default.
pub const DEFAULT_CORES: u8 = 2;

/// What is known of a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// What the hypervisor uses of it.
    pub platform: Platform,
    /// Its device tree.
    pub tree: Tree,
    /// How QEMU emulates it, if it does.
    pub emulated: Option<Emulated>,
}

/// A board that QEMU emulates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Emulated {
    /// Bytes of RAM.
    pub memory: u64,
    /// Number of cores.
    pub cores: u8,
    /// Their model.
    pub cpu: Cpu,
}

impl Facts {
    /// The board of a file: QEMU's, when there is no `[board]`.
    pub fn of(config: &Config, files: &dyn Files, report: &mut Report) -> Option<Self> {
        match &config.board {
            Some(board) if board.device_tree.is_some() => described(board, files, report),
            board => known(board.as_ref(), report),
        }
    }
}

/// QEMU's `virt` machine with the Virtualization Extensions.
fn known(board: Option<&Board>, report: &mut Report) -> Option<Facts> {
    let emulated = Emulated {
        memory: board
            .and_then(|board| board.memory.as_ref())
            .map_or(DEFAULT_MEMORY, |memory| *memory.get_ref()),
        cores: board
            .and_then(|board| board.cores.as_ref())
            .map_or(DEFAULT_CORES, |cores| *cores.get_ref()),
        cpu: board.map(|board| value(&board.cpu)).unwrap_or_default(),
    };
    let range = |range: map::Range| fdt::Range {
        base: range.base,
        size: range.size,
    };
    let memory = fdt::Range {
        base: map::RAM_BASE,
        size: emulated.memory,
    };
    // What the hypervisor's guests see is most of what it has.
    let mut tree = guest::board(emulated.cores.into(), memory);
    if emulated.cpu == Cpu::CortexA7 {
        tree.cpu = "arm,cortex-a7".into();
    }
    let frame = |base| fdt::Range {
        base,
        size: 0x1_0000,
    };
    tree.gic.virtualization = Some((frame(0x0803_0000), frame(0x0804_0000), 25));
    tree.psci = fdt::PsciMethod::Smc;
    tree.rtc = Some((range(map::RTC), map::SPI_RTC));
    tree.gpio = Some(fdt::GpioKey {
        registers: range(map::GPIO),
        spi: map::SPI_GPIO,
        power_key: map::GPIO_POWER_KEY,
    });
    tree.virtio.count = map::VIRTIO_SLOTS as u32;
    let blob = fdt::board(&tree, &fdt::Chosen::default());
    let facts = Tree::parse(&blob).ok().and_then(|tree| {
        let platform = Platform::from_tree(&tree).ok()?;
        Some(Facts {
            platform,
            tree,
            emulated: Some(emulated),
        })
    });
    if facts.is_none() {
        let span = board.map(|board| board.span.clone()).unwrap_or_default();
        report.add(Diagnostic::error(
            "the board can't be described",
            span,
            "its memory can't be this",
            "write for instance memory = \"1G\"",
        ));
    }
    facts
}

/// A board with a device tree of its own.
fn described(board: &Board, files: &dyn Files, report: &mut Report) -> Option<Facts> {
    let path = board.device_tree.as_ref()?;
    let bytes = read(path, "device-tree", "the board", files, report)?;
    let mut problem = |title: &str, why: String, help: &str| {
        report.add(Diagnostic::error(title, path.span(), why, help));
        None
    };
    let mut tree = match Tree::parse(&bytes) {
        Ok(tree) => tree,
        Err(error) => {
            return problem(
                "`device-tree` of the board is no device tree",
                error.to_string(),
                "name a compiled device tree (.dtb), such as dtc makes",
            );
        }
    };
    if let Some(memory) = &board.memory {
        // Where it begins stands in the tree; how much there is may be for the boot loader to say.
        let Some(base) = memory_base(&tree.root) else {
            return problem(
                "the board's memory has no address",
                "this device tree has no node `memory` with a `reg`".into(),
                "give the tree a node memory, or leave memory out of [board]",
            );
        };
        let range = fdt::Range {
            base,
            size: *memory.get_ref(),
        };
        let amended = fdt::amend(&bytes, &[range], &fdt::Chosen::default());
        match amended.and_then(|blob| Tree::parse(&blob)) {
            Ok(amended) => tree = amended,
            Err(error) => {
                return problem(
                    "the board's memory can't be this",
                    error.to_string(),
                    "leave memory out of [board]",
                );
            }
        }
    }
    match Platform::from_tree(&tree) {
        Ok(platform) => Some(Facts {
            platform,
            tree,
            emulated: None,
        }),
        Err(error) => problem(
            "the hypervisor can't run on this board",
            error.to_string(),
            if error == PlatformError::Missing("memory") {
                "say how much memory the boot loader will find, with memory in [board]"
            } else {
                "it needs a Cortex-A7, A15 or A17 with a GICv2; name another device tree"
            },
        ),
    }
}

/// Where memory begins by a tree, whatever it says of its size.
fn memory_base(root: &Node) -> Option<u64> {
    let cells = root.get_u32("#address-cells").unwrap_or(2).min(2) as usize;
    let node = root
        .children
        .iter()
        .find(|node| node.get("device_type") == Some(b"memory\0"))?;
    let address = node.get("reg")?.get(..4 * cells)?;
    Some(
        address
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    )
}
