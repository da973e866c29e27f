/* Executes instructions for golden.txt, which tests.rs checks: reads lines of
 *
 *   word offset ...
 *
 * (an A32 instruction, and what is added to the base register), and writes them with a hash of
 * the state that the instruction leaves, or 0 if it is undefined. To make golden.txt anew:
 *
 *   arm-linux-gnueabihf-gcc -O1 -static -marm -mfpu=neon-vfpv4 generate.c -o /tmp/generate
 *   SKEP_SIMD_WORDS=/tmp/words cargo test -p skep-arm simd::tests::words -- --ignored
 *   qemu-arm -cpu cortex-a15 /tmp/generate < /tmp/words > golden.txt
 *
 * With an argument it lists the state before and after instead.
 *
 * The registers before an instruction are pseudo-random, with the word as the seed; R1 is the
 * base: the middle of MEMORY bytes of pseudo-random memory, plus the offset. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MEMORY 4096

struct state {
    uint32_t r[8];  /* 0 */
    uint64_t d[32]; /* 32 */
    uint32_t fpscr; /* 288 */
    uint32_t apsr;  /* 292 */
};

void run(struct state *);
extern uint32_t run_slot[];
__asm__(".arm\n .text\n .align 12\n run:\n"
        "push {r4-r12, lr}\n mov lr, r0\n"
        "ldr r0, [lr, #288]\n vmsr fpscr, r0\n"
        "add r0, lr, #32\n vldmia r0!, {d0-d15}\n vldmia r0!, {d16-d31}\n"
        "mov r0, #0\n msr apsr_nzcvq, r0\n"
        "ldm lr, {r0-r7}\n"
        "run_slot: nop\n"
        "stm lr, {r0-r7}\n"
        "mrs r0, apsr\n str r0, [lr, #292]\n"
        "vmrs r0, fpscr\n str r0, [lr, #288]\n"
        "add r0, lr, #32\n vstmia r0!, {d0-d15}\n vstmia r0!, {d16-d31}\n"
        "pop {r4-r12, pc}\n .align 12\n");

static uint64_t seed;

static uint64_t next(void) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1dull;
}

static uint64_t value(void) {
    static const uint8_t bytes[8] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x40, 0x81};
    static const uint32_t singles[16] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xff800001,
        0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x477fe000, 0x3f000000};
    uint64_t kind = next() >> 61, r = next(), v = 0;
    switch (kind) {
    case 0: return r;
    case 1:
        for (int i = 0; i < 8; i++) v |= (uint64_t)bytes[r >> (3 * i) & 7] << (8 * i);
        return v;
    case 2: return singles[r & 15] | (uint64_t)singles[r >> 4 & 15] << 32;
    case 3: /* a double near one, or special */
        return (r & 1 ? 0 : r & 0x800fffffffffffffull) | (uint64_t)(r & 2 ? 1019 + (r >> 53 & 7) : r & 4 ? 2047 : 0) << 52;
    case 4: /* small integers */
        return (r & 0x000f000f000f000full) - (r >> 60);
    case 5: case 6: /* singles near one */
        return (r & 0x807fffff807fffffull) + 0x3d0000003d000000ull + (r >> 5 & 0x0380000003800000ull);
    default: /* a double of the range of integers */
        return (r & 0x800fffffffffffffull) | (uint64_t)(1020 + (r >> 53 & 63)) << 52;
    }
}

static sigjmp_buf undefined;
static void on_signal(int number) { siglongjmp(undefined, number); }

static uint64_t fold(uint64_t hash, uint64_t x) {
    hash = (hash ^ x) * 0x100000001b3ull;
    return hash ^ hash >> 29;
}

static uint8_t memory[MEMORY] __attribute__((aligned(64)));

static void list(const char *when, const struct state *s) {
    printf(" %s:", when);
    for (int i = 0; i < 8; i++) printf(" r%d %08x", i, i == 1 ? s->r[1] - (uint32_t)memory : s->r[i]);
    printf(" fpscr %08x apsr %x\n", s->fpscr, s->apsr >> 28);
    for (int i = 0; i < 32; i++) printf("  d%d %016llx%s", i, (unsigned long long)s->d[i], i % 4 == 3 ? "\n" : "");
}

int main(int argc, char **argv) {
    static char line[256];
    mprotect((void *)run, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    signal(SIGILL, on_signal);
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    while (fgets(line, sizeof line, stdin)) {
        unsigned word, offset;
        if (sscanf(line, "%x %x", &word, &offset) != 2)
            continue;
        struct state s = {0};
        seed = word * 0x9e3779b97f4a7c15ull | 1;
        for (int i = 0; i < 8; i++) s.r[i] = next() >> 32;
        s.r[1] = (uint32_t)memory + MEMORY / 2 + offset;
        for (int i = 0; i < 32; i++) s.d[i] = value();
        s.fpscr = next() >> 32 & 0xffc0009f;
        for (int i = 0; i < MEMORY / 8; i++) ((uint64_t *)memory)[i] = next();
        if (argc > 1) list("before", &s);
        run_slot[0] = word;
        __builtin___clear_cache((char *)run_slot, (char *)(run_slot + 1));
        uint64_t hash = 0xcbf29ce484222325ull;
        int number = sigsetjmp(undefined, 1);
        if (!number) {
            run(&s);
            if (argc > 1) list("after", &s);
            s.r[1] -= (uint32_t)memory;
            for (int i = 0; i < 8; i++) hash = fold(hash, s.r[i]);
            for (int i = 0; i < 32; i++) hash = fold(hash, s.d[i]);
            hash = fold(hash, s.fpscr);
            hash = fold(hash, s.apsr >> 28);
            for (int i = 0; i < MEMORY / 8; i++) hash = fold(hash, ((uint64_t *)memory)[i]);
        }
        printf("%08x %x %08x\n", word, offset, number ? 0 : (uint32_t)(hash >> 32));
    }
    return 0;
}
