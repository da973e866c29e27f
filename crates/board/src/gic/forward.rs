//! The distributor alone, in front of hardware virtual CPU interfaces (Arm IHI 0048B.b, chapter 5).
//!
//! A hypervisor emulates the distributor, and gives a guest the hardware's virtual CPU interface. It
//! moves interrupts from here to list registers by [`Gic::forward`], and tells when one has left its
//! list register by [`Gic::finish`]. In between the interrupt is active here, whatever the list
//! register says. The CPU interfaces of this model are not used.

use super::spec::{INTERNAL, SGIS};
use super::{Gic, SPI_WORDS};

/// An interrupt for a list register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// Interrupt ID.
    pub id: u32,
    /// Its priority, lower is more urgent.
    pub priority: u8,
    /// Whether it is in Group 1.
    pub group1: bool,
    /// The CPU that an SGI comes from.
    pub source: u8,
    /// Whether it is pending by the level of its line: when it ends the line counts again.
    pub level: bool,
}

impl Gic {
    /// Whether, since the last call, anything may have changed of [`concerned`](Self::concerned). Costs
    /// nothing. Whoever is told looks at all CPUs.
    pub fn has_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// The CPUs that [`forward`](Self::forward) has an interrupt for, a bit a CPU.
    pub fn waiting(&self) -> u8 {
        (0..self.cpu_count).fold(0, |cpus, cpu| {
            cpus | u8::from(self.best[cpu].is_some()) << cpu
        })
    }

    /// The CPUs whose list registers are to be looked at: [`waiting`](Self::waiting), or an interrupt
    /// that they hold is [pending again](Self::pending_again). A bit a CPU.
    pub fn concerned(&self) -> u8 {
        let spis = &self.state.spis;
        let mut again = [0; SPI_WORDS];
        for (word, again) in again.iter_mut().enumerate() {
            *again = spis.latched[word] & spis.enabled[word] & spis.active[word];
        }
        (0..self.cpu_count).fold(self.waiting(), |cpus, cpu| {
            let private = &self.state.cpus[cpu].private;
            // Levels count again when the interrupt ends.
            let latched = private.pending() & !(private.lines & !private.edge & !private.latched);
            let mut pending = latched & private.enabled & private.active;
            for (word, again) in again.iter().enumerate() {
                pending |= again & self.targeted[cpu][word];
            }
            cpus | u8::from(pending != 0) << cpu
        })
    }

    /// Takes the most urgent interrupt for a CPU. It counts as active until
    /// [`finish`](Self::finish).
    pub fn forward(&mut self, cpu: usize) -> Option<Forwarded> {
        let pending = (*self.best.get(cpu)?)?;
        let id = pending.id;
        let level = self.is_level(cpu, id);
        let source = self.take_pending(cpu, id);
        self.set_active(cpu, id, true);
        self.update(self.affected(cpu, id));
        Some(Forwarded {
            id,
            priority: pending.priority,
            group1: pending.group1,
            source,
            level,
        })
    }

    /// An interrupt that was forwarded and is not finished, if it has become pending again by an edge,
    /// by software or from another source of an SGI, and is enabled. It is taken; its list register
    /// gets the pending state beside the active one, or another list register is for the SGI of
    /// another source.
    pub fn pending_again(&mut self, cpu: usize, id: u32) -> Option<Forwarded> {
        let bit = 1 << (id % 32);
        let again = if id < INTERNAL {
            let private = &self.state.cpus.get(cpu)?.private;
            let sgi = private.sgi_sources.get(id as usize).copied();
            (private.latched & bit != 0 || sgi.is_some_and(|sources| sources != 0))
                && private.enabled & bit != 0
        } else {
            let (word, spis) = ((id - INTERNAL) as usize / 32, &self.state.spis);
            spis.latched.get(word)? & spis.enabled.get(word)? & bit != 0
        };
        again.then(|| Forwarded {
            id,
            priority: self.priority(cpu, id),
            group1: self.is_group1(cpu, id),
            source: self.take_pending(cpu, id),
            level: false,
        })
    }

    /// A forwarded interrupt has ended.
    pub fn finish(&mut self, cpu: usize, id: u32) {
        if cpu < self.cpu_count {
            self.set_active(cpu, id, false);
            self.update(self.affected(cpu, id));
        }
    }

