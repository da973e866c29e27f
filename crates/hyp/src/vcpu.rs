//! A vCPU: loading it into the core, and its run loop.

use alloc::sync::Arc;

use skep_arm::state::psr;
use skep_arm::{Exception, Mode};
use skep_hyp::platform::Platform;
use skep_hyp::spec::{SCTLR_RESET, cnthctl, hcptr, hcr, hdcr};

use crate::hw::switch::{Exit, Frame};
use crate::hw::{banked, cp15, gic, switch, vfp};
use crate::vgic::ListRegisters;
use crate::vm::{Start, Vm};
use crate::{cores, trap};

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
    /// The vCPU is off.
    Off,
}

/// A vCPU. Only its own core uses it.
pub struct Vcpu {
    /// Its VM.
    pub vm: Arc<Vm>,
    /// Its number in the VM.
    pub index: usize,
    /// The registers that an exit saves.
    pub frame: Frame,
    /// The list registers, while it is loaded.
    lists: ListRegisters,
}

impl Vcpu {
    /// A vCPU that is off.
    pub fn new(vm: Arc<Vm>, index: usize) -> Self {
        Vcpu {
            vm,
            index,
            frame: Frame::default(),
            lists: ListRegisters::none(),
        }
    }

    /// Starts the vCPU on this core, and returns when it is off.
    pub fn run(&mut self, start: Start, platform: &Platform) {
        self.reset(start);
        self.lists = ListRegisters::init(platform.timer.virt);
        let mut next = Next::Interrupts;
        loop {
            match next {
                Next::Enter => {}
                Next::Interrupts => {
                    if self.vm.is_stopping() {
                        break;
                    }
                    self.lists.update(&mut self.vm.gic.lock(), self.index);
                    self.vm.kick_waiting(Some(self.index));
                }
                Next::Off => break,
            }
            next = match switch::enter(&mut self.frame) {
                Exit::Trap => trap::handle(self),
                Exit::Interrupt | Exit::Other => {
                    cores::interrupt(platform, Some(self));
                    Next::Interrupts
                }
            };
        }
        cp15::cntv_ctl::write(0);
        // The guest may have left it active, in a list register or not yet in one.
        gic::clear_active(platform.timer.virt);
        self.vm.stopped(self.index);
    }

    /// Puts the core into the state that a guest starts with: Supervisor mode, MMU and caches off.
    fn reset(&mut self, start: Start) {
        let (root, vmid) = self.vm.stage2();
        // SAFETY: the tables map the VM's own memory and the virtual CPU interface, and nothing else.
        unsafe { cp15::set_stage2(root, vmid, HCR) };
        cp15::drop_guest_translations();
        let counters = cp15::hdcr::read() & hdcr::HPMN;
        cp15::hdcr::write(
            counters | hdcr::TPMCR | hdcr::TPM | hdcr::TDA | hdcr::TDOSA | hdcr::TDRA,
        );
        cp15::hcptr::write(hcptr::TCP10 | hcptr::TCP11 | hcptr::OTHERS | hcptr::TTA);
        cp15::hstr::write(0);
        cp15::cnthctl::write(cnthctl::PL1PCTEN);
        cp15::cntvoff::write(self.vm.counter_offset());
        cp15::vpidr::write(cp15::midr::read());
        cp15::vmpidr::write(1 << 31 | self.index as u32);
        for zero in [
            cp15::csselr::write,
            cp15::cpacr::write,
            cp15::ttbcr::write,
            cp15::dacr::write,
            cp15::dfsr::write,
            cp15::ifsr::write,
            cp15::adfsr::write,
            cp15::aifsr::write,
            cp15::dfar::write,
            cp15::ifar::write,
            cp15::mair0::write,
            cp15::mair1::write,
            cp15::amair0::write,
            cp15::amair1::write,
            cp15::vbar::write,
            cp15::contextidr::write,
            cp15::tpidrurw::write,
            cp15::tpidruro::write,
            cp15::tpidrprw::write,
            cp15::cntkctl::write,
            cp15::cntv_ctl::write,
        ] {
            zero(0);
        }
        for zero in [
            cp15::ttbr0::write,
            cp15::ttbr1::write,
            cp15::par::write,
            cp15::cntv_cval::write,
        ] {
            zero(0);
        }
        cp15::sctlr::write(SCTLR_RESET);
        for mode in banked::MODES {
            for n in 8..15 {
                banked::write(mode, n, 0);
            }
            banked::write_spsr(mode, 0);
        }
        let thumb = if start.thumb { psr::T } else { 0 };
        let cpsr = Mode::Supervisor as u32 | psr::A | psr::I | psr::F | thumb;
        self.frame = Frame::start(start.entry, cpsr, start.registers);
        // The registers may hold another guest's values.
        vfp::on();
        vfp::restore(&skep_arm::state::SimdState {
            d: [0; 32],
            fpscr: 0,
            fpexc: 0,
        });
        vfp::off();
        cp15::isb();
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
