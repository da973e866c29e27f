//! An assembler for the x86-64 instructions that the translator uses.
//!
//! Encodings are those of the Intel 64 and IA-32 Architectures Software Developer's Manual, volume
//! 2. Code is assembled into a buffer for a known address, so that jumps to fixed places are final.

#[cfg(test)]
mod tests;

use crate::moves::{Fix, Part};

/// A general-purpose register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Gpr {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

/// A vector register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Xmm(pub u8);

/// A place in memory: `[base + index << scale + disp]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mem {
    /// Base register.
    pub base: Gpr,
    /// Index register (not RSP) and the shift applied to it.
    pub index: Option<(Gpr, u8)>,
    /// Displacement.
    pub disp: i32,
}

impl Mem {
    /// `[base + disp]`.
    pub const fn at(base: Gpr, disp: i32) -> Self {
        Mem {
            base,
            index: None,
            disp,
        }
    }

    /// `[base + index << scale + disp]`.
    pub const fn indexed(base: Gpr, index: Gpr, scale: u8, disp: i32) -> Self {
        Mem {
            base,
            index: Some((index, scale)),
            disp,
        }
    }
}

/// A register or a place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loc {
    /// A register.
    Reg(Gpr),
    /// Memory.
    Mem(Mem),
}

impl From<Gpr> for Loc {
    fn from(reg: Gpr) -> Self {
        Loc::Reg(reg)
    }
}

impl From<Mem> for Loc {
    fn from(mem: Mem) -> Self {
        Loc::Mem(mem)
    }
}

/// Operand size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Width {
    B8,
    B16,
    B32,
    B64,
}

/// The two-operand arithmetic instructions; the value is their opcode's bits 5:3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Alu {
    Add,
    Or,
    Adc,
    Sbb,
    And,
    Sub,
    Xor,
    Cmp,
}

/// Shifts and rotates; the value is the ModRM extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Sh {
    Rol = 0,
    Ror = 1,
    Rcr = 3,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// Conditions; the value is the low nibble of Jcc's opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cc {
    O,
    No,
    B,
    Ae,
    E,
    Ne,
    Be,
    A,
    S,
    Ns,
    P,
    Np,
    L,
    Ge,
    Le,
    G,
}

impl Cc {
    /// The opposite condition.
    pub fn opposite(self) -> Cc {
        const ALL: [Cc; 16] = [
            Cc::O,
            Cc::No,
            Cc::B,
            Cc::Ae,
            Cc::E,
            Cc::Ne,
            Cc::Be,
            Cc::A,
            Cc::S,
            Cc::Ns,
            Cc::P,
            Cc::Np,
            Cc::L,
            Cc::Ge,
            Cc::Le,
            Cc::G,
        ];
        ALL[self as usize ^ 1]
    }
}

/// A place in the code, possibly not yet known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(usize);

/// The mandatory prefix of an SSE instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Prefix {
    None,
    P66,
    F3,
    F2,
}

/// Code under construction.
pub struct Asm {
    /// What is to be changed in the code if it is moved.
    pub fixes: Vec<Fix>,
    /// The code can be moved: all that would change is among the fixes.
    pub movable: bool,
    /// Where the last displacement of four bytes is.
    displacement: Option<usize>,
    /// The bytes so far.
    pub code: Vec<u8>,
    /// Address of the first byte when the code runs.
    origin: u64,
    labels: Vec<Option<usize>>,
    /// Places of 32-bit displacements, and the labels that they lead to.
    fixups: Vec<(usize, Label)>,
}

impl Asm {
    /// Code that will run at `origin`.
    pub fn new(origin: u64) -> Self {
        Asm {
            fixes: Vec::new(),
            movable: true,
            displacement: None,
            code: Vec::with_capacity(1024),
            origin,
            labels: Vec::new(),
            fixups: Vec::new(),
        }
    }

