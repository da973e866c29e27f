//! Hyp mode's exception vectors (manual B1.8.1), and the report when the hypervisor itself takes an
//! exception.

use core::arch::global_asm;

use super::{console, cp15};
use skep_hyp::syndrome::Syndrome;

/// A core's registers when the hypervisor took an exception that it never should.
#[repr(C)]
pub struct Wreck {
    vector: u32,
    elr: u32,
    spsr: u32,
    r: [u32; 13],
    lr: u32,
}

global_asm!(
    ".text",
    ".arm",
    ".arch_extension virt",
    ".balign 32",
    ".global hyp_vectors",
    "hyp_vectors:",
    "    b 10f",
    "    b 11f",
    "    b 12f",
    "    b 13f",
    "    b 14f",
    "    b guest_exit_trap",
    "    b guest_exit_interrupt",
    "    b 17f",
    ".macro wreck vector",
    "    push {{r0-r12, lr}}",
    "    mov r1, #\\vector",
    "    b wreck_common",
    ".endm",
    "10: wreck 0",
    "11: wreck 1",
    "12: wreck 2",
    "13: wreck 3",
    "14: wreck 4",
    "17: wreck 7",
    "wreck_common:",
    "    mrs r2, elr_hyp",
    "    mrs r3, spsr",
    "    push {{r1, r2, r3}}",
    "    mov r0, sp",
    "    b {wrecked}",
    wrecked = sym wrecked,
);

unsafe extern "C" {
    static hyp_vectors: [u32; 8];
}

/// Installs the vectors on this core.
pub fn init() {
    // SAFETY: they are above.
    unsafe { cp15::set_hvbar((&raw const hyp_vectors).addr() as u32) };
}

const VECTORS: [&str; 8] = [
    "reset",
    "undefined instruction",
    "HVC",
    "prefetch abort",
    "data abort",
    "trap",
    "IRQ",
    "FIQ",
];

extern "C" fn wrecked(wreck: &Wreck) -> ! {
    let vector = VECTORS.get(wreck.vector as usize).unwrap_or(&"?");
    console::print_last_words(format_args!(
        "\nskep: the hypervisor took an exception: {vector} at {:08x}, cpsr {:08x}, lr {:08x}\n\
         skep: {}, hdfar {:08x}, hifar {:08x}, hpfar {:08x}\n",
        wreck.elr,
        wreck.spsr,
        wreck.lr,
        Syndrome(cp15::hsr::read()),
        cp15::hdfar::read(),
        cp15::hifar::read(),
        cp15::hpfar::read(),
    ));
    for (n, values) in wreck.r.chunks(4).enumerate() {
        let values = crate::shell::Words(values);
        console::print_last_words(format_args!("skep: r{:<2}{values}\n", n * 4));
    }
    crate::stop()
}
