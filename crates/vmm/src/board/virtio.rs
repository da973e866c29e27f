//! The virtio transports: which device is in which slot.

use crate::backend::Consoles;
use crate::board::net::Connected;
use crate::board::port::VirtioConsole;
use crate::board::{HostBalloon, Port, VsockEnd, disk, host_random, net, share, shared, vsock};
use crate::bus::{Bus, SharedDevice};
use crate::config::{Backend, Disk, Share, VmConfig};
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

/// What a slot is for, with its number among others of the kind.
enum Slot<'a> {
    Entropy,
    Console(usize, &'a Backend),
    Share(&'a Share),
    Vsock(&'a skep_vsock::Config),
    Net(&'a skep_net::Config),
    Disk(usize, &'a Disk),
}

/// What comes behind the balloon, in the order of slots.
fn slots(config: &VmConfig) -> Vec<Slot<'_>> {
    let consoles = config.consoles.iter().enumerate();
    let disks = config.disks.iter().enumerate();
    std::iter::once(Slot::Entropy)
        .chain(consoles.map(|(index, backend)| Slot::Console(index, backend)))
        .chain(config.shares.iter().map(Slot::Share))
        .chain(config.vsock.iter().map(Slot::Vsock))
        .chain(config.net.iter().map(Slot::Net))
        .chain(disks.map(|(index, disk)| Slot::Disk(index, disk)))
        .collect()
}

/// Fills the transports. The last slots are used, as QEMU does: what a guest finds in slot 31 there
/// (a single disk) is there here. Within them the order is that in which a guest that probes by
/// address names devices: the balloon, the entropy source, consoles, shares, the socket device, the network
/// card, and disks from the first on. (QEMU goes downwards from slot 31, and its first disk is the last that
/// Linux finds.)
pub(super) fn attach(
    config: &VmConfig,
    consoles: &mut Consoles,
    bus: &mut Bus,
    ram: &Arc<GuestRam>,
    interrupts: &Arc<Interrupts>,
    tasks: &mut Tasks,
) -> Result<Attached, Error> {
    let version = config.virtio;
    let slots = slots(config);
    let first = map::VIRTIO_SLOTS
        .checked_sub(slots.len() + 1)
        .ok_or(Error::TooManyDevices)?;
    let irq = |slot: usize| Spi {
        interrupts: interrupts.clone(),
        number: map::SPI_VIRTIO + slot as u32,
    };
    let range = |slot: usize| map::Range {
        base: map::VIRTIO.base + slot as u64 * map::VIRTIO_SLOT_SIZE,
        size: map::VIRTIO_SLOT_SIZE,
    };
    let name = |kind: &str, slot: usize| format!("virtio {kind} {slot}");

    for slot in 0..first {
        let device = shared(EmptySlot::new(version));
        bus.attach("virtio, without device", range(slot), device);
    }
    let balloon = HostBalloon::new(version, ram, irq(first));
    bus.attach(&name("balloon", first), range(first), balloon.device());
    let mut attached = Attached {
        net: Connected::No,
        vsock: VsockEnd::No,
        balloon,
    };
    let limits = Limits::for_servers(config.shares.len());
    for (slot, what) in (first + 1..).zip(slots) {
        let irq = irq(slot);
        let (kind, device): (_, SharedDevice) = match what {
            Slot::Entropy => {
                let entropy = Rng::new(HostEntropy);
                let transport = Transport::new(version, entropy, ram.clone(), irq);
                ("rng", shared(transport))
            }
            Slot::Console(index, backend) => {
                let (output, end) = consoles.open(backend, tasks)?;
                // Nobody else says how large a terminal is.
                let size = config
                    .terminal_size
                    .filter(|_| matches!(backend, Backend::Main));
                let console = VirtioConsole::new(version, output, size, ram.clone(), irq);
                let port = Port::Virtio(console.clone());
                consoles.connect(end, &format!("hvc{index}"), port);
                ("console", shared(console))
            }
            Slot::Share(directory) => {
                let standstill = bus.standstill();
                let device = share::device(directory, limits, version, ram, irq, standstill)?;
                ("share", device)
            }
            Slot::Vsock(config) => {
                let (device, end) = vsock::device(config, version, bus, ram, irq, tasks)?;
                attached.vsock = end;
                ("vsock", device)
            }
            Slot::Net(config) => {
                let (card, network) = net::card(config, version, bus, ram, irq)?;
                attached.net = network;
                ("net", card)
            }
            Slot::Disk(index, disk) => {
                let standstill = bus.standstill();
                let (device, handle) =
                    disk::device(disk, index, version, ram, irq, standstill, &config.warn)?;
                bus.at_end(move || handle.write_back());
                ("block", device)
            }
        };
        bus.attach(&name(kind, slot), range(slot), device);
    }
    Ok(attached)
}

/// Random numbers from the host.
struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, buf: &mut [u8]) {
        host_random(buf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_the_fixed_devices() {
        let config = VmConfig::default();
        assert_eq!(slots(&config).len() + 1, map::VIRTIO_FIXED);
    }
}
