//! Code that is placed behind the block, since it is seldom executed: what leaves it, and slow paths.

use super::Translator;
use super::flags::Recipe;
use super::memory::{Moved, Place, Span};
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Width};
use crate::context::{STATE, Shared};
use crate::moves::Part;
use crate::thunks;
use skep_arm::decode::ItState;
use skep_arm::insn::Decoded;
use skep_arm::state::psr;
use std::mem::offset_of;

/// A piece of code behind the block.
pub(super) struct Cold {
    /// Where the block jumps to it.
    label: Label,
    /// The flags as they were known there.
    recipe: Option<Recipe>,
    /// The vector registers that the block goes on with in host registers.
    pub(super) held: u8,
    kind: Kind,
}

/// What the code does.
pub(super) enum Kind {
    /// Leaves the block for an address (bit 0 = T32), with ITSTATE, if it is not 0.
    Leave { pc: u32, it: ItState, to: To },
    /// Leaves for an address, and asks that the jump with its displacement at `site` be linked.
    Link {
        pc: u32,
        site: usize,
        same_page: bool,
    },
    /// As [`Kind::Link`], with the flags stored first; the instructions behind this one were not
    /// executed.
    Edge {
        pc: u32,
        same_page: bool,
        flags: Option<Recipe>,
        behind: u32,
    },
    /// A branch over instructions that are counted.
    Over { count: u32, back: Label },
    /// Has the interpreter execute an instruction that accesses the address in a register, and goes
    /// on at `back`.
    Slow { back: Label, op: u32, address: Gpr },
    /// The second instruction of two that were translated as one, behind the slow path of the first.
    Second { back: Label, op: u32 },
    /// An unaligned access of `size` bytes: `back` if it can be made.
    Unaligned {
        back: Label,
        slow: Label,
        size: u32,
        /// Alignment that is needed in any case.
        least: u8,
        address: Gpr,
    },
    /// An access that the window does not have: looks its page up, makes the access if it is one, and
    /// goes back.
    LookUp {
        write: bool,
        place: Place,
        span: Span,
        /// Alignment that is needed in any case.
        least: u8,
        slow: Label,
        moved: Option<Moved>,
        back: Label,
    },
    /// Loads or stores the guest registers in a list from or to two pages, words from the address in
    /// ECX: `back` if that can be done, as from behind the accesses.
    Across {
        write: bool,
        list: u16,
        slow: Label,
        back: Label,
    },
    /// Switches between A32 and T32 state.
    Switch { back: Label },
}

impl Kind {
    /// Where execution goes on behind the code, if it gets there.
    fn otherwise(&self) -> Option<Label> {
        match self {
            Kind::Unaligned { slow, .. } | Kind::Across { slow, .. } => Some(*slow),
            _ => None,
        }
    }
}

/// Where a block is left for.
#[derive(Clone, Copy)]
pub(super) enum To {
    /// The loop that looks for the next block.
    Loop,
    /// The interpreter, for one instruction.
    Interpreter,
}

