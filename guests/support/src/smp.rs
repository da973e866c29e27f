//! More than one CPU.

use crate::psci::{self, function};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

/// CPUs that a guest can use.
pub const CPUS: usize = 2;
/// A CPU's stack, bytes.
pub const STACK_SIZE: usize = 0x8000;

/// Memory that CPUs use as they agree.
#[repr(C, align(64))]
pub struct Shared<T>(pub UnsafeCell<T>);

// SAFETY: a guest's CPUs touch it by raw pointers, each what is its own.
unsafe impl<T> Sync for Shared<T> {}

/// The stacks, one after the other.
pub static STACKS: Shared<[u8; CPUS * STACK_SIZE]> =
    Shared(UnsafeCell::new([0; CPUS * STACK_SIZE]));

static MAIN: AtomicU32 = AtomicU32::new(0);
/// CPU 1 executes, or did, since it was started last.
static ARRIVED: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    fn secondary_start();
}

/// The physical address where PSCI is to start another CPU.
pub fn entry() -> u32 {
    secondary_start as *const () as u32
}

/// Starts CPU 1 with a function; it turns itself off when that returns. PSCI's result.
pub fn start(main: fn()) -> i32 {
    MAIN.store(main as usize as u32, Ordering::SeqCst);
    ARRIVED.store(0, Ordering::SeqCst);
    psci::call(function::CPU_ON, 1, entry(), 1)
}

/// Waits until CPU 1, once started, is off.
pub fn wait_off() {
    // It may count as off until it executes: CPU_ON only asks for it (Arm DEN 0022, 5.1.4).
    while ARRIVED.load(Ordering::SeqCst) == 0 {
        core::hint::spin_loop();
    }
    while psci::call(function::AFFINITY_INFO, 1, 0, 0) != 1 {
        core::hint::spin_loop();
    }
}

pub(crate) extern "C" fn secondary_main() -> ! {
    ARRIVED.store(1, Ordering::SeqCst);
    // SAFETY: what `start` stored.
    let main: fn() = unsafe { core::mem::transmute(MAIN.load(Ordering::SeqCst) as usize) };
    main();
    psci::call(function::CPU_OFF, 0, 0, 0);
    panic!("a CPU that is off executes");
}

/// A step that one CPU takes after another.
pub struct Turn(AtomicU32);

impl Turn {
    /// Turn 0.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Turn(AtomicU32::new(0))
    }

    /// Waits for a turn.
    pub fn wait(&self, turn: u32) {
        while self.0.load(Ordering::SeqCst) < turn {
            core::hint::spin_loop();
        }
    }

    /// Announces a turn.
    pub fn set(&self, turn: u32) {
        self.0.store(turn, Ordering::SeqCst);
    }
}
