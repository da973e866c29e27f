//! Guest vector registers in host registers, within a block.
//!
//! The registers that a block uses most are also in XMM8 to XMM15. Memory is always right: what an
//! instruction sets is stored there as well, so that only reads gain, by the time that a load from
//! the last store would take. A loop within one block keeps them from one turn to the next.

use super::Step;
use super::Translator;
use crate::asm::{Prefix, Xmm, XmmLoc};
use skep_arm::insn::Insn;
use skep_arm::insn::simd::Simd;

/// A guest register as an instruction names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// S0 to S31.
    S(u8),
    /// D0 to D31.
    D(u8),
    /// Q0 to Q15.
    Q(u8),
}

/// Host registers that hold guest registers.
const HELD: usize = 8;
const FIRST: u8 = 8;

/// Which guest registers are held.
#[derive(Clone, Copy, Default, Debug)]
pub struct Vectors {
    units: [Option<Unit>; HELD],
    /// Those whose host register has the value: a bit each.
    pub valid: u8,
    /// Those that the instruction under translation has set.
    updated: u8,
}

impl Unit {
    fn vector(q: bool, d: u8) -> Self {
        if q { Unit::Q(d / 2) } else { Unit::D(d) }
    }

    fn scalar(double: bool, number: u8) -> Self {
        if double {
            Unit::D(number)
        } else {
            Unit::S(number)
        }
    }

    /// The D registers that it is part of or consists of: a bit each.
    fn doubles(self) -> u32 {
        match self {
            Unit::S(s) => 1 << ((s / 2) & 31),
            Unit::D(d) => 1 << (d & 31),
            Unit::Q(q) => 3 << ((q * 2) & 31),
        }
    }
}

/// Lists the registers that an instruction reads and sets, as far as holding them may pay.
fn operands(simd: &Simd, mut each: impl FnMut(Unit)) {
    use Unit::{D, Q, S};
    match *simd {
        Simd::Vldr { double, d, .. } | Simd::Vstr { double, d, .. } => {
            each(Unit::scalar(double, d));
        }
        Simd::Vldm {
            double, d, count, ..
        }
        | Simd::Vstm {
            double, d, count, ..
        } if count <= 4 => (0..count).for_each(|n| each(Unit::scalar(double, d + n))),
        Simd::AllLanes {
            interleave: 1,
            regs,
            d,
            ..
        } => {
            if d % 2 == 0 && regs == 2 {
                each(Q(d / 2));
            } else {
                (0..regs).for_each(|n| each(D(d + n)));
            }
        }
        Simd::Vfp {
            double, d, n, m, ..
        } => [d, n, m]
            .into_iter()
            .for_each(|number| each(Unit::scalar(double, number))),
        Simd::VfpUnary { double, d, m, .. } => {
            each(Unit::scalar(double, d));
            each(Unit::scalar(double, m));
        }
        Simd::VfpImm { double, d, .. } => each(Unit::scalar(double, d)),
        Simd::Vcmp { double, d, m, .. } => {
            each(Unit::scalar(double, d));
            if let Some(m) = m {
                each(Unit::scalar(double, m));
            }
        }
        Simd::VcvtPrecision { to_double, d, m } => {
            each(Unit::scalar(to_double, d));
            each(Unit::scalar(!to_double, m));
        }
        Simd::VcvtFromInt { double, d, .. } => each(Unit::scalar(double, d)),
        Simd::VcvtToInt { double, m, .. } => each(Unit::scalar(double, m)),
        Simd::VmovCoreSingle { s, .. } => each(S(s)),
        Simd::VmovCoreDouble { d, .. } => each(D(d)),
        Simd::Int { q, d, n, m, .. }
        | Simd::Float { q, d, n, m, .. }
        | Simd::Vext { q, d, n, m, .. } => {
            [d, n, m]
                .into_iter()
                .for_each(|number| each(Unit::vector(q, number)));
        }
        Simd::IntScalar { q, d, n, .. } | Simd::FloatScalar { q, d, n, .. } => {
            each(Unit::vector(q, d));
            each(Unit::vector(q, n));
        }
        Simd::Unary { q, d, m, .. }
        | Simd::Shift { q, d, m, .. }
        | Simd::FloatUnary { q, d, m, .. }
        | Simd::Cvt { q, d, m, .. }
        | Simd::Permute { q, d, m, .. } => {
            each(Unit::vector(q, d));
            each(Unit::vector(q, m));
        }
        Simd::Imm { q, d, .. } | Simd::VdupCore { q, d, .. } | Simd::VdupScalar { q, d, .. } => {
            each(Unit::vector(q, d));
        }
        Simd::Long { d, n, m, .. } => {
            each(Q(d / 2));
            each(D(n));
            each(D(m));
        }
        Simd::LongScalar { d, n, .. } => {
            each(Q(d / 2));
            each(D(n));
        }
        Simd::ShiftLong { d, m, .. } => {
            each(Q(d / 2));
            each(D(m));
        }
        Simd::Narrow { d, m, .. } => {
            each(D(d));
            each(Q(m / 2));
        }
        Simd::HighNarrow { d, n, m, .. } => {
            each(D(d));
            each(Q(n / 2));
            each(Q(m / 2));
        }
        Simd::Vtbl { d, m, .. } => {
            each(D(d));
            each(D(m));
        }
        Simd::VcvtFixed { double, d, .. } => each(Unit::scalar(double, d)),
        Simd::Multiple {
            interleave: 1,
            regs,
            spacing: 1,
            d,
            ..
        } => {
            if d % 2 == 0 && regs % 2 == 0 {
                (0..regs / 2).for_each(|n| each(Q(d / 2 + n)));
            } else {
                (0..regs).for_each(|n| each(D(d + n)));
            }
        }
        _ => {}
    }
}