impl Translator<'_> {
    /// The slow path of the instruction under translation: the interpreter executes it, and
    /// execution goes on at `back`. If it accesses memory, the address is in ECX.
    pub(super) fn slow(&mut self, decoded: &Decoded, back: Label) -> Label {
        self.slow_at(decoded, back, Gpr::Rcx)
    }

    /// The same, with the address in another register.
    pub(super) fn slow_at(&mut self, decoded: &Decoded, back: Label, address: Gpr) -> Label {
        let op = self.op(decoded);
        let label = self.asm.label();
        self.cold(label, Kind::Slow { back, op, address });
        label
    }

    /// Leaves the block for an address (bit 0 = T32), from `label`.
    pub(super) fn leave_from(&mut self, label: Label, pc: u32) {
        let (it, to) = (ItState::default(), To::Loop);
        self.cold(label, Kind::Leave { pc, it, to });
    }

    /// Has code placed behind the block. If it leaves for the interpreter or the block, it stores
    /// the flags as they are known now.
    pub(super) fn cold(&mut self, label: Label, kind: Kind) {
        self.buffers.cold.push(Cold {
            label,
            recipe: self.pending,
            held: 0,
            kind,
        });
    }

    /// Places all code that belongs behind the block.
    pub(super) fn place_cold(&mut self) {
        let mut all = std::mem::take(&mut self.buffers.cold);
        for i in 1..all.len() {
            if let [slow, cold] = &all[i - 1..=i]
                && cold.kind.otherwise() == Some(slow.label)
            {
                // It runs into the slow path.
                all.swap(i - 1, i);
            }
        }
        let mut all = all.into_iter().peekable();
        while let Some(cold) = all.next() {
            self.asm.bind(cold.label);
            let otherwise = cold.kind.otherwise();
            self.place(cold.kind, cold.recipe, cold.held);
            if let Some(slow) = otherwise
                && all.peek().is_none_or(|next| next.label != slow)
            {
                self.asm.jmp(slow);
            }
        }
    }

    fn place(&mut self, kind: Kind, recipe: Option<Recipe>, held: u8) {
        let here = self.asm.code.len();
        match kind {
            Kind::Leave { pc, it, to } => {
                self.place_flags(recipe);
                self.set_it(it);
                let slot = self.shared(offset_of!(Shared, pc));
                self.asm.mov_address(slot, pc);
                self.asm.jmp_to(match to {
                    To::Loop => self.thunks.leave,
                    To::Interpreter => self.thunks.interpret,
                });
            }
            Kind::Link {
                pc,
                site,
                same_page,
            } => {
                // Dead where it leads, but an interrupt may be taken first.
                self.place_flags(recipe);
                self.place_link(pc, (site, here), same_page);
            }
            Kind::Edge {
                pc,
                same_page,
                flags,
                behind,
            } => {
                self.place_flags(flags);
                self.uncount(behind);
                let link = self.asm.label();
                self.asm.jmp(link);
                let site = self.asm.code.len() - 4;
                self.asm.bind(link);
                self.place_link(pc, (site, site + 4), same_page);
            }
            Kind::Over { count, back } => {
                self.uncount(count);
                self.asm.jmp(back);
            }
            Kind::Slow { back, op, address } => {
                self.place_flags(recipe);
                self.place_address(address);
                self.asm.mov_imm(Gpr::Rax, op);
                self.asm.note(Part::Op);
                self.asm.call_to(self.thunks.slow);
                self.load_held(held);
                self.asm.jmp(back);
            }
            Kind::Second { back, op } => {
                self.asm.mov_imm(Gpr::Rax, op);
                self.asm.note(Part::Op);
                self.asm.alu(Width::B32, Alu::Xor, Gpr::Rcx, Gpr::Rcx);
                self.asm.call_to(self.thunks.slow);
                self.load_held(held);
                self.asm.jmp(back);
            }
            Kind::Unaligned {
                back,
                slow,
                size,
                least,
                address,
            } => {
                self.place_address(address);
                self.test_alignment(least, slow);
                self.asm.mov_imm(Gpr::Rdx, size - 1);
                self.asm.call_to(self.thunks.unaligned);
                self.asm.jcc(Cc::Ne, back);
            }
            Kind::LookUp {
                write,
                place,
                span,
                least,
                slow,
                moved,
                back,
            } => {
                let address = self.load_address(place);
                self.place_address(address);
                self.test_alignment(least, slow);
                self.asm
                    .mov_imm(Gpr::Rdx, thunks::wanted(span.bytes, span.element));
                self.asm.call_to(if write {
                    self.thunks.find_to_store
                } else {
                    self.thunks.find_to_load
                });
                self.asm.jcc(Cc::E, slow);
                if let Some(moved) = moved {
                    self.emit(moved, Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, 0));
                }
                self.asm.jmp(back);
            }
            Kind::Across {
                write,
                list,
                slow: _,
                back,
            } => {
                self.asm.mov_imm(Gpr::Rax, list.into());
                self.asm.call_to(if write {
                    self.thunks.store_across
                } else {
                    self.thunks.load_across
                });
                self.asm.jcc(Cc::Ne, back);
            }
            Kind::Switch { back } => {
                let cpsr = Mem::at(STATE, self.layout.cpsr);
                self.asm.alu_imm(Width::B32, Alu::Xor, cpsr, psr::T as i32);
                self.asm.jmp(back);
            }
        }
    }

    /// Loads ECX with an address.
    fn place_address(&mut self, address: Gpr) {
        if address != Gpr::Rcx {
            self.asm.store(Width::B32, Gpr::Rcx, address);
        }
    }

    /// Leaves for an address, and tells the loop which jump to link with what is found there. `unlinked`
    /// is where the jump leads so far.
    fn place_link(&mut self, pc: u32, (site, unlinked): (usize, usize), same_page: bool) {
        self.asm.note_at(site, Part::Link);
        self.asm.note_at(unlinked, Part::Unlinked);
        let slot = self.shared(offset_of!(Shared, pc));
        self.asm.mov_address(slot, pc);
        let site = (self.request.offset + site as u32) << 1 | u32::from(same_page);
        let slot = self.shared(offset_of!(Shared, site));
        self.asm.mov_imm(slot, site);
        self.asm.note(Part::Site);
        self.asm.jmp_to(self.thunks.link);
    }
}
