//! The board as its device tree tells it: memory, CPUs, interrupt controller, serial port, timer,
//! firmware calls.
//!
//! Bindings are those of the Linux kernel's documentation (`Documentation/devicetree/bindings`):
//! `arm,gic`, `arm,pl011`, `arm,armv7-timer`, `arm,psci`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use skep_loader::fdt::{FdtError, Node, Tree};

use crate::bus::{Device, GICS, Interrupt, devices, number, strings};

/// Interrupt IDs of shared interrupts (IHI 0048B.b 2.2.1).
const SPIS: core::ops::Range<u32> = 32..1020;

/// A range of physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

impl Range {
    /// The address behind the last; saturates.
    #[must_use]
    pub fn end(self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Range) -> bool {
        self.base < other.end() && other.base < self.end()
    }
}

/// How the firmware is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduit {
    /// By SMC.
    Smc,
    /// By HVC, which a hypervisor can't use: that would call itself.
    Hvc,
}

/// The GICv2's register frames and its maintenance interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gic {
    /// GICD.
    pub distributor: Range,
    /// GICC.
    pub cpu_interface: Range,
    /// GICH.
    pub control: Range,
    /// GICV, which guests use as their GICC.
    pub virtual_interface: Range,
    /// Interrupt ID of the maintenance interrupt, a PPI.
    pub maintenance: u32,
}

/// A serial port of a kind that there is a driver for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uart {
    /// Its registers.
    pub registers: Range,
    /// Its interrupt ID, if it has one.
    pub intid: Option<u32>,
}

/// Interrupt IDs of the generic timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer {
    /// The physical timer's PPI (Non-secure).
    pub phys: u32,
    /// The virtual timer's PPI.
    pub virt: u32,
    /// The hypervisor timer's PPI.
    pub hyp: u32,
}

/// What the hypervisor uses of a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Platform {
    /// The name that the tree gives the board.
    pub model: String,
    /// RAM, in the tree's order, empty ranges left out.
    pub memory: Vec<Range>,
    /// Memory that must be left alone: the tree's reservations and `/reserved-memory`.
    pub reserved: Vec<Range>,
    /// MPIDR affinity of each CPU, in the tree's order; there is at least one.
    pub cpus: Vec<u32>,
    /// The interrupt controller.
    pub gic: Gic,
    /// The serial port that `/chosen` names, else the first that there is a driver for.
    pub uart: Option<Uart>,
    /// The generic timer.
    pub timer: Timer,
    /// PSCI, if the firmware has it.
    pub psci: Option<Conduit>,
    /// System registers of a Versatile Express, by whose flags its boot code lets other cores go.
    pub pen: Option<Range>,
    /// The initial RAM disk that the boot loader brought.
    pub initrd: Option<Range>,
    /// All devices.
    pub devices: Vec<Device>,
}

/// Why a device tree does not describe a board that the hypervisor can run on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlatformError {
    /// The tree can't be read.
    Tree(FdtError),
    /// Something that the hypervisor needs isn't there, or not in the form that its binding wants.
    Missing(&'static str),
}

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlatformError::Tree(error) => write!(f, "{error}"),
            PlatformError::Missing(what) => write!(f, "the device tree has no {what}"),
        }
    }
}

/// The serial port of a tree, whatever else the tree lacks: for reports.
#[must_use]
pub fn find_uart(tree: &Tree) -> Option<Uart> {
    let root = &tree.root;
    let all = devices(root);
    let chosen = root.child("chosen").and_then(|chosen| {
        let path = text(chosen.get("stdout-path")?)?;
        // Options follow a colon; a path without a leading slash is an alias.
        let path = path.split(':').next()?;
        let path = if path.starts_with('/') {
            path
        } else {
            text(root.child("aliases")?.get(path)?)?
        };
        let wanted = find_path(root, path)?;
        all.iter()
            .find(|(node, _)| core::ptr::eq(*node, wanted))
            .and_then(|(_, device)| uart(device))
    });
    chosen.or_else(|| all.iter().find_map(|(_, device)| uart(device)))
}