    /// Starts again, for another address, with the buffers kept.
    pub fn restart(&mut self, origin: u64) {
        self.code.clear();
        self.labels.clear();
        self.fixups.clear();
        self.fixes.clear();
        self.movable = true;
        self.displacement = None;
        self.origin = origin;
    }

    /// Address of the next instruction.
    pub fn here(&self) -> u64 {
        self.origin + self.code.len() as u64
    }

    /// A label that [`Asm::bind`] will place.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places a label here.
    pub fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// Where a label was placed.
    pub fn offset(&self, label: Label) -> Option<usize> {
        *self.labels.get(label.0)?
    }

    /// Fills in all jumps to labels; every label used must have been placed.
    pub fn finish(&mut self) {
        for &(at, label) in &self.fixups {
            let target = self.labels[label.0].unwrap_or(at);
            let rel = target as i64 - (at as i64 + 4);
            self.code[at..at + 4].copy_from_slice(&(rel as i32).to_le_bytes());
        }
        self.fixups.clear();
    }

    /// Notes what the last four bytes are, for code that is moved.
    pub fn note(&mut self, part: Part) {
        self.note_at(self.code.len().wrapping_sub(4), part);
    }

    /// Notes what the displacement of the last instruction is.
    pub fn note_displacement(&mut self, part: Part) {
        let at = self.displacement.unwrap_or(usize::MAX);
        self.note_at(at, part);
    }

    /// Notes a place in the code.
    pub fn note_at(&mut self, at: usize, part: Part) {
        match u16::try_from(at) {
            Ok(at) => self.fixes.push(Fix { at, part }),
            Err(_) => self.movable = false,
        }
    }

    fn byte(&mut self, byte: u8) {
        self.code.push(byte);
    }

    fn imm32(&mut self, imm: u32) {
        self.code.extend(imm.to_le_bytes());
    }

    /// The legacy prefix, REX, opcode, ModRM, SIB and displacement of an instruction.
    fn modrm(&mut self, prefix: Prefix, rex_w: bool, rex: bool, opcode: &[u8], reg: u8, rm: Loc) {
        self.displacement = None;
        match prefix {
            Prefix::None => {}
            Prefix::P66 => self.byte(0x66),
            Prefix::F3 => self.byte(0xf3),
            Prefix::F2 => self.byte(0xf2),
        }
        let (b, x) = match rm {
            Loc::Reg(r) => (r as u8, 0),
            Loc::Mem(m) => (m.base as u8, m.index.map_or(0, |(i, _)| i as u8)),
        };
        let bits = u8::from(rex_w) << 3 | (reg >> 3) << 2 | (x >> 3) << 1 | b >> 3;
        if bits != 0 || rex {
            self.byte(0x40 | bits);
        }
        self.code.extend(opcode);
        let reg = (reg & 7) << 3;
        match rm {
            Loc::Reg(r) => self.byte(0xc0 | reg | (r as u8 & 7)),
            Loc::Mem(m) => {
                let base = m.base as u8 & 7;
                let short = i8::try_from(m.disp);
                // RBP and R13 as base always have a displacement.
                let mode = match short {
                    Ok(0) if base != 5 => 0x00,
                    Ok(_) => 0x40,
                    Err(_) => 0x80,
                };
                match m.index {
                    Some((index, scale)) => {
                        self.byte(mode | reg | 4);
                        self.byte(scale << 6 | (index as u8 & 7) << 3 | base);
                    }
                    None if base == 4 => {
                        self.byte(mode | reg | 4);
                        self.byte(0x24);
                    }
                    None => self.byte(mode | reg | base),
                }
                match (mode, short) {
                    (0x00, _) => {}
                    (0x40, Ok(disp)) => self.byte(disp as u8),
                    _ => {
                        self.displacement = Some(self.code.len());
                        self.imm32(m.disp as u32);
                    }
                }
            }
        }
    }

