//! Decoder and disassembler, A32 and T32: every word decodes, by a row that matches it and has its
//! size, and has a text, the same each time.

use crate::input::Input;
use skep_arm::decode::{self, ItState, Set, rows};
use skep_arm::insn::{Decoded, Insn};

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    while !input.is_empty() {
        let word = word(&mut input);
        let it = ItState(input.u8());
        let pc = input.u32();
        a32(word, pc);
        t32((word >> 16) as u16, word as u16, it, pc);
        t32(word as u16, (word >> 16) as u16, it, pc);
    }
}

/// Any word, or one of a row's.
fn word(input: &mut Input<'_>) -> u32 {
    let row = usize::from(input.u16());
    let bits = input.u32();
    match rows().get(row) {
        Some(row) => row.word(bits),
        None => bits,
    }
}

fn a32(word: u32, pc: u32) {
    let decoded = decode::a32(word);
    let row = &rows()[usize::from(decoded.row)];
    assert!(row.set == Set::A32 && row.matches(word), "{word:08x}");
    assert_eq!(decoded.len, 4, "{word:08x}");
    assert_eq!(decode::a32(word), decoded);
    text(&decoded, pc);
}

fn t32(hw1: u16, hw2: u16, it: ItState, pc: u32) {
    let decoded = decode::t32(hw1, hw2, it);
    let wide = decode::t32_is_wide(hw1);
    let (word, set) = if wide {
        (u32::from(hw1) << 16 | u32::from(hw2), Set::T32)
    } else {
        (u32::from(hw1), Set::T16)
    };
    let row = &rows()[usize::from(decoded.row)];
    assert!(row.set == set && row.matches(word), "{hw1:04x} {hw2:04x}");
    assert_eq!(decoded.len, if wide { 4 } else { 2 });
    assert!(wide || decode::t32(hw1, !hw2, it) == decoded);
    text(&decoded, pc);
}

fn text(decoded: &Decoded, pc: u32) {
    let text = skep_arm::disasm::disassemble(decoded, pc).to_string();
    let undefined = matches!(decoded.insn, Insn::Undefined);
    assert_eq!(text == "undefined", undefined, "{decoded:x?}: {text}");
    let mnemonic = text.split(' ').next().unwrap_or_default();
    assert!(
        mnemonic.starts_with(|c: char| c.is_ascii_lowercase()),
        "{text}"
    );
    assert!(
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{text:?}"
    );
}
