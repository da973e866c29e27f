//! System registers, each in one place, by the manual's names (B4.1, in alphabetical order; the
//! generic timer's B8.2). Reading one is safe. Writing is safe where no value can break memory safety
//! of the hypervisor, that is everywhere but for the registers of Hyp mode's own translation.

use core::arch::asm;

macro_rules! register {
    ($(#[$doc:meta])* $name:ident, $place:literal) => {
        $(#[$doc])*
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;

            /// Reads the register.
            #[inline(always)]
            #[allow(dead_code)]
            pub fn read() -> u32 {
                let value: u32;
                // SAFETY: reading has no side effect.
                unsafe { asm!(concat!("mrc ", $place), out(reg) value, options(nostack, preserves_flags)) };
                value
            }

            /// Writes the register.
            #[inline(always)]
            #[allow(dead_code)]
            pub fn write(value: u32) {
                // SAFETY: this is no register of Hyp mode's own translation; what guests and
                // devices can do by it is confined by stage 2 and checked where it comes back.
                unsafe { asm!(concat!("mcr ", $place), in(reg) value, options(nostack, preserves_flags)) };
            }
        }
    };
}

macro_rules! register64 {
    ($(#[$doc:meta])* $name:ident, $place:literal) => {
        $(#[$doc])*
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;

            /// Reads the register.
            #[inline(always)]
            #[allow(dead_code)]
            pub fn read() -> u64 {
                let (low, high): (u32, u32);
                // SAFETY: reading has no side effect.
                unsafe {
                    asm!(concat!("mrrc ", $place), out(reg) low, out(reg) high,
                        options(nostack, preserves_flags));
                };
                u64::from(high) << 32 | u64::from(low)
            }

            /// Writes the register.
            #[inline(always)]
            #[allow(dead_code)]
            pub fn write(value: u64) {
                // SAFETY: as in `register!`.
                unsafe {
                    asm!(concat!("mcrr ", $place), in(reg) value as u32,
                        in(reg) (value >> 32) as u32, options(nostack, preserves_flags));
                };
            }
        }
    };
}

// Identification.
register!(
    #[doc = "MIDR."]
    midr,
    "p15, 0, {}, c0, c0, 0"
);
register!(
    #[doc = "MPIDR."]
    mpidr,
    "p15, 0, {}, c0, c0, 5"
);
// Hyp mode.
register!(
    #[doc = "HSR: why Hyp mode was entered."]
    hsr,
    "p15, 4, {}, c5, c2, 0"
);
register!(
    #[doc = "HDFAR: virtual address of a data abort."]
    hdfar,
    "p15, 4, {}, c6, c0, 0"
);
register!(
    #[doc = "HIFAR: virtual address of a prefetch abort."]
    hifar,
    "p15, 4, {}, c6, c0, 2"
);
register!(
    #[doc = "HPFAR: intermediate physical page of a stage-2 fault."]
    hpfar,
    "p15, 4, {}, c6, c0, 4"
);

// Identification as guests read it.
register!(
    #[doc = "VPIDR: MIDR as guests read it."]
    vpidr,
    "p15, 4, {}, c0, c0, 0"
);
register!(
    #[doc = "VMPIDR: MPIDR as guests read it."]
    vmpidr,
    "p15, 4, {}, c0, c0, 5"
);
// Traps; see [`skep_hyp::spec`].
register!(
    #[doc = "HCPTR: coprocessor traps."]
    hcptr,
    "p15, 4, {}, c1, c1, 2"
);
register!(
    #[doc = "HDCR: debug and performance monitor traps."]
    hdcr,
    "p15, 4, {}, c1, c1, 1"
);
register!(
    #[doc = "HSTR: traps of whole CP15 rows."]
    hstr,
    "p15, 4, {}, c1, c1, 3"
);
register!(
    #[doc = "CNTHCTL: traps of the physical timer."]
    cnthctl,
    "p15, 4, {}, c14, c1, 0"
);
// The PL1&0 registers of the guest that is loaded.
register!(
    #[doc = "SCTLR."]
    sctlr,
    "p15, 0, {}, c1, c0, 0"
);
register!(
    #[doc = "ACTLR."]
    actlr,
    "p15, 0, {}, c1, c0, 1"
);
register!(
    #[doc = "CPACR."]
    cpacr,
    "p15, 0, {}, c1, c0, 2"
);
register!(
    #[doc = "CSSELR."]
    csselr,
    "p15, 2, {}, c0, c0, 0"
);
register!(
    #[doc = "TTBCR."]
    ttbcr,
    "p15, 0, {}, c2, c0, 2"
);
register!(
    #[doc = "DACR."]
    dacr,
    "p15, 0, {}, c3, c0, 0"
);
register!(
    #[doc = "DFSR."]
    dfsr,
    "p15, 0, {}, c5, c0, 0"
);
register!(
    #[doc = "IFSR."]
    ifsr,
    "p15, 0, {}, c5, c0, 1"
);
register!(
    #[doc = "ADFSR."]
    adfsr,
    "p15, 0, {}, c5, c1, 0"
);
register!(
    #[doc = "AIFSR."]
    aifsr,
    "p15, 0, {}, c5, c1, 1"
);
register!(
    #[doc = "DFAR."]
    dfar,
    "p15, 0, {}, c6, c0, 0"
);
register!(
    #[doc = "IFAR."]
    ifar,
    "p15, 0, {}, c6, c0, 2"
);
register!(
    #[doc = "PRRR, MAIR0."]
    mair0,
    "p15, 0, {}, c10, c2, 0"
);
register!(
    #[doc = "NMRR, MAIR1."]
    mair1,
    "p15, 0, {}, c10, c2, 1"
);
register!(
    #[doc = "AMAIR0."]
    amair0,
    "p15, 0, {}, c10, c3, 0"
);
register!(
    #[doc = "AMAIR1."]
    amair1,
    "p15, 0, {}, c10, c3, 1"
);
register!(
    #[doc = "VBAR."]
    vbar,
    "p15, 0, {}, c12, c0, 0"
);
register!(
    #[doc = "CONTEXTIDR."]
    contextidr,
    "p15, 0, {}, c13, c0, 1"
);
register!(
    #[doc = "TPIDRURW."]
    tpidrurw,
    "p15, 0, {}, c13, c0, 2"
);
register!(
    #[doc = "TPIDRURO."]
    tpidruro,
    "p15, 0, {}, c13, c0, 3"
);
register!(
    #[doc = "TPIDRPRW."]
    tpidrprw,
    "p15, 0, {}, c13, c0, 4"
);
register!(
    #[doc = "CNTKCTL."]
    cntkctl,
    "p15, 0, {}, c14, c1, 0"
);
register!(
    #[doc = "CNTV_CTL: the virtual timer."]
    cntv_ctl,
    "p15, 0, {}, c14, c3, 1"
);
register!(
    #[doc = "CNTP_CTL: the physical timer."]
    cntp_ctl,
    "p15, 0, {}, c14, c2, 1"
);
register!(
    #[doc = "CNTHP_CTL: the hypervisor's timer."]
    cnthp_ctl,
    "p15, 4, {}, c14, c2, 1"
);
register!(
    #[doc = "TEECR."]
    teecr,
    "p14, 6, {}, c0, c0, 0"
);
register!(
    #[doc = "TEEHBR."]
    teehbr,
    "p14, 6, {}, c1, c0, 0"
);
register!(
    #[doc = "CNTFRQ: ticks of the counter in a second."]
    cntfrq,
    "p15, 0, {}, c14, c0, 0"
);
// Address translation for the guest that is loaded; the result is in PAR.
register!(
    #[doc = "ATS1CPR: stage 1, privileged read."]
    ats1cpr,
    "p15, 0, {}, c7, c8, 0"
);
register!(
    #[doc = "ATS1CPW: stage 1, privileged write."]
    ats1cpw,
    "p15, 0, {}, c7, c8, 1"
);
register!(
    #[doc = "ATS1CUR: stage 1, unprivileged read."]
    ats1cur,
    "p15, 0, {}, c7, c8, 2"
);
register!(
    #[doc = "ATS1CUW: stage 1, unprivileged write."]
    ats1cuw,
    "p15, 0, {}, c7, c8, 3"
);
register!(
    #[doc = "ATS12NSOPR: both stages, privileged read."]
    ats12nsopr,
    "p15, 0, {}, c7, c8, 4"
);
register!(
    #[doc = "ATS12NSOUR: both stages, unprivileged read."]
    ats12nsour,
    "p15, 0, {}, c7, c8, 6"
);
// Caches.
register!(
    #[doc = "DCCIMVAC: cleans and invalidates a line of the data caches to the point of coherency."]
    dccimvac,
    "p15, 0, {}, c7, c14, 1"
);
register!(
    #[doc = "ICIALLU: invalidates the instruction cache."]
    iciallu,
    "p15, 0, {}, c7, c5, 0"
);
// 64 bits.
register64!(
    #[doc = "TTBR0."]
    ttbr0,
    "p15, 0, {}, {}, c2"
);
register64!(
    #[doc = "TTBR1."]
    ttbr1,
    "p15, 1, {}, {}, c2"
);
register64!(
    #[doc = "PAR."]
    par,
    "p15, 0, {}, {}, c7"
);
register64!(
    #[doc = "CNTPCT: the physical counter."]
    cntpct,
    "p15, 0, {}, {}, c14"
);
register64!(
    #[doc = "CNTV_CVAL: when the virtual timer fires."]
    cntv_cval,
    "p15, 3, {}, {}, c14"
);
register64!(
    #[doc = "CNTP_CVAL: when the physical timer fires."]
    cntp_cval,
    "p15, 2, {}, {}, c14"
);
register64!(
    #[doc = "CNTHP_CVAL: when the hypervisor's timer fires."]
    cnthp_cval,
    "p15, 6, {}, {}, c14"
);
register64!(
    #[doc = "CNTVOFF: physical minus virtual counter."]
    cntvoff,
    "p15, 4, {}, {}, c14"
);

/// Switches stage 2 to a VM's tables, with all traps of `hcr`.
///
/// # Safety
///
/// The tables give access to nothing but what is the VM's, and `hcr` has HCR.VM.
pub unsafe fn set_stage2(root: u64, vmid: u8, hcr: u32) {
    let vttbr = root | u64::from(vmid) << 48;
    // SAFETY: by this function's contract.
    unsafe {
        asm!(
            "mcr p15, 4, {vtcr}, c2, c1, 2",
            "mcrr p15, 6, {low}, {high}, c2",
            "mcr p15, 4, {hcr}, c1, c1, 0",
            "isb",
            vtcr = in(reg) skep_hyp::spec::VTCR,
            low = in(reg) vttbr as u32,
            high = in(reg) (vttbr >> 32) as u32,
            hcr = in(reg) hcr,
            options(nostack, preserves_flags)
        );
    }
}

/// Drops the translations of all VMs on this core.
pub fn drop_all_guest_translations() {
    // SAFETY: TLBIALLNSNH only makes the hardware walk tables again.
    unsafe {
        asm!(
            "dsb",
            "mcr p15, 4, {zero}, c8, c7, 4",
            "dsb",
            "isb",
            zero = in(reg) 0,
            options(nostack, preserves_flags)
        );
    }
}

/// Drops what this core has of the VM whose stage 2 is set: translations, and instructions in
/// caches.
pub fn drop_translations_of_vm() {
    // SAFETY: TLBIALL, which in Hyp mode is for the PL1&0 regime with the current VMID (manual
    // B3.10.5), and ICIALLU only make the hardware look again.
    unsafe {
        asm!(
            "dsb",
            "mcr p15, 0, {zero}, c8, c7, 0",
            "mcr p15, 0, {zero}, c7, c5, 0",
            "dsb",
            "isb",
            zero = in(reg) 0,
            options(nostack, preserves_flags)
        );
    }
}

/// CLREX: an exclusive store of another vCPU must not succeed by the reservation of this one.
pub fn clear_exclusive() {
    // SAFETY: a hint to the monitor of this core.
    unsafe { asm!("clrex", options(nostack, preserves_flags)) };
}

/// Reads HSCTLR.
pub fn hsctlr() -> u32 {
    let value: u32;
    // SAFETY: reading has no side effect.
    unsafe { asm!("mrc p15, 4, {}, c1, c0, 0", out(reg) value, options(nostack, preserves_flags)) };
    value
}

/// Switches Hyp mode's translation to other tables, with WXN: nothing writable can be executed.
///
/// # Safety
///
/// The tables map the running code, its stack, all data in use and the vectors as they were.
pub unsafe fn set_hyp_tables(root: u64) {
    let control = hsctlr() | skep_hyp::spec::hsctlr::WXN;
    // SAFETY: by this function's contract what runs goes on running.
    unsafe {
        asm!(
            "dsb",
            "mcrr p15, 4, {low}, {high}, c2",
            "isb",
            "mcr p15, 4, {low}, c8, c7, 0",
            "dsb",
            "isb",
            "mcr p15, 4, {control}, c1, c0, 0",
            "isb",
            low = in(reg) root as u32,
            high = in(reg) (root >> 32) as u32,
            control = in(reg) control,
        );
    }
}

/// Switches the PL1&0 regime to other tables of the long-descriptor format: for the report of a
/// wrong mode only.
///
/// # Safety
///
/// As [`set_hyp_tables`].
pub unsafe fn set_pl1_tables(root: u64) {
    // SAFETY: by this function's contract what runs goes on running.
    unsafe {
        asm!(
            "dsb",
            "mcrr p15, 0, {low}, {high}, c2",
            "isb",
            "mcr p15, 0, {low}, c8, c7, 0",
            "dsb",
            "isb",
            low = in(reg) root as u32,
            high = in(reg) (root >> 32) as u32,
        );
    }
}

/// Sets HVBAR.
///
/// # Safety
///
/// `vectors` is the address of eight A32 instructions that handle Hyp mode's exceptions.
pub unsafe fn set_hvbar(vectors: u32) {
    // SAFETY: by this function's contract.
    unsafe { asm!("mcr p15, 4, {}, c12, c0, 0", "isb", in(reg) vectors, options(nostack)) };
}

/// DSB: what was written is seen by table walks and devices.
#[inline(always)]
pub fn dsb() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb", options(nostack, preserves_flags)) };
}

/// ISB: changes of system registers are seen by the instructions that follow.
#[inline(always)]
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// WFI: until an interrupt is pending, masked or not.
pub fn wfi() {
    // SAFETY: a hint.
    unsafe { asm!("dsb", "wfi", options(nostack, preserves_flags)) };
}
