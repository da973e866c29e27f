//! Advanced SIMD: the operations that the host has as well.
//!
//! Floating point here always flushes to zero (manual A2.7.7), which the host does by other rules:
//! whatever meets a number below the normal ones, as an operand or as a result, is the
//! interpreter's, and so are NaNs.

mod composed;
mod float;
mod integer;
mod long;
mod permute;
mod register_shift;
mod shift;
mod structures;
pub mod tables;
mod unary;

use super::memory::Span;
use super::{Translator, pinned};
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Prefix, Width, Xmm};
use crate::context::Shared;
use skep_arm::insn::simd::{
    FloatOp, ImmOp, IntOp, LongOp, NarrowOp, ShiftOp, Simd, UnaryOp, Wback, simd_expand_imm,
};
use skep_arm::insn::{Decoded, Insn, Reg};
use std::mem::offset_of;

use Prefix::P66;
use Width::{B8, B16, B32, B64};

/// Whether a result was rounded, if it is as small as the smallest normal number.
#[derive(Clone, Copy)]
enum Rounded {
    Yes,
    No,
}

/// MULPS.
const MUL: u8 = 0x59;

const X0: Xmm = Xmm(0);
const X1: Xmm = Xmm(1);
const X2: Xmm = Xmm(2);
const X3: Xmm = Xmm(3);
const X4: Xmm = Xmm(4);
const X5: Xmm = Xmm(5);
const X6: Xmm = Xmm(6);
const X7: Xmm = Xmm(7);

/// Opcodes of the map 0F, prefix 66.
mod op {
    #![allow(missing_docs)]
    pub const AND: u8 = 0xdb;
    pub const AND_NOT: u8 = 0xdf;
    pub const OR: u8 = 0xeb;
    pub const XOR: u8 = 0xef;
    pub const EQUAL32: u8 = 0x76;
    pub const SUB32: u8 = 0xfa;
    pub const ADD32: u8 = 0xfe;
    pub const GREATER32: u8 = 0x66;
    pub const SHUFFLE32: u8 = 0x70;
    pub const UNPACK_LOW64: u8 = 0x6c;
    pub const FROM_GPR: u8 = 0x6e;
}

/// Opcodes of the map 0F 38, prefix 66.
mod op38 {
    #![allow(missing_docs)]
    pub const TEST: u8 = 0x17;
    pub const MIN_UNSIGNED32: u8 = 0x3b;
    pub const MUL32: u8 = 0x40;
}

/// An operation on two vectors: its map (0F 38 or 0F) and opcode.
#[derive(Clone, Copy)]
struct Vector {
    map38: bool,
    opcode: u8,
}

const fn plain(opcode: u8) -> Option<Vector> {
    Some(Vector {
        map38: false,
        opcode,
    })
}

const fn extended(opcode: u8) -> Option<Vector> {
    Some(Vector {
        map38: true,
        opcode,
    })
}

/// The host's instruction for elements of 8, 16, 32, 64 bits.
fn by_size(table: [Option<Vector>; 4], size: u8) -> Option<Vector> {
    table.get(usize::from(size)).copied().flatten()
}

fn add(size: u8) -> Option<Vector> {
    by_size([plain(0xfc), plain(0xfd), plain(0xfe), plain(0xd4)], size)
}

fn sub(size: u8) -> Option<Vector> {
    by_size([plain(0xf8), plain(0xf9), plain(0xfa), plain(0xfb)], size)
}

fn mul(size: u8) -> Option<Vector> {
    by_size([None, plain(0xd5), extended(op38::MUL32), None], size)
}

fn equal(size: u8) -> Option<Vector> {
    by_size([plain(0x74), plain(0x75), plain(0x76), None], size)
}

fn greater(size: u8) -> Option<Vector> {
    by_size([plain(0x64), plain(0x65), plain(0x66), None], size)
}