    /// Takes an interrupt back that was forwarded and that the CPU has not acknowledged. `source` and
    /// `level` are as [`forward`](Self::forward) gave them.
    pub fn recall(&mut self, cpu: usize, id: u32, source: u8, level: bool) {
        if !level {
            self.put_back(cpu, id, source);
        }
        self.finish(cpu, id);
    }

    /// Makes an interrupt pending again for which there was no list register after
    /// [`pending_again`](Self::pending_again).
    pub fn put_back(&mut self, cpu: usize, id: u32, source: u8) {
        let bit = 1 << (id % 32);
        let Some(cpu) = self.state.cpus.get_mut(cpu) else {
            return;
        };
        let word = (id / 32) as usize;
        if let Some(sources) = cpu.private.sgi_sources.get_mut(id as usize) {
            *sources |= 1 << (source & 7);
        } else if word == 0 {
            cpu.private.latched |= bit;
        } else if let Some(latched) = self.state.spis.latched.get_mut(word - 1) {
            *latched |= bit;
        }
    }

    /// Makes a PPI pending, as an edge would, whatever its configuration: what a physical interrupt
    /// that is linked to it does.
    pub fn latch_ppi(&mut self, cpu: usize, intid: u32) {
        if cpu < self.cpu_count && (SGIS..INTERNAL).contains(&intid) {
            self.state.cpus[cpu].private.latched |= 1 << intid;
            self.update(1 << cpu);
        }
    }

    /// Makes an SPI pending, as an edge would, whatever its configuration: what a physical interrupt
    /// that is linked to it does. SPIs that do not exist are ignored.
    pub fn latch_spi(&mut self, n: u32) {
        let bit = 1 << (n % 32);
        if let Some(latched) = self.state.spis.latched.get_mut(n as usize / 32) {
            *latched |= bit;
            self.update(self.state.spis.targets[n as usize]);
        }
    }

    fn take_pending(&mut self, cpu: usize, id: u32) -> u8 {
        if id < INTERNAL {
            self.state.cpus[cpu].private.acknowledge(id) as u8
        } else {
            self.state.spis.acknowledge(id);
            0
        }
    }

