//! Assembles the board: every device at its address, with its interrupt and its backend.

mod balloon;
mod disk;
mod flash;
mod net;
mod polled;
mod port;
mod serial;
mod share;
mod virtio;
mod vsock;
mod worker;

pub(crate) use balloon::HostBalloon;
pub(crate) use net::Connected;
pub(crate) use port::Port;
pub(crate) use serial::SerialPort;
pub(crate) use vsock::VsockEnd;

use crate::backend::Consoles;
use crate::bus::{Bus, SharedDevice};
use crate::clock::VmClock;
use crate::config::{VmConfig, Watchdog};
use crate::error::Error;
use crate::irq::{Interrupts, Spi};
use crate::memory::GuestRam;
use rustix::rand::{GetRandomFlags, getrandom};
use skep_board::fw_cfg::FwCfg;
use skep_board::pl011::Pl011;
use skep_board::pl031::Pl031;
use skep_board::pl061::Pl061;
use skep_board::sp805::Sp805;
use skep_board::{MmioDevice, map};
use skep_helper::{Helper, Tasks};
use skep_interp::Cluster;
use std::sync::{Arc, Mutex};

/// Takes what the guest writes to a console.
pub type Output = Box<dyn FnMut(u8) + Send>;

/// The parts of the board that the host reaches directly.
pub(crate) struct Board {
    pub serial: SerialPort,
    pub consoles: Consoles,
    pub rtc: Arc<Mutex<Pl031<Spi, VmClock>>>,
    pub watchdog: Option<Arc<Mutex<Sp805<Spi, VmClock>>>>,
    pub gpio: Arc<Mutex<Pl061<Spi>>>,
    pub net: Connected,
    pub vsock: VsockEnd,
    pub balloon: HostBalloon,
    /// What removes the names of consoles and of the socket device. It is dropped after them.
    pub _helper: Option<Helper>,
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

        let mut consoles = Consoles::new(output, config.warn.clone());
        let mut tasks = Tasks::new().map_err(Error::Helper)?;
        let (output, end) = consoles.open(&config.serial, &mut tasks)?;
        let uart = Pl011::new(spi(map::SPI_UART), serial::Sink(output));
        let serial = SerialPort::new(uart, interrupts.clone());
        consoles.connect(end, "ttyAMA0", Port::Serial(serial.clone()));
        bus.attach("pl011", map::UART, shared(serial.clone()));
        let rtc = Arc::new(Mutex::new(Pl031::new(spi(map::SPI_RTC), clock.clone())));
        bus.attach("pl031", map::RTC, polled(&rtc, &interrupts));
        let watchdog = (config.watchdog != Watchdog::None)
            .then(|| Sp805::new(spi(map::SPI_WATCHDOG), clock, map::APB_HZ))
            .map(|device| Arc::new(Mutex::new(device)));
        if let Some(device) = &watchdog {
            let polled = polled(device, &interrupts);
            bus.attach("sp805", map::WATCHDOG, polled);
        }
        let gpio = Arc::new(Mutex::new(Pl061::new(spi(map::SPI_GPIO))));
        bus.attach("pl061", map::GPIO, gpio.clone());
        bus.attach("fw_cfg", map::FW_CFG, shared(fw_cfg(config, ram.clone())?));
        for index in 0..2 {
            let bank = flash::Bank::new(index, ram.clone(), cluster.clone());
            bus.attach(&format!("flash {index}"), bank.range(), shared(bank));
        }
        let attached = virtio::attach(
            config,
            &mut consoles,
            &mut bus,
            &ram,
            &interrupts,
            &mut tasks,
        )?;
        let helper = tasks
            .start(config.helper.as_deref())
            .map_err(Error::Helper)?;
        for act in consoles.at_end() {
            bus.at_end(act);
        }
        Ok((
            bus,
            Board {
                serial,
                consoles,
                rtc,
                watchdog,
                gpio,
                net: attached.net,
                vsock: attached.vsock,
                balloon: attached.balloon,
                _helper: helper,
            },
        ))
    }
}

fn shared(device: impl MmioDevice + 'static) -> SharedDevice {
    Arc::new(Mutex::new(device))
}

fn polled<D: MmioDevice + 'static>(
    device: &Arc<Mutex<D>>,
    interrupts: &Arc<Interrupts>,
) -> SharedDevice {
    shared(polled::Polled {
        device: device.clone(),
        interrupts: interrupts.clone(),
    })
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
fn fw_cfg(config: &VmConfig, ram: Arc<GuestRam>) -> Result<FwCfg<Arc<GuestRam>>, Error> {
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
            add_sized(KERNEL, kernel.read()?.into_owned());
            // A string with its terminator.
            let mut line = config.command_line.clone().into_bytes();
            line.push(0);
            add_sized(COMMAND_LINE, line);
        }
        if let Some(initrd) = &config.initrd {
            add_sized(INITRD, initrd.read()?.into_owned());
        }
    }
    Ok(device)
}
