//! From the boot loader to Rust, on every core.
//!
//! The image is linked at a virtual address and loaded at any page of RAM, so what runs before
//! translation is on knows both by their difference. Boot tables map the image to its virtual
//! address, the page of this code to itself, and four megabytes around the device tree; [`super::memory`]
//! makes the final tables. The boot tables stay, for secondary cores.
//!
//! In another mode than Hyp, the same tables are used by the PL1&0 translation regime, so that the
//! same Rust code can say on the serial port what is wrong.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use skep_board::map::MAX_CPUS;
use skep_hyp::spec;

/// Where the image is linked: its 2 MiB of virtual addresses are the hypervisor's own.
pub const IMAGE_BASE: u32 = 0xf000_0000;
/// Bytes of the boot core's stack, and of every other's.
pub const STACK: usize = 32 << 10;

/// SCTLR of the PL1&0 regime with MMU and caches on: only for the report of a wrong mode.
const SCTLR_ON: u32 = 0x00c5_0078 | spec::hsctlr::M | spec::hsctlr::C | spec::hsctlr::I;
/// HSCTLR while the boot tables are in use.
const HSCTLR_BOOT: u32 = spec::hsctlr::ONES
    | spec::hsctlr::CP15BEN
    | spec::hsctlr::M
    | spec::hsctlr::C
    | spec::hsctlr::I;
/// TTBCR: the long-descriptor format, walks as in HTCR.
const TTBCR: u32 = spec::HTCR & !(1 << 23);
/// Normal memory in a table of Hyp mode and of PL1: AF, inner shareable, attribute index 1. AP\[1\]
/// is or'ed in for Hyp mode.
const NORMAL: u32 = 1 << 10 | 3 << 8 | 1 << 2;

/// For cores that leave a pen: the top of the stack and the affinity of each, up to a stack of 0.
static PEN: [[AtomicU32; 2]; MAX_CPUS + 1] =
    [const { [const { AtomicU32::new(0) }; 2] }; MAX_CPUS + 1];

/// Gives cores that leave a pen their stacks, by affinity; what is beyond [`MAX_CPUS`] stays there. They
/// see it with their caches off.
pub fn prepare_pen(stacks: impl Iterator<Item = (u32, u32)>) {
    for ([stack, affinity], (core, top)) in PEN.iter().take(MAX_CPUS).zip(stacks) {
        affinity.store(core, Ordering::Relaxed);
        stack.store(top, Ordering::Relaxed);
    }
    super::cp15::dsb();
    for word in PEN.as_flattened() {
        super::cp15::dccimvac::write((&raw const *word).addr() as u32);
    }
    super::cp15::dsb();
}

