//! A vCPU's list registers: how interrupts get from the emulated distributor to the guest.
//!
//! The distributor is `skep-board`'s, the one of the hosted engines: registers and priorities exist
//! once. It knows nothing of list registers; an interrupt that is in one counts as active there until
//! the guest has ended it. The guest takes and ends interrupts in the hardware's virtual CPU
//! interface, without an exit, but for interrupts that are pending by their line's level: their end
//! must be seen, since the line may still be high.

use skep_board::gic::Gic;
use skep_board::map::INTID_TIMER_VIRT;
use skep_hyp::spec::gich;

use crate::hw::gic;

/// What this core's list registers hold.
pub struct ListRegisters {
    /// The interrupt in each; 64 are the most that there can be.
    held: [Option<u16>; 64],
    count: usize,
    /// The ID of the virtual timer's physical interrupt, which is linked to the virtual one.
    timer: u32,
}

impl ListRegisters {
    /// None: of a vCPU that is not loaded.
    pub fn none() -> Self {
        ListRegisters {
            held: [None; 64],
            count: 0,
            timer: 0,
        }
    }

    /// Turns the virtual interface of this core on, with nothing in it. The virtual timer's PPI has
    /// the ID `timer` on the board.
    pub fn init(timer: u32) -> Self {
        let count = gic::list_registers().min(64);
        for n in 0..count {
            gic::set_lr(n, 0);
        }
        gic::h_write(gich::APR, 0);
        gic::h_write(gich::VMCR, 0);
        gic::h_write(gich::HCR, gich::HCR_EN);
        ListRegisters {
            held: [None; 64],
            count,
            timer,
        }
    }

    /// Takes back what the guest has not taken yet, before it looks at or changes the distributor:
    /// an interrupt in a list register has the priority, group and enable of when it got there.
    pub fn recall(&mut self, distributor: &mut Gic, vcpu: usize) {
        let empty = gic::empty_lrs();
        for n in 0..self.count {
            let Some(id) = self.held[n] else { continue };
            let id = u32::from(id);
            let lr = gic::lr(n);
            if empty >> n & 1 != 0 {
                distributor.finish(vcpu, id);
            } else if lr & (gich::LR_PENDING | gich::LR_ACTIVE) == gich::LR_PENDING {
                let source = if id < 16 {
                    lr >> gich::LR_PHYSICAL_SHIFT & 7
                } else {
                    0
                };
                let level = lr & (gich::LR_HW | gich::LR_EOI) == gich::LR_EOI;
                distributor.recall(vcpu, id, source as u8, level);
            } else {
                continue;
            }
            gic::set_lr(n, 0);
            self.held[n] = None;
        }
    }

    /// Brings list registers and distributor together: ended interrupts out, pending ones in.
    pub fn update(&mut self, distributor: &mut Gic, vcpu: usize) {
        let empty = gic::empty_lrs();
        for n in 0..self.count {
            let Some(id) = self.held[n] else { continue };
            let id = u32::from(id);
            if empty >> n & 1 != 0 {
                gic::set_lr(n, 0);
                self.held[n] = None;
                distributor.finish(vcpu, id);
            } else if id != INTID_TIMER_VIRT
                && let Some(source) = distributor.pending_again(vcpu, id)
            {
                // An SGI of two sources has one list register: it tells the newer one.
                let source_bits = 7 << gich::LR_PHYSICAL_SHIFT;
                let mut lr = gic::lr(n) | gich::LR_PENDING;
                if id < 16 {
                    lr = lr & !source_bits | u32::from(source) << gich::LR_PHYSICAL_SHIFT;
                }
                gic::set_lr(n, lr);
            }
        }
        for n in 0..self.count {
            if self.held[n].is_some() {
                continue;
            }
            let Some(forwarded) = distributor.forward(vcpu) else {
                break;
            };
            let mut lr = gich::LR_PENDING
                | u32::from(forwarded.priority >> 3) << gich::LR_PRIORITY_SHIFT
                | forwarded.id;
            if forwarded.group1 {
                lr |= gich::LR_GROUP1;
            }
            if forwarded.id == INTID_TIMER_VIRT {
                lr |= gich::LR_HW | self.timer << gich::LR_PHYSICAL_SHIFT;
            } else {
                lr |= u32::from(forwarded.source) << gich::LR_PHYSICAL_SHIFT;
                if forwarded.level {
                    lr |= gich::LR_EOI;
                }
            }
            gic::set_lr(n, lr);
            self.held[n] = Some(forwarded.id as u16);
        }
        // More than fits: the hardware tells when there is room.
        let more = distributor.waiting() >> vcpu & 1 != 0;
        let control = gich::HCR_EN | if more { gich::HCR_UIE } else { 0 };
        if gic::h_read(gich::HCR) != control {
            gic::h_write(gich::HCR, control);
        }
    }
}
