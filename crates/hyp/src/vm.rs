//! A virtual machine: its memory, its devices, and the power states of its vCPUs.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use skep_board::gic::Gic;
use skep_board::map;
use skep_board::pl011::{ConsoleOut, Pl011};
use skep_board::psci::PowerState;
use skep_board::{IrqLine, MmioDevice};
use skep_bundle::{Bundle, Vm as Description};
use skep_hyp::platform::{Platform, Range};
use skep_hyp::ram::Ram;
use skep_hyp::tables::{Attributes, BLOCK_2, PAGE, Tables};
use spin::Mutex;

use crate::hw::guest_ram::GuestRam;
use crate::hw::{cp15, gic};
use crate::log;
use crate::{cores, mux};

/// A vCPU's power, with what it starts with.
#[derive(Clone, Copy, Debug)]
pub enum Power {
    /// Off, until CPU_ON.
    Off,
    /// To be started, from reset state.
    Starting(Start),
    /// On.
    On,
}

/// Where a vCPU starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The first instruction.
    pub entry: u32,
    /// In T32.
    pub thumb: bool,
    /// r0 to r2.
    pub registers: [u32; 3],
}

/// What becomes of a VM once its vCPUs have stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It stays off.
    Off,
    /// It starts again from its kernel.
    Reset,
}

struct UartLine(Arc<AtomicBool>);

impl IrqLine for UartLine {
    fn set(&self, level: bool) {
        self.0.store(level, Ordering::Relaxed);
    }
}

/// The guest's side of the console.
struct Output {
    vm: usize,
}

impl ConsoleOut for Output {
    fn put(&mut self, byte: u8) {
        mux::put(self.vm, byte);
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
    pub gic: Mutex<Gic>,
    /// The physical counter when the guest started: its virtual counter's zero.
    epoch: AtomicU64,
    power: Mutex<Vec<Power>>,
    /// Set while the vCPUs are to stop.
    stopping: AtomicBool,
    ending: Mutex<Option<End>>,
    uart: Mutex<Pl011<UartLine, Output>>,
    uart_line: Arc<AtomicBool>,
    stage2: Tables,
    description: Description,
    bundle: Arc<Bundle<'static>>,
    /// Exits by reason are counted by vCPUs; here are the faults that stopped it.
    pub faults: AtomicU32,
}

/// Why a VM can't be made, as a sentence.
type Reason = String;

/// Offset of GICV's second page, with GICV_DIR.
const GICV_SIZE: u64 = 2 * PAGE;

impl Vm {
    /// Makes a VM as described, with memory from `ram`, and loads it.
    pub fn new(
        index: usize,
        description: &Description,
        bundle: &Arc<Bundle<'static>>,
        platform: &Platform,
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
                .map_err(|error| format!("its memory can't be mapped: {error:?}"))?;
        }
        let uart_line = Arc::new(AtomicBool::new(false));
        let vm = Vm {
            index,
            name: description.name.clone(),
            cores: description.cores.iter().map(|&core| core.into()).collect(),
            // SAFETY: the memory was just allocated, for good, from what Hyp mode maps.
            ram: unsafe { GuestRam::new(map::RAM_BASE as u32, memory) },
            gic: Mutex::new(Gic::new(cpus)),
            epoch: AtomicU64::new(0),
            power: Mutex::new(alloc::vec![Power::Off; cpus]),
            stopping: AtomicBool::new(false),
            ending: Mutex::new(None),
            uart: Mutex::new(Pl011::new(
                UartLine(uart_line.clone()),
                Output { vm: index },
            )),
            uart_line,
            stage2,
            description: description.clone(),
            bundle: bundle.clone(),
            faults: AtomicU32::new(0),
        };
        vm.start()?;
        Ok(vm)
    }

    /// Loads the guest into scrubbed memory, and lets the first vCPU start.
    fn start(&self) -> Result<(), Reason> {
        use alloc::format;
        self.ram.scrub();
        for placed in &self.description.files {
            self.ram
                .load(placed.address, self.bundle.file(placed.file))
                .map_err(|_| format!("a file at {:#x} is outside its memory", placed.address))?;
        }
        self.ram.clean();
        *self.gic.lock() = Gic::new(self.cores.len());
        self.uart.lock().reset();
        self.stopping.store(false, Ordering::Release);
        self.epoch.store(cp15::cntpct::read(), Ordering::Relaxed);
        let entry = self.description.entry;
        self.power.lock()[0] = Power::Starting(Start {
            entry: entry.pc,
            thumb: entry.thumb,
            registers: entry.registers,
        });
        Ok(())
    }

