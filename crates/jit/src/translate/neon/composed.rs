//! Operations that take several of the host's instructions: what they have in common.

use super::super::{Form, Translator};
use super::{P66, X1, X2, X3, X4, op};
use crate::asm::{Alu, Cc, Gpr, Mem, Prefix, Width, Xmm};
use crate::context::{STATE, Shared};
use skep_arm::fp::fpscr;
use skep_arm::insn::{Decoded, Insn};
use std::mem::offset_of;

impl Translator<'_> {
    /// As [`Translator::neon`], for the operations that it has not.
    pub(in crate::translate) fn neon_composed(&mut self, decoded: &Decoded) -> Option<bool> {
        let Insn::Simd(simd) = decoded.insn else {
            return None;
        };
        if !self.request.sse41 {
            return None;
        }
        self.structure_access(decoded, simd)
            .or_else(|| self.permutation(simd))
            .or_else(|| self.composed_shift(simd))
            .or_else(|| self.composed_unary(simd))
            .or_else(|| self.composed_integer(simd))
            .or_else(|| self.composed_long(simd))
            .or_else(|| self.shift_by_register(simd))
            .or_else(|| self.composed_float(decoded, simd))?;
        Some(false)
    }

    /// A vector instruction of the map 0F, prefix 66.
    pub(super) fn sse(&mut self, opcode: u8, dst: Xmm, src: Xmm) {
        self.asm.sse(P66, opcode, dst, src);
    }

    /// The same with an immediate.
    pub(super) fn sse_imm(&mut self, opcode: u8, dst: Xmm, src: Xmm, imm: u8) {
        self.asm.sse(P66, opcode, dst, src);
        self.asm.immediate(imm);
    }

    /// A vector instruction of the map 0F 38, prefix 66.
    pub(super) fn sse38(&mut self, opcode: u8, dst: Xmm, src: Xmm) {
        self.asm.sse38(P66, opcode, dst, src);
    }

    /// MOVDQA.
    pub(super) fn copy(&mut self, dst: Xmm, src: Xmm) {
        self.sse(0x6f, dst, src);
    }

    pub(super) fn zero(&mut self, to: Xmm) {
        self.sse(op::XOR, to, to);
    }

    /// Inverts all bits, with the help of another register.
    pub(super) fn invert(&mut self, x: Xmm, scratch: Xmm) {
        self.all_ones(scratch);
        self.sse(op::XOR, x, scratch);
    }

    /// All elements, of `1 << size` bytes, are the low bits of `value`. Uses RAX.
    pub(super) fn splat(&mut self, to: Xmm, size: u8, value: u64) {
        if size == 3 {
            self.asm.mov_imm64(Gpr::Rax, value);
            self.asm.sse_gpr(P66, true, op::FROM_GPR, to.0, Gpr::Rax);
            self.sse(op::UNPACK_LOW64, to, to);
            return;
        }
        let word = match size {
            0 => (value as u32 & 0xff) * 0x0101_0101,
            1 => (value as u32 & 0xffff) * 0x0001_0001,
            _ => value as u32,
        };
        self.asm.mov_imm(Gpr::Rax, word);
        self.asm.sse_gpr(P66, false, op::FROM_GPR, to.0, Gpr::Rax);
        self.sse_imm(op::SHUFFLE32, to, to, 0);
    }

    /// One of [`super::tables::TABLES`].
    pub(super) fn table(&mut self, to: Xmm, number: usize) {
        let offset = offset_of!(Shared, byte_tables) + 16 * number;
        self.constant(to, offset);
    }

    /// D(`n`) and D(`n` + 1), also where they are no quadword register.
    pub(super) fn load_pair(&mut self, to: Xmm, scratch: Xmm, n: u8) {
        if n.is_multiple_of(2) {
            self.vector_load(to, true, n);
        } else {
            self.vector_load(to, false, n);
            self.vector_load(scratch, false, n + 1);
            self.sse(op::UNPACK_LOW64, to, scratch);
        }
    }

    /// Writes D(`n`) and D(`m`) from the halves of a vector, which is lost.
    pub(super) fn store_halves(&mut self, from: Xmm, n: u8, m: u8) {
        if n.is_multiple_of(2) && m == n + 1 {
            self.vector_store(from, true, n);
        } else {
            self.vector_store(from, false, n);
            self.upper_half(from);
            self.vector_store(from, false, m);
        }
    }

    /// Moves the upper half of a vector to the lower one.
    pub(super) fn upper_half(&mut self, x: Xmm) {
        self.sse_imm(op::SHUFFLE32, x, x, 0xee);
    }

    /// The elements of X1, then those of X2: the even ones in X1, the odd ones in X2. Uses X3, X4.
    pub(super) fn unzip(&mut self, size: u8) {
        self.copy(X3, X1);
        if size == 2 {
            // SHUFPS.
            for (x, chosen) in [(X1, 0x88), (X3, 0xdd)] {
                self.asm.sse(Prefix::None, 0xc6, x, X2);
                self.asm.immediate(chosen);
            }
            self.copy(X2, X3);
            return;
        }
        self.copy(X4, X2);
        // Pairs are packed whose upper halves are gone, so that nothing saturates: bytes are
        // zero-extended, halfwords sign-extended.
        let (right, pack) = if size == 0 { (2, 0x67) } else { (4, 0x6b) };
        let (shift, bits) = (0x71 + size, 8 << size);
        for x in [X1, X2] {
            self.asm.sse_shift(shift, 6, x, bits);
        }
        for x in [X1, X2, X3, X4] {
            self.asm.sse_shift(shift, right, x, bits);
        }
        self.sse(pack, X1, X2);
        self.sse(pack, X3, X4);
        self.copy(X2, X3);
    }

    /// Notes in FPSCR.QC that a bit of a vector is set.
    pub(super) fn note_saturation(&mut self, x: Xmm) {
        let none = self.asm.label();
        self.sse38(super::op38::TEST, x, x);
        self.asm.jcc(Cc::E, none);
        let register = Mem::at(STATE, self.layout.fpscr);
        self.asm
            .alu_imm(Width::B32, Alu::Or, register, fpscr::QC as i32);
        self.asm.bind(none);
        self.form = Form::None;
    }
}
