//! The short-descriptor translation table format (manual B3.5).

use super::{Attributes, Permissions, PhysMemory, Request, Translation};
use crate::cp15::Cp15;
use crate::cp15::spec::{sctlr, ttbcr};
use crate::exception::{Fault, FaultKind};

/// The fields that descriptors have in different places.
struct Leaf {
    level: u8,
    pa: u64,
    page_shift: u8,
    domain: u8,
    /// AP[2:0].
    ap: u32,
    /// TEX:C:B.
    tex_cb: u32,
    shareable: bool,
    non_global: bool,
    xn: bool,
    pxn: bool,
}

const fn bit(descriptor: u32, n: u32) -> bool {
    descriptor >> n & 1 != 0
}

pub(super) fn walk(
    cp15: &Cp15,
    mem: &impl PhysMemory,
    request: Request,
) -> Result<Translation, Fault> {
    let leaf = find(cp15, mem, request)?;
    let control = cp15.sctlr;
    let fault = |kind| Err(request.fault(kind, leaf.level, leaf.domain));

    let access_flag = control & sctlr::AFE != 0;
    if access_flag && leaf.ap & 1 == 0 {
        return fault(FaultKind::AccessFlag);
    }
    let permissions = match cp15.dacr >> (2 * leaf.domain) & 3 {
        // Client: the descriptor's permissions count.
        1 if access_flag => Permissions::simple(
            leaf.ap & 4 != 0,
            leaf.ap & 2 != 0,
            leaf.xn,
            leaf.pxn,
            control,
        ),
        1 => Permissions::with_execute(rights(leaf.ap), leaf.xn, leaf.pxn, control),
        // Manager: nothing is checked.
        3 => Permissions::ALL,
        // No access; 2 is reserved, and behaves so.
        _ => return fault(FaultKind::Domain),
    };
    if !permissions.allow(request.access, request.privileged) {
        return fault(FaultKind::Permission);
    }
    Ok(Translation {
        pa: leaf.pa,
        page_shift: leaf.page_shift,
        permissions,
        attributes: Attributes::short(
            leaf.tex_cb,
            leaf.shareable,
            control & sctlr::TRE != 0,
            cp15.mair0,
            cp15.mair1,
        ),
        non_global: leaf.non_global,
        domain: leaf.domain,
    })
}

/// Read and write rights by AP[2:0] (manual table B3-5).
const fn rights(ap: u32) -> u8 {
    use Permissions as P;
    match ap & 7 {
        0b001 => P::PR | P::PW,
        0b010 => P::PR | P::PW | P::UR,
        0b011 => P::PR | P::PW | P::UR | P::UW,
        0b101 => P::PR,
        0b110 | 0b111 => P::PR | P::UR,
        // 0b100 is reserved.
        _ => 0,
    }
}

/// `TranslationTableWalkSD` (manual B3.19.6), up to the checks.
fn find(cp15: &Cp15, mem: &impl PhysMemory, request: Request) -> Result<Leaf, Fault> {
    let va = request.va;
    let read = |pa: u64, level, domain| {
        let word = mem
            .read_u32(pa)
            .ok_or_else(|| request.fault(FaultKind::WalkExternal, level, domain))?;
        Ok(if cp15.sctlr & sctlr::EE != 0 {
            word.swap_bytes()
        } else {
            word
        })
    };

    // Addresses with a bit set in the top N belong to TTBR1.
    let n = cp15.ttbcr & ttbcr::N;
    let (ttbr, disabled, n) = if u64::from(va) >> (32 - n) == 0 {
        (cp15.ttbr0, ttbcr::PD0, n)
    } else {
        (cp15.ttbr1, ttbcr::PD1, 0)
    };
    if cp15.ttbcr & disabled != 0 {
        return Err(request.fault(FaultKind::Translation, 1, 0));
    }
    let base = ttbr as u32 & !0 << (14 - n);
    let index = (va & !0 >> n) >> 20;
    let first = read(u64::from(base | index << 2), 1, 0)?;
    let domain = (first >> 5 & 15) as u8;

    match first & 3 {
        // A page table. Its PXN is bit 2.
        0b01 => {
            let table = first & !0x3ff;
            let second = read(u64::from(table | (va >> 12 & 0xff) << 2), 2, domain)?;
            let ap = second >> 7 & 4 | second >> 4 & 3;
            let cb = second >> 2 & 3;
            let shareable = bit(second, 10);
            let non_global = bit(second, 11);
            let pxn = bit(first, 2);
            match second & 3 {
                0b00 => Err(request.fault(FaultKind::Translation, 2, domain)),
                0b01 => Ok(Leaf {
                    level: 2,
                    pa: u64::from(second & 0xffff_0000 | va & 0xffff),
                    page_shift: 16,
                    domain,
                    ap,
                    tex_cb: second >> 10 & 0x1c | cb,
                    shareable,
                    non_global,
                    xn: bit(second, 15),
                    pxn,
                }),
                _ => Ok(Leaf {
                    level: 2,
                    pa: u64::from(second & 0xffff_f000 | va & 0xfff),
                    page_shift: 12,
                    domain,
                    ap,
                    tex_cb: second >> 4 & 0x1c | cb,
                    shareable,
                    non_global,
                    xn: bit(second, 0),
                    pxn,
                }),
            }
        }
        // A section or supersection; bit 0 is PXN.
        0b10 | 0b11 => {
            let (pa, page_shift, domain) = if bit(first, 18) {
                let high = u64::from(first >> 20 & 15) << 32 | u64::from(first >> 5 & 15) << 36;
                let low = first & 0xff00_0000 | va & 0x00ff_ffff;
                (high | u64::from(low), 24, 0)
            } else {
                let low = first & 0xfff0_0000 | va & 0x000f_ffff;
                (u64::from(low), 20, domain)
            };
            Ok(Leaf {
                level: 1,
                pa,
                page_shift,
                domain,
                ap: first >> 13 & 4 | first >> 10 & 3,
                tex_cb: first >> 10 & 0x1c | first >> 2 & 3,
                shareable: bit(first, 16),
                non_global: bit(first, 17),
                xn: bit(first, 4),
                pxn: bit(first, 0),
            })
        }
        _ => Err(request.fault(FaultKind::Translation, 1, 0)),
    }
}