    /// Physical minus virtual counter.
    pub fn counter_offset(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// The physical address of the stage-2 tables, and the VMID.
    pub fn stage2(&self) -> (u64, u8) {
        (self.stage2.root(), self.index as u8 + 1)
    }

    /// A guest's load from a device: the value, or `None` if there is no device.
    pub fn mmio_read(&self, vcpu: usize, ipa: u32, size: u8) -> Option<u64> {
        let address = u64::from(ipa);
        if let Some(offset) = within(map::GIC_DIST, address) {
            return Some(self.gic.lock().dist_read(vcpu, offset, size));
        }
        let offset = within(map::UART, address)?;
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
            return false;
        };
        let mut uart = self.uart.lock();
        uart.write(offset, size, value);
        self.drive_uart();
        true
    }

    /// Input for the serial port; returns how many bytes it took.
    pub fn console_input(&self, bytes: &[u8]) -> usize {
        let mut uart = self.uart.lock();
        let taken = uart.receive(bytes);
        self.drive_uart();
        taken
    }

    /// Brings the UART's line to the distributor; its lock is held.
    fn drive_uart(&self) {
        let level = self.uart_line.load(Ordering::Relaxed);
        self.gic.lock().set_spi(map::SPI_UART, level);
    }

    /// Wakes the cores of vCPUs whose interrupts are to be looked at, but for `own`.
    pub fn kick_waiting(&self, own: Option<usize>) {
        let waiting = self.gic.lock().concerned();
        for (vcpu, &core) in self.cores.iter().enumerate() {
            if Some(vcpu) != own && waiting >> vcpu & 1 != 0 {
                cores::kick(core);
            }
        }
    }

    /// The power states, as PSCI wants them.
    pub fn power_states(&self) -> ([PowerState; map::MAX_CPUS], usize) {
        let power = self.power.lock();
        let mut states = [PowerState::Off; map::MAX_CPUS];
        for (state, power) in states.iter_mut().zip(power.iter()) {
            *state = match power {
                Power::Off => PowerState::Off,
                Power::Starting(_) => PowerState::OnPending,
                Power::On => PowerState::On,
            };
        }
        (states, power.len())
    }

    /// Lets a vCPU start, if it is off.
    pub fn cpu_on(&self, vcpu: usize, start: Start) {
        if let Some(power @ Power::Off) = self.power.lock().get_mut(vcpu) {
            *power = Power::Starting(start);
        }
        if let Some(&core) = self.cores.get(vcpu) {
            cores::kick(core);
        }
    }

    /// What a vCPU that is to start starts with; it is on from now.
    pub fn take_start(&self, vcpu: usize) -> Option<Start> {
        let mut power = self.power.lock();
        let slot = power.get_mut(vcpu)?;
        let Power::Starting(start) = *slot else {
            return None;
        };
        if self.is_stopping() {
            *slot = Power::Off;
            return None;
        }
        *slot = Power::On;
        Some(start)
    }

    /// A vCPU has stopped. The last one of a VM that ends ends it.
    pub fn stopped(&self, vcpu: usize) {
        let all_off = {
            let mut power = self.power.lock();
            if let Some(slot) = power.get_mut(vcpu) {
                *slot = Power::Off;
            }
            if self.is_stopping() {
                for slot in power.iter_mut() {
                    if matches!(slot, Power::Starting(_)) {
                        *slot = Power::Off;
                    }
                }
            }
            power.iter().all(|power| matches!(power, Power::Off))
        };
        if !all_off {
            return;
        }
        let end = self.ending.lock().take();
        if end == Some(End::Reset) {
            log!("{}: starts again", self.name);
            match self.start() {
                Ok(()) => {
                    cores::kick(self.cores[0]);
                    return;
                }
                Err(reason) => log!("{}: {reason}", self.name),
            }
        }
        log!("{}: off", self.name);
        cores::vm_ended();
    }

    /// Stops all vCPUs, each at its next exit.
    pub fn stop(&self, end: End) {
        self.ending.lock().get_or_insert(end);
        self.stopping.store(true, Ordering::Release);
        for &core in &self.cores {
            cores::kick(core);
        }
    }

    /// Whether the vCPUs are to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

fn within(range: map::Range, address: u64) -> Option<u64> {
    address
        .checked_sub(range.base)
        .filter(|&offset| offset < range.size)
}

/// What all VMs have in common: the timer's interrupts come to the cores.
pub fn init_core(platform: &Platform) {
    gic::enable(platform.timer.virt, 0);
    gic::enable(platform.gic.maintenance, 0);
    gic::enable(cores::KICK, 0);
    cp15::drop_guest_translations();
}
