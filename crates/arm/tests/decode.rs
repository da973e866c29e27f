//! The decoder and the disassembler against committed expectations, and the tables against
//! themselves.

use skep_arm::decode::{self, ItState, Row, Set, rows};
use skep_arm::disasm::disassemble;
use skep_arm::insn::{Cond, Decoded, DpOp, Hint, Insn, Reg};
use std::fmt::Write as _;

/// A generator of bits that is the same everywhere (SplitMix64).
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    }
}

fn decode(set: Set, word: u32) -> Decoded {
    match set {
        Set::A32 => decode::a32(word),
        Set::T16 => decode::t32(word as u16, 0, ItState::default()),
        Set::T32 => decode::t32((word >> 16) as u16, word as u16, ItState::default()),
    }
}

fn a32(word: u32) -> Insn {
    decode::a32(word).insn
}

fn text(decoded: &Decoded) -> String {
    disassemble(decoded, 0x8000).to_string()
}

/// Lines of set, word, text and the row's name. The text was checked with GNU objdump when it was
/// committed. `UPDATE_GOLDEN=1 cargo test` writes the text anew, for review as a diff.
#[test]
fn golden() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/decode/golden.txt");
    let expected = std::fs::read_to_string(path).unwrap();
    let mut found = String::new();
    for line in expected.lines() {
        let mut parts = line.split_whitespace();
        let (name, word) = (parts.next().unwrap(), parts.next().unwrap());
        let set = match name {
            "A32" => Set::A32,
            "T16" => Set::T16,
            "T32" => Set::T32,
            _ => panic!("{line}"),
        };
        let decoded = decode(set, u32::from_str_radix(word, 16).unwrap());
        let row = rows()[usize::from(decoded.row)].name;
        writeln!(found, "{name} {word:8} {:45} | {row}", text(&decoded)).unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &found).unwrap();
        return;
    }
    for (expected, found) in expected.lines().zip(found.lines()) {
        assert_eq!(expected, found);
    }
}

/// Whether a word can match both. A32's conditions and its unconditional space are apart.
fn overlap(a: &Row, b: &Row) -> bool {
    let unconditional = |row: &Row| row.set == Set::A32 && row.mask >> 28 == 15;
    a.set == b.set
        && (a.value ^ b.value) & a.mask & b.mask == 0
        && (unconditional(a) == unconditional(b) || is_rest(a) || is_rest(b))
}

/// The row of what nothing else matches.
fn is_rest(row: &Row) -> bool {
    row.mask == 0
}

/// Where two rows overlap, the earlier is the more particular: it has at least as many fixed bits
/// (as where the manual says "see" another instruction), or the words that both match belong to a
/// third row before both. Rows that make a part of the space UNDEFINED take it from all that follow.
/// VFP and Advanced SIMD rows, which exclude values of fields instead, have their own tests.
#[test]
fn order_of_rows_is_from_special_to_general() {
    for (j, b) in rows().iter().enumerate() {
        for (i, a) in rows()[..j].iter().enumerate() {
            let particular = a.mask.count_ones() >= b.mask.count_ones() && a.mask != b.mask;
            let simd = a.name.starts_with('V') && b.name.starts_with('V');
            // Loads and hints say "see literal" where the base is the PC.
            let literal = a.name.contains("(literal)");
            if !overlap(a, b) || particular || literal || simd || a.name.starts_with("UNDEFINED") {
                continue;
            }
            let (mask, value) = (a.mask | b.mask, a.value | b.value);
            let covered = rows()[..i].iter().any(|row| {
                row.set == a.set && row.mask & !mask == 0 && value & row.mask == row.value
            });
            assert!(covered, "{i} {} and {j} {} are ambiguous", a.name, b.name);
        }
    }
}

#[test]
fn every_row_decodes_its_own_words() {
    let mut bits = Bits(1);
    for (number, row) in rows().iter().enumerate() {
        let hit = (0..4000).any(|_| {
            let word = row.word(bits.next());
            assert!(row.matches(word), "{}", row.name);
            if row.set != Set::A32 && !is_rest(row) {
                let hw1 = if row.set == Set::T32 {
                    word >> 16
                } else {
                    word
                };
                let wide = decode::t32_is_wide(hw1 as u16);
                assert_eq!(wide, row.set == Set::T32, "{}", row.name);
            }
            usize::from(decode(row.set, word).row) == number
        });
        // What VFP leaves of its space is little, and may be nothing.
        let hit = hit || row.name.starts_with("UNDEFINED");
        assert!(hit, "no word reaches row {number}, {}", row.name);
    }
}

