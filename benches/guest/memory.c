/* Memory: copies, strings, dependent loads, and code that is written. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "bench.h"

static uint32_t next[1 << 16];

static void chase_prepare(void)
{
	for (uint32_t i = 0; i < 1 << 16; i++)
		next[i] = (i * 5 + 12345) & 0xffff;
}

/* Loads that each need the one before. */
static void chase(uint32_t n)
{
	uint32_t at = 0;
	while (n--)
		for (int i = 0; i < 4096; i++)
			at = next[at];
	sink = at;
}

enum { PAGES = 4096, WORDS = 1024 };
static uint32_t far_next[PAGES * WORDS];

static void chase_pages_prepare(void)
{
	for (uint32_t i = 0; i < PAGES; i++) {
		uint32_t to = (i * 1021 + 7) % PAGES;
		far_next[i * WORDS + i % WORDS] = to * WORDS + to % WORDS;
	}
}

/* The same over 16 MiB, a page each: more than any translation cache holds. */
static void chase_pages(uint32_t n)
{
	uint32_t at = 0;
	while (n--)
		for (int i = 0; i < PAGES; i++)
			at = far_next[at];
	sink = at;
}

static void copy(uint32_t n)
{
	static uint8_t from[1 << 16], to[1 << 16];
	while (n--) {
		from[n & 0xffff]++;
		memcpy(to, from, sizeof to);
		sink = to[5];
	}
}

/* Copies between addresses that are not aligned with each other. */
static void copy_unaligned(uint32_t n)
{
	static uint8_t from[1 << 14], to[1 << 14];
	while (n--) {
		from[n & 0x3fff]++;
		memcpy(to + 1, from + 2, sizeof to - 3);
		sink = to[5];
	}
}

static void fill(uint32_t n)
{
	static uint8_t to[1 << 16];
	while (n--) {
		memset(to, n, sizeof to);
		sink = to[5];
	}
}

static char words[64][32];

static void strings_prepare(void)
{
	static const char *const parts[] = { "kernel", "hypervisor", "translation", "a" };
	for (unsigned i = 0; i < 64; i++) {
		strcpy(words[i], parts[i & 3]);
		strcat(words[i], parts[i >> 4]);
	}
}

static void strings(uint32_t n)
{
	while (n--) {
		uint32_t sum = n;
		for (unsigned i = 0; i < 63; i++) {
			sum += strlen(words[i]);
			sum += strcmp(words[i], words[i + 1]) < 0;
			sum += strchr(words[i], 'r') != 0;
		}
		sink = sum;
	}
}

static char *page;

static void self_modifying_prepare(void)
{
	page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		perror("self-modifying");
		exit(1);
	}
}

#ifdef __arm__
/* A loop in two pages; in T32 there is an instruction with a half in each. */
void across_pages(uint32_t n);
__asm__(".syntax unified\n"
	".section .text.across_pages, \"ax\"\n"
#ifdef __thumb__
	".thumb_func\n"
	".skip 4096 - 6\n"
#else
	".skip 4096 - 8\n"
#endif
	".global across_pages\n"
	".type across_pages, %function\n"
	"across_pages:\n"
	"1:	subs r0, r0, #1\n"
	"	mov r2, r0\n"
	"	eor r1, r1, r2\n"
	"	add r2, r2, r1\n"
	"	bne 1b\n"
	"	bx lr\n"
	".text\n");
#endif

#ifdef __arm__
/* A stack frame in two pages, as PUSH and POP have it. */
static void frame_across_pages(uint32_t n)
{
	static uint32_t stack[2048] __attribute__((aligned(4096)));
	register uint32_t *top __asm__("r12") = stack + 1024 + 3;
	while (n--)
		__asm__ volatile("stmdb %0!, {r0-r6, lr}\n\tldmia %0!, {r0-r6, lr}"
				 : "+r"(top) : : "memory");
}
#endif

