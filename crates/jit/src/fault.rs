//! Faults of the host in generated code: an access that does not find its page in the window.
//!
//! The signal handler asks the engine whose code it is what to do, and execution goes on with the
//! same instruction, or at its look-up in the tables. A fault anywhere else goes to the handler that
//! was there before.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Answers a fault at an instruction (address of host code) that accessed an address of the host:
/// where to go on. None if it is not the engine's.
pub type Answer = fn(engine: *mut c_void, at: u64, address: u64) -> Option<u64>;

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

/// What the process did about this signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Installs the handler, once in a process.
///
/// # Errors
/// The host's.
pub fn install() -> std::io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the pointers are to values of these types; with a null pointer, sigaction(2) asks only.
    let before = unsafe {
        if libc::sigaction(libc::SIGSEGV, std::ptr::null(), before.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        before.assume_init()
    };
    BEFORE.get_or_init(|| before);
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle;
    // SAFETY: all zero is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // On the thread's own stack, which generated code leaves as any function does. Faults in the
    // handler itself are another handler's.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and lives for ever.
    if unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both, and they are this handler's until it returns.
    let (address, registers) = unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        ((*info).si_addr() as u64, &mut context.uc_mcontext.gregs)
    };
    let pc = &mut registers[libc::REG_RIP as usize];
    if let Some((engine, answer)) = ENGINE.get()
        && let Some(next) = answer(engine, *pc as u64, address)
    {
        *pc = next as i64;
        return;
    }
    let Some(before) = BEFORE.get() else {
        return;
    };
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