/// The index finds what a search of the whole table finds.
#[test]
fn index_agrees_with_the_table() {
    let mut bits = Bits(2);
    for _ in 0..20_000 {
        let word = bits.next();
        let set = if decode::t32_is_wide((word >> 16) as u16) {
            Set::T32
        } else {
            Set::T16
        };
        let thumb = if set == Set::T16 { word >> 16 } else { word };
        for (set, word) in [(Set::A32, word), (set, thumb)] {
            let first = rows().iter().position(|row| {
                row.set == set
                    && row.matches(word)
                    && (set != Set::A32
                        || is_rest(row)
                        || (word >> 28 == 15) == (row.mask >> 28 == 15))
            });
            let found = usize::from(decode(set, word).row);
            assert_eq!(Some(found), first, "{set:?} {word:08x}");
        }
    }
}

#[test]
fn any_word_decodes_and_prints() {
    let mut bits = Bits(3);
    let mut out = String::new();
    for _ in 0..100_000 {
        let word = bits.next();
        let it = ItState(bits.next() as u8);
        out.clear();
        let decoded = decode::a32(word);
        write!(out, "{}", disassemble(&decoded, word)).unwrap();
        let decoded = decode::t32(word as u16 | 0xe000, (word >> 16) as u16, it);
        write!(out, "{}", disassemble(&decoded, !word)).unwrap();
    }
    // Every row, since random words are seldom of the small ones.
    for row in rows() {
        for _ in 0..200 {
            let decoded = decode(row.set, row.word(bits.next()));
            write!(out, "{}", disassemble(&decoded, 0)).unwrap();
        }
        out.clear();
    }
    for hw1 in 0..=u16::MAX {
        out.clear();
        let decoded = decode::t32(hw1, hw1, ItState(0));
        write!(out, "{}", disassemble(&decoded, 0)).unwrap();
        assert!(!out.is_empty());
    }
}

#[test]
fn fields_are_the_letters_of_the_pattern() {
    let row = rows().iter().find(|row| row.name == "MOV (immediate) T2");
    let row = row.unwrap();
    let fields: Vec<_> = row.fields().map(|f| (f.letter, f.bits)).collect();
    assert_eq!(fields, [('i', 0x0400_70ff), ('S', 1 << 20), ('d', 0xf00)]);
    // i, imm3 and imm8 side by side.
    let imm = row.fields().next().unwrap();
    assert_eq!(imm.of(0xf44f_5081), 0b1101_1000_0001);
    for row in rows() {
        let fields = row.fields().fold(0, |bits, field| bits | field.bits);
        assert_eq!(row.mask & row.should_mask, 0, "{}", row.name);
        if !row.a32_form {
            let all = if row.set == Set::T16 {
                0xffff
            } else {
                u32::MAX
            };
            assert_eq!(row.mask | row.should_mask | fields, all, "{}", row.name);
        }
    }
}

#[test]
fn shifts_are_decoded() {
    use skep_arm::insn::Shift::*;
    let shift = |word| match a32(word) {
        Insn::DpReg { shift, amount, .. } => (shift, amount),
        other => panic!("{other:?}"),
    };
    assert_eq!(shift(0xe1a0_0001), (Lsl, 0));
    assert_eq!(shift(0xe1a0_0021), (Lsr, 32));
    assert_eq!(shift(0xe1a0_0041), (Asr, 32));
    assert_eq!(shift(0xe1a0_0061), (Rrx, 1));
    assert_eq!(shift(0xe1a0_0fe1), (Ror, 31));
}

