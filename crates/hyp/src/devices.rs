//! The devices of a VM beside its interrupt controller and its serial port: channels to other VMs and
//! virtio devices. Their models are `skep-board`'s.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use skep_board::channel::{Bells, Channel, Ringer, spec::MAX_ENDS};
use skep_board::gic::Gic;
use skep_board::virtio::block::spec::SECTOR;
use skep_board::virtio::block::{Block, BlockBackend, BlockError};
use skep_board::virtio::console::Console;
use skep_board::virtio::{QueueError, Queues, Transport, Version, VirtioDevice};
use skep_board::{IrqLine, MmioDevice, map};
use skep_bundle as bundle;
use skep_hyp::bus::Interrupt;
use skep_hyp::platform::{Platform, Range};
use skep_hyp::ram::Ram;
use skep_hyp::tables::{Attributes, PAGE, Tables};
use spin::Mutex;

use crate::cores;
use crate::hw::guest_ram::GuestRam;
use crate::hw::{disk, memory};
use crate::log;
use crate::vm::Output;

/// Why a device can't be made, as a sentence.
type Reason = String;

/// The interrupt line of a device: brought to the distributor after each access.
#[derive(Clone, Default)]
pub struct Line(Arc<AtomicBool>);

impl Line {
    /// Whether it is raised.
    pub fn level(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl IrqLine for Line {
    fn set(&self, level: bool) {
        self.0.store(level, Ordering::Relaxed);
    }
}

/// How much work devices do for a VM before its core looks at interrupts again, in bytes moved.
const SLICE: u32 = 1 << 20;
/// What a request costs at least, in bytes.
const REQUEST: u32 = 1 << 10;
/// What a character of output costs, in bytes: serial ports are slow.
const CHARACTER: u32 = 1 << 10;

/// What a VM's virtio devices have done since the last look.
#[derive(Clone, Default)]
pub struct Budget(Arc<(AtomicU32, AtomicBool)>);

impl Budget {
    fn spend(&self, bytes: u32) {
        self.0.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a character of output.
    pub fn character(&self) {
        self.spend(CHARACTER);
    }

    /// Whether a further request is to wait.
    pub fn request(&self) -> bool {
        let spent = self.0.0.fetch_add(REQUEST, Ordering::Relaxed);
        if spent < SLICE {
            return false;
        }
        self.0.1.store(true, Ordering::Relaxed);
        true
    }

    /// Begins a slice; whether something was put off in the last.
    fn renew(&self) -> bool {
        self.0.0.store(0, Ordering::Relaxed);
        self.0.1.swap(false, Ordering::Relaxed)
    }

    fn is_behind(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// A channel's memory and what its doorbells share.
pub struct Shared {
    name: String,
    memory: Range,
    bells: Arc<Bells>,
    ends: Vec<bundle::End>,
}

impl Shared {
    /// A channel as described, with memory from `ram`, in a system of `vms` VMs.
    pub fn new(channel: &bundle::Channel, vms: usize, ram: &mut Ram) -> Result<Self, Reason> {
        use alloc::format;
        let refuse = |what: &str| Err(format!("channel {}: {what}", channel.name));
        if channel.ends.len() > MAX_ENDS {
            return refuse("it has more than 8 ends");
        }
        if channel.ends.iter().any(|end| usize::from(end.vm) >= vms) {
            return refuse("there is no such VM");
        }
        if channel.size == 0 || !u64::from(channel.size).is_multiple_of(PAGE) {
            return refuse("its size is not a multiple of 4096 bytes");
        }
        let Some(memory) = ram.allocate(channel.size.into(), PAGE) else {
            return refuse("there is no room for its memory");
        };
        // SAFETY: the memory was just allocated, for good, from what Hyp mode maps.
        let bytes = unsafe { GuestRam::new(0, memory) };
        bytes.scrub(0, channel.size);
        // Guests reach it past the caches.
        bytes.clean(0, channel.size);
        Ok(Shared {
            name: channel.name.clone(),
            memory,
            bells: Arc::default(),
            ends: channel.ends.clone(),
        })
    }
}

/// Rings at the ends of a channel: the VM and the SPI of each.
struct Targets(Vec<(usize, u32)>);

impl Ringer for Targets {
    fn ring(&self, end: usize) {
        if let Some(&(vm, spi)) = self.0.get(end)
            && let Some(vm) = cores::vm(vm)
        {
            vm.pulse_spi(spi);
        }
    }
}

/// Where a disk's contents are.
enum Disk {
    /// In memory of its own.
    Memory { memory: GuestRam, size: u32 },
    /// In the bundle.
    File(&'static [u8]),
    /// A part of a disk of the board's, from byte `start` on.
    Board {
        disk: Arc<Mutex<disk::Disk>>,
        start: u64,
        size: u64,
    },
}

/// The board's disks, in the order of their registers' addresses.
pub struct BoardDisks(Vec<Arc<Mutex<disk::Disk>>>);

impl BoardDisks {
    /// Finds them, if VMs have parts of them.
    pub fn new(system: &bundle::System, platform: &Platform, ram: &mut Ram) -> Self {
        let on_board =
            |disk: &bundle::Disk| matches!(disk.contents, bundle::Contents::Board { .. });
        let mut disks = system.vms.iter().flat_map(|vm| &vm.disks);
        if !disks.any(on_board) {
            return BoardDisks(Vec::new());
        }
        // Devices that a VM has for itself are not looked at.
        let passed: Vec<&str> = system
            .vms
            .iter()
            .flat_map(|vm| &vm.devices)
            .map(|device| device.path.as_str())
            .collect();
        let mut transports: Vec<(Range, Option<Interrupt>)> = Vec::new();
        for device in &platform.devices {
            let disk = device.is(&["virtio,mmio"]) && device.enabled && device.coherent;
            if let Some(&registers) = device.registers.first()
                && disk
                && !passed.contains(&device.path.as_str())
            {
                let interrupt = platform.own_interrupt(device);
                let at = transports.partition_point(|(other, _)| other.base < registers.base);
                transports.insert(at, (registers, interrupt));
            }
        }
        let mut disks = Vec::new();
        for (registers, interrupt) in transports {
            let Some(Ok(mapped)) = memory::with_space(|space| space.map_device(registers)) else {
                continue;
            };
            let Some(memory) = ram.allocate(disk::MEMORY, PAGE) else {
                continue;
            };
            // SAFETY: the device tree says that a transport is there, which is coherent; no VM has it.
            // The memory was just allocated, for good.
            let disk =
                unsafe { disk::Disk::new(mapped, registers.size as usize, memory, interrupt) };
            let Some(disk) = disk else {
                ram.release(memory);
                continue;
            };
            log!(
                "the board's disk {} at {:#x}: {} KiB, {}",
                disks.len(),
                registers.base,
                disk.len() >> 10,
                if interrupt.is_some() {
                    "with an interrupt"
                } else {
                    "polled"
                }
            );
            disks.push(Arc::new(Mutex::new(disk)));
        }
        BoardDisks(disks)
    }

    /// A part of a disk; `None` if there is no such disk, or it has no such part.
    fn part(&self, disk: u8, start: u64, size: u64) -> Option<Disk> {
        let disk = self.0.get(usize::from(disk))?;
        let rest = disk.lock().len().checked_sub(start)?;
        let size = if size == 0 { rest } else { size };
        (size <= rest && start.is_multiple_of(SECTOR)).then(|| Disk::Board {
            disk: disk.clone(),
            start,
            size,
        })
    }
}

/// A disk and what its use costs.
struct Backend {
    disk: Disk,
    read_only: bool,
    budget: Budget,
}

impl BlockBackend for Backend {
    fn len(&self) -> u64 {
        match &self.disk {
            Disk::Memory { size, .. } => (*size).into(),
            Disk::File(bytes) => bytes.len() as u64,
            Disk::Board { size, .. } => *size,
        }
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        self.budget.spend(buf.len() as u32);
        match &mut self.disk {
            Disk::Memory { memory, .. } => {
                let offset = u32::try_from(offset).map_err(|_| BlockError)?;
                memory.read(offset, buf).map_err(|_| BlockError)
            }
            Disk::File(bytes) => {
                let from = usize::try_from(offset).ok().and_then(|start| {
                    let end = start.checked_add(buf.len())?;
                    bytes.get(start..end)
                });
                buf.copy_from_slice(from.ok_or(BlockError)?);
                Ok(())
            }
            Disk::Board { disk, start, .. } => {
                let read = disk.lock().read(*start + offset, buf);
                read.map_err(|disk::Failed| BlockError)
            }
        }
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError> {
        self.budget.spend(buf.len() as u32);
        match &mut self.disk {
            Disk::Memory { memory, .. } => {
                let offset = u32::try_from(offset).map_err(|_| BlockError)?;
                memory.write(offset, buf).map_err(|_| BlockError)
            }
            Disk::File(_) => Err(BlockError),
            Disk::Board { disk, start, .. } => {
                let written = disk.lock().write(*start + offset, buf);
                written.map_err(|disk::Failed| BlockError)
            }
        }
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        match &self.disk {
            Disk::Memory { .. } | Disk::File(_) => Ok(()),
            Disk::Board { disk, .. } => {
                let flushed = disk.lock().flush();
                flushed.map_err(|disk::Failed| BlockError)
            }
        }
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn put_off(&mut self) -> bool {
        self.budget.request()
    }
}

/// What is behind a virtio-mmio transport: one type, so that the transport's code is there once.
enum Model {
    Disk(Block<Backend>),
    Console(Console<Output>),
}

macro_rules! of_either {
    ($model:expr, $device:ident => $value:expr) => {
        match $model {
            Model::Disk($device) => $value,
            Model::Console($device) => $value,
        }
    };
}

impl VirtioDevice for Model {
    /// The hypervisor saves no guests.
    type State = ();

    fn id(&self) -> u32 {
        of_either!(self, device => device.id())
    }

    fn features(&self) -> u64 {
        of_either!(self, device => device.features())
    }

    fn queue_sizes(&self) -> &[u16] {
        of_either!(self, device => device.queue_sizes())
    }

    fn config_read(&self, offset: u64, buf: &mut [u8]) {
        of_either!(self, device => device.config_read(offset, buf));
    }

    fn config_write(&mut self, offset: u64, bytes: &[u8]) {
        of_either!(self, device => device.config_write(offset, bytes));
    }

    fn reset(&mut self) {
        of_either!(self, device => device.reset());
    }

    fn save(&self) {}

    fn restore(&mut self, (): &()) -> bool {
        false
    }

    fn stopped(&mut self, queue: usize) {
        of_either!(self, device => device.stopped(queue));
    }

    fn notify(&mut self, queue: usize, queues: &mut Queues<'_>) -> Result<(), QueueError> {
        of_either!(self, device => device.notify(queue, queues))
    }
}

/// A virtio device with its registers.
type Slot = Transport<Model, GuestRam, Line>;

/// How much of a disk is moved at once.
const DISK_CHUNK: usize = 16 << 10;
/// The longest request of a disk: Linux has up to 1280 KiB.
const DISK_REQUEST: u64 = 4 << 20;
/// The longest request of a console.
const CONSOLE_REQUEST: u64 = 4 << 10;

/// The devices of a VM.
pub struct Devices {
    ends: Vec<(u32, Mutex<Channel<Targets>>)>,
    slots: Vec<(Line, Mutex<Slot>)>,
    budget: Budget,
}

impl Devices {
    /// Makes the devices of VM `index`, whose memory is `ram`, and maps what of them is memory.
    pub fn new(
        index: usize,
        description: &bundle::Vm,
        files: &bundle::Bundle<'static>,
        (channels, disks): (&[Shared], &BoardDisks),
        guest: &GuestRam,
        ram: &mut Ram,
        stage2: &mut Tables,
    ) -> Result<Self, Reason> {
        use alloc::format;
        let mut ends = Vec::new();
        for channel in channels {
            for (number, end) in channel.ends.iter().enumerate() {
                if usize::from(end.vm) != index {
                    continue;
                }
                let attributes = if end.read_only {
                    Attributes::S2_SHARED_READ_ONLY
                } else {
                    Attributes::S2_SHARED
                };
                let Range { base, size } = channel.memory;
                stage2
                    .map(end.memory.into(), base, size, attributes)
                    .map_err(|error| {
                        format!("channel {} can't be mapped: {error}", channel.name)
                    })?;
                let targets = channel.ends.iter().map(|end| (end.vm.into(), end.spi));
                let device = Channel::new(
                    channel.bells.clone(),
                    Targets(targets.collect()),
                    (number, channel.ends.len()),
                    size as u32,
                    end.read_only,
                );
                ends.push((end.registers, Mutex::new(device)));
            }
        }
        let budget = Budget::default();
        let memory = Arc::new(guest.clone());
        let mut slots = Vec::new();
        let mut add = |model| {
            let line = Line::default();
            let slot = Slot::new(Version::Modern, model, memory.clone(), line.clone());
            slots.push((line, Mutex::new(slot)));
        };
        for (number, disk) in description.disks.iter().enumerate() {
            let contents = match disk.contents {
                bundle::Contents::Memory { file, size } => {
                    let bytes = files.file(file);
                    let bytes = bytes.get(..size as usize).unwrap_or(bytes);
                    if disk.read_only && bytes.len() == size as usize {
                        Disk::File(bytes)
                    } else {
                        ram_disk(bytes, size, ram)
                            .ok_or_else(|| format!("disk {number}: there is no room for it"))?
                    }
                }
                bundle::Contents::Board { disk, start, size } => {
                    disks.part(disk, start, size).ok_or_else(|| {
                        format!("disk {number}: the board has no such disk, or it is too small")
                    })?
                }
            };
            if let Disk::Board { disk: board, .. } = &contents
                && board.lock().read_only()
                && !disk.read_only
            {
                return Err(format!("disk {number}: the board's disk is read-only"));
            }
            let backend = Backend {
                disk: contents,
                read_only: disk.read_only,
                budget: budget.clone(),
            };
            let block = Block::new(backend, &format!("{}-{number}", description.name))
                .limited(DISK_CHUNK, DISK_REQUEST);
            add(Model::Disk(block));
        }
        if description.console == bundle::Console::Virtio {
            let output = Output::new(index, budget.clone());
            let console = Console::new(output, None).limited(CONSOLE_REQUEST);
            add(Model::Console(console));
        }
        if slots.len() > map::VIRTIO_SLOTS {
            return Err(format!("it has {} virtio devices", slots.len()));
        }
        Ok(Devices {
            ends,
            slots,
            budget,
        })
    }

    /// Back to the state after power-on.
    pub fn reset(&self) {
        for (_, end) in &self.ends {
            end.lock().reset();
        }
        for (_, slot) in &self.slots {
            slot.lock().reset();
        }
        self.budget.renew();
    }

    /// A guest's load: `None` if no device is there.
    pub fn read(&self, gic: &Mutex<Box<Gic>>, ipa: u32, size: u8) -> Option<u64> {
        self.access(gic, ipa, |device, offset| device.read(offset, size))
    }

    /// A guest's store; `None` if no device is there.
    pub fn write(&self, gic: &Mutex<Box<Gic>>, ipa: u32, size: u8, value: u64) -> Option<()> {
        self.access(gic, ipa, |device, offset| device.write(offset, size, value))
    }

    fn access<T>(
        &self,
        gic: &Mutex<Box<Gic>>,
        ipa: u32,
        act: impl FnOnce(&mut dyn MmioDevice, u64) -> T,
    ) -> Option<T> {
        let offset = u64::from(ipa).wrapping_sub(map::VIRTIO.base);
        if let Some((line, slot)) = self.slots.get((offset / map::VIRTIO_SLOT_SIZE) as usize) {
            let mut slot = slot.lock();
            let result = act(&mut *slot, offset % map::VIRTIO_SLOT_SIZE);
            self.drive(gic, (offset / map::VIRTIO_SLOT_SIZE) as u32, line);
            return Some(result);
        }
        self.ends
            .iter()
            .find_map(|(base, end)| {
                let offset = u64::from(ipa.checked_sub(*base)?);
                let inside = offset < map::CHANNEL_REGISTERS_SIZE;
                inside.then_some((end, offset))
            })
            .map(|(end, offset)| act(&mut *end.lock(), offset))
    }

    /// Brings a virtio device's line to the distributor; its lock is held.
    fn drive(&self, gic: &Mutex<Box<Gic>>, slot: u32, line: &Line) {
        gic.lock().set_spi(map::SPI_VIRTIO + slot, line.level());
    }

    /// Whether devices have put off requests, for [`go_on`](Self::go_on).
    pub fn is_behind(&self) -> bool {
        self.budget.is_behind()
    }

    /// After each exit: goes on with what was put off, for another slice.
    pub fn go_on(&self, gic: &Mutex<Box<Gic>>) {
        if !self.budget.renew() {
            return;
        }
        for (number, (line, slot)) in self.slots.iter().enumerate() {
            let mut slot = slot.lock();
            slot.resume();
            self.drive(gic, number as u32, line);
        }
    }

    /// Input for the virtio console, if there is one; how many bytes it took.
    pub fn console_input(&self, gic: &Mutex<Box<Gic>>, bytes: &[u8]) -> Option<usize> {
        let number = self.slots.len().checked_sub(1)?;
        let (line, slot) = self.slots.get(number)?;
        let mut slot = slot.lock();
        let Model::Console(console) = slot.device() else {
            return None;
        };
        let taken = console.room().min(bytes.len());
        slot.serve(|model, queues| match model {
            Model::Console(console) => console.receive(bytes, queues),
            Model::Disk(_) => Ok(()),
        });
        self.drive(gic, number as u32, line);
        Some(taken)
    }
}

/// A disk in memory that starts with these bytes.
fn ram_disk(bytes: &[u8], size: u32, ram: &mut Ram) -> Option<Disk> {
    let whole = u64::from(size).next_multiple_of(PAGE).max(PAGE);
    let range = ram.allocate(whole, PAGE)?;
    // SAFETY: the memory was just allocated, for good, from what Hyp mode maps.
    let memory = unsafe { GuestRam::new(0, range) };
    memory.scrub(0, memory.size());
    memory.load(0, bytes).ok()?;
    Some(Disk::Memory { memory, size })
}