    fn is_level(&self, cpu: usize, id: u32) -> bool {
        let bit = 1 << (id % 32);
        if id < INTERNAL {
            let private = &self.state.cpus[cpu].private;
            private.lines & !private.edge & bit != 0
        } else {
            let (word, spis) = ((id - INTERNAL) as usize / 32, &self.state.spis);
            spis.lines[word] & !spis.edge[word] & bit != 0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gic::spec::gicd;

    /// A distributor for two CPUs with SPI 1 for CPU 0, PPI 27 and everything at priority 0xa0.
    fn distributor() -> Gic {
        let mut gic = Gic::new(2);
        gic.dist_write(0, gicd::CTLR.into(), 4, 1);
        gic.dist_write(0, u64::from(gicd::ISENABLER) + 4, 4, 1 << 1);
        gic.dist_write(0, u64::from(gicd::ISENABLER), 4, 1 << 27);
        gic.dist_write(0, u64::from(gicd::ITARGETSR) + 33, 1, 1);
        gic.dist_write(0, u64::from(gicd::IPRIORITYR) + 33, 1, 0xa0);
        gic
    }

    #[test]
    fn a_level_counts_again_when_the_interrupt_ends() {
        let mut gic = distributor();
        gic.set_spi(1, true);
        assert_eq!(gic.waiting(), 1);
        let expected = Forwarded {
            id: 33,
            priority: 0xa0,
            group1: false,
            source: 0,
            level: true,
        };
        assert_eq!(gic.forward(0), Some(expected));
        assert_eq!((gic.forward(0), gic.waiting()), (None, 0));
        assert_eq!(gic.concerned(), 0);
        gic.finish(0, 33);
        assert_eq!(gic.forward(0), Some(expected));
        gic.set_spi(1, false);
        gic.finish(0, 33);
        assert_eq!(gic.forward(0), None);
    }

    #[test]
    fn changes_are_told_once() {
        let mut gic = distributor();
        assert!(gic.has_changed());
        assert!(!gic.has_changed());
        gic.dist_read(0, gicd::TYPER.into(), 4);
        gic.set_spi(1, false);
        assert!(!gic.has_changed());
        gic.set_spi(1, true);
        assert!(gic.has_changed());
        assert_eq!(gic.forward(0).map(|f| f.id), Some(33));
        gic.dist_write(1, gicd::SGIR.into(), 4, 1 << 16 | 5);
        assert!(gic.has_changed());
    }

    #[test]
    fn a_latched_ppi_comes_once_and_waits_until_it_is_enabled() {
        let mut gic = distributor();
        gic.latch_ppi(0, 27);
        gic.latch_ppi(1, 27);
        assert_eq!(gic.waiting(), 1);
        assert_eq!(gic.forward(0).map(|f| (f.id, f.level)), Some((27, false)));
        gic.finish(0, 27);
        assert_eq!(gic.waiting(), 0);
        gic.dist_write(1, u64::from(gicd::ISENABLER), 4, 1 << 27);
        assert_eq!(gic.forward(1).map(|f| f.id), Some(27));
    }

    #[test]
    fn a_latched_spi_comes_once_whatever_its_line() {
        let mut gic = distributor();
        gic.latch_spi(1);
        let forwarded = gic.forward(0).unwrap();
        assert_eq!((forwarded.id, forwarded.level), (33, false));
        gic.finish(0, 33);
        assert_eq!(gic.waiting(), 0);
        gic.latch_spi(4000);
        gic.latch_spi(2);
        assert_eq!(gic.waiting(), 0);
        gic.dist_write(0, u64::from(gicd::ITARGETSR) + 34, 1, 2);
        gic.dist_write(0, u64::from(gicd::ISENABLER) + 4, 4, 1 << 2);
        assert_eq!(gic.waiting(), 2);
    }

    #[test]
    fn what_is_recalled_comes_again() {
        let mut gic = distributor();
        gic.set_spi(1, true);
        gic.latch_ppi(0, 27);
        gic.dist_write(1, gicd::SGIR.into(), 4, 1 << 16 | 5);
        let take =
            |gic: &mut Gic| -> [Option<Forwarded>; 3] { core::array::from_fn(|_| gic.forward(0)) };
        let before = take(&mut gic);
        assert_eq!(
            before.map(|f| f.map(|f| f.id)),
            [Some(5), Some(27), Some(33)]
        );
        for forwarded in before.into_iter().flatten() {
            gic.recall(0, forwarded.id, forwarded.source, forwarded.level);
        }
        // Disabled in between, it stays.
        gic.dist_write(0, gicd::ICENABLER.into(), 4, 1 << 27);
        assert_eq!(take(&mut gic), [before[0], before[2], None]);
        // A level that has gone does not come back.
        gic.recall(0, 33, 0, true);
        gic.set_spi(1, false);
        assert_eq!(gic.forward(0), None);
    }

    #[test]
    fn an_sgi_comes_once_from_each_source() {
        let mut gic = distributor();
        for source in [0, 1] {
            gic.dist_write(source, gicd::SGIR.into(), 4, 1 << 16 | 5);
        }
        assert_eq!(gic.forward(0).map(|f| (f.id, f.source)), Some((5, 0)));
        assert_eq!(gic.forward(0), None);
        assert_eq!((gic.waiting(), gic.concerned()), (0, 1));
        assert_eq!(gic.pending_again(0, 5).map(|f| f.source), Some(1));
        assert_eq!(gic.concerned(), 0);
        gic.put_back(0, 5, 1);
        assert_eq!(gic.pending_again(0, 5).map(|f| f.source), Some(1));
        assert_eq!(gic.pending_again(0, 5), None);
        gic.finish(0, 5);
        assert_eq!(gic.waiting(), 0);
    }

    #[test]
    fn cpus_and_interrupts_that_do_not_exist_are_ignored() {
        let mut gic = distributor();
        assert_eq!(gic.forward(2), None);
        assert_eq!(gic.pending_again(9, 5), None);
        assert_eq!(gic.pending_again(0, 4000), None);
        gic.finish(9, 5);
        gic.recall(9, 5, 0, false);
        gic.recall(0, 4000, 0, false);
        gic.finish(0, 4000);
        gic.latch_ppi(0, 5);
        gic.latch_ppi(9, 27);
        assert_eq!(gic.waiting(), 0);
    }
}