/// The D registers that an instruction may set: a bit each.
fn written(simd: &Simd) -> u32 {
    match *simd {
        Simd::Vstr { .. }
        | Simd::Vstm { .. }
        | Simd::Vcmp { .. }
        | Simd::Vmrs { .. }
        | Simd::Multiple { load: false, .. }
        | Simd::Lane { load: false, .. }
        | Simd::VmovFromScalar { .. }
        | Simd::VmovCoreSingle { to_core: true, .. }
        | Simd::VmovCoreSinglePair { to_core: true, .. }
        | Simd::VmovCoreDouble { to_core: true, .. } => 0,
        Simd::Vldm {
            double, d, count, ..
        } => (0..count).fold(0, |mask, n| mask | Unit::scalar(double, d + n).doubles()),
        Simd::Multiple {
            regs,
            interleave,
            spacing,
            d,
            ..
        } => (0..regs * interleave.max(1) * spacing.max(1))
            .fold(0, |mask, n| mask | Unit::D(d + n).doubles()),
        Simd::Lane {
            interleave,
            spacing,
            d,
            ..
        } => (0..interleave).fold(0, |mask, n| mask | Unit::D(d + n * spacing).doubles()),
        Simd::AllLanes {
            interleave,
            regs,
            spacing,
            d,
            ..
        } => (0..regs + (interleave.max(1) - 1) * spacing)
            .fold(0, |mask, n| mask | Unit::D(d + n).doubles()),
        Simd::Permute { q, d, m, .. } => {
            Unit::vector(q, d).doubles() | Unit::vector(q, m).doubles()
        }
        Simd::VmovToScalar { d, .. } | Simd::Vtbl { d, .. } | Simd::HighNarrow { d, .. } => {
            Unit::D(d).doubles()
        }
        Simd::VmovCoreSinglePair { s, .. } => Unit::S(s).doubles() | Unit::S(s + 1).doubles(),
        Simd::Vldr { double, d, .. }
        | Simd::Vfp { double, d, .. }
        | Simd::VfpUnary { double, d, .. }
        | Simd::VfpImm { double, d, .. }
        | Simd::VcvtFixed { double, d, .. }
        | Simd::VcvtFromInt { double, d, .. } => Unit::scalar(double, d).doubles(),
        Simd::VcvtPrecision { to_double, d, .. } => Unit::scalar(to_double, d).doubles(),
        Simd::VcvtToInt { d, .. } => Unit::S(d).doubles(),
        Simd::VmovCoreSingle { s, .. } => Unit::S(s).doubles(),
        Simd::VmovCoreDouble { d, .. } => Unit::D(d).doubles(),
        Simd::Int { q, d, .. }
        | Simd::IntScalar { q, d, .. }
        | Simd::Float { q, d, .. }
        | Simd::FloatScalar { q, d, .. }
        | Simd::Vext { q, d, .. }
        | Simd::Unary { q, d, .. }
        | Simd::Shift { q, d, .. }
        | Simd::FloatUnary { q, d, .. }
        | Simd::Cvt { q, d, .. }
        | Simd::Imm { q, d, .. }
        | Simd::VdupCore { q, d, .. }
        | Simd::VdupScalar { q, d, .. } => Unit::vector(q, d).doubles(),
        Simd::Long { d, .. } | Simd::LongScalar { d, .. } | Simd::ShiftLong { d, .. } => {
            Unit::Q(d / 2).doubles()
        }
        Simd::Narrow { d, .. } => Unit::D(d).doubles(),
        _ => u32::MAX,
    }
}

