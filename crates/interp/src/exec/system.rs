//! System instructions: exceptions on purpose, status registers, hints, barriers, coprocessors
//! (manual B9.3, A8.8).

use crate::Exit;
use crate::control;
use crate::core::{Core, Raised, Step};
use crate::machine::{Counters, Machine};
use skep_arm::cp15::{self, Inputs};
use skep_arm::exception::{Exception, Fault, FaultKind};
use skep_arm::insn::{Barrier, CpReg, Hint, Insn, Reg};
use skep_arm::state::psr;

impl<M: Machine> Core<M> {
    /// Executes a system instruction.
    pub(crate) fn system(&mut self, insn: &Insn, len: u8) -> Result<Step, Raised> {
        Ok(match *insn {
            Insn::Svc { .. } => return Err(self.raise(Exception::Svc)),
            Insn::Hvc { imm } => {
                self.require_privilege()?;
                self.exit_after(len, Exit::Hvc(imm))
            }
            Insn::Smc { imm } => {
                self.require_privilege()?;
                self.exit_after(len, Exit::Smc(imm))
            }
            Insn::Bkpt { .. } => {
                let fault = Fault {
                    kind: FaultKind::Debug,
                    // IFAR is UNKNOWN after a debug event (manual C4.2.2): QEMU's choice.
                    va: 0,
                    level: 0,
                    domain: 0,
                    write: false,
                    maintenance: false,
                };
                return Err(self.raise(Exception::PrefetchAbort(fault)));
            }
            Insn::Cps { enable, aif, mode } => {
                if self.state.privileged() {
                    self.cps(enable, aif, mode);
                }
                self.resync(len)
            }
            Insn::Setend { big } => self.setend(big, len),
            Insn::Mrs { spsr, rd } => {
                let value = if !spsr {
                    // The execution state bits (IT, J, T) read as zero. In User mode the masks
                    // and the mode are UNKNOWN (manual A8.8.109): what they are.
                    self.state.cpsr & !(psr::IT | psr::J | psr::T)
                } else {
                    self.require_spsr()?;
                    self.state.spsr()
                };
                self.set_reg(rd, value);
                Step::Next
            }
            Insn::MsrReg { spsr, mask, rn } => self.msr(spsr, mask, self.reg(rn), len)?,
            Insn::MsrImm { spsr, mask, imm } => self.msr(spsr, mask, imm, len)?,
            // They come with the Virtualization Extensions (manual B9.2.3), which this processor
            // has not.
            Insn::MrsBanked { .. } | Insn::MsrBanked { .. } => return Err(self.undefined()),
            Insn::Srs {
                mode,
                increment,
                before,
                wback,
            } => {
                self.require_spsr()?;
                self.srs(mode, increment, before, wback)?
            }
            Insn::Rfe {
                rn,
                increment,
                before,
                wback,
            } => {
                self.require_privilege()?;
                self.rfe(rn, increment, before, wback)?
            }
            Insn::Eret => {
                let lr = self.reg(Reg::LR);
                self.exception_return(lr)
            }
            Insn::Hint { op, .. } => self.hint(op, len),
            Insn::Barrier { op, .. } => self.barrier(op, len),
            Insn::Mcr {
                reg,
                rt,
                two: false,
            } => self.mcr(reg, self.reg(rt), len)?,
            Insn::Mrc {
                reg,
                rt,
                two: false,
            } => self.mrc(reg, rt)?,
            Insn::Mcrr {
                coproc,
                opc1,
                rt,
                rt2,
                crm,
                two: false,
            } => {
                let value = u64::from(self.reg(rt2)) << 32 | u64::from(self.reg(rt));

                match cp15::write64(&mut self.state, coproc, opc1, crm, value) {
                    Ok(effect) => self.apply(effect, len)?,
                    Err(_) => return Err(self.undefined()),
                }
            }
            Insn::Mrrc {
                coproc,
                opc1,
                rt,
                rt2,
                crm,
                two: false,
            } => {
                let inputs = self.inputs(true);
                match cp15::read64(&self.state, coproc, opc1, crm, &inputs) {
                    Ok(value) => {
                        self.set_reg(rt, value as u32);
                        self.set_reg(rt2, (value >> 32) as u32);
                        Step::Next
                    }
                    Err(_) => return Err(self.undefined()),
                }
            }
            // No coprocessor but 10, 11, 14 and 15 exists, and 14 and 15 have none of the others, nor
            // MCR2, MRC2, MCRR2, MRRC2.
            _ => return Err(self.undefined()),
        })
    }