#[test]
fn immediates_expand_with_their_carry() {
    let imm = |decoded: Decoded| match decoded.insn {
        Insn::DpImm { imm, carry, .. } => (imm, carry),
        other => panic!("{other:?}"),
    };
    let a32 = |word| imm(decode::a32(word));
    assert_eq!(a32(0xe3b0_00ff), (0xff, None));
    assert_eq!(a32(0xe3b0_04ff), (0xff00_0000, Some(true)));
    assert_eq!(a32(0xe3b0_0f01), (4, Some(false)));
    let t32 = |hw1, hw2| imm(decode::t32(hw1, hw2, ItState(0)));
    assert_eq!(t32(0xf05f, 0x00ab), (0xab, None));
    assert_eq!(t32(0xf05f, 0x10ab), (0x00ab_00ab, None));
    assert_eq!(t32(0xf05f, 0x20ab), (0xab00_ab00, None));
    assert_eq!(t32(0xf05f, 0x30ab), (0xabab_abab, None));
    assert_eq!(t32(0xf05f, 0x4000), (0x8000_0000, Some(true)));
    assert_eq!(t32(0xf45f, 0x7080), (0x100, Some(false)));
}

#[test]
fn it_block_takes_flags_and_gives_conditions() {
    // ITE EQ: the first is EQ, the second NE.
    let it = match decode::t32(0xbf0c, 0, ItState(0)).insn {
        Insn::It { it } => ItState(it),
        other => panic!("{other:?}"),
    };
    let sets_flags = |decoded: Decoded| match decoded.insn {
        Insn::DpImm { s, .. } | Insn::DpReg { s, .. } | Insn::Mul { s, .. } => s,
        other => panic!("{other:?}"),
    };
    let movs = decode::t32(0x2001, 0, ItState(0));
    assert!(sets_flags(movs) && movs.cond == Cond::Al);
    let mov = decode::t32(0x2001, 0, it);
    assert!(!sets_flags(mov) && mov.cond == Cond::Eq);
    let second = decode::t32(0x2001, 0, it.advance());
    assert!(second.cond == Cond::Ne && it.advance().last_in_block());
    assert!(!it.advance().advance().in_block());
    // Comparisons set the flags in a block too; wide instructions say themselves.
    assert!(sets_flags(decode::t32(0x2801, 0, it)));
    assert!(sets_flags(decode::t32(0xf05f, 0x0001, it)));
    assert!(!sets_flags(decode::t32(0x4348, 0, it)));
    // BKPT is unconditional.
    assert_eq!(decode::t32(0xbe00, 0, it).cond, Cond::Al);
}

#[test]
fn branches_have_their_own_condition() {
    let branch = |hw1, hw2| {
        let decoded = decode::t32(hw1, hw2, ItState(0));
        (decoded.insn, decoded.cond, decoded.len)
    };
    let back = Insn::B { offset: -4 };
    assert_eq!(branch(0xd0fe, 0), (back, Cond::Eq, 2));
    assert_eq!(branch(0xf47f, 0xaffe), (back, Cond::Ne, 4));
    assert_eq!(branch(0xf7ff, 0xbffe), (back, Cond::Al, 4));
    assert_eq!(a32(0xeaff_fffe), Insn::B { offset: -8 });
    assert_eq!(a32(0xfb00_0000), Insn::BlxImm { offset: 2 });
}

/// `docs/unpredictable.md`.
#[test]
fn unpredictable_is_as_documented() {
    let undefined = [
        // PC as a destination of other than branches, loads and data processing.
        0xe00f_0291,
        0xe16f_ff11,
        // No registers, or the PC as base, of a block transfer.
        0xe890_0000,
        0xe89f_0001,
        // An odd first register of an A32 doubleword; LR with PC.
        0xe1c0_10d0,
        0xe1c0_e0d0,
        // STREX with its status in what it stores.
        0xe181_0f90,
        // Writeback to the PC.
        0xe5bf_0004,
        // A field that is not in the word.
        0xe7ff_0fd1,
        // MRS of a banked register that is none.
        0xe107_0200,
        // Coprocessor 10 or 11, and none of VFP's instructions.
        0xfe00_0a10,
    ];
    for word in undefined {
        assert_eq!(a32(word), Insn::Undefined, "{word:08x}");
    }
    // Should-be bits are not looked at.
    assert_eq!(a32(0xe120_0011), Insn::Bx { rm: Reg::new(1) });
    // Unallocated hints do nothing.
    let nop = Insn::Hint {
        op: Hint::Nop,
        option: 0x14,
    };
    assert_eq!(a32(0xe320_f014), nop);
    // Repeated zeros as an immediate are zero.
    let zero = decode::t32(0xf05f, 0x1000, ItState(0)).insn;
    assert!(matches!(
        zero,
        Insn::DpImm {
            op: DpOp::Mov,
            imm: 0,
            ..
        }
    ));
}
