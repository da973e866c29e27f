//! The CPU interfaces' registers.

use super::distributor::lanes;
use super::spec::*;
use super::{CpuInterfaceState, Gic, Pending};

/// The running priority while no interrupt is active: less urgent than all others.
const IDLE: u32 = 0x100;

impl Gic {
    /// `cpu` reads its CPU interface. Offsets are from the interface's base. Reading GICC_IAR
    /// acknowledges the interrupt.
    pub fn cpu_read(&mut self, cpu: usize, offset: u64, size: u8) -> u64 {
        let Some((register, shift, mask)) = lanes(offset, size).filter(|_| cpu < self.cpu_count)
        else {
            return 0;
        };
        u64::from((self.cpu_read_word(cpu, register) & mask) >> shift)
    }

    /// `cpu` writes its CPU interface. The architecture has only word accesses here; narrower ones
    /// are zero-extended, and have no effect above the register's lowest byte.
    pub fn cpu_write(&mut self, cpu: usize, offset: u64, size: u8, value: u64) {
        if let Some((register, 0, mask)) = lanes(offset, size)
            && cpu < self.cpu_count
        {
            self.cpu_write_word(cpu, register, value as u32 & mask);
        }
    }

    fn cpu_read_word(&mut self, cpu: usize, register: u32) -> u32 {
        let interface = &self.state.cpus[cpu].interface;
        match register {
            gicc::CTLR => interface.ctlr,
            gicc::PMR => u32::from(interface.pmr),
            gicc::BPR => u32::from(interface.bpr),
            gicc::IAR => self.acknowledge(cpu, false),
            gicc::RPR => interface.running_priority().min(0xff),
            gicc::HPPIR => self.highest_pending(cpu, false),
            gicc::ABPR => u32::from(interface.abpr),
            gicc::AIAR => self.acknowledge(cpu, true),
            gicc::AHPPIR => self.highest_pending(cpu, true),
            gicc::APR..gicc::NSAPR => apr(&interface.apr, register),
            gicc::NSAPR..=gicc::NSAPR_END => apr(&interface.nsapr, register),
            gicc::IIDR => gicc::IIDR_VALUE,
            _ => 0,
        }
    }

    fn cpu_write_word(&mut self, cpu: usize, register: u32, value: u32) {
        let interface = &mut self.state.cpus[cpu].interface;
        match register {
            gicc::CTLR => interface.ctlr = value & gicc::CTLR_MASK,
            gicc::PMR => interface.pmr = value as u8,
            gicc::BPR => interface.bpr = value as u8 & 7,
            gicc::ABPR => interface.abpr = (value as u8 & 7).max(gicc::ABPR_MIN),
            gicc::EOIR => return self.end_of_interrupt(cpu, value & 0x3ff, false),
            gicc::AEOIR => return self.end_of_interrupt(cpu, value & 0x3ff, true),
            gicc::APR..gicc::NSAPR => set_apr(&mut interface.apr, register, value),
            gicc::NSAPR..=gicc::NSAPR_END => set_apr(&mut interface.nsapr, register, value),
            gicc::DIR => return self.deactivate(cpu, value & 0x3ff),
            _ => return,
        }
        self.update(1 << cpu);
    }

    /// Whether a pending interrupt is signalled to the CPU: its group is enabled there, and it is
    /// more urgent than the priority mask and than what the CPU is handling.
    pub(super) fn is_signalled(&self, cpu: usize, pending: Pending) -> bool {
        let interface = &self.state.cpus[cpu].interface;
        let enable = if pending.group1 {
            gicc::CTLR_ENABLE_GRP1
        } else {
            gicc::CTLR_ENABLE_GRP0
        };
        // What runs may have been acknowledged under another binary point: it is the group
        // priorities under the present one that must differ.
        let mask = interface.group_mask(pending.group1);
        interface.ctlr & enable != 0
            && pending.priority < interface.pmr
            && u32::from(pending.priority) & mask < interface.running_priority() & mask
    }

    /// What GICC_IAR and GICC_HPPIR, or their aliases for Group 1, say instead of an interrupt that
    /// they are not meant for.
    fn hidden(&self, cpu: usize, group1: bool, alias: bool) -> Option<u32> {
        let ack_ctl = self.state.cpus[cpu].interface.ctlr & gicc::CTLR_ACK_CTL != 0;
        match (group1, alias) {
            (true, false) if !ack_ctl => Some(SPURIOUS_GROUP1),
            (false, true) => Some(SPURIOUS),
            _ => None,
        }
    }

