//! From the machine's start to the guest's `main`.

use crate::{psci, smp, vectors};
use core::arch::global_asm;

// The boot CPU and, by PSCI, the others start here in Supervisor mode without translation, with
// r0 as the number of the CPU for the others. Every CPU has its stack and its area.
global_asm!(
    ".section .text.start, \"ax\"",
    ".arm",
    ".global _start",
    "_start:",
    "    cpsid aif, #0x13",
    "    ldr r0, =__bss_start",
    "    ldr r1, =__bss_end",
    "    mov r2, #0",
    "0:  cmp r0, r1",
    "    strlo r2, [r0], #4",
    "    blo 0b",
    "    ldr sp, ={stacks} + {size}",
    "    mov r0, #0",
    "    bl {init}",
    "    bl guest_main",
    "    b {off}",
    ".global secondary_start",
    "secondary_start:",
    "    cpsid aif, #0x13",
    "    add r1, r0, #1",
    "    mov r2, #{size}",
    "    mul r1, r1, r2",
    "    ldr sp, ={stacks}",
    "    add sp, sp, r1",
    "    push {{r0, lr}}",
    "    bl {init}",
    "    pop {{r0, lr}}",
    "    b {secondary}",
    ".ltorg",
    ".text",
    stacks = sym smp::STACKS,
    size = const smp::STACK_SIZE,
    init = sym vectors::init,
    off = sym psci::system_off,
    secondary = sym smp::secondary_main,
);
