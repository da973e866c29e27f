//! Decoded instructions.
//!
//! One [`Insn`] stands for what an instruction does, whichever of the A32 and T32 encodings it came
//! from: immediates are expanded, shifts are decoded (an encoded `LSR #0` is `LSR #32`, `ROR #0` is
//! `RRX`), offsets are signed. Executors match on `Insn`; the disassembler prints it.
//!
//! Mnemonics and field names are those of the manual's chapter A8.

pub mod simd;
mod transfer;

pub use transfer::{Data, Offset, Transfer};

/// A general-purpose register, 0 to 15 (13 = SP, 14 = LR, 15 = PC).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reg(u8);

impl Reg {
    /// Stack pointer.
    pub const SP: Reg = Reg(13);
    /// Link register.
    pub const LR: Reg = Reg(14);
    /// Program counter.
    pub const PC: Reg = Reg(15);

    /// The register whose number is the low four bits of `n`.
    pub const fn new(n: u32) -> Self {
        Reg((n & 15) as u8)
    }

    /// The register's number, 0 to 15.
    #[inline(always)]
    pub const fn index(self) -> usize {
        (self.0 & 15) as usize
    }

    /// True for R15.
    #[inline(always)]
    pub const fn is_pc(self) -> bool {
        self.0 == 15
    }
}

impl core::fmt::Debug for Reg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl core::fmt::Display for Reg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            13 => f.write_str("sp"),
            14 => f.write_str("lr"),
            15 => f.write_str("pc"),
            n => write!(f, "r{n}"),
        }
    }
}

/// A condition code (manual A8.3). `Al` also stands for the unconditional space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cond {
    Eq,
    Ne,
    Cs,
    Cc,
    Mi,
    Pl,
    Vs,
    Vc,
    Hi,
    Ls,
    Ge,
    Lt,
    Gt,
    Le,
    Al,
}

impl Cond {
    /// The condition with the encoding in the low four bits of `bits`; 0b1111 reads as `Al`.
    pub const fn from_bits(bits: u32) -> Self {
        use Cond::*;
        match bits & 15 {
            0 => Eq,
            1 => Ne,
            2 => Cs,
            3 => Cc,
            4 => Mi,
            5 => Pl,
            6 => Vs,
            7 => Vc,
            8 => Hi,
            9 => Ls,
            10 => Ge,
            11 => Lt,
            12 => Gt,
            13 => Le,
            _ => Al,
        }
    }

    /// Whether the condition holds for the N, Z, C, V flags in bits 31 to 28 of a PSR
    /// (`ConditionHolds`, manual A8.3.1).
    #[inline(always)]
    pub const fn holds(self, psr: u32) -> bool {
        // One bit for each value of NZCV, for each condition.
        const TABLE: [u16; 15] = {
            let mut table = [0u16; 15];
            let mut nzcv = 0;
            while nzcv < 16 {
                let (n, z, c, v) = (nzcv & 8 != 0, nzcv & 4 != 0, nzcv & 2 != 0, nzcv & 1 != 0);
                let holds = [
                    z,
                    !z,
                    c,
                    !c,
                    n,
                    !n,
                    v,
                    !v,
                    c && !z,
                    !c || z,
                    n == v,
                    n != v,
                    !z && n == v,
                    z || n != v,
                    true,
                ];
                let mut i = 0;
                while i < 15 {
                    table[i] |= (holds[i] as u16) << nzcv;
                    i += 1;
                }
                nzcv += 1;
            }
            table
        };
        TABLE[self as usize] >> (psr >> 28) & 1 != 0
    }
}

/// A shift (manual A8.4). Immediate amounts are as executed: `Lsr` and `Asr` 1 to 32, `Lsl` and
/// `Ror` 0 to 31 (`Lsl` 0 = no shift), `Rrx` 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Shift {
    Lsl,
    Lsr,
    Asr,
    Ror,
    Rrx,
}

/// Data-processing operations (manual A5.2.1 and A6.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum DpOp {
    And,
    Eor,
    Sub,
    Rsb,
    Add,
    Adc,
    Sbc,
    Rsc,
    Tst,
    Teq,
    Cmp,
    Cmn,
    Orr,
    Mov,
    Bic,
    Mvn,
    Orn,
}

