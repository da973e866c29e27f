//! The virtual board's device tree.
//!
//! Node names, `compatible` strings, cells and the order of nodes are those of QEMU's `virt`
//! machine: kernels probe devices in the tree's order, so that `/dev/vda` is the same disk on both.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Chosen, Node, Tree};

/// A range of guest-physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// The interrupt controller, a GICv2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gic {
    /// Distributor.
    pub distributor: Range,
    /// CPU interface.
    pub cpu_interface: Range,
    /// For guests that own Hyp mode: virtual interface control (GICH), virtual CPU interface (GICV)
    /// and interrupt ID of the maintenance interrupt.
    pub virtualization: Option<(Range, Range, u32)>,
}

/// Interrupt IDs (16 to 31) of the generic timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerIntids {
    /// Secure physical timer.
    pub secure: u32,
    /// Non-secure physical timer.
    pub physical: u32,
    /// Virtual timer.
    pub virt: u32,
    /// Hypervisor timer.
    pub hyp: u32,
}

/// The PL061 and the power key on one of its pins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GpioKey {
    /// Registers.
    pub registers: Range,
    /// SPI number.
    pub spi: u32,
    /// The pin, 0 to 7.
    pub power_key: u8,
}

/// virtio-mmio transports, one behind the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VirtioSlots {
    /// Address of the first.
    pub base: u64,
    /// Bytes a transport.
    pub size: u64,
    /// Number of transports.
    pub count: u32,
    /// SPI number of the first; the others follow.
    pub spi: u32,
}

/// Memory that several VMs share, with a doorbell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Doorbell registers.
    pub registers: Range,
    /// Shared memory.
    pub memory: Range,
    /// SPI number of the doorbell; edge-triggered.
    pub spi: u32,
    /// This VM can't write the shared memory.
    pub read_only: bool,
}

/// The instruction that calls PSCI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PsciMethod {
    /// HVC: the guest doesn't own Hyp mode.
    Hvc,
    /// SMC.
    Smc,
}

/// What the board consists of. SPI numbers count from 0 (interrupt ID minus 32).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoardConfig {
    /// `compatible` of each CPU: `arm,cortex-a15` or `arm,cortex-a7`.
    pub cpu: String,
    /// Number of CPUs, at least 1. CPU `n` has affinity `n`.
    pub cpus: u32,
    /// RAM; may extend beyond 4 GiB.
    pub memory: Range,
    /// Interrupt controller.
    pub gic: Gic,
    /// Generic timer.
    pub timer: TimerIntids,
    /// Interrupt ID of the performance monitors, if the guest may use them.
    pub pmu: Option<u32>,
    /// How the guest calls PSCI.
    pub psci: PsciMethod,
    /// The two flash banks, if there is flash.
    pub flash: Option<[Range; 2]>,
    /// PL011 and its SPI.
    pub uart: (Range, u32),
    /// PL031 and its SPI.
    pub rtc: Option<(Range, u32)>,
    /// SP805 and its SPI, which QEMU's machine does not have.
    pub watchdog: Option<(Range, u32)>,
    /// QEMU firmware configuration.
    pub fw_cfg: Option<Range>,
    /// PL061 with the power key.
    pub gpio: Option<GpioKey>,
    /// virtio-mmio.
    pub virtio: VirtioSlots,
    /// Channels to other VMs, which QEMU's machine does not have.
    pub channels: Vec<Channel>,
    /// Further devices, as they are. The root's cells hold for them: two for an address, two for a
    /// size, and the GIC's three for an interrupt. [`PHANDLE_CLOCK`] is a fixed clock.
    pub others: Vec<Node>,
}

const GIC_SPI: u32 = 0;
const GIC_PPI: u32 = 1;
const EDGE_RISING: u32 = 1;
const LEVEL_HIGH: u32 = 4;
/// Interrupt ID of the first PPI.
const PPI_BASE: u32 = 16;
/// Input event code of the power key (Linux's `KEY_POWER`).
const KEY_POWER: u32 = 116;
const APB_CLOCK_HZ: u32 = 24_000_000;
/// The fixed clock of 24 MHz. QEMU counts phandles from here.
pub const PHANDLE_CLOCK: u32 = 0x8000;

/// PSCI 0.1 function numbers, which QEMU gives for old kernels: those of PSCI 0.2 (Arm DEN 0022).
const PSCI_FUNCTIONS: [(&str, u32); 4] = [
    ("migrate", 0x8400_0005),
    ("cpu_on", 0x8400_0003),
    ("cpu_off", 0x8400_0002),
    ("cpu_suspend", 0x8400_0001),
];

