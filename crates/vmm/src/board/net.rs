//! The network card and the network behind it.

use crate::bus::{Bus, SharedDevice, lock};
use crate::error::Error;
use crate::irq::Spi;
use crate::memory::GuestRam;
use crate::standstill::Standstill;
use skep_board::virtio::net::{Given, Net, Offload};
use skep_board::virtio::{Transport, Version};
use skep_net::{Bell, Config, Link, Network, Running};
use std::sync::{Arc, Mutex};

type Card = Transport<Net<Bell>, GuestRam, Spi>;

/// Opens a network, with a card for the guest.
pub(super) fn card(
    config: &Config,
    version: Version,
    bus: &Bus,
    ram: &Arc<GuestRam>,
    irq: Spi,
) -> Result<(SharedDevice, Connected), Error> {
    let network = Network::open(config)?;
    let bell = network.bell();
    bus.standstill().when_over(move || bell.ring());
    let net = Net::new(network.bell(), network.mac());
    let card = Arc::new(Mutex::new(Transport::new(version, net, ram.clone(), irq)));
    let guest = Guest {
        card: card.clone(),
        standstill: bus.standstill().clone(),
    };
    Ok((card, Connected::Ready(network, guest)))
}

/// The network that a card is connected to.
pub(crate) enum Connected {
    /// There is none.
    No,
    /// It is open, and waits for the VM to run.
    Ready(Network, Guest),
    /// Its thread moves frames, until this is dropped.
    Running(#[expect(dead_code, reason = "it is there to be dropped")] Running),
}

impl Connected {
    /// Starts the network's thread, unless it runs. It is in whatever sandbox its caller is in.
    pub fn start(&mut self) -> Result<(), Error> {
        *self = match std::mem::replace(self, Connected::No) {
            Connected::Ready(network, guest) => Connected::Running(network.start(guest)?),
            other => other,
        };
        Ok(())
    }
}

/// The guest, as the network's thread sees it.
pub(crate) struct Guest {
    card: Arc<Mutex<Card>>,
    standstill: Arc<Standstill>,
}

impl Link for Guest {
    fn take(&mut self, frame: &mut Vec<u8>) -> Option<Offload> {
        let _at_work = self.standstill.try_work()?;
        lock(&self.card).take_frame(frame)
    }

    fn give(&mut self, offload: &Offload, headers: usize, parts: &[&[u8]]) -> bool {
        let Some(_at_work) = self.standstill.try_work() else {
            return false;
        };
        lock(&self.card).give_frame(offload, headers as u16, parts) == Given::Done
    }

    fn features(&mut self) -> Option<u64> {
        lock(&self.card).frame_features()
    }

    fn paused(&self) -> bool {
        self.standstill.is_wanted()
    }
}
