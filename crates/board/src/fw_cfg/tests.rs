use super::*;
use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::{AtomicU8, Ordering::SeqCst};
use proptest::prelude::*;

/// 64 KiB of guest memory at 0x1000.
#[derive(Clone)]
struct Memory(Arc<Vec<AtomicU8>>);

const BASE: u64 = 0x1000;
const SIZE: usize = 0x1_0000;

impl Memory {
    fn new() -> Self {
        Memory(Arc::new((0..SIZE).map(|_| AtomicU8::new(0xee)).collect()))
    }
    fn range(&self, addr: u64, len: usize) -> Result<&[AtomicU8], BadAddress> {
        addr.checked_sub(BASE)
            .and_then(|start| {
                self.0
                    .get(start as usize..(start as usize).checked_add(len)?)
            })
            .ok_or(BadAddress {
                addr,
                len: len as u64,
            })
    }
}

impl GuestMemory for Memory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), BadAddress> {
        let range = self.range(addr, buf.len())?;
        for (byte, held) in buf.iter_mut().zip(range) {
            *byte = held.load(SeqCst);
        }
        Ok(())
    }
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), BadAddress> {
        for (held, byte) in self.range(addr, buf.len())?.iter().zip(buf) {
            held.store(*byte, SeqCst);
        }
        Ok(())
    }
    fn read_u16_acquire(&self, addr: u64) -> Result<u16, BadAddress> {
        let mut bytes = [0; 2];
        self.read(addr, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }
    fn write_u16_release(&self, addr: u64, value: u16) -> Result<(), BadAddress> {
        self.write(addr, &value.to_le_bytes())
    }
}

fn device() -> (FwCfg<Memory>, Memory) {
    let memory = Memory::new();
    (FwCfg::new(memory.clone()), memory)
}

fn read_item(device: &mut FwCfg<Memory>, key: u16, len: usize) -> Vec<u8> {
    device.write(SELECTOR, 2, u64::from(key.swap_bytes()));
    (0..len).map(|_| device.read(DATA, 1) as u8).collect()
}

/// Describes a transfer at 0x1000, starts it, and returns the control word afterwards.
fn transfer(device: &mut FwCfg<Memory>, memory: &Memory, control: u32, len: u32, addr: u64) -> u32 {
    let fields = u128::from(control) << 96 | u128::from(len) << 64 | u128::from(addr);
    memory.write(BASE, &fields.to_be_bytes()).unwrap();
    device.write(DMA, 8, BASE.swap_bytes());
    let mut control = [0; 4];
    memory.read(BASE, &mut control).unwrap();
    u32::from_be_bytes(control)
}

#[test]
fn tells_what_it_is() {
    let (mut device, _) = device();
    assert_eq!(read_item(&mut device, KEY_SIGNATURE, 6), b"QEMU\0\0");
    assert_eq!(read_item(&mut device, KEY_ID, 4), [3, 0, 0, 0]);
    assert_eq!(device.read(DMA, 4), 0x554d_4551);
    assert_eq!(device.read(DMA_LOW, 4), 0x4746_4320);
    assert_eq!(device.read(DMA, 8), 0x4746_4320_554d_4551);
    assert_eq!(device.read(SELECTOR, 2), 0);
}

#[test]
fn wide_reads_keep_the_byte_order() {
    let (mut device, _) = device();
    device.write(SELECTOR, 2, 0);
    assert_eq!(device.read(DATA, 2), 0x4551);
    assert_eq!(device.read(DATA, 4), 0x554d);
}

#[test]
fn lists_its_files_by_name() {
    let (mut device, _) = device();
    device.add_file("opt/b", vec![1, 2, 3]).unwrap();
    let key = device.add_file("etc/a", vec![9; 300]).unwrap();
    let directory = read_item(&mut device, KEY_FILE_DIR, 4 + 2 * 64);
    assert_eq!(directory[..4], [0, 0, 0, 2]);
    assert_eq!(directory[4..12], [0, 0, 1, 44, 0, 0x21, 0, 0]);
    assert_eq!(&directory[12..18], b"etc/a\0");
    assert_eq!(directory[68..76], [0, 0, 0, 3, 0, 0x20, 0, 0]);
    assert_eq!(read_item(&mut device, key, 301)[299..], [9, 0]);
    assert_eq!(read_item(&mut device, 0x20, 4), [1, 2, 3, 0]);
}

