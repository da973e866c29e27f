extern crate std;
use std::collections::HashMap;
use std::string::String;

use super::*;
use crate::cp15::spec::ttbcr;
use crate::state::{CpuModel, Mode};

/// Memory that holds the words that were put there; below `END` the rest is 0, above nothing
/// answers.
#[derive(Default)]
struct Memory(HashMap<u64, u32>);

const END: u64 = 0x1_0000_0000;

impl Memory {
    fn put(&mut self, pa: u64, word: u32) {
        self.0.insert(pa, word);
    }

    fn put64(&mut self, pa: u64, value: u64) {
        self.put(pa, value as u32);
        self.put(pa + 4, (value >> 32) as u32);
    }
}

impl PhysMemory for Memory {
    fn read_u32(&self, pa: u64) -> Option<u32> {
        assert_eq!(pa % 4, 0);
        (pa < END).then(|| self.0.get(&pa).copied().unwrap_or(0))
    }

    fn read_u64(&self, pa: u64) -> Option<u64> {
        assert_eq!(pa % 8, 0);
        Some(u64::from(self.read_u32(pa)?) | u64::from(self.read_u32(pa + 4)?) << 32)
    }
}

/// First-level table.
const L1: u64 = 0x4000;
/// Second-level table.
const L2: u64 = 0x8400;
/// The address that the tests translate: entry 0x123 of the first level, 0x45 of the second.
const VA: u32 = 0x1234_5678;

/// MMU on, short descriptors, all domains clients.
fn cpu() -> CpuState {
    let mut state = CpuState::new(CpuModel::CortexA15, 0, 1);
    state.set_cpsr(Mode::Supervisor as u32);
    state.cp15.sctlr |= sctlr::M;
    state.cp15.ttbr0 = L1;
    state.cp15.dacr = 0x5555_5555;
    state
}

fn first(descriptor: u32) -> Memory {
    let mut memory = Memory::default();
    memory.put(L1 + 0x123 * 4, descriptor);
    memory
}

fn second(first_level: u32, descriptor: u32) -> Memory {
    let mut memory = first(first_level | L2 as u32 | 1);
    memory.put(L2 + 0x45 * 4, descriptor);
    memory
}

fn read(state: &CpuState, memory: &Memory) -> Result<Translation, Fault> {
    translate(state, memory, VA, Access::Read, true)
}

fn kind(result: Result<Translation, Fault>) -> (FaultKind, u8, u8) {
    let fault = result.expect_err("a fault");
    assert_eq!(fault.va, VA);
    assert!(!fault.maintenance);
    (fault.kind, fault.level, fault.domain)
}

/// The permissions as text: privileged, then user.
fn rights(translation: &Translation) -> String {
    let mut text = String::new();
    for (privileged, separator) in [(true, "/"), (false, "")] {
        for (access, letter) in [
            (Access::Read, 'r'),
            (Access::Write, 'w'),
            (Access::Execute, 'x'),
        ] {
            let allowed = translation.permissions.allow(access, privileged);
            text.push(if allowed { letter } else { '-' });
        }
        text.push_str(separator);
    }
    text
}

#[test]
fn off_is_flat() {
    let mut state = cpu();
    state.cp15.sctlr &= !sctlr::M;
    let memory = Memory::default();
    let t = read(&state, &memory).expect("flat");
    assert_eq!(t.pa, VA.into());
    assert_eq!(rights(&t), "rwx/rwx");
    assert_eq!(t.attributes.memory_type(), MemoryType::StronglyOrdered);
    assert!(!t.attributes.memory_type().allows_unaligned());
    let fetch = translate(&state, &memory, VA, Access::Execute, true).expect("flat");
    assert_eq!(fetch.attributes.mair, 0x44);
    state.cp15.sctlr |= sctlr::I;
    let fetch = translate(&state, &memory, VA, Access::Execute, true).expect("flat");
    assert_eq!(fetch.attributes.mair, 0xaa);
}

