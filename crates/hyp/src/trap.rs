//! What makes guests trap, and what is done about it: emulated, turned into the exception that the
//! architecture has for it, or a fault that stops this VM alone.

use skep_arm::decode::{self, load_store};
use skep_arm::exception::Fault;
use skep_arm::insn::{Cond, Decoded, Reg};
use skep_arm::simd::{self, Context};
use skep_arm::state::{CpuModel, SimdState, psr};
use skep_arm::{Exception, FaultKind};
use skep_board::gic::spec::gicd;
use skep_board::map;
use skep_board::psci::{self, Outcome};
use skep_hyp::emulate::{self, Cpu, Refusal};
use skep_hyp::spec::{PAR_F, hypercall};
use skep_hyp::syndrome::{Abort, Syndrome, ec};

use crate::hw::{cp15, vfp};
use crate::vcpu::{Next, Vcpu, it_state};
use crate::vm::{End, Fault as VmFault, Start};

/// Handles what the guest trapped on, by the value of HSR.
pub fn handle(vcpu: &mut Vcpu, hsr: u32) -> Next {
    let syndrome = Syndrome(hsr);
    match syndrome.class() {
        ec::HVC => {
            if vcpu.frame.r[0] == hypercall::NOTHING {
                vcpu.frame.r[0] = 0;
                return Next::Enter;
            }
            firmware(vcpu)
        }
        ec::DATA_ABORT => data_abort(vcpu, syndrome),
        ec::SMC => {
            // SMC leaves the return address on itself, HVC behind.
            vcpu.advance(4);
            firmware(vcpu)
        }
        ec::PREFETCH_ABORT => {
            let kind = match syndrome.abort() {
                _ if syndrome.is_walk() => FaultKind::WalkExternal,
                Abort::Alignment => FaultKind::Alignment,
                _ => FaultKind::External,
            };
            let va = cp15::hifar::read();
            let at = (vcpu.frame.pc, vcpu.mode());
            vcpu.inject(Exception::PrefetchAbort(fault(kind, va, false)));
            if at == (vcpu.frame.pc, vcpu.mode()) {
                // It would take the same exception again, for ever.
                return fail(vcpu, syndrome, "can't execute its vector of aborts");
            }
            Next::Enter
        }
        1..0x10 => conditional(vcpu, syndrome),
        _ => unexpected(vcpu, syndrome),
    }
}

/// Ends the VM: what the guest did has no meaning that could be given to it.
fn fail(vcpu: &mut Vcpu, syndrome: Syndrome, what: &'static str) -> Next {
    let va = match syndrome.class() {
        ec::PREFETCH_ABORT => Some(cp15::hifar::read()),
        ec::DATA_ABORT => Some(cp15::hdfar::read()),
        _ => None,
    };
    vcpu.vm.fail(VmFault {
        vcpu: vcpu.index,
        what,
        pc: vcpu.frame.pc,
        cpsr: vcpu.frame.cpsr,
        syndrome,
        ipa: va.map(faulting_ipa),
    });
    Next::Interrupts
}

/// The exit has a reason that no guest can have.
fn unexpected(vcpu: &mut Vcpu, syndrome: Syndrome) -> Next {
    fail(vcpu, syndrome, "came to the hypervisor for no known reason")
}

/// The address of a stage-2 fault of translation, by HPFAR and the virtual address.
fn faulting_ipa(va: u32) -> u64 {
    u64::from(cp15::hpfar::read() & !0xf) << 8 | u64::from(va & 0xfff)
}

/// A trapped instruction that has a condition.
fn conditional(vcpu: &mut Vcpu, syndrome: Syndrome) -> Next {
    let cpsr = vcpu.frame.cpsr;
    let condition = match syndrome.condition() {
        Some(condition) => Cond::from_bits(condition),
        None => it_state(cpsr).cond(),
    };
    if !condition.holds(cpsr) {
        vcpu.advance(syndrome.instruction_bytes());
        return Next::Enter;
    }
    match syndrome.class() {
        ec::HCPTR => {
            let coprocessor = syndrome.iss() & 15;
            let simd = syndrome.iss() & 1 << 5 != 0;
            if simd || matches!(coprocessor, 10 | 11) {
                return Next::Simd;
            }
            vcpu.inject(Exception::Undefined);
            Next::Enter
        }
        ec::CP15_32 => {
            if !crate::cp15_trap::emulate(vcpu, syndrome.iss()) {
                vcpu.inject(Exception::Undefined);
                return Next::Enter;
            }
            vcpu.advance(syndrome.instruction_bytes());
            Next::Enter
        }
        // Debug registers read as zero: there is no debug architecture to be seen.
        ec::CP14_32 => {
            let iss = syndrome.iss();
            let rt = (iss >> 5 & 15) as usize;
            if iss & 1 != 0 {
                vcpu.set_reg(rt, 0);
            }
            vcpu.advance(syndrome.instruction_bytes());
            Next::Enter
        }
        ec::CP15_64 | ec::CP14_64 | ec::CP14_LDC => {
            vcpu.inject(Exception::Undefined);
            Next::Enter
        }
        ec::WFX => {
            vcpu.advance(syndrome.instruction_bytes());
            Next::Wait
        }
        _ => unexpected(vcpu, syndrome),
    }
}

