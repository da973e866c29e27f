/* Loops that the compiler makes Advanced SIMD of: this file is compiled with -O3 -ffast-math. */
#include "bench.h"

static float f_x[4096], f_y[4096];

static void f32_prepare(void)
{
	for (int i = 0; i < 4096; i++)
		f_x[i] = i * 0.001f, f_y[i] = 1 - f_x[i];
}

static void f32_simd(uint32_t n)
{
	while (n--) {
		for (int i = 0; i < 4096; i++)
			f_y[i] = f_y[i] * 0.5f + f_x[i];
		double_sink = f_y[9];
	}
}

/* A sum of products: the vector goes into one value at the end. */
static void f32_dot(uint32_t n)
{
	while (n--) {
		float s = 0;
		f_x[n & 1023] += 0.5f;
		for (int i = 0; i < 1024; i++)
			s += f_x[i] * f_y[i];
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

static int16_t s_x[2048], s_y[2048];

static void i16_prepare(void)
{
	for (int i = 0; i < 2048; i++)
		s_x[i] = i * 7, s_y[i] = 100 - i;
}

/* 16-bit samples times coefficients, summed in 32 bits. */
static void i16_dot(uint32_t n)
{
	while (n--) {
		int32_t s = 0;
		s_x[n & 2047]++;
		for (int i = 0; i < 2048; i++)
			s += s_x[i] * s_y[i];
		sink = s;
	}
}

static uint8_t colour[2048][4], grey[2048];

static void pixels_prepare(void)
{
	for (int i = 0; i < 2048; i++)
		for (int j = 0; j < 4; j++)
			colour[i][j] = i * (j + 3);
}

/* Pixels of four bytes to grey: loads that take structures apart, widening, narrowing. */
static void pixels(uint32_t n)
{
	while (n--) {
		colour[n & 2047][1] = n;
		for (int i = 0; i < 2048; i++)
			grey[i] = (colour[i][0] * 77 + colour[i][1] * 150 + colour[i][2] * 29) >> 8;
		sink = grey[9];
	}
}

static int32_t i_x[2048], i_y[2048];

static void i32_prepare(void)
{
	for (int i = 0; i < 2048; i++)
		i_x[i] = i * 2654435761u;
}

/* Comparisons, selections, least and greatest. */
static void i32_clamp(uint32_t n)
{
	while (n--) {
		int32_t limit = n & 0xffff, least = i_x[0];
		for (int i = 0; i < 2048; i++) {
			int32_t v = i_x[i] > limit ? limit : i_x[i];
			i_y[i] = v < -limit ? -limit : v;
			least = i_y[i] < least ? i_y[i] : least;
		}
		sink = least + i_y[9];
	}
}

static const struct row rows[] = {
	{ "simd-f32", f32_simd, f32_prepare },
	{ "dot-f32", f32_dot, f32_prepare },
	{ "matmul-f32", f32_matmul, 0 },
	{ "simd-integer", integer_simd, 0 },
	{ "dot-i16", i16_dot, i16_prepare },
	{ "pixels-u8", pixels, pixels_prepare },
	{ "clamp-i32", i32_clamp, i32_prepare },
	{ 0 },
};

const struct group vector_group = { "vector", rows, 1 };
