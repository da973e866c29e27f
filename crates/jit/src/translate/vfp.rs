//! VFP: moves, loads and stores, and arithmetic on single numbers.
//!
//! The host computes with its own rounding and exception flags, which agree with the architecture's
//! in the mode that [`mode::USUAL`] stands for, except in two cases that the result
//! shows: a NaN (whose bits differ), and the smallest normal number (the host tells underflow after
//! rounding, the architecture before). Those are left to the interpreter. The exception flags
//! gather in MXCSR.

mod fixed;

use super::analysis::Form;
use super::cold::{Kind, To};
use super::flags::{NOT_C, NZ, V};
use super::memory::{Moved, Place, Span};
use super::{Translator, pinned};
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Prefix, Sh, Width, Xmm, XmmLoc};
use crate::context::{STATE, Shared};
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
                self.read_fpscr();
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
                self.check_fp();
                let done = self.asm.label();
                let slow = self.slow(decoded, done);
                let flush = Flush {
                    operands: [Some(m), None, None],
                    result: if to_double {
                        Tiny::Never
                    } else {
                        Tiny::Narrowed(m)
                    },
                };
                self.check_mode(slow, !to_double, flush);
                self.load_fp(X0, !to_double, m);
                self.asm.sse(scalar(!to_double), op::CONVERT, X0, X0);
                self.check_result(to_double, X0, slow);
                self.store_fp(X0, to_double, d);
                self.asm.bind(done);
            }
            Simd::VcvtFromInt {
                double,
                unsigned,
                d,
                m,
            } => {
                self.check_fp();
                let done = self.asm.label();
                let slow = self.slow(decoded, done);
                self.check_mode(slow, double, Flush::default());
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

    /// Loads FPSCR into EAX, with the exceptions that the host gathered. Uses ECX.
    fn read_fpscr(&mut self) {
        let host = self.shared(offset_of!(Shared, mxcsr));
        self.asm.stmxcsr(host);
        self.asm.load(B32, Gpr::Rax, host);
        self.asm.store(B32, Gpr::Rcx, Gpr::Rax);
        // IE is IOC; behind DE, which has no equal, follow ZE to PE, which are DZC to IXC.
        self.asm.alu_imm(B32, Alu::And, Gpr::Rax, 1);
        self.asm.shift(B32, Sh::Shr, Gpr::Rcx, 1);
        self.asm.alu_imm(B32, Alu::And, Gpr::Rcx, 0x1e);
        self.asm.alu(B32, Alu::Or, Gpr::Rax, Gpr::Rcx);
        let fpscr = Mem::at(STATE, self.layout.fpscr);
        self.asm.alu(B32, Alu::Or, Gpr::Rax, fpscr);
        self.form = Form::None;
    }

    /// Leaves for the interpreter unless floating point is enabled.
    pub(super) fn check_fp(&mut self) {
        if self.fp_checked {
            return;
        }
        let fp = self.shared(offset_of!(Shared, fp));
        let interpret = self.asm.label();
        self.asm.alu_imm(B8, Alu::Cmp, fp, 0);
        self.asm.jcc(Cc::E, interpret);
        self.form = Form::None;
        let pc = self.pc | u32::from(self.request.t32);
        let (it, to) = (self.it, To::Interpreter);
        self.cold(interpret, Kind::Leave { pc, it, to });
        // Behind a test of a condition this may not have been executed.
        self.fp_checked = self.skip.is_none();
    }

    /// Goes to the slow path unless arithmetic is in the usual mode, or in that of flushing to zero
    /// with numbers that keep clear of it.
    fn check_mode(&mut self, slow: Label, double: bool, flush: Flush) {
        let mode = self.shared(offset_of!(Shared, mode));
        let (label, back) = (self.asm.label(), self.asm.label());
        self.asm.alu_imm(B8, Alu::Cmp, mode, i32::from(mode::USUAL));
        self.asm.jcc(Cc::Ne, label);
        self.asm.bind(back);
        self.form = Form::None;
        let kind = Kind::Flush {
            back,
            slow,
            double,
            flush,
        };
        self.cold(label, kind);
    }

    /// Behind [`Translator::check_mode`].
    pub(super) fn place_flush(&mut self, double: bool, flush: Flush, back: Label, slow: Label) {
        let mode = self.shared(offset_of!(Shared, mode));
        self.asm.alu_imm(B8, Alu::Cmp, mode, i32::from(mode::FLUSH));
        self.asm.jcc(Cc::Ne, slow);
        let width = if double { B64 } else { B32 };
        for number in flush.operands.into_iter().flatten() {
            // Zero, or not below the normal numbers.
            let operand = self.fp(double, number);
            let fine = self.asm.label();
            self.asm.load(width, Gpr::Rax, operand);
            self.asm.alu(width, Alu::Add, Gpr::Rax, Gpr::Rax);
            self.asm.jcc(Cc::E, fine);
            if double {
                let bias = self.shared(offset_of!(Shared, f64_bias));
                self.asm.alu(B64, Alu::Cmp, Gpr::Rax, bias);
            } else {
                self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rax, F32_BIAS as i32);
            }
            self.asm.jcc(Cc::B, slow);
            self.asm.bind(fine);
        }
        match flush.result {
            Tiny::Never => {}
            Tiny::Product(n, m, least) => {
                let fine = self.asm.label();
                self.exponent(Gpr::Rax, double, n);
                self.asm.jcc(Cc::E, fine);
                self.exponent(Gpr::Rcx, double, m);
                self.asm.jcc(Cc::E, fine);
                self.asm.alu(B32, Alu::Add, Gpr::Rax, Gpr::Rcx);
                self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rax, least);
                self.asm.jcc(Cc::L, slow);
                self.asm.bind(fine);
            }
            Tiny::Quotient(n, m, least) => {
                self.exponent(Gpr::Rax, double, n);
                self.exponent(Gpr::Rcx, double, m);
                self.asm.alu(B32, Alu::Sub, Gpr::Rax, Gpr::Rcx);
                self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rax, least);
                self.asm.jcc(Cc::L, slow);
            }
            Tiny::Narrowed(m) => {
                let fine = self.asm.label();
                self.exponent(Gpr::Rax, true, m);
                self.asm.jcc(Cc::E, fine);
                self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rax, NARROWED_EXPONENT);
                self.asm.jcc(Cc::L, slow);
                self.asm.bind(fine);
            }
        }
        self.asm.jmp(back);
    }

    /// Leaves the biased exponent of a number in a register, and whether it is 0 in the host's
    /// flags.
    fn exponent(&mut self, to: Gpr, double: bool, number: u8) {
        let mut from = self.fp(double, number);
        let (shift, mask) = if double {
            from.disp += 4;
            (20, 0x7ff)
        } else {
            (23, 0xff)
        };
        self.asm.load(B32, to, from);
        self.asm.shift(B32, Sh::Shr, to, shift);
        self.asm.alu_imm(B32, Alu::And, to, mask);
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

    /// Goes to the slow path for the results that the host may have wrong.
    fn check_result(&mut self, double: bool, result: Xmm, slow: Label) {
        let width = if double { B64 } else { B32 };
        self.asm
            .sse_gpr(Prefix::P66, double, op::TO_GPR, result.0, Gpr::Rax);
        self.asm.alu(width, Alu::Add, Gpr::Rax, Gpr::Rax);
        // Twice the smallest normal number, plus 1, wraps everything up to it to the top.
        if double {
            let bias = self.shared(offset_of!(Shared, f64_bias));
            let limit = self.shared(offset_of!(Shared, f64_limit));
            self.asm.alu(B64, Alu::Sub, Gpr::Rax, bias);
            self.asm.alu(B64, Alu::Cmp, Gpr::Rax, limit);
        } else {
            self.asm.alu_imm(B32, Alu::Sub, Gpr::Rax, F32_BIAS as i32);
            self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rax, F32_LIMIT as i32);
        }
        let (special, back) = (self.asm.label(), self.asm.label());
        self.asm.jcc(Cc::A, special);
        self.asm.bind(back);
        self.form = Form::None;
        self.cold(special, Kind::Special { back, slow, double });
    }

    /// Behind [`Translator::check_result`]: zero and what is below the smallest normal number is
    /// right; RAX is twice the result, less the bias.
    pub(super) fn place_special(&mut self, double: bool, back: Label, slow: Label) {
        if double {
            let bias = self.shared(offset_of!(Shared, f64_bias));
            self.asm.alu(B64, Alu::Add, Gpr::Rax, bias);
            // One below the bias: the smallest normal number itself.
            self.asm.alu_imm(B64, Alu::Add, Gpr::Rax, 1);
            self.asm.alu(B64, Alu::Cmp, Gpr::Rax, bias);
        } else {
            self.asm.alu_imm(B32, Alu::Add, Gpr::Rax, F32_BIAS as i32);
            self.asm.alu_imm(B32, Alu::Add, Gpr::Rax, 1);
            self.asm.alu_imm(B32, Alu::Cmp, Gpr::Rax, F32_BIAS as i32);
        }
        self.asm.jcc(Cc::Ae, slow);
        // Twice the result, plus 1: zero is right in every mode, less than normal in the usual one.
        let width = if double { B64 } else { B32 };
        self.asm.alu_imm(width, Alu::Sub, Gpr::Rax, 1);
        self.asm.jcc(Cc::E, back);
        let mode = self.shared(offset_of!(Shared, mode));
        self.asm.alu_imm(B8, Alu::Cmp, mode, i32::from(mode::USUAL));
        self.asm.jcc(Cc::E, back);
        self.asm.jmp(slow);
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
        self.check_fp();
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        let accumulates = simple.is_none();
        let flush = Flush {
            operands: [Some(n), Some(m), accumulates.then_some(d)],
            result: match operation {
                VfpOp::Vadd | VfpOp::Vsub => Tiny::Never,
                VfpOp::Vdiv => Tiny::Quotient(n, m, if double { -1020 } else { -124 }),
                _ if fused.is_some() => Tiny::Product(n, m, if double { 1076 } else { 152 }),
                _ => Tiny::Product(n, m, if double { 1026 } else { 130 }),
            },
        };
        self.check_mode(slow, double, flush);
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
            self.check_result(double, to, slow);
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
            self.check_result(double, to, slow);
        }
        self.store_fp(to, double, d);
        self.asm.bind(done);
        Some(())
    }

    fn vfp_unary(&mut self, decoded: &Decoded, operation: VfpUnary, double: bool, d: u8, m: u8) {
        self.check_fp();
        if operation == VfpUnary::Vsqrt {
            let done = self.asm.label();
            let slow = self.slow(decoded, done);
            self.check_mode(slow, double, Flush::operand(m));
            let from = self.operand_fp(double, m);
            self.asm.sse(Prefix::None, op::XOR, X0, X0);
            self.asm.sse(scalar(double), op::SQRT, X0, from);
            self.check_result(double, X0, slow);
            self.store_fp(X0, double, d);
            self.asm.bind(done);
            return;
        }
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
        self.check_fp();
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        let flush = Flush {
            operands: [Some(d), m, None],
            result: Tiny::Never,
        };
        self.check_mode(slow, double, flush);
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
        self.check_fp();
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        self.check_mode(slow, double, Flush::operand(m));
        let prefix = scalar(double);
        let opcode = if round {
            op::TO_INT
        } else {
            op::TO_INT_TRUNCATED
        };
        self.load_fp(X0, double, m);
        if unsigned {
            // What is out of range must not leave the host's Inexact behind: it is not converted.
            let limit = match (double, round) {
                (true, false) => offset_of!(Shared, f64_two_to_32),
                // Beyond, it may be rounded up to 2^32.
                (true, true) => offset_of!(Shared, f64_largest_u32),
                (false, _) => offset_of!(Shared, f32_two_to_32),
            };
            let limit = self.shared(limit);
            let compare = if double { Prefix::P66 } else { Prefix::None };
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

/// What keeps an operation clear of flushing to zero.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flush {
    /// Registers that must not hold numbers below the normal ones.
    operands: [Option<u8>; 3],
    result: Tiny,
}

impl Flush {
    fn operand(number: u8) -> Self {
        Flush {
            operands: [Some(number), None, None],
            result: Tiny::Never,
        }
    }
}

/// When the result of an operation on normal numbers can come near the smallest normal number and
/// be inexact.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Tiny {
    /// Never: sums that small are exact.
    #[default]
    Never,
    /// If the sum of the exponents of two registers is less than this.
    Product(u8, u8, i32),
    /// If the difference of the exponents is less than this.
    Quotient(u8, u8, i32),
    /// When a double becomes a single.
    Narrowed(u8),
}

/// The least biased exponent of a double that is clear of the smallest normal single.
const NARROWED_EXPONENT: i32 = 1023 - 126 + 1;

/// Values of [`Shared::mode`].
pub mod mode {
    /// The interpreter's.
    pub const OTHER: u8 = 0;
    /// Rounding to nearest, no flushing to zero, no vectors.
    pub const USUAL: u8 = 1;
    /// The same with flushing to zero.
    pub const FLUSH: u8 = 2;
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

/// Twice the bits of the smallest normal f32, plus 1.
pub const F32_BIAS: u32 = 0x0100_0001;
/// What is above it, less the bias, is a NaN or has wrapped.
const F32_LIMIT: u32 = 0xff00_0000 - F32_BIAS;
/// The same for f64.
pub const F64_BIAS: u64 = 0x0020_0000_0000_0001;
/// As [`F32_LIMIT`].
pub const F64_LIMIT: u64 = 0xffe0_0000_0000_0000 - F64_BIAS;
