//! A virtual machine: its memory and its devices. [`life`] has the power states of its vCPUs.

mod life;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use skep_board::MmioDevice;
use skep_board::gic::Gic;
use skep_board::map;
use skep_board::pl011::{ConsoleOut, Pl011};
use skep_bundle::{Bundle, Share, Vm as Description, Wire};
use skep_hyp::passed;
use skep_hyp::platform::{Platform, Range};
use skep_hyp::ram::Ram;
use skep_hyp::tables::{Attributes, BLOCK_2, PAGE, Tables};
use spin::Mutex;

use crate::devices::{BoardDisks, Budget, Devices, Line, Shared};
use crate::hw::guest_ram::GuestRam;
use crate::hw::{cp15, gic};
use crate::vcpu::Exits;
use crate::{cores, mux};

pub use life::{End, Fault, Preparation, Start, signal};
use life::{Life, Power};

/// The guest's side of the console.
pub struct Output {
    vm: usize,
    budget: Budget,
}

impl Output {
    /// Output of a VM, which counts against a budget.
    pub fn new(vm: usize, budget: Budget) -> Self {
        Output { vm, budget }
    }
}

impl ConsoleOut for Output {
    fn put(&mut self, byte: u8) {
        self.budget.character();
        mux::put(self.vm, byte);
    }

    fn put_off(&mut self) -> bool {
        self.budget.request()
    }
}

/// A virtual machine.
pub struct Vm {
    /// Its place in the list of VMs.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The core of each vCPU.
    pub cores: Vec<usize>,
    /// Guest memory.
    pub ram: GuestRam,
    /// The distributor.
    pub gic: Mutex<Box<Gic>>,
    /// The physical counter when the guest started: its virtual counter's zero.
    epoch: AtomicU64,
    power: Mutex<Vec<Power>>,
    /// What others want of the vCPUs, see [`signal`].
    signals: AtomicU32,
    /// vCPUs whose cores were kicked because of their interrupts, and that have not looked since, a bit
    /// each.
    kicked: AtomicU8,
    /// Locked after `power`, if both are.
    life: Mutex<Life>,
    uart: Mutex<Pl011<Line, Output>>,
    uart_line: Line,
    devices: Devices,
    /// Interrupts of the board that are its own.
    pub wires: Vec<Wire>,
    stage2: Tables,
    description: &'static Description,
    bundle: &'static Bundle<'static>,
    /// Exits of each vCPU.
    pub exits: Vec<Exits>,
}

/// Why a VM can't be made, as a sentence.
type Reason = String;

/// Offset of GICV's second page, with GICV_DIR.
const GICV_SIZE: u64 = 2 * PAGE;

