//! Channels to other VMs: doorbell registers and shared memory (`docs/channels.md`).
#![allow(missing_docs)]

use crate::mmio::{read32, write32};
use crate::probe::Probe;
use crate::snippet;

/// The doorbell registers of the first channel, and the distance to the next one's.
const REGISTERS: u32 = 0x0c00_0000;
const REGISTERS_SIZE: u32 = 0x1000;
/// The shared memory of the first channel; that of the next is right behind it.
const MEMORY: u32 = 0x0c10_0000;
/// The interrupt ID of the first channel's doorbell.
const INTERRUPT: u32 = 32 + 112;

const MAGIC: u32 = 0x4843_4b53;
pub const END: u32 = 0x08;
pub const ENDS: u32 = 0x0c;
pub const SIZE: u32 = 0x10;
pub const FLAGS: u32 = 0x14;
pub const RING: u32 = 0x18;
pub const RUNG: u32 = 0x1c;

/// This VM's end of a channel.
#[derive(Clone, Copy)]
pub struct Channel {
    /// Doorbell registers.
    pub registers: u32,
    /// Shared memory.
    pub memory: u32,
    /// Interrupt ID.
    pub interrupt: u32,
}

impl Channel {
    /// The VM's channel number `n`, if it has so many.
    pub fn find(n: u32) -> Option<Channel> {
        let mut memory = MEMORY;
        for before in 0..n {
            memory += read32(REGISTERS + before * REGISTERS_SIZE + SIZE);
        }
        let channel = Channel {
            registers: REGISTERS + n * REGISTERS_SIZE,
            memory,
            interrupt: INTERRUPT + n,
        };
        let magic = Probe::new(snippet!(arm, "ldr r1, [r0]"))
            .r(0, channel.registers)
            .run();
        (magic.ended && magic.r(1) == MAGIC).then_some(channel)
    }

    /// Reads a register.
    pub fn get(&self, register: u32) -> u32 {
        read32(self.registers + register)
    }

    /// Writes a register.
    pub fn set(&self, register: u32, value: u32) {
        write32(self.registers + register, value);
    }

    /// Whether this end may only read the memory.
    pub fn is_read_only(&self) -> bool {
        self.get(FLAGS) & 1 != 0
    }
}
