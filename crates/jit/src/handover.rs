//! Instructions that the interpreter executes for generated code, one by one.

use crate::cache::Op;
use crate::{Engine, HostMemory, thunks, translate};
use skep_arm::decode::ItState;
use skep_arm::state::psr;
use skep_interp::{Machine, Step};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes that an instruction accesses at most, of those that look up two pages: 16 registers.
const LONGEST_ACCESS: u32 = 64;

impl<M: Machine> Engine<M>
where
    M::Memory: HostMemory,
{
    /// Executes an instruction that generated code has no template for, or whose access takes the
    /// slow path; `va` is the address accessed, if there is one. See [`thunks::assemble`] for what it
    /// returns.
    pub(crate) extern "sysv64" fn interpret_one(engine: *mut Self, number: u32, va: u32) -> u64 {
        // SAFETY: generated code passes the engine that it was assembled for, which waits in `call`
        // and holds no reference meanwhile.
        let engine = unsafe { &mut *engine };
        // Generated code has no frames that a panic could unwind: it goes around them.
        let next = match catch_unwind(AssertUnwindSafe(|| Self::interpret(engine, number, va))) {
            Ok(next) => next,
            Err(panic) => {
                engine.panic = Some(panic);
                thunks::STEP
            }
        };
        engine.arm();
        next
    }

    fn interpret(engine: &mut Self, number: u32, va: u32) -> u64 {
        let Some(op) = engine.cache.ops.get(number as usize).copied() else {
            return thunks::BEHIND;
        };
        engine.pack();
        engine.handed_over += 1;
        if let Some(count) = engine
            .handed_over_by_row
            .get_mut(usize::from(op.decoded.row))
        {
            *count += 1;
        }
        let core = engine.vcpu.core();
        core.pc = op.pc;
        core.state.regs[15] = op.pc.wrapping_add(if op.t32 { 4 } else { 8 });
        let it = ItState(op.it);
        if it.in_block() {
            core.state.set_it_state(it.advance());
        }
        if engine.config.count {
            // For what looks at the count.
            core.stats.instructions = engine.shared.instructions - u64::from(op.after);
        } else {
            engine.shared.instructions += 1 + u64::from(op.before);
            core.stats.instructions = engine.shared.instructions;
        }
        let context = core.tlb.data;
        let mut step = core.execute(&op.decoded);
        if step == Step::Next && core.tlb.data != context {
            // Another context's tables are to be used from now on.
            step = core.resync(op.decoded.len);
        }
        if step == Step::Next {
            if it.in_block() {
                core.state.set_it_state(ItState(0));
            }
            engine.unpack();
            engine.forget();
            engine.remember_accessed(va);
            return thunks::BEHIND;
        }
        if step == Step::Jump && engine.goes_on(&op) {
            return thunks::BEHIND;
        }
        let core = engine.vcpu.core();
        if engine.config.count {
            engine.shared.instructions -= u64::from(op.after);
        }
        core.stats.instructions = engine.shared.instructions;
        if it.in_block() && (step == Step::Raise || core.repeats(step)) {
            core.state.set_it_state(it);
        }
        core.state.regs[15] = match step {
            Step::Raise => op.pc,
            Step::Next | Step::Jump | Step::Exit => core.next_pc,
        };
        if step == Step::Raise {
            step = Step::Jump;
            if let Some(exit) = core.deliver() {
                core.exit = Some(exit);
                step = Step::Exit;
            }
        }
        let next = (step == Step::Jump)
            .then(|| engine.block_behind())
            .flatten();
        engine.unpack();
        engine.step = step;
        next.unwrap_or(thunks::STEP)
    }

    /// The block at the PC behind an exception, or a return from one, if it is known and nothing else is
    /// to be done first.
    fn block_behind(&mut self) -> Option<u64> {
        let core = self.vcpu.core();
        let cpsr = core.state.cpsr;
        if core.control.flags() != 0
            || core.stats.instructions >= self.end
            || cpsr & (psr::IT | psr::E) != 0
        {
            return None;
        }
        let target = core.state.regs[15] | u32::from(cpsr & psr::T != 0);
        self.forget();
        self.use_tables();
        self.jump_to(target)
    }

    /// Makes the tables' entries of the pages that an instruction accessed at an address, if it is not 0.
    fn remember_accessed(&mut self, va: u32) {
        let last = va.wrapping_add(LONGEST_ACCESS - 1);
        let pages = match va {
            0 => &[][..],
            _ if (va ^ last) >> 12 == 0 => &[va],
            _ => &[va, last],
        };
        for &va in pages {
            let core = self.vcpu.core();
            let context = core.tlb.data;
            if let Some(page) = core.tlb.page(context, va) {
                self.fill(context, va, &page);
            }
        }
    }

    /// Whether generated code can go on behind an instruction that changed what was derived from the
    /// state, such as the context: nothing asks for attention, and the next instruction is still
    /// where it was.
    fn goes_on(&mut self, op: &Op) -> bool {
        let core = self.vcpu.core();
        let next = op.pc.wrapping_add(u32::from(op.decoded.len));
        let same_state = core.state.cpsr & psr::E == 0
            && (core.state.cpsr & psr::T != 0) == op.t32
            && !ItState(op.it).in_block();
        if core.next_pc != next
            || (next ^ op.pc) & !0xfff != 0
            || !same_state
            // Nothing is translated behind a branch, wherever it leads.
            || translate::ends_block(&op.decoded.insn)
            || core.control.flags() != 0
        {
            return false;
        }
        let Ok(offset) = core.locate_code(next) else {
            // The exception is raised again where it belongs.
            core.raised = None;
            return false;
        };
        if (offset / 4096) as u32 != op.page {
            return false;
        }
        self.forget();
        self.tables.strict = self.vcpu.core().state.strict_alignment();
        if self.has_window() != self.window {
            return false;
        }
        self.unpack();
        let core = self.vcpu.core();
        self.shared.strict_alignment = u8::from(core.state.strict_alignment());
        let (fetch, data) = (core.tlb.fetch, core.tlb.data);
        self.allow_execution(fetch, next, offset);
        self.shared.tables = self.tables.enter(data);
        true
    }
}