/// Generates the board's tree.
#[must_use]
pub fn board(config: &BoardConfig, chosen: &Chosen) -> Vec<u8> {
    let phandles = Phandles { cpus: config.cpus };
    let uart_path = format!("/pl011@{:x}", config.uart.0.base);

    let mut root = Node::new("")
        .cells("interrupt-parent", &[phandles.gic()])
        .strings("model", &["linux,dummy-virt"])
        .cells("#size-cells", &[2])
        .cells("#address-cells", &[2])
        .strings("compatible", &["linux,dummy-virt"])
        .with(psci(config.psci))
        .with(memory(config.memory));
    if let Some(fw_cfg) = config.fw_cfg {
        root = root.with(
            device("fw-cfg", fw_cfg)
                .strings("compatible", &["qemu,fw-cfg-mmio"])
                .flag("dma-coherent"),
        );
    }
    for slot in 0..config.virtio.count {
        root = root.with(virtio(&config.virtio, slot));
    }
    for node in config
        .channels
        .iter()
        .map(channel)
        .chain(config.others.clone())
    {
        root = root.with(node);
    }
    if let Some(gpio) = config.gpio {
        root = root
            .with(gpio_keys(gpio, &phandles))
            .with(pl061(gpio, &phandles));
    }
    if let Some((registers, spi)) = config.rtc {
        root = root.with(
            primecell("pl031", registers, spi)
                .cells("clocks", &[PHANDLE_CLOCK])
                .strings("clock-names", &["apb_pclk"]),
        );
    }
    if let Some((registers, spi)) = config.watchdog {
        let node = Node {
            name: format!("watchdog@{:x}", registers.base),
            ..primecell("sp805", registers, spi)
        };
        root = root.with(
            node.cells("clocks", &[PHANDLE_CLOCK, PHANDLE_CLOCK])
                .strings("clock-names", &["wdog_clk", "apb_pclk"]),
        );
    }
    root = root.with(
        primecell("pl011", config.uart.0, config.uart.1)
            .cells("clocks", &[PHANDLE_CLOCK, PHANDLE_CLOCK])
            .strings("clock-names", &["uartclk", "apb_pclk"]),
    );
    if let Some(intid) = config.pmu {
        root = root.with(pmu(&config.cpu, intid, config.cpus));
    }
    root = root.with(gic(&config.gic, config.cpus, &phandles));
    if let Some(banks) = config.flash {
        root = root.with(flash(&banks));
    }
    root = root
        .with(cpus(config, &phandles))
        .with(timer(&config.timer, config.cpus))
        .with(clock())
        .with(Node::new("aliases").strings("serial0", &[&uart_path]));
    let mut chosen_node = Node::new("chosen").strings("stdout-path", &[&uart_path]);
    chosen.apply(&mut chosen_node);
    root = root.with(chosen_node);

    Tree {
        root,
        ..Tree::default()
    }
    .to_bytes()
}

/// Phandles in QEMU's order: clock, CPUs from the last to the first, interrupt controller, GPIO.
struct Phandles {
    cpus: u32,
}

impl Phandles {
    fn cpu(&self, index: u32) -> u32 {
        PHANDLE_CLOCK.wrapping_add(self.cpus.wrapping_sub(index))
    }

    fn gic(&self) -> u32 {
        PHANDLE_CLOCK.wrapping_add(self.cpus).wrapping_add(1)
    }

    fn gpio(&self) -> u32 {
        self.gic().wrapping_add(1)
    }
}

fn cells_of(range: Range) -> [u32; 4] {
    let halves = |value: u64| [(value >> 32) as u32, value as u32];
    let ([a, b], [c, d]) = (halves(range.base), halves(range.size));
    [a, b, c, d]
}

fn device(name: &str, range: Range) -> Node {
    Node::new(format!("{name}@{:x}", range.base)).cells("reg", &cells_of(range))
}

fn primecell(name: &str, registers: Range, spi: u32) -> Node {
    device(name, registers)
        .strings("compatible", &[&format!("arm,{name}"), "arm,primecell"])
        .cells("interrupts", &[GIC_SPI, spi, LEVEL_HIGH])
}

/// A level-triggered private interrupt, wired to every CPU.
fn ppi(intid: u32, cpus: u32) -> [u32; 3] {
    let mask = 1u32.checked_shl(cpus.min(8)).unwrap_or(0).wrapping_sub(1);
    [
        GIC_PPI,
        intid.saturating_sub(PPI_BASE),
        mask << 8 | LEVEL_HIGH,
    ]
}