impl Vectors {
    /// Chooses what to hold in a block. `repeats`: it is a loop.
    pub fn choose(steps: &[Step], repeats: bool) -> Self {
        let mut counts: Vec<(Unit, u32)> = Vec::new();
        let mut count = |unit| match counts.iter_mut().find(|(known, _)| *known == unit) {
            Some((_, count)) => *count += 1,
            None => counts.push((unit, 1)),
        };
        let mut second = false;
        for step in steps {
            match &step.decoded.insn {
                _ if second => {}
                Insn::Simd(Simd::Vldr { d, .. } | Simd::Vstr { d, .. }) if step.halves => {
                    count(Unit::vector(true, *d));
                }
                Insn::Simd(simd) => operands(simd, &mut count),
                _ => {}
            }
            second = step.halves;
        }
        let least = if repeats { 1 } else { 2 };
        counts.retain(|(_, count)| *count >= least);
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut vectors = Vectors::default();
        for (slot, (unit, _)) in vectors.units.iter_mut().zip(counts) {
            *slot = Some(unit);
        }
        vectors
    }

    /// Those that are chosen: a bit each.
    pub fn chosen(&self) -> u8 {
        (0..HELD).fold(0, |mask, i| {
            mask | u8::from(self.units.get(i).is_some_and(Option::is_some)) << i
        })
    }

    fn index(&self, unit: Unit) -> Option<usize> {
        self.units.iter().position(|held| *held == Some(unit))
    }

    /// The host register that is to hold a guest register, or `other` if none is.
    fn target(&self, unit: Unit, other: Xmm) -> Xmm {
        self.index(unit).map_or(other, |i| Xmm(FIRST + i as u8))
    }

    /// Before an instruction.
    pub fn begin(&mut self) {
        self.updated = 0;
    }

    /// After an instruction: what it set otherwise than by [`Translator::hold`] is not held.
    pub fn end(&mut self, insn: &Insn) {
        let Insn::Simd(simd) = insn else {
            return;
        };
        let written = written(simd);
        for (i, unit) in self.units.iter().enumerate() {
            let lost = unit.is_some_and(|unit| unit.doubles() & written != 0);
            if lost && self.updated >> i & 1 == 0 {
                self.valid &= !(1 << i);
            }
        }
    }
}

