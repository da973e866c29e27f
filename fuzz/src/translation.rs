//! Table walks in both formats over any tables, with any settings of the system registers. What is
//! translated stays within 40 bits (32 for small short-descriptor pages), keeps the offset in the
//! page, is allowed, and is the same for the whole page; what is not is a fault for that access.

use crate::input::Input;
use crate::processor::configure;
use skep_arm::cp15::spec::{sctlr, ttbcr};
use skep_arm::mmu::{self, Access, Permissions, PhysMemory};
use skep_arm::state::{CpuModel, CpuState};

/// Tables of which every word follows from its address and the input: descriptors repeat, so that
/// each walk finds some, and one in sixteen is missing.
struct Tables<'a> {
    descriptors: &'a [u8],
}

impl Tables<'_> {
    fn word(&self, index: u64) -> u32 {
        let words = self.descriptors.as_chunks::<4>().0;
        let Some(last) = words.len().checked_sub(1) else {
            return 0;
        };
        // Neighbours differ, and every word comes up.
        let at = (index ^ index >> 7 ^ index >> 13) as usize % (last + 1);
        u32::from_le_bytes(words[at])
    }
}

impl PhysMemory for Tables<'_> {
    fn read_u32(&self, pa: u64) -> Option<u32> {
        assert!(pa.is_multiple_of(4) && pa < 1 << 40, "{pa:#x}");
        (pa >> 36 == 0).then(|| self.word(pa / 4))
    }

    fn read_u64(&self, pa: u64) -> Option<u64> {
        assert!(pa.is_multiple_of(8) && pa < 1 << 40, "{pa:#x}");
        let half = |n| u64::from(self.word(pa / 4 + n));
        (pa >> 36 == 0).then(|| half(0) | half(1) << 32)
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut state = CpuState::new(CpuModel::CortexA15, 0, 1);
    let settings = input.u8();
    state.cp15.ttbcr = match settings & 1 {
        0 => input.u32() & ttbcr::SHORT_BITS & !ttbcr::EAE,
        _ => input.u32() & ttbcr::LONG_BITS | ttbcr::EAE,
    };
    state.cp15.ttbr0 = input.u64() & 0x00ff_00ff_ffff_ffff;
    state.cp15.ttbr1 = input.u64() & 0x00ff_00ff_ffff_ffff;
    state.cp15.dacr = input.u32();
    configure(&mut state, &mut input);
    if settings & 2 == 0 {
        state.cp15.sctlr |= sctlr::M;
    }
    let addresses = [input.u32(), input.u32(), input.u32()];
    let tables = Tables {
        descriptors: input.rest(),
    };
    for va in addresses {
        for access in [Access::Read, Access::Write, Access::Execute] {
            for privileged in [false, true] {
                check(&state, &tables, va, access, privileged);
            }
        }
    }
}

fn check(state: &CpuState, tables: &Tables<'_>, va: u32, access: Access, privileged: bool) {
    let result = mmu::translate(state, tables, va, access, privileged);
    let long = state.cp15.long_descriptors();
    let par = mmu::par(&result, long);
    assert_eq!(par & 1 != 0, result.is_err());
    let translation = match result {
        Ok(translation) => translation,
        Err(fault) => {
            assert_eq!(fault.va, va);
            assert_eq!(fault.write, access == Access::Write);
            // They fit their fields.
            assert!(fault.domain < 16 && fault.level < 4);
            let _ = (fault.dfsr(long), fault.ifsr(long));
            return;
        }
    };
    let shift = u32::from(translation.page_shift);
    assert!(matches!(shift, 12 | 16 | 20 | 21 | 24 | 30), "{shift}");
    let limit = if long || shift == 24 { 40 } else { 32 };
    assert_eq!(translation.pa >> limit, 0, "{translation:x?}");
    let offset = (1u32 << shift) - 1;
    assert_eq!((translation.pa as u32 ^ va) & offset, 0);
    assert!(translation.permissions.allow(access, privileged));
    assert_eq!(translation.permissions.0 & !Permissions::ALL.0, 0);
    assert!(translation.domain < 16);
    // Software must repeat the descriptors of short-descriptor supersections and large pages, and
    // these tables don't.
    // A block of 1 GiB may be cut short by the border of the other register's region.
    let offset = match shift {
        30 => 0x1ff_ffff,
        24 => 0xf_ffff,
        16 => 0xfff,
        _ => offset,
    };
    for other in [va & !offset, va | offset, va ^ offset & 0x5555_5555] {
        let same = mmu::translate(state, tables, other, access, privileged);
        let same = same.expect("the whole page is translated");
        assert_eq!(same.pa ^ translation.pa, u64::from(other ^ va));
        assert_eq!(same.permissions, translation.permissions);
        assert_eq!(same.attributes, translation.attributes);
    }
}
