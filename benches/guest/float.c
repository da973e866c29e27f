/* Scalar floating point: VFP instructions, one value each. */
#include <math.h>
#include "bench.h"

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

/* Comparisons and branches between the arithmetic. */
static void mandelbrot(uint32_t n)
{
	while (n--) {
		uint32_t inside = 0;
		for (int y = 0; y < 16; y++)
			for (int x = 0; x < 16; x++) {
				float cr = x * 0.17f - 2, ci = y * 0.15f - 1.2f, r = 0, i = 0;
				int turn = 0;
				while (turn < 48 && r * r + i * i < 4) {
					float t = r * r - i * i + cr;
					i = 2 * r * i + ci;
					r = t;
					turn++;
				}
				inside += turn == 48;
			}
		sink = inside;
	}
}

/* The C library's functions, and conversions to and from integers. */
static void library(uint32_t n)
{
	double sum = 0;
	while (n--) {
		double x = (double)(n & 1023) * 0.01 + 0.5;
		sum += sin(x) + exp(-x) * log(x) + pow(x, 0.3);
		sum -= (int32_t)sum;
	}
	double_sink = sum;
}

static const struct row rows[] = {
	{ "nbody-f64", nbody, 0 },
	{ "matmul-f64", matmul, 0 },
	{ "mandelbrot-f32", mandelbrot, 0 },
	{ "libm-f64", library, 0 },
	{ 0 },
};

const struct group float_group = { "float", rows, 1 };