global_asm!(
    ".section .head, \"ax\"",
    ".arm",
    ".arch armv7-a",
    ".arch_extension virt",
    ".arch_extension sec",
    ".global _start",
    // The header of a zImage (Linux, Documentation/arch/arm/booting.rst), for boot loaders, and of
    // this image, for who appends a bundle (skep_bundle::image).
    "_start:",
    ".rept 8",
    "    mov r0, r0",
    ".endr",
    "    b 1f",
    "    .word 0x016f2818",
    "    .word 0",
    "    .word __image_size",
    "    .word 0x04030201",
    "    .ascii \"SKEP-HYP\"",
    "    .word {bundle_version}",
    "    .word __file_size",
    "1:  cpsid aif",
    "    mov r11, r2",
    "    mrs r10, cpsr",
    "    and r10, r10, #0x1f",
    // r9: physical minus virtual address.
    "    adr r9, _start",
    "    ldr r8, =_start",
    "    sub r9, r9, r8",
    "    ldr r0, =__bss_start",
    "    ldr r1, =__bss_end",
    "    add r0, r0, r9",
    "    add r1, r1, r9",
    "    mov r2, #0",
    "2:  cmp r0, r1",
    "    strlo r2, [r0], #4",
    "    blo 2b",
    // r4: the tables: a first level, four second levels, a third level for the image.
    "    ldr r4, =boot_tables",
    "    add r4, r4, r9",
    "    mov r0, r4",
    "    add r1, r4, #0x1000",
    "    orr r1, r1, #3",
    "    mov r3, #4",
    "3:  str r1, [r0], #8",
    "    add r1, r1, #0x1000",
    "    subs r3, r3, #1",
    "    bne 3b",
    "    ldr r5, ={normal}",
    "    cmp r10, #0x1a",
    "    orreq r5, r5, #0x40",
    // The image.
    "    add r6, r4, #0x5000",
    "    orr r1, r6, #3",
    "    ldr r0, =0x1000 + {base} / 0x200000 * 8",
    "    str r1, [r4, r0]",
    "    ldr r0, =_start",
    "    add r0, r0, r9",
    "    orr r0, r0, r5",
    "    orr r0, r0, #3",
    "    ldr r1, =__image_size",
    "4:  str r0, [r6], #8",
    "    add r0, r0, #0x1000",
    "    subs r1, r1, #0x1000",
    "    bne 4b",
    // This code, and twice 2 MiB from the device tree on. Level 2 is one array of 8 KiB entries.
    "    add r6, r4, #0x1000",
    "    orr r5, r5, #1",
    "    adr r0, _start",
    "    bl boot_block",
    "    mov r0, r11",
    "    bl boot_block",
    "    add r0, r11, #0x200000",
    "    bl boot_block",
    "    bl boot_mmu",
    "    ldr sp, =boot_stack + {stack}",
    "    mov r0, r11",
    "    mov r1, r9",
    "    mov r2, r10",
    "    ldr r3, ={main}",
    "    bx r3",
    // Maps the 2 MiB around r0 to themselves.
    "boot_block:",
    "    lsr r0, r0, #21",
    "    lsl r1, r0, #21",
    "    orr r1, r1, r5",
    "    str r1, [r6, r0, lsl #3]",
    "    bx lr",
    // Turns translation by the tables at r4 on; r10 is the mode. Returns to the same physical
    // address, which is mapped.
    "boot_mmu:",
    "    dsb",
    "    mcr p15, 0, r0, c7, c5, 0",
    "    mcr p15, 0, r0, c7, c5, 6",
    "    mov r1, #0",
    "    ldr r0, ={hmair}",
    "    cmp r10, #0x1a",
    "    bne 5f",
    "    mcr p15, 4, r0, c10, c2, 0",
    "    mcr p15, 4, r1, c10, c2, 1",
    "    ldr r0, ={htcr}",
    "    mcr p15, 4, r0, c2, c0, 2",
    "    mcrr p15, 4, r4, r1, c2",
    "    mcr p15, 4, r0, c8, c7, 0",
    "    dsb",
    "    isb",
    "    ldr r0, ={hsctlr}",
    "    mcr p15, 4, r0, c1, c0, 0",
    "    isb",
    "    bx lr",
    // Not Hyp mode. Without the Large Physical Address Extension there is nothing that could be
    // said: the tables are of its format.
    "5:  mrc p15, 0, r2, c0, c1, 4",
    "    and r2, r2, #0xf",
    "    cmp r2, #5",
    "6:  wfilo",
    "    blo 6b",
    "    mcr p15, 0, r0, c10, c2, 0",
    "    mcr p15, 0, r1, c10, c2, 1",
    "    ldr r0, ={ttbcr}",
    "    mcr p15, 0, r0, c2, c0, 2",
    "    mcrr p15, 0, r4, r1, c2",
    "    mcr p15, 0, r0, c8, c7, 0",
    "    dsb",
    "    isb",
    "    ldr r0, ={sctlr}",
    "    mcr p15, 0, r0, c1, c0, 0",
    "    isb",
    "    bx lr",
    // A core that firmware started, with the top of its stack in r0. Its number is on the stack.
    ".global secondary_start",
    "secondary_start:",
    "    cpsid aif",
    "    mov r11, r0",
    "    mrs r10, cpsr",
    "    and r10, r10, #0x1f",
    "    adr r9, _start",
    "    ldr r8, =_start",
    "    sub r9, r9, r8",
    "    ldr r4, =boot_tables",
    "    add r4, r4, r9",
    "    bl boot_mmu",
    "    mov sp, r11",
    "    mov r0, r10",
    "    ldr r3, ={secondary}",
    "    bx r3",
    // Cores that leave a pen, all at one place with nothing said: each finds itself in a table of
    // affinities and stacks.
    ".global secondary_start_from_pen",
    "secondary_start_from_pen:",
    "    cpsid aif",
    "    adr r9, _start",
    "    ldr r8, =_start",
    "    sub r9, r9, r8",
    "    ldr r1, ={stacks}",
    "    add r1, r1, r9",
    "    mrc p15, 0, r2, c0, c0, 5",
    "    bic r2, r2, #0xff000000",
    "7:  ldm r1!, {{r0, r3}}",
    "    cmp r0, #0",
    "8:  wfieq",
    "    beq 8b",
    "    cmp r3, r2",
    "    bne 7b",
    "    b secondary_start",
    ".ltorg",
    ".section .bss.boot, \"aw\", %nobits",
    ".balign 4096",
    "boot_tables:",
    "    .space 0x6000",
    "boot_stack:",
    "    .space {stack}",
    ".text",
    normal = const NORMAL,
    base = const IMAGE_BASE,
    stack = const STACK,
    bundle_version = const skep_bundle::VERSION,
    hmair = const spec::HMAIR0,
    htcr = const spec::HTCR,
    hsctlr = const HSCTLR_BOOT,
    ttbcr = const TTBCR,
    sctlr = const SCTLR_ON,
    main = sym crate::main_of_boot_core,
    secondary = sym crate::main_of_secondary_core,
    stacks = sym PEN,
);
