//! Cases whose ends are known, in the engines alone: differences from QEMU that were found and fixed,
//! and what the harness itself relies on.

use skep_fidelity::engine;
use skep_fidelity::wire::*;

/// Runs the words of an A32 program from the first slot on, with some registers set.
fn a32(words: &[u32], regs: &[(usize, u32)]) -> State {
    let mut code: Vec<u8> = FILLER.to_le_bytes().repeat(CODE_SIZE as usize / 4);
    let start = (PROGRAMS - CODE_BASE) as usize;
    for (at, word) in words.iter().enumerate() {
        code[start + at * 4..start + at * 4 + 4].copy_from_slice(&word.to_le_bytes());
    }
    let mut state: State = bytemuck::Zeroable::zeroed();
    for (reg, value) in regs {
        state.regs[*reg] = *value;
    }
    state.regs[15] = PROGRAMS;
    let ends = engine::ENGINES.map(|name| {
        let mut subject = engine::start(name).expect("there is such an engine");
        subject.load_code(&code);
        let mut end = state;
        subject.run(&mut end, None);
        end
    });
    for end in &ends {
        assert_eq!(bytemuck::bytes_of(end), bytemuck::bytes_of(&ends[0]));
    }
    ends[0]
}

#[test]
fn mcr2_and_its_kind_reach_no_system_register() {
    // MRC2, MCR2 (TPIDRURW), MRRC2, MCRR2.
    for word in [0xfe1d_0f50, 0xfe0d_0f50, 0xfc50_7e02, 0xfc40_0f0e] {
        let end = a32(&[word], &[]);
        assert_eq!(end.outcome, Outcome::Undefined as u32, "{word:08x}");
        assert_eq!(end.regs[15], PROGRAMS);
    }
    // MRC (TPIDRURW) is allowed in User mode.
    let end = a32(&[0xee1d_0f50], &[(0, 7)]);
    assert_eq!((end.regs[0], end.regs[15]), (0, PROGRAMS + 4));
}

#[test]
fn user_mode_has_nothing_to_return_from() {
    for (word, name) in [
        (0xe160_006e, "ERET"),
        (0xe1b0_f00e, "MOVS PC, LR"),
        (0xe25e_f004, "SUBS PC, LR, #4"),
        (0xe8d1_8001, "LDM R1, {R0, PC}^"),
        (0xe8d1_0001, "LDM R1, {R0}^"),
        (0xe8c1_0001, "STM R1, {R0}^"),
    ] {
        let end = a32(&[word], &[(1, WINDOW_BASE), (14, CODE_BASE)]);
        assert_eq!(end.outcome, Outcome::Undefined as u32, "{name}");
        assert_eq!((end.regs[0], end.regs[15]), (0, PROGRAMS), "{name}");
    }
}

#[test]
fn exceptions_tell_where_and_why() {
    let undefined = a32(&[0xe3a0_0001], &[]); // MOV R0, #1, then filler
    assert_eq!(undefined.regs[0], 1);
    assert_eq!(undefined.regs[15], PROGRAMS + 4);
    assert_eq!(undefined.outcome, Outcome::Undefined as u32);

    let abort = a32(&[0xe591_0004], &[(1, HOLE)]); // LDR R0, [R1, #4]
    assert_eq!(abort.outcome, Outcome::Abort as u32);
    assert_eq!((abort.address, abort.regs[15]), (HOLE + 4, PROGRAMS));

    let unaligned = a32(&[0xe1b1_0f9f], &[(1, WINDOW_BASE + 4)]); // LDREXD R0, R1, [R1]
    assert_eq!(unaligned.outcome, Outcome::Alignment as u32);
    assert_eq!(unaligned.address, WINDOW_BASE + 4);

    let store_to_code = a32(&[0xe581_0000], &[(1, CODE_BASE)]); // STR R0, [R1]
    assert_eq!(store_to_code.outcome, Outcome::Abort as u32);

    let breakpoint = a32(&[0xe120_0070], &[]); // BKPT
    assert_eq!(breakpoint.outcome, Outcome::Breakpoint as u32);

    let endless = a32(&[0xeaff_fffe], &[]); // B .
    assert_eq!(endless.outcome, Outcome::Endless as u32);

    let t32 = a32(&[0xe12f_ff10], &[(0, CODE_BASE | 1)]); // BX R0
    assert_eq!(t32.regs[15], CODE_BASE);
    assert_eq!(t32.cpsr & 0x20, 0x20);
}