impl Translator<'_> {
    /// Loads held registers from memory: those in `which`, a bit each.
    pub(super) fn load_held(&mut self, which: u8) {
        for i in 0..HELD {
            if which >> i & 1 != 0
                && let Some(unit) = self.vectors.units.get(i).copied().flatten()
            {
                self.load_unit(Xmm(FIRST + i as u8), unit);
            }
        }
    }

    fn load_unit(&mut self, to: Xmm, unit: Unit) {
        match unit {
            // MOVSS, MOVSD.
            Unit::S(s) => self.asm.sse(Prefix::F3, 0x10, to, self.fp(false, s)),
            Unit::D(d) => self.asm.sse(Prefix::F2, 0x10, to, self.fp(true, d)),
            // MOVQ and MOVHPS: a load of 16 bytes would wait for the stores of its halves, if they
            // were set one by one, to reach the cache.
            Unit::Q(q) => {
                self.asm.sse(Prefix::F3, 0x7e, to, self.fp(true, q * 2));
                self.asm
                    .sse(Prefix::None, 0x16, to, self.fp(true, q * 2 + 1));
            }
        }
    }

    /// The host register that has a guest register's value, if it is held.
    fn held(&mut self, unit: Unit) -> Option<Xmm> {
        let i = self.vectors.index(unit)?;
        let host = Xmm(FIRST + i as u8);
        if self.vectors.valid >> i & 1 == 0 {
            self.load_unit(host, unit);
            self.vectors.valid |= 1 << i;
        }
        Some(host)
    }

    /// Notes that the instruction sets a guest register to what a host register has.
    fn hold(&mut self, unit: Unit, from: Xmm) {
        if let Some(i) = self.vectors.index(unit) {
            let host = Xmm(FIRST + i as u8);
            if host != from {
                // MOVAPS.
                self.asm.sse(Prefix::None, 0x28, host, from);
            }
            self.vectors.valid |= 1 << i;
            self.vectors.updated |= 1 << i;
        }
    }

    /// The host register to compute S(`number`) or D(`number`) in, for [`Translator::store_fp`]: the
    /// one that holds it, whose value memory still has for the slow path, or `other`.
    pub(super) fn target_fp(&self, double: bool, number: u8, other: Xmm) -> Xmm {
        self.vectors.target(Unit::scalar(double, number), other)
    }

    /// S(`number`) or D(`number`) as an operand of a scalar instruction.
    pub(super) fn operand_fp(&mut self, double: bool, number: u8) -> XmmLoc {
        match self.held(Unit::scalar(double, number)) {
            Some(host) => host.into(),
            None => self.fp(double, number).into(),
        }
    }

    /// Loads S(`number`) or D(`number`); what is above it may be anything.
    pub(super) fn load_fp(&mut self, to: Xmm, double: bool, number: u8) {
        match self.held(Unit::scalar(double, number)) {
            Some(host) if host == to => {}
            Some(host) => self.asm.sse(Prefix::None, 0x28, to, host),
            None => self.load_unit(to, Unit::scalar(double, number)),
        }
    }

    /// Sets S(`number`) or D(`number`).
    pub(super) fn store_fp(&mut self, from: Xmm, double: bool, number: u8) {
        let to = self.fp(double, number);
        let prefix = if double { Prefix::F2 } else { Prefix::F3 };
        self.asm.sse(prefix, 0x11, from, to);
        self.hold(Unit::scalar(double, number), from);
    }

    /// Loads D(`d`), with zeros above, or the Q register that begins there.
    pub(super) fn vector_load(&mut self, to: Xmm, q: bool, d: u8) {
        match self.held(Unit::vector(q, d)) {
            Some(host) if q && host == to => {}
            // MOVDQA, MOVQ.
            Some(host) if q => self.asm.sse(Prefix::P66, 0x6f, to, host),
            Some(host) => self.asm.sse(Prefix::F3, 0x7e, to, host),
            None => self.load_unit(to, Unit::vector(q, d)),
        }
    }

    /// The host register that holds it, or `other`, where it is loaded.
    pub(super) fn vector_operand(&mut self, q: bool, d: u8, other: Xmm) -> Xmm {
        match self.held(Unit::vector(q, d)) {
            Some(held) => held,
            None => {
                self.load_unit(other, Unit::vector(q, d));
                other
            }
        }
    }

    /// The host register to load it into, for [`Translator::vector_store`].
    pub(super) fn vector_target(&self, q: bool, d: u8, other: Xmm) -> Xmm {
        self.vectors.target(Unit::vector(q, d), other)
    }

    /// Sets D(`d`), or the Q register that begins there.
    pub(super) fn vector_store(&mut self, from: Xmm, q: bool, d: u8) {
        let to = self.fp(true, d);
        let (prefix, opcode) = if q {
            (Prefix::F3, 0x7f)
        } else {
            (Prefix::P66, 0xd6)
        };
        self.asm.sse(prefix, opcode, from, to);
        self.hold(Unit::vector(q, d), from);
    }
}
