//! The virtio transports: which device is in which slot.

use crate::board::net::Connected;
use crate::board::terminal::VirtioConsole;
use crate::board::{HostBalloon, Output, disk, host_random, net, share, shared};
use crate::bus::{Bus, SharedDevice};
use crate::config::VmConfig;
use crate::error::Error;
use crate::irq::{Interrupts, Spi};
use crate::memory::GuestRam;
use skep_board::map;
use skep_board::virtio::rng::{Entropy, Rng};
use skep_board::virtio::{EmptySlot, Transport};
use skep_share::Limits;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// What has another end than the guest's.
pub(super) struct Attached {
    /// The console that the terminal is connected to, if it is a virtio console.
    pub terminal: Option<VirtioConsole>,
    /// The network.
    pub net: Connected,
    /// The balloon.
    pub balloon: HostBalloon,
}

/// Fills the transports. The last slots are used, as QEMU does: what a guest finds in slot 31 there
/// (a single disk) is there here. Within them the order is that in which a guest that probes by
/// address names devices: the balloon, the entropy source, consoles, shares, the network card, and disks
/// from the first on. (QEMU goes downwards from slot 31, and its first disk is the last that Linux finds.)
pub(super) fn attach(
    config: &VmConfig,
    terminal: Option<Output>,
    bus: &mut Bus,
    ram: &Arc<GuestRam>,
    interrupts: &Arc<Interrupts>,
) -> Result<Attached, Error> {
    let version = config.virtio;
    let consoles = usize::from(terminal.is_some()) + config.virtio_consoles.len();
    let count = map::VIRTIO_FIXED
        + consoles
        + config.shares.len()
        + usize::from(config.net.is_some())
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
    let mut console = |output, size| {
        let slot = slots.len();
        let console = VirtioConsole::new(version, output, size, ram.clone(), irq(slot));
        slots.push(("console", shared(console.clone())));
        console
    };
    let terminal = terminal.map(|output| console(output, config.terminal_size));
    for path in &config.virtio_consoles {
        console(output_file(path)?, None);
    }
    let limits = Limits::for_servers(config.shares.len());
    for directory in &config.shares {
        let irq = irq(slots.len());
        let device = share::device(directory, limits, version, ram, irq, bus.standstill())?;
        slots.push(("share", device));
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
        terminal,
        net: connected,
        balloon,
    })
}

/// Output to a file, which is created or emptied.
fn output_file(path: &Path) -> Result<Output, Error> {
    let mut file = File::create(path).map_err(|source| Error::ConsoleFile {
        path: path.to_owned(),
        source,
    })?;
    // A full disk of the host must not disturb the guest.
    Ok(Box::new(move |byte| {
        let _ = file.write_all(&[byte]);
    }))
}

/// Random numbers from the host.
struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, buf: &mut [u8]) {
        host_random(buf);
    }
}
