//! The machine as vCPUs see it: memory and devices at their physical addresses.

use crate::clock::VmClock;
use crate::irq::Interrupts;
use crate::memory::{GuestRam, Memory};
use crate::standstill::Standstill;
use crate::stats::DeviceStats;
use skep_board::{MmioDevice, map};
use skep_interp::code::CodeMap;
use skep_interp::{BusError, Counters, Direct, Machine};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A device on the bus.
pub type SharedDevice = Arc<Mutex<dyn MmioDevice>>;

/// Locks a device. A panic in another thread does not make it unusable: its state is only data.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Region {
    range: map::Range,
    device: SharedDevice,
    accesses: Accesses,
}

/// A device's name, and how often the guest accessed it.
struct Accesses {
    name: String,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl Accesses {
    fn new(name: &str) -> Self {
        Accesses {
            name: name.to_owned(),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        }
    }

    fn read(&self) {
        self.reads.fetch_add(1, Relaxed);
    }

    fn written(&self) {
        self.writes.fetch_add(1, Relaxed);
    }

    fn stats(&self, address: u64) -> DeviceStats {
        DeviceStats {
            name: self.name.clone(),
            address,
            reads: self.reads.load(Relaxed),
            writes: self.writes.load(Relaxed),
        }
    }
}

/// The bus: everything at a physical address.
pub struct Bus {
    ram: Arc<GuestRam>,
    interrupts: Arc<Interrupts>,
    clock: VmClock,
    standstill: Arc<Standstill>,
    /// Sorted by address, without overlap.
    regions: Vec<Region>,
    distributor: Accesses,
    cpu_interface: Accesses,
    at_end: Vec<Box<dyn Fn() + Send + Sync>>,
}

impl Bus {
    /// A bus with memory, the interrupt controller, and no other device.
    pub fn new(ram: Arc<GuestRam>, interrupts: Arc<Interrupts>, clock: VmClock) -> Self {
        Bus {
            ram,
            interrupts,
            clock,
            standstill: Arc::default(),
            regions: Vec::new(),
            distributor: Accesses::new("gic distributor"),
            cpu_interface: Accesses::new("gic cpu interface"),
            at_end: Vec::new(),
        }
    }

    /// Attaches a device. The board's map gives every device a range of its own. The name
    /// is for people.
    pub fn attach(&mut self, name: &str, range: map::Range, device: SharedDevice) {
        let at = self
            .regions
            .partition_point(|region| region.range.base < range.base);
        let region = Region {
            range,
            device,
            accesses: Accesses::new(name),
        };
        self.regions.insert(at, region);
    }

    /// Has something done each time that the VM stops running, for good or not: handles may keep the
    /// bus for as long as the process lives.
    pub fn at_end(&mut self, act: impl Fn() + Send + Sync + 'static) {
        self.at_end.push(Box::new(act));
    }

    /// The VM has stopped running.
    pub fn ended(&self) {
        for act in &self.at_end {
            act();
        }
    }

    /// The interrupt controller.
    pub fn interrupts(&self) -> &Arc<Interrupts> {
        &self.interrupts
    }

    /// Memory.
    pub fn ram(&self) -> &Arc<GuestRam> {
        &self.ram
    }

    /// The VM's time.
    pub fn clock(&self) -> &VmClock {
        &self.clock
    }

    /// The host's wish that the VM stand still.
    pub fn standstill(&self) -> &Arc<Standstill> {
        &self.standstill
    }

    /// Every device, in order of address.
    pub fn devices(&self) -> impl Iterator<Item = &SharedDevice> {
        self.regions.iter().map(|region| &region.device)
    }

    /// Every device that was accessed, in order of address.
    pub fn stats(&self) -> Vec<DeviceStats> {
        let regions = self.regions.iter();
        let mut stats: Vec<DeviceStats> = regions
            .map(|region| region.accesses.stats(region.range.base))
            .collect();
        stats.push(self.distributor.stats(map::GIC_DIST.base));
        stats.push(self.cpu_interface.stats(map::GIC_CPU.base));
        stats.retain(|device| device.reads + device.writes > 0);
        stats.sort_by_key(|device| device.address);
        // Of the same name are transports without a device.
        stats.dedup_by(|next, device| {
            let same = next.name == device.name;
            if same {
                device.reads += next.reads;
                device.writes += next.writes;
            }
            same
        });
        stats
    }

    /// The device that answers an access, and the offset in its range.
    fn find(&self, pa: u64, size: u8) -> Result<(&Region, u64), BusError> {
        let after = self
            .regions
            .partition_point(|region| region.range.base <= pa);
        let region = after
            .checked_sub(1)
            .and_then(|at| self.regions.get(at))
            .ok_or(BusError)?;
        let offset = pa - region.range.base;
        if offset + u64::from(size) > region.range.size {
            return Err(BusError);
        }
        Ok((region, offset))
    }
}

/// The part of the interrupt controller that an address selects.
enum GicPart {
    Distributor(u64),
    CpuInterface(u64),
}

fn gic_part(pa: u64) -> Option<GicPart> {
    let within = |range: map::Range| {
        pa.checked_sub(range.base)
            .filter(|offset| *offset < range.size)
    };
    if let Some(offset) = within(map::GIC_CPU) {
        Some(GicPart::CpuInterface(offset))
    } else {
        within(map::GIC_DIST).map(GicPart::Distributor)
    }
}

impl Machine for Bus {
    type Memory = Memory;

    #[inline(always)]
    fn memory(&self) -> &Memory {
        &self.ram.memory
    }

    #[inline(always)]
    fn code(&self) -> &CodeMap {
        &self.ram.code
    }

    #[inline]
    fn direct(&self, pa: u64) -> Option<Direct> {
        if pa >= map::RAM_BASE {
            self.ram.direct_ram(pa)
        } else {
            self.ram.direct_flash(pa)
        }
    }

    #[inline]
    fn physical(&self, offset: usize) -> u64 {
        GuestRam::physical(offset)
    }

    fn mmio_read(&self, vcpu: usize, pa: u64, size: u8) -> Result<u64, BusError> {
        match gic_part(pa) {
            Some(GicPart::CpuInterface(at)) => {
                self.cpu_interface.read();
                Ok(self.interrupts.with(|gic| gic.cpu_read(vcpu, at, size)))
            }
            Some(GicPart::Distributor(at)) => {
                self.distributor.read();
                Ok(self.interrupts.with(|gic| gic.dist_read(vcpu, at, size)))
            }
            None => {
                let (region, offset) = self.find(pa, size)?;
                region.accesses.read();
                Ok(lock(&region.device).read(offset, size))
            }
        }
    }

    fn mmio_write(&self, vcpu: usize, pa: u64, size: u8, value: u64) -> Result<(), BusError> {
        match gic_part(pa) {
            Some(GicPart::CpuInterface(at)) => {
                self.cpu_interface.written();
                self.interrupts
                    .with(|gic| gic.cpu_write(vcpu, at, size, value));
            }
            Some(GicPart::Distributor(at)) => {
                self.distributor.written();
                self.interrupts
                    .with(|gic| gic.dist_write(vcpu, at, size, value));
            }
            None => {
                let (region, offset) = self.find(pa, size)?;
                region.accesses.written();
                lock(&region.device).write(offset, size, value);
            }
        }
        Ok(())
    }

    fn yield_host(&self) {
        std::thread::yield_now();
    }

    fn counters(&self) -> Counters {
        let physical = self.clock.count();
        // The cycle counter runs at 1 GHz, as QEMU's does.
        Counters {
            physical,
            cycles: physical.wrapping_mul(16),
        }
    }
}
