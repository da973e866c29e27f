use super::*;
use crate::cp15::spec::ttbcr;
use crate::decode::ItState;
use crate::state::{CpuModel, Exclusive};

const PC: u32 = 0x8000_1000;

fn cpu(cpsr: u32) -> CpuState {
    let mut state = CpuState::new(CpuModel::CortexA15, 0, 1);
    state.set_cpsr(cpsr);
    state
}

fn fault(kind: FaultKind) -> Fault {
    Fault {
        kind,
        va: 0x1234_5678,
        level: 2,
        domain: 3,
        write: true,
        maintenance: false,
    }
}

/// Exception, mode, vector, LR - PC in A32, LR - PC in T32, masks that it sets.
fn table() -> [(Exception, Mode, u32, u32, u32, u32); 6] {
    let translation = fault(FaultKind::Translation);
    let (a, i, f) = (psr::A, psr::I, psr::F);
    [
        (Exception::Undefined, Mode::Undefined, 0x04, 4, 2, i),
        (Exception::Svc, Mode::Supervisor, 0x08, 4, 2, i),
        (
            Exception::PrefetchAbort(translation),
            Mode::Abort,
            0x0c,
            4,
            4,
            a | i,
        ),
        (
            Exception::DataAbort(translation),
            Mode::Abort,
            0x10,
            8,
            8,
            a | i,
        ),
        (Exception::Irq, Mode::Irq, 0x18, 4, 4, a | i),
        (Exception::Fiq, Mode::Fiq, 0x1c, 4, 4, a | i | f),
    ]
}

#[test]
fn entry_from_a32_and_t32() {
    for (exception, mode, vector, a32, t32, masks) in table() {
        for (t, offset) in [(0, a32), (psr::T, t32)] {
            let mut state = cpu(Mode::User as u32 | psr::N | psr::GE | t);
            state.regs[13] = 0x1000;
            state.exclusive = Some(Exclusive {
                pa: 0,
                value: 0,
                size: 4,
            });
            let before = state.cpsr;
            state.take_exception(exception, PC);
            assert_eq!(state.mode(), mode, "{exception:?}");
            assert_eq!(state.regs[14], PC + offset, "{exception:?} LR");
            assert_eq!(state.regs[15], vector);
            assert_eq!(state.spsr(), before);
            let kept = psr::N | psr::GE;
            assert_eq!(state.cpsr, kept | masks | mode as u32);
            assert_eq!(state.exclusive, None);
            assert_eq!(state.user_reg(13), 0x1000);
        }
    }
}

#[test]
fn vectors_follow_vbar_and_v() {
    for (exception, _, vector, ..) in table() {
        let mut state = cpu(Mode::Supervisor as u32);
        state.cp15.vbar = 0xc000_0020;
        state.take_exception(exception, PC);
        assert_eq!(state.regs[15], 0xc000_0020 + vector);
        state.cp15.sctlr |= sctlr::V;
        state.take_exception(exception, PC);
        assert_eq!(state.regs[15], 0xffff_0000 + vector);
    }
}

#[test]
fn entry_takes_the_state_that_sctlr_says() {
    let mut state = cpu(Mode::User as u32);
    state.cp15.sctlr |= sctlr::EE | sctlr::TE;
    state.take_exception(Exception::Irq, PC);
    assert!(state.in_t32() && state.big_endian());
    // And the other way: neither survives.
    let mut state = cpu(Mode::User as u32 | psr::T | psr::E);
    state.take_exception(Exception::Irq, PC);
    assert!(!state.in_t32() && !state.big_endian());
}

#[test]
fn it_state_is_saved_and_cleared() {
    for (exception, ..) in table() {
        let mut state = cpu(Mode::User as u32 | psr::T);
        state.set_it_state(ItState(0b0000_0110));
        state.take_exception(exception, PC);
        assert_eq!(state.it_state(), ItState(0));
        state.exception_return(PC, state.spsr());
        // SVC has executed; the others are executed again.
        let expected = if exception == Exception::Svc {
            0b0000_1100
        } else {
            0b0000_0110
        };
        assert_eq!(state.it_state(), ItState(expected), "{exception:?}");
    }
}

#[test]
fn exceptions_return_where_they_came_from() {
    for (exception, _, _, a32, t32, _) in table() {
        for (t, offset) in [(0, a32), (psr::T, t32)] {
            let mut state = cpu(Mode::User as u32 | psr::Z | t);
            state.regs[13] = 0xabc0;
            let before = state.clone();
            state.take_exception(exception, PC);
            state.exception_return(state.regs[14] - offset, state.spsr());
            assert_eq!(state.regs[..15], before.regs[..15]);
            assert_eq!(state.regs[15], PC);
            assert_eq!(state.cpsr, before.cpsr);
            assert!(state.event);
        }
    }
}

