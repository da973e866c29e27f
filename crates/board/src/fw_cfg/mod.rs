//! QEMU's firmware configuration device: named blobs that firmware and kernels read.
//!
//! The embedder adds items before the guest starts. Items are read-only to the guest. Reading goes
//! on with zeroes after an item's end, and an item that does not exist is empty.

pub mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use state::FwCfgState;

use crate::{BadAddress, GuestMemory, MmioDevice};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use spec::*;

/// Why an item cannot be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ItemError {
    /// The name is empty, longer than 55 bytes, or has a zero byte in it.
    Name(String),
    /// There is one with this name or key.
    Exists(String),
    /// It is 4 GiB or larger.
    TooLarge(String),
    /// There are as many files as there can be.
    TooMany,
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ItemError::Name(name) => {
                write!(
                    f,
                    "firmware configuration: `{name}` is not a name of 1 to 55 bytes"
                )
            }
            ItemError::Exists(name) => {
                write!(f, "firmware configuration: `{name}` is there already")
            }
            ItemError::TooLarge(name) => {
                write!(f, "firmware configuration: `{name}` is 4 GiB or larger")
            }
            ItemError::TooMany => write!(f, "firmware configuration: too many files"),
        }
    }
}

impl core::error::Error for ItemError {}

/// The firmware configuration device, with the guest memory that its DMA works on.
pub struct FwCfg<M: GuestMemory> {
    memory: M,
    items: BTreeMap<u16, Vec<u8>>,
    /// By name, as the directory is sorted.
    files: BTreeMap<String, u16>,
    state: FwCfgState,
}

impl<M: GuestMemory> FwCfg<M> {
    /// A device with the signature, the features and an empty directory.
    pub fn new(memory: M) -> Self {
        let features = FEATURE_TRADITIONAL | FEATURE_DMA;
        let mut device = FwCfg {
            memory,
            items: BTreeMap::new(),
            files: BTreeMap::new(),
            state: FwCfgState::default(),
        };
        device.items.insert(KEY_SIGNATURE, b"QEMU".to_vec());
        device.items.insert(KEY_ID, features.to_le_bytes().to_vec());
        device.write_directory();
        device
    }

    /// Adds an item by its key, for those that have fixed keys: 0x02 to 0x18, or with bit 15 set.
    pub fn add_item(&mut self, key: u16, contents: Vec<u8>) -> Result<(), ItemError> {
        let name = || alloc::format!("{key:#06x}");
        if key & !KEY_MASK != 0 || (KEY_FILE_DIR..0x8000).contains(&key) {
            return Err(ItemError::Name(name()));
        }
        if self.items.contains_key(&key) {
            return Err(ItemError::Exists(name()));
        }
        if u32::try_from(contents.len()).is_err() {
            return Err(ItemError::TooLarge(name()));
        }
        self.items.insert(key, contents);
        Ok(())
    }

    /// Adds a file, for instance `opt/org.example/settings`; returns its key.
    pub fn add_file(&mut self, name: &str, contents: Vec<u8>) -> Result<u16, ItemError> {
        if name.is_empty() || name.len() >= FILE_NAME_SIZE || name.contains('\0') {
            return Err(ItemError::Name(name.into()));
        }
        if self.files.contains_key(name) {
            return Err(ItemError::Exists(name.into()));
        }
        if u32::try_from(contents.len()).is_err() {
            return Err(ItemError::TooLarge(name.into()));
        }
        if self.files.len() >= MAX_FILES {
            return Err(ItemError::TooMany);
        }
        let key = KEY_FILE_FIRST + self.files.len() as u16;
        self.items.insert(key, contents);
        self.files.insert(name.into(), key);
        self.write_directory();
        Ok(key)
    }

    /// Exports the state; the items are not part of it.
    pub fn save(&self) -> FwCfgState {
        self.state
    }

    /// Takes over a saved state.
    pub fn restore(&mut self, state: &FwCfgState) {
        self.state = *state;
        self.state.key &= KEY_MASK;
    }

    fn write_directory(&mut self) {
        let mut directory = Vec::new();
        directory.extend((self.files.len() as u32).to_be_bytes());
        for (name, &key) in &self.files {
            let size = self.items.get(&key).map_or(0, Vec::len) as u32;
            directory.extend(size.to_be_bytes());
            directory.extend(key.to_be_bytes());
            directory.extend([0; 2]);
            let mut field = [0; FILE_NAME_SIZE];
            for (byte, &character) in field.iter_mut().zip(name.as_bytes()) {
                *byte = character;
            }
            directory.extend(field);
        }
        self.items.insert(KEY_FILE_DIR, directory);
    }

