//! Exception vectors.
//!
//! There are two tables. *Recording* vectors note all registers in the CPU's [`Area`] and end the
//! [probe](crate::probe) that is running. *Service* vectors do the same, but IRQ and FIQ call the
//! function that [`serve`] was given, nested if that unmasks them, and return.
//!
//! Vectors are entered in whatever instruction set and byte order SCTLR.TE and SCTLR.EE say, so each
//! begins with SETEND, and there are Thumb twins.

use crate::smp::{CPUS, Shared};
use crate::{mcr, mrc, println, psci};
use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

/// Which vector an exception was taken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum Vector {
    Reset,
    Undefined,
    Svc,
    PrefetchAbort,
    DataAbort,
    Hyp,
    Irq,
    Fiq,
}

/// What a CPU knows about the latest exception. TPIDRPRW points to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Area {
    /// r0 to r12 as they were.
    pub r: [u32; 13],
    /// LR of the exception's mode.
    pub lr: u32,
    /// SPSR of the exception's mode.
    pub spsr: u32,
    /// CPSR at the vector.
    pub cpsr: u32,
    /// The vector's number.
    pub vector: u32,
    /// 1 if the vector was executed as Thumb.
    pub thumb: u32,
    /// Where the running probe's stack is; 0: none runs.
    pub(crate) probe_sp: u32,
    /// CPSR of whoever started the probe.
    pub(crate) probe_cpsr: u32,
    /// SP and LR of User mode.
    pub user: [u32; 2],
    /// The function that service vectors call, with the vector's number.
    service: u32,
}

/// The areas of all CPUs.
static AREAS: Shared<[Area; CPUS]> = Shared(UnsafeCell::new(
    [Area {
        r: [0; 13],
        lr: 0,
        spsr: 0,
        cpsr: 0,
        vector: 0,
        thumb: 0,
        probe_sp: 0,
        probe_cpsr: 0,
        user: [0; 2],
        service: 0,
    }; CPUS],
));

unsafe extern "C" {
    static record_vectors: [u32; 8];
    static record_vectors_thumb: [u32; 8];
    static service_vectors: [u32; 8];
}

