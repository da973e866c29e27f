//! The code of the litmus tests, in A32. R0 counts up to R6; HVC ends it.

/// Message passing: stores a number to [R4], then to [R5].
pub const PUBLISH: [u32; 7] = [
    0xe280_0001, // add r0, r0, #1
    0xe584_0000, // str r0, [r4]
    0xf57f_f05f, // dmb sy
    0xe585_0000, // str r0, [r5]
    0xe150_0006, // cmp r0, r6
    0x1aff_fff9, // bne . - 20
    0xe140_0070, // hvc 0
];

/// Message passing: loads [R5], then [R4], and counts in R8 when the latter is older.
pub const OBSERVE: [u32; 8] = [
    0xe595_1000, // ldr r1, [r5]
    0xf57f_f05f, // dmb sy
    0xe594_0000, // ldr r0, [r4]
    0xe150_0001, // cmp r0, r1
    0x3288_8001, // addcc r8, r8, #1
    0xe151_0006, // cmp r1, r6
    0x1aff_fff8, // bne . - 24
    0xe140_0070, // hvc 0
];

/// Store buffering: stores a number to [R4], and keeps what [R5] holds then.
pub const STORE_LOAD: [u32; 8] = [
    0xe280_0001, // add r0, r0, #1
    0xe584_0000, // str r0, [r4]
    0xf57f_f05f, // dmb sy
    0xe595_1000, // ldr r1, [r5]
    0xe487_1004, // str r1, [r7], #4
    0xe150_0006, // cmp r0, r6
    0x1aff_fff8, // bne . - 24
    0xe140_0070, // hvc 0
];

/// Load buffering: keeps what [R4] holds, and stores a number to [R5] then.
pub const LOAD_STORE: [u32; 8] = [
    0xe280_0001, // add r0, r0, #1
    0xe594_1000, // ldr r1, [r4]
    0xf57f_f05f, // dmb sy
    0xe585_0000, // str r0, [r5]
    0xe487_1004, // str r1, [r7], #4
    0xe150_0006, // cmp r0, r6
    0x1aff_fff8, // bne . - 24
    0xe140_0070, // hvc 0
];

/// Stores numbers to [R4].
pub const WRITE: [u32; 5] = [
    0xe280_0001, // add r0, r0, #1
    0xe584_0000, // str r0, [r4]
    0xe150_0006, // cmp r0, r6
    0x1aff_fffb, // bne . - 12
    0xe140_0070, // hvc 0
];

/// Keeps what [R4] holds, and [R5] then.
pub const READ_BOTH: [u32; 7] = [
    0xe594_0000, // ldr r0, [r4]
    0xf57f_f05f, // dmb sy
    0xe595_1000, // ldr r1, [r5]
    0xe8a7_0003, // stmia r7!, {r0, r1}
    0xe256_6001, // subs r6, r6, #1
    0x1aff_fff9, // bne . - 20
    0xe140_0070, // hvc 0
];

/// Adds to the word at [R4].
pub const INCREMENT: [u32; 8] = [
    0xe194_1f9f, // ldrex r1, [r4]
    0xe281_1001, // add r1, r1, #1
    0xe184_2f91, // strex r2, r1, [r4]
    0xe352_0000, // cmp r2, #0
    0x1aff_fffa, // bne . - 16
    0xe256_6001, // subs r6, r6, #1
    0x1aff_fff8, // bne . - 24
    0xe140_0070, // hvc 0
];

/// Adds to the word at [R4] and subtracts from the one behind it, as a pair.
pub const INCREMENT_DOUBLE: [u32; 9] = [
    0xe1b4_2f9f, // ldrexd r2, [r4]
    0xe292_2001, // adds r2, r2, #1
    0xe243_3001, // sub r3, r3, #1
    0xe1a4_1f92, // strexd r1, r2, [r4]
    0xe351_0000, // cmp r1, #0
    0x1aff_fff9, // bne . - 20
    0xe256_6001, // subs r6, r6, #1
    0x1aff_fff7, // bne . - 28
    0xe140_0070, // hvc 0
];

