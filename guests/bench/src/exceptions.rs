//! Exceptions that are taken and returned from as fast as it goes.

use crate::loops::Loop;
use core::arch::global_asm;
use guest_support::gic::{enable, gicd, set_bit, set_d};
use guest_support::{board, mcr};

// Both loops use these vectors. SVC: returns, until r0 is 0, when it ends the loop in Supervisor
// mode. IRQ: acknowledges the interrupt, ends it and counts it in r5, which nothing else uses.
global_asm!(
    ".text",
    ".arm",
    ".balign 32",
    ".global bench_vectors",
    "bench_vectors:",
    "    b .",
    "    b .",
    "    b 2f",
    "    b .",
    "    b .",
    "    b .",
    "    b 3f",
    "    b .",
    "2:  cmp r0, #0",
    "    movsne pc, lr",
    "    pop {{r4-r11, pc}}",
    "3:  movw r8, #:lower16:{cpu_interface}",
    "    movt r8, #:upper16:{cpu_interface}",
    "    ldr r9, [r8, #0x0c]",
    "    str r9, [r8, #0x10]",
    "    add r5, r5, #1",
    "    subs pc, lr, #4",
    ".global loop_svc",
    "loop_svc:",
    "    push {{r4-r11, lr}}",
    "    cps #0x10",
    "1:  subs r0, r0, #1",
    "    svc #0",
    "    b 1b",
    ".global loop_interrupt",
    "loop_interrupt:",
    "    push {{r4-r11, lr}}",
    "    mov r5, #0",
    "    movw r6, #:lower16:{distributor}",
    "    movt r6, #:upper16:{distributor}",
    // Software-generated interrupt 0, to this CPU.
    "    mov r7, #0x02000000",
    "    cpsie i",
    "1:  add r4, r5, #1",
    "    str r7, [r6, #0xf00]",
    "2:  cmp r4, r5",
    "    bne 2b",
    "    subs r0, r0, #1",
    "    bne 1b",
    "    cpsid i",
    "    pop {{r4-r11, pc}}",
    cpu_interface = const board::GICC,
    distributor = const board::GICD,
);

unsafe extern "C" {
    static bench_vectors: [u32; 8];
    fn loop_svc(times: u32, memory: u32);
    fn loop_interrupt(times: u32, memory: u32);
}

/// The loops.
pub const LOOPS: &[Loop] = &[
    Loop {
        name: "svc",
        operations: 1,
        run: loop_svc,
    },
    Loop {
        name: "interrupt",
        operations: 1,
        run: loop_interrupt,
    },
];

/// Makes them ready: the vectors, and the interrupt controller.
pub fn prepare() {
    mcr!("p15, 0, {}, c12, c0, 0", &raw const bench_vectors as u32);
    enable();
    set_bit(gicd::ISENABLER, 0);
    set_d(gicd::IPRIORITYR, 0);
}
