//! System registers, exceptions, status registers and PSCI: sequences of what software can do to
//! the state of a processor by instructions. The mode stays one that exists, banks stay consistent,
//! User mode reaches nothing that belongs to the system, a saved mode comes back.

use crate::input::Input;
use skep_arm::cp15::{self, Inputs, table};
use skep_arm::exception::{Exception, Fault, FaultKind};
use skep_arm::insn::CpReg;
use skep_arm::state::{CpuModel, CpuState, Mode, psr};
use skep_board::psci::{self, Outcome, PowerState};

/// All exceptions, with any fault.
pub fn exception(input: &mut Input<'_>) -> Exception {
    const KINDS: [FaultKind; 10] = [
        FaultKind::Alignment,
        FaultKind::IcacheMaintenance,
        FaultKind::WalkExternal,
        FaultKind::Translation,
        FaultKind::AccessFlag,
        FaultKind::Domain,
        FaultKind::Permission,
        FaultKind::External,
        FaultKind::AsyncExternal,
        FaultKind::Debug,
    ];
    let flags = input.u8();
    let fault = Fault {
        kind: input.pick(&KINDS),
        va: input.u32(),
        level: flags >> 4 & 3,
        domain: flags & 15,
        write: flags & 0x40 != 0,
        maintenance: flags & 0x80 != 0,
    };
    match input.u8() % 6 {
        0 => Exception::Undefined,
        1 => Exception::Svc,
        2 => Exception::PrefetchAbort(fault),
        3 => Exception::DataAbort(fault),
        4 => Exception::Irq,
        _ => Exception::Fiq,
    }
}

/// A register that exists, or any.
pub fn register(input: &mut Input<'_>) -> CpReg {
    match table::REGISTERS.get(usize::from(input.u16() & 0x3ff)) {
        Some(row) => {
            // Rows that stand for several registers have a wildcard.
            let or = |field: u8, other: u8| if field == table::ANY { other } else { field };
            let any = input.u8();
            CpReg {
                coproc: row.coproc,
                opc1: or(row.opc1, any & 7),
                crn: or(row.crn, any & 15),
                crm: or(row.crm, any >> 4),
                opc2: or(row.opc2, any & 7),
            }
        }
        None => {
            let bits = input.u16();
            CpReg {
                coproc: 14 | (bits >> 15) as u8,
                opc1: (bits & 7) as u8,
                crn: (bits >> 3 & 15) as u8,
                crm: (bits >> 7 & 15) as u8,
                opc2: (bits >> 11 & 7) as u8,
            }
        }
    }
}

