//! The generic timer (manual chapter B8).

use super::spec::{cnt_ctl, cntkctl};

/// Frequency that CNTFRQ holds after reset, Hz.
pub const CNTFRQ_RESET: u32 = 62_500_000;

/// Generic timer registers (manual chapter B8).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timer {
    /// CNTFRQ, Hz.
    pub cntfrq: u32,
    /// CNTKCTL.
    pub cntkctl: u32,
    /// CNTVOFF.
    pub cntvoff: u64,
    /// CNTP_CTL (ENABLE, IMASK; ISTATUS is computed).
    pub cntp_ctl: u32,
    /// CNTP_CVAL.
    pub cntp_cval: u64,
    /// CNTV_CTL.
    pub cntv_ctl: u32,
    /// CNTV_CVAL.
    pub cntv_cval: u64,
    /// CNTHCTL.
    pub cnthctl: u32,
    /// CNTHP_CTL.
    pub cnthp_ctl: u32,
    /// CNTHP_CVAL.
    pub cnthp_cval: u64,
}

/// A timer's condition: the counter has reached the compare value (`TimerConditionMet`; the
/// comparison is of unsigned 64-bit values, manual B8.1.5).
const fn met(count: u64, cval: u64) -> bool {
    count >= cval
}

const fn pending(ctl: u32, cval: u64, count: u64) -> bool {
    ctl & (cnt_ctl::ENABLE | cnt_ctl::IMASK) == cnt_ctl::ENABLE && met(count, cval)
}

/// The CTL register as read, with ISTATUS.
pub(super) const fn control(ctl: u32, cval: u64, count: u64) -> u32 {
    let stored = ctl & (cnt_ctl::ENABLE | cnt_ctl::IMASK);
    if ctl & cnt_ctl::ENABLE != 0 && met(count, cval) {
        stored | cnt_ctl::ISTATUS
    } else {
        stored
    }
}

impl Timer {
    /// The registers after reset: both timers off.
    pub fn reset() -> Self {
        Timer {
            cntfrq: CNTFRQ_RESET,
            ..Timer::default()
        }
    }

    /// CNTVCT, when the physical count is `physical`.
    pub const fn virtual_count(&self, physical: u64) -> u64 {
        physical.wrapping_sub(self.cntvoff)
    }

    /// The physical timer's interrupt output, a level, at this physical count.
    pub const fn phys_pending(&self, physical: u64) -> bool {
        pending(self.cntp_ctl, self.cntp_cval, physical)
    }

    /// The virtual timer's interrupt output, a level, at this physical count.
    pub const fn virt_pending(&self, physical: u64) -> bool {
        pending(self.cntv_ctl, self.cntv_cval, self.virtual_count(physical))
    }

    /// The physical count at which the physical timer's output becomes asserted. None: it is
    /// asserted already, or won't be until a register is written.
    pub fn phys_deadline(&self, physical: u64) -> Option<u64> {
        let on = self.cntp_ctl & (cnt_ctl::ENABLE | cnt_ctl::IMASK) == cnt_ctl::ENABLE;
        (on && !met(physical, self.cntp_cval)).then_some(self.cntp_cval)
    }

    /// The *physical* count at which the virtual timer's output becomes asserted; as
    /// [`Timer::phys_deadline`]. None too when that lies beyond the counter's 64 bits.
    pub fn virt_deadline(&self, physical: u64) -> Option<u64> {
        let on = self.cntv_ctl & (cnt_ctl::ENABLE | cnt_ctl::IMASK) == cnt_ctl::ENABLE;
        let count = self.virtual_count(physical);
        if !on || met(count, self.cntv_cval) {
            return None;
        }
        physical.checked_add(self.cntv_cval - count)
    }

    /// The first of the two timers' deadlines, as a physical count.
    pub fn deadline(&self, physical: u64) -> Option<u64> {
        match (self.phys_deadline(physical), self.virt_deadline(physical)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The physical count at which the event stream next sets the event register (CNTKCTL.EVNTEN,
    /// manual B8.1.3): later than `physical`. None: the stream is off.
    pub fn event_deadline(&self, physical: u64) -> Option<u64> {
        if self.cntkctl & cntkctl::EVNTEN == 0 {
            return None;
        }
        let bit = self.cntkctl >> cntkctl::EVNTI_SHIFT & 15;
        let half = 1u64 << bit;
        // The bit becomes 1 where the count modulo 2 * half is half, and 0 where it is 0.
        let phase = if self.cntkctl & cntkctl::EVNTDIR != 0 {
            0
        } else {
            half
        };
        let period = half << 1;
        let into = self.virtual_count(physical).wrapping_sub(phase) & (period - 1);
        physical.checked_add(period - into)
    }
}