    /// UNDEFINED in User mode.
    pub fn require_privilege(&mut self) -> Result<(), Raised> {
        if self.state.privileged() {
            Ok(())
        } else {
            Err(self.undefined())
        }
    }

    /// User and System mode have no SPSR: UNPREDICTABLE, taken as UNDEFINED.
    fn require_spsr(&mut self) -> Result<(), Raised> {
        if self.state.has_spsr() {
            Ok(())
        } else {
            Err(self.undefined())
        }
    }

    fn cps(&mut self, enable: Option<bool>, aif: u8, mode: Option<u8>) {
        let bits = u32::from(aif & 7) << 6;
        let mut cpsr = match enable {
            Some(true) => self.state.cpsr & !bits,
            Some(false) => self.state.cpsr | bits,
            None => self.state.cpsr,
        };
        if let Some(mode) = mode {
            cpsr = cpsr & !psr::MODE | u32::from(mode) & psr::MODE;
        }
        self.state.set_cpsr(cpsr);
        self.context_changed();
    }

    fn msr(&mut self, spsr: bool, mask: u8, value: u32, len: u8) -> Result<Step, Raised> {
        if spsr {
            self.require_spsr()?;
            self.state.write_spsr_by_instr(value, mask);
            return Ok(Step::Next);
        }
        self.state.write_cpsr_by_instr(value, mask, false);
        if mask & !8 == 0 {
            return Ok(Step::Next);
        }
        self.context_changed();
        Ok(self.resync(len))
    }

    fn hint(&mut self, op: Hint, len: u8) -> Step {
        match op {
            Hint::Nop | Hint::Dbg => Step::Next,
            Hint::Yield if self.cluster.alone() => Step::Next,
            Hint::Yield => self.exit_after(len, Exit::Yield),
            Hint::Wfi => self.wait_for_interrupt(len),
            Hint::Wfe => {
                if core::mem::take(&mut self.state.event) || self.interrupt_pending() {
                    Step::Next
                } else {
                    self.exit_after(len, Exit::Wfe)
                }
            }
            Hint::Sev => {
                self.state.event = true;
                if self.cluster.alone() {
                    Step::Next
                } else {
                    self.exit_after(len, Exit::Sev)
                }
            }
        }
    }

    /// DMB, DSB, ISB, by whichever encoding.
    pub(crate) fn barrier(&mut self, op: Barrier, len: u8) -> Step {
        match op {
            Barrier::Dsb => self.complete_maintenance(len),
            Barrier::Dmb => {
                core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
                Step::Next
            }
            Barrier::Isb => self.resync(len),
        }
    }

    /// What system registers show of the world around. To read the host's clock takes as long as the
    /// rest of an access, and few want it: without `counters`, they are 0.
    fn inputs(&self, counters: bool) -> Inputs {
        let counters = if counters {
            self.machine.counters()
        } else {
            Counters::default()
        };
        let flags = self.control.flags();
        Inputs {
            physical: counters.physical,
            cycles: counters.cycles,
            irq: flags & control::IRQ != 0,
            fiq: flags & control::FIQ != 0,
        }
    }

    fn mcr(&mut self, reg: CpReg, value: u32, len: u8) -> Result<Step, Raised> {
        let inputs = self.inputs(cp15::looks_at_counters(reg));
        match cp15::write(&mut self.state, reg, value, &inputs) {
            Ok(effect) => self.apply(effect, len),
            Err(_) => Err(self.undefined()),
        }
    }

    fn mrc(&mut self, reg: CpReg, rt: Reg) -> Result<Step, Raised> {
        let inputs = self.inputs(cp15::looks_at_counters(reg));
        match cp15::read(&self.state, reg, &inputs) {
            Ok(value) if rt.is_pc() => {
                self.state.cpsr = self.state.cpsr & 0x0fff_ffff | value & 0xf000_0000;
            }
            Ok(value) => self.set_reg(rt, value),
            Err(_) => return Err(self.undefined()),
        }
        Ok(Step::Next)
    }
}
