/* What the measurements share. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>

/* A measurement: `run` does its work `iterations` times. */
struct row {
	const char *name;
	void (*run)(uint32_t iterations);
	/* What has to be done once before; or null. */
	void (*prepare)(void);
};

/* A group of rows, up to one without a name. */
struct group {
	const char *name;
	const struct row *rows;
	/* The instruction set matters: there are rows for T32, too. */
	int user_code;
};

extern const struct group scalar_group, memory_group, float_group, vector_group, system_group;

/* Results go here, so that they have to be calculated. */
extern volatile uint32_t sink;
extern volatile double double_sink;

/* The bench program itself, for rows that execute it again: with the argument `exit` it ends at
 * once. */
extern const char *self;

/* CLOCK_MONOTONIC, nanoseconds. */
double now(void);

/* Whether rows or a group of this name are to be measured. */
int wanted(const char *name);

/* Measures the programs of a list. */
void run_programs(FILE *list);

#endif
