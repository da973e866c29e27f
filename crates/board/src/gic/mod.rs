//! GICv2 interrupt controller without the Security Extensions: distributor and CPU interfaces for
//! up to 8 CPUs.
//!
//! As the architecture has it, there are two interrupt groups even so; software that ignores them
//! has everything in Group 0. Group 0 interrupts signal by FIQ if the CPU interface says so.
//!
//! Interrupts live in bitmaps, so that finding the one to signal takes a handful of word operations
//! and looks only at the priorities of those that are really pending. After each change that matters
//! the interrupt is found anew for the CPUs concerned; [`Gic::irq_outputs`] costs nothing.

mod distributor;
mod forward;
mod interface;
pub mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use forward::Forwarded;
pub use state::{CpuInterfaceState, GicCpuState, GicState, PrivateState, SPI_WORDS, SpiState};

use crate::map::MAX_CPUS;
use spec::*;

/// The interrupt that a CPU interface would signal or deliver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pending {
    /// Interrupt ID, below [`INTIDS`].
    id: u32,
    /// Its priority, lower is more urgent.
    priority: u8,
    /// Whether it is in Group 1.
    group1: bool,
}

/// GICv2: the distributor and up to 8 CPU interfaces.
///
/// Interrupt lines go in by [`set_spi`](Self::set_spi) and [`set_ppi`](Self::set_ppi); after each
/// call that takes `&mut self`, [`irq_outputs`](Self::irq_outputs) and
/// [`fiq_outputs`](Self::fiq_outputs) have the CPUs to interrupt.
pub struct Gic {
    cpu_count: usize,
    state: GicState,
    /// For each CPU, the SPIs that target it: GICD_ITARGETSRn turned round.
    targeted: [[u32; SPI_WORDS]; MAX_CPUS],
    /// For each CPU, the most urgent pending interrupt.
    best: [Option<Pending>; MAX_CPUS],
    irq: u8,
    fiq: u8,
    /// Something was found anew since [`Gic::has_changed`] asked.
    changed: bool,
}

impl Gic {
    /// A GIC after power-on for `cpus` CPUs; 0 counts as 1, more than 8 as 8.
    pub fn new(cpus: usize) -> Self {
        let mut gic = Gic {
            cpu_count: cpus.clamp(1, MAX_CPUS),
            state: GicState::default(),
            targeted: [[0; SPI_WORDS]; MAX_CPUS],
            best: [None; MAX_CPUS],
            irq: 0,
            fiq: 0,
            changed: false,
        };
        gic.restore(&GicState::default());
        gic
    }

    /// Number of CPUs, 1 to 8.
    pub fn cpus(&self) -> usize {
        self.cpu_count
    }

    /// Back to the state after power-on; devices still drive their lines.
    pub fn reset(&mut self) {
        let mut state = GicState::default();
        state.spis.lines = self.state.spis.lines;
        for (new, old) in state.cpus.iter_mut().zip(&self.state.cpus) {
            new.private.lines = old.private.lines;
        }
        self.restore(&state);
    }

    /// Exports the state.
    pub fn save(&self) -> GicState {
        self.state.clone()
    }

    /// Takes over a saved state. Bits that a register does not have are dropped, and CPUs that
    /// this GIC does not have are reset.
    pub fn restore(&mut self, state: &GicState) {
        self.state = state.clone();
        let all = self.all_cpus();
        self.state.ctlr &= gicd::CTLR_MASK;
        for target in &mut self.state.spis.targets {
            *target = if self.cpu_count == 1 {
                1
            } else {
                *target & all
            };
        }
        for (n, cpu) in self.state.cpus.iter_mut().enumerate() {
            if n >= self.cpu_count {
                *cpu = GicCpuState::default();
                continue;
            }
            let private = &mut cpu.private;
            private.enabled |= 0xffff;
            private.edge |= 0xffff;
            private.latched &= !0xffff;
            private.lines &= !0xffff;
            for sources in &mut private.sgi_sources {
                *sources &= all;
            }
            let interface = &mut cpu.interface;
            interface.ctlr &= gicc::CTLR_MASK;
            interface.bpr &= 7;
            interface.abpr = (interface.abpr & 7).max(gicc::ABPR_MIN);
        }
        for spi in 0..SPIS {
            self.retarget(spi);
        }
        self.update(all);
    }

    /// Drives the line of SPI `n` (interrupt ID 32 + n). SPIs that do not exist are ignored.
    pub fn set_spi(&mut self, n: u32, level: bool) {
        let (word, bit) = (n as usize / 32, 1 << (n % 32));
        let spis = &mut self.state.spis;
        let Some(lines) = spis.lines.get_mut(word) else {
            return;
        };
        if (*lines & bit != 0) == level {
            return;
        }
        *lines ^= bit;
        let edge = spis.edge[word] & bit != 0;
        if edge {
            if !level {
                return;
            }
            spis.latched[word] |= bit;
        }
        self.update(self.state.spis.targets[n as usize]);
    }

