/* The measurements: one program for the guest (where it is init) and for the host. Every row is
 * repeated until it has taken long enough, and prints `row NAME NANOSECONDS` per iteration. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __thumb__
#define STATE "-t32"
#else
#define STATE ""
#endif

/* A row takes at least this long, nanoseconds. */
#define LONG_ENOUGH 300000000.0

static volatile uint32_t sink;
static volatile double double_sink;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Linked lists, a small matrix, a state machine and a checksum, in turn. */
struct node { struct node *next; uint32_t value; };

static void integer(uint32_t n)
{
	static struct node nodes[64];
	static int a[12][12], b[12][12], c[12][12];
	static const char text[] = "12,-7,0x3f,abc,4.5e3,+19,,77";

	while (n--) {
		struct node *head = 0;
		uint32_t sum = n;
		for (unsigned i = 0; i < 64; i++) {
			nodes[i].value = i * 2654435761u + n;
			nodes[i].next = head;
			head = &nodes[i];
		}
		for (struct node *p = head, *previous = 0, *next; p; previous = p, p = next) {
			next = p->next;
			p->next = previous;
			sum ^= p->value;
		}
		for (unsigned i = 0; i < 12; i++)
			for (unsigned j = 0; j < 12; j++) {
				a[i][j] = i + j + n;
				b[i][j] = i - j;
			}
		for (unsigned i = 0; i < 12; i++)
			for (unsigned j = 0; j < 12; j++) {
				int s = 0;
				for (unsigned k = 0; k < 12; k++)
					s += a[i][k] * b[k][j];
				c[i][j] = s;
				sum += s;
			}
		enum { START, NUMBER, WORD } state = START;
		for (const char *p = text; *p; p++) {
			if (*p == ',')
				state = START;
			else if (state == START)
				state = *p <= '9' ? NUMBER : WORD;
			else if (state == NUMBER && *p > '9')
				state = WORD;
			sum += state;
		}
		uint16_t crc = sum;
		for (int bit = 0; bit < 256; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
		sink = crc;
	}
}

static int ascending(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
	return a < b ? -1 : a > b;
}

static void sort(uint32_t n)
{
	static uint32_t v[4096];
	while (n--) {
		uint32_t x = 1;
		for (int i = 0; i < 4096; i++)
			v[i] = x = x * 1664525 + 1013904223;
		qsort(v, 4096, sizeof *v, ascending);
		sink = v[7];
	}
}

static void sieve(uint32_t n)
{
	static uint8_t composite[65536];
	while (n--) {
		memset(composite, 0, sizeof composite);
		for (unsigned i = 2; i < 256; i++)
			if (!composite[i])
				for (unsigned j = i * i; j < 65536; j += i)
					composite[j] = 1;
		sink = composite[65521];
	}
}

static void chase(uint32_t n)
{
	static uint32_t next[1 << 16];
	uint32_t at = 0;
	for (uint32_t i = 0; i < 1 << 16; i++)
		next[i] = (i * 5 + 12345) & 0xffff;
	while (n--)
		for (int i = 0; i < 4096; i++)
			at = next[at];
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

static void nbody(uint32_t n)
{
	double p[4][3] = { { 0, 0, 0 }, { 4.8, -1.2, 0.1 }, { 8.3, 4.1, -0.4 }, { -5, 12, 2 } };
	double v[4][3] = { { 0 } };
	while (n--) {
		for (int i = 0; i < 4; i++)
			for (int j = i + 1; j < 4; j++) {
				double d[3], r = 0.01;
				for (int k = 0; k < 3; k++) {
					d[k] = p[i][k] - p[j][k];
					r += d[k] * d[k];
				}
				double m = 0.001 / (r * __builtin_sqrt(r));
				for (int k = 0; k < 3; k++) {
					v[i][k] -= d[k] * m;
					v[j][k] += d[k] * m;
				}
			}
		for (int i = 0; i < 4; i++)
			for (int k = 0; k < 3; k++)
				p[i][k] += 0.001 * v[i][k];
	}
	double_sink = p[0][0];
}

static void matmul(uint32_t n)
{
	static double a[48][48], b[48][48], c[48][48];
	while (n--) {
		for (int i = 0; i < 48; i++)
			for (int j = 0; j < 48; j++)
				a[i][j] = i + n, b[i][j] = j - i;
		for (int i = 0; i < 48; i++)
			for (int j = 0; j < 48; j++) {
				double s = 0;
				for (int k = 0; k < 48; k++)
					s += a[i][k] * b[k][j];
				c[i][j] = s;
			}
		double_sink = c[3][5];
	}
}

__attribute__((optimize("O3", "fast-math"))) static void f32_simd(uint32_t n)
{
	static float x[4096], y[4096];
	for (int i = 0; i < 4096; i++)
		x[i] = i * 0.001f;
	while (n--) {
		for (int i = 0; i < 4096; i++)
			y[i] = y[i] * 0.5f + x[i];
		double_sink = y[9];
	}
}

__attribute__((optimize("O3"))) static void integer_simd(uint32_t n)
{
	static uint8_t x[4096], y[4096];
	while (n--) {
		x[n & 4095] = n;
		for (int i = 0; i < 4096; i++)
			y[i] = (x[i] + y[i] + 1) >> 1;
		sink = y[9];
	}
}

static void atomic(uint32_t n)
{
	static uint32_t counter;
	while (n--)
		__atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
}

static void syscalls(uint32_t n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void faults(uint32_t n)
{
	while (n) {
		uint32_t pages = n < 1024 ? n : 1024;
		volatile char *m = mmap(0, pages * 4096, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (uint32_t i = 0; i < pages; i++)
			m[i * 4096] = 1;
		munmap((void *)m, pages * 4096);
		n -= pages;
	}
}

static void forks(uint32_t n)
{
	while (n--) {
		pid_t child = fork();
		if (!child)
			_exit(0);
		waitpid(child, 0, 0);
	}
}

static const char *self;

static void execs(uint32_t n)
{
	while (n--) {
		pid_t child = fork();
		if (!child) {
			execl(self, self, "exit", (char *)0);
			_exit(1);
		}
		waitpid(child, 0, 0);
	}
}

static void pipes(uint32_t n)
{
	int there[2], back[2];
	char c = 0;
	if (pipe(there) || pipe(back))
		return;
	pid_t child = fork();
	if (!child) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
			;
		_exit(0);
	}
	while (n--)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			break;
	close(there[0]), close(there[1]);
	close(back[0]), close(back[1]);
	waitpid(child, 0, 0);
}

static const struct { const char *name; void (*run)(uint32_t); int user_only; } rows[] = {
	{ "integer", integer, 1 }, { "sort", sort, 1 }, { "sieve", sieve, 1 },
	{ "chase", chase, 1 }, { "memcpy", copy, 1 }, { "nbody-f64", nbody, 1 },
	{ "matmul-f64", matmul, 1 }, { "simd-f32", f32_simd, 1 },
	{ "simd-integer", integer_simd, 1 }, { "atomic", atomic, 1 },
	{ "getppid", syscalls, 0 }, { "page-fault", faults, 0 }, { "fork-exit", forks, 0 },
	{ "fork-exec", execs, 0 }, { "pipe", pipes, 0 },
};

int main(int argc, char **argv)
{
	int init = getpid() == 1;
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	self = argv[0];
	setvbuf(stdout, 0, _IOLBF, 0);
	if (init)
		puts("row boot 0");
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		/* In T32, only what the instruction set matters to. */
		if (*STATE && !rows[i].user_only)
			continue;
		double took;
		uint32_t n = 1;
		for (;;) {
			double start = now();
			rows[i].run(n);
			took = now() - start;
			if (took >= LONG_ENOUGH || n >= 1u << 30)
				break;
			n *= took < LONG_ENOUGH / 16 ? 8 : 2;
		}
		printf("row %s%s %.3f\n", rows[i].name, STATE, took / n);
	}
	if (init) {
		pid_t child = fork();
		if (!child) {
			execl("/t32", "/t32", (char *)0);
			_exit(1);
		}
		waitpid(child, 0, 0);
		puts("row end 0");
		reboot(RB_POWER_OFF);
	}
	return 0;
}
