//! Loads and stores: the fast path through the remembered translations, and the slow one that
//! walks tables, splits unaligned accesses, reaches devices, and faults.

use crate::cluster::Request;
use crate::code::PAGE;
use crate::core::{Core, Raised};
use crate::machine::{DirectMemory, Machine};
use crate::tlb::{Context, ContextKey, Page};
use skep_arm::cp15::Effect;
use skep_arm::exception::{Exception, Fault, FaultKind};
use skep_arm::mmu::{self, Access, PhysMemory, Translation};
use skep_arm::state::psr;

/// Where a page of guest-virtual addresses leads.
enum Target {
    /// Offset in direct memory.
    Memory(usize),
    /// A physical address of a device.
    Device(u64),
}

/// Physical memory as a table walk reads it.
struct WalkMemory<'a, M: Machine>(&'a M);

impl<M: Machine> PhysMemory for WalkMemory<'_, M> {
    fn read_u32(&self, pa: u64) -> Option<u32> {
        let direct = self.0.direct(pa)?;
        Some(
            self.0
                .memory()
                .load32(direct.offset + (pa & 0xffc) as usize),
        )
    }

    fn read_u64(&self, pa: u64) -> Option<u64> {
        let direct = self.0.direct(pa)?;
        Some(
            self.0
                .memory()
                .load64(direct.offset + (pa & 0xff8) as usize),
        )
    }
}

impl<M: Machine> Core<M> {
    /// Looks up the contexts for the state as it stands. To be called after every change of mode,
    /// ASID, domain access control or data endianness.
    pub fn context_changed(&mut self) {
        let key = self.context_key(self.state.privileged());
        self.tlb.enter(key, self.state.cpsr & psr::E != 0);
    }

    fn context_key(&self, privileged: bool) -> ContextKey {
        ContextKey {
            asid: self.state.asid(),
            dacr: self.state.cp15.dacr,
            privileged,
        }
    }

    /// Loads `size` (1, 2, 4, 8) bytes, zero-extended, with the mode's privilege. Unaligned is
    /// allowed where SCTLR.A and the memory type allow it.
    #[inline(always)]
    pub fn load(&mut self, va: u32, size: u32) -> Result<u64, Raised> {
        match self.tlb.read(self.tlb.data, va, size) {
            Some(offset) => Ok(self.load_memory(offset, size)),
            None => self.load_slow(va, size, size.min(4), self.state.privileged()),
        }
    }

    /// Stores `size` bytes.
    #[inline(always)]
    pub fn store(&mut self, va: u32, size: u32, value: u64) -> Result<(), Raised> {
        match self.tlb.write(self.tlb.data, va, size) {
            Some(offset) => {
                self.store_memory(offset, size, value);
                Ok(())
            }
            None => self.store_slow(va, size, size.min(4), value, self.state.privileged()),
        }
    }

    /// Faults unless `va` is a multiple of `align`.
    #[inline(always)]
    pub(crate) fn check_alignment(
        &mut self,
        va: u32,
        align: u32,
        write: bool,
    ) -> Result<(), Raised> {
        if va & (align - 1) == 0 {
            Ok(())
        } else {
            Err(self.alignment_fault(va, write))
        }
    }

    #[inline(always)]
    fn load_memory(&self, offset: usize, size: u32) -> u64 {
        let memory = self.machine.memory();
        match size {
            1 => u64::from(memory.load8(offset)),
            2 => u64::from(memory.load16(offset)),
            4 => u64::from(memory.load32(offset)),
            _ => memory.load64(offset),
        }
    }

    #[inline(always)]
    fn store_memory(&self, offset: usize, size: u32, value: u64) {
        let memory = self.machine.memory();
        match size {
            1 => memory.store8(offset, value as u8),
            2 => memory.store16(offset, value as u16),
            4 => memory.store32(offset, value as u32),
            _ => memory.store64(offset, value),
        }
        let code = self.machine.code();
        if code.holds_code(offset) {
            code.written(offset, size as usize);
        }
    }

