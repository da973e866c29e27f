//! Decoding and text of VFP and Advanced SIMD: a golden table (whose texts GNU as assembles back to
//! the same words), and properties over random words.

extern crate std;

use crate::decode::{ItState, Row, a32, a32_form, rows, t32};
use crate::disasm::disassemble;
use crate::insn::simd::{Simd, Wback, simd_expand_imm, vfp_expand_imm};
use crate::insn::{Cond, Decoded, Insn};
use alloc::string::{String, ToString};
use core::fmt::Write;
use std::path::Path;

/// Set to write the expected file instead of comparing with it.
const UPDATE: &str = "SKEP_UPDATE_GOLDEN";

/// How many words of a row are in the golden table.
const PER_ROW: usize = 3;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) as u32
    }
}

/// The rows of this module in A32; they come first of all rows.
fn simd_rows() -> &'static [Row] {
    &rows()[..super::ROWS.len()]
}

/// The T32 word of a VFP or Advanced SIMD instruction. None when its condition is not AL.
fn t32_form(word: u32) -> Option<u32> {
    match word >> 24 {
        0xf2 | 0xf3 => Some(word & 0x00ff_ffff | 0xef00_0000 | (word >> 24 & 1) << 28),
        0xf4 => Some(word & 0x00ff_ffff | 0xf900_0000),
        0xe0..=0xef => Some(word),
        _ => None,
    }
}

fn decode_t32(word: u32) -> Decoded {
    t32((word >> 16) as u16, word as u16, ItState::default())
}

/// Words that are a defined instruction of the row: the first ones unconditional.
fn words(number: usize, row: &Row, count: usize) -> alloc::vec::Vec<u32> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (number as u64) << 32);
    let mut found = alloc::vec::Vec::new();
    for _ in 0..20_000 {
        let mut bits = random.next();
        if found.len() + 1 != count || count == 1 {
            bits = bits & 0x0fff_ffff | 0xe000_0000;
        }
        let word = row.word(bits);
        let decoded = a32(word);
        if usize::from(decoded.row) == number && decoded.insn != Insn::Undefined {
            found.push(word);
            if found.len() == count {
                break;
            }
        }
    }
    found
}

