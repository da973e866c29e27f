//! The bare-metal hypervisor's image: from the boot loader to running guests.

#![no_std]
#![no_main]

extern crate alloc;

mod cores;
mod cp15_trap;
mod devices;
mod hw;
mod mux;
mod shell;
mod trap;
mod vcpu;
mod vgic;
mod vm;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use hw::{console, cp15, gic, memory, psci, vectors};
use shell::List;
use skep_arm::Mode;
use skep_bundle::Bundle;
use skep_hyp::platform::{self, Conduit, Platform, Range};
use skep_hyp::ram::Ram;
use skep_loader::fdt::Tree;
use spin::Once;

/// The board, once its device tree is read.
static PLATFORM: Once<Platform> = Once::new();
/// RAM that no VM has, bytes.
static FREE: Once<u64> = Once::new();
/// Cores that have started.
static CORES: AtomicU32 = AtomicU32::new(0);

/// The boot core, on its stack, with the boot tables. `dtb` is the physical address of the device
/// tree, `offset` physical minus virtual address of the image, `mode` that of the entry.
pub extern "C" fn main_of_boot_core(dtb: usize, offset: u32, mode: u32) -> ! {
    vectors_for(mode);
    // SAFETY: here and now, before anything else.
    unsafe { memory::init_heap() };
    match boot(dtb, offset, mode) {
        Ok(()) => run(),
        Err(reason) => {
            log!("{reason}: stopped");
            stop()
        }
    }
}

/// Any other core.
pub extern "C" fn main_of_secondary_core(mode: u32) -> ! {
    vectors_for(mode);
    let hyp = mode == Mode::Hyp as u32;
    memory::enter(hyp);
    if !hyp {
        log!("firmware started a core in mode {mode:#04x} and not in Hyp mode: it stays idle");
        stop()
    }
    CORES.fetch_add(1, Ordering::AcqRel);
    run()
}

fn vectors_for(mode: u32) {
    if mode == Mode::Hyp as u32 {
        vectors::init();
    }
}

/// Why the hypervisor can't run, as a sentence.
type Reason = String;

fn boot(dtb: usize, offset: u32, mode: u32) -> Result<(), Reason> {
    use alloc::format;
    let hyp = mode == Mode::Hyp as u32;
    let sentence = |error: &dyn Display| format!("{error}");
    // SAFETY: the boot tables map it, and nothing writes it.
    let blob = unsafe { hw::loaded(dtb, DTB_ROOM as usize) };
    let tree = Tree::parse(blob).map_err(|error| sentence(&error));

    let unmappable = |what: &str| format!("{what} can't be mapped");
    let mut space = memory::Space::new(offset).map_err(|_| unmappable("the hypervisor's image"))?;
    let (image, appended) = (space.image(), space.appended());
    if let Some(uart) = tree.as_ref().ok().and_then(platform::find_uart) {
        let registers = space
            .map_device(uart.registers)
            .map_err(|_| unmappable("the serial port"))?;
        // SAFETY: the device tree says that a PL011 is there; it is the hypervisor's alone.
        unsafe { console::init(registers.cast()) };
    }
    let platform = tree
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|tree| Platform::from_tree(tree).map_err(|error| sentence(&error)));
    if let Ok(platform) = &platform {
        space.map_ram(platform).map_err(|_| unmappable("RAM"))?;
    }
    let entries = Entries {
        psci: space.physical(hw::secondary_entry()),
        pen: space.physical(hw::pen_entry()),
    };
    space.publish();
    memory::enter(hyp);
    if !hyp {
        return Err(format!(
            "the boot loader started the hypervisor in mode {mode:#04x}, but it needs Hyp mode (0x1a): \
             give QEMU's machine virtualization=on, or have the firmware leave Secure state and \
             start it in Hyp mode"
        ));
    }
    let mut platform = platform?;
    // A bundle that was appended comes before one that the boot loader brought.
    platform.initrd = appended.or(platform.initrd);
    log!(
        "hypervisor {} on {}, image {:#x} to {:#x}",
        env!("CARGO_PKG_VERSION"),
        platform.model,
        image.base,
        image.end()
    );
    for range in &platform.memory {
        log!("memory {:#x} to {:#x}", range.base, range.end());
    }
    log!(
        "GICv2 at {:#x}, virtual interface at {:#x}, maintenance interrupt {}, virtual timer {}",
        platform.gic.distributor.base,
        platform.gic.virtual_interface.base,
        platform.gic.maintenance,
        platform.timer.virt
    );
    init_devices(&platform)?;
    CORES.fetch_add(1, Ordering::AcqRel);
    start_cores(&platform, &entries);
    log!(
        "{} of {} cores in Hyp mode, {} list registers",
        CORES.load(Ordering::Acquire),
        platform.cpus.len(),
        gic::list_registers()
    );
    let mut ram = Ram::new(&platform.memory, memory::RAM_LIMIT);
    let tree = Range {
        base: dtb as u64,
        size: DTB_ROOM,
    };
    for range in platform
        .reserved
        .iter()
        .chain(&platform.initrd)
        .chain([&image, &tree])
    {
        ram.reserve(*range);
    }
    let platform = PLATFORM.call_once(|| platform);
    let system = make_system(platform, &mut ram, offset)?;
    log!(
        "{} MiB of memory free, {} KiB of heap used",
        ram.available() >> 20,
        memory::heap().0 / 1024
    );
    FREE.call_once(|| ram.available());
    cores::publish(system);
    Ok(())
}

/// The device tree is shorter: the boot tables map as much from its address on.
const DTB_ROOM: u64 = 2 << 20;

