//! Calls to the board's firmware (Arm DEN 0022D).

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use skep_board::psci::spec;

/// The board has firmware that takes calls by SMC. Without, SMC is undefined.
static PRESENT: AtomicBool = AtomicBool::new(false);

/// Tells that the board has firmware with PSCI by SMC.
pub fn init() {
    PRESENT.store(true, Ordering::Release);
}

/// SMC with PSCI's function and arguments; returns r0.
fn smc(function: u32, arguments: [u32; 3]) -> i32 {
    if !PRESENT.load(Ordering::Acquire) {
        return spec::code::NOT_SUPPORTED;
    }
    let result: u32;
    // SAFETY: firmware keeps the registers that its calling convention says (Arm DEN 0028), and has
    // no business with the hypervisor's memory.
    unsafe {
        asm!(
            ".arch_extension sec",
            "dsb",
            "smc #0",
            inlateout("r0") function => result,
            inlateout("r1") arguments[0] => _,
            inlateout("r2") arguments[1] => _,
            inlateout("r3") arguments[2] => _,
            lateout("r12") _,
        );
    }
    result as i32
}

/// Starts the core with this affinity at a physical address, with `context` in r0.
pub fn cpu_on(affinity: u32, entry: u32, context: u32) -> Result<(), i32> {
    match smc(spec::CPU_ON, [affinity, entry, context]) {
        spec::code::SUCCESS => Ok(()),
        error => Err(error),
    }
}

/// Switches the board off. Returns if the firmware can't.
pub fn system_off() {
    smc(spec::SYSTEM_OFF, [0; 3]);
}
