use super::*;
use skep_arm::decode::{self, ItState};
use skep_arm::insn::simd::Simd;
use skep_arm::state::{CpuModel, CpuState, SimdState};
use std::vec::Vec;

/// A vCPU in front of a device of 256 bytes at [`DEVICE`], whose accesses are noted.
struct Model {
    state: CpuState,
    device: [u8; 256],
    accesses: Vec<(u32, u32, bool)>,
    unprivileged: bool,
    pc: Option<u32>,
}

const DEVICE: u32 = 0x0900_0000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Outside(u32);

impl Model {
    fn new() -> Self {
        let mut state = CpuState::new(CpuModel::CortexA15, 0, 1);
        state.simd.fpexc = simd::FPEXC_EN;
        for n in 0..15 {
            state.regs[n] = 0x1111_1111 * n as u32;
        }
        state.regs[0] = DEVICE;
        state.regs[15] = 0x8000;
        Model {
            state,
            device: core::array::from_fn(|n| n as u8),
            accesses: Vec::new(),
            unprivileged: false,
            pc: None,
        }
    }

    fn span(
        &mut self,
        va: u32,
        size: u32,
        write: bool,
    ) -> Result<core::ops::Range<usize>, Outside> {
        self.accesses.push((va, size, write));
        let at = va.wrapping_sub(DEVICE) as usize;
        if at + size as usize > self.device.len() {
            return Err(Outside(va));
        }
        Ok(at..at + size as usize)
    }

    fn a32(&mut self, word: u32) -> Result<(), Refusal<Outside>> {
        execute(&decode::a32(word), self)
    }

    fn t32(&mut self, word: u32) -> Result<(), Refusal<Outside>> {
        let (first, second) = ((word >> 16) as u16, word as u16);
        execute(&decode::t32(first, second, ItState::default()), self)
    }
}

impl simd::Context for Model {
    type Error = Outside;

    fn simd(&mut self) -> &mut SimdState {
        &mut self.state.simd
    }
    fn model(&self) -> CpuModel {
        self.state.model
    }
    fn reg(&self, reg: Reg) -> u32 {
        self.state.regs[reg.index()] + if reg.is_pc() { 8 } else { 0 }
    }
    fn set_reg(&mut self, reg: Reg, value: u32) {
        assert!(!reg.is_pc());
        self.state.regs[reg.index()] = value;
    }
    fn set_nzcv(&mut self, _: u32) {}
    fn big_endian(&self) -> bool {
        false
    }
    fn load(&mut self, va: u32, size: u32) -> Result<u64, Outside> {
        let span = self.span(va, size, false)?;
        let mut bytes = [0; 8];
        bytes[..span.len()].copy_from_slice(&self.device[span]);
        Ok(u64::from_le_bytes(bytes))
    }
    fn store(&mut self, va: u32, size: u32, value: u64) -> Result<(), Outside> {
        let span = self.span(va, size, true)?;
        let length = span.len();
        self.device[span].copy_from_slice(&value.to_le_bytes()[..length]);
        Ok(())
    }
    fn check_alignment(&mut self, _: u32, _: u32, _: bool) -> Result<(), Outside> {
        Ok(())
    }
}

impl Cpu for Model {
    fn unprivileged(&mut self, on: bool) {
        self.unprivileged = on;
    }
    fn simd_permitted(&mut self, insn: &Simd) -> bool {
        simd::permitted(insn, &self.state.simd, 0xf << 20, true)
    }
    fn branch(&mut self, target: u32) {
        self.pc = Some(target);
    }
}

#[test]
fn writeback_moves_the_base() {
    let mut cpu = Model::new();
    // LDR r1, [r0], #4
    cpu.a32(0xe490_1004).unwrap();
    assert_eq!(
        (cpu.state.regs[0], cpu.state.regs[1]),
        (DEVICE + 4, 0x0302_0100)
    );
    // STRB r2, [r0, #4]!
    cpu.a32(0xe5e0_2004).unwrap();
    assert_eq!((cpu.state.regs[0], cpu.device[8]), (DEVICE + 8, 0x22));
    // LDRSH r3, [r0, r4]! with r4 = 0x70
    cpu.state.regs[4] = 0x70;
    cpu.device[0x79] = 0x80;
    cpu.a32(0xe1b0_30f4).unwrap();
    assert_eq!(
        (cpu.state.regs[0], cpu.state.regs[3]),
        (DEVICE + 0x78, 0xffff_8078)
    );
}

#[test]
fn multiples_are_words_in_ascending_order() {
    let mut cpu = Model::new();
    // LDMIA r0!, {r1, r2, r5}
    cpu.a32(0xe8b0_0026).unwrap();
    assert_eq!(cpu.state.regs[0], DEVICE + 12);
    assert_eq!(
        [1, 2, 5].map(|n| cpu.state.regs[n]),
        [0x0302_0100, 0x0706_0504, 0x0b0a_0908]
    );
    // STMDB r0, {r3, r4}
    cpu.a32(0xe900_0018).unwrap();
    assert_eq!(
        cpu.accesses[3..],
        [(DEVICE + 4, 4, true), (DEVICE + 8, 4, true)]
    );
    assert_eq!(cpu.device[4..8], [0x33; 4]);
}

#[test]
fn pairs_and_t32_forms() {
    let mut cpu = Model::new();
    // T32 STRD r1, r2, [r0, #8]
    cpu.t32(0xe9c0_1202).unwrap();
    assert_eq!(cpu.device[8..12], [0x11; 4]);
    assert_eq!(cpu.device[12..16], [0x22; 4]);
    // T32 LDRD r6, r7, [r0], #16
    cpu.t32(0xe8f0_6704).unwrap();
    assert_eq!(
        (cpu.state.regs[0], cpu.state.regs[7]),
        (DEVICE + 16, 0x0706_0504)
    );
    // T32 LDRT r1, [r0, #4]
    cpu.t32(0xf850_1e04).unwrap();
    assert!(cpu.unprivileged);
}

#[test]
fn vectors_reach_devices() {
    let mut cpu = Model::new();
    // VLD1.32 {d0, d1}, [r0]!
    cpu.a32(0xf420_0a8d).unwrap();
    assert_eq!(cpu.state.simd.d[1], 0x0f0e_0d0c_0b0a_0908);
    assert_eq!(cpu.state.regs[0], DEVICE + 16);
    // VSTR s1, [r0]
    cpu.a32(0xedc0_0a00).unwrap();
    assert_eq!(cpu.device[16..20], [4, 5, 6, 7]);
}

#[test]
fn a_failed_access_leaves_the_registers() {
    let mut cpu = Model::new();
    cpu.state.regs[0] = DEVICE + 248;
    let before = cpu.state.clone();
    // LDMIA r0!, {r1, r2, r3}: the third word is outside.
    let result = cpu.a32(0xe8b0_000e);
    assert_eq!(result, Err(Refusal::Access(Outside(DEVICE + 256))));
    assert_eq!(cpu.state, before);
}

#[test]
fn exclusives_are_refused() {
    let mut cpu = Model::new();
    // LDREX r1, [r0]; SWP r1, r2, [r0]
    assert_eq!(cpu.a32(0xe190_1f9f), Err(Refusal::Unsupported));
    assert_eq!(cpu.a32(0xe100_1092), Err(Refusal::Unsupported));
    assert_eq!(cpu.accesses, []);
}

#[test]
fn a_loaded_pc_is_a_branch() {
    let mut cpu = Model::new();
    // LDR pc, [r0, #4]
    cpu.a32(0xe590_f004).unwrap();
    assert_eq!(cpu.pc, Some(0x0706_0504));
}