impl Vm {
    /// Makes a VM as described, with memory from `ram`, that is to start unless it is to wait.
    #[inline(never)]
    pub fn new(
        index: usize,
        description: &'static Description,
        bundle: &'static Bundle<'static>,
        platform: &Platform,
        (channels, disks): (&[Shared], &BoardDisks),
        ram: &mut Ram,
        table_offset: usize,
    ) -> Result<Self, Reason> {
        use alloc::format;
        let size = u64::from(description.memory_mib) << 20;
        let cpus = description.cores.len();
        if cpus == 0 || cpus > map::MAX_CPUS {
            return Err(format!("{cpus} vCPUs; 1 to {} are possible", map::MAX_CPUS));
        }
        if let Some(core) = description
            .cores
            .iter()
            .find(|&&core| usize::from(core) >= platform.cpus.len())
        {
            return Err(format!(
                "a vCPU is on core {core}, and the board has {} cores",
                platform.cpus.len()
            ));
        }
        let free = ram.available() >> 20;
        let memory = Some(size)
            .filter(|&size| size > 0 && size <= (1 << 32) - map::RAM_BASE)
            .and_then(|size| ram.allocate(size, BLOCK_2))
            .ok_or_else(|| {
                format!(
                    "there is no room for {} MiB of memory; {free} MiB are free",
                    description.memory_mib
                )
            })?;
        let mut stage2 = Tables::new(table_offset);
        let gicv = Range {
            base: platform.gic.virtual_interface.base,
            size: GICV_SIZE,
        };
        for (ipa, range, attributes) in [
            (map::RAM_BASE, memory, Attributes::S2_MEMORY),
            (map::GIC_CPU.base, gicv, Attributes::S2_DEVICE),
        ] {
            stage2
                .map(ipa, range.base, range.size, attributes)
                .map_err(|error| format!("its memory can't be mapped: {error}"))?;
        }
        pass_devices(description, platform, &mut stage2)?;
        // SAFETY: the memory was just allocated, for good, from what Hyp mode maps.
        let guest = unsafe { GuestRam::new(map::RAM_BASE as u32, memory) };
        let devices = Devices::new(
            index,
            description,
            bundle,
            (channels, disks),
            &guest,
            ram,
            &mut stage2,
        )?;
        let uart_line = Line::default();
        let vm = Vm {
            index,
            name: description.name.clone(),
            cores: description.cores.iter().map(|&core| core.into()).collect(),
            ram: guest,
            gic: Mutex::new(Box::new(Gic::new(cpus))),
            epoch: AtomicU64::new(0),
            power: Mutex::new(alloc::vec![Power::Off; cpus]),
            signals: AtomicU32::new(0),
            kicked: AtomicU8::new(0),
            life: Mutex::new(Life::default()),
            uart: Mutex::new(Pl011::new(
                uart_line.clone(),
                Output::new(index, Budget::default()),
            )),
            uart_line,
            devices,
            wires: description
                .devices
                .iter()
                .flat_map(|device| device.interrupts.iter().copied())
                .collect(),
            stage2,
            description,
            bundle,
            exits: (0..cpus).map(|_| Exits::new()).collect(),
        };
        for placed in &description.files {
            let size = bundle.file(placed.file).len();
            if !vm.ram.contains(placed.address, size) {
                return Err(format!(
                    "a file of {size} bytes at {:#x} is outside its memory",
                    placed.address
                ));
            }
        }
        if !description.halted {
            vm.start();
        }
        Ok(vm)
    }

    /// A vCPU's share of its core.
    pub fn share(&self, vcpu: usize) -> Share {
        self.description.share(vcpu)
    }

