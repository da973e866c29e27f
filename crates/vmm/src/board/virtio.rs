//! The virtio transports: which device is in which slot.

use crate::backend::Consoles;
use crate::board::net::Connected;
use crate::board::port::VirtioConsole;
use crate::board::{HostBalloon, Port, VsockEnd, disk, host_random, net, share, shared, vsock};
use crate::bus::{Bus, SharedDevice};
use crate::config::{Backend, VmConfig};
use crate::error::Error;
use crate::irq::{Interrupts, Spi};
use crate::memory::GuestRam;
use skep_board::map;
use skep_board::virtio::rng::{Entropy, Rng};
use skep_board::virtio::{EmptySlot, Transport};
use skep_helper::Tasks;
use skep_share::Limits;
use std::sync::Arc;

/// What has another end than the guest's.
pub(super) struct Attached {
    /// The network.
    pub net: Connected,
    /// What the socket device is connected to.
    pub vsock: VsockEnd,
    /// The balloon.
    pub balloon: HostBalloon,
}

/// Fills the transports. The last slots are used, as QEMU does: what a guest finds in slot 31 there
/// (a single disk) is there here. Within them the order is that in which a guest that probes by
/// address names devices: the balloon, the entropy source, consoles, shares, the socket device, the network card, and disks
/// from the first on. (QEMU goes downwards from slot 31, and its first disk is the last that Linux finds.)
pub(super) fn attach(
    config: &VmConfig,
    consoles: &mut Consoles,
    bus: &mut Bus,
    ram: &Arc<GuestRam>,
    interrupts: &Arc<Interrupts>,
    tasks: &mut Tasks,
) -> Result<Attached, Error> {
    let version = config.virtio;
    let singles = usize::from(config.net.is_some()) + usize::from(config.vsock.is_some());
    let count = map::VIRTIO_FIXED
        + config.consoles.len()
        + config.shares.len()
        + singles
        + config.disks.len();
    let first = map::VIRTIO_SLOTS
        .checked_sub(count)
        .ok_or(Error::TooManyDevices)?;
    let mut slots: Vec<(&str, SharedDevice)> = Vec::with_capacity(map::VIRTIO_SLOTS);
    slots.resize_with(first, || ("", shared(EmptySlot::new(version))));
    let irq = |slot: usize| Spi {
        interrupts: interrupts.clone(),
        number: map::SPI_VIRTIO + slot as u32,
    };

    let balloon = HostBalloon::new(version, ram, irq(slots.len()));
    slots.push(("balloon", balloon.device()));
    let entropy = Rng::new(HostEntropy);
    let transport = Transport::new(version, entropy, ram.clone(), irq(slots.len()));
    slots.push(("rng", shared(transport)));
    for (index, backend) in config.consoles.iter().enumerate() {
        let irq = irq(slots.len());
        let (output, end) = consoles.open(backend, tasks)?;
        // Nobody else says how large a terminal is.
        let size = config
            .terminal_size
            .filter(|_| matches!(backend, Backend::Main));
        let console = VirtioConsole::new(version, output, size, ram.clone(), irq);
        slots.push(("console", shared(console.clone())));
        consoles.connect(end, &format!("hvc{index}"), Port::Virtio(console));
    }
    let limits = Limits::for_servers(config.shares.len());
    for directory in &config.shares {
        let irq = irq(slots.len());
        let device = share::device(directory, limits, version, ram, irq, bus.standstill())?;
        slots.push(("share", device));
    }
    let mut sockets = VsockEnd::No;
    if let Some(config) = &config.vsock {
        let (device, end) = vsock::device(config, version, bus, ram, irq(slots.len()), tasks)?;
        slots.push(("vsock", device));
        sockets = end;
    }
    let mut connected = Connected::No;
    if let Some(config) = &config.net {
        let (card, network) = net::card(config, version, bus, ram, irq(slots.len()))?;
        slots.push(("net", card));
        connected = network;
    }
    for (index, disk) in config.disks.iter().enumerate() {
        let irq = irq(slots.len());
        let standstill = bus.standstill();
        let (device, handle) =
            disk::device(disk, index, version, ram, irq, standstill, &config.warn)?;
        bus.at_end(move || handle.write_back());
        slots.push(("block", device));
    }

    debug_assert_eq!(slots.len(), map::VIRTIO_SLOTS, "a device was not counted");
    for (slot, (kind, device)) in slots.into_iter().enumerate() {
        let range = map::Range {
            base: map::VIRTIO.base + slot as u64 * map::VIRTIO_SLOT_SIZE,
            size: map::VIRTIO_SLOT_SIZE,
        };
        let name = match kind {
            "" => "virtio, without device".to_owned(),
            kind => format!("virtio {kind} {slot}"),
        };
        bus.attach(&name, range, device);
    }
    Ok(Attached {
        net: connected,
        vsock: sockets,
        balloon,
    })
}

/// Random numbers from the host.
struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, buf: &mut [u8]) {
        host_random(buf);
    }
}