fn psci(method: PsciMethod) -> Node {
    let mut node = Node::new("psci");
    for (name, function) in PSCI_FUNCTIONS {
        node = node.cells(name, &[function]);
    }
    let method = match method {
        PsciMethod::Hvc => "hvc",
        PsciMethod::Smc => "smc",
    };
    node.strings("method", &[method])
        .strings("compatible", &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"])
}

fn memory(range: Range) -> Node {
    device("memory", range).strings("device_type", &["memory"])
}

fn virtio(slots: &VirtioSlots, slot: u32) -> Node {
    let base = slots
        .base
        .wrapping_add(u64::from(slot).wrapping_mul(slots.size));
    device(
        "virtio_mmio",
        Range {
            base,
            size: slots.size,
        },
    )
    .strings("compatible", &["virtio,mmio"])
    .cells(
        "interrupts",
        &[GIC_SPI, slots.spi.wrapping_add(slot), EDGE_RISING],
    )
    .flag("dma-coherent")
}

/// What Linux's generic driver of user-space I/O takes: registers, memory and one interrupt.
fn channel(channel: &Channel) -> Node {
    let reg = [cells_of(channel.registers), cells_of(channel.memory)].concat();
    let node = Node::new(format!("channel@{:x}", channel.registers.base))
        .strings("compatible", &["skep,channel"])
        .cells("reg", &reg)
        .strings("reg-names", &["doorbell", "memory"])
        .cells("interrupts", &[GIC_SPI, channel.spi, EDGE_RISING])
        .strings("label", &[&channel.name]);
    if channel.read_only {
        node.flag("skep,read-only")
    } else {
        node
    }
}

fn gpio_keys(gpio: GpioKey, phandles: &Phandles) -> Node {
    Node::new("gpio-keys")
        .strings("compatible", &["gpio-keys"])
        .with(
            Node::new("poweroff")
                .cells("gpios", &[phandles.gpio(), gpio.power_key.into(), 0])
                .cells("linux,code", &[KEY_POWER])
                .strings("label", &["GPIO Key Poweroff"]),
        )
}

fn pl061(gpio: GpioKey, phandles: &Phandles) -> Node {
    primecell("pl061", gpio.registers, gpio.spi)
        .cells("clocks", &[PHANDLE_CLOCK])
        .strings("clock-names", &["apb_pclk"])
        .flag("gpio-controller")
        .cells("#gpio-cells", &[2])
        .cells("phandle", &[phandles.gpio()])
}

fn pmu(cpu: &str, intid: u32, cpus: u32) -> Node {
    Node::new("pmu")
        .strings("compatible", &[&format!("{cpu}-pmu")])
        .cells("interrupts", &ppi(intid, cpus))
}

fn gic(gic: &Gic, cpus: u32, phandles: &Phandles) -> Node {
    let mut reg = [cells_of(gic.distributor), cells_of(gic.cpu_interface)].concat();
    if let Some((control, interface, _)) = gic.virtualization {
        reg.extend(cells_of(control));
        reg.extend(cells_of(interface));
    }
    let mut node = Node::new(format!("intc@{:x}", gic.distributor.base))
        .cells("reg", &reg)
        .strings("compatible", &["arm,cortex-a15-gic"]);
    if let Some((_, _, maintenance)) = gic.virtualization {
        node = node.cells("interrupts", &ppi(maintenance, cpus));
    }
    node.flag("ranges")
        .cells("#size-cells", &[2])
        .cells("#address-cells", &[2])
        .flag("interrupt-controller")
        .cells("#interrupt-cells", &[3])
        .cells("phandle", &[phandles.gic()])
}

fn flash(banks: &[Range; 2]) -> Node {
    let [first, second] = *banks;
    Node::new(format!("flash@{:x}", first.base))
        .strings("compatible", &["cfi-flash"])
        .cells("reg", &[cells_of(first), cells_of(second)].concat())
        .cells("bank-width", &[4])
}

fn cpus(config: &BoardConfig, phandles: &Phandles) -> Node {
    let mut cluster = Node::new("cluster0");
    for index in 0..config.cpus {
        cluster =
            cluster.with(Node::new(format!("core{index}")).cells("cpu", &[phandles.cpu(index)]));
    }
    let mut node = Node::new("cpus")
        .cells("#size-cells", &[0])
        .cells("#address-cells", &[1])
        .with(Node::new("cpu-map").with(Node::new("socket0").with(cluster)));
    for index in 0..config.cpus {
        node = node.with(
            Node::new(format!("cpu@{index:x}"))
                .cells("reg", &[index])
                .strings("enable-method", &["psci"])
                .strings("compatible", &[&config.cpu])
                .strings("device_type", &["cpu"])
                .cells("phandle", &[phandles.cpu(index)]),
        );
    }
    node
}

fn timer(intids: &TimerIntids, cpus: u32) -> Node {
    let interrupts =
        [intids.secure, intids.physical, intids.virt, intids.hyp].map(|i| ppi(i, cpus));
    Node::new("timer")
        .strings("compatible", &["arm,armv7-timer"])
        .flag("always-on")
        .cells("interrupts", interrupts.as_flattened())
}

fn clock() -> Node {
    Node::new("apb-pclk")
        .strings("compatible", &["fixed-clock"])
        .cells("#clock-cells", &[0])
        .cells("clock-frequency", &[APB_CLOCK_HZ])
        .strings("clock-output-names", &["clk24mhz"])
        .cells("phandle", &[PHANDLE_CLOCK])
}
