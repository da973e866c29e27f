//! The machine as a few instructions on it see it.

use skep_tests::program;
use std::time::{Duration, Instant};

#[test]
fn performance_counters_interrupt_when_they_overflow() {
    let started = Instant::now();
    let printed = program::run(
        r"
        .equ    PMU, 23
        gic_on  PMU
        mov     r0, #1
        mcr     p15, 0, r0, c9, c12, 0          @ PMCR: enable
        @ The cycle counter, 4096 cycles before its end.
        mov     r0, #1 << 31
        mcr     p15, 0, r0, c9, c14, 1          @ PMINTENSET
        ldr     r0, =-4096
        mcr     p15, 0, r0, c9, c13, 0          @ PMCCNTR
        mov     r0, #1 << 31
        mcr     p15, 0, r0, c9, c12, 1          @ PMCNTENSET
        mov     r4, #'c'
        bl      wait
        @ Event counter 0, a millisecond of cycles before its end.
        mov     r0, #0
        mcr     p15, 0, r0, c9, c12, 5          @ PMSELR
        mov     r0, #0x11
        mcr     p15, 0, r0, c9, c13, 1          @ PMXEVTYPER: cycles
        ldr     r0, =-1000000
        mcr     p15, 0, r0, c9, c13, 2          @ PMXEVCNTR
        mov     r0, #1
        mcr     p15, 0, r0, c9, c14, 1
        mcr     p15, 0, r0, c9, c12, 1
        mov     r4, #'e'
        bl      wait
        @ The same counter of software increments.
        mov     r0, #0
        mcr     p15, 0, r0, c9, c13, 1
        mvn     r0, #0
        mcr     p15, 0, r0, c9, c13, 2
        mov     r0, #1
        mcr     p15, 0, r0, c9, c12, 4          @ PMSWINC
        mov     r4, #'s'
        bl      wait
        off

        @ Waits for the interrupt, and prints r4 if it came, and went when the flag was cleared.
wait:   wfi
        ldr     r1, =GICC
        ldr     r2, [r1, #0xc]                  @ GICC_IAR
        ldr     r3, =1023
        cmp     r2, r3                          @ WFI may end without a reason
        beq     wait
        cmp     r2, #PMU
        bne     wrong
        mrc     p15, 0, r0, c9, c12, 3          @ PMOVSR
        mcr     p15, 0, r0, c9, c12, 3
        str     r2, [r1, #0x10]                 @ GICC_EOIR
        ldr     r2, [r1, #0x18]                 @ GICC_HPPIR
        cmp     r2, r3
        bne     wrong
        ldr     r1, =UART
        str     r4, [r1]
        bx      lr
wrong:  put     '!'
        off
        ",
    );
    assert_eq!(printed, "ces");
    // A WFI that misses its interrupt lasts ten seconds.
    assert!(started.elapsed() < Duration::from_secs(5));
}
