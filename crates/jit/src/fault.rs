//! Faults of the host in generated code: an access that does not find its page in the window, and
//! floating point that the host does otherwise than the architecture.
//!
//! The signal handler asks the engine whose code it is what to do, and execution goes on with the
//! same instruction, at its look-up in the tables, or where the interpreter executes it. A fault
//! anywhere else goes to the handler that was there before.

use crate::mxcsr;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An access to this address of the host.
    Access(u64),
    /// A floating-point exception.
    Float,
}

/// Answers a fault at an instruction (address of host code): where to go on. None if it is not the
/// engine's.
pub type Answer = fn(engine: *mut c_void, at: u64, fault: Fault) -> Option<u64>;

thread_local! {
    /// The engine that executes in this thread.
    static ENGINE: Cell<Option<(*mut c_void, Answer)>> = const { Cell::new(None) };
}

/// Has an engine asked about the faults of this thread as long as the value lives.
pub struct Asked(());

impl Asked {
    /// `engine` is what `answer` is called with.
    pub fn new(engine: *mut c_void, answer: Answer) -> Self {
        ENGINE.set(Some((engine, answer)));
        Asked(())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        ENGINE.set(None);
    }
}

/// What the process did about SIGSEGV and SIGFPE before.
static BEFORE: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// Codes of SIGFPE, from <asm-generic/siginfo.h>: from floating point divided by zero to the last one
/// of a calculation.
const FPE_FLTDIV: c_int = 3;
const FPE_FLTSUB: c_int = 8;

const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGFPE];

/// Installs the handler, once in a process.
///
/// # Errors
/// The host's.
pub fn install() -> std::io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    let [segv, fpe] = SIGNALS.map(action);
    let before = [segv?, fpe?];
    BEFORE.get_or_init(|| before);
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle;
    // SAFETY: all zero is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // On the thread's own stack, which generated code leaves as any function does. Faults in the
    // handler itself are another handler's.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    for signal in SIGNALS {
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and lives for ever.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// What the process does about a signal.
fn action(signal: c_int) -> std::io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the pointers are to values of these types; with a null pointer, sigaction(2) asks only.
    unsafe {
        if libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(action.assume_init())
    }
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both, and they are this handler's until it returns.
    let (fault, registers) = unsafe {
        let fault = match (signal, (*info).si_code) {
            (libc::SIGSEGV, _) => Some(Fault::Access((*info).si_addr() as u64)),
            // Not a division of integers.
            (libc::SIGFPE, FPE_FLTDIV..=FPE_FLTSUB) => Some(Fault::Float),
            _ => None,
        };
        let context = &mut *context.cast::<libc::ucontext_t>();
        (fault, &mut context.uc_mcontext)
    };
    if let Some((engine, answer)) = ENGINE.get()
        && let Some(fault) = fault
    {
        let pc = &mut registers.gregs[libc::REG_RIP as usize];
        let next = answer(engine, *pc as u64, fault);
        if let Some(next) = next {
            *pc = next as i64;
        }
        if fault == Fault::Float {
            // SAFETY: the kernel has put the registers there, and takes them from there.
            let value = unsafe { &mut (*registers.fpregs).mxcsr };
            *value = match next {
                Some(_) => mxcsr::without_raised(*value),
                None => mxcsr::masked(*value),
            };
            return;
        }
        if next.is_some() {
            return;
        }
    }
    let Some([segv, fpe]) = BEFORE.get() else {
        return;
    };
    let before = if signal == libc::SIGFPE { fpe } else { segv };
    match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: as in `install`. The instruction is executed again, and the signal ends the
            // process.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with this flag it is a function of this type.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without it, of this one.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}
