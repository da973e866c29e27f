//! Against the results of generate.c, and what single instructions can't show.

extern crate std;

use super::*;
use crate::decode;
use crate::fp::fpscr;
use crate::insn::Insn;
use crate::insn::simd::{PermuteOp, Wback};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const GOLDEN: &str = include_str!("golden/golden.txt");
const MEMORY: u32 = 4096;
/// Where memory is, in the tests.
const BASE: u32 = 0x1_0000;
const CPACR: u32 = 0x00f0_0000;

#[derive(Debug, PartialEq)]
enum Failure {
    Alignment(u32),
    Outside(u32),
}

struct Machine {
    simd: SimdState,
    regs: [u32; 16],
    nzcv: u32,
    memory: Vec<u8>,
    big_endian: bool,
}

impl Machine {
    fn new() -> Self {
        Machine {
            simd: SimdState {
                d: [0; 32],
                fpscr: 0,
                fpexc: FPEXC_EN,
            },
            regs: [0; 16],
            nzcv: 0,
            memory: vec![0; MEMORY as usize],
            big_endian: false,
        }
    }

    fn range(&self, va: u32, size: u32) -> Result<core::ops::Range<usize>, Failure> {
        let at = va.wrapping_sub(BASE);
        if at <= MEMORY - size {
            Ok(at as usize..(at + size) as usize)
        } else {
            Err(Failure::Outside(va))
        }
    }

    /// Executes an A32 instruction; false if it is undefined.
    fn run(&mut self, word: u32) -> Result<bool, Failure> {
        let Insn::Simd(insn) = decode::a32(word).insn else {
            return Ok(false);
        };
        if !permitted(&insn, &self.simd, CPACR, true) {
            return Ok(false);
        }
        execute(&insn, self).map(|()| true)
    }
}

impl Context for Machine {
    type Error = Failure;

    fn simd(&mut self) -> &mut SimdState {
        &mut self.simd
    }
    fn model(&self) -> CpuModel {
        CpuModel::CortexA15
    }
    fn reg(&self, reg: Reg) -> u32 {
        self.regs[reg.index()]
    }
    fn set_reg(&mut self, reg: Reg, value: u32) {
        self.regs[reg.index()] = value;
    }
    fn set_nzcv(&mut self, nzcv: u32) {
        self.nzcv = nzcv;
    }
    fn big_endian(&self) -> bool {
        self.big_endian
    }
    fn load(&mut self, va: u32, size: u32) -> Result<u64, Failure> {
        let range = self.range(va, size)?;
        let mut bytes = [0; 8];
        bytes[..size as usize].copy_from_slice(&self.memory[range]);
        if self.big_endian {
            bytes[..size.min(4) as usize].reverse();
            bytes[4..].reverse();
        }
        Ok(u64::from_le_bytes(bytes))
    }
    fn store(&mut self, va: u32, size: u32, value: u64) -> Result<(), Failure> {
        let range = self.range(va, size)?;
        let mut bytes = value.to_le_bytes();
        if self.big_endian {
            bytes[..size.min(4) as usize].reverse();
            bytes[4..].reverse();
        }
        self.memory[range].copy_from_slice(&bytes[..size as usize]);
        Ok(())
    }
    fn check_alignment(&mut self, va: u32, align: u32, _write: bool) -> Result<(), Failure> {
        if va.is_multiple_of(align) {
            Ok(())
        } else {
            Err(Failure::Alignment(va))
        }
    }
}

