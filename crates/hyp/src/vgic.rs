//! A vCPU's list registers: how interrupts get from the emulated distributor to the guest.
//!
//! The distributor is `skep-board`'s, the one of the hosted engines: registers and priorities exist
//! once. It knows nothing of list registers; an interrupt that is in one counts as active there until
//! the guest has ended it. The guest takes and ends interrupts in the hardware's virtual CPU
//! interface, without an exit, but for interrupts that are pending by their line's level: their end
//! must be seen, since the line may still be high.

use skep_board::gic::{Forwarded, Gic};
use skep_board::map::{INTID_TIMER_PHYS, INTID_TIMER_VIRT};
use skep_bundle::Wire;
use skep_hyp::spec::gich;

use crate::hw::context::Intids;
use crate::hw::gic;

/// Interrupt ID of the first SPI.
const INTERNAL: u32 = 32;

/// The most list registers that there can be.
const MOST: usize = 64;

/// What a vCPU has in its core's list registers, or will have when it is loaded.
pub struct ListRegisters {
    /// The interrupt in each.
    held: [Option<u16>; MOST],
    count: usize,
    /// The physical interrupts that the timers' are linked to.
    timers: Intids,
    /// The same for interrupts of devices that the VM has for itself.
    wires: &'static [Wire],
    /// While the vCPU is not loaded: the list registers that hold something, GICH_VMCR, GICH_APR.
    saved: [u32; MOST],
    control: u32,
    active: u32,
}

impl ListRegisters {
    /// Nothing: of a vCPU after reset.
    pub fn reset(timers: Intids, wires: &'static [Wire]) -> Self {
        ListRegisters {
            held: [None; MOST],
            count: gic::list_registers().min(MOST),
            timers,
            wires,
            saved: [0; MOST],
            control: 0,
            active: 0,
        }
    }

    /// Takes the virtual interface's state from the core, and turns it off.
    pub fn save(&mut self) {
        for n in 0..self.count {
            if self.held[n].is_some() {
                self.saved[n] = gic::lr(n);
            }
        }
        self.control = gic::h_read(gich::VMCR);
        self.active = gic::h_read(gich::APR);
        gic::h_write(gich::HCR, 0);
    }

    /// Puts the virtual interface's state into the core.
    pub fn load(&self) {
        for n in 0..self.count {
            gic::set_lr(n, self.held[n].map_or(0, |_| self.saved[n]));
        }
        gic::h_write(gich::APR, self.active);
        gic::h_write(gich::VMCR, self.control);
        gic::h_write(gich::HCR, gich::HCR_EN);
    }

    /// Whether an interrupt that it holds waits for the guest. `loaded` tells where to look.
    pub fn is_pending(&self, loaded: bool) -> bool {
        (0..self.count).any(|n| {
            let lr = || if loaded { gic::lr(n) } else { self.saved[n] };
            self.held[n].is_some() && lr() & gich::LR_PENDING != 0
        })
    }

    /// Whether it holds an interrupt that the guest ends by itself.
    pub fn has_linked(&self) -> bool {
        let mut held = self.held[..self.count].iter().flatten();
        held.any(|&id| self.linked(id.into()).is_some())
    }

    /// The physical interrupt that a guest's interrupt is linked to.
    fn linked(&self, id: u32) -> Option<u32> {
        match id {
            INTID_TIMER_VIRT => Some(self.timers.virt),
            INTID_TIMER_PHYS => Some(self.timers.phys),
            _ => {
                let spi = id.wrapping_sub(INTERNAL);
                let wire = self.wires.iter().find(|wire| wire.spi == spi);
                wire.map(|wire| wire.physical)
            }
        }
    }