#[test]
fn short_leaves() {
    let state = cpu();
    // Section: nG, S, domain 5, AP = 3.
    let section = first(0xabc0_0000 | 1 << 17 | 1 << 16 | 5 << 5 | 3 << 10 | 2);
    let t = read(&state, &section).expect("section");
    assert_eq!((t.pa, t.page_shift, t.domain), (0xabc4_5678, 20, 5));
    assert!(t.non_global);

    // Supersection at 0x9a_bc00_0000: domain 0 whatever the bits say.
    let supersection = first(0xbc00_0000 | 1 << 18 | 0xa << 20 | 9 << 5 | 3 << 10 | 2);
    let t = read(&state, &supersection).expect("supersection");
    assert_eq!((t.pa, t.page_shift, t.domain), (0x9a_bc34_5678, 24, 0));
    assert!(!t.non_global);

    let large = second(7 << 5, 0xcdef_0000 | 1 << 11 | 3 << 4 | 1);
    let t = read(&state, &large).expect("large page");
    assert_eq!((t.pa, t.page_shift, t.domain), (0xcdef_5678, 16, 7));
    assert!(t.non_global);

    let small = second(7 << 5, 0xcdef_1000 | 3 << 4 | 2);
    let t = read(&state, &small).expect("small page");
    assert_eq!((t.pa, t.page_shift, t.domain), (0xcdef_1678, 12, 7));
    assert!(!t.non_global);
}

#[test]
fn short_permissions() {
    let mut state = cpu();
    // AP[2:0] and what privileged and user code may do, without and with the access flag.
    let table = [
        (0b001, Some("rwx/---"), Some("rwx/---")),
        (0b010, Some("rwx/r-x"), None),
        (0b011, Some("rwx/rwx"), Some("rwx/rwx")),
        (0b101, Some("r-x/---"), Some("r-x/---")),
        (0b110, Some("r-x/r-x"), None),
        (0b111, Some("r-x/r-x"), Some("r-x/r-x")),
        (0b000, None, None),
        (0b100, None, None),
    ];
    for (ap, plain, with_flag) in table {
        let (high, low) = (ap >> 2, ap & 3);
        let memories = [
            first(high << 15 | low << 10 | 2),
            second(0, high << 9 | low << 4 | 2),
            second(0, high << 9 | low << 4 | 1),
        ];
        for (memory, level) in memories.iter().zip([1, 2, 2]) {
            state.cp15.sctlr &= !sctlr::AFE;
            match (read(&state, memory), plain) {
                (Ok(t), Some(expected)) => assert_eq!(rights(&t), expected, "AP {ap:03b}"),
                (Err(fault), None) => assert_eq!(fault.kind, FaultKind::Permission),
                (result, _) => panic!("AP {ap:03b}: {result:?}"),
            }
            state.cp15.sctlr |= sctlr::AFE;
            match (read(&state, memory), with_flag) {
                (Ok(t), Some(expected)) => assert_eq!(rights(&t), expected, "AP {ap:03b}"),
                (Err(fault), None) => {
                    assert_eq!((fault.kind, fault.level), (FaultKind::AccessFlag, level));
                }
                (result, _) => panic!("AP {ap:03b}: {result:?}"),
            }
        }
    }
}

#[test]
fn execute_never() {
    let mut state = cpu();
    let all = 3 << 10 | 2;
    let page = 3 << 4;
    let cases = [
        (first(all | 1 << 4), "rw-/rw-", "section XN"),
        (first(all | 1), "rw-/rwx", "section PXN"),
        (second(0, page | 3), "rw-/rw-", "small page XN"),
        (second(1 << 2, page | 2), "rw-/rwx", "page table PXN"),
        (second(0, page | 1 << 15 | 1), "rw-/rw-", "large page XN"),
    ];
    for (memory, expected, what) in &cases {
        let t = read(&state, memory).expect(what);
        assert_eq!(rights(&t), *expected, "{what}");
        let fetch = translate(&state, memory, VA, Access::Execute, true);
        assert_eq!(kind(fetch).0, FaultKind::Permission, "{what}");
    }
    // Writable memory, and memory that User mode can write.
    let privileged_only = first(1 << 10 | 2);
    let read_only = first(1 << 15 | 3 << 10 | 2);
    state.cp15.sctlr |= sctlr::UWXN;
    assert_eq!(rights(&read(&state, &first(all)).expect("UWXN")), "rw-/rwx");
    let t = read(&state, &privileged_only).expect("UWXN");
    assert_eq!(rights(&t), "rwx/---");
    state.cp15.sctlr |= sctlr::WXN;
    assert_eq!(rights(&read(&state, &first(all)).expect("WXN")), "rw-/rw-");
    let t = read(&state, &privileged_only).expect("WXN");
    assert_eq!(rights(&t), "rw-/---");
    let t = read(&state, &read_only).expect("WXN");
    assert_eq!(rights(&t), "r-x/r-x");
}

