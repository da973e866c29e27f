/* Integer code without system calls, in working sets that stay in a processor's caches. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "bench.h"

/* Linked lists, a small matrix, a state machine and a checksum, in turn. */
struct node { struct node *next; uint32_t value; };

static void integer(uint32_t n)
{
	static struct node nodes[64];
	static int a[12][12], b[12][12];
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

/* The C library's sort, with a call by pointer for each comparison. */
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

/* Merges two ordered lists. */
static struct node *merge(struct node *a, struct node *b)
{
	struct node *head = 0, **end = &head;
	while (a && b) {
		struct node **least = a->value <= b->value ? &a : &b;
		*end = *least;
		end = &(*least)->next;
		*least = *end;
	}
	*end = a ? a : b;
	return head;
}

/* A linked list ordered by merging ever longer runs. */
static void list_sort(uint32_t n)
{
	static struct node nodes[512];
	while (n--) {
		struct node *runs[16] = { 0 };
		uint32_t x = n;
		for (unsigned i = 0; i < 512; i++) {
			struct node *run = &nodes[i];
			unsigned size = 0;
			run->value = x = x * 1664525 + 1013904223;
			run->next = 0;
			for (; runs[size]; size++) {
				run = merge(runs[size], run);
				runs[size] = 0;
			}
			runs[size] = run;
		}
		struct node *all = 0;
		for (unsigned size = 0; size < 16; size++)
			all = merge(runs[size], all);
		sink = all->value;
	}
}

/* Integer matrices, 16 bits times 16 bits. */
static void matrix_integer(uint32_t n)
{
	static int16_t a[24][24], b[24][24];
	static int32_t c[24][24];
	while (n--) {
		for (int i = 0; i < 24; i++)
			for (int j = 0; j < 24; j++)
				a[i][j] = i * 3 + n, b[i][j] = j - i;
		for (int i = 0; i < 24; i++)
			for (int j = 0; j < 24; j++) {
				int32_t s = 0;
				for (int k = 0; k < 24; k++)
					s += a[i][k] * b[k][j];
				c[i][j] = s >> 2 & 0xffff;
			}
		sink = c[3][5];
	}
}

/* A scanner of numbers: one state a character, by a jump table. */
static void states(uint32_t n)
{
	static char text[] = "5012,+874.35,-110.7e+3,0x,1e9,T0.3e-1F,.5,-,77.,9a,";
	enum { START, SIGN, INTEGER, FRACTION, EXPONENT, POWER, DIGITS, WRONG, STATES } state;
	while (n--) {
		uint32_t counts[STATES] = { 0 };
		text[0] = '1' + (n & 7);
		state = START;
		for (const char *p = text; *p; p++) {
			char c = *p;
			int digit = c >= '0' && c <= '9';
			if (c == ',') {
				counts[state]++;
				state = START;
				continue;
			}
			switch (state) {
			case START:
				state = digit ? INTEGER : c == '+' || c == '-' ? SIGN :
					c == '.' ? FRACTION : WRONG;
				break;
			case SIGN:
				state = digit ? INTEGER : c == '.' ? FRACTION : WRONG;
				break;
			case INTEGER:
				state = digit ? INTEGER : c == '.' ? FRACTION :
					c == 'e' ? EXPONENT : WRONG;
				break;
			case FRACTION:
				state = digit ? FRACTION : c == 'e' ? EXPONENT : WRONG;
				break;
			case EXPONENT:
				state = digit ? DIGITS : c == '+' || c == '-' ? POWER : WRONG;
				break;
			case POWER:
			case DIGITS:
				state = digit ? DIGITS : WRONG;
				break;
			default:
				break;
			}
		}
		sink = counts[INTEGER] + counts[FRACTION] * 16 + counts[WRONG] * 256;
	}
}

/* An interpreter of a stack machine: what scripting languages do. */
static void bytecode(uint32_t n)
{
	enum { PUSH, LOAD, STORE, ADD, MUL, LESS, JUMP_IF, STOP };
	/* i = 0; s = 0; do { s = s * 3 + i; i = i + 1; } while (i < 100); */
	static const uint8_t program[] = {
		PUSH, 0, STORE, 0, PUSH, 0, STORE, 1,
		LOAD, 1, PUSH, 3, MUL, LOAD, 0, ADD, STORE, 1,
		LOAD, 0, PUSH, 1, ADD, STORE, 0,
		LOAD, 0, PUSH, 100, LESS, JUMP_IF, 8, STOP,
	};
	while (n--) {
		uint32_t stack[8], variables[2] = { n, n }, *top = stack;
		const uint8_t *p = program;
		for (;;) {
			switch (*p++) {
			case PUSH:
				*top++ = *p++;
				continue;
			case LOAD:
				*top++ = variables[*p++];
				continue;
			case STORE:
				variables[*p++] = *--top;
				continue;
			case ADD:
				top--, top[-1] += *top;
				continue;
			case MUL:
				top--, top[-1] *= *top;
				continue;
			case LESS:
				top--, top[-1] = top[-1] < *top;
				continue;
			case JUMP_IF:
				p = *--top ? program + *p : p + 1;
				continue;
			}
			break;
		}
		sink = variables[1];
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

static uint32_t crc_table[256];

static void crc32_prepare(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		crc_table[i] = c;
	}
}

/* CRC-32 (IEEE 802.3) with a table of a byte each. */
static void crc32(uint32_t n)
{
	static uint8_t data[4096];
	while (n--) {
		data[n & 4095] = n;
		uint32_t crc = ~0u;
		for (int i = 0; i < 4096; i++)
			crc = crc >> 8 ^ crc_table[(crc ^ data[i]) & 0xff];
		sink = ~crc;
	}
}

static uint32_t rotate(uint32_t x, int by)
{
	return x >> by | x << (32 - by);
}

/* The first 32 fractional bits of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static uint32_t k[64];

static void sha256_prepare(void)
{
	unsigned found = 0;
	for (uint32_t prime = 2; found < 64; prime++) {
		int divides = 0;
		for (uint32_t d = 2; d * d <= prime; d++)
			divides |= prime % d == 0;
		if (!divides) {
			double root = cbrt(prime);
			k[found++] = (uint32_t)((root - floor(root)) * 4294967296.0);
		}
	}
	if (k[0] != 0x428a2f98 || k[63] != 0xc67178f2)
		__builtin_trap();
}

/* SHA-256 (FIPS 180-4, 6.2.2) over 64 blocks of 64 bytes. */
static void sha256(uint32_t n)
{
	static uint32_t data[64][16];
	while (n--) {
		uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
				  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
		data[n & 63][0] = n;
		for (unsigned block = 0; block < 64; block++) {
			uint32_t w[64], v[8];
			memcpy(w, data[block], 64);
			for (int t = 16; t < 64; t++) {
				uint32_t x = w[t - 15], y = w[t - 2];
				w[t] = w[t - 16] + w[t - 7] +
				       (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) +
				       (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
			}
			memcpy(v, h, sizeof v);
			for (int t = 0; t < 64; t++) {
				uint32_t e = v[4], a = v[0];
				uint32_t t1 = v[7] +
					      (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
					      ((e & v[5]) ^ (~e & v[6])) + k[t] + w[t];
				uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
					      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
				v[7] = v[6], v[6] = v[5], v[5] = e;
				v[4] = v[3] + t1;
				v[3] = v[2], v[2] = v[1], v[1] = a;
				v[0] = t1 + t2;
			}
			for (int i = 0; i < 8; i++)
				h[i] += v[i];
		}
		sink = h[0];
	}
}

/* 64-bit products, sums and shifts, as long as the 32-bit registers are in the way. */
static void wide(uint32_t n)
{
	uint64_t x = 88172645463325252ull;
	while (n--) {
		uint64_t sum = 0;
		for (int i = 0; i < 256; i++) {
			x ^= x >> 12;
			x ^= x << 25;
			x ^= x >> 27;
			sum += x * 2685821657736338717ull;
		}
		sink = sum >> 32;
	}
}

/* Division: the greatest common divisor, by the C library where there is no instruction. */
static void division(uint32_t n)
{
	while (n--) {
		uint32_t sum = 0;
		for (uint32_t i = 1; i < 32; i++) {
			uint32_t a = 1836311903 - n % 1024, b = i * 40503;
			while (b) {
				uint32_t rest = a % b;
				a = b, b = rest;
			}
			sum += a;
		}
		sink = sum;
	}
}

__attribute__((noinline)) static uint32_t fibonacci(uint32_t n)
{
	/* The barrier keeps the compiler from making a loop of the calls. */
	__asm__ volatile("");
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

/* Calls and returns. */
static void recursion(uint32_t n)
{
	while (n--)
		sink = fibonacci(16);
}

static const struct row rows[] = {
	{ "integer", integer, 0 },
	{ "sort", sort, 0 },
	{ "list-sort", list_sort, 0 },
	{ "matmul-i16", matrix_integer, 0 },
	{ "states", states, 0 },
	{ "bytecode", bytecode, 0 },
	{ "sieve", sieve, 0 },
	{ "crc32", crc32, crc32_prepare },
	{ "sha256", sha256, sha256_prepare },
	{ "wide-u64", wide, 0 },
	{ "division", division, 0 },
	{ "recursion", recursion, 0 },
	{ 0 },
};

const struct group scalar_group = { "scalar", rows, 1 };
