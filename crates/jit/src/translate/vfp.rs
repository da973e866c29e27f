//! VFP: moves, loads and stores, and arithmetic on single numbers.
//!
//! The host computes, and raises an exception where the architecture's rules may be others
//! ([`crate::mxcsr`]), except in two cases that the result shows: the smallest normal number (the host
//! tells underflow after rounding, the architecture before), and a NaN that was negated or chosen
//! among three. All of these are the interpreter's.

mod fixed;

use super::analysis::{Form, effects};
use super::cold::{Kind, To};
use super::flags::{NOT_C, NZ, V};
use super::memory::{Moved, Place, Span};
use super::{Step, Translator, pinned};
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Prefix, Sh, Width, Xmm, XmmLoc};
use crate::cache::SiteKind;
use crate::context::{STATE, Shared, fp};
use skep_arm::insn::simd::{Simd, VfpOp, VfpUnary, vfp_expand_imm};
use skep_arm::insn::{Decoded, Insn, Reg};
use std::mem::offset_of;

use Width::{B8, B32, B64};

const X0: Xmm = Xmm(0);
const X1: Xmm = Xmm(1);
const X2: Xmm = Xmm(2);

/// FPSCR as VMRS and VMSR name it.
const FPSCR: u8 = 1;

/// Opcodes of scalar instructions.
mod op {
    #![allow(missing_docs)]
    pub const LOAD: u8 = 0x10;
    pub const STORE: u8 = 0x11;
    pub const FROM_INT: u8 = 0x2a;
    pub const TO_INT_TRUNCATED: u8 = 0x2c;
    pub const TO_INT: u8 = 0x2d;
    pub const COMPARE_QUIET: u8 = 0x2e;
    pub const COMPARE: u8 = 0x2f;
    pub const SQRT: u8 = 0x51;
    pub const AND: u8 = 0x54;
    pub const AND_NOT: u8 = 0x55;
    pub const XOR: u8 = 0x57;
    pub const ADD: u8 = 0x58;
    pub const MUL: u8 = 0x59;
    pub const CONVERT: u8 = 0x5a;
    pub const SUB: u8 = 0x5c;
    pub const DIV: u8 = 0x5e;
    pub const UNPACK_LOW32: u8 = 0x62;
    pub const FROM_GPR: u8 = 0x6e;
    pub const TO_GPR: u8 = 0x7e;
}