    /// A load that is unaligned, big-endian, of a device, unprivileged, or not remembered.
    #[cold]
    #[inline(never)]
    pub(crate) fn load_slow(
        &mut self,
        va: u32,
        size: u32,
        element: u32,
        privileged: bool,
    ) -> Result<u64, Raised> {
        let mut value = 0;
        let mut at = 0;
        // A doubleword of two words is two word accesses, each aligned or not by itself.
        let unaligned = va & (element - 1) != 0;
        let part = if unaligned { 1 } else { element };
        if unaligned && self.state.strict_alignment() {
            return Err(self.alignment_fault(va, false));
        }
        if va & (size - 1) == 0 && size > part {
            // Aligned as a whole: one single-copy atomic access.
            return self
                .load_part(va, size, privileged, false)
                .map(|raw| self.order(raw, size, element));
        }
        while at < size {
            let raw = self.load_part(va.wrapping_add(at), part, privileged, unaligned)?;
            value |= raw << (8 * at);
            at += part;
        }
        Ok(self.order(value, size, element))
    }

    /// As [`Core::load_slow`], for a store.
    #[cold]
    #[inline(never)]
    pub(crate) fn store_slow(
        &mut self,
        va: u32,
        size: u32,
        element: u32,
        value: u64,
        privileged: bool,
    ) -> Result<(), Raised> {
        let value = self.order(value, size, element);
        let unaligned = va & (element - 1) != 0;
        let part = if unaligned { 1 } else { element };
        if unaligned && self.state.strict_alignment() {
            return Err(self.alignment_fault(va, true));
        }
        if va & (size - 1) == 0 && size > part {
            return self.store_part(va, size, value, privileged, false);
        }
        // Nothing is written unless all of it can be.
        let last = va.wrapping_add(size - 1);
        if (va ^ last) & !0xfff != 0 {
            self.locate(va, Access::Write, privileged, unaligned)?;
            self.locate(last & !0xfff, Access::Write, privileged, unaligned)?;
        }
        let mut at = 0;
        while at < size {
            self.store_part(
                va.wrapping_add(at),
                part,
                value >> (8 * at),
                privileged,
                unaligned,
            )?;
            at += part;
        }
        Ok(())
    }

    /// Applies CPSR.E: reverses the bytes of each element.
    fn order(&self, value: u64, size: u32, element: u32) -> u64 {
        if self.state.cpsr & psr::E == 0 {
            return value;
        }
        match (size, element) {
            (8, 4) => {
                let low = (value as u32).swap_bytes();
                let high = ((value >> 32) as u32).swap_bytes();
                u64::from(high) << 32 | u64::from(low)
            }
            _ => value.swap_bytes() >> (64 - 8 * size),
        }
    }

    fn load_part(
        &mut self,
        va: u32,
        size: u32,
        privileged: bool,
        unaligned: bool,
    ) -> Result<u64, Raised> {
        match self.locate(va, Access::Read, privileged, unaligned)? {
            Target::Memory(offset) => Ok(self.load_memory(offset, size)),
            Target::Device(pa) => {
                let index = usize::from(self.state.index);
                match self.machine.mmio_read(index, pa, size as u8) {
                    Ok(value) => Ok(value & (u64::MAX >> (64 - 8 * size))),
                    Err(_) => Err(self.external_abort(va, false)),
                }
            }
        }
    }

    fn store_part(
        &mut self,
        va: u32,
        size: u32,
        value: u64,
        privileged: bool,
        unaligned: bool,
    ) -> Result<(), Raised> {
        match self.locate(va, Access::Write, privileged, unaligned)? {
            Target::Memory(offset) => self.store_memory(offset, size, value),
            Target::Device(pa) => {
                let index = usize::from(self.state.index);
                let value = value & (u64::MAX >> (64 - 8 * size));
                if self
                    .machine
                    .mmio_write(index, pa, size as u8, value)
                    .is_err()
                {
                    return Err(self.external_abort(va, true));
                }
            }
        }
        Ok(())
    }