/// Writes some system registers, as privileged software could have.
pub fn configure(state: &mut CpuState, input: &mut Input<'_>) {
    for _ in 0..input.below(8) {
        let register = register(input);
        let _ = cp15::write(state, register, input.number() as u32, &Inputs::default());
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let model = input.pick(&[CpuModel::CortexA15, CpuModel::CortexA7]);
    let mut state = CpuState::new(model, input.u8(), input.below(8) as u8 + 1);
    let mut inputs = Inputs::default();
    while !input.is_empty() {
        inputs.cycles = inputs.cycles.wrapping_add(u64::from(input.u8()) << 24);
        inputs.physical = inputs.cycles / 16;
        inputs.irq = inputs.cycles >> 25 & 1 != 0;
        step(&mut state, &mut input, &inputs);
        check(&state, &inputs);
    }
}

fn step(state: &mut CpuState, input: &mut Input<'_>, inputs: &Inputs) {
    match input.u8() % 12 {
        0..3 => {
            let register = register(input);
            assert_eq!(
                cp15::read(state, register, inputs),
                cp15::read(state, register, inputs)
            );
        }
        3..6 => {
            let (register, value) = (register(input), input.number() as u32);
            // Counters may be brought up to date by any access.
            state.cp15.pmu.sync(inputs.cycles);
            let before = state.clone();
            if cp15::write(state, register, value, inputs).is_err() {
                assert_eq!(*state, before, "an undefined access changed something");
            }
            // The register's name is for people: it exists if the register does.
            if cp15::read(state, register, inputs).is_ok() {
                assert!(cp15::name(register).is_some());
            }
        }
        6 => {
            let (bits, value) = (input.u8(), input.number());
            let (coproc, opc1, crm) = (
                14 | bits & 1,
                bits >> 1 & 3,
                [1, 2, 7, 14][usize::from(bits >> 6)],
            );
            let before = state.clone();
            if cp15::write64(state, coproc, opc1, crm, value).is_err() {
                assert_eq!(*state, before);
            }
            let _ = cp15::read64(state, coproc, opc1, crm, inputs);
        }
        7 => {
            let pc = input.u32();
            state.take_exception(exception(input), pc);
            assert!(state.privileged());
            assert!(state.cpsr & psr::I != 0 && state.cpsr & psr::IT == 0);
        }
        8 => {
            let (pc, cpsr) = (input.u32(), input.u32());
            if state.privileged() {
                state.exception_return(pc, cpsr);
            }
        }
        9 => {
            let (value, mask) = (input.u32(), input.u8() & 15);
            let before = (state.privileged(), state.mode());
            state.write_cpsr_by_instr(value, mask, input.bool());
            assert!(
                before.0 || state.mode() == before.1,
                "User mode left itself"
            );
        }
        10 => {
            state.write_spsr_by_instr(input.u32(), input.u8() & 15);
            if state.privileged() {
                state.set_user_reg(input.below(16), input.u32());
            }
        }
        _ => psci(input),
    }
}

fn check(state: &CpuState, inputs: &Inputs) {
    let mode = state.mode();
    assert!(mode.is_implemented(), "{mode:?}");
    assert_eq!(Mode::from_bits(state.cpsr & psr::MODE), Some(mode));
    // Registers of the current mode are not in its bank.
    let privileged = state.privileged();
    assert_eq!(privileged, mode != Mode::User);
    // A change of mode and back changes nothing.
    for other in [Mode::Fiq, Mode::Irq, Mode::System, Mode::Undefined] {
        let mut changed = state.clone();
        changed.change_mode(other);
        assert_eq!(changed.mode(), other);
        changed.change_mode(mode);
        assert_eq!(&changed, state);
    }
    let physical = inputs.physical;
    if let Some(deadline) = state.timer.deadline(physical) {
        let late = state.timer.phys_pending(deadline) || state.timer.virt_pending(deadline);
        assert!(
            late || deadline == u64::MAX,
            "nothing is pending at {deadline:#x}"
        );
    }
    let _ = state.timer.event_deadline(physical);
    let pmu = &state.cp15.pmu;
    assert_eq!(
        pmu.at(inputs.cycles).interrupt(inputs.cycles),
        pmu.interrupt(inputs.cycles)
    );
    let _ = pmu.deadline(inputs.cycles);
}

fn psci(input: &mut Input<'_>) {
    const STATES: [PowerState; 3] = [PowerState::Off, PowerState::OnPending, PowerState::On];
    let count = input.below(8) + 1;
    let cpus: Vec<PowerState> = (0..count).map(|_| input.pick(&STATES)).collect();
    let function = match input.u8() {
        0 => input.u32(),
        byte @ 1..32 => 0x8400_0000 | u32::from(byte - 1),
        byte => 0x8000_0000 | u32::from(byte & 3),
    };
    let args = [input.number() as u32, input.u32(), input.u32()];
    match psci::call(function, args, &cpus) {
        Outcome::CpuOn {
            cpu, entry, t32, ..
        } => {
            assert_eq!(cpus[cpu], PowerState::Off);
            assert_eq!(entry & if t32 { 1 } else { 3 }, 0);
        }
        Outcome::Return(_) => {}
        _ => assert!(psci::is_implemented(function)),
    }
}
