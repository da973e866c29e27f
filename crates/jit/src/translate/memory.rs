//! Loads and stores.

use super::analysis::Form;
use super::cold::Kind;
use super::flags::shift_constant;
use super::{Translator, pinned};
use crate::asm::{Alu, Cc, Gpr, Label, Loc, Mem, Sh, Width};
use crate::context::TABLES;
use crate::tables;
use skep_arm::insn::{Data, Decoded, Index, Insn, Offset, Reg, Shift, Size, Transfer};

use Width::{B8, B16, B32, B64};

impl Translator<'_> {
    /// Translates a load or store; None if it is none, or one for the interpreter. True if it
    /// always leaves the block.
    pub(super) fn access(&mut self, decoded: &Decoded) -> Option<bool> {
        if let Some(transfer) = decoded.insn.transfer() {
            let Transfer {
                load,
                rn,
                offset,
                index,
                ..
            } = transfer;
            return match (transfer.data, offset) {
                (Data::One(size, rt), _) if load => self.load(decoded, size, rt, rn, offset, index),
                (Data::One(size, rt), _) => self.store(decoded, size, rt, rn, offset, index),
                (Data::Two(rt, rt2), Offset::Imm(offset)) => {
                    self.double(decoded, !load, [rt, rt2], rn, offset, index)
                }
                (Data::Two(..), Offset::Reg { .. }) => None,
            };
        }
        match decoded.insn {
            Insn::Ldm {
                rn,
                list,
                increment,
                before,
                wback,
                user: false,
            } => self.multiple(decoded, false, rn, list, increment, before, wback),
            Insn::Stm {
                rn,
                list,
                increment,
                before,
                wback,
                user: false,
            } => self.multiple(decoded, true, rn, list, increment, before, wback),
            _ => None,
        }
    }

    /// The register that holds the address: the base's own, or ECX. None for what the interpreter
    /// does.
    fn address(&mut self, rn: Reg, offset: Offset, index: Index) -> Option<Gpr> {
        if matches!(index, Index::PostUnpriv | Index::OffsetUnpriv) {
            return None;
        }
        let writes_back = index != Index::Offset;
        if rn.is_pc() && writes_back {
            return None;
        }
        let offset = if index == Index::Post {
            // The register offset must still be usable afterwards.
            if let Offset::Reg { rm, .. } = offset
                && (rm.is_pc() || rm == rn)
            {
                return None;
            }
            Offset::Imm(0)
        } else {
            offset
        };
        match offset {
            Offset::Imm(offset) => {
                if rn.is_pc() {
                    let va = self.literal(offset);
                    self.asm.mov_imm(Gpr::Rcx, va);
                    return Some(Gpr::Rcx);
                }
                match self.loc(rn) {
                    Loc::Reg(base) if offset != 0 => {
                        self.asm.lea(Gpr::Rcx, Mem::at(base, offset));
                    }
                    Loc::Reg(base) => return Some(base),
                    base => {
                        self.asm.load(B32, Gpr::Rcx, base);
                        if offset != 0 {
                            self.asm.alu_imm(B32, Alu::Add, Gpr::Rcx, offset);
                        }
                    }
                }
            }
            Offset::Reg {
                rm,
                add,
                shift,
                amount,
            } => {
                if rm.is_pc() || rn.is_pc() || shift == Shift::Rrx && amount != 0 {
                    return None;
                }
                let plain = amount == 0 || shift == Shift::Lsl && amount <= 3;
                match (pinned(rn), pinned(rm)) {
                    (Some(base), Some(index)) if add && plain => {
                        self.asm.lea(Gpr::Rcx, Mem::indexed(base, index, amount, 0));
                        return Some(Gpr::Rcx);
                    }
                    (None, Some(index)) if add && plain => {
                        self.get(Gpr::Rcx, rn);
                        self.asm
                            .lea(Gpr::Rcx, Mem::indexed(Gpr::Rcx, index, amount, 0));
                        return Some(Gpr::Rcx);
                    }
                    (Some(base), None) if add && plain => {
                        self.get(Gpr::Rcx, rm);
                        self.asm
                            .lea(Gpr::Rcx, Mem::indexed(base, Gpr::Rcx, amount, 0));
                        return Some(Gpr::Rcx);
                    }
                    _ => {
                        self.offset_value(rm, shift, amount);
                        let base = self.loc(rn);
                        self.asm.load(B32, Gpr::Rcx, base);
                        let op = if add { Alu::Add } else { Alu::Sub };
                        self.asm.alu(B32, op, Gpr::Rcx, Gpr::Rax);
                    }
                }
            }
        }
        self.form = Form::None;
        Some(Gpr::Rcx)
    }

    /// Leaves a shifted register in EAX.
    fn offset_value(&mut self, rm: Reg, shift: Shift, amount: u8) {
        self.get(Gpr::Rax, rm);
        shift_constant(self.asm, Gpr::Rax, shift, amount);
    }

    /// Translates the address in a register, for `size` bytes aligned to `size`, at least to
    /// `least`: the host's address is then RDX plus the register. Returns the label that is to stand
    /// behind the instruction.
    pub(super) fn translate_address(
        &mut self,
        decoded: &Decoded,
        write: bool,
        address: Gpr,
        size: u8,
        least: u8,
    ) -> Label {
        let done = self.asm.label();
        let slow = self.slow_at(decoded, done, address);
        self.check_alignment_at(address, size, size.into(), least, slow);
        self.look_up_aligned(write, address, 1, slow);
        done
    }

    /// The same for a load from a known address, which goes to ECX; not if it is not aligned.
    pub(super) fn translate_literal(
        &mut self,
        decoded: &Decoded,
        va: u32,
        size: u8,
    ) -> Option<Label> {
        if va & (u32::from(size) - 1) != 0 {
            return None;
        }
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        self.asm.mov_imm(Gpr::Rcx, va);
        let entry = Mem::at(TABLES, tables::READ + (va >> 12) as i32 * 8);
        self.asm.load(B64, Gpr::Rdx, entry);
        self.asm.test(B64, Gpr::Rdx, Gpr::Rdx);
        self.asm.jcc(Cc::E, slow);
        self.form = Form::None;
        Some(done)
    }

    /// The address of what an instruction has at this offset from the PC.
    pub(super) fn literal(&self, offset: i32) -> u32 {
        (self.pc_value() & !3).wrapping_add_signed(offset)
    }

    /// Loads RDX with what is added to the address in a register, which must be a multiple of
    /// `align`. (To fold the test of alignment into the table's index, by a rotation, was measured:
    /// it makes dependent loads slower and others no faster.)
    pub(super) fn look_up_aligned(&mut self, write: bool, address: Gpr, align: u8, slow: Label) {
        let table = if write { tables::WRITE } else { tables::READ };
        if align > 1 {
            self.asm.test_imm8(address, align - 1);
            self.asm.jcc(Cc::Ne, slow);
        }
        self.asm.store(B32, Gpr::Rdx, address);
        self.asm.shift(B32, Sh::Shr, Gpr::Rdx, 12);
        self.asm
            .load(B64, Gpr::Rdx, Mem::indexed(TABLES, Gpr::Rdx, 3, table));
        self.asm.test(B64, Gpr::Rdx, Gpr::Rdx);
        self.asm.jcc(Cc::E, slow);
        self.form = Form::None;
    }

    /// Lets an address in ECX that is not aligned pass only if the access can be made at once.
    pub(super) fn check_alignment(&mut self, align: u8, size: u32, least: u8, slow: Label) {
        self.check_alignment_at(Gpr::Rcx, align, size, least, slow);
    }

    /// The same for an address in another register.
    fn check_alignment_at(&mut self, address: Gpr, align: u8, size: u32, least: u8, slow: Label) {
        if align > 1 {
            let (unaligned, back) = (self.asm.label(), self.asm.label());
            self.asm.test_imm8(address, align - 1);
            self.asm.jcc(Cc::Ne, unaligned);
            self.asm.bind(back);
            let access = Kind::Unaligned {
                back,
                slow,
                size,
                least,
                address,
            };
            self.cold(unaligned, access);
        }
    }

    /// Loads RDX with what is added to the address in ECX.
    pub(super) fn look_up(&mut self, write: bool, slow: Label) {
        self.look_up_aligned(write, Gpr::Rcx, 1, slow);
    }

    /// Sets a base register to ECX, which had it or an address below it, plus a number.
    pub(super) fn move_base(&mut self, rn: Reg, by: i32) {
        match pinned(rn) {
            Some(base) => self.asm.lea(base, Mem::at(Gpr::Rcx, by)),
            None => {
                // Sooner done than adding to what is in memory.
                if by != 0 {
                    self.asm.alu_imm(B32, Alu::Add, Gpr::Rcx, by);
                }
                self.set(rn, Gpr::Rcx);
            }
        }
    }

    /// Updates the base register.
    fn write_back(&mut self, rn: Reg, offset: Offset, index: Index, address: Gpr) {
        match index {
            Index::Pre => self.set(rn, address),
            Index::Post => match offset {
                Offset::Imm(offset) => {
                    let base = self.loc(rn);
                    self.asm.alu_imm(B32, Alu::Add, base, offset);
                }
                Offset::Reg {
                    rm,
                    add,
                    shift,
                    amount,
                } => {
                    // EAX may hold what was loaded.
                    self.asm.store(B32, Gpr::Rdx, Gpr::Rax);
                    self.offset_value(rm, shift, amount);
                    let base = self.loc(rn);
                    let op = if add { Alu::Add } else { Alu::Sub };
                    self.asm.alu_to(B32, op, base, Gpr::Rax);
                    self.asm.store(B32, Gpr::Rax, Gpr::Rdx);
                }
            },
            _ => {}
        }
    }

    fn load(
        &mut self,
        decoded: &Decoded,
        size: Size,
        rt: Reg,
        rn: Reg,
        offset: Offset,
        index: Index,
    ) -> Option<bool> {
        if index != Index::Offset && rt == rn || rt.is_pc() && size != Size::Word {
            return None;
        }
        if let Offset::Reg { rm, shift, .. } = offset
            && index == Index::Post
            && (rm == rt || shift == Shift::Rrx)
        {
            return None;
        }
        let bytes = size_of_access(size);
        let literal = match offset {
            Offset::Imm(offset) if rn.is_pc() && index == Index::Offset => {
                self.translate_literal(decoded, self.literal(offset), bytes)
            }
            _ => None,
        };
        let (address, done) = match literal {
            Some(done) => (Gpr::Rcx, done),
            None => {
                let address = self.address(rn, offset, index)?;
                let done = self.translate_address(decoded, false, address, bytes, 1);
                (address, done)
            }
        };
        let from = Mem::indexed(Gpr::Rdx, address, 0, 0);
        let to = pinned(rt).unwrap_or(Gpr::Rax);
        match size {
            Size::Word => self.asm.load(B32, to, from),
            Size::Half => self.asm.load_zx(B16, to, from),
            Size::Byte => self.asm.load_zx(B8, to, from),
            Size::SignedHalf => self.asm.load_sx(B16, to, from),
            Size::SignedByte => self.asm.load_sx(B8, to, from),
        }
        self.write_back(rn, offset, index, address);
        if rt.is_pc() {
            self.asm.store(B32, Gpr::Rcx, Gpr::Rax);
            self.jump_to_ecx(true);
            // The interpreter leaves by itself.
            self.asm.bind(done);
            return Some(true);
        }
        self.set(rt, to);
        self.asm.bind(done);
        Some(false)
    }

    fn store(
        &mut self,
        decoded: &Decoded,
        size: Size,
        rt: Reg,
        rn: Reg,
        offset: Offset,
        index: Index,
    ) -> Option<bool> {
        if index != Index::Offset && rt == rn || rt.is_pc() {
            return None;
        }
        if let Offset::Reg { shift, .. } = offset
            && index == Index::Post
            && shift == Shift::Rrx
        {
            return None;
        }
        let address = self.address(rn, offset, index)?;
        let bytes = size_of_access(size);
        let done = self.translate_address(decoded, true, address, bytes, 1);
        let from = pinned(rt).unwrap_or_else(|| {
            self.get(Gpr::Rax, rt);
            Gpr::Rax
        });
        let width = match bytes {
            1 => B8,
            2 => B16,
            _ => B32,
        };
        self.asm
            .store(width, Mem::indexed(Gpr::Rdx, address, 0, 0), from);
        self.write_back(rn, offset, index, address);
        self.asm.bind(done);
        Some(false)
    }

    fn double(
        &mut self,
        decoded: &Decoded,
        write: bool,
        [rt, rt2]: [Reg; 2],
        rn: Reg,
        offset: i32,
        index: Index,
    ) -> Option<bool> {
        let written_back = index != Index::Offset && (rt == rn || rt2 == rn);
        if rt.is_pc() || rt2.is_pc() || written_back {
            return None;
        }
        let offset = Offset::Imm(offset);
        let address = self.address(rn, offset, index)?;
        if write {
            // Both words in RAX: an aligned doubleword is stored at once.
            self.get(Gpr::Rax, rt2);
            self.asm.shift(B64, Sh::Shl, Gpr::Rax, 32);
            self.get(Gpr::Rdx, rt);
            self.asm.alu(B64, Alu::Or, Gpr::Rax, Gpr::Rdx);
        }
        let done = self.translate_address(decoded, write, address, 8, 4);
        let memory = Mem::indexed(Gpr::Rdx, address, 0, 0);
        if write {
            self.asm.store(B64, memory, Gpr::Rax);
        } else {
            self.asm.load(B64, Gpr::Rax, memory);
            self.set(rt, Gpr::Rax);
            self.asm.shift(B64, Sh::Shr, Gpr::Rax, 32);
            self.set(rt2, Gpr::Rax);
        }
        self.write_back(rn, offset, index, address);
        self.asm.bind(done);
        Some(false)
    }

    #[allow(clippy::too_many_arguments)]
    fn multiple(
        &mut self,
        decoded: &Decoded,
        write: bool,
        rn: Reg,
        list: u16,
        increment: bool,
        before: bool,
        wback: bool,
    ) -> Option<bool> {
        let count = list.count_ones() as i32;
        let in_list = list >> rn.index() & 1 != 0;
        if rn.is_pc() || count == 0 || wback && in_list || write && list & 0x8000 != 0 {
            return None;
        }
        let first = match (increment, before) {
            (true, false) => 0,
            (true, true) => 4,
            (false, false) => 4 - 4 * count,
            (false, true) => -4 * count,
        };
        // The base may be among what is loaded.
        self.get(Gpr::Rcx, rn);
        if first != 0 {
            self.asm.alu_imm(B32, Alu::Add, Gpr::Rcx, first);
        }
        let done = self.asm.label();
        let slow = self.slow(decoded, done);
        if count > 1 {
            // All of it lies in one page.
            self.asm.lea(Gpr::Rdx, Mem::at(Gpr::Rcx, 4 * (count - 1)));
            self.asm.alu(B32, Alu::Xor, Gpr::Rdx, Gpr::Rcx);
            self.asm.shift(B32, Sh::Shr, Gpr::Rdx, 12);
            self.asm.jcc(Cc::Ne, slow);
        }
        self.look_up_aligned(write, Gpr::Rcx, 4, slow);
        let mut disp = 0;
        for n in 0..15 {
            if list >> n & 1 == 0 {
                continue;
            }
            let reg = Reg::new(n);
            let memory = Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, disp);
            let host = pinned(reg).unwrap_or(Gpr::Rax);
            if write {
                self.get(host, reg);
                self.asm.store(B32, memory, host);
            } else {
                self.asm.load(B32, host, memory);
                self.set(reg, host);
            }
            disp += 4;
        }
        let to_pc = list & 0x8000 != 0;
        if to_pc {
            self.asm
                .load(B32, Gpr::Rcx, Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, disp));
        }
        if wback {
            let base = self.loc(rn);
            let by = if increment { 4 * count } else { -4 * count };
            self.asm.alu_imm(B32, Alu::Add, base, by);
        }
        if to_pc {
            self.jump_to_ecx(true);
        }
        self.asm.bind(done);
        Some(to_pc)
    }
}

fn size_of_access(size: Size) -> u8 {
    match size {
        Size::Byte | Size::SignedByte => 1,
        Size::Half | Size::SignedHalf => 2,
        Size::Word => 4,
    }
}