    /// Translates one byte's address, remembering the page.
    fn locate(
        &mut self,
        va: u32,
        access: Access,
        privileged: bool,
        unaligned: bool,
    ) -> Result<Target, Raised> {
        let context = if privileged == self.state.privileged() {
            self.tlb.fetch
        } else {
            self.tlb.context(self.context_key(privileged))
        };
        let remembered = match access {
            Access::Read => self.tlb.read(context, va, 1),
            Access::Write => self.tlb.write(context, va, 1),
            Access::Execute => self.tlb.execute(context, va),
        };
        if let Some(offset) = remembered
            && (!unaligned || self.tlb.allows_unaligned(context, va))
        {
            return Ok(Target::Memory(offset));
        }
        let translation = match self.walk(va, access, privileged) {
            Ok(translation) => translation,
            Err(fault) => return Err(self.raise(Exception::DataAbort(fault))),
        };
        if unaligned && !translation.attributes.memory_type().allows_unaligned() {
            return Err(self.alignment_fault(va, access == Access::Write));
        }
        let Some(direct) = self.machine.direct(translation.pa) else {
            return Ok(Target::Device(translation.pa));
        };
        self.remember(context, va, privileged, &translation, direct);
        if access == Access::Write && !direct.writable {
            return Ok(Target::Device(translation.pa));
        }
        Ok(Target::Memory(
            direct.offset + (translation.pa & 0xfff) as usize,
        ))
    }

    fn page(privileged: bool, translation: &Translation, direct: crate::Direct) -> Page {
        let allowed = |access| translation.permissions.allow(access, privileged);
        Page {
            offset: direct.offset,
            read: allowed(Access::Read),
            write: allowed(Access::Write) && direct.writable,
            execute: allowed(Access::Execute),
            mapping_shift: translation.page_shift,
            unaligned: translation.attributes.memory_type().allows_unaligned(),
            non_global: translation.non_global,
        }
    }

    fn remember(
        &mut self,
        context: Context,
        va: u32,
        privileged: bool,
        translation: &Translation,
        direct: crate::Direct,
    ) {
        let page = Self::page(privileged, translation, direct);
        if context.takes(&page) {
            self.tlb.insert(context, va, page);
        } else {
            // Privileged code touches what is a process's own.
            let key = self.context_key(privileged);
            self.tlb.part(key);
            self.context_changed();
            let context = self.tlb.context(key);
            self.tlb.insert(context, va, page);
        }
    }

    /// Walks the translation tables for the page that holds `va`, and remembers it; None if the
    /// mode's own loads may not read it, find no memory there, or the current context cannot have it.
    pub fn find_page(&mut self, va: u32) -> Option<Page> {
        let privileged = self.state.privileged();
        let context = self.tlb.fetch;
        let translation = self.walk(va, Access::Read, privileged).ok()?;
        let direct = self.machine.direct(translation.pa)?;
        let page = Self::page(privileged, &translation, direct);
        context.takes(&page).then(|| {
            self.tlb.insert(context, va, page);
            page
        })
    }

    fn walk(&mut self, va: u32, access: Access, privileged: bool) -> Result<Translation, Fault> {
        self.stats.walks += 1;
        mmu::translate(
            &self.state,
            &WalkMemory(&*self.machine),
            va,
            access,
            privileged,
        )
    }

    /// Offset in direct memory of the instruction at `va`.
    #[inline(always)]
    pub fn locate_code(&mut self, va: u32) -> Result<usize, Raised> {
        match self.tlb.execute(self.tlb.fetch, va) {
            Some(offset) => Ok(offset),
            None => self.locate_code_slow(va),
        }
    }

    #[cold]
    #[inline(never)]
    fn locate_code_slow(&mut self, va: u32) -> Result<usize, Raised> {
        let privileged = self.state.privileged();
        let fault = match self.walk(va, Access::Execute, privileged) {
            Ok(translation) => match self.machine.direct(translation.pa) {
                Some(direct) => {
                    self.remember(self.tlb.fetch, va, privileged, &translation, direct);
                    return Ok(direct.offset + (translation.pa & 0xfff) as usize);
                }
                // No instruction is fetched from a device.
                None => external(va, false),
            },
            Err(fault) => fault,
        };
        Err(self.raise(Exception::PrefetchAbort(fault)))
    }

