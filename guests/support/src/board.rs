//! The board's memory map.

/// GICv2 distributor.
pub const GICD: u32 = 0x0800_0000;
/// GICv2 CPU interface.
pub const GICC: u32 = 0x0801_0000;
/// PL011 serial port.
pub const UART: u32 = 0x0900_0000;
/// PL031 real-time clock.
pub const RTC: u32 = 0x0901_0000;
/// QEMU firmware configuration.
pub const FW_CFG: u32 = 0x0902_0000;
/// PL061 general-purpose I/O.
pub const GPIO: u32 = 0x0903_0000;
/// virtio-mmio transports.
pub const VIRTIO: u32 = 0x0a00_0000;
/// The first flash bank.
pub const FLASH: u32 = 0;
/// The second flash bank.
pub const FLASH_1: u32 = 0x0400_0000;
/// RAM.
pub const RAM: u32 = 0x4000_0000;
/// RAM that the guest's own code, data and stacks do not use.
pub const FREE: u32 = 0x4100_0000;
/// Where there is nothing.
pub const NOTHING: u32 = 0x0b00_0000;

/// Interrupt ID of the virtual timer.
pub const VIRTUAL_TIMER: u32 = 27;
/// Interrupt ID of the physical timer.
pub const PHYSICAL_TIMER: u32 = 30;
/// Interrupt ID of the UART.
pub const UART_INT: u32 = 33;
/// The end of RAM: machines of the tests have 256 MiB.
pub const MEMORY_END: u32 = RAM + (256 << 20);
