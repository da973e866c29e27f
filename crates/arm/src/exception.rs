//! Exceptions: what they are, and what taking one does to the state (manual B1.8, B1.9).

/// Why an access faulted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum FaultKind {
    Alignment,
    /// Instruction cache maintenance fault.
    IcacheMaintenance,
    /// External abort on a translation table walk.
    WalkExternal,
    Translation,
    AccessFlag,
    Domain,
    Permission,
    /// Synchronous external abort on the access itself.
    External,
    /// Asynchronous external abort.
    AsyncExternal,
    /// BKPT and other debug events.
    Debug,
}

/// A fault that becomes a Prefetch Abort or a Data Abort exception.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// The virtual address, for xFAR.
    pub va: u32,
    /// The level of the table walk that faulted (1 to 3; 0 where there is none).
    pub level: u8,
    /// The domain, 0 in the long-descriptor format.
    pub domain: u8,
    /// The access was a write (WnR).
    pub write: bool,
    /// The access was a cache maintenance or address translation operation.
    pub maintenance: bool,
}

/// An exception that a processor takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Exception {
    Undefined,
    Svc,
    PrefetchAbort(Fault),
    DataAbort(Fault),
    Irq,
    Fiq,
}