    #[cold]
    fn alignment_fault(&mut self, va: u32, write: bool) -> Raised {
        let fault = Fault {
            kind: FaultKind::Alignment,
            va,
            level: 0,
            domain: 0,
            write,
            maintenance: false,
        };
        self.raise(Exception::DataAbort(fault))
    }

    #[cold]
    fn external_abort(&mut self, va: u32, write: bool) -> Raised {
        self.raise(Exception::DataAbort(external(va, write)))
    }

    /// LDREX of `size` bytes: reads, and makes the reservation. A doubleword is one access.
    pub(crate) fn load_exclusive(&mut self, va: u32, size: u32) -> Result<u64, Raised> {
        self.check_alignment(va, size, false)?;
        let privileged = self.state.privileged();
        let (pa, value) = match self.locate(va, Access::Read, privileged, false)? {
            Target::Memory(offset) => (
                self.machine.physical(offset),
                self.load_memory(offset, size),
            ),
            Target::Device(_) => return Err(self.external_abort(va, false)),
        };
        self.state.exclusive = Some(skep_arm::state::Exclusive {
            pa,
            value,
            size: size as u8,
        });
        Ok(self.order(value, size, size.min(4)))
    }

    /// STREX of `size` bytes: true if it stored. The store happens if the reservation is for this
    /// address and memory still holds what the LDREX read.
    pub(crate) fn store_exclusive(
        &mut self,
        va: u32,
        size: u32,
        value: u64,
    ) -> Result<bool, Raised> {
        self.check_alignment(va, size, true)?;
        let privileged = self.state.privileged();
        let Target::Memory(offset) = self.locate(va, Access::Write, privileged, false)? else {
            return Err(self.external_abort(va, true));
        };
        let Some(reservation) = self.state.exclusive.take() else {
            return Ok(false);
        };
        if reservation.pa != self.machine.physical(offset) || u32::from(reservation.size) != size {
            return Ok(false);
        }
        let value = self.order(value, size, size.min(4));
        let memory = self.machine.memory();
        let stored = memory.compare_exchange(offset, size as u8, reservation.value, value);
        if stored && self.machine.code().holds_code(offset) {
            self.machine.code().written(offset, size as usize);
        }
        Ok(stored)
    }

    /// SWP: an atomic exchange.
    pub(crate) fn swap(&mut self, va: u32, size: u32, value: u32) -> Result<u32, Raised> {
        self.check_alignment(va, size, true)?;
        let privileged = self.state.privileged();
        self.locate(va, Access::Read, privileged, false)?;
        let Target::Memory(offset) = self.locate(va, Access::Write, privileged, false)? else {
            return Err(self.external_abort(va, true));
        };
        let new = self.order(u64::from(value), size, size);
        loop {
            let old = self.load_memory(offset, size);
            if self
                .machine
                .memory()
                .compare_exchange(offset, size as u8, old, new)
            {
                if self.machine.code().holds_code(offset) {
                    self.machine.code().written(offset, size as usize);
                }
                return Ok(self.order(old, size, size) as u32);
            }
        }
    }

