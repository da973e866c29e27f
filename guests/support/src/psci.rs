//! The Power State Coordination Interface, by HVC.

use core::arch::asm;

/// Function identifiers.
#[allow(missing_docs)]
pub mod function {
    pub const VERSION: u32 = 0x8400_0000;
    pub const CPU_SUSPEND: u32 = 0x8400_0001;
    pub const CPU_OFF: u32 = 0x8400_0002;
    pub const CPU_ON: u32 = 0x8400_0003;
    pub const AFFINITY_INFO: u32 = 0x8400_0004;
    pub const MIGRATE: u32 = 0x8400_0005;
    pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    pub const FEATURES: u32 = 0x8400_000a;
}

/// Calls a function: what r0 to r3 hold afterwards.
pub fn call4(function: u32, a: u32, b: u32, c: u32) -> [u32; 4] {
    let mut r = [function, a, b, c];
    // SAFETY: a call to the firmware, which keeps all registers but these.
    unsafe {
        asm!(
            ".arch_extension virt",
            "hvc #0",
            inout("r0") r[0],
            inout("r1") r[1],
            inout("r2") r[2],
            inout("r3") r[3],
        );
    }
    r
}

/// Calls a function: its result.
pub fn call(function: u32, a: u32, b: u32, c: u32) -> i32 {
    call4(function, a, b, c)[0] as i32
}

/// Ends the machine.
pub fn system_off() -> ! {
    call(function::SYSTEM_OFF, 0, 0, 0);
    loop {
        core::hint::spin_loop();
    }
}