global_asm!(
    // r0 is what every path scratches: User mode's thread registers keep it and CPSR.
    ".macro begin_record vector, thumb",
    "    setend le",
    "    mcr p15, 0, r0, c13, c0, 2",
    "    mrc p15, 0, r0, c13, c0, 4",
    "    add r0, r0, #4",
    "    stm r0!, {{r1-r7}}",
    "    str r8, [r0], #4",
    "    str r9, [r0], #4",
    "    str r10, [r0], #4",
    "    str r11, [r0], #4",
    "    str r12, [r0], #4",
    "    mov r1, #\\vector",
    "    mov r2, #\\thumb",
    "    b record_common",
    ".endm",
    // CPSR is read before SETEND changes it.
    ".macro note_cpsr",
    "    mcr p15, 0, r0, c13, c0, 2",
    "    mrs r0, cpsr",
    "    mcr p15, 0, r0, c13, c0, 3",
    "    mrc p15, 0, r0, c13, c0, 2",
    ".endm",
    ".text",
    ".arm",
    ".balign 32",
    ".global record_vectors",
    "record_vectors:",
    "    b 10f",
    "    b 11f",
    "    b 12f",
    "    b 13f",
    "    b 14f",
    "    b 15f",
    "    b 16f",
    "    b 17f",
    ".balign 32",
    ".global service_vectors",
    "service_vectors:",
    "    b 10f",
    "    b 11f",
    "    b 12f",
    "    b 13f",
    "    b 14f",
    "    b 15f",
    "    b 26f",
    "    b 27f",
    "10: note_cpsr",
    "    begin_record 0, 0",
    "11: note_cpsr",
    "    begin_record 1, 0",
    "12: note_cpsr",
    "    begin_record 2, 0",
    "13: note_cpsr",
    "    begin_record 3, 0",
    "14: note_cpsr",
    "    begin_record 4, 0",
    "15: note_cpsr",
    "    begin_record 5, 0",
    "16: note_cpsr",
    "    begin_record 6, 0",
    "17: note_cpsr",
    "    begin_record 7, 0",
    ".macro service vector",
    "    sub lr, lr, #4",
    "    srsdb sp!, #0x13",
    "    cps #0x13",
    "    push {{r0-r3, r12, lr}}",
    "    mov r0, #\\vector",
    "    and r1, sp, #4",
    "    sub sp, sp, r1",
    "    push {{r1, r2}}",
    "    mrc p15, 0, r1, c13, c0, 4",
    "    ldr r1, [r1, #{service}]",
    "    blx r1",
    "    pop {{r1, r2}}",
    "    add sp, sp, r1",
    "    pop {{r0-r3, r12, lr}}",
    "    rfeia sp!",
    ".endm",
    "26: service 6",
    "27: service 7",
    // r1: vector, r2: Thumb. r0 to r12 but r0 are in the area.
    "record_common:",
    "    mrc p15, 0, r0, c13, c0, 4",
    "    mrc p15, 0, r3, c13, c0, 2",
    "    str r3, [r0]",
    "    str lr, [r0, #{lr}]",
    "    mrs r3, spsr",
    "    str r3, [r0, #{spsr}]",
    "    mrc p15, 0, r3, c13, c0, 3",
    "    str r3, [r0, #{cpsr}]",
    "    str r1, [r0, #{vector}]",
    "    str r2, [r0, #{thumb}]",
    "    ldr r3, [r0, #{probe_sp}]",
    "    cps #0x1f",
    "    str sp, [r0, #{user}]",
    "    str lr, [r0, #{user} + 4]",
    "    cps #0x13",
    // The exception's mode may have had registers of its own.
    "    str r8, [r0, #32]",
    "    str r9, [r0, #36]",
    "    str r10, [r0, #40]",
    "    str r11, [r0, #44]",
    "    str r12, [r0, #48]",
    "    cmp r3, #0",
    "    beq {unexpected}",
    "    mov sp, r3",
    "    mov r3, #0",
    "    str r3, [r0, #{probe_sp}]",
    "    ldr r3, [r0, #{probe_cpsr}]",
    "    msr cpsr_fsxc, r3",
    "    pop {{r4-r11, pc}}",
    ".thumb",
    ".balign 32",
    ".global record_vectors_thumb",
    "record_vectors_thumb:",
    "    b.w 10f",
    "    b.w 11f",
    "    b.w 12f",
    "    b.w 13f",
    "    b.w 14f",
    "    b.w 15f",
    "    b.w 16f",
    "    b.w 17f",
    ".macro thumb_record vector",
    "    note_cpsr",
    "    mov r0, pc",
    "    bx r0",
    ".arm",
    "    mrc p15, 0, r0, c13, c0, 2",
    "    begin_record \\vector, 1",
    ".thumb",
    ".endm",
    ".balign 4",
    "10: thumb_record 0",
    ".balign 4",
    "11: thumb_record 1",
    ".balign 4",
    "12: thumb_record 2",
    ".balign 4",
    "13: thumb_record 3",
    ".balign 4",
    "14: thumb_record 4",
    ".balign 4",
    "15: thumb_record 5",
    ".balign 4",
    "16: thumb_record 6",
    ".balign 4",
    "17: thumb_record 7",
    ".arm",
    lr = const offset_of!(Area, lr),
    spsr = const offset_of!(Area, spsr),
    cpsr = const offset_of!(Area, cpsr),
    vector = const offset_of!(Area, vector),
    thumb = const offset_of!(Area, thumb),
    probe_sp = const offset_of!(Area, probe_sp),
    probe_cpsr = const offset_of!(Area, probe_cpsr),
    user = const offset_of!(Area, user),
    service = const offset_of!(Area, service),
    unexpected = sym unexpected,
);

/// This CPU's area.
pub(crate) fn area() -> *mut Area {
    mrc!("p15, 0, {}, c13, c0, 4") as *mut Area
}

/// Gives a CPU its area and the recording vectors.
pub(crate) extern "C" fn init(cpu: u32) {
    let areas = AREAS.0.get().cast::<Area>();
    mcr!(
        "p15, 0, {}, c13, c0, 4",
        areas.wrapping_add(cpu as usize) as u32
    );
    record();
}

/// Switches to the recording vectors.
pub fn record() {
    mcr!("p15, 0, {}, c12, c0, 0", &raw const record_vectors as u32);
}

/// Switches to the recording vectors in Thumb, for SCTLR.TE.
pub fn record_thumb() {
    mcr!(
        "p15, 0, {}, c12, c0, 0",
        &raw const record_vectors_thumb as u32
    );
}

/// The address of the recording vectors.
pub fn recording_table() -> u32 {
    &raw const record_vectors as u32
}

/// Switches to the service vectors: IRQ and FIQ call a function with the vector.
pub fn serve(f: extern "C" fn(vector: Vector)) {
    // SAFETY: this CPU's own area.
    unsafe { (*area()).service = f as *const () as u32 };
    mcr!("p15, 0, {}, c12, c0, 0", &raw const service_vectors as u32);
}

extern "C" fn unexpected(area: &Area) -> ! {
    println!(
        "unexpected exception: vector {} lr {:08x} spsr {:08x} dfsr {:x} dfar {:08x} ifsr {:x} ifar {:08x}",
        area.vector,
        area.lr,
        area.spsr,
        mrc!("p15, 0, {}, c5, c0, 0"),
        mrc!("p15, 0, {}, c6, c0, 0"),
        mrc!("p15, 0, {}, c5, c0, 1"),
        mrc!("p15, 0, {}, c6, c0, 2"),
    );
    psci::system_off()
}
