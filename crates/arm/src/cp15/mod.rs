//! The system control coprocessor (CP15), CP14, the performance monitors and the generic timer.

/// System control registers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cp15 {
    /// SCTLR (manual B4.1.130).
    pub sctlr: u32,
}

/// Generic timer registers (manual chapter B8).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timer {
    /// CNTFRQ, Hz.
    pub cntfrq: u32,
    /// CNTKCTL.
    pub cntkctl: u32,
    /// CNTVOFF.
    pub cntvoff: u64,
    /// CNTP_CTL (ENABLE, IMASK; ISTATUS is computed).
    pub cntp_ctl: u32,
    /// CNTP_CVAL.
    pub cntp_cval: u64,
    /// CNTV_CTL.
    pub cntv_ctl: u32,
    /// CNTV_CVAL.
    pub cntv_cval: u64,
    /// CNTHCTL.
    pub cnthctl: u32,
    /// CNTHP_CTL.
    pub cnthp_ctl: u32,
    /// CNTHP_CVAL.
    pub cnthp_cval: u64,
}