/// A call to the firmware, which is PSCI's.
fn firmware(vcpu: &mut Vcpu) -> Next {
    let [function, a, b, c] = [0, 1, 2, 3].map(|n| vcpu.frame.r[n]);
    let (states, count) = vcpu.vm.power_states();
    match psci::call(function, [a, b, c], &states[..count]) {
        Outcome::Return(value) => vcpu.frame.r[0] = value,
        Outcome::CpuOn {
            cpu,
            entry,
            context,
            t32,
        } => {
            vcpu.frame.r[0] = 0;
            let start = Start {
                entry,
                thumb: t32,
                registers: [context, 0, 0],
                prepare: None,
            };
            vcpu.vm.cpu_on(cpu, start);
        }
        Outcome::CpuOff => return Next::Off,
        Outcome::CpuSuspend => {
            vcpu.frame.r[0] = 0;
            return Next::Wait;
        }
        Outcome::SystemOff => {
            vcpu.vm.stop(End::Off);
            return Next::Off;
        }
        Outcome::SystemReset => {
            vcpu.vm.stop(End::Reset);
            return Next::Off;
        }
    }
    Next::Enter
}

fn fault(kind: FaultKind, va: u32, write: bool) -> Fault {
    Fault {
        kind,
        va,
        level: 1,
        domain: 0,
        write,
        maintenance: false,
    }
}

fn abort(vcpu: &mut Vcpu, fault: Fault) -> Next {
    vcpu.inject(Exception::DataAbort(fault));
    Next::Enter
}

fn data_abort(vcpu: &mut Vcpu, syndrome: Syndrome) -> Next {
    let va = cp15::hdfar::read();
    let external = |kind| fault(kind, va, syndrome.is_write());
    if syndrome.is_walk() {
        return abort(vcpu, external(FaultKind::WalkExternal));
    }
    match syndrome.abort() {
        Abort::Translation => {}
        Abort::Alignment => return abort(vcpu, external(FaultKind::Alignment)),
        _ => return abort(vcpu, external(FaultKind::External)),
    }
    if syndrome.is_maintenance() {
        // There is nothing in any cache of what is not memory.
        vcpu.advance(syndrome.instruction_bytes());
        return Next::Enter;
    }
    let Some(access) = syndrome.access() else {
        return by_instruction(vcpu, syndrome);
    };
    let Ok(ipa) = u32::try_from(faulting_ipa(va)) else {
        return abort(vcpu, external(FaultKind::External));
    };
    if !ipa.is_multiple_of(access.size.into()) {
        return abort(vcpu, external(FaultKind::Alignment));
    }
    let register = access.register.into();
    let big = vcpu.frame.cpsr & psr::E != 0;
    let done = if access.write {
        let value = swap(vcpu.reg(register).into(), access.size, big);
        mmio_write(vcpu, ipa, access.size, value)
    } else if let Some(value) = mmio_read(vcpu, ipa, access.size) {
        let value = swap(value, access.size, big) as u32;
        let value = match (access.signed, access.size) {
            (true, 1) => value as i8 as u32,
            (true, 2) => value as i16 as u32,
            _ => value,
        };
        vcpu.set_reg(register, value);
        true
    } else {
        false
    };
    if !done {
        return abort(vcpu, external(FaultKind::External));
    }
    vcpu.advance(syndrome.instruction_bytes());
    after_device(vcpu)
}

/// What follows an access to a device, which may have changed what interrupts wait.
fn after_device(vcpu: &mut Vcpu) -> Next {
    crate::mux::feed_if_waiting(vcpu.vm);
    if vcpu.vm.gic.lock().has_changed() {
        Next::Interrupts
    } else {
        Next::Enter
    }
}

/// Before a guest uses the distributor: sending an SGI needs to know nothing.
fn prepare_distributor(vcpu: &mut Vcpu, ipa: u32) {
    let sgi = map::GIC_DIST.base + u64::from(gicd::SGIR);
    let offset = u64::from(ipa).wrapping_sub(map::GIC_DIST.base);
    if offset < map::GIC_DIST.size && u64::from(ipa) != sgi {
        vcpu.recall_interrupts();
    }
}

