//! The fixed pieces of code at the start of code memory.

use crate::asm::{Alu, Asm, Cc, Gpr, Loc, Mem, Sh, Width};
use crate::context::{Layout, Leave, PINNED, STATE, Shared, TABLES};
use crate::tables;
use std::mem::offset_of;

/// Addresses of the fixed pieces.
#[derive(Clone, Copy, Default, Debug)]
pub struct Thunks {
    /// `extern "sysv64" fn(state, code, tables) -> Leave`.
    pub enter: u64,
    /// Returns from `enter` with [`Leave::At`]; `pc` is set.
    pub leave: u64,
    /// Returns with [`Leave::Link`].
    pub link: u64,
    /// Returns with [`Leave::Indirect`]; ECX is the target.
    pub indirect: u64,
    /// Returns with [`Leave::Interpret`]; `pc` is set.
    pub interpret: u64,
    /// Has the interpreter execute the instruction whose number is in EAX; ECX is the address that
    /// it accesses. Returns if execution goes on behind it.
    pub slow: u64,
    /// Loads the guest registers in EAX, a bit each, from two pages: words from the address in ECX,
    /// which is a multiple of 4. Returns with the last word in ECX and the host's zero flag clear;
    /// with it set and ECX as it was, if the tables do not have both pages.
    pub load_across: u64,
    /// Stores them, likewise; ECX is anything then.
    pub store_across: u64,
    /// Returns with the host's zero flag set unless the bytes from the address in ECX, one more than EDX
    /// says, lie in one page, and may be accessed there at any address. Changes RDX.
    pub unaligned: u64,
    /// Looks up bytes to be loaded, from the address in ECX: [`wanted`] is in EDX. Returns with RDX what
    /// is added to the address, and the zero flag set if there is nothing.
    pub find_to_load: u64,
    /// The same for bytes to be stored.
    pub find_to_store: u64,
}

/// What is looked up: a number of bytes, which must lie in one page, and must begin at a multiple of
/// `element` (a power of two) where unaligned accesses are not allowed.
pub fn wanted(bytes: u32, element: u8) -> u32 {
    debug_assert!((1..=256).contains(&bytes));
    bytes.wrapping_sub(1) & 0xff | u32::from(element - 1) << 8
}

/// `[STATE + 4 * n]`: R(n) in the architectural state.
pub fn register(n: usize) -> Mem {
    Mem::at(STATE, 4 * n as i32)
}

fn spill(asm: &mut Asm) {
    for (n, host) in PINNED {
        asm.store(Width::B32, register(n), host);
    }
}

fn reload(asm: &mut Asm) {
    for (n, host) in PINNED {
        asm.load(Width::B32, host, register(n));
    }
}

/// The instruction that the helper executed is followed by the next one.
pub const BEHIND: u64 = 0;
/// By what the loop has to find out.
pub const STEP: u64 = 1;

const SAVED: [Gpr; 6] = [Gpr::Rbx, Gpr::Rbp, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15];