#[test]
fn return_aligns_the_pc_and_survives_bad_modes() {
    let mut state = cpu(Mode::Supervisor as u32);
    state.exception_return(0x1003, Mode::User as u32);
    assert_eq!(state.regs[15], 0x1000);
    let mut state = cpu(Mode::Supervisor as u32);
    state.exception_return(0x1003, Mode::User as u32 | psr::T);
    assert_eq!(state.regs[15], 0x1002);
    let mut state = cpu(Mode::Supervisor as u32);
    state.exception_return(0x1000, psr::N | psr::J | 0x1a);
    assert_eq!(state.cpsr, psr::N | Mode::Supervisor as u32);
    // User mode can't give itself another mode.
    let mut state = cpu(Mode::User as u32);
    state.exception_return(0x1000, psr::C | Mode::Supervisor as u32);
    assert_eq!(state.cpsr, psr::C | Mode::User as u32);
}

#[test]
fn fault_registers_short() {
    let write = fault(FaultKind::Permission);
    let mut state = cpu(Mode::User as u32);
    state.take_exception(Exception::DataAbort(write), PC);
    // WnR, domain 3, second-level permission fault.
    assert_eq!(state.cp15.dfsr, 0x83f);
    assert_eq!(state.cp15.dfar, 0x1234_5678);
    assert_eq!((state.cp15.ifsr, state.cp15.ifar), (0, 0));

    let mut state = cpu(Mode::User as u32);
    state.take_exception(Exception::PrefetchAbort(fault(FaultKind::Translation)), PC);
    assert_eq!(state.cp15.ifsr, 0x7);
    assert_eq!(state.cp15.ifar, 0x1234_5678);
    assert_eq!((state.cp15.dfsr, state.cp15.dfar), (0, 0));
}

#[test]
fn fault_registers_long() {
    let mut state = cpu(Mode::User as u32);
    state.cp15.ttbcr = ttbcr::EAE;
    let fault = Fault {
        level: 3,
        domain: 0,
        ..fault(FaultKind::Translation)
    };
    state.take_exception(Exception::DataAbort(fault), PC);
    assert_eq!(state.cp15.dfsr, 0xa07);
    state.take_exception(Exception::PrefetchAbort(fault), PC);
    assert_eq!(state.cp15.ifsr, 0x207);
}

#[test]
fn fault_status_codes() {
    use FaultKind::*;
    // Kind, short FS at levels 1 and 2, long STATUS at levels 1, 2 and 3 (tables B3-23, B3-24).
    let table: [(FaultKind, [u32; 2], [u32; 3]); 8] = [
        (Alignment, [0x001, 0x001], [0x21, 0x21, 0x21]),
        (WalkExternal, [0x00c, 0x00e], [0x15, 0x16, 0x17]),
        (Translation, [0x005, 0x007], [0x05, 0x06, 0x07]),
        (AccessFlag, [0x003, 0x006], [0x09, 0x0a, 0x0b]),
        (Permission, [0x00d, 0x00f], [0x0d, 0x0e, 0x0f]),
        (Debug, [0x002, 0x002], [0x22, 0x22, 0x22]),
        (External, [0x008, 0x008], [0x10, 0x10, 0x10]),
        (AsyncExternal, [0x406, 0x406], [0x11, 0x11, 0x11]),
    ];
    for (kind, short, long) in table {
        for level in 1..=3u8 {
            let fault = Fault {
                kind,
                va: 0,
                level,
                domain: 0,
                write: false,
                maintenance: false,
            };
            if let Some(&status) = short.get(usize::from(level) - 1) {
                assert_eq!(fault.dfsr(false), status, "{kind:?} level {level}");
                assert_eq!(fault.ifsr(false), status);
            }
            let status = long[usize::from(level) - 1] | 0x200;
            assert_eq!(fault.dfsr(true), status, "{kind:?} level {level}");
            assert_eq!(fault.ifsr(true), status);
        }
    }
    for (level, status) in [(1, 0x9), (2, 0xb)] {
        let fault = Fault {
            level,
            domain: 0,
            write: false,
            ..fault(Domain)
        };
        assert_eq!(fault.dfsr(false), status);
    }
    let maintenance = Fault {
        maintenance: true,
        write: false,
        domain: 0,
        ..fault(Translation)
    };
    assert_eq!(maintenance.dfsr(false), 0x2807);
}

#[test]
fn asynchronous_aborts_have_no_address() {
    let mut state = cpu(Mode::User as u32);
    state.cp15.dfar = 0x55;
    state.take_exception(Exception::DataAbort(fault(FaultKind::AsyncExternal)), PC);
    assert_eq!(state.cp15.dfar, 0x55);
    assert_eq!(state.cp15.dfsr & 0x40f, 0x406);
}

#[test]
fn nested_exceptions_keep_their_return_state() {
    let mut state = cpu(Mode::User as u32 | psr::C);
    state.take_exception(Exception::Svc, 0x1000);
    let svc = state.clone();
    state.take_exception(Exception::Irq, 0xc000_0000);
    state.take_exception(Exception::Fiq, 0xc000_0100);
    state.exception_return(state.regs[14] - 4, state.spsr());
    state.exception_return(state.regs[14] - 4, state.spsr());
    assert_eq!(state.regs[14], svc.regs[14]);
    assert_eq!(state.spsr(), svc.spsr());
    assert_eq!(state.cpsr, svc.cpsr);
    assert_eq!(state.regs[15], 0xc000_0000);
}
