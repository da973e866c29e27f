//! Function identifiers and return codes of PSCI and of the SMC Calling Convention. Arm DEN 0022D,
//! "Power State Coordination Interface", chapter 5; Arm DEN 0028C, "SMC Calling Convention",
//! chapter 7. Only the 32-bit calls exist for AArch32 callers.

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
/// MIGRATE.
pub const MIGRATE: u32 = 0x8400_0005;
/// MIGRATE_INFO_TYPE.
pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
/// MIGRATE_INFO_UP_CPU.
pub const MIGRATE_INFO_UP_CPU: u32 = 0x8400_0007;
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

/// PSCI 0.1 left the identifiers to the platform: QEMU's CPU_SUSPEND.
pub const QEMU_0_1_CPU_SUSPEND: u32 = 0x95c1_ba5e;
/// QEMU's PSCI 0.1 CPU_OFF.
pub const QEMU_0_1_CPU_OFF: u32 = 0x95c1_ba5f;
/// QEMU's PSCI 0.1 CPU_ON.
pub const QEMU_0_1_CPU_ON: u32 = 0x95c1_ba60;
/// QEMU's PSCI 0.1 MIGRATE.
pub const QEMU_0_1_MIGRATE: u32 = 0x95c1_ba61;

/// PSCI 1.1.
pub const VERSION_1_1: u32 = 0x0001_0001;
/// SMCCC 1.1.
pub const SMCCC_1_1: u32 = 0x0001_0001;
/// MIGRATE_INFO_TYPE: there is no Trusted OS that would have to be migrated.
pub const TOS_NOT_PRESENT_MP: u32 = 2;

/// AFFINITY_INFO: on.
pub const AFFINITY_ON: u32 = 0;
/// AFFINITY_INFO: off.
pub const AFFINITY_OFF: u32 = 1;
/// AFFINITY_INFO: on its way to on.
pub const AFFINITY_ON_PENDING: u32 = 2;

/// Bits of CPU_SUSPEND's power_state that the original format reserves, or that name an affinity
/// level above the CPU: with PSCI_FEATURES saying "original format", they must be zero.
pub const POWER_STATE_UNSUPPORTED: u32 = 0xfffe_0000;

/// Return codes (5.2.2), as signed values in r0.
pub mod code {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// No such function.
    pub const NOT_SUPPORTED: i32 = -1;
    /// A parameter is wrong, for instance the CPU does not exist.
    pub const INVALID_PARAMETERS: i32 = -2;
    /// The CPU is on.
    pub const ALREADY_ON: i32 = -4;
    /// The CPU is on its way to on.
    pub const ON_PENDING: i32 = -5;
    /// The entry point is not an address that can be run.
    pub const INVALID_ADDRESS: i32 = -9;
}
