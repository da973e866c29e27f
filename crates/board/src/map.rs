//! The board's memory map and interrupt numbers.

/// A range of physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
}

const fn range(base: u64, size: u64) -> Range {
    Range { base, size }
}

/// Two banks of NOR flash, each [`FLASH_BANK`] bytes.
pub const FLASH: Range = range(0x0000_0000, 2 * FLASH_BANK);
/// Size of a flash bank.
pub const FLASH_BANK: u64 = 64 << 20;
/// GICv2 distributor.
pub const GIC_DIST: Range = range(0x0800_0000, 0x1_0000);
/// GICv2 CPU interface.
pub const GIC_CPU: Range = range(0x0801_0000, 0x1_0000);
/// PL011 serial port.
pub const UART: Range = range(0x0900_0000, 0x1000);
/// PL031 real-time clock.
pub const RTC: Range = range(0x0901_0000, 0x1000);
/// QEMU firmware configuration.
pub const FW_CFG: Range = range(0x0902_0000, 0x18);
/// PL061 general-purpose I/O: pin 3 is the power key.
pub const GPIO: Range = range(0x0903_0000, 0x1000);
/// SP805 watchdog, which QEMU's machine does not have; its counter runs at [`APB_HZ`].
pub const WATCHDOG: Range = range(0x090f_0000, 0x1000);
/// The GPIO pin of the power key.
pub const GPIO_POWER_KEY: u8 = 3;
/// virtio-mmio transports, [`VIRTIO_SLOTS`] of [`VIRTIO_SLOT_SIZE`] bytes.
pub const VIRTIO: Range = range(0x0a00_0000, VIRTIO_SLOTS as u64 * VIRTIO_SLOT_SIZE);
/// Number of virtio-mmio transports.
pub const VIRTIO_SLOTS: usize = 32;
/// How many of them every VM on a PC has devices in: the balloon and the entropy source.
pub const VIRTIO_FIXED: usize = 2;
/// Size of a virtio-mmio transport.
pub const VIRTIO_SLOT_SIZE: u64 = 0x200;
/// Doorbells of channels, [`CHANNELS`] of [`CHANNEL_REGISTERS_SIZE`] bytes. QEMU has its platform bus
/// here, for devices that the user adds.
pub const CHANNEL_REGISTERS: Range = range(0x0c00_0000, CHANNELS as u64 * CHANNEL_REGISTERS_SIZE);
/// Number of channels that a VM can take part in.
pub const CHANNELS: usize = 16;
/// Size of a channel's doorbell registers.
pub const CHANNEL_REGISTERS_SIZE: u64 = 0x1000;
/// Shared memory of channels, one behind the other.
pub const CHANNEL_MEMORY: Range = range(0x0c10_0000, 0x01f0_0000);
/// Registers of devices of a real board that a VM has for itself. QEMU has PCIe windows here.
pub const PASSED_THROUGH: Range = range(0x1000_0000, 0x2000_0000);
/// Start of RAM.
pub const RAM_BASE: u64 = 0x4000_0000;
/// The largest number of vCPUs: what a GICv2 has interfaces for.
pub const MAX_CPUS: usize = 8;

/// SPI of the UART (add 32 for the interrupt ID).
pub const SPI_UART: u32 = 1;
/// SPI of the RTC.
pub const SPI_RTC: u32 = 2;
/// SPI of the GPIO.
pub const SPI_GPIO: u32 = 7;
/// SPI of the watchdog.
pub const SPI_WATCHDOG: u32 = 10;
/// SPI of the first virtio transport; edge-triggered in the device tree.
pub const SPI_VIRTIO: u32 = 16;
/// SPI of the first channel's doorbell; edge-triggered.
pub const SPI_CHANNEL: u32 = 112;
/// SPI of the first passed-through interrupt; the last is [`SPIS`] - 1.
pub const SPI_PASSED_THROUGH: u32 = 160;
/// Number of SPIs: interrupt IDs 32 to 287.
pub const SPIS: u32 = 256;

/// Interrupt ID of the hypervisor timer.
pub const INTID_TIMER_HYP: u32 = 26;
/// Interrupt ID of the virtual timer.
pub const INTID_TIMER_VIRT: u32 = 27;
/// Interrupt ID of the secure physical timer.
pub const INTID_TIMER_SECURE: u32 = 29;
/// Interrupt ID of the non-secure physical timer.
pub const INTID_TIMER_PHYS: u32 = 30;
/// Interrupt ID of the performance monitors.
pub const INTID_PMU: u32 = 23;
/// Frequency of the peripherals' clock, Hz.
pub const APB_HZ: u32 = 24_000_000;
/// Frequency of the generic timer's counter, Hz: QEMU's.
pub const COUNTER_HZ: u32 = 62_500_000;