    /// Takes back what the guest has not taken yet, before it looks at or changes the distributor:
    /// an interrupt in a list register has the priority, group and enable of when it got there.
    pub fn recall(&mut self, distributor: &mut Gic, vcpu: usize) {
        if self.held[..self.count].iter().all(Option::is_none) {
            return;
        }
        let empty = gic::empty_lrs();
        for n in 0..self.count {
            let Some(id) = self.held[n] else { continue };
            let id = u32::from(id);
            let lr = gic::lr(n);
            if empty >> n & 1 != 0 {
                self.release(n, distributor, vcpu);
            } else if lr & (gich::LR_PENDING | gich::LR_ACTIVE) == gich::LR_PENDING {
                let level = lr & (gich::LR_HW | gich::LR_EOI) == gich::LR_EOI;
                if !level {
                    distributor.put_back(vcpu, id, source_of(lr));
                }
                self.release(n, distributor, vcpu);
            }
        }
    }

    /// Brings list registers and distributor together: ended interrupts out, pending ones in.
    pub fn update(&mut self, distributor: &mut Gic, vcpu: usize) {
        let empty = if self.held[..self.count].iter().any(Option::is_some) {
            gic::empty_lrs()
        } else {
            0
        };
        for n in 0..self.count {
            if self.held[n].is_some() && empty >> n & 1 != 0 {
                self.release(n, distributor, vcpu);
            }
        }
        let mut room = true;
        for n in 0..self.count {
            let Some(id) = self.held[n] else { continue };
            // A linked one comes again only after its end, by the hardware.
            if self.linked(id.into()).is_none() {
                room &= self.add_again(id.into(), distributor, vcpu);
            }
        }
        while let Some(n) = self.free() {
            let Some(forwarded) = distributor.forward(vcpu) else {
                break;
            };
            self.fill(n, &forwarded);
        }
        // More than fits: the hardware tells when there is room.
        let more = !room || distributor.waiting() >> vcpu & 1 != 0;
        let control = gich::HCR_EN | if more { gich::HCR_UIE } else { 0 };
        if gic::h_read(gich::HCR) != control {
            gic::h_write(gich::HCR, control);
        }
    }

    fn free(&self) -> Option<usize> {
        (0..self.count).find(|&n| self.held[n].is_none())
    }

    /// Empties a list register. The interrupt has ended unless another holds it, as SGIs of several
    /// sources do.
    fn release(&mut self, n: usize, distributor: &mut Gic, vcpu: usize) {
        gic::set_lr(n, 0);
        if let Some(id) = self.held[n].take()
            && !self.held[..self.count].contains(&Some(id))
        {
            distributor.finish(vcpu, id.into());
        }
    }

    /// Adds what has become pending of an interrupt that is in a list register; false if there is no
    /// room for all of it.
    fn add_again(&mut self, id: u32, distributor: &mut Gic, vcpu: usize) -> bool {
        while let Some(forwarded) = distributor.pending_again(vcpu, id) {
            let same = (0..self.count).find(|&n| {
                let holds = self.held[n].map(u32::from) == Some(id);
                holds && (id >= 16 || source_of(gic::lr(n)) == forwarded.source)
            });
            match (same, self.free()) {
                (Some(n), _) => gic::set_lr(n, gic::lr(n) | gich::LR_PENDING),
                (None, Some(n)) => self.fill(n, &forwarded),
                (None, None) => {
                    distributor.put_back(vcpu, id, forwarded.source);
                    return false;
                }
            }
        }
        true
    }

    fn fill(&mut self, n: usize, forwarded: &Forwarded) {
        let mut lr = gich::LR_PENDING
            | u32::from(forwarded.priority >> 3) << gich::LR_PRIORITY_SHIFT
            | forwarded.id;
        if forwarded.group1 {
            lr |= gich::LR_GROUP1;
        }
        if let Some(physical) = self.linked(forwarded.id) {
            lr |= gich::LR_HW | physical << gich::LR_PHYSICAL_SHIFT;
        } else {
            lr |= u32::from(forwarded.source) << gich::LR_PHYSICAL_SHIFT;
            if forwarded.level {
                lr |= gich::LR_EOI;
            }
        }
        gic::set_lr(n, lr);
        self.held[n] = Some(forwarded.id as u16);
    }
}

/// The CPU that the SGI in a list register comes from.
fn source_of(lr: u32) -> u8 {
    (lr >> gich::LR_PHYSICAL_SHIFT & 7) as u8
}