    /// An instruction of the general set: byte forms have opcode bit 0 clear.
    fn general(&mut self, width: Width, opcode: u8, reg: u8, rm: Loc) {
        let (prefix, opcode) = match width {
            Width::B8 => (Prefix::None, opcode & !1),
            Width::B16 => (Prefix::P66, opcode),
            _ => (Prefix::None, opcode),
        };
        // SPL, BPL, SIL, DIL need a REX prefix, or AH to BH would be meant.
        let byte_reg = |r: u8| (4..8).contains(&r);
        let rex =
            width == Width::B8 && (byte_reg(reg) || matches!(rm, Loc::Reg(r) if byte_reg(r as u8)));
        self.modrm(prefix, width == Width::B64, rex, &[opcode], reg, rm);
    }

    /// `mov dst, src`.
    pub fn load(&mut self, width: Width, dst: Gpr, src: impl Into<Loc>) {
        self.general(width, 0x8b, dst as u8, src.into());
    }

    /// `mov dst, src`.
    pub fn store(&mut self, width: Width, dst: impl Into<Loc>, src: Gpr) {
        self.general(width, 0x89, src as u8, dst.into());
    }

    /// `mov dst, imm` (32 bits).
    pub fn mov_imm(&mut self, dst: impl Into<Loc>, imm: u32) {
        match dst.into() {
            Loc::Reg(r) => {
                if r as u8 >= 8 {
                    self.byte(0x41);
                }
                self.byte(0xb8 | (r as u8 & 7));
            }
            dst => self.general(Width::B32, 0xc7, 0, dst),
        }
        self.imm32(imm);
    }

    /// `mov dst, va`: an address of the guest's.
    pub fn mov_address(&mut self, dst: impl Into<Loc>, va: u32) {
        self.mov_imm(dst, va);
        self.note(Part::Address);
    }

    /// `mov byte dst, imm`.
    pub fn mov_imm8(&mut self, dst: impl Into<Loc>, imm: u8) {
        self.general(Width::B8, 0xc7, 0, dst.into());
        self.byte(imm);
    }

    /// `mov dst, imm` (64 bits).
    pub fn mov_imm64(&mut self, dst: Gpr, imm: u64) {
        self.byte(0x48 | dst as u8 >> 3);
        self.byte(0xb8 | (dst as u8 & 7));
        self.code.extend(imm.to_le_bytes());
    }

    /// `movzx` of a byte or halfword to 32 bits.
    pub fn load_zx(&mut self, from: Width, dst: Gpr, src: impl Into<Loc>) {
        self.extend(0xb6, from, dst, src.into());
    }

    /// `movsx` of a byte or halfword to 32 bits.
    pub fn load_sx(&mut self, from: Width, dst: Gpr, src: impl Into<Loc>) {
        self.extend(0xbe, from, dst, src.into());
    }

    fn extend(&mut self, opcode: u8, from: Width, dst: Gpr, src: Loc) {
        let wide = u8::from(from == Width::B16);
        let rex = from == Width::B8 && matches!(src, Loc::Reg(r) if (4..8).contains(&(r as u8)));
        self.modrm(
            Prefix::None,
            false,
            rex,
            &[0x0f, opcode | wide],
            dst as u8,
            src,
        );
    }

    /// `op dst, src`, with a register as destination.
    pub fn alu(&mut self, width: Width, op: Alu, dst: Gpr, src: impl Into<Loc>) {
        self.general(width, (op as u8) << 3 | 3, dst as u8, src.into());
    }

    /// `op dst, src`, with memory or a register as destination.
    pub fn alu_to(&mut self, width: Width, op: Alu, dst: impl Into<Loc>, src: Gpr) {
        self.general(width, (op as u8) << 3 | 1, src as u8, dst.into());
    }

