//! Loads and stores.

use super::analysis::Form;
use super::cold::Kind;
use super::flags::shift_constant;
use super::{HostSite, Translator, pinned};
use crate::asm::{Alu, Cc, Gpr, Label, Loc, Mem, Prefix, Sh, Width, Xmm};
use crate::cache::SiteKind;
use crate::context::TABLES;
use crate::moves::Part;
use crate::tables;
use skep_arm::insn::{Data, Decoded, Index, Insn, Offset, Reg, Shift, Size, Transfer};

use Width::{B8, B16, B32, B64};

/// What one access moves.
#[derive(Clone, Copy)]
pub(super) enum Moved {
    /// Memory to a register, extended to 32 bits.
    Load(Size, Gpr),
    /// 64 bits to a register.
    LoadDouble(Gpr),
    /// A register to memory.
    Store(Width, Gpr),
    /// 4 or 8 bytes of a vector register, from or to memory.
    Vector { write: bool, double: bool, reg: Xmm },
    /// All of one.
    Quad { write: bool, reg: Xmm },
}

impl Moved {
    fn write(self) -> bool {
        matches!(
            self,
            Moved::Store(..) | Moved::Vector { write: true, .. } | Moved::Quad { write: true, .. }
        )
    }
}

/// A place in the guest's memory.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// That many bytes from the address in a register: fewer than 64 KiB, in either direction.
    At(Gpr, i32),
    /// At a known address.
    Literal(u32),
}

/// Bytes of the guest's memory that one instruction accesses.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// How many: fewer than 4096.
    pub bytes: u32,
    /// The first one's address is a multiple of this.
    pub align: u8,
    /// It must be one of this where unaligned accesses are not allowed.
    pub element: u8,
    /// One instruction of the host accesses it all.
    pub at_once: bool,
}

impl Span {
    /// It may lie in two pages.
    pub fn may_cross(self) -> bool {
        self.bytes > u32::from(self.align)
    }
}