    fn select(&mut self, key: u16) {
        self.state.key = key & KEY_MASK;
        self.state.position = 0;
    }

    /// What is left of the selected item.
    fn rest(&self) -> &[u8] {
        self.items
            .get(&self.state.key)
            .and_then(|item| item.get(self.state.position as usize..))
            .unwrap_or(&[])
    }

    /// Goes on in the selected item, to its end at most.
    fn advance(&mut self, bytes: u32) {
        let left = self.rest().len() as u32;
        self.state.position = self.state.position.saturating_add(bytes.min(left));
    }

    /// Carries out the transfer that the structure at `addr` describes, and writes the result there.
    fn transfer(&mut self, addr: u64) {
        let mut descriptor = [0; DMA_DESCRIPTOR_SIZE];
        // If even the structure is not in memory, there is no place for an error either.
        if self.memory.read(addr, &mut descriptor).is_err() {
            return;
        }
        let descriptor = u128::from_be_bytes(descriptor);
        let control = (descriptor >> 96) as u32;
        let length = (descriptor >> 64) as u32;
        let failed = self.run(control, length, descriptor as u64).is_err();
        let result = if failed { DMA_ERROR } else { 0 };
        // The structure was readable, so this fails only if its memory is read-only.
        let _ = self.memory.write(addr, &result.to_be_bytes());
    }

    fn run(&mut self, control: u32, length: u32, addr: u64) -> Result<(), BadAddress> {
        if control & DMA_SELECT != 0 {
            self.select((control >> 16) as u16);
        }
        if control & DMA_READ != 0 {
            self.dma_read(length, addr)?;
        } else if control & DMA_WRITE != 0 {
            // No item can be written.
            return Err(BadAddress {
                addr,
                len: u64::from(length),
            });
        } else if control & DMA_SKIP != 0 {
            self.advance(length);
        }
        Ok(())
    }

    fn dma_read(&mut self, length: u32, addr: u64) -> Result<(), BadAddress> {
        let contents = self.rest();
        let contents = contents.get(..length as usize).unwrap_or(contents);
        self.memory.write(addr, contents)?;
        let mut done = contents.len() as u64;
        self.advance(done as u32);
        while done < u64::from(length) {
            const ZEROES: [u8; 4096] = [0; 4096];
            let piece = (u64::from(length) - done).min(ZEROES.len() as u64);
            let outside = BadAddress { addr, len: piece };
            let at = addr.checked_add(done).ok_or(outside)?;
            self.memory.write(at, &ZEROES[..piece as usize])?;
            done += piece;
        }
        Ok(())
    }
}

impl<M: GuestMemory> MmioDevice for FwCfg<M> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        let size = usize::from(size).min(8);
        let mut bytes = [0; 8];
        match offset {
            // The item's bytes keep their order in memory, whatever the width of the access.
            DATA..DATA_END => {
                for (byte, &item) in bytes.iter_mut().zip(self.rest().iter().take(size)) {
                    *byte = item;
                }
                self.advance(size as u32);
            }
            DMA.. => {
                let signature = usize::try_from(offset - DMA)
                    .ok()
                    .and_then(|at| DMA_SIGNATURE.get(at..))
                    .unwrap_or(&[]);
                for (byte, &signature) in bytes.iter_mut().zip(signature.iter().take(size)) {
                    *byte = signature;
                }
            }
            _ => {}
        }
        u64::from_le_bytes(bytes)
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        match (offset, size) {
            (SELECTOR, 2) => self.select((value as u16).swap_bytes()),
            (DMA, 4) => self.state.dma_high = (value as u32).swap_bytes(),
            (DMA_LOW, 4) => {
                let low = (value as u32).swap_bytes();
                let high = core::mem::take(&mut self.state.dma_high);
                self.transfer(u64::from(high) << 32 | u64::from(low));
            }
            (DMA, 8) => {
                self.state.dma_high = 0;
                self.transfer(value.swap_bytes());
            }
            _ => {}
        }
    }

    /// Back to the state after power-on; the items stay.
    fn reset(&mut self) {
        self.state = FwCfgState::default();
    }
}