/// Adds to the word at [R5], under the lock at [R4].
pub const LOCK: [u32; 19] = [
    0xe3a0_3001, // mov r3, #1
    0xe194_1f9f, // ldrex r1, [r4]
    0xe351_0000, // cmp r1, #0
    0x1a00_000c, // bne . + 56
    0xe184_1f93, // strex r1, r3, [r4]
    0xe351_0000, // cmp r1, #0
    0x1aff_fff9, // bne . - 20
    0xf57f_f05f, // dmb sy
    0xe595_1000, // ldr r1, [r5]
    0xe281_1001, // add r1, r1, #1
    0xe585_1000, // str r1, [r5]
    0xf57f_f05f, // dmb sy
    0xe3a0_1000, // mov r1, #0
    0xe584_1000, // str r1, [r4]
    0xe256_6001, // subs r6, r6, #1
    0x1aff_fff0, // bne . - 56
    0xe140_0070, // hvc 0
    0xe320_f001, // yield
    0xeaff_ffed, // b . - 68
];

/// Rewrites the MOVW at [R4], executed at R3, with the maintenance that it takes; tells at [R5].
pub const REWRITE: [u32; 15] = [
    0xe280_0001, // add r0, r0, #1
    0xe1a0_1620, // lsr r1, r0, #12
    0xe18a_1801, // orr r1, sl, r1, lsl #16
    0xe7eb_2050, // ubfx r2, r0, #0, #12
    0xe181_1002, // orr r1, r1, r2
    0xe584_1000, // str r1, [r4]
    0xee07_4f3b, // mcr 15, 0, r4, cr7, cr11, {1}
    0xf57f_f04f, // dsb sy
    0xee07_3f35, // mcr 15, 0, r3, cr7, cr5, {1}
    0xee07_3fd1, // mcr 15, 0, r3, cr7, cr1, {6}
    0xf57f_f04f, // dsb sy
    0xe585_0000, // str r0, [r5]
    0xe150_0006, // cmp r0, r6
    0x1aff_fff1, // bne . - 52
    0xe140_0070, // hvc 0
];

/// Calls R3, and counts in R8 when it returns less than [R5] held before.
pub const CALL: [u32; 9] = [
    0xe595_4000, // ldr r4, [r5]
    0xf57f_f05f, // dmb sy
    0xf57f_f06f, // isb sy
    0xe12f_ff33, // blx r3
    0xe150_0004, // cmp r0, r4
    0x3288_8001, // addcc r8, r8, #1
    0xe154_0006, // cmp r4, r6
    0x1aff_fff7, // bne . - 28
    0xe140_0070, // hvc 0
];

/// Maps R3 to two pages (R7, R12: their aliases) by turns, by the descriptors R10 and R11 at
/// [R4], numbering the page first, and telling at [R5] then.
pub const REMAP: [u32; 16] = [
    0xe280_0001, // add r0, r0, #1
    0xe310_0001, // tst r0, #1
    0x158c_0000, // strne r0, [ip]
    0x0587_0000, // streq r0, [r7]
    0x11a0_100b, // movne r1, fp
    0x01a0_100a, // moveq r1, sl
    0xf57f_f05f, // dmb sy
    0xe584_1000, // str r1, [r4]
    0xf57f_f04f, // dsb sy
    0xee08_3f73, // mcr 15, 0, r3, cr8, cr3, {3}
    0xf57f_f04f, // dsb sy
    0xf57f_f06f, // isb sy
    0xe585_0000, // str r0, [r5]
    0xe150_0006, // cmp r0, r6
    0x1aff_fff0, // bne . - 56
    0xe140_0070, // hvc 0
];

/// Maps R3 to two pages by turns, and counts in R8 when the other one still changes.
pub const TAKE_AWAY: [u32; 23] = [
    0xe280_0001, // add r0, r0, #1
    0xe310_0001, // tst r0, #1
    0x11a0_100b, // movne r1, fp
    0x01a0_100a, // moveq r1, sl
    0xe584_1000, // str r1, [r4]
    0xf57f_f04f, // dsb sy
    0xee08_3f73, // mcr 15, 0, r3, cr8, cr3, {3}
    0xf57f_f04f, // dsb sy
    0xf57f_f06f, // isb sy
    0xe310_0001, // tst r0, #1
    0x11a0_1007, // movne r1, r7
    0x01a0_100c, // moveq r1, ip
    0xe591_2000, // ldr r2, [r1]
    0xe3a0_9801, // mov r9, #65536
    0xe259_9001, // subs r9, r9, #1
    0x1aff_fffd, // bne . - 4
    0xe591_1000, // ldr r1, [r1]
    0xe151_0002, // cmp r1, r2
    0x1288_8001, // addne r8, r8, #1
    0xe150_0006, // cmp r0, r6
    0x1aff_ffea, // bne . - 80
    0xe585_0000, // str r0, [r5]
    0xe140_0070, // hvc 0
];

