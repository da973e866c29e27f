//! Assembles the board: every device at its address, with its interrupt and its backend.

mod console;
mod disk;
mod flash;

pub(crate) use console::Console;

use crate::bus::{Bus, SharedDevice};
use crate::clock::VmClock;
use crate::config::VmConfig;
use crate::error::Error;
use crate::irq::{Interrupts, Spi};
use crate::memory::GuestRam;
use rustix::rand::{GetRandomFlags, getrandom};
use skep_board::fw_cfg::FwCfg;
use skep_board::pl011::Pl011;
use skep_board::pl031::Pl031;
use skep_board::pl061::Pl061;
use skep_board::virtio::block::Block;
use skep_board::virtio::rng::{Entropy, Rng};
use skep_board::virtio::{EmptySlot, Transport, Version};
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
        let ram = GuestRam::new(config.memory, cluster.controls().cloned().collect()).map_err(
            |source| Error::HostMemory {
                mib: config.memory >> 20,
                source,
            },
        )?;
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
        virtio(config, &mut bus, &ram, &interrupts)?;
        Ok((bus, Board { console, rtc }))
    }
}

fn shared(device: impl MmioDevice + 'static) -> SharedDevice {
    Arc::new(Mutex::new(device))
}

/// The virtio transports: disks from the first slot on, then the entropy source, then empty slots.
fn virtio(
    config: &VmConfig,
    bus: &mut Bus,
    ram: &Arc<GuestRam>,
    interrupts: &Arc<Interrupts>,
) -> Result<(), Error> {
    const VERSION: Version = Version::Modern;
    let mut slots: Vec<SharedDevice> = Vec::new();
    let irq = |slot: usize| Spi {
        interrupts: interrupts.clone(),
        number: map::SPI_VIRTIO + slot as u32,
    };
    for (index, disk) in config.disks.iter().enumerate() {
        let block = Block::new(disk::RawDisk::open(disk)?, &format!("skep-disk{index}"));
        let transport = Transport::new(VERSION, block, ram.clone(), irq(slots.len()));
        slots.push(shared(transport));
    }
    let entropy = Transport::new(
        VERSION,
        Rng::new(HostEntropy),
        ram.clone(),
        irq(slots.len()),
    );
    slots.push(shared(entropy));
    if slots.len() > map::VIRTIO_SLOTS {
        return Err(Error::TooManyDevices);
    }
    slots.resize_with(map::VIRTIO_SLOTS, || shared(EmptySlot::new(VERSION)));
    for (slot, device) in slots.into_iter().enumerate() {
        let range = map::Range {
            base: map::VIRTIO.base + slot as u64 * map::VIRTIO_SLOT_SIZE,
            size: map::VIRTIO_SLOT_SIZE,
        };
        bus.attach(range, device);
    }
    Ok(())
}

/// Random numbers from the host.
struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, buf: &mut [u8]) {
        host_random(buf);
    }
}

/// Fills a buffer with random bytes from the host. What it does not provide stays as it was.
pub(crate) fn host_random(buf: &mut [u8]) {
    let mut filled = 0;
    while filled < buf.len() {
        match getrandom(&mut buf[filled..], GetRandomFlags::empty()) {
            Ok(got) => filled += got,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Firmware configuration, with what firmware for QEMU's board reads: the number of CPUs, and the
/// kernel that it is to boot with initial RAM disk and command line. Keys and formats are QEMU's
/// (docs/specs/fw_cfg, and its `standard-headers/linux/qemu_fw_cfg.h`).
fn fw_cfg(config: &VmConfig, ram: Arc<GuestRam>) -> FwCfg<Arc<GuestRam>> {
    const NB_CPUS: u16 = 0x05;
    const KERNEL: (u16, u16) = (0x08, 0x11);
    const INITRD: (u16, u16) = (0x0b, 0x12);
    const COMMAND_LINE: (u16, u16) = (0x14, 0x15);

    let mut device = FwCfg::new(ram);
    // The keys are fixed and distinct, and the files were small enough to load: none is refused.
    let mut add = |key, contents| {
        let _ = device.add_item(key, contents);
    };
    add(NB_CPUS, (config.cpus as u16).to_le_bytes().to_vec());
    if config.firmware.is_some() {
        let mut add_sized = |(size, data), contents: Vec<u8>| {
            add(size, (contents.len() as u32).to_le_bytes().to_vec());
            add(data, contents);
        };
        if let Some(kernel) = &config.kernel {
            add_sized(KERNEL, kernel.clone());
            // A string with its terminator.
            let mut line = config.command_line.clone().into_bytes();
            line.push(0);
            add_sized(COMMAND_LINE, line);
        }
        if let Some(initrd) = &config.initrd {
            add_sized(INITRD, initrd.clone());
        }
    }
    device
}
