//! A vCPU: its registers while it is not loaded, loading it into the core, and its run loop.

use core::sync::atomic::{AtomicU32, Ordering};

use skep_arm::state::psr;
use skep_arm::{Exception, Mode};
use skep_hyp::schedule::Demand;
use skep_hyp::spec::hcr;

use crate::cores::Core;
use crate::hw::context::Context;
use crate::hw::switch::{Exit, Frame};
use crate::hw::{banked, context, cp15, switch};
use crate::trap;
use crate::vgic::ListRegisters;
use crate::vm::{Preparation, Start, Vm, signal};

/// What every guest traps on, and what it doesn't: WFI is its own while it owns its core.
const HCR: u32 = hcr::VM
    | hcr::SWIO
    | hcr::PTW
    | hcr::FMO
    | hcr::IMO
    | hcr::AMO
    | hcr::FB
    | hcr::BSU_INNER
    | hcr::TSC
    | hcr::TIDCP
    | hcr::TAC
    | hcr::TSW;

/// What the run loop does after an exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Enter the guest again.
    Enter,
    /// The same, after a look at the interrupts: the distributor may have changed.
    Interrupts,
    /// The same, with the floating-point registers.
    Simd,
    /// The vCPU waits for an interrupt.
    Wait,
    /// The vCPU is off.
    Off,
}

/// What a vCPU is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Off,
    /// It is to run, once the VM's memory is filled.
    Preparing(Preparation),
    /// It runs, or would.
    Ready,
    /// It waits for an interrupt.
    Waiting,
}

/// How often a vCPU came to Hyp mode, by reason: the exception classes of HSR, then interrupts.
pub struct Exits([AtomicU32; 65]);

impl Exits {
    /// The place of interrupts, behind the exception classes.
    pub const INTERRUPT: usize = 64;

    /// None yet.
    pub fn new() -> Self {
        Exits([const { AtomicU32::new(0) }; 65])
    }

    /// Counts one; only the vCPU's core does.
    fn count(&self, reason: usize) {
        if let Some(counter) = self.0.get(reason) {
            counter.store(
                counter.load(Ordering::Relaxed).wrapping_add(1),
                Ordering::Relaxed,
            );
        }
    }

    /// The counters.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// A vCPU. Only its own core uses it.
pub struct Vcpu {
    /// Its VM.
    pub vm: &'static Vm,
    /// Its number in the VM.
    pub index: usize,
    /// The registers that an exit saves.
    pub frame: Frame,
    /// Its place among the vCPUs of its core.
    slot: usize,
    state: State,
    /// It was reset since it was loaded last.
    fresh: bool,
    context: Context,
    lists: ListRegisters,
    exits: &'static Exits,
}

impl Vcpu {
    /// A vCPU that is off.
    pub fn new(vm: &'static Vm, index: usize, slot: usize, core: &Core) -> Self {
        Vcpu {
            exits: &vm.exits[index],
            vm,
            index,
            frame: Frame::default(),
            slot,
            state: State::Off,
            fresh: true,
            context: Context::reset(),
            lists: ListRegisters::reset(core.timers(), &vm.wires),
        }
    }

    /// Whether its registers are in the core.
    fn is_loaded(&self, core: &Core) -> bool {
        core.loaded == Some(self.slot)
    }

    /// Does what others want of this vCPU: to start, to stop, to pause, to show its registers.
    pub fn attend(&mut self, core: &mut Core) {
        let signals = self.vm.signals(self.index);
        if signals == 0 {
            return;
        }
        if signals & signal::STOP != 0 && self.state != State::Off {
            self.switch_off(core);
        }
        if signals & signal::PAUSE != 0 {
            self.unload(core);
            self.vm.has_parked(self.index);
        } else if let Some(start) = self.vm.take_start(self.index) {
            self.reset(start, core);
        }
        if signals & signal::report(self.index) != 0 {
            self.unload(core);
            self.vm.has_reported(self.index);
            let on = self.state != State::Off;
            let shown = on.then_some((&self.frame, &self.context));
            crate::shell::registers(self.vm, self.index, shown);
        }
    }