/// Below this address a place in the window can be named by a displacement.
pub const NEAR: u32 = 0x7000_0000;

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

    /// The place that an instruction accesses; if it writes the address back, ECX holds that. None for
    /// what the interpreter does.
    fn operand_place(&mut self, rn: Reg, offset: Offset, index: Index) -> Option<Place> {
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
                    return Some(Place::Literal(self.literal(offset)));
                }
                match self.loc(rn) {
                    Loc::Reg(base) if index == Index::Pre => {
                        self.asm.lea(Gpr::Rcx, Mem::at(base, offset));
                    }
                    Loc::Reg(base) => return Some(Place::At(base, offset)),
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
                        return Some(Place::At(Gpr::Rcx, 0));
                    }
                    (None, Some(index)) if add && plain => {
                        self.get(Gpr::Rcx, rn);
                        self.asm
                            .lea(Gpr::Rcx, Mem::indexed(Gpr::Rcx, index, amount, 0));
                        return Some(Place::At(Gpr::Rcx, 0));
                    }
                    (Some(base), None) if add && plain => {
                        self.get(Gpr::Rcx, rm);
                        self.asm
                            .lea(Gpr::Rcx, Mem::indexed(base, Gpr::Rcx, amount, 0));
                        return Some(Place::At(Gpr::Rcx, 0));
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
        Some(Place::At(Gpr::Rcx, 0))
    }

    /// Leaves a shifted register in EAX.
    fn offset_value(&mut self, rm: Reg, shift: Shift, amount: u8) {
        self.get(Gpr::Rax, rm);
        shift_constant(self.asm, Gpr::Rax, shift, amount);
    }

    /// Makes one access of `size` bytes, which need not be aligned to more than `least`. Returns the
    /// label that is to stand behind the instruction.
    pub(super) fn single(
        &mut self,
        decoded: &Decoded,
        moved: Moved,
        place: Place,
        (size, least): (u8, u8),
    ) -> Label {
        let done = self.asm.label();
        if self.request.window {
            self.single_in_window(decoded, moved, place, (size, least), done);
            return done;
        }
        let aligned = matches!(place, Place::Literal(va) if va & (u32::from(size) - 1) == 0);
        let address = self.load_address(place);
        let slow = self.slow_at(decoded, done, address);
        match place {
            Place::Literal(va) if aligned && !moved.write() => {
                let entry = Mem::at(TABLES, tables::READ + (va >> 12) as i32 * 8);
                self.asm.load(B64, Gpr::Rdx, entry);
                self.asm.note_displacement(Part::Doubleword);
                self.asm.test(B64, Gpr::Rdx, Gpr::Rdx);
                self.asm.jcc(Cc::E, slow);
            }
            _ => {
                self.check_alignment_at(address, size, size.into(), least, slow);
                self.look_up_in_tables(moved.write(), address, 1, slow);
            }
        }
        self.form = Form::None;
        self.emit(moved, Mem::indexed(Gpr::Rdx, address, 0, 0));
        done
    }

    /// The same in the window. Whatever is mapped there may be accessed at any address, and an access
    /// to two pages finds both or none.
    fn single_in_window(
        &mut self,
        decoded: &Decoded,
        moved: Moved,
        mut place: Place,
        (size, least): (u8, u8),
        done: Label,
    ) {
        let (look_up, back) = (self.asm.label(), self.asm.label());
        if let Place::Literal(va) = place
            && va & u32::from(least - 1) != 0
        {
            place = Place::At(self.load_address(place), 0);
        }
        if let Place::At(base, disp) = place
            && least > 1
        {
            let tested = if disp & i32::from(least - 1) == 0 {
                base
            } else {
                place = Place::At(self.load_address(place), 0);
                Gpr::Rcx
            };
            self.asm.test_imm8(tested, least - 1);
            self.asm.jcc(Cc::Ne, look_up);
        }
        let memory = match place {
            Place::At(base, disp) => Mem::indexed(TABLES, base, 0, tables::WINDOW + disp),
            Place::Literal(va) if va < NEAR => Mem::at(TABLES, tables::WINDOW + va as i32),
            Place::Literal(_) => {
                let address = self.load_address(place);
                place = Place::At(address, 0);
                Mem::indexed(TABLES, address, 0, tables::WINDOW)
            }
        };
        let address = match place {
            Place::At(base, 0) => base,
            _ => Gpr::Rcx,
        };
        let slow = self.slow_at(decoded, done, address);
        self.site(look_up, access_kind(moved.write()));
        self.emit(moved, memory);
        if let Place::Literal(_) = place {
            self.asm.note_displacement(Part::Address);
        }
        self.asm.bind(back);
        let access = Kind::LookUp {
            write: moved.write(),
            place,
            span: Span {
                bytes: size.into(),
                align: size,
                element: size,
                at_once: true,
            },
            least,
            slow,
            moved: Some(moved),
            back,
        };
        self.cold(look_up, access);
        self.form = Form::None;
    }

    /// Notes that code begins here at which the host may raise an exception; it ends with the
    /// instruction.
    pub(super) fn site(&mut self, otherwise: Label, kind: SiteKind) {
        self.buffers.sites.push(HostSite {
            start: self.asm.code.len(),
            end: 0,
            otherwise,
            kind,
        });
    }

    /// The register that holds the address of a place: its base, or ECX.
    pub(super) fn load_address(&mut self, place: Place) -> Gpr {
        match place {
            Place::At(base, 0) => return base,
            Place::At(base, disp) => self.asm.lea(Gpr::Rcx, Mem::at(base, disp)),
            Place::Literal(va) => self.asm.mov_address(Gpr::Rcx, va),
        }
        Gpr::Rcx
    }

    /// The instruction that makes an access.
    pub(super) fn emit(&mut self, moved: Moved, memory: Mem) {
        match moved {
            Moved::Load(Size::Word, to) => self.asm.load(B32, to, memory),
            Moved::Load(Size::Half, to) => self.asm.load_zx(B16, to, memory),
            Moved::Load(Size::Byte, to) => self.asm.load_zx(B8, to, memory),
            Moved::Load(Size::SignedHalf, to) => self.asm.load_sx(B16, to, memory),
            Moved::Load(Size::SignedByte, to) => self.asm.load_sx(B8, to, memory),
            Moved::LoadDouble(to) => self.asm.load(B64, to, memory),
            Moved::Store(width, from) => self.asm.store(width, memory, from),
            Moved::Vector { write, double, reg } => {
                let prefix = if double { Prefix::F2 } else { Prefix::F3 };
                let opcode = if write { 0x11 } else { 0x10 };
                self.asm.sse(prefix, opcode, reg, memory);
            }
            Moved::Quad { write, reg } => {
                let opcode = if write { 0x7f } else { 0x6f };
                self.asm.sse(Prefix::F3, opcode, reg, memory);
            }
        }
    }

    /// The address of what an instruction has at this offset from the PC.
    pub(super) fn literal(&self, offset: i32) -> u32 {
        (self.pc_value() & !3).wrapping_add_signed(offset)
    }

    /// Loads RDX with what is added to ECX for accesses to a span that begins there. Uses EAX.
    pub(super) fn look_up(&mut self, write: bool, span: Span, slow: Label) {
        self.look_up_or(write, span, slow, slow);
    }

    /// The same, with another path for a span in two pages, which `across` makes the access.
    pub(super) fn look_up_or(&mut self, write: bool, span: Span, slow: Label, across: Label) {
        if self.request.window {
            self.reach_window(write, span, slow);
            return;
        }
        self.check_alignment(span.element, span.bytes, 1, slow);
        self.within_page(span, across);
        self.look_up_in_tables(write, Gpr::Rcx, 1, slow);
    }

    /// Loads RDX with the address of the window, and finds all of a span there. What is not found is
    /// looked up aside, if it lies in one page. A load has both pages of two before it sets a register. A
    /// store may have written what is in the first when it is handed to the interpreter because of the
    /// second: the interpreter writes that, too, before it takes an exception.
    fn reach_window(&mut self, write: bool, span: Span, slow: Label) {
        let (look_up, back) = (self.asm.label(), self.asm.label());
        self.site(look_up, access_kind(write));
        self.asm.lea64(Gpr::Rdx, Mem::at(TABLES, tables::WINDOW));
        if span.may_cross() && !write && !span.at_once {
            let last = |size: u32| {
                let disp = span.bytes.saturating_sub(size) as i32;
                Mem::indexed(Gpr::Rdx, Gpr::Rcx, 0, disp)
            };
            if span.bytes < 4 {
                self.asm.load_zx(B8, Gpr::Rax, last(1));
            } else {
                self.asm.load(B32, Gpr::Rax, last(4));
            }
        }
        self.asm.bind(back);
        let access = Kind::LookUp {
            write,
            place: Place::At(Gpr::Rcx, 0),
            span,
            least: 1,
            slow,
            moved: None,
            back,
        };
        self.cold(look_up, access);
        self.form = Form::None;
    }

    /// Goes elsewhere unless a span that begins at the address in ECX lies in one page. Uses EDX.
    fn within_page(&mut self, span: Span, across: Label) {
        if span.may_cross() {
            self.asm
                .lea(Gpr::Rdx, Mem::at(Gpr::Rcx, span.bytes as i32 - 1));
            self.asm.alu(B32, Alu::Xor, Gpr::Rdx, Gpr::Rcx);
            self.asm.shift(B32, Sh::Shr, Gpr::Rdx, 12);
            self.asm.jcc(Cc::Ne, across);
        }
    }

    /// Goes elsewhere unless the address in ECX is a multiple of `align`.
    pub(super) fn test_alignment(&mut self, align: u8, slow: Label) {
        if align > 1 {
            self.asm.test_imm8(Gpr::Rcx, align - 1);
            self.asm.jcc(Cc::Ne, slow);
        }
    }

    /// Loads RDX with what is added to the address in a register, which must be a multiple of
    /// `align`, by the tables: the sum is an address in direct memory. (To fold the test of alignment into
    /// the table's index, by a rotation, was measured: it makes dependent loads slower and others no
    /// faster.)
    pub(super) fn look_up_in_tables(&mut self, write: bool, address: Gpr, align: u8, slow: Label) {
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
    fn check_alignment(&mut self, align: u8, size: u32, least: u8, slow: Label) {
        self.check_alignment_at(Gpr::Rcx, align, size, least, slow);
    }

    /// The same for an address in another register.
    pub(super) fn check_alignment_at(
        &mut self,
        address: Gpr,
        align: u8,
        size: u32,
        least: u8,
        slow: Label,
    ) {
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
    fn write_back(&mut self, rn: Reg, offset: Offset, index: Index) {
        match index {
            Index::Pre => self.set(rn, Gpr::Rcx),
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
        let place = self.operand_place(rn, offset, index)?;
        let to = pinned(rt).unwrap_or(Gpr::Rax);
        let done = self.single(decoded, Moved::Load(size, to), place, (bytes, 1));
        self.write_back(rn, offset, index);
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
        let place = self.operand_place(rn, offset, index)?;
        let from = pinned(rt).unwrap_or_else(|| {
            self.get(Gpr::Rax, rt);
            Gpr::Rax
        });
        let bytes = size_of_access(size);
        let width = match bytes {
            1 => B8,
            2 => B16,
            _ => B32,
        };
        let done = self.single(decoded, Moved::Store(width, from), place, (bytes, 1));
        self.write_back(rn, offset, index);
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
        let place = self.operand_place(rn, offset, index)?;
        let moved = if write {
            // Both words in RAX: an aligned doubleword is stored at once.
            self.get(Gpr::Rax, rt2);
            self.asm.shift(B64, Sh::Shl, Gpr::Rax, 32);
            self.get(Gpr::Rdx, rt);
            self.asm.alu(B64, Alu::Or, Gpr::Rax, Gpr::Rdx);
            Moved::Store(B64, Gpr::Rax)
        } else {
            Moved::LoadDouble(Gpr::Rax)
        };
        let done = self.single(decoded, moved, place, (8, 4));
        if !write {
            self.set(rt, Gpr::Rax);
            self.asm.shift(B64, Sh::Shr, Gpr::Rax, 32);
            self.set(rt2, Gpr::Rax);
        }
        self.write_back(rn, offset, index);
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
        let span = Span {
            bytes: 4 * count as u32,
            align: 4,
            element: 1,
            at_once: false,
        };
        let (across, moved) = (self.asm.label(), self.asm.label());
        self.test_alignment(4, slow);
        if span.may_cross() && !self.request.window {
            let across_pages = Kind::Across {
                write,
                list,
                slow,
                back: moved,
            };
            self.cold(across, across_pages);
        }
        self.look_up_or(write, span, slow, across);
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
        self.asm.bind(moved);
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

/// What an access through the window is.
fn access_kind(write: bool) -> SiteKind {
    if write {
        SiteKind::Store
    } else {
        SiteKind::Load
    }
}