impl Platform {
    /// Reads a board's tree.
    ///
    /// # Errors
    ///
    /// The tree lacks something that the hypervisor can't do without.
    pub fn from_tree(tree: &Tree) -> Result<Self, PlatformError> {
        let root = &tree.root;
        let missing = PlatformError::Missing;
        let all = devices(root);
        let memory: Vec<Range> = all
            .iter()
            .filter(|(node, _)| node.get("device_type").and_then(text) == Some("memory"))
            .flat_map(|(_, device)| device.registers.iter().copied())
            .filter(|range| range.size > 0)
            .collect();
        if memory.is_empty() {
            return Err(missing("memory"));
        }
        let mut reserved: Vec<Range> = tree
            .reservations
            .iter()
            .map(|r| Range {
                base: r.addr,
                size: r.size,
            })
            .collect();
        let below = |(_, device): &&(_, Device)| device.path.starts_with("/reserved-memory/");
        let regions = all.iter().filter(below);
        reserved.extend(regions.flat_map(|(_, device)| device.registers.iter().copied()));
        let cpus: Vec<u32> = root
            .child("cpus")
            .into_iter()
            .flat_map(|cpus| &cpus.children)
            .filter(|node| node.get("device_type").and_then(text) == Some("cpu"))
            .filter_map(|node| node.get_u32("reg"))
            .collect();
        if cpus.is_empty() {
            return Err(missing("CPU"));
        }
        Ok(Platform {
            model: root
                .get("model")
                .and_then(text)
                .unwrap_or("unknown board")
                .into(),
            memory,
            reserved,
            cpus,
            gic: gic(&all)?,
            uart: find_uart(tree),
            timer: timer(&all).ok_or(missing("generic timer (arm,armv7-timer)"))?,
            psci: psci(&all),
            pen: all
                .iter()
                .find(|(_, device)| device.is(&["arm,vexpress-sysreg"]))
                .and_then(|(_, device)| device.registers.first().copied()),
            initrd: initrd(root),
            devices: all.into_iter().map(|(_, device)| device).collect(),
        })
    }

    /// The first interrupt of a device, if it is an SPI and no other device has it.
    #[must_use]
    pub fn own_interrupt(&self, device: &Device) -> Option<Interrupt> {
        let own = *device.interrupts.first()?;
        let all = self.devices.iter().flat_map(|other| &other.interrupts);
        let holders = all.filter(|interrupt| interrupt.id == own.id).count();
        (SPIS.contains(&own.id) && holders == 1).then_some(own)
    }
}

/// A property that is a string, or the first of several.
fn text(value: &[u8]) -> Option<&str> {
    strings(Some(value)).next()
}

fn find_path<'a>(root: &'a Node, path: &str) -> Option<&'a Node> {
    path.split('/')
        .filter(|part| !part.is_empty())
        .try_fold(root, |node, part| {
            node.children
                .iter()
                .find(|child| child.name == part || child.name.split('@').next() == Some(part))
        })
}

fn uart(device: &Device) -> Option<Uart> {
    if !device.is(&["arm,pl011"]) {
        return None;
    }
    Some(Uart {
        registers: *device.registers.first()?,
        intid: device.interrupts.first().map(|interrupt| interrupt.id),
    })
}

fn gic(all: &[(&Node, Device)]) -> Result<Gic, PlatformError> {
    let (_, device) = all
        .iter()
        .find(|(_, device)| device.is(&GICS))
        .ok_or(PlatformError::Missing("GICv2"))?;
    let mut frames = device.registers.iter();
    let mut frame = |what| frames.next().copied().ok_or(PlatformError::Missing(what));
    Ok(Gic {
        distributor: frame("GICv2 distributor")?,
        cpu_interface: frame("GICv2 CPU interface")?,
        control: frame("GICv2 virtual interface control (GICH): no Virtualization Extensions?")?,
        virtual_interface: frame("GICv2 virtual CPU interface (GICV)")?,
        maintenance: device
            .interrupts
            .first()
            .ok_or(PlatformError::Missing("GICv2 maintenance interrupt"))?
            .id,
    })
}

/// Interrupts are in the order secure physical, physical, virtual, hypervisor.
fn timer(all: &[(&Node, Device)]) -> Option<Timer> {
    let compatible = ["arm,armv7-timer", "arm,armv8-timer"];
    let (_, device) = all.iter().find(|(_, device)| device.is(&compatible))?;
    let mut interrupts = device.interrupts.iter().skip(1);
    Some(Timer {
        phys: interrupts.next()?.id,
        virt: interrupts.next()?.id,
        hyp: interrupts.next()?.id,
    })
}

fn psci(all: &[(&Node, Device)]) -> Option<Conduit> {
    let compatible = ["arm,psci-1.0", "arm,psci-0.2"];
    let (node, _) = all.iter().find(|(_, device)| device.is(&compatible))?;
    match text(node.get("method")?)? {
        "smc" => Some(Conduit::Smc),
        "hvc" => Some(Conduit::Hvc),
        _ => None,
    }
}

