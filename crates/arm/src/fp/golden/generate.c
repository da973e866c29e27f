/* Makes golden.txt: one line for each operation and FPSCR value, with a hash of the results and
 * the exception flags for ROUNDS pseudo-random operands. tests.rs makes the same operands.
 *
 *   arm-linux-gnueabihf-gcc -O1 -static -marm -mfpu=neon-vfpv4 generate.c -o /tmp/generate
 *   qemu-arm -cpu cortex-a15 /tmp/generate > golden.txt
 *
 * On an ARMv7 board with VFPv4 and Advanced SIMD the program runs as it is. With an operation's
 * name and an FPSCR value as arguments it lists all operands and results instead of the hash. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 3000

static uint64_t seed;

static uint64_t next(void) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1dull;
}

/* A pattern with `e` exponent bits and `f` fraction bits, of one of several kinds. */
static uint64_t pattern(int e, int f) {
    uint64_t kind = next() >> 60, r = next();
    uint64_t sign = r >> 63, frac = r & ((1ull << f) - 1), max = (1ull << e) - 1;
    uint64_t bias = max >> 1, pick = r >> 53 & 15, exp;
    switch (kind) {
    case 0: exp = 0; frac = 0; break;
    case 1: exp = max; frac = pick & 1 ? 0 : frac; break;
    case 2: exp = 0; break;
    case 3: exp = pick & 3; frac = pick & 4 ? 0 : pick & 8 ? (1ull << f) - 1 : frac; break;
    case 4: exp = max - 1 - (pick & 3); break;
    case 5: exp = bias + f + (pick & 3) - 1; break;
    case 6: exp = bias / 2 + pick; break;
    case 7: exp = bias + bias / 2 + pick; break;
    case 8: case 9: exp = bias + pick; frac &= ~0ull << (f - 5); break;
    case 10: case 11: exp = bias + pick * 4; frac &= ~0ull << (f / 2); break;
    case 12: exp = bias + (pick & 1); break;
    default: exp = bias - 8 + pick; break;
    }
    return sign << (e + f) | exp << f | frac;
}

static void set_fpscr(uint32_t v) { __asm__ volatile("vmsr fpscr, %0" ::"r"(v) : "memory"); }
static uint32_t get_fpscr(void) {
    uint32_t v;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(v)::"memory");
    return v;
}

struct op {
    const char *name;
    char kind; /* s: single operands, d: double, h: half, i: integer */
    char simd; /* standard FPSCR */
    uint64_t (*run)(uint64_t a, uint64_t b, uint64_t c);
};

/* d0 = result and addend c, d1 = a, d2 = b. */
#define OP(id, text)                                                                              \
    static uint64_t id(uint64_t a, uint64_t b, uint64_t c) {                                       \
        register uint64_t x0 __asm__("r0") = c, x2 __asm__("r2") = a, x4 __asm__("r4") = b;        \
        __asm__ volatile("vmov d0, r0, r1\n vmov d1, r2, r3\n vmov d2, r4, r5\n" text              \
                         "\n vmov r0, r1, d0"                                                     \
                         : "+r"(x0)                                                                \
                         : "r"(x2), "r"(x4)                                                        \
                         : "d0", "d1", "d2", "cc", "memory");                                      \
        return x0;                                                                                 \
    }