fn mmio_read(vcpu: &mut Vcpu, ipa: u32, size: u8) -> Option<u64> {
    prepare_distributor(vcpu, ipa);
    vcpu.vm.mmio_read(vcpu.index, ipa, size)
}

fn mmio_write(vcpu: &mut Vcpu, ipa: u32, size: u8, value: u64) -> bool {
    prepare_distributor(vcpu, ipa);
    vcpu.vm.mmio_write(vcpu.index, ipa, size, value)
}

/// Bytes in the order that the guest wants, of a value of `size` bytes.
fn swap(value: u64, size: u8, big: bool) -> u64 {
    if !big {
        return value;
    }
    value.swap_bytes() >> (64 - 8 * u32::from(size.clamp(1, 8)))
}

/// A load or store that the syndrome does not describe: executed from the instruction itself.
// Apart from the run loop, which would keep room on the stack and in registers for it.
#[inline(never)]
fn by_instruction(vcpu: &mut Vcpu, syndrome: Syndrome) -> Next {
    let Some(decoded) = fetch(vcpu) else {
        // The code has just been unmapped, by another vCPU: the guest will fault by itself.
        return Next::Enter;
    };
    let external = fault(
        FaultKind::External,
        cp15::hdfar::read(),
        syndrome.is_write(),
    );
    let Some(decoded) = decoded else {
        return abort(vcpu, external);
    };
    let length = u32::from(decoded.len);
    let mut cpu = Emulated {
        simd: SimdState {
            d: [0; 32],
            fpscr: 0,
            fpexc: 0,
        },
        simd_used: false,
        unprivileged: false,
        target: None,
        vcpu,
    };
    let result = emulate::execute(&decoded, &mut cpu);
    let (used, target, simd) = (cpu.simd_used, cpu.target, cpu.simd);
    match result {
        Ok(()) => {
            if used {
                vfp::restore(&simd);
            }
            vcpu.advance(length);
            if let Some(target) = target {
                vcpu.frame.cpsr = vcpu.frame.cpsr & !psr::T | (target & 1) << 5;
                vcpu.frame.pc = target & if target & 1 != 0 { !1 } else { !3 };
            }
            after_device(vcpu)
        }
        Err(Refusal::Access(Failed::Device(fault))) => abort(vcpu, fault),
        // The guest takes the fault itself, of its own tables.
        Err(Refusal::Access(Failed::Stage1)) => Next::Enter,
        Err(Refusal::Unsupported) => abort(vcpu, external),
    }
}

/// Translates a guest's address by both stages or only its own, and leaves PAR as it was.
fn translate(operation: fn(u32), va: u32) -> Option<u64> {
    /// PAR is in the long-descriptor format.
    const LPAE: u64 = 1 << 11;
    let saved = cp15::par::read();
    operation(va);
    cp15::isb();
    let par = cp15::par::read();
    cp15::par::write(saved);
    if par & PAR_F != 0 {
        return None;
    }
    let page = if par & LPAE != 0 {
        par & 0xff_ffff_f000
    } else {
        par & 0xffff_f000
    };
    Some(page | u64::from(va & 0xfff))
}

/// Reads a halfword of the guest's code.
fn code(vcpu: &Vcpu, va: u32) -> Option<u16> {
    let operation = if vcpu.mode() == skep_arm::Mode::User {
        cp15::ats12nsour::write
    } else {
        cp15::ats12nsopr::write
    };
    let ipa = vcpu.vm.ram.ipa_of(translate(operation, va)?)?;
    let mut bytes = [0; 2];
    vcpu.vm.ram.read(ipa, &mut bytes).ok()?;
    Some(u16::from_le_bytes(bytes))
}

/// The load or store that trapped: `None` if the code can't be read, `Some(None)` if it is neither.
fn fetch(vcpu: &Vcpu) -> Option<Option<Decoded>> {
    let pc = vcpu.frame.pc;
    let first = code(vcpu, pc)?;
    let thumb = vcpu.in_t32();
    let second = if !thumb || decode::t32_is_wide(first) {
        code(vcpu, pc.wrapping_add(2))?
    } else {
        0
    };
    Some(if thumb {
        load_store::t32(first, second, it_state(vcpu.frame.cpsr))
    } else {
        load_store::a32(u32::from(second) << 16 | u32::from(first))
    })
}

/// Why an access of an emulated instruction failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failed {
    /// By the guest's own tables.
    Stage1,
    /// There is no device, or it wants another access.
    Device(Fault),
}

/// A vCPU whose instruction is executed here.
struct Emulated<'a> {
    vcpu: &'a mut Vcpu,
    simd: SimdState,
    simd_used: bool,
    unprivileged: bool,
    target: Option<u32>,
}