    /// What it wants of its core.
    pub fn demand(&self, core: &Core) -> Demand {
        if self.vm.signals(self.index) & signal::PAUSE != 0 {
            return Demand::Nothing;
        }
        match self.state {
            State::Off => Demand::Nothing,
            State::Preparing(_) | State::Ready => Demand::Now,
            State::Waiting => {
                let loaded = self.is_loaded(core);
                // What comes from here on kicks again, though nothing has come now: an interrupt for
                // several vCPUs kicks them all, and one takes it.
                self.vm.looks(self.index);
                let concerned = self.vm.gic.lock().concerned() >> self.index & 1 != 0;
                if concerned || self.lists.is_pending(loaded) {
                    return Demand::Now;
                }
                if loaded {
                    // Its timers are the core's, and interrupt it.
                    return Demand::Nothing;
                }
                let virt = self.context.virt.deadline();
                let virt = virt.map(|time| time.saturating_add(self.vm.counter_offset()));
                let deadlines = virt.into_iter().chain(self.context.phys.deadline());
                deadlines.min().map_or(Demand::Nothing, Demand::At)
            }
        }
    }

    /// Puts the vCPU into the core, which has none loaded.
    pub fn load(&mut self, core: &mut Core) {
        let (root, vmid) = self.vm.stage2();
        let trap_wait = if core.is_shared() { hcr::TWI } else { 0 };
        // SAFETY: the tables map the VM's own memory and the virtual CPU interface, and nothing else.
        unsafe { cp15::set_stage2(root, vmid, HCR | trap_wait) };
        // Another vCPU of the VM has the same VMID and other tables.
        let last = core.loaded_before(self.vm.index, self.index);
        if self.fresh || last {
            cp15::drop_translations_of_vm();
            self.fresh = false;
        }
        cp15::cntvoff::write(self.vm.counter_offset());
        cp15::vmpidr::write(1 << 31 | self.index as u32);
        self.context.load(core.timers());
        self.lists.load();
        core.simd.loaded(self.slot);
        cp15::clear_exclusive();
        cp15::isb();
        core.loaded = Some(self.slot);
    }

    /// Takes the vCPU's registers out of the core, if they are there.
    pub fn unload(&mut self, core: &mut Core) {
        if self.is_loaded(core) {
            self.context.save(core.timers());
            self.lists.save();
            core.loaded = None;
        }
    }

    /// Runs the vCPU, which is loaded, until it waits, or is off, or its core has something else to
    /// do.
    pub fn run(&mut self, core: &mut Core) {
        if let State::Preparing(preparation) = self.state {
            self.prepare(preparation, core);
            return;
        }
        self.state = State::Ready;
        let mut next = Next::Interrupts;
        loop {
            if self.vm.is_behind() && next != Next::Off {
                self.vm.go_on();
                core.interrupt(Some(self));
                if core.has_to_decide() {
                    return;
                }
                if next == Next::Enter {
                    next = Next::Interrupts;
                }
                continue;
            }
            match next {
                Next::Enter => {}
                Next::Interrupts | Next::Wait => {
                    if self.vm.signals(self.index) != 0 {
                        return;
                    }
                    self.look_at_interrupts();
                    if self.lists.has_linked() {
                        core.look_after_linked();
                    }
                    if next == Next::Wait && !self.lists.is_pending(true) {
                        self.state = State::Waiting;
                        return;
                    }
                }
                Next::Simd => core.simd.claim(self.slot),
                Next::Off => {
                    self.switch_off(core);
                    return;
                }
            }
            next = match switch::enter(&mut self.frame) {
                Exit::Trap => {
                    let syndrome = cp15::hsr::read();
                    self.exits.count((syndrome >> 26) as usize);
                    trap::handle(self, syndrome)
                }
                Exit::Interrupt | Exit::Other => {
                    self.exits.count(Exits::INTERRUPT);
                    core.interrupt(Some(self));
                    if core.has_to_decide() {
                        return;
                    }
                    Next::Interrupts
                }
            };
        }
    }

    /// Brings list registers and distributor together, and wakes the cores of other vCPUs that have an
    /// interrupt.
    fn look_at_interrupts(&mut self) {
        self.vm.looks(self.index);
        let others = {
            let mut gic = self.vm.gic.lock();
            self.lists.update(&mut gic, self.index);
            if gic.cpus() > 1 {
                gic.concerned() & !(1 << self.index)
            } else {
                0
            }
        };
        self.vm.kick(others);
    }

    /// Fills the VM's memory, piece by piece, as long as the core has nothing else to do.
    fn prepare(&mut self, mut preparation: Preparation, core: &mut Core) {
        loop {
            preparation = match self.vm.prepare(preparation) {
                Some(further) => further,
                None => {
                    // The guest's time begins now.
                    cp15::cntvoff::write(self.vm.counter_offset());
                    self.state = State::Ready;
                    return;
                }
            };
            self.state = State::Preparing(preparation);
            core.interrupt(None);
            if core.has_to_decide() || self.vm.signals(self.index) != 0 {
                return;
            }
        }
    }