#[test]
fn what_is_below_the_normal_numbers_is_flushed_whatever_its_low_word() {
    let words = [
        0xeee1_0a10, // VMSR FPSCR, R0
        0xec42_1b13, // VMOV D3, R1, R2
        0xec44_3b3b, // VMOV D27, R3, R4
        0xee7b_fbc3, // VSUB.F64 D31, D27, D3
        0xec56_5b3f, // VMOV R5, R6, D31
        0xeef1_7a10, // VMRS R7, FPSCR
    ];
    // The difference is 2^38 times the smallest number.
    let operands = [
        (0, 1 << 24),
        (1, 0xba78_0000),
        (2, 0x807f_ffff),
        (3, 0xba78_0000),
        (4, 0x807f_ffbf),
    ];
    let end = a32(&words, &operands);
    assert_eq!((end.regs[5], end.regs[6]), (0, 0));
    // FZ stays, UFC is set.
    assert_eq!(end.regs[7], 1 << 24 | 1 << 3);
}

#[test]
fn fpscr_is_read_with_the_exceptions_so_far() {
    let words = [
        0xec41_0b10, // VMOV D0, R0, R1
        0xec43_2b11, // VMOV D1, R2, R3
        0xee80_2b01, // VDIV.F64 D2, D0, D1
        0xeef1_4a10, // VMRS R4, FPSCR
    ];
    let one = (1, 0x3ff0_0000);
    // 1 / 3 is inexact, 1 / 0 divides by zero, and 0 / 0 is invalid.
    let three = a32(&words, &[one, (3, 0x4008_0000)]);
    assert_eq!(three.regs[4], 1 << 4);
    let zero = a32(&words, &[one]);
    assert_eq!(zero.regs[4], 1 << 1);
    let invalid = a32(&words, &[]);
    assert_eq!(invalid.regs[4], 1);
}

#[test]
fn numbers_below_the_normal_ones_again_and_again() {
    let words = [
        0xeee1_0a10, // VMSR FPSCR, R0
        0xe3a0_8050, // MOV R8, #80
        0xec42_1b10, // VMOV D0, R1, R2
        0xec44_3b11, // VMOV D1, R3, R4
        0xee20_2b01, // VMUL.F64 D2, D0, D1
        0xe258_8001, // SUBS R8, R8, #1
        0x1aff_fffa, // BNE (VMOV D0)
        0xec56_5b12, // VMOV R5, R6, D2
        0xeef1_7a10, // VMRS R7, FPSCR
    ];
    // The smallest normal number times 1/2: exact, unless it is flushed.
    let operands = [(2, 0x0010_0000), (4, 0x3fe0_0000)];
    let end = a32(&words, &operands);
    assert_eq!((end.regs[5], end.regs[6], end.regs[7]), (0, 0x0008_0000, 0));
    let flushed = a32(&words, &[(0, 1 << 24), operands[0], operands[1]]);
    assert_eq!((flushed.regs[5], flushed.regs[6]), (0, 0));
    assert_eq!(flushed.regs[7], 1 << 24 | 1 << 3);
}

#[test]
fn flags_outlive_floating_point_that_the_interpreter_executes() {
    let words = [
        0xee01_0a90, // VMOV S3, R0
        0xeeb4_1a41, // VCMP.F32 S2, S2
        0xe1b0_5a27, // MOVS R5, R7, LSR #20
        0xeeb1_1ae1, // VSQRT.F32 S2, S3
        0x03a0_6001, // MOVEQ R6, #1
    ];
    // Of -1.
    let end = a32(&words, &[(0, 0xbf80_0000), (7, 0x0020_0000)]);
    assert_eq!((end.regs[5], end.regs[6], end.fpscr), (2, 0, 0x6000_0001));
}

#[test]
fn an_abort_raises_no_floating_point_exception() {
    // VLD4.32 {D25, D27, D29, D31}, [R3]
    let end = a32(&[0xf463_918f], &[(3, HOLE)]);
    assert_eq!((end.outcome, end.fpscr), (Outcome::Abort as u32, 0));
}

#[test]
fn a_load_of_the_pc_may_lead_to_the_next_instruction() {
    // STR PC, [SP, #-4]!; LDR PC, [SP], #4; ADD R0, R0, #1; UDF.
    let words = [0xe52d_f004, 0xe49d_f004, 0xe280_0001, 0xe7f0_00f0];
    let end = a32(&words, &[(13, WINDOW_BASE + 0x40)]);
    assert_eq!(end.outcome, Outcome::Undefined as u32);
    assert_eq!((end.regs[0], end.regs[15]), (1, PROGRAMS + 12));
}