/// The pseudo-random numbers of generate.c.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A register's value of one of several kinds.
    fn value(&mut self) -> u64 {
        const BYTES: [u64; 8] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x40, 0x81];
        const SINGLES: [u64; 16] = [
            0,
            0x8000_0000,
            0x3f80_0000,
            0xbf80_0000,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0000,
            0xff80_0001,
            0x0000_0001,
            0x807f_ffff,
            0x0080_0000,
            0x7f7f_ffff,
            0x4f00_0000,
            0xcf00_0000,
            0x477f_e000,
            0x3f00_0000,
        ];
        const NO_EXPONENT: u64 = 0x800f_ffff_ffff_ffff;
        let kind = self.next() >> 61;
        let r = self.next();
        match kind {
            0 => r,
            1 => (0..8).fold(0, |v, i| v | BYTES[(r >> (3 * i) & 7) as usize] << (8 * i)),
            2 => SINGLES[(r & 15) as usize] | SINGLES[(r >> 4 & 15) as usize] << 32,
            3 => {
                let exp = match r >> 1 & 3 {
                    1 | 3 => 1019 + (r >> 53 & 7),
                    2 => 2047,
                    _ => 0,
                };
                (if r & 1 != 0 { 0 } else { r & NO_EXPONENT }) | exp << 52
            }
            4 => (r & 0x000f_000f_000f_000f).wrapping_sub(r >> 60),
            5 | 6 => (r & 0x807f_ffff_807f_ffff)
                .wrapping_add(0x3d00_0000_3d00_0000)
                .wrapping_add(r >> 5 & 0x0380_0000_0380_0000),
            _ => r & NO_EXPONENT | (1020 + (r >> 53 & 63)) << 52,
        }
    }
}

/// The state before an instruction.
fn before(word: u32, offset: u32) -> Machine {
    let mut machine = Machine::new();
    let mut random = Random((word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for reg in &mut machine.regs[..8] {
        *reg = (random.next() >> 32) as u32;
    }
    machine.regs[1] = BASE + MEMORY / 2 + offset;
    for d in &mut machine.simd.d {
        *d = random.value();
    }
    machine.simd.fpscr = (random.next() >> 32) as u32 & 0xffc0_009f;
    for bytes in machine.memory.chunks_mut(8) {
        bytes.copy_from_slice(&random.next().to_le_bytes());
    }
    machine
}

fn hash(machine: &Machine) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut fold = |x: u64| {
        hash = (hash ^ x).wrapping_mul(0x100_0000_01b3);
        hash ^= hash >> 29;
    };
    for (i, &reg) in machine.regs[..8].iter().enumerate() {
        let value = if i == 1 { reg.wrapping_sub(BASE) } else { reg };
        fold(value.into());
    }
    machine.simd.d.iter().for_each(|&d| fold(d));
    fold(machine.simd.fpscr.into());
    fold(machine.nzcv.into());
    for bytes in machine.memory.chunks(8) {
        fold(u64::from_le_bytes(bytes.try_into().unwrap()));
    }
    (hash >> 32) as u32
}

fn name(word: u32) -> &'static str {
    decode::rows()[decode::a32(word).row as usize].name
}

#[test]
fn golden() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in GOLDEN.lines() {
        let mut words = line
            .split(' ')
            .map(|word| u32::from_str_radix(word, 16).unwrap());
        let [word, offset, expected] = core::array::from_fn(|_| words.next().unwrap());
        let mut machine = before(word, offset);
        let result = match machine.run(word) {
            Ok(true) => hash(&machine),
            Ok(false) => 0,
            Err(failure) => panic!("{word:08x} {}: {failure:?}", name(word)),
        };
        if result != expected {
            wrong.push(format!("{word:08x} {offset:x} {}", name(word)));
        }
        count += 1;
    }
    assert!(count > 1000);
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Whether generate.c can execute an instruction with a defined result.
fn testable(insn: &Simd) -> bool {
    // R1 holds an address, which is another one there.
    let low = |reg: Reg| reg.index() < 8 && reg.index() != 1;
    match *insn {
        Simd::Vldr { rn, .. } | Simd::Vstr { rn, .. } => rn.index() == 1,
        Simd::Vldm { rn, .. } | Simd::Vstm { rn, .. } => rn.index() == 1,
        Simd::Multiple { rn, wback, .. }
        | Simd::Lane { rn, wback, .. }
        | Simd::AllLanes { rn, wback, .. } => {
            rn.index() == 1 && !matches!(wback, Wback::Reg(rm) if !low(rm))
        }
        Simd::VmovCoreSingle { rt, .. }
        | Simd::VmovToScalar { rt, .. }
        | Simd::VmovFromScalar { rt, .. }
        | Simd::VdupCore { rt, .. } => low(rt),
        Simd::VmovCoreSinglePair { rt, rt2, .. } | Simd::VmovCoreDouble { rt, rt2, .. } => {
            low(rt) && low(rt2)
        }
        // Others need privilege.
        Simd::Vmrs { reg, rt } => reg == 1 && (low(rt) || rt.is_pc()),
        Simd::Vmsr { reg, rt } => reg == 1 && low(rt),
        Simd::Permute { op, d, m, .. } => op == PermuteOp::Vswp || d != m,
        _ => true,
    }
}

