//! What a run found, in figures.

use skep_arm::decode::{Set, rows};
use skep_arm::insn::{Insn, simd::Simd};
use std::collections::BTreeMap;
use std::fmt;

/// The classes that cases are counted by.
pub const CLASSES: [&str; 8] = [
    "integer A32",
    "integer T32",
    "branches",
    "loads and stores",
    "VFP",
    "Advanced SIMD",
    "system",
    "UNDEFINED",
];

/// The class of an instruction.
pub fn class(insn: &Insn, set: Set) -> usize {
    if crate::generate::branches(insn) {
        return 2;
    }
    if crate::operands::accesses_memory(insn) {
        return 3;
    }
    match insn {
        Insn::Simd(
            Simd::VmovCoreSingle { .. }
            | Simd::VmovCoreSinglePair { .. }
            | Simd::VmovCoreDouble { .. }
            | Simd::Vmrs { .. }
            | Simd::Vmsr { .. }
            | Simd::Vfp { .. }
            | Simd::VfpUnary { .. }
            | Simd::VfpImm { .. }
            | Simd::Vcmp { .. }
            | Simd::VcvtHalf { .. }
            | Simd::VcvtPrecision { .. }
            | Simd::VcvtFromInt { .. }
            | Simd::VcvtToInt { .. }
            | Simd::VcvtFixed { .. },
        ) => 4,
        Insn::Simd(_) => 5,
        Insn::Undefined | Insn::Udf { .. } => 7,
        Insn::Svc { .. }
        | Insn::Hvc { .. }
        | Insn::Smc { .. }
        | Insn::Bkpt { .. }
        | Insn::Cps { .. }
        | Insn::Setend { .. }
        | Insn::Mrs { .. }
        | Insn::MsrReg { .. }
        | Insn::MsrImm { .. }
        | Insn::MrsBanked { .. }
        | Insn::MsrBanked { .. }
        | Insn::Hint { .. }
        | Insn::Barrier { .. }
        | Insn::Mcr { .. }
        | Insn::Mrc { .. }
        | Insn::Mcrr { .. }
        | Insn::Mrrc { .. }
        | Insn::Cdp { .. }
        | Insn::Ldc { .. }
        | Insn::Stc { .. }
        | Insn::Clrex
        | Insn::PldImm { .. }
        | Insn::PldReg { .. } => 6,
        _ if set == Set::A32 => 0,
        _ => 1,
    }
}

/// The figures of a run.
#[derive(Default)]
pub struct Report {
    /// Cases compared.
    pub cases: u64,
    /// Cases that only one side could run: they end where the oracle's own memory is.
    pub dropped: u64,
    /// Cases whose difference an exemption explains.
    pub exempt: u64,
    /// Batches after which data outside the cases' windows differs.
    pub stray: Vec<u64>,
    /// Cases by class.
    pub classes: [u64; CLASSES.len()],
    /// Cases by row.
    pub rows: BTreeMap<u16, u64>,
    /// Differences by row.
    pub differences: BTreeMap<u16, u64>,
    /// Cases by how they ended.
    pub outcomes: BTreeMap<u32, u64>,
}

impl Report {
    /// Counts a case that was compared.
    pub fn count(&mut self, row: u16, insn: &Insn, outcome: u32) {
        self.cases += 1;
        self.classes[class(insn, rows()[usize::from(row)].set)] += 1;
        *self.rows.entry(row).or_default() += 1;
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    /// The number of cases that differ.
    pub fn differing(&self) -> u64 {
        self.differences.values().sum()
    }

    /// Whether nothing differs.
    pub fn agrees(&self) -> bool {
        self.differences.is_empty() && self.stray.is_empty()
    }

    /// The rows of `expected` that have fewer than `least` cases.
    pub fn missing(&self, expected: impl Iterator<Item = u16>, least: u64) -> Vec<u16> {
        expected
            .filter(|row| self.rows.get(row).copied().unwrap_or(0) < least)
            .collect()
    }

    /// One line for each row: its cases and differences.
    pub fn coverage(&self) -> String {
        let mut text = String::new();
        for (number, row) in (0u16..).zip(rows()) {
            let of = |map: &BTreeMap<u16, u64>| map.get(&number).copied().unwrap_or(0);
            let note = match crate::exempt::row(row) {
                Some(exemption) => format!("  exempt: {}", exemption.reason),
                None => String::new(),
            };
            text += &format!(
                "{:10} {:6} {:3?}  {}{note}\n",
                of(&self.rows),
                of(&self.differences),
                row.set,
                row.name
            );
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, cases) in CLASSES.iter().zip(self.classes) {
            writeln!(f, "  {name:18} {cases:12}")?;
        }
        writeln!(f, "  {:18} {:12}", "all", self.cases)?;
        for (outcome, cases) in &self.outcomes {
            let name = crate::wire::outcome_name(*outcome);
            writeln!(f, "  ended: {name:24} {cases:12}")?;
        }
        writeln!(f, "  not run by the oracle: {}", self.dropped)?;
        writeln!(f, "  differences that are exempt: {}", self.exempt)?;
        let (rows, least) = (
            self.rows.len(),
            self.rows.values().min().copied().unwrap_or(0),
        );
        writeln!(f, "  rows: {rows}, each at least {least} cases")?;
        for batch in self.stray.iter().take(8) {
            writeln!(
                f,
                "  a store outside the window, in or before batch {batch}"
            )?;
        }
        writeln!(f, "  differences: {}", self.differing())
    }
}