/// Stores numbers to [R3] until [R5] holds the last one.
pub const STORE_ON: [u32; 6] = [
    0xe280_0001, // add r0, r0, #1
    0xe583_0000, // str r0, [r3]
    0xe595_1000, // ldr r1, [r5]
    0xe151_0006, // cmp r1, r6
    0x1aff_fffa, // bne . - 16
    0xe140_0070, // hvc 0
];

/// Writes one function after the other, MOVW R0 of its number at R4 plus the number times R7, modulo
/// R9, with the maintenance that it takes; tells at [R5]; calls it, and counts in R8 when it returns
/// something else.
pub const WRITE_NEXT: [u32; 22] = [
    0xe28b_b001, // add fp, fp, #1
    0xe002_079b, // mul r2, fp, r7
    0xe002_2009, // and r2, r2, r9
    0xe084_3002, // add r3, r4, r2
    0xe1a0_162b, // lsr r1, fp, #12
    0xe18a_1801, // orr r1, sl, r1, lsl #16
    0xe7eb_205b, // ubfx r2, fp, #0, #12
    0xe181_1002, // orr r1, r1, r2
    0xe583_1000, // str r1, [r3]
    0xee07_3f3b, // mcr 15, 0, r3, cr7, cr11, {1}
    0xf57f_f04f, // dsb sy
    0xee07_3f35, // mcr 15, 0, r3, cr7, cr5, {1}
    0xee07_3fd1, // mcr 15, 0, r3, cr7, cr1, {6}
    0xf57f_f04f, // dsb sy
    0xe585_b000, // str fp, [r5]
    0xf57f_f06f, // isb sy
    0xe12f_ff33, // blx r3
    0xe150_000b, // cmp r0, fp
    0x1288_8001, // addne r8, r8, #1
    0xe15b_0006, // cmp fp, r6
    0x1aff_ffea, // bne . - 80
    0xe140_0070, // hvc #0
];

/// Rewrites the MOVW at [R4], executed at R3, with the maintenance that it takes; tells at [R5]; calls
/// it, and counts in R8 when it returns something else. Then calls R7, and counts when it returns less than
/// [R9] held before.
pub const WRITE_AND_CALL: [u32; 25] = [
    0xe28b_b001, // add fp, fp, #1
    0xe1a0_162b, // lsr r1, fp, #12
    0xe18a_1801, // orr r1, sl, r1, lsl #16
    0xe7eb_205b, // ubfx r2, fp, #0, #12
    0xe181_1002, // orr r1, r1, r2
    0xe584_1000, // str r1, [r4]
    0xee07_4f3b, // mcr 15, 0, r4, cr7, cr11, {1}
    0xf57f_f04f, // dsb sy
    0xee07_3f35, // mcr 15, 0, r3, cr7, cr5, {1}
    0xee07_3fd1, // mcr 15, 0, r3, cr7, cr1, {6}
    0xf57f_f04f, // dsb sy
    0xe585_b000, // str fp, [r5]
    0xf57f_f06f, // isb sy
    0xe12f_ff33, // blx r3
    0xe150_000b, // cmp r0, fp
    0x1288_8001, // addne r8, r8, #1
    0xe599_c000, // ldr ip, [r9]
    0xf57f_f05f, // dmb sy
    0xf57f_f06f, // isb sy
    0xe12f_ff37, // blx r7
    0xe150_000c, // cmp r0, ip
    0x3288_8001, // addcc r8, r8, #1
    0xe15b_0006, // cmp fp, r6
    0x1aff_ffe7, // bne . - 92
    0xe140_0070, // hvc #0
];

