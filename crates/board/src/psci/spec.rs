//! Function identifiers and return values (Arm DEN 0022 chapter 5, DEN 0028 chapter 7).

/// PSCI_VERSION.
pub const PSCI_VERSION: u32 = 0x8400_0000;
/// CPU_SUSPEND.
pub const CPU_SUSPEND: u32 = 0x8400_0001;
/// CPU_OFF.
pub const CPU_OFF: u32 = 0x8400_0002;
/// CPU_ON.
pub const CPU_ON: u32 = 0x8400_0003;
/// AFFINITY_INFO.
pub const AFFINITY_INFO: u32 = 0x8400_0004;
/// MIGRATE_INFO_TYPE.
pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
/// SYSTEM_OFF.
pub const SYSTEM_OFF: u32 = 0x8400_0008;
/// SYSTEM_RESET.
pub const SYSTEM_RESET: u32 = 0x8400_0009;
/// PSCI_FEATURES.
pub const PSCI_FEATURES: u32 = 0x8400_000a;
/// SMCCC_VERSION.
pub const SMCCC_VERSION: u32 = 0x8000_0000;
/// SMCCC_ARCH_FEATURES.
pub const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;

/// Version 1.1.
pub const VERSION_1_1: u32 = 0x0001_0001;
/// Version 1.1 of the calling convention.
pub const SMCCC_1_1: u32 = 0x0001_0001;
/// Success.
pub const SUCCESS: u32 = 0;
/// The function does not exist.
pub const NOT_SUPPORTED: u32 = -1i32 as u32;
/// A parameter is wrong.
pub const INVALID_PARAMETERS: u32 = -2i32 as u32;
/// The CPU is on.
pub const ALREADY_ON: u32 = -4i32 as u32;
/// The CPU is being started.
pub const ON_PENDING: u32 = -5i32 as u32;
/// No trusted operating system that migrates.
pub const MIGRATION_NOT_REQUIRED: u32 = 2;
