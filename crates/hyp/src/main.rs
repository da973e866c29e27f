//! The bare-metal hypervisor's image: from the boot loader to running guests.

#![no_std]
#![no_main]

extern crate alloc;

mod hw;

use alloc::sync::Arc;
use core::fmt::Display;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use hw::{console, cp15, memory, psci, vectors};
use skep_arm::Mode;
use skep_hyp::platform::{self, Conduit, Platform};
use skep_loader::fdt::Tree;
use spin::Once;

/// The board, once its device tree is read.
static PLATFORM: Once<Arc<Platform>> = Once::new();
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
type Reason = alloc::string::String;

fn boot(dtb: usize, offset: u32, mode: u32) -> Result<(), Reason> {
    use alloc::format;
    let hyp = mode == Mode::Hyp as u32;
    let sentence = |error: &dyn Display| format!("{error}");
    // SAFETY: the boot tables map it, and nothing writes it.
    let blob = unsafe { hw::device_tree(dtb) };
    let tree = Tree::parse(blob).map_err(|error| sentence(&error));

    let unmappable = |what: &str| format!("{what} can't be mapped");
    let mut space =
        memory::Space::new(offset).map_err(|_| unmappable("the hypervisor's image"))?;
    let image = space.image();
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
    let entry = space.physical(hw::secondary_entry());
    space.publish();
    memory::enter(hyp);
    if !hyp {
        return Err(format!(
            "the boot loader started the hypervisor in mode {mode:#04x}, but it needs Hyp mode (0x1a): \
             give QEMU's machine virtualization=on, or have the firmware leave Secure state and \
             start it in Hyp mode"
        ));
    }
    let platform = platform?;
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
    CORES.fetch_add(1, Ordering::AcqRel);
    start_cores(&platform, entry);
    log!(
        "{} of {} cores in Hyp mode, {} KiB of heap used",
        CORES.load(Ordering::Acquire),
        platform.cpus.len(),
        memory::heap_used() / 1024
    );
    PLATFORM.call_once(|| Arc::new(platform));
    Ok(())
}

/// Starts all other cores, and waits for each.
fn start_cores(platform: &Platform, entry: u32) {
    let own = cp15::mpidr::read() & 0xff_ffff;
    for &affinity in platform.cpus.iter().filter(|&&affinity| affinity != own) {
        if platform.psci != Some(Conduit::Smc) {
            log!("core {affinity:#x} can't be started: the firmware has no PSCI by SMC");
            continue;
        }
        let before = CORES.load(Ordering::Acquire);
        let stack = memory::leak_stack().as_mut_ptr_range().end.addr() as u32;
        if let Err(code) = psci::cpu_on(affinity, entry, stack) {
            log!("core {affinity:#x} does not start: PSCI's CPU_ON returns {code}");
            continue;
        }
        // Firmware takes microseconds; a core that needs more than this never comes.
        let started = (0..100_000_000).any(|_| CORES.load(Ordering::Acquire) > before);
        if !started {
            log!("core {affinity:#x} does not come");
        }
    }
}

/// What a core does from now on.
fn run() -> ! {
    stop()
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