#[test]
fn domains() {
    let mut state = cpu();
    // No access in the page, XN: a manager doesn't care.
    let section = first(5 << 5 | 1 << 4 | 2);
    let page = second(5 << 5, 3);
    for (field, expected) in [
        (0, FaultKind::Domain),
        (1, FaultKind::Permission),
        (2, FaultKind::Domain),
    ] {
        state.cp15.dacr = field << 10;
        assert_eq!(kind(read(&state, &section)), (expected, 1, 5));
        assert_eq!(kind(read(&state, &page)), (expected, 2, 5));
    }
    state.cp15.dacr = 3 << 10;
    for memory in [&section, &page] {
        assert_eq!(rights(&read(&state, memory).expect("manager")), "rwx/rwx");
    }
    // The access flag is looked at even then.
    state.cp15.sctlr |= sctlr::AFE;
    assert_eq!(kind(read(&state, &section)), (FaultKind::AccessFlag, 1, 5));
    assert_eq!(kind(read(&state, &page)), (FaultKind::AccessFlag, 2, 5));
}

#[test]
fn short_faults() {
    let mut state = cpu();
    assert_eq!(
        kind(read(&state, &first(0))),
        (FaultKind::Translation, 1, 0)
    );
    assert_eq!(
        kind(read(&state, &second(7 << 5, 0))),
        (FaultKind::Translation, 2, 7)
    );
    let user = translate(&state, &first(1 << 10 | 2), VA, Access::Write, false);
    assert!(user.expect_err("a fault").write);
    assert_eq!(kind(user), (FaultKind::Permission, 1, 0));

    /// Nothing above the first-level table answers.
    struct Short(Memory);
    impl PhysMemory for Short {
        fn read_u32(&self, pa: u64) -> Option<u32> {
            (pa < L2).then(|| self.0.read_u32(pa))?
        }
        fn read_u64(&self, _: u64) -> Option<u64> {
            None
        }
    }
    let memory = Short(second(7 << 5, 0));
    let fault = translate(&state, &memory, VA, Access::Read, true);
    assert_eq!(kind(fault), (FaultKind::WalkExternal, 2, 7));
    state.cp15.ttbr0 = 0xffff_8000;
    let fault = translate(&state, &memory, VA, Access::Read, true);
    assert_eq!(kind(fault), (FaultKind::WalkExternal, 1, 0));
}

#[test]
fn two_table_bases() {
    let mut state = cpu();
    let mut memory = Memory::default();
    // TTBR0 has a table of 2^(14 - N) bytes, TTBR1 always a whole one.
    state.cp15.ttbr1 = 0x1_0000;
    for n in 1..=7u32 {
        state.cp15.ttbcr = n;
        state.cp15.ttbr0 = 0x2_0000 | 1u64 << (14 - n) | 0x4a;
        let boundary = 1u32 << (32 - n);
        let last = boundary - 1;
        memory.put(
            (0x2_0000 | 1 << (14 - n)) + u64::from(last >> 20) * 4,
            0x1110_0000 | 3 << 10 | 2,
        );
        memory.put(
            0x1_0000 + u64::from(boundary >> 20) * 4,
            0x2220_0000 | 3 << 10 | 2,
        );
        let low = translate(&state, &memory, last, Access::Read, true).expect("TTBR0");
        assert_eq!(low.pa, 0x111f_ffff, "N = {n}");
        let high = translate(&state, &memory, boundary, Access::Read, true).expect("TTBR1");
        assert_eq!(high.pa, 0x2220_0000, "N = {n}");

        state.cp15.ttbcr = n | ttbcr::PD0;
        let fault = translate(&state, &memory, last, Access::Read, true).expect_err("PD0");
        assert_eq!((fault.kind, fault.level), (FaultKind::Translation, 1));
        assert!(translate(&state, &memory, boundary, Access::Read, true).is_ok());
        state.cp15.ttbcr = n | ttbcr::PD1;
        let fault = translate(&state, &memory, boundary, Access::Read, true).expect_err("PD1");
        assert_eq!((fault.kind, fault.level), (FaultKind::Translation, 1));
        assert!(translate(&state, &memory, last, Access::Read, true).is_ok());
    }
}

