//! Stage-1 address translation (manual chapter B3).
//!
//! [`translate`] walks the translation tables for each call and remembers nothing: a TLB belongs to an
//! engine. A [`Translation`] tells all that a TLB entry needs: the rights of both privilege levels,
//! the size of the page, and whether the entry is global.

mod attributes;
mod long;
mod short;
#[cfg(test)]
mod tests;

pub use attributes::{Attributes, MemoryType, Shareability};

use crate::cp15::spec::{par, sctlr};
use crate::exception::{Fault, FaultKind};
use crate::state::CpuState;

/// Physical memory, as a table walk reads it.
pub trait PhysMemory {
    /// The little-endian word at an address that is a multiple of 4. None: an external abort.
    fn read_u32(&self, pa: u64) -> Option<u32>;
    /// The little-endian doubleword at an address that is a multiple of 8. None: an external abort.
    fn read_u64(&self, pa: u64) -> Option<u64>;
}

impl<M: PhysMemory + ?Sized> PhysMemory for &M {
    fn read_u32(&self, pa: u64) -> Option<u32> {
        (**self).read_u32(pa)
    }
    fn read_u64(&self, pa: u64) -> Option<u64> {
        (**self).read_u64(pa)
    }
}

/// What is done to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Access {
    Read,
    Write,
    Execute,
}

/// What both privilege levels may do to a page: an OR of the constants.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Permissions(pub u8);

impl Permissions {
    /// Privileged read.
    pub const PR: u8 = 1;
    /// Privileged write.
    pub const PW: u8 = 2;
    /// Privileged execute.
    pub const PX: u8 = 4;
    /// User read.
    pub const UR: u8 = 8;
    /// User write.
    pub const UW: u8 = 16;
    /// User execute.
    pub const UX: u8 = 32;
    /// Everything.
    pub const ALL: Permissions = Permissions(63);

    /// The bit that an access needs.
    #[inline]
    pub const fn bit(access: Access, privileged: bool) -> u8 {
        let bit = match access {
            Access::Read => Self::PR,
            Access::Write => Self::PW,
            Access::Execute => Self::PX,
        };
        if privileged { bit } else { bit << 3 }
    }

    /// Whether an access is allowed.
    #[inline]
    pub const fn allow(self, access: Access, privileged: bool) -> bool {
        self.0 & Self::bit(access, privileged) != 0
    }

    /// The rights that access permission bits give: AP[2] and AP[1] as in the long-descriptor format
    /// and with the access flag in AP[0] (manual table B3-6), and the execute-never attributes
    /// with SCTLR.WXN and SCTLR.UWXN applied (B3.7.2).
    const fn simple(read_only: bool, user: bool, xn: bool, pxn: bool, control: u32) -> Self {
        let mut bits = Self::PR;
        if !read_only {
            bits |= Self::PW;
        }
        if user {
            bits |= bits << 3;
        }
        Self::with_execute(bits, xn, pxn, control)
    }

    /// Adds the execute rights to read and write rights.
    const fn with_execute(mut bits: u8, xn: bool, pxn: bool, control: u32) -> Self {
        let wxn = control & sctlr::WXN != 0;
        let uwxn = control & sctlr::UWXN != 0;
        let never = xn || wxn && bits & (Self::PW | Self::UW) != 0;
        if !never && bits & Self::UR != 0 {
            bits |= Self::UX;
        }
        let privileged_never = never || pxn || uwxn && bits & Self::UW != 0;
        if !privileged_never && bits & Self::PR != 0 {
            bits |= Self::PX;
        }
        Permissions(bits)
    }
}

/// Where a virtual address leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// The physical address of the byte that was asked for, 40 bits.
    pub pa: u64,
    /// The size of the page, as a power of two: 12, 16, 20, 21, 24 or 30.
    pub page_shift: u8,
    /// What may be done to the page.
    pub permissions: Permissions,
    /// Memory type, cacheability and shareability.
    pub attributes: Attributes,
    /// The translation belongs to the current ASID only.
    pub non_global: bool,
    /// The domain (short-descriptor format; else 0). The permissions depend on DACR through it.
    pub domain: u8,
}

/// What every walk needs to know.
#[derive(Clone, Copy)]
struct Request {
    va: u32,
    access: Access,
    privileged: bool,
}

impl Request {
    fn fault(&self, kind: FaultKind, level: u8, domain: u8) -> Fault {
        Fault {
            kind,
            va: self.va,
            level,
            domain,
            write: self.access == Access::Write,
            maintenance: false,
        }
    }
}

/// Translates a virtual address for an access, or tells the fault that the access takes.
///
/// Alignment isn't looked at: it is the engine's to check, first against SCTLR.A, and then with
/// [`MemoryType::allows_unaligned`].
pub fn translate(
    state: &CpuState,
    mem: &impl PhysMemory,
    va: u32,
    access: Access,
    privileged: bool,
) -> Result<Translation, Fault> {
    let cp15 = &state.cp15;
    let request = Request {
        va,
        access,
        privileged,
    };
    if !cp15.mmu_on() {
        return Ok(Translation {
            pa: va.into(),
            page_shift: 20,
            permissions: Permissions::ALL,
            attributes: Attributes::mmu_off(access, cp15.sctlr),
            non_global: false,
            domain: 0,
        });
    }
    if cp15.long_descriptors() {
        long::walk(cp15, mem, request)
    } else {
        short::walk(cp15, mem, request)
    }
}

/// Does an address translation operation (ATS1CPR and its siblings): translates and writes PAR, which
/// reports MMU faults too.
///
/// # Errors
///
/// An external abort on the walk, which the operation takes as a Data Abort. It counts as a write
/// (DFSR.WnR, manual B4.1.52).
pub fn translate_to_par(
    state: &mut CpuState,
    mem: &impl PhysMemory,
    va: u32,
    write: bool,
    privileged: bool,
) -> Result<(), Fault> {
    let access = if write { Access::Write } else { Access::Read };
    let result = translate(state, mem, va, access, privileged);
    match result {
        Err(fault) if fault.kind == FaultKind::WalkExternal => Err(Fault {
            write: true,
            ..fault
        }),
        _ => {
            crate::cp15::set_par(state, &result);
            Ok(())
        }
    }
}

/// PAR for the result of an address translation operation, in the long-descriptor format if `long`
/// (manual B4.1.112).
pub fn par(result: &Result<Translation, Fault>, long: bool) -> u64 {
    let translation = match result {
        Err(fault) => {
            let format = if long { par::LPAE } else { 0 };
            return u64::from(fault.par_status(long)) << par::FS_SHIFT | format | par::F;
        }
        Ok(translation) => translation,
    };
    let attributes = translation.attributes;
    if long {
        return translation.pa & 0xff_ffff_f000
            | u64::from(attributes.mair) << par::ATTR_SHIFT
            | u64::from(attributes.shareability.bits()) << par::SH_SHIFT
            | par::NS
            | par::LPAE;
    }
    let mut value = par::NS
        | u64::from(attributes.par_outer()) << par::OUTER_SHIFT
        | u64::from(attributes.par_inner()) << par::INNER_SHIFT;
    match attributes.shareability {
        Shareability::None => {}
        Shareability::Outer => value |= par::SH,
        Shareability::Inner => value |= par::SH | par::NOS,
    }
    if translation.page_shift == 24 {
        // PA[31:24] in place, PA[39:32] in bits 23:16.
        value | translation.pa & 0xff00_0000 | translation.pa >> 16 & 0xff_0000 | par::SS
    } else {
        value | translation.pa & 0xffff_f000
    }
}
