//! The jump cache: where the blocks are that indirect branches lead to, by address.

use crate::context::{JUMP_MASK, Jump, NO_TARGET};
use crate::{Engine, HostMemory};
use skep_interp::Machine;

/// The entry for an address.
fn index(target: u32) -> usize {
    (target & JUMP_MASK) as usize / 4
}

impl<M: Machine> Engine<M>
where
    M::Memory: HostMemory,
{
    /// The block that the jump cache has for an address, if its page is known to be where it was.
    pub(crate) fn jump_to(&mut self, target: u32) -> Option<u64> {
        let index = index(target);
        let jump = self.shared.jumps.get(index)?;
        if jump.target != u64::from(target) {
            return None;
        }
        let (code, number) = (jump.code, *self.jump_numbers.get(index)?);
        let context = self.vcpu.core().tlb.fetch;
        self.tables.enter(context);
        self.tables
            .executes(context, target, number)
            .then_some(code)
    }

    /// Remembers a block for jumps to its address.
    pub(crate) fn note_jump(&mut self, target: u32, number: u32, code: u64) {
        let index = index(target);
        if let (Some(jump), Some(held)) = (
            self.shared.jumps.get_mut(index),
            self.jump_numbers.get_mut(index),
        ) {
            *jump = Jump {
                target: u64::from(target),
                code,
            };
            *held = number;
        }
    }

    /// Forgets jumps to blocks that were dropped.
    pub(crate) fn forget_dropped_jumps(&mut self) {
        for target in self.cache.dropped.drain(..) {
            let index = index(target);
            if let Some(jump) = self.shared.jumps.get_mut(index)
                && jump.target == u64::from(target)
            {
                jump.target = NO_TARGET;
            }
        }
    }

    /// Forgets all.
    pub(crate) fn forget_jumps(&mut self) {
        self.shared.jumps.fill(Jump {
            target: NO_TARGET,
            code: 0,
        });
    }
}
