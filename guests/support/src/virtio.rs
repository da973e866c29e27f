//! virtio-mmio: the transport's registers (virtio 1.2, 4.2.2), and a driver of one queue.
#![allow(missing_docs)]

use crate::board::VIRTIO;
use crate::mmio::{read16, read32, write16, write32};

pub const MAGIC: u32 = 0x000;
pub const VERSION: u32 = 0x004;
pub const DEVICE_ID: u32 = 0x008;
pub const VENDOR_ID: u32 = 0x00c;
pub const DEVICE_FEATURES: u32 = 0x010;
pub const DEVICE_FEATURES_SEL: u32 = 0x014;
pub const DRIVER_FEATURES: u32 = 0x020;
pub const DRIVER_FEATURES_SEL: u32 = 0x024;
pub const QUEUE_SEL: u32 = 0x030;
pub const QUEUE_NUM_MAX: u32 = 0x034;
pub const QUEUE_NUM: u32 = 0x038;
pub const QUEUE_READY: u32 = 0x044;
pub const QUEUE_NOTIFY: u32 = 0x050;
pub const INTERRUPT_STATUS: u32 = 0x060;
pub const INTERRUPT_ACK: u32 = 0x064;
pub const STATUS: u32 = 0x070;
pub const QUEUE_DESC_LOW: u32 = 0x080;
pub const QUEUE_DRIVER_LOW: u32 = 0x090;
pub const QUEUE_DEVICE_LOW: u32 = 0x0a0;
pub const QUEUE_RESET: u32 = 0x0c0;
pub const CONFIG_GENERATION: u32 = 0x0fc;
pub const CONFIG: u32 = 0x100;

/// VIRTIO_RING_F_INDIRECT_DESC.
pub const F_INDIRECT: u64 = 1 << 28;
/// VIRTIO_F_VERSION_1.
pub const F_VERSION_1: u64 = 1 << 32;
/// VIRTIO_F_RING_RESET.
pub const F_RING_RESET: u64 = 1 << 40;

/// Flags of a descriptor (2.7.5).
pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// The device asks for a reset (2.1).
pub const NEEDS_RESET: u32 = 0x40;

/// The transport of the first device with an ID.
pub fn find(id: u32) -> Option<u32> {
    (0..32)
        .map(|slot| VIRTIO + slot * 0x200)
        .find(|base| read32(base + DEVICE_ID) == id)
}

/// Writes a descriptor into a table.
pub fn descriptor(table: u32, index: u32, address: u64, length: u32, flags: u16, next: u16) {
    let at = table + 16 * index;
    write32(at, address as u32);
    write32(at + 4, (address >> 32) as u32);
    write32(at + 8, length);
    write16(at + 12, flags);
    write16(at + 14, next);
}

/// A device with its queue 0.
pub struct Driver {
    /// The transport.
    pub base: u32,
    /// The queue's size.
    pub size: u32,
    /// The queue: descriptors, and one and two pages behind them the rings.
    pub queue: u32,
    /// Chains made available since the last reset.
    pub sent: u16,
}

impl Driver {
    /// Where the available ring is.
    pub fn available(&self) -> u32 {
        self.queue + 0x1000
    }

    /// Where the used ring is.
    pub fn used(&self) -> u32 {
        self.queue + 0x2000
    }

    /// Resets the device and agrees on features. The status then.
    pub fn negotiate(&mut self, features: u64) -> u32 {
        for status in [0, 1, 3] {
            write32(self.base + STATUS, status);
        }
        for half in 0..2 {
            write32(self.base + DRIVER_FEATURES_SEL, half);
            write32(
                self.base + DRIVER_FEATURES,
                (features >> (32 * half)) as u32,
            );
        }
        write32(self.base + STATUS, 0xb);
        read32(self.base + STATUS)
    }

    /// Gives the device an empty queue.
    pub fn set_up(&mut self) {
        for word in (self.queue..self.queue + 0x3000).step_by(4) {
            write32(word, 0);
        }
        self.sent = 0;
        write32(self.base + QUEUE_SEL, 0);
        write32(self.base + QUEUE_NUM, self.size);
        for (register, address) in [
            (QUEUE_DESC_LOW, self.queue),
            (QUEUE_DRIVER_LOW, self.available()),
            (QUEUE_DEVICE_LOW, self.used()),
        ] {
            write32(self.base + register, address);
            write32(self.base + register + 4, 0);
        }
        write32(self.base + QUEUE_READY, 1);
    }

    /// From reset to work.
    pub fn start(&mut self, features: u64) {
        self.negotiate(features);
        self.set_up();
        write32(self.base + STATUS, 0xf);
    }

    /// Makes chains available, which begin at these descriptors, and tells the device.
    pub fn send(&mut self, heads: &[u16]) {
        for head in heads {
            let slot = u32::from(self.sent) % self.size;
            write16(self.available() + 4 + 2 * slot, *head);
            self.sent = self.sent.wrapping_add(1);
        }
        // The ring's contents come before its index.
        crate::cp15::dsb();
        write16(self.available() + 2, self.sent);
        crate::cp15::dsb();
        write32(self.base + QUEUE_NOTIFY, 0);
    }

    /// Waits until the device has used all chains (true), or asks for a reset, or does neither for
    /// a fifth of a second.
    pub fn wait(&self) -> bool {
        let ticks = crate::mrc!("p15, 0, {}, c14, c0, 0") / 5;
        let start = crate::cp15::count();
        while crate::cp15::count().wrapping_sub(start) < ticks {
            if read16(self.used() + 2) == self.sent {
                return true;
            }
            if read32(self.base + STATUS) & NEEDS_RESET != 0 {
                return false;
            }
        }
        false
    }
}