/// The bytes that the base must be a multiple of.
fn demanded_alignment(insn: &Simd) -> u32 {
    match *insn {
        Simd::Multiple { align, .. } | Simd::Lane { align, .. } | Simd::AllLanes { align, .. } => {
            align.into()
        }
        _ => 4,
    }
}

/// Writes the words for generate.c: some of each encoding.
#[test]
#[ignore = "makes the input of generate.c"]
fn words() {
    let Ok(path) = std::env::var("SKEP_SIMD_WORDS") else {
        return;
    };
    let per_row = std::env::var("SKEP_SIMD_COUNT").map_or(16, |n| n.parse().unwrap());
    let seed = std::env::var("SKEP_SIMD_SEED").map_or(1, |n| n.parse().unwrap());
    let mut random = Random(seed);
    let mut list = String::new();
    for (number, row) in decode::rows().iter().enumerate() {
        let group = ["cccc 110", "cccc 1110", "1111 001", "1111 0100"];
        if row.set != decode::Set::A32 || !group.iter().any(|g| row.pattern.starts_with(g)) {
            continue;
        }
        let mut found = 0;
        for _ in 0..200_000 {
            let mut word = (random.next() >> 32) as u32 & !row.mask | row.value;
            word = word & !row.should_mask | row.should_value;
            if row.mask >> 28 == 0 {
                word = word & 0x0fff_ffff | 0xe000_0000;
            }
            // The base is R1, where there is one.
            if row.mask & 0xf_0000 == 0 && random.next() & 1 != 0 {
                word = word & !0xf_0000 | 0x1_0000;
            }
            let decoded = decode::a32(word);
            let Insn::Simd(insn) = decoded.insn else {
                continue;
            };
            if decoded.row as usize != number || !testable(&insn) {
                continue;
            }
            let offset = (random.next() >> 32) as u32 % 64 / demanded_alignment(&insn)
                * demanded_alignment(&insn);
            list += &format!("{word:08x} {offset:x}\n");
            found += 1;
            if found == per_row {
                break;
            }
        }
    }
    std::fs::write(path, list).unwrap();
}

fn decoded(word: u32) -> Simd {
    match decode::a32(word).insn {
        Insn::Simd(insn) => insn,
        other => panic!("{word:08x} is {other:?}"),
    }
}

const VLD1_8: u32 = 0xf421_070d; // vld1.8 {d0}, [r1]!
const VLD1_16: u32 = 0xf421_074d; // vld1.16 {d0}, [r1]!
const VLD1_64_ALIGNED: u32 = 0xf421_0adf; // vld1.64 {d0, d1}, [r1:64]!
const VLDR_D0: u32 = 0xed91_0b00; // vldr d0, [r1]
const VLDM: u32 = 0xecb1_0b06; // vldmia r1!, {d0-d2}
const VSTM: u32 = 0xeca1_0b06; // vstmia r1!, {d0-d2}
const VADD_F32: u32 = 0xee30_0a20; // vadd.f32 s0, s0, s1
const VADD_I8: u32 = 0xf200_0800; // vadd.i8 d0, d0, d0

