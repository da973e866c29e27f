//! Floating-point and Advanced SIMD registers of guests. The hypervisor itself has none: it is
//! compiled for soft float, and its use would trap (manual B1.11.3).

use alloc::vec::Vec;
use core::arch::asm;

use skep_arm::state::SimdState;
use skep_hyp::spec::hcptr;

use super::cp15;

/// Whether the registers are the loaded guest's, and can be used without a trap.
pub fn is_on() -> bool {
    cp15::hcptr::read() & (hcptr::TCP10 | hcptr::TCP11) == 0
}

/// Lets the guest, and the functions here, use the registers.
pub fn on() {
    cp15::hcptr::write(cp15::hcptr::read() & !(hcptr::TCP10 | hcptr::TCP11));
    cp15::isb();
}

/// Makes the guest trap when it uses the registers.
pub fn off() {
    cp15::hcptr::write(cp15::hcptr::read() | hcptr::TCP10 | hcptr::TCP11);
    cp15::isb();
}

/// Reads the registers, which are [on](is_on).
pub fn save(state: &mut SimdState) {
    debug_assert!(is_on());
    // SAFETY: stores 32 doublewords, which is what the array has.
    unsafe {
        asm!(
            ".fpu neon-vfpv4",
            "vmrs {fpexc}, fpexc",
            "orr {enable}, {fpexc}, #0x40000000",
            "vmsr fpexc, {enable}",
            "vmrs {fpscr}, fpscr",
            "vstmia {at}!, {{d0-d15}}",
            "vstmia {at}!, {{d16-d31}}",
            "vmsr fpexc, {fpexc}",
            at = inout(reg) state.d.as_mut_ptr() => _,
            fpexc = out(reg) state.fpexc,
            fpscr = out(reg) state.fpscr,
            enable = out(reg) _,
            options(nostack)
        );
    }
}

/// Writes the registers, which are [on](is_on).
pub fn restore(state: &SimdState) {
    debug_assert!(is_on());
    // SAFETY: loads 32 doublewords, which is what the array has.
    unsafe {
        asm!(
            ".fpu neon-vfpv4",
            "orr {enable}, {fpexc}, #0x40000000",
            "vmsr fpexc, {enable}",
            "vmsr fpscr, {fpscr}",
            "vldmia {at}!, {{d0-d15}}",
            "vldmia {at}!, {{d16-d31}}",
            "vmsr fpexc, {fpexc}",
            at = inout(reg) state.d.as_ptr() => _,
            fpexc = in(reg) state.fpexc,
            fpscr = in(reg) state.fpscr,
            enable = out(reg) _,
            options(nostack)
        );
    }
}

/// Whose floating-point registers are in the core. A vCPU that uses them first after another one takes
/// them: they are not switched for those that don't.
pub struct Bank {
    states: Vec<SimdState>,
    owner: Option<usize>,
}

const RESET: SimdState = SimdState {
    d: [0; 32],
    fpscr: 0,
    fpexc: 0,
};

impl Bank {
    /// For so many vCPUs, with registers that are zero.
    pub fn new(vcpus: usize) -> Self {
        Bank {
            states: alloc::vec![RESET; vcpus],
            owner: None,
        }
    }

    /// This vCPU has been loaded: it can use the registers if they are its own.
    pub fn loaded(&self, vcpu: usize) {
        if self.owner == Some(vcpu) {
            on();
        } else {
            off();
        }
    }

    /// The vCPU that is loaded uses the registers.
    pub fn claim(&mut self, vcpu: usize) {
        on();
        if let Some(state) = self.owner.and_then(|owner| self.states.get_mut(owner)) {
            save(state);
        }
        if let Some(state) = self.states.get(vcpu) {
            restore(state);
            self.owner = Some(vcpu);
        }
    }

    /// The vCPU is off: what it had in the registers is lost.
    pub fn forget(&mut self, vcpu: usize) {
        if self.owner == Some(vcpu) {
            self.owner = None;
            off();
        }
        if let Some(state) = self.states.get_mut(vcpu) {
            *state = RESET;
        }
    }
}
