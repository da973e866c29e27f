//! A flash bank on the memory that holds its contents.

use crate::memory::GuestRam;
use skep_board::flash::{Flash, FlashAction, FlashArray};
use skep_board::{MmioDevice, map};
use skep_interp::Cluster;
use std::sync::Arc;

/// The part of memory that is the bank's array. What the guest programs lasts as long as the VM.
struct Array {
    ram: Arc<GuestRam>,
    base: u64,
}

impl FlashArray for Array {
    fn len(&self) -> u64 {
        map::FLASH_BANK
    }

    fn read(&self, offset: u64, buf: &mut [u8]) {
        self.ram.read_flash(self.base + offset, buf);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> bool {
        self.ram.write_flash(self.base + offset, data)
    }
}

/// A bank at its place in the map.
pub(crate) struct Bank {
    flash: Flash<Array>,
    index: usize,
    ram: Arc<GuestRam>,
    cluster: Arc<Cluster>,
}

impl Bank {
    /// Bank 0 or 1.
    pub fn new(index: usize, ram: Arc<GuestRam>, cluster: Arc<Cluster>) -> Self {
        let array = Array {
            ram: ram.clone(),
            base: index as u64 * map::FLASH_BANK,
        };
        Bank {
            flash: Flash::new(array),
            index,
            ram,
            cluster,
        }
    }

    /// Its addresses.
    pub fn range(&self) -> map::Range {
        map::Range {
            base: self.index as u64 * map::FLASH_BANK,
            size: map::FLASH_BANK,
        }
    }

    /// Tells memory and vCPUs whether loads may bypass the device.
    fn set_mapped(&self, mapped: bool) {
        self.ram.set_flash_mapped(self.index, mapped);
        for control in self.cluster.controls() {
            control.flush_mappings();
        }
    }
}

impl MmioDevice for Bank {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        self.flash.read(offset, size)
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        match self.flash.write_command(offset, size, value) {
            FlashAction::None => {}
            FlashAction::MapArray => self.set_mapped(true),
            FlashAction::UnmapArray => self.set_mapped(false),
        }
    }

    fn reset(&mut self) {
        self.flash.reset();
        self.set_mapped(true);
    }
}
