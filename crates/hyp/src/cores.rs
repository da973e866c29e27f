//! The board's cores: who runs what, waking each other, and the interrupts of the board.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use skep_board::map::{INTID_TIMER_PHYS, INTID_TIMER_VIRT, MAX_CPUS};
use skep_bundle::CoreSchedule;
use skep_hyp::platform::Platform;
use skep_hyp::schedule::{Scheduler, Share};
use skep_hyp::spec::{cnthctl, hcptr, hdcr, timer};
use spin::Once;

use crate::hw::context::Intids;
use crate::hw::{cp15, gic, psci, vfp};
use crate::log;
use crate::mux;
use crate::vcpu::Vcpu;
use crate::vm::Vm;

/// The software-generated interrupt by which cores wake each other.
pub const KICK: u32 = 0;

/// How often a core looks after interrupts that a GIC could forget: they are late by so much at most.
const WATCHES_A_SECOND: u64 = 1000;

/// What others see of a core.
pub struct Public {
    /// The target mask of its interface; 0 before it runs.
    target: AtomicU8,
    /// How often it loaded a vCPU.
    pub switches: AtomicU32,
    /// What that took together, ticks.
    pub switching: AtomicU32,
}

impl Public {
    /// Whether it has come as far as to run vCPUs.
    pub fn is_running(&self) -> bool {
        self.target.load(Ordering::Acquire) != 0
    }
}

/// The cores, as others see them.
pub static CORES: [Public; MAX_CPUS] = [const {
    Public {
        target: AtomicU8::new(0),
        switches: AtomicU32::new(0),
        switching: AtomicU32::new(0),
    }
}; MAX_CPUS];

/// What runs on the board.
pub struct System {
    /// The VMs.
    pub vms: Vec<&'static Vm>,
    /// How each core is used.
    pub schedules: Vec<CoreSchedule>,
}

/// The system, once all VMs are made.
static SYSTEM: Once<System> = Once::new();

/// Makes the VMs known to all cores.
pub fn publish(system: System) {
    mux::init(&system.vms);
    SYSTEM.call_once(|| system);
    gic::send_to_others(KICK);
}

/// The system, if it is made.
pub fn system() -> Option<&'static System> {
    SYSTEM.get()
}

/// A VM, once all are made.
pub fn vm(index: usize) -> Option<&'static Vm> {
    system()?.vms.get(index).copied()
}

/// The VM that an interrupt of the board belongs to, and its SPI there.
fn wire(id: u32) -> Option<(&'static Vm, u32)> {
    system()?.vms.iter().find_map(|vm| {
        let wire = vm.wires.iter().find(|wire| wire.physical == id)?;
        Some((*vm, wire.spi))
    })
}

/// Makes a core look what there is to do.
pub fn kick(core: usize) {
    let target = CORES
        .get(core)
        .map_or(0, |core| core.target.load(Ordering::Acquire));
    if target != 0 {
        gic::send(KICK, target);
    }
}

/// A VM has switched itself off. After the last, the board is switched off.
pub fn vm_ended() {
    if system().is_some_and(|system| system.vms.iter().all(|vm| vm.has_ended())) {
        log!("all virtual machines are off: the board is switched off");
        psci::system_off();
    }
}

/// Sleeps until the VMs are made.
pub fn wait_for_system() -> &'static System {
    gic::init_core();
    gic::enable(KICK, 0);
    loop {
        if let Some(system) = system() {
            return system;
        }
        cp15::wfi();
        while let Some(acknowledged) = gic::acknowledge() {
            gic::end(acknowledged);
            gic::deactivate(acknowledged);
        }
    }
}

/// A core, as it sees itself.
pub struct Core {
    platform: &'static Platform,
    schedule: CoreSchedule,
    public: &'static Public,
    /// The place of the vCPU whose registers are in the core.
    pub loaded: Option<usize>,
    /// For each VM, which of its vCPUs was loaded last.
    last: Vec<usize>,
    /// Whose floating-point registers are in the core.
    pub simd: vfp::Bank,
    /// Something happened that may change who is to run.
    changed: bool,
    /// When the hypervisor's timer is to interrupt for the sake of the scheduler.
    until: Option<u64>,
    /// It is to interrupt before, to look after an interrupt that a guest has.
    watches: bool,
}