/// Calls the function that was written last, by [R5], and counts in R8 when it returns less; then
/// the next one, which may be written at that moment.
pub const CALL_NEXT: [u32; 17] = [
    0xe595_a000, // ldr sl, [r5]
    0xf57f_f05f, // dmb sy
    0xf57f_f06f, // isb sy
    0xe001_079a, // mul r1, sl, r7
    0xe001_1009, // and r1, r1, r9
    0xe084_1001, // add r1, r4, r1
    0xe12f_ff31, // blx r1
    0xe150_000a, // cmp r0, sl
    0x3288_8001, // addcc r8, r8, #1
    0xe28a_1001, // add r1, sl, #1
    0xe001_0791, // mul r1, r1, r7
    0xe001_1009, // and r1, r1, r9
    0xe084_1001, // add r1, r4, r1
    0xe12f_ff31, // blx r1
    0xe15a_0006, // cmp sl, r6
    0x1aff_ffef, // bne . - 60
    0xe140_0070, // hvc 0
];

/// Maps R3 to two pages (R7, R12: their aliases) by turns, by the descriptors R10 and R11 at [R4],
/// writing a function that returns the number to the page before; tells at [R5] then.
pub const REMAP_CODE: [u32; 22] = [
    0xe280_0001, // add r0, r0, #1
    0xe1a0_1620, // lsr r1, r0, #12
    0xe189_1801, // orr r1, r9, r1, lsl #16
    0xe7eb_2050, // ubfx r2, r0, #0, #12
    0xe181_1002, // orr r1, r1, r2
    0xe310_0001, // tst r0, #1
    0x158c_1000, // strne r1, [ip]
    0x0587_1000, // streq r1, [r7]
    0x11a0_100b, // movne r1, fp
    0x01a0_100a, // moveq r1, sl
    0xf57f_f04f, // dsb sy
    0xe584_1000, // str r1, [r4]
    0xf57f_f04f, // dsb sy
    0xee08_3f73, // mcr 15, 0, r3, cr8, cr3, {3}
    0xee07_3f11, // mcr 15, 0, r3, cr7, cr1, {0}
    0xee07_3fd1, // mcr 15, 0, r3, cr7, cr1, {6}
    0xf57f_f04f, // dsb sy
    0xf57f_f06f, // isb sy
    0xe585_0000, // str r0, [r5]
    0xe150_0006, // cmp r0, r6
    0x1aff_ffea, // bne . - 80
    0xe140_0070, // hvc 0
];

/// Maps the page at R9 to two pages by turns, by the descriptors R10 and R11 at [R4], and calls the
/// function at R7, which should return the number's lowest bit; counts in R8 when it does not.
pub const REMAP_AND_CALL: [u32; 20] = [
    0xe280_0001, // add r0, r0, #1
    0xe1a0_c000, // mov ip, r0
    0xe310_0001, // tst r0, #1
    0x11a0_100b, // movne r1, fp
    0x01a0_100a, // moveq r1, sl
    0xf57f_f04f, // dsb sy
    0xe584_1000, // str r1, [r4]
    0xf57f_f04f, // dsb sy
    0xee08_9f77, // mcr 15, 0, r9, cr8, cr7, {3}
    0xee07_9fd1, // mcr 15, 0, r9, cr7, cr1, {6}
    0xf57f_f04f, // dsb sy
    0xf57f_f06f, // isb sy
    0xe12f_ff37, // blx r7
    0xe20c_1001, // and r1, ip, #1
    0xe150_0001, // cmp r0, r1
    0x1288_8001, // addne r8, r8, #1
    0xe1a0_000c, // mov r0, ip
    0xe150_0006, // cmp r0, r6
    0x1aff_ffec, // bne . - 72
    0xe140_0070, // hvc 0
];

/// Stores numbers to [R3] until [R5] holds the last one, and counts in R8 those that it does not
/// read back.
pub const STORE_AND_LOAD: [u32; 9] = [
    0xe280_0001, // add r0, r0, #1
    0xe583_0000, // str r0, [r3]
    0xe593_2000, // ldr r2, [r3]
    0xe152_0000, // cmp r2, r0
    0x1288_8001, // addne r8, r8, #1
    0xe595_1000, // ldr r1, [r5]
    0xe151_0006, // cmp r1, r6
    0x1aff_fff7, // bne . - 28
    0xe140_0070, // hvc 0
];
