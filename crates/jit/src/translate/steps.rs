//! The instructions of a block, and what each executes under.

use super::branch::ends_block;
use super::{LONGEST, Translator, it_after};
use skep_arm::decode::{self, ItState};
use skep_arm::insn::simd::Simd;
use skep_arm::insn::{Cond, Decoded, Insn, Reg};

/// How many instructions a branch goes over at most, to be a condition that they execute under.
const LONGEST_OVER: usize = 8;

/// What an instruction executes under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    /// Nothing.
    Always,
    /// A condition of the flags.
    Cond(Cond),
    /// A register is zero, or is not.
    Zero { reg: Reg, nonzero: bool },
}

/// An instruction of a block.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub decoded: Decoded,
    /// ITSTATE as it executes.
    pub it: ItState,
    /// Its own condition, or that of a branch over it.
    pub test: Test,
    /// A branch over the next instructions, which execute under the opposite of its condition, and
    /// which does nothing else.
    pub over: bool,
    /// The next instruction is behind the same branch.
    pub joins_next: bool,
    /// It and the next one load or store the halves of a Q register, side by side in memory.
    pub halves: bool,
}

impl Step {
    /// An instruction that is under its own condition, if any.
    pub fn new(decoded: Decoded, it: ItState) -> Self {
        Step {
            decoded,
            it,
            test: match decoded.cond {
                Cond::Al => Test::Always,
                cond => Test::Cond(cond),
            },
            over: false,
            joins_next: false,
            halves: false,
        }
    }

    /// It is under the condition of a branch over it.
    pub fn behind_branch(&self) -> bool {
        self.test != Test::Always && self.decoded.cond == Cond::Al
    }

    /// Where it goes if it is a branch with a condition and not of an IT block, and what has to hold
    /// for the next instruction to execute.
    fn condition(&self, pc: u32) -> Option<(u32, Test)> {
        match (self.decoded.insn, self.test) {
            (Insn::B { offset }, Test::Cond(cond)) if !self.it.in_block() => {
                let opposite = Cond::from_bits(cond as u32 ^ 1);
                Some((pc.wrapping_add_signed(offset), Test::Cond(opposite)))
            }
            (
                Insn::Cbz {
                    nonzero,
                    rn,
                    offset,
                },
                Test::Always,
            ) if !rn.is_pc() => {
                let test = Test::Zero {
                    reg: rn,
                    nonzero: !nonzero,
                };
                Some((pc.wrapping_add_signed(offset), test))
            }
            _ => None,
        }
    }
}

impl Translator<'_> {
    /// The instruction at an address in the block's page, if it is all there.
    pub(super) fn fetch(&self, va: u32, it: ItState) -> Option<Decoded> {
        let at = (va & 0xfff) as usize;
        if self.request.t32 {
            let hw1 = (self.source.halfword)(at);
            if !decode::t32_is_wide(hw1) {
                Some(decode::t32(hw1, 0, it))
            } else if at + 2 < 0x1000 || va == self.request.va && self.request.next_page.is_some() {
                Some(decode::t32(hw1, (self.source.halfword)(at + 2), it))
            } else {
                None
            }
        } else {
            let low = u32::from((self.source.halfword)(at));
            let high = u32::from((self.source.halfword)(at + 2));
            Some(decode::a32(high << 16 | low))
        }
    }

    /// Finds the block's instructions.
    pub(super) fn decode(&mut self) {
        self.buffers.steps.clear();
        let (mut va, mut it) = (self.request.va, ItState(0));
        while self.buffers.steps.len() < LONGEST {
            let Some(decoded) = self.fetch(va, it) else {
                break;
            };
            if it.in_block() && !it.last_in_block() && ends_block(&decoded.insn) {
                // UNPREDICTABLE: left to the interpreter, so that both do the same.
                break;
            }
            self.buffers.steps.push(Step::new(decoded, it));
            if self.request.t32 {
                it = it_after(&decoded, it);
            }
            va = va.wrapping_add(u32::from(decoded.len));
            let left = (va ^ self.request.va) & !0xfff != 0;
            if decoded.cond == Cond::Al && ends_block(&decoded.insn) || left {
                break;
            }
        }
        self.find_short_branches();
        // Only in the window can such an access be unaligned at no cost.
        if self.request.window {
            find_halves(&mut self.buffers.steps);
        }
    }

    /// Turns branches over a few instructions into what these execute under.
    fn find_short_branches(&mut self) {
        let ahead = self.ahead();
        let (mut rest, mut va) = (self.buffers.steps.as_mut_slice(), self.request.va);
        while let Some((branch, behind)) = rest.split_first_mut() {
            let next = va.wrapping_add(u32::from(branch.decoded.len));
            if let Some((target, test)) = branch.condition(va.wrapping_add(ahead))
                && let Some(count) = count_up_to(behind, next, target)
            {
                branch.test = Test::Always;
                branch.over = true;
                for (i, step) in behind.iter_mut().take(count).enumerate() {
                    step.test = test;
                    step.joins_next = i + 1 < count;
                }
            }
            (rest, va) = (behind, next);
        }
    }
}

/// Finds VLDR and VSTR of both halves of a Q register.
fn find_halves(steps: &mut [Step]) {
    let half = |step: &Step| match step.decoded.insn {
        _ if step.test != Test::Always => None,
        Insn::Simd(Simd::Vldr {
            double: true,
            d,
            rn,
            offset,
        }) => Some((false, d, rn, offset)),
        Insn::Simd(Simd::Vstr {
            double: true,
            d,
            rn,
            offset,
        }) => Some((true, d, rn, offset)),
        _ => None,
    };
    let mut rest = steps;
    while let [first, behind @ ..] = rest {
        if let (Some((write, d, rn, offset)), Some(second)) = (half(first), behind.first())
            && d.is_multiple_of(2)
            && !rn.is_pc()
            && half(second) == Some((write, d + 1, rn, offset.wrapping_add(8)))
        {
            first.halves = true;
        }
        let next = 1 + usize::from(first.halves);
        rest = rest.get_mut(next..).unwrap_or_default();
    }
}

/// How many instructions there are up to an address, if they may be under a condition together.
fn count_up_to(steps: &[Step], mut va: u32, target: u32) -> Option<usize> {
    let mut count = 0;
    while va != target {
        let step = steps.get(count).filter(|_| count < LONGEST_OVER)?;
        let insn = &step.decoded.insn;
        let branches = matches!(insn, Insn::It { .. } | Insn::Cbz { .. }) || ends_block(insn);
        if step.test != Test::Always || branches {
            return None;
        }
        count += 1;
        va = va.wrapping_add(u32::from(step.decoded.len));
    }
    (count > 0).then_some(count)
}
