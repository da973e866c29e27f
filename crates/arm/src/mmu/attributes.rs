//! Memory attributes (manual B3.8).

use super::Access;
use crate::cp15::spec::sctlr;

/// A memory type (manual A3.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum MemoryType {
    StronglyOrdered,
    Device,
    Normal,
}

impl MemoryType {
    /// Unaligned accesses are possible; to the other types they take an alignment fault (manual
    /// A3.2.1: UNPREDICTABLE without, an alignment fault with the Virtualization Extensions and on
    /// Cortex-A15 and A7).
    #[inline]
    pub const fn allows_unaligned(self) -> bool {
        matches!(self, MemoryType::Normal)
    }
}

/// Which processors see a location coherently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Shareability {
    None,
    Outer,
    Inner,
}

impl Shareability {
    /// The SH field of a long descriptor and of PAR.
    pub const fn bits(self) -> u8 {
        match self {
            Shareability::None => 0,
            Shareability::Outer => 2,
            Shareability::Inner => 3,
        }
    }

    /// From the SH field of a long descriptor; the reserved value 1 reads as none.
    pub(super) const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            2 => Shareability::Outer,
            3 => Shareability::Inner,
            _ => Shareability::None,
        }
    }
}

/// Attributes of a location.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// Memory type and cacheability, as a field of MAIR0 or MAIR1 encodes them (manual B4.1.104).
    pub mair: u8,
    /// Shareability; Device and Strongly-ordered memory is outer shareable.
    pub shareability: Shareability,
}

const STRONGLY_ORDERED: u8 = 0x00;
const DEVICE: u8 = 0x04;

/// A half of a MAIR field for normal memory.
const fn cacheability(bits: u32) -> u8 {
    match bits & 3 {
        // Non-cacheable; write-back, write-allocate; write-through; write-back, no write-allocate.
        0 => 0x4,
        1 => 0xf,
        2 => 0xa,
        _ => 0xe,
    }
}

const fn normal(outer: u32, inner: u32) -> u8 {
    cacheability(outer) << 4 | cacheability(inner)
}

impl Attributes {
    const fn new(mair: u8, shareability: Shareability) -> Self {
        Attributes { mair, shareability }
    }

    /// The memory type. MAIR values with a zero outer half that the manual doesn't define are Device.
    #[inline]
    pub const fn memory_type(self) -> MemoryType {
        match self.mair {
            STRONGLY_ORDERED => MemoryType::StronglyOrdered,
            0x01..=0x0f => MemoryType::Device,
            _ => MemoryType::Normal,
        }
    }

    /// What locations have while the MMU is off (manual B3.2.1).
    pub(super) const fn mmu_off(access: Access, control: u32) -> Self {
        match access {
            // Instruction fetches: SCTLR.I says whether they are cached.
            Access::Execute if control & sctlr::I != 0 => {
                Self::new(normal(2, 2), Shareability::None)
            }
            Access::Execute => Self::new(normal(0, 0), Shareability::Outer),
            Access::Read | Access::Write => Self::new(STRONGLY_ORDERED, Shareability::Outer),
        }
    }

    /// From TEX, C, B and S of a short descriptor. `tex_cb` is TEX:C:B; `prrr` and `nmrr` matter with
    /// TEX remap, `remap` (manual B3.8.2, B3.8.3).
    pub(super) const fn short(
        tex_cb: u32,
        shareable: bool,
        remap: bool,
        prrr: u32,
        nmrr: u32,
    ) -> Self {
        // Without TEX remap, shareable is outer shareable (`DefaultTEXDecode`, manual B3.19.7).
        let shared = if shareable {
            Shareability::Outer
        } else {
            Shareability::None
        };
        if remap {
            let n = tex_cb & 7;
            return match prrr >> (2 * n) & 3 {
                0 => Self::new(STRONGLY_ORDERED, Shareability::Outer),
                1 => Self::new(DEVICE, Shareability::Outer),
                // 3 is reserved.
                _ => {
                    let mapped = if shareable { 1 << 19 } else { 1 << 18 };
                    let shareability = if prrr & mapped == 0 {
                        Shareability::None
                    } else if prrr >> (24 + n) & 1 != 0 {
                        Shareability::Inner
                    } else {
                        Shareability::Outer
                    };
                    let inner = nmrr >> (2 * n);
                    Self::new(normal(inner >> 16, inner), shareability)
                }
            };
        }
        match tex_cb & 31 {
            0b00000 => Self::new(STRONGLY_ORDERED, Shareability::Outer),
            0b00001 | 0b01000 => Self::new(DEVICE, Shareability::Outer),
            0b00010 => Self::new(normal(2, 2), shared),
            0b00011 => Self::new(normal(3, 3), shared),
            0b00100 => Self::new(normal(0, 0), shared),
            0b00111 => Self::new(normal(1, 1), shared),
            0b10000..=0b11111 => Self::new(normal(tex_cb >> 2, tex_cb), shared),
            // Reserved, or the implementation's.
            0b00101 | 0b00110 => Self::new(normal(0, 0), shared),
            _ => Self::new(DEVICE, Shareability::Outer),
        }
    }

    /// From AttrIndx and SH of a long descriptor (manual B3.8.4).
    pub(super) const fn long(index: u64, sh: u64, mair0: u32, mair1: u32) -> Self {
        let mair = if index & 4 == 0 { mair0 } else { mair1 };
        let field = (mair >> (8 * (index & 3))) as u8;
        if field & 0xf0 == 0 {
            return Self::new(field, Shareability::Outer);
        }
        Self::new(field, Shareability::from_bits(sh))
    }

    /// The cacheability of half of a MAIR field, in the encoding of short descriptors.
    const fn half(bits: u8) -> u8 {
        match bits & 0xf {
            // Write-through.
            0x0..=0x3 | 0x8..=0xb => 2,
            0x4 => 0,
            // Write-back with and without write-allocate.
            0x5 | 0x7 | 0xd | 0xf => 1,
            _ => 3,
        }
    }

    /// The Outer field of PAR in the short format.
    pub(super) const fn par_outer(self) -> u8 {
        match self.memory_type() {
            MemoryType::Normal => Self::half(self.mair >> 4),
            _ => 0,
        }
    }

    /// The Inner field of PAR in the short format.
    pub(super) const fn par_inner(self) -> u8 {
        match self.memory_type() {
            MemoryType::StronglyOrdered => 0b001,
            MemoryType::Device => 0b011,
            MemoryType::Normal => match Self::half(self.mair) {
                0 => 0b000,
                1 => 0b101,
                2 => 0b110,
                _ => 0b111,
            },
        }
    }
}