#[test]
fn big_endian_elements() {
    for (word, expected) in [
        (VLD1_8, 0x0807_0605_0403_0201),
        (VLD1_16, 0x0708_0506_0304_0102),
        (VLD1_64_ALIGNED, 0x0102_0304_0506_0708),
        (VLDR_D0, 0x0102_0304_0506_0708),
        (VLDM, 0x0102_0304_0506_0708),
    ] {
        let mut machine = Machine::new();
        machine.big_endian = true;
        machine.regs[1] = BASE;
        machine.memory[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(machine.run(word), Ok(true));
        assert_eq!(machine.simd.d[0], expected, "{word:08x}");
    }
    let mut machine = Machine::new();
    machine.big_endian = true;
    machine.regs[1] = BASE + 4;
    machine.simd.d[0] = 0x0102_0304_0506_0708;
    assert_eq!(machine.run(VSTM), Ok(true));
    assert_eq!(machine.memory[4..12], [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn misaligned_accesses() {
    let run = |word, offset| {
        let mut machine = Machine::new();
        machine.regs[1] = BASE + offset;
        machine.run(word)
    };
    // An alignment that the instruction states.
    assert_eq!(run(VLD1_64_ALIGNED, 4), Err(Failure::Alignment(BASE + 4)));
    assert_eq!(run(VLD1_64_ALIGNED, 8), Ok(true));
    // Words always; elements never by themselves.
    assert_eq!(run(VLDR_D0, 2), Err(Failure::Alignment(BASE + 2)));
    assert_eq!(run(VLDM, 1), Err(Failure::Alignment(BASE + 1)));
    assert_eq!(run(VLDM, 4), Ok(true));
    assert_eq!(run(VLD1_16, 1), Ok(true));
}

#[test]
fn a_fault_leaves_registers() {
    for word in [VLDM, VSTM, VLD1_64_ALIGNED] {
        let mut machine = Machine::new();
        machine.regs[1] = BASE + MEMORY - 8;
        machine.simd.d = core::array::from_fn(|i| i as u64);
        machine.memory.fill(0xff);
        assert_eq!(machine.run(word), Err(Failure::Outside(BASE + MEMORY)));
        assert_eq!(machine.regs[1], BASE + MEMORY - 8);
        assert_eq!(machine.simd.d, core::array::from_fn(|i| i as u64));
    }
}

#[test]
fn literal_loads_align_the_pc() {
    let mut machine = Machine::new();
    machine.regs[15] = BASE + 6;
    machine.memory[8] = 42;
    // vldr s0, [pc, #4]
    assert_eq!(machine.run(0xed9f_0a01), Ok(true));
    assert_eq!(machine.simd.s(0), 42);
}

#[test]
fn access_control() {
    const PRIVILEGED_ONLY: u32 = 0x0050_0000;
    const D32DIS: u32 = 1 << 30;
    const ASEDIS: u32 = 1 << 31;
    const VMRS_FPEXC: u32 = 0xeef8_0a10;
    const VMRS_FPSCR: u32 = 0xeef1_0a10;
    const VMRS_FPINST: u32 = 0xeef9_0a10;
    const VMOV_D16: u32 = 0xeef0_0b41; // vmov.f64 d16, d1
    let allowed = |word, fpexc, cpacr, privileged| {
        let mut simd = Machine::new().simd;
        simd.fpexc = fpexc;
        permitted(&decoded(word), &simd, cpacr, privileged)
    };
    assert!(allowed(VADD_F32, FPEXC_EN, CPACR, false));
    assert!(!allowed(VADD_F32, 0, CPACR, true));
    assert!(!allowed(VADD_F32, FPEXC_EN, 0, true));
    assert!(!allowed(VADD_F32, FPEXC_EN, PRIVILEGED_ONLY, false));
    assert!(allowed(VADD_F32, FPEXC_EN, PRIVILEGED_ONLY, true));
    // The kernel turns the extension on through FPEXC.
    assert!(allowed(VMRS_FPEXC, 0, CPACR, true));
    assert!(!allowed(VMRS_FPEXC, FPEXC_EN, CPACR, false));
    assert!(!allowed(VMRS_FPSCR, 0, CPACR, true));
    assert!(allowed(VMRS_FPSCR, FPEXC_EN, CPACR, false));
    assert_eq!(decode::a32(VMRS_FPINST).insn, Insn::Undefined);
    assert!(!allowed(VADD_I8, FPEXC_EN, CPACR | ASEDIS, true));
    assert!(allowed(VADD_F32, FPEXC_EN, CPACR | ASEDIS, true));
    assert!(!allowed(VMOV_D16, FPEXC_EN, CPACR | D32DIS, true));
    assert!(allowed(VADD_F32, FPEXC_EN, CPACR | D32DIS, true));
}

#[test]
fn short_vectors_are_undefined() {
    let mut machine = Machine::new();
    machine.simd.fpscr = 1 << 16;
    assert_eq!(machine.run(VADD_F32), Ok(false));
    // Advanced SIMD doesn't look at LEN.
    assert_eq!(machine.run(VADD_I8), Ok(true));
}

#[test]
fn system_registers() {
    let mut machine = Machine::new();
    machine.regs[0] = u32::MAX;
    // vmsr fpscr, r0; vmsr fpexc, r0; vmrs r2..r6 of FPSID, FPSCR, MVFR1, MVFR0, FPEXC
    for word in [
        0xeee1_0a10,
        0xeee8_0a10,
        0xeef0_2a10,
        0xeef1_3a10,
        0xeef6_4a10,
        0xeef7_5a10,
        0xeef8_6a10,
    ] {
        assert_eq!(machine.run(word), Ok(true), "{word:08x}");
    }
    assert_eq!(
        machine.regs[2..7],
        [0x4104_30f0, 0xfff7_009f, 0x1111_1111, 0x1011_0222, FPEXC_EN]
    );
    // vmrs APSR_nzcv, fpscr
    assert_eq!(machine.run(0xeef1_fa10), Ok(true));
    assert_eq!(machine.nzcv, 15);
}

#[test]
fn saturation_is_noted() {
    let mut machine = Machine::new();
    machine.simd.d[1] = 0x7f00_0000_0000_0000;
    machine.simd.d[2] = 0x0100_0000_0000_0000;
    // vqadd.s8 d0, d1, d2
    assert_eq!(machine.run(0xf201_0012), Ok(true));
    assert_eq!(machine.simd.d[0], 0x7f00_0000_0000_0000);
    assert_eq!(machine.simd.fpscr, fpscr::QC);
}

#[test]
fn a_comparison_sets_the_flags() {
    let mut machine = Machine::new();
    machine.simd.set_s(0, 0x3f80_0000);
    machine.simd.set_s(1, 0x4000_0000);
    // vcmp.f32 s0, s1
    assert_eq!(machine.run(0xeeb4_0a60), Ok(true));
    assert_eq!(machine.simd.fpscr, 0x8000_0000);
}

/// Whatever an instruction word names, executing it ends in a state or an error.
#[test]
fn no_word_panics() {
    let mut random = Random(3);
    for _ in 0..30_000 {
        let r = random.next();
        let low = (r >> 32) as u32;
        let word = match r & 3 {
            0 => low & 0x01ff_ffff | 0xf200_0000,
            1 => low & 0x00ff_ffff | 0xf400_0000,
            _ => low & 0x03ff_f1ff | 0xec00_0a00,
        };
        if let Insn::Simd(insn) = decode::a32(word).insn {
            let mut machine = before(word, low & 63);
            let permitted_now = permitted(&insn, &machine.simd, CPACR | 0xc000_0000, true);
            if permitted_now || low & 64 != 0 {
                let _ = execute(&insn, &mut machine);
            }
        }
    }
}
