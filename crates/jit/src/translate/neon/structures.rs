//! Loads and stores of structures: VLD2 to VLD4, VST2 to VST4, one lane, all lanes.

use super::super::{Translator, pinned};
use super::permute::{SHUFFLE_BYTES, UNPACK_HIGH, UNPACK_LOW};
use super::{P66, X0, X1, X2, X3, X4, op, tables};
use crate::asm::{Alu, Gpr, Label, Mem, Prefix, Width, Xmm};
use skep_arm::insn::simd::{Simd, Wback};
use skep_arm::insn::{Decoded, Reg};

/// Where a structure access starts, and what becomes of its base register.
#[derive(Clone, Copy)]
struct Place {
    rn: Reg,
    wback: Wback,
    /// The instruction's alignment, 1 for that of an element.
    align: u8,
    /// The logarithm of an element's bytes.
    size: u8,
    /// Bytes of memory.
    length: u8,
    write: bool,
}

impl Translator<'_> {
    /// None if it is none of them, or one for the interpreter.
    pub(super) fn structure_access(&mut self, decoded: &Decoded, simd: Simd) -> Option<()> {
        match simd {
            Simd::Multiple {
                load,
                size: size @ 0..=2,
                interleave: interleave @ 2..=4,
                regs,
                spacing,
                d,
                align,
                rn,
                wback,
            } => {
                let last = d + regs - 1 + (interleave - 1) * spacing;
                let known = regs == 1 || interleave == 2 && regs == 2;
                if last > 31 || !known {
                    return None;
                }
                let place = Place {
                    rn,
                    wback,
                    align,
                    size,
                    length: 8 * interleave * regs,
                    write: !load,
                };
                let done = self.reach(decoded, place)?;
                let registers = [0, 1, 2, 3].map(|i| d + i * spacing);
                match (load, interleave, regs) {
                    (true, 2, 1) => self.load_two(size, registers),
                    (true, 2, _) => self.load_two_pairs(size, registers),
                    (true, 3, _) => self.load_three(size, registers),
                    (true, ..) => self.load_four(size, registers),
                    (false, 2, 1) => self.store_two(size, registers),
                    (false, 2, _) => self.store_two_pairs(size, registers),
                    (false, 3, _) => self.store_three(size, registers),
                    (false, ..) => self.store_four(size, registers),
                }
                self.leave_structure(place, done);
            }
            Simd::Lane {
                load,
                size: size @ 0..=2,
                interleave: interleave @ 1..=4,
                spacing,
                index,
                d,
                align,
                rn,
                wback,
            } if d + (interleave - 1) * spacing < 32 => {
                let place = Place {
                    rn,
                    wback,
                    align,
                    size,
                    length: interleave << size,
                    write: !load,
                };
                let done = self.reach(decoded, place)?;
                for i in 0..interleave {
                    let register = d + i * spacing;
                    let element = memory(i << size);
                    self.vector_load(X0, false, register);
                    if load {
                        self.insert(size, element, index);
                        self.vector_store(X0, false, register);
                    } else {
                        // PEXTRB, PEXTRW, PEXTRD.
                        self.asm.sse3a(false, 0x14 + size, X0, element, index);
                    }
                }
                self.leave_structure(place, done);
            }
            Simd::AllLanes {
                size: size @ 0..=2,
                interleave: interleave @ 1..=4,
                regs,
                spacing,
                d,
                align,
                rn,
                wback,
            } if d + regs - 1 + (interleave - 1) * spacing < 32 => {
                let place = Place {
                    rn,
                    wback,
                    align,
                    size,
                    length: interleave << size,
                    write: false,
                };
                let done = self.reach(decoded, place)?;
                for i in 0..interleave {
                    self.load_to_all(size, memory(i << size));
                    let first = d + i * spacing;
                    if regs == 2 && first % 2 == 0 {
                        self.vector_store(X0, true, first);
                    } else {
                        (0..regs).for_each(|r| self.vector_store(X0, false, first + r));
                    }
                }
                self.leave_structure(place, done);
            }
            _ => return None,
        }
        Some(())
    }

    /// Leaves for the slow path what can't be reached at once; what is left is at [`memory`].
    fn reach(&mut self, decoded: &Decoded, place: Place) -> Option<Label> {
        let wback_pc = matches!(place.wback, Wback::Reg(rm) if rm.is_pc());
        if place.rn.is_pc() || wback_pc {
            return None;
        }
        self.check_fp();
        let base = self.loc(place.rn);
        self.asm.load(Width::B32, Gpr::Rcx, base);
        let alignment = (place.align, 1 << place.size);
        let length = (place.length.into(), false);
        Some(self.reach_span(decoded, place.write, length, alignment))
    }

    fn leave_structure(&mut self, place: Place, done: Label) {
        let base = self.loc(place.rn);
        match place.wback {
            Wback::None => {}
            Wback::Size => {
                self.move_base(place.rn, i32::from(place.length));
            }
            Wback::Reg(rm) => {
                let host = pinned(rm).unwrap_or(Gpr::Rax);
                self.get(host, rm);
                self.asm.alu_to(Width::B32, Alu::Add, base, host);
            }
        }
        self.asm.bind(done);
    }

    /// 8 or 16 bytes from memory.
    fn read(&mut self, to: Xmm, all: bool, at: u8) {
        let opcode = if all { 0x6f } else { 0x7e };
        self.asm.sse(Prefix::F3, opcode, to, memory(at));
    }

    /// 8 or 16 bytes to memory.
    fn write(&mut self, from: Xmm, all: bool, at: u8) {
        let (prefix, opcode) = if all { (Prefix::F3, 0x7f) } else { (P66, 0xd6) };
        self.asm.sse(prefix, opcode, from, memory(at));
    }

    /// Sets an element of X0.
    fn insert(&mut self, size: u8, from: Mem, index: u8) {
        match size {
            0 => self.asm.sse3a(false, 0x20, X0, from, index),
            1 => {
                self.asm.sse(P66, 0xc4, X0, from);
                self.asm.immediate(index);
            }
            _ => self.asm.sse3a(false, 0x22, X0, from, index),
        }
    }

    /// Sets all elements of X0, at least of its lower half. Uses RAX, X1.
    fn load_to_all(&mut self, size: u8, from: Mem) {
        match size {
            0 => self.asm.load_zx(Width::B8, Gpr::Rax, from),
            1 => self.asm.load_zx(Width::B16, Gpr::Rax, from),
            _ => self.asm.load(Width::B32, Gpr::Rax, from),
        }
        self.asm.sse_gpr(P66, false, op::FROM_GPR, X0.0, Gpr::Rax);
        match size {
            0 => {
                self.zero(X1);
                self.sse38(SHUFFLE_BYTES, X0, X1);
            }
            1 => {
                // PSHUFLW.
                self.asm.sse(Prefix::F2, op::SHUFFLE32, X0, X0);
                self.asm.immediate(0);
                self.sse(op::UNPACK_LOW64, X0, X0);
            }
            _ => self.sse_imm(op::SHUFFLE32, X0, X0, 0),
        }
    }

    fn load_two(&mut self, size: u8, [a, b, ..]: [u8; 4]) {
        self.read(X1, true, 0);
        self.copy(X2, X1);
        self.unzip(size);
        self.vector_store(X1, false, a);
        self.vector_store(X2, false, b);
    }

    fn store_two(&mut self, size: u8, [a, b, ..]: [u8; 4]) {
        self.vector_load(X1, false, a);
        self.vector_load(X2, false, b);
        self.sse(UNPACK_LOW + size, X1, X2);
        self.write(X1, true, 0);
    }

    /// The first registers of the structures are `a` and the next one, the second ones `b` and the
    /// next one.
    fn load_two_pairs(&mut self, size: u8, [a, b, ..]: [u8; 4]) {
        self.read(X1, true, 0);
        self.read(X2, true, 16);
        self.unzip(size);
        self.store_halves(X1, a, a + 1);
        self.store_halves(X2, b, b + 1);
    }

    fn store_two_pairs(&mut self, size: u8, [a, b, ..]: [u8; 4]) {
        self.load_pair(X1, X0, a);
        self.load_pair(X2, X0, b);
        self.copy(X3, X1);
        self.sse(UNPACK_LOW + size, X1, X2);
        self.sse(UNPACK_HIGH + size, X3, X2);
        self.write(X1, true, 0);
        self.write(X3, true, 16);
    }

    fn load_three(&mut self, size: u8, [a, b, c, _]: [u8; 4]) {
        self.read(X1, true, 0);
        self.read(X2, false, 16);
        self.by_tables(tables::LOAD3 + 4 * usize::from(size));
        self.store_halves(X1, a, b);
        self.vector_store(X2, false, c);
    }

    fn store_three(&mut self, size: u8, [a, b, c, _]: [u8; 4]) {
        self.vector_load(X1, false, a);
        self.vector_load(X2, false, b);
        self.sse(op::UNPACK_LOW64, X1, X2);
        self.vector_load(X2, false, c);
        self.by_tables(tables::STORE3 + 4 * usize::from(size));
        self.write(X1, true, 0);
        self.write(X2, false, 16);
    }

    /// Rearranges the bytes of X1 and X2 by the four tables from a number on. Uses X0, X3, X4.
    fn by_tables(&mut self, first: usize) {
        self.copy(X3, X1);
        self.copy(X4, X2);
        for (x, number) in [(X1, 0), (X4, 1), (X3, 2), (X2, 3)] {
            self.table(X0, first + number);
            self.sse38(SHUFFLE_BYTES, x, X0);
        }
        self.sse(op::OR, X1, X4);
        self.sse(op::OR, X2, X3);
    }

    fn load_four(&mut self, size: u8, [a, b, c, d]: [u8; 4]) {
        self.read(X1, true, 0);
        self.read(X2, true, 16);
        // Each round halves the distance between an element and its next one.
        for _ in size..3 {
            self.copy(X3, X1);
            self.sse(UNPACK_LOW + size, X1, X2);
            self.sse(UNPACK_HIGH + size, X3, X2);
            self.copy(X2, X3);
        }
        self.store_halves(X1, a, b);
        self.store_halves(X2, c, d);
    }

    fn store_four(&mut self, size: u8, [a, b, c, d]: [u8; 4]) {
        self.vector_load(X1, false, a);
        self.vector_load(X2, false, b);
        self.sse(UNPACK_LOW + size, X1, X2);
        self.vector_load(X2, false, c);
        self.vector_load(X3, false, d);
        self.sse(UNPACK_LOW + size, X2, X3);
        // Pairs; of words with the opcodes for doublewords.
        let (low, high) = if size == 2 {
            (op::UNPACK_LOW64, op::UNPACK_LOW64 + 1)
        } else {
            (UNPACK_LOW + size + 1, UNPACK_HIGH + size + 1)
        };
        self.copy(X3, X1);
        self.sse(low, X1, X2);
        self.sse(high, X3, X2);
        self.write(X1, true, 0);
        self.write(X3, true, 16);
    }
}

/// What the address in ECX is translated to, and `at` bytes.
fn memory(at: u8) -> Mem {
    Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, i32::from(at))
}
