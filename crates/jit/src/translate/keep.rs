//! Flags that are not in memory, in front of instructions that would lose them: a [`Recipe`] whose
//! operands are overwritten, flags that are set in part, a carry that the next instruction takes.
//!
//! [`Recipe`]: super::flags::Recipe

use super::Translator;
use super::analysis::{self, Form, Liveness, effects, flag, moved, tested, written};
use super::steps::{Step, Test};
use skep_arm::insn::{Decoded, Insn};

/// How far to look for the instruction that sets all flags anew.
const LONGEST_KEPT: usize = 16;

impl Translator<'_> {
    /// Before an instruction: keeps the flags that are still of use, if their recipe is not or the
    /// instruction reads them in memory.
    pub(super) fn keep_flags(&mut self, rest: &[Step], live: Liveness) {
        let (Some(recipe), Some(step)) = (self.pending, rest.first()) else {
            return;
        };
        let insn = &step.decoded.insn;
        let effects = effects(insn);
        let kept = live.after & !effects.writes & recipe.flags();
        let carry = effects.reads_carry && recipe.flags() & flag::C != 0;
        let takes = carry && analysis::keeps_host_carry(insn);
        if effects.writes != 0 && kept != 0 || carry && !takes || effects.unknown {
            return self.settle_flags(kept | effects.reads);
        }
        let lost = recipe.after(written(insn), moved(insn)).is_none();
        if lost && kept != 0 {
            self.keep_recipe(written(insn), rest, kept | effects.reads);
        }
        if takes && self.form == Form::None {
            recipe.compute(self.asm, &self.layout);
            self.form = recipe.form();
        }
    }

    /// Before instructions that set registers of the pending recipe: saves its operands, if all
    /// flags are set anew in this block, or else has the flags in memory.
    pub(super) fn keep_recipe(&mut self, written: u16, rest: &[Step], live: u8) {
        let set_anew = rest.iter().skip(1).take(LONGEST_KEPT).any(|step| {
            step.test == Test::Always && effects(&step.decoded.insn).writes == flag::ALL
        });
        if set_anew {
            self.save_operands(written);
        } else {
            self.settle_flags(live);
        }
    }

    /// The same before instructions that are all under one test.
    pub(super) fn keep_flags_over_region(&mut self, rest: &[Step], live: &[Liveness]) {
        let Some(recipe) = self.pending else {
            return;
        };
        let (mut read, mut set, mut after) = (0, 0, 0);
        for (step, live) in rest.iter().zip(live) {
            let decoded = &step.decoded;
            if let Insn::It { .. } = decoded.insn {
                // The run may go on in another IT block.
                continue;
            }
            let (insn, effects) = (&decoded.insn, effects(&decoded.insn));
            read |= effects.reads | tested(step.test);
            if effects.writes != 0 || effects.unknown || effects.reads_carry {
                return self.settle_flags(read | live.after);
            }
            set |= written(insn);
            after = live.after;
            if !live.joins_next {
                break;
            }
        }
        if recipe.after(set, None).is_none() {
            self.keep_recipe(set, rest, read | after);
        }
    }
}

/// Whether an instruction's carry is read by the next one alone, which finds it in the host's flags.
pub(super) fn takes_host_carry(
    decoded: &Decoded,
    next: Option<&Step>,
    live: Option<Liveness>,
) -> bool {
    let (Some(next), Some(live)) = (next, live) else {
        return false;
    };
    let after = effects(&next.decoded.insn);
    matches!(effects(&decoded.insn).form, Form::Add | Form::Sub)
        && next.test == Test::Always
        && after.reads_carry
        && analysis::keeps_host_carry(&next.decoded.insn)
        && live.after & flag::C & !after.writes == 0
}