fn max(size: u8, unsigned: bool) -> Option<Vector> {
    if unsigned {
        by_size([plain(0xde), extended(0x3e), extended(0x3f), None], size)
    } else {
        by_size([extended(0x3c), plain(0xee), extended(0x3d), None], size)
    }
}

fn min(size: u8, unsigned: bool) -> Option<Vector> {
    if unsigned {
        by_size([plain(0xda), extended(0x3a), extended(0x3b), None], size)
    } else {
        by_size([extended(0x38), plain(0xea), extended(0x39), None], size)
    }
}

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn neon(&mut self, decoded: &Decoded) -> Option<bool> {
        let Insn::Simd(simd) = decoded.insn else {
            return None;
        };
        if !self.request.sse41 {
            return None;
        }
        match simd {
            Simd::Int {
                op,
                q,
                unsigned,
                size,
                d,
                n,
                m,
            } => self.integer(op, q, unsigned, size, [d, n, m])?,
            Simd::IntScalar {
                op: op @ (IntOp::Vmul | IntOp::Vmla | IntOp::Vmls),
                q,
                size: size @ (1 | 2),
                d,
                n,
                m,
                index,
            } => {
                self.check_fp();
                let product = mul(size)?;
                self.broadcast(X2, size, m, index);
                let n = self.vector_operand(q, n, X1);
                self.combine(product, X1, n, X2);
                self.accumulate(op, q, size, d)?;
            }
            Simd::Unary {
                op, q, size, d, m, ..
            } => self.vector_unary(op, q, size, d, m)?,
            Simd::Float { op, q, d, n, m } => {
                self.check_float(op)?;
                let m = self.float_operand(q, m, X2);
                self.float(decoded, op, q, d, n, m);
            }
            Simd::FloatScalar {
                op,
                q,
                d,
                n,
                m,
                index,
            } => {
                self.check_float(op)?;
                self.broadcast(X2, 2, m, index);
                if !q {
                    // Elements that do not count raise nothing (MOVQ).
                    self.asm.sse(Prefix::F3, 0x7e, X2, X2);
                }
                self.float(decoded, op, q, d, n, X2);
            }
            Simd::Shift {
                op,
                q,
                unsigned,
                size,
                amount,
                d,
                m,
            } => self.vector_shift(op, q, unsigned, size, amount, d, m)?,
            Simd::ShiftLong {
                unsigned,
                size: size @ 0..=2,
                amount,
                d,
                m,
            } => {
                self.check_fp();
                self.vector_load(X0, false, m);
                self.lengthen(X0, unsigned, size);
                self.shift_left(X0, size + 1, amount);
                self.vector_store(X0, true, d);
            }
            Simd::Long {
                op,
                unsigned,
                size: size @ 0..=2,
                d,
                n,
                m,
            } => self.long(op, unsigned, size, [d, n, m])?,
            Simd::Narrow {
                op: NarrowOp::Truncate,
                round: false,
                size: size @ 0..=2,
                amount,
                d,
                m,
                ..
            } => {
                self.check_fp();
                self.vector_load(X0, true, m);
                if amount != 0 {
                    self.asm.sse_shift(0x71 + size, 2, X0, amount);
                }
                self.truncate(size);
                self.vector_store(X0, false, d);
            }
            Simd::Imm {
                op,
                q,
                cmode,
                op_bit,
                imm,
                d,
            } => {
                self.check_fp();
                self.immediate(op, q, simd_expand_imm(op_bit, cmode, imm), d);
            }
            Simd::VdupCore { q, size, d, rt } if !rt.is_pc() && size <= 2 => {
                self.check_fp();
                if self.request.avx2 {
                    let from = super::pinned(rt).unwrap_or(Gpr::Rax);
                    self.get(from, rt);
                    let to = self.vector_target(q, d, X0);
                    self.asm.sse_gpr(P66, false, op::FROM_GPR, to.0, from);
                    self.asm.broadcast(size, to, to);
                    self.vector_store(to, q, d);
                } else {
                    self.get(Gpr::Rax, rt);
                    self.replicate(size);
                    self.vector_store(X0, q, d);
                }
            }
            Simd::VdupScalar {
                q,
                size: size @ 0..=2,
                d,
                m,
                index,
            } => {
                self.check_fp();
                let to = self.vector_target(q, d, X0);
                self.broadcast(to, size, m, index);
                self.vector_store(to, q, d);
            }
            Simd::Vext { q, d, n, m, index } => {
                self.check_fp();
                if q {
                    self.vector_load(X0, true, m);
                    self.vector_load(X1, true, n);
                    self.asm.align_right(X0, X1, index);
                } else {
                    self.vector_load(X0, false, n);
                    self.vector_load(X1, false, m);
                    self.asm.sse(P66, op::UNPACK_LOW64, X0, X1);
                    // Shift of the whole register, by bytes.
                    self.asm.sse_shift(0x73, 3, X0, index);
                }
                self.vector_store(X0, q, d);
            }
            Simd::Multiple {
                load,
                size,
                interleave: 1,
                regs,
                spacing: 1,
                d,
                align,
                rn,
                wback,
            } => self.structures(decoded, !load, size, regs, d, align, rn, wback)?,
            _ => return None,
        }
        Some(false)
    }

    fn vector(&mut self, operation: Vector, dst: Xmm, src: Xmm) {
        if operation.map38 {
            self.asm.sse38(P66, operation.opcode, dst, src);
        } else {
            self.asm.sse(P66, operation.opcode, dst, src);
        }
    }

    /// `to = a op b`. Uses X5.
    fn combine(&mut self, operation: Vector, to: Xmm, a: Xmm, b: Xmm) {
        let Vector { map38, opcode } = operation;
        if self.request.avx2 {
            return if map38 {
                self.asm.fused(opcode, false, to, a, b);
            } else {
                self.asm.avx(opcode, true, to, a, b);
            };
        }
        // MOVDQA.
        let at = if to == b { X5 } else { to };
        if at != a {
            self.asm.sse(P66, 0x6f, at, a);
        }
        self.vector(operation, at, b);
        if at != to {
            self.asm.sse(P66, 0x6f, to, at);
        }
    }

    fn all_ones(&mut self, to: Xmm) {
        self.asm.sse(P66, op::EQUAL32, to, to);
    }

    /// All elements of X0 are what is in the low bits of EAX.
    fn replicate(&mut self, size: u8) {
        match size {
            0 => {
                self.asm.load_zx(B8, Gpr::Rax, Gpr::Rax);
                self.asm.mov_imm(Gpr::Rcx, 0x0101_0101);
                self.asm.imul(B32, Gpr::Rax, Gpr::Rcx);
            }
            1 => {
                self.asm.load_zx(B16, Gpr::Rax, Gpr::Rax);
                self.asm.mov_imm(Gpr::Rcx, 0x0001_0001);
                self.asm.imul(B32, Gpr::Rax, Gpr::Rcx);
            }
            _ => {}
        }
        if size < 2 {
            self.form = super::Form::None;
        }
        self.asm.sse_gpr(P66, false, op::FROM_GPR, X0.0, Gpr::Rax);
        self.asm.sse(P66, op::SHUFFLE32, X0, X0);
        self.asm.immediate(0);
    }

    /// All elements of `to` are element `index` of D(`m`).
    fn broadcast(&mut self, to: Xmm, size: u8, m: u8, index: u8) {
        let mut from = self.fp(true, m);
        from.disp += i32::from(index) << size;
        if self.request.avx2 {
            return self.asm.broadcast(size, to, from);
        }
        match size {
            0 => self.asm.load_zx(B8, Gpr::Rax, from),
            1 => self.asm.load_zx(B16, Gpr::Rax, from),
            _ => self.asm.load(B32, Gpr::Rax, from),
        }
        self.replicate(size);
        if to != X0 {
            // MOVDQA.
            self.asm.sse(P66, 0x6f, to, X0);
        }
    }

    fn integer(
        &mut self,
        operation: IntOp,
        q: bool,
        unsigned: bool,
        size: u8,
        [d, n, m]: [u8; 3],
    ) -> Option<()> {
        // What the host has is found before anything is emitted.
        let one = match operation {
            IntOp::Vand => plain(op::AND),
            IntOp::Vorr => plain(op::OR),
            IntOp::Veor => plain(op::XOR),
            IntOp::Vbic | IntOp::Vorn | IntOp::Vbsl | IntOp::Vbit | IntOp::Vbif => plain(op::AND),
            IntOp::Vadd => add(size),
            IntOp::Vsub => sub(size),
            IntOp::Vmul | IntOp::Vmla | IntOp::Vmls => mul(size),
            IntOp::Vceq | IntOp::Vtst => equal(size),
            IntOp::Vcgt | IntOp::Vcge if !unsigned => greater(size),
            IntOp::Vcgt | IntOp::Vcge => max(size, true),
            // Averages, rounded up.
            IntOp::Vrhadd if unsigned => by_size([plain(0xe0), plain(0xe3), None, None], size),
            IntOp::Vmax => max(size, unsigned),
            IntOp::Vmin => min(size, unsigned),
            _ => None,
        }?;
        let same = equal(size);
        if matches!(operation, IntOp::Vcgt | IntOp::Vcge) && unsigned && same.is_none() {
            return None;
        }
        self.check_fp();
        let composed = match operation {
            IntOp::Vbic | IntOp::Vorn | IntOp::Vbsl | IntOp::Vbit | IntOp::Vbif => true,
            IntOp::Vtst | IntOp::Vcge => true,
            IntOp::Vcgt => unsigned,
            _ => false,
        };
        if !composed {
            let a = self.vector_operand(q, n, X1);
            if n == m && operation == IntOp::Vorr {
                self.vector_store(a, q, d);
                return Some(());
            }
            let b = self.vector_operand(q, m, X2);
            if matches!(operation, IntOp::Vmla | IntOp::Vmls) {
                self.combine(one, X1, a, b);
                return self.accumulate(operation, q, size, d);
            }
            let to = self.vector_target(q, d, X1);
            self.combine(one, to, a, b);
            self.vector_store(to, q, d);
            return Some(());
        }
        self.vector_load(X1, q, n);
        self.vector_load(X2, q, m);
        match operation {
            IntOp::Vbic => {
                self.asm.sse(P66, op::AND_NOT, X2, X1);
                self.vector_store(X2, q, d);
            }
            IntOp::Vorn => {
                self.all_ones(X0);
                self.asm.sse(P66, op::XOR, X2, X0);
                self.asm.sse(P66, op::OR, X1, X2);
                self.vector_store(X1, q, d);
            }
            IntOp::Vbsl | IntOp::Vbit | IntOp::Vbif => {
                self.vector_load(X0, q, d);
                // The mask in X3, what it selects in X4, the rest in X5.
                let (mask, chosen, other) = match operation {
                    IntOp::Vbsl => (X0, X1, X2),
                    IntOp::Vbit => (X2, X1, X0),
                    _ => (X2, X0, X1),
                };
                self.asm.sse(P66, 0x6f, X3, mask);
                self.asm.sse(P66, op::AND, chosen, X3);
                self.asm.sse(P66, op::AND_NOT, X3, other);
                self.asm.sse(P66, op::OR, chosen, X3);
                self.vector_store(chosen, q, d);
            }
            IntOp::Vtst => {
                // Not equal to zero.
                self.asm.sse(P66, op::AND, X1, X2);
                self.asm.sse(P66, op::XOR, X2, X2);
                self.vector(one, X1, X2);
                self.all_ones(X0);
                self.asm.sse(P66, op::XOR, X1, X0);
                self.vector_store(X1, q, d);
            }
            IntOp::Vcge if !unsigned => {
                // Not less.
                self.vector(one, X2, X1);
                self.all_ones(X0);
                self.asm.sse(P66, op::XOR, X2, X0);
                self.vector_store(X2, q, d);
            }
            IntOp::Vcge => {
                self.vector(one, X2, X1);
                self.vector(same?, X1, X2);
                self.vector_store(X1, q, d);
            }
            IntOp::Vcgt if unsigned => {
                self.vector(one, X1, X2);
                self.vector(same?, X1, X2);
                self.all_ones(X0);
                self.asm.sse(P66, op::XOR, X1, X0);
                self.vector_store(X1, q, d);
            }
            _ => {
                self.vector(one, X1, X2);
                self.vector_store(X1, q, d);
            }
        }
        Some(())
    }

    /// The product is in X1: stores it, added to or subtracted from D(`d`) as the operation says.
    fn accumulate(&mut self, operation: IntOp, q: bool, size: u8, d: u8) -> Option<()> {
        if operation == IntOp::Vmul {
            self.vector_store(X1, q, d);
            return Some(());
        }
        let combine = if operation == IntOp::Vmla {
            add(size)?
        } else {
            sub(size)?
        };
        let sum = self.vector_operand(q, d, X0);
        let to = self.vector_target(q, d, X0);
        self.combine(combine, to, sum, X1);
        self.vector_store(to, q, d);
        Some(())
    }

    /// Operations whose result has elements of twice the size.
    fn long(
        &mut self,
        operation: LongOp,
        unsigned: bool,
        size: u8,
        [d, n, m]: [u8; 3],
    ) -> Option<()> {
        let combine = match operation {
            LongOp::Vaddl | LongOp::Vaddw => add(size + 1),
            LongOp::Vsubl | LongOp::Vsubw => sub(size + 1),
            // The low halves of doublewords.
            LongOp::Vmull | LongOp::Vmlal | LongOp::Vmlsl if size == 2 => {
                if unsigned {
                    plain(0xf4)
                } else {
                    extended(0x28)
                }
            }
            LongOp::Vmull | LongOp::Vmlal | LongOp::Vmlsl => mul(size + 1),
            _ => None,
        }?;
        self.check_fp();
        let wide = matches!(operation, LongOp::Vaddw | LongOp::Vsubw);
        self.vector_load(X1, wide, n);
        self.vector_load(X2, false, m);
        if !wide {
            self.lengthen(X1, unsigned, size);
        }
        self.lengthen(X2, unsigned, size);
        self.vector(combine, X1, X2);
        match operation {
            LongOp::Vmlal => self.accumulate(IntOp::Vmla, true, size + 1, d),
            LongOp::Vmlsl => self.accumulate(IntOp::Vmls, true, size + 1, d),
            _ => {
                self.vector_store(X1, true, d);
                Some(())
            }
        }
    }

    /// Extends the low elements of a vector to twice their size.
    fn lengthen(&mut self, x: Xmm, unsigned: bool, size: u8) {
        let base = if unsigned { 0x30 } else { 0x20 };
        let opcode = base + [0, 3, 5][usize::from(size % 3)];
        self.asm.sse38(P66, opcode, x, x);
    }

    /// Keeps the low halves of the elements of X0; `size` is that of the halves.
    fn truncate(&mut self, size: u8) {
        if size == 2 {
            // Words 0 and 2.
            self.asm.sse(P66, op::SHUFFLE32, X0, X0);
            self.asm.immediate(0x08);
            return;
        }
        // The upper halves go, so that packing saturates nothing.
        let bits = 8 << size;
        self.asm.sse_shift(0x71 + size, 6, X0, bits);
        self.asm.sse_shift(0x71 + size, 2, X0, bits);
        if size == 0 {
            self.asm.sse(P66, 0x67, X0, X0);
        } else {
            self.asm.sse38(P66, 0x2b, X0, X0);
        }
    }

    fn vector_unary(&mut self, operation: UnaryOp, q: bool, size: u8, d: u8, m: u8) -> Option<()> {
        match operation {
            UnaryOp::Vmvn => {
                self.check_fp();
                self.vector_load(X1, q, m);
                self.all_ones(X0);
                self.asm.sse(P66, op::XOR, X1, X0);
            }
            UnaryOp::Vneg => {
                let operation = sub(size)?;
                self.check_fp();
                self.vector_load(X2, q, m);
                self.asm.sse(P66, op::XOR, X1, X1);
                self.vector(operation, X1, X2);
            }
            UnaryOp::Vabs if size <= 2 => {
                self.check_fp();
                self.vector_load(X1, q, m);
                self.asm.sse38(P66, 0x1c + size, X1, X1);
            }
            _ => return None,
        }
        self.vector_store(X1, q, d);
        Some(())
    }

    fn shift_left(&mut self, on: Xmm, size: u8, amount: u8) {
        if amount != 0 {
            self.asm.sse_shift(0x70 + size, 6, on, amount);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn vector_shift(
        &mut self,
        operation: ShiftOp,
        q: bool,
        unsigned: bool,
        size: u8,
        amount: u8,
        d: u8,
        m: u8,
    ) -> Option<()> {
        // The host has no shifts of bytes, and no arithmetic one of doublewords.
        if size == 0 {
            return None;
        }
        let right = match operation {
            ShiftOp::Vshl => None,
            ShiftOp::Vshr | ShiftOp::Vsra if unsigned => Some(2),
            ShiftOp::Vshr | ShiftOp::Vsra if size <= 2 => Some(4),
            _ => return None,
        };
        self.check_fp();
        self.vector_load(X1, q, m);
        match right {
            None => self.shift_left(X1, size, amount),
            // A shift by all bits leaves zeros, or signs, on the host too.
            Some(extension) => self.asm.sse_shift(0x70 + size, extension, X1, amount),
        }
        if operation == ShiftOp::Vsra {
            self.vector_load(X0, q, d);
            self.vector(add(size)?, X1, X0);
        }
        self.vector_store(X1, q, d);
        Some(())
    }

    fn immediate(&mut self, operation: ImmOp, q: bool, value: u64, d: u8) {
        let value = match operation {
            ImmOp::Vmvn | ImmOp::Vbic => !value,
            _ => value,
        };
        self.asm.mov_imm64(Gpr::Rax, value);
        for n in 0..if q { 2 } else { 1 } {
            let to = self.fp(true, d + n);
            match operation {
                ImmOp::Vmov | ImmOp::Vmvn => self.asm.store(B64, to, Gpr::Rax),
                ImmOp::Vorr => self.asm.alu_to(B64, Alu::Or, to, Gpr::Rax),
                ImmOp::Vbic => self.asm.alu_to(B64, Alu::And, to, Gpr::Rax),
            }
        }
        if matches!(operation, ImmOp::Vorr | ImmOp::Vbic) {
            self.form = super::Form::None;
        }
    }

    fn check_float(&self, operation: FloatOp) -> Option<()> {
        match operation {
            FloatOp::Vadd | FloatOp::Vsub | FloatOp::Vmul | FloatOp::Vmla | FloatOp::Vmls => {
                Some(())
            }
            FloatOp::Vfma | FloatOp::Vfms if self.request.fma => Some(()),
            _ => None,
        }
    }

    /// An operation on f32 elements: D(`n`) and a host register.
    fn float(&mut self, decoded: &Decoded, operation: FloatOp, q: bool, d: u8, n: u8, m: Xmm) {
        let (slow, done) = self.begin_arithmetic(decoded);
        // Memory keeps the operands until the result is found right.
        let to = self.vector_target(q, d, X0);
        let n = self.float_operand(q, n, X1);
        // Sums as small as the smallest normal number are exact.
        let mut rounded = Rounded::No;
        match operation {
            FloatOp::Vadd | FloatOp::Vsub => self.packed_float(sum(operation), to, n, m),
            FloatOp::Vmul => {
                self.packed_float(MUL, to, n, m);
                rounded = Rounded::Yes;
            }
            FloatOp::Vmla | FloatOp::Vmls => {
                self.packed_float(MUL, X1, n, m);
                self.wrong_elements(X4, X1, Rounded::Yes);
                let d = self.float_operand(q, d, X0);
                self.packed_float(sum(operation), to, d, X1);
            }
            _ => {
                let opcode = if operation == FloatOp::Vfma {
                    0xb8
                } else {
                    0xbc
                };
                self.vector_load(to, q, d);
                self.asm.fused(opcode, false, to, n, m);
                rounded = Rounded::Yes;
            }
        }
        self.wrong_elements(X3, to, rounded);
        if matches!(operation, FloatOp::Vmla | FloatOp::Vmls) {
            self.asm.sse(P66, op::OR, X3, X4);
        }
        self.leave_if_any(X3, slow);
        self.vector_store(to, q, d);
        self.asm.bind(done);
    }

    /// The host register that holds an operand, with zeros above D(`d`), or `other`, where it is loaded.
    fn float_operand(&mut self, q: bool, d: u8, other: Xmm) -> Xmm {
        if q {
            return self.vector_operand(q, d, other);
        }
        self.vector_load(other, q, d);
        other
    }

    /// `to = a op b` on four numbers. Uses X5.
    fn packed_float(&mut self, opcode: u8, to: Xmm, a: Xmm, b: Xmm) {
        if self.request.avx2 {
            return self.asm.avx(opcode, false, to, a, b);
        }
        self.asm.sse(Prefix::None, 0x28, X5, a);
        self.asm.sse(Prefix::None, opcode, X5, b);
        self.asm.sse(Prefix::None, 0x28, to, X5);
    }

    /// Leaves a mask of the elements that are NaNs, which the architecture replaces by the default
    /// one, or, if they may have been rounded up to it, the smallest normal number. Uses X5, X6.
    fn wrong_elements(&mut self, to: Xmm, x: Xmm, rounded: Rounded) {
        /// What CMPPS tells: equal, unordered, one of the two.
        const EQ: u8 = 0;
        const UNORD: u8 = 3;
        const EQ_UQ: u8 = 8;
        let magnitude = self.shared(offset_of!(Shared, f32_magnitude));
        let smallest = self.shared(offset_of!(Shared, f32_smallest));
        match (rounded, self.request.avx2) {
            (Rounded::Yes, true) => {
                self.asm.avx(0x54, false, to, x, magnitude);
                self.asm.avx(0xc2, false, to, to, smallest);
                self.asm.immediate(EQ_UQ);
            }
            (Rounded::No, true) => {
                self.asm.avx(0xc2, false, to, x, x);
                self.asm.immediate(UNORD);
            }
            (rounded, false) => {
                self.asm.sse(Prefix::None, 0x28, to, x);
                self.asm.sse(Prefix::None, 0xc2, to, to);
                self.asm.immediate(UNORD);
                if let Rounded::Yes = rounded {
                    self.constant(X5, offset_of!(Shared, f32_magnitude));
                    self.asm.sse(Prefix::None, 0x54, X5, x);
                    self.constant(X6, offset_of!(Shared, f32_smallest));
                    self.asm.sse(Prefix::None, 0xc2, X5, X6);
                    self.asm.immediate(EQ);
                    self.asm.sse(P66, op::OR, to, X5);
                }
            }
        }
    }

    fn leave_if_any(&mut self, mask: Xmm, slow: Label) {
        self.asm.sse38(P66, op38::TEST, mask, mask);
        self.asm.jcc(Cc::Ne, slow);
        self.form = super::Form::None;
    }

    fn constant(&mut self, to: Xmm, offset: usize) {
        let from = self.shared(offset);
        self.asm.sse(Prefix::F3, 0x6f, to, from);
    }

    /// Notes elements that are below the normal numbers, and not zero. Uses X3, X4.
    fn check_operand(&mut self, x: Xmm) {
        self.asm.sse(P66, 0x6f, X3, x);
        self.asm.sse(P66, op::AND, X3, X6);
        // Zero wraps to the top.
        self.asm.sse(P66, op::SUB32, X3, X5);
        self.constant(X4, offset_of!(Shared, f32_subnormal));
        self.asm.sse38(P66, op38::MIN_UNSIGNED32, X4, X3);
        self.asm.sse(P66, op::EQUAL32, X4, X3);
        self.asm.sse(P66, op::OR, X7, X4);
    }

    /// VLD1 and VST1 of whole registers.
    #[allow(clippy::too_many_arguments)]
    fn structures(
        &mut self,
        decoded: &Decoded,
        write: bool,
        size: u8,
        regs: u8,
        d: u8,
        align: u8,
        rn: Reg,
        wback: Wback,
    ) -> Option<()> {
        if rn.is_pc() || d + regs > 32 {
            return None;
        }
        if let Wback::Reg(rm) = wback
            && rm.is_pc()
        {
            return None;
        }
        self.check_fp();
        let length = i32::from(regs) * 8;
        let base = self.loc(rn);
        self.asm.load(B32, Gpr::Rcx, base);
        // Both halves of a register at once, where it is one.
        let q = d.is_multiple_of(2) && regs.is_multiple_of(2);
        let at_once = regs == if q { 2 } else { 1 };
        let length_at_once = (length as u32, at_once);
        let done = self.reach_span(decoded, write, length_at_once, (align, 1 << size));
        for n in (0..regs).step_by(if q { 2 } else { 1 }) {
            let memory = Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, i32::from(n) * 8);
            if write {
                let from = self.vector_operand(q, d + n, X0);
                let (prefix, opcode) = if q { (Prefix::F3, 0x7f) } else { (P66, 0xd6) };
                self.asm.sse(prefix, opcode, from, memory);
            } else {
                let opcode = if q { 0x6f } else { 0x7e };
                let to = self.vector_target(q, d + n, X0);
                self.asm.sse(Prefix::F3, opcode, to, memory);
                self.vector_store(to, q, d + n);
            }
        }
        match wback {
            Wback::None => {}
            Wback::Size => self.move_base(rn, length),
            Wback::Reg(rm) => {
                let host = pinned(rm).unwrap_or(Gpr::Rax);
                self.get(host, rm);
                self.asm.alu_to(B32, Alu::Add, base, host);
            }
        }
        self.asm.bind(done);
        Some(())
    }

    /// Loads RDX with what is added to the address in ECX, for a span of elements: the address must be a
    /// multiple of `align`, if that is more than 1, or of an element, where unaligned accesses are not
    /// allowed. Returns the label that is to stand behind the instruction. Uses EAX.
    fn reach_span(
        &mut self,
        decoded: &Decoded,
        write: bool,
        (bytes, at_once): (u32, bool),
        (align, element): (u8, u8),
    ) -> Label {
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        self.test_alignment(align, slow);
        let span = Span {
            bytes,
            align: align.max(1),
            element: if align > 1 { 1 } else { element },
            at_once,
        };
        self.look_up(write, span, slow);
        done
    }
}

/// The host's sum or difference of packed f32.
fn sum(operation: FloatOp) -> u8 {
    match operation {
        FloatOp::Vadd | FloatOp::Vmla => 0x58,
        _ => 0x5c,
    }
}
