//! The board's cores: who runs what, waking each other, and the interrupts of the board.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use skep_board::map::{INTID_TIMER_VIRT, MAX_CPUS};
use skep_hyp::platform::Platform;
use spin::Once;

use crate::hw::{cp15, gic, psci};
use crate::log;
use crate::mux;
use crate::vcpu::Vcpu;
use crate::vm::{self, Vm};

/// The software-generated interrupt by which cores wake each other.
pub const KICK: u32 = 0;

/// The target mask of each core's interface.
static TARGETS: [AtomicU8; MAX_CPUS] = [const { AtomicU8::new(0) }; MAX_CPUS];
/// The VMs, once all are made.
static VMS: Once<Vec<Arc<Vm>>> = Once::new();
/// VMs that are not off.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// This core's number: the place of its affinity in the device tree.
pub fn index(platform: &Platform) -> usize {
    let affinity = cp15::mpidr::read() & 0xff_ffff;
    platform
        .cpus
        .iter()
        .position(|&cpu| cpu == affinity)
        .unwrap_or(0)
}

/// Makes the VMs known to all cores.
pub fn publish(vms: Vec<Arc<Vm>>) {
    RUNNING.store(vms.len(), Ordering::Release);
    mux::init(&vms);
    VMS.call_once(|| vms);
    gic::send_to_others(KICK);
}

/// Makes a core look what there is to do.
pub fn kick(core: usize) {
    let target = TARGETS
        .get(core)
        .map_or(0, |target| target.load(Ordering::Acquire));
    if target != 0 {
        gic::send(KICK, target);
    }
}

/// A VM is off. After the last, the board is switched off.
pub fn vm_ended() {
    if RUNNING.fetch_sub(1, Ordering::AcqRel) == 1 {
        log!("all virtual machines are off: the board is switched off");
        psci::system_off();
    }
}

/// Sleeps until the VMs are made.
pub fn wait_for_vms() -> &'static [Arc<Vm>] {
    gic::init_core();
    gic::enable(KICK, 0);
    loop {
        if let Some(vms) = VMS.get() {
            return vms;
        }
        cp15::wfi();
        while let Some(acknowledged) = gic::acknowledge() {
            gic::end(acknowledged);
            gic::deactivate(acknowledged);
        }
    }
}

/// What a core does from now on: runs its vCPUs, sleeps while there is nothing to run.
pub fn run(platform: &Platform, vms: &[Arc<Vm>]) -> ! {
    let core = index(platform);
    let target = gic::init_core();
    if let Some(slot) = TARGETS.get(core) {
        slot.store(target, Ordering::Release);
    }
    vm::init_core(platform);
    let mut vcpus: Vec<Vcpu> = vms
        .iter()
        .flat_map(|vm| {
            (0..vm.cores.len())
                .filter(|&vcpu| vm.cores[vcpu] == core)
                .map(|vcpu| Vcpu::new(vm.clone(), vcpu))
        })
        .collect();
    loop {
        let mut ran = false;
        for vcpu in &mut vcpus {
            if let Some(start) = vcpu.vm.take_start(vcpu.index) {
                vcpu.run(start, platform);
                ran = true;
            }
        }
        if !ran {
            cp15::wfi();
            interrupt(platform, None);
        }
    }
}

/// Takes the board's interrupts that are pending; `vcpu` is the one that is loaded.
pub fn interrupt(platform: &Platform, mut vcpu: Option<&mut Vcpu>) {
    while let Some(acknowledged) = gic::acknowledge() {
        let id = acknowledged & 0x3ff;
        gic::end(acknowledged);
        if id == platform.timer.virt
            && let Some(vcpu) = vcpu.as_deref_mut()
        {
            // The guest ends it, through the list register that is linked to it.
            vcpu.vm.gic.lock().latch_ppi(vcpu.index, INTID_TIMER_VIRT);
            continue;
        }
        if platform.uart.and_then(|uart| uart.intid) == Some(id) {
            mux::input();
        }
        gic::deactivate(acknowledged);
        if id == platform.gic.maintenance {
            // It stays pending until the list registers have been looked at, which comes next.
            return;
        }
    }
}
