//! What is not compared: the one list. Everything else that differs is a bug.

use crate::generate::{Placed, Program};
use skep_arm::decode::Row;
use skep_arm::insn::Insn;

/// An exemption.
pub struct Exemption {
    /// What it is about.
    pub what: &'static str,
    /// Where the manual (ARM DDI 0406C) leaves it open, or what makes it impossible to compare.
    pub section: &'static str,
    /// Why.
    pub reason: &'static str,
    /// What it holds for.
    pub scope: Scope,
}

/// What an exemption takes out.
pub enum Scope {
    /// Whole rows.
    Row(fn(&Row) -> bool),
    /// Instances of rows.
    Instance(fn(&Placed, &Program) -> bool),
}

/// The exemptions.
pub const EXEMPTIONS: &[Exemption] = &[
    Exemption {
        what: "SVC",
        section: "A8.8.228",
        reason: "a system call of the oracle's host: bare-metal guests test it",
        scope: Scope::Row(|row| row.name.starts_with("SVC")),
    },
    Exemption {
        what: "IT with a condition of 0b1111, with AL and an else, or without a mask",
        section: "A8.8.54",
        reason: "UNPREDICTABLE",
        scope: Scope::Instance(|insn, _| match insn.decoded.insn {
            Insn::It { it } => {
                it >> 4 == 15 || it & 15 == 0 || it >> 4 == 14 && it & 15 & ((it & 15) - 1) != 0
            }
            _ => false,
        }),
    },
];

/// The exemption that takes a row out.
pub fn row(row: &Row) -> Option<&'static Exemption> {
    EXEMPTIONS
        .iter()
        .find(|exemption| matches!(exemption.scope, Scope::Row(holds) if holds(row)))
}

/// The exemption that takes an instance out.
pub fn instance(insn: &Placed, program: &Program) -> Option<&'static Exemption> {
    EXEMPTIONS
        .iter()
        .find(|exemption| matches!(exemption.scope, Scope::Instance(holds) if holds(insn, program)))
}
