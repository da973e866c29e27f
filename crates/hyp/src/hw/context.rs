//! What a vCPU has in the core's registers while it is loaded, beyond the [`Frame`] of an exit: saved
//! when another vCPU comes. Floating-point registers are apart, in [`vfp`], and so is the virtual CPU
//! interface, in [`crate::vgic`].
//!
//! [`Frame`]: super::switch::Frame
//! [`vfp`]: super::vfp

use skep_hyp::spec::{SCTLR_RESET, timer};

use super::{banked, cp15, gic};

macro_rules! context {
    ($($register:ident: $type:ty,)*) => {
        /// CP15 registers of the PL1&0 regime, and ThumbEE's, by their names.
        #[derive(Clone, Copy, Default)]
        #[allow(missing_docs)]
        pub struct System {
            $(pub $register: $type,)*
        }

        impl System {
            fn save(&mut self) {
                $(self.$register = cp15::$register::read();)*
            }

            fn load(&self) {
                $(cp15::$register::write(self.$register);)*
            }
        }
    };
}

context! {
    csselr: u32,
    sctlr: u32,
    cpacr: u32,
    ttbcr: u32,
    ttbr0: u64,
    ttbr1: u64,
    dacr: u32,
    dfsr: u32,
    ifsr: u32,
    adfsr: u32,
    aifsr: u32,
    dfar: u32,
    ifar: u32,
    par: u64,
    mair0: u32,
    mair1: u32,
    amair0: u32,
    amair1: u32,
    vbar: u32,
    contextidr: u32,
    tpidrurw: u32,
    tpidruro: u32,
    tpidrprw: u32,
    cntkctl: u32,
    teecr: u32,
    teehbr: u32,
}

/// A timer of the guest's own: the virtual or the physical one.
#[derive(Clone, Copy, Default)]
pub struct Timer {
    /// CNTV_CTL, CNTP_CTL.
    pub control: u32,
    /// CNTV_CVAL, CNTP_CVAL.
    pub compare: u64,
    /// Its interrupt has been taken by the hypervisor, and not been ended by the guest.
    pub active: bool,
}

impl Timer {
    /// When it fires, by its own counter; `None` if it does not, or has already.
    pub fn deadline(&self) -> Option<u64> {
        let fires = self.control & (timer::ENABLE | timer::IMASK) == timer::ENABLE;
        (fires && !self.active).then_some(self.compare)
    }
}

/// A vCPU that is not loaded.
#[derive(Clone, Copy, Default)]
pub struct Context {
    /// CP15.
    pub system: System,
    /// Registers that are banked by mode.
    pub banked: banked::Bank,
    /// The virtual timer.
    pub virt: Timer,
    /// The physical timer.
    pub phys: Timer,
}

/// The physical interrupts of the timers.
#[derive(Clone, Copy)]
pub struct Intids {
    /// The virtual timer's.
    pub virt: u32,
    /// The physical timer's.
    pub phys: u32,
}

impl Context {
    /// A vCPU after reset: MMU and caches off.
    pub fn reset() -> Self {
        let mut context = Context::default();
        context.system.sctlr = SCTLR_RESET;
        context
    }

    /// Takes the registers from the core, and stops its timers.
    pub fn save(&mut self, intids: Intids) {
        self.system.save();
        banked::save(&mut self.banked);
        self.virt.control = cp15::cntv_ctl::read();
        self.virt.compare = cp15::cntv_cval::read();
        self.phys.control = cp15::cntp_ctl::read();
        self.phys.compare = cp15::cntp_cval::read();
        stop_timers();
        for (timer, intid) in [(&mut self.virt, intids.virt), (&mut self.phys, intids.phys)] {
            timer.active = gic::is_active(intid);
            if timer.active {
                gic::clear_active(intid);
            }
        }
    }

    /// Puts the registers into the core, whose timers are stopped, and starts them.
    pub fn load(&self, intids: Intids) {
        self.system.load();
        banked::load(&self.banked);
        for (timer, intid) in [(&self.virt, intids.virt), (&self.phys, intids.phys)] {
            if timer.active {
                gic::set_active(intid);
            }
        }
        cp15::cntv_cval::write(self.virt.compare);
        cp15::cntv_ctl::write(self.virt.control);
        cp15::cntp_cval::write(self.phys.compare);
        cp15::cntp_ctl::write(self.phys.control);
    }
}

/// Stops the timers of whoever is loaded.
pub fn stop_timers() {
    cp15::cntv_ctl::write(0);
    cp15::cntp_ctl::write(0);
    cp15::isb();
}

/// Stops the timers for good, and ends their interrupts: the vCPU is off.
pub fn forget(intids: Intids) {
    stop_timers();
    gic::clear_active(intids.virt);
    gic::clear_active(intids.phys);
}
