/* The measurements: one program for the guest (where it is init) and for the host.
 *
 * Every row is repeated until it has taken long enough. What is printed is for the host's program:
 *     start NAME
 *     row GROUP NAME NANOSECONDS-PER-ITERATION NANOSECONDS-SINCE-START
 *     failed NAME REASON
 * and `end` when everything has been measured. Variables of the environment, which for init are
 * words of the kernel's command line: BENCH_MS is the least time of a row, milliseconds; BENCH_ROWS
 * the names of rows or groups to measure, with commas between. With a file /rows, or one that is
 * the argument, the rows are the programs in it instead. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"

#ifdef __thumb__
#define STATE "-t32"
#else
#define STATE ""
#endif

/* A sample takes at least this long, nanoseconds: less than the time for which a host lets a process
 * run at a stretch, so that some samples are whole on a busy host, too. */
#define SAMPLE 2e6

/* The least number of samples. */
#define SAMPLES 5

volatile uint32_t sink;
volatile double double_sink;
const char *self;

/* The system comes first: fork copies what the memory rows have touched. */
static const struct group *const groups[] = { &system_group, &scalar_group, &memory_group,
					      &float_group, &vector_group };

double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int wanted(const char *name)
{
	const char *list = getenv("BENCH_ROWS");
	size_t length = strlen(name);
	if (!list)
		return 1;
	for (;;) {
		size_t word = strcspn(list, ",");
		if (word == length && !memcmp(list, name, length))
			return 1;
		if (!list[word])
			return 0;
		list += word + 1;
	}
}

/* The least of many samples: whatever else the host does makes them longer. */
static void measure(const struct group *group, const struct row *row, double long_enough)
{
	if (row->prepare)
		row->prepare();
	double begin = now(), end = begin, least = 0;
	uint32_t n = 1;
	printf("start %s%s\n", row->name, STATE);
	for (unsigned samples = 0; samples < SAMPLES || end - begin < long_enough;) {
		double start = now();
		row->run(n);
		end = now();
		double took = end - start;
		if (!samples && took < SAMPLE && n < 1u << 30) {
			/* A little more than needed, and not too much on little evidence. */
			double more = took > SAMPLE / 64 ? 1.15 * SAMPLE / took : 16;
			double next = n * more + 1;
			n = next < 1u << 30 ? next : 1u << 30;
			continue;
		}
		if (!samples++ || took < least)
			least = took;
	}
	printf("row %s %s%s %.3f %.0f\n", group->name, row->name, STATE, least / n, now() - begin);
}

/* The rows of this program. */
static void measure_all(void)
{
	const char *least = getenv("BENCH_MS");
	double long_enough = (least ? atof(least) : 300) * 1e6;
	for (unsigned g = 0; g < sizeof groups / sizeof *groups; g++) {
		/* In T32, only what the instruction set matters to. */
		if (*STATE && !groups[g]->user_code)
			continue;
		for (const struct row *row = groups[g]->rows; row->name; row++)
			if (wanted(groups[g]->name) || wanted(row->name))
				measure(groups[g], row, long_enough);
	}
}

/* The rows of the other program. */
static void run_t32(void)
{
	pid_t child = fork();
	if (!child) {
		execl("/t32", "/t32", (char *)0);
		_exit(1);
	}
	waitpid(child, 0, 0);
}

int main(int argc, char **argv)
{
	int init = getpid() == 1;
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	self = argv[0];
	setvbuf(stdout, 0, _IOLBF, 0);
	if (init) {
		puts("init");
		mkdir("/tmp", 0777);
		setenv("PATH", "/usr/bin:/bin", 1);
	}
	FILE *programs = fopen(argc > 1 ? argv[1] : "/rows", "r");
	if (programs && (!init || chdir("/tmp") == 0))
		run_programs(programs);
	else
		measure_all();
	if (init && !programs)
		run_t32();
	if (!*STATE)
		puts("end");
	if (init)
		reboot(RB_POWER_OFF);
	return 0;
}