#[test]
fn refuses_bad_items() {
    let (mut device, _) = device();
    device.add_file("a", vec![]).unwrap();
    device.add_item(5, vec![2, 0]).unwrap();
    assert_eq!(read_item(&mut device, 5, 2), [2, 0]);
    let long = "x".repeat(56);
    for name in ["", "a\0b", &long] {
        assert_eq!(
            device.add_file(name, vec![]),
            Err(ItemError::Name(name.into()))
        );
    }
    assert_eq!(
        device.add_file("a", vec![]),
        Err(ItemError::Exists("a".into()))
    );
    for key in [KEY_SIGNATURE, KEY_FILE_DIR, 0x20, 0x4005] {
        assert!(device.add_item(key, vec![]).is_err(), "{key:#x}");
    }
}

#[test]
fn transfers_by_dma() {
    let (mut device, memory) = device();
    let key = device.add_file("f", (0..100).collect()).unwrap();
    let select = u32::from(key) << 16 | DMA_SELECT;
    assert_eq!(transfer(&mut device, &memory, select | DMA_SKIP, 10, 0), 0);
    assert_eq!(transfer(&mut device, &memory, DMA_READ, 5, BASE + 0x100), 0);
    let mut got = [0; 6];
    memory.read(BASE + 0x100, &mut got).unwrap();
    assert_eq!(got, [10, 11, 12, 13, 14, 0xee]);
    assert_eq!(device.read(DATA, 1), 15);
    let all = transfer(&mut device, &memory, select | DMA_READ, 5000, BASE + 0x200);
    assert_eq!(all, 0);
    let mut got = [0; 5001];
    memory.read(BASE + 0x200, &mut got).unwrap();
    assert_eq!(got[99..101], [99, 0]);
    assert_eq!(got[4999..], [0, 0xee]);
}

#[test]
fn failed_transfers_are_reported() {
    let (mut device, memory) = device();
    for addr in [0, BASE + SIZE as u64 - 3, u64::MAX] {
        assert_eq!(
            transfer(&mut device, &memory, DMA_SELECT | DMA_READ, 4, addr),
            DMA_ERROR
        );
    }
    let huge = transfer(&mut device, &memory, DMA_READ, u32::MAX, BASE + 16);
    assert_eq!(huge, DMA_ERROR);
    let write = transfer(&mut device, &memory, DMA_WRITE, 4, BASE + 0x100);
    assert_eq!(write, DMA_ERROR);
    // In two halves, and to where there is no memory.
    device.write(DMA, 4, u64::from(1u32.swap_bytes()));
    device.write(DMA_LOW, 4, u64::from((BASE as u32).swap_bytes()));
}

proptest! {
    #[test]
    fn survives_any_access_and_roundtrips(ops in crate::test_support::accesses(0x20)) {
        let (mut device, memory) = device();
        device.add_file("f", vec![1; 77]).unwrap();
        for op in &ops {
            op.apply(&mut device);
            if op.value & 1 != 0 {
                let key = (op.value >> 32 & 0x3f) as u32;
                transfer(&mut device, &memory, op.value as u32 & 0x1f | key << 16, 100, BASE + op.offset % 0x200);
            }
        }
        let saved = device.save();
        let mut other = FwCfg::new(Memory::new());
        other.add_file("f", vec![1; 77]).unwrap();
        other.restore(&saved);
        prop_assert_eq!(other.save(), saved);
        prop_assert_eq!(other.read(DATA, 8), device.read(DATA, 8));
        device.reset();
        prop_assert_eq!(device.save(), FwCfgState::default());
    }
}
