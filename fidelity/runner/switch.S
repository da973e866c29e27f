/* The way into a case and out of it, with every register in use on both sides.
 *
 * Loads and stores relative to the PC need no register: the frame is on the page after the code,
 * so that QEMU does not take writing it for writing code. Offsets in the frame are those of
 * `struct state` in runner.c. */

    .syntax unified
    .arch   armv7-a
    .fpu    neon-vfpv4

    .equ    REGS_PC, 60
    .equ    CPSR, 64
    .equ    FPSCR, 68
    .equ    OUTCOME, 72
    .equ    D0, 80
    .equ    T_BIT, 0x20

    .section .switch, "awx", %progbits
    .org    0xf00
    .arm

/* Cases in A32 end with a branch here (EXIT_A32). */
    .global exit_a32
exit_a32:
    str     r0, frame
    str     r1, frame + 4
    mov     r0, #0
    b       leave
    .org    0xf20

/* Cases in T32 end with a branch here (EXIT_T32). */
    .thumb
    .thumb_func
    .global exit_t32
exit_t32:
    bx      pc
    nop
    .arm
    str     r0, frame
    str     r1, frame + 4
    mov     r0, #T_BIT

leave:
    mrs     r1, cpsr
    setend  le                      /* r0 and r1 were stored big-endian if E was set */
    orr     r1, r1, r0
    ldr     r0, =frame
    str     r1, [r0, #CPSR]
    add     r1, r0, #8
    stmia   r1, {r2-r14}
    vmrs    r1, fpscr
    str     r1, [r0, #FPSCR]
    mov     r1, #0
    str     r1, [r0, #OUTCOME]
    add     r1, r0, #D0
    vstmia  r1!, {d0-d15}
    vstmia  r1, {d16-d31}

/* Signal handlers return here. */
    .global resume
resume:
    ldr     sp, saved_sp
    pop     {r4-r11, pc}

/* void enter(const struct state *) */
    .global enter
enter:
    push    {r4-r11, lr}
    str     sp, saved_sp
    ldr     r2, [r0, #REGS_PC]
    str     r2, target
    mov     r2, #0
    mcr     p15, 0, r2, c13, c0, 2  /* TPIDRURW */
    clrex
    ldr     r2, [r0, #FPSCR]
    vmsr    fpscr, r2
    add     r1, r0, #D0
    vldmia  r1!, {d0-d15}
    vldmia  r1, {d16-d31}
    ldr     r2, [r0, #CPSR]
    msr     cpsr_fs, r2
    ldm     r0, {r0-r14}
    ldr     pc, target

    .ltorg
    .org    0x1000
    .global frame
frame:
    .space  336
saved_sp:
    .word   0
target:
    .word   0
    .org    0x2000

    .section .note.GNU-stack, "", %progbits