#[test]
fn tables_in_the_other_byte_order() {
    let mut state = cpu();
    state.cp15.sctlr |= sctlr::EE;
    let section = first((0xabc0_0000u32 | 3 << 10 | 2).swap_bytes());
    assert_eq!(read(&state, &section).expect("EE").pa, 0xabc4_5678);
    let mut memory = Memory::default();
    state.cp15.ttbcr = ttbcr::EAE;
    memory.put64(L1, (0x40_0000_0000u64 | 1 << 10 | 1).swap_bytes());
    assert_eq!(read(&state, &memory).expect("EE").pa, 0x40_1234_5678);
}

#[test]
fn attributes_by_tex_c_b() {
    let state = cpu();
    let section = |tex: u32, cb: u32| first(tex << 12 | cb << 2 | 1 << 16 | 3 << 10 | 2);
    let attributes = |tex, cb| read(&state, &section(tex, cb)).expect("section").attributes;
    for (tex, cb, mair) in [
        (0, 0, 0x00),
        (0, 1, 0x04),
        (0, 2, 0xaa),
        (0, 3, 0xee),
        (1, 0, 0x44),
        (1, 3, 0xff),
        (2, 0, 0x04),
        // Outer in TEX, inner in C and B.
        (4, 1, 0x4f),
        (5, 2, 0xfa),
        (6, 3, 0xae),
        (7, 0, 0xe4),
    ] {
        let found = attributes(tex, cb);
        assert_eq!(found.mair, mair, "TEX {tex} CB {cb}");
        assert_eq!(found.shareability, Shareability::Outer);
    }
    assert_eq!(attributes(0, 0).memory_type(), MemoryType::StronglyOrdered);
    assert_eq!(attributes(0, 1).memory_type(), MemoryType::Device);
    assert_eq!(attributes(1, 3).memory_type(), MemoryType::Normal);
    // The same bits of a small page.
    let page = second(0, 5 << 6 | 2 << 2 | 3 << 4 | 2);
    assert_eq!(read(&state, &page).expect("page").attributes.mair, 0xfa);
    let page = second(0, 5 << 12 | 2 << 2 | 3 << 4 | 1);
    assert_eq!(read(&state, &page).expect("page").attributes.mair, 0xfa);
}

#[test]
fn attributes_by_remapping() {
    let mut state = cpu();
    state.cp15.sctlr |= sctlr::TRE;
    // What Linux uses.
    state.cp15.mair0 = 0xff0a_81a8;
    state.cp15.mair1 = 0x40e0_40e0;
    // TEX[0]:C:B, what comes out; all with S = 1.
    for (n, mair, shareability) in [
        (0, 0x00, Shareability::Outer),
        (1, 0x44, Shareability::Inner),
        (2, 0xaa, Shareability::Inner),
        (3, 0xee, Shareability::Inner),
        (4, 0x04, Shareability::Outer),
        (7, 0xff, Shareability::Inner),
    ] {
        let tex_cb = (n & 4) << 10 | (n & 3) << 2;
        let section = first(tex_cb | 1 << 16 | 3 << 10 | 2);
        let found = read(&state, &section).expect("section").attributes;
        assert_eq!(
            (found.mair, found.shareability),
            (mair, shareability),
            "{n}"
        );
        // TEX[2:1] are software's.
        let section = first(tex_cb | 3 << 13 | 1 << 16 | 3 << 10 | 2);
        assert_eq!(read(&state, &section).expect("section").attributes, found);
    }
    // S = 0: not shareable, by NS0.
    let section = first(1 << 12 | 3 << 2 | 3 << 10 | 2);
    let found = read(&state, &section).expect("section").attributes;
    assert_eq!((found.mair, found.shareability), (0xff, Shareability::None));
}

fn long_cpu() -> CpuState {
    let mut state = cpu();
    state.cp15.ttbcr = ttbcr::EAE;
    state.cp15.ttbr0 = 0x2000;
    // Attribute 0 strongly-ordered, 1 device, 2 non-cacheable, 3 write-back.
    state.cp15.mair0 = 0xff44_0400;
    state.cp15.mair1 = 0x0000_00aa;
    state
}

const AF: u64 = 1 << 10;
const USER: u64 = 1 << 6;

