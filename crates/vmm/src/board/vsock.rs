//! The socket device, and what it is connected to.

use crate::bus::{Bus, SharedDevice, lock};
use crate::error::Error;
use crate::irq::Spi;
use crate::memory::GuestRam;
use crate::standstill::Standstill;
use skep_board::virtio::vsock::{Header, Packets, Vsock as Device};
use skep_board::virtio::{Transport, Version};
use skep_helper::Tasks;
use skep_net::{Bell, Running};
use skep_vsock::host::Link;
use skep_vsock::{Config, Vsock};
use std::sync::{Arc, Mutex};

type Sockets = Transport<Device<Bell>, GuestRam, Spi>;

/// Makes a socket device, and the socket by which programs of the host's reach it.
pub(super) fn device(
    config: &Config,
    version: Version,
    bus: &Bus,
    ram: &Arc<GuestRam>,
    irq: Spi,
    tasks: &mut Tasks,
) -> Result<(SharedDevice, VsockEnd), Error> {
    let vsock = Vsock::open(config, tasks)?;
    let bell = vsock.bell();
    let device = Device::new(bell.clone(), config.cid);
    let device = Arc::new(Mutex::new(Transport::new(
        version,
        device,
        ram.clone(),
        irq,
    )));
    bus.standstill().when_over(move || bell.ring());
    let guest = Guest {
        device: device.clone(),
        standstill: bus.standstill().clone(),
    };
    Ok((device, VsockEnd::Ready(Box::new(vsock), guest)))
}

/// What a socket device is connected to.
pub(crate) enum VsockEnd {
    /// There is none.
    No,
    /// It waits for the VM to run.
    Ready(Box<Vsock>, Guest),
    /// Its thread moves packets, until this is dropped.
    Running(#[expect(dead_code, reason = "it is there to be dropped")] Running),
}

impl VsockEnd {
    /// Starts the thread, unless it runs. It is in whatever sandbox its caller is in.
    pub fn start(&mut self) -> Result<(), Error> {
        *self = match std::mem::replace(self, VsockEnd::No) {
            VsockEnd::Ready(vsock, guest) => VsockEnd::Running(vsock.start(guest)?),
            other => other,
        };
        Ok(())
    }
}

/// The guest, as the thread sees it.
pub(crate) struct Guest {
    device: Arc<Mutex<Sockets>>,
    standstill: Arc<Standstill>,
}

impl Link for Guest {
    fn session(&mut self) -> Option<u64> {
        lock(&self.device).vsock_session()
    }

    fn take(&mut self, session: u64, packets: &mut Packets) {
        match self.standstill.try_work() {
            Some(_at_work) => lock(&self.device).take_packets(session, packets),
            None => packets.clear(),
        }
    }

    fn give(&mut self, session: u64, header: &Header, payload: &[u8]) -> Option<usize> {
        let _at_work = self.standstill.try_work()?;
        lock(&self.device).give_packets(session, header, payload)
    }

    fn paused(&self) -> bool {
        self.standstill.is_wanted()
    }
}
