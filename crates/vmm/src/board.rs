//! Assembles the board: every device at its address, with its interrupt and its backend.

mod console;
mod flash;

pub(crate) use console::Console;

use crate::bus::Bus;
use crate::clock::VmClock;
use crate::config::VmConfig;
use crate::error::Error;
use crate::irq::{Interrupts, Spi};
use crate::memory::GuestRam;
use skep_board::fw_cfg::FwCfg;
use skep_board::pl011::Pl011;
use skep_board::pl031::Pl031;
use skep_board::pl061::Pl061;
use skep_board::{MmioDevice, map};
use skep_interp::Cluster;
use std::sync::{Arc, Mutex};

/// Takes what the guest writes to its serial port.
pub type Output = Box<dyn FnMut(u8) + Send>;

/// The parts of the board that the host reaches directly.
pub(crate) struct Board {
    pub console: Console,
    pub rtc: Arc<Mutex<Pl031<Spi, VmClock>>>,
}

impl Board {
    /// Builds the bus with all devices.
    pub fn new(
        config: &VmConfig,
        cluster: &Arc<Cluster>,
        output: Output,
    ) -> Result<(Bus, Board), Error> {
        let ram = GuestRam::new(config.memory).map_err(|source| Error::HostMemory {
            mib: config.memory >> 20,
            source,
        })?;
        let interrupts = Interrupts::new(config.cpus, cluster.clone());
        let clock = VmClock::new();
        let mut bus = Bus::new(ram.clone(), interrupts.clone(), clock.clone());
        let spi = |number| Spi {
            interrupts: interrupts.clone(),
            number,
        };

        let console = Console::new(Pl011::new(spi(map::SPI_UART), console::Sink(output)));
        bus.attach(map::UART, shared(console.clone()));
        let rtc = Arc::new(Mutex::new(Pl031::new(spi(map::SPI_RTC), clock)));
        bus.attach(map::RTC, rtc.clone());
        bus.attach(map::GPIO, shared(Pl061::new(spi(map::SPI_GPIO))));
        bus.attach(map::FW_CFG, shared(fw_cfg(config, ram.clone())));
        for index in 0..2 {
            let bank = flash::Bank::new(index, ram.clone(), cluster.clone());
            bus.attach(bank.range(), shared(bank));
        }
        Ok((bus, Board { console, rtc }))
    }
}

fn shared(device: impl MmioDevice + 'static) -> Arc<Mutex<impl MmioDevice + 'static>> {
    Arc::new(Mutex::new(device))
}

/// Firmware configuration, with what firmware for QEMU's board reads: the kernel command line and
/// the number of CPUs.
fn fw_cfg(config: &VmConfig, ram: Arc<GuestRam>) -> FwCfg<Arc<GuestRam>> {
    /// Number of CPUs, 16 bits.
    const NB_CPUS: u16 = 0x05;
    let mut device = FwCfg::new(ram);
    // The keys are fixed and distinct, so that none is refused.
    let _ = device.add_item(NB_CPUS, (config.cpus as u16).to_le_bytes().to_vec());
    device
}
