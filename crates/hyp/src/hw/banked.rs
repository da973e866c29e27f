//! Registers of the guest that is loaded which are banked by mode (manual B1.3.2): they stay in the
//! processor while the hypervisor runs.

use core::arch::asm;

use skep_arm::Mode;

macro_rules! mrs {
    ($name:literal) => {{
        let value: u32;
        // SAFETY: reads a register that Hyp mode does not use.
        unsafe {
            asm!(".arch_extension virt", concat!("mrs {}, ", $name), out(reg) value,
                options(nostack, nomem, preserves_flags));
        }
        value
    }};
}

macro_rules! msr {
    ($name:literal, $value:expr) => {{
        let value: u32 = $value;
        // SAFETY: writes a register that Hyp mode does not use.
        unsafe {
            asm!(".arch_extension virt", concat!("msr ", $name, ", {}"), in(reg) value,
                options(nostack, nomem, preserves_flags));
        }
    }};
}

/// R8 to R14 (`n`) of a mode, where they are banked; `None` where they are in the exit's frame.
pub fn read(mode: Mode, n: usize) -> Option<u32> {
    Some(match (mode, n) {
        (Mode::User | Mode::System, 13) => mrs!("sp_usr"),
        (Mode::Supervisor, 13) => mrs!("sp_svc"),
        (Mode::Supervisor, 14) => mrs!("lr_svc"),
        (Mode::Abort, 13) => mrs!("sp_abt"),
        (Mode::Abort, 14) => mrs!("lr_abt"),
        (Mode::Undefined, 13) => mrs!("sp_und"),
        (Mode::Undefined, 14) => mrs!("lr_und"),
        (Mode::Irq, 13) => mrs!("sp_irq"),
        (Mode::Irq, 14) => mrs!("lr_irq"),
        (Mode::Fiq, 8) => mrs!("r8_fiq"),
        (Mode::Fiq, 9) => mrs!("r9_fiq"),
        (Mode::Fiq, 10) => mrs!("r10_fiq"),
        (Mode::Fiq, 11) => mrs!("r11_fiq"),
        (Mode::Fiq, 12) => mrs!("r12_fiq"),
        (Mode::Fiq, 13) => mrs!("sp_fiq"),
        (Mode::Fiq, 14) => mrs!("lr_fiq"),
        _ => return None,
    })
}

/// Writes what [`read`] reads; false where the register is in the exit's frame.
pub fn write(mode: Mode, n: usize, value: u32) -> bool {
    match (mode, n) {
        (Mode::User | Mode::System, 13) => msr!("sp_usr", value),
        (Mode::Supervisor, 13) => msr!("sp_svc", value),
        (Mode::Supervisor, 14) => msr!("lr_svc", value),
        (Mode::Abort, 13) => msr!("sp_abt", value),
        (Mode::Abort, 14) => msr!("lr_abt", value),
        (Mode::Undefined, 13) => msr!("sp_und", value),
        (Mode::Undefined, 14) => msr!("lr_und", value),
        (Mode::Irq, 13) => msr!("sp_irq", value),
        (Mode::Irq, 14) => msr!("lr_irq", value),
        (Mode::Fiq, 8) => msr!("r8_fiq", value),
        (Mode::Fiq, 9) => msr!("r9_fiq", value),
        (Mode::Fiq, 10) => msr!("r10_fiq", value),
        (Mode::Fiq, 11) => msr!("r11_fiq", value),
        (Mode::Fiq, 12) => msr!("r12_fiq", value),
        (Mode::Fiq, 13) => msr!("sp_fiq", value),
        (Mode::Fiq, 14) => msr!("lr_fiq", value),
        _ => return false,
    }
    true
}

/// Writes the SPSR of a mode that has one.
pub fn write_spsr(mode: Mode, value: u32) {
    match mode {
        Mode::Supervisor => msr!("spsr_svc", value),
        Mode::Abort => msr!("spsr_abt", value),
        Mode::Undefined => msr!("spsr_und", value),
        Mode::Irq => msr!("spsr_irq", value),
        Mode::Fiq => msr!("spsr_fiq", value),
        _ => {}
    }
}

macro_rules! bank {
    ($($index:literal $name:literal,)*) => {
        /// Names of the registers of a [`Bank`], in its order.
        pub const NAMES: [&str; 21] = [$($name,)*];

        /// Reads all of them.
        pub fn save(bank: &mut Bank) {
            $(bank.0[$index] = mrs!($name);)*
        }

        /// Writes all of them.
        pub fn load(bank: &Bank) {
            $(msr!($name, bank.0[$index]);)*
        }
    };
}

/// All registers that are banked by mode, of a vCPU that is not loaded.
#[derive(Clone, Copy, Default)]
pub struct Bank(pub [u32; 21]);

bank!(
    0 "sp_usr",
    1 "sp_svc",
    2 "lr_svc",
    3 "spsr_svc",
    4 "sp_abt",
    5 "lr_abt",
    6 "spsr_abt",
    7 "sp_und",
    8 "lr_und",
    9 "spsr_und",
    10 "sp_irq",
    11 "lr_irq",
    12 "spsr_irq",
    13 "r8_fiq",
    14 "r9_fiq",
    15 "r10_fiq",
    16 "r11_fiq",
    17 "r12_fiq",
    18 "sp_fiq",
    19 "lr_fiq",
    20 "spsr_fiq",
);