    /// `op dst, imm`; sign-extended to 64 bits.
    pub fn alu_imm(&mut self, width: Width, op: Alu, dst: impl Into<Loc>, imm: i32) {
        let dst = dst.into();
        if width == Width::B8 {
            self.general(width, 0x81, op as u8, dst);
            self.byte(imm as u8);
        } else if let Ok(imm) = i8::try_from(imm) {
            self.general(width, 0x83, op as u8, dst);
            self.byte(imm as u8);
        } else {
            self.general(width, 0x81, op as u8, dst);
            if width == Width::B16 {
                self.code.extend((imm as u16).to_le_bytes());
            } else {
                self.imm32(imm as u32);
            }
        }
    }

    /// `test a, b`.
    pub fn test(&mut self, width: Width, a: impl Into<Loc>, b: Gpr) {
        self.general(width, 0x85, b as u8, a.into());
    }

    /// `test byte a, imm`.
    pub fn test_imm8(&mut self, a: impl Into<Loc>, imm: u8) {
        self.general(Width::B8, 0xf7, 0, a.into());
        self.byte(imm);
    }

    /// `not dst`.
    pub fn not(&mut self, dst: impl Into<Loc>) {
        self.general(Width::B32, 0xf7, 2, dst.into());
    }

    /// `neg dst`.
    pub fn neg(&mut self, dst: impl Into<Loc>) {
        self.general(Width::B32, 0xf7, 3, dst.into());
    }

    /// `shift dst, amount`.
    pub fn shift(&mut self, width: Width, op: Sh, dst: impl Into<Loc>, amount: u8) {
        let dst = dst.into();
        if amount == 1 {
            self.general(width, 0xd1, op as u8, dst);
        } else {
            self.general(width, 0xc1, op as u8, dst);
            self.byte(amount);
        }
    }

    /// `shift dst, cl`.
    pub fn shift_cl(&mut self, width: Width, op: Sh, dst: impl Into<Loc>) {
        self.general(width, 0xd3, op as u8, dst.into());
    }

    /// `lea dst, [mem]` (32 bits).
    pub fn lea(&mut self, dst: Gpr, mem: Mem) {
        self.general(Width::B32, 0x8d, dst as u8, mem.into());
    }

    /// `imul dst, src`.
    pub fn imul(&mut self, width: Width, dst: Gpr, src: impl Into<Loc>) {
        self.modrm(
            Prefix::None,
            width == Width::B64,
            false,
            &[0x0f, 0xaf],
            dst as u8,
            src.into(),
        );
    }

    /// Unsigned `mul src` or signed `imul src`: EDX:EAX = EAX * src.
    pub fn mul_wide(&mut self, signed: bool, src: impl Into<Loc>) {
        self.general(Width::B32, 0xf7, if signed { 5 } else { 4 }, src.into());
    }

    /// Unsigned `div src` or signed `idiv src` of EDX:EAX.
    pub fn div(&mut self, signed: bool, src: impl Into<Loc>) {
        self.general(Width::B32, 0xf7, if signed { 7 } else { 6 }, src.into());
    }

    /// `cdq`: EDX = sign of EAX.
    pub fn cdq(&mut self) {
        self.byte(0x99);
    }

    /// `cmc`: inverts the carry.
    pub fn cmc(&mut self) {
        self.byte(0xf5);
    }

    /// `lahf`: AH = the host's S, Z, A, P and carry flags, in bits 7, 6, 4, 2, 0.
    pub fn lahf(&mut self) {
        self.byte(0x9f);
    }

    /// `mov [mem], ah`; without an extended register in the address.
    pub fn store_ah(&mut self, mem: Mem) {
        self.modrm(Prefix::None, false, false, &[0x88], 4, mem.into());
    }

    /// `bswap dst`.
    pub fn bswap(&mut self, dst: Gpr) {
        if dst as u8 >= 8 {
            self.byte(0x41);
        }
        self.byte(0x0f);
        self.byte(0xc8 | (dst as u8 & 7));
    }