impl Core {
    /// The physical interrupts of guests' timers.
    pub fn timers(&self) -> Intids {
        Intids {
            virt: self.platform.timer.virt,
            phys: self.platform.timer.phys,
        }
    }

    /// Whether vCPUs share it.
    pub fn is_shared(&self) -> bool {
        matches!(self.schedule, CoreSchedule::Shared { .. })
    }

    /// Whether somebody else may be to run. A core with one vCPU never has that question.
    pub fn has_to_decide(&self) -> bool {
        self.changed && self.is_shared()
    }

    /// Notes that a vCPU of a VM is loaded; returns whether the VM's last one here was another.
    pub fn loaded_before(&mut self, vm: usize, vcpu: usize) -> bool {
        self.last
            .get_mut(vm)
            .is_none_or(|last| core::mem::replace(last, vcpu) != vcpu)
    }

    /// Takes the board's interrupts that are pending; `vcpu` is the one that is loaded.
    pub fn interrupt(&mut self, mut vcpu: Option<&mut Vcpu>) {
        let platform = self.platform;
        while let Some(acknowledged) = gic::acknowledge() {
            let id = acknowledged & 0x3ff;
            gic::end(acknowledged);
            let guest_timer = if id == platform.timer.virt {
                Some((INTID_TIMER_VIRT, cp15::cntv_ctl::read()))
            } else if id == platform.timer.phys {
                Some((INTID_TIMER_PHYS, cp15::cntp_ctl::read()))
            } else {
                None
            };
            if let Some((virtual_id, control)) = guest_timer
                && let Some(vcpu) = vcpu.as_deref_mut()
                && control & (timer::ISTATUS | timer::IMASK) == timer::ISTATUS
            {
                // The guest ends it, through the list register that is linked to it.
                vcpu.vm.gic.lock().latch_ppi(vcpu.index, virtual_id);
                continue;
            }
            if id == KICK {
                self.changed = true;
            } else if id == platform.timer.hyp {
                cp15::cnthp_ctl::write(0);
                // One that only looks after an interrupt comes before the scheduler's time.
                let now = cp15::cntpct::read();
                self.changed |= !self.watches || self.until.is_some_and(|until| until <= now);
                self.watches = false;
                Self::arm(self.until.filter(|_| !self.changed));
            } else if platform.uart.and_then(|uart| uart.intid) == Some(id) {
                mux::input();
            } else if let Some((vm, spi)) = wire(id) {
                let own = vcpu.as_deref().filter(|vcpu| vcpu.vm.index == vm.index);
                vm.pass_interrupt(spi, own.map(|vcpu| vcpu.index));
                continue;
            }
            gic::deactivate(acknowledged);
            if id == platform.gic.maintenance {
                // It stays pending until the list registers have been looked at, which comes next.
                return;
            }
        }
    }

    /// Has the hypervisor's timer interrupt at this time for the scheduler, or not at all.
    fn schedule(&mut self, until: Option<u64>) {
        self.until = until;
        self.watches = false;
        Self::arm(until);
    }

    /// While the guest has an interrupt that it ends by itself: comes back soon, if the GIC
    /// [could forget](gic::is_forgetful) that it is pending again.
    pub fn look_after_linked(&mut self) {
        if !gic::is_forgetful() || self.watches {
            return;
        }
        self.watches = true;
        let soon = cp15::cntpct::read() + u64::from(cp15::cntfrq::read()) / WATCHES_A_SECOND;
        Self::arm(Some(self.until.map_or(soon, |until| until.min(soon))));
    }

    fn arm(time: Option<u64>) {
        match time {
            Some(time) => {
                cp15::cnthp_cval::write(time);
                cp15::cnthp_ctl::write(timer::ENABLE);
            }
            None => cp15::cnthp_ctl::write(0),
        }
        cp15::isb();
    }

