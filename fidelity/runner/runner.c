/* The oracle's half of instruction tests: a static ARM program that runs cases under qemu-arm.
 *
 * It reads batches from standard input and writes results to standard output. A case is a state
 * (all registers that user mode has) whose PC points to a program in the code area; the program
 * ends with a branch to exit_a32 or exit_t32 (switch.S), or in a signal. Its caller gave it the
 * memory window's contents, and gets them back. The wire format is that of fidelity/src/wire.rs.
 *
 * No library: system calls only, so that nothing of the process depends on the host's ARM
 * libraries. */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

enum {
    MAGIC = 0x736b6670,
    CODE_BASE = 0x20000000,
    CODE_SIZE = 0x6000,
    SCRATCH_BASE = 0x30000000,
    SCRATCH_SIZE = 0x2000,
    WINDOW = SCRATCH_BASE + 0xf00,
    WINDOW_SIZE = 512,
    SIGNAL_STACK = 0x20180000,
    SIGNAL_STACK_SIZE = 0x4000,
    MAX_CASES = 8192,
};

enum { NR_exit = 1, NR_read = 3, NR_write = 4, NR_setitimer = 104, NR_mprotect = 125,
       NR_sigaction = 174, NR_sigaltstack = 186, NR_mmap2 = 192 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11, SIGALRM = 14 };
enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };

struct state {
    u32 regs[16];
    u32 cpsr, fpscr;
    u32 outcome; /* out: the signal; in: the number of the memory window + 1, or 0 */
    u32 address; /* out: the address of the fault */
    u64 d[32];
};

struct header {
    u32 magic, cases, windows, reserved;
};

struct window {
    u64 words[WINDOW_SIZE / 8];
};

/* Linux's layout of a signal frame on ARM. */
struct context {
    u32 flags, link, stack[3];
    u32 trap, error, oldmask;
    u32 regs[16];
    u32 cpsr, fault_address;
    u32 sigmask[32];
    u32 vfp_magic __attribute__((aligned(8)));
    u32 vfp_size;
    u64 vfp_d[32];
    u32 vfp_fpscr;
};

struct sigaction {
    void (*handler)(int, const u32 *, struct context *);
    u32 flags;
    void (*restorer)(void);
    u32 mask[2];
};

extern struct state frame;
extern void enter(const struct state *);
extern void resume(void);
extern void restorer(void);

static struct state cases[MAX_CASES];
static struct window windows[MAX_CASES];
static u32 progress, progress_seen;

static u32 call(u32 number, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f)
{
    register u32 r0 __asm__("r0") = a;
    register u32 r1 __asm__("r1") = b;
    register u32 r2 __asm__("r2") = c;
    register u32 r3 __asm__("r3") = d;
    register u32 r4 __asm__("r4") = e;
    register u32 r5 __asm__("r5") = f;
    register u32 r7 __asm__("r7") = number;
    __asm__ volatile("svc 0"
                     : "+r"(r0)
                     : "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5), "r"(r7)
                     : "memory");
    return r0;
}

__asm__(".text\n.arm\nrestorer: mov r7, #173\n svc 0\n"
        ".global _start\n_start: b start\n");

static void stop(u32 status)
{
    for (;;)
        call(NR_exit, status, 0, 0, 0, 0, 0);
}

static void read_all(void *to, u32 size)
{
    for (u8 *at = to; size != 0;) {
        int n = (int)call(NR_read, 0, (u32)at, size, 0, 0, 0);
        if (n <= 0)
            stop(n == 0 ? 0 : 3);
        at += n;
        size -= (u32)n;
    }
}

static void write_all(const void *from, u32 size)
{
    for (const u8 *at = from; size != 0;) {
        int n = (int)call(NR_write, 1, (u32)at, size, 0, 0, 0);
        if (n <= 0)
            stop(4);
        at += n;
        size -= (u32)n;
    }
}

static void copy_window(u64 *to, const u64 *from)
{
    for (u32 i = 0; i < WINDOW_SIZE / 8; i++)
        to[i] = from[i];
}