#define BOTH(id, mnemonic)                                                                        \
    OP(id##_s, mnemonic ".f32 s0, s2, s4")                                                         \
    OP(id##_d, mnemonic ".f64 d0, d1, d2")

BOTH(add, "vadd") BOTH(sub, "vsub") BOTH(mul, "vmul") BOTH(divide, "vdiv") BOTH(fma_, "vfma")
OP(sqrt_s, "vsqrt.f32 s0, s2") OP(sqrt_d, "vsqrt.f64 d0, d1")
#define FLAGS "\n vmrs r0, fpscr\n lsr r0, r0, #28\n mov r1, #0\n vmov d0, r0, r1"
OP(cmp_s, "vcmp.f32 s2, s4" FLAGS) OP(cmp_d, "vcmp.f64 d1, d2" FLAGS)
OP(cmpe_s, "vcmpe.f32 s2, s4" FLAGS) OP(cmpe_d, "vcmpe.f64 d1, d2" FLAGS)
OP(s_to_d, "vcvt.f64.f32 d0, s2") OP(d_to_s, "vcvt.f32.f64 s0, d1")
OP(s_to_h, "vcvtb.f16.f32 s0, s2") OP(h_to_s, "vcvtb.f32.f16 s0, s2")
OP(s_to_i, "vcvtr.s32.f32 s0, s2") OP(s_to_u, "vcvtr.u32.f32 s0, s2")
OP(d_to_i, "vcvtr.s32.f64 s0, d1") OP(d_to_u, "vcvtr.u32.f64 s0, d1")
OP(s_to_iz, "vcvt.s32.f32 s0, s2") OP(d_to_uz, "vcvt.u32.f64 s0, d1")
OP(i_to_s, "vcvt.f32.s32 s0, s2") OP(u_to_s, "vcvt.f32.u32 s0, s2")
OP(i_to_d, "vcvt.f64.s32 d0, s2") OP(u_to_d, "vcvt.f64.u32 d0, s2")
OP(s_to_fix16, "vmov s0, s2\n vcvt.s16.f32 s0, s0, #5") OP(s_to_fix32, "vmov s0, s2\n vcvt.u32.f32 s0, s0, #7")
OP(d_to_fix16, "vmov d0, d1\n vcvt.u16.f64 d0, d0, #3") OP(d_to_fix32, "vmov d0, d1\n vcvt.s32.f64 d0, d0, #9")
OP(fix16_to_s, "vmov s0, s2\n vcvt.f32.s16 s0, s0, #5") OP(fix32_to_s, "vmov s0, s2\n vcvt.f32.u32 s0, s0, #31")
OP(max_s, "vmax.f32 d0, d1, d2") OP(min_s, "vmin.f32 d0, d1, d2")
OP(nadd_s, "vadd.f32 d0, d1, d2") OP(nmul_s, "vmul.f32 d0, d1, d2") OP(nfma_s, "vfma.f32 d0, d1, d2")
OP(ceq_s, "vceq.f32 d0, d1, d2") OP(cge_s, "vcge.f32 d0, d1, d2") OP(cgt_s, "vcgt.f32 d0, d1, d2")
OP(recpe_s, "vdup.32 d1, d1[0]\n vrecpe.f32 d0, d1")
OP(rsqrte_s, "vdup.32 d1, d1[0]\n vrsqrte.f32 d0, d1")
OP(recps_s, "vrecps.f32 d0, d1, d2") OP(rsqrts_s, "vrsqrts.f32 d0, d1, d2")
OP(recpe_u, "vrecpe.u32 d0, d1") OP(rsqrte_u, "vrsqrte.u32 d0, d1")

static const struct op ops[] = {
    {"add.s", 's', 0, add_s}, {"add.d", 'd', 0, add_d}, {"sub.s", 's', 0, sub_s},
    {"sub.d", 'd', 0, sub_d}, {"mul.s", 's', 0, mul_s}, {"mul.d", 'd', 0, mul_d},
    {"div.s", 's', 0, divide_s}, {"div.d", 'd', 0, divide_d}, {"fma.s", 's', 0, fma__s},
    {"fma.d", 'd', 0, fma__d}, {"sqrt.s", 's', 0, sqrt_s}, {"sqrt.d", 'd', 0, sqrt_d},
    {"cmp.s", 's', 0, cmp_s}, {"cmp.d", 'd', 0, cmp_d}, {"cmpe.s", 's', 0, cmpe_s},
    {"cmpe.d", 'd', 0, cmpe_d}, {"s-to-d", 's', 0, s_to_d}, {"d-to-s", 'd', 0, d_to_s},
    {"s-to-h", 's', 0, s_to_h}, {"h-to-s", 'h', 0, h_to_s}, {"s-to-i", 's', 0, s_to_i},
    {"s-to-u", 's', 0, s_to_u}, {"d-to-i", 'd', 0, d_to_i}, {"d-to-u", 'd', 0, d_to_u},
    {"s-to-iz", 's', 0, s_to_iz}, {"d-to-uz", 'd', 0, d_to_uz}, {"i-to-s", 'i', 0, i_to_s},
    {"u-to-s", 'i', 0, u_to_s}, {"i-to-d", 'i', 0, i_to_d}, {"u-to-d", 'i', 0, u_to_d},
    {"s-to-fix16", 's', 0, s_to_fix16}, {"s-to-fix32", 's', 0, s_to_fix32},
    {"d-to-fix16", 'd', 0, d_to_fix16}, {"d-to-fix32", 'd', 0, d_to_fix32},
    {"fix16-to-s", 'i', 0, fix16_to_s}, {"fix32-to-s", 'i', 0, fix32_to_s},
    {"max", 's', 1, max_s}, {"min", 's', 1, min_s}, {"simd-add", 's', 1, nadd_s},
    {"simd-mul", 's', 1, nmul_s}, {"simd-fma", 's', 1, nfma_s}, {"ceq", 's', 1, ceq_s},
    {"cge", 's', 1, cge_s}, {"cgt", 's', 1, cgt_s}, {"recpe", 's', 1, recpe_s},
    {"rsqrte", 's', 1, rsqrte_s}, {"recps", 's', 1, recps_s}, {"rsqrts", 's', 1, rsqrts_s},
    {"recpe-u", 'i', 1, recpe_u}, {"rsqrte-u", 'i', 1, rsqrte_u},
};

static uint64_t operand(char kind) {
    switch (kind) {
    case 's': return pattern(8, 23);
    case 'd': return pattern(11, 52);
    case 'h': return pattern(5, 10);
    default: { uint64_t r = next(); return (uint32_t)r >> (r >> 59); }
    }
}

int main(int argc, char **argv) {
    static const uint32_t modes[] = {0, 1u << 22, 2u << 22, 3u << 22, 1u << 24, 1u << 25,
                                     1u << 26, 5u << 24 | 1u << 22};
    for (unsigned i = 0; i < sizeof ops / sizeof *ops; i++)
        for (unsigned m = 0; m < 8; m++) {
            const struct op *op = &ops[i];
            int list = argc == 3;
            if (list && (strcmp(argv[1], op->name) || strtoul(argv[2], 0, 16) != modes[m]))
                continue;
            if (op->simd && m)
                continue;
            uint64_t hash = 0xcbf29ce484222325ull;
            seed = 0x9e3779b97f4a7c15ull;
            for (int round = 0; round < ROUNDS; round++) {
                uint64_t a = operand(op->kind), b = operand(op->kind), c = operand(op->kind);
                set_fpscr(modes[m]);
                uint64_t result = op->run(a, b, c);
                uint32_t flags = get_fpscr() & 0x9f;
                if (op->kind != 'd' && strcmp(op->name, "s-to-d") && strcmp(op->name, "i-to-d")
                    && strcmp(op->name, "u-to-d"))
                    result = (uint32_t)result;
                if (!strncmp(op->name, "d-to-s", 6) || !strncmp(op->name, "d-to-i", 6)
                    || !strncmp(op->name, "d-to-u", 6) || !strncmp(op->name, "s-to-fix", 8)
                    || !strncmp(op->name, "d-to-fix32", 10))
                    result = (uint32_t)result;
                if (!strncmp(op->name, "s-to-h", 6) || !strncmp(op->name, "s-to-fix16", 10)
                    || !strncmp(op->name, "d-to-fix16", 10))
                    result = (uint16_t)result;
                if (list)
                    printf("%016llx %016llx %016llx -> %016llx %02x\n", (unsigned long long)a,
                           (unsigned long long)b, (unsigned long long)c,
                           (unsigned long long)result, flags);
                hash = (hash ^ result) * 0x100000001b3ull;
                hash = (hash ^ flags) * 0x100000001b3ull;
                hash ^= hash >> 29;
            }
            if (!list)
                printf("%s %08x %016llx\n", op->name, modes[m], (unsigned long long)hash);
        }
    return 0;
}
