//! System registers, by their place: `mrc!("p15, 0, {}, c1, c0, 0")`.

/// Reads a coprocessor register; the place of the core register is `{}`.
#[macro_export]
macro_rules! mrc {
    ($place:literal) => {{
        let value: u32;
        // SAFETY: reads a register of the machine that the guest owns.
        unsafe { core::arch::asm!(concat!("mrc ", $place), out(reg) value) };
        value
    }};
}

/// Writes a coprocessor register; what follows sees the effect.
#[macro_export]
macro_rules! mcr {
    ($place:literal, $value:expr) => {{
        let value: u32 = $value;
        // SAFETY: the guest owns its machine, and keeps its own code and data where they are.
        unsafe { core::arch::asm!(concat!("dsb\n mcr ", $place, "\n dsb\n isb"), in(reg) value) };
    }};
}

/// Reads a 64-bit coprocessor register: `mrrc!("p15, 0, {}, {}, c2")`.
#[macro_export]
macro_rules! mrrc {
    ($place:literal) => {{
        let (low, high): (u32, u32);
        // SAFETY: as in `mrc`.
        unsafe { core::arch::asm!(concat!("mrrc ", $place), out(reg) low, out(reg) high) };
        u64::from(high) << 32 | u64::from(low)
    }};
}

/// Writes a 64-bit coprocessor register; what follows sees the effect.
#[macro_export]
macro_rules! mcrr {
    ($place:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: as in `mcr`.
        unsafe {
            core::arch::asm!(
                concat!("dsb\n mcrr ", $place, "\n dsb\n isb"),
                in(reg) value as u32,
                in(reg) (value >> 32) as u32
            )
        };
    }};
}

/// Bits of SCTLR (manual B4.1.130).
#[allow(missing_docs)]
pub mod sctlr {
    pub const M: u32 = 1 << 0;
    pub const A: u32 = 1 << 1;
    pub const C: u32 = 1 << 2;
    pub const SW: u32 = 1 << 10;
    pub const I: u32 = 1 << 12;
    pub const V: u32 = 1 << 13;
    pub const WXN: u32 = 1 << 19;
    pub const UWXN: u32 = 1 << 20;
    pub const EE: u32 = 1 << 25;
    pub const TRE: u32 = 1 << 28;
    pub const AFE: u32 = 1 << 29;
    pub const TE: u32 = 1 << 30;
}

/// SCTLR.
pub fn sctlr() -> u32 {
    mrc!("p15, 0, {}, c1, c0, 0")
}

/// Writes SCTLR.
pub fn set_sctlr(value: u32) {
    mcr!("p15, 0, {}, c1, c0, 0", value)
}

/// Runs something with bits of SCTLR set, which are clear otherwise.
pub fn with_sctlr<T>(bits: u32, f: impl FnOnce() -> T) -> T {
    let before = sctlr();
    set_sctlr(before | bits);
    let result = f();
    set_sctlr(before);
    result
}

/// Drops all translations of this CPU.
pub fn tlbiall() {
    mcr!("p15, 0, {}, c8, c7, 0", 0)
}

/// DSB: stores are visible to translation table walks.
pub fn dsb() {
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("dsb") };
}

/// The low word of the generic timer's count.
pub fn count() -> u32 {
    let low: u32;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("isb", "mrrc p15, 0, {}, {}, c14", out(reg) low, out(reg) _) };
    low
}
