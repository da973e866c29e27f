//! T32 encodings of one halfword (manual A6.2).
//!
//! Instructions that set the flags outside an IT block, and not inside, are given as outside.

use super::make::*;
use super::table::{Row, row};
use crate::insn::BitOp;
use crate::insn::DpOp::*;
use crate::insn::Extend::*;
use crate::insn::Index::*;
use crate::insn::Insn;
use crate::insn::Size::*;

/// The rows.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    // Shift (immediate), add, subtract, move, and compare, A6.2.1.
    row!("MOV (register) T2", "0000 0000 00mm mddd", |m, d| dp_reg(Mov, 1, d, R0, m, 0, 0)),
    row!("LSL (immediate) T1", "0000 0iii iimm mddd", |i, m, d| dp_reg(Mov, 1, d, R0, m, 0, i)),
    row!("LSR (immediate) T1", "0000 1iii iimm mddd", |i, m, d| dp_reg(Mov, 1, d, R0, m, 1, i)),
    row!("ASR (immediate) T1", "0001 0iii iimm mddd", |i, m, d| dp_reg(Mov, 1, d, R0, m, 2, i)),
    row!("ADD (register) T1", "0001 100m mmnn nddd", |m, n, d| dp_reg(Add, 1, d, n, m, 0, 0)),
    row!("SUB (register) T1", "0001 101m mmnn nddd", |m, n, d| dp_reg(Sub, 1, d, n, m, 0, 0)),
    row!("ADD (immediate) T1", "0001 110i iinn nddd", |i, n, d| dp_imm(Add, 1, d, n, plain(i))),
    row!("SUB (immediate) T1", "0001 111i iinn nddd", |i, n, d| dp_imm(Sub, 1, d, n, plain(i))),
    row!("MOV (immediate) T1", "0010 0ddd iiii iiii", |d, i| dp_imm(Mov, 1, d, R0, plain(i))),
    row!("CMP (immediate) T1", "0010 1nnn iiii iiii", |n, i| dp_imm(Cmp, 1, R0, n, plain(i))),
    row!("ADD (immediate) T2", "0011 0ddd iiii iiii", |d, i| dp_imm(Add, 1, d, d, plain(i))),
    row!("SUB (immediate) T2", "0011 1ddd iiii iiii", |d, i| dp_imm(Sub, 1, d, d, plain(i))),

    // Data-processing, A6.2.2.
    row!("AND (register) T1", "0100 0000 00mm mddd", |m, d| dp_reg(And, 1, d, d, m, 0, 0)),
    row!("EOR (register) T1", "0100 0000 01mm mddd", |m, d| dp_reg(Eor, 1, d, d, m, 0, 0)),
    row!("LSL (register) T1", "0100 0000 10mm mddd", |m, d| dp_rsr(Mov, 1, d, R0, d, 0, m)),
    row!("LSR (register) T1", "0100 0000 11mm mddd", |m, d| dp_rsr(Mov, 1, d, R0, d, 1, m)),
    row!("ASR (register) T1", "0100 0001 00mm mddd", |m, d| dp_rsr(Mov, 1, d, R0, d, 2, m)),
    row!("ADC (register) T1", "0100 0001 01mm mddd", |m, d| dp_reg(Adc, 1, d, d, m, 0, 0)),
    row!("SBC (register) T1", "0100 0001 10mm mddd", |m, d| dp_reg(Sbc, 1, d, d, m, 0, 0)),
    row!("ROR (register) T1", "0100 0001 11mm mddd", |m, d| dp_rsr(Mov, 1, d, R0, d, 3, m)),
    row!("TST (register) T1", "0100 0010 00mm mnnn", |m, n| dp_reg(Tst, 1, R0, n, m, 0, 0)),
    row!("RSB (immediate) T1", "0100 0010 01nn nddd", |n, d| dp_imm(Rsb, 1, d, n, plain(0))),
    row!("CMP (register) T1", "0100 0010 10mm mnnn", |m, n| dp_reg(Cmp, 1, R0, n, m, 0, 0)),
    row!("CMN (register) T1", "0100 0010 11mm mnnn", |m, n| dp_reg(Cmn, 1, R0, n, m, 0, 0)),
    row!("ORR (register) T1", "0100 0011 00mm mddd", |m, d| dp_reg(Orr, 1, d, d, m, 0, 0)),
    row!("MUL T1", "0100 0011 01nn nddd", |n, d| Insn::Mul { s: true, rd: r(d), rn: r(n), rm: r(d) }),
    row!("BIC (register) T1", "0100 0011 10mm mddd", |m, d| dp_reg(Bic, 1, d, d, m, 0, 0)),
    row!("MVN (register) T1", "0100 0011 11mm mddd", |m, d| dp_reg(Mvn, 1, d, R0, m, 0, 0)),

    // Special data instructions and branch and exchange, A6.2.3.
    row!("ADD (SP plus register) T1", "0100 0100 d110 1ddd", |d| dp_reg(Add, 0, d, 13, d, 0, 0)),
    row!("ADD (SP plus register) T2", "0100 0100 1mmm m101", |m| dp_reg(Add, 0, 13, 13, m, 0, 0)),
    row!("ADD (register) T2", "0100 0100 dmmm mddd", |d, m| dp_reg(Add, 0, d, d, m, 0, 0)),
    row!("CMP (register) T2", "0100 0101 nmmm mnnn", |n, m| dp_reg(Cmp, 1, R0, n, m, 0, 0)),
    row!("MOV (register) T1", "0100 0110 dmmm mddd", |d, m| dp_reg(Mov, 0, d, R0, m, 0, 0)),
    row!("BX T1", "0100 0111 0mmm m(0)(0)(0)", |m| Insn::Bx { rm: r(m) }),
    row!("BLX (register) T1", "0100 0111 1mmm m(0)(0)(0)", |m| Insn::Blx { rm: r(m) }),

    // Load and store, A6.2.4.
    row!("LDR (literal) T1", "0100 1ttt iiii iiii", |t, i| ldr_imm(Word, t, 15, offset(1, i << 2), Offset)),
    row!("STR (register) T1", "0101 000m mmnn nttt", |m, n, t| str_reg(Word, t, n, reg_offset(1, m, 0, 0), Offset)),
    row!("STRH (register) T1", "0101 001m mmnn nttt", |m, n, t| str_reg(Half, t, n, reg_offset(1, m, 0, 0), Offset)),
    row!("STRB (register) T1", "0101 010m mmnn nttt", |m, n, t| str_reg(Byte, t, n, reg_offset(1, m, 0, 0), Offset)),
    row!("LDRSB (register) T1", "0101 011m mmnn nttt", |m, n, t| ldr_reg(SignedByte, t, n, reg_offset(1, m, 0, 0), Offset)),
    row!("LDR (register) T1", "0101 100m mmnn nttt", |m, n, t| ldr_reg(Word, t, n, reg_offset(1, m, 0, 0), Offset)),
    row!("LDRH (register) T1", "0101 101m mmnn nttt", |m, n, t| ldr_reg(Half, t, n, reg_offset(1, m, 0, 0), Offset)),
    row!("LDRB (register) T1", "0101 110m mmnn nttt", |m, n, t| ldr_reg(Byte, t, n, reg_offset(1, m, 0, 0), Offset)),
    row!("LDRSH (register) T1", "0101 111m mmnn nttt", |m, n, t| ldr_reg(SignedHalf, t, n, reg_offset(1, m, 0, 0), Offset)),
    row!("STR (immediate) T1", "0110 0iii iinn nttt", |i, n, t| str_imm(Word, t, n, offset(1, i << 2), Offset)),
    row!("LDR (immediate) T1", "0110 1iii iinn nttt", |i, n, t| ldr_imm(Word, t, n, offset(1, i << 2), Offset)),
    row!("STRB (immediate) T1", "0111 0iii iinn nttt", |i, n, t| str_imm(Byte, t, n, offset(1, i), Offset)),
    row!("LDRB (immediate) T1", "0111 1iii iinn nttt", |i, n, t| ldr_imm(Byte, t, n, offset(1, i), Offset)),
    row!("STRH (immediate) T1", "1000 0iii iinn nttt", |i, n, t| str_imm(Half, t, n, offset(1, i << 1), Offset)),
    row!("LDRH (immediate) T1", "1000 1iii iinn nttt", |i, n, t| ldr_imm(Half, t, n, offset(1, i << 1), Offset)),
    row!("STR (immediate) T2", "1001 0ttt iiii iiii", |t, i| str_imm(Word, t, 13, offset(1, i << 2), Offset)),
    row!("LDR (immediate) T2", "1001 1ttt iiii iiii", |t, i| ldr_imm(Word, t, 13, offset(1, i << 2), Offset)),

    // Addresses from the PC and the SP, A6.2.
    row!("ADR T1", "1010 0ddd iiii iiii", |d, i| Insn::Adr { rd: r(d), offset: offset(1, i << 2) }),
    row!("ADD (SP plus immediate) T1", "1010 1ddd iiii iiii", |d, i| dp_imm(Add, 0, d, 13, plain(i << 2))),

    // Miscellaneous, A6.2.5.
    row!("ADD (SP plus immediate) T2", "1011 0000 0iii iiii", |i| dp_imm(Add, 0, 13, 13, plain(i << 2))),
    row!("SUB (SP minus immediate) T1", "1011 0000 1iii iiii", |i| dp_imm(Sub, 0, 13, 13, plain(i << 2))),
    row!("CBZ, CBNZ T1", "1011 N0i1 iiii innn", |N, i, n| Insn::Cbz { nonzero: N != 0, rn: r(n), offset: offset(1, i << 1) }),
    row!("SXTH T1", "1011 0010 00mm mddd", |m, d| extend(Sxth, d, m, 0)),
    row!("SXTB T1", "1011 0010 01mm mddd", |m, d| extend(Sxtb, d, m, 0)),
    row!("UXTH T1", "1011 0010 10mm mddd", |m, d| extend(Uxth, d, m, 0)),
    row!("UXTB T1", "1011 0010 11mm mddd", |m, d| extend(Uxtb, d, m, 0)),
    row!("PUSH T1", "1011 010M rrrr rrrr", |M, r| stm(DB, 13, M << 14 | r, 1, false)),
    row!("SETEND T1", "1011 0110 010(1) E(0)(0)(0)", |E| Insn::Setend { big: E != 0 }),
    row!("CPS T1", "1011 0110 011o (0)aaa", |o, a| cps(2 | o, a, 0, 0)),
    row!("REV T1", "1011 1010 00mm mddd", |m, d| bits(BitOp::Rev, d, m)),
    row!("REV16 T1", "1011 1010 01mm mddd", |m, d| bits(BitOp::Rev16, d, m)),
    row!("REVSH T1", "1011 1010 11mm mddd", |m, d| bits(BitOp::Revsh, d, m)),
    row!("POP T1", "1011 110P rrrr rrrr", |P, r| ldm(IA, 13, P << 15 | r, 1, false)),
    row!("BKPT T1", "1011 1110 iiii iiii", |i| Insn::Bkpt { imm: i as u16 }),
    row!("Hint T1", "1011 1111 oooo 0000", |o| hint(o)),
    row!("IT T1", "1011 1111 iiii iiii", |i| Insn::It { it: i as u8 }),

    // Block transfers, branches and supervisor call, A6.2 and A6.2.6.
    row!("STM T1", "1100 0nnn rrrr rrrr", |n, r| stm(IA, n, r, 1, false)),
    row!("LDM T1", "1100 1nnn rrrr rrrr", |n, r| ldm(IA, n, r, !r >> n & 1, false)),
    row!("UDF T1", "1101 1110 iiii iiii", |i| Insn::Udf { imm: i as u16 }),
    row!("SVC T1", "1101 1111 iiii iiii", |i| Insn::Svc { imm: i }),
    row!("B T1", "1101 cccc iiii iiii", |i| Insn::B { offset: signed(i << 1, 9) }),
    row!("B T2", "1110 0iii iiii iiii", |i| Insn::B { offset: signed(i << 1, 12) }),
];