#[test]
fn golden_table() {
    let mut text = String::new();
    for (number, row) in simd_rows().iter().enumerate() {
        writeln!(text, "# {}", row.name).unwrap();
        for word in words(number, row, PER_ROW) {
            writeln!(text, "{word:08x} {}", disassemble(&a32(word), 0x8000)).unwrap();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decode/simd/golden.txt");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "golden.txt differs; set {UPDATE}=1, run again and review the difference"
    );
}

#[test]
fn every_row_takes_words_of_its_pattern() {
    for (number, row) in simd_rows().iter().enumerate() {
        assert!(
            !words(number, row, 1).is_empty(),
            "{} is never taken",
            row.name
        );
        // In T32 too, by the row derived from it.
        for word in words(number, row, 1) {
            let decoded = decode_t32(t32_form(word).unwrap());
            assert_eq!(rows()[usize::from(decoded.row)].name, row.name);
            assert_eq!(decoded.insn, a32(word).insn);
        }
    }
}

#[test]
fn both_instruction_sets_agree() {
    let mut random = Random(7);
    for _ in 0..100_000 {
        let bits = random.next();
        let word = match bits >> 30 {
            0 => bits & 0x01ff_ffff | 0xf200_0000,
            1 => bits & 0x00ef_ffff | 0xf400_0000,
            2 => bits & 0x00ff_f1ff | 0xee00_0a00 | bits & 0x100,
            _ => bits & 0x01ff_f1ff | 0xec00_0a00 | bits & 0x100,
        };
        let thumb = t32_form(word).unwrap();
        assert_eq!(a32_form(thumb), word);
        let (arm, thumb) = (a32(word), decode_t32(thumb));
        assert_eq!(arm.insn, thumb.insn, "{word:08x}");
        assert_eq!((arm.cond, thumb.cond), (Cond::Al, Cond::Al));
        check(&arm, word);
    }
}

/// What holds for every decoded instruction: it has a text, and its registers exist.
fn check(decoded: &Decoded, word: u32) {
    assert!(!disassemble(decoded, 0).to_string().is_empty());
    let Insn::Simd(insn) = decoded.insn else {
        assert_eq!(decoded.insn, Insn::Undefined, "{word:08x}");
        return;
    };
    let last = match insn {
        Simd::Vldm { d, count, .. } | Simd::Vstm { d, count, .. } => d + count - 1,
        Simd::VmovCoreSinglePair { s, .. } => s + 1,
        Simd::Vtbl { len, n, .. } => n + len - 1,
        Simd::Multiple {
            interleave,
            regs,
            spacing,
            d,
            align,
            ..
        }
        | Simd::AllLanes {
            interleave,
            regs,
            spacing,
            d,
            align,
            ..
        } => {
            assert!(align.is_power_of_two() && align <= 32);
            d + (interleave - 1) * spacing + regs - 1
        }
        Simd::Lane {
            interleave,
            spacing,
            size,
            index,
            d,
            ..
        } => {
            assert!(index < 8 >> size);
            d + (interleave - 1) * spacing
        }
        Simd::Int {
            q: true, d, n, m, ..
        }
        | Simd::Float {
            q: true, d, n, m, ..
        } => {
            assert_eq!((d | n | m) & 1, 0);
            d.max(n).max(m)
        }
        Simd::Shift {
            op, size, amount, ..
        } => {
            use crate::insn::simd::ShiftOp::*;
            let left = matches!(op, Vshl | Vsli | Vqshl | Vqshlu);
            let bits = 8 << size;
            assert!(if left {
                amount < bits
            } else {
                (1..=bits).contains(&amount)
            });
            0
        }
        Simd::Narrow { size, amount, .. } => {
            assert!(amount <= 8 << size);
            0
        }
        _ => 0,
    };
    assert!(last < 32, "{word:08x}");
}

#[test]
fn undefined_encodings() {
    for (word, why) in [
        (0xf201_0840, "VADD of an odd quadword"),
        (0xf231_0040, "VHADD of 64-bit elements"),
        (0xf211_0d00, "VADD.F with sz = 1"),
        (0xf311_0910, "VMUL.P16"),
        (0xf211_0a40, "VPMAX with Q = 1"),
        (0xf201_0b00, "VQDMULH.S8"),
        (0xf280_1000, "VADDL to an odd quadword"),
        (0xf280_1140, "VMLA.F by a byte"),
        (0xf380_0f30, "modified immediate with op = 1, cmode = 15"),
        (0xf2b0_0800, "VEXT beyond a doubleword"),
        (0xf3b8_0c00, "VDUP of a 64-bit scalar"),
        (0xf3ba_0180, "VZIP.32 of doublewords"),
        (0xf3b2_0201, "VMOVN of an odd quadword"),
        (0xf420_00cf, "VLD4.64"),
        (0xf420_072f, "VLD1 of one register aligned to 16 bytes"),
        (0xf4a0_001f, "VLD1.8 to a lane, aligned"),
        (0xf4a0_0e1f, "VLD3 to all lanes, aligned"),
        (0xf480_0c0f, "VST1 from all lanes"),
        (0xeeba_0a6f, "VCVT with more fraction than bits"),
        (
            0xec00_0a01,
            "extension register load/store with P = U = W = 0",
        ),
        (0xeda0_0a01, "VSTM with P = U = W = 1"),
        (0xee00_0b50, "VMOV to a scalar of opc 0b0x10"),
        (0xeee0_0b30, "VDUP of size 0b11"),
        (0xeef9_0a10, "VMRS of FPINST"),
        (0xfe00_0a00, "unconditional VFP"),
    ] {
        assert_eq!(a32(word).insn, Insn::Undefined, "{word:08x}: {why}");
    }
}

#[test]
fn writeback_forms() {
    let wback = |word| match a32(word).insn {
        Insn::Simd(Simd::Multiple { wback, .. }) => wback,
        other => panic!("{other:?}"),
    };
    assert_eq!(wback(0xf420_070f), Wback::None);
    assert_eq!(wback(0xf420_070d), Wback::Size);
    assert_eq!(wback(0xf420_0702), Wback::Reg(crate::Reg::new(2)));
}

#[test]
fn expanded_immediates() {
    // Every single-precision immediate is the double-precision one's value.
    for imm in 0..=255 {
        let single = f32::from_bits(vfp_expand_imm(imm, false) as u32);
        let double = f64::from_bits(vfp_expand_imm(imm, true));
        assert_eq!(f64::from(single), double);
        let magnitude = double.abs();
        assert!((0.125..=31.0).contains(&magnitude));
        assert_eq!(double < 0.0, imm & 0x80 != 0);
    }
    for (op, cmode, expected) in [
        (false, 0, 0x0000_00ab_0000_00ab),
        (false, 2, 0x0000_ab00_0000_ab00),
        (false, 4, 0x00ab_0000_00ab_0000),
        (false, 6, 0xab00_0000_ab00_0000),
        (false, 8, 0x00ab_00ab_00ab_00ab),
        (false, 10, 0xab00_ab00_ab00_ab00),
        (false, 12, 0x0000_abff_0000_abff),
        (false, 13, 0x00ab_ffff_00ab_ffff),
        (false, 14, 0xabab_abab_abab_abab),
        (true, 14, 0xff00_ff00_ff00_ffff),
        (false, 15, 0xc158_0000_c158_0000),
    ] {
        assert_eq!(simd_expand_imm(op, cmode, 0xab), expected, "cmode {cmode}");
    }
}
