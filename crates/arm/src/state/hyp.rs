//! Registers of the Virtualization Extensions (manual B4.1, PL2).

/// What Hyp mode's system control registers hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hyp {
    /// Hyp Configuration Register.
    pub hcr: u32,
    /// Hyp Debug Configuration Register.
    pub hdcr: u32,
    /// Hyp Coprocessor Trap Register.
    pub hcptr: u32,
    /// Hyp System Trap Register.
    pub hstr: u32,
    /// Hyp Auxiliary Configuration Register.
    pub hacr: u32,
    /// Hyp System Control Register.
    pub hsctlr: u32,
    /// Hyp Auxiliary Control Register.
    pub hactlr: u32,
    /// Hyp Translation Control Register.
    pub htcr: u32,
    /// Hyp Translation Table Base Register.
    pub httbr: u64,
    /// Virtualization Translation Control Register.
    pub vtcr: u32,
    /// Virtualization Translation Table Base Register.
    pub vttbr: u64,
    /// Hyp Memory Attribute Indirection Register 0.
    pub hmair0: u32,
    /// Hyp Memory Attribute Indirection Register 1.
    pub hmair1: u32,
    /// Hyp Auxiliary Memory Attribute Indirection Register 0.
    pub hamair0: u32,
    /// Hyp Auxiliary Memory Attribute Indirection Register 1.
    pub hamair1: u32,
    /// Hyp Auxiliary Data Fault Status Register.
    pub hadfsr: u32,
    /// Hyp Auxiliary Instruction Fault Status Register.
    pub haifsr: u32,
    /// Hyp Syndrome Register.
    pub hsr: u32,
    /// Hyp Data Fault Address Register.
    pub hdfar: u32,
    /// Hyp Instruction Fault Address Register.
    pub hifar: u32,
    /// Hyp IPA Fault Address Register.
    pub hpfar: u32,
    /// Hyp Vector Base Address Register.
    pub hvbar: u32,
    /// Hyp Software Thread ID Register.
    pub htpidr: u32,
    /// Virtualization Processor ID Register: MIDR as PL1 reads it.
    pub vpidr: u32,
    /// Virtualization Multiprocessor ID Register: MPIDR as PL1 reads it.
    pub vmpidr: u32,
}