/// Assembles the fixed pieces. `helper` is `extern "sysv64" fn(engine, instruction, va) -> u64`: to
/// go on behind the instruction is [`BEHIND`], to leave [`STEP`], all else is the code to go on with.
pub fn assemble(asm: &mut Asm, layout: Layout, engine: u64, helper: u64) -> Thunks {
    let mut thunks = Thunks {
        enter: asm.here(),
        ..Thunks::default()
    };
    for reg in SAVED {
        asm.push(reg);
    }
    // Calls from generated code need an aligned stack, less the return address.
    asm.alu_imm(Width::B64, Alu::Sub, Gpr::Rsp, 8);
    asm.store(Width::B64, STATE, Gpr::Rdi);
    asm.store(Width::B64, Gpr::Rax, Gpr::Rsi);
    asm.store(Width::B64, TABLES, Gpr::Rdx);
    reload(asm);
    asm.jmp_ind(Gpr::Rax);

    let spilled = asm.label();
    thunks.indirect = asm.here();
    let pc = Mem::at(STATE, layout.shared(offset_of!(Shared, pc)));
    asm.store(Width::B32, pc, Gpr::Rcx);
    asm.mov_imm(Gpr::Rax, Leave::Indirect as u32);
    let out = asm.label();
    asm.jmp(out);
    thunks.link = asm.here();
    asm.mov_imm(Gpr::Rax, Leave::Link as u32);
    asm.jmp(out);
    thunks.interpret = asm.here();
    asm.mov_imm(Gpr::Rax, Leave::Interpret as u32);
    asm.jmp(out);
    thunks.leave = asm.here();
    asm.mov_imm(Gpr::Rax, Leave::At as u32);
    asm.bind(out);
    spill(asm);
    asm.bind(spilled);
    asm.alu_imm(Width::B64, Alu::Add, Gpr::Rsp, 8);
    for reg in SAVED.into_iter().rev() {
        asm.pop(reg);
    }
    asm.ret();

    thunks.slow = asm.here();
    spill(asm);
    asm.mov_imm64(Gpr::Rdi, engine);
    asm.store(Width::B32, Gpr::Rsi, Gpr::Rax);
    asm.store(Width::B32, Gpr::Rdx, Gpr::Rcx);
    asm.mov_imm64(Gpr::Rax, helper);
    asm.alu_imm(Width::B64, Alu::Sub, Gpr::Rsp, 8);
    asm.call_ind(Loc::Reg(Gpr::Rax));
    asm.alu_imm(Width::B64, Alu::Add, Gpr::Rsp, 8);
    let (step, behind) = (asm.label(), asm.label());
    asm.alu_imm(Width::B64, Alu::Cmp, Gpr::Rax, STEP as i32);
    asm.jcc(Cc::E, step);
    reload(asm);
    // The instruction may have changed the context.
    let tables = Mem::at(STATE, layout.shared(offset_of!(Shared, tables)));
    asm.load(Width::B64, TABLES, tables);
    asm.test(Width::B64, Gpr::Rax, Gpr::Rax);
    asm.jcc(Cc::E, behind);
    // The return address goes.
    asm.alu_imm(Width::B64, Alu::Add, Gpr::Rsp, 8);
    asm.jmp_ind(Gpr::Rax);
    asm.bind(behind);
    asm.ret();
    asm.bind(step);
    asm.alu_imm(Width::B64, Alu::Add, Gpr::Rsp, 8);
    asm.mov_imm(Gpr::Rax, Leave::Step as u32);
    asm.jmp(spilled);

    thunks.load_across = asm.here();
    across(asm, false);
    thunks.store_across = asm.here();
    across(asm, true);
    let strict = Mem::at(STATE, layout.shared(offset_of!(Shared, strict_alignment)));
    thunks.unaligned = asm.here();
    unaligned(asm, strict);
    thunks.find_to_load = asm.here();
    find(asm, strict, tables::READ);
    thunks.find_to_store = asm.here();
    find(asm, strict, tables::WRITE);
    asm.finish();
    thunks
}

/// [`Thunks::unaligned`].
fn unaligned(asm: &mut Asm, strict: Mem) {
    use Gpr::{Rcx, Rdx};
    let no = asm.label();
    asm.alu_imm(Width::B8, Alu::Cmp, strict, 0);
    asm.jcc(Cc::Ne, no);
    asm.alu(Width::B32, Alu::Add, Rdx, Rcx);
    asm.alu(Width::B32, Alu::Xor, Rdx, Rcx);
    asm.shift(Width::B32, Sh::Shr, Rdx, 12);
    asm.jcc(Cc::Ne, no);
    test_unaligned(asm);
    asm.ret();
    asm.bind(no);
    asm.alu(Width::B32, Alu::Xor, Rdx, Rdx);
    asm.ret();
}

/// Sets the zero flag unless the page that ECX points into allows unaligned accesses. Changes RDX.
fn test_unaligned(asm: &mut Asm) {
    asm.store(Width::B32, Gpr::Rdx, Gpr::Rcx);
    asm.shift(Width::B32, Sh::Shr, Gpr::Rdx, 12);
    let allowed = Mem::indexed(TABLES, Gpr::Rdx, 0, tables::UNALIGNED);
    asm.alu_imm(Width::B8, Alu::Cmp, allowed, 0);
}