    /// Drives the line of a private peripheral interrupt: `intid` is 16 to 31. Others, and CPUs
    /// that do not exist, are ignored.
    pub fn set_ppi(&mut self, cpu: usize, intid: u32, level: bool) {
        if cpu >= self.cpu_count || !(SGIS..INTERNAL).contains(&intid) {
            return;
        }
        let bit = 1 << intid;
        let private = &mut self.state.cpus[cpu].private;
        if (private.lines & bit != 0) == level {
            return;
        }
        private.lines ^= bit;
        if level && private.edge & bit != 0 {
            private.latched |= bit;
        }
        self.update(1 << cpu);
    }

    /// The CPUs whose IRQ line is asserted, a bit a CPU.
    pub fn irq_outputs(&self) -> u8 {
        self.irq
    }

    /// The CPUs whose FIQ line is asserted, a bit a CPU.
    pub fn fiq_outputs(&self) -> u8 {
        self.fiq
    }

    fn all_cpus(&self) -> u8 {
        (0xffu32 >> (MAX_CPUS - self.cpu_count)) as u8
    }

    /// After GICD_ITARGETSRn changed for an SPI.
    fn retarget(&mut self, spi: u32) {
        let (word, bit) = (spi as usize / 32, 1 << (spi % 32));
        let targets = self.state.spis.targets[spi as usize];
        for (cpu, targeted) in self.targeted.iter_mut().enumerate() {
            if targets & (1 << cpu) != 0 {
                targeted[word] |= bit;
            } else {
                targeted[word] &= !bit;
            }
        }
    }

    /// Finds anew what to signal to some CPUs, a bit a CPU.
    fn update(&mut self, mut cpus: u8) {
        self.changed = true;
        cpus &= self.all_cpus();
        while cpus != 0 {
            let cpu = cpus.trailing_zeros() as usize;
            cpus &= cpus - 1;
            let best = self.find_best(cpu);
            self.best[cpu] = best;
            let (irq, fiq) = match best {
                Some(pending) if self.is_signalled(cpu, pending) => {
                    let ctlr = self.state.cpus[cpu].interface.ctlr;
                    let fiq = !pending.group1 && ctlr & gicc::CTLR_FIQ_EN != 0;
                    (!fiq, fiq)
                }
                _ => (false, false),
            };
            self.irq = self.irq & !(1 << cpu) | u8::from(irq) << cpu;
            self.fiq = self.fiq & !(1 << cpu) | u8::from(fiq) << cpu;
        }
    }

    /// The most urgent interrupt that the distributor forwards to a CPU: pending, enabled, not
    /// active, and of a group that GICD_CTLR enables. Of equals, the one with the lowest ID.
    fn find_best(&self, cpu: usize) -> Option<Pending> {
        let grp0 = self.state.ctlr & 1 != 0;
        let grp1 = self.state.ctlr & 2 != 0;
        if !grp0 && !grp1 {
            return None;
        }
        let forwarded =
            |group: u32| (if grp0 { !group } else { 0 }) | (if grp1 { group } else { 0 });
        let mut best: Option<Pending> = None;
        let mut consider = |mut candidates: u32, first: u32, group: u32, priorities: &[u8]| {
            while candidates != 0 {
                let n = candidates.trailing_zeros();
                candidates &= candidates - 1;
                let priority = priorities[n as usize];
                if best.is_none_or(|b| priority < b.priority) {
                    best = Some(Pending {
                        id: first + n,
                        priority,
                        group1: group & (1 << n) != 0,
                    });
                }
            }
        };
        let private = &self.state.cpus[cpu].private;
        consider(
            private.pending() & private.enabled & !private.active & forwarded(private.group),
            0,
            private.group,
            &private.priority,
        );
        let spis = &self.state.spis;
        for word in 0..SPI_WORDS {
            let pending = spis.pending(word) & self.targeted[cpu][word];
            if pending == 0 {
                continue;
            }
            let group = spis.group[word];
            consider(
                pending & spis.enabled[word] & !spis.active[word] & forwarded(group),
                INTERNAL + 32 * word as u32,
                group,
                &spis.priority[32 * word..32 * word + 32],
            );
        }
        best
    }
}

impl PrivateState {
    /// The pending interrupts: PPIs by latch or line, SGIs by source.
    fn pending(&self) -> u32 {
        let mut pending = self.latched | (self.lines & !self.edge);
        // Sixteen bytes looked at as one number: mostly it is zero.
        if u128::from_ne_bytes(self.sgi_sources) != 0 {
            for (sgi, &sources) in self.sgi_sources.iter().enumerate() {
                pending |= u32::from(sources != 0) << sgi;
            }
        }
        pending
    }
}

impl SpiState {
    fn pending(&self, word: usize) -> u32 {
        self.latched[word] | (self.lines[word] & !self.edge[word])
    }
}
