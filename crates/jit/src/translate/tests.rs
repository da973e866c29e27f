//! What generated code may reach: the state, the variables, the tables, and guest memory by an
//! addend from the tables, never by any other address.

mod golden;

use super::*;
use crate::cache::{Site, SiteKind};
use crate::moves::{Move, zone};
use crate::tables::{EXECUTE, READ, UNALIGNED, WINDOW, WRITE};
use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, InstructionInfoFactory, MemorySize, Mnemonic,
    OpAccess, OpKind, Register,
};
use skep_arm::decode::{self, Set, rows};
use skep_arm::insn::simd::{Simd, UnaryOp, Wback};

const CPSR: i32 = 0x1000;
const D: i32 = 0x2000;
const SHARED: i32 = 0x10_0000;
/// FPSCR, the system registers that generated code accesses, and the event register.
const REGISTERS: [i32; 12] = [
    0x3000, 0x3010, 0x3020, 0x3030, 0x3040, 0x3050, 0x3060, 0x3070, 0x3080, 0x3090, 0x30a0, 0x30b0,
];
const ORIGIN: u64 = 0x7000_0000;

fn thunks() -> Thunks {
    Thunks {
        enter: ORIGIN - 0x1000,
        leave: ORIGIN - 0xf00,
        link: ORIGIN - 0xe00,
        indirect: ORIGIN - 0xd00,
        interpret: ORIGIN - 0xb00,
        slow: ORIGIN - 0xc00,
        load_across: ORIGIN - 0xa00,
        store_across: ORIGIN - 0x900,
        unaligned: ORIGIN - 0x800,
        find_to_load: ORIGIN - 0x700,
        find_to_store: ORIGIN - 0x600,
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// A page of random instructions of one instruction set.
fn page(random: &mut Random, t32: bool) -> Vec<u8> {
    let rows: Vec<_> = rows()
        .iter()
        .filter(|row| (row.set == Set::A32) != t32)
        .collect();
    let mut page = Vec::new();
    while page.len() < 0x1000 {
        let row = rows[random.next() as usize % rows.len()];
        let mut word = row.word(random.next() as u32);
        match row.set {
            Set::A32 => {
                // Most are not conditional.
                if word >> 28 != 15 && random.next().is_multiple_of(2) {
                    word |= 0xe000_0000;
                    word &= 0xefff_ffff;
                }
                page.extend(word.to_le_bytes());
            }
            Set::T16 => page.extend((word as u16).to_le_bytes()),
            Set::T32 => page.extend(word.rotate_left(16).to_le_bytes()),
        }
    }
    page.truncate(0x1000);
    page
}

/// What the translator reads at an offset; zeros behind the page.
fn halfword_of(page: &[u8], at: usize) -> u16 {
    let byte = |at: usize| u16::from(page.get(at).copied().unwrap_or(0));
    byte(at) | byte(at + 1) << 8
}

fn layout() -> Layout {
    Layout {
        cpsr: CPSR,
        d: D,
        fpscr: REGISTERS[0],
        tpidrurw: REGISTERS[1],
        tpidruro: REGISTERS[2],
        tpidrprw: REGISTERS[3],
        dacr: REGISTERS[4],
        ttbr0: REGISTERS[5],
        contextidr: REGISTERS[6],
        dfsr: REGISTERS[7],
        ifsr: REGISTERS[8],
        dfar: REGISTERS[9],
        ifar: REGISTERS[10],
        event: REGISTERS[11],
        shared: SHARED,
        control: None,
    }
}

/// For a single vCPU, on a host that has everything.
fn request(va: u32, t32: bool) -> Request {
    Request {
        va,
        t32,
        page: 5,
        next_page: None,
        offset: 0,
        alone: true,
        fma: true,
        sse41: true,
        avx2: true,
        count: false,
        window: false,
    }
}

fn translate_into(
    asm: &mut Asm,
    buffers: &mut Buffers,
    halfword: &dyn Fn(usize) -> u16,
    request: Request,
) -> Option<Entries> {
    translate_behind(&mut Vec::new(), asm, buffers, halfword, request)
}

/// Translates a block, behind others that have left these instructions for the interpreter.
fn translate_behind(
    ops: &mut Vec<Op>,
    asm: &mut Asm,
    buffers: &mut Buffers,
    halfword: &dyn Fn(usize) -> u16,
    request: Request,
) -> Option<Entries> {
    asm.restart(ORIGIN + u64::from(request.offset));
    let source = Source { halfword };
    Translator::new(asm, layout(), thunks(), ops, source, request, buffers).translate()
}

fn translate(
    asm: &mut Asm,
    halfword: &dyn Fn(usize) -> u16,
    va: u32,
    t32: bool,
    alone: bool,
) -> Option<Entries> {
    let request = Request {
        alone,
        ..request(va, t32)
    };
    translate_into(asm, &mut Buffers::default(), halfword, request)
}

/// How far from the address in a register an access through the window may be.
const AROUND: std::ops::Range<i32> = WINDOW - 0x1_0000..WINDOW + 0x1_0000;

/// Which table RDX was loaded from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Addend {
    None,
    Load,
    Store,
    /// The window, for both.
    Window,
}

/// Bytes that the largest access has: 16 D registers.
const LARGEST: i32 = 256;

/// Checks every instruction of a block; returns how many accesses to guest memory there were.
fn check(code: &[u8], va: u32) -> usize {
    let mut info = InstructionInfoFactory::new();
    let (mut addend, mut absolute) = (Addend::None, Addend::None);
    // The register whose value RDX's index was made of, and the one that the addend is for.
    let (mut indexed, mut address) = (Register::None, Register::None);
    // RAX holds a byte, extended with zeros.
    let mut byte_in_rax = false;
    // The address that was moved to ECX.
    let mut literal = None::<u32>;
    let (mut accesses, end) = (0, ORIGIN + code.len() as u64);
    let mut decoder = Decoder::with_ip(64, code, ORIGIN, DecoderOptions::NONE);
    while decoder.can_decode() {
        let insn = decoder.decode();
        let place = format!(
            "{:#x} in the block for {va:#x}: {:?}",
            insn.ip(),
            insn.code()
        );
        assert_ne!(insn.code(), Code::INVALID, "{place}");
        match insn.flow_control() {
            FlowControl::Next | FlowControl::Interrupt => {}
            FlowControl::UnconditionalBranch
            | FlowControl::ConditionalBranch
            | FlowControl::Call => {
                let to = insn.near_branch_target();
                let thunks = thunks();
                let known = [
                    thunks.leave,
                    thunks.link,
                    thunks.indirect,
                    thunks.interpret,
                    thunks.slow,
                    thunks.load_across,
                    thunks.store_across,
                    thunks.unaligned,
                    thunks.find_to_load,
                    thunks.find_to_store,
                ];
                assert!(
                    (ORIGIN..end).contains(&to) || known.contains(&to),
                    "{place} to {to:#x}"
                );
            }
            FlowControl::IndirectBranch => {
                assert_eq!(insn.memory_base(), Register::RBP, "{place}");
            }
            other => panic!("{place}: {other:?}"),
        }
        let (base, index) = (insn.memory_base(), insn.memory_index());
        let disp = insn.memory_displacement64() as i32;
        let has_memory = (0..insn.op_count()).any(|op| insn.op_kind(op) == OpKind::Memory);
        let used = info.info(&insn);
        if has_memory && insn.mnemonic() != Mnemonic::Lea {
            let writes = used
                .used_memory()
                .iter()
                .any(|memory| !matches!(memory.access(), OpAccess::Read | OpAccess::CondRead));
            match (base, index) {
                (Register::RBP, Register::None) => {
                    let shared = SHARED..SHARED + size_of::<Shared>() as i32;
                    let within = (0..64).contains(&disp)
                        || disp == CPSR
                        || REGISTERS.contains(&disp)
                        || (D..D + 256).contains(&disp)
                        || shared.contains(&disp);
                    assert!(within, "{place} at {disp:#x}");
                }
                // The jump cache, by an index that was masked.
                (Register::RBP, Register::RDX) => {
                    let jumps = SHARED + offset_of!(Shared, jumps) as i32;
                    assert!([jumps, jumps + 8].contains(&disp), "{place} at {disp:#x}");
                    assert!(!writes && insn.memory_index_scale() == 4, "{place}");
                }
                // Estimates, by a byte.
                (Register::RBP, Register::RAX) => {
                    let tables = [
                        SHARED + offset_of!(Shared, recip_estimates) as i32,
                        SHARED + offset_of!(Shared, rsqrt_estimates) as i32,
                    ];
                    assert!(tables.contains(&disp), "{place} at {disp:#x}");
                    assert!(byte_in_rax && !writes, "{place}");
                    assert_eq!(insn.memory_index_scale(), 1, "{place}");
                }
                // An access through the window, to an address that is known or in a register.
                (Register::R15, Register::None) if disp >= WINDOW => {
                    accesses += 1;
                }
                (Register::R15, index) if AROUND.contains(&disp) => {
                    assert_ne!(index, Register::None, "{place}");
                    assert_eq!(insn.memory_index_scale(), 1, "{place}");
                    accesses += 1;
                }
                // What is added to an address that is known.
                (Register::R15, Register::None) if insn.op0_register() == Register::RDX => {
                    let entry = |va: u32| READ + (va >> 12) as i32 * 8;
                    assert_eq!(Some(disp), literal.map(entry), "{place}");
                    assert!(!writes, "{place}");
                }
                (Register::R15, Register::None) => {
                    assert_eq!(disp, EXECUTE + (va >> 12) as i32 * 4, "{place}");
                    assert!(!writes, "{place}");
                }
                (Register::R15, Register::RDX) => {
                    let scale = if disp == UNALIGNED { 1 } else { 8 };
                    assert!(
                        [READ, WRITE, UNALIGNED].contains(&disp),
                        "{place} at {disp:#x}"
                    );
                    assert_eq!(insn.memory_index_scale(), scale, "{place}");
                    assert!(!writes, "{place}");
                }
                (Register::RDX, index) if index != Register::None => {
                    let wanted = if writes { Addend::Store } else { Addend::Load };
                    if addend != Addend::Window {
                        assert_eq!((addend, address), (wanted, index), "{place}");
                    }
                    assert!((0..LARGEST).contains(&disp), "{place} at {disp:#x}");
                    assert_eq!(insn.memory_index_scale(), 1, "{place}");
                    accesses += 1;
                }
                // An exclusive access: the addend and the address added up.
                (Register::RDX, Register::None) => {
                    let wanted = if writes { Addend::Store } else { Addend::Load };
                    assert_eq!(absolute, wanted, "{place}");
                    assert_eq!(disp, 0, "{place}");
                    accesses += 1;
                }
                // The barrier.
                (Register::RSP, Register::None) => {
                    assert!(disp == 0 && insn.has_lock_prefix(), "{place}");
                }
                // The vCPU's inputs.
                (Register::RAX, Register::None) => {
                    assert!(!writes && disp == 0, "{place}");
                    assert_eq!(insn.memory_size(), MemorySize::UInt32, "{place}");
                }
                _ => panic!("{place}: base {base:?}, index {index:?}"),
            }
        }
        byte_in_rax = insn.code() == Code::Movzx_r32_rm8 && insn.op0_register() == Register::EAX;
        let changes = |register: Register| {
            used.used_registers().iter().any(|used| {
                used.register().full_register() == register
                    && !matches!(used.access(), OpAccess::Read | OpAccess::CondRead)
            })
        };
        for kept in [Register::RBP, Register::R15] {
            assert!(!changes(kept), "{place}");
        }
        if insn.is_call_near() {
            let thunks = thunks();
            // These look up the address in ECX.
            let found = match insn.near_branch_target() {
                to if to == thunks.find_to_load => Addend::Load,
                to if to == thunks.find_to_store => Addend::Store,
                _ => Addend::None,
            };
            (addend, address, absolute) = (found, Register::RCX, Addend::None);
        }
        if changes(Register::RDX) {
            let look_up = insn.mnemonic() == Mnemonic::Mov && base == Register::R15;
            let adds_address = insn.mnemonic() == Mnemonic::Add && insn.op1_register() == address;
            absolute = if adds_address { addend } else { Addend::None };
            let known = look_up && insn.memory_index() == Register::None;
            address = if known { Register::RCX } else { indexed };
            indexed = match insn.mnemonic() {
                Mnemonic::Mov if insn.op1_kind() == OpKind::Register => {
                    insn.op1_register().full_register()
                }
                Mnemonic::Shr => indexed,
                _ => Register::None,
            };
            addend = match disp {
                WINDOW if insn.code() == Code::Lea_r64_m && base == Register::R15 => Addend::Window,
                _ if known => Addend::Load,
                READ if look_up => Addend::Load,
                WRITE if look_up => Addend::Store,
                _ => Addend::None,
            };
        }
        if changes(Register::RCX) {
            let moved = insn.code() == Code::Mov_r32_imm32;
            literal = moved.then(|| insn.immediate32());
        }
        if indexed != Register::None && changes(indexed) {
            indexed = Register::None;
        }
        if address != Register::None && changes(address) {
            address = Register::None;
        }
    }
    accesses
}

#[test]
fn generated_code_reaches_memory_through_the_tables_only() {
    let mut random = Random(1);
    let (mut blocks, mut instructions, mut accesses) = (0, 0, 0);
    let (mut windows, mut calculations) = (0, 0);
    for round in 0..40 {
        let t32 = round % 2 == 1;
        let bytes = page(&mut random, t32);
        let halfword = |at| halfword_of(&bytes, at);
        for at in (0..0x1000).step_by(if t32 { 6 } else { 12 }) {
            let va = (random.next() as u32 & 0xffff_f000) | at;
            let mut asm = Asm::new(0);
            let request = Request {
                alone: round % 4 < 2,
                window: round % 8 < 4,
                ..request(va, t32)
            };
            let mut buffers = Buffers::default();
            let Some(entries) = translate_into(&mut asm, &mut buffers, &halfword, request) else {
                continue;
            };
            // Wherever an access through the window faults or floating point raises an exception, the
            // code is known that is to do it.
            let mut end = entries.checked;
            let sites: Vec<Site> = buffers.sites(&asm).collect();
            calculations += check_calculations(&asm.code, &sites);
            for site in &sites {
                assert!(
                    end <= site.start as usize && site.start < site.end,
                    "{site:?}"
                );
                assert!(site.otherwise as usize >= entries.cold, "{site:?}");
                end = site.start as usize + 1;
                windows += usize::from(site.kind != SiteKind::Float);
            }
            blocks += 1;
            instructions += entries.count;
            accesses += check(&asm.code, va);
        }
    }
    assert!(
        blocks > 10_000 && instructions > 50_000,
        "{blocks}, {instructions}"
    );
    assert!(accesses > 10_000 && windows > 5000, "{accesses}, {windows}");
    assert!(calculations > 1000, "{calculations}");
}

/// Blocks of random instructions are the same as those that are translated at another address, once
/// they are moved there.
#[test]
fn a_block_that_is_moved_is_what_is_translated_there() {
    let mut random = Random(3);
    let (mut moved, mut unmovable, mut fixes) = (0, 0, 0);
    let mut buffers = Buffers::default();
    let (mut here, mut there) = (Asm::new(0), Asm::new(0));
    for round in 0..64 {
        let t32 = round % 2 == 1;
        let bytes = page(&mut random, t32);
        let halfword = |at| halfword_of(&bytes, at);
        for at in (0..0x1000).step_by(if t32 { 6 } else { 12 }) {
            let mut place = || random.next() as u32 & 0xffff_f000 | at;
            let (from, to) = (place(), place());
            if zone(from).is_none() || zone(from) != zone(to) {
                continue;
            }
            let request = |va, offset| Request {
                offset,
                alone: round % 4 < 2,
                window: round % 8 < 4,
                count: round % 16 < 8,
                ..request(va, t32)
            };
            let (mut ops_here, mut ops_there) = (Vec::new(), Vec::new());
            let (a, b) = (request(from, 0x1000), request(to, 0x7_3450));
            let first = translate_behind(&mut ops_here, &mut here, &mut buffers, &halfword, a);
            if first.is_none() || !here.movable {
                unmovable += usize::from(first.is_some());
                continue;
            }
            let ops = ops_here.len() as u32;
            ops_there.clone_from(&ops_here);
            translate_behind(&mut ops_there, &mut there, &mut buffers, &halfword, b)
                .expect("it could be translated elsewhere");
            let by = Move {
                pages: (to >> 12).wrapping_sub(from >> 12),
                host: b.offset - a.offset,
                ops,
            };
            by.apply(&mut here.code, &here.fixes);
            assert!(here.code == there.code, "{from:#x} to {to:#x}, {round}");
            moved += 1;
            fixes += here.fixes.len();
        }
    }
    assert!(moved > 10_000, "{moved}, and {unmovable} not");
    assert!(unmovable < moved / 50, "{unmovable} of {moved}");
    assert!(fixes > moved * 10, "{fixes}");
}

/// Asserts that all that may raise floating-point exceptions is in one of the sites. Returns how many
/// such instructions there are.
fn check_calculations(code: &[u8], sites: &[Site]) -> usize {
    let mut decoder = Decoder::with_ip(64, code, ORIGIN, DecoderOptions::NONE);
    let calculates = |name: &str| {
        let name = name.strip_prefix('v').unwrap_or(name);
        let suffix = ["ss", "sd", "ps", "pd"];
        let operation = [
            "add", "sub", "mul", "div", "sqrt", "min", "max", "cmp", "ucomi", "comi", "fmadd",
            "fmsub", "fnmadd", "fnmsub", "round", "dp", "hadd", "hsub", "addsub",
        ];
        let plain = suffix.iter().any(|suffix| name.ends_with(suffix));
        name.starts_with("cvt") || plain && operation.iter().any(|known| name.starts_with(known))
    };
    let mut count = 0;
    for insn in &mut decoder {
        let name = format!("{:?}", insn.mnemonic()).to_lowercase();
        if calculates(&name) {
            let at = (insn.ip() - ORIGIN) as u32;
            let float = |site: &&Site| site.kind == SiteKind::Float;
            let known = sites.iter().filter(float);
            let known = known
                .into_iter()
                .any(|site| (site.start..site.end).contains(&at));
            assert!(known, "{name} at {at:#x}");
            count += 1;
        }
    }
    count
}

#[test]
fn a_loop_through_the_end_of_the_address_space_can_be_interrupted() {
    // NOPs up to the end of the page.
    let nop = |at: usize| if at.is_multiple_of(4) { 0xf000 } else { 0xe320 };
    let linked = |va: u32| {
        let mut asm = Asm::new(0);
        translate(&mut asm, &nop, va, false, true).expect("it can be read");
        let mut decoder = Decoder::with_ip(64, &asm.code, ORIGIN, DecoderOptions::NONE);
        decoder
            .iter()
            .any(|insn| insn.is_jmp_near() && insn.near_branch_target() == thunks().link)
    };
    // A jump that is linked is not interrupted: none leads backwards.
    assert!(linked(0x1_0ff0));
    assert!(!linked(0xffff_fff0));
}

/// Whether the whole of an instruction is handed to the interpreter.
fn is_handed_over(code: &[u8]) -> bool {
    let mut decoder = Decoder::with_ip(64, code, ORIGIN, DecoderOptions::NONE);
    let mut address_cleared = false;
    for insn in decoder.iter() {
        // There is no address behind which a slow path could begin.
        if address_cleared && insn.is_call_near() && insn.near_branch_target() == thunks().slow {
            return true;
        }
        address_cleared = insn.code() == Code::Xor_r32_rm32
            && insn.op0_register() == Register::ECX
            && insn.op1_register() == Register::ECX;
    }
    false
}

/// What the interpreter executes of an instruction that has a template for most operands.
fn without_template(simd: Simd) -> Option<&'static str> {
    let unfit = |rn: Reg, wback| rn.is_pc() || matches!(wback, Wback::Reg(rm) if rm.is_pc());
    match simd {
        Simd::Vmsr { .. } => Some("VMSR"),
        Simd::Vmrs { .. } => Some("VMRS"),
        Simd::VcvtHalf { .. } | Simd::CvtHalf { .. } => Some("half precision"),
        Simd::Unary {
            op: UnaryOp::Vrecpe | UnaryOp::Vrsqrte,
            ..
        } => Some("estimates of integers"),
        // UNPREDICTABLE.
        Simd::Vldm { rn, .. } | Simd::Vstm { rn, .. } if rn.is_pc() => Some("PC as base"),
        Simd::Multiple { rn, wback, .. }
        | Simd::Lane { rn, wback, .. }
        | Simd::AllLanes { rn, wback, .. }
            if unfit(rn, wback) =>
        {
            Some("PC as base")
        }
        _ => None,
    }
}

#[test]
fn vector_instructions_have_templates() {
    let mut random = Random(2);
    let (mut names, mut count) = (std::collections::BTreeSet::new(), 0);
    for row in rows().iter().filter(|row| row.set == Set::A32) {
        for _ in 0..1000 {
            let mut word = row.word(random.next() as u32);
            if word >> 28 != 15 {
                word = word & 0x0fff_ffff | 0xe000_0000;
            }
            let Insn::Simd(simd) = decode::a32(word).insn else {
                continue;
            };
            let halfword = |at: usize| (word >> (8 * (at & 2))) as u16;
            let mut asm = Asm::new(0);
            // The last instruction of a page is a block.
            translate(&mut asm, &halfword, 0x1_0ffc, false, true).expect("it can be read");
            count += 1;
            if !is_handed_over(&asm.code) {
                continue;
            }
            match without_template(simd) {
                Some(name) => names.insert(name),
                None => panic!("{}: {simd:?}", row.name),
            };
        }
    }
    let expected = [
        "PC as base",
        "VMRS",
        "VMSR",
        "estimates of integers",
        "half precision",
    ];
    assert!(names.into_iter().eq(expected));
    assert!(count > 50_000, "{count}");
}
