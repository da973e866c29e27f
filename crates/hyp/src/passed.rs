//! Devices of the board that a VM has for itself: which can be, and what the VM's tree says of them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use skep_board::map;
use skep_bundle as bundle;
use skep_loader::fdt::{self, Node};

use crate::bus::{Device, Interrupt};
use crate::platform::{Platform, Range};
use crate::tables::PAGE;

/// Devices that reach no memory by themselves, by `compatible`: Arm's PrimeCells for serial ports,
/// clocks, pins, timers, watchdogs, keyboards.
const NO_MASTERS: [&str; 6] = [
    "arm,pl011",
    "arm,pl031",
    "arm,pl061",
    "arm,sp804",
    "arm,sp805",
    "arm,pl050",
];

/// The first interrupt ID that is no core's own.
const FIRST_SPI: u32 = 32;

/// Why a VM can't have a device: a clause about it.
pub type Reason = String;

/// Where a VM's next device goes.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    address: u64,
    spi: u32,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            address: map::PASSED_THROUGH.base,
            spi: map::SPI_PASSED_THROUGH,
        }
    }
}

/// Describes a device of the board for a VM, with its node for the VM's tree. `node` is the device's in
/// the board's tree.
///
/// # Errors
///
/// It has no registers or interrupts that a VM could have, or may be a bus master and is not trusted.
pub fn describe(
    (node, device): (&Node, &Device),
    dma_trusted: bool,
    places: &mut Places,
) -> Result<(bundle::Device, Node), Reason> {
    check_kind(device, dma_trusted)?;
    let mut windows = Vec::new();
    let mut reg = Vec::new();
    for range in &device.registers {
        let pages = pages(*range);
        let end = places.address + pages.size;
        if end > map::PASSED_THROUGH.base + map::PASSED_THROUGH.size {
            return Err("there is no room for its registers".into());
        }
        // Below 4 GiB, by the check.
        let address = (places.address + range.base % PAGE) as u32;
        let size = u32::try_from(range.size).map_err(|_| "its registers are too many")?;
        places.address = end;
        windows.push(bundle::Window {
            address,
            physical: range.base,
            size,
        });
        reg.extend([0, address, 0, size]);
    }
    let mut interrupts = Vec::new();
    let mut cells = Vec::new();
    for interrupt in &device.interrupts {
        if places.spi >= map::SPIS {
            return Err("there is no room for its interrupts".into());
        }
        interrupts.push(bundle::Wire {
            physical: interrupt.id,
            spi: places.spi,
        });
        // By the GIC's binding: an SPI, its number, an edge or a level.
        cells.extend([0, places.spi, if interrupt.edge { 1 } else { 4 }]);
        places.spi += 1;
    }
    let first = windows.first().map_or(0, |window| window.address);
    let name = node.name.split('@').next().unwrap_or_default();
    let mut copy = Node::new(format!("{name}@{first:x}"));
    // What refers to other nodes is left out: they are not in the VM's tree.
    for kept in [
        "compatible",
        "reg-names",
        "interrupt-names",
        "clock-names",
        "arm,primecell-periphid",
        "gpio-controller",
        "#gpio-cells",
        "reg-io-width",
        "reg-shift",
    ] {
        if let Some(value) = node.get(kept) {
            copy.set(kept, value);
        }
    }
    let mut copy = copy.cells("reg", &reg);
    if !cells.is_empty() {
        copy = copy.cells("interrupts", &cells);
    }
    let clocks = crate::bus::strings(node.get("clock-names")).count();
    if clocks > 0 {
        copy = copy.cells("clocks", &alloc::vec![fdt::PHANDLE_CLOCK; clocks]);
    }
    let passed = bundle::Device {
        path: device.path.clone(),
        windows,
        interrupts,
        dma_trusted,
    };
    Ok((passed, copy))
}

fn check_kind(device: &Device, dma_trusted: bool) -> Result<(), Reason> {
    if !device.enabled {
        return Err("the board's device tree says that it is not to be used".into());
    }
    if device.registers.is_empty() {
        return Err("it has no registers that a processor can address".into());
    }
    if device.interrupts.iter().any(|irq| irq.id < FIRST_SPI) {
        return Err("its interrupt belongs to a core".into());
    }
    if !dma_trusted && !device.is(&NO_MASTERS) {
        return Err(
            "it is not known to leave memory alone, and there is no SMMU to make it: a VM that has it \
             may reach all memory, unless that VM is trusted with it (dma = \"trusted\")"
                .into(),
        );
    }
    Ok(())
}