/// A block at level 1, or tables down to a leaf at `level`; `table` has the attributes of the
/// first-level table descriptor.
fn long_memory(level: u8, table: u64, leaf: u64) -> Memory {
    let mut memory = Memory::default();
    if level == 1 {
        memory.put64(0x2000, leaf);
        return memory;
    }
    memory.put64(0x2000, 0x3000 | table | 3);
    let index = u64::from(VA >> 21 & 511);
    if level == 2 {
        memory.put64(0x3000 + index * 8, leaf);
        return memory;
    }
    memory.put64(0x3000 + index * 8, 0x5000 | 3);
    memory.put64(0x5000 + u64::from(VA >> 12 & 511) * 8, leaf);
    memory
}

#[test]
fn long_leaves() {
    let state = long_cpu();
    for (level, base, descriptor_type, pa, shift) in [
        (1, 0x80_4000_0000u64, 1, 0x80_5234_5678u64, 30),
        (2, 0x80_4020_0000, 1, 0x80_4034_5678, 21),
        (3, 0x80_4020_1000, 3, 0x80_4020_1678, 12),
    ] {
        // nG, inner shareable, attribute 3.
        let leaf = base | 1 << 11 | AF | 3 << 8 | USER | 3 << 2 | descriptor_type;
        let t = read(&state, &long_memory(level, 0, leaf)).expect("leaf");
        assert_eq!((t.pa, t.page_shift, t.domain), (pa, shift, 0));
        assert!(t.non_global);
        assert_eq!(rights(&t), "rwx/rwx");
        assert_eq!(t.attributes.mair, 0xff);
        assert_eq!(t.attributes.shareability, Shareability::Inner);
    }
}

#[test]
fn long_permissions() {
    let state = long_cpu();
    const RO: u64 = 1 << 7;
    const PXN: u64 = 1 << 53;
    const XN: u64 = 1 << 54;
    let table_ro = 1 << 62;
    let table_no_user = 1 << 61;
    let table_xn = 1 << 60;
    let table_pxn = 1 << 59;
    for (table, leaf, expected) in [
        (0, 0, "rwx/---"),
        (0, USER, "rwx/rwx"),
        (0, RO, "r-x/---"),
        (0, RO | USER, "r-x/r-x"),
        (0, USER | XN, "rw-/rw-"),
        (0, USER | PXN, "rw-/rwx"),
        (table_ro, USER, "r-x/r-x"),
        (table_no_user, USER, "rwx/---"),
        (table_ro | table_no_user, USER, "r-x/---"),
        (table_xn, USER, "rw-/rw-"),
        (table_pxn, USER, "rw-/rwx"),
    ] {
        for (level, descriptor_type) in [(2, 1), (3, 3)] {
            let memory = long_memory(level, table, leaf | AF | descriptor_type);
            let t = read(&state, &memory).expect("readable");
            assert_eq!(rights(&t), expected, "{table:#x} {leaf:#x}");
            let fetch = translate(&state, &memory, VA, Access::Execute, false);
            if expected.ends_with('x') {
                assert!(fetch.is_ok());
            } else {
                assert_eq!(kind(fetch), (FaultKind::Permission, level, 0));
            }
        }
    }
}

#[test]
fn long_faults() {
    let mut state = long_cpu();
    for (level, reserved) in [(1, 0), (1, 2), (2, 0), (2, 2), (3, 0), (3, 1), (3, 2)] {
        let memory = long_memory(level, 0, AF | reserved);
        let fault = kind(read(&state, &memory));
        assert_eq!(fault, (FaultKind::Translation, level, 0), "{reserved}");
    }
    for (level, descriptor_type) in [(1, 1), (2, 1), (3, 3)] {
        let memory = long_memory(level, 0, USER | descriptor_type);
        let fault = kind(read(&state, &memory));
        assert_eq!(fault, (FaultKind::AccessFlag, level, 0));
        let memory = long_memory(level, 0, AF | descriptor_type);
        let fault = kind(translate(&state, &memory, VA, Access::Read, false));
        assert_eq!(fault, (FaultKind::Permission, level, 0));
    }
    // Tables where no memory answers.
    let nowhere = 0xff_0000_0000u64;
    let memory = long_memory(1, 0, nowhere | 3);
    assert_eq!(kind(read(&state, &memory)), (FaultKind::WalkExternal, 2, 0));
    let memory = long_memory(2, 0, nowhere | 3);
    assert_eq!(kind(read(&state, &memory)), (FaultKind::WalkExternal, 3, 0));
    state.cp15.ttbr0 = nowhere;
    assert_eq!(kind(read(&state, &memory)), (FaultKind::WalkExternal, 1, 0));
}

