//! The exception handlers of the machine that programs run on, in A32, from the vector table on.
//!
//! Each counts, and notes what the exception left (LR, SPSR, DFSR, DFAR) in a log, so that comparing memory at
//! the end compares every exception on the way. Then an undefined instruction or a call is skipped
//! (now and then after FPEXC.EN was set); an IRQ's line is lowered, and FIQs are masked in SPSR; a data abort is skipped or
//! its page made accessible, in turns; a prefetch abort goes to one of four landing pads. They return
//! by MOVS PC, LR, RFE, and LDM with the PC and `^`, in turns, and use no stack: the program may have
//! done anything to the banked SPs. After 63 exceptions, at the SVC at [`super::map::END`] and in
//! the filler around programs, the program ends with HVC.

/// The words.
pub const HANDLERS: [u32; 163] = [
    0xea00_0006, // b e0
    0xea00_000a, // b e1
    0xea00_000e, // b e2
    0xea00_0012, // b e3
    0xea00_0016, // b e4
    0xea00_0001, // b e0
    0xea00_0019, // b e6
    0xea00_001f, // b e7
    // e0:
    0xee0d_0f90, // mcr 15, 0, r0, cr13, cr0, {4}
    0xe3a0_0705, // mov r0, #1310720
    0xe880_003e, // stm r0, {r1, r2, r3, r4, r5}
    0xe3a0_1000, // mov r1, #0
    0xea00_001f, // b common
    // e1:
    0xee0d_0f90, // mcr 15, 0, r0, cr13, cr0, {4}
    0xe3a0_0705, // mov r0, #1310720
    0xe880_003e, // stm r0, {r1, r2, r3, r4, r5}
    0xe3a0_1001, // mov r1, #1
    0xea00_001a, // b common
    // e2:
    0xee0d_0f90, // mcr 15, 0, r0, cr13, cr0, {4}
    0xe3a0_0705, // mov r0, #1310720
    0xe880_003e, // stm r0, {r1, r2, r3, r4, r5}
    0xe3a0_1002, // mov r1, #2
    0xea00_0015, // b common
    // e3:
    0xee0d_0f90, // mcr 15, 0, r0, cr13, cr0, {4}
    0xe3a0_0705, // mov r0, #1310720
    0xe880_003e, // stm r0, {r1, r2, r3, r4, r5}
    0xe3a0_1003, // mov r1, #3
    0xea00_0010, // b common
    // e4:
    0xee0d_0f90, // mcr 15, 0, r0, cr13, cr0, {4}
    0xe3a0_0705, // mov r0, #1310720
    0xe880_003e, // stm r0, {r1, r2, r3, r4, r5}
    0xe3a0_1004, // mov r1, #4
    0xea00_000b, // b common
    // e6:
    0xee0d_0f90, // mcr 15, 0, r0, cr13, cr0, {4}
    0xe3a0_0705, // mov r0, #1310720
    0xe880_003e, // stm r0, {r1, r2, r3, r4, r5}
    0xe3a0_1006, // mov r1, #6
    0xe3a0_281e, // mov r2, #1966080
    0xe5c2_1000, // strb r1, [r2]
    0xea00_0004, // b common
    // e7:
    0xee0d_0f90, // mcr 15, 0, r0, cr13, cr0, {4}
    0xe3a0_0705, // mov r0, #1310720
    0xe880_003e, // stm r0, {r1, r2, r3, r4, r5}
    0xe3a0_1007, // mov r1, #7
    0xeaff_ffff, // b common
    // common:
    0xe14f_2000, // mrs r2, SPSR
    0xe590_3040, // ldr r3, [r0, #64]
    0xe283_3001, // add r3, r3, #1
    0xe580_3040, // str r3, [r0, #64]
    0xe080_4101, // add r4, r0, r1, lsl #2
    0xe594_5060, // ldr r5, [r4, #96]
    0xe285_5001, // add r5, r5, #1
    0xe584_5060, // str r5, [r4, #96]
    0xe353_0040, // cmp r3, #64
    0x2a00_006a, // bcs finish
    0xe1a0_462e, // lsr r4, lr, #12
    0xe354_0e1f, // cmp r4, #496
    0x0a00_0067, // beq finish
    0xe080_4203, // add r4, r0, r3, lsl #4
    0xe584_e100, // str lr, [r4, #256]
    0xe584_2104, // str r2, [r4, #260]
    0xee15_5f10, // mrc 15, 0, r5, cr5, cr0, {0}
    0xe584_5108, // str r5, [r4, #264]
    0xee16_5f10, // mrc 15, 0, r5, cr6, cr0, {0}
    0xe584_510c, // str r5, [r4, #268]
    0xe351_0003, // cmp r1, #3
    0x0a00_003e, // beq prefetch
    0xe351_0004, // cmp r1, #4
    0x0a00_0013, // beq data
    0xe351_0006, // cmp r1, #6
    0x024e_e004, // subeq lr, lr, #4
    0xe351_0007, // cmp r1, #7
    0x0382_2040, // orreq r2, r2, #64
    0x024e_e004, // subeq lr, lr, #4
    0xe351_0001, // cmp r1, #1
    0x1a00_003f, // bne resume
    0xe312_0020, // tst r2, #32
    0x115e_40b2, // ldrhne r4, [lr, #-2]
    0x015e_40b4, // ldrheq r4, [lr, #-4]
    0xe30d_5eff, // movw r5, #57087
    0xe154_0005, // cmp r4, r5
    0x0a00_004f, // beq finish
    0xe313_0003, // tst r3, #3
    0x03a0_4101, // moveq r4, #1073741824
    0x0ee8_4a10, // vmsreq fpexc, r4
    0xe312_0020, // tst r2, #32
    0x124e_e002, // subne lr, lr, #2
    0x1a00_0022, // bne skip_t32
    0xea00_0032, // b resume
    // data:
    0xee15_4f10, // mrc 15, 0, r4, cr5, cr0, {0}
    0xe204_100f, // and r1, r4, #15
    0xe351_0001, // cmp r1, #1
    0x0a00_0019, // beq skip
    0xe313_0001, // tst r3, #1
    0x0a00_0017, // beq skip
    0xe7e7_1655, // ubfx r1, r5, #12, #8
    0xe1a0_4a25, // lsr r4, r5, #20
    0xe354_0002, // cmp r4, #2
    0x1a00_0013, // bne skip
    0xe351_0010, // cmp r1, #16
    0x2a00_0011, // bcs skip
    0xee12_4f10, // mrc 15, 0, r4, cr2, cr0, {0}
    0xe204_4080, // and r4, r4, #128
    0xe1a0_4184, // lsl r4, r4, #3
    0xe284_4706, // add r4, r4, #1572864
    0xe284_4b02, // add r4, r4, #2048
    0xe084_4101, // add r4, r4, r1, lsl #2
    0xe594_1000, // ldr r1, [r4]
    0xe311_0002, // tst r1, #2
    0x03a0_1a09, // moveq r1, #36864
    0xe381_107e, // orr r1, r1, #126
    0xe3c1_1c02, // bic r1, r1, #512
    0xe584_1000, // str r1, [r4]
    0xf57f_f04f, // dsb sy
    0xee08_5f77, // mcr 15, 0, r5, cr8, cr7, {3}
    0xf57f_f04f, // dsb sy
    0xf57f_f06f, // isb sy
    0xe24e_e008, // sub lr, lr, #8
    0xea00_0014, // b resume
    // skip:
    0xe312_0020, // tst r2, #32
    0x024e_e004, // subeq lr, lr, #4
    0x0a00_0011, // beq resume
    0xe24e_e008, // sub lr, lr, #8
    // skip_t32:
    0xe3c2_2406, // bic r2, r2, #100663296
    0xe3c2_2b3f, // bic r2, r2, #64512
    0xe0de_40b2, // ldrh r4, [lr], #2
    0xe1a0_45a4, // lsr r4, r4, #11
    0xe354_001d, // cmp r4, #29
    0x228e_e002, // addcs lr, lr, #2
    0xea00_0009, // b resume
    // prefetch:
    0xe203_5003, // and r5, r3, #3
    0xe080_5105, // add r5, r0, r5, lsl #2
    0xe595_e050, // ldr lr, [r5, #80]
    0xe3a0_b002, // mov fp, #2
    0xe3c2_2406, // bic r2, r2, #100663296
    0xe3c2_2b3f, // bic r2, r2, #64512
    0xe3c2_2020, // bic r2, r2, #32
    0xe31e_0001, // tst lr, #1
    0x1382_2020, // orrne r2, r2, #32
    0xe3ce_e001, // bic lr, lr, #1
    // resume:
    0xe16f_f002, // msr SPSR_fsxc, r2
    0xe313_0004, // tst r3, #4
    0x0a00_000f, // beq by_subs
    0xe313_0008, // tst r3, #8
    0x0a00_0007, // beq by_rfe
    0xee1d_4f90, // mrc 15, 0, r4, cr13, cr0, {4}
    0xe580_4020, // str r4, [r0, #32]
    0xe580_e038, // str lr, [r0, #56]
    0xe280_e024, // add lr, r0, #36
    0xe890_003e, // ldm r0, {r1, r2, r3, r4, r5}
    0xe88e_003e, // stm lr, {r1, r2, r3, r4, r5}
    0xe24e_e004, // sub lr, lr, #4
    0xe8de_803f, // ldm lr, {r0, r1, r2, r3, r4, r5, pc}^
    // by_rfe:
    0xe580_e020, // str lr, [r0, #32]
    0xe580_2024, // str r2, [r0, #36]
    0xe890_003e, // ldm r0, {r1, r2, r3, r4, r5}
    0xe280_e020, // add lr, r0, #32
    0xee1d_0f90, // mrc 15, 0, r0, cr13, cr0, {4}
    0xf89e_0a00, // rfeia lr
    // by_subs:
    0xe890_003e, // ldm r0, {r1, r2, r3, r4, r5}
    0xee1d_0f90, // mrc 15, 0, r0, cr13, cr0, {4}
    0xe1b0_f00e, // movs pc, lr
    // finish:
    0xe140_0071, // hvc 1
];