fn initrd(root: &Node) -> Option<Range> {
    let chosen = root.child("chosen")?;
    // One cell or two.
    let address = |name| {
        chosen
            .get(name)
            .filter(|value| matches!(value.len(), 4 | 8))
            .map(number)
    };
    let base = address("linux,initrd-start")?;
    let size = address("linux,initrd-end")?.checked_sub(base)?;
    (size > 0).then_some(Range { base, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use skep_loader::fdt;

    fn range(base: u64, size: u64) -> fdt::Range {
        fdt::Range { base, size }
    }

    /// The virtual board with the Virtualization Extensions, as QEMU's `virt` machine.
    fn virt() -> Vec<u8> {
        let config = fdt::BoardConfig {
            cpu: "arm,cortex-a15".into(),
            cpus: 2,
            memory: range(0x4000_0000, 0x2000_0000),
            gic: fdt::Gic {
                distributor: range(0x0800_0000, 0x1_0000),
                cpu_interface: range(0x0801_0000, 0x1_0000),
                virtualization: Some((
                    range(0x0803_0000, 0x1_0000),
                    range(0x0804_0000, 0x1_0000),
                    25,
                )),
            },
            timer: fdt::TimerIntids {
                secure: 29,
                physical: 30,
                virt: 27,
                hyp: 26,
            },
            pmu: None,
            psci: fdt::PsciMethod::Smc,
            flash: None,
            uart: (range(0x0900_0000, 0x1000), 1),
            rtc: None,
            watchdog: None,
            fw_cfg: None,
            gpio: None,
            virtio: fdt::VirtioSlots {
                base: 0x0a00_0000,
                size: 0x200,
                count: 2,
                spi: 16,
            },
            channels: Vec::new(),
            others: Vec::new(),
        };
        let chosen = fdt::Chosen {
            initrd: Some(range(0x4800_0000, 0x1234)),
            ..fdt::Chosen::default()
        };
        fdt::board(&config, &chosen)
    }

    #[test]
    fn the_virt_board_is_understood() {
        let tree = Tree::parse(&virt()).unwrap();
        let platform = Platform::from_tree(&tree).unwrap();
        let at = |base, size| Range { base, size };
        assert_eq!(
            platform,
            Platform {
                model: "linux,dummy-virt".into(),
                memory: vec![at(0x4000_0000, 0x2000_0000)],
                reserved: vec![],
                cpus: vec![0, 1],
                gic: Gic {
                    distributor: at(0x0800_0000, 0x1_0000),
                    cpu_interface: at(0x0801_0000, 0x1_0000),
                    control: at(0x0803_0000, 0x1_0000),
                    virtual_interface: at(0x0804_0000, 0x1_0000),
                    maintenance: 25,
                },
                uart: Some(Uart {
                    registers: at(0x0900_0000, 0x1000),
                    intid: Some(33),
                }),
                timer: Timer {
                    phys: 30,
                    virt: 27,
                    hyp: 26
                },
                psci: Some(Conduit::Smc),
                pen: None,
                initrd: Some(at(0x4800_0000, 0x1234)),
                devices: platform.devices.clone(),
            }
        );
    }

    #[test]
    fn an_interrupt_that_another_device_has_is_nobodys_own() {
        let mut tree = Tree::parse(&virt()).unwrap();
        let own = |tree: &Tree| {
            let platform = Platform::from_tree(tree).unwrap();
            let slots = platform.devices.iter();
            let mut slots = slots.filter(|device| device.is(&["virtio,mmio"]));
            slots
                .next()
                .map(|device| platform.own_interrupt(device).map(|own| own.id))
        };
        let found = own(&tree).unwrap();
        assert!(found.is_some_and(|id| SPIS.contains(&id)), "{found:?}");
        for node in &mut tree.root.children {
            if node.name.starts_with("pl011") {
                let (kind, level) = ([0, 0, 0, 0], [0, 0, 0, 4]);
                let number = (found.unwrap_or(0) - 32).to_be_bytes();
                node.set("interrupts", [kind, number, level].concat());
            }
        }
        assert_eq!(own(&tree), Some(None));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut tree = Tree::parse(&virt()).unwrap();
        tree.root
            .children
            .retain(|node| !node.name.starts_with("intc"));
        let error = Platform::from_tree(&tree).unwrap_err();
        assert_eq!(std::format!("{error}"), "the device tree has no GICv2");
        tree.root
            .children
            .retain(|node| !node.name.starts_with("memory"));
        let error = Platform::from_tree(&tree).unwrap_err();
        assert_eq!(std::format!("{error}"), "the device tree has no memory");
        // The console does not need them.
        assert_eq!(find_uart(&tree).unwrap().registers.base, 0x0900_0000);
    }

    #[test]
    fn a_gic_without_virtualization_is_refused() {
        let mut tree = Tree::parse(&virt()).unwrap();
        for node in &mut tree.root.children {
            if node.name.starts_with("intc") {
                let reg = node.get("reg").unwrap()[..32].to_vec();
                node.set("reg", reg);
            }
        }
        let error = Platform::from_tree(&tree).unwrap_err();
        assert!(std::format!("{error}").contains("GICH"), "{error}");
    }
}