#[test]
fn long_regions() {
    let memory = {
        // Both bases lead to a table whose first and last entries are blocks.
        let mut memory = Memory::default();
        for n in 0..512 {
            memory.put64(0x2_0000 + n * 8, 0x10_0000_0000 | n << 21 | AF | 1);
            memory.put64(0x3_0000 + n * 8, 0x20_0000_0000 | n << 21 | AF | 1);
        }
        memory
    };
    let mut state = long_cpu();
    let base = |state: &CpuState, va| {
        translate(state, &memory, va, Access::Read, true).map(|t| (t.pa >> 36, t.page_shift))
    };
    state.cp15.ttbr0 = 0x2_0000;
    state.cp15.ttbr1 = 0x3_0000;

    // T0SZ = T1SZ = 2: a GiB at each end, from the second level; nothing in between.
    state.cp15.ttbcr = ttbcr::EAE | 2 << 16 | 2;
    assert_eq!(base(&state, 0x3fff_ffff), Ok((1, 21)));
    assert_eq!(base(&state, 0xc000_0000), Ok((2, 21)));
    for va in [0x4000_0000, 0xbfff_ffff] {
        let fault = base(&state, va).expect_err("a hole");
        assert_eq!((fault.kind, fault.level), (FaultKind::Translation, 1));
    }
    let t = translate(&state, &memory, 0xc020_0123, Access::Read, true).expect("TTBR1");
    assert_eq!(t.pa, 0x20_0020_0123);

    // T1SZ = 0: TTBR1 has all that TTBR0 leaves; T0SZ = 0: the other way.
    state.cp15.ttbcr = ttbcr::EAE | 1;
    assert_eq!(base(&state, 0x7fff_ffff).map(|t| t.0), Ok(1));
    assert_eq!(base(&state, 0x8000_0000).map(|t| t.0), Ok(2));
    state.cp15.ttbcr = ttbcr::EAE | 1 << 16;
    assert_eq!(base(&state, 0x7fff_ffff).map(|t| t.0), Ok(1));
    assert_eq!(base(&state, 0x8000_0000).map(|t| t.0), Ok(2));

    state.cp15.ttbcr = ttbcr::EAE | ttbcr::EPD0 | 1 << 16;
    assert!(base(&state, 0x7fff_ffff).is_err());
    assert!(base(&state, 0x8000_0000).is_ok());
    state.cp15.ttbcr = ttbcr::EAE | ttbcr::EPD1 | 1 << 16;
    assert!(base(&state, 0x7fff_ffff).is_ok());
    assert!(base(&state, 0x8000_0000).is_err());
}

#[test]
fn long_first_tables_are_as_long_as_their_region() {
    // T0SZ = 5: 128 MiB, 64 entries of the second level, aligned to 512 bytes.
    let mut state = long_cpu();
    let mut memory = Memory::default();
    state.cp15.ttbcr = ttbcr::EAE | 5;
    state.cp15.ttbr0 = 0x1200 | 0x12 << 48;
    memory.put64(0x1200 + 63 * 8, 0x40_0000 | AF | 1);
    let t = translate(&state, &memory, 0x07ff_ffff, Access::Read, true).expect("last block");
    assert_eq!(t.pa, 0x5f_ffff);
    assert_eq!(state.asid(), 0x12);
    let fault = translate(&state, &memory, 0x0800_0000, Access::Read, true);
    assert_eq!(fault.expect_err("outside").kind, FaultKind::Translation);
}

#[test]
fn par_short() {
    let mut state = cpu();
    let par = |state: &CpuState, memory: &Memory, write, privileged| {
        let mut state = state.clone();
        assert_eq!(
            translate_to_par(&mut state, memory, VA, write, privileged),
            Ok(())
        );
        state.cp15.par
    };
    // Write-back, write-allocate, shareable: outer shareable, without TEX remap.
    let section = first(0xabc0_0000 | 1 << 12 | 3 << 2 | 1 << 16 | 1 << 10 | 2);
    let value = par(&state, &section, true, true);
    assert_eq!(value, 0xabc4_5000 | 0x200 | 0x80 | 0x50 | 0x4);
    // User mode may not: a permission fault, first level.
    assert_eq!(par(&state, &section, false, false), 0xd << 1 | 1);
    assert_eq!(par(&state, &first(0), false, true), 5 << 1 | 1);
    let supersection = first(0xbc00_0000 | 1 << 18 | 0xa << 20 | 9 << 5 | 3 << 10 | 2);
    // PA[39:32] goes to bits 23:16.
    let value = par(&state, &supersection, false, true);
    assert_eq!(value, 0xbc9a_0000 | 0x280 | 0x10 | 2);
    state.cp15.sctlr &= !sctlr::M;
    let value = par(&state, &section, false, true);
    assert_eq!(value, u64::from(VA & !0xfff) | 0x280 | 0x10);
}

