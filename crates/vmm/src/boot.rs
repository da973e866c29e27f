//! Puts firmware, kernel, initial RAM disk and device tree into memory.

use crate::board::host_random;
use crate::config::{VmConfig, Watchdog};
use crate::contents::Contents;
use crate::error::Error;
use crate::memory::GuestRam;
use skep_arm::state::CpuModel;
use skep_board::{GuestMemory, map};
use skep_loader::fdt::{
    BoardConfig, Chosen, Gic, GpioKey, PsciMethod, Range, TimerIntids, VirtioSlots,
};
use skep_loader::{DeviceTree, Kernel, Request};

/// Where CPU 0 starts.
pub(crate) struct Entry {
    /// Address; bit 0 = T32.
    pub pc: u32,
    /// R0 to R2.
    pub regs: [u32; 3],
}

/// Writes everything that the configuration names to flash and RAM, both zero before.
pub(crate) fn load(config: &VmConfig, ram: &GuestRam) -> Result<Entry, Error> {
    if let Some(firmware) = &config.firmware {
        let firmware = firmware.read()?;
        if firmware.is_empty() {
            return Err(Error::FirmwareEmpty);
        }
        if firmware.len() as u64 > map::FLASH_BANK || !ram.write_flash(0, &firmware) {
            return Err(Error::FirmwareTooLarge(firmware.len()));
        }
    }
    match (&config.kernel, &config.firmware) {
        (_, Some(_)) => load_for_firmware(config, ram),
        (Some(kernel), None) => load_kernel(config, &kernel.read()?, ram),
        (None, None) => Err(Error::NothingToBoot),
    }
}

/// Firmware for this board looks for the device tree at the start of RAM, and gets kernel, initial
/// RAM disk and command line from the firmware configuration device.
fn load_for_firmware(config: &VmConfig, ram: &GuestRam) -> Result<Entry, Error> {
    /// For what firmware adds to the tree: bootargs, the initial RAM disk's place, memory, quirks.
    const ROOM: usize = 64 << 10;
    let board = board_config(config);
    let mut tree = match &config.dtb {
        Some(blob) => skep_loader::fdt::amend(&blob.read()?, &[board.memory], &chosen(config))
            .map_err(skep_loader::BootError::UserTree)?,
        None => skep_loader::fdt::board(&board, &chosen(config)),
    };
    skep_loader::fdt::add_room(&mut tree, ROOM);
    write(ram, map::RAM_BASE, &tree)?;
    Ok(Entry {
        pc: 0,
        regs: [0; 3],
    })
}

fn load_kernel(config: &VmConfig, bytes: &[u8], ram: &GuestRam) -> Result<Entry, Error> {
    let kernel = Kernel::parse(bytes)?;
    let board = board_config(config);
    let initrd = config.initrd.as_ref().map(Contents::read).transpose()?;
    let tree = config.dtb.as_ref().map(Contents::read).transpose()?;
    let boot = skep_loader::prepare(&Request {
        ram: board.memory,
        kernel: &kernel,
        initrd: initrd.as_deref(),
        tree: match &tree {
            Some(blob) => DeviceTree::User(blob),
            None => DeviceTree::Board(&board),
        },
        chosen: chosen(config),
    })?;
    for blob in &boot.blobs {
        write(ram, blob.addr, &blob.data)?;
    }
    Ok(Entry {
        pc: boot.entry.pc | u32::from(boot.entry.thumb),
        regs: boot.entry.registers,
    })
}

fn write(ram: &GuestRam, addr: u64, bytes: &[u8]) -> Result<(), Error> {
    ram.write(addr, bytes)
        .map_err(|_| Error::MemorySize(ram.ram_size() >> 20))
}

fn chosen(config: &VmConfig) -> Chosen {
    Chosen {
        bootargs: config.command_line.clone(),
        initrd: None,
        rng_seed: random::<32>().to_vec(),
        kaslr_seed: Some(u64::from_ne_bytes(random())),
    }
}

/// Random bytes from the host. All zero if it has none, which guests take as no entropy.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    host_random(&mut bytes);
    bytes
}

/// The board, as its device tree describes it.
fn board_config(config: &VmConfig) -> BoardConfig {
    let range = |range: map::Range| Range {
        base: range.base,
        size: range.size,
    };
    let bank = |index| Range {
        base: index * map::FLASH_BANK,
        size: map::FLASH_BANK,
    };
    BoardConfig {
        cpu: match config.cpu {
            CpuModel::CortexA15 => "arm,cortex-a15".into(),
            CpuModel::CortexA7 => "arm,cortex-a7".into(),
        },
        cpus: config.cpus as u32,
        memory: Range {
            base: map::RAM_BASE,
            size: config.memory,
        },
        gic: Gic {
            distributor: range(map::GIC_DIST),
            cpu_interface: range(map::GIC_CPU),
            virtualization: None,
        },
        timer: TimerIntids {
            secure: map::INTID_TIMER_SECURE,
            physical: map::INTID_TIMER_PHYS,
            virt: map::INTID_TIMER_VIRT,
            hyp: map::INTID_TIMER_HYP,
        },
        pmu: Some(map::INTID_PMU),
        psci: PsciMethod::Hvc,
        flash: Some([bank(0), bank(1)]),
        uart: (range(map::UART), map::SPI_UART),
        rtc: Some((range(map::RTC), map::SPI_RTC)),
        watchdog: (config.watchdog != Watchdog::None)
            .then(|| (range(map::WATCHDOG), map::SPI_WATCHDOG)),
        fw_cfg: Some(range(map::FW_CFG)),
        gpio: Some(GpioKey {
            registers: range(map::GPIO),
            spi: map::SPI_GPIO,
            power_key: map::GPIO_POWER_KEY,
        }),
        virtio: VirtioSlots {
            base: map::VIRTIO.base,
            size: map::VIRTIO_SLOT_SIZE,
            count: map::VIRTIO_SLOTS as u32,
            spi: map::SPI_VIRTIO,
        },
        channels: Vec::new(),
        others: Vec::new(),
    }
}
