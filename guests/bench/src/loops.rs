//! The loops that are measured, one operation each, in A32.

use core::arch::global_asm;

/// A loop: `start` runs it a number of times, with a word of memory whose use it says.
pub struct Loop {
    /// The row's name.
    pub name: &'static str,
    /// How often it does its operation each time.
    pub operations: u32,
    /// Runs it.
    pub run: unsafe extern "C" fn(times: u32, memory: u32),
}

/// Defines loops: code that has some operations is repeated, after something that sets it up. It may use r2 to r11 and all of VFP, with r0 as the times and r1 as the memory.
macro_rules! loops {
    ($($symbol:ident $name:literal, $setup:literal, $repeats:literal x ($operations:literal in $operation:literal);)*) => {
        $(global_asm!(
            ".text",
            ".arm",
            ".arch_extension virt",
            ".fpu neon-vfpv4",
            ".balign 32",
            concat!(".global ", stringify!($symbol)),
            concat!(stringify!($symbol), ":"),
            "push {{r4-r11, lr}}",
            $setup,
            ".balign 16",
            "1:",
            concat!(".rept ", $repeats),
            $operation,
            ".endr",
            "subs r0, r0, #1",
            "bne 1b",
            "pop {{r4-r11, pc}}",
        );)*
        unsafe extern "C" {
            $(fn $symbol(times: u32, memory: u32);)*
        }
        /// All of them.
        pub const LOOPS: &[Loop] = &[$(Loop {
            name: $name,
            operations: $repeats * $operations,
            run: $symbol,
        }),*];
    };
}

loops! {
    // An empty loop: what the others have besides.
    loop_empty "loop", "", 1 x (1 in "");
    loop_alu "alu", "", 4 x (4 in "add r2, r2, r6\n eor r3, r3, r7\n sub r4, r4, r8\n orr r5, r5, r9");
    loop_alu_chain "alu-chain", "", 16 x (1 in "add r2, r3, r2, ror #7");
    loop_flags "alu-flags", "mov r6, #3", 16 x (1 in "adcs r2, r2, r6");
    loop_predicated "alu-if", "mov r6, #3\n mov r2, #0",
        16 x (1 in "cmp r2, r6\n addlo r2, r2, #1\n movhs r2, #0");
    loop_load "load", "", 4 x (4 in "ldr r2, [r1]\n ldr r3, [r1, #4]\n ldr r4, [r1, #8]\n ldr r5, [r1, #12]");
    loop_load_chain "load-chain", "str r1, [r1]", 16 x (1 in "ldr r1, [r1]");
    loop_store "store", "", 4 x (4 in "str r2, [r1]\n str r3, [r1, #4]\n str r4, [r1, #8]\n str r5, [r1, #12]");
    loop_multiple "ldm-stm", "", 4 x (2 in "ldm r1, {{r2-r9}}\n stm r1, {{r2-r9}}");
    loop_branch "branch", "", 16 x (1 in "b 2f\n nop\n 2:");
    loop_call "call", "", 8 x (1 in "bl 3f\n b 2f\n 3: bx lr\n 2:");
    loop_call_indirect "call-indirect",
        "adr r5, 4f\n b 5f\n 4: bx lr\n 5:", 8 x (1 in "blx r5");
    loop_push "call-push", "b 5f\n 4: push {{r4, lr}}\n pop {{r4, pc}}\n 5:", 8 x (1 in "bl 4b");
    loop_contextidr "contextidr", "mov r2, #0x101",
        8 x (1 in "eor r2, r2, #3\n mcr p15, 0, r2, c13, c0, 1\n isb");
    loop_dacr "dacr", "mrc p15, 0, r2, c3, c0, 0\n mov r3, r2\n eor r3, r3, #0x40000000",
        4 x (2 in "mcr p15, 0, r3, c3, c0, 0\n isb\n mcr p15, 0, r2, c3, c0, 0\n isb");
    loop_tlb_page "tlb-page", "",
        8 x (1 in "mcr p15, 0, r1, c8, c7, 1\n dsb\n isb\n ldr r2, [r1]");
    loop_tlb_all "tlb-all", "",
        8 x (1 in "mcr p15, 0, r1, c8, c7, 0\n dsb\n isb\n ldr r2, [r1]");
    loop_timer "timer-read", "", 8 x (1 in "mrrc p15, 1, r2, r3, c14");
    loop_vfp "vfp-f64", "vmov.f64 d0, #1.0\n vmov.f64 d1, #0.5\n vmov.f64 d2, #0.25",
        // 1 * 0.5 + 0.25, and so on: stays between a half and one.
        8 x (2 in "vmul.f64 d0, d0, d1\n vadd.f64 d0, d0, d2");
    loop_vmla "vfp-f64-mla", "vmov.f64 d0, #1.0\n vmov.f64 d1, #0.5\n vmov.f64 d2, #0.25\n vmov.f64 d3, #-0.25",
        4 x (2 in "vmla.f64 d0, d1, d2\n vmla.f64 d0, d1, d3");
    loop_neon_f32 "neon-f32", "vmov.f32 q0, #1.0\n vmov.f32 q1, #0.5\n vmov.f32 q2, #0.25",
        8 x (2 in "vmul.f32 q0, q0, q1\n vadd.f32 q0, q0, q2");
    loop_neon_integer "neon-integer", "vmov.i32 q0, #1\n vmov.i32 q1, #3\n vmov.i32 q2, #5",
        8 x (2 in "vmla.i32 q0, q1, q2\n veor q2, q2, q0");
    loop_exclusive "exclusive", "",
        8 x (1 in "2: ldrex r2, [r1]\n add r2, r2, #1\n strex r3, r2, [r1]\n cmp r3, #0\n bne 2b");
    loop_barrier "barrier", "", 8 x (1 in "dmb");
    loop_cpsr "irq-mask", "mrs r2, cpsr", 8 x (1 in "cpsid i\n msr cpsr_c, r2");
}