    /// Physical minus virtual counter.
    pub fn counter_offset(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Its virtual counter, in milliseconds.
    pub fn time_ms(&self) -> u64 {
        let ticks = cp15::cntpct::read().wrapping_sub(self.counter_offset());
        ticks / (u64::from(cp15::cntfrq::read()) / 1000).max(1)
    }

    /// The physical address of the stage-2 tables, and the VMID.
    pub fn stage2(&self) -> (u64, u8) {
        (self.stage2.root(), self.index as u8 + 1)
    }

    /// Bytes of its stage-2 tables.
    pub fn tables_size(&self) -> usize {
        self.stage2.size()
    }

    /// A guest's load from a device: the value, or `None` if there is no device.
    pub fn mmio_read(&self, vcpu: usize, ipa: u32, size: u8) -> Option<u64> {
        let address = u64::from(ipa);
        if let Some(offset) = within(map::GIC_DIST, address) {
            return Some(self.gic.lock().dist_read(vcpu, offset, size));
        }
        let Some(offset) = within(map::UART, address) else {
            return self.devices.read(&self.gic, ipa, size);
        };
        let mut uart = self.uart.lock();
        let value = uart.read(offset, size);
        self.drive_uart();
        Some(value)
    }

    /// A guest's store to a device; false if there is no device.
    pub fn mmio_write(&self, vcpu: usize, ipa: u32, size: u8, value: u64) -> bool {
        let address = u64::from(ipa);
        if let Some(offset) = within(map::GIC_DIST, address) {
            self.gic.lock().dist_write(vcpu, offset, size, value);
            return true;
        }
        let Some(offset) = within(map::UART, address) else {
            return self.devices.write(&self.gic, ipa, size, value).is_some();
        };
        let mut uart = self.uart.lock();
        uart.write(offset, size, value);
        self.drive_uart();
        true
    }

    /// Makes an edge on an SPI's line.
    pub fn pulse_spi(&self, spi: u32) {
        {
            let mut gic = self.gic.lock();
            gic.set_spi(spi, true);
            gic.set_spi(spi, false);
        }
        self.kick_waiting();
    }

    /// An interrupt of the board that is its own has come; `own` is its vCPU that is loaded on this core.
    /// The guest ends it, through the list register that is linked to it.
    pub fn pass_interrupt(&self, spi: u32, own: Option<usize>) {
        let concerned = {
            let mut gic = self.gic.lock();
            gic.latch_spi(spi);
            gic.concerned()
        };
        self.kick(concerned & !own.map_or(0, |vcpu| 1 << vcpu));
    }

    /// Whether devices have put off requests, for [`go_on`](Self::go_on).
    pub fn is_behind(&self) -> bool {
        self.devices.is_behind()
    }

    /// Goes on with some of what devices have put off.
    pub fn go_on(&self) {
        self.devices.go_on(&self.gic);
    }

    /// Input for the console; returns how many bytes it took.
    pub fn console_input(&self, bytes: &[u8]) -> usize {
        if let Some(taken) = self.devices.console_input(&self.gic, bytes) {
            return taken;
        }
        let mut uart = self.uart.lock();
        let taken = uart.receive(bytes);
        self.drive_uart();
        taken
    }

    /// Brings the UART's line to the distributor; its lock is held.
    fn drive_uart(&self) {
        self.gic
            .lock()
            .set_spi(map::SPI_UART, self.uart_line.level());
    }

    /// Wakes the cores of vCPUs whose interrupts are to be looked at.
    pub fn kick_waiting(&self) {
        let waiting = self.gic.lock().concerned();
        self.kick(waiting);
    }

    /// Wakes the cores of some vCPUs, a bit each, but of those that are to look already: that may take
    /// until it is their turn.
    pub fn kick(&self, vcpus: u8) {
        if vcpus == 0 {
            return;
        }
        let news = vcpus & !self.kicked.fetch_or(vcpus, Ordering::AcqRel);
        for (vcpu, &core) in self.cores.iter().enumerate() {
            if news >> vcpu & 1 != 0 {
                cores::kick(core);
            }
        }
    }

    /// A vCPU is about to look at its interrupts.
    pub fn looks(&self, vcpu: usize) {
        if self.kicked.load(Ordering::Relaxed) >> vcpu & 1 != 0 {
            self.kicked.fetch_and(!(1 << vcpu), Ordering::AcqRel);
        }
    }
}

/// Gives a VM the devices of the board that are to be its own.
fn pass_devices(
    description: &Description,
    platform: &Platform,
    stage2: &mut Tables,
) -> Result<(), Reason> {
    use alloc::format;
    for device in &description.devices {
        let refuse = |reason| format!("device {}: {reason}", device.path);
        let found = passed::check(device, &description.devices, platform).map_err(refuse)?;
        for interrupt in &found.interrupts {
            gic::configure(interrupt.id, interrupt.edge);
        }
        for window in &device.windows {
            let pages = passed::pages(Range {
                base: window.physical,
                size: window.size.into(),
            });
            let offset = window.physical - pages.base;
            u64::from(window.address)
                .checked_sub(offset)
                .and_then(|ipa| {
                    let attributes = Attributes::S2_DEVICE;
                    stage2.map(ipa, pages.base, pages.size, attributes).ok()
                })
                .ok_or_else(|| refuse("its registers can't be mapped there".into()))?;
        }
    }
    Ok(())
}

fn within(range: map::Range, address: u64) -> Option<u64> {
    address
        .checked_sub(range.base)
        .filter(|&offset| offset < range.size)
}
