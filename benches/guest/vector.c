/* Loops that the compiler makes Advanced SIMD of: this file is compiled with -O3 -ffast-math. */
#include "bench.h"

static void f32_simd(uint32_t n)
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

/* A sum of products: the vector goes into one value at the end. */
static void f32_dot(uint32_t n)
{
	static float x[1024], y[1024];
	for (int i = 0; i < 1024; i++)
		x[i] = i * 0.001f, y[i] = 1 - x[i];
	while (n--) {
		float s = 0;
		x[n & 1023] += 0.5f;
		for (int i = 0; i < 1024; i++)
			s += x[i] * y[i];
		double_sink = s;
	}
}

static void f32_matmul(uint32_t n)
{
	static float a[32][32], b[32][32], c[32][32];
	while (n--) {
		for (int i = 0; i < 32; i++)
			for (int j = 0; j < 32; j++)
				a[i][j] = i + (float)n, b[i][j] = j - i, c[i][j] = 0;
		for (int i = 0; i < 32; i++)
			for (int k = 0; k < 32; k++)
				for (int j = 0; j < 32; j++)
					c[i][j] += a[i][k] * b[k][j];
		double_sink = c[3][5];
	}
}

static void integer_simd(uint32_t n)
{
	static uint8_t x[4096], y[4096];
	while (n--) {
		x[n & 4095] = n;
		for (int i = 0; i < 4096; i++)
			y[i] = (x[i] + y[i] + 1) >> 1;
		sink = y[9];
	}
}

/* 16-bit samples times coefficients, summed in 32 bits. */
static void i16_dot(uint32_t n)
{
	static int16_t x[2048], y[2048];
	for (int i = 0; i < 2048; i++)
		x[i] = i * 7, y[i] = 100 - i;
	while (n--) {
		int32_t s = 0;
		x[n & 2047]++;
		for (int i = 0; i < 2048; i++)
			s += x[i] * y[i];
		sink = s;
	}
}

/* Pixels of four bytes to grey: loads that take structures apart, widening, narrowing. */
static void pixels(uint32_t n)
{
	static uint8_t colour[2048][4], grey[2048];
	for (int i = 0; i < 2048; i++)
		for (int j = 0; j < 4; j++)
			colour[i][j] = i * (j + 3);
	while (n--) {
		colour[n & 2047][1] = n;
		for (int i = 0; i < 2048; i++)
			grey[i] = (colour[i][0] * 77 + colour[i][1] * 150 + colour[i][2] * 29) >> 8;
		sink = grey[9];
	}
}

/* Comparisons, selections, least and greatest. */
static void i32_clamp(uint32_t n)
{
	static int32_t x[2048], y[2048];
	for (int i = 0; i < 2048; i++)
		x[i] = i * 2654435761u;
	while (n--) {
		int32_t limit = n & 0xffff, least = x[0];
		for (int i = 0; i < 2048; i++) {
			int32_t v = x[i] > limit ? limit : x[i];
			y[i] = v < -limit ? -limit : v;
			least = y[i] < least ? y[i] : least;
		}
		sink = least + y[9];
	}
}

static const struct row rows[] = {
	{ "simd-f32", f32_simd },     { "dot-f32", f32_dot }, { "matmul-f32", f32_matmul },
	{ "simd-integer", integer_simd }, { "dot-i16", i16_dot }, { "pixels-u8", pixels },
	{ "clamp-i32", i32_clamp },   { 0 },
};

const struct group vector_group = { "vector", rows, 1 };