/// What a single load or store transfers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Size {
    Byte,
    Half,
    Word,
    SignedByte,
    SignedHalf,
}

/// How a load or store uses its address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Index {
    /// `[Rn, offset]`: no writeback.
    Offset,
    /// `[Rn, offset]!`: address with offset, written back.
    Pre,
    /// `[Rn], offset`: address without offset, sum written back.
    Post,
    /// `[Rn], offset` or `[Rn, #imm]` as if in User mode (LDRT and the like): `wback` form.
    PostUnpriv,
    /// `[Rn, #imm]` as if in User mode, no writeback (T32).
    OffsetUnpriv,
}

/// The size of an exclusive access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ExSize {
    Byte,
    Half,
    Word,
    Double,
}

/// Long multiplications.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum MulLong {
    Umull,
    Umlal,
    Smull,
    Smlal,
    Umaal,
}

/// Saturating additions and subtractions (manual A5.2.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum SatOp {
    Qadd,
    Qsub,
    Qdadd,
    Qdsub,
}

/// Prefixes of the parallel additions and subtractions (manual A5.4.1, A5.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ParPrefix {
    S,
    Q,
    Sh,
    U,
    Uq,
    Uh,
}

/// Parallel additions and subtractions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ParOp {
    Add16,
    Asx,
    Sax,
    Sub16,
    Add8,
    Sub8,
}

/// Extensions (SXTB and the like).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Extend {
    Sxtb,
    Sxtb16,
    Sxth,
    Uxtb,
    Uxtb16,
    Uxth,
}

/// Reversals and bit counts of one register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum BitOp {
    Rev,
    Rev16,
    Revsh,
    Rbit,
    Clz,
}

/// Hints (manual A5.2.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Hint {
    Nop,
    Yield,
    Wfe,
    Wfi,
    Sev,
    Dbg,
}

/// Barriers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Barrier {
    Dsb,
    Dmb,
    Isb,
}

/// A banked register that MRS and MSR (Banked register) reach (manual B9.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Banked {
    /// True for an SPSR, false for a general-purpose register or ELR_hyp.
    pub r: bool,
    /// The five bits M1:M as encoded.
    pub sysm: u8,
}

/// A coprocessor register as MCR, MRC name it. Coprocessors 10 and 11 never appear here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct CpReg {
    pub coproc: u8,
    pub opc1: u8,
    pub crn: u8,
    pub crm: u8,
    pub opc2: u8,
}