    /// What a system register write asks for, beyond the register.
    pub(crate) fn apply(&mut self, effect: Effect, len: u8) -> Result<crate::core::Step, Raised> {
        use crate::Exit;
        match effect {
            Effect::None => return Ok(crate::core::Step::Next),
            Effect::TranslationChanged => {
                self.tlb.flush();
                self.context_changed();
            }
            Effect::ContextChanged => self.context_changed(),
            Effect::Tlb {
                op,
                inner_shareable,
            } => {
                let context = self.tlb.fetch;
                self.tlb.maintain(op);
                if inner_shareable && !self.cluster.alone() {
                    self.log_wanted = self
                        .cluster
                        .broadcast(usize::from(self.state.index), Request::Tlb(op));
                }
                // A block goes on if this was about another page than its own: fetches from its page, which
                // alone the operation might change before an ISB (manual B3.10.1), find what they did before.
                if self.tlb.fetch == context
                    && op.va().is_some_and(|va| (va ^ self.pc) & !0xfff != 0)
                {
                    return Ok(crate::core::Step::Next);
                }
            }
            Effect::CacheOp => return Ok(crate::core::Step::Next),
            // Decoded code follows memory: only the block under way may be old.
            Effect::InstructionCache => {}
            Effect::Barrier(op) => return Ok(self.barrier(op, len)),
            Effect::CoprocessorAccess => {}
            Effect::Wfi => return Ok(self.wait_for_interrupt(len)),
            Effect::TranslateAddress {
                va,
                write,
                privileged,
            } => {
                let machine = self.machine.clone();
                mmu::translate_to_par(
                    &mut self.state,
                    &WalkMemory(&*machine),
                    va,
                    write,
                    privileged,
                )
                .map_err(|fault| self.raise(Exception::DataAbort(fault)))?;
            }
            Effect::TimerChanged | Effect::PmuChanged => {
                return Ok(self.exit_after(len, Exit::Timer));
            }
        }
        Ok(self.resync(len))
    }

    /// DSB: completes when all vCPUs have done the TLB maintenance that this one broadcast.
    pub(crate) fn complete_maintenance(&mut self, len: u8) -> crate::core::Step {
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        if self.log_wanted == 0 {
            return crate::core::Step::Next;
        }
        // Others may wait for this one at the same time.
        self.drain_maintenance();
        for _ in 0..200 {
            if self
                .cluster
                .acknowledged(usize::from(self.state.index), self.log_wanted)
            {
                self.log_wanted = 0;
                return self.resync(len);
            }
            core::hint::spin_loop();
        }
        // Not complete: leave, with the DSB as the next instruction.
        self.next_pc = self.pc;
        self.exit = Some(crate::Exit::Yield);
        crate::core::Step::Exit
    }

    /// Notes that code at an offset of direct memory is about to be decoded, and returns the
    /// generation to keep with it. Stores to its page are noticed from then on, whichever vCPU they
    /// come from; other lines of the page need no more than [`crate::code::CodeMap::mark`].
    pub fn begin_code(&mut self, offset: usize) -> u32 {
        let machine = self.machine.clone();
        let code = machine.code();
        let generation = code.mark(offset, 1);
        if !code.told(offset, generation) {
            let page = (offset / PAGE) as u32;
            self.tlb.protect(page);
            if !self.cluster.alone() {
                let index = usize::from(self.state.index);
                let position = self.cluster.broadcast(index, Request::Protect(page));
                while !self.cluster.acknowledged(index, position) {
                    // The others may be waiting for this one in the same way.
                    self.drain_maintenance();
                    machine.yield_host();
                }
            }
            code.set_told(offset, generation);
        }
        generation
    }

    /// Does what other vCPUs asked for.
    pub fn drain_maintenance(&mut self) {
        let head = self.cluster.head();
        if self.log_seen == head {
            return;
        }
        if head - self.log_seen > 64 {
            self.tlb.flush_all();
        } else {
            for position in self.log_seen..head {
                match self.cluster.entry(position) {
                    Some(Request::Tlb(op)) => self.tlb.maintain(op),
                    Some(Request::Protect(page)) => self.tlb.protect(page),
                    // Overwritten, or being written: it may be anything.
                    None => self.tlb.flush_all(),
                }
            }
        }
        self.log_seen = head;
        self.cluster
            .acknowledge(usize::from(self.state.index), head);
    }

    /// WFI.
    pub(crate) fn wait_for_interrupt(&mut self, len: u8) -> crate::core::Step {
        if self.interrupt_pending() {
            crate::core::Step::Next
        } else {
            self.exit_after(len, crate::Exit::Wfi)
        }
    }
}

fn external(va: u32, write: bool) -> Fault {
    Fault {
        kind: FaultKind::External,
        va,
        level: 0,
        domain: 0,
        write,
        maintenance: false,
    }
}