    /// `lzcnt dst, src`.
    pub fn lzcnt(&mut self, dst: Gpr, src: impl Into<Loc>) {
        self.modrm(
            Prefix::F3,
            false,
            false,
            &[0x0f, 0xbd],
            dst as u8,
            src.into(),
        );
    }

    /// `tzcnt dst, src`; hosts without it execute `bsf`, which is the same if `src` is not 0.
    pub fn tzcnt(&mut self, dst: Gpr, src: impl Into<Loc>) {
        self.modrm(
            Prefix::F3,
            false,
            false,
            &[0x0f, 0xbc],
            dst as u8,
            src.into(),
        );
    }

    /// `setcc dst`.
    pub fn setcc(&mut self, cc: Cc, dst: impl Into<Loc>) {
        let dst = dst.into();
        let rex = matches!(dst, Loc::Reg(r) if (4..8).contains(&(r as u8)));
        self.modrm(Prefix::None, false, rex, &[0x0f, 0x90 | cc as u8], 0, dst);
    }

    /// `cmovcc dst, src`.
    pub fn cmov(&mut self, cc: Cc, dst: Gpr, src: impl Into<Loc>) {
        self.modrm(
            Prefix::None,
            false,
            false,
            &[0x0f, 0x40 | cc as u8],
            dst as u8,
            src.into(),
        );
    }

    /// `bt dst, bit`: the carry is the bit.
    pub fn bt(&mut self, dst: impl Into<Loc>, bit: u8) {
        self.modrm(Prefix::None, false, false, &[0x0f, 0xba], 4, dst.into());
        self.byte(bit);
    }

    /// `bt dst, bit` of 64 bits.
    pub fn bt64(&mut self, dst: Gpr, bit: u8) {
        self.modrm(Prefix::None, true, false, &[0x0f, 0xba], 4, dst.into());
        self.byte(bit);
    }

    /// `lea dst, [mem]` (64 bits).
    pub fn lea64(&mut self, dst: Gpr, mem: Mem) {
        self.general(Width::B64, 0x8d, dst as u8, mem.into());
    }

    /// `lea dst, [index << scale]` (32 bits).
    pub fn lea_scaled(&mut self, dst: Gpr, index: Gpr, scale: u8) {
        let bits = (dst as u8 >> 3) << 2 | (index as u8 >> 3) << 1;
        if bits != 0 {
            self.byte(0x40 | bits);
        }
        self.byte(0x8d);
        // No base: a displacement of 32 bits.
        self.byte((dst as u8 & 7) << 3 | 4);
        self.byte(scale << 6 | (index as u8 & 7) << 3 | 5);
        self.imm32(0);
    }

    /// `jmp` to a label.
    pub fn jmp(&mut self, label: Label) {
        self.byte(0xe9);
        self.fixups.push((self.code.len(), label));
        self.imm32(0);
    }

    /// `jcc` to a label.
    pub fn jcc(&mut self, cc: Cc, label: Label) {
        self.byte(0x0f);
        self.byte(0x80 | cc as u8);
        self.fixups.push((self.code.len(), label));
        self.imm32(0);
    }

    /// `jmp` to a fixed address within 2 GiB.
    pub fn jmp_to(&mut self, target: u64) {
        self.byte(0xe9);
        self.rel32(target);
    }

    /// `call` of a fixed address within 2 GiB.
    pub fn call_to(&mut self, target: u64) {
        self.byte(0xe8);
        self.rel32(target);
    }

    fn rel32(&mut self, target: u64) {
        let rel = target.wrapping_sub(self.here() + 4);
        self.imm32(rel as u32);
        self.note(Part::Outside);
    }

    /// `jmp` to where a register or memory says.
    pub fn jmp_ind(&mut self, target: impl Into<Loc>) {
        self.modrm(Prefix::None, false, false, &[0xff], 4, target.into());
    }

