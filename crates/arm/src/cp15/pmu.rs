//! The performance monitors (manual chapter C12): a cycle counter, and event counters that count
//! cycles or software increments.
//!
//! Counters are not stepped: each holds its value at a moment of the cycle count that the engine
//! injects, and what it is now is computed when somebody looks.

use super::spec::pmcr;

/// The largest number of event counters: Cortex-A15's.
pub const MAX_COUNTERS: usize = 6;
/// The bit of PMCCNTR in PMCNTENSET, PMOVSR and PMINTENSET.
pub const CYCLE: u32 = 1 << 31;
/// Event 0x00: software increment.
const SW_INCR: u32 = 0x00;
/// Event 0x11: cycle.
const CPU_CYCLES: u32 = 0x11;

/// Performance monitor registers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pmu {
    /// PMCR: the bits that hold what was written.
    pub pmcr: u32,
    /// PMCNTENSET.
    pub pmcnten: u32,
    /// PMOVSR, as of `synced`.
    pub pmovsr: u32,
    /// PMSELR.
    pub pmselr: u32,
    /// PMUSERENR.
    pub pmuserenr: u32,
    /// PMINTENSET.
    pub pminten: u32,
    /// PMCCNTR, as of `synced`.
    pub pmccntr: u32,
    /// PMCCFILTR: filters by mode are kept, and not applied.
    pub pmccfiltr: u32,
    /// PMXEVTYPER of each event counter.
    pub pmevtyper: [u32; MAX_COUNTERS],
    /// PMXEVCNTR of each event counter, as of `synced`.
    pub pmevcntr: [u32; MAX_COUNTERS],
    /// The engine's cycle count at which the counters had the values above.
    pub synced: u64,
    /// Cycles since PMCCNTR last advanced, when PMCR.D divides by 64.
    pub divider: u8,
}

impl Pmu {
    /// Events that the counters count, as PMCEID0 tells them.
    pub const EVENTS: u32 = 1 << SW_INCR | 1 << CPU_CYCLES;

    fn counts(&self, counter: usize) -> bool {
        self.pmcr & pmcr::E != 0
            && self.pmcnten >> counter & 1 != 0
            && self
                .pmevtyper
                .get(counter)
                .is_some_and(|t| t & 0xff == CPU_CYCLES)
    }

    /// Brings the counters and the overflow flags up to the cycle count `cycles`.
    pub fn sync(&mut self, cycles: u64) {
        let elapsed = cycles.wrapping_sub(self.synced);
        self.synced = cycles;
        let advance = |value: &mut u32, by: u64| -> bool {
            let sum = u64::from(*value).saturating_add(by);
            *value = sum as u32;
            sum > u64::from(u32::MAX)
        };
        for n in 0..MAX_COUNTERS {
            if self.counts(n)
                && let Some(counter) = self.pmevcntr.get_mut(n)
                && advance(counter, elapsed)
            {
                self.pmovsr |= 1 << n;
            }
        }
        if self.pmcr & pmcr::E == 0 || self.pmcnten & CYCLE == 0 {
            return;
        }
        let ticks = if self.pmcr & pmcr::D != 0 {
            let total = elapsed.saturating_add(u64::from(self.divider));
            self.divider = (total % 64) as u8;
            total / 64
        } else {
            elapsed
        };
        if advance(&mut self.pmccntr, ticks) {
            self.pmovsr |= CYCLE;
        }
    }

    /// The registers as they are at the cycle count `cycles`.
    #[must_use]
    pub fn at(&self, cycles: u64) -> Pmu {
        let mut now = self.clone();
        now.sync(cycles);
        now
    }

    /// PMSWINC: increments the counters of `mask` that count software increments.
    pub(super) fn software_increment(&mut self, mask: u32) {
        if self.pmcr & pmcr::E == 0 {
            return;
        }
        let enabled = mask & self.pmcnten;
        for (n, (counter, kind)) in self.pmevcntr.iter_mut().zip(&self.pmevtyper).enumerate() {
            if enabled >> n & 1 != 0 && kind & 0xff == SW_INCR {
                *counter = counter.wrapping_add(1);
                if *counter == 0 {
                    self.pmovsr |= 1 << n;
                }
            }
        }
    }

    /// The interrupt output, a level, at the cycle count `cycles`.
    pub fn interrupt(&self, cycles: u64) -> bool {
        self.pmcr & pmcr::E != 0 && self.pminten != 0 && self.at(cycles).pmovsr & self.pminten != 0
    }

    /// The cycle count at which a counter that may interrupt overflows next. None: none will.
    pub fn deadline(&self, cycles: u64) -> Option<u64> {
        if self.pmcr & pmcr::E == 0 || self.pminten & self.pmcnten == 0 {
            return None;
        }
        let now = self.at(cycles);
        let events = (0..MAX_COUNTERS)
            .filter(|&n| self.pminten >> n & 1 != 0 && self.counts(n))
            .filter_map(|n| now.pmevcntr.get(n))
            .map(|&value| (1 << 32) - u64::from(value));
        let cycle = (self.pminten & self.pmcnten & CYCLE != 0).then(|| {
            let ticks = (1u64 << 32) - u64::from(now.pmccntr);
            if self.pmcr & pmcr::D != 0 {
                ticks * 64 - u64::from(now.divider)
            } else {
                ticks
            }
        });
        cycles.checked_add(events.chain(cycle).min()?)
    }
}