/* A function that is written again before each call. */
static void self_modifying(uint32_t n)
{
	while (n--) {
		/* return (uint8_t)n; */
#if defined __thumb__
		uint16_t code[] = { 0x2000 | (uint8_t)n, 0x4770 };
		uintptr_t entry = (uintptr_t)page | 1;
#elif defined __arm__
		uint32_t code[] = { 0xe3a00000 | (uint8_t)n, 0xe12fff1e };
		uintptr_t entry = (uintptr_t)page;
#elif defined __x86_64__
		uint8_t code[] = { 0xb8, n, 0, 0, 0, 0xc3 };
		uintptr_t entry = (uintptr_t)page;
#else
#error "no code to write for this processor"
#endif
		memcpy(page, code, sizeof code);
		__builtin___clear_cache(page, page + sizeof code);
		if (((uint32_t(*)(void))entry)() != (uint8_t)n)
			__builtin_trap();
	}
}

#ifdef __arm__
/* A page of code: 1000 instructions, a branch after each eight. */
extern const char fresh_code[], fresh_code_end[];
__asm__(".syntax unified\n"
	".section .rodata.fresh_code, \"a\"\n"
	".balign 4\n"
	"fresh_code:\n"
	".rept 111\n"
	"	ldr r2, [r0]\n"
	"	adds r1, r1, r2\n"
	"	eors r2, r2, r1\n"
	"	str r2, [r0, #4]\n"
	"	lsrs r3, r2, #3\n"
	"	cmp r3, r1\n"
	"	orrs r1, r1, r3\n"
	"	adds r2, r2, #1\n"
	"	b 1f\n"
	"1:\n"
	".endr\n"
	"	bx lr\n"
	"fresh_code_end:\n"
	".text\n");

#define FRESH_PAGES 4096
static char *fresh;

static void fresh_prepare(void)
{
	if (!fresh)
		fresh = mmap(0, FRESH_PAGES * 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED) {
		perror("fresh code");
		exit(1);
	}
}

/* Pages of code that were never executed before, or so long ago that nobody remembers. */
static void fresh_code_called(uint32_t n, unsigned calls)
{
	static uint32_t next, memory[2];
	while (n--) {
		char *at = fresh + next++ % FRESH_PAGES * 4096;
		size_t size = fresh_code_end - fresh_code;
		memcpy(at, fresh_code, size);
		__builtin___clear_cache(at, at + size);
		uintptr_t entry = (uintptr_t)at;
#ifdef __thumb__
		entry |= 1;
#endif
		for (unsigned i = 0; i < calls; i++)
			((void (*)(uint32_t *, uint32_t))entry)(memory, n);
	}
}

static void code_once(uint32_t n)
{
	fresh_code_called(n, 1);
}

static void code_4_times(uint32_t n)
{
	fresh_code_called(n, 4);
}
#endif

static void atomic(uint32_t n)
{
	static uint32_t counter;
	while (n--)
		__atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
}

static void atomic_wide(uint32_t n)
{
	static uint64_t counter;
	while (n--)
		__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
}

/* A lock taken and given back, as a mutex without contention does. */
static void lock(uint32_t n)
{
	static uint32_t locked;
	static volatile uint32_t inside;
	while (n--) {
		uint32_t expected = 0;
		while (!__atomic_compare_exchange_n(&locked, &expected, 1, 1, __ATOMIC_ACQUIRE,
						    __ATOMIC_RELAXED))
			expected = 0;
		inside++;
		__atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
	}
}

static const struct row rows[] = {
	{ "chase", chase, chase_prepare },
	{ "chase-pages", chase_pages, chase_pages_prepare },
	{ "memcpy", copy, 0 },
	{ "memcpy-odd", copy_unaligned, 0 },
	{ "memset", fill, 0 },
	{ "strings", strings, strings_prepare },
#ifdef __arm__
	{ "across-pages", across_pages, 0 },
	{ "frame-across", frame_across_pages, 0 },
#endif
	{ "self-modifying", self_modifying, self_modifying_prepare },
#ifdef __arm__
	{ "code-once", code_once, fresh_prepare },
	{ "code-4-times", code_4_times, fresh_prepare },
#endif
	{ "atomic", atomic, 0 },
	{ "atomic-64", atomic_wide, 0 },
	{ "lock", lock, 0 },
	{ 0 },
};

const struct group memory_group = { "memory", rows, 1 };
