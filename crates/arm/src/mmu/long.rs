//! The long-descriptor translation table format (manual B3.6).

use super::{Attributes, Permissions, PhysMemory, Request, Translation};
use crate::cp15::Cp15;
use crate::cp15::spec::{sctlr, ttbcr};
use crate::exception::{Fault, FaultKind};

/// Bits 39:12 of a descriptor or base: an address.
const ADDRESS: u64 = 0xff_ffff_f000;
/// Attributes of a table descriptor that hold for everything below it.
const PXN_TABLE: u64 = 1 << 59;
const XN_TABLE: u64 = 1 << 60;
/// APTable: no access from User mode; no writes.
const AP_TABLE_NO_USER: u64 = 1 << 61;
const AP_TABLE_READ_ONLY: u64 = 1 << 62;
/// Attributes of a block or page descriptor.
const AP_USER: u64 = 1 << 6;
const AP_READ_ONLY: u64 = 1 << 7;
const ACCESS_FLAG: u64 = 1 << 10;
const NON_GLOBAL: u64 = 1 << 11;
const PXN: u64 = 1 << 53;
const XN: u64 = 1 << 54;

/// The table that a walk starts with.
struct Start {
    base: u64,
    /// TnSZ: the region has 2^(32 - size) bytes.
    size: u32,
}

/// Chooses between TTBR0 and TTBR1 (manual B3.6.4). None: the address is in neither region, or the
/// region is disabled.
fn start(cp15: &Cp15, va: u32) -> Option<Start> {
    let t0sz = cp15.ttbcr >> ttbcr::T0SZ_SHIFT & 7;
    let t1sz = cp15.ttbcr >> ttbcr::T1SZ_SHIFT & 7;
    let top = |bits: u32| u64::from(va) >> (32 - bits);
    let in_1 = if t1sz == 0 {
        // TTBR1 has what TTBR0 leaves.
        top(t0sz) != 0
    } else {
        top(t1sz) == (1 << t1sz) - 1
    };
    let (base, size, disabled) = if in_1 {
        (cp15.ttbr1, t1sz, ttbcr::EPD1)
    } else if top(t0sz) == 0 {
        (cp15.ttbr0, t0sz, ttbcr::EPD0)
    } else {
        return None;
    };
    (cp15.ttbcr & disabled == 0).then_some(Start { base, size })
}

/// `TranslationTableWalkLD` (manual B3.19.6), and the checks.
pub(super) fn walk(
    cp15: &Cp15,
    mem: &impl PhysMemory,
    request: Request,
) -> Result<Translation, Fault> {
    let va = request.va;
    let Some(Start { base, size }) = start(cp15, va) else {
        return Err(request.fault(FaultKind::Translation, 1, 0));
    };
    // A region of at most 1 GiB starts at level 2.
    let mut level: u8 = if size >= 2 { 2 } else { 1 };
    let mut in_region = va & !0 >> size;
    // The first table is as long as the region needs, and aligned to its length.
    let first_bits = 32 - size - shift(level);
    let mut table = base & (ADDRESS | 0xfff) & !0 << (first_bits + 3);
    let mut inherited = 0;

    loop {
        let index = u64::from(in_region >> shift(level));
        let descriptor = mem
            .read_u64(table | index << 3)
            .ok_or_else(|| request.fault(FaultKind::WalkExternal, level, 0))?;
        let descriptor = if cp15.sctlr & sctlr::EE != 0 {
            descriptor.swap_bytes()
        } else {
            descriptor
        };
        let leaf = match descriptor & 3 {
            0b11 => level == 3,
            0b01 if level < 3 => true,
            _ => return Err(request.fault(FaultKind::Translation, level, 0)),
        };
        if leaf {
            return finish(cp15, request, descriptor, inherited, level);
        }
        inherited |= descriptor & (PXN_TABLE | XN_TABLE | AP_TABLE_NO_USER | AP_TABLE_READ_ONLY);
        in_region &= !(!0 << shift(level));
        table = descriptor & ADDRESS;
        level += 1;
    }
}

/// The number of address bits that an entry of a level leaves.
const fn shift(level: u8) -> u32 {
    match level {
        1 => 30,
        2 => 21,
        _ => 12,
    }
}

fn finish(
    cp15: &Cp15,
    request: Request,
    descriptor: u64,
    inherited: u64,
    level: u8,
) -> Result<Translation, Fault> {
    if descriptor & ACCESS_FLAG == 0 {
        return Err(request.fault(FaultKind::AccessFlag, level, 0));
    }
    let permissions = Permissions::simple(
        descriptor & AP_READ_ONLY != 0 || inherited & AP_TABLE_READ_ONLY != 0,
        descriptor & AP_USER != 0 && inherited & AP_TABLE_NO_USER == 0,
        descriptor & XN != 0 || inherited & XN_TABLE != 0,
        descriptor & PXN != 0 || inherited & PXN_TABLE != 0,
        cp15.sctlr,
    );
    if !permissions.allow(request.access, request.privileged) {
        return Err(request.fault(FaultKind::Permission, level, 0));
    }
    let page_shift = shift(level);
    let offset = (1u64 << page_shift) - 1;
    Ok(Translation {
        pa: descriptor & ADDRESS & !offset | u64::from(request.va) & offset,
        page_shift: page_shift as u8,
        permissions,
        attributes: Attributes::long(
            descriptor >> 2 & 7,
            descriptor >> 8 & 3,
            cp15.mair0,
            cp15.mair1,
        ),
        non_global: descriptor & NON_GLOBAL != 0,
        domain: 0,
    })
}
