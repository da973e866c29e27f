//! Operations that move elements about: VSWP, VTRN, VUZP, VZIP, VREV, VTBL and VTBX.

use super::super::Translator;
use super::{P66, X0, X1, X2, X3, X4, X5, X6, op, tables};
use crate::asm::Xmm;
use skep_arm::insn::simd::{PermuteOp, Simd, UnaryOp};

/// PSHUFB, of the map 0F 38.
pub(super) const SHUFFLE_BYTES: u8 = 0x00;
/// PUNPCKL of bytes; of larger elements by size.
pub(super) const UNPACK_LOW: u8 = 0x60;
/// PUNPCKH of bytes; of larger elements by size.
pub(super) const UNPACK_HIGH: u8 = 0x68;
const UNPACK_HIGH64: u8 = 0x6d;
/// PBLENDW, of the map 0F 3A.
const BLEND_HALFWORDS: u8 = 0x0e;

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn permutation(&mut self, simd: Simd) -> Option<()> {
        match simd {
            Simd::Permute { op, q, size, d, m } if size <= 2 => self.permute(op, q, size, d, m),
            Simd::Unary {
                op: op @ (UnaryOp::Vrev16 | UnaryOp::Vrev32 | UnaryOp::Vrev64),
                q,
                size,
                d,
                m,
                ..
            } => {
                let table = match (op, size) {
                    (UnaryOp::Vrev16, 0) => tables::REVERSE_16_8,
                    (UnaryOp::Vrev32, 0) => tables::REVERSE_32_8,
                    (UnaryOp::Vrev32, 1) => tables::REVERSE_32_16,
                    (UnaryOp::Vrev64, 0) => tables::REVERSE_64_8,
                    (UnaryOp::Vrev64, 1) => tables::REVERSE_64_16,
                    (UnaryOp::Vrev64, 2) => tables::REVERSE_64_32,
                    _ => return None,
                };
                self.check_fp();
                self.vector_load(X0, q, m);
                self.table(X1, table);
                self.sse38(SHUFFLE_BYTES, X0, X1);
                self.vector_store(X0, q, d);
            }
            Simd::Vtbl {
                extend,
                len: len @ 1..=4,
                d,
                n,
                m,
            } if n + len <= 32 => self.look_up_bytes(extend, len, [d, n, m]),
            _ => return None,
        }
        Some(())
    }

    fn permute(&mut self, operation: PermuteOp, q: bool, size: u8, d: u8, m: u8) {
        self.check_fp();
        self.vector_load(X1, q, d);
        self.vector_load(X2, q, m);
        match operation {
            PermuteOp::Vswp => {
                self.vector_store(X1, q, m);
                self.vector_store(X2, q, d);
                return;
            }
            PermuteOp::Vtrn => self.transpose(size),
            PermuteOp::Vzip if q => {
                self.copy(X3, X1);
                self.sse(UNPACK_LOW + size, X1, X2);
                self.sse(UNPACK_HIGH + size, X3, X2);
                self.copy(X2, X3);
            }
            PermuteOp::Vzip => {
                self.sse(UNPACK_LOW + size, X1, X2);
                self.copy(X2, X1);
                self.upper_half(X2);
            }
            PermuteOp::Vuzp => {
                if !q {
                    self.sse(op::UNPACK_LOW64, X1, X2);
                    self.copy(X2, X1);
                }
                self.unzip(size);
            }
        }
        // In this order, for one register in both places.
        self.vector_store(X2, q, m);
        self.vector_store(X1, q, d);
    }

    /// VTRN of X1 and X2.
    fn transpose(&mut self, size: u8) {
        self.copy(X3, X1);
        if size == 2 {
            self.sse(UNPACK_LOW + 2, X1, X2);
            self.sse(UNPACK_HIGH + 2, X3, X2);
            self.copy(X2, X1);
            self.sse(op::UNPACK_LOW64, X1, X3);
            self.sse(UNPACK_HIGH64, X2, X3);
            return;
        }
        self.copy(X4, X2);
        let (shift, bits) = (0x71 + size, 8 << size);
        // The even elements of the second one meet those of the first, the odd ones of the first
        // those of the second.
        self.asm.sse_shift(shift, 6, X4, bits);
        self.asm.sse_shift(shift, 2, X3, bits);
        if size == 1 {
            self.asm.sse3a_vector(BLEND_HALFWORDS, X1, X4, 0xaa);
            self.asm.sse3a_vector(BLEND_HALFWORDS, X2, X3, 0x55);
        } else {
            self.asm.sse_shift(shift, 6, X1, bits);
            self.asm.sse_shift(shift, 2, X1, bits);
            self.sse(op::OR, X1, X4);
            self.asm.sse_shift(shift, 2, X2, bits);
            self.asm.sse_shift(shift, 6, X2, bits);
            self.sse(op::OR, X2, X3);
        }
    }

    /// VTBL, VTBX.
    fn look_up_bytes(&mut self, extend: bool, len: u8, [d, n, m]: [u8; 3]) {
        self.check_fp();
        self.vector_load(X1, false, m);
        // Added to an index, with saturation, it sets the top bit of those from 16 on, for which
        // PSHUFB writes zero. The upper half of a register that is not there is zero, too.
        self.splat(X5, 0, 0x70);
        if extend {
            self.copy(X6, X1);
        }
        self.part_of_table(X2, n, len.min(2));
        if len > 2 {
            self.copy(X4, X1);
        }
        self.chosen_bytes(X2, X1);
        if len > 2 {
            self.part_of_table(X3, n + 2, len - 2);
            // Those below wrap to the top.
            self.splat(X0, 0, 16);
            self.sse(0xf8, X4, X0);
            self.chosen_bytes(X3, X4);
            self.sse(op::OR, X2, X3);
        }
        if extend {
            // The old bytes where the index is above the last one (PMINUB, PCMPEQB).
            self.splat(X0, 0, u64::from(8 * len - 1));
            self.sse(0xda, X0, X6);
            self.sse(0x74, X0, X6);
            self.vector_load(X1, false, d);
            self.sse(op::AND_NOT, X0, X1);
            self.sse(op::OR, X2, X0);
        }
        self.vector_store(X2, false, d);
    }

    /// One or two registers of a table of bytes. Uses X0.
    fn part_of_table(&mut self, to: Xmm, n: u8, len: u8) {
        if len == 1 {
            self.vector_load(to, false, n);
        } else {
            self.load_pair(to, X0, n);
        }
    }

    /// The bytes of a table of 16 that the indices choose, which X5 is added to.
    fn chosen_bytes(&mut self, table: Xmm, indices: Xmm) {
        self.asm.sse(P66, 0xdc, indices, X5);
        self.sse38(SHUFFLE_BYTES, table, indices);
    }
}