impl Emulated<'_> {
    fn ipa(&self, va: u32, size: u32, write: bool) -> Result<u32, Failed> {
        let user = self.unprivileged || self.vcpu.mode() == skep_arm::Mode::User;
        let operation = match (user, write) {
            (false, false) => cp15::ats1cpr::write,
            (false, true) => cp15::ats1cpw::write,
            (true, false) => cp15::ats1cur::write,
            (true, true) => cp15::ats1cuw::write,
        };
        let ipa = translate(operation, va).ok_or(Failed::Stage1)?;
        let ipa = u32::try_from(ipa)
            .map_err(|_| Failed::Device(fault(FaultKind::External, va, write)))?;
        if ipa.is_multiple_of(size) {
            Ok(ipa)
        } else {
            Err(Failed::Device(fault(FaultKind::Alignment, va, write)))
        }
    }

    fn load_one(&mut self, va: u32, size: u32) -> Result<u64, Failed> {
        let ipa = self.ipa(va, size, false)?;
        let value = if self.vcpu.vm.ram.contains(ipa, size as usize) {
            let mut bytes = [0; 8];
            let read = bytes
                .get_mut(..size as usize)
                .and_then(|bytes| self.vcpu.vm.ram.read(ipa, bytes).ok());
            read.map(|()| u64::from_le_bytes(bytes))
        } else {
            mmio_read(self.vcpu, ipa, size as u8)
        };
        let value = value.ok_or(Failed::Device(fault(FaultKind::External, va, false)))?;
        Ok(swap(value, size as u8, self.big_endian()))
    }

    fn store_one(&mut self, va: u32, size: u32, value: u64) -> Result<(), Failed> {
        let ipa = self.ipa(va, size, true)?;
        let value = swap(value, size as u8, self.big_endian());
        let done = if self.vcpu.vm.ram.contains(ipa, size as usize) {
            let bytes = value.to_le_bytes();
            bytes
                .get(..size as usize)
                .is_some_and(|bytes| self.vcpu.vm.ram.write(ipa, bytes).is_ok())
        } else {
            mmio_write(self.vcpu, ipa, size as u8, value)
        };
        if done {
            Ok(())
        } else {
            Err(Failed::Device(fault(FaultKind::External, va, true)))
        }
    }
}

impl Context for Emulated<'_> {
    type Error = Failed;

    fn simd(&mut self) -> &mut SimdState {
        &mut self.simd
    }

    fn model(&self) -> CpuModel {
        CpuModel::CortexA15
    }

    fn reg(&self, reg: Reg) -> u32 {
        self.vcpu.reg(reg.index())
    }

    fn set_reg(&mut self, reg: Reg, value: u32) {
        self.vcpu.set_reg(reg.index(), value);
    }

    fn set_nzcv(&mut self, nzcv: u32) {
        let cpsr = &mut self.vcpu.frame.cpsr;
        *cpsr = *cpsr & 0x0fff_ffff | nzcv << 28;
    }

    fn big_endian(&self) -> bool {
        self.vcpu.frame.cpsr & psr::E != 0
    }

    fn load(&mut self, va: u32, size: u32) -> Result<u64, Failed> {
        if size < 8 {
            return self.load_one(va, size);
        }
        let low = self.load_one(va, 4)?;
        let high = self.load_one(va.wrapping_add(4), 4)?;
        Ok(high << 32 | low)
    }

    fn store(&mut self, va: u32, size: u32, value: u64) -> Result<(), Failed> {
        if size < 8 {
            return self.store_one(va, size, value);
        }
        self.store_one(va, 4, value & 0xffff_ffff)?;
        self.store_one(va.wrapping_add(4), 4, value >> 32)
    }

    fn check_alignment(&mut self, va: u32, align: u32, write: bool) -> Result<(), Failed> {
        if va.is_multiple_of(align.max(1)) {
            Ok(())
        } else {
            Err(Failed::Device(fault(FaultKind::Alignment, va, write)))
        }
    }
}

impl Cpu for Emulated<'_> {
    fn unprivileged(&mut self, on: bool) {
        self.unprivileged = on;
    }

    fn simd_permitted(&mut self, insn: &skep_arm::insn::simd::Simd) -> bool {
        // It has faulted on an address, so it was permitted, and the registers are the guest's.
        if !vfp::is_on() {
            return false;
        }
        vfp::save(&mut self.simd);
        self.simd_used = true;
        let privileged = self.vcpu.mode() != skep_arm::Mode::User;
        simd::permitted(insn, &self.simd, cp15::cpacr::read(), privileged)
    }

    fn branch(&mut self, target: u32) {
        self.target = Some(target);
    }
}