    /// `call` of where a register says.
    pub fn call_ind(&mut self, target: impl Into<Loc>) {
        self.modrm(Prefix::None, false, false, &[0xff], 2, target.into());
    }

    /// `push reg`.
    pub fn push(&mut self, reg: Gpr) {
        if reg as u8 >= 8 {
            self.byte(0x41);
        }
        self.byte(0x50 | (reg as u8 & 7));
    }

    /// `pop reg`.
    pub fn pop(&mut self, reg: Gpr) {
        if reg as u8 >= 8 {
            self.byte(0x41);
        }
        self.byte(0x58 | (reg as u8 & 7));
    }

    /// `ret`.
    pub fn ret(&mut self) {
        self.byte(0xc3);
    }

    /// A full barrier: `lock or dword [rsp], 0`, which is cheaper than `mfence`.
    pub fn fence(&mut self) {
        self.byte(0xf0);
        self.alu_imm(Width::B32, Alu::Or, Mem::at(Gpr::Rsp, 0), 0);
    }

    /// `cmpxchg dst, src`: compares with RAX. Atomic among processors with `lock`.
    pub fn cmpxchg(&mut self, lock: bool, width: Width, dst: Mem, src: Gpr) {
        if lock {
            self.byte(0xf0);
        }
        let (prefix, opcode) = match width {
            Width::B8 => (Prefix::None, 0xb0),
            Width::B16 => (Prefix::P66, 0xb1),
            _ => (Prefix::None, 0xb1),
        };
        let rex = width == Width::B8 && (4..8).contains(&(src as u8));
        self.modrm(
            prefix,
            width == Width::B64,
            rex,
            &[0x0f, opcode],
            src as u8,
            dst.into(),
        );
    }

    /// An SSE instruction `op xmm, xmm/mem` from the map 0F.
    pub fn sse(&mut self, prefix: Prefix, opcode: u8, dst: Xmm, src: impl Into<XmmLoc>) {
        let rm = match src.into() {
            XmmLoc::Reg(r) => Loc::Reg(gpr(r.0)),
            XmmLoc::Mem(m) => Loc::Mem(m),
        };
        self.modrm(prefix, false, false, &[0x0f, opcode], dst.0, rm);
    }

    /// An SSE instruction from the map 0F 38.
    pub fn sse38(&mut self, prefix: Prefix, opcode: u8, dst: Xmm, src: impl Into<XmmLoc>) {
        let rm = match src.into() {
            XmmLoc::Reg(r) => Loc::Reg(gpr(r.0)),
            XmmLoc::Mem(m) => Loc::Mem(m),
        };
        self.modrm(prefix, false, false, &[0x0f, 0x38, opcode], dst.0, rm);
    }

    /// An SSE instruction between a vector register and a general one (`movd`, `movq`, `cvt…`).
    pub fn sse_gpr(&mut self, prefix: Prefix, wide: bool, opcode: u8, reg: u8, rm: impl Into<Loc>) {
        self.modrm(prefix, wide, false, &[0x0f, opcode], reg, rm.into());
    }

    /// An SSE shift by an immediate: `opcode /extension imm8`.
    pub fn sse_shift(&mut self, opcode: u8, extension: u8, dst: Xmm, amount: u8) {
        self.modrm(
            Prefix::P66,
            false,
            false,
            &[0x0f, opcode],
            extension,
            Loc::Reg(gpr(dst.0)),
        );
        self.byte(amount);
    }

    /// A fused multiply-add of the `231` form, `dst = ±(a * b) ± dst`, by its opcode in VEX map 2;
    /// or another instruction of that map with three operands and W as `double` says.
    pub fn fused(&mut self, opcode: u8, double: bool, dst: Xmm, a: Xmm, b: impl Into<XmmLoc>) {
        self.vex((2, 1), double, opcode, dst, a, b.into());
    }