/// An instruction. PC-relative ones hold the offset from the PC as read (instruction + 8 in A32,
/// + 4 in T32).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Insn {
    /// Data processing, immediate. `carry`: the shifter carry-out when the immediate's expansion
    /// defines one (rotation other than 0), else the C flag is unchanged by logical operations.
    /// With `s` and `rd` = PC this is an exception return (`SUBS PC, LR` and related).
    DpImm {
        op: DpOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        imm: u32,
        carry: Option<bool>,
    },
    /// Data processing, register shifted by an immediate.
    DpReg {
        op: DpOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        shift: Shift,
        amount: u8,
    },
    /// Data processing, register shifted by a register.
    DpRsr {
        op: DpOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        shift: Shift,
        rs: Reg,
    },
    /// T32 ADR, ADDW/SUBW with PC: `rd = Align(PC, 4) + offset`.
    Adr {
        rd: Reg,
        offset: i32,
    },
    Movw {
        rd: Reg,
        imm: u16,
    },
    Movt {
        rd: Reg,
        imm: u16,
    },

    Mul {
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    Mla {
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Reg,
    },
    Mls {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Reg,
    },
    MulLong {
        op: MulLong,
        s: bool,
        rd_lo: Reg,
        rd_hi: Reg,
        rn: Reg,
        rm: Reg,
    },
    /// SMUL<x><y>; `n_high`, `m_high`: use the top half of that operand.
    SmulXy {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        n_high: bool,
        m_high: bool,
    },
    SmlaXy {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Reg,
        n_high: bool,
        m_high: bool,
    },
    SmulWy {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        m_high: bool,
    },
    SmlaWy {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Reg,
        m_high: bool,
    },
    SmlalXy {
        rd_lo: Reg,
        rd_hi: Reg,
        rn: Reg,
        rm: Reg,
        n_high: bool,
        m_high: bool,
    },
    /// SMUAD, SMUSD (`ra` = None), SMLAD, SMLSD; `swap`: the X form.
    DualMul {
        sub: bool,
        swap: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Option<Reg>,
    },
    /// SMLALD, SMLSLD.
    DualMulLong {
        sub: bool,
        swap: bool,
        rd_lo: Reg,
        rd_hi: Reg,
        rn: Reg,
        rm: Reg,
    },
    /// SMMUL (`ra` = None), SMMLA, SMMLS (`sub`).
    Smmul {
        round: bool,
        sub: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Option<Reg>,
    },
    Div {
        signed: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    /// USAD8 (`ra` = None), USADA8.
    Usad8 {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Option<Reg>,
    },

    /// `rd = sat(rm op rn)`; the doubled forms double `rn`.
    Sat {
        op: SatOp,
        rd: Reg,
        rm: Reg,
        rn: Reg,
    },
    /// SSAT (`to` 1 to 32), USAT (`to` 0 to 31).
    SatTo {
        signed: bool,
        rd: Reg,
        to: u8,
        rn: Reg,
        shift: Shift,
        amount: u8,
    },
    /// SSAT16 (`to` 1 to 16), USAT16 (`to` 0 to 15).
    Sat16 {
        signed: bool,
        rd: Reg,
        to: u8,
        rn: Reg,
    },
    Parallel {
        prefix: ParPrefix,
        op: ParOp,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    /// PKHBT (`shift` = Lsl), PKHTB (`shift` = Asr).
    Pkh {
        tb: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        amount: u8,
    },
    /// SXTB and the like (`rn` = None), SXTAB and the like. `rotate`: 0, 8, 16 or 24.
    Extend {
        op: Extend,
        rd: Reg,
        rn: Option<Reg>,
        rm: Reg,
        rotate: u8,
    },
    Sel {
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    Bits {
        op: BitOp,
        rd: Reg,
        rm: Reg,
    },
    /// BFI, BFC (`rn` = None). `lsb` 0 to 31, `width` 1 to 32 - lsb.
    Bfi {
        rd: Reg,
        rn: Option<Reg>,
        lsb: u8,
        width: u8,
    },
    /// SBFX, UBFX.
    Bfx {
        signed: bool,
        rd: Reg,
        rn: Reg,
        lsb: u8,
        width: u8,
    },

    B {
        offset: i32,
    },
    Bl {
        offset: i32,
    },
    /// BLX (immediate): changes instruction set; the base is Align(PC, 4) when that is A32.
    BlxImm {
        offset: i32,
    },
    Blx {
        rm: Reg,
    },
    Bx {
        rm: Reg,
    },
    /// BXJ: with the trivial Jazelle implementation, BX.
    Bxj {
        rm: Reg,
    },
    Cbz {
        nonzero: bool,
        rn: Reg,
        offset: i32,
    },
    Tbb {
        half: bool,
        rn: Reg,
        rm: Reg,
    },
    /// IT; `it` is the byte that ITSTATE takes.
    It {
        it: u8,
    },

    /// Load, immediate offset. `rn` = PC is the literal form, based on Align(PC, 4).
    LdrImm {
        size: Size,
        rt: Reg,
        rn: Reg,
        offset: i32,
        index: Index,
    },
    LdrReg {
        size: Size,
        rt: Reg,
        rn: Reg,
        rm: Reg,
        add: bool,
        shift: Shift,
        amount: u8,
        index: Index,
    },
    /// Store; `size` is Byte, Half or Word.
    StrImm {
        size: Size,
        rt: Reg,
        rn: Reg,
        offset: i32,
        index: Index,
    },
    StrReg {
        size: Size,
        rt: Reg,
        rn: Reg,
        rm: Reg,
        add: bool,
        shift: Shift,
        amount: u8,
        index: Index,
    },
    LdrdImm {
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: i32,
        index: Index,
    },
    LdrdReg {
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        rm: Reg,
        add: bool,
        index: Index,
    },
    StrdImm {
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: i32,
        index: Index,
    },
    StrdReg {
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        rm: Reg,
        add: bool,
        index: Index,
    },
    /// LDM; `increment`/`before` give IA, IB, DA, DB. `user`: the `^` form (User registers, or
    /// exception return when `list` has the PC). POP is `LDMIA SP!`.
    Ldm {
        rn: Reg,
        list: u16,
        increment: bool,
        before: bool,
        wback: bool,
        user: bool,
    },
    /// STM; PUSH is `STMDB SP!`.
    Stm {
        rn: Reg,
        list: u16,
        increment: bool,
        before: bool,
        wback: bool,
        user: bool,
    },
    /// LDREX and its sizes; `rt2` only for Double; `offset` only for Word in T32.
    Ldrex {
        size: ExSize,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: u16,
    },
    Strex {
        size: ExSize,
        rd: Reg,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        offset: u16,
    },
    Clrex,
    Swp {
        byte: bool,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
    },
    /// PLD, PLDW (`write`), PLI (`code`), immediate.
    PldImm {
        write: bool,
        code: bool,
        rn: Reg,
        offset: i32,
    },
    PldReg {
        write: bool,
        code: bool,
        rn: Reg,
        rm: Reg,
        add: bool,
        shift: Shift,
        amount: u8,
    },

    Svc {
        imm: u32,
    },
    Hvc {
        imm: u16,
    },
    Smc {
        imm: u8,
    },
    Bkpt {
        imm: u16,
    },
    /// The permanently UNDEFINED instruction.
    Udf {
        imm: u16,
    },
    /// CPS; `enable`: Some(true) = IE, Some(false) = ID; `aif`: bits A = 4, I = 2, F = 1.
    Cps {
        enable: Option<bool>,
        aif: u8,
        mode: Option<u8>,
    },
    Setend {
        big: bool,
    },
    /// MRS; `spsr`: from SPSR, else from CPSR/APSR.
    Mrs {
        spsr: bool,
        rd: Reg,
    },
    /// MSR (register); `mask`: bits f = 8, s = 4, x = 2, c = 1.
    MsrReg {
        spsr: bool,
        mask: u8,
        rn: Reg,
    },
    MsrImm {
        spsr: bool,
        mask: u8,
        imm: u32,
    },
    MrsBanked {
        rd: Reg,
        reg: Banked,
    },
    MsrBanked {
        rn: Reg,
        reg: Banked,
    },
    Srs {
        mode: u8,
        increment: bool,
        before: bool,
        wback: bool,
    },
    Rfe {
        rn: Reg,
        increment: bool,
        before: bool,
        wback: bool,
    },
    Eret,
    Hint {
        op: Hint,
        option: u8,
    },
    Barrier {
        op: Barrier,
        option: u8,
    },

    /// MCR, MCR2. An `rt` of PC is UNPREDICTABLE.
    Mcr {
        reg: CpReg,
        rt: Reg,
        two: bool,
    },
    /// MRC, MRC2. With `rt` = PC, APSR.NZCV is written.
    Mrc {
        reg: CpReg,
        rt: Reg,
        two: bool,
    },
    Mcrr {
        coproc: u8,
        opc1: u8,
        rt: Reg,
        rt2: Reg,
        crm: u8,
        two: bool,
    },
    Mrrc {
        coproc: u8,
        opc1: u8,
        rt: Reg,
        rt2: Reg,
        crm: u8,
        two: bool,
    },
    Cdp {
        coproc: u8,
        opc1: u8,
        crd: u8,
        crn: u8,
        crm: u8,
        opc2: u8,
        two: bool,
    },
    Ldc {
        coproc: u8,
        crd: u8,
        long: bool,
        rn: Reg,
        offset: i32,
        index: Index,
        option: Option<u8>,
        two: bool,
    },
    Stc {
        coproc: u8,
        crd: u8,
        long: bool,
        rn: Reg,
        offset: i32,
        index: Index,
        option: Option<u8>,
        two: bool,
    },

    /// VFP and Advanced SIMD.
    Simd(simd::Simd),

    /// No instruction of ARMv7-A has this encoding.
    Undefined,
}

/// One decoded instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// What it does.
    pub insn: Insn,
    /// When: its own condition in A32; the IT block's in T32 (for B<c>, its own).
    pub cond: Cond,
    /// Its size in bytes: 2 or 4.
    pub len: u8,
    /// The row of the encoding tables that it matched: an index into
    /// [`crate::decode::rows`].
    pub row: u16,
}