/// Maps and starts the interrupt controller and the input of the serial port.
#[inline(never)]
fn init_devices(platform: &Platform) -> Result<(), Reason> {
    let map = |range: Range, least: u64| {
        let range = Range {
            size: range.size.max(least),
            ..range
        };
        memory::with_space(|space| space.map_device(range))
            .and_then(Result::ok)
            .map(|pointer| pointer.as_ptr().expose_provenance())
            .ok_or("the interrupt controller can't be mapped")
    };
    let frames = &platform.gic;
    let distributor = map(frames.distributor, 0x1000)?;
    let interface = map(frames.cpu_interface, 0x2000)?;
    let control = map(frames.control, 0x1000)?;
    let guests = map(frames.virtual_interface, 0x1000)?;
    // SAFETY: the device tree says that a GICv2 with virtual interfaces is there; it is the
    // hypervisor's alone.
    unsafe { gic::init(distributor, interface, control, guests) };
    let target = gic::init_core();
    gic::try_end_by_guest(platform.timer.hyp);
    if gic::is_forgetful() {
        log!("the GIC is a model that may forget a timer's interrupt: looking after each");
    }
    if let Some(intid) = platform.uart.and_then(|uart| uart.intid) {
        gic::enable(intid, target);
        console::enable_input();
    }
    Ok(())
}

/// Makes the virtual machines of the bundle that came as initial RAM disk.
#[inline(never)]
fn make_system(platform: &Platform, ram: &mut Ram, offset: u32) -> Result<cores::System, Reason> {
    use alloc::format;
    let range = platform
        .initrd
        .ok_or("there is no bundle of virtual machines: append it to the image (skep bundle), or give it as \
             initial RAM disk")?;
    // SAFETY: RAM that is mapped and reserved.
    let bytes = unsafe { hw::loaded(range.base as usize, range.size as usize) };
    let bundle = Bundle::open(bytes).map_err(|error| format!("{error}"))?;
    let bundle = &*Box::leak(Box::new(bundle));
    bundle
        .system
        .check_schedule()
        .map_err(|error| format!("{error}"))?;
    let system = &bundle.system;
    let paths = || {
        let devices = system.vms.iter().flat_map(|vm| &vm.devices);
        devices.map(|device| &device.path)
    };
    if let Some(path) = paths().find(|path| paths().filter(|other| other == path).count() > 1) {
        return Err(format!("device {path} is given to virtual machines twice"));
    }
    let channels = system
        .channels
        .iter()
        .map(|channel| devices::Shared::new(channel, system.vms.len(), ram))
        .collect::<Result<Vec<_>, _>>()?;
    let disks = devices::BoardDisks::new(system, platform, ram);
    let mut vms = Vec::new();
    for description in &system.vms {
        let vm = vm::Vm::new(
            vms.len(),
            description,
            bundle,
            platform,
            (&channels, &disks),
            ram,
            offset as usize,
        )
        .map_err(|reason| format!("virtual machine {}: {reason}", description.name))?;
        log!(
            "{}: {} MiB at {:#x}, vCPUs on cores {}",
            vm.name,
            description.memory_mib,
            vm.ram.physical(),
            List(&vm.cores)
        );
        vms.push(&*Box::leak(Box::new(vm)));
    }
    if vms.is_empty() {
        return Err("the bundle has no virtual machine".into());
    }
    Ok(cores::System {
        vms,
        schedules: bundle.system.cores.clone(),
    })
}

/// Where other cores start: physical addresses.
struct Entries {
    /// For firmware that has PSCI.
    psci: u32,
    /// For cores in a pen.
    pen: u32,
}

/// Starts all other cores, and waits for each.
fn start_cores(platform: &Platform, entries: &Entries) {
    let own = cp15::mpidr::read() & 0xff_ffff;
    let others = || platform.cpus.iter().filter(|&&affinity| affinity != own);
    let stack = || memory::leak_stack().as_mut_ptr_range().end.addr() as u32;
    // Firmware takes microseconds; a core that needs more than this never comes.
    let wait = |count| (0..100_000_000).any(|_| CORES.load(Ordering::Acquire) >= count);
    if platform.psci == Some(Conduit::Smc) {
        psci::init();
        for &affinity in others() {
            let before = CORES.load(Ordering::Acquire);
            if let Err(code) = psci::cpu_on(affinity, entries.psci, stack()) {
                log!("core {affinity:#x} does not start: PSCI's CPU_ON returns {code}");
            } else if !wait(before + 1) {
                log!("core {affinity:#x} does not come");
            }
        }
        return;
    }
    let Some(pen) = platform.pen else {
        for affinity in others() {
            log!(
                "core {affinity:#x} can't be started: the firmware has no PSCI by SMC, and there are no \
                 flags of a Versatile Express"
            );
        }
        return;
    };
    hw::start::prepare_pen(others().map(|&affinity| (affinity, stack())));
    let Some(Ok(registers)) = memory::with_space(|space| space.map_device(pen)) else {
        log!("the other cores can't be started: the flags can't be mapped");
        return;
    };
    // SAFETY: the device tree says that the registers are there; the entry is the image's.
    unsafe { hw::open_pen(registers, entries.pen) };
    gic::send_to_others(cores::KICK);
    if !wait(platform.cpus.len() as u32) {
        log!("not all cores come");
    }
}

/// What a core does from now on. The board is known before there are VMs.
fn run() -> ! {
    loop {
        let system = cores::wait_for_system();
        if let Some(platform) = PLATFORM.get() {
            cores::run(platform, system)
        }
    }
}

/// Ends this core's work.
fn stop() -> ! {
    loop {
        cp15::wfi();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    console::print_last_words(format_args!("\nskep: the hypervisor failed: {info}\n"));
    stop()
}