/* Ends the case with the state that the signal interrupted. */
static void handler(int signal, const u32 *info, struct context *context)
{
    if (signal == SIGALRM) {
        /* A case that still runs a whole period later will run for ever. */
        if (progress != progress_seen) {
            progress_seen = progress;
            return;
        }
        if (context->regs[15] < CODE_BASE)
            return;
    } else if (context->regs[15] < CODE_BASE && context->regs[15] >= 0x10000
               && context->regs[15] < (u32)&cases) {
        stop(5); /* the runner itself */
    }
    for (u32 i = 0; i < 16; i++)
        frame.regs[i] = context->regs[i];
    frame.cpsr = context->cpsr;
    frame.fpscr = context->vfp_fpscr;
    frame.outcome = (u32)signal;
    frame.address = info[3];
    for (u32 i = 0; i < 32; i++)
        frame.d[i] = context->vfp_d[i];
    if (context->vfp_magic != 0x56465001)
        stop(6);
    context->regs[15] = (u32)resume;
    context->cpsr = 0x10;
}

static void handle(int signal)
{
    struct sigaction action = { handler, 0x5c000004, restorer, { 0, 0 } };
    if (call(NR_sigaction, (u32)signal, (u32)&action, 0, 8, 0, 0) != 0)
        stop(7);
}

static void map(u32 base, u32 size, u32 protection)
{
    /* MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS */
    if (call(NR_mmap2, base, size, protection, 0x32, ~0u, 0) != base)
        stop(8);
}

static void run(struct state *c)
{
    struct window *window = c->outcome ? &windows[c->outcome - 1] : 0;
    if (window)
        copy_window((u64 *)WINDOW, window->words);
    progress++;
    enter(c);
    if (frame.outcome == 0) {
        frame.address = 0;
        frame.regs[15] = 0;
        if (frame.cpsr & 0x200) {
            frame.regs[0] = __builtin_bswap32(frame.regs[0]);
            frame.regs[1] = __builtin_bswap32(frame.regs[1]);
        }
    }
    const u64 *from = (const u64 *)&frame;
    u64 *to = (u64 *)c;
    for (u32 i = 0; i < sizeof *c / 8; i++)
        to[i] = from[i];
    if (window)
        copy_window(window->words, (const u64 *)WINDOW);
}

__attribute__((used)) static void start(void)
{
    map(SIGNAL_STACK, SIGNAL_STACK_SIZE, PROT_READ | PROT_WRITE);
    u32 stack[3] = { SIGNAL_STACK, 0, SIGNAL_STACK_SIZE };
    call(NR_sigaltstack, (u32)stack, 0, 0, 0, 0, 0);
    handle(SIGILL);
    handle(SIGTRAP);
    handle(SIGBUS);
    handle(SIGFPE);
    handle(SIGSEGV);
    handle(SIGALRM);
    u32 period[4] = { 1, 0, 1, 0 };
    call(NR_setitimer, 0, (u32)period, 0, 0, 0, 0);
    map(CODE_BASE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    map(SCRATCH_BASE, SCRATCH_SIZE, PROT_READ | PROT_WRITE);
    for (;;) {
        struct header header;
        read_all(&header, sizeof header);
        if (header.magic != MAGIC || header.cases > MAX_CASES || header.windows > MAX_CASES)
            stop(9);
        /* Making the pages writable makes QEMU forget what it translated. */
        call(NR_mprotect, CODE_BASE, CODE_SIZE, PROT_READ | PROT_WRITE, 0, 0, 0);
        read_all((void *)CODE_BASE, CODE_SIZE);
        call(NR_mprotect, CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC, 0, 0, 0);
        read_all(cases, header.cases * sizeof cases[0]);
        read_all(windows, header.windows * sizeof windows[0]);
        for (u32 i = 0; i < header.cases; i++)
            run(&cases[i]);
        write_all(cases, header.cases * sizeof cases[0]);
        write_all(windows, header.windows * sizeof windows[0]);
        write_all((const void *)SCRATCH_BASE, SCRATCH_SIZE);
    }
}