    /// Sets what is the same for all vCPUs.
    fn init(&self) {
        let counters = cp15::hdcr::read() & hdcr::HPMN;
        cp15::hdcr::write(
            counters | hdcr::TPMCR | hdcr::TPM | hdcr::TDA | hdcr::TDOSA | hdcr::TDRA,
        );
        cp15::hcptr::write(hcptr::TCP10 | hcptr::TCP11 | hcptr::OTHERS | hcptr::TTA);
        cp15::hstr::write(0);
        cp15::cnthctl::write(cnthctl::PL1PCTEN | cnthctl::PL1PCEN);
        cp15::vpidr::write(cp15::midr::read());
        crate::hw::context::stop_timers();
        cp15::drop_all_guest_translations();
        let timers = &self.platform.timer;
        for private in [
            timers.virt,
            timers.phys,
            timers.hyp,
            self.platform.gic.maintenance,
            KICK,
        ] {
            gic::enable(private, 0);
        }
        // It ends the wait for a disk that has failed.
        gic::make_urgent(timers.hyp);
    }
}

/// What a core does from now on: runs its vCPUs, sleeps while there is nothing to run.
pub fn run(platform: &'static Platform, system: &'static System) -> ! {
    let affinity = cp15::mpidr::read() & 0xff_ffff;
    let number = platform.cpus.iter().position(|&cpu| cpu == affinity);
    let number = number.unwrap_or(0);
    let Some(public) = CORES.get(number) else {
        log!(
            "core {number} stays idle: there are cores 0 to {}",
            MAX_CPUS - 1
        );
        crate::stop()
    };
    let schedule = system.schedules.get(number).copied().unwrap_or_default();
    public.target.store(gic::init_core(), Ordering::Release);
    let own: Vec<(&'static Vm, usize)> = system
        .vms
        .iter()
        .flat_map(|&vm| {
            (0..vm.cores.len())
                .filter(|&vcpu| vm.cores[vcpu] == number)
                .map(move |vcpu| (vm, vcpu))
        })
        .collect();
    // Interrupts of devices that VMs have come to the core of their first vCPUs.
    for vm in system.vms.iter().filter(|vm| vm.cores[0] == number) {
        for wire in vm.wires.iter() {
            gic::enable(wire.physical, public.target.load(Ordering::Relaxed));
        }
    }
    let mut core = Core {
        platform,
        schedule,
        public,
        loaded: None,
        last: alloc::vec![usize::MAX; system.vms.len()],
        simd: vfp::Bank::new(own.len()),
        changed: false,
        until: None,
        watches: false,
    };
    core.init();
    let mut vcpus: Vec<Vcpu> = own
        .iter()
        .enumerate()
        .map(|(slot, &(vm, vcpu))| Vcpu::new(vm, vcpu, slot, &core))
        .collect();
    let mut scheduler = scheduler(schedule, &own);
    loop {
        core.changed = false;
        for vcpu in &mut vcpus {
            vcpu.attend(&mut core);
        }
        let now = cp15::cntpct::read();
        let decision = scheduler.decide(now, |n| vcpus[n].demand(&core));
        core.schedule(decision.until);
        let Some(next) = decision.run else {
            cp15::wfi();
            let loaded = core.loaded.and_then(|slot| vcpus.get_mut(slot));
            core.interrupt(loaded);
            continue;
        };
        if core.loaded != Some(next) {
            if let Some(loaded) = core.loaded.and_then(|slot| vcpus.get_mut(slot)) {
                loaded.unload(&mut core);
            }
            vcpus[next].load(&mut core);
            let ticks = cp15::cntpct::read().wrapping_sub(now) as u32;
            core.public.switches.fetch_add(1, Ordering::Relaxed);
            core.public.switching.fetch_add(ticks, Ordering::Relaxed);
        }
        vcpus[next].run(&mut core);
        scheduler.charge(next, cp15::cntpct::read().wrapping_sub(now));
    }
}

/// The scheduler of a core's vCPUs.
fn scheduler(schedule: CoreSchedule, vcpus: &[(&Vm, usize)]) -> Scheduler {
    let ticks = |us: u32| u64::from(us) * u64::from(cp15::cntfrq::read()) / 1_000_000;
    let slice = match schedule {
        CoreSchedule::Partitioned => 0,
        CoreSchedule::Shared { slice_us } => ticks(slice_us),
    };
    let shares = vcpus.iter().map(|&(vm, vcpu)| {
        let share = vm.share(vcpu);
        let limited = schedule != CoreSchedule::Partitioned && share.budget_us > 0;
        Share {
            priority: share.priority,
            budget: limited.then(|| (ticks(share.budget_us).max(1), ticks(share.period_us).max(1))),
        }
    });
    Scheduler::new(shares, slice, cp15::cntpct::read())
}