/// The prefix of a scalar instruction.
fn scalar(double: bool) -> Prefix {
    if double { Prefix::F2 } else { Prefix::F3 }
}

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn vfp(&mut self, decoded: &Decoded) -> Option<bool> {
        let Insn::Simd(simd) = decoded.insn else {
            return None;
        };
        match simd {
            Simd::Vldr {
                double,
                d,
                rn,
                offset,
            } => self.vfp_access(decoded, false, double, d, rn, offset),
            Simd::Vstr {
                double,
                d,
                rn,
                offset,
            } => self.vfp_access(decoded, true, double, d, rn, offset),
            Simd::Vldm {
                double,
                d,
                count,
                bytes,
                rn,
                increment,
                wback,
            } => {
                let base = Base {
                    rn,
                    bytes,
                    increment,
                    wback,
                };
                self.vfp_multiple(decoded, false, double, d, count, base)?;
            }
            Simd::Vstm {
                double,
                d,
                count,
                bytes,
                rn,
                increment,
                wback,
            } => {
                let base = Base {
                    rn,
                    bytes,
                    increment,
                    wback,
                };
                self.vfp_multiple(decoded, true, double, d, count, base)?;
            }
            Simd::VmovCoreSingle { to_core, s, rt } if !rt.is_pc() => {
                self.check_fp();
                self.core_to_word(to_core, self.fp(false, s), rt);
            }
            Simd::VmovCoreSinglePair {
                to_core,
                s,
                rt,
                rt2,
            } if !rt.is_pc() && !rt2.is_pc() && s < 31 && (!to_core || rt != rt2) => {
                self.check_fp();
                self.core_to_word(to_core, self.fp(false, s), rt);
                self.core_to_word(to_core, self.fp(false, s + 1), rt2);
            }
            Simd::VmovCoreDouble {
                to_core,
                d,
                rt,
                rt2,
            } if !rt.is_pc() && !rt2.is_pc() && (!to_core || rt != rt2) => {
                self.check_fp();
                if to_core {
                    self.core_to_word(true, self.fp(true, d), rt);
                    let mut high = self.fp(true, d);
                    high.disp += 4;
                    self.core_to_word(true, high, rt2);
                } else {
                    // One store, so that a load of all of it does not wait for two.
                    for (to, from) in [(X0, rt), (X1, rt2)] {
                        let host = pinned(from).unwrap_or(Gpr::Rax);
                        self.get(host, from);
                        self.asm
                            .sse_gpr(Prefix::P66, false, op::FROM_GPR, to.0, host);
                    }
                    self.asm.sse(Prefix::P66, op::UNPACK_LOW32, X0, X1);
                    self.store_fp(X0, true, d);
                }
            }
            Simd::VmovToScalar { size, d, index, rt } if !rt.is_pc() && size <= 2 => {
                self.check_fp();
                let mut to = self.fp(true, d);
                to.disp += i32::from(index) << size;
                self.get(Gpr::Rax, rt);
                let width = [Width::B8, Width::B16, Width::B32][usize::from(size)];
                self.asm.store(width, to, Gpr::Rax);
            }
            Simd::VmovFromScalar {
                size,
                unsigned,
                d,
                index,
                rt,
            } if !rt.is_pc() && size <= 2 => {
                self.check_fp();
                let mut from = self.fp(true, d);
                from.disp += i32::from(index) << size;
                let to = pinned(rt).unwrap_or(Gpr::Rax);
                let width = [Width::B8, Width::B16, Width::B32][usize::from(size)];
                match (size, unsigned) {
                    (2, _) => self.asm.load(B32, to, from),
                    (_, true) => self.asm.load_zx(width, to, from),
                    (_, false) => self.asm.load_sx(width, to, from),
                }
                self.set(rt, to);
            }
            Simd::Vmrs {
                reg: FPSCR,
                rt: Reg::PC,
            } => {
                self.check_fp();
                self.asm
                    .load(B32, Gpr::Rax, Mem::at(STATE, self.layout.fpscr));
                // N and Z where they belong.
                self.asm.shift(B32, Sh::Shr, Gpr::Rax, 24);
                let [v, not_c, nz] = [V, NOT_C, NZ].map(|offset| self.flag_byte(offset));
                self.asm.store(B8, nz, Gpr::Rax);
                self.asm.bt(Gpr::Rax, 5);
                self.asm.setcc(Cc::Ae, not_c);
                self.asm.bt(Gpr::Rax, 4);
                self.asm.setcc(Cc::B, v);
                self.pending = None;
                self.form = Form::None;
            }
            Simd::Vmrs { reg: FPSCR, rt } => {
                self.check_fp();
                self.asm
                    .load(B32, Gpr::Rax, Mem::at(STATE, self.layout.fpscr));
                self.set(rt, Gpr::Rax);
            }
            Simd::Vfp {
                op,
                double,
                d,
                n,
                m,
            } => self.vfp_arithmetic(decoded, op, double, d, n, m)?,
            Simd::VfpUnary { op, double, d, m } => self.vfp_unary(decoded, op, double, d, m),
            Simd::VfpImm { double, d, imm } => {
                self.check_fp();
                let to = self.fp(double, d);
                let value = vfp_expand_imm(imm, double);
                self.asm.mov_imm(to, value as u32);
                if double {
                    let high = Mem {
                        disp: to.disp + 4,
                        ..to
                    };
                    self.asm.mov_imm(high, (value >> 32) as u32);
                }
            }
            Simd::Vcmp {
                signal,
                double,
                d,
                m,
            } => self.vfp_compare(decoded, signal, double, d, m),
            Simd::VcvtPrecision { to_double, d, m } => {
                let (slow, done) = self.begin_arithmetic(decoded);
                self.load_fp(X0, !to_double, m);
                self.asm.sse(scalar(!to_double), op::CONVERT, X0, X0);
                if !to_double {
                    self.check_result(false, X0, slow);
                }
                self.store_fp(X0, to_double, d);
                self.asm.bind(done);
            }
            Simd::VcvtFromInt {
                double,
                unsigned,
                d,
                m,
            } => {
                let (_, done) = self.begin_arithmetic(decoded);
                let from = self.fp(false, m);
                self.asm.sse(Prefix::None, op::XOR, X0, X0);
                self.asm.load(B32, Gpr::Rax, from);
                self.asm
                    .sse_gpr(scalar(double), unsigned, op::FROM_INT, X0.0, Gpr::Rax);
                self.store_fp(X0, double, d);
                self.asm.bind(done);
            }
            Simd::VcvtToInt {
                double,
                unsigned,
                round,
                d,
                m,
            } => self.vfp_to_int(decoded, double, unsigned, round, d, m),
            Simd::VcvtFixed { .. } => self.vfp_fixed(decoded, simd)?,
            _ => return None,
        }
        Some(false)
    }

    /// Where S(`number`) or D(`number`) is.
    pub(super) fn fp(&self, double: bool, number: u8) -> Mem {
        let size = if double { 8 } else { 4 };
        Mem::at(STATE, self.layout.d + i32::from(number) * size)
    }

    /// Leaves for the interpreter unless floating point is enabled.
    pub(super) fn check_fp(&mut self) {
        self.need_fp(fp::NO_ARITHMETIC);
    }

    /// Leaves for the interpreter unless arithmetic is what the host's is. Returns the slow path and
    /// the label that is to stand behind the instruction. From here to its end the host may raise
    /// exceptions, and memory keeps the operands.
    pub(super) fn begin_arithmetic(&mut self, decoded: &Decoded) -> (Label, Label) {
        self.need_fp(fp::ON);
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        self.site(slow, SiteKind::Float);
        // The host's flags are others behind the slow path.
        self.form = Form::None;
        (slow, done)
    }

    /// Leaves for the interpreter unless floating point may do this much: a value of [`Shared::fp`].
    pub(super) fn need_fp(&mut self, needed: u8) {
        if needed == fp::OFF || self.fp_found == fp::ON || self.fp_found == needed {
            return;
        }
        let (cc, value) = match needed {
            fp::ON => (Cc::Ne, fp::ON),
            _ => (Cc::E, fp::OFF),
        };
        let allowed = self.shared(offset_of!(Shared, fp));
        let interpret = self.asm.label();
        self.asm.alu_imm(B8, Alu::Cmp, allowed, value.into());
        self.asm.jcc(cc, interpret);
        self.form = Form::None;
        let pc = self.pc | u32::from(self.request.t32);
        let (it, to) = (self.it, To::Interpreter);
        self.cold(interpret, Kind::Leave { pc, it, to });
        // Behind a test of a condition this may not have been executed.
        if self.skip.is_none() {
            self.fp_found = needed;
        }
    }

    fn core_to_word(&mut self, to_core: bool, word: Mem, rt: Reg) {
        let host = pinned(rt);
        if to_core {
            let to = host.unwrap_or(Gpr::Rax);
            self.asm.load(B32, to, word);
            self.set(rt, to);
        } else {
            let from = host.unwrap_or(Gpr::Rax);
            self.get(from, rt);
            self.asm.store(B32, word, from);
        }
    }

    fn vfp_access(
        &mut self,
        decoded: &Decoded,
        write: bool,
        double: bool,
        d: u8,
        rn: Reg,
        offset: i16,
    ) {
        self.check_fp();
        let offset = i32::from(offset);
        let size = if double { 8 } else { 4 };
        let place = self.vfp_place(rn, offset);
        let reg = if write {
            self.vfp_stored(double, d)
        } else {
            self.target_fp(double, d, X0)
        };
        let moved = Moved::Vector { write, double, reg };
        let done = self.single(decoded, moved, place, (size, 4));
        if !write {
            self.store_fp(reg, double, d);
        }
        self.asm.bind(done);
    }

    /// Two instructions that load or store the halves of a Q register: one access.
    pub(super) fn halves(&mut self, rest: &[Step]) -> bool {
        let [first, second, ..] = rest else {
            return false;
        };
        let (write, d, rn, offset) = match first.decoded.insn {
            Insn::Simd(Simd::Vldr { d, rn, offset, .. }) => (false, d, rn, offset),
            Insn::Simd(Simd::Vstr { d, rn, offset, .. }) => (true, d, rn, offset),
            _ => return false,
        };
        let (first, second) = (first.decoded, second.decoded);
        self.merged = true;
        self.emit_for(&[first.insn, second.insn], |translator| {
            translator.check_fp();
            let place = translator.vfp_place(rn, offset.into());
            let reg = if write {
                translator.vector_operand(true, d, X0)
            } else {
                translator.vector_target(true, d, X0)
            };
            let moved = Moved::Quad { write, reg };
            // The slow path of the first goes on to that of the second.
            let after_first = translator.single(&first, moved, place, (16, 4));
            if !write {
                translator.vector_store(reg, true, d);
            }
            let back = translator.asm.label();
            translator.asm.bind(back);
            let op = translator.op_behind(&first, &second);
            translator.cold(after_first, Kind::Second { back, op });
            false
        });
        true
    }

    fn vfp_place(&mut self, rn: Reg, offset: i32) -> Place {
        match (rn.is_pc(), pinned(rn)) {
            (true, _) => Place::Literal(self.literal(offset)),
            (false, Some(base)) => Place::At(base, offset),
            (false, None) => {
                self.get(Gpr::Rcx, rn);
                Place::At(Gpr::Rcx, offset)
            }
        }
    }

    /// The host register that has S(`d`) or D(`d`): its own, or X0.
    fn vfp_stored(&mut self, double: bool, d: u8) -> Xmm {
        match self.operand_fp(double, d) {
            XmmLoc::Reg(held) => held,
            XmmLoc::Mem(_) => {
                self.load_fp(X0, double, d);
                X0
            }
        }
    }

    /// Stores S(`d`) or D(`d`) at an address of the host, or loads it.
    fn vfp_move(&mut self, write: bool, double: bool, d: u8, memory: Mem) {
        if write {
            let from = self.vfp_stored(double, d);
            self.asm.sse(scalar(double), op::STORE, from, memory);
        } else {
            let to = self.target_fp(double, d, X0);
            self.asm.sse(scalar(double), op::LOAD, to, memory);
            self.store_fp(to, double, d);
        }
    }

    fn vfp_multiple(
        &mut self,
        decoded: &Decoded,
        write: bool,
        double: bool,
        d: u8,
        count: u8,
        base: Base,
    ) -> Option<()> {
        let size = if double { 8 } else { 4 };
        let length = i32::from(count) * size;
        if base.rn.is_pc() || d + count > 32 || count == 0 {
            return None;
        }
        self.check_fp();
        let moved = i32::from(base.bytes);
        let rn = self.loc(base.rn);
        self.asm.load(B32, Gpr::Rcx, rn);
        if !base.increment {
            self.asm.alu_imm(B32, Alu::Sub, Gpr::Rcx, moved);
        }
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        self.test_alignment(4, slow);
        let span = Span {
            bytes: length as u32,
            align: 4,
            element: 1,
            at_once: count == 1,
        };
        self.look_up(write, span, slow);
        for n in 0..count {
            let memory = Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, i32::from(n) * size);
            self.vfp_move(write, double, d + n, memory);
        }
        if base.wback {
            self.move_base(base.rn, if base.increment { moved } else { 0 });
        }
        self.asm.bind(done);
        Some(())
    }

    /// Goes to the slow path if a result is the smallest normal number, which may have been rounded up
    /// from less, or a NaN. Uses X2.
    fn check_result(&mut self, double: bool, result: Xmm, slow: Label) {
        let (magnitude, smallest, compare) = if double {
            let magnitude = offset_of!(Shared, f64_magnitude);
            (magnitude, offset_of!(Shared, f64_smallest), Prefix::P66)
        } else {
            let magnitude = offset_of!(Shared, f32_magnitude);
            (magnitude, offset_of!(Shared, f32_smallest), Prefix::None)
        };
        let magnitude = self.shared(magnitude);
        if self.request.avx2 {
            self.asm.avx(op::AND, double, X2, result, magnitude);
        } else {
            self.asm.sse(scalar(double), op::LOAD, X2, magnitude);
            self.asm.sse(Prefix::None, op::AND, X2, result);
        }
        let smallest = self.shared(smallest);
        self.asm.sse(compare, op::COMPARE_QUIET, X2, smallest);
        self.asm.jcc(Cc::E, slow);
        self.form = Form::None;
    }

    /// `to = -to`.
    fn negate(&mut self, double: bool, to: Xmm) {
        self.load_sign(X2, double);
        self.asm.sse(Prefix::None, op::XOR, to, X2);
    }

    fn load_sign(&mut self, to: Xmm, double: bool) {
        let sign = if double {
            offset_of!(Shared, f64_sign)
        } else {
            offset_of!(Shared, f32_sign)
        };
        let sign = self.shared(sign);
        self.asm.sse(scalar(double), op::LOAD, to, sign);
    }

    fn vfp_arithmetic(
        &mut self,
        decoded: &Decoded,
        operation: VfpOp,
        double: bool,
        d: u8,
        n: u8,
        m: u8,
    ) -> Option<()> {
        let simple = match operation {
            VfpOp::Vadd => Some(op::ADD),
            VfpOp::Vsub => Some(op::SUB),
            VfpOp::Vmul | VfpOp::Vnmul => Some(op::MUL),
            VfpOp::Vdiv => Some(op::DIV),
            _ => None,
        };
        let fused = match operation {
            VfpOp::Vfma => Some(0xb9),
            VfpOp::Vfms => Some(0xbd),
            VfpOp::Vfnma => Some(0xbf),
            VfpOp::Vfnms => Some(0xbb),
            _ => None,
        };
        if fused.is_some() && !self.request.fma {
            return None;
        }
        let (slow, done) = self.begin_arithmetic(decoded);
        let prefix = scalar(double);
        let rm = self.operand_fp(double, m);
        // Memory keeps the operands until the result is found right.
        let mut to = self.target_fp(double, d, X0);
        if let Some(opcode) = simple {
            if d == m && d != n {
                to = X0;
            }
            self.load_fp(to, double, n);
            self.asm.sse(prefix, opcode, to, rm);
            if matches!(operation, VfpOp::Vadd | VfpOp::Vsub) {
                // Sums that small are exact; but beside a NaN the host does not see a number below the
                // normal ones.
                let compare = if double { Prefix::P66 } else { Prefix::None };
                self.asm.sse(compare, op::COMPARE_QUIET, to, to);
                self.asm.jcc(Cc::P, slow);
                self.form = Form::None;
            } else {
                self.check_result(double, to, slow);
            }
            if operation == VfpOp::Vnmul {
                self.negate(double, to);
            }
        } else if let Some(opcode) = fused {
            self.load_fp(to, double, d);
            let rn = match self.operand_fp(double, n) {
                XmmLoc::Reg(held) => held,
                XmmLoc::Mem(_) => {
                    self.load_fp(X1, double, n);
                    X1
                }
            };
            self.asm.fused(opcode, double, to, rn, rm);
            self.check_result(double, to, slow);
        } else {
            // Two roundings.
            self.load_fp(X1, double, n);
            self.asm.sse(prefix, op::MUL, X1, rm);
            self.check_result(double, X1, slow);
            self.load_fp(to, double, d);
            if matches!(operation, VfpOp::Vnmla | VfpOp::Vnmls) {
                self.negate(double, to);
            }
            let opcode = match operation {
                VfpOp::Vmla | VfpOp::Vnmls => op::ADD,
                _ => op::SUB,
            };
            self.asm.sse(prefix, opcode, to, X1);
        }
        self.store_fp(to, double, d);
        self.asm.bind(done);
        Some(())
    }

    fn vfp_unary(&mut self, decoded: &Decoded, operation: VfpUnary, double: bool, d: u8, m: u8) {
        if operation == VfpUnary::Vsqrt {
            let (_, done) = self.begin_arithmetic(decoded);
            let from = self.operand_fp(double, m);
            self.asm.sse(Prefix::None, op::XOR, X0, X0);
            self.asm.sse(scalar(double), op::SQRT, X0, from);
            self.store_fp(X0, double, d);
            self.asm.bind(done);
            return;
        }
        self.check_fp();
        self.load_fp(X0, double, m);
        match operation {
            VfpUnary::Vabs => {
                self.load_sign(X2, double);
                // ANDNPS: all bits of X0 but the sign.
                self.asm.sse(Prefix::None, op::AND_NOT, X2, X0);
                self.store_fp(X2, double, d);
                return;
            }
            VfpUnary::Vneg => self.negate(double, X0),
            VfpUnary::Vmov | VfpUnary::Vsqrt => {}
        }
        self.store_fp(X0, double, d);
    }

    fn vfp_compare(&mut self, decoded: &Decoded, signal: bool, double: bool, d: u8, m: Option<u8>) {
        let (slow, done) = self.begin_arithmetic(decoded);
        let prefix = if double { Prefix::P66 } else { Prefix::None };
        let opcode = if signal {
            op::COMPARE
        } else {
            op::COMPARE_QUIET
        };
        self.load_fp(X0, double, d);
        match m {
            Some(m) => {
                let other = self.operand_fp(double, m);
                self.asm.sse(prefix, opcode, X0, other);
            }
            None => {
                self.asm.sse(Prefix::None, op::XOR, X1, X1);
                self.asm.sse(prefix, opcode, X0, X1);
            }
        }
        self.asm.jcc(Cc::P, slow);
        // Greater: C. Equal: Z and C. Less: N.
        self.asm.mov_imm(Gpr::Rax, 2 << 28);
        self.asm.mov_imm(Gpr::Rcx, 6 << 28);
        self.asm.cmov(Cc::E, Gpr::Rax, Gpr::Rcx);
        self.asm.mov_imm(Gpr::Rcx, 8 << 28);
        self.asm.cmov(Cc::B, Gpr::Rax, Gpr::Rcx);
        let fpscr = Mem::at(STATE, self.layout.fpscr);
        self.asm.alu_imm(B32, Alu::And, fpscr, 0x0fff_ffff);
        self.asm.alu_to(B32, Alu::Or, fpscr, Gpr::Rax);
        self.form = Form::None;
        self.asm.bind(done);
    }

    fn vfp_to_int(
        &mut self,
        decoded: &Decoded,
        double: bool,
        unsigned: bool,
        round: bool,
        d: u8,
        m: u8,
    ) {
        let (slow, done) = self.begin_arithmetic(decoded);
        let prefix = scalar(double);
        let opcode = if round {
            op::TO_INT
        } else {
            op::TO_INT_TRUNCATED
        };
        let compare = if double { Prefix::P66 } else { Prefix::None };
        self.load_fp(X0, double, m);
        if unsigned {
            // The conversion is of 64 bits: what is out of range is the interpreter's.
            let limit = match (double, round) {
                (true, false) => offset_of!(Shared, f64_two_to_32),
                // Beyond, it may be rounded up to 2^32.
                (true, true) => offset_of!(Shared, f64_largest_u32),
                (false, _) => offset_of!(Shared, f32_two_to_32),
            };
            let limit = self.shared(limit);
            self.asm.sse(compare, op::COMPARE_QUIET, X0, limit);
            self.asm.jcc(Cc::Ae, slow);
            self.asm.jcc(Cc::P, slow);
            self.asm
                .sse_gpr(Prefix::P66, double, op::TO_GPR, X0.0, Gpr::Rax);
            let width = if double { B64 } else { B32 };
            self.asm.test(width, Gpr::Rax, Gpr::Rax);
            self.asm.jcc(Cc::S, slow);
            self.asm
                .sse_gpr(prefix, true, opcode, Gpr::Rax as u8, gpr_of(X0));
        } else {
            // Unlike the conversion, it finds numbers below the normal ones.
            self.asm.sse(compare, op::COMPARE_QUIET, X0, X0);
            self.asm
                .sse_gpr(prefix, false, opcode, Gpr::Rax as u8, gpr_of(X0));
            // The host's answer to what is out of range.
            self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rax, i32::MIN);
            self.asm.jcc(Cc::E, slow);
        }
        self.form = Form::None;
        let to = self.fp(false, d);
        self.asm.store(B32, to, Gpr::Rax);
        self.asm.bind(done);
    }
}