/// Where [`FAST`] is, behind the vector table.
pub const FAST_AT: u32 = 0x800;
/// The vector of FIQ then.
pub const FAST_VECTOR: u32 = 0xea00_01f7;
/// R8, R9, R14 and SPSR of FIQ mode, as [`FAST`] leaves them.
pub const FAST_BANKED: [u32; 4] = [
    super::map::SAVE + super::map::FAST,
    FAST_SPSR,
    FAST_SPSR,
    FAST_SPSR,
];
const FAST_SPSR: u32 = 0x10;

/// A handler of FIQ that lowers the line and leaves no trace but in the three words at
/// [`super::map::FAST`]: wherever the interrupt is taken, the program ends the same.
pub const FAST: [u32; 15] = [
    0xe3a0_8814, // mov r8, #1310720
    0xe288_8ee0, // add r8, r8, #3584
    0xe24e_e004, // sub lr, lr, #4
    0xe588_e000, // str lr, [r8]
    0xe14f_9000, // mrs r9, SPSR
    0xe588_9004, // str r9, [r8, #4]
    0xe598_9008, // ldr r9, [r8, #8]
    0xe289_9001, // add r9, r9, #1
    0xe588_9008, // str r9, [r8, #8]
    0xe3a0_981e, // mov r9, #1966080
    0xe5c9_9004, // strb r9, [r9, #4]
    0xe3a0_9010, // mov r9, #16
    0xe16f_f009, // msr SPSR_fsxc, r9
    0xe1a0_e009, // mov lr, r9
    0xf898_0a00, // rfeia r8
];