#[test]
fn par_long() {
    let mut state = long_cpu();
    let memory = long_memory(3, 0, 0x80_4020_1000 | AF | 3 << 8 | 3 << 2 | 3);
    let mut par = |memory: &Memory, write, privileged| {
        assert_eq!(
            translate_to_par(&mut state, memory, VA, write, privileged),
            Ok(())
        );
        state.cp15.par
    };
    assert_eq!(par(&memory, false, true), 0xff00_0080_4020_1000 | 0xb80);
    assert_eq!(par(&memory, false, false), 0x800 | 0xf << 1 | 1);
    let nothing = long_memory(2, 0, 0);
    assert_eq!(par(&nothing, true, true), 0x800 | 0x6 << 1 | 1);
}

#[test]
fn external_aborts_on_the_walk_of_a_translation_operation_are_taken() {
    let mut state = long_cpu();
    state.cp15.par = 0x1234;
    state.cp15.ttbr0 = END;
    let fault = translate_to_par(&mut state, &Memory::default(), VA, false, true);
    let fault = fault.expect_err("no table");
    assert_eq!(fault.kind, FaultKind::WalkExternal);
    assert_eq!(fault.dfsr(true), 0xa15);
    assert_eq!(state.cp15.par, 0x1234);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever tables a guest builds, a walk ends, with a result that keeps its promises.
        #[test]
        fn any_tables(
            sctlr in any::<u32>(), ttbcr in any::<u32>(), ttbr in any::<u64>(), dacr in any::<u32>(),
            mair in any::<u64>(), words in prop::array::uniform4(any::<u64>()), va in any::<u32>(),
            access in prop::sample::select(std::vec![Access::Read, Access::Write, Access::Execute]),
            privileged in any::<bool>(),
        ) {
            /// Each read finds one of four values.
            struct Random([u64; 4]);
            impl PhysMemory for Random {
                fn read_u32(&self, pa: u64) -> Option<u32> {
                    assert!(pa < 1 << 40 && pa.is_multiple_of(4));
                    Some(self.0[(pa >> 2 & 3) as usize] as u32)
                }
                fn read_u64(&self, pa: u64) -> Option<u64> {
                    assert!(pa < 1 << 40 && pa.is_multiple_of(8));
                    Some(self.0[(pa >> 3 & 3) as usize])
                }
            }
            let mut state = cpu();
            state.cp15.sctlr = sctlr | sctlr::M;
            state.cp15.ttbcr = ttbcr;
            state.cp15.ttbr0 = ttbr;
            state.cp15.ttbr1 = ttbr.rotate_left(17);
            state.cp15.dacr = dacr;
            state.cp15.mair0 = mair as u32;
            state.cp15.mair1 = (mair >> 32) as u32;
            let result = translate(&state, &Random(words), va, access, privileged);
            match result {
                Ok(t) => {
                    let offset = (1u64 << t.page_shift) - 1;
                    prop_assert_eq!(t.pa & offset, u64::from(va) & offset);
                    prop_assert!(t.pa < 1 << 40);
                    prop_assert!(t.permissions.allow(access, privileged));
                    // Who asks doesn't change what the page allows.
                    for privileged in [true, false] {
                        for access in [Access::Read, Access::Write, Access::Execute] {
                            let other = translate(&state, &Random(words), va, access, privileged);
                            if t.permissions.allow(access, privileged) {
                                prop_assert_eq!(other, Ok(t));
                            } else {
                                prop_assert!(other.is_err());
                            }
                        }
                    }
                }
                Err(fault) => {
                    prop_assert_eq!(fault.va, va);
                    prop_assert!((1..=3).contains(&fault.level));
                    prop_assert_eq!(fault.write, access == Access::Write);
                }
            }
            let long = state.cp15.long_descriptors();
            prop_assert_eq!(par(&result, long) & 1, u64::from(result.is_err()));
        }
    }
}