/// The base register of a load or store of several registers.
#[derive(Clone, Copy)]
struct Base {
    rn: Reg,
    /// How far it moves.
    bytes: u16,
    increment: bool,
    wback: bool,
}

/// A vector register in the place of a general one, for instructions that take both.
fn gpr_of(xmm: Xmm) -> Gpr {
    crate::asm::gpr(xmm.0)
}

/// What a block needs of floating point, if nothing in it can change what is allowed.
pub(super) fn needed(steps: &[Step]) -> u8 {
    let need = |step: &Step| match step.decoded.insn {
        Insn::Simd(
            Simd::Vfp { .. }
            | Simd::Vcmp { .. }
            | Simd::VcvtPrecision { .. }
            | Simd::VcvtFromInt { .. }
            | Simd::VcvtToInt { .. }
            | Simd::VcvtFixed { .. }
            | Simd::Float { .. }
            | Simd::FloatScalar { .. }
            | Simd::Cvt { .. },
        ) => fp::ON,
        Insn::Simd(_) => fp::NO_ARITHMETIC,
        _ => fp::OFF,
    };
    let most = |a: u8, b: u8| match (a, b) {
        (fp::ON, _) | (_, fp::ON) => fp::ON,
        (a, b) => a.max(b),
    };
    let changes = |step: &Step| {
        effects(&step.decoded.insn).unknown && !matches!(step.decoded.insn, Insn::B { .. })
    };
    if steps.iter().any(changes) {
        return fp::OFF;
    }
    steps.iter().map(need).fold(fp::OFF, most)
}