    fn acknowledge(&mut self, cpu: usize, alias: bool) -> u32 {
        let Some(pending) = self.best[cpu].filter(|&p| self.is_signalled(cpu, p)) else {
            return SPURIOUS;
        };
        if let Some(instead) = self.hidden(cpu, pending.group1, alias) {
            return instead;
        }
        self.state.cpus[cpu].interface.activate(pending);
        let source = if pending.id < INTERNAL {
            self.state.cpus[cpu].private.acknowledge(pending.id)
        } else {
            self.state.spis.acknowledge(pending.id);
            0
        };
        self.set_active(cpu, pending.id, true);
        self.update(self.affected(cpu, pending.id));
        pending.id | source << 10
    }

    fn highest_pending(&self, cpu: usize, alias: bool) -> u32 {
        let interface = &self.state.cpus[cpu].interface;
        // An interface that is off has nothing pending, as in QEMU.
        let on = interface.ctlr & (gicc::CTLR_ENABLE_GRP0 | gicc::CTLR_ENABLE_GRP1) != 0;
        let signalled = |p: &Pending| on && p.priority < interface.pmr;
        let Some(pending) = self.best[cpu].filter(signalled) else {
            return SPURIOUS;
        };
        if let Some(instead) = self.hidden(cpu, pending.group1, alias) {
            return instead;
        }
        let sources = &self.state.cpus[cpu].private.sgi_sources;
        let source = sources
            .get(pending.id as usize)
            .map_or(0, |sources| sources.trailing_zeros() & 7);
        pending.id | source << 10
    }

    /// GICC_EOIR, and GICC_AEOIR which ends Group 1 interrupts only. IDs that do not exist (the
    /// spurious ones among them), and any while no interrupt is active, are ignored.
    fn end_of_interrupt(&mut self, cpu: usize, id: u32, alias: bool) {
        let group1 = self.is_group1(cpu, id);
        let interface = &mut self.state.cpus[cpu].interface;
        if id >= INTIDS || (alias && !group1) || interface.running_priority() == IDLE {
            return;
        }
        interface.drop_priority(group1);
        if interface.ctlr & gicc::CTLR_EOI_MODE == 0 {
            self.set_active(cpu, id, false);
            self.update(self.affected(cpu, id));
        } else {
            self.update(1 << cpu);
        }
    }

    /// GICC_DIR, which works only while GICC_CTLR separates it from GICC_EOIR.
    fn deactivate(&mut self, cpu: usize, id: u32) {
        let ctlr = self.state.cpus[cpu].interface.ctlr;
        if id < INTIDS && ctlr & gicc::CTLR_EOI_MODE != 0 {
            self.set_active(cpu, id, false);
            self.update(self.affected(cpu, id));
        }
    }
}

impl CpuInterfaceState {
    /// The bits of a priority that are its group priority, which is what preemption compares.
    /// GICC_BPR (3.3.3) tells how many of the lower bits are not: one more than its value, and for
    /// Group 1 GICC_ABPR's value, unless GICC_CTLR.CBPR makes GICC_BPR count for both.
    fn group_mask(&self, group1: bool) -> u32 {
        let subpriority = if group1 && self.ctlr & gicc::CTLR_CBPR == 0 {
            self.abpr
        } else {
            self.bpr + 1
        };
        u32::MAX << subpriority
    }

    /// The group priority of the most urgent active interrupt, or [`IDLE`].
    pub(super) fn running_priority(&self) -> u32 {
        for (n, (apr, nsapr)) in self.apr.iter().zip(&self.nsapr).enumerate() {
            let active = apr | nsapr;
            if active != 0 {
                return (32 * n as u32 + active.trailing_zeros()) << 1;
            }
        }
        IDLE
    }

    fn activate(&mut self, pending: Pending) {
        let level = (u32::from(pending.priority) & self.group_mask(pending.group1)) >> 1;
        let active = if pending.group1 {
            &mut self.nsapr
        } else {
            &mut self.apr
        };
        if let Some(word) = active.get_mut(level as usize / 32) {
            *word |= 1 << (level % 32);
        }
    }

    /// The most urgent active priority of a group is active no more.
    fn drop_priority(&mut self, group1: bool) {
        let active = if group1 {
            &mut self.nsapr
        } else {
            &mut self.apr
        };
        if let Some(word) = active.iter_mut().find(|word| **word != 0) {
            *word &= *word - 1;
        }
    }
}

fn apr(words: &[u32; 4], register: u32) -> u32 {
    words[register as usize / 4 % 4]
}

fn set_apr(words: &mut [u32; 4], register: u32, value: u32) {
    words[register as usize / 4 % 4] = value;
}