    fn switch_off(&mut self, core: &mut Core) {
        if self.is_loaded(core) {
            // The guest may have left interrupts active, in a list register or not yet in one.
            context::forget(core.timers());
            self.lists.save();
            core.loaded = None;
        }
        core.simd.forget(self.slot);
        self.state = State::Off;
        self.vm.stopped(self.index);
    }

    /// The state that a guest starts with: Supervisor mode, MMU and caches off.
    fn reset(&mut self, start: Start, core: &mut Core) {
        let thumb = if start.thumb { psr::T } else { 0 };
        let cpsr = Mode::Supervisor as u32 | psr::A | psr::I | psr::F | thumb;
        self.frame = Frame::start(start.entry, cpsr, start.registers);
        self.context = Context::reset();
        self.lists = ListRegisters::reset(core.timers(), &self.vm.wires);
        core.simd.forget(self.slot);
        self.fresh = true;
        self.state = start
            .prepare
            .map_or(State::Ready, |()| State::Preparing(Preparation::default()));
    }

    /// Makes the distributor know all that the list registers know, before the guest looks at it.
    pub fn recall_interrupts(&mut self) {
        self.lists.recall(&mut self.vm.gic.lock(), self.index);
    }

    /// The guest's mode.
    pub fn mode(&self) -> Mode {
        Mode::from_bits(self.frame.cpsr).unwrap_or(Mode::Supervisor)
    }

    /// In T32 state.
    pub fn in_t32(&self) -> bool {
        self.frame.cpsr & psr::T != 0
    }

    /// A register of the guest's mode. R15 reads as it does for instructions.
    pub fn reg(&self, n: usize) -> u32 {
        match n {
            15 => self
                .frame
                .pc
                .wrapping_add(if self.in_t32() { 4 } else { 8 }),
            0..8 => self.frame.r[n],
            _ => banked::read(self.mode(), n).unwrap_or_else(|| match self.frame.r.get(n) {
                Some(&value) => value,
                None => self.frame.lr,
            }),
        }
    }

    /// Sets a register of the guest's mode; R15 is left alone.
    pub fn set_reg(&mut self, n: usize, value: u32) {
        if n < 8 {
            self.frame.r[n] = value;
        } else if n < 15 && !banked::write(self.mode(), n, value) {
            match self.frame.r.get_mut(n) {
                Some(register) => *register = value,
                None => self.frame.lr = value,
            }
        }
    }

    /// Goes on behind the instruction that trapped.
    pub fn advance(&mut self, length: u32) {
        use skep_arm::decode::ItState;
        self.frame.pc = self.frame.pc.wrapping_add(length);
        let it = it_state(self.frame.cpsr);
        if it != ItState::default() {
            let bits = u32::from(it.advance().0);
            self.frame.cpsr = self.frame.cpsr & !psr::IT | (bits & 3) << 25 | (bits & 0xfc) << 8;
        }
    }

    /// Makes the guest take an exception at the instruction that trapped, by the model that the
    /// hosted engines use.
    pub fn inject(&mut self, exception: Exception) {
        use skep_arm::CpuState;
        use skep_arm::state::CpuModel;
        let mut state = CpuState::new(CpuModel::CortexA15, 0, 1);
        state.set_cpsr(self.frame.cpsr);
        state.cp15.sctlr = cp15::sctlr::read();
        state.cp15.ttbcr = cp15::ttbcr::read();
        state.cp15.vbar = cp15::vbar::read();
        state.cp15.dfsr = cp15::dfsr::read();
        state.cp15.dfar = cp15::dfar::read();
        state.cp15.ifsr = cp15::ifsr::read();
        state.cp15.ifar = cp15::ifar::read();
        state.take_exception(exception, self.frame.pc);
        cp15::dfsr::write(state.cp15.dfsr);
        cp15::dfar::write(state.cp15.dfar);
        cp15::ifsr::write(state.cp15.ifsr);
        cp15::ifar::write(state.cp15.ifar);
        let mode = state.mode();
        banked::write(mode, 14, state.regs[14]);
        banked::write_spsr(mode, state.spsr());
        self.frame.cpsr = state.cpsr;
        self.frame.pc = state.regs[15];
    }
}

/// The IT bits of a CPSR.
pub fn it_state(cpsr: u32) -> skep_arm::decode::ItState {
    skep_arm::decode::ItState((cpsr >> 8 & 0xfc | cpsr >> 25 & 3) as u8)
}
