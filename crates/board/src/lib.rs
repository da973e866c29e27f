//! The virtual board: interrupt controller, serial port, clock, watchdog, flash, firmware configuration,
//! virtio, and power control. Compatible with QEMU's `virt` machine, so that what boots there boots
//! here.
//!
//! Each device is a pure state machine: it is given what it needs (an interrupt line, a clock, a
//! backend) and knows neither its address nor its interrupt number. The library that assembles a
//! board ([`map`] has the addresses) wraps each device in whatever lock it uses.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod channel;
pub mod flash;
pub mod fw_cfg;
pub mod gic;
pub mod map;
pub mod pl011;
pub mod pl031;
pub mod pl061;
mod primecell;
pub mod psci;
pub mod sp805;
#[cfg(test)]
mod test_support;
pub mod virtio;

/// A device's interrupt output. A level: raised until lowered.
pub trait IrqLine: Send {
    /// Drives the line.
    fn set(&self, level: bool);
}

/// Time, as devices see it.
pub trait Clock: Send {
    /// Nanoseconds since the VM started; stops while the VM is paused.
    fn now_ns(&self) -> u64;
    /// Seconds since 1970-01-01 00:00 UTC.
    fn unix_seconds(&self) -> u64;
}

/// A device behind a range of physical addresses.
///
/// `offset` is from the range's start and within it, `size` is 1, 2, 4 or 8; nothing else about an
/// access can be relied on: the guest chooses it. Registers narrower than the access read as zero
/// above; an access that the device does not define reads as 0 and ignores writes.
pub trait MmioDevice: Send {
    /// Reads.
    fn read(&mut self, offset: u64, size: u8) -> u64;
    /// Writes.
    fn write(&mut self, offset: u64, size: u8, value: u64);
    /// Back to the state after power-on.
    fn reset(&mut self);
    /// Goes on with what it put off because the host wanted the VM to stand still.
    fn resume(&mut self) {}
}

/// An address or length that the guest gave lies outside its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadAddress {
    /// The guest-physical address.
    pub addr: u64,
    /// The length in bytes.
    pub len: u64,
}

/// Guest memory, as devices with direct memory access see it. Every access is checked.
pub trait GuestMemory: Send + Sync {
    /// Reads bytes from guest-physical address `addr`.
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), BadAddress>;
    /// Writes bytes.
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), BadAddress>;
    /// Reads an aligned 16-bit little-endian value with acquire ordering (virtqueue indices).
    fn read_u16_acquire(&self, addr: u64) -> Result<u16, BadAddress>;
    /// Writes an aligned 16-bit little-endian value with release ordering.
    fn write_u16_release(&self, addr: u64, value: u16) -> Result<(), BadAddress>;
}

impl<M: GuestMemory + ?Sized> GuestMemory for alloc::sync::Arc<M> {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), BadAddress> {
        (**self).read(addr, buf)
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), BadAddress> {
        (**self).write(addr, buf)
    }

    fn read_u16_acquire(&self, addr: u64) -> Result<u16, BadAddress> {
        (**self).read_u16_acquire(addr)
    }

    fn write_u16_release(&self, addr: u64, value: u16) -> Result<(), BadAddress> {
        (**self).write_u16_release(addr, value)
    }
}