/// [`Thunks::find_to_load`], [`Thunks::find_to_store`].
fn find(asm: &mut Asm, strict: Mem, table: i32) {
    use Gpr::{Rax, Rcx, Rdx};
    let (aligned, no, out) = (asm.label(), asm.label(), asm.label());
    // It may hold what is stored.
    asm.push(Rax);
    asm.load_zx(Width::B8, Rax, Rdx);
    asm.alu(Width::B32, Alu::Add, Rax, Rcx);
    asm.alu(Width::B32, Alu::Xor, Rax, Rcx);
    asm.shift(Width::B32, Sh::Shr, Rax, 12);
    asm.jcc(Cc::Ne, no);
    asm.shift(Width::B32, Sh::Shr, Rdx, 8);
    asm.test(Width::B32, Rdx, Rcx);
    asm.jcc(Cc::E, aligned);
    asm.alu_imm(Width::B8, Alu::Cmp, strict, 0);
    asm.jcc(Cc::Ne, no);
    test_unaligned(asm);
    asm.jcc(Cc::E, out);
    asm.bind(aligned);
    asm.store(Width::B32, Rdx, Rcx);
    asm.shift(Width::B32, Sh::Shr, Rdx, 12);
    asm.load(Width::B64, Rdx, Mem::indexed(TABLES, Rdx, 3, table));
    asm.test(Width::B64, Rdx, Rdx);
    asm.bind(out);
    asm.pop(Rax);
    asm.ret();
    asm.bind(no);
    asm.alu(Width::B32, Alu::Xor, Rdx, Rdx);
    asm.jmp(out);
}

/// [`Thunks::load_across`], [`Thunks::store_across`].
fn across(asm: &mut Asm, write: bool) {
    use Gpr::{R8, R9, Rax, Rcx, Rdi, Rdx, Rsi};
    let table = if write { tables::WRITE } else { tables::READ };
    let missing = asm.label();
    // Guest registers' host registers are free from here on.
    spill(asm);
    asm.store(Width::B32, Rdx, Rcx);
    asm.shift(Width::B32, Sh::Shr, Rdx, 12);
    for addend in [R8, R9] {
        let entry = Mem::indexed(TABLES, Rdx, 3, table);
        asm.load(Width::B64, addend, entry);
        asm.test(Width::B64, addend, addend);
        asm.jcc(Cc::E, missing);
        // Behind the last page is the first one.
        asm.alu_imm(Width::B32, Alu::Add, Rdx, 1);
        asm.alu_imm(Width::B32, Alu::And, Rdx, 0xf_ffff);
    }
    let (next, same_page) = (asm.label(), asm.label());
    asm.bind(next);
    asm.tzcnt(Rdx, Rax);
    let register = Mem::indexed(STATE, Rdx, 2, 0);
    let memory = Mem::indexed(R8, Rcx, 0, 0);
    let (from, to) = if write {
        (register, memory)
    } else {
        (memory, register)
    };
    asm.load(Width::B32, Rdi, from);
    asm.store(Width::B32, to, Rdi);
    asm.alu_imm(Width::B32, Alu::Add, Rcx, 4);
    asm.store(Width::B32, Rdx, Rcx);
    asm.alu_imm(Width::B32, Alu::And, Rdx, 0xfff);
    asm.jcc(Cc::Ne, same_page);
    asm.store(Width::B64, R8, R9);
    asm.bind(same_page);
    asm.lea(Rsi, Mem::at(Rax, -1));
    asm.alu(Width::B32, Alu::And, Rax, Rsi);
    asm.jcc(Cc::Ne, next);
    asm.store(Width::B32, Rcx, Rdi);
    asm.alu_imm(Width::B32, Alu::Or, Rax, 1);
    asm.bind(missing);
    reload(asm);
    asm.ret();
}
