//! What generated code and the rest of the engine share.

use crate::asm::Gpr;

/// Entries of the jump cache: a kernel's path through a system call has thousands of returns.
pub const JUMPS: usize = 1 << 14;
/// The bits of an address that select an entry, which is 4 times as large as their value. T32's bit 1
/// is not among them: half of the entries would have no use for A32 code.
pub const JUMP_MASK: u32 = (JUMPS as u32 - 1) << 2;

/// A block by its address, for indirect branches. No cache line ends in one.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct Jump {
    /// The address, with bit 0 set for T32; [`NO_TARGET`] if there is none.
    pub target: u64,
    /// Where its code is (the entry that checks the page).
    pub code: u64,
}

/// An address that no branch has.
pub const NO_TARGET: u64 = u64::MAX;

/// Why generated code returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Leave {
    /// Execution goes on at `pc`.
    At = 0,
    /// The same, and the jump at `site` may lead there directly.
    Link = 1,
    /// The same, after an indirect branch.
    Indirect = 2,
    /// An instruction that the interpreter executed is not followed by a block that is known.
    Step = 3,
    /// The interpreter is to go on at `pc` with a block.
    Interpret = 4,
}

/// The variables of generated code, beside the architectural state.
#[repr(C)]
pub struct Shared {
    /// The flags, in a form that suits the host: see `translate::flags`. CPSR's are not kept while
    /// generated code runs.
    pub flags: [u8; 4],
    /// Operands that flags are computed from, within a block.
    pub saved: [u32; 2],
    /// Where to go on; bit 0 = T32.
    pub pc: u32,
    /// Offset of the jump that asks to be linked, times 2; bit 0 = within the page.
    pub site: u32,
    /// SCTLR.A.
    pub strict_alignment: u8,
    /// What floating-point and Advanced SIMD instructions may do: see [`fp`].
    pub fp: u8,
    /// Size of the access of LDREX, bytes.
    pub exclusive_size: u8,
    /// Host address of what LDREX read, 0 if generated code has no reservation. While it is not 0,
    /// the state's reservation does not count.
    pub exclusive_host: u64,
    /// What LDREX read.
    pub exclusive_value: u64,
    /// The vCPU's inputs.
    pub control: u64,
    /// The current context's tables.
    pub tables: u64,
    /// Instructions executed.
    pub instructions: u64,
    /// Constants for floating point, by their names: the sign bit.
    pub f64_sign: u64,
    /// The sign bit.
    pub f32_sign: u32,
    /// 2^32.
    pub f32_two_to_32: f32,
    /// 2^32.
    pub f64_two_to_32: f64,
    /// 2^32 - 1.
    pub f64_largest_u32: f64,
    /// All bits but the sign, by element.
    pub f32_magnitude: [u32; 4],
    /// The largest magnitude below the normal numbers, less 1.
    pub f32_subnormal: [u32; 4],
    /// The smallest normal number.
    pub f32_smallest: [f32; 4],
    /// All bits but the sign, by element.
    pub f64_magnitude: [u64; 2],
    /// The smallest normal number.
    pub f64_smallest: f64,
    /// 1 in each element.
    pub ones: [u32; 4],
    /// See [`crate::translate::neon::tables`].
    pub byte_tables: [[u8; 16]; crate::translate::neon::tables::COUNT],
    /// The upper bits of the fraction of VRECPE's result, by those of the operand.
    pub recip_estimates: [u8; 256],
    /// The same for VRSQRTE, by the upper bits of the fraction and above them the exponent's last.
    pub rsqrt_estimates: [u8; 256],
    /// Jump cache, by [`JUMP_MASK`] of the address.
    pub jumps: [Jump; JUMPS],
}

/// The host register that holds the address of R0 in the architectural state.
pub const STATE: Gpr = Gpr::Rbp;
/// The host register that holds the address of the current context's tables.
pub const TABLES: Gpr = Gpr::R15;
/// Guest registers that live in host registers while generated code runs.
pub const PINNED: [(usize, Gpr); 10] = [
    (0, Gpr::Rbx),
    (1, Gpr::Rsi),
    (2, Gpr::Rdi),
    (3, Gpr::R8),
    (4, Gpr::R9),
    (5, Gpr::R10),
    (6, Gpr::R11),
    (7, Gpr::R12),
    (13, Gpr::R13),
    (14, Gpr::R14),
];

/// Displacements from [`STATE`].
#[derive(Clone, Copy, Default, Debug)]
pub struct Layout {
    /// CPSR.
    pub cpsr: i32,
    /// D0.
    pub d: i32,
    /// FPSCR.
    pub fpscr: i32,
    /// TPIDRURW.
    pub tpidrurw: i32,
    /// TPIDRURO.
    pub tpidruro: i32,
    /// TPIDRPRW.
    pub tpidrprw: i32,
    /// DACR.
    pub dacr: i32,
    /// TTBR0's lower word.
    pub ttbr0: i32,
    /// CONTEXTIDR.
    pub contextidr: i32,
    /// DFSR.
    pub dfsr: i32,
    /// IFSR.
    pub ifsr: i32,
    /// DFAR.
    pub dfar: i32,
    /// IFAR.
    pub ifar: i32,
    /// The event register: a byte.
    pub event: i32,
    /// [`Shared`].
    pub shared: i32,
    /// The vCPU's inputs, if they are near.
    pub control: Option<i32>,
}

impl Layout {
    /// A field of [`Shared`] by its offset there.
    pub fn shared(&self, offset: usize) -> i32 {
        self.shared.wrapping_add(offset as i32)
    }
}

/// What floating-point instructions may do, for [`Shared::fp`].
pub mod fp {
    use skep_arm::state::CpuState;

    /// Nothing.
    pub const OFF: u8 = 0;
    /// Everything that the host does as they do.
    pub const ON: u8 = 1;
    /// All but arithmetic: FPSCR asks for rounding or for NaNs that the host has not.
    pub const NO_ARITHMETIC: u8 = 2;

    /// FPSCR.DN, RMode. Flushing to zero (FZ) makes a difference only where the host raises an
    /// exception.
    const OTHER: u32 = 1 << 25 | 3 << 22;
    /// FPSCR.Stride, Len: vectors, with which VFP arithmetic and moves are UNDEFINED.
    const VECTORS: u32 = 3 << 20 | 7 << 16;
    /// CPACR.ASEDIS, D32DIS.
    const DISABLED: u32 = 3 << 30;

    /// What they may do in this state.
    pub fn of(state: &CpuState) -> u8 {
        let on = state.fp_permitted()
            && state.cp15.cpacr & DISABLED == 0
            && state.simd.fpexc >> 30 & 1 != 0
            && state.simd.fpscr & VECTORS == 0;
        match state.simd.fpscr & OTHER {
            _ if !on => OFF,
            0 => ON,
            _ => NO_ARITHMETIC,
        }
    }
}