/// Finds the device of the board for `passed`, and checks that the VM whose devices are `all` can have
/// it: that it is as described, and shares no page and no interrupt with anything else.
///
/// # Errors
///
/// Why not.
pub fn check<'p>(
    passed: &bundle::Device,
    all: &[bundle::Device],
    platform: &'p Platform,
) -> Result<&'p Device, Reason> {
    let device = platform
        .devices
        .iter()
        .find(|device| device.path == passed.path)
        .ok_or("the board has no such device")?;
    check_kind(device, passed.dma_trusted)?;
    let registers = passed.windows.iter().map(|window| Range {
        base: window.physical,
        size: window.size.into(),
    });
    let wires = passed.interrupts.iter().map(|wire| wire.physical);
    let ids = |interrupts: &[Interrupt]| interrupts.iter().map(|i| i.id).collect::<Vec<_>>();
    if !registers.clone().eq(device.registers.iter().copied()) || !wires.eq(ids(&device.interrupts))
    {
        return Err("the board has it with other registers or interrupts than the bundle".into());
    }
    let misplaced =
        |window: &bundle::Window| u64::from(window.address) % PAGE != window.physical % PAGE;
    if passed.windows.iter().any(misplaced) {
        return Err("its place in the VM has another offset in its page".into());
    }
    let gic = &platform.gic;
    let own_registers = [
        gic.distributor,
        gic.cpu_interface,
        gic.control,
        gic.virtual_interface,
    ];
    let uart = platform.uart.map(|uart| uart.registers);
    let also = |other: &Device| {
        let mut own = all.iter().chain([passed]);
        own.any(|device| device.path == other.path)
    };
    for range in registers.map(pages) {
        let own = own_registers.iter().chain(&uart).chain(&platform.memory);
        if own.copied().any(|own| pages(own).overlaps(range)) {
            return Err("the hypervisor uses it, or a page of it".into());
        }
        let sharing = platform.devices.iter().find(|other| {
            let mut registers = other.registers.iter();
            !also(other) && registers.any(|other| pages(*other).overlaps(range))
        });
        if let Some(other) = sharing {
            return Err(format!("{} is in the same page", other.path));
        }
    }
    let sharing = platform.devices.iter().find(|other| {
        let mut interrupts = other.interrupts.iter();
        !also(other) && interrupts.any(|interrupt| device.interrupts.contains(interrupt))
    });
    if let Some(other) = sharing {
        return Err(format!("{} has the same interrupt", other.path));
    }
    Ok(device)
}

/// All pages that a range is in.
#[must_use]
pub fn pages(range: Range) -> Range {
    let base = range.base / PAGE * PAGE;
    let end = range.end().checked_next_multiple_of(PAGE);
    Range {
        base,
        size: end.unwrap_or(range.end()) - base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::devices;
    use crate::guest::board;
    use skep_loader::fdt::Tree;

    /// The virtual board as a real one, with a clock and two transports in one page.
    fn real() -> Tree {
        let range = |base, size| fdt::Range { base, size };
        let mut config = board(2, range(0x4000_0000, 0x1000_0000));
        config.gic.virtualization = Some((
            range(0x0803_0000, 0x1_0000),
            range(0x0804_0000, 0x1_0000),
            25,
        ));
        config.rtc = Some((range(0x0901_0000, 0x1000), 2));
        config.virtio.count = 2;
        Tree::parse(&fdt::board(&config, &fdt::Chosen::default())).unwrap()
    }

    fn passed(tree: &Tree, path: &str, trusted: bool) -> Result<bundle::Device, Reason> {
        let all = devices(&tree.root);
        let (node, device) = all.iter().find(|(_, device)| device.path == path).unwrap();
        describe((node, device), trusted, &mut Places::default()).map(|(device, _)| device)
    }

    #[test]
    fn a_clock_gets_a_place_and_a_node() {
        let tree = real();
        let all = devices(&tree.root);
        let (node, device) = all
            .iter()
            .find(|(node, _)| node.name.starts_with("pl031"))
            .unwrap();
        let mut places = Places::default();
        describe((node, device), false, &mut places).unwrap();
        let (second, node) = describe((node, device), false, &mut places).unwrap();
        let window = bundle::Window {
            address: 0x1000_1000,
            physical: 0x0901_0000,
            size: 0x1000,
        };
        assert_eq!(second.windows, [window]);
        let wire = bundle::Wire {
            physical: 34,
            spi: 161,
        };
        assert_eq!(second.interrupts, [wire]);
        assert_eq!(node.name, "pl031@10001000");
        assert_eq!(
            node.get("compatible"),
            Some(&b"arm,pl031\0arm,primecell\0"[..])
        );
        assert_eq!(node.get_u32("clocks"), Some(fdt::PHANDLE_CLOCK));
        assert_eq!(node.get("interrupts").unwrap()[4..8], [0, 0, 0, 161]);
        let platform = Platform::from_tree(&tree).unwrap();
        let found = check(&second, &[], &platform).unwrap();
        assert_eq!(found.path, "/pl031@9010000");
    }

    #[test]
    fn what_can_not_be_passed_is_refused() {
        let tree = real();
        let platform = Platform::from_tree(&tree).unwrap();
        let transport = "/virtio_mmio@a000000";
        let reason = passed(&tree, transport, false).unwrap_err();
        assert!(reason.contains("dma = \"trusted\""), "{reason}");
        let first = passed(&tree, transport, true).unwrap();
        let reason = check(&first, &[], &platform).unwrap_err();
        assert_eq!(reason, "/virtio_mmio@a000200 is in the same page");
        let second = passed(&tree, "/virtio_mmio@a000200", true).unwrap();
        assert!(check(&first, &[first.clone(), second], &platform).is_ok());

        let console = passed(&tree, "/pl011@9000000", false).unwrap();
        let reason = check(&console, &[], &platform).unwrap_err();
        assert_eq!(reason, "the hypervisor uses it, or a page of it");

        let clock = passed(&tree, "/pl031@9010000", false).unwrap();
        let refused = |change: fn(&mut bundle::Device)| {
            let mut device = clock.clone();
            change(&mut device);
            check(&device, &[], &platform).unwrap_err()
        };
        let other = "the board has it with other registers or interrupts than the bundle";
        assert_eq!(
            refused(|device| device.windows[0].physical += 0x1000),
            other
        );
        assert_eq!(refused(|device| device.windows[0].size += 0x1000), other);
        assert_eq!(refused(|device| device.interrupts[0].physical = 33), other);
        assert_eq!(refused(|device| device.interrupts.clear()), other);
        assert_eq!(
            refused(|device| device.windows[0].address += 4),
            "its place in the VM has another offset in its page"
        );
        assert_eq!(
            refused(|device| device.path.push('0')),
            "the board has no such device"
        );
        let reason = passed(&tree, "/timer", true).unwrap_err();
        assert_eq!(reason, "it has no registers that a processor can address");
    }
}