    /// An AVX instruction on 128 bits of packed f32 or f64, `dst = a op b`, by its opcode in VEX map 1.
    pub fn avx(&mut self, opcode: u8, double: bool, dst: Xmm, a: Xmm, b: impl Into<XmmLoc>) {
        self.vex((1, u8::from(double)), false, opcode, dst, a, b.into());
    }

    /// `vpbroadcast` (AVX2): all elements of a vector of `1 << size` bytes (1, 2 or 4) each are the first one
    /// of another, or what is in memory.
    pub fn broadcast(&mut self, size: u8, dst: Xmm, src: impl Into<XmmLoc>) {
        let opcode = [0x78, 0x79, 0x58][usize::from(size % 3)];
        self.vex((2, 1), false, opcode, dst, Xmm(0), src.into());
    }

    /// An instruction with a VEX prefix, by its map and the number of its other prefix.
    fn vex(&mut self, (map, pp): (u8, u8), w: bool, opcode: u8, dst: Xmm, a: Xmm, b: XmmLoc) {
        let low = |reg: Gpr| gpr(reg as u8 & 7);
        // The extension bits are in the prefix, not in REX.
        let (base, index, rest) = match b {
            XmmLoc::Reg(reg) => (reg.0, 0, Loc::Reg(gpr(reg.0 & 7))),
            XmmLoc::Mem(mem) => {
                let rest = Mem {
                    base: low(mem.base),
                    index: mem.index.map(|(index, scale)| (low(index), scale)),
                    disp: mem.disp,
                };
                let index = mem.index.map_or(0, |(index, _)| index as u8);
                (mem.base as u8, index, Loc::Mem(rest))
            }
        };
        // Inverted bits 3 of the registers.
        let inverted = !(dst.0 >> 3 << 2 | index >> 3 << 1 | base >> 3) & 7;
        self.byte(0xc4);
        self.byte(inverted << 5 | map);
        self.byte(u8::from(w) << 7 | (!a.0 & 15) << 3 | pp);
        self.modrm(Prefix::None, false, false, &[opcode], dst.0 & 7, rest);
    }

    /// An SSE instruction with an immediate from the map 0F 3A, prefix 66, between a vector register
    /// and a general one or memory (`pinsr…`, `pextr…`).
    pub fn sse3a(&mut self, wide: bool, opcode: u8, reg: Xmm, rm: impl Into<Loc>, imm: u8) {
        let opcode = [0x0f, 0x3a, opcode];
        self.modrm(Prefix::P66, wide, false, &opcode, reg.0, rm.into());
        self.byte(imm);
    }

    /// The same between two vector registers (`pblendw`).
    pub fn sse3a_vector(&mut self, opcode: u8, dst: Xmm, src: Xmm, imm: u8) {
        self.sse3a(false, opcode, dst, gpr(src.0), imm);
    }

    /// `palignr dst, src, bytes`.
    pub fn align_right(&mut self, dst: Xmm, src: Xmm, bytes: u8) {
        let src = Loc::Reg(gpr(src.0));
        self.modrm(Prefix::P66, false, false, &[0x0f, 0x3a, 0x0f], dst.0, src);
        self.byte(bytes);
    }

    /// A byte of data, for immediates after [`Asm::sse`].
    pub fn immediate(&mut self, imm: u8) {
        self.byte(imm);
    }
}

/// A vector register or a place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XmmLoc {
    /// A register.
    Reg(Xmm),
    /// Memory.
    Mem(Mem),
}

impl From<Xmm> for XmmLoc {
    fn from(reg: Xmm) -> Self {
        XmmLoc::Reg(reg)
    }
}

impl From<Mem> for XmmLoc {
    fn from(mem: Mem) -> Self {
        XmmLoc::Mem(mem)
    }
}

/// The register with a number.
pub fn gpr(number: u8) -> Gpr {
    use Gpr::*;
    const ALL: [Gpr; 16] = [
        Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15,
    ];
    ALL[usize::from(number & 15)]
}
